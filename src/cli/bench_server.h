// The server that is measured: a child process of our own, or one that runs already.
#ifndef CV_CLI_BENCH_SERVER_H
#define CV_CLI_BENCH_SERVER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cv_loop;

// The server's own counters, from its log line server.stats.
struct cv_bench_counters {
    uint64_t messages_out;
    uint64_t bytes_out;
    uint64_t writes;
    uint64_t flushes;
    uint64_t jumps;
    uint64_t skipped;
    uint64_t allocs;
};

struct cv_bench_server_options {
    uint32_t threads;
    uint32_t latency_ms;
    bool tls;      // by a certificate of its own making
    uint64_t cpus; // that it is tied to: bit n is the n-th that we may use; 0: all
};

struct cv_bench_server;

// Starts this program as a server on a free port of 127.0.0.1, with a state folder of its own.
// CV_E_NOMEM or CV_E_SYSTEM with `why`.
int cv_bench_server_start(struct cv_loop *loop, const struct cv_bench_server_options *options,
                          struct cv_bench_server **out, struct cv_why *why);
// A server that is not ours; pid 0: it is not measured. NULL: no memory.
struct cv_bench_server *cv_bench_server_attach(pid_t pid);
// Ends a child, waits for it, and removes its folder. NULL is allowed.
void cv_bench_server_free(struct cv_bench_server *server);

uint16_t cv_bench_server_port(const struct cv_bench_server *server); // of a child
bool cv_bench_server_is_ready(const struct cv_bench_server *server);
bool cv_bench_server_has_died(const struct cv_bench_server *server);
// The last line that a child has logged; "" when there is none.
const char *cv_bench_server_last_words(const struct cv_bench_server *server);

// Asks a child for its counters; they are there when _has_counters says so.
void cv_bench_server_ask(struct cv_bench_server *server);
bool cv_bench_server_has_counters(const struct cv_bench_server *server);
struct cv_bench_counters cv_bench_server_counters(const struct cv_bench_server *server);
pid_t cv_bench_server_pid(const struct cv_bench_server *server); // 0: it is not known

#endif
