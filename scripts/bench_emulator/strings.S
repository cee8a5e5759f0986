/* Load and store multiple and string instructions: blocks of memory moved through registers. */
    .section .opd, "aw"
    .globl workload
workload:
    .quad .Lwork, .TOC.@tocbase, 0
    .text
.Lwork:
    mflr 0
    std 0, 16(1)
    mr 9, 1
    stdu 1, -512(1)
    lis 4, 0x10
    lis 5, 0x11
    li 6, 0
    li 0, 71
    mtxer 0
.Lround:
    stmw 14, 128(1)
    addi 6, 6, 1
    stw 6, 64(4)
    lmw 20, 0(4)
    stmw 20, 0(5)
    lswi 14, 4, 23
    stswi 14, 5, 23
    lswx 14, 0, 4
    stswx 14, 0, 5
    lwz 7, 64(5)
    add 8, 8, 7
    lmw 14, 128(1)
    addi 3, 3, -1
    cmpdi 3, 0
    bne .Lround
    mr 3, 8
    mr 1, 9
    ld 0, 16(1)
    mtlr 0
    blr
