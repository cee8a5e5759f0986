/* The yardstick: the simplest thinwire server that does its work as the original C servers do.
 *
 *   reference_server LINE_HOST:PORT CHANNEL0_PORT CHANNEL1_PORT ...
 *
 * One thread; one read from the line at a time; every frame is one write to its client and one to the line; select asks
 * the system about the clients each time. It waits for a client before it writes to a channel, and knows no reset,
 * no garbage and no second client. It has no handshake: a sentinel is skipped.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 5, MAX_PAYLOAD = 16384, CHANNELS = 95, SET = 8 };

static int line, listeners[CHANNELS], clients[CHANNELS], channels;
static char buffer[HEADER + 2 * MAX_PAYLOAD], answer[HEADER + MAX_PAYLOAD];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int without_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int connect_line(const char *place)
{
    const char *colon = strrchr(place, ':');
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(colon ? atoi(colon + 1) : 0)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (!connect(fd, (void *)&a, sizeof a))
            return without_delay(fd);
        close(fd);
        usleep(20000);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4))
        die("listen");
    return fd;
}

static int client_of(int channel)
{
    if (clients[channel] < 0)
        clients[channel] = without_delay(accept(listeners[channel], NULL, NULL));
    return clients[channel];
}

static void header(char *h, char kind, int length, int channel)
{
    h[0] = kind;
    h[1] = ' ' + (length >> 12 & 63);
    h[2] = ' ' + (length >> 6 & 63);
    h[3] = ' ' + (length & 63);
    h[4] = ' ' + channel;
}

static void put(int fd, const char *data, int length)
{
    while (length) {
        int done = write(fd, data, length);
        if (done <= 0)
            die("write");
        data += done;
        length -= done;
    }
}

static unsigned ready(int base)
{
    unsigned mask = 0;
    struct timeval none = {0, 0};
    fd_set set;
    int highest = -1;
    FD_ZERO(&set);
    for (int c = base; c < base + SET && c < channels; c++) {
        int fd = clients[c] < 0 ? listeners[c] : clients[c];
        FD_SET(fd, &set);
        highest = fd > highest ? fd : highest;
    }
    if (select(highest + 1, &set, NULL, NULL, &none) > 0)
        for (int c = base; c < base + SET && c < channels; c++) {
            if (clients[c] < 0 && FD_ISSET(listeners[c], &set))
                client_of(c);
            else if (clients[c] >= 0 && FD_ISSET(clients[c], &set))
                mask |= 1u << (c - base);
        }
    return mask;
}

/* Serve the frame at `frame`, of which `have` bytes are there; returns its length, 0 if it is not whole. */
static int serve(const char *frame, int have)
{
    if (frame[0] == '\0' && have >= 14)
        return 14; /* the sentinel */
    if (have < HEADER)
        return 0;
    int length = (frame[1] - ' ') << 12 | (frame[2] - ' ') << 6 | (frame[3] - ' '), channel = frame[4] - ' ';
    switch (frame[0]) {
    case '0':
    case '#':
        if (have < HEADER + length)
            return 0;
        put(client_of(channel), frame + HEADER, length);
        if (frame[0] == '0') {
            header(answer, 'A', length, channel);
            put(line, answer, HEADER);
        }
        return HEADER + length;
    case 'A': {
        int got = read(client_of(channel), answer + HEADER, length);
        header(answer, '0' + channel, got < 0 ? 0 : got, channel);
        put(line, answer, HEADER + (got < 0 ? 0 : got));
        return HEADER;
    }
    case '!': {
        unsigned mask = htonl(ready(channel));
        header(answer, '!', 4, channel);
        memcpy(answer + HEADER, &mask, 4);
        put(line, answer, HEADER + 4);
        return HEADER;
    }
    default:
        fprintf(stderr, "reference_server: stray byte %d\n", frame[0]);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: reference_server HOST:PORT CHANNEL_PORT...\n"), 2;
    for (channels = 0; channels < argc - 2; channels++) {
        listeners[channels] = listen_on(atoi(argv[channels + 2]));
        clients[channels] = -1;
    }
    line = connect_line(argv[1]);
    for (int have = 0;;) {
        int got = read(line, buffer + have, sizeof buffer - have), at = 0, used;
        if (got <= 0)
            return 0;
        have += got;
        while (at < have && (used = serve(buffer + at, have - at)))
            at += used;
        memmove(buffer, buffer + at, have -= at);
    }
}
