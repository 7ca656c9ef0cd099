// HTTP/1 messages. First byte: bit 0 responses instead of requests, bit 1 an upgrade was asked for,
// the rest the size of the pieces in which the bytes are fed. Second byte: what the responses
// answer, top bit a small cap of bodies. Whole and in pieces the same must come out; bodies must
// have the length that their head says; a head written again must be read as the same one.
#include "base/check.h"
#include "proto/http1.h"
#include "proto/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SMALL_BODY = 40, HEAD_MAX = 40000 };

struct settings {
    enum cv_http1_role role;
    enum cv_http1_method method;
    bool upgrade;
    bool small;
};

struct result {
    uint32_t events; // bodies count as one, however they came
    uint32_t sum;
    uint64_t body; // bytes of the current one
    int err;
    uint32_t refusal;
};

static void add(struct result *result, struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++)
        result->sum = result->sum * 31 + (uint8_t)text.at[i];
}

static void add_head(struct result *result, const struct cv_http1_head *head)
{
    add(result, head->method_text);
    add(result, head->target);
    add(result, head->path);
    add(result, head->query);
    add(result, head->host);
    add(result, head->reason);
    for (size_t i = 0; i < head->fields.count; i++) {
        CV_ASSERT(cv_http1_is_token(head->fields.at[i].name));
        CV_ASSERT(cv_http1_is_value(head->fields.at[i].value));
        add(result, head->fields.at[i].name);
        add(result, head->fields.at[i].value);
    }
    result->sum = result->sum * 31 + head->status * 8 + head->minor * 4 + head->keep_alive * 2U +
                  head->upgrade;
}

static void check_head(const struct cv_http1_head *head, enum cv_http1_role role)
{
    size_t lengths = cv_http1_count(head->fields, "Content-Length");
    size_t codings = cv_http1_count(head->fields, "Transfer-Encoding");
    CV_ASSERT(lengths + codings <= 1);
    CV_ASSERT((head->framing == CV_HTTP1_LENGTH) == (head->length > 0));
    CV_ASSERT(head->framing != CV_HTTP1_LENGTH || lengths);
    CV_ASSERT(head->framing != CV_HTTP1_CHUNKED || codings);
    if (role == CV_HTTP1_RESPONSES)
        return;
    CV_ASSERT(head->framing != CV_HTTP1_UNTIL_CLOSE && (head->framing || !codings));
    CV_ASSERT(cv_text_starts(head->path, "/") || cv_text_is(head->path, "*"));
    CV_ASSERT(head->host.len ? cv_http1_is_authority(head->host) : head->minor == 0);
}

// Writes a request's head again and reads that: the same names and values, framing and target.
static void read_again(const struct cv_http1_head *head)
{
    struct cv_wr wr = cv_wr_growing(HEAD_MAX);
    cv_http1_write_request(&wr, head->method_text, head->target);
    for (size_t i = 0; i < head->fields.count; i++)
        cv_http1_write_field(&wr, head->fields.at[i].name, head->fields.at[i].value);
    cv_http1_write_head_end(&wr);
    struct cv_block *block = cv_wr_take(&wr);
    CV_ASSERT(block);
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    CV_ASSERT(http);
    struct cv_http1_event event;
    cv_http1_feed(http, block->data, block->len);
    int got = cv_http1_next(http, &event);
    // 1.0 has become 1.1, which must have a Host; and blanks that were added may be too many bytes
    CV_ASSERT(got == 1 || head->minor == 0 || got == CV_E_TOO_LONG);
    if (got == 1) {
        CV_ASSERT(event.head->framing == head->framing && event.head->length == head->length);
        CV_ASSERT(cv_text_equal(event.head->host, head->host));
        CV_ASSERT(event.head->fields.count == head->fields.count);
    }
    cv_http1_free(http);
    cv_block_unref(&block);
}

static void on_event(struct result *result, struct cv_http1 *http, struct settings settings,
                     const struct cv_http1_event *event)
{
    result->events += event->type != CV_HTTP1_BODY;
    if (event->type == CV_HTTP1_HEAD || event->type == CV_HTTP1_INTERIM) {
        result->body = 0;
        add_head(result, event->head);
        check_head(event->head, settings.role);
        if (settings.role == CV_HTTP1_REQUESTS)
            read_again(event->head);
    } else if (event->type == CV_HTTP1_BODY) {
        CV_ASSERT(event->head->framing != CV_HTTP1_NONE && event->body.len);
        result->body += event->body.len;
        add(result, event->body);
    } else {
        CV_ASSERT(event->head->framing > CV_HTTP1_LENGTH || result->body == event->head->length);
        CV_ASSERT(!settings.small || result->body <= SMALL_BODY);
        if (settings.role == CV_HTTP1_REQUESTS)
            cv_http1_resume(http);
        else if (!event->head->upgrade)
            cv_http1_expect(http, settings.method, settings.upgrade);
    }
}

static int drain(struct result *result, struct cv_http1 *http, struct settings settings)
{
    struct cv_http1_event event;
    int got;
    while ((got = cv_http1_next(http, &event)) > 0)
        on_event(result, http, settings, &event);
    return got;
}

static struct result read_all(struct settings settings, const uint8_t *data, size_t len,
                              size_t piece)
{
    struct result result = {0};
    struct cv_http1 *http = cv_http1_new(settings.role);
    CV_ASSERT(http);
    if (settings.small)
        cv_http1_set_body_max(http, SMALL_BODY);
    if (settings.role == CV_HTTP1_RESPONSES)
        cv_http1_expect(http, settings.method, settings.upgrade);
    for (size_t at = 0; result.err == 0 && at < len; at += piece) {
        size_t left = len - at;
        cv_http1_feed(http, data + at, left < piece ? left : piece);
        result.err = drain(&result, http, settings);
        struct cv_rd rest = cv_http1_unread(http);
        CV_ASSERT(result.err || cv_rd_left(&rest) == 0 || cv_http1_phase(http) == CV_HTTP1_PAUSED);
    }
    if (result.err == 0) {
        cv_http1_feed_end(http);
        result.err = drain(&result, http, settings);
    }
    result.refusal = cv_http1_refusal(http);
    CV_ASSERT(cv_http1_why(http)->code == result.err && !result.err == !result.refusal);
    cv_http1_free(http);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    static const enum cv_http1_method methods[] = {CV_METHOD_GET, CV_METHOD_HEAD,
                                                   CV_METHOD_CONNECT};
    struct settings settings = {
        .role = data[0] & 1 ? CV_HTTP1_RESPONSES : CV_HTTP1_REQUESTS,
        .upgrade = data[0] & 2,
        .method = methods[data[1] % 3],
        .small = data[1] & 0x80,
    };
    size_t piece = (size_t)(data[0] >> 2) + 1;
    struct result whole = read_all(settings, data + 2, len - 2, len);
    struct result pieces = read_all(settings, data + 2, len - 2, piece);
    CV_ASSERT(whole.events == pieces.events && whole.sum == pieces.sum);
    CV_ASSERT(whole.err == pieces.err && whole.refusal == pieces.refusal);
    return 0;
}
