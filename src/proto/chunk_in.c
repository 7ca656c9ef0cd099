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
    NO_EXTENDED = 0xffffff, // the 24-bit field says: an extended timestamp follows
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
    uint8_t form; // 0-3, the type of the message header
    size_t basic_len;
    size_t len;        // basic and message header, without an extended timestamp
    uint32_t ts_field; // the 24-bit timestamp or delta; 0 for form 3
};

// Basic header (5.3.1.1). False while bytes are missing.
static bool read_basic(const uint8_t *bytes, size_t len, struct header *out)
{
    uint8_t low = bytes[0] & 0x3f;
    out->form = bytes[0] >> 6;
    out->basic_len = low == 0 ? 2 : low == 1 ? 3 : 1;
    out->len = out->basic_len + message_header_bytes[out->form];
    if (len < out->basic_len)
        return false;
    out->csid = low;
    if (low == 0)
        out->csid = bytes[1] + 64u;
    else if (low == 1)
        out->csid = bytes[1] + 256u * bytes[2] + 64u;
    return true;
}

static bool read_header(const struct cv_chunk_in *in, struct header *out)
{
    if (in->header_len == 0 || !read_basic(in->header, in->header_len, out))
        return false;
    if (in->header_len < out->len)
        return false;
    const uint8_t *field = in->header + out->basic_len;
    out->ts_field = 0;
    if (out->form < 3)
        out->ts_field = (uint32_t)field[0] << 16 | (uint32_t)field[1] << 8 | field[2];
    return true;
}

// Moves bytes from `rd` into the header until it has `need`. False when `rd` ran dry before.
static bool collect(struct cv_chunk_in *in, struct cv_rd *rd, size_t need)
{
    CV_ASSERT(need <= sizeof in->header);
    if (in->header_len >= need)
        return true;
    size_t missing = need - in->header_len;
    size_t take = missing < cv_rd_left(rd) ? missing : cv_rd_left(rd);
    if (take)
        memcpy(in->header + in->header_len, cv_rd_bytes(rd, take), take);
    in->header_len = (uint8_t)(in->header_len + take);
    return take == missing;
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

// Fields of a message header of form 0, 1 or 2 into the context (5.3.1.2).
static void read_message_header(struct cv_chunk_context *context, const struct header *header,
                                const uint8_t *bytes, uint32_t time)
{
    struct cv_rd rd = cv_rd_over(bytes, message_header_bytes[header->form]);
    cv_rd_u24(&rd);
    if (header->form <= 1) {
        context->len = cv_rd_u24(&rd);
        context->type = cv_rd_u8(&rd);
    }
    if (header->form == 0)
        context->stream_id = cv_rd_u32le(&rd);
    CV_ASSERT(rd.err == CV_OK);
    context->has_extended = header->ts_field == NO_EXTENDED;
    context->extended = time;
    context->delta_ms = time;
    // Deltas are added modulo 2^32: senders write a step back as a delta of 0xffffffff.
    context->ts_ms = header->form == 0 ? time : context->ts_ms + time;
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

static void enter_payload(struct cv_chunk_in *in)
{
    const struct cv_chunk_context *context = &in->contexts[in->current];
    uint32_t left = context->len - context->partial->len;
    in->chunk_left = left < in->chunk_bytes ? left : in->chunk_bytes;
    in->header_len = 0;
    in->in_payload = true;
}

// Type 3: the extended timestamp is there by the letter of the specification, and is left out by
// some senders (OBS before 2024, the 2009 text). Tells them apart by comparing with the last value,
// byte by byte, so that it never waits for bytes that the message does not owe.
// 1: a field was read. 0: more bytes are needed. -1: it is payload, and lies in the header's tail.
static int peek_extended(struct cv_chunk_in *in, struct cv_rd *rd, size_t at, uint32_t payload_left)
{
    const struct cv_chunk_context *context = &in->contexts[in->current];
    uint8_t expected[EXTENDED_BYTES];
    struct cv_wr wr = cv_wr_fixed(expected, sizeof expected);
    cv_wr_u32(&wr, context->extended);
    if (in->header_len == at && cv_rd_left(rd) >= EXTENDED_BYTES &&
        memcmp(rd->at, expected, sizeof expected) != 0)
        return -1;
    for (size_t i = in->header_len - at; i < EXTENDED_BYTES; i++) {
        if (cv_rd_left(rd) == 0)
            return 0;
        if (i < payload_left && *rd->at != expected[i])
            return -1;
        in->header[in->header_len++] = cv_rd_u8(rd);
    }
    return 1;
}

// Bytes that were taken for an extended timestamp and are payload after all.
static int give_back(struct cv_chunk_in *in, size_t at)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    size_t len = in->header_len - at;
    if (len == 0)
        return CV_OK;
    CV_ASSERT(len <= in->chunk_left);
    if (grow_partial(context, len) != CV_OK)
        return CV_E_NOMEM;
    cv_block_append(context->partial, in->header + at, len);
    in->partial_bytes += len;
    in->chunk_left -= (uint32_t)len;
    return CV_OK;
}

// A complete type 3 header: the next chunk of a message, or a message that inherits everything.
static int continue_chunk(struct cv_chunk_in *in, struct cv_rd *rd, size_t header_len,
                          struct cv_why *why)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    uint32_t left = context->len - (context->partial ? context->partial->len : 0);
    int peeked = 1;
    if (left > in->chunk_bytes)
        left = in->chunk_bytes;
    if (context->has_extended)
        peeked = peek_extended(in, rd, header_len, left);
    if (peeked == 0)
        return 0;
    if (!context->partial) {
        context->ts_ms += context->delta_ms;
        int err = start_message(in, context, cv_rd_left(rd), why);
        if (err != CV_OK)
            return err;
    }
    uint8_t tail_len = in->header_len;
    enter_payload(in);
    in->header_len = tail_len;
    int err = peeked < 0 ? give_back(in, header_len) : CV_OK;
    in->header_len = 0;
    return err == CV_OK ? 1 : cv_why_set(why, err, place, "no memory for a message");
}

// Reads a header. 1: payload follows. 0: more bytes are needed.
static int next_header(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_why *why)
{
    struct header header;
    if (!collect(in, rd, 1))
        return 0;
    while (!read_header(in, &header)) {
        bool basic = read_basic(in->header, in->header_len, &header);
        if (!collect(in, rd, basic ? header.len : header.basic_len))
            return 0;
    }
    int err = enter_context(in, &header, why);
    if (err != CV_OK)
        return err;
    if (header.form == 3)
        return continue_chunk(in, rd, header.len, why);
    uint32_t time = header.ts_field;
    if (time == NO_EXTENDED) {
        if (!collect(in, rd, header.len + EXTENDED_BYTES))
            return 0;
        struct cv_rd extended = cv_rd_over(in->header + header.len, EXTENDED_BYTES);
        time = cv_rd_u32(&extended);
    }
    struct cv_chunk_context *context = &in->contexts[in->current];
    read_message_header(context, &header, in->header + header.basic_len, time);
    err = start_message(in, context, cv_rd_left(rd), why);
    if (err != CV_OK)
        return err;
    enter_payload(in);
    return 1;
}

// ---- payload --------------------------------------------------------------------------------

static int read_payload(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_why *why)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    size_t take = cv_rd_left(rd) < in->chunk_left ? cv_rd_left(rd) : in->chunk_left;
    size_t partial_max = (size_t)in->media_bytes_max * CV_LIMIT_PARTIAL_FACTOR;
    if (in->partial_bytes + take > partial_max)
        return cv_why_set(why, CV_E_TOO_LONG, place, "unfinished messages of more than %zu bytes",
                          partial_max);
    if (grow_partial(context, take) != CV_OK)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for a message of %u bytes",
                          context->len);
    if (take)
        cv_block_append(context->partial, cv_rd_bytes(rd, take), take);
    in->partial_bytes += take;
    in->chunk_left -= (uint32_t)take;
    in->in_payload = in->chunk_left > 0;
    return CV_OK;
}

static bool take_message(struct cv_chunk_in *in, struct cv_msg *out)
{
    struct cv_chunk_context *context = &in->contexts[in->current];
    if (in->in_payload || context->partial->len < context->len)
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
        if (!in->in_payload) {
            int ready = next_header(in, rd, why);
            if (ready <= 0)
                return ready;
        }
        if (in->chunk_left && cv_rd_left(rd) == 0)
            return 0;
        int err = read_payload(in, rd, why);
        if (err != CV_OK)
            return err;
        if (take_message(in, out))
            return 1;
    }
}
