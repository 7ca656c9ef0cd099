#include "media/avtag.h"

#include "base/check.h"
#include "base/wire.h"
#include "media/codec.h"

static const char place[] = "avtag";

enum frame_type { FRAME_KEY = 1, FRAME_DISPOSABLE = 3, FRAME_GENERATED_KEY = 4, FRAME_COMMAND = 5 };
enum legacy { LEGACY_AUDIO_ENHANCED = 9 }; // in the place of a sound format
enum packet_type {
    PACKET_CODED_FRAMES = 1,
    PACKET_VIDEO_METADATA = 4,
    PACKET_AUDIO_MULTITRACK = 5,
    PACKET_VIDEO_MULTITRACK = 6,
    PACKET_MODEX = 7,
};
enum multitrack { ONE_TRACK, MANY_TRACKS, MANY_TRACKS_MANY_CODECS };
enum modex { MODEX_NANO = 0, MODEX_NANO_BYTES = 3, MODEX_NANO_MAX_NS = 999999 };

// What is not named is 0, CV_AV_OTHER.
static const uint8_t legacy_roles[256] = {CV_AV_CONFIG, CV_AV_FRAME, CV_AV_END};
static const uint8_t video_roles[16] = {CV_AV_CONFIG, CV_AV_FRAME, CV_AV_END,
                                        CV_AV_FRAME,  CV_AV_COLOR, CV_AV_CONFIG};
static const uint8_t audio_roles[16] = {CV_AV_CONFIG, CV_AV_FRAME, CV_AV_END, CV_AV_OTHER,
                                        CV_AV_CHANNELS};

struct parse {
    struct cv_avtag tag;
    struct cv_rd rd;
    const uint8_t *start;
    uint8_t frame_type;
    uint8_t packet_type;
    struct cv_why *why;
};

// ---- tracks ---------------------------------------------------------------------------------

// Sign-extends the 24 bits of a composition time.
static int32_t s24(uint32_t bits)
{
    return (int32_t)(bits ^ 0x800000) - 0x800000;
}

static int add_track(struct parse *p, uint8_t id, uint32_t fourcc, struct cv_rd body)
{
    struct cv_avtag *tag = &p->tag;
    bool composed = tag->enhanced && tag->video && p->packet_type == PACKET_CODED_FRAMES &&
                    cv_codec_has_composition(fourcc);
    int32_t composition_ms = composed ? s24(cv_rd_u24(&body)) : 0;
    if (body.err != CV_OK)
        return cv_why_set(p->why, body.err, place, "track %u ends early", id);
    if (tag->track_count == CV_LIMIT_MESSAGE_TRACKS)
        return cv_why_set(p->why, CV_E_TOO_MANY, place, "more than %d tracks in one message",
                          CV_LIMIT_MESSAGE_TRACKS);
    tag->tracks[tag->track_count++] = (struct cv_avtag_track){
        .fourcc = fourcc,
        .composition_ms = composition_ms,
        .body_offset = (uint32_t)(body.at - p->start),
        .body_len = (uint32_t)cv_rd_left(&body),
        .id = id,
    };
    return CV_OK;
}

static int header_error(struct parse *p)
{
    if (p->rd.err == CV_OK)
        return CV_OK;
    return cv_why_set(p->why, p->rd.err, place, "%s message ends inside its header",
                      p->tag.video ? "video" : "audio");
}

// ---- legacy ---------------------------------------------------------------------------------

static int parse_command(struct parse *p)
{
    p->tag.role = CV_AV_COMMAND;
    p->tag.command = cv_rd_u8(&p->rd);
    return header_error(p);
}

// Codecs that have a sequence header tell the kind of packet in one more byte.
static bool legacy_has_packet_type(uint32_t fourcc)
{
    return fourcc == CV_FOURCC_AVC || fourcc == CV_FOURCC_HEVC || fourcc == CV_FOURCC_AV1 ||
           fourcc == CV_FOURCC_AAC;
}

static int parse_legacy(struct parse *p, uint32_t fourcc)
{
    p->tag.role = CV_AV_FRAME;
    p->packet_type = legacy_has_packet_type(fourcc) ? cv_rd_u8(&p->rd) : 0;
    if (legacy_has_packet_type(fourcc))
        p->tag.role = legacy_roles[p->packet_type];
    int32_t composition_ms = 0;
    // An end of sequence is seen in the wild without its composition time.
    if (p->tag.video && legacy_has_packet_type(fourcc) && p->tag.role != CV_AV_END)
        composition_ms = s24(cv_rd_u24(&p->rd));
    int err = header_error(p);
    if (err == CV_OK)
        err = add_track(p, 0, fourcc, p->rd);
    if (err == CV_OK && p->tag.role == CV_AV_FRAME)
        p->tag.tracks[0].composition_ms = composition_ms;
    return err;
}

// ---- enhanced -------------------------------------------------------------------------------

static int parse_nano(struct parse *p, struct cv_rd data)
{
    uint32_t offset_ns = cv_rd_u24(&data);
    if (data.err != CV_OK || offset_ns > MODEX_NANO_MAX_NS)
        return cv_why_set(p->why, CV_E_SYNTAX, place, "bad ModEx time offset");
    p->tag.nano_offset_ns = offset_ns;
    return CV_OK;
}

// One or more extensions stand before the real packet type. Unknown ones are skipped.
static int parse_modex(struct parse *p)
{
    for (int n = 0; p->packet_type == PACKET_MODEX; n++) {
        if (n == CV_LIMIT_MODEX)
            return cv_why_set(p->why, CV_E_TOO_MANY, place, "more than %d ModEx", n);
        size_t size = (size_t)cv_rd_u8(&p->rd) + 1;
        if (size == 256)
            size = (size_t)cv_rd_u16(&p->rd) + 1;
        struct cv_rd data = cv_rd_sub(&p->rd, size);
        uint8_t types = cv_rd_u8(&p->rd);
        int err = header_error(p);
        if (err == CV_OK && types >> 4 == MODEX_NANO)
            err = parse_nano(p, data);
        if (err != CV_OK)
            return err;
        p->packet_type = types & 0x0f;
    }
    return CV_OK;
}

static int parse_sized_tracks(struct parse *p, uint8_t type)
{
    uint32_t fourcc = type == MANY_TRACKS ? cv_rd_u32(&p->rd) : CV_FOURCC_NONE;
    do {
        if (type == MANY_TRACKS_MANY_CODECS)
            fourcc = cv_rd_u32(&p->rd);
        uint8_t id = cv_rd_u8(&p->rd);
        uint32_t len = cv_rd_u24(&p->rd);
        struct cv_rd body = cv_rd_sub(&p->rd, len);
        int err = header_error(p);
        if (err == CV_OK)
            err = add_track(p, id, fourcc, body);
        if (err != CV_OK)
            return err;
    } while (cv_rd_left(&p->rd) > 0);
    return CV_OK;
}

static int parse_one_track(struct parse *p, bool has_id)
{
    uint32_t fourcc = cv_rd_u32(&p->rd);
    uint8_t id = has_id ? cv_rd_u8(&p->rd) : 0;
    int err = header_error(p);
    return err == CV_OK ? add_track(p, id, fourcc, p->rd) : err;
}

static int parse_tracks(struct parse *p, uint8_t multitrack_packet)
{
    bool multitrack = p->packet_type == multitrack_packet;
    uint8_t type = ONE_TRACK;
    if (multitrack) {
        uint8_t types = cv_rd_u8(&p->rd);
        type = types >> 4;
        p->packet_type = types & 0x0f;
        if (type > MANY_TRACKS_MANY_CODECS || p->packet_type == multitrack_packet ||
            p->packet_type == PACKET_MODEX)
            return cv_why_set(p->why, CV_E_SYNTAX, place, "bad multitrack types 0x%02x", types);
    }
    p->tag.multitrack = multitrack;
    p->tag.role = (p->tag.video ? video_roles : audio_roles)[p->packet_type];
    return type == ONE_TRACK ? parse_one_track(p, multitrack) : parse_sized_tracks(p, type);
}

static int parse_enhanced(struct parse *p)
{
    p->tag.enhanced = true;
    int err = parse_modex(p);
    if (err != CV_OK)
        return err;
    if (!p->tag.video)
        return parse_tracks(p, PACKET_AUDIO_MULTITRACK);
    if (p->frame_type == FRAME_COMMAND && p->packet_type != PACKET_VIDEO_METADATA)
        return parse_command(p);
    return parse_tracks(p, PACKET_VIDEO_MULTITRACK);
}

// ---- both -----------------------------------------------------------------------------------

static int parse_video(struct parse *p)
{
    uint8_t first = cv_rd_u8(&p->rd);
    p->frame_type = first >> 4 & 7;
    p->packet_type = first & 0x0f;
    int err;
    if (first & 0x80)
        err = parse_enhanced(p);
    else if (p->frame_type == FRAME_COMMAND)
        err = parse_command(p);
    else
        err = parse_legacy(p, cv_codec_of_legacy(true, first & 0x0f));
    bool frame = p->tag.role == CV_AV_FRAME;
    p->tag.key = frame && (p->frame_type == FRAME_KEY || p->frame_type == FRAME_GENERATED_KEY);
    p->tag.disposable = frame && p->frame_type == FRAME_DISPOSABLE;
    return err;
}

static int parse_audio(struct parse *p)
{
    uint8_t first = cv_rd_u8(&p->rd);
    p->packet_type = first & 0x0f;
    if (first >> 4 == LEGACY_AUDIO_ENHANCED)
        return parse_enhanced(p);
    return parse_legacy(p, cv_codec_of_legacy(false, first >> 4));
}

int cv_avtag_parse(struct cv_avtag *out, bool video, const void *data, size_t len,
                   struct cv_why *why)
{
    CV_ASSERT(len <= UINT32_MAX);
    struct parse p = {.tag = {.video = video}, .rd = cv_rd_over(data, len), .why = why};
    p.start = p.rd.at;
    int err = CV_OK;
    if (len == 0)
        p.tag.role = CV_AV_EMPTY;
    else
        err = video ? parse_video(&p) : parse_audio(&p);
    if (err != CV_OK)
        return err;
    p.tag.frame_type = p.frame_type;
    p.tag.packet_type = p.packet_type;
    *out = p.tag;
    return CV_OK;
}

const struct cv_avtag_track *cv_avtag_find(const struct cv_avtag *tag, uint8_t track_id)
{
    for (uint32_t i = 0; i < tag->track_count; i++)
        if (tag->tracks[i].id == track_id)
            return &tag->tracks[i];
    return NULL;
}

bool cv_avtag_starts_gop(const struct cv_avtag *tag)
{
    return tag->key && cv_avtag_find(tag, 0);
}

const char *cv_av_role_name(enum cv_av_role role)
{
    static const char *const names[] = {
        [CV_AV_OTHER] = "other",       [CV_AV_FRAME] = "frame", [CV_AV_CONFIG] = "config",
        [CV_AV_CHANNELS] = "channels", [CV_AV_COLOR] = "color", [CV_AV_END] = "end",
        [CV_AV_COMMAND] = "command",   [CV_AV_EMPTY] = "empty",
    };
    CV_ASSERT(role <= CV_AV_EMPTY);
    return names[role];
}
