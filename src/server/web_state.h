// What web.c, web_answer.c and web_tunnel.c share: the state of one HTTP connection. For nobody
// else.
#ifndef CV_SERVER_WEB_STATE_H
#define CV_SERVER_WEB_STATE_H

#include "io/loop.h"
#include "server/conn.h"
#include "server/table.h"
#include "server/tunnel.h"
#include "server/web.h"

enum { CV_WEB_TYPE_BYTES = 64 }; // of a Content-Type that is mirrored

// What becomes of the request that is being read.
enum cv_web_reading {
    CV_WEB_BETWEEN,   // none is
    CV_WEB_WAITING,   // its head has come; what came before is answered first
    CV_WEB_TUNNELLED, // its body goes to the tunnel
    CV_WEB_RESPONDED, // its body goes to the responder
    CV_WEB_DISCARDED, // it has been answered; its body is read away
};

struct cv_web {
    struct cv_conn *conn; // owned; NULL: released
    UT_hash_handle hh;
    struct cv_http1 *http;
    struct cv_timer timer;
    struct cv_block *out;     // an answer, or the head of a reply, that has not left; NULL: none
    struct cv_parcel *parcel; // behind it; NULL: none
    const char *tail;         // behind that; static; NULL: none
    size_t out_sent;          // of all together
    struct cv_block *stash;   // bytes that were read and must wait; NULL: none
    enum cv_web_reading reading;
    uint64_t heard_us; // when the message that is being read began, or bytes last came or left
    int doom_code;     // it ends as soon as nobody works on it
    const char *doom_why;
    bool working;     // its own functions are on the stack: it must not be freed
    bool closes;      // behind the answer
    bool half_closed; // the client has closed its side, and reads on
    bool deaf;        // the client takes nothing any more
    bool lingers;     // our side is closed; what comes is read away
    // a request that has a responder, or waits for one
    const struct cv_http1_head *head;     // lent by the engine; NULL: none
    const struct cv_responder *responder; // NULL: none
    void *responder_arg;                  //
    bool wants_body;                      //
    bool wrote;                           // something of its own answer
    bool blocked;                         // it is to be told when more can be written
    bool passed;                          // a responder has taken it and let it be
    bool owes_continue;                   // the client waits for 100 before it sends the body
    // tunnels
    struct cv_tunnel *tunnel; // whose replies are owed; NULL: none
    uint32_t owed;
    bool replying;   // what is written is the tunnel's
    bool replies_on; // and it is not the end of that reply, which comes in chunks
    // the body that is being read, when its client asks how early its bytes came; then, for the
    // reply
    bool streams;
    uint64_t begun_us;
    uint64_t body_bytes;
    uint64_t spread;   // bytes, times when they came in us from the beginning
    bool tells_early;  // of the newest complete request
    uint64_t early_us; // how long before the end they came, on the average
    // the client whose tunnel it is
    bool cross_origin;    // a page of another site asks: it wants to be allowed
    bool says_keep_alive; // HTTP/1.0: it must be told that the connection stays
    char type[CV_WEB_TYPE_BYTES];
};

// Goes on with what was kept. May free it.
void cv_web_step_on(struct cv_web *web);
// Ends it now. Not while working.
void cv_web_end(struct cv_web *web, enum cv_log_level level, int code, const char *why);
// Ends it as soon as nobody works on it. The first reason counts; `why` is static.
void cv_web_doom(struct cv_web *web, int code, const char *why);
// Something has moved: the time that is allowed begins anew.
void cv_web_restart_clock(struct cv_web *web);
// What is allowed may have changed.
void cv_web_rearm(struct cv_web *web);
// Queues a complete answer. Only when nothing waits to be written. 0 or an error.
int cv_web_put_answer(struct cv_web *web, const struct cv_http1_answer *answer);

#endif
