#include "proto/chunk_in.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

static const char place[] = "chunk";

enum {
    FIRST_CONTEXTS = 4, // what a player opens
    FIRST_PARTIAL_BYTES = 1024,
    EXTENDED_BYTES = 4,
    NO_TIME = 0xffffff, // the 24-bit field says: an extended timestamp follows
};

// Bytes of the message header by its type (5.3.1.2).
static const uint8_t message_header_bytes[4] = {11, 7, 3, 0};

void cv_chunk_in_init(struct cv_chunk_in *in, uint32_t media_bytes_max)
{
    *in = (struct cv_chunk_in){
        .chunk_bytes = CV_CHUNK_BYTES_INITIAL,
        .media_bytes_max = media_bytes_max,
    };
}

// The longest message that any type may have.
static size_t largest_message(const struct cv_chunk_in *in)
{
    uint32_t media = in->media_bytes_max;
    return media > CV_LIMIT_SHARED_OBJECT_BYTES ? media : CV_LIMIT_SHARED_OBJECT_BYTES;
}

static void drop_partial(struct cv_chunk_in *in, struct cv_chunk_context *context)
{
    if (!context->partial)
        return;
    in->partial_bytes -= context->partial->len;
    cv_block_unref(&context->partial);
}

void cv_chunk_in_done(struct cv_chunk_in *in)
{
    for (uint32_t i = 0; i < in->count; i++)
        drop_partial(in, &in->contexts[i]);
    CV_ASSERT(in->partial_bytes == 0);
    cv_mem_free(in->contexts);
    *in = (struct cv_chunk_in){0};
}

int cv_chunk_in_set_size(struct cv_chunk_in *in, uint32_t chunk_bytes)
{
    if (chunk_bytes == 0 || chunk_bytes > INT32_MAX)
        return CV_E_CHUNK_SIZE;
    in->chunk_bytes = chunk_bytes > CV_LIMIT_CHUNK_BYTES ? CV_LIMIT_CHUNK_BYTES : chunk_bytes;
    return CV_OK;
}

static struct cv_chunk_context *find_context(struct cv_chunk_in *in, uint32_t csid)
{
    for (uint32_t i = 0; i < in->count; i++) {
        if (in->contexts[i].csid == csid)
            return &in->contexts[i];
    }
    return NULL;
}

void cv_chunk_in_abort(struct cv_chunk_in *in, uint32_t csid)
{
    struct cv_chunk_context *context = find_context(in, csid);
    if (context)
        drop_partial(in, context);
}

static int open_context(struct cv_chunk_in *in, uint32_t csid, struct cv_why *why)
{
    if (in->count == CV_LIMIT_CHUNK_STREAMS)
        return cv_why_set(why, CV_E_TOO_MANY, place, "more than %d chunk streams",
                          CV_LIMIT_CHUNK_STREAMS);
    if (in->count == in->capacity) {
        uint32_t capacity = in->capacity ? in->capacity * 2 : FIRST_CONTEXTS;
        void *moved = cv_mem_resize(in->contexts, capacity * sizeof *in->contexts);
        if (!moved)
            return cv_why_set(why, CV_E_NOMEM, place, "no memory for a chunk stream");
        in->contexts = moved;
        in->capacity = capacity;
    }
    in->contexts[in->count++] = (struct cv_chunk_context){.csid = csid};
    return CV_OK;
}

// Room for `more` bytes of the unfinished message: at least doubled, at most the message's length,
// so that memory follows what has arrived.
static int grow_partial(struct cv_chunk_context *context, size_t more)
{
    size_t need = context->partial->len + more;
    size_t want = (size_t)context->partial->capacity * 2;
    if (need <= context->partial->capacity)
        return CV_OK;
    if (want < need)
        want = need;
    if (want > context->len)
        want = context->len;
    return cv_block_reserve(&context->partial, want);
}

// ---- headers --------------------------------------------------------------------------------

struct header {
    uint32_t csid;
    uint8_t form;       // 0-3, the type of the message header
    size_t len;         // of all of it
    uint32_t time;      // forms 0-2: timestamp or delta
    uint32_t msg_len;   // forms 0 and 1
    uint8_t type;       // forms 0 and 1
    uint32_t stream_id; // form 0
};

// Moves bytes from `rd` into the look-ahead until it has `need`. False when `rd` ran dry before.
static bool look(struct cv_chunk_in *in, struct cv_rd *rd, size_t need)
{
    CV_ASSERT(need <= sizeof in->ahead);
    if (in->ahead_len >= need)
        return true;
    size_t missing = need - in->ahead_len;
    size_t take = missing < cv_rd_left(rd) ? missing : cv_rd_left(rd);
    if (take)
        memcpy(in->ahead + in->ahead_len, cv_rd_bytes(rd, take), take);
    in->ahead_len = (uint8_t)(in->ahead_len + take);
    return take == missing;
}

// The first `len` bytes of the look-ahead are done with.
static void use_up(struct cv_chunk_in *in, size_t len)
{
    CV_ASSERT(len <= in->ahead_len);
    in->ahead_len = (uint8_t)(in->ahead_len - len);
    memmove(in->ahead, in->ahead + len, in->ahead_len);
}

// Bytes of the basic header (5.3.1.1) that starts with `first`.
static size_t basic_bytes(uint8_t first)
{
    uint8_t low = first & 0x3f;
    return low == 0 ? 2 : low == 1 ? 3 : 1;
}

static uint32_t read_csid(struct cv_rd *rd, uint8_t first)
{
    uint32_t low = first & 0x3f;
    if (low > 1)
        return low;
    uint32_t csid = cv_rd_u8(rd) + 64u;
    return low == 0 ? csid : csid + 256u * cv_rd_u8(rd);
}

// Basic and message header (5.3.1), without an extended timestamp. False while bytes are missing.
static bool read_header(struct cv_chunk_in *in, struct cv_rd *rd, struct header *out)
{
    if (!look(in, rd, 1))
        return false;
    uint8_t first = in->ahead[0];
    struct header header = {.form = first >> 6};
    header.len = basic_bytes(first) + message_header_bytes[header.form];
    if (!look(in, rd, header.len))
        return false;
    struct cv_rd field = cv_rd_over(in->ahead + 1, header.len - 1);
    header.csid = read_csid(&field, first);
    if (header.form <= 2)
        header.time = cv_rd_u24(&field);
    if (header.form <= 1) {
        header.msg_len = cv_rd_u24(&field);
        header.type = cv_rd_u8(&field);
    }
    if (header.form == 0)
        header.stream_id = cv_rd_u32le(&field);
    CV_ASSERT(field.err == CV_OK && cv_rd_left(&field) == 0);
    *out = header;
    return true;
}

// The context that the header names, opened when it is new. Only forms 0 and 1 can open one; form 1
// is what some librtmp pings do.
static int enter_context(struct cv_chunk_in *in, const struct header *header, struct cv_why *why)
{
    struct cv_chunk_context *context = find_context(in, header->csid);
    if (!context) {
        if (header->form >= 2)
            return cv_why_set(why, CV_E_CHUNK_CONTEXT, place,
                              "type %u header on chunk stream %u, which has no message before it",
                              header->form, header->csid);
        int err = open_context(in, header->csid, why);
        if (err != CV_OK)
            return err;
        context = &in->contexts[in->count - 1];
    }
    if (context->partial && header->form != 3)
        return cv_why_set(why, CV_E_CHUNK_HEADER, place,
                          "type %u header on chunk stream %u inside a message of %u bytes",
                          header->form, header->csid, context->len);
    in->current = (uint32_t)(context - in->contexts);
    return CV_OK;
}

// Type 3: the extended timestamp is there by the letter of the specification, and is left out by
// some senders (OBS before 2024, the 2009 text). It is there when the last value is repeated.
// Looks byte by byte, and no further than they agree: what does not is payload, or the next header,
// and is often the last byte that has come. False while bytes are missing.
static bool find_repeated(struct cv_chunk_in *in, struct cv_rd *rd, uint32_t value,
                          struct header *header)
{
    uint8_t expected[EXTENDED_BYTES];
    struct cv_wr wr = cv_wr_fixed(expected, sizeof expected);
    cv_wr_u32(&wr, value);
    for (size_t i = 0; i < EXTENDED_BYTES; i++) {
        if (!look(in, rd, header->len + i + 1))
            return false;
        if (in->ahead[header->len + i] != expected[i])
            return true;
    }
    header->len += EXTENDED_BYTES;
    return true;
}

// The extended timestamp (5.3.1.3), where there is one. False while bytes are missing.
static bool read_extended(struct cv_chunk_in *in, struct cv_rd *rd, struct header *header)
{
    const struct cv_chunk_context *context = &in->contexts[in->current];
    if (header->form == 3)
        return !context->has_extended || find_repeated(in, rd, context->extended, header);
    if (header->time != NO_TIME)
        return true;
    if (!look(in, rd, header->len + EXTENDED_BYTES))
        return false;
    struct cv_rd field = cv_rd_over(in->ahead + header->len, EXTENDED_BYTES);
    header->time = cv_rd_u32(&field);
    header->len += EXTENDED_BYTES;
    return true;
}

// What the header of a message changes in its context; what it leaves out is inherited.
static void apply_header(struct cv_chunk_context *context, const struct header *header)
{
    if (header->form == 0) {
        context->stream_id = header->stream_id;
        context->ts_ms = 0;
    }
    if (header->form <= 1) {
        context->len = header->msg_len;
        context->type = header->type;
    }
    if (header->form <= 2) {
        context->has_extended = header->time >= NO_TIME;
        context->extended = header->time;
        context->delta_ms = header->time; // after type 0 too: its timestamp (5.3.1.2.4)
    }
    // Deltas are added modulo 2^32: senders write a step back as a delta of 0xffffffff.
    context->ts_ms += context->delta_ms;
}

// A message starts: its length is checked here, before anything is allocated for it.
static int start_message(struct cv_chunk_in *in, struct cv_chunk_context *context, size_t arrived,
                         struct cv_why *why)
{
    uint32_t limit = cv_msg_limit(context->type, in->media_bytes_max);
    if (context->len > limit)
        return cv_why_set(why, CV_E_TOO_LONG, place, "message of type %u with %u bytes, at most %u",
                          context->type, context->len, limit);
    // Room for what is here already; the rest is made as it comes.
    size_t first = arrived < in->chunk_bytes ? arrived : in->chunk_bytes;
    if (first < FIRST_PARTIAL_BYTES)
        first = FIRST_PARTIAL_BYTES;
    context->partial = cv_block_new(first < context->len ? first : context->len);
    if (!context->partial)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for a message");
    return CV_OK;
}

// Reads a header. 1: payload follows. 0: more bytes are needed.
static int next_header(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_why *why)
{
    struct header header;
    if (!read_header(in, rd, &header))
        return 0;
    int err = enter_context(in, &header, why);
    if (err != CV_OK)
        return err;
    if (!read_extended(in, rd, &header))
        return 0;
    use_up(in, header.len);
    struct cv_chunk_context *context = &in->contexts[in->current];
    if (!context->partial) {
        apply_header(context, &header);
        err = start_message(in, context, cv_rd_left(rd), why);
        if (err != CV_OK)
            return err;
    }
    uint32_t left = context->len - context->partial->len;
    in->chunk_left = left < in->chunk_bytes ? left : in->chunk_bytes;
    in->in_payload = true;
    return 1;
}

// ---- payload --------------------------------------------------------------------------------

// Takes what `from` has of the chunk's payload.
static int append_payload(struct cv_chunk_in *in, struct cv_rd *from, struct cv_why *why)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    size_t take = cv_rd_left(from) < in->chunk_left ? cv_rd_left(from) : in->chunk_left;
    size_t partial_max = largest_message(in) * CV_LIMIT_PARTIAL_FACTOR;
    if (in->partial_bytes + take > partial_max)
        return cv_why_set(why, CV_E_TOO_LONG, place, "unfinished messages of more than %zu bytes",
                          partial_max);
    if (grow_partial(context, take) != CV_OK)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for a message of %u bytes",
                          context->len);
    if (take)
        cv_block_append(context->partial, cv_rd_bytes(from, take), take);
    in->partial_bytes += take;
    in->chunk_left -= (uint32_t)take;
    return CV_OK;
}

// 1: the chunk is complete. 0: more bytes are needed.
static int read_payload(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_why *why)
{
    struct cv_rd ahead = cv_rd_over(in->ahead, in->ahead_len);
    int err = append_payload(in, &ahead, why);
    use_up(in, in->ahead_len - cv_rd_left(&ahead));
    if (err == CV_OK)
        err = append_payload(in, rd, why);
    if (err != CV_OK)
        return err;
    in->in_payload = in->chunk_left > 0;
    return !in->in_payload;
}

static bool take_message(struct cv_chunk_in *in, struct cv_msg *out)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    if (context->partial->len < context->len)
        return false;
    in->partial_bytes -= context->partial->len;
    *out = (struct cv_msg){
        .type = context->type,
        .ts_ms = context->ts_ms,
        .stream_id = context->stream_id,
        .payload = context->partial,
    };
    context->partial = NULL;
    return true;
}

int cv_chunk_in_next(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_msg *out,
                     struct cv_why *why)
{
    for (;;) {
        int ready = in->in_payload ? 1 : next_header(in, rd, why);
        if (ready > 0)
            ready = read_payload(in, rd, why);
        if (ready <= 0)
            return ready;
        if (take_message(in, out))
            return 1;
    }
}
