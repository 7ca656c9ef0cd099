#include "proto/aggregate.h"

#include "base/limits.h"
#include "proto/flv.h"
#include "proto/message.h"

static const char place[] = "aggregate";

struct cv_aggregate cv_aggregate_over(uint32_t ts_ms, const void *data, size_t len)
{
    return (struct cv_aggregate){.rd = cv_rd_over(data, len), .ts_ms = ts_ms};
}

// Control messages and commands are refused here with the nested aggregates: nobody sends them, and
// they would get past the rules that hold outside.
static bool may_be_inside(uint8_t type)
{
    return type == CV_MSG_AUDIO || type == CV_MSG_VIDEO || type == CV_MSG_DATA_AMF0 ||
           type == CV_MSG_DATA_AMF3;
}

static int check_head(struct cv_aggregate *walk, const struct cv_flv_head *head)
{
    if (walk->rd.err != CV_OK)
        return cv_why_set(&walk->why, walk->rd.err, place, "message %u ends early", walk->count);
    if (!may_be_inside(head->type) || head->encrypted)
        return cv_why_set(&walk->why, CV_E_SYNTAX, place, "message %u has type %u", walk->count,
                          head->type);
    if (head->len > cv_msg_limit(head->type, UINT32_MAX))
        return cv_why_set(&walk->why, CV_E_TOO_LONG, place, "message %u has %u bytes", walk->count,
                          head->len);
    if (walk->count == CV_LIMIT_AGGREGATE_MESSAGES)
        return cv_why_set(&walk->why, CV_E_TOO_MANY, place, "more than %d messages",
                          CV_LIMIT_AGGREGATE_MESSAGES);
    return CV_OK;
}

int cv_aggregate_next(struct cv_aggregate *walk, struct cv_aggregate_item *out)
{
    if (walk->why.code != CV_OK || cv_rd_left(&walk->rd) == 0)
        return walk->why.code;
    struct cv_flv_head head = cv_flv_read_head(&walk->rd);
    const uint8_t *data = cv_rd_bytes(&walk->rd, head.len);
    // Some senders leave the last back pointer out. Its value is never looked at.
    if (walk->rd.err == CV_OK && cv_rd_left(&walk->rd) > 0)
        cv_rd_u32(&walk->rd);
    int err = check_head(walk, &head);
    if (err != CV_OK)
        return err;
    if (walk->count++ == 0)
        walk->first_ms = head.ts_ms;
    *out = (struct cv_aggregate_item){
        .type = head.type,
        .ts_ms = walk->ts_ms + (head.ts_ms - walk->first_ms),
        .data = data,
        .len = head.len,
    };
    return 1;
}

void cv_aggregate_add(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, const void *data,
                      uint32_t len)
{
    cv_flv_write_tag(wr, type, ts_ms, data, len);
}
