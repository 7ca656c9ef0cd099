#include "proto/reply.h"

#include "base/limits.h"
#include "proto/amf0.h"

// {level, code, description}, left open for more. Without a description the code stands in for it.
static void begin_info(struct cv_wr *wr, enum cv_status status, const char *description)
{
    bool described = description && *description;
    cv_amf0_object(wr);
    cv_amf0_put_string(wr, "level", cv_status_level(status));
    cv_amf0_put_string(wr, "code", cv_status_code(status));
    cv_amf0_put_string(wr, "description", described ? description : cv_status_code(status));
}

// What we can do of Enhanced RTMP: forward every codec untouched.
static void put_enhanced(struct cv_wr *wr)
{
    enum { CAN_FORWARD = 4, CAPS_MULTITRACK_MODEX_NANO = 2 | 4 | 8 };
    static const char *const maps[] = {"videoFourCcInfoMap", "audioFourCcInfoMap"};
    cv_amf0_key(wr, "fourCcList");
    cv_amf0_strict_array(wr, 1);
    cv_amf0_string(wr, "*");
    for (int i = 0; i < 2; i++) {
        cv_amf0_key(wr, maps[i]);
        cv_amf0_object(wr);
        cv_amf0_put_number(wr, "*", CAN_FORWARD);
        cv_amf0_end(wr);
    }
    cv_amf0_put_number(wr, "capsEx", CAPS_MULTITRACK_MODEX_NANO);
}

static int send_connect_result(struct cv_rtmp *rtmp, double transaction,
                               const struct cv_connect *connect)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "_result", transaction);
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "fmsVer", "FMS/3,5,7,7009");
    cv_amf0_put_number(&wr, "capabilities", 31);
    cv_amf0_put_number(&wr, "mode", 1);
    if (connect->enhanced)
        put_enhanced(&wr);
    cv_amf0_end(&wr);
    begin_info(&wr, CV_STATUS_CONNECT_SUCCESS, "Connection succeeded.");
    cv_amf0_put_number(&wr, "objectEncoding", connect->amf3 ? 3 : 0);
    if (connect->enhanced)
        put_enhanced(&wr);
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

int cv_reply_connect(struct cv_rtmp *rtmp, double transaction, const struct cv_connect *connect,
                     uint32_t chunk_bytes)
{
    int err = cv_rtmp_send_control(rtmp, CV_MSG_WINDOW_ACK_SIZE, CV_WINDOW_BYTES);
    if (err == CV_OK)
        err = cv_rtmp_send_peer_bandwidth(rtmp, CV_WINDOW_BYTES);
    if (err == CV_OK)
        err = cv_rtmp_send_control(rtmp, CV_MSG_SET_CHUNK_SIZE, chunk_bytes);
    if (err == CV_OK)
        err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_BEGIN, 0);
    if (err == CV_OK)
        err = send_connect_result(rtmp, transaction, connect);
    if (err == CV_OK && connect->amf3)
        cv_rtmp_use_amf3(rtmp);
    return err;
}

int cv_reply_error(struct cv_rtmp *rtmp, double transaction, enum cv_status status,
                   const char *description)
{
    if (transaction == 0)
        return CV_OK;
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "_error", transaction);
    cv_amf0_null(&wr);
    begin_info(&wr, status, description);
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

int cv_reply_result(struct cv_rtmp *rtmp, double transaction)
{
    if (transaction == 0)
        return CV_OK;
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "_result", transaction);
    cv_amf0_null(&wr);
    cv_amf0_undefined(&wr);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

int cv_reply_result_number(struct cv_rtmp *rtmp, double transaction, double value)
{
    if (transaction == 0)
        return CV_OK;
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "_result", transaction);
    cv_amf0_null(&wr);
    cv_amf0_number(&wr, value);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

static int send_info(struct cv_rtmp *rtmp, const char *name, uint32_t stream_id,
                     enum cv_status status, const char *description)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, name, 0);
    cv_amf0_null(&wr);
    begin_info(&wr, status, description);
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, stream_id, CV_CSID_STATUS);
}

int cv_reply_status(struct cv_rtmp *rtmp, uint32_t stream_id, enum cv_status status,
                    const char *description)
{
    return send_info(rtmp, "onStatus", stream_id, status, description);
}

int cv_reply_publish_start(struct cv_rtmp *rtmp, uint32_t stream_id, const char *token,
                           uint64_t taken)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "onStatus", 0);
    cv_amf0_null(&wr);
    begin_info(&wr, CV_STATUS_PUBLISH_START, "Publishing.");
    cv_amf0_put_string(&wr, "resume", token);
    cv_amf0_put_number(&wr, "taken", (double)taken);
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, stream_id, CV_CSID_STATUS);
}

int cv_reply_taken(struct cv_rtmp *rtmp, uint32_t stream_id, uint64_t taken)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "onTaken", 0);
    cv_amf0_null(&wr);
    cv_amf0_number(&wr, (double)taken);
    return cv_rtmp_command_end(rtmp, &wr, stream_id, CV_CSID_STATUS);
}

int cv_reply_position(struct cv_rtmp *rtmp, uint32_t stream_id, const char *epoch, uint64_t number)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "onPosition", 0);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, epoch);
    cv_amf0_number(&wr, (double)number);
    return cv_rtmp_command_end(rtmp, &wr, stream_id, CV_CSID_STATUS);
}

int cv_reply_fc(struct cv_rtmp *rtmp, const char *name, enum cv_status status,
                const char *description)
{
    return send_info(rtmp, name, 0, status, description);
}

int cv_reply_sample_access(struct cv_rtmp *rtmp, uint32_t stream_id)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    cv_amf0_string(&wr, "|RtmpSampleAccess");
    cv_amf0_boolean(&wr, true);
    cv_amf0_boolean(&wr, true);
    struct cv_block *payload = cv_wr_take(&wr);
    if (!payload)
        return wr.err;
    struct cv_msg msg = {.type = CV_MSG_DATA_AMF0, .stream_id = stream_id, .payload = payload};
    int err = cv_rtmp_send(rtmp, &msg, CV_CSID_STATUS);
    cv_block_unref(&payload);
    return err;
}
