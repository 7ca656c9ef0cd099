// The tunnel session: requests that come again behind lost connections.
#include "tunnel_kit.h"

#include "base/limits.h"

static void bug_12_the_last_request_again_gets_the_same_reply(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    tunnel_say(&t, 1);
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_post(&t, 1, "send/0", "abc"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 1, 2 * KIT_SAID);
    tunnel_say(&t, 3);
    for (uint64_t ticket = 1; ticket < 4; ticket++) { // on the same connection, on others
        assert_int_equal(tunnel_post(&t, ticket, "send/0", "abc"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, ticket, 1, 2 * KIT_SAID);
        bytes_equal(&tunnel_reply(&t, 0)->body, &tunnel_reply(&t, 1)->body);
    }
    tunnel_expect_heard(&t, "abc");
    assert_int_equal(tunnel_post(&t, 2, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    assert_int_equal(tunnel_post(&t, 2, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    tunnel_free(&t);
}

static void bug_12_what_is_not_the_same_request_ends_the_session(void **state)
{
    (void)state;
    static const char *const again[][2] = {
        {"send/1", "abc"},   // shorter
        {"send/1", "abcde"}, // longer
        {"send/1", ""},      //
        {"idle/1", "abcd"},  // another kind
        {"send/0", "00"},    // before the last
        {"idle/0", "0"},
    };
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
        struct tunnel t = tunnel_playing();
        assert_int_equal(tunnel_post(&t, 1, "send/0", "0"), 0);
        assert_int_equal(tunnel_post(&t, 1, "send/1", "abcd"), 0);
        assert_int_equal(tunnel_answer(&t), 2);
        assert_int_equal(tunnel_post(&t, 2, again[i][0], again[i][1]), CV_E_SEQUENCE);
        tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
        tunnel_expect_heard(&t, "0abcd");
        tunnel_free(&t);
    }
}

// The reply is not made yet, because nobody reads the first connection.
static void request_again_before_its_reply(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/0", "a"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    tunnel_gone(&t, 1);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    // And the other way round: both live, both get it.
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_post(&t, 1, "send/1", "b"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/1", "b"), 0);
    t.deaf = 0;
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect(&t, 1, 1, 1, KIT_SAID);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    // What follows on a third connection does not disturb that.
    t.deaf = 1;
    tunnel_say(&t, 3);
    assert_int_equal(tunnel_post(&t, 1, "send/2", "c"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/2", "c"), 0);
    assert_int_equal(tunnel_post(&t, 3, "send/3", "d"), 0);
    t.deaf = 0;
    assert_int_equal(tunnel_answer(&t), 3);
    tunnel_expect(&t, 2, 1, 1, KIT_SAID);
    tunnel_expect(&t, 1, 2, 1, KIT_SAID);
    tunnel_expect(&t, 0, 3, 1, 0);
    // Twice at a time is too often.
    t.deaf = 1;
    assert_int_equal(tunnel_post(&t, 1, "send/4", "e"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/4", "e"), 0);
    assert_int_equal(tunnel_post(&t, 3, "send/4", "e"), CV_E_SEQUENCE);
    t.deaf = 0;
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 3);
    tunnel_free(&t);
}

// A client that sends without waiting loses its connection: it asks for everything again.
static void bug_12_requests_before_the_last_again_get_the_same_replies(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    for (uint64_t n = 0; n < 40; n++) {
        if (n % 3)
            tunnel_say(&t, (uint32_t)n);
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "abc"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
    }
    tunnel_gone(&t, 1);
    for (uint64_t n = 39 - CV_LIMIT_TUNNEL_KEPT; n < 40; n++) {
        size_t before = t.said.len;
        assert_int_equal(tunnel_post_n(&t, 2, "send", n, "abc"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 2, 1, n % 3 ? KIT_SAID : 0);
        if (n % 3)
            assert_int_equal(t.said.data[before + KIT_SAID - 1], n);
    }
    assert_int_equal(t.heard.len, 40 * 3); // nothing was heard twice
    assert_int_equal(tunnel_post_n(&t, 2, "send", 40, "abc"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(t.heard.len, 41 * 3);
    assert_int_equal(tunnel_post_n(&t, 2, "send", 39 - CV_LIMIT_TUNNEL_KEPT, "abc"), CV_E_SEQUENCE);
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 0);
    tunnel_free(&t);
}

static void bug_12_what_is_kept_has_caps(void **state)
{
    (void)state;
    enum { LARGE = 600000 };
    for (uint64_t n = 0; n < 3; n++) {
        struct tunnel t = tunnel_playing();
        for (uint64_t i = 0; i < 3; i++) {
            struct cv_msg msg = {
                .type = CV_MSG_VIDEO, .stream_id = 1, .payload = cv_block_new(LARGE)};
            assert_non_null(msg.payload);
            msg.payload->len = LARGE;
            memset(msg.payload->data, (int)i, LARGE);
            assert_int_equal(cv_rtmp_send(t.rtmp, &msg, CV_CSID_VIDEO), 0);
            cv_block_unref(&msg.payload);
            assert_int_equal(tunnel_post_n(&t, 1, "send", i, "a"), 0);
            assert_int_equal(tunnel_answer(&t), 1);
        }
        assert_int_equal(tunnel_post_n(&t, 2, "send", n, "a"), n ? 0 : CV_E_SEQUENCE);
        if (n)
            assert_int_equal(tunnel_answer(&t), 1);
        else
            tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
        tunnel_free(&t);
    }
}

// Nobody read the first connection. What is said goes with the last of its requests that come
// again: in its order, and once.
static void replies_that_were_never_made_are_empty(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "a"), 0);
    tunnel_say(&t, 1);
    tunnel_gone(&t, 1);
    for (uint64_t n = 0; n < 3; n++) {
        assert_int_equal(tunnel_post_n(&t, 2, "send", n, "a"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 2, 1, n == 2 ? KIT_SAID : 0);
    }
    tunnel_expect_heard(&t, "aaa");
    tunnel_free(&t);
}

// Its reply was never made, for its connection went first: the next one gets a fresh one.
static void request_again_whose_connection_went(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 0); // held
    tunnel_gone(&t, 1);
    assert_int_equal(tunnel_answer(&t), 0);
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_answer(&t), 0);
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    // The client need not ask again: nothing was lost.
    assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
    tunnel_gone(&t, 1);
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_post(&t, 3, "send/2", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 3, 1, KIT_SAID);
    tunnel_free(&t);
}

static void half_a_body_is_sent_again_behind_a_lost_connection(void **state)
{
    (void)state;
    for (size_t got = 0; got <= 6; got++) {
        for (size_t piece = 1; piece <= 6; piece++) {
            struct tunnel t = tunnel_playing();
            assert_int_equal(tunnel_begin(&t, 1, "send/0"), 0);
            tunnel_body(&t, 1, "abcdef", got);
            tunnel_gone(&t, 1);
            assert_int_equal(tunnel_begin(&t, 2, "send/0"), 0);
            for (size_t at = 0; at < 6; at += piece)
                tunnel_body(&t, 2, "abcdef" + at, piece < 6 - at ? piece : 6 - at);
            tunnel_end(&t, 2);
            tunnel_expect_heard(&t, "abcdef");
            assert_int_equal(tunnel_answer(&t), 1);
            tunnel_free(&t);
        }
    }
}

// It comes again while the first one is still coming: it waits, and takes over when that goes.
static void half_a_body_and_the_same_request_elsewhere(void **state)
{
    (void)state;
    for (int first_wins = 0; first_wins < 2; first_wins++) {
        struct tunnel t = tunnel_playing();
        assert_int_equal(tunnel_begin(&t, 1, "send/0"), 0);
        tunnel_body(&t, 1, "abc", 3);
        assert_int_equal(tunnel_post(&t, 2, "send/0", "abcdef"), 0);
        tunnel_expect_heard(&t, "abc");
        if (first_wins) {
            tunnel_body(&t, 1, "def", 3);
            tunnel_end(&t, 1);
            assert_int_equal(tunnel_answer(&t), 2);
        } else {
            tunnel_gone(&t, 1);
            assert_int_equal(tunnel_answer(&t), 1);
        }
        tunnel_expect_heard(&t, "abcdef");
        tunnel_expect(&t, 0, 2, 1, 0);
        tunnel_free(&t);
    }
    static const char *const wrong[][2] = {{"send/0", "ab"}, {"idle/0", "abcdef"}};
    for (int i = 0; i < 2; i++) {
        struct tunnel t = tunnel_playing();
        assert_int_equal(tunnel_begin(&t, 1, "send/0"), 0);
        tunnel_body(&t, 1, "abc", 3);
        tunnel_gone(&t, 1);
        assert_int_equal(tunnel_post(&t, 2, wrong[i][0], wrong[i][1]), CV_E_SEQUENCE);
        tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
        tunnel_free(&t);
    }
}

// The connection went while a reply with data was being written.
static void reply_that_was_cut_off(void **state)
{
    (void)state;
    for (int asks_again = 0; asks_again < 2; asks_again++) {
        struct tunnel t = tunnel_playing();
        t.slow = true;
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_gone(&t, 1);
        if (asks_again) {
            assert_int_equal(tunnel_post(&t, 2, "send/0", "a"), 0);
            assert_int_equal(tunnel_answer(&t), 1);
            tunnel_expect(&t, 0, 2, 1, KIT_SAID);
            cv_rtmpt_sent(t.session, 2);
            assert_int_equal(tunnel_post(&t, 2, "send/1", "b"), 0);
            assert_int_equal(tunnel_answer(&t), 1);
        } else {
            // What was on its way may be served, but it is not to be forgotten.
            t.slow = false;
            for (uint64_t n = 1; n <= CV_LIMIT_TUNNEL_KEPT + 1; n++) {
                assert_int_equal(tunnel_post_n(&t, 2, "send", n, "b"), 0);
                assert_int_equal(tunnel_answer(&t), 1);
            }
            assert_int_equal(tunnel_post_n(&t, 2, "send", CV_LIMIT_TUNNEL_KEPT + 2, "b"),
                             CV_E_SEQUENCE);
            tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
        }
        tunnel_free(&t);
    }
    // Two replies on their way.
    struct tunnel t = tunnel_playing();
    t.slow = true;
    for (uint64_t n = 0; n < 2; n++) {
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "a"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
    }
    tunnel_gone(&t, 1);
    t.slow = false;
    for (uint64_t n = 0; n < 2; n++) {
        assert_int_equal(tunnel_post_n(&t, 2, "send", n, "a"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    }
    tunnel_free(&t);
    // Nothing was in them: nothing is lost.
    t = tunnel_playing();
    t.slow = true;
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "a"), 0);
    assert_int_equal(tunnel_answer(&t), 3);
    tunnel_gone(&t, 1);
    assert_int_equal(tunnel_post(&t, 2, "send/3", "b"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_12_the_last_request_again_gets_the_same_reply),
        cmocka_unit_test(bug_12_what_is_not_the_same_request_ends_the_session),
        cmocka_unit_test(request_again_before_its_reply),
        cmocka_unit_test(bug_12_requests_before_the_last_again_get_the_same_replies),
        cmocka_unit_test(bug_12_what_is_kept_has_caps),
        cmocka_unit_test(replies_that_were_never_made_are_empty),
        cmocka_unit_test(request_again_whose_connection_went),
        cmocka_unit_test(half_a_body_is_sent_again_behind_a_lost_connection),
        cmocka_unit_test(half_a_body_and_the_same_request_elsewhere),
        cmocka_unit_test(reply_that_was_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
