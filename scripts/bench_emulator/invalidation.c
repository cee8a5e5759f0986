/* Translation on: a page is taken out of the TLB by tlbie, and sixteen pages are read, that one among them. */
typedef unsigned long u64;

#include "translation.h"

u64 workload(u64 rounds)
{
    u64 sum = 0;
    translation_on();
    volatile u64 *pages = (u64 *)(WINDOW + 0x1000000UL);
    while (rounds--) {
        u64 page = WINDOW + 0x1000000UL + (rounds & 15) * 4096;
        __asm__ volatile("ptesync\n\ttlbie %0\n\ttlbsync\n\tptesync" : : "r"(page) : "memory");
        for (int i = 0; i < 16; i++)
            sum += pages[i * 512];
        pages[3] = rounds;
    }
    translation_off();
    return sum;
}
