/* 64-bit and 128-bit arithmetic: carries, high products, shifts by any amount, division. */
#include "program.h"

static void show(const char *name, u128 v)
{
    print("%s %016lx%016lx\n", name, (u64)(v >> 64), (u64)v);
}

void wide(void)
{
    static const u64 words[] = {0, 1, 2, 3, 10, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000UL,
                                0x7fffffffffffffffUL, 0x8000000000000000UL, 0xffffffffffffffffUL,
                                0x123456789abcdef0UL};
    u128 sum = 0, products = 0, shifts = 0, quotients = 0;
    i128 differences = 0, arithmetic = 0, remainders = 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        for (unsigned j = 0; j < sizeof words / sizeof *words; j++) {
            u64 a = OPAQUE(words[i]), b = OPAQUE(words[j]);
            u128 x = (u128)a << 64 | b, y = (u128)b << 61 | a;
            unsigned n = OPAQUE((i * 13 + j * 7) & 127);
            sum = sum * 3 + (x + y);
            differences = differences * 3 + ((i128)x - (i128)y);
            products = products * 3 + (u128)a * b + (u128)((i128)(i64)a * (i64)b) + x * y;
            shifts = shifts * 3 + (x << n) + (y >> n);
            arithmetic = arithmetic * 3 + ((i128)x >> n);
            if (y) {
                quotients = quotients * 3 + x / y;
                remainders = remainders * 3 + (i128)x % (i128)y;
            }
        }
    show("sum", sum);
    show("difference", differences);
    show("product", products);
    show("shift", shifts);
    show("arithmetic", arithmetic);
    show("quotient", quotients);
    show("remainder", remainders);
    u64 sum64 = 0;
    int overflows = 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        for (unsigned j = 0; j < sizeof words / sizeof *words; j++) {
            i64 r;
            i32 s;
            overflows = overflows * 2 ^ __builtin_add_overflow((i64)words[i], (i64)words[j], &r);
            sum64 = sum64 * 5 + r;
            overflows = overflows * 2 ^ __builtin_mul_overflow((i64)words[i], (i64)words[j], &r);
            sum64 = sum64 * 5 + r;
            overflows = overflows * 2 ^ __builtin_sub_overflow((i32)words[i], (i32)words[j], &s);
            sum64 = sum64 * 5 + s;
            sum64 += words[j] ? __builtin_clzl(words[j]) * 64 + __builtin_ctzl(words[j]) : 0;
            sum64 += __builtin_popcountl(words[i] ^ words[j]) + __builtin_bswap64(words[i]) +
                     __builtin_bswap32(words[j]);
        }
    print("%016lx %08x\n", sum64, overflows);
}
