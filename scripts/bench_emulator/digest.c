/* A digest in the manner of SHA-256: rotates and logic in straight code, everything in registers. */
typedef unsigned int u32;
typedef unsigned long u64;

static u32 rotated(u32 x, int n)
{
    return x >> n | x << (32 - n);
}

u64 workload(u64 rounds)
{
    u32 state[8] = {1, 2, 3, 4, 5, 6, 7, 8}, words[64], keys[16];
    for (u32 i = 0; i < 16; i++) {
        keys[i] = 0x9e3779b9u * (i + 1);
        words[i] = i * keys[i];
    }
    while (rounds--) {
        for (int i = 16; i < 64; i++) {
            u32 p = words[i - 15], q = words[i - 2];
            words[i] = words[i - 16] + words[i - 7] + (rotated(p, 7) ^ rotated(p, 18) ^ p >> 3) +
                       (rotated(q, 17) ^ rotated(q, 19) ^ q >> 10);
        }
        u32 a = state[0], b = state[1], c = state[2], d = state[3];
        u32 e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; i++) {
            u32 t = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + keys[i & 15] + words[i];
            u32 s = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + s;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
        words[rounds & 15] = state[0];
    }
    return (u64)state[0] << 32 | state[7];
}
