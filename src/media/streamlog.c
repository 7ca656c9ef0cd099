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
    // Messages of one time come so far apart at most, also from careless encoders.
    INTERLEAVE_MS = 5000,
};

void cv_stream_log_init(struct cv_stream_log *log, const struct cv_log_limits *limits)
{
    *log = (struct cv_stream_log){.limits = *limits, .gop = CV_LOG_NONE, .wants_key = true};
}

void cv_stream_log_init_copy(struct cv_stream_log *log, const struct cv_log_limits *limits)
{
    cv_stream_log_init(log, limits);
    log->copy = true;
    log->next_number = log->whole_from = CV_LOG_NONE;
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
    if (entry->number != CV_LOG_NONE && entry->number >= log->whole_from)
        log->whole_from = entry->number + 1;
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
    if (log->bytes > log->limits.bytes_max)
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

// One more message fits afterwards. The only thing in an append that can fail, so it comes first.
static int make_room(struct cv_stream_log *log)
{
    // A full ring of the largest size loses its oldest.
    if (log->head - log->tail < log->capacity || log->capacity >= CV_LOG_MESSAGES_MAX)
        return CV_OK;
    uint32_t capacity = log->capacity ? log->capacity * 2 : FIRST_ENTRIES;
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
    log->restarted = log->timed;
    log->wants_key = true;
    log->gop = CV_LOG_NONE;
}

void cv_stream_log_end(struct cv_stream_log *log)
{
    cv_stream_log_restart(log);
    log->started = false;
    log->ended = true;
}

static void headers_have_changed(struct cv_stream_log *log)
{
    log->headers_version++;
    log->headers_at = log->head;
}

// The next publisher begins: nobody needs the last one's headers any more.
static void forget(struct cv_stream_log *log)
{
    drop_headers(log);
    cv_block_unref(&log->metadata);
    headers_have_changed(log);
    log->has_video = false;
    log->has_audio = false;
    log->ended = false;
}

// Many programs keep 31 bits of the time: of the two times that can be meant, the one that is
// nearer to the last.
static uint32_t nearest(const struct cv_stream_log *log, uint32_t ts_ms)
{
    const uint32_t half = UINT32_C(1) << 31;
    uint32_t apart_ms = ts_ms - log->last_ts_ms + half / 2;
    return log->timed && apart_ms > half ? ts_ms + half : ts_ms;
}

static void settle(struct cv_stream_log *log, uint32_t ts_ms)
{
    int32_t ahead_ms = cv_seq_diff(nearest(log, ts_ms + log->ts_offset_ms), log->last_ts_ms);
    if (ahead_ms <= 0 || ahead_ms > CONTINUES_MS)
        log->ts_offset_ms = log->last_ts_ms + 1 - ts_ms;
    log->restarted = false;
    log->has_floor = true;
    log->floor_ms = log->last_ts_ms + 1;
}

// The publisher's time on the log's timeline. The first frame after a restart need not be its
// earliest: audio may come before video, and stays behind what was there before.
static uint32_t timeline(const struct cv_stream_log *log, uint32_t ts_ms)
{
    uint32_t mapped_ms = nearest(log, ts_ms + log->ts_offset_ms);
    int32_t above_ms = cv_seq_diff(mapped_ms, log->floor_ms);
    bool below = log->has_floor && above_ms < 0 && above_ms > -CONTINUES_MS;
    return below ? log->floor_ms : mapped_ms;
}

// Before its first frame a publisher sends headers with time 0, whatever the frames will have.
static void retime(struct cv_stream_log *log, uint32_t ts_ms)
{
    for (uint64_t seq = log->tail; seq < log->head; seq++)
        entry_at(log, seq)->ts_ms = ts_ms;
}

static uint32_t frame_time(struct cv_stream_log *log, uint32_t ts_ms)
{
    if (log->restarted)
        settle(log, ts_ms);
    uint32_t mapped_ms = timeline(log, ts_ms);
    if (!log->timed)
        retime(log, mapped_ms);
    int32_t ahead_ms = cv_seq_diff(mapped_ms, log->last_ts_ms);
    if (!log->timed || ahead_ms > 0 || ahead_ms < -INTERLEAVE_MS)
        log->last_ts_ms = mapped_ms;
    if (cv_seq_diff(mapped_ms, log->floor_ms) > CONTINUES_MS)
        log->has_floor = false;
    log->timed = true;
    return mapped_ms;
}

// Headers and metadata: their own time if it fits to the frames', since many come with time 0.
static uint32_t header_time(const struct cv_stream_log *log, uint32_t ts_ms)
{
    if (!log->timed)
        return ts_ms;
    uint32_t mapped_ms = timeline(log, ts_ms);
    int32_t ahead_ms = cv_seq_diff(mapped_ms, log->last_ts_ms);
    bool fits = ahead_ms <= INTERLEAVE_MS && ahead_ms >= -INTERLEAVE_MS;
    return fits && !log->restarted ? mapped_ms : log->last_ts_ms;
}

// ---- appending ------------------------------------------------------------------------------

// There is room. `payload` stays the caller's; the log takes a reference.
static void put(struct cv_stream_log *log, uint8_t type, uint8_t flags, uint32_t ts_ms,
                struct cv_block *payload)
{
    if (log->head - log->tail == CV_LOG_MESSAGES_MAX)
        drop_tail(log);
    CV_ASSERT(log->head - log->tail < log->capacity);
    if (flags & CV_LOG_GOP) {
        log->gop = log->head;
        log->key_frames++;
    }
    *entry_at(log, log->head) = (struct cv_log_entry){.payload = cv_block_ref(payload),
                                                      .number = log->copy ? log->number : log->head,
                                                      .ts_ms = ts_ms,
                                                      .type = type,
                                                      .flags = flags};
    log->head++;
    log->bytes += payload->len;
    log->messages++;
    trim(log);
}

static bool same_bytes(const struct cv_block *a, const struct cv_block *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool has_track(const struct cv_log_header *header, uint8_t track)
{
    return memchr(header->tracks, track, header->track_count);
}

static bool is_about(const struct cv_log_header *header, const struct cv_avtag *tag,
                     enum cv_av_role role)
{
    return header->role == role && header->type == (tag->video ? CV_MSG_VIDEO : CV_MSG_AUDIO);
}

static bool shares_track(const struct cv_log_header *header, const struct cv_avtag *tag)
{
    for (uint32_t i = 0; i < tag->track_count; i++) {
        if (has_track(header, tag->tracks[i].id))
            return true;
    }
    return false;
}

static bool covers(const struct cv_avtag *tag, const struct cv_log_header *header)
{
    for (uint32_t i = 0; i < header->track_count; i++) {
        if (!cv_avtag_find(tag, header->tracks[i]))
            return false;
    }
    return true;
}

// The last one of this role about a track of the message, or NULL.
static struct cv_log_header *last_header(struct cv_stream_log *log, const struct cv_avtag *tag,
                                         enum cv_av_role role)
{
    for (uint32_t i = log->header_count; i > 0; i--) {
        struct cv_log_header *header = &log->headers[i - 1];
        if (is_about(header, tag, role) && shares_track(header, tag))
            return header;
    }
    return NULL;
}

// Forgets what a new header replaces: those about no other tracks than its own.
static void drop_replaced(struct cv_stream_log *log, const struct cv_avtag *tag)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < log->header_count; i++) {
        struct cv_log_header *header = &log->headers[i];
        if (is_about(header, tag, tag->role) && covers(tag, header))
            cv_block_unref(&header->payload);
        else
            log->headers[kept++] = *header;
    }
    log->header_count = kept;
}

static void add_header(struct cv_stream_log *log, const struct cv_avtag *tag, uint8_t type,
                       struct cv_block *payload)
{
    if (log->header_count == CV_LIMIT_TRACKS || payload->len > CV_LIMIT_HEADER_BYTES)
        return;
    struct cv_log_header *header = &log->headers[log->header_count++];
    *header = (struct cv_log_header){
        .payload = cv_block_ref(payload), .type = type, .role = (uint8_t)tag->role};
    for (uint32_t i = 0; i < tag->track_count; i++)
        header->tracks[header->track_count++] = tag->tracks[i].id;
}

// Keeps a codec header for later viewers. False when it is the one that is kept already.
static bool keep_header(struct cv_stream_log *log, const struct cv_avtag *tag, uint8_t type,
                        struct cv_block *payload)
{
    const struct cv_log_header *last = last_header(log, tag, tag->role);
    if (last && !last->ended && same_bytes(last->payload, payload))
        return false;
    // Frames of the old configuration are of no use to those who join now.
    if (last && tag->role == CV_AV_CONFIG && !same_bytes(last->payload, payload))
        log->gop = CV_LOG_NONE;
    drop_replaced(log, tag);
    add_header(log, tag, type, payload);
    headers_have_changed(log);
    return true;
}

static void end_sequence(struct cv_stream_log *log, const struct cv_avtag *tag)
{
    struct cv_log_header *last = last_header(log, tag, CV_AV_CONFIG);
    if (last)
        last->ended = true;
}

static uint8_t media_flags(const struct cv_avtag *tag)
{
    if (tag->role == CV_AV_FRAME && !tag->video)
        return CV_LOG_AUDIO;
    if (tag->role == CV_AV_FRAME)
        return (uint8_t)(CV_LOG_VIDEO | (cv_avtag_starts_gop(tag) ? CV_LOG_GOP : 0));
    return CV_LOG_HEADER;
}

void cv_stream_log_start(struct cv_stream_log *log)
{
    if (log->ended)
        forget(log);
    if (!log->started)
        log->first = log->head;
    log->started = true;
}

static void append_frame(struct cv_stream_log *log, const struct cv_msg *msg, uint8_t flags)
{
    cv_stream_log_start(log);
    put(log, msg->type, flags, frame_time(log, msg->ts_ms), msg->payload);
}

static void append_parsed(struct cv_stream_log *log, const struct cv_msg *msg,
                          const struct cv_avtag *tag)
{
    uint8_t flags = media_flags(tag);
    if (flags & CV_LOG_GOP)
        log->wants_key = false;
    if (log->wants_key && flags == CV_LOG_VIDEO) {
        log->dropped++;
        return;
    }
    if (tag->role == CV_AV_FRAME) {
        append_frame(log, msg, flags);
        return;
    }
    if (tag->role == CV_AV_END)
        end_sequence(log, tag);
    if (cv_avtag_is_header(tag) && !keep_header(log, tag, msg->type, msg->payload))
        return;
    put(log, msg->type, flags, header_time(log, msg->ts_ms), msg->payload);
}

static void append_media(struct cv_stream_log *log, const struct cv_msg *msg)
{
    bool video = msg->type == CV_MSG_VIDEO;
    struct cv_avtag tag;
    if (cv_avtag_parse(&tag, video, msg->payload->data, msg->payload->len, NULL) != CV_OK) {
        log->unparsed++;
        append_frame(log, msg, video ? CV_LOG_VIDEO : CV_LOG_AUDIO);
        return;
    }
    log->has_video |= video && tag.role != CV_AV_EMPTY;
    log->has_audio |= !video;
    append_parsed(log, msg, &tag);
}

static void append_metadata(struct cv_stream_log *log, const struct cv_msg *msg)
{
    if (log->metadata && same_bytes(log->metadata, msg->payload))
        return;
    headers_have_changed(log);
    put(log, msg->type, CV_LOG_SCRIPT, header_time(log, msg->ts_ms), msg->payload);
    cv_block_unref(&log->metadata);
    log->metadata = cv_block_ref(msg->payload);
}

// In a stream without audio and video the data messages are what it is about, and make its time.
static void append_passed(struct cv_stream_log *log, const struct cv_msg *msg)
{
    if (log->has_audio || log->has_video)
        put(log, msg->type, CV_LOG_SCRIPT, header_time(log, msg->ts_ms), msg->payload);
    else
        append_frame(log, msg, CV_LOG_SCRIPT);
}

static void append_kind(struct cv_stream_log *log, const struct cv_msg *msg, enum cv_data_kind kind)
{
    switch (kind) {
    case CV_DATA_METADATA:
        append_metadata(log, msg);
        return;
    case CV_DATA_CLEAR:
        cv_block_unref(&log->metadata);
        headers_have_changed(log);
        return;
    case CV_DATA_PASS:
        append_passed(log, msg);
        return;
    }
    CV_UNREACHABLE();
}

static int append_data(struct cv_stream_log *log, const struct cv_msg *msg)
{
    size_t offset;
    const struct cv_block *whole = msg->payload;
    enum cv_data_kind kind = cv_data_classify(whole, &offset);
    if (offset == 0) {
        append_kind(log, msg, kind);
        return CV_OK;
    }
    struct cv_msg part = *msg;
    part.payload = cv_block_copy(whole->data + offset, whole->len - offset);
    if (!part.payload)
        return CV_E_NOMEM;
    append_kind(log, &part, kind);
    cv_block_unref(&part.payload);
    return CV_OK;
}

int cv_stream_log_append(struct cv_stream_log *log, const struct cv_msg *msg)
{
    CV_ASSERT(msg->payload);
    int err = make_room(log);
    if (err != CV_OK)
        return err;
    if (log->ended)
        forget(log);
    if (msg->type == CV_MSG_DATA_AMF0)
        return append_data(log, msg);
    CV_ASSERT(msg->type == CV_MSG_AUDIO || msg->type == CV_MSG_VIDEO);
    append_media(log, msg);
    return CV_OK;
}

// ---- copies ---------------------------------------------------------------------------------

// Anything but the number that was expected breaks the row: it begins again here, or nowhere.
static void take_number(struct cv_stream_log *log, uint64_t number)
{
    if (number != log->next_number)
        log->whole_from = number;
    log->number = number;
    log->next_number = number == CV_LOG_NONE ? CV_LOG_NONE : number + 1;
}

int cv_stream_log_append_copy(struct cv_stream_log *log, const struct cv_msg *msg, uint64_t number)
{
    CV_ASSERT(log->copy);
    take_number(log, number);
    log->wants_key = false; // the original has seen to that
    int err = cv_stream_log_append(log, msg);
    if (err != CV_OK)
        take_number(log, CV_LOG_NONE);
    return err;
}

bool cv_stream_log_find(const struct cv_stream_log *log, uint64_t number, uint64_t *out_seq)
{
    uint64_t next = log->copy ? log->next_number : log->head;
    if (log->whole_from == CV_LOG_NONE || number < log->whole_from || number > next)
        return false;
    uint64_t seq = log->head;
    while (seq > log->tail) {
        uint64_t before = entry_at(log, seq - 1)->number;
        if (before == CV_LOG_NONE || before < number)
            break;
        seq--;
    }
    *out_seq = seq;
    return true;
}
