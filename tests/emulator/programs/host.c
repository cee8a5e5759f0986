/* The host's side of program.h. */
#include <stdlib.h>
#include <unistd.h>

#include "program.h"

void run_programs(void);

void write_bytes(const char *data, u64 length)
{
    while (length) {
        long done = write(1, data, length);
        if (done <= 0)
            exit(1);
        data += done;
        length -= done;
    }
}

void finish(void)
{
    exit(0);
}

int main(void)
{
    run_programs();
    return 0;
}
