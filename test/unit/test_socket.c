// Addresses and real sockets on the loopback: back-pressure, resets, listeners that share a port.
#include "harness.h"

#include "base/err.h"
#include "base/limits.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

// ---- addresses ------------------------------------------------------------------------------

static void addresses_are_read_and_printed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed, *ip;
    } rows[] = {
        {"80", "*:80", "*"},
        {":80", "*:80", "*"},
        {"*:1935", "*:1935", "*"},
        {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0"},
        {"127.0.0.1:65535", "127.0.0.1:65535", "127.0.0.1"},
        {"[::1]:80", "[::1]:80", "::1"},
        {"[2001:db8::42]:8080", "[2001:db8::42]:8080", "2001:db8::42"},
        {"[::]:80", "[::]:80", "::"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_addr addr;
        char text[CV_ADDR_TEXT_BYTES];
        assert_int_equal(cv_addr_parse(rows[i].text, 0, &addr, NULL), 0);
        assert_string_equal(cv_addr_print(&addr, text), rows[i].printed);
        assert_string_equal(cv_addr_print_ip(&addr, text), rows[i].ip);
        uint8_t system[CV_SOCKADDR_BYTES];
        assert_true(cv_addr_to_system(&addr, system) <= sizeof system);
        struct cv_addr back = cv_addr_from_system(system);
        assert_true(addr.family == CV_ADDR_ANY || cv_addr_equal(&addr, &back));
    }
}

static void default_port_fills_in(void **state)
{
    (void)state;
    static const char *const rows[] = {"10.0.0.1", "[::1]",       "::1",
                                       "*",        "2001:db8::1", "10.0.0.1:90"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_addr addr;
        assert_int_equal(cv_addr_parse(rows[i], 90, &addr, NULL), 0);
        assert_int_equal(addr.port, 90);
        assert_int_equal(addr.family == CV_ADDR_ANY, rows[i][0] == '*');
    }
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        ":",
        "65536",
        "-1",
        "80x",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3:80",
        "localhost:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[1.2.3.4]:80",
        "::1",
        "[]:80",
        "[*]:80",
        "1.2.3.4:99999999999999999999",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:80",
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000.1:1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_addr addr = {.port = 7};
        struct cv_why why = {0};
        struct guard guard = guard_copy(rows[i], strlen(rows[i]) + 1);
        assert_int_equal(cv_addr_parse((const char *)guard.data, 0, &addr, &why), CV_E_USAGE);
        assert_int_equal(addr.port, 7);
        assert_int_equal(why.code, CV_E_USAGE);
        guard_free(&guard);
    }
}

static void mapped_ipv4_is_ipv4(void **state)
{
    (void)state;
    struct cv_addr mapped, plain;
    uint8_t system[CV_SOCKADDR_BYTES];
    assert_int_equal(cv_addr_parse("[::ffff:127.0.0.1]:80", 0, &mapped, NULL), 0);
    assert_int_equal(cv_addr_parse("127.0.0.1:80", 0, &plain, NULL), 0);
    cv_addr_to_system(&mapped, system);
    mapped = cv_addr_from_system(system);
    assert_true(cv_addr_equal(&mapped, &plain));
    assert_true(cv_addr_is_loopback(&mapped));
    plain.port = 81;
    assert_false(cv_addr_equal(&mapped, &plain));
    assert_true(cv_addr_same_ip(&mapped, &plain));
}

// ---- pairs ----------------------------------------------------------------------------------

static struct cv_addr address(const char *text)
{
    struct cv_addr addr;
    assert_int_equal(cv_addr_parse(text, 0, &addr, NULL), 0);
    return addr;
}

static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    assert_int_equal(poll(&one, 1, 5000), 1);
}

struct pair {
    int listener, client, server;
    struct cv_addr addr, peer;
};

static struct pair pair_open(const char *text)
{
    struct pair pair = {.addr = address(text)};
    assert_int_equal(cv_socket_listen(&pair.addr, &pair.listener, 1, NULL), 0);
    assert_int_equal(cv_socket_local(pair.listener, &pair.addr), 0);
    assert_int_equal(cv_socket_accept(pair.listener, NULL), CV_E_AGAIN);
    pair.client = cv_socket_connect(&pair.addr);
    assert_true(pair.client >= 0);
    wait_for(pair.client, POLLOUT);
    assert_int_equal(cv_socket_connect_result(pair.client), 0);
    wait_for(pair.listener, POLLIN);
    pair.server = cv_socket_accept(pair.listener, &pair.peer);
    assert_true(pair.server >= 0);
    return pair;
}

static void pair_close(struct pair *pair)
{
    cv_socket_close(&pair->listener);
    cv_socket_close(&pair->client);
    cv_socket_close(&pair->server);
}

static int write_text(int fd, const char *text)
{
    struct iovec vector = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    return cv_socket_write(fd, &vector, 1);
}

static void bytes_are_thrown_away_unseen(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    char got[8] = {0};
    assert_int_equal(cv_socket_drop(pair.server, 100), CV_E_AGAIN);
    assert_int_equal(write_text(pair.client, "headbody"), 8);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_drop(pair.server, 4), 4);
    assert_int_equal(cv_socket_read(pair.server, got, sizeof got), 4);
    assert_string_equal(got, "body");
    cv_socket_shutdown(pair.client);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_drop(pair.server, 100), CV_E_CLOSED);
    pair_close(&pair);
}

static void bytes_travel_both_ways(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    struct cv_addr client;
    char got[32] = {0};
    assert_int_equal(cv_socket_local(pair.client, &client), 0);
    assert_true(cv_addr_equal(&client, &pair.peer));
    assert_int_equal(cv_socket_peer(pair.client, &client), 0);
    assert_true(cv_addr_equal(&client, &pair.addr));
    assert_int_equal(cv_socket_read(pair.server, got, sizeof got), CV_E_AGAIN);
    char bytes[] = "headbody";
    struct iovec vectors[] = {{bytes, 4}, {bytes, 0}, {bytes + 4, 4}};
    assert_int_equal(cv_socket_write(pair.client, vectors, 3), 8);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, got, sizeof got), 8);
    assert_string_equal(got, "headbody");
    cv_socket_shutdown(pair.client);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, got, sizeof got), CV_E_CLOSED);
    assert_int_equal(write_text(pair.server, "late"), 4);
    wait_for(pair.client, POLLIN);
    assert_int_equal(cv_socket_read(pair.client, got, sizeof got), 4);
    pair_close(&pair);
    assert_int_equal(pair.client, -1);
}

static void sockets_do_not_block_and_close_on_exec(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    const int fds[] = {pair.listener, pair.client, pair.server};
    for (size_t i = 0; i < 3; i++) {
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
    }
    pair_close(&pair);
}

static size_t fill(int fd, const struct iovec *vectors, int count, bool *was_short)
{
    size_t total = 0, whole = 0;
    for (int i = 0; i < count; i++)
        whole += vectors[i].iov_len;
    for (int got; (got = cv_socket_write(fd, vectors, count)) != CV_E_AGAIN;) {
        assert_true(got > 0);
        total += (size_t)got;
        *was_short |= (size_t)got < whole;
    }
    return total;
}

// "abc" is not worth telling, all eight are, and so is the end.
static void little_is_not_told_of(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    struct pollfd one = {.fd = pair.server, .events = POLLIN};
    uint8_t data[64];
    assert_int_equal(cv_socket_set_read_low(pair.server, 8), 0);
    assert_int_equal(write_text(pair.client, "abc"), 3);
    assert_int_equal(poll(&one, 1, 20), 0);
    assert_int_equal(cv_socket_read(pair.server, data, sizeof data), 3); // but it is there
    assert_int_equal(write_text(pair.client, "abcd"), 4);
    assert_int_equal(write_text(pair.client, "efgh"), 4);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, data, sizeof data), 8);
    assert_int_equal(write_text(pair.client, "abc"), 3);
    assert_int_equal(cv_socket_set_read_low(pair.server, 1), 0);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, data, sizeof data), 3);
    assert_int_equal(cv_socket_set_read_low(pair.server, 8), 0);
    cv_socket_close(&pair.client);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, data, sizeof data), CV_E_CLOSED);
    pair_close(&pair);
}

static void full_socket_writes_short_then_says_again(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    static uint8_t chunk[100000];
    struct iovec vectors[2000]; // more than one call takes
    bool was_short = false;
    for (int i = 0; i < 2000; i++)
        vectors[i] = (struct iovec){chunk, i < 10 ? sizeof chunk : 1};
    size_t sent = fill(pair.server, vectors, 2000, &was_short);
    assert_true(was_short);
    size_t received = 0;
    while (received < sent) {
        wait_for(pair.client, POLLIN);
        int got = cv_socket_read(pair.client, chunk, sizeof chunk);
        assert_true(got > 0);
        received += (size_t)got;
    }
    assert_int_equal(cv_socket_read(pair.client, chunk, 1), CV_E_AGAIN);
    pair_close(&pair);
}

static void reset_is_told(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    char byte;
    cv_socket_abort(&pair.client);
    wait_for(pair.server, POLLIN);
    assert_int_equal(cv_socket_read(pair.server, &byte, 1), CV_E_RESET);
    assert_int_equal(write_text(pair.server, "x"), CV_E_RESET); // EPIPE, and no SIGPIPE
    pair_close(&pair);
}

static void refused_connection_is_told(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    cv_socket_close(&pair.listener);
    int fd = cv_socket_connect(&pair.addr);
    if (fd >= 0) {
        wait_for(fd, POLLOUT);
        assert_int_equal(cv_socket_connect_result(fd), CV_E_CONN_REFUSED);
    } else {
        assert_int_equal(fd, CV_E_CONN_REFUSED);
    }
    cv_socket_close(&fd);
    pair_close(&pair);
}

static void options_are_taken(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    int fd = pair.server;
    assert_int_equal(cv_socket_set_no_delay(fd, true), 0);
    assert_int_equal(cv_socket_set_keep_alive(fd, 30, 10, 3), 0);
    assert_int_equal(cv_socket_set_user_timeout_ms(fd, 20000), 0);
    assert_int_equal(cv_socket_set_send_buffer(fd, 65536), 0);
    assert_int_equal(cv_socket_set_unsent_low(fd, 16384), 0);
    assert_int_equal(cv_socket_quick_ack(fd), 0);
    assert_int_equal(write_text(fd, "measure"), 7);
    assert_true(cv_socket_rtt_us(fd) < 1000000);
    assert_true(cv_socket_unacked_bytes(fd) <= 7);
    assert_int_equal(cv_socket_set_no_delay(9999, true), CV_E_SYSTEM);
    assert_int_equal(cv_socket_rtt_us(9999), 0);
    assert_int_equal(cv_socket_unacked_bytes(9999), 0);
    pair_close(&pair);
}

// ---- listening ------------------------------------------------------------------------------

static void any_address_takes_both_families(void **state)
{
    (void)state;
    struct cv_addr any = address("0");
    int listener;
    assert_int_equal(cv_socket_listen(&any, &listener, 1, NULL), 0);
    struct cv_addr local, peer;
    assert_int_equal(cv_socket_local(listener, &local), 0);
    static const char *const hosts[] = {"127.0.0.1:1", "[::1]:1"};
    for (size_t i = 0; i < (local.family == CV_ADDR_IPV6 ? 2 : 1); i++) {
        struct cv_addr to = address(hosts[i]);
        to.port = local.port;
        int client = cv_socket_connect(&to);
        if (client == CV_E_UNREACHABLE && i == 1)
            break; // no IPv6 loopback on this machine
        assert_true(client >= 0);
        wait_for(listener, POLLIN);
        int server = cv_socket_accept(listener, &peer);
        assert_true(server >= 0);
        assert_true(cv_addr_same_ip(&peer, &to));
        cv_socket_close(&client);
        cv_socket_close(&server);
    }
    cv_socket_close(&listener);
}

static void listeners_share_with_each_other_only(void **state)
{
    (void)state;
    struct cv_addr addr = address("127.0.0.1:0");
    int fds[4], more[2] = {-7, -7};
    assert_int_equal(cv_socket_listen(&addr, fds, 4, NULL), 0);
    for (int i = 0; i < 4; i++) {
        struct cv_addr local;
        assert_int_equal(cv_socket_local(fds[i], &local), 0);
        assert_true(i == 0 || local.port == addr.port);
        addr = local;
    }
    struct cv_why why = {0};
    assert_int_equal(cv_socket_listen(&addr, more, 2, &why), CV_E_PORT_IN_USE);
    assert_non_null(strstr(why.text, "port in use by another program"));
    assert_int_equal(more[0], -7);
    for (int i = 0; i < 4; i++)
        cv_socket_close(&fds[i]);
}

static void listen_says_what_is_wrong(void **state)
{
    (void)state;
    struct cv_addr foreign = address("192.0.2.1:0");
    struct cv_why why = {0};
    int fd = -7;
    assert_int_equal(cv_socket_listen(&foreign, &fd, 1, &why), CV_E_UNREACHABLE);
    assert_non_null(strstr(why.text, "192.0.2.1:0 is not an address of this machine"));
    assert_int_equal(fd, -7);
    assert_int_equal(cv_socket_error(EACCES), CV_E_DENIED);
    assert_int_equal(cv_socket_error(0x7fff), CV_E_SYSTEM);
}

struct crowd {
    struct cv_loop *loop;
    struct cv_listener *listener;
    struct cv_timer timer;
    int accepted, wanted;
    rlim_t old_limit;
};

static void crowd_enter(void *arg, int fd, const struct cv_addr *peer)
{
    struct crowd *crowd = arg;
    assert_true(cv_addr_is_loopback(peer));
    cv_socket_close(&fd);
    if (++crowd->accepted < crowd->wanted)
        return;
    cv_listener_free(crowd->listener);
    crowd->listener = NULL;
    cv_loop_stop(crowd->loop);
}

static void listener_takes_a_crowd_and_can_be_freed_inside(void **state)
{
    (void)state;
    enum { CROWD = CV_ACCEPT_BATCH + 20 };
    struct cv_addr addr = address("127.0.0.1:0");
    struct crowd crowd = {.loop = cv_loop_new(), .wanted = CROWD - 3};
    int listener, clients[CROWD];
    assert_int_equal(cv_socket_listen(&addr, &listener, 1, NULL), 0);
    assert_int_equal(cv_socket_local(listener, &addr), 0);
    for (int i = 0; i < CROWD; i++)
        clients[i] = cv_socket_connect(&addr);
    crowd.listener = cv_listener_new(crowd.loop, listener, crowd_enter, &crowd);
    assert_non_null(crowd.listener);
    cv_loop_run(crowd.loop);
    assert_int_equal(crowd.accepted, CROWD - 3);
    for (int i = 0; i < CROWD; i++)
        cv_socket_close(&clients[i]);
    cv_loop_free(crowd.loop);
}

static void set_descriptor_limit(rlim_t limit)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void crowd_relief(void *arg)
{
    struct crowd *crowd = arg;
    assert_int_equal(crowd->accepted, 0);
    assert_int_equal(cv_listener_pauses(crowd->listener), 1); // it rests, it does not spin
    set_descriptor_limit(crowd->old_limit);
}

static void bug_30_listener_rests_without_descriptors(void **state)
{
    (void)state;
    struct cv_addr addr = address("127.0.0.1:0");
    struct crowd crowd = {.loop = cv_loop_new(), .wanted = 1};
    struct rlimit limit;
    int listener;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    crowd.old_limit = limit.rlim_cur;
    assert_int_equal(cv_socket_listen(&addr, &listener, 1, NULL), 0);
    assert_int_equal(cv_socket_local(listener, &addr), 0);
    crowd.listener = cv_listener_new(crowd.loop, listener, crowd_enter, &crowd);
    int client = cv_socket_connect(&addr);
    int lowest_free = dup(client);
    assert_true(lowest_free >= 0);
    close(lowest_free);
    set_descriptor_limit((rlim_t)lowest_free);
    wait_for(listener, POLLIN);
    assert_int_equal(cv_socket_accept(listener, NULL), CV_E_NO_DESCRIPTORS);
    cv_timer_init(&crowd.timer, crowd.loop, crowd_relief, &crowd);
    cv_timer_start(&crowd.timer, CV_ACCEPT_PAUSE_MS * 1000 / 2);
    cv_loop_run(crowd.loop);
    assert_int_equal(crowd.accepted, 1);
    cv_socket_close(&client);
    cv_loop_free(crowd.loop);
}

static void listener_can_be_freed_while_it_rests(void **state)
{
    (void)state;
    struct cv_addr addr = address("127.0.0.1:0");
    struct crowd crowd = {.loop = cv_loop_new()};
    struct rlimit limit;
    int listener;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(cv_socket_listen(&addr, &listener, 1, NULL), 0);
    assert_int_equal(cv_socket_local(listener, &addr), 0);
    crowd.listener = cv_listener_new(crowd.loop, listener, crowd_enter, &crowd);
    int client = cv_socket_connect(&addr);
    wait_for(listener, POLLIN);
    set_descriptor_limit((rlim_t)listener);
    cv_loop_run_once(crowd.loop);
    assert_int_equal(cv_listener_pauses(crowd.listener), 1);
    set_descriptor_limit(limit.rlim_cur);
    cv_listener_free(crowd.listener);
    cv_socket_close(&client);
    cv_loop_free(crowd.loop);
}

// ---- on the loop ----------------------------------------------------------------------------

struct dialog {
    struct cv_loop *loop;
    struct cv_watch watch;
    int fd, code;
};

static void dialog_read(void *arg, unsigned events)
{
    struct dialog *dialog = arg;
    char byte;
    assert_true(events & CV_WATCH_READ);
    dialog->code = cv_socket_read(dialog->fd, &byte, 1);
    cv_watch_close(&dialog->watch, NULL, NULL);
    cv_loop_stop(dialog->loop);
}

static void dialog_connected(void *arg, unsigned events)
{
    struct dialog *dialog = arg;
    assert_true(events & CV_WATCH_WRITE);
    dialog->code = cv_socket_connect_result(dialog->fd);
    cv_watch_close(&dialog->watch, NULL, NULL);
    cv_loop_stop(dialog->loop);
}

static void watch_shows_a_reset(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    struct dialog dialog = {.loop = cv_loop_new(), .fd = pair.server};
    assert_int_equal(
        cv_watch_start(&dialog.watch, dialog.loop, dialog.fd, CV_WATCH_READ, dialog_read, &dialog),
        0);
    cv_socket_abort(&pair.client);
    cv_loop_run(dialog.loop);
    assert_int_equal(dialog.code, CV_E_RESET);
    cv_loop_free(dialog.loop);
    pair_close(&pair);
}

static void dialog_count(void *arg, unsigned events)
{
    struct dialog *dialog = arg;
    assert_int_equal(events, CV_WATCH_READ);
    dialog->code++;
}

// uv stops polling at an error; the watch must not fall silent.
static void watch_repeats_an_error_until_it_is_read(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    struct dialog dialog = {.loop = cv_loop_new(), .fd = pair.server};
    assert_int_equal(
        cv_watch_start(&dialog.watch, dialog.loop, dialog.fd, CV_WATCH_READ, dialog_count, &dialog),
        0);
    cv_socket_abort(&pair.client);
    wait_for(pair.server, POLLIN);
    for (int turns = 1; turns <= 3; turns++) {
        cv_loop_run_once(dialog.loop);
        assert_int_equal(dialog.code, turns);
    }
    cv_watch_close(&dialog.watch, NULL, NULL);
    cv_loop_free(dialog.loop);
    pair_close(&pair);
}

static void watch_shows_a_refused_connection(void **state)
{
    (void)state;
    struct pair pair = pair_open("127.0.0.1:0");
    cv_socket_close(&pair.listener);
    struct dialog dialog = {.loop = cv_loop_new(), .fd = cv_socket_connect(&pair.addr)};
    assert_true(dialog.fd >= 0);
    assert_int_equal(cv_watch_start(&dialog.watch, dialog.loop, dialog.fd, CV_WATCH_WRITE,
                                    dialog_connected, &dialog),
                     0);
    cv_loop_run(dialog.loop);
    assert_int_equal(dialog.code, CV_E_CONN_REFUSED);
    cv_loop_free(dialog.loop);
    cv_socket_close(&dialog.fd);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_printed),
        cmocka_unit_test(default_port_fills_in),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(mapped_ipv4_is_ipv4),
        cmocka_unit_test(bytes_are_thrown_away_unseen),
        cmocka_unit_test(bytes_travel_both_ways),
        cmocka_unit_test(sockets_do_not_block_and_close_on_exec),
        cmocka_unit_test(little_is_not_told_of),
        cmocka_unit_test(full_socket_writes_short_then_says_again),
        cmocka_unit_test(reset_is_told),
        cmocka_unit_test(refused_connection_is_told),
        cmocka_unit_test(options_are_taken),
        cmocka_unit_test(any_address_takes_both_families),
        cmocka_unit_test(listeners_share_with_each_other_only),
        cmocka_unit_test(listen_says_what_is_wrong),
        cmocka_unit_test(listener_takes_a_crowd_and_can_be_freed_inside),
        cmocka_unit_test(bug_30_listener_rests_without_descriptors),
        cmocka_unit_test(watch_shows_a_reset),
        cmocka_unit_test(watch_repeats_an_error_until_it_is_read),
        cmocka_unit_test(listener_can_be_freed_while_it_rests),
        cmocka_unit_test(watch_shows_a_refused_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
