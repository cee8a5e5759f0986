/* Which way the bytes of the line go: a 16550 on hardware, calls on a simulator. */
#include "kernel.h"

void port_open(void)
{
    if (machine == HARDWARE) {
        uart_open();
    }
}

void port_write(const void *bytes, size_t count)
{
    if (machine == HARDWARE) {
        uart_write(bytes, count);
    } else {
        simulator_write(bytes, count);
    }
}

void port_read(void *bytes, size_t count)
{
    if (machine == HARDWARE) {
        uart_read(bytes, count);
    } else {
        simulator_read(bytes, count);
    }
}
