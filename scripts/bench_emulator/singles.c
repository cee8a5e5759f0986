/* Single precision, conversions, comparisons and square roots: bodies that attract each other. */
typedef unsigned long u64;

#define BODIES 16
static float x[BODIES], y[BODIES], vx[BODIES], vy[BODIES];

u64 workload(u64 rounds)
{
    for (int i = 0; i < BODIES; i++) {
        x[i] = i * 1.5f - 10;
        y[i] = (i * 7 % BODIES) * 0.75f;
        vx[i] = vy[i] = 0;
    }
    long clamped = 0;
    while (rounds--) {
        for (int i = 0; i < BODIES; i++) {
            float ax = 0, ay = 0;
            for (int j = 0; j < BODIES; j++) {
                float dx = x[j] - x[i], dy = y[j] - y[i], square = dx * dx + dy * dy + 0.5f;
                float weight = 1 / (square * __builtin_sqrtf(square));
                ax += dx * weight;
                ay += dy * weight;
            }
            vx[i] = (vx[i] + ax * 0.01f) * 0.999f;
            vy[i] = (vy[i] + ay * 0.01f) * 0.999f;
        }
        for (int i = 0; i < BODIES; i++) {
            x[i] += vx[i];
            y[i] += vy[i];
            if (x[i] > 20) {
                x[i] = -20;
                clamped += (int)y[i];
            }
        }
    }
    return (u64)(long)(x[3] * 1024) + clamped;
}
