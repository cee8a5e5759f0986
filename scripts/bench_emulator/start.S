/* A flat image at real address 0, entered at 0x100 in real mode: a workload between two marks.

   0x08 stage: 1 before the workload, 2 after it       0x10 how much work (the script writes it)
   0x18 result                                         0x180 the workload begins, 0x1c0 all is over */
    .section .start, "ax"
    .org 0x08
    .quad 0
    .quad 1
    .quad 0
    .org 0x100
    lis 2, .TOC.@ha
    addi 2, 2, .TOC.@l
    lis 1, 0x3f
    mfmsr 3
    ori 3, 3, 0x2000                /* MSR[FP] */
    oris 3, 3, 0x200                /* MSR[VMX] */
    mtmsrd 3
    isync
    li 4, 0
    li 5, 1
    std 5, 8(4)
    b begin
    .org 0x180
begin:
    ld 3, 0x10(4)
    bl workload
    nop
    li 4, 0
    std 3, 0x18(4)
    sync
    li 5, 2
    std 5, 8(4)
    b end
    .org 0x1c0
end:
    b .
