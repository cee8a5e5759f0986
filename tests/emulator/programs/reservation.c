/* lwarx/stwcx. and ldarx/stdcx. as the usual loops, and what takes a reservation away. */
#include "program.h"

static NOINLINE u32 add_atomically(u32 *p, u32 v)
{
    u32 old, new;
    __asm__ volatile("1: lwarx %0, 0, %2\n\tadd %1, %0, %3\n\tstwcx. %1, 0, %2\n\tbne- 1b"
                     : "=&r"(old), "=&r"(new)
                     : "r"(p), "r"(v)
                     : "memory", "cr0");
    return old;
}

static NOINLINE u64 swap_if(u64 *p, u64 wanted, u64 new)
{
    u64 old;
    __asm__ volatile("1: ldarx %0, 0, %1\n\tcmpd %0, %2\n\tbne- 2f\n\tstdcx. %3, 0, %1\n\tbne- 1b\n2:"
                     : "=&r"(old)
                     : "r"(p), "r"(wanted), "r"(new)
                     : "memory", "cr0");
    return old;
}

static NOINLINE u32 without_reservation(u32 *p)
{
    u32 cr;
    __asm__ volatile("lwarx %0, 0, %1\n\tstwcx. %0, 0, %2\n\tstwcx. %3, 0, %1\n\tmfcr %0"
                     : "=&r"(cr)
                     : "r"(p), "r"(p), "r"(99)
                     : "memory", "cr0");
    return cr >> 28;
}

void reservation(void)
{
    static u32 counter, lock;
    static u64 word = 5;
    for (u32 i = 0; i < 20; i++)
        add_atomically(&counter, i);
    print("%u %u\n", counter, add_atomically(&counter, -90u));
    u64 first = swap_if(&word, 5, 7), second = swap_if(&word, 5, 9);
    print("%lu %lu %lu\n", first, second, word);
    /* The second stwcx. has no reservation any more. */
    print("%x %u\n", without_reservation(&counter), counter);
    u32 taken = __sync_lock_test_and_set(&lock, 1), again = __sync_lock_test_and_set(&lock, 1);
    __sync_lock_release(&lock);
    print("%u %u %u %lu\n", taken, again, lock, __sync_fetch_and_or(&word, 0xf00));
    print("%lx %d\n", word, __sync_bool_compare_and_swap(&word, 0xf07, 1));
}
