#include "client/ladder.h"

#include "base/check.h"
#include "client/lesson.h"

#include <string.h>

static uint64_t us(uint32_t ms)
{
    return ms * UINT64_C(1000);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// ---- actions --------------------------------------------------------------------------------

static void act(struct cv_ladder *ladder, enum cv_ladder_act what, uint32_t attempt)
{
    CV_ASSERT(ladder->action_count < sizeof ladder->actions / sizeof ladder->actions[0]);
    const struct cv_ladder_attempt *who = &ladder->attempts[attempt];
    ladder->actions[ladder->action_count++] =
        (struct cv_ladder_action){.act = what,
                                  .attempt = attempt,
                                  .way = who->way,
                                  .secure = who->secure,
                                  .eager = who->eager,
                                  .ipv4_first = ladder->ipv4_first};
}

int cv_ladder_next(struct cv_ladder *ladder, struct cv_ladder_action *out)
{
    if (ladder->action_next == ladder->action_count) {
        ladder->action_next = ladder->action_count = 0;
        return 0;
    }
    *out = ladder->actions[ladder->action_next++];
    return 1;
}

// ---- attempts -------------------------------------------------------------------------------

// A way, plain or inside TLS.
struct road {
    enum cv_way way; // NONE: there is none
    bool secure;
};

// All attempts begin TLS with the same words: what cuts or swallows these does it each time.
static bool is_tls_in_vain(const struct cv_ladder *ladder)
{
    uint32_t vain = 0;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->secured)
            return false;
        vain += attempt->secure && (attempt->live || attempt->connected);
    }
    return vain >= CV_LADDER_TLS_TRIES;
}

static bool may_be_secure(const struct cv_ladder *ladder, enum cv_way way)
{
    if (ladder->config.security == CV_SECURITY_PLAIN || ladder->no_tls)
        return false;
    bool shut = ladder->proxy_shut && cv_way_is_proxied(&ladder->config, way, true);
    return !shut && !is_tls_in_vain(ladder);
}

static bool has_proxy(const struct cv_ladder_config *config, bool secure)
{
    return secure ? config->secure_proxy : config->proxy;
}

// Somebody can be asked for a connection.
static bool has_connect(const struct cv_ladder_config *config, bool secure)
{
    return config->proxy || (secure && config->secure_proxy);
}

// Each way is tried once.
static bool may_start(const struct cv_ladder *ladder, struct road road)
{
    const struct cv_ladder_config *config = &ladder->config;
    if (road.way == CV_WAY_NONE || ladder->tried[road.secure][road.way] || ladder->over)
        return false;
    if (config->order == CV_LADDER_ONLY && config->only != road.way)
        return false;
    if (road.way == CV_WAY_CONNECT && !has_connect(config, road.secure))
        return false;
    return road.secure ? may_be_secure(ladder, road.way) : config->security != CV_SECURITY_ONLY;
}

// An offer whose answer is not known may have brought connect to the server.
static bool is_unanswered_eager(const struct cv_ladder_attempt *attempt)
{
    return attempt->eager && attempt->live;
}

// May carry connect in its first flight: as long as no other one does.
static bool may_be_eager(const struct cv_ladder *ladder, enum cv_way way)
{
    const struct cv_ladder_config *config = &ladder->config;
    for (uint32_t i = 0; i < ladder->count; i++) {
        if (is_unanswered_eager(&ladder->attempts[i]))
            return false;
    }
    return config->eager && (way == CV_WAY_OFFER || (way == CV_WAY_TUNNEL && config->ours));
}

// Not while somebody waits for the answer to connect: an offer may carry a second one, and most
// often nothing more is needed. False: it may not be started.
static bool start(struct cv_ladder *ladder, enum cv_way way, bool secure, uint64_t now_us)
{
    if (!may_start(ladder, (struct road){way, secure}))
        return false;
    if (ladder->asked >= 0) {
        ladder->wanted[secure][way] = true;
        return true;
    }
    CV_ASSERT(ladder->count < CV_LADDER_ATTEMPTS_MAX);
    ladder->tried[secure][way] = true;
    ladder->attempts[ladder->count] = (struct cv_ladder_attempt){.way = way,
                                                                 .secure = secure,
                                                                 .eager = may_be_eager(ladder, way),
                                                                 .live = true,
                                                                 .raw = way != CV_WAY_TUNNEL,
                                                                 .since_us = now_us};
    act(ladder, CV_LADDER_START, ladder->count++);
    return true;
}

static void stop(struct cv_ladder *ladder, uint32_t i)
{
    if (!ladder->attempts[i].live)
        return;
    ladder->attempts[i].live = false;
    act(ladder, CV_LADDER_STOP, i);
}

static void blame(struct cv_ladder *ladder, enum cv_obstacle obstacle)
{
    if (obstacle > ladder->obstacle)
        ladder->obstacle = obstacle;
}

static void fail(struct cv_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->count; i++)
        stop(ladder, i);
    ladder->over = true;
    act(ladder, CV_LADDER_FAILED, ladder->count - 1);
}

// What it carries might be taken beside the connect of another one. It has not been judged, so it
// may come once more, if that other one fails.
static void stop_eager(struct cv_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (!is_unanswered_eager(attempt))
            continue;
        stop(ladder, i);
        if (ladder->again[attempt->secure])
            continue;
        ladder->again[attempt->secure] = true;
        ladder->tried[attempt->secure][attempt->way] = false;
        ladder->wanted[attempt->secure][attempt->way] = true;
    }
}

static void ask(struct cv_ladder *ladder, uint32_t i, uint64_t now_us)
{
    stop_eager(ladder);
    ladder->asked = (int)i;
    ladder->grace_us = UINT64_MAX;
    ladder->attempts[i].since_us = now_us;
    act(ladder, CV_LADDER_CONNECT, i);
}

static void accept(struct cv_ladder *ladder, uint32_t i)
{
    for (uint32_t k = 0; k < ladder->count; k++) {
        if (k != i)
            stop(ladder, k);
    }
    ladder->over = true;
    act(ladder, CV_LADDER_THROUGH, i);
}

// How long an attempt may say nothing before another way is tried beside it.
static uint64_t silence_us(const struct cv_ladder *ladder, const struct cv_ladder_attempt *attempt)
{
    if (!attempt->connected)
        return us(CV_LADDER_SYN_MS);
    if (cv_way_is_proxied(&ladder->config, attempt->way, attempt->secure))
        return us(CV_LADDER_SILENCE_MAX_MS); // how far the server is behind it is not known
    uint64_t rtt_us = attempt->rtt_us;
    uint64_t silence = min_u64(rtt_us * 3 / 2, us(CV_LADDER_SILENCE_MAX_MS));
    return max_u64(max_u64(silence, us(CV_LADDER_SILENCE_MIN_MS)), rtt_us * 5 / 4);
}

// ---- the choice -----------------------------------------------------------------------------

// Whether to wait for the other one, when the first is ready: plain text costs less than TLS, and
// RTMP less than a tunnel.
static bool is_better(const struct cv_ladder_attempt *other, const struct cv_ladder_attempt *ready)
{
    if (!other->live || other->handshake)
        return false;
    if (other->secure != ready->secure)
        return ready->secure && other->answered;
    return !ready->raw && (other->way == CV_WAY_RTMP || other->way == CV_WAY_CONNECT);
}

// How long what is ready should wait for what is better: not for one that is silent for too long
// already. `now_us`: there is nothing to wait for.
static uint64_t better_may_come_us(const struct cv_ladder *ladder,
                                   const struct cv_ladder_attempt *ready, uint64_t now_us)
{
    uint64_t until_us = now_us;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (!is_better(attempt, ready))
            continue;
        uint64_t tls_us = attempt->secure && !attempt->secured ? ready->rtt_us : 0;
        uint64_t grace_us = now_us + us(CV_LADDER_GRACE_MS) + tls_us;
        if (attempt->connected)
            grace_us = min_u64(grace_us, attempt->since_us + silence_us(ladder, attempt) + tls_us);
        until_us = max_u64(until_us, grace_us);
    }
    return until_us;
}

// Plain text before TLS, plain RTMP before a tunnel.
static int rank(const struct cv_ladder_attempt *attempt)
{
    return 2 * !attempt->secure + attempt->raw;
}

// The best attempt that could send connect. -1: none.
static int best(const struct cv_ladder *ladder)
{
    int found = -1;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->live && attempt->handshake &&
            (found < 0 || rank(attempt) > rank(&ladder->attempts[found])))
            found = (int)i;
    }
    return found;
}

// ---- reserves -------------------------------------------------------------------------------

static bool is_begun(const struct cv_ladder *ladder, bool secure)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        if (ladder->attempts[i].secure == secure)
            return true;
    }
    return false;
}

static bool stands(const struct cv_ladder *ladder, bool secure)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->secure == secure && attempt->live && attempt->connected)
            return true;
    }
    return false;
}

static struct road first_of(const struct cv_ladder *ladder, bool secure, const enum cv_way *ways,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct road road = {ways[i], secure};
        if (may_start(ladder, road))
            return road;
    }
    return (struct road){.way = CV_WAY_NONE};
}

// The way to begin with.
static struct road opening(const struct cv_ladder *ladder, bool secure)
{
    static const enum cv_way offer_first[] = {CV_WAY_OFFER, CV_WAY_RTMP};
    static const enum cv_way rtmp_first[] = {CV_WAY_RTMP, CV_WAY_OFFER};
    const struct cv_ladder_config *config = &ladder->config;
    if (config->order == CV_LADDER_ONLY)
        return first_of(ladder, secure, &config->only, 1);
    return first_of(ladder, secure,
                    config->order == CV_LADDER_RTMP_FIRST ? rtmp_first : offer_first, 2);
}

// The way that is to be tried beside the silent ones of this kind.
static struct road reserve(const struct cv_ladder *ladder, bool secure)
{
    static const enum cv_way ways[] = {CV_WAY_OFFER, CV_WAY_CONNECT, CV_WAY_RTMP, CV_WAY_TUNNEL,
                                       CV_WAY_SOCKET};
    if (stands(ladder, secure))
        return first_of(ladder, secure, ways, sizeof ways / sizeof ways[0]);
    // Nothing answers SYN. Where there is a proxy: it may, or the server without it.
    if (has_proxy(&ladder->config, secure) || !is_begun(ladder, secure))
        return opening(ladder, secure);
    return first_of(ladder, secure, &ways[1], 1);
}

static bool is_home_secure(const struct cv_ladder *ladder)
{
    return ladder->config.security == CV_SECURITY_ONLY;
}

// The same of all of them: plain text first.
static struct road beside(const struct cv_ladder *ladder)
{
    struct road road = reserve(ladder, is_home_secure(ladder));
    return road.way != CV_WAY_NONE ? road : reserve(ladder, true);
}

// Nothing is left of what was begun. False: and there is nothing else.
static bool begin_anew(struct cv_ladder *ladder, uint64_t now_us)
{
    for (int secure = 0; secure <= 1; secure++) {
        struct road road = opening(ladder, secure);
        if (!is_begun(ladder, secure) && start(ladder, road.way, secure, now_us))
            return true;
    }
    return false;
}

// Chooses, waits for what is better a little, or ends.
static void decide(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over || ladder->asked >= 0)
        return;
    int i = best(ladder);
    if (i >= 0) {
        uint64_t until_us = better_may_come_us(ladder, &ladder->attempts[i], now_us);
        ladder->grace_us = min_u64(ladder->grace_us, until_us);
        if (now_us >= ladder->grace_us)
            ask(ladder, (uint32_t)i, now_us);
        return;
    }
    ladder->grace_us = UINT64_MAX;
    bool alive = false;
    for (uint32_t k = 0; k < ladder->count; k++)
        alive |= ladder->attempts[k].live;
    if (!alive && !begin_anew(ladder, now_us))
        fail(ladder);
}

// ---- what an end teaches ----------------------------------------------------------------------

static void give_tls_up(struct cv_ladder *ladder)
{
    ladder->no_tls = true;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->secure && !attempt->secured && ladder->asked != (int)i)
            stop(ladder, i);
    }
}

// What is inside TLS, behind a certificate that is right, has got through already.
static bool is_anybody_through(const struct cv_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        if (ladder->attempts[i].live && ladder->attempts[i].secured)
            return true;
    }
    return ladder->asked >= 0 || best(ladder) >= 0;
}

static void try_next(struct cv_ladder *ladder, const struct cv_lesson *lesson, bool secure,
                     uint64_t now_us)
{
    for (size_t i = 0; lesson->next && i < CV_LESSON_NEXT_MAX; i++)
        start(ladder, lesson->next[i], secure, now_us);
    // The proxy cannot be reached, the server itself may; or the other way round.
    if (lesson->nowhere && has_proxy(&ladder->config, secure)) {
        start(ladder, CV_WAY_OFFER, secure, now_us);
        start(ladder, CV_WAY_RTMP, secure, now_us);
    } else if (lesson->nowhere) {
        start(ladder, CV_WAY_CONNECT, secure, now_us);
    }
    if (lesson->tls && !is_begun(ladder, true))
        start(ladder, opening(ladder, true).way, true, now_us);
}

static void learn(struct cv_ladder *ladder, const struct cv_lesson *lesson, bool secure,
                  uint64_t now_us)
{
    blame(ladder, lesson->obstacle);
    ladder->proxy_shut |= lesson->proxy_shut;
    if (lesson->no_tls)
        give_tls_up(ladder);
    if (lesson->final && !is_anybody_through(ladder)) {
        fail(ladder);
        return;
    }
    if (!lesson->final)
        try_next(ladder, lesson, secure, now_us);
    // What was remembered is no longer so.
    if (ladder->second_us != UINT64_MAX)
        start(ladder, CV_WAY_OFFER, is_home_secure(ladder), now_us);
    ladder->second_us = UINT64_MAX;
}

// ---- silence --------------------------------------------------------------------------------

// When all are silent for so long that another way gets its chance; UINT64_MAX: it does not.
static uint64_t company_us(const struct cv_ladder *ladder)
{
    uint64_t last_us = 0;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->live && attempt->answered)
            return UINT64_MAX;
        if (attempt->live)
            last_us = max_u64(last_us, attempt->since_us + silence_us(ladder, attempt));
    }
    return last_us == 0 || beside(ladder).way == CV_WAY_NONE ? UINT64_MAX : last_us;
}

static void check_silence(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over || now_us < company_us(ladder))
        return;
    // A hole in the way of IPv6 often shows only when more than a SYN is to pass.
    for (uint32_t i = 0; i < ladder->count; i++)
        ladder->ipv4_first |= ladder->attempts[i].live && ladder->attempts[i].ipv6;
    struct road road = beside(ladder);
    start(ladder, road.way, road.secure, now_us);
    if (road.way == CV_WAY_CONNECT)
        start(ladder, CV_WAY_RTMP, road.secure, now_us);
}

// ---- reports --------------------------------------------------------------------------------

// `taken`: what its first flight carried, if it did carry something.
static void on_answer(struct cv_ladder *ladder, uint32_t i, bool taken)
{
    struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    if (taken && attempt->eager && ladder->asked < 0)
        ladder->asked = (int)i;
    attempt->answered = true;
    attempt->eager = false;
}

static void on_opened(struct cv_ladder *ladder, uint32_t i, const struct cv_met_report *report,
                      uint64_t now_us)
{
    struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    attempt->raw = false;
    on_answer(ladder, i, report->taken);
    if (report->ours)
        return;
    start(ladder, CV_WAY_RTMP, attempt->secure, now_us);
    start(ladder, CV_WAY_CONNECT, attempt->secure, now_us);
}

static void on_progress(struct cv_ladder *ladder, uint32_t i, const struct cv_met_report *report,
                        uint64_t now_us)
{
    struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    attempt->since_us = now_us;
    switch (report->met) {
    case CV_MET_CONNECTED:
        attempt->connected = true;
        attempt->rtt_us = report->rtt_us;
        attempt->ipv6 = report->ipv6;
        return;
    case CV_MET_SECURED:
        attempt->secured = attempt->secure;
        return;
    case CV_MET_UPGRADED:
        on_answer(ladder, i, true);
        return;
    case CV_MET_OPENED:
        on_opened(ladder, i, report, now_us);
        return;
    case CV_MET_HANDSHAKE:
        on_answer(ladder, i, false);
        attempt->handshake = true;
        return;
    default:
        CV_UNREACHABLE();
    }
}

static void end_attempt(struct cv_ladder *ladder, uint32_t i, const struct cv_lesson *lesson,
                        uint64_t now_us)
{
    ladder->attempts[i].live = false;
    bool was_asked = ladder->asked == (int)i;
    if (was_asked)
        ladder->asked = -1;
    learn(ladder, lesson, ladder->attempts[i].secure, now_us);
    for (int k = 0; was_asked && k < 2 * CV_WAYS; k++) {
        if (ladder->wanted[k / CV_WAYS][k % CV_WAYS])
            start(ladder, (enum cv_way)(k % CV_WAYS), k / CV_WAYS, now_us);
    }
    check_silence(ladder, now_us);
}

void cv_ladder_report(struct cv_ladder *ladder, uint32_t attempt,
                      const struct cv_met_report *report, uint64_t now_us)
{
    CV_ASSERT(attempt < ladder->count);
    const struct cv_ladder_attempt *who = &ladder->attempts[attempt];
    if (!who->live || ladder->over)
        return;
    if (report->met == CV_MET_ACCEPTED) {
        accept(ladder, attempt);
    } else if (report->met < CV_MET_REFUSED) {
        on_progress(ladder, attempt, report, now_us);
    } else {
        struct cv_lesson lesson = cv_lesson_of(&ladder->config, who, report);
        end_attempt(ladder, attempt, &lesson, now_us);
    }
    decide(ladder, now_us);
}

// ---- time -----------------------------------------------------------------------------------

// When an attempt has had its time.
static uint64_t end_us(const struct cv_ladder *ladder, uint32_t i)
{
    const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    if (!attempt->live)
        return UINT64_MAX;
    bool upgraded = attempt->way == CV_WAY_OFFER && attempt->answered && attempt->raw;
    if (upgraded && !attempt->handshake)
        return attempt->since_us +
               max_u64(attempt->rtt_us * UINT64_C(3), us(CV_LADDER_AFTER_101_MS));
    if (ladder->asked == (int)i)
        return attempt->since_us + us(CV_LADDER_CONNECT_MS);
    if (attempt->handshake)
        return UINT64_MAX;
    bool shakes_hands = attempt->secure && attempt->connected && !attempt->secured;
    return attempt->since_us + us(shakes_hands ? CV_LADDER_TLS_MS : CV_LADDER_TRY_MS);
}

static bool is_second_due(const struct cv_ladder *ladder, uint64_t now_us)
{
    return now_us >= ladder->second_us && ladder->asked < 0;
}

void cv_ladder_tick(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over)
        return;
    if (is_second_due(ladder, now_us)) {
        bool secure = is_home_secure(ladder);
        ladder->second_us = UINT64_MAX;
        start(ladder, ladder->tried[secure][CV_WAY_OFFER] ? CV_WAY_RTMP : CV_WAY_OFFER, secure,
              now_us);
    }
    check_silence(ladder, now_us);
    for (uint32_t i = 0; i < ladder->count && !ladder->over; i++) {
        if (now_us < end_us(ladder, i))
            continue;
        struct cv_lesson lesson = cv_lesson_of_silence(&ladder->config, &ladder->attempts[i]);
        stop(ladder, i);
        end_attempt(ladder, i, &lesson, now_us);
    }
    decide(ladder, now_us);
}

uint64_t cv_ladder_deadline_us(const struct cv_ladder *ladder)
{
    if (ladder->over)
        return UINT64_MAX;
    uint64_t first = company_us(ladder);
    if (ladder->asked < 0)
        first = min_u64(first, min_u64(ladder->second_us, ladder->grace_us));
    for (uint32_t i = 0; i < ladder->count; i++)
        first = min_u64(first, end_us(ladder, i));
    return first;
}

// ---- beginning ------------------------------------------------------------------------------

// What is remembered, if it is allowed now.
static void recall(struct cv_ladder_config *config)
{
    bool allowed = config->remembered_secure ? config->security != CV_SECURITY_PLAIN
                                             : config->security != CV_SECURITY_ONLY;
    if (config->remembered == CV_WAY_CONNECT && !has_connect(config, config->remembered_secure))
        allowed = false; // that was with a proxy
    if (config->order == CV_LADDER_ONLY || !allowed)
        config->remembered = CV_WAY_NONE;
}

void cv_ladder_init(struct cv_ladder *ladder, const struct cv_ladder_config *config,
                    uint64_t now_us)
{
    *ladder = (struct cv_ladder){
        .config = *config, .asked = -1, .second_us = UINT64_MAX, .grace_us = UINT64_MAX};
    recall(&ladder->config);
    config = &ladder->config;
    bool home = is_home_secure(ladder);
    struct road first = opening(ladder, home);
    CV_ASSERT(first.way != CV_WAY_NONE);
    // What is remembered may be out of date, or better by now: the offer finds that out by itself.
    if (config->remembered != CV_WAY_NONE) {
        first = (struct road){config->remembered, config->remembered_secure};
        if (first.way != CV_WAY_OFFER || first.secure != home)
            ladder->second_us = now_us + us(CV_LADDER_REMEMBERED_MS);
    }
    start(ladder, first.way, first.secure, now_us);
}

enum cv_obstacle cv_ladder_obstacle(const struct cv_ladder *ladder)
{
    return ladder->obstacle;
}
