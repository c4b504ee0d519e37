/* The load client: many viewers in one thread, as cheap as can be, that check what they count.
 *
 *   load PORT          commands on stdin, one a line; answers on stdout, one a line
 *   open GROUP PATH    one more viewer (GROUP: 0 to 7, figures are kept by group). PATH may also be `POST KEY PATH BODY`: JSON
 *                      without a space, and the Idempotency-Key of what was made before
 *   connect            connect them all; answers `connected SECONDS` when each has its 200
 *   mark               forget what was counted: the window begins
 *   churn MS AWAY      each viewer drops about every MS, stays away AWAY ms and resumes from its last id
 *   calm               no more drops
 *   herd               drop all at once, resume at once; answers `herd SECONDS` when each has an event written after it
 *   tell               answers with the figures as JSON
 *   stop               the same, and ends
 * Says `ended SECONDS` (since `connect`) when every viewer has its terminal event. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "messages.h"

#define GROUPS 8
#define BUCKETS 2048
#define AT_ONCE 256 /* connects under way: below any backlog */

struct histogram { uint64_t count, most, bucket[BUCKETS]; };
struct group {
    uint64_t events, bytes, reads, gaps, dups, gaps_told, cuts, refused, resumes, viewers;
    struct histogram latency, resume, first, caught, end;
};
struct viewer {
    struct reader reader; /* first: a reader is its viewer */
    const char *path;
    int fd;
    uint8_t group, state, resuming, waits_first, waits_catch;
    uint64_t began, due; /* ns: of the connect; of the next drop or connect */
};
enum { IDLE, CONNECTING, OPEN, AWAY, DONE };

static struct group groups[GROUPS];
static struct viewer *viewers;
static size_t count, connecting, next_connect, answered, finished, to_catch;
static int ep, port, connect_told, end_told;
static uint64_t churn, away, started, marked, now, herd_at;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Buckets of 1 µs up to 64 µs, then 64 to each doubling: an error of 1.6 % at most. */
static void record(struct histogram *h, uint64_t ns) {
    uint64_t us = ns / 1000;
    int shift = us < 64 ? 0 : 57 - __builtin_clzll(us);
    size_t i = us < 64 ? us : (size_t)(shift + 1) * 64 + ((us >> shift) & 63);
    h->bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    h->count++;
    if (us > h->most) h->most = us;
}

static double percentile(const struct histogram *h, double p) {
    uint64_t rank = (uint64_t)((double)h->count * p), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        if ((seen += h->bucket[i]) > rank) {
            double us = i < 64 ? (double)i : (double)((64 + (i & 63)) << (i / 64 - 1)) * (1 + 1 / 128.);
            return us > (double)h->most ? (double)h->most : us;
        }
    return (double)h->most;
}

static void on_event(struct reader *r, uint64_t stamp) {
    struct viewer *v = (struct viewer *)r;
    struct group *g = &groups[v->group];
    char *end;
    uint64_t attempt = strtoull(r->coming_id, &end, 10), seq = r->coming_seq;
    int known = r->coming_known;
    if (*end == '-' && end != r->coming_id) {
        seq = strtoull(end + 1, &end, 10);
        known = !*end;
    } else {
        attempt = 0;
    }
    if (known) {
        if (r->seq_known && attempt == r->attempt) {
            if (seq <= r->seq) g->dups++;
            else g->gaps += seq - r->seq - 1;
        } else if (r->seq_known && seq) {
            g->gaps++;
        }
        r->attempt = attempt, r->seq = seq, r->seq_known = 1;
    }
    g->events++;
    if (v->waits_first) {
        v->waits_first = 0;
        record(&g->first, now - v->began);
        /* What was written while we were away is late by our own doing: the server answers from the connect on. */
        if (v->resuming) record(&g->resume, stamp > v->began ? now - stamp : now - v->began);
    } else if (stamp && stamp > v->began) {
        record(&g->latency, now - stamp);
    }
    if (stamp > v->began) v->resuming = 0;
    if (v->waits_catch && stamp >= herd_at) {
        v->waits_catch = 0;
        record(&g->caught, now - herd_at);
        if (!--to_catch) printf("herd %.6f\n", (double)(now - herd_at) / 1e9);
    }
}

static void on_terminal(struct reader *r) {
    struct viewer *v = (struct viewer *)r;
    record(&groups[v->group].end, now - started);
}

static void open_viewer(struct viewer *v) {
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (v->fd < 0) {
        perror("load: socket");
        exit(1);
    }
    int on = 1;
    setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Many source addresses, so that ports in TIME_WAIT do not run out. */
    setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)((v - viewers) % 64));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(v->fd, (struct sockaddr *)&from, sizeof from);
    reader_reset(&v->reader);
    v->began = now = clock_ns();
    v->state = CONNECTING;
    v->waits_first = 1;
    v->due = 0;
    connecting++;
    connect(v->fd, (struct sockaddr *)&to, sizeof to);
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = v};
    epoll_ctl(ep, EPOLL_CTL_ADD, v->fd, &e);
}

static void close_viewer(struct viewer *v, int state, uint64_t due) {
    if (v->state == CONNECTING || (v->state == OPEN && !v->reader.status)) connecting--;
    if (v->state == OPEN || v->state == CONNECTING) close(v->fd);
    v->state = (uint8_t)state;
    v->due = due;
    v->resuming = 1;
    if (state == DONE) finished++;
}

static uint64_t next_drop(void) {
    return churn ? now + churn / 2 + (uint64_t)(drand48() * (double)churn) : 0;
}

static int ask(char *into, size_t room, const char *path, const char *after) {
    char key[65], where[129], body[513];
    int posts = sscanf(path, "POST %64s %128s %512s", key, where, body) == 3;
    int n = snprintf(into, room, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n%s%s%s",
                     posts ? "POST" : "GET", posts ? where : path, after[0] ? "Last-Event-ID: " : "", after,
                     after[0] ? "\r\n" : "");
    if (!posts) return n + snprintf(into + n, room - (size_t)n, "\r\n");
    return n + snprintf(into + n, room - (size_t)n,
                        "Idempotency-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", key,
                        strlen(body), body);
}

static void request(struct viewer *v) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        groups[v->group].cuts++;
        close_viewer(v, AWAY, now + 100000000u);
        return;
    }
    char text[1024];
    int n = is_socket(v->path) ? handshake(text, sizeof text) : ask(text, sizeof text, v->path, v->reader.id);
    if (send(v->fd, text, (size_t)n, MSG_NOSIGNAL) != n) {
        groups[v->group].cuts++;
        close_viewer(v, AWAY, now + 100000000u);
        return;
    }
    v->state = OPEN;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = v};
    epoll_ctl(ep, EPOLL_CTL_MOD, v->fd, &e);
}

static void receive(struct viewer *v) {
    static char bytes[1 << 17];
    ssize_t n = recv(v->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    now = clock_ns();
    struct group *g = &groups[v->group];
    if (n <= 0) {
        g->cuts++;
        close_viewer(v, AWAY, now + 100000000u);
        return;
    }
    g->bytes += (uint64_t)n, g->reads++;
    int before = v->reader.status, told = v->reader.gap_told;
    read_bytes(&v->reader, bytes, (size_t)n);
    g->gaps_told += (uint64_t)(v->reader.gap_told - told);
    if (!before && v->reader.status) {
        connecting--;
        if (v->reader.status != 200) {
            g->refused++;
            v->reader.status = 1; /* it was answered */
            close_viewer(v, DONE, 0);
            return;
        }
        if (is_socket(v->path)) {
            char text[256];
            int size = follow(text, sizeof text, v->path, v->reader.id);
            if (send(v->fd, text, (size_t)size, MSG_NOSIGNAL) != size) g->cuts++;
        }
        answered++;
        if (v->resuming) g->resumes++;
        v->due = next_drop();
    }
    if (v->reader.terminal) close_viewer(v, DONE, 0);
}

#include "load_main.h"
