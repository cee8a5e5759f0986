/* Products of numbers of 2,048 bits: both halves of 64-bit products, and their carries. */
typedef unsigned long u64;

#define WORDS 32
static u64 a[WORDS], b[WORDS], product[2 * WORDS];

static __attribute__((noinline)) void multiply(void)
{
    for (int i = 0; i < 2 * WORDS; i++)
        product[i] = 0;
    for (int i = 0; i < WORDS; i++) {
        u64 carry = 0;
        for (int j = 0; j < WORDS; j++) {
            unsigned __int128 sum = (unsigned __int128)a[i] * b[j] + product[i + j] + carry;
            product[i + j] = (u64)sum;
            carry = sum >> 64;
        }
        product[i + WORDS] = carry;
    }
}

u64 workload(u64 rounds)
{
    u64 sum = 0;
    for (int i = 0; i < WORDS; i++) {
        a[i] = 0x123456789abcdefUL * (i + 3);
        b[i] = ~a[i] * 7;
    }
    while (rounds--) {
        multiply();
        sum ^= product[40];
        a[rounds & 31] = sum;
    }
    return sum;
}
