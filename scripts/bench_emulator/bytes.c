/* Bytes and halfwords: a string's length, a comparison, a histogram, a byte-wise copy, sums of halfwords. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long u64;

static u8 text[16384], copy[16384];
static u16 counts[256];

u64 workload(u64 rounds)
{
    u64 sum = 0, seed = 7;
    for (u64 i = 0; i < sizeof text; i++) {
        seed = seed * 1103515245 + 12345;
        text[i] = (seed >> 16) | 1;
    }
    text[sizeof text - 1] = 0;
    while (rounds--) {
        const u8 *end = text;
        while (*end)
            end++;
        for (u64 i = 0; i < sizeof text; i++)
            copy[i] = text[i];
        u64 same = 0;
        while (same < sizeof text && copy[same] == text[same])
            same++;
        for (u64 i = 0; i < sizeof text; i++)
            counts[copy[i]]++;
        const short *halves = (const short *)text;
        long total = 0;
        for (u64 i = 0; i < sizeof text / 2; i++)
            total += halves[i];
        sum += (end - text) + same + total + counts[rounds & 255];
    }
    return sum;
}
