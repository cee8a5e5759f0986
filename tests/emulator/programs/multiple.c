/* lmw and stmw, update forms, byte-reversed and every width of load and store, aligned or not. */
#include "program.h"

static NOINLINE u64 by_multiple(u32 *to, const u32 *from)
{
    u64 sum;
    __asm__ volatile("lmw 20, 0(%2)\n\t"
                     "add 20, 20, 31\n\t"
                     "rlwinm 25, 25, 9, 3, 28\n\t"
                     "stmw 20, 4(%1)\n\t"
                     "stmw 29, -8(%1)\n\t"
                     "mr %0, 27"
                     : "=r"(sum)
                     : "b"(to), "b"(from)
                     : "memory", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31");
    return sum;
}

static NOINLINE u64 by_update(u8 *p)
{
    u64 sum, t;
    __asm__ volatile("li %0, 0\n\t"
                     "lbzu %1, 1(%2)\n\tadd %0, %0, %1\n\t"
                     "lhzu %1, 2(%2)\n\tadd %0, %0, %1\n\t"
                     "lhau %1, 3(%2)\n\tadd %0, %0, %1\n\t"
                     "lwzu %1, 5(%2)\n\tadd %0, %0, %1\n\t"
                     "ldu %1, 8(%2)\n\tadd %0, %0, %1\n\t"
                     "li 11, 7\n\tlwaux %1, %2, 11\n\tadd %0, %0, %1\n\t"
                     "lhaux %1, %2, 11\n\tadd %0, %0, %1\n\t"
                     "stbu %0, 1(%2)\n\tsthu %0, 3(%2)\n\tstwu %0, 5(%2)\n\tstdu %0, -12(%2)\n\t"
                     "sthux %0, %2, 11\n\tstdux %0, %2, 11\n\t"
                     "lhbrx %1, 0, %2\n\tadd %0, %0, %1\n\tlwbrx %1, %2, 11\n\tadd %0, %0, %1\n\t"
                     "stwbrx %0, 0, %2\n\tsthbrx %0, %2, 11"
                     : "=&b"(sum), "=&b"(t), "+b"(p)
                     :
                     : "memory", "r11");
    return sum ^ (u64)p << 60;
}

void multiple(void)
{
    static u32 words[64] __attribute__((aligned(16)));
    for (int shift = 0; shift < 8; shift++) {
        u64 hash = 0;
        for (int i = 0; i < 64; i++)
            words[i] = i * 0x9e3779b9u + shift;
        hash += by_multiple((u32 *)((u8 *)words + 20 + shift), (const u32 *)((u8 *)words + 130 - shift));
        hash = hash * 31 + by_update((u8 *)words + 90 + shift);
        for (int i = 0; i < 64; i++)
            hash = hash * 31 + words[i];
        print("%016lx\n", hash);
    }
}
