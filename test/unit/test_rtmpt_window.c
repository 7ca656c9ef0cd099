// The tunnel session: chunked replies that are kept, for a client that asks again for one that was
// cut off.
#include "tunnel_kit.h"

#include "base/limits.h"
#include "base/mem.h"

enum { WINDOW_MS = 700 };

// An idle is answered by a chunked reply that has begun.
static struct tunnel flowing(bool kept)
{
    struct tunnel t = tunnel_new(0, 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_FLOW);
    cv_rtmpt_set_window(t.session, WINDOW_MS, kept);
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_FIRST);
    return t;
}

static void feed(struct tunnel *t, const uint8_t *data, size_t len)
{
    struct cv_rtmp_event event;
    cv_rtmp_feed(t->rtmp, data, len);
    while (cv_rtmp_next(t->rtmp, &event) == 1)
        continue;
}

static void say_more(struct tunnel *t)
{
    for (uint32_t i = 2; i < 5; i++) {
        tunnel_say(t, i);
        assert_int_equal(tunnel_answer(t), 1);
        assert_int_equal(tunnel_reply(t, 0)->form, CV_RTMPT_CHUNK);
    }
}

static void expect_again(struct tunnel *t, uint64_t ticket, size_t len)
{
    struct bytes before = {0};
    bytes_add(&before, t->said.data, t->said.len);
    assert_int_equal(tunnel_post(t, ticket, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(t), 1);
    tunnel_expect(t, 0, ticket, 1, len);
    assert_memory_equal(tunnel_reply(t, 0)->body.data, before.data, len);
    bytes_free(&before);
}

static void what_was_cut_off_comes_again(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    say_more(&t);
    tunnel_gone(&t, 1);
    assert_int_equal(t.result, CV_OK);
    tunnel_say(&t, 9); // belongs to a later reply
    expect_again(&t, 2, 4 * KIT_SAID);
    expect_again(&t, 3, 4 * KIT_SAID);
    assert_int_equal(tunnel_post(&t, 2, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_FIRST);
    assert_int_equal(tunnel_reply(&t, 0)->body.len, KIT_SAID);
    tunnel_free(&t);
}

static void pieces_that_had_not_left_come_again(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    t.slow = true;
    say_more(&t);
    tunnel_gone(&t, 1);
    t.slow = false;
    expect_again(&t, 2, 4 * KIT_SAID);
    tunnel_free(&t);
}

static void a_whole_one_comes_again(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    say_more(&t);
    assert_int_equal(tunnel_wait(&t, WINDOW_MS), 1);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_LAST);
    expect_again(&t, 1, 4 * KIT_SAID);
    tunnel_gone(&t, 1);
    expect_again(&t, 2, 4 * KIT_SAID);
    tunnel_free(&t);
}

// The client knows of the loss before the server does.
static void the_request_again_ends_it(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    say_more(&t);
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 2);
    assert_int_equal(tunnel_reply(&t, 1)->form, CV_RTMPT_CHUNK_LAST);
    tunnel_expect(&t, 0, 2, 1, 4 * KIT_SAID);
    tunnel_free(&t);
    // Or it comes while the lost connection takes nothing.
    t = flowing(true);
    say_more(&t);
    t.deaf = 1;
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    tunnel_gone(&t, 1);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, 4 * KIT_SAID);
    tunnel_free(&t);
}

// A client that goes on without it has missed something: that is seen when it cannot ask any more.
static void what_is_never_asked_for_again_ends_the_session(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    int err = CV_OK;
    tunnel_gone(&t, 1);
    for (uint64_t n = 1; n < 2 * CV_LIMIT_TUNNEL_KEPT && err == CV_OK; n++) {
        err = tunnel_post_n(&t, 2, "send", n, "abc");
        tunnel_answer(&t);
    }
    assert_int_equal(err, CV_E_SEQUENCE);
    tunnel_free(&t);
}

static void others_lose_their_session(void **state)
{
    (void)state;
    struct tunnel t = flowing(false);
    say_more(&t);
    tunnel_gone(&t, 1);
    tunnel_expect_failed(&t, CV_E_CLOSED, 0);
    tunnel_free(&t);
}

// The client's whole first flight came on a connection that went before it was answered: the answer
// to the handshake goes with the next idle, and media flows by then.
static void a_handshake_may_be_in_it(void **state)
{
    (void)state;
    static const uint8_t c0_c1[1 + 1536] = {3};
    struct tunnel t = tunnel_fresh(0, 0);
    t.on_bytes = feed;
    assert_int_equal(tunnel_begin(&t, 1, "send/0"), 0);
    tunnel_body(&t, 1, c0_c1, sizeof c0_c1);
    tunnel_end(&t, 1);
    tunnel_gone(&t, 1);
    assert_false(cv_rtmp_out_empty(t.rtmp));
    cv_rtmpt_set_mode(t.session, CV_RTMPT_FLOW);
    cv_rtmpt_set_window(t.session, WINDOW_MS, true);
    assert_int_equal(tunnel_post(&t, 2, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_true(tunnel_reply(&t, 0)->body.len >= 1 + 2 * 1536);
    tunnel_free(&t);
}

// The next one may be another client's, in a manner of speaking.
static void the_next_one_is_kept_or_not(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    cv_rtmpt_set_window(t.session, 0, false); // holds for those that begin later
    say_more(&t);
    assert_int_equal(tunnel_wait(&t, WINDOW_MS), 1);
    expect_again(&t, 2, 4 * KIT_SAID);
    assert_int_equal(tunnel_post(&t, 2, "idle/1", "x"), 0);
    tunnel_say(&t, 7);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_WHOLE);
    tunnel_free(&t);
}

static void say_much(struct tunnel *t)
{
    enum { MUCH = 300 * 1024 };
    struct cv_block *block = cv_block_new(MUCH);
    assert_non_null(block);
    memset(block->data, 1, MUCH);
    block->len = MUCH;
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .stream_id = 1, .payload = block};
    assert_int_equal(cv_rtmp_send(t->rtmp, &msg, CV_CSID_VIDEO), CV_OK);
    cv_block_unref(&block);
}

static void it_ends_when_it_is_long(void **state)
{
    (void)state;
    struct tunnel t = flowing(true);
    uint32_t count = 0;
    do {
        say_much(&t);
        assert_int_equal(tunnel_answer(&t), 1);
        assert_in_range(++count, 1, 10);
    } while (tunnel_reply(&t, 0)->form == CV_RTMPT_CHUNK);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_LAST);
    assert_in_range(t.said.len, CV_TUNNEL_WINDOW_BYTES, CV_TUNNEL_WINDOW_BYTES + 700 * 1024);
    expect_again(&t, 2, t.said.len);
    tunnel_free(&t);
}

// Without memory for it, it is not kept, and nothing else is wrong.
static bool survive(void *arg)
{
    (void)arg;
    uint64_t nth = cv_mem_fail_nth(0); // not yet
    struct tunnel t = tunnel_new(0, 0);
    cv_mem_fail_nth(nth);
    t.silent = true;
    cv_rtmpt_set_mode(t.session, CV_RTMPT_FLOW);
    cv_rtmpt_set_window(t.session, WINDOW_MS, true);
    bool good = tunnel_post(&t, 1, "idle/0", "x") == CV_OK;
    for (uint32_t i = 0; good && i < 12; i++) {
        good = cv_rtmp_send_user(t.rtmp, CV_USER_PING_REQUEST, i) == CV_OK;
        tunnel_answer(&t);
        good = good && cv_rtmpt_why(t.session)->code == CV_OK;
    }
    if (good) {
        cv_rtmpt_gone(t.session, 1, t.now_us);
        good = cv_rtmpt_why(t.session)->code == CV_OK;
    }
    tunnel_free(&t);
    return good;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fail_nth(survive, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_cut_off_comes_again),
        cmocka_unit_test(pieces_that_had_not_left_come_again),
        cmocka_unit_test(a_whole_one_comes_again),
        cmocka_unit_test(the_request_again_ends_it),
        cmocka_unit_test(what_is_never_asked_for_again_ends_the_session),
        cmocka_unit_test(others_lose_their_session),
        cmocka_unit_test(a_handshake_may_be_in_it),
        cmocka_unit_test(the_next_one_is_kept_or_not),
        cmocka_unit_test(it_ends_when_it_is_long),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
