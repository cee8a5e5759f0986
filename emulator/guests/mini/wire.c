/* Thinwire, the kernel's end: several channels over one line, strictly by request and reply.
 *
 * Every request is ours: a header of five bytes (type; length as three digits of six bits, high first; channel), each
 * digit and the channel offset by 0x20, then the payload. The other end never speaks unasked. An exchange holds the
 * lock, with interrupts off, until its reply is complete; if the other end holds its reply, the kernel stands still.
 *
 * Header and payload leave in two writes to the port. Replies are believed as far as they must be: channel and
 * length, not the type letter.
 */
#include "processor.h"

enum {
    HEADER = 5,
    OFFSET = 0x20,
    DIGIT_BITS = 6,
    DIGIT_MASK = 0x3f,
    SELECT_REPLY = 4,

    WRITE = '0',
    WRITE_UNACKNOWLEDGED = '#',
    READ = 'A',
    SELECT = '!',
    SET_SPEED = 'S',
    EXIT = '$',
    READ_REPLY = '0', /* plus the channel */
};

static volatile u32 wire_lock;

static u64 wire_acquire(void)
{
    u64 msr = interrupts_off();
    lock_acquire(&wire_lock);
    return msr;
}

static void wire_release(u64 msr)
{
    lock_release(&wire_lock);
    interrupts_restore(msr);
}

static void send_header(char type, size_t length, unsigned channel)
{
    u8 header[HEADER] = {
        type,
        OFFSET + (length >> 2 * DIGIT_BITS & DIGIT_MASK),
        OFFSET + (length >> DIGIT_BITS & DIGIT_MASK),
        OFFSET + (length & DIGIT_MASK),
        OFFSET + channel,
    };
    port_write(header, HEADER);
}

/* There is no way to find the next header in a stream that has slipped. */
static _Noreturn void slipped(const u8 *header)
{
    static const char text[] = "thinwire: the reply does not fit the request\r\n";
    (void)header; /* for the debugger */
    wire_emergency(text, sizeof text - 1);
    halt();
}

static size_t receive_header(u8 *header, unsigned channel)
{
    port_read(header, HEADER);
    if (header[4] != OFFSET + channel) {
        slipped(header);
    }
    return (size_t)(header[1] - OFFSET) << 2 * DIGIT_BITS | (size_t)(header[2] - OFFSET) << DIGIT_BITS |
           (size_t)(header[3] - OFFSET);
}

/* The other end repeats the whole request twice: once at the old speed, and when it has moved itself, at the new.
 * What it says is not looked at, how much of it there is, is. */
static void change_speed(u64 speed)
{
    enum { LONGEST_NUMBER = 6 };
    char digits[LONGEST_NUMBER + 1];
    u8 echo[HEADER + LONGEST_NUMBER];
    size_t count = print_text(digits, sizeof digits, "%lu", speed);

    send_header(SET_SPEED, count, 0);
    port_write(digits, count);
    port_read(echo, HEADER + count);
    port_set_speed(speed);
    port_read(echo, HEADER + count);
}

/* Say hello, unless a server that already knows us is still there. */
void wire_open(void)
{
    static const char hello[] = "Enable thinwire\n\r";
    static const char sentinel[] = "\0**thinwire**"; /* and the NUL that ends it */

    if (bootinfo_wire_is_up()) {
        return;
    }
    bootinfo_set_wire_up(true);
    port_write(hello, sizeof hello - 1);
    port_write(sentinel, sizeof sentinel);
    u64 speed = port_wanted_speed();
    if (speed != 0) {
        change_speed(speed);
    }
}

void wire_write(enum channel channel, const void *bytes, size_t count)
{
    u8 header[HEADER];
    u64 msr = wire_acquire();
    send_header(WRITE, count, channel);
    port_write(bytes, count);
    if (receive_header(header, channel) != count) {
        slipped(header);
    }
    wire_release(msr);
}

size_t wire_read(enum channel channel, void *bytes, size_t limit)
{
    u8 header[HEADER];
    u64 msr = wire_acquire();
    send_header(READ, limit, channel);
    size_t count = receive_header(header, channel);
    if (header[0] != READ_REPLY + channel || count > limit) {
        slipped(header);
    }
    port_read(bytes, count);
    wire_release(msr);
    return count;
}

/* Which of our eight channels have something to read: bit i for channel i. */
u32 wire_select(void)
{
    u8 header[HEADER];
    u32 readable;
    unsigned base = bootinfo_select_offset();
    u64 msr = wire_acquire();
    send_header(SELECT, 0, base);
    if (receive_header(header, base) != SELECT_REPLY) {
        slipped(header);
    }
    port_read(&readable, sizeof readable);
    wire_release(msr);
    return readable;
}

/* Output that waits for nobody: no reply, and no lock, because its holder may be what went wrong. */
void wire_emergency(const char *text, size_t count)
{
    u64 msr = interrupts_off();
    send_header(WRITE_UNACKNOWLEDGED, count, CONSOLE_CHANNEL);
    port_write(text, count);
    interrupts_restore(msr);
}

void wire_exit(void)
{
    u64 msr = wire_acquire();
    send_header(EXIT, 0, 0);
    bootinfo_set_wire_up(false);
    wire_release(msr);
}
