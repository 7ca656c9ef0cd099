// Header fields of HTTP/1: names without case, lists of tokens, and which fields end at a proxy.
// RFC 9110, sections 5 and 7.6.1.
#ifndef CV_PROTO_HTTP1_FIELDS_H
#define CV_PROTO_HTTP1_FIELDS_H

#include "base/text.h"

struct cv_http1_field {
    struct cv_text name;  // as sent
    struct cv_text value; // without the blanks around it; a fold has become blanks
};

// Borrowed: whoever made the list says how long it lives.
struct cv_http1_fields {
    const struct cv_http1_field *at;
    size_t count;
};

// A byte of a token: of a method, a field's name. RFC 9110, 5.6.2.
bool cv_http1_token_char(char c);
// A byte of a field's value: tab, blank, visible, or above ASCII. Never CR, LF, NUL. 5.5.
bool cv_http1_value_char(char c);
bool cv_http1_is_token(struct cv_text text); // not empty
bool cv_http1_is_value(struct cv_text text); // may be empty

// Without the case of ASCII letters.
bool cv_http1_name_is(struct cv_text name, const char *literal);
// Without the blanks and tabs at both ends.
struct cv_text cv_http1_trim(struct cv_text text);

// The value of the first field of this name; `at` is NULL when there is none.
struct cv_text cv_http1_find(struct cv_http1_fields fields, const char *name);
// How many fields have this name.
size_t cv_http1_count(struct cv_http1_fields fields, const char *name);

// Takes the next element off a list of "a, b, c", trimmed; empty elements are skipped. False when
// there is none left.
bool cv_http1_token_take(struct cv_text *list, struct cv_text *out_token);
// Whether the list of this name, over all fields that carry a part of it, has the token (no case).
bool cv_http1_has_token(struct cv_http1_fields fields, const char *name, const char *token);

// Whether a proxy must drop the field: it is one of the table (Connection, Keep-Alive, Proxy-*, TE,
// Trailer, Transfer-Encoding, Upgrade), or Connection names it. Host and Content-Length stay
// whatever Connection says: a sender must not take the framing away.
bool cv_http1_is_hop_by_hop(struct cv_http1_fields fields, struct cv_text name);

// host[:port] as in Host and in an absolute target: a name, an IPv4 address or an [IPv6 literal],
// with digits for a port of at most 65535 (or none behind the colon). No user, never empty.
bool cv_http1_is_authority(struct cv_text text);
// Whether a Location (RFC 9110, 10.2.2) leads to another host than that of the authority, whatever
// the port: "http://other/..." or "//other/...".
bool cv_http1_leads_elsewhere(struct cv_text location, struct cv_text authority);

#endif
