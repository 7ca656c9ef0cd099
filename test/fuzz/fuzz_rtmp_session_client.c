// A server's bytes, as the client gets them behind the handshake.
//
// Input: byte 0, bit 0: publish, else play; bit 1: what is sent is not taken by the network; bit 2:
// stop at the first event; bit 3: eager; bit 4: resumes; bit 5: calls only; bit 6: calls, pings and
// publishes at events. Byte 1: the size of the pieces, less one. The rest is what the server
// sends. Whole and in pieces it must give the same events.
#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "proto/rtmp_client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum mode {
    PUBLISH = 1,
    STUCK = 2,
    STOP = 4,
    EAGER = 8,
    RESUME = 16,
    CALL = 32,
    ACT = 64,
};
enum { HEAD_BYTES = 2, HANDSHAKE_BYTES = 1 + 2 * 1536 };

#define TOKEN "0123456789abcdef0123456789abcdef"

static volatile uint8_t sink;

struct result {
    uint32_t events;
    uint32_t sum;
    uint64_t taken; // by the server, of `sent`
    uint64_t sent;
    bool full; // not everything could be asked: later events depend on when output left
    int err;
};

static int weak_random(void *out, size_t len)
{
    memset(out, 7, len);
    return CV_OK;
}

static const struct cv_crypto crypto = {.random = weak_random};

static void add(struct result *result, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        result->sum = result->sum * 31 + ((const uint8_t *)data)[i];
}

static void add_event(struct result *result, const struct cv_rtmp_client_event *event)
{
    CV_ASSERT(event->type <= CV_RTMP_CLIENT_ENDED);
    result->events++;
    add(result, &event->type, sizeof event->type);
    add(result, event->code.at, event->code.len);
    add(result, event->description.at, event->description.len);
    if (event->msg.payload)
        add(result, event->msg.payload->data, event->msg.payload->len);
    add(result, event->token.at, event->token.len);
    add(result, event->epoch.at, event->epoch.len);
    add(result, &event->taken, sizeof event->taken);
    add(result, &event->seq, sizeof event->seq);
    add(result, &event->call, sizeof event->call);
    add(result, &event->number, sizeof event->number);
    for (const struct cv_amf *value = event->args; value; value = value->next)
        add(result, value->text.at, value->text.len);
}

// What the owner of a client relies on.
static void check_event(struct result *result, const struct cv_rtmp_client_event *event)
{
    const uint64_t max = UINT64_C(1) << 53;
    if (event->type == CV_RTMP_CLIENT_STARTED && event->resumes) {
        CV_ASSERT(event->token.len == CV_RESUME_TOKEN_CHARS && event->taken <= max);
        CV_ASSERT(event->taken == 0 || cv_text_is(event->token, TOKEN));
        result->taken = result->sent = event->taken;
    }
    if (event->type == CV_RTMP_CLIENT_TAKEN) {
        CV_ASSERT(event->taken > result->taken && event->taken <= result->sent);
        result->taken = event->taken;
    }
    if (event->type == CV_RTMP_CLIENT_POSITION)
        CV_ASSERT(event->epoch.len && event->epoch.len <= CV_LIMIT_EPOCH_BYTES &&
                  event->seq <= max);
    if (event->type == CV_RTMP_CLIENT_RESULT)
        CV_ASSERT(event->call >= 100);
}

static void publish(struct cv_rtmp_client *client, struct result *result)
{
    struct cv_block *payload = cv_block_copy("\x17\x01", 2);
    CV_ASSERT(payload);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .payload = payload};
    int err = cv_rtmp_client_send(client, &msg);
    result->sent += err == CV_OK;
    result->full |= err == CV_E_QUEUE_FULL;
    cv_block_unref(&payload);
}

static void act(struct cv_rtmp_client *client, struct result *result)
{
    static const char one[] = "\0\x3f\xf0\0\0\0\0\0";
    uint32_t call = 0;
    int err = cv_rtmp_client_call(client, "f", (struct cv_text){one, sizeof one - 1}, &call);
    CV_ASSERT(err == CV_OK || err == CV_E_USAGE || err == CV_E_QUEUE_FULL);
    result->full |= err == CV_E_QUEUE_FULL;
    err = cv_rtmp_client_ping(client, call);
    result->full |= err == CV_E_QUEUE_FULL;
    publish(client, result);
}

// Everything that waits leaves, in the order in which it was lent.
static void drain(struct cv_rtmp_client *client)
{
    static struct cv_gather gather;
    do {
        cv_gather_clear(&gather);
        cv_rtmp_client_pull(client, &gather);
        for (int i = 0; i < gather.count; i++)
            sink = ((const uint8_t *)gather.vectors[i].iov_base)[gather.vectors[i].iov_len - 1];
        cv_rtmp_client_sent(client, gather.bytes);
    } while (gather.count > 0);
    CV_ASSERT(cv_rtmp_client_out_empty(client));
}

static void feed(struct cv_rtmp_client *client, const uint8_t *data, size_t len, uint8_t mode,
                 struct result *result)
{
    struct cv_rtmp_client_event event;
    uint8_t *piece = malloc(len ? len : 1);
    CV_ASSERT(piece);
    memcpy(piece, data, len);
    cv_rtmp_client_feed(client, piece, len);
    int more;
    while ((more = cv_rtmp_client_next(client, &event)) > 0) {
        add_event(result, &event);
        check_event(result, &event);
        if (mode & ACT)
            act(client, result);
        if (mode & STOP && event.type != CV_RTMP_CLIENT_READY)
            (void)cv_rtmp_client_stop(client);
    }
    if (more < 0)
        CV_ASSERT(cv_rtmp_client_why(client)->code == more);
    if (result->err == CV_OK)
        result->err = more;
    if (!(mode & STUCK))
        drain(client);
    free(piece);
}

static struct result run(uint8_t mode, const uint8_t *data, size_t len, size_t piece)
{
    static const uint8_t handshake[HANDSHAKE_BYTES] = {3};
    struct cv_rtmp_client_config config = {
        .mode = mode & CALL      ? CV_RTMP_CLIENT_CALL
                : mode & PUBLISH ? CV_RTMP_CLIENT_PUBLISH
                                 : CV_RTMP_CLIENT_PLAY,
        .crypto = &crypto,
        .app = {"live", 4},
        .name = {"a", 1},
        .tc_url = {"rtmp://h/live", 13},
        .media_bytes_max = 65536,
        .eager = mode & EAGER,
        .resume = mode & RESUME,
        .resume_token = {TOKEN, CV_RESUME_TOKEN_CHARS},
        .position = {"e:7", 3},
    };
    struct result result = {0};
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 1);
    CV_ASSERT(client && cv_rtmp_client_connect(client) == CV_OK);
    feed(client, handshake, sizeof handshake, mode, &result);
    CV_ASSERT(result.events == 1);
    for (size_t at = 0; at < len; at += piece)
        feed(client, data + at, len - at < piece ? len - at : piece, mode, &result);
    cv_rtmp_client_free(client);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < HEAD_BYTES)
        return 0;
    size_t piece = (size_t)data[1] + 1;
    struct result whole = run(data[0], data + HEAD_BYTES, len - HEAD_BYTES, len);
    struct result pieces = run(data[0], data + HEAD_BYTES, len - HEAD_BYTES, piece);
    // Answers that pile up depend on how often they could leave.
    bool full =
        whole.full || pieces.full || whole.err == CV_E_QUEUE_FULL || pieces.err == CV_E_QUEUE_FULL;
    if (!full)
        CV_ASSERT(whole.events == pieces.events && whole.sum == pieces.sum &&
                  whole.err == pieces.err);
    return 0;
}
