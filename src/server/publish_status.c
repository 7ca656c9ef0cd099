#include "server/publish_status.h"

#include "base/err.h"
#include "proto/reply.h"
#include "server/netconn.h"

static int say_started(const struct cv_net_stream *stream)
{
    const struct cv_resume *resume = &stream->publisher->resume;
    struct cv_rtmp *rtmp = stream->conn->rtmp;
    if (!resume->has_token)
        return cv_reply_status(rtmp, stream->id, CV_STATUS_PUBLISH_START, "Publishing.");
    char token[CV_RESUME_TOKEN_CHARS + 1];
    cv_resume_print(resume, token);
    return cv_reply_publish_start(rtmp, stream->id, token, resume->taken);
}

static void on_live(void *arg)
{
    const struct cv_net_stream *stream = arg;
    struct cv_netconn *conn = stream->conn;
    int err = cv_rtmp_send_user(conn->rtmp, CV_USER_STREAM_BEGIN, stream->id);
    if (err == CV_OK)
        err = say_started(stream);
    if (err != CV_OK)
        cv_netconn_doom(conn, err, "publish");
    cv_netconn_mark(conn);
}

// Last words, then the end.
static void end(const struct cv_net_stream *stream, const char *text)
{
    cv_reply_status(stream->conn->rtmp, stream->id, CV_STATUS_PUBLISH_BAD_NAME, text);
    cv_netconn_finish(stream->conn);
}

static void on_refused(void *arg, int code)
{
    end(arg, cv_publish_refusal(code));
}

static void on_replaced(void *arg)
{
    end(arg, "Another publisher has taken over.");
}

static void on_taken(void *arg)
{
    const struct cv_net_stream *stream = arg;
    cv_netconn_rearm(stream->conn);
}

static uint64_t heard_us(const void *arg)
{
    const struct cv_net_stream *stream = arg;
    return cv_netconn_heard_us(stream->conn);
}

static bool pace(void *arg, bool on)
{
    const struct cv_net_stream *stream = arg;
    return cv_netconn_pace(stream->conn, on);
}

static void read_conn(void *arg)
{
    const struct cv_net_stream *stream = arg;
    stream->conn->carrier->read(stream->conn);
}

static void log_fields(const void *arg, struct cv_line *line)
{
    const struct cv_net_stream *stream = arg;
    cv_netconn_log_fields(stream->conn, line);
}

const struct cv_publisher_owner cv_session_publishes = {
    .live = on_live,
    .refused = on_refused,
    .replaced = on_replaced,
    .taken = on_taken,
    .heard_us = heard_us,
    .pace = pace,
    .read = read_conn,
    .log_fields = log_fields,
};
