// The bytes of a file or a pipe, a block at a time, for a loop that must never wait for them.
//
// A pipe or socket is watched and read on the loop. A regular file is always "ready", so that only
// its read tells whether the disk (or a file server) lets one wait: it is read on a helper thread.
#ifndef CV_IO_READER_H
#define CV_IO_READER_H

#include <stdbool.h>
#include <stddef.h>

struct cv_loop;
struct cv_reader;

// Called once for each cv_reader_want, never inside it: `code` 0 and `len` bytes, lent for the
// call, none at the end; or CV_E_SYSTEM, with errno as in the system's tables. It may close the
// reader.
typedef void cv_reader_fn(void *arg, int code, const void *data, size_t len);

// The descriptor is the reader's on success and is closed with it. NULL: no memory.
struct cv_reader *cv_reader_new(struct cv_loop *loop, int fd, cv_reader_fn *fn, void *arg);
// A regular file, which can begin again.
bool cv_reader_is_file(const struct cv_reader *reader);
// The next block is wanted. One at a time.
void cv_reader_want(struct cv_reader *reader);
// Files: the next block is the first one. Not while one is wanted.
void cv_reader_rewind(struct cv_reader *reader);
// Calls nothing any more and clears *reader. NULL inside is allowed. The loop must run, or be
// freed, afterwards.
void cv_reader_close(struct cv_reader **reader);

#endif
