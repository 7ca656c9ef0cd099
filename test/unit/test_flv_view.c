// Streams as a player in a page gets them: each rule by its bytes.
#include "harness.h"

#include "base/mem.h"
#include "media/flv_view.h"
#include "media_kit.h"
#include "proto/amf0.h"
#include "proto/flv.h"

static struct cv_msg make(uint8_t type, uint32_t ts_ms, const char *hex)
{
    uint8_t bytes[2048];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .payload = cv_block_copy(bytes, len)};
    assert_non_null(msg.payload);
    return msg;
}

// What the tag carries: prefix and part. Returns its length, or what cv_flv_view_tag returned when
// that is not 1.
static int view_hex(struct cv_flv_view *view, uint8_t type, uint32_t ts_ms, const char *hex,
                    uint8_t out[2048], uint32_t *out_ts_ms)
{
    struct cv_msg msg = make(type, ts_ms, hex);
    struct cv_flv_tag tag;
    int got = cv_flv_view_tag(view, &msg, &tag);
    if (got == 1) {
        assert_int_equal(tag.type, type);
        assert_true(tag.offset + tag.len <= tag.payload->len);
        memcpy(out, tag.prefix, tag.prefix_len);
        memcpy(out + tag.prefix_len, tag.payload->data + tag.offset, tag.len);
        got = (int)(tag.prefix_len + tag.len);
        if (out_ts_ms)
            *out_ts_ms = tag.ts_ms;
        if (type != CV_MSG_DATA_AMF0)
            assert_ptr_equal(tag.payload, msg.payload); // never a copy
        cv_block_unref(&tag.payload);
    }
    cv_block_unref(&msg.payload);
    return got;
}

enum { A = CV_MSG_AUDIO, V = CV_MSG_VIDEO };

#define SAME "same"
#define NO   NULL

// clang-format off
static const struct rule {
    const char *what;
    uint8_t type;
    const char *in;
    const char *out; // SAME: untouched; NO: the viewer does not get it
    bool unsupported;
} rules[] = {
    // ---- legacy
    {"avc header", V, "17 00 000000 0164001f", SAME, 0},
    {"avc key", V, "17 01 000050 00000001 65", SAME, 0},
    {"avc end", V, "17 02 000000", SAME, 0},
    {"avc reserved packet", V, "17 09 000000 aa", NO, 0},
    {"aac header", A, "af 00 1210", SAME, 0},
    {"aac frame", A, "af 01 2110", SAME, 0},
    {"aac mono flags", A, "ae 01 2110", SAME, 0},
    {"mp3", A, "2f fffb90", SAME, 0},
    {"mp3 at 8 kHz is another number", A, "e2 fffb90", "2f fffb90", 0},
    {"hevc as codec 12", V, "1c 01 000028 26", SAME, 0},
    {"av1 as codec 13", V, "1d 01 000000 0a0b", "91 61763031 0a0b", 0},
    {"av1 as codec 13, header", V, "1d 00 000000 8100", "90 61763031 8100", 0},
    {"h263", V, "12 0000", NO, 1},
    {"vp6", V, "24 aa", NO, 1},
    {"undefined codec", V, "11 aa", NO, 1},
    {"speex", A, "b6 aa", NO, 1},
    {"nellymoser", A, "62 aa", NO, 1},
    {"g711", A, "72 aa", NO, 1},
    {"pcm", A, "3f aa", NO, 1},
    // ---- enhanced video
    {"avc1 header", V, "90 61766331 0164001f", "17 00 000000 0164001f", 0},
    {"avc1 frames with composition", V, "91 61766331 000050 00000001 65", "17 01 000050 00000001 65", 0},
    {"avc1 inter", V, "a1 61766331 fffff6 41", "27 01 fffff6 41", 0},
    {"avc1 disposable", V, "b1 61766331 000000 41", "37 01 000000 41", 0},
    {"avc1 frames without", V, "a3 61766331 00000001 41", "27 01 000000 00000001 41", 0},
    {"avc1 end", V, "92 61766331", "17 02 000000", 0},
    {"hvc1 header", V, "90 68766331 01", SAME, 0},
    {"hvc1 frames", V, "91 68766331 000028 26", SAME, 0},
    {"hvc1 frames without", V, "a3 68766331 02", SAME, 0},
    {"hvc1 end", V, "92 68766331", SAME, 0},
    {"hvc1 colour", V, "94 68766331 02", NO, 0},
    {"av01 header", V, "90 61763031 81", SAME, 0},
    {"av01 frames", V, "a1 61763031 12", SAME, 0},
    {"av01 header of MPEG-2 TS", V, "95 61763031 80", NO, 0},
    {"vp09", V, "91 76703039 aa", NO, 1},
    {"vp08", V, "91 76703038 aa", NO, 1},
    {"vvc1", V, "91 76766331 000000 aa", NO, 1},
    {"unknown FourCC", V, "91 41424344 aa", NO, 1},
    {"mp4a in a video message", V, "92 6d703461", NO, 1},
    {"avc1 in an audio message", A, "91 61766331 000000 41", NO, 1},
    {"enhanced command", V, "d0 00", NO, 0},
    {"legacy command", V, "57 00", NO, 0},
    {"empty video", V, "", NO, 0},
    {"reserved packet type", V, "98 68766331 aa", NO, 0},
    // ---- enhanced audio
    {"mp4a header", A, "90 6d703461 1210", "af 00 1210", 0},
    {"mp4a frame", A, "91 6d703461 2110", "af 01 2110", 0},
    {"mp4a end", A, "92 6d703461", NO, 0},
    {"mp4a channels", A, "94 6d703461 01 02 00000003", NO, 0},
    {".mp3 frame", A, "91 2e6d7033 fffb90", "2f fffb90", 0},
    {".mp3 header", A, "90 2e6d7033", NO, 0},
    {".mp3 end", A, "92 2e6d7033", NO, 0},
    {"Opus header", A, "90 4f707573 4f707573", SAME, 0},
    {"Opus frame", A, "91 4f707573 fc", SAME, 0},
    {"Opus end", A, "92 4f707573", SAME, 0},
    {"Opus channels", A, "94 4f707573 01 02 00000003", NO, 0},
    {"fLaC frame", A, "91 664c6143 fff8", SAME, 0},
    {"ac-3", A, "91 61632d33 0b77", NO, 1},
    {"ec-3", A, "91 65632d33 0b77", NO, 1},
    {"empty audio", A, "", NO, 0},
    // ---- multitrack: type<<4 | packet type
    {"avc1, one track 0", V, "96 01 61766331 00 000050 65", "17 01 000050 65", 0},
    {"avc1, one track 1", V, "96 01 61766331 01 000050 65", NO, 0},
    {"hvc1, one track 0", V, "96 01 68766331 00 000050 26", "91 68766331 000050 26", 0},
    {"hvc1, one track 0, no composition", V, "a6 03 68766331 00 02", "a3 68766331 02", 0},
    {"hvc1 header, one track 0", V, "96 00 68766331 00 01", "90 68766331 01", 0},
    {"avc1, many tracks", V, "96 11 61766331 01 000004 000010aa 00 000004 000020bb", "17 01 000020 bb", 0},
    {"many codecs", V, "96 21 76703039 01 000001 aa 68766331 00 000004 000000bb", "91 68766331 000000 bb", 0},
    {"many codecs, vp09 first", V, "96 21 76703039 00 000001 aa 68766331 01 000004 000000bb", NO, 1},
    {"mp4a, many tracks", A, "95 11 6d703461 00 000002 2110 01 000002 3333", "af 01 2110", 0},
    {"Opus, one track 0", A, "95 01 4f707573 00 fc", "91 4f707573 fc", 0},
    {"colour, one track 0", V, "96 04 68766331 00 02", NO, 0},
    // ---- ModEx
    {"avc1 behind ModEx", V, "97 02 000102 01 61766331 000050 65", "17 01 000050 65", 0},
    {"hvc1 behind ModEx", V, "a7 02 000102 01 68766331 000050 26", "a1 68766331 000050 26", 0},
    {"hvc1 header behind ModEx", V, "97 02 000102 00 68766331 01", "90 68766331 01", 0},
    {"Opus behind two ModEx", A, "97 02 000102 07 02 000102 01 4f707573 fc", "91 4f707573 fc", 0},
    {"hvc1 behind ModEx and multitrack", V, "97 02 000102 06 01 68766331 00 000050 26", "91 68766331 000050 26", 0},
    // ---- malformed
    {"avc cut", V, "17 01 00", NO, 0},
    {"FourCC cut", V, "91 617663", NO, 0},
    {"multitrack size past the end", V, "96 11 61766331 00 0000ff 000010aa", NO, 0},
};
// clang-format on

static void each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *rule = &rules[i];
        struct cv_flv_view view = {0};
        uint8_t got[2048];
        uint8_t want[2048];
        int len = view_hex(&view, rule->type, 5, rule->in, got, NULL);
        if (!rule->out) {
            if (len != 0 || view.unsupported != rule->unsupported ||
                view.dropped != !rule->unsupported)
                fail_msg("%s: it got through, or was not counted", rule->what);
            continue;
        }
        bool same = strcmp(rule->out, SAME) == 0;
        size_t want_len = hex_bytes(same ? rule->in : rule->out, want, sizeof want);
        if (len != (int)want_len || memcmp(got, want, want_len) != 0)
            fail_msg("%s: %d bytes, not %zu, or others", rule->what, len, want_len);
        assert_int_equal(view.tags, 1);
    }
}

static void plain_views_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct cv_flv_view view = {.plain = true};
        uint8_t got[2048];
        uint8_t want[2048];
        size_t want_len = hex_bytes(rules[i].in, want, sizeof want);
        struct cv_msg msg = make(rules[i].type, 0, rules[i].in);
        struct cv_flv_tag tag;
        assert_int_equal(cv_flv_view_tag(&view, &msg, &tag), 1);
        assert_int_equal(tag.prefix_len + tag.offset, 0);
        assert_int_equal(tag.len, want_len);
        cv_block_unref(&tag.payload);
        cv_block_unref(&msg.payload);
        (void)got;
    }
}

static void other_messages_are_dropped(void **state)
{
    (void)state;
    static const uint8_t types[] = {1, 4, 15, 16, 17, 20, 22, 99};
    uint8_t out[2048];
    for (size_t i = 0; i < sizeof types; i++) {
        struct cv_flv_view view = {.plain = i % 2};
        assert_int_equal(view_hex(&view, types[i], 0, "17 01 000000", out, NULL), 0);
        assert_int_equal(view.dropped, 1);
    }
}

// ---- time -----------------------------------------------------------------------------------

static void expect_time(struct cv_flv_view *view, uint8_t type, uint32_t ts_ms, uint32_t want_ms)
{
    uint8_t out[2048];
    uint32_t got_ms = 1;
    const char *hex = type == V ? "17 01 000000 65" : type == A ? "af 01 21" : "02 0001 61";
    assert_true(view_hex(view, type, ts_ms, hex, out, &got_ms) > 0);
    assert_int_equal(got_ms, want_ms);
}

static void time_starts_at_zero(void **state)
{
    (void)state;
    struct cv_flv_view view = {0};
    uint8_t out[2048];
    enum { D = CV_MSG_DATA_AMF0 };
    expect_time(&view, D, 0, 0); // metadata: the cursor gives it the time 0
    expect_time(&view, D, 77, 0);
    assert_int_equal(view_hex(&view, V, 1, "12 00", out, NULL), 0); // dropped: does not count
    expect_time(&view, V, 5000000, 0);
    expect_time(&view, A, 4999990, 0); // a little before: clamped
    expect_time(&view, V, 5000040, 40);
    expect_time(&view, D, 5000050, 50);
    expect_time(&view, A, 5000020, 20);
}

static void bug_09_time_runs_on_across_every_limit(void **state)
{
    (void)state;
    struct cv_flv_view view = {0};
    uint32_t ts_ms = 0xffffff00;
    expect_time(&view, V, ts_ms, 0);
    uint64_t elapsed_ms = 0;
    while (elapsed_ms < UINT64_C(10) << 30) {
        elapsed_ms += 0x3fffff01;
        expect_time(&view, V, (uint32_t)(ts_ms + elapsed_ms), (uint32_t)(elapsed_ms & 0x7fffffff));
    }
}

// ---- which tracks ---------------------------------------------------------------------------

static void expect_tracks(const struct cv_stream_log *log, bool plain, bool audio, bool video)
{
    struct cv_flv_view view = cv_flv_view_new(log, plain);
    assert_int_equal(view.has_audio, audio);
    assert_int_equal(view.has_video, video);
}

static void tracks_that_are_there(void **state)
{
    (void)state;
    static const struct {
        const char *audio; // messages, NULL: none
        const char *video;
        bool has_audio;
        bool has_video;
    } cases[] = {
        {NULL, NULL, false, false},
        {"af 00 1210", NULL, true, false},
        {NULL, "17 00 000000 01", false, true},
        {"af 00 1210", "17 00 000000 01", true, true},
        {"2f fffb90", NULL, true, false},                    // no header: the frame tells
        {"72 aa", "17 00 000000 01", false, true},           // G.711
        {"91 61632d33 0b77", "90 68766331 01", false, true}, // AC-3 has no header either
        {"90 4f707573 4f", "90 76703039 01", true, false},   // VP9
        {"95 00 6d703461 01 1210", NULL, false, false},      // another track only
        {"91 6d703461 2110", "96 00 61766331 00 01", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_stream_log log;
        cv_stream_log_init(&log, &roomy);
        if (cases[i].video)
            put_hex(&log, V, 0, cases[i].video);
        if (cases[i].audio)
            put_hex(&log, A, 0, cases[i].audio);
        expect_tracks(&log, false, cases[i].has_audio, cases[i].has_video);
        expect_tracks(&log, true, log.has_audio, log.has_video);
        cv_stream_log_end(&log);
        put_metadata(&log, 0, 1); // of the next publisher
        expect_tracks(&log, false, false, false);
        cv_stream_log_done(&log);
    }
}

// The second track's header, or two seconds of frames without it; wherever a publisher's time
// starts.
static void tracks_are_known_in_time(void **state)
{
    (void)state;
    for (uint32_t base_ms = 0; base_ms <= 4000000000; base_ms += 1000000000) {
        struct cv_stream_log log;
        cv_stream_log_init(&log, &roomy);
        assert_false(cv_flv_tracks_known(&log));
        put_metadata(&log, 0, 1);
        put_video_header(&log, 0, 1);
        put_key(&log, base_ms, 1);
        put_inter(&log, base_ms + CV_FLV_TRACKS_MS - 1, 2);
        assert_false(cv_flv_tracks_known(&log));
        put_inter(&log, base_ms + CV_FLV_TRACKS_MS, 3);
        assert_true(cv_flv_tracks_known(&log));
        cv_stream_log_done(&log);
        cv_stream_log_init(&log, &roomy);
        put_key(&log, base_ms, 1);
        assert_false(cv_flv_tracks_known(&log));
        put_audio_header(&log, base_ms, 1);
        assert_true(cv_flv_tracks_known(&log));
        cv_stream_log_done(&log);
    }
}

// ---- metadata -------------------------------------------------------------------------------

#define ON_METADATA "02 000a 6f6e4d65746144617461 "

static struct cv_amf_doc *view_metadata(struct cv_flv_view *view, const char *hex,
                                        uint8_t out[2048])
{
    int len = view_hex(view, CV_MSG_DATA_AMF0, 0, hex, out, NULL);
    assert_true(len > 0);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_non_null(doc);
    assert_int_equal(cv_amf0_decode(doc, out, (size_t)len, NULL), CV_OK);
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 0)), "onMetaData"));
    assert_int_equal(cv_amf_doc_at(doc, 1)->type, CV_AMF_ECMA_ARRAY);
    assert_null(cv_amf_doc_at(doc, 2));
    return doc;
}

static void expect_flags(const struct cv_amf_doc *doc, bool audio, bool video)
{
    const struct cv_amf *object = cv_amf_doc_at(doc, 1);
    assert_int_equal(cv_amf_get(object, "hasAudio")->type, CV_AMF_BOOLEAN);
    assert_int_equal(cv_amf_boolean(cv_amf_get(object, "hasAudio"), !audio), audio);
    assert_int_equal(cv_amf_boolean(cv_amf_get(object, "hasVideo"), !video), video);
    assert_true(cv_amf_number(cv_amf_get(object, "duration"), -1) == 0);
}

static void metadata_tells_the_truth(void **state)
{
    (void)state;
    // {width: 2, hasAudio: true, duration: 2, keyframes: {times: []}, title: "x"}
    static const char *const forms[] = {
        ON_METADATA "03 0005 7769647468 00 4000000000000000 0008 686173417564696f 01 01"
                    "0008 6475726174696f6e 00 4000000000000000"
                    "0009 6b65796672616d6573 03 0005 74696d6573 0a 00000000 000009"
                    "0005 7469746c65 02 0001 78 000009",
        "02 000d 40736574446174614672616d65" ON_METADATA
        "08 00000063 0005 7769647468 00 4000000000000000 0008 686173417564696f 01 01"
        "0008 66696c6573697a65 00 4000000000000000 0005 7469746c65 02 0001 78", // no end
    };
    for (size_t i = 0; i < 2; i++) {
        struct cv_flv_view view = {.has_video = true};
        uint8_t out[2048];
        struct cv_amf_doc *doc = view_metadata(&view, forms[i], out);
        expect_flags(doc, false, true);
        const struct cv_amf *object = cv_amf_doc_at(doc, 1);
        assert_true(cv_amf_number(cv_amf_get(object, "width"), 0) == 2);
        assert_true(cv_text_is(cv_amf_text(cv_amf_get(object, "title")), "x"));
        assert_null(cv_amf_get(object, "keyframes"));
        assert_null(cv_amf_get(object, "filesize"));
        cv_amf_doc_free(doc);
    }
}

static void metadata_that_makes_no_sense(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        ON_METADATA,
        ON_METADATA "04",
        ON_METADATA "05",
        ON_METADATA "00 4000000000000000",
        ON_METADATA "03 0005 7769647468 00 40",
        ON_METADATA "0a ffffffff",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cv_flv_view view = {.has_audio = true};
        uint8_t out[2048];
        struct cv_amf_doc *doc = view_metadata(&view, wrong[i], out);
        expect_flags(doc, true, false);
        cv_amf_doc_free(doc);
    }
}

// References to one long text, each of which would be written out.
static void bug_03_reference_bombs_in_metadata_are_bounded(void **state)
{
    (void)state;
    enum { TEXT_BYTES = 60000, REFERENCES = 100 };
    static char text[TEXT_BYTES];
    memset(text, 'x', sizeof text);
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    cv_amf0_string(&wr, "onMetaData");
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, "a");
    cv_amf0_strict_array(&wr, 1);
    cv_amf0_text(&wr, (struct cv_text){text, sizeof text});
    for (int i = 0; i < REFERENCES; i++) {
        cv_amf0_key(&wr, "b");
        cv_wr_u8(&wr, 7);
        cv_wr_u16(&wr, 1);
    }
    cv_amf0_end(&wr);
    struct cv_msg msg = {.type = CV_MSG_DATA_AMF0, .payload = cv_wr_take(&wr)};
    assert_non_null(msg.payload);
    struct cv_flv_view view = {0};
    struct cv_flv_tag tag;
    assert_int_equal(cv_flv_view_tag(&view, &msg, &tag), 1);
    assert_true(tag.len < 100);
    cv_block_unref(&tag.payload);
    cv_block_unref(&msg.payload);
}

static void other_data_passes(void **state)
{
    (void)state;
    struct cv_flv_view view = {0};
    uint8_t out[2048];
    assert_int_equal(view_hex(&view, CV_MSG_DATA_AMF0, 0, "02 0003 637565 05", out, NULL), 7);
    assert_int_equal(view_hex(&view, CV_MSG_DATA_AMF0, 0, "ff", out, NULL), 1);
    // @setDataFrame, cue: without the command
    assert_int_equal(view_hex(&view, CV_MSG_DATA_AMF0, 0,
                              "02 000d 40736574446174614672616d65 02 0003 637565 05", out, NULL),
                     7);
    assert_memory_equal(out,
                        "\x02\x00\x03"
                        "cue\x05",
                        7);
    // @clearDataFrame
    assert_int_equal(
        view_hex(&view, CV_MSG_DATA_AMF0, 0, "02 000f 40636c656172446174614672616d65", out, NULL),
        0);
    struct cv_flv_view plain = {.plain = true};
    assert_int_equal(view_hex(&plain, CV_MSG_DATA_AMF0, 0, ON_METADATA "03 000009", out, NULL), 17);
}

// ---- limits ---------------------------------------------------------------------------------

static void tags_have_24_bits(void **state)
{
    (void)state;
    struct cv_msg msg = {.type = V, .payload = cv_block_new(0xffffff + 1)};
    assert_non_null(msg.payload);
    memset(msg.payload->data, 0, 64);
    memcpy(msg.payload->data, "\x91\x61\x76\x63\x31", 5);
    for (int plain = 0; plain < 2; plain++) {
        struct cv_flv_view view = {.plain = plain};
        struct cv_flv_tag tag;
        msg.payload->len = 0xffffff + 1;
        assert_int_equal(cv_flv_view_tag(&view, &msg, &tag), 0);
        assert_int_equal(view.dropped, 1);
        msg.payload->len = 0xffffff - CV_FLV_PREFIX_MAX;
        assert_int_equal(cv_flv_view_tag(&view, &msg, &tag), 1);
        cv_block_unref(&tag.payload);
    }
    cv_block_unref(&msg.payload);
}

static bool view_with_little_memory(void *arg)
{
    struct cv_msg *msg = arg;
    struct cv_flv_view view = {0};
    struct cv_flv_tag tag = {.len = 7};
    int got = cv_flv_view_tag(&view, msg, &tag);
    if (got != 1) {
        assert_int_equal(got, CV_E_NOMEM);
        assert_int_equal(tag.len, 7); // untouched
        return false;
    }
    cv_block_unref(&tag.payload);
    return true;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    struct cv_msg msg =
        make(CV_MSG_DATA_AMF0, 0, ON_METADATA "03 0005 7769647468 00 4000000000000000 000009");
    fail_nth(view_with_little_memory, &msg);
    cv_block_unref(&msg.payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(tracks_are_known_in_time),
        cmocka_unit_test(plain_views_change_nothing),
        cmocka_unit_test(other_messages_are_dropped),
        cmocka_unit_test(time_starts_at_zero),
        cmocka_unit_test(bug_09_time_runs_on_across_every_limit),
        cmocka_unit_test(tracks_that_are_there),
        cmocka_unit_test(metadata_tells_the_truth),
        cmocka_unit_test(metadata_that_makes_no_sense),
        cmocka_unit_test(bug_03_reference_bombs_in_metadata_are_bounded),
        cmocka_unit_test(other_data_passes),
        cmocka_unit_test(tags_have_24_bits),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
