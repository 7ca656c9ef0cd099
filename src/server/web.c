#include "server/web.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1.h"
#include "proto/http1_write.h"
#include "server/conn.h"
#include "server/page.h"
#include "server/table.h"
#include "server/tunnel.h"
#include "server/worker.h"

#include <string.h>

enum { LINGER_US = 2000000 }; // for the client to read our last words

enum { TYPE_BYTES = 64 }; // of a Content-Type that is mirrored

struct cv_web {
    struct cv_conn *conn; // owned
    UT_hash_handle hh;
    struct cv_http1 *http;
    struct cv_timer timer;
    struct cv_block *out;     // an answer, or the head of a reply, that has not left; NULL: none
    struct cv_parcel *parcel; // behind it; NULL: none
    size_t out_sent;          // of both together
    struct cv_block *stash;   // bytes that were read and must wait; NULL: none
    const struct cv_http1_head *waiting; // a complete request that waits until nothing is owed
    struct cv_tunnel *tunnel;            // whose replies are owed; NULL: none
    uint32_t owed;
    uint64_t heard_us;   // when the message that is being read began, or the last one ended
    bool reading_tunnel; // the request that is being read is the tunnel's
    bool replying;       // what is written is the tunnel's
    bool closes;         // behind the answer
    bool lingers;        // our side is closed; what comes is read away
    char type[TYPE_BYTES];
};

static uint64_t now_us(const struct cv_web *web)
{
    return cv_loop_now_us(web->conn->worker->loop);
}

static void web_free(struct cv_web *web)
{
    if (web->tunnel)
        cv_tunnel_gone(web->tunnel, web->conn->id);
    HASH_DEL(web->conn->worker->webs, web);
    cv_timer_stop(&web->timer);
    cv_http1_free(web->http);
    cv_block_unref(&web->out);
    cv_parcel_unref(&web->parcel);
    cv_block_unref(&web->stash);
    cv_conn_free(web->conn);
    cv_mem_free(web);
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

static void web_end(struct cv_web *web, enum cv_log_level level, int code, const char *why)
{
    log_end(web, level, code, why);
    web_free(web);
}

bool cv_web_is_free(const struct cv_web *web)
{
    return !web->out && !web->parcel;
}

// ---- time -----------------------------------------------------------------------------------

// A head must come quickly, a body and the next request may take longer; an answer must be taken.
static uint64_t allowed_us(const struct cv_web *web)
{
    const struct cv_config_limits *limits = &web->conn->worker->policy->config->limits;
    if (web->lingers)
        return LINGER_US;
    // A tunnel is never silent for so long; some publishers never read what it says.
    if (web->owed)
        return CV_TUNNEL_SILENCE_S * UINT64_C(1000000);
    if (!cv_web_is_free(web))
        return limits->write_stall_s * UINT64_C(1000000);
    if (cv_http1_phase(web->http) == CV_HTTP1_IN_HEAD)
        return limits->handshake_s * UINT64_C(1000000);
    return limits->idle_s * UINT64_C(1000000);
}

static void rearm(struct cv_web *web)
{
    cv_timer_start_at(&web->timer, web->heard_us + allowed_us(web));
}

static void on_timer(void *arg)
{
    struct cv_web *web = arg;
    bool between = cv_http1_phase(web->http) == CV_HTTP1_IDLE && cv_web_is_free(web);
    if (web->lingers || between)
        web_end(web, CV_LOG_DEBUG, CV_E_TIMEOUT, "nothing more came");
    else
        web_end(web, CV_LOG_INFO, CV_E_TIMEOUT,
                web->out ? "the answer is not taken" : "the request is not completed");
}

// ---- answers --------------------------------------------------------------------------------

static void restart_clock(struct cv_web *web)
{
    web->heard_us = now_us(web);
}

// All has left and nothing more is to be said.
static void linger(struct cv_web *web)
{
    cv_conn_shutdown(web->conn);
    cv_conn_want(web->conn, true, false);
    web->lingers = true;
    restart_clock(web);
}

static size_t out_bytes(const struct cv_web *web)
{
    return (web->out ? web->out->len : 0) + (web->parcel ? web->parcel->bytes : 0);
}

static void gather_out(const struct cv_web *web, struct cv_gather *gather)
{
    size_t head_len = web->out->len;
    size_t head_sent = web->out_sent < head_len ? web->out_sent : head_len;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, web->out->data + head_sent, head_len - head_sent);
    if (web->parcel)
        cv_parcel_pull(web->parcel, web->out_sent - head_sent, gather);
}

static void out_is_gone(struct cv_web *web)
{
    cv_block_unref(&web->out);
    cv_parcel_unref(&web->parcel);
    web->out_sent = 0;
    if (!web->replying)
        return;
    web->replying = false;
    struct cv_tunnel *tunnel = web->tunnel;
    CV_ASSERT(tunnel && web->owed > 0);
    web->owed--;
    if (web->owed == 0 && !web->reading_tunnel)
        web->tunnel = NULL;
    cv_tunnel_sent(tunnel, web->conn->id);
}

// Writes what waits. 0: all has left. CV_E_AGAIN: the rest must wait. Negative: the end.
static int flush(struct cv_web *web)
{
    struct cv_gather *gather = &web->conn->worker->gather;
    while (web->out) {
        gather_out(web, gather);
        int sent = cv_conn_write(web->conn, gather);
        if (sent < 0)
            return sent;
        web->out_sent += (size_t)sent;
        restart_clock(web);
        if (web->out_sent == out_bytes(web))
            out_is_gone(web);
        else if ((size_t)sent < gather->bytes)
            return CV_E_AGAIN;
    }
    return CV_OK;
}

static int answer(struct cv_web *web, uint32_t status, const char *body, bool head_only)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    struct cv_http1_answer whole = {
        .status = status,
        .type = status == 200 ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
        .body = body,
        .len = strlen(body),
        .keep_alive = !web->closes,
        .head_only = head_only,
    };
    cv_http1_write_answer(&wr, &whole);
    CV_ASSERT(!web->out);
    web->out = cv_wr_take(&wr);
    return web->out ? CV_OK : wr.err;
}

struct route {
    const char *path;
    const char *body;
};

static const struct route routes[] = {
    {"/", cv_page_home},
};

static const char *find_page(struct cv_text path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (cv_text_is(path, routes[i].path))
            return routes[i].body;
    }
    return NULL;
}

static void log_request(const struct cv_web *web, const struct cv_http1_head *head, uint32_t status)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "http.request");
    cv_conn_log_fields(web->conn, &line);
    cv_line_str(&line, "method", head->method_text.at, head->method_text.len);
    cv_line_str(&line, "path", head->path.at, head->path.len);
    cv_line_uint(&line, "status", status);
    cv_line_end(&line);
}

static int answer_request(struct cv_web *web, const struct cv_http1_head *head)
{
    bool reads = head->method == CV_METHOD_GET || head->method == CV_METHOD_HEAD;
    const char *page = find_page(head->path);
    uint32_t status = !page ? 404 : reads ? 200 : 405;
    log_request(web, head, status);
    web->closes |= !head->keep_alive || head->minor == 0;
    const char *body = !page   ? "There is nothing here.\n"
                       : reads ? page
                               : "This page can only be read: GET or HEAD.\n";
    return answer(web, status, body, head->method == CV_METHOD_HEAD);
}

// ---- RTMPT ----------------------------------------------------------------------------------

static void put_reply_head(struct cv_web *web, struct cv_wr *wr, size_t bytes)
{
    const char *type = web->type[0] ? web->type : "application/x-fcs";
    cv_http1_write_status(wr, 200, (struct cv_text){0});
    cv_http1_write_header(wr, "Content-Type", type);
    cv_http1_write_length(wr, bytes);
    cv_http1_write_header(wr, "Cache-Control", "no-store, no-transform");
    if (web->closes)
        cv_http1_write_header(wr, "Connection", "close");
    cv_http1_write_head_end(wr);
}

// A whole reply that is known now: to /open, or to /close of a session that is over.
static int answer_bytes(struct cv_web *web, const void *body, size_t len)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    put_reply_head(web, &wr, len);
    cv_wr_bytes(&wr, body, len);
    CV_ASSERT(!web->out);
    web->out = cv_wr_take(&wr);
    return web->out ? CV_OK : wr.err;
}

static int answer_not_found(struct cv_web *web)
{
    web->closes = true;
    return answer(web, 404, "", false);
}

// "ID" and exactly one LF: librtmp cuts off one byte, whatever it is.
static int answer_open(struct cv_web *web)
{
    struct cv_rtmpt_id id;
    int err = cv_tunnel_make_id(web->conn->worker, &id);
    if (err != CV_OK)
        return err;
    id.text[CV_RTMPT_ID_CHARS] = '\n';
    return answer_bytes(web, id.text, CV_RTMPT_ID_CHARS + 1);
}

static void mirror_type(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_text type = cv_http1_header(head, "content-type");
    web->type[0] = '\0';
    if (type.len == 0 || type.len >= sizeof web->type)
        return;
    memcpy(web->type, type.at, type.len);
    web->type[type.len] = '\0';
}

static bool is_tunnel_request(const struct cv_http1_head *head, struct cv_rtmpt_target *out)
{
    return head->method == CV_METHOD_POST && !head->query.at &&
           cv_rtmpt_target_parse(head->path, out) == CV_OK;
}

// A request of a session: its tunnel hears of it at once, and then of its body. One that has no
// session, or another than the one that replies are owed to (nobody does that), gets 404 at its
// end.
static void begin_tunnel_request(struct cv_web *web, const struct cv_rtmpt_target *target)
{
    struct cv_conn *conn = web->conn;
    struct cv_tunnel *tunnel = cv_tunnel_find(conn->worker, target, &conn->peer);
    bool foreign = web->tunnel && web->tunnel != tunnel;
    if (!tunnel || foreign || cv_tunnel_request(tunnel, conn->id, target) != CV_OK)
        return;
    web->reading_tunnel = true;
    web->tunnel = tunnel;
}

// The end of a request of a session. It is answered when its tunnel says so.
static void end_tunnel_request(struct cv_web *web, const struct cv_http1_head *head)
{
    web->reading_tunnel = false;
    web->owed++;
    web->closes |= !head->keep_alive || head->minor == 0;
    cv_tunnel_end(web->tunnel, web->conn->id);
}

static int answer_tunnel_request(struct cv_web *web, const struct cv_rtmpt_target *target)
{
    if (target->kind == CV_RTMPT_OPEN)
        return answer_open(web);
    if (target->kind == CV_RTMPT_CLOSE)
        return answer_bytes(web, "", 1);
    return answer_not_found(web);
}

struct cv_web *cv_web_find(struct cv_worker *worker, uint64_t id)
{
    struct cv_web *web = NULL;
    HASH_FIND(hh, worker->webs, &id, sizeof id, web);
    return web;
}

// ---- requests -------------------------------------------------------------------------------

static bool in_session(const struct cv_rtmpt_target *target)
{
    return target->kind == CV_RTMPT_SEND || target->kind == CV_RTMPT_IDLE ||
           target->kind == CV_RTMPT_CLOSE;
}

// A body is of no use to any other route: a small one is read away, and nobody is asked to send
// one.
static int on_head(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    if (is_tunnel_request(head, &target)) {
        mirror_type(web, head);
        cv_http1_set_body_max(web->http, CV_HTTP_BODY_BYTES_MAX);
        if (in_session(&target))
            begin_tunnel_request(web, &target);
        return CV_OK;
    }
    cv_http1_set_body_max(web->http, CV_LIMIT_HTTP_DISCARD_BYTES);
    if (!head->expects_continue || web->owed)
        return CV_OK;
    web->closes = true;
    return answer_request(web, head);
}

static int answer_any(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    if (!is_tunnel_request(head, &target))
        return answer_request(web, head);
    web->closes |= !head->keep_alive || head->minor == 0;
    return answer_tunnel_request(web, &target);
}

static int on_end(struct cv_web *web, const struct cv_http1_head *head)
{
    if (web->reading_tunnel) {
        end_tunnel_request(web, head);
        return CV_OK;
    }
    if (web->owed || !cv_web_is_free(web)) {
        web->waiting = head; // lent by the engine until it goes on
        return CV_OK;
    }
    return answer_any(web, head);
}

static int on_http_event(struct cv_web *web, const struct cv_http1_event *event)
{
    if (event->type == CV_HTTP1_HEAD)
        return on_head(web, event->head);
    if (event->type == CV_HTTP1_END)
        return on_end(web, event->head);
    if (event->type == CV_HTTP1_BODY && web->reading_tunnel)
        cv_tunnel_body(web->tunnel, web->conn->id, (const uint8_t *)event->body.at,
                       event->body.len);
    return CV_OK;
}

// The engine cannot go on: the status that it wants, then the end. Behind replies that are owed or
// on their way there is no place for it.
static int refuse(struct cv_web *web)
{
    const struct cv_why *why = cv_http1_why(web->http);
    log_end(web, CV_LOG_WARN, why->code, why->text);
    if (web->owed || !cv_web_is_free(web))
        return why->code;
    web->closes = true;
    return answer(web, cv_http1_refusal(web->http), "The request cannot be understood.\n", false);
}

// One request, as far as its bytes have come. 1: it is complete; 0: more bytes are needed.
static int next_request(struct cv_web *web)
{
    struct cv_http1_event event;
    int more;
    while ((more = cv_http1_next(web->http, &event)) == 1) {
        int err = on_http_event(web, &event);
        if (err != CV_OK)
            return err;
        if (event.type == CV_HTTP1_END || (web->closes && web->out))
            return 1;
    }
    if (more == 0)
        return 0;
    int err = refuse(web);
    return err == CV_OK ? 1 : err;
}

static int keep_unread(struct cv_web *web)
{
    struct cv_rd unread = cv_http1_unread(web->http);
    CV_ASSERT(!web->stash);
    if (cv_rd_left(&unread) == 0 || web->closes) // behind the last request nothing counts
        return CV_OK;
    web->stash = cv_block_copy(unread.at, cv_rd_left(&unread));
    return web->stash ? CV_OK : CV_E_NOMEM;
}

// Another request cannot be taken before something has been done about those that are there.
static bool must_wait(const struct cv_web *web)
{
    return web->waiting || (!cv_web_is_free(web) && !web->replying) ||
           (web->tunnel && cv_tunnel_is_full(web->tunnel));
}

// What can be done when all has left: the request that waited, or the end. 1: something was done.
static int settle(struct cv_web *web)
{
    if (web->owed)
        return 0;
    if (web->waiting) {
        const struct cv_http1_head *head = web->waiting;
        web->waiting = NULL;
        int err = answer_any(web, head);
        return err == CV_OK ? 1 : err;
    }
    if (web->closes)
        linger(web);
    return 0;
}

// Requests and answers in turn, while bytes and room last. Negative: the end.
static int work(struct cv_web *web)
{
    int going = 1;
    while (going > 0) {
        int err = flush(web);
        bool blocked = err == CV_E_AGAIN;
        if (err != CV_OK && !blocked)
            return err;
        int settled = blocked ? 0 : settle(web);
        if (settled != 0 || web->lingers) {
            going = settled;
            continue;
        }
        bool reads = !web->closes && !must_wait(web);
        cv_conn_want(web->conn, reads, blocked);
        if (!reads)
            return keep_unread(web);
        if (cv_http1_phase(web->http) == CV_HTTP1_PAUSED) {
            cv_http1_resume(web->http);
            restart_clock(web);
        }
        going = next_request(web);
    }
    return going;
}

static void step(struct cv_web *web, const uint8_t *data, size_t len)
{
    if (cv_http1_phase(web->http) == CV_HTTP1_IDLE)
        restart_clock(web);
    cv_http1_feed(web->http, data, len);
    int err = work(web);
    if (err < 0) {
        web_end(web, CV_LOG_DEBUG, err, cv_err_text(err));
        return;
    }
    rearm(web);
    enum cv_http1_phase phase = cv_http1_phase(web->http);
    if (phase == CV_HTTP1_IN_HEAD || phase == CV_HTTP1_IN_BODY)
        cv_conn_quick_ack(web->conn);
}

// Goes on with what was kept.
static void step_on(struct cv_web *web)
{
    struct cv_block *stash = web->stash;
    web->stash = NULL;
    step(web, stash ? stash->data : NULL, stash ? stash->len : 0);
    cv_block_unref(&stash);
}

void cv_web_reply(struct cv_web *web, struct cv_rtmpt_reply *reply)
{
    CV_ASSERT(cv_web_is_free(web));
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    if (web->owed == 0) { // refused in the middle of its request
        cv_parcel_unref(&reply->parcel);
        web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "its session is over");
        return;
    }
    if (reply->status == 200) {
        put_reply_head(web, &wr, reply->bytes);
    } else {
        struct cv_http1_answer none = {.status = (uint32_t)reply->status};
        web->closes = true;
        web->owed = 1; // the session is over: this is the last word to all
        cv_http1_write_answer(&wr, &none);
    }
    if (reply->has_poll)
        cv_wr_u8(&wr, reply->poll);
    web->parcel = reply->parcel;
    web->out = cv_wr_take(&wr);
    web->replying = true;
    if (web->out)
        step_on(web);
    else
        web_end(web, CV_LOG_ERROR, wr.err, cv_err_text(wr.err));
}

void cv_web_go_on(struct cv_worker *worker, const struct cv_tunnel *tunnel)
{
    struct cv_web *web;
    struct cv_web *next;
    HASH_ITER (hh, worker->webs, web, next) {
        if (web->tunnel == tunnel && !web->lingers)
            step_on(web);
    }
}

void cv_web_tunnel_over(struct cv_worker *worker, const struct cv_tunnel *tunnel)
{
    struct cv_web *web;
    struct cv_web *next;
    HASH_ITER (hh, worker->webs, web, next) {
        if (web->tunnel != tunnel)
            continue;
        bool answerable = cv_web_is_free(web) && !web->reading_tunnel;
        web->tunnel = NULL;
        web->owed = 0;
        web->reading_tunnel = false;
        web->replying = false;
        if (answerable && answer_not_found(web) == CV_OK)
            step_on(web);
        else
            web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "its session is over");
    }
}

// ---- the TCP connection's side ------------------------------------------------------------------

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_web *web = arg;
    if (!web->lingers && !web->closes)
        step(web, data, len);
}

static void on_ended(void *arg, int code)
{
    web_end(arg, CV_LOG_DEBUG, code, cv_err_text(code));
}

static void on_writable(void *arg)
{
    step_on(arg);
}

// One that serves a tunnel ends with it.
static void on_stop(void *arg)
{
    struct cv_web *web = arg;
    if (!web->tunnel)
        web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "the server stops");
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
    rearm(web);
    cv_conn_hand_over(conn, &web_user, web, data, len);
    return CV_OK;
}
