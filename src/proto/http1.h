// The HTTP/1 engine: requests of a client, or responses of an upstream server, out of bytes.
//
// No I/O and no clock: bytes go in by feed, events are pulled by next; what is sent is written with
// proto/http1_write.h. Heads are parsed by http-parser; in front of it and behind it stand refusals
// of whatever two programs could read in two ways (request smuggling). RFC 9112, RFC 9110.
//
// One message at a time: HEAD, BODY as often as bytes come, END. Behind END the engine stands still
// until cv_http1_resume (requests) or cv_http1_expect (responses), so that the owner can answer
// first. Every failure is for good: the stream has no known boundary any more. One thread at a
// time.
#ifndef CV_PROTO_HTTP1_H
#define CV_PROTO_HTTP1_H

#include "base/err.h"
#include "base/wire.h"
#include "proto/http1_fields.h"

enum cv_http1_role { CV_HTTP1_REQUESTS, CV_HTTP1_RESPONSES };

// The methods that something here depends on.
enum cv_http1_method {
    CV_METHOD_OTHER, // known to the parser (WebDAV and such): method_text tells
    CV_METHOD_GET,
    CV_METHOD_HEAD,
    CV_METHOD_POST,
    CV_METHOD_PUT,
    CV_METHOD_DELETE,
    CV_METHOD_OPTIONS,
    CV_METHOD_PATCH,
    CV_METHOD_CONNECT, // never in a request: refused with 501, as TRACE is
};

enum cv_http1_framing {
    CV_HTTP1_NONE,        // no body
    CV_HTTP1_LENGTH,      // Content-Length, 1 byte or more
    CV_HTTP1_CHUNKED,     // Transfer-Encoding: chunked
    CV_HTTP1_UNTIL_CLOSE, // responses: ends with the connection
};

struct cv_http1_head {
    uint32_t minor; // HTTP/1.minor: 0 or 1
    struct cv_http1_fields fields;
    enum cv_http1_framing framing;
    uint64_t length; // LENGTH: bytes of the body; else 0
    bool keep_alive; // the sender keeps the connection open behind this message
    bool upgrade;    // Upgrade is there, and Connection names it. Responses: this is a 101

    // requests
    enum cv_http1_method method;
    struct cv_text method_text;
    struct cv_text target;    // as sent
    struct cv_text scheme;    // absolute form: http or https, as sent; else empty
    struct cv_text authority; // absolute form: host[:port]; else empty
    struct cv_text path;      // begins with '/', or is "*"
    struct cv_text query;     // behind '?'; `at` is NULL when there is no '?'
    struct cv_text host;      // host[:port] that is meant: authority, else Host; empty in HTTP/1.0
    bool expects_continue;    // the body comes only after "100 Continue"

    // responses
    uint32_t status; // 100 to 599
    struct cv_text reason;
};

enum cv_http1_event_type {
    CV_HTTP1_HEAD,    // head
    CV_HTTP1_BODY,    // body: the next bytes of it, never empty; lent from what was fed
    CV_HTTP1_END,     // the message is complete; trailers were read and dropped
    CV_HTTP1_INTERIM, // responses: a 1xx head other than 101; the final HEAD follows
};

// head is set in every event, and lent until the first call of next, resume or expect behind END
// (INTERIM: the next call of next). body is lent until the next call of next, feed or free.
struct cv_http1_event {
    enum cv_http1_event_type type;
    const struct cv_http1_head *head;
    struct cv_text body;
};

// Where the engine is: which time-out its owner should apply.
enum cv_http1_phase {
    CV_HTTP1_IDLE, // nothing of a message has come
    CV_HTTP1_IN_HEAD,
    CV_HTTP1_IN_BODY,
    CV_HTTP1_PAUSED, // behind END, or no response is expected
    CV_HTTP1_FAILED,
};

struct cv_http1;

// NULL: no memory.
struct cv_http1 *cv_http1_new(enum cv_http1_role role);
void cv_http1_free(struct cv_http1 *http);

// Lends bytes to the engine. They must stay valid until next has returned 0 or less and, when that
// was behind END, the owner has taken what is left by cv_http1_unread or has resumed. feed must not
// be called while bytes are left.
void cv_http1_feed(struct cv_http1 *http, const void *data, size_t len);
// The peer has closed its side: no more bytes come. next then ends a body that lasts until close,
// and fails with CV_E_TRUNCATED in the middle of a message.
void cv_http1_feed_end(struct cv_http1 *http);
// 1 and the next event; 0 when it needs more bytes, or stands behind END; negative when it has
// failed: CV_E_HTTP, CV_E_TOO_LONG, CV_E_TRUNCATED or CV_E_NOMEM.
int cv_http1_next(struct cv_http1 *http, struct cv_http1_event *out);
// What was fed and not read: requests that were sent without waiting, or, behind an upgrade, bytes
// of another protocol. They are given back: the engine forgets them.
struct cv_rd cv_http1_unread(struct cv_http1 *http);
// The text of the head that HEAD told of, lent as the head is: fed to another engine, together with
// what is unread here, it makes the same message of it.
struct cv_text cv_http1_head_text(const struct cv_http1 *http);

// Requests: goes on with the next one. Only behind END.
void cv_http1_resume(struct cv_http1 *http);
// Responses: a request with this method was sent, its response may come. Only at the beginning and
// behind END. A 101 is accepted only if `upgrade` was asked for.
void cv_http1_expect(struct cv_http1 *http, enum cv_http1_method method, bool upgrade);
// The most bytes that a body may have, from now on and for the next messages: typically set at
// HEAD, by what the request is for; next then refuses a longer body with 413 before any byte of it.
// At the beginning CV_HTTP_BODY_BYTES_MAX; UINT64_MAX: no limit.
void cv_http1_set_body_max(struct cv_http1 *http, uint64_t bytes);

enum cv_http1_phase cv_http1_phase(const struct cv_http1 *http);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_http1_why(const struct cv_http1 *http);
// The status with which a server answers the failure, and then closes: 400, 413, 414, 417, 431,
// 500, 501 or 505; 502 always for responses. 0 while there is no failure.
uint32_t cv_http1_refusal(const struct cv_http1 *http);

// The value of the first field of this name (no case); `at` is NULL when there is none.
struct cv_text cv_http1_header(const struct cv_http1_head *head, const char *name);

#endif
