// Runs: the bytes that an engine would send, made once; whole messages only, and the same ones for
// the same place.
#include "chunk_kit.h"
#include "media_kit.h"

#include "base/limits.h"
#include "media/run.h"
#include "proto/chunk_out.h"

static struct cv_run run;
static struct cv_gather gather;

enum { ENTRIES = 10 };

static struct cv_stream_log log_of(size_t video_bytes)
{
    struct cv_stream_log log;
    cv_stream_log_init(&log, &roomy);
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    put_audio_header(&log, 0, 1);
    for (uint32_t i = 0; log.head < ENTRIES; i++) {
        put_sized(&log, CV_MSG_VIDEO, i == 0, 0xfffff0 + i * 20, video_bytes + i);
        put_audio(&log, 0xfffff0 + i * 20, i);
    }
    return log;
}

static struct cv_run_place place_of(uint64_t from, uint32_t stream_id, uint32_t chunk_bytes)
{
    return (struct cv_run_place){.from = from, .stream_id = stream_id, .chunk_bytes = chunk_bytes};
}

// What an engine makes of these entries.
static struct bytes engine_bytes(const struct cv_stream_log *log, const struct cv_run_place *place,
                                 uint64_t to)
{
    struct cv_chunk_out out;
    struct bytes wire = {0};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    out.chunk_bytes = place->chunk_bytes;
    for (uint64_t seq = place->from; seq < to; seq++) {
        const struct cv_log_entry *entry = cv_stream_log_at(log, seq);
        struct cv_msg msg = {.type = entry->type,
                             .ts_ms = entry->ts_ms,
                             .stream_id = place->stream_id,
                             .payload = entry->payload};
        assert_int_equal(cv_chunk_out_push(&out, &msg, cv_msg_csid(msg.type)), CV_OK);
        cv_gather_clear(&gather);
        cv_chunk_out_pull(&out, &gather);
        bytes_gathered(&wire, &gather, SIZE_MAX);
        cv_chunk_out_sent(&out, gather.bytes);
        assert_true(cv_chunk_out_empty(&out));
    }
    cv_chunk_out_done(&out);
    return wire;
}

static void expect_run(const struct cv_stream_log *log, const struct cv_run_place *place,
                       uint64_t to)
{
    struct bytes wanted = engine_bytes(log, place, to);
    struct bytes got = {0};
    assert_true(cv_run_move(&run, place));
    assert_int_equal(run.to, to);
    bytes_gathered(&got, &run.gather, SIZE_MAX);
    bytes_equal(&got, &wanted);
    bytes_free(&got);
    bytes_free(&wanted);
}

static void has_the_bytes_of_an_engine(void **state)
{
    (void)state;
    static const uint32_t chunk_bytes[] = {1, 128, 4096, 65536};
    static const uint32_t stream_ids[] = {1, 7, 0x01020304};
    struct cv_stream_log log = log_of(100);
    cv_run_begin(&run, &log);
    for (uint64_t from = log.tail; from < log.head; from++) {
        for (unsigned i = 0; i < 4; i++) {
            struct cv_run_place place = place_of(from, stream_ids[i % 3], chunk_bytes[i]);
            if (chunk_bytes[i] > 1 || from + 2 >= log.head)
                expect_run(&log, &place, log.head);
        }
    }
    cv_run_end(&run);
    cv_stream_log_done(&log);
}

static void is_made_once_for_a_place(void **state)
{
    (void)state;
    struct cv_stream_log log = log_of(100);
    struct cv_run_place place = place_of(2, 1, 4096);
    cv_run_begin(&run, &log);
    assert_true(cv_run_move(&run, &place));
    run.gather.bytes = 0; // the mark of this one
    assert_true(cv_run_move(&run, &place));
    assert_int_equal(run.gather.bytes, 0);
    struct cv_run_place others[] = {place_of(3, 1, 4096), place_of(3, 2, 4096),
                                    place_of(3, 2, 128)};
    for (unsigned i = 0; i < 3; i++) {
        run.gather.bytes = 0;
        expect_run(&log, &others[i], log.head);
    }
    // Another flush: the log may be another one, too.
    cv_run_end(&run);
    assert_null(run.log);
    cv_run_begin(&run, &log);
    run.gather.bytes = 0;
    expect_run(&log, &others[2], log.head);
    cv_run_end(&run);
    cv_stream_log_done(&log);
}

static void ends_with_a_whole_message(void **state)
{
    (void)state;
    // One byte a chunk: the gather is full of vectors in the middle of a message.
    struct cv_stream_log log = log_of(200);
    struct cv_run_place place = place_of(2, 1, 1);
    cv_run_begin(&run, &log);
    assert_true(cv_run_move(&run, &place));
    assert_true(run.to > place.from && run.to < log.head);
    expect_run(&log, &place, run.to);
    cv_run_end(&run);
    cv_stream_log_done(&log);
    // Not even one.
    log = log_of(600);
    place.from = 3;
    cv_run_begin(&run, &log);
    assert_false(cv_run_move(&run, &place));
    assert_false(cv_run_move(&run, &place));
    place.chunk_bytes = 4096;
    expect_run(&log, &place, log.head);
    cv_run_end(&run);
    cv_stream_log_done(&log);
}

// As much as a viewer's engine is filled with, so that the engine can go on in the middle of it.
static void is_as_long_as_a_fill(void **state)
{
    (void)state;
    struct cv_stream_log log = log_of(100);
    struct cv_run_place place = place_of(2, 1, 65536);
    for (uint32_t i = 0; i < 2 * CV_RUN_MESSAGES; i++)
        put_audio(&log, 0xfffff0 + 1000 + i, i);
    cv_run_begin(&run, &log);
    expect_run(&log, &place, place.from + CV_RUN_MESSAGES);
    cv_run_end(&run);
    place.from = log.head;
    for (uint32_t i = 0; i < 4; i++)
        put_sized(&log, CV_MSG_VIDEO, false, 0xfffff0 + 2000 + i, CV_RUN_BYTES / 2 - 1);
    cv_run_begin(&run, &log);
    expect_run(&log, &place, place.from + 3);
    cv_run_end(&run);
    cv_stream_log_done(&log);
}

// The number is known where all are, one by one.
static void knows_the_first_number(void **state)
{
    (void)state;
    static const struct {
        uint64_t numbers[3], wanted;
    } rows[] = {
        {{10, 11, 12}, 10},
        {{10, 11, 13}, CV_LOG_NONE},
        {{10, CV_LOG_NONE, 12}, CV_LOG_NONE},
        {{CV_LOG_NONE, 0, 1}, CV_LOG_NONE},
        {{CV_LOG_NONE, CV_LOG_NONE, CV_LOG_NONE}, CV_LOG_NONE},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_stream_log log = log_of(100);
        struct cv_run_place place = place_of(log.head - 3, 1, 4096);
        for (unsigned k = 0; k < 3; k++)
            log.ring[(place.from + k) & (log.capacity - 1)].number = rows[i].numbers[k];
        cv_run_begin(&run, &log);
        assert_true(cv_run_move(&run, &place));
        assert_int_equal(run.number, rows[i].wanted);
        cv_run_end(&run);
        cv_stream_log_done(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_bytes_of_an_engine), cmocka_unit_test(is_made_once_for_a_place),
        cmocka_unit_test(ends_with_a_whole_message),  cmocka_unit_test(is_as_long_as_a_fill),
        cmocka_unit_test(knows_the_first_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
