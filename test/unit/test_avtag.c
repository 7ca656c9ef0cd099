// Headers of audio and video messages: legacy, every enhanced codec, multitrack, ModEx.
#include "harness.h"

#include "media/avtag.h"
#include "media/codec.h"

enum { VIDEO = 1, AUDIO = 0 };

// One message with one track at most, and all that must come out.
struct vector {
    const char *what;
    const char *hex;
    bool video;
    enum cv_av_role role;
    uint32_t fourcc;
    bool key;
    bool disposable;
    bool enhanced;
    uint8_t track;
    int32_t composition_ms;
    uint32_t body_offset;
    uint32_t body_len;
};

#define AVC             CV_FOURCC_AVC
#define HEVC            CV_FOURCC_HEVC
#define AV1             CV_FOURCC_AV1
#define ID(n)           .track = (n)
#define CTS(n)          .composition_ms = (n)
#define KEY             .key = true
#define ENH             .enhanced = true
#define AT(offset, len) .body_offset = (offset), .body_len = (len)

// clang-format off
static const struct vector vectors[] = {
    // ---- legacy video
    {"avc header", "17 00 000000 0164001f", VIDEO, CV_AV_CONFIG, AVC, AT(5, 4)},
    {"avc header, inter bits", "27 00 000000 01", VIDEO, CV_AV_CONFIG, AVC, AT(5, 1)},
    {"avc key", "17 01 000050 00000001 65", VIDEO, CV_AV_FRAME, AVC, KEY, CTS(80), AT(5, 5)},
    {"avc inter, negative time", "27 01 fffff6 41", VIDEO, CV_AV_FRAME, AVC, CTS(-10), AT(5, 1)},
    {"avc lowest time", "27 01 800000", VIDEO, CV_AV_FRAME, AVC, CTS(-8388608), AT(5, 0)},
    {"avc disposable", "37 01 000000 01", VIDEO, CV_AV_FRAME, AVC, .disposable = true, AT(5, 1)},
    {"avc generated key", "47 01 000000 65", VIDEO, CV_AV_FRAME, AVC, KEY, AT(5, 1)},
    {"avc end", "17 02 000000", VIDEO, CV_AV_END, AVC, AT(2, 3)},
    {"avc end, short", "17 02", VIDEO, CV_AV_END, AVC, AT(2, 0)},
    {"avc reserved packet type", "17 09 000000 aa", VIDEO, CV_AV_OTHER, AVC, AT(5, 1)},
    {"hevc 12 header", "1c 00 000000 01", VIDEO, CV_AV_CONFIG, HEVC, AT(5, 1)},
    {"hevc 12 key", "1c 01 000028 26", VIDEO, CV_AV_FRAME, HEVC, KEY, CTS(40), AT(5, 1)},
    {"av1 13 header", "1d 00 000000 81", VIDEO, CV_AV_CONFIG, AV1, AT(5, 1)},
    {"av1 13 inter", "2d 01 000000 12", VIDEO, CV_AV_FRAME, AV1, AT(5, 1)},
    {"h263 key", "12 0000", VIDEO, CV_AV_FRAME, CV_FOURCC_H263, KEY, AT(1, 2)},
    {"screen key", "13 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_SCREEN, KEY, AT(1, 1)},
    {"vp6 inter", "24 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_VP6, AT(1, 1)},
    {"vp6a key", "15 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_VP6A, KEY, AT(1, 1)},
    {"screen2 key", "16 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_SCREEN2, KEY, AT(1, 1)},
    {"jpeg, undefined", "11 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_NONE, KEY, AT(1, 1)},
    {"reserved frame type", "07 01 000000 aa", VIDEO, CV_AV_FRAME, AVC, AT(5, 1)},
    // ---- legacy audio
    {"aac header", "af 00 1210", AUDIO, CV_AV_CONFIG, CV_FOURCC_AAC, AT(2, 2)},
    {"aac frame", "af 01 21104f", AUDIO, CV_AV_FRAME, CV_FOURCC_AAC, AT(2, 3)},
    {"aac frame, empty", "af 01", AUDIO, CV_AV_FRAME, CV_FOURCC_AAC, AT(2, 0)},
    {"aac reserved", "af 07 aa", AUDIO, CV_AV_OTHER, CV_FOURCC_AAC, AT(2, 1)},
    {"pcm", "0e aabb", AUDIO, CV_AV_FRAME, CV_FOURCC_PCM, AT(1, 2)},
    {"adpcm", "1e aabb", AUDIO, CV_AV_FRAME, CV_FOURCC_ADPCM, AT(1, 2)},
    {"mp3", "2f fffb", AUDIO, CV_AV_FRAME, CV_FOURCC_MP3, AT(1, 2)},
    {"pcm le", "3f aabb", AUDIO, CV_AV_FRAME, CV_FOURCC_PCM_LE, AT(1, 2)},
    {"nellymoser 16k", "42 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_NELLYMOSER, AT(1, 1)},
    {"nellymoser 8k", "52 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_NELLYMOSER, AT(1, 1)},
    {"nellymoser", "62 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_NELLYMOSER, AT(1, 1)},
    {"a-law", "72 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_ALAW, AT(1, 1)},
    {"mu-law", "82 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_ULAW, AT(1, 1)},
    {"speex", "b2 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_SPEEX, AT(1, 1)},
    {"mp3 8k", "e2 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_MP3, AT(1, 1)},
    {"device", "f2 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_DEVICE, AT(1, 1)},
    {"undefined format", "c2 aa", AUDIO, CV_AV_FRAME, CV_FOURCC_NONE, AT(1, 1)},
    // ---- enhanced video
    {"avc1 start", "90 61766331 01", VIDEO, CV_AV_CONFIG, AVC, ENH, AT(5, 1)},
    {"avc1 key", "91 61766331 000021 aa", VIDEO, CV_AV_FRAME, AVC, ENH, KEY, CTS(33), AT(8, 1)},
    {"hvc1 start", "90 68766331 01", VIDEO, CV_AV_CONFIG, HEVC, ENH, AT(5, 1)},
    {"hvc1 inter", "a1 68766331 ffffff aa", VIDEO, CV_AV_FRAME, HEVC, ENH, CTS(-1), AT(8, 1)},
    {"hvc1 key x", "93 68766331 aa", VIDEO, CV_AV_FRAME, HEVC, ENH, KEY, AT(5, 1)},
    {"hvc1 end", "92 68766331", VIDEO, CV_AV_END, HEVC, ENH, AT(5, 0)},
    {"vvc1 key", "91 76766331 000001", VIDEO, CV_AV_FRAME, CV_FOURCC_VVC, ENH, KEY, CTS(1),
     AT(8, 0)},
    {"av01 start", "90 61763031 81", VIDEO, CV_AV_CONFIG, AV1, ENH, AT(5, 1)},
    {"av01 key has no time", "91 61763031 120a", VIDEO, CV_AV_FRAME, AV1, ENH, KEY, AT(5, 2)},
    {"av01 ts start", "95 61763031 80", VIDEO, CV_AV_CONFIG, AV1, ENH, AT(5, 1)},
    {"vp08 disposable", "b1 76703038 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_VP8, ENH,
     .disposable = true, AT(5, 1)},
    {"vp09 generated key", "c1 76703039 aa", VIDEO, CV_AV_FRAME, CV_FOURCC_VP9, ENH, KEY,
     AT(5, 1)},
    {"color, frame type 0", "84 68766331 02", VIDEO, CV_AV_COLOR, HEVC, ENH, AT(5, 1)},
    {"color, frame type 1", "94 61763031 02", VIDEO, CV_AV_COLOR, AV1, ENH, AT(5, 1)},
    {"color, frame type 5", "d4 61763031 02", VIDEO, CV_AV_COLOR, AV1, ENH, AT(5, 1)},
    {"unknown codec, start", "90 7a7a7a7a 01", VIDEO, CV_AV_CONFIG, 0x7a7a7a7a, ENH, AT(5, 1)},
    {"unknown codec, key", "91 7a7a7a7a 01", VIDEO, CV_AV_FRAME, 0x7a7a7a7a, ENH, KEY, AT(5, 1)},
    {"reserved packet type", "98 61766331 01", VIDEO, CV_AV_OTHER, AVC, ENH, AT(5, 1)},
    // ---- enhanced audio
    {"mp4a start", "90 6d703461 1210", AUDIO, CV_AV_CONFIG, CV_FOURCC_AAC, ENH, AT(5, 2)},
    {"mp4a frame", "91 6d703461 21", AUDIO, CV_AV_FRAME, CV_FOURCC_AAC, ENH, AT(5, 1)},
    {"Opus start, empty", "90 4f707573", AUDIO, CV_AV_CONFIG, CV_FOURCC_OPUS, ENH, AT(5, 0)},
    {"Opus frame", "91 4f707573 fc", AUDIO, CV_AV_FRAME, CV_FOURCC_OPUS, ENH, AT(5, 1)},
    {"Opus channels", "94 4f707573 0102 00000003", AUDIO, CV_AV_CHANNELS, CV_FOURCC_OPUS, ENH,
     AT(5, 6)},
    {"fLaC start", "90 664c6143 66", AUDIO, CV_AV_CONFIG, CV_FOURCC_FLAC, ENH, AT(5, 1)},
    {"mp3 frame", "91 2e6d7033 ff", AUDIO, CV_AV_FRAME, CV_FOURCC_MP3, ENH, AT(5, 1)},
    {"ac-3 frame", "91 61632d33 0b77", AUDIO, CV_AV_FRAME, CV_FOURCC_AC3, ENH, AT(5, 2)},
    {"ec-3 end", "92 65632d33", AUDIO, CV_AV_END, CV_FOURCC_EAC3, ENH, AT(5, 0)},
    {"reserved 3", "93 4f707573", AUDIO, CV_AV_OTHER, CV_FOURCC_OPUS, ENH, AT(5, 0)},
    {"reserved 6", "96 4f707573", AUDIO, CV_AV_OTHER, CV_FOURCC_OPUS, ENH, AT(5, 0)},
    // ---- one track of many (OBS, FFmpeg 8)
    {"track 1 avc1 start", "96 00 61766331 01 01", VIDEO, CV_AV_CONFIG, AVC, ENH, ID(1),
     AT(7, 1)},
    {"track 2 avc1 key", "96 01 61766331 02 000005 aa", VIDEO, CV_AV_FRAME, AVC, ENH, KEY, ID(2),
     CTS(5), AT(10, 1)},
    {"track 3 hvc1 inter x", "a6 03 68766331 03 aa", VIDEO, CV_AV_FRAME, HEVC, ENH, ID(3),
     AT(7, 1)},
    {"track 1 color", "86 04 68766331 01 02", VIDEO, CV_AV_COLOR, HEVC, ENH, ID(1), AT(7, 1)},
    {"track 1 mp4a start", "95 00 6d703461 01 1210", AUDIO, CV_AV_CONFIG, CV_FOURCC_AAC, ENH,
     ID(1), AT(7, 2)},
    {"track 255 Opus frame", "95 01 4f707573 ff", AUDIO, CV_AV_FRAME, CV_FOURCC_OPUS, ENH,
     ID(255), AT(7, 0)},
    {"audio's 6 is reserved, not multitrack", "96 00000000 01", AUDIO, CV_AV_OTHER, 0, ENH,
     AT(5, 1)},
};
// clang-format on

static struct cv_avtag parsed(const char *hex, bool video)
{
    uint8_t bytes[2048];
    struct guard guard = guard_copy(bytes, hex_bytes(hex, bytes, sizeof bytes));
    struct cv_avtag tag;
    struct cv_why why = {0};
    int err = cv_avtag_parse(&tag, video, guard.data, guard.len, &why);
    if (err != CV_OK)
        fail_msg("%s: %s", hex, why.text);
    guard_free(&guard);
    return tag;
}

static bool header_is(const struct cv_avtag *tag, const struct vector *v)
{
    return tag->video == v->video && tag->role == v->role && tag->key == v->key &&
           tag->disposable == v->disposable && tag->enhanced == v->enhanced &&
           tag->nano_offset_ns == 0 && tag->track_count == 1;
}

static bool track_is(const struct cv_avtag_track *track, const struct vector *v)
{
    return track->fourcc == v->fourcc && track->id == v->track &&
           track->composition_ms == v->composition_ms && track->body_offset == v->body_offset &&
           track->body_len == v->body_len;
}

static void each_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct cv_avtag tag = parsed(vectors[i].hex, vectors[i].video);
        if (!header_is(&tag, &vectors[i]) || !track_is(&tag.tracks[0], &vectors[i]))
            fail_msg("%s", vectors[i].what);
    }
}

static bool errors_are_proper(const struct cv_why *why, int err)
{
    return why->code == err && why->text[0] &&
           (err == CV_E_TRUNCATED || err == CV_E_SYNTAX || err == CV_E_TOO_MANY);
}

// Each vector cut at each length, before an unreadable page: an error with a reason and an
// untouched result, or a sane message.
static void each_vector_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t bytes[256];
        size_t len = hex_bytes(vectors[i].hex, bytes, sizeof bytes);
        for (size_t cut = 0; cut < len; cut++) {
            struct guard guard = guard_copy(bytes, cut);
            struct cv_avtag tag = {.track_count = 77};
            struct cv_why why = {0};
            int err = cv_avtag_parse(&tag, vectors[i].video, guard.data, guard.len, &why);
            if (err != CV_OK)
                assert_true(errors_are_proper(&why, err) && tag.track_count == 77);
            else if (tag.role != CV_AV_EMPTY)
                assert_int_equal(tag.tracks[0].body_offset + tag.tracks[0].body_len, cut);
            if (cut && cut < vectors[i].body_offset && tag.role != CV_AV_END)
                assert_int_equal(err, CV_E_TRUNCATED);
            guard_free(&guard);
        }
    }
}

static void empty_message_is_silence(void **state)
{
    (void)state;
    struct cv_avtag tag;
    assert_int_equal(cv_avtag_parse(&tag, false, NULL, 0, NULL), CV_OK);
    assert_int_equal(tag.role, CV_AV_EMPTY);
    assert_int_equal(tag.track_count, 0);
    assert_int_equal(cv_avtag_parse(&tag, true, NULL, 0, NULL), CV_OK);
    assert_int_equal(tag.role, CV_AV_EMPTY);
    assert_false(tag.key);
}

static void command_frames_have_no_codec(void **state)
{
    (void)state;
    static const char *const starts[] = {"57 00", "52 00", "d0 00", "d1 00", "d6 00"};
    static const char *const ends[] = {"57 01", "5c 01", "d0 01", "d3 01 ffff", "d7 00 aa 11 01"};
    for (size_t i = 0; i < 5; i++) {
        struct cv_avtag tag = parsed(starts[i], true);
        assert_int_equal(tag.role, CV_AV_COMMAND);
        assert_int_equal(tag.command, 0);
        tag = parsed(ends[i], true);
        assert_int_equal(tag.role, CV_AV_COMMAND);
        assert_int_equal(tag.command, 1);
        assert_int_equal(tag.track_count, 0);
        assert_false(tag.key || cv_avtag_is_header(&tag) || cv_avtag_starts_gop(&tag));
    }
}

static void many_tracks_share_a_codec(void **state)
{
    (void)state;
    struct cv_avtag tag = parsed("96 11 68766331 00 000004 00000a aa  02 000005 fffffe bbcc", true);
    assert_true(tag.multitrack && tag.key && tag.role == CV_AV_FRAME);
    assert_int_equal(tag.track_count, 2);
    assert_int_equal(tag.tracks[0].fourcc, CV_FOURCC_HEVC);
    assert_int_equal(tag.tracks[0].composition_ms, 10);
    assert_int_equal(tag.tracks[0].body_offset, 13);
    assert_int_equal(tag.tracks[0].body_len, 1);
    assert_int_equal(tag.tracks[1].fourcc, CV_FOURCC_HEVC);
    assert_int_equal(tag.tracks[1].id, 2);
    assert_int_equal(tag.tracks[1].composition_ms, -2);
    assert_int_equal(tag.tracks[1].body_offset, 21);
    assert_int_equal(tag.tracks[1].body_len, 2);
    assert_ptr_equal(cv_avtag_find(&tag, 2), &tag.tracks[1]);
    assert_null(cv_avtag_find(&tag, 1));
    assert_true(cv_avtag_starts_gop(&tag));
}

static void many_tracks_with_many_codecs(void **state)
{
    (void)state;
    struct cv_avtag tag =
        parsed("95 20 6d703461 00 000002 1210  4f707573 01 000000  7a7a7a7a 09 000001 ff", false);
    assert_int_equal(tag.role, CV_AV_CONFIG);
    assert_true(cv_avtag_is_header(&tag));
    assert_int_equal(tag.track_count, 3);
    assert_int_equal(tag.tracks[0].fourcc, CV_FOURCC_AAC);
    assert_int_equal(tag.tracks[0].body_len, 2);
    assert_int_equal(tag.tracks[1].fourcc, CV_FOURCC_OPUS);
    assert_int_equal(tag.tracks[1].id, 1);
    assert_int_equal(tag.tracks[1].body_len, 0);
    assert_int_equal(tag.tracks[2].fourcc, 0x7a7a7a7a);
    assert_int_equal(tag.tracks[2].id, 9);
    assert_int_equal(tag.tracks[2].body_offset, 28);
}

static void key_of_another_track_starts_no_gop(void **state)
{
    (void)state;
    struct cv_avtag tag = parsed("96 01 61766331 02 000005 aa", true);
    assert_true(tag.key);
    assert_false(cv_avtag_starts_gop(&tag));
    tag = parsed("17 00 000000 01", true);
    assert_false(cv_avtag_starts_gop(&tag));
    tag = parsed("17 01 000000 65", true);
    assert_true(cv_avtag_starts_gop(&tag));
}

static void modex_before_the_packet(void **state)
{
    (void)state;
    struct cv_avtag tag = parsed("97 02 0f423f 01 61766331 000000 aa", true);
    assert_int_equal(tag.nano_offset_ns, 999999);
    assert_true(tag.key && tag.role == CV_AV_FRAME);
    assert_int_equal(tag.tracks[0].body_offset, 13);
    // an unknown kind is skipped, a second one follows; the data may be longer than the offset
    tag = parsed("97 00 ff 17 03 000007 99 00 6d703461 1210", false);
    assert_int_equal(tag.nano_offset_ns, 7);
    assert_int_equal(tag.role, CV_AV_CONFIG);
    assert_int_equal(tag.tracks[0].body_offset, 14);
    // then multitrack
    tag = parsed("97 02 000001 06 00 61766331 03 01", true);
    assert_true(tag.multitrack && tag.nano_offset_ns == 1 && tag.role == CV_AV_CONFIG);
    assert_int_equal(tag.tracks[0].id, 3);
}

static void modex_of_256_bytes_and_more(void **state)
{
    (void)state;
    for (size_t size = 254; size <= 300; size++) {
        uint8_t bytes[400] = {0xa7};
        size_t at = 1;
        bytes[at++] = (uint8_t)(size < 256 ? size - 1 : 255);
        if (size >= 256) {
            bytes[at++] = (uint8_t)((size - 1) >> 8);
            bytes[at++] = (uint8_t)(size - 1);
        }
        bytes[at + 2] = 5;
        at += size;
        bytes[at++] = 0x03;
        at += hex_bytes("68766331 aabbcc", bytes + at, sizeof bytes - at);
        for (size_t cut = 1; cut < at; cut++) {
            struct guard guard = guard_copy(bytes, cut);
            struct cv_avtag tag;
            int err = cv_avtag_parse(&tag, true, guard.data, guard.len, NULL);
            assert_int_equal(err, cut < at - 3 ? CV_E_TRUNCATED : CV_OK);
            guard_free(&guard);
        }
        struct cv_avtag tag;
        assert_int_equal(cv_avtag_parse(&tag, true, bytes, at, NULL), CV_OK);
        assert_int_equal(tag.nano_offset_ns, 5);
        assert_int_equal(tag.tracks[0].fourcc, CV_FOURCC_HEVC);
        assert_int_equal(tag.tracks[0].body_len, 3);
    }
}

static void bug_05_lengths_inside_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool video;
        int err;
    } bad[] = {
        {"17", VIDEO, CV_E_TRUNCATED},
        {"1701 0000", VIDEO, CV_E_TRUNCATED},
        {"af", AUDIO, CV_E_TRUNCATED},
        {"57", VIDEO, CV_E_TRUNCATED},
        {"d1", VIDEO, CV_E_TRUNCATED},
        {"91 617663", VIDEO, CV_E_TRUNCATED},
        {"91 61766331 0000", VIDEO, CV_E_TRUNCATED},
        {"96", VIDEO, CV_E_TRUNCATED},
        {"96 00 61766331", VIDEO, CV_E_TRUNCATED},
        {"96 10 61766331", VIDEO, CV_E_TRUNCATED},
        {"96 10 61766331 00 ffffff 01", VIDEO, CV_E_TRUNCATED},
        {"96 10 61766331 00 000002 01", VIDEO, CV_E_TRUNCATED},
        {"96 11 61766331 00 000002 0102", VIDEO, CV_E_TRUNCATED}, // no room for its time
        {"96 10 61766331 00 000001 01 05", VIDEO, CV_E_TRUNCATED},
        {"95 20 6d703461 00 000000 6d7034", AUDIO, CV_E_TRUNCATED},
        {"96 06 61766331 00", VIDEO, CV_E_SYNTAX}, // multitrack in multitrack
        {"96 07 61766331 00", VIDEO, CV_E_SYNTAX}, // ModEx in multitrack
        {"96 30 61766331 00", VIDEO, CV_E_SYNTAX},
        {"95 05 6d703461 00", AUDIO, CV_E_SYNTAX},
        {"97", VIDEO, CV_E_TRUNCATED},
        {"97 ff", VIDEO, CV_E_TRUNCATED},
        {"97 ff ffff 00", VIDEO, CV_E_TRUNCATED},
        {"97 02 000001", VIDEO, CV_E_TRUNCATED},
        {"97 01 0000 00 61766331", VIDEO, CV_E_SYNTAX},   // too short for an offset
        {"97 02 0f4240 00 61766331", VIDEO, CV_E_SYNTAX}, // 1000000 ns
        {"97 00aa17 00aa17 00aa17 00aa17 00aa17 00aa17 00aa17 00aa17 00aa10 61766331", VIDEO,
         CV_E_TOO_MANY},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[256];
        struct guard guard = guard_copy(bytes, hex_bytes(bad[i].hex, bytes, sizeof bytes));
        struct cv_avtag tag = {.track_count = 77};
        struct cv_why why = {0};
        int err = cv_avtag_parse(&tag, bad[i].video, guard.data, guard.len, &why);
        if (err != bad[i].err)
            fail_msg("%s: %d", bad[i].hex, err);
        assert_true(errors_are_proper(&why, bad[i].err));
        assert_int_equal(tag.track_count, 77);
        guard_free(&guard);
    }
}

static void tracks_of_a_message_have_a_cap(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t at = hex_bytes("95 11 4f707573", bytes, sizeof bytes);
    for (uint8_t id = 0; id <= CV_LIMIT_MESSAGE_TRACKS; id++)
        at += hex_bytes("05 000001 aa", bytes + at, sizeof bytes - at);
    struct cv_avtag tag;
    assert_int_equal(cv_avtag_parse(&tag, false, bytes, at - 5, NULL), CV_OK);
    assert_int_equal(tag.track_count, CV_LIMIT_MESSAGE_TRACKS);
    struct cv_why why = {0};
    assert_int_equal(cv_avtag_parse(&tag, false, bytes, at, &why), CV_E_TOO_MANY);
    assert_ptr_equal(cv_avtag_find(&tag, 5), &tag.tracks[0]);
}

static void codecs_have_names(void **state)
{
    (void)state;
    assert_string_equal(cv_codec_name(CV_FOURCC_AVC), "h264");
    assert_string_equal(cv_codec_name(CV_FOURCC_EAC3), "eac3");
    assert_string_equal(cv_codec_name(0x12345678), "unknown");
    for (enum cv_av_role role = CV_AV_OTHER; role <= CV_AV_EMPTY; role++)
        assert_true(strlen(cv_av_role_name(role)) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vector),
        cmocka_unit_test(each_vector_cut_anywhere),
        cmocka_unit_test(empty_message_is_silence),
        cmocka_unit_test(command_frames_have_no_codec),
        cmocka_unit_test(many_tracks_share_a_codec),
        cmocka_unit_test(many_tracks_with_many_codecs),
        cmocka_unit_test(key_of_another_track_starts_no_gop),
        cmocka_unit_test(modex_before_the_packet),
        cmocka_unit_test(modex_of_256_bytes_and_more),
        cmocka_unit_test(bug_05_lengths_inside_are_checked),
        cmocka_unit_test(tracks_of_a_message_have_a_cap),
        cmocka_unit_test(codecs_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
