/* Floating point in every rounding mode, conversions to integers that round, and quiet NaNs on their way. */
typedef unsigned long u64;
typedef long s64;

static __attribute__((noinline)) s64 rounded(double x)
{
    double image;
    s64 whole;
    __asm__("fctid %0, %1" : "=f"(image) : "f"(x));
    __builtin_memcpy(&whole, &image, 8);
    return whole;
}

u64 workload(u64 rounds)
{
    double x = 0.3, sum = 0, mode, nan;
    volatile double zero = 0;
    s64 total = 0;
    nan = zero / zero;
    while (rounds--) {
        __asm__ volatile("mffs %0" : "=f"(mode));
        __asm__ volatile("mtfsfi 7, 1" : "+f"(sum));
        sum += x / 3;
        __asm__ volatile("mtfsfi 7, 2" : "+f"(sum));
        sum -= x * 0.3;
        total += rounded(sum);
        __asm__ volatile("mtfsf 255, %1" : "+f"(sum) : "f"(mode));
        nan = nan * x + sum;
        total += rounded(x) + (nan != nan);
        x = x < 1e6 ? x + 1.37 : 0.3;
    }
    return total;
}
