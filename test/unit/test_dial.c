// Dialling real sockets on loopback: who wins, what failure is told, and that no descriptor leaks.
#include "harness.h"

#include "base/limits.h"
#include "base/mem.h"
#include "client/dial.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- addresses that behave in a certain way ---------------------------------------------------

enum { GOOD, REFUSED, HOLE, FORBIDDEN, KINDS };

// All have the same port, as the addresses of one name.
struct place {
    struct cv_addr addr;
    int listener;   // -1: nobody listens
    int fillers[2]; // what fills the listener's queue, so that it answers no SYN
};

static int open_listener(struct cv_addr *addr, int backlog)
{
    struct sockaddr_storage system = {0};
    socklen_t len = (socklen_t)cv_addr_to_system(addr, &system);
    int fd = socket(system.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&system, len) || listen(fd, backlog)) {
        close(fd);
        return -1;
    }
    assert_int_equal(cv_socket_local(fd, addr), CV_OK);
    return fd;
}

static bool is_connected(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    return poll(&poller, 1, 0) == 1;
}

// A queue of no length takes one connection, and then drops every SYN.
static void fill(struct place *place)
{
    for (int i = 0; i < 2; i++) {
        place->fillers[i] = cv_socket_connect(&place->addr);
        assert_true(place->fillers[i] >= 0);
    }
    assert_true(is_connected(place->fillers[0]));
    assert_false(is_connected(place->fillers[1]));
}

static void close_place(struct place *place)
{
    cv_socket_close(&place->listener);
    for (int i = 0; i < 2; i++)
        cv_socket_close(&place->fillers[i]);
}

static bool open_place(struct place *place, const char *ip, uint16_t port, int kind)
{
    struct cv_ip parsed;
    assert_int_equal(cv_ip_parse(cv_text_of(ip), &parsed), CV_OK);
    *place = (struct place){cv_addr_of_ip(&parsed, port), -1, {-1, -1}};
    if (kind == FORBIDDEN)
        return true;
    place->listener = open_listener(&place->addr, kind == GOOD ? 8 : 0);
    if (place->listener < 0)
        return false;
    if (kind == REFUSED)
        cv_socket_close(&place->listener);
    if (kind == HOLE)
        fill(place);
    return true;
}

// ---- a scene ----------------------------------------------------------------------------------

enum { PLACES_MAX = 4 };

struct scene {
    struct cv_loop *loop;
    struct place places[PLACES_MAX];
    struct cv_addr addrs[PLACES_MAX];
    unsigned count;
    struct cv_dial *dial;
    unsigned calls;
    struct cv_dial_result result;
    struct cv_addr result_addrs[CV_LIMIT_ADDRESSES];
    uint64_t start_us;
    uint64_t took_us;
    unsigned fds_outside; // open ones before the scene
    unsigned fds;         // and before the dial
};

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

struct place_row {
    const char *ip;
    int kind;
};

static bool has_ipv6(void)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV6, .ip = {[15] = 1}};
    int fd;
    if (cv_socket_listen(&addr, &fd, 1, NULL) != CV_OK)
        return false;
    cv_socket_close(&fd);
    return true;
}

// False for those that this machine cannot have.
static bool can_open(const struct place_row *rows)
{
    for (unsigned i = 0; i < PLACES_MAX && rows[i].ip; i++) {
        if (strcmp(rows[i].ip, "::1") == 0 && !has_ipv6())
            return false;
    }
    return true;
}

// Finds a port that is free on all of the addresses.
static void open_places(struct scene *scene, const struct place_row *rows)
{
    uint16_t port = 0;
    unsigned i = 0;
    for (int tries = 0; i < PLACES_MAX && rows[i].ip && tries < 100;) {
        if (open_place(&scene->places[i], rows[i].ip, port, rows[i].kind)) {
            port = scene->places[i++].addr.port;
            continue;
        }
        for (tries++, port = 0; i > 0;)
            close_place(&scene->places[--i]);
    }
    scene->count = i;
    assert_true(i == PLACES_MAX || !rows[i].ip);
    for (i = 0; i < scene->count; i++) {
        scene->addrs[i] = scene->places[i].addr;
        scene->addrs[i].port = port;
    }
}

static void open_scene(struct scene *scene, const struct place_row *rows)
{
    memset(scene, 0, sizeof *scene);
    cv_loop_free(cv_loop_new()); // what the first loop of a process opens for good
    scene->fds_outside = count_fds();
    scene->loop = cv_loop_new();
    assert_non_null(scene->loop);
    open_places(scene, rows);
    cv_loop_run_once(scene->loop); // the present time, and the loop's own descriptors
    scene->fds = count_fds();
}

static void close_scene(struct scene *scene)
{
    cv_dial_cancel(&scene->dial);
    cv_loop_run_once(scene->loop);
    if (scene->calls && scene->result.fd >= 0)
        cv_socket_close(&scene->result.fd);
    for (unsigned i = 0; i < scene->count; i++)
        close_place(&scene->places[i]);
    // Waits for a look-up that was cancelled: the helper thread may have a descriptor of its own.
    cv_loop_free(scene->loop);
    assert_int_equal(count_fds(), scene->fds_outside);
}

static void on_done(void *arg, const struct cv_dial_result *result)
{
    struct scene *scene = arg;
    scene->calls++;
    scene->dial = NULL;
    scene->result = *result;
    scene->took_us = cv_loop_now_us(scene->loop) - scene->start_us;
    if (result->addr_count)
        memcpy(scene->result_addrs, result->addrs, result->addr_count * sizeof *result->addrs);
    cv_loop_stop(scene->loop);
}

static struct cv_dial_config config_of(struct scene *scene)
{
    return (struct cv_dial_config){
        .host = "name.invalid",
        .port = scene->addrs[0].port,
        .addrs = scene->addrs,
        .addr_count = scene->count,
        .on_done = on_done,
        .arg = scene,
    };
}

static void start(struct scene *scene, const struct cv_dial_config *config)
{
    scene->start_us = cv_loop_now_us(scene->loop);
    scene->dial = cv_dial_start(scene->loop, config);
    assert_non_null(scene->dial);
    assert_int_equal(scene->calls, 0);
}

static void run(struct scene *scene, const struct cv_dial_config *config)
{
    start(scene, config);
    cv_loop_run(scene->loop);
    assert_int_equal(scene->calls, 1);
}

static void assert_won(const struct scene *scene, unsigned place)
{
    struct cv_addr peer;
    int no_delay = 0, flags = fcntl(scene->result.fd, F_GETFL);
    socklen_t len = sizeof no_delay;
    assert_int_equal(scene->result.code, CV_OK);
    assert_true(cv_addr_equal(&scene->result.addr, &scene->addrs[place]));
    assert_true(cv_addr_equal(&scene->result_addrs[0], &scene->addrs[place]));
    assert_int_equal(scene->result.addr_count, scene->count);
    assert_int_equal(cv_socket_peer(scene->result.fd, &peer), CV_OK);
    assert_true(cv_addr_equal(&peer, &scene->addrs[place]));
    assert_true(flags & O_NONBLOCK);
    assert_int_equal(getsockopt(scene->result.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    assert_true(no_delay);
}

// ---- who wins ---------------------------------------------------------------------------------

static const uint64_t stagger_us = CV_DIAL_STAGGER_MS * UINT64_C(1000);

static void races_have_their_winner(void **state)
{
    (void)state;
    static const struct {
        struct place_row places[PLACES_MAX];
        unsigned winner;
        unsigned staggers; // so many of them passed before it was tried
        bool ipv4_first;
    } rows[] = {
        {{{"127.0.0.1", GOOD}}, 0, 0, false},
        {{{"127.0.0.1", GOOD}, {"127.0.0.2", GOOD}}, 0, 0, false},
        {{{"127.0.0.2", REFUSED}, {"127.0.0.1", GOOD}}, 1, 0, false},
        {{{"127.0.0.2", HOLE}, {"127.0.0.1", GOOD}}, 1, 1, false},
        {{{"127.0.0.2", HOLE}, {"127.0.0.3", HOLE}, {"127.0.0.1", GOOD}}, 2, 2, false},
        {{{"127.0.0.2", HOLE}, {"127.0.0.3", REFUSED}, {"127.0.0.1", GOOD}}, 2, 1, false},
        {{{"255.255.255.255", FORBIDDEN}, {"127.0.0.1", GOOD}}, 1, 0, false},
        // IPv6: broken in each way; healthy; preferred and not
        {{{"::1", REFUSED}, {"127.0.0.1", GOOD}}, 1, 0, false},
        {{{"::1", HOLE}, {"127.0.0.1", GOOD}}, 1, 1, false},
        {{{"::1", HOLE}, {"127.0.0.1", GOOD}}, 1, 0, true},
        {{{"::1", GOOD}, {"127.0.0.1", GOOD}}, 0, 0, false},
        {{{"::1", GOOD}, {"127.0.0.1", GOOD}}, 1, 0, true},
        {{{"::1", GOOD}, {"127.0.0.2", REFUSED}}, 0, 0, true},
        {{{"ff0e::1", FORBIDDEN}, {"127.0.0.1", GOOD}}, 1, 0, false},
        // families in turn: 127.0.0.1 is tried second
        {{{"::1", HOLE}, {"ff0e::1", FORBIDDEN}, {"127.0.0.1", GOOD}}, 2, 1, false},
        {{{"127.0.0.2", HOLE}, {"127.0.0.3", HOLE}, {"::1", GOOD}}, 2, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        if (!can_open(rows[i].places))
            continue;
        open_scene(&scene, rows[i].places);
        struct cv_dial_config config = config_of(&scene);
        config.ipv4_first = rows[i].ipv4_first;
        run(&scene, &config);
        assert_won(&scene, rows[i].winner);
        assert_true(scene.took_us >= rows[i].staggers * stagger_us);
        assert_true(scene.result.rtt_us > 0 && scene.result.rtt_us < stagger_us);
        assert_int_equal(scene.result.lookup_us, 0);
        close_scene(&scene);
    }
}

// A later start does not mean a later win: one that was slow may still stand first.
static void slow_address_may_win_after_the_next_has_started(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.2", HOLE}, {"127.0.0.3", HOLE}};
    struct scene scene;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    start(&scene, &config);
    while (count_fds() < scene.fds + 2)
        cv_loop_run_once(scene.loop);
    assert_int_equal(scene.calls, 0);
    // The first one's queue gets room: its SYN, sent again after a second, is answered.
    int taken = cv_socket_accept(scene.places[0].listener, NULL);
    assert_true(taken >= 0);
    cv_socket_close(&taken);
    cv_socket_close(&scene.places[0].fillers[1]);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.calls, 1);
    assert_won(&scene, 0);
    close_scene(&scene);
}

static void families_take_turns(void **state)
{
    (void)state;
    static const struct {
        const char *given, *expected; // family and letter of each address
        bool ipv4_first;
    } rows[] = {
        {"6a6b4a4b", "6a4a6b4b", false}, {"6a6b4a4b", "4a6a4b6b", true},
        {"4a4b6a6b", "4a6a4b6b", false}, {"4a6a6b6c", "4a6a6b6c", false},
        {"6a6b6c4a", "6a4a6b6c", false}, {"6a6b", "6a6b", true},
        {"4a4b6a", "4a6a4b", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const struct place_row none[PLACES_MAX] = {{NULL, 0}};
        struct scene scene;
        open_scene(&scene, none);
        for (const char *at = rows[i].given; *at; at += 2) {
            bool ipv4 = at[0] == '4';
            // Neither can be connected to: all fail at once, in their turn.
            struct cv_addr addr = {.family = ipv4 ? CV_ADDR_IPV4 : CV_ADDR_IPV6,
                                   .ip = {ipv4 ? 224 : 0xff, ipv4 ? 0 : 0x0e}};
            addr.ip[ipv4 ? 3 : 15] = (uint8_t)at[1];
            addr.port = 1; // does not matter
            scene.addrs[scene.count++] = addr;
        }
        struct cv_dial_config config = config_of(&scene);
        config.port = 9;
        config.ipv4_first = rows[i].ipv4_first;
        run(&scene, &config);
        assert_int_equal(scene.result.code, CV_E_UNREACHABLE);
        assert_int_equal(scene.result.addr_count, scene.count);
        for (unsigned n = 0; n < scene.count; n++) {
            const struct cv_addr *addr = &scene.result_addrs[n];
            assert_int_equal(addr->family, rows[i].expected[2 * n] - '0');
            assert_int_equal(addr->ip[addr->family == CV_ADDR_IPV4 ? 3 : 15],
                             rows[i].expected[2 * n + 1]);
            assert_int_equal(addr->port, 9);
        }
        scene.count = 0;
        close_scene(&scene);
    }
}

// The descriptor that is opened next.
static int next_fd(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

// Refused on loopback comes inside connect(2), in a network later: as here, where the connection
// under way is pulled from beneath.
static void failure_starts_the_next_at_once(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {
        {"127.0.0.2", HOLE}, {"127.0.0.3", HOLE}, {"127.0.0.1", GOOD}};
    struct scene scene;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    start(&scene, &config);
    int second = next_fd();
    while (count_fds() < scene.fds + 2)
        cv_loop_run_once(scene.loop);
    assert_int_equal(shutdown(second, SHUT_RDWR), 0);
    for (int turn = 0; turn < 5; turn++) // much faster than the stagger
        cv_loop_run_once(scene.loop);
    assert_int_equal(scene.calls, 1);
    assert_won(&scene, 2);
    close_scene(&scene);
}

static void late_failure_is_told(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.2", HOLE}};
    struct scene scene;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    int first = next_fd();
    start(&scene, &config);
    assert_int_equal(shutdown(first, SHUT_RDWR), 0);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.calls, 1);
    assert_int_equal(scene.result.code, CV_E_RESET);
    close_scene(&scene);
}

static void name_is_looked_up(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}};
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::ffff:127.0.0.1"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct scene scene;
        open_scene(&scene, rows);
        struct cv_dial_config config = config_of(&scene);
        config.addrs = NULL;
        config.addr_count = 0;
        config.host = hosts[i];
        run(&scene, &config);
        assert_int_equal(scene.result.code, CV_OK);
        assert_true(cv_addr_equal(&scene.result.addr, &scene.addrs[0]));
        assert_true(scene.result.addr_count >= 1);
        assert_int_equal(scene.result.lookup_us > 0, i == 0);
        close_scene(&scene);
    }
}

// ---- what failure is told -----------------------------------------------------------------------

static void most_telling_failure_is_told(void **state)
{
    (void)state;
    static const struct {
        struct place_row places[PLACES_MAX];
        uint32_t try_ms;
        int code;
    } rows[] = {
        {{{"127.0.0.1", REFUSED}}, 0, CV_E_CONN_REFUSED},
        {{{"127.0.0.1", HOLE}}, 150, CV_E_TIMEOUT},
        {{{"ff0e::1", FORBIDDEN}}, 0, CV_E_UNREACHABLE},
        {{{"255.255.255.255", FORBIDDEN}}, 0, CV_E_UNREACHABLE},
        {{{"ff0e::1", FORBIDDEN}, {"127.0.0.1", REFUSED}}, 0, CV_E_CONN_REFUSED},
        {{{"127.0.0.1", REFUSED}, {"255.255.255.255", FORBIDDEN}}, 0, CV_E_CONN_REFUSED},
        {{{"127.0.0.1", HOLE}, {"127.0.0.2", REFUSED}}, 150, CV_E_CONN_REFUSED},
        {{{"127.0.0.1", HOLE}, {"255.255.255.255", FORBIDDEN}}, 150, CV_E_UNREACHABLE},
        {{{"127.0.0.1", HOLE}, {"127.0.0.2", HOLE}}, 50, CV_E_TIMEOUT}, // the second never started
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        open_scene(&scene, rows[i].places);
        struct cv_dial_config config = config_of(&scene);
        config.try_ms = rows[i].try_ms;
        run(&scene, &config);
        assert_int_equal(scene.result.code, rows[i].code);
        assert_int_equal(scene.result.fd, -1);
        assert_int_equal(scene.result.addr_count, scene.count);
        assert_true(scene.took_us >= rows[i].try_ms * UINT64_C(1000));
        close_scene(&scene);
    }
}

static void unknown_name_is_told(void **state)
{
    (void)state;
    static const struct place_row none[PLACES_MAX] = {{NULL, 0}};
    struct scene scene;
    open_scene(&scene, none);
    struct cv_dial_config config = config_of(&scene);
    config.host = "a-name-that-is-not-there.invalid"; // RFC 6761, section 6.4
    scene.start_us = cv_loop_now_us(scene.loop);
    scene.dial = cv_dial_start(scene.loop, &config);
    assert_non_null(scene.dial);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.calls, 1);
    // Without a name server nobody can know.
    assert_true(scene.result.code == CV_E_NOT_FOUND || scene.result.code == CV_E_AGAIN);
    assert_int_equal(scene.result.addr_count, 0);
    close_scene(&scene);
}

static void impossible_name_is_refused_at_once(void **state)
{
    (void)state;
    static const struct place_row none[PLACES_MAX] = {{NULL, 0}};
    char host[1001];
    struct scene scene;
    open_scene(&scene, none);
    memset(host, 'a', sizeof host);
    host[sizeof host - 1] = '\0';
    struct cv_dial_config config = config_of(&scene);
    config.host = host;
    assert_null(cv_dial_start(scene.loop, &config));
    close_scene(&scene);
}

// Descriptors run out: told, and nothing is lost.
static void lack_of_descriptors_is_told(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}, {"127.0.0.2", GOOD}};
    struct scene scene;
    int taken[1024], count = 0, fd;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while ((fd = dup(scene.places[0].listener)) >= 0)
        taken[count++] = fd;
    run(&scene, &config);
    while (count)
        close(taken[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(scene.result.code, CV_E_NO_DESCRIPTORS);
    close_scene(&scene);
}

// ---- the winner's descriptor --------------------------------------------------------------------

struct reader {
    struct cv_watch watch;
    struct scene *scene;
    uint8_t byte;
};

static void on_reader(void *arg, unsigned events)
{
    struct reader *reader = arg;
    (void)events;
    assert_int_equal(cv_socket_read(reader->watch.fd, &reader->byte, 1), 1);
    cv_loop_stop(reader->scene->loop);
}

static void on_done_watch(void *arg, const struct cv_dial_result *result)
{
    struct reader *reader = arg;
    on_done(reader->scene, result);
    assert_int_equal(cv_watch_start(&reader->watch, reader->scene->loop, result->fd, CV_WATCH_READ,
                                    on_reader, reader),
                     CV_OK);
}

// Inside on_done already, while the dial's own watch is still closing.
static void winner_can_be_watched_at_once(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}};
    struct scene scene;
    struct reader reader = {.scene = &scene};
    struct iovec vector = {.iov_base = &(uint8_t){'x'}, .iov_len = 1};
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    config.on_done = on_done_watch;
    config.arg = &reader;
    run(&scene, &config);
    int fd = cv_socket_accept(scene.places[0].listener, NULL);
    assert_true(fd >= 0);
    assert_int_equal(cv_socket_write(fd, &vector, 1), 1);
    cv_loop_run(scene.loop);
    assert_int_equal(reader.byte, 'x');
    cv_watch_close(&reader.watch, NULL, NULL);
    cv_socket_close(&fd);
    close_scene(&scene);
}

static void on_done_again(void *arg, const struct cv_dial_result *result)
{
    struct scene *scene = arg;
    on_done(scene, result);
    struct cv_dial_config config = config_of(scene);
    config.addrs = result->addrs; // lent, and copied by the next one
    config.addr_count = result->addr_count;
    scene->dial = cv_dial_start(scene->loop, &config);
    assert_non_null(scene->dial);
}

// With the addresses of the first, the second one does not wait for the black hole again.
static void next_dial_begins_with_the_winner(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.2", HOLE}, {"127.0.0.1", GOOD}};
    struct scene scene;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    config.on_done = on_done_again;
    run(&scene, &config);
    assert_won(&scene, 1);
    cv_socket_close(&scene.result.fd);
    for (int turn = 0; turn < 5; turn++) // much faster than the stagger
        cv_loop_run_once(scene.loop);
    assert_int_equal(scene.calls, 2);
    assert_won(&scene, 1);
    close_scene(&scene);
}

// ---- cancelling -------------------------------------------------------------------------------

// After each number of turns until it is done by itself.
static void dial_may_be_cancelled_after_any_turn(void **state)
{
    (void)state;
    static const struct place_row rows[][PLACES_MAX] = {
        {{"127.0.0.1", GOOD}},
        {{"127.0.0.1", REFUSED}, {"127.0.0.2", REFUSED}},
        {{"ff0e::1", FORBIDDEN}, {"127.0.0.1", REFUSED}, {"127.0.0.2", GOOD}},
        {{"ff0e::1", FORBIDDEN}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned turns = 0;
        for (bool done = false; !done; turns++) {
            struct scene scene;
            open_scene(&scene, rows[i]);
            struct cv_dial_config config = config_of(&scene);
            start(&scene, &config);
            for (unsigned turn = 0; turn < turns && !scene.calls; turn++)
                cv_loop_run_once(scene.loop);
            done = scene.calls > 0;
            cv_dial_cancel(&scene.dial);
            assert_null(scene.dial);
            for (unsigned turn = 0; turn < 5; turn++)
                cv_loop_run_once(scene.loop);
            assert_int_equal(scene.calls, done);
            close_scene(&scene);
        }
        assert_true(turns > 1);
    }
}

// With so many addresses under way.
static void dial_may_be_cancelled_in_the_race(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.2", HOLE}, {"127.0.0.3", HOLE}};
    for (unsigned under_way = 1; under_way <= 2; under_way++) {
        struct scene scene;
        open_scene(&scene, rows);
        struct cv_dial_config config = config_of(&scene);
        config.try_ms = 60000;
        start(&scene, &config);
        while (count_fds() < scene.fds + under_way)
            cv_loop_run_once(scene.loop);
        cv_dial_cancel(&scene.dial);
        assert_int_equal(count_fds(), scene.fds); // now, not later
        assert_int_equal(scene.calls, 0);
        close_scene(&scene);
    }
}

// In the look-up; the loop is run, or freed at once, afterwards.
static void dial_may_be_cancelled_in_the_look_up(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}};
    for (int turns = 0; turns < 3; turns++) {
        struct scene scene;
        open_scene(&scene, rows);
        struct cv_dial_config config = config_of(&scene);
        config.addr_count = 0;
        config.host = "localhost";
        start(&scene, &config);
        for (int turn = 0; turn < turns && !scene.calls; turn++)
            cv_loop_run_once(scene.loop);
        cv_dial_cancel(&scene.dial);
        close_scene(&scene);
    }
}

static void connected_dial_may_be_cancelled_before_it_is_told(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}};
    struct scene scene;
    open_scene(&scene, rows);
    struct cv_dial_config config = config_of(&scene);
    start(&scene, &config);
    struct pollfd poller = {.fd = scene.places[0].listener, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 10000), 1); // it stands
    cv_dial_cancel(&scene.dial);
    cv_loop_run_once(scene.loop);
    assert_int_equal(scene.calls, 0);
    close_scene(&scene);
}

static void nothing_can_be_cancelled(void **state)
{
    (void)state;
    struct cv_dial *none = NULL;
    cv_dial_cancel(&none);
    assert_null(none);
}

// ---- no memory --------------------------------------------------------------------------------

static bool dial_without_memory(void *arg)
{
    struct scene *scene = arg;
    struct cv_dial_config config = config_of(scene);
    scene->calls = 0;
    config.addrs = NULL;
    config.addr_count = 0;
    config.host = "localhost";
    scene->dial = cv_dial_start(scene->loop, &config);
    bool started = scene->dial;
    if (started)
        cv_loop_run(scene->loop);
    assert_int_equal(scene->calls, started);
    if (started)
        cv_socket_close(&scene->result.fd);
    return started;
}

static void lack_of_memory_starts_nothing(void **state)
{
    (void)state;
    static const struct place_row rows[PLACES_MAX] = {{"127.0.0.1", GOOD}};
    struct scene scene;
    open_scene(&scene, rows);
    fail_nth(dial_without_memory, &scene);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(races_have_their_winner),
        cmocka_unit_test(slow_address_may_win_after_the_next_has_started),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(failure_starts_the_next_at_once),
        cmocka_unit_test(late_failure_is_told),
        cmocka_unit_test(name_is_looked_up),
        cmocka_unit_test(most_telling_failure_is_told),
        cmocka_unit_test(unknown_name_is_told),
        cmocka_unit_test(impossible_name_is_refused_at_once),
        cmocka_unit_test(lack_of_descriptors_is_told),
        cmocka_unit_test(winner_can_be_watched_at_once),
        cmocka_unit_test(next_dial_begins_with_the_winner),
        cmocka_unit_test(dial_may_be_cancelled_after_any_turn),
        cmocka_unit_test(dial_may_be_cancelled_in_the_race),
        cmocka_unit_test(dial_may_be_cancelled_in_the_look_up),
        cmocka_unit_test(connected_dial_may_be_cancelled_before_it_is_told),
        cmocka_unit_test(nothing_can_be_cancelled),
        cmocka_unit_test(lack_of_memory_starts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
