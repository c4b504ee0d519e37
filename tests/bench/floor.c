/* The floor: the same bytes to as many viewers with nothing behind it. One thread, epoll, one send() for all that a viewer
 * lacks. No server that tells its viewers of each event at once can cost the kernel less.
 *
 *   floor PORT GENERATIONS     commands on stdin, one a line
 *   fill N                     N tokens and the end in each generation, at once
 *   go RATE SECONDS BYTES      RATE tokens a second in each generation, in turn, BYTES long
 *   stop                       answers `done COUNT SECONDS LATEST_MS 0`, ends
 *
 * GET /g/N, with Last-Event-ID or without it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPT "1790000000000"
#define PIECE (256 * 1024)

struct viewer { int fd, gen; size_t at, place; };
/* `bytes` are frames in HTTP chunks; `starts[seq]` is where seq's begins. */
struct gen { char *bytes; size_t size, room; size_t *starts; size_t seqs, seq_room; struct viewer **viewers; size_t count, viewer_room; char dirty; };

static struct gen *gens, **dirty;
static size_t dirty_count;
static int gen_count, ep, bytes = 64, running;
static uint64_t start, end_at, sent_tokens, latest;
static double step;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *grown(void *p, size_t *room, size_t need, size_t each) {
    if (need <= *room) return p;
    *room = need > *room * 2 ? need : *room * 2;
    return realloc(p, *room * each);
}

static void add_frame(struct gen *g, const char *json, int size) {
    char frame[4096];
    int n = snprintf(frame, sizeof frame, "data: %.*s\nid: " ATTEMPT "-%zu\n\n", size, json, g->seqs);
    g->bytes = grown(g->bytes, &g->room, g->size + (size_t)n + 32, 1);
    g->starts = grown(g->starts, &g->seq_room, g->seqs + 1, sizeof *g->starts);
    g->starts[g->seqs++] = g->size;
    g->size += (size_t)sprintf(g->bytes + g->size, "%x\r\n%s\r\n", n, frame);
}

static void add_token(struct gen *g, uint64_t now) {
    char json[4096];
    int head = sprintf(json, "{\"type\":\"text\",\"text\":\"%016lu #%-8zu ", now, g->seqs), n = head;
    while (n < bytes + 23) json[n] = n % 7 ? 'x' : ' ', n++;
    n += sprintf(json + n, "\"}");
    add_frame(g, json, n);
}

static void start_gen(struct gen *g) {
    static const char json[] = "{\"type\":\"stream_start\",\"reason\":\"start\",\"attempt\":1}";
    add_frame(g, json, sizeof json - 1);
}

static void seal(struct gen *g) {
    static const char json[] = "{\"type\":\"stream_end\",\"status\":\"completed\"}";
    add_frame(g, json, sizeof json - 1);
    g->bytes = grown(g->bytes, &g->room, g->size + 8, 1);
    memcpy(g->bytes + g->size, "0\r\n\r\n", 5);
    g->size += 5;
}

static void leave(struct viewer *v) {
    if (v->gen >= 0) {
        struct gen *g = &gens[v->gen];
        g->viewers[v->place] = g->viewers[--g->count];
        g->viewers[v->place]->place = v->place;
    }
    close(v->fd);
    free(v);
}

/* All that a viewer lacks; asks to be told when the socket takes more if it did not take it all. */
static void give(struct viewer *v, int told) {
    struct gen *g = &gens[v->gen];
    int full = 0;
    while (v->at < g->size && !full) {
        size_t n = g->size - v->at;
        ssize_t sent = send(v->fd, g->bytes + v->at, n < PIECE ? n : PIECE, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) return;
            full = 1;
        } else {
            v->at += (size_t)sent;
        }
    }
    if (full != told) {
        struct epoll_event e = {.events = full ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = v};
        epoll_ctl(ep, EPOLL_CTL_MOD, v->fd, &e);
    }
}

static void ask(struct viewer *v) {
    static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\n"
                             "x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: ka\n\r\n";
    char text[2048];
    ssize_t n = recv(v->fd, text, sizeof text - 1, 0);
    if (n <= 0 || v->gen >= 0) {
        if (n <= 0 && !(n < 0 && errno == EAGAIN)) leave(v);
        return;
    }
    text[n] = 0;
    int wanted = -1;
    if (sscanf(text, "GET /g/%d ", &wanted) != 1 || wanted < 0 || wanted >= gen_count) {
        leave(v);
        return;
    }
    struct gen *g = &gens[wanted];
    const char *cursor = strcasestr(text, "last-event-id: " ATTEMPT "-");
    v->at = 0;
    if (cursor) {
        size_t seq = strtoul(strrchr(strtok((char *)cursor, "\r"), '-') + 1, NULL, 10) + 1;
        v->at = seq < g->seqs ? g->starts[seq] : g->size;
    }
    v->gen = wanted;
    g->viewers = grown(g->viewers, &g->viewer_room, g->count + 1, sizeof *g->viewers);
    v->place = g->count;
    g->viewers[g->count++] = v;
    send(v->fd, ok, sizeof ok - 1, MSG_NOSIGNAL);
    give(v, 0);
}

static void done(void) {
    printf("done %lu %.6f %.3f 0\n", sent_tokens, (double)(clock_ns() - start) / 1e9, (double)latest / 1e6);
    exit(0);
}

static void read_commands(void) {
    char text[4096], *line = text;
    ssize_t n = read(0, text, sizeof text - 1);
    if (n <= 0) exit(0);
    text[n] = 0;
    for (char *next; line && *line; line = next) {
        double rate, seconds;
        unsigned long count;
        if ((next = strchr(line, '\n'))) *next++ = 0;
        if (sscanf(line, "fill %lu", &count) == 1) {
            for (int i = 0; i < gen_count; i++) {
                for (unsigned long k = 0; k < count; k++) add_token(&gens[i], 0);
                seal(&gens[i]);
            }
        } else if (sscanf(line, "go %lf %lf %d", &rate, &seconds, &bytes) == 3 && bytes < 3000) {
            start = clock_ns();
            end_at = start + (uint64_t)(seconds * 1e9);
            step = 1e9 / (rate * gen_count);
            sent_tokens = 0;
            running = 1;
        } else if (!strcmp(line, "stop")) {
            done();
        }
    }
}

/* Writes what is due, at most once a millisecond; returns how many ms to wait. */
static int tick(void) {
    uint64_t now = clock_ns();
    if (!running) return 100;
    if (now >= end_at) {
        running = 0;
        return 100;
    }
    uint64_t due = start + (uint64_t)(step * (double)sent_tokens);
    if (due <= now && now - due > latest) latest = now - due;
    while (due <= now) {
        struct gen *g = &gens[sent_tokens++ % (uint64_t)gen_count];
        add_token(g, now);
        if (!g->dirty) g->dirty = 1, dirty[dirty_count++] = g;
        due = start + (uint64_t)(step * (double)sent_tokens);
    }
    for (; dirty_count; dirty_count--) {
        struct gen *g = dirty[dirty_count - 1];
        g->dirty = 0;
        for (size_t i = 0; i < g->count; i++) give(g->viewers[i], 0);
    }
    now = clock_ns();
    return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    gen_count = atoi(argv[2]);
    gens = calloc((size_t)gen_count, sizeof *gens);
    dirty = calloc((size_t)gen_count, sizeof *dirty);
    for (int i = 0; i < gen_count; i++) start_gen(&gens[i]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int on = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 4096)) {
        perror("floor");
        return 1;
    }
    ep = epoll_create1(0);
    static char commands;
    struct epoll_event e = {.events = EPOLLIN}, events[512];
    epoll_ctl(ep, EPOLL_CTL_ADD, listening, &e);
    e.data.ptr = &commands;
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &e);
    printf("listening\n");
    for (;;) {
        int n = epoll_wait(ep, events, 512, tick());
        for (int i = 0; i < n; i++) {
            struct viewer *v = events[i].data.ptr;
            if (events[i].data.ptr == &commands) {
                read_commands();
            } else if (!v) {
                int fd;
                while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    v = calloc(1, sizeof *v);
                    v->fd = fd, v->gen = -1;
                    struct epoll_event in = {.events = EPOLLIN, .data.ptr = v};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &in);
                }
            } else if (events[i].events & EPOLLOUT) {
                give(v, 1);
            } else {
                ask(v);
            }
        }
    }
}
