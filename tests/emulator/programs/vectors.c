/* AltiVec kernels, by intrinsics: dot products, byte shuffles, saturation, comparisons, floats. */
#include <altivec.h>

#include "program.h"

typedef vector unsigned char vu8;
typedef vector unsigned int vu32;
typedef vector signed int vi32;
typedef vector signed short vi16;
typedef vector float vf32;

static void show(const char *name, const void *v)
{
    const u32 *w = v;
    print("%s %08x %08x %08x %08x\n", name, w[0], w[1], w[2], w[3]);
}

static NOINLINE float dot(const float *a, const float *b, int n)
{
    vf32 sum = (vf32){0, 0, 0, 0};
    for (int i = 0; i < n; i += 4)
        sum = vec_madd(vec_ld(4 * i, a), vec_ld(4 * i, b), sum);
    sum = vec_add(sum, vec_sld(sum, sum, 8));
    sum = vec_add(sum, vec_sld(sum, sum, 4));
    float r[4] __attribute__((aligned(16)));
    vec_st(sum, 0, r);
    return r[0];
}

static NOINLINE u32 unaligned_sum(const u8 *p, int n)
{
    vu32 sum = (vu32){0, 0, 0, 0};
    vu8 shuffle = vec_lvsl(0, p), first = vec_ld(0, p);
    for (int i = 0; i < n; i += 16) {
        vu8 second = vec_ld(i + 16, p);
        sum = vec_sum4s(vec_perm(first, second, shuffle), sum);
        first = second;
    }
    vi32 total = vec_sums((vi32)sum, (vi32){0, 0, 0, 0});
    u32 r[4] __attribute__((aligned(16)));
    vec_st((vu32)total, 0, r);
    return r[3];
}

void vectors(void)
{
    static float a[32] __attribute__((aligned(16))), b[32] __attribute__((aligned(16)));
    static u8 bytes[96] __attribute__((aligned(16)));
    static u32 out[4] __attribute__((aligned(16)));
    for (int i = 0; i < 32; i++) {
        a[i] = i * 0.5f - 3;
        b[i] = 10.0f / (i + 1);
    }
    for (int i = 0; i < 96; i++)
        bytes[i] = i * 29 + 3;
    print("%08x\n", bits_of_float(dot(a, b, 32)));
    for (int i = 0; i < 5; i++)
        print("%u ", unaligned_sum(bytes + i * 3, 48));
    print("\n");
    vu8 x = vec_ld(0, bytes), y = vec_ld(16, bytes);
    vi16 h = vec_ld(32, (const i16 *)bytes), k = vec_ld(48, (const i16 *)bytes);
#define SHOW(expression)                        \
    do {                                        \
        __typeof__(expression) v_ = expression; \
        memcpy(out, &v_, 16);                   \
        show(#expression, out);                 \
    } while (0)
    SHOW(vec_adds(x, y));
    SHOW(vec_subs(x, y));
    SHOW(vec_avg(x, y));
    SHOW(vec_max(h, k));
    SHOW(vec_madds(h, k, h));
    SHOW(vec_mladd(h, k, k));
    SHOW(vec_packs(h, k));
    SHOW(vec_packsu(h, k));
    SHOW(vec_unpackh(h));
    SHOW(vec_mergeh(x, y));
    SHOW(vec_mule(h, k));
    SHOW(vec_msum(h, k, (vi32)x));
    SHOW(vec_rl((vu32)x, (vu32)y));
    SHOW(vec_sra((vi32)x, (vu32)y));
    SHOW(vec_sel(x, y, (vu8)h));
    SHOW(vec_cmpgt(h, k));
    SHOW(vec_splat_s32(-7));
    SHOW(vec_splat(h, 3));
    SHOW(vec_ctf((vi32)x, 5));
    SHOW(vec_cts(vec_ld(16, a), 3));
    SHOW(vec_floor(vec_ld(0, a)));
    SHOW(vec_cmpge(vec_ld(16, a), vec_ld(32, b)));
    SHOW(vec_slo(x, y));
    SHOW(vec_srl(x, vec_splat_u8(3)));
    print("%d %d %d\n", vec_any_gt(h, k), vec_all_eq(x, x), vec_all_gt(x, y));
    u32 sum = 0;
    for (int i = 0; i < 96; i++)
        bytes[i] = bytes[i] > 100 ? bytes[i] - 100 : bytes[i] * 2;
    for (int i = 0; i < 96; i++)
        sum = sum * 31 + bytes[i];
    print("%08x\n", sum);
}
