#include "proto/rtmp_client_state.h"

#include "base/check.h"

static const char place[] = "rtmp client";

// Functions return 1 with an event, 0 when there is none, or a negative code.

// ---- what an answer says --------------------------------------------------------------------

// {level, code, description}, wherever a server puts it; NULL when there is none.
static const struct cv_amf *info_of(const struct cv_rtmp_event *event)
{
    if (cv_amf_get(event->args, "code"))
        return event->args;
    return event->object;
}

static struct cv_text code_of(const struct cv_rtmp_event *event)
{
    return cv_amf_text(cv_amf_get(info_of(event), "code"));
}

static struct cv_text description_of(const struct cv_rtmp_event *event)
{
    return cv_amf_text(cv_amf_get(info_of(event), "description"));
}

// Codes that end a session even where a server forgets to call them errors.
static bool is_refusal(const struct cv_rtmp_event *event)
{
    static const char *const codes[] = {"NetConnection.Connect.Closed",
                                        "NetConnection.Connect.Failed",
                                        "NetConnection.Connect.InvalidApp",
                                        "NetConnection.Connect.Rejected",
                                        "NetStream.Failed",
                                        "NetStream.Play.Failed",
                                        "NetStream.Play.StreamNotFound",
                                        "NetStream.Publish.BadName",
                                        "NetStream.Publish.Denied",
                                        "NetStream.Publish.Rejected"};
    if (cv_text_is(cv_amf_text(cv_amf_get(info_of(event), "level")), "error"))
        return true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (cv_text_is(code_of(event), codes[i]))
            return true;
    }
    return false;
}

static int code_of_end(enum cv_rtmp_client_end end, struct cv_text code)
{
    if (end != CV_RTMP_CLIENT_REJECTED && end != CV_RTMP_CLIENT_REFUSED)
        return CV_E_CLOSED;
    if (cv_text_is(code, "NetStream.Play.StreamNotFound") ||
        cv_text_is(code, "NetConnection.Connect.InvalidApp"))
        return CV_E_NOT_FOUND;
    return CV_E_REFUSED;
}

// ---- how it goes on -------------------------------------------------------------------------

static int finish(struct cv_rtmp_client *client, enum cv_rtmp_client_end end,
                  const struct cv_rtmp_event *event, struct cv_rtmp_client_event *out)
{
    client->state = STATE_ENDED;
    out->type = CV_RTMP_CLIENT_ENDED;
    out->end = end;
    out->code = code_of(event);
    out->description = description_of(event);
    int code = code_of_end(end, out->code);
    if (out->code.len)
        cv_why_set(&client->why, code, place, "%.*s: %.*s", (int)out->code.len, out->code.at,
                   (int)out->description.len, out->description.at ? out->description.at : "");
    else
        cv_why_set(&client->why, code, place, "the server ended it");
    return 1;
}

static int fail(struct cv_rtmp_client *client, int err, const char *what)
{
    return cv_why_set(&client->why, err, place, "%s", what);
}

static int on_connected(struct cv_rtmp_client *client, struct cv_rtmp_client_event *out)
{
    int err = CV_OK;
    out->type = CV_RTMP_CLIENT_CONNECTED;
    client->state = client->eager ? STATE_STARTING : STATE_CREATING;
    if (client->mode == CV_RTMP_CLIENT_CALL)
        client->state = STATE_RUNNING;
    else if (!client->eager)
        err = cv__client_create(client);
    return err == CV_OK ? 1 : fail(client, err, "could not ask for a stream");
}

static int on_created(struct cv_rtmp_client *client, uint32_t stream_id)
{
    if (stream_id == 0)
        return fail(client, CV_E_COMMAND, "createStream was answered without a stream number");
    client->created = true;
    if (client->eager && stream_id != CV_EAGER_STREAM)
        return fail(client, CV_E_COMMAND, "createStream was answered with another number than 1");
    if (client->eager)
        return 0;
    client->state = STATE_STARTING;
    client->stream_id = stream_id;
    int err = cv__client_start(client);
    return err == CV_OK ? CV_OK : fail(client, err, "could not publish or play");
}

// createStream: was asked, and not answered yet. An eager client may be further by then.
static bool creates(const struct cv_rtmp_client *client)
{
    return client->state > STATE_CONNECTING && client->mode != CV_RTMP_CLIENT_CALL &&
           !client->created;
}

// True for an answer that we wait for; each is taken once.
static bool is_awaited(const struct cv_rtmp_client *client, double transaction)
{
    return (client->state == STATE_CONNECTING && transaction == CV_ASK_CONNECT) ||
           (creates(client) && transaction == CV_ASK_CREATE) ||
           (client->state == STATE_STARTING && transaction == CV_ASK_START);
}

// Takes a call off the list. False: nobody has asked.
static bool take_call(struct cv_rtmp_client *client, double transaction,
                      struct cv_rtmp_client_event *out)
{
    for (uint32_t i = 0; i < client->call_count; i++) {
        if (client->calls[i] != transaction)
            continue;
        out->type = CV_RTMP_CLIENT_RESULT;
        out->call = client->calls[i];
        client->calls[i] = client->calls[--client->call_count];
        return true;
    }
    return false;
}

static int on_error(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out)
{
    if (take_call(client, event->transaction, out)) {
        out->args = event->args;
        out->code = code_of(event);
        out->description = description_of(event);
        return 1;
    }
    if (!is_awaited(client, event->transaction))
        return 0; // releaseStream and FCPublish are often refused, and nobody minds
    bool connecting = client->state == STATE_CONNECTING;
    return finish(client, connecting ? CV_RTMP_CLIENT_REJECTED : CV_RTMP_CLIENT_REFUSED, event,
                  out);
}

static int on_result(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                     struct cv_rtmp_client_event *out)
{
    if (take_call(client, event->transaction, out)) {
        out->ok = true;
        out->args = event->args;
        return 1;
    }
    if (!is_awaited(client, event->transaction))
        return 0;
    if (is_refusal(event))
        return on_error(client, event, out);
    if (client->state == STATE_CONNECTING)
        return on_connected(client, out);
    if (event->transaction == CV_ASK_CREATE)
        return on_created(client, cv_amf_u32(event->args, 0));
    return 0; // publish and play are answered by onStatus
}

// ---- resuming -------------------------------------------------------------------------------

// A count of messages: whole, and small enough for a double to be exact.
static bool is_count(const struct cv_amf *value, uint64_t *out)
{
    const double max = 9007199254740992.0; // 2^53
    double number = cv_amf_number(value, -1);
    if (!(number >= 0 && number <= max) || number != (double)(uint64_t)number)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool is_token(struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return text.len == CV_RESUME_TOKEN_CHARS;
}

static bool is_epoch(struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    }
    return text.len > 0 && text.len <= CV_LIMIT_EPOCH_BYTES;
}

// What Publish.Start says about it, to a publisher that has asked. A publishing that is new to the
// server has nothing yet.
static int read_resume(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                       struct cv_rtmp_client_event *out)
{
    const struct cv_amf *info = info_of(event);
    const struct cv_amf *token = cv_amf_get(info, "resume");
    if (!client->resume || !cv__client_publishes(client) || !token)
        return CV_OK;
    out->token = cv_amf_text(token);
    if (!is_token(out->token) || !is_count(cv_amf_get(info, "taken"), &out->taken))
        return fail(client, CV_E_COMMAND, "a promise to resume that cannot be read");
    if (out->taken && !cv_text_is(out->token, client->token))
        return fail(client, CV_E_COMMAND, "a new publishing that has messages already");
    client->resumes = out->resumes = true;
    client->taken = client->sent = out->taken;
    return CV_OK;
}

static int on_taken(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out)
{
    if (!client->resumes || event->msg.stream_id != client->stream_id)
        return 0;
    if (!is_count(event->args, &out->taken))
        return fail(client, CV_E_COMMAND, "onTaken without a number of messages");
    if (out->taken < client->taken || out->taken > client->sent)
        return fail(client, CV_E_COMMAND, "onTaken with fewer messages than before, or too many");
    if (out->taken == client->taken)
        return 0;
    client->taken = out->taken;
    out->type = CV_RTMP_CLIENT_TAKEN;
    return 1;
}

// ---- a stream that runs ---------------------------------------------------------------------

static int start(struct cv_rtmp_client *client, struct cv_rtmp_client_event *out)
{
    client->state = STATE_RUNNING;
    out->type = CV_RTMP_CLIENT_STARTED;
    return 1;
}

static int on_status(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                     struct cv_rtmp_client_event *out)
{
    struct cv_text code = code_of(event);
    const char *started =
        cv__client_publishes(client) ? "NetStream.Publish.Start" : "NetStream.Play.Start";
    if (is_refusal(event))
        return finish(client,
                      client->state == STATE_CONNECTING ? CV_RTMP_CLIENT_REJECTED
                                                        : CV_RTMP_CLIENT_REFUSED,
                      event, out);
    if (cv_text_is(code, "NetStream.Play.UnpublishNotify"))
        return finish(client, CV_RTMP_CLIENT_UNPUBLISHED, event, out);
    if (cv_text_is(code, "NetStream.Play.Stop") || cv_text_is(code, "NetStream.Play.Complete"))
        return finish(client, CV_RTMP_CLIENT_FINISHED, event, out);
    out->code = code;
    out->description = description_of(event);
    if (client->state == STATE_STARTING && cv_text_is(code, started)) {
        int err = read_resume(client, event, out);
        return err == CV_OK ? start(client, out) : err;
    }
    out->type = CV_RTMP_CLIENT_STATUS;
    return 1;
}

// What belongs to a player's stream may come before Play.Start, or without it: then STARTED is told
// first.
static int tell(struct cv_rtmp_client *client, struct cv_rtmp_client_event *out)
{
    if (client->state == STATE_RUNNING)
        return 1;
    client->holding = true;
    client->held = *out;
    *out = (struct cv_rtmp_client_event){0};
    return start(client, out);
}

static bool plays(const struct cv_rtmp_client *client)
{
    return client->mode == CV_RTMP_CLIENT_PLAY && client->state >= STATE_STARTING;
}

static int on_media(struct cv_rtmp_client *client, enum cv_rtmp_client_event_type type,
                    const struct cv_msg *msg, struct cv_rtmp_client_event *out)
{
    if (!plays(client))
        return 0;
    out->type = type;
    out->msg = *msg;
    return tell(client, out);
}

static int on_position(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                       struct cv_rtmp_client_event *out)
{
    if (!client->resume || !plays(client) || event->msg.stream_id != client->stream_id)
        return 0;
    out->type = CV_RTMP_CLIENT_POSITION;
    out->epoch = cv_amf_text(event->args);
    bool text = event->args && event->args->type == CV_AMF_STRING;
    if (!text || !is_count(event->args->next, &out->seq) ||
        !(is_epoch(out->epoch) || (out->epoch.len == 0 && out->seq == 0))) // empty: taken back
        return fail(client, CV_E_COMMAND, "onPosition that cannot be read");
    return tell(client, out);
}

static int on_close(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out)
{
    return finish(client, CV_RTMP_CLIENT_CLOSED, event, out);
}

static int on_command(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                      struct cv_rtmp_client_event *out)
{
    static const struct {
        const char *name;
        int (*fn)(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                  struct cv_rtmp_client_event *out);
    } commands[] = {
        {"_result", on_result}, {"_error", on_error},  {"onStatus", on_status},
        {"close", on_close},    {"onTaken", on_taken}, {"onPosition", on_position},
    };
    if (client->state == STATE_NEW)
        return 0; // nothing has been asked
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (cv_text_is(event->name, commands[i].name))
            return commands[i].fn(client, event, out);
    }
    return 0; // onBWDone, onFCPublish and many more: nobody needs an answer
}

static int on_user_control(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                           struct cv_rtmp_client_event *out)
{
    if (event->user_event == CV_USER_PING_RESPONSE && client->pings) {
        client->pings--;
        out->type = CV_RTMP_CLIENT_PONG;
        out->number = event->user_id;
        return 1;
    }
    if (event->user_event != CV_USER_STREAM_EOF || event->user_id != client->stream_id ||
        client->mode != CV_RTMP_CLIENT_PLAY || client->state != STATE_RUNNING)
        return 0;
    return finish(client, CV_RTMP_CLIENT_FINISHED, event, out);
}

int cv__client_hear(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out)
{
    switch (event->type) {
    case CV_RTMP_READY:
        out->type = CV_RTMP_CLIENT_READY;
        return 1;
    case CV_RTMP_COMMAND:
        return on_command(client, event, out);
    case CV_RTMP_MEDIA:
        return on_media(client, CV_RTMP_CLIENT_MEDIA, &event->msg, out);
    case CV_RTMP_DATA:
        // A data message alone starts nothing: some servers send theirs before Play.Start.
        if (client->state != STATE_RUNNING)
            return 0;
        return on_media(client, CV_RTMP_CLIENT_DATA, &event->msg, out);
    case CV_RTMP_USER_CONTROL:
        return on_user_control(client, event, out);
    case CV_RTMP_SHARED_OBJECT:
    case CV_RTMP_ACK:
        return 0;
    }
    CV_UNREACHABLE();
}
