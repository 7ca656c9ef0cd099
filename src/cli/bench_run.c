#include "cli/bench_run.h"

#include "base/limits.h"
#include "base/mem.h"
#include "client/attempt.h"
#include "client/verdict.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/resolve.h"
#include "io/thread.h"
#include "io/tls_trust.h"
#include "proto/rtmpt_client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    US_PER_S = 1000000,
    TICK_US = 5000,                // how often the phases look around
    JOINING_MAX = 64,              // players that connect at the same time
    SETTLE_US = US_PER_S,          // before memory is read
    WARM_US = US_PER_S,            // and one group of pictures, before anything is measured
    DRAIN_US = 3 * US_PER_S,       // for the last messages to arrive
    PHASE_US_MAX = 60 * US_PER_S,  // a phase that waits for the server takes no longer
    MEDIA_BYTES_MAX = 4 * 1048576, // one message
};

static const char place[] = "bench";

struct peer {
    struct bench *bench;
    struct cv_attempt *attempt;
    struct cv_timer patience; // until it has started
    void (*on_event)(struct peer *peer, const struct cv_rtmp_client_event *event);
    uint32_t stream;
    uint64_t opened_us;
};

struct publisher {
    struct peer peer; // first
    struct cv_bench_source source;
    struct cv_timer timer;
    uint64_t base_us; // when the clock of its stream was 0
};

struct player {
    struct peer peer; // first
    struct cv_bench_checker checker;
    bool joined; // has its first key frame
};

struct bench {
    const struct cv_bench_options *options;
    struct cv_bench_result *result;
    struct cv_why *why;
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_bench_server *server;
    struct cv_resolve *resolve;
    struct publisher *publishers;
    struct player *players;
    uint32_t publisher_count;
    uint32_t player_count;
    uint32_t opened;  // players, so far
    uint32_t started; // publishers
    uint32_t playing; // players who were told that it begins
    unsigned phase;
    uint64_t phase_us; // when it began
    struct cv_timer tick;
    bool flowing;
    bool measuring;
    struct cv_stream_plan plan; // of a stream whose name, but for a number, is everybody's
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned addr_count;
    uint64_t begin_us;
    uint64_t own_cpu_us;
    struct cv_bench_counters first;
};

static void give_up(struct bench *bench, const char *what)
{
    cv_why_set(bench->why, CV_E_SYSTEM, place, "%s", what);
    cv_loop_stop(bench->loop);
}

static void note_trouble(struct bench *bench, const char *what)
{
    if (!bench->result->trouble[0])
        snprintf(bench->result->trouble, sizeof bench->result->trouble, "%s", what);
}

// ---- connections ----------------------------------------------------------------------------

static void drop(struct peer *peer)
{
    cv_timer_stop(&peer->patience);
    cv_attempt_free(&peer->attempt);
}

static void lose(struct peer *peer, const char *what)
{
    struct bench *bench = peer->bench;
    drop(peer);
    bench->result->lost++;
    note_trouble(bench, what);
    if (bench->playing < bench->player_count)
        give_up(bench, what);
}

static void on_end(void *arg, const struct cv_why *why)
{
    lose(arg, why->text);
}

static void on_patience(void *arg)
{
    lose(arg, "no answer in time");
}

static enum cv_way way_of(const struct bench *bench)
{
    static const enum cv_way ways[] = {
        [CV_VIA_AUTO] = CV_WAY_RTMP,
        [CV_VIA_RTMP] = CV_WAY_RTMP,
        [CV_VIA_RTMPT] = CV_WAY_TUNNEL,
        [CV_VIA_SOCKET] = CV_WAY_SOCKET,
    };
    return ways[bench->plan.via];
}

static bool is_secure(const struct bench *bench)
{
    return bench->plan.target.security == CV_SECURITY_ONLY;
}

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct peer *peer = arg;
    const struct bench *bench = peer->bench;
    char words[100];
    char text[200];
    if (report->met == CV_MET_HANDSHAKE)
        cv_attempt_connect(peer->attempt);
    if (report->met < CV_MET_REFUSED)
        return;
    struct cv_rung_result result = {.end = cv_rung_end_of(report->met), .status = report->status};
    const struct cv_why *why = cv_attempt_why(peer->attempt);
    cv_rung_words(CV_RUNG_RTMP, &result, words, sizeof words);
    snprintf(text, sizeof text, "%s: %s", cv_way_name(way_of(bench), is_secure(bench)),
             why->code != CV_OK ? why->text : words);
    if (report->met == CV_MET_CERTIFICATE) // the first failure names the code
        cv_why_set(bench->why, report->code, place, "%s", text);
    lose(peer, text);
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct peer *peer = arg;
    if (event->type == CV_RTMP_CLIENT_STARTED)
        cv_timer_stop(&peer->patience);
    peer->on_event(peer, event);
}

static int open_peer(struct peer *peer, enum cv_rtmp_client_mode mode)
{
    struct bench *bench = peer->bench;
    const struct cv_target *target = &bench->plan.target;
    char name[CV_LIMIT_NAME_BYTES + 16];
    int stem = (int)cv_text_find(cv_text_of(target->name), '?');
    int len = snprintf(name, sizeof name, "%.*s_%u%s", stem, target->name, peer->stream,
                       target->name + stem);
    struct cv_attempt_config config = {
        .way = way_of(bench),
        .secure = is_secure(bench),
        .trust = bench->plan.trust,
        .target = target,
        .addrs = bench->addrs,
        .addr_count = bench->addr_count,
        .rtmp = {.mode = mode,
                 .crypto = &cv_crypto_openssl,
                 .app = cv_text_of(target->app),
                 .name = {name, (size_t)len},
                 .tc_url = cv_text_of(target->tc_url),
                 .media_bytes_max = MEDIA_BYTES_MAX},
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = peer,
    };
    peer->opened_us = cv_clock_now_us();
    cv_timer_init(&peer->patience, bench->loop, on_patience, peer);
    cv_timer_start(&peer->patience, PHASE_US_MAX);
    peer->attempt = cv_attempt_new(bench->room, &config);
    return peer->attempt ? CV_OK : CV_E_NOMEM;
}

// ---- publishers -----------------------------------------------------------------------------

static void send_block(struct publisher *publisher, uint8_t type, struct cv_block *block)
{
    struct cv_msg msg = {.type = type, .payload = block};
    if (!block || cv_rtmp_client_send(cv_attempt_client(publisher->peer.attempt), &msg) != CV_OK)
        note_trouble(publisher->peer.bench, "no memory for a header");
    cv_block_unref(&block);
}

static void send_next(struct publisher *publisher, uint64_t now_us)
{
    struct bench *bench = publisher->peer.bench;
    struct cv_msg msg;
    if (cv_bench_source_next(&publisher->source, now_us, &msg) != CV_OK ||
        cv_rtmp_client_send(cv_attempt_client(publisher->peer.attempt), &msg) != CV_OK) {
        bench->result->late++;
        note_trouble(bench, "the bench could not send: its connection is too slow");
    }
    cv_block_unref(&msg.payload);
}

// Headers and one key frame: enough for players to start.
static void send_first(struct publisher *publisher)
{
    struct cv_block *metadata = cv_bench_metadata(&publisher->source.shape);
    if (metadata)
        cv_rtmp_client_send_metadata(cv_attempt_client(publisher->peer.attempt), 0, metadata);
    cv_block_unref(&metadata);
    send_block(publisher, CV_MSG_VIDEO, cv_bench_video_header());
    if (publisher->source.shape.audio_kbps)
        send_block(publisher, CV_MSG_AUDIO, cv_bench_audio_header());
    send_next(publisher, cv_clock_now_us());
    cv_attempt_flush(publisher->peer.attempt);
}

static void on_publisher_event(struct peer *peer, const struct cv_rtmp_client_event *event)
{
    struct publisher *publisher = (struct publisher *)peer;
    if (event->type != CV_RTMP_CLIENT_STARTED)
        return;
    peer->bench->started++;
    send_first(publisher);
}

// Sends what is due and sleeps until the next message is.
static void on_due(void *arg)
{
    struct publisher *publisher = arg;
    struct bench *bench = publisher->peer.bench;
    if (!bench->flowing || !publisher->peer.attempt)
        return;
    uint64_t due_us = publisher->base_us + cv_bench_source_due_us(&publisher->source);
    uint64_t now_us = cv_clock_now_us();
    while (due_us <= now_us) {
        if (bench->measuring)
            cv_histogram_add(&bench->result->lag_us, now_us - due_us);
        send_next(publisher, now_us);
        due_us = publisher->base_us + cv_bench_source_due_us(&publisher->source);
    }
    cv_attempt_flush(publisher->peer.attempt);
    cv_timer_start_at(&publisher->timer, due_us);
}

// Key frames of the streams are spread over a group of pictures.
static void flow(struct bench *bench)
{
    uint64_t now_us = cv_clock_now_us();
    uint64_t gop_us = bench->options->shape.gop_s * UINT64_C(1000000);
    bench->flowing = true;
    for (uint32_t i = 0; i < bench->publisher_count; i++) {
        struct publisher *publisher = &bench->publishers[i];
        uint64_t behind_us = cv_bench_source_due_us(&publisher->source);
        publisher->base_us = now_us + gop_us * i / bench->publisher_count - behind_us;
        cv_timer_start_at(&publisher->timer, publisher->base_us + behind_us);
    }
}

// ---- players --------------------------------------------------------------------------------

static void on_player_event(struct peer *peer, const struct cv_rtmp_client_event *event)
{
    struct player *player = (struct player *)peer;
    struct bench *bench = peer->bench;
    uint64_t sent_us;
    bench->playing += event->type == CV_RTMP_CLIENT_STARTED;
    if (event->type != CV_RTMP_CLIENT_MEDIA)
        return;
    enum cv_bench_seen seen = cv_bench_check(&player->checker, &event->msg, &sent_us);
    if (seen == CV_BENCH_HEADER || seen == CV_BENCH_DAMAGED)
        return;
    uint64_t now_us = cv_clock_now_us();
    if (bench->measuring)
        cv_histogram_add(&bench->result->latency_us, now_us - sent_us);
    if (seen == CV_BENCH_KEY && !player->joined) {
        player->joined = true;
        cv_histogram_add(&bench->result->join_us, now_us - peer->opened_us);
    }
}

static void open_players(struct bench *bench)
{
    while (bench->opened < bench->player_count && bench->opened - bench->playing < JOINING_MAX) {
        struct player *player = &bench->players[bench->opened];
        player->peer = (struct peer){.bench = bench,
                                     .on_event = on_player_event,
                                     .stream = bench->opened % bench->publisher_count};
        player->checker.id = player->peer.stream;
        bench->opened++;
        if (open_peer(&player->peer, CV_RTMP_CLIENT_PLAY) != CV_OK) {
            give_up(bench, "no memory or no descriptors for another player");
            return;
        }
    }
}

static bool all_arrived(const struct bench *bench)
{
    for (uint32_t i = 0; i < bench->player_count; i++) {
        const struct player *player = &bench->players[i];
        const struct publisher *publisher = &bench->publishers[player->peer.stream];
        if (player->peer.attempt && player->checker.next < publisher->source.sequence)
            return false;
    }
    return true;
}

static void sum_players(const struct bench *bench, struct cv_bench_checker *out)
{
    *out = (struct cv_bench_checker){0};
    for (uint32_t i = 0; i < bench->player_count; i++) {
        const struct cv_bench_checker *checker = &bench->players[i].checker;
        out->messages += checker->messages;
        out->bytes += checker->bytes;
        out->gaps += checker->gaps;
        out->doubles += checker->doubles;
        out->damaged += checker->damaged;
    }
}

// ---- where the server is --------------------------------------------------------------------

static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct bench *bench = arg;
    bench->resolve = NULL;
    if (code != CV_OK || count == 0) {
        give_up(bench, "the server's name is not known");
        return;
    }
    memcpy(bench->addrs, addrs, count * sizeof *addrs);
    bench->addr_count = count;
}

// The streams of URL are URL/bench<pid>_<number>, with its query.
// `trust`: as cv_stream_plan_make.
static int make_plan(struct bench *bench, const char *url, struct cv_tls_trust *trust)
{
    char text[CV_LIMIT_URL_BYTES + 1];
    struct cv_text base = cv_text_of(url);
    base.len = cv_text_find(base, '?');
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    int len = snprintf(text, sizeof text, "%.*s/bench%d%s", (int)base.len, base.at, (int)getpid(),
                       base.at + cv_text_find(cv_text_of(base.at), '?'));
    if (len < 0 || (size_t)len >= sizeof text)
        return cv_why_set(bench->why, CV_E_URL, place, "--url is too long");
    int err = cv_stream_plan_make(&bench->plan, &bench->options->stream, text, trust, bench->why);
    if (err == CV_OK && !bench->plan.target.name[0])
        err = cv_why_set(bench->why, CV_E_URL, place, "--url: rtmp://host[:port]/app is needed");
    return err;
}

static int find_server(struct bench *bench)
{
    const struct cv_target *target = &bench->plan.target;
    int err = make_plan(bench, bench->options->url, NULL);
    if (err != CV_OK)
        return err;
    bench->resolve = cv_resolve_start(bench->loop, target->host, target->port, on_resolved, bench);
    bench->server = cv_bench_server_attach(bench->options->server_pid);
    return bench->resolve && bench->server ? CV_OK : CV_E_NOMEM;
}

static int start_server(struct bench *bench)
{
    bool pin = bench->options->threads == 1 && cv_cpu_count() > 1;
    struct cv_bench_server_options options = {
        .threads = bench->options->threads,
        .latency_ms = bench->options->latency_ms,
        .tls = bench->options->tls,
        .pin = pin,
    };
    char url[64];
    int err = cv_bench_server_start(bench->loop, &options, &bench->server, bench->why);
    if (err != CV_OK)
        return err;
    if (pin)
        cv_thread_pin(1);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/live", options.tls ? "rtmps" : "rtmp",
             cv_bench_server_port(bench->server));
    // A child of our own needs no vouching for.
    struct cv_tls_trust *trust;
    err = cv_tls_trust_new(&trust, &(struct cv_tls_trust_config){.insecure = true}, bench->why);
    if (err != CV_OK)
        return err;
    err = make_plan(bench, url, trust);
    cv_tls_trust_unref(&trust);
    return err;
}

// ---- phases ---------------------------------------------------------------------------------
//
// Each begins once; when it is done, the next one begins.

static bool has_lasted(const struct bench *bench, uint64_t us)
{
    return cv_loop_now_us(bench->loop) - bench->phase_us >= us;
}

static void begin_server(struct bench *bench)
{
    int err = bench->options->url ? find_server(bench) : start_server(bench);
    if (err != CV_OK)
        give_up(bench, cv_err_text(err));
}

static bool server_done(struct bench *bench)
{
    if (cv_bench_server_has_died(bench->server))
        give_up(bench, cv_bench_server_last_words(bench->server));
    return cv_bench_server_is_ready(bench->server) && !bench->resolve;
}

static void begin_publish(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->publisher_count; i++) {
        struct publisher *publisher = &bench->publishers[i];
        publisher->peer =
            (struct peer){.bench = bench, .on_event = on_publisher_event, .stream = i};
        publisher->source.id = i;
        publisher->source.shape = bench->options->shape;
        cv_timer_init(&publisher->timer, bench->loop, on_due, publisher);
        if (open_peer(&publisher->peer, CV_RTMP_CLIENT_PUBLISH) != CV_OK) {
            give_up(bench, "no memory or no descriptors for a publisher");
            return;
        }
    }
}

static bool publish_done(struct bench *bench)
{
    return bench->started == bench->publisher_count;
}

static void begin_nothing(struct bench *bench)
{
    (void)bench;
}

static bool settle_done(struct bench *bench)
{
    return has_lasted(bench, SETTLE_US);
}

static void begin_join(struct bench *bench)
{
    bench->result->before = cv_bench_server_usage(bench->server);
    open_players(bench);
}

static bool join_done(struct bench *bench)
{
    open_players(bench);
    return bench->playing == bench->player_count;
}

static void begin_warm(struct bench *bench)
{
    bench->result->idle = cv_bench_server_usage(bench->server);
    if (!bench->options->idle)
        flow(bench);
}

static bool warm_done(struct bench *bench)
{
    return bench->options->idle ||
           has_lasted(bench, WARM_US + bench->options->shape.gop_s * UINT64_C(1000000));
}

static void begin_ask(struct bench *bench)
{
    cv_bench_server_ask(bench->server);
}

static bool ask_done(struct bench *bench)
{
    return cv_bench_server_has_counters(bench->server);
}

static void begin_steady(struct bench *bench)
{
    struct cv_bench_checker sum;
    sum_players(bench, &sum);
    bench->result->messages = sum.messages;
    bench->result->bytes = sum.bytes;
    bench->first = cv_bench_server_counters(bench->server);
    bench->result->begin = cv_bench_server_usage(bench->server);
    bench->own_cpu_us = cv_process_cpu_us();
    bench->begin_us = cv_clock_now_us();
    bench->measuring = true;
}

static bool steady_done(struct bench *bench)
{
    return bench->options->idle || has_lasted(bench, bench->options->seconds * UINT64_C(1000000));
}

static void begin_last_ask(struct bench *bench)
{
    struct cv_bench_result *result = bench->result;
    struct cv_bench_checker sum;
    bench->measuring = false;
    sum_players(bench, &sum);
    result->messages = sum.messages - result->messages;
    result->bytes = sum.bytes - result->bytes;
    result->seconds = (double)(cv_clock_now_us() - bench->begin_us) / US_PER_S;
    result->end = cv_bench_server_usage(bench->server);
    result->own_cpu_us = cv_process_cpu_us() - bench->own_cpu_us;
    cv_bench_server_ask(bench->server);
}

static void begin_drain(struct bench *bench)
{
    struct cv_bench_counters last = cv_bench_server_counters(bench->server);
    struct cv_bench_counters *counted = &bench->result->counted;
    counted->messages_out = last.messages_out - bench->first.messages_out;
    counted->bytes_out = last.bytes_out - bench->first.bytes_out;
    counted->writes = last.writes - bench->first.writes;
    counted->flushes = last.flushes - bench->first.flushes;
    counted->jumps = last.jumps - bench->first.jumps;
    counted->skipped = last.skipped - bench->first.skipped;
    counted->allocs = last.allocs - bench->first.allocs;
    bench->result->has_counters = last.messages_out > 0;
    bench->result->has_usage = bench->result->end.rss_bytes > 0;
    bench->flowing = false;
}

static bool drain_done(struct bench *bench)
{
    return all_arrived(bench) || has_lasted(bench, DRAIN_US);
}

static const struct phase {
    const char *name;
    void (*begin)(struct bench *bench);
    bool (*done)(struct bench *bench);
} phases[] = {
    {"the server's start", begin_server, server_done},
    {"publishing", begin_publish, publish_done},
    {"settling", begin_nothing, settle_done},
    {"joining", begin_join, join_done},
    {"settling", begin_nothing, settle_done},
    {"warming up", begin_warm, warm_done},
    {"the server's counters", begin_ask, ask_done},
    {"measuring", begin_steady, steady_done},
    {"the server's counters", begin_last_ask, ask_done},
    {"draining", begin_drain, drain_done},
};
enum { PHASES = sizeof phases / sizeof phases[0] };

static void begin_phase(struct bench *bench, unsigned phase)
{
    bench->phase = phase;
    bench->phase_us = cv_loop_now_us(bench->loop);
    if (phase == PHASES)
        cv_loop_stop(bench->loop);
    else
        phases[phase].begin(bench);
}

static void check_clock(struct bench *bench)
{
    char text[100];
    uint64_t most_us = PHASE_US_MAX + bench->options->seconds * UINT64_C(1000000);
    if (!has_lasted(bench, most_us))
        return;
    snprintf(text, sizeof text, "%s took too long", phases[bench->phase].name);
    give_up(bench, text);
}

static void on_tick(void *arg)
{
    struct bench *bench = arg;
    if (bench->phase > 0 && cv_bench_server_has_died(bench->server)) {
        give_up(bench, "the server has died");
        return;
    }
    if (bench->why->code == CV_OK && phases[bench->phase].done(bench))
        begin_phase(bench, bench->phase + 1);
    if (bench->why->code != CV_OK || bench->phase == PHASES)
        return;
    check_clock(bench);
    cv_timer_start(&bench->tick, TICK_US);
}

// ---- running --------------------------------------------------------------------------------

static int make(struct bench *bench)
{
    const struct cv_bench_options *options = bench->options;
    bench->publisher_count = options->idle ? 1 : options->publishers;
    bench->player_count = options->idle ? options->idle : options->publishers * options->players;
    bench->result->players = bench->player_count;
    bench->publishers = cv_mem_zero(bench->publisher_count, sizeof *bench->publishers);
    bench->players = cv_mem_zero(bench->player_count, sizeof *bench->players);
    bench->loop = cv_loop_new();
    bench->room = bench->loop ? cv_attempt_room_new(bench->loop) : NULL;
    if (!bench->publishers || !bench->players || !bench->room)
        return cv_why_set(bench->why, CV_E_NOMEM, place, "no memory");
    uint64_t wanted = bench->publisher_count + bench->player_count;
    if (options->stream.via == CV_VIA_RTMPT)
        wanted *= CV_RTMPT_SLOTS;
    if (cv_process_raise_descriptors() < wanted + 64)
        return cv_why_set(bench->why, CV_E_NO_DESCRIPTORS, place,
                          "%u connections need a higher limit of descriptors (ulimit -n)",
                          bench->player_count);
    cv_timer_init(&bench->tick, bench->loop, on_tick, bench);
    return CV_OK;
}

static void close_all(struct bench *bench)
{
    for (uint32_t i = 0; bench->publishers && i < bench->publisher_count; i++) {
        cv_timer_stop(&bench->publishers[i].timer);
        drop(&bench->publishers[i].peer);
    }
    for (uint32_t i = 0; bench->players && i < bench->player_count; i++)
        drop(&bench->players[i].peer);
    cv_timer_stop(&bench->tick);
    if (bench->resolve)
        cv_resolve_cancel(&bench->resolve);
    cv_bench_server_free(bench->server);
    cv_attempt_room_free(bench->room);
    cv_loop_free(bench->loop);
    cv_stream_plan_done(&bench->plan);
    cv_mem_free(bench->publishers);
    cv_mem_free(bench->players);
}

int cv_bench_run(const struct cv_bench_options *options, struct cv_bench_result *out,
                 struct cv_why *why)
{
    struct bench bench = {.options = options, .result = out, .why = why};
    memset(out, 0, sizeof *out);
    if (make(&bench) == CV_OK) {
        begin_phase(&bench, 0);
        cv_timer_start(&bench.tick, TICK_US);
        if (why->code == CV_OK)
            cv_loop_run(bench.loop);
    }
    struct cv_bench_checker sum = {0};
    if (bench.players)
        sum_players(&bench, &sum);
    out->gaps = sum.gaps;
    out->doubles = sum.doubles;
    out->damaged = sum.damaged;
    if (why->code == CV_OK && !all_arrived(&bench))
        note_trouble(&bench, "the last messages did not arrive");
    close_all(&bench);
    return why->code;
}
