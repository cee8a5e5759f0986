/* Formatting of numbers; on the host libc's own printf says what should come. */
#include "program.h"

#ifdef HOST
int snprintf(char *, size_t, const char *, ...);
#define SHOW(format, value)                              \
    do {                                                 \
        char line[512];                                  \
        snprintf(line, sizeof line, format, value);      \
        print("%s\n", line);                             \
    } while (0)
#else
#define SHOW(format, value) print(format "\n", value)
#endif

void formatting(void)
{
    static const double values[] = {0.0, -0.0, 1.0, -1.5, 0.5, 2.5, 0.1, 123.456, 99999.5, 999999.95, 1e15, 1e22,
                                    1.7976931348623157e308, 4.9e-324, 3.14159265358979, 6.02214076e23, 1e-5};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        double v = OPAQUE(values[i]);
        SHOW("%.6e", v);
        SHOW("%.0e", v);
        if (v < 1e20 && v != 4.9e-324) {
            SHOW("%.0f", v);
            SHOW("%.3f", v);
        }
    }
    SHOW("%.17e", OPAQUE(0.1));
    SHOW("%.30f", OPAQUE(1.0 / 3));
    SHOW("%.1f", OPAQUE(1e300 * 1e10));
    SHOW("%d", OPAQUE(-2147483647 - 1));
    SHOW("%ld", OPAQUE(-9223372036854775807 - 1));
    SHOW("%lu", OPAQUE(18446744073709551615UL));
    SHOW("%08x", OPAQUE(0xbeefu));
    SHOW("%12ld", OPAQUE(-123456L));
    SHOW("%012ld", OPAQUE(-123456L));
    SHOW("%s", "a string");
    SHOW("%c", '%');
}
