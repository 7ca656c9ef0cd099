// The library as programs use it: handles on threads of their own, against a server on others.
//
// The handles are made and freed by the main thread: libuv closes a loop's descriptors by system
// calls that the thread sanitizer does not see, so that it takes a number that is used again by
// another thread for a race. That a handle may go from thread to thread is tested by the way.
#include "server_kit.h"

#include "culvert/culvert.h"

#include <pthread.h>
#include <stdio.h>

// Many messages of each millisecond: a thread that had to wait for a processor is not so far behind
// in the stream's time that the server lets it skip.
enum { PAIRS = 3, MESSAGES = 400, SENT_MAX = 20000, PER_MS = 64, WAIT_MS = 20000 };

// One thread's work, and what came of it.
struct task {
    pthread_t thread;
    struct culvert *culvert;
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
    task->in_order &=
        event->ts_ms == number / PER_MS && (task->messages == 0 || task->next == number);
    task->next = number + 1;
    if (++task->messages == MESSAGES)
        atomic_store(task->enough, true);
}

// Pulls events for a moment, or to the end. False at the end.
static bool work(struct task *task, int ms)
{
    const struct culvert_event *event;
    int got = culvert_wait(task->culvert, &event, ms);
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

static void *play(void *arg)
{
    struct task *task = arg;
    if (culvert_play(task->culvert, NULL) == CULVERT_OK)
        while (work(task, WAIT_MS))
            continue;
    return NULL;
}

static void *publish(void *arg)
{
    struct task *task = arg;
    if (culvert_publish(task->culvert, NULL) != CULVERT_OK)
        return NULL;
    for (uint32_t n = 0; n < SENT_MAX && !atomic_load(task->enough); n++) {
        culvert_send(task->culvert, CULVERT_AUDIO, n / PER_MS, &n, sizeof n);
        work(task, n % 8 == 0);
    }
    culvert_close(task->culvert);
    while (work(task, WAIT_MS))
        continue;
    return NULL;
}

static void start(struct task *task, void *(*run)(void *arg), const char *host, unsigned port,
                  const char *name)
{
    snprintf(task->url, sizeof task->url, "rtmp://%s:%u/live/%s", host, port, name);
    struct culvert_config config = {.size = sizeof config, .url = task->url, .memory_file = ""};
    task->culvert = culvert_connect(&config);
    task->in_order = true;
    assert_non_null(task->culvert);
    assert_int_equal(pthread_create(&task->thread, NULL, run, task), 0);
}

static void stop(struct task *task)
{
    pthread_join(task->thread, NULL);
    culvert_free(task->culvert);
}

static void handles_live_on_threads_of_their_own(void **state)
{
    (void)state;
    struct kit kit;
    atomic_bool enough[PAIRS] = {false};
    struct task players[PAIRS] = {0}, publishers[PAIRS] = {0};
    kit_start(&kit, 2, true, NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        const char *name = (const char *const[]){"a", "b", "c"}[i];
        players[i].enough = publishers[i].enough = &enough[i];
        start(&players[i], play, "127.0.0.1", kit.addrs[i % 2].port, name);
        start(&publishers[i], publish, "127.0.0.1", kit.addrs[i % 2].port, name);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        stop(&publishers[i]);
        stop(&players[i]);
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
    for (unsigned i = 0; i < PAIRS; i++)
        start(&players[i], play, i % 2 ? "127.0.0.1" : "localhost", 1, "a");
    for (unsigned i = 0; i < PAIRS; i++) {
        stop(&players[i]);
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
