#include "proto/rtmpt_client_state.h"

#include "base/mem.h"
#include "proto/basic_auth.h"
#include "proto/http1_write.h"

#include <stdio.h>

static const char method[] = "POST";

size_t cv__tunnel_body_len(const struct errand *errand)
{
    if (errand->chunked)
        return errand->piece->len;
    return errand->body ? errand->body->len : 1;
}

static struct cv_text text_in(const struct cv_block *block)
{
    return (struct cv_text){(const char *)block->data, block->len};
}

// ---- what all requests have in common ---------------------------------------------------------

static void put_fields(struct cv_wr *wr, const struct cv_rtmpt_client_config *config)
{
    cv_http1_write_field(wr, cv_text_of("Host"), config->host);
    cv_http1_write_header(wr, "Content-Type", "application/x-fcs");
    cv_http1_write_header(wr, "Cache-Control", "no-store");
    if (config->user_agent.len)
        cv_http1_write_field(wr, cv_text_of("User-Agent"), config->user_agent);
    if (config->proxy && config->proxy_user.len)
        cv_basic_auth_write(wr, "Proxy-Authorization", config->proxy_user, config->proxy_password);
}

static void put_prefix(struct cv_wr *wr, const struct cv_rtmpt_client_config *config)
{
    static const char scheme[] = "http://";
    if (!config->proxy)
        return;
    cv_wr_bytes(wr, scheme, sizeof scheme - 1);
    cv_wr_bytes(wr, config->host.at, config->host.len);
}

static struct cv_block *made(struct cv_rtmpt_client *t, struct cv_wr *wr)
{
    int err = wr->err;
    struct cv_block *block = err == CV_OK && !wr->len ? cv_block_new(0) : cv_wr_take(wr);
    if (!block && t->why.code == CV_OK)
        cv__tunnel_fail(t, err == CV_OK || err == CV_E_NOMEM ? CV_E_NOMEM : CV_E_USAGE,
                        "host, user agent or credentials cannot stand in a head");
    return block;
}

int cv__tunnel_prepare(struct cv_rtmpt_client *t, const struct cv_rtmpt_client_config *config)
{
    enum { ROOM = CV_LIMIT_TUNNEL_HEAD_BYTES / 2 }; // the other half: request line, length
    struct cv_wr fields = cv_wr_growing(ROOM);
    struct cv_wr prefix = cv_wr_growing(ROOM / 2);
    if (cv_http1_is_authority(config->host))
        put_fields(&fields, config);
    else
        fields.err = CV_E_USAGE;
    put_prefix(&prefix, config);
    t->fields = made(t, &fields);
    t->prefix = made(t, &prefix);
    t->host = cv_block_copy(config->host.at, config->host.len);
    if (t->fields && t->prefix && t->host)
        return CV_OK;
    return t->why.code == CV_E_USAGE ? CV_E_USAGE : CV_E_NOMEM;
}

// ---- one request ------------------------------------------------------------------------------

static void put_number(struct cv_wr *wr, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    cv_wr_bytes(wr, digits + at, sizeof digits - at);
}

static void put_text(struct cv_wr *wr, struct cv_text text)
{
    cv_wr_bytes(wr, text.at, text.len);
}

static void put_target(const struct cv_rtmpt_client *t, const struct errand *errand,
                       struct cv_wr *wr)
{
    static const char *const verbs[] = {
        [CV_RTMPT_OPEN] = "/open/1",
        [CV_RTMPT_SEND] = "/send/",
        [CV_RTMPT_IDLE] = "/idle/",
        [CV_RTMPT_CLOSE] = "/close/",
    };
    put_text(wr, text_in(t->prefix));
    put_text(wr, cv_text_of(verbs[errand->kind]));
    if (errand->kind == CV_RTMPT_OPEN)
        return;
    put_text(wr, cv_text_of(t->id));
    cv_wr_u8(wr, '/');
    put_number(wr, errand->n);
}

// A chunked reply that lasts. The number stays the same when the head is written again.
static void put_window(struct cv_wr *wr, const struct errand *errand)
{
    char value[32];
    int len = snprintf(value, sizeof value, "1; window=%u", errand->window_ms);
    cv_http1_write_field(wr, cv_text_of("Culvert"), (struct cv_text){value, (size_t)len});
}

// The body comes in pieces over some time: the reply tells how early they were there.
static void put_stream(struct cv_wr *wr)
{
    cv_http1_write_header(wr, "Culvert", "1; stream");
    cv_http1_write_header(wr, "Transfer-Encoding", "chunked");
}

// The word "handshake": the server may take C0 C1 out of the body, and answer them at once.
static void put_offer(struct cv_wr *wr, const struct errand *errand, bool offer)
{
    cv_http1_write_header(wr, "Culvert", errand->body ? "1; handshake" : "1");
    cv_http1_write_header(wr, "Connection", offer ? "Upgrade" : "keep-alive");
    if (offer)
        cv_http1_write_header(wr, "Upgrade", "rtmp");
}

size_t cv__tunnel_head(const struct cv_rtmpt_client *t, const struct errand *errand,
                       char out[CV_LIMIT_TUNNEL_HEAD_BYTES])
{
    char target[CV_LIMIT_TUNNEL_HEAD_BYTES / 2];
    struct cv_wr path = cv_wr_fixed(target, sizeof target);
    struct cv_wr wr = cv_wr_fixed(out, CV_LIMIT_TUNNEL_HEAD_BYTES);
    put_target(t, errand, &path);
    cv_http1_write_request(&wr, cv_text_of(method), (struct cv_text){target, path.len});
    put_text(&wr, text_in(t->fields));
    if (errand->kind == CV_RTMPT_OPEN)
        put_offer(&wr, errand, t->offer);
    else
        cv_http1_write_header(&wr, "Connection", "keep-alive");
    if (errand->window_ms)
        put_window(&wr, errand);
    if (errand->chunked)
        put_stream(&wr);
    else
        cv_http1_write_length(&wr, cv__tunnel_body_len(errand));
    cv_http1_write_head_end(&wr);
    return path.err == CV_OK && wr.err == CV_OK ? wr.len : 0;
}
