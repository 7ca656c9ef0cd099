// FLV files: their bytes in, for publishers; tags out, for players.
#include "client/api.h"

void cv__api_flv_free(struct culvert *culvert)
{
    cv_flv_reader_free(culvert->flv);
    cv_block_unref(&culvert->flv_msg.payload);
}

bool cv__api_flv_retry(struct culvert *culvert)
{
    if (!culvert->flv_msg.payload)
        return true;
    if (cv__api_send(culvert, &culvert->flv_msg) == CULVERT_E_AGAIN)
        return false;
    cv_block_unref(&culvert->flv_msg.payload);
    return true;
}

// Sends one tag. What the buffer does not take now is kept. Takes the event's reference.
static int send_tag(struct culvert *culvert, struct cv_flv_event *event)
{
    struct cv_msg msg = {.type = event->type, .ts_ms = event->ts_ms, .payload = event->payload};
    int err = cv__api_send(culvert, &msg);
    if (err == CULVERT_E_AGAIN)
        culvert->flv_msg = msg;
    else
        cv_block_unref(&msg.payload);
    return err;
}

// Data in AMF3 has no place in a file that is known, and none in an AMF0 message.
static bool is_sent(const struct cv_flv_event *event)
{
    return event->kind == CV_FLV_TAG && event->type != CV_MSG_DATA_AMF3;
}

// Sends all tags that are complete. CULVERT_E_AGAIN: the rest is unread.
static int send_tags(struct culvert *culvert, uint32_t *ts_ms)
{
    struct cv_flv_event event;
    int got;
    while ((got = cv_flv_reader_next(culvert->flv, &event)) > 0) {
        if (!is_sent(&event)) {
            cv_block_unref(&event.payload);
            continue;
        }
        if (ts_ms)
            *ts_ms = event.ts_ms;
        int err = send_tag(culvert, &event);
        if (err)
            return err;
    }
    if (got == CV_OK)
        return CULVERT_OK;
    culvert->why = *cv_flv_reader_why(culvert->flv);
    return cv__api_error(got);
}

long culvert_send_flv(struct culvert *culvert, const void *data, size_t len, uint32_t *ts_ms)
{
    int err = cv__api_may_send(culvert);
    if (err == CULVERT_E_AGAIN)
        return 0;
    if (err || (!data && len > 0))
        return err ? err : CULVERT_E_USAGE;
    if (!culvert->flv)
        culvert->flv = cv_flv_reader_new(CV_LIMIT_MEDIA_BYTES);
    if (!culvert->flv)
        return CULVERT_E_NOMEM;
    err = cv_flv_reader_feed(culvert->flv, data, len);
    if (err)
        return cv__api_error(err);
    err = send_tags(culvert, ts_ms);
    struct cv_rd rest = cv_flv_reader_unread(culvert->flv);
    return err && err != CULVERT_E_AGAIN ? err : (long)(len - cv_rd_left(&rest));
}

// ---- writing --------------------------------------------------------------------------------

void culvert_flv_header(uint8_t header[CULVERT_FLV_HEADER_BYTES])
{
    if (!header)
        return;
    struct cv_wr wr = cv_wr_fixed(header, CULVERT_FLV_HEADER_BYTES);
    cv_flv_write_header(&wr, true, true);
}

int culvert_flv_tag(const struct culvert_event *event, uint8_t head[CULVERT_FLV_HEAD_BYTES],
                    uint8_t tail[CULVERT_FLV_TAIL_BYTES])
{
    if (!event || event->type != CULVERT_EVENT_MESSAGE || !head || !tail)
        return CULVERT_E_USAGE;
    cv_flv_write_tag_head(head, (uint8_t)event->kind, event->ts_ms, (uint32_t)event->len);
    cv_flv_write_tag_tail(tail, (uint32_t)event->len);
    return CULVERT_OK;
}
