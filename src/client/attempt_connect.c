// RTMP from its first byte, behind a proxy's CONNECT (RFC 9110, 9.3.6): the proxy opens the
// connection to the server, and from then on it is plain.
#include "client/attempt_state.h"

#include "base/check.h"
#include "base/limits.h"
#include "proto/http1_write.h"

#include <stdio.h>
#include <string.h>

static void flush(struct cv_attempt *attempt)
{
    (void)attempt; // RTMP waits for the proxy's answer
}

static bool is_blocked(const struct cv_attempt *attempt)
{
    (void)attempt;
    return true;
}

static void finish(struct cv_attempt *attempt)
{
    cv__attempt_fall(attempt, CV_OK, "");
}

// ---- the opening ------------------------------------------------------------------------------

static int send_opening(struct cv_attempt *attempt)
{
    const struct cv_target *target = attempt->config.target;
    bool bare_ipv6 = strchr(target->host, ':') != NULL;
    char place[CV_LIMIT_HOST_BYTES + 9];
    uint8_t head[CV_LIMIT_TUNNEL_HEAD_BYTES];
    struct cv_wr wr = cv_wr_fixed(head, sizeof head);
    snprintf(place, sizeof place, bare_ipv6 ? "[%s]:%u" : "%s:%u", target->host, target->port);
    cv_http1_write_request(&wr, cv_text_of("CONNECT"), cv_text_of(place));
    cv_http1_write_header(&wr, "Host", place);
    cv__attempt_put_credentials(attempt, &wr);
    cv_http1_write_head_end(&wr);
    return cv__attempt_send_head(attempt, &wr);
}

static void on_head(struct cv_attempt *attempt, const struct cv_http1_head *head)
{
    struct cv_text location = cv_http1_header(head, "Location");
    bool redirects = location.at && head->status >= 300 && head->status < 400;
    if (head->status / 100 == 2)
        attempt->opened = true;
    else
        cv__attempt_page(attempt, head->status, redirects, location);
}

// `rest` came behind the head: a server of RTMP says nothing before us, but who knows.
static void go_on(struct cv_attempt *attempt, const struct cv_rd *rest)
{
    cv__attempt_go_plain(attempt);
    attempt->carrier->flush(attempt);
    if (!attempt->over && cv_rd_left(rest))
        cv__attempt_take(attempt, rest->at, cv_rd_left(rest));
}

static void take_answer(struct cv_attempt *attempt, const uint8_t *data, size_t len)
{
    struct cv_http1_event event;
    int more = 0;
    cv_http1_feed(attempt->http, data, len);
    while (!attempt->over && (more = cv_http1_next(attempt->http, &event)) > 0) {
        if (event.type == CV_HTTP1_HEAD)
            on_head(attempt, event.head);
    }
    if (attempt->over)
        return;
    struct cv_rd rest = {0};
    if (more < 0) {
        cv__attempt_fall(attempt, more, cv_http1_why(attempt->http)->text);
    } else if (attempt->opened && cv_http1_phase(attempt->http) == CV_HTTP1_PAUSED) {
        rest = cv_http1_unread(attempt->http);
        go_on(attempt, &rest);
    }
}

// ---- what the leg tells -----------------------------------------------------------------------

static void on_up(void *arg)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    attempt->up = true;
    cv__attempt_up(attempt, attempt->legs[CV_RTMPT_UP]);
    int err = attempt->over ? CV_OK : send_opening(attempt);
    if (err != CV_OK)
        cv__attempt_fall(attempt, err, "CONNECT could not be sent");
    cv__attempt_leave(attempt);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    if (!attempt->over)
        take_answer(attempt, data, len);
    cv__attempt_leave(attempt);
}

static void on_room(void *arg)
{
    (void)arg;
}

static void on_down(void *arg, int code)
{
    struct cv_attempt *attempt = arg;
    cv__attempt_enter(attempt);
    cv__attempt_fall(attempt, code, cv_err_text(code));
    cv__attempt_leave(attempt);
}

static const struct cv_leg_owner leg_owner = {on_up, on_bytes, on_room, on_down};

static int begin(struct cv_attempt *attempt)
{
    CV_ASSERT(attempt->config.proxy);
    attempt->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!attempt->http)
        return CV_E_NOMEM;
    cv_http1_expect(attempt->http, CV_METHOD_CONNECT, false);
    return cv__attempt_open_leg(attempt, CV_RTMPT_UP, true, &leg_owner, attempt);
}

const struct cv_carrier cv__attempt_connect = {
    .name = "RTMP through the proxy's CONNECT",
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
};
