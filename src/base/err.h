// Error codes, their classes, and the first failure of an object.
#ifndef CV_BASE_ERR_H
#define CV_BASE_ERR_H

enum cv_err {
    CV_OK = 0,
#define CV_ERR(name, value, class, text) CV_E_##name = (value),
#include "base/err_table.h"
#undef CV_ERR
};

enum cv_err_class {
    CV_CLASS_NONE,
    CV_CLASS_AGAIN,
    CV_CLASS_GONE,
    CV_CLASS_PEER,
    CV_CLASS_REFUSED,
    CV_CLASS_USAGE,
    CV_CLASS_NOMEM,
    CV_CLASS_LIMIT,
    CV_CLASS_SYSTEM,
    CV_CLASS_BUG,
};

// The code's short name ("CHUNK_SIZE"), for logs. Static; never NULL.
const char *cv_err_name(int code);
// What the code means, in words. Static; never NULL.
const char *cv_err_text(int code);
// What to do about it. CV_CLASS_BUG for codes that are not in the table.
enum cv_err_class cv_err_class(int code);

// The first failure of a long-lived object: which code, where, and what exactly.
struct cv_why {
    int code;          // CV_OK while nothing failed
    const char *place; // static text: "chunk", "amf0", "connect"
    char text[160];    // the particulars; peer bytes in it are escaped
};

// Records the failure unless one is there already, and returns `code`, so that a function can end
// in `return cv_why_set(...)`. `why` may be NULL. The format's result is cut and made printable.
int cv_why_set(struct cv_why *why, int code, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
