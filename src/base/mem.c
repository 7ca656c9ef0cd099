#include "base/mem.h"

#include "base/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct cv_mem_stats thread_stats;
static _Thread_local uint64_t fail_countdown;

static bool must_fail(void)
{
    if (fail_countdown == 0)
        return false;
    return --fail_countdown == 0;
}

static void *counted(void *memory)
{
    if (memory)
        thread_stats.allocs++;
    return memory;
}

void *cv_mem_alloc(size_t size)
{
    CV_ASSERT(size > 0);
    return must_fail() ? NULL : counted(malloc(size));
}

void *cv_mem_zero(size_t count, size_t size)
{
    CV_ASSERT(count > 0 && size > 0);
    return must_fail() ? NULL : counted(calloc(count, size));
}

void *cv_mem_resize(void *memory, size_t size)
{
    CV_ASSERT(size > 0);
    return must_fail() ? NULL : counted(realloc(memory, size));
}

char *cv_mem_text(const char *text, size_t len)
{
    CV_ASSERT(len < SIZE_MAX);
    char *copy = cv_mem_alloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void cv_mem_free(void *memory)
{
    if (memory)
        thread_stats.frees++;
    free(memory);
}

struct cv_mem_stats cv_mem_stats(void)
{
    return thread_stats;
}

uint64_t cv_mem_fail_nth(uint64_t n)
{
    uint64_t left = fail_countdown;
    fail_countdown = n;
    return left;
}
