// A long transfer both ways, in gathers of any shape.
#include "harness.h"
#include "tls_kit.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <poll.h>

static uint32_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static uint8_t byte_at(size_t position)
{
    return (uint8_t)((position * 2654435761u) >> 13);
}

enum { FLOW_BYTES = 3 << 20, OFFER_BYTES = 400000 };

// One direction of a long transfer. Every call has a room of its own, which is gone behind it.
struct flow {
    struct tls_end *from, *to;
    size_t sent, received;
};

static int offer(struct flow *flow, uint8_t *bytes, size_t offered)
{
    struct iovec vectors[64];
    int count = 0;
    for (size_t at = 0; at < offered && count < 64; count++) {
        size_t len = random_below(random_below(4) ? 2000 : 60000);
        if (len > offered - at || count == 63)
            len = offered - at;
        vectors[count] = (struct iovec){bytes + at, len};
        at += len;
    }
    struct cv_tls_room *room = cv_tls_room_new();
    int sent = cv_tls_write(flow->from->tls, room, vectors, count);
    cv_tls_room_free(room);
    return sent;
}

static void flow_send(struct flow *flow, uint8_t *bytes)
{
    size_t offered = 1 + random_below(OFFER_BYTES);
    if (offered > FLOW_BYTES - flow->sent)
        offered = FLOW_BYTES - flow->sent;
    for (size_t i = 0; i < offered; i++)
        bytes[i] = byte_at(flow->sent + i);
    int sent = offered ? offer(flow, bytes, offered) : CV_E_AGAIN;
    if (offered == 0)
        return;
    assert_true(sent > 0 || sent == CV_E_AGAIN);
    flow->sent += sent > 0 ? (size_t)sent : 0;
    // What has been reported is the kernel's: while ciphertext waits something has not.
    bool waits = cv_tls_wants_write(flow->from->tls);
    if (!cv_tls_info(flow->from->tls).kernel)
        assert_int_equal(waits, sent < 0 || (size_t)sent < offered);
    assert_int_equal(ERR_peek_error(), 0);
}

static void flow_receive(struct flow *flow, uint8_t *bytes)
{
    struct cv_tls_room *room = cv_tls_room_new();
    size_t max = 1 + random_below(random_below(2) ? 100 : OFFER_BYTES);
    struct pollfd readable = {.fd = flow->to->fd, .events = POLLIN};
    bool more = cv_tls_has_more(flow->to->tls);
    bool due = more || poll(&readable, 1, 0) == 1;
    int len = cv_tls_read(flow->to->tls, room, bytes, max);
    cv_tls_room_free(room);
    assert_true(len > 0 || len == CV_E_AGAIN);
    assert_true(due || len == CV_E_AGAIN); // nothing comes that was not announced
    for (int i = 0; i < len; i++)
        assert_int_equal(bytes[i], byte_at(flow->received + (size_t)i));
    flow->received += len > 0 ? (size_t)len : 0;
    assert_int_equal(ERR_peek_error(), 0);
}

void tls_ends_flow(struct tls_ends *ends, uint32_t seed)
{
    struct flow flows[] = {{.from = &ends->client, .to = &ends->server},
                           {.from = &ends->server, .to = &ends->client}};
    random_state = seed;
    uint8_t *bytes = cv_mem_alloc(OFFER_BYTES);
    for (unsigned turn = 0; flows[0].received < FLOW_BYTES || flows[1].received < FLOW_BYTES;
         turn++) {
        assert_true(turn < 1000000);
        struct flow *flow = &flows[random_below(2)];
        if (random_below(2))
            flow_send(flow, bytes);
        else
            flow_receive(flow, bytes);
    }
    cv_mem_free(bytes);
}
