// A server's bytes, as the client gets them behind the handshake.
//
// Input: byte 0, bit 0: publish, else play; bit 1: what is sent is not taken by the network; bit 2:
// stop at the first event. Byte 1: the size of the pieces, less one. The rest is what the server
// sends. Whole and in pieces it must give the same events.
#include "base/check.h"
#include "base/err.h"
#include "proto/rtmp_client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PUBLISH = 1, STUCK = 2, STOP = 4, HEAD_BYTES = 2, HANDSHAKE_BYTES = 1 + 2 * 1536 };

static volatile uint8_t sink;

struct result {
    uint32_t events;
    uint32_t sum;
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
        .mode = mode & PUBLISH ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
        .crypto = &crypto,
        .app = {"live", 4},
        .name = {"a", 1},
        .tc_url = {"rtmp://h/live", 13},
        .media_bytes_max = 65536,
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
    if (whole.err != CV_E_QUEUE_FULL && pieces.err != CV_E_QUEUE_FULL)
        CV_ASSERT(whole.events == pieces.events && whole.sum == pieces.sum &&
                  whole.err == pieces.err);
    return 0;
}
