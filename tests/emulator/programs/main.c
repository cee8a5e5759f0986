/* Runs every program of the image, each after a line with its name. */
#include "program.h"

void run_programs(void)
{
    for (const struct program *p = programs; p->name; p++) {
        print("== %s\n", p->name);
        p->run();
    }
    print("== end\n");
    finish();
}
