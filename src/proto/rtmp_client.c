#include "proto/rtmp_client.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/amf0.h"

static const char place[] = "rtmp client";

// Transaction ids. Only the answers to connect, createStream and the start command matter: real
// servers leave out the others, or send them late.
enum {
    ASK_CONNECT = 1,
    ASK_RELEASE = 2,
    ASK_FC_PUBLISH = 3,
    ASK_CREATE = 4,
    ASK_START = 5,
    ASK_FC_UNPUBLISH = 6,
    ASK_DELETE = 7,
};

enum { BUFFER_MS = 3000 };

enum state {
    STATE_NEW,        // connect has not been sent
    STATE_CONNECTING, // waits for the answer to connect
    STATE_CREATING,   // to createStream
    STATE_STARTING,   // to publish or play
    STATE_RUNNING,
    STATE_ENDED,
};

struct cv_rtmp_client {
    struct cv_rtmp *rtmp;
    enum cv_rtmp_client_mode mode;
    enum state state;
    bool enhanced;
    uint32_t buffer_ms;
    uint32_t stream_id;
    char *app;    // owned, as the next two
    char *name;   //
    char *tc_url; //
    bool holding; // `held` comes before anything else
    struct cv_rtmp_client_event held;
    struct cv_why why;
};

static bool is_publisher(const struct cv_rtmp_client *client)
{
    return client->mode == CV_RTMP_CLIENT_PUBLISH;
}

// ---- life -----------------------------------------------------------------------------------

static bool copy_texts(struct cv_rtmp_client *client, const struct cv_rtmp_client_config *config)
{
    client->app = cv_mem_text(config->app.at, config->app.len);
    client->name = cv_mem_text(config->name.at, config->name.len);
    client->tc_url = cv_mem_text(config->tc_url.at, config->tc_url.len);
    return client->app && client->name && client->tc_url;
}

// Both ways: a publisher's chunk size, or the window in which a player wants to acknowledge.
static int send_first(struct cv_rtmp_client *client, uint32_t chunk_bytes)
{
    if (!is_publisher(client))
        return cv_rtmp_send_control(client->rtmp, CV_MSG_WINDOW_ACK_SIZE, CV_WINDOW_BYTES);
    return cv_rtmp_send_control(client->rtmp, CV_MSG_SET_CHUNK_SIZE,
                                chunk_bytes ? chunk_bytes : CV_CHUNK_BYTES_OUT);
}

// Without any input yet, the engine's first step is to say C0 and C1.
static int begin_handshake(struct cv_rtmp_client *client)
{
    struct cv_rtmp_event event;
    int more = cv_rtmp_next(client->rtmp, &event);
    CV_ASSERT(more <= 0);
    return more;
}

struct cv_rtmp_client *cv_rtmp_client_new(const struct cv_rtmp_client_config *config,
                                          uint32_t now_ms)
{
    struct cv_rtmp_config engine = {
        .role = CV_RTMP_CLIENT,
        .crypto = config->crypto,
        .media_bytes_max = config->media_bytes_max,
        .out_bytes_max = config->out_bytes_max,
        .digest = config->digest,
    };
    struct cv_rtmp_client *client = cv_mem_zero(1, sizeof *client);
    if (!client)
        return NULL;
    client->mode = config->mode;
    client->enhanced = config->enhanced;
    client->buffer_ms = config->buffer_ms ? config->buffer_ms : BUFFER_MS;
    client->rtmp = cv_rtmp_new(&engine, now_ms);
    if (!client->rtmp || !copy_texts(client, config) || begin_handshake(client) != CV_OK ||
        send_first(client, config->chunk_bytes) != CV_OK) {
        cv_rtmp_client_free(client);
        return NULL;
    }
    return client;
}

void cv_rtmp_client_free(struct cv_rtmp_client *client)
{
    if (!client)
        return;
    cv_rtmp_free(client->rtmp);
    cv_mem_free(client->app);
    cv_mem_free(client->name);
    cv_mem_free(client->tc_url);
    cv_mem_free(client);
}

const struct cv_why *cv_rtmp_client_why(const struct cv_rtmp_client *client)
{
    const struct cv_why *why = cv_rtmp_why(client->rtmp);
    return why->code != CV_OK ? why : &client->why;
}

void cv_rtmp_client_pull(struct cv_rtmp_client *client, struct cv_gather *gather)
{
    cv_rtmp_pull(client->rtmp, gather);
}

void cv_rtmp_client_sent(struct cv_rtmp_client *client, size_t len)
{
    cv_rtmp_sent(client->rtmp, len);
}

bool cv_rtmp_client_out_empty(const struct cv_rtmp_client *client)
{
    return cv_rtmp_out_empty(client->rtmp);
}

size_t cv_rtmp_client_out_bytes(const struct cv_rtmp_client *client)
{
    return cv_rtmp_out_bytes(client->rtmp);
}

// ---- commands -------------------------------------------------------------------------------

// Players say what they can decode (RTMP 1.0, 7.2.1.1); old servers ask.
static void put_player(struct cv_wr *wr)
{
    enum { CAPABILITIES = 15, ALL_AUDIO = 0xfff, ALL_VIDEO = 0xff, CAN_SEEK = 1 };
    cv_amf0_key(wr, "fpad");
    cv_amf0_boolean(wr, false);
    cv_amf0_put_number(wr, "capabilities", CAPABILITIES);
    cv_amf0_put_number(wr, "audioCodecs", ALL_AUDIO);
    cv_amf0_put_number(wr, "videoCodecs", ALL_VIDEO);
    cv_amf0_put_number(wr, "videoFunction", CAN_SEEK);
}

// Enhanced RTMP v2: we forward every codec untouched.
static void put_enhanced(struct cv_wr *wr)
{
    enum { MULTITRACK_MODEX_NANO = 2 | 4 | 8 };
    cv_amf0_key(wr, "fourCcList");
    cv_amf0_strict_array(wr, 1);
    cv_amf0_string(wr, "*");
    cv_amf0_put_number(wr, "capsEx", MULTITRACK_MODEX_NANO);
}

int cv_rtmp_client_connect(struct cv_rtmp_client *client)
{
    CV_ASSERT(client->state == STATE_NEW);
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "connect", ASK_CONNECT);
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "app", client->app);
    if (is_publisher(client))
        cv_amf0_put_string(&wr, "type", "nonprivate");
    cv_amf0_put_string(&wr, "flashVer",
                       is_publisher(client) ? "FMLE/3.0 (compatible; Culvert)" : "LNX 9,0,124,2");
    cv_amf0_put_string(&wr, "tcUrl", client->tc_url);
    if (!is_publisher(client))
        put_player(&wr);
    cv_amf0_put_number(&wr, "objectEncoding", 0);
    if (client->enhanced)
        put_enhanced(&wr);
    cv_amf0_end(&wr);
    client->state = STATE_CONNECTING;
    return cv_rtmp_command_end(client->rtmp, &wr, 0, CV_CSID_COMMAND);
}

// A command of the connection whose only argument is the stream's name, or nothing.
static int send_plain(struct cv_rtmp_client *client, const char *name, double transaction,
                      const char *argument)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, name, transaction);
    cv_amf0_null(&wr);
    if (argument)
        cv_amf0_string(&wr, argument);
    return cv_rtmp_command_end(client->rtmp, &wr, 0, CV_CSID_COMMAND);
}

static int send_create(struct cv_rtmp_client *client)
{
    int err = CV_OK;
    if (is_publisher(client)) {
        err = send_plain(client, "releaseStream", ASK_RELEASE, client->name);
        if (err == CV_OK)
            err = send_plain(client, "FCPublish", ASK_FC_PUBLISH, client->name);
    }
    if (err == CV_OK)
        err = send_plain(client, "createStream", ASK_CREATE, NULL);
    return err;
}

static int send_publish(struct cv_rtmp_client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "publish", ASK_START);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, client->name);
    cv_amf0_string(&wr, "live");
    return cv_rtmp_command_end(client->rtmp, &wr, client->stream_id, CV_CSID_STREAM);
}

static int send_play(struct cv_rtmp_client *client)
{
    enum { LIVE_OR_RECORDED = -2000 }; // milliseconds on the wire, whatever the specification says
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "play", ASK_START);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, client->name);
    cv_amf0_number(&wr, LIVE_OR_RECORDED);
    int err = cv_rtmp_command_end(client->rtmp, &wr, client->stream_id, CV_CSID_STREAM);
    if (err != CV_OK)
        return err;
    return cv_rtmp_send_buffer_ms(client->rtmp, client->stream_id, client->buffer_ms);
}

static int send_delete(struct cv_rtmp_client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "deleteStream", ASK_DELETE);
    cv_amf0_null(&wr);
    cv_amf0_number(&wr, client->stream_id);
    return cv_rtmp_command_end(client->rtmp, &wr, 0, CV_CSID_COMMAND);
}

// ---- media ----------------------------------------------------------------------------------

static enum cv_csid csid_of(uint8_t type)
{
    return type == CV_MSG_AUDIO   ? CV_CSID_AUDIO
           : type == CV_MSG_VIDEO ? CV_CSID_VIDEO
                                  : CV_CSID_STATUS;
}

int cv_rtmp_client_send(struct cv_rtmp_client *client, const struct cv_msg *msg)
{
    if (!is_publisher(client) || client->state != STATE_RUNNING)
        return CV_E_USAGE;
    struct cv_msg own = *msg;
    own.stream_id = client->stream_id;
    return cv_rtmp_send(client->rtmp, &own, csid_of(msg->type));
}

int cv_rtmp_client_send_metadata(struct cv_rtmp_client *client, uint32_t ts_ms,
                                 const struct cv_block *body)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    cv_amf0_string(&wr, "@setDataFrame");
    cv_wr_bytes(&wr, body->data, body->len);
    struct cv_block *payload = cv_wr_take(&wr);
    if (!payload)
        return wr.err;
    struct cv_msg msg = {.type = CV_MSG_DATA_AMF0, .ts_ms = ts_ms, .payload = payload};
    int err = cv_rtmp_client_send(client, &msg);
    cv_block_unref(&payload);
    return err;
}

int cv_rtmp_client_stop(struct cv_rtmp_client *client)
{
    bool there = client->state == STATE_STARTING || client->state == STATE_RUNNING;
    client->state = STATE_ENDED;
    client->holding = false;
    cv_why_set(&client->why, CV_E_CLOSED, place, "stopped");
    if (!there)
        return CV_OK;
    int err = CV_OK;
    if (is_publisher(client))
        err = send_plain(client, "FCUnpublish", ASK_FC_UNPUBLISH, client->name);
    return err == CV_OK ? send_delete(client) : err;
}

// ---- what the server says -------------------------------------------------------------------
//
// These functions return 1 with an event, 0 when there is none, or a negative code.

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
    client->state = STATE_CREATING;
    int err = send_create(client);
    if (err != CV_OK)
        return fail(client, err, "could not ask for a stream");
    out->type = CV_RTMP_CLIENT_CONNECTED;
    return 1;
}

static int on_created(struct cv_rtmp_client *client, uint32_t stream_id)
{
    if (stream_id == 0)
        return fail(client, CV_E_COMMAND, "createStream was answered without a stream number");
    client->state = STATE_STARTING;
    client->stream_id = stream_id;
    int err = is_publisher(client) ? send_publish(client) : send_play(client);
    return err == CV_OK ? CV_OK : fail(client, err, "could not publish or play");
}

// True for an answer that we wait for; each is taken once.
static bool is_awaited(const struct cv_rtmp_client *client, double transaction)
{
    return (client->state == STATE_CONNECTING && transaction == ASK_CONNECT) ||
           (client->state == STATE_CREATING && transaction == ASK_CREATE) ||
           (client->state == STATE_STARTING && transaction == ASK_START);
}

static int on_error(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out)
{
    if (!is_awaited(client, event->transaction))
        return 0; // releaseStream and FCPublish are often refused, and nobody minds
    bool connecting = client->state == STATE_CONNECTING;
    return finish(client, connecting ? CV_RTMP_CLIENT_REJECTED : CV_RTMP_CLIENT_REFUSED, event,
                  out);
}

static int on_result(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                     struct cv_rtmp_client_event *out)
{
    if (!is_awaited(client, event->transaction))
        return 0;
    if (is_refusal(event))
        return on_error(client, event, out);
    if (client->state == STATE_CONNECTING)
        return on_connected(client, out);
    if (client->state == STATE_CREATING)
        return on_created(client, cv_amf_u32(event->args, 0));
    return 0; // publish and play are answered by onStatus
}

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
    const char *started = is_publisher(client) ? "NetStream.Publish.Start" : "NetStream.Play.Start";
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
    if (client->state == STATE_STARTING && cv_text_is(code, started))
        return start(client, out);
    out->type = CV_RTMP_CLIENT_STATUS;
    return 1;
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
        {"_result", on_result},
        {"_error", on_error},
        {"onStatus", on_status},
        {"close", on_close},
    };
    if (client->state == STATE_NEW)
        return 0; // nothing has been asked
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (cv_text_is(event->name, commands[i].name))
            return commands[i].fn(client, event, out);
    }
    return 0; // onBWDone, onFCPublish and many more: nobody needs an answer
}

// Media may come before Play.Start, or without it: then STARTED is told first.
static int on_media(struct cv_rtmp_client *client, enum cv_rtmp_client_event_type type,
                    const struct cv_msg *msg, struct cv_rtmp_client_event *out)
{
    if (is_publisher(client) || client->state < STATE_STARTING)
        return 0;
    if (client->state == STATE_RUNNING) {
        out->type = type;
        out->msg = *msg;
        return 1;
    }
    client->holding = true;
    client->held = (struct cv_rtmp_client_event){.type = type, .msg = *msg};
    return start(client, out);
}

static int on_user_control(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                           struct cv_rtmp_client_event *out)
{
    if (event->user_event != CV_USER_STREAM_EOF || event->user_id != client->stream_id ||
        is_publisher(client) || client->state != STATE_RUNNING)
        return 0;
    return finish(client, CV_RTMP_CLIENT_FINISHED, event, out);
}

static int on_event(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
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

void cv_rtmp_client_feed(struct cv_rtmp_client *client, const void *data, size_t len)
{
    if (client->state != STATE_ENDED && client->why.code == CV_OK)
        cv_rtmp_feed(client->rtmp, data, len);
}

int cv_rtmp_client_next(struct cv_rtmp_client *client, struct cv_rtmp_client_event *out)
{
    if (client->state == STATE_ENDED)
        return 0;
    if (client->why.code != CV_OK)
        return client->why.code;
    if (client->holding) {
        client->holding = false;
        *out = client->held;
        return 1;
    }
    struct cv_rtmp_event event;
    int more;
    while ((more = cv_rtmp_next(client->rtmp, &event)) > 0) {
        struct cv_rtmp_client_event own = {0};
        more = on_event(client, &event, &own);
        if (more > 0)
            *out = own;
        if (more != 0)
            return more;
    }
    return more;
}
