/* A bare partition, entered at 0x100 in real mode: our lpar machine, and QEMU's pseries.

   Output goes through H_PUT_TERM_CHAR; the end is a 4 (ASCII's end of transmission) and a branch to itself.
   Every interrupt builds a struct frame (exceptions.c) on a stack of its own and calls `interrupted`, which
   may change the frame; the weak one here prints the vector and ends. */
#define STACK 0x200000
#define INTERRUPT_STACK 0x1f0000
#define FRAME (112 + 40 * 8)
#define GPR(n) (112 + 8 * (n))

    .section .start,"ax"
    .macro vector number
    .org \number
    mtsprg 1, 1
    mtsprg 2, 3
    lis 1, INTERRUPT_STACK@h
    ori 1, 1, INTERRUPT_STACK@l
    stdu 1, -FRAME(1)
    li 3, \number
    b save
    .endm

    .org 0x100
    b start
    .irp number, 0x200,0x300,0x380,0x400,0x480,0x500,0x600,0x700,0x800,0x900,0xa00,0xb00,0xc00,0xd00,0xe00,0xf00,0xf20,0x1300,0x1600,0x1700
    vector \number
    .endr

    .org 0x2000
start:
    lis 2, .TOC.@ha
    addi 2, 2, .TOC.@l
    lis 1, STACK@h
    stdu 1, -128(1)
    mfmsr 3
    ori 3, 3, 0x2000            /* MSR[FP] */
    oris 3, 3, MSR_VECTOR       /* MSR[VEC], where the processor has it */
    mtmsrd 3
    isync
    bl run_programs
    nop
.Lfinish:
    li 3, 0x58
    li 4, 0
    li 5, 1
    lis 6, 0x0400
    sldi 6, 6, 32
    sc 1
    b .

    /* write_bytes(r3 data, r4 length): 16 bytes a call, from two registers. */
.Lwrite:
    mr 9, 3
    mr 10, 4
1:  cmpdi 10, 0
    beqlr
    li 5, 16
    cmpldi 10, 16
    bge 2f
    mr 5, 10
2:  std 5, -8(1)
    ld 6, 0(9)                  /* may read behind the data: there is memory */
    ld 7, 8(9)
3:  li 3, 0x58
    li 4, 0
    std 6, -16(1)
    std 7, -24(1)
    std 9, -32(1)
    std 10, -40(1)
    sc 1
    ld 5, -8(1)
    ld 6, -16(1)
    ld 7, -24(1)
    ld 9, -32(1)
    ld 10, -40(1)
    cmpdi 3, 1                  /* H_BUSY */
    beq 3b
    add 9, 9, 5
    subf 10, 5, 10
    b 1b

save:
    std 3, GPR(38)(1)
    mfsprg 3, 2
    .irp n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    std \n, GPR(\n)(1)
    .endr
    mfsprg 3, 1
    std 3, GPR(1)(1)
    mfsrr0 3
    std 3, GPR(32)(1)
    mfsrr1 3
    std 3, GPR(33)(1)
    mflr 3
    std 3, GPR(34)(1)
    mfctr 3
    std 3, GPR(35)(1)
    mfxer 3
    std 3, GPR(36)(1)
    mfcr 3
    std 3, GPR(37)(1)
    lis 2, .TOC.@ha
    addi 2, 2, .TOC.@l
    addi 3, 1, GPR(0)
    bl interrupted
    nop
    ld 3, GPR(32)(1)
    mtsrr0 3
    ld 3, GPR(33)(1)
    mtsrr1 3
    ld 3, GPR(34)(1)
    mtlr 3
    ld 3, GPR(35)(1)
    mtctr 3
    ld 3, GPR(36)(1)
    mtxer 3
    ld 3, GPR(37)(1)
    mtcr 3
    .irp n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld \n, GPR(\n)(1)
    .endr
    ld 1, GPR(1)(1)
    rfid

    .section .opd,"aw"
    .globl write_bytes, finish
write_bytes: .quad .Lwrite, .TOC.@tocbase, 0
finish: .quad .Lfinish, .TOC.@tocbase, 0
