// A run of `culvert bench`: publishers and players on one loop, in phases, and what was measured.
#ifndef CV_CLI_BENCH_RUN_H
#define CV_CLI_BENCH_RUN_H

#include "cli/bench_server.h"
#include "cli/bench_stream.h"
#include "cli/bench_usage.h"
#include "cli/histogram.h"
#include "cli/stream_options.h"

enum { CV_BENCH_CPUS_MAX = 64 };

// Until how many players it goes.
struct cv_bench_limit {
    uint32_t p99_ms; // that must hold; 0: this is not what is measured
    uint32_t step;   // players that join at a time
    uint32_t players_max;
};

struct cv_bench_options {
    struct cv_stream_options stream; // first: its setters work on it. Used: via, json
    bool flv;                        // players get FLV over HTTP
    const char *url;                 // NULL: a server of our own
    pid_t server_pid;
    uint32_t publishers;
    uint32_t players;   // of each publisher
    uint32_t checked;   // players of all who check every message; 0: all
    uint32_t join_rate; // not 0: `players` at most are there at once, so many come in a second
    uint32_t idle;      // not 0: so many players of one stream, and no media after the first frame
    struct cv_bench_limit until;
    struct cv_bench_shape shape;
    uint32_t seconds;
    uint32_t threads;
    uint32_t latency_ms;
    bool tls; // our own server speaks it, and so do all clients
    // Of the processors that we may use bit n is the n-th. 0: chosen.
    uint64_t server_cpus; // of our own server
    uint64_t bench_cpus;
};

// How one number of players went.
struct cv_bench_step {
    uint64_t lost;         // messages and connections
    uint64_t messages;     // that those who check have got
    uint64_t messages_due; // and should have
    double p99_ms;
    double bench_cpu_percent;
};

enum cv_bench_verdict {
    CV_BENCH_HOLDS,
    CV_BENCH_LIMITED_P99,
    CV_BENCH_LIMITED_LOST,
    CV_BENCH_LIMITED_BENCH, // the bench itself has no time left
    CV_BENCH_LIMITED_CAP,   // it held with as many as were allowed
};

// All times in microseconds. What a difference of two moments is: over the steady part only.
struct cv_bench_result {
    uint32_t players; // in all
    uint32_t checked; // of them, who check every message; who does not only counts bytes
    double seconds;   // length of the steady part
    uint64_t messages;
    uint64_t bytes; // that reached players: payload, or what the descriptor gave
    uint64_t gaps;  // from here on: over the whole run
    uint64_t doubles;
    uint64_t damaged;
    uint64_t lost; // connections that ended too early
    uint64_t late; // messages that the bench itself could not send
    struct cv_histogram latency_us;
    struct cv_histogram join_us; // from connect to the first key frame
    struct cv_histogram lag_us;  // how late the bench was with its messages
    struct cv_bench_usage before, idle, begin, end;
    struct cv_bench_thread_load threads; // of the server, over the steady part
    struct cv_bench_counters counted;    // over the steady part
    bool has_usage;
    bool has_counters;
    uint64_t own_cpu_us; // of the bench
    // Of players who come and leave.
    uint64_t joins; // that were complete
    uint64_t joins_failed;
    double server_cpu_us_per_join; // beyond what it uses without them
    // Of a search for the most players; the rest is of the last step that held, or of the first.
    uint32_t players_held; // 0: not even the first step held
    enum cv_bench_verdict limited_by;
    char trouble[200]; // the first that went wrong; "" when nothing did
};

// Whether a step has held; and whether another may follow, or why not: what is lost counts more
// than what is late, and with the bench itself at its end nothing more can be said of the server.
bool cv_bench_step_held(const struct cv_bench_step *step, uint32_t p99_ms);
enum cv_bench_verdict cv_bench_judge(const struct cv_bench_step *step, uint32_t p99_ms);
// Reads a list of processors like "0,2-3" into a set as above. False: it is none.
bool cv_bench_read_cpus(struct cv_text list, uint64_t *out);
// True for `picked` of the numbers below `of`, evenly spread.
bool cv_bench_is_picked(uint64_t number, uint64_t picked, uint64_t of);
// Runs it all. CV_OK when it was carried through, whatever the result says about integrity;
// otherwise `why` says what stopped it. *out is large: not for the stack.
int cv_bench_run(const struct cv_bench_options *options, struct cv_bench_result *out,
                 struct cv_why *why);
// Prints a table, or JSON. True when nothing was lost, doubled or damaged.
bool cv_bench_report(const struct cv_bench_options *options, const struct cv_bench_result *result);

#endif
