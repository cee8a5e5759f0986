/* The line in a partition: the hypervisor's terminal 0, at most 16 bytes a call, in two registers.
 *
 * A call is `sc 1` with its token in r3 and arguments from r4; the status comes back in r3, results from r4. The
 * registers hold the bytes in the order of memory.
 */
#include "kernel.h"

enum {
    GET_TERM_CHAR = 0x54,
    PUT_TERM_CHAR = 0x58,
    YIELD = 0x600c,
    SUCCESS = 0,

    TERMINAL = 0,
    CHUNK = 16,
};

/* r3 to r7 before and after a call. */
struct call {
    u64 r3, r4, r5, r6, r7;
};

static void hypervisor_call(struct call *call)
{
    register u64 r3 __asm__("r3") = call->r3;
    register u64 r4 __asm__("r4") = call->r4;
    register u64 r5 __asm__("r5") = call->r5;
    register u64 r6 __asm__("r6") = call->r6;
    register u64 r7 __asm__("r7") = call->r7;
    __asm__ volatile(".long 0x44000022" /* sc 1 */
                     : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
                     :
                     : "r0", "r8", "r9", "r10", "r11", "r12", "ctr", "xer", "cr0", "cr1", "cr5", "cr6", "cr7",
                       "memory");
    *call = (struct call){r3, r4, r5, r6, r7};
}

/* What the terminal does not take is offered again, for ever. */
void hypervisor_write(const u8 *bytes, size_t count)
{
    while (count > 0) {
        size_t some = count < CHUNK ? count : CHUNK;
        u64 words[CHUNK / sizeof(u64)] = {0};
        struct call call;
        memcpy(words, bytes, some);
        do {
            call = (struct call){PUT_TERM_CHAR, TERMINAL, some, words[0], words[1]};
            hypervisor_call(&call);
        } while (call.r3 != SUCCESS);
        bytes += some;
        count -= some;
    }
}

/* The terminal gives as many bytes as it likes: what is too much for one read waits here for the next. */
static u64 received[CHUNK / sizeof(u64)];
static size_t received_next;
static size_t received_end;

static void receive(void)
{
    struct call call = {.r3 = GET_TERM_CHAR, .r4 = TERMINAL};
    hypervisor_call(&call);
    if (call.r3 == SUCCESS && call.r4 > 0) {
        received[0] = call.r5;
        received[1] = call.r6;
        received_next = 0;
        received_end = call.r4;
    } else {
        call = (struct call){.r3 = YIELD, .r4 = ~(u64)0};
        hypervisor_call(&call);
    }
}

void hypervisor_read(u8 *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (received_next == received_end) {
            receive();
        }
        bytes[i] = ((u8 *)received)[received_next++];
    }
}
