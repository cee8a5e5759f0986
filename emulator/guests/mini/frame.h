/* The saved state of an interrupted context, shared between C and assembly.
 *
 * A frame lies on a stack, STACK_HEADER bytes above the stack pointer that the C code below it runs with; the first
 * word of that header is the back chain to the interrupted stack, so that call chains can be walked across a trap.
 */
#ifndef FRAME_H
#define FRAME_H

#define FRAME_GPR 0
#define FRAME_FPR 256
#define FRAME_PC 512
#define FRAME_MSR 520
#define FRAME_CR 528
#define FRAME_LR 536
#define FRAME_CTR 544
#define FRAME_XER 552
#define FRAME_FPSCR 560
#define FRAME_VECTOR 568
#define FRAME_DSISR 576
#define FRAME_DAR 584
#define FRAME_SIZE 592

/* ELFv1: 48 bytes of linkage and a 64-byte parameter save area at the bottom of every C frame; and 288 bytes below a
 * stack pointer that belong to the function running on it. */
#define STACK_HEADER 112
#define RED_ZONE 288

/* The block that SPRG0 (physical) and SPRG1 (virtual) point to: what the vector code must set down before it may
 * touch any stack, and what it needs to find its way. */
#define CPU_R4 0
#define CPU_LR 8
#define CPU_PC 16
#define CPU_MSR 24
#define CPU_SLOT 32
#define CPU_CR 40
#define CPU_TRAP_ENTRY 48
#define CPU_KERNEL_MSR 56
#define CPU_TRAP_STACK_TOP 64
#define CPU_TOC 72

#define TRAP_STACK_SIZE 0x4000

#define VECTOR_FIRST 0x100
#define VECTOR_END 0x3000 /* the boot program maps three low pages */
#define VECTOR_STRIDE 0x80

/* Vector number of a frame that thread_switch() made: no interrupt, a thread gave up the processor. */
#define VECTOR_SWITCH 0

#define MSR_SF 0x8000000000000000
#define MSR_ISF 0x2000000000000000
#define MSR_HV 0x1000000000000000
#define MSR_EE 0x8000
#define MSR_FP 0x2000
#define MSR_ME 0x1000
#define MSR_SE 0x400
#define MSR_IR 0x20
#define MSR_DR 0x10

/* How a simulator makes itself known, at kernel entry only. */
#define MSR_SIMULATOR 0x20000000
#define MSR_MAMBO 0x10000000

#define V_MAPS_R 0xC000000000000000

#ifndef __ASSEMBLER__

#include <stdint.h>

struct frame {
    uint64_t gpr[32];
    uint64_t fpr[32];
    uint64_t pc;
    uint64_t msr;
    uint64_t cr;
    uint64_t lr;
    uint64_t ctr;
    uint64_t xer;
    uint64_t fpscr;
    uint64_t vector;
    uint64_t dsisr;
    uint64_t dar;
};

struct cpu {
    uint64_t r4, lr, pc, msr, slot, cr;
    uint64_t trap_entry;
    uint64_t kernel_msr;
    uint64_t trap_stack_top;
    uint64_t toc;
};

#endif
#endif
