// Streams as FLV. First byte: bit 0 a plain view, the rest the portions in which it leaves. Then
// messages: kind (0 audio, 1 video, else data), time since the last in 10 ms, length, payload. What
// leaves must be FLV, hold what the view made, and nothing that players in a page end at.
#include "base/check.h"
#include "media/codec.h"
#include "media/cursor.h"
#include "media/flv_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MEDIA_MAX = 1 << 20 };

static const struct cv_log_limits limits = {
    .bytes_max = 1 << 20, .ms_max = 100000, .gop_ms_max = 100000, .gop_cache = true};
static struct cv_gather gather;

struct run {
    struct cv_stream_log log;
    struct cv_cursor cursor;
    struct cv_flv_view view;
    struct cv_flv_out out;
    struct cv_flv_reader *reader;
    size_t portion;
    uint64_t read; // tags that came out
    bool started;  // the viewer has its view
};

// mpegts.js 1.8: what it does not refuse.
static void check_video(const struct cv_block *payload)
{
    struct cv_rd rd = cv_rd_over(payload->data, payload->len);
    uint8_t first = cv_rd_u8(&rd);
    uint32_t fourcc = cv_rd_u32(&rd);
    bool legacy = (first & 0x0f) == 7 || (first & 0x0f) == 12;
    bool enhanced = (fourcc == CV_FOURCC_HEVC || fourcc == CV_FOURCC_AV1) && (first & 0x0f) <= 3;
    CV_ASSERT(first & 0x80 ? enhanced : legacy);
}

static void check_audio(const struct cv_block *payload)
{
    struct cv_rd rd = cv_rd_over(payload->data, payload->len);
    uint8_t first = cv_rd_u8(&rd);
    uint32_t fourcc = cv_rd_u32(&rd);
    bool enhanced = (fourcc == CV_FOURCC_OPUS || fourcc == CV_FOURCC_FLAC) && (first & 0x0f) <= 2;
    CV_ASSERT(first >> 4 == 9 ? enhanced : first >> 4 == 10 || first >> 4 == 2);
}

static void check_event(struct run *run, const struct cv_flv_event *event)
{
    if (event->kind == CV_FLV_HEADER) {
        CV_ASSERT(event->has_audio == run->view.has_audio);
        CV_ASSERT(event->has_video == run->view.has_video);
        return;
    }
    run->read++;
    CV_ASSERT(event->ts_ms < UINT32_C(1) << 31);
    if (event->type == CV_MSG_VIDEO && !run->view.plain)
        check_video(event->payload);
    if (event->type == CV_MSG_AUDIO && !run->view.plain)
        check_audio(event->payload);
}

static void read_vector(struct run *run, const void *data, size_t len)
{
    struct cv_flv_event event;
    int got = cv_flv_reader_feed(run->reader, data, len);
    CV_ASSERT(got == CV_OK);
    while ((got = cv_flv_reader_next(run->reader, &event)) == 1) {
        check_event(run, &event);
        cv_block_unref(&event.payload);
    }
    CV_ASSERT(got == CV_OK);
}

static void send_portion(struct run *run)
{
    cv_gather_clear(&gather);
    cv_flv_out_pull(&run->out, &gather);
    size_t left = run->portion;
    for (int i = 0; i < gather.count && left; i++) {
        size_t n = gather.vectors[i].iov_len < left ? gather.vectors[i].iov_len : left;
        read_vector(run, gather.vectors[i].iov_base, n);
        left -= n;
    }
    cv_flv_out_sent(&run->out, run->portion - left);
}

static void take_new(struct run *run)
{
    struct cv_msg msg;
    while (cv_cursor_next(&run->cursor, &run->log, &msg) == 1) {
        struct cv_flv_tag tag;
        int got = cv_flv_view_tag(&run->view, &msg, &tag);
        if (got == 1 && cv_flv_out_push(&run->out, &tag) != CV_OK) {
            cv_block_unref(&tag.payload);
            run->view.tags--;
        }
    }
}

static void add_message(struct run *run, struct cv_rd *rd, uint32_t *ts_ms)
{
    static const uint8_t types[] = {CV_MSG_AUDIO, CV_MSG_VIDEO, CV_MSG_DATA_AMF0, CV_MSG_VIDEO};
    uint8_t type = types[cv_rd_u8(rd) % sizeof types];
    *ts_ms += cv_rd_u8(rd) * UINT32_C(10);
    size_t len = cv_rd_u8(rd);
    if (len > cv_rd_left(rd))
        len = cv_rd_left(rd);
    struct cv_msg msg = {.type = type, .ts_ms = *ts_ms};
    msg.payload = cv_block_copy(cv_rd_bytes(rd, len), len);
    if (msg.payload)
        cv_stream_log_append(&run->log, &msg);
    cv_block_unref(&msg.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cv_rd rd = cv_rd_over(data, len);
    uint8_t flags = cv_rd_u8(&rd);
    struct run run = {.cursor = cv_cursor_new(), .portion = (size_t)(flags >> 1) + 1};
    uint32_t ts_ms = 0xfffff000;
    run.reader = cv_flv_reader_new(MEDIA_MAX);
    if (!run.reader)
        return 0;
    cv_stream_log_init(&run.log, &limits);
    while (cv_rd_left(&rd)) {
        add_message(&run, &rd, &ts_ms);
        if (!run.started && run.log.messages >= 3) {
            run.view = cv_flv_view_new(&run.log, flags & 1);
            cv_flv_out_init(&run.out, &run.view, 0);
            run.started = true;
        }
        if (run.started) {
            take_new(&run);
            send_portion(&run);
        }
    }
    while (run.started && !cv_flv_out_empty(&run.out))
        send_portion(&run);
    // The reader passes over types that it does not know; there are none.
    CV_ASSERT(!run.started || run.read == run.view.tags);
    CV_ASSERT(!run.started || cv_flv_reader_end(run.reader) == CV_OK);
    cv_flv_out_done(&run.out);
    cv_stream_log_done(&run.log);
    cv_flv_reader_free(run.reader);
    return 0;
}
