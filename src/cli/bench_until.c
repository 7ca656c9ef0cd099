// How many players it can be: some more at a time, until their p99 is too late or something is
// lost. What is reported is how the last step was that held.
#include "cli/bench_state.h"

#include "base/mem.h"

enum {
    GROW_US = 20 * CV_BENCH_US_PER_S, // who has not joined by then is lost
    SETTLE_US = CV_BENCH_US_PER_S,
    MEASURE_US = 3 * CV_BENCH_US_PER_S,
    BENCH_CPU_PERCENT_MAX = 95,
    ARRIVED_PERCENT_MIN = 90, // of what was due: less is a server that does not keep up
    GROW = 4,                 // in the table of phases
    END = 7,
};

struct cv_bench_until {
    uint64_t lost;               // so far, when the step before was judged
    struct cv_bench_result held; // of the last step that did
};

// ---- judging --------------------------------------------------------------------------------

bool cv_bench_step_held(const struct cv_bench_step *step, uint32_t p99_ms)
{
    bool arrived = step->messages * 100 >= step->messages_due * ARRIVED_PERCENT_MIN;
    return step->lost == 0 && arrived && step->p99_ms <= p99_ms;
}

enum cv_bench_verdict cv_bench_judge(const struct cv_bench_step *step, uint32_t p99_ms)
{
    if (step->bench_cpu_percent > BENCH_CPU_PERCENT_MAX)
        return CV_BENCH_LIMITED_BENCH;
    if (cv_bench_step_held(step, p99_ms))
        return CV_BENCH_HOLDS;
    return step->lost ? CV_BENCH_LIMITED_LOST : CV_BENCH_LIMITED_P99;
}

static uint64_t all_lost(const struct cv_bench *bench)
{
    const struct cv_bench_result *result = bench->result;
    return result->lost + result->gaps + result->doubles + result->damaged + result->late;
}

static struct cv_bench_step look_at(const struct cv_bench *bench)
{
    const struct cv_bench_result *result = bench->result;
    uint64_t absent = bench->player_count - bench->playing - bench->unborn;
    struct cv_bench_step step = {
        .lost = all_lost(bench) - bench->until->lost + absent,
        .messages = result->latency_us.count,
        .messages_due = cv__bench_messages_due(bench),
        .p99_ms = (double)cv_histogram_at(&result->latency_us, 99) / 1000,
    };
    if (result->seconds > 0)
        step.bench_cpu_percent =
            100 * (double)result->own_cpu_us / CV_BENCH_US_PER_S / result->seconds;
    return step;
}

// ---- the steps ------------------------------------------------------------------------------

int cv__bench_until_init(struct cv_bench *bench)
{
    bench->until = cv_mem_zero(1, sizeof *bench->until);
    return bench->until ? CV_OK : CV_E_NOMEM;
}

void cv__bench_until_done(struct cv_bench *bench)
{
    cv_mem_free(bench->until);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void begin_grow(struct cv_bench *bench)
{
    const struct cv_bench_options *options = bench->options;
    bool first = bench->player_count == 0;
    uint32_t more = first ? options->players * options->publishers : options->until.step;
    if (first)
        cv__bench_note_memory(bench);
    cv__bench_add_players(bench, min_u32(more, bench->players_max - bench->player_count));
}

static bool grow_done(struct cv_bench *bench)
{
    cv__bench_open_players(bench);
    return bench->playing + bench->unborn == bench->player_count ||
           cv__bench_has_lasted(bench, GROW_US);
}

static void begin_settle(struct cv_bench *bench)
{
    (void)bench;
}

static bool settle_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, SETTLE_US);
}

static bool measure_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, MEASURE_US);
}

// The last step that held is what counts; without one, the first.
static void report_held(struct cv_bench *bench)
{
    enum cv_bench_verdict verdict = bench->result->limited_by;
    if (bench->until->held.players_held == 0)
        return;
    *bench->result = bench->until->held;
    bench->result->limited_by = verdict;
}

static const struct cv_bench_phase *judge(struct cv_bench *bench)
{
    const struct cv_bench_limit *limit = &bench->options->until;
    struct cv_bench_result *result = bench->result;
    cv__bench_measured(bench);
    cv__bench_count_faults(bench);
    struct cv_bench_step step = look_at(bench);
    bench->until->lost = all_lost(bench);
    result->players = bench->player_count;
    result->limited_by = cv_bench_judge(&step, limit->p99_ms);
    if (result->limited_by == CV_BENCH_HOLDS && bench->player_count == bench->players_max)
        result->limited_by = CV_BENCH_LIMITED_CAP;
    if (cv_bench_step_held(&step, limit->p99_ms)) {
        result->players_held = bench->player_count;
        bench->until->held = *result;
    }
    if (result->limited_by == CV_BENCH_HOLDS)
        return cv__bench_until_phases + GROW;
    report_held(bench);
    return cv__bench_until_phases + END;
}

const struct cv_bench_phase cv__bench_until_phases[] = {
    {"the server's start", cv__bench_begin_server, cv__bench_server_done, NULL},
    {"publishing", cv__bench_publish, cv__bench_publish_done, NULL},
    {"settling", begin_settle, settle_done, NULL},
    {"warming up", cv__bench_flow, cv__bench_warm_done, NULL},
    [GROW] = {"joining", begin_grow, grow_done, NULL},
    {"settling", begin_settle, settle_done, NULL},
    {"measuring", cv__bench_measure, measure_done, judge},
    [END] = {NULL, NULL, NULL, NULL},
};
