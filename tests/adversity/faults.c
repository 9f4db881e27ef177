/* Makes a disk fail: from the n-th call on, calls of one kind on files below $FAULTS_BELOW fail. Loaded with LD_PRELOAD,
   steered through the mapped file $FAULTS_BY: i32 mode, i32 calls to go, i32 calls seen, i32 calls failed, i32 calls that
   may fail (0: all from then on).

   modes: 0 none  1 sync EIO  2 write ENOSPC  3 write EIO  4 write cut short  5 read EIO  6 sync ENOSPC  7 read-only:
   every change (write, cut, sync, making, unlink, rename) EROFS */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define PATH_MAX_BYTES 1024
#define BY_BYTES 32
#define REAL(result, name, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real) real = dlsym(RTLD_NEXT, name)

enum { NONE, SYNC_EIO, WRITE_ENOSPC, WRITE_EIO, WRITE_SHORT, READ_EIO, SYNC_ENOSPC, READ_ONLY };
enum { MODE, TO_GO, SEEN, FAILED, MAY_FAIL };
static volatile int *by;
static const char *below;

__attribute__((constructor)) static void begin(void) {
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    const char *file = getenv("FAULTS_BY");
    below = getenv("FAULTS_BELOW");
    if (!file || !below) return;
    int fd = real_open(file, O_RDWR | O_CLOEXEC, 0600);
    void *map = fd < 0 ? MAP_FAILED : mmap(0, BY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) by = map;
}

static int is_below(const char *path) { return strncmp(path, below, strlen(below)) == 0; }

static int is_ours(int fd) {
    char link[64], path[PATH_MAX_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return is_below(path);
}

/* The error of this call when it is its turn to fail; 0 when it is not. */
static int turn(int error) {
    __sync_add_and_fetch(&by[SEEN], 1);
    if (__sync_sub_and_fetch(&by[TO_GO], 1) >= 0) return 0;
    int failed = __sync_add_and_fetch(&by[FAILED], 1);
    if (by[MAY_FAIL] && failed > by[MAY_FAIL]) {
        __sync_sub_and_fetch(&by[FAILED], 1);
        return 0;
    }
    return error;
}

static int fails(int fd, int sync, int write, int read) {
    int mode = by ? by[MODE] : NONE;
    if (mode == NONE) return 0;
    int error = sync && mode == SYNC_EIO         ? EIO
                : sync && mode == SYNC_ENOSPC    ? ENOSPC
                : write && mode == WRITE_ENOSPC  ? ENOSPC
                : write && mode == WRITE_EIO     ? EIO
                : write && mode == WRITE_SHORT   ? -1
                : read && mode == READ_EIO       ? EIO
                : !read && mode == READ_ONLY     ? EROFS
                                                 : 0;
    return error && is_ours(fd) ? turn(error) : 0;
}

static int path_fails(const char *path) {
    return by && by[MODE] == READ_ONLY && is_below(path) ? turn(EROFS) : 0;
}

static int refuse(int error) {
    errno = error;
    return -1;
}

#define CHECK(error)                                                                                                   \
    int wrong = error;                                                                                                 \
    if (wrong > 0) return refuse(wrong)

int fsync(int fd) {
    REAL(int, "fsync", int);
    CHECK(fails(fd, 1, 0, 0));
    return real(fd);
}
int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    CHECK(fails(fd, 1, 0, 0));
    return real(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    CHECK(fails(fd, 0, 1, 0));
    return real(fd, data, wrong && size > 1 ? size / 2 : size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    CHECK(fails(fd, 0, 1, 0));
    return real(fd, data, wrong && size > 1 ? size / 2 : size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    CHECK(fails(fd, 0, 0, 0));
    return real(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    CHECK(fails(fd, 0, 0, 1));
    return real(fd, data, size, offset);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) { return pread64(fd, data, size, offset); }

ssize_t read(int fd, void *data, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    CHECK(fails(fd, 0, 0, 1));
    return real(fd, data, size);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        REAL(int, #name, const char *, int, ...);                                                                      \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & O_CREAT ? va_arg(rest, int) : 0;                                                            \
        va_end(rest);                                                                                                  \
        if (flags & (O_WRONLY | O_RDWR)) {                                                                             \
            CHECK(path_fails(path));                                                                                   \
        }                                                                                                              \
        return real(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    CHECK(path_fails(path));
    return real(path);
}
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    CHECK(path_fails(from));
    return real(from, to);
}
