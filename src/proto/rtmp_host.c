#include "proto/rtmp_host.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/connect.h"
#include "proto/reply.h"

static const char place[] = "rtmp host";

enum state {
    STATE_NEW,       // connect has not come
    STATE_CONNECTED, // nothing is published or played
    STATE_ASKED,     // publish or play waits for the owner
    STATE_RUNNING,   // was accepted
    STATE_ENDED,     // refused: nothing is read any more
};

struct cv_rtmp_host {
    struct cv_rtmp *rtmp;
    enum state state;
    bool publishes;     // ASKED, RUNNING: else it plays
    uint32_t stream_id; // ASKED, RUNNING: where
    uint32_t streams;   // created so far
    char *app;          // owned
    struct cv_why why;  // of a command; the engine has its own
    bool has_event;     // `event` is the next one
    struct cv_rtmp_host_event event;
};

// ---- life -----------------------------------------------------------------------------------

struct cv_rtmp_host *cv_rtmp_host_new(const struct cv_crypto *crypto, uint32_t now_ms)
{
    struct cv_rtmp_host *host = cv_mem_zero(1, sizeof *host);
    if (!host)
        return NULL;
    struct cv_rtmp_config config = {
        .role = CV_RTMP_SERVER,
        .crypto = crypto,
        .out_bytes_max = (size_t)CV_LIMIT_OUT_BYTES + CV_LIMIT_MEDIA_BYTES, // the largest fits
    };
    host->rtmp = cv_rtmp_new(&config, now_ms);
    if (host->rtmp)
        return host;
    cv_mem_free(host);
    return NULL;
}

void cv_rtmp_host_free(struct cv_rtmp_host *host)
{
    if (!host)
        return;
    cv_rtmp_free(host->rtmp);
    cv_mem_free(host->app);
    cv_mem_free(host);
}

const struct cv_why *cv_rtmp_host_why(const struct cv_rtmp_host *host)
{
    const struct cv_why *why = cv_rtmp_why(host->rtmp);
    return why->code != CV_OK ? why : &host->why;
}

// ---- commands -------------------------------------------------------------------------------

typedef int command_fn(struct cv_rtmp_host *host, const struct cv_rtmp_event *event);

// Message stream ids are 1, 3, 4, ... as our server gives them (server/session.c says why).
static int on_create_stream(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    if (host->streams >= CV_LIMIT_NET_STREAMS)
        return cv_reply_error(host->rtmp, event->transaction, CV_STATUS_CALL_FAILED,
                              "Too many streams on this connection.");
    host->streams += host->streams == 1 ? 2 : 1;
    return cv_reply_result_number(host->rtmp, event->transaction, host->streams);
}

static int on_connect(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    struct cv_connect connect;
    if (host->state != STATE_NEW || cv_connect_parse(event, &connect) != CV_OK)
        return cv_why_set(&host->why, CV_E_COMMAND, place, "connect that cannot be used");
    host->app = cv_mem_text(connect.app.at, connect.app.len);
    if (!host->app)
        return CV_E_NOMEM;
    host->state = STATE_CONNECTED;
    return cv_reply_connect(host->rtmp, event->transaction, &connect, CV_CHUNK_BYTES_OUT);
}

static int ask(struct cv_rtmp_host *host, const struct cv_rtmp_event *event, bool publishes)
{
    struct cv_text name = cv_amf_text(event->args);
    if (host->state != STATE_CONNECTED || name.len > CV_LIMIT_NAME_BYTES ||
        event->msg.stream_id == 0)
        return cv_reply_status(host->rtmp, event->msg.stream_id,
                               publishes ? CV_STATUS_PUBLISH_BAD_NAME : CV_STATUS_PLAY_FAILED,
                               "The message stream is not free.");
    host->state = STATE_ASKED;
    host->publishes = publishes;
    host->stream_id = event->msg.stream_id;
    host->has_event = true;
    host->event = (struct cv_rtmp_host_event){
        .type = publishes ? CV_RTMP_HOST_PUBLISH : CV_RTMP_HOST_PLAY,
        .app = cv_text_of(host->app),
        .name = name,
    };
    return CV_OK;
}

static int on_publish(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return ask(host, event, true);
}

static int on_play(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return ask(host, event, false);
}

static int stop(struct cv_rtmp_host *host)
{
    if (host->state != STATE_ASKED && host->state != STATE_RUNNING)
        return CV_OK;
    host->state = STATE_CONNECTED;
    host->has_event = true;
    host->event = (struct cv_rtmp_host_event){.type = CV_RTMP_HOST_STOP};
    return CV_OK;
}

static int on_delete_stream(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return cv_amf_u32(event->args, 0) == host->stream_id ? stop(host) : CV_OK;
}

static int on_close_stream(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return event->msg.stream_id == host->stream_id ? stop(host) : CV_OK;
}

static int on_fc_unpublish(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    int err = cv_reply_fc(host->rtmp, "onFCUnpublish", CV_STATUS_UNPUBLISH_SUCCESS, "");
    if (err == CV_OK)
        err = cv_reply_result(host->rtmp, event->transaction);
    return err == CV_OK && host->publishes ? stop(host) : err;
}

static int on_fc_publish(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    int err = cv_reply_fc(host->rtmp, "onFCPublish", CV_STATUS_PUBLISH_START, "");
    return err == CV_OK ? cv_reply_result(host->rtmp, event->transaction) : err;
}

static int on_fc_subscribe(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    int err = cv_reply_fc(host->rtmp, "onFCSubscribe", CV_STATUS_PLAY_START, "");
    return err == CV_OK ? cv_reply_result(host->rtmp, event->transaction) : err;
}

static int on_stream_length(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return cv_reply_result_number(host->rtmp, event->transaction, 0); // live: no length
}

static int on_acknowledged(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return cv_reply_result(host->rtmp, event->transaction);
}

static int on_ignored(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    (void)host;
    (void)event;
    return CV_OK;
}

static int on_unknown(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    return cv_reply_error(host->rtmp, event->transaction, CV_STATUS_CALL_FAILED,
                          "The relay does not know this command.");
}

static const struct {
    const char *name;
    command_fn *run;
} command_rows[] = {
    {"connect", on_connect},
    {"createStream", on_create_stream},
    {"deleteStream", on_delete_stream},
    {"closeStream", on_close_stream},
    {"publish", on_publish},
    {"play", on_play},
    {"releaseStream", on_acknowledged},
    {"FCPublish", on_fc_publish},
    {"FCUnpublish", on_fc_unpublish},
    {"FCSubscribe", on_fc_subscribe},
    {"FCUnsubscribe", on_acknowledged},
    {"getStreamLength", on_stream_length},
    {"_checkbw", on_acknowledged},
    {"checkBandwidth", on_acknowledged},
    {"pause", on_ignored}, // a live stream that is not watched goes on
    {"_result", on_ignored},
    {"_error", on_ignored},
    {"onStatus", on_ignored},
};

static command_fn *find_command(struct cv_text name)
{
    for (size_t i = 0; i < sizeof command_rows / sizeof command_rows[0]; i++) {
        if (cv_text_is(name, command_rows[i].name))
            return command_rows[i].run;
    }
    return on_unknown;
}

static int on_command(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    command_fn *run = find_command(event->name);
    if (host->state == STATE_NEW && run != on_connect)
        return cv_why_set(&host->why, CV_E_COMMAND, place, "a command before connect");
    int err = run(host, event);
    if (err != CV_OK)
        cv_why_set(&host->why, err, place, "%s", cv_err_text(err));
    return err;
}

// ---- in -------------------------------------------------------------------------------------

void cv_rtmp_host_feed(struct cv_rtmp_host *host, const void *data, size_t len)
{
    cv_rtmp_feed(host->rtmp, data, len);
}

// Some encoders send their metadata on message stream 0.
static bool is_of_the_stream(const struct cv_rtmp_host *host, const struct cv_msg *msg)
{
    bool here = msg->stream_id == host->stream_id;
    return host->state == STATE_RUNNING && host->publishes &&
           (here || (msg->type == CV_MSG_DATA_AMF0 && msg->stream_id == 0));
}

static int take(struct cv_rtmp_host *host, const struct cv_rtmp_event *event)
{
    switch (event->type) {
    case CV_RTMP_COMMAND:
        return on_command(host, event);
    case CV_RTMP_MEDIA:
    case CV_RTMP_DATA:
        host->has_event = is_of_the_stream(host, &event->msg);
        host->event = (struct cv_rtmp_host_event){.type = CV_RTMP_HOST_MESSAGE, .msg = event->msg};
        return CV_OK;
    case CV_RTMP_READY:
    case CV_RTMP_SHARED_OBJECT:
    case CV_RTMP_USER_CONTROL:
    case CV_RTMP_ACK:
        return CV_OK;
    }
    CV_UNREACHABLE();
}

int cv_rtmp_host_next(struct cv_rtmp_host *host, struct cv_rtmp_host_event *out)
{
    struct cv_rtmp_event event;
    host->has_event = false;
    while (host->state != STATE_ENDED) {
        int more = cv_rtmp_next(host->rtmp, &event);
        if (more <= 0)
            return more;
        int err = take(host, &event);
        if (err != CV_OK)
            return err;
        if (!host->has_event)
            continue;
        *out = host->event;
        return 1;
    }
    cv_rtmp_unread(host->rtmp); // given back: nobody wants it
    return 0;
}

// ---- out ------------------------------------------------------------------------------------

static int say_playing(struct cv_rtmp_host *host)
{
    int err = cv_reply_status(host->rtmp, host->stream_id, CV_STATUS_PLAY_RESET,
                              "Playing and resetting.");
    if (err == CV_OK)
        err =
            cv_reply_status(host->rtmp, host->stream_id, CV_STATUS_PLAY_START, "Started playing.");
    return err == CV_OK ? cv_reply_sample_access(host->rtmp, host->stream_id) : err;
}

int cv_rtmp_host_accept(struct cv_rtmp_host *host)
{
    if (host->state != STATE_ASKED)
        return CV_E_USAGE;
    host->state = STATE_RUNNING;
    int err = cv_rtmp_send_user(host->rtmp, CV_USER_STREAM_BEGIN, host->stream_id);
    if (err != CV_OK)
        return err;
    if (!host->publishes)
        return say_playing(host);
    return cv_reply_status(host->rtmp, host->stream_id, CV_STATUS_PUBLISH_START, "Publishing.");
}

int cv_rtmp_host_refuse(struct cv_rtmp_host *host, enum cv_status status, const char *text)
{
    if (host->state != STATE_ASKED && host->state != STATE_RUNNING)
        return CV_E_USAGE;
    host->state = STATE_ENDED;
    return cv_reply_status(host->rtmp, host->stream_id, status, text);
}

int cv_rtmp_host_send(struct cv_rtmp_host *host, const struct cv_msg *msg)
{
    CV_ASSERT(msg->payload);
    if (host->state != STATE_RUNNING || host->publishes)
        return CV_E_USAGE;
    struct cv_msg own = *msg;
    own.stream_id = host->stream_id;
    enum cv_csid csid = msg->type == CV_MSG_AUDIO   ? CV_CSID_AUDIO
                        : msg->type == CV_MSG_VIDEO ? CV_CSID_VIDEO
                                                    : CV_CSID_STATUS;
    return cv_rtmp_send(host->rtmp, &own, csid);
}

int cv_rtmp_host_over(struct cv_rtmp_host *host)
{
    if (host->state != STATE_RUNNING || host->publishes)
        return CV_E_USAGE;
    host->state = STATE_ENDED;
    int err = cv_reply_status(host->rtmp, host->stream_id, CV_STATUS_PLAY_UNPUBLISH_NOTIFY,
                              "The stream is no longer published.");
    return err == CV_OK ? cv_rtmp_send_user(host->rtmp, CV_USER_STREAM_EOF, host->stream_id) : err;
}

void cv_rtmp_host_pull(struct cv_rtmp_host *host, struct cv_gather *gather)
{
    cv_rtmp_pull(host->rtmp, gather);
}

void cv_rtmp_host_sent(struct cv_rtmp_host *host, size_t len)
{
    cv_rtmp_sent(host->rtmp, len);
}

bool cv_rtmp_host_out_empty(const struct cv_rtmp_host *host)
{
    return cv_rtmp_out_empty(host->rtmp);
}

size_t cv_rtmp_host_out_bytes(const struct cv_rtmp_host *host)
{
    return cv_rtmp_out_bytes(host->rtmp);
}
