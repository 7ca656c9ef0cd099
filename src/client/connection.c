#include "client/connection_state.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/tls_trust.h"

#include <string.h>

static const char place[] = "connection";

enum {
    HELD_MS = 1000,    // a way that lasts so long ends the trouble
    SHORT_LIFE_S = 30, // a way that is cut so early was perhaps recognised
};

uint64_t cv__connection_now_us(const struct cv_connection *connection)
{
    return cv_loop_now_us(cv_attempt_room_loop(connection->room));
}

// ---- life -----------------------------------------------------------------------------------

static void free_now(struct cv_connection *connection)
{
    cv_timer_stop(&connection->timer);
    cv_timer_stop(&connection->watch);
    cv_turn_cancel(connection->room, &connection->turn);
    cv_reach_free(&connection->reach);
    for (int i = 0; i < 2; i++)
        cv_attempt_free(&connection->ways[i].attempt);
    cv_outbox_done(&connection->outbox);
    cv_tls_trust_unref(&connection->config.trust);
    cv_mem_free(connection->memory_path);
    cv_mem_free(connection);
}

void cv__connection_enter(struct cv_connection *connection)
{
    connection->depth++;
}

void cv__connection_leave(struct cv_connection *connection)
{
    CV_ASSERT(connection->depth > 0);
    if (--connection->depth == 0 && connection->freed)
        free_now(connection);
}

void cv_connection_free(struct cv_connection **place_of_connection)
{
    struct cv_connection *connection = *place_of_connection;
    *place_of_connection = NULL;
    if (!connection)
        return;
    CV_ASSERT(!connection->freed);
    connection->freed = connection->ended = true;
    if (connection->depth == 0)
        free_now(connection);
}

void cv__connection_tell(struct cv_connection *connection, struct cv_connection_event *event)
{
    if (!connection->ended)
        connection->config.on_event(connection->config.arg, event);
}

// As far as can be known: of servers that count, what they have told.
static bool is_delivered(const struct cv_connection *connection)
{
    const struct cv_outbox *outbox = &connection->outbox;
    return cv_outbox_all_sent(outbox) && (!connection->resumes || outbox->arrived == outbox->head);
}

int cv__connection_way_count(const struct cv_connection *connection)
{
    return (connection->ways[0].attempt != NULL) + (connection->ways[1].attempt != NULL);
}

// There is another way than the one in use, or it is looked for.
static bool expects_other(const struct cv_connection *connection)
{
    return connection->reach || cv__connection_way_count(connection) == 2;
}

static void drop_way(struct cv_way_in_use *way)
{
    struct cv_connection *connection = way->connection;
    if (way->started &&
        cv__connection_now_us(connection) - way->since_us >= HELD_MS * UINT64_C(1000))
        connection->trouble_us = 0;
    if (connection->active == way)
        connection->active = NULL;
    cv_attempt_free(&way->attempt);
    way->started = false;
    way->epoch[0] = '\0';
}

static void drop_unstarted(struct cv_connection *connection)
{
    for (int i = 0; i < 2; i++) {
        if (!connection->ways[i].started)
            drop_way(&connection->ways[i]);
    }
}

void cv__connection_end(struct cv_connection *connection, enum cv_connection_end end,
                        enum cv_obstacle obstacle, const char *location)
{
    if (connection->ended)
        return;
    struct cv_connection_event event = {
        .type = CV_CONNECTION_ENDED,
        .end = end,
        .obstacle = obstacle,
        .location = location,
        .why = &connection->why,
    };
    cv_timer_stop(&connection->timer);
    cv_timer_stop(&connection->watch);
    cv_reach_free(&connection->reach);
    for (int i = 0; i < 2; i++)
        drop_way(&connection->ways[i]);
    cv__connection_enter(connection);
    cv__connection_tell(connection, &event);
    connection->ended = true;
    cv__connection_leave(connection);
}

// ---- ways come and go -------------------------------------------------------------------------

static void tell_started(struct cv_connection *connection, const struct cv_way_in_use *way)
{
    struct cv_connection_event event = {
        .type = connection->started ? CV_CONNECTION_RESUMED : CV_CONNECTION_STARTED,
        .way = way->way,
        .stats = cv_attempt_stats(way->attempt),
        .lost = cv__flow_lost(connection),
    };
    uint64_t from_us = connection->started ? connection->cut_us : connection->start_us;
    event.since_us = from_us ? cv__connection_now_us(connection) - from_us : 0;
    connection->started = true;
    connection->cut_us = 0;
    cv__connection_tell(connection, &event);
}

// It takes the place of the one before.
static void activate(struct cv_way_in_use *way, const struct cv_rtmp_client_event *event)
{
    struct cv_connection *connection = way->connection;
    struct cv_way_in_use *old = connection->active;
    cv_timer_stop(&connection->timer);
    way->started = true;
    connection->active = way;
    if (old) {
        if (connection->silent)
            cv_watchdog_cut(&connection->watchdog, cv__connection_now_us(connection));
        drop_way(old);
    }
    connection->silent = false;
    cv_watchdog_begin(&connection->watchdog, way->since_us, cv__connection_now_us(connection));
    int err = cv__flow_start(connection, event);
    if (err != CV_OK) {
        cv_why_set(&connection->why, err, place, "the server counts more than it was sent");
        cv__connection_end(connection, CV_END_FAILED, CV_OBSTACLE_NONE, "");
        return;
    }
    tell_started(connection, way);
    if (!connection->ended)
        cv__flow_push(connection);
    if (!connection->ended && connection->active == way)
        cv__connection_learn(connection, way);
    if (!connection->ended)
        cv__connection_watch(connection);
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct cv_way_in_use *way = arg;
    struct cv_connection *connection = way->connection;
    bool call = connection->config.mode == CV_RTMP_CLIENT_CALL;
    if (connection->ended)
        return;
    cv__connection_enter(connection);
    if (event->type == (call ? CV_RTMP_CLIENT_CONNECTED : CV_RTMP_CLIENT_STARTED))
        activate(way, event);
    else
        cv__flow_event(way, event);
    cv__connection_leave(connection);
}

static enum cv_connection_end end_of(const struct cv_attempt *attempt, int code)
{
    switch (cv_attempt_end(attempt)) {
    case CV_RTMP_CLIENT_UNPUBLISHED:
    case CV_RTMP_CLIENT_FINISHED:
        return CV_END_FINISHED;
    default:
        return code == CV_E_NOT_FOUND ? CV_END_NOT_FOUND : CV_END_REFUSED;
    }
}

// A way that was recognised and cut is cut again: after two of them only a tunnel is left.
static void count_life(struct cv_way_in_use *way)
{
    struct cv_connection *connection = way->connection;
    bool early =
        cv__connection_now_us(connection) - way->since_us < SHORT_LIFE_S * UINT64_C(1000000);
    bool raw = !cv_attempt_stats(way->attempt).tunnel;
    bool timed = cv_watchdog_cut_ms(&connection->watchdog) != 0; // whatever it carries
    connection->short_lives = early && raw && !timed ? connection->short_lives + 1 : 0;
    connection->cut_secure = way->secure;
}

// While it comes back, a refusal may be about its own ghost.
static bool may_come_back(const struct cv_connection *connection, const struct cv_way_in_use *way)
{
    if (!cv_attempt_said_end(way->attempt))
        return connection->started || connection->config.patient;
    return connection->started && !way->started &&
           connection->config.mode == CV_RTMP_CLIENT_PUBLISH;
}

static void lose(struct cv_way_in_use *way, const struct cv_why *why)
{
    struct cv_connection *connection = way->connection;
    struct cv_why copy = *why; // it may be the attempt's
    if (connection->active == way)
        cv_watchdog_cut(&connection->watchdog, cv__connection_now_us(connection));
    count_life(way);
    drop_way(way);
    cv__try_after_cut(connection, &copy);
}

// Another way is coming: what follows shows whether that was a cut.
static void yield(struct cv_way_in_use *way, const struct cv_why *why)
{
    struct cv_connection *connection = way->connection;
    if (connection->active == way) {
        connection->cut_why = *why;
        if (connection->silent)
            cv_watchdog_cut(&connection->watchdog, cv__connection_now_us(connection));
    }
    drop_way(way);
}

void cv__connection_lose(struct cv_connection *connection)
{
    struct cv_why why = {0};
    cv_why_set(&why, CV_E_TIMEOUT, place, "nothing comes any more");
    if (expects_other(connection))
        yield(connection->active, &why);
    else
        lose(connection->active, &why);
}

void cv__connection_renew(struct cv_connection *connection)
{
    // A server that cannot resume refuses a second publisher: there the first must have gone.
    bool publishes = connection->config.mode == CV_RTMP_CLIENT_PUBLISH;
    if ((publishes && !connection->resumes) || expects_other(connection))
        return;
    connection->silent = cv_watchdog_is_silent(&connection->watchdog);
    cv__try_start(connection);
}

void cv__connection_keep(struct cv_connection *connection)
{
    cv_reach_free(&connection->reach);
    drop_unstarted(connection);
    connection->silent = false;
}

static void on_end(void *arg, const struct cv_why *why)
{
    struct cv_way_in_use *way = arg;
    struct cv_connection *connection = way->connection;
    if (connection->ended)
        return;
    cv__connection_enter(connection);
    bool done = connection->closing &&
                (why->code == CV_OK || why->code == CV_E_TIMEOUT || is_delivered(connection));
    if (done) {
        cv__connection_end(connection, CV_END_CLOSED, CV_OBSTACLE_NONE, "");
    } else if (expects_other(connection)) {
        yield(way, why); // the one that comes has thrown it out, or will go on
    } else if (may_come_back(connection, way)) {
        lose(way, why);
    } else {
        bool said = cv_attempt_said_end(way->attempt);
        connection->why = *why;
        cv__connection_end(connection, said ? end_of(way->attempt, why->code) : CV_END_LOST,
                           CV_OBSTACLE_NONE, "");
    }
    cv__connection_leave(connection);
}

static void on_room(void *arg)
{
    struct cv_way_in_use *way = arg;
    struct cv_connection *connection = way->connection;
    cv__connection_enter(connection);
    if (connection->active == way)
        cv__flow_push(connection);
    cv__connection_leave(connection);
}

void cv__connection_take(struct cv_connection *connection, const struct cv_reach_result *result)
{
    struct cv_way_in_use *way = &connection->ways[connection->ways[0].attempt != NULL];
    CV_ASSERT(!way->attempt);
    *way = (struct cv_way_in_use){.connection = connection,
                                  .attempt = result->attempt,
                                  .way = result->way,
                                  .secure = result->secure,
                                  .since_us = cv__connection_now_us(connection)};
    cv_attempt_set_owner(way->attempt, on_event, on_end, on_room, way);
    cv_timer_start(&connection->timer, CV_CLIENT_START_S * UINT64_C(1000000));
}

// ---- time -----------------------------------------------------------------------------------

static void start_is_late(struct cv_connection *connection)
{
    cv_why_set(&connection->why, CV_E_TIMEOUT, place,
               "the server does not answer to publish or play");
    if (!connection->started && !connection->config.patient) {
        cv__connection_end(connection, CV_END_LOST, CV_OBSTACLE_NONE, "");
        return;
    }
    drop_unstarted(connection);
    if (!connection->active)
        cv__try_after_cut(connection, &connection->why);
}

static bool lacks_trust(const struct cv_connection *connection)
{
    return !connection->config.trust && connection->target.security == CV_SECURITY_ONLY;
}

static void end_without_trust(struct cv_connection *connection)
{
    cv_why_set(&connection->why, CV_E_USAGE, place,
               "TLS is wanted, and there are no certificates to trust");
    cv__connection_end(connection, CV_END_FAILED, CV_OBSTACLE_NONE, "");
}

static void on_timer(void *arg)
{
    struct cv_connection *connection = arg;
    cv__connection_enter(connection);
    bool waits = cv__connection_way_count(connection) > 0;
    if (lacks_trust(connection))
        end_without_trust(connection);
    else if (connection->closing && is_delivered(connection) && !waits && !connection->reach)
        cv__connection_end(connection, CV_END_CLOSED, CV_OBSTACLE_NONE, "");
    else if (waits)
        start_is_late(connection);
    else if (!connection->reach && !cv__try_start(connection))
        cv__try_later(connection, CV_OBSTACLE_NONE);
    cv__connection_leave(connection);
}

static void on_watch(void *arg)
{
    struct cv_connection *connection = arg;
    cv__connection_enter(connection);
    cv__connection_watch(connection);
    cv__connection_leave(connection);
}

static void on_turn(void *arg)
{
    struct cv_connection *connection = arg;
    cv__connection_enter(connection);
    if (!connection->ended)
        cv__flow_push(connection);
    cv__connection_leave(connection);
}

// ---- what the owner wants ---------------------------------------------------------------------

// Where plain text is allowed, too.
static void forgo_tls(struct cv_target *target)
{
    if (target->security != CV_SECURITY_EITHER)
        return;
    target->security = CV_SECURITY_PLAIN;
    target->secure_port = 0;
}

struct cv_connection *cv_connection_new(struct cv_attempt_room *room,
                                        const struct cv_connection_config *config)
{
    struct cv_connection *connection = cv_mem_zero(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->room = room;
    connection->config = *config;
    connection->target = *config->target;
    connection->config.target = &connection->target;
    if (config->proxies)
        connection->proxies = *config->proxies;
    if (config->trust)
        cv_tls_trust_ref(config->trust);
    else
        forgo_tls(&connection->target);
    if (config->via == CV_VIA_AUTO)
        connection->config.via = config->target->via;
    for (int i = 0; i < 2; i++)
        connection->ways[i].connection = connection;
    cv_timer_init(&connection->timer, cv_attempt_room_loop(room), on_timer, connection);
    cv_timer_init(&connection->watch, cv_attempt_room_loop(room), on_watch, connection);
    cv_watchdog_init(&connection->watchdog, 0);
    cv_turn_init(&connection->turn, on_turn, connection);
    cv_outbox_init(&connection->outbox,
                   config->keep_bytes ? config->keep_bytes : CV_CONNECTION_KEEP_BYTES,
                   config->keep_all);
    connection->start_us = cv__connection_now_us(connection);
    const char *path = config->memory_path ? config->memory_path : "";
    connection->memory_path = cv_mem_text(path, strlen(path));
    if (lacks_trust(connection))
        cv_timer_start(&connection->timer, 0);
    if (connection->memory_path && (lacks_trust(connection) || cv__try_start(connection)))
        return connection;
    cv_connection_free(&connection);
    return NULL;
}

// What waits is delivered first, on whatever way. Without anything to deliver nobody need be told.
void cv_connection_close(struct cv_connection *connection)
{
    if (connection->closing || connection->ended)
        return;
    cv__connection_enter(connection);
    connection->closing = true;
    if (connection->active) {
        cv__flow_push(connection);
    } else if (is_delivered(connection)) {
        cv_timer_start(&connection->timer, 0);
        for (int i = 0; i < 2; i++)
            drop_way(&connection->ways[i]);
        cv_reach_free(&connection->reach);
    }
    cv__connection_leave(connection);
}

// What no engine would ever take, or no server: it would stand in the way of all that follows.
static int check_message(const struct cv_msg *msg)
{
    enum { FRAME_NAME_BYTES = 16 }; // "@setDataFrame", which metadata gets
    bool data = msg->type == CV_MSG_DATA_AMF0;
    if (!data && msg->type != CV_MSG_AUDIO && msg->type != CV_MSG_VIDEO)
        return CV_E_USAGE;
    size_t max = data ? CV_LIMIT_COMMAND_BYTES - FRAME_NAME_BYTES : CV_LIMIT_MEDIA_BYTES;
    return msg->payload->len <= max ? CV_OK : CV_E_TOO_LONG;
}

int cv_connection_send(struct cv_connection *connection, const struct cv_msg *msg)
{
    if (connection->ended || connection->closing ||
        connection->config.mode != CV_RTMP_CLIENT_PUBLISH)
        return CV_E_USAGE;
    int err = check_message(msg);
    if (err != CV_OK)
        return err;
    err = cv_outbox_add(&connection->outbox, msg);
    if (err == CV_OK)
        cv_turn_want(connection->room, &connection->turn);
    connection->refused = err == CV_E_AGAIN;
    return err;
}

void cv_connection_flush(struct cv_connection *connection)
{
    cv__connection_enter(connection);
    if (!connection->ended)
        cv__flow_push(connection);
    cv__connection_leave(connection);
}

int cv_connection_call(struct cv_connection *connection, const char *name, struct cv_text args,
                       uint32_t *out_call)
{
    if (!connection->active || connection->ended)
        return CV_E_AGAIN;
    int err =
        cv_rtmp_client_call(cv_attempt_client(connection->active->attempt), name, args, out_call);
    if (err == CV_OK)
        cv_connection_flush(connection);
    return err;
}

struct cv_connection_stats cv_connection_stats(const struct cv_connection *connection)
{
    struct cv_connection_stats stats = {
        .messages = connection->messages,
        .bytes = connection->bytes,
        .waiting_bytes = cv_outbox_waiting_bytes(&connection->outbox),
        .cuts = connection->cuts,
        .lost = connection->outbox.lost + connection->missed,
        .resumes = connection->resumes || connection->epoch[0],
    };
    if (connection->active)
        stats.now = cv_attempt_stats(connection->active->attempt);
    return stats;
}
