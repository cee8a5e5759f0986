/* The programs any machine can run. */
#include "program.h"

void sorting(void), digests(void), formatting(void), text(void), wide(void), division(void), calls(void),
    jumps(void), recursion(void), floats(void), conversions(void);

const struct program programs[] = {
    {"sorting", sorting}, {"digests", digests}, {"formatting", formatting}, {"text", text},
    {"wide", wide}, {"division", division}, {"calls", calls}, {"jumps", jumps},
    {"recursion", recursion}, {"floats", floats}, {"conversions", conversions}, {0, 0},
};
