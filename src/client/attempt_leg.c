// What carriers have in common whose bytes travel on one leg.
#include "client/attempt_state.h"

#include "base/limits.h"

static void on_patience(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_fall(attempt, CV_E_TIMEOUT, "the server did not take the last bytes");
    cv__attempt_leave(attempt);
}

void cv__attempt_lose_patience(struct cv_attempt *attempt)
{
    if (!cv_timer_is_set(&attempt->timer))
        cv_timer_init(&attempt->timer, cv_attempt_room_loop(attempt->room), on_patience, attempt);
    cv_timer_start(&attempt->timer, CV_TUNNEL_GOODBYE_MS * UINT64_C(1000));
}

// ---- what the leg tells -----------------------------------------------------------------------

static void on_connected(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_connected(attempt);
    cv__attempt_leave(attempt);
}

static void on_up(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_up(attempt);
    int err = attempt->over ? CV_OK : attempt->carrier->up(attempt);
    if (err != CV_OK)
        cv__attempt_fall(attempt, err, "the opening could not be sent");
    cv__attempt_leave(attempt);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    attempt->heard_us = cv_loop_now_us(cv_attempt_room_loop(attempt->room));
    if (!attempt->over)
        attempt->carrier->bytes(attempt, data, len);
    cv__attempt_leave(attempt);
}

static void on_room(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    attempt->carrier->flush(attempt);
    if (attempt->finishing && !attempt->over)
        attempt->carrier->finish(attempt);
    else if (!attempt->over && !cv_attempt_is_blocked(attempt) && attempt->config.on_room)
        attempt->config.on_room(attempt->config.arg);
    cv__attempt_leave(attempt);
}

static void on_denied(void *arg, const struct cv_http1_head *head)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_answer(attempt, head);
    cv__attempt_leave(attempt);
}

static void on_down(void *arg, int code)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_leg_down(attempt, attempt->legs[CV_RTMPT_UP]);
    bool farewell =
        attempt->finishing && code == CV_E_CLOSED && cv_rtmp_client_out_empty(attempt->rtmp);
    cv__attempt_fall(attempt, farewell ? CV_OK : code, cv_err_text(code));
    cv__attempt_leave(attempt);
}

static const struct cv_leg_owner leg_owner = {.connected = on_connected,
                                              .up = on_up,
                                              .bytes = on_bytes,
                                              .room = on_room,
                                              .denied = on_denied,
                                              .down = on_down};

int cv__attempt_dial(struct cv_attempt *attempt)
{
    return cv__attempt_open_leg(attempt, CV_RTMPT_UP, &leg_owner, attempt);
}

void cv__attempt_adopt_leg(struct cv_attempt *attempt)
{
    cv_leg_set_owner(attempt->legs[CV_RTMPT_UP], &leg_owner, attempt);
    cv_leg_want(attempt->legs[CV_RTMPT_UP], true);
}
