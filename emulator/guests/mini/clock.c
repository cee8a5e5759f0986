/* The decrementer: a hundred ticks a second, each a chance for another thread. */
#include "processor.h"

volatile u64 ticks;

static u32 ticks_interval;
static bool swallow_next;

void clock_start(void)
{
    ticks_interval = bootinfo_timebase_frequency() / TICKS_PER_SECOND;
    set_decrementer(ticks_interval);
}

struct frame *clock_interrupt(struct frame *frame)
{
    if (swallow_next) {
        swallow_next = false;
        set_decrementer(0x100000);
        return frame;
    }
    set_decrementer(ticks_interval);
    ticks++;
    return thread_schedule(frame);
}

/* After a stop in the debugger the interrupt that has piled up is taken at once and counts for nothing, so that
 * single steps are not spent in the clock's code. K42 does the same, with the same numbers. */
void clock_after_trap(void)
{
    swallow_next = true;
    set_decrementer(1);
}
