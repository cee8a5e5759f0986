/* Leaving by a jump: registers saved and restored as setjmp and longjmp do, through many frames. */
#include "program.h"

static void *place[5];
static int depth_reached;

static NOINLINE int dive(int depth, int limit)
{
    volatile int local = depth * 3;
    if (depth == limit) {
        depth_reached = depth;
        __builtin_longjmp(place, 1);
    }
    return dive(depth + 1, limit) + local;
}

static NOINLINE int attempt(int limit)
{
    volatile int tries = limit * 100;
    if (__builtin_setjmp(place) == 0)
        return dive(0, limit);
    return tries + depth_reached;
}

static NOINLINE u64 labels(const u8 *code)
{
    static const void *const handlers[] = {&&stop, &&increment, &&twice, &&negate, &&again};
    u64 x = 3;
    int rounds = 0;
    const u8 *start = code;
next:
    goto *handlers[*code++];
increment:
    x++;
    goto next;
twice:
    x *= 2;
    goto next;
negate:
    x = -x;
    goto next;
again:
    if (++rounds < 5)
        code = start;
    goto next;
stop:
    return x;
}

void jumps(void)
{
    for (int limit = 0; limit < 20; limit += 3)
        print("%d ", attempt(limit));
    print("\n%ld\n", labels((const u8[]){1, 2, 2, 1, 3, 4, 1, 0}));
}
