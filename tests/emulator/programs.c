/* Ordinary C for the engines: the answers are known to the test, which computes them in Python. */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

struct answers {
    u64 crc, sorted, sha[4], mean, root, series, single, converted, divided;
    char text[64];
};
#define ANSWERS ((volatile struct answers *)0x80000)

static u8 data[1000];
static int numbers[500];
static u32 state = 12345;

static u32 next(void)
{
    state = state * 1103515245u + 12345u;
    return state >> 8;
}

static u32 crc32(const u8 *p, u64 n)
{
    u32 c = ~0u;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
    }
    return ~c;
}

static void sort(int *low, int *high)
{
    if (low >= high)
        return;
    int pivot = *high, *store = low;
    for (int *p = low; p < high; p++)
        if (*p < pivot) {
            int t = *p;
            *p = *store;
            *store++ = t;
        }
    *high = *store;
    *store = pivot;
    sort(low, store - 1);
    sort(store + 1, high);
}

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* The constants are roots of primes, computed here the slow way: by integer bisection in u64. */
static u32 root_fraction(u32 prime, int cube)
{
    unsigned __int128 target = (unsigned __int128)prime << (cube ? 96 : 64);
    u64 root = 0;
    for (int bit = 36; bit >= 0; bit--) {
        u64 trial = root | 1ul << bit;
        unsigned __int128 power = (unsigned __int128)trial * trial;
        if (cube)
            power *= trial;
        if (power <= target)
            root = trial;
    }
    return (u32)root;
}

static void sha256(const u8 *p, u64 n, volatile u64 *out)
{
    u32 k[64], h[8], w[64];
    u8 block[64];
    int count = 0;
    for (u32 c = 2; count < 64; c++) {
        int prime = 1;
        for (u32 d = 2; d * d <= c; d++)
            if (c % d == 0)
                prime = 0;
        if (!prime)
            continue;
        if (count < 8)
            h[count] = root_fraction(c, 0);
        k[count++] = root_fraction(c, 1);
    }
    for (u64 at = 0, done = 0; !done; at += 64) {
        for (u64 i = 0; i < 64; i++)
            block[i] = at + i < n ? p[at + i] : at + i == n ? 0x80 : 0;
        if (at + 64 >= n + 9) {
            for (int i = 0; i < 8; i++)
                block[56 + i] = n * 8 >> (56 - 8 * i);
            done = 1;
        }
        for (int i = 0; i < 16; i++)
            w[i] = *(u32 *)(block + 4 * i);
        for (int i = 16; i < 64; i++) {
            u32 a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (ROR(a, 7) ^ ROR(a, 18) ^ a >> 3) + w[i - 7] + (ROR(b, 17) ^ ROR(b, 19) ^ b >> 10);
        }
        u32 v[8];
        for (int i = 0; i < 8; i++)
            v[i] = h[i];
        for (int i = 0; i < 64; i++) {
            u32 e = v[4], a = v[0];
            u32 t1 = v[7] + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
            u32 t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            for (int j = 7; j > 0; j--)
                v[j] = v[j - 1];
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 4; i++)
        out[i] = (u64)h[2 * i] << 32 | h[2 * i + 1];
}

static u64 image(double d)
{
    union { double d; u64 u; } x = { d };
    return x.u;
}

static char *decimal(char *to, long value)
{
    char digits[24];
    int n = 0;
    u64 rest = value < 0 ? -(u64)value : (u64)value;
    if (value < 0)
        *to++ = '-';
    do
        digits[n++] = '0' + rest % 10;
    while (rest /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

void run(void)
{
    volatile struct answers *a = ANSWERS;
    for (int i = 0; i < 1000; i++)
        data[i] = next();
    a->crc = crc32(data, sizeof data);
    for (int i = 0; i < 500; i++)
        numbers[i] = (int)next() - (1 << 23);
    sort(numbers, numbers + 499);
    u64 sum = 0;
    for (int i = 0; i < 500; i++)
        sum = sum * 31 + (long)numbers[i];
    a->sorted = sum;
    sha256(data, sizeof data, a->sha);

    double total = 0, x = 2;
    float single = 1;
    for (int i = 0; i < 500; i++)
        total += numbers[i] * 0.1;
    a->mean = image(total / 500);
    for (int i = 0; i < 8; i++)
        x = (x + 2 / x) * 0.5;
    a->root = image(x);
    double series = 0;
    for (int i = 1; i < 1000; i++)
        series += (i & 1 ? 1.0 : -1.0) / (2 * i - 1);
    a->series = image(series * 4);
    for (int i = 1; i < 100; i++)
        single = single * 1.1f - (float)i / 7;
    a->single = image(single);
    a->converted = (long)(series * 1e15) + (int)(x * -1e6);
    a->divided = 0x123456789ABCDEFul / (u64)(numbers[499] | 1) + (u64)(-1234567890123l % 1000003);

    char text[64], *end = decimal(text, -9223372036854775807l - 1);
    *end++ = ' ';
    end = decimal(end, 1234567890123456789l);
    *end = 0;
    for (int i = 0; i < 64; i++)
        a->text[i] = text[i];
}
