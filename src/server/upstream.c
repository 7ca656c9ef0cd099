#include "server/upstream.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/resolve.h"
#include "io/socket.h"
#include "server/conn.h"
#include "server/table.h"
#include "server/worker.h"

#include <string.h>

enum { TOLD_EVERY_S = 10 }; // that the site is down

static const uint64_t second_us = 1000000;

struct cv_upstreams {
    struct cv_worker *worker;
    struct cv_config_site site; // that the addresses are of
    uint64_t generation;        // grows with each other site
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned addr_count; // 0: not known yet
    unsigned addr_first; // the one that worked last
    bool numeric;        // never to be looked up again
    uint64_t looked_us;  // when they were looked up
    struct cv_resolve *resolve;
    unsigned count;           // connections: dialled, in use and idle
    struct cv_upstream *idle; // the newest first
    unsigned idle_count;
    struct cv_upstream_ask *waiting;
    unsigned waiting_count;
    struct cv_timer serve; // those who wait, in a turn of their own
    bool down;             // the last request failed
    uint64_t told_us;
};

static uint64_t now_us(const struct cv_upstreams *all)
{
    return cv_loop_now_us(all->worker->loop);
}

static void serve_soon(struct cv_upstreams *all)
{
    if (all->waiting && !cv_timer_is_set(&all->serve))
        cv_timer_start(&all->serve, 0);
}

// ---- what the log tells ---------------------------------------------------------------------

static void log_site(struct cv_upstreams *all, enum cv_log_level level, const char *event, int code,
                     const char *why)
{
    char site[CV_SITE_TEXT_BYTES];
    struct cv_line line;
    cv_site_text(&all->site, site, sizeof site);
    cv_line_begin(&line, level, event);
    cv_line_text(&line, "site", site);
    if (code != CV_OK)
        cv_line_err(&line, code);
    if (why)
        cv_line_text(&line, "why", why);
    cv_line_end(&line);
}

void cv_upstream_failed(struct cv_worker *worker, int code, const char *why)
{
    struct cv_upstreams *all = worker->upstreams;
    if (!all)
        return;
    bool tell = !all->down || now_us(all) >= all->told_us + TOLD_EVERY_S * second_us;
    all->down = true;
    if (tell)
        all->told_us = now_us(all);
    log_site(all, tell ? CV_LOG_WARN : CV_LOG_DEBUG, "site.failed", code, why);
}

void cv_upstream_works(struct cv_worker *worker)
{
    struct cv_upstreams *all = worker->upstreams;
    CV_ASSERT(all);
    if (all->down)
        log_site(all, CV_LOG_INFO, "site.back", CV_OK, NULL);
    all->down = false;
}

// ---- one connection -------------------------------------------------------------------------

static void on_timer(void *arg);

// Frees all but the TCP connection, which is returned.
static struct cv_conn *take_apart(struct cv_upstream *upstream)
{
    struct cv_conn *conn = upstream->conn;
    upstream->all->count--;
    serve_soon(upstream->all);
    cv_timer_stop(&upstream->timer);
    cv_http1_free(upstream->http);
    cv_mem_free(upstream);
    return conn;
}

void cv_upstream_close(struct cv_upstream *upstream)
{
    struct cv_conn *conn = take_apart(upstream);
    if (conn)
        cv_conn_free(conn);
}

struct cv_conn *cv_upstream_release(struct cv_upstream *upstream)
{
    return take_apart(upstream);
}

static struct cv_upstream *upstream_new(struct cv_upstreams *all)
{
    struct cv_upstream *upstream = cv_mem_zero(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!upstream->http) {
        cv_mem_free(upstream);
        return NULL;
    }
    cv_http1_set_body_max(upstream->http, UINT64_MAX);
    upstream->all = all;
    upstream->generation = all->generation;
    cv_timer_init(&upstream->timer, all->worker->loop, on_timer, upstream);
    all->count++;
    return upstream;
}

static void on_nothing(void *arg)
{
    (void)arg;
}

// ---- idle ones ------------------------------------------------------------------------------

static void drop_idle(struct cv_upstream *upstream)
{
    DL_DELETE(upstream->all->idle, upstream);
    upstream->all->idle_count--;
    cv_upstream_close(upstream);
}

static void drop_all_idle(struct cv_upstreams *all)
{
    while (all->idle)
        drop_idle(all->idle);
}

// Nobody has asked for anything: the site's server closes it, or has gone mad.
static void on_idle_bytes(void *arg, const uint8_t *data, size_t len)
{
    (void)data;
    (void)len;
    drop_idle(arg);
}

static void on_idle_ended(void *arg, int code)
{
    (void)code;
    drop_idle(arg);
}

static const struct cv_conn_user idle_user = {
    .bytes = on_idle_bytes,
    .ended = on_idle_ended,
    .writable = on_nothing,
    .stop = on_nothing,
};

void cv_upstream_give_back(struct cv_upstream *upstream)
{
    struct cv_upstreams *all = upstream->all;
    if (all->worker->stopping || upstream->generation != all->generation ||
        all->idle_count == CV_LIMIT_SITE_IDLE) {
        cv_upstream_close(upstream);
        return;
    }
    upstream->reused = true;
    DL_PREPEND(all->idle, upstream);
    all->idle_count++;
    cv_conn_hand_over(upstream->conn, &idle_user, upstream, NULL, 0);
    cv_conn_want(upstream->conn, true, false);
    cv_timer_start(&upstream->timer, CV_SITE_IDLE_S * second_us);
    serve_soon(all);
}

// The newest one that the site has not closed meanwhile, or NULL.
static struct cv_upstream *take_idle(struct cv_upstreams *all)
{
    uint8_t byte;
    while (all->idle && cv_socket_read(all->idle->conn->channel.fd, &byte, 1) != CV_E_AGAIN)
        drop_idle(all->idle);
    struct cv_upstream *upstream = all->idle;
    if (!upstream)
        return NULL;
    DL_DELETE(all->idle, upstream);
    all->idle_count--;
    cv_timer_stop(&upstream->timer);
    return upstream;
}

// ---- dialling -------------------------------------------------------------------------------

static void answer_ask(struct cv_upstream_ask *ask)
{
    ask->all = NULL;
    ask->dialled = NULL;
}

static void hand_out(struct cv_upstream_ask *ask, struct cv_upstream *upstream)
{
    answer_ask(ask);
    upstream->ask = NULL;
    ask->ready(ask->arg, upstream);
}

static void fail_ask(struct cv_upstream_ask *ask, int code)
{
    answer_ask(ask);
    ask->failed(ask->arg, code);
}

static void try_next(struct cv_upstream *upstream, int code);

static void drop_attempt(struct cv_upstream *upstream, int code)
{
    cv_conn_free(upstream->conn);
    upstream->conn = NULL;
    try_next(upstream, code);
}

static void on_dialled(void *arg)
{
    struct cv_upstream *upstream = arg;
    struct cv_upstreams *all = upstream->all;
    int err = cv_conn_dialled(upstream->conn);
    if (err == CV_E_AGAIN)
        return;
    if (err != CV_OK) {
        drop_attempt(upstream, err);
        return;
    }
    cv_timer_stop(&upstream->timer);
    if (upstream->generation == all->generation)
        all->addr_first = (all->addr_first + upstream->tried - 1) % all->addr_count;
    hand_out(upstream->ask, upstream);
}

static const struct cv_conn_user dial_user = {
    .bytes = on_idle_bytes, // never: nothing is read before it is connected
    .ended = on_idle_ended, //
    .writable = on_dialled,
    .stop = on_nothing,
};

static void on_timer(void *arg)
{
    struct cv_upstream *upstream = arg;
    if (upstream->ask)
        drop_attempt(upstream, CV_E_TIMEOUT);
    else
        drop_idle(upstream);
}

// The next address, until one can be tried. `code`: what the last one failed with.
static void try_next(struct cv_upstream *upstream, int code)
{
    struct cv_upstreams *all = upstream->all;
    struct cv_upstream_ask *ask = upstream->ask;
    bool same = upstream->generation == all->generation;
    while (same && upstream->tried < all->addr_count) {
        unsigned at = (all->addr_first + upstream->tried++) % all->addr_count;
        code = cv_conn_dial(all->worker, &all->addrs[at], &dial_user, upstream, &upstream->conn);
        if (code != CV_OK)
            continue;
        cv_timer_start(&upstream->timer, CV_SITE_CONNECT_S * second_us);
        return;
    }
    cv_upstream_close(upstream);
    fail_ask(ask, code);
}

static void dial(struct cv_upstreams *all, struct cv_upstream_ask *ask)
{
    struct cv_upstream *upstream = upstream_new(all);
    if (!upstream) {
        fail_ask(ask, CV_E_NOMEM);
        return;
    }
    upstream->ask = ask;
    ask->dialled = upstream;
    try_next(upstream, CV_E_UNREACHABLE);
}

// ---- the site's name ------------------------------------------------------------------------

static void leave(struct cv_upstreams *all, struct cv_upstream_ask *ask)
{
    DL_DELETE(all->waiting, ask);
    all->waiting_count--;
}

static void fail_waiting(struct cv_upstreams *all, int code)
{
    // Not those who come meanwhile.
    for (unsigned left = all->waiting_count; left && all->waiting; left--) {
        struct cv_upstream_ask *ask = all->waiting;
        leave(all, ask);
        fail_ask(ask, code);
    }
}

// Where the name cannot be looked up again, the addresses that are known stay good.
static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct cv_upstreams *all = arg;
    all->resolve = NULL;
    all->looked_us = now_us(all);
    if (code == CV_OK) {
        memcpy(all->addrs, addrs, count * sizeof *addrs);
        all->addr_count = count;
        all->addr_first %= count;
    }
    if (all->addr_count)
        serve_soon(all);
    else
        fail_waiting(all, code);
}

static void look_up(struct cv_upstreams *all)
{
    bool fresh = all->addr_count && now_us(all) < all->looked_us + CV_SITE_LOOKUP_S * second_us;
    if (all->numeric || fresh || all->resolve)
        return;
    all->resolve =
        cv_resolve_start(all->worker->loop, all->site.host, all->site.port, on_resolved, all);
}

// From now on it is this one that is meant.
static void begin_site(struct cv_upstreams *all, const struct cv_config_site *site)
{
    char text[CV_SITE_TEXT_BYTES];
    drop_all_idle(all);
    cv_resolve_cancel(&all->resolve);
    all->site = *site;
    all->generation++;
    all->addr_first = 0;
    all->down = false;
    cv_site_text(site, text, sizeof text);
    int err = cv_addr_parse(text + strlen("http://"), 0, &all->addrs[0], NULL);
    all->numeric = err == CV_OK;
    all->addr_count = all->numeric ? 1 : 0;
}

static bool same_site(const struct cv_config_site *a, const struct cv_config_site *b)
{
    return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0;
}

// ---- asking ---------------------------------------------------------------------------------

static bool has_room(const struct cv_upstreams *all)
{
    return all->count < all->worker->policy->config->limits.site_connections_max;
}

static void wait(struct cv_upstreams *all, struct cv_upstream_ask *ask)
{
    if (all->waiting_count == CV_LIMIT_SITE_WAITING) {
        fail_ask(ask, CV_E_QUEUE_FULL);
        return;
    }
    DL_APPEND(all->waiting, ask);
    all->waiting_count++;
    if (!all->addr_count && !all->resolve)
        fail_waiting(all, CV_E_NOMEM);
}

// A connection for it, now or when it is dialled. False: it must wait.
static bool serve(struct cv_upstreams *all, struct cv_upstream_ask *ask)
{
    struct cv_upstream *upstream = ask->fresh ? NULL : take_idle(all);
    if (!upstream && ask->fresh && !has_room(all) && all->idle)
        drop_idle(all->idle->prev); // the oldest: the list's head knows its tail
    if (!upstream && (!all->addr_count || !has_room(all)))
        return false;
    if (ask->prev)
        leave(all, ask);
    if (upstream)
        hand_out(ask, upstream);
    else
        dial(all, ask);
    return true;
}

static void on_serve(void *arg)
{
    struct cv_upstreams *all = arg;
    while (all->waiting && serve(all, all->waiting))
        ;
}

static struct cv_upstreams *upstreams_of(struct cv_worker *worker)
{
    if (worker->upstreams)
        return worker->upstreams;
    struct cv_upstreams *all = cv_mem_zero(1, sizeof *all);
    if (!all)
        return NULL;
    all->worker = worker;
    cv_timer_init(&all->serve, worker->loop, on_serve, all);
    worker->upstreams = all;
    return all;
}

void cv_upstream_ask(struct cv_worker *worker, struct cv_upstream_ask *ask)
{
    const struct cv_config_site *site = &worker->policy->config->site;
    struct cv_upstreams *all = upstreams_of(worker);
    CV_ASSERT(!ask->all && site->kind == CV_SITE_UPSTREAM);
    ask->prev = NULL;
    if (!all) {
        fail_ask(ask, CV_E_NOMEM);
        return;
    }
    ask->all = all;
    if (!same_site(&all->site, site))
        begin_site(all, site);
    look_up(all);
    if (all->waiting || !serve(all, ask))
        wait(all, ask);
}

void cv_upstream_cancel(struct cv_upstream_ask *ask)
{
    struct cv_upstreams *all = ask->all;
    if (!all)
        return;
    if (ask->dialled)
        cv_upstream_close(ask->dialled);
    else
        leave(all, ask);
    answer_ask(ask);
}

void cv_upstreams_free(struct cv_worker *worker)
{
    struct cv_upstreams *all = worker->upstreams;
    if (!all)
        return;
    CV_ASSERT(!all->waiting);
    drop_all_idle(all);
    CV_ASSERT(all->count == 0);
    cv_resolve_cancel(&all->resolve);
    cv_timer_stop(&all->serve);
    cv_mem_free(all);
    worker->upstreams = NULL;
}
