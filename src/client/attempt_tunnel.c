// RTMP inside HTTP requests, on one or two TCP connections; with the offer to become plain RTMP
// that it begins with, if its way is the offer.
#include "client/attempt_state.h"

#include "base/check.h"
#include "base/mem.h"

static uint64_t now_us(const struct cv_attempt *attempt)
{
    return cv_loop_now_us(cv_attempt_room_loop(attempt->room));
}

static bool is_tunnel(const struct cv_attempt *attempt)
{
    return attempt->carrier == &cv__attempt_tunnel && !attempt->over;
}

static void pump(struct cv_attempt *attempt);

// ---- what the engine tells ----------------------------------------------------------------------

static void on_upgraded(struct cv_attempt *attempt, const struct cv_rtmpt_client_event *event)
{
    cv__attempt_met(attempt, &(struct cv_met_report){.met = CV_MET_UPGRADED, .ours = event->ours});
    cv__attempt_go_plain(attempt);
    if (!attempt->over && event->len)
        cv__attempt_take(attempt, event->data, event->len);
    if (!attempt->over)
        attempt->carrier->flush(attempt);
}

// The first flight was for a server of ours; this one gets to see a handshake first.
static void begin_anew(struct cv_attempt *attempt)
{
    cv_rtmpt_client_drop_first(attempt->tunnel);
    attempt->config.rtmp.eager = false;
    int err = cv__attempt_renew(attempt);
    if (err != CV_OK)
        cv__attempt_fall(attempt, err, "no memory");
}

static void on_opened(struct cv_attempt *attempt, const struct cv_rtmpt_client_event *event)
{
    attempt->opened = true;
    if (attempt->config.rtmp.eager && !event->taken)
        begin_anew(attempt);
    cv__attempt_met(attempt, &(struct cv_met_report){
                                 .met = CV_MET_OPENED, .ours = event->ours, .taken = event->taken});
}

// A page in answer to a POST with our content type is some network's, not some site's.
static void on_answer(struct cv_attempt *attempt, const struct cv_rtmpt_client_event *event)
{
    bool elsewhere = event->elsewhere || (event->status == 200 && event->html);
    cv__attempt_page(attempt, event->status, elsewhere, event->location);
}

static void act(struct cv_attempt *attempt, const struct cv_rtmpt_client_event *event)
{
    switch (event->type) {
    case CV_RTMPT_CLIENT_UPGRADED:
        on_upgraded(attempt, event);
        return;
    case CV_RTMPT_CLIENT_OPENED:
        on_opened(attempt, event);
        return;
    case CV_RTMPT_CLIENT_ANSWER:
        on_answer(attempt, event);
        return;
    case CV_RTMPT_CLIENT_BYTES:
        cv__attempt_take(attempt, event->data, event->len);
        return;
    case CV_RTMPT_CLIENT_ENDED:
        cv__attempt_fall(attempt, attempt->finishing ? CV_OK : CV_E_CLOSED,
                         "the server has ended the tunnel");
        return;
    }
    CV_UNREACHABLE();
}

// What is lent from a leg's buffer must be read to its end, whatever becomes of the attempt.
// Whether there was any.
static bool read_events(struct cv_attempt *attempt)
{
    struct cv_rtmpt_client_event event;
    bool any = false;
    int more = 0;
    while (is_tunnel(attempt) && (more = cv_rtmpt_client_next(attempt->tunnel, &event)) > 0) {
        act(attempt, &event);
        any = true;
    }
    if (more < 0 && is_tunnel(attempt))
        cv__attempt_fall(attempt, more, cv_rtmpt_client_why(attempt->tunnel)->text);
    return any;
}

// ---- what goes out ------------------------------------------------------------------------------

// While the offer is not answered nothing is added to it: behind 101 it would be lost.
static bool takes_rtmp(const struct cv_attempt *attempt)
{
    return (attempt->opened || !attempt->up) && cv_rtmpt_client_room(attempt->tunnel) > 0;
}

static bool move_rtmp(struct cv_attempt *attempt)
{
    struct cv_gather *gather;
    bool moved = false;
    bool urgent = !attempt->started || attempt->config.rtmp.mode != CV_RTMP_CLIENT_PUBLISH;
    while (takes_rtmp(attempt) && cv__attempt_pull(attempt, &gather)) {
        size_t taken = cv_rtmpt_client_send(attempt->tunnel, gather, urgent, now_us(attempt));
        if (taken == 0)
            break; // lack of memory: next tells
        cv_rtmp_client_sent(attempt->rtmp, taken);
        moved = true;
    }
    return moved;
}

static bool write_slot(struct cv_attempt *attempt, enum cv_rtmpt_slot slot)
{
    struct cv_leg *leg = attempt->legs[slot];
    struct cv_gather *gather = &attempt->room->legs.gather;
    bool wrote = false;
    while (leg && cv_leg_is_up(leg) && !cv_leg_is_blocked(leg)) {
        cv_gather_clear(gather);
        cv_rtmpt_client_pull(attempt->tunnel, slot, gather);
        if (gather->count == 0)
            break;
        int sent = cv_leg_write(leg, gather);
        if (sent <= 0)
            break; // down tells what it was
        cv_rtmpt_client_sent(attempt->tunnel, slot, (size_t)sent, now_us(attempt));
        wrote = true;
    }
    return wrote;
}

// ---- connections --------------------------------------------------------------------------------

static const struct cv_leg_owner leg_owner;

static bool serve_slot(struct cv_attempt *attempt, enum cv_rtmpt_slot slot)
{
    switch (cv_rtmpt_client_want(attempt->tunnel, slot)) {
    case CV_RTMPT_WANT_CONNECT:
        if (attempt->legs[slot])
            break; // it is dialled
        attempt->slots[slot] = (struct cv_attempt_slot){attempt, slot};
        if (cv__attempt_open_leg(attempt, slot, &leg_owner, &attempt->slots[slot]) == CV_OK)
            break;
        cv_rtmpt_client_closed(attempt->tunnel, slot, CV_E_NOMEM, now_us(attempt));
        return true;
    case CV_RTMPT_WANT_CLOSE:
        cv_leg_close(&attempt->legs[slot]);
        cv_rtmpt_client_closed(attempt->tunnel, slot, CV_OK, now_us(attempt));
        return true;
    case CV_RTMPT_WANT_NOTHING:
        break;
    }
    if (attempt->legs[slot] && cv_leg_is_up(attempt->legs[slot]))
        cv_leg_want(attempt->legs[slot], cv_rtmpt_client_reads(attempt->tunnel, slot));
    return write_slot(attempt, slot);
}

static void set_timer(struct cv_attempt *attempt)
{
    uint64_t deadline_us = cv_rtmpt_client_deadline_us(attempt->tunnel);
    if (deadline_us == UINT64_MAX)
        cv_timer_stop(&attempt->timer);
    else
        cv_timer_start_at(&attempt->timer, deadline_us);
}

// Until nothing moves any more: behind events once more, for an idle, if nothing was to be said to
// them. A flush from within is noticed and done here.
static void pump(struct cv_attempt *attempt)
{
    if (attempt->pumping)
        return;
    attempt->pumping = true;
    bool moved = true;
    while (moved) {
        moved = read_events(attempt);
        if (!is_tunnel(attempt))
            break;
        moved |= move_rtmp(attempt);
        moved |= serve_slot(attempt, CV_RTMPT_UP);
        moved |= serve_slot(attempt, CV_RTMPT_DOWN);
    }
    attempt->pumping = false;
    if (is_tunnel(attempt))
        set_timer(attempt);
}

// ---- what the legs tell -------------------------------------------------------------------------

static bool is_blocked(const struct cv_attempt *attempt)
{
    return !attempt->opened || cv_rtmpt_client_room(attempt->tunnel) == 0;
}

static void pump_and_tell(struct cv_attempt *attempt, bool was_blocked)
{
    pump(attempt);
    if (is_tunnel(attempt) && was_blocked && !is_blocked(attempt) && attempt->config.on_room)
        attempt->config.on_room(attempt->config.arg);
    cv__attempt_leave(attempt);
}

static void on_connected(void *arg)
{
    const struct cv_attempt_slot *slot = arg;
    struct cv_attempt *attempt = slot->attempt;
    cv__attempt_enter(attempt);
    if (slot->slot == CV_RTMPT_UP && !attempt->connected)
        cv__attempt_connected(attempt);
    cv__attempt_leave(attempt);
}

static void on_up(void *arg)
{
    const struct cv_attempt_slot *slot = arg;
    struct cv_attempt *attempt = slot->attempt;
    cv__attempt_enter(attempt);
    if (slot->slot == CV_RTMPT_UP && !attempt->up)
        cv__attempt_up(attempt);
    if (!attempt->over)
        cv_rtmpt_client_connected(attempt->tunnel, slot->slot, now_us(attempt));
    pump_and_tell(attempt, false);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    const struct cv_attempt_slot *slot = arg;
    struct cv_attempt *attempt = slot->attempt;
    bool was_blocked = is_blocked(attempt);
    cv__attempt_enter(attempt);
    attempt->heard_us = now_us(attempt);
    if (!attempt->over)
        cv_rtmpt_client_feed(attempt->tunnel, slot->slot, data, len, now_us(attempt));
    pump_and_tell(attempt, was_blocked);
}

static void on_room(void *arg)
{
    const struct cv_attempt_slot *slot = arg;
    bool was_blocked = is_blocked(slot->attempt);
    cv__attempt_enter(slot->attempt);
    pump_and_tell(slot->attempt, was_blocked);
}

static void lose_leg(const struct cv_attempt_slot *slot, int code)
{
    struct cv_attempt *attempt = slot->attempt;
    cv_leg_close(&attempt->legs[slot->slot]);
    if (!attempt->over)
        cv_rtmpt_client_closed(attempt->tunnel, slot->slot, code, now_us(attempt));
    pump_and_tell(attempt, false);
}

static void on_denied(void *arg, const struct cv_http1_head *head)
{
    const struct cv_attempt_slot *slot = arg;
    struct cv_attempt *attempt = slot->attempt;
    cv__attempt_enter(attempt);
    if (!attempt->connected)
        cv__attempt_answer(attempt, head);
    lose_leg(slot, CV_E_CONN_REFUSED); // a later one: as any connection that cannot be made
}

static void on_down(void *arg, int code)
{
    const struct cv_attempt_slot *slot = arg;
    cv__attempt_enter(slot->attempt);
    cv__attempt_leg_down(slot->attempt, slot->attempt->legs[slot->slot]);
    lose_leg(slot, code);
}

static const struct cv_leg_owner leg_owner = {.connected = on_connected,
                                              .up = on_up,
                                              .bytes = on_bytes,
                                              .room = on_room,
                                              .denied = on_denied,
                                              .down = on_down};

static void on_timer(void *arg)
{
    struct cv_attempt *attempt = arg;
    bool was_blocked = is_blocked(attempt);
    cv__attempt_enter(attempt);
    cv_rtmpt_client_tick(attempt->tunnel, now_us(attempt));
    pump_and_tell(attempt, was_blocked);
}

// ---- the carrier --------------------------------------------------------------------------------

static void flush(struct cv_attempt *attempt)
{
    pump(attempt);
}

static void finish(struct cv_attempt *attempt)
{
    move_rtmp(attempt);
    cv_rtmpt_client_finish(attempt->tunnel, now_us(attempt));
    pump(attempt);
}

static int begin(struct cv_attempt *attempt)
{
    const struct cv_attempt_config *config = &attempt->config;
    struct cv_rtmpt_client_config tunnel = {
        .host = cv_text_of(cv__attempt_authority(attempt)),
        .user_agent = cv_text_of("Shockwave Flash"),
        .offer = config->way == CV_WAY_OFFER,
        .first = config->rtmp.eager,
        .proxy = cv__attempt_is_proxied(attempt),
    };
    if (tunnel.proxy) {
        tunnel.proxy_user = cv_text_of(config->proxy->user);
        tunnel.proxy_password = cv_text_of(config->proxy->password);
    }
    attempt->tunnel = cv_rtmpt_client_new(&tunnel, now_us(attempt));
    if (!attempt->tunnel)
        return CV_E_NOMEM;
    cv_timer_init(&attempt->timer, cv_attempt_room_loop(attempt->room), on_timer, attempt);
    // C0 and C1 (eager: the whole first flight) are there already: they go into the offer.
    move_rtmp(attempt);
    serve_slot(attempt, CV_RTMPT_UP);
    return attempt->legs[CV_RTMPT_UP] ? CV_OK : CV_E_NOMEM;
}

const struct cv_carrier cv__attempt_tunnel = {
    .names = {"RTMPT", "RTMPTS"},
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
};
