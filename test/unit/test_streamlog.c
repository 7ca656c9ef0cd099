// The log of a stream: what is kept, what is dropped, and on which timeline.
#include "harness.h"
#include "media_kit.h"

#include "base/mem.h"

#include <stdio.h>

#define ENHANCED_HEVC_HEADER "9068766331"
#define ENHANCED_HEVC_KEY    "9368766331"
#define ENHANCED_HEVC_INTER  "a368766331"
#define ENHANCED_AV1_HEADER  "9061763031"
#define ENHANCED_AV1_KEY     "9161763031"
#define TRACK_HEADER         "960061766331" // + track id, body: OneTrack, SequenceStart
#define TRACK_KEY            "960161766331" // OneTrack, CodedFrames
#define MANY_HEADER          "961061766331" // ManyTracks: track id, size u24, body, ...

static struct cv_stream_log log_new(void)
{
    struct cv_stream_log log;
    cv_stream_log_init(&log, &roomy);
    return log;
}

// The time of the entry `back` places before the newest.
static uint32_t time_at(const struct cv_stream_log *log, uint64_t back)
{
    return cv_stream_log_at(log, log->head - 1 - back)->ts_ms;
}

static uint8_t flags_at(const struct cv_stream_log *log, uint64_t back)
{
    return cv_stream_log_at(log, log->head - 1 - back)->flags;
}

// ---- what messages are ------------------------------------------------------------------------

static void messages_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t type;
        const char *hex;
        uint8_t flags;
    } rows[] = {
        {"AVC key frame", CV_MSG_VIDEO, "170100000000", CV_LOG_VIDEO | CV_LOG_GOP},
        {"AVC inter frame", CV_MSG_VIDEO, "270100000000", CV_LOG_VIDEO},
        {"AVC disposable frame", CV_MSG_VIDEO, "370100000000", CV_LOG_VIDEO},
        {"AVC header", CV_MSG_VIDEO, "170000000001", CV_LOG_HEADER},
        {"AVC end of sequence", CV_MSG_VIDEO, "1702000000", CV_LOG_HEADER},
        {"H.263 key frame", CV_MSG_VIDEO, "1200", CV_LOG_VIDEO | CV_LOG_GOP},
        {"seek command", CV_MSG_VIDEO, "5700", CV_LOG_HEADER},
        {"empty video", CV_MSG_VIDEO, "", CV_LOG_HEADER},
        {"HEVC header", CV_MSG_VIDEO, ENHANCED_HEVC_HEADER "01", CV_LOG_HEADER},
        {"HEVC key frame", CV_MSG_VIDEO, ENHANCED_HEVC_KEY "01", CV_LOG_VIDEO | CV_LOG_GOP},
        {"HEVC inter frame", CV_MSG_VIDEO, ENHANCED_HEVC_INTER "01", CV_LOG_VIDEO},
        {"AV1 key frame", CV_MSG_VIDEO, ENHANCED_AV1_KEY "01", CV_LOG_VIDEO | CV_LOG_GOP},
        {"HDR colour", CV_MSG_VIDEO,
         "8468766331"
         "0200",
         CV_LOG_HEADER},
        {"key frame of track 1", CV_MSG_VIDEO, TRACK_KEY "0100000001", CV_LOG_VIDEO},
        {"key frame of track 0", CV_MSG_VIDEO, TRACK_KEY "0000000001", CV_LOG_VIDEO | CV_LOG_GOP},
        {"reserved packet type", CV_MSG_VIDEO, "9f68766331", CV_LOG_HEADER},
        {"AAC frame", CV_MSG_AUDIO, "af0121", CV_LOG_AUDIO},
        {"AAC header", CV_MSG_AUDIO, "af001210", CV_LOG_HEADER},
        {"MP3 frame", CV_MSG_AUDIO, "2fff", CV_LOG_AUDIO},
        {"empty audio", CV_MSG_AUDIO, "", CV_LOG_HEADER},
        {"Opus frame", CV_MSG_AUDIO,
         "914f707573"
         "fc",
         CV_LOG_AUDIO},
        {"speaker layout", CV_MSG_AUDIO,
         "944f707573"
         "0102"
         "00000003",
         CV_LOG_HEADER},
        {"half an AVC frame", CV_MSG_VIDEO, "1701", CV_LOG_VIDEO},
        {"half an AAC frame", CV_MSG_AUDIO, "af", CV_LOG_AUDIO},
        {"text", CV_MSG_DATA_AMF0, "02000a6f6e5465787444617461", CV_LOG_SCRIPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_stream_log log = log_new();
        put_key(&log, 0, 1); // so that inter frames are taken
        assert_int_equal(put_hex(&log, rows[i].type, 40, rows[i].hex), CV_OK);
        assert_int_equal(log.head, 2);
        if (flags_at(&log, 0) != rows[i].flags)
            fail_msg("%s: flags %u", rows[i].what, flags_at(&log, 0));
        cv_stream_log_done(&log);
    }
}

static void what_cannot_be_parsed_passes_unharmed(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_cursor cursor = cv_cursor_new();
    put_hex(&log, CV_MSG_VIDEO, 10, "17");
    put_hex(&log, CV_MSG_AUDIO, 20, "af");
    put_hex(&log, CV_MSG_DATA_AMF0, 30, "ff");
    put_hex(&log, CV_MSG_DATA_AMF0, 40, "");
    put_hex(&log, CV_MSG_DATA_AMF0, 50, "0200ff61");
    assert_int_equal(log.unparsed, 2);
    assert_int_equal(log.header_count, 0);
    assert_null(log.metadata);
    cv_stream_log_restart(&log);
    put_hex(&log, CV_MSG_VIDEO, 60, "27"); // nobody knows that it is no key frame
    cursor.joined = true;
    expect(&cursor, &log, "9:17@10 8:af@20 18:ff@30 18:@40 18:0200ff61@50 9:27@60 -");
    cv_stream_log_done(&log);
}

// ---- headers and metadata ---------------------------------------------------------------------

static void a_repeated_header_is_swallowed_and_a_changed_one_is_not(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_audio_header(&log, 0, 1);
    put_key(&log, 0, 1);
    uint32_t version = log.headers_version;
    put_video_header(&log, 40, 1);
    put_audio_header(&log, 40, 1);
    assert_int_equal(log.head, 3);
    assert_int_equal(log.headers_version, version);
    assert_int_equal(log.gop, 2);
    put_video_header(&log, 40, 2);
    assert_int_equal(log.head, 4);
    assert_int_equal(log.header_count, 2);
    assert_int_not_equal(log.headers_version, version);
    assert_true(log.gop == CV_LOG_NONE);
    put_key(&log, 80, 2);
    put_audio_header(&log, 80, 2); // also the sound of that group is not for joiners any more
    assert_true(log.gop == CV_LOG_NONE);
    assert_int_equal(log.header_count, 2);
    put_video_header(&log, 120, 1); // back to what it was is a change, too
    assert_int_equal(log.head, 7);
    cv_stream_log_done(&log);
}

static void after_an_end_of_sequence_the_same_header_is_news(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_key(&log, 0, 1);
    put_hex(&log, CV_MSG_VIDEO, 40, "1702000000");
    put_video_header(&log, 80, 1);
    assert_int_equal(log.head, 4);
    assert_int_equal(log.header_count, 1);
    put_video_header(&log, 120, 1);
    assert_int_equal(log.head, 4);
    cv_stream_log_done(&log);
}

static void headers_are_kept_per_track_and_role(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_hex(&log, CV_MSG_VIDEO, 0,
            "8468766331"
            "0200");              // colour, before the configuration
    put_video_header(&log, 0, 1); // track 0, as OBS sends it
    put_hex(&log, CV_MSG_VIDEO, 0,
            TRACK_HEADER "01"
                         "aa");
    put_hex(&log, CV_MSG_VIDEO, 0,
            TRACK_HEADER "02"
                         "aa");
    put_audio_header(&log, 0, 1);
    put_hex(&log, CV_MSG_AUDIO, 0,
            "95006d703461"
            "01"
            "1210");
    assert_int_equal(log.header_count, 6);
    put_hex(&log, CV_MSG_VIDEO, 0,
            TRACK_HEADER "01"
                         "aa");
    assert_int_equal(log.head, 6);
    // Legacy and enhanced headers of one track replace each other.
    put_hex(&log, CV_MSG_VIDEO, 0, ENHANCED_HEVC_HEADER "01");
    assert_int_equal(log.header_count, 6);
    put_key(&log, 0, 1);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log,
           "9:84687663310200@0 9:96006176633101aa@0 9:96006176633102aa@0 A1@0 "
           "8:95006d703461011210@0 9:906876633101@0 K1@0 -");
    cv_stream_log_done(&log);
}

static void a_header_about_several_tracks_is_kept_for_all_of_them(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_hex(&log, CV_MSG_VIDEO, 0,
            MANY_HEADER "00000001aa"
                        "01000001bb");
    put_hex(&log, CV_MSG_VIDEO, 0,
            MANY_HEADER "00000001aa"
                        "01000001bb");
    assert_int_equal(log.head, 1);
    put_hex(&log, CV_MSG_VIDEO, 0,
            TRACK_HEADER "01"
                         "cc"); // one of the two changes
    assert_int_equal(log.header_count, 2);
    // The first again: for track 1 that is a change, and it must not be undone for joiners.
    put_hex(&log, CV_MSG_VIDEO, 0,
            MANY_HEADER "00000001aa"
                        "01000001bb");
    assert_int_equal(log.head, 3);
    assert_int_equal(log.header_count, 1);
    put_hex(&log, CV_MSG_VIDEO, 0, TRACK_KEY "0000000001");
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "9:96106176633100000001aa01000001bb@0 9:9601617663310000000001@0 -");
    cv_stream_log_done(&log);
}

static void a_header_that_is_too_long_is_passed_on_but_not_kept(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_key(&log, 0, 1);
    size_t len = CV_LIMIT_HEADER_BYTES + 1;
    uint32_t version = log.headers_version;
    struct cv_block *block = cv_block_new(len);
    static const uint8_t start[] = {0x17, 0, 0, 0, 0};
    cv_block_append(block, start, sizeof start);
    static const uint8_t zeros[CV_LIMIT_HEADER_BYTES];
    cv_block_append(block, zeros, len - sizeof start);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = 40, .payload = block};
    assert_int_equal(cv_stream_log_append(&log, &msg), CV_OK);
    cv_block_unref(&block);
    check_log(&log);
    assert_int_equal(log.head, 3);
    // The old one is wrong now, and who is just being sent the list must notice.
    assert_int_equal(log.header_count, 0);
    assert_int_not_equal(log.headers_version, version);
    assert_true(log.gop == CV_LOG_NONE);
    cv_stream_log_done(&log);
}

static void more_tracks_than_slots_pass_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    for (unsigned i = 0; i < CV_LIMIT_TRACKS + 4; i++) {
        char hex[64];
        snprintf(hex, sizeof hex, TRACK_HEADER "%02xaa", i);
        put_hex(&log, CV_MSG_VIDEO, 0, hex);
    }
    assert_int_equal(log.head, CV_LIMIT_TRACKS + 4);
    assert_int_equal(log.header_count, CV_LIMIT_TRACKS);
    put_hex(&log, CV_MSG_VIDEO, 0, TRACK_HEADER "00bb"); // a slot that exists can change
    assert_int_equal(log.header_count, CV_LIMIT_TRACKS);
    cv_stream_log_done(&log);
}

static void metadata_is_kept_and_forgotten(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_metadata(&log, 0, 1);
    put_metadata(&log, 0, 1); // GStreamer repeats it
    assert_int_equal(log.head, 1);
    put_metadata(&log, 0, 2);
    assert_int_equal(log.head, 2);
    put_hex(&log, CV_MSG_DATA_AMF0, 0,
            "02000a6f6e4d65746144617461"
            "0003"); // without the prefix
    put_audio(&log, 0, 1);
    struct cv_cursor cursor = cv_cursor_new();
    expect(&cursor, &log, "M3@0 -");
    uint32_t version = log.headers_version;
    put_hex(&log, CV_MSG_DATA_AMF0, 0,
            "02000f"
            "40636c656172446174614672616d65"
            "02000a6f6e4d65746144617461");
    assert_null(log.metadata);
    assert_int_not_equal(log.headers_version, version);
    struct cv_cursor later = cv_cursor_new();
    expect(&later, &log, "-");
    put_metadata(&log, 0, 3); // the same again is news now
    expect(&later, &log, "M3@0 -");
    // "@setDataFrame" is for the server, also in front of something that is not kept.
    put_hex(&log, CV_MSG_DATA_AMF0, 0,
            "02000d40736574446174614672616d65"
            "02000a6f6e5465787444617461"
            "05");
    expect(&later, &log, "18:02000a6f6e546578744461746105@0 -");
    cv_stream_log_done(&log);
}

// ---- bounds -----------------------------------------------------------------------------------

static void bug_10_bytes_are_bounded(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    log.limits.bytes_max = 10000;
    put_sized(&log, CV_MSG_VIDEO, true, 0, 3000);
    for (uint32_t i = 1; i <= 100; i++) {
        put_sized(&log, CV_MSG_VIDEO, false, i, 3000);
        assert_true(log.bytes <= 10000);
    }
    assert_int_equal(log.head - log.tail, 3); // the oldest went first
    assert_true(log.gop == CV_LOG_NONE);      // too long to be kept
    put_sized(&log, CV_MSG_VIDEO, true, 200, 20000);
    assert_int_equal(log.head - log.tail, 1); // the newest stays, whatever its size
    assert_int_equal(log.gop, log.tail);
    put_sized(&log, CV_MSG_VIDEO, false, 201, 1000);
    assert_int_equal(log.bytes, 1000);
    cv_stream_log_done(&log);
}

static void bug_10_messages_are_bounded(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    for (unsigned i = 0; i < CV_LOG_MESSAGES_MAX + 100; i++)
        put_sized(&log, CV_MSG_AUDIO, false, 7, 2);
    assert_int_equal(log.head - log.tail, CV_LOG_MESSAGES_MAX);
    assert_int_equal(log.capacity, CV_LOG_MESSAGES_MAX);
    cv_stream_log_done(&log);
}

static void bug_10_time_is_bounded(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    for (uint32_t ts_ms = 0; ts_ms <= 100000; ts_ms += 100) {
        put_audio(&log, ts_ms, 0);
        assert_true(ts_ms - cv_stream_log_at(&log, log.tail)->ts_ms <= 10000);
    }
    assert_int_equal(log.head - log.tail, 101);
    cv_stream_log_done(&log);
}

static void the_newest_group_of_pictures_is_kept_longer_but_not_for_ever(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    for (uint32_t ts_ms = 0; ts_ms < 5000; ts_ms += 1000)
        put_audio(&log, ts_ms, 0);
    put_key(&log, 5000, 1);
    for (uint32_t ts_ms = 6000; ts_ms <= 35000; ts_ms += 1000)
        put_inter(&log, ts_ms, 2);
    assert_int_equal(log.gop, 5);
    assert_int_equal(log.tail, 5); // what was before it went by the lag's bound
    put_inter(&log, 36000, 3);
    assert_true(log.gop == CV_LOG_NONE);
    assert_int_equal(cv_stream_log_at(&log, log.tail)->ts_ms, 26000);
    put_key(&log, 37000, 4); // and what is before a new one goes by that bound, too
    put_key(&log, 40000, 5);
    assert_int_equal(cv_stream_log_at(&log, log.tail)->ts_ms, 30000);
    cv_stream_log_done(&log);
}

static void headers_of_time_0_before_late_frames_do_not_stop_the_bound(void **state)
{
    (void)state;
    static const uint32_t starts_ms[] = {3600000, 3000000000u};
    for (size_t i = 0; i < 2; i++) {
        struct cv_stream_log log = log_new();
        put_metadata(&log, 0, 1);
        put_audio_header(&log, 0, 1);
        for (uint32_t ms = 0; ms < 100000; ms += 100)
            put_audio(&log, starts_ms[i] + ms, 0);
        assert_int_equal(log.head - log.tail, 101);
        cv_stream_log_done(&log);
    }
}

// ---- timeline ---------------------------------------------------------------------------------

static void a_new_timeline_goes_behind_the_last(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_key(&log, 5000, 1);
    put_audio(&log, 5010, 1);
    put_inter(&log, 5005, 2); // a little late: still after this one, at 5010, comes the rest
    cv_stream_log_restart(&log);
    put_metadata(&log, 0, 1);
    put_audio_header(&log, 0, 1); // does not settle the timeline
    assert_int_equal(time_at(&log, 0), 5010);
    put_audio(&log, 80, 2);
    assert_int_equal(time_at(&log, 0), 5011);
    put_key(&log, 40, 3); // before the sound in time: but not before what was there
    assert_int_equal(time_at(&log, 0), 5011);
    put_inter(&log, 120, 4);
    assert_int_equal(time_at(&log, 0), 5051);
    cv_stream_log_restart(&log);
    put_key(&log, 0, 5);
    assert_int_equal(time_at(&log, 0), 5052);
    cv_stream_log_done(&log);
}

static void a_timeline_that_goes_on_is_kept(void **state)
{
    (void)state;
    static const struct {
        uint32_t again_ms;
        uint32_t wanted_ms;
    } rows[] = {
        {5001, 5001}, {5040, 5040}, {65000, 65000}, {65001, 5001},
        {5000, 5001}, {4999, 5001}, {0, 5001},      {3000000000u, 5001},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_stream_log log = log_new();
        put_key(&log, 5000, 1);
        cv_stream_log_restart(&log);
        put_key(&log, rows[i].again_ms, 2);
        assert_int_equal(time_at(&log, 0), rows[i].wanted_ms);
        put_inter(&log, rows[i].again_ms + 40, 3);
        assert_int_equal(time_at(&log, 0), rows[i].wanted_ms + 40);
        cv_stream_log_done(&log);
    }
}

static void after_a_kept_timeline_nothing_goes_before_the_old_end(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_key(&log, 5000, 1);
    cv_stream_log_restart(&log);
    put_audio(&log, 5020, 1);
    put_key(&log, 4980, 2);
    assert_int_equal(time_at(&log, 0), 5001);
    cv_stream_log_done(&log);
}

static void metadata_and_headers_of_time_0_do_not_move_the_timeline(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_key(&log, 3600000, 1);
    put_metadata(&log, 0, 2);
    assert_int_equal(time_at(&log, 0), 3600000);
    put_video_header(&log, 0, 2);
    assert_int_equal(time_at(&log, 0), 3600000);
    put_hex(&log, CV_MSG_DATA_AMF0, 0, "02000a6f6e5465787444617461");
    assert_int_equal(time_at(&log, 0), 3600000);
    put_metadata(&log, 3599990, 3); // a time that fits is kept
    assert_int_equal(time_at(&log, 0), 3599990);
    cv_stream_log_restart(&log);
    put_key(&log, 0, 2);
    assert_int_equal(time_at(&log, 0), 3600001);
    cv_stream_log_done(&log);
}

static void a_restart_before_any_frame_changes_nothing(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    cv_stream_log_restart(&log);
    put_video_header(&log, 0, 1);
    cv_stream_log_restart(&log);
    put_key(&log, 3600000, 1);
    assert_int_equal(time_at(&log, 0), 3600000);
    cv_stream_log_done(&log);
}

static void video_before_the_first_key_frame_is_dropped(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_video_header(&log, 0, 1);
    put_inter(&log, 0, 1);
    put_hex(&log, CV_MSG_VIDEO, 20, TRACK_KEY "0100000001"); // of track 1 alone
    put_audio(&log, 20, 1);
    assert_int_equal(log.head, 2);
    assert_int_equal(log.dropped, 2);
    put_key(&log, 40, 2);
    put_inter(&log, 80, 3);
    assert_int_equal(log.head, 4);
    cv_stream_log_restart(&log);
    put_inter(&log, 0, 4);
    put_audio(&log, 0, 2);
    assert_int_equal(time_at(&log, 0), 81);
    put_inter(&log, 40, 5);
    assert_int_equal(log.head, 5);
    put_key(&log, 80, 6);
    assert_int_equal(log.gop, 5);
    assert_int_equal(log.dropped, 4);
    cv_stream_log_end(&log);
    put_inter(&log, 0, 7);
    assert_int_equal(log.dropped, 5);
    cv_stream_log_done(&log);
}

static void after_the_end_viewers_wait_and_time_goes_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    put_key(&log, 5000, 1);
    struct cv_cursor here = cv_cursor_new();
    expect(&here, &log, "M1@0 V1@5000");
    cv_stream_log_end(&log);
    struct cv_cursor later = cv_cursor_new();
    expect(&later, &log, "-");
    expect(&here, &log, "K1@5000 -"); // what is left can be read
    put_metadata(&log, 0, 1);
    put_video_header(&log, 0, 1);
    expect(&later, &log, "-");
    expect(&here, &log, "M1@5000 V1@5000 -");
    put_key(&log, 0, 2);
    expect(&later, &log, "M1@0 V1@5001 K2@5001 -");
    expect(&here, &log, "K2@5001 -");
    cv_stream_log_done(&log);
}

static void bug_09_time_runs_across_every_limit(void **state)
{
    (void)state;
    static const uint32_t starts_ms[] = {16777216 - 100, 2147483648u - 100, 4294967295u - 99};
    for (size_t i = 0; i < 3; i++) {
        struct cv_stream_log log = log_new();
        for (uint32_t ms = 0; ms < 20000; ms += 20) {
            uint32_t ts_ms = starts_ms[i] + ms;
            if (ms % 2000 == 0)
                put_key(&log, ts_ms, 1);
            else
                put_inter(&log, ts_ms, 1);
            assert_int_equal(time_at(&log, 0), ts_ms);
            assert_true(ts_ms - cv_stream_log_at(&log, log.tail)->ts_ms <= 10000);
        }
        assert_int_equal(log.head - log.tail, 501);
        assert_int_equal(log.last_ts_ms, starts_ms[i] + 19980);
        cv_stream_log_restart(&log);
        put_key(&log, 0, 1);
        assert_int_equal(time_at(&log, 0), starts_ms[i] + 19981);
        cv_stream_log_done(&log);
    }
}

// Programs that keep 31 bits of the time wrap after 24.8 days.
static void bug_09_clocks_of_31_bits_run_on(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    uint32_t ts_ms = 0x7fffff00;
    put_key(&log, ts_ms, 1);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (uint32_t ms = 0; ms < 40000; ms += 20) {
            put_inter(&log, (ts_ms + ms) & 0x7fffffff, 1);
            put_audio(&log, (ts_ms + ms - 50) & 0x7fffffff, 1); // still before the wrap
            assert_int_equal(time_at(&log, 1), ts_ms + ms);
            assert_int_equal(time_at(&log, 0), ts_ms + ms - 50);
        }
        assert_in_range(log.head - log.tail, 990, 1010);
        // On to the next wrap, which is that of 32 bits.
        for (unsigned i = 0; turn == 0 && i < 4; i++)
            put_inter(&log, (ts_ms += 0x1fffffff) & 0x7fffffff, 1);
        ts_ms = 0xffffff00;
        put_key(&log, ts_ms & 0x7fffffff, 1);
    }
    cv_stream_log_done(&log);
}

static void a_stream_of_data_alone_has_a_timeline(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    static const char text[] = "02000a6f6e5465787444617461";
    struct cv_cursor cursor = cv_cursor_new();
    for (uint32_t ts_ms = 0; ts_ms <= 100000; ts_ms += 1000)
        put_hex(&log, CV_MSG_DATA_AMF0, ts_ms, text);
    assert_int_equal(log.head - log.tail, 11);
    expect(&cursor, &log, "-");
    put_hex(&log, CV_MSG_DATA_AMF0, 101000, text);
    expect(&cursor, &log, "18:02000a6f6e5465787444617461@101000 -");
    cv_stream_log_restart(&log);
    put_hex(&log, CV_MSG_DATA_AMF0, 0, text);
    expect(&cursor, &log, "18:02000a6f6e5465787444617461@101001 -");
    cv_stream_log_done(&log);
}

// ---- memory -----------------------------------------------------------------------------------

static struct cv_block *block_of(const char *hex)
{
    uint8_t bytes[64];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    struct cv_block *block = cv_block_copy(bytes, len);
    assert_non_null(block);
    return block;
}

static const struct {
    uint8_t type;
    const char *hex;
} every_kind[] = {
    {CV_MSG_DATA_AMF0, "02000d40736574446174614672616d65"
                       "02000a6f6e4d65746144617461"
                       "0007"},
    {CV_MSG_VIDEO, "17000000000007"},
    {CV_MSG_AUDIO, "af000007"},
    {CV_MSG_VIDEO, "17010000000007"},
    {CV_MSG_VIDEO, "27010000000007"},
    {CV_MSG_AUDIO, "af010007"},
    {CV_MSG_VIDEO, "17"},
    {CV_MSG_VIDEO, "1702000000"},
    {CV_MSG_DATA_AMF0, "02000a6f6e5465787444617461"},
};

// Fails the append of one message to a full ring, then does it, and compares with a log that has
// never failed: the failure must have left no trace.
static void fail_one(size_t kind, unsigned fill, bool restarted)
{
    struct cv_stream_log logs[2] = {log_new(), log_new()};
    for (int i = 0; i < 2; i++) {
        put_video_header(&logs[i], 0, 1);
        put_key(&logs[i], 1000, 1);
        while (logs[i].head < fill)
            put_audio(&logs[i], 1000, 1);
        if (restarted)
            cv_stream_log_restart(&logs[i]);
    }
    struct cv_block *block = block_of(every_kind[kind].hex);
    struct cv_msg msg = {.type = every_kind[kind].type, .ts_ms = 40, .payload = block};
    cv_mem_fail_nth(1);
    int err = cv_stream_log_append(&logs[0], &msg);
    assert_int_equal(cv_mem_fail_nth(0) == 0 ? CV_E_NOMEM : CV_OK, err);
    if (err != CV_OK) {
        assert_int_equal(logs[0].head, fill);
        assert_int_equal(cv_stream_log_append(&logs[0], &msg), CV_OK);
    }
    assert_int_equal(cv_stream_log_append(&logs[1], &msg), CV_OK);
    // All but what points to memory.
    struct cv_stream_log left = logs[0];
    left.ring = logs[1].ring;
    left.metadata = logs[1].metadata;
    memcpy(left.headers, logs[1].headers, sizeof left.headers);
    assert_memory_equal(&left, &logs[1], offsetof(struct cv_stream_log, headers));
    assert_int_equal(left.header_count, logs[1].header_count);
    assert_int_equal(left.headers_version, logs[1].headers_version);
    assert_int_equal(!logs[0].metadata, !logs[1].metadata);
    assert_int_equal(left.wants_key, logs[1].wants_key);
    assert_int_equal(left.restarted, logs[1].restarted);
    assert_int_equal(left.last_ts_ms, logs[1].last_ts_ms);
    assert_int_equal(left.ts_offset_ms, logs[1].ts_offset_ms);
    assert_int_equal(left.messages, logs[1].messages);
    assert_int_equal(left.dropped, logs[1].dropped);
    cv_block_unref(&block);
    for (int i = 0; i < 2; i++)
        cv_stream_log_done(&logs[i]);
}

static void a_failed_append_leaves_no_trace(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < sizeof every_kind / sizeof every_kind[0]; kind++) {
        for (unsigned fill = 63; fill <= 64; fill++) { // the ring has grown to 64
            fail_one(kind, fill, false);
            fail_one(kind, fill, true);
        }
    }
}

static bool run_all_kinds(void *arg)
{
    (void)arg;
    struct cv_stream_log log = log_new();
    bool all = true;
    for (unsigned i = 0; i < 200; i++) {
        size_t kind = i % (sizeof every_kind / sizeof every_kind[0]);
        all &= put_hex(&log, every_kind[kind].type, i, every_kind[kind].hex) == CV_OK;
    }
    cv_stream_log_done(&log);
    return all;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    fail_nth(run_all_kinds, NULL);
}

static void blocks_are_shared_and_given_back(void **state)
{
    (void)state;
    struct cv_stream_log log = log_new();
    struct cv_block *block = block_of("17000000000007");
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .payload = block};
    assert_int_equal(cv_stream_log_append(&log, &msg), CV_OK);
    assert_int_equal(block->refs, 3); // ours, the entry's, the header's
    assert_int_equal(cv_stream_log_append(&log, &msg), CV_OK);
    assert_int_equal(block->refs, 3);
    cv_stream_log_end(&log);
    assert_int_equal(block->refs, 3); // for those who have not read it yet
    put_audio(&log, 0, 1);
    assert_int_equal(block->refs, 2);
    cv_stream_log_done(&log);
    assert_int_equal(block->refs, 1);
    cv_block_unref(&block);
    cv_stream_log_done(&log); // twice is harmless
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(what_cannot_be_parsed_passes_unharmed),
        cmocka_unit_test(a_repeated_header_is_swallowed_and_a_changed_one_is_not),
        cmocka_unit_test(after_an_end_of_sequence_the_same_header_is_news),
        cmocka_unit_test(headers_are_kept_per_track_and_role),
        cmocka_unit_test(a_header_about_several_tracks_is_kept_for_all_of_them),
        cmocka_unit_test(a_header_that_is_too_long_is_passed_on_but_not_kept),
        cmocka_unit_test(more_tracks_than_slots_pass_on),
        cmocka_unit_test(metadata_is_kept_and_forgotten),
        cmocka_unit_test(bug_10_bytes_are_bounded),
        cmocka_unit_test(bug_10_messages_are_bounded),
        cmocka_unit_test(bug_10_time_is_bounded),
        cmocka_unit_test(the_newest_group_of_pictures_is_kept_longer_but_not_for_ever),
        cmocka_unit_test(headers_of_time_0_before_late_frames_do_not_stop_the_bound),
        cmocka_unit_test(a_new_timeline_goes_behind_the_last),
        cmocka_unit_test(a_timeline_that_goes_on_is_kept),
        cmocka_unit_test(after_a_kept_timeline_nothing_goes_before_the_old_end),
        cmocka_unit_test(metadata_and_headers_of_time_0_do_not_move_the_timeline),
        cmocka_unit_test(a_restart_before_any_frame_changes_nothing),
        cmocka_unit_test(video_before_the_first_key_frame_is_dropped),
        cmocka_unit_test(after_the_end_viewers_wait_and_time_goes_on),
        cmocka_unit_test(bug_09_time_runs_across_every_limit),
        cmocka_unit_test(bug_09_clocks_of_31_bits_run_on),
        cmocka_unit_test(a_stream_of_data_alone_has_a_timeline),
        cmocka_unit_test(a_failed_append_leaves_no_trace),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(blocks_are_shared_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
