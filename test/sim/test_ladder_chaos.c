// The ladder, whatever attempts report.
#include "client/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Who may have connect accepted, by what it was told and what it said.
struct chaos_attempt {
    bool live;
    bool eager; // its first flight carries connect, and no answer has come
    bool secure;
    bool secured;
};

struct chaos {
    struct cv_ladder ladder;
    struct cv_ladder_config config;
    struct chaos_attempt attempts[CV_LADDER_ATTEMPTS_MAX];
    uint32_t count;
    int carrier; // sent connect, as far as is known; -1
    bool over;
};

static bool is_any_eager(const struct chaos *chaos, uint32_t but)
{
    for (uint32_t i = 0; i < chaos->count; i++) {
        if (i != but && chaos->attempts[i].live && chaos->attempts[i].eager)
            return true;
    }
    return false;
}

static void chaos_start(struct chaos *chaos, const struct cv_ladder_action *action)
{
    assert_true(action->secure || chaos->config.security != CV_SECURITY_ONLY);
    assert_true(!action->secure || chaos->config.security != CV_SECURITY_PLAIN);
    assert_true(action->attempt == chaos->count && chaos->count < CV_LADDER_ATTEMPTS_MAX);
    bool proxy = chaos->config.proxy || (action->secure && chaos->config.secure_proxy);
    assert_true(action->way != CV_WAY_CONNECT || proxy);
    assert_false(action->eager && (chaos->carrier >= 0 || is_any_eager(chaos, UINT32_MAX)));
    chaos->attempts[chaos->count++] =
        (struct chaos_attempt){.live = true, .eager = action->eager, .secure = action->secure};
}

static void chaos_stop(struct chaos *chaos, uint32_t who)
{
    assert_true(chaos->attempts[who].live);
    chaos->attempts[who].live = false;
    if (chaos->carrier == (int)who)
        chaos->carrier = -1;
}

static void chaos_pull(struct chaos *chaos)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&chaos->ladder, &action) == 1) {
        chaos->over |= action.act == CV_LADDER_THROUGH || action.act == CV_LADDER_FAILED;
        if (action.act == CV_LADDER_START)
            chaos_start(chaos, &action);
        if (action.act == CV_LADDER_STOP)
            chaos_stop(chaos, action.attempt);
        if (action.act == CV_LADDER_CONNECT) {
            assert_true(chaos->carrier == -1 && !is_any_eager(chaos, action.attempt));
            chaos->carrier = (int)action.attempt;
        }
    }
}

// What the report says of connect.
static void chaos_note(struct chaos *chaos, uint32_t who, const struct cv_met_report *report)
{
    struct chaos_attempt *attempt = &chaos->attempts[who];
    if (!attempt->live)
        return;
    if (report->met >= CV_MET_REFUSED) {
        chaos_stop(chaos, who);
    } else if (report->met >= CV_MET_UPGRADED) {
        bool taken =
            report->met == CV_MET_UPGRADED || (report->met == CV_MET_OPENED && report->taken);
        if (attempt->eager && taken && chaos->carrier == -1)
            chaos->carrier = (int)who;
        attempt->eager = false;
    }
    attempt->secured |= report->met == CV_MET_SECURED;
}

// Behind a certificate that is not accepted nothing is begun inside TLS any more, and of what was
// only that goes on which has TLS.
static void check_certificate(const struct chaos *chaos, uint32_t who, uint32_t count_before)
{
    if (!chaos->attempts[who].secure)
        return;
    for (uint32_t i = 0; i < chaos->count; i++) {
        const struct chaos_attempt *attempt = &chaos->attempts[i];
        bool asked = chaos->carrier == (int)i;
        assert_false(attempt->secure && attempt->live && !attempt->secured && !asked);
        assert_false(attempt->secure && i >= count_before);
    }
}

static void chaos_report(struct chaos *chaos, uint32_t random, uint64_t now_us)
{
    struct cv_met_report report = {.met = (enum cv_met)((random >> 8) % (CV_MET_CERTIFICATE + 1)),
                                   .rtt_us = random >> 12,
                                   .ipv6 = random & 4,
                                   .ours = random & 1,
                                   .taken = random & 8,
                                   .code = CV_E_CERT_UNTRUSTED - (int)((random >> 16) % 5),
                                   .status = 300 + (random >> 20) % 300,
                                   .elsewhere = (random & 0xf0) == 0};
    uint32_t who = (random >> 4) % chaos->count;
    uint32_t count = chaos->count;
    const struct chaos_attempt *attempt = &chaos->attempts[who];
    bool ends_tls = attempt->live && (report.met == CV_MET_CERTIFICATE ||
                                      (report.met == CV_MET_NOT_TLS && !attempt->secured));
    chaos_note(chaos, who, &report);
    cv_ladder_report(&chaos->ladder, who, &report, now_us);
    chaos_pull(chaos);
    if (ends_tls)
        check_certificate(chaos, who, count);
}

// Whatever attempts report, in whatever order and time: it ends, never two are asked at once, and
// nothing is plain that must not be.
static void any_reports_end(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (uint32_t round = 0; round < 60000; round++) {
        struct chaos chaos = {.carrier = -1,
                              .config = {.order = (enum cv_ladder_order)(round % 2),
                                         .security = (enum cv_security)(round / 2 % 3),
                                         .proxy = random & 0x10000,
                                         .secure_proxy = random & 0x200000,
                                         .credentials = random & 0x20000,
                                         .eager = random & 0x40000,
                                         .ours = random & 0x80000,
                                         .remembered_secure = random & 0x100000,
                                         .remembered = (enum cv_way)(round / 6 % CV_WAYS)}};
        uint64_t now_us = 0;
        cv_ladder_init(&chaos.ladder, &chaos.config, 0);
        chaos_pull(&chaos);
        for (int i = 0; i < 400 && !chaos.over; i++) {
            random = random * 1664525 + 1013904223;
            now_us += (random >> 16) % 2000000 / (1 + round % 50);
            if (random & 2)
                cv_ladder_tick(&chaos.ladder, now_us);
            else
                chaos_report(&chaos, random, now_us);
            chaos_pull(&chaos);
            assert_true(chaos.over || cv_ladder_deadline_us(&chaos.ladder) != UINT64_MAX);
        }
        for (; !chaos.over; chaos_pull(&chaos)) {
            now_us = cv_ladder_deadline_us(&chaos.ladder);
            cv_ladder_tick(&chaos.ladder, now_us);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_reports_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
