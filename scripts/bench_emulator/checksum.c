/* A table walked by bytes: each load's address depends on the last one's value. */
typedef unsigned int u32;
typedef unsigned long u64;

static u32 table[256];
static unsigned char data[1 << 15];

u64 workload(u64 rounds)
{
    u32 crc = ~0u, seed = 12345;
    for (u32 i = 0; i < 256; i++) {
        u32 c = i << 24;
        for (int bit = 0; bit < 8; bit++)
            c = c << 1 ^ (c & 1u << 31 ? 0x04c11db7u : 0);
        table[i] = c;
    }
    for (u32 i = 0; i < sizeof data; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = seed >> 24;
    }
    while (rounds--)
        for (u32 i = 0; i < sizeof data; i++)
            crc = crc << 8 ^ table[crc >> 24 ^ data[i]];
    return crc;
}
