#include "media/cursor.h"

#include "base/check.h"

struct cv_cursor cv_cursor_new(void)
{
    return (struct cv_cursor){0};
}

// Should it fall behind, headers come again: whether they have changed since is not known.
void cv_cursor_resume_at(struct cv_cursor *cursor, const struct cv_stream_log *log, uint64_t seq)
{
    CV_ASSERT(seq >= log->tail && seq <= log->head);
    cursor->seq = seq;
    cursor->headers_version = log->headers_version - 1;
    cursor->joined = true;
    cursor->early = false;
}

// Somebody publishes; or did, from beginning to end, while the viewer was there and had no turn.
static bool may_join(const struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    bool missed = cursor->early && log->ended && cursor->early_seq <= log->first;
    return log->started || (missed && log->first < log->head);
}

bool cv_cursor_behind(const struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    return !cursor->joined ? may_join(cursor, log)
                           : cursor->headers_left || cursor->seq < log->head;
}

bool cv_cursor_is_plain(const struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    bool holds_back = cursor->wants_key || cursor->audio_off || cursor->video_off;
    bool there = cursor->seq >= log->tail && cursor->seq < log->head;
    return cursor->joined && !cursor->headers_left && !holds_back && there;
}

void cv_cursor_pass(struct cv_cursor *cursor, uint64_t to)
{
    CV_ASSERT(to > cursor->seq);
    cursor->seq = to;
    cursor->from_log = true;
}

void cv_cursor_receive_audio(struct cv_cursor *cursor, bool on)
{
    cursor->audio_off = !on;
}

void cv_cursor_receive_video(struct cv_cursor *cursor, bool on)
{
    if (on && cursor->video_off)
        cursor->wants_key = true;
    cursor->video_off = !on;
}

void cv_cursor_rejoin(struct cv_cursor *cursor)
{
    cursor->joined = false;
    cursor->early = false;
}

void cv_cursor_wait(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    if (cursor->joined || cursor->early || log->started)
        return;
    cursor->early = true;
    cursor->early_seq = log->head;
}

// Metadata counts as one more header, before the others.
static void resend_headers(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    cursor->headers_left = (uint8_t)(log->header_count + 1);
    cursor->headers_version = log->headers_version;
}

// Places the cursor at the newest key frame, or at the live edge, where video waits for a key
// frame. Never back: a key frame that the viewer has been past is of no use to it.
static void go_to_newest(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    bool at_key = log->gop != CV_LOG_NONE && log->gop >= cursor->seq && log->limits.gop_cache;
    cursor->seq = at_key ? log->gop : log->head;
    cursor->wants_key = !at_key && log->has_video;
}

void cv_cursor_start_at(struct cv_cursor *cursor, const struct cv_stream_log *log, uint64_t seq)
{
    CV_ASSERT(seq >= log->tail && seq <= log->head);
    *cursor = (struct cv_cursor){.seq = seq, .joined = true};
    resend_headers(cursor, log);
}

static void join(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    go_to_newest(cursor, log);
    if (cursor->early && !log->continued && log->first >= log->tail) {
        cursor->seq = log->first;
        cursor->wants_key = false;
    }
    cursor->early = false;
    if (cursor->headers_version != log->headers_version)
        resend_headers(cursor, log);
    cursor->joined = true;
}

// What the viewer has not read is gone: on to the newest key frame. Never back.
static void jump(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    uint64_t from = cursor->seq;
    uint64_t to = log->gop != CV_LOG_NONE ? log->gop : log->head;
    CV_ASSERT(to > from);
    cursor->seq = to;
    cursor->wants_key = to == log->head && log->has_video;
    cursor->jumps++;
    cursor->skipped += to - from;
    if (cursor->headers_version != log->headers_version)
        resend_headers(cursor, log);
}

static bool passes(struct cv_cursor *cursor, const struct cv_log_entry *entry)
{
    if (entry->flags & CV_LOG_AUDIO)
        return !cursor->audio_off;
    if (!(entry->flags & CV_LOG_VIDEO))
        return true;
    if (cursor->video_off)
        return false;
    if (entry->flags & CV_LOG_GOP)
        cursor->wants_key = false;
    return !cursor->wants_key;
}

// Time 0, not the first frame's: FFmpeg makes a data track out of later metadata.
static struct cv_msg metadata_msg(struct cv_block *payload)
{
    return (struct cv_msg){.type = CV_MSG_DATA_AMF0, .payload = payload};
}

// The first frame's time: a header at 0 before frames at hours makes players wait.
static struct cv_msg header_msg(const struct cv_cursor *cursor, const struct cv_stream_log *log,
                                const struct cv_log_header *header)
{
    uint32_t ts_ms = log->last_ts_ms;
    if (cursor->seq < log->head)
        ts_ms = cv_stream_log_at(log, cursor->seq)->ts_ms;
    return (struct cv_msg){.type = header->type, .ts_ms = ts_ms, .payload = header->payload};
}

// The next of metadata and codec headers. False when this one does not exist.
static bool next_header(struct cv_cursor *cursor, const struct cv_stream_log *log,
                        struct cv_msg *out)
{
    if (cursor->headers_version != log->headers_version)
        resend_headers(cursor, log);
    uint32_t index = log->header_count + 1u - cursor->headers_left--;
    bool is_metadata = index == 0;
    const struct cv_log_header *header = is_metadata ? NULL : &log->headers[index - 1];
    struct cv_block *payload = is_metadata ? log->metadata : header->payload;
    if (!payload)
        return false;
    *out = is_metadata ? metadata_msg(payload) : header_msg(cursor, log, header);
    return true;
}

int cv_cursor_next(struct cv_cursor *cursor, const struct cv_stream_log *log, struct cv_msg *out)
{
    cv_cursor_wait(cursor, log);
    if (!cursor->joined && !may_join(cursor, log))
        return 0;
    if (!cursor->joined)
        join(cursor, log);
    if (cursor->seq < log->tail)
        jump(cursor, log);
    cursor->from_log = false;
    while (cursor->headers_left) {
        if (next_header(cursor, log, out))
            return 1;
    }
    while (cursor->seq < log->head) {
        const struct cv_log_entry *entry = cv_stream_log_at(log, cursor->seq++);
        if (!passes(cursor, entry))
            continue;
        cursor->from_log = true;
        *out =
            (struct cv_msg){.type = entry->type, .ts_ms = entry->ts_ms, .payload = entry->payload};
        return 1;
    }
    return 0;
}

uint64_t cv_cursor_last_number(const struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    bool holds_back = cursor->wants_key || cursor->audio_off || cursor->video_off;
    if (!cursor->from_log || holds_back)
        return CV_LOG_NONE;
    return cv_stream_log_at(log, cursor->seq - 1)->number;
}
