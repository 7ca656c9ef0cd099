#include "io/thread.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 16 }; // the kernel's limit, with the NUL

struct cv_thread {
    pthread_t handle;
    void (*fn)(void *arg);
    void *arg;
    char name[NAME_BYTES];
};

static void *thread_main(void *arg)
{
    struct cv_thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    return NULL;
}

int cv_thread_start(struct cv_thread **out, const char *name, void (*fn)(void *arg), void *arg)
{
    struct cv_thread *thread = cv_mem_zero(1, sizeof *thread);
    if (!thread)
        return CV_E_NOMEM;
    thread->fn = fn;
    thread->arg = arg;
    snprintf(thread->name, sizeof thread->name, "%s", name);
    if (pthread_create(&thread->handle, NULL, thread_main, thread)) {
        cv_mem_free(thread);
        return CV_E_SYSTEM;
    }
    *out = thread;
    return CV_OK;
}

void cv_thread_join(struct cv_thread **thread)
{
    if (!*thread)
        return;
    int failed = pthread_join((*thread)->handle, NULL);
    CV_ASSERT(!failed);
    cv_mem_free(*thread);
    *thread = NULL;
}

// ---- processors -----------------------------------------------------------------------------

unsigned cv_cpu_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        int count = CPU_COUNT(&allowed);
        return count > 0 ? (unsigned)count : 1;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN); // more processors than the set has room for
    return online > 0 ? (unsigned)online : 1;
}

// Ties to those that `wants` says yes to, by their place among the allowed.
static int pin(bool (*wants)(unsigned nth, uint64_t arg), uint64_t arg, const cpu_set_t *allowed)
{
    cpu_set_t wanted;
    unsigned nth = 0;
    CPU_ZERO(&wanted);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, allowed) && wants(nth++, arg))
            CPU_SET(cpu, &wanted);
    return sched_setaffinity(0, sizeof wanted, &wanted) ? CV_E_SYSTEM : CV_OK; // none: EINVAL
}

// Of the main thread: the calling one may be tied already.
static int allowed_cpus(cpu_set_t *out)
{
    return sched_getaffinity(getpid(), sizeof *out, out) ? CV_E_SYSTEM : CV_OK;
}

static bool is_nth(unsigned nth, uint64_t n)
{
    return nth == n;
}

static bool is_in_set(unsigned nth, uint64_t set)
{
    return nth < 64 && (set >> nth & 1);
}

int cv_thread_pin(unsigned n)
{
    cpu_set_t allowed;
    int err = allowed_cpus(&allowed);
    return err == CV_OK ? pin(is_nth, n % (unsigned)CPU_COUNT(&allowed), &allowed) : err;
}

int cv_thread_pin_set(uint64_t set)
{
    cpu_set_t allowed;
    int err = allowed_cpus(&allowed);
    return err == CV_OK ? pin(is_in_set, set, &allowed) : err;
}

// ---- costs ----------------------------------------------------------------------------------

static uint64_t cpu_us(clockid_t clock)
{
    struct timespec used = {0};
    clock_gettime(clock, &used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

uint64_t cv_thread_cpu_us(void)
{
    return cpu_us(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t cv_process_cpu_us(void)
{
    return cpu_us(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t cv_process_rss_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    int fields = fscanf(file, "%*u %lu", &pages);
    fclose(file);
    return fields == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t cv_process_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? before : limit.rlim_cur;
}
