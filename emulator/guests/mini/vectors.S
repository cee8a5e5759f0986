/* The way into and out of every interrupt.
 *
 * One stub, copied to each vector (and to every multiple of 0x80 between them, so that nothing between the vectors
 * is ever executed as data). An interrupt arrives with translation off. The stub uses SPRG2 and SPRG3 for r1 and r3,
 * sets SRR0, SRR1, LR and its own address down in the block SPRG0 points to, and goes on at trap_entry with
 * translation on and external interrupts still off. trap_entry builds a frame and calls trap_dispatch(), which
 * returns the frame to resume: the same one, or another thread's.
 *
 * Which stack: the decrementer and external interrupts push their frame on the interrupted thread's stack, so that a
 * thread can be switched away from there. Everything else may well mean that r1 is worthless, and goes to the trap
 * stack; whoever is on the trap stack already (a fault inside the debugger) stays on it.
 *
 * Limits, which are K42's too: SRR0 and SRR1 are not part of the saved state, so a trap between mtsrr0 and rfid
 * spoils that rfid; and a reservation never survives a trap.
 */
#include "assembly.h"

FUNCTION(vector_stub)
        mtsprg  2, r1
        mtsprg  3, r3
        mfsprg  r1, 0
        mflr    r3
        std     r3, CPU_LR(r1)
        mfsrr0  r3
        std     r3, CPU_PC(r1)
        mfsrr1  r3
        std     r3, CPU_MSR(r1)
        bcl     20, 31, .+4             /* where are we? the address tells the vector */
        mflr    r3
        std     r3, CPU_SLOT(r1)
        ld      r3, CPU_TRAP_ENTRY(r1)
        mtsrr0  r3
        ld      r3, CPU_KERNEL_MSR(r1)
        mtsrr1  r3
        rfid
.L.vector_stub_end:
END_FUNCTION(vector_stub)
        .if     .L.vector_stub_end - .L.vector_stub > VECTOR_STRIDE
        .error  "the vector stub does not fit between two vectors"
        .endif

/* void install_vectors(void): copy the stub to every vector and make the copies visible to instruction fetch. */
FUNCTION(install_vectors)
        LOAD_IMMEDIATE(r4, V_MAPS_R)
        li      r5, VECTOR_FIRST
        add     r5, r4, r5
        li      r6, VECTOR_END
        add     r6, r4, r6
        LOAD_IMMEDIATE(r7, .L.vector_stub)
1:      li      r8, 0
2:      lwzx    r9, r7, r8
        stwx    r9, r5, r8
        addi    r8, r8, 4
        cmpldi  r8, .L.vector_stub_end - .L.vector_stub
        blt     2b
        dcbst   0, r5
        sync
        icbi    0, r5
        addi    r5, r5, VECTOR_STRIDE   /* also the size of a cache line of the 970 */
        cmpld   r5, r6
        blt     1b
        sync
        isync
        blr
END_FUNCTION(install_vectors)

/* struct frame at r4+STACK_HEADER <- what is still in registers, whoever filled in the rest. Falls into C and out
 * of it again: this is the trunk that trap_entry and thread_switch share. */
        .macro  each_gpr operation, base
        .irp    n, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        \operation r\n, \n*8(\base)
        .endr
        .endm

        .macro  each_fpr operation, base
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        \operation f\n, FRAME_FPR+\n*8(\base)
        .endr
        .endm

FUNCTION(trap_entry)
        mfsprg  r1, 1
        std     r4, CPU_R4(r1)
        mfcr    r3
        std     r3, CPU_CR(r1)
        ld      r3, CPU_SLOT(r1)
        clrrdi  r3, r3, 7
        mfsprg  r4, 2                   /* the interrupted stack pointer */
        cmpldi  r3, 0x500
        beq     1f
        cmpldi  r3, 0x900
        beq     1f
        ld      r3, CPU_TRAP_STACK_TOP(r1)
        subf    r3, r4, r3
        cmpldi  r3, TRAP_STACK_SIZE     /* unsigned: 0 to size means r4 is on the trap stack */
        ble     1f
        ld      r4, CPU_TRAP_STACK_TOP(r1)
1:      addi    r4, r4, -(RED_ZONE + FRAME_SIZE + STACK_HEADER)
        clrrdi  r4, r4, 4
        mfsprg  r3, 2
        std     r3, 0(r4)               /* back chain */
        std     r3, STACK_HEADER + FRAME_GPR + 1*8(r4)
        mfsprg  r3, 3
        std     r3, STACK_HEADER + FRAME_GPR + 3*8(r4)
        ld      r3, CPU_R4(r1)
        std     r3, STACK_HEADER + FRAME_GPR + 4*8(r4)
        ld      r3, CPU_PC(r1)
        std     r3, STACK_HEADER + FRAME_PC(r4)
        ld      r3, CPU_MSR(r1)
        std     r3, STACK_HEADER + FRAME_MSR(r4)
        ld      r3, CPU_CR(r1)
        std     r3, STACK_HEADER + FRAME_CR(r4)
        ld      r3, CPU_LR(r1)
        std     r3, STACK_HEADER + FRAME_LR(r4)
        ld      r3, CPU_SLOT(r1)
        clrrdi  r3, r3, 7
        std     r3, STACK_HEADER + FRAME_VECTOR(r4)
        addi    r3, r4, STACK_HEADER
        std     r2, FRAME_GPR + 2*8(r3)
        ld      r2, CPU_TOC(r1)
        b       .L.save_and_dispatch
END_FUNCTION(trap_entry)

/* void thread_switch(void): interrupts off. Gives up the processor as if an interrupt with vector VECTOR_SWITCH had
 * arrived at the caller's next instruction, so that a thread has one saved form however it lost the processor. */
FUNCTION(thread_switch)
        addi    r4, r1, -(RED_ZONE + FRAME_SIZE + STACK_HEADER)
        clrrdi  r4, r4, 4
        addi    r3, r4, STACK_HEADER
        std     r1, 0(r4)
        std     r1, FRAME_GPR + 1*8(r3)
        std     r2, FRAME_GPR + 2*8(r3)
        mflr    r5
        std     r5, FRAME_PC(r3)
        std     r5, FRAME_LR(r3)
        mfmsr   r5
        std     r5, FRAME_MSR(r3)
        mfcr    r5
        std     r5, FRAME_CR(r3)
        li      r5, VECTOR_SWITCH
        std     r5, FRAME_VECTOR(r3)

.L.save_and_dispatch:                   /* r3 frame, r4 new stack pointer, r2 our TOC */
        mr      r1, r4
        std     r0, FRAME_GPR + 0*8(r3)
        each_gpr std, r3
        mfctr   r4
        std     r4, FRAME_CTR(r3)
        mfxer   r4
        std     r4, FRAME_XER(r3)
        mfdsisr r4
        std     r4, FRAME_DSISR(r3)
        mfdar   r4
        std     r4, FRAME_DAR(r3)
        each_fpr stfd, r3
        mffs    f0
        stfd    f0, FRAME_FPSCR(r3)
        bl      trap_dispatch
        nop
        b       .L.frame_resume
END_FUNCTION(thread_switch)

/* void frame_resume(struct frame *): interrupts off; does not return. */
FUNCTION(frame_resume)
        addi    r4, r3, FRAME_VECTOR
        stdcx.  r4, 0, r4               /* a reservation never survives: whatever is left of it ends here */
        lfd     f0, FRAME_FPSCR(r3)
        mtfsf   0xff, f0
        each_fpr lfd, r3
        ld      r4, FRAME_CTR(r3)
        mtctr   r4
        ld      r4, FRAME_XER(r3)
        mtxer   r4
        ld      r4, FRAME_LR(r3)
        mtlr    r4
        ld      r4, FRAME_CR(r3)
        mtcr    r4
        each_gpr ld, r3
        ld      r0, FRAME_GPR + 0*8(r3)
        ld      r1, FRAME_GPR + 1*8(r3)
        ld      r2, FRAME_GPR + 2*8(r3)
        ld      r4, FRAME_PC(r3)
        mtsrr0  r4
        ld      r4, FRAME_MSR(r3)
        mtsrr1  r4
        ld      r4, FRAME_GPR + 4*8(r3)
        ld      r3, FRAME_GPR + 3*8(r3)
        rfid
END_FUNCTION(frame_resume)

/* A thread begins here, with its function's descriptor in r14. The function does not return. */
OUTERMOST_FUNCTION(thread_begin)
        ld      r4, 0(r14)
        ld      r2, 8(r14)
        mtctr   r4
        bctrl
        b       .
END_OUTERMOST_FUNCTION(thread_begin)

/* void breakpoint(void): into the debugger. K42 executes this word on hardware and a simulator's own breakpoint
 * (0x7C0007CE) on simulators, where its stub cannot be reached. A deliberate deviation: our stub is reachable on
 * both, so the word is the same on both. The stub moves pc past this word and no other. */
FUNCTION(breakpoint)
        trap                            /* tw 31,0,0 = 0x7fe00008 */
        blr
END_FUNCTION(breakpoint)

/* void idle_loop(void): waits for an interrupt, for ever, without leaving; the scheduler takes the processor away.
 * A simulator recognises a branch to itself as waiting. */
FUNCTION(idle_loop)
        b       .
END_FUNCTION(idle_loop)

/* void idle_loop_mambo(void): Mambo has a call for it (code 126), which may return at any time. */
FUNCTION(idle_loop_mambo)
        li      r3, 126
        .long   0x000EAEB0
        b       .L.idle_loop_mambo
END_FUNCTION(idle_loop_mambo)

        .data
        .balign 128
        .globl  cpu_block
        .type   cpu_block, @object
cpu_block:
        .quad   0, 0, 0, 0, 0, 0
        .quad   .L.trap_entry
        .quad   0                       /* kernel_msr: known once kernel_main has looked at the machine */
        .quad   trap_stack + TRAP_STACK_SIZE
        .quad   .TOC.@tocbase
        .size   cpu_block, . - cpu_block

        .bss
        .balign 128
        .globl  trap_stack
        .type   trap_stack, @object
trap_stack:
        .space  TRAP_STACK_SIZE
        .size   trap_stack, TRAP_STACK_SIZE
