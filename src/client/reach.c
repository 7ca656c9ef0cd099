#include "client/reach.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/resolve.h"

#include <stdio.h>
#include <string.h>

struct place {
    struct cv_reach *reach;
    uint32_t number;
};

struct cv_reach {
    struct cv_attempt_room *room;
    struct cv_reach_config config;
    char *texts[5]; // of config.rtmp
    struct cv_ladder ladder;
    struct cv_resolve *resolve;
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned addr_count;
    struct cv_timer timer;
    struct cv_attempt *attempts[CV_LADDER_ATTEMPTS_MAX];
    struct place places[CV_LADDER_ATTEMPTS_MAX];
    char location[256];
    struct cv_why why; // of the latest certificate that was not accepted
    uint64_t start_us;
    bool begun; // the ladder has
    bool acting;
    bool done; // on_done was called
    bool freed;
    unsigned depth; // calls of ours that are under way: freed behind the outermost
};

static uint64_t now_us(const struct cv_reach *reach)
{
    return cv_loop_now_us(cv_attempt_room_loop(reach->room));
}

// ---- life -----------------------------------------------------------------------------------

static void free_now(struct cv_reach *reach)
{
    cv_timer_stop(&reach->timer);
    cv_resolve_cancel(&reach->resolve);
    for (int i = 0; i < CV_LADDER_ATTEMPTS_MAX; i++)
        cv_attempt_free(&reach->attempts[i]);
    for (size_t i = 0; i < sizeof reach->texts / sizeof reach->texts[0]; i++)
        cv_mem_free(reach->texts[i]);
    cv_mem_free(reach);
}

static void leave(struct cv_reach *reach)
{
    CV_ASSERT(reach->depth > 0);
    if (--reach->depth == 0 && reach->freed)
        free_now(reach);
}

void cv_reach_free(struct cv_reach **place_of_reach)
{
    struct cv_reach *reach = *place_of_reach;
    *place_of_reach = NULL;
    if (!reach)
        return;
    CV_ASSERT(!reach->freed);
    reach->freed = reach->done = true;
    if (reach->depth == 0)
        free_now(reach);
}

static void finish(struct cv_reach *reach, struct cv_reach_result *result)
{
    if (reach->done)
        return;
    reach->done = true;
    cv_timer_stop(&reach->timer);
    result->since_us = now_us(reach) - reach->start_us;
    result->attempts = reach->ladder.count;
    result->location = reach->location;
    result->why = &reach->why;
    reach->config.on_done(reach->config.arg, result);
}

// ---- the ladder's actions -----------------------------------------------------------------------

static void on_met(void *arg, const struct cv_met_report *report);

// Of an attempt nobody has asked for yet.
static void on_early_event(void *arg, const struct cv_rtmp_client_event *event)
{
    (void)arg;
    (void)event;
    CV_UNREACHABLE(); // the winner's owner is another one before its first event
}

static void on_early_end(void *arg, const struct cv_why *why)
{
    (void)arg;
    (void)why;
    CV_UNREACHABLE();
}

// A proxy that carries plain requests only may still open connections, where it is asked to.
static const struct cv_proxy *proxy_of(const struct cv_proxies *proxies,
                                       const struct cv_ladder_action *action)
{
    bool other = action->way == CV_WAY_CONNECT && !proxies->secure.host[0];
    return action->secure && !other ? &proxies->secure : &proxies->plain;
}

static void start(struct cv_reach *reach, const struct cv_ladder_action *action)
{
    const struct cv_reach_config *config = &reach->config;
    uint32_t i = action->attempt;
    reach->places[i] = (struct place){reach, i};
    struct cv_attempt_config attempt = {
        .way = action->way,
        .secure = action->secure,
        .trust = config->trust,
        .target = config->target,
        .proxy = proxy_of(config->proxies, action),
        .addrs = reach->addrs,
        .addr_count = reach->addr_count,
        .ipv4_first = config->ipv4_first || action->ipv4_first,
        .rtmp = config->rtmp,
        .eager = action->eager,
        .ours = config->ladder.ours,
        .on_met = on_met,
        .on_event = on_early_event,
        .on_end = on_early_end,
        .arg = &reach->places[i],
    };
    if (config->on_trying)
        config->on_trying(config->arg, action->way, action->secure, i + 1);
    if (reach->done)
        return; // it was freed in there: target and proxy may be gone
    reach->attempts[i] = cv_attempt_new(reach->room, &attempt);
    if (!reach->attempts[i])
        cv_ladder_report(&reach->ladder, i, &(struct cv_met_report){.met = CV_MET_UNREACHABLE},
                         now_us(reach));
}

static void through(struct cv_reach *reach, const struct cv_ladder_action *action)
{
    struct cv_reach_result result = {
        .attempt = reach->attempts[action->attempt],
        .way = action->way,
        .secure = action->secure,
        .obstacle = cv_ladder_obstacle(&reach->ladder),
    };
    reach->attempts[action->attempt] = NULL;
    finish(reach, &result);
}

static void fail(struct cv_reach *reach)
{
    struct cv_reach_result result = {.obstacle = cv_ladder_obstacle(&reach->ladder)};
    finish(reach, &result);
}

static void act(struct cv_reach *reach, const struct cv_ladder_action *action)
{
    switch (action->act) {
    case CV_LADDER_START:
        start(reach, action);
        return;
    case CV_LADDER_STOP:
        cv_attempt_free(&reach->attempts[action->attempt]);
        return;
    case CV_LADDER_CONNECT:
        if (reach->attempts[action->attempt])
            cv_attempt_connect(reach->attempts[action->attempt]);
        return;
    case CV_LADDER_THROUGH:
        through(reach, action);
        return;
    case CV_LADDER_FAILED:
        fail(reach);
        return;
    }
    CV_UNREACHABLE();
}

// What an action brings about is reported from within, and done here.
static void run_actions(struct cv_reach *reach)
{
    struct cv_ladder_action action;
    if (reach->acting)
        return;
    reach->acting = true;
    while (!reach->done && cv_ladder_next(&reach->ladder, &action))
        act(reach, &action);
    reach->acting = false;
    if (reach->done)
        return;
    uint64_t deadline_us = cv_ladder_deadline_us(&reach->ladder);
    if (deadline_us == UINT64_MAX)
        cv_timer_stop(&reach->timer);
    else
        cv_timer_start_at(&reach->timer, deadline_us);
}

static void keep_why(struct cv_reach *reach, uint32_t i)
{
    if (reach->attempts[i])
        reach->why = *cv_attempt_why(reach->attempts[i]);
}

static void keep_location(struct cv_reach *reach, uint32_t i)
{
    const char *location = reach->attempts[i] ? cv_attempt_location(reach->attempts[i]) : "";
    if (location[0])
        snprintf(reach->location, sizeof reach->location, "%s", location);
}

static void on_met(void *arg, const struct cv_met_report *report)
{
    const struct place *place = arg;
    struct cv_reach *reach = place->reach;
    if (reach->done)
        return;
    reach->depth++;
    if (report->met == CV_MET_HTTP)
        keep_location(reach, place->number);
    if (report->met == CV_MET_CERTIFICATE)
        keep_why(reach, place->number);
    cv_ladder_report(&reach->ladder, place->number, report, now_us(reach));
    run_actions(reach);
    leave(reach);
}

static void begin_ladder(struct cv_reach *reach)
{
    struct cv_reach_config *config = &reach->config;
    if (config->on_ladder)
        config->on_ladder(config->arg, &config->ladder, &config->ipv4_first);
    cv_ladder_init(&reach->ladder, &reach->config.ladder, now_us(reach));
    reach->begun = true;
    run_actions(reach);
}

// ---- the name -------------------------------------------------------------------------------

static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct cv_reach *reach = arg;
    reach->resolve = NULL;
    reach->depth++;
    if (code == CV_OK) {
        reach->addr_count = count < CV_LIMIT_ADDRESSES ? count : CV_LIMIT_ADDRESSES;
        memcpy(reach->addrs, addrs, reach->addr_count * sizeof *addrs);
        begin_ladder(reach);
    } else {
        finish(reach, &(struct cv_reach_result){.unknown_host = true,
                                                .obstacle = CV_OBSTACLE_UNREACHABLE});
    }
    leave(reach);
}

static void on_timer(void *arg)
{
    struct cv_reach *reach = arg;
    reach->depth++;
    if (!reach->begun) {
        begin_ladder(reach);
    } else {
        cv_ladder_tick(&reach->ladder, now_us(reach));
        run_actions(reach);
    }
    leave(reach);
}

// ---- beginning ------------------------------------------------------------------------------

static bool copy_texts(struct cv_reach *reach)
{
    struct cv_rtmp_client_config *rtmp = &reach->config.rtmp;
    struct cv_text *texts[] = {&rtmp->app, &rtmp->name, &rtmp->tc_url, &rtmp->resume_token,
                               &rtmp->position};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        reach->texts[i] = cv_mem_text(texts[i]->at, texts[i]->len);
        if (!reach->texts[i])
            return false;
        texts[i]->at = reach->texts[i];
    }
    return true;
}

// Behind a proxy names are the proxy's to know: here they may not even resolve.
static bool is_behind_proxy(const struct cv_reach *reach)
{
    const struct cv_reach_config *config = &reach->config;
    return cv_proxies_first(config->proxies, config->ladder.security)->host[0] != '\0';
}

static bool begin(struct cv_reach *reach)
{
    if (is_behind_proxy(reach)) {
        cv_timer_start(&reach->timer, 0);
        return true;
    }
    reach->resolve = cv_resolve_start(cv_attempt_room_loop(reach->room), reach->config.target->host,
                                      reach->config.target->port, on_resolved, reach);
    return reach->resolve != NULL;
}

struct cv_reach *cv_reach_start(struct cv_attempt_room *room, const struct cv_reach_config *config)
{
    struct cv_reach *reach = cv_mem_zero(1, sizeof *reach);
    if (!reach)
        return NULL;
    reach->room = room;
    reach->config = *config;
    reach->start_us = now_us(reach);
    cv_timer_init(&reach->timer, cv_attempt_room_loop(room), on_timer, reach);
    if (copy_texts(reach) && begin(reach))
        return reach;
    cv_reach_free(&reach);
    return NULL;
}
