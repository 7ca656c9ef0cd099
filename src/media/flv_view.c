#include "media/flv_view.h"

#include "base/check.h"
#include "base/seq.h"
#include "base/wire.h"
#include "media/avtag.h"
#include "media/codec.h"
#include "media/metadata.h"
#include "proto/amf0.h"

#include <string.h>

enum {
    TAG_BYTES_MAX = 0xffffff,    // the length has 24 bits
    TS_MASK = 0x7fffffff,        // the time is a signed number in players
    COMPOSITION_BYTES = 3,       //
    PACKET_CODED_FRAMES = 1,     // enhanced video: a composition time comes first
    PACKET_MPEG2TS_SEQUENCE = 5, // enhanced video: a configuration in another form
    AAC_HEADER = 0xaf,           // what AAC always says (FLV E.4.2.1)
    MP3_HEADER = 0x2f,           // players read the frames' own headers
    NO_NUMBER = 16,
};

// What players in a page understand, and how it has to be written.
static const struct shown {
    uint32_t fourcc;
    bool video;
    bool enhanced;  // is to be written with its FourCC
    uint8_t number; // legacy codec number that they understand
} shown_codecs[] = {
    {CV_FOURCC_AVC, true, false, 7},          {CV_FOURCC_HEVC, true, true, 12},
    {CV_FOURCC_AV1, true, true, NO_NUMBER},   {CV_FOURCC_AAC, false, false, 10},
    {CV_FOURCC_MP3, false, false, 2},         {CV_FOURCC_OPUS, false, true, NO_NUMBER},
    {CV_FOURCC_FLAC, false, true, NO_NUMBER},
};

// NULL when they do not understand it, or not in a message of this kind.
static const struct shown *find_shown(bool video, uint32_t fourcc)
{
    for (size_t i = 0; i < sizeof shown_codecs / sizeof shown_codecs[0]; i++)
        if (shown_codecs[i].video == video && shown_codecs[i].fourcc == fourcc)
            return &shown_codecs[i];
    return NULL;
}

// ---- which tracks there are -----------------------------------------------------------------

// True, and *shown is set, when the message tells of the default track: whether it can be shown.
static bool tells(bool video, const struct cv_block *payload, bool *shown)
{
    struct cv_avtag tag;
    if (cv_avtag_parse(&tag, video, payload->data, payload->len, NULL) != CV_OK)
        return false;
    const struct cv_avtag_track *track = cv_avtag_find(&tag, 0);
    if (!track || (tag.role != CV_AV_FRAME && tag.role != CV_AV_CONFIG))
        return false;
    *shown = find_shown(video, track->fourcc);
    return true;
}

// A codec header is the best witness; codecs without one are known by their oldest frame.
static bool has_shown_track(const struct cv_stream_log *log, bool video)
{
    uint8_t type = video ? CV_MSG_VIDEO : CV_MSG_AUDIO;
    uint8_t flag = video ? CV_LOG_VIDEO : CV_LOG_AUDIO;
    bool shown = false;
    if (!(video ? log->has_video : log->has_audio))
        return false;
    for (uint32_t i = 0; i < log->header_count; i++) {
        const struct cv_log_header *header = &log->headers[i];
        if (header->type == type && tells(video, header->payload, &shown))
            return shown;
    }
    for (uint64_t seq = log->tail; seq < log->head; seq++) {
        const struct cv_log_entry *entry = cv_stream_log_at(log, seq);
        if (entry->flags & flag && tells(video, entry->payload, &shown))
            return shown;
    }
    return false;
}

bool cv_flv_tracks_known(const struct cv_stream_log *log)
{
    if (log->has_audio && log->has_video)
        return true;
    for (uint64_t seq = log->tail; seq < log->head; seq++) {
        const struct cv_log_entry *entry = cv_stream_log_at(log, seq);
        if (entry->flags & (CV_LOG_AUDIO | CV_LOG_VIDEO)) // others need not have the frames' time
            return cv_seq_diff(log->last_ts_ms, entry->ts_ms) >= CV_FLV_TRACKS_MS;
    }
    return false;
}

struct cv_flv_view cv_flv_view_new(const struct cv_stream_log *log, bool plain)
{
    return (struct cv_flv_view){
        .plain = plain,
        .has_audio = plain ? log->has_audio : has_shown_track(log, false),
        .has_video = plain ? log->has_video : has_shown_track(log, true),
    };
}

// ---- audio and video ------------------------------------------------------------------------

// The message can be sent as it is.
static bool is_fit(const struct cv_avtag *tag, const struct shown *shown, uint8_t first)
{
    if (!tag->enhanced)
        return (tag->video ? first & 0x0f : first >> 4) == shown->number;
    bool bare = (first & 0x0f) == tag->packet_type; // no ModEx, no multitrack before it
    return shown->enhanced && bare;
}

static void write_enhanced(struct cv_wr *wr, const struct cv_avtag *tag, uint32_t fourcc)
{
    enum { EX_VIDEO = 0x80, EX_AUDIO = 0x90 };
    int kind = tag->video ? EX_VIDEO | tag->frame_type << 4 : EX_AUDIO;
    cv_wr_u8(wr, (uint8_t)(kind | tag->packet_type));
    cv_wr_u32(wr, fourcc);
}

// `composed`: the body starts with the composition time already.
static void write_legacy(struct cv_wr *wr, const struct cv_avtag *tag, const struct shown *shown,
                         bool composed)
{
    uint8_t packet = tag->role == CV_AV_CONFIG ? 0 : tag->role == CV_AV_FRAME ? 1 : 2;
    if (tag->video) {
        cv_wr_u8(wr, (uint8_t)(tag->frame_type << 4 | shown->number));
        cv_wr_u8(wr, packet);
        if (!composed)
            cv_wr_u24(wr, 0);
    } else if (shown->fourcc == CV_FOURCC_AAC) {
        cv_wr_u8(wr, AAC_HEADER);
        cv_wr_u8(wr, packet);
    } else {
        cv_wr_u8(wr, MP3_HEADER);
    }
}

// What the player's parsers have no place for.
static bool is_unfit(const struct cv_avtag *tag, const struct shown *shown)
{
    if (tag->role != CV_AV_FRAME && tag->role != CV_AV_CONFIG && tag->role != CV_AV_END)
        return true;
    if (tag->video)
        return tag->enhanced && tag->packet_type == PACKET_MPEG2TS_SEQUENCE;
    // Legacy audio knows no end, and MP3 no configuration.
    return !shown->enhanced && (tag->role == CV_AV_END ||
                                (shown->fourcc == CV_FOURCC_MP3 && tag->role == CV_AV_CONFIG));
}

static void rewrite(const struct cv_avtag *tag, const struct cv_avtag_track *track,
                    const struct shown *shown, struct cv_flv_tag *out)
{
    bool composed = tag->enhanced && tag->video && tag->packet_type == PACKET_CODED_FRAMES &&
                    cv_codec_has_composition(track->fourcc);
    uint32_t before = composed ? COMPOSITION_BYTES : 0;
    struct cv_wr wr = cv_wr_fixed(out->prefix, sizeof out->prefix);
    if (shown->enhanced)
        write_enhanced(&wr, tag, track->fourcc);
    else
        write_legacy(&wr, tag, shown, composed);
    CV_ASSERT(wr.err == CV_OK && track->body_offset >= before);
    out->prefix_len = (uint8_t)wr.len;
    out->offset = track->body_offset - before;
    out->len = track->body_len + before;
}

// 1: *out is filled but for its time and reference. 0: nothing for the viewer.
static int view_media(struct cv_flv_view *view, const struct cv_msg *msg, struct cv_flv_tag *out)
{
    struct cv_avtag tag;
    bool video = msg->type == CV_MSG_VIDEO;
    const struct cv_block *payload = msg->payload;
    bool readable = cv_avtag_parse(&tag, video, payload->data, payload->len, NULL) == CV_OK;
    const struct cv_avtag_track *track = readable ? cv_avtag_find(&tag, 0) : NULL;
    if (!track) {
        view->dropped++;
        return 0;
    }
    const struct shown *shown = find_shown(video, track->fourcc);
    if (!shown) {
        view->unsupported++;
        return 0;
    }
    if (is_unfit(&tag, shown)) {
        view->dropped++;
        return 0;
    }
    if (!is_fit(&tag, shown, payload->data[0]))
        rewrite(&tag, track, shown, out);
    return 1;
}

// ---- metadata -------------------------------------------------------------------------------

// Members that are written anew, or would be wrong here.
static bool is_replaced(struct cv_text key)
{
    static const char *const replaced[] = {"hasAudio", "hasVideo", "duration", "filesize",
                                           "keyframes"};
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++)
        if (cv_text_is(key, replaced[i]))
            return true;
    return false;
}

static struct cv_block *write_metadata(const struct cv_flv_view *view, const struct cv_amf *object,
                                       int *err)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    cv_amf0_string(&wr, "onMetaData");
    cv_amf0_ecma_array(&wr, 0); // the count is a hint only
    cv_amf0_key(&wr, "hasAudio");
    cv_amf0_boolean(&wr, view->has_audio);
    cv_amf0_key(&wr, "hasVideo");
    cv_amf0_boolean(&wr, view->has_video);
    cv_amf0_put_number(&wr, "duration", 0);
    for (const struct cv_amf *member = object ? object->first : NULL; member;
         member = member->next) {
        if (member->key.len == 0 || is_replaced(member->key))
            continue;
        cv_amf0_key_text(&wr, member->key);
        cv_amf0_value(&wr, member);
    }
    cv_amf0_end(&wr);
    struct cv_block *block = cv_wr_take(&wr);
    *err = wr.err;
    return block;
}

// The object of an onMetaData message, or NULL. Borrowed from the document.
static const struct cv_amf *metadata_object(const struct cv_amf_doc *doc)
{
    const struct cv_amf *object = cv_amf_doc_at(doc, 1);
    bool fits = object && (object->type == CV_AMF_OBJECT || object->type == CV_AMF_ECMA_ARRAY);
    return fits ? object : NULL;
}

// Metadata that cannot be read, or is too long when it is written out, keeps what players need.
static struct cv_block *rewrite_metadata(const struct cv_flv_view *view, const uint8_t *data,
                                         size_t len)
{
    struct cv_amf_doc *doc = cv_amf_doc_new();
    if (!doc)
        return NULL;
    struct cv_block *block = NULL;
    int err = cv_amf0_decode(doc, data, len, NULL);
    if (err != CV_E_NOMEM)
        block = write_metadata(view, err == CV_OK ? metadata_object(doc) : NULL, &err);
    if (!block && err != CV_E_NOMEM)
        block = write_metadata(view, NULL, &err);
    cv_amf_doc_free(doc);
    return block;
}

static int view_data(struct cv_flv_view *view, const struct cv_msg *msg, struct cv_flv_tag *out)
{
    size_t offset = 0;
    enum cv_data_kind kind = cv_data_classify(msg->payload, &offset);
    if (kind == CV_DATA_CLEAR) {
        view->dropped++;
        return 0;
    }
    out->offset = (uint32_t)offset;
    out->len = msg->payload->len - out->offset;
    if (view->plain || kind != CV_DATA_METADATA)
        return 1;
    out->payload = rewrite_metadata(view, msg->payload->data + out->offset, out->len);
    if (!out->payload)
        return CV_E_NOMEM;
    out->offset = 0;
    out->len = out->payload->len;
    return 1;
}

// ---- both -----------------------------------------------------------------------------------

// Time since the viewer's first frame. What lies before it is sent at 0; after 24 days it starts
// anew, since there is no way to say more.
static uint32_t rebase(struct cv_flv_view *view, const struct cv_msg *msg)
{
    if (!view->based && msg->type == CV_MSG_DATA_AMF0)
        return 0;
    if (view->based)
        view->elapsed_ms += cv_seq_diff(msg->ts_ms, view->last_ts_ms);
    view->based = true;
    view->last_ts_ms = msg->ts_ms;
    return view->elapsed_ms < 0 ? 0 : (uint32_t)(view->elapsed_ms & TS_MASK);
}

static int view_message(struct cv_flv_view *view, const struct cv_msg *msg, struct cv_flv_tag *out)
{
    if (msg->type == CV_MSG_DATA_AMF0)
        return view_data(view, msg, out);
    if (msg->type != CV_MSG_AUDIO && msg->type != CV_MSG_VIDEO) {
        view->dropped++;
        return 0;
    }
    return view->plain ? 1 : view_media(view, msg, out);
}

int cv_flv_view_tag(struct cv_flv_view *view, const struct cv_msg *msg, struct cv_flv_tag *out)
{
    struct cv_flv_tag tag = {.type = msg->type, .len = msg->payload->len};
    int more = view_message(view, msg, &tag);
    if (more <= 0)
        return more;
    if (tag.len > TAG_BYTES_MAX - sizeof tag.prefix) {
        cv_block_unref(&tag.payload);
        view->dropped++;
        return 0;
    }
    if (!tag.payload)
        tag.payload = cv_block_ref(msg->payload);
    tag.ts_ms = rebase(view, msg);
    view->tags++;
    *out = tag;
    return 1;
}
