/* The instructions C has no words for. */
#ifndef PROCESSOR_H
#define PROCESSOR_H

#include "kernel.h"

static inline u64 read_msr(void)
{
    u64 msr;
    __asm__ volatile("mfmsr %0" : "=r"(msr));
    return msr;
}

static inline void write_msr(u64 msr)
{
    __asm__ volatile("mtmsrd %0; isync" : : "r"(msr) : "memory");
}

/* The L=1 form of mtmsrd changes EE and RI only (PEM, mtmsrd). */
static inline u64 interrupts_off(void)
{
    u64 msr = read_msr();
    __asm__ volatile("mtmsrd %0, 1" : : "r"(msr & ~(u64)MSR_EE) : "memory");
    return msr;
}

static inline void interrupts_restore(u64 msr)
{
    __asm__ volatile("mtmsrd %0, 1" : : "r"(msr) : "memory");
}

static inline u64 read_timebase(void)
{
    u64 now;
    __asm__ volatile("mftb %0" : "=r"(now));
    return now;
}

static inline void set_decrementer(u32 count)
{
    __asm__ volatile("mtdec %0" : : "r"((u64)count));
}

/* A spin lock. With one processor it is held only across code with interrupts off, so it never spins, with one
 * exception that K42 shares: a trap taken while the lock is held, whose handler then wants the lock, waits for ever. */
static inline void lock_acquire(volatile u32 *lock)
{
    u32 seen;
    __asm__ volatile("1: lwarx %0, 0, %1\n"
                     "   cmpwi %0, 0\n"
                     "   bne- 1b\n"
                     "   stwcx. %2, 0, %1\n"
                     "   bne- 1b\n"
                     "   isync"
                     : "=&r"(seen)
                     : "r"(lock), "r"(1)
                     : "cr0", "memory");
}

static inline void lock_release(volatile u32 *lock)
{
    __asm__ volatile("lwsync" : : : "memory");
    *lock = 0;
}

#endif
