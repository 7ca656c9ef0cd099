// How a connection looks for a way: at its start, behind a cut, or beside the way in use.
#include "client/connection_state.h"

#include "base/check.h"

static const char place[] = "connection";

enum {
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 2000,
    SHORT_LIVES_MAX = 2,  // then the next one is a tunnel
    POSITION_BYTES = 128, // "epoch:number"
};

static void on_trying(void *arg, enum cv_way way, bool secure, uint32_t attempts)
{
    struct cv_connection *connection = arg;
    struct cv_connection_event event = {
        .type = CV_CONNECTION_TRYING, .way = way, .secure = secure, .attempts = attempts};
    cv__connection_tell(connection, &event);
}

static void on_reached(void *arg, const struct cv_reach_result *result);

static struct cv_ladder_config ladder_config(const struct cv_connection *connection)
{
    static const enum cv_way only[] = {
        [CV_VIA_RTMP] = CV_WAY_RTMP,
        [CV_VIA_RTMPT] = CV_WAY_TUNNEL,
        [CV_VIA_SOCKET] = CV_WAY_SOCKET,
    };
    const struct cv_proxies *proxies = &connection->proxies;
    struct cv_ladder_config config = {
        .order = connection->config.order,
        .security = connection->target.security,
        .proxy = proxies->plain.host[0] != '\0',
        .secure_proxy = proxies->secure.host[0] != '\0',
        .credentials = proxies->plain.user[0] || proxies->secure.user[0],
        .eager = connection->config.order == CV_LADDER_OFFER_FIRST,
        .ours = connection->resumes || connection->epoch[0],
    };
    if (connection->config.via != CV_VIA_AUTO) {
        config.order = CV_LADDER_ONLY;
        config.only = only[connection->config.via];
        config.eager = false;
    }
    return config;
}

static void on_ladder(void *arg, struct cv_ladder_config *ladder, bool *ipv4_first)
{
    struct cv_connection *connection = arg;
    if (connection->config.via != CV_VIA_AUTO)
        return;
    if (!connection->started) {
        cv__connection_recall(connection);
        cv_watchdog_init(&connection->watchdog, connection->known.cut_ms);
    }
    ladder->remembered = connection->known.way;
    ladder->remembered_secure = connection->known.secure;
    if (connection->short_lives >= SHORT_LIVES_MAX) {
        ladder->remembered = CV_WAY_TUNNEL;
        ladder->remembered_secure = connection->cut_secure;
    }
    *ipv4_first = connection->known.way != CV_WAY_NONE && connection->known.ipv4;
}

bool cv__try_start(struct cv_connection *connection)
{
    CV_ASSERT(!connection->reach && cv__connection_way_count(connection) < 2);
    char position[POSITION_BYTES];
    struct cv_reach_config config = {
        .target = &connection->target,
        .proxies = &connection->proxies,
        .trust = connection->config.trust,
        .ladder = ladder_config(connection),
        .on_ladder = on_ladder,
        .on_trying = on_trying,
        .on_done = on_reached,
        .arg = connection,
    };
    cv__flow_fill_config(connection, &config.rtmp, position, sizeof position);
    connection->reach = cv_reach_start(connection->room, &config);
    return connection->reach != NULL;
}

static uint32_t return_s(const struct cv_connection *connection)
{
    return connection->config.return_s ? connection->config.return_s : CV_CONNECTION_RETURN_S;
}

// A way that is cut as soon as it stands does not end the trouble: a server that does so with each
// must not be called again and again, at once and for ever.
static void begin_trouble(struct cv_connection *connection)
{
    if (connection->trouble_us != 0)
        return;
    connection->trouble_us = cv__connection_now_us(connection);
    connection->tries = 0;
}

// Who answers is not who he should be: trying on does not change that.
static void end_distrust(struct cv_connection *connection, enum cv_obstacle obstacle)
{
    connection->why = connection->distrust_why;
    cv_why_set(&connection->why, CV_E_CERT_INVALID, place, "%s", cv_obstacle_text(obstacle));
    cv__connection_end(connection, CV_END_CERTIFICATE, obstacle, "");
}

static void give_up(struct cv_connection *connection, enum cv_obstacle obstacle)
{
    if (cv_obstacle_is_certificate(obstacle)) {
        end_distrust(connection, obstacle);
        return;
    }
    const char *text =
        obstacle != CV_OBSTACLE_NONE ? cv_obstacle_text(obstacle) : connection->cut_why.text;
    cv_why_set(&connection->why, CV_E_TIMEOUT, place, "%s", text);
    cv__connection_end(connection, CV_END_LOST, obstacle, "");
}

void cv__try_later(struct cv_connection *connection, enum cv_obstacle obstacle)
{
    uint64_t wait_ms = (uint64_t)RETRY_MIN_MS << (connection->tries < 3 ? connection->tries : 3);
    if (cv__connection_now_us(connection) - connection->trouble_us >
        return_s(connection) * UINT64_C(1000000)) {
        give_up(connection, obstacle);
        return;
    }
    connection->tries++;
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    cv_timer_start(&connection->timer, wait_ms * 1000);
}

void cv__try_after_cut(struct cv_connection *connection, const struct cv_why *why)
{
    struct cv_connection_event event = {.type = CV_CONNECTION_CUT, .why = why};
    begin_trouble(connection);
    connection->cut_why = *why;
    if (connection->cut_us == 0) {
        connection->cut_us = cv__connection_now_us(connection);
        connection->cuts++;
        cv__connection_tell(connection, &event);
    }
    if (connection->ended || connection->reach || cv__connection_way_count(connection) > 0)
        return;
    if (connection->tries > 0)
        cv__try_later(connection, CV_OBSTACLE_NONE);
    else if (connection->tries++, !cv__try_start(connection))
        cv__try_later(connection, CV_OBSTACLE_NONE);
}

// A network that wants a login shows certificates of its own until it has it, and so cuts who was
// there; a server that has another one since the cut keeps it. Where plain text will do, it may be
// its port that comes back.
static bool may_pass(struct cv_connection *connection, const struct cv_reach_result *result)
{
    uint64_t now_us = cv__connection_now_us(connection);
    if (!cv_obstacle_is_certificate(result->obstacle)) {
        connection->distrust_us = 0;
        return true;
    }
    if (connection->distrust_us == 0)
        connection->distrust_us = now_us;
    connection->distrust_why = *result->why;
    if (connection->target.security != CV_SECURITY_ONLY)
        return connection->cut_us || connection->config.patient;
    return connection->started &&
           now_us - connection->distrust_us < CV_CONNECTION_DISTRUST_S * UINT64_C(1000000);
}

static void fail_to_reach(struct cv_connection *connection, const struct cv_reach_result *result)
{
    if (connection->active)
        return; // it was to be replaced, and still works
    if (connection->started && !connection->cut_us) {
        cv__try_after_cut(connection, &connection->cut_why); // it was, but does no more
        return;
    }
    if (!may_pass(connection, result)) {
        end_distrust(connection, result->obstacle);
        return;
    }
    bool again = connection->cut_us || connection->config.patient;
    if (again && !connection->cut_us)
        connection->cut_us = cv__connection_now_us(connection);
    if (again) {
        begin_trouble(connection);
        cv__try_later(connection, result->obstacle);
        return;
    }
    if (result->unknown_host) {
        cv_why_set(&connection->why, CV_E_NOT_FOUND, place, "there is no such host: %s",
                   connection->target.host);
        cv__connection_end(connection, CV_END_UNKNOWN_HOST, result->obstacle, "");
        return;
    }
    cv_why_set(&connection->why, CV_E_UNREACHABLE, place, "%s", cv_obstacle_text(result->obstacle));
    cv__connection_learn_failure(connection);
    cv__connection_end(connection, CV_END_NO_WAY, result->obstacle, result->location);
}

static void tell_through(struct cv_connection *connection, const struct cv_reach_result *result)
{
    struct cv_connection_event event = {
        .type = CV_CONNECTION_THROUGH,
        .way = result->way,
        .secure = result->secure,
        .since_us = result->since_us,
        .attempts = result->attempts,
        .obstacle = result->obstacle,
        .stats = cv_attempt_stats(result->attempt),
    };
    cv__connection_tell(connection, &event);
}

static void on_reached(void *arg, const struct cv_reach_result *result)
{
    struct cv_connection *connection = arg;
    cv__connection_enter(connection);
    if (result->attempt) {
        connection->distrust_us = 0;
        cv__connection_take(connection, result);
        tell_through(connection, result);
    }
    cv_reach_free(&connection->reach);
    if (!result->attempt)
        fail_to_reach(connection, result);
    cv__connection_leave(connection);
}
