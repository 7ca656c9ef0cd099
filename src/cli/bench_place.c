// Where the bench's server is, and on which processors everything runs.
#include "cli/bench_state.h"

#include "io/resolve.h"
#include "io/thread.h"
#include "io/tls_trust.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char place[] = "bench";

// The streams of URL are URL/bench<pid>_<number>, with its query.
// `trust`: as cv_stream_plan_make.
static int make_plan(struct cv_bench *bench, const char *url, struct cv_tls_trust *trust)
{
    char text[CV_LIMIT_URL_BYTES + 1];
    struct cv_text base = cv_text_of(url);
    base.len = cv_text_find(base, '?');
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    int len = snprintf(text, sizeof text, "%.*s/bench%d%s", (int)base.len, base.at, (int)getpid(),
                       base.at + cv_text_find(cv_text_of(base.at), '?'));
    if (len < 0 || (size_t)len >= sizeof text)
        return cv_why_set(bench->why, CV_E_URL, place, "--url is too long");
    int err = cv_stream_plan_make(&bench->plan, &bench->options->stream, text, trust, bench->why);
    if (err == CV_OK && !bench->plan.target.name[0])
        err = cv_why_set(bench->why, CV_E_URL, place, "--url: rtmp://host[:port]/app is needed");
    return err;
}

// ---- one that runs already --------------------------------------------------------------------

static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct cv_bench *bench = arg;
    bench->resolve = NULL;
    if (code != CV_OK || count == 0) {
        cv__bench_give_up(bench, "the server's name is not known");
        return;
    }
    memcpy(bench->addrs, addrs, count * sizeof *addrs);
    bench->addr_count = count;
}

static int look_up(struct cv_bench *bench)
{
    const struct cv_target *target = &bench->plan.target;
    int err = make_plan(bench, bench->options->url, NULL);
    if (err != CV_OK)
        return err;
    bench->resolve = cv_resolve_start(bench->loop, target->host, target->port, on_resolved, bench);
    bench->server = cv_bench_server_attach(bench->options->server_pid);
    return bench->resolve && bench->server ? CV_OK : CV_E_NOMEM;
}

// ---- one of our own ---------------------------------------------------------------------------

// One thread beside the bench's own: nothing of the scheduler's choices is measured.
static bool pins_by_itself(const struct cv_bench *bench)
{
    return !bench->options->url && bench->options->threads == 1 && cv_cpu_count() > 1;
}

static int start(struct cv_bench *bench)
{
    struct cv_bench_server_options options = {
        .threads = bench->options->threads,
        .latency_ms = bench->options->latency_ms,
        .tls = bench->options->tls,
        .cpus = bench->options->server_cpus,
    };
    char url[64];
    if (options.cpus == 0 && pins_by_itself(bench))
        options.cpus = 1;
    int err = cv_bench_server_start(bench->loop, &options, &bench->server, bench->why);
    if (err != CV_OK)
        return err;
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/live", options.tls ? "rtmps" : "rtmp",
             cv_bench_server_port(bench->server));
    // A child of our own needs no vouching for.
    struct cv_tls_trust *trust;
    err = cv_tls_trust_new(&trust, &(struct cv_tls_trust_config){.insecure = true}, bench->why);
    if (err != CV_OK)
        return err;
    err = make_plan(bench, url, trust);
    cv_tls_trust_unref(&trust);
    return err;
}

// ---- processors -------------------------------------------------------------------------------

// "3" or "3-5", up to the next comma.
static bool read_range(struct cv_text *list, uint64_t *from, uint64_t *to)
{
    struct cv_text range = {list->at, cv_text_find(*list, ',')};
    struct cv_text first = {range.at, cv_text_find(range, '-')};
    struct cv_text last = first;
    if (first.len < range.len)
        last = (struct cv_text){range.at + first.len + 1, range.len - first.len - 1};
    size_t used = range.len < list->len ? range.len + 1 : range.len;
    bool more = used == range.len || used < list->len; // nothing behind a comma is wrong
    *list = (struct cv_text){list->at + used, list->len - used};
    return more && cv_text_u64(first, 0, CV_BENCH_CPUS_MAX - 1, from) == CV_OK &&
           cv_text_u64(last, *from, CV_BENCH_CPUS_MAX - 1, to) == CV_OK;
}

bool cv_bench_read_cpus(struct cv_text list, uint64_t *out)
{
    uint64_t set = 0;
    uint64_t from;
    uint64_t to;
    do {
        if (!read_range(&list, &from, &to))
            return false;
        for (uint64_t cpu = from; cpu <= to; cpu++)
            set |= UINT64_C(1) << cpu;
    } while (list.len);
    *out = set;
    return true;
}

static int check_cpus(const struct cv_bench *bench)
{
    uint64_t all = bench->options->server_cpus | bench->options->bench_cpus;
    unsigned count = cv_cpu_count();
    if (count >= CV_BENCH_CPUS_MAX || all >> count == 0)
        return CV_OK;
    return cv_why_set(bench->why, CV_E_USAGE, place,
                      "--server-cpus, --bench-cpu: the last one here is %u", count - 1);
}

// Behind the server's start, which must not inherit it.
static void pin_self(const struct cv_bench *bench)
{
    uint64_t cpus = bench->options->bench_cpus;
    if (cpus == 0 && pins_by_itself(bench))
        cpus = 2;
    if (cpus)
        cv_thread_pin_set(cpus);
}

int cv__bench_find_server(struct cv_bench *bench)
{
    int err = check_cpus(bench);
    if (err == CV_OK)
        err = bench->options->url ? look_up(bench) : start(bench);
    if (err == CV_OK)
        pin_self(bench);
    return err;
}
