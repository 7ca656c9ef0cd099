// What a viewer gets out of a stream log: where it starts, where it goes on, and in which order.
#include "harness.h"
#include "media_kit.h"

#include <stdio.h>

static struct cv_stream_log log_new(void)
{
    struct cv_stream_log log;
    cv_stream_log_init(&log, &roomy);
    return log;
}

// Metadata, both headers, and a group of pictures from number 1 at `ts_ms` on.
static struct cv_stream_log log_with_gop(uint32_t ts_ms)
{
    struct cv_stream_log log = log_new();
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    put_audio_header(&log, 0, 1);
    put_key(&log, ts_ms, 1);
    put_audio(&log, ts_ms + 10, 1);
    put_inter(&log, ts_ms + 40, 2);
    return log;
}

// ---- joining ----------------------------------------------------------------------------------

static void joins_at_the_newest_key_frame(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(3600000);
    struct cv_cursor first = cv_cursor_new();
    expect(&first, &log, "M1@0 V1@3600000 A1@3600000 K1@3600000 a1@3600010 i2@3600040 -");
    put_key(&log, 3601000, 3);
    put_audio(&log, 3601010, 2);
    struct cv_cursor second = cv_cursor_new();
    expect(&second, &log, "M1@0 V1@3601000 A1@3601000 K3@3601000 a2@3601010 -");
    expect(&first, &log, "K3@3601000 a2@3601010 -");
    assert_int_equal(first.jumps, 0);
    assert_int_equal(first.skipped, 0);
    cv_stream_log_done(&log);
}

// A whole publishing may come and go before a viewer has its turn.
static void waits_and_gets_a_publishing_that_is_over(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor early = cv_cursor_new();
    expect(&early, &log, "-");
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    put_key(&log, 10, 1);
    put_inter(&log, 50, 2);
    cv_stream_log_end(&log);
    struct cv_cursor late = cv_cursor_new();
    assert_false(cv_cursor_behind(&late, &log));
    expect(&late, &log, "-");
    assert_true(cv_cursor_behind(&early, &log));
    expect(&early, &log, "M1@0 V1@10 K1@10 i2@50 -");
    assert_false(cv_cursor_behind(&early, &log));
    put_metadata(&log, 0, 2); // the next one
    put_video_header(&log, 0, 2);
    expect(&late, &log, "-");
    put_key(&log, 0, 3);
    expect(&late, &log, "M2@0 V2@51 K3@51 -");
    cv_stream_log_done(&log);
}

// It had its chance: the next publishing is what it gets.
static void waits_over_two_publishings(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor early = cv_cursor_new();
    expect(&early, &log, "-");
    put_video_header(&log, 0, 1);
    put_key(&log, 10, 1);
    cv_stream_log_end(&log);
    put_video_header(&log, 0, 2);
    expect(&early, &log, "-");
    put_key(&log, 20, 2);
    expect(&early, &log, "V2@20 K2@20 -");
    cv_stream_log_done(&log);
}

static void joins_before_any_frame_and_misses_nothing(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "-");
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    expect(&cursor, &log, "-"); // headers alone do not start a stream
    put_audio(&log, 500, 1);
    put_key(&log, 510, 1);
    put_key(&log, 550, 2);
    expect(&cursor, &log, "M1@0 V1@500 a1@500 K1@510 K2@550 -");
    cv_stream_log_done(&log);
}

static void one_who_came_early_does_not_begin_with_an_inter_frame(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "-");
    put_video_header(&log, 0, 1);
    put_inter(&log, 0, 1);
    put_audio(&log, 20, 1);
    put_inter(&log, 40, 2);
    put_key(&log, 80, 3);
    expect(&cursor, &log, "V1@20 a1@20 K3@80 -");
    cv_stream_log_done(&log);
}

static void audio_alone_starts_at_the_live_edge(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_audio_header(&log, 0, 1);
    put_audio(&log, 1000, 1);
    put_audio(&log, 1020, 2);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "A1@1020 -");
    put_audio(&log, 1040, 3);
    expect(&cursor, &log, "a3@1040 -");
    cv_stream_log_done(&log);
}

static void audio_with_a_video_header_only_does_not_wait_for_video(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_audio(&log, 1000, 1);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "V1@1000 -");
    put_audio(&log, 1020, 2);
    expect(&cursor, &log, "a2@1020 -");
    cv_stream_log_done(&log);
}

static void video_alone(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_key(&log, 1000, 1);
    put_inter(&log, 1040, 2);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "V1@1000 K1@1000 i2@1040 -");
    cv_stream_log_done(&log);
}

static void without_gop_cache_video_starts_at_the_next_key_frame(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    log.limits.gop_cache = false;
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1040 A1@1040 -");
    put_inter(&log, 1080, 3);
    put_audio(&log, 1085, 2);
    put_key(&log, 1120, 4);
    put_inter(&log, 1160, 5);
    expect(&cursor, &log, "a2@1085 K4@1120 i5@1160 -");
    cv_stream_log_done(&log);
}

static void without_gop_cache_early_viewers_miss_nothing(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    log.limits.gop_cache = false;
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "-");
    put_video_header(&log, 0, 1);
    put_key(&log, 1000, 1);
    put_inter(&log, 1040, 2);
    expect(&cursor, &log, "V1@1000 K1@1000 i2@1040 -");
    cv_stream_log_done(&log);
}

static void a_group_of_pictures_past_the_bounds_is_not_given(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(0);
    for (unsigned ts_ms = 1000; ts_ms <= 31000; ts_ms += 1000)
        put_inter(&log, ts_ms, 9);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@31000 A1@31000 -");
    put_audio(&log, 31010, 7);
    put_inter(&log, 31040, 9);
    put_key(&log, 31080, 8);
    expect(&cursor, &log, "a7@31010 K8@31080 -");
    cv_stream_log_done(&log);
}

static void enhanced_video_joins_alike(void **state)
{
    (void)state;
    static const char *const codecs[] = {"68766331", "61763031"};
    for (size_t i = 0; i < 2; i++) {
        struct cv_stream_log log = log_new();
        const char *kinds[] = {"90", "93", "a3", "a3"}; // header, key, inter, inter
        char hex[32];
        for (unsigned n = 0; n < 4; n++) {
            snprintf(hex, sizeof hex, "%s%s%02x", kinds[n], codecs[i], n);
            put_hex(&log, CV_MSG_VIDEO, 1000 * n, hex);
        }
        char wanted[200];
        snprintf(wanted, sizeof wanted, "9:90%s00@1000 9:93%s01@1000 9:a3%s02@2000 9:a3%s03@3000 -",
                 codecs[i], codecs[i], codecs[i], codecs[i]);
        struct cv_cursor cursor = cv_cursor_new();
        expect(&cursor, &log, wanted);
        cv_stream_log_done(&log);
    }
}

#define TRACK_1_HEADER "96006176633101aa"
#define TRACK_1_KEY    "9601617663310100000001"
#define TRACK_1_INTER  "a601617663310100000002"

static void multitrack_joins_at_a_key_frame_of_track_0(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1); // track 0 is legacy, as OBS and FFmpeg send it
    put_hex(&log, CV_MSG_VIDEO, 0, TRACK_1_HEADER);
    put_audio_header(&log, 0, 1);
    put_key(&log, 1000, 1);
    put_hex(&log, CV_MSG_VIDEO, 1000, TRACK_1_KEY);
    put_inter(&log, 1040, 2);
    put_hex(&log, CV_MSG_VIDEO, 1040, TRACK_1_KEY);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log,
           "V1@1000 9:" TRACK_1_HEADER "@1000 A1@1000 K1@1000 9:" TRACK_1_KEY
           "@1000 i2@1040 9:" TRACK_1_KEY "@1040 -");
    // One that waits for a key frame does not take that of another track.
    cv_cursor_receive_video(&cursor, false);
    cv_cursor_receive_video(&cursor, true);
    put_hex(&log, CV_MSG_VIDEO, 1080, TRACK_1_KEY);
    put_hex(&log, CV_MSG_VIDEO, 1080, TRACK_1_INTER);
    expect(&cursor, &log, "-");
    put_key(&log, 1120, 3);
    expect(&cursor, &log, "K3@1120 -");
    cv_stream_log_done(&log);
}

// ---- headers that change under way --------------------------------------------------------------

static void a_changed_header_comes_in_its_place(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    read_all(&cursor, &log);
    put_video_header(&log, 1080, 1); // unchanged
    put_video_header(&log, 1080, 2);
    struct cv_cursor between = cv_cursor_new();
    expect(&between, &log, "M1@0 A1@1040 V2@1040 -"); // nothing of the old configuration
    put_key(&log, 1080, 3);
    expect(&cursor, &log, "V2@1080 K3@1080 -");
    expect(&between, &log, "K3@1080 -");
    cv_stream_log_done(&log);
}

static void new_metadata_comes_in_its_place(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(61000);
    struct cv_cursor cursor = cv_cursor_new();
    read_all(&cursor, &log);
    put_metadata(&log, 0, 2);
    put_audio(&log, 61060, 2);
    expect(&cursor, &log, "M2@61040 a2@61060 -");
    cv_stream_log_done(&log);
}

static void headers_start_over_when_they_change_in_the_middle(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1000");
    put_audio_header(&log, 1050, 2);
    expect(&cursor, &log, "M1@0 V1@1000 A2@1000 K1@1000");
    cv_stream_log_done(&log);
}

static void bug_24_headers_vanish_in_the_middle(void **state)
{
    (void)state;
    for (unsigned read = 1; read <= 3; read++) {
        struct cv_stream_log log = log_with_gop(1000);
        struct cv_cursor cursor = cv_cursor_new();
        struct cv_msg msg;
        for (unsigned i = 0; i < read; i++)
            assert_int_equal(cv_cursor_next(&cursor, &log, &msg), 1);
        cv_stream_log_end(&log);
        put_audio(&log, 2000, 2);                                   // of the next publisher
        expect(&cursor, &log, "K1@1000 a1@1010 i2@1040 a2@2000 -"); // what is left
        cv_stream_log_done(&log);
    }
}

static void the_end_keeps_headers_for_those_who_are_here(void **state)
{
    (void)state;
    static const char *const left[] = {"", "V1@1000 A1@1000 K1@1000 a1@1010 i2@1040 -",
                                       "A1@1000 K1@1000 a1@1010 i2@1040 -",
                                       "K1@1000 a1@1010 i2@1040 -"};
    for (unsigned read = 1; read <= 3; read++) {
        struct cv_stream_log log = log_with_gop(1000);
        struct cv_cursor cursor = cv_cursor_new();
        struct cv_msg msg;
        for (unsigned i = 0; i < read; i++)
            assert_int_equal(cv_cursor_next(&cursor, &log, &msg), 1);
        cv_stream_log_end(&log);
        expect(&cursor, &log, left[read]);
        cv_stream_log_done(&log);
    }
}

static void bug_24_the_log_moves_on_in_the_middle_of_headers(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0");
    put_key(&log, 60000, 5); // all before it is gone
    expect(&cursor, &log, "V1@60000 A1@60000 K5@60000 -");
    assert_int_equal(cursor.jumps, 1);
    cv_stream_log_done(&log);
}

// ---- slow viewers -------------------------------------------------------------------------------

static void bug_10_a_slow_viewer_jumps_to_the_newest_key_frame(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000");
    uint64_t from = cursor.seq;
    for (unsigned ts_ms = 2000; ts_ms <= 20000; ts_ms += 1000) {
        if (ts_ms % 4000 == 0)
            put_key(&log, ts_ms, ts_ms / 1000);
        else
            put_inter(&log, ts_ms, ts_ms / 1000);
    }
    put_audio(&log, 20010, 3);
    uint64_t key = log.gop;
    expect(&cursor, &log, "K20@20000 a3@20010 -"); // headers have not changed: not again
    assert_int_equal(cursor.jumps, 1);
    assert_int_equal(cursor.skipped, key - from);
    cv_stream_log_done(&log);
}

static void after_a_jump_changed_headers_come_first(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000");
    put_video_header(&log, 2000, 2);
    put_key(&log, 2000, 2);
    put_key(&log, 20000, 3);
    expect(&cursor, &log, "M1@0 A1@20000 V2@20000 K3@20000 -");
    assert_int_equal(cursor.jumps, 1);
    cv_stream_log_done(&log);
}

static void a_jump_without_a_key_frame_waits_for_one(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000");
    for (unsigned ts_ms = 2000; ts_ms <= 40000; ts_ms += 1000)
        put_inter(&log, ts_ms, 9);
    expect(&cursor, &log, "-");
    assert_int_equal(cursor.jumps, 1);
    put_inter(&log, 40040, 9);
    put_audio(&log, 40050, 5);
    put_key(&log, 40080, 6);
    expect(&cursor, &log, "a5@40050 K6@40080 -");
    cv_stream_log_done(&log);
}

static void cursors_do_not_know_each_other(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursors[3] = {cv_cursor_new(), cv_cursor_new(), cv_cursor_new()};
    expect(&cursors[0], &log, "M1@0 V1@1000 A1@1000 K1@1000 a1@1010 i2@1040 -");
    expect(&cursors[1], &log, "M1@0 V1@1000");
    put_inter(&log, 1080, 3);
    expect(&cursors[2], &log, "M1@0 V1@1000 A1@1000 K1@1000 a1@1010");
    expect(&cursors[0], &log, "i3@1080 -");
    expect(&cursors[1], &log, "A1@1000 K1@1000 a1@1010 i2@1040 i3@1080 -");
    expect(&cursors[2], &log, "i2@1040 i3@1080 -");
    cv_stream_log_done(&log);
}

// ---- what the viewer asks for -------------------------------------------------------------------

static void audio_off_and_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    cv_cursor_receive_audio(&cursor, false);
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000 i2@1040 -");
    put_audio(&log, 1050, 2);
    expect(&cursor, &log, "-");
    cv_cursor_receive_audio(&cursor, true);
    put_audio(&log, 1070, 3);
    expect(&cursor, &log, "a3@1070 -");
    cv_stream_log_done(&log);
}

static void video_off_and_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    cv_cursor_receive_video(&cursor, true); // it is on: nothing to wait for
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000");
    cv_cursor_receive_video(&cursor, false);
    put_key(&log, 1080, 3);
    put_video_header(&log, 1120, 2); // headers come all the same
    expect(&cursor, &log, "a1@1010 V2@1120 -");
    cv_cursor_receive_video(&cursor, true);
    put_inter(&log, 1160, 4);
    put_audio(&log, 1165, 2);
    put_key(&log, 1200, 5);
    put_inter(&log, 1240, 6);
    expect(&cursor, &log, "a2@1165 K5@1200 i6@1240 -");
    cv_stream_log_done(&log);
}

// ---- after a pause ------------------------------------------------------------------------------

static void after_a_pause_it_goes_on_at_the_newest_key_frame(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M1@0 V1@1000 A1@1000 K1@1000");
    put_key(&log, 2000, 3);
    put_key(&log, 3000, 4);
    put_inter(&log, 3040, 5);
    cv_cursor_rejoin(&cursor);
    expect(&cursor, &log, "K4@3000 i5@3040 -"); // the decoder has its headers
    assert_int_equal(cursor.jumps, 0);
    put_audio_header(&log, 3050, 2);
    put_key(&log, 4000, 6);
    cv_cursor_rejoin(&cursor);
    expect(&cursor, &log, "M1@0 V1@4000 A2@4000 K6@4000 -");
    cv_stream_log_done(&log);
}

static void after_a_pause_it_never_goes_back(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(1000);
    struct cv_cursor cursor = cv_cursor_new();
    read_all(&cursor, &log);
    put_inter(&log, 1080, 3);
    cv_cursor_rejoin(&cursor);
    expect(&cursor, &log, "-"); // at the live edge, and the key frame was seen
    put_inter(&log, 1120, 4);
    put_audio(&log, 1125, 2);
    put_key(&log, 1160, 5);
    expect(&cursor, &log, "a2@1125 K5@1160 -");
    cv_stream_log_done(&log);
}

static void a_pause_from_before_the_start_does_not_count_as_early(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "-");
    put_video_header(&log, 0, 1);
    put_key(&log, 1000, 1);
    put_key(&log, 5000, 2);
    cv_cursor_rejoin(&cursor);
    expect(&cursor, &log, "V1@5000 K2@5000 -");
    cv_stream_log_done(&log);
}

// ---- another publisher --------------------------------------------------------------------------

static void a_returning_publisher_is_one_stream(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(5000);
    struct cv_cursor cursor = cv_cursor_new();
    read_all(&cursor, &log);
    cv_stream_log_restart(&log);
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    put_audio_header(&log, 0, 1);
    struct cv_cursor between = cv_cursor_new();
    expect(&between, &log, "M1@0 V1@5040 A1@5040 -");
    put_inter(&log, 0, 7);
    put_audio(&log, 20, 8);
    put_key(&log, 40, 9);
    expect(&cursor, &log, "a8@5041 K9@5061 -");
    expect(&between, &log, "a8@5041 K9@5061 -");
    cv_stream_log_done(&log);
}

static void after_the_end_the_next_publisher_is_read_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_with_gop(5000);
    struct cv_cursor cursor = cv_cursor_new();
    read_all(&cursor, &log);
    cv_stream_log_end(&log);
    assert_false(cv_cursor_behind(&cursor, &log));
    cv_stream_log_restart(&log); // as the server does when somebody publishes
    put_video_header(&log, 0, 1);
    put_inter(&log, 0, 1); // nobody can decode this
    put_key(&log, 40, 2);
    expect(&cursor, &log, "V1@5040 K2@5041 -");
    cv_stream_log_done(&log);
}

// ---- a log behind a log -------------------------------------------------------------------------

// As server/stream.c does it for viewers on other threads: what a cursor yields is appended again.
static void pass_on(struct cv_cursor *cursor, const struct cv_stream_log *from,
                    struct cv_stream_log *to)
{
    struct cv_msg msg;
    while (cv_cursor_next(cursor, from, &msg) == 1)
        assert_int_equal(cv_stream_log_append(to, &msg), CV_OK);
    check_log(to);
}

static void a_replica_gives_the_same(void **state)
{
    (void)state;
    struct cv_stream_log home = log_with_gop(3600000);
    struct cv_stream_log replica = log_new();
    struct cv_cursor link = cv_cursor_new();
    struct cv_cursor early = cv_cursor_new();
    expect(&early, &replica, "-");
    pass_on(&link, &home, &replica);
    struct cv_cursor joiner = cv_cursor_new();
    expect(&joiner, &replica, "M1@0 V1@3600000 A1@3600000 K1@3600000 a1@3600010 i2@3600040 -");
    expect(&early, &replica, "M1@0 V1@3600000 A1@3600000 K1@3600000 a1@3600010 i2@3600040 -");
    put_metadata(&home, 0, 2);
    put_video_header(&home, 0, 2);
    put_key(&home, 3600080, 3);
    pass_on(&link, &home, &replica);
    expect(&joiner, &replica, "M2@3600040 V2@3600040 K3@3600080 -");
    cv_stream_log_restart(&home);
    put_audio(&home, 0, 9);
    put_key(&home, 20, 4);
    pass_on(&link, &home, &replica);
    expect(&joiner, &replica, "a9@3600081 K4@3600101 -");
    cv_stream_log_done(&home);
    cv_stream_log_done(&replica);
}

static void a_replica_keeps_its_time_when_the_link_falls_behind(void **state)
{
    (void)state;
    struct cv_stream_log home = log_with_gop(61000);
    struct cv_stream_log replica = log_new();
    struct cv_cursor link = cv_cursor_new();
    struct cv_cursor joiner = cv_cursor_new();
    pass_on(&link, &home, &replica);
    read_all(&joiner, &replica);
    put_metadata(&home, 0, 2);
    for (unsigned ts_ms = 2000; ts_ms <= 100000; ts_ms += 1000)
        put_key(&home, 60000 + ts_ms, ts_ms / 1000);
    pass_on(&link, &home, &replica); // metadata with time 0 in the middle
    assert_int_equal(link.jumps, 1);
    expect(&joiner, &replica, "M2@0 V1@160000 A1@160000 K100@160000 -");
    cv_stream_log_end(&home);
    cv_stream_log_end(&replica);
    put_key(&home, 0, 1);
    pass_on(&link, &home, &replica);
    expect(&joiner, &replica, "K1@160001 -");
    cv_stream_log_done(&home);
    cv_stream_log_done(&replica);
}

// ---- property: against a plain array ------------------------------------------------------------

static uint32_t random_state;

static uint32_t any(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

enum { MODEL_FRAMES = 3000, READERS = 5 };

// What was published: frame n of the model carries the number n.
struct model {
    struct cv_stream_log log;
    char kinds[MODEL_FRAMES]; // 'K', 'i' or 'a'
    unsigned count;
    uint32_t ts_ms; // the publisher's clock
    bool wants_key;
};

struct reader {
    struct cv_cursor cursor;
    bool any;
    unsigned last; // number of the last frame read
    uint32_t last_ts_ms;
    bool video_ok; // a key frame was read since the last hole
    uint32_t jumps;
};

static void publish(struct model *model)
{
    char kind = any(3) == 0 ? 'a' : any(12) == 0 ? 'K' : 'i';
    model->ts_ms += any(300) ? any(60) : 15000;
    if (any(40) == 0)
        put_metadata(&model->log, 0, any(3));
    if (any(40) == 0)
        put_video_header(&model->log, any(2) ? 0 : model->ts_ms, any(2));
    if (any(200) == 0) {
        cv_stream_log_restart(&model->log);
        model->wants_key = true;
        if (any(2))
            model->ts_ms = any(1000);
    }
    if (kind == 'i' && model->wants_key)
        kind = 'K';
    if (kind == 'K')
        model->wants_key = false;
    model->kinds[model->count] = kind;
    (kind == 'K'   ? put_key
     : kind == 'a' ? put_audio
                   : put_inter)(&model->log, model->ts_ms, model->count);
    model->count++;
}

// A hole is allowed when the cursor has counted a jump; then video must go on at a key frame.
static void check_frame(const struct model *model, struct reader *reader, const struct cv_msg *msg)
{
    const struct cv_block *payload = msg->payload;
    unsigned number =
        (unsigned)payload->data[payload->len - 2] << 8 | payload->data[payload->len - 1];
    char kind = model->kinds[number];
    assert_true(number < model->count);
    assert_int_equal(msg->type, kind == 'a' ? CV_MSG_AUDIO : CV_MSG_VIDEO);
    if (reader->any) {
        assert_true(number > reader->last);
        assert_true((int32_t)(msg->ts_ms - reader->last_ts_ms) >= 0);
    }
    for (unsigned n = reader->last + 1; reader->any && n < number; n++) {
        // Held back: video before the key frame. All else was lost in a jump that was counted.
        if (model->kinds[n] != 'a' && !reader->video_ok)
            continue;
        assert_true(reader->cursor.jumps > reader->jumps);
        reader->video_ok = false;
    }
    if (kind == 'K')
        reader->video_ok = true;
    assert_true(kind == 'a' || reader->video_ok);
    reader->jumps = reader->cursor.jumps;
    reader->any = true;
    reader->last = number;
    reader->last_ts_ms = msg->ts_ms;
}

static void read_some(const struct model *model, struct reader *reader)
{
    struct cv_msg msg;
    for (uint32_t i = any(60); i > 0 && cv_cursor_next(&reader->cursor, &model->log, &msg) == 1;
         i--) {
        bool is_header = msg.type == CV_MSG_DATA_AMF0 || msg.payload->data[1] == 0;
        if (!is_header)
            check_frame(model, reader, &msg);
    }
}

static void random_publishers_and_viewers_agree_with_an_array(void **state)
{
    (void)state;
    unsigned long jumps = 0;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        random_state = seed;
        struct model model = {.log = log_new(), .wants_key = true, .ts_ms = any(1000) * 4294967u};
        model.log.limits.bytes_max = seed % 2 ? 300 : 1 << 20;
        struct reader readers[READERS] = {0};
        while (model.count < MODEL_FRAMES) {
            publish(&model);
            struct reader *reader = &readers[any(READERS)];
            if (any(READERS) >= (uint32_t)(reader - readers)) // the last ones are slow
                read_some(&model, reader);
            if (any(1000) == 0)
                *reader = (struct reader){.cursor = cv_cursor_new()};
        }
        for (unsigned i = 0; i < READERS; i++)
            jumps += readers[i].cursor.jumps;
        cv_stream_log_done(&model.log);
    }
    assert_true(jumps > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_at_the_newest_key_frame),
        cmocka_unit_test(waits_and_gets_a_publishing_that_is_over),
        cmocka_unit_test(waits_over_two_publishings),
        cmocka_unit_test(joins_before_any_frame_and_misses_nothing),
        cmocka_unit_test(one_who_came_early_does_not_begin_with_an_inter_frame),
        cmocka_unit_test(audio_alone_starts_at_the_live_edge),
        cmocka_unit_test(audio_with_a_video_header_only_does_not_wait_for_video),
        cmocka_unit_test(video_alone),
        cmocka_unit_test(without_gop_cache_video_starts_at_the_next_key_frame),
        cmocka_unit_test(without_gop_cache_early_viewers_miss_nothing),
        cmocka_unit_test(a_group_of_pictures_past_the_bounds_is_not_given),
        cmocka_unit_test(enhanced_video_joins_alike),
        cmocka_unit_test(multitrack_joins_at_a_key_frame_of_track_0),
        cmocka_unit_test(a_changed_header_comes_in_its_place),
        cmocka_unit_test(new_metadata_comes_in_its_place),
        cmocka_unit_test(headers_start_over_when_they_change_in_the_middle),
        cmocka_unit_test(bug_24_headers_vanish_in_the_middle),
        cmocka_unit_test(the_end_keeps_headers_for_those_who_are_here),
        cmocka_unit_test(bug_24_the_log_moves_on_in_the_middle_of_headers),
        cmocka_unit_test(bug_10_a_slow_viewer_jumps_to_the_newest_key_frame),
        cmocka_unit_test(after_a_jump_changed_headers_come_first),
        cmocka_unit_test(a_jump_without_a_key_frame_waits_for_one),
        cmocka_unit_test(cursors_do_not_know_each_other),
        cmocka_unit_test(audio_off_and_on),
        cmocka_unit_test(video_off_and_on),
        cmocka_unit_test(after_a_pause_it_goes_on_at_the_newest_key_frame),
        cmocka_unit_test(after_a_pause_it_never_goes_back),
        cmocka_unit_test(a_pause_from_before_the_start_does_not_count_as_early),
        cmocka_unit_test(a_returning_publisher_is_one_stream),
        cmocka_unit_test(after_the_end_the_next_publisher_is_read_on),
        cmocka_unit_test(a_replica_gives_the_same),
        cmocka_unit_test(a_replica_keeps_its_time_when_the_link_falls_behind),
        cmocka_unit_test(random_publishers_and_viewers_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
