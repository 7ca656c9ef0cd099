#include "server/site_proxy.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/proxy_head.h"
#include "server/conn.h"
#include "server/site_exchange.h"
#include "server/splice.h"
#include "server/worker.h"

#include <string.h>

static uint64_t now_us(const struct cv_exchange *exchange)
{
    return cv_loop_now_us(exchange->worker->loop);
}

// ---- ending ---------------------------------------------------------------------------------

// The connection to the site is not needed any more. `reusable`: it may carry another request.
static void leave_site(struct cv_exchange *exchange, bool reusable)
{
    struct cv_upstream *upstream = exchange->upstream;
    exchange->upstream = NULL;
    cv_upstream_cancel(&exchange->ask);
    if (upstream && reusable)
        cv_upstream_give_back(upstream);
    else if (upstream)
        cv_upstream_close(upstream);
}

static void exchange_free(struct cv_exchange *exchange)
{
    leave_site(exchange, false);
    cv_timer_stop(&exchange->timer);
    cv_block_unref(&exchange->head);
    cv_leftover_done(&exchange->to_site);
    cv_leftover_done(&exchange->to_client);
    cv_mem_free(exchange);
}

// What the client is told when there is no answer of the site's.
struct failure {
    uint32_t status;
    const char *body;
};

#define PAGE(what)                                                                                 \
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" what "</title>\n"         \
    "<h1>" what "</h1>\n<p>This is about the web site only: live streams on this server go on. "   \
    "Please try again in a moment.</p>\n"

static struct failure failure_of(int code)
{
    switch (code) {
    case CV_E_TIMEOUT:
        return (struct failure){504, PAGE("The web site does not answer in time")};
    case CV_E_QUEUE_FULL:
    case CV_E_NO_DESCRIPTORS:
    case CV_E_NOMEM:
        return (struct failure){503, PAGE("The web site is busy")};
    default:
        return (struct failure){502, PAGE("The web site does not answer")};
    }
}

// Frees the exchange. The client gets a page; or, when it has got the beginning of an answer, sees
// that the rest is missing.
static void fail(struct cv_exchange *exchange, int code, const char *why)
{
    struct cv_web *web = exchange->web;
    bool wrote = exchange->wrote;
    cv_upstream_failed(exchange->worker, code, why);
    if (exchange->answered && exchange->framing == CV_HTTP1_UNTIL_CLOSE)
        cv_conn_reset_at_end(cv_web_conn(web));
    exchange_free(exchange);
    if (wrote) {
        cv_web_abort(web, code, "the site's answer is not complete");
        return;
    }
    struct failure failure = failure_of(code);
    struct cv_http1_answer answer = {.status = failure.status,
                                     .type = "text/html; charset=utf-8",
                                     .body = failure.body,
                                     .len = strlen(failure.body)};
    cv_web_answer(web, &answer);
}

// Frees the exchange: it is the client's connection that failed.
static void abandon(struct cv_exchange *exchange, int code)
{
    struct cv_web *web = exchange->web;
    exchange_free(exchange);
    cv_web_abort(web, code, cv_err_text(code));
}

// ---- time -----------------------------------------------------------------------------------

// How long the site may do nothing. While the client's turn lasts, its connection has its own
// times.
static uint64_t allowed_us(const struct cv_exchange *exchange)
{
    const struct cv_config_limits *limits = &exchange->worker->policy->config->limits;
    bool clients_turn = exchange->upstream && !exchange->request_ended && !exchange->deaf &&
                        cv_leftover_is_empty(&exchange->to_site);
    if (exchange->answered || clients_turn)
        return CV_SITE_SILENCE_S * UINT64_C(1000000);
    return limits->site_answer_s * UINT64_C(1000000);
}

// It is the site's turn from now on.
static void start_clock(struct cv_exchange *exchange)
{
    exchange->heard_us = now_us(exchange);
    cv_timer_start(&exchange->timer, allowed_us(exchange));
}

// What happened meanwhile moves the deadline. A site that is not read cannot be heard.
static void on_timer(void *arg)
{
    struct cv_exchange *exchange = arg;
    if (!cv_leftover_is_empty(&exchange->to_client))
        exchange->heard_us = now_us(exchange);
    uint64_t deadline_us = exchange->heard_us + allowed_us(exchange);
    if (now_us(exchange) < deadline_us)
        cv_timer_start_at(&exchange->timer, deadline_us);
    else
        fail(exchange, CV_E_TIMEOUT, exchange->upstream ? "it is silent" : "all of its are in use");
}

// ---- the request ----------------------------------------------------------------------------

static void want_site(struct cv_exchange *exchange)
{
    cv_conn_want(exchange->upstream->conn, cv_leftover_is_empty(&exchange->to_client),
                 !cv_leftover_is_empty(&exchange->to_site));
}

// The site takes no more. It may have answered all the same, or is about to.
static void stop_sending(struct cv_exchange *exchange)
{
    cv_leftover_done(&exchange->to_site);
    exchange->deaf = true;
}

// Sends what is in the gather, or keeps it.
static void send_to_site(struct cv_exchange *exchange, const struct cv_gather *gather)
{
    int sent = 0;
    if (cv_leftover_is_empty(&exchange->to_site))
        sent = cv_conn_write(exchange->upstream->conn, gather);
    if (sent == CV_E_AGAIN)
        sent = 0;
    if (sent < 0 || cv_leftover_add(&exchange->to_site, gather, (size_t)sent) != CV_OK)
        stop_sending(exchange);
    want_site(exchange);
    start_clock(exchange);
}

// The head goes with the first bytes behind it, in one write.
static void gather_head(struct cv_exchange *exchange, struct cv_gather *gather)
{
    if (!exchange->head_sent)
        cv_gather_borrow(gather, exchange->head->data, exchange->head->len);
    exchange->head_sent = true;
}

static void on_body(void *arg, const uint8_t *data, size_t len)
{
    struct cv_exchange *exchange = arg;
    struct cv_gather *gather = cv_exchange_gather(exchange);
    if (exchange->deaf || !exchange->upstream)
        return;
    exchange->body_sent = true;
    gather_head(exchange, gather);
    if (exchange->chunked)
        cv_exchange_chunk_head(gather, cv_gather_reserve(gather, CV_CHUNK_HEAD_BYTES), len);
    cv_gather_borrow(gather, data, len);
    if (exchange->chunked)
        cv_exchange_literal(gather, "\r\n");
    send_to_site(exchange, gather);
    // Back-pressure. A site that is deaf needs no more, either.
    if (exchange->deaf || !cv_leftover_is_empty(&exchange->to_site))
        cv_web_want_body(exchange->web, false);
}

static void send_end(struct cv_exchange *exchange)
{
    struct cv_gather *gather = cv_exchange_gather(exchange);
    if (exchange->deaf)
        return;
    gather_head(exchange, gather);
    if (exchange->chunked)
        cv_exchange_literal(gather, "0\r\n\r\n");
    if (gather->bytes)
        send_to_site(exchange, gather);
}

static void on_end(void *arg)
{
    struct cv_exchange *exchange = arg;
    exchange->request_ended = true;
    start_clock(exchange);
    if (exchange->upstream)
        send_end(exchange);
}

// ---- the end of an answer -------------------------------------------------------------------

// The client has taken all. Frees the exchange.
static void complete(struct cv_exchange *exchange)
{
    struct cv_web *web = exchange->web;
    bool keep = exchange->keep;
    exchange_free(exchange);
    cv_web_done(web, keep);
}

// The site has nothing more to say. Its connection can be used again if it agrees and both have
// said all.
static void finish_site(struct cv_exchange *exchange)
{
    struct cv_rd unread = cv_http1_unread(exchange->upstream->http);
    bool whole = exchange->request_ended && !exchange->deaf &&
                 cv_leftover_is_empty(&exchange->to_site) && cv_rd_left(&unread) == 0;
    leave_site(exchange, exchange->site_keeps && whole);
}

// HTTP is over: what comes from now on goes from one to the other. Frees the exchange.
static void switch_protocols(struct cv_exchange *exchange)
{
    struct cv_web *web = exchange->web;
    struct cv_rd unread = cv_http1_unread(exchange->upstream->http);
    struct cv_gather *gather = cv_exchange_gather(exchange);
    struct cv_leftover to_client = exchange->to_client;
    struct cv_leftover to_site = {0};
    cv_gather_borrow(gather, unread.at, cv_rd_left(&unread));
    int err = cv_leftover_add(&to_client, gather, 0);
    exchange->to_client = (struct cv_leftover){0};
    struct cv_conn *site = cv_upstream_release(exchange->upstream);
    exchange->upstream = NULL;
    exchange_free(exchange);
    struct cv_conn *client = cv_web_release(web, &to_site.block);
    if (client && err == CV_OK) {
        cv_splice(client, &to_client, site, &to_site);
        return;
    }
    cv_leftover_done(&to_client);
    cv_leftover_done(&to_site);
    cv_conn_free(site);
    if (client)
        cv_conn_free(client);
}

static void on_answer_over(struct cv_exchange *exchange)
{
    if (exchange->switched) {
        switch_protocols(exchange);
        return;
    }
    finish_site(exchange);
    cv_timer_stop(&exchange->timer);
    if (!exchange->request_ended)
        cv_web_want_body(exchange->web, false);
    if (cv_leftover_is_empty(&exchange->to_client))
        complete(exchange);
}

// ---- the site's connection ------------------------------------------------------------------

// Whether the request can be sent once more: the connection was an old one, which the site has
// closed meanwhile, and what has been sent of it did nothing or may be done twice.
static bool may_retry(const struct cv_exchange *exchange)
{
    bool harmless = !exchange->head_sent || exchange->idempotent;
    return exchange->upstream->reused && !exchange->retried && !exchange->begun &&
           !exchange->body_sent && harmless;
}

static void retry(struct cv_exchange *exchange)
{
    if (!exchange->request_ended)
        cv_web_want_body(exchange->web, false); // not before there is a connection again
    leave_site(exchange, false);
    cv_leftover_done(&exchange->to_site);
    exchange->retried = true;
    exchange->head_sent = false;
    exchange->deaf = false;
    exchange->ask.fresh = true;
    start_clock(exchange);
    cv_upstream_ask(exchange->worker, &exchange->ask);
}

// May free the exchange, as all of these may.
static void step(struct cv_exchange *exchange)
{
    int client = CV_OK;
    int err = cv_exchange_pass_on(exchange, &client);
    if (client != CV_OK) {
        abandon(exchange, client);
    } else if (err != CV_OK) {
        fail(exchange, err, cv_http1_why(exchange->upstream->http)->text);
    } else if (exchange->answer_ended) {
        on_answer_over(exchange);
    } else {
        want_site(exchange);
    }
}

static void on_site_ended(void *arg, int code)
{
    struct cv_exchange *exchange = arg;
    if (may_retry(exchange)) {
        retry(exchange);
        return;
    }
    if (code != CV_E_CLOSED || !exchange->answered) {
        fail(exchange, code, "the connection ends before the answer");
        return;
    }
    cv_http1_feed_end(exchange->upstream->http);
    step(exchange);
}

static void on_site_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_exchange *exchange = arg;
    exchange->heard_us = now_us(exchange);
    if (!exchange->head_sent) {
        // Nobody has asked yet: a word about the time-out of an old connection.
        on_site_ended(exchange, CV_E_HTTP);
        return;
    }
    exchange->begun = true;
    cv_block_unref(&exchange->head);
    cv_http1_feed(exchange->upstream->http, data, len);
    step(exchange);
}

static void on_site_writable(void *arg)
{
    struct cv_exchange *exchange = arg;
    struct cv_gather *gather = cv_exchange_gather(exchange);
    cv_leftover_gather(&exchange->to_site, gather);
    int sent = gather->bytes ? cv_conn_write(exchange->upstream->conn, gather) : 0;
    if (sent == CV_E_AGAIN)
        return;
    exchange->heard_us = now_us(exchange);
    if (sent < 0)
        stop_sending(exchange);
    else if (sent > 0)
        cv_leftover_sent(&exchange->to_site, (size_t)sent);
    want_site(exchange);
    if (sent > 0 && !exchange->deaf && cv_leftover_is_empty(&exchange->to_site))
        cv_web_want_body(exchange->web, true);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static const struct cv_conn_user site_user = {
    .bytes = on_site_bytes,
    .ended = on_site_ended,
    .writable = on_site_writable,
    .stop = on_nothing,
};

static void on_ready(void *arg, struct cv_upstream *upstream)
{
    struct cv_exchange *exchange = arg;
    exchange->upstream = upstream;
    cv_http1_expect(upstream->http, exchange->method, exchange->upgrades);
    cv_conn_hand_over(upstream->conn, &site_user, exchange, NULL, 0);
    want_site(exchange);
    start_clock(exchange);
    if (exchange->request_ended)
        send_end(exchange);
    else
        cv_web_want_body(exchange->web, true);
}

static void on_failed(void *arg, int code)
{
    fail(arg, code, "there is no connection to it");
}

// ---- the client's connection ----------------------------------------------------------------

static void on_writable(void *arg)
{
    struct cv_exchange *exchange = arg;
    struct cv_gather *gather = cv_exchange_gather(exchange);
    cv_leftover_gather(&exchange->to_client, gather);
    int sent = gather->bytes ? cv_web_write(exchange->web, gather) : 0;
    if (sent == CV_E_AGAIN)
        return;
    if (sent < 0) {
        abandon(exchange, sent);
        return;
    }
    if (sent > 0)
        cv_leftover_sent(&exchange->to_client, (size_t)sent);
    if (!cv_leftover_is_empty(&exchange->to_client))
        return;
    if (exchange->answer_ended) {
        complete(exchange);
        return;
    }
    exchange->heard_us = now_us(exchange);
    if (exchange->upstream)
        want_site(exchange);
}

static void on_gone(void *arg)
{
    exchange_free(arg);
}

static const struct cv_responder site_responder = {
    .body = on_body,
    .end = on_end,
    .writable = on_writable,
    .gone = on_gone,
};

// ---- a request comes ------------------------------------------------------------------------

static struct cv_block *request_head(struct cv_web *web, const struct cv_http1_head *head)
{
    char peer[CV_ADDR_TEXT_BYTES];
    char site[CV_SITE_TEXT_BYTES];
    const struct cv_conn *conn = cv_web_conn(web);
    cv_site_text(&conn->worker->policy->config->site, site, sizeof site);
    struct cv_text authority = cv_text_skip(cv_text_of(site), strlen("http://"));
    bool plain = cv_http1_is_authority(authority); // not with a zone
    const struct cv_proxy_client client = {
        .peer = cv_text_of(cv_addr_print_ip(&conn->peer, peer)),
        .secure = cv_conn_is_secure(conn),
        .trusted = cv_conn_trusts(conn->worker, &conn->peer),
        .authority = plain ? authority : cv_text_of("localhost"),
    };
    struct cv_wr wr = cv_wr_growing(CV_PROXY_HEAD_BYTES_MAX);
    cv_proxy_write_request(&wr, head, &client);
    return cv_wr_take(&wr);
}

static struct cv_exchange *exchange_new(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_exchange *exchange = cv_mem_zero(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->head = request_head(web, head);
    if (!exchange->head) {
        cv_mem_free(exchange);
        return NULL;
    }
    exchange->web = web;
    exchange->worker = cv_web_conn(web)->worker;
    exchange->method = head->method;
    exchange->minor = head->minor;
    exchange->chunked = head->framing == CV_HTTP1_CHUNKED;
    exchange->upgrades = cv_proxy_upgrades(head);
    exchange->idempotent = cv_proxy_is_idempotent(head);
    exchange->ask =
        (struct cv_upstream_ask){.ready = on_ready, .failed = on_failed, .arg = exchange};
    cv_timer_init(&exchange->timer, exchange->worker->loop, on_timer, exchange);
    return exchange;
}

int cv_site_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_worker *worker = cv_web_conn(web)->worker;
    if (worker->policy->config->site.kind != CV_SITE_UPSTREAM)
        return 0;
    struct cv_exchange *exchange = exchange_new(web, head);
    if (!exchange)
        return CV_E_NOMEM;
    cv_web_respond(web, &site_responder, exchange);
    // Nobody is asked for a body before there is somebody who takes it.
    cv_web_want_body(web, head->framing == CV_HTTP1_NONE);
    start_clock(exchange);
    cv_upstream_ask(worker, &exchange->ask);
    return 1;
}
