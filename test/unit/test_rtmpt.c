// The tunnel session: order, replays, holds and caps, with clients that do what they should not.
#include "tunnel_kit.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>

enum { ACK = 16 }; // bytes on the wire

// ---- order ----------------------------------------------------------------------------------

static void bodies_in_order_are_one_stream(void **state)
{
    (void)state;
    for (uint64_t base = 0; base < 2; base++) {
        struct tunnel t = tunnel_playing();
        assert_int_equal(tunnel_post_n(&t, 1, "send", base, "ab"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 1, 1, 0);
        assert_int_equal(tunnel_post_n(&t, 1, "send", base + 1, ""),
                         0); // RootEncoder: empty bodies
        assert_int_equal(tunnel_post_n(&t, 1, "send", base + 2, "c"), 0);
        assert_int_equal(tunnel_answer(&t), 2);
        assert_int_equal(tunnel_post_n(&t, 2, "idel", base + 3, ""), 0);
        assert_int_equal(tunnel_post_n(&t, 2, "send", base + 4, "d"), 0);
        assert_int_equal(tunnel_answer(&t), 2);
        tunnel_expect_heard(&t, "abcd");
        tunnel_free(&t);
    }
}

static void first_number_is_0_or_1(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/2", "c"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/1", "b"), 0);
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect_heard(&t, "bc");
    tunnel_free(&t);
}

// Flash begins with an idle, which another connection may overtake.
static void idle_0_may_come_behind_1(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/1", "b"), 0);
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect(&t, 0, 1, 1, 0);
    tunnel_expect(&t, 1, 2, 1, 0);
    assert_int_equal(tunnel_post(&t, 1, "send/2", "c"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    // But once only.
    assert_true(tunnel_post(&t, 2, "idle/0", "x") < 0);
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 0);
    tunnel_free(&t);
    t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/1", "b"), 0);
    assert_true(tunnel_post(&t, 2, "send/0", "a") < 0);
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 2);
    tunnel_free(&t);
}

// Three requests, cut into pieces by up to two cuts.
static void bodies_cut_anywhere(void **state)
{
    (void)state;
    static const char body[] = "0123456789";
    for (size_t a = 0; a <= 10; a++) {
        for (size_t b = a; b <= 10; b++) {
            struct tunnel t = tunnel_playing();
            for (uint64_t n = 0; n < 3; n++) {
                char path[20];
                snprintf(path, sizeof path, "send/%d", (int)n);
                assert_int_equal(tunnel_begin(&t, 1, path), 0);
                tunnel_body(&t, 1, body, a);
                tunnel_body(&t, 1, body + a, b - a);
                tunnel_body(&t, 1, body + b, 10 - b);
                assert_int_equal(t.heard.len, 10 * (n + 1)); // streamed, not collected
                assert_int_equal(tunnel_answer(&t), 0);
                tunnel_end(&t, 1);
                assert_int_equal(tunnel_answer(&t), 1);
            }
            tunnel_expect_heard(&t, "012345678901234567890123456789");
            tunnel_free(&t);
        }
    }
}

// All orders of five requests on five connections, each with something to be told.
static void bug_12_requests_are_served_in_the_order_of_their_numbers(void **state)
{
    (void)state;
    static const char *const bodies[] = {"a", "bb", "ccc", "dddd", "eeeee"};
    for (int order = 0; order < 120; order++) {
        struct tunnel t = tunnel_playing();
        assert_int_equal(tunnel_post(&t, 9, "send/0", "-"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        uint64_t left[] = {0, 1, 2, 3, 4};
        for (int i = 0, code = order; i < 5; i++) {
            int which = code % (5 - i);
            code /= 5 - i;
            uint64_t n = left[which];
            memmove(left + which, left + which + 1, (size_t)(4 - which) * sizeof left[0]);
            assert_int_equal(tunnel_post_n(&t, 10 + n, "send", n + 1, bodies[n]), 0);
        }
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_answer(&t), 5);
        for (uint64_t n = 0; n < 5; n++)
            tunnel_expect(&t, 4 - n, 10 + n, 1, n == 0 ? KIT_SAID : 0);
        tunnel_expect_heard(&t, "-abbcccddddeeeee");
        tunnel_free(&t);
    }
}

// Two bodies come in at the same time, byte by byte, the later one first.
static void bodies_that_come_at_the_same_time(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/0", "-"), 0);
    assert_int_equal(tunnel_begin(&t, 2, "send/2"), 0);
    assert_int_equal(tunnel_begin(&t, 1, "send/1"), 0);
    for (int i = 0; i < 5; i++) {
        tunnel_body(&t, 2, "ABCDE" + i, 1);
        tunnel_body(&t, 1, "abcde" + i, 1);
    }
    tunnel_expect_heard(&t, "-abcde");
    tunnel_end(&t, 1);
    tunnel_expect_heard(&t, "-abcdeABCDE");
    tunnel_body(&t, 2, "F", 1);
    tunnel_expect_heard(&t, "-abcdeABCDEF");
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_end(&t, 2);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_free(&t);
}

static void bug_12_a_gap_ends_the_session_after_its_time(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_post(&t, 1, "send/2", "c"), 0);
    assert_int_equal(cv_rtmpt_deadline_us(t.session), t.now_us + 1000 * CV_TUNNEL_PARK_MS);
    assert_int_equal(tunnel_wait(&t, CV_TUNNEL_PARK_MS - 1), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/1", "b"), 0); // just in time
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect_heard(&t, "abc");
    assert_int_equal(tunnel_post(&t, 1, "send/4", "e"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/5", "f"), 0);
    t.now_us += 1000 * CV_TUNNEL_PARK_MS;
    cv_rtmpt_tick(t.session, t.now_us);
    tunnel_expect_failed(&t, CV_E_TIMEOUT, 2);
    tunnel_expect_heard(&t, "abc");
    tunnel_free(&t);
}

static void bug_12_what_waits_has_caps(void **state)
{
    (void)state;
    static uint8_t much[CV_LIMIT_TUNNEL_PARK_BYTES];
    // Requests.
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    for (uint64_t n = 2; n < 2 + CV_LIMIT_TUNNEL_REQUESTS - 1; n++)
        assert_int_equal(tunnel_post_n(&t, n, "send", n, "x"), 0);
    assert_int_equal(tunnel_begin(&t, 1, "idle/33"), 0);
    assert_int_equal(tunnel_begin(&t, 77, "send/1"), CV_E_TOO_MANY);
    tunnel_expect_failed(&t, CV_E_TOO_MANY, CV_LIMIT_TUNNEL_REQUESTS);
    tunnel_free(&t);
    // Bytes: all of them fit, one more does not.
    for (size_t more = 0; more < 2; more++) {
        t = tunnel_playing();
        assert_int_equal(tunnel_post(&t, 1, "send/0", ""), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        assert_int_equal(tunnel_begin(&t, 2, "send/2"), 0);
        tunnel_body(&t, 2, much, sizeof much / 2);
        tunnel_body(&t, 2, much, sizeof much / 2);
        assert_int_equal(tunnel_begin(&t, 3, "send/3"), 0);
        tunnel_body(&t, 3, much, more);
        if (more) {
            tunnel_expect_failed(&t, CV_E_QUEUE_FULL, 2);
        } else {
            tunnel_end(&t, 2);
            assert_int_equal(tunnel_post(&t, 1, "send/1", "x"), 0);
            assert_int_equal(t.heard.len, 1 + sizeof much);
            tunnel_body(&t, 3, much, 100); // its turn: streamed, whatever waits
            assert_int_equal(t.heard.len, 101 + sizeof much);
        }
        tunnel_free(&t);
    }
    // Numbers that can never come into their turn.
    static const char *const far[] = {"send/34", "idle/9007199254740992"};
    for (int i = 0; i < 2; i++) {
        t = tunnel_playing();
        assert_int_equal(tunnel_post(&t, 1, "send/0", ""), 0);
        assert_int_equal(tunnel_begin(&t, 2, far[i]), CV_E_SEQUENCE);
        tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
        tunnel_free(&t);
    }
}

// ---- replies -------------------------------------------------------------------------------

static int say_much(struct tunnel *t, size_t len)
{
    struct cv_block *payload = cv_block_new(len);
    assert_non_null(payload);
    memset(payload->data, 7, len);
    payload->len = (uint32_t)len;
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .stream_id = 1, .payload = payload};
    int err = cv_rtmp_send(t->rtmp, &msg, CV_CSID_VIDEO);
    cv_block_unref(&payload);
    return err;
}

static void replies_are_whole_messages_up_to_their_cap(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(cv_rtmp_send_control(t.rtmp, CV_MSG_SET_CHUNK_SIZE, 65536), CV_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(say_much(&t, 300000), CV_OK);
    assert_int_equal(say_much(&t, 3 * CV_TUNNEL_REPLY_BYTES), CV_OK);
    size_t sum = 0;
    for (uint64_t n = 0; n < 4; n++) {
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "a"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        size_t len = tunnel_reply(&t, 0)->body.len;
        assert_true(n == 2 ? len > 3 * CV_TUNNEL_REPLY_BYTES : len <= CV_TUNNEL_REPLY_BYTES);
        assert_true((n == 3) == (len == 0));
        sum += len;
        // What is too long is not kept.
        if (n == 1)
            assert_int_equal(tunnel_post_n(&t, 2, "send", n, "a"), 0);
        assert_int_equal(tunnel_answer(&t), n == 1);
    }
    assert_int_equal(sum, cv_rtmp_bytes_out(t.rtmp) - 3073);
    assert_int_equal(say_much(&t, 3 * CV_TUNNEL_REPLY_BYTES), CV_OK);
    assert_int_equal(tunnel_post(&t, 1, "send/4", "a"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_post(&t, 1, "send/4", "a"), CV_E_SEQUENCE);
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
    tunnel_free(&t);
}

// ---- holding --------------------------------------------------------------------------------

static void idle_is_held_for_its_time(void **state)
{
    (void)state;
    static const struct {
        enum cv_rtmpt_mode mode;
        uint32_t hold_ms, ms;
    } cases[] = {
        {CV_RTMPT_SETUP, 0, CV_TUNNEL_SETUP_HOLD_MS},
        {CV_RTMPT_SETUP, 50, 50},
        {CV_RTMPT_PLAY, 0, CV_TUNNEL_HOLD_MS},
        {CV_RTMPT_PLAY, 4000, 4000},
        {CV_RTMPT_FLOW, 700, 700},
        {CV_RTMPT_PUBLISH, 4000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tunnel t = tunnel_new(cases[i].hold_ms, 0);
        cv_rtmpt_set_mode(t.session, cases[i].mode);
        assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
        assert_int_equal(tunnel_answer(&t), cases[i].ms == 0);
        if (cases[i].ms) {
            uint64_t ticket = 0;
            assert_int_equal(cv_rtmpt_due(t.session, t.now_us, &ticket), CV_RTMPT_HELD);
            assert_int_equal(ticket, 1);
            assert_int_equal(cv_rtmpt_deadline_us(t.session), t.now_us + 1000 * cases[i].ms);
            assert_int_equal(tunnel_wait(&t, cases[i].ms - 1), 0);
            assert_int_equal(tunnel_wait(&t, 1), 1);
            tunnel_expect(&t, 0, 1, 1, 0);
        }
        tunnel_free(&t);
    }
}

static void held_idle_is_answered_by_data_and_by_requests(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_wait(&t, 500), 0);
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 1, KIT_SAID);
    // Data is there already.
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 1, KIT_SAID);
    // As soon as another request begins, on the same connection or another one.
    for (uint64_t ticket = 1; ticket < 3; ticket++) {
        uint64_t n = 2 * ticket;
        assert_int_equal(tunnel_post_n(&t, 1, "idle", n, "x"), 0);
        assert_int_equal(tunnel_answer(&t), 0);
        assert_int_equal(tunnel_begin(&t, ticket, ticket == 1 ? "send/3" : "send/5"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 1, 1, 0);
        tunnel_end(&t, ticket);
        assert_int_equal(tunnel_answer(&t), 1);
    }
    // The idle gets what the request behind it has brought about, that request gets the rest.
    assert_int_equal(tunnel_post(&t, 1, "idle/6", "x"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/7", "x"), 0);
    tunnel_say(&t, 3);
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect(&t, 1, 1, 1, KIT_SAID);
    tunnel_expect(&t, 0, 2, 1, 0);
    // A publisher's idle is not held any more when it becomes one.
    assert_int_equal(tunnel_post(&t, 1, "idle/8", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PUBLISH);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_free(&t);
}

// A proxy sends requests of several clients on one connection: they stand behind each other's
// idles.
static void held_idle_is_hurried_by_what_waits_behind_it(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_wait(&t, 500), 0);
    cv_rtmpt_hurry(t.session);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 1, 0);
    // That one only.
    assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
    assert_int_equal(tunnel_wait(&t, 500), 0);
    tunnel_free(&t);
}

// Flash and others begin with an idle; holding it would hold up everything.
static void first_idle_is_answered_at_once(void **state)
{
    (void)state;
    struct tunnel t = tunnel_fresh(4000, 0);
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 1, 0);
    tunnel_free(&t);
}

static void publisher_gets_a_message_in_each_reply(void **state)
{
    (void)state;
    struct tunnel t = tunnel_new(0, 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PUBLISH);
    for (uint64_t n = 0; n < 20; n++) {
        assert_int_equal(tunnel_post_n(&t, 1, n % 3 ? "send" : "idle", n, "x"), 0);
        if (n == 10)
            tunnel_say(&t, 1);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 1, 1, n == 10 ? KIT_SAID : ACK);
        assert_int_equal(tunnel_reply(&t, 0)->body.data[7], n == 10 ? 4 : 3);
    }
    tunnel_free(&t);
}

// ---- replies nobody reads, many connections -------------------------------------------------

static void bug_32_replies_that_nobody_reads_are_a_counter(void **state)
{
    (void)state;
    struct tunnel t = tunnel_new(0, 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PUBLISH);
    t.deaf = 1;
    t.silent = true;
    char path[40];
    struct cv_mem_stats before = cv_mem_stats();
    for (int n = 0; n < 100000; n++) {
        snprintf(path, sizeof path, "send/%d", n);
        assert_int_equal(tunnel_post(&t, 1, path, "x"), 0);
        assert_int_equal(tunnel_answer(&t), 0);
    }
    struct cv_mem_stats after = cv_mem_stats();
    assert_int_equal(after.allocs, before.allocs);
    assert_true(cv_rtmp_out_empty(t.rtmp));
    // It reads after all.
    t.deaf = 0;
    assert_int_equal(tunnel_answer(&t), 100000);
    tunnel_free(&t);
}

static void bug_32_many_requests_in_one_piece(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    for (uint64_t n = 0; n < 40; n++) {
        if (n % 10 == 0)
            tunnel_say(&t, (uint32_t)n);
        assert_int_equal(tunnel_post_n(&t, 1, n % 4 == 3 ? "idle" : "send", n, "x"), 0);
    }
    // Only the newest is an idle that may wait.
    assert_int_equal(tunnel_answer(&t), 39);
    tunnel_expect(&t, 38, 1, 1, 4 * KIT_SAID);
    tunnel_expect(&t, 0, 1, 1, 0);
    assert_int_equal(tunnel_wait(&t, CV_TUNNEL_HOLD_MS), 1);
    assert_int_equal(t.heard.len, 30);
    tunnel_free(&t);
}

static void one_connection_is_written_at_a_time(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.slow = true;
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    assert_int_equal(tunnel_post(&t, 1, "send/1", "a"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/2", "a"), 0);
    assert_int_equal(tunnel_answer(&t), 2); // both for 1
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_answer(&t), 0);
    cv_rtmpt_sent(t.session, 2); // not his turn
    assert_int_equal(tunnel_answer(&t), 0);
    cv_rtmpt_sent(t.session, 1);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 2, 1, KIT_SAID);
    tunnel_free(&t);
}

static void replies_to_many_connections_have_a_cap(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    for (uint64_t n = 0; n < CV_LIMIT_TUNNEL_RUNS; n++)
        assert_int_equal(tunnel_post_n(&t, n % 2 + 1, "send", n, "a"), 0);
    assert_int_equal(tunnel_post_n(&t, 2, "send", CV_LIMIT_TUNNEL_RUNS, "a"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    assert_int_equal(tunnel_post_n(&t, 1, "send", CV_LIMIT_TUNNEL_RUNS + 1, "a"), CV_E_TOO_MANY);
    t.deaf = 0;
    tunnel_expect_failed(&t, CV_E_TOO_MANY, 2);
    tunnel_free(&t);
}

// Two sessions whose requests share one connection: what happens to one is nothing to the other.
static void bug_15_two_sessions_on_one_connection(void **state)
{
    (void)state;
    struct tunnel a = tunnel_playing();
    struct tunnel b = tunnel_playing();
    for (uint64_t n = 0; n < 3; n++) {
        tunnel_say(&a, 1);
        assert_int_equal(tunnel_post_n(&a, 1, "send", n, "a"), 0);
        assert_int_equal(tunnel_post_n(&b, 1, "send", n, "b"), 0);
        assert_int_equal(tunnel_answer(&a), 1);
        assert_int_equal(tunnel_answer(&b), 1);
        tunnel_expect(&a, 0, 1, 1, KIT_SAID);
        tunnel_expect(&b, 0, 1, 1, 0);
    }
    assert_int_equal(tunnel_post(&a, 1, "send/7", "a"), 0);
    assert_int_equal(tunnel_post(&a, 1, "send/0", "aa"), CV_E_SEQUENCE);
    tunnel_expect_failed(&a, CV_E_SEQUENCE, 1);
    tunnel_free(&a);
    assert_int_equal(tunnel_post(&b, 1, "send/3", "b"), 0);
    assert_int_equal(tunnel_answer(&b), 1);
    tunnel_expect_heard(&b, "bbbb");
    tunnel_free(&b);
}

// A connection with two requests of one session goes, at each point of their lives.
static void bug_15_connection_with_two_requests_goes(void **state)
{
    (void)state;
    for (int point = 0; point < 8; point++) {
        struct tunnel t = tunnel_playing();
        t.deaf = 1;
        assert_int_equal(tunnel_post(&t, 9, "send/0", "0"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        bool swapped = point >= 4;
        int stage = point % 4;
        assert_int_equal(tunnel_begin(&t, 1, swapped ? "send/2" : "send/1"), 0);
        if (stage > 0)
            tunnel_body(&t, 1, swapped ? "2" : "1", 1), tunnel_end(&t, 1);
        if (stage > 1)
            assert_int_equal(tunnel_begin(&t, 1, swapped ? "send/1" : "send/2"), 0);
        if (stage > 2)
            tunnel_body(&t, 1, swapped ? "1" : "2", 1), tunnel_end(&t, 1);
        tunnel_gone(&t, 1);
        assert_int_equal(tunnel_answer(&t), 0);
        // Its number may be another connection's now.
        t.deaf = 0;
        const char *next = stage == 3 ? "send/3" : stage && !swapped ? "send/2" : "send/1";
        assert_int_equal(tunnel_post(&t, 1, next, "n"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 1, 1, 0);
        static const char *const heard[] = {"0n", "01n", "01n", "012n", "0n", "0n2", "0n2", "012n"};
        tunnel_expect_heard(&t, heard[point]);
        tunnel_free(&t);
    }
}

// ---- chunked replies ------------------------------------------------------------------------

static struct tunnel flowing(void)
{
    struct tunnel t = tunnel_new(0, 700);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_FLOW);
    tunnel_say(&t, 1);
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_FIRST);
    assert_int_equal(tunnel_reply(&t, 0)->poll, 1);
    assert_int_equal(tunnel_reply(&t, 0)->body.len, KIT_SAID);
    return t;
}

static void expect_chunk(const struct tunnel *t, enum cv_rtmpt_form form, size_t len)
{
    assert_int_equal(tunnel_reply(t, 0)->form, form);
    assert_int_equal(tunnel_reply(t, 0)->status, 200);
    assert_int_equal(tunnel_reply(t, 0)->poll, -1);
    assert_int_equal(tunnel_reply(t, 0)->body.len, len);
}

static void chunked_reply_lasts_for_its_window(void **state)
{
    (void)state;
    struct tunnel t = flowing();
    assert_int_equal(cv_rtmpt_deadline_us(t.session), t.now_us + 700000);
    assert_int_equal(tunnel_wait(&t, 300), 0);
    tunnel_say(&t, 2);
    assert_int_equal(tunnel_answer(&t), 1);
    expect_chunk(&t, CV_RTMPT_CHUNK, KIT_SAID);
    assert_int_equal(tunnel_wait(&t, 399), 0);
    assert_int_equal(tunnel_wait(&t, 1), 1);
    expect_chunk(&t, CV_RTMPT_CHUNK_LAST, 0);
    // The next idle is held until there is something, then it begins again.
    assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
    assert_int_equal(tunnel_wait(&t, 1000), 0);
    tunnel_say(&t, 3);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->form, CV_RTMPT_CHUNK_FIRST);
    tunnel_say(&t, 4);
    assert_int_equal(tunnel_wait(&t, 700), 1);
    expect_chunk(&t, CV_RTMPT_CHUNK_LAST, KIT_SAID);
    // Nothing came: it is a plain one.
    assert_int_equal(tunnel_post(&t, 1, "idle/2", "x"), 0);
    assert_int_equal(tunnel_wait(&t, CV_TUNNEL_HOLD_MS), 1);
    tunnel_expect(&t, 0, 1, 1, 0);
    tunnel_free(&t);
}

static void chunked_reply_ends_for_whatever_comes(void **state)
{
    (void)state;
    for (int why = 0; why < 5; why++) {
        struct tunnel t = flowing();
        tunnel_say(&t, 2);
        if (why == 0)
            assert_int_equal(tunnel_begin(&t, 2, "send/1"), 0);
        if (why == 1)
            cv_rtmpt_set_mode(t.session, CV_RTMPT_PUBLISH);
        if (why == 2)
            cv_rtmpt_finish(t.session);
        if (why == 3)
            assert_int_equal(tunnel_post(&t, 2, "close", ""), 0);
        if (why == 4)
            cv_rtmpt_hurry(t.session);
        assert_int_equal(tunnel_answer(&t), why == 3 ? 2 : 1);
        if (why == 3)
            tunnel_expect(&t, 0, 2, 0, 0);
        else
            expect_chunk(&t, CV_RTMPT_CHUNK_LAST, KIT_SAID);
        assert_int_equal(t.said.len, 2 * KIT_SAID);
        tunnel_free(&t);
    }
}

static void chunked_reply_is_cut_or_fails(void **state)
{
    (void)state;
    struct tunnel t = flowing();
    tunnel_gone(&t, 1);
    tunnel_expect_failed(&t, CV_E_CLOSED, 0);
    tunnel_free(&t);
    t = flowing();
    cv_rtmpt_fail(t.session, CV_E_CONTROL, "the engine has failed");
    assert_int_equal(tunnel_answer(&t), 1);
    expect_chunk(&t, CV_RTMPT_CHUNK_LAST, 0);
    assert_true(cv_rtmpt_over(t.session));
    tunnel_free(&t);
    // It is not kept: the same request again cannot be answered.
    t = flowing();
    assert_int_equal(tunnel_wait(&t, 700), 1);
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), CV_E_SEQUENCE);
    tunnel_expect_failed(&t, CV_E_SEQUENCE, 1);
    tunnel_free(&t);
    t = flowing();
    assert_int_equal(tunnel_post(&t, 2, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 2);
    assert_int_equal(tunnel_reply(&t, 0)->status, 404);
    tunnel_free(&t);
}

static void chunked_replies_only_while_media_flows(void **state)
{
    (void)state;
    for (int mode = CV_RTMPT_SETUP; mode <= CV_RTMPT_PUBLISH; mode++) {
        struct tunnel t = tunnel_new(0, 700);
        cv_rtmpt_set_mode(t.session, (enum cv_rtmpt_mode)mode);
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_post(&t, 1, "send/0", "x"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        tunnel_expect(&t, 0, 1, 1, KIT_SAID); // never for a send
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
        assert_int_equal(tunnel_reply(&t, 0)->form == CV_RTMPT_CHUNK_FIRST, mode == CV_RTMPT_FLOW);
        tunnel_free(&t);
    }
}

// ---- ends -----------------------------------------------------------------------------------

static void close_in_every_form(void **state)
{
    (void)state;
    static const char *const forms[] = {"close/2", "close", "close/0"};
    for (int i = 0; i < 3; i++) {
        struct tunnel t = tunnel_playing();
        tunnel_say(&t, 1);
        assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
        assert_int_equal(tunnel_post(&t, 1, "idle/1", "a"), 0);
        assert_int_equal(tunnel_begin(&t, 2, forms[i]), 0);
        assert_false(t.ended);
        tunnel_body(&t, 2, "", i == 1); // 00, or nothing
        tunnel_end(&t, 2);
        assert_true(t.ended);
        assert_false(cv_rtmpt_over(t.session));
        tunnel_say(&t, 2); // too late
        assert_int_equal(tunnel_answer(&t), 3);
        tunnel_expect(&t, 2, 1, 1, 2 * KIT_SAID);
        tunnel_expect(&t, 1, 1, 1, 0);
        tunnel_expect(&t, 0, 2, 0, 0);
        assert_true(cv_rtmpt_over(t.session));
        assert_int_equal(tunnel_post(&t, 1, "idle/3", "a"), CV_E_CLOSED);
        tunnel_free(&t);
    }
}

static void close_waits_for_its_turn(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    assert_int_equal(tunnel_post(&t, 2, "close/2", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_false(t.ended);
    assert_int_equal(tunnel_post(&t, 1, "send/1", "b"), 0);
    assert_true(t.ended);
    assert_int_equal(tunnel_answer(&t), 2);
    tunnel_expect(&t, 0, 2, 0, 0);
    tunnel_expect_heard(&t, "ab");
    tunnel_free(&t);
}

// Requests that are still there behind a /close, and one whose answer is not ready.
static void close_leaves_nobody_waiting(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    assert_int_equal(tunnel_post(&t, 1, "send/0", "a"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/0", "a"), 0); // again
    assert_int_equal(tunnel_begin(&t, 3, "send/5"), 0);
    assert_int_equal(tunnel_post(&t, 4, "send/3", "d"), 0);
    assert_int_equal(tunnel_post(&t, 5, "close", ""), 0);
    assert_true(t.ended);
    t.deaf = 0;
    assert_int_equal(tunnel_answer(&t), 5);
    assert_int_equal(tunnel_reply(&t, 0)->status, 404);
    assert_int_equal(tunnel_reply(&t, 1)->status, 404);
    tunnel_expect(&t, 2, 5, 0, 0);
    assert_true(cv_rtmpt_over(t.session));
    tunnel_body(&t, 3, "x", 1); // goes on, and harms nobody
    tunnel_end(&t, 3);
    tunnel_gone(&t, 3);
    tunnel_free(&t);
}

static void server_finishes(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(say_much(&t, 250000), CV_OK);
    cv_rtmpt_finish(t.session);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->poll, 1); // there is more
    assert_false(cv_rtmpt_over(t.session));
    assert_int_equal(tunnel_post(&t, 1, "idle/1", "x"), 0);
    assert_int_equal(tunnel_answer(&t), 1);
    assert_int_equal(tunnel_reply(&t, 0)->poll, 0);
    assert_true(tunnel_reply(&t, 0)->body.len > 250000);
    assert_true(cv_rtmpt_over(t.session));
    assert_false(t.ended);
    tunnel_free(&t);
    // A held idle hears of it at once.
    t = tunnel_playing();
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    cv_rtmpt_finish(t.session);
    assert_int_equal(tunnel_answer(&t), 1);
    tunnel_expect(&t, 0, 1, 0, 0);
    assert_true(cv_rtmpt_over(t.session));
    tunnel_free(&t);
}

static void bug_11_silence_ends_a_session(void **state)
{
    (void)state;
    uint64_t silence_us = UINT64_C(1000000) * CV_TUNNEL_SILENCE_S;
    struct tunnel t = tunnel_playing(); // not a single request
    assert_int_equal(cv_rtmpt_deadline_us(t.session), t.now_us + silence_us);
    assert_int_equal(tunnel_wait(&t, silence_us / 1000), 0);
    tunnel_expect_failed(&t, CV_E_TIMEOUT, 0);
    tunnel_free(&t);
    t = tunnel_playing(); // requests, then none
    for (uint64_t n = 0; n < 10; n++) {
        assert_int_equal(tunnel_wait(&t, silence_us / 1000 - 1), 0);
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "x"), 0);
        assert_int_equal(tunnel_answer(&t), 1);
    }
    assert_int_equal(tunnel_begin(&t, 1, "send/10"), 0);
    tunnel_body(&t, 1, "x", 1);
    t.now_us += silence_us;
    cv_rtmpt_tick(t.session, t.now_us);
    tunnel_expect_failed(&t, CV_E_TIMEOUT, 1);
    tunnel_free(&t);
    // An idle that is held for long is no silence.
    t = tunnel_new(30000, 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PLAY);
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_wait(&t, 29999), 0);
    assert_int_equal(tunnel_wait(&t, 1), 1);
    tunnel_expect(&t, 0, 1, 1, 0);
    assert_int_equal(tunnel_wait(&t, 1), 0);
    assert_int_equal(cv_rtmpt_why(t.session)->code, CV_E_TIMEOUT);
    tunnel_free(&t);
}

static void deadlines_lie_ahead(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    assert_int_equal(tunnel_post(&t, 1, "idle/0", "x"), 0);
    assert_int_equal(tunnel_wait(&t, CV_TUNNEL_HOLD_MS), 0);
    // It is due, and cannot be written: no timer can help.
    assert_true(cv_rtmpt_deadline_us(t.session) > t.now_us + 1000000);
    tunnel_free(&t);
}

static void failure_answers_each_connection_once(void **state)
{
    (void)state;
    struct tunnel t = tunnel_playing();
    t.deaf = 1;
    for (uint64_t n = 0; n < 10; n++)
        assert_int_equal(tunnel_post_n(&t, 1, "send", n, "x"), 0);
    assert_int_equal(tunnel_post(&t, 2, "send/9", "x"), 0); // again
    assert_int_equal(tunnel_post(&t, 3, "send/12", "x"), 0);
    assert_int_equal(tunnel_post(&t, 3, "send/13", "x"), 0);
    assert_int_equal(tunnel_begin(&t, 4, "send/11"), 0);
    tunnel_body(&t, 4, "xyz", 3);
    cv_rtmpt_fail(t.session, CV_E_CONTROL, "the engine has failed");
    t.deaf = 0;
    tunnel_expect_failed(&t, CV_E_CONTROL, 4);
    tunnel_body(&t, 4, "x", 1); // goes on, and harms nobody
    tunnel_end(&t, 4);
    tunnel_gone(&t, 4);
    assert_true(cv_rtmpt_over(t.session));
    tunnel_free(&t);
}

// ---- memory ---------------------------------------------------------------------------------

static bool run_requests(void *arg)
{
    (void)arg;
    struct tunnel t = tunnel_fresh(0, 0);
    t.silent = true;
    if (!t.session) {
        tunnel_free(&t);
        return false;
    }
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PUBLISH);
    static const struct {
        uint64_t ticket;
        const char *path;
    } posts[] = {{1, "send/0"}, {2, "send/2"}, {3, "send/3"}, {1, "send/1"}, {2, "send/3"}};
    int err = CV_OK;
    for (size_t i = 0; i < sizeof posts / sizeof posts[0] && err == CV_OK; i++) {
        err = tunnel_begin(&t, posts[i].ticket, posts[i].path);
        for (int piece = 0; piece < 3 && err == CV_OK; piece++) {
            cv_rtmpt_body(t.session, posts[i].ticket, "abcdefgh", 8, t.now_us);
            struct cv_rtmpt_event event;
            while ((err = cv_rtmpt_next(t.session, &event)) > 0)
                continue;
        }
        if (err == CV_OK) {
            tunnel_end(&t, posts[i].ticket);
            err = t.result;
        }
        tunnel_answer(&t);
        err = err ? err : cv_rtmpt_why(t.session)->code;
    }
    tunnel_answer(&t);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_true(err == CV_OK || cv_rtmpt_over(t.session));
    tunnel_free(&t);
    return err == CV_OK;
}

static void requests_with_failing_memory(void **state)
{
    (void)state;
    fail_nth(run_requests, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_in_order_are_one_stream),
        cmocka_unit_test(first_number_is_0_or_1),
        cmocka_unit_test(idle_0_may_come_behind_1),
        cmocka_unit_test(bodies_cut_anywhere),
        cmocka_unit_test(bug_12_requests_are_served_in_the_order_of_their_numbers),
        cmocka_unit_test(bodies_that_come_at_the_same_time),
        cmocka_unit_test(bug_12_a_gap_ends_the_session_after_its_time),
        cmocka_unit_test(bug_12_what_waits_has_caps),
        cmocka_unit_test(replies_are_whole_messages_up_to_their_cap),
        cmocka_unit_test(idle_is_held_for_its_time),
        cmocka_unit_test(held_idle_is_answered_by_data_and_by_requests),
        cmocka_unit_test(held_idle_is_hurried_by_what_waits_behind_it),
        cmocka_unit_test(first_idle_is_answered_at_once),
        cmocka_unit_test(publisher_gets_a_message_in_each_reply),
        cmocka_unit_test(bug_32_replies_that_nobody_reads_are_a_counter),
        cmocka_unit_test(bug_32_many_requests_in_one_piece),
        cmocka_unit_test(one_connection_is_written_at_a_time),
        cmocka_unit_test(replies_to_many_connections_have_a_cap),
        cmocka_unit_test(bug_15_two_sessions_on_one_connection),
        cmocka_unit_test(bug_15_connection_with_two_requests_goes),
        cmocka_unit_test(chunked_reply_lasts_for_its_window),
        cmocka_unit_test(chunked_reply_ends_for_whatever_comes),
        cmocka_unit_test(chunked_reply_is_cut_or_fails),
        cmocka_unit_test(chunked_replies_only_while_media_flows),
        cmocka_unit_test(close_in_every_form),
        cmocka_unit_test(close_waits_for_its_turn),
        cmocka_unit_test(close_leaves_nobody_waiting),
        cmocka_unit_test(server_finishes),
        cmocka_unit_test(bug_11_silence_ends_a_session),
        cmocka_unit_test(deadlines_lie_ahead),
        cmocka_unit_test(failure_answers_each_connection_once),
        cmocka_unit_test(requests_with_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
