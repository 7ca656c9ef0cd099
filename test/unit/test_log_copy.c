// Copies of a stream log: what number an entry has there, and when a viewer may go on there.
#include "harness.h"
#include "media_kit.h"

#include "base/mem.h"

struct pair {
    struct cv_stream_log log;
    struct cv_stream_log copy;
    struct cv_cursor cursor; // between the two
};

static struct pair pair_new(void)
{
    struct pair pair = {.cursor = cv_cursor_new()};
    cv_stream_log_init(&pair.log, &roomy);
    cv_stream_log_init_copy(&pair.copy, &roomy);
    return pair;
}

static void pair_done(struct pair *pair)
{
    cv_stream_log_done(&pair->log);
    cv_stream_log_done(&pair->copy);
}

static void pass_on(struct pair *pair)
{
    struct cv_msg msg;
    while (cv_cursor_next(&pair->cursor, &pair->log, &msg) == 1)
        assert_int_equal(cv_stream_log_append_copy(
                             &pair->copy, &msg, cv_cursor_last_number(&pair->cursor, &pair->log)),
                         CV_OK);
}

// A viewer that goes on with this number in the log gets these messages; NULL: it cannot.
static void check_resume(const struct cv_stream_log *log, uint64_t number, const char *wanted)
{
    uint64_t seq = 12345;
    bool found = cv_stream_log_find(log, number, &seq);
    assert_int_equal(found, wanted != NULL);
    if (!found) {
        assert_int_equal(seq, 12345);
        return;
    }
    struct cv_cursor cursor = cv_cursor_new();
    cv_cursor_resume_at(&cursor, log, seq);
    expect(&cursor, log, wanted);
}

// 0 metadata, 1 video header, 2 audio header, 3 key frame, 4 sound, 5 frame
static void put_beginning(struct cv_stream_log *log)
{
    put_metadata(log, 0, 1);
    put_video_header(log, 0, 1);
    put_audio_header(log, 0, 1);
    put_key(log, 100, 1);
    put_audio(log, 110, 2);
    put_inter(log, 140, 3);
}

static void an_original_counts_from_its_tail_to_its_head(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    check_resume(&pair.log, 0, "-");
    check_resume(&pair.log, 1, NULL);
    put_beginning(&pair.log);
    check_resume(&pair.log, 3, "K1@100 a2@110 i3@140 -");
    check_resume(&pair.log, 5, "i3@140 -");
    check_resume(&pair.log, 6, "-");
    check_resume(&pair.log, 7, NULL);
    check_resume(&pair.log, CV_LOG_NONE, NULL);
    put_key(&pair.log, 60000, 4); // everything before is too old
    assert_int_equal(pair.log.tail, 6);
    check_resume(&pair.log, 5, NULL);
    check_resume(&pair.log, 6, "K4@60000 -");
    pair_done(&pair);
}

// Headers before entries are no entries of the original, wherever they stand in the copy.
static void a_copy_counts_as_its_original(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    check_resume(&pair.copy, 0, NULL);
    put_beginning(&pair.log);
    pass_on(&pair);
    for (uint64_t number = 0; number < 3; number++)
        check_resume(&pair.copy, number, NULL);
    check_resume(&pair.copy, 3, "K1@100 a2@110 i3@140 -");
    check_resume(&pair.copy, 6, "-");
    check_resume(&pair.copy, 7, NULL);
    put_inter(&pair.log, 180, 4);
    put_video_header(&pair.log, 180, 2);
    put_inter(&pair.log, 220, 5);
    pass_on(&pair);
    check_resume(&pair.copy, 4, "a2@110 i3@140 i4@180 V2@180 i5@220 -");
    check_resume(&pair.copy, 8, "i5@220 -");
    pair_done(&pair);
}

// The copy's viewer jumped in the original: nobody may go on across that.
static void nothing_before_a_hole_is_served(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    pass_on(&pair);
    put_inter(&pair.log, 180, 4); // 6 and 7 are lost
    put_audio(&pair.log, 190, 5);
    put_key(&pair.log, 60000, 6);
    put_audio(&pair.log, 60010, 7);
    pass_on(&pair);
    assert_int_equal(pair.cursor.jumps, 1);
    for (uint64_t number = 0; number < 8; number++)
        check_resume(&pair.copy, number, NULL);
    check_resume(&pair.copy, 8, "K6@60000 a7@60010 -");
    check_resume(&pair.copy, 10, "-");
    pair_done(&pair);
}

// A message that there is no memory for makes a hole, too.
static void what_a_copy_cannot_hold_makes_a_hole(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    for (unsigned n = 0; n < 58; n++) // with the headers, the copy's first 64 entries
        put_audio(&pair.log, 150 + n, n);
    pass_on(&pair);
    check_resume(&pair.copy, 64, "-");
    put_audio(&pair.log, 300, 90);
    put_audio(&pair.log, 301, 91);
    struct cv_msg msg;
    assert_int_equal(cv_cursor_next(&pair.cursor, &pair.log, &msg), 1);
    cv_mem_fail_nth(1);
    assert_int_equal(cv_stream_log_append_copy(&pair.copy, &msg, 64), CV_E_NOMEM);
    cv_mem_fail_nth(0);
    check_resume(&pair.copy, 63, NULL);
    check_resume(&pair.copy, 64, NULL);
    pass_on(&pair);
    check_resume(&pair.copy, 64, NULL);
    check_resume(&pair.copy, 65, "a91@301 -");
    pair_done(&pair);
}

// A header that the copy has already is no loss.
static void what_a_copy_has_already_makes_no_hole(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    cv_cursor_start_at(&pair.cursor, &pair.log, 0);
    pass_on(&pair);
    check_resume(&pair.copy, 0, "K1@100 a2@110 i3@140 -");
    check_resume(&pair.copy, 3, "K1@100 a2@110 i3@140 -");
    pair_done(&pair);
}

static void who_gets_not_everything_has_no_number(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct cv_cursor cursor = cv_cursor_new();
    put_beginning(&pair.log);
    expect(&cursor, &pair.log, "M1@0 V1@100");
    assert_int_equal(cv_cursor_last_number(&cursor, &pair.log), CV_LOG_NONE);
    expect(&cursor, &pair.log, "A1@100 K1@100");
    assert_int_equal(cv_cursor_last_number(&cursor, &pair.log), 3);
    cv_cursor_receive_audio(&cursor, false);
    expect(&cursor, &pair.log, "i3@140");
    assert_int_equal(cv_cursor_last_number(&cursor, &pair.log), CV_LOG_NONE);
    cv_cursor_receive_audio(&cursor, true);
    cv_cursor_receive_video(&cursor, false);
    cv_cursor_receive_video(&cursor, true); // waits for a key frame
    put_inter(&pair.log, 180, 4);
    put_audio(&pair.log, 190, 5);
    put_key(&pair.log, 220, 6);
    expect(&cursor, &pair.log, "a5@190");
    assert_int_equal(cv_cursor_last_number(&cursor, &pair.log), CV_LOG_NONE);
    expect(&cursor, &pair.log, "K6@220");
    assert_int_equal(cv_cursor_last_number(&cursor, &pair.log), 8);
    pair_done(&pair);
}

// It may have been away while headers changed: when it jumps over the place where they stood, they
// come again.
static void who_has_resumed_and_falls_behind_gets_headers(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    put_inter(&pair.log, 180, 4);
    put_audio_header(&pair.log, 200, 2);
    uint64_t seq;
    assert_true(cv_stream_log_find(&pair.log, 6, &seq));
    struct cv_cursor cursor = cv_cursor_new();
    cv_cursor_resume_at(&cursor, &pair.log, seq);
    put_key(&pair.log, 60000, 5);
    expect(&cursor, &pair.log, "M1@0 V1@60000 A2@60000 K5@60000 -");
    assert_int_equal(cursor.jumps, 1);
    pair_done(&pair);
}

// A copy that begins in the middle of a group: nobody else may begin there, though it came before.
static void the_middle_is_nobodys_beginning(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    struct cv_cursor early = cv_cursor_new();
    pair.copy.continued = true;
    expect(&early, &pair.copy, "-");
    cv_cursor_start_at(&pair.cursor, &pair.log, 5);
    pass_on(&pair);
    check_resume(&pair.copy, 5, "i3@140 -");
    expect(&early, &pair.copy, "M1@0 V1@140 A1@140 -");
    put_inter(&pair.log, 180, 4);
    put_key(&pair.log, 220, 5);
    pass_on(&pair);
    expect(&early, &pair.copy, "K5@220 -");
    pair_done(&pair);
}

static void it_is_known_since_when_headers_have_not_changed(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    put_beginning(&pair.log);
    assert_int_equal(pair.log.headers_at, 2);
    put_audio_header(&pair.log, 150, 1); // the same
    put_metadata(&pair.log, 150, 1);
    assert_int_equal(pair.log.headers_at, 2);
    put_metadata(&pair.log, 150, 2);
    assert_int_equal(pair.log.headers_at, 6);
    put_video_header(&pair.log, 150, 2);
    assert_int_equal(pair.log.headers_at, 7);
    put_key(&pair.log, 160, 4);
    cv_stream_log_end(&pair.log);
    put_metadata(&pair.log, 0, 2); // the next publisher's
    assert_int_equal(pair.log.headers_at, 9);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_original_counts_from_its_tail_to_its_head),
        cmocka_unit_test(a_copy_counts_as_its_original),
        cmocka_unit_test(nothing_before_a_hole_is_served),
        cmocka_unit_test(what_a_copy_cannot_hold_makes_a_hole),
        cmocka_unit_test(what_a_copy_has_already_makes_no_hole),
        cmocka_unit_test(who_gets_not_everything_has_no_number),
        cmocka_unit_test(who_has_resumed_and_falls_behind_gets_headers),
        cmocka_unit_test(the_middle_is_nobodys_beginning),
        cmocka_unit_test(it_is_known_since_when_headers_have_not_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
