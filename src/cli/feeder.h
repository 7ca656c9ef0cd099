// An FLV file or pipe, sent as a live stream: read in small blocks, each message when it is due.
#ifndef CV_CLI_FEEDER_H
#define CV_CLI_FEEDER_H

#include "base/err.h"
#include "proto/message.h"

#include <stdbool.h>

struct cv_feeder;
struct cv_loop;

struct cv_feeder_config {
    struct cv_loop *loop;
    int fd;           // the feeder's on success
    const char *name; // borrowed: for sentences
    bool loops;       // a file begins again at its end
    // Takes a message, and a reference of its own to the payload. CV_E_AGAIN: it does not, and
    // cv_feeder_resume follows; other errors end the feeder.
    int (*send)(void *arg, const struct cv_msg *msg);
    // The end, once, never inside a function of this header: CV_OK where the data end; or
    // CV_E_FLV, CV_E_TRUNCATED, CV_E_TOO_LONG (it is no FLV, or a broken one), CV_E_SYSTEM
    // (it cannot be read), each with a sentence; or what send gave. It may free the feeder.
    void (*on_end)(void *arg, int code, const struct cv_why *why);
    void *arg;
};

// NULL: no memory. It reads at once; a pipe's messages are also sent at once, for they come when
// they come; a file waits for cv_feeder_start, so that the stream does not begin with a backlog.
struct cv_feeder *cv_feeder_new(const struct cv_feeder_config *config);
void cv_feeder_start(struct cv_feeder *feeder);
// There is room again, behind CV_E_AGAIN.
void cv_feeder_resume(struct cv_feeder *feeder);
// Stream time of what was read.
uint64_t cv_feeder_time_ms(const struct cv_feeder *feeder);
// *feeder is cleared; NULL inside is allowed. The loop must run, or be freed, afterwards.
void cv_feeder_free(struct cv_feeder **feeder);

#endif
