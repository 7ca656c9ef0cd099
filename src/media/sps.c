#include "media/sps.h"

#include "base/err.h"
#include "base/limits.h"
#include "media/bits.h"

enum { AVC_NALU_SPS = 7, HEVC_NALU_SPS = 33, CHROMA_420 = 1, CHROMA_422 = 2, CHROMA_444 = 3 };

// Pixels of one side: what is coded less what is cropped at its two ends, which is counted in
// `unit` pixels.
static uint32_t shown(struct cv_bits *bits, uint64_t coded, uint64_t first, uint64_t last,
                      uint32_t unit)
{
    uint64_t cropped = (first + last) * unit;
    if (bits->err != CV_OK)
        return 0;
    if (coded > CV_LIMIT_VIDEO_SIDE || cropped >= coded) {
        bits->err = CV_E_SYNTAX;
        return 0;
    }
    return (uint32_t)(coded - cropped);
}

// Reads the crop (H.264 frame_cropping, H.265 conformance_window: the same four numbers).
static int read_crop(struct cv_bits *bits, struct cv_sps *out, struct cv_sps coded, uint32_t unit_x,
                     uint32_t unit_y)
{
    uint32_t crop[4] = {0}; // left, right, top, bottom
    if (cv_bits_flag(bits))
        for (int i = 0; i < 4; i++)
            crop[i] = cv_bits_ue(bits);
    struct cv_sps sps = {
        .width = shown(bits, coded.width, crop[0], crop[1], unit_x),
        .height = shown(bits, coded.height, crop[2], crop[3], unit_y),
    };
    if (bits->err == CV_OK)
        *out = sps;
    return bits->err;
}

// ---- H.264 ----------------------------------------------------------------------------------

static bool avc_has_chroma(uint32_t profile)
{
    static const uint8_t profiles[] = {100, 110, 122, 244, 44,  83, 86,
                                       118, 128, 138, 139, 134, 135};
    for (size_t i = 0; i < sizeof profiles; i++)
        if (profiles[i] == profile)
            return true;
    return false;
}

static void avc_skip_scaling_list(struct cv_bits *bits, int size)
{
    int32_t last = 8;
    int32_t next = 8;
    for (int i = 0; i < size && next != 0; i++) {
        int32_t delta = cv_bits_se(bits);
        next = (int32_t)(((uint32_t)last + (uint32_t)delta) & 0xff);
        last = next ? next : last;
    }
}

// Returns ChromaArrayType: 0 when the colour planes are coded apart.
static uint32_t avc_read_chroma(struct cv_bits *bits)
{
    uint32_t chroma = cv_bits_ue_max(bits, CHROMA_444);
    bool separate = chroma == CHROMA_444 && cv_bits_flag(bits);
    cv_bits_ue(bits); // bit depths
    cv_bits_ue(bits);
    cv_bits_flag(bits);
    if (cv_bits_flag(bits))
        for (int i = 0; i < (chroma == CHROMA_444 ? 12 : 8); i++)
            if (cv_bits_flag(bits))
                avc_skip_scaling_list(bits, i < 6 ? 16 : 64);
    return separate ? 0 : chroma;
}

static void avc_skip_picture_order(struct cv_bits *bits)
{
    uint32_t type = cv_bits_ue_max(bits, 2);
    if (type == 0)
        cv_bits_ue(bits);
    if (type != 1)
        return;
    cv_bits_flag(bits);
    cv_bits_se(bits);
    cv_bits_se(bits);
    uint32_t count = cv_bits_ue_max(bits, 255);
    for (uint32_t i = 0; i < count; i++)
        cv_bits_se(bits);
}

int cv_sps_avc(struct cv_sps *out, const void *data, size_t len)
{
    struct cv_bits bits = cv_bits_over(data, len, true);
    if ((cv_bits_read(&bits, 8) & 0x1f) != AVC_NALU_SPS)
        return CV_E_SYNTAX;
    uint32_t profile = cv_bits_read(&bits, 8);
    cv_bits_skip(&bits, 16); // constraints, level
    cv_bits_ue(&bits);       // id
    uint32_t chroma = avc_has_chroma(profile) ? avc_read_chroma(&bits) : CHROMA_420;
    cv_bits_ue(&bits); // log2_max_frame_num
    avc_skip_picture_order(&bits);
    cv_bits_ue(&bits); // reference frames
    cv_bits_flag(&bits);
    uint32_t max = CV_LIMIT_VIDEO_SIDE / 16 - 1;
    uint32_t columns = cv_bits_ue_max(&bits, max) + 1;
    uint32_t rows = cv_bits_ue_max(&bits, max) + 1;
    uint32_t fields = cv_bits_flag(&bits) ? 1 : 2; // frame_mbs_only
    if (fields == 2)
        cv_bits_flag(&bits);
    cv_bits_flag(&bits);
    uint32_t unit_x = chroma == CHROMA_420 || chroma == CHROMA_422 ? 2 : 1;
    uint32_t unit_y = (chroma == CHROMA_420 ? 2 : 1) * fields;
    struct cv_sps coded = {.width = columns * 16, .height = rows * 16 * fields};
    return read_crop(&bits, out, coded, unit_x, unit_y);
}

// ---- H.265 ----------------------------------------------------------------------------------

enum { HEVC_PROFILE_BITS = 88, HEVC_LEVEL_BITS = 8, HEVC_SUB_LAYERS_MAX = 6 };

// profile_tier_level(1, sub_layers), 7.3.3.
static void hevc_skip_profiles(struct cv_bits *bits, uint32_t sub_layers)
{
    cv_bits_skip(bits, HEVC_PROFILE_BITS + HEVC_LEVEL_BITS);
    bool has_profile[HEVC_SUB_LAYERS_MAX];
    bool has_level[HEVC_SUB_LAYERS_MAX];
    for (uint32_t i = 0; i < sub_layers; i++) {
        has_profile[i] = cv_bits_flag(bits);
        has_level[i] = cv_bits_flag(bits);
    }
    if (sub_layers > 0)
        cv_bits_skip(bits, 2 * (8 - sub_layers));
    for (uint32_t i = 0; i < sub_layers; i++)
        cv_bits_skip(bits, (has_profile[i] ? HEVC_PROFILE_BITS : 0U) +
                               (has_level[i] ? HEVC_LEVEL_BITS : 0U));
}

int cv_sps_hevc(struct cv_sps *out, const void *data, size_t len)
{
    struct cv_bits bits = cv_bits_over(data, len, true);
    if ((cv_bits_read(&bits, 16) >> 9 & 0x3f) != HEVC_NALU_SPS)
        return CV_E_SYNTAX;
    cv_bits_skip(&bits, 4); // video parameter set
    uint32_t sub_layers = cv_bits_read(&bits, 3);
    if (sub_layers > HEVC_SUB_LAYERS_MAX)
        return CV_E_SYNTAX;
    cv_bits_flag(&bits);
    hevc_skip_profiles(&bits, sub_layers);
    cv_bits_ue(&bits); // id
    uint32_t chroma = cv_bits_ue_max(&bits, CHROMA_444);
    if (chroma == CHROMA_444)
        cv_bits_flag(&bits); // planes coded apart: the crop unit is 1 either way
    uint32_t width = cv_bits_ue(&bits);
    uint32_t height = cv_bits_ue(&bits);
    uint32_t unit_x = chroma == CHROMA_420 || chroma == CHROMA_422 ? 2 : 1;
    uint32_t unit_y = chroma == CHROMA_420 ? 2 : 1;
    return read_crop(&bits, out, (struct cv_sps){width, height}, unit_x, unit_y);
}
