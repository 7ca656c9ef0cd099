// The survey against real workers: every rung works there, it may be ended at any time, and want of
// memory anywhere ends in a verdict.
#include "server_kit.h"

#include "client/hold.h"
#include "client/survey.h"
#include "io/clock.h"
#include "io/loop.h"

#include <stdio.h>
#include <string.h>

struct scene {
    struct kit kit;
    struct cv_target target;
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_survey *survey;
    unsigned begun, ended, cuts;
    bool done;
    struct cv_survey_facts facts;
    struct cv_verdict verdict;
};

static void scene_open(struct scene *scene)
{
    struct cv_why why = {.code = CV_OK};
    char url[64];
    *scene = (struct scene){0};
    kit_start(&scene->kit, 1, true, NULL);
    snprintf(url, sizeof url, "rtmp://127.0.0.1:%u/live", scene->kit.addrs[0].port);
    assert_int_equal(cv_target_parse(&scene->target, cv_text_of(url), &why), CV_OK);
    scene->loop = cv_loop_new();
    scene->room = cv_attempt_room_new(scene->loop);
    assert_non_null(scene->room);
}

static void scene_close(struct scene *scene)
{
    cv_survey_free(&scene->survey);
    cv_attempt_room_free(scene->room);
    cv_loop_free(scene->loop);
    kit_stop(&scene->kit);
}

static void on_rung(void *arg, enum cv_rung rung, const struct cv_rung_result *result)
{
    struct scene *scene = arg;
    assert_true(rung < CV_RUNGS);
    scene->begun += !result;
    scene->ended += result != NULL;
    assert_int_equal(scene->begun - scene->ended, !result);
}

static void on_cut(void *arg, uint32_t age_ms)
{
    (void)age_ms;
    ((struct scene *)arg)->cuts++;
}

static void on_done(void *arg, const struct cv_survey_facts *facts,
                    const struct cv_verdict *verdict)
{
    struct scene *scene = arg;
    assert_false(scene->done);
    scene->done = true;
    scene->facts = *facts;
    scene->verdict = *verdict;
    cv_survey_free(&scene->survey);
}

static bool begin(struct scene *scene, uint32_t hold_s)
{
    struct cv_survey_config config = {
        .target = &scene->target,
        .hold_s = hold_s,
        .on_rung = on_rung,
        .on_cut = on_cut,
        .on_done = on_done,
        .arg = scene,
    };
    scene->begun = scene->ended = 0;
    scene->done = false;
    scene->survey = cv_survey_start(scene->room, &config);
    return scene->survey;
}

static void run(struct scene *scene)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!scene->done && cv_clock_now_us() < end_us)
        cv_loop_run_once(scene->loop);
    assert_true(scene->done);
}

static void every_rung_works_with_a_server_of_ours(void **state)
{
    (void)state;
    static const enum cv_rung works[] = {CV_RUNG_NAME,  CV_RUNG_TCP,    CV_RUNG_RTMP,
                                         CV_RUNG_OFFER, CV_RUNG_TUNNEL, CV_RUNG_SOCKET};
    static struct scene scene;
    scene_open(&scene);
    assert_true(begin(&scene, 0));
    run(&scene);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
        assert_int_equal(scene.facts.rungs[works[i]].end, CV_RUNG_WORKS);
    assert_int_equal(scene.facts.rungs[CV_RUNG_CONNECT].end, CV_RUNG_SKIPPED);
    assert_true(scene.facts.rungs[CV_RUNG_OFFER].upgraded);
    assert_true(scene.facts.rungs[CV_RUNG_TUNNEL].ours);
    assert_int_equal(scene.verdict.way, CV_WAY_OFFER);
    assert_int_equal(scene.ended, 7); // and port 1935, whoever is there
    scene_close(&scene);
}

static void what_is_held_is_not_cut_here(void **state)
{
    (void)state;
    static struct scene scene;
    scene_open(&scene);
    assert_true(begin(&scene, 1));
    run(&scene);
    assert_int_equal(scene.cuts, 0);
    assert_in_range(scene.facts.held_ms, 1000, 10000);
    scene_close(&scene);
}

static void it_may_be_ended_at_any_time(void **state)
{
    (void)state;
    static struct scene scene;
    scene_open(&scene);
    for (unsigned turns = 0; !scene.done; turns++) {
        assert_true(begin(&scene, 0));
        for (unsigned i = 0; i < turns && !scene.done; i++)
            cv_loop_run_once(scene.loop);
        cv_survey_free(&scene.survey);
        assert_true(turns < 100000);
        turns += turns / 8;
    }
    scene_close(&scene);
}

static bool run_short_of_memory(void *arg)
{
    struct scene *scene = arg;
    if (!begin(scene, 0))
        return false;
    run(scene);
    return scene->verdict.way != CV_WAY_NONE;
}

// The server has threads of its own, and enough.
static void want_of_memory_ends_in_a_verdict(void **state)
{
    (void)state;
    static struct scene scene;
    scene_open(&scene);
    fail_nth(run_short_of_memory, &scene);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rung_works_with_a_server_of_ours),
        cmocka_unit_test(what_is_held_is_not_cut_here),
        cmocka_unit_test(it_may_be_ended_at_any_time),
        cmocka_unit_test(want_of_memory_ends_in_a_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
