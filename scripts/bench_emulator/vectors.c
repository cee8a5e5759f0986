/* AltiVec: sums of bytes, a byte-wise selection, unaligned loads by permutation, fused multiply-adds. */
#include <altivec.h>

typedef unsigned long u64;
typedef vector unsigned char bytes;
typedef vector unsigned int words;
typedef vector float floats;

static unsigned char data[8192 + 32] __attribute__((aligned(16)));
static unsigned char result[8192] __attribute__((aligned(16)));
static float a[1024] __attribute__((aligned(16))), b[1024] __attribute__((aligned(16)));

u64 workload(u64 rounds)
{
    words sum = vec_splat_u32(0);
    for (u64 i = 0; i < sizeof data; i++)
        data[i] = i * 11 + (i >> 7);
    for (int i = 0; i < 1024; i++) {
        a[i] = i * 0.25f;
        b[i] = 3;
    }
    while (rounds--) {
        bytes shift = vec_lvsl(rounds & 15, data), limit = vec_splat_u8(15);
        bytes before = vec_ld(0, data);
        for (u64 i = 0; i < 8192; i += 16) {
            bytes after = vec_ld(i + 16, data);
            bytes v = vec_perm(before, after, shift);
            v = vec_sel(vec_adds(v, limit), vec_xor(v, limit), (bytes)vec_cmpgt(v, limit));
            sum = vec_sum4s(v, sum);
            vec_st(vec_mergeh(v, before), i, result);
            before = after;
        }
        floats factor = (floats){0.5f, 0.25f, 0.75f, 0.125f};
        for (u64 i = 0; i < sizeof a; i += 16) {
            floats v = vec_madd(vec_ld(i, a), factor, vec_ld(i, b));
            vec_st(vec_max(v, factor), i, b);
        }
    }
    unsigned int lanes[4] __attribute__((aligned(16)));
    vec_st(sum, 0, lanes);
    return lanes[0] ^ (u64)lanes[1] << 16 ^ lanes[2] ^ (u64)lanes[3] << 32 ^ result[100] ^ (u64)(long)b[77];
}
