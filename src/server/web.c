#include "server/web.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "server/client_addr.h"
#include "server/route.h"
#include "server/web_state.h"
#include "server/web_tunnel.h"
#include "server/worker.h"

#include <string.h>

enum { LINGER_US = 2000000 }; // for the client to read our last words

static uint64_t now_us(const struct cv_web *web)
{
    return cv_loop_now_us(web->conn->worker->loop);
}

// ---- ending ---------------------------------------------------------------------------------

static void web_free(struct cv_web *web)
{
    if (web->responder && web->responder->gone)
        web->responder->gone(web->responder_arg);
    cv_timer_stop(&web->timer);
    cv_http1_free(web->http);
    cv_block_unref(&web->out);
    cv_parcel_unref(&web->parcel);
    cv_block_unref(&web->stash);
    cv_mem_free(web);
}

// No tunnel finds it any more.
static void forget(struct cv_web *web)
{
    if (web->tunnel)
        cv_tunnel_gone(web->tunnel, web->conn->id);
    HASH_DEL(web->conn->worker->webs, web);
}

static void log_end(const struct cv_web *web, enum cv_log_level level, int code, const char *why)
{
    struct cv_line line;
    cv_line_begin(&line, level, "http.close");
    cv_conn_log_fields(web->conn, &line);
    cv_line_err(&line, code);
    cv_line_text(&line, "why", why);
    cv_line_end(&line);
}

void cv_web_end(struct cv_web *web, enum cv_log_level level, int code, const char *why)
{
    CV_ASSERT(!web->working);
    log_end(web, level, code, why);
    forget(web);
    cv_conn_free(web->conn);
    web_free(web);
}

// What its functions have decided while they were on the stack. True: it is freed.
static bool ended_in_work(struct cv_web *web)
{
    CV_ASSERT(!web->working);
    if (!web->conn)
        web_free(web);
    else if (web->doom_code != CV_OK)
        cv_web_end(web, CV_LOG_DEBUG, web->doom_code, web->doom_why);
    else
        return false;
    return true;
}

void cv_web_doom(struct cv_web *web, int code, const char *why)
{
    if (web->doom_code != CV_OK)
        return;
    web->doom_code = code;
    web->doom_why = why;
}

// ---- time -----------------------------------------------------------------------------------

void cv_web_restart_clock(struct cv_web *web)
{
    web->heard_us = now_us(web);
}

bool cv_web_is_free(const struct cv_web *web)
{
    return !web->out && !web->parcel;
}

static bool is_answering(const struct cv_web *web)
{
    bool reads = web->reading == CV_WEB_RESPONDED && web->wants_body;
    return web->responder && !reads;
}

// A head must come quickly, a body and the next request may take longer; an answer must be taken.
static uint64_t allowed_us(const struct cv_web *web)
{
    const struct cv_config_limits *limits = &web->conn->worker->policy->config->limits;
    if (web->lingers)
        return LINGER_US;
    // A tunnel is never silent for so long; some publishers never read what it says.
    if (web->owed)
        return CV_TUNNEL_SILENCE_S * UINT64_C(1000000);
    if (!cv_web_is_free(web) || web->blocked)
        return limits->write_stall_s * UINT64_C(1000000);
    if (is_answering(web))
        return UINT64_MAX - web->heard_us; // how long that may take is the responder's to know
    enum cv_http1_phase phase = cv_http1_phase(web->http);
    if (phase == CV_HTTP1_IN_HEAD)
        return limits->handshake_s * UINT64_C(1000000);
    uint32_t more_s = phase == CV_HTTP1_IN_BODY ? 0 : CV_HTTP_KEEP_MORE_S;
    return (limits->idle_s + more_s) * UINT64_C(1000000);
}

void cv_web_rearm(struct cv_web *web)
{
    uint64_t deadline_us = web->heard_us + allowed_us(web);
    if (deadline_us == UINT64_MAX)
        cv_timer_stop(&web->timer);
    else
        cv_timer_start_at(&web->timer, deadline_us);
}

// The timer may be early: what is written moves the deadline.
static void on_timer(void *arg)
{
    struct cv_web *web = arg;
    if (now_us(web) < web->heard_us + allowed_us(web)) {
        cv_web_rearm(web);
        return;
    }
    bool between = cv_http1_phase(web->http) == CV_HTTP1_IDLE && cv_web_is_free(web);
    bool stalls = web->out || web->blocked;
    if (web->lingers || between)
        cv_web_end(web, CV_LOG_DEBUG, CV_E_TIMEOUT, "nothing more came");
    else
        cv_web_end(web, CV_LOG_INFO, CV_E_TIMEOUT,
                   stalls ? "the answer is not taken" : "the request is not completed");
}

// ---- writing --------------------------------------------------------------------------------

// All has left and nothing more is to be said.
static void linger(struct cv_web *web)
{
    cv_conn_shutdown(web->conn);
    cv_conn_want(web->conn, true, false);
    web->lingers = true;
    cv_web_restart_clock(web);
}

static size_t out_bytes(const struct cv_web *web)
{
    return web->out->len + (web->parcel ? web->parcel->bytes : 0) +
           (web->tail ? strlen(web->tail) : 0);
}

// Steps over what has left. Returns how much of this part has.
static size_t skip(size_t *sent, size_t len)
{
    size_t skipped = *sent < len ? *sent : len;
    *sent -= skipped;
    return skipped;
}

static void gather_out(const struct cv_web *web, struct cv_gather *gather)
{
    size_t sent = web->out_sent;
    size_t parcel_len = web->parcel ? web->parcel->bytes : 0;
    size_t head_at = skip(&sent, web->out->len);
    size_t parcel_at = skip(&sent, parcel_len);
    size_t whole = web->out->len - head_at + parcel_len - parcel_at;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, web->out->data + head_at, web->out->len - head_at);
    if (web->parcel)
        cv_parcel_pull(web->parcel, parcel_at, gather);
    if (web->tail && gather->bytes == whole)
        cv_gather_borrow(gather, web->tail + sent, strlen(web->tail) - sent);
}

static void out_is_gone(struct cv_web *web)
{
    cv_block_unref(&web->out);
    cv_parcel_unref(&web->parcel);
    web->tail = NULL;
    web->out_sent = 0;
    if (web->replying)
        cv_web_tunnel_sent(web);
}

// A client that has closed without having read its replies: what it has sent still counts, its
// last requests and /close among it (librtmp ends so).
static bool only_sends(struct cv_web *web, int err)
{
    if (web->replying && cv_err_class(err) == CV_CLASS_GONE)
        web->deaf = true;
    return web->deaf && web->replying;
}

// Writes what waits. 0: all has left. CV_E_AGAIN: the rest must wait. Negative: the end.
static int flush(struct cv_web *web)
{
    struct cv_gather *gather = &web->conn->worker->gather;
    while (web->out) {
        gather_out(web, gather);
        int sent = web->deaf ? CV_E_CLOSED : cv_conn_write(web->conn, gather);
        if (sent < 0 && only_sends(web, sent)) {
            out_is_gone(web);
            continue;
        }
        if (sent < 0)
            return sent;
        web->out_sent += (size_t)sent;
        cv_web_restart_clock(web);
        if (web->out_sent == out_bytes(web))
            out_is_gone(web);
        else if ((size_t)sent < gather->bytes)
            return CV_E_AGAIN;
    }
    return CV_OK;
}

int cv_web_put_answer(struct cv_web *web, const struct cv_http1_answer *answer)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    cv_http1_write_answer(&wr, answer);
    CV_ASSERT(!web->out);
    web->out = cv_wr_take(&wr);
    return web->out ? CV_OK : wr.err;
}

// ---- reading --------------------------------------------------------------------------------

// A session's next request joins those that are being answered; any other waits for its turn, even
// another session's: proxies send requests of many clients on one connection.
static void on_head(struct cv_web *web, const struct cv_http1_head *head)
{
    web->owes_continue = head->expects_continue;
    web->passed = false;
    web->head = head;
    web->reading = CV_WEB_WAITING;
    if (web->owed && cv_web_tunnel_join(web, head))
        web->reading = CV_WEB_TUNNELLED;
    else if (web->owed)
        cv_tunnel_hurry(web->tunnel);
}

static void on_body(struct cv_web *web, struct cv_text body)
{
    const uint8_t *data = (const uint8_t *)body.at;
    web->owes_continue = false;
    if (web->reading == CV_WEB_TUNNELLED) {
        cv_web_tunnel_body(web, data, body.len);
    } else if (web->reading == CV_WEB_RESPONDED) {
        cv_web_restart_clock(web);
        if (web->responder->body)
            web->responder->body(web->responder_arg, data, body.len);
    }
}

static void on_end(struct cv_web *web, const struct cv_http1_head *head)
{
    enum cv_web_reading reading = web->reading;
    web->reading = CV_WEB_BETWEEN;
    web->owes_continue = false;
    if (reading == CV_WEB_TUNNELLED)
        cv_web_tunnel_end(web, head);
    else if (reading == CV_WEB_RESPONDED)
        web->responder->end(web->responder_arg);
}

// The engine cannot go on: the status that it wants, then the end. Behind replies that are owed, or
// an answer that has begun, there is no place for it.
static int refuse(struct cv_web *web)
{
    const struct cv_why *why = cv_http1_why(web->http);
    log_end(web, CV_LOG_WARN, why->code, why->text);
    web->closes = true;
    if (web->reading == CV_WEB_DISCARDED)
        return CV_OK;
    if (web->owed || !cv_web_is_free(web) || web->wrote)
        return why->code;
    if (web->responder && web->responder->gone)
        web->responder->gone(web->responder_arg);
    web->responder = NULL;
    static const char text[] = "The request cannot be understood.\n";
    struct cv_http1_answer answer = {.status = cv_http1_refusal(web->http),
                                     .type = "text/plain; charset=utf-8",
                                     .body = text,
                                     .len = sizeof text - 1};
    return cv_web_put_answer(web, &answer);
}

// One event of the engine, as far as its bytes have come. 1: there was one; 0: more bytes are
// needed; negative: the end.
static int next_event(struct cv_web *web)
{
    struct cv_http1_event event;
    int more = cv_http1_next(web->http, &event);
    if (more < 0) {
        int err = refuse(web);
        return err == CV_OK ? 1 : err;
    }
    if (more == 0)
        return 0;
    if (event.type == CV_HTTP1_HEAD)
        on_head(web, event.head);
    else if (event.type == CV_HTTP1_BODY)
        on_body(web, event.body);
    else
        on_end(web, event.head);
    return 1;
}

// What was read and cannot be used yet. Behind the last request nothing counts.
static int keep_unread(struct cv_web *web)
{
    struct cv_rd unread = cv_http1_unread(web->http);
    CV_ASSERT(!web->stash);
    if (cv_rd_left(&unread) == 0 || web->closes)
        return CV_OK;
    web->stash = cv_block_copy(unread.at, cv_rd_left(&unread));
    return web->stash ? CV_OK : CV_E_NOMEM;
}

// What comes can be used now.
static bool takes_bytes(const struct cv_web *web)
{
    if (web->closes || web->reading == CV_WEB_WAITING || (!cv_web_is_free(web) && !web->replying))
        return false;
    if (web->responder && (web->reading == CV_WEB_BETWEEN || !web->wants_body))
        return false;
    return !web->tunnel || !cv_tunnel_is_full(web->tunnel);
}

// Someone who answers for long wants to know when the client leaves; a little may be read ahead.
static bool listens(const struct cv_web *web)
{
    return web->responder && web->reading == CV_WEB_BETWEEN && !web->stash && !web->half_closed;
}

// The client waits before it sends what is wanted now.
static int say_continue(struct cv_web *web)
{
    bool wanted = web->reading == CV_WEB_TUNNELLED ||
                  (web->reading == CV_WEB_RESPONDED && web->wants_body && !web->wrote);
    if (!web->owes_continue || !wanted || web->owed || !cv_web_is_free(web))
        return CV_OK;
    web->owes_continue = false;
    struct cv_http1_answer go_on = {.status = 100, .keep_alive = true};
    return cv_web_put_answer(web, &go_on);
}

static int begin_answer(struct cv_web *web)
{
    web->reading = CV_WEB_DISCARDED;
    web->wrote = false;
    cv_http1_set_body_max(web->http, CV_LIMIT_HTTP_DISCARD_BYTES);
    int err = cv_route(web, web->head);
    return err == CV_OK ? 1 : err;
}

// What can be done when all has left: the request that waited, or the end. 1: something was done.
static int settle(struct cv_web *web)
{
    if (web->owed || !cv_web_is_free(web) || web->responder)
        return 0;
    if (web->reading == CV_WEB_WAITING)
        return begin_answer(web);
    if (web->closes)
        linger(web);
    return 0;
}

static bool is_over(const struct cv_web *web)
{
    return web->lingers || !web->conn || web->doom_code != CV_OK;
}

// Flushes, begins answers. 1: something was done; 0: now it depends on what comes; negative: the
// end.
static int settle_all(struct cv_web *web)
{
    int err = flush(web);
    if (err == CV_E_AGAIN)
        return 0;
    if (err != CV_OK)
        return err;
    int settled = settle(web);
    if (settled != 0 || is_over(web))
        return settled;
    err = say_continue(web);
    if (err != CV_OK)
        return err;
    return web->out && !web->replying ? 1 : 0;
}

// Requests and answers in turn, while bytes and room last. Negative: the end.
static int work(struct cv_web *web)
{
    int going = 1;
    while (going > 0 && !is_over(web)) {
        going = settle_all(web);
        if (going != 0 || is_over(web))
            continue;
        if (!takes_bytes(web)) {
            int err = keep_unread(web);
            cv_conn_want(web->conn, listens(web), web->out || web->blocked);
            return err;
        }
        cv_conn_want(web->conn, true, web->out || web->blocked);
        if (cv_http1_phase(web->http) == CV_HTTP1_PAUSED) {
            cv_http1_resume(web->http);
            cv_web_restart_clock(web);
        }
        going = next_event(web);
    }
    return going;
}

// FFmpeg sends the body of a request when the head has been acknowledged. Large bodies do not wait.
static bool awaits_ack(const struct cv_web *web)
{
    enum cv_http1_phase phase = cv_http1_phase(web->http);
    if (phase != CV_HTTP1_IN_BODY)
        return phase == CV_HTTP1_IN_HEAD;
    return web->reading == CV_WEB_TUNNELLED || web->head->length <= CV_LIMIT_HTTP_DISCARD_BYTES;
}

static void step(struct cv_web *web, const uint8_t *data, size_t len)
{
    if (cv_http1_phase(web->http) == CV_HTTP1_IDLE)
        cv_web_restart_clock(web);
    cv_http1_feed(web->http, data, len);
    web->working = true;
    int err = work(web);
    web->working = false;
    if (err < 0)
        cv_web_doom(web, err, cv_err_text(err));
    if (ended_in_work(web))
        return;
    cv_web_rearm(web);
    if (awaits_ack(web))
        cv_conn_quick_ack(web->conn);
}

void cv_web_step_on(struct cv_web *web)
{
    struct cv_block *stash = web->stash;
    web->stash = NULL;
    step(web, stash ? stash->data : NULL, stash ? stash->len : 0);
    cv_block_unref(&stash);
}

// ---- leaving HTTP ---------------------------------------------------------------------------

struct cv_conn *cv_web_release(struct cv_web *web, struct cv_block **unread)
{
    CV_ASSERT(cv_web_is_free(web) && !web->owed && web->conn);
    struct cv_conn *conn = web->conn;
    *unread = NULL;
    int err = web->stash ? CV_OK : keep_unread(web);
    if (err != CV_OK) {
        cv_web_abort(web, err, cv_err_text(err));
        return NULL;
    }
    *unread = web->stash;
    web->stash = NULL;
    web->responder = NULL;
    forget(web);
    web->conn = NULL;
    if (!web->working)
        web_free(web);
    return conn;
}

// ---- the TCP connection's side ------------------------------------------------------------------

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_web *web = arg;
    if (web->lingers || web->closes)
        return;
    if (takes_bytes(web)) {
        step(web, data, len);
        return;
    }
    // Read ahead while a responder answers.
    CV_ASSERT(!web->stash);
    web->stash = cv_block_copy(data, len);
    cv_conn_want(web->conn, false, web->conn->channel.writes);
    if (!web->stash)
        cv_web_end(web, CV_LOG_ERROR, CV_E_NOMEM, "no memory");
}

// A client may close its side behind its last request and still read the answer.
static bool reads_on(const struct cv_web *web)
{
    if (web->lingers || web->tunnel || web->reading != CV_WEB_BETWEEN)
        return false;
    return web->responder ? web->responder->patient : !cv_web_is_free(web);
}

static void on_ended(void *arg, int code)
{
    struct cv_web *web = arg;
    if (code != CV_E_CLOSED || !reads_on(web)) {
        cv_web_end(web, CV_LOG_DEBUG, code, cv_err_text(code));
        return;
    }
    web->closes = true;
    web->half_closed = true;
    cv_conn_want(web->conn, false, web->conn->channel.writes);
}

static void on_writable(void *arg)
{
    struct cv_web *web = arg;
    if (web->blocked && !web->out) {
        web->blocked = false;
        web->working = true;
        if (web->responder->writable)
            web->responder->writable(web->responder_arg);
        web->working = false;
        if (ended_in_work(web))
            return;
    }
    cv_web_step_on(web);
}

// One that serves a tunnel ends with it.
static void on_stop(void *arg)
{
    struct cv_web *web = arg;
    if (!web->tunnel)
        cv_web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "the server stops");
}

static const struct cv_conn_user web_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

int cv_web_open(struct cv_conn *conn, const uint8_t *data, size_t len)
{
    struct cv_web *web = cv_mem_zero(1, sizeof *web);
    if (!web)
        return CV_E_NOMEM;
    web->http = cv_http1_new(CV_HTTP1_REQUESTS);
    if (!web->http) {
        cv_mem_free(web);
        return CV_E_NOMEM;
    }
    web->conn = conn;
    HASH_ADD_KEYPTR(hh, conn->worker->webs, &conn->id, sizeof conn->id, web);
    if (!web->hh.tbl) {
        cv_http1_free(web->http);
        cv_mem_free(web);
        return CV_E_NOMEM;
    }
    web->heard_us = conn->opened_us;
    cv_timer_init(&web->timer, conn->worker->loop, on_timer, web);
    cv_web_rearm(web);
    cv_conn_hand_over(conn, &web_user, web, data, len);
    return CV_OK;
}
