#include "client/ladder.h"

#include "base/check.h"

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
    ladder->actions[ladder->action_count++] =
        (struct cv_ladder_action){.act = what,
                                  .attempt = attempt,
                                  .way = ladder->attempts[attempt].way,
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

// Each way is tried once.
static bool may_start(const struct cv_ladder *ladder, enum cv_way way)
{
    const struct cv_ladder_config *config = &ladder->config;
    if (way == CV_WAY_NONE || ladder->tried[way] || ladder->over)
        return false;
    if (config->order == CV_LADDER_ONLY && config->only != way)
        return false;
    return way != CV_WAY_CONNECT || config->proxy;
}

// Not while somebody waits for the answer to connect: an offer may carry a second one, and most
// often nothing more is needed.
static void start(struct cv_ladder *ladder, enum cv_way way, uint64_t now_us)
{
    if (!may_start(ladder, way))
        return;
    if (ladder->asked >= 0) {
        ladder->wanted[way] = true;
        return;
    }
    CV_ASSERT(ladder->count < CV_LADDER_ATTEMPTS_MAX);
    ladder->tried[way] = true;
    ladder->attempts[ladder->count] = (struct cv_ladder_attempt){
        .way = way, .live = true, .raw = way != CV_WAY_TUNNEL, .since_us = now_us};
    act(ladder, CV_LADDER_START, ladder->count++);
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

// Its first flight carries connect.
static bool is_eager(const struct cv_ladder *ladder, enum cv_way way)
{
    const struct cv_ladder_config *config = &ladder->config;
    return config->eager && (way == CV_WAY_OFFER || (way == CV_WAY_TUNNEL && config->ours));
}

static bool is_unanswered_eager(const struct cv_ladder *ladder, uint32_t i)
{
    const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    return is_eager(ladder, attempt->way) && attempt->live && !attempt->answered;
}

// What it carries might be taken beside the connect of another one. It has not been judged, so it
// may come once more, if that other one fails.
static void stop_eager(struct cv_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        if (!is_unanswered_eager(ladder, i))
            continue;
        stop(ladder, i);
        if (ladder->again)
            continue;
        ladder->again = true;
        ladder->tried[ladder->attempts[i].way] = false;
        ladder->wanted[ladder->attempts[i].way] = true;
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

static bool is_through_proxy(const struct cv_ladder *ladder, enum cv_way way)
{
    return ladder->config.proxy && way != CV_WAY_RTMP;
}

// How long an attempt may say nothing before another way is tried beside it.
static uint64_t silence_us(const struct cv_ladder *ladder, const struct cv_ladder_attempt *attempt)
{
    if (!attempt->connected)
        return us(CV_LADDER_SYN_MS);
    if (is_through_proxy(ladder, attempt->way))
        return us(CV_LADDER_SILENCE_MAX_MS); // how far the server is behind it is not known
    uint64_t rtt_us = attempt->rtt_us;
    uint64_t silence = min_u64(rtt_us * 3 / 2, us(CV_LADDER_SILENCE_MAX_MS));
    return max_u64(max_u64(silence, us(CV_LADDER_SILENCE_MIN_MS)), rtt_us * 5 / 4);
}

// ---- the choice -----------------------------------------------------------------------------

// How long a tunnel should wait for plain RTMP: not for one that is silent for too long already.
// `now_us`: there is nothing to wait for.
static uint64_t rtmp_may_come_us(const struct cv_ladder *ladder, uint64_t now_us)
{
    uint64_t until_us = now_us;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        bool plain = attempt->way == CV_WAY_RTMP || attempt->way == CV_WAY_CONNECT;
        if (!attempt->live || !plain || attempt->handshake)
            continue;
        uint64_t grace_us = now_us + us(CV_LADDER_GRACE_MS);
        if (attempt->connected)
            grace_us = min_u64(grace_us, attempt->since_us + silence_us(ladder, attempt));
        until_us = max_u64(until_us, grace_us);
    }
    return until_us;
}

// The best attempt that could send connect: plain RTMP before a tunnel. -1: none.
static int best(const struct cv_ladder *ladder)
{
    int found = -1;
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->live && attempt->handshake && (found < 0 || attempt->raw))
            found = (int)i;
    }
    return found;
}

// Chooses, waits for RTMP a little, or ends.
static void decide(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over || ladder->asked >= 0)
        return;
    int i = best(ladder);
    uint64_t until_us = i >= 0 ? rtmp_may_come_us(ladder, now_us) : UINT64_MAX;
    ladder->grace_us = min_u64(ladder->grace_us, until_us);
    if (i >= 0 && (ladder->attempts[i].raw || now_us >= ladder->grace_us)) {
        ask(ladder, (uint32_t)i, now_us);
        return;
    }
    bool alive = false;
    for (uint32_t k = 0; k < ladder->count; k++)
        alive |= ladder->attempts[k].live;
    if (!alive)
        fail(ladder);
}

// ---- what an end means ------------------------------------------------------------------------

enum { ENDS = CV_MET_LOST - CV_MET_REFUSED + 1, NEXT_MAX = 4 };
#define END(met) [(met)-CV_MET_REFUSED]

static const enum cv_obstacle obstacles[ENDS] = {
    END(CV_MET_REFUSED) = CV_OBSTACLE_REFUSED,
    END(CV_MET_UNREACHABLE) = CV_OBSTACLE_UNREACHABLE,
    END(CV_MET_UNKNOWN_HOST) = CV_OBSTACLE_UNKNOWN_HOST,
    END(CV_MET_RESET) = CV_OBSTACLE_CUT,
    END(CV_MET_CLOSED) = CV_OBSTACLE_CUT,
    END(CV_MET_HTTP) = CV_OBSTACLE_NOT_OURS,
    END(CV_MET_NOT_RTMP) = CV_OBSTACLE_FOREIGN,
    END(CV_MET_LOST) = CV_OBSTACLE_CUT,
};

// What is tried at once then, unless it was. A port that cannot be reached can be reached by no
// way, so nothing stands there. What cuts RTMP, or answers it by HTTP, may pass HTTP; what cuts
// HTTP with an offer may pass it without; what cuts or forbids the tunnel's POST may know
// WebSockets.
static const enum cv_way nexts[CV_WAYS][ENDS][NEXT_MAX] = {
    [CV_WAY_OFFER] = {END(CV_MET_RESET) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT},
                      END(CV_MET_CLOSED) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT},
                      END(CV_MET_HTTP) = {CV_WAY_RTMP, CV_WAY_CONNECT, CV_WAY_TUNNEL},
                      END(CV_MET_NOT_RTMP) = {CV_WAY_RTMP},
                      END(CV_MET_LOST) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT}},
    [CV_WAY_RTMP] = {END(CV_MET_RESET) = {CV_WAY_OFFER}, END(CV_MET_CLOSED) = {CV_WAY_OFFER},
                     END(CV_MET_HTTP) = {CV_WAY_OFFER}, END(CV_MET_NOT_RTMP) = {CV_WAY_OFFER},
                     END(CV_MET_LOST) = {CV_WAY_OFFER, CV_WAY_TUNNEL}},
    [CV_WAY_TUNNEL] = {END(CV_MET_RESET) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT},
                       END(CV_MET_CLOSED) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT},
                       END(CV_MET_HTTP) = {CV_WAY_RTMP, CV_WAY_CONNECT, CV_WAY_SOCKET},
                       END(CV_MET_NOT_RTMP) = {CV_WAY_RTMP},
                       END(CV_MET_LOST) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT}},
    [CV_WAY_CONNECT] = {END(CV_MET_RESET) = {CV_WAY_TUNNEL, CV_WAY_SOCKET},
                        END(CV_MET_CLOSED) = {CV_WAY_TUNNEL, CV_WAY_SOCKET},
                        END(CV_MET_HTTP) = {CV_WAY_OFFER},
                        END(CV_MET_LOST) = {CV_WAY_TUNNEL, CV_WAY_SOCKET}},
    // A WebSocket is the last one.
};

struct lesson {
    enum cv_obstacle obstacle;
    const enum cv_way *next; // NEXT_MAX of them
    bool final;              // no other way can help
    bool nowhere;            // not even TCP stood
};

static enum cv_obstacle http_obstacle(const struct cv_ladder *ladder, enum cv_way way,
                                      const struct cv_met_report *report)
{
    if (report->elsewhere || report->status == 511)
        return CV_OBSTACLE_PORTAL;
    if (report->status == 407)
        return ladder->config.credentials ? CV_OBSTACLE_PROXY_DENIED : CV_OBSTACLE_PROXY_AUTH;
    if (report->status >= 502 && report->status <= 504)
        return CV_OBSTACLE_NO_SERVER;
    if (way == CV_WAY_CONNECT)
        return CV_OBSTACLE_NO_CONNECT;
    if (way == CV_WAY_RTMP)
        return CV_OBSTACLE_HTTP_ONLY;
    return report->status == 403 || report->status == 451 ? CV_OBSTACLE_FORBIDDEN
                                                          : CV_OBSTACLE_NOT_OURS;
}

static struct lesson lesson_of(const struct cv_ladder *ladder, enum cv_way way,
                               const struct cv_met_report *report)
{
    CV_ASSERT(report->met >= CV_MET_REFUSED && report->met <= CV_MET_LOST);
    static const enum cv_way no_site[NEXT_MAX] = {CV_WAY_RTMP, CV_WAY_CONNECT};
    uint32_t end = report->met - CV_MET_REFUSED;
    struct lesson lesson = {.obstacle = obstacles[end],
                            .next = nexts[way][end],
                            .nowhere = report->met <= CV_MET_UNKNOWN_HOST};
    if (lesson.nowhere && is_through_proxy(ladder, way))
        lesson.obstacle = CV_OBSTACLE_PROXY_DOWN;
    if (report->met != CV_MET_HTTP)
        return lesson;
    lesson.obstacle = http_obstacle(ladder, way, report);
    lesson.final = lesson.obstacle >= CV_OBSTACLE_PROXY_AUTH;
    bool missing = report->status == 404 || report->status == 405;
    if (missing && (way == CV_WAY_OFFER || way == CV_WAY_TUNNEL))
        lesson.next = no_site; // in another dress it would say the same
    return lesson;
}

// The end of an attempt that has had its time.
static struct lesson silent_lesson(const struct cv_ladder *ladder,
                                   const struct cv_ladder_attempt *attempt)
{
    struct lesson lesson = {.next = nexts[attempt->way][CV_MET_LOST - CV_MET_REFUSED],
                            .nowhere = !attempt->connected};
    if (attempt->answered)
        lesson.obstacle = CV_OBSTACLE_CUT;
    else if (attempt->connected)
        lesson.obstacle = CV_OBSTACLE_MUTE;
    else
        lesson.obstacle =
            is_through_proxy(ladder, attempt->way) ? CV_OBSTACLE_PROXY_DOWN : CV_OBSTACLE_SILENT;
    return lesson;
}

static void learn(struct cv_ladder *ladder, const struct lesson *lesson, uint64_t now_us)
{
    blame(ladder, lesson->obstacle);
    if (lesson->final && ladder->asked < 0 && best(ladder) < 0) {
        fail(ladder);
        return;
    }
    for (size_t i = 0; i < NEXT_MAX && !lesson->nowhere && !lesson->final; i++)
        start(ladder, lesson->next[i], now_us);
    if (lesson->nowhere && ladder->config.proxy) {
        // The proxy cannot be reached, the server itself may; or the other way round.
        start(ladder, CV_WAY_OFFER, now_us);
        start(ladder, CV_WAY_RTMP, now_us);
    }
    // What was remembered is no longer so.
    if (ladder->second_us != UINT64_MAX)
        start(ladder, CV_WAY_OFFER, now_us);
    ladder->second_us = UINT64_MAX;
}

// ---- silence --------------------------------------------------------------------------------

// The way that is to be tried beside the silent ones; NONE: there is none left.
static enum cv_way beside(const struct cv_ladder *ladder)
{
    static const enum cv_way standing[] = {CV_WAY_OFFER, CV_WAY_CONNECT, CV_WAY_RTMP, CV_WAY_TUNNEL,
                                           CV_WAY_SOCKET};
    bool stands = false;
    for (uint32_t i = 0; i < ladder->count; i++)
        stands |= ladder->attempts[i].live && ladder->attempts[i].connected;
    for (size_t i = 0; stands && i < sizeof standing / sizeof standing[0]; i++) {
        if (may_start(ladder, standing[i]))
            return standing[i];
    }
    // Nothing answers SYN. Where there is a proxy: it may, or the server without it. Ways on port
    // 443 (RTMPS, WebSocket and RTMPT under TLS, CONNECT to it) will stand here.
    static const enum cv_way elsewhere[] = {CV_WAY_OFFER, CV_WAY_RTMP};
    for (size_t i = 0; !stands && ladder->config.proxy && i < 2; i++) {
        if (may_start(ladder, elsewhere[i]))
            return elsewhere[i];
    }
    return CV_WAY_NONE;
}

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
    return last_us == 0 || beside(ladder) == CV_WAY_NONE ? UINT64_MAX : last_us;
}

static void check_silence(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over || now_us < company_us(ladder))
        return;
    // A hole in the way of IPv6 often shows only when more than a SYN is to pass.
    for (uint32_t i = 0; i < ladder->count; i++)
        ladder->ipv4_first |= ladder->attempts[i].live && ladder->attempts[i].ipv6;
    enum cv_way way = beside(ladder);
    start(ladder, way, now_us);
    if (way == CV_WAY_CONNECT)
        start(ladder, CV_WAY_RTMP, now_us);
}

// ---- reports --------------------------------------------------------------------------------

// What an eager offer carried has been taken.
static void take(struct cv_ladder *ladder, uint32_t i, bool taken)
{
    if (taken && is_eager(ladder, ladder->attempts[i].way) && ladder->asked < 0)
        ladder->asked = (int)i;
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
    case CV_MET_UPGRADED:
        attempt->answered = true;
        take(ladder, i, true);
        return;
    case CV_MET_OPENED:
        attempt->answered = true;
        attempt->raw = false;
        take(ladder, i, report->taken);
        if (report->ours)
            return;
        start(ladder, CV_WAY_RTMP, now_us);
        start(ladder, CV_WAY_CONNECT, now_us);
        return;
    case CV_MET_HANDSHAKE:
        attempt->answered = true;
        attempt->handshake = true;
        return;
    default:
        CV_UNREACHABLE();
    }
}

static void end_attempt(struct cv_ladder *ladder, uint32_t i, const struct lesson *lesson,
                        uint64_t now_us)
{
    ladder->attempts[i].live = false;
    bool was_asked = ladder->asked == (int)i;
    if (was_asked)
        ladder->asked = -1;
    learn(ladder, lesson, now_us);
    for (int way = 0; was_asked && way < CV_WAYS; way++) {
        if (ladder->wanted[way])
            start(ladder, (enum cv_way)way, now_us);
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
        struct lesson lesson = lesson_of(ladder, who->way, report);
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
    return attempt->since_us + us(CV_LADDER_TRY_MS);
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
        ladder->second_us = UINT64_MAX;
        start(ladder, ladder->tried[CV_WAY_OFFER] ? CV_WAY_RTMP : CV_WAY_OFFER, now_us);
    }
    check_silence(ladder, now_us);
    for (uint32_t i = 0; i < ladder->count && !ladder->over; i++) {
        if (now_us < end_us(ladder, i))
            continue;
        struct lesson lesson = silent_lesson(ladder, &ladder->attempts[i]);
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

static enum cv_way first_way(const struct cv_ladder_config *config)
{
    if (config->order == CV_LADDER_ONLY)
        return config->only;
    if (config->remembered != CV_WAY_NONE)
        return config->remembered;
    return config->order == CV_LADDER_RTMP_FIRST ? CV_WAY_RTMP : CV_WAY_OFFER;
}

void cv_ladder_init(struct cv_ladder *ladder, const struct cv_ladder_config *config,
                    uint64_t now_us)
{
    *ladder = (struct cv_ladder){.config = *config, .asked = -1, .grace_us = UINT64_MAX};
    if (!config->proxy && config->remembered == CV_WAY_CONNECT)
        ladder->config.remembered = CV_WAY_NONE; // that was with a proxy
    config = &ladder->config;
    enum cv_way first = first_way(config);
    CV_ASSERT(first != CV_WAY_CONNECT || config->proxy);
    // What is remembered may be out of date, or better by now: the offer finds that out by itself.
    bool company = config->order != CV_LADDER_ONLY && config->remembered != CV_WAY_NONE &&
                   first != CV_WAY_OFFER;
    ladder->second_us = company ? now_us + us(CV_LADDER_REMEMBERED_MS) : UINT64_MAX;
    start(ladder, first, now_us);
}

enum cv_obstacle cv_ladder_obstacle(const struct cv_ladder *ladder)
{
    return ladder->obstacle;
}
