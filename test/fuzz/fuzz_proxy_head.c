// A proxy in memory. First byte: bit 0 responses instead of requests, bit 1 the peer is trusted or
// the client speaks HTTP/1.0, bit 2 an upgrade was asked for. What comes out must be read by the
// next program without a failure, and as the same messages with the same bodies.
#include "base/check.h"
#include "base/err.h"
#include "proto/http1_write.h"
#include "proto/proxy_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OUT_MAX = 1 << 22 };

struct settings {
    enum cv_http1_role role;
    bool flag;
    bool upgrade;
};

struct result {
    uint32_t messages; // complete ones
    uint32_t sum;
    int err;
};

static void add(struct result *result, struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++)
        result->sum = result->sum * 31 + (uint8_t)text.at[i];
}

// What both must read alike. A path that was empty has become "/", a 1.0 without host has got one.
static void add_head(struct result *result, const struct cv_http1_head *head, bool response)
{
    add(result, head->method_text);
    add(result, head->path);
    add(result, head->query);
    add(result, head->host.len || response ? head->host : cv_text_of("site"));
    result->sum = result->sum * 31 + head->status;
}

static void check_sent(const struct cv_http1_head *head)
{
    static const char *const once[] = {"Host", "X-Forwarded-For", "X-Forwarded-Proto",
                                       "X-Forwarded-Host"};
    static const char *const never[] = {"Expect",  "Keep-Alive", "TE",
                                        "Trailer", "Proxy",      "Proxy-Authorization"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        CV_ASSERT(cv_http1_count(head->fields, once[i]) == 1);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        CV_ASSERT(cv_http1_count(head->fields, never[i]) == 0);
}

static void write_head(struct cv_wr *wr, const struct cv_http1_head *head, struct settings settings)
{
    const struct cv_proxy_client client = {
        .peer = cv_text_of("2001:db8::1"),
        .trusted = settings.flag,
        .authority = cv_text_of("site"),
    };
    uint32_t minor = !settings.flag;
    if (settings.role == CV_HTTP1_REQUESTS)
        cv_proxy_write_request(wr, head, &client);
    else
        cv_proxy_write_response(wr, head, minor, minor > 0);
}

static void write_rest(struct cv_wr *wr, const struct cv_http1_event *event, bool chunked)
{
    if (event->type == CV_HTTP1_END) {
        if (chunked)
            cv_http1_write_last_chunk(wr);
        return;
    }
    if (chunked)
        cv_http1_write_chunk_head(wr, event->body.len);
    cv_wr_bytes(wr, event->body.at, event->body.len);
    if (chunked)
        cv_http1_write_chunk_tail(wr);
}

static bool is_chunked(const struct cv_http1_head *head, struct settings settings)
{
    bool response = settings.role == CV_HTTP1_RESPONSES;
    return (response ? cv_proxy_framing(head, !settings.flag) : head->framing) == CV_HTTP1_CHUNKED;
}

static void on_event(struct result *result, struct settings settings,
                     const struct cv_http1_event *event, struct cv_wr *wr)
{
    bool response = settings.role == CV_HTTP1_RESPONSES;
    bool is_head = event->type == CV_HTTP1_HEAD || event->type == CV_HTTP1_INTERIM;
    if (is_head)
        add_head(result, event->head, response);
    if (event->type == CV_HTTP1_BODY)
        add(result, event->body);
    if (is_head && wr)
        write_head(wr, event->head, settings);
    else if (wr)
        write_rest(wr, event, is_chunked(event->head, settings));
    if (is_head && !wr && !response)
        check_sent(event->head);
    result->messages += event->type == CV_HTTP1_END;
}

// Reads messages; with a writer, writes them on. A response is one message, and its interim ones.
// `ends`: the connection is closed behind the bytes.
static struct result run(struct settings settings, const void *data, size_t len, bool ends,
                         struct cv_wr *wr)
{
    struct result result = {0};
    struct cv_http1_event event;
    struct cv_http1 *http = cv_http1_new(settings.role);
    CV_ASSERT(http);
    if (settings.role == CV_HTTP1_RESPONSES)
        cv_http1_expect(http, CV_METHOD_GET, settings.upgrade);
    cv_http1_feed(http, data, len);
    if (ends)
        cv_http1_feed_end(http);
    while ((result.err = cv_http1_next(http, &event)) == 1) {
        on_event(&result, settings, &event, wr);
        if (event.type == CV_HTTP1_END && settings.role == CV_HTTP1_REQUESTS)
            cv_http1_resume(http);
    }
    cv_http1_free(http);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    struct settings settings = {
        .role = data[0] & 1 ? CV_HTTP1_RESPONSES : CV_HTTP1_REQUESTS,
        .flag = data[0] & 2,
        .upgrade = data[0] & 4,
    };
    struct cv_wr wr = cv_wr_growing(OUT_MAX);
    struct result in = run(settings, data + 1, len - 1, true, &wr);
    CV_ASSERT(wr.err == CV_OK);
    struct cv_block *out = cv_wr_take(&wr);
    CV_ASSERT(out);
    // A proxy whose input fails cuts the connection, so that its output has no end, either. What is
    // added may make the last head too long for our own reader.
    struct result behind = run(settings, out->data, out->len, in.err == CV_OK, NULL);
    CV_ASSERT(behind.err == CV_OK || behind.err == CV_E_TOO_LONG);
    CV_ASSERT(behind.messages == in.messages || behind.err == CV_E_TOO_LONG);
    CV_ASSERT(behind.sum == in.sum || behind.err == CV_E_TOO_LONG);
    cv_block_unref(&out);
    return 0;
}
