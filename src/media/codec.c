#include "media/codec.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/wire.h"
#include "media/bits.h"
#include "media/sps.h"

#include <string.h>

static const struct {
    uint32_t fourcc;
    const char *name;
} codecs[] = {
    {CV_FOURCC_AVC, "h264"},
    {CV_FOURCC_AAC, "aac"},
    {CV_FOURCC_HEVC, "hevc"},
    {CV_FOURCC_AV1, "av1"},
    {CV_FOURCC_VP8, "vp8"},
    {CV_FOURCC_VP9, "vp9"},
    {CV_FOURCC_VVC, "vvc"},
    {CV_FOURCC_OPUS, "opus"},
    {CV_FOURCC_FLAC, "flac"},
    {CV_FOURCC_MP3, "mp3"},
    {CV_FOURCC_AC3, "ac3"},
    {CV_FOURCC_EAC3, "eac3"},
    {CV_FOURCC_H263, "h263"},
    {CV_FOURCC_SCREEN, "screen"},
    {CV_FOURCC_SCREEN2, "screen2"},
    {CV_FOURCC_VP6, "vp6"},
    {CV_FOURCC_VP6A, "vp6a"},
    {CV_FOURCC_PCM, "pcm"},
    {CV_FOURCC_PCM_LE, "pcm_le"},
    {CV_FOURCC_ADPCM, "adpcm"},
    {CV_FOURCC_NELLYMOSER, "nellymoser"},
    {CV_FOURCC_ALAW, "alaw"},
    {CV_FOURCC_ULAW, "ulaw"},
    {CV_FOURCC_SPEEX, "speex"},
    {CV_FOURCC_DEVICE, "device"},
};

const char *cv_codec_name(uint32_t fourcc)
{
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
        if (codecs[i].fourcc == fourcc)
            return codecs[i].name;
    return "unknown";
}

bool cv_codec_has_composition(uint32_t fourcc)
{
    return fourcc == CV_FOURCC_AVC || fourcc == CV_FOURCC_HEVC || fourcc == CV_FOURCC_VVC;
}

uint32_t cv_codec_of_legacy(bool video, uint8_t number)
{
    static const uint32_t of_video[16] = {
        [2] = CV_FOURCC_H263,  [3] = CV_FOURCC_SCREEN,  [4] = CV_FOURCC_VP6,
        [5] = CV_FOURCC_VP6A,  [6] = CV_FOURCC_SCREEN2, [7] = CV_FOURCC_AVC,
        [12] = CV_FOURCC_HEVC, [13] = CV_FOURCC_AV1,
    };
    static const uint32_t of_audio[16] = {
        [0] = CV_FOURCC_PCM,        [1] = CV_FOURCC_ADPCM,      [2] = CV_FOURCC_MP3,
        [3] = CV_FOURCC_PCM_LE,     [4] = CV_FOURCC_NELLYMOSER, [5] = CV_FOURCC_NELLYMOSER,
        [6] = CV_FOURCC_NELLYMOSER, [7] = CV_FOURCC_ALAW,       [8] = CV_FOURCC_ULAW,
        [10] = CV_FOURCC_AAC,       [11] = CV_FOURCC_SPEEX,     [14] = CV_FOURCC_MP3,
        [15] = CV_FOURCC_DEVICE,
    };
    CV_ASSERT(number < 16);
    return video ? of_video[number] : of_audio[number];
}

// ---- video configurations -------------------------------------------------------------------

static const char place[] = "codec";

enum { HEVC_NALU_SPS = 33 };

typedef int sps_parser(struct cv_sps *, const void *, size_t); // cv_sps_avc or cv_sps_hevc

// Steps over `count` parameter sets, each with a u16 length. The first one that `parser` (may be
// NULL) understands gives the picture size.
static void read_sets(struct cv_rd *rd, uint32_t count, sps_parser *parser,
                      struct cv_video_config *config)
{
    for (uint32_t i = 0; i < count && rd->err == CV_OK; i++) {
        uint16_t len = cv_rd_u16(rd);
        const uint8_t *data = cv_rd_bytes(rd, len);
        struct cv_sps sps;
        if (!parser || !data || config->width || parser(&sps, data, len) != CV_OK)
            continue;
        config->width = sps.width;
        config->height = sps.height;
    }
}

// AVCDecoderConfigurationRecord, ISO/IEC 14496-15 section 5.3.3.1. What follows the picture
// parameter sets in some profiles is not needed.
static int parse_avc(struct cv_video_config *config, struct cv_rd *rd, struct cv_why *why)
{
    uint8_t version = cv_rd_u8(rd);
    config->profile = cv_rd_u8(rd);
    cv_rd_u8(rd);
    config->level = cv_rd_u8(rd);
    config->nalu_length_bytes = (uint8_t)((cv_rd_u8(rd) & 3) + 1);
    if (rd->err == CV_OK && version != 1)
        return cv_why_set(why, CV_E_SYNTAX, place, "avc configuration of version %u", version);
    read_sets(rd, cv_rd_u8(rd) & 0x1f, cv_sps_avc, config);
    read_sets(rd, cv_rd_u8(rd), NULL, config);
    return CV_OK;
}

// HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 section 8.3.3.1. Version 0 is seen in the wild.
static int parse_hevc(struct cv_video_config *config, struct cv_rd *rd, struct cv_why *why)
{
    uint8_t version = cv_rd_u8(rd);
    if (version > 1)
        return cv_why_set(why, CV_E_SYNTAX, place, "hevc configuration of version %u", version);
    config->profile = cv_rd_u8(rd) & 0x1f;
    cv_rd_bytes(rd, 10); // compatibility and constraint flags
    config->level = cv_rd_u8(rd);
    cv_rd_bytes(rd, 8); // segmentation, parallelism, chroma, depths, frame rate
    config->nalu_length_bytes = (uint8_t)((cv_rd_u8(rd) & 3) + 1);
    uint8_t arrays = cv_rd_u8(rd);
    for (uint8_t i = 0; i < arrays && rd->err == CV_OK; i++) {
        uint8_t type = cv_rd_u8(rd) & 0x3f;
        uint16_t count = cv_rd_u16(rd);
        read_sets(rd, count, type == HEVC_NALU_SPS ? cv_sps_hevc : NULL, config);
    }
    return CV_OK;
}

// AV1CodecConfigurationRecord, AV1-ISOBMFF section 2.3.3. The OBUs behind it are not looked at.
static int parse_av1(struct cv_video_config *config, struct cv_rd *rd, struct cv_why *why)
{
    uint8_t version = cv_rd_u8(rd);
    uint8_t profile_level = cv_rd_u8(rd);
    cv_rd_u16(rd);
    if (rd->err == CV_OK && version != 0x81)
        return cv_why_set(why, CV_E_SYNTAX, place, "av1 configuration starts with 0x%02x", version);
    config->profile = profile_level >> 5;
    config->level = profile_level & 0x1f;
    return CV_OK;
}

static int check_length(size_t len, struct cv_why *why)
{
    if (len <= CV_LIMIT_HEADER_BYTES)
        return CV_OK;
    return cv_why_set(why, CV_E_TOO_LONG, place, "codec configuration of %zu bytes", len);
}

static int check_read(const struct cv_rd *rd, uint32_t fourcc, struct cv_why *why)
{
    if (rd->err == CV_OK)
        return CV_OK;
    return cv_why_set(why, rd->err, place, "%s configuration ends early", cv_codec_name(fourcc));
}

int cv_video_config_parse(struct cv_video_config *out, uint32_t fourcc, const void *data,
                          size_t len, struct cv_why *why)
{
    struct cv_video_config config = {0};
    struct cv_rd rd = cv_rd_over(data, len);
    int err = check_length(len, why);
    if (err == CV_OK && fourcc == CV_FOURCC_AVC)
        err = parse_avc(&config, &rd, why);
    else if (err == CV_OK && fourcc == CV_FOURCC_HEVC)
        err = parse_hevc(&config, &rd, why);
    else if (err == CV_OK && fourcc == CV_FOURCC_AV1)
        err = parse_av1(&config, &rd, why);
    if (err == CV_OK)
        err = check_read(&rd, fourcc, why);
    if (err == CV_OK)
        *out = config;
    return err;
}

// ---- audio configurations -------------------------------------------------------------------

enum { AAC_SBR = 5, AAC_PS = 29, AAC_TYPE_ESCAPE = 31, AAC_RATE_ESCAPE = 15 };

static uint32_t aac_rate_hz(struct cv_bits *bits)
{
    static const uint32_t rates_hz[AAC_RATE_ESCAPE] = {
        96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
    };
    uint32_t index = cv_bits_read(bits, 4);
    return index == AAC_RATE_ESCAPE ? cv_bits_read(bits, 24) : rates_hz[index];
}

// AudioSpecificConfig, ISO/IEC 14496-3 section 1.6.2.1, as far as the rate and the channels.
static int parse_aac(struct cv_audio_config *config, const void *data, size_t len,
                     struct cv_why *why)
{
    static const uint8_t channels[16] = {0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0};
    struct cv_bits bits = cv_bits_over(data, len, false);
    uint32_t type = cv_bits_read(&bits, 5);
    if (type == AAC_TYPE_ESCAPE)
        type = 32 + cv_bits_read(&bits, 6);
    uint32_t rate_hz = aac_rate_hz(&bits);
    config->channels = channels[cv_bits_read(&bits, 4)];
    if (type == AAC_SBR || type == AAC_PS)
        rate_hz = aac_rate_hz(&bits); // of the extension, which is what is heard
    config->object_type = (uint8_t)type;
    config->sample_rate_hz = rate_hz;
    if (bits.err == CV_OK && (type == 0 || rate_hz == 0))
        bits.err = CV_E_SYNTAX;
    if (bits.err == CV_OK)
        return CV_OK;
    return cv_why_set(why, bits.err, place, "aac configuration of %zu bytes, object type %u", len,
                      type);
}

// Identification header, RFC 7845 section 5.1; it may be left out. Opus is always decoded at 48
// kHz.
static int parse_opus(struct cv_audio_config *config, const void *data, size_t len,
                      struct cv_why *why)
{
    struct cv_rd rd = cv_rd_over(data, len);
    config->sample_rate_hz = 48000;
    if (len == 0)
        return CV_OK;
    const uint8_t *magic = cv_rd_bytes(&rd, 8);
    cv_rd_u8(&rd);
    config->channels = cv_rd_u8(&rd);
    cv_rd_bytes(&rd, 9); // pre-skip, original rate, gain, mapping
    if (rd.err == CV_OK && memcmp(magic, "OpusHead", 8) != 0)
        return cv_why_set(why, CV_E_SYNTAX, place, "no OpusHead");
    return check_read(&rd, CV_FOURCC_OPUS, why);
}

// "fLaC" and the STREAMINFO block, RFC 9639 sections 8.1 and 8.2.
static int parse_flac(struct cv_audio_config *config, const void *data, size_t len,
                      struct cv_why *why)
{
    struct cv_rd rd = cv_rd_over(data, len);
    uint32_t magic = cv_rd_u32(&rd);
    uint8_t type = cv_rd_u8(&rd) & 0x7f;
    struct cv_rd info = cv_rd_sub(&rd, cv_rd_u24(&rd));
    cv_rd_bytes(&info, 10); // block and frame sizes
    uint32_t rate_channels = cv_rd_u32(&info);
    if (info.err == CV_OK && (magic != CV_FOURCC_FLAC || type != 0))
        return cv_why_set(why, CV_E_SYNTAX, place, "no FLAC STREAMINFO");
    config->sample_rate_hz = rate_channels >> 12;
    config->channels = (rate_channels >> 9 & 7) + 1;
    return check_read(&info, CV_FOURCC_FLAC, why);
}

int cv_audio_config_parse(struct cv_audio_config *out, uint32_t fourcc, const void *data,
                          size_t len, struct cv_why *why)
{
    struct cv_audio_config config = {0};
    int err = check_length(len, why);
    if (err == CV_OK && fourcc == CV_FOURCC_AAC)
        err = parse_aac(&config, data, len, why);
    else if (err == CV_OK && fourcc == CV_FOURCC_OPUS)
        err = parse_opus(&config, data, len, why);
    else if (err == CV_OK && fourcc == CV_FOURCC_FLAC)
        err = parse_flac(&config, data, len, why);
    if (err == CV_OK)
        *out = config;
    return err;
}
