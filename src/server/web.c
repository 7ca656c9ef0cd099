#include "server/web.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1.h"
#include "proto/http1_write.h"
#include "server/conn.h"
#include "server/page.h"
#include "server/worker.h"

#include <string.h>

enum { LINGER_US = 2000000 }; // for the client to read our last words

struct web {
    struct cv_conn *conn; // owned
    struct cv_http1 *http;
    struct cv_timer timer;
    struct cv_block *out; // an answer that has not left altogether; NULL: none
    size_t out_sent;
    struct cv_block *stash; // bytes that were read while an answer waited; NULL: none
    uint64_t heard_us;      // when the message that is being read began, or the last one ended
    bool closes;            // behind the answer
    bool lingers;           // our side is closed; what comes is read away
};

static uint64_t now_us(const struct web *web)
{
    return cv_loop_now_us(web->conn->worker->loop);
}

static void web_free(struct web *web)
{
    cv_timer_stop(&web->timer);
    cv_http1_free(web->http);
    cv_block_unref(&web->out);
    cv_block_unref(&web->stash);
    cv_conn_free(web->conn);
    cv_mem_free(web);
}

static void log_end(const struct web *web, enum cv_log_level level, int code, const char *why)
{
    struct cv_line line;
    cv_line_begin(&line, level, "http.close");
    cv_conn_log_fields(web->conn, &line);
    cv_line_err(&line, code);
    cv_line_text(&line, "why", why);
    cv_line_end(&line);
}

static void web_end(struct web *web, enum cv_log_level level, int code, const char *why)
{
    log_end(web, level, code, why);
    web_free(web);
}

// ---- time -----------------------------------------------------------------------------------

// A head must come quickly, a body and the next request may take longer; an answer must be taken.
static uint64_t allowed_us(const struct web *web)
{
    const struct cv_config_limits *limits = &web->conn->worker->policy->config->limits;
    if (web->lingers)
        return LINGER_US;
    if (web->out)
        return limits->write_stall_s * UINT64_C(1000000);
    if (cv_http1_phase(web->http) == CV_HTTP1_IN_HEAD)
        return limits->handshake_s * UINT64_C(1000000);
    return limits->idle_s * UINT64_C(1000000);
}

static void rearm(struct web *web)
{
    cv_timer_start_at(&web->timer, web->heard_us + allowed_us(web));
}

static void on_timer(void *arg)
{
    struct web *web = arg;
    bool between = cv_http1_phase(web->http) == CV_HTTP1_IDLE && !web->out;
    if (web->lingers || between)
        web_end(web, CV_LOG_DEBUG, CV_E_TIMEOUT, "nothing more came");
    else
        web_end(web, CV_LOG_INFO, CV_E_TIMEOUT,
                web->out ? "the answer is not taken" : "the request is not completed");
}

// ---- answers --------------------------------------------------------------------------------

static void restart_clock(struct web *web)
{
    web->heard_us = now_us(web);
}

// All has left and nothing more is to be said.
static void linger(struct web *web)
{
    cv_conn_shutdown(web->conn);
    cv_conn_want(web->conn, true, false);
    web->lingers = true;
    restart_clock(web);
}

// Writes what waits. 0: all has left. CV_E_AGAIN: the rest must wait. Negative: the end.
static int flush(struct web *web)
{
    struct cv_gather *gather = &web->conn->worker->gather;
    while (web->out) {
        cv_gather_clear(gather);
        cv_gather_borrow(gather, web->out->data + web->out_sent, web->out->len - web->out_sent);
        int sent = cv_conn_write(web->conn, gather);
        if (sent < 0)
            return sent;
        web->out_sent += (size_t)sent;
        restart_clock(web);
        if (web->out_sent == web->out->len)
            cv_block_unref(&web->out);
    }
    web->out_sent = 0;
    return CV_OK;
}

static int answer(struct web *web, uint32_t status, const char *body, bool head_only)
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

static void log_request(const struct web *web, const struct cv_http1_head *head, uint32_t status)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "http.request");
    cv_conn_log_fields(web->conn, &line);
    cv_line_str(&line, "method", head->method_text.at, head->method_text.len);
    cv_line_str(&line, "path", head->path.at, head->path.len);
    cv_line_uint(&line, "status", status);
    cv_line_end(&line);
}

static int answer_request(struct web *web, const struct cv_http1_head *head)
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

// ---- requests -------------------------------------------------------------------------------

// A body is of no use to any route: a small one is read away, and nobody is asked to send one.
static int on_head(struct web *web, const struct cv_http1_head *head)
{
    cv_http1_set_body_max(web->http, CV_LIMIT_HTTP_DISCARD_BYTES);
    if (!head->expects_continue)
        return CV_OK;
    web->closes = true;
    return answer_request(web, head);
}

// The engine cannot go on: the status that it wants, then the end.
static int refuse(struct web *web)
{
    const struct cv_why *why = cv_http1_why(web->http);
    log_end(web, CV_LOG_WARN, why->code, why->text);
    web->closes = true;
    cv_block_unref(&web->out);
    return answer(web, cv_http1_refusal(web->http), "The request cannot be understood.\n", false);
}

// One request, as far as its bytes have come. 1: it was answered; 0: more bytes are needed.
static int next_request(struct web *web)
{
    struct cv_http1_event event;
    int more;
    while ((more = cv_http1_next(web->http, &event)) == 1) {
        int err = CV_OK;
        if (event.type == CV_HTTP1_HEAD)
            err = on_head(web, event.head);
        else if (event.type == CV_HTTP1_END)
            err = answer_request(web, event.head);
        if (err != CV_OK)
            return err;
        if (web->out)
            return 1;
    }
    if (more == 0)
        return 0;
    int err = refuse(web);
    return err == CV_OK ? 1 : err;
}

static int keep_unread(struct web *web)
{
    struct cv_rd unread = cv_http1_unread(web->http);
    CV_ASSERT(!web->stash);
    if (cv_rd_left(&unread) == 0)
        return CV_OK;
    web->stash = cv_block_copy(unread.at, cv_rd_left(&unread));
    return web->stash ? CV_OK : CV_E_NOMEM;
}

// Requests and answers in turn, while bytes and room last. Negative: the end.
static int work(struct web *web)
{
    for (;;) {
        int err = flush(web);
        if (err == CV_E_AGAIN) {
            cv_conn_want(web->conn, false, true);
            return web->closes ? CV_OK : keep_unread(web);
        }
        if (err != CV_OK)
            return err;
        if (web->closes) {
            linger(web);
            return CV_OK;
        }
        if (cv_http1_phase(web->http) == CV_HTTP1_PAUSED) {
            cv_http1_resume(web->http);
            restart_clock(web);
        }
        int answered = next_request(web);
        if (answered <= 0)
            return answered;
    }
}

static void step(struct web *web, const uint8_t *data, size_t len)
{
    if (cv_http1_phase(web->http) == CV_HTTP1_IDLE)
        restart_clock(web);
    cv_http1_feed(web->http, data, len);
    int err = work(web);
    if (err < 0)
        web_end(web, CV_LOG_DEBUG, err, cv_err_text(err));
    else
        rearm(web);
}

// ---- the TCP connection's side ------------------------------------------------------------------

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct web *web = arg;
    if (!web->lingers && !web->closes)
        step(web, data, len);
}

static void on_ended(void *arg, int code)
{
    web_end(arg, CV_LOG_DEBUG, code, cv_err_text(code));
}

static void on_writable(void *arg)
{
    struct web *web = arg;
    struct cv_block *stash = web->stash;
    web->stash = NULL;
    cv_conn_want(web->conn, true, false);
    step(web, stash ? stash->data : NULL, stash ? stash->len : 0);
    cv_block_unref(&stash);
}

static void on_stop(void *arg)
{
    web_end(arg, CV_LOG_DEBUG, CV_E_CLOSED, "the server stops");
}

static const struct cv_conn_user web_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

int cv_web_open(struct cv_conn *conn, const uint8_t *data, size_t len)
{
    struct web *web = cv_mem_zero(1, sizeof *web);
    if (!web)
        return CV_E_NOMEM;
    web->http = cv_http1_new(CV_HTTP1_REQUESTS);
    if (!web->http) {
        cv_mem_free(web);
        return CV_E_NOMEM;
    }
    web->conn = conn;
    web->heard_us = conn->opened_us;
    cv_timer_init(&web->timer, conn->worker->loop, on_timer, web);
    rearm(web);
    cv_conn_hand_over(conn, &web_user, web, data, len);
    return CV_OK;
}
