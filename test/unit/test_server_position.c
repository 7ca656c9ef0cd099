// Players that go on after a cut exactly where they were, on whatever thread they come back; and
// those for whom that cannot be, who join as usual and are told so.
#include "server_kit.h"

#include "io/clock.h"
#include "server/outlet.h"
#include "server/resume.h"
#include "server/stream.h"

#include <limits.h>
#include <stdio.h>

static struct kit kit;

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 20\n";
static const char yaml_small[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                 "apps:\n  - name: live\n    log_bytes_max: 1048576\n";

enum { GOP = 20, FIRST_NUMBER = 2 }; // two headers come before frame 0

static void publish_frames(struct client *client, unsigned from, unsigned to)
{
    for (unsigned n = from; n <= to; n++)
        client_video(client, 1, n, n % GOP == 0, n % 5 * 60);
    client_step(client);
}

static void see_frame(struct client *client, unsigned n)
{
    char text[32];
    snprintf(text, sizeof text, "video 1 %u", n);
    assert_true(client_wait(client, text));
}

// The frames that it has seen are from `first` to `last`, each once, in order.
static void check_frames(const struct client *client, unsigned first, unsigned last)
{
    unsigned n = first;
    for (unsigned i = 0; i < client->seen_count; i++) {
        unsigned number;
        if (sscanf(client->seen[i].text, "video 1 %u", &number) != 1)
            continue;
        assert_int_equal(number, n);
        n++;
    }
    assert_int_equal(n, last + 1);
}

// Behind Play.Start and sample access comes the position, then at once the frame that has it.
static void check_goes_on(const struct client *client, unsigned frame)
{
    char text[32];
    snprintf(text, sizeof text, "position %u", frame + FIRST_NUMBER);
    unsigned at = client_index(client, text);
    assert_int_not_equal(at, UINT_MAX);
    snprintf(text, sizeof text, "video 1 %u", frame);
    assert_string_equal(client->seen[at + 1].text, text);
    assert_int_equal(client_count(client, "header 1"), 0);
    assert_int_equal(client_count(client, "data 1"), 1); // sample access
}

// ---- where a player is ------------------------------------------------------------------------

struct scene {
    struct client c[4]; // publisher, two players there before it, one who comes later
    char name[32];
};

static void begin_scene(struct scene *scene, unsigned home, const char *config)
{
    kit_start(&kit, 2, false, config);
    kit_name(&kit, home, home, scene->name);
    for (unsigned i = 0; i < 4; i++)
        assert_true(client_open(&scene->c[i], &kit, i % 2));
}

static void end_scene(struct scene *scene)
{
    clients_close(scene->c, 4);
    kit_stop(&kit);
}

static void begin_publishing(struct scene *scene, unsigned last)
{
    assert_true(client_publish(&scene->c[0], 1, scene->name));
    client_headers(&scene->c[0], 1);
    publish_frames(&scene->c[0], 0, last);
}

static void a_number_means_the_same_on_every_thread(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct scene scene;
        begin_scene(&scene, home, yaml);
        client_play_resume(&scene.c[1], scene.name, "");
        client_play_resume(&scene.c[2], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 50);
        see_frame(&scene.c[1], 50);
        see_frame(&scene.c[2], 50);
        client_play_resume(&scene.c[3], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        publish_frames(&scene.c[0], 51, 70);
        for (unsigned i = 1; i < 4; i++) {
            see_frame(&scene.c[i], 70);
            assert_string_equal(strchr(scene.c[i].position, ':'), ":73");
            assert_string_equal(scene.c[i].position, scene.c[1].position);
        }
        assert_int_equal(client_count(&scene.c[1], "position 2"), 1);
        assert_int_equal(client_count(&scene.c[2], "position 2"), 1);
        check_frames(&scene.c[3], 40, 70);
        assert_int_equal(client_count(&scene.c[3], "position 42"), 1);
        assert_true(client_index(&scene.c[3], "header 1") <
                    client_index(&scene.c[3], "position 42"));
        end_scene(&scene);
    }
}

static void nobody_is_told_who_has_not_asked(void **state)
{
    (void)state;
    struct scene scene;
    begin_scene(&scene, 0, yaml);
    client_command(&scene.c[1], 1, "play", scene.name);
    client_command(&scene.c[2], 1, "play", scene.name);
    kit_settle(&kit, scene.c, 4);
    begin_publishing(&scene, 30);
    for (unsigned i = 1; i < 3; i++) {
        see_frame(&scene.c[i], 30);
        for (unsigned seen = 0; seen < scene.c[i].seen_count; seen++)
            assert_null(strstr(scene.c[i].seen[seen].text, "position"));
    }
    end_scene(&scene);
}

// ---- cut anywhere -----------------------------------------------------------------------------

// The player is cut behind frame `cut`, and is back when frame `back` has been published.
static void check_cut(unsigned where, bool audience, unsigned cut, unsigned back)
{
    struct client c[4]; // publisher, player, the same player on its return, audience
    char name[32];
    char position[96];
    unsigned there = where >> 2 & 1;
    kit_start(&kit, 2, false, yaml);
    kit_name(&kit, where & 1, where, name);
    assert_true(client_open(&c[0], &kit, where >> 3 & 1));
    assert_true(client_open(&c[1], &kit, where >> 1 & 1));
    assert_true(client_open(&c[2], &kit, there));
    assert_true(client_open(&c[3], &kit, there));
    client_play_resume(&c[1], name, "");
    if (audience)
        client_command(&c[3], 1, "play", name);
    kit_settle(&kit, c, 4);
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    publish_frames(&c[0], 0, cut);
    see_frame(&c[1], cut);
    memcpy(position, c[1].position, sizeof position);
    client_close(&c[1]);
    publish_frames(&c[0], cut + 1, back);
    kit_settle(&kit, &c[2], 2);
    client_play_resume(&c[2], name, position);
    client_command(&c[3], 1, "play", audience ? "other" : name);
    client_step(&c[2]);
    client_step(&c[3]);
    if (cut != back)
        see_frame(&c[2], back);
    else
        assert_true(client_wait(&c[2], "status 1 NetStream.Play.Start")); // though nothing comes
    publish_frames(&c[0], back + 1, back + 50);
    see_frame(&c[2], back + 50);
    check_goes_on(&c[2], cut + 1);
    check_frames(&c[2], cut + 1, back + 50);
    if (!audience) { // who joins there with it gets what joiners get
        see_frame(&c[3], back + 50);
        check_frames(&c[3], back / GOP * GOP, back + 50);
        assert_int_equal(client_count(&c[3], "header 1"), 2);
    }
    client_close(&c[0]);
    clients_close(&c[2], 2);
    kit_stop(&kit);
}

static void players_go_on_after_a_cut_anywhere(void **state)
{
    (void)state;
    static const unsigned away[] = {0, 1, 5, 19, 20, 40, 300};
    unsigned cut = 0;
    for (unsigned i = 0; i < 16 * 7; i++) {
        check_cut(i % 16, i / 16 & 1, cut, cut + away[i % 7]);
        cut = (cut + 17) % 90;
    }
}

// Several hundred messages lie between: they come in more than one batch.
static void who_waits_with_it_begins_at_a_key_frame(void **state)
{
    (void)state;
    struct client c[4];
    char name[32];
    kit_start(&kit, 2, false, yaml);
    kit_name(&kit, 0, 0, name);
    for (unsigned i = 0; i < 4; i++)
        assert_true(client_open(&c[i], &kit, i / 2));
    client_play_resume(&c[1], name, "");
    kit_settle(&kit, c, 4);
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    publish_frames(&c[0], 0, 7);
    see_frame(&c[1], 7);
    publish_frames(&c[0], 8, 700);
    kit_settle(&kit, &c[0], 1);
    char *number = strchr(c[1].position, ':');
    assert_string_equal(number, ":10");
    kit.frozen[0] = true;
    client_play_resume(&c[2], name, c[1].position); // at frame 8, in the middle of a group
    client_command(&c[3], 1, "play", name);
    kit_settle(&kit, &c[2], 2);
    kit.frozen[0] = false;
    see_frame(&c[2], 700);
    check_goes_on(&c[2], 8);
    check_frames(&c[2], 8, 700);
    publish_frames(&c[0], 701, 725);
    see_frame(&c[3], 725);
    unsigned first = 0;
    for (unsigned i = 0; sscanf(c[3].seen[i].text, "video 1 %u", &first) != 1; i++)
        assert_true(i < c[3].seen_count);
    assert_int_equal(first % GOP, 0);
    check_frames(&c[3], first, 725);
    clients_close(c, 4);
    kit_stop(&kit);
}

// ---- positions that cannot be served ----------------------------------------------------------

// As for any joiner: headers, then a position that is its own.
static void check_joined(struct client *client, unsigned first, unsigned last)
{
    char text[32];
    see_frame(client, last);
    check_frames(client, first, last);
    snprintf(text, sizeof text, "position %u", first + FIRST_NUMBER);
    assert_int_equal(client_count(client, "header 1"), 2);
    assert_true(client_index(client, "header 1") < client_index(client, text));
    assert_int_equal(client_count(client, text), 1);
}

static void what_is_no_position_is_ignored(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct scene scene;
        char wrong[8][96];
        begin_scene(&scene, home, yaml);
        client_play_resume(&scene.c[1], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 50);
        see_frame(&scene.c[1], 50);
        const char *right = scene.c[1].position;
        snprintf(wrong[0], sizeof wrong[0], "%.16s", right);
        snprintf(wrong[1], sizeof wrong[1], "%.16s:", right);
        snprintf(wrong[2], sizeof wrong[2], "%.16s:99", right); // to come, but not the next
        snprintf(wrong[3], sizeof wrong[3], "%.16s:18446744073709551615", right);
        snprintf(wrong[4], sizeof wrong[4], "%.16s:-1", right);
        snprintf(wrong[5], sizeof wrong[5], "%.15s%c:30", right, right[15] == '0' ? '1' : '0');
        snprintf(wrong[6], sizeof wrong[6], "0000000000000000:30");
        snprintf(wrong[7], sizeof wrong[7], ":30");
        for (unsigned i = 0; i < 8; i++) {
            for (unsigned thread = 0; thread < 2; thread++) {
                struct client late;
                assert_true(client_open(&late, &kit, thread));
                client_play_resume(&late, scene.name, wrong[i]);
                check_joined(&late, 40, 50);
                client_close(&late);
            }
        }
        end_scene(&scene);
    }
}

// A thread whose copy began for somebody's return waits for what lies before a place, but only for
// what there was when it asked: a number from nowhere must not keep its viewer waiting for ever.
static void what_is_far_ahead_is_not_waited_for(void **state)
{
    (void)state;
    static const char *const ahead[] = {"54", "1000", "18446744073709551614"};
    struct scene scene;
    struct client late;
    char wrong[96];
    begin_scene(&scene, 0, yaml);
    client_play_resume(&scene.c[2], scene.name, "");
    kit_settle(&kit, scene.c, 4);
    begin_publishing(&scene, 10);
    see_frame(&scene.c[2], 10);
    publish_frames(&scene.c[0], 11, 30);
    client_play_resume(&scene.c[1], scene.name, scene.c[2].position);
    see_frame(&scene.c[1], 30);
    publish_frames(&scene.c[0], 31, 50);
    see_frame(&scene.c[1], 50);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(wrong, sizeof wrong, "%.16s:%s", scene.c[1].position, ahead[i]);
        assert_true(client_open(&late, &kit, 1));
        client_play_resume(&late, scene.name, wrong);
        check_joined(&late, 40, 50);
        client_close(&late);
    }
    end_scene(&scene);
}

// A copy that has nothing yet.
static void a_place_is_waited_for_while_it_can_come(void **state)
{
    (void)state;
    struct cv_outlet outlet = {.live = true, .epoch = 5, .begins_at = 10, .head = 20};
    struct cv_position wanted = {.epoch = 5, .number = 15};
    uint64_t seq;
    cv_stream_log_init_copy(&outlet.own_log, &(struct cv_log_limits){0});
    outlet.log = &outlet.own_log;
    wanted.epoch = 4;
    assert_int_equal(cv_outlet_find(&outlet, &wanted, &seq), 0); // home has not answered
    outlet.answered = true;
    assert_int_equal(cv_outlet_find(&outlet, &wanted, &seq), CV_E_NOT_FOUND);
    wanted.epoch = 5;
    for (wanted.number = 8; wanted.number < 23; wanted.number++) {
        bool comes = wanted.number >= 10 && wanted.number <= 20;
        int found = cv_outlet_find(&outlet, &wanted, &seq);
        assert_int_equal(found, comes ? 0 : CV_E_NOT_FOUND);
    }
    outlet.live = false;
    wanted.number = 15;
    assert_int_equal(cv_outlet_find(&outlet, &wanted, &seq), CV_E_NOT_FOUND);
    cv_stream_log_done(&outlet.own_log);
}

// What a player asks for in the same breath holds, though its place is found later.
static void who_goes_on_without_video_gets_none(void **state)
{
    (void)state;
    for (unsigned thread = 0; thread < 2; thread++) {
        struct scene scene;
        begin_scene(&scene, 0, yaml);
        client_play_resume(&scene.c[2], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 10);
        see_frame(&scene.c[2], 10);
        publish_frames(&scene.c[0], 11, 15);
        client_audio(&scene.c[0], 1, 16);
        client_step(&scene.c[0]);
        kit_settle(&kit, scene.c, 1);
        struct client back;
        assert_true(client_open(&back, &kit, thread));
        client_play_resume(&back, scene.name, scene.c[2].position);
        client_command_boolean(&back, 1, "receiveVideo", false);
        assert_true(client_wait(&back, "audio 1 16"));
        for (unsigned i = 0; i < back.seen_count; i++)
            assert_null(strstr(back.seen[i].text, "video"));
        client_close(&back);
        end_scene(&scene);
    }
}

static void who_was_away_too_long_joins(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        for (unsigned audience = 0; audience < 2; audience++) {
            struct scene scene;
            begin_scene(&scene, home, yaml_small);
            client_play_resume(&scene.c[1], scene.name, "");
            if (audience)
                client_command(&scene.c[2], 1, "play", scene.name);
            kit_settle(&kit, scene.c, 4);
            begin_publishing(&scene, 10);
            see_frame(&scene.c[1], 10);
            client_close(&scene.c[1]);
            for (unsigned n = 11; n <= 130; n++) {
                client_video(&scene.c[0], 1, n, n % GOP == 0, 20000);
                kit_settle(&kit, scene.c, 1);
                client_step(&scene.c[2]);
            }
            struct client back;
            assert_true(client_open(&back, &kit, 0));
            client_play_resume(&back, scene.name, scene.c[1].position);
            check_joined(&back, 120, 130);
            client_close(&back);
            client_close(&scene.c[0]);
            clients_close(&scene.c[2], 2);
            kit_stop(&kit);
        }
    }
}

// A log that has begun anew has another epoch, though numbers are the same.
static void another_log_has_another_epoch(void **state)
{
    (void)state;
    struct scene scene;
    char old[96];
    begin_scene(&scene, 0, yaml);
    client_play_resume(&scene.c[1], scene.name, "");
    kit_settle(&kit, scene.c, 4);
    begin_publishing(&scene, 50);
    see_frame(&scene.c[1], 30);
    memcpy(old, scene.c[1].position, sizeof old);
    client_close(&scene.c[1]);
    client_command_number(&scene.c[0], 0, "deleteStream", 1);
    kit_settle(&kit, scene.c, 1);
    client_create_stream(&scene.c[0]);
    kit_settle(&kit, scene.c, 1);
    begin_publishing(&scene, 50);
    client_play_resume(&scene.c[2], scene.name, old);
    check_joined(&scene.c[2], 40, 50);
    assert_memory_not_equal(scene.c[2].position, old, CV_RESUME_EPOCH_CHARS);
    client_close(&scene.c[0]);
    clients_close(&scene.c[2], 2);
    kit_stop(&kit);
}

// New codec headers lie between: who was here at home reads them where they stand; on another
// thread, which has no log yet, it joins.
static void headers_that_came_meanwhile(void **state)
{
    (void)state;
    for (unsigned thread = 0; thread < 2; thread++) {
        struct scene scene;
        begin_scene(&scene, 0, yaml);
        client_play_resume(&scene.c[2], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        assert_true(client_publish(&scene.c[0], 1, scene.name));
        client_headers(&scene.c[0], 1);
        publish_frames(&scene.c[0], 0, 10);
        see_frame(&scene.c[2], 10);
        client_sound_headers(&scene.c[0], 1); // metadata; the sound's header is the same
        publish_frames(&scene.c[0], 11, 30);
        kit_settle(&kit, scene.c, 1);
        struct client back;
        assert_true(client_open(&back, &kit, thread));
        client_play_resume(&back, scene.name, scene.c[2].position);
        char position[96];
        memcpy(position, scene.c[2].position, sizeof position);
        see_frame(&back, 30);
        if (thread == 0) {
            assert_int_equal(client_count(&back, "header 1"), 0);
            check_frames(&back, 31 - 20, 30);
            assert_int_equal(client_count(&back, "data 1"), 2);
        } else {
            assert_int_equal(client_count(&back, "header 1"), 2);
            check_frames(&back, 20, 30);
        }
        assert_string_equal(strchr(back.position, ':'), ":34");
        client_close(&back);
        end_scene(&scene);
    }
}

// ---- jumps and holes ------------------------------------------------------------------------

// Each message that a player counts wrong would lead it to a wrong place later: whatever it sees,
// the position that it has at a frame is that frame's.
static void check_positions(const struct client *client)
{
    long long next = -1;
    for (unsigned i = 0; i < client->seen_count; i++) {
        const char *text = client->seen[i].text;
        long long number;
        if (strcmp(text, "position") == 0) {
            next = -1;
        } else if (sscanf(text, "position %lld", &number) == 1) {
            next = number;
        } else if (sscanf(text, "video 1 %lld", &number) == 1) {
            assert_true(next == -1 || next == number + FIRST_NUMBER);
            next = next == -1 ? -1 : next + 1;
        } else if (strncmp(text, "header", 6) == 0 || strncmp(text, "data", 4) == 0) {
            assert_int_equal(next, -1);
        }
    }
}

static void who_jumps_is_told_where_it_is(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct scene scene;
        begin_scene(&scene, home, yaml_small);
        client_play_resume(&scene.c[1], scene.name, "");
        client_play_resume(&scene.c[2], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 10);
        see_frame(&scene.c[1], 10);
        see_frame(&scene.c[2], 10);
        scene.c[1].mute = scene.c[2].mute = true;
        unsigned n = 11;
        while (kit.workers[0]->stats.jumps + kit.workers[1]->stats.jumps < 2) {
            client_video(&scene.c[0], 1, n, n % GOP == 0, 30000);
            kit_settle(&kit, scene.c, 1);
            if (n % 500 == 0) { // let them read a little
                for (unsigned i = 1; i < 3; i++) {
                    scene.c[i].mute = false;
                    client_step(&scene.c[i]);
                    scene.c[i].mute = true;
                }
            }
            assert_true(++n < 5000);
        }
        scene.c[1].mute = scene.c[2].mute = false;
        publish_frames(&scene.c[0], n, n + 50);
        for (unsigned i = 1; i < 3; i++) {
            see_frame(&scene.c[i], n + 50);
            check_positions(&scene.c[i]);
            char last[32];
            snprintf(last, sizeof last, ":%u", n + 50 + FIRST_NUMBER + 1);
            assert_string_equal(strchr(scene.c[i].position, ':'), last);
        }
        end_scene(&scene);
    }
}

// A thread that stands still loses messages for all its players at once: none of them may think
// that it has them, and positions before the hole are not served there.
static void a_thread_with_a_hole_serves_none_before_it(void **state)
{
    (void)state;
    struct scene scene;
    char before[96];
    begin_scene(&scene, 0, yaml_small);
    client_play_resume(&scene.c[1], scene.name, "");
    kit_settle(&kit, scene.c, 4);
    begin_publishing(&scene, 10);
    see_frame(&scene.c[1], 10);
    memcpy(before, scene.c[1].position, sizeof before);
    kit.frozen[1] = true;
    unsigned n = 11;
    for (; kit.workers[0]->stats.skipped == 0; n++) {
        client_video(&scene.c[0], 1, n, n % GOP == 0, n < CV_LIMIT_MAIL ? 100 : 8000);
        client_step(&scene.c[0]);
        kit_turn(&kit);
        assert_true(n < 5000);
        if (n == CV_LIMIT_MAIL + 300) // now the mailbox takes one more: that is behind the hole
            kit.frozen[1] = false;
    }
    client_step(&scene.c[1]);
    kit_settle(&kit, scene.c, 2);
    publish_frames(&scene.c[0], n, n + 60);
    see_frame(&scene.c[1], n + 60);
    check_positions(&scene.c[1]);
    struct client back;
    assert_true(client_open(&back, &kit, 1));
    client_play_resume(&back, scene.name, before);
    check_joined(&back, (n + 60) / GOP * GOP, n + 60);
    client_close(&back);
    assert_true(client_open(&back, &kit, 1));
    char *number = strchr(before, ':');
    snprintf(number, 20, ":%u", n + 30 + FIRST_NUMBER);
    client_play_resume(&back, scene.name, before);
    see_frame(&back, n + 60);
    check_goes_on(&back, n + 30);
    client_close(&back);
    end_scene(&scene);
}

// Without video a player has no position: it could not go on there with video.
static void who_gets_not_everything_has_no_position(void **state)
{
    (void)state;
    struct scene scene;
    begin_scene(&scene, 0, yaml);
    client_play_resume(&scene.c[1], scene.name, "");
    client_play_resume(&scene.c[2], scene.name, "");
    kit_settle(&kit, scene.c, 4);
    begin_publishing(&scene, 10);
    see_frame(&scene.c[1], 10);
    client_command_boolean(&scene.c[1], 1, "receiveVideo", false);
    client_step(&scene.c[1]);
    kit_settle(&kit, scene.c, 3);
    client_audio(&scene.c[0], 1, 11);
    client_step(&scene.c[0]);
    assert_true(client_wait(&scene.c[1], "audio 1 11"));
    assert_string_equal(scene.c[1].position, "");
    client_command_boolean(&scene.c[1], 1, "receiveVideo", true);
    client_step(&scene.c[1]);
    kit_settle(&kit, scene.c, 3);
    publish_frames(&scene.c[0], 11, 30); // one number later: a sound has come between
    see_frame(&scene.c[1], 30);
    see_frame(&scene.c[2], 30);
    assert_string_equal(scene.c[1].position, scene.c[2].position);
    assert_int_equal(client_count(&scene.c[1], "video 1 19"), 0);
    end_scene(&scene);
}

// The publisher ends and another one comes, while players are there: one log, one row of numbers.
static void numbers_go_on_with_the_next_publisher(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct scene scene;
        begin_scene(&scene, home, yaml);
        client_play_resume(&scene.c[1], scene.name, "");
        client_play_resume(&scene.c[2], scene.name, "");
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 30);
        client_command_number(&scene.c[0], 0, "deleteStream", 1);
        client_step(&scene.c[0]);
        assert_true(client_wait(&scene.c[1], "eof 1"));
        assert_true(client_wait(&scene.c[2], "eof 1"));
        client_create_stream(&scene.c[0]);
        kit_settle(&kit, scene.c, 4);
        begin_publishing(&scene, 30);
        see_frame(&scene.c[1], 30);
        see_frame(&scene.c[2], 30);
        assert_string_equal(scene.c[1].position, scene.c[2].position);
        client_play_resume(&scene.c[3], scene.name, scene.c[1].position);
        kit_settle(&kit, scene.c, 4);
        publish_frames(&scene.c[0], 31, 40);
        see_frame(&scene.c[3], 40);
        check_frames(&scene.c[3], 31, 40);
        end_scene(&scene);
    }
}

// ---- on real threads --------------------------------------------------------------------------

static void check_cuts_on_threads(unsigned workers, unsigned home)
{
    enum { ROUNDS = 40, EACH = 15 };
    struct client publisher;
    char name[32];
    char position[96] = "";
    unsigned next = 0;
    kit_start(&kit, workers, true, yaml);
    kit_name(&kit, home, workers, name);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, name));
    client_headers(&publisher, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct client player;
        publish_frames(&publisher, round * EACH, round * EACH + EACH - 1);
        assert_true(client_open(&player, &kit, round % workers));
        client_play_resume(&player, name, position);
        see_frame(&player, next + 5); // and as much as came with it
        unsigned last = next + 5;
        for (unsigned i = 0; i < player.seen_count; i++)
            sscanf(player.seen[i].text, "video 1 %u", &last);
        check_frames(&player, next, last);
        memcpy(position, player.position, sizeof position);
        client_close(&player);
        next = last + 1;
    }
    client_close(&publisher);
    kit_stop(&kit);
}

static void cuts_on_real_threads(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++)
        check_cuts_on_threads(workers, workers - 1);
}

// ---- without memory ---------------------------------------------------------------------------

// False: nothing failed any more. Whatever failed: what it sees has the numbers that it believes.
static bool return_with_failure(uint64_t n, unsigned home)
{
    struct client c[4];
    char name[32];
    uint64_t left = n;
    kit_name(&kit, home, (unsigned)n, name);
    for (unsigned i = 0; i < 3; i++)
        assert_true(client_open(&c[i], &kit, i % 2));
    client_play_resume(&c[1], name, "");
    client_step(&c[1]);
    kit_settle(&kit, &c[1], 1);
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    publish_frames(&c[0], 0, 10);
    see_frame(&c[1], 10);
    client_play_resume(&c[2], name, c[1].position);
    for (unsigned round = 0; round < 4; round++) {
        publish_frames(&c[0], 11 + 10 * round, 20 + 10 * round);
        client_step(&c[2]);
        client_step(&c[1]);
        kit_turn_failing(&kit, &left);
    }
    client_step(&c[2]);
    check_positions(&c[2]);
    clients_close(c, 3);
    kit_turn_failing(&kit, &left);
    return left == 0;
}

static void bug_24_every_allocation_of_a_players_return_fails_once(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        uint64_t n = 1;
        kit_start(&kit, 2, false,
                  "open_publish: true\nlog_level: error\nlatency_ms: 0\napps:\n"
                  "  - name: live\n    grace_s: 0\n");
        for (; return_with_failure(n, home); n++)
            assert_true(n < 10000);
        assert_true(n > 10);
        assert_true(kit_until(&kit, kit_is_clean, &kit));
        kit_stop(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_means_the_same_on_every_thread),
        cmocka_unit_test(nobody_is_told_who_has_not_asked),
        cmocka_unit_test(players_go_on_after_a_cut_anywhere),
        cmocka_unit_test(who_waits_with_it_begins_at_a_key_frame),
        cmocka_unit_test(what_is_no_position_is_ignored),
        cmocka_unit_test(what_is_far_ahead_is_not_waited_for),
        cmocka_unit_test(a_place_is_waited_for_while_it_can_come),
        cmocka_unit_test(who_goes_on_without_video_gets_none),
        cmocka_unit_test(who_was_away_too_long_joins),
        cmocka_unit_test(another_log_has_another_epoch),
        cmocka_unit_test(headers_that_came_meanwhile),
        cmocka_unit_test(who_jumps_is_told_where_it_is),
        cmocka_unit_test(a_thread_with_a_hole_serves_none_before_it),
        cmocka_unit_test(who_gets_not_everything_has_no_position),
        cmocka_unit_test(numbers_go_on_with_the_next_publisher),
        cmocka_unit_test(cuts_on_real_threads),
        cmocka_unit_test(bug_24_every_allocation_of_a_players_return_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
