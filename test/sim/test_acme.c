// Years with an authority that works, fails, or is not there, in virtual time: when a certificate
// is asked for, and how often; and what is understood of a client's words.
#include "../unit/harness.h"

#include "server/acme_plan.h"

#include <stdio.h>

enum { HOUR = 3600, DAY = 24 * HOUR, START = 1800000000, ASKS_MAX = 20000 };

struct world {
    int64_t now_s;
    int64_t life_s;      // of the certificates that are given
    int64_t broken_from; // then the authority fails
    int64_t broken_to;
    int64_t restart_s; // the server starts anew so often; 0: never
    bool limits;       // it says that it is asked too often
    uint32_t jitter;
    struct cv_acme_have have;
    struct cv_acme_past past;
    char kept[256]; // on disk
    int64_t asks[ASKS_MAX];
    unsigned count;
    int64_t without_s; // time without a valid certificate
};

static void ask(struct world *world)
{
    assert_true(world->count < ASKS_MAX);
    world->asks[world->count++] = world->now_s;
    if (world->now_s >= world->broken_from && world->now_s < world->broken_to) {
        cv_acme_fail(&world->past, world->limits, world->now_s);
    } else {
        world->past = (struct cv_acme_past){0};
        world->have =
            (struct cv_acme_have){true, world->now_s - HOUR, world->now_s - HOUR + world->life_s};
    }
    assert_true(cv_acme_past_write(&world->past, "q", world->kept, sizeof world->kept));
}

static void pass(struct world *world, int64_t sleep_s)
{
    int64_t to_s = world->now_s + sleep_s;
    if (world->restart_s && to_s > world->now_s + world->restart_s) {
        to_s = world->now_s + world->restart_s;
        world->past = cv_acme_past_read(cv_text_of(world->kept), "q");
        world->jitter = world->jitter * 1664525 + 1013904223;
    }
    int64_t valid_to_s = world->have.fits ? world->have.not_after_s : 0;
    int64_t from_s = valid_to_s > world->now_s ? valid_to_s : world->now_s;
    world->without_s += to_s > from_s ? to_s - from_s : 0;
    world->now_s = to_s;
}

static void live(struct world *world, int64_t for_s)
{
    int64_t end_s = world->now_s + for_s;
    while (world->now_s < end_s) {
        int64_t ask_s =
            cv_acme_ask_s(&world->have, &world->past, world->jitter, false, world->now_s);
        if (ask_s <= world->now_s)
            ask(world);
        else
            pass(world, cv_acme_sleep_s(ask_s, world->now_s));
    }
}

static unsigned most_within(const struct world *world, int64_t window_s)
{
    unsigned most = 0;
    for (unsigned from = 0, to = 0; to < world->count; to++) {
        while (world->asks[to] - world->asks[from] >= window_s)
            from++;
        most = to - from + 1 > most ? to - from + 1 : most;
    }
    return most;
}

static struct world *world_new(int64_t life_s)
{
    static struct world world;
    world = (struct world){.now_s = START, .life_s = life_s, .jitter = 0x9e3779b9};
    return &world;
}

// ---- good years -----------------------------------------------------------------------------

static void renewed_when_a_third_is_left(void **state)
{
    (void)state;
    static const int64_t lives_s[] = {90 * DAY, 47 * DAY, 6 * DAY, DAY};
    for (size_t i = 0; i < sizeof lives_s / sizeof lives_s[0]; i++) {
        struct world *world = world_new(lives_s[i]);
        live(world, 400 * DAY);
        assert_int_equal(world->asks[0], START);
        assert_int_equal(world->without_s, 0);
        for (unsigned n = 1; n < world->count; n++) {
            int64_t gap_s = world->asks[n] - world->asks[n - 1];
            assert_true(gap_s >= lives_s[i] * 2 / 3 - HOUR);
            assert_true(gap_s <= lives_s[i] * 3 / 4);
        }
        assert_true(world->count >= 400 * DAY / lives_s[i]);
    }
}

static void servers_do_not_come_all_at_once(void **state)
{
    (void)state;
    enum { SERVERS = 600 };
    unsigned hours[6] = {0};
    const struct cv_acme_have have = {true, START, START + 90 * DAY};
    for (uint32_t i = 0; i < SERVERS; i++) {
        int64_t due_s = cv_acme_due_s(&have, i * 2654435761u, START);
        int64_t late_s = due_s - (START + 60 * DAY);
        assert_true(late_s >= 0 && late_s < CV_ACME_JITTER_S);
        hours[late_s / HOUR]++;
    }
    for (size_t i = 0; i < 6; i++)
        assert_true(hours[i] > SERVERS / 12 && hours[i] < SERVERS / 3);
}

// ---- bad years ------------------------------------------------------------------------------

// Let's Encrypt allows five failures of a name in an hour.
static void an_authority_is_never_hammered(void **state)
{
    (void)state;
    static const int64_t restarts_s[] = {0, 60, 7 * HOUR};
    for (size_t i = 0; i < sizeof restarts_s / sizeof restarts_s[0]; i++) {
        struct world *world = world_new(90 * DAY);
        world->broken_to = INT64_MAX;
        world->restart_s = restarts_s[i];
        live(world, 365 * DAY);
        assert_true(most_within(world, HOUR) <= 4);
        assert_true(most_within(world, DAY) <= 9);
        assert_true(world->count < 380);
        for (unsigned n = 20; n < world->count; n++) // nor is it ever given up
            assert_true(world->asks[n] - world->asks[n - 1] <= 28 * HOUR);
    }
}

static void who_has_had_enough_is_left_alone(void **state)
{
    (void)state;
    struct world *world = world_new(90 * DAY);
    world->broken_to = INT64_MAX;
    world->limits = true;
    live(world, 30 * DAY);
    assert_int_equal(most_within(world, CV_ACME_LIMITED_S), 1);
    const struct cv_acme_have none = {0};
    assert_true(cv_acme_ask_s(&none, &world->past, 0, true, world->past.failed_s + HOUR) >=
                world->past.failed_s + CV_ACME_LIMITED_S);
}

static void a_month_of_failures_in_the_middle_is_survived(void **state)
{
    (void)state;
    struct world *world = world_new(90 * DAY);
    world->broken_from = START + 60 * DAY;
    world->broken_to = START + 85 * DAY;
    live(world, 200 * DAY);
    assert_int_equal(world->without_s, 0);
    assert_int_equal(world->past.failures, 0);
}

static void an_administrator_who_has_looked_waits_less(void **state)
{
    (void)state;
    const struct cv_acme_have none = {0};
    struct cv_acme_past past = {.failures = 9, .failed_s = START};
    assert_int_equal(cv_acme_ask_s(&none, &past, 0, false, START + HOUR), START + 300 * 256);
    assert_int_equal(cv_acme_ask_s(&none, &past, 0, true, START + 60), START + 300);
}

static void clocks_jump(void **state)
{
    (void)state;
    const struct cv_acme_have none = {0};
    const struct cv_acme_have have = {true, START, START + 90 * DAY};
    struct cv_acme_past past = {.failures = 30, .failed_s = START};
    // back by years, behind a failure: a wait from now on, not for years
    int64_t now_s = START - 1000 * DAY;
    assert_true(cv_acme_ask_s(&none, &past, UINT32_MAX, false, now_s) <= now_s + 28 * HOUR);
    // far ahead
    assert_true(cv_acme_ask_s(&none, &past, 0, false, START + 1000 * DAY) <= START + 1000 * DAY);
    past.failures = 0;
    assert_int_equal(cv_acme_ask_s(&have, &past, 0, false, START + 1000 * DAY), START + 1000 * DAY);
    // looked at daily all the same
    assert_int_equal(cv_acme_sleep_s(START + 60 * DAY, START), CV_ACME_LOOK_S);
    assert_int_equal(cv_acme_sleep_s(START, START), 1);
    assert_int_equal(cv_acme_sleep_s(START - DAY, START), 1);
    // and one that makes no sense is replaced
    const struct cv_acme_have backwards = {true, START + DAY, START + DAY};
    assert_int_equal(cv_acme_due_s(&backwards, 0, START), START);
}

// ---- what is remembered ---------------------------------------------------------------------

static void the_past_is_kept_for_the_same_question(void **state)
{
    (void)state;
    char text[256];
    const struct cv_acme_past past = {.failures = 7, .failed_s = START, .limited = true};
    assert_true(cv_acme_past_write(&past, "https://a/ b.test c.test", text, sizeof text));
    struct cv_acme_past read = cv_acme_past_read(cv_text_of(text), "https://a/ b.test c.test");
    assert_int_equal(read.failures, 7);
    assert_int_equal(read.failed_s, START);
    assert_true(read.limited);
    assert_int_equal(cv_acme_past_read(cv_text_of(text), "https://a/ b.test").failures, 0);
    assert_false(cv_acme_past_write(&past, "a", text, 20));
    for (size_t len = 0; len < strlen(text); len++) {
        struct guard part = guard_copy(text, len);
        struct cv_text cut = {(char *)part.data, len};
        if (len + 1 < strlen(text)) // all but the last line's end
            assert_int_equal(cv_acme_past_read(cut, "https://a/ b.test c.test").failures, 0);
        guard_free(&part);
    }
}

static void a_malformed_past_is_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\n\n\n\n",
        "failures x\nlast 1\nlimited 0\nasked q\n",
        "failures -1\nlast 1\nlimited 0\nasked q\n",
        "failures 4294967296\nlast 1\nlimited 0\nasked q\n",
        "failures 1\nlast -1\nlimited 0\nasked q\n",
        "failures 1\nlast 99999999999999999999\nlimited 0\nasked q\n",
        "failures 1\nlast 1\nlimited 2\nasked q\n",
        "last 1\nfailures 1\nlimited 0\nasked q\n",
        "failures 1\nlast 1\nlimited 0\nq\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(cv_acme_past_read(cv_text_of(rows[i]), "q").failures, 0);
}

// ---- words ----------------------------------------------------------------------------------

static struct cv_acme_heard hear(const char *lines)
{
    struct cv_acme_heard heard = {0};
    struct cv_text rest = cv_text_of(lines);
    while (rest.len) {
        struct cv_text line = cv_text_take(&rest, '\n');
        struct guard copy = guard_copy(line.at, line.len);
        cv_acme_hear(&heard, (struct cv_text){(char *)copy.data, copy.len});
        guard_free(&copy);
    }
    return heard;
}

static void failures_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *words;
        const char *advice; // a part of it; NULL: none
    } rows[] = {
        {"2026/11/22 22:30:31 [INFO] [c.test] acme: Trying to solve HTTP-01\n"
         "2026/11/22 22:30:40 Could not obtain certificates:\n"
         "\terror: one or more domains had a problem:\n"
         "[c.test] acme: error: 400 :: urn:ietf:params:acme:error:connection :: refused\n"
         "[d.test] acme: error: 403 :: urn:ietf:params:acme:error:unauthorized :: no\n",
         "[c.test] acme: error: 400 :: urn:ietf:params:acme:error:connection :: refused",
         "port 80"},
        {"2026/11/22 22:30:10 Could not create client: get directory at 'https://a/dir': Get "
         "\"https://a/dir\": x509: certificate signed by unknown authority\n",
         "Could not create client: get directory at 'https://a/dir': Get \"https://a/dir\": x509: "
         "certificate signed by unknown authority",
         "tls.acme.ca_file"},
        {"Could not create client: get directory at 'https://a/': dial tcp: no such host", NULL,
         "cannot be found"},
        {"Could not create client: get directory at 'https://a/': connection refused", NULL,
         "HTTPS_PROXY"},
        {"x urn:ietf:params:acme:error:dns :: y", NULL, "A record"},
        {"x urn:ietf:params:acme:error:unauthorized :: y", NULL, "something else"},
        {"x urn:ietf:params:acme:error:caa :: y", NULL, "CAA"},
        {"x urn:ietf:params:acme:error:rateLimited :: y", NULL, "to wait"},
        {"[INFO] retry due to: urn:ietf:params:acme:error:badNonce\nat last\n", "at last", NULL},
        {"one\ntwo\n[INFO] three\n", "two", NULL},
        {"2026/11/22 22:30:10 \n", "", NULL},
        {"", "", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_acme_heard heard = hear(rows[i].lines);
        if (rows[i].words)
            assert_string_equal(heard.words, rows[i].words);
        if (!rows[i].advice)
            assert_null(heard.advice);
        else if (!heard.advice || !strstr(heard.advice, rows[i].advice))
            fail_msg("%s: %s", rows[i].lines, heard.advice ? heard.advice : "no advice");
    }
    assert_true(hear("urn:ietf:params:acme:error:rateLimited").limited);
    assert_false(hear("urn:ietf:params:acme:error:dns").limited);
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    char line[2000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    struct cv_acme_heard heard = hear(line);
    assert_int_equal(strlen(heard.words), sizeof heard.words - 1);
    assert_int_equal(heard.lines, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renewed_when_a_third_is_left),
        cmocka_unit_test(servers_do_not_come_all_at_once),
        cmocka_unit_test(an_authority_is_never_hammered),
        cmocka_unit_test(who_has_had_enough_is_left_alone),
        cmocka_unit_test(a_month_of_failures_in_the_middle_is_survived),
        cmocka_unit_test(an_administrator_who_has_looked_waits_less),
        cmocka_unit_test(clocks_jump),
        cmocka_unit_test(the_past_is_kept_for_the_same_question),
        cmocka_unit_test(a_malformed_past_is_none),
        cmocka_unit_test(failures_are_understood),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
