/* The debuggee of these tests: freestanding, big-endian, no library, no interrupts. */

#define OUT ((volatile unsigned char *)0x70000000)

volatile int running = 1;
volatile long rounds;
long table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
int lock_word;

long fib(long n)
{
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

long sum_table(void)
{
    long total = 0;
    for (int i = 0; i < 8; i++)
        total += table[i];
    return total;
}

int take_lock(int *word)
{
    int old;
    __asm__ volatile(
        "1: lwarx %0,0,%1\n"
        "   addi %0,%0,1\n"
        "   stwcx. %0,0,%1\n"
        "   bne- 1b\n"
        "   isync\n"
        : "=&r"(old) : "r"(word) : "cr0", "memory");
    return old;
}

long work(long n)
{
    long a = fib(n);
    long b = sum_table();
    int c = take_lock(&lock_word);
    return a + b + c;
}

void say(const char *text)
{
    while (*text)
        *OUT = *text++;
}

void leave(long status)
{
    register long r3 __asm__("r3") = status;
    __asm__ volatile("sc" : : "r"(r3));
}

int main(void)
{
    long last = 0;
    while (running) {
        last = work(4);
        rounds++;
        if (rounds == 3)
            say("three\n");
    }
    leave(last);
    return 0;
}
