// The parts of a run of `culvert bench`. Not for others. All on one loop and its thread.
#ifndef CV_CLI_BENCH_STATE_H
#define CV_CLI_BENCH_STATE_H

#include "cli/bench_run.h"
#include "client/attempt.h"
#include "io/loop.h"
#include "io/watch.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_bench;
struct cv_bench_flv;
struct cv_bench_peer;
struct cv_leg_room;
struct cv_resolve;

enum {
    CV_BENCH_US_PER_S = 1000000,
    CV_BENCH_WAIT_US = 60 * CV_BENCH_US_PER_S, // for what only the server can bring about
};

// ---- connections (bench_peer.c; FLV: bench_flv.c) ---------------------------------------------

// Who uses one. A static table; each may drop it.
struct cv_bench_peer_user {
    void (*started)(struct cv_bench_peer *peer);
    void (*media)(struct cv_bench_peer *peer, const struct cv_msg *msg); // may be NULL
    void (*lost)(struct cv_bench_peer *peer, const char *what);          // is dropped already
};

// A publisher's or a player's connection, embedded in it.
struct cv_bench_peer {
    struct cv_bench *bench;
    const struct cv_bench_peer_user *user;
    struct cv_attempt *attempt; // one of these two, or none
    struct cv_bench_flv *flv;   //
    struct cv_timer patience;   // until it has started
    uint32_t stream;
    uint64_t opened_us;
};

// Begins to connect. bench, user and stream are set. 0 or CV_E_NOMEM.
int cv__bench_peer_open(struct cv_bench_peer *peer, enum cv_rtmp_client_mode mode);
// Ends it, if it is there.
void cv__bench_peer_drop(struct cv_bench_peer *peer);
bool cv__bench_peer_is_open(const struct cv_bench_peer *peer);
// Drops it but for its connection: the descriptor is the caller's. CV_E_CLOSED: goes on as it was,
// since it is not one connection.
int cv__bench_peer_take_descriptor(struct cv_bench_peer *peer);
bool cv__bench_is_secure(const struct cv_bench *bench);
// What the ways tell.
void cv__bench_peer_started(struct cv_bench_peer *peer);
void cv__bench_peer_lose(struct cv_bench_peer *peer, const char *what);
// The stream's name on the server, with the query of URL behind it.
void cv__bench_peer_name(const struct cv_bench_peer *peer, char *out, size_t size);

// A player's, instead of an attempt. 0 or CV_E_NOMEM.
int cv__bench_flv_open(struct cv_bench_flv **out, struct cv_bench_peer *peer);
// *flv is cleared; NULL inside is allowed.
void cv__bench_flv_close(struct cv_bench_flv **flv);
int cv__bench_flv_take_descriptor(struct cv_bench_flv **flv);

// ---- publishers (bench_publish.c) -------------------------------------------------------------

struct cv_bench_publisher {
    struct cv_bench_peer peer; // first
    struct cv_bench_source source;
    struct cv_timer timer;
    uint64_t base_us;           // when the clock of its stream was 0
    uint64_t sequence_measured; // the first message of what is measured
};

void cv__bench_publish(struct cv_bench *bench);
// From now on they send what is due.
void cv__bench_flow(struct cv_bench *bench);
void cv__bench_close_publishers(struct cv_bench *bench);

// ---- players (bench_players.c) ----------------------------------------------------------------

struct cv_bench_player {
    struct cv_bench_peer peer; // first
    struct cv_bench_checker checker;
    bool checks;  // every message; else only counts bytes
    bool started; // is playing, or was
    bool joined;  // has its first key frame
    int fd;       // of one that does not check: all that is left of its connection. -1: none
    struct cv_watch watch; // of fd
    uint64_t bytes;        // that were not checked
};

// So many more are wanted: `checked` of all are to check from now on, as evenly as can be.
void cv__bench_add_players(struct cv_bench *bench, uint32_t count);
// Opens those that are wanted, some at a time: call again until all are playing.
void cv__bench_open_players(struct cv_bench *bench);
void cv__bench_close_players(struct cv_bench *bench);
// All that check have everything that was published.
bool cv__bench_has_arrived(const struct cv_bench *bench);
// The messages that those who check should have got since cv__bench_measure.
uint64_t cv__bench_messages_due(const struct cv_bench *bench);
void cv__bench_sum_players(const struct cv_bench *bench, struct cv_bench_checker *out);

// ---- the run (bench_run.c) --------------------------------------------------------------------

// A step of a run. They follow each other in a table.
struct cv_bench_phase {
    const char *name; // NULL: the end of the table
    void (*begin)(struct cv_bench *bench);
    bool (*done)(struct cv_bench *bench);
    const struct cv_bench_phase *(*next)(struct cv_bench *bench); // NULL: the one behind it
};

struct cv_bench {
    const struct cv_bench_options *options;
    struct cv_bench_result *result;
    struct cv_why *why;
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_leg_room *legs; // of players of FLV
    struct cv_bench_server *server;
    struct cv_resolve *resolve;
    struct cv_bench_publisher *publishers;
    struct cv_bench_player *players;
    uint32_t publisher_count;
    uint32_t players_max;
    uint32_t player_count; // that are wanted now
    uint32_t batch_from;   // the first of those who were wanted last
    uint32_t batch_checked;
    uint32_t opened;  // players, so far
    uint32_t started; // publishers
    uint32_t playing; // players who were told that it begins
    uint32_t unborn;  // players who were lost before
    const struct cv_bench_phase *phase;
    uint64_t phase_us; // when it began
    struct cv_timer tick;
    bool flowing;
    bool measuring;
    struct cv_stream_plan plan; // of a stream whose name, but for a number, is everybody's
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    unsigned addr_count;
    uint64_t begin_us; // of what is measured
    uint64_t own_cpu_us;
    struct cv_bench_counters first;
    struct cv_bench_threads threads;
    struct cv_bench_until *until; // bench_until.c
    struct cv_bench_joins *joins; // bench_joins.c
};

// bench_phases.c
extern const struct cv_bench_phase cv__bench_phases[];
void cv__bench_begin_server(struct cv_bench *bench);
bool cv__bench_server_done(struct cv_bench *bench);
bool cv__bench_publish_done(struct cv_bench *bench);
bool cv__bench_warm_done(struct cv_bench *bench);
void cv__bench_ask(struct cv_bench *bench);
bool cv__bench_ask_done(struct cv_bench *bench);
void cv__bench_count_up(struct cv_bench *bench);
// The server's, before there are players.
void cv__bench_note_memory(struct cv_bench *bench);
// Around what is measured: traffic, processor time and memory, into the result.
void cv__bench_measure(struct cv_bench *bench);
void cv__bench_measured(struct cv_bench *bench);
// What players have missed so far, into the result.
void cv__bench_count_faults(struct cv_bench *bench);

// bench_until.c: --until-p99-ms. 0 or CV_E_NOMEM.
extern const struct cv_bench_phase cv__bench_until_phases[];
int cv__bench_until_init(struct cv_bench *bench);
void cv__bench_until_done(struct cv_bench *bench);

// bench_joins.c: --join-rate. The same.
extern const struct cv_bench_phase cv__bench_join_phases[];
int cv__bench_joins_init(struct cv_bench *bench);
void cv__bench_joins_done(struct cv_bench *bench);

void cv__bench_give_up(struct cv_bench *bench, const char *what);
void cv__bench_note_trouble(struct cv_bench *bench, const char *what);
bool cv__bench_has_lasted(const struct cv_bench *bench, uint64_t us);

// ---- where the server is (bench_place.c) --------------------------------------------------------

// 0, or an error with bench->why: it is known, or starts, or is looked up.
int cv__bench_find_server(struct cv_bench *bench);

#endif
