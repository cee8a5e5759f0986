/* Five threads and a round robin.
 *
 * A thread is its saved frame and the tick at which it wants the processor again: 0 means now, FOR_EVER means when
 * somebody wakes it. The decrementer takes the processor from whoever has it; thread_sleep() gives it up. The idle
 * thread is ready always and chosen last.
 */
#include "processor.h"

enum { STACK_SIZE = 0x4000 };

struct thread {
    const char *name;
    void (*run)(void);
    const char *progress_unit;
    struct frame *frame;
    u64 wake_at;
    u64 turns;
    volatile u64 progress;
};

static void idle(void);
static void count_seconds(void);
static void hunt_primes(void);

enum { IDLE, WIRE, SHELL, SECONDS, PRIMES, THREADS };

static struct thread threads[THREADS] = {
    [IDLE] = {.name = "idle", .run = idle},
    [WIRE] = {.name = "wire", .run = console_poller},
    [SHELL] = {.name = "shell", .run = shell},
    [SECONDS] = {.name = "seconds", .run = count_seconds, .progress_unit = "seconds counted"},
    [PRIMES] = {.name = "primes", .run = hunt_primes, .progress_unit = "is the last prime found"},
};

static u64 stacks[THREADS][STACK_SIZE / sizeof(u64)] __attribute__((aligned(16)));

static struct thread *current = &threads[IDLE];

static void idle(void)
{
    if (machine == MAMBO) {
        idle_loop_mambo();
    }
    idle_loop();
}

static void count_seconds(void)
{
    for (;;) {
        thread_sleep(TICKS_PER_SECOND);
        threads[SECONDS].progress++;
    }
}

static bool is_prime(u64 n)
{
    for (u64 divisor = 2; divisor * divisor <= n; divisor++) {
        if (n % divisor == 0) {
            return false;
        }
    }
    return n >= 2;
}

/* Two candidates a second: little work, but it never stops. */
static void hunt_primes(void)
{
    for (u64 candidate = 2;; candidate++) {
        if (is_prime(candidate)) {
            threads[PRIMES].progress = candidate;
        }
        thread_sleep(TICKS_PER_SECOND / 2);
    }
}

/* A frame that resumes at thread_begin, on an empty stack, with interrupts on. */
static struct frame *first_frame(struct thread *thread)
{
    const u64 *begin = (const u64 *)thread_begin; /* ELFv1: the symbol is a descriptor, the entry its first word */
    u64 *top = stacks[thread - threads] + STACK_SIZE / sizeof(u64) - STACK_HEADER / sizeof(u64);
    struct frame *frame = (struct frame *)(top - FRAME_SIZE / sizeof(u64));

    memset(frame, 0, FRAME_SIZE + STACK_HEADER); /* and the back chain: call chains end here */
    frame->pc = begin[0];
    frame->gpr[1] = (u64)top;
    frame->gpr[14] = (u64)thread->run;
    frame->msr = cpu_block.kernel_msr | MSR_EE;
    return frame;
}

void threads_start(void)
{
    for (int i = 0; i < THREADS; i++) {
        threads[i].frame = first_frame(&threads[i]);
    }
    interrupts_off();
    frame_resume(current->frame);
}

/* Put `frame` away as the current thread's and choose: the next ready one after it, the idle thread if none is. */
struct frame *thread_schedule(struct frame *frame)
{
    int last = current - threads;
    int chosen = IDLE;

    current->frame = frame;
    for (int step = 1; step <= THREADS; step++) {
        int candidate = (last + step) % THREADS;
        if (candidate != IDLE && threads[candidate].wake_at <= ticks) {
            chosen = candidate;
            break;
        }
    }
    current = &threads[chosen];
    current->turns++;
    return current->frame;
}

void thread_sleep(u64 for_ticks)
{
    u64 msr = interrupts_off();
    current->wake_at = for_ticks == FOR_EVER ? FOR_EVER : ticks + for_ticks;
    thread_switch();
    interrupts_restore(msr);
}

void thread_wake_shell(void)
{
    threads[SHELL].wake_at = 0;
}

void threads_print(void)
{
    for (int i = 0; i < THREADS; i++) {
        const struct thread *thread = &threads[i];
        const char *state = thread == current ? "running" : thread->wake_at <= ticks ? "ready" : "sleeping";
        console_print("%-8s %-8s %8lu turns", thread->name, state, thread->turns);
        if (thread->progress_unit != NULL) {
            console_print("  %lu %s", thread->progress, thread->progress_unit);
        }
        console_print("\n");
    }
}
