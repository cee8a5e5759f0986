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
