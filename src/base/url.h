// URLs as people type them and as connect carries them in tcUrl.
//
// scheme://[user[:password]@]host[:port][/path][?query], RFC 3986 with the habits of RTMP: a '#' is
// an ordinary byte of a path or query, and the query may stand before the stream's name.
#ifndef CV_BASE_URL_H
#define CV_BASE_URL_H

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

enum cv_scheme {
    CV_SCHEME_RTMP,
    CV_SCHEME_RTMPT,
    CV_SCHEME_RTMPS,
    CV_SCHEME_RTMPTS,
    CV_SCHEME_WS,
    CV_SCHEME_WSS,
    CV_SCHEME_HTTP,
    CV_SCHEME_HTTPS,
};

// All texts point into the parsed one, and none is decoded.
struct cv_url {
    enum cv_scheme scheme;
    bool tls;
    bool ipv6;       // host is the inside of a [literal]
    bool port_given; // false: port is the scheme's own, 80 or 443 under TLS
    uint16_t port;
    struct cv_text user; // user and password are empty when not given
    struct cv_text password;
    struct cv_text host;  // letters, digits, "-._"; for IPv6 the address and perhaps a %zone
    struct cv_text path;  // with its first '/'; may be empty
    struct cv_text query; // without '?'; may be empty. Follows the path in memory
};

// 0, or CV_E_URL, or CV_E_TOO_LONG past CV_LIMIT_URL_BYTES; *why (may be NULL) then says what is
// wrong in words that quote nothing, since a URL may hold a password.
int cv_url_parse(struct cv_url *out, struct cv_text text, struct cv_why *why);

// The scheme's name in lower case. Static.
const char *cv_scheme_name(enum cv_scheme scheme);

// The host as a resolver wants it, with a NUL: a zone stands behind a plain '%' (RFC 6874, section
// 2, writes it as "%25"). `out` has room for CV_LIMIT_HOST_BYTES + 1.
void cv_url_host(const struct cv_url *url, char *out);

// What our client sends as app and stream name, as FFmpeg cuts: the app is the first element of the
// path, or the first two of three and more; the name is the rest and the query. With one element
// only, rtmp://h/app?t=1/name is cut in the query, and otherwise the name is empty.
void cv_url_split(const struct cv_url *url, struct cv_text *out_app, struct cv_text *out_name);

#endif
