/* The same for a WebSocket of `respool.v1`: messages instead of lines. What is sent is a handshake and one `follow`. */
#ifndef MESSAGES_H
#define MESSAGES_H
#include <stdio.h>

#include "sse.h"

#define SOCKET_PATH "/v1/ws?" /* and behind it which generation */

static int is_socket(const char *path) { return !strncmp(path, SOCKET_PATH, strlen(SOCKET_PATH)); }

static int handshake(char *into, size_t room) {
    return snprintf(into, room,
                    "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    "Sec-WebSocket-Protocol: respool.v1\r\n\r\n");
}

/* A client's frames are masked; this mask is 0, so that the text stays. */
static int follow(char *into, size_t room, const char *path, const char *after) {
    int n = snprintf(into + 6, room - 6, "{\"type\":\"follow\",\"generation\":\"%s\"%s%s%s}", path + strlen(SOCKET_PATH),
                     after[0] ? ",\"after\":\"" : "", after, after[0] ? "\"" : "");
    into[0] = (char)0x81;
    into[1] = (char)(0x80 | n); /* shorter than 126 */
    memset(into + 2, 0, 4);
    return n + 6;
}

/* `{"generation":"gen_…","id":"7-2","event":{…}}` */
static void read_message(struct reader *r, char *p, size_t n) {
    p[n] = 0;
    char *id = memmem(p, n < 64 ? n : 64, ",\"id\":\"", 7), *event = memmem(p, n < 128 ? n : 128, "\"event\":", 8);
    if (!event) return;
    if (id) {
        size_t length = strcspn(id + 7, "\"");
        if (length >= ID_MAX) length = ID_MAX - 1;
        memcpy(r->coming_id, id + 7, length);
        r->coming_id[length] = 0;
    }
    read_data(r, event + 8, n - (size_t)(event + 8 - p));
    read_line(r, p, 0);
}

static void read_messages(struct reader *r, const char *p, size_t n) {
    r->carry = realloc(r->carry, r->carried + n + 1);
    memcpy(r->carry + r->carried, p, n);
    r->carried += (uint32_t)n;
    size_t at = 0;
    while (r->carried - at >= 2) {
        const unsigned char *head = (unsigned char *)r->carry + at;
        size_t size = head[1], first = 2;
        if (size >= 126) {
            size_t wide = size == 126 ? 2 : 8;
            if (r->carried - at < 2 + wide) break;
            for (size = 0; first < 2 + wide; first++) size = size << 8 | head[first];
        }
        if (r->carried - at < first + size) break;
        char *text = r->carry + at + first, behind = text[size];
        if (head[0] == 0x81) read_message(r, text, size);
        text[size] = behind;
        at += first + size;
    }
    memmove(r->carry, r->carry + at, r->carried - at);
    r->carried -= (uint32_t)at;
}
#endif
