/* The programs only a Power processor can run. */
#include "program.h"

void multiple(void), strings(void), rounding(void), reservation(void), changing_code(void), vectors(void),
    conditions(void);

const struct program programs[] = {
    {"multiple", multiple}, {"strings", strings}, {"rounding", rounding},
    {"reservation", reservation}, {"changing_code", changing_code}, {"vectors", vectors},
    {"conditions", conditions}, {0, 0},
};
