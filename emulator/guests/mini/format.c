/* A printf without a library: %s %c %d %u %x, each with l, a width, '0' and '-' before it; and %%. */
#include "kernel.h"

struct sink {
    char *out;
    size_t size;
    size_t length;
};

/* What does not fit is dropped; one byte is kept for the NUL. */
static void put(struct sink *sink, char byte)
{
    if (sink->length + 1 < sink->size) {
        sink->out[sink->length++] = byte;
    }
}

static void put_padded(struct sink *sink, const char *text, size_t width, bool left, char pad)
{
    size_t length = strlen(text);
    size_t fill = width > length ? width - length : 0;
    for (size_t i = 0; !left && i < fill; i++) {
        put(sink, pad);
    }
    while (*text != '\0') {
        put(sink, *text++);
    }
    for (size_t i = 0; left && i < fill; i++) {
        put(sink, ' ');
    }
}

/* The digits of `value`, written backwards from the end of a buffer that holds any of them. */
enum { DIGITS = 24 };
static const char *digits(char *buffer, u64 value, unsigned base, bool negative)
{
    char *text = buffer + DIGITS;
    *--text = '\0';
    do {
        *--text = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    if (negative) {
        *--text = '-';
    }
    return text;
}

size_t format_text(char *out, size_t size, const char *format, __builtin_va_list arguments)
{
    struct sink sink = {out, size, 0};
    char buffer[DIGITS];

    for (; *format != '\0'; format++) {
        if (*format != '%') {
            put(&sink, *format);
            continue;
        }
        bool left = false;
        bool wide = false;
        char pad = ' ';
        size_t width = 0;
        format++;
        if (*format == '-') {
            left = true;
            format++;
        }
        if (*format == '0') {
            pad = '0';
            format++;
        }
        while (*format >= '0' && *format <= '9') {
            width = 10 * width + (*format++ - '0');
        }
        if (*format == 'l') {
            wide = true;
            format++;
        }
        switch (*format) {
        case 's':
            put_padded(&sink, __builtin_va_arg(arguments, const char *), width, left, ' ');
            break;
        case 'c':
            put(&sink, __builtin_va_arg(arguments, int));
            break;
        case 'd': {
            long value = wide ? __builtin_va_arg(arguments, long) : __builtin_va_arg(arguments, int);
            u64 magnitude = value < 0 ? -(u64)value : (u64)value;
            put_padded(&sink, digits(buffer, magnitude, 10, value < 0), width, left, pad);
            break;
        }
        case 'u':
        case 'x': {
            u64 value = wide ? __builtin_va_arg(arguments, u64) : __builtin_va_arg(arguments, u32);
            put_padded(&sink, digits(buffer, value, *format == 'x' ? 16 : 10, false), width, left, pad);
            break;
        }
        default:
            put(&sink, *format);
            break;
        }
    }
    out[sink.length] = '\0';
    return sink.length;
}

size_t print_text(char *out, size_t size, const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    size_t length = format_text(out, size, format, arguments);
    __builtin_va_end(arguments);
    return length;
}
