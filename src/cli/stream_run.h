// One connection and what surrounds it, from a command's start to its exit code: the loop, signals,
// and who tells about it.
#ifndef CV_CLI_STREAM_RUN_H
#define CV_CLI_STREAM_RUN_H

#include "cli/stream_options.h"
#include "cli/teller.h"
#include "io/loop.h"

struct cv_signals;

// What a command does with it. All on the loop.
struct cv_stream_user {
    // Every event, behind the teller's turn.
    void (*event)(void *arg, const struct cv_connection_event *event);
    // A first Ctrl-C or SIGTERM: wind up. A second one ends the run at once.
    void (*stop)(void *arg);
    // Stream time, for people.
    uint64_t (*time_ms)(void *arg);
};

struct cv_stream_run {
    const struct cv_stream_options *options;
    const struct cv_stream_plan *plan;
    const struct cv_stream_user *user;
    void *arg;
    struct cv_loop *loop;
    struct cv_signals *signals;
    struct cv_attempt_room *room;
    struct cv_connection *connection; // NULL: none
    struct cv_connection_stats stats; // the last that are known
    struct cv_teller teller;
    struct cv_timer tick;
    bool interrupted; // by a signal
    int exit_code;
};

// 0 or CV_E_NOMEM. In any case cv_stream_run_done follows. What is lent must outlive it.
int cv_stream_run_init(struct cv_stream_run *run, const struct cv_stream_options *options,
                       const struct cv_stream_plan *plan, const struct cv_stream_user *user,
                       void *arg, uint64_t start_us);
// Begins to connect, as the plan says; on_event and arg of `config` are ignored. 0 or CV_E_NOMEM.
int cv_stream_run_connect(struct cv_stream_run *run, struct cv_connection_config *config);
// This turn is the last, and how to exit.
void cv_stream_run_end(struct cv_stream_run *run, int exit_code);
// Runs until then. The exit code.
int cv_stream_run_go(struct cv_stream_run *run);
void cv_stream_run_done(struct cv_stream_run *run);

#endif
