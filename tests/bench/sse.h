/* One viewer's answer, read as it comes: HTTP head, chunks, SSE lines. Nothing is kept of it but the last id, the last
 * sequence number and the bytes of a line that is not complete yet. */
#ifndef SSE_H
#define SSE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 64

/* What a line or a frame tells; the owner of the connection implements these. */
struct reader;
static void on_event(struct reader *r, uint64_t stamp);
static void on_terminal(struct reader *r);
static void read_messages(struct reader *r, const char *p, size_t n); /* messages.h */

struct reader {
    char id[ID_MAX];          /* the last complete event's, as the server wrote it */
    char coming_id[ID_MAX];   /* of the event that is being read */
    uint64_t attempt, seq;    /* numbers of the last event; seq_known says whether there was one */
    uint64_t coming_seq, stamp;
    char *carry;              /* an incomplete line */
    uint32_t carried;
    uint64_t left;            /* bytes left of the chunk */
    int status;               /* HTTP status, 0 while the head is read */
    uint8_t phase;            /* 0 head, 1 chunk size, 2 chunk data, 3 behind chunk data, 4 body without chunks, 5 messages */
    uint8_t seq_known, has_data, terminal, gap_told, coming_terminal, coming_known;
};

static void reader_reset(struct reader *r) {
    free(r->carry);
    r->carry = NULL;
    r->carried = 0;
    r->status = r->phase = 0;
    r->has_data = r->coming_terminal = r->coming_known = 0;
    r->coming_id[0] = 0;
    r->stamp = 0;
}

/* `...,"id":"7-2"}`, with a bracket behind it or none: of vocabularies whose ids are in the data. */
static void read_id_within(struct reader *r, const char *p, size_t n) {
    if (n && p[n - 1] == ']') n--;
    if (n < 10 || p[n - 1] != '}' || p[n - 2] != '"' || p[n - 3] < '0' || p[n - 3] > '9') return;
    size_t behind = n < 64 ? n : 64;
    const char *id = memmem(p + n - behind, behind, ",\"id\":\"", 7);
    if (!id) return;
    size_t length = (size_t)(p + n - 2 - (id + 7));
    memcpy(r->coming_id, id + 7, length);
    r->coming_id[length] = 0;
}

/* `<ns> #<seq> ...`: the stamp of who wrote it, and a number for servers whose ids are not ours. */
static void read_data(struct reader *r, const char *p, size_t n) {
    r->has_data = 1;
    read_id_within(r, p, n);
    size_t head = n < 64 ? n : 64;
    if (memmem(p, head, "\"stream_end\"", 12) || memmem(p, head, "\"type\":\"error\"", 14)) r->coming_terminal = 1;
    if (memmem(p, head, "\"type\":\"gap\"", 12)) r->gap_told++;
    const char *number = memmem(p, n < 320 ? n : 320, " #", 2), *text = number;
    while (text > p && text[-1] >= '0' && text[-1] <= '9') text--;
    if (text == number) return;
    r->stamp = strtoull(text, NULL, 10);
    r->coming_seq = strtoull(number + 2, NULL, 10);
    r->coming_known = 1;
}

static void read_line(struct reader *r, const char *p, size_t n) {
    if (n && p[n - 1] == '\r') n--;
    if (n == 0) {
        if (r->has_data && (r->coming_id[0] || r->coming_terminal)) {
            if (r->coming_id[0]) memcpy(r->id, r->coming_id, ID_MAX);
            on_event(r, r->stamp);
            if (r->coming_terminal) {
                r->terminal = 1;
                on_terminal(r);
            }
        }
        r->has_data = r->coming_terminal = r->coming_known = 0;
        r->coming_id[0] = 0;
        r->stamp = 0;
    } else if (n > 5 && !memcmp(p, "data:", 5)) {
        read_data(r, p + 5, n - 5);
    } else if (n > 3 && !memcmp(p, "id:", 3)) {
        p += 3, n -= 3;
        if (n && *p == ' ') p++, n--;
        if (n >= ID_MAX) n = ID_MAX - 1;
        memcpy(r->coming_id, p, n);
        r->coming_id[n] = 0;
    }
}

/* Lines of a piece of the body; what is left of the last one is carried on. `p` has room for one byte behind it. */
static void read_body(struct reader *r, char *p, size_t n) {
    if (r->carried) {
        char *end = memchr(p, '\n', n);
        size_t take = end ? (size_t)(end - p) : n;
        r->carry = realloc(r->carry, r->carried + take + 1);
        memcpy(r->carry + r->carried, p, take);
        r->carried += take;
        r->carry[r->carried] = 0;
        if (!end) return;
        size_t carried = r->carried;
        r->carried = 0;
        read_line(r, r->carry, carried);
        free(r->carry);
        r->carry = NULL;
        p = end + 1, n -= take + 1;
    }
    char *end;
    while (n && (end = memchr(p, '\n', n))) {
        *end = 0;
        read_line(r, p, (size_t)(end - p));
        n -= (size_t)(end + 1 - p);
        p = end + 1;
    }
    if (n) {
        r->carry = malloc(n + 1);
        memcpy(r->carry, p, n);
        r->carry[n] = 0;
        r->carried = (uint32_t)n;
    }
}

static char body[1 << 18];

/* Bytes from the socket; `p` is at most as long as `body`. */
static void read_bytes(struct reader *r, char *p, size_t n) {
    size_t held = 0;
    if (r->phase == 0) {
        /* The head: servers here send it whole and small; a split one is carried like a line. */
        r->carry = realloc(r->carry, r->carried + n + 1);
        memcpy(r->carry + r->carried, p, n);
        r->carried += n;
        r->carry[r->carried] = 0;
        char *end = strstr(r->carry, "\r\n\r\n");
        if (!end) return;
        size_t head = (size_t)(end + 4 - r->carry);
        *end = 0;
        r->status = atoi(r->carry + 9);
        if (r->status == 101) r->status = 200, r->phase = 5;
        else r->phase = strcasestr(r->carry, "transfer-encoding: chunked") ? 1 : 4;
        r->left = 0;
        n = r->carried - head;
        memcpy(body, r->carry + head, n);
        free(r->carry);
        r->carry = NULL;
        r->carried = 0;
        if (!n) return;
        char *rest = malloc(n);
        memcpy(rest, body, n);
        read_bytes(r, rest, n);
        free(rest);
        return;
    }
    if (r->phase == 5) {
        read_messages(r, p, n);
        return;
    }
    if (r->phase == 4) {
        memcpy(body, p, n);
        read_body(r, body, n);
        return;
    }
    for (const char *at = p, *stop = p + n; at < stop;) {
        if (r->phase == 1) {
            char c = *at++;
            if (c >= '0' && c <= '9') r->left = r->left * 16 + (uint64_t)(c - '0');
            else if ((c | 32) >= 'a' && (c | 32) <= 'f') r->left = r->left * 16 + (uint64_t)((c | 32) - 'a' + 10);
            else if (c == '\n') r->phase = r->left ? 2 : 3;
        } else if (r->phase == 2) {
            size_t take = (size_t)(stop - at) < r->left ? (size_t)(stop - at) : r->left;
            memcpy(body + held, at, take);
            held += take;
            at += take;
            r->left -= take;
            if (!r->left) r->phase = 3;
        } else if (*at++ == '\n') {
            r->phase = 1;
        }
    }
    if (held) read_body(r, body, held);
}
#endif
