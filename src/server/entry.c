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

struct entry {
    struct cv_conn *conn;
    struct cv_timer timer;
    struct cv_block *kept; // what has come and does not tell yet; NULL: nothing
    bool behind_header;    // a PROXY header has been read
};

static void entry_free(struct entry *entry)
{
    cv_timer_stop(&entry->timer);
    cv_block_unref(&entry->kept);
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
              entry->kept ? "it began and said no more" : "it said nothing");
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

static void decide(struct entry *entry, enum cv_sniff sniff, const uint8_t *data, size_t len)
{
    if (sniff == CV_SNIFF_RTMP)
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
