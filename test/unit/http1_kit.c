#include "http1_kit.h"

#include <stdio.h>

static void add(struct http1_run *run, const char *text, size_t len)
{
    size_t have = strlen(run->text);
    assert_true(have + len < sizeof run->text);
    if (len)
        memcpy(run->text + have, text, len);
    run->text[have + len] = '\0';
}

static void add_text(struct http1_run *run, const char *label, struct cv_text text)
{
    add(run, label, strlen(label));
    add(run, text.at, text.len);
}

static void add_request(struct http1_run *run, const struct cv_http1_head *head)
{
    assert_int_equal(head->target.at != NULL, true);
    add_text(run, "", head->method_text);
    add_text(run, " ", head->target);
    add_text(run, " host=", head->host);
    add_text(run, " path=", head->path);
    if (head->query.at)
        add_text(run, " query=", head->query);
    if (head->expects_continue)
        add_text(run, " expects", cv_text_of(""));
}

static void add_head(struct http1_run *run, const struct cv_http1_event *event)
{
    static const char *const framings[] = {"none", "length", "chunked", "until-close"};
    const struct cv_http1_head *head = event->head;
    char text[128];
    if (run->role == CV_HTTP1_REQUESTS) {
        add_request(run, head);
    } else {
        snprintf(text, sizeof text, "%s%u ", event->type == CV_HTTP1_INTERIM ? "interim " : "",
                 head->status);
        add_text(run, text, head->reason);
    }
    snprintf(text, sizeof text, " 1.%u %s %llu%s%s\n", head->minor, framings[head->framing],
             (unsigned long long)head->length, head->keep_alive ? " keep" : "",
             head->upgrade ? " upgrade" : "");
    add_text(run, text, cv_text_of(""));
    for (size_t i = 0; i < head->fields.count; i++) {
        add_text(run, "  ", head->fields.at[i].name);
        add_text(run, "=", head->fields.at[i].value);
        add_text(run, "\n", cv_text_of(""));
    }
    if (event->type == CV_HTTP1_HEAD)
        add_text(run, "body=", cv_text_of(""));
}

// Tells the engine what the next response answers, if there is one.
static void expect_next(struct http1_run *run, struct cv_http1 *http)
{
    if (!run->methods || !*run->methods)
        return;
    char what = *run->methods++;
    enum cv_http1_method method = what == 'H'   ? CV_METHOD_HEAD
                                  : what == 'C' ? CV_METHOD_CONNECT
                                                : CV_METHOD_GET;
    cv_http1_expect(http, method, what == 'U');
}

static void on_event(struct http1_run *run, struct cv_http1 *http,
                     const struct cv_http1_event *event)
{
    assert_non_null(event->head);
    switch (event->type) {
    case CV_HTTP1_HEAD:
        if (run->body_max)
            cv_http1_set_body_max(http, run->body_max);
        add_head(run, event);
        break;
    case CV_HTTP1_INTERIM:
        add_head(run, event);
        break;
    case CV_HTTP1_BODY:
        assert_int_not_equal(event->body.len, 0);
        for (size_t i = 0; i < event->body.len; i++)
            assert_int_not_equal(event->body.at[i], 0); // the record is a string
        add_text(run, "", event->body);
        break;
    case CV_HTTP1_END:
        assert_int_equal(cv_http1_phase(http), CV_HTTP1_PAUSED);
        add_text(run, "\nEND\n", cv_text_of(""));
        if (run->role == CV_HTTP1_RESPONSES)
            expect_next(run, http);
        else if (!run->stop_at_end)
            cv_http1_resume(http);
        break;
    }
}

static int drain(struct http1_run *run, struct cv_http1 *http)
{
    struct cv_http1_event event;
    int got;
    while ((got = cv_http1_next(http, &event)) > 0)
        on_event(run, http, &event);
    return got;
}

// Feeds one piece; what the engine gives back goes to run->left.
static int feed_guarded(struct http1_run *run, struct cv_http1 *http, const uint8_t *data,
                        size_t len)
{
    struct guard guard = guard_copy(data, len);
    cv_http1_feed(http, guard.data, guard.len);
    int got = drain(run, http);
    struct cv_rd rest = cv_http1_unread(http);
    size_t have = strlen(run->left);
    size_t left = got == 0 ? cv_rd_left(&rest) : 0;
    assert_true(have + left < sizeof run->left);
    assert_true(left == 0 || cv_http1_phase(http) == CV_HTTP1_PAUSED);
    memcpy(run->left + have, rest.at, left);
    run->left[have + left] = '\0';
    guard_free(&guard);
    return got;
}

void http1_run(struct http1_run *run, const void *data, size_t len, size_t first, size_t piece)
{
    struct cv_http1 *http = cv_http1_new(run->role);
    assert_non_null(http);
    const uint8_t *bytes = data;
    const char *methods = run->methods;
    run->text[0] = '\0';
    run->left[0] = '\0';
    run->err = 0;
    if (run->role == CV_HTTP1_RESPONSES)
        expect_next(run, http);
    for (size_t at = 0, n = first; at < len && run->err == 0; at += n, n = piece) {
        if (n > len - at)
            n = len - at;
        run->err = feed_guarded(run, http, bytes + at, n);
    }
    if (run->err == 0 && !run->open_end) {
        cv_http1_feed_end(http);
        run->err = drain(run, http);
    }
    run->refusal = cv_http1_refusal(http);
    run->phase = cv_http1_phase(http);
    run->methods = methods;
    assert_int_equal(cv_http1_why(http)->code, run->err);
    assert_int_equal(run->refusal != 0, run->err != 0);
    assert_int_equal(run->phase == CV_HTTP1_FAILED, run->err != 0);
    if (run->err) { // for good
        struct cv_http1_event event;
        assert_int_equal(cv_http1_next(http, &event), run->err);
        char text[192];
        snprintf(text, sizeof text, "! %u %s", run->refusal, cv_http1_why(http)->text);
        add_text(run, text, cv_text_of(""));
    }
    cv_http1_free(http);
}

void http1_run_whole(struct http1_run *run, const char *text)
{
    http1_run(run, text, strlen(text), strlen(text), 1);
}

void http1_run_split(struct http1_run *run, const void *data, size_t len)
{
    static struct http1_run other;
    other = *run;
    http1_run(run, data, len, len, 1);
    for (size_t cut = 1; cut < len; cut++) {
        http1_run(&other, data, len, cut, len);
        assert_string_equal(other.text, run->text);
        assert_string_equal(other.left, run->left);
    }
    http1_run(&other, data, len, 1, 1);
    assert_string_equal(other.text, run->text);
    assert_string_equal(other.left, run->left);
    assert_int_equal(other.err, run->err);
    assert_int_equal(other.refusal, run->refusal);
    assert_int_equal(other.phase, run->phase);
}
