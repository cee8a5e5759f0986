/* int <-> double <-> float, at the values where rounding and ranges matter. */
#include "program.h"

void conversions(void)
{
    static const i64 whole[] = {0, 1, -1, 255, -256, 16777217, -16777219, 2147483647, -2147483648, 9007199254740993,
                                -9007199254740995, 0x7fffffffffffffff, -0x7fffffffffffffff - 1, 4294967295};
    for (unsigned i = 0; i < sizeof whole / sizeof *whole; i++) {
        i64 v = OPAQUE(whole[i]);
        double d = v, u = (u64)v, w = (i32)v, x = (u32)v;
        float f = v, g = (i32)v, h = (u32)v;
        print("%b %b %b %b %08x %08x %08x\n", d, u, w, x, bits_of_float(f), bits_of_float(g), bits_of_float(h));
    }
    static const double reals[] = {0.0, -0.0, 0.5, -0.5, 0.99999, 1.5, -1.5, 2.5, 1e9, -1e9, 123456789.987,
                                   2147483647.75, -2147483648.25, 4294967295.5, 9e15, 9.2e18, -9.2e18, 1e-310};
    for (unsigned i = 0; i < sizeof reals / sizeof *reals; i++) {
        double d = OPAQUE(reals[i]);
        i64 q = d;
        u64 u = d < 0 ? 0 : (u64)d;
        i32 w = d > 2147483647.5 || d < -2147483648.5 ? 0 : (i32)d;
        u32 x = d < 0 || d > 4294967295.9 ? 0 : (u32)d;
        float f = d;
        print("%ld %lu %d %u %08x %b\n", q, u, w, x, bits_of_float(f), (double)f);
    }
    static const u64 narrow[] = {0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0x380fffffffffffff,
                                 0x380fffffe0000000, 0x47efffffefffffff, 0x47effffff0000000, 0x3ff0000010000000,
                                 0x3ff0000030000000, 0x3ff0000010000001, 0xb6b8000000000000};
    for (unsigned i = 0; i < sizeof narrow / sizeof *narrow; i++)
        print("%08x ", bits_of_float((float)OPAQUE(double_of(narrow[i]))));
    print("\n");
    for (u32 f = 1; f < 0x7f800000; f = f * 5 + 77)
        print("%b ", (double)OPAQUE(float_of(f)));
    print("\n");
}
