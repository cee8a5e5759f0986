/* Packets of GDB's remote protocol, as K42's stub reads and writes them.
 *
 * One read of the channel is one packet, whole and alone, or it is nothing and gets a '-': no pieces, no two at a
 * time, no binary escapes, no run lengths. A reply is repeated for whatever comes instead of its '+'.
 */
#include "gdb_packet.h"

enum {
    BUFFER = 2048,
    LARGEST_READ = BUFFER - 2,
    SHORTEST_PACKET = 4, /* $#cc */
    SEQUENCE_PACKET = 7, /* $NN:#cc */
    SHOWN_TEXT = 40,
};

static char input[BUFFER];
static char output[BUFFER];
char *const reply_text = output + 1; /* behind the '$' */
bool packet_show_traffic;

/* A strcpy of the stub's own, so that the kernel's may hold a breakpoint. */
__attribute__((section(".precious"), aligned(64))) void stub_strcpy(char *to, const char *from)
{
    while ((*to++ = *from++) != '\0') {
    }
}

static int from_hex(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

static char to_hex(unsigned nibble)
{
    return "0123456789abcdef"[nibble & 15];
}

/* A number of any length from *text, which is left behind it; false if there is no digit. */
bool take_number(const char **text, u64 *value)
{
    const char *start = *text;
    *value = 0;
    while (from_hex(**text) >= 0) {
        *value = *value << 4 | (u64)from_hex(*(*text)++);
    }
    return *text != start;
}

bool take_letter(const char **text, char letter)
{
    return *(*text)++ == letter;
}

/* Not validated: what is no digit becomes some byte all the same. */
u8 take_byte(const char **text)
{
    int high = from_hex(*(*text)++);
    int low = from_hex(*(*text)++);
    return (u8)((high << 4) + low);
}

char *put_byte(char *out, u8 byte)
{
    *out++ = to_hex(byte >> 4);
    *out++ = to_hex(byte);
    return out;
}

static u8 checksum(const char *text, size_t count)
{
    u8 sum = 0;
    while (count-- > 0) {
        sum += *text++;
    }
    return sum;
}

static void show_packet(const char *direction, const char *text)
{
    char cut[SHOWN_TEXT + 1];
    size_t length = strlen(text);
    size_t shown = length < SHOWN_TEXT ? length : SHOWN_TEXT;
    memcpy(cut, text, shown);
    cut[shown] = '\0';
    err_printf("gdb %s %s\n", direction, cut);
}

/* One read of the channel; an empty one means that the other end had nothing, so wait a little and ask again. */
static size_t channel_read(char *bytes, size_t limit)
{
    enum { SHORT_WAIT = 10000 };
    for (;;) {
        size_t count = wire_read(GDB_CHANNEL, bytes, limit);
        if (count > 0) {
            return count;
        }
        for (volatile int i = 0; i < SHORT_WAIT; i++) {
        }
    }
}

/* The command of the next good packet, NUL-terminated in the input buffer, already acknowledged. */
const char *packet_receive(void)
{
    for (;;) {
        size_t count = channel_read(input, LARGEST_READ);
        const char *end = input + count - 3;
        const char *digits = end + 1;
        if (count >= SHORTEST_PACKET && input[0] == '$' && *end == '#' &&
            take_byte(&digits) == checksum(input + 1, count - SHORTEST_PACKET)) {
            wire_write(GDB_CHANNEL, "+", 1);
            input[count - 3] = '\0';
            const char *command = input + 1;
            if (count >= SEQUENCE_PACKET && input[3] == ':') {
                wire_write(GDB_CHANNEL, input + 1, 2); /* the sequence id is part of the acknowledgement */
                command = input + 4;
            }
            if (packet_show_traffic) {
                show_packet("command", command);
            }
            return command;
        }
        wire_write(GDB_CHANNEL, "-", 1);
    }
}

/* Frames what stands in reply_text, and repeats it until it is acknowledged. */
void reply_send(void)
{
    size_t length = strlen(reply_text);
    char acknowledgement;

    if (packet_show_traffic) {
        show_packet("reply", reply_text);
    }
    output[0] = '$';
    char *end = reply_text + length;
    *end = '#';
    put_byte(end + 1, checksum(reply_text, length));
    do {
        wire_write(GDB_CHANNEL, output, length + SHORTEST_PACKET);
        channel_read(&acknowledgement, 1);
    } while (acknowledgement != '+');
}

void reply(const char *text)
{
    stub_strcpy(reply_text, text);
    reply_send();
}

void reply_number(char letter, u8 number)
{
    reply_text[0] = letter;
    *put_byte(reply_text + 1, number) = '\0';
    reply_send();
}

void reply_bytes(const void *bytes, size_t count)
{
    const u8 *byte = bytes;
    char *out = reply_text;
    while (count-- > 0) {
        out = put_byte(out, *byte++);
    }
    *out = '\0';
    reply_send();
}
