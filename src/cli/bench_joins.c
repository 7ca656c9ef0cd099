// Joins per second: while the stream flows, players come, are there until they have their first key
// frame, and leave. Their places are the bench's players, each for one after the other.
#include "cli/bench_state.h"

#include "base/mem.h"
#include "io/clock.h"

enum {
    BASE_US = 3 * CV_BENCH_US_PER_S,  // what the server costs without them
    PULSE_US = 1000,                  // between two looks at who is due
    DRAIN_US = 5 * CV_BENCH_US_PER_S, // for those who are there at the end
    JOIN_US = 10 * CV_BENCH_US_PER_S, // a join that takes longer has failed
};

struct cv_bench_joins {
    struct cv_timer pulse;
    uint32_t *free_places; // a stack
    uint32_t free_count;
    uint64_t begun;
    uint64_t base_from_us;
    uint64_t base_cpu_us; // at first of the process, then what the interval has cost
    uint64_t base_us;     // how long that was
};

int cv__bench_joins_init(struct cv_bench *bench)
{
    struct cv_bench_joins *joins = cv_mem_zero(1, sizeof *joins);
    uint32_t *places = cv_mem_zero(bench->players_max, sizeof *places);
    if (!joins || !places) {
        cv_mem_free(joins);
        cv_mem_free(places);
        return CV_E_NOMEM;
    }
    for (uint32_t i = 0; i < bench->players_max; i++) {
        places[i] = i;
        bench->players[i].fd = -1;
    }
    joins->free_places = places;
    joins->free_count = bench->opened = bench->players_max;
    bench->joins = joins;
    return CV_OK;
}

void cv__bench_joins_done(struct cv_bench *bench)
{
    if (!bench->joins)
        return;
    cv_timer_stop(&bench->joins->pulse);
    cv_mem_free(bench->joins->free_places);
    cv_mem_free(bench->joins);
}

// ---- a join ---------------------------------------------------------------------------------

static void give_back(struct cv_bench_peer *peer)
{
    struct cv_bench *bench = peer->bench;
    uint32_t place = (uint32_t)((struct cv_bench_player *)peer - bench->players);
    bench->joins->free_places[bench->joins->free_count++] = place;
}

static void on_started(struct cv_bench_peer *peer)
{
    cv_timer_start(&peer->patience, JOIN_US);
}

static void on_lost(struct cv_bench_peer *peer, const char *what)
{
    peer->bench->result->joins_failed++;
    cv__bench_note_trouble(peer->bench, what);
    give_back(peer);
}

static void on_media(struct cv_bench_peer *peer, const struct cv_msg *msg)
{
    struct cv_bench_player *player = (struct cv_bench_player *)peer;
    struct cv_bench *bench = peer->bench;
    uint64_t sent_us;
    if (cv_bench_check(&player->checker, msg, &sent_us) != CV_BENCH_KEY)
        return;
    if (bench->measuring) {
        bench->result->joins++;
        cv_histogram_add(&bench->result->join_us, cv_clock_now_us() - peer->opened_us);
    }
    cv__bench_peer_drop(peer);
    give_back(peer);
}

// The checker's counts go on from one join to the next.
static void join(struct cv_bench *bench)
{
    static const struct cv_bench_peer_user user = {
        .started = on_started, .media = on_media, .lost = on_lost};
    struct cv_bench_joins *joins = bench->joins;
    struct cv_bench_player *player = &bench->players[joins->free_places[--joins->free_count]];
    uint32_t stream = (uint32_t)(joins->begun++ % bench->publisher_count);
    player->peer = (struct cv_bench_peer){.bench = bench, .user = &user, .stream = stream};
    player->checker.id = stream;
    player->checker.begun = false;
    player->checker.next = 0;
    player->checks = true;
    if (cv__bench_peer_open(&player->peer, CV_RTMP_CLIENT_PLAY) != CV_OK)
        cv__bench_peer_lose(&player->peer, "no memory or no descriptors for another player");
}

static void on_pulse(void *arg)
{
    struct cv_bench *bench = arg;
    struct cv_bench_joins *joins = bench->joins;
    uint64_t lasted_us = cv_clock_now_us() - bench->begin_us;
    uint64_t due = lasted_us * bench->options->join_rate / CV_BENCH_US_PER_S;
    if (!bench->measuring)
        return;
    while (joins->begun < due && joins->free_count)
        join(bench);
    cv_timer_start(&joins->pulse, PULSE_US);
}

// ---- the steps ------------------------------------------------------------------------------

static uint64_t server_cpu_us(const struct cv_bench *bench)
{
    struct cv_bench_usage usage = cv_bench_usage_of(cv_bench_server_pid(bench->server));
    return usage.user_us + usage.system_us;
}

static void begin_base(struct cv_bench *bench)
{
    bench->joins->base_from_us = cv_clock_now_us();
    bench->joins->base_cpu_us = server_cpu_us(bench);
    cv__bench_ask(bench);
}

static bool base_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, BASE_US) && cv__bench_ask_done(bench);
}

static void begin_joins(struct cv_bench *bench)
{
    struct cv_bench_joins *joins = bench->joins;
    joins->base_us = cv_clock_now_us() - joins->base_from_us;
    joins->base_cpu_us = server_cpu_us(bench) - joins->base_cpu_us;
    cv__bench_note_memory(bench);
    cv__bench_measure(bench);
    cv_timer_init(&joins->pulse, bench->loop, on_pulse, bench);
    cv_timer_start(&joins->pulse, 0);
}

static bool joins_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, (uint64_t)bench->options->seconds * CV_BENCH_US_PER_S);
}

static void begin_last(struct cv_bench *bench)
{
    struct cv_bench_result *result = bench->result;
    cv__bench_measured(bench);
    uint64_t used_us = result->end.user_us + result->end.system_us - result->begin.user_us -
                       result->begin.system_us;
    double base_us = (double)bench->joins->base_cpu_us * result->seconds * CV_BENCH_US_PER_S /
                     (double)bench->joins->base_us;
    if (result->joins)
        result->server_cpu_us_per_join = ((double)used_us - base_us) / (double)result->joins;
    cv__bench_ask(bench);
}

static void begin_drain(struct cv_bench *bench)
{
    cv__bench_count_up(bench);
}

static bool drain_done(struct cv_bench *bench)
{
    bool all = bench->joins->free_count == bench->players_max;
    bool late = cv__bench_has_lasted(bench, DRAIN_US);
    if (late)
        bench->result->joins_failed += bench->players_max - bench->joins->free_count;
    return all || late;
}

static void begin_settle(struct cv_bench *bench)
{
    (void)bench;
}

static bool settle_done(struct cv_bench *bench)
{
    return cv__bench_has_lasted(bench, CV_BENCH_US_PER_S);
}

const struct cv_bench_phase cv__bench_join_phases[] = {
    {"the server's start", cv__bench_begin_server, cv__bench_server_done, NULL},
    {"publishing", cv__bench_publish, cv__bench_publish_done, NULL},
    {"settling", begin_settle, settle_done, NULL},
    {"warming up", cv__bench_flow, cv__bench_warm_done, NULL},
    {"measuring without joins", begin_base, base_done, NULL},
    {"joining", begin_joins, joins_done, NULL},
    {"the server's counters", begin_last, cv__bench_ask_done, NULL},
    {"the last joins", begin_drain, drain_done, NULL},
    {NULL, NULL, NULL, NULL},
};
