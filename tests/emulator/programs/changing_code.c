/* Code written, made visible with dcbst, sync, icbi, isync, and run; over and over in the same place. */
#include "program.h"

struct descriptor {
    void *code, *toc, *environment;
};

static void publish(void *p)
{
    __asm__ volatile("dcbst 0, %0\n\tsync\n\ticbi 0, %0\n\tisync" : : "r"(p) : "memory");
}

static NOINLINE i64 run(u32 *code, i64 x)
{
    struct descriptor d = {code, 0, 0};
    i64 (*function)(i64) = (i64(*)(i64))&d;
    __asm__ volatile("" : "+r"(function) : : "memory");
    return function(x);
}

void changing_code(void)
{
    static u32 code[64] __attribute__((aligned(128)));
    i64 x = 1;
    for (int i = 0; i < 40; i++) {
        code[0] = 0x38630000 | (i * 3 & 0xff);         /* addi r3, r3, n */
        code[1] = i & 1 ? 0x1c630003 : 0x7c6300d0;     /* mulli r3, r3, 3 or neg r3, r3 */
        code[2] = 0x4e800020;                          /* blr */
        publish(code);
        x = run(code, x);
    }
    print("%ld\n", x);
    /* A loop that changes an instruction of its own behind it, in the same page as itself. */
    u32 *p = code + 32;
    p[0] = 0x38000005; /* li r0, 5 */
    p[1] = 0x7c0903a6; /* mtctr r0 */
    p[2] = 0x38630001; /* addi r3, r3, 1: grows each time round */
    p[3] = 0x81440000; /* lwz r10, 0(r4) */
    p[4] = 0x394a0001; /* addi r10, r10, 1 */
    p[5] = 0x91440000; /* stw r10, 0(r4) */
    p[6] = 0x7c00206c; /* dcbst 0, r4 */
    p[7] = 0x7c0004ac; /* sync */
    p[8] = 0x7c0027ac; /* icbi 0, r4 */
    p[9] = 0x4c00012c; /* isync */
    p[10] = 0x4200ffe0; /* bdnz p + 2 */
    p[11] = 0x4e800020; /* blr */
    publish(p);
    struct descriptor d = {p, 0, 0};
    i64 (*function)(i64, u32 *) = (i64(*)(i64, u32 *))&d;
    __asm__ volatile("" : "+r"(function) : : "memory");
    print("%ld %08x\n", function(100, p + 2), p[2]);
}
