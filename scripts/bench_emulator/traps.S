/* Traps and illegal instructions: an interrupt's handler that passes over them, at 0x700. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    lis 4, handler@h
    ori 4, 4, handler@l
    li 5, 0x700
    li 6, 5
    mtctr 6
1:  lwz 6, 0(4)
    stw 6, 0(5)
    addi 4, 4, 4
    addi 5, 5, 4
    bdnz 1b
    li 5, 0x700
    dcbst 0, 5
    sync
    icbi 0, 5
    isync
    li 8, 0
.Lround:
    trap
    .long 0
    twgti 3, 100
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
handler:
    mfsrr0 7
    addi 7, 7, 4
    mtsrr0 7
    addi 8, 8, 1
    rfid
