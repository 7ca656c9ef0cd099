#include "proto/rtmp_client_state.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/amf0.h"

enum { BUFFER_MS = 3000 };

static const char place[] = "rtmp client";

// ---- life -----------------------------------------------------------------------------------

static bool copy_texts(struct cv_rtmp_client *client, const struct cv_rtmp_client_config *config)
{
    client->app = cv_mem_text(config->app.at, config->app.len);
    client->name = cv_mem_text(config->name.at, config->name.len);
    client->tc_url = cv_mem_text(config->tc_url.at, config->tc_url.len);
    client->token = cv_mem_text(config->resume_token.at, config->resume_token.len);
    client->position = cv_mem_text(config->position.at, config->position.len);
    return client->app && client->name && client->tc_url && client->token && client->position;
}

// Both ways: a publisher's chunk size, or the window in which a player wants to acknowledge.
static int send_first(struct cv_rtmp_client *client, uint32_t chunk_bytes)
{
    if (!cv__client_publishes(client))
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
        .eager = config->eager,
    };
    struct cv_rtmp_client *client = cv_mem_zero(1, sizeof *client);
    if (!client)
        return NULL;
    client->mode = config->mode;
    client->enhanced = config->enhanced;
    client->eager = config->eager;
    client->resume = config->resume;
    client->last_call = CV_ASK_CALL - 1;
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
    cv_mem_free(client->token);
    cv_mem_free(client->position);
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

static int send_connect(struct cv_rtmp_client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "connect", CV_ASK_CONNECT);
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "app", client->app);
    if (cv__client_publishes(client))
        cv_amf0_put_string(&wr, "type", "nonprivate");
    cv_amf0_put_string(&wr, "flashVer",
                       cv__client_publishes(client) ? "FMLE/3.0 (compatible; Culvert)"
                                                    : "LNX 9,0,124,2");
    cv_amf0_put_string(&wr, "tcUrl", client->tc_url);
    if (!cv__client_publishes(client))
        put_player(&wr);
    cv_amf0_put_number(&wr, "objectEncoding", 0);
    if (client->enhanced)
        put_enhanced(&wr);
    cv_amf0_end(&wr);
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

// Old servers want a stream's name before the stream; ours does not.
int cv__client_create(struct cv_rtmp_client *client)
{
    int err = CV_OK;
    if (cv__client_publishes(client) && !client->eager) {
        err = send_plain(client, "releaseStream", CV_ASK_RELEASE, client->name);
        if (err == CV_OK)
            err = send_plain(client, "FCPublish", CV_ASK_FC_PUBLISH, client->name);
    }
    if (err == CV_OK)
        err = send_plain(client, "createStream", CV_ASK_CREATE, NULL);
    return err;
}

// An argument that servers who do not know it never look at.
static void put_object(struct cv_wr *wr, const char *key, const char *value)
{
    cv_amf0_object(wr);
    cv_amf0_put_string(wr, key, value);
    cv_amf0_end(wr);
}

static int send_publish(struct cv_rtmp_client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "publish", CV_ASK_START);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, client->name);
    cv_amf0_string(&wr, "live");
    if (client->resume)
        put_object(&wr, "resume", client->token);
    return cv_rtmp_command_end(client->rtmp, &wr, client->stream_id, CV_CSID_STREAM);
}

static int send_play(struct cv_rtmp_client *client)
{
    // Milliseconds on the wire, whatever the specification says.
    enum { LIVE_OR_RECORDED = -2000, WHOLE = -1, RESET = true };
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "play", CV_ASK_START);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, client->name);
    cv_amf0_number(&wr, LIVE_OR_RECORDED);
    if (client->resume) {
        cv_amf0_number(&wr, WHOLE);
        cv_amf0_boolean(&wr, RESET);
        put_object(&wr, "position", client->position);
    }
    int err = cv_rtmp_command_end(client->rtmp, &wr, client->stream_id, CV_CSID_STREAM);
    if (err != CV_OK)
        return err;
    return cv_rtmp_send_buffer_ms(client->rtmp, client->stream_id, client->buffer_ms);
}

int cv__client_start(struct cv_rtmp_client *client)
{
    return cv__client_publishes(client) ? send_publish(client) : send_play(client);
}

int cv_rtmp_client_connect(struct cv_rtmp_client *client)
{
    CV_ASSERT(client->state == STATE_NEW);
    client->state = STATE_CONNECTING;
    int err = send_connect(client);
    if (err != CV_OK || !client->eager || client->mode == CV_RTMP_CLIENT_CALL)
        return err;
    client->stream_id = CV_EAGER_STREAM;
    err = cv__client_create(client);
    return err == CV_OK ? cv__client_start(client) : err;
}

static int send_delete(struct cv_rtmp_client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "deleteStream", CV_ASK_DELETE);
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
    if (!cv__client_publishes(client) || client->state != STATE_RUNNING)
        return CV_E_USAGE;
    struct cv_msg own = *msg;
    own.stream_id = client->stream_id;
    int err = cv_rtmp_send(client->rtmp, &own, csid_of(msg->type));
    client->sent += err == CV_OK;
    return err;
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
    bool there = client->stream_id && client->state != STATE_ENDED;
    client->state = STATE_ENDED;
    client->holding = false;
    cv_why_set(&client->why, CV_E_CLOSED, place, "stopped");
    if (!there)
        return CV_OK;
    int err = CV_OK;
    if (cv__client_publishes(client) && !client->eager)
        err = send_plain(client, "FCUnpublish", CV_ASK_FC_UNPUBLISH, client->name);
    return err == CV_OK ? send_delete(client) : err;
}

// ---- calls ----------------------------------------------------------------------------------

static bool is_connected(const struct cv_rtmp_client *client)
{
    return client->state > STATE_CONNECTING && client->state < STATE_ENDED;
}

int cv_rtmp_client_call(struct cv_rtmp_client *client, const char *name, struct cv_text args,
                        uint32_t *out_call)
{
    if (!is_connected(client))
        return CV_E_USAGE;
    if (client->call_count == CV_LIMIT_CLIENT_CALLS)
        return CV_E_QUEUE_FULL;
    uint32_t call = client->last_call == UINT32_MAX ? CV_ASK_CALL : client->last_call + 1;
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, name, call);
    cv_amf0_null(&wr);
    cv_wr_bytes(&wr, args.at, args.len);
    int err = cv_rtmp_command_end(client->rtmp, &wr, 0, CV_CSID_COMMAND);
    if (err != CV_OK)
        return err;
    client->last_call = call;
    client->calls[client->call_count++] = call;
    *out_call = call;
    return CV_OK;
}

int cv_rtmp_client_ping(struct cv_rtmp_client *client, uint32_t number)
{
    if (!is_connected(client))
        return CV_E_USAGE;
    int err = cv_rtmp_send_user(client->rtmp, CV_USER_PING_REQUEST, number);
    client->pings += err == CV_OK;
    return err;
}

// ---- hearing --------------------------------------------------------------------------------

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
        more = cv__client_hear(client, &event, &own);
        if (more > 0)
            *out = own;
        if (more != 0)
            return more;
    }
    return more;
}
