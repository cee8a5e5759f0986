/* Line editing: the kernel echoes, nobody else does.
 *
 * Backspace and delete take a character back, Ctrl-U the line, Ctrl-C abandons it; CR, LF or CR LF ends it. Escape
 * sequences (arrow keys) are recognised so that they can be ignored. Keys typed ahead are kept for the next line.
 */
#include "kernel.h"

enum {
    CTRL_C = 0x03,
    BELL = 0x07,
    BACKSPACE = 0x08,
    CTRL_U = 0x15,
    ESCAPE = 0x1b,
    DELETE = 0x7f,

    TYPED_AHEAD = 64,
};

static char typed[TYPED_AHEAD];
static size_t typed_next;
static size_t typed_end;
static char previous;

static char key(void)
{
    while (typed_next == typed_end) {
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
        console_write("\b \b", 3);
    }
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
            console_write("\n", 1);
            line[length] = '\0';
            return length;
        case CTRL_C:
            console_write("^C\n", 3);
            line[0] = '\0';
            return 0;
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
            byte = BELL;
        } else {
            line[length++] = byte;
        }
        console_write(&byte, 1);
    }
}
