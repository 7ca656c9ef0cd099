// Codecs: their FourCCs and names, and the few facts worth reading out of a codec configuration.
//
// E-RTMP v2, "FourCC"; FLV 10.1 annex E.4 for the legacy numbers, which are given a FourCC here so
// that the rest of the program knows one way to name a codec.
#ifndef CV_MEDIA_CODEC_H
#define CV_MEDIA_CODEC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cv_fourcc {
    CV_FOURCC_NONE = 0, // a legacy number that nobody has defined, or a message without a codec
    // ---- video, as in E-RTMP
    CV_FOURCC_AVC = 0x61766331,  // avc1; legacy codec 7
    CV_FOURCC_HEVC = 0x68766331, // hvc1; legacy codec 12 (unofficial)
    CV_FOURCC_AV1 = 0x61763031,  // av01; legacy codec 13 (unofficial)
    CV_FOURCC_VP8 = 0x76703038,  // vp08
    CV_FOURCC_VP9 = 0x76703039,  // vp09
    CV_FOURCC_VVC = 0x76766331,  // vvc1
    // ---- video, ours for legacy numbers
    CV_FOURCC_H263 = 0x666c7631,    // flv1: Sorenson H.263
    CV_FOURCC_SCREEN = 0x73637231,  // scr1
    CV_FOURCC_SCREEN2 = 0x73637232, // scr2
    CV_FOURCC_VP6 = 0x76703666,     // vp6f
    CV_FOURCC_VP6A = 0x76703661,    // vp6a: with alpha
    // ---- audio, as in E-RTMP
    CV_FOURCC_AAC = 0x6d703461,  // mp4a; legacy format 10
    CV_FOURCC_OPUS = 0x4f707573, // Opus
    CV_FOURCC_FLAC = 0x664c6143, // fLaC
    CV_FOURCC_MP3 = 0x2e6d7033,  // .mp3; legacy formats 2 and 14
    CV_FOURCC_AC3 = 0x61632d33,  // ac-3
    CV_FOURCC_EAC3 = 0x65632d33, // ec-3
    // ---- audio, ours for legacy numbers
    CV_FOURCC_PCM = 0x70636d20,        // "pcm ": byte order of the sender's machine
    CV_FOURCC_PCM_LE = 0x70636d6c,     // pcml
    CV_FOURCC_ADPCM = 0x61647063,      // adpc
    CV_FOURCC_NELLYMOSER = 0x6e656c6c, // nell
    CV_FOURCC_ALAW = 0x616c6177,       // alaw
    CV_FOURCC_ULAW = 0x756c6177,       // ulaw
    CV_FOURCC_SPEEX = 0x73706578,      // spex
    CV_FOURCC_DEVICE = 0x64657669,     // devi: device-specific sound
};

// The name that people know ("h264", "hevc", "aac"); "unknown" for others. Static.
const char *cv_codec_name(uint32_t fourcc);
// True when a coded frame of this codec starts with a composition time (E-RTMP CodedFrames).
bool cv_codec_has_composition(uint32_t fourcc);
// The codec of a legacy video or audio header's number (0-15).
uint32_t cv_codec_of_legacy(bool video, uint8_t number);

// ---- what a codec configuration says, for logs, playlists and checks --------------------------

struct cv_video_config {
    uint8_t profile;           // as the codec's standard numbers it
    uint8_t level;             // the same: AVC 31 = 3.1, HEVC 93 = 3.1, AV1 8 = 4.0
    uint8_t nalu_length_bytes; // AVC, HEVC: size of each NALU's length; else 0
    uint32_t width;            // pixels shown; 0 when not known
    uint32_t height;           //
};

struct cv_audio_config {
    uint8_t object_type;     // AAC: 2 = LC, 5 = HE; else 0
    uint32_t sample_rate_hz; // of what is heard; 0 when not known
    uint32_t channels;       // 0 when not known
};

// Parse the body of a sequence header (legacy packet type 0, enhanced SequenceStart). AVC, HEVC,
// AV1 / AAC, Opus, FLAC; of other codecs nothing is known and *out is zeroed. Return 0, or
// CV_E_TRUNCATED, CV_E_SYNTAX or CV_E_TOO_LONG with `why` filled and *out untouched; players
// may still know better, so a bad configuration is a reason to warn, not to refuse. An SPS that
// cannot be read leaves width and height 0.
int cv_video_config_parse(struct cv_video_config *out, uint32_t fourcc, const void *data,
                          size_t len, struct cv_why *why);
int cv_audio_config_parse(struct cv_audio_config *out, uint32_t fourcc, const void *data,
                          size_t len, struct cv_why *why);

#endif
