// A tunnel through an HTTP proxy, from the client's side: CONNECT and the answer to it (RFC 9110,
// section 9.3.6). No I/O.
#ifndef CV_PROTO_HTTP_CONNECT_H
#define CV_PROTO_HTTP_CONNECT_H

#include "proto/http1.h"

struct cv_http_connect_config {
    struct cv_text host; // a name, or an IP address without brackets; a zone is not sent
    uint16_t port;
    struct cv_text user_agent; // may be empty
    struct cv_text user;       // for the proxy, decoded; empty: no credentials
    struct cv_text password;
};

// Writes the request, which has no body. What cannot stand in a head makes the writer fail with
// CV_E_USAGE, as in proto/http1_write.h.
void cv_http_connect_write(struct cv_wr *wr, const struct cv_http_connect_config *config);

// Everything in it is lent until free; `rest` points into what was fed.
struct cv_http_connect_answer {
    const struct cv_http1_head *head; // its status; 2xx: the tunnel stands
    struct cv_text rest; // 2xx: what came behind the head, the tunnel's first bytes; else empty
};

struct cv_http_connect;

// Reads one answer. NULL: no memory.
struct cv_http_connect *cv_http_connect_new(void);
void cv_http_connect_free(struct cv_http_connect *connect);
// The next bytes of the proxy, lent for the call. 1 and the answer, once: nothing may be fed
// afterwards, and the body of one that is not 2xx is not read. 0: more bytes are needed. Negative:
// it has failed for good with an error of cv_http1_next.
int cv_http_connect_feed(struct cv_http_connect *connect, const void *data, size_t len,
                         struct cv_http_connect_answer *out);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_http_connect_why(const struct cv_http_connect *connect);

#endif
