// Any bytes of a client into the server's engine, which answers as a server does.
#include "fuzz_rtmp.h"

static int on_connect(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event)
{
    struct cv_connect connect;
    int err = cv_connect_parse(event, &connect);
    if (err != CV_OK)
        return cv_reply_error(rtmp, event->transaction, CV_STATUS_CONNECT_REJECTED, "");
    must(connect.app.len <= CV_LIMIT_APP_BYTES && connect.tc_url.len <= CV_LIMIT_URL_BYTES);
    return cv_reply_connect(rtmp, event->transaction, &connect, 4096);
}

static int on_stream(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event, enum cv_status status)
{
    uint32_t id = event->msg.stream_id;
    int err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_BEGIN, id);
    if (err == CV_OK)
        err = cv_reply_status(rtmp, id, status, "");
    if (err == CV_OK)
        err = cv_reply_sample_access(rtmp, id);
    return err;
}

static int act(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event)
{
    if (event->type == CV_RTMP_MEDIA || event->type == CV_RTMP_DATA) {
        int err = cv_rtmp_send(rtmp, &event->msg, CV_CSID_VIDEO); // an echo
        return err == CV_E_QUEUE_FULL ? CV_OK : err;
    }
    if (event->type != CV_RTMP_COMMAND)
        return CV_OK;
    if (cv_text_is(event->name, "connect"))
        return on_connect(rtmp, event);
    if (cv_text_is(event->name, "createStream"))
        return cv_reply_result_number(rtmp, event->transaction, 1);
    if (cv_text_is(event->name, "publish"))
        return on_stream(rtmp, event, CV_STATUS_PUBLISH_START);
    if (cv_text_is(event->name, "play"))
        return on_stream(rtmp, event, CV_STATUS_PLAY_START);
    return cv_reply_error(rtmp, event->transaction, CV_STATUS_CALL_FAILED, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz(CV_RTMP_SERVER, act, data, size);
    return 0;
}
