#include "proto/ws.h"

#include "base/block.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/wire.h"

#include <string.h>
#include <wslay/wslay.h>

static const char place[] = "websocket";

enum {
    HEADER_BYTES_MAX = 14, // with a mask
    MASK_BYTES = 4,
    CONTROL_FRAME_BYTES = HEADER_BYTES_MAX + CV_WS_CONTROL_MAX,
    CODE_BYTES = 2,
};

// A control frame or header that waits to be sent.
struct frame_bytes {
    uint8_t data[CONTROL_FRAME_BYTES];
    size_t len; // 0: none
    size_t at;  // bytes that have left
};

// The frame of the inner engine's bytes that was pulled last, or has begun to leave.
struct carrier {
    uint8_t header[HEADER_BYTES_MAX];
    size_t header_len; // 0: no frame
    size_t header_at;  // bytes of it that have left
    size_t len;        // payload
    size_t at;
};

struct cv_ws {
    struct cv_ws_config config;
    wslay_frame_context_ptr wslay;
    struct cv_why why;
    // in
    struct cv_rd input;
    uint64_t frame_left;   // payload of the present frame that is still to come
    uint64_t message_left; // of config.message_bytes_max
    uint8_t opcode;        // of the present frame
    bool in_frame;
    bool final;      // the present frame is the last one of its message
    bool in_message; // its first frame has come
    bool text;       // the message is text
    struct cv_utf8 utf8;
    uint8_t control[CV_WS_CONTROL_MAX];
    size_t control_len;
    bool peer_closed;
    // out
    uint8_t pong[CV_WS_CONTROL_MAX]; // the newest ping's payload (section 5.5.3)
    size_t pong_len;
    bool pong_due;
    bool ping_due;
    struct frame_bytes small; // ping or pong
    struct cv_block *own;     // copied messages, as they go out; NULL when there are none
    size_t own_at;
    bool own_begun; // some of it has left: nothing can go before the rest
    struct frame_bytes close;
    struct carrier carrier;
    // the last pull
    size_t lent_small;
    size_t lent_own;
    size_t lent_close;
    bool pulling;  // between begin and end
    int slot;      // place of the header in the gather; -1: none
    size_t before; // bytes in the gather before the payload
};

static int fail(struct cv_ws *ws, enum cv_ws_code code, int err, const char *what)
{
    cv_ws_close(ws, code, what);
    return cv_why_set(&ws->why, err, place, "%s", what);
}

// ---- life -----------------------------------------------------------------------------------

static ssize_t give_input(uint8_t *buffer, size_t len, int flags, void *arg)
{
    (void)flags;
    struct cv_ws *ws = arg;
    size_t left = cv_rd_left(&ws->input);
    size_t n = len < left ? len : left;
    if (n == 0)
        return -1;
    memcpy(buffer, cv_rd_bytes(&ws->input, n), n);
    return (ssize_t)n;
}

struct cv_ws *cv_ws_new(const struct cv_ws_config *config)
{
    CV_ASSERT(!config->client || config->crypto);
    // wslay reads; frames are written here, because it has no way to lend payload.
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_input};
    struct cv_ws *ws = cv_mem_zero(1, sizeof *ws);
    if (!ws)
        return NULL;
    ws->config = *config;
    ws->input = cv_rd_over(NULL, 0);
    if (wslay_frame_context_init(&ws->wslay, &callbacks, ws) == 0)
        return ws;
    cv_mem_free(ws);
    return NULL;
}

void cv_ws_free(struct cv_ws *ws)
{
    if (!ws)
        return;
    wslay_frame_context_free(ws->wslay);
    cv_block_unref(&ws->own);
    cv_mem_free(ws);
}

const struct cv_why *cv_ws_why(const struct cv_ws *ws)
{
    return &ws->why;
}

// ---- writing frames (section 5.2) -----------------------------------------------------------

static size_t write_header(uint8_t out[HEADER_BYTES_MAX], uint8_t opcode, uint64_t len,
                           const uint8_t *mask)
{
    enum { FIN = 0x80, MASKED = 0x80, LEN_16 = 126, LEN_64 = 127 };
    struct cv_wr wr = cv_wr_fixed(out, HEADER_BYTES_MAX);
    uint8_t masked = mask ? MASKED : 0;
    cv_wr_u8(&wr, FIN | opcode);
    if (len < LEN_16) {
        cv_wr_u8(&wr, (uint8_t)(masked | len));
    } else if (len <= UINT16_MAX) {
        cv_wr_u8(&wr, masked | LEN_16);
        cv_wr_u16(&wr, (uint16_t)len);
    } else {
        cv_wr_u8(&wr, masked | LEN_64);
        cv_wr_u32(&wr, (uint32_t)(len >> 32));
        cv_wr_u32(&wr, (uint32_t)len);
    }
    if (mask)
        cv_wr_bytes(&wr, mask, MASK_BYTES);
    CV_ASSERT(wr.err == CV_OK);
    return wr.len;
}

// Writes a whole frame to `out`, which has room for the longest header and the payload. 0 and
// *out_len, or the code of the random function.
static int write_frame(const struct cv_ws *ws, uint8_t opcode, const void *data, size_t len,
                       uint8_t *out, size_t *out_len)
{
    uint8_t mask[MASK_BYTES] = {0};
    int err = ws->config.client ? ws->config.crypto->random(mask, sizeof mask) : CV_OK;
    if (err != CV_OK)
        return err;
    size_t header_len = write_header(out, opcode, len, ws->config.client ? mask : NULL);
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        out[header_len + i] = bytes[i] ^ mask[i % MASK_BYTES];
    *out_len = header_len + len;
    return CV_OK;
}

static void write_control(struct cv_ws *ws, struct frame_bytes *frame, uint8_t opcode,
                          const void *data, size_t len)
{
    CV_ASSERT(len <= CV_WS_CONTROL_MAX && frame->len == 0);
    int err = write_frame(ws, opcode, data, len, frame->data, &frame->len);
    if (err != CV_OK)
        cv_why_set(&ws->why, err, place, "no mask");
}

void cv_ws_close(struct cv_ws *ws, enum cv_ws_code code, const char *reason)
{
    if (ws->close.len)
        return;
    uint8_t payload[CV_WS_CONTROL_MAX];
    struct cv_wr wr = cv_wr_fixed(payload, sizeof payload);
    size_t reason_len = reason ? strnlen(reason, sizeof payload - CODE_BYTES) : 0;
    // Not in the middle of a character: the next byte must not continue one.
    while (reason_len && ((uint8_t)reason[reason_len] & 0xc0) == 0x80)
        reason_len--;
    if (code != CV_WS_NO_CODE) {
        cv_wr_u16(&wr, (uint16_t)code);
        cv_wr_bytes(&wr, reason, reason_len);
    }
    write_control(ws, &ws->close, WSLAY_CONNECTION_CLOSE, payload, wr.len);
}

void cv_ws_ping(struct cv_ws *ws)
{
    ws->ping_due = true;
}

static void drop_own(struct cv_ws *ws)
{
    cv_block_unref(&ws->own);
    ws->own_at = 0;
    ws->own_begun = false;
}

// Room for `need` more bytes in ws->own; what has left goes first.
static int reserve_own(struct cv_ws *ws, size_t need)
{
    if (!ws->own) {
        ws->own = cv_block_new(need);
        return ws->own ? CV_OK : CV_E_NOMEM;
    }
    struct cv_block *own = ws->own;
    if (need > own->capacity - own->len && ws->own_at) {
        memmove(own->data, own->data + ws->own_at, own->len - ws->own_at);
        own->len -= (uint32_t)ws->own_at;
        ws->own_at = 0;
    }
    size_t least = own->len + need;
    size_t twice = 2 * (size_t)own->capacity;
    return least <= own->capacity ? CV_OK
                                  : cv_block_reserve(&ws->own, least > twice ? least : twice);
}

// Behind ws->own, where there is room for it.
static int append_own(struct cv_ws *ws, uint8_t opcode, const void *data, size_t len)
{
    size_t frame_len = 0;
    int err = write_frame(ws, opcode, data, len, ws->own->data + ws->own->len, &frame_len);
    ws->own->len += (uint32_t)frame_len;
    CV_ASSERT(ws->own->len <= ws->own->capacity);
    return err;
}

int cv_ws_send(struct cv_ws *ws, bool text, const void *data, size_t len)
{
    enum { OVERHEAD_BYTES = CONTROL_FRAME_BYTES + HEADER_BYTES_MAX };
    if (ws->close.len)
        return CV_OK;
    size_t waiting = ws->own ? ws->own->len - ws->own_at : 0;
    if (len > CV_LIMIT_OUT_BYTES || waiting + OVERHEAD_BYTES + len > CV_LIMIT_OUT_BYTES)
        return CV_E_QUEUE_FULL;
    int err = reserve_own(ws, OVERHEAD_BYTES + len);
    // Here is a border between frames, which a queue that never runs dry does not have elsewhere.
    if (err == CV_OK && ws->pong_due) {
        err = append_own(ws, WSLAY_PONG, ws->pong, ws->pong_len);
        ws->pong_due = err != CV_OK;
    }
    if (err == CV_OK)
        err = append_own(ws, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data, len);
    if (ws->own && ws->own->len == ws->own_at)
        drop_own(ws);
    return err;
}

// ---- output ---------------------------------------------------------------------------------

// A frame of the inner engine's bytes has begun to leave: it has to be finished first.
static bool mid_frame(const struct cv_ws *ws)
{
    return ws->carrier.header_at > 0;
}

// The answer to a ping goes before our own ping: one buffer is enough for both.
static void fill_small(struct cv_ws *ws)
{
    if (ws->small.len || ws->close.len || ws->own_begun)
        return;
    if (ws->pong_due) {
        ws->pong_due = false;
        write_control(ws, &ws->small, WSLAY_PONG, ws->pong, ws->pong_len);
    } else if (ws->ping_due) {
        ws->ping_due = false;
        write_control(ws, &ws->small, WSLAY_PING, NULL, 0);
    }
}

// Lends bytes of ours. True when there was room for them, or none to lend.
static bool lend(struct cv_gather *gather, const uint8_t *data, size_t len, size_t *lent)
{
    bool fits = cv_gather_borrow(gather, data, len);
    *lent = fits ? len : 0;
    return fits;
}

// Lends what is ours, in the order in which it is to leave. False when there was no room for all.
static bool lend_ours(struct cv_ws *ws, struct cv_gather *gather)
{
    const struct frame_bytes *small = &ws->small;
    const struct frame_bytes *close = &ws->close;
    const struct cv_block *own = ws->own;
    return lend(gather, small->data + small->at, small->len - small->at, &ws->lent_small) &&
           (!own || lend(gather, own->data + ws->own_at, own->len - ws->own_at, &ws->lent_own)) &&
           lend(gather, close->data + close->at, close->len - close->at, &ws->lent_close);
}

static bool go_on_with_frame(const struct cv_ws *ws, struct cv_gather *gather)
{
    const struct carrier *carrier = &ws->carrier;
    return cv_gather_borrow(gather, carrier->header + carrier->header_at,
                            carrier->header_len - carrier->header_at);
}

static bool begin_new_frame(struct cv_ws *ws, struct cv_gather *gather)
{
    ws->carrier = (struct carrier){0};
    fill_small(ws);
    if (!lend_ours(ws, gather) || ws->close.len || ws->config.client)
        return false;
    ws->slot = cv_gather_reserve(gather, HEADER_BYTES_MAX);
    return ws->slot >= 0;
}

bool cv_ws_pull_begin(struct cv_ws *ws, struct cv_gather *gather)
{
    CV_ASSERT(!ws->pulling);
    ws->pulling = true;
    ws->slot = -1;
    ws->lent_small = ws->lent_own = ws->lent_close = 0;
    bool inner = mid_frame(ws) ? go_on_with_frame(ws, gather) : begin_new_frame(ws, gather);
    ws->before = gather->bytes;
    return inner;
}

void cv_ws_pull_end(struct cv_ws *ws, struct cv_gather *gather)
{
    CV_ASSERT(ws->pulling && gather->bytes >= ws->before);
    ws->pulling = false;
    struct carrier *carrier = &ws->carrier;
    size_t payload = gather->bytes - ws->before;
    if (mid_frame(ws)) {
        size_t left = carrier->len - carrier->at;
        if (payload > left)
            cv_gather_cut(gather, ws->before + left);
    } else if (ws->slot >= 0 && payload == 0) {
        cv_gather_cut(gather, ws->before - HEADER_BYTES_MAX);
    } else if (ws->slot >= 0) {
        carrier->len = payload;
        carrier->header_len = write_header(carrier->header, WSLAY_BINARY_FRAME, payload, NULL);
        cv_gather_fill(gather, ws->slot, carrier->header, carrier->header_len);
    }
}

// Takes what left of `lent` off *len.
static size_t take(size_t *len, size_t lent)
{
    size_t n = *len < lent ? *len : lent;
    *len -= n;
    return n;
}

static void sent_frame(struct frame_bytes *frame, size_t len)
{
    frame->at += len;
    CV_ASSERT(frame->at <= frame->len);
}

size_t cv_ws_sent(struct cv_ws *ws, size_t len)
{
    struct carrier *carrier = &ws->carrier;
    sent_frame(&ws->small, take(&len, ws->lent_small));
    if (ws->small.at == ws->small.len)
        ws->small = (struct frame_bytes){0};
    size_t own = take(&len, ws->lent_own);
    ws->own_at += own;
    ws->own_begun = ws->own_begun || own;
    if (ws->own && ws->own_at == ws->own->len)
        drop_own(ws);
    sent_frame(&ws->close, take(&len, ws->lent_close));
    carrier->header_at += take(&len, carrier->header_len - carrier->header_at);
    size_t inner = take(&len, carrier->len - carrier->at);
    carrier->at += inner;
    CV_ASSERT(len == 0);
    ws->lent_small = ws->lent_own = ws->lent_close = 0;
    if (!mid_frame(ws) || carrier->at == carrier->len)
        *carrier = (struct carrier){0};
    return inner;
}

bool cv_ws_out_empty(const struct cv_ws *ws)
{
    bool small = ws->small.len || ((ws->pong_due || ws->ping_due) && !ws->close.len);
    return !small && !ws->own && ws->close.at == ws->close.len && !mid_frame(ws);
}

bool cv_ws_done(const struct cv_ws *ws)
{
    bool ended = ws->peer_closed || ws->why.code != CV_OK;
    return ended && ws->close.len && ws->close.at == ws->close.len;
}

// ---- input ----------------------------------------------------------------------------------

static int wrong(struct cv_ws *ws, const char *what)
{
    return fail(ws, CV_WS_PROTOCOL_ERROR, CV_E_WEBSOCKET, what);
}

// Section 5.4: fragments of one message follow each other; only control frames come between.
static int begin_data(struct cv_ws *ws, const struct wslay_frame_iocb *frame)
{
    bool goes_on = frame->opcode == WSLAY_CONTINUATION_FRAME;
    if (goes_on != ws->in_message)
        return wrong(ws, goes_on ? "a fragment without a message" : "a message inside a message");
    if (!goes_on) {
        ws->text = frame->opcode == WSLAY_TEXT_FRAME;
        ws->message_left = ws->config.message_bytes_max;
        ws->in_message = true;
    }
    ws->final = frame->fin;
    if (!ws->config.message_bytes_max)
        return CV_OK;
    if (frame->payload_length > ws->message_left)
        return fail(ws, CV_WS_TOO_BIG, CV_E_TOO_LONG, "message too long");
    ws->message_left -= frame->payload_length;
    return CV_OK;
}

// The rules for a frame's header (sections 5.1, 5.2, 5.5).
static int begin_frame(struct cv_ws *ws, const struct wslay_frame_iocb *frame)
{
    bool control = wslay_is_ctrl_frame(frame->opcode);
    if (frame->rsv)
        return wrong(ws, "reserved bits are set: no extension was agreed on");
    if (frame->opcode > (control ? WSLAY_PONG : WSLAY_BINARY_FRAME))
        return wrong(ws, "reserved opcode");
    if (ws->config.client && frame->mask)
        return wrong(ws, "a masked frame from a server");
    if (!ws->config.client && !frame->mask)
        return wrong(ws, "an unmasked frame from a client");
    if (control && (!frame->fin || frame->payload_length > CV_WS_CONTROL_MAX))
        return wrong(ws, "a control frame too long or in fragments");
    ws->opcode = frame->opcode;
    ws->frame_left = frame->payload_length;
    ws->control_len = 0;
    return control ? CV_OK : begin_data(ws, frame);
}

// 1: an event. 0: an empty piece of a message that goes on.
static int data_piece(struct cv_ws *ws, const struct wslay_frame_iocb *piece,
                      struct cv_ws_event *out)
{
    bool last = ws->final && ws->frame_left == 0;
    if (ws->text && (!cv_utf8_feed(&ws->utf8, piece->data, piece->data_length) ||
                     (last && !cv_utf8_complete(&ws->utf8))))
        return fail(ws, CV_WS_NO_UTF8, CV_E_WEBSOCKET, "text is not UTF-8");
    ws->in_message = !last;
    *out = (struct cv_ws_event){
        .type = CV_WS_DATA,
        .text = ws->text,
        .last = last,
        .data = piece->data,
        .len = piece->data_length,
    };
    return last || piece->data_length;
}

// What may stand in a close frame (section 7.4 and IANA's registry).
static bool is_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static int on_close(struct cv_ws *ws, struct cv_ws_event *out)
{
    struct cv_rd rd = cv_rd_over(ws->control, ws->control_len);
    uint16_t code = ws->control_len ? cv_rd_u16(&rd) : CV_WS_NO_CODE;
    struct cv_utf8 utf8 = {0};
    if (rd.err != CV_OK || (ws->control_len && !is_code(code)))
        return wrong(ws, "close frame without a valid code");
    if (!cv_utf8_feed(&utf8, rd.at, cv_rd_left(&rd)) || !cv_utf8_complete(&utf8))
        return fail(ws, CV_WS_NO_UTF8, CV_E_WEBSOCKET, "reason is not UTF-8");
    cv_ws_close(ws, (enum cv_ws_code)code, NULL);
    ws->peer_closed = true;
    *out = (struct cv_ws_event){
        .type = CV_WS_CLOSE, .last = true, .code = code, .data = rd.at, .len = cv_rd_left(&rd)};
    return 1;
}

// 1: an event. 0: handled, or the frame is not complete.
static int control_piece(struct cv_ws *ws, const struct wslay_frame_iocb *piece,
                         struct cv_ws_event *out)
{
    CV_ASSERT(piece->data_length <= sizeof ws->control - ws->control_len);
    if (piece->data_length)
        memcpy(ws->control + ws->control_len, piece->data, piece->data_length);
    ws->control_len += piece->data_length;
    if (ws->frame_left)
        return 0;
    if (ws->opcode == WSLAY_CONNECTION_CLOSE)
        return on_close(ws, out);
    if (ws->opcode == WSLAY_PING) {
        memcpy(ws->pong, ws->control, ws->control_len);
        ws->pong_len = ws->control_len;
        ws->pong_due = true;
        return 0;
    }
    *out = (struct cv_ws_event){
        .type = CV_WS_PONG, .last = true, .data = ws->control, .len = ws->control_len};
    return 1;
}

static int on_piece(struct cv_ws *ws, const struct wslay_frame_iocb *piece, struct cv_ws_event *out)
{
    int err = ws->in_frame ? CV_OK : begin_frame(ws, piece);
    if (err != CV_OK)
        return err;
    CV_ASSERT(piece->data_length <= ws->frame_left);
    ws->frame_left -= piece->data_length;
    ws->in_frame = ws->frame_left > 0;
    return (wslay_is_ctrl_frame(ws->opcode) ? control_piece : data_piece)(ws, piece, out);
}

void cv_ws_feed(struct cv_ws *ws, const void *data, size_t len)
{
    CV_ASSERT(cv_rd_left(&ws->input) == 0 || ws->why.code != CV_OK || ws->peer_closed);
    ws->input = cv_rd_over(data, len);
}

int cv_ws_next(struct cv_ws *ws, struct cv_ws_event *out)
{
    int result = 0;
    while (result == 0 && ws->why.code == CV_OK && !ws->peer_closed) {
        struct wslay_frame_iocb piece = {0};
        struct cv_ws_event event = {0};
        ssize_t n = wslay_frame_recv(ws->wslay, &piece);
        if (n == WSLAY_ERR_WANT_READ)
            return 0;
        result = n < 0 ? wrong(ws, "malformed frame header") : on_piece(ws, &piece, &event);
        if (result == 1)
            *out = event;
    }
    return ws->why.code != CV_OK ? ws->why.code : result;
}
