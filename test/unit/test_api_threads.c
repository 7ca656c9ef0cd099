// The library as programs use it: handles on threads of their own, against a server on others.
#include "server_kit.h"

#include "culvert/culvert.h"

#include <pthread.h>
#include <stdio.h>

enum { PAIRS = 3, MESSAGES = 400, SENT_MAX = 20000, WAIT_MS = 20000 };

// One thread's work, and what came of it.
struct task {
    pthread_t thread;
    char url[128];
    atomic_bool *enough; // of both: the player has seen MESSAGES of them
    unsigned messages;   // player: in order and without a gap from the one that it joined at
    uint32_t next;       // the number that is due
    int error;           // of the end
    bool started;
    bool in_order;
};

static void read_number(struct task *task, const struct culvert_event *event)
{
    uint32_t number;
    if (event->len != sizeof number || event->kind != CULVERT_AUDIO)
        return;
    memcpy(&number, event->data, sizeof number);
    task->in_order &= event->ts_ms == number && (task->messages == 0 || task->next == number);
    task->next = number + 1;
    if (++task->messages == MESSAGES)
        atomic_store(task->enough, true);
}

// Pulls events for a moment, or to the end. False at the end.
static bool work(struct culvert *culvert, struct task *task, int ms)
{
    const struct culvert_event *event;
    int got = culvert_wait(culvert, &event, ms);
    if (got <= 0)
        return got == 0 && ms < WAIT_MS;
    if (event->type == CULVERT_EVENT_STARTED)
        task->started = true;
    if (event->type == CULVERT_EVENT_MESSAGE)
        read_number(task, event);
    if (event->type == CULVERT_EVENT_ENDED)
        task->error = event->error;
    return true;
}

static struct culvert *connect_to(const struct task *task)
{
    struct culvert_config config = {.size = sizeof config, .url = task->url, .memory_file = ""};
    return culvert_connect(&config);
}

static void *play(void *arg)
{
    struct task *task = arg;
    struct culvert *culvert = connect_to(task);
    task->in_order = true;
    if (culvert_play(culvert, NULL) == CULVERT_OK)
        while (work(culvert, task, WAIT_MS))
            continue;
    culvert_free(culvert);
    return NULL;
}

static void *publish(void *arg)
{
    struct task *task = arg;
    struct culvert *culvert = connect_to(task);
    if (culvert_publish(culvert, NULL) == CULVERT_OK) {
        for (uint32_t n = 0; n < SENT_MAX && !atomic_load(task->enough); n++) {
            culvert_send(culvert, CULVERT_AUDIO, n, &n, sizeof n);
            work(culvert, task, n % 8 == 0);
        }
        while (!task->started && work(culvert, task, WAIT_MS))
            continue;
        culvert_close(culvert);
        while (work(culvert, task, WAIT_MS))
            continue;
    }
    culvert_free(culvert);
    return NULL;
}

static void handles_live_on_threads_of_their_own(void **state)
{
    (void)state;
    struct kit kit;
    atomic_bool enough[PAIRS] = {false};
    struct task players[PAIRS] = {0}, publishers[PAIRS] = {0};
    kit_start(&kit, 2, true, NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        snprintf(players[i].url, sizeof players[i].url, "rtmp://127.0.0.1:%u/live/stream%u",
                 kit.addrs[i % 2].port, i);
        memcpy(publishers[i].url, players[i].url, sizeof players[i].url);
        players[i].enough = publishers[i].enough = &enough[i];
        assert_int_equal(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
        assert_int_equal(pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]), 0);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        pthread_join(publishers[i].thread, NULL);
        pthread_join(players[i].thread, NULL);
    }
    kit_stop(&kit);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_true(publishers[i].started && players[i].started);
        assert_int_equal(publishers[i].error, CULVERT_OK);
        assert_int_equal(players[i].error, CULVERT_OK);
        assert_true(players[i].in_order);
        assert_true(atomic_load(&enough[i]));
    }
}

// Nobody listens there; and a name is looked up on the helper threads that all handles share.
static void handles_fail_on_threads_of_their_own(void **state)
{
    (void)state;
    struct task players[PAIRS] = {0};
    for (unsigned i = 0; i < PAIRS; i++) {
        snprintf(players[i].url, sizeof players[i].url, "rtmp://%s:1/live/a",
                 i % 2 ? "127.0.0.1" : "localhost");
        assert_int_equal(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        pthread_join(players[i].thread, NULL);
        assert_int_equal(players[i].error, CULVERT_E_NO_WAY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handles_live_on_threads_of_their_own),
        cmocka_unit_test(handles_fail_on_threads_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
