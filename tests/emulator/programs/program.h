/* What every program here sees: fixed-size types, output, and the list of programs.

   A program is a function that prints what it computes.  The same source is built for this host, for a
   Linux process (qemu-ppc64) and for a bare partition (our machine, qemu-system-ppc64); all print the same. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdarg.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long i64;
typedef unsigned __int128 u128;
typedef __int128 i128;

#define NOINLINE __attribute__((noinline, noclone))
/* Hides a value from the optimiser, so that the processor computes and not the compiler. */
#define OPAQUE(x) ({ __typeof__((x) + 0) opaque_ = (x); __asm__ volatile("" : "+m"(opaque_)); opaque_; })

/* start-*.S and host.c: where bytes go; never returns from `finish`. */
void write_bytes(const char *data, u64 length);
void finish(void) __attribute__((noreturn));

/* print.c.  Conversions: %c %s %d %u %x %ld %lu %lx, width and 0 flag, %.Nf %.Ne for doubles, %b for a
   double's bits in hex. */
void print(const char *format, ...);
int format_text(char *out, const char *format, va_list arguments);
u64 bits_of(double x);
double double_of(u64 bits);
u32 bits_of_float(float x);
float float_of(u32 bits);

/* libc's, which the compiler may call (text.c). */
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* A generator of test data: the same numbers everywhere. */
static inline u64 next_random(u64 *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

struct program {
    const char *name;
    void (*run)(void);
};
extern const struct program programs[];

#endif
