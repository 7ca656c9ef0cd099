#include "io/loop.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/loop_uv.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <uv.h>

enum { US_PER_TICK = 1000 };

struct cv_loop {
    uv_loop_t uv;
    uv_prepare_t prepare; // runs just before the loop sleeps
    uv_timer_t timer;     // the one timer: when the wheel wants to move
    uv_async_t async;
    struct cv_wheel wheel;
    uint64_t now_us;
    uint64_t armed_tick; // when `timer` goes off; CV_WHEEL_NEVER while it is stopped
    bool slept;          // now_us is of the turn before
    bool running;
    bool awake;      // it never sleeps: timers wait for the end of the turn
    pthread_t owner; // while running
    void (*on_turn)(void *arg);
    void *turn_arg;
    void (*on_wake)(void *arg);
    void *wake_arg;
};

void *cv__loop_uv(struct cv_loop *loop)
{
    return &loop->uv;
}

void cv__loop_enter(struct cv_loop *loop)
{
    cv_loop_assert_owner(loop);
    if (!loop->slept)
        return;
    loop->now_us = cv_clock_now_us();
    loop->slept = false;
}

bool cv_loop_is_owner(const struct cv_loop *loop)
{
    return !loop->running || pthread_equal(loop->owner, pthread_self());
}

uint64_t cv_loop_now_us(const struct cv_loop *loop)
{
    return loop->now_us;
}

// ---- turns ----------------------------------------------------------------------------------

static void loop_fire(struct cv_loop *loop)
{
    cv_wheel_advance(&loop->wheel, loop->now_us / US_PER_TICK);
    for (struct cv_wheel_node *node; (node = cv_wheel_pop(&loop->wheel));) {
        struct cv_timer *timer =
            (struct cv_timer *)((char *)node - offsetof(struct cv_timer, node));
        timer->fn(timer->arg);
    }
}

static void on_uv_timer(uv_timer_t *handle)
{
    struct cv_loop *loop = handle->data;
    cv__loop_enter(loop);
    loop->armed_tick = CV_WHEEL_NEVER;
    loop_fire(loop);
}

// Sets the one timer for the wheel's next event. uv's clock is the same monotonic one, but coarser:
// the timer may go off a little late, and is set again when it went off early.
static void loop_arm(struct cv_loop *loop)
{
    uint64_t next = loop->awake ? CV_WHEEL_NEVER : cv_wheel_next(&loop->wheel);
    if (next == loop->armed_tick)
        return;
    loop->armed_tick = next;
    if (next == CV_WHEEL_NEVER) {
        uv_timer_stop(&loop->timer);
        return;
    }
    uint64_t now = uv_now(&loop->uv);
    uv_timer_start(&loop->timer, on_uv_timer, next > now ? next - now : 0, 0);
}

static void loop_end_turn(struct cv_loop *loop)
{
    if (loop->on_turn)
        loop->on_turn(loop->turn_arg);
}

static void on_uv_prepare(uv_prepare_t *handle)
{
    struct cv_loop *loop = handle->data;
    cv__loop_enter(loop);
    loop_end_turn(loop);
    loop_arm(loop);
    loop->slept = true;
}

static void on_uv_async(uv_async_t *handle)
{
    struct cv_loop *loop = handle->data;
    cv__loop_enter(loop);
    if (loop->on_wake)
        loop->on_wake(loop->wake_arg);
}

static void loop_run(struct cv_loop *loop, uv_run_mode mode)
{
    CV_ASSERT(!loop->running);
    loop->owner = pthread_self();
    loop->running = true;
    loop->slept = true;
    loop->awake = mode == UV_RUN_NOWAIT;
    loop_arm(loop);
    uv_run(&loop->uv, mode);
    cv__loop_enter(loop);
    if (loop->awake)
        loop_fire(loop);
    loop_end_turn(loop);
    loop->running = false;
}

int cv_loop_run(struct cv_loop *loop)
{
    loop_run(loop, UV_RUN_DEFAULT);
    return CV_OK;
}

void cv_loop_run_once(struct cv_loop *loop)
{
    loop_run(loop, UV_RUN_NOWAIT);
}

int cv_loop_fd(const struct cv_loop *loop)
{
    return uv_backend_fd(&loop->uv);
}

int cv_loop_timeout_ms(const struct cv_loop *loop)
{
    if (uv_backend_timeout(&loop->uv) == 0) // watches to enter, handles to close
        return 0;
    uint64_t next = cv_wheel_next(&loop->wheel);
    if (next == CV_WHEEL_NEVER)
        return -1;
    uint64_t now = cv_clock_now_us() / US_PER_TICK;
    if (next <= now)
        return 0;
    return next - now < INT_MAX ? (int)(next - now) : INT_MAX;
}

void cv_loop_refresh(struct cv_loop *loop)
{
    loop->slept = true;
    cv__loop_enter(loop);
}

bool cv_loop_sleep(const struct cv_loop *loop, int max_ms)
{
    struct pollfd ready = {.fd = cv_loop_fd(loop), .events = POLLIN};
    int timeout_ms = cv_loop_timeout_ms(loop);
    if (timeout_ms < 0 || (max_ms >= 0 && max_ms < timeout_ms))
        timeout_ms = max_ms;
    return poll(&ready, 1, timeout_ms) >= 0 || errno != EINTR;
}

void cv_loop_stop(struct cv_loop *loop)
{
    cv_loop_assert_owner(loop);
    uv_stop(&loop->uv);
}

void cv_loop_on_turn(struct cv_loop *loop, void (*fn)(void *arg), void *arg)
{
    cv_loop_assert_owner(loop);
    loop->on_turn = fn;
    loop->turn_arg = arg;
}

void cv_loop_wake(struct cv_loop *loop)
{
    int failed = uv_async_send(&loop->async);
    CV_ASSERT(!failed);
}

void cv_loop_on_wake(struct cv_loop *loop, void (*fn)(void *arg), void *arg)
{
    cv_loop_assert_owner(loop);
    loop->on_wake = fn;
    loop->wake_arg = arg;
}

// ---- life -----------------------------------------------------------------------------------

struct cv_loop *cv_loop_new(void)
{
    struct cv_loop *loop = cv_mem_zero(1, sizeof *loop);
    if (!loop)
        return NULL;
    if (uv_loop_init(&loop->uv))
        goto fail;
    if (uv_async_init(&loop->uv, &loop->async, on_uv_async)) {
        uv_loop_close(&loop->uv);
        goto fail;
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_timer_init(&loop->uv, &loop->timer);
    loop->async.data = loop->prepare.data = loop->timer.data = loop;
    loop->now_us = cv_clock_now_us();
    loop->armed_tick = CV_WHEEL_NEVER;
    cv_wheel_init(&loop->wheel, loop->now_us / US_PER_TICK);
    uv_prepare_start(&loop->prepare, on_uv_prepare);
    return loop;
fail:
    cv_mem_free(loop);
    return NULL;
}

static void check_closing(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (handle->type == UV_PROCESS && !uv_is_closing(handle))
        cv__process_let_go((uv_process_t *)handle);
    CV_ASSERT(uv_is_closing(handle)); // otherwise its owner forgot to close it
}

void cv_loop_free(struct cv_loop *loop)
{
    if (!loop)
        return;
    CV_ASSERT(!loop->running);
    loop->on_turn = NULL;
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_walk(&loop->uv, check_closing, NULL);
    loop->slept = true;
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
        continue; // an earlier cv_loop_stop cuts the first run short
    CV_ASSERT(loop->wheel.count == 0);
    int busy = uv_loop_close(&loop->uv);
    CV_ASSERT(!busy);
    cv_mem_free(loop);
}

// ---- timers ---------------------------------------------------------------------------------

void cv_timer_init(struct cv_timer *timer, struct cv_loop *loop, void (*fn)(void *arg), void *arg)
{
    *timer = (struct cv_timer){.loop = loop, .fn = fn, .arg = arg};
}

void cv_timer_start_at(struct cv_timer *timer, uint64_t deadline_us)
{
    cv_loop_assert_owner(timer->loop);
    uint64_t tick = deadline_us / US_PER_TICK + (deadline_us % US_PER_TICK != 0);
    cv_timer_stop(timer);
    cv_wheel_start(&timer->loop->wheel, &timer->node, tick);
}

void cv_timer_start(struct cv_timer *timer, uint64_t after_us)
{
    uint64_t now_us = timer->loop->now_us;
    cv_timer_start_at(timer, after_us < UINT64_MAX - now_us ? now_us + after_us : UINT64_MAX);
}

void cv_timer_stop(struct cv_timer *timer)
{
    if (!cv_wheel_is_set(&timer->node))
        return;
    cv_loop_assert_owner(timer->loop);
    cv_wheel_stop(&timer->loop->wheel, &timer->node);
}

bool cv_timer_is_set(const struct cv_timer *timer)
{
    return cv_wheel_is_set(&timer->node);
}
