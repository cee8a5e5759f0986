/* A Linux process: qemu-ppc64's start, write and exit. */
    .section .opd,"aw"
    .globl _start
_start: .quad start, .TOC.@tocbase, 0
    .globl write_bytes
write_bytes: .quad .Lwrite, .TOC.@tocbase, 0
    .globl finish
finish: .quad .Lfinish, .TOC.@tocbase, 0

    .text
start:
    lis 2, .TOC.@ha
    addi 2, 2, .TOC.@l
    stdu 1, -128(1)
    bl run_programs
    nop
.Lfinish:
    li 3, 0
    li 0, 1
    sc
.Lwrite:
    mr 5, 4
    mr 4, 3
    li 3, 1
    li 0, 4
    sc
    blr
