// One request on its way to the site, and its answer on the way back: the state that site_proxy.c
// and site_answer.c share. For nobody else.
#ifndef CV_SERVER_SITE_EXCHANGE_H
#define CV_SERVER_SITE_EXCHANGE_H

#include "io/loop.h"
#include "proto/http1.h"
#include "server/leftover.h"
#include "server/upstream.h"

struct cv_web;

enum { CV_CHUNK_HEAD_BYTES = 10 }; // eight hex digits and the line's end

struct cv_exchange {
    struct cv_web *web;
    struct cv_worker *worker;
    struct cv_upstream *upstream; // owned; NULL: not yet, or the answer is complete
    struct cv_upstream_ask ask;
    struct cv_timer timer;
    uint64_t heard_us;            // when the site last did something, or its turn began
    struct cv_block *head;        // of the request, until the answer begins: it may be sent again
    struct cv_leftover to_site;   // what has been read of the request
    struct cv_leftover to_client; // what has been read of the answer
    enum cv_http1_method method;
    uint32_t minor;                // of the client
    enum cv_http1_framing framing; // of the answer, for the client
    bool chunked;                  // the request's body
    bool upgrades;                 // the site may answer with 101
    bool idempotent;
    bool retried;
    bool request_ended; // by the client
    bool head_sent;     // to the site, if only to the leftover
    bool body_sent;     // some of it
    bool deaf;          // the site takes no more of the request
    bool begun;         // bytes of an answer have come
    bool wrote;         // something has been written to the client
    bool answered;      // the final head has been written
    bool answer_ended;  // all of it has been read
    bool site_keeps;    // its connection, behind the answer
    bool keep;          // the client's connection, behind the answer
    bool switched;      // the answer is a 101
};

// The thread's gather, empty.
struct cv_gather *cv_exchange_gather(const struct cv_exchange *exchange);
// Adds a static text.
void cv_exchange_literal(struct cv_gather *gather, const char *text);
// Fills a chunk's head into the place of CV_CHUNK_HEAD_BYTES that was reserved for it.
void cv_exchange_chunk_head(struct cv_gather *gather, int place, size_t len);

// Writes what the site's engine has been fed to the client, or keeps it. *out_client: 0, or what
// the client's connection failed with. 0, or what is wrong with the answer.
int cv_exchange_pass_on(struct cv_exchange *exchange, int *out_client);

#endif
