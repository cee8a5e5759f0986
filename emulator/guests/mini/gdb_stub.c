/* The debugger in the kernel: GDB's remote protocol on channel 1.
 *
 * This stub stands in for the one in K42 kernels of 2005, on which people's tools must work, so it can do what that
 * one could and no more. It runs only while the kernel is stopped, with interrupts off, on the trap stack; while the
 * kernel runs nobody reads channel 1, so there is no Ctrl-C. The way in is a breakpoint, a trace trap or a fault.
 *
 * What it does not do, and must not learn: s, vCont, Z, P, p, X, H, q (all answered by an empty reply, by not being
 * in the switch below); checking what a packet claims. Digits that are no digits count as something, digits that are
 * missing are whatever follows in the buffer, and an 'm' longer than the buffer runs over its end (1022 bytes fit).
 * SRR0, SRR1 and reservations are not kept.
 *
 * "Connected" is a flag and nothing else. It is set by the first stop, which announces itself on the console and
 * sends one '-' instead of a stop reply, and cleared by D, k and the end of the kernel; while it is set, a stop sends
 * its reply at once.
 */
#include "gdb_packet.h"

enum {
    PRECIOUS_BYTES = 64,

    SIGNAL_ILLEGAL = 4,
    SIGNAL_TRAP = 5,
    SIGNAL_BUS = 7,
    SIGNAL_FLOAT = 8,
    SIGNAL_STORAGE = 11,
};

#define COMPILED_IN_BREAKPOINT 0x7fe00008u /* tw 31,0,0: what breakpoint() executes */

/* What 'g' and 'G' carry: gdb's powerpc:common64 up to fpscr, without padding. */
struct gdb_registers {
    u64 gpr[32];
    u64 fpr[32];
    u64 pc;
    u64 ps;
    u32 cr;
    u64 lr;
    u64 ctr;
    u32 xer;
    u32 fpscr;
} __attribute__((packed));
_Static_assert(sizeof(struct gdb_registers) == 556, "the register block of powerpc:common64");

static struct gdb_registers gdb_registers;
static bool connected;
static bool active;

bool gdb_is_active(void)
{
    return active;
}

static void registers_from_frame(const struct frame *frame)
{
    memcpy(gdb_registers.gpr, frame->gpr, sizeof frame->gpr);
    memcpy(gdb_registers.fpr, frame->fpr, sizeof frame->fpr);
    gdb_registers.pc = frame->pc;
    gdb_registers.ps = frame->msr;
    gdb_registers.cr = frame->cr;
    gdb_registers.lr = frame->lr;
    gdb_registers.ctr = frame->ctr;
    gdb_registers.xer = frame->xer;
    gdb_registers.fpscr = frame->fpscr;
}

static void registers_to_frame(struct frame *frame)
{
    memcpy(frame->gpr, gdb_registers.gpr, sizeof frame->gpr);
    memcpy(frame->fpr, gdb_registers.fpr, sizeof frame->fpr);
    frame->pc = gdb_registers.pc;
    frame->msr = gdb_registers.ps;
    frame->cr = gdb_registers.cr;
    frame->lr = gdb_registers.lr;
    frame->ctr = gdb_registers.ctr;
    frame->xer = gdb_registers.xer;
    frame->fpscr = gdb_registers.fpscr;
}

/* The stub itself runs through these; a trap planted where they begin would end it. A write whose first byte lies
 * there is not done, and reported as done. */
static bool is_precious(u64 address)
{
    const void *functions[] = {memcpy, strlen, stub_strcpy, memset, err_printf};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        u64 entry = *(const u64 *)functions[i]; /* ELFv1: the first word of the descriptor */
        if (address - entry < PRECIOUS_BYTES) {
            return true;
        }
    }
    return false;
}

/* mADDR,LEN */
static void read_memory(const char *text)
{
    u64 address;
    u64 length;
    if (!take_number(&text, &address) || !take_letter(&text, ',') || !take_number(&text, &length)) {
        reply("E01");
        return;
    }
    char *out = reply_text;
    for (u64 i = 0; i < length; i++) {
        u8 byte;
        if (!memory_read(address + i, &byte)) {
            reply("E03");
            return;
        }
        out = put_byte(out, byte);
    }
    *out = '\0';
    reply_send();
}

/* MADDR,LEN:BYTES. After a fault the bytes before it stay written. */
static void write_memory(const char *text)
{
    u64 address;
    u64 length;
    if (!take_number(&text, &address) || !take_letter(&text, ',') || !take_number(&text, &length) ||
        !take_letter(&text, ':')) {
        reply("E02");
        return;
    }
    if (!is_precious(address)) {
        for (u64 i = 0; i < length; i++) {
            if (!memory_write(address + i, take_byte(&text))) {
                reply("E03");
                return;
            }
        }
    }
    reply("OK");
}

static const char *trap_name(u64 vector)
{
    static const char *const names[] = {
        "Reserved",
        "Reset",
        "Machine Check",
        "Data Storage",
        "Instruction Storage",
        "External",
        "Alignment",
        "Program",
        "Floating-point Unavailable",
        "Decrementer",
        "Reserved",
        "Reserved",
        "System Call",
        "Trace",
        "Floating-point Assist",
    };
    u64 index = vector >> 8;
    return index < sizeof names / sizeof names[0] ? names[index] : names[0];
}

static u8 program_signal(u64 srr1)
{
    enum { FLOATING_POINT = 0x100000, ILLEGAL = 0x80000, PRIVILEGED = 0x40000, TRAP = 0x20000 };
    if (srr1 & FLOATING_POINT) {
        return SIGNAL_FLOAT;
    }
    if (srr1 & (ILLEGAL | PRIVILEGED)) {
        return SIGNAL_ILLEGAL;
    }
    return srr1 & TRAP ? SIGNAL_TRAP : SIGNAL_BUS;
}

static u8 signal_for(const struct frame *frame)
{
    switch (frame->vector) {
    case 0x300:
    case 0x400:
        return SIGNAL_STORAGE;
    case 0x600:
    case 0xd00:
        return SIGNAL_TRAP;
    case 0x700:
        return program_signal(frame->msr);
    default:
        return SIGNAL_BUS;
    }
}

static bool stands_on_compiled_in_breakpoint(u64 pc)
{
    u32 word = 0;
    for (u64 i = 0; i < sizeof word; i++) {
        u8 byte;
        if (!memory_read(pc + i, &byte)) {
            return false;
        }
        word = word << 8 | byte;
    }
    return word == COMPILED_IN_BREAKPOINT;
}

/* The first stop of a session: people are told, and whoever is at the other end is made to say what it wants. */
static void announce(const struct frame *frame)
{
    err_printf("GDB got trap: %s\n", trap_name(frame->vector));
    err_printf("vector 0x%lx sr 0x%lx pc 0x%lx lr 0x%lx\n", frame->vector, frame->msr, frame->pc, frame->lr);
    err_printf("this kernel speaks to gdb over thinwire, channel 1;\n"
               "on K42's machines kvictim knows its port.\n");
    connected = true;
    wire_write(GDB_CHANNEL, "-", 1);
}

/* Carries out one command. True if the kernel goes on. */
static bool execute(const char *command, u8 signal)
{
    u64 number;
    const char *text = command + 1;

    switch (command[0]) {
    case '?':
        reply_number('S', signal);
        return false;
    case 'g':
        reply_bytes(&gdb_registers, sizeof gdb_registers);
        return false;
    case 'G':
        for (size_t i = 0; i < sizeof gdb_registers; i++) {
            ((u8 *)&gdb_registers)[i] = take_byte(&text);
        }
        reply("OK");
        return false;
    case 'm':
        read_memory(text);
        return false;
    case 'M':
        write_memory(text);
        return false;
    case 'c':
        if (take_number(&text, &number)) {
            gdb_registers.pc = number;
        }
        /* fall through */
    case 'C': /* neither the signal nor an address behind it ever has an effect */
        gdb_registers.ps &= ~(u64)MSR_SE;
        return true;
    case 'D': /* leaves SE as it is: with SE set, the next instruction is the next first stop */
        reply("OK");
        connected = false;
        return true;
    case 'd':
        packet_show_traffic = !packet_show_traffic;
        reply("");
        return false;
    case 'k':
        connected = false;
        kernel_exit();
    default:
        reply("");
        return false;
    }
}

/* The kernel has trapped and nobody else wants it. Returns when the debugger lets it go on; `frame` is then what the
 * debugger made of it. */
void gdb_trap(struct frame *frame)
{
    u8 signal = signal_for(frame);

    active = true;
    registers_from_frame(frame);
    if (frame->vector == 0x700 && signal == SIGNAL_TRAP && stands_on_compiled_in_breakpoint(frame->pc)) {
        gdb_registers.pc += 4;
    }
    if (connected) {
        reply_number('S', signal);
    } else {
        announce(frame);
    }
    while (!execute(packet_receive(), signal)) {
    }
    registers_to_frame(frame);
    active = false;
}

/* The kernel ends: a connected debugger is told so, in the one packet the stub ever sends unasked. */
void gdb_exit(void)
{
    if (connected) {
        reply_number('X', 9);
        connected = false;
    }
}
