/* Makes a disk fail: from the n-th call on, syncs, writes or reads of files below $FAULTS_BELOW fail. Loaded with
   LD_PRELOAD, steered through the mapped file $FAULTS_BY: i32 mode, i32 calls to go, i32 calls seen, i32 calls failed.

   modes: 0 none  1 sync EIO  2 write ENOSPC  3 write EIO  4 write cut short, once every time  5 read EIO */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define PATH_MAX_BYTES 1024
#define REAL(result, name, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real) real = dlsym(RTLD_NEXT, name)

enum { NONE, SYNC_EIO, WRITE_ENOSPC, WRITE_EIO, WRITE_SHORT, READ_EIO };
enum { MODE, TO_GO, SEEN, FAILED };
static volatile int *by;
static const char *below;

__attribute__((constructor)) static void begin(void) {
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    const char *file = getenv("FAULTS_BY");
    below = getenv("FAULTS_BELOW");
    if (!file || !below) return;
    int fd = real_open(file, O_RDWR | O_CLOEXEC, 0600);
    void *map = fd < 0 ? MAP_FAILED : mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) by = map;
}

static int is_ours(int fd) {
    char link[64], path[PATH_MAX_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* The mode in which this call fails; NONE when it does not. */
static int fails(int low, int high, int fd) {
    int mode = by ? by[MODE] : NONE;
    if (mode < low || mode > high || !is_ours(fd)) return NONE;
    __sync_add_and_fetch(&by[SEEN], 1);
    if (__sync_sub_and_fetch(&by[TO_GO], 1) >= 0) return NONE;
    __sync_add_and_fetch(&by[FAILED], 1);
    return mode;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return fails(SYNC_EIO, SYNC_EIO, fd) ? refuse(EIO) : real(fd);
}
int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return fails(SYNC_EIO, SYNC_EIO, fd) ? refuse(EIO) : real(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    int mode = fails(WRITE_ENOSPC, WRITE_SHORT, fd);
    if (mode == WRITE_ENOSPC) return refuse(ENOSPC);
    if (mode == WRITE_EIO) return refuse(EIO);
    return real(fd, data, mode == WRITE_SHORT && size > 1 ? size / 2 : size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int mode = fails(WRITE_ENOSPC, WRITE_SHORT, fd);
    if (mode == WRITE_ENOSPC) return refuse(ENOSPC);
    if (mode == WRITE_EIO) return refuse(EIO);
    return real(fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    return fails(READ_EIO, READ_EIO, fd) ? refuse(EIO) : real(fd, data, size, offset);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) { return pread64(fd, data, size, offset); }
