#include "io/clock.h"

#include "base/check.h"

#include <time.h>

static struct timespec clock_read(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    CV_ASSERT(!failed);
    return now;
}

uint64_t cv_clock_now_us(void)
{
    struct timespec now = clock_read(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t cv_clock_wall_ms(void)
{
    struct timespec now = clock_read(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
