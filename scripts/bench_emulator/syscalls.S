/* System calls: an interrupt's handler that returns at once, at 0xc00. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    lis 4, handler@h
    ori 4, 4, handler@l
    li 5, 0xc00
    li 6, 4
    mtctr 6
1:  lwz 6, 0(4)
    stw 6, 0(5)
    addi 4, 4, 4
    addi 5, 5, 4
    bdnz 1b
    li 5, 0xc00
    dcbst 0, 5
    sync
    icbi 0, 5
    isync
    li 8, 0
.Lround:
    sc
    add 8, 8, 7
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
handler:
    mfsrr1 7
    xor 7, 7, 3
    clrldi 7, 7, 48
    rfid
