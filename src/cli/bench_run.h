// A run of `culvert bench`: publishers and players on one loop, in phases, and what was measured.
#ifndef CV_CLI_BENCH_RUN_H
#define CV_CLI_BENCH_RUN_H

#include "cli/bench_server.h"
#include "cli/bench_stream.h"
#include "cli/histogram.h"
#include "cli/stream_options.h"

struct cv_bench_options {
    struct cv_stream_options stream; // first: its setters work on it. Used: via, json
    const char *url;                 // NULL: a server of our own
    pid_t server_pid;
    uint32_t publishers;
    uint32_t players; // of each publisher
    uint32_t idle;    // not 0: so many players of one stream, and no media after the first frame
    struct cv_bench_shape shape;
    uint32_t seconds;
    uint32_t threads;
    uint32_t latency_ms;
    bool tls; // our own server speaks it, and so do all clients
};

// All times in microseconds. What a difference of two moments is: over the steady part only.
struct cv_bench_result {
    uint32_t players; // in all
    double seconds;   // length of the steady part
    uint64_t messages;
    uint64_t bytes; // payload that reached players
    uint64_t gaps;  // from here on: over the whole run
    uint64_t doubles;
    uint64_t damaged;
    uint64_t lost; // connections that ended too early
    uint64_t late; // messages that the bench itself could not send
    struct cv_histogram latency_us;
    struct cv_histogram join_us; // from connect to the first key frame
    struct cv_histogram lag_us;  // how late the bench was with its messages
    struct cv_bench_usage before, idle, begin, end;
    struct cv_bench_counters counted; // over the steady part
    bool has_usage;
    bool has_counters;
    uint64_t own_cpu_us; // of the bench
    char trouble[200];   // the first that went wrong; "" when nothing did
};

// Runs it all. CV_OK when it was carried through, whatever the result says about integrity;
// otherwise `why` says what stopped it. *out is large: not for the stack.
int cv_bench_run(const struct cv_bench_options *options, struct cv_bench_result *out,
                 struct cv_why *why);
// Prints a table, or JSON. True when nothing was lost, doubled or damaged.
bool cv_bench_report(const struct cv_bench_options *options, const struct cv_bench_result *result);

#endif
