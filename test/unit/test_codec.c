// Codec configurations: real ones, hand-made odd ones, and broken ones.
#include "harness.h"

#include "base/limits.h"
#include "media/bits.h"
#include "media/codec.h"
#include "media/sps.h"

// Made by libx264, libx265 and libaom through FFmpeg.
static const struct {
    const char *what;
    uint32_t fourcc;
    const char *hex;
    struct cv_video_config config;
} videos[] = {
    {"avc 1080p baseline",
     CV_FOURCC_AVC,
     "0142c028ffe100196742c028da01e0089f97011000000300100000030320f1832a01000568ce0197"
     "20",
     {.profile = 66, .level = 40, .nalu_length_bytes = 4, .width = 1920, .height = 1080}},
    {"avc 180p high",
     CV_FOURCC_AVC,
     "0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000668ebe0"
     "652c8bfdf8f800",
     {.profile = 100, .level = 12, .nalu_length_bytes = 4, .width = 320, .height = 180}},
    {"avc interlaced 422",
     CV_FOURCC_AVC,
     "017a0015ffe10019677a0015bcd941533c44d8088000000300800000190f8a14cb01000668fba065"
     "2c8bfef8f800",
     {.profile = 122, .level = 21, .nalu_length_bytes = 4, .width = 322, .height = 182}},
    {"hevc main",
     CV_FOURCC_HEVC,
     "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff016000000300"
     "90000003000003003c959809a10001002b42010101600000030090000003000003003ca00a080b9f"
     "796566924caf016808000003000800000300c840a2000100074401c172b46240",
     {.profile = 1, .level = 60, .nalu_length_bytes = 4, .width = 320, .height = 180}},
    {"hevc 444 10 bit",
     CV_FOURCC_HEVC,
     "0104080000009c080000000078f000fcfffafa00000f03a00001001740010c01ffff040800000300"
     "9c08000003000078959809a10001002b4201010408000003009c0800000300007890007890021ce7"
     "b6cb2b349265780b4040000003004000000642a2000100084401c172860c4624",
     {.profile = 4, .level = 120, .nalu_length_bytes = 4, .width = 1922, .height = 1078}},
    {"av1", CV_FOURCC_AV1, "81000c000a0b000000043cfeccdaf90040", {.profile = 0, .level = 0}},
    {"av1 professional 4.0", CV_FOURCC_AV1, "81480c00", {.profile = 2, .level = 8}},
    {"vp9 is not read", CV_FOURCC_VP9, "ff", {.width = 0}},
    {"avc with three SPS: the first good one counts",
     CV_FOURCC_AVC,
     "0142c028ff e3 0002 6742 0019 6742c028da01e0089f97011000000300100000030320f1832a"
     "001a 6764000cacd941419f9f011000000300100000030320f1429960 01 0001 68",
     {66, 40, 4, 1920, 1080}},
    {"avc without SPS", CV_FOURCC_AVC, "01640028fe e0 00", {100, 40, 3, 0, 0}},
    {"avc with a broken SPS", CV_FOURCC_AVC, "01640028ff e1 0002 6764 00", {100, 40, 4, 0, 0}},
};

static struct cv_video_config video_of(uint32_t fourcc, const char *hex)
{
    uint8_t bytes[512];
    struct guard guard = guard_copy(bytes, hex_bytes(hex, bytes, sizeof bytes));
    struct cv_video_config config;
    assert_int_equal(cv_video_config_parse(&config, fourcc, guard.data, guard.len, NULL), CV_OK);
    guard_free(&guard);
    return config;
}

static void video_configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof videos / sizeof videos[0]; i++) {
        struct cv_video_config got = video_of(videos[i].fourcc, videos[i].hex);
        const struct cv_video_config *want = &videos[i].config;
        if (got.profile != want->profile || got.level != want->level ||
            got.nalu_length_bytes != want->nalu_length_bytes || got.width != want->width ||
            got.height != want->height)
            fail_msg("%s: %u %u %u %ux%u", videos[i].what, got.profile, got.level,
                     got.nalu_length_bytes, got.width, got.height);
    }
}

static const struct {
    const char *what;
    uint32_t fourcc;
    const char *hex;
    struct cv_audio_config config;
} audios[] = {
    {"aac lc 44.1 stereo", CV_FOURCC_AAC, "1210", {2, 44100, 2}},
    {"aac lc, ffmpeg", CV_FOURCC_AAC, "119056e500", {2, 48000, 2}},
    {"aac lc mono", CV_FOURCC_AAC, "120856e500", {2, 44100, 1}},
    {"aac 7.1", CV_FOURCC_AAC, "11b8", {2, 48000, 8}},
    {"aac, layout in the stream", CV_FOURCC_AAC, "1180", {2, 48000, 0}},
    {"aac he 24 -> 48", CV_FOURCC_AAC, "2b118800", {5, 48000, 2}},
    {"aac ps 22.05 -> 44.1", CV_FOURCC_AAC, "eb8a0800", {29, 44100, 1}},
    {"aac explicit rate", CV_FOURCC_AAC, "17802ee010", {2, 24000, 2}},
    {"usac", CV_FOURCC_AAC, "f94640", {42, 48000, 2}},
    {"opus", CV_FOURCC_OPUS, "4f70757348656164 01 02 3801 80bb0000 0000 00", {0, 48000, 2}},
    {"opus, nothing said", CV_FOURCC_OPUS, "", {0, 48000, 0}},
    {"flac",
     CV_FOURCC_FLAC,
     "664c6143 00000022 1200 1200 0004d2 0004d2 0ac442f0 0000113a a7e129326b5bc5ac89a7bee277e87424",
     {0, 44100, 2}},
    {"mp3 has none", CV_FOURCC_MP3, "ff", {0, 0, 0}},
};

static void audio_configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof audios / sizeof audios[0]; i++) {
        uint8_t bytes[128];
        struct guard guard = guard_copy(bytes, hex_bytes(audios[i].hex, bytes, sizeof bytes));
        struct cv_audio_config got;
        struct cv_why why = {0};
        int err = cv_audio_config_parse(&got, audios[i].fourcc, guard.data, guard.len, &why);
        const struct cv_audio_config *want = &audios[i].config;
        if (err != CV_OK || got.object_type != want->object_type ||
            got.sample_rate_hz != want->sample_rate_hz || got.channels != want->channels)
            fail_msg("%s: %s %u %u %u", audios[i].what, why.text, got.object_type,
                     got.sample_rate_hz, got.channels);
        guard_free(&guard);
    }
}

static void bug_28_configurations_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof videos / sizeof videos[0]; i++) {
        uint8_t bytes[512];
        size_t len = hex_bytes(videos[i].hex, bytes, sizeof bytes);
        for (size_t cut = 0; cut < len; cut++) {
            struct guard guard = guard_copy(bytes, cut);
            struct cv_video_config config = {.level = 77};
            struct cv_why why = {0};
            uint32_t fourcc = videos[i].fourcc;
            int err = cv_video_config_parse(&config, fourcc, guard.data, guard.len, &why);
            // the four bytes behind the PPS of high profiles are not needed
            bool high = fourcc == CV_FOURCC_AVC && bytes[1] >= 100 && len > 20;
            bool full = fourcc == CV_FOURCC_VP9 || (fourcc == CV_FOURCC_AV1 && cut >= 4) ||
                        (high && cut + 4 >= len);
            assert_int_equal(err, full ? CV_OK : CV_E_TRUNCATED);
            assert_int_equal(why.code, err);
            assert_true(full || config.level == 77);
            guard_free(&guard);
        }
    }
}

static void bug_28_broken_configurations(void **state)
{
    (void)state;
    static const struct {
        uint32_t fourcc;
        const char *hex;
        bool audio;
        int err;
    } bad[] = {
        {CV_FOURCC_AVC, "00000001 6764001f", false, CV_E_SYNTAX}, // start codes
        {CV_FOURCC_AVC, "01640028ff ff ffff 67", false, CV_E_TRUNCATED},
        {CV_FOURCC_AVC, "01640028ff e1 0001 67", false, CV_E_TRUNCATED}, // no count of PPS
        {CV_FOURCC_HEVC, "02", false, CV_E_SYNTAX},
        {CV_FOURCC_HEVC, "01 0000000000000000000000000000000000000000 03 01 a1 ffff", false,
         CV_E_TRUNCATED},
        {CV_FOURCC_AV1, "0a0b0000", false, CV_E_SYNTAX},
        {CV_FOURCC_AAC, "", true, CV_E_TRUNCATED},
        {CV_FOURCC_AAC, "12", true, CV_E_TRUNCATED},
        {CV_FOURCC_AAC, "0210", true, CV_E_SYNTAX}, // object type 0
        {CV_FOURCC_AAC, "1690", true, CV_E_SYNTAX}, // reserved rate
        {CV_FOURCC_AAC, "17802e", true, CV_E_TRUNCATED},
        {CV_FOURCC_AAC, "2b10", true, CV_E_TRUNCATED},
        {CV_FOURCC_OPUS, "4f70757348656164 01 02", true, CV_E_TRUNCATED},
        {CV_FOURCC_OPUS, "4f70757354616773 01 02 3801 80bb0000 0000 00", true, CV_E_SYNTAX},
        {CV_FOURCC_FLAC, "664c6143 000000ff 0000", true, CV_E_TRUNCATED},
        {CV_FOURCC_FLAC, "664c6143 0000000d 00000000000000000000 0ac442f0", true, CV_E_TRUNCATED},
        {CV_FOURCC_FLAC, "664c6143 0400000e 00000000000000000000 0ac442f0", true, CV_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[128];
        struct guard guard = guard_copy(bytes, hex_bytes(bad[i].hex, bytes, sizeof bytes));
        struct cv_video_config video = {.level = 77};
        struct cv_audio_config audio = {.channels = 77};
        struct cv_why why = {0};
        int err = bad[i].audio
                      ? cv_audio_config_parse(&audio, bad[i].fourcc, guard.data, guard.len, &why)
                      : cv_video_config_parse(&video, bad[i].fourcc, guard.data, guard.len, &why);
        if (err != bad[i].err || why.code != err || video.level != 77 || audio.channels != 77)
            fail_msg("%s: %d", bad[i].hex, err);
        guard_free(&guard);
    }
}

static void bug_28_configuration_has_a_cap(void **state)
{
    (void)state;
    static const uint8_t zeros[CV_LIMIT_HEADER_BYTES + 1] = {1};
    struct cv_video_config video;
    struct cv_audio_config audio;
    size_t len = sizeof zeros;
    assert_int_equal(cv_video_config_parse(&video, CV_FOURCC_AVC, zeros, len, NULL), CV_E_TOO_LONG);
    assert_int_equal(cv_audio_config_parse(&audio, CV_FOURCC_AAC, zeros, len, NULL), CV_E_TOO_LONG);
    assert_int_equal(cv_video_config_parse(&video, CV_FOURCC_AVC, zeros, len - 1, NULL), CV_OK);
}

// ---- parameter sets made by hand ------------------------------------------------------------

struct maker {
    uint8_t bytes[1024];
    size_t bits;
};

static void put(struct maker *to, unsigned count, uint32_t value)
{
    for (unsigned i = count; i-- > 0; to->bits++)
        if (i < 32 && value >> i & 1)
            to->bytes[to->bits / 8] |= (uint8_t)(0x80 >> to->bits % 8);
}

static void put_ue(struct maker *to, uint32_t value)
{
    unsigned zeros = 0;
    while ((uint64_t)value + 1 >= UINT64_C(2) << zeros)
        zeros++;
    put(to, zeros, 0);
    put(to, zeros + 1, value + 1);
}

static void put_se(struct maker *to, int32_t value)
{
    put_ue(to, value > 0 ? (uint32_t)value * 2 - 1 : (uint32_t)-value * 2);
}

// The NALU with its emulation prevention bytes, before an unreadable page.
static struct guard escaped(const struct maker *from)
{
    uint8_t out[2048];
    size_t len = 0;
    for (size_t i = 0, zeros = 0; i < (from->bits + 7) / 8; i++) {
        if (zeros == 2 && from->bytes[i] <= 3) {
            out[len++] = 3;
            zeros = 0;
        }
        zeros = from->bytes[i] == 0 ? zeros + 1 : 0;
        out[len++] = from->bytes[i];
    }
    return guard_copy(out, len);
}

struct avc {
    uint32_t profile;
    uint32_t chroma;
    bool separate;
    int lists; // scaling lists written, each of them long
    uint32_t order_type;
    uint32_t cycle;
    uint32_t columns;
    uint32_t rows;
    bool fields;
    uint32_t crop[4];
};

static struct maker avc_sps(const struct avc *avc)
{
    struct maker to = {0};
    put(&to, 8, 0x67);
    put(&to, 8, avc->profile);
    put(&to, 16, 40);
    put_ue(&to, 0);
    if (avc->profile != 66) {
        put_ue(&to, avc->chroma);
        if (avc->chroma == 3)
            put(&to, 1, avc->separate);
        put_ue(&to, 2);
        put_ue(&to, 2);
        put(&to, 1, 0);
        put(&to, 1, avc->lists > 0);
    }
    for (int i = 0; avc->lists && i < (avc->chroma == 3 ? 12 : 8); i++) {
        put(&to, 1, i < avc->lists);
        for (int j = 0; i < avc->lists && j < (i < 6 ? 16 : 64); j++)
            put_se(&to, j % 2 ? 3 : -3);
    }
    put_ue(&to, 4);
    put_ue(&to, avc->order_type);
    if (avc->order_type == 0)
        put_ue(&to, 4);
    if (avc->order_type == 1) {
        put(&to, 1, 1);
        put_se(&to, -70000);
        put_se(&to, 70000);
        put_ue(&to, avc->cycle);
        for (uint32_t i = 0; i < avc->cycle; i++)
            put_se(&to, 1);
    }
    put_ue(&to, 4);
    put(&to, 1, 0);
    put_ue(&to, avc->columns - 1);
    put_ue(&to, avc->rows - 1);
    put(&to, 1, !avc->fields);
    put(&to, avc->fields ? 2 : 1, 1);
    put(&to, 1, 1);
    for (int i = 0; i < 4; i++)
        put_ue(&to, avc->crop[i]);
    put(&to, 1, 0);
    put(&to, 1, 1);
    return to;
}

static int avc_size(const struct avc *avc, struct cv_sps *out)
{
    struct maker made = avc_sps(avc);
    struct guard guard = escaped(&made);
    int err = cv_sps_avc(out, guard.data, guard.len);
    for (size_t cut = 0; err == CV_OK && cut + 2 < guard.len; cut++) {
        struct cv_sps sps = {.width = 77};
        struct guard part = guard_copy(guard.data, cut);
        int cut_err = cv_sps_avc(&sps, part.data, part.len);
        assert_true(cut_err == CV_OK || sps.width == 77);
        guard_free(&part);
    }
    guard_free(&guard);
    return err;
}

static void avc_sizes(void **state)
{
    (void)state;
    static const struct {
        struct avc avc;
        uint32_t width;
        uint32_t height;
    } cases[] = {
        {{66, 1, false, 0, 0, 0, 120, 68, false, {0, 0, 0, 4}}, 1920, 1080},
        {{66, 1, false, 0, 2, 0, 120, 34, true, {0, 0, 0, 2}}, 1920, 1080},
        {{100, 1, false, 8, 0, 0, 80, 45, false, {0}}, 1280, 720},
        {{100, 1, false, 3, 1, 255, 80, 45, false, {1, 2, 3, 4}}, 1274, 706},
        {{122, 2, false, 0, 0, 0, 10, 10, false, {1, 0, 1, 0}}, 158, 159},
        {{244, 3, false, 12, 0, 0, 10, 10, false, {1, 0, 1, 0}}, 159, 159},
        {{244, 3, true, 0, 0, 0, 10, 10, true, {1, 0, 1, 0}}, 159, 318},
        {{100, 0, false, 0, 0, 0, 10, 10, false, {1, 0, 0, 1}}, 159, 159},
        {{66, 1, false, 0, 0, 0, 2048, 2048, false, {0}}, 32768, 32768},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_sps sps = {0};
        int err = avc_size(&cases[i].avc, &sps);
        if (err != CV_OK || sps.width != cases[i].width || sps.height != cases[i].height)
            fail_msg("%zu: %d %ux%u", i, err, sps.width, sps.height);
    }
}

static void bug_28_avc_numbers_are_checked(void **state)
{
    (void)state;
    static const struct avc bad[] = {
        {100, 4, false, 0, 0, 0, 80, 45, false, {0}},       // chroma format
        {66, 1, false, 0, 3, 0, 80, 45, false, {0}},        // order type
        {66, 1, false, 0, 1, 256, 80, 45, false, {0}},      // cycle
        {66, 1, false, 0, 0, 0, 2049, 45, false, {0}},      // too wide
        {66, 1, false, 0, 0, 0, 80, 2049, false, {0}},      // too high
        {66, 1, false, 0, 0, 0, 80, 1025, true, {0}},       // the same, in fields
        {66, 1, false, 0, 0, 0, 0x1fffffff, 9, false, {0}}, //
        {66, 1, false, 0, 0, 0, 1, 1, false, {4, 4, 0, 0}}, // nothing left
        {66, 1, false, 0, 0, 0, 1, 1, false, {0x7fffffff, 0x80000001, 0, 0}},
        {66, 1, false, 0, 0, 0, 1, 1, false, {0, 0, 0xfffffffe, 0xfffffffe}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cv_sps sps = {77, 77};
        int err = avc_size(&bad[i], &sps);
        if (err != CV_E_SYNTAX || sps.width != 77 || sps.height != 77)
            fail_msg("%zu: %d", i, err);
    }
}

struct hevc {
    uint32_t sub_layers;
    uint32_t flags; // of each sub-layer: 2 has a profile, 1 has a level
    uint32_t chroma;
    uint32_t width;
    uint32_t height;
    uint32_t crop[4];
};

static int hevc_size(const struct hevc *hevc, struct cv_sps *out)
{
    struct maker to = {0};
    put(&to, 16, 0x4201);
    put(&to, 4, 0);
    put(&to, 3, hevc->sub_layers);
    put(&to, 1, 1);
    put(&to, 96, 0x5a5a5a5a);
    for (uint32_t i = 0; i < hevc->sub_layers; i++)
        put(&to, 2, hevc->flags);
    put(&to, hevc->sub_layers ? 16 - 2 * hevc->sub_layers : 0, 0);
    for (uint32_t i = 0; i < hevc->sub_layers; i++)
        put(&to, (hevc->flags & 2 ? 88U : 0U) + (hevc->flags & 1 ? 8U : 0U), 0xa5a5a5a5);
    put_ue(&to, 0);
    put_ue(&to, hevc->chroma);
    if (hevc->chroma == 3)
        put(&to, 1, 1);
    put_ue(&to, hevc->width);
    put_ue(&to, hevc->height);
    put(&to, 1, 1);
    for (int i = 0; i < 4; i++)
        put_ue(&to, hevc->crop[i]);
    put(&to, 1, 1);
    struct guard guard = escaped(&to);
    int err = cv_sps_hevc(out, guard.data, guard.len);
    guard_free(&guard);
    return err;
}

static void hevc_sizes(void **state)
{
    (void)state;
    static const struct {
        struct hevc hevc;
        uint32_t width;
        uint32_t height;
    } cases[] = {
        {{0, 0, 1, 1920, 1088, {0, 0, 0, 4}}, 1920, 1080},
        {{1, 3, 1, 3840, 2160, {0}}, 3840, 2160},
        {{6, 3, 2, 64, 64, {1, 1, 1, 1}}, 60, 62},
        {{6, 0, 3, 64, 64, {1, 1, 1, 1}}, 62, 62},
        {{3, 1, 0, 64, 64, {0, 1, 1, 0}}, 63, 63},
        {{2, 2, 1, 32768, 32768, {0}}, 32768, 32768},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_sps sps = {0};
        int err = hevc_size(&cases[i].hevc, &sps);
        if (err != CV_OK || sps.width != cases[i].width || sps.height != cases[i].height)
            fail_msg("%zu: %d %ux%u", i, err, sps.width, sps.height);
    }
}

static void bug_28_hevc_numbers_are_checked(void **state)
{
    (void)state;
    static const struct hevc bad[] = {
        {7, 0, 1, 64, 64, {0}},
        {0, 0, 4, 64, 64, {0}},
        {0, 0, 1, 32769, 64, {0}},
        {0, 0, 1, 64, 0xfffffffe, {0}},
        {0, 0, 1, 0, 64, {0}},
        {0, 0, 1, 64, 64, {0, 32, 0, 0}},
        {0, 0, 1, 64, 64, {0x80000000, 0x80000000, 0, 0}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cv_sps sps = {77, 77};
        int err = hevc_size(&bad[i], &sps);
        if (err != CV_E_SYNTAX || sps.width != 77)
            fail_msg("%zu: %d", i, err);
    }
}

static void bug_28_wrong_nalu_is_no_sps(void **state)
{
    (void)state;
    static const uint8_t zeros[64] = {0x68};
    struct cv_sps sps;
    assert_int_equal(cv_sps_avc(&sps, zeros, sizeof zeros), CV_E_SYNTAX);
    assert_int_equal(cv_sps_hevc(&sps, zeros, sizeof zeros), CV_E_SYNTAX);
    assert_int_equal(cv_sps_avc(&sps, NULL, 0), CV_E_SYNTAX);
}

// ---- bits -----------------------------------------------------------------------------------

static void bits_are_read_in_order(void **state)
{
    (void)state;
    uint8_t bytes[16];
    struct guard guard = guard_copy(bytes, hex_bytes("a5 f00f 12345678 80", bytes, 16));
    struct cv_bits bits = cv_bits_over(guard.data, guard.len, false);
    assert_int_equal(cv_bits_read(&bits, 3), 5);
    assert_int_equal(cv_bits_read(&bits, 9), 0x5f);
    assert_int_equal(cv_bits_read(&bits, 0), 0);
    assert_int_equal(cv_bits_read(&bits, 12), 0x00f);
    assert_int_equal(cv_bits_read(&bits, 32), 0x12345678);
    assert_true(cv_bits_flag(&bits));
    assert_int_equal(cv_bits_read(&bits, 8), 0);
    assert_int_equal(bits.err, CV_E_TRUNCATED);
    assert_false(cv_bits_flag(&bits));
    guard_free(&guard);
}

static void emulation_prevention_is_removed(void **state)
{
    (void)state;
    uint8_t bytes[16];
    size_t len = hex_bytes("000003 01 000003 000003 03 0003", bytes, 16);
    struct cv_bits bits = cv_bits_over(bytes, len, true);
    assert_int_equal(cv_bits_read(&bits, 32), 0x00000100);
    assert_int_equal(cv_bits_read(&bits, 32), 0x00000003);
    assert_int_equal(cv_bits_read(&bits, 16), 0x0003);
    assert_int_equal(bits.err, CV_OK);
    bits = cv_bits_over(bytes, 3, true);
    cv_bits_skip(&bits, 17);
    assert_int_equal(bits.err, CV_E_TRUNCATED);
    bits = cv_bits_over(bytes, 3, false);
    assert_int_equal(cv_bits_read(&bits, 24), 3);
}

static void bug_28_exp_golomb_is_bounded(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 2, 255, 65535, 0x7ffffffe, 0x7fffffff, 0xfffffffe};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct maker to = {0};
        put_ue(&to, values[i]);
        struct cv_bits bits = cv_bits_over(to.bytes, (to.bits + 7) / 8, false);
        assert_int_equal(cv_bits_ue(&bits), values[i]);
        assert_int_equal(bits.err, CV_OK);
    }
    static const int32_t signs[] = {0, 1, -1, 2, -2, 0x7fffffff, -0x7fffffff};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        struct maker to = {0};
        put_se(&to, signs[i]);
        struct cv_bits bits = cv_bits_over(to.bytes, (to.bits + 7) / 8, false);
        assert_int_equal(cv_bits_se(&bits), signs[i]);
    }
    static const uint8_t zeros[100] = {[4] = 0x80};
    struct cv_bits bits = cv_bits_over(zeros, sizeof zeros, false);
    assert_int_equal(cv_bits_ue(&bits), 0);
    assert_int_equal(bits.err, CV_E_SYNTAX);
    bits = cv_bits_over(zeros, 3, false);
    assert_int_equal(cv_bits_ue(&bits), 0);
    assert_int_equal(bits.err, CV_E_TRUNCATED);
    bits = cv_bits_over("\x20", 1, false); // 3
    assert_int_equal(cv_bits_ue_max(&bits, 2), 0);
    assert_int_equal(bits.err, CV_E_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(video_configurations),
        cmocka_unit_test(audio_configurations),
        cmocka_unit_test(bug_28_configurations_cut_anywhere),
        cmocka_unit_test(bug_28_broken_configurations),
        cmocka_unit_test(bug_28_configuration_has_a_cap),
        cmocka_unit_test(avc_sizes),
        cmocka_unit_test(bug_28_avc_numbers_are_checked),
        cmocka_unit_test(hevc_sizes),
        cmocka_unit_test(bug_28_hevc_numbers_are_checked),
        cmocka_unit_test(bug_28_wrong_nalu_is_no_sps),
        cmocka_unit_test(bits_are_read_in_order),
        cmocka_unit_test(emulation_prevention_is_removed),
        cmocka_unit_test(bug_28_exp_golomb_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
