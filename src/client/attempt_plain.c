// Plain RTMP on one TCP connection: from its first byte, or behind an offer that was taken.
#include "client/attempt_state.h"

#include "base/limits.h"

static void on_patience(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_fall(attempt, CV_E_TIMEOUT, "the server did not take the last bytes");
    cv__attempt_leave(attempt);
}

// ---- writing --------------------------------------------------------------------------------

static bool is_blocked(const struct cv_attempt *attempt)
{
    const struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    return !leg || !cv_leg_is_up(leg) || cv_leg_is_blocked(leg);
}

static void flush(struct cv_attempt *attempt)
{
    struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    struct cv_gather *gather;
    while (!is_blocked(attempt) && cv__attempt_pull(attempt, &gather)) {
        int sent = cv_leg_write(leg, gather);
        if (sent <= 0)
            return; // down tells what it was
        cv_rtmp_client_sent(attempt->rtmp, (size_t)sent);
    }
}

// Our side is closed behind the last byte; the server closes its own when it has read it.
static void finish(struct cv_attempt *attempt)
{
    struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    if (!cv_timer_is_set(&attempt->timer))
        cv_timer_init(&attempt->timer, attempt->room->legs.loop, on_patience, attempt);
    // Once more whenever something has left: a slow network is no dead one.
    cv_timer_start(&attempt->timer, CV_TUNNEL_GOODBYE_MS * UINT64_C(1000));
    if (leg && cv_rtmp_client_out_empty(attempt->rtmp))
        cv_leg_shutdown(leg);
}

// ---- what the leg tells -----------------------------------------------------------------------

static void on_up(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    attempt->up = true;
    cv__attempt_up(attempt, attempt->legs[CV_RTMPT_UP]);
    if (!attempt->over)
        flush(attempt);
    cv__attempt_leave(attempt);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    if (!attempt->over)
        cv__attempt_take(attempt, data, len);
    cv__attempt_leave(attempt);
}

static void on_room(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    flush(attempt);
    if (attempt->finishing && !attempt->over)
        finish(attempt);
    else if (!attempt->over && !is_blocked(attempt) && attempt->config.on_room)
        attempt->config.on_room(attempt->config.arg);
    cv__attempt_leave(attempt);
}

static void on_down(void *arg, int code)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    bool farewell =
        attempt->finishing && code == CV_E_CLOSED && cv_rtmp_client_out_empty(attempt->rtmp);
    cv__attempt_fall(attempt, farewell ? CV_OK : code, cv_err_text(code));
    cv__attempt_leave(attempt);
}

static const struct cv_leg_owner leg_owner = {on_up, on_bytes, on_room, on_down};

static int begin(struct cv_attempt *attempt)
{
    return cv__attempt_open_leg(attempt, CV_RTMPT_UP, false, &leg_owner, attempt);
}

void cv__attempt_go_plain(struct cv_attempt *attempt)
{
    cv_timer_stop(&attempt->timer);
    attempt->carrier = &cv__attempt_plain;
    cv_leg_set_owner(attempt->legs[CV_RTMPT_UP], &leg_owner, attempt);
    cv_leg_want(attempt->legs[CV_RTMPT_UP], true);
    cv_leg_close(&attempt->legs[CV_RTMPT_DOWN]);
}

const struct cv_carrier cv__attempt_plain = {
    .name = "RTMP",
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
};
