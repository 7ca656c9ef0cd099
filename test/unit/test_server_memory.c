// The server when memory runs out: every allocation of its thread fails once. Whatever that ends,
// nothing leaks, nobody else suffers, and names and places are free afterwards.
#include "server_kit.h"

#include "server/log.h"

#include <fcntl.h>

static struct kit kit;

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 0\n    streams_max: 3\n"
                           "    viewers_max: 2\n";

// The usual life of a stream, with somebody on each thread. False: nothing failed any more.
static bool live_with_failure(uint64_t n, const char *name)
{
    struct client c[4]; // publisher, two viewers, a publisher that follows
    uint64_t left = n;
    for (unsigned i = 0; i < 4; i++)
        assert_true(client_dial(&c[i], &kit, i % 2));
    kit_step_failing(&kit, c, 4, &left);
    for (unsigned i = 0; i < 4; i++) {
        client_connect(&c[i], "live");
        client_create_stream(&c[i]);
        client_command(&c[i], 0, "FCPublish", name);
    }
    kit_step_failing(&kit, c, 4, &left);
    client_command(&c[2], 1, "play", name); // before there is a publisher
    kit_step_failing(&kit, c, 4, &left);
    client_command(&c[0], 1, "publish", name);
    kit_step_failing(&kit, c, 4, &left);
    client_command(&c[1], 1, "play", name);
    client_headers(&c[0], 1);
    for (uint32_t number = 0; number < 40; number++)
        client_video(&c[0], 1, number, number % 20 == 0, 100);
    kit_step_failing(&kit, c, 4, &left);
    client_command_boolean(&c[1], 1, "pause", true);
    client_command(&c[3], 1, "publish", name); // waits: the first one may be its ghost
    kit_step_failing(&kit, c, 4, &left);
    client_command(&c[0], 0, "FCUnpublish", name);
    client_command_number(&c[0], 0, "deleteStream", 1);
    kit_step_failing(&kit, c, 4, &left);
    client_command_number(&c[3], 0, "deleteStream", 1);
    kit_step_failing(&kit, c, 4, &left);
    client_close(&c[3]);
    client_close(&c[2]);
    kit_turn_failing(&kit, &left);
    client_close(&c[1]);
    client_close(&c[0]);
    kit_turn_failing(&kit, &left);
    return left == 0;
}

static void check_afterwards(const char *name)
{
    struct client c[2];
    assert_true(kit_until(&kit, kit_is_clean, &kit));
    assert_true(client_open(&c[0], &kit, 0));
    assert_true(client_open(&c[1], &kit, 1));
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_play(&c[1], 1, name));
    client_close(&c[0]);
    client_close(&c[1]);
    assert_true(kit_until(&kit, kit_is_clean, &kit));
}

static void bug_24_every_allocation_fails_once(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, yaml);
    for (unsigned home = 0; home < 2; home++) {
        char name[32];
        uint64_t n = 1;
        kit_name(&kit, home, 0, name);
        for (; live_with_failure(n, name); n++) {
            check_afterwards(name);
            assert_true(n < 100000);
        }
        assert_true(n > 50);
    }
    kit_stop(&kit);
}

// Starting up fails once at every allocation, too: worker, loop, listener.
static bool start_and_end(void *arg)
{
    struct cv_shared *shared = arg;
    struct cv_worker *worker = cv_worker_new(shared, 0, kit.policy);
    cv_worker_free(worker);
    return worker != NULL;
}

static void a_worker_that_cannot_be_made(void **state)
{
    (void)state;
    kit_start(&kit, 1, false, yaml);
    struct cv_shared shared = {.workers = 1, .post = cv_post_new(2)};
    fail_nth(start_and_end, &shared);
    cv_post_free(shared.post, cv_worker_drop_mail, NULL);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_24_every_allocation_fails_once),
        cmocka_unit_test(a_worker_that_cannot_be_made),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, NULL, NULL);
}
