/* Reservations and barriers: an atomic sum, a lock taken and given back, a line cleared. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    lis 4, 0x10
    addi 5, 4, 128
    addi 6, 4, 256
    li 8, 0
    std 8, 0(4)
    stw 8, 0(5)
.Lround:
1:  ldarx 7, 0, 4
    add 7, 7, 3
    stdcx. 7, 0, 4
    bne- 1b
1:  lwarx 7, 0, 5
    cmpwi 7, 0
    bne- 1b
    stwcx. 3, 0, 5
    bne- 1b
    isync
    dcbz 0, 6
    stw 3, 4(6)
    ld 7, 0(6)
    add 8, 8, 7
    lwsync
    li 7, 0
    stw 7, 0(5)
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    ld 3, 0(4)
    add 3, 3, 8
    blr
