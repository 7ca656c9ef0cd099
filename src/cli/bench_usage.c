#include "cli/bench_usage.h"

#include "cli/softirq.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(out, 1, size - 1, file) : 0;
    if (file)
        fclose(file);
    out[len] = '\0';
}

// Fields 14 and 15, counted from behind the name, which may hold anything.
static void read_stat(const char *path, struct cv_bench_usage *out)
{
    char text[1024];
    unsigned long user;
    unsigned long kernel;
    read_file(path, text, sizeof text);
    const char *behind = strrchr(text, ')');
    if (!behind || sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                          &kernel) != 2)
        return;
    uint64_t us_per_tick = UINT64_C(1000000) / (uint64_t)sysconf(_SC_CLK_TCK);
    out->user_us = user * us_per_tick;
    out->system_us = kernel * us_per_tick;
}

// Field 39: where it ran last.
static unsigned last_cpu(const char *path)
{
    char text[1024];
    read_file(path, text, sizeof text);
    const char *at = strrchr(text, ')');
    for (unsigned field = 2; at && field < 39; field++)
        at = strchr(at + 1, ' ');
    return at ? (unsigned)strtoul(at, NULL, 10) : 0;
}

// ---- threads --------------------------------------------------------------------------------

// To the nanosecond, where the clock ticks of `stat` are too coarse for what uses little.
static uint64_t thread_cpu_us(pid_t pid, pid_t thread)
{
    char path[64];
    char text[100];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)pid, (int)thread);
    read_file(path, text, sizeof text);
    return strtoull(text, NULL, 10) / 1000;
}

void cv_bench_threads_of(pid_t pid, struct cv_bench_threads *out)
{
    char path[64];
    const struct dirent *entry;
    out->count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = pid ? opendir(path) : NULL;
    while (dir && out->count < CV_BENCH_THREADS_MAX && (entry = readdir(dir))) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10); // 0: "." and ".."
        if (thread == 0)
            continue;
        out->rows[out->count].id = thread;
        out->rows[out->count++].cpu_us = thread_cpu_us(pid, thread);
    }
    if (dir)
        closedir(dir);
}

static uint64_t cpu_us_before(const struct cv_bench_threads *begin, pid_t id)
{
    for (unsigned i = 0; i < begin->count; i++)
        if (begin->rows[i].id == id)
            return begin->rows[i].cpu_us;
    return 0;
}

struct cv_bench_thread_load cv_bench_thread_load(const struct cv_bench_threads *begin,
                                                 const struct cv_bench_threads *end, uint64_t us)
{
    struct cv_bench_thread_load load = {0};
    for (unsigned i = 0; i < end->count; i++) {
        uint64_t before_us = cpu_us_before(begin, end->rows[i].id);
        uint64_t after_us = end->rows[i].cpu_us;
        double used_us = after_us > before_us ? (double)(after_us - before_us) : 0;
        double percent = 100 * used_us / (double)us;
        load.busy += percent >= 1;
        if (percent > load.percent_max)
            load.percent_max = percent;
    }
    return load;
}

// ---- all of it ------------------------------------------------------------------------------

// What its threads have used by their exact clocks, shared out as the ticks say.
static void make_exact(pid_t pid, struct cv_bench_usage *usage)
{
    struct cv_bench_threads threads;
    uint64_t ticks_us = usage->user_us + usage->system_us;
    uint64_t exact_us = 0;
    cv_bench_threads_of(pid, &threads);
    for (unsigned i = 0; i < threads.count; i++)
        exact_us += threads.rows[i].cpu_us;
    if (ticks_us == 0 || exact_us == 0)
        return;
    usage->user_us = (uint64_t)((double)exact_us * (double)usage->user_us / (double)ticks_us);
    usage->system_us = exact_us - usage->user_us;
}

struct cv_bench_usage cv_bench_usage_of(pid_t pid)
{
    struct cv_bench_usage usage = {0};
    char path[64];
    char text[4096];
    if (pid == 0)
        return usage;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_stat(path, &usage);
    make_exact(pid, &usage);
    usage.softirq_us = cv_softirq_us(last_cpu(path));
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    read_file(path, text, sizeof text);
    const char *rss = strstr(text, "VmRSS:");
    if (rss)
        usage.rss_bytes = strtoull(rss + strlen("VmRSS:"), NULL, 10) * 1024;
    return usage;
}
