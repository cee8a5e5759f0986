# What scripts/bench_rsp.py steps: a loop that calls a leaf, in real mode, for ever.  Its stack lies in the
# program, as a kernel's first one does.
        .globl _start
_start: lis 1, stack@ha
        addi 1, 1, stack@l
        li 3, 0
loop:   addi 3, 3, 1
        .globl pass
pass:   std 3, 8(1)
        bl leaf
        ld 5, 8(1)
        add 6, 6, 4
        cmpd 5, 6
        bne loop
        b loop
leaf:   mulld 4, 3, 3
        rldicl 4, 4, 13, 7
        blr
        .skip 4096
stack:  .skip 256
