/* IEEE arithmetic in integers: what the compiler calls when it may not use the floating-point unit.

   Numbers are unpacked to sign, exponent and a 64-bit significand with its leading one on top; one function,
   `pack`, rounds to nearest even.  Single precision goes through double, which is exact enough: 53 >= 2 * 24 + 2
   (Figueroa, "When is double rounding innocuous?", 1995). */
#include "program.h"

typedef u64 f64; /* the bits of a double: this file must not use the type it implements */
typedef u32 f32;

#define SIGN (1UL << 63)
#define INFINITE 0x7ff0000000000000UL
#define QUIET 0x7ff8000000000000UL

struct number {
    int negative, exponent; /* value = significand * 2^(exponent - 63); significand 0 is zero */
    u64 significand;
};

static int is_nan(f64 x) { return (x & ~SIGN) > INFINITE; }
static int is_infinite(f64 x) { return (x & ~SIGN) == INFINITE; }

static struct number unpack(f64 x)
{
    struct number n = {x >> 63, (int)(x >> 52 & 0x7ff) - 1023, x << 11 & ~SIGN};
    if (n.exponent == -1023)
        n.exponent++;
    else
        n.significand |= SIGN;
    while (n.significand && !(n.significand & SIGN)) {
        n.significand <<= 1;
        n.exponent--;
    }
    return n;
}

/* Round `significand` (leading one on top, the lowest bit may stand for more) to a format. */
static u64 pack(int negative, int exponent, u64 significand, int fraction_bits, int bias)
{
    int drop = 63 - fraction_bits, biased = exponent + bias, limit = 2 * bias + 1;
    u64 sign = (u64)negative << (fraction_bits + (bias == 127 ? 8 : 11));
    if (!significand)
        return sign;
    if (biased <= 0) {
        int shift = 1 - biased;
        significand = shift > 63 ? 1 : significand >> shift | ((significand << (64 - shift)) != 0);
        biased = 0;
    }
    u64 rest = significand & ((1UL << drop) - 1), half = 1UL << (drop - 1), q = significand >> drop;
    q += rest > half || (rest == half && q & 1);
    if (biased)
        q += (u64)(biased - 1) << fraction_bits; /* the leading one adds the last to the exponent */
    if (q >= (u64)limit << fraction_bits)
        q = (u64)limit << fraction_bits;
    return sign | q;
}

static f64 pack_double(int negative, int exponent, u64 significand)
{
    return pack(negative, exponent, significand, 52, 1023);
}

/* As `pack_double`, from a 128-bit significand that is not aligned: the value is wide * 2^(exponent - 127). */
static f64 pack_wide(int negative, int exponent, u128 wide)
{
    if (!wide)
        return (u64)negative << 63;
    while (!(wide >> 127)) {
        wide <<= 1;
        exponent--;
    }
    return pack_double(negative, exponent, (u64)(wide >> 64) | ((u64)wide != 0));
}

static f64 soft_add(f64 x, f64 y)
{
    if (is_nan(x) || is_nan(y) || (is_infinite(x) && is_infinite(y) && x != y))
        return QUIET;
    if (is_infinite(x) || is_infinite(y))
        return is_infinite(x) ? x : y;
    struct number a = unpack(x), b = unpack(y);
    if (!a.significand || !b.significand)
        return a.significand ? x : b.significand ? y : x & y;
    if (a.exponent < b.exponent) {
        struct number t = a;
        a = b;
        b = t;
    }
    int shift = a.exponent - b.exponent;
    u128 p = (u128)a.significand << 62, q = (u128)b.significand << 62;
    q = shift > 120 ? 1 : q >> shift | ((q & (((u128)1 << shift) - 1)) != 0);
    if (a.negative == b.negative)
        return pack_wide(a.negative, a.exponent + 2, p + q);
    if (p == q)
        return 0;
    return p > q ? pack_wide(a.negative, a.exponent + 2, p - q) : pack_wide(b.negative, a.exponent + 2, q - p);
}

static f64 soft_multiply(f64 x, f64 y)
{
    u64 sign = (x ^ y) & SIGN;
    if (is_nan(x) || is_nan(y))
        return QUIET;
    struct number a = unpack(x), b = unpack(y);
    if (is_infinite(x) || is_infinite(y))
        return (is_infinite(x) || a.significand) && (is_infinite(y) || b.significand) ? sign | INFINITE : QUIET;
    return pack_wide(sign != 0, a.exponent + b.exponent + 1, (u128)a.significand * b.significand);
}

static f64 soft_divide(f64 x, f64 y)
{
    u64 sign = (x ^ y) & SIGN;
    if (is_nan(x) || is_nan(y) || (is_infinite(x) && is_infinite(y)))
        return QUIET;
    struct number a = unpack(x), b = unpack(y);
    if (is_infinite(x) || !b.significand)
        return is_infinite(x) || a.significand ? sign | INFINITE : QUIET;
    if (is_infinite(y) || !a.significand)
        return sign;
    u128 dividend = (u128)a.significand << 63;
    u128 quotient = dividend / b.significand;
    quotient = quotient << 2 | (dividend % b.significand != 0);
    return pack_wide(sign != 0, a.exponent - b.exponent + 62, quotient);
}

/* -1, 0, 1, or 2 for unordered. */
static int soft_compare(f64 x, f64 y)
{
    if (is_nan(x) || is_nan(y))
        return 2;
    i64 a = x & SIGN ? -(i64)(x & ~SIGN) : (i64)x, b = y & SIGN ? -(i64)(y & ~SIGN) : (i64)y;
    return a < b ? -1 : a > b;
}

static f64 soft_from_unsigned(u64 v) { return pack_wide(0, 127, v); }
static f64 soft_from_signed(i64 v) { return v < 0 ? pack_wide(1, 127, -(u64)v) : pack_wide(0, 127, v); }

static f32 single(struct number n) { return pack(n.negative, n.exponent, n.significand, 23, 127); }
static f32 soft_single_from_signed(i64 v)
{
    int exponent = 63;
    u64 s = v < 0 ? -(u64)v : (u64)v;
    for (; s && !(s & SIGN); s <<= 1)
        exponent--;
    return single((struct number){v < 0, exponent, s});
}
static f32 soft_single_from_unsigned(u64 v)
{
    return v >> 63 ? single((struct number){0, 63, v}) : soft_single_from_signed(v);
}

static u64 soft_to_unsigned(f64 x)
{
    struct number n = unpack(x);
    u64 v = n.exponent < 0 || n.exponent > 63 ? 0 : n.significand >> (63 - n.exponent);
    return n.negative ? -v : v;
}

static f64 soft_widen(f32 x)
{
    u64 sign = (u64)(x >> 31) << 63, fraction = x & 0x7fffff;
    int exponent = x >> 23 & 0xff;
    if (exponent == 0xff)
        return sign | (fraction ? QUIET : INFINITE);
    if (!exponent)
        return pack_wide(x >> 31, -126 - 23 + 127, fraction);
    return sign | (u64)(exponent + 896) << 52 | fraction << 29;
}

static f32 soft_narrow(f64 x)
{
    if (is_nan(x))
        return 0x7fc00000;
    if (is_infinite(x))
        return (u32)(x >> 32) & 0x80000000 | 0x7f800000;
    return single(unpack(x));
}

/* The compiler's names for them.  Doubles and floats travel in general registers; the upper half of 32 bits is
   anything. */
#define BOTH(operation, name)                                                               \
    f64 __##name##df3(f64 x, f64 y) { return operation(x, y); }                             \
    f32 __##name##sf3(u64 x, u64 y) { return soft_narrow(operation(soft_widen(x), soft_widen(y))); }
static f64 soft_subtract(f64 x, f64 y) { return soft_add(x, is_nan(y) ? y : y ^ SIGN); }
BOTH(soft_add, add)
BOTH(soft_subtract, sub)
BOTH(soft_multiply, mul)
BOTH(soft_divide, div)

/* What each returns for unordered operands is the answer "no" to its question (GCC internals, 4.2.3). */
#define COMPARE(name, unordered)                                                            \
    i64 __##name##df2(f64 x, f64 y)                                                         \
    {                                                                                       \
        int c = soft_compare(x, y);                                                         \
        return c == 2 ? unordered : c;                                                      \
    }                                                                                       \
    i64 __##name##sf2(u64 x, u64 y) { return __##name##df2(soft_widen(x), soft_widen(y)); }
COMPARE(eq, 1)
COMPARE(ne, 1)
COMPARE(lt, 1)
COMPARE(le, 1)
COMPARE(gt, -1)
COMPARE(ge, -1)
i64 __unorddf2(f64 x, f64 y) { return soft_compare(x, y) == 2; }
i64 __unordsf2(u64 x, u64 y) { return __unorddf2(soft_widen(x), soft_widen(y)); }

f64 __floatsidf(u64 v) { return soft_from_signed((i32)v); }
f64 __floatdidf(i64 v) { return soft_from_signed(v); }
f64 __floatunsidf(u64 v) { return soft_from_unsigned((u32)v); }
f64 __floatundidf(u64 v) { return soft_from_unsigned(v); }
f32 __floatsisf(u64 v) { return soft_single_from_signed((i32)v); }
f32 __floatdisf(i64 v) { return soft_single_from_signed(v); }
f32 __floatunsisf(u64 v) { return soft_single_from_unsigned((u32)v); }
f32 __floatundisf(u64 v) { return soft_single_from_unsigned(v); }
i32 __fixdfsi(f64 x) { return soft_to_unsigned(x); }
i64 __fixdfdi(f64 x) { return soft_to_unsigned(x); }
u32 __fixunsdfsi(f64 x) { return soft_to_unsigned(x); }
u64 __fixunsdfdi(f64 x) { return soft_to_unsigned(x); }
i32 __fixsfsi(u64 x) { return soft_to_unsigned(soft_widen(x)); }
i64 __fixsfdi(u64 x) { return soft_to_unsigned(soft_widen(x)); }
u32 __fixunssfsi(u64 x) { return soft_to_unsigned(soft_widen(x)); }
u64 __fixunssfdi(u64 x) { return soft_to_unsigned(soft_widen(x)); }
f64 __extendsfdf2(u64 x) { return soft_widen(x); }
f32 __truncdfsf2(f64 x) { return soft_narrow(x); }
