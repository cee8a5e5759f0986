/* Which way the bytes of the line go: a 16550, calls to a hypervisor, or calls to a simulator. */
#include "kernel.h"

enum { USUAL_SPEED = 115200, FIRST_SPEED = 9600 };

/* K42 opens a 16550 at 9600 and moves to 115200 with the help of the multiplexer. Here the speeds are equal, and
 * nothing is said about them, unless the parameter MINI_LINE_SPEED asks for such a move and names its end. */
void port_open(void)
{
    if (machine == HARDWARE) {
        uart_open(port_wanted_speed() != 0 ? FIRST_SPEED : USUAL_SPEED);
    }
}

/* 0 if there is none, or none that a 16550 can do. */
u64 port_wanted_speed(void)
{
    u64 speed;
    const char *text = machine == HARDWARE ? boot_parameter("MINI_LINE_SPEED") : NULL;
    return text != NULL && parse_number(text, &speed) && speed > 0 && USUAL_SPEED % speed == 0 ? speed : 0;
}

void port_set_speed(u64 speed)
{
    uart_set_speed(speed);
}

void port_write(const void *bytes, size_t count)
{
    switch (machine) {
    case HARDWARE:
        uart_write(bytes, count);
        break;
    case PARTITION:
        hypervisor_write(bytes, count);
        break;
    case SIMOS:
    case MAMBO:
        simulator_write(bytes, count);
        break;
    }
}

void port_read(void *bytes, size_t count)
{
    switch (machine) {
    case HARDWARE:
        uart_read(bytes, count);
        break;
    case PARTITION:
        hypervisor_read(bytes, count);
        break;
    case SIMOS:
    case MAMBO:
        simulator_read(bytes, count);
        break;
    }
}
