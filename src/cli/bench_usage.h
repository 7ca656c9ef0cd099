// What the system knows of a process that is measured: proc(5), /proc/PID/schedstat. Thin.
#ifndef CV_CLI_BENCH_USAGE_H
#define CV_CLI_BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct cv_bench_usage {
    uint64_t user_us;
    uint64_t system_us;
    uint64_t rss_bytes;
    uint64_t softirq_us; // cli/softirq.h: of the processor where it ran last
};

enum { CV_BENCH_THREADS_MAX = 128 }; // more are not looked at

struct cv_bench_threads {
    unsigned count;
    struct {
        pid_t id;
        uint64_t cpu_us;
    } rows[CV_BENCH_THREADS_MAX];
};

// Zeroes when `pid` is 0, or no such process is there.
struct cv_bench_usage cv_bench_usage_of(pid_t pid);
void cv_bench_threads_of(pid_t pid, struct cv_bench_threads *out);

struct cv_bench_thread_load {
    double percent_max; // of one processor: the busiest thread
    unsigned busy;      // threads with 1 % and more
};
// Between two looks that lie `us` (> 0) apart. A thread that began in between counts from 0.
struct cv_bench_thread_load cv_bench_thread_load(const struct cv_bench_threads *begin,
                                                 const struct cv_bench_threads *end, uint64_t us);

#endif
