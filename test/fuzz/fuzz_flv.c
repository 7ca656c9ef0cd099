// FLV files. First byte: the size of the pieces in which the rest is fed. Whole and in pieces it
// must give the same events, and what came out must come out again after being written.
#include "base/check.h"
#include "proto/flv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MEDIA_MAX = 65536, COPY_MAX = 1 << 20 };

struct result {
    uint32_t events;
    uint32_t sum;
    int err; // where the reader ended
};

static void add_event(struct result *result, const struct cv_flv_event *event, struct cv_wr *copy)
{
    result->events++;
    if (event->kind == CV_FLV_HEADER) {
        cv_flv_write_header(copy, event->has_audio, event->has_video);
        return;
    }
    const struct cv_block *payload = event->payload;
    CV_ASSERT(payload && payload->len <= payload->capacity);
    result->sum = (result->sum * 31 + event->type) * 31 + event->ts_ms;
    for (uint32_t i = 0; i < payload->len; i++)
        result->sum = result->sum * 31 + payload->data[i];
    cv_flv_write_tag(copy, event->type, event->ts_ms, payload->data, payload->len);
}

static struct result read_all(const uint8_t *data, size_t len, size_t piece, struct cv_wr *copy)
{
    struct result result = {0};
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    CV_ASSERT(reader);
    int got = 0;
    for (size_t at = 0; got == 0 && at < len; at += piece) {
        size_t left = len - at;
        got = cv_flv_reader_feed(reader, data + at, left < piece ? left : piece);
        CV_ASSERT(got == CV_OK);
        struct cv_flv_event event;
        while ((got = cv_flv_reader_next(reader, &event)) > 0) {
            add_event(&result, &event, copy);
            cv_block_unref(&event.payload);
        }
    }
    result.err = cv_flv_reader_end(reader);
    CV_ASSERT(cv_flv_reader_why(reader)->code == result.err);
    cv_flv_reader_free(reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    struct cv_wr copy = cv_wr_growing(COPY_MAX);
    struct cv_wr other = cv_wr_growing(COPY_MAX);
    struct result whole = read_all(data + 1, len - 1, len, &copy);
    struct result pieces = read_all(data + 1, len - 1, piece, &other);
    CV_ASSERT(whole.events == pieces.events && whole.sum == pieces.sum && whole.err == pieces.err);
    cv_wr_done(&other);
    struct cv_block *block = whole.events ? cv_wr_take(&copy) : NULL;
    if (block) {
        struct cv_wr third = cv_wr_growing(COPY_MAX);
        struct result again = read_all(block->data, block->len, piece, &third);
        CV_ASSERT(again.events == whole.events && again.sum == whole.sum && again.err == CV_OK);
        cv_wr_done(&third);
    }
    cv_block_unref(&block);
    cv_wr_done(&copy);
    return 0;
}
