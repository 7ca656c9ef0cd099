// The watch over a connection's way in use: samples for the watchdog, and what it wants.
#include "client/connection_state.h"

#include "base/check.h"

// Stream time between the oldest message that has not left and the newest.
static uint32_t behind_ms(const struct cv_outbox *outbox)
{
    struct cv_msg oldest;
    if (cv_outbox_all_sent(outbox) || cv_outbox_peek(outbox, &oldest) == 0)
        return 0;
    int32_t span = (int32_t)(cv_outbox_newest_ts_ms(outbox) - oldest.ts_ms);
    return span > 0 ? (uint32_t)span : 0;
}

static bool is_due(const struct cv_connection *connection)
{
    if (connection->config.mode == CV_RTMP_CLIENT_PLAY)
        return connection->messages > 0;
    return connection->resumes && connection->outbox.arrived < connection->outbox.next;
}

static struct cv_watchdog_sample sample_of(const struct cv_connection *connection)
{
    struct cv_attempt_stats stats = cv_attempt_stats(connection->active->attempt);
    return (struct cv_watchdog_sample){
        .heard_us = stats.heard_us,
        .acked_bytes = stats.written_bytes - stats.unacked_bytes,
        .unacked_bytes = stats.unacked_bytes,
        .rtt_us = stats.rtt_us,
        .behind_ms = behind_ms(&connection->outbox),
        .due = is_due(connection),
        .answers = connection->pongs || connection->resumes || connection->epoch[0],
    };
}

static void ping(struct cv_connection *connection)
{
    struct cv_attempt *attempt = connection->active->attempt;
    // Without room for it so much else waits that its acknowledgement is a sign as good.
    if (cv_rtmp_client_ping(cv_attempt_client(attempt), ++connection->pings) == CV_OK)
        cv_attempt_flush(attempt);
}

static void tell_starved(struct cv_connection *connection)
{
    struct cv_connection_event event = {
        .type = CV_CONNECTION_STATUS,
        .code = cv_text_of("Culvert.Starved"),
        .description = cv_text_of(cv_obstacle_text(CV_OBSTACLE_STARVED)),
    };
    cv__connection_tell(connection, &event);
}

static void act(struct cv_connection *connection, enum cv_watchdog_act what)
{
    switch (what) {
    case CV_WATCHDOG_PING:
        ping(connection);
        return;
    case CV_WATCHDOG_RENEW:
        cv__connection_renew(connection);
        return;
    case CV_WATCHDOG_WELL:
        cv__connection_keep(connection);
        return;
    case CV_WATCHDOG_LOST:
        cv__connection_lose(connection);
        return;
    case CV_WATCHDOG_STARVED:
        tell_starved(connection);
        return;
    }
    CV_UNREACHABLE();
}

void cv__connection_watch(struct cv_connection *connection)
{
    enum cv_watchdog_act what;
    bool leaving = connection->closing && cv_outbox_all_sent(&connection->outbox);
    if (!connection->active || leaving) {
        cv_timer_stop(&connection->watch);
        return;
    }
    struct cv_watchdog_sample sample = sample_of(connection);
    cv_watchdog_look(&connection->watchdog, &sample, cv__connection_now_us(connection));
    while (connection->active && !connection->ended &&
           cv_watchdog_next(&connection->watchdog, &what))
        act(connection, what);
    uint64_t deadline_us = cv_watchdog_deadline_us(&connection->watchdog);
    if (connection->active && !connection->ended && deadline_us != UINT64_MAX)
        cv_timer_start_at(&connection->watch, deadline_us);
}
