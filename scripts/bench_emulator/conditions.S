/* The condition register as a calculator: compares into several fields, logic between their bits, moves. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    li 8, 0
    mfcr 12
.Lround:
    cmpd 0, 3, 8
    cmplwi 1, 3, 77
    cmpw 5, 8, 3
    crand 2, 0, 5
    cror 6, 2, 20
    crxor 10, 6, 1
    crnand 11, 10, 2
    creqv 15, 11, 6
    mcrf 3, 2
    mfcr 5
    mtcrf 0x3c, 5
    crandc 30, 11, 2
    crorc 31, 30, 10
    mfcr 7
    xor 8, 8, 7
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mtcrf 255, 12
    mr 3, 8
    blr
