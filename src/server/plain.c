#include "server/plain.h"

#include "base/mem.h"
#include "server/netconn.h"
#include "server/viewer.h"
#include "server/worker.h"

#include <stddef.h>

struct cv_plain {
    struct cv_conn *conn; // owned; beside what a flush touches of the NetConnection
    struct cv_netconn net;
    struct cv_block *greeting; // goes ahead of everything; NULL: there is none, or it has left
    size_t greeting_sent;
    struct cv_viewer *runs; // it is the worker's run that is written to it; NULL: the engine's
};

static struct cv_plain *plain_of(struct cv_netconn *net)
{
    return (struct cv_plain *)((char *)net - offsetof(struct cv_plain, net));
}

// ---- the NetConnection's side -----------------------------------------------------------------

static void plain_free(struct cv_netconn *net)
{
    struct cv_plain *plain = plain_of(net);
    cv_conn_free(plain->conn);
    cv_block_unref(&plain->greeting);
    cv_mem_free(plain);
}

static void plain_watch(struct cv_netconn *net)
{
    cv_conn_want(plain_of(net)->conn, !net->paused, net->blocked);
}

static void plain_pace(struct cv_netconn *net, bool on)
{
    cv_conn_pace(plain_of(net)->conn, on ? CV_PACE_BYTES : 1);
}

static void plain_read(struct cv_netconn *net)
{
    cv_channel_read(&plain_of(net)->conn->channel);
}

static void pull(const struct cv_plain *plain, struct cv_gather *gather)
{
    const struct cv_block *greeting = plain->greeting;
    cv_gather_clear(gather);
    if (greeting)
        cv_gather_borrow(gather, greeting->data + plain->greeting_sent,
                         greeting->len - plain->greeting_sent);
    cv_rtmp_pull(plain->net.rtmp, gather);
}

static void commit(struct cv_plain *plain, size_t sent)
{
    size_t ahead = plain->greeting ? plain->greeting->len - plain->greeting_sent : 0;
    if (ahead > sent)
        ahead = sent;
    plain->greeting_sent += ahead;
    if (plain->greeting && plain->greeting_sent == plain->greeting->len)
        cv_block_unref(&plain->greeting);
    if (sent > ahead)
        cv_rtmp_sent(plain->net.rtmp, sent - ahead);
}

// Who gets the worker's run: what most viewers get at a flush is made once for all of them. NULL:
// it is not for this connection.
static struct cv_viewer *run_viewer(const struct cv_plain *plain)
{
    const struct cv_netconn *net = &plain->net;
    struct cv_viewer *viewer = cv_session_only_viewer(&net->session);
    bool can = viewer && net->phase == CV_NETCONN_OPEN && !plain->greeting;
    return can && cv_viewer_run(viewer) ? viewer : NULL;
}

// What one write would carry: its bytes, 0 when nothing waits, or an error.
static int prepare(struct cv_plain *plain, bool *more, const struct cv_gather **out)
{
    struct cv_worker *worker = plain->net.worker;
    plain->runs = run_viewer(plain);
    if (plain->runs) {
        *more = worker->run.to < worker->run.log->head;
        *out = &worker->run.gather;
        return (int)worker->run.gather.bytes;
    }
    int filled = cv_netconn_fill(&plain->net);
    *more = filled > 0;
    if (filled < 0)
        return filled;
    pull(plain, &worker->gather);
    *out = &worker->gather;
    return (int)worker->gather.bytes;
}

// What is left of a run waits in the engine, which goes on as if it had begun it.
static int leave_run(struct cv_viewer *viewer, int sent)
{
    bool goes_on = sent > 0 || sent == CV_E_AGAIN;
    return goes_on ? cv_viewer_fill(viewer) : CV_OK;
}

// Behind a write of `offered` bytes. Bytes that left, or CV_E_AGAIN when the socket is full.
static int settle(struct cv_plain *plain, size_t offered, int sent, bool *more)
{
    struct cv_netconn *net = &plain->net;
    bool whole = sent == (int)offered;
    int filled = plain->runs && !whole ? leave_run(plain->runs, sent) : CV_OK;
    if (filled < 0 || sent <= 0)
        return filled < 0 ? filled : sent;
    if (plain->runs && whole)
        cv_viewer_took_run(plain->runs, offered);
    else
        commit(plain, (size_t)sent);
    cv_netconn_progress(net);
    *more |= !cv_rtmp_out_empty(net->rtmp);
    return whole ? sent : CV_E_AGAIN;
}

// One write. Bytes that left, 0 when nothing waits, CV_E_AGAIN when the socket is full.
static int write_once(struct cv_netconn *net, bool *more)
{
    struct cv_plain *plain = plain_of(net);
    const struct cv_gather *gather;
    int waits = prepare(plain, more, &gather);
    if (waits <= 0)
        return waits;
    return settle(plain, (size_t)waits, cv_conn_write(plain->conn, gather), more);
}

static void after_drain(struct cv_plain *plain)
{
    struct cv_netconn *net = &plain->net;
    if (net->phase != CV_NETCONN_DRAIN || !cv_rtmp_out_empty(net->rtmp))
        return;
    cv_conn_shutdown(plain->conn);
    cv_netconn_linger(net);
}

// One gathered write, more only while it flows.
static void plain_flush(struct cv_netconn *net)
{
    if (cv_netconn_write_out(net, write_once))
        after_drain(plain_of(net));
}

static void go_on(struct cv_plain *plain, int sent, bool more)
{
    if (cv_netconn_write_on(&plain->net, write_once, sent, more))
        after_drain(plain);
}

static bool plain_join(struct cv_netconn *net, struct cv_send_batch *batch, void *owner)
{
    struct cv_plain *plain = plain_of(net);
    const struct cv_gather *gather;
    bool more;
    if (!cv_conn_can_join(plain->conn))
        return false;
    int waits = prepare(plain, &more, &gather);
    net->joined = waits > 0;
    if (net->joined)
        cv_conn_join(plain->conn, gather, batch, owner, more);
    else
        go_on(plain, waits, more);
    return true;
}

static void plain_joined(struct cv_netconn *net, const struct cv_send *send)
{
    struct cv_plain *plain = plain_of(net);
    bool more = send->more;
    int sent = settle(plain, send->bytes, cv_conn_joined(plain->conn, send), &more);
    go_on(plain, sent, more);
}

static void plain_prefetch(const struct cv_netconn *net, unsigned step)
{
    const struct cv_plain *plain =
        (const struct cv_plain *)((const char *)net - offsetof(struct cv_plain, net));
    cv_conn_prefetch(plain->conn, step);
}

static const struct cv_carrier plain_carrier = {
    .name = "rtmp",
    .flush = plain_flush,
    .join = plain_join,
    .joined = plain_joined,
    .prefetch = plain_prefetch,
    .watch = plain_watch,
    .pace = plain_pace,
    .read = plain_read,
    .free = plain_free,
};

// ---- the TCP connection's side ------------------------------------------------------------------

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_plain *plain = arg;
    if (!plain->net.doomed)
        cv_netconn_take(&plain->net, data, len);
    if (plain->net.doomed)
        cv_conn_want(plain->conn, false, false);
}

static void on_ended(void *arg, int code)
{
    struct cv_netconn *net = &((struct cv_plain *)arg)->net;
    cv_netconn_doom(net, net->phase == CV_NETCONN_OPEN ? code : CV_OK, "read");
}

static void on_writable(void *arg)
{
    struct cv_netconn *net = &((struct cv_plain *)arg)->net;
    if (net->doomed || !net->blocked)
        return;
    cv_netconn_unblock(net);
    plain_watch(net);
}

// The worker has stopped its NetConnections already.
static void on_stop(void *arg)
{
    (void)arg;
}

static const struct cv_conn_user plain_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

// NULL: no memory. The clock of its handshake starts at `opened_us`.
static struct cv_plain *plain_new(struct cv_conn *conn, uint64_t opened_us)
{
    struct cv_plain *plain = cv_mem_zero(1, sizeof *plain);
    if (!plain)
        return NULL;
    plain->conn = conn;
    struct cv_origin origin = {.peer = conn->peer,
                               .id = conn->id,
                               .tls = cv_conn_tls_version(conn),
                               .opened_us = opened_us};
    if (cv_netconn_init(&plain->net, conn->worker, &plain_carrier, &origin) == CV_OK)
        return plain;
    cv_mem_free(plain);
    return NULL;
}

int cv_plain_open(struct cv_conn *conn, const uint8_t *data, size_t len)
{
    struct cv_plain *plain = plain_new(conn, conn->opened_us);
    if (!plain)
        return CV_E_NOMEM;
    cv_conn_hand_over(conn, &plain_user, plain, data, len);
    return CV_OK;
}

int cv_plain_upgrade(struct cv_conn *conn, struct cv_block **greeting, const uint8_t *data,
                     size_t len)
{
    struct cv_plain *plain = plain_new(conn, cv_loop_now_us(conn->worker->loop));
    if (!plain)
        return CV_E_NOMEM;
    plain->greeting = *greeting;
    *greeting = NULL;
    cv_netconn_mark(&plain->net);
    cv_conn_want(conn, true, false);
    cv_conn_hand_over(conn, &plain_user, plain, data, len);
    return CV_OK;
}
