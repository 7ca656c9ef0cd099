#include "server/entry.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/sniff.h"
#include "server/conn.h"
#include "server/plain.h"
#include "server/web.h"
#include "server/worker.h"

#include <string.h>

struct entry {
    struct cv_conn *conn;
    struct cv_timer timer;
    uint8_t bytes[CV_SNIFF_BYTES_MAX]; // what has come so far
    size_t len;
};

static void entry_free(struct entry *entry)
{
    cv_timer_stop(&entry->timer);
    cv_mem_free(entry);
}

static void entry_end(struct entry *entry, enum cv_log_level level, int code, const char *why)
{
    struct cv_conn *conn = entry->conn;
    struct cv_line line;
    cv_line_begin(&line, level, "conn.close");
    cv_conn_log_fields(conn, &line);
    cv_line_err(&line, code);
    cv_line_text(&line, "place", "entry");
    cv_line_text(&line, "why", why);
    cv_line_end(&line);
    entry_free(entry);
    cv_conn_free(conn);
}

static void on_timer(void *arg)
{
    struct entry *entry = arg;
    entry_end(entry, CV_LOG_INFO, CV_E_TIMEOUT,
              entry->len ? "it began and said no more" : "it said nothing");
}

// What is refused, and in which words.
static const char *refusal(enum cv_sniff sniff)
{
    switch (sniff) {
    case CV_SNIFF_RTMPE:
        return "RTMPE is not supported: it protects nothing, use TLS";
    case CV_SNIFF_TLS:
        return "TLS is not supported yet";
    case CV_SNIFF_HTTP2:
        return "HTTP/2 without TLS is not supported: use HTTP/1.1";
    case CV_SNIFF_PROXY_V1:
    case CV_SNIFF_PROXY_V2:
        return "the PROXY protocol is not supported yet";
    case CV_SNIFF_POLICY:
        return "Flash socket policies are not served";
    default:
        return "neither RTMP nor HTTP";
    }
}

static void pass_on(struct entry *entry, int (*open)(struct cv_conn *, const uint8_t *, size_t),
                    const uint8_t *data, size_t len)
{
    if (open(entry->conn, data, len) == CV_OK)
        entry_free(entry);
    else
        entry_end(entry, CV_LOG_ERROR, CV_E_NOMEM, "no memory for a connection");
}

// HTTP connections of one address meet on one thread: a tunnel session's requests may come on
// several.
static int open_web(struct cv_conn *conn, const uint8_t *data, size_t len)
{
    struct cv_worker *worker = conn->worker;
    unsigned home = cv_worker_choose(worker, conn->peer.ip, sizeof conn->peer.ip);
    if (home == worker->index)
        return cv_web_open(conn, data, len);
    return cv_conn_move(conn, home, data, len);
}

static void decide(struct entry *entry, enum cv_sniff sniff, const uint8_t *data, size_t len)
{
    if (sniff == CV_SNIFF_RTMP)
        pass_on(entry, cv_plain_open, data, len);
    else if (sniff == CV_SNIFF_HTTP)
        pass_on(entry, open_web, data, len);
    else
        entry_end(entry, CV_LOG_WARN, CV_E_HANDSHAKE_VERSION, refusal(sniff));
}

// The first bytes came one by one: what was kept goes ahead of what has come now, in one piece,
// because the connection may leave this thread with it.
static void on_more_bytes(struct entry *entry, const uint8_t *data, size_t len)
{
    size_t kept = entry->len;
    size_t room = sizeof entry->bytes - kept;
    memcpy(entry->bytes + kept, data, len < room ? len : room);
    entry->len += len < room ? len : room;
    enum cv_sniff sniff = cv_sniff(entry->bytes, entry->len);
    if (sniff == CV_SNIFF_MORE)
        return;
    struct cv_block *whole = cv_block_new(kept + len);
    if (!whole) {
        entry_end(entry, CV_LOG_ERROR, CV_E_NOMEM, "no memory for a connection");
        return;
    }
    cv_block_append(whole, entry->bytes, kept);
    cv_block_append(whole, data, len);
    decide(entry, sniff, whole->data, whole->len);
    cv_block_unref(&whole);
}

// Nearly always the first bytes tell, and are passed on where they lie.
static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct entry *entry = arg;
    enum cv_sniff sniff = entry->len ? CV_SNIFF_MORE : cv_sniff(data, len);
    if (sniff == CV_SNIFF_MORE)
        on_more_bytes(entry, data, len);
    else
        decide(entry, sniff, data, len);
}

static void on_ended(void *arg, int code)
{
    entry_end(arg, CV_LOG_DEBUG, code, cv_err_text(code));
}

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_stop(void *arg)
{
    entry_end(arg, CV_LOG_DEBUG, CV_E_CLOSED, "the server stops");
}

static const struct cv_conn_user entry_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

int cv_entry_open(struct cv_conn *conn)
{
    struct cv_worker *worker = conn->worker;
    struct entry *entry = cv_mem_zero(1, sizeof *entry);
    if (!entry)
        return CV_E_NOMEM;
    entry->conn = conn;
    cv_timer_init(&entry->timer, worker->loop, on_timer, entry);
    cv_timer_start(&entry->timer, worker->policy->config->limits.handshake_s * UINT64_C(1000000));
    cv_conn_hand_over(conn, &entry_user, entry, NULL, 0);
    return CV_OK;
}
