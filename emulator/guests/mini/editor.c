/* Line editing: the kernel echoes, nobody else does.
 *
 * Backspace and delete take a character back, Ctrl-U the line, Ctrl-C abandons it; CR, LF or CR LF ends it. Escape
 * sequences (arrow keys) are recognised so that they can be ignored. Keys typed ahead are kept for the next line.
 */
#include "kernel.h"

enum {
    CTRL_C = 0x03,
    BACKSPACE = 0x08,
    CTRL_U = 0x15,
    ESCAPE = 0x1b,
    DELETE = 0x7f,

    TYPED_AHEAD = 64,
};

#define BELL "\a"

static char typed[TYPED_AHEAD];
static size_t typed_next;
static size_t typed_end;
static char previous;

/* Echo goes out when the keys have run out, one write for all of them. */
static char echoed[3 * TYPED_AHEAD];
static size_t echoed_end;

static void flush_echo(void)
{
    console_write(echoed, echoed_end);
    echoed_end = 0;
}

static void echo(const char *text)
{
    for (; *text != '\0'; text++) {
        if (echoed_end == sizeof echoed) {
            flush_echo();
        }
        echoed[echoed_end++] = *text;
    }
}

static char key(void)
{
    while (typed_next == typed_end) {
        flush_echo();
        typed_next = 0;
        typed_end = console_read(typed, sizeof typed);
    }
    return typed[typed_next++];
}

static void skip_escape_sequence(void)
{
    char byte = key();
    if (byte == '[' || byte == 'O') {
        do {
            byte = key();
        } while (byte < 0x40);
    }
}

static void erase(size_t count)
{
    while (count-- > 0) {
        echo("\b \b");
    }
}

/* The caller is about to act on the line: what was echoed must be on the screen before. */
static size_t end_line(char *line, size_t length, const char *last_echo)
{
    line[length] = '\0';
    echo(last_echo);
    flush_echo();
    return length;
}

/* One line without its end, NUL-terminated; returns its length, which is less than `size`. */
size_t editor_line(char *line, size_t size)
{
    size_t length = 0;
    for (;;) {
        char byte = key();
        bool second_half_of_crlf = byte == '\n' && previous == '\r';
        previous = byte;
        switch (byte) {
        case '\n':
            if (second_half_of_crlf) {
                continue;
            }
            /* fall through */
        case '\r':
            return end_line(line, length, "\n");
        case CTRL_C:
            return end_line(line, 0, "^C\n");
        case CTRL_U:
            erase(length);
            length = 0;
            continue;
        case BACKSPACE:
        case DELETE:
            if (length > 0) {
                length--;
                erase(1);
            }
            continue;
        case ESCAPE:
            skip_escape_sequence();
            continue;
        default:
            break;
        }
        if ((u8)byte < ' ') {
            continue;
        }
        if (length + 1 == size) {
            echo(BELL);
        } else {
            line[length++] = byte;
            echo((const char[]){byte, '\0'});
        }
    }
}
