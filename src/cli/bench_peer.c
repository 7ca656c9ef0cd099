// The bench's connections: how one is made, and how it ends.
#include "cli/bench_state.h"

#include "base/limits.h"
#include "client/verdict.h"
#include "io/clock.h"
#include "io/openssl.h"

#include <stdio.h>

enum { MEDIA_BYTES_MAX = 4 * 1048576 }; // one message

static const char place[] = "bench";

// ---- ending ---------------------------------------------------------------------------------

bool cv__bench_peer_is_open(const struct cv_bench_peer *peer)
{
    return peer->attempt || peer->flv;
}

void cv__bench_peer_drop(struct cv_bench_peer *peer)
{
    cv_timer_stop(&peer->patience);
    cv_attempt_free(&peer->attempt);
    cv__bench_flv_close(&peer->flv);
}

int cv__bench_peer_take_descriptor(struct cv_bench_peer *peer)
{
    int fd = peer->flv ? cv__bench_flv_take_descriptor(&peer->flv)
                       : cv_attempt_take_descriptor(&peer->attempt);
    if (fd >= 0)
        cv__bench_peer_drop(peer);
    return fd;
}

void cv__bench_peer_lose(struct cv_bench_peer *peer, const char *what)
{
    cv__bench_peer_drop(peer);
    peer->user->lost(peer, what);
}

static void on_end(void *arg, const struct cv_why *why)
{
    struct cv_why kept = *why; // it is the attempt's, which ends
    cv__bench_peer_lose(arg, kept.text);
}

static void on_patience(void *arg)
{
    cv__bench_peer_lose(arg, "no answer in time");
}

// ---- what comes -----------------------------------------------------------------------------

static enum cv_way way_of(const struct cv_bench *bench)
{
    static const enum cv_way ways[] = {
        [CV_VIA_AUTO] = CV_WAY_RTMP,
        [CV_VIA_RTMP] = CV_WAY_RTMP,
        [CV_VIA_RTMPT] = CV_WAY_TUNNEL,
        [CV_VIA_SOCKET] = CV_WAY_SOCKET,
    };
    return ways[bench->plan.via];
}

bool cv__bench_is_secure(const struct cv_bench *bench)
{
    return bench->plan.target.security == CV_SECURITY_ONLY;
}

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct cv_bench_peer *peer = arg;
    const struct cv_bench *bench = peer->bench;
    char words[100];
    char text[200];
    if (report->met == CV_MET_HANDSHAKE)
        cv_attempt_connect(peer->attempt);
    if (report->met < CV_MET_REFUSED)
        return;
    struct cv_rung_result result = {.end = cv_rung_end_of(report->met), .status = report->status};
    const struct cv_why *why = cv_attempt_why(peer->attempt);
    cv_rung_words(CV_RUNG_RTMP, &result, words, sizeof words);
    snprintf(text, sizeof text, "%s: %s", cv_way_name(way_of(bench), cv__bench_is_secure(bench)),
             why->code != CV_OK ? why->text : words);
    if (report->met == CV_MET_CERTIFICATE) // the first failure names the code
        cv_why_set(bench->why, report->code, place, "%s", text);
    cv__bench_peer_lose(peer, text);
}

void cv__bench_peer_started(struct cv_bench_peer *peer)
{
    cv_timer_stop(&peer->patience);
    peer->user->started(peer);
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct cv_bench_peer *peer = arg;
    if (event->type == CV_RTMP_CLIENT_STARTED)
        cv__bench_peer_started(peer);
    else if (event->type == CV_RTMP_CLIENT_MEDIA && peer->user->media)
        peer->user->media(peer, &event->msg);
}

// ---- beginning ------------------------------------------------------------------------------

void cv__bench_peer_name(const struct cv_bench_peer *peer, char *out, size_t size)
{
    const char *name = peer->bench->plan.target.name;
    int stem = (int)cv_text_find(cv_text_of(name), '?');
    snprintf(out, size, "%.*s_%u%s", stem, name, peer->stream, name + stem);
}

static int open_attempt(struct cv_bench_peer *peer, enum cv_rtmp_client_mode mode)
{
    const struct cv_bench *bench = peer->bench;
    const struct cv_target *target = &bench->plan.target;
    char name[CV_LIMIT_NAME_BYTES + 16];
    cv__bench_peer_name(peer, name, sizeof name);
    struct cv_attempt_config config = {
        .way = way_of(bench),
        .secure = cv__bench_is_secure(bench),
        .trust = bench->plan.trust,
        .target = target,
        .addrs = bench->addrs,
        .addr_count = bench->addr_count,
        .rtmp = {.mode = mode,
                 .crypto = &cv_crypto_openssl,
                 .app = cv_text_of(target->app),
                 .name = cv_text_of(name),
                 .tc_url = cv_text_of(target->tc_url),
                 .media_bytes_max = MEDIA_BYTES_MAX},
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = peer,
    };
    peer->attempt = cv_attempt_new(bench->room, &config);
    return peer->attempt ? CV_OK : CV_E_NOMEM;
}

int cv__bench_peer_open(struct cv_bench_peer *peer, enum cv_rtmp_client_mode mode)
{
    peer->opened_us = cv_clock_now_us();
    cv_timer_init(&peer->patience, peer->bench->loop, on_patience, peer);
    cv_timer_start(&peer->patience, CV_BENCH_WAIT_US);
    if (mode == CV_RTMP_CLIENT_PLAY && peer->bench->options->flv)
        return cv__bench_flv_open(&peer->flv, peer);
    return open_attempt(peer, mode);
}
