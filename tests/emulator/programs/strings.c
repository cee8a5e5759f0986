/* The string instructions: lswi, stswi, lswx, stswx with every count, wrapping from r31 to r0 or not. */
#include "program.h"

static NOINLINE void move_indexed(u8 *to, const u8 *from, u64 count)
{
    __asm__ volatile("mtxer %2\n\t"
                     "lswx 8, 0, %1\n\t"
                     "stswx 8, 0, %0"
                     :
                     : "b"(to), "b"(from), "r"(count)
                     : "memory", "xer", "r8", "r9", "r10", "r11", "r12", "r14", "r15", "r16", "r17", "r18", "r19",
                       "r20", "r21", "r22", "r23");
}

#define MOVE(n)                                                                                   \
    __asm__ volatile("lswi 8, %1, " #n "\n\tstswi 8, %0, " #n                                     \
                     :                                                                            \
                     : "b"(to + 1), "b"(from + 3)                                                 \
                     : "memory", "r8", "r9", "r10", "r11", "r12", "r14", "r15");                  \
    hash = hash * 31 + checksum(to);                                                              \
    to[n % 7] ^= n;

static NOINLINE u64 checksum(const u8 *p)
{
    u64 h = 0;
    for (int i = 0; i < 64; i++)
        h = h * 131 + p[i];
    return h;
}

void strings(void)
{
    static u8 from[64], to[64];
    u64 hash = 0, left;
    for (int i = 0; i < 64; i++)
        from[i] = i * 11 + 5;
    for (u64 count = 0; count <= 20; count++) {
        move_indexed(to + count % 5, from + count % 3, count);
        hash = hash * 31 + checksum(to);
        to[count] ^= 0x5a;
    }
    MOVE(1) MOVE(2) MOVE(3) MOVE(4) MOVE(5) MOVE(7) MOVE(8) MOVE(11) MOVE(16) MOVE(19)
    print("%016lx\n", hash);
    /* Registers that a load of few bytes fills up: zeros behind them, and only 32 bits. */
    __asm__ volatile("li 8, -1\n\tli 9, -1\n\tlswi 8, %1, 5\n\tsldi 9, 9, 3\n\txor %0, 8, 9"
                     : "=r"(left)
                     : "b"(from)
                     : "r8", "r9");
    print("%016lx\n", left);
}
