#include "proto/rtmp.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/aggregate.h"
#include "proto/amf0.h"
#include "proto/chunk_in.h"
#include "proto/chunk_out.h"
#include "proto/handshake.h"
#include "proto/parcel.h"

static const char place[] = "rtmp";

struct cv_rtmp {
    // What sending touches, together: a server sends to many engines in turn.
    struct cv_handshake *handshake; // NULL once it is done
    struct cv_block *raw[2];        // handshake parts that wait to be sent, in order
    size_t raw_sent;                // bytes of raw[0] that have left
    struct cv_chunk_out out;
    uint64_t bytes_out;
    // The rest.
    struct cv_chunk_in in;
    struct cv_rd input;            // what feed lent and next has not read yet
    struct cv_amf_doc *doc;        // values of the current command
    struct cv_msg current;         // the message of the current event; payload reference is ours
    struct cv_aggregate aggregate; // the aggregate being taken apart, over aggregate_msg
    struct cv_msg aggregate_msg;   // payload NULL while there is none
    struct cv_why why;
    uint64_t bytes_in;
    uint64_t bytes_acked;
    uint32_t ack_every_bytes;
    uint32_t pongs; // since the queue was last empty
    bool amf3;
    bool eager; // messages leave before the handshake is complete
};

static int queue_handshake(struct cv_rtmp *rtmp)
{
    int err = CV_OK;
    struct cv_block *part = cv_handshake_take(rtmp->handshake, &err);
    if (!part)
        return err == CV_OK ? CV_OK : cv_why_set(&rtmp->why, err, "handshake", "no memory");
    int slot = rtmp->raw[0] ? 1 : 0;
    CV_ASSERT(!rtmp->raw[slot]);
    rtmp->raw[slot] = part;
    return CV_OK;
}

// An eager client says all of its handshake now: nothing may come before it.
static int begin_handshake(struct cv_rtmp *rtmp, const struct cv_rtmp_config *config,
                           uint32_t now_ms)
{
    if (config->role == CV_RTMP_SERVER)
        rtmp->handshake = cv_handshake_new_server(config->crypto, now_ms);
    else
        rtmp->handshake = cv_handshake_new_client(config->crypto, now_ms, config->digest);
    if (!rtmp->handshake)
        return CV_E_NOMEM;
    rtmp->eager = config->eager && config->role == CV_RTMP_CLIENT;
    if (!rtmp->eager)
        return CV_OK;
    cv_handshake_hurry(rtmp->handshake);
    return queue_handshake(rtmp);
}

struct cv_rtmp *cv_rtmp_new(const struct cv_rtmp_config *config, uint32_t now_ms)
{
    uint32_t media_max = config->media_bytes_max ? config->media_bytes_max : CV_LIMIT_MEDIA_BYTES;
    size_t out_max = config->out_bytes_max ? config->out_bytes_max : CV_LIMIT_OUT_BYTES;
    struct cv_rtmp *rtmp = cv_mem_zero(1, sizeof *rtmp);
    if (!rtmp)
        return NULL;
    cv_chunk_in_init(&rtmp->in, media_max);
    cv_chunk_out_init(&rtmp->out, out_max);
    rtmp->input = cv_rd_over(NULL, 0);
    rtmp->ack_every_bytes = CV_ACK_EVERY_BYTES;
    if (begin_handshake(rtmp, config, now_ms) == CV_OK)
        return rtmp;
    cv_rtmp_free(rtmp);
    return NULL;
}

void cv_rtmp_free(struct cv_rtmp *rtmp)
{
    if (!rtmp)
        return;
    cv_handshake_free(rtmp->handshake);
    cv_block_unref(&rtmp->raw[0]);
    cv_block_unref(&rtmp->raw[1]);
    cv_block_unref(&rtmp->current.payload);
    cv_block_unref(&rtmp->aggregate_msg.payload);
    cv_amf_doc_free(rtmp->doc);
    cv_chunk_in_done(&rtmp->in);
    cv_chunk_out_done(&rtmp->out);
    cv_mem_free(rtmp);
}

const struct cv_why *cv_rtmp_why(const struct cv_rtmp *rtmp)
{
    return &rtmp->why;
}

uint64_t cv_rtmp_bytes_in(const struct cv_rtmp *rtmp)
{
    return rtmp->bytes_in;
}

uint64_t cv_rtmp_bytes_out(const struct cv_rtmp *rtmp)
{
    return rtmp->bytes_out;
}

void cv_rtmp_use_amf3(struct cv_rtmp *rtmp)
{
    rtmp->amf3 = true;
}

// ---- sending --------------------------------------------------------------------------------

int cv_rtmp_send(struct cv_rtmp *rtmp, const struct cv_msg *msg, enum cv_csid csid)
{
    return cv_chunk_out_push(&rtmp->out, msg, csid);
}

// Queues what a writer holds as a message of the connection or of a stream.
static int send_written(struct cv_rtmp *rtmp, struct cv_wr *wr, uint8_t type, uint32_t stream_id,
                        enum cv_csid csid)
{
    struct cv_block *payload = cv_wr_take(wr);
    if (!payload)
        return wr->err;
    struct cv_msg msg = {.type = type, .stream_id = stream_id, .payload = payload};
    int err = cv_rtmp_send(rtmp, &msg, csid);
    cv_block_unref(&payload);
    return err;
}

int cv_rtmp_send_control(struct cv_rtmp *rtmp, enum cv_msg_type type, uint32_t value)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_CONTROL_BYTES);
    cv_wr_u32(&wr, value);
    return send_written(rtmp, &wr, (uint8_t)type, 0, CV_CSID_CONTROL);
}

int cv_rtmp_send_peer_bandwidth(struct cv_rtmp *rtmp, uint32_t window_bytes)
{
    enum { LIMIT_DYNAMIC = 2 };
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_CONTROL_BYTES);
    cv_wr_u32(&wr, window_bytes);
    cv_wr_u8(&wr, LIMIT_DYNAMIC);
    return send_written(rtmp, &wr, CV_MSG_PEER_BANDWIDTH, 0, CV_CSID_CONTROL);
}

int cv_rtmp_send_user(struct cv_rtmp *rtmp, enum cv_user_event event, uint32_t id)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_CONTROL_BYTES);
    cv_wr_u16(&wr, (uint16_t)event);
    cv_wr_u32(&wr, id);
    return send_written(rtmp, &wr, CV_MSG_USER_CONTROL, 0, CV_CSID_CONTROL);
}

int cv_rtmp_send_buffer_ms(struct cv_rtmp *rtmp, uint32_t stream_id, uint32_t buffer_ms)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_CONTROL_BYTES);
    cv_wr_u16(&wr, CV_USER_SET_BUFFER);
    cv_wr_u32(&wr, stream_id);
    cv_wr_u32(&wr, buffer_ms);
    return send_written(rtmp, &wr, CV_MSG_USER_CONTROL, 0, CV_CSID_CONTROL);
}

struct cv_wr cv_rtmp_command_begin(const struct cv_rtmp *rtmp, const char *name, double transaction)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    if (rtmp->amf3)
        cv_wr_u8(&wr, 0); // type 17 starts with a format byte; the values behind it are AMF0
    cv_amf0_string(&wr, name);
    cv_amf0_number(&wr, transaction);
    return wr;
}

int cv_rtmp_command_end(struct cv_rtmp *rtmp, struct cv_wr *wr, uint32_t stream_id,
                        enum cv_csid csid)
{
    uint8_t type = rtmp->amf3 ? CV_MSG_COMMAND_AMF3 : CV_MSG_COMMAND_AMF0;
    return send_written(rtmp, wr, type, stream_id, csid);
}

// No chunks before the handshake is complete (5.2.1), unless the peer is known to take them.
static bool chunks_flow(const struct cv_rtmp *rtmp)
{
    return !rtmp->handshake || rtmp->eager;
}

bool cv_rtmp_out_empty(const struct cv_rtmp *rtmp)
{
    return !rtmp->raw[0] && (!chunks_flow(rtmp) || cv_chunk_out_empty(&rtmp->out));
}

uint32_t cv_rtmp_out_count(const struct cv_rtmp *rtmp)
{
    return rtmp->out.count;
}

size_t cv_rtmp_out_bytes(const struct cv_rtmp *rtmp)
{
    return rtmp->out.bytes;
}

void cv_rtmp_pull(struct cv_rtmp *rtmp, struct cv_gather *gather)
{
    size_t skip = rtmp->raw_sent;
    for (int i = 0; i < 2 && rtmp->raw[i]; i++) {
        const struct cv_block *raw = rtmp->raw[i];
        if (!cv_gather_borrow(gather, raw->data + skip, raw->len - skip))
            return;
        skip = 0;
    }
    if (chunks_flow(rtmp))
        cv_chunk_out_pull(&rtmp->out, gather);
}

void cv_rtmp_sent(struct cv_rtmp *rtmp, size_t len)
{
    rtmp->bytes_out += len;
    while (rtmp->raw[0] && len) {
        size_t left = rtmp->raw[0]->len - rtmp->raw_sent;
        if (len < left) {
            rtmp->raw_sent += len;
            return;
        }
        len -= left;
        cv_block_unref(&rtmp->raw[0]);
        rtmp->raw[0] = rtmp->raw[1];
        rtmp->raw[1] = NULL;
        rtmp->raw_sent = 0;
    }
    size_t foreign = cv_chunk_out_sent(&rtmp->out, len);
    CV_ASSERT(foreign == 0);
    if (cv_chunk_out_empty(&rtmp->out))
        rtmp->pongs = 0;
}

void cv_rtmp_sent_beside(struct cv_rtmp *rtmp, size_t len)
{
    CV_ASSERT(!rtmp->handshake && cv_rtmp_out_empty(rtmp));
    rtmp->bytes_out += len;
}

uint32_t cv_rtmp_out_chunk_bytes(const struct cv_rtmp *rtmp)
{
    return rtmp->out.chunk_bytes;
}

struct cv_parcel *cv_rtmp_take(struct cv_rtmp *rtmp, size_t bytes_max)
{
    CV_ASSERT(!cv_rtmp_out_empty(rtmp) && rtmp->raw_sent == 0);
    struct cv_chunk_out *out = chunks_flow(rtmp) ? &rtmp->out : NULL;
    struct cv_parcel *parcel = cv_parcel_new(rtmp->raw, out, bytes_max);
    if (!parcel)
        return NULL;
    rtmp->bytes_out += parcel->bytes;
    if (cv_chunk_out_empty(&rtmp->out))
        rtmp->pongs = 0;
    return parcel;
}

// ---- receiving: handshake -------------------------------------------------------------------

// 1: the handshake has just been completed. 0: it needs more bytes.
static int step_handshake(struct cv_rtmp *rtmp)
{
    int err = cv_handshake_feed(rtmp->handshake, &rtmp->input, &rtmp->why);
    if (err == CV_OK)
        err = queue_handshake(rtmp);
    if (err != CV_OK)
        return err;
    if (!cv_handshake_done(rtmp->handshake))
        return 0;
    cv_handshake_free(rtmp->handshake);
    rtmp->handshake = NULL;
    return 1;
}

// ---- receiving: control messages ------------------------------------------------------------

static int control_failed(struct cv_rtmp *rtmp, uint8_t type, size_t len)
{
    return cv_why_set(&rtmp->why, CV_E_CONTROL, place, "control message of type %u with %zu bytes",
                      type, len);
}

static int on_set_chunk_size(struct cv_rtmp *rtmp, uint32_t value)
{
    int err = cv_chunk_in_set_size(&rtmp->in, value);
    if (err == CV_OK)
        return CV_OK;
    return cv_why_set(&rtmp->why, err, place, "chunk size %u, valid are 1 to 2147483647", value);
}

// The peer's window: acknowledge at half of it, but not so often that Acks become a load.
static int on_window(struct cv_rtmp *rtmp, uint32_t window_bytes)
{
    uint32_t window = window_bytes < CV_WINDOW_BYTES ? window_bytes : CV_WINDOW_BYTES;
    if (window < CV_WINDOW_BYTES_MIN)
        window = CV_WINDOW_BYTES_MIN;
    rtmp->ack_every_bytes = window / 2;
    return CV_OK;
}

// The result of answering a ping or acknowledging. In a queue that is full there is no room for
// it, and it would come too late: it is left out.
static int answered(struct cv_rtmp *rtmp, int err)
{
    if (err == CV_OK || err == CV_E_QUEUE_FULL)
        return CV_OK;
    return cv_why_set(&rtmp->why, err, place, "could not answer");
}

static int on_ping(struct cv_rtmp *rtmp, uint32_t time)
{
    if (rtmp->pongs == CV_LIMIT_UNREAD_REPLIES)
        return cv_why_set(&rtmp->why, CV_E_QUEUE_FULL, place, "pings, and answers are not read");
    rtmp->pongs++;
    return answered(rtmp, cv_rtmp_send_user(rtmp, CV_USER_PING_RESPONSE, time));
}

static int on_user_control(struct cv_rtmp *rtmp, struct cv_rd *rd, struct cv_rtmp_event *out)
{
    size_t len = cv_rd_left(rd);
    out->type = CV_RTMP_USER_CONTROL;
    out->user_event = cv_rd_u16(rd);
    out->user_id = cv_rd_left(rd) >= 4 ? cv_rd_u32(rd) : 0;
    out->user_value = cv_rd_left(rd) >= 4 ? cv_rd_u32(rd) : 0;
    if (rd->err != CV_OK)
        return control_failed(rtmp, CV_MSG_USER_CONTROL, len);
    int err = CV_OK;
    if (out->user_event == CV_USER_PING_REQUEST)
        err = on_ping(rtmp, out->user_id);
    return err == CV_OK ? 1 : err;
}

// 1: an event for the caller. 0: handled here.
static int on_control(struct cv_rtmp *rtmp, const struct cv_msg *msg, struct cv_rtmp_event *out)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    if (msg->type == CV_MSG_USER_CONTROL)
        return on_user_control(rtmp, &rd, out);
    uint32_t value = cv_rd_u32(&rd);
    if (rd.err != CV_OK)
        return control_failed(rtmp, msg->type, msg->payload->len);
    switch (msg->type) {
    case CV_MSG_SET_CHUNK_SIZE:
        return on_set_chunk_size(rtmp, value);
    case CV_MSG_ABORT:
        cv_chunk_in_abort(&rtmp->in, value);
        return CV_OK;
    case CV_MSG_WINDOW_ACK_SIZE:
        return on_window(rtmp, value);
    case CV_MSG_ACK:
        out->type = CV_RTMP_ACK;
        out->user_value = value;
        return 1;
    default:
        return CV_OK; // Set Peer Bandwidth: TCP is our window
    }
}

// ---- receiving: commands, data, media -------------------------------------------------------

// Types 15 and 17 carry a format byte before their AMF0 values.
static struct cv_rd amf_body(const struct cv_msg *msg)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    bool amf3 = msg->type == CV_MSG_COMMAND_AMF3 || msg->type == CV_MSG_DATA_AMF3;
    if (amf3 && cv_rd_left(&rd) && *rd.at == 0)
        cv_rd_u8(&rd);
    return rd;
}

static int on_command(struct cv_rtmp *rtmp, const struct cv_msg *msg, struct cv_rtmp_event *out)
{
    struct cv_rd rd = amf_body(msg);
    rtmp->doc = cv_amf_doc_new();
    if (!rtmp->doc)
        return cv_why_set(&rtmp->why, CV_E_NOMEM, place, "no memory for a command");
    struct cv_why why = {0};
    int err = cv_amf0_decode(rtmp->doc, rd.at, cv_rd_left(&rd), &why);
    // A class with bytes of its own makes only this message unreadable, not the connection.
    if (err == CV_E_AMF_EXTERNAL)
        return CV_OK;
    if (err != CV_OK)
        return cv_why_set(&rtmp->why, err, "command", "%s", why.text);
    const struct cv_amf *name = cv_amf_doc_at(rtmp->doc, 0);
    if (!name || name->type != CV_AMF_STRING)
        return cv_why_set(&rtmp->why, CV_E_COMMAND, "command", "it does not start with a name");
    out->type = CV_RTMP_COMMAND;
    out->name = name->text;
    out->transaction = cv_amf_number(cv_amf_doc_at(rtmp->doc, 1), 0);
    out->object = cv_amf_doc_at(rtmp->doc, 2);
    out->args = cv_amf_doc_at(rtmp->doc, 3);
    return 1;
}

// An AMF3 data message becomes an AMF0 one, so that nobody above has to know two forms.
static int on_data(struct cv_rtmp *rtmp, struct cv_msg *msg, struct cv_rtmp_event *out)
{
    out->type = CV_RTMP_DATA;
    if (msg->type == CV_MSG_DATA_AMF0)
        return 1;
    struct cv_rd rd = amf_body(msg);
    struct cv_block *body = cv_block_copy(rd.at, cv_rd_left(&rd));
    if (!body)
        return cv_why_set(&rtmp->why, CV_E_NOMEM, place, "no memory for a data message");
    cv_block_unref(&msg->payload);
    msg->payload = body;
    msg->type = CV_MSG_DATA_AMF0;
    return 1;
}

static int on_aggregate(struct cv_rtmp *rtmp, struct cv_msg *msg)
{
    rtmp->aggregate_msg = *msg;
    msg->payload = NULL;
    const struct cv_block *payload = rtmp->aggregate_msg.payload;
    rtmp->aggregate = cv_aggregate_over(rtmp->aggregate_msg.ts_ms, payload->data, payload->len);
    return CV_OK;
}

// 1: an event for the caller. 0: handled here, go on.
static int on_message(struct cv_rtmp *rtmp, struct cv_rtmp_event *out)
{
    struct cv_msg *msg = &rtmp->current;
    if (cv_msg_is_control(msg->type))
        return on_control(rtmp, msg, out);
    switch (msg->type) {
    case CV_MSG_AUDIO:
    case CV_MSG_VIDEO:
        out->type = CV_RTMP_MEDIA;
        return 1;
    case CV_MSG_DATA_AMF0:
    case CV_MSG_DATA_AMF3:
        return on_data(rtmp, msg, out);
    case CV_MSG_COMMAND_AMF0:
    case CV_MSG_COMMAND_AMF3:
        return on_command(rtmp, msg, out);
    case CV_MSG_SHARED_OBJECT_AMF0:
    case CV_MSG_SHARED_OBJECT_AMF3:
        out->type = CV_RTMP_SHARED_OBJECT;
        return 1;
    case CV_MSG_AGGREGATE:
        return on_aggregate(rtmp, msg);
    default:
        return CV_OK; // unknown types are ignored (7.1)
    }
}

// The next part of the aggregate as the current message. 0 when it is used up.
static int next_of_aggregate(struct cv_rtmp *rtmp)
{
    struct cv_aggregate_item part;
    int more = cv_aggregate_next(&rtmp->aggregate, &part);
    if (more < 0)
        cv_why_set(&rtmp->why, more, "aggregate", "%s", rtmp->aggregate.why.text);
    if (more <= 0) {
        cv_block_unref(&rtmp->aggregate_msg.payload);
        return more;
    }
    rtmp->current = (struct cv_msg){
        .type = part.type,
        .ts_ms = part.ts_ms,
        .stream_id = rtmp->aggregate_msg.stream_id,
        .payload = cv_block_copy(part.data, part.len),
    };
    if (!rtmp->current.payload)
        return cv_why_set(&rtmp->why, CV_E_NOMEM, place, "no memory for a part of an aggregate");
    return 1;
}

static int next_message(struct cv_rtmp *rtmp)
{
    if (rtmp->aggregate_msg.payload) {
        int more = next_of_aggregate(rtmp);
        if (more != 0)
            return more;
    }
    return cv_chunk_in_next(&rtmp->in, &rtmp->input, &rtmp->current, &rtmp->why);
}

static int acknowledge(struct cv_rtmp *rtmp)
{
    if (rtmp->bytes_in - rtmp->bytes_acked < rtmp->ack_every_bytes)
        return CV_OK;
    rtmp->bytes_acked = rtmp->bytes_in;
    // A publisher that never reads (OBS) must not pile them up.
    if (rtmp->out.count >= CV_LIMIT_UNREAD_REPLIES)
        return CV_OK;
    return answered(rtmp, cv_rtmp_send_control(rtmp, CV_MSG_ACK, (uint32_t)rtmp->bytes_in));
}

static void drop_current(struct cv_rtmp *rtmp)
{
    cv_block_unref(&rtmp->current.payload);
    cv_amf_doc_free(rtmp->doc);
    rtmp->doc = NULL;
}

void cv_rtmp_feed(struct cv_rtmp *rtmp, const void *data, size_t len)
{
    CV_ASSERT(cv_rd_left(&rtmp->input) == 0 || rtmp->why.code != CV_OK);
    rtmp->input = cv_rd_over(data, len);
    rtmp->bytes_in += len;
}

struct cv_rd cv_rtmp_unread(struct cv_rtmp *rtmp)
{
    struct cv_rd unread = rtmp->input;
    rtmp->bytes_in -= cv_rd_left(&unread);
    rtmp->input = cv_rd_over(NULL, 0);
    return unread;
}

static int step(struct cv_rtmp *rtmp, struct cv_rtmp_event *out)
{
    if (rtmp->handshake) {
        int ready = step_handshake(rtmp);
        out->type = CV_RTMP_READY;
        return ready;
    }
    for (;;) {
        drop_current(rtmp);
        int more = next_message(rtmp);
        if (more < 0)
            return more;
        if (more == 0)
            return acknowledge(rtmp);
        int event = on_message(rtmp, out);
        if (event != 0)
            return event;
    }
}

int cv_rtmp_next(struct cv_rtmp *rtmp, struct cv_rtmp_event *out)
{
    if (rtmp->why.code != CV_OK)
        return rtmp->why.code;
    struct cv_rtmp_event event = {0};
    int result = step(rtmp, &event);
    CV_ASSERT(result >= 0 || rtmp->why.code != CV_OK);
    if (result != 1)
        return result;
    event.msg = rtmp->current;
    *out = event;
    return 1;
}
