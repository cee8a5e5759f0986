/* Interrupts a program causes on purpose, and handles: the vector, SRR0 and SRR1 it sees, and what it goes on
   with.  For a bare partition only; partition.S calls `interrupted`. */
#include "program.h"

struct frame {
    u64 gpr[32], srr0, srr1, lr, ctr, xer, cr, vector;
};

#define MSR_FP 0x2000UL
#define MSR_SE 0x400UL
#define MSR_EE 0x8000UL
#define MSR_VEC 0x2000000UL
#define DECREMENTER 0x900
#define TRACE 0xd00

/* What the last interrupts were, and how the next are to be handled. */
static struct {
    u64 vector, srr1, dar, dsisr, resume;
    i64 distance; /* of SRR0 from `base` */
} seen[40];
static u32 count;
static u64 base;
static u64 skip;     /* added to SRR0 on the way back */
static u64 msr_set;  /* ORed into SRR1 on the way back */
static u64 msr_clear;
static volatile u32 ticks;

void interrupted(struct frame *f)
{
    u64 dar, dsisr;
    __asm__ volatile("mfdar %0\n\tmfdsisr %1" : "=r"(dar), "=r"(dsisr));
    if (f->vector == DECREMENTER) {
        ticks++;
        __asm__ volatile("mtdec %0" : : "r"(2000));
        return;
    }
    if (count < 40) {
        seen[count].vector = f->vector;
        seen[count].srr1 = f->srr1;
        seen[count].dar = dar;
        seen[count].dsisr = dsisr;
        seen[count++].distance = f->srr0 - base;
    }
    f->srr0 += skip;
    f->srr1 = (f->srr1 | msr_set) & ~msr_clear;
}

static NOINLINE void begin(u64 add)
{
    count = 0;
    skip = add;
    msr_set = msr_clear = 0;
}

static NOINLINE void show(const char *name, u64 mask)
{
    print("%s:", name);
    for (u32 i = 0; i < count; i++)
        print(" %lx+%ld(%lx)", seen[i].vector, seen[i].distance, seen[i].srr1 & mask);
    print("\n");
}

/* The cause bits of a program interrupt. */
#define CAUSE 0x783f0000UL

/* Where `base` is: the instruction after the label. */
#define AT "lis 11, 1f@h\n\tori 11, 11, 1f@l\n\tstd 11, 0(%0)\n\t"
#define CAUSED(text, ...)                                                                             \
    __asm__ volatile(AT "1: " text : : "b"(&base), ##__VA_ARGS__                                      \
                     : "memory", "r0", "r3", "r4", "r5", "r10", "r11", "r12", "cr0", "ctr", "lr", "xer")

static void change_msr(u64 set, u64 clear)
{
    u64 msr;
    __asm__ volatile("mfmsr %0" : "=r"(msr));
    __asm__ volatile("mtmsrd %0\n\tisync" : : "r"((msr | set) & ~clear) : "memory");
}

static void system_calls(void)
{
    begin(0);
    CAUSED("sc\n\tsc");
    show("sc", 0);
}

static void programs_(void)
{
    begin(4);
    CAUSED("trap");
    show("trap", CAUSE);
    begin(4);
    CAUSED("li 3, 7\n\ttwlgti 3, 7\n\ttdlei 3, 7\n\ttwi 6, 3, 8\n\ttw 4, 3, 3\n\ttdi 24, 3, 6");
    show("conditional traps", CAUSE);
    begin(4);
    CAUSED(".long 0\n\t.long 0x04000000");
    show("illegal", CAUSE);
}

static void unavailable(void)
{
    begin(0);
    msr_set = MSR_FP;
    change_msr(0, MSR_FP);
    CAUSED("fmr 1, 2\n\tfmr 3, 4");
    show("float", MSR_FP);
    begin(4);
    change_msr(0, MSR_FP);
    CAUSED("lfd 1, 0(11)\n\tstfs 1, 0(11)\n\tmffs 3");
    show("float skipped", MSR_FP);
    change_msr(MSR_FP, 0);
    begin(4);
    CAUSED(".long 0x10000484\n\t.long 0x7c0058ce");
    show("vector", MSR_VEC);
}

static void alignment(void)
{
    begin(4);
    CAUSED("li 3, 0x4002\n\tlwarx 4, 0, 3\n\tldarx 4, 0, 3");
    show("alignment", 0);
    print("dar %lx\n", seen[0].dar);
}

static void trace(void)
{
    begin(0);
    change_msr(MSR_SE, 0);
    CAUSED("li 3, 3\n\tmtctr 3\n2: addi 3, 3, 2\n\tbdnz 2b\n\tnop\n\tb 3f\n\tnop\n3: nop");
    msr_clear = MSR_SE;
    __asm__ volatile("nop");
    u32 traced = 0;
    for (u32 i = 0; i < count; i++)
        if (seen[i].distance >= 0 && seen[i].distance <= 36)
            print("%s%lx+%ld", traced++ ? " " : "trace: ", seen[i].vector, seen[i].distance);
    print("\n");
}

static void decrementer(void)
{
    u64 first, second, sum = 0;
    begin(0);
    ticks = 0;
    __asm__ volatile("mtdec %0" : : "r"(500));
    __asm__ volatile("mftb %0" : "=r"(first));
    change_msr(MSR_EE, 0);
    while (ticks < 5)
        sum += ticks;
    change_msr(0, MSR_EE);
    __asm__ volatile("mftb %0" : "=r"(second));
    u32 before = ticks;
    for (volatile int i = 0; i < 3000; i++)
        ;
    print("decrementer: %d %d %d\n", ticks >= 5, second - first >= 500 + 4 * 2000, ticks == before);
}

static void registers_survive(void)
{
    u64 sum;
    begin(4);
    __asm__ volatile("li 14, 14\n\tli 31, 31\n\tmtctr 14\n\tmtlr 31\n\tcmpdi 14, 15\n\taddic 0, 14, -1\n\t"
                     "trap\n\t"
                     "adde 14, 14, 31\n\tmfctr 3\n\tadd 14, 14, 3\n\tmflr 3\n\tadd 14, 14, 3\n\tmfcr 3\n\t"
                     "rlwinm 3, 3, 4, 28, 31\n\tadd %0, 14, 3"
                     : "=r"(sum)
                     :
                     : "r0", "r3", "r14", "r31", "ctr", "lr", "xer", "cr0");
    print("survive: %lu\n", sum);
}

void exceptions(void)
{
    system_calls();
    programs_();
    unavailable();
    alignment();
    trace();
    decrementer();
    registers_survive();
}

const struct program programs[] = {{"exceptions", exceptions}, {0, 0}};
