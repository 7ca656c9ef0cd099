// What a short write leaves over: every byte once, in order, wherever it was cut.
#include "harness.h"

#include "base/err.h"
#include "server/leftover.h"

static void fill(struct cv_gather *gather, const char *const *texts)
{
    cv_gather_clear(gather);
    while (*texts) {
        cv_gather_borrow(gather, *texts, strlen(*texts));
        texts++;
    }
}

static void assert_left(const struct cv_leftover *leftover, const char *text)
{
    static struct cv_gather gather;
    cv_leftover_gather(leftover, &gather);
    assert_int_equal(gather.bytes, strlen(text));
    assert_int_equal(cv_leftover_is_empty(leftover), gather.bytes == 0);
    if (gather.bytes)
        assert_memory_equal(gather.vectors[0].iov_base, text, gather.bytes);
}

static void every_cut_leaves_the_rest(void **state)
{
    (void)state;
    static struct cv_gather gather;
    static const char *const texts[] = {"abc", "d", "efgh", NULL};
    static const char all[] = "abcdefgh";
    fill(&gather, texts);
    for (size_t sent = 0; sent <= strlen(all); sent++) {
        struct cv_leftover leftover = {0};
        assert_int_equal(cv_leftover_add(&leftover, &gather, sent), CV_OK);
        assert_left(&leftover, all + sent);
        cv_leftover_done(&leftover);
        assert_true(cv_leftover_is_empty(&leftover));
    }
}

static void what_is_added_comes_behind(void **state)
{
    (void)state;
    static struct cv_gather gather;
    static const char *const first[] = {"abcd", NULL};
    static const char *const second[] = {"efgh", NULL};
    struct cv_leftover leftover = {0};
    fill(&gather, first);
    assert_int_equal(cv_leftover_add(&leftover, &gather, 1), CV_OK);
    cv_leftover_sent(&leftover, 1);
    fill(&gather, second);
    assert_int_equal(cv_leftover_add(&leftover, &gather, 0), CV_OK);
    assert_left(&leftover, "cdefgh");
    cv_leftover_sent(&leftover, 6);
    assert_true(cv_leftover_is_empty(&leftover));
    fill(&gather, second);
    assert_int_equal(cv_leftover_add(&leftover, &gather, 2), CV_OK);
    assert_left(&leftover, "gh");
    cv_leftover_done(&leftover);
}

static bool add_twice(void *arg)
{
    struct cv_leftover leftover = {0};
    bool done = cv_leftover_add(&leftover, arg, 0) == CV_OK;
    bool more = done && cv_leftover_add(&leftover, arg, 0) == CV_OK;
    if (done && !more)
        assert_left(&leftover, "abc");
    cv_leftover_done(&leftover);
    return more;
}

static void adding_survives_failing_memory(void **state)
{
    (void)state;
    static struct cv_gather gather;
    static const char *const texts[] = {"abc", NULL};
    fill(&gather, texts);
    fail_nth(add_twice, &gather);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_leaves_the_rest),
        cmocka_unit_test(what_is_added_comes_behind),
        cmocka_unit_test(adding_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
