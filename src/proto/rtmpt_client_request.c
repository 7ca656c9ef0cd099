#include "proto/rtmpt_client_state.h"

#include "base/check.h"

#include <string.h>

// ---- what waits to be sent --------------------------------------------------------------------

void cv__tunnel_drop_pending(struct cv_rtmpt_client *t)
{
    cv_block_unref(&t->pending);
    t->urgent = false;
}

static size_t pending_len(const struct cv_rtmpt_client *t)
{
    return t->pending ? t->pending->len : 0;
}

// While a request before them may be missing, a server keeps only so much of those that follow.
static size_t flight_max(const struct cv_rtmpt_client *t)
{
    bool down = cv__tunnel_awaited(t, CV_RTMPT_DOWN) || cv__tunnel_stranded(t, CV_RTMPT_DOWN);
    return down ? CV_LIMIT_TUNNEL_PARK_BYTES / 2 : CV_TUNNEL_FLIGHT_BYTES;
}

size_t cv_rtmpt_client_room(const struct cv_rtmpt_client *t)
{
    size_t used = pending_len(t);
    size_t max = t->stage == OPENING ? CV_LIMIT_TUNNEL_OPEN_BYTES : CV_TUNNEL_SEND_BYTES;
    if (t->stage != RUNNING && (t->stage != OPENING || t->offered))
        return 0;
    size_t flight = flight_max(t);
    size_t left = flight > t->flight_bytes ? flight - t->flight_bytes : 0;
    if (left < max)
        max = left;
    return max > used ? max - used : 0;
}

void cv_rtmpt_client_drop_first(struct cv_rtmpt_client *t)
{
    CV_ASSERT(t->stage == RUNNING && t->next_n == 0 && !t->offered);
    cv__tunnel_drop_pending(t);
}

static int make_room(struct cv_rtmpt_client *t, size_t len)
{
    if (!t->pending)
        t->pending = cv_block_new(len);
    if (!t->pending)
        return CV_E_NOMEM;
    size_t need = t->pending->len + len;
    size_t capacity = t->pending->capacity;
    if (need <= capacity)
        return CV_OK;
    return cv_block_reserve(&t->pending, need > 2 * capacity ? need : 2 * capacity);
}

static void append(struct cv_block *block, const struct cv_gather *gather, size_t len)
{
    for (int i = 0; i < gather->count && len; i++) {
        const struct iovec *vector = &gather->vectors[i];
        size_t piece = vector->iov_len < len ? vector->iov_len : len;
        cv_block_append(block, vector->iov_base, piece);
        len -= piece;
    }
}

size_t cv_rtmpt_client_send(struct cv_rtmpt_client *t, const struct cv_gather *gather, bool urgent,
                            uint64_t now_us)
{
    size_t room = cv_rtmpt_client_room(t);
    size_t len = gather->bytes < room ? gather->bytes : room;
    t->now_us = now_us;
    if (len == 0)
        return 0;
    if (make_room(t, len) != CV_OK) {
        cv__tunnel_fail(t, CV_E_NOMEM, "no memory for a request");
        return 0;
    }
    if (t->pending->len == 0)
        t->pending_us = now_us;
    append(t->pending, gather, len);
    t->urgent |= urgent;
    cv__tunnel_plan(t);
    return len;
}

// ---- requests without their replies -----------------------------------------------------------

bool cv__tunnel_usable(const struct slot *slot)
{
    return slot->open && !slot->ended && !slot->spent;
}

uint32_t cv__tunnel_awaited(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct errand *errand = &t->errands[i];
        count += errand->home == slot && errand->placed &&
                 (!errand->answered || errand->written < errand->len);
    }
    return count;
}

bool cv__tunnel_stranded(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->errands[i].home == slot && !t->errands[i].placed && !t->errands[i].answered)
            return true;
    }
    return false;
}

void cv__tunnel_pop(struct cv_rtmpt_client *t)
{
    struct errand *first = &t->errands[0];
    CV_ASSERT(t->count && !first->early);
    if (first->kind == CV_RTMPT_SEND)
        t->flight_bytes -= first->body->len;
    t->begun = t->begun || first->kind != CV_RTMPT_OPEN;
    cv_block_unref(&first->body);
    cv_block_unref(&first->piece);
    t->count--;
    memmove(first, first + 1, t->count * sizeof *first);
}

static bool slot_takes(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    return cv__tunnel_usable(&t->slots[slot]) && !(t->single && t->slots[slot].asked);
}

static void put_on(struct cv_rtmpt_client *t, struct errand *errand)
{
    errand->alone = cv__tunnel_awaited(t, errand->home) == 0;
    errand->placed = true;
    t->slots[errand->home].asked++;
    t->slots[errand->home].active_us = t->now_us;
}

// A chunked reply, once media flows, and where nothing else has to wait for its end.
static uint32_t window_ms(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot home)
{
    enum { FLOODS_MIN = 4 };
    bool flows = t->mode == CV_RTMPT_CLIENT_PLAY && t->floods >= FLOODS_MIN;
    return flows && home == CV_RTMPT_DOWN && t->stage == RUNNING ? t->window_ms : 0;
}

void cv__tunnel_set_len(struct cv_rtmpt_client *t, struct errand *errand)
{
    char head[CV_LIMIT_TUNNEL_HEAD_BYTES];
    size_t head_len = cv__tunnel_head(t, errand, head);
    if (head_len == 0)
        cv__tunnel_fail(t, CV_E_USAGE, "the head of a request is too long");
    errand->len = head_len + cv__tunnel_body_len(errand);
}

void cv__tunnel_make(struct cv_rtmpt_client *t, const struct errand *like)
{
    CV_ASSERT(t->count < CV_LIMIT_TUNNEL_FLIGHT);
    struct errand *errand = &t->errands[t->count];
    *errand = *like;
    if (errand->kind != CV_RTMPT_OPEN)
        errand->n = t->next_n++;
    if (errand->kind == CV_RTMPT_IDLE)
        errand->window_ms = window_ms(t, errand->home);
    cv__tunnel_set_len(t, errand);
    put_on(t, errand);
    t->count++;
    t->request_us = t->now_us;
    t->idled = errand->kind == CV_RTMPT_IDLE;
}

static void make(struct cv_rtmpt_client *t, enum cv_rtmpt_kind kind, enum cv_rtmpt_slot home,
                 struct cv_block *body)
{
    cv__tunnel_make(t, &(struct errand){.kind = kind, .home = home, .body = body});
}

// Requests that were lost with their connection are sent again in order, one by one: that is what
// a server that keeps replies can follow.
static void place_stranded(struct cv_rtmpt_client *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct errand *errand = &t->errands[i];
        if (errand->answered || (errand->placed && !errand->losses))
            continue;
        if (errand->placed || !slot_takes(t, errand->home) || cv__tunnel_awaited(t, errand->home))
            return;
        put_on(t, errand);
        t->stats.replays++;
        return;
    }
}

// Something is to be sent again, or was and is without its reply: nothing new follows.
static bool is_recovering(const struct cv_rtmpt_client *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct errand *errand = &t->errands[i];
        if (!errand->answered && (!errand->placed || errand->losses))
            return true;
    }
    return false;
}

// Whether one more, new one can be placed.
static bool has_room(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, uint32_t depth)
{
    const struct errand *growing = cv__tunnel_growing(t);
    return t->count + 1 < CV_LIMIT_TUNNEL_FLIGHT && slot_takes(t, slot) && !is_recovering(t) &&
           !(growing && growing->home == slot) && cv__tunnel_awaited(t, slot) < depth;
}

// ---- sends ------------------------------------------------------------------------------------

static uint32_t depth_of(const struct cv_rtmpt_client *t)
{
    return t->pipe == PIPE_YES ? t->depth : 1;
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : value > max ? max : value;
}

// With so much between them, the sends that may be under way cover one reply time.
static uint64_t coalesce_us(const struct cv_rtmpt_client *t)
{
    if (t->coalesce_us)
        return t->coalesce_us;
    return clamp(t->reply_us / depth_of(t), UINT64_C(1000) * CV_TUNNEL_COALESCE_MIN_MS,
                 UINT64_C(1000) * CV_TUNNEL_COALESCE_MAX_MS);
}

static uint64_t ripe_us(const struct cv_rtmpt_client *t)
{
    bool now = t->urgent || t->stage == FINISHING || t->pending->len >= CV_TUNNEL_FLUSH_BYTES;
    return now ? t->now_us : t->pending_us + coalesce_us(t);
}

bool cv__tunnel_may_send(const struct cv_rtmpt_client *t)
{
    return pending_len(t) && !t->closing && t->pipe != PIPE_PROBED &&
           has_room(t, CV_RTMPT_UP, depth_of(t));
}

static void plan_send(struct cv_rtmpt_client *t)
{
    if (!cv__tunnel_may_send(t) || ripe_us(t) > t->now_us)
        return;
    t->flight_bytes += t->pending->len;
    make(t, CV_RTMPT_SEND, CV_RTMPT_UP, t->pending);
    t->pending = NULL;
    t->urgent = false;
    t->gap_us = 0;
    t->stats.sends++;
}

// ---- idles ------------------------------------------------------------------------------------

static void make_idle(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    make(t, CV_RTMPT_IDLE, slot, NULL);
    t->idle_us = t->now_us;
    t->stats.idles++;
}

// The first time that a publisher's connection has proved to stay: two at once, small enough to be
// sent again if that is not allowed.
static void plan_probe(struct cv_rtmpt_client *t)
{
    struct slot *up = &t->slots[CV_RTMPT_UP];
    if (t->pipe != PIPE_UNKNOWN || t->stage != RUNNING || t->mode != CV_RTMPT_CLIENT_PUBLISH ||
        t->single || up->replies < 2 || !has_room(t, CV_RTMPT_UP, 1))
        return;
    t->pipe = PIPE_PROBED;
    t->probes = 2;
    make_idle(t, CV_RTMPT_UP);
    make_idle(t, CV_RTMPT_UP);
}

enum cv_rtmpt_slot cv__tunnel_idle_home(const struct cv_rtmpt_client *t)
{
    bool down = t->two && t->was_two && t->begun && t->mode != CV_RTMPT_CLIENT_PUBLISH;
    return down ? CV_RTMPT_DOWN : CV_RTMPT_UP;
}

// Where a publisher has nothing to send, a server of ours is soon asked what it has taken: its
// count comes behind the reply to the last send, and who waits for it must not take that for
// silence.
static uint64_t keepalive_us(const struct cv_rtmpt_client *t)
{
    bool told_soon = t->answer.ours && !t->idled;
    return UINT64_C(1000) * (told_soon ? CV_TUNNEL_TAKEN_MS : CV_TUNNEL_KEEPALIVE_MS);
}

// Nothing is asked before the first number was answered: a server may begin with the one that comes
// first. But where the first flight has asked already, the first number may be an idle: there may
// be nothing else to say.
static uint64_t idle_due_us(const struct cv_rtmpt_client *t)
{
    bool begun = (t->begun || t->eager) && t->mode != CV_RTMPT_CLIENT_PUBLISH;
    return begun ? t->idle_us + t->gap_us : t->request_us + keepalive_us(t);
}

static bool may_idle(const struct cv_rtmpt_client *t)
{
    if (t->mode == CV_RTMPT_CLIENT_QUIET)
        return false;
    enum cv_rtmpt_slot home = cv__tunnel_idle_home(t);
    bool busy = home == CV_RTMPT_UP && (t->count || pending_len(t));
    bool first = !t->begun && t->count;
    return t->stage == RUNNING && !busy && !first && has_room(t, home, 1);
}

// An idle that is made before the owner could speak is in the way of what he says, for as long as
// the server holds it.
static void plan_idle(struct cv_rtmpt_client *t)
{
    if (!t->told && may_idle(t) && idle_due_us(t) <= t->now_us)
        make_idle(t, cv__tunnel_idle_home(t));
}

// ---- the whole plan ---------------------------------------------------------------------------

static void plan_open(struct cv_rtmpt_client *t)
{
    struct cv_block *body = NULL;
    if (t->offered || !t->slots[CV_RTMPT_UP].open)
        return;
    if (t->first && t->pending)
        body = cv_block_ref(t->pending);
    t->offered = true;
    make(t, CV_RTMPT_OPEN, CV_RTMPT_UP, body);
}

static void plan_close(struct cv_rtmpt_client *t)
{
    if (t->stage != FINISHING || t->closing || pending_len(t) ||
        !has_room(t, CV_RTMPT_UP, depth_of(t)))
        return;
    t->closing = true;
    make(t, CV_RTMPT_CLOSE, CV_RTMPT_UP, NULL);
}

// The other connection has shown that each serves one request only: one that has served is to go.
static void leave_used(struct cv_rtmpt_client *t)
{
    for (enum cv_rtmpt_slot slot = CV_RTMPT_UP; slot < CV_RTMPT_SLOTS && t->single; slot++) {
        struct slot *s = &t->slots[slot];
        if (cv__tunnel_usable(s) && s->asked && !cv__tunnel_awaited(t, slot))
            s->spent = true;
    }
}

void cv__tunnel_plan(struct cv_rtmpt_client *t)
{
    if (t->stage == OPENING)
        plan_open(t);
    if (!cv__tunnel_serving(t))
        return;
    leave_used(t);
    place_stranded(t);
    plan_probe(t);
    cv__tunnel_plan_stream(t);
    plan_send(t);
    plan_idle(t);
    plan_close(t);
}

uint64_t cv__tunnel_plan_us(const struct cv_rtmpt_client *t)
{
    if (!cv__tunnel_serving(t))
        return UINT64_MAX;
    uint64_t first_us = cv__tunnel_stream_us(t);
    if (cv__tunnel_may_send(t) && ripe_us(t) < first_us)
        first_us = ripe_us(t);
    if (may_idle(t) && idle_due_us(t) < first_us)
        first_us = idle_due_us(t);
    return first_us;
}

// ---- writing ----------------------------------------------------------------------------------

static const uint8_t filler[1];

// False: the gather is full.
static bool put(const struct cv_rtmpt_client *t, const struct errand *errand,
                struct cv_gather *gather)
{
    char head[CV_LIMIT_TUNNEL_HEAD_BYTES];
    size_t body_len = cv__tunnel_body_len(errand);
    size_t head_len = errand->len - body_len; // or, of a chunked one, all before its newest piece
    size_t at = errand->written;
    if (at < head_len) {
        size_t len = cv__tunnel_head(t, errand, head);
        CV_ASSERT(len == head_len);
        if (!cv_gather_copy(gather, head + at, head_len - at))
            return false;
        at = head_len;
    }
    at -= head_len;
    const struct cv_block *block = errand->chunked ? errand->piece : errand->body;
    const uint8_t *body = block ? block->data : filler;
    return cv_gather_borrow(gather, body + at, body_len - at);
}

static bool is_on(const struct errand *errand, enum cv_rtmpt_slot slot)
{
    return errand->placed && errand->home == slot;
}

void cv_rtmpt_client_pull(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot,
                          struct cv_gather *gather)
{
    bool writes = t->stage == OPENING || cv__tunnel_serving(t);
    if (!writes || !cv__tunnel_usable(&t->slots[slot]))
        return;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct errand *errand = &t->errands[i];
        if (is_on(errand, slot) && errand->written < errand->len && !put(t, errand, gather))
            return;
    }
}

void cv_rtmpt_client_sent(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, size_t len,
                          uint64_t now_us)
{
    t->now_us = now_us;
    t->slots[slot].active_us = now_us;
    for (uint32_t i = 0; i < t->count && len; i++) {
        struct errand *errand = &t->errands[i];
        if (!is_on(errand, slot) || errand->written == errand->len)
            continue;
        size_t left = errand->len - errand->written;
        size_t piece = len < left ? len : left;
        errand->written += piece;
        len -= piece;
        errand->written_us = now_us;
    }
    CV_ASSERT(len == 0);
    if (cv__tunnel_serving(t))
        cv__tunnel_plan_stream(t);
}
