/* What a kernel does between its other work: interrupts off and on, special-purpose registers, CR, XER. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    li 8, 0
    mfmsr 9
    ori 10, 9, 2                    /* MSR[RI]: a bit without effect */
.Lround:
    mtmsrd 10, 1
    mtsprg 0, 3
    mtsprg 1, 8
    mfcr 5
    mfxer 6
    add 8, 8, 5
    add 8, 8, 6
    mtcrf 0x80, 5
    clrldi 7, 3, 57
    mtxer 7
    mfsprg 7, 0
    add 8, 8, 7
    mtsrr0 8
    mfsrr0 7
    mtmsrd 9, 1
    mfmsr 5
    clrldi 5, 5, 48
    add 8, 8, 5
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
