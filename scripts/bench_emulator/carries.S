/* Arithmetic that leaves or takes a carry, an overflow, a comparison with zero; high halves of products. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    li 8, 0
    li 9, 1
    li 10, -1
    li 11, 0
.Lround:
    addc 8, 8, 9
    adde 10, 10, 8
    addze 11, 10
    subfc 9, 8, 3
    subfe 12, 9, 10
    addic. 11, 11, 5
    subfic 7, 12, 100
    addme 7, 7
    srawi 6, 7, 3
    sradi 5, 7, 7
    addeo. 8, 8, 6
    mulhwu 6, 8, 7
    mulhd 5, 8, 9
    add 8, 8, 5
    nego 7, 6
    addo. 9, 9, 7
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    blr
