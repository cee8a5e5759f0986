/* A small interpreter: a switch in a loop, an indirect branch for each operation. */
typedef unsigned char u8;
typedef unsigned long u64;

enum { PUSH, ADD, XOR, SHIFT, SWAP, DUPLICATE, DROP, STORE, LOAD, LOOP };

static const u8 program[] = {PUSH, 3,   LOAD, ADD, DUPLICATE, SHIFT, XOR, STORE, LOAD, PUSH,
                             7,    XOR, SWAP, ADD, DUPLICATE, STORE, PUSH, 1,    DROP, LOOP};

u64 workload(u64 rounds)
{
    u64 stack[64], *top = stack, cell = 12345;
    const u8 *at = program;
    *top = 1;
    for (;;)
        switch (*at++) {
        case PUSH: *++top = *at++; break;
        case ADD: top--; *top += top[1]; break;
        case XOR: top--; *top ^= top[1]; break;
        case SHIFT: *top = *top << 5 ^ *top >> 11; break;
        case SWAP: { u64 t = top[0]; top[0] = top[-1]; top[-1] = t; break; }
        case DUPLICATE: top[1] = top[0]; top++; break;
        case DROP: top--; break;
        case STORE: cell += *top--; break;
        case LOAD: *++top = cell; break;
        default:
            at = program;
            top = stack;
            if (!--rounds)
                return cell ^ *top;
        }
}
