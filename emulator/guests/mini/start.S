/* Kernel entry.
 *
 * The boot program leaves: r1 a stack, r2 our TOC, r3 the virtual address of BootInfo, translation on, external
 * interrupts off; everything else is undefined. The floating-point registers, which the debugger shows, get a known
 * value here; r13 gets one that is plainly nobody's.
 */
#include "assembly.h"

OUTERMOST_FUNCTION(start)
        mfmsr   r4                      /* as found: only now does it tell a simulator from hardware */
        ori     r5, r4, MSR_FP
        mtmsrd  r5
        isync

        LOAD_IMMEDIATE(r5, zero_double)
        lfd     f0, 0(r5)
        mtfsf   0xff, f0
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        fmr     \n, f0
        .endr

        LOAD_IMMEDIATE(r13, 0xdeaddeaddeadbeef)
        li      r0, 0
        std     r0, 0(r1)               /* the end of every call chain */
        std     r0, 16(r1)
        mr      r14, r3
        mr      r15, r4

        LOAD_IMMEDIATE(r3, cpu_block)
        clrldi  r5, r3, 4               /* virtual to physical: drop the 0xC */
        mtsprg  0, r5
        mtsprg  1, r3

        mr      r3, r14
        mr      r4, r15
        bl      kernel_main
        nop
        b       .                       /* kernel_main does not return */
END_OUTERMOST_FUNCTION(start)

        .section ".rodata", "a"
        .balign 8
zero_double:
        .quad   0
