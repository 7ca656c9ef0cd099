// Any bytes of a server into the client's engine, which goes on as a publisher does.
#include "fuzz_rtmp.h"

static int send_media(struct cv_rtmp *rtmp, uint32_t stream_id)
{
    struct cv_block *payload = cv_block_copy("\x17\x01\0\0\0", 5);
    must(payload != NULL);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .stream_id = stream_id, .payload = payload};
    int err = CV_OK;
    for (uint32_t i = 0; i < 3 && err == CV_OK; i++) {
        msg.ts_ms = 0xfffffe + i;
        err = cv_rtmp_send(rtmp, &msg, CV_CSID_VIDEO);
    }
    cv_block_unref(&payload);
    return err;
}

static int send_command(struct cv_rtmp *rtmp, const char *name, double transaction,
                        uint32_t stream_id)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, name, transaction);
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, "app");
    cv_amf0_string(&wr, "live");
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, stream_id, CV_CSID_COMMAND);
}

static int on_result(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event)
{
    if (event->transaction != 1)
        return send_command(rtmp, "publish", 3, cv_amf_u32(event->args, 1));
    if (cv_amf_u32(cv_amf_get(event->args, "objectEncoding"), 0) == 3)
        cv_rtmp_use_amf3(rtmp);
    return send_command(rtmp, "createStream", 2, 0);
}

static int act(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event)
{
    int err = CV_OK;
    if (event->type == CV_RTMP_READY)
        err = send_command(rtmp, "connect", 1, 0);
    else if (event->type == CV_RTMP_ACK)
        err = cv_rtmp_send_control(rtmp, CV_MSG_WINDOW_ACK_SIZE, event->user_value);
    else if (event->type == CV_RTMP_COMMAND && cv_text_is(event->name, "_result"))
        err = on_result(rtmp, event);
    else if (event->type == CV_RTMP_COMMAND && cv_text_is(event->name, "onStatus"))
        err = send_media(rtmp, event->msg.stream_id);
    else if (event->type == CV_RTMP_USER_CONTROL)
        err = cv_rtmp_send_buffer_ms(rtmp, event->user_id, 3000);
    return err == CV_E_QUEUE_FULL ? CV_OK : err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz(CV_RTMP_CLIENT, act, data, size);
    return 0;
}
