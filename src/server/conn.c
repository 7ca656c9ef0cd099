#include "server/conn.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/socket.h"
#include "io/watch.h"
#include "server/netconn.h"
#include "server/worker.h"

#include <stddef.h>

enum {
    READS_PER_TURN = 4,        // one fast publisher must not hold up the others
    FLUSH_BYTES = 1024 * 1024, // sent to one viewer per turn; the rest follows in the next
    KEEP_ALIVE_IDLE_S = 30,    // TCP keep-alive: a vanished peer is found in a minute
    KEEP_ALIVE_INTERVAL_S = 10,
    KEEP_ALIVE_COUNT = 3,
};

struct cv_conn {
    int fd; // beside what a flush touches of the NetConnection
    struct cv_netconn net;
    struct cv_watch watch;
};

static struct cv_conn *conn_of(struct cv_netconn *net)
{
    return (struct cv_conn *)((char *)net - offsetof(struct cv_conn, net));
}

// ---- opening and closing --------------------------------------------------------------------

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

static void set_options(int fd, unsigned stall_s)
{
    cv_socket_set_no_delay(fd, true);
    cv_socket_set_keep_alive(fd, KEEP_ALIVE_IDLE_S, KEEP_ALIVE_INTERVAL_S, KEEP_ALIVE_COUNT);
    cv_socket_set_user_timeout_ms(fd, stall_s * 1000);
}

static void on_ready(void *arg, unsigned events);
static const struct cv_carrier tcp_carrier;

static struct cv_conn *conn_new(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    struct cv_conn *conn = cv_mem_zero(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->fd = fd;
    if (cv_netconn_init(&conn->net, worker, &tcp_carrier, peer) == CV_OK)
        return conn;
    cv_mem_free(conn);
    return NULL;
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
    set_options(fd, worker->policy->config->limits.write_stall_s);
    if (cv_watch_start(&conn->watch, worker->loop, fd, CV_WATCH_READ, on_ready, conn) != CV_OK)
        cv_netconn_doom(&conn->net, CV_E_SYSTEM, "watch");
}

static void on_watch_closed(void *arg)
{
    cv_mem_free(arg);
}

static void conn_free(struct cv_netconn *net)
{
    struct cv_conn *conn = conn_of(net);
    dismiss(net->worker, &net->peer);
    bool watched = cv_watch_is_open(&conn->watch);
    if (watched)
        cv_watch_close(&conn->watch, on_watch_closed, conn);
    cv_socket_close(&conn->fd);
    if (!watched)
        cv_mem_free(conn);
}

// ---- writing --------------------------------------------------------------------------------

static void conn_watch(struct cv_netconn *net)
{
    cv_watch_set(&conn_of(net)->watch,
                 (net->paused ? 0 : CV_WATCH_READ) | (net->blocked ? CV_WATCH_WRITE : 0));
}

// One write. Bytes that left, 0 when nothing waits, CV_E_AGAIN when the socket is full.
static int write_once(struct cv_conn *conn, bool *more)
{
    struct cv_netconn *net = &conn->net;
    struct cv_worker *worker = net->worker;
    struct cv_gather *gather = &worker->gather;
    int filled = cv_netconn_fill(net);
    *more = filled > 0;
    if (filled < 0)
        return filled;
    cv_gather_clear(gather);
    cv_rtmp_pull(net->rtmp, gather);
    if (gather->count == 0)
        return 0;
    int sent = cv_socket_write(conn->fd, gather->vectors, gather->count);
    worker->stats.writes++;
    if (sent <= 0)
        return sent;
    worker->stats.bytes_out += (uint64_t)sent;
    bool short_count = (size_t)sent < gather->bytes;
    cv_rtmp_sent(net->rtmp, (size_t)sent);
    cv_netconn_progress(net);
    *more |= !cv_rtmp_out_empty(net->rtmp);
    return short_count ? CV_E_AGAIN : sent;
}

static void after_drain(struct cv_conn *conn)
{
    struct cv_netconn *net = &conn->net;
    if (net->phase != CV_NETCONN_DRAIN || !cv_rtmp_out_empty(net->rtmp))
        return;
    cv_socket_shutdown(conn->fd);
    cv_netconn_linger(net);
}

// One gathered write, more only while it flows.
static void conn_flush(struct cv_netconn *net)
{
    struct cv_conn *conn = conn_of(net);
    size_t total = 0;
    bool more;
    int sent;
    do {
        sent = write_once(conn, &more);
        total += sent > 0 ? (size_t)sent : 0;
        if (total >= FLUSH_BYTES) {
            cv_netconn_mark(net);
            cv_worker_retry(net->worker);
            return;
        }
    } while (sent > 0 && more);
    net->worker->stats.flushes += total > 0;
    if (sent == CV_E_AGAIN) {
        cv_netconn_block(net);
        conn_watch(net);
    } else if (sent < 0) {
        cv_netconn_doom(net, sent, "write");
    } else {
        after_drain(conn);
    }
}

// ---- reading --------------------------------------------------------------------------------

static void on_readable(struct cv_conn *conn)
{
    struct cv_netconn *net = &conn->net;
    struct cv_worker *worker = net->worker;
    for (int i = 0; i < READS_PER_TURN && !net->paused && !net->doomed; i++) {
        int len = cv_socket_read(conn->fd, worker->read_buffer, sizeof worker->read_buffer);
        if (len == CV_E_AGAIN)
            return;
        if (len < 0) {
            cv_netconn_doom(net, net->phase == CV_NETCONN_OPEN ? len : CV_OK, "read");
            return;
        }
        cv_netconn_take(net, worker->read_buffer, (size_t)len);
        if ((size_t)len < sizeof worker->read_buffer)
            return;
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_conn *conn = arg;
    if (conn->net.doomed)
        return;
    if ((events & CV_WATCH_WRITE) && conn->net.blocked) {
        cv_netconn_unblock(&conn->net);
        conn_watch(&conn->net);
    }
    if (events & CV_WATCH_READ)
        on_readable(conn);
}

static const struct cv_carrier tcp_carrier = {
    .name = "rtmp",
    .flush = conn_flush,
    .watch = conn_watch,
    .free = conn_free,
};
