/* Loads and stores of every size across the end of a page. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    lis 4, 0x10
    li 8, 0
    li 9, 4091
    li 10, 4093
.Lround:
    ldx 5, 4, 9
    addi 5, 5, 1
    stdx 5, 4, 10
    lwz 6, 4094(4)
    stw 5, 4093(4)
    lhz 7, 4095(4)
    sth 6, 4095(4)
    add 8, 8, 7
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
