#include "client/leg.h"

#include "base/check.h"
#include "base/mem.h"
#include "client/dial.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

enum {
    READS_PER_TURN = 4, // one fast stream must not hold up the others
    QUICK_READS = 16,   // the answers to commands: servers with Nagle's algorithm wait for our ACK
};

struct cv_leg {
    struct cv_leg_room *room;
    const struct cv_leg_owner *owner;
    void *arg;
    struct cv_dial *dial; // while it is under way
    struct cv_watch watch;
    struct cv_timer bad_news; // a failed write is told from the loop
    int fd;
    int code; // of that write
    struct cv_addr peer;
    uint32_t connect_us;
    uint64_t written_bytes;
    uint32_t reads_done; // up to QUICK_READS
    bool reads;
    bool blocked;
    bool over;   // down was told, or will not be
    bool closed; // waits for the loop to let go of the watch
};

bool cv_leg_is_up(const struct cv_leg *leg)
{
    return leg->fd >= 0 && !leg->over;
}

bool cv_leg_is_blocked(const struct cv_leg *leg)
{
    return leg->blocked;
}

// ---- life -----------------------------------------------------------------------------------

static void on_dialled(void *arg, const struct cv_dial_result *result);
static void on_bad_news(void *arg);

struct cv_leg *cv_leg_open(struct cv_leg_room *room, const struct cv_leg_config *config)
{
    struct cv_leg *leg = cv_mem_zero(1, sizeof *leg);
    if (!leg)
        return NULL;
    leg->room = room;
    leg->owner = config->owner;
    leg->arg = config->arg;
    leg->fd = -1;
    leg->reads = true;
    cv_timer_init(&leg->bad_news, room->loop, on_bad_news, leg);
    struct cv_dial_config dial = {
        .host = config->host,
        .port = config->port,
        .addrs = config->addrs,
        .addr_count = config->addr_count,
        .ipv4_first = config->ipv4_first,
        .on_done = on_dialled,
        .arg = leg,
    };
    leg->dial = cv_dial_start(room->loop, &dial);
    if (!leg->dial) {
        cv_mem_free(leg);
        return NULL;
    }
    return leg;
}

// While the socket is watched, the memory stays until the end of the turn: so our functions need
// not care whether a callback of theirs has closed the leg; `over` tells.
void cv_leg_close(struct cv_leg **place)
{
    struct cv_leg *leg = *place;
    *place = NULL;
    if (!leg)
        return;
    CV_ASSERT(!leg->closed);
    leg->closed = leg->over = true;
    cv_timer_stop(&leg->bad_news);
    cv_dial_cancel(&leg->dial);
    bool watched = cv_watch_is_open(&leg->watch);
    if (watched)
        cv_watch_close(&leg->watch, cv_mem_free, leg);
    cv_socket_close(&leg->fd);
    if (!watched)
        cv_mem_free(leg);
}

void cv_leg_set_owner(struct cv_leg *leg, const struct cv_leg_owner *owner, void *arg)
{
    leg->owner = owner;
    leg->arg = arg;
}

void cv_leg_shutdown(struct cv_leg *leg)
{
    if (cv_leg_is_up(leg))
        cv_socket_shutdown(leg->fd);
}

// Nothing may touch the leg after it: it may be gone.
static void fall(struct cv_leg *leg, int code)
{
    if (leg->over)
        return;
    leg->over = true;
    cv_timer_stop(&leg->bad_news);
    if (cv_watch_is_open(&leg->watch))
        cv_watch_set(&leg->watch, 0);
    leg->owner->down(leg->arg, code);
}

static void on_bad_news(void *arg)
{
    struct cv_leg *leg = arg;
    fall(leg, leg->code);
}

static void set_events(struct cv_leg *leg)
{
    unsigned events = (leg->reads ? CV_WATCH_READ : 0) | (leg->blocked ? CV_WATCH_WRITE : 0);
    if (cv_leg_is_up(leg) && cv_watch_is_open(&leg->watch))
        cv_watch_set(&leg->watch, events);
}

// ---- writing --------------------------------------------------------------------------------

int cv_leg_write(struct cv_leg *leg, const struct cv_gather *gather)
{
    CV_ASSERT(gather->count > 0);
    if (!cv_leg_is_up(leg))
        return CV_E_CLOSED;
    if (leg->blocked)
        return CV_E_AGAIN;
    int sent = cv_socket_write(leg->fd, gather->vectors, gather->count);
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
    cv_socket_quick_ack(leg->fd);
}

static void on_readable(struct cv_leg *leg)
{
    enum { BYTES = sizeof leg->room->read_buffer };
    for (int i = 0; i < READS_PER_TURN && !leg->over && leg->reads; i++) {
        int len = cv_socket_read(leg->fd, leg->room->read_buffer, BYTES);
        if (len == CV_E_AGAIN)
            return;
        if (len < 0) {
            fall(leg, len);
            return;
        }
        leg->owner->bytes(leg->arg, leg->room->read_buffer, (size_t)len);
        acknowledge(leg);
        if (len < BYTES)
            return;
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_leg *leg = arg;
    if (events & CV_WATCH_WRITE && leg->blocked) {
        leg->blocked = false;
        set_events(leg);
        leg->owner->room(leg->arg);
    }
    if (events & CV_WATCH_READ && !leg->over)
        on_readable(leg);
}

// ---- the connection ---------------------------------------------------------------------------

static void on_dialled(void *arg, const struct cv_dial_result *result)
{
    struct cv_leg *leg = arg;
    leg->dial = NULL;
    if (result->code != CV_OK) {
        fall(leg, result->code);
        return;
    }
    leg->fd = result->fd;
    leg->peer = result->addr;
    leg->connect_us = result->rtt_us;
    int err = cv_watch_start(&leg->watch, leg->room->loop, leg->fd, CV_WATCH_READ, on_ready, leg);
    if (err != CV_OK)
        fall(leg, err);
    else
        leg->owner->up(leg->arg);
}

struct cv_leg_stats cv_leg_stats(const struct cv_leg *leg)
{
    struct cv_leg_stats stats = {
        .peer = leg->peer, .rtt_us = leg->connect_us, .written_bytes = leg->written_bytes};
    if (!cv_leg_is_up(leg))
        return stats;
    uint32_t smoothed = cv_socket_rtt_us(leg->fd);
    if (smoothed)
        stats.rtt_us = smoothed;
    stats.unacked_bytes = cv_socket_unacked_bytes(leg->fd);
    return stats;
}
