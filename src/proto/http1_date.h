// Dates of HTTP: "Sun, 06 Nov 1994 08:49:37 GMT". RFC 9110, section 5.6.7.
//
// Seconds since 1970, UTC, without leap seconds. No clock and no locale.
#ifndef CV_PROTO_HTTP1_DATE_H
#define CV_PROTO_HTTP1_DATE_H

#include "base/text.h"

enum { CV_HTTP1_DATE_CHARS = 29 };

// Writes 29 characters and a NUL. A time before 1970 or behind the year 9999 becomes the nearest
// that is inside.
void cv_http1_date_write(char out[CV_HTTP1_DATE_CHARS + 1], int64_t unix_s);

// Reads the present form and the two old ones ("Sunday, 06-Nov-94 08:49:37 GMT" and
// "Sun Nov  6 08:49:37 1994"). Two digits of a year mean the one that is at most 50 years ahead of
// `now_s`. Years from 1583 on (0000 to 1582 had another calendar), and no blanks around it; the
// name of the day must be one, but need not fit the date. A leap second is the first of the next
// minute. 0, or CV_E_SYNTAX with *out_s untouched.
int cv_http1_date_parse(struct cv_text text, int64_t now_s, int64_t *out_s);

#endif
