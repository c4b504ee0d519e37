/* Appends tokens to many generations at a steady pace, each with the time at which it was written.
 *
 *   feed resp|http PORT        on stdin, first the generations, then `go`:
 *   gen HEAD MIDDLE [SEQ] LF bytes
 *                              a generation's command but for what changes. resp: head, seq, middle, text, both as bulk
 *                              strings; http: head, then a JSON object of constant length. SEQ (1): that of the first token
 *   go RATE SECONDS BYTES      RATE tokens a second in each generation, in turn, BYTES long; answers
 *                              `done COUNT SECONDS LATEST_MS REFUSED` after SECONDS, or when stdin says or ends anything
 *
 * What is due goes out together, at most once a millisecond, as a worker's appender does it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct generation { char *head, *middle; size_t head_size, middle_size, first; };
static struct generation *gens;
static size_t count, refused;
static int fd, http;
static char out[1 << 20];

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reads answers, as many as there are. A refusal is shown, once. */
static void hear(void) {
    static char in[1 << 16];
    ssize_t n;
    while ((n = recv(fd, in, sizeof in - 1, MSG_DONTWAIT)) > 0) {
        in[n] = 0;
        const char *bad = http ? strstr(in, "HTTP/1.1 4") : memchr(in, '-', (size_t)n);
        if (http && !bad) bad = strstr(in, "HTTP/1.1 5");
        if (bad && !refused++) fprintf(stderr, "feed: refused: %.200s\n", bad);
    }
    if (n == 0) {
        fprintf(stderr, "feed: the server has closed the connection\n");
        exit(1);
    }
}

static void put(const char *p, size_t n) {
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            perror("feed: send");
            exit(1);
        }
        if (sent > 0) p += sent, n -= (size_t)sent;
        if (n) {
            struct pollfd p1 = {.fd = fd, .events = POLLIN | POLLOUT};
            poll(&p1, 1, 1000);
            hear();
        }
    }
}

static size_t command(char *at, const struct generation *g, uint64_t seq, uint64_t now, int bytes) {
    char *start = at, number[24], text[4096];
    int n = snprintf(text, sizeof text, "%016lu #%-8lu ", now, seq);
    while (n < bytes) text[n] = n % 7 ? 'x' : ' ', n++;
    memcpy(at, g->head, g->head_size), at += g->head_size;
    if (http) {
        at += sprintf(at, "{\"type\":\"text\",\"text\":\"%.*s\"}", n, text);
    } else {
        int digits = sprintf(number, "%lu", seq);
        at += sprintf(at, "$%d\r\n%s\r\n", digits, number);
        memcpy(at, g->middle, g->middle_size), at += g->middle_size;
        at += sprintf(at, "$%d\r\n%.*s\r\n", n, n, text);
    }
    return (size_t)(at - start);
}

static void run(double rate, double seconds, int bytes) {
    uint64_t start = clock_ns(), now = start, end = start + (uint64_t)(seconds * 1e9), latest = 0, n = 0;
    double step = 1e9 / (rate * (double)count);
    struct pollfd in[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (now < end) {
        uint64_t due = start + (uint64_t)(step * (double)n);
        if (due > now + 1000) {
            uint64_t pause = due - now < 1000000 && step < 1e6 ? 1000000 : due - now;
            struct timespec t = {.tv_sec = (time_t)(pause / 1000000000u), .tv_nsec = (long)(pause % 1000000000u)};
            if (ppoll(in, 2, &t, NULL) > 0) {
                if (in[0].revents) break;
                hear();
            }
            now = clock_ns();
            continue;
        }
        if (now > due && now - due > latest) latest = now - due;
        if (poll(in, 1, 0) > 0) break;
        size_t size = 0;
        while (due <= now && size < sizeof out - 8192) {
            size += command(out + size, &gens[n % count], gens[n % count].first + n / count, now, bytes);
            due = start + (uint64_t)(step * (double)++n);
        }
        put(out, size);
        hear();
        now = clock_ns();
    }
    printf("done %lu %.6f %.3f %lu\n", n, (double)(clock_ns() - start) / 1e9, (double)latest / 1e6, refused);
}

static char *bytes_of(size_t n) {
    char *p = malloc(n + 1);
    if (fread(p, 1, n, stdin) != n) exit(2);
    return p;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) return 2;
    http = !strcmp(argv[1], "http");
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
        perror("feed: connect");
        return 1;
    }
    if (argc == 4) {  // the password
        char said[64];
        dprintf(fd, "AUTH %s\r\n", argv[3]);
        if (read(fd, said, sizeof said) < 3 || said[0] != '+') return 3;
    }
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        size_t head, middle, first = 1;
        double rate, seconds;
        int bytes;
        if (sscanf(line, "gen %zu %zu %zu", &head, &middle, &first) >= 2) {
            if (count % 1024 == 0) gens = realloc(gens, (count + 1024) * sizeof *gens);
            struct generation *g = &gens[count++];
            g->head = bytes_of(head), g->head_size = head;
            g->middle = bytes_of(middle), g->middle_size = middle, g->first = first;
        } else if (sscanf(line, "go %lf %lf %d", &rate, &seconds, &bytes) == 3 && count && bytes < 4096) {
            run(rate, seconds, bytes);
            return 0;
        } else {
            return 2;
        }
    }
    return 0;
}
