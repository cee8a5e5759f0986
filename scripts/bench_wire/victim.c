/* A thinwire victim that measures the server it talks to, and the client of channel 1 as well.
 *
 *   victim LINE_PORT CHANNEL_PORT MODE SIZE COUNT
 *
 * It listens on LINE_PORT for the server, sends the sentinel (a server without a handshake shows it as text on
 * channel 0, or must be told to expect none with MODE prefixed by "v1-"), connects to CHANNEL_PORT as the client and
 * prints "ready", and in the end one line: seconds, median and 99th percentile of a round trip in microseconds, bytes
 * moved.
 *
 *   write    '0' of SIZE bytes and its acknowledgement, COUNT times
 *   select   '!' and its answer
 *   echo     the client sends SIZE bytes; '!' until they show, 'A' and '0' back; timed at the client
 *   stream   '#' of SIZE bytes, COUNT times; the clock stops when the client has every byte
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 1, HEADER = 5, MAX_PAYLOAD = 16384, WARM_UP = 50 };

static int line, client;
static long size, count;
static double *trips; /* seconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put(int fd, const void *data, size_t length)
{
    for (const char *p = data; length;) {
        ssize_t done = send(fd, p, length, MSG_NOSIGNAL);
        if (done <= 0)
            die("send");
        p += done;
        length -= done;
    }
}

static void get(int fd, void *data, size_t length)
{
    for (char *p = data; length;) {
        ssize_t done = recv(fd, p, length, 0);
        if (done <= 0)
            die("receive");
        p += done;
        length -= done;
    }
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int without_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int accept_line(int port)
{
    struct sockaddr_in a = loopback(port);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 1))
        die("listen");
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die("accept");
    return without_delay(fd);
}

static int connect_channel(int port)
{
    struct sockaddr_in a = loopback(port);
    for (int attempt = 0; attempt < 500; attempt++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (!connect(fd, (void *)&a, sizeof a))
            return without_delay(fd);
        close(fd);
        usleep(20000);
    }
    die("connect to the channel");
    return -1;
}

static void header(char *h, char kind, long length, int channel)
{
    h[0] = kind;
    h[1] = ' ' + (length >> 12 & 63);
    h[2] = ' ' + (length >> 6 & 63);
    h[3] = ' ' + (length & 63);
    h[4] = ' ' + channel;
}

static long length_of(const char *h)
{
    return (h[1] - ' ') << 12 | (h[2] - ' ') << 6 | (h[3] - ' ');
}

static void write_acked(char *frame, long length)
{
    char answer[HEADER];
    header(frame, '0', length, CHANNEL);
    put(line, frame, HEADER + length);
    get(line, answer, HEADER);
    if (answer[0] != 'A' || length_of(answer) != length)
        die("wrong acknowledgement");
}

static int channel_is_ready(void)
{
    char h[HEADER], answer[9];
    header(h, '!', 0, 0);
    put(line, h, HEADER);
    get(line, answer, sizeof answer);
    return answer[8] >> CHANNEL & 1;
}

static long read_channel(char *data, long limit)
{
    char h[HEADER];
    header(h, 'A', limit, CHANNEL);
    put(line, h, HEADER);
    get(line, h, HEADER);
    get(line, data, length_of(h));
    return length_of(h);
}

static void *drain(void *expected)
{
    static char sink[1 << 18];
    for (long left = *(long *)expected; left;) {
        ssize_t done = recv(client, sink, sizeof sink, 0);
        if (done <= 0)
            die("client receive");
        left -= done;
    }
    return NULL;
}

static volatile int echoing = 1;

static void *echo_client(void *unused)
{
    char *data = calloc(1, size);
    (void)unused;
    for (long i = -WARM_UP; i < count; i++) {
        double start = now();
        put(client, data, size);
        get(client, data, size);
        if (i >= 0)
            trips[i] = now() - start;
    }
    echoing = 0;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 6 || (size = atol(argv[4])) > MAX_PAYLOAD || (count = atol(argv[5])) < 1) {
        fprintf(stderr, "usage: victim LINE_PORT CHANNEL_PORT MODE SIZE COUNT\n");
        return 2;
    }
    const char *mode = argv[3];
    int has_handshake = strncmp(mode, "v1-", 3) != 0;
    mode += has_handshake ? 0 : 3;
    char *frame = calloc(1, HEADER + MAX_PAYLOAD);
    trips = calloc(count + 1, sizeof *trips);
    line = accept_line(atoi(argv[1]));
    if (has_handshake)
        put(line, "\0**thinwire**\0", 14);
    client = connect_channel(atoi(argv[2]));
    for (int i = 0; i < WARM_UP; i++)
        channel_is_ready();
    puts("ready");
    fflush(stdout);

    pthread_t other;
    long bytes = size * count, warm = WARM_UP * size, all = warm + bytes;
    double start = now();
    if (!strcmp(mode, "write")) {
        pthread_create(&other, NULL, drain, &all);
        for (long i = -WARM_UP; i < count; i++) {
            double before = now();
            if (i == 0)
                start = before;
            write_acked(frame, size);
            if (i >= 0)
                trips[i] = now() - before;
        }
        pthread_join(other, NULL);
    } else if (!strcmp(mode, "select")) {
        bytes = 0;
        for (long i = 0; i < count; i++) {
            double before = now();
            channel_is_ready();
            trips[i] = now() - before;
        }
    } else if (!strcmp(mode, "echo")) {
        pthread_create(&other, NULL, echo_client, NULL);
        while (echoing)
            if (channel_is_ready())
                write_acked(frame, read_channel(frame + HEADER, size));
        pthread_join(other, NULL);
    } else if (!strcmp(mode, "stream")) {
        pthread_create(&other, NULL, drain, &bytes);
        header(frame, '#', size, CHANNEL);
        for (long i = 0; i < count; i++)
            put(line, frame, HEADER + size);
        pthread_join(other, NULL);
    } else {
        fprintf(stderr, "victim: unknown mode %s\n", mode);
        return 2;
    }
    double seconds = now() - start;
    qsort(trips, count, sizeof *trips, by_value);
    printf("%.6f %.2f %.2f %ld\n", seconds, 1e6 * trips[count / 2], 1e6 * trips[count * 99 / 100], bytes);
    return 0;
}
