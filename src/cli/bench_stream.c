#include "cli/bench_stream.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/amf0.h"

#include <string.h>

enum {
    AUDIO_RATE_HZ = 44100,
    AUDIO_SAMPLES = 1024,  // per AAC frame
    KEY_FACTOR = 8,        // a key frame is so many times as large as another frame
    STAMP_BYTES = 28,      // magic, id, sequence, time, size
    VIDEO_HEAD_BYTES = 10, // tag, packet type, composition time, NAL length, NAL type
    AUDIO_HEAD_BYTES = 2,
    PATTERN_BYTES = 1 << 20, // the largest message, and where in it the pattern may begin
    PATTERN_STARTS = 4093,
    MAGIC = 0x63767431,
    US_PER_S = 1000000,
};

enum { TAG_KEY = 0x17, TAG_INTER = 0x27, TAG_AAC = 0xaf, NAL_KEY = 0x65, NAL_INTER = 0x41 };

// Bytes without any order in them, the same in every process.
static const uint8_t *pattern(uint64_t sequence)
{
    static uint8_t bytes[PATTERN_BYTES];
    static bool ready;
    uint32_t state = 1;
    for (size_t i = 0; !ready && i < sizeof bytes; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(state >> 24);
    }
    ready = true;
    return bytes + sequence * 31 % PATTERN_STARTS;
}

// ---- making ---------------------------------------------------------------------------------

static uint64_t video_due_us(const struct cv_bench_source *source)
{
    return source->video * US_PER_S / source->shape.fps;
}

static uint64_t audio_due_us(const struct cv_bench_source *source)
{
    if (source->shape.audio_kbps == 0)
        return UINT64_MAX;
    return source->audio * AUDIO_SAMPLES * US_PER_S / AUDIO_RATE_HZ;
}

uint64_t cv_bench_source_due_us(const struct cv_bench_source *source)
{
    uint64_t video = video_due_us(source);
    uint64_t audio = audio_due_us(source);
    return video <= audio ? video : audio;
}

// Frames vary by a quarter up and down; the mean is what the bit rate says.
static size_t video_bytes(const struct cv_bench_source *source, bool key)
{
    const struct cv_bench_shape *shape = &source->shape;
    uint64_t frames = (uint64_t)shape->fps * shape->gop_s;
    uint64_t gop_bytes = UINT64_C(125) * (shape->bitrate_kbps - shape->audio_kbps) * shape->gop_s;
    uint64_t bytes = gop_bytes / (frames + KEY_FACTOR - 1) * (key ? KEY_FACTOR : 1);
    bytes = bytes * (75 + source->video * 7 % 51) / 100;
    uint64_t least = VIDEO_HEAD_BYTES + STAMP_BYTES + 1;
    uint64_t most = PATTERN_BYTES - PATTERN_STARTS;
    return (size_t)(bytes < least ? least : bytes > most ? most : bytes);
}

static size_t audio_bytes(const struct cv_bench_source *source)
{
    size_t bytes = (size_t)source->shape.audio_kbps * 125 * AUDIO_SAMPLES / AUDIO_RATE_HZ;
    size_t least = AUDIO_HEAD_BYTES + STAMP_BYTES + 1;
    return bytes < least ? least : bytes;
}

static void put_video_head(struct cv_wr *wr, bool key, size_t len)
{
    cv_wr_u8(wr, key ? TAG_KEY : TAG_INTER);
    cv_wr_u32(wr, 0x01000000); // coded frame, composition time 0
    cv_wr_u32(wr, (uint32_t)(len - VIDEO_HEAD_BYTES + 1));
    cv_wr_u8(wr, key ? NAL_KEY : NAL_INTER);
}

static void put_audio_head(struct cv_wr *wr)
{
    cv_wr_u8(wr, TAG_AAC);
    cv_wr_u8(wr, 1);
}

static void put_u64(struct cv_wr *wr, uint64_t value)
{
    cv_wr_u32(wr, (uint32_t)(value >> 32));
    cv_wr_u32(wr, (uint32_t)value);
}

// Stamp and pattern, up to `len` bytes in all.
static void put_body(struct cv_wr *wr, const struct cv_bench_source *source, uint64_t now_us,
                     size_t len)
{
    cv_wr_u32(wr, MAGIC);
    cv_wr_u32(wr, source->id);
    put_u64(wr, source->sequence);
    put_u64(wr, now_us);
    cv_wr_u32(wr, (uint32_t)len);
    cv_wr_bytes(wr, pattern(source->sequence), len - wr->len);
}

int cv_bench_source_next(struct cv_bench_source *source, uint64_t now_us, struct cv_msg *out)
{
    bool video = video_due_us(source) <= audio_due_us(source);
    bool key = video && source->video % ((uint64_t)source->shape.fps * source->shape.gop_s) == 0;
    uint64_t due_us = cv_bench_source_due_us(source);
    size_t len = video ? video_bytes(source, key) : audio_bytes(source);
    struct cv_block *block = cv_block_new(len);
    if (!block)
        return CV_E_NOMEM;
    struct cv_wr wr = cv_wr_fixed(block->data, len);
    if (video)
        put_video_head(&wr, key, len);
    else
        put_audio_head(&wr);
    put_body(&wr, source, now_us, len);
    CV_ASSERT(wr.err == CV_OK && wr.len == len);
    block->len = (uint32_t)len;
    *out = (struct cv_msg){
        .type = video ? CV_MSG_VIDEO : CV_MSG_AUDIO,
        .ts_ms = (uint32_t)(due_us / 1000),
        .payload = block,
    };
    source->sequence++;
    source->video += video;
    source->audio += !video;
    return CV_OK;
}

struct cv_block *cv_bench_video_header(void)
{
    // AVCDecoderConfigurationRecord (ISO 14496-15): baseline 3.1, one SPS (1280x720), one PPS
    static const uint8_t bytes[] = {
        TAG_KEY, 0,    0,    0,    0,    1,    0x42, 0xc0, 0x1f, 0xff, 0xe1, 0,    10,   0x67, 0x42,
        0xc0,    0x1f, 0xd9, 0x00, 0xa0, 0x05, 0xba, 0x10, 1,    0,    4,    0x68, 0xcb, 0x83, 0xcb,
    };
    return cv_block_copy(bytes, sizeof bytes);
}

struct cv_block *cv_bench_audio_header(void)
{
    static const uint8_t bytes[] = {TAG_AAC, 0, 0x12, 0x10}; // AAC LC, 44.1 kHz, stereo
    return cv_block_copy(bytes, sizeof bytes);
}

static void put_number(struct cv_wr *wr, const char *key, double value)
{
    cv_amf0_key(wr, key);
    cv_amf0_number(wr, value);
}

struct cv_block *cv_bench_metadata(const struct cv_bench_shape *shape)
{
    enum { CODEC_AVC = 7, CODEC_AAC = 10 };
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    cv_amf0_string(&wr, "onMetaData");
    cv_amf0_ecma_array(&wr, 6);
    put_number(&wr, "width", 1280);
    put_number(&wr, "height", 720);
    put_number(&wr, "framerate", shape->fps);
    put_number(&wr, "videocodecid", CODEC_AVC);
    put_number(&wr, "videodatarate", shape->bitrate_kbps - shape->audio_kbps);
    if (shape->audio_kbps)
        put_number(&wr, "audiocodecid", CODEC_AAC);
    cv_amf0_end(&wr);
    return cv_wr_take(&wr);
}

// ---- checking -------------------------------------------------------------------------------

static uint64_t get_u64(struct cv_rd *rd)
{
    uint64_t high = cv_rd_u32(rd);
    return high << 32 | cv_rd_u32(rd);
}

// Counting begins at the first key frame: some servers send audio before it.
static void count_sequence(struct cv_bench_checker *checker, uint64_t sequence, bool key)
{
    bool first = !checker->begun;
    checker->begun = checker->begun || key;
    if (first || sequence == checker->next) {
        checker->next = sequence + 1;
    } else if (sequence > checker->next) {
        checker->gaps += sequence - checker->next;
        checker->next = sequence + 1;
    } else {
        checker->doubles++;
    }
}

// The stamp, and everything behind it. False when anything in it is wrong.
static bool read_body(const struct cv_bench_checker *checker, struct cv_rd *rd, uint32_t len,
                      uint64_t *sequence, uint64_t *sent_us)
{
    bool right = cv_rd_u32(rd) == MAGIC;
    right = cv_rd_u32(rd) == checker->id && right;
    *sequence = get_u64(rd);
    *sent_us = get_u64(rd);
    right = cv_rd_u32(rd) == len && right;
    return right && rd->err == CV_OK && cv_rd_left(rd) <= PATTERN_BYTES - PATTERN_STARTS &&
           memcmp(rd->at, pattern(*sequence), cv_rd_left(rd)) == 0;
}

enum cv_bench_seen cv_bench_check(struct cv_bench_checker *checker, const struct cv_msg *msg,
                                  uint64_t *sent_us)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    uint8_t tag = cv_rd_u8(&rd);
    if (cv_rd_u8(&rd) == 0 && rd.err == CV_OK)
        return CV_BENCH_HEADER;
    if (msg->type == CV_MSG_VIDEO)
        cv_rd_bytes(&rd, VIDEO_HEAD_BYTES - 2);
    uint64_t sequence;
    checker->messages++;
    checker->bytes += msg->payload->len;
    if (!read_body(checker, &rd, msg->payload->len, &sequence, sent_us)) {
        checker->damaged++;
        return CV_BENCH_DAMAGED;
    }
    bool key = msg->type == CV_MSG_VIDEO && tag == TAG_KEY;
    count_sequence(checker, sequence, key);
    return key ? CV_BENCH_KEY : CV_BENCH_OTHER;
}
