#include "client/survey.h"

#include "base/check.h"
#include "base/mem.h"
#include "client/dial.h"
#include "client/hold.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/resolve.h"
#include "io/socket.h"

#include <stdio.h>
#include <string.h>

enum { PORT_RTMP = 1935, ADDRS_SHOWN = 3 };

struct cv_survey {
    struct cv_attempt_room *room;
    struct cv_survey_config config;
    struct cv_target at_1935; // the target on that port
    struct cv_survey_facts facts;
    struct cv_verdict verdict;
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned addr_count;
    enum cv_rung rung; // the present one
    enum cv_rung next;
    bool busy; // a rung is under way; else the timer begins the next one
    uint64_t start_us;
    uint64_t step_us;
    struct cv_timer timer;
    struct cv_resolve *resolve;
    struct cv_dial *dial;
    struct cv_attempt *attempt;
    struct cv_hold *hold;
};

static struct cv_loop *loop_of(const struct cv_survey *survey)
{
    return cv_attempt_room_loop(survey->room);
}

static uint64_t now_us(const struct cv_survey *survey)
{
    return cv_loop_now_us(loop_of(survey));
}

static struct cv_rung_result *result_of(struct cv_survey *survey)
{
    CV_ASSERT(survey->rung < CV_RUNGS);
    return &survey->facts.rungs[survey->rung];
}

// What peers say goes to terminals: nothing but plain characters.
static void put_detail(struct cv_rung_result *result, const char *text)
{
    size_t len = 0;
    for (; text[len] && len + 1 < sizeof result->detail; len++)
        result->detail[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
    result->detail[len] = '\0';
}

// ---- the end of a rung ------------------------------------------------------------------------

static void end_rung(struct cv_survey *survey, enum cv_rung_end end)
{
    struct cv_rung_result *result = result_of(survey);
    if (!survey->busy)
        return;
    survey->busy = false;
    result->end = end;
    result->total_us = (uint32_t)(now_us(survey) - survey->start_us);
    cv_resolve_cancel(&survey->resolve);
    cv_dial_cancel(&survey->dial);
    cv_attempt_free(&survey->attempt);
    cv_timer_start(&survey->timer, 0);
    if (survey->config.on_rung)
        survey->config.on_rung(survey->config.arg, survey->rung, result);
}

static enum cv_rung_end end_of_code(int code)
{
    switch (code) {
    case CV_OK:
        return CV_RUNG_WORKS;
    case CV_E_NOT_FOUND:
    case CV_E_AGAIN:
        return CV_RUNG_UNKNOWN_HOST;
    case CV_E_CONN_REFUSED:
        return CV_RUNG_REFUSED;
    case CV_E_TIMEOUT:
        return CV_RUNG_SILENT;
    default:
        return CV_RUNG_UNREACHABLE;
    }
}

// ---- the name -------------------------------------------------------------------------------

static void list_addrs(const struct cv_survey *survey, char *out, size_t size)
{
    char text[CV_ADDR_TEXT_BYTES];
    size_t used = 0;
    for (unsigned i = 0; i < survey->addr_count && i < ADDRS_SHOWN && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
                                 cv_addr_print_ip(&survey->addrs[i], text));
    if (survey->addr_count > ADDRS_SHOWN && used < size)
        snprintf(out + used, size - used, " and %u more", survey->addr_count - ADDRS_SHOWN);
}

static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct cv_survey *survey = arg;
    struct cv_rung_result *result = result_of(survey);
    survey->resolve = NULL;
    if (code == CV_OK) {
        survey->addr_count = count < CV_LIMIT_ADDRESSES ? count : CV_LIMIT_ADDRESSES;
        memcpy(survey->addrs, addrs, survey->addr_count * sizeof *addrs);
        list_addrs(survey, result->detail, sizeof result->detail);
    } else if (code == CV_E_AGAIN) {
        put_detail(result, "the name server does not answer");
    }
    end_rung(survey, end_of_code(code));
}

static bool begin_name(struct cv_survey *survey)
{
    const struct cv_target *target = survey->config.target;
    cv_timer_start(&survey->timer, CV_SURVEY_NAME_MS * UINT64_C(1000));
    survey->resolve =
        cv_resolve_start(loop_of(survey), target->host, target->port, on_resolved, survey);
    return survey->resolve;
}

// ---- connections ----------------------------------------------------------------------------

static unsigned pick_family(const struct cv_survey *survey, enum cv_addr_family family,
                            struct cv_addr *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < survey->addr_count; i++) {
        if (survey->addrs[i].family == family)
            out[count++] = survey->addrs[i];
    }
    return count;
}

static bool has_both_families(const struct cv_survey *survey)
{
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned ipv6 = pick_family(survey, CV_ADDR_IPV6, addrs);
    return ipv6 > 0 && ipv6 < survey->addr_count;
}

static void on_dialled(void *arg, const struct cv_dial_result *dialled)
{
    struct cv_survey *survey = arg;
    struct cv_rung_result *result = result_of(survey);
    int fd = dialled->fd;
    char text[CV_ADDR_TEXT_BYTES];
    survey->dial = NULL;
    if (dialled->code == CV_OK) {
        result->rtt_us = dialled->rtt_us;
        put_detail(result, cv_addr_print(&dialled->addr, text));
        cv_socket_close(&fd);
    }
    end_rung(survey, end_of_code(dialled->code));
}

static bool begin_dial(struct cv_survey *survey)
{
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    struct cv_dial_config config = {
        .host = survey->config.target->host,
        .port = survey->config.target->port,
        .addrs = addrs,
        .try_ms = CV_SURVEY_CONNECT_MS,
        .on_done = on_dialled,
        .arg = survey,
    };
    if (survey->rung == CV_RUNG_PROXY) {
        config.host = survey->config.proxy->host;
        config.port = survey->config.proxy->port;
        config.try_ms = CV_SURVEY_NAME_MS + CV_SURVEY_CONNECT_MS;
    } else {
        bool ipv6 = survey->rung == CV_RUNG_TCP_IPV6 || survey->addrs[0].family == CV_ADDR_IPV6;
        bool ipv4 = survey->rung == CV_RUNG_TCP && has_both_families(survey);
        enum cv_addr_family family = ipv6 && !ipv4 ? CV_ADDR_IPV6 : CV_ADDR_IPV4;
        config.addr_count = pick_family(survey, family, addrs);
    }
    survey->dial = cv_dial_start(loop_of(survey), &config);
    return survey->dial;
}

// ---- attempts -------------------------------------------------------------------------------

static void note_step(struct cv_survey *survey, const struct cv_met_report *report)
{
    struct cv_rung_result *result = result_of(survey);
    if (result->step_count == CV_RUNG_STEPS_MAX)
        return;
    result->steps[result->step_count++] = (struct cv_rung_step){
        .after_us = (uint32_t)(now_us(survey) - survey->step_us), .report = *report};
    survey->step_us = now_us(survey);
    cv_timer_start(&survey->timer, CV_SURVEY_ANSWER_MS * UINT64_C(1000));
}

static void on_http(struct cv_survey *survey, const struct cv_met_report *report)
{
    struct cv_rung_result *result = result_of(survey);
    result->status = report->status;
    result->elsewhere = report->elsewhere;
    put_detail(result, cv_attempt_location(survey->attempt));
}

static void on_progress(struct cv_survey *survey, const struct cv_met_report *report)
{
    struct cv_rung_result *result = result_of(survey);
    bool offer = survey->rung == CV_RUNG_OFFER || survey->rung == CV_RUNG_SECURE_OFFER;
    switch (report->met) {
    case CV_MET_CONNECTED:
        result->rtt_us = report->rtt_us;
        return;
    case CV_MET_SECURED:
        if (survey->rung == CV_RUNG_TLS)
            end_rung(survey, CV_RUNG_WORKS);
        return;
    case CV_MET_UPGRADED:
        result->upgraded = result->ours = offer;
        return;
    case CV_MET_OPENED:
        result->ours = report->ours;
        return;
    case CV_MET_HANDSHAKE:
        if (survey->rung == CV_RUNG_1935)
            end_rung(survey, CV_RUNG_WORKS);
        else
            cv_attempt_connect(survey->attempt);
        return;
    default:
        return; // accepted: and at once what the answer was
    }
}

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct cv_survey *survey = arg;
    note_step(survey, report);
    if (report->met < CV_MET_REFUSED) {
        on_progress(survey, report);
        return;
    }
    if (report->met == CV_MET_HTTP)
        on_http(survey, report);
    if (report->met == CV_MET_CERTIFICATE || report->met == CV_MET_NOT_TLS)
        put_detail(result_of(survey), cv_attempt_why(survey->attempt)->text);
    end_rung(survey, cv_rung_end_of(report->met));
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    if (event->type == CV_RTMP_CLIENT_CONNECTED)
        end_rung(arg, CV_RUNG_WORKS);
}

// The server was reached, and says no: to this app, most likely.
static void on_end(void *arg, const struct cv_why *why)
{
    struct cv_survey *survey = arg;
    struct cv_rung_result *result = result_of(survey);
    bool said = cv_attempt_said_end(survey->attempt);
    result->refused = said;
    if (said)
        put_detail(result, why->text);
    end_rung(survey, said ? CV_RUNG_WORKS : CV_RUNG_LOST);
}

static bool has_worked(const struct cv_survey *survey, enum cv_rung rung)
{
    return survey->facts.rungs[rung].end == CV_RUNG_WORKS;
}

static bool is_secure(enum cv_rung rung)
{
    return rung >= CV_RUNG_TLS;
}

static enum cv_way way_of(const struct cv_survey *survey)
{
    static const enum cv_way ways[CV_RUNGS] = {
        [CV_RUNG_1935] = CV_WAY_RTMP,
        [CV_RUNG_RTMP] = CV_WAY_RTMP,
        [CV_RUNG_OFFER] = CV_WAY_OFFER,
        [CV_RUNG_TUNNEL] = CV_WAY_TUNNEL,
        [CV_RUNG_SOCKET] = CV_WAY_SOCKET,
        [CV_RUNG_CONNECT] = CV_WAY_CONNECT,
        [CV_RUNG_TLS] = CV_WAY_RTMP,
        [CV_RUNG_SECURE_OFFER] = CV_WAY_OFFER,
        [CV_RUNG_SECURE_RTMP] = CV_WAY_RTMP,
        [CV_RUNG_SECURE_TUNNEL] = CV_WAY_TUNNEL,
        [CV_RUNG_SECURE_SOCKET] = CV_WAY_SOCKET,
    };
    enum cv_way way = ways[survey->rung];
    bool proxied = is_secure(survey->rung) && has_worked(survey, CV_RUNG_PROXY);
    return way == CV_WAY_RTMP && proxied ? CV_WAY_CONNECT : way;
}

static bool begin_attempt(struct cv_survey *survey)
{
    const struct cv_target *target =
        survey->rung == CV_RUNG_1935 ? &survey->at_1935 : survey->config.target;
    struct cv_attempt_config config = {
        .way = way_of(survey),
        .secure = is_secure(survey->rung),
        .trust = survey->config.trust,
        .target = target,
        .proxy = survey->config.proxy,
        .addrs = survey->addrs,
        .addr_count = survey->addr_count,
        .ipv4_first =
            has_both_families(survey) && survey->facts.rungs[CV_RUNG_TCP_IPV6].end != CV_RUNG_WORKS,
        .rtmp = {.mode = CV_RTMP_CLIENT_CALL,
                 .crypto = &cv_crypto_openssl,
                 .app = cv_text_of(target->app),
                 .tc_url = cv_text_of(target->tc_url)},
        .eager = true,
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = survey,
    };
    cv_timer_start(&survey->timer, CV_SURVEY_CONNECT_MS * UINT64_C(1000));
    survey->attempt = cv_attempt_new(survey->room, &config);
    return survey->attempt;
}

// ---- one after the other ----------------------------------------------------------------------

static bool is_direct(const struct cv_survey *survey)
{
    return has_worked(survey, CV_RUNG_TCP) || has_worked(survey, CV_RUNG_TCP_IPV6);
}

static bool is_way_out(const struct cv_survey *survey)
{
    return survey->facts.proxy ? has_worked(survey, CV_RUNG_PROXY) : is_direct(survey);
}

// TLS has a port of its own: whatever became of the other one.
static bool is_tls_worth_it(const struct cv_survey *survey)
{
    if (survey->facts.security == CV_SECURITY_PLAIN)
        return false;
    if (survey->facts.security == CV_SECURITY_EITHER && survey->addr_count > 0)
        return true;
    return has_worked(survey, CV_RUNG_PROXY) || is_direct(survey);
}

static bool is_secure_worth_it(const struct cv_survey *survey, enum cv_rung rung)
{
    bool beside = survey->facts.proxy && !has_worked(survey, CV_RUNG_PROXY);
    return has_worked(survey, CV_RUNG_TLS) && (!beside || rung == CV_RUNG_SECURE_RTMP);
}

static bool is_plain_worth_it(const struct cv_survey *survey, enum cv_rung rung)
{
    if (survey->facts.security == CV_SECURITY_ONLY)
        return false;
    switch (rung) {
    case CV_RUNG_1935:
        return survey->addr_count > 0 && survey->config.target->port != PORT_RTMP;
    case CV_RUNG_RTMP:
        return is_direct(survey);
    case CV_RUNG_CONNECT:
        return has_worked(survey, CV_RUNG_PROXY);
    default:
        return is_way_out(survey);
    }
}

static bool is_worth_it(const struct cv_survey *survey, enum cv_rung rung)
{
    switch (rung) {
    case CV_RUNG_NAME:
        return true;
    case CV_RUNG_TCP:
        return survey->addr_count > 0;
    case CV_RUNG_TCP_IPV6:
        return has_both_families(survey);
    case CV_RUNG_PROXY:
        return survey->facts.proxy;
    case CV_RUNG_TLS:
        return is_tls_worth_it(survey);
    default:
        return is_secure(rung) ? is_secure_worth_it(survey, rung) : is_plain_worth_it(survey, rung);
    }
}

static void begin_rung(struct cv_survey *survey)
{
    bool begun;
    survey->busy = true;
    survey->start_us = survey->step_us = now_us(survey);
    if (survey->config.on_rung)
        survey->config.on_rung(survey->config.arg, survey->rung, NULL);
    switch (survey->rung) {
    case CV_RUNG_NAME:
        begun = begin_name(survey);
        break;
    case CV_RUNG_TCP:
    case CV_RUNG_TCP_IPV6:
    case CV_RUNG_PROXY:
        begun = begin_dial(survey);
        break;
    default:
        begun = begin_attempt(survey);
        break;
    }
    if (!begun)
        end_rung(survey, CV_RUNG_UNREACHABLE);
}

static void on_cut(void *arg, uint32_t age_ms)
{
    struct cv_survey *survey = arg;
    struct cv_survey_facts *facts = &survey->facts;
    if (facts->cut_count < CV_SURVEY_CUTS_MAX)
        facts->cuts_ms[facts->cut_count++] = age_ms;
    if (survey->config.on_cut)
        survey->config.on_cut(survey->config.arg, age_ms);
}

static void on_held(void *arg, uint32_t held_ms)
{
    struct cv_survey *survey = arg;
    survey->facts.held_ms = held_ms;
    cv_hold_free(&survey->hold);
    cv_verdict_make(&survey->verdict, &survey->facts);
    survey->config.on_done(survey->config.arg, &survey->facts, &survey->verdict);
}

static bool begin_hold(struct cv_survey *survey)
{
    struct cv_hold_config config = {
        .way = survey->verdict.way,
        .secure = survey->verdict.secure,
        .trust = survey->config.trust,
        .target = survey->config.target,
        .proxy = survey->config.proxy,
        .addrs = survey->addrs,
        .addr_count = survey->addr_count,
        .ipv4_first = true,
        .seconds = survey->config.hold_s,
        .on_cut = on_cut,
        .on_done = on_held,
        .arg = survey,
    };
    if (survey->config.hold_s == 0 || survey->verdict.way == CV_WAY_NONE)
        return false;
    survey->hold = cv_hold_start(survey->room, &config);
    return survey->hold;
}

static void end_survey(struct cv_survey *survey)
{
    cv_verdict_make(&survey->verdict, &survey->facts);
    if (!begin_hold(survey))
        survey->config.on_done(survey->config.arg, &survey->facts, &survey->verdict);
}

static void next_rung(struct cv_survey *survey)
{
    while (survey->next < CV_RUNGS && !is_worth_it(survey, survey->next))
        survey->next++;
    if (survey->next == CV_RUNGS) {
        end_survey(survey);
        return;
    }
    survey->rung = survey->next++;
    begin_rung(survey);
}

// A rung has had its time.
static void give_up(struct cv_survey *survey)
{
    const struct cv_rung_result *result = result_of(survey);
    uint32_t standing = is_secure(survey->rung) ? 2 : 1; // TCP, TLS
    if (survey->rung == CV_RUNG_NAME)
        on_resolved(survey, CV_E_AGAIN, NULL, 0);
    else if (result->step_count == 0)
        end_rung(survey, CV_RUNG_SILENT);
    else
        end_rung(survey, result->step_count <= standing ? CV_RUNG_MUTE : CV_RUNG_STALLED);
}

static void on_timer(void *arg)
{
    struct cv_survey *survey = arg;
    if (survey->busy)
        give_up(survey);
    else
        next_rung(survey);
}

// ---- life -----------------------------------------------------------------------------------

struct cv_survey *cv_survey_start(struct cv_attempt_room *room,
                                  const struct cv_survey_config *config)
{
    CV_ASSERT(config->trust || config->target->security != CV_SECURITY_ONLY);
    struct cv_survey *survey = cv_mem_zero(1, sizeof *survey);
    if (!survey)
        return NULL;
    survey->room = room;
    survey->config = *config;
    if (config->proxy && !config->proxy->host[0])
        survey->config.proxy = NULL;
    survey->at_1935 = *config->target;
    survey->at_1935.port = PORT_RTMP;
    survey->facts.port = config->target->port;
    survey->facts.security = config->target->security;
    if (!config->trust && survey->facts.security == CV_SECURITY_EITHER)
        survey->facts.security = CV_SECURITY_PLAIN;
    survey->facts.via = config->via != CV_VIA_AUTO ? config->via : config->target->via;
    survey->facts.proxy = survey->config.proxy != NULL;
    survey->facts.credentials = survey->facts.proxy && config->proxy->user[0];
    cv_timer_init(&survey->timer, loop_of(survey), on_timer, survey);
    cv_timer_start(&survey->timer, 0);
    return survey;
}

void cv_survey_free(struct cv_survey **place)
{
    struct cv_survey *survey = *place;
    *place = NULL;
    if (!survey)
        return;
    cv_timer_stop(&survey->timer);
    cv_resolve_cancel(&survey->resolve);
    cv_dial_cancel(&survey->dial);
    cv_attempt_free(&survey->attempt);
    cv_hold_free(&survey->hold);
    cv_mem_free(survey);
}
