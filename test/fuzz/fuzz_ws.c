// WebSocket frames. First byte: bit 0 the role (1: client), bit 1 a cap of 100 bytes a message, the
// rest the size of pieces. Fed whole and in pieces the events, the end and (server) the answer must
// be the same. Then the same bytes are carried in frames to a peer, and must come out there.
#include "base/check.h"
#include "proto/ws.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CAP_BYTES = 100, ANSWER_BYTES = 512 };

static int weak_random(void *out, size_t len)
{
    memset(out, 0x5a, len);
    return CV_OK;
}

static const struct cv_crypto weak = {.random = weak_random};
static struct cv_gather gather;

struct result {
    uint32_t sum;
    uint32_t whole_sum; // up to the last message that was complete
    uint64_t message_bytes;
    int err;
    bool closed;
    uint8_t answer[ANSWER_BYTES];
    size_t answer_len;
};

static void add(struct result *result, uint32_t value)
{
    result->sum = result->sum * 31 + value + 1;
}

static void add_event(struct result *result, const struct cv_ws_event *event, bool capped)
{
    CV_ASSERT(!result->closed);
    CV_ASSERT(event->type == CV_WS_DATA || event->len <= CV_WS_CONTROL_MAX);
    CV_ASSERT(event->type != CV_WS_DATA || event->last || event->len);
    for (size_t i = 0; i < event->len; i++)
        add(result, event->data[i]);
    if (event->last)
        add(result, 1000 + (uint32_t)event->type * 2 + event->text + event->code);
    if (event->last)
        result->whole_sum = result->sum;
    result->closed = event->type == CV_WS_CLOSE;
    if (event->type != CV_WS_DATA)
        return;
    result->message_bytes += event->len;
    CV_ASSERT(!capped || result->message_bytes <= CAP_BYTES);
    if (event->last)
        result->message_bytes = 0;
}

// All that the engine itself wants to say.
static void read_answer(struct cv_ws *ws, struct result *result)
{
    while (!cv_ws_out_empty(ws)) {
        cv_gather_clear(&gather);
        cv_ws_pull_begin(ws, &gather);
        cv_ws_pull_end(ws, &gather);
        CV_ASSERT(gather.bytes > 0);
        for (int i = 0; i < gather.count; i++) {
            size_t n = gather.vectors[i].iov_len;
            CV_ASSERT(n <= ANSWER_BYTES - result->answer_len);
            memcpy(result->answer + result->answer_len, gather.vectors[i].iov_base, n);
            result->answer_len += n;
        }
        CV_ASSERT(cv_ws_sent(ws, gather.bytes) == 0);
    }
}

static struct result read_all(uint8_t flags, const uint8_t *data, size_t len, size_t piece)
{
    struct result result = {0};
    struct cv_ws_config config = {
        .client = flags & 1,
        .crypto = &weak,
        .message_bytes_max = flags & 2 ? CAP_BYTES : 0,
    };
    struct cv_ws *ws = cv_ws_new(&config);
    if (!ws)
        return result;
    for (size_t at = 0; at < len && result.err == CV_OK; at += piece) {
        struct cv_ws_event event;
        int got;
        cv_ws_feed(ws, data + at, len - at < piece ? len - at : piece);
        while ((got = cv_ws_next(ws, &event)) == 1)
            add_event(&result, &event, flags & 2);
        result.err = got;
    }
    CV_ASSERT(cv_ws_why(ws)->code == result.err);
    read_answer(ws, &result);
    CV_ASSERT(cv_ws_done(ws) == (result.closed || result.err != CV_OK));
    cv_ws_free(ws);
    return result;
}

// Carries the bytes as another engine's, `portion` bytes of the wire at a time.
static void carry(const uint8_t *data, size_t len, size_t portion)
{
    const struct cv_ws_config from = {0};
    const struct cv_ws_config to = {.client = true, .crypto = &weak};
    struct cv_ws *sender = cv_ws_new(&from);
    struct cv_ws *receiver = cv_ws_new(&to);
    size_t sent = 0;
    size_t got = 0;
    while (sender && receiver && (sent < len || !cv_ws_out_empty(sender))) {
        cv_gather_clear(&gather);
        if (cv_ws_pull_begin(sender, &gather))
            cv_gather_borrow(&gather, data + sent, len - sent);
        cv_ws_pull_end(sender, &gather);
        size_t left = portion;
        size_t n = 0;
        for (int i = 0; i < gather.count && left; i++) {
            size_t take = gather.vectors[i].iov_len < left ? gather.vectors[i].iov_len : left;
            struct cv_ws_event event;
            cv_ws_feed(receiver, gather.vectors[i].iov_base, take);
            while (cv_ws_next(receiver, &event) == 1) {
                CV_ASSERT(event.len <= len - got);
                CV_ASSERT(memcmp(event.data, data + got, event.len) == 0);
                got += event.len;
            }
            left -= take;
            n += take;
        }
        sent += cv_ws_sent(sender, n);
    }
    CV_ASSERT(!sender || !receiver || got == len);
    cv_ws_free(sender);
    cv_ws_free(receiver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    uint8_t flags = data[0];
    size_t piece = (size_t)(flags >> 2) + 1;
    struct result whole = read_all(flags, data + 1, len - 1, len);
    struct result pieces = read_all(flags, data + 1, len - 1, piece);
    // How much of a text comes out before a byte that is not UTF-8 depends on the pieces.
    CV_ASSERT(whole.whole_sum == pieces.whole_sum && whole.err == pieces.err);
    CV_ASSERT(whole.sum == pieces.sum || whole.err != CV_OK);
    CV_ASSERT(whole.closed == pieces.closed && whole.answer_len == pieces.answer_len);
    CV_ASSERT(memcmp(whole.answer, pieces.answer, whole.answer_len) == 0);
    carry(data + 1, len - 1, piece);
    return 0;
}
