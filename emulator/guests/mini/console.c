/* Channel 0: text to people and keys from them.
 *
 * The line never speaks unasked, so somebody has to ask: a thread polls, every 10 ms while there is input, less and
 * less often down to every 130 ms while there is none. A reader asks once itself, then sleeps until the poller has
 * seen input; only then does it send a read, which would otherwise stop the whole kernel until a key is pressed.
 */
#include "processor.h"

enum {
    SHORTEST_DELAY = TICKS_PER_SECOND / 100,
    LONGEST_DELAY = 13 * TICKS_PER_SECOND / 100,
    MESSAGE = 256,
};

static volatile bool input_available;

/* Interrupts are off until the answer is noted: a thread that read the input in between would leave us noting what
 * is no longer there. */
static bool poll(void)
{
    u64 msr = interrupts_off();
    if (wire_select() & 1u << CONSOLE_CHANNEL) {
        input_available = true;
    }
    bool available = input_available;
    interrupts_restore(msr);
    return available;
}

_Noreturn void console_poller(void)
{
    u64 delay = LONGEST_DELAY;
    for (;;) {
        thread_sleep(delay);
        if (poll()) {
            thread_wake_shell();
            delay = SHORTEST_DELAY;
        } else {
            delay = 2 * delay < LONGEST_DELAY ? 2 * delay : LONGEST_DELAY;
        }
    }
}

size_t console_read(char *bytes, size_t limit)
{
    /* Off from looking to falling asleep, or the poller could wake us before we sleep; and off until the input is
     * read, or the poller could see it a second time. */
    u64 msr = interrupts_off();
    if (!input_available) {
        poll();
    }
    while (!input_available) {
        thread_sleep(FOR_EVER);
    }
    input_available = false;
    size_t count = wire_read(CONSOLE_CHANNEL, bytes, limit);
    interrupts_restore(msr);
    return count;
}

/* Each LF becomes CR LF, here and nowhere else. Returns the length; `out` has room for twice `count`. */
static size_t with_carriage_returns(char *out, const char *text, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] == '\n') {
            out[length++] = '\r';
        }
        out[length++] = text[i];
    }
    return length;
}

void console_write(const char *text, size_t count)
{
    char out[2 * MESSAGE];
    while (count > 0) {
        size_t some = count < MESSAGE ? count : MESSAGE;
        wire_write(CONSOLE_CHANNEL, out, with_carriage_returns(out, text, some));
        text += some;
        count -= some;
    }
}

void console_print(const char *format, ...)
{
    char text[MESSAGE];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    console_write(text, format_text(text, sizeof text, format, arguments));
    __builtin_va_end(arguments);
}

/* The debugger's own voice; one of the functions it does not let itself be broken into. */
__attribute__((section(".precious"), aligned(64))) void err_printf(const char *format, ...)
{
    char text[MESSAGE];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    console_write(text, format_text(text, sizeof text, format, arguments));
    __builtin_va_end(arguments);
}

void emergency_print(const char *format, ...)
{
    char text[MESSAGE];
    char out[2 * MESSAGE];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    size_t count = format_text(text, sizeof text, format, arguments);
    __builtin_va_end(arguments);
    wire_emergency(out, with_carriage_returns(out, text, count));
}
