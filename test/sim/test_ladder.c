// The ladder against networks, in virtual time: for each symptom who wins, when, after how many
// attempts, how many connects reached a server, and what the user reads. Each network is lived
// through twice: with a connect of its own, and with one that travels in the offer's first flight;
// and again where TLS is allowed, and where nothing else is.
#include "network_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// clang-format off
// Plain: connection, the offer's answer with S0S1S2, the answer to connect: 3 round trips.
static const struct network plain_networks[] = {
    // ---- nothing in the way, or nothing that stops the offer
    {"open", {0}, {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"port 80 resets what is not HTTP", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), ROAD(RTMP, UP, RESET)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"very far", {0},
     {ROAD(OFFER, UP_FAR, UPGRADED_IN(640), SHAKEN, ACCEPTED_IN(600)), ROAD(RTMP, UP_FAR)},
     ENDS(OFFER, 1840, 1, 1, NONE), ENDS(OFFER, 1240, 1, 1, NONE), false},
    {"a SYN is lost", {0}, {ROAD(OFFER, UP_IN(1040), UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 1120, 1, 1, NONE), ENDS(OFFER, 1080, 1, 1, NONE), false},
    {"IPv6 is broken: dialled over IPv4 behind it", {0},
     {ROAD(OFFER, UP_IN(140), UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 220, 1, 1, NONE), ENDS(OFFER, 180, 1, 1, NONE), false},
    {"IPv6 carries SYN and nothing larger", {0},
     {ROAD(OFFER, UP6, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), {0}, true},

    // ---- proxies that nobody knows of
    {"a proxy strips the offer", {0},
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP, HTTP(400))},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    // That replies close the connection is the tunnel's to survive.
    {"a proxy without keep-alive", {0},
     {ROAD(OFFER, UP, OURS, SHAKEN_IN(80), ACCEPTED_IN(80)), ROAD(RTMP, UP, HTTP(400))},
     ENDS(OFFER, 240, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    // It holds each answer for a while: RTMP and a bare tunnel are tried beside, and lose.
    {"a proxy that buffers", {0},
     {ROAD(OFFER, UP, OURS_IN(400), SHAKEN_IN(400), ACCEPTED_IN(400)), ROAD(RTMP, UP, HTTP(400)),
      ROAD(TUNNEL, UP, OURS_IN(400), SHAKEN_IN(400))},
     ENDS(OFFER, 1240, 4, 1, HTTP_ONLY), ENDS(OFFER, 440, 4, 1, HTTP_ONLY), false},
    {"a proxy that passes 101 and swallows what follows", {0},
     {ROAD(OFFER, UP, UPGRADED), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP)},
     // RTMP had its silence while the tunnel opened
     ENDS(TUNNEL, 80 + CV_LADDER_AFTER_101_MS + 120 + 20 + 40, 3, 1, CUT),
     // the offer's connect has been answered, and the answer swallowed
     ENDS(TUNNEL, 80 + CV_LADDER_AFTER_101_MS + 120 + 20 + 40, 3, 2, CUT), false},
    {"a proxy that closes on the offer", {0},
     {ROAD(OFFER, UP, CLOSED), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, HTTP(400))},
     ENDS(TUNNEL, 80 + 160, 3, 1, HTTP_ONLY), {0}, false},
    {"a proxy that swallows the offer", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, HTTP(400))},
     ENDS(TUNNEL, 40 + 100 + 80 + 160, 3, 1, HTTP_ONLY), {0}, false},
    {"RTMP and the offer are swallowed", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, SILENCE)},
     ENDS(TUNNEL, 40 + 100 + 40 + 100 + 160, 3, 1, NONE), {0}, false},
    {"posts are forbidden, WebSockets are not", {0},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UP, HTTP(403)), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(SOCKET, UP, UPGRADED, SHAKEN_LATER, ACCEPTED)},
     ENDS(SOCKET, 160 + 160, 4, 1, FORBIDDEN), {0}, false},
    {"only a WebSocket passes", {0},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UP, RESET), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, UPGRADED, SHAKEN_LATER, ACCEPTED)},
     ENDS(SOCKET, 160 + 160, 4, 1, CUT), {0}, false},
    {"RTMP is recognised and cut, in the offer too", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, LOST), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, SHAKEN_LATER, LOST)},
     // in that order: the offer's, RTMP's, the tunnel's, never two at once
     ENDS(TUNNEL, 90 + 80 + 10 + 30 + 40, 3, 3, CUT), ENDS(TUNNEL, 90 + 80 + 10 + 30 + 40, 3, 3, CUT),
     false},
    {"connect is never answered", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, RESET)},
     ENDS(TUNNEL, 80 + CV_LADDER_CONNECT_MS + 160, 3, 2, CUT), {0}, false},

    // ---- servers that are not ours
    {"a foreign server of RTMPT", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP)},
     // RTMP gets its chance and its grace
     ENDS(OFFER, 80 + 40 + CV_LADDER_GRACE_MS - 10 + 40 - 40, 2, 1, NONE), {0}, false},
    {"a foreign server of both", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 80 + 80 + 40, 2, 1, NONE), {0}, false},
    {"a server of ours that does not know eager offers", {0},
     {ROAD(OFFER, UP, OURS_OLD, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 160, 1, 1, NONE), {0}, false},
    {"a foreign server of RTMP that swallows HTTP", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), {0}, false},
    {"a foreign server of RTMP that closes on HTTP", {0},
     {ROAD(OFFER, UP, CLOSED), ROAD(TUNNEL, UP, CLOSED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 80 + 120, 4, 1, CUT), {0}, false},

    // ---- a server that answers late: the eager connect has reached it, and is dead before another
    // one leaves
    {"the offer's answer is later than RTMP's", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(500), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), ENDS(RTMP, 40 + 100 + 120, 2, 2, NONE), false},
    {"the same, and RTMP is cut: the offer comes again", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(300), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, LOST)},
     // plain: the offer was kept
     ENDS(OFFER, 40 + 300 + 40, 3, 2, CUT), ENDS(OFFER, 230 + 340, 4, 3, CUT), false},
    {"the same with a tunnel that is cut", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(700), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SILENCE),
      ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, LOST), ROAD(SOCKET, UP, RESET)},
     ENDS(OFFER, 40 + 700 + 40, 4, 2, CUT), ENDS(OFFER, 410 + 740, 5, 3, CUT), false},

    {"a tunnel is cut while it waits for RTMP", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, MET(10, .met = CV_MET_RESET)),
      ROAD(RTMP, UP_IN(300), SHAKEN_LATER, ACCEPTED), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, RESET)},
     ENDS(RTMP, 80 + 380, 4, 1, CUT), {0}, false},

    // ---- nothing gets through
    {"SYN is dropped", {0}, {ROAD(OFFER, SILENCE)},
     ENDS(NONE, CV_LADDER_TRY_MS, 1, 0, SILENT), {0}, false},
    {"refused", {0}, {ROAD(OFFER, REFUSED)}, ENDS(NONE, 40, 1, 0, REFUSED), {0}, false},
    {"unreachable", {0}, {ROAD(OFFER, UNREACHABLE)}, ENDS(NONE, 0, 1, 0, UNREACHABLE), {0}, false},
    {"unknown host", {0}, {ROAD(OFFER, UNKNOWN)}, ENDS(NONE, 10, 1, 0, UNKNOWN_HOST), {0}, false},
    {"captive portal", {0}, {ROAD(OFFER, UP, PORTAL)}, ENDS(NONE, 80, 1, 0, PORTAL), {0}, false},
    {"status 511", {0}, {ROAD(OFFER, UP, HTTP(511))}, ENDS(NONE, 80, 1, 0, PORTAL), {0}, false},
    {"a proxy that was not asked for wants a password", {0}, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_AUTH), {0}, false},
    {"a web server alone", {0}, {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UP, HTTP(400))},
     ENDS(NONE, 160, 2, 0, NOT_OURS), {0}, false},
    {"a reverse proxy whose server is down", {0},
     {ROAD(OFFER, UP, HTTP(502)), ROAD(RTMP, UP, HTTP(400)), ROAD(TUNNEL, UP, HTTP(502)),
      ROAD(SOCKET, UP, HTTP(502))},
     ENDS(NONE, 240, 4, 0, NO_SERVER), {0}, false},
    {"TLS, SSH or mail on the port", {0}, {ROAD(OFFER, UP, BANNER), ROAD(RTMP, UP, BANNER)},
     ENDS(NONE, 160, 2, 0, FOREIGN), {0}, false},
    {"a service that closes on RTMP and greets on HTTP", {0},
     {ROAD(OFFER, UP, BANNER), ROAD(RTMP, UP, CLOSED)},
     ENDS(NONE, 160, 2, 0, FOREIGN), {0}, false},
    {"everything is reset", {0},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UP, RESET), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, RESET)},
     ENDS(NONE, 240, 4, 0, CUT), {0}, false},
    {"everything is swallowed", {0},
     {ROAD(OFFER, UP), ROAD(RTMP, UP), ROAD(TUNNEL, UP), ROAD(SOCKET, UP)},
     ENDS(NONE, 40 + 3 * 140 + CV_LADDER_TRY_MS, 4, 0, MUTE), {0}, false},

    // ---- a proxy is set
    {"proxy only: names do not resolve, no route", PROXY,
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UNKNOWN)},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"proxy only, with its password", LOGIN,
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UNREACHABLE)},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"a proxy wants a password", PROXY, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_AUTH), {0}, false},
    {"a proxy does not take the password", LOGIN, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_DENIED), {0}, false},
    {"a proxy forbids posts and opens connections", PROXY,
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, SHAKEN_IN(80), ACCEPTED)},
     ENDS(CONNECT, 80 + 160, 5, 1, FORBIDDEN), {0}, false},
    {"a proxy holds posts back and opens connections", PROXY,
     {ROAD(OFFER, UP, SILENCE), ROAD(RTMP, UNKNOWN), ROAD(CONNECT, UP, SHAKEN_IN(80), ACCEPTED)},
     ENDS(CONNECT, 40 + CV_LADDER_SILENCE_MAX_MS + 160, 3, 1, UNKNOWN_HOST), {0}, false},
    {"a proxy that knows only web pages", PROXY,
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, HTTP(403))},
     ENDS(NONE, 240, 5, 0, FORBIDDEN), {0}, false},
    {"a proxy that cuts posts and refuses CONNECT", PROXY,
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, RESET),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, RESET)},
     ENDS(NONE, 240, 5, 0, NO_CONNECT), {0}, false},
    {"a proxy, and behind it a web server alone", PROXY,
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UNKNOWN), ROAD(CONNECT, UP, HTTP(403))},
     ENDS(NONE, 160, 3, 0, NOT_OURS), {0}, false},
    {"a proxy that is down, the server is not", PROXY,
     {ROAD(OFFER, REFUSED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 120, 2, 1, PROXY_DOWN), {0}, false},
    {"a proxy of another network", PROXY,
     {ROAD(OFFER, UNKNOWN), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 10 + 120, 2, 1, PROXY_DOWN), {0}, false},
    {"a proxy that is switched off", PROXY,
     {ROAD(OFFER, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, CV_LADDER_SYN_MS + 120, 2, 1, NONE), {0}, false},
    {"neither proxy nor server", PROXY, {ROAD(OFFER, REFUSED), ROAD(RTMP, UNKNOWN)},
     ENDS(NONE, 50, 2, 0, PROXY_DOWN), {0}, false},

    // ---- other orders
    {"RTMP first, open", RTMP1ST, {ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 120, 1, 1, NONE), {0}, false},
    {"RTMP first, swallowed", RTMP1ST,
     {ROAD(RTMP, UP, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 40 + 100 + 120, 2, 1, NONE), ENDS(OFFER, 40 + 100 + 80, 2, 1, NONE), false},
    {"RTMP first, 400", RTMP1ST,
     {ROAD(RTMP, UP, HTTP(400)), ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 80 + 160, 2, 1, HTTP_ONLY), ENDS(OFFER, 80 + 80, 2, 1, HTTP_ONLY), false},
    {"RTMP first, cut behind the handshake", RTMP1ST,
     {ROAD(RTMP, UP, SHAKEN_LATER, LOST), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 90 + 120, 3, 2, CUT), ENDS(OFFER, 90 + 80, 3, 2, CUT), false},
    {"RTMP first, but only a proxy leads out", {.order = CV_LADDER_RTMP_FIRST, .proxy = true},
     {ROAD(RTMP, UNKNOWN), ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 10 + 160, 2, 1, UNKNOWN_HOST), ENDS(OFFER, 10 + 80, 2, 1, UNKNOWN_HOST), false},
    {"only RTMP is wanted", ONLY(RTMP),
     {ROAD(RTMP, UP, RESET), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(NONE, 80, 1, 0, CUT), {0}, false},
    {"only the tunnel is wanted, and is silent", ONLY(TUNNEL), {ROAD(TUNNEL, UP)},
     ENDS(NONE, 40 + CV_LADDER_TRY_MS, 1, 0, MUTE), {0}, false},
    {"a remembered tunnel", KNOWN(TUNNEL), {ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(TUNNEL, 160, 1, 1, NONE), {0}, false},
    {"a remembered tunnel, far: nothing is begun beside it any more", KNOWN(TUNNEL),
     {ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED_IN(400))}, ENDS(TUNNEL, 520, 1, 1, NONE), {0},
     false},
    {"a remembered tunnel in another network", KNOWN(TUNNEL),
     {ROAD(TUNNEL, UP, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), ROAD(RTMP, UP)},
     ENDS(OFFER, 40 + 100 + 120, 2, 1, NONE), ENDS(OFFER, 40 + 100 + 80, 2, 1, NONE), false},
    {"a remembered tunnel whose SYN is lost", KNOWN(TUNNEL),
     {ROAD(TUNNEL, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, CV_LADDER_REMEMBERED_MS + 120, 2, 1, NONE),
     ENDS(OFFER, CV_LADDER_REMEMBERED_MS + 80, 2, 1, NONE), false},
    {"a remembered WebSocket that is no more", KNOWN(SOCKET),
     {ROAD(SOCKET, UP, HTTP(404)), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 80 + 120, 2, 1, NOT_OURS), ENDS(OFFER, 80 + 80, 2, 1, NOT_OURS), false},
    {"a remembered CONNECT without its proxy", KNOWN(CONNECT),
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
};

// clang-format on

static void every_network(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        right &= is_as_expected(&plain_networks[i], CV_SECURITY_PLAIN, false);
        right &= is_as_expected(&plain_networks[i], CV_SECURITY_PLAIN, true);
    }
    assert_true(right);
}

// How many attempts inside TLS were begun.
static uint32_t count_secure(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->attempts; i++)
        count += world->walkers[i].road >= SECURE;
    return count;
}

static bool is_begun(const struct world *world, unsigned road)
{
    for (uint32_t i = 0; i < world->attempts; i++) {
        if (world->walkers[i].road == road)
            return true;
    }
    return false;
}

// Where plain text gets through, nothing takes longer, and nothing is begun inside TLS but where
// nothing else is left.
static bool needs_no_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network either = *network;
    live_in(&world, &either, CV_SECURITY_EITHER, eager);
    struct expected *e = eager && either.eager.attempts > 0 ? &either.eager : &either.own;
    uint32_t secure = count_secure(&world);
    e->attempts += secure;
    bool spent = is_begun(&world, CV_WAY_OFFER) && is_begun(&world, CV_WAY_RTMP) &&
                 is_begun(&world, CV_WAY_TUNNEL) && is_begun(&world, CV_WAY_SOCKET);
    return (secure == 0 || (secure == 1 && spent)) &&
           is_as_expected(&either, CV_SECURITY_EITHER, eager);
}

static void tls_is_a_reserve(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        if (plain_networks[i].own.winner == CV_WAY_NONE)
            continue;
        right &= needs_no_tls(&plain_networks[i], false);
        right &= needs_no_tls(&plain_networks[i], true);
    }
    assert_true(right);
}

// Where nothing gets through, it still says why, when TLS is refused, too.
static bool says_the_same_without_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network closed = *network;
    closed.config.secure_proxy = network->config.proxy;
    bool proxy = network->config.proxy;
    for (unsigned way = 0; way < CV_WAYS; way++) {
        bool at_proxy = proxy && way != CV_WAY_RTMP;
        closed.roads[SECURE + way] =
            at_proxy ? (struct road){{HTTP(403)}} : (struct road){{REFUSED}};
    }
    live_in(&world, &closed, CV_SECURITY_EITHER, eager);
    enum cv_obstacle least = network->own.obstacle;
    enum cv_obstacle obstacle = cv_ladder_obstacle(&world.ladder);
    bool same = obstacle == least || (obstacle > least && obstacle == CV_OBSTACLE_REFUSED) ||
                (obstacle > least && obstacle == CV_OBSTACLE_NO_CONNECT && proxy);
    if (world.winner == CV_WAY_NONE && same)
        return true;
    print_world(&world);
    return false;
}

static void a_failure_keeps_its_words(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        if (plain_networks[i].own.winner != CV_WAY_NONE)
            continue;
        right &= says_the_same_without_tls(&plain_networks[i], false);
        right &= says_the_same_without_tls(&plain_networks[i], true);
    }
    assert_true(right);
}

// The same road behind a TLS handshake.
static struct road inside_tls(const struct road *road)
{
    struct road inside = {{{0, {0}}}};
    unsigned to = 0;
    for (unsigned from = 0; from < STEPS_MAX && to < STEPS_MAX; from++) {
        inside.steps[to++] = road->steps[from];
        if (!is_end(&road->steps[from]) && road->steps[from].report.met == CV_MET_CONNECTED)
            inside.steps[to++] = (struct step)TLS;
    }
    return inside;
}

// What plain text can do, TLS alone can, too: the same way wins, at most a round trip later for
// each attempt.
static bool goes_inside_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network inside = *network;
    for (unsigned way = 0; way < CV_WAYS; way++) {
        inside.roads[SECURE + way] = inside_tls(&network->roads[way]);
        inside.roads[way] = (struct road){{{0, {0}}}};
    }
    inside.config.remembered_secure = true;
    inside.config.secure_proxy = inside.config.proxy;
    live_in(&world, &inside, CV_SECURITY_ONLY, eager);
    const struct expected *e = expected_of(network, eager);
    unsigned winner = e->winner == CV_WAY_NONE ? CV_WAY_NONE : SECURE + e->winner;
    uint32_t ms = (uint32_t)(world.now_us / 1000);
    if (world.winner == winner && ms <= e->ms + RTT_MS * world.attempts &&
        world.reached == e->reached && cv_ladder_obstacle(&world.ladder) == e->obstacle)
        return true;
    print_world(&world);
    return false;
}

static void tls_alone_is_enough(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        // a portal and a proxy speak for themselves in plain text only
        enum cv_obstacle obstacle = plain_networks[i].own.obstacle;
        if (obstacle == CV_OBSTACLE_PORTAL || obstacle == CV_OBSTACLE_NO_CONNECT)
            continue;
        right &= goes_inside_tls(&plain_networks[i], false);
        right &= goes_inside_tls(&plain_networks[i], true);
    }
    assert_true(right);
}

// A portal ends everything, but not what is through it already.
static void a_portal_does_not_end_what_gets_through(void **state)
{
    (void)state;
    struct cv_ladder ladder;
    struct cv_ladder_action action;
    cv_ladder_init(&ladder, &(struct cv_ladder_config){0}, 0);
    cv_ladder_report(&ladder, 0, &(struct cv_met_report){.met = CV_MET_CONNECTED}, 40000);
    cv_ladder_tick(&ladder, 140000);
    struct cv_met_report shaken = {.met = CV_MET_HANDSHAKE};
    cv_ladder_report(&ladder, 1, &shaken, 180000);
    struct cv_met_report portal = {.met = CV_MET_HTTP, .status = 511};
    cv_ladder_report(&ladder, 0, &portal, 190000);
    enum cv_ladder_act acts[8];
    size_t count = 0;
    while (count < 8 && cv_ladder_next(&ladder, &action) == 1)
        acts[count++] = action.act;
    assert_int_equal(count, 3);
    assert_int_equal(acts[2], CV_LADDER_CONNECT);
    assert_int_equal(cv_ladder_obstacle(&ladder), CV_OBSTACLE_PORTAL);
}

// ---- words ----------------------------------------------------------------------------------

// What a person must read, whatever else stands around it.
static const struct {
    enum cv_obstacle obstacle;
    const char *text;
    const char *advice;
} told[] = {
    {CV_OBSTACLE_UNREACHABLE, "no route", "connected"},
    {CV_OBSTACLE_UNKNOWN_HOST, "no server of this name", "spelling"},
    {CV_OBSTACLE_SILENT, "firewall drops", "outgoing TCP"},
    {CV_OBSTACLE_REFUSED, "port is closed", "server runs"},
    {CV_OBSTACLE_PROXY_DOWN, "proxy", "http_proxy"},
    {CV_OBSTACLE_MUTE, "no answer", "HTTP POST"},
    {CV_OBSTACLE_CUT, "cut as soon as", "application control"},
    {CV_OBSTACLE_CUT_LATER, "cut after a while", "time limit"},
    {CV_OBSTACLE_STARVED, "less than the stream needs", "bit rate"},
    {CV_OBSTACLE_HTTP_ONLY, "Only HTTP", "inspection"},
    {CV_OBSTACLE_NO_CONNECT, "proxy", "CONNECT"},
    {CV_OBSTACLE_NOT_TLS, "no encrypted connection", "port in the URL"},
    {CV_OBSTACLE_TLS_CUT, "which server they want", "let through"},
    {CV_OBSTACLE_NOT_OURS, "web server", "host name"},
    {CV_OBSTACLE_NO_SERVER, "no server behind", "server runs"},
    {CV_OBSTACLE_FOREIGN, "another service", "port"},
    {CV_OBSTACLE_FORBIDDEN, "403", "allowed"},
    {CV_OBSTACLE_PROXY_AUTH, "name and a password", "NAME:PASSWORD"},
    {CV_OBSTACLE_PROXY_DENIED, "does not take", "Basic"},
    {CV_OBSTACLE_CERT_INVALID, "cannot be accepted", "server's administrator"},
    {CV_OBSTACLE_CERT_TIME, "expired", "clock"},
    {CV_OBSTACLE_CERT_NAME, "for another host", "host name"},
    {CV_OBSTACLE_CERT_UNTRUSTED, "reads along", "--ca FILE"},
    {CV_OBSTACLE_PORTAL, "log in", "browser"},
};

static void every_obstacle_has_words(void **state)
{
    (void)state;
    assert_int_equal(sizeof told / sizeof told[0], CV_OBSTACLES - 1);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        assert_int_equal(told[i].obstacle, i + 1);
        assert_non_null(strstr(cv_obstacle_text(told[i].obstacle), told[i].text));
        assert_non_null(strstr(cv_obstacle_advice(told[i].obstacle), told[i].advice));
    }
    assert_null(cv_obstacle_advice(CV_OBSTACLE_NONE));
    for (int way = 0; way < CV_WAYS; way++) {
        assert_non_null(cv_way_name((enum cv_way)way, false));
        assert_non_null(cv_way_name((enum cv_way)way, true));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network),
        cmocka_unit_test(tls_is_a_reserve),
        cmocka_unit_test(a_failure_keeps_its_words),
        cmocka_unit_test(tls_alone_is_enough),
        cmocka_unit_test(a_portal_does_not_end_what_gets_through),
        cmocka_unit_test(every_obstacle_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
