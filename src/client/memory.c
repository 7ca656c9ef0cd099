#include "client/memory.h"

#include "base/mem.h"
#include "client/memory_text.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_LOOK_MS = 1 };

static const char place[] = "memory";
static const char beside[] = ".new"; // what is written before it gets the file's name

void cv_memory_default_path(char *out, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int len = 0;
    if (state && state[0] == '/') // relative ones count as not set: XDG Base Directory, 2
        len = snprintf(out, size, "%s/culvert/networks", state);
    else if (home && home[0] == '/')
        len = snprintf(out, size, "%s/.local/state/culvert/networks", home);
    if (len <= 0 || (size_t)len >= size)
        out[0] = '\0';
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// ---- reading ----------------------------------------------------------------------------------

// All that the descriptor gives, of a regular file of at most CV_LIMIT_MEMORY_BYTES; else nothing.
// `buffer` has room for one byte more.
static struct cv_text read_all(int fd, char *buffer)
{
    struct stat status;
    size_t len = 0;
    ssize_t got = 0;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return (struct cv_text){0};
    while (len <= CV_LIMIT_MEMORY_BYTES &&
           (got = read(fd, buffer + len, CV_LIMIT_MEMORY_BYTES + 1 - len)) > 0)
        len += (size_t)got;
    return got == 0 ? (struct cv_text){buffer, len} : (struct cv_text){0};
}

// The file's text, in a buffer of the caller's; nothing when it cannot be read. A link is not
// followed, a pipe not waited for.
static struct cv_text read_file(int folder, const char *name, char *buffer)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return (struct cv_text){0};
    struct cv_text text = read_all(fd, buffer);
    close(fd);
    return text;
}

bool cv_memory_find(const char *path, const char *network, const char *server, uint64_t now_s,
                    struct cv_memory_entry *out)
{
    char *buffer = cv_mem_alloc(CV_LIMIT_MEMORY_BYTES + 1);
    if (!buffer)
        return false;
    struct cv_text text = read_file(AT_FDCWD, path, buffer);
    bool found = cv_memory_text_find(text, cv_text_of(network), cv_text_of(server), now_s, out);
    cv_mem_free(buffer);
    return found;
}

// ---- writing ----------------------------------------------------------------------------------

static int fail(const char *what, const char *path, int system_errno, struct cv_why *why)
{
    bool denied = system_errno == EACCES || system_errno == EPERM || system_errno == EROFS;
    return cv_why_set(why, denied ? CV_E_DENIED : CV_E_SYSTEM, place, "cannot %s %s: %s", what,
                      path, strerror(system_errno));
}

// Makes each folder of `path` that is not there. What is there is not looked at: opening it tells.
static int make_folders(char *path, struct cv_why *why)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return fail("make", path, errno, why);
        *at = end;
        if (end == '\0')
            return CV_OK;
    }
}

// Opens the folder that the file is in, and makes it when it is not there. A descriptor, or an
// error.
static int open_folder(const char *path, struct cv_why *why)
{
    char folder[PATH_MAX];
    int len = snprintf(folder, sizeof folder, "%.*s", (int)(name_of(path) - path), path);
    if (len == 0)
        len = snprintf(folder, sizeof folder, ".");
    if (len < 0 || (size_t)len >= sizeof folder)
        return fail("open", path, ENAMETOOLONG, why);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        int err = make_folders(folder, why);
        if (err != CV_OK)
            return err;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd >= 0 ? fd : fail("open", folder, errno, why);
}

// One process at a time writes in a folder; the lock ends with the descriptor.
static int lock_folder(int folder, const char *path, struct cv_why *why)
{
    uint64_t until_us = cv_clock_now_us() + (uint64_t)CV_MEMORY_LOCK_MS * 1000;
    while (flock(folder, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail("lock", path, errno, why);
        if (cv_clock_now_us() >= until_us)
            return fail("lock", path, EBUSY, why);
        (void)poll(NULL, 0, LOCK_LOOK_MS);
    }
    return CV_OK;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        bytes += put;
        len -= (size_t)put;
    }
    return 0;
}

// Writes a file of this name that nobody else has: not even one that a link leads to. 0 or errno.
static int write_new(int folder, const char *name, struct cv_text text)
{
    (void)unlinkat(folder, name, 0); // of a process that was killed
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int failed = write_all(fd, text.at, text.len);
    if (close(fd) != 0 && !failed)
        failed = errno;
    return failed;
}

// Under the lock. Not synced: after a power cut an old file, or none, is as good.
static int replace(int folder, const char *path, struct cv_text text, struct cv_why *why)
{
    const char *name = name_of(path);
    char fresh[NAME_MAX + 1];
    int len = snprintf(fresh, sizeof fresh, "%s%s", name, beside);
    if (len < 0 || (size_t)len >= sizeof fresh)
        return fail("write", path, ENAMETOOLONG, why);
    int failed = write_new(folder, fresh, text);
    if (!failed && renameat(folder, fresh, folder, name) != 0)
        failed = errno;
    if (!failed)
        return CV_OK;
    (void)unlinkat(folder, fresh, 0);
    return fail("write", path, failed, why);
}

// What a put needs at once.
struct buffers {
    char old[CV_LIMIT_MEMORY_BYTES + 1];
    char fresh[CV_LIMIT_MEMORY_BYTES];
};

int cv_memory_put(const char *path, const char *network, const char *server,
                  const struct cv_memory_entry *entry, struct cv_why *why)
{
    struct cv_text of = cv_text_of(network);
    struct cv_text at = cv_text_of(server);
    if (!cv_memory_is_word(of, CV_LIMIT_NETWORK_BYTES) ||
        !cv_memory_is_word(at, CV_LIMIT_MEMORY_SERVER_BYTES))
        return cv_why_set(why, CV_E_USAGE, place, "not a name: %s at %s", server, network);
    struct buffers *buffers = cv_mem_alloc(sizeof *buffers);
    if (!buffers)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for %s", path);
    int folder = open_folder(path, why);
    int err = folder < 0 ? folder : lock_folder(folder, path, why);
    if (err == CV_OK) {
        struct cv_text old = read_file(folder, name_of(path), buffers->old);
        size_t len = cv_memory_text_put(buffers->fresh, old, of, at, entry);
        err = replace(folder, path, (struct cv_text){buffers->fresh, len}, why);
    }
    if (folder >= 0)
        close(folder);
    cv_mem_free(buffers);
    return err;
}
