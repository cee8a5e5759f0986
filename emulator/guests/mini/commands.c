/* What the shell can do. */
#include "kernel.h"

enum { FIB_LIMIT = 40, SIEVE_LIMIT = 65536, MEM_LIMIT = 4096, MEM_ROW = 16 };

static bool argument(int argc, char **argv, int index, const char *name, u64 limit, u64 *value)
{
    if (index >= argc) {
        console_print("%s: %s is missing\n", argv[0], name);
        return false;
    }
    if (!parse_number(argv[index], value) || *value > limit) {
        console_print("%s: %s must be a number up to %lu, not '%s'\n", argv[0], name, limit, argv[index]);
        return false;
    }
    return true;
}

static void run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (const struct command *command = commands; command->name != NULL; command++) {
        console_print("  %-7s %-9s %s\n", command->name, command->arguments, command->help);
    }
    console_print("for a debugger to change: char prompt[16]; int verbosity, now %d, at 2 each command is timed\n",
                  verbosity);
}

static void run_echo(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        console_print("%s%s", i > 1 ? " " : "", argv[i]);
    }
    console_print("\n");
}

/* The slow way, on purpose: something for a debugger to follow. */
__attribute__((noinline)) u64 fib(u64 n)
{
    if (n < 2) {
        return n;
    }
    u64 before = fib(n - 1);
    return before + fib(n - 2);
}

static void run_fib(int argc, char **argv)
{
    u64 n;
    if (argument(argc, argv, 1, "N", FIB_LIMIT, &n)) {
        console_print("fib(%lu) = %lu\n", n, fib(n));
    }
}

static u8 composite[SIEVE_LIMIT + 1];

/* The number of primes up to `limit`; the largest of them in *largest. */
__attribute__((noinline)) u64 sieve(u64 limit, u64 *largest)
{
    u64 count = 0;
    memset(composite, 0, limit + 1);
    for (u64 n = 2; n <= limit; n++) {
        if (composite[n]) {
            continue;
        }
        count++;
        *largest = n;
        for (u64 multiple = n * n; multiple <= limit; multiple += n) {
            composite[multiple] = 1;
        }
    }
    return count;
}

static void run_sieve(int argc, char **argv)
{
    u64 limit;
    u64 largest = 0;
    if (!argument(argc, argv, 1, "N", SIEVE_LIMIT, &limit)) {
        return;
    }
    u64 count = sieve(limit, &largest);
    console_print("%lu primes up to %lu", count, limit);
    if (count > 0) {
        console_print(", the largest is %lu", largest);
    }
    console_print("\n");
}

static void run_ticks(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    console_print("%lu decrementer interrupts, %u a second\n", ticks, TICKS_PER_SECOND);
}

static void run_mem(int argc, char **argv)
{
    u64 address;
    u64 length;
    if (!argument(argc, argv, 1, "ADDR", ~(u64)0, &address) || !argument(argc, argv, 2, "LEN", MEM_LIMIT, &length)) {
        return;
    }
    for (u64 done = 0; done < length; done += MEM_ROW) {
        u8 row[MEM_ROW];
        char hex[3 * MEM_ROW + 1];
        char text[MEM_ROW + 1];
        u64 count = length - done < MEM_ROW ? length - done : MEM_ROW;
        u64 got = 0;
        while (got < count && memory_read(address + done + got, &row[got])) {
            hex[3 * got] = ' ';
            hex[3 * got + 1] = "0123456789abcdef"[row[got] >> 4];
            hex[3 * got + 2] = "0123456789abcdef"[row[got] & 15];
            text[got] = row[got] >= ' ' && row[got] < 0x7f ? row[got] : '.';
            got++;
        }
        hex[3 * got] = '\0';
        text[got] = '\0';
        if (got > 0) {
            console_print("%016lx:%-48s  %s\n", address + done, hex, text);
        }
        if (got < count) {
            console_print("mem: nothing can be read at 0x%lx\n", address + done + got);
            return;
        }
    }
}

static void run_tasks(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    threads_print();
}

static void run_panic(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    panic("you asked for it");
}

static void run_trap(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    breakpoint();
}

static void run_exit(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    console_print("the kernel ends here\n");
    kernel_exit();
}

const struct command commands[] = {
    {"help", "", "this list", run_help},
    {"echo", "TEXT...", "say it again", run_echo},
    {"fib", "N", "the Nth Fibonacci number, by recursion", run_fib},
    {"sieve", "N", "count the primes up to N", run_sieve},
    {"ticks", "", "decrementer interrupts so far", run_ticks},
    {"mem", "ADDR LEN", "bytes of memory, as far as they can be read", run_mem},
    {"tasks", "", "the threads and how far each has come", run_tasks},
    {"panic", "", "give up; a debugger can look at what is left", run_panic},
    {"trap", "", "enter the debugger; its continue comes back here", run_trap},
    {"exit", "", "end the kernel", run_exit},
    {NULL, NULL, NULL, NULL},
};
