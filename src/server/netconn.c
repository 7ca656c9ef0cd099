#include "server/netconn.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "server/client_addr.h"
#include "server/publisher.h"
#include "server/worker.h"

enum {
    DRAIN_S = 5,               // for last words to leave
    LINGER_S = 2,              // for the client to read them
    FLUSH_BYTES = 1024 * 1024, // sent to one client per turn; the rest follows in the next
    CONN_HOT_BYTES = 256,      // what a flush touches of a NetConnection
    ENGINE_HOT_BYTES = 192,    // and of its engine
};

static uint64_t now_us(const struct cv_netconn *conn)
{
    return cv_loop_now_us(conn->worker->loop);
}

struct cv_netconn *cv_netconn_find(struct cv_worker *worker, uint64_t id)
{
    struct cv_netconn *conn = NULL;
    HASH_FIND(hh, worker->conns, &id, sizeof id, conn);
    return conn;
}

// While we do not listen, the client may well speak; after the end it no longer counts.
uint64_t cv_netconn_heard_us(const struct cv_netconn *conn)
{
    if (conn->phase != CV_NETCONN_OPEN)
        return 0;
    return conn->paused ? now_us(conn) : conn->heard_us;
}

void cv_netconn_log_fields(const struct cv_netconn *conn, struct cv_line *line)
{
    cv_line_uint(line, "conn", conn->id);
    cv_client_log_field(&conn->peer, line);
    if (conn->tls)
        cv_line_text(line, "tls", conn->tls);
}

// ---- beginning ------------------------------------------------------------------------------

static void on_timer(void *arg);

static struct cv_rtmp *new_engine(const struct cv_worker *worker)
{
    uint32_t media_bytes_max = worker->policy->config->limits.media_message_bytes_max;
    struct cv_rtmp_config config = {
        .role = CV_RTMP_SERVER,
        .crypto = &cv_crypto_openssl,
        .media_bytes_max = media_bytes_max,
        .out_bytes_max = (size_t)CV_LIMIT_OUT_BYTES + media_bytes_max, // the largest fits, always
    };
    return cv_rtmp_new(&config, (uint32_t)(cv_loop_now_us(worker->loop) / 1000));
}

int cv_netconn_init(struct cv_netconn *conn, struct cv_worker *worker,
                    const struct cv_carrier *carrier, const struct cv_origin *origin)
{
    conn->rtmp = new_engine(worker);
    if (!conn->rtmp)
        return CV_E_NOMEM;
    conn->worker = worker;
    conn->carrier = carrier;
    conn->id = origin->id;
    conn->peer = origin->peer;
    conn->opened_us = origin->opened_us;
    conn->tls = origin->tls;
    conn->heard_us = conn->progress_us = now_us(conn);
    HASH_ADD(hh, worker->conns, id, sizeof conn->id, conn);
    if (!conn->hh.tbl) {
        cv_rtmp_free(conn->rtmp);
        return CV_E_NOMEM;
    }
    worker->stats.connections++;
    cv_timer_init(&conn->timer, worker->loop, on_timer, conn);
    cv_session_init(&conn->session, conn, worker->policy);
    cv_netconn_rearm(conn);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "conn.open");
    cv_netconn_log_fields(conn, &line);
    cv_line_text(&line, "by", carrier->name);
    cv_line_end(&line);
    return CV_OK;
}

// ---- ending ---------------------------------------------------------------------------------

void cv_netconn_doom(struct cv_netconn *conn, int code, const char *place)
{
    if (conn->doomed)
        return;
    conn->doomed = true;
    conn->doom_code = code;
    conn->doom_place = place;
    DL_APPEND2(conn->worker->doomed_conns, conn, doomed_prev, doomed_next);
}

static enum cv_log_level end_level(const struct cv_netconn *conn)
{
    enum cv_err_class class = cv_err_class(conn->doom_code);
    if (conn->doom_code == CV_E_TIMEOUT) // we have ended it
        return CV_LOG_INFO;
    if (conn->doom_code == CV_OK || class == CV_CLASS_GONE)
        return CV_LOG_DEBUG;
    return class == CV_CLASS_BUG || class == CV_CLASS_NOMEM ? CV_LOG_ERROR : CV_LOG_WARN;
}

// One line that says what ended the connection, and where.
static void log_end(const struct cv_netconn *conn)
{
    const struct cv_why *why = cv_rtmp_why(conn->rtmp);
    struct cv_line line;
    cv_line_begin(&line, end_level(conn), "conn.close");
    cv_netconn_log_fields(conn, &line);
    if (conn->doom_code != CV_OK) {
        cv_line_err(&line, conn->doom_code);
        cv_line_text(&line, "place", why->code == conn->doom_code ? why->place : conn->doom_place);
        cv_line_text(&line, "why",
                     why->code == conn->doom_code ? why->text : cv_err_text(conn->doom_code));
    }
    cv_line_uint(&line, "in", cv_rtmp_bytes_in(conn->rtmp));
    cv_line_uint(&line, "out", cv_rtmp_bytes_out(conn->rtmp));
    cv_line_uint(&line, "ms", (now_us(conn) - conn->opened_us) / 1000);
    cv_line_end(&line);
}

void cv_netconn_free(struct cv_netconn *conn)
{
    struct cv_worker *worker = conn->worker;
    // Publishers and viewers first: they look at the connection when they say goodbye.
    cv_session_done(&conn->session, false);
    log_end(conn);
    if (conn->dirty)
        DL_DELETE2(worker->dirty_conns, conn, dirty_prev, dirty_next);
    if (conn->doomed)
        DL_DELETE2(worker->doomed_conns, conn, doomed_prev, doomed_next);
    if (conn->paused)
        DL_DELETE2(worker->paused_conns, conn, paused_prev, paused_next);
    HASH_DEL(worker->conns, conn);
    cv_timer_stop(&conn->timer);
    cv_rtmp_free(conn->rtmp);
    cv_block_unref(&conn->stash);
    worker->stats.connections--;
    conn->carrier->free(conn);
}

static void pause_reading(struct cv_netconn *conn)
{
    conn->paused = true;
    DL_APPEND2(conn->worker->paused_conns, conn, paused_prev, paused_next);
    conn->carrier->watch(conn);
}

static void unpause(struct cv_netconn *conn)
{
    conn->paused = false;
    DL_DELETE2(conn->worker->paused_conns, conn, paused_prev, paused_next);
    conn->carrier->watch(conn);
}

static void enter_phase(struct cv_netconn *conn, enum cv_netconn_phase phase)
{
    conn->phase = phase;
    conn->phase_us = now_us(conn);
    cv_netconn_rearm(conn);
}

void cv_netconn_finish(struct cv_netconn *conn)
{
    if (conn->phase != CV_NETCONN_OPEN || conn->doomed)
        return;
    if (conn->paused)
        unpause(conn);
    cv_block_unref(&conn->stash);
    enter_phase(conn, CV_NETCONN_DRAIN);
    cv_netconn_mark(conn);
}

void cv_netconn_linger(struct cv_netconn *conn)
{
    CV_ASSERT(conn->phase == CV_NETCONN_DRAIN);
    enter_phase(conn, CV_NETCONN_LINGER);
}

void cv_netconn_stop(struct cv_netconn *conn)
{
    if (!conn->ready) {
        cv_netconn_doom(conn, CV_OK, "stop");
        return;
    }
    if (conn->phase == CV_NETCONN_OPEN && cv_session_fill(&conn->session) >= 0)
        cv_session_say_over(&conn->session);
    cv_netconn_finish(conn);
}

// ---- deadlines ------------------------------------------------------------------------------

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t silence_deadline_us(const struct cv_netconn *conn)
{
    const struct cv_config_limits *limits = &conn->session.policy->config->limits;
    if (!conn->ready)
        return conn->opened_us + limits->handshake_s * UINT64_C(1000000);
    // A player may be silent for ever; it shows by taking what it gets that it is alive.
    if (cv_session_is_playing(&conn->session) && !cv_session_is_publishing(&conn->session))
        return UINT64_MAX;
    return conn->heard_us + limits->idle_s * UINT64_C(1000000);
}

static uint64_t stall_deadline_us(const struct cv_netconn *conn)
{
    if (!conn->blocked)
        return UINT64_MAX;
    return conn->progress_us +
           conn->session.policy->config->limits.write_stall_s * UINT64_C(1000000);
}

static uint64_t deadline_us(const struct cv_netconn *conn)
{
    switch (conn->phase) {
    case CV_NETCONN_DRAIN:
        return conn->phase_us + DRAIN_S * UINT64_C(1000000);
    case CV_NETCONN_LINGER:
        return conn->phase_us + LINGER_S * UINT64_C(1000000);
    case CV_NETCONN_OPEN:
        break;
    }
    uint64_t first_us = min_u64(silence_deadline_us(conn), stall_deadline_us(conn));
    return min_u64(first_us, cv_session_deadline_us(&conn->session));
}

void cv_netconn_rearm(struct cv_netconn *conn)
{
    uint64_t deadline = deadline_us(conn);
    if (deadline == UINT64_MAX)
        cv_timer_stop(&conn->timer);
    else
        cv_timer_start_at(&conn->timer, deadline);
}

// A connection that does something else besides goes on.
static void on_session_deadline(struct cv_netconn *conn, uint64_t now)
{
    cv_session_on_deadline(&conn->session, now);
    if (!cv_session_is_playing(&conn->session) && !cv_session_is_publishing(&conn->session))
        cv_netconn_finish(conn);
    cv_netconn_mark(conn);
    cv_netconn_rearm(conn);
}

// The timer may be early: deadlines move with every byte, the timer only when it fires.
static void on_timer(void *arg)
{
    struct cv_netconn *conn = arg;
    uint64_t now = now_us(conn);
    if (deadline_us(conn) > now) {
        cv_netconn_rearm(conn);
        return;
    }
    if (conn->phase != CV_NETCONN_OPEN)
        cv_netconn_doom(conn, CV_OK, "finish");
    else if (silence_deadline_us(conn) <= now)
        cv_netconn_doom(conn, CV_E_TIMEOUT, conn->ready ? "idle" : "handshake");
    else if (stall_deadline_us(conn) <= now)
        cv_netconn_doom(conn, CV_E_TIMEOUT, "write stall");
    else
        on_session_deadline(conn, now);
}

// ---- sending --------------------------------------------------------------------------------

void cv_netconn_mark(struct cv_netconn *conn)
{
    if (conn->dirty || conn->doomed)
        return;
    struct cv_worker *worker = conn->worker;
    conn->dirty = true;
    DL_APPEND2(worker->dirty_conns, conn, dirty_prev, dirty_next);
    // One tunnel's reply lets another's request begin: a turn must come for that one, too.
    if (worker->flushing && worker->flushing != conn)
        cv_worker_retry(worker);
}

int cv_netconn_fill(struct cv_netconn *conn)
{
    return conn->phase == CV_NETCONN_OPEN ? cv_session_fill(&conn->session) : 0;
}

void cv_netconn_progress(struct cv_netconn *conn)
{
    conn->progress_us = now_us(conn);
}

void cv_netconn_block(struct cv_netconn *conn)
{
    conn->blocked = true;
    conn->progress_us = now_us(conn);
    cv_netconn_rearm(conn);
}

void cv_netconn_unblock(struct cv_netconn *conn)
{
    conn->blocked = false;
    cv_netconn_rearm(conn);
    cv_netconn_mark(conn);
}

void cv_netconn_prefetch(const struct cv_netconn *conn, unsigned step)
{
    if (step == 0) {
        cv_prefetch(conn, CONN_HOT_BYTES);
        return;
    }
    if (step == 1)
        cv_prefetch(conn->rtmp, ENGINE_HOT_BYTES);
    if (conn->carrier->prefetch)
        conn->carrier->prefetch(conn, step - 1);
}

static bool can_flush(const struct cv_netconn *conn)
{
    return !conn->blocked && !conn->doomed && conn->phase < CV_NETCONN_LINGER;
}

void cv_netconn_flush(struct cv_netconn *conn)
{
    CV_ASSERT(!conn->joined); // what it has lent to a batch must not be sent twice
    if (can_flush(conn))
        conn->carrier->flush(conn);
}

// One that plays the same stream twice has both viewers' messages in its first share.
void cv_netconn_join(struct cv_netconn *conn, struct cv_send_batch *batch, void *owner)
{
    if (conn->joined || !can_flush(conn))
        return;
    if (!conn->carrier->join || !conn->carrier->join(conn, batch, owner))
        conn->carrier->flush(conn);
}

void cv_netconn_joined(struct cv_netconn *conn, const struct cv_send *send)
{
    CV_ASSERT(conn->joined);
    conn->joined = false;
    conn->carrier->joined(conn, send);
}

bool cv_netconn_write_on(struct cv_netconn *conn,
                         int (*write_once)(struct cv_netconn *conn, bool *more), int sent,
                         bool more)
{
    size_t total = 0;
    for (;;) {
        total += sent > 0 ? (size_t)sent : 0;
        if (total >= FLUSH_BYTES) {
            cv_netconn_mark(conn);
            cv_worker_retry(conn->worker);
            return false;
        }
        if (sent <= 0 || !more)
            break;
        sent = write_once(conn, &more);
    }
    conn->worker->stats.flushes += total > 0;
    if (sent == CV_E_AGAIN) {
        cv_netconn_block(conn);
        conn->carrier->watch(conn);
    } else if (sent < 0) {
        cv_netconn_doom(conn, sent, "write");
    }
    return sent >= 0;
}

bool cv_netconn_write_out(struct cv_netconn *conn,
                          int (*write_once)(struct cv_netconn *conn, bool *more))
{
    bool more = false;
    int sent = write_once(conn, &more);
    return cv_netconn_write_on(conn, write_once, sent, more);
}

// ---- receiving ------------------------------------------------------------------------------

// Keeps what was read and cannot be worked on yet.
static int keep_unread(struct cv_netconn *conn)
{
    struct cv_rd unread = cv_rtmp_unread(conn->rtmp);
    struct cv_block *stash = NULL;
    if (cv_rd_left(&unread)) {
        stash = cv_block_copy(unread.at, cv_rd_left(&unread));
        if (!stash)
            return CV_E_NOMEM;
    }
    cv_block_unref(&conn->stash);
    conn->stash = stash;
    return CV_OK;
}

// Works through what feed has lent. Ends early when the session is over or must wait.
static int take_events(struct cv_netconn *conn)
{
    struct cv_rtmp_event event;
    int more;
    while (conn->phase == CV_NETCONN_OPEN && cv_session_make_room(&conn->session)) {
        more = cv_rtmp_next(conn->rtmp, &event);
        if (more <= 0)
            return more;
        if (event.type == CV_RTMP_READY) {
            conn->ready = true;
            cv_netconn_rearm(conn);
        }
        conn->worker->stats.messages_in += event.type == CV_RTMP_MEDIA;
        int err = cv_session_on_event(&conn->session, &event, conn->heard_us);
        if (err != CV_OK)
            return err;
    }
    if (conn->phase != CV_NETCONN_OPEN)
        return CV_OK;
    pause_reading(conn);
    return keep_unread(conn);
}

static void take_bytes(struct cv_netconn *conn, const void *data, size_t len)
{
    cv_rtmp_feed(conn->rtmp, data, len);
    int err = take_events(conn);
    if (err < 0)
        cv_netconn_doom(conn, err, "session");
    if (!cv_rtmp_out_empty(conn->rtmp))
        cv_netconn_mark(conn);
}

// Behind what waits already.
static void keep_bytes(struct cv_netconn *conn, const void *data, size_t len)
{
    if (!conn->stash)
        conn->stash = cv_block_new(len);
    if (!conn->stash || cv_block_reserve(&conn->stash, conn->stash->len + len) != CV_OK)
        cv_netconn_doom(conn, CV_E_NOMEM, "session");
    else
        cv_block_append(conn->stash, data, len);
}

void cv_netconn_take(struct cv_netconn *conn, const void *data, size_t len)
{
    CV_ASSERT(!conn->doomed);
    conn->heard_us = now_us(conn);
    if (conn->paused)
        keep_bytes(conn, data, len);
    else if (conn->phase == CV_NETCONN_OPEN)
        take_bytes(conn, data, len);
    if (!cv_timer_is_set(&conn->timer)) // a viewer that may be silent has become something else
        cv_netconn_rearm(conn);
}

bool cv_netconn_pace(struct cv_netconn *conn, bool on)
{
    if (conn->carrier->pace)
        conn->carrier->pace(conn, on);
    return conn->carrier->pace;
}

void cv_netconn_resume(struct cv_netconn *conn)
{
    if (!conn->paused || conn->doomed || !cv_session_make_room(&conn->session))
        return;
    unpause(conn);
    // The engine may have more also when no bytes are left: the rest of an aggregate.
    struct cv_block *stash = conn->stash;
    conn->stash = NULL;
    take_bytes(conn, stash ? stash->data : NULL, stash ? stash->len : 0);
    cv_block_unref(&stash);
}
