#include "client/attempt_state.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/basic_auth.h"
#include "proto/http1_fields.h"
#include "proto/http1_write.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

static const char place[] = "attempt";

// ---- the room ---------------------------------------------------------------------------------

static void run_turns(void *arg)
{
    struct cv_attempt_room *room = arg;
    while (room->turns) {
        struct cv_turn *turn = room->turns;
        cv_turn_cancel(room, turn);
        turn->fn(turn->arg);
    }
}

struct cv_attempt_room *cv_attempt_room_new(struct cv_loop *loop)
{
    struct cv_attempt_room *room = cv_mem_alloc(sizeof *room);
    if (!room)
        return NULL;
    room->turns = NULL;
    cv_leg_room_init(&room->legs, loop);
    cv_loop_on_turn(loop, run_turns, room);
    return room;
}

void cv_attempt_room_free(struct cv_attempt_room *room)
{
    if (!room)
        return;
    cv_loop_on_turn(room->legs.channels.loop, NULL, NULL);
    cv_leg_room_done(&room->legs);
    cv_mem_free(room);
}

void cv_turn_init(struct cv_turn *turn, void (*fn)(void *arg), void *arg)
{
    *turn = (struct cv_turn){.fn = fn, .arg = arg};
}

void cv_turn_want(struct cv_attempt_room *room, struct cv_turn *turn)
{
    if (turn->wanted)
        return;
    turn->wanted = true;
    DL_APPEND(room->turns, turn);
}

void cv_turn_cancel(struct cv_attempt_room *room, struct cv_turn *turn)
{
    if (!turn->wanted)
        return;
    turn->wanted = false;
    DL_DELETE(room->turns, turn);
}

struct cv_loop *cv_attempt_room_loop(const struct cv_attempt_room *room)
{
    return room->legs.channels.loop;
}

static uint64_t now_us(const struct cv_attempt *attempt)
{
    return cv_loop_now_us(cv_attempt_room_loop(attempt->room));
}

// ---- life -----------------------------------------------------------------------------------

static const struct cv_carrier *const carriers[CV_WAYS] = {
    [CV_WAY_OFFER] = &cv__attempt_tunnel,  [CV_WAY_RTMP] = &cv__attempt_plain,
    [CV_WAY_TUNNEL] = &cv__attempt_tunnel, [CV_WAY_SOCKET] = &cv__attempt_socket,
    [CV_WAY_CONNECT] = &cv__attempt_plain,
};

int cv__attempt_renew(struct cv_attempt *attempt)
{
    cv_rtmp_client_free(attempt->rtmp);
    attempt->rtmp = cv_rtmp_client_new(&attempt->config.rtmp, (uint32_t)(now_us(attempt) / 1000));
    if (!attempt->rtmp)
        return CV_E_NOMEM;
    attempt->asked = false;
    return CV_OK;
}

static int begin(struct cv_attempt *attempt)
{
    int err = cv__attempt_renew(attempt);
    attempt->asked = attempt->config.rtmp.eager;
    if (err == CV_OK && attempt->asked)
        err = cv_rtmp_client_connect(attempt->rtmp);
    return err == CV_OK ? attempt->carrier->begin(attempt) : err;
}

static void free_now(struct cv_attempt *attempt)
{
    cv_timer_stop(&attempt->timer);
    for (int i = 0; i < CV_RTMPT_SLOTS; i++)
        cv_leg_close(&attempt->legs[i]);
    cv_rtmpt_client_free(attempt->tunnel);
    cv_ws_free(attempt->ws);
    cv_http1_free(attempt->http);
    cv_rtmp_client_free(attempt->rtmp);
    cv_mem_free(attempt);
}

struct cv_attempt *cv_attempt_new(struct cv_attempt_room *room,
                                  const struct cv_attempt_config *config)
{
    CV_ASSERT(config->way > CV_WAY_NONE && config->way < CV_WAYS);
    CV_ASSERT(config->way != CV_WAY_CONNECT || (config->proxy && config->proxy->host[0]));
    CV_ASSERT(!config->secure || (config->trust && config->target->secure_port));
    CV_ASSERT(config->addr_count <= CV_LIMIT_ADDRESSES);
    size_t addr_bytes = config->addr_count * sizeof *config->addrs;
    struct cv_attempt *attempt = cv_mem_zero(1, sizeof *attempt + addr_bytes);
    if (!attempt)
        return NULL;
    attempt->room = room;
    attempt->config = *config;
    if (addr_bytes)
        memcpy(attempt->addrs, config->addrs, addr_bytes);
    attempt->config.addrs = attempt->addrs;
    bool tunnel = config->way == CV_WAY_TUNNEL && config->ours;
    attempt->config.rtmp.eager = config->eager && (config->way == CV_WAY_OFFER || tunnel);
    if (config->proxy && !config->proxy->host[0])
        attempt->config.proxy = NULL;
    attempt->carrier = carriers[config->way];
    attempt->depth = 1;
    int err = begin(attempt);
    attempt->depth = 0;
    if (err == CV_OK)
        return attempt;
    free_now(attempt);
    return NULL;
}

void cv_attempt_free(struct cv_attempt **place_of_attempt)
{
    struct cv_attempt *attempt = *place_of_attempt;
    *place_of_attempt = NULL;
    if (!attempt)
        return;
    CV_ASSERT(!attempt->freed);
    attempt->freed = attempt->over = true;
    if (attempt->depth == 0)
        free_now(attempt);
}

int cv_attempt_take_descriptor(struct cv_attempt **place_of_attempt)
{
    struct cv_attempt *attempt = *place_of_attempt;
    struct cv_leg **leg = &attempt->legs[CV_RTMPT_UP];
    if (attempt->carrier == &cv__attempt_tunnel || !*leg || !cv_leg_is_up(*leg))
        return CV_E_CLOSED;
    int fd = cv_leg_take_descriptor(leg);
    cv_attempt_free(place_of_attempt);
    return fd;
}

void cv__attempt_enter(struct cv_attempt *attempt)
{
    attempt->depth++;
}

void cv__attempt_leave(struct cv_attempt *attempt)
{
    CV_ASSERT(attempt->depth > 0);
    if (--attempt->depth == 0 && attempt->freed)
        free_now(attempt);
}

bool cv__attempt_is_proxied(const struct cv_attempt *attempt)
{
    const struct cv_attempt_config *config = &attempt->config;
    bool http = config->way != CV_WAY_RTMP && config->way != CV_WAY_CONNECT;
    return config->proxy && http && !config->secure;
}

const char *cv__attempt_authority(const struct cv_attempt *attempt)
{
    const struct cv_target *target = attempt->config.target;
    return attempt->config.secure ? target->secure_authority : target->authority;
}

// Plain HTTP is carried on by a proxy; what is secure gets a connection through it. RTMP does when
// it is asked to.
static bool goes_by_connect(const struct cv_attempt_config *config)
{
    return config->way == CV_WAY_CONNECT || (config->secure && config->way != CV_WAY_RTMP);
}

int cv__attempt_open_leg(struct cv_attempt *attempt, unsigned slot,
                         const struct cv_leg_owner *owner, void *arg)
{
    const struct cv_attempt_config *config = &attempt->config;
    CV_ASSERT(!attempt->legs[slot] && (!config->secure || config->trust)); // else: plain text
    struct cv_leg_config leg = {
        .host = config->target->host,
        .port = config->secure ? config->target->secure_port : config->target->port,
        .connect = goes_by_connect(config) ? config->proxy : NULL,
        .trust = config->secure ? config->trust : NULL,
        .addrs = config->addrs,
        .addr_count = config->addr_count,
        .ipv4_first = config->ipv4_first,
        .up_ms = attempt->up ? CV_TUNNEL_LEG_MS : 0, // of the first one the owner is the judge
        .owner = owner,
        .arg = arg,
    };
    if (cv__attempt_is_proxied(attempt)) {
        leg.host = config->proxy->host;
        leg.port = config->proxy->port;
        leg.addr_count = 0;
    }
    attempt->legs[slot] = cv_leg_open(&attempt->room->legs, &leg);
    attempt->connections++;
    return attempt->legs[slot] ? CV_OK : CV_E_NOMEM;
}

int cv__attempt_send_head(struct cv_attempt *attempt, const struct cv_wr *head)
{
    struct cv_gather *gather = &attempt->room->legs.gather;
    if (head->err != CV_OK)
        return head->err;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, head->fixed, head->len);
    int sent = cv_leg_write(attempt->legs[CV_RTMPT_UP], gather);
    if (sent < 0 && sent != CV_E_AGAIN)
        return sent;
    return sent == (int)gather->bytes ? CV_OK : CV_E_RESET;
}

void cv__attempt_put_credentials(const struct cv_attempt *attempt, struct cv_wr *wr)
{
    const struct cv_proxy *proxy = attempt->config.proxy;
    if (cv__attempt_is_proxied(attempt) && proxy->user[0])
        cv_basic_auth_write(wr, "Proxy-Authorization", cv_text_of(proxy->user),
                            cv_text_of(proxy->password));
}

// ---- telling the owner ------------------------------------------------------------------------

void cv__attempt_met(struct cv_attempt *attempt, const struct cv_met_report *report)
{
    if (attempt->over)
        return;
    if (report->met >= CV_MET_REFUSED)
        attempt->over = true;
    attempt->config.on_met(attempt->config.arg, report);
}

void cv__attempt_connected(struct cv_attempt *attempt)
{
    struct cv_leg_stats stats = cv_leg_stats(attempt->legs[CV_RTMPT_UP]);
    struct cv_met_report report = {
        .met = CV_MET_CONNECTED, .rtt_us = stats.rtt_us, .ipv6 = stats.peer.family == CV_ADDR_IPV6};
    attempt->connected = true;
    cv__attempt_met(attempt, &report);
}

void cv__attempt_up(struct cv_attempt *attempt)
{
    attempt->up = true;
    if (attempt->config.secure)
        cv__attempt_met(attempt, &(struct cv_met_report){.met = CV_MET_SECURED});
}

void cv__attempt_leg_down(struct cv_attempt *attempt, const struct cv_leg *leg)
{
    const struct cv_why *why = cv_leg_why(leg);
    if (why->code != CV_OK)
        attempt->tls_why = *why;
}

static enum cv_met met_of(const struct cv_attempt *attempt, int code)
{
    static const struct {
        int code;
        enum cv_met met;
    } rows[] = {
        {CV_OK, CV_MET_CLOSED},
        {CV_E_CLOSED, CV_MET_CLOSED},
        {CV_E_RESET, CV_MET_RESET},
        {CV_E_CONN_REFUSED, CV_MET_REFUSED},
        {CV_E_NOT_FOUND, CV_MET_UNKNOWN_HOST},
        {CV_E_NOT_TLS, CV_MET_NOT_TLS},
        {CV_E_TLS, CV_MET_NOT_TLS},
        {CV_E_TLS_ALERT, CV_MET_NOT_TLS},
        {CV_E_CERT_UNTRUSTED, CV_MET_CERTIFICATE},
        {CV_E_CERT_NAME, CV_MET_CERTIFICATE},
        {CV_E_CERT_TIME, CV_MET_CERTIFICATE},
        {CV_E_CERT_INVALID, CV_MET_CERTIFICATE},
    };
    if (attempt->handshake)
        return CV_MET_LOST;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code)
            return rows[i].met;
    enum cv_err_class class = cv_err_class(code);
    bool theirs = class == CV_CLASS_PEER || class == CV_CLASS_LIMIT;
    return theirs ? CV_MET_NOT_RTMP : CV_MET_UNREACHABLE;
}

void cv__attempt_fall(struct cv_attempt *attempt, int code, const char *what)
{
    if (attempt->over)
        return;
    cv_timer_stop(&attempt->timer);
    if (!attempt->accepted) {
        struct cv_met_report report = {.met = met_of(attempt, code), .code = code};
        cv__attempt_met(attempt, &report);
        return;
    }
    attempt->over = true;
    if (code != CV_OK)
        cv_why_set(&attempt->why, code, place, "%s", what);
    attempt->config.on_end(attempt->config.arg, &attempt->why);
}

void cv__attempt_page(struct cv_attempt *attempt, uint32_t status, bool elsewhere,
                      struct cv_text location)
{
    if (location.at)
        snprintf(attempt->location, sizeof attempt->location, "%.*s", (int)location.len,
                 location.at);
    struct cv_met_report report = {.met = CV_MET_HTTP, .status = status, .elsewhere = elsewhere};
    cv__attempt_met(attempt, &report);
}

void cv__attempt_answer(struct cv_attempt *attempt, const struct cv_http1_head *head)
{
    struct cv_text location = cv_http1_header(head, "Location");
    struct cv_text server = cv_text_of(cv__attempt_authority(attempt));
    bool redirects = location.at && head->status >= 300 && head->status < 400;
    // Many a server sends port 80 to its own 443. A proxy that redirects a CONNECT means a login.
    bool own = attempt->connected && location.at && !cv_http1_leads_elsewhere(location, server);
    cv__attempt_page(attempt, head->status, redirects && !own, location);
}

// ---- RTMP -----------------------------------------------------------------------------------

static void set_tunnel_mode(struct cv_attempt *attempt, enum cv_rtmpt_client_mode mode)
{
    if (attempt->tunnel)
        cv_rtmpt_client_set_mode(attempt->tunnel, mode, now_us(attempt));
}

static enum cv_rtmpt_client_mode running_mode(const struct cv_attempt *attempt)
{
    bool publishes = attempt->config.rtmp.mode == CV_RTMP_CLIENT_PUBLISH;
    return publishes ? CV_RTMPT_CLIENT_PUBLISH : CV_RTMPT_CLIENT_PLAY;
}

// Whatever the server answered to connect: it is reached.
static void accept(struct cv_attempt *attempt)
{
    if (attempt->accepted)
        return;
    attempt->accepted = true;
    cv__attempt_met(attempt, &(struct cv_met_report){.met = CV_MET_ACCEPTED});
}

static void tell(struct cv_attempt *attempt, const struct cv_rtmp_client_event *event)
{
    switch (event->type) {
    case CV_RTMP_CLIENT_READY:
        attempt->handshake = true;
        if (!attempt->asked)
            set_tunnel_mode(attempt, CV_RTMPT_CLIENT_QUIET);
        cv__attempt_met(attempt, &(struct cv_met_report){.met = CV_MET_HANDSHAKE});
        return;
    case CV_RTMP_CLIENT_ENDED:
        accept(attempt);
        attempt->said_end = true;
        attempt->end = event->end;
        attempt->why = *cv_rtmp_client_why(attempt->rtmp);
        cv__attempt_fall(attempt, CV_E_CLOSED, "the server ended it");
        return;
    case CV_RTMP_CLIENT_CONNECTED:
        accept(attempt);
        break;
    case CV_RTMP_CLIENT_STARTED:
        attempt->started = true;
        set_tunnel_mode(attempt, running_mode(attempt));
        break;
    default:
        break;
    }
    // A status before the answer to connect is nothing that anybody has asked for.
    if (!attempt->over && attempt->accepted)
        attempt->config.on_event(attempt->config.arg, event);
}

// The status in "HTTP/1.1 400"; 0: this is no HTTP.
static uint32_t http_status(const struct cv_attempt *attempt)
{
    struct cv_text text = {attempt->first, attempt->first_len};
    uint64_t status = 0;
    if (!cv_text_starts(text, "HTTP/1.") || text.len < 12 ||
        cv_text_u64((struct cv_text){text.at + 9, 3}, 100, 599, &status) != CV_OK)
        return 0;
    return (uint32_t)status;
}

// A web server says 400 to RTMP; who redirects it redirects everything.
static void not_rtmp(struct cv_attempt *attempt, int code)
{
    uint32_t status = http_status(attempt);
    bool redirects = (status >= 300 && status < 400) || status == 511;
    if (status)
        cv__attempt_page(attempt, status, redirects, (struct cv_text){0});
    else
        cv__attempt_fall(attempt, code, cv_rtmp_client_why(attempt->rtmp)->text);
}

static void fail_rtmp(struct cv_attempt *attempt, int code)
{
    if (!attempt->handshake && code == CV_E_HANDSHAKE_VERSION) {
        not_rtmp(attempt, code);
        return;
    }
    if (attempt->accepted)
        attempt->why = *cv_rtmp_client_why(attempt->rtmp);
    cv__attempt_fall(attempt, code, "");
}

void cv__attempt_take(struct cv_attempt *attempt, const void *data, size_t len)
{
    struct cv_rtmp_client_event event;
    int more = 0;
    size_t room = sizeof attempt->first - attempt->first_len;
    if (!attempt->handshake && room && len) {
        size_t part = len < room ? len : room;
        memcpy(attempt->first + attempt->first_len, data, part);
        attempt->first_len = (uint8_t)(attempt->first_len + part);
    }
    cv_rtmp_client_feed(attempt->rtmp, data, len);
    while (!attempt->over && (more = cv_rtmp_client_next(attempt->rtmp, &event)) > 0)
        tell(attempt, &event);
    if (more < 0 && !attempt->over)
        fail_rtmp(attempt, more);
    else if (!attempt->over)
        attempt->carrier->flush(attempt); // answers to pings, acknowledgements
}

bool cv__attempt_pull(struct cv_attempt *attempt, struct cv_gather **out)
{
    *out = &attempt->room->legs.gather;
    cv_gather_clear(*out);
    cv_rtmp_client_pull(attempt->rtmp, *out);
    return (*out)->count > 0;
}

// ---- what the owner wants ---------------------------------------------------------------------

void cv_attempt_set_owner(struct cv_attempt *attempt,
                          void (*on_event)(void *arg, const struct cv_rtmp_client_event *event),
                          void (*on_end)(void *arg, const struct cv_why *why),
                          void (*on_room)(void *arg), void *arg)
{
    attempt->config.on_event = on_event;
    attempt->config.on_end = on_end;
    attempt->config.on_room = on_room;
    attempt->config.arg = arg;
}

struct cv_rtmp_client *cv_attempt_client(struct cv_attempt *attempt)
{
    return attempt->rtmp;
}

void cv_attempt_connect(struct cv_attempt *attempt)
{
    if (attempt->asked)
        return;
    attempt->asked = true;
    set_tunnel_mode(attempt, CV_RTMPT_CLIENT_SETUP);
    cv__attempt_enter(attempt);
    int err = cv_rtmp_client_connect(attempt->rtmp);
    if (err != CV_OK)
        cv__attempt_fall(attempt, err, "connect could not be sent");
    else
        attempt->carrier->flush(attempt);
    cv__attempt_leave(attempt);
}

void cv_attempt_flush(struct cv_attempt *attempt)
{
    if (attempt->over)
        return;
    cv__attempt_enter(attempt);
    attempt->carrier->flush(attempt);
    cv__attempt_leave(attempt);
}

bool cv_attempt_is_blocked(const struct cv_attempt *attempt)
{
    return attempt->carrier->is_blocked(attempt);
}

void cv_attempt_finish(struct cv_attempt *attempt)
{
    if (attempt->over || attempt->finishing)
        return;
    cv__attempt_enter(attempt);
    attempt->finishing = true;
    if (attempt->accepted)
        cv_rtmp_client_stop(attempt->rtmp);
    attempt->carrier->flush(attempt);
    if (!attempt->over)
        attempt->carrier->finish(attempt);
    cv__attempt_leave(attempt);
}

// ---- what people see --------------------------------------------------------------------------

bool cv_attempt_said_end(const struct cv_attempt *attempt)
{
    return attempt->said_end;
}

enum cv_rtmp_client_end cv_attempt_end(const struct cv_attempt *attempt)
{
    return attempt->end;
}

const struct cv_why *cv_attempt_why(const struct cv_attempt *attempt)
{
    return &attempt->tls_why;
}

const char *cv_attempt_location(const struct cv_attempt *attempt)
{
    return attempt->location;
}

static const char *name_of(const struct cv_attempt *attempt)
{
    static const char *const offered[2] = {"RTMP behind an HTTP offer",
                                           "RTMPS behind an HTTPS offer"};
    static const char *const connected[2] = {"RTMP through the proxy's CONNECT",
                                             "RTMPS through the proxy's CONNECT"};
    bool secure = attempt->config.secure;
    if (attempt->carrier == &cv__attempt_plain && attempt->config.way == CV_WAY_OFFER)
        return offered[secure];
    if (attempt->config.way == CV_WAY_CONNECT)
        return connected[secure];
    return attempt->carrier->names[secure];
}

static void put_leg(const struct cv_attempt *attempt, struct cv_attempt_stats *stats)
{
    for (int i = CV_RTMPT_SLOTS - 1; i >= 0; i--) {
        if (!attempt->legs[i] || !cv_leg_is_up(attempt->legs[i]))
            continue;
        struct cv_leg_stats leg = cv_leg_stats(attempt->legs[i]);
        stats->peer = leg.peer;
        stats->rtt_us = leg.rtt_us;
        stats->unacked_bytes += leg.unacked_bytes;
        stats->written_bytes += leg.written_bytes;
    }
}

struct cv_attempt_stats cv_attempt_stats(const struct cv_attempt *attempt)
{
    struct cv_attempt_stats stats = {
        .name = name_of(attempt),
        .tunnel = attempt->carrier == &cv__attempt_tunnel,
        .heard_us = attempt->heard_us,
        .connections = attempt->connections,
    };
    put_leg(attempt, &stats);
    if (attempt->tunnel && stats.tunnel) {
        // Behind a proxy the connection's own round trip ends at the proxy.
        uint64_t reply_us = cv_rtmpt_client_stats(attempt->tunnel).reply_us;
        if (reply_us > stats.rtt_us)
            stats.rtt_us = reply_us > UINT32_MAX ? UINT32_MAX : (uint32_t)reply_us;
    }
    return stats;
}
