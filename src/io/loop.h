// The event loop: one per thread. It knows time, timers, and when a turn ends.
//
// A turn: sleep until a descriptor is ready, a timer expires or somebody wakes the loop; their
// callbacks; the turn function; sleep again. Every function is for the thread that runs the loop
// (before and after cv_loop_run: for the one thread that has it), except cv_loop_wake.
#ifndef CV_IO_LOOP_H
#define CV_IO_LOOP_H

#include "base/check.h"
#include "io/wheel.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_loop;

// NULL when there is no memory or no descriptor left.
struct cv_loop *cv_loop_new(void);
// Finishes closes that are under way (their on_closed functions are called), then frees. All
// watches must be closed or closing, all timers stopped. NULL is allowed.
void cv_loop_free(struct cv_loop *loop);
// Runs turns until cv_loop_stop; then the turn function once more, so that nothing waits in it.
// Returns 0. Can be called again.
int cv_loop_run(struct cv_loop *loop);
// The present turn is the last. Before cv_loop_run: it returns at once.
void cv_loop_stop(struct cv_loop *loop);
// Runs the callbacks of what is ready now without sleeping, the turn function before and after; I/O
// before timers, so that who comes late reads first what is there. For tests and for embedding.
void cv_loop_run_once(struct cv_loop *loop);

// For loops inside others: cv_loop_run_once is due when this descriptor, which stays the loop's, is
// readable, or when so many milliseconds have passed (0: now; -1: there is no limit). What is
// called between two turns may change the time.
int cv_loop_fd(const struct cv_loop *loop);
int cv_loop_timeout_ms(const struct cv_loop *loop);
// Reads the clock anew, for what is called between two turns and starts timers.
void cv_loop_refresh(struct cv_loop *loop);
// Sleeps until cv_loop_run_once is due, at most `max_ms` (-1: no limit). False when a signal woke
// it.
bool cv_loop_sleep(const struct cv_loop *loop, int max_ms);

// Monotonic microseconds, read once per turn, when the loop wakes. Costs nothing.
uint64_t cv_loop_now_us(const struct cv_loop *loop);

// `fn` is called once per turn, after the I/O, the mail and the timers of that turn and before the
// loop sleeps: where viewers are flushed. One function per loop; NULL takes it away.
void cv_loop_on_turn(struct cv_loop *loop, void (*fn)(void *arg), void *arg);

// From any thread: the wake function is called soon, once for any number of wakes before it runs.
// The loop must outlive the call.
void cv_loop_wake(struct cv_loop *loop);
// One function per loop (the mailbox takes it); NULL takes it away.
void cv_loop_on_wake(struct cv_loop *loop, void (*fn)(void *arg), void *arg);

// True on the thread that runs the loop, and on any thread while nobody runs it.
bool cv_loop_is_owner(const struct cv_loop *loop);
#define cv_loop_assert_owner(loop) CV_DASSERT(cv_loop_is_owner(loop))

// A one-shot timer, embedded in its owner, who may free it as soon as it is stopped or has fired.
// Granularity 1 ms; never early by cv_loop_now_us; what a timer's function starts waits for a later
// turn. The members are the loop's.
struct cv_timer {
    struct cv_wheel_node node;
    struct cv_loop *loop;
    void (*fn)(void *arg);
    void *arg;
};

void cv_timer_init(struct cv_timer *timer, struct cv_loop *loop, void (*fn)(void *arg), void *arg);
// Sets it to fire after `after_us` from cv_loop_now_us; one that is set is moved.
void cv_timer_start(struct cv_timer *timer, uint64_t after_us);
// The same by the time of cv_loop_now_us; the past means the next millisecond.
void cv_timer_start_at(struct cv_timer *timer, uint64_t deadline_us);
// Safe when it is not set, and on a zeroed timer that was never initialised.
void cv_timer_stop(struct cv_timer *timer);
bool cv_timer_is_set(const struct cv_timer *timer);

#endif
