/* Registers only: multiplications, shifts, a branch that is hard to foresee. */
typedef unsigned long u64;

u64 workload(u64 rounds)
{
    u64 state = 88172645463325252UL, sum = 0, odd = 0;
    while (rounds--) {
        state = state * 2862933555777941757UL + 3037000493UL;
        u64 turned = state << 21 | state >> 43;
        sum += turned ^ state >> 11;
        if (turned & 4)
            odd ^= sum;
    }
    return sum + odd;
}
