// A stream as FLV in a file or a pipe.
//
// What comes goes through a stream log with one viewer, as in the server: so the times of a
// publisher who begins again are moved behind what was there, and a reader of the pipe who is too
// slow skips to the newest key frame instead of holding up the network or filling the memory. A
// file's writes may wait for the disk: then nothing else of use could be done.
#ifndef CV_CLI_SINK_H
#define CV_CLI_SINK_H

#include "base/err.h"
#include "proto/message.h"

#include <stdint.h>

struct cv_sink;
struct cv_loop;

// on_end is called once, never inside a function of this header: CV_OK behind cv_sink_finish, when
// everything is written; CV_E_CLOSED when the pipe's reader has gone; CV_E_SYSTEM, CV_E_NOMEM;
// `why` is a sentence. It may free the sink.
typedef void cv_sink_end_fn(void *arg, int code, const struct cv_why *why);

// Opens `path`, or takes standard output for "-". What a file held is cut off only when something
// is to be written. A named pipe waits for its reader: so this is called before signals are taken
// over. 0 and *out_fd; or CV_E_SYSTEM with *why.
int cv_sink_descriptor(int *out_fd, const char *path, struct cv_why *why);
// The descriptor is the sink's from now on, and closed on failure, too. NULL: no memory.
struct cv_sink *cv_sink_new(struct cv_loop *loop, int fd, const char *path, cv_sink_end_fn *on_end,
                            void *arg);
// Takes a message, and a reference of its own to the payload.
void cv_sink_put(struct cv_sink *sink, const struct cv_msg *msg);
// The connection was cut and goes on.
void cv_sink_resumed(struct cv_sink *sink);
// Nothing more comes.
void cv_sink_finish(struct cv_sink *sink);
// Stream time that was written.
uint64_t cv_sink_time_ms(const struct cv_sink *sink);
// Messages that a slow reader did not get.
uint64_t cv_sink_skipped(const struct cv_sink *sink);
// Standard output has its flags again. *sink is cleared; NULL inside is allowed. The loop must run,
// or be freed, afterwards.
void cv_sink_free(struct cv_sink **sink);

#endif
