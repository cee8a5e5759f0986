/* CRC-32, Adler-32, SHA-256, SipHash-like mixing, base64: rotates, carries, tables. */
#include "program.h"

static NOINLINE u32 crc32(u32 crc, const u8 *p, size_t n)
{
    static u32 table[256];
    if (!table[1])
        for (u32 i = 0; i < 256; i++) {
            u32 c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
            table[i] = c;
        }
    for (crc = ~crc; n--;)
        crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}

static NOINLINE u32 adler32(const u8 *p, size_t n)
{
    u32 a = 1, b = 0;
    while (n--) {
        a = (a + *p++) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* The constants are the fractions of the cube roots of the first 64 primes; computing them is a test. */
static u32 cube_root_fraction(u32 prime)
{
    /* The largest r with r^3 <= prime * 2^96. */
    u128 r = 0;
    for (int bit = 36; bit >= 0; bit--) {
        u128 t = r | (u128)1 << bit;
        /* t < 2^36: t^3 < 2^108, prime * 2^96 < 2^105 */
        if (t * t * t <= (u128)prime << 96)
            r = t;
    }
    return (u32)r;
}

static NOINLINE void sha256(const u8 *data, size_t length, u32 state[8])
{
    static u32 k[64];
    static const u32 initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (u32 n = 0, prime = 2; n < 64 && !k[63]; prime++) {
        u32 is_prime = 1;
        for (u32 d = 2; d * d <= prime; d++)
            if (prime % d == 0)
                is_prime = 0;
        if (is_prime)
            k[n++] = cube_root_fraction(prime);
    }
    for (int i = 0; i < 8; i++)
        state[i] = initial[i];
    size_t blocks = (length + 8) / 64 + 1;
    for (size_t block = 0; block < blocks; block++) {
        u32 w[64], v[8];
        for (int i = 0; i < 64; i++) {
            size_t at = block * 64 + i;
            u8 byte = at < length ? data[at] : at == length ? 0x80 : 0;
            if (block == blocks - 1 && i >= 56)
                byte = length * 8 >> 8 * (63 - i);
            w[i / 4] = w[i / 4] << 8 | byte;
        }
        for (int i = 16; i < 64; i++) {
            u32 a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (ROR(a, 7) ^ ROR(a, 18) ^ a >> 3) + (ROR(b, 17) ^ ROR(b, 19) ^ b >> 10);
        }
        memcpy(v, state, 32);
        for (int i = 0; i < 64; i++) {
            u32 e = v[4], a = v[0];
            u32 t = v[7] + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
            u32 s = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            for (int j = 7; j > 0; j--)
                v[j] = v[j - 1];
            v[4] += t;
            v[0] = t + s;
        }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

static NOINLINE u64 mix(const u8 *p, size_t n, u64 k)
{
    u64 a = k ^ 0x736f6d6570736575UL, b = ~k;
    for (; n--; p++) {
        a += b ^ *p;
        b = b << 13 | b >> 51;
        b ^= a;
        a = a << 32 | a >> 32;
    }
    return a ^ b;
}

static NOINLINE int base64(char *out, const u8 *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *start = out;
    for (; n; n -= n < 3 ? n : 3, p += 3) {
        u32 v = p[0] << 16 | (n > 1 ? p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *out++ = n > 2 ? digits[v & 63] : '=';
    }
    *out = 0;
    return out - start;
}

void digests(void)
{
    static u8 data[300];
    static char line[500];
    u64 seed = 7;
    u32 state[8];
    for (int i = 0; i < 300; i++)
        data[i] = next_random(&seed) >> 56;
    print("%08x %08x\n", crc32(0, (const u8 *)"123456789", 9), crc32(0, data, 300));
    print("%08x %08x\n", adler32((const u8 *)"Wikipedia", 9), adler32(data, 300));
    for (size_t n = 0; n <= 56; n += 56) {
        sha256(n ? data : (const u8 *)"abc", n ? n : 3, state);
        for (int i = 0; i < 8; i++)
            print("%08x", state[i]);
        print("\n");
    }
    print("%016lx %016lx\n", mix(data, 300, 1), mix(data, 7, 99));
    print("%d %s\n", base64(line, data, 61), line);
}
