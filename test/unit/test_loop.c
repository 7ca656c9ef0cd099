// The loop on the real machine: turns, timers, wakes, watches and their closing.
#include "harness.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

// What happened, as letters in order.
struct story {
    struct cv_loop *loop;
    char text[64];
    size_t len;
    struct cv_timer timers[4];
    struct cv_watch watch;
    int fds[2];
    int left; // turns or events until the end
};

static void tell(struct story *story, char letter)
{
    assert_true(story->len + 1 < sizeof story->text);
    story->text[story->len++] = letter;
    story->text[story->len] = '\0';
}

static struct story *story_new(void)
{
    struct story *story = calloc(1, sizeof *story);
    assert_non_null(story);
    story->loop = cv_loop_new();
    assert_non_null(story->loop);
    assert_int_equal(cv_socket_pair(story->fds), 0);
    return story;
}

static void story_free(struct story *story)
{
    cv_loop_free(story->loop);
    cv_socket_close(&story->fds[0]);
    cv_socket_close(&story->fds[1]);
    free(story);
}

static void poke(struct story *story)
{
    struct iovec one = {.iov_base = (char[]){'x'}, .iov_len = 1};
    assert_int_equal(cv_socket_write(story->fds[1], &one, 1), 1);
}

// ---- timers ---------------------------------------------------------------------------------

static void on_a(void *arg)
{
    tell(arg, 'a');
}

static void on_b(void *arg)
{
    struct story *story = arg;
    tell(story, 'b');
    cv_timer_start(&story->timers[3], 0);
    assert_true(cv_timer_is_set(&story->timers[3]));
}

static void on_stop(void *arg)
{
    struct story *story = arg;
    tell(story, 's');
    cv_loop_stop(story->loop);
}

static void on_restarted(void *arg)
{
    tell(arg, 'r');
}

static void timers_fire_in_order_and_never_early(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_timer_init(&story->timers[0], story->loop, on_a, story);
    cv_timer_init(&story->timers[1], story->loop, on_b, story);
    cv_timer_init(&story->timers[2], story->loop, on_stop, story);
    cv_timer_init(&story->timers[3], story->loop, on_restarted, story);
    uint64_t from_us = cv_loop_now_us(story->loop);
    cv_timer_start(&story->timers[2], 20500);
    cv_timer_start(&story->timers[1], 4000);
    cv_timer_start(&story->timers[0], 0);
    assert_true(cv_timer_is_set(&story->timers[2]));
    cv_loop_run(story->loop);
    assert_string_equal(story->text, "abrs");
    assert_true(cv_loop_now_us(story->loop) >= from_us + 20500);
    assert_true(cv_clock_now_us() >= cv_loop_now_us(story->loop));
    assert_false(cv_timer_is_set(&story->timers[2]));
    story_free(story);
}

static void timer_can_be_moved_and_stopped(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_timer_stop(&story->timers[3]); // zeroed, never initialised
    cv_timer_init(&story->timers[0], story->loop, on_a, story);
    cv_timer_init(&story->timers[1], story->loop, on_stop, story);
    cv_timer_start(&story->timers[0], 1000);
    cv_timer_start(&story->timers[0], UINT64_MAX); // the far end of time
    cv_timer_start_at(&story->timers[1], 1);       // long ago: the next millisecond
    cv_loop_run(story->loop);
    assert_string_equal(story->text, "s");
    assert_true(cv_timer_is_set(&story->timers[0]));
    cv_timer_stop(&story->timers[0]);
    assert_false(cv_timer_is_set(&story->timers[0]));
    story_free(story);
}

static void on_free_other(void *arg)
{
    struct cv_timer **other = arg;
    cv_timer_stop(*other);
    free(*other);
    *other = NULL;
}

static void due_timer_may_be_freed_by_another(void **state)
{
    (void)state;
    struct story *story = story_new();
    struct cv_timer *other = calloc(1, sizeof *other);
    assert_non_null(other);
    uint64_t at_us = cv_loop_now_us(story->loop) + 3000;
    cv_timer_init(&story->timers[0], story->loop, on_free_other, &other);
    cv_timer_init(other, story->loop, on_a, story);
    cv_timer_init(&story->timers[1], story->loop, on_stop, story);
    cv_timer_start_at(&story->timers[0], at_us);
    cv_timer_start_at(other, at_us);
    cv_timer_start_at(&story->timers[1], at_us);
    cv_loop_run(story->loop);
    assert_string_equal(story->text, "s");
    assert_null(other);
    story_free(story);
}

// ---- turns ----------------------------------------------------------------------------------

static void on_turn(void *arg)
{
    struct story *story = arg;
    tell(story, '.');
}

static void on_poked(void *arg, unsigned events)
{
    struct story *story = arg;
    char byte;
    assert_int_equal(events, CV_WATCH_READ);
    assert_int_equal(cv_socket_read(story->fds[0], &byte, 1), 1);
    tell(story, 'r');
    if (story->left-- > 0)
        return;
    cv_watch_close(&story->watch, NULL, NULL);
    cv_loop_stop(story->loop);
}

static void turn_function_follows_the_io(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(
        cv_watch_start(&story->watch, story->loop, story->fds[0], CV_WATCH_READ, on_poked, story),
        0);
    cv_loop_on_turn(story->loop, on_turn, story);
    story->left = 2;
    poke(story);
    poke(story);
    poke(story);
    cv_loop_run(story->loop);
    assert_string_equal(story->text, ".r.r.r.");
    story_free(story);
}

static void on_woken(void *arg)
{
    struct story *story = arg;
    tell(story, 'w');
    if (--story->left == 0)
        cv_loop_stop(story->loop);
    else
        cv_loop_wake(story->loop);
}

static void wakes_are_joined(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_loop_on_wake(story->loop, on_woken, story);
    cv_loop_on_turn(story->loop, on_turn, story);
    story->left = 2;
    for (int i = 0; i < 100; i++)
        cv_loop_wake(story->loop);
    cv_loop_run(story->loop);
    assert_string_equal(story->text, ".w.w.");
    story_free(story);
}

static void stop_before_run_returns_at_once(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_loop_stop(story->loop);
    cv_loop_run(story->loop);
    cv_loop_stop(story->loop); // and does not disturb the end
    story_free(story);
}

static void time_is_read_after_the_sleep(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_timer_init(&story->timers[0], story->loop, on_stop, story);
    cv_timer_start(&story->timers[0], 10000);
    uint64_t before_us = cv_clock_now_us();
    cv_loop_run(story->loop);
    assert_true(cv_loop_now_us(story->loop) >= before_us + 9000);
    assert_true(cv_clock_now_us() - before_us < 5000000);
    assert_true(cv_clock_wall_ms() > UINT64_C(1700000000000));
    story_free(story);
}

// ---- watches --------------------------------------------------------------------------------

static void on_closed(void *arg)
{
    struct story *story = arg;
    tell(story, 'c');
    assert_false(cv_watch_is_open(&story->watch));
}

static void on_close_inside(void *arg, unsigned events)
{
    struct story *story = arg;
    (void)events;
    tell(story, 'r');
    cv_watch_close(&story->watch, on_closed, story);
    cv_socket_close(&story->fds[0]);
    tell(story, '-');
    assert_false(cv_watch_is_open(&story->watch));
    cv_loop_stop(story->loop);
}

static void closing_is_told_later_and_once(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(cv_watch_start(&story->watch, story->loop, story->fds[0], CV_WATCH_READ,
                                    on_close_inside, story),
                     0);
    poke(story);
    cv_loop_run(story->loop);
    assert_string_equal(story->text, "r-c");
    story_free(story);
}

static void loop_free_finishes_closing(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(cv_watch_start(&story->watch, story->loop, story->fds[0], 0, on_poked, story),
                     0);
    cv_watch_close(&story->watch, on_closed, story);
    assert_string_equal(story->text, "");
    cv_loop_free(story->loop);
    assert_string_equal(story->text, "c");
    story->loop = NULL;
    story_free(story);
}

static void on_events(void *arg, unsigned events)
{
    struct story *story = arg;
    tell(story, (char)('0' + events));
}

static void wanted_events_can_change(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(cv_watch_start(&story->watch, story->loop, story->fds[0], 0, on_events, story),
                     0);
    poke(story);
    cv_loop_run_once(story->loop);
    assert_string_equal(story->text, "");
    cv_watch_set(&story->watch, CV_WATCH_READ);
    cv_watch_set(&story->watch, CV_WATCH_READ);
    cv_loop_run_once(story->loop);
    cv_watch_set(&story->watch, CV_WATCH_READ | CV_WATCH_WRITE);
    cv_loop_run_once(story->loop);
    cv_watch_set(&story->watch, CV_WATCH_WRITE);
    cv_loop_run_once(story->loop);
    cv_watch_set(&story->watch, 0);
    cv_loop_run_once(story->loop);
    assert_string_equal(story->text, "132");
    cv_watch_close(&story->watch, NULL, NULL);
    story_free(story);
}

static void hang_up_shows_as_wanted_events(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(
        cv_watch_start(&story->watch, story->loop, story->fds[0], CV_WATCH_WRITE, on_events, story),
        0);
    cv_socket_close(&story->fds[1]);
    cv_loop_run_once(story->loop);
    cv_loop_run_once(story->loop); // level triggered
    assert_string_equal(story->text, "22");
    cv_watch_close(&story->watch, NULL, NULL);
    story_free(story);
}

static void watch_refuses_what_cannot_be_watched(void **state)
{
    (void)state;
    struct story *story = story_new();
    assert_int_equal(
        cv_watch_start(&story->watch, story->loop, 9999, CV_WATCH_READ, on_events, story),
        CV_E_SYSTEM);
    assert_false(cv_watch_is_open(&story->watch));
    story_free(story);
}

// ---- inside another loop --------------------------------------------------------------------

static void outer_loop_knows_when_it_is_due(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_loop_run_once(story->loop);
    assert_true(cv_loop_fd(story->loop) >= 0);
    assert_int_equal(cv_loop_timeout_ms(story->loop), -1);
    assert_int_equal(
        cv_watch_start(&story->watch, story->loop, story->fds[0], CV_WATCH_READ, on_events, story),
        0);
    assert_int_equal(cv_loop_timeout_ms(story->loop),
                     0); // the descriptor knows it in the next turn
    cv_loop_run_once(story->loop);
    assert_int_equal(cv_loop_timeout_ms(story->loop), -1);
    assert_true(cv_loop_sleep(story->loop, 1)); // nothing comes
    poke(story);
    assert_true(cv_loop_sleep(story->loop, -1)); // it is there
    cv_loop_run_once(story->loop);
    assert_string_equal(story->text, "1");
    cv_watch_close(&story->watch, NULL, NULL);
    assert_int_equal(cv_loop_timeout_ms(story->loop), 0);
    story_free(story);
}

// Who comes late reads first what is there: a deadline may have been kept.
static void sleep_until_due(struct cv_loop *loop)
{
    while (cv_loop_timeout_ms(loop) > 0)
        assert_true(cv_loop_sleep(loop, -1));
}

static void run_until(struct story *story, const char *text)
{
    for (int i = 0; i < 1000 && strcmp(story->text, text) != 0; i++) {
        cv_loop_sleep(story->loop, 100);
        cv_loop_run_once(story->loop);
    }
}

// What is called between two turns may ask for the time.
static void time_can_be_read_between_turns(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_loop_run_once(story->loop);
    uint64_t before_us = cv_loop_now_us(story->loop);
    cv_timer_init(&story->timers[0], story->loop, on_a, story);
    cv_timer_start(&story->timers[0], 2000);
    sleep_until_due(story->loop);
    assert_true(cv_loop_now_us(story->loop) == before_us);
    cv_loop_refresh(story->loop);
    assert_true(cv_loop_now_us(story->loop) > before_us);
    cv_timer_stop(&story->timers[0]);
    story_free(story);
}

static void on_readable(void *arg, unsigned events)
{
    struct story *story = arg;
    char byte;
    tell(story, (char)('0' + events));
    assert_int_equal(cv_socket_read(story->fds[0], &byte, 1), 1);
}

static void late_turns_do_io_before_timers(void **state)
{
    (void)state;
    struct story *story = story_new();
    cv_timer_init(&story->timers[0], story->loop, on_a, story);
    assert_int_equal(cv_watch_start(&story->watch, story->loop, story->fds[0], CV_WATCH_READ,
                                    on_readable, story),
                     0);
    cv_loop_run_once(story->loop);
    cv_timer_start(&story->timers[0], 3000);
    assert_in_range(cv_loop_timeout_ms(story->loop), 0, 4);
    sleep_until_due(story->loop);
    poke(story);
    cv_loop_run_once(story->loop);
    run_until(story, "1a"); // the timer's millisecond may not quite have passed
    assert_string_equal(story->text, "1a");
    cv_watch_close(&story->watch, NULL, NULL);
    story_free(story);
}

static bool make_loop(void *arg)
{
    (void)arg;
    struct cv_loop *loop = cv_loop_new();
    cv_loop_free(loop);
    return loop != NULL;
}

static void loop_survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(make_loop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_and_never_early),
        cmocka_unit_test(timer_can_be_moved_and_stopped),
        cmocka_unit_test(due_timer_may_be_freed_by_another),
        cmocka_unit_test(turn_function_follows_the_io),
        cmocka_unit_test(wakes_are_joined),
        cmocka_unit_test(stop_before_run_returns_at_once),
        cmocka_unit_test(time_is_read_after_the_sleep),
        cmocka_unit_test(closing_is_told_later_and_once),
        cmocka_unit_test(loop_free_finishes_closing),
        cmocka_unit_test(wanted_events_can_change),
        cmocka_unit_test(hang_up_shows_as_wanted_events),
        cmocka_unit_test(watch_refuses_what_cannot_be_watched),
        cmocka_unit_test(outer_loop_knows_when_it_is_due),
        cmocka_unit_test(time_can_be_read_between_turns),
        cmocka_unit_test(late_turns_do_io_before_timers),
        cmocka_unit_test(loop_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
