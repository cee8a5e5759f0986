/* Formatted output.  Doubles are converted exactly, by long arithmetic, and rounded half to even. */
#include "program.h"

u64 bits_of(double x)
{
    u64 bits;
    memcpy(&bits, &x, 8);
    return bits;
}

double double_of(u64 bits)
{
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

u32 bits_of_float(float x)
{
    u32 bits;
    memcpy(&bits, &x, 4);
    return bits;
}

float float_of(u32 bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* Numbers of nine decimal digits a limb, the most significant first: whole limbs, then fraction limbs. */
#define LIMB 1000000000u
#define WHOLE 35
#define LIMBS (WHOLE + 121)
struct decimal {
    u32 limb[LIMBS];
    int first, last; /* limbs [first, last) may differ from zero */
};

static void twice(struct decimal *d)
{
    u32 carry = 0;
    for (int i = d->last - 1; i >= d->first; i--) {
        u32 v = d->limb[i] * 2 + carry;
        carry = v >= LIMB;
        d->limb[i] = v - (carry ? LIMB : 0);
    }
    if (carry)
        d->limb[--d->first] = 1;
}

static void halve(struct decimal *d)
{
    u32 rest = 0;
    for (int i = d->first; i < d->last; i++) {
        u32 v = d->limb[i] + rest * LIMB;
        rest = v & 1;
        d->limb[i] = v >> 1;
    }
    if (rest)
        d->limb[d->last++] = LIMB / 2;
    while (d->first < d->last && !d->limb[d->first])
        d->first++;
}

static int digit(const struct decimal *d, int position)
{
    /* Position 0 is the unit, 1 the tenths, -1 the tens. */
    int place = position + 9 * WHOLE - 1, limb = place / 9;
    if (place < 0 || limb < d->first || limb >= d->last)
        return 0;
    u32 v = d->limb[limb];
    for (int i = place % 9; i < 8; i++)
        v /= 10;
    return v % 10;
}

static int rounds_up(const struct decimal *d, int last)
{
    int next = digit(d, last + 1);
    if (next != 5)
        return next > 5;
    for (int p = last + 2; p < 9 * (d->last - WHOLE) + 1; p++)
        if (digit(d, p))
            return 1;
    return digit(d, last) & 1;
}

/* Write `x` with `precision` digits after the point; `form` is 'f' or 'e'. */
static char *put_double(char *out, double x, int precision, char form)
{
    static struct decimal d;
    static char digits[400];
    u64 bits = bits_of(x), mantissa = bits & 0xfffffffffffffUL;
    int exponent = bits >> 52 & 0x7ff;
    if (bits >> 63)
        *out++ = '-';
    if (exponent == 0x7ff) {
        const char *name = mantissa ? "nan" : "inf";
        while (*name)
            *out++ = *name++;
        return out;
    }
    if (exponent)
        mantissa |= 1UL << 52;
    else
        exponent = 1;
    memset(&d, 0, sizeof d);
    d.limb[WHOLE - 1] = mantissa % LIMB;
    d.limb[WHOLE - 2] = mantissa / LIMB;
    d.first = WHOLE - 2;
    d.last = WHOLE;
    for (; exponent > 1075; exponent--)
        twice(&d);
    for (; exponent < 1075; exponent++)
        halve(&d);
    int lead = 1 - 9 * (WHOLE - d.first);
    while (lead < 9 * (d.last - WHOLE) && !digit(&d, lead))
        lead++;
    if (!mantissa)
        lead = 0;
    int from = form == 'e' ? lead : lead > 0 ? 0 : lead;
    int to = form == 'e' ? lead + precision : precision;
    int up = rounds_up(&d, to), n = to - from + 1;
    for (int i = n - 1; i >= 0; i--) {
        int v = digit(&d, from + i) + up;
        up = v == 10;
        digits[i] = '0' + (up ? 0 : v);
    }
    int exponent10 = -lead;
    const char *p = digits;
    if (form == 'e') {
        if (up)
            exponent10++;
        *out++ = up ? '1' : *p++;
        n = precision;
    } else {
        if (up)
            *out++ = '1';
        for (; n > precision; n--)
            *out++ = *p++;
    }
    if (precision)
        *out++ = '.';
    for (; n > 0; n--)
        *out++ = up && form == 'e' ? '0' : *p++;
    if (form == 'e') {
        int e = exponent10 < 0 ? -exponent10 : exponent10;
        *out++ = 'e';
        *out++ = exponent10 < 0 ? '-' : '+';
        if (e >= 100)
            *out++ = '0' + e / 100;
        *out++ = '0' + e / 10 % 10;
        *out++ = '0' + e % 10;
    }
    return out;
}

static char *put_number(char *out, u64 value, unsigned base, int negative, int width, char fill)
{
    char digits[24];
    int n = 0;
    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base));
    if (negative && fill == '0')
        *out++ = '-';
    if (negative && fill == ' ')
        digits[n++] = '-';
    else
        width -= negative;
    for (; width > n; width--)
        *out++ = fill;
    while (n)
        *out++ = digits[--n];
    return out;
}

int format_text(char *out, const char *f, va_list arguments)
{
    char *start = out;
    for (; *f; f++) {
        if (*f != '%') {
            *out++ = *f;
            continue;
        }
        char fill = ' ';
        int width = 0, precision = 6, is_long = 0;
        if (*++f == '0')
            fill = '0';
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        if (*f == '.')
            for (precision = 0; *++f >= '0' && *f <= '9';)
                precision = precision * 10 + *f - '0';
        if (*f == 'l') {
            is_long = 1;
            f++;
        }
        switch (*f) {
        case 'c':
            *out++ = va_arg(arguments, int);
            break;
        case 's':
            for (const char *s = va_arg(arguments, const char *); *s;)
                *out++ = *s++;
            break;
        case 'd': {
            i64 v = is_long ? va_arg(arguments, i64) : va_arg(arguments, i32);
            out = put_number(out, v < 0 ? -(u64)v : (u64)v, 10, v < 0, width, fill);
            break;
        }
        case 'u':
        case 'x': {
            u64 v = is_long ? va_arg(arguments, u64) : va_arg(arguments, u32);
            out = put_number(out, v, *f == 'u' ? 10 : 16, 0, width, fill);
            break;
        }
        case 'f':
        case 'e':
            out = put_double(out, va_arg(arguments, double), precision, *f);
            break;
        case 'b':
            out = put_number(out, bits_of(va_arg(arguments, double)), 16, 0, 16, '0');
            break;
        default:
            *out++ = *f;
        }
    }
    *out = 0;
    return out - start;
}

void print(const char *format, ...)
{
    static char line[2048];
    va_list arguments;
    va_start(arguments, format);
    int n = format_text(line, format, arguments);
    va_end(arguments);
    write_bytes(line, n);
}
