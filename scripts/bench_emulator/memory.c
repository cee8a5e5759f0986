/* Loads and stores of several widths: copying, filling, a linked list, a sieve. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

struct link {
    struct link *next;
    u64 value;
};
static u64 from[4096], to[4096];
static struct link links[4096];
static u8 composite[60000];

u64 workload(u64 rounds)
{
    u64 sum = 0;
    for (u32 i = 0; i < 4096; i++) {
        from[i] = i * 0x9e3779b97f4a7c15UL;
        links[i].next = &links[(i * 1029 + 517) & 4095];
        links[i].value = i ^ 0x155;
    }
    while (rounds--) {
        for (u32 i = 0; i < 4096; i++)
            to[i] = from[i] + rounds;
        u32 *words = (u32 *)to;
        for (u32 i = 0; i < 8192; i += 2)
            words[i] = i;
        const struct link *at = links;
        for (u32 i = 0; i < 16384; i++) {
            sum += at->value;
            at = at->next;
        }
        for (u32 i = 0; i < sizeof composite; i++)
            composite[i] = 0;
        for (u32 i = 2; i * i < sizeof composite; i++)
            if (!composite[i])
                for (u32 j = i * i; j < sizeof composite; j += i)
                    composite[j] = 1;
        for (u32 i = 2; i < sizeof composite; i++)
            sum += !composite[i];
        sum = sum * 3 + to[rounds & 4095];
    }
    return sum;
}
