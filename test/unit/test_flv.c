// FLV: both directions, cut anywhere, lengths that lie, and memory that fails.
#include "harness.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/flv.h"
#include "proto/message.h"

#include <stdio.h>

enum { MEDIA_MAX = 8 * 1024 * 1024 - 1, TEXT_MAX = 4096 };

static uint8_t payload[3000];

// A file with each kind of tag, sizes around the reader's first room, and late times.
static struct cv_block *sample_file(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7);
    struct cv_wr wr = cv_wr_growing(65536);
    cv_flv_write_header(&wr, true, false);
    cv_flv_write_tag(&wr, CV_MSG_DATA_AMF0, 0, payload, 20);
    cv_flv_write_tag(&wr, CV_MSG_VIDEO, 0x00ffffff, payload, 1024);
    cv_flv_write_tag(&wr, CV_MSG_AUDIO, 0x01000000, payload, 0);
    cv_flv_write_tag(&wr, 3, 9, payload, 5); // unknown: skipped
    cv_flv_write_tag(&wr, CV_MSG_DATA_AMF3, 0x7fffffff, payload, 1);
    cv_flv_write_tag(&wr, CV_MSG_VIDEO, 0xfffffffe, payload, sizeof payload);
    struct cv_block *file = cv_wr_take(&wr);
    return file;
}

// What came out, in words: "head a- | 18 @0 20:1234 | ...", or with "! -41" where it ended.
struct record {
    char text[TEXT_MAX];
    size_t len;
    int err;
};

static void note(struct record *record, const struct cv_flv_event *event)
{
    char *to = record->text + record->len;
    size_t room = sizeof record->text - record->len;
    uint32_t sum = 0;
    for (uint32_t i = 0; event->payload && i < event->payload->len; i++)
        sum = sum * 31 + event->payload->data[i];
    int n = event->kind == CV_FLV_HEADER
                ? snprintf(to, room, "head %d%d", event->has_audio, event->has_video)
                : snprintf(to, room, " | %u @%u %u:%x", event->type, event->ts_ms,
                           event->payload->len, sum);
    assert_true(n > 0 && (size_t)n < room);
    record->len += (size_t)n;
}

static int drain(struct cv_flv_reader *reader, struct record *record)
{
    struct cv_flv_event event;
    int got;
    while ((got = cv_flv_reader_next(reader, &event)) > 0) {
        note(record, &event);
        cv_block_unref(&event.payload);
    }
    return got;
}

static void feed_guarded(struct cv_flv_reader *reader, struct record *record, const uint8_t *data,
                         size_t len)
{
    struct guard guard = guard_copy(data, len);
    if (cv_flv_reader_feed(reader, guard.data, guard.len) == CV_OK)
        record->err = drain(reader, record);
    guard_free(&guard);
}

// Reads bytes in pieces of `piece` bytes, the first one of `first`.
static struct record read_in_pieces(const uint8_t *data, size_t len, size_t first, size_t piece)
{
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    assert_non_null(reader);
    struct record record = {0};
    for (size_t at = 0, n = first; at < len; at += n, n = piece) {
        if (n > len - at)
            n = len - at;
        feed_guarded(reader, &record, data + at, n);
    }
    int err = cv_flv_reader_end(reader);
    assert_true(record.err == CV_OK || record.err == err);
    record.err = err;
    assert_int_equal(cv_flv_reader_why(reader)->code, err);
    cv_flv_reader_free(reader);
    return record;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    assert_non_null(file);
    struct record record = read_in_pieces(file->data, file->len, file->len, 1);
    assert_int_equal(record.err, CV_OK);
    assert_non_null(strstr(record.text, "head 10 | 18 @0 20:"));
    assert_non_null(strstr(record.text, " | 9 @16777215 1024:"));
    assert_non_null(strstr(record.text, " | 8 @16777216 0:0"));
    assert_non_null(strstr(record.text, " | 15 @2147483647 1:"));
    assert_non_null(strstr(record.text, " | 9 @4294967294 3000:"));
    assert_null(strstr(record.text, " | 3 "));
    cv_block_unref(&file);
}

static void split_anywhere_same_events(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    struct record whole = read_in_pieces(file->data, file->len, file->len, 1);
    for (size_t first = 1; first < file->len; first++) {
        struct record record = read_in_pieces(file->data, file->len, first, file->len);
        assert_string_equal(record.text, whole.text);
        assert_int_equal(record.err, CV_OK);
    }
    for (size_t piece = 1; piece < 40; piece++) {
        struct record record = read_in_pieces(file->data, file->len, piece, piece);
        assert_string_equal(record.text, whole.text);
    }
    cv_block_unref(&file);
}

// An owner that must wait takes the rest back after any event, and feeds it later.
static void what_is_not_read_is_given_back(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    struct record whole = read_in_pieces(file->data, file->len, file->len, 1);
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    struct record record = {0};
    struct cv_rd rest = cv_rd_over(file->data, file->len);
    struct cv_flv_event event;
    int more = 1;
    for (int i = 0; more > 0; i++) {
        struct guard guard = guard_copy(rest.at, cv_rd_left(&rest));
        size_t left = cv_rd_left(&rest);
        assert_int_equal(cv_flv_reader_feed(reader, guard.data, guard.len), CV_OK);
        more = cv_flv_reader_next(reader, &event);
        if (more > 0) {
            note(&record, &event);
            cv_block_unref(&event.payload);
        }
        struct cv_rd unread = cv_flv_reader_unread(reader);
        cv_rd_bytes(&rest, left - cv_rd_left(&unread));
        guard_free(&guard);
    }
    assert_int_equal(cv_rd_left(&rest), 0);
    assert_int_equal(cv_flv_reader_end(reader), CV_OK);
    assert_string_equal(record.text, whole.text);
    cv_flv_reader_free(reader);
    cv_block_unref(&file);
}

// A file may end between tags, and before a back pointer.
static void bug_05_cut_file_ends_in_order(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    struct record whole = read_in_pieces(file->data, file->len, file->len, 1);
    for (size_t cut = 0; cut < file->len; cut++) {
        struct record record = read_in_pieces(file->data, cut, cut, 1);
        assert_memory_equal(record.text, whole.text, record.len);
        assert_true(record.err == CV_OK || record.err == CV_E_TRUNCATED);
        if (cut < 9 || (cut > 13 && cut < 44) || cut == file->len - 5)
            assert_int_equal(record.err, CV_E_TRUNCATED);
        else if (cut == 13 || cut == 48 || cut == file->len - 4)
            assert_int_equal(record.err, CV_OK);
    }
    cv_block_unref(&file);
}

static void bytes_are_as_the_format_says(void **state)
{
    (void)state;
    uint8_t expected[64];
    size_t len = hex_bytes("464c5601 05 00000009 00000000"
                           "09 000002 0000fa 12 000000 1700 0000000d",
                           expected, sizeof expected);
    uint8_t memory[64];
    struct cv_wr wr = cv_wr_fixed(memory, sizeof memory);
    cv_flv_write_header(&wr, true, true);
    assert_int_equal(wr.len, CV_FLV_HEADER_BYTES);
    cv_flv_write_tag(&wr, CV_MSG_VIDEO, 0x120000fa, "\x17\x00", 2);
    assert_int_equal(wr.len, len);
    assert_memory_equal(memory, expected, len);
}

static void small_faults_are_tolerated(void **state)
{
    (void)state;
    static const char *const files[] = {
        "464c5601 00 00000009 00000000 08 000001 000001 00 000000 af ffffffff",  // back pointer
        "464c5601 00 00000009 00000005 08 000001 000001 00 000000 af",           // the same
        "464c5601 00 0000000b 0000 00000000 08 000001 000001 00 123456 af 0000", // long header
        "464c5601 00 00000009 00000000 c8 000001 000001 00 000000 af",           // reserved bits
        "464c5601 00 00000009 00000000 0b 000003 000000 00 000000 aaaaaa 0000000e"
        "08 000001 000001 00 000000 af 0000000c", // unknown tag before
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        uint8_t bytes[128];
        size_t len = hex_bytes(files[i], bytes, sizeof bytes);
        struct record record = read_in_pieces(bytes, len, len, 1);
        assert_int_equal(record.err, CV_OK);
        assert_string_equal(record.text, "head 00 | 8 @1 1:af");
    }
}

static void bug_05_malformed_files(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int err;
    } bad[] = {
        {"", CV_E_TRUNCATED},
        {"464c56", CV_E_TRUNCATED},
        {"464c5602 05 00000009 00000000", CV_E_FLV},
        {"00000018 66747970 69736f6d 00000000", CV_E_FLV},
        {"464c5601 05 00000008 00000000", CV_E_FLV},
        {"464c5601 05 ffffffff 00000000", CV_E_FLV},
        {"464c5601 05 00000401 00000000", CV_E_FLV},
        {"464c5601 05 00000400 00000000", CV_OK}, // the end comes while skipping
        {"464c5601 05 00000009 00000000 29 000001 000000 00 000000 aa", CV_E_FLV}, // encrypted
        {"464c5601 05 00000009 00000000 09 ffffff 000000 00 000000 aa", CV_E_TOO_LONG},
        {"464c5601 05 00000009 00000000 09 7fffff 000000 00 000000 aa", CV_E_TRUNCATED},
        {"464c5601 05 00000009 00000000 09 800000 000000 00 000000 aa", CV_E_TOO_LONG},
        {"464c5601 05 00000009 00000000 12 040000 000000 00 000000 aa", CV_E_TRUNCATED},
        {"464c5601 05 00000009 00000000 12 040001 000000 00 000000 aa", CV_E_TOO_LONG},
        {"464c5601 05 00000009 00000000 08 000002 000000 00 000000 aa", CV_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[128];
        size_t len = hex_bytes(bad[i].hex, bytes, sizeof bytes);
        struct record whole = read_in_pieces(bytes, len, len, 1);
        struct record pieces = read_in_pieces(bytes, len, 1, 1);
        if (whole.err != bad[i].err || pieces.err != bad[i].err)
            fail_msg("%s: %d, %d", bad[i].hex, whole.err, pieces.err);
        assert_string_equal(whole.text, pieces.text);
    }
}

static void errors_are_for_good(void **state)
{
    (void)state;
    struct cv_flv_reader *reader = cv_flv_reader_new(100);
    struct cv_flv_event event = {.type = 77};
    assert_int_equal(cv_flv_reader_feed(reader, "not FLV and more", 16), CV_OK);
    assert_int_equal(cv_flv_reader_next(reader, &event), CV_E_FLV);
    assert_int_equal(cv_flv_reader_feed(reader, "FLV\1", 4), CV_E_FLV);
    assert_int_equal(cv_flv_reader_next(reader, &event), CV_E_FLV);
    assert_int_equal(cv_flv_reader_end(reader), CV_E_FLV);
    assert_int_equal(event.type, 77);
    cv_flv_reader_free(reader);
    cv_flv_reader_free(NULL);
}

// A head promises 8 MB; memory is asked for as the bytes come, in a few steps, never beyond twice
// of what is here.
static void bug_06_flv_length_is_not_trusted(void **state)
{
    (void)state;
    static uint8_t zeros[512];
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    struct cv_flv_event event;
    uint8_t start[64];
    size_t len =
        hex_bytes("464c5601 05 00000009 00000000 09 7fffff 000000 00 000000", start, sizeof start);
    uint64_t allocs = cv_mem_stats().allocs;
    cv_flv_reader_feed(reader, start, len);
    assert_int_equal(cv_flv_reader_next(reader, &event), 1);
    assert_int_equal(cv_flv_reader_next(reader, &event), 0);
    assert_int_equal(cv_mem_stats().allocs - allocs, 0);
    for (int i = 0; i < 2048; i++) { // 1 MB of the 8
        cv_flv_reader_feed(reader, zeros, sizeof zeros);
        assert_int_equal(cv_flv_reader_next(reader, &event), 0);
    }
    assert_int_equal(cv_mem_stats().allocs - allocs, 11); // 1 KB, 2 KB, ... 1 MB
    assert_int_equal(cv_flv_reader_end(reader), CV_E_TRUNCATED);
    cv_flv_reader_free(reader);
}

static void whole_tag_takes_one_allocation(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    uint64_t allocs = cv_mem_stats().allocs;
    struct record record = {0};
    cv_flv_reader_feed(reader, file->data, file->len);
    assert_int_equal(drain(reader, &record), 0);
    assert_int_equal(cv_mem_stats().allocs - allocs, 5);
    cv_flv_reader_free(reader);
    cv_block_unref(&file);
}

static bool read_with_failing_memory(void *arg)
{
    const struct cv_block *file = arg;
    struct cv_flv_reader *reader = cv_flv_reader_new(MEDIA_MAX);
    if (!reader)
        return false;
    struct record record = {0};
    int err = CV_OK;
    for (size_t at = 0; err == CV_OK && at < file->len; at += 700) {
        size_t left = file->len - at;
        err = cv_flv_reader_feed(reader, file->data + at, left < 700 ? left : 700);
        if (err == CV_OK)
            err = drain(reader, &record);
    }
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_int_equal(cv_flv_reader_why(reader)->code, err);
    cv_flv_reader_free(reader);
    return err == CV_OK;
}

static void reader_survives_failing_memory(void **state)
{
    (void)state;
    struct cv_block *file = sample_file();
    fail_nth(read_with_failing_memory, file);
    cv_block_unref(&file);
}

static bool write_with_failing_memory(void *arg)
{
    (void)arg;
    struct cv_block *file = sample_file();
    bool succeeded = file != NULL;
    cv_block_unref(&file);
    return succeeded;
}

static void writer_survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(write_with_failing_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(split_anywhere_same_events),
        cmocka_unit_test(what_is_not_read_is_given_back),
        cmocka_unit_test(bug_05_cut_file_ends_in_order),
        cmocka_unit_test(bytes_are_as_the_format_says),
        cmocka_unit_test(small_faults_are_tolerated),
        cmocka_unit_test(bug_05_malformed_files),
        cmocka_unit_test(errors_are_for_good),
        cmocka_unit_test(bug_06_flv_length_is_not_trusted),
        cmocka_unit_test(whole_tag_takes_one_allocation),
        cmocka_unit_test(reader_survives_failing_memory),
        cmocka_unit_test(writer_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
