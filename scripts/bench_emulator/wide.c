/* Much code: 64 functions a kilobyte apart, called one after the other. */
typedef unsigned long u64;

#define EIGHT(make, n) make(n##0) make(n##1) make(n##2) make(n##3) make(n##4) make(n##5) make(n##6) make(n##7)
#define ALL(make) \
    EIGHT(make, 1) EIGHT(make, 2) EIGHT(make, 3) EIGHT(make, 4) \
    EIGHT(make, 5) EIGHT(make, 6) EIGHT(make, 7) EIGHT(make, 8)
#define DEFINE(n) \
    static __attribute__((noinline, aligned(1024))) u64 f##n(u64 a) { return (a + n) * 3 ^ a >> n % 13; }
#define CALL(n) sum = f##n(sum);

ALL(DEFINE)

u64 workload(u64 rounds)
{
    u64 sum = 1;
    while (rounds--) {
        ALL(CALL)
    }
    return sum;
}
