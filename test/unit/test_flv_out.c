// The queue of FLV tags: what leaves, in any portions, is what a reader of FLV reads.
#include "harness.h"

#include "base/limits.h"
#include "chunk_kit.h"
#include "media/flv_out.h"
#include "media_kit.h"

static struct cv_gather gather;

// A tag of `len` payload bytes behind `prefix_len` others.
static struct cv_flv_tag make_tag(uint32_t n, size_t len, uint8_t prefix_len)
{
    struct bytes bytes = {0};
    bytes_pattern(&bytes, n, len + 3);
    struct cv_flv_tag tag = {
        .payload = cv_block_copy(bytes.data, bytes.len),
        .offset = 2, // one byte is left out behind, too
        .len = (uint32_t)len,
        .ts_ms = n * 1000003 & 0x7fffffff,
        .type = n % 3 ? CV_MSG_VIDEO : CV_MSG_AUDIO,
        .prefix_len = prefix_len,
        .prefix = {1, 2, 3, 4, 5},
    };
    assert_non_null(tag.payload);
    bytes_free(&bytes);
    return tag;
}

static void record(struct bytes *out, const struct cv_flv_tag *tag)
{
    bytes_u8(out, tag->type);
    bytes_u32(out, tag->ts_ms);
    bytes_u32(out, tag->prefix_len + tag->len);
    bytes_add(out, tag->prefix, tag->prefix_len);
    bytes_add(out, tag->payload->data + tag->offset, tag->len);
}

static void read_flv(struct bytes *out, const struct bytes *wire, bool audio, bool video)
{
    struct cv_flv_reader *reader = cv_flv_reader_new(CV_LIMIT_MEDIA_BYTES);
    struct cv_flv_event event;
    assert_int_equal(cv_flv_reader_feed(reader, wire->data, wire->len), CV_OK);
    assert_int_equal(cv_flv_reader_next(reader, &event), 1);
    assert_int_equal(event.kind, CV_FLV_HEADER);
    assert_int_equal(event.has_audio, audio);
    assert_int_equal(event.has_video, video);
    while (cv_flv_reader_next(reader, &event) == 1) {
        bytes_u8(out, event.type);
        bytes_u32(out, event.ts_ms);
        bytes_u32(out, event.payload->len);
        bytes_add(out, event.payload->data, event.payload->len);
        cv_block_unref(&event.payload);
    }
    assert_int_equal(cv_flv_reader_end(reader), CV_OK);
    cv_flv_reader_free(reader);
}

static void push(struct cv_flv_out *out, struct bytes *want, uint32_t n, size_t len, uint8_t prefix)
{
    struct cv_flv_tag tag = make_tag(n, len, prefix);
    record(want, &tag);
    assert_int_equal(cv_flv_out_push(out, &tag), CV_OK);
}

// `portion` bytes at a time; 0: random ones. New tags come in between.
static void leaves_in_portions(uint32_t portion)
{
    struct cv_flv_view view = {.has_audio = portion & 1, .has_video = portion & 2};
    struct cv_flv_out out;
    struct bytes want = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    uint32_t seed = portion + 1;
    cv_flv_out_init(&out, &view, 0);
    for (uint32_t n = 0; n < 60 || !cv_flv_out_empty(&out); n++) {
        if (n < 60)
            push(&out, &want, n, n % 5 ? random_below(&seed, 300) : n % 2, (uint8_t)(n % 6));
        cv_gather_clear(&gather);
        cv_flv_out_pull(&out, &gather);
        size_t len = portion ? portion : random_below(&seed, 900);
        cv_flv_out_sent(&out, bytes_gathered(&wire, &gather, len));
    }
    read_flv(&got, &wire, view.has_audio, view.has_video);
    bytes_equal(&got, &want);
    cv_flv_out_done(&out);
    bytes_free(&want);
    bytes_free(&wire);
    bytes_free(&got);
}

static void portions(void **state)
{
    (void)state;
    for (uint32_t portion = 0; portion < 45; portion++)
        leaves_in_portions(portion);
}

// Two vectors a tag: a header of ours and the payload where it lies.
static void payload_is_not_copied(void **state)
{
    (void)state;
    struct cv_flv_view view = {0};
    struct cv_flv_out out;
    cv_flv_out_init(&out, &view, 0);
    for (uint32_t n = 0; n < 3; n++) {
        struct cv_flv_tag tag = make_tag(n, 100, 5);
        assert_int_equal(cv_flv_out_push(&out, &tag), CV_OK);
    }
    cv_gather_clear(&gather);
    cv_flv_out_pull(&out, &gather);
    assert_int_equal(gather.count, 7);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(gather.vectors[2 * i + 1].iov_base, out.ring[i].payload->data + 2);
    cv_flv_out_done(&out);
}

// A gather that is nearly full takes a beginning; the rest comes with the next one.
static void full_gathers(void **state)
{
    (void)state;
    for (int room = 0; room < 24; room++) {
        bool vectors = room < 12; // else the scratch is short
        struct cv_flv_view view = {.has_audio = true};
        struct cv_flv_out out;
        struct bytes want = {0};
        struct bytes wire = {0};
        struct bytes got = {0};
        cv_flv_out_init(&out, &view, 0);
        for (uint32_t n = 0; n < 5; n++)
            push(&out, &want, n, 10, 2);
        for (int turn = 0; turn < 2; turn++) {
            cv_gather_clear(&gather);
            if (turn == 0 && vectors)
                gather.count = CV_GATHER_VECTORS - room;
            else if (turn == 0)
                gather.scratch_used = CV_GATHER_SCRATCH_BYTES - 8 * ((size_t)room - 12);
            int first = gather.count;
            cv_flv_out_pull(&out, &gather);
            size_t sent = 0;
            for (int i = first; i < gather.count; i++) {
                bytes_add(&wire, gather.vectors[i].iov_base, gather.vectors[i].iov_len);
                sent += gather.vectors[i].iov_len;
            }
            cv_flv_out_sent(&out, sent);
        }
        read_flv(&got, &wire, true, false);
        bytes_equal(&got, &want);
        assert_true(cv_flv_out_empty(&out));
        cv_flv_out_done(&out);
        bytes_free(&want);
        bytes_free(&wire);
        bytes_free(&got);
    }
}

static void bug_10_queue_has_caps(void **state)
{
    (void)state;
    struct cv_flv_view view = {0};
    struct cv_flv_out out;
    cv_flv_out_init(&out, &view, 1000);
    for (int i = 0; i < 4; i++) {
        struct cv_flv_tag tag = make_tag(1, 250, 0);
        assert_int_equal(cv_flv_out_push(&out, &tag), CV_OK);
    }
    struct cv_flv_tag more = make_tag(1, 1, 0);
    assert_int_equal(cv_flv_out_push(&out, &more), CV_E_QUEUE_FULL);
    assert_int_equal(atomic_load(&more.payload->refs), 1); // still ours
    cv_gather_clear(&gather);
    cv_flv_out_pull(&out, &gather);
    cv_flv_out_sent(&out, CV_FLV_HEADER_BYTES + 15 + 250);
    assert_int_equal(cv_flv_out_push(&out, &more), CV_OK);
    cv_flv_out_done(&out);

    cv_flv_out_init(&out, &view, 0);
    for (int i = 0; i < CV_LIMIT_OUT_MESSAGES; i++) {
        more = make_tag(1, 0, 0);
        assert_int_equal(cv_flv_out_push(&out, &more), CV_OK);
    }
    more = make_tag(1, 0, 0);
    assert_int_equal(cv_flv_out_push(&out, &more), CV_E_QUEUE_FULL);
    cv_block_unref(&more.payload);
    cv_flv_out_done(&out);
}

// From the log to the reader: what a page gets when it joins.
static void a_viewer_joins(void **state)
{
    (void)state;
    struct cv_stream_log log;
    cv_stream_log_init(&log, &roomy);
    put_hex(&log, CV_MSG_VIDEO, 90000, "90 61766331 0164001f");
    put_audio_header(&log, 90000, 1);
    put_hex(&log, CV_MSG_VIDEO, 90040, "93 61766331 00000001 65");
    put_audio(&log, 90050, 1);
    put_hex(&log, CV_MSG_VIDEO, 90080, "a1 61766331 000050 00000001 41");
    struct cv_flv_view view = cv_flv_view_new(&log, false);
    struct cv_cursor cursor = cv_cursor_new();
    struct cv_flv_out out;
    struct cv_msg msg;
    cv_flv_out_init(&out, &view, 0);
    while (cv_cursor_next(&cursor, &log, &msg) == 1) {
        struct cv_flv_tag tag;
        assert_int_equal(cv_flv_view_tag(&view, &msg, &tag), 1);
        assert_int_equal(cv_flv_out_push(&out, &tag), CV_OK);
    }
    cv_stream_log_done(&log); // what is queued stays
    struct bytes wire = {0};
    struct bytes want = {0};
    cv_gather_clear(&gather);
    cv_flv_out_pull(&out, &gather);
    cv_flv_out_sent(&out, bytes_gathered(&wire, &gather, SIZE_MAX));
    bytes_hex(&want, "464c56 01 05 00000009 00000000"
                     "09 000009 000000 00 000000 17 00 000000 0164001f 00000014"
                     "08 000004 000000 00 000000 af 00 0001 0000000f"
                     "09 00000a 000000 00 000000 17 01 000000 00000001 65 00000015"
                     "08 000004 00000a 00 000000 af 01 0001 0000000f"
                     "09 00000a 000028 00 000000 27 01 000050 00000001 41 00000015");
    bytes_equal(&wire, &want);
    cv_flv_out_done(&out);
    bytes_free(&wire);
    bytes_free(&want);
}

static bool push_some(void *arg)
{
    (void)arg;
    struct cv_flv_view view = {0};
    struct cv_flv_out out;
    bool fine = true;
    cv_flv_out_init(&out, &view, 0);
    struct cv_block *payload = cv_block_copy("payload", 7);
    for (int i = 0; fine && payload && i < 20; i++) {
        struct cv_flv_tag tag = {.payload = cv_block_ref(payload), .len = 7, .type = CV_MSG_AUDIO};
        fine = cv_flv_out_push(&out, &tag) == CV_OK;
        if (!fine)
            cv_block_unref(&tag.payload);
    }
    fine = fine && payload;
    cv_flv_out_done(&out);
    cv_block_unref(&payload);
    return fine;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(push_some, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portions),       cmocka_unit_test(payload_is_not_copied),
        cmocka_unit_test(full_gathers),   cmocka_unit_test(bug_10_queue_has_caps),
        cmocka_unit_test(a_viewer_joins), cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
