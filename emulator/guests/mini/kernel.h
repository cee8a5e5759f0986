/* The kernel's modules and what each offers the others. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

/* main.c: the machine, decided once at entry */
enum machine { HARDWARE, PARTITION, SIMOS, MAMBO };
extern enum machine machine;
_Noreturn void kernel_exit(void);
_Noreturn void panic(const char *why);
_Noreturn void halt(void);

/* bootinfo.c */
void bootinfo_open(u8 *block);
u64 bootinfo_memory_size(void);
u64 bootinfo_timebase_frequency(void);
u64 bootinfo_serial_address(void);
bool bootinfo_has_hypervisor(void);
unsigned bootinfo_select_offset(void);
bool bootinfo_wire_is_up(void);
void bootinfo_set_wire_up(bool up);
const char *boot_parameter(const char *name);

/* processor.h has the instructions; vectors.S these */
extern struct cpu cpu_block;
extern u8 trap_stack[TRAP_STACK_SIZE];
void install_vectors(void);
void thread_begin(void);
void thread_switch(void);
_Noreturn void frame_resume(struct frame *frame);
_Noreturn void idle_loop(void);
_Noreturn void idle_loop_mambo(void);
void breakpoint(void);

/* trap.c */
struct frame *trap_dispatch(struct frame *frame);
void print_call_chain(u64 stack);

/* memory.c: single bytes, and a fault is an answer */
bool memory_read(u64 address, u8 *byte);
bool memory_write(u64 address, u8 byte);
bool memory_fault_taken(struct frame *frame);
void segment_map(u64 address, unsigned slot);
void segment_miss(u64 address);

/* clock.c: the decrementer */
#define TICKS_PER_SECOND 100
extern volatile u64 ticks;
void clock_start(void);
struct frame *clock_interrupt(struct frame *frame);
void clock_after_trap(void);

/* threads.c */
void threads_start(void);
struct frame *thread_schedule(struct frame *frame);
void thread_sleep(u64 for_ticks);
#define FOR_EVER (~(u64)0)
void thread_wake_shell(void);
void threads_print(void);

/* uart.c, hypervisor.c and simulator.c: the ways bytes leave and arrive; port.c chooses */
void port_open(void);
u64 port_wanted_speed(void);
void port_set_speed(u64 speed);
void port_write(const void *bytes, size_t count);
void port_read(void *bytes, size_t count);
void uart_open(u32 speed);
void uart_set_speed(u32 speed);
void uart_write(const u8 *bytes, size_t count);
void uart_read(u8 *bytes, size_t count);
void hypervisor_write(const u8 *bytes, size_t count);
void hypervisor_read(u8 *bytes, size_t count);
void simulator_write(const u8 *bytes, size_t count);
void simulator_read(u8 *bytes, size_t count);
void simulator_exit(void);

/* wire.c: thinwire, the kernel's end */
enum channel { CONSOLE_CHANNEL = 0, GDB_CHANNEL = 1 };
void wire_open(void);
void wire_write(enum channel channel, const void *bytes, size_t count);
size_t wire_read(enum channel channel, void *bytes, size_t limit);
u32 wire_select(void);
void wire_emergency(const char *text, size_t count);
void wire_exit(void);

/* console.c: channel 0 */
_Noreturn void console_poller(void);
size_t console_read(char *bytes, size_t limit);
void console_write(const char *text, size_t count);
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void err_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void emergency_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* format.c */
size_t print_text(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t format_text(char *out, size_t size, const char *format, __builtin_va_list arguments);

/* text.c */
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t count);
bool parse_number(const char *text, u64 *value);

/* editor.c */
size_t editor_line(char *line, size_t size);

/* shell.c and commands.c */
_Noreturn void shell(void);
struct command {
    const char *name;
    const char *arguments;
    const char *help;
    void (*run)(int argc, char **argv);
};
extern const struct command commands[];
extern char prompt[16];
extern int verbosity;

/* gdb_stub.c: channel 1 */
void gdb_trap(struct frame *frame);
void gdb_exit(void);
bool gdb_is_active(void);

#endif
