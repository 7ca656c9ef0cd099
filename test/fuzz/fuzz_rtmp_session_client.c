// A server's bytes, as the client gets them behind the handshake.
//
// Input: byte 0 is the mode; byte 1: the size of the pieces, less one. The rest is what the server
// sends. Whole and in pieces it must give the same events. What is checked besides: nothing comes
// before its time, each answer has its question and comes once, and the numbers of messages keep
// their promises.
#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "proto/rtmp_client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum mode {
    PUBLISH = 1, // else play
    STUCK = 2,   // what is sent is not taken by the network
    STOP = 4,    // at the first event
    EAGER = 8,   // all in one flight
    RESUME = 16, // asks to resume
    AGAIN = 32,  // and has been here before
    ASK = 64,    // calls, pings and sends after each event
    CALL = 128,  // neither publishes nor plays
};
enum { HEAD_BYTES = 2, HANDSHAKE_BYTES = 1 + 2 * 1536, CALLS = 4096 };

static const struct cv_text token = {"0123456789abcdef0123456789abcdef", 32};

static volatile uint8_t sink;

struct result {
    uint32_t events;
    uint32_t sum;
    int err;
    bool full; // something could not be said, which depends on when what waited could leave
    bool connected;
    bool started;
    bool ended;
    bool resumes;
    uint64_t taken;
    uint64_t sent;
    uint32_t pings;
    uint8_t calls[CALLS]; // by number: asked and not answered
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

static void check_order(struct result *result, const struct cv_rtmp_client_event *event,
                        uint8_t mode)
{
    bool plays = !(mode & (PUBLISH | CALL));
    CV_ASSERT(!result->ended);
    switch (event->type) {
    case CV_RTMP_CLIENT_READY:
        CV_ASSERT(result->events == 0);
        break;
    case CV_RTMP_CLIENT_CONNECTED:
        CV_ASSERT(!result->connected);
        result->connected = true;
        break;
    case CV_RTMP_CLIENT_STARTED:
        CV_ASSERT(result->connected && !result->started && !(mode & CALL));
        CV_ASSERT(!event->resumes || (mode & RESUME && mode & PUBLISH));
        result->started = true;
        break;
    case CV_RTMP_CLIENT_MEDIA:
    case CV_RTMP_CLIENT_DATA:
        CV_ASSERT(result->started && plays && event->msg.payload);
        break;
    case CV_RTMP_CLIENT_POSITION:
        CV_ASSERT(result->started && plays && mode & RESUME);
        CV_ASSERT(event->epoch.len > 0 && event->epoch.len <= CV_LIMIT_EPOCH_BYTES);
        break;
    case CV_RTMP_CLIENT_ENDED:
        result->ended = true;
        break;
    default:
        break;
    }
}

static void check_numbers(struct result *result, const struct cv_rtmp_client_event *event)
{
    if (event->type == CV_RTMP_CLIENT_STARTED && event->resumes) {
        CV_ASSERT(event->token.len == token.len);
        CV_ASSERT(event->taken == 0 || cv_text_equal(event->token, token));
        result->resumes = true;
        result->taken = result->sent = event->taken;
    } else if (event->type == CV_RTMP_CLIENT_TAKEN) {
        CV_ASSERT(result->resumes && event->taken > result->taken);
        CV_ASSERT(event->taken <= result->sent);
        result->taken = event->taken;
    } else if (event->type == CV_RTMP_CLIENT_RESULT) {
        CV_ASSERT(event->call < CALLS && result->calls[event->call]);
        result->calls[event->call] = 0;
    } else if (event->type == CV_RTMP_CLIENT_PONG) {
        CV_ASSERT(result->pings > 0);
        result->pings--;
    }
}

// Everything in an event is there to be read.
static void add_event(struct result *result, const struct cv_rtmp_client_event *event)
{
    CV_ASSERT(event->type <= CV_RTMP_CLIENT_ENDED);
    result->events++;
    add(result, &event->type, sizeof event->type);
    add(result, event->code.at, event->code.len);
    add(result, event->description.at, event->description.len);
    add(result, event->token.at, event->token.len);
    add(result, event->epoch.at, event->epoch.len);
    add(result, &event->taken, sizeof event->taken);
    add(result, &event->seq, sizeof event->seq);
    add(result, &event->number, sizeof event->number);
    for (const struct cv_amf *value = event->args; value; value = value->next)
        add(result, &value->type, sizeof value->type);
    if (event->msg.payload)
        add(result, event->msg.payload->data, event->msg.payload->len);
}

// What an owner says meanwhile.
static void ask(struct cv_rtmp_client *client, struct result *result)
{
    uint32_t call;
    int err = cv_rtmp_client_call(client, "f", (struct cv_text){"\x05", 1}, &call);
    if (err == CV_OK) {
        CV_ASSERT(call < CALLS && !result->calls[call] && result->connected);
        result->calls[call] = 1;
    }
    result->full |= err == CV_E_QUEUE_FULL;
    err = cv_rtmp_client_ping(client, result->events);
    result->pings += err == CV_OK;
    result->full |= err == CV_E_QUEUE_FULL;
    struct cv_block *payload = cv_block_copy("\x17\x01\0\0\0", 5);
    CV_ASSERT(payload);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = result->events, .payload = payload};
    err = cv_rtmp_client_send(client, &msg);
    CV_ASSERT(err != CV_OK || result->started);
    result->sent += err == CV_OK;
    result->full |= err == CV_E_QUEUE_FULL;
    cv_block_unref(&payload);
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
        check_order(result, &event, mode);
        check_numbers(result, &event);
        add_event(result, &event);
        if (mode & ASK)
            ask(client, result);
        if (mode & STOP && event.type != CV_RTMP_CLIENT_READY)
            (void)cv_rtmp_client_stop(client);
        if (!(mode & STUCK))
            drain(client);
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
        .mode = mode & PUBLISH ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
        .crypto = &crypto,
        .app = {"live", 4},
        .name = {"a", 1},
        .tc_url = {"rtmp://h/live", 13},
        .media_bytes_max = 65536,
        .eager = mode & EAGER,
        .resume = mode & RESUME,
        .resume_token = mode & AGAIN ? token : (struct cv_text){0},
        .position = mode & AGAIN ? cv_text_of("e:5") : (struct cv_text){0},
    };
    if (mode & CALL)
        config.mode = CV_RTMP_CLIENT_CALL;
    struct result result = {0};
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 1);
    CV_ASSERT(client && cv_rtmp_client_connect(client) == CV_OK);
    feed(client, handshake, sizeof handshake, mode, &result);
    CV_ASSERT(result.events == 1 && result.err == CV_OK);
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
    if (whole.err != CV_E_QUEUE_FULL && pieces.err != CV_E_QUEUE_FULL && !whole.full &&
        !pieces.full)
        CV_ASSERT(whole.events == pieces.events && whole.sum == pieces.sum &&
                  whole.err == pieces.err);
    return 0;
}
