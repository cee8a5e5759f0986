/* Floating point: a polynomial, a small matrix product and a root by Newton's method, in doubles. */
typedef unsigned long u64;

static double a[16][16], b[16][16], c[16][16];

u64 workload(u64 rounds)
{
    double sum = 0;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            a[i][j] = 1.0 / (i + j + 1);
            b[i][j] = (i - j) * 0.125;
        }
    while (rounds--) {
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++) {
                double s = 0;
                for (int k = 0; k < 16; k++)
                    s += a[i][k] * b[k][j];
                c[i][j] = s;
            }
        double x = 0.001 * (rounds & 1023), r = 1;
        for (int i = 0; i < 100; i++)
            x = ((0.25 * x - 0.5) * x + 0.75) * x + 0.01;
        for (int i = 0; i < 10; i++)
            r = 0.5 * (r + (x + 2) / r);
        sum += x + r + c[rounds & 15][3];
    }
    return (u64)(sum * 1024);
}
