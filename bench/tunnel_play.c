// Plays one stream many times, over RTMP or as FFmpeg does over RTMPT, and prints as JSON what has
// arrived, when, and what it cost the server. The stream is one of `culvert bench`, whose messages
// carry their numbers and send times, or any other (--unstamped).
//
// Opening, warming up, measuring: only the last counts, but for damage. See usage().
#include "player.h"

#include "base/url.h"
#include "cli/bench_stream.h"
#include "cli/bench_usage.h"
#include "cli/histogram.h"
#include "cli/options.h"
#include "io/clock.h"
#include "io/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    US_PER_S = 1000000,
    TICK_US = 20000,
    JOINING_MAX = 64,  // players that begin at the same time
    PARKING_MAX = 512, // the same, of those that only wait
    QUIET_US = 300000, // parked: a session on which so long nothing has happened
    START_S_MAX = 60,  // until the last of them plays
    SESSIONS_MAX = 65536,
};

struct seen {
    struct cv_bench_checker checker;
    bool joined;
    uint64_t bytes_in; // at the beginning of the measurement
    uint64_t bytes_out;
    uint64_t requests;
};

// Of the first player: how the stream's time passes. What has come by each tick is a staircase; the
// slope of the line through it is the factor, whatever the size of its steps.
struct pace {
    uint32_t newest_ms; // time stamp
    uint64_t newest_us; // when it came
    uint64_t gap_us;    // longest time without a message
    double count, x, y, xx, xy;
};

enum phase { OPENING, WARMING, MEASURING };

static struct {
    struct player_room room;
    uint32_t sessions;
    uint32_t seconds;
    uint32_t warm_ms;
    uint32_t server_pid;
    uint32_t addresses;
    uint32_t start_s;
    bool parked;
    bool unstamped;

    struct player *players;
    struct seen *seen;
    struct cv_timer tick;
    enum phase phase;
    uint64_t phase_us;
    uint32_t opened;
    uint32_t joined;
    uint32_t lost;
    char trouble[200];

    uint64_t messages;
    uint64_t bytes;
    struct cv_histogram latency_us;
    struct pace pace;
    struct cv_bench_usage before, begin, finish;
    uint64_t end_us;
} run;

// ---- what arrives ---------------------------------------------------------------------------

static void note_message(const struct cv_msg *msg, uint64_t now_us)
{
    struct pace *pace = &run.pace;
    uint64_t since_us = pace->newest_us > run.phase_us ? pace->newest_us : run.phase_us;
    if (run.phase == MEASURING && now_us - since_us > pace->gap_us)
        pace->gap_us = now_us - since_us;
    pace->newest_ms = msg->ts_ms;
    pace->newest_us = now_us;
}

static void note_tick(uint64_t now_us)
{
    struct pace *pace = &run.pace;
    double x = (double)(now_us - run.phase_us) / US_PER_S;
    double y = (double)pace->newest_ms / 1000;
    pace->count++;
    pace->x += x;
    pace->y += y;
    pace->xx += x * x;
    pace->xy += x * y;
}

static double real_time_factor(void)
{
    const struct pace *pace = &run.pace;
    double spread = pace->count * pace->xx - pace->x * pace->x;
    return spread > 0 ? (pace->count * pace->xy - pace->x * pace->y) / spread : 0;
}

static void join(struct seen *seen)
{
    run.joined += !seen->joined;
    seen->joined = true;
}

static void on_media(struct player *player, const struct cv_msg *msg)
{
    struct seen *seen = &run.seen[player->index];
    uint64_t now_us = cv_clock_now_us();
    uint64_t sent_us = now_us;
    enum cv_bench_seen kind = CV_BENCH_OTHER;
    if (!run.unstamped)
        kind = cv_bench_check(&seen->checker, msg, &sent_us);
    else if (msg->payload->len > 1 && msg->payload->data[1] == 0)
        kind = CV_BENCH_HEADER;
    if (kind == CV_BENCH_HEADER)
        return;
    join(seen);
    if (player->index == 0)
        note_message(msg, now_us);
    if (run.phase != MEASURING)
        return;
    run.messages++;
    run.bytes += msg->payload->len;
    if (kind != CV_BENCH_DAMAGED)
        cv_histogram_add(&run.latency_us, now_us - sent_us);
}

static void finish(void)
{
    if (run.end_us)
        return;
    run.finish = cv_bench_usage_of((pid_t)run.server_pid);
    run.end_us = cv_clock_now_us();
    cv_loop_stop(run.room.loop);
}

static void on_end(struct player *player)
{
    if (!run.trouble[0])
        snprintf(run.trouble, sizeof run.trouble, "%s", player->why.text);
    run.lost++;
    if (run.lost == run.sessions || run.phase == OPENING)
        finish();
}

// ---- phases ---------------------------------------------------------------------------------

static void open_some(void)
{
    uint32_t most = run.joined + (run.parked ? PARKING_MAX : JOINING_MAX);
    while (run.opened < run.sessions && run.opened < most) {
        if (player_start(&run.players[run.opened], &run.room, run.opened) != CV_OK) {
            snprintf(run.trouble, sizeof run.trouble, "cannot open session %u", run.opened);
            run.lost++;
            finish();
            return;
        }
        run.opened++;
    }
}

// A parked session has come as far as it can when nothing more happens on it.
static void find_parked(uint64_t now_us)
{
    for (uint32_t i = 0; i < run.opened; i++) {
        const struct player *player = &run.players[i];
        if (!run.seen[i].joined && player->accepted && now_us - player->was_us > QUIET_US)
            join(&run.seen[i]);
    }
}

static void begin_measuring(void)
{
    for (uint32_t i = 0; i < run.opened; i++) {
        run.seen[i].bytes_in = run.players[i].bytes_in;
        run.seen[i].bytes_out = run.players[i].bytes_out;
        run.seen[i].requests = run.players[i].requests;
    }
    run.begin = cv_bench_usage_of((pid_t)run.server_pid);
}

static void go_to(enum phase phase, uint64_t now_us)
{
    run.phase = phase;
    run.phase_us = now_us;
    if (phase == MEASURING)
        begin_measuring();
}

static void on_tick(void *arg)
{
    (void)arg;
    uint64_t now_us = cv_clock_now_us();
    uint64_t in_phase_us = now_us - run.phase_us;
    cv_timer_start(&run.tick, TICK_US);
    if (run.phase == MEASURING)
        note_tick(now_us);
    if (run.phase == OPENING) {
        open_some();
        if (run.parked)
            find_parked(now_us);
        if (run.joined == run.sessions)
            go_to(run.warm_ms ? WARMING : MEASURING, now_us);
        else if (in_phase_us > run.start_s * UINT64_C(1000000))
            finish();
    } else if (run.phase == WARMING && in_phase_us >= run.warm_ms * UINT64_C(1000)) {
        go_to(MEASURING, now_us);
    } else if (run.phase == MEASURING && in_phase_us >= run.seconds * UINT64_C(1000000)) {
        finish();
    }
}

// ---- the result -----------------------------------------------------------------------------

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double latency_ms(double percent)
{
    return (double)cv_histogram_at(&run.latency_us, percent) / 1000;
}

static bool report_delivery(double seconds)
{
    uint64_t in = 0, out = 0, requests = 0, gaps = 0, doubles = 0, damaged = 0;
    for (uint32_t i = 0; i < run.opened; i++) {
        in += run.players[i].bytes_in - run.seen[i].bytes_in;
        out += run.players[i].bytes_out - run.seen[i].bytes_out;
        requests += run.players[i].requests - run.seen[i].requests;
        gaps += run.seen[i].checker.gaps;
        doubles += run.seen[i].checker.doubles;
        damaged += run.seen[i].checker.damaged;
    }
    bool intact = run.phase == MEASURING && !run.lost && !gaps && !doubles && !damaged;
    printf("\"sessions\": %u, \"joined\": %u, \"lost\": %u, \"gaps\": %" PRIu64
           ", \"doubles\": %" PRIu64 ", \"damaged\": %" PRIu64 ", \"intact\": %s, ",
           run.sessions, run.joined, run.lost, gaps, doubles, damaged, intact ? "true" : "false");
    printf("\"messages\": %" PRIu64 ", \"media_bytes\": %" PRIu64 ", \"bytes_in\": %" PRIu64
           ", \"bytes_out\": %" PRIu64 ", \"requests_per_s\": %.2f, ",
           run.messages, run.bytes, in, out,
           ratio((double)requests, seconds * (double)run.sessions));
    return intact;
}

static void report_server(double seconds)
{
    double user_s = (double)(run.finish.user_us - run.begin.user_us) / US_PER_S;
    double system_s = (double)(run.finish.system_us - run.begin.system_us) / US_PER_S;
    printf("\"server_cpu_percent\": %.1f, \"server_user_share_percent\": %.1f, "
           "\"server_cpu_s_per_gb\": %.3f, \"server_rss_before\": %" PRIu64
           ", \"server_rss_after\": %" PRIu64 ", ",
           ratio(100 * (user_s + system_s), seconds), ratio(100 * user_s, user_s + system_s),
           ratio(user_s + system_s, (double)run.bytes * 1e-9), run.before.rss_bytes,
           run.finish.rss_bytes);
}

static bool report(void)
{
    double seconds = (double)(run.end_us - run.phase_us) / US_PER_S;
    uint64_t since_us = run.pace.newest_us > run.phase_us ? run.pace.newest_us : run.phase_us;
    uint64_t tail_us = run.end_us - since_us;
    uint64_t gap_us = tail_us > run.pace.gap_us ? tail_us : run.pace.gap_us;
    printf("{\"seconds\": %.3f, ", seconds);
    bool intact = report_delivery(seconds);
    report_server(seconds);
    printf("\"latency_p50_ms\": %.3f, \"latency_p99_ms\": %.3f, \"latency_max_ms\": %.3f, "
           "\"real_time_factor\": %.3f, \"longest_gap_ms\": %.1f, ",
           latency_ms(50), latency_ms(99), latency_ms(100), real_time_factor(),
           (double)gap_us / 1000);
    char trouble[2 * sizeof run.trouble];
    cv_text_escape(trouble, sizeof trouble, cv_text_of(run.trouble));
    printf("\"trouble\": \"%s\"}\n", trouble);
    return intact;
}

// ---- the command line -----------------------------------------------------------------------

#define NUMBER(fn, name, member, max)                                                              \
    static int fn(void *into, const char *value, struct cv_why *why)                               \
    {                                                                                              \
        uint64_t number;                                                                           \
        (void)into;                                                                                \
        if (cv_text_u64(cv_text_of(value), 0, max, &number) != CV_OK)                              \
            return cv_why_set(why, CV_E_USAGE, "options", "--%s: at most %u", name, max);          \
        run.member = (uint32_t)number;                                                             \
        return CV_OK;                                                                              \
    }
NUMBER(set_sessions, "sessions", sessions, SESSIONS_MAX)
NUMBER(set_seconds, "seconds", seconds, 3600u)
NUMBER(set_warm, "warm-ms", warm_ms, 60000u)
NUMBER(set_pid, "server-pid", server_pid, 4194304u)
NUMBER(set_addresses, "addresses", addresses, 200u)
NUMBER(set_start, "start-s", start_s, 600u)

static int set_parked(void *into, const char *value, struct cv_why *why)
{
    (void)into, (void)value, (void)why;
    run.parked = true;
    return CV_OK;
}

static int set_unstamped(void *into, const char *value, struct cv_why *why)
{
    (void)into, (void)value, (void)why;
    run.unstamped = true;
    return CV_OK;
}

static const struct cv_option options[] = {
    {"sessions", 0, "N", "players (default 1)", set_sessions},
    {"seconds", 0, "N", "how long to measure (default 10)", set_seconds},
    {"warm-ms", 0, "N", "time before it (default 1000)", set_warm},
    {"start-s", 0, "N", "until the last one plays (default 60)", set_start},
    {"server-pid", 0, "PID", "the server's process here, to measure it", set_pid},
    {"addresses", 0, "N", "come from N addresses of 127.0.1.0/24", set_addresses},
    {"parked", 0, NULL, "the stream has no publisher: sessions only wait", set_parked},
    {"unstamped", 0, NULL, "the stream is not one of culvert bench", set_unstamped},
};

static int read_url(const char *text, struct cv_why *why)
{
    static char tc_url[512];
    static char host[64];
    struct cv_url url;
    int err = cv_url_parse(&url, cv_text_of(text), why);
    if (err != CV_OK)
        return err;
    cv_url_split(&url, &run.room.app, &run.room.name);
    snprintf(host, sizeof host, "%.*s:%u", (int)url.host.len, url.host.at, url.port);
    snprintf(run.room.host, sizeof run.room.host, "%s", host);
    snprintf(tc_url, sizeof tc_url, "%s://%s/%.*s", cv_scheme_name(url.scheme), host,
             (int)run.room.app.len, run.room.app.at);
    run.room.tc_url = cv_text_of(tc_url);
    run.room.tunnel = url.scheme == CV_SCHEME_RTMPT;
    return cv_addr_parse(host, 0, &run.room.server, why);
}

static int usage(const struct cv_why *why)
{
    fprintf(stderr, "%s\nusage: tunnel_play [OPTIONS] rtmp[t]://ADDRESS:PORT/APP/STREAM\n",
            why->text);
    cv_options_print(options, sizeof options / sizeof *options, stderr);
    return 2;
}

static bool prepare(void)
{
    run.room.on_media = on_media;
    run.room.on_end = on_end;
    run.room.addresses = run.addresses;
    run.room.loop = cv_loop_new();
    run.players = calloc(run.sessions, sizeof *run.players);
    run.seen = calloc(run.sessions, sizeof *run.seen);
    if (!run.room.loop || !run.players || !run.seen)
        return false;
    cv_timer_init(&run.tick, run.room.loop, on_tick, NULL);
    return cv_process_raise_descriptors() > run.sessions + 16;
}

int main(int argc, char **argv)
{
    struct cv_why why = {.code = CV_OK};
    const char *url = NULL;
    size_t count = 0;
    run.sessions = 1;
    run.seconds = 10;
    run.warm_ms = 1000;
    run.start_s = START_S_MAX;
    int err = cv_options_parse(options, sizeof options / sizeof *options, argc - 1, argv + 1, &run,
                               &url, 1, &count, &why);
    if (err != CV_OK || count != 1 || run.sessions == 0 || read_url(url, &why) != CV_OK)
        return usage(&why);
    if (!prepare()) {
        fprintf(stderr, "tunnel_play: not enough memory or descriptors\n");
        return 1;
    }
    run.before = run.begin = cv_bench_usage_of((pid_t)run.server_pid);
    run.phase_us = cv_clock_now_us();
    cv_timer_start(&run.tick, 0);
    cv_loop_run(run.room.loop);
    bool intact = report();
    for (uint32_t i = 0; i < run.opened; i++)
        player_stop(&run.players[i]);
    cv_timer_stop(&run.tick);
    cv_loop_free(run.room.loop);
    free(run.players);
    free(run.seen);
    return intact ? 0 : 1;
}
