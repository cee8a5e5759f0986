/* FPSCR: rounding modes through mtfsf and mtfsfi, status bits through mffs and mcrfs, fused multiply-add. */
#include "program.h"

/* QEMU never sets FPSCR[FR], and classes single denormals (FPRF) in its own way: neither is shown. */
#define UNSHOWN 0x0005f000u

static u32 status(void)
{
    double f;
    __asm__ volatile("mffs %0" : "=f"(f));
    return (u32)bits_of(f) & ~UNSHOWN;
}

static void set_status(u32 value)
{
    __asm__ volatile("mtfsf 255, %0" : : "f"(double_of(value)));
}

#define OPERATION(name, text)                                                \
    static NOINLINE double name(double a, double b, double c)                \
    {                                                                        \
        double r;                                                            \
        __asm__ volatile(text : "=f"(r) : "f"(a), "f"(b), "f"(c));           \
        return r;                                                            \
    }
OPERATION(add, "fadd %0, %1, %2")
OPERATION(subtract_single, "fsubs %0, %1, %2")
OPERATION(multiply, "fmul %0, %1, %2")
OPERATION(multiply_single, "fmuls %0, %1, %2")
OPERATION(divide, "fdiv %0, %1, %2")
OPERATION(fused, "fmadd %0, %1, %2, %3")
OPERATION(fused_negative, "fnmsub %0, %1, %2, %3")
OPERATION(fused_single, "fmadds %0, %1, %2, %3")
OPERATION(narrow, "frsp %0, %1")
OPERATION(root, "fsqrt %0, %1")
OPERATION(to_word, "fctiw %0, %1")
OPERATION(to_doubleword, "fctid %0, %1")
OPERATION(to_doubleword_zero, "fctidz %0, %1")
OPERATION(from_doubleword, "fcfid %0, %1")
OPERATION(choose, "fsel %0, %1, %2, %3")

typedef double operation(double, double, double);
static operation *const operations[] = {add, subtract_single, multiply, multiply_single, divide, fused,
                                        fused_negative, fused_single, narrow, root, to_doubleword,
                                        to_doubleword_zero, from_doubleword, choose};

void rounding(void)
{
    static const u64 values[] = {0x3ff0000000000001, 0xbfd5555555555555, 0x7fe0000000000003, 0x0010000000000001,
                                 0x8000000000000003, 0x41dfffffffe00000, 0xc3dfffffffffffff, 0x3ca0000000000000,
                                 0x7ff0000000000000, 0x0000000000000000, 0x7ff4000020000000, 0x47efffffe8000000};
    const unsigned count = sizeof values / sizeof *values;
    for (u32 mode = 0; mode < 4; mode++) {
        for (unsigned op = 0; op < sizeof operations / sizeof *operations; op++) {
            u64 hash = 0;
            /* Where rounding has a direction, QEMU negates first; the architecture rounds first. */
            if (operations[op] == fused_negative && mode > 1)
                continue;
            for (unsigned i = 0; i < count; i++)
                for (unsigned j = 0; j < count; j++) {
                    set_status(mode);
                    double r = operations[op](double_of(values[i]), double_of(values[j]),
                                              double_of(values[(i * 5 + j) % count]));
                    hash = (hash << 5 | hash >> 59) + bits_of(r);
                    hash = (hash << 5 | hash >> 59) + status();
                }
            print("%u %u %016lx\n", mode, op, hash);
        }
        u32 words = 0;
        for (unsigned i = 0; i < count; i++)
            words = words * 31 + (u32)bits_of(to_word(double_of(values[i]), 0, 0));
        print("%u fctiw %08x\n", mode, words);
    }
    /* The bits themselves. */
    u32 cr;
    set_status(0);
    __asm__ volatile("mtfsfi 7, 2\n\tmtfsb1 0\n\tmtfsb1 3\n\tmtfsb0 30\n\tmtfsb1 31" : : : "memory");
    print("%08x\n", status());
    __asm__ volatile("mcrfs 2, 0\n\tmcrfs 5, 7\n\tmfcr %0" : "=r"(cr) : : "cr2", "cr5");
    print("%08x %08x\n", cr & 0x00f00f00, status());
    double r;
    set_status(0);
    __asm__ volatile("fdiv. %0, %2, %3\n\tmfcr %1" : "=f"(r), "=r"(cr) : "f"(1.0), "f"(OPAQUE(0.0)) : "cr1");
    print("%b %08x\n", r, cr & 0x0f000000);
    set_status(0);
}
