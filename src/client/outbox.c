#include "client/outbox.h"

#include "base/check.h"
#include "base/mem.h"
#include "media/avtag.h"
#include "media/metadata.h"

enum { FIRST_ENTRIES = 64, ENTRIES_MAX = 1 << 16 };

void cv_outbox_init(struct cv_outbox *outbox, size_t bytes_max, bool keep_all)
{
    *outbox = (struct cv_outbox){.bytes_max = bytes_max, .keep_all = keep_all};
}

static struct cv_outbox_entry *entry_at(const struct cv_outbox *outbox, uint64_t at)
{
    CV_ASSERT(at >= outbox->tail && at < outbox->head);
    return &outbox->ring[at & (outbox->capacity - 1)];
}

static void drop_tail(struct cv_outbox *outbox)
{
    struct cv_outbox_entry *entry = entry_at(outbox, outbox->tail);
    if (outbox->tail >= outbox->arrived) {
        outbox->lost += outbox->tail >= outbox->next;
        outbox->arrived = outbox->tail + 1;
    }
    outbox->bytes -= entry->payload->len;
    cv_block_unref(&entry->payload);
    outbox->tail++;
    if (outbox->next < outbox->tail)
        outbox->next = outbox->tail;
}

void cv_outbox_done(struct cv_outbox *outbox)
{
    while (outbox->tail < outbox->head)
        drop_tail(outbox);
    CV_ASSERT(outbox->bytes == 0);
    for (uint32_t i = 0; i < outbox->header_count; i++)
        cv_block_unref(&outbox->headers[i].payload);
    cv_mem_free(outbox->ring);
    *outbox = (struct cv_outbox){0};
}

size_t cv_outbox_waiting_bytes(const struct cv_outbox *outbox)
{
    size_t bytes = 0;
    for (uint64_t at = outbox->arrived; at < outbox->head; at++)
        bytes += entry_at(outbox, at)->payload->len;
    return bytes;
}

uint32_t cv_outbox_newest_ts_ms(const struct cv_outbox *outbox)
{
    return outbox->head > outbox->tail ? entry_at(outbox, outbox->head - 1)->ts_ms : 0;
}

// ---- headers ----------------------------------------------------------------------------------

// What a message is to a server that begins anew. False: an entry like any other.
static bool read_header(const struct cv_msg *msg, struct cv_outbox_header *out, bool *starts)
{
    struct cv_avtag tag;
    size_t offset;
    *out = (struct cv_outbox_header){.type = msg->type};
    *starts = false;
    if (msg->type == CV_MSG_DATA_AMF0) // other data (cue points, captions) is of its moment
        return cv_data_classify(msg->payload, &offset) == CV_DATA_METADATA;
    bool video = msg->type == CV_MSG_VIDEO;
    if (cv_avtag_parse(&tag, video, msg->payload->data, msg->payload->len, NULL) != CV_OK)
        return false;
    *starts = video && cv_avtag_starts_gop(&tag);
    out->role = (uint8_t)tag.role;
    out->track = tag.track_count ? tag.tracks[0].id : 0;
    return cv_avtag_is_header(&tag);
}

static void keep_header(struct cv_outbox *outbox, const struct cv_outbox_header *header,
                        struct cv_block *payload)
{
    uint32_t i = 0;
    while (i < outbox->header_count &&
           (outbox->headers[i].type != header->type || outbox->headers[i].role != header->role ||
            outbox->headers[i].track != header->track))
        i++;
    if (i == sizeof outbox->headers / sizeof outbox->headers[0])
        return;
    if (i == outbox->header_count)
        outbox->header_count++;
    else
        cv_block_unref(&outbox->headers[i].payload);
    outbox->headers[i] = *header;
    outbox->headers[i].payload = cv_block_ref(payload);
}

// ---- room -------------------------------------------------------------------------------------

static int grow(struct cv_outbox *outbox)
{
    uint32_t capacity = outbox->capacity ? 2 * outbox->capacity : FIRST_ENTRIES;
    struct cv_outbox_entry *ring = cv_mem_zero(capacity, sizeof *ring);
    if (!ring)
        return CV_E_NOMEM;
    for (uint64_t at = outbox->tail; at < outbox->head; at++)
        ring[at & (capacity - 1)] = *entry_at(outbox, at);
    cv_mem_free(outbox->ring);
    outbox->ring = ring;
    outbox->capacity = capacity;
    return CV_OK;
}

static bool is_full(const struct cv_outbox *outbox, size_t len)
{
    return outbox->head - outbox->tail >= ENTRIES_MAX || outbox->bytes + len > outbox->bytes_max;
}

// From the oldest entry up to the next place to start from.
static void drop_group(struct cv_outbox *outbox)
{
    do
        drop_tail(outbox);
    while (outbox->tail < outbox->head && !entry_at(outbox, outbox->tail)->starts &&
           outbox->has_video);
}

// What has arrived goes first, whatever it was kept for. One message that is larger than everything
// is taken alone.
static int make_room(struct cv_outbox *outbox, size_t len)
{
    while (is_full(outbox, len) && outbox->tail < outbox->arrived)
        drop_tail(outbox);
    while (is_full(outbox, len) && outbox->tail < outbox->head) {
        if (outbox->keep_all)
            return CV_E_AGAIN;
        drop_group(outbox);
        outbox->wants_start = outbox->tail == outbox->head && outbox->has_video;
    }
    return outbox->head - outbox->tail < outbox->capacity ? CV_OK : grow(outbox);
}

int cv_outbox_add(struct cv_outbox *outbox, const struct cv_msg *msg)
{
    struct cv_outbox_header header;
    bool starts;
    bool is_header = read_header(msg, &header, &starts);
    int err = make_room(outbox, msg->payload->len);
    if (err != CV_OK)
        return err;
    outbox->has_video = outbox->has_video || msg->type == CV_MSG_VIDEO;
    if (is_header)
        keep_header(outbox, &header, msg->payload);
    if (outbox->wants_start && !starts && !is_header) {
        outbox->lost++;
        return CV_OK;
    }
    outbox->wants_start = outbox->wants_start && !starts;
    uint64_t at = outbox->head++;
    *entry_at(outbox, at) = (struct cv_outbox_entry){
        .payload = cv_block_ref(msg->payload),
        .ts_ms = msg->ts_ms,
        .type = msg->type,
        .starts = starts || (is_header && msg->type == CV_MSG_VIDEO) ||
                  (!outbox->has_video && !is_header),
        .header = is_header,
    };
    outbox->bytes += msg->payload->len;
    return CV_OK;
}

// ---- sending ----------------------------------------------------------------------------------

bool cv_outbox_all_sent(const struct cv_outbox *outbox)
{
    return outbox->next == outbox->head;
}

// Headers carry the time of the entry that follows them.
static uint32_t header_ts(const struct cv_outbox *outbox)
{
    return cv_outbox_all_sent(outbox) ? 0 : entry_at(outbox, outbox->next)->ts_ms;
}

int cv_outbox_peek(const struct cv_outbox *outbox, struct cv_msg *out)
{
    if (outbox->headers_left) {
        const struct cv_outbox_header *header =
            &outbox->headers[outbox->header_count - outbox->headers_left];
        *out = (struct cv_msg){
            .type = header->type, .ts_ms = header_ts(outbox), .payload = header->payload};
        return 1;
    }
    if (cv_outbox_all_sent(outbox))
        return 0;
    const struct cv_outbox_entry *entry = entry_at(outbox, outbox->next);
    *out = (struct cv_msg){.type = entry->type, .ts_ms = entry->ts_ms, .payload = entry->payload};
    return 1;
}

void cv_outbox_sent(struct cv_outbox *outbox)
{
    outbox->count++;
    if (outbox->headers_left)
        outbox->headers_left--;
    else
        outbox->next++;
}

// Of `count` messages of this publishing: those that are entries.
static uint64_t entries_of(const struct cv_outbox *outbox, uint64_t count)
{
    return count > outbox->headers_before ? count - outbox->headers_before : 0;
}

// The place of the message that the server counts as number `count` + 1. Headers have no place.
// *out_gone: so many messages behind number `count` were sent and are kept no more.
static uint64_t place_of(const struct cv_outbox *outbox, uint64_t count, uint64_t *out_gone)
{
    uint64_t behind = entries_of(outbox, outbox->count) - entries_of(outbox, count);
    uint64_t there = outbox->next - outbox->tail;
    *out_gone = behind > there ? behind - there : 0;
    return behind > there ? outbox->tail : outbox->next - behind;
}

// The newest place to start from, not behind what has arrived; the oldest entry, if there is none.
static uint64_t newest_start(const struct cv_outbox *outbox)
{
    uint64_t at = outbox->arrived;
    while (at > outbox->tail && (at == outbox->head || !entry_at(outbox, at)->starts))
        at--;
    return at;
}

// What a server that begins anew would not need.
static void let_go(struct cv_outbox *outbox)
{
    uint64_t keep = newest_start(outbox);
    while (outbox->tail < keep)
        drop_tail(outbox);
}

int cv_outbox_taken(struct cv_outbox *outbox, uint64_t count)
{
    if (count > outbox->count)
        return CV_E_SEQUENCE;
    uint64_t gone;
    uint64_t place = place_of(outbox, count, &gone);
    if (place > outbox->arrived) {
        outbox->arrived = place;
        let_go(outbox);
    }
    return CV_OK;
}

// ---- another way ------------------------------------------------------------------------------

int cv_outbox_resume(struct cv_outbox *outbox, uint64_t taken)
{
    int err = cv_outbox_taken(outbox, taken);
    if (err != CV_OK)
        return err;
    uint64_t gone;
    outbox->next = place_of(outbox, taken, &gone);
    outbox->lost += gone;
    outbox->count = taken;
    outbox->headers_left = 0;
    if (taken < outbox->headers_before) {
        // With those that have come since.
        outbox->headers_before = outbox->header_count;
        outbox->headers_left = outbox->header_count - (uint32_t)taken;
    }
    return CV_OK;
}

void cv_outbox_restart(struct cv_outbox *outbox)
{
    uint64_t next = newest_start(outbox);
    while (next < outbox->head && !entry_at(outbox, next)->starts)
        next++;
    for (uint64_t at = outbox->arrived; at < next; at++)
        outbox->lost += !entry_at(outbox, at)->header; // headers come again
    outbox->wants_start = next == outbox->head && outbox->has_video;
    outbox->next = next;
    outbox->arrived = next; // at this server nothing has
    outbox->count = 0;
    outbox->headers_before = outbox->headers_left = outbox->header_count;
}
