// The stream log and cursors into it, driven by a script of operations.
//
// First byte: the limits. Then operations of one byte and their arguments, see run(). What the log
// and the cursors promise is asserted after each.
#include "base/check.h"
#include "base/wire.h"
#include "media/cursor.h"
#include "proto/message.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CURSORS = 4, PAYLOAD_MAX = 64 };

struct script {
    struct cv_stream_log log;
    struct cv_stream_log replica; // fed by the first cursor, as on another thread
    struct cv_cursor cursors[CURSORS];
    struct cv_rd rd;
    uint32_t ts_ms;
};

static volatile uint8_t sink;

static const struct cv_log_limits limits[4] = {
    {.bytes_max = 200, .ms_max = 10000, .gop_ms_max = 30000, .gop_cache = true},
    {.bytes_max = 100000, .ms_max = 1000, .gop_ms_max = 3000, .gop_cache = true},
    {.bytes_max = 100000, .ms_max = 10000, .gop_ms_max = 30000, .gop_cache = false},
    {.bytes_max = 0, .ms_max = 0, .gop_ms_max = 0, .gop_cache = true},
};

static void check_log(const struct cv_stream_log *log)
{
    size_t bytes = 0;
    uint64_t count = log->head - log->tail;
    for (uint64_t seq = log->tail; seq < log->head; seq++)
        bytes += cv_stream_log_at(log, seq)->payload->len;
    CV_ASSERT(log->tail <= log->head && count <= log->capacity && count <= CV_LOG_MESSAGES_MAX);
    CV_ASSERT(bytes == log->bytes && (count <= 1 || bytes <= log->limits.bytes_max));
    CV_ASSERT(log->header_count <= CV_LIMIT_TRACKS);
    for (uint32_t i = 0; i < log->header_count; i++)
        CV_ASSERT(log->headers[i].payload && log->headers[i].track_count <= CV_LIMIT_TRACKS);
    if (log->gop == CV_LOG_NONE)
        return;
    CV_ASSERT(log->gop >= log->tail && log->gop < log->head);
    CV_ASSERT(cv_stream_log_at(log, log->gop)->flags & CV_LOG_GOP);
}

static void append(struct script *s, uint8_t type, const void *data, size_t len)
{
    struct cv_block *block = cv_block_copy(data, len);
    if (!block)
        return;
    struct cv_msg msg = {.type = type, .ts_ms = s->ts_ms, .stream_id = 1, .payload = block};
    uint64_t head = s->log.head;
    CV_ASSERT(cv_stream_log_append(&s->log, &msg) == CV_OK);
    CV_ASSERT(s->log.head == head || s->log.head == head + 1);
    cv_block_unref(&block);
}

// Media that means something, with one byte of the script in it.
static void append_known(struct script *s, uint8_t kind)
{
    static const struct {
        uint8_t type;
        uint8_t len;
        uint8_t bytes[32];
    } kinds[] = {
        {CV_MSG_VIDEO, 5, {0x17, 1}},
        {CV_MSG_VIDEO, 5, {0x27, 1}},
        {CV_MSG_AUDIO, 2, {0xaf, 1}},
        {CV_MSG_VIDEO, 5, {0x17, 0}},
        {CV_MSG_AUDIO, 2, {0xaf, 0}},
        {CV_MSG_VIDEO, 5, {0x93, 'h', 'v', 'c', '1'}},
        {CV_MSG_VIDEO, 7, {0x96, 0x00, 'a', 'v', 'c', '1', 1}},
        {CV_MSG_DATA_AMF0, 13, {2, 0, 10, 'o', 'n', 'M', 'e', 't', 'a', 'D', 'a', 't', 'a'}},
    };
    uint8_t payload[33];
    size_t len = kinds[kind].len;
    memcpy(payload, kinds[kind].bytes, len);
    payload[len] = cv_rd_u8(&s->rd);
    append(s, kinds[kind].type, payload, len + 1);
}

static void append_raw(struct script *s, uint8_t which)
{
    static const uint8_t types[] = {CV_MSG_AUDIO, CV_MSG_VIDEO, CV_MSG_DATA_AMF0, CV_MSG_VIDEO};
    size_t len = cv_rd_u8(&s->rd) % PAYLOAD_MAX;
    struct cv_rd body = cv_rd_sub(&s->rd, len);
    append(s, types[which], body.at, cv_rd_left(&body));
}

// One message for a cursor. True when there was one.
static bool read_one(struct cv_cursor *cursor, const struct cv_stream_log *log, struct cv_msg *msg)
{
    struct cv_cursor before = *cursor;
    bool behind = cv_cursor_behind(cursor, log);
    int got = cv_cursor_next(cursor, log, msg);
    CV_ASSERT(got == 0 || (got == 1 && behind && msg->payload && msg->stream_id == 0));
    CV_ASSERT(cursor->seq >= before.seq && cursor->seq <= log->head);
    CV_ASSERT(!cursor->joined || cursor->seq >= log->tail);
    CV_ASSERT(got == 1 || !cursor->joined || !cv_cursor_behind(cursor, log));
    CV_ASSERT(cursor->skipped >= before.skipped && cursor->jumps - before.jumps <= 1);
    if (got == 1 && msg->payload->len)
        sink = msg->payload->data[msg->payload->len - 1];
    return got == 1;
}

// Numbers grow, and a place that is found is the first that is not before it.
static void check_numbers(const struct cv_stream_log *log)
{
    uint64_t least = 0;
    for (uint64_t seq = log->tail; seq < log->head; seq++) {
        uint64_t number = cv_stream_log_at(log, seq)->number;
        uint64_t found;
        if (number == CV_LOG_NONE)
            continue;
        CV_ASSERT(number >= least);
        CV_ASSERT(!cv_stream_log_find(log, number, &found) || found == seq);
        least = number + 1;
    }
    uint64_t found;
    if (log->next_number != CV_LOG_NONE && log->whole_from != CV_LOG_NONE)
        CV_ASSERT(cv_stream_log_find(log, log->next_number, &found) && found == log->head);
}

static void pass_on(struct script *s)
{
    struct cv_msg msg;
    while (read_one(&s->cursors[0], &s->log, &msg)) {
        uint64_t number = cv_cursor_last_number(&s->cursors[0], &s->log);
        CV_ASSERT(cv_stream_log_append_copy(&s->replica, &msg, number) == CV_OK);
    }
    check_log(&s->replica);
    check_numbers(&s->replica);
}

// Its cursor starts again, somewhere: so does the copy, as a thread's that gets viewers again.
static void begin_replica(struct script *s)
{
    struct cv_log_limits same = s->replica.limits;
    cv_stream_log_done(&s->replica);
    cv_stream_log_init_copy(&s->replica, &same);
    s->cursors[CURSORS - 1] = cv_cursor_new();
}

static void cursor_does(struct script *s, uint8_t index, uint8_t what)
{
    struct cv_cursor *cursor = &s->cursors[index];
    const struct cv_stream_log *log = index == CURSORS - 1 ? &s->replica : &s->log;
    struct cv_msg msg;
    switch (what) {
    case 0:
        read_one(cursor, log, &msg);
        break;
    case 1:
        while (read_one(cursor, log, &msg))
            continue;
        break;
    case 2:
        cv_cursor_receive_audio(cursor, cv_rd_u8(&s->rd) & 1);
        break;
    case 3:
        cv_cursor_receive_video(cursor, cv_rd_u8(&s->rd) & 1);
        break;
    case 4:
        cv_cursor_rejoin(cursor);
        break;
    case 5:
        *cursor = cv_cursor_new();
        if (index == 0)
            begin_replica(s);
        break;
    default:
        pass_on(s);
    }
}

static void publisher_does(struct script *s, uint8_t what)
{
    switch (what) {
    case 0:
        cv_stream_log_restart(&s->log);
        break;
    case 1:
        cv_stream_log_end(&s->log);
        break;
    case 2:
        cv_stream_log_end(&s->replica);
        break;
    case 3:
        s->ts_ms = cv_rd_u32(&s->rd);
        break;
    case 4:
        s->ts_ms += cv_rd_u16(&s->rd);
        break;
    default:
        s->ts_ms -= cv_rd_u8(&s->rd);
    }
}

// The operation's byte: two bits of kind, six of what.
static void run(struct script *s, uint8_t op)
{
    uint8_t what = op & 0x3f;
    switch (op >> 6) {
    case 0:
        s->ts_ms += what >> 3;
        append_known(s, what & 7);
        break;
    case 1:
        append_raw(s, what & 3);
        break;
    case 2:
        cursor_does(s, what & 3, what >> 2 & 7);
        break;
    default:
        publisher_does(s, what % 6);
    }
    check_log(&s->log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct script s = {.rd = cv_rd_over(data, len)};
    uint8_t chosen = cv_rd_u8(&s.rd) & 3;
    cv_stream_log_init(&s.log, &limits[chosen]);
    cv_stream_log_init_copy(&s.replica, &limits[chosen]);
    while (cv_rd_left(&s.rd) > 0)
        run(&s, cv_rd_u8(&s.rd));
    cv_stream_log_done(&s.log);
    cv_stream_log_done(&s.replica);
    return 0;
}
