/* Calls and returns: a recursion that does little else. */
typedef unsigned long u64;

static __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) u64 count(u64 n)
{
    return n < 2 ? 1 : count(n - 1) + count(n - 2);
}

u64 workload(u64 n)
{
    return count(n);
}
