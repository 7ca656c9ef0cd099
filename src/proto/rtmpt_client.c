#include "proto/rtmpt_client_state.h"

#include "base/check.h"
#include "base/mem.h"

static const char place[] = "rtmpt";

int cv__tunnel_fail(struct cv_rtmpt_client *t, int code, const char *text)
{
    t->stage = FAILED;
    t->fed = false;
    return cv_why_set(&t->why, code, place, "%s", text);
}

int cv__tunnel_over(struct cv_rtmpt_client *t, uint32_t status)
{
    t->stage = OVER;
    t->fed = false;
    t->last = (struct cv_rtmpt_client_event){
        .type = CV_RTMPT_CLIENT_ENDED, .ours = t->answer.ours, .status = status};
    return GO_ON;
}

bool cv__tunnel_serving(const struct cv_rtmpt_client *t)
{
    return t->stage == RUNNING || t->stage == FINISHING;
}

struct cv_rtmpt_client *cv_rtmpt_client_new(const struct cv_rtmpt_client_config *config,
                                            uint64_t now_us)
{
    const uint32_t depth_most = CV_LIMIT_TUNNEL_FLIGHT - 2; // idles and /close have their places
    struct cv_rtmpt_client *t = cv_mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    t->offer = config->offer;
    t->first = config->first || config->offer;
    t->alone = config->alone;
    t->stream_after = config->stream_after ? config->stream_after : CV_TUNNEL_STREAM_AFTER;
    t->depth_max = config->depth ? config->depth : CV_TUNNEL_DEPTH;
    if (t->depth_max > depth_most)
        t->depth_max = depth_most;
    t->window_ms = CV_TUNNEL_WINDOW_MIN_MS;
    t->stream_ms = CV_TUNNEL_WINDOW_MIN_MS;
    t->coalesce_us = UINT64_C(1000) * config->coalesce_ms;
    t->rest = cv_rd_over(NULL, 0);
    t->now_us = now_us;
    t->request_us = now_us;
    if (cv__tunnel_prepare(t, config) != CV_E_NOMEM)
        return t;
    cv_rtmpt_client_free(t);
    return NULL;
}

void cv_rtmpt_client_free(struct cv_rtmpt_client *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->count; i++) {
        cv_block_unref(&t->errands[i].body);
        cv_block_unref(&t->errands[i].early);
        cv_block_unref(&t->errands[i].piece);
    }
    for (int i = 0; i < CV_RTMPT_SLOTS; i++)
        cv_http1_free(t->slots[i].http);
    cv_block_unref(&t->host);
    cv_block_unref(&t->prefix);
    cv_block_unref(&t->fields);
    cv_block_unref(&t->pending);
    cv_block_unref(&t->lent);
    cv_mem_free(t);
}

void cv_rtmpt_client_set_mode(struct cv_rtmpt_client *t, enum cv_rtmpt_client_mode mode,
                              uint64_t now_us)
{
    t->now_us = now_us;
    t->mode = mode;
    cv__tunnel_plan(t);
}

void cv_rtmpt_client_finish(struct cv_rtmpt_client *t, uint64_t now_us)
{
    t->now_us = now_us;
    if (t->stage == OPENING)
        cv__tunnel_over(t, 200);
    if (t->stage != RUNNING)
        return;
    t->stage = FINISHING;
    t->finish_us = now_us + UINT64_C(1000) * CV_TUNNEL_GOODBYE_MS;
    cv__tunnel_plan(t);
}

const struct cv_why *cv_rtmpt_client_why(const struct cv_rtmpt_client *t)
{
    return &t->why;
}

bool cv_rtmpt_client_over(const struct cv_rtmpt_client *t)
{
    return t->stage == FAILED || (t->stage == OVER && t->last_told);
}

struct cv_rtmpt_client_stats cv_rtmpt_client_stats(const struct cv_rtmpt_client *t)
{
    struct cv_rtmpt_client_stats stats = t->stats;
    stats.reply_us = t->reply_us;
    stats.depth = t->pipe == PIPE_YES ? t->depth : 1;
    return stats;
}

// ---- events -----------------------------------------------------------------------------------

static int tell_last(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    if (t->stage != OVER || t->last_told)
        return t->why.code;
    t->last_told = true;
    *out = t->last;
    return 1;
}

int cv_rtmpt_client_next(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    int did = GO_ON;
    while (did == GO_ON && (t->stage == OPENING || cv__tunnel_serving(t)))
        did = cv__tunnel_step(t, out);
    t->told |= did == EVENT;
    if (did == EVENT)
        return 1;
    cv__tunnel_plan(t);
    t->told = false; // what is not said by the next call can wait for a reply
    return tell_last(t, out);
}

// ---- connections ------------------------------------------------------------------------------

static bool needed(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    bool publishes = t->mode == CV_RTMPT_CLIENT_PUBLISH;
    if (t->stage == OPENING)
        return slot == CV_RTMPT_UP && !t->offered;
    if (!cv__tunnel_serving(t))
        return false;
    if (cv__tunnel_stranded(t, slot))
        return true;
    if (slot == CV_RTMPT_DOWN)
        return t->two && !publishes && t->stage == RUNNING;
    return t->pending || publishes || cv__tunnel_idle_home(t) == CV_RTMPT_UP ||
           (t->stage == FINISHING && !t->closing);
}

enum cv_rtmpt_want cv_rtmpt_client_want(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    const struct slot *s = &t->slots[slot];
    bool ends = t->stage == OVER || t->stage == FAILED;
    if (s->open && t->stage != RAW && (s->spent || ends))
        return s->ended ? CV_RTMPT_WANT_NOTHING : CV_RTMPT_WANT_CLOSE;
    if (s->open && t->stage == RAW && slot != CV_RTMPT_UP)
        return CV_RTMPT_WANT_CLOSE;
    if (!s->open && needed(t, slot) && t->now_us >= s->retry_us)
        return CV_RTMPT_WANT_CONNECT;
    return CV_RTMPT_WANT_NOTHING;
}

void cv_rtmpt_client_connected(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, uint64_t now_us)
{
    struct slot *s = &t->slots[slot];
    CV_ASSERT(!s->open);
    t->now_us = now_us;
    if (t->stage != OPENING && !cv__tunnel_serving(t))
        return;
    *s = (struct slot){.open = true, .active_us = now_us};
    s->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!s->http) {
        cv__tunnel_fail(t, CV_E_NOMEM, "no memory for a connection");
        return;
    }
    t->stats.connections++;
    t->was_two = t->was_two || slot == CV_RTMPT_DOWN;
    cv__tunnel_plan(t);
}

// A second connection is a help that is not always to be had.
static void not_connected(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, int code)
{
    struct slot *s = &t->slots[slot];
    s->retry_us = t->now_us + UINT64_C(1000) * CV_TUNNEL_RETRY_MS;
    bool last = ++s->failures >= CV_LIMIT_TUNNEL_CONNECTS;
    if (slot == CV_RTMPT_DOWN && !cv__tunnel_stranded(t, slot))
        t->two = false;
    else if (t->stage == OPENING || (cv__tunnel_serving(t) && last))
        cv__tunnel_fail(t, code == CV_OK ? CV_E_UNREACHABLE : code, "no connection can be made");
}

void cv_rtmpt_client_closed(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, int code,
                            uint64_t now_us)
{
    struct slot *s = &t->slots[slot];
    bool orderly = code == CV_OK || code == CV_E_CLOSED;
    CV_ASSERT(!t->fed);
    t->now_us = now_us;
    if (!s->open) {
        not_connected(t, slot, code);
        return;
    }
    s->ended = true;
    s->end_code = orderly ? CV_OK : code;
    if (t->stage != OPENING && !cv__tunnel_serving(t)) {
        s->open = false;
        return;
    }
    if (orderly)
        cv_http1_feed_end(s->http);
    t->fed = true;
    t->reading = slot;
}

void cv_rtmpt_client_feed(struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot, const void *data,
                          size_t len, uint64_t now_us)
{
    struct slot *s = &t->slots[slot];
    t->now_us = now_us;
    if (t->stage != OPENING && !cv__tunnel_serving(t))
        return;
    CV_ASSERT(s->open && !s->ended && !t->fed);
    if (s->spent || len == 0)
        return;
    s->active_us = now_us;
    t->fed = true;
    t->reading = slot;
    cv_http1_feed(s->http, data, len);
}

bool cv_rtmpt_client_reads(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    bool first = t->count && t->errands[0].home == slot;
    return first || t->early_bytes < CV_LIMIT_TUNNEL_EARLY_BYTES / 2;
}

// ---- time -------------------------------------------------------------------------------------

// When the connection counts as lost, if nothing comes.
static uint64_t silence_us(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot)
{
    const struct slot *s = &t->slots[slot];
    bool probed = slot == CV_RTMPT_UP && t->pipe == PIPE_PROBED;
    if (!cv__tunnel_usable(s) || !cv__tunnel_awaited(t, slot))
        return UINT64_MAX;
    return s->active_us + UINT64_C(1000) * (probed ? CV_TUNNEL_PROBE_MS : 1000 * CV_TUNNEL_REPLY_S);
}

uint64_t cv_rtmpt_client_deadline_us(const struct cv_rtmpt_client *t)
{
    uint64_t first_us = cv__tunnel_plan_us(t);
    if (!cv__tunnel_serving(t))
        return UINT64_MAX;
    if (t->stage == FINISHING && t->finish_us < first_us)
        first_us = t->finish_us;
    for (enum cv_rtmpt_slot slot = CV_RTMPT_UP; slot < CV_RTMPT_SLOTS; slot++) {
        const struct slot *s = &t->slots[slot];
        uint64_t silence = silence_us(t, slot);
        if (silence < first_us)
            first_us = silence;
        if (!s->open && needed(t, slot) && s->retry_us > t->now_us && s->retry_us < first_us)
            first_us = s->retry_us;
    }
    return first_us;
}

void cv_rtmpt_client_tick(struct cv_rtmpt_client *t, uint64_t now_us)
{
    t->now_us = now_us;
    if (!cv__tunnel_serving(t))
        return;
    if (t->stage == FINISHING && now_us >= t->finish_us)
        cv__tunnel_over(t, 200);
    for (enum cv_rtmpt_slot slot = CV_RTMPT_UP; slot < CV_RTMPT_SLOTS; slot++) {
        if (now_us >= silence_us(t, slot))
            t->slots[slot].spent = true;
    }
    cv__tunnel_plan(t);
}
