/* Division and remainder of every width, with corner cases, by variables and by constants. */
#include "program.h"

#define CASES(T, name, format, ...)                                                                       \
    static NOINLINE void name(void)                                                                       \
    {                                                                                                     \
        static const T values[] = {__VA_ARGS__};                                                          \
        u64 hash = 0;                                                                                     \
        for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {                                   \
            T a = OPAQUE(values[i]);                                                                      \
            for (unsigned j = 0; j < sizeof values / sizeof *values; j++) {                               \
                T b = OPAQUE(values[j]);                                                                  \
                if (b && !((T)-1 < 0 && b == (T)-1)) {                                                    \
                    T q = a / b, r = a % b;                                                               \
                    hash = hash * 33 + (u64)q * 7 + (u64)r + (q * b + r == a);                            \
                }                                                                                         \
            }                                                                                             \
            print(#name " " format " " format " " format " " format "\n", (T)(a / 3), (T)(a % 10),        \
                  (T)(a / 16), (T)(a % 7));                                                               \
            hash = hash * 33 + (u64)(T)(a / 1000003) + (u64)(T)(a % 641);                                 \
        }                                                                                                 \
        print(#name " %016lx\n", hash);                                                                   \
    }

CASES(i32, signed32, "%d", 0, 1, -2, 7, -7, 10, -10, 2147483647, -2147483647 - 1, 65536, -65535)
CASES(u32, unsigned32, "%u", 0, 1, 2, 7, 10, 0x7fffffff, 0x80000000, 0xffffffff, 65535, 65537)
CASES(i64, signed64, "%ld", 0, 1, -2, 7, -7, 0x7fffffffffffffff, -0x7fffffffffffffff - 1, 4294967296, -4294967295)
CASES(u64, unsigned64, "%lu", 0, 1, 2, 7, 10, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 4294967297)

void division(void)
{
    signed32();
    unsigned32();
    signed64();
    unsigned64();
    u32 a = OPAQUE(123456u), b = OPAQUE(7890u);
    while (b) {
        u32 t = a % b;
        a = b;
        b = t;
    }
    print("gcd %u\n", a);
}
