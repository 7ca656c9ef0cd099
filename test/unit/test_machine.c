// Threads, signals and names: the thin rest of the machine's room.
#include "harness.h"

#include "base/err.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/signals.h"
#include "io/socket.h"
#include "io/thread.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void note_name(void *arg)
{
    assert_int_equal(pthread_getname_np(pthread_self(), arg, 16), 0);
}

static void threads_have_names(void **state)
{
    (void)state;
    char name[16] = {0};
    struct cv_thread *thread;
    assert_int_equal(cv_thread_start(&thread, "a-name-that-is-too-long", note_name, name), 0);
    cv_thread_join(&thread);
    assert_null(thread);
    cv_thread_join(&thread);
    assert_string_equal(name, "a-name-that-is-");
}

static void note_pinned(void *arg)
{
    unsigned *count = arg;
    assert_int_equal(cv_thread_pin(1000001), 0);
    assert_int_equal(cv_thread_pin(0), 0); // once more: not among the one it has now
    *count = cv_cpu_count();
}

static void pinned_thread_has_one_processor(void **state)
{
    (void)state;
    unsigned before = cv_cpu_count(), pinned = 0;
    struct cv_thread *thread;
    assert_true(before >= 1);
    assert_int_equal(cv_thread_start(&thread, "pinned", note_pinned, &pinned), 0);
    cv_thread_join(&thread);
    assert_int_equal(pinned, 1);
    assert_int_equal(cv_cpu_count(), before);
}

static void note_set(void *arg)
{
    unsigned *count = arg;
    assert_int_equal(cv_thread_pin_set(UINT64_C(1) << 63), CV_E_SYSTEM); // no such one
    assert_int_equal(cv_thread_pin_set(1), 0);
    *count = cv_cpu_count();
    assert_int_equal(cv_thread_pin_set(UINT64_MAX), 0);
}

static void set_of_processors_is_what_a_thread_has(void **state)
{
    (void)state;
    unsigned before = cv_cpu_count(), pinned = 0;
    struct cv_thread *thread;
    if (before >= 64)
        skip();
    assert_int_equal(cv_thread_start(&thread, "pinned", note_set, &pinned), 0);
    cv_thread_join(&thread);
    assert_int_equal(pinned, before > 1 ? 1 : before);
}

static void costs_are_told(void **state)
{
    (void)state;
    uint64_t from_us = cv_thread_cpu_us();
    while (cv_thread_cpu_us() - from_us < 2000)
        continue;
    assert_true(cv_process_cpu_us() >= 2000);
    assert_true(cv_process_rss_bytes() > 100000);
    assert_true(cv_process_raise_descriptors() >= 64);
}

static void note_owner(void *arg)
{
    bool *is_owner = *(void **)arg;
    *is_owner = cv_loop_is_owner(((void **)arg)[1]);
}

static void ask_other_thread(void *arg)
{
    struct cv_thread *thread;
    assert_int_equal(cv_thread_start(&thread, "stranger", note_owner, arg), 0);
    cv_thread_join(&thread);
    cv_loop_stop(((void **)arg)[1]);
}

static void running_loop_has_an_owner(void **state)
{
    (void)state;
    bool is_owner = true;
    struct cv_loop *loop = cv_loop_new();
    void *both[] = {&is_owner, loop};
    note_owner(both);
    assert_true(is_owner);
    cv_loop_on_turn(loop, ask_other_thread, both);
    cv_loop_run(loop);
    assert_false(is_owner);
    cv_loop_free(loop);
}

// ---- signals --------------------------------------------------------------------------------

struct siren {
    struct cv_loop *loop;
    unsigned heard[3], total;
};

static void on_signal(void *arg, enum cv_signal signal)
{
    struct siren *siren = arg;
    siren->heard[signal]++;
    if (++siren->total == 4)
        cv_loop_stop(siren->loop);
}

static void signals_are_heard_on_the_loop(void **state)
{
    (void)state;
    struct siren siren = {.loop = cv_loop_new()};
    struct cv_signals *signals = cv_signals_new(siren.loop, on_signal, &siren);
    assert_non_null(signals);
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < 4; i++)
        kill(getpid(), numbers[i]);
    cv_loop_run(siren.loop);
    assert_int_equal(siren.heard[CV_SIGNAL_STOP], 2);
    assert_int_equal(siren.heard[CV_SIGNAL_RELOAD], 1);
    assert_int_equal(siren.heard[CV_SIGNAL_USER], 1);
    cv_signals_free(signals);
    cv_loop_free(siren.loop);
}

static void closed_pipe_is_no_death(void **state)
{
    (void)state;
    int fds[2];
    cv_signals_ignore_pipe();
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    close(fds[1]);
}

// ---- names ----------------------------------------------------------------------------------

struct question {
    struct cv_loop *loop;
    int code;
    unsigned calls, count;
    struct cv_addr first;
};

static void on_answer(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct question *question = arg;
    question->calls++;
    question->code = code;
    question->count = count;
    if (count)
        question->first = addrs[0];
    cv_loop_stop(question->loop);
}

static void addresses_resolve_to_themselves(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}};
    for (size_t i = 0; i < 2; i++) {
        struct question question = {.loop = cv_loop_new()};
        char text[CV_ADDR_TEXT_BYTES];
        assert_non_null(cv_resolve_start(question.loop, rows[i][0], 80, on_answer, &question));
        assert_int_equal(question.calls, 0);
        cv_loop_run(question.loop);
        assert_int_equal(question.code, 0);
        assert_int_equal(question.count, 1);
        assert_string_equal(cv_addr_print(&question.first, text), rows[i][1]);
        cv_loop_free(question.loop);
    }
}

static void cancelled_question_has_no_answer(void **state)
{
    (void)state;
    struct question question = {.loop = cv_loop_new()};
    struct cv_resolve *resolves[20]; // more than there are helper threads
    for (size_t i = 0; i < 20; i++) {
        resolves[i] = cv_resolve_start(question.loop, "127.0.0.1", 80, on_answer, &question);
        assert_non_null(resolves[i]);
    }
    for (size_t i = 0; i < 20; i++)
        cv_resolve_cancel(&resolves[i]);
    assert_null(resolves[0]);
    cv_resolve_cancel(&resolves[0]);
    cv_loop_free(question.loop);
    assert_int_equal(question.calls, 0);
}

static void impossible_name_is_refused(void **state)
{
    (void)state;
    char name[400];
    struct question question = {.loop = cv_loop_new()};
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_null(cv_resolve_start(question.loop, name, 80, on_answer, &question));
    cv_loop_free(question.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_have_names),
        cmocka_unit_test(pinned_thread_has_one_processor),
        cmocka_unit_test(set_of_processors_is_what_a_thread_has),
        cmocka_unit_test(costs_are_told),
        cmocka_unit_test(running_loop_has_an_owner),
        cmocka_unit_test(signals_are_heard_on_the_loop),
        cmocka_unit_test(closed_pipe_is_no_death),
        cmocka_unit_test(addresses_resolve_to_themselves),
        cmocka_unit_test(cancelled_question_has_no_answer),
        cmocka_unit_test(impossible_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
