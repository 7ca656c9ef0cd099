#include "server/entry.h"

#include "base/block.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/proxy_header.h"
#include "proto/sniff.h"
#include "server/conn.h"
#include "server/plain.h"
#include "server/web.h"
#include "server/worker.h"

enum { LINGER_S = 2 }; // for a client to read why it is refused

struct entry {
    struct cv_conn *conn;
    struct cv_timer timer;
    struct cv_block *kept; // what has come and does not tell yet; NULL: nothing
    enum cv_listen_takes takes;
    bool behind_header; // a PROXY header has been read
    bool refused;       // and told so; what still comes is read away
};

static void entry_free(struct entry *entry)
{
    cv_timer_stop(&entry->timer);
    cv_block_unref(&entry->kept);
    cv_mem_free(entry);
}

static void log_end(const struct entry *entry, enum cv_log_level level, int code, const char *why)
{
    const struct cv_why *tls = cv_conn_why(entry->conn);
    struct cv_line line;
    cv_line_begin(&line, level, "conn.close");
    cv_conn_log_fields(entry->conn, &line);
    cv_line_err(&line, code);
    cv_line_text(&line, "place", tls->code == code ? tls->place : "entry");
    cv_line_text(&line, "why", why);
    cv_line_end(&line);
}

static void entry_end(struct entry *entry, enum cv_log_level level, int code, const char *why)
{
    struct cv_conn *conn = entry->conn;
    if (!entry->refused)
        log_end(entry, level, code, why);
    entry_free(entry);
    cv_conn_free(conn);
}

static void on_timer(void *arg)
{
    struct entry *entry = arg;
    const char *why = "it said nothing";
    if (entry->kept)
        why = "it began and said no more";
    else if (cv_conn_is_secure(entry->conn))
        why = "it began TLS and said nothing in it";
    entry_end(entry, CV_LOG_INFO, CV_E_TIMEOUT, why);
}

// What is refused, and in which words.
static const char *refusal(enum cv_sniff sniff)
{
    switch (sniff) {
    case CV_SNIFF_RTMPE:
        return "RTMPE is not supported: it protects nothing, use TLS";
    case CV_SNIFF_HTTP2:
        return "HTTP/2 without TLS is not supported: use HTTP/1.1";
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

// ---- TLS --------------------------------------------------------------------------------------

// NULL: it may speak TLS. Otherwise why not.
static const char *tls_refusal(const struct entry *entry)
{
    if (cv_conn_is_secure(entry->conn))
        return "TLS inside TLS";
    if (entry->takes == CV_LISTEN_PLAIN)
        return "TLS on a port that takes none: listen says plain";
    if (!entry->conn->worker->policy->tls)
        return "this server has no certificate: set tls in its configuration";
    return NULL;
}

// From now on what is inside comes to on_bytes. The clock that runs already goes on for both.
static void begin_tls(struct entry *entry, const uint8_t *data, size_t len)
{
    const char *refusal = tls_refusal(entry);
    if (refusal)
        entry_end(entry, CV_LOG_INFO, CV_E_REFUSED, refusal);
    else if (cv_conn_secure(entry->conn, data, len) != CV_OK)
        entry_end(entry, CV_LOG_ERROR, CV_E_NOMEM, "no memory for a connection");
}

static const char https_only[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain\r\n"
                                 "Content-Length: 27\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "this port takes HTTPS only\n";

// Says so where the client can read it, and waits a moment until it has.
static void refuse_http(struct entry *entry)
{
    struct cv_gather *gather = &entry->conn->worker->gather;
    log_end(entry, CV_LOG_INFO, CV_E_NOT_TLS, "HTTP on a port that takes HTTPS only");
    entry->refused = true;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, https_only, sizeof https_only - 1);
    cv_conn_write(entry->conn, gather); // the first bytes of a connection: there is room
    cv_conn_shutdown(entry->conn);
    cv_timer_start(&entry->timer, LINGER_S * UINT64_C(1000000));
}

static void refuse_plain(struct entry *entry, enum cv_sniff sniff)
{
    if (sniff == CV_SNIFF_HTTP)
        refuse_http(entry);
    else
        entry_end(entry, CV_LOG_INFO, CV_E_NOT_TLS, "plain text on a port that takes TLS only");
}

// ---- what it is -------------------------------------------------------------------------------

static void decide(struct entry *entry, enum cv_sniff sniff, const uint8_t *data, size_t len)
{
    if (sniff == CV_SNIFF_TLS)
        begin_tls(entry, data, len);
    else if (entry->takes == CV_LISTEN_TLS && !cv_conn_is_secure(entry->conn))
        refuse_plain(entry, sniff);
    else if (sniff == CV_SNIFF_RTMP)
        pass_on(entry, cv_plain_open, data, len);
    else if (sniff == CV_SNIFF_HTTP)
        pass_on(entry, cv_web_open, data, len);
    else
        entry_end(entry, CV_LOG_WARN, CV_E_HANDSHAKE_VERSION, refusal(sniff));
}

// ---- the PROXY protocol -------------------------------------------------------------------------

static bool is_header(enum cv_sniff sniff)
{
    return sniff == CV_SNIFF_PROXY_V1 || sniff == CV_SNIFF_PROXY_V2;
}

// NULL: this connection may begin with a PROXY header. Otherwise why not: anybody could write one.
static const char *header_refusal(const struct entry *entry)
{
    if (entry->behind_header)
        return "a second PROXY header";
    if (cv_conn_is_secure(entry->conn))
        return "a PROXY header inside TLS: it belongs before it";
    if (!cv_conn_trusts(entry->conn->worker, &entry->conn->peer))
        return "a PROXY header from an address that is not in trusted_proxies";
    return NULL;
}

static void log_header(const struct cv_conn *conn, const struct cv_addr *proxy)
{
    char via[CV_ADDR_TEXT_BYTES];
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "conn.proxy");
    cv_conn_log_fields(conn, &line);
    cv_line_text(&line, "via", cv_addr_print(proxy, via));
    cv_line_end(&line);
}

// From now on it is the client's connection. False: the client has too many.
static bool believe(struct entry *entry, const struct cv_proxy_header *header)
{
    struct cv_conn *conn = entry->conn;
    struct cv_addr proxy = conn->peer;
    struct cv_addr client = cv_addr_of_ip(&header->source, header->source_port);
    entry->behind_header = true;
    if (header->source.family == 0) // the proxy speaks for itself, or does not know
        return true;
    if (!cv_conn_set_peer(conn, &client))
        return false;
    log_header(conn, &proxy);
    return true;
}

static int read_header(struct entry *entry, const uint8_t *data, size_t len, size_t *out_len)
{
    struct cv_proxy_header header;
    struct cv_why why = {0};
    const char *refusal = header_refusal(entry);
    int got = refusal ? CV_E_REFUSED : cv_proxy_header_parse(&header, data, len, &why);
    if (got == 1 && !believe(entry, &header)) {
        refusal = "too many connections from the client behind the proxy";
        got = CV_E_TOO_MANY;
    }
    if (got < 0)
        entry_end(entry, CV_LOG_WARN, got, refusal ? refusal : why.text);
    else if (got == 1)
        *out_len = header.len;
    return got;
}

// ---- bytes ----------------------------------------------------------------------------------

static void keep(struct entry *entry, const uint8_t *data, size_t len)
{
    if (len == 0)
        return;
    entry->kept = cv_block_copy(data, len);
    if (!entry->kept)
        entry_end(entry, CV_LOG_ERROR, CV_E_NOMEM, "no memory for a connection");
}

// All that has come and tells nothing yet: the connection is passed on or ended, or the bytes are
// kept until there are more.
static void look(struct entry *entry, const uint8_t *data, size_t len)
{
    enum cv_sniff sniff;
    while (is_header(sniff = cv_sniff(data, len))) {
        size_t header_len = 0;
        int got = read_header(entry, data, len, &header_len);
        if (got < 0)
            return;
        if (got == 0) {
            keep(entry, data, len);
            return;
        }
        data += header_len;
        len -= header_len;
    }
    if (sniff == CV_SNIFF_MORE)
        keep(entry, data, len);
    else
        decide(entry, sniff, data, len);
}

// Nearly always the first bytes tell, and are passed on where they lie. Otherwise what was kept
// goes ahead of what has come now, in one piece, because the connection may leave this thread.
static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct entry *entry = arg;
    struct cv_block *whole = entry->kept;
    if (entry->refused)
        return;
    if (!whole) {
        look(entry, data, len);
        return;
    }
    entry->kept = NULL;
    if (cv_block_reserve(&whole, whole->len + len) == CV_OK) {
        cv_block_append(whole, data, len);
        look(entry, whole->data, whole->len);
    } else {
        entry_end(entry, CV_LOG_ERROR, CV_E_NOMEM, "no memory for a connection");
    }
    cv_block_unref(&whole);
}

// Anybody can make handshakes fail, as many as he likes: one in a while is told, so that a wrong
// certificate shows. All are counted (tls_failed in server.stats).
static enum cv_log_level failure_level(struct cv_worker *worker)
{
    uint64_t now_us = cv_loop_now_us(worker->loop);
    if (now_us < worker->tls_failure_us)
        return CV_LOG_DEBUG;
    worker->tls_failure_us = now_us + CV_TLS_FAILURE_TOLD_S * UINT64_C(1000000);
    return CV_LOG_INFO;
}

static void on_ended(void *arg, int code)
{
    const struct entry *entry = arg;
    const struct cv_why *tls = cv_conn_why(entry->conn);
    if (tls->code == code && cv_err_class(code) != CV_CLASS_GONE)
        entry_end(arg, failure_level(entry->conn->worker), code, tls->text);
    else
        entry_end(arg, CV_LOG_DEBUG, code, tls->code == code ? tls->text : cv_err_text(code));
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

int cv_entry_open(struct cv_conn *conn, enum cv_listen_takes takes)
{
    struct cv_worker *worker = conn->worker;
    struct entry *entry = cv_mem_zero(1, sizeof *entry);
    if (!entry)
        return CV_E_NOMEM;
    entry->conn = conn;
    entry->takes = takes;
    cv_timer_init(&entry->timer, worker->loop, on_timer, entry);
    cv_timer_start(&entry->timer, worker->policy->config->limits.handshake_s * UINT64_C(1000000));
    cv_conn_hand_over(conn, &entry_user, entry, NULL, 0);
    return CV_OK;
}
