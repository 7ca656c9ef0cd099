// The steps of a run of the bench. Each begins once; when it is done, the next one begins.
#include "cli/bench_state.h"

#include "io/clock.h"
#include "io/thread.h"

#include <string.h>

enum {
    SETTLE_US = CV_BENCH_US_PER_S,    // before memory is read
    WARM_US = CV_BENCH_US_PER_S,      // and one group of pictures, before anything is measured
    DRAIN_US = 3 * CV_BENCH_US_PER_S, // for the last messages to arrive
};

static uint64_t gop_us(const struct cv_bench *bench)
{
    return (uint64_t)bench->options->shape.gop_s * CV_BENCH_US_PER_S;
}

static struct cv_bench_usage usage(const struct cv_bench *bench)
{
    return cv_bench_usage_of(cv_bench_server_pid(bench->server));
}

void cv__bench_note_memory(struct cv_bench *bench)
{
    bench->result->before = usage(bench);
}

// ---- measuring ------------------------------------------------------------------------------

void cv__bench_measure(struct cv_bench *bench)
{
    struct cv_bench_checker sum;
    cv__bench_sum_players(bench, &sum);
    for (uint32_t i = 0; i < bench->publisher_count; i++)
        bench->publishers[i].sequence_measured = bench->publishers[i].source.sequence;
    memset(&bench->result->latency_us, 0, sizeof bench->result->latency_us);
    memset(&bench->result->lag_us, 0, sizeof bench->result->lag_us);
    bench->result->messages = sum.messages;
    bench->result->bytes = sum.bytes;
    bench->first = cv_bench_server_counters(bench->server);
    cv_bench_threads_of(cv_bench_server_pid(bench->server), &bench->threads);
    bench->result->begin = usage(bench);
    bench->own_cpu_us = cv_process_cpu_us();
    bench->begin_us = cv_clock_now_us();
    bench->measuring = true;
}

void cv__bench_measured(struct cv_bench *bench)
{
    struct cv_bench_result *result = bench->result;
    struct cv_bench_checker sum;
    struct cv_bench_threads threads;
    uint64_t us = cv_clock_now_us() - bench->begin_us;
    bench->measuring = false;
    cv__bench_sum_players(bench, &sum);
    result->messages = sum.messages - result->messages;
    result->bytes = sum.bytes - result->bytes;
    result->seconds = (double)us / CV_BENCH_US_PER_S;
    result->end = usage(bench);
    result->has_usage = result->end.rss_bytes > 0;
    result->own_cpu_us = cv_process_cpu_us() - bench->own_cpu_us;
    cv_bench_threads_of(cv_bench_server_pid(bench->server), &threads);
    result->threads = cv_bench_thread_load(&bench->threads, &threads, us ? us : 1);
}

void cv__bench_count_faults(struct cv_bench *bench)
{
    struct cv_bench_checker sum;
    cv__bench_sum_players(bench, &sum);
    bench->result->gaps = sum.gaps;
    bench->result->doubles = sum.doubles;
    bench->result->damaged = sum.damaged;
}

// ---- the steps ------------------------------------------------------------------------------

void cv__bench_begin_server(struct cv_bench *bench)
{
    int err = cv__bench_find_server(bench);
    if (err != CV_OK)
        cv__bench_give_up(bench, cv_err_text(err));
}

bool cv__bench_server_done(struct cv_bench *bench)
{
    if (cv_bench_server_has_died(bench->server))
        cv__bench_give_up(bench, cv_bench_server_last_words(bench->server));
    return cv_bench_server_is_ready(bench->server) && !bench->resolve;
}

bool cv__bench_publish_done(struct cv_bench *bench)
{
    return bench->started == bench->publisher_count;
}

static void begin_nothing(struct cv_bench *bench)
{
    (void)bench;
}

static bool settle_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, SETTLE_US);
}

static void begin_join(struct cv_bench *bench)
{
    cv__bench_note_memory(bench);
    cv__bench_open_players(bench);
}

static bool join_done(struct cv_bench *bench)
{
    cv__bench_open_players(bench);
    return bench->playing == bench->player_count;
}

static void begin_warm(struct cv_bench *bench)
{
    bench->result->idle = usage(bench);
    if (!bench->options->idle)
        cv__bench_flow(bench);
}

bool cv__bench_warm_done(struct cv_bench *bench)
{
    return bench->options->idle || cv__bench_has_lasted(bench, WARM_US + gop_us(bench));
}

void cv__bench_ask(struct cv_bench *bench)
{
    cv_bench_server_ask(bench->server);
}

bool cv__bench_ask_done(struct cv_bench *bench)
{
    return cv_bench_server_has_counters(bench->server);
}

static bool steady_done(struct cv_bench *bench)
{
    return bench->options->idle ||
           cv__bench_has_lasted(bench, bench->options->seconds * UINT64_C(1000000));
}

static void begin_last_ask(struct cv_bench *bench)
{
    cv__bench_measured(bench);
    cv_bench_server_ask(bench->server);
}

void cv__bench_count_up(struct cv_bench *bench)
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
}

static void begin_drain(struct cv_bench *bench)
{
    cv__bench_count_up(bench);
    bench->flowing = false;
}

static bool drain_done(struct cv_bench *bench)
{
    return cv__bench_has_arrived(bench) || cv__bench_has_lasted(bench, DRAIN_US);
}

const struct cv_bench_phase cv__bench_phases[] = {
    {"the server's start", cv__bench_begin_server, cv__bench_server_done, NULL},
    {"publishing", cv__bench_publish, cv__bench_publish_done, NULL},
    {"settling", begin_nothing, settle_done, NULL},
    {"joining", begin_join, join_done, NULL},
    {"settling", begin_nothing, settle_done, NULL},
    {"warming up", begin_warm, cv__bench_warm_done, NULL},
    {"the server's counters", cv__bench_ask, cv__bench_ask_done, NULL},
    {"measuring", cv__bench_measure, steady_done, NULL},
    {"the server's counters", begin_last_ask, cv__bench_ask_done, NULL},
    {"draining", begin_drain, drain_done, NULL},
    {NULL, NULL, NULL, NULL},
};
