/* Preloaded into a Redis: notes after each fsync that went well how much of which file it had on the disk, as a line
 * "<bytes> <path>" in the file that SYNCED_LOG names. SYNCED_DELAY_MS makes each fsync take so much longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(long long size, int fd) {
    char link[64], path[1024], line[1200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *log = getenv("SYNCED_LOG");
    if (length < 0 || log == NULL) return;
    path[length] = 0;
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) return;
    int written = snprintf(line, sizeof line, "%lld %s\n", size, path);
    if (write(out, line, written) != written) abort();
    close(out);
}

static int synced(const char *name, int fd) {
    struct stat before;
    int known = fstat(fd, &before) == 0;  /* what comes into the file from now on is not counted */
    const char *delay = getenv("SYNCED_DELAY_MS");
    if (delay != NULL) usleep(1000 * atoi(delay));
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (result == 0 && known) note((long long)before.st_size, fd);
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
