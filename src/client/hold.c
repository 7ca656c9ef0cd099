#include "client/hold.h"

#include "base/mem.h"
#include "io/loop.h"
#include "io/openssl.h"

enum {
    PING_MS = 500,
    SILENCE_MS = 2000, // pings were answered, and are not any more
    FAILURES_MAX = 3,  // in a row, to begin again
};

struct cv_hold {
    struct cv_attempt_room *room;
    struct cv_hold_config config;
    struct cv_attempt *attempt;
    struct cv_timer timer;
    uint64_t start_us;
    uint64_t up_us; // the present connection stands
    uint32_t number;
    uint32_t failures;
    bool through; // the present one is
    bool ponged;  // the server answers pings
};

static uint64_t now_us(const struct cv_hold *hold)
{
    return cv_loop_now_us(cv_attempt_room_loop(hold->room));
}

static void cut(struct cv_hold *hold, uint64_t at_us)
{
    cv_attempt_free(&hold->attempt);
    hold->through = false;
    hold->config.on_cut(hold->config.arg, (uint32_t)((at_us - hold->up_us) / 1000));
}

// ---- what the attempt tells -------------------------------------------------------------------

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct cv_hold *hold = arg;
    if (report->met == CV_MET_CONNECTED) {
        hold->up_us = now_us(hold);
    } else if (report->met == CV_MET_HANDSHAKE) {
        cv_attempt_connect(hold->attempt);
    } else if (report->met == CV_MET_ACCEPTED) {
        hold->through = true;
        hold->failures = 0;
    } else if (report->met >= CV_MET_REFUSED) {
        cv_attempt_free(&hold->attempt);
        hold->failures++;
    }
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct cv_hold *hold = arg;
    hold->ponged |= event->type == CV_RTMP_CLIENT_PONG;
}

static void on_end(void *arg, const struct cv_why *why)
{
    struct cv_hold *hold = arg;
    (void)why;
    if (cv_attempt_said_end(hold->attempt)) {
        hold->failures = FAILURES_MAX; // the server wants nobody who publishes nothing
        cv_attempt_free(&hold->attempt);
        return;
    }
    cut(hold, now_us(hold));
}

// ---- time -----------------------------------------------------------------------------------

static void open_way(struct cv_hold *hold)
{
    const struct cv_hold_config *config = &hold->config;
    const struct cv_target *target = config->target;
    struct cv_attempt_config attempt = {
        .way = config->way,
        .secure = config->secure,
        .trust = config->trust,
        .target = target,
        .proxy = config->proxy,
        .addrs = config->addrs,
        .addr_count = config->addr_count,
        .ipv4_first = config->ipv4_first,
        .rtmp = {.mode = CV_RTMP_CLIENT_CALL,
                 .crypto = &cv_crypto_openssl,
                 .app = cv_text_of(target->app),
                 .tc_url = cv_text_of(target->tc_url)},
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = hold,
    };
    hold->through = false;
    hold->attempt = cv_attempt_new(hold->room, &attempt);
    if (!hold->attempt)
        hold->failures++;
}

static void ping(struct cv_hold *hold)
{
    uint64_t heard_us = cv_attempt_stats(hold->attempt).heard_us;
    if (hold->ponged && now_us(hold) - heard_us >= SILENCE_MS * UINT64_C(1000)) {
        cut(hold, heard_us);
        return;
    }
    cv_rtmp_client_ping(cv_attempt_client(hold->attempt), hold->number++);
    cv_attempt_flush(hold->attempt);
}

static void on_timer(void *arg)
{
    struct cv_hold *hold = arg;
    uint64_t held_us = now_us(hold) - hold->start_us;
    bool over = held_us >= hold->config.seconds * UINT64_C(1000000);
    if (over || hold->failures >= FAILURES_MAX) {
        hold->config.on_done(hold->config.arg, (uint32_t)(held_us / 1000));
        return;
    }
    cv_timer_start(&hold->timer, PING_MS * UINT64_C(1000));
    if (hold->through)
        ping(hold);
    if (!hold->attempt)
        open_way(hold);
}

// ---- life -----------------------------------------------------------------------------------

struct cv_hold *cv_hold_start(struct cv_attempt_room *room, const struct cv_hold_config *config)
{
    struct cv_hold *hold = cv_mem_zero(1, sizeof *hold);
    if (!hold)
        return NULL;
    hold->room = room;
    hold->config = *config;
    hold->start_us = now_us(hold);
    cv_timer_init(&hold->timer, cv_attempt_room_loop(room), on_timer, hold);
    cv_timer_start(&hold->timer, 0);
    return hold;
}

void cv_hold_free(struct cv_hold **place)
{
    struct cv_hold *hold = *place;
    *place = NULL;
    if (!hold)
        return;
    cv_timer_stop(&hold->timer);
    cv_attempt_free(&hold->attempt);
    cv_mem_free(hold);
}
