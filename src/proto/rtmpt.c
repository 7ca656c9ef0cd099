#include "proto/rtmpt_state.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static const char place[] = "rtmpt";

int cv__rtmpt_failed(struct cv_rtmpt *t, int code, const char *text)
{
    t->state = FAILED;
    return cv_why_set(&t->why, code, place, "%s", text);
}

struct cv_rtmpt *cv_rtmpt_new(const struct cv_rtmpt_config *config, uint64_t now_us)
{
    struct cv_rtmpt *t = cv_mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    t->rtmp = config->rtmp;
    t->hold_us = UINT64_C(1000) * (config->hold_ms ? config->hold_ms : CV_TUNNEL_HOLD_MS);
    t->window_us = UINT64_C(1000) * config->window_ms;
    t->lent = cv_rd_over(NULL, 0);
    t->now_us = now_us;
    t->request_us = now_us;
    return t;
}

void cv_rtmpt_free(struct cv_rtmpt *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->request_count; i++)
        cv_block_unref(&t->requests[i].parked);
    cv_block_unref(&t->lent_block);
    cv_parcel_unref(&t->last.parcel);
    for (uint32_t i = 0; i < t->older_count; i++)
        cv_parcel_unref(&t->older[i].parcel);
    cv_parcel_unref(&t->again.parcel);
    cv_parcel_unref(&t->stream);
    cv_mem_free(t);
}

void cv_rtmpt_set_mode(struct cv_rtmpt *t, enum cv_rtmpt_mode mode)
{
    t->mode = mode;
}

void cv_rtmpt_set_window(struct cv_rtmpt *t, uint32_t window_ms, bool kept)
{
    t->window_us = UINT64_C(1000) * window_ms;
    t->keeps = kept;
}

const struct cv_why *cv_rtmpt_why(const struct cv_rtmpt *t)
{
    return &t->why;
}

void cv_rtmpt_fail(struct cv_rtmpt *t, int code, const char *text)
{
    cv__rtmpt_failed(t, code, text);
}

void cv_rtmpt_finish(struct cv_rtmpt *t)
{
    if (t->state == OPEN)
        t->state = FINISHING;
}

// ---- requests -------------------------------------------------------------------------------

bool cv__rtmpt_serving(const struct cv_rtmpt *t)
{
    return t->state == OPEN || t->state == FINISHING;
}

// The request of this connection that is still coming in.
static struct request *coming(struct cv_rtmpt *t, uint64_t ticket)
{
    for (uint32_t i = 0; i < t->request_count; i++) {
        if (t->requests[i].ticket == ticket && !t->requests[i].ended)
            return &t->requests[i];
    }
    return NULL;
}

// A /close without a number, or with an old one, is served as soon as it is complete.
static bool is_current(const struct cv_rtmpt *t, const struct request *request)
{
    if (request->kind == CV_RTMPT_CLOSE && (!request->has_n || request->n < t->next))
        return request->ended;
    return t->started && request->n == t->next;
}

static struct request *current(struct cv_rtmpt *t)
{
    for (uint32_t i = 0; i < t->request_count; i++) {
        if (is_current(t, &t->requests[i]))
            return &t->requests[i];
    }
    return NULL;
}

static void remove_request(struct cv_rtmpt *t, struct request *request)
{
    if (request->parked)
        t->parked_bytes -= request->parked->len;
    cv_block_unref(&request->parked);
    size_t behind = (size_t)(t->requests + t->request_count - (request + 1));
    memmove(request, request + 1, behind * sizeof *request);
    t->request_count--;
}

// The first number is 0 or, with Red5's client, 1.
static void start(struct cv_rtmpt *t, uint64_t n)
{
    if (t->started || n > 1)
        return;
    t->started = true;
    t->next = n;
    t->late_zero = n == 1;
}

static int check_number(struct cv_rtmpt *t, const struct cv_rtmpt_target *target)
{
    if (!target->has_n || target->kind == CV_RTMPT_CLOSE)
        return CV_OK;
    uint64_t n = target->n;
    bool again = t->started && n < t->next;
    if (again && !cv__rtmpt_served(t, n) && !(n == 0 && t->late_zero))
        return cv__rtmpt_failed(t, CV_E_SEQUENCE, "a number from long before the last one");
    if (!again && n - t->next > CV_LIMIT_TUNNEL_REQUESTS)
        return cv__rtmpt_failed(t, CV_E_SEQUENCE, "a number far ahead of the next one");
    return CV_OK;
}

int cv_rtmpt_request(struct cv_rtmpt *t, uint64_t ticket, const struct cv_rtmpt_target *target,
                     uint64_t now_us)
{
    CV_ASSERT(target->kind >= CV_RTMPT_SEND && target->kind <= CV_RTMPT_CLOSE);
    CV_ASSERT(cv_rd_left(&t->lent) == 0 || t->state == FAILED);
    if (!cv__rtmpt_serving(t))
        return t->why.code != CV_OK ? t->why.code : CV_E_CLOSED;
    CV_ASSERT(!coming(t, ticket));
    t->now_us = now_us;
    t->request_us = now_us;
    if (target->has_n)
        start(t, target->n);
    int err = check_number(t, target);
    if (err != CV_OK)
        return err;
    if (t->request_count == CV_LIMIT_TUNNEL_REQUESTS)
        return cv__rtmpt_failed(t, CV_E_TOO_MANY, "too many requests wait for one that is missing");
    t->requests[t->request_count++] = (struct request){
        .ticket = ticket,
        .n = target->n,
        .kind = target->kind,
        .has_n = target->has_n,
    };
    return CV_OK;
}

// Lends what the client has not sent before: of a request that comes again behind a lost connection
// a part may have been given out.
static void lend(struct cv_rtmpt *t, size_t at, const uint8_t *data, size_t len)
{
    CV_ASSERT(at <= t->given_bytes && cv_rd_left(&t->lent) == 0);
    size_t known = t->given_bytes - at;
    if (len <= known)
        return;
    t->lent = cv_rd_over(data + known, len - known);
    t->given_bytes += len - known;
}

static int park(struct cv_rtmpt *t, struct request *request, const void *data, size_t len)
{
    if (len > CV_LIMIT_TUNNEL_PARK_BYTES - t->parked_bytes)
        return cv__rtmpt_failed(t, CV_E_QUEUE_FULL,
                                "too many bytes wait for a request that is missing");
    size_t used = request->parked ? request->parked->len : 0;
    size_t room = request->parked ? request->parked->capacity : 0;
    int err = CV_OK;
    if (!request->parked) {
        request->parked = cv_block_new(len);
        err = request->parked ? CV_OK : CV_E_NOMEM;
    } else if (used + len > room) {
        err = cv_block_reserve(&request->parked, used + len > 2 * room ? used + len : 2 * room);
    }
    if (err != CV_OK)
        return cv__rtmpt_failed(t, err, "no memory for a request that came too early");
    cv_block_append(request->parked, data, len);
    t->parked_bytes += len;
    return CV_OK;
}

void cv_rtmpt_body(struct cv_rtmpt *t, uint64_t ticket, const void *data, size_t len,
                   uint64_t now_us)
{
    if (!cv__rtmpt_serving(t) || len == 0)
        return;
    struct request *request = coming(t, ticket);
    CV_ASSERT(request && cv_rd_left(&t->lent) == 0);
    t->now_us = now_us;
    t->request_us = now_us;
    size_t at = request->len;
    request->len += len;
    bool again = t->started && request->n < t->next;
    if (request->kind != CV_RTMPT_SEND || again)
        return;
    if (request == current(t) && !request->parked)
        lend(t, at, data, len);
    else
        park(t, request, data, len);
}

void cv_rtmpt_end(struct cv_rtmpt *t, uint64_t ticket, uint64_t now_us)
{
    if (!cv__rtmpt_serving(t))
        return;
    struct request *request = coming(t, ticket);
    CV_ASSERT(request && cv_rd_left(&t->lent) == 0);
    t->now_us = now_us;
    t->request_us = now_us;
    request->ended = true;
}

// ---- what was served --------------------------------------------------------------------------

struct served *cv__rtmpt_served(struct cv_rtmpt *t, uint64_t n)
{
    if (t->last.answer != NOT_SERVED && t->last.n == n)
        return &t->last;
    for (uint32_t i = 0; i < t->older_count; i++) {
        if (t->older[i].n == n)
            return &t->older[i];
    }
    return NULL;
}

struct served *cv__rtmpt_owed(struct cv_rtmpt *t)
{
    struct served *oldest = t->last.answer == OWED ? &t->last : NULL;
    uint64_t count = oldest != NULL;
    for (uint32_t i = 0; i < t->older_count; i++) {
        if (t->older[i].answer == OWED) {
            oldest = &t->older[i];
            count++;
        }
    }
    return count == t->owed ? oldest : NULL;
}

// The last one becomes one of the older ones, of which only so many bytes are kept.
static void remember(struct cv_rtmpt *t)
{
    size_t bytes = 0;
    if (t->last.answer == NOT_SERVED)
        return;
    if (t->older_count == CV_LIMIT_TUNNEL_KEPT)
        cv_parcel_unref(&t->older[--t->older_count].parcel);
    memmove(t->older + 1, t->older, t->older_count * sizeof t->older[0]);
    t->older[0] = t->last;
    t->older_count++;
    t->last = (struct served){0};
    for (uint32_t i = 0; i < t->older_count; i++) {
        struct served *served = &t->older[i];
        bytes += served->parcel ? served->parcel->bytes : 0;
        if (bytes <= CV_TUNNEL_KEPT_BYTES)
            continue;
        served->kept = false;
        cv_parcel_unref(&served->parcel);
    }
}

// ---- serving --------------------------------------------------------------------------------

static int owe(struct cv_rtmpt *t, uint64_t ticket)
{
    struct run *newest = t->run_count ? &t->runs[t->run_count - 1] : NULL;
    if (!newest || newest->ticket != ticket) {
        if (t->run_count == CV_LIMIT_TUNNEL_RUNS)
            return cv__rtmpt_failed(t, CV_E_TOO_MANY,
                                    "replies to many connections, and none is read");
        newest = &t->runs[t->run_count++];
        *newest = (struct run){.ticket = ticket};
    }
    newest->count++;
    t->owed++;
    return CV_OK;
}

// What the client may have missed or repeated of the requests before this one.
static int check_goes_on(struct cv_rtmpt *t, const struct request *served)
{
    const struct served *lost = t->lost ? cv__rtmpt_served(t, t->lost_n) : NULL;
    if (t->lost && (!lost || !lost->kept))
        return cv__rtmpt_failed(t, CV_E_SEQUENCE,
                                "a reply was cut off, and is not asked for again");
    if (t->given_bytes && (served->kind != CV_RTMPT_SEND || served->len < t->given_bytes))
        return cv__rtmpt_failed(t, CV_E_SEQUENCE, "sent again, and shorter");
    return CV_OK;
}

// On failure the request stays in the list, so that it is answered.
static int serve(struct cv_rtmpt *t, struct request *request)
{
    int err = request->kind == CV_RTMPT_CLOSE ? CV_OK : check_goes_on(t, request);
    if (err == CV_OK && !request->gone)
        err = owe(t, request->ticket);
    if (err != CV_OK)
        return err;
    remember(t);
    t->last = (struct served){
        .n = t->next,
        .ticket = request->ticket,
        .kind = request->kind,
        .len = request->len,
        .answer = request->gone ? DROPPED : OWED,
    };
    t->next++;
    t->hurried = false;
    t->given_bytes = 0;
    t->served_us = t->now_us;
    if (request->kind == CV_RTMPT_CLOSE)
        t->state = CLOSED;
    if (t->state == CLOSED && t->again.used)
        t->again.ready = true; // with nothing in it, if it was not ready
    remove_request(t, request);
    return CV_OK;
}

// The reply that was asked for again is there, if it was kept.
int cv__rtmpt_ready_again(struct cv_rtmpt *t, const struct served *served)
{
    if (!served->kept)
        return cv__rtmpt_failed(t, CV_E_SEQUENCE,
                                "a number comes again, but its reply was not kept");
    t->again.ready = true;
    t->again.poll = served->poll;
    t->again.parcel = served->parcel ? cv_parcel_ref(served->parcel) : NULL;
    return CV_OK;
}

// With nothing in it: what was never made goes with later ones.
static void ready_empty(struct cv_rtmpt *t)
{
    t->again.empty = true;
    t->again.ready = true;
    t->again.poll = POLL_SOON;
}

// What was asked for again was not made, and never will be: its connection went.
static int replace_dropped(struct cv_rtmpt *t, const struct served *served, uint64_t ticket)
{
    if (served == &t->last) {
        t->again = (struct again){0};
        t->last.ticket = ticket;
        t->last.answer = OWED;
        return owe(t, ticket);
    }
    ready_empty(t);
    return CV_OK;
}

// A request with a number that was served before. The numbers were looked at when it began.
static int serve_again(struct cv_rtmpt *t, struct request *request)
{
    bool late = t->late_zero && request->n == 0 && request->kind == CV_RTMPT_IDLE;
    const struct served *served = cv__rtmpt_served(t, request->n);
    bool same = served && request->kind == served->kind && request->len == served->len;
    if (!late && !same)
        return cv__rtmpt_failed(t, CV_E_SEQUENCE, "a number comes again, and not the same request");
    if (t->again.used)
        return cv__rtmpt_failed(t, CV_E_SEQUENCE, "a number comes again and again");
    struct again again = {.used = true, .ticket = request->ticket, .n = request->n};
    bool gone = request->gone;
    remove_request(t, request);
    if (gone)
        return CV_OK;
    t->again = again;
    if (same && served->answer == DROPPED)
        return replace_dropped(t, served, again.ticket);
    if (same)
        return served->answer == MADE ? cv__rtmpt_ready_again(t, served) : CV_OK;
    t->late_zero = false;
    ready_empty(t);
    return CV_OK;
}

static struct request *complete_again(struct cv_rtmpt *t)
{
    for (uint32_t i = 0; i < t->request_count; i++) {
        struct request *request = &t->requests[i];
        bool before = t->started && request->n < t->next;
        if (request->ended && before && !is_current(t, request))
            return request;
    }
    return NULL;
}

static void lend_parked(struct cv_rtmpt *t, struct request *request)
{
    t->lent_block = request->parked;
    request->parked = NULL;
    t->parked_bytes -= t->lent_block->len;
    lend(t, 0, t->lent_block->data, t->lent_block->len);
}

// Serves what is complete, in order, up to the next bytes that are to be given out.
static int step(struct cv_rtmpt *t)
{
    while (cv__rtmpt_serving(t) && cv_rd_left(&t->lent) == 0) {
        struct request *request = complete_again(t);
        int err = CV_OK;
        cv_block_unref(&t->lent_block);
        if (request) {
            err = serve_again(t, request);
        } else {
            request = current(t);
            if (!request || (!request->parked && !request->ended))
                return CV_OK;
            if (request->parked)
                lend_parked(t, request);
            else
                err = serve(t, request);
        }
        if (err != CV_OK)
            return err;
    }
    return CV_OK;
}

static void watch_gap(struct cv_rtmpt *t)
{
    bool early = false;
    for (uint32_t i = 0; i < t->request_count; i++)
        early = early || !t->started || t->requests[i].n > t->next;
    bool gap = early && cv__rtmpt_serving(t) && !current(t);
    if (!gap)
        t->gap_us = 0;
    else if (!t->gap_us)
        t->gap_us = t->now_us ? t->now_us : 1;
}

int cv_rtmpt_next(struct cv_rtmpt *t, struct cv_rtmpt_event *out)
{
    int err = step(t);
    watch_gap(t);
    if (err != CV_OK || t->state == FAILED)
        return t->why.code;
    size_t len = cv_rd_left(&t->lent);
    if (len) {
        *out = (struct cv_rtmpt_event){.type = CV_RTMPT_BYTES, .data = t->lent.at, .len = len};
        t->lent = cv_rd_over(NULL, 0);
        return 1;
    }
    if (t->state == CLOSED && !t->ended_told) {
        t->ended_told = true;
        *out = (struct cv_rtmpt_event){.type = CV_RTMPT_ENDED};
        return 1;
    }
    return 0;
}

// ---- connections that go --------------------------------------------------------------------

static void drop_requests(struct cv_rtmpt *t, uint64_t ticket)
{
    for (uint32_t i = 0; i < t->request_count;) {
        struct request *request = &t->requests[i];
        if (request->ticket == ticket && !request->ended) {
            remove_request(t, request);
            continue;
        }
        request->gone = request->gone || request->ticket == ticket;
        i++;
    }
}

void cv__rtmpt_drop_runs(struct cv_rtmpt *t, uint64_t ticket)
{
    if (t->last.answer == OWED && t->last.ticket == ticket)
        t->last.answer = DROPPED;
    for (uint32_t i = 0; i < t->older_count; i++) {
        if (t->older[i].answer == OWED && t->older[i].ticket == ticket)
            t->older[i].answer = DROPPED;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->run_count; i++) {
        if (t->runs[i].ticket == ticket)
            t->owed -= t->runs[i].count;
        else
            t->runs[kept++] = t->runs[i];
    }
    t->run_count = kept;
}

static void drop_again(struct cv_rtmpt *t, uint64_t ticket)
{
    if (!t->again.used || t->again.ticket != ticket)
        return;
    cv_parcel_unref(&t->again.parcel);
    t->again = (struct again){0};
}

void cv__rtmpt_lose(struct cv_rtmpt *t, uint64_t n)
{
    t->lost_n = t->lost && t->lost_n < n ? t->lost_n : n;
    t->lost = true;
}

// Replies that have not left whole can all be asked for again.
static bool is_saved(struct cv_rtmpt *t)
{
    const struct served *first = cv__rtmpt_served(t, t->writing.first_n);
    if (!first || !first->kept)
        return false;
    for (uint64_t n = first->n + 1; n < t->next; n++) {
        const struct served *served = cv__rtmpt_served(t, n);
        if (!served || (served->answer == MADE && !served->kept))
            return false;
    }
    return true;
}

// A reply that has not left whole is lost with its connection.
static void drop_written(struct cv_rtmpt *t, uint64_t ticket)
{
    if (!t->writing.on || t->writing.ticket != ticket)
        return;
    bool any = t->writing.data || t->writing.old_data;
    if (any && is_saved(t)) {
        cv__rtmpt_lose(t, t->writing.first_n);
    } else if (cv__rtmpt_serving(t) && any) {
        cv__rtmpt_failed(t, CV_E_CLOSED, "a reply was cut off, and cannot be asked for again");
    }
    t->writing = (struct writing){0};
}

void cv__rtmpt_forget(struct cv_rtmpt *t, uint64_t ticket)
{
    cv__rtmpt_drop_runs(t, ticket);
    drop_again(t, ticket);
    for (uint32_t i = 0; i < t->request_count;) {
        if (t->requests[i].ticket == ticket)
            remove_request(t, &t->requests[i]);
        else
            i++;
    }
}

void cv_rtmpt_gone(struct cv_rtmpt *t, uint64_t ticket, uint64_t now_us)
{
    CV_ASSERT(cv_rd_left(&t->lent) == 0 || t->state == FAILED);
    t->now_us = now_us;
    if (t->streaming && t->runs[0].ticket == ticket)
        cv__rtmpt_cut_stream(t);
    drop_written(t, ticket);
    drop_requests(t, ticket);
    cv__rtmpt_drop_runs(t, ticket);
    drop_again(t, ticket);
    // The same request had come on another connection already: it gets the reply.
    const struct served *served = cv__rtmpt_served(t, t->again.n);
    if (t->again.used && !t->again.ready && served && served->answer == DROPPED)
        replace_dropped(t, served, t->again.ticket);
    watch_gap(t);
}
