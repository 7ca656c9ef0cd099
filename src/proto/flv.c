#include "proto/flv.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/message.h"

#include <string.h>

enum {
    FILE_HEADER_BYTES = 9, // without the back pointer
    FLAG_AUDIO = 0x04,
    FLAG_VIDEO = 0x01,
    TYPE_MASK = 0x1f,
    TYPE_ENCRYPTED = 0x20,
    LEN_MAX = 0xffffff,
    FIRST_ROOM_BYTES = 1024, // of a tag that comes in pieces
};

// ---- one tag head ---------------------------------------------------------------------------

struct cv_flv_head cv_flv_read_head(struct cv_rd *rd)
{
    uint8_t type = cv_rd_u8(rd);
    uint32_t len = cv_rd_u24(rd);
    uint32_t low = cv_rd_u24(rd);
    uint32_t high = cv_rd_u8(rd);
    cv_rd_u24(rd);
    return (struct cv_flv_head){
        .type = type & TYPE_MASK,
        .encrypted = type & TYPE_ENCRYPTED,
        .len = len,
        .ts_ms = high << 24 | low,
    };
}

// ---- writing --------------------------------------------------------------------------------

void cv_flv_write_header(struct cv_wr *wr, bool has_audio, bool has_video)
{
    cv_wr_bytes(wr, "FLV", 3);
    cv_wr_u8(wr, 1);
    cv_wr_u8(wr, (uint8_t)((has_audio ? FLAG_AUDIO : 0) | (has_video ? FLAG_VIDEO : 0)));
    cv_wr_u32(wr, FILE_HEADER_BYTES);
    cv_wr_u32(wr, 0);
}

void cv_flv_write_tag_head(uint8_t out[CV_FLV_TAG_HEAD_BYTES], uint8_t type, uint32_t ts_ms,
                           uint32_t len)
{
    CV_ASSERT(len <= LEN_MAX && type <= TYPE_MASK);
    struct cv_wr wr = cv_wr_fixed(out, CV_FLV_TAG_HEAD_BYTES);
    cv_wr_u8(&wr, type);
    cv_wr_u24(&wr, len);
    cv_wr_u24(&wr, ts_ms);
    cv_wr_u8(&wr, (uint8_t)(ts_ms >> 24));
    cv_wr_u24(&wr, 0);
}

void cv_flv_write_tag_tail(uint8_t out[CV_FLV_TAG_TAIL_BYTES], uint32_t len)
{
    CV_ASSERT(len <= LEN_MAX);
    struct cv_wr wr = cv_wr_fixed(out, CV_FLV_TAG_TAIL_BYTES);
    cv_wr_u32(&wr, CV_FLV_TAG_HEAD_BYTES + len);
}

void cv_flv_write_tag(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, const void *data,
                      uint32_t len)
{
    uint8_t head[CV_FLV_TAG_HEAD_BYTES];
    uint8_t tail[CV_FLV_TAG_TAIL_BYTES];
    cv_flv_write_tag_head(head, type, ts_ms, len);
    cv_flv_write_tag_tail(tail, len);
    cv_wr_bytes(wr, head, sizeof head);
    cv_wr_bytes(wr, data, len);
    cv_wr_bytes(wr, tail, sizeof tail);
}

// ---- reading --------------------------------------------------------------------------------

enum state { FILE_HEADER, SKIP, TAG_HEAD, TAG_BODY };

// What a step did.
enum { NEED_BYTES = 0, EVENT = 1, GO_ON = 2 };

struct cv_flv_reader {
    uint32_t media_max;
    enum state state;
    struct cv_rd in;                        // borrowed: what was fed and not read yet
    uint8_t scratch[CV_FLV_TAG_HEAD_BYTES]; // a head that came in pieces
    size_t scratch_used;
    size_t skip; // state SKIP: bytes that nobody needs, then a tag head
    struct cv_flv_head head;
    struct cv_block *body; // state TAG_BODY: what has come so far; NULL before the first byte
    struct cv_why why;
};

struct cv_flv_reader *cv_flv_reader_new(uint32_t media_max)
{
    struct cv_flv_reader *reader = cv_mem_zero(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->media_max = media_max;
    reader->in = cv_rd_over(NULL, 0);
    return reader;
}

void cv_flv_reader_free(struct cv_flv_reader *reader)
{
    if (!reader)
        return;
    cv_block_unref(&reader->body);
    cv_mem_free(reader);
}

int cv_flv_reader_feed(struct cv_flv_reader *reader, const void *data, size_t len)
{
    CV_ASSERT(reader->why.code != CV_OK || cv_rd_left(&reader->in) == 0);
    reader->in = cv_rd_over(data, len);
    return reader->why.code;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Brings `need` bytes together in the scratch. False while some are missing.
static bool collect(struct cv_flv_reader *reader, size_t need)
{
    CV_ASSERT(need <= sizeof reader->scratch && reader->scratch_used < need);
    size_t n = smaller(need - reader->scratch_used, cv_rd_left(&reader->in));
    if (n)
        memcpy(reader->scratch + reader->scratch_used, cv_rd_bytes(&reader->in, n), n);
    reader->scratch_used += n;
    if (reader->scratch_used < need)
        return false;
    reader->scratch_used = 0;
    return true;
}

static void skip_then_head(struct cv_flv_reader *reader, size_t bytes)
{
    reader->skip = bytes;
    reader->state = SKIP;
}

static int read_file_header(struct cv_flv_reader *reader, struct cv_flv_event *out)
{
    if (!collect(reader, FILE_HEADER_BYTES))
        return NEED_BYTES;
    struct cv_rd rd = cv_rd_over(reader->scratch, FILE_HEADER_BYTES);
    uint32_t signature = cv_rd_u32(&rd);
    uint8_t flags = cv_rd_u8(&rd);
    uint32_t offset = cv_rd_u32(&rd);
    if (signature != 0x464c5601)
        return cv_why_set(&reader->why, CV_E_FLV, "flv", "no FLV file: starts with 0x%08x",
                          signature);
    if (offset < FILE_HEADER_BYTES || offset > CV_LIMIT_FLV_HEADER_BYTES)
        return cv_why_set(&reader->why, CV_E_FLV, "flv", "file header of %u bytes", offset);
    skip_then_head(reader, offset - FILE_HEADER_BYTES + CV_FLV_TAG_TAIL_BYTES);
    *out = (struct cv_flv_event){
        .kind = CV_FLV_HEADER,
        .has_audio = flags & FLAG_AUDIO,
        .has_video = flags & FLAG_VIDEO,
    };
    return EVENT;
}

static int read_skipped(struct cv_flv_reader *reader)
{
    size_t n = smaller(reader->skip, cv_rd_left(&reader->in));
    cv_rd_bytes(&reader->in, n);
    reader->skip -= n;
    if (reader->skip > 0)
        return NEED_BYTES;
    reader->state = TAG_HEAD;
    return GO_ON;
}

static bool is_known(uint8_t type)
{
    return type == CV_MSG_AUDIO || type == CV_MSG_VIDEO || type == CV_MSG_DATA_AMF0 ||
           type == CV_MSG_DATA_AMF3;
}

static int read_tag_head(struct cv_flv_reader *reader)
{
    if (!collect(reader, CV_FLV_TAG_HEAD_BYTES))
        return NEED_BYTES;
    struct cv_rd rd = cv_rd_over(reader->scratch, CV_FLV_TAG_HEAD_BYTES);
    struct cv_flv_head head = cv_flv_read_head(&rd);
    if (!is_known(head.type)) {
        skip_then_head(reader, (size_t)head.len + CV_FLV_TAG_TAIL_BYTES);
        return GO_ON;
    }
    if (head.encrypted)
        return cv_why_set(&reader->why, CV_E_FLV, "flv", "tag of type %u is encrypted", head.type);
    if (head.len > cv_msg_limit(head.type, reader->media_max))
        return cv_why_set(&reader->why, CV_E_TOO_LONG, "flv", "tag of type %u with %u bytes",
                          head.type, head.len);
    reader->head = head;
    reader->state = TAG_BODY;
    return GO_ON;
}

// Room for `more` bytes that are here. It at least doubles, so that bytes are moved few times, and
// never goes past the tag's end.
static int make_room(struct cv_flv_reader *reader, size_t more)
{
    size_t need = (reader->body ? reader->body->len : 0) + more;
    size_t twice = reader->body ? (size_t)reader->body->capacity * 2 : FIRST_ROOM_BYTES;
    size_t want = smaller(need > twice ? need : twice, reader->head.len);
    if (reader->body)
        return need <= reader->body->capacity ? CV_OK : cv_block_reserve(&reader->body, want);
    reader->body = cv_block_new(want);
    return reader->body ? CV_OK : CV_E_NOMEM;
}

static int read_tag_body(struct cv_flv_reader *reader, struct cv_flv_event *out)
{
    size_t have = reader->body ? reader->body->len : 0;
    size_t n = smaller(reader->head.len - have, cv_rd_left(&reader->in));
    if (have + n < reader->head.len && n == 0)
        return NEED_BYTES;
    int err = make_room(reader, n);
    if (err != CV_OK)
        return cv_why_set(&reader->why, err, "flv", "no room for a tag of %u bytes",
                          reader->head.len);
    cv_block_append(reader->body, cv_rd_bytes(&reader->in, n), n);
    if (have + n < reader->head.len)
        return NEED_BYTES;
    *out = (struct cv_flv_event){
        .kind = CV_FLV_TAG,
        .type = reader->head.type,
        .ts_ms = reader->head.ts_ms,
        .payload = reader->body,
    };
    reader->body = NULL;
    // The back pointer is not looked at: many writers get it wrong, and nothing depends on it.
    skip_then_head(reader, CV_FLV_TAG_TAIL_BYTES);
    return EVENT;
}

static int step(struct cv_flv_reader *reader, struct cv_flv_event *out)
{
    switch (reader->state) {
    case FILE_HEADER:
        return read_file_header(reader, out);
    case SKIP:
        return read_skipped(reader);
    case TAG_HEAD:
        return read_tag_head(reader);
    case TAG_BODY:
        return read_tag_body(reader, out);
    }
    CV_UNREACHABLE();
}

int cv_flv_reader_next(struct cv_flv_reader *reader, struct cv_flv_event *out)
{
    int did = reader->why.code != CV_OK ? reader->why.code : GO_ON;
    while (did == GO_ON)
        did = step(reader, out);
    return did;
}

struct cv_rd cv_flv_reader_unread(struct cv_flv_reader *reader)
{
    struct cv_rd rest = reader->in;
    reader->in = cv_rd_over(NULL, 0);
    return rest;
}

int cv_flv_reader_end(struct cv_flv_reader *reader)
{
    CV_ASSERT(reader->why.code != CV_OK || cv_rd_left(&reader->in) == 0);
    bool between =
        reader->state == SKIP || (reader->state == TAG_HEAD && reader->scratch_used == 0);
    if (reader->why.code != CV_OK || between)
        return reader->why.code;
    return cv_why_set(&reader->why, CV_E_TRUNCATED, "flv", "the file ends inside a tag");
}

const struct cv_why *cv_flv_reader_why(const struct cv_flv_reader *reader)
{
    return &reader->why;
}
