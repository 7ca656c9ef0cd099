#include "media/intake.h"

#include "base/limits.h"
#include "base/seq.h"
#include "media/avtag.h"

#include <string.h>

struct cv_intake cv_intake_new(struct cv_stream_log *log)
{
    return (struct cv_intake){.log = log};
}

void cv_intake_resumed(struct cv_intake *intake)
{
    intake->resumed = true;
}

static bool is_sample_access(const struct cv_msg *msg)
{
    static const char head[] = "\x02\x00\x11|RtmpSampleAccess";
    size_t len = sizeof head - 1;
    return msg->type == CV_MSG_DATA_AMF0 && msg->payload->len >= len &&
           memcmp(msg->payload->data, head, len) == 0;
}

static bool is_header(const struct cv_msg *msg)
{
    struct cv_avtag tag;
    if (msg->type == CV_MSG_DATA_AMF0)
        return true;
    int err = cv_avtag_parse(&tag, msg->type == CV_MSG_VIDEO, msg->payload->data, msg->payload->len,
                             NULL);
    return err == CV_OK && cv_avtag_is_header(&tag);
}

static void restart(struct cv_intake *intake)
{
    cv_stream_log_restart(intake->log);
    intake->timed[0] = intake->timed[1] = false;
}

// A server that goes on exactly where it was cut does not tell again what it has told before.
static void look_at_time(struct cv_intake *intake, const struct cv_msg *msg)
{
    if (intake->resumed && is_header(msg))
        restart(intake);
    intake->resumed = false;
    if (msg->type == CV_MSG_DATA_AMF0)
        return;
    unsigned kind = msg->type == CV_MSG_VIDEO;
    int32_t back_ms = cv_seq_diff(intake->last_ms[kind], msg->ts_ms);
    if (intake->timed[kind] && back_ms > CV_PACE_BACK_MS)
        restart(intake);
    intake->timed[kind] = true;
    intake->last_ms[kind] = msg->ts_ms;
}

int cv_intake_put(struct cv_intake *intake, const struct cv_msg *msg)
{
    if (is_sample_access(msg))
        return 0;
    look_at_time(intake, msg);
    int err = cv_stream_log_append(intake->log, msg);
    return err == CV_OK ? 1 : err;
}
