/* Quicksort through a comparison function, deep recursion with many registers saved. */
typedef unsigned long u64;

static u64 items[8192];

static __attribute__((noinline)) int by_value(const u64 *a, const u64 *b)
{
    return *a < *b ? -1 : *a > *b;
}

static __attribute__((noinline)) void sort(u64 *low, u64 *high, int (*compare)(const u64 *, const u64 *))
{
    while (low < high) {
        u64 pivot = low[(high - low) / 2], *i = low, *j = high;
        while (i <= j) {
            while (compare(i, &pivot) < 0)
                i++;
            while (compare(j, &pivot) > 0)
                j--;
            if (i <= j) {
                u64 t = *i;
                *i++ = *j;
                *j-- = t;
            }
        }
        sort(low, j, compare);
        low = i;
    }
}

static __attribute__((noinline)) u64 takeuchi(u64 x, u64 y, u64 z)
{
    return y < x ? takeuchi(takeuchi(x - 1, y, z), takeuchi(y - 1, z, x), takeuchi(z - 1, x, y)) : z;
}

u64 workload(u64 rounds)
{
    u64 seed = 1, sum = 0;
    while (rounds--) {
        for (u64 i = 0; i < 8192; i++) {
            seed = seed * 6364136223846793005UL + 1442695040888963407UL;
            items[i] = seed >> 20;
        }
        sort(items, items + 8191, by_value);
        sum += items[rounds & 8191] + takeuchi(12, 8, 4);
    }
    return sum;
}
