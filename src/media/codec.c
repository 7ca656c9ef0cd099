#include "media/codec.h"

#include "base/check.h"

#include <stddef.h>

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
