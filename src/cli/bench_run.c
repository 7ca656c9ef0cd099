// One run of the bench: what it is made of, from its first phase to its last.
#include "cli/bench_state.h"

#include "base/limits.h"
#include "base/mem.h"
#include "client/leg.h"
#include "io/clock.h"
#include "io/resolve.h"
#include "io/thread.h"
#include "proto/rtmpt_client.h"

#include <stdio.h>
#include <string.h>

enum { TICK_US = 5000 }; // how often the phases look around

static const char place[] = "bench";

void cv__bench_give_up(struct cv_bench *bench, const char *what)
{
    cv_why_set(bench->why, CV_E_SYSTEM, place, "%s", what);
    cv_loop_stop(bench->loop);
}

void cv__bench_note_trouble(struct cv_bench *bench, const char *what)
{
    if (!bench->result->trouble[0])
        snprintf(bench->result->trouble, sizeof bench->result->trouble, "%s", what);
}

// ---- phases ---------------------------------------------------------------------------------

bool cv__bench_has_lasted(const struct cv_bench *bench, uint64_t us)
{
    return cv_loop_now_us(bench->loop) - bench->phase_us >= us;
}

static bool is_over(const struct cv_bench *bench)
{
    return bench->why->code != CV_OK || !bench->phase->name;
}

static void begin_phase(struct cv_bench *bench, const struct cv_bench_phase *phase)
{
    bench->phase = phase;
    bench->phase_us = cv_loop_now_us(bench->loop);
    if (phase->name)
        phase->begin(bench);
    else
        cv_loop_stop(bench->loop);
}

static void check_clock(struct cv_bench *bench)
{
    char text[100];
    uint64_t most_us = CV_BENCH_WAIT_US + (uint64_t)bench->options->seconds * CV_BENCH_US_PER_S;
    if (!cv__bench_has_lasted(bench, most_us))
        return;
    snprintf(text, sizeof text, "%s took too long", bench->phase->name);
    cv__bench_give_up(bench, text);
}

static void on_tick(void *arg)
{
    struct cv_bench *bench = arg;
    if (cv_bench_server_is_ready(bench->server) && cv_bench_server_has_died(bench->server))
        cv__bench_give_up(bench, "the server has died");
    if (!is_over(bench) && bench->phase->done(bench) && !is_over(bench))
        begin_phase(bench, bench->phase->next ? bench->phase->next(bench) : bench->phase + 1);
    if (is_over(bench))
        return;
    check_clock(bench);
    cv_timer_start(&bench->tick, TICK_US);
}

// ---- running --------------------------------------------------------------------------------

// Each kind of run has its own phases.
static const struct cv_bench_phase *phases_of(const struct cv_bench *bench)
{
    if (bench->until)
        return cv__bench_until_phases;
    return bench->joins ? cv__bench_join_phases : cv__bench_phases;
}

static void count(struct cv_bench *bench)
{
    const struct cv_bench_options *options = bench->options;
    bench->publisher_count = options->idle ? 1 : options->publishers;
    bench->players_max = options->idle ? options->idle : options->publishers * options->players;
    if (options->until.p99_ms)
        bench->players_max = options->until.players_max;
    else if (options->join_rate)
        bench->players_max = options->players;
    else
        cv__bench_add_players(bench, bench->players_max);
    bench->result->players = bench->players_max;
}

// As many descriptors as there are decide how many players a search may end with.
static int raise_descriptors(struct cv_bench *bench)
{
    uint64_t each = bench->options->stream.via == CV_VIA_RTMPT ? CV_RTMPT_SLOTS : 1;
    uint64_t others = bench->publisher_count * each + 64;
    uint64_t most = cv_process_raise_descriptors();
    uint64_t players = most > others ? (most - others) / each : 0;
    if (players >= bench->players_max)
        return CV_OK;
    if (!bench->until || players == 0)
        return cv_why_set(bench->why, CV_E_NO_DESCRIPTORS, place,
                          "%u connections need a higher limit of descriptors (ulimit -n)",
                          bench->players_max);
    bench->players_max = (uint32_t)players;
    return CV_OK;
}

static int make_kind(struct cv_bench *bench)
{
    int err = CV_OK;
    if (bench->options->until.p99_ms)
        err = cv__bench_until_init(bench);
    else if (bench->options->join_rate)
        err = cv__bench_joins_init(bench);
    return err;
}

static bool has_parts(const struct cv_bench *bench)
{
    return bench->publishers && bench->players && bench->room && bench->legs;
}

static int make(struct cv_bench *bench)
{
    count(bench);
    bench->publishers = cv_mem_zero(bench->publisher_count, sizeof *bench->publishers);
    bench->players = cv_mem_zero(bench->players_max, sizeof *bench->players);
    bench->loop = cv_loop_new();
    bench->room = bench->loop ? cv_attempt_room_new(bench->loop) : NULL;
    bench->legs = bench->loop ? cv_mem_zero(1, sizeof *bench->legs) : NULL;
    if (!has_parts(bench) || make_kind(bench) != CV_OK)
        return cv_why_set(bench->why, CV_E_NOMEM, place, "no memory");
    cv_leg_room_init(bench->legs, bench->loop);
    cv_timer_init(&bench->tick, bench->loop, on_tick, bench);
    return raise_descriptors(bench);
}

static void close_all(struct cv_bench *bench)
{
    cv__bench_joins_done(bench);
    cv__bench_until_done(bench);
    cv__bench_close_publishers(bench);
    cv__bench_close_players(bench);
    cv_timer_stop(&bench->tick);
    if (bench->resolve)
        cv_resolve_cancel(&bench->resolve);
    cv_bench_server_free(bench->server);
    cv_attempt_room_free(bench->room);
    cv_loop_free(bench->loop); // lets go of the last legs
    if (bench->legs)
        cv_leg_room_done(bench->legs);
    cv_mem_free(bench->legs);
    cv_stream_plan_done(&bench->plan);
    cv_mem_free(bench->publishers);
    cv_mem_free(bench->players);
}

static void run(struct cv_bench *bench)
{
    begin_phase(bench, phases_of(bench));
    cv_timer_start(&bench->tick, TICK_US);
    if (bench->why->code == CV_OK)
        cv_loop_run(bench->loop);
}

static void conclude(struct cv_bench *bench)
{
    if (bench->until && bench->why->code == CV_OK)
        return; // it was, step by step
    cv__bench_count_faults(bench);
    if (bench->why->code == CV_OK && !cv__bench_has_arrived(bench))
        cv__bench_note_trouble(bench, "the last messages did not arrive");
}

int cv_bench_run(const struct cv_bench_options *options, struct cv_bench_result *out,
                 struct cv_why *why)
{
    struct cv_bench bench = {.options = options, .result = out, .why = why};
    memset(out, 0, sizeof *out);
    if (make(&bench) == CV_OK) {
        run(&bench);
        conclude(&bench);
    }
    close_all(&bench);
    return why->code;
}
