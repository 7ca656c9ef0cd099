// A publisher's sends whose bodies stay open: media leaves at once, in chunks, and there are one or
// two requests in a second. Nothing else may follow on that connection, nor be numbered, until such
// a body ends; a publisher has nothing else. Something on the way may keep a body to its end: how
// early its bytes have come is told by the server's reply.
#include "proto/rtmpt_client_state.h"

#include "base/check.h"
#include "proto/http1_write.h"

static uint32_t growing(const struct cv_rtmpt_client *t)
{
    uint32_t i = 0;
    while (i < t->count && !t->errands[i].growing)
        i++;
    return i;
}

const struct errand *cv__tunnel_growing(const struct cv_rtmpt_client *t)
{
    uint32_t i = growing(t);
    return i < t->count ? &t->errands[i] : NULL;
}

// ---- pieces -----------------------------------------------------------------------------------

// A chunk with these bytes, if there are any; behind it, the end. NULL: no memory.
static struct cv_block *piece_of(const struct cv_block *data, bool last)
{
    enum { FRAME_BYTES = 32 };
    struct cv_wr wr = cv_wr_growing((data ? data->len : 0) + FRAME_BYTES);
    if (data) {
        cv_http1_write_chunk_head(&wr, data->len);
        cv_wr_bytes(&wr, data->data, data->len);
        cv_http1_write_chunk_tail(&wr);
    }
    if (last)
        cv_http1_write_last_chunk(&wr);
    return cv_wr_take(&wr);
}

// For the case that all is to be sent again.
static int keep(struct errand *errand, const struct cv_block *data)
{
    size_t need = errand->body->len + data->len;
    size_t capacity = errand->body->capacity;
    int err = CV_OK;
    if (need > capacity)
        err = cv_block_reserve(&errand->body, need > 2 * capacity ? need : 2 * capacity);
    if (err == CV_OK)
        cv_block_append(errand->body, data->data, data->len);
    return err;
}

static void grow(struct cv_rtmpt_client *t, struct errand *errand, struct cv_block *data, bool last)
{
    struct cv_block *piece = piece_of(data, last);
    if (!piece || (data && keep(errand, data) != CV_OK)) {
        cv_block_unref(&piece);
        cv__tunnel_fail(t, CV_E_NOMEM, "no memory for a request");
        return;
    }
    CV_ASSERT(errand->written == errand->len);
    cv_block_unref(&errand->piece);
    errand->piece = piece;
    errand->len += piece->len;
    uint64_t age_us = t->now_us - errand->begun_us;
    if (data) {
        errand->spread += data->len * age_us;
        t->flight_bytes += data->len;
        cv__tunnel_drop_pending(t);
    }
    if (!last)
        return;
    errand->growing = false;
    errand->lead_us = age_us - errand->spread / errand->body->len;
    t->request_us = t->now_us;
}

// ---- when -------------------------------------------------------------------------------------

static uint64_t end_us(const struct cv_rtmpt_client *t, const struct errand *errand)
{
    return errand->begun_us + UINT64_C(1000) * t->stream_ms;
}

static bool is_full(const struct cv_rtmpt_client *t, const struct errand *errand)
{
    return t->pending && errand->body->len + t->pending->len > CV_TUNNEL_SEND_BYTES;
}

// What is urgent may be a question: the reply comes behind the end.
static bool must_end(const struct cv_rtmpt_client *t, const struct errand *errand)
{
    return t->now_us >= end_us(t, errand) || t->urgent || t->stage != RUNNING ||
           t->mode != CV_RTMPT_CLIENT_PUBLISH || is_full(t, errand);
}

// While bytes wait for the connection, more of them gather.
static bool may_grow(const struct cv_rtmpt_client *t, const struct errand *errand)
{
    return cv__tunnel_usable(&t->slots[errand->home]) && errand->written == errand->len;
}

// The proof needs a server that tells it, and HTTP/1.1. Where a path holds bodies back it costs a
// quarter of a second: the first media is not the one to pay for it.
static bool may_begin(const struct cv_rtmpt_client *t)
{
    bool first = t->stream == STREAM_UNKNOWN && t->stats.sends >= t->stream_after;
    bool proved = first || t->stream == STREAM_YES;
    return proved && t->answer.ours && t->http11 && !t->single && t->pipe == PIPE_YES &&
           t->mode == CV_RTMPT_CLIENT_PUBLISH && t->stage == RUNNING && !t->urgent &&
           cv__tunnel_may_send(t);
}

static void begin(struct cv_rtmpt_client *t)
{
    struct cv_block *piece = piece_of(t->pending, false);
    if (!piece) {
        cv__tunnel_fail(t, CV_E_NOMEM, "no memory for a request");
        return;
    }
    if (t->stream == STREAM_UNKNOWN)
        t->stream = STREAM_PROBED;
    t->flight_bytes += t->pending->len;
    cv__tunnel_make(t, &(struct errand){.kind = CV_RTMPT_SEND,
                                        .home = CV_RTMPT_UP,
                                        .body = t->pending,
                                        .piece = piece,
                                        .chunked = true,
                                        .growing = true,
                                        .begun_us = t->now_us});
    t->pending = NULL;
    t->gap_us = 0;
    t->stats.sends++;
    t->stats.streams++;
}

void cv__tunnel_plan_stream(struct cv_rtmpt_client *t)
{
    uint32_t i = growing(t);
    struct errand *errand = &t->errands[i];
    if (i == t->count && may_begin(t))
        begin(t);
    if (i == t->count || !may_grow(t, errand))
        return;
    bool last = must_end(t, errand);
    struct cv_block *data = is_full(t, errand) ? NULL : t->pending;
    if (data || last)
        grow(t, errand, data, last);
}

uint64_t cv__tunnel_stream_us(const struct cv_rtmpt_client *t)
{
    const struct errand *errand = cv__tunnel_growing(t);
    if (!errand)
        return may_begin(t) ? t->now_us : UINT64_MAX;
    if (!may_grow(t, errand))
        return UINT64_MAX;
    return t->pending || must_end(t, errand) ? t->now_us : end_us(t, errand);
}

// ---- what becomes of it -----------------------------------------------------------------------

void cv__tunnel_unchunk(struct cv_rtmpt_client *t, struct errand *errand)
{
    errand->chunked = false;
    errand->growing = false;
    cv_block_unref(&errand->piece);
    cv__tunnel_set_len(t, errand);
}

// One that was short says nothing. Once proved, one late body may be the line's own delay.
void cv__tunnel_judge_stream(struct cv_rtmpt_client *t, const struct errand *errand)
{
    enum { LEAD_MIN_US = 50000, CLUMPS_MAX = 2 };
    bool flows = errand->early_told && UINT64_C(1000) * errand->early_ms >= errand->lead_us / 2;
    if (t->stream == STREAM_NO)
        return;
    if (errand->lead_us < LEAD_MIN_US) {
        t->stream = t->stream == STREAM_PROBED ? STREAM_UNKNOWN : t->stream;
    } else if (flows) {
        t->stream = STREAM_YES;
        t->stream_clumps = 0;
        if (t->stream_ms < CV_TUNNEL_STREAM_MS)
            t->stream_ms *= 2;
    } else if (t->stream == STREAM_PROBED || ++t->stream_clumps == CLUMPS_MAX) {
        t->stream = STREAM_NO;
    }
}
