/* Who takes which interrupt. */
#include "kernel.h"

#define CHECK_FRAME(field, offset) \
    _Static_assert(offsetof(struct frame, field) == (offset), "frame.h: " #field)
CHECK_FRAME(gpr, FRAME_GPR);
CHECK_FRAME(fpr, FRAME_FPR);
CHECK_FRAME(pc, FRAME_PC);
CHECK_FRAME(msr, FRAME_MSR);
CHECK_FRAME(cr, FRAME_CR);
CHECK_FRAME(lr, FRAME_LR);
CHECK_FRAME(ctr, FRAME_CTR);
CHECK_FRAME(xer, FRAME_XER);
CHECK_FRAME(fpscr, FRAME_FPSCR);
CHECK_FRAME(vector, FRAME_VECTOR);
CHECK_FRAME(dsisr, FRAME_DSISR);
CHECK_FRAME(dar, FRAME_DAR);
_Static_assert(sizeof(struct frame) == FRAME_SIZE, "frame.h: FRAME_SIZE");
#define CHECK_CPU(field, offset) _Static_assert(offsetof(struct cpu, field) == (offset), "frame.h: " #field)
CHECK_CPU(r4, CPU_R4);
CHECK_CPU(lr, CPU_LR);
CHECK_CPU(pc, CPU_PC);
CHECK_CPU(msr, CPU_MSR);
CHECK_CPU(slot, CPU_SLOT);
CHECK_CPU(cr, CPU_CR);
CHECK_CPU(trap_entry, CPU_TRAP_ENTRY);
CHECK_CPU(kernel_msr, CPU_KERNEL_MSR);
CHECK_CPU(trap_stack_top, CPU_TRAP_STACK_TOP);
CHECK_CPU(toc, CPU_TOC);

/* The mapped memory that a stack can lie in: the boot stack, BootInfo, the kernel. */
#define STACKS_BEGIN 0xC000000001FE8000
#define STACKS_END 0xC000000005000000

static bool is_stack(u64 address)
{
    return address >= STACKS_BEGIN && address < STACKS_END && address % 16 == 0;
}

/* The return addresses on a stack, innermost first, as far as it makes sense: the first word of a frame points to
 * the caller's, and a return address lies two words into the frame of the function it returns to. A trap's frame
 * points to the stack it interrupted, so a chain goes on across it. */
void print_call_chain(u64 stack)
{
    enum { LONGEST = 32, SAVED_LR = 2 };
    emergency_print("call chain:\n");
    for (int i = 0; i < LONGEST && is_stack(stack); i++) {
        stack = *(const u64 *)stack;
        if (is_stack(stack)) {
            emergency_print("  0x%lx\n", ((const u64 *)stack)[SAVED_LR]);
        }
    }
}

/* A fault or trap inside the stub that the stub did not provoke on purpose. Nobody is left to report to: the
 * emergency form of output needs no answer and no lock, and after it there is nothing. */
static _Noreturn void trap_in_debugger(struct frame *frame)
{
    static bool dying; /* the way out may be what is broken */
    if (dying) {
        halt();
    }
    dying = true;
    emergency_print("Trap in Debugger at pc 0x%lx, lr 0x%lx, vector 0x%lx\n", frame->pc, frame->lr, frame->vector);
    print_call_chain(frame->gpr[1]);
    halt();
}

/* Called by vectors.S with interrupts off; returns the frame to resume. */
struct frame *trap_dispatch(struct frame *frame)
{
    switch (frame->vector) {
    case VECTOR_SWITCH:
        return thread_schedule(frame);
    case 0x900:
        return clock_interrupt(frame);
    case 0x500: /* nothing is wired to the external interrupt */
        return frame;
    case 0x380: /* no SLB entry: not an error yet, the page table decides when the access is tried again */
        segment_miss(frame->dar);
        return frame;
    case 0x480:
        segment_miss(frame->pc);
        return frame;
    default:
        break;
    }
    if (memory_fault_taken(frame)) {
        return frame;
    }
    if (gdb_is_active()) {
        trap_in_debugger(frame);
    }
    gdb_trap(frame);
    clock_after_trap();
    return frame;
}
