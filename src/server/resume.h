// Resume: how a client of ours goes on after a cut as if there had been none. Others never see it.
//
// Publish: the stream's home gives out a token and counts what the stream has of this publishing;
// who comes back with the token is told that number and sends what follows. The token says which
// publishing is meant; it is no permission: key and policy are asked for as always.
//
// Play: an entry of a stream's log has a number (media/streamlog.h), the same on every thread. An
// epoch, which players may know, says which log is meant: it changes with the stream at home. Who
// comes back with the next number goes on there, if nothing from there on is missing.
#ifndef CV_SERVER_RESUME_H
#define CV_SERVER_RESUME_H

#include "base/limits.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CV_RESUME_TOKEN_BYTES = CV_RESUME_TOKEN_CHARS / 2, // clients have it in hex
    CV_RESUME_TELL_MS = 250,                           // between two counts that a client is told
};

struct cv_resume {
    bool wanted;    // the client can resume
    bool has_token; // presented, or given out
    bool replaces;  // its app is full: there is room for it in the place of its old connection only
    uint8_t token[CV_RESUME_TOKEN_BYTES];
    uint64_t taken; // messages (audio, video, data) that the stream has, over all connections
};

struct cv_position {
    uint64_t epoch; // 0: none
    uint64_t number;
};

enum { CV_RESUME_EPOCH_CHARS = 16 }; // as clients have it: hex

// What a client presents: its token, or nothing yet. Anything else is as good as nothing.
struct cv_resume cv_resume_wanted(struct cv_text presented);
// A fresh token, nothing taken. Without random numbers there is no token: then nobody can resume.
struct cv_resume cv_resume_new(void);
// The two mean the same publishing. The time does not depend on the tokens' bytes.
bool cv_resume_equal(const struct cv_resume *a, const struct cv_resume *b);
// The token as text, with a NUL.
void cv_resume_print(const struct cv_resume *resume, char out[CV_RESUME_TOKEN_CHARS + 1]);

// A fresh epoch; 0 without random numbers: then nobody is told positions.
uint64_t cv_position_epoch(void);
// Reads "epoch:number"; anything else is none.
struct cv_position cv_position_wanted(struct cv_text presented);
// The epoch as text, with a NUL.
void cv_position_print(uint64_t epoch, char out[CV_RESUME_EPOCH_CHARS + 1]);

#endif
