/* Floating point: series, matrices, roots, comparisons of the odd values. Every result is shown in bits. */
#include "program.h"

static NOINLINE double sine(double x)
{
    double term = x, sum = x;
    for (int n = 1; n < 14; n++) {
        term *= -x * x / ((2 * n) * (2 * n + 1));
        sum += term;
    }
    return sum;
}

static NOINLINE double exponential(double x)
{
    double term = 1, sum = 1;
    for (int n = 1; n < 25; n++) {
        term *= x / n;
        sum += term;
    }
    return sum;
}

static NOINLINE double root(double x)
{
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 12; i++)
        r = (r + x / r) / 2;
    return r;
}

static NOINLINE float single_series(float x)
{
    float sum = 0, power = x;
    for (int n = 1; n < 20; n++) {
        sum += power / (float)n;
        power *= -x;
    }
    return sum;
}

static NOINLINE void invert(double a[4][4], double r[4][4])
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            r[i][j] = i == j;
    for (int c = 0; c < 4; c++) {
        int pivot = c;
        for (int i = c; i < 4; i++)
            if (__builtin_fabs(a[i][c]) > __builtin_fabs(a[pivot][c]))
                pivot = i;
        for (int j = 0; j < 4; j++) {
            double t = a[c][j], u = r[c][j];
            a[c][j] = a[pivot][j];
            r[c][j] = r[pivot][j];
            a[pivot][j] = t;
            r[pivot][j] = u;
        }
        double d = a[c][c];
        for (int j = 0; j < 4; j++) {
            a[c][j] /= d;
            r[c][j] /= d;
        }
        for (int i = 0; i < 4; i++)
            if (i != c) {
                double f = a[i][c];
                for (int j = 0; j < 4; j++) {
                    a[i][j] -= f * a[c][j];
                    r[i][j] -= f * r[c][j];
                }
            }
    }
}

/* The sign of a NaN that an operation makes differs between machines; nothing else may. */
static u64 shown(double x)
{
    return x != x ? 0x7ff8000000000000UL : bits_of(x);
}

void floats(void)
{
    for (int i = 0; i < 6; i++) {
        double x = OPAQUE(0.3 * i - 0.7);
        print("%016lx %016lx %016lx %08x\n", shown(sine(x)), shown(exponential(x)), shown(root(x + 1)),
              bits_of_float(single_series((float)x)));
    }
    double a[4][4] = {{4, 1, 2, 3}, {1, 5, 7, 2}, {0, 3, 9, 4}, {8, 6, 1, 7}}, r[4][4];
    invert(a, r);
    u64 hash = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            hash = hash * 31 + shown(r[i][j]);
    print("%016lx\n", hash);
    static const u64 odd[] = {0, 0x8000000000000000, 0x3ff0000000000000, 0xbff8000000000000, 1,
                              0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x7ff0000000000000,
                              0xfff0000000000000, 0x7ff8000000000000, 0x3cb0000000000000, 0x4340000000000001};
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
        u32 comparisons = 0;
        u64 values = 0;
        for (unsigned j = 0; j < sizeof odd / sizeof *odd; j++) {
            double x = OPAQUE(double_of(odd[i])), y = OPAQUE(double_of(odd[j]));
            comparisons = comparisons * 67 + (x < y) + 2 * (x <= y) + 4 * (x == y) + 8 * (x != y) + 16 * (x > y) +
                          32 * (x >= y) + 64 * __builtin_isunordered(x, y);
            values = values * 31 + shown(x + y);
            values = values * 31 + shown(x - y);
            values = values * 31 + shown(x * y);
            values = values * 31 + shown(x / y);
            values = values * 31 + shown(x < y ? x : y) + shown(-x) + shown(__builtin_fabs(y));
        }
        print("%08x %016lx\n", comparisons, values);
    }
}
