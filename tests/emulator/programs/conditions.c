/* CR logic, carries through addme, subfze and friends, record forms, mtcrf of every field, CTR loops. */
#include "program.h"

static NOINLINE u64 carries(u64 a, u64 b)
{
    u64 r, s, t, xer, cr;
    __asm__ volatile("li 0, 0\n\tmtxer 0\n\t"
                     "addco. %0, %5, %6\n\tadde %1, %5, %5\n\taddme %1, %1\n\tsubfc %2, %1, %6\n\t"
                     "subfme. %2, %2\n\taddze %0, %0\n\tsubfze %1, %1\n\tsubfeo. %2, %0, %2\n\t"
                     "srad. %0, %0, %6\n\taddze %2, %2\n\tsrawi %1, %1, 5\n\taddze %2, %2\n\t"
                     "mulhdu %0, %0, %1\n\tmulhw. 11, %5, %6\n\tnego. %1, %1\n\tdivdu %2, %2, %7\n\t"
                     "mfxer %3\n\tmfcr %4"
                     : "=&r"(r), "=&r"(s), "=&r"(t), "=&r"(xer), "=&r"(cr)
                     : "r"(a), "r"(b), "r"(b | 1)
                     : "r0", "r11", "cr0", "xer");
    return r ^ s * 3 ^ t * 5 ^ xer * 7 ^ (cr & 0xf0000000) * 11;
}

static NOINLINE u64 logic(u64 cr)
{
    u64 r;
    __asm__ volatile("mtcr %1\n\t"
                     "crand 0, 5, 9\n\tcror 1, 6, 30\n\tcrxor 2, 7, 8\n\tcrnand 3, 9, 31\n\tcrnor 4, 10, 12\n\t"
                     "creqv 25, 11, 13\n\tcrandc 26, 12, 20\n\tcrorc 27, 13, 21\n\tmcrf 7, 1\n\t"
                     "mtcrf 0x20, %1\n\tmfcr %0"
                     : "=r"(r)
                     : "r"(cr)
                     : "cr0", "cr1", "cr2", "cr3", "cr4", "cr5", "cr6", "cr7");
    return r;
}

static NOINLINE u64 counted(u64 n)
{
    u64 r;
    __asm__ volatile("mtctr %1\n\tli %0, 0\n"
                     "1: addi %0, %0, 3\n\tandi. 0, %0, 64\n\tbdnzf 2, 2f\n\tbdnz 1b\n"
                     "2: bdz 3f\n\taddi %0, %0, 1000\n3: mfctr 0\n\tadd %0, %0, 0"
                     : "=&b"(r)
                     : "r"(n)
                     : "r0", "ctr", "cr0");
    return r;
}

void conditions(void)
{
    u64 seed = 99, hash = 0;
    for (int i = 0; i < 60; i++) {
        u64 a = next_random(&seed), b = next_random(&seed);
        if (i % 5 == 0)
            a = ~0UL;
        if (i % 7 == 0)
            b = 1UL << 63;
        hash = hash * 31 + carries(a, b);
        hash = hash * 31 + logic(a & 0xffffffff);
        hash = hash * 31 + counted(a % 40 + 1);
    }
    print("%016lx\n", hash);
}
