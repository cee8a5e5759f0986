/* Code that changes itself: an instruction is rewritten, made known with icbi and isync, and run, 64 times
   between one change and the next. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    lis 4, place@h
    ori 4, 4, place@l
    li 8, 0
.Lround:
    clrldi 6, 3, 52
    oris 6, 6, 0x3908               /* addi 8, 8, R6 */
    stw 6, 0(4)
    dcbst 0, 4
    sync
    icbi 0, 4
    isync
    li 7, 64
    mtctr 7
    b place
    .balign 128
place:
    nop
    xori 8, 8, 0x55
    bdnz place
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
