/* Recursion: deep, mutual, and through nested data. */
#include "program.h"

static NOINLINE u32 ackermann(u32 m, u32 n)
{
    return !m ? n + 1 : !n ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static NOINLINE u64 fibonacci(u64 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static NOINLINE int is_odd(u32 n);
static NOINLINE int is_even(u32 n)
{
    return n ? is_odd(n - 1) : 1;
}
static NOINLINE int is_odd(u32 n)
{
    return n ? is_even(n - 1) : 0;
}

static u64 moves;
static NOINLINE void hanoi(int n, int from, int to)
{
    if (!n)
        return;
    hanoi(n - 1, from, 6 - from - to);
    moves = moves * 3 + from * 10 + to;
    hanoi(n - 1, 6 - from - to, to);
}

static NOINLINE int queens(int n, u32 columns, u32 left, u32 right)
{
    u32 all = (1u << n) - 1, count = 0;
    if (columns == all)
        return 1;
    for (u32 free = all & ~(columns | left | right); free; free &= free - 1) {
        u32 bit = free & -free;
        count += queens(n, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

/* expression = term { (+|-) term }; term = factor { (*|/) factor }; factor = number | ( expression ) | - factor */
static const char *at;
static i64 expression(void);
static i64 factor(void)
{
    i64 v = 0;
    if (*at == '-') {
        at++;
        return -factor();
    }
    if (*at == '(') {
        at++;
        v = expression();
        at++;
        return v;
    }
    while (*at >= '0' && *at <= '9')
        v = v * 10 + *at++ - '0';
    return v;
}
static i64 term(void)
{
    i64 v = factor();
    while (*at == '*' || *at == '/')
        v = *at++ == '*' ? v * factor() : v / factor();
    return v;
}
static NOINLINE i64 expression(void)
{
    i64 v = term();
    while (*at == '+' || *at == '-')
        v = *at++ == '+' ? v + term() : v - term();
    return v;
}

void recursion(void)
{
    print("%u %u\n", ackermann(2, 9), ackermann(3, 3));
    print("%lu %d %d\n", fibonacci(15), is_even(501), is_odd(333));
    hanoi(8, 1, 3);
    print("%016lx %d\n", moves, queens(6, 0, 0, 0));
    at = "-(12+3*(40-2))*7/(5-2*1)+1000000007*9";
    print("%ld\n", expression());
}
