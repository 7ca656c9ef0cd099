// Which file of a site a request means: from the path of a URL to one below the site's folder.
//
// Percent-decoded once. What could lead out of the folder, or mean another file to somebody else,
// is refused and not repaired; the opening does not trust this either (io/beneath.h).
#ifndef CV_PROTO_SITE_PATH_H
#define CV_PROTO_SITE_PATH_H

#include "base/limits.h"
#include "base/text.h"

// "a/b.html": no slash at either end, each element 1 to CV_LIMIT_SITE_NAME_BYTES bytes; "" is the
// folder itself. Bytes from 0x80 up are kept as they came and need not be UTF-8.
struct cv_site_path {
    char text[CV_LIMIT_SITE_PATH_BYTES + 1]; // NUL-terminated
    size_t len;
    bool folder; // it ended in a slash: only a folder is meant
};

// `path` is a request's path, still encoded, without its query: it begins with a slash.
// 0, or, with *out untouched: CV_E_SYNTAX (400) for "." and ".." in any spelling, an encoded slash,
// a backslash, a NUL or another control character, a malformed escape, or no slash at the
// beginning; CV_E_NOT_FOUND for an empty element, a name that begins with a dot (but
// "/.well-known/", RFC 8615), and anything that is too long for a file.
int cv_site_path_parse(struct cv_site_path *out, struct cv_text path);

#endif
