// The head of one HTTP/1 message: strict checks line by line while it comes, http-parser over the
// whole of it, then what follows for body and connection. The inside of proto/http1.h; RFC 9112.
#ifndef CV_PROTO_HTTP1_HEAD_H
#define CV_PROTO_HTTP1_HEAD_H

#include "proto/http1.h"

// A refusal: the status that answers it, and why. status 0: nothing is wrong.
struct cv_http1_wrong {
    uint32_t status;
    const char *text;
};

// What a response answers.
struct cv_http1_asked {
    enum cv_http1_method method;
    bool upgrade;
};

// One complete line, without its CR LF. The first one:
struct cv_http1_wrong cv_http1_check_start(enum cv_http1_role role, struct cv_text line);
// Any other. `folds`: the line before is a field that may be continued; updated for this line.
struct cv_http1_wrong cv_http1_check_field(struct cv_text line, bool *folds);
// The line continues the one before (obs-fold, RFC 9112 5.2).
bool cv_http1_is_fold(struct cv_text line);

// Parses a complete head, from the start line to the empty line, whose lines have been checked and
// unfolded. `room` takes the fields, as many as there are lines. What *out holds points into `text`
// and `room`. On failure *out is not to be used.
struct cv_http1_wrong cv_http1_parse_head(struct cv_http1_head *out, enum cv_http1_role role,
                                          struct cv_http1_asked asked, struct cv_text text,
                                          struct cv_http1_field *room);

#endif
