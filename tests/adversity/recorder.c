/* Records what a process does to the files below $REC_BELOW, in order, into $REC_LOG. Loaded with LD_PRELOAD.

   record: kind u8, length of path u16, path, offset i64, length of data u32, data
   kinds:  C made  W written  S synced (file or folder)  T cut or grown to offset  U unlinked  R renamed (data: to) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define PATH_MAX_BYTES 1024
#define REAL(result, name, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real) real = dlsym(RTLD_NEXT, name)

static int log_fd = -1;
static const char *below;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    const char *file = getenv("REC_LOG");
    real_write = dlsym(RTLD_NEXT, "write");
    below = getenv("REC_BELOW");
    if (file && below) log_fd = real_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(const char *path) { return log_fd >= 0 && strncmp(path, below, strlen(below)) == 0; }

static int path_of(int fd, char *path) {
    char link[64];
    if (log_fd < 0 || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX_BYTES - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return is_ours(path);
}

static void record(char kind, const char *path, int64_t offset, uint32_t length, const void *data) {
    uint16_t path_length = strlen(path);
    size_t size = 1 + 2 + path_length + 8 + 4 + length;
    char *bytes = malloc(size), *at = bytes;
    *at++ = kind;
    memcpy(at, &path_length, 2), at += 2;
    memcpy(at, path, path_length), at += path_length;
    memcpy(at, &offset, 8), at += 8;
    memcpy(at, &length, 4), at += 4;
    if (length) memcpy(at, data, length);
    if (real_write(log_fd, bytes, size) != (ssize_t)size) abort();
    free(bytes);
}

/* The lock is held over call and record, so that the log has the order in which things happened. */
static int made(const char *path, int flags, int mode, int (*real)(const char *, int, ...)) {
    if (!(flags & O_CREAT) || !is_ours(path)) return real(path, flags, mode);
    pthread_mutex_lock(&order);
    int fresh = access(path, F_OK) != 0, fd = real(path, flags, mode);
    if (fd >= 0 && fresh) record('C', path, 0, 0, 0);
    if (fd >= 0 && !fresh && (flags & O_TRUNC)) record('T', path, 0, 0, 0);
    pthread_mutex_unlock(&order);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        REAL(int, #name, const char *, int, ...);                                                                      \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & O_CREAT ? va_arg(rest, int) : 0;                                                            \
        va_end(rest);                                                                                                  \
        return made(path, flags, mode, real);                                                                          \
    }
OPEN(open)
OPEN(open64)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    char path[PATH_MAX_BYTES];
    if (!path_of(fd, path)) return real(fd, data, size, offset);
    pthread_mutex_lock(&order);
    ssize_t done = real(fd, data, size, offset);
    if (done > 0) record('W', path, offset, done, data);
    pthread_mutex_unlock(&order);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX_BYTES];
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    if (!path_of(fd, path)) return real_write(fd, data, size);
    pthread_mutex_lock(&order);
    off_t offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = real_write(fd, data, size);
    if (done > 0) record('W', path, offset, done, data);
    pthread_mutex_unlock(&order);
    return done;
}

/* A sync counts for what was written before it began: its record stands where it began only if nothing else is written
   meanwhile, which the lock sees to. */
static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX_BYTES];
    if (!path_of(fd, path)) return real(fd);
    pthread_mutex_lock(&order);
    int result = real(fd);
    if (!result) record('S', path, 0, 0, 0);
    pthread_mutex_unlock(&order);
    return result;
}
int fsync(int fd) { REAL(int, "fsync", int); return synced(fd, real); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return synced(fd, real); }

int ftruncate64(int fd, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    char path[PATH_MAX_BYTES];
    if (!path_of(fd, path)) return real(fd, length);
    pthread_mutex_lock(&order);
    int result = real(fd, length);
    if (!result) record('T', path, length, 0, 0);
    pthread_mutex_unlock(&order);
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!is_ours(path)) return real(path);
    pthread_mutex_lock(&order);
    int result = real(path);
    if (!result) record('U', path, 0, 0, 0);
    pthread_mutex_unlock(&order);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (!is_ours(from)) return real(from, to);
    pthread_mutex_lock(&order);
    int result = real(from, to);
    if (!result) record('R', from, 0, strlen(to), to);
    pthread_mutex_unlock(&order);
    return result;
}
