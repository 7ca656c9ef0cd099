#include "client/leg.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "client/dial.h"
#include "client/proxy.h"
#include "io/socket.h"
#include "proto/http_connect.h"

#include <string.h>

static const char place[] = "leg";

// The answers to commands: servers with Nagle's algorithm wait for our ACK.
enum { QUICK_READS = 16 };

struct cv_leg {
    struct cv_leg_room *room;
    const struct cv_leg_owner *owner;
    void *arg;
    char host[CV_LIMIT_HOST_BYTES + 1]; // as others hear of it: without a zone
    uint16_t port;
    const struct cv_proxy *proxy;    // whose CONNECT it goes through; NULL: none
    struct cv_http_connect *connect; // its answer
    struct cv_tls_trust *trust;      // NULL: plain
    struct cv_dial *dial;            // while it is under way
    struct cv_channel channel;       // behind it
    struct cv_timer bad_news;        // a failed write is told from the loop
    int code;                        // of that write
    struct cv_timer patience;        // for CONNECT and TLS
    uint32_t up_ms;                  // how long; 0: for ever
    struct cv_why why;
    struct cv_addr peer;
    uint32_t connect_us;
    uint64_t written_bytes;
    uint32_t reads_done; // up to QUICK_READS
    bool up;             // was told
    bool reads;
    bool blocked;
    bool over;   // down or denied was told, or will not be
    bool closed; // waits for the loop to let go of the channel
};

bool cv_leg_is_up(const struct cv_leg *leg)
{
    return leg->up && !leg->over;
}

bool cv_leg_is_blocked(const struct cv_leg *leg)
{
    return leg->blocked;
}

static bool has_channel(const struct cv_leg *leg)
{
    return leg->channel.fd >= 0;
}

// ---- the room ---------------------------------------------------------------------------------

void cv_leg_room_init(struct cv_leg_room *room, struct cv_loop *loop)
{
    room->channels = (struct cv_channel_room){
        .loop = loop, .read_buffer = room->read_buffer, .read_bytes = sizeof room->read_buffer};
}

void cv_leg_room_done(struct cv_leg_room *room)
{
    cv_tls_room_free(room->channels.tls);
    room->channels.tls = NULL;
}

static bool has_tls_room(struct cv_leg_room *room)
{
    if (!room->channels.tls)
        room->channels.tls = cv_tls_room_new();
    return room->channels.tls;
}

// ---- life -----------------------------------------------------------------------------------

static void on_dialled(void *arg, const struct cv_dial_result *result);
static void on_bad_news(void *arg);
static void on_patience(void *arg);

static void free_now(void *arg)
{
    struct cv_leg *leg = arg;
    cv_http_connect_free(leg->connect);
    cv_mem_free(leg);
}

static struct cv_dial *dial(struct cv_leg *leg, const struct cv_leg_config *config)
{
    const struct cv_proxy *proxy = config->connect;
    struct cv_dial_config dial = {
        .host = proxy ? proxy->host : config->host,
        .port = proxy ? proxy->port : config->port,
        .addrs = config->addrs,
        .addr_count = proxy ? 0 : config->addr_count,
        .ipv4_first = config->ipv4_first,
        .on_done = on_dialled,
        .arg = leg,
    };
    return cv_dial_start(leg->room->channels.loop, &dial);
}

struct cv_leg *cv_leg_open(struct cv_leg_room *room, const struct cv_leg_config *config)
{
    size_t len =
        cv_text_find(cv_text_of(config->host), '%'); // RFC 6874, section 4: the zone is ours
    if (len > CV_LIMIT_HOST_BYTES || (config->trust && !has_tls_room(room)))
        return NULL;
    struct cv_leg *leg = cv_mem_zero(1, sizeof *leg);
    if (!leg)
        return NULL;
    leg->room = room;
    leg->owner = config->owner;
    leg->arg = config->arg;
    memcpy(leg->host, config->host, len);
    leg->port = config->port;
    leg->proxy = config->connect;
    leg->trust = config->trust;
    leg->channel.fd = -1;
    leg->reads = true;
    leg->up_ms = config->up_ms;
    cv_timer_init(&leg->bad_news, room->channels.loop, on_bad_news, leg);
    cv_timer_init(&leg->patience, room->channels.loop, on_patience, leg);
    leg->connect = leg->proxy ? cv_http_connect_new() : NULL;
    leg->dial = leg->proxy && !leg->connect ? NULL : dial(leg, config);
    if (leg->dial)
        return leg;
    free_now(leg);
    return NULL;
}

// While there is a channel, the memory stays until the end of the turn: so our functions need not
// care whether a callback of theirs has closed the leg; `over` tells.
void cv_leg_close(struct cv_leg **place_of_leg)
{
    struct cv_leg *leg = *place_of_leg;
    *place_of_leg = NULL;
    if (!leg)
        return;
    CV_ASSERT(!leg->closed);
    leg->closed = leg->over = true;
    cv_timer_stop(&leg->bad_news);
    cv_timer_stop(&leg->patience);
    cv_dial_cancel(&leg->dial);
    if (has_channel(leg))
        cv_channel_close(&leg->channel, false, free_now, leg);
    else
        free_now(leg);
}

int cv_leg_take_descriptor(struct cv_leg **place_of_leg)
{
    struct cv_leg *leg = *place_of_leg;
    CV_ASSERT(cv_leg_is_up(leg));
    *place_of_leg = NULL;
    leg->closed = leg->over = true;
    cv_timer_stop(&leg->bad_news);
    struct cv_channel_ends ends = cv_channel_detach(&leg->channel, free_now, leg);
    int fd = ends.fd;
    ends.fd = -1;
    cv_channel_ends_free(&ends);
    return fd;
}

void cv_leg_set_owner(struct cv_leg *leg, const struct cv_leg_owner *owner, void *arg)
{
    leg->owner = owner;
    leg->arg = arg;
}

void cv_leg_shutdown(struct cv_leg *leg)
{
    if (cv_leg_is_up(leg))
        cv_channel_shutdown(&leg->channel);
}

static void finish(struct cv_leg *leg)
{
    leg->over = true;
    cv_timer_stop(&leg->bad_news);
    cv_timer_stop(&leg->patience);
    if (has_channel(leg))
        cv_channel_want(&leg->channel, false, false);
}

// Nothing may touch the leg after it: it may be gone.
static void fall(struct cv_leg *leg, int code)
{
    if (leg->over)
        return;
    finish(leg);
    leg->owner->down(leg->arg, code);
}

static void on_bad_news(void *arg)
{
    struct cv_leg *leg = arg;
    fall(leg, leg->code);
}

static void on_patience(void *arg)
{
    fall(arg, CV_E_TIMEOUT);
}

static void set_events(struct cv_leg *leg)
{
    if (cv_leg_is_up(leg))
        cv_channel_want(&leg->channel, leg->reads, leg->blocked);
}

// ---- writing --------------------------------------------------------------------------------

int cv_leg_write(struct cv_leg *leg, const struct cv_gather *gather)
{
    CV_ASSERT(gather->count > 0);
    if (!cv_leg_is_up(leg))
        return CV_E_CLOSED;
    if (leg->blocked)
        return CV_E_AGAIN;
    int sent = cv_channel_write(&leg->channel, gather);
    if (sent > 0)
        leg->written_bytes += (uint64_t)sent;
    if (sent == CV_E_AGAIN || (sent >= 0 && (size_t)sent < gather->bytes)) {
        leg->blocked = true;
        set_events(leg);
    } else if (sent < 0 && leg->code == CV_OK) {
        leg->code = sent;
        cv_timer_start(&leg->bad_news, 0);
    }
    return sent;
}

// ---- reading --------------------------------------------------------------------------------

void cv_leg_want(struct cv_leg *leg, bool reads)
{
    leg->reads = reads;
    set_events(leg);
}

// Behind the owner's turn, whose own bytes may have carried the ACK.
static void acknowledge(struct cv_leg *leg)
{
    if (leg->reads_done == QUICK_READS || !cv_leg_is_up(leg))
        return;
    leg->reads_done++;
    cv_socket_quick_ack(leg->channel.fd);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_leg *leg = arg;
    leg->owner->bytes(leg->arg, data, len);
    acknowledge(leg);
}

static void on_room(void *arg)
{
    struct cv_leg *leg = arg;
    leg->blocked = false;
    set_events(leg);
    leg->owner->room(leg->arg);
}

static void on_secured(void *arg);

static void on_ended(void *arg, int code)
{
    struct cv_leg *leg = arg;
    if (!leg->up)
        leg->why = *cv_channel_why(&leg->channel);
    fall(leg, code);
}

static const struct cv_channel_user user = {
    .bytes = on_bytes, .room = on_room, .secured = on_secured, .ended = on_ended};

// ---- the way up -------------------------------------------------------------------------------

static void go_up(struct cv_leg *leg)
{
    leg->up = true;
    cv_timer_stop(&leg->patience);
    leg->owner->up(leg->arg);
}

static void on_secured(void *arg)
{
    go_up(arg);
}

// TCP stands, as far as the server.
static void stand(struct cv_leg *leg)
{
    cv_channel_set_user(&leg->channel, &user, leg);
    if (leg->owner->connected)
        leg->owner->connected(leg->arg);
    if (leg->over)
        return;
    if (!leg->trust) {
        go_up(leg);
        return;
    }
    int err = cv_channel_connect(&leg->channel, leg->trust, leg->host);
    if (err != CV_OK)
        fall(leg, err);
}

// ---- through a proxy (RFC 9110, 9.3.6) ----------------------------------------------------------

// A new connection takes a head of a few hundred bytes whole.
static int ask_proxy(struct cv_leg *leg)
{
    struct cv_http_connect_config config = {
        .host = cv_text_of(leg->host),
        .port = leg->port,
        .user = cv_text_of(leg->proxy->user),
        .password = cv_text_of(leg->proxy->password),
    };
    uint8_t head[CV_LIMIT_TUNNEL_HEAD_BYTES];
    struct cv_wr wr = cv_wr_fixed(head, sizeof head);
    struct cv_gather *gather = &leg->room->gather;
    cv_http_connect_write(&wr, &config);
    if (wr.err != CV_OK)
        return wr.err;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, head, wr.len);
    int sent = cv_channel_write(&leg->channel, gather);
    if (sent < 0 && sent != CV_E_AGAIN)
        return sent;
    return sent == (int)gather->bytes ? CV_OK : CV_E_RESET;
}

// `rest` came behind the proxy's yes: a server of RTMP says nothing before us, but who knows.
static void granted(struct cv_leg *leg, struct cv_text rest)
{
    if (leg->trust && rest.len) {
        cv_why_set(&leg->why, CV_E_NOT_TLS, place,
                   "the server speaks before us, which is not what TLS does");
        fall(leg, CV_E_NOT_TLS);
        return;
    }
    stand(leg);
    if (rest.len && cv_leg_is_up(leg))
        leg->owner->bytes(leg->arg, (const uint8_t *)rest.at, rest.len);
}

static void on_answer(void *arg, const uint8_t *data, size_t len)
{
    struct cv_leg *leg = arg;
    struct cv_http_connect_answer answer;
    int got = cv_http_connect_feed(leg->connect, data, len, &answer);
    if (got < 0) {
        fall(leg, got);
    } else if (got > 0 && answer.head->status / 100 == 2) {
        granted(leg, answer.rest);
    } else if (got > 0) {
        finish(leg);
        leg->owner->denied(leg->arg, answer.head);
    }
}

static const struct cv_channel_user proxy_user = {.bytes = on_answer, .ended = on_ended};

// ---- the connection ---------------------------------------------------------------------------

static void on_dialled(void *arg, const struct cv_dial_result *result)
{
    struct cv_leg *leg = arg;
    int fd = result->fd;
    leg->dial = NULL;
    if (result->code != CV_OK) {
        fall(leg, result->code);
        return;
    }
    leg->peer = result->addr;
    leg->connect_us = result->rtt_us;
    if (leg->up_ms)
        cv_timer_start(&leg->patience, leg->up_ms * UINT64_C(1000));
    int err = cv_channel_open(&leg->channel, &leg->room->channels, fd, &proxy_user, leg);
    if (err != CV_OK) {
        cv_socket_close(&fd);
        leg->channel.fd = -1;
    } else if (!leg->proxy) {
        stand(leg);
    } else {
        err = ask_proxy(leg);
    }
    if (err != CV_OK)
        fall(leg, err);
}

const struct cv_why *cv_leg_why(const struct cv_leg *leg)
{
    return &leg->why;
}

struct cv_leg_stats cv_leg_stats(const struct cv_leg *leg)
{
    struct cv_leg_stats stats = {
        .peer = leg->peer, .rtt_us = leg->connect_us, .written_bytes = leg->written_bytes};
    if (!has_channel(leg))
        return stats;
    uint32_t smoothed = cv_socket_rtt_us(leg->channel.fd);
    if (smoothed)
        stats.rtt_us = smoothed;
    stats.unacked_bytes = cv_socket_unacked_bytes(leg->channel.fd);
    return stats;
}
