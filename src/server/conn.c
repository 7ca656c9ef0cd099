#include "server/conn.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/socket.h"
#include "server/client_addr.h"
#include "server/entry.h"
#include "server/table.h"
#include "server/web.h"
#include "server/worker.h"

#include <stddef.h>

enum {
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

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_conn *conn = arg;
    conn->worker->stats.bytes_in += len;
    conn->user->bytes(conn->arg, data, len);
}

static void on_room(void *arg)
{
    struct cv_conn *conn = arg;
    conn->user->writable(conn->arg);
}

static void on_ended(void *arg, int code)
{
    struct cv_conn *conn = arg;
    bool shakes = cv_channel_is_secure(&conn->channel) && !cv_channel_tls(&conn->channel);
    conn->worker->stats.tls_failed += shakes;
    conn->user->ended(conn->arg, code);
}

static void on_secured(void *arg)
{
    struct cv_conn *conn = arg;
    struct cv_tls_info info = cv_tls_info(cv_channel_tls(&conn->channel));
    struct cv_line line;
    conn->worker->stats.secured++;
    conn->worker->stats.resumed += info.resumed;
    conn->worker->stats.kernel_tls += info.kernel;
    cv_line_begin(&line, CV_LOG_DEBUG, "conn.secure");
    cv_conn_log_fields(conn, &line);
    cv_line_text(&line, "cipher", info.cipher);
    cv_line_text(&line, "host", info.server);
    cv_line_text(&line, "resumed", info.resumed ? "yes" : "no");
    cv_line_text(&line, "kernel", info.kernel ? "yes" : "no");
    cv_line_end(&line);
}

static const struct cv_channel_user channel_user = {
    .bytes = on_bytes,
    .room = on_room,
    .secured = on_secured,
    .ended = on_ended,
};

static struct cv_conn *conn_new(struct cv_worker *worker, const struct cv_channel_ends *ends,
                                const struct cv_addr *peer)
{
    struct cv_conn *conn = cv_mem_zero(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->worker = worker;
    conn->peer = *peer;
    conn->id = ++worker->last_conn_id;
    conn->opened_us = cv_loop_now_us(worker->loop);
    if (cv_channel_attach(&conn->channel, &worker->channels, ends, &channel_user, conn) != CV_OK) {
        cv_mem_free(conn);
        return NULL;
    }
    return conn;
}

// One of a client.
static struct cv_conn *client_new(struct cv_worker *worker, const struct cv_channel_ends *ends,
                                  const struct cv_addr *peer)
{
    struct cv_conn *conn = conn_new(worker, ends, peer);
    if (conn)
        DL_APPEND(worker->sockets, conn);
    return conn;
}

void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer,
                  enum cv_listen_takes takes)
{
    struct cv_channel_ends ends = {.fd = fd};
    if (!cv_conn_admit(worker, peer)) {
        cv_socket_close(&fd);
        return;
    }
    struct cv_conn *conn = client_new(worker, &ends, peer);
    if (!conn) {
        cv_conn_dismiss(worker, peer);
        cv_socket_close(&fd);
        return;
    }
    worker->stats.accepted++;
    set_options(fd, worker->policy->config->limits.write_stall_s);
    if (cv_entry_open(conn, takes) != CV_OK)
        cv_conn_free(conn);
}

int cv_conn_dial(struct cv_worker *worker, const struct cv_addr *addr,
                 const struct cv_conn_user *user, void *arg, struct cv_conn **out)
{
    struct cv_channel_ends ends = {.fd = cv_socket_connect(addr)};
    if (ends.fd < 0)
        return ends.fd;
    struct cv_conn *conn = conn_new(worker, &ends, addr);
    if (!conn) {
        cv_socket_close(&ends.fd);
        return CV_E_NOMEM;
    }
    conn->dialled = true;
    set_options(ends.fd, worker->policy->config->limits.write_stall_s);
    cv_conn_hand_over(conn, user, arg, NULL, 0);
    cv_conn_want(conn, false, true);
    *out = conn;
    return CV_OK;
}

int cv_conn_dialled(const struct cv_conn *conn)
{
    return cv_socket_connect_result(conn->channel.fd);
}

void cv_conn_free(struct cv_conn *conn)
{
    if (!conn->dialled) {
        DL_DELETE(conn->worker->sockets, conn);
        cv_conn_dismiss(conn->worker, &conn->peer);
    }
    cv_channel_close(&conn->channel, conn->resets, cv_mem_free, conn);
}

void cv_conn_log_fields(const struct cv_conn *conn, struct cv_line *line)
{
    cv_line_uint(line, "conn", conn->id);
    cv_client_log_field(&conn->peer, line);
    cv_conn_log_tls(conn, line);
}

// ---- TLS ------------------------------------------------------------------------------------

// A worker that meets no TLS needs no buffers for it. CV_OK or CV_E_NOMEM.
static int make_tls_room(struct cv_worker *worker)
{
    if (!worker->channels.tls)
        worker->channels.tls = cv_tls_room_new();
    return worker->channels.tls ? CV_OK : CV_E_NOMEM;
}

int cv_conn_secure(struct cv_conn *conn, const uint8_t *data, size_t len)
{
    struct cv_worker *worker = conn->worker;
    CV_ASSERT(worker->policy->tls);
    int err = make_tls_room(worker);
    return err == CV_OK ? cv_channel_accept(&conn->channel, worker->policy->tls, data, len) : err;
}

bool cv_conn_is_secure(const struct cv_conn *conn)
{
    return cv_channel_is_secure(&conn->channel);
}

const char *cv_conn_tls_version(const struct cv_conn *conn)
{
    const struct cv_tls *tls = cv_channel_tls(&conn->channel);
    return tls ? cv_tls_info(tls).version : NULL;
}

void cv_conn_log_tls(const struct cv_conn *conn, struct cv_line *line)
{
    const char *version = cv_conn_tls_version(conn);
    if (version)
        cv_line_text(line, "tls", version);
}

const struct cv_why *cv_conn_why(const struct cv_conn *conn)
{
    return cv_channel_why(&conn->channel);
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
    *moved = (struct cv_moved){
        .ends = cv_channel_detach(&conn->channel, cv_mem_free, conn),
        .peer = conn->peer,
        .bytes = bytes,
    };
    mail->moved = moved;
    DL_DELETE(conn->worker->sockets, conn);
    cv_worker_post_note(conn->worker, thread, mail);
    return CV_OK;
}

void cv_conn_on_moved(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_moved *moved = note->moved;
    struct cv_conn *conn = NULL;
    if (!moved->ends.tls || make_tls_room(worker) == CV_OK)
        conn = client_new(worker, &moved->ends, &moved->peer);
    if (!conn) {
        cv_conn_dismiss(worker, &moved->peer);
        return;
    }
    moved->ends = (struct cv_channel_ends){.fd = -1};
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
    cv_channel_want(&conn->channel, reads, writes);
}

static int count_write(struct cv_conn *conn, int sent)
{
    struct cv_worker_stats *stats = &conn->worker->stats;
    stats->writes++;
    stats->bytes_out += sent > 0 ? (uint64_t)sent : 0;
    return sent;
}

int cv_conn_write(struct cv_conn *conn, const struct cv_gather *gather)
{
    return count_write(conn, cv_channel_write(&conn->channel, gather));
}

bool cv_conn_can_join(const struct cv_conn *conn)
{
    return !cv_channel_is_secure(&conn->channel);
}

void cv_conn_join(struct cv_conn *conn, const struct cv_gather *gather, struct cv_send_batch *batch,
                  void *owner, bool more)
{
    CV_ASSERT(cv_conn_can_join(conn));
    cv_send_batch_add(batch, conn->channel.fd, gather, owner, more);
}

int cv_conn_joined(struct cv_conn *conn, const struct cv_send *send)
{
    conn->worker->stats.batched++;
    return count_write(conn, send->result);
}

void cv_conn_prefetch(const struct cv_conn *conn, unsigned step)
{
    enum { HOT_BYTES = offsetof(struct cv_conn, channel.watch.closing) };
    if (step == 0)
        cv_prefetch(conn, HOT_BYTES);
    else
        cv_channel_prefetch(&conn->channel, step - 1);
}

void cv_conn_quick_ack(struct cv_conn *conn)
{
    cv_socket_quick_ack(conn->channel.fd);
}

void cv_conn_pace(struct cv_conn *conn, int bytes)
{
    cv_socket_set_read_low(conn->channel.fd, bytes);
}

void cv_conn_shutdown(struct cv_conn *conn)
{
    cv_channel_shutdown(&conn->channel);
}

void cv_conn_reset_at_end(struct cv_conn *conn)
{
    conn->resets = true;
}
