/* Interrupts in an image that expects none. */
#include "program.h"

void interrupted(u64 *frame)
{
    print("unexpected interrupt %lx srr0 %lx srr1 %lx\n", frame[38], frame[32], frame[33]);
    finish();
}
