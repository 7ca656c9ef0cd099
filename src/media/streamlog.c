#include "media/streamlog.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/seq.h"
#include "media/avtag.h"
#include "media/metadata.h"

#include <string.h>

enum {
    FIRST_ENTRIES = 64,
    // A returning publisher's time that is so far ahead at most belongs to the old timeline.
    CONTINUES_MS = 60000,
};

void cv_stream_log_init(struct cv_stream_log *log, const struct cv_log_limits *limits)
{
    *log = (struct cv_stream_log){.limits = *limits, .gop = CV_LOG_NONE};
}

static struct cv_log_entry *entry_at(const struct cv_stream_log *log, uint64_t seq)
{
    return &log->ring[seq & (log->capacity - 1)];
}

const struct cv_log_entry *cv_stream_log_at(const struct cv_stream_log *log, uint64_t seq)
{
    CV_ASSERT(seq >= log->tail && seq < log->head);
    return entry_at(log, seq);
}

static void drop_tail(struct cv_stream_log *log)
{
    struct cv_log_entry *entry = entry_at(log, log->tail);
    if (log->tail == log->gop)
        log->gop = CV_LOG_NONE;
    log->bytes -= entry->payload->len;
    cv_block_unref(&entry->payload);
    log->tail++;
}

static void drop_headers(struct cv_stream_log *log)
{
    for (uint32_t i = 0; i < log->header_count; i++)
        cv_block_unref(&log->headers[i].payload);
    log->header_count = 0;
}

void cv_stream_log_done(struct cv_stream_log *log)
{
    while (log->tail < log->head)
        drop_tail(log);
    CV_ASSERT(log->bytes == 0);
    drop_headers(log);
    cv_block_unref(&log->metadata);
    cv_mem_free(log->ring);
    log->ring = NULL;
    log->capacity = 0;
}

// ---- keeping within bounds ------------------------------------------------------------------

static bool tail_is_surplus(const struct cv_stream_log *log)
{
    if (log->tail + 1 >= log->head) // the newest message always stays
        return false;
    if (log->bytes > log->limits.bytes_max || log->head - log->tail > CV_LOG_MESSAGES_MAX)
        return true;
    int32_t age_ms = cv_seq_diff(log->last_ts_ms, entry_at(log, log->tail)->ts_ms);
    if (age_ms <= 0)
        return false;
    // The newest group of pictures may be older than what slow viewers get, for those who join.
    bool in_gop = log->gop != CV_LOG_NONE && log->tail >= log->gop;
    uint32_t bound_ms = in_gop ? log->limits.gop_ms_max : log->limits.ms_max;
    return (uint32_t)age_ms > bound_ms;
}

static void trim(struct cv_stream_log *log)
{
    while (tail_is_surplus(log))
        drop_tail(log);
}

static int make_room(struct cv_stream_log *log)
{
    if (log->head - log->tail < log->capacity)
        return CV_OK;
    uint32_t capacity = log->capacity ? log->capacity * 2 : FIRST_ENTRIES;
    CV_ASSERT(capacity <= 2 * CV_LOG_MESSAGES_MAX);
    struct cv_log_entry *ring = cv_mem_alloc(capacity * sizeof *ring);
    if (!ring)
        return CV_E_NOMEM;
    for (uint64_t seq = log->tail; seq < log->head; seq++)
        ring[seq & (capacity - 1)] = *entry_at(log, seq);
    cv_mem_free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    return CV_OK;
}

// ---- timeline -------------------------------------------------------------------------------

void cv_stream_log_restart(struct cv_stream_log *log)
{
    log->restarted = log->head > 0;
    log->wants_key = log->has_video;
    log->gop = CV_LOG_NONE;
}

void cv_stream_log_end(struct cv_stream_log *log)
{
    cv_stream_log_restart(log);
    drop_headers(log);
    cv_block_unref(&log->metadata);
    log->headers_version++;
    log->has_video = false;
    log->has_audio = false;
    log->started = false;
    log->wants_key = false;
}

static void settle(struct cv_stream_log *log, uint32_t ts_ms)
{
    int32_t ahead_ms = cv_seq_diff(ts_ms + log->ts_offset_ms, log->last_ts_ms);
    log->restarted = false;
    if (ahead_ms > 0 && ahead_ms <= CONTINUES_MS)
        return;
    log->ts_offset_ms = log->last_ts_ms + 1 - ts_ms;
    log->has_floor = true;
    log->floor_ms = log->last_ts_ms + 1;
}

// The first frame of a new timeline need not be its earliest: audio may come before video.
static uint32_t above_floor(struct cv_stream_log *log, uint32_t ts_ms)
{
    int32_t above_ms = cv_seq_diff(ts_ms, log->floor_ms);
    if (above_ms > CONTINUES_MS)
        log->has_floor = false;
    return above_ms < 0 && above_ms > -CONTINUES_MS ? log->floor_ms : ts_ms;
}

// The publisher's time on the log's timeline. After a restart only a frame can settle it: encoders
// send headers with time 0 whatever their frames will have.
static uint32_t timeline(struct cv_stream_log *log, uint32_t ts_ms, bool is_frame)
{
    if (log->restarted && !is_frame)
        return log->last_ts_ms;
    if (log->restarted)
        settle(log, ts_ms);
    ts_ms += log->ts_offset_ms;
    return log->has_floor ? above_floor(log, ts_ms) : ts_ms;
}

// ---- appending ------------------------------------------------------------------------------

// `payload` stays the caller's; the log takes a reference.
static int put(struct cv_stream_log *log, uint8_t type, uint8_t flags, uint32_t ts_ms,
               struct cv_block *payload)
{
    int err = make_room(log);
    if (err != CV_OK)
        return err;
    if (flags & CV_LOG_GOP) {
        log->gop = log->head;
        log->key_frames++;
    }
    *entry_at(log, log->head) = (struct cv_log_entry){
        .payload = cv_block_ref(payload), .ts_ms = ts_ms, .type = type, .flags = flags};
    log->head++;
    log->bytes += payload->len;
    if (flags & (CV_LOG_VIDEO | CV_LOG_AUDIO)) // others may carry any time
        log->last_ts_ms = ts_ms;
    log->messages++;
    trim(log);
    return CV_OK;
}

static bool same_bytes(const struct cv_block *a, const struct cv_block *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

// The slot of this header, a free one, or NULL when all are taken.
static struct cv_log_header *header_slot(struct cv_stream_log *log, uint8_t type, uint8_t role,
                                         uint8_t track)
{
    for (uint32_t i = 0; i < log->header_count; i++) {
        struct cv_log_header *slot = &log->headers[i];
        if (slot->type == type && slot->role == role && slot->track == track)
            return slot;
    }
    if (log->header_count == CV_LIMIT_TRACKS)
        return NULL;
    struct cv_log_header *slot = &log->headers[log->header_count++];
    *slot = (struct cv_log_header){.type = type, .role = role, .track = track};
    return slot;
}

// Keeps a codec header for later viewers. False when it is the one that is kept already.
static bool keep_header(struct cv_stream_log *log, const struct cv_avtag *tag, uint8_t type,
                        struct cv_block *payload)
{
    uint8_t track = tag->track_count ? tag->tracks[0].id : 0;
    struct cv_log_header *slot = header_slot(log, type, (uint8_t)tag->role, track);
    if (!slot || payload->len > CV_LIMIT_HEADER_BYTES)
        return true;
    if (slot->payload && same_bytes(slot->payload, payload))
        return false;
    // Frames of the old configuration are of no use to those who join now.
    if (slot->payload && tag->video && tag->role == CV_AV_CONFIG)
        log->gop = CV_LOG_NONE;
    cv_block_unref(&slot->payload);
    slot->payload = cv_block_ref(payload);
    log->headers_version++;
    return true;
}

static uint8_t media_flags(const struct cv_avtag *tag)
{
    if (tag->role == CV_AV_FRAME && !tag->video)
        return CV_LOG_AUDIO;
    if (tag->role == CV_AV_FRAME)
        return (uint8_t)(CV_LOG_VIDEO | (cv_avtag_starts_gop(tag) ? CV_LOG_GOP : 0));
    return CV_LOG_HEADER;
}

static void start(struct cv_stream_log *log)
{
    if (log->started)
        return;
    log->started = true;
    log->first = log->head;
}

static int append_frame(struct cv_stream_log *log, const struct cv_msg *msg, uint8_t flags)
{
    bool useless = log->wants_key && flags == CV_LOG_VIDEO;
    if (flags & CV_LOG_GOP)
        log->wants_key = false;
    if (useless) {
        log->dropped++;
        return CV_OK;
    }
    start(log);
    return put(log, msg->type, flags, timeline(log, msg->ts_ms, true), msg->payload);
}

static int append_media(struct cv_stream_log *log, const struct cv_msg *msg)
{
    bool video = msg->type == CV_MSG_VIDEO;
    struct cv_avtag tag;
    if (cv_avtag_parse(&tag, video, msg->payload->data, msg->payload->len, NULL) != CV_OK) {
        log->unparsed++;
        return append_frame(log, msg, video ? CV_LOG_VIDEO : CV_LOG_AUDIO);
    }
    log->has_video |= video && tag.role != CV_AV_EMPTY;
    log->has_audio |= !video;
    if (tag.role == CV_AV_FRAME)
        return append_frame(log, msg, media_flags(&tag));
    if (cv_avtag_is_header(&tag) && !keep_header(log, &tag, msg->type, msg->payload))
        return CV_OK;
    uint32_t ts_ms = timeline(log, msg->ts_ms, false);
    return put(log, msg->type, media_flags(&tag), ts_ms, msg->payload);
}

static int append_metadata(struct cv_stream_log *log, const struct cv_msg *msg, size_t offset)
{
    struct cv_block *part = cv_block_copy(msg->payload->data + offset, msg->payload->len - offset);
    if (!part)
        return CV_E_NOMEM;
    int err = CV_OK;
    if (!log->metadata || !same_bytes(log->metadata, part)) {
        uint32_t ts_ms = timeline(log, msg->ts_ms, false);
        err = put(log, CV_MSG_DATA_AMF0, CV_LOG_SCRIPT, ts_ms, part);
        cv_block_unref(&log->metadata);
        log->metadata = cv_block_ref(part);
        log->headers_version++;
    }
    cv_block_unref(&part);
    return err;
}

static int append_data(struct cv_stream_log *log, const struct cv_msg *msg)
{
    size_t offset;
    switch (cv_data_classify(msg->payload, &offset)) {
    case CV_DATA_METADATA:
        return append_metadata(log, msg, offset);
    case CV_DATA_CLEAR:
        cv_block_unref(&log->metadata);
        log->headers_version++;
        return CV_OK;
    case CV_DATA_PASS:
        start(log);
        return put(log, msg->type, CV_LOG_SCRIPT, timeline(log, msg->ts_ms, false), msg->payload);
    }
    CV_UNREACHABLE();
}

int cv_stream_log_append(struct cv_stream_log *log, const struct cv_msg *msg)
{
    CV_ASSERT(msg->payload);
    if (msg->type == CV_MSG_DATA_AMF0)
        return append_data(log, msg);
    CV_ASSERT(msg->type == CV_MSG_AUDIO || msg->type == CV_MSG_VIDEO);
    return append_media(log, msg);
}
