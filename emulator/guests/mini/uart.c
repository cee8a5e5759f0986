/* The 16550 on hardware: polled, no interrupts, no FIFO.
 *
 * Manners, which the other end can count on: nothing happens until CTS is seen once, which is how the kernel waits
 * for the multiplexer to be there; DTR is up only while we write, RTS only while we are ready to read.
 */
#include "processor.h"

enum {
    DATA = 0,
    DIVISOR_LOW = 0,
    DIVISOR_HIGH = 1,
    LINE_CONTROL = 3,
    MODEM_CONTROL = 4,
    LINE_STATUS = 5,
    MODEM_STATUS = 6,

    DIVISOR_ACCESS = 0x80,
    EIGHT_BITS_NO_PARITY = 0x03,
    DTR = 0x01,
    RTS = 0x02,
    DATA_READY = 0x01,
    TRANSMITTER_EMPTY = 0x20,
    CTS = 0x10,

    HIGHEST_SPEED = 115200, /* the one of divisor 1 */
};

/* The boot program put the port's page into the page table here, but no segment for it into the SLB. */
#define IO_REGION 0xffff000000000000ul
#define SERIAL_SLB_SLOT 1

static volatile u8 *registers;
static u8 modem_control;

static void store(unsigned index, u8 value)
{
    registers[index] = value;
    __asm__ volatile("eieio" : : : "memory");
}

static u8 load(unsigned index)
{
    u8 value = registers[index];
    __asm__ volatile("eieio" : : : "memory");
    return value;
}

static void modem_control_set(u8 value)
{
    modem_control = value;
    store(MODEM_CONTROL, value);
}

void uart_set_speed(u32 speed)
{
    u32 divisor = HIGHEST_SPEED / speed;
    store(LINE_CONTROL, DIVISOR_ACCESS);
    store(DIVISOR_LOW, divisor & 0xff);
    store(DIVISOR_HIGH, divisor >> 8);
    store(LINE_CONTROL, EIGHT_BITS_NO_PARITY);
    modem_control_set(DTR);
}

void uart_open(u32 speed)
{
    u64 address = bootinfo_serial_address() | IO_REGION;
    registers = (volatile u8 *)address;
    segment_map(address, SERIAL_SLB_SLOT);

    modem_control_set(0);
    while (!(load(MODEM_STATUS) & CTS)) {
    }
    uart_set_speed(speed);
}

void uart_write(const u8 *bytes, size_t count)
{
    modem_control_set(modem_control | DTR);
    for (size_t i = 0; i < count; i++) {
        while (!(load(LINE_STATUS) & TRANSMITTER_EMPTY)) {
        }
        store(DATA, bytes[i]);
    }
    modem_control_set(modem_control & ~DTR);
}

void uart_read(u8 *bytes, size_t count)
{
    modem_control_set(modem_control | RTS);
    for (size_t i = 0; i < count; i++) {
        while (!(load(LINE_STATUS) & DATA_READY)) {
        }
        bytes[i] = load(DATA);
    }
    modem_control_set(modem_control & ~RTS);
}
