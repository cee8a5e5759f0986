/* The line on a simulator: two calls that move bytes between it and one physically contiguous buffer.
 *
 * A call is a reserved instruction word with the function code in r3 and arguments from r4. The word is SimOS's own;
 * Mambo understands it too. Addresses are physical, so data translation is off around it, and nothing between the
 * two changes of MSR may touch memory.
 */
#include "processor.h"

enum { CALL_EXIT = 31, CALL_READ = 61, CALL_WRITE = 62, CHUNK = 256 };

static u8 buffer[CHUNK] __attribute__((aligned(CHUNK)));

static int64_t simulator_call(u64 code, u64 first, u64 second)
{
    u64 msr = interrupts_off();
    u64 calling = (msr & ~(u64)MSR_EE) ^ MSR_DR;
    register u64 r3 __asm__("r3") = code;
    register u64 r4 __asm__("r4") = first;
    register u64 r5 __asm__("r5") = second;

    __asm__ volatile("mtmsrd %3; isync; .long 0x7C0007CC; mtmsrd %4; isync"
                     : "+r"(r3)
                     : "r"(r4), "r"(r5), "r"(calling), "r"(msr)
                     : "memory");
    return (int64_t)r3;
}

static u64 physical(const void *address)
{
    return (u64)address & ~V_MAPS_R;
}

void simulator_write(const u8 *bytes, size_t count)
{
    while (count > 0) {
        size_t some = count < CHUNK ? count : CHUNK;
        memcpy(buffer, bytes, some);
        if (simulator_call(CALL_WRITE, physical(buffer), some) < 0) {
            return;
        }
        bytes += some;
        count -= some;
    }
}

/* 0 means nothing yet. A negative result means the line is gone, and with it every reason to go on. */
void simulator_read(u8 *bytes, size_t count)
{
    while (count > 0) {
        size_t some = count < CHUNK ? count : CHUNK;
        int64_t got = simulator_call(CALL_READ, physical(buffer), some);
        if (got < 0) {
            halt();
        }
        memcpy(bytes, buffer, got);
        bytes += got;
        count -= got;
    }
}

void simulator_exit(void)
{
    simulator_call(CALL_EXIT, 0, 0);
}
