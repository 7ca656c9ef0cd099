#include "server/ws_rtmp.h"

#include "base/mem.h"
#include "proto/ws.h"
#include "server/conn.h"
#include "server/netconn.h"
#include "server/websocket.h"
#include "server/worker.h"

#include <stddef.h>

// Proxies and NATs forget a connection that is silent in one of its directions, the hasty ones
// after 30 s; a ping makes both speak.
enum { PING_US = 25000000 };

struct ws_rtmp {
    struct cv_conn *conn; // owned
    struct cv_ws *ws;
    bool closing; // a close frame was queued: nothing else counts any more
    struct cv_netconn net;
    struct cv_timer timer; // for pings
    uint64_t heard_us;     // when bytes last came in, pongs too
};

static struct ws_rtmp *ws_of(struct cv_netconn *net)
{
    return (struct ws_rtmp *)((char *)net - offsetof(struct ws_rtmp, net));
}

static uint64_t now_us(const struct ws_rtmp *ws)
{
    return cv_loop_now_us(ws->net.worker->loop);
}

static void say_close(struct ws_rtmp *ws, enum cv_ws_code code, const char *reason)
{
    ws->closing = true;
    cv_ws_close(ws->ws, code, reason);
}

// ---- sending --------------------------------------------------------------------------------

static enum cv_ws_code last_code(int doom_code)
{
    if (doom_code == CV_E_TIMEOUT)
        return CV_WS_POLICY;
    return cv_err_class(doom_code) == CV_CLASS_PEER ? CV_WS_PROTOCOL_ERROR : CV_WS_INTERNAL;
}

// For one that ends at once, a breach of RTMP or a time-out: its client is told why, if that leaves
// without waiting. Its RTMP engine is gone; but frames are half sent only by those that are
// blocked.
static void say_last_word(struct ws_rtmp *ws)
{
    struct cv_netconn *net = &ws->net;
    struct cv_gather *gather = &net->worker->gather;
    bool gone = cv_err_class(net->doom_code) == CV_CLASS_GONE && net->doom_code != CV_E_TIMEOUT;
    if (ws->closing || net->blocked || net->doom_code == CV_OK || gone)
        return;
    say_close(ws, last_code(net->doom_code), cv_err_text(net->doom_code));
    cv_gather_clear(gather);
    cv_ws_pull_begin(ws->ws, gather);
    cv_ws_pull_end(ws->ws, gather);
    cv_conn_write(ws->conn, gather);
}

static void ws_free(struct cv_netconn *net)
{
    struct ws_rtmp *ws = ws_of(net);
    say_last_word(ws);
    cv_timer_stop(&ws->timer);
    cv_ws_free(ws->ws);
    cv_conn_free(ws->conn);
    cv_mem_free(ws);
}

static void ws_watch(struct cv_netconn *net)
{
    cv_conn_want(ws_of(net)->conn, !net->paused, net->blocked);
}

// As that of plain RTMP, with a frame around what the engine lends.
static int write_once(struct cv_netconn *net, bool *more)
{
    struct ws_rtmp *ws = ws_of(net);
    struct cv_gather *gather = &net->worker->gather;
    int filled = cv_netconn_fill(net);
    *more = filled > 0;
    if (filled < 0)
        return filled;
    if (net->phase == CV_NETCONN_DRAIN && !ws->closing && cv_rtmp_out_empty(net->rtmp))
        say_close(ws, net->worker->stopping ? CV_WS_GOING_AWAY : CV_WS_NORMAL, NULL);
    cv_gather_clear(gather);
    if (cv_ws_pull_begin(ws->ws, gather))
        cv_rtmp_pull(net->rtmp, gather);
    cv_ws_pull_end(ws->ws, gather);
    if (gather->count == 0)
        return 0;
    int sent = cv_conn_write(ws->conn, gather);
    if (sent <= 0)
        return sent;
    bool short_count = (size_t)sent < gather->bytes;
    cv_rtmp_sent(net->rtmp, cv_ws_sent(ws->ws, (size_t)sent));
    cv_netconn_progress(net);
    *more |=
        net->phase == CV_NETCONN_DRAIN || !cv_rtmp_out_empty(net->rtmp) || !cv_ws_out_empty(ws->ws);
    return short_count ? CV_E_AGAIN : sent;
}

// Our close frame has left. Our side is closed when the client's has come, or never will.
static void ws_flush(struct cv_netconn *net)
{
    struct ws_rtmp *ws = ws_of(net);
    if (!cv_netconn_write_out(net, write_once))
        return;
    if (net->phase != CV_NETCONN_DRAIN || !ws->closing || !cv_ws_out_empty(ws->ws))
        return;
    if (cv_ws_done(ws->ws))
        cv_conn_shutdown(ws->conn);
    cv_netconn_linger(net);
}

static void ws_prefetch(const struct cv_netconn *net, unsigned step)
{
    const struct ws_rtmp *ws =
        (const struct ws_rtmp *)((const char *)net - offsetof(struct ws_rtmp, net));
    cv_conn_prefetch(ws->conn, step);
}

static const struct cv_carrier ws_carrier = {
    .name = "ws",
    .flush = ws_flush,
    .prefetch = ws_prefetch,
    .watch = ws_watch,
    .free = ws_free,
};

// ---- receiving ------------------------------------------------------------------------------

static void log_close(const struct ws_rtmp *ws, enum cv_log_level level, unsigned code,
                      const char *why)
{
    struct cv_line line;
    cv_line_begin(&line, level, "ws.close");
    cv_netconn_log_fields(&ws->net, &line);
    if (code)
        cv_line_uint(&line, "code", code);
    if (why)
        cv_line_text(&line, "why", why);
    cv_line_end(&line);
}

// No more frames count: the client has closed the WebSocket, or our close frame for a breach waits.
// The session ends at once; what its engine still had to say stays unsaid.
static void leave(struct ws_rtmp *ws)
{
    ws->closing = true;
    if (ws->net.phase == CV_NETCONN_LINGER) { // our close frame has left, and was waited for
        cv_conn_shutdown(ws->conn);
        return;
    }
    cv_session_leave(&ws->net.session);
    cv_netconn_finish(&ws->net);
    cv_netconn_mark(&ws->net);
}

static void refuse_text(struct ws_rtmp *ws)
{
    static const char why[] = "RTMP comes in binary messages";
    log_close(ws, CV_LOG_WARN, CV_WS_UNSUPPORTED, why);
    say_close(ws, CV_WS_UNSUPPORTED, why);
    leave(ws);
}

static void on_event(struct ws_rtmp *ws, const struct cv_ws_event *event)
{
    if (event->type == CV_WS_CLOSE) {
        log_close(ws, CV_LOG_DEBUG, event->code, NULL);
        leave(ws);
    } else if (event->type == CV_WS_DATA && !ws->closing) {
        if (event->text)
            refuse_text(ws);
        else if (event->len)
            cv_netconn_take(&ws->net, event->data, event->len);
    }
}

static void take_frames(struct ws_rtmp *ws, const uint8_t *data, size_t len)
{
    struct cv_ws_event event;
    int more = 1;
    cv_ws_feed(ws->ws, data, len);
    while (!ws->net.doomed && (more = cv_ws_next(ws->ws, &event)) == 1)
        on_event(ws, &event);
    if (more < 0) { // its close frame waits
        if (!ws->closing)
            log_close(ws, CV_LOG_WARN, 0, cv_ws_why(ws->ws)->text);
        leave(ws);
    } else if (!cv_ws_out_empty(ws->ws)) { // a pong
        cv_netconn_mark(&ws->net);
    }
}

// ---- the TCP connection's side ----------------------------------------------------------------

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct ws_rtmp *ws = arg;
    ws->heard_us = now_us(ws);
    if (!ws->net.doomed)
        take_frames(ws, data, len);
    if (ws->net.doomed)
        cv_conn_want(ws->conn, false, false);
}

static void on_ended(void *arg, int code)
{
    struct cv_netconn *net = &((struct ws_rtmp *)arg)->net;
    cv_netconn_doom(net, net->phase == CV_NETCONN_OPEN ? code : CV_OK, "read");
}

static void on_writable(void *arg)
{
    struct cv_netconn *net = &((struct ws_rtmp *)arg)->net;
    if (net->doomed || !net->blocked)
        return;
    cv_netconn_unblock(net);
    ws_watch(net);
}

// The worker has stopped its NetConnections already.
static void on_stop(void *arg)
{
    (void)arg;
}

static const struct cv_conn_user ws_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

// ---- opening --------------------------------------------------------------------------------

static void on_timer(void *arg)
{
    struct ws_rtmp *ws = arg;
    uint64_t said_us = ws->net.progress_us;
    uint64_t due_us = PING_US + (said_us < ws->heard_us ? said_us : ws->heard_us);
    uint64_t now = now_us(ws);
    if (due_us <= now) {
        cv_ws_ping(ws->ws);
        cv_netconn_mark(&ws->net);
        due_us = now + PING_US;
    }
    cv_timer_start_at(&ws->timer, due_us);
}

static struct ws_rtmp *ws_new(struct cv_conn *conn)
{
    static const struct cv_ws_config config = {.client = false}; // no cap: it is one stream
    struct ws_rtmp *ws = cv_mem_zero(1, sizeof *ws);
    if (!ws)
        return NULL;
    // The connection may have served other requests before: the handshake's time begins now.
    struct cv_origin origin = {.peer = conn->peer,
                               .id = conn->id,
                               .tls = cv_conn_tls_version(conn),
                               .opened_us = cv_loop_now_us(conn->worker->loop)};
    ws->conn = conn;
    ws->heard_us = origin.opened_us;
    ws->ws = cv_ws_new(&config);
    if (ws->ws && cv_netconn_init(&ws->net, conn->worker, &ws_carrier, &origin) == CV_OK)
        return ws;
    cv_ws_free(ws->ws);
    cv_mem_free(ws);
    return NULL;
}

static int open_ws(void *arg, struct cv_conn *conn, const uint8_t *data, size_t len)
{
    (void)arg;
    struct ws_rtmp *ws = ws_new(conn);
    if (!ws)
        return CV_E_NOMEM;
    cv_timer_init(&ws->timer, conn->worker->loop, on_timer, ws);
    cv_timer_start(&ws->timer, PING_US);
    cv_conn_want(conn, true, false);
    cv_conn_hand_over(conn, &ws_user, ws, data, len);
    return CV_OK;
}

static const struct cv_websocket_heir heir = {.open = open_ws};

int cv_ws_rtmp_route(struct cv_web *web, const struct cv_http1_head *head)
{
    if (!cv_websocket_is_asked(head) || !cv_websocket_offers(head, "rtmp"))
        return 0;
    return cv_websocket_open(web, head, &heir, NULL);
}
