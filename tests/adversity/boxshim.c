// Gives a process the machine id of another box: whoever opens /etc/machine-id gets the file $BOX_FILE. Preloaded by the tests.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const char *instead(const char *path) {
    const char *other = getenv("BOX_FILE");
    return other && path && strcmp(path, "/etc/machine-id") == 0 ? other : path;
}

#define MODE(flags)                                     \
    mode_t mode = 0;                                    \
    if ((flags) & (O_CREAT | O_TMPFILE)) {              \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode = va_arg(rest, mode_t);                    \
        va_end(rest);                                   \
    }

#define SHIM(name)                                                                   \
    int name(const char *path, int flags, ...) {                                     \
        MODE(flags)                                                                  \
        int (*real)(const char *, int, ...) =                                        \
            (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                \
        return real(instead(path), flags, mode);                                     \
    }

SHIM(open)
SHIM(open64)
