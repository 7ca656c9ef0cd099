// The site's answer on its way to the client.
#include "base/check.h"
#include "proto/proxy_head.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/site_exchange.h"
#include "server/web.h"
#include "server/worker.h"

#include <string.h>

struct cv_gather *cv_exchange_gather(const struct cv_exchange *exchange)
{
    struct cv_gather *gather = &exchange->worker->gather;
    cv_gather_clear(gather);
    return gather;
}

void cv_exchange_literal(struct cv_gather *gather, const char *text)
{
    cv_gather_borrow(gather, text, strlen(text));
}

void cv_exchange_chunk_head(struct cv_gather *gather, int place, size_t len)
{
    uint8_t digits[CV_CHUNK_HEAD_BYTES];
    struct cv_wr wr = cv_wr_fixed(digits, sizeof digits);
    cv_http1_write_chunk_head(&wr, len);
    CV_ASSERT(wr.err == CV_OK && place >= 0);
    cv_gather_fill(gather, place, digits, wr.len);
}

// The answer's way out, during one call of on_site_bytes.
struct out {
    struct cv_exchange *exchange;
    struct cv_gather *gather;
    struct cv_block *heads; // borrowed by the gather; NULL: none
    int chunk;              // where its head belongs; -1: none is open
    size_t chunk_bytes;
};

static void close_chunk(struct out *out)
{
    if (out->chunk < 0)
        return;
    cv_exchange_chunk_head(out->gather, out->chunk, out->chunk_bytes);
    cv_exchange_literal(out->gather, "\r\n");
    out->chunk = -1;
    out->chunk_bytes = 0;
}

// Writes what is in the gather, or keeps it. 0 or what the client's connection failed with.
static int write_out(struct out *out)
{
    struct cv_exchange *exchange = out->exchange;
    close_chunk(out);
    int sent = 0;
    if (out->gather->bytes && cv_leftover_is_empty(&exchange->to_client)) {
        exchange->wrote = true;
        sent = cv_web_write(exchange->web, out->gather);
    }
    if (sent == CV_E_AGAIN)
        sent = 0;
    int err = sent < 0 ? sent : cv_leftover_add(&exchange->to_client, out->gather, (size_t)sent);
    cv_gather_clear(out->gather);
    cv_block_unref(&out->heads);
    return err;
}

// Room for a chunk's head, data and tail, and for the last chunk.
static int make_room(struct out *out)
{
    enum { VECTORS = 6 };
    bool fits = out->gather->count + VECTORS <= CV_GATHER_VECTORS && !cv_gather_full(out->gather);
    return fits ? CV_OK : write_out(out);
}

static int put_body(struct out *out, struct cv_text body)
{
    int err = make_room(out);
    if (err != CV_OK)
        return err;
    if (out->exchange->framing == CV_HTTP1_CHUNKED && out->chunk < 0)
        out->chunk = cv_gather_reserve(out->gather, CV_CHUNK_HEAD_BYTES);
    out->chunk_bytes += body.len;
    cv_gather_borrow(out->gather, body.at, body.len);
    return CV_OK;
}

static int put_head(struct out *out, const struct cv_http1_head *head, bool keep)
{
    struct cv_wr wr = cv_wr_growing(CV_PROXY_HEAD_BYTES_MAX);
    int err = write_out(out); // one head at a time is borrowed
    if (err != CV_OK)
        return err;
    cv_proxy_write_response(&wr, head, out->exchange->minor, keep);
    out->heads = cv_wr_take(&wr);
    if (!out->heads)
        return wr.err;
    cv_gather_borrow(out->gather, out->heads->data, out->heads->len);
    return CV_OK;
}

static void log_request(const struct cv_exchange *exchange, uint32_t status)
{
    const struct cv_http1_head *head = cv_web_head(exchange->web);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "site.request");
    cv_client_log_fields(exchange->web, &line);
    cv_line_str(&line, "method", head->method_text.at, head->method_text.len);
    cv_line_str(&line, "path", head->path.at, head->path.len);
    cv_line_uint(&line, "status", status);
    cv_line_end(&line);
}

// An answer that comes before all of the request has come is the last one on the connection.
static int on_answer_head(struct out *out, const struct cv_http1_head *head)
{
    struct cv_exchange *exchange = out->exchange;
    log_request(exchange, head->status);
    cv_upstream_works(exchange->worker);
    exchange->answered = true;
    exchange->switched = head->upgrade;
    exchange->framing = cv_proxy_framing(head, exchange->minor);
    exchange->keep = cv_web_keeps(exchange->web) && exchange->request_ended &&
                     exchange->framing != CV_HTTP1_UNTIL_CLOSE;
    return put_head(out, head, exchange->keep || exchange->switched);
}

// Early hints and the like go on to who can read them. 100 was ours to say.
static int on_interim(struct out *out, const struct cv_http1_head *head)
{
    bool pass = out->exchange->minor > 0 && head->status != 100;
    return pass ? put_head(out, head, true) : CV_OK;
}

static int on_answer_end(struct out *out, const struct cv_http1_head *head)
{
    out->exchange->answer_ended = true;
    out->exchange->site_keeps = head->keep_alive;
    close_chunk(out);
    if (out->exchange->framing == CV_HTTP1_CHUNKED)
        cv_exchange_literal(out->gather, "0\r\n\r\n");
    return CV_OK;
}

static int on_event(struct out *out, const struct cv_http1_event *event)
{
    switch (event->type) {
    case CV_HTTP1_HEAD:
        return on_answer_head(out, event->head);
    case CV_HTTP1_INTERIM:
        return on_interim(out, event->head);
    case CV_HTTP1_BODY:
        return put_body(out, event->body);
    case CV_HTTP1_END:
        return on_answer_end(out, event->head);
    }
    CV_UNREACHABLE();
}

int cv_exchange_pass_on(struct cv_exchange *exchange, int *out_client)
{
    struct out out = {.exchange = exchange, .gather = cv_exchange_gather(exchange), .chunk = -1};
    struct cv_http1_event event;
    int err = CV_OK;
    int got = 0;
    while (err == CV_OK && !exchange->answer_ended &&
           (got = cv_http1_next(exchange->upstream->http, &event)) == 1)
        err = on_event(&out, &event);
    int written = write_out(&out);
    *out_client = err != CV_OK ? err : written;
    return got < 0 ? got : CV_OK;
}
