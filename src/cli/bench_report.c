#include "cli/bench_run.h"

#include <stdio.h>

// What is printed: one list for people and for programs. A value that was not measured is left out.
struct metric {
    const char *key;  // in JSON
    const char *text; // in the table
    const char *unit;
    int digits; // behind the point
    double value;
    const char *word; // instead of a value, or NULL
};

enum { METRICS_MAX = 64 };

struct metrics {
    struct metric rows[METRICS_MAX];
    unsigned count;
};

static void add(struct metrics *metrics, const char *key, const char *text, const char *unit,
                int digits, double value)
{
    if (metrics->count < METRICS_MAX)
        metrics->rows[metrics->count++] = (struct metric){key, text, unit, digits, value, NULL};
}

static void add_word(struct metrics *metrics, const char *key, const char *text, const char *word)
{
    add(metrics, key, text, "", 0, 0);
    metrics->rows[metrics->count - 1].word = word;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double difference(uint64_t a, uint64_t b)
{
    return a > b ? (double)(a - b) : 0;
}

static double milliseconds(const struct cv_histogram *histogram, double percent)
{
    return (double)cv_histogram_at(histogram, percent) / 1000;
}

static void add_scenario(struct metrics *metrics, const struct cv_bench_options *options,
                         const struct cv_bench_result *result)
{
    add(metrics, "publishers", "publishers", "", 0, options->idle ? 1 : options->publishers);
    add(metrics, "players", "players in all", "", 0, result->players);
    if (!options->join_rate)
        add(metrics, "checked", "who check every message", "", 0, result->checked);
    if (!options->idle) {
        add(metrics, "bitrate_kbps", "bit rate of a stream", "kb/s", 0,
            options->shape.bitrate_kbps);
        add(metrics, "seconds", "measured", "s", 1, result->seconds);
    }
    if (!options->url) {
        add(metrics, "threads", "threads of the server", "", 0, options->threads);
        add(metrics, "latency_ms", "flush window", "ms", 0, options->latency_ms);
    }
}

static void add_delivery(struct metrics *metrics, const struct cv_bench_result *result)
{
    add(metrics, "messages_per_s", "messages delivered", "/s", 0,
        ratio((double)result->messages, result->seconds));
    add(metrics, "megabits_per_s", "delivered", "Mb/s", 1,
        ratio((double)result->bytes * 8e-6, result->seconds));
    add(metrics, "latency_p50_ms", "latency, half below", "ms", 2,
        milliseconds(&result->latency_us, 50));
    add(metrics, "latency_p90_ms", "latency, 90 % below", "ms", 2,
        milliseconds(&result->latency_us, 90));
    add(metrics, "latency_p99_ms", "latency, 99 % below", "ms", 2,
        milliseconds(&result->latency_us, 99));
    add(metrics, "latency_max_ms", "latency, worst", "ms", 2,
        milliseconds(&result->latency_us, 100));
}

static void add_limit(struct metrics *metrics, const struct cv_bench_result *result)
{
    static const char *const words[] = {
        [CV_BENCH_HOLDS] = "nothing",     [CV_BENCH_LIMITED_P99] = "p99",
        [CV_BENCH_LIMITED_LOST] = "lost", [CV_BENCH_LIMITED_BENCH] = "bench",
        [CV_BENCH_LIMITED_CAP] = "cap",
    };
    add(metrics, "players_max", "most players that held", "", 0, result->players_held);
    add(metrics, "players_p99_ms", "their latency, 99 % below", "ms", 2,
        milliseconds(&result->latency_us, 99));
    add_word(metrics, "limited_by", "why not more", words[result->limited_by]);
}

static void add_joins(struct metrics *metrics, const struct cv_bench_result *result)
{
    add(metrics, "joins", "players who came and left", "", 0, (double)result->joins);
    add(metrics, "joins_per_s", "of them in a second", "/s", 1,
        ratio((double)result->joins, result->seconds));
    add(metrics, "joins_failed", "who came in vain", "", 0, (double)result->joins_failed);
    if (result->has_usage)
        add(metrics, "server_cpu_us_per_join", "server: processor per join", "us", 1,
            result->server_cpu_us_per_join);
}

static void add_integrity(struct metrics *metrics, const struct cv_bench_result *result)
{
    add(metrics, "join_p50_ms", "connect to key frame, half below", "ms", 1,
        milliseconds(&result->join_us, 50));
    add(metrics, "join_p99_ms", "connect to key frame, 99 % below", "ms", 1,
        milliseconds(&result->join_us, 99));
    add(metrics, "gaps", "messages missing", "", 0, (double)result->gaps);
    add(metrics, "doubles", "messages twice", "", 0, (double)result->doubles);
    add(metrics, "damaged", "messages damaged", "", 0, (double)result->damaged);
    add(metrics, "lost_connections", "connections lost", "", 0, (double)result->lost);
}

static void add_cpu(struct metrics *metrics, const struct cv_bench_result *result)
{
    double user = difference(result->end.user_us, result->begin.user_us) * 1e-6;
    double kernel = difference(result->end.system_us, result->begin.system_us) * 1e-6;
    add(metrics, "server_cpu_percent", "server: processor", "% of one", 1,
        100 * ratio(user + kernel, result->seconds));
    add(metrics, "server_thread_cpu_percent_max", "server: busiest thread", "% of one", 1,
        result->threads.percent_max);
    add(metrics, "server_threads_busy", "server: threads with 1 % or more", "", 0,
        result->threads.busy);
    add(metrics, "server_softirq_percent", "beside it: the kernel's ksoftirqd", "% of one", 1,
        100 * ratio(difference(result->end.softirq_us, result->begin.softirq_us) * 1e-6,
                    result->seconds));
    add(metrics, "server_user_s", "server: in user space", "s", 2, user);
    add(metrics, "server_system_s", "server: in the kernel", "s", 2, kernel);
    add(metrics, "server_user_share_percent", "server: user space's share", "%", 1,
        100 * ratio(user, user + kernel));
    add(metrics, "server_cpu_s_per_gb", "server: processor per GB", "s", 3,
        ratio(user + kernel, (double)result->bytes * 1e-9));
}

static void add_memory(struct metrics *metrics, const struct cv_bench_options *options,
                       const struct cv_bench_result *result)
{
    double kib = 1.0 / 1024;
    add(metrics, "rss_before_kib", "memory before players", "KiB", 0,
        (double)result->before.rss_bytes * kib);
    if (!options->until.p99_ms) {
        add(metrics, "rss_idle_kib", "memory with idle viewers", "KiB", 0,
            (double)result->idle.rss_bytes * kib);
        add(metrics, "idle_viewer_kib", "memory per idle viewer", "KiB", 2,
            ratio(difference(result->idle.rss_bytes, result->before.rss_bytes) * kib,
                  result->players));
    }
    if (options->idle)
        return;
    add(metrics, "rss_load_kib", "memory under load", "KiB", 0,
        (double)result->end.rss_bytes * kib);
    if (options->publishers > 1)
        return; // it is the streams' then
    add(metrics, "load_viewer_kib", "memory per viewer under load", "KiB", 2,
        ratio(difference(result->end.rss_bytes, result->before.rss_bytes) * kib, result->players));
}

static void add_counters(struct metrics *metrics, const struct cv_bench_result *result)
{
    const struct cv_bench_counters *counted = &result->counted;
    double messages = (double)counted->messages_out;
    add(metrics, "allocs_per_message", "allocations per message and viewer", "", 5,
        ratio((double)counted->allocs, messages));
    add(metrics, "writes_per_flush", "writes per flush", "", 3,
        ratio((double)counted->writes, (double)counted->flushes));
    add(metrics, "messages_per_write", "messages per write", "", 2,
        ratio(messages, (double)counted->writes));
    add(metrics, "bytes_per_write", "bytes per write", "", 0,
        ratio((double)counted->bytes_out, (double)counted->writes));
    add(metrics, "jumps", "jumps of slow viewers", "", 0, (double)counted->jumps);
}

static void add_bench(struct metrics *metrics, const struct cv_bench_result *result)
{
    add(metrics, "bench_cpu_percent", "bench: processor", "% of one", 1,
        100 * ratio((double)result->own_cpu_us * 1e-6, result->seconds));
    add(metrics, "bench_lag_p99_ms", "bench: late by, 99 % below", "ms", 2,
        milliseconds(&result->lag_us, 99));
    add(metrics, "bench_unsent", "bench: messages unsent", "", 0, (double)result->late);
}

static void collect(struct metrics *metrics, const struct cv_bench_options *options,
                    const struct cv_bench_result *result)
{
    bool flows = !options->idle;
    add_scenario(metrics, options, result);
    if (options->until.p99_ms)
        add_limit(metrics, result);
    if (options->join_rate)
        add_joins(metrics, result);
    else if (flows)
        add_delivery(metrics, result);
    add_integrity(metrics, result);
    if (result->has_usage && flows)
        add_cpu(metrics, result);
    if (result->has_usage && !options->join_rate)
        add_memory(metrics, options, result);
    if (result->has_counters && flows)
        add_counters(metrics, result);
    if (flows)
        add_bench(metrics, result);
}

static void print_table(const struct metrics *metrics)
{
    for (unsigned i = 0; i < metrics->count; i++) {
        const struct metric *row = &metrics->rows[i];
        if (row->word)
            printf("%-36s %12s\n", row->text, row->word);
        else
            printf("%-36s %12.*f %s\n", row->text, row->digits, row->value, row->unit);
    }
}

static void print_json(const struct metrics *metrics, bool intact)
{
    printf("{\n");
    for (unsigned i = 0; i < metrics->count; i++) {
        const struct metric *row = &metrics->rows[i];
        if (row->word)
            printf("  \"%s\": \"%s\",\n", row->key, row->word);
        else
            printf("  \"%s\": %.*f,\n", row->key, row->digits, row->value);
    }
    printf("  \"intact\": %s\n}\n", intact ? "true" : "false");
}

bool cv_bench_report(const struct cv_bench_options *options, const struct cv_bench_result *result)
{
    struct metrics metrics = {.count = 0};
    bool intact = result->gaps == 0 && result->doubles == 0 && result->damaged == 0 &&
                  result->lost == 0 && result->joins_failed == 0 && !result->trouble[0];
    collect(&metrics, options, result);
    if (options->stream.json) {
        print_json(&metrics, intact);
        return intact;
    }
    print_table(&metrics);
    if (intact)
        printf("\nEvery player got every message, once and undamaged.\n");
    else
        printf("\nNOT INTACT%s%s\n", result->trouble[0] ? ": " : "", result->trouble);
    return intact;
}
