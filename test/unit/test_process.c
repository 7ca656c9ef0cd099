// Child processes: their lines, their ends, their time, and what is left of them.
#include "harness.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT_MS = 20000, WAIT_US = 20 * 1000000 };

struct seen {
    struct cv_loop *loop;
    struct cv_process *process;
    char text[8192]; // lines, a '|' behind each
    unsigned lines;
    unsigned ends;
    struct cv_process_end end;
    const char *free_at; // a line at which it is freed
};

static void on_line(void *arg, const char *text, size_t len)
{
    struct seen *seen = arg;
    char line[CV_PROCESS_LINE_BYTES + 2];
    assert_true(len > 0 && len <= CV_PROCESS_LINE_BYTES);
    snprintf(line, sizeof line, "%.*s|", (int)len, text);
    append_text(seen->text, sizeof seen->text, line);
    seen->lines++;
    if (seen->free_at && strncmp(seen->free_at, text, len) == 0)
        cv_process_free(&seen->process);
}

static void on_ended(void *arg, const struct cv_process_end *end)
{
    struct seen *seen = arg;
    seen->ends++;
    seen->end = *end;
    cv_process_free(&seen->process);
}

static const struct cv_process_user user = {.line = on_line, .ended = on_ended};

static int start(struct seen *seen, const char *const *argv, const char *const *env,
                 uint64_t limit_ms)
{
    const struct cv_process_plan plan = {.argv = argv, .env = env, .limit_ms = limit_ms};
    return cv_process_start(&seen->process, seen->loop, &plan, &user, seen);
}

static void run_to_end(struct seen *seen)
{
    uint64_t deadline_us = cv_clock_now_us() + WAIT_US;
    while (seen->process) {
        assert_true(cv_clock_now_us() < deadline_us);
        cv_loop_sleep(seen->loop, 100);
        cv_loop_run_once(seen->loop);
    }
}

static struct seen seen_new(void)
{
    struct seen seen = {.loop = cv_loop_new()};
    assert_non_null(seen.loop);
    return seen;
}

static struct seen run_shell(const char *script, uint64_t limit_ms)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct seen seen = seen_new();
    assert_int_equal(start(&seen, argv, NULL, limit_ms), CV_OK);
    run_to_end(&seen);
    cv_loop_free(seen.loop);
    seen.loop = NULL;
    return seen;
}

static void lines_of_both_outputs_and_the_exit_code(void **state)
{
    (void)state;
    struct seen seen =
        run_shell("echo one; echo; echo two >&2; printf 'a\\r\\nno end'; exit 7", LIMIT_MS);
    assert_string_equal(seen.text, "one|two|a|no end|");
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.end.status, 7);
    assert_int_equal(seen.end.signal, 0);
    assert_false(seen.end.timed_out);
}

static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    struct seen seen = run_shell("printf '%2500s\\n' x; echo end", LIMIT_MS);
    assert_int_equal(seen.lines, 4);
    assert_non_null(strstr(seen.text, "x|end|"));
    assert_int_equal(strlen(seen.text), 2500 + 3 + strlen("end|"));
}

static void it_has_nothing_to_read(void **state)
{
    (void)state;
    struct seen seen = run_shell("cat; echo done", LIMIT_MS);
    assert_string_equal(seen.text, "done|");
}

static void a_signal_is_told(void **state)
{
    (void)state;
    struct seen seen = run_shell("kill -9 $$", LIMIT_MS);
    assert_int_equal(seen.end.signal, SIGKILL);
    assert_false(seen.end.timed_out);
}

static void its_time_is_bounded(void **state)
{
    (void)state;
    struct seen seen = run_shell("exec sleep 1000", 50);
    assert_true(seen.end.timed_out);
    assert_int_equal(seen.end.signal, SIGTERM);
}

static void who_ignores_that_is_killed(void **state)
{
    (void)state;
    struct seen seen = run_shell("trap '' TERM; while :; do sleep 1000; done", 50);
    assert_true(seen.end.timed_out);
    assert_int_equal(seen.end.signal, SIGKILL);
}

// Its output is held open by a child that has left the group, and would be for long.
static void nobody_is_waited_for_behind_its_end(void **state)
{
    (void)state;
    uint64_t begun_us = cv_clock_now_us();
    struct seen seen = run_shell("setsid sleep 15 & echo $!; exit 3", LIMIT_MS);
    assert_int_equal(seen.end.status, 3);
    assert_false(seen.end.timed_out);
    assert_true(cv_clock_now_us() - begun_us < 10 * 1000000);
    kill((pid_t)strtol(seen.text, NULL, 10), SIGKILL);
}

static void programs_that_are_not_there(void **state)
{
    (void)state;
    static const struct {
        const char *program;
        int code;
    } rows[] = {
        {"culvert-no-such-program", CV_E_NOT_FOUND},
        {"/no/such/program", CV_E_NOT_FOUND},
        {"/etc/passwd", CV_E_DENIED},
        {"/etc", CV_E_DENIED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const argv[] = {rows[i].program, NULL};
        struct seen seen = seen_new();
        assert_int_equal(start(&seen, argv, NULL, LIMIT_MS), rows[i].code);
        assert_null(seen.process);
        cv_loop_free(seen.loop);
        assert_int_equal(seen.ends, 0);
    }
}

static void its_environment_is_ours_and_what_was_asked_for(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo $A-$B-$AB-${PATH:+path}; env | grep -c '^A='",
                                NULL};
    const char *const env[] = {"A=new", "B=also", NULL};
    setenv("A", "old", 1);
    setenv("AB", "kept", 1);
    struct seen seen = seen_new();
    assert_int_equal(start(&seen, argv, env, LIMIT_MS), CV_OK);
    run_to_end(&seen);
    assert_string_equal(seen.text, "new-also-kept-path|1|");
    cv_loop_free(seen.loop);
}

static void its_files_are_private_and_ours_are_as_before(void **state)
{
    (void)state;
    mode_t before = umask(022);
    struct seen seen =
        run_shell("umask; ps -o pgid= -p $$ | tr -d ' ' | grep -qx $$ && echo leads", LIMIT_MS);
    assert_string_equal(seen.text, "0077|leads|");
    assert_int_equal(umask(before), 022);
}

static void until_it_speaks(const struct seen *seen, uint64_t deadline_us)
{
    while (!seen->lines && cv_clock_now_us() < deadline_us) {
        cv_loop_sleep(seen->loop, 100);
        cv_loop_run_once(seen->loop);
    }
}

// The shell, and its child, are gone when the other end of their pipe says so.
static void free_kills_the_whole_group(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "sleep 1000 & echo $!; wait", NULL};
    struct seen seen = seen_new();
    assert_int_equal(start(&seen, argv, NULL, LIMIT_MS), CV_OK);
    uint64_t deadline_us = cv_clock_now_us() + WAIT_US;
    until_it_speaks(&seen, deadline_us);
    pid_t child = (pid_t)strtol(seen.text, NULL, 10);
    assert_int_equal(kill(child, 0), 0);
    cv_process_free(&seen.process);
    cv_loop_free(seen.loop);
    char path[64];
    char line[64] = "";
    do { // nobody may reap it: then it stays as a zombie
        snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        FILE *file = fopen(path, "r");
        char *got = file ? fgets(line, sizeof line, file) : NULL;
        if (file)
            fclose(file);
        if (!got || strstr(line, ") Z ") || strstr(line, ") X "))
            break;
        assert_true(cv_clock_now_us() < deadline_us);
    } while (true);
    assert_int_equal(seen.ends, 0);
}

// A server runs for months, and its configuration may change while something runs.
static void no_zombie_is_left_where_the_loop_runs_on(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo $$; sleep 1000; true", NULL};
    struct seen seen = seen_new();
    assert_int_equal(start(&seen, argv, NULL, LIMIT_MS), CV_OK);
    uint64_t deadline_us = cv_clock_now_us() + WAIT_US;
    until_it_speaks(&seen, deadline_us);
    pid_t shell = (pid_t)strtol(seen.text, NULL, 10);
    assert_true(shell > 1);
    cv_process_free(&seen.process);
    while (kill(shell, 0) == 0) { // also of a zombie
        assert_true(cv_clock_now_us() < deadline_us);
        cv_loop_sleep(seen.loop, 100);
        cv_loop_run_once(seen.loop);
    }
    assert_int_equal(errno, ESRCH);
    cv_loop_free(seen.loop);
    assert_int_equal(seen.ends, 0);
}

static void it_may_be_freed_in_a_call(void **state)
{
    (void)state;
    static const char *const lines[] = {"one", "two", "last"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *const argv[] = {"sh", "-c", "printf 'one\\ntwo\\nlast'", NULL};
        struct seen seen = seen_new();
        seen.free_at = lines[i];
        assert_int_equal(start(&seen, argv, NULL, LIMIT_MS), CV_OK);
        run_to_end(&seen);
        cv_loop_free(seen.loop);
        assert_int_equal(seen.lines, i + 1);
        assert_int_equal(seen.ends, 0);
    }
}

static bool run_without_memory(void *arg)
{
    (void)arg;
    const char *const argv[] = {"true", NULL};
    struct seen seen = {.loop = cv_loop_new()};
    if (!seen.loop)
        return false;
    int err = start(&seen, argv, NULL, LIMIT_MS);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    run_to_end(&seen);
    cv_loop_free(seen.loop);
    assert_int_equal(seen.ends, err == CV_OK);
    return err == CV_OK;
}

static void memory_runs_out(void **state)
{
    (void)state;
    fail_nth(run_without_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_both_outputs_and_the_exit_code),
        cmocka_unit_test(a_long_line_comes_in_pieces),
        cmocka_unit_test(it_has_nothing_to_read),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(its_time_is_bounded),
        cmocka_unit_test(who_ignores_that_is_killed),
        cmocka_unit_test(nobody_is_waited_for_behind_its_end),
        cmocka_unit_test(programs_that_are_not_there),
        cmocka_unit_test(its_environment_is_ours_and_what_was_asked_for),
        cmocka_unit_test(its_files_are_private_and_ours_are_as_before),
        cmocka_unit_test(free_kills_the_whole_group),
        cmocka_unit_test(no_zombie_is_left_where_the_loop_runs_on),
        cmocka_unit_test(it_may_be_freed_in_a_call),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
