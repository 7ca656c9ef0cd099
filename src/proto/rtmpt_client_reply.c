#include "proto/rtmpt_client_state.h"

#include "base/check.h"

#include <stdio.h>

enum { IDLE_GAP_MIN_US = 20000 };

// The request whose reply comes next on this connection.
static struct errand *awaited(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct errand *errand = &t->errands[i];
        if (errand->placed && errand->home == slot && errand->written && !errand->answered)
            return errand;
    }
    return NULL;
}

// ---- a connection that is lost ----------------------------------------------------------------

// What will be sent again begins anew; what was given out of its reply is remembered.
static int strand(struct cv_rtmpt_client *t, struct errand *errand)
{
    bool begun = errand->written > 0;
    errand->losses += begun;
    errand->placed = false;
    errand->written = 0;
    errand->polled = false;
    errand->seen = 0;
    if (errand->chunked)
        cv__tunnel_unchunk(t, errand);
    if (errand->kind == CV_RTMPT_OPEN)
        return cv__tunnel_fail(t, CV_E_TRUNCATED, "the answer to /open was cut off");
    if (errand->losses > 1)
        return cv__tunnel_fail(t, CV_E_CLOSED, "a request was lost with its connection, twice");
    if (errand->given && !t->answer.ours)
        return cv__tunnel_fail(t, CV_E_CLOSED, "a reply was cut off");
    return GO_ON;
}

// A connection may serve one request only, without saying so.
static void judge_length(struct cv_rtmpt_client *t, const struct slot *slot)
{
    enum { SHORTS_MAX = 2 };
    if (slot->replies > 1)
        t->shorts = 0;
    else if (slot->replies == 1 && ++t->shorts >= SHORTS_MAX)
        t->single = true;
}

static void drop_connection(struct slot *slot)
{
    cv_http1_free(slot->http);
    slot->http = NULL;
    slot->open = false;
    slot->ended = false;
    slot->spent = false;
}

// All that came on it has been read.
static int lose(struct cv_rtmpt_client *t, enum cv_rtmpt_slot which)
{
    struct slot *slot = &t->slots[which];
    int did = GO_ON;
    bool any = false;
    for (uint32_t i = 0; i < t->count && did == GO_ON; i++) {
        struct errand *errand = &t->errands[i];
        if (errand->home != which || !errand->placed)
            continue;
        if (errand->answered) {
            errand->written = errand->len; // early, and the rest of it is not wanted
            continue;
        }
        any = true;
        if (errand->kind == CV_RTMPT_CLOSE)
            return cv__tunnel_over(t, 200);
        did = strand(t, errand);
    }
    judge_length(t, slot);
    if (any && which == CV_RTMPT_UP)
        t->pipe = PIPE_NO;
    drop_connection(slot);
    return did;
}

// ---- how quick the path is --------------------------------------------------------------------

// Queues on the way show as longer replies: then fewer, larger requests are better.
static void set_depth(struct cv_rtmpt_client *t, uint64_t reply_us)
{
    enum { SLACK_US = 20000 };
    if (reply_us > 2 * t->base_us + SLACK_US)
        t->depth -= t->depth > 1;
    else if (reply_us < t->base_us + t->base_us / 2 + SLACK_US)
        t->depth += t->depth < t->depth_max;
}

static void measure(struct cv_rtmpt_client *t, const struct errand *errand)
{
    uint64_t reply_us = t->now_us - errand->written_us;
    if (errand->kind != CV_RTMPT_SEND || errand->losses || errand->written < errand->len)
        return;
    if (errand->alone || reply_us < t->base_us || !t->base_us)
        t->base_us = reply_us;
    t->reply_us = t->reply_us ? (7 * t->reply_us + reply_us) / 8 : reply_us;
    set_depth(t, reply_us);
}

// Where pieces come as the server sends them, chunked replies may last longer. Something on the way
// may pass them on at their end only: then whole replies are quicker. One that our own word has
// ended, or that was full, says nothing.
static void judge_window(struct cv_rtmpt_client *t, const struct errand *errand)
{
    enum { CLUMPS_MAX = 2 };
    uint64_t window_us = UINT64_C(1000) * errand->window_ms;
    uint64_t waited_us = errand->polled_us - errand->written_us;
    bool cut_short = t->next_n != errand->n + 1 || errand->seen >= CV_TUNNEL_WINDOW_BYTES;
    if (!window_us || errand->losses || !errand->seen)
        return;
    if (t->now_us - errand->polled_us >= window_us / 4) {
        t->clumps = 0;
        if (t->window_ms < CV_TUNNEL_WINDOW_MS)
            t->window_ms *= 2;
    } else if (waited_us >= window_us && !cut_short && ++t->clumps == CLUMPS_MAX) {
        t->window_ms = 0;
    }
}

// Servers that do not hold idles are asked less and less often while they have nothing to say. One
// that was answered because another request came behind it tells nothing about that.
static void pace_idles(struct cv_rtmpt_client *t, const struct errand *errand)
{
    const uint64_t max_us = UINT64_C(1000) * CV_TUNNEL_IDLE_GAP_MS;
    t->floods = errand->seen ? t->floods + 1 : 0;
    bool overtaken = errand != &t->errands[t->count - 1];
    if (errand->seen || overtaken) {
        t->gap_us = 0;
        return;
    }
    t->gap_us = t->gap_us ? 2 * t->gap_us : IDLE_GAP_MIN_US;
    if (t->gap_us > max_us)
        t->gap_us = max_us;
}

// ---- one reply --------------------------------------------------------------------------------

// By a status (411 and others), or by a word before the end.
static bool refuses_stream(const struct errand *errand, uint32_t status)
{
    if (status == 200)
        return errand->growing;
    return status != 404 && status != 408;
}

// "Culvert: 1; early=230"
static void note_early(struct errand *errand, const struct cv_http1_head *head)
{
    static const char word[] = "early=";
    struct cv_text rest = cv_http1_header(head, "Culvert");
    uint64_t ms = 0;
    while (rest.len) {
        struct cv_text one = cv_text_trim(cv_text_take(&rest, ';'));
        if (!cv_text_starts(one, word))
            continue;
        int err = cv_text_u64(cv_text_skip(one, sizeof word - 1), 0, UINT32_MAX, &ms);
        errand->early_told = err == CV_OK;
        errand->early_ms = (uint32_t)ms;
    }
}

static int read_head(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, struct errand *errand,
                     const struct cv_http1_head *head)
{
    char text[64];
    t->slots[slot].stays = head->keep_alive;
    t->http11 = head->minor > 0;
    if (errand->chunked && refuses_stream(errand, head->status)) {
        t->stream = STREAM_NO;
        t->slots[slot].spent = true; // and it is sent again, as a whole
        return GO_ON;
    }
    if (errand->chunked)
        note_early(errand, head);
    if (head->status == 200)
        return GO_ON;
    if (head->status == 408) { // it was too slow for somebody; he goes
        t->slots[slot].spent = true;
        return GO_ON;
    }
    if (errand->kind == CV_RTMPT_CLOSE || head->status == 404)
        return cv__tunnel_over(t, errand->kind == CV_RTMPT_CLOSE ? 200 : 404);
    snprintf(text, sizeof text, "a request was answered with status %u", head->status);
    return cv__tunnel_fail(t, CV_E_HTTP, text);
}

static int keep_early(struct cv_rtmpt_client *t, struct errand *errand, const uint8_t *data,
                      size_t len)
{
    size_t used = errand->early ? errand->early->len : 0;
    size_t room = errand->early ? errand->early->capacity : 0;
    int err = CV_OK;
    if (len > CV_LIMIT_TUNNEL_EARLY_BYTES - t->early_bytes)
        return cv__tunnel_fail(t, CV_E_QUEUE_FULL, "too much came before its turn");
    if (!errand->early) {
        errand->early = cv_block_new(len);
        err = errand->early ? CV_OK : CV_E_NOMEM;
    } else if (used + len > room) {
        err = cv_block_reserve(&errand->early, used + len > 2 * room ? used + len : 2 * room);
    }
    if (err != CV_OK)
        return cv__tunnel_fail(t, err, "no memory for a reply that came before its turn");
    cv_block_append(errand->early, data, len);
    t->early_bytes += len;
    return GO_ON;
}

// The first one has the word: its bytes are passed on as they are.
static int give(struct cv_rtmpt_client *t, struct errand *errand, const uint8_t *data, size_t len,
                struct cv_rtmpt_client_event *out)
{
    errand->given += len;
    if (errand != &t->errands[0] || errand->early)
        return keep_early(t, errand, data, len);
    *out = (struct cv_rtmpt_client_event){
        .type = CV_RTMPT_CLIENT_BYTES, .ours = t->answer.ours, .data = data, .len = len};
    return EVENT;
}

static int read_body(struct cv_rtmpt_client *t, struct errand *errand, struct cv_text body,
                     struct cv_rtmpt_client_event *out)
{
    if (!errand->polled) {
        errand->polled = true;
        errand->polled_us = t->now_us;
        errand->bye = body.at[0] == 0;
        body = cv_text_skip(body, 1);
    }
    uint64_t known = errand->given > errand->seen ? errand->given - errand->seen : 0;
    errand->seen += body.len;
    if (body.len <= known)
        return GO_ON;
    body = cv_text_skip(body, (size_t)known);
    return give(t, errand, (const uint8_t *)body.at, body.len, out);
}

static void note_probe(struct cv_rtmpt_client *t, const struct errand *errand)
{
    bool one =
        t->pipe == PIPE_PROBED && errand->kind == CV_RTMPT_IDLE && errand->home == CV_RTMPT_UP;
    if (one && --t->probes == 0)
        t->pipe = PIPE_YES;
}

static int read_end(struct cv_rtmpt_client *t, enum cv_rtmpt_slot which, struct errand *errand)
{
    struct slot *slot = &t->slots[which];
    if (slot->spent)
        return GO_ON;
    if (!errand->polled)
        return cv__tunnel_fail(t, CV_E_HTTP, "a reply without its first byte");
    if (errand->seen < errand->given)
        return cv__tunnel_fail(t, CV_E_SEQUENCE, "a reply that comes again is shorter");
    errand->answered = true;
    slot->replies++;
    slot->spent = !slot->stays || t->single;
    if (!slot->stays) {
        t->single = true;
        t->pipe = PIPE_NO;
    }
    measure(t, errand);
    if (errand->kind == CV_RTMPT_IDLE) {
        pace_idles(t, errand);
        judge_window(t, errand);
    }
    if (errand->chunked)
        cv__tunnel_judge_stream(t, errand);
    note_probe(t, errand);
    return GO_ON;
}

// ---- reading ----------------------------------------------------------------------------------

static int read_reply(struct cv_rtmpt_client *t, enum cv_rtmpt_slot which,
                      const struct cv_http1_event *event, struct cv_rtmpt_client_event *out)
{
    struct errand *errand = awaited(t, which);
    CV_ASSERT(errand);
    switch (event->type) {
    case CV_HTTP1_HEAD:
        return read_head(t, which, errand, event->head);
    case CV_HTTP1_BODY:
        return t->slots[which].spent ? GO_ON : read_body(t, errand, event->body, out);
    case CV_HTTP1_END:
        return read_end(t, which, errand);
    case CV_HTTP1_INTERIM:
        return GO_ON;
    }
    CV_UNREACHABLE();
}

// HTTP has come to an end of what was fed, or of the connection, or cannot go on.
static int read_stopped(struct cv_rtmpt_client *t, enum cv_rtmpt_slot which, int err,
                        struct cv_rtmpt_client_event *out)
{
    struct slot *slot = &t->slots[which];
    if (err < 0 && !(err == CV_E_TRUNCATED && slot->ended))
        return cv__tunnel_fail(t, err, cv_http1_why(slot->http)->text);
    struct cv_rd rest = cv_http1_unread(slot->http);
    if (cv_rd_left(&rest)) // a reply that nobody asked for: some proxies say 408 before they close
        slot->spent = true;
    t->fed = false;
    if (!slot->ended)
        return GO_ON;
    return t->stage == OPENING ? cv__tunnel_open_lost(t, out) : lose(t, which);
}

static int read_slot(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    enum cv_rtmpt_slot which = t->reading;
    struct slot *slot = &t->slots[which];
    struct cv_http1_event event;
    if (cv_http1_phase(slot->http) == CV_HTTP1_PAUSED && !slot->spent && awaited(t, which))
        cv_http1_expect(slot->http, CV_METHOD_POST, t->stage == OPENING && t->offer);
    int did = cv_http1_next(slot->http, &event);
    if (did <= 0)
        return read_stopped(t, which, did, out);
    return t->stage == OPENING ? cv__tunnel_read_open(t, &event, out)
                               : read_reply(t, which, &event, out);
}

// ---- in order ---------------------------------------------------------------------------------

static int give_rest(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    size_t len = cv_rd_left(&t->rest);
    const uint8_t *data = cv_rd_bytes(&t->rest, len);
    t->errands[0].seen += len;
    return give(t, &t->errands[0], data, len, out);
}

static int give_early(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct errand *first = &t->errands[0];
    t->lent = first->early;
    first->early = NULL;
    t->early_bytes -= t->lent->len;
    *out = (struct cv_rtmpt_client_event){.type = CV_RTMPT_CLIENT_BYTES,
                                          .ours = t->answer.ours,
                                          .data = t->lent->data,
                                          .len = t->lent->len};
    return EVENT;
}

// The first request is done with.
static int retire(struct cv_rtmpt_client *t)
{
    bool bye = t->errands[0].bye || t->errands[0].kind == CV_RTMPT_CLOSE;
    cv__tunnel_pop(t);
    return bye ? cv__tunnel_over(t, 200) : GO_ON;
}

int cv__tunnel_step(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct errand *first = t->count ? &t->errands[0] : NULL;
    cv_block_unref(&t->lent);
    if (cv_rd_left(&t->rest))
        return give_rest(t, out);
    if (first && first->early)
        return give_early(t, out);
    if (first && first->answered && first->written == first->len)
        return retire(t);
    return t->fed ? read_slot(t, out) : MORE_BYTES;
}
