/* The load client's loop, its commands and its figures. */

static void show(const char *name, const struct histogram *h) {
    printf(",\"%s\":{\"count\":%lu,\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"max\":%lu}", name, h->count, percentile(h, .5),
           percentile(h, .9), percentile(h, .99), h->most);
}

static void report(void) {
    printf("{\"seconds\":%.6f,\"groups\":[", (double)(clock_ns() - marked) / 1e9);
    for (int i = 0, first = 1; i < GROUPS; i++) {
        struct group *g = &groups[i];
        if (!g->viewers) continue;
        printf("%s{\"group\":%d,\"viewers\":%lu,\"events\":%lu,\"bytes\":%lu,\"reads\":%lu,\"gaps\":%lu,\"dups\":%lu,"
               "\"gaps_told\":%lu,\"cuts\":%lu,\"refused\":%lu,\"resumes\":%lu",
               first ? "" : ",", i, g->viewers, g->events, g->bytes, g->reads, g->gaps, g->dups, g->gaps_told, g->cuts,
               g->refused, g->resumes);
        show("latency_us", &g->latency);
        show("resume_us", &g->resume);
        show("first_us", &g->first);
        show("caught_us", &g->caught);
        show("end_us", &g->end);
        printf("}");
        first = 0;
    }
    printf("]}\n");
}

#define MOST 20000

static void add_viewer(const char *arguments) {
    if (!viewers) viewers = calloc(MOST, sizeof *viewers);
    if (count == MOST) exit(2);
    struct viewer *v = &viewers[count++];
    v->group = (uint8_t)(atoi(arguments) % GROUPS);
    v->path = strdup(strchr(arguments, ' ') + 1);
    groups[v->group].viewers++;
}

static void mark(void) {
    for (int i = 0; i < GROUPS; i++) {
        uint64_t n = groups[i].viewers;
        memset(&groups[i], 0, sizeof groups[i]);
        groups[i].viewers = n;
    }
    marked = clock_ns();
}

static void herd(void) {
    herd_at = now = clock_ns();
    to_catch = 0;
    for (size_t i = 0; i < count; i++)
        if (viewers[i].state == OPEN) {
            close_viewer(&viewers[i], AWAY, now);
            viewers[i].waits_catch = 1;
            to_catch++;
        }
}

/* 0: the last command has been carried out. */
static int command(char *line) {
    if (!strncmp(line, "open ", 5)) add_viewer(line + 5);
    else if (!strcmp(line, "connect")) started = marked = clock_ns(), next_connect = 0, connect_told = 0;
    else if (!strcmp(line, "mark")) mark();
    else if (!strncmp(line, "churn ", 6)) {
        unsigned long ms = 0, pause = 0;
        sscanf(line + 6, "%lu %lu", &ms, &pause);
        churn = ms * 1000000u, away = pause * 1000000u, now = clock_ns();
        for (size_t i = 0; i < count; i++)
            if (viewers[i].state == OPEN) viewers[i].due = next_drop() - churn / 2;
    } else if (!strcmp(line, "calm")) churn = 0;
    else if (!strcmp(line, "herd")) herd();
    else if (!strcmp(line, "tell")) report();
    else return 0;
    return 1;
}

static int read_commands(void) {
    static char held[1 << 16];
    static size_t size;
    ssize_t n = read(0, held + size, sizeof held - 1 - size);
    if (n <= 0) return 0;
    size += (size_t)n;
    held[size] = 0;
    char *at = held, *end;
    while ((end = strchr(at, '\n'))) {
        *end = 0;
        if (!command(at)) return 0;
        at = end + 1;
    }
    size -= (size_t)(at - held);
    memmove(held, at, size);
    return 1;
}

/* Connects in turn, drops and returns that are due. Tells whether it has to be called again soon. */
static int timers(void) {
    static uint64_t scanned;
    while (started && next_connect < count && connecting < AT_ONCE) open_viewer(&viewers[next_connect++]);
    if (started && !connect_told && answered + finished >= count && next_connect == count) {
        connect_told = 1;
        printf("connected %.6f\n", (double)(clock_ns() - started) / 1e9);
    }
    if (!end_told && count && finished == count) {
        end_told = 1;
        printf("ended %.6f\n", (double)(clock_ns() - started) / 1e9);
    }
    now = clock_ns();
    if (now - scanned < 2000000u) return 1;
    scanned = now;
    int soon = 0;
    for (size_t i = 0; i < count; i++) {
        struct viewer *v = &viewers[i];
        if (v->state == AWAY) {
            soon = 1;
            if (v->due <= now && connecting < AT_ONCE) open_viewer(v);
        } else if (churn && v->state == OPEN && v->due && v->due <= now) {
            close_viewer(v, AWAY, now + away);
        }
    }
    return soon || churn || next_connect < count;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event in = {.events = EPOLLIN}, events[512];
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in);
    for (int soon = 0;;) {
        int n = epoll_wait(ep, events, 512, soon ? 2 : 50);
        now = clock_ns();
        for (int i = 0; i < n; i++) {
            struct viewer *v = events[i].data.ptr;
            if (!v) {
                if (!read_commands()) {
                    report();
                    return 0;
                }
            } else if (v->state == CONNECTING) {
                request(v);
            } else if (v->state == OPEN) {
                receive(v);
            }
        }
        soon = timers();
    }
}
