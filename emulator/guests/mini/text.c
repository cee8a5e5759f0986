/* Bytes and strings. The debugger uses the first three and refuses to be broken into where they begin, hence their
 * section; the compiler, too, calls memcpy and memset without being asked. */
#include "kernel.h"

#define PRECIOUS __attribute__((section(".precious"), aligned(64)))

PRECIOUS void *memcpy(void *to, const void *from, size_t count)
{
    u8 *target = to;
    const u8 *source = from;
    while (count-- > 0) {
        *target++ = *source++;
    }
    return to;
}

PRECIOUS void *memset(void *to, int byte, size_t count)
{
    u8 *target = to;
    while (count-- > 0) {
        *target++ = byte;
    }
    return to;
}

PRECIOUS size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t count)
{
    for (; count > 0; count--, a++, b++) {
        if (*a != *b || *a == '\0') {
            return (u8)*a - (u8)*b;
        }
    }
    return 0;
}

enum { NO_DIGIT = 255 };

static unsigned digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    char letter = digit | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10u : NO_DIGIT;
}

/* Decimal, or hexadecimal after 0x; nothing else, nothing around it, and no more than 64 bits. */
bool parse_number(const char *text, u64 *value)
{
    unsigned base = 10;
    u64 number = 0;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned digit = digit_value(*text);
        if (digit >= base || number > (~(u64)0 - digit) / base) {
            return false;
        }
        number = number * base + digit;
    }
    *value = number;
    return true;
}
