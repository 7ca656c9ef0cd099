#include "server/conn.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/watch.h"
#include "server/publisher.h"
#include "server/session.h"
#include "server/table.h"
#include "server/worker.h"

enum {
    US_PER_S = 1000000,
    READS_PER_TURN = 4,        // one fast publisher must not hold up the others
    FLUSH_BYTES = 1024 * 1024, // sent to one viewer per turn; the rest follows in the next
    DRAIN_S = 5,               // for last words to leave
    LINGER_S = 2,              // for the client to read them
    KEEP_ALIVE_IDLE_S = 30,    // TCP keep-alive: a vanished peer is found in a minute
    KEEP_ALIVE_INTERVAL_S = 10,
    KEEP_ALIVE_COUNT = 3,
    CONN_HOT_BYTES = 256,   // what a flush touches of a connection
    ENGINE_HOT_BYTES = 192, // and of its engine
};

enum phase {
    PHASE_OPEN,
    PHASE_DRAIN,  // nothing more is read; what waits is sent
    PHASE_LINGER, // our side is closed; what comes is read away
    PHASE_CLOSED, // waits for the loop to let go of the watch
};

struct cv_conn {
    // What a flush touches, together.
    struct cv_worker *worker;
    struct cv_rtmp *rtmp;
    int fd;
    enum phase phase;
    bool blocked; // the socket takes no more for now
    bool doomed;
    bool dirty;
    bool paused;          // not read, because a publisher has too much on its way
    bool ready;           // the handshake is complete
    uint64_t progress_us; // when bytes last went out, or had to begin waiting
    struct cv_session session;
    // The rest.
    UT_hash_handle hh;
    uint64_t id;
    struct cv_watch watch;
    struct cv_timer timer;  // at the earliest deadline, or before it
    struct cv_block *stash; // bytes that were read and must wait; NULL: none
    struct cv_addr peer;
    uint64_t opened_us;
    uint64_t heard_us; // when bytes last came in
    uint64_t phase_us; // when the phase began
    int doom_code;
    const char *doom_place;
    struct cv_conn *dirty_prev, *dirty_next;   // in the worker's list
    struct cv_conn *doomed_prev, *doomed_next; // in the worker's list
    struct cv_conn *paused_prev, *paused_next; // in the worker's list
};

uint64_t cv_conn_id(const struct cv_conn *conn)
{
    return conn->id;
}

struct cv_worker *cv_conn_worker(const struct cv_conn *conn)
{
    return conn->worker;
}

struct cv_rtmp *cv_conn_rtmp(const struct cv_conn *conn)
{
    return conn->rtmp;
}

struct cv_publisher *cv_conn_publisher(struct cv_conn *conn, uint32_t net_stream)
{
    struct cv_net_stream *stream = cv_session_stream(&conn->session, net_stream);
    return stream ? stream->publisher : NULL;
}

struct cv_conn *cv_conn_find(struct cv_worker *worker, uint64_t id)
{
    struct cv_conn *conn = NULL;
    HASH_FIND(hh, worker->conns, &id, sizeof id, conn);
    return conn;
}

struct cv_conn *cv_conn_next(const struct cv_conn *conn)
{
    return conn->hh.next;
}

struct cv_conn *cv_conn_next_paused(const struct cv_conn *conn)
{
    return conn->paused_next;
}

void cv_conn_log_fields(const struct cv_conn *conn, struct cv_line *line)
{
    char peer[CV_ADDR_TEXT_BYTES];
    cv_line_uint(line, "conn", conn->id);
    cv_line_text(line, "peer", cv_addr_print(&conn->peer, peer));
}

static uint64_t now_us(const struct cv_conn *conn)
{
    return cv_loop_now_us(conn->worker->loop);
}

// ---- opening --------------------------------------------------------------------------------

static void on_ready(void *arg, unsigned events);
static void on_timer(void *arg);

// The caps that protect everybody else: counted in before anything is allocated for the peer.
static bool admit(struct cv_worker *worker, const struct cv_addr *peer)
{
    const struct cv_config_limits *limits = &worker->policy->config->limits;
    unsigned before = atomic_fetch_add(&worker->shared->connections, 1);
    if (before < limits->connections_max &&
        cv_tally_enter(worker->shared->tallies.addresses, peer->ip, sizeof peer->ip,
                       limits->connections_per_address_max))
        return true;
    atomic_fetch_sub(&worker->shared->connections, 1);
    worker->stats.refused++;
    return false;
}

static void dismiss(struct cv_worker *worker, const struct cv_addr *peer)
{
    cv_tally_leave(worker->shared->tallies.addresses, peer->ip, sizeof peer->ip);
    atomic_fetch_sub(&worker->shared->connections, 1);
}

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

static struct cv_conn *conn_new(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    struct cv_conn *conn = cv_mem_zero(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->worker = worker;
    conn->id = ++worker->last_conn_id;
    conn->fd = fd;
    conn->peer = *peer;
    conn->opened_us = conn->heard_us = conn->progress_us = cv_loop_now_us(worker->loop);
    cv_timer_init(&conn->timer, worker->loop, on_timer, conn);
    conn->rtmp = new_engine(worker);
    if (conn->rtmp)
        HASH_ADD(hh, worker->conns, id, sizeof conn->id, conn);
    if (!conn->rtmp || !conn->hh.tbl) {
        cv_rtmp_free(conn->rtmp);
        cv_mem_free(conn);
        return NULL;
    }
    cv_session_init(&conn->session, conn, worker->policy);
    return conn;
}

static void set_options(int fd, unsigned stall_s)
{
    cv_socket_set_no_delay(fd, true);
    cv_socket_set_keep_alive(fd, KEEP_ALIVE_IDLE_S, KEEP_ALIVE_INTERVAL_S, KEEP_ALIVE_COUNT);
    cv_socket_set_user_timeout_ms(fd, stall_s * 1000);
}

void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    if (!admit(worker, peer)) {
        cv_socket_close(&fd);
        return;
    }
    struct cv_conn *conn = conn_new(worker, fd, peer);
    if (!conn) {
        dismiss(worker, peer);
        cv_socket_close(&fd);
        return;
    }
    worker->stats.accepted++;
    worker->stats.connections++;
    set_options(fd, worker->policy->config->limits.write_stall_s);
    if (cv_watch_start(&conn->watch, worker->loop, fd, CV_WATCH_READ, on_ready, conn) != CV_OK)
        cv_conn_doom(conn, CV_E_SYSTEM, "watch");
    cv_conn_rearm(conn);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "conn.open");
    cv_conn_log_fields(conn, &line);
    cv_line_end(&line);
}

// ---- ending ---------------------------------------------------------------------------------

void cv_conn_doom(struct cv_conn *conn, int code, const char *place)
{
    if (conn->doomed)
        return;
    conn->doomed = true;
    conn->doom_code = code;
    conn->doom_place = place;
    DL_APPEND2(conn->worker->doomed_conns, conn, doomed_prev, doomed_next);
}

static enum cv_log_level end_level(const struct cv_conn *conn)
{
    enum cv_err_class class = cv_err_class(conn->doom_code);
    if (conn->doom_code == CV_E_TIMEOUT) // we have ended it
        return CV_LOG_INFO;
    if (conn->doom_code == CV_OK || class == CV_CLASS_GONE)
        return CV_LOG_DEBUG;
    return class == CV_CLASS_BUG || class == CV_CLASS_NOMEM ? CV_LOG_ERROR : CV_LOG_WARN;
}

// One line that says what ended the connection, and where.
static void log_end(const struct cv_conn *conn)
{
    const struct cv_why *why = cv_rtmp_why(conn->rtmp);
    struct cv_line line;
    cv_line_begin(&line, end_level(conn), "conn.close");
    cv_conn_log_fields(conn, &line);
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

static void on_watch_closed(void *arg)
{
    cv_mem_free(arg);
}

void cv_conn_free(struct cv_conn *conn)
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
    dismiss(worker, &conn->peer);
    worker->stats.connections--;
    conn->phase = PHASE_CLOSED;
    bool watched = cv_watch_is_open(&conn->watch);
    if (watched)
        cv_watch_close(&conn->watch, on_watch_closed, conn);
    cv_socket_close(&conn->fd);
    if (!watched)
        cv_mem_free(conn);
}

// ---- what the socket is watched for ------------------------------------------------------------

static void watch_wanted(struct cv_conn *conn)
{
    cv_watch_set(&conn->watch,
                 (conn->paused ? 0 : CV_WATCH_READ) | (conn->blocked ? CV_WATCH_WRITE : 0));
}

static void pause_reading(struct cv_conn *conn)
{
    conn->paused = true;
    DL_APPEND2(conn->worker->paused_conns, conn, paused_prev, paused_next);
    watch_wanted(conn);
}

static void unpause(struct cv_conn *conn)
{
    conn->paused = false;
    DL_DELETE2(conn->worker->paused_conns, conn, paused_prev, paused_next);
    watch_wanted(conn);
}

// ---- ending politely -------------------------------------------------------------------------

static void enter_phase(struct cv_conn *conn, enum phase phase)
{
    conn->phase = phase;
    conn->phase_us = now_us(conn);
    cv_conn_rearm(conn);
}

void cv_conn_finish(struct cv_conn *conn)
{
    if (conn->phase != PHASE_OPEN || conn->doomed)
        return;
    if (conn->paused)
        unpause(conn);
    cv_block_unref(&conn->stash);
    enter_phase(conn, PHASE_DRAIN);
    cv_conn_mark(conn);
}

void cv_conn_stop(struct cv_conn *conn)
{
    if (!conn->ready) {
        cv_conn_doom(conn, CV_OK, "stop");
        return;
    }
    if (conn->phase == PHASE_OPEN && cv_session_fill(&conn->session) >= 0)
        cv_session_say_over(&conn->session);
    cv_conn_finish(conn);
}

// ---- deadlines ------------------------------------------------------------------------------

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t silence_deadline_us(const struct cv_conn *conn)
{
    const struct cv_config_limits *limits = &conn->session.policy->config->limits;
    if (!conn->ready)
        return conn->opened_us + limits->handshake_s * UINT64_C(1000000);
    // A player may be silent for ever; it shows by taking what it gets that it is alive.
    if (cv_session_is_playing(&conn->session) && !cv_session_is_publishing(&conn->session))
        return UINT64_MAX;
    return conn->heard_us + limits->idle_s * UINT64_C(1000000);
}

static uint64_t stall_deadline_us(const struct cv_conn *conn)
{
    if (!conn->blocked)
        return UINT64_MAX;
    return conn->progress_us +
           conn->session.policy->config->limits.write_stall_s * UINT64_C(1000000);
}

static uint64_t deadline_us(const struct cv_conn *conn)
{
    switch (conn->phase) {
    case PHASE_DRAIN:
        return conn->phase_us + DRAIN_S * UINT64_C(1000000);
    case PHASE_LINGER:
        return conn->phase_us + LINGER_S * UINT64_C(1000000);
    case PHASE_CLOSED:
        return UINT64_MAX;
    case PHASE_OPEN:
        break;
    }
    uint64_t first_us = min_u64(silence_deadline_us(conn), stall_deadline_us(conn));
    return min_u64(first_us, cv_session_deadline_us(&conn->session));
}

void cv_conn_rearm(struct cv_conn *conn)
{
    uint64_t deadline = deadline_us(conn);
    if (deadline == UINT64_MAX)
        cv_timer_stop(&conn->timer);
    else
        cv_timer_start_at(&conn->timer, deadline);
}

// A connection that does something else besides goes on.
static void on_session_deadline(struct cv_conn *conn, uint64_t now)
{
    cv_session_on_deadline(&conn->session, now);
    if (!cv_session_is_playing(&conn->session) && !cv_session_is_publishing(&conn->session))
        cv_conn_finish(conn);
    cv_conn_mark(conn);
    cv_conn_rearm(conn);
}

// The timer may be early: deadlines move with every byte, the timer only when it fires.
static void on_timer(void *arg)
{
    struct cv_conn *conn = arg;
    uint64_t now = now_us(conn);
    if (deadline_us(conn) > now) {
        cv_conn_rearm(conn);
        return;
    }
    if (conn->phase != PHASE_OPEN)
        cv_conn_doom(conn, CV_OK, "finish");
    else if (silence_deadline_us(conn) <= now)
        cv_conn_doom(conn, CV_E_TIMEOUT, conn->ready ? "idle" : "handshake");
    else if (stall_deadline_us(conn) <= now)
        cv_conn_doom(conn, CV_E_TIMEOUT, "write stall");
    else
        on_session_deadline(conn, now);
}

// ---- writing --------------------------------------------------------------------------------

void cv_conn_mark(struct cv_conn *conn)
{
    if (conn->dirty || conn->doomed)
        return;
    conn->dirty = true;
    DL_APPEND2(conn->worker->dirty_conns, conn, dirty_prev, dirty_next);
}

struct cv_conn *cv_conn_unmark(struct cv_conn **marked)
{
    struct cv_conn *conn = *marked;
    DL_DELETE2(*marked, conn, dirty_prev, dirty_next);
    conn->dirty = false;
    return conn;
}

static void block(struct cv_conn *conn)
{
    conn->blocked = true;
    conn->progress_us = now_us(conn);
    watch_wanted(conn);
    cv_conn_rearm(conn);
}

static void unblock(struct cv_conn *conn)
{
    if (!conn->blocked)
        return;
    conn->blocked = false;
    watch_wanted(conn);
    cv_conn_rearm(conn);
}

// One write. Bytes that left, 0 when nothing waits, CV_E_AGAIN when the socket is full.
static int write_once(struct cv_conn *conn, bool *more)
{
    struct cv_worker *worker = conn->worker;
    struct cv_gather *gather = &worker->gather;
    int filled = conn->phase == PHASE_OPEN ? cv_session_fill(&conn->session) : 0;
    *more = filled > 0;
    if (filled < 0)
        return filled;
    cv_gather_clear(gather);
    cv_rtmp_pull(conn->rtmp, gather);
    if (gather->count == 0)
        return 0;
    int sent = cv_socket_write(conn->fd, gather->vectors, gather->count);
    worker->stats.writes++;
    if (sent <= 0)
        return sent;
    worker->stats.bytes_out += (uint64_t)sent;
    conn->progress_us = now_us(conn);
    bool short_count = (size_t)sent < gather->bytes;
    cv_rtmp_sent(conn->rtmp, (size_t)sent);
    *more |= !cv_rtmp_out_empty(conn->rtmp);
    return short_count ? CV_E_AGAIN : sent;
}

static void after_drain(struct cv_conn *conn)
{
    if (conn->phase != PHASE_DRAIN || !cv_rtmp_out_empty(conn->rtmp))
        return;
    cv_socket_shutdown(conn->fd);
    enter_phase(conn, PHASE_LINGER);
}

void cv_conn_prefetch(const struct cv_conn *conn)
{
    cv_prefetch(conn, CONN_HOT_BYTES);
}

void cv_conn_prefetch_engine(const struct cv_conn *conn)
{
    cv_prefetch(conn->rtmp, ENGINE_HOT_BYTES);
}

void cv_conn_flush(struct cv_conn *conn)
{
    if (conn->blocked || conn->doomed || conn->phase >= PHASE_LINGER)
        return;
    size_t total = 0;
    bool more;
    int sent;
    do {
        sent = write_once(conn, &more);
        total += sent > 0 ? (size_t)sent : 0;
        if (total >= FLUSH_BYTES) {
            cv_conn_mark(conn);
            cv_worker_retry(conn->worker);
            return;
        }
    } while (sent > 0 && more);
    conn->worker->stats.flushes += total > 0;
    if (sent == CV_E_AGAIN)
        block(conn);
    else if (sent < 0)
        cv_conn_doom(conn, sent, "write");
    else
        after_drain(conn);
}

// ---- reading --------------------------------------------------------------------------------

// Keeps what was read and cannot be worked on yet.
static int keep_unread(struct cv_conn *conn)
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
static int take_events(struct cv_conn *conn)
{
    struct cv_rtmp_event event;
    int more;
    while (conn->phase == PHASE_OPEN && cv_session_make_room(&conn->session)) {
        more = cv_rtmp_next(conn->rtmp, &event);
        if (more <= 0)
            return more;
        if (event.type == CV_RTMP_READY) {
            conn->ready = true;
            cv_conn_rearm(conn);
        }
        conn->worker->stats.messages_in += event.type == CV_RTMP_MEDIA;
        int err = cv_session_on_event(&conn->session, &event, conn->heard_us);
        if (err != CV_OK)
            return err;
    }
    if (conn->phase != PHASE_OPEN)
        return CV_OK;
    pause_reading(conn);
    return keep_unread(conn);
}

static void take_bytes(struct cv_conn *conn, const void *data, size_t len)
{
    cv_rtmp_feed(conn->rtmp, data, len);
    int err = take_events(conn);
    if (err < 0)
        cv_conn_doom(conn, err, "session");
    if (!cv_rtmp_out_empty(conn->rtmp))
        cv_conn_mark(conn);
}

static void on_readable(struct cv_conn *conn)
{
    struct cv_worker *worker = conn->worker;
    for (int i = 0; i < READS_PER_TURN && !conn->paused && !conn->doomed; i++) {
        int len = cv_socket_read(conn->fd, worker->read_buffer, sizeof worker->read_buffer);
        if (len == CV_E_AGAIN)
            return;
        if (len < 0) {
            cv_conn_doom(conn, conn->phase == PHASE_OPEN ? len : CV_OK, "read");
            return;
        }
        worker->stats.bytes_in += (uint64_t)len;
        conn->heard_us = now_us(conn);
        if (conn->phase == PHASE_OPEN)
            take_bytes(conn, worker->read_buffer, (size_t)len);
        if (!cv_timer_is_set(&conn->timer)) // a viewer that may be silent has become something else
            cv_conn_rearm(conn);
        if ((size_t)len < sizeof worker->read_buffer)
            return;
    }
}

void cv_conn_resume(struct cv_conn *conn)
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

static void on_ready(void *arg, unsigned events)
{
    struct cv_conn *conn = arg;
    if (conn->doomed)
        return;
    if (events & CV_WATCH_WRITE) {
        unblock(conn);
        cv_conn_mark(conn);
    }
    if (events & CV_WATCH_READ)
        on_readable(conn);
}
