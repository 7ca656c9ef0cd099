// The resource path: one name for a stream, however the client cut its URL in two.
//
// Clients split rtmp://h/live/x/y?key=K into app and name at different slashes, so the server joins
// the two again and routes on the result. The parameters of a query may come with the tcUrl, the
// app or the name. Not a standard's rule; what clients send was measured.
#ifndef CV_BASE_PATH_H
#define CV_BASE_PATH_H

#include "base/limits.h"
#include "base/text.h"

#include <stddef.h>

// Normal form, "live/a/b": at least one element, no slash at either end, no element that is empty,
// "." or "..", no control character and no backslash. Decoded: a '%', '?' or '#' in it is itself.
// Bytes from 0x80 up are kept as they came and need not be UTF-8.
struct cv_path {
    char text[CV_LIMIT_PATH_BYTES + 1]; // NUL-terminated
    size_t len;
};

// Joins what connect (app) and publish or play (name) carried. Queries are cut, both are
// percent-decoded once, slashes collapse. What Flash servers understand by a path means the same
// here: a stream type ("mp4:x", "flv:x") is cut from an element, and the default instance
// ("live/_definst_") is dropped. Either may be empty, so a path may have one element only: a
// server must check that a stream's name is there.
// 0; CV_E_TOO_LONG for an app, name or path past its limit; CV_E_SYNTAX for what is forbidden above
// and for a path without elements.
int cv_path_join(struct cv_path *out, struct cv_text app, struct cv_text name);

// The query of a URL, app or name: what is behind the first '?'; empty when there is none.
struct cv_text cv_query_of(struct cv_text text);

// Finds the parameter `key` in a query ("a=1&b=2", without the '?'), and when it is there several
// times, the last one. `out` gets the percent-decoded value and a NUL.
// Returns the value's length ("key" and "key=" have length 0), CV_E_NOT_FOUND, CV_E_TOO_LONG when
// `size` bytes cannot hold value and NUL, or CV_E_SYNTAX when the value has a NUL in it.
int cv_query_get(struct cv_text query, const char *key, char *out, size_t size);

// The three texts of a connection that may carry a query, whole, as they came; any may be empty.
struct cv_query_places {
    struct cv_text tc_url;
    struct cv_text app;
    struct cv_text name;
};

// As cv_query_get, over all three: name before app before tcUrl. An empty value counts, too.
int cv_query_find(const struct cv_query_places *places, const char *key, char *out, size_t size);

#endif
