// What travels on a connection's ways: where a publisher's stream goes on behind a cut, which
// messages a player has had already.
#include "client/connection_state.h"

#include "base/check.h"
#include "io/openssl.h"
#include "media/metadata.h"

#include <stdio.h>
#include <string.h>

// Behind so much in the engine the rest waits in the outbox, where a cut does not lose it.
enum { ENGINE_BYTES = 256 * 1024 };

static bool publishes(const struct cv_connection *connection)
{
    return connection->config.mode == CV_RTMP_CLIENT_PUBLISH;
}

void cv__flow_fill_config(struct cv_connection *connection, struct cv_rtmp_client_config *rtmp,
                          char *position, size_t position_size)
{
    const struct cv_target *target = &connection->target;
    *rtmp = (struct cv_rtmp_client_config){
        .mode = connection->config.mode,
        .crypto = &cv_crypto_openssl,
        .app = cv_text_of(target->app),
        .name = cv_text_of(target->name),
        .tc_url = cv_text_of(target->tc_url),
        .buffer_ms = connection->config.buffer_ms,
        .enhanced = true,
        .resume = true,
        .resume_token = cv_text_of(connection->token),
    };
    position[0] = '\0';
    if (connection->epoch[0])
        snprintf(position, position_size, "%s:%llu", connection->epoch,
                 (unsigned long long)connection->number);
    rtmp->position = cv_text_of(position);
}

uint64_t cv__flow_lost(struct cv_connection *connection)
{
    uint64_t lost = connection->outbox.lost + connection->missed;
    uint64_t fresh = lost - connection->lost_told;
    connection->lost_told = lost;
    return fresh;
}

// ---- publish ----------------------------------------------------------------------------------

static void keep_text(char *out, size_t size, struct cv_text text)
{
    snprintf(out, size, "%.*s", (int)text.len, text.at ? text.at : "");
}

int cv__flow_start(struct cv_connection *connection, const struct cv_rtmp_client_event *event)
{
    if (!publishes(connection))
        return CV_OK;
    connection->resumes = event->resumes;
    bool same =
        event->resumes && connection->token[0] && cv_text_is(event->token, connection->token);
    keep_text(connection->token, sizeof connection->token, event->token);
    if (same)
        return cv_outbox_resume(&connection->outbox, event->taken);
    // Who leaves and had sent everything was cut in his goodbye, and the server has let the stream
    // go: it would be no help to publish its last pictures once more.
    bool said_all = connection->closing && cv_outbox_all_sent(&connection->outbox);
    if (connection->started && !said_all)
        cv_outbox_restart(&connection->outbox);
    return CV_OK;
}

// Metadata gets its "@setDataFrame" unless it has it.
static int send_one(struct cv_rtmp_client *rtmp, const struct cv_msg *msg)
{
    size_t offset;
    bool metadata = msg->type == CV_MSG_DATA_AMF0 &&
                    cv_data_classify(msg->payload, &offset) == CV_DATA_METADATA;
    if (metadata && offset == 0)
        return cv_rtmp_client_send_metadata(rtmp, msg->ts_ms, msg->payload);
    return cv_rtmp_client_send(rtmp, msg);
}

static void tell_room(struct cv_connection *connection)
{
    struct cv_connection_event event = {.type = CV_CONNECTION_ROOM};
    if (!connection->refused || connection->closing)
        return;
    connection->refused = false;
    cv__connection_tell(connection, &event);
}

// A server that does not count: what has left us has arrived, as far as we know.
static void believe(struct cv_connection *connection, struct cv_rtmp_client *rtmp)
{
    if (connection->resumes || !cv_rtmp_client_out_empty(rtmp))
        return;
    int err = cv_outbox_taken(&connection->outbox, connection->outbox.count);
    CV_ASSERT(err == CV_OK);
    tell_room(connection);
}

void cv__flow_push(struct cv_connection *connection)
{
    if (!connection->active)
        return;
    const struct cv_way_in_use *way = connection->active;
    struct cv_attempt *attempt = way->attempt;
    struct cv_rtmp_client *rtmp = cv_attempt_client(attempt);
    struct cv_msg msg;
    while (!cv_attempt_is_blocked(attempt) && cv_outbox_peek(&connection->outbox, &msg) > 0) {
        if (cv_rtmp_client_out_bytes(rtmp) > ENGINE_BYTES) {
            cv_attempt_flush(attempt);
            if (way->attempt != attempt)
                return; // it has fallen
            if (cv_rtmp_client_out_bytes(rtmp) > ENGINE_BYTES)
                return;
        }
        if (send_one(rtmp, &msg) != CV_OK)
            break; // no room, or no memory: later
        connection->messages++;
        connection->bytes += msg.payload->len;
        cv_outbox_sent(&connection->outbox);
    }
    cv_attempt_flush(attempt);
    if (way->attempt != attempt)
        return;
    believe(connection, rtmp);
    if (!connection->ended && connection->closing && cv_outbox_all_sent(&connection->outbox))
        cv_attempt_finish(attempt);
}

static void on_taken(struct cv_connection *connection, uint64_t taken)
{
    if (cv_outbox_taken(&connection->outbox, taken) == CV_OK) {
        tell_room(connection);
        return;
    }
    cv_why_set(&connection->why, CV_E_SEQUENCE, "connection",
               "the server counts more than it was sent");
    cv__connection_end(connection, CV_END_FAILED, CV_OBSTACLE_NONE, "");
}

// ---- play -------------------------------------------------------------------------------------

// What is wanted follows the numbers of the way in use; beside it another one's must wait until it
// has taken over.
static void adopt(const struct cv_way_in_use *way)
{
    struct cv_connection *connection = way->connection;
    bool waits = connection->active && connection->active != way;
    if (waits || strcmp(connection->epoch, way->epoch) == 0)
        return;
    memcpy(connection->epoch, way->epoch, sizeof way->epoch);
    connection->number = way->number;
}

static void on_position(struct cv_way_in_use *way, const struct cv_rtmp_client_event *event)
{
    keep_text(way->epoch, sizeof way->epoch, event->epoch);
    way->number = event->seq;
    adopt(way);
}

// False: it has come before, on another way.
static bool is_news(struct cv_way_in_use *way)
{
    struct cv_connection *connection = way->connection;
    if (!way->epoch[0])
        return true;
    adopt(way);
    uint64_t number = way->number++;
    if (number < connection->number)
        return false;
    connection->missed += number - connection->number;
    connection->number = number + 1;
    return true;
}

static void on_message(struct cv_way_in_use *way, const struct cv_msg *msg)
{
    struct cv_connection *connection = way->connection;
    struct cv_connection_event event = {.type = CV_CONNECTION_MESSAGE, .msg = *msg};
    if (connection->active != way || !is_news(way))
        return;
    connection->messages++;
    connection->bytes += msg->payload->len;
    cv__connection_tell(connection, &event);
}

// ---- both -------------------------------------------------------------------------------------

static void on_status(struct cv_connection *connection, const struct cv_rtmp_client_event *event)
{
    struct cv_connection_event own = {
        .type = CV_CONNECTION_STATUS, .code = event->code, .description = event->description};
    cv__connection_tell(connection, &own);
}

static void on_result(struct cv_connection *connection, const struct cv_rtmp_client_event *event)
{
    struct cv_connection_event own = {
        .type = CV_CONNECTION_RESULT, .call = event->call, .ok = event->ok, .args = event->args};
    cv__connection_tell(connection, &own);
}

void cv__flow_event(struct cv_way_in_use *way, const struct cv_rtmp_client_event *event)
{
    struct cv_connection *connection = way->connection;
    switch (event->type) {
    case CV_RTMP_CLIENT_MEDIA:
    case CV_RTMP_CLIENT_DATA:
        on_message(way, &event->msg);
        return;
    case CV_RTMP_CLIENT_TAKEN:
        if (connection->active == way)
            on_taken(connection, event->taken);
        return;
    case CV_RTMP_CLIENT_POSITION:
        on_position(way, event);
        return;
    case CV_RTMP_CLIENT_STATUS:
        on_status(connection, event);
        return;
    case CV_RTMP_CLIENT_RESULT:
        on_result(connection, event);
        return;
    case CV_RTMP_CLIENT_PONG:
        connection->pongs = true;
        return;
    case CV_RTMP_CLIENT_READY:
    case CV_RTMP_CLIENT_CONNECTED:
    case CV_RTMP_CLIENT_STARTED:
    case CV_RTMP_CLIENT_ENDED:
        return;
    }
    CV_UNREACHABLE();
}
