// RTMP from its first byte, behind a proxy's CONNECT (RFC 9110, 9.3.6): the proxy opens the
// connection to the server, and from then on it is plain.
#include "client/attempt_state.h"

#include "base/check.h"
#include "base/limits.h"

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
    const struct cv_attempt_config *config = &attempt->config;
    struct cv_http_connect_config connect = {
        .host = cv_text_of(config->target->host),
        .port = config->target->port,
        .user = cv_text_of(config->proxy->user),
        .password = cv_text_of(config->proxy->password),
    };
    uint8_t head[CV_LIMIT_TUNNEL_HEAD_BYTES];
    struct cv_wr wr = cv_wr_fixed(head, sizeof head);
    cv_http_connect_write(&wr, &connect);
    return cv__attempt_send_head(attempt, &wr);
}

// `rest` came behind the head: a server of RTMP says nothing before us, but who knows.
static void go_on(struct cv_attempt *attempt, struct cv_text rest)
{
    attempt->opened = true;
    cv__attempt_go_plain(attempt);
    attempt->carrier->flush(attempt);
    if (!attempt->over && rest.len)
        cv__attempt_take(attempt, rest.at, rest.len);
}

static void take_answer(struct cv_attempt *attempt, const void *data, size_t len)
{
    struct cv_http_connect_answer answer;
    int got = cv_http_connect_feed(attempt->connect, data, len, &answer);
    if (got < 0)
        cv__attempt_fall(attempt, got, cv_http_connect_why(attempt->connect)->text);
    else if (got > 0 && answer.head->status / 100 == 2)
        go_on(attempt, answer.rest);
    else if (got > 0)
        cv__attempt_answer(attempt, answer.head);
}

static int begin(struct cv_attempt *attempt)
{
    CV_ASSERT(attempt->config.proxy);
    attempt->connect = cv_http_connect_new();
    if (!attempt->connect)
        return CV_E_NOMEM;
    return cv__attempt_dial(attempt, true);
}

const struct cv_carrier cv__attempt_connect = {
    .name = "RTMP through the proxy's CONNECT",
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
    .up = send_opening,
    .bytes = take_answer,
};
