#include "io/beneath.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
    RETRIES = 16, // the kernel saw the path change while it looked, and is not sure
};

int cv_open_error(int system_errno)
{
    switch (system_errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP: // a link where none is followed
    case EXDEV: // the way leads outside
        return CV_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case ENXIO: // a socket, or a device
    case ENODEV:
        return CV_E_DENIED;
    case EMFILE:
    case ENFILE:
        return CV_E_NO_DESCRIPTORS;
    case ENOMEM:
        return CV_E_NOMEM;
    default:
        return CV_E_SYSTEM;
    }
}

// ---- step by step ---------------------------------------------------------------------------

static bool is_name(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// Opens one name in *folder, which is closed unless it is the first one.
static int step(int *folder, int first, const char *name, int flags)
{
    int fd = CV_E_NOT_FOUND;
    if (is_name(name)) {
        fd = openat(*folder, name, flags | O_NOFOLLOW);
        fd = fd < 0 ? cv_open_error(errno) : fd;
    }
    if (*folder != first)
        close(*folder);
    *folder = fd;
    return fd;
}

int cv__open_beneath_stepwise(int folder, const char *path)
{
    int at = folder;
    char name[NAME_MAX + 1];
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        size_t len = (size_t)(slash - path);
        if (len > NAME_MAX)
            len = 0;
        memcpy(name, path, len);
        name[len] = '\0';
        if (step(&at, folder, name, O_PATH | O_DIRECTORY | O_CLOEXEC) < 0)
            return at;
    }
    return step(&at, folder, path, FLAGS);
}

// ---- at once --------------------------------------------------------------------------------

int cv_open_beneath(int folder, const char *path)
{
    const struct open_how how = {.flags = FLAGS,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd;
    int tries = 0;
    do
        fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < RETRIES);
    if (fd >= 0)
        return (int)fd;
    // An old kernel, or a filter of system calls that does not know it.
    if (errno == ENOSYS || errno == EPERM)
        return cv__open_beneath_stepwise(folder, path);
    return cv_open_error(errno);
}
