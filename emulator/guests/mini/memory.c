/* Memory that may not be there: byte-wise access that survives a fault, and the segments of the address space.
 *
 * An access arms `fault_expected` for one instruction; the trap handler, finding it armed, notes the fault, steps
 * over that instruction and resumes. Interrupts are off meanwhile, so the fault can only be ours.
 */
#include "processor.h"

static volatile bool fault_expected;
static volatile bool fault_seen;

/* True if the trap is one that an access below provoked; it has been dealt with then. Only storage can refuse an
 * access: a breakpoint or a trace trap on the armed instruction is the debugger's. */
bool memory_fault_taken(struct frame *frame)
{
    enum { MACHINE_CHECK = 0x200, DATA_STORAGE = 0x300, ALIGNMENT = 0x600 };
    u64 vector = frame->vector;
    if (!fault_expected || (vector != MACHINE_CHECK && vector != DATA_STORAGE && vector != ALIGNMENT)) {
        return false;
    }
    fault_seen = true;
    frame->pc += 4;
    return true;
}

static u64 expect_fault(void)
{
    u64 msr = interrupts_off();
    fault_seen = false;
    fault_expected = true;
    return msr;
}

static bool access_succeeded(u64 msr)
{
    fault_expected = false;
    bool succeeded = !fault_seen;
    interrupts_restore(msr);
    return succeeded;
}

bool memory_read(u64 address, u8 *byte)
{
    u32 value = 0;
    u64 msr = expect_fault();
    __asm__ volatile("lbz %0, 0(%1)" : "+r"(value) : "b"(address) : "memory");
    *byte = value;
    return access_succeeded(msr);
}

/* The byte may be an instruction's: it is made visible to fetch as well. */
bool memory_write(u64 address, u8 byte)
{
    u64 msr = expect_fault();
    __asm__ volatile("stb %0, 0(%1)" : : "r"((u32)byte), "b"(address) : "memory");
    if (!fault_seen) {
        __asm__ volatile("dcbst 0, %0; sync; icbi 0, %0; isync" : : "r"(address) : "memory");
    }
    return access_succeeded(msr);
}

enum {
    SEGMENT_SHIFT = 28,
    SLB_SLOTS = 64,
    SLB_FIRST_FREE = 2, /* 0 is the kernel's, bolted by the boot program; 1 is the serial port's */
};
#define SLB_VALID 0x8000000ul
#define SLB_KP 0x400ul
#define VSID_PREFIX 0x1000000000ul /* 0x0001 in front of the 36 bits of the segment number */

/* Kernel segments have a virtual segment number that follows from the address, as the boot program's entry has. */
void segment_map(u64 address, unsigned slot)
{
    u64 segment = address >> SEGMENT_SHIFT;
    u64 rs = (segment | VSID_PREFIX) << 12 | SLB_KP;
    u64 rb = segment << SEGMENT_SHIFT | SLB_VALID | slot;
    __asm__ volatile("isync; slbmte %0, %1; isync" : : "r"(rs), "r"(rb) : "memory");
}

/* Every segment can be had; an address without a page then faults in the page table, as data or instruction
 * storage. So a wild pointer reaches the debugger as 0x300 or 0x400, which is what K42 makes of it. */
void segment_miss(u64 address)
{
    static unsigned next = SLB_FIRST_FREE;
    segment_map(address, next);
    next = next + 1 < SLB_SLOTS ? next + 1 : SLB_FIRST_FREE;
}
