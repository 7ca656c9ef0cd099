// When a certificate is asked for, what was said about a failure, and what is remembered of it:
// the part of server/acme.h that acts on nothing and reads no clock.
//
// Asked for at once when there is none, renewed when a third of its life is left; not before a wait
// behind a failure is over. Times are seconds since 1970, and may jump.
#ifndef CV_SERVER_ACME_PLAN_H
#define CV_SERVER_ACME_PLAN_H

#include "base/limits.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

// The certificate that is there.
struct cv_acme_have {
    bool fits; // there is one, for all names that are wanted; else the others mean nothing
    int64_t not_before_s;
    int64_t not_after_s;
};

// What must outlive a restart, so that an authority is never pestered.
struct cv_acme_past {
    uint32_t failures; // in a row; 0: none
    int64_t failed_s;  // the last one
    bool limited;      // the authority said that it is asked too often
};

// When it is due, without any wait. `jitter`: any number, the same one as long as the process
// lives; so not all servers come at the same time.
int64_t cv_acme_due_s(const struct cv_acme_have *have, uint32_t jitter, int64_t now_s);
// How long to wait behind so many failures.
int64_t cv_acme_wait_s(const struct cv_acme_past *past, uint32_t jitter);
// When to ask: due, and behind the wait. `hurried`: an administrator has looked into it, and the
// wait is the shortest one, unless the authority has had enough. now_s or earlier: now.
int64_t cv_acme_ask_s(const struct cv_acme_have *have, const struct cv_acme_past *past,
                      uint32_t jitter, bool hurried, int64_t now_s);
// How long to sleep until then, in seconds from 1 to CV_ACME_LOOK_S.
int64_t cv_acme_sleep_s(int64_t ask_s, int64_t now_s);
// One more failure.
void cv_acme_fail(struct cv_acme_past *past, bool limited, int64_t now_s);

// The past as text, with the words that were asked (`asked`, one line): a file of another question
// tells nothing. False when `size` is too small.
bool cv_acme_past_write(const struct cv_acme_past *past, const char *asked, char *out, size_t size);
// The past in a text, or one without failures where it is of something else or malformed.
struct cv_acme_past cv_acme_past_read(struct cv_text text, const char *asked);

// What is learned from the output of a run that may fail.
struct cv_acme_heard {
    char words[CV_LIMIT_LOG_VALUE_BYTES]; // the line that says most, cut; "": none did
    const char *advice;                   // what to do, static; NULL: not known
    bool limited;
    uint32_t lines;
};

// A line of output without the time and the blanks before what it says.
struct cv_text cv_acme_words(struct cv_text line);
// The next line, as it came or as words.
void cv_acme_hear(struct cv_acme_heard *heard, struct cv_text line);

#endif
