// Media message headers and codec configurations.
//
// First byte: 0 audio message, 1 video message, n the configuration of a codec. The rest is what is
// parsed.
#include "base/check.h"
#include "media/avtag.h"
#include "media/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint8_t sink;

static void check_why(int err, const struct cv_why *why)
{
    CV_ASSERT(why->code == err && (err == CV_OK || why->text[0]));
}

static void parse_video(uint32_t fourcc, const uint8_t *data, size_t len)
{
    struct cv_video_config config;
    struct cv_why why = {0};
    int err = cv_video_config_parse(&config, fourcc, data, len, &why);
    check_why(err, &why);
    CV_ASSERT(err != CV_OK || (config.width <= CV_LIMIT_VIDEO_SIDE &&
                               config.height <= CV_LIMIT_VIDEO_SIDE && config.level <= 255));
    CV_ASSERT(err != CV_OK || (config.width == 0) == (config.height == 0));
}

static void parse_audio(uint32_t fourcc, const uint8_t *data, size_t len)
{
    struct cv_audio_config config;
    struct cv_why why = {0};
    int err = cv_audio_config_parse(&config, fourcc, data, len, &why);
    check_why(err, &why);
    CV_ASSERT(err != CV_OK || (config.channels <= 255 && config.sample_rate_hz < 1 << 24));
}

static void check_track(const struct cv_avtag *tag, const struct cv_avtag_track *track,
                        const uint8_t *data, size_t len)
{
    CV_ASSERT(track->body_offset <= len && track->body_len <= len - track->body_offset);
    CV_ASSERT(track->composition_ms >= -0x800000 && track->composition_ms < 0x800000);
    CV_ASSERT(cv_avtag_find(tag, track->id));
    const uint8_t *body = data + track->body_offset;
    if (track->body_len)
        sink = body[track->body_len - 1];
    if (tag->role == CV_AV_CONFIG)
        (tag->video ? parse_video : parse_audio)(track->fourcc, body, track->body_len);
}

static void parse_message(bool video, const uint8_t *data, size_t len)
{
    struct cv_avtag tag;
    struct cv_why why = {0};
    int err = cv_avtag_parse(&tag, video, data, len, &why);
    check_why(err, &why);
    if (err != CV_OK)
        return;
    bool bare = tag.role == CV_AV_COMMAND || tag.role == CV_AV_EMPTY;
    CV_ASSERT(tag.track_count <= CV_LIMIT_MESSAGE_TRACKS && (tag.track_count == 0) == bare);
    CV_ASSERT(!tag.key || (video && tag.role == CV_AV_FRAME));
    CV_ASSERT(!(cv_avtag_starts_gop(&tag) && cv_avtag_is_header(&tag)));
    CV_ASSERT(tag.nano_offset_ns < 1000000);
    for (uint32_t i = 0; i < tag.track_count; i++)
        check_track(&tag, &tag.tracks[i], data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint32_t videos[] = {CV_FOURCC_AVC, CV_FOURCC_HEVC, CV_FOURCC_AV1};
    static const uint32_t audios[] = {CV_FOURCC_AAC, CV_FOURCC_OPUS, CV_FOURCC_FLAC};
    if (len == 0)
        return 0;
    uint8_t what = data[0] % 8;
    if (what < 2)
        parse_message(what == 1, data + 1, len - 1);
    else if (what < 5)
        parse_video(videos[what - 2], data + 1, len - 1);
    else
        parse_audio(audios[what - 5], data + 1, len - 1);
    return 0;
}
