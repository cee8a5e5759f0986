/* Translation on, by SLB and hashed page table, over more pages than a software TLB has entries.

   The walk goes over 4096 pages in an order without a pattern and touches eight places in each. */
typedef unsigned int u32;
typedef unsigned long u64;

#include "translation.h"

#define ARENA 0x1000000UL /* the pages that are walked: the second 16 MB */
#define WALKED 4096UL

static __attribute__((noinline)) u64 walk(u64 rounds)
{
    u64 sum = 0;
    while (rounds--)
        for (u64 i = 0, page = 0; i < WALKED; i++) {
            u64 *p = (u64 *)(WINDOW + ARENA + page * 4096);
            for (int j = 0; j < 8; j++)
                sum += p[j * 8] + page;
            p[3] = sum;
            page = (page * 5 + 1237) & (WALKED - 1);
        }
    return sum;
}

u64 workload(u64 rounds)
{
    translation_on();
    u64 sum = walk(rounds);
    translation_off();
    return sum;
}
