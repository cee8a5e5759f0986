/* Memory and string functions, ours in place of libc's, at every alignment. */
#include "program.h"

void *memcpy(void *to, const void *from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    for (; n >= 8; n -= 8, t += 8, f += 8) {
        u64 v;
        __builtin_memcpy(&v, f, 8);
        __builtin_memcpy(t, &v, 8);
    }
    while (n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    if (t < f)
        for (size_t i = 0; i < n; i++)
            t[i] = f[i];
    else
        while (n--)
            t[n] = f[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    u8 *t = to;
    while (n--)
        *t++ = c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n--; x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

static NOINLINE size_t length_of(const char *s)
{
    /* A word at a time, from the first aligned address. */
    const char *p = s;
    for (; (u64)p & 7; p++)
        if (!*p)
            return p - s;
    for (const u64 *w = (const u64 *)p;; w++)
        if ((*w - 0x0101010101010101UL) & ~*w & 0x8080808080808080UL) {
            for (p = (const char *)w; *p; p++)
                ;
            return p - s;
        }
}

static NOINLINE const char *find(const char *where, const char *what)
{
    size_t n = length_of(what);
    for (; *where; where++)
        if (!memcmp(where, what, n))
            return where;
    return 0;
}

static NOINLINE long number(const char *s, int base, const char **end)
{
    int negative = *s == '-';
    long v = 0;
    for (s += negative;; s++) {
        int d = *s >= '0' && *s <= '9' ? *s - '0' : *s >= 'a' && *s <= 'z' ? *s - 'a' + 10 : 99;
        if (d >= base)
            break;
        v = v * base + d;
    }
    *end = s;
    return negative ? -v : v;
}

void text(void)
{
    static char buffer[128] __attribute__((aligned(16))), copy[128];
    for (int offset = 0; offset < 9; offset++) {
        for (int i = 0; i < 128; i++)
            buffer[i] = 'a' + i % 26;
        buffer[offset + 7 * offset + 3] = 0;
        memset(copy, '.', sizeof copy);
        memcpy(copy + offset, buffer + (offset * 3) % 8, 40);
        memmove(copy + 3, copy + offset, 50);
        memmove(copy + offset + 60, copy + 50, 20);
        u32 sum = 0;
        for (int i = 0; i < 128; i++)
            sum = sum * 31 + (u8)copy[i];
        print("%d %lu %08x %d\n", offset, length_of(buffer + offset), sum,
              memcmp(buffer, copy + offset, 20) < 0);
    }
    const char *hay = "she sells sea shells", *end;
    print("%ld %ld %d\n", find(hay, "sea") - hay, find(hay, "shells") - hay, find(hay, "ship") == 0);
    print("%ld %ld %ld\n", number("-12345x", 10, &end), number("7fffffffffffffff", 16, &end),
          number("zz", 36, &end));
}
