// The server on real threads, under storms of clients; also run under the thread sanitizer.
#include "secure_kit.h"
#include "server_kit.h"

#include "base/err.h"
#include "io/clock.h"
#include "io/signals.h"
#include "io/socket.h"
#include "io/thread.h"
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { STORM_THREADS = 3, STORM_NAMES = 4 };

static struct kit kit;

static const char yaml_refuse[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                  "apps:\n  - name: live\n    grace_s: 0\n";
static const char yaml_takeover[] = "open_publish: true\nlog_level: error\nlatency_ms: 5\n"
                                    "apps:\n  - name: live\n    takeover: true\n    grace_s: 1\n"
                                    "    log_bytes_max: 1048576\n    play_wait_s: 1\n";

// ---- one publisher, one viewer, wherever ------------------------------------------------------

static void check_journey(unsigned home, unsigned publisher_at, unsigned viewer_at)
{
    char name[32];
    struct client c[2];
    kit_name(&kit, home, home * 100 + publisher_at * 10 + viewer_at, name);
    assert_true(client_open(&c[0], &kit, publisher_at));
    assert_true(client_open(&c[1], &kit, viewer_at));
    client_command(&c[1], 1, "play", name);
    assert_true(client_step(&c[1]));
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    client_video(&c[0], 1, 1, true, 5000);
    assert_true(client_step(&c[0]));
    assert_true(client_wait(&c[1], "video 1 1"));
    for (uint32_t n = 2; n < 200; n++)
        client_video(&c[0], 1, n, false, 500);
    assert_true(client_step(&c[0]));
    assert_true(client_wait(&c[1], "video 1 199"));
    for (uint32_t n = 1; n < 200; n++) {
        char text[32];
        snprintf(text, sizeof text, "video 1 %u", n);
        assert_int_equal(client_count(&c[1], text), 1);
    }
    client_command_number(&c[0], 0, "deleteStream", 1);
    assert_true(client_step(&c[0]));
    assert_true(client_wait(&c[1], "eof 1"));
    client_close(&c[0]);
    client_close(&c[1]);
}

static void media_crosses_real_threads(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        kit_start(&kit, workers, true, NULL);
        for (unsigned i = 0; i < workers * workers * workers; i++)
            check_journey(i % workers, i / workers % workers, i / workers / workers);
        kit_stop(&kit);
    }
}

// ---- storms -----------------------------------------------------------------------------------

struct storm {
    struct cv_thread *thread;
    unsigned number;
    uint32_t random;
    atomic_bool *over;
    unsigned opened;
    atomic_uint started;
};

static uint32_t next_random(struct storm *storm)
{
    storm->random = storm->random * 1664525u + 1013904223u;
    return storm->random >> 8;
}

static void pour(struct client *client, uint32_t frames)
{
    client_headers(client, 1);
    for (uint32_t n = 0; n < frames; n++) {
        client_video(client, 1, n, n % 20 == 0, 300);
        client_audio(client, 1, n);
        if (!client_step(client))
            return;
    }
}

// One life of a client: opens, does something or other, ends somehow. Nothing is asserted here:
// whether it works out is not the question, but that the server stays whole.
static void live_once(struct storm *storm, struct client *client)
{
    char name[32];
    uint32_t random = next_random(storm);
    snprintf(name, sizeof name, "storm%u", random % STORM_NAMES);
    if (!client_open(client, &kit, random / 8 % kit.shared.workers))
        return;
    storm->opened++;
    bool publishes = random & 1;
    client_command(client, 1, publishes ? "publish" : "play", name);
    if (random & 16) {
        client_command(client, 0, publishes ? "FCUnpublish" : "createStream", name);
        client_command_number(client, 0, "deleteStream", 1);
        client_create_stream(client);
        client_command(client, 1, publishes ? "play" : "publish", name);
    }
    client_step(client);
    if (publishes)
        pour(client, random / 64 % 60);
    for (int i = 0; i < (int)(random / 32 % 20); i++) {
        client_step(client);
        secure_kit_pump();
    }
    if (client_count(client, "status 1 NetStream.Publish.Start") ||
        client_count(client, "status 1 NetStream.Play.Start"))
        atomic_fetch_add(&storm->started, 1);
    if (random & 256)
        client_command_number(client, 0, "deleteStream", 1);
    if (random & 512)
        client_step(client);
}

static void storm_run(void *arg)
{
    struct storm *storm = arg;
    while (!atomic_load(storm->over)) {
        struct client client;
        live_once(storm, &client);
        client_close(&client);
    }
    secure_kit_hang_up();
}

static void storm_begin(struct storm *storms, atomic_bool *over)
{
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        storms[i] = (struct storm){.number = i, .random = i * 77777u + 5, .over = over};
        assert_int_equal(cv_thread_start(&storms[i].thread, "storm", storm_run, &storms[i]), 0);
    }
}

// How often somebody was told that it publishes or plays.
static unsigned storm_started(struct storm *storms)
{
    unsigned started = 0;
    for (unsigned i = 0; i < STORM_THREADS; i++)
        started += atomic_load(&storms[i].started);
    return started;
}

static void storm_end(struct storm *storms, atomic_bool *over)
{
    unsigned opened = 0;
    atomic_store(over, true);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        cv_thread_join(&storms[i].thread);
        opened += storms[i].opened;
    }
    assert_true(opened > 0);
}

static bool is_empty(void *arg)
{
    (void)arg;
    struct cv_worker_stats stats = kit_stats(&kit);
    return stats.connections == 0 && stats.viewers == 0 && stats.publishers == 0;
}

// Statistics and reloads while everything comes and goes; afterwards nobody is left, and the
// counters say so.
static void check_storm(unsigned workers)
{
    struct storm storms[STORM_THREADS];
    atomic_bool over = false;
    kit_start(&kit, workers, true, yaml_refuse);
    storm_begin(storms, &over);
    uint64_t end = cv_clock_now_us() + 1500000;
    uint64_t deadline = end + KIT_WAIT_S * UINT64_C(1000000);
    for (unsigned round = 0; cv_clock_now_us() < end || !storm_started(storms); round++) {
        assert_true(cv_clock_now_us() < deadline);
        struct cv_worker_stats stats = kit_stats(&kit);
        assert_int_equal(kit.answers, workers);
        assert_true(stats.connections <= STORM_THREADS * 1000);
        if (round % 8 == 0)
            kit_reload(&kit, round % 16 ? yaml_refuse : yaml_takeover);
    }
    storm_end(storms, &over);
    assert_true(kit_until(&kit, is_empty, NULL));
    kit_stop(&kit);
}

static void bug_29_statistics_and_reloads_in_a_storm(void **state)
{
    (void)state;
    check_storm(1);
    check_storm(2);
    check_storm(4);
}

// The server stops while clients come, go, publish and play; they see a closed port.
static void bug_24_stop_in_a_storm(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct storm storms[STORM_THREADS];
        atomic_bool over = false;
        kit_start(&kit, 2 + i % 2, true, i % 2 ? yaml_takeover : yaml_refuse);
        storm_begin(storms, &over);
        uint64_t end = cv_clock_now_us() + 100000 * (i + 1);
        while (cv_clock_now_us() < end || kit_stats(&kit).accepted < 20)
            kit_stats(&kit);
        struct cv_note stop = {.kind = CV_NOTE_STOP};
        assert_true(kit_tell_all(&kit, &stop));
        storm_end(storms, &over);
        kit_stop(&kit);
    }
}

// ---- connections that follow their sessions ---------------------------------------------------

// A request's whole answer, of which this is the body; a length is always told.
static size_t ask(int fd, const char *path, const void *body, size_t body_len, char *out,
                  size_t size)
{
    static char got[65536];
    char head[256];
    size_t len = 0;
    int head_len =
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                 path, body_len);
    struct iovec vectors[] = {{head, (size_t)head_len}, {(void *)(uintptr_t)body, body_len}};
    assert_int_equal(cv_socket_write(fd, vectors, 2), (size_t)head_len + body_len);
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    for (;;) {
        assert_true(cv_clock_now_us() < deadline);
        secure_kit_pump();
        int some = cv_socket_read(fd, got + len, sizeof got - 1 - len);
        assert_true(some > 0 || some == CV_E_AGAIN);
        len += some > 0 ? (size_t)some : 0;
        got[len] = '\0';
        const char *length = strstr(got, "Content-Length: ");
        const char *end = strstr(got, "\r\n\r\n");
        size_t told = length ? strtoul(length + 16, NULL, 10) : 0;
        if (!length || !end || (size_t)(got + len - end - 4) < told)
            continue;
        if (strncmp(got, "HTTP/1.1 200 ", 13) != 0)
            fail_msg("%s: %s", path, got);
        assert_true(told < size);
        memcpy(out, end + 4, told);
        return told;
    }
}

// Two sessions on two threads, and requests of each on any connection.
static void connections_cross_real_threads(void **state)
{
    (void)state;
    static const uint8_t c0c1[1537] = {3};
    enum { ROUNDS = 60 };
    static char reply[65536];
    char ids[2][64];
    char path[160];
    int fds[2];
    kit_start(&kit, 2, true, yaml_refuse);
    for (unsigned i = 0; i < 2; i++) {
        fds[i] = kit_dial(&kit, i);
        size_t len = ask(fds[i], "/open/1", "", 1, reply, sizeof reply);
        snprintf(ids[i], sizeof ids[i], "%.*s", (int)strcspn(reply, "\n"), reply);
        assert_true(len > 10);
        snprintf(path, sizeof path, "/send/%s/0", ids[i]);
        ask(fds[i], path, c0c1, sizeof c0c1, reply, sizeof reply);
    }
    for (unsigned n = 1; n < ROUNDS; n++) {
        for (unsigned i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "/send/%s/%u", ids[i], n);
            assert_true(ask(fds[n / 2 % 2], path, "", 1, reply, sizeof reply) >= 1);
        }
    }
    assert_true(kit_stats(&kit).moved >= ROUNDS);
    close(fds[0]);
    close(fds[1]);
    kit_stop(&kit);
}

// ---- slow handshakes and floods -----------------------------------------------------------------

// Many that connect and say nothing do not keep others from getting in.
static void bug_30_silence_of_many_hinders_nobody(void **state)
{
    (void)state;
    enum { SILENT = 300 };
    static struct client silent[SILENT];
    struct client c;
    if (getenv("KIT_TLS"))
        return; // the bridges of all would shake hands, on one thread
    kit_start(&kit, 2, true, "open_publish: true\nlog_level: error\nlimits:\n  handshake_s: 1\n");
    for (int i = 0; i < SILENT; i++) {
        assert_true(client_dial(&silent[i], &kit, (unsigned)i % 2));
        free(silent[i].seen);
        silent[i].seen = NULL;
    }
    assert_true(client_open(&c, &kit, 0));
    assert_true(client_publish(&c, 1, "loud"));
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (kit_stats(&kit).connections > 1 && cv_clock_now_us() < deadline)
        client_step(&c);
    assert_int_equal(kit_stats(&kit).connections, 1);
    for (int i = 0; i < SILENT; i++)
        client_close(&silent[i]);
    client_close(&c);
    kit_stop(&kit);
}

static void caps_of_connections(void **state)
{
    (void)state;
    struct client c[4];
    kit_start(&kit, 2, true,
              "open_publish: true\nlog_level: error\nlimits:\n  connections_max: 10\n"
              "  connections_per_address_max: 3\n");
    for (unsigned i = 0; i < 3; i++)
        assert_true(client_open(&c[i], &kit, i % 2));
    assert_false(client_open(&c[3], &kit, 0));
    assert_int_equal(kit_stats(&kit).refused, 1);
    for (unsigned i = 0; i < 4; i++)
        client_close(&c[i]);
    while (kit_stats(&kit).connections > 0)
        continue;
    assert_true(client_open(&c[0], &kit, 0));
    client_close(&c[0]);
    kit_stop(&kit);
}

// ---- the whole server, with signals
// ---------------------------------------------------------------

struct whole {
    struct cv_server_options options;
    int result;
};

static void whole_run(void *arg)
{
    struct whole *whole = arg;
    struct cv_why why = {0};
    whole->result = cv_server_run(&whole->options, &why);
}

static struct cv_config *whole_config(uint16_t port)
{
    struct cv_config *config = NULL;
    struct cv_config_why why = {0};
    char text[256];
    int len = snprintf(text, sizeof text,
                       "listen: [\"127.0.0.1:%u\"]\nthreads: 3\nopen_publish: true\n"
                       "log_level: error\n",
                       port);
    assert_int_equal(cv_config_parse("whole", text, (size_t)len, NULL, &config, &why), CV_OK);
    return config;
}

// A port of the loopback address that nobody listens on just now.
static struct cv_addr free_port(void)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    struct cv_why why = {0};
    int fd;
    assert_int_equal(cv_socket_listen(&addr, &fd, 1, &why), CV_OK);
    assert_int_equal(cv_socket_local(fd, &addr), CV_OK);
    close(fd);
    return addr;
}

static bool answers(void *arg)
{
    struct client client;
    bool open = client_open(&client, arg, 0);
    client_close(&client);
    return open;
}

// SIGUSR1 (and a reload that has no file to read, which is no reason to stop) in a storm; SIGTERM
// in a storm ends cleanly.
static void bug_24_the_whole_server_ends_on_sigterm(void **state)
{
    (void)state;
    struct storm storms[STORM_THREADS];
    atomic_bool over = false;
    struct cv_thread *thread;
    if (kit_tls)
        return; // this server has no certificate
    kit = (struct kit){.threads = true, .shared.workers = 1};
    kit.addrs[0] = free_port();
    struct cv_config *config = whole_config(kit.addrs[0].port);
    struct cv_keys *keys = cv_keys_new(NULL, 0);
    struct whole whole = {.options = {.config = config, .keys = keys}};
    cv_log_set_level(CV_LOG_ERROR);
    assert_int_equal(cv_thread_start(&thread, "server", whole_run, &whole), CV_OK);
    assert_true(kit_until(&kit, answers, &kit));
    storm_begin(storms, &over);
    uint64_t end = cv_clock_now_us() + 1000000;
    while (cv_clock_now_us() < end) {
        kill(getpid(), SIGUSR1);
        assert_true(answers(&kit));
    }
    kill(getpid(), SIGUSR1); // its answers arrive when the server already stops
    kill(getpid(), SIGTERM);
    cv_thread_join(&thread);
    assert_int_equal(whole.result, CV_OK);
    storm_end(storms, &over);
    cv_keys_unref(&keys);
    cv_config_unref(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_crosses_real_threads),
        cmocka_unit_test(bug_29_statistics_and_reloads_in_a_storm),
        cmocka_unit_test(bug_24_stop_in_a_storm),
        cmocka_unit_test(connections_cross_real_threads),
        cmocka_unit_test(bug_30_silence_of_many_hinders_nobody),
        cmocka_unit_test(caps_of_connections),
        cmocka_unit_test(bug_24_the_whole_server_ends_on_sigterm),
    };
    cv_signals_ignore_pipe();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
