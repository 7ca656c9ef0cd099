#include "server/session.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/connect.h"
#include "proto/reply.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/publish_status.h"
#include "server/viewer.h"

#include <string.h>

enum { US_PER_S = 1000000 };

void cv_session_init(struct cv_session *session, struct cv_netconn *conn, struct cv_policy *policy)
{
    *session = (struct cv_session){.conn = conn, .policy = cv_policy_ref(policy)};
}

static void end_stream(struct cv_net_stream *stream, bool clean)
{
    cv_publisher_free(stream->publisher, clean);
    cv_viewer_free(stream->viewer);
    stream->publisher = NULL;
    stream->viewer = NULL;
}

void cv_session_done(struct cv_session *session, bool clean)
{
    for (uint32_t i = 0; i < session->stream_count; i++)
        end_stream(&session->streams[i], clean);
    cv_mem_free(session->app);
    cv_mem_free(session->tc_url);
    cv_policy_unref(&session->policy);
}

void cv_session_leave(struct cv_session *session)
{
    for (uint32_t i = 0; i < session->stream_count; i++)
        end_stream(&session->streams[i], true);
}

// Message stream ids are 1, 3, 4, ...: 0 is the connection (GStreamer fails on it), and 2 is taken
// for something else by some clients.
static uint32_t id_of_slot(uint32_t slot)
{
    return slot == 0 ? 1 : slot + 2;
}

struct cv_net_stream *cv_session_stream(struct cv_session *session, uint32_t id)
{
    for (uint32_t slot = 0; slot < session->stream_count; slot++) {
        if (id_of_slot(slot) == id && session->streams[slot].open)
            return &session->streams[slot];
    }
    return NULL;
}

// ---- a command and its arguments --------------------------------------------------------------

struct command {
    struct cv_session *session;
    struct cv_rtmp *rtmp;
    double transaction;
    const struct cv_rtmp_event *event;
    const struct cv_amf *args;    // what follows the command object
    uint32_t stream_id;           // the message stream it came on
    struct cv_net_stream *stream; // that stream, or NULL
};

static const struct cv_amf *argument(const struct command *command, int n)
{
    const struct cv_amf *value = command->args;
    while (value && n-- > 0)
        value = value->next;
    return value;
}

// Last words, then the end.
static int refuse(const struct command *command, enum cv_status status, const char *text)
{
    struct cv_netconn *conn = command->session->conn;
    int err = cv_reply_status(command->rtmp, command->stream_id, status, text);
    cv_netconn_finish(conn);
    return err;
}

static void log_refused(const struct command *command, const char *event, int code,
                        struct cv_text name)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_WARN, event);
    cv_netconn_log_fields(command->session->conn, &line);
    cv_line_text(&line, "app", command->session->app);
    cv_line_str(&line, "name", name.at, name.len);
    cv_line_err(&line, code);
    cv_line_end(&line);
}

// ---- the connection -------------------------------------------------------------------------

static int reject_connect(const struct command *command, const char *text)
{
    int err = cv_reply_error(command->rtmp, command->transaction, CV_STATUS_CONNECT_REJECTED, text);
    cv_netconn_finish(command->session->conn);
    return err;
}

static int on_connect(struct command *command)
{
    struct cv_session *session = command->session;
    struct cv_connect connect;
    if (session->connected)
        return CV_E_COMMAND;
    if (cv_connect_parse(command->event, &connect) != CV_OK)
        return reject_connect(command, "The connect command has no usable object.");
    session->app = cv_mem_text(connect.app.at, connect.app.len);
    session->tc_url = cv_mem_text(connect.tc_url.at, connect.tc_url.len);
    if (!session->app || !session->tc_url)
        return CV_E_NOMEM;
    session->connected = true;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "conn.connect");
    cv_netconn_log_fields(session->conn, &line);
    cv_line_text(&line, "app", session->app);
    cv_line_str(&line, "agent", connect.flash_ver.at, connect.flash_ver.len);
    cv_line_end(&line);
    return cv_reply_connect(command->rtmp, command->transaction, &connect,
                            session->policy->config->limits.chunk_bytes_out);
}

static int on_create_stream(struct command *command)
{
    for (uint32_t slot = 0; slot < CV_LIMIT_NET_STREAMS; slot++) {
        struct cv_net_stream *stream = &command->session->streams[slot];
        if (stream->open)
            continue;
        *stream = (struct cv_net_stream){
            .open = true, .id = id_of_slot(slot), .conn = command->session->conn};
        if (slot >= command->session->stream_count)
            command->session->stream_count = slot + 1;
        return cv_reply_result_number(command->rtmp, command->transaction, id_of_slot(slot));
    }
    return cv_reply_error(command->rtmp, command->transaction, CV_STATUS_CALL_FAILED,
                          "Too many streams on this connection.");
}

static int on_delete_stream(struct command *command)
{
    uint32_t id = cv_amf_u32(argument(command, 0), 0);
    struct cv_net_stream *stream = cv_session_stream(command->session, id);
    if (stream) {
        end_stream(stream, true);
        stream->open = false;
    }
    return CV_OK;
}

static int on_close_stream(struct command *command)
{
    if (command->stream)
        end_stream(command->stream, true);
    return CV_OK;
}

// releaseStream, _checkbw and others that only want to hear something.
static int on_acknowledged(struct command *command)
{
    return cv_reply_result(command->rtmp, command->transaction);
}

static int on_stream_length(struct command *command)
{
    return cv_reply_result_number(command->rtmp, command->transaction, 0); // live: no length
}

static int reply_fc(struct command *command, const char *name, enum cv_status status)
{
    int err = cv_reply_fc(command->rtmp, name, status, "");
    return err == CV_OK ? cv_reply_result(command->rtmp, command->transaction) : err;
}

static int on_fc_publish(struct command *command)
{
    return reply_fc(command, "onFCPublish", CV_STATUS_PUBLISH_START);
}

static int on_fc_subscribe(struct command *command)
{
    return reply_fc(command, "onFCSubscribe", CV_STATUS_PLAY_START);
}

// ---- publish and play -----------------------------------------------------------------------

// Where a command's stream name leads: path, app, and the name within the app.
struct target {
    struct cv_text name; // as the client sent it, with its query
    struct cv_path path;
    const struct cv_config_app *app;
    struct cv_text stream;
};

static int find_target(const struct command *command, struct target *out)
{
    const struct cv_session *session = command->session;
    out->name = cv_amf_text(argument(command, 0));
    if (out->name.len > CV_LIMIT_NAME_BYTES)
        return CV_E_TOO_LONG;
    int err = cv_path_join(&out->path, cv_text_of(session->app), out->name);
    if (err != CV_OK)
        return err;
    out->app = cv_policy_route(session->policy, &out->path, &out->stream);
    return out->app ? CV_OK : CV_E_NOT_FOUND;
}

// Behind name and "live": {resume: token, or ""}.
static struct cv_resume wanted_resume(const struct command *command)
{
    const struct cv_amf *resume = cv_amf_get(argument(command, 2), "resume");
    bool wanted = resume && resume->type == CV_AMF_STRING;
    return wanted ? cv_resume_wanted(cv_amf_text(resume)) : (struct cv_resume){0};
}

static int start_publishing(struct command *command, struct target *target)
{
    const struct cv_session *session = command->session;
    int err = find_target(command, target);
    if (err != CV_OK)
        return err;
    struct cv_publish_request request = {
        .policy = session->policy,
        .path = &target->path,
        .app = target->app,
        .stream = target->stream,
        .query = {.tc_url = cv_text_of(session->tc_url),
                  .app = cv_text_of(session->app),
                  .name = target->name},
        .peer = &session->conn->peer,
        .resume = wanted_resume(command),
    };
    struct cv_net_stream *stream = command->stream;
    err = cv_publisher_new(session->conn->worker, &request, &cv_session_publishes, stream,
                           &stream->publisher);
    return err == CV_OK ? cv_publisher_ask(stream->publisher) : err;
}

static int on_publish(struct command *command)
{
    struct target target = {0};
    if (!command->stream || command->stream->publisher || command->stream->viewer)
        return refuse(command, CV_STATUS_PUBLISH_BAD_NAME, "The message stream is not free.");
    int err = start_publishing(command, &target);
    if (err == CV_OK || err == CV_E_NOMEM)
        return err;
    log_refused(command, "publish.refused", err, target.name);
    bool denied = err == CV_E_REFUSED;
    return refuse(command, denied ? CV_STATUS_PUBLISH_DENIED : CV_STATUS_PUBLISH_BAD_NAME,
                  cv_publish_refusal(err));
}

// Behind name, start, duration and reset: {position: "epoch:number", or ""}.
static bool wanted_position(const struct command *command, struct cv_position *out)
{
    const struct cv_amf *position = cv_amf_get(argument(command, 4), "position");
    if (!position || position->type != CV_AMF_STRING)
        return false;
    *out = cv_position_wanted(cv_amf_text(position));
    return true;
}

// The third argument in milliseconds (protocol: -2000, -1000, or GStreamer's -2) only tells live
// from recorded; there is nothing recorded here.
static int on_play(struct command *command)
{
    struct cv_position wanted;
    bool resumes = wanted_position(command, &wanted);
    struct cv_policy *policy = command->session->policy;
    struct target target = {0};
    if (!command->stream || command->stream->publisher)
        return refuse(command, CV_STATUS_PLAY_FAILED, "The message stream is not free.");
    end_stream(command->stream, true); // another play takes the place of the one before
    int err = find_target(command, &target);
    if (err == CV_OK)
        err = cv_policy_may_play(policy, target.app);
    if (err == CV_OK)
        err = cv_policy_enter_viewer(policy, target.app, &target.path);
    if (err != CV_OK) {
        log_refused(command, "play.refused", err, target.name);
        enum cv_status status =
            err == CV_E_NOT_FOUND ? CV_STATUS_PLAY_NOT_FOUND : CV_STATUS_PLAY_FAILED;
        return refuse(command, status, cv_err_text(err));
    }
    command->stream->viewer =
        cv_viewer_new(command->session->conn, command->stream_id, &target.path, policy, target.app,
                      resumes ? &wanted : NULL);
    if (!command->stream->viewer) {
        cv_policy_leave_viewer(policy, target.app, &target.path);
        return CV_E_NOMEM;
    }
    cv_netconn_rearm(command->session->conn); // it may have to wait for a publisher
    return CV_OK;
}

// It comes on stream 0 with the stream's name, and says that what ends now ends on purpose.
static int on_fc_unpublish(struct command *command)
{
    struct target target = {0};
    bool known = find_target(command, &target) == CV_OK;
    for (int i = 0; known && i < CV_LIMIT_NET_STREAMS; i++) {
        struct cv_net_stream *stream = &command->session->streams[i];
        if (!stream->publisher || strcmp(stream->publisher->path.text, target.path.text) != 0)
            continue;
        cv_publisher_free(stream->publisher, true);
        stream->publisher = NULL;
    }
    return reply_fc(command, "onFCUnpublish", CV_STATUS_UNPUBLISH_SUCCESS);
}

static int on_pause(struct command *command)
{
    bool paused = cv_amf_boolean(argument(command, 0), true);
    if (!command->stream || !command->stream->viewer)
        return CV_OK;
    cv_viewer_pause(command->stream->viewer, paused);
    int err = cv_reply_status(command->rtmp, command->stream_id,
                              paused ? CV_STATUS_PAUSE_NOTIFY : CV_STATUS_UNPAUSE_NOTIFY,
                              paused ? "Paused." : "Playing on at the live edge.");
    if (err != CV_OK)
        return err;
    return cv_rtmp_send_user(command->rtmp, paused ? CV_USER_STREAM_EOF : CV_USER_STREAM_BEGIN,
                             command->stream_id);
}

static int on_seek(struct command *command)
{
    return cv_reply_status(command->rtmp, command->stream_id, CV_STATUS_SEEK_FAILED,
                           "A live stream cannot be searched.");
}

static int say_resumed(struct command *command)
{
    int err = cv_reply_status(command->rtmp, command->stream_id, CV_STATUS_SEEK_NOTIFY, "");
    if (err != CV_OK)
        return err;
    return cv_reply_status(command->rtmp, command->stream_id, CV_STATUS_PLAY_START, "");
}

static int on_receive_audio(struct command *command)
{
    bool on = cv_amf_boolean(argument(command, 0), true);
    if (!command->stream || !command->stream->viewer)
        return CV_OK;
    cv_viewer_receive_audio(command->stream->viewer, on);
    return on ? say_resumed(command) : CV_OK;
}

static int on_receive_video(struct command *command)
{
    bool on = cv_amf_boolean(argument(command, 0), true);
    if (!command->stream || !command->stream->viewer)
        return CV_OK;
    cv_viewer_receive_video(command->stream->viewer, on);
    return on ? say_resumed(command) : CV_OK;
}

static int on_ignored(struct command *command)
{
    (void)command;
    return CV_OK;
}

struct command_row {
    const char *name;
    int (*run)(struct command *command);
};

static const struct command_row command_rows[] = {
    {"connect", on_connect},
    {"createStream", on_create_stream},
    {"deleteStream", on_delete_stream},
    {"closeStream", on_close_stream},
    {"publish", on_publish},
    {"play", on_play},
    {"pause", on_pause},
    {"pauseRaw", on_pause},
    {"seek", on_seek},
    {"receiveAudio", on_receive_audio},
    {"receiveVideo", on_receive_video},
    {"releaseStream", on_acknowledged},
    {"FCPublish", on_fc_publish},
    {"FCUnpublish", on_fc_unpublish},
    {"FCSubscribe", on_fc_subscribe},
    {"FCUnsubscribe", on_acknowledged},
    {"getStreamLength", on_stream_length},
    {"_checkbw", on_acknowledged},
    {"checkBandwidth", on_acknowledged},
    {"_result", on_ignored},
    {"_error", on_ignored},
    {"onStatus", on_ignored},
};

static int on_unknown(struct command *command)
{
    return cv_reply_error(command->rtmp, command->transaction, CV_STATUS_CALL_FAILED,
                          "The server does not know this command.");
}

static int (*find_command(struct cv_text name))(struct command *)
{
    for (size_t i = 0; i < sizeof command_rows / sizeof command_rows[0]; i++) {
        if (cv_text_is(name, command_rows[i].name))
            return command_rows[i].run;
    }
    return on_unknown;
}

static bool too_many_commands(struct cv_session *session, uint64_t now_us)
{
    uint64_t second = now_us / US_PER_S;
    if (session->commands_second != second)
        session->commands = 0;
    session->commands_second = second;
    return ++session->commands > CV_LIMIT_COMMANDS_PER_S;
}

static int on_command(struct cv_session *session, const struct cv_rtmp_event *event,
                      uint64_t now_us)
{
    if (too_many_commands(session, now_us))
        return CV_E_TOO_MANY;
    struct command command = {
        .session = session,
        .rtmp = session->conn->rtmp,
        .transaction = event->transaction,
        .event = event,
        .args = event->args,
        .stream_id = event->msg.stream_id,
        .stream = cv_session_stream(session, event->msg.stream_id),
    };
    int (*run)(struct command *) = find_command(event->name);
    if (!session->connected && run != on_connect)
        return CV_E_COMMAND;
    return run(&command);
}

// ---- media and the rest -----------------------------------------------------------------------

// Where data messages go: the stream they came on, or, for encoders that send metadata on stream 0,
// the only publisher there is.
static struct cv_publisher *publisher_for(struct cv_session *session, const struct cv_msg *msg)
{
    struct cv_net_stream *stream = cv_session_stream(session, msg->stream_id);
    if (stream || msg->type != CV_MSG_DATA_AMF0)
        return stream ? stream->publisher : NULL;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        if (session->streams[i].publisher)
            return session->streams[i].publisher;
    }
    return NULL;
}

static int on_media(struct cv_session *session, const struct cv_msg *msg)
{
    struct cv_publisher *publisher = publisher_for(session, msg);
    return publisher ? cv_publisher_append(publisher, msg) : CV_OK;
}

int cv_session_on_event(struct cv_session *session, const struct cv_rtmp_event *event,
                        uint64_t now_us)
{
    switch (event->type) {
    case CV_RTMP_COMMAND:
        return on_command(session, event, now_us);
    case CV_RTMP_MEDIA:
    case CV_RTMP_DATA:
        return on_media(session, &event->msg);
    case CV_RTMP_READY:
    case CV_RTMP_SHARED_OBJECT:
    case CV_RTMP_USER_CONTROL:
    case CV_RTMP_ACK:
        return CV_OK;
    }
    CV_UNREACHABLE();
}

int cv_session_fill(struct cv_session *session)
{
    int more = 0;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        int filled = session->streams[i].viewer ? cv_viewer_fill(session->streams[i].viewer) : 0;
        if (filled < 0)
            return filled;
        more |= filled;
    }
    return more;
}

struct cv_viewer *cv_session_only_viewer(const struct cv_session *session)
{
    struct cv_viewer *only = NULL;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        struct cv_viewer *viewer = session->streams[i].viewer;
        if (only && viewer)
            return NULL;
        only = viewer ? viewer : only;
    }
    return only;
}

bool cv_session_make_room(struct cv_session *session)
{
    bool room = true;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        struct cv_publisher *publisher = session->streams[i].publisher;
        if (publisher && !cv_publisher_make_room(publisher))
            room = false;
    }
    return room;
}

bool cv_session_is_publishing(const struct cv_session *session)
{
    for (uint32_t i = 0; i < session->stream_count; i++) {
        if (session->streams[i].publisher)
            return true;
    }
    return false;
}

bool cv_session_is_playing(const struct cv_session *session)
{
    for (uint32_t i = 0; i < session->stream_count; i++) {
        if (session->streams[i].viewer)
            return true;
    }
    return false;
}

bool cv_session_flows(const struct cv_session *session)
{
    bool flows = false;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        const struct cv_net_stream *stream = &session->streams[i];
        if (stream->publisher || (stream->viewer && !cv_viewer_flows(stream->viewer)))
            return false;
        flows |= stream->viewer != NULL;
    }
    return flows;
}

static uint64_t stream_deadline_us(const struct cv_net_stream *stream)
{
    if (stream->viewer)
        return cv_viewer_deadline_us(stream->viewer);
    return stream->publisher ? cv_publisher_tell_us(stream->publisher) : UINT64_MAX;
}

uint64_t cv_session_deadline_us(const struct cv_session *session)
{
    uint64_t first_us = UINT64_MAX;
    for (uint32_t i = 0; i < session->stream_count; i++) {
        uint64_t deadline_us = stream_deadline_us(&session->streams[i]);
        if (deadline_us < first_us)
            first_us = deadline_us;
    }
    return first_us;
}

static void end_wait(const struct cv_net_stream *stream)
{
    cv_reply_status(stream->conn->rtmp, stream->id, CV_STATUS_PLAY_NOT_FOUND,
                    "Nobody publishes this stream.");
}

// Without room or memory for it: again in a while.
static void tell_taken(const struct cv_net_stream *stream)
{
    struct cv_publisher *publisher = stream->publisher;
    uint64_t taken = publisher->resume.taken;
    int err = cv_reply_taken(stream->conn->rtmp, stream->id, taken);
    cv_publisher_set_told(publisher, err == CV_OK ? taken : publisher->told);
}

void cv_session_on_deadline(struct cv_session *session, uint64_t now_us)
{
    for (uint32_t slot = 0; slot < CV_LIMIT_NET_STREAMS; slot++) {
        struct cv_net_stream *stream = &session->streams[slot];
        if (stream_deadline_us(stream) > now_us)
            continue;
        if (stream->viewer) {
            end_wait(stream);
            end_stream(stream, true);
        } else {
            tell_taken(stream);
        }
    }
}

void cv_session_say_over(struct cv_session *session)
{
    for (uint32_t i = 0; i < session->stream_count; i++) {
        if (session->streams[i].viewer)
            cv_viewer_say_over(session->streams[i].viewer);
    }
}
