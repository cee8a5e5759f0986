/* A hashed page table and an SLB of our own, for loops that run with translation on.

   Every page of the first 32 MB is mapped at WINDOW + its own address, and the program at its own. */
#define TABLE 0x2000000UL /* 1 MB: 8192 groups */
#define GROUPS 8192UL
#define PAGES 8192UL
#define WINDOW 0x40000000UL

static void map(u64 virtual, u64 real)
{
    u64 vsid = 0x1000 + (virtual >> 28), page = virtual >> 12 & 0xffff;
    u64 hash = (vsid ^ page) & (GROUPS - 1);
    u64 high = vsid << 12 | (page >> 11 & 0x1f) << 7 | 1;
    for (int secondary = 0; secondary < 2; secondary++, hash = ~hash & (GROUPS - 1)) {
        u64 *group = (u64 *)(TABLE + hash * 128);
        for (int slot = 0; slot < 8; slot++)
            if (!(group[2 * slot] & 1)) {
                group[2 * slot + 1] = real | 0x190 | 2; /* R, C, M; read and write */
                group[2 * slot] = high | secondary << 1;
                return;
            }
    }
}

static void add_segment(u64 virtual, u64 index)
{
    u64 esid = virtual & ~0xfffffffUL, vsid = 0x1000 + (virtual >> 28);
    __asm__ volatile("slbmte %0, %1" : : "r"(vsid << 12), "r"(esid | 1UL << 27 | index));
}

static void translation_on(void)
{
    u64 msr;
    for (u64 i = 0; i < PAGES; i++) {
        if (i < 1024)
            map(i << 12, i << 12);
        map(WINDOW + (i << 12), i << 12);
    }
    __asm__ volatile("slbia\n\tmtsdr1 %0\n\tisync" : : "r"(TABLE | 2));
    add_segment(0, 0);
    add_segment(WINDOW, 1);
    __asm__ volatile("isync\n\tmfmsr %0\n\tori %0, %0, 0x30\n\tmtmsrd %0\n\tisync" : "=&r"(msr) : : "memory");
}

static void translation_off(void)
{
    u64 msr;
    __asm__ volatile("mfmsr %0\n\txori %0, %0, 0x30\n\tmtmsrd %0\n\tisync" : "=&r"(msr) : : "memory");
}
