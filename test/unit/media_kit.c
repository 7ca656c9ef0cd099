#include "media_kit.h"

#include "harness.h"

#include <stdio.h>

const struct cv_log_limits roomy = {
    .bytes_max = 1 << 20, .ms_max = 10000, .gop_ms_max = 30000, .gop_cache = true};

static int put_bytes(struct cv_stream_log *log, uint8_t type, uint32_t ts_ms, const void *data,
                     size_t len)
{
    struct cv_block *block = cv_block_copy(data, len);
    if (!block)
        return CV_E_NOMEM;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = 1, .payload = block};
    int err = cv_stream_log_append(log, &msg);
    cv_block_unref(&block);
    return err;
}

int put_hex(struct cv_stream_log *log, uint8_t type, uint32_t ts_ms, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    int err = put_bytes(log, type, ts_ms, bytes, len);
    check_log(log);
    return err;
}

static void put_numbered(struct cv_stream_log *log, uint8_t type, uint32_t ts_ms, const char *head,
                         unsigned number)
{
    char hex[128];
    snprintf(hex, sizeof hex, "%s%04x", head, number);
    assert_int_equal(put_hex(log, type, ts_ms, hex), CV_OK);
}

void put_key(struct cv_stream_log *log, uint32_t ts_ms, unsigned number)
{
    put_numbered(log, CV_MSG_VIDEO, ts_ms, "1701000000", number);
}

void put_inter(struct cv_stream_log *log, uint32_t ts_ms, unsigned number)
{
    put_numbered(log, CV_MSG_VIDEO, ts_ms, "2701000000", number);
}

void put_audio(struct cv_stream_log *log, uint32_t ts_ms, unsigned number)
{
    put_numbered(log, CV_MSG_AUDIO, ts_ms, "af01", number);
}

void put_video_header(struct cv_stream_log *log, uint32_t ts_ms, unsigned version)
{
    put_numbered(log, CV_MSG_VIDEO, ts_ms, "1700000000", version);
}

void put_audio_header(struct cv_stream_log *log, uint32_t ts_ms, unsigned version)
{
    put_numbered(log, CV_MSG_AUDIO, ts_ms, "af00", version);
}

#define ON_METADATA "02000a6f6e4d65746144617461"

void put_metadata(struct cv_stream_log *log, uint32_t ts_ms, unsigned version)
{
    put_numbered(log, CV_MSG_DATA_AMF0, ts_ms, "02000d40736574446174614672616d65" ON_METADATA,
                 version);
}

void put_sized(struct cv_stream_log *log, uint8_t type, bool key, uint32_t ts_ms, size_t len)
{
    uint8_t *bytes = calloc(1, len);
    assert_non_null(bytes);
    bytes[0] = type == CV_MSG_AUDIO ? 0xaf : key ? 0x17 : 0x27;
    bytes[1] = 1;
    assert_int_equal(put_bytes(log, type, ts_ms, bytes, len), CV_OK);
    free(bytes);
    check_log(log);
}

// ---- reading --------------------------------------------------------------------------------

static void name_of(const struct cv_msg *msg, char *out, size_t size)
{
    static const struct {
        char kind;
        uint8_t type;
        const char *head;
    } kinds[] = {
        {'K', CV_MSG_VIDEO, "1701000000"}, {'i', CV_MSG_VIDEO, "2701000000"},
        {'V', CV_MSG_VIDEO, "1700000000"}, {'a', CV_MSG_AUDIO, "af01"},
        {'A', CV_MSG_AUDIO, "af00"},       {'M', CV_MSG_DATA_AMF0, ON_METADATA},
    };
    const struct cv_block *payload = msg->payload;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint8_t head[32];
        size_t len = hex_bytes(kinds[i].head, head, sizeof head);
        if (msg->type != kinds[i].type || payload->len != len + 2 ||
            memcmp(payload->data, head, len) != 0)
            continue;
        unsigned number = (unsigned)payload->data[len] << 8 | payload->data[len + 1];
        snprintf(out, size, "%c%u@%u", kinds[i].kind, number, msg->ts_ms);
        return;
    }
    int at = snprintf(out, size, "%u:", msg->type);
    for (uint32_t i = 0; i < payload->len && i < 100; i++)
        at += snprintf(out + at, size - (size_t)at, "%02x", payload->data[i]);
    snprintf(out + at, size - (size_t)at, "@%u", msg->ts_ms);
}

static void expect_one(struct cv_cursor *cursor, const struct cv_stream_log *log,
                       const char *wanted)
{
    struct cv_msg msg;
    char got[300] = "-";
    bool behind = cv_cursor_behind(cursor, log);
    int err = cv_cursor_next(cursor, log, &msg);
    assert_in_range(err, 0, 1);
    assert_true(behind || err == 0);
    if (err == 1) {
        assert_int_equal(msg.stream_id, 0);
        name_of(&msg, got, sizeof got);
    }
    assert_string_equal(got, wanted);
}

void expect(struct cv_cursor *cursor, const struct cv_stream_log *log, const char *wanted)
{
    char copy[1024];
    int len = snprintf(copy, sizeof copy, "%s", wanted);
    assert_in_range(len, 1, sizeof copy - 1);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, " "));)
        expect_one(cursor, log, one);
}

unsigned read_all(struct cv_cursor *cursor, const struct cv_stream_log *log)
{
    struct cv_msg msg;
    unsigned count = 0;
    while (cv_cursor_next(cursor, log, &msg) == 1)
        count++;
    assert_false(cv_cursor_behind(cursor, log) && cursor->joined);
    return count;
}

void check_log(const struct cv_stream_log *log)
{
    size_t bytes = 0;
    for (uint64_t seq = log->tail; seq < log->head; seq++)
        bytes += cv_stream_log_at(log, seq)->payload->len;
    assert_int_equal(bytes, log->bytes);
    uint64_t count = log->head - log->tail;
    assert_true(count <= log->capacity && count <= CV_LOG_MESSAGES_MAX);
    assert_true(count <= 1 || bytes <= log->limits.bytes_max);
    assert_true(log->header_count <= CV_LIMIT_TRACKS);
    for (uint32_t i = 0; i < log->header_count; i++)
        assert_non_null(log->headers[i].payload);
    if (log->gop == CV_LOG_NONE)
        return;
    assert_true(log->gop >= log->tail && log->gop < log->head);
    assert_true(cv_stream_log_at(log, log->gop)->flags & CV_LOG_GOP);
}
