#include "server/conn.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/socket.h"
#include "server/client_addr.h"
#include "server/entry.h"
#include "server/table.h"
#include "server/web.h"
#include "server/worker.h"

enum {
    READS_PER_TURN = 4,     // one fast publisher must not hold up the others
    KEEP_ALIVE_IDLE_S = 30, // TCP keep-alive: a vanished peer is found in a minute
    KEEP_ALIVE_INTERVAL_S = 10,
    KEEP_ALIVE_COUNT = 3,
};

// ---- opening and closing --------------------------------------------------------------------

bool cv_conn_trusts(const struct cv_worker *worker, const struct cv_addr *peer)
{
    struct cv_ip ip = cv_addr_ip(peer);
    return cv_config_trusts(worker->policy->config, &ip);
}

// A trusted proxy brings the connections of many: it is counted, but has no cap of its own.
static bool enter_address(struct cv_worker *worker, const struct cv_addr *peer)
{
    uint32_t max = worker->policy->config->limits.connections_per_address_max;
    return cv_tally_enter(worker->shared->tallies.addresses, peer->ip, sizeof peer->ip,
                          cv_conn_trusts(worker, peer) ? 0 : max);
}

static void leave_address(struct cv_worker *worker, const struct cv_addr *peer)
{
    cv_tally_leave(worker->shared->tallies.addresses, peer->ip, sizeof peer->ip);
}

bool cv_conn_admit(struct cv_worker *worker, const struct cv_addr *peer)
{
    unsigned before = atomic_fetch_add(&worker->shared->connections, 1);
    if (before < worker->policy->config->limits.connections_max && enter_address(worker, peer))
        return true;
    atomic_fetch_sub(&worker->shared->connections, 1);
    worker->stats.refused++;
    return false;
}

void cv_conn_dismiss(struct cv_worker *worker, const struct cv_addr *peer)
{
    leave_address(worker, peer);
    atomic_fetch_sub(&worker->shared->connections, 1);
}

bool cv_conn_set_peer(struct cv_conn *conn, const struct cv_addr *peer)
{
    if (!enter_address(conn->worker, peer)) {
        conn->worker->stats.refused++;
        return false;
    }
    leave_address(conn->worker, &conn->peer);
    conn->peer = *peer;
    return true;
}

static void set_options(int fd, unsigned stall_s)
{
    cv_socket_set_no_delay(fd, true);
    cv_socket_set_keep_alive(fd, KEEP_ALIVE_IDLE_S, KEEP_ALIVE_INTERVAL_S, KEEP_ALIVE_COUNT);
    cv_socket_set_user_timeout_ms(fd, stall_s * 1000);
}

static void on_ready(void *arg, unsigned events);

static struct cv_conn *conn_new(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    struct cv_conn *conn = cv_mem_zero(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->fd = fd;
    conn->reads = true;
    conn->worker = worker;
    conn->peer = *peer;
    conn->id = ++worker->last_conn_id;
    conn->opened_us = cv_loop_now_us(worker->loop);
    if (cv_watch_start(&conn->watch, worker->loop, fd, CV_WATCH_READ, on_ready, conn) != CV_OK) {
        cv_mem_free(conn);
        return NULL;
    }
    return conn;
}

// One of a client.
static struct cv_conn *client_new(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    struct cv_conn *conn = conn_new(worker, fd, peer);
    if (conn)
        DL_APPEND(worker->sockets, conn);
    return conn;
}

void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer)
{
    if (!cv_conn_admit(worker, peer)) {
        cv_socket_close(&fd);
        return;
    }
    struct cv_conn *conn = client_new(worker, fd, peer);
    if (!conn) {
        cv_conn_dismiss(worker, peer);
        cv_socket_close(&fd);
        return;
    }
    worker->stats.accepted++;
    set_options(fd, worker->policy->config->limits.write_stall_s);
    if (cv_entry_open(conn) != CV_OK)
        cv_conn_free(conn);
}

int cv_conn_dial(struct cv_worker *worker, const struct cv_addr *addr,
                 const struct cv_conn_user *user, void *arg, struct cv_conn **out)
{
    int fd = cv_socket_connect(addr);
    if (fd < 0)
        return fd;
    struct cv_conn *conn = conn_new(worker, fd, addr);
    if (!conn) {
        cv_socket_close(&fd);
        return CV_E_NOMEM;
    }
    conn->dialled = true;
    set_options(fd, worker->policy->config->limits.write_stall_s);
    cv_conn_hand_over(conn, user, arg, NULL, 0);
    cv_conn_want(conn, false, true);
    *out = conn;
    return CV_OK;
}

int cv_conn_dialled(const struct cv_conn *conn)
{
    return cv_socket_connect_result(conn->fd);
}

static void on_watch_closed(void *arg)
{
    cv_mem_free(arg);
}

void cv_conn_free(struct cv_conn *conn)
{
    CV_ASSERT(conn->fd >= 0);
    if (!conn->dialled) {
        DL_DELETE(conn->worker->sockets, conn);
        cv_conn_dismiss(conn->worker, &conn->peer);
    }
    cv_watch_close(&conn->watch, on_watch_closed, conn);
    if (conn->resets)
        cv_socket_abort(&conn->fd);
    else
        cv_socket_close(&conn->fd);
}

void cv_conn_log_fields(const struct cv_conn *conn, struct cv_line *line)
{
    cv_line_uint(line, "conn", conn->id);
    cv_client_log_field(&conn->peer, line);
}

// ---- moving ---------------------------------------------------------------------------------

int cv_conn_move(struct cv_conn *conn, unsigned thread, const uint8_t *data, size_t len)
{
    struct cv_note note = {.kind = CV_NOTE_MOVED};
    struct cv_moved *moved = cv_mem_zero(1, sizeof *moved);
    struct cv_note *mail = cv_worker_note_new(&note);
    struct cv_block *bytes = cv_block_copy(data, len);
    if (!moved || !mail || !bytes) {
        cv_mem_free(moved);
        cv_mem_free(mail);
        cv_block_unref(&bytes);
        return CV_E_NOMEM;
    }
    *moved = (struct cv_moved){.fd = conn->fd, .peer = conn->peer, .bytes = bytes};
    mail->moved = moved;
    conn->fd = -1;
    DL_DELETE(conn->worker->sockets, conn);
    // Closing the watch takes the descriptor out of this loop at once: then it may go.
    cv_watch_close(&conn->watch, on_watch_closed, conn);
    cv_worker_post_note(conn->worker, thread, mail);
    return CV_OK;
}

void cv_conn_on_moved(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_moved *moved = note->moved;
    struct cv_conn *conn = client_new(worker, moved->fd, &moved->peer);
    if (!conn) {
        cv_conn_dismiss(worker, &moved->peer);
        return;
    }
    moved->fd = -1;
    worker->stats.moved++;
    if (cv_web_open(conn, moved->bytes->data, moved->bytes->len) != CV_OK)
        cv_conn_free(conn);
}

// ---- using ----------------------------------------------------------------------------------

void cv_conn_hand_over(struct cv_conn *conn, const struct cv_conn_user *user, void *arg,
                       const uint8_t *data, size_t len)
{
    conn->user = user;
    conn->arg = arg;
    if (len)
        user->bytes(arg, data, len);
}

void cv_conn_want(struct cv_conn *conn, bool reads, bool writes)
{
    conn->reads = reads;
    conn->writes = writes;
    cv_watch_set(&conn->watch, (reads ? CV_WATCH_READ : 0) | (writes ? CV_WATCH_WRITE : 0));
}

int cv_conn_write(struct cv_conn *conn, const struct cv_gather *gather)
{
    struct cv_worker_stats *stats = &conn->worker->stats;
    int sent = cv_socket_write(conn->fd, gather->vectors, gather->count);
    stats->writes++;
    stats->bytes_out += sent > 0 ? (uint64_t)sent : 0;
    return sent;
}

void cv_conn_quick_ack(struct cv_conn *conn)
{
    cv_socket_quick_ack(conn->fd);
}

void cv_conn_shutdown(struct cv_conn *conn)
{
    cv_socket_shutdown(conn->fd);
}

void cv_conn_reset_at_end(struct cv_conn *conn)
{
    conn->resets = true;
}

static void on_readable(struct cv_conn *conn)
{
    struct cv_worker *worker = conn->worker;
    for (int i = 0; i < READS_PER_TURN && conn->fd >= 0 && conn->reads; i++) {
        int len = cv_socket_read(conn->fd, worker->read_buffer, sizeof worker->read_buffer);
        if (len == CV_E_AGAIN)
            return;
        if (len < 0) {
            conn->user->ended(conn->arg, len);
            return;
        }
        worker->stats.bytes_in += (uint64_t)len;
        conn->user->bytes(conn->arg, worker->read_buffer, (size_t)len);
        if ((size_t)len < sizeof worker->read_buffer)
            return;
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_conn *conn = arg;
    if ((events & CV_WATCH_WRITE) && conn->writes)
        conn->user->writable(conn->arg);
    if ((events & CV_WATCH_READ) && conn->fd >= 0)
        on_readable(conn);
}
