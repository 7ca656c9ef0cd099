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

// ---- actions --------------------------------------------------------------------------------

static void act(struct cv_ladder *ladder, enum cv_ladder_act what, uint32_t attempt)
{
    CV_ASSERT(ladder->action_count < sizeof ladder->actions / sizeof ladder->actions[0]);
    ladder->actions[ladder->action_count++] = (struct cv_ladder_action){
        .act = what, .attempt = attempt, .way = ladder->attempts[attempt].way};
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
static void start(struct cv_ladder *ladder, enum cv_way way, uint64_t now_us)
{
    bool only = ladder->config.order == CV_LADDER_ONLY && ladder->config.only != way;
    if (way == CV_WAY_NONE || ladder->tried[way] || only || ladder->over)
        return;
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

static void ask(struct cv_ladder *ladder, uint32_t i, uint64_t now_us)
{
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

// ---- what an end means ------------------------------------------------------------------------

struct lesson {
    enum cv_obstacle obstacle;
    enum cv_way next[2]; // to be tried now, unless they were
    bool final;          // no other way can help
};

// By way and met, from CV_MET_REFUSED on. A refused port refuses every way; what cuts or answers
// HTTP tells that HTTP may pass; what cuts HTTP with an offer may pass it without.
enum { ENDS = CV_MET_LOST - CV_MET_REFUSED + 1 };
static const struct lesson lessons[CV_WAYS][ENDS] = {
    [CV_WAY_OFFER] =
        {
            {CV_OBSTACLE_REFUSED, {0}, false},
            {CV_OBSTACLE_UNREACHABLE, {0}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_TUNNEL, CV_WAY_RTMP}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_TUNNEL, CV_WAY_RTMP}, false},
            {CV_OBSTACLE_NOT_OURS, {CV_WAY_RTMP, CV_WAY_TUNNEL}, false},
            {CV_OBSTACLE_FOREIGN, {CV_WAY_RTMP}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_TUNNEL, CV_WAY_RTMP}, false},
        },
    [CV_WAY_RTMP] =
        {
            {CV_OBSTACLE_REFUSED, {0}, false},
            {CV_OBSTACLE_UNREACHABLE, {0}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_OFFER}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_OFFER}, false},
            {CV_OBSTACLE_NOT_OURS, {CV_WAY_OFFER}, false},
            {CV_OBSTACLE_FOREIGN, {CV_WAY_OFFER}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_TUNNEL}, false},
        },
    [CV_WAY_TUNNEL] =
        {
            {CV_OBSTACLE_REFUSED, {0}, false},
            {CV_OBSTACLE_UNREACHABLE, {0}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_SOCKET, CV_WAY_RTMP}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_SOCKET, CV_WAY_RTMP}, false},
            {CV_OBSTACLE_NOT_OURS, {CV_WAY_RTMP}, false},
            {CV_OBSTACLE_FOREIGN, {CV_WAY_RTMP}, false},
            {CV_OBSTACLE_CUT, {CV_WAY_SOCKET, CV_WAY_RTMP}, false},
        },
    [CV_WAY_SOCKET] =
        {
            {CV_OBSTACLE_REFUSED, {0}, false},
            {CV_OBSTACLE_UNREACHABLE, {0}, false},
            {CV_OBSTACLE_CUT, {0}, false},
            {CV_OBSTACLE_CUT, {0}, false},
            {CV_OBSTACLE_NOT_OURS, {0}, false},
            {CV_OBSTACLE_FOREIGN, {0}, false},
            {CV_OBSTACLE_CUT, {0}, false},
        },
};

static const struct lesson portal = {CV_OBSTACLE_PORTAL, {0}, true};
static const struct lesson proxy_auth = {CV_OBSTACLE_PROXY_AUTH, {0}, true};
static const struct lesson no_site = {CV_OBSTACLE_NOT_OURS, {CV_WAY_RTMP}, false};

static const struct lesson *lesson_of(enum cv_way way, const struct cv_met_report *report)
{
    CV_ASSERT(report->met >= CV_MET_REFUSED && report->met <= CV_MET_LOST);
    if (report->met == CV_MET_HTTP) {
        if (report->elsewhere || report->status == 511)
            return &portal;
        if (report->status == 407)
            return &proxy_auth;
        if (way == CV_WAY_OFFER && (report->status == 404 || report->status == 405))
            return &no_site; // without an offer it would say the same
    }
    return &lessons[way][report->met - CV_MET_REFUSED];
}

static void learn(struct cv_ladder *ladder, const struct lesson *lesson, uint64_t now_us)
{
    blame(ladder, lesson->obstacle);
    if (lesson->final) {
        fail(ladder);
        return;
    }
    for (size_t i = 0; i < sizeof lesson->next / sizeof lesson->next[0]; i++)
        start(ladder, lesson->next[i], now_us);
    // The proxy does not listen; the server itself may.
    if (ladder->config.proxy && lesson->obstacle <= CV_OBSTACLE_REFUSED)
        start(ladder, CV_WAY_RTMP, now_us);
}

// ---- the choice -----------------------------------------------------------------------------

static bool rtmp_may_come(const struct cv_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->count; i++) {
        const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
        if (attempt->live && attempt->way == CV_WAY_RTMP && !attempt->handshake)
            return true;
    }
    return false;
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
    if (i >= 0 &&
        (ladder->attempts[i].raw || !rtmp_may_come(ladder) || now_us >= ladder->grace_us)) {
        ask(ladder, (uint32_t)i, now_us);
        return;
    }
    if (i >= 0 && ladder->grace_us == UINT64_MAX)
        ladder->grace_us = now_us + us(CV_LADDER_GRACE_MS);
    bool alive = false;
    for (uint32_t k = 0; k < ladder->count; k++)
        alive |= ladder->attempts[k].live;
    if (!alive)
        fail(ladder);
}

// ---- reports --------------------------------------------------------------------------------

static void on_progress(struct cv_ladder *ladder, struct cv_ladder_attempt *attempt,
                        const struct cv_met_report *report, uint64_t now_us)
{
    attempt->since_us = now_us;
    switch (report->met) {
    case CV_MET_CONNECTED:
        attempt->connected = true;
        attempt->rtt_us = report->rtt_us;
        return;
    case CV_MET_UPGRADED:
        attempt->answered = true;
        return;
    case CV_MET_OPENED:
        attempt->answered = true;
        attempt->raw = false;
        if (!report->ours)
            start(ladder, CV_WAY_RTMP, now_us);
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
    if (ladder->asked == (int)i)
        ladder->asked = -1;
    learn(ladder, lesson, now_us);
}

void cv_ladder_report(struct cv_ladder *ladder, uint32_t attempt,
                      const struct cv_met_report *report, uint64_t now_us)
{
    CV_ASSERT(attempt < ladder->count);
    struct cv_ladder_attempt *who = &ladder->attempts[attempt];
    if (!who->live || ladder->over)
        return;
    if (report->met == CV_MET_ACCEPTED)
        accept(ladder, attempt);
    else if (report->met < CV_MET_REFUSED)
        on_progress(ladder, who, report, now_us);
    else
        end_attempt(ladder, attempt, lesson_of(who->way, report), now_us);
    decide(ladder, now_us);
}

// ---- time -----------------------------------------------------------------------------------

static uint64_t silence_us(const struct cv_ladder_attempt *attempt)
{
    uint64_t silence = attempt->rtt_us * UINT64_C(3) / 2;
    if (silence < us(CV_LADDER_SILENCE_MIN_MS))
        return us(CV_LADDER_SILENCE_MIN_MS);
    return min_u64(silence, us(CV_LADDER_SILENCE_MAX_MS));
}

// When an attempt's silence gives another way its chance; UINT64_MAX: it does not.
static uint64_t company_us(const struct cv_ladder *ladder, const struct cv_ladder_attempt *attempt)
{
    enum cv_way other = attempt->way == CV_WAY_RTMP ? CV_WAY_OFFER : CV_WAY_RTMP;
    if (!attempt->live || !attempt->connected || attempt->answered || ladder->tried[other])
        return UINT64_MAX;
    return attempt->since_us + silence_us(attempt);
}

// When an attempt has had its time.
static uint64_t end_us(const struct cv_ladder *ladder, uint32_t i)
{
    const struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    if (!attempt->live)
        return UINT64_MAX;
    if (ladder->asked == (int)i)
        return attempt->since_us + us(CV_LADDER_CONNECT_MS);
    if (attempt->handshake)
        return UINT64_MAX;
    if (attempt->way == CV_WAY_OFFER && attempt->answered && attempt->raw) {
        uint64_t after = attempt->rtt_us * UINT64_C(3);
        uint64_t least = us(CV_LADDER_AFTER_101_MS);
        return attempt->since_us + (after > least ? after : least);
    }
    return attempt->since_us + us(CV_LADDER_TRY_MS);
}

static const struct lesson *silent_end(const struct cv_ladder_attempt *attempt)
{
    static const struct lesson blocked = {CV_OBSTACLE_SILENT, {0}, false};
    static const struct lesson mute = {CV_OBSTACLE_MUTE, {CV_WAY_TUNNEL, CV_WAY_RTMP}, false};
    static const struct lesson rtmp_mute = {CV_OBSTACLE_MUTE, {CV_WAY_OFFER}, false};
    if (!attempt->connected)
        return &blocked;
    if (attempt->handshake || attempt->answered)
        return &lessons[attempt->way][CV_MET_LOST - CV_MET_REFUSED];
    return attempt->way == CV_WAY_RTMP ? &rtmp_mute : &mute;
}

static void check_attempt(struct cv_ladder *ladder, uint32_t i, uint64_t now_us)
{
    struct cv_ladder_attempt *attempt = &ladder->attempts[i];
    if (now_us >= company_us(ladder, attempt))
        start(ladder, attempt->way == CV_WAY_RTMP ? CV_WAY_OFFER : CV_WAY_RTMP, now_us);
    if (now_us < end_us(ladder, i))
        return;
    const struct lesson *lesson = silent_end(attempt);
    stop(ladder, i);
    end_attempt(ladder, i, lesson, now_us);
}

void cv_ladder_tick(struct cv_ladder *ladder, uint64_t now_us)
{
    if (ladder->over)
        return;
    if (now_us >= ladder->second_us) {
        ladder->second_us = UINT64_MAX;
        start(ladder, ladder->tried[CV_WAY_OFFER] ? CV_WAY_RTMP : CV_WAY_OFFER, now_us);
    }
    for (uint32_t i = 0; i < ladder->count && !ladder->over; i++)
        check_attempt(ladder, i, now_us);
    decide(ladder, now_us);
}

uint64_t cv_ladder_deadline_us(const struct cv_ladder *ladder)
{
    if (ladder->over)
        return UINT64_MAX;
    uint64_t first = min_u64(ladder->second_us, ladder->asked < 0 ? ladder->grace_us : UINT64_MAX);
    for (uint32_t i = 0; i < ladder->count; i++) {
        first = min_u64(first, company_us(ladder, &ladder->attempts[i]));
        first = min_u64(first, end_us(ladder, i));
    }
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
    enum cv_way first = first_way(config);
    // What is remembered may be out of date, or better by now: the offer finds that out by itself.
    bool company = config->order != CV_LADDER_ONLY && config->remembered != CV_WAY_NONE &&
                   first != CV_WAY_OFFER;
    ladder->second_us = company ? now_us + us(CV_LADDER_REMEMBERED_MS) : UINT64_MAX;
    start(ladder, first, now_us);
}

// ---- words ----------------------------------------------------------------------------------

struct words {
    const char *text;
    const char *advice;
};

static const struct words words[CV_OBSTACLES] = {
    [CV_OBSTACLE_NONE] = {"Nothing was in the way.", NULL},
    [CV_OBSTACLE_UNREACHABLE] = {"The server cannot be reached: there is no route to it.",
                                 "Is this machine connected to a network, and the name right?"},
    [CV_OBSTACLE_SILENT] = {"Nobody answers on this port: a firewall drops it, or the server is "
                            "off.",
                            "Ask for outgoing TCP to this host and port, or for an HTTP proxy."},
    [CV_OBSTACLE_REFUSED] = {"The port is closed: the server does not run, or a firewall refuses.",
                             "Check that the server runs; then ask for outgoing TCP to this port."},
    [CV_OBSTACLE_MUTE] = {"The connection stands, but no answer comes.",
                          "Something on the way swallows the data: ask for HTTP POST to this host "
                          "to be let through unfiltered."},
    [CV_OBSTACLE_CUT] = {"Connections are cut as soon as they carry the stream.",
                         "A filter recognises and cuts it: ask for this host to be exempt from "
                         "application control."},
    [CV_OBSTACLE_NOT_OURS] = {"A web server answers, but there is no media server behind it.",
                              "Check the host name, and that Culvert owns the port there."},
    [CV_OBSTACLE_FOREIGN] = {"The port belongs to another service: neither RTMP nor HTTP.",
                             "Check the port in the URL."},
    [CV_OBSTACLE_PROXY_AUTH] = {"The proxy wants a name and a password.",
                                "Give them in http_proxy=http://NAME:PASSWORD@HOST:PORT."},
    [CV_OBSTACLE_PORTAL] = {"This network wants you to log in first.",
                            "Open a web page in a browser, log in, and try again."},
};

enum cv_obstacle cv_ladder_obstacle(const struct cv_ladder *ladder)
{
    return ladder->obstacle;
}

const char *cv_obstacle_text(enum cv_obstacle obstacle)
{
    return words[obstacle].text;
}

const char *cv_obstacle_advice(enum cv_obstacle obstacle)
{
    return words[obstacle].advice;
}

const char *cv_way_name(enum cv_way way)
{
    static const char *const names[CV_WAYS] = {"none", "RTMP inside HTTP, if need be", "RTMP",
                                               "RTMPT", "WebSocket"};
    return names[way];
}
