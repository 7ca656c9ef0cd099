#include "client/verdict.h"

#include "base/check.h"

static uint64_t us(uint32_t ms)
{
    return ms * UINT64_C(1000);
}

// ---- the ladder lives through the facts -------------------------------------------------------

static const enum cv_rung rungs[2][CV_WAYS] = {
    {[CV_WAY_OFFER] = CV_RUNG_OFFER,
     [CV_WAY_RTMP] = CV_RUNG_RTMP,
     [CV_WAY_TUNNEL] = CV_RUNG_TUNNEL,
     [CV_WAY_SOCKET] = CV_RUNG_SOCKET,
     [CV_WAY_CONNECT] = CV_RUNG_CONNECT},
    {[CV_WAY_OFFER] = CV_RUNG_SECURE_OFFER,
     [CV_WAY_RTMP] = CV_RUNG_SECURE_RTMP,
     [CV_WAY_TUNNEL] = CV_RUNG_SECURE_TUNNEL,
     [CV_WAY_SOCKET] = CV_RUNG_SECURE_SOCKET,
     [CV_WAY_CONNECT] = CV_RUNG_SECURE_RTMP},
};

// What a way meets that was not tried, because TCP had failed there already.
static const struct cv_rung_result fates[CV_RUNG_ENDS] = {
    [CV_RUNG_UNKNOWN_HOST] = {.steps = {{0, {.met = CV_MET_UNKNOWN_HOST}}}, .step_count = 1},
    [CV_RUNG_UNREACHABLE] = {.steps = {{0, {.met = CV_MET_UNREACHABLE}}}, .step_count = 1},
    [CV_RUNG_REFUSED] = {.steps = {{0, {.met = CV_MET_REFUSED}}}, .step_count = 1},
};

// TLS was tried through the proxy, where that is up, and else beside it.
static bool is_tls_proxied(const struct cv_survey_facts *facts)
{
    return facts->proxy && facts->rungs[CV_RUNG_PROXY].end == CV_RUNG_WORKS;
}

// What becomes of a way whose rung was not tried.
static const struct cv_rung_result *fate_of(const struct cv_survey_facts *facts, bool proxied,
                                            bool secure)
{
    bool tried = facts->rungs[CV_RUNG_TLS].end != CV_RUNG_SKIPPED;
    if (secure && tried && proxied == is_tls_proxied(facts))
        return &facts->rungs[CV_RUNG_TLS];
    enum cv_rung_end tcp = facts->rungs[proxied ? CV_RUNG_PROXY : CV_RUNG_TCP].end;
    if (!proxied && facts->rungs[CV_RUNG_NAME].end == CV_RUNG_UNKNOWN_HOST)
        tcp = CV_RUNG_UNKNOWN_HOST;
    return &fates[tcp];
}

static const struct cv_rung_result *road_of(const struct cv_survey_facts *facts, enum cv_way way,
                                            bool secure)
{
    const struct cv_rung_result *road = &facts->rungs[rungs[secure][way]];
    bool proxied = facts->proxy && way != CV_WAY_RTMP;
    bool elsewhere = secure && proxied != is_tls_proxied(facts);
    return elsewhere || road->end == CV_RUNG_SKIPPED ? fate_of(facts, proxied, secure) : road;
}

// An attempt that meets what its rung has met.
struct walker {
    const struct cv_rung_result *road;
    enum cv_way way;
    bool secure;
    bool eager;
    uint32_t next; // step
    uint64_t due_us;
    bool walking;
    bool asked; // its connect has left
    uint32_t rtt_us;
};

struct world {
    const struct cv_survey_facts *facts;
    struct cv_ladder ladder;
    struct walker walkers[CV_LADDER_ATTEMPTS_MAX];
    uint32_t count;
    uint64_t now_us;
    enum cv_way winner;
    bool secure; // the winner
    bool over;
};

// Its rung's connect was taken in the first flight.
static bool was_taken_early(const struct walker *walker)
{
    for (uint32_t i = 0; walker->way == CV_WAY_OFFER && i < walker->next; i++) {
        const struct cv_met_report *report = &walker->road->steps[i].report;
        if (report->met == CV_MET_UPGRADED || report->taken)
            return true;
    }
    return false;
}

static void schedule(struct world *world, struct walker *walker)
{
    walker->due_us = UINT64_MAX;
    if (walker->next >= walker->road->step_count)
        return;
    const struct cv_rung_step *step = &walker->road->steps[walker->next];
    bool answers = step->report.met == CV_MET_ACCEPTED || step->report.met == CV_MET_LOST;
    bool early = was_taken_early(walker);
    if (answers && !walker->asked && !(early && walker->eager))
        return;
    walker->due_us = world->now_us + step->after_us;
    if (answers && early && !walker->eager)
        walker->due_us += walker->rtt_us; // then connect took its time
}

static void obey(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    switch (action->act) {
    case CV_LADDER_START:
        *walker = (struct walker){.road = road_of(world->facts, action->way, action->secure),
                                  .way = action->way,
                                  .secure = action->secure,
                                  .eager = action->eager,
                                  .walking = true};
        world->count = action->attempt + 1;
        schedule(world, walker);
        return;
    case CV_LADDER_STOP:
        walker->walking = false;
        return;
    case CV_LADDER_CONNECT:
        walker->asked = true;
        schedule(world, walker);
        return;
    case CV_LADDER_THROUGH:
        world->winner = action->way;
        world->secure = action->secure;
        world->over = true;
        return;
    case CV_LADDER_FAILED:
        world->over = true;
        return;
    }
    CV_UNREACHABLE();
}

static void pull(struct world *world)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&world->ladder, &action) == 1)
        obey(world, &action);
}

static void walk(struct world *world, uint32_t i)
{
    struct walker *walker = &world->walkers[i];
    const struct cv_met_report *report = &walker->road->steps[walker->next++].report;
    walker->walking = report->met < CV_MET_REFUSED;
    if (report->met == CV_MET_CONNECTED)
        walker->rtt_us = report->rtt_us;
    cv_ladder_report(&world->ladder, i, report, world->now_us);
    schedule(world, walker);
    pull(world);
}

static uint64_t next_us(const struct world *world)
{
    uint64_t first = cv_ladder_deadline_us(&world->ladder);
    for (uint32_t i = 0; i < world->count; i++) {
        const struct walker *walker = &world->walkers[i];
        if (walker->walking && walker->due_us < first)
            first = walker->due_us;
    }
    return first;
}

static struct cv_ladder_config ladder_config(const struct cv_survey_facts *facts)
{
    static const enum cv_way only[] = {
        [CV_VIA_AUTO] = CV_WAY_NONE,
        [CV_VIA_RTMP] = CV_WAY_RTMP,
        [CV_VIA_RTMPT] = CV_WAY_TUNNEL,
        [CV_VIA_SOCKET] = CV_WAY_SOCKET,
    };
    bool any = facts->via == CV_VIA_AUTO;
    return (struct cv_ladder_config){
        .order = any ? CV_LADDER_OFFER_FIRST : CV_LADDER_ONLY,
        .only = only[facts->via],
        .security = facts->security,
        .proxy = facts->proxy,
        .secure_proxy = facts->proxy,
        .credentials = facts->credentials,
        .eager = any,
    };
}

// Each turn lets a step or the ladder's own time pass, of which there are not many.
static void live(struct world *world)
{
    enum { TURNS_MAX = 1000 };
    struct cv_ladder_config config = ladder_config(world->facts);
    cv_ladder_init(&world->ladder, &config, 0);
    pull(world);
    for (int turn = 0; !world->over; turn++) {
        CV_ASSERT(turn < TURNS_MAX);
        world->now_us = next_us(world);
        CV_ASSERT(world->now_us != UINT64_MAX);
        for (uint32_t i = 0; i < world->count && !world->over; i++) {
            if (world->walkers[i].walking && world->walkers[i].due_us <= world->now_us)
                walk(world, i);
        }
        if (!world->over)
            cv_ladder_tick(&world->ladder, world->now_us);
        pull(world);
    }
}

// ---- findings -------------------------------------------------------------------------------

static const struct cv_rung_result *of(const struct cv_survey_facts *facts, enum cv_rung rung)
{
    return &facts->rungs[rung];
}

static bool works(const struct cv_survey_facts *facts, enum cv_rung rung)
{
    return of(facts, rung)->end == CV_RUNG_WORKS;
}

static bool ends_so(const struct cv_survey_facts *facts, enum cv_rung rung, enum cv_rung_end end)
{
    return of(facts, rung)->end == end;
}

// Only of a server of ours it is known that it would have taken plain RTMP.
static bool is_ours(const struct cv_survey_facts *facts)
{
    return of(facts, CV_RUNG_OFFER)->ours || of(facts, CV_RUNG_TUNNEL)->ours ||
           of(facts, CV_RUNG_SECURE_OFFER)->ours || of(facts, CV_RUNG_SECURE_TUNNEL)->ours;
}

static bool tcp_fails(const struct cv_survey_facts *facts)
{
    return !works(facts, CV_RUNG_TCP);
}

static bool is_proxy_only(const struct cv_survey_facts *facts)
{
    return facts->proxy && tcp_fails(facts) && works(facts, CV_RUNG_PROXY) &&
           facts->security != CV_SECURITY_ONLY;
}

static bool is_proxy_only_for_tls(const struct cv_survey_facts *facts)
{
    return facts->proxy && tcp_fails(facts) && works(facts, CV_RUNG_PROXY) &&
           facts->security == CV_SECURITY_ONLY;
}

static bool is_proxy_down(const struct cv_survey_facts *facts)
{
    return facts->proxy && !works(facts, CV_RUNG_PROXY);
}

static bool is_proxy_between(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *offer = of(facts, CV_RUNG_OFFER);
    return !facts->proxy && is_ours(facts) && works(facts, CV_RUNG_OFFER) && !offer->upgraded &&
           !works(facts, CV_RUNG_RTMP);
}

static bool is_offer_stripped(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *offer = of(facts, CV_RUNG_OFFER);
    return !facts->proxy && works(facts, CV_RUNG_OFFER) && offer->ours && !offer->upgraded &&
           works(facts, CV_RUNG_RTMP);
}

static bool is_offer_disliked(const struct cv_survey_facts *facts)
{
    return is_ours(facts) && works(facts, CV_RUNG_TUNNEL) && !works(facts, CV_RUNG_OFFER);
}

static bool is_filtered(const struct cv_survey_facts *facts, enum cv_rung_end end)
{
    return !facts->proxy && works(facts, CV_RUNG_OFFER) && of(facts, CV_RUNG_OFFER)->upgraded &&
           ends_so(facts, CV_RUNG_RTMP, end);
}

static bool filter_resets(const struct cv_survey_facts *facts)
{
    return is_filtered(facts, CV_RUNG_RESET) || is_filtered(facts, CV_RUNG_CLOSED);
}

static bool filter_swallows(const struct cv_survey_facts *facts)
{
    return is_filtered(facts, CV_RUNG_MUTE);
}

static bool filter_answers(const struct cv_survey_facts *facts)
{
    return is_filtered(facts, CV_RUNG_HTTP);
}

// It has come to the handshake, and no further.
static bool is_cut_short(const struct cv_survey_facts *facts, enum cv_rung rung)
{
    const struct cv_rung_result *result = of(facts, rung);
    bool shaken = false;
    for (uint32_t i = 0; i < result->step_count; i++)
        shaken |= result->steps[i].report.met == CV_MET_HANDSHAKE;
    return shaken && result->end != CV_RUNG_WORKS;
}

static bool is_recognised(const struct cv_survey_facts *facts)
{
    return is_cut_short(facts, CV_RUNG_RTMP) || is_cut_short(facts, CV_RUNG_OFFER);
}

static bool is_cut_later(const struct cv_survey_facts *facts)
{
    return facts->cut_count > 0;
}

static bool is_ipv6_broken(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_TCP) && !ends_so(facts, CV_RUNG_TCP_IPV6, CV_RUNG_SKIPPED) &&
           !works(facts, CV_RUNG_TCP_IPV6);
}

static bool is_http_only_server(const struct cv_survey_facts *facts)
{
    return !facts->proxy && !is_ours(facts) && !works(facts, CV_RUNG_RTMP) &&
           works(facts, CV_RUNG_TUNNEL);
}

// Where nothing else leads out, 1935 tells nothing.
static bool is_1935_dropped(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_TCP) && ends_so(facts, CV_RUNG_1935, CV_RUNG_SILENT);
}

static bool is_1935_closed(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_TCP) && ends_so(facts, CV_RUNG_1935, CV_RUNG_REFUSED);
}

static bool is_1935_filtered(const struct cv_survey_facts *facts)
{
    enum cv_rung_end end = of(facts, CV_RUNG_1935)->end;
    return end == CV_RUNG_MUTE || end == CV_RUNG_RESET || end == CV_RUNG_CLOSED;
}

// The way is there, where somebody thought of another port.
static bool is_1935_the_way(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_1935);
}

// ---- findings about TLS ----------------------------------------------------------------------

static bool works_plain(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_OFFER) || works(facts, CV_RUNG_RTMP) ||
           works(facts, CV_RUNG_TUNNEL) || works(facts, CV_RUNG_SOCKET) ||
           works(facts, CV_RUNG_CONNECT);
}

static bool works_secure(const struct cv_survey_facts *facts)
{
    return works(facts, CV_RUNG_SECURE_OFFER) || works(facts, CV_RUNG_SECURE_RTMP) ||
           works(facts, CV_RUNG_SECURE_TUNNEL) || works(facts, CV_RUNG_SECURE_SOCKET);
}

static bool is_tls_the_way(const struct cv_survey_facts *facts)
{
    return facts->security == CV_SECURITY_EITHER && !works_plain(facts) && works_secure(facts);
}

static bool is_80_closed(const struct cv_survey_facts *facts)
{
    return is_tls_the_way(facts) && !facts->proxy &&
           (ends_so(facts, CV_RUNG_TCP, CV_RUNG_REFUSED) ||
            ends_so(facts, CV_RUNG_TCP, CV_RUNG_UNREACHABLE));
}

static bool is_80_dropped(const struct cv_survey_facts *facts)
{
    return is_tls_the_way(facts) && !facts->proxy && ends_so(facts, CV_RUNG_TCP, CV_RUNG_SILENT);
}

static bool is_80_useless(const struct cv_survey_facts *facts)
{
    return is_tls_the_way(facts) && (facts->proxy || works(facts, CV_RUNG_TCP));
}

// Nobody can take the upgrade off inside TLS who has not opened it.
static bool is_tls_opened(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *offer = of(facts, CV_RUNG_SECURE_OFFER);
    return offer->end == CV_RUNG_WORKS && offer->ours && !offer->upgraded;
}

static bool is_connected(const struct cv_rung_result *result)
{
    return result->step_count > 0 && result->steps[0].report.met == CV_MET_CONNECTED;
}

static bool is_tls_cut(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *tls = of(facts, CV_RUNG_TLS);
    return is_connected(tls) &&
           (tls->end == CV_RUNG_RESET || tls->end == CV_RUNG_CLOSED || tls->end == CV_RUNG_MUTE);
}

static bool is_connect_denied(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *tls = of(facts, CV_RUNG_TLS);
    bool granted = tls->status >= 502 && tls->status <= 504; // but the server is not reached
    return facts->proxy && tls->end == CV_RUNG_HTTP && !is_connected(tls) && !granted;
}

// It costs less than what passes in plain text.
static bool is_connect_better(const struct cv_survey_facts *facts)
{
    return facts->security == CV_SECURITY_EITHER && facts->proxy && works_plain(facts) &&
           !of(facts, CV_RUNG_OFFER)->upgraded && of(facts, CV_RUNG_SECURE_OFFER)->upgraded &&
           works(facts, CV_RUNG_SECURE_OFFER);
}

// The ladder says what is wrong with it.
static enum cv_obstacle certificate_of(const struct cv_survey_facts *facts)
{
    const struct cv_rung_result *tls = of(facts, CV_RUNG_TLS);
    if (tls->end != CV_RUNG_CERTIFICATE || tls->step_count == 0)
        return CV_OBSTACLE_NONE;
    return cv_obstacle_of_certificate(tls->steps[tls->step_count - 1].report.code);
}

struct rule {
    bool (*holds)(const struct cv_survey_facts *facts);
    struct cv_finding finding;
};

#define ASK_1935                                                                                   \
    "Nothing is needed for Culvert. For programs that insist on port 1935, ask for outgoing TCP "  \
    "to it, or give them URLs with this port."
#define ASK_443                                                                                    \
    "Nothing is needed for Culvert. Give other programs URLs with rtmps://, or ask for outgoing "  \
    "TCP to port 80 of this host."
#define ASK_INSPECTION                                                                             \
    "Nothing is needed for Culvert. For other programs, ask for this host to be exempt from "      \
    "inspection, or let them use culvert relay."

// Behind a way that works; what slows it most stands first.
static const struct rule rules[] = {
    {is_cut_later,
     {"cut-later", "Connections are cut after a while.",
      "Ask for connections to this host without a limit of time. Culvert goes on over new ones."}},
    {is_recognised,
     {"recognised", "A filter recognises RTMP and cuts it behind the handshake.",
      "Ask for this host to be exempt from application control: what still passes costs more."}},
    {is_proxy_only,
     {"proxy-only", "The proxy is the only way out of this network.",
      "Ask for outgoing TCP to this host, or for CONNECT to it: RTMPT, which passes, costs more."}},
    {is_proxy_only_for_tls,
     {"proxy-only", "The proxy is the only way out of this network.",
      "Nothing is needed: it opens connections for TLS."}},
    {is_80_dropped,
     {"port-80-dropped", "Port 80 is blocked: what is sent there is dropped. Port 443 is not.",
      ASK_443}},
    {is_80_closed,
     {"port-80-closed", "Port 80 is closed, by a firewall or by the server. Port 443 is open.",
      ASK_443}},
    {is_80_useless,
     {"plain-blocked", "What is not encrypted does not get through; TLS, on port 443, does.",
      ASK_443}},
    {is_tls_opened,
     {"tls-opened",
      "Somebody on the way opens what is encrypted, with a certificate that this computer trusts: "
      "the inspection of this network, or a proxy in front of the server.",
      "Ask for this host to be exempt from inspection: who opens it can read along, and RTMPTS, "
      "which passes, costs more."}},
    {is_proxy_between,
     {"proxy-between", "A proxy stands between without being asked for: only HTTP passes it.",
      "Ask for this host to be exempt from it: RTMPT, which passes, costs more."}},
    {is_offer_disliked,
     {"offer-refused", "Something on the way refuses HTTP requests that offer an upgrade.",
      "Ask for Upgrade headers to be let through, or taken off, but not refused."}},
    {filter_resets,
     {"filter-resets", "A filter on this port cuts what is not HTTP. The offer passes it.",
      ASK_INSPECTION}},
    {filter_swallows,
     {"filter-swallows", "A filter on this port swallows what is not HTTP. The offer passes it.",
      ASK_INSPECTION}},
    {filter_answers,
     {"filter-answers", "Something on this port answers RTMP by HTTP. The offer passes it.",
      ASK_INSPECTION}},
    {is_offer_stripped,
     {"offer-stripped", "A proxy takes the upgrade off the offer, but plain RTMP passes.",
      "Ask for Upgrade headers to be let through."}},
    {is_tls_cut,
     {"tls-cut",
      "Encrypted connections are cut, or never answered, as soon as they say which server they "
      "want: a filter, or the server, does not let them through.",
      "Nothing is needed for what is not encrypted. For rtmps:// ask for https:// to this host to "
      "be let through."}},
    {is_connect_denied,
     {"connect-refused", "The proxy opens no connections for TLS.",
      "Ask for CONNECT to this host and port 443: what is encrypted passes then, and costs less "
      "than RTMPT."}},
    {is_connect_better,
     {"connect-works", "The proxy opens connections for TLS.",
      "Give the URL as rtmps://: it costs less than RTMPT, and nobody reads along."}},
    {is_proxy_down,
     {"proxy-unneeded", "The proxy that is set does not answer, and is not needed.",
      "Take it out of http_proxy, or say --proxy none."}},
    {is_http_only_server,
     {"rtmpt-only", "Only RTMPT works: the server knows nothing else, or a filter stands between.",
      "Check whether the server speaks RTMP on this port."}},
    {is_ipv6_broken,
     {"ipv6-broken", "IPv6 does not lead to the server, IPv4 does.",
      "Ask for a repair of IPv6: it costs each new connection a tenth of a second."}},
    {is_1935_dropped,
     {"port-1935-dropped", "Port 1935 is blocked: what is sent there is dropped. This port is not.",
      ASK_1935}},
    {is_1935_closed,
     {"port-1935-closed", "Port 1935 is closed, by a firewall or by the server. This port is open.",
      ASK_1935}},
    {is_1935_filtered,
     {"port-1935-filtered", "Port 1935 is filtered: connections stand and carry no RTMP.",
      ASK_1935}},
};

static void add(struct cv_verdict *verdict, const struct cv_finding *finding)
{
    if (verdict->finding_count < CV_FINDINGS_MAX)
        verdict->findings[verdict->finding_count++] = *finding;
}

static void add_obstacle(struct cv_verdict *verdict, enum cv_obstacle obstacle)
{
    struct cv_finding finding = {cv_obstacle_id(obstacle), cv_obstacle_text(obstacle),
                                 cv_obstacle_advice(obstacle)};
    add(verdict, &finding);
}

static void find_hindrances(struct cv_verdict *verdict, const struct cv_survey_facts *facts)
{
    static const struct cv_finding open = {"open", "Nothing is in the way.", NULL};
    if (certificate_of(facts) != CV_OBSTACLE_NONE)
        add_obstacle(verdict, certificate_of(facts));
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].holds(facts))
            add(verdict, &rules[i].finding);
    }
    if (verdict->finding_count == 0)
        add(verdict, &open);
}

static void find_obstacles(struct cv_verdict *verdict, const struct cv_survey_facts *facts,
                           enum cv_obstacle obstacle)
{
    static const struct cv_finding other_port = {
        "port-1935-works", "Port 1935 leads to the server.",
        "Try the URL with port 1935: rtmp://HOST:1935/..."};
    add_obstacle(verdict, obstacle);
    if (is_1935_the_way(facts))
        add(verdict, &other_port);
}

// ---- the verdict ----------------------------------------------------------------------------

// Two cuts at about the same age are a habit.
static uint32_t period_ms(const struct cv_survey_facts *facts)
{
    for (uint32_t i = 1; i < facts->cut_count; i++) {
        uint64_t a = facts->cuts_ms[i - 1];
        uint64_t b = facts->cuts_ms[i];
        uint64_t more = a > b ? a : b;
        uint64_t less = a > b ? b : a;
        if ((more - less) * 10 <= more)
            return (uint32_t)less;
    }
    return 0;
}

static const char *name_of(const struct cv_survey_facts *facts, enum cv_way way, bool secure)
{
    if (way != CV_WAY_OFFER)
        return cv_way_name(way, secure);
    if (!of(facts, rungs[secure][way])->upgraded)
        return cv_way_name(CV_WAY_TUNNEL, secure);
    return secure ? "RTMPS behind an HTTPS offer" : "RTMP behind an HTTP offer";
}

void cv_verdict_make(struct cv_verdict *out, const struct cv_survey_facts *facts)
{
    struct world world = {.facts = facts};
    *out = (struct cv_verdict){.way = CV_WAY_NONE, .cut_ms = period_ms(facts)};
    if (!facts->proxy && ends_so(facts, CV_RUNG_NAME, CV_RUNG_UNKNOWN_HOST)) {
        out->name = cv_way_name(out->way, false);
        find_obstacles(out, facts, CV_OBSTACLE_UNKNOWN_HOST);
        return;
    }
    live(&world);
    out->way = world.winner;
    out->secure = world.secure;
    out->name = name_of(facts, out->way, out->secure);
    out->attempts = world.count;
    uint64_t soon_us = world.now_us;
    if (!facts->proxy)
        soon_us += of(facts, CV_RUNG_NAME)->total_us;
    if (!facts->proxy && is_ipv6_broken(facts))
        soon_us += us(CV_DIAL_STAGGER_MS); // the rungs knew, the ladder's first dial does not
    out->soon_us = soon_us > UINT32_MAX ? UINT32_MAX : (uint32_t)soon_us;
    if (out->way != CV_WAY_NONE)
        find_hindrances(out, facts);
    else
        find_obstacles(out, facts, cv_ladder_obstacle(&world.ladder));
}
