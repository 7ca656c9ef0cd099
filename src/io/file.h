// Files that are read without ever blocking a loop: on the helper threads of the process, answered
// on the loop.
//
// A file has at most one job on its way, and a disk at most CV_LIMIT_FILE_JOBS, since all disks and
// name look-ups share the threads; more jobs wait in line. A job owns what it touches: a file may
// be closed at any time.
#ifndef CV_IO_FILE_H
#define CV_IO_FILE_H

#include "base/block.h"

#include <stdbool.h>

struct cv_file;
struct cv_loop;

// A loop's way to its files; embedded in its owner, which must outlive the loop. The members are
// its own.
struct cv_disk {
    struct cv_loop *loop;
    unsigned running;
    struct cv_file *waiting; // list
};

void cv_disk_init(struct cv_disk *disk, struct cv_loop *loop);

struct cv_file_info {
    bool folder; // a folder was found, and nothing is open: the other fields are 0
    uint64_t size;
    int64_t modified_s; // since 1970, UTC
    uint32_t modified_ns;
};

// Told on the loop, never inside a function of this header. Either may close the file.
struct cv_file_user {
    // `code` 0, and `info` is lent for the call; or CV_E_NOT_FOUND, CV_E_DENIED (also for what is
    // no regular file), CV_E_NO_DESCRIPTORS, CV_E_NOMEM, CV_E_SYSTEM. In any case the file is to be
    // closed.
    void (*opened)(void *arg, int code, const struct cv_file_info *info);
    // `code` 0 and exactly the bytes that were asked for, a reference of the callee's; or
    // CV_E_TRUNCATED (the file ends before), CV_E_NOMEM, CV_E_SYSTEM.
    void (*read)(void *arg, int code, struct cv_block *block);
};

// Opens a regular file below the folder `root` (an absolute path, looked up each time), as
// io/beneath.h does: `path`, or, with an `index`, the file of this name in the folder `path`, where
// "" is the root itself. The names are copied.
// NULL, and no call, when there is no memory.
struct cv_file *cv_file_open(struct cv_disk *disk, const char *root, const char *path,
                             const char *index, const struct cv_file_user *user, void *arg);
// Reads `len` bytes (> 0) from `offset` on. Only when it is open, and one read at a time.
void cv_file_read(struct cv_file *file, uint64_t offset, size_t len);
// Its user hears nothing any more and *file is cleared. NULL is allowed. The loop must run, or be
// freed, afterwards.
void cv_file_close(struct cv_file **file);

#endif
