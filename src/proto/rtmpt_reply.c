#include "proto/rtmpt_state.h"

#include "base/check.h"

#include <string.h>

// ---- what is due ----------------------------------------------------------------------------

// One idle is there and nothing else: it may wait.
static bool quiet(const struct cv_rtmpt *t)
{
    bool alone = t->owed == 1 && t->request_count == 0 && !t->again.used;
    return alone && !t->hurried && t->last.answer == OWED && t->last.kind == CV_RTMPT_IDLE &&
           t->state == OPEN && t->mode != CV_RTMPT_PUBLISH && cv_rtmp_bytes_in(t->rtmp) > 0;
}

void cv_rtmpt_hurry(struct cv_rtmpt *t)
{
    t->hurried = true;
}

static uint64_t hold_end_us(const struct cv_rtmpt *t)
{
    uint64_t setup_us = UINT64_C(1000) * CV_TUNNEL_SETUP_HOLD_MS;
    uint64_t hold_us = t->mode == CV_RTMPT_SETUP && setup_us < t->hold_us ? setup_us : t->hold_us;
    return t->served_us + hold_us;
}

// Who gets a 404.
static bool refused(const struct cv_rtmpt *t, uint64_t *ticket)
{
    bool failed = t->state == FAILED;
    if (failed && t->run_count) {
        *ticket = t->runs[0].ticket;
        return true;
    }
    if (failed && t->again.used) {
        *ticket = t->again.ticket;
        return true;
    }
    if (!failed && (t->state != CLOSED || t->owed || t->again.used))
        return false;
    for (uint32_t i = 0; i < t->request_count; i++) {
        if (!t->requests[i].gone) {
            *ticket = t->requests[i].ticket;
            return true;
        }
    }
    return false;
}

enum cv_rtmpt_due cv_rtmpt_due(const struct cv_rtmpt *t, uint64_t now_us, uint64_t *ticket)
{
    if (refused(t, ticket))
        return CV_RTMPT_NOW;
    if (!t->owed && !t->again.ready)
        return CV_RTMPT_NONE;
    uint64_t whose = t->again.ready ? t->again.ticket : t->runs[0].ticket;
    if (t->writing.on && t->writing.ticket != whose)
        return CV_RTMPT_NONE;
    *ticket = whose;
    if (!quiet(t) || !cv_rtmp_out_empty(t->rtmp))
        return CV_RTMPT_NOW;
    uint64_t until_us = t->streaming ? t->stream_us : hold_end_us(t);
    return now_us < until_us ? CV_RTMPT_HELD : CV_RTMPT_NOW;
}

// ---- replies --------------------------------------------------------------------------------

// Returns whose reply it was; NULL: nobody can ask for it again.
static struct served *pop_owed(struct cv_rtmpt *t)
{
    CV_ASSERT(t->owed && t->runs[0].count);
    struct served *served = cv__rtmpt_owed(t);
    t->owed--;
    if (served)
        served->answer = MADE;
    if (--t->runs[0].count == 0) {
        t->run_count--;
        memmove(t->runs, t->runs + 1, t->run_count * sizeof t->runs[0]);
    }
    return served;
}

// All who wait on this connection at once; the connection is closed behind it.
static void refuse(struct cv_rtmpt *t, uint64_t ticket, struct cv_rtmpt_reply *out)
{
    if (t->streaming) {
        t->streaming = false;
        pop_owed(t);
        *out = (struct cv_rtmpt_reply){.status = 200, .form = CV_RTMPT_CHUNK_LAST};
    } else {
        cv__rtmpt_forget(t, ticket);
        *out = (struct cv_rtmpt_reply){.status = 404, .form = CV_RTMPT_WHOLE};
    }
    out->ticket = ticket;
}

// What the RTMP engine has for this reply. For a publisher never nothing: librtmp would wait.
static int take(struct cv_rtmpt *t, struct cv_parcel **out)
{
    if (t->mode == CV_RTMPT_PUBLISH && !t->streaming && cv_rtmp_out_empty(t->rtmp)) {
        uint32_t bytes_in = (uint32_t)cv_rtmp_bytes_in(t->rtmp);
        int err = cv_rtmp_send_control(t->rtmp, CV_MSG_ACK, bytes_in);
        if (err != CV_OK)
            return cv__rtmpt_failed(t, err, "no memory for an acknowledgement");
    }
    if (cv_rtmp_out_empty(t->rtmp))
        return CV_OK;
    *out = cv_rtmp_take(t->rtmp, CV_TUNNEL_REPLY_BYTES);
    return *out ? CV_OK : cv__rtmpt_failed(t, CV_E_NOMEM, "no memory for a reply");
}

static void keep(struct served *served, const struct cv_rtmpt_reply *reply)
{
    if (reply->bytes > CV_TUNNEL_REPLY_BYTES + 1)
        return;
    served->kept = true;
    served->poll = reply->poll;
    served->parcel = reply->parcel ? cv_parcel_ref(reply->parcel) : NULL;
}

static bool is_asked_again(const struct cv_rtmpt *t, const struct served *served)
{
    return t->again.used && !t->again.ready && served && served->n == t->again.n;
}

static void note_written(struct cv_rtmpt *t, const struct cv_rtmpt_reply *reply,
                         const struct served *served)
{
    t->writing.old_data = t->writing.on && (t->writing.old_data || t->writing.data);
    t->writing.data = reply->parcel != NULL;
    t->writing.ticket = reply->ticket;
    if (!t->writing.on)
        t->writing.first_n = served ? served->n : UINT64_MAX;
    t->writing.on = true;
}

static int make(struct cv_rtmpt *t, struct cv_rtmpt_reply *out)
{
    bool bye = t->state == CLOSED && t->owed == 1 && t->last.answer == OWED;
    int err = bye ? CV_OK : take(t, &out->parcel);
    if (err != CV_OK)
        return err;
    bool finished = t->state == FINISHING && cv_rtmp_out_empty(t->rtmp);
    out->has_poll = true;
    out->poll = bye || finished ? POLL_END : POLL_SOON;
    out->bytes = 1 + (out->parcel ? out->parcel->bytes : 0);
    struct served *served = pop_owed(t);
    if (finished && t->owed == 0) {
        t->state = CLOSED;
        t->ended_told = true;
    }
    if (served)
        keep(served, out);
    note_written(t, out, served);
    if (is_asked_again(t, served))
        cv__rtmpt_ready_again(t, served);
    return CV_OK;
}

// Media flows, nobody else waits, and there is something to say.
static bool may_stream(const struct cv_rtmpt *t)
{
    return t->window_us && t->mode == CV_RTMPT_FLOW && quiet(t) && !cv_rtmp_out_empty(t->rtmp);
}

static void begin_stream(struct cv_rtmpt *t, uint64_t now_us)
{
    cv_parcel_unref(&t->stream);
    t->stream_us = now_us + t->window_us;
    t->stream_bytes = 0;
    t->stream_kept = t->keeps;
}

static void keep_piece(struct cv_rtmpt *t, const struct cv_parcel *piece)
{
    t->stream_bytes += piece ? piece->bytes : 0;
    if (!t->stream_kept || !piece)
        return;
    // Only in the first one, and only when the handshake's own reply was lost with its connection.
    bool shakes_hands = piece->raw[0] || piece->raw[1];
    t->stream_kept = !shakes_hands && cv_parcel_add(&t->stream, piece) == CV_OK;
    if (!t->stream_kept)
        cv_parcel_unref(&t->stream);
}

// All that was said of it belongs to the number that it answers.
static struct served *end_stream(struct cv_rtmpt *t)
{
    struct served *served = pop_owed(t);
    t->streaming = false;
    if (!served || !t->stream_kept)
        return served;
    served->kept = true;
    served->poll = POLL_SOON;
    served->parcel = t->stream;
    t->stream = NULL;
    return served;
}

void cv__rtmpt_cut_stream(struct cv_rtmpt *t)
{
    const struct served *served = end_stream(t);
    if (!served || !served->kept) {
        cv__rtmpt_failed(t, CV_E_CLOSED, "a chunked reply was cut off");
        return;
    }
    cv__rtmpt_lose(t, served->n);
    if (is_asked_again(t, served))
        cv__rtmpt_ready_again(t, served);
}

static int make_chunk(struct cv_rtmpt *t, uint64_t now_us, struct cv_rtmpt_reply *out)
{
    bool first = !t->streaming;
    bool full = t->stream_bytes >= CV_TUNNEL_WINDOW_BYTES;
    bool end = t->streaming && (now_us >= t->stream_us || full || !quiet(t));
    int err = take(t, &out->parcel);
    if (err != CV_OK)
        return err;
    if (first)
        begin_stream(t, now_us);
    keep_piece(t, out->parcel);
    t->streaming = true;
    out->form = first ? CV_RTMPT_CHUNK_FIRST : end ? CV_RTMPT_CHUNK_LAST : CV_RTMPT_CHUNK;
    out->has_poll = first;
    out->poll = POLL_SOON;
    out->bytes = (first ? 1 : 0) + (out->parcel ? out->parcel->bytes : 0);
    const struct served *served = end ? end_stream(t) : cv__rtmpt_owed(t);
    note_written(t, out, served);
    if (end && is_asked_again(t, served))
        cv__rtmpt_ready_again(t, served); // fails for one that was not kept
    return CV_OK;
}

static void make_again(struct cv_rtmpt *t, struct cv_rtmpt_reply *out)
{
    out->has_poll = true;
    out->poll = t->again.poll;
    out->parcel = t->again.parcel;
    out->bytes = 1 + (out->parcel ? out->parcel->bytes : 0);
    if (!t->again.empty && t->again.n == t->lost_n)
        t->lost = false;
    note_written(t, out, t->again.empty ? NULL : cv__rtmpt_served(t, t->again.n));
    t->again = (struct again){0};
}

void cv_rtmpt_reply(struct cv_rtmpt *t, uint64_t now_us, struct cv_rtmpt_reply *out)
{
    uint64_t ticket = 0;
    CV_ASSERT(cv_rtmpt_due(t, now_us, &ticket) == CV_RTMPT_NOW);
    t->now_us = now_us;
    *out = (struct cv_rtmpt_reply){.ticket = ticket, .status = 200};
    int err = CV_OK;
    uint64_t nobody;
    if (refused(t, &nobody))
        refuse(t, ticket, out);
    else if (t->again.ready)
        make_again(t, out);
    else if (t->streaming || may_stream(t))
        err = make_chunk(t, now_us, out);
    else
        err = make(t, out);
    if (err != CV_OK)
        refuse(t, ticket, out);
    if (out->status != 200 || err != CV_OK)
        note_written(t, out, NULL);
}

void cv_rtmpt_sent(struct cv_rtmpt *t, uint64_t ticket)
{
    if (t->writing.on && t->writing.ticket == ticket)
        t->writing = (struct writing){0};
}

bool cv_rtmpt_over(const struct cv_rtmpt *t)
{
    uint64_t ticket;
    bool leaving = t->state == CLOSED && t->writing.on;
    return !cv__rtmpt_serving(t) && !t->owed && !t->again.used && !leaving && !refused(t, &ticket);
}

// ---- time -----------------------------------------------------------------------------------

static uint64_t silence_end_us(const struct cv_rtmpt *t)
{
    uint64_t since_us = t->request_us;
    if (quiet(t) && hold_end_us(t) > since_us)
        since_us = hold_end_us(t);
    return since_us + UINT64_C(1000000) * CV_TUNNEL_SILENCE_S;
}

static uint64_t gap_end_us(const struct cv_rtmpt *t)
{
    return t->gap_us ? t->gap_us + UINT64_C(1000) * CV_TUNNEL_PARK_MS : UINT64_MAX;
}

uint64_t cv_rtmpt_deadline_us(const struct cv_rtmpt *t)
{
    if (!cv__rtmpt_serving(t))
        return UINT64_MAX;
    uint64_t first_us = silence_end_us(t);
    if (gap_end_us(t) < first_us)
        first_us = gap_end_us(t);
    // What is over already is due, and waits for a connection only.
    uint64_t held_us = t->streaming ? t->stream_us : hold_end_us(t);
    if (quiet(t) && held_us > t->now_us && held_us < first_us)
        first_us = held_us;
    return first_us;
}

void cv_rtmpt_tick(struct cv_rtmpt *t, uint64_t now_us)
{
    t->now_us = now_us;
    if (!cv__rtmpt_serving(t))
        return;
    if (now_us >= gap_end_us(t))
        cv__rtmpt_failed(t, CV_E_TIMEOUT, "a request is missing");
    else if (now_us >= silence_end_us(t))
        cv__rtmpt_failed(t, CV_E_TIMEOUT, "no request for a long time");
}
