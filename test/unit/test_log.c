// Log lines: their form, and that no bytes of a peer can break one, add a field or leak a key.
#include "harness.h"

#include "base/err.h"
#include "server/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int pipe_fds[2];

static int open_pipe(void **state)
{
    (void)state;
    if (pipe2(pipe_fds, O_NONBLOCK) != 0)
        return -1;
    cv_log_set_fd(pipe_fds[1]);
    cv_log_set_level(CV_LOG_INFO);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    cv_log_set_fd(STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

// What was logged since the last call, as text.
static const char *logged(void)
{
    static char text[65536];
    ssize_t len = read(pipe_fds[0], text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

// The part behind time and level; checks the form of both.
static const char *behind_time(const char *line)
{
    const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; form[i]; i++) {
        if (form[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], form[i]);
    }
    return line + strlen(form);
}

static void a_line_has_its_form(void **state)
{
    (void)state;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "publish.start");
    cv_line_uint(&line, "conn", 18446744073709551615u);
    cv_line_int(&line, "delta", -5);
    cv_line_hex(&line, "id", 0xbeef);
    cv_line_text(&line, "peer", "[::1]:555");
    cv_line_str(&line, "stream", "abc", 2);
    cv_line_text(&line, "empty", "");
    cv_line_text(&line, "none", NULL);
    cv_line_err(&line, CV_E_CHUNK_SIZE);
    cv_line_end(&line);
    assert_string_equal(behind_time(logged()),
                        "info publish.start conn=18446744073709551615 delta=-5 id=0xbeef "
                        "peer=[::1]:555 stream=ab empty=\"\" none=\"\" err=CHUNK_SIZE\n");
}

static void lower_levels_are_silent(void **state)
{
    (void)state;
    cv_log_set_level(CV_LOG_WARN);
    cv_log_event(CV_LOG_INFO, "quiet");
    assert_string_equal(logged(), "");
    assert_false(cv_log_on(CV_LOG_INFO));
    cv_log_text(CV_LOG_WARN, "loud", "why", "so");
    assert_string_equal(behind_time(logged()), "warn loud why=so\n");
    cv_log_event(CV_LOG_ERROR, "louder");
    assert_string_equal(behind_time(logged()), "error louder\n");
    cv_log_set_level(CV_LOG_INFO);
}

static void bug_22_peer_text_is_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *field;
    } rows[] = {
        {"a\n2026-01-01T00:00:00.000Z error fake",
         "v=\"a\\x0a2026-01-01T00:00:00.000Z error fake\""},
        {"a\r\nb", "v=\"a\\x0d\\x0ab\""},
        {"a app=admin", "v=\"a app=admin\""},
        {"a\" app=admin", "v=\"a\\\" app=admin\""},
        {"\\\" x=\"", "v=\"\\\\\\\" x=\\\"\""},
        {"a=b", "v=\"a=b\""},
        {"\x1b[2J", "v=\"\\x1b[2J\""},
        {"\x7f\x80\xff", "v=\"\\x7f\\x80\\xff\""},
        {"\t", "v=\"\\x09\""},
        {"%s%n%x%99999d", "v=%s%n%x%99999d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cv_log_text(CV_LOG_INFO, "e", "v", rows[i].value);
        char want[256];
        snprintf(want, sizeof want, "info e %s\n", rows[i].field);
        assert_string_equal(behind_time(logged()), want);
    }
}

static void bug_22_keys_in_queries_are_not_logged(void **state)
{
    (void)state;
    static const char *const values[] = {
        "cam?key=SECRET",     "rtmp://h/live/cam?key=SECRET",
        "?key=SECRET",        "cam%3fkey=SECRET",
        "cam%3Fkey=SECRET",   "cam%253fkey=SECRET",
        "cam%25253Fk=SECRET", "a b?SECRET",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        cv_log_text(CV_LOG_INFO, "e", "v", values[i]);
        const char *line = logged();
        assert_null(strstr(line, "SECRET"));
        assert_null(strstr(line, "key"));
    }
    cv_log_text(CV_LOG_INFO, "e", "v", "cam?key=SECRET");
    assert_string_equal(behind_time(logged()), "info e v=\"cam...\"\n");
    cv_log_text(CV_LOG_INFO, "e", "v", "100%2");
    assert_string_equal(behind_time(logged()), "info e v=100%2\n");
}

// Every byte value, at every place of a short value: one line, one field, nothing unprintable.
static void bug_22_no_byte_breaks_the_line(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 3; place++) {
            char value[3] = "abc";
            value[place] = (char)byte;
            struct guard guard = guard_copy(value, sizeof value);
            struct cv_line line;
            cv_line_begin(&line, CV_LOG_INFO, "e");
            cv_line_str(&line, "v", guard.data, guard.len);
            cv_line_end(&line);
            guard_free(&guard);
            const char *text = logged();
            size_t len = strlen(text);
            assert_ptr_equal(strchr(text, '\n'), text + len - 1);
            for (size_t i = 0; i + 1 < len; i++)
                assert_in_range(text[i], 0x20, 0x7e);
        }
    }
}

static void bug_22_long_values_are_cut(void **state)
{
    (void)state;
    static char value[100000];
    for (int quoted = 0; quoted < 2; quoted++) {
        memset(value, quoted ? '\n' : 'a', sizeof value);
        struct cv_line line;
        cv_line_begin(&line, CV_LOG_INFO, "e");
        for (int i = 0; i < 100; i++)
            cv_line_str(&line, "v", value, sizeof value);
        cv_line_uint(&line, "n", 1);
        cv_line_end(&line);
        const char *text = logged();
        size_t len = strlen(text);
        assert_in_range(len, 1000, CV_LIMIT_LOG_LINE_BYTES);
        assert_int_equal(text[len - 1], '\n');
        // Whole fields only: each that is there ends in its quote or is the number.
        assert_non_null(strstr(text, "...\" v=\""));
        assert_true(strcmp(text + len - 5, "...\"\n") == 0 ||
                    strcmp(text + len - 5, " n=1\n") == 0);
    }
}

static void values_up_to_the_cap_are_whole(void **state)
{
    (void)state;
    char value[CV_LIMIT_LOG_VALUE_BYTES + 1];
    memset(value, 'a', sizeof value);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "e");
    cv_line_str(&line, "v", value, sizeof value - 1);
    cv_line_str(&line, "w", value, sizeof value);
    cv_line_end(&line);
    const char *text = behind_time(logged());
    assert_int_equal(strspn(strchr(text, '=') + 1, "a"), sizeof value - 1);
    assert_non_null(strstr(text, " w=\"aaa"));
    assert_non_null(strstr(text, "aaa...\"\n"));
}

enum { THREADS = 4, LINES = 100 };

static void *log_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        cv_log_text(CV_LOG_INFO, "thread", "name", arg);
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    static char name[] = "abcdefghijklmnop";
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_lines, name), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *text = logged();
    int count = 0;
    for (; *text; text = strchr(text, '\n') + 1, count++)
        assert_int_equal(strncmp(behind_time(text), "info thread name=abcdefghijklmnop\n", 34), 0);
    assert_int_equal(count, THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_form),
        cmocka_unit_test(lower_levels_are_silent),
        cmocka_unit_test(bug_22_peer_text_is_quoted),
        cmocka_unit_test(bug_22_keys_in_queries_are_not_logged),
        cmocka_unit_test(bug_22_no_byte_breaks_the_line),
        cmocka_unit_test(bug_22_long_values_are_cut),
        cmocka_unit_test(values_up_to_the_cap_are_whole),
        cmocka_unit_test(threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, open_pipe, close_pipe);
}
