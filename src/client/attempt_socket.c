// RTMP in the frames of a WebSocket (RFC 6455; subprotocol "rtmp").
#include "client/attempt_state.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1_write.h"
#include "proto/ws_handshake.h"

#include <stdio.h>
#include <string.h>

enum { FRAME_BYTES = 16 * 1024 }; // of what we send: masking copies it

// ---- writing --------------------------------------------------------------------------------

static bool is_blocked(const struct cv_attempt *attempt)
{
    const struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    return !attempt->ws || !leg || !cv_leg_is_up(leg) || cv_leg_is_blocked(leg);
}

// True when frames have left.
static bool write_frames(struct cv_attempt *attempt)
{
    struct cv_gather *gather = &attempt->room->legs.gather;
    cv_gather_clear(gather);
    cv_ws_pull_begin(attempt->ws, gather);
    cv_ws_pull_end(attempt->ws, gather);
    if (gather->count == 0)
        return false;
    int sent = cv_leg_write(attempt->legs[CV_RTMPT_UP], gather);
    if (sent > 0)
        cv_ws_sent(attempt->ws, (size_t)sent);
    return sent > 0;
}

// One message of what RTMP lends, at most FRAME_BYTES of it. True when there was something.
static bool make_frame(struct cv_attempt *attempt)
{
    uint8_t frame[FRAME_BYTES];
    struct cv_gather *gather;
    size_t used = 0;
    if (!cv__attempt_pull(attempt, &gather))
        return false;
    for (int i = 0; i < gather->count && used < sizeof frame; i++) {
        size_t room = sizeof frame - used;
        size_t len = gather->vectors[i].iov_len < room ? gather->vectors[i].iov_len : room;
        memcpy(frame + used, gather->vectors[i].iov_base, len);
        used += len;
    }
    int err = cv_ws_send(attempt->ws, false, frame, used);
    if (err != CV_OK) {
        cv__attempt_fall(attempt, err, "no frame can be made");
        return false;
    }
    cv_rtmp_client_sent(attempt->rtmp, used);
    return true;
}

static void flush(struct cv_attempt *attempt)
{
    while (!attempt->over && !is_blocked(attempt) && (write_frames(attempt) || make_frame(attempt)))
        ;
}

// The server answers our close with its own, and ends the connection.
static void finish(struct cv_attempt *attempt)
{
    cv__attempt_lose_patience(attempt);
    if (!attempt->ws || !cv_rtmp_client_out_empty(attempt->rtmp))
        return;
    cv_ws_close(attempt->ws, CV_WS_NORMAL, "");
    flush(attempt);
}

// ---- the opening ------------------------------------------------------------------------------

// Through a proxy: the whole URL.
static void put_request(const struct cv_attempt *attempt, struct cv_wr *wr)
{
    const char *authority = cv__attempt_authority(attempt);
    bool proxied = cv__attempt_is_proxied(attempt);
    struct cv_text app = cv_text_of(attempt->config.target->app);
    app.len = cv_text_find(app, '?');
    char url[CV_LIMIT_APP_BYTES + CV_LIMIT_URL_BYTES];
    int len = snprintf(url, sizeof url, "%s%s/%.*s", proxied ? "http://" : "",
                       proxied ? authority : "", (int)app.len, app.at);
    CV_ASSERT(len > 0 && (size_t)len < sizeof url);
    cv_http1_write_request(wr, cv_text_of("GET"), cv_text_of(url));
    cv_http1_write_header(wr, "Host", authority);
}

static int send_opening(struct cv_attempt *attempt)
{
    uint8_t head[CV_LIMIT_TUNNEL_HEAD_BYTES + CV_LIMIT_URL_BYTES];
    struct cv_wr wr = cv_wr_fixed(head, sizeof head);
    put_request(attempt, &wr);
    cv_http1_write_header(&wr, "Connection", "Upgrade");
    cv_http1_write_header(&wr, "Upgrade", "websocket");
    cv_http1_write_header(&wr, "Sec-WebSocket-Version", "13");
    cv_http1_write_header(&wr, "Sec-WebSocket-Key", attempt->ws_key);
    cv_http1_write_header(&wr, "Sec-WebSocket-Protocol", "rtmp");
    cv__attempt_put_credentials(attempt, &wr);
    cv_http1_write_head_end(&wr);
    return cv__attempt_send_head(attempt, &wr);
}

static bool is_our_key(const struct cv_attempt *attempt, const struct cv_http1_head *head)
{
    char accept[CV_WS_ACCEPT_CHARS + 1];
    if (cv_ws_accept_of(cv_text_of(attempt->ws_key), attempt->config.rtmp.crypto, accept) != CV_OK)
        return false;
    return cv_text_is(cv_http1_header(head, "Sec-WebSocket-Accept"), accept);
}

static void on_head(struct cv_attempt *attempt, const struct cv_http1_head *head)
{
    if (head->status != 101 || !is_our_key(attempt, head)) {
        cv__attempt_answer(attempt, head);
        return;
    }
    struct cv_ws_config config = {.client = true, .crypto = attempt->config.rtmp.crypto};
    attempt->ws = cv_ws_new(&config);
    if (!attempt->ws)
        cv__attempt_fall(attempt, CV_E_NOMEM, "no memory");
    else
        cv__attempt_met(attempt, &(struct cv_met_report){.met = CV_MET_UPGRADED});
}

static void take_frames(struct cv_attempt *attempt, const uint8_t *data, size_t len);

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
    if (more < 0) {
        cv__attempt_fall(attempt, more, cv_http1_why(attempt->http)->text);
        return;
    }
    if (!attempt->ws || cv_http1_phase(attempt->http) != CV_HTTP1_PAUSED)
        return;
    struct cv_rd rest = cv_http1_unread(attempt->http);
    attempt->opened = true;
    flush(attempt);
    if (!attempt->over)
        take_frames(attempt, rest.at, cv_rd_left(&rest));
}

// ---- frames -----------------------------------------------------------------------------------

static void take_frames(struct cv_attempt *attempt, const uint8_t *data, size_t len)
{
    struct cv_ws_event event;
    int more = 0;
    cv_ws_feed(attempt->ws, data, len);
    while (!attempt->over && (more = cv_ws_next(attempt->ws, &event)) > 0) {
        if (event.type == CV_WS_DATA && event.len)
            cv__attempt_take(attempt, event.data, event.len);
        else if (event.type == CV_WS_CLOSE)
            cv__attempt_fall(attempt, attempt->finishing ? CV_OK : CV_E_CLOSED,
                             "the server has closed the WebSocket");
    }
    if (more < 0 && !attempt->over)
        cv__attempt_fall(attempt, more, cv_ws_why(attempt->ws)->text);
    else
        flush(attempt);
}

// ---- the leg ----------------------------------------------------------------------------------

static void take_bytes(struct cv_attempt *attempt, const void *data, size_t len)
{
    if (attempt->opened)
        take_frames(attempt, data, len);
    else
        take_answer(attempt, data, len);
}

static int begin(struct cv_attempt *attempt)
{
    attempt->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!attempt->http)
        return CV_E_NOMEM;
    cv_http1_expect(attempt->http, CV_METHOD_GET, true);
    int err = cv_ws_make_key(attempt->config.rtmp.crypto, attempt->ws_key);
    if (err != CV_OK)
        return err;
    return cv__attempt_dial(attempt);
}

const struct cv_carrier cv__attempt_socket = {
    .names = {"RTMP over WebSocket", "secure WebSocket"},
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
    .up = send_opening,
    .bytes = take_bytes,
};
