/* Passing things: structs of every size by value, bit-fields, varargs, many arguments, function pointers. */
#include "program.h"

#define STRUCT(n)                                                    \
    struct s##n {                                                    \
        u8 b[n];                                                     \
    };                                                               \
    static NOINLINE struct s##n turn##n(int k, struct s##n s)        \
    {                                                                \
        struct s##n r;                                               \
        for (int i = 0; i < n; i++)                                  \
            r.b[i] = s.b[n - 1 - i] + k;                             \
        return r;                                                    \
    }                                                                \
    static void try##n(void)                                         \
    {                                                                \
        struct s##n s;                                               \
        u32 hash = 0;                                                \
        for (int i = 0; i < n; i++)                                  \
            s.b[i] = i * 17 + n;                                     \
        s = turn##n(n, s);                                           \
        for (int i = 0; i < n; i++)                                  \
            hash = hash * 31 + s.b[i];                               \
        print("%d:%08x ", n, hash);                                  \
    }
STRUCT(1) STRUCT(2) STRUCT(3) STRUCT(4) STRUCT(5) STRUCT(6) STRUCT(7) STRUCT(8) STRUCT(9) STRUCT(12)
STRUCT(15) STRUCT(16) STRUCT(17) STRUCT(24) STRUCT(33) STRUCT(64) STRUCT(75)

struct mixed {
    u8 a;
    double d;
    i16 h;
    float f;
    u64 q;
};
struct pair {
    float x, y;
};

static NOINLINE struct mixed change(struct mixed m, double by, struct pair p)
{
    m.a += 1;
    m.d *= by;
    m.h = -m.h;
    m.f += p.x - p.y;
    m.q = ~m.q;
    return m;
}

struct bits {
    unsigned a : 3;
    signed b : 5;
    u64 c : 33;
    unsigned d : 1;
    u64 e : 20;
    signed f : 17;
};

static NOINLINE u64 bit_fields(struct bits *b, u64 v)
{
    b->a = v;
    b->b = v >> 3;
    b->c = v * 3;
    b->d ^= 1;
    b->e += v;
    b->f = v >> 11;
    return b->a + (i64)b->b * 10 + b->c * 100 + b->d * 7 + b->e * 3 + (i64)b->f;
}

static NOINLINE double sum(int count, ...)
{
    va_list a, again;
    double s = 0;
    va_start(a, count);
    va_copy(again, a);
    for (int i = 0; i < count; i++)
        switch (i % 4) {
        case 0: s += va_arg(a, int); break;
        case 1: s += va_arg(a, double); break;
        case 2: s += va_arg(a, i64); break;
        default: s += va_arg(a, struct pair).y;
        }
    s = s * 1000 + va_arg(again, int);
    va_end(a);
    va_end(again);
    return s;
}

static NOINLINE double many(int a, double b, long c, float d, u8 e, double f, short g, float h, long i, double j,
                            int k, double l, i8 m, double n, double o, double p, double q, double r, double s,
                            double t, int u, float v)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k + 12 * l + 13 * m +
           14 * n + 15 * o + 16 * p + 17 * q + 18 * r + 19 * s + 20 * t + 21 * u + 22 * v;
}

static i64 add(i64 a, i64 b) { return a + b; }
static i64 subtract(i64 a, i64 b) { return a - b; }
static i64 times(i64 a, i64 b) { return a * b; }

static NOINLINE i64 choose(unsigned n, i64 x)
{
    switch (n) {
    case 0: return x + 1;
    case 1: return x * 2;
    case 2: return ~x;
    case 3: return x >> 3;
    case 4: return x ^ 0x55;
    case 5: return x - 99;
    case 7: return x << 5;
    case 8: return -x;
    case 9: return x | 4096;
    default: return 0;
    }
}

void calls(void)
{
    try1(), try2(), try3(), try4(), try5(), try6(), try7(), try8(), try9(), try12(), try15(), try16(), try17();
    try24(), try33(), try64(), try75();
    struct mixed m = change((struct mixed){255, 1.5, 300, 2.25f, 77}, 3.0, (struct pair){0.5f, 0.125f});
    print("\n%u %.3f %d %.4f %lx\n", m.a, m.d, m.h, (double)m.f, m.q);
    struct bits b = {1, -3, 5, 0, 9, -11};
    for (u64 v = 1; v < 0x1000000000000000; v = v * 37 + 11)
        print("%lx ", bit_fields(&b, v));
    struct pair p = {1.5f, 2.5f};
    print("\n%.3f %.3f\n", sum(4, 1, 2.5, 3L, p), sum(12, 1, 2.5, 3L, p, 5, 6.25, 1L << 40, p, 9, 1e10, -1L, p));
    print("%.3f\n", many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22.5f));
    i64 (*const table[])(i64, i64) = {add, subtract, times};
    i64 x = 1;
    for (unsigned i = 0; i < 30; i++)
        x = choose(OPAQUE(i % 11), table[OPAQUE(i % 3)](x, i + 2));
    print("%ld\n", x);
}
