// The beginning of a connection that speaks TLS, or should, or should not: which ports take what,
// and how long whose handshake may last.
#include "harness.h"
#include "secure_kit.h"
#include "server_kit.h"

#include "io/clock.h"
#include "io/socket.h"
#include "io/tls.h"
#include "server/conn.h"

#include <stdio.h>
#include <unistd.h>

enum { LOG_BYTES = 16384, HELLO_BYTES = 4096 };

// The time for a handshake is longer than tests wait: what must be closed is closed for its reason.
#define PATIENT   "limits:\n  handshake_s: 60\n"
#define IMPATIENT "limits:\n  handshake_s: 1\n"
#define TRUSTED   "trusted_proxies: [127.0.0.1]\n"
#define GET       "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define LINE      "PROXY TCP4 203.0.113.7 127.0.0.1 40001 80\r\n"

static const uint8_t c0c1[1537] = {3};

static struct kit kit;
static char logged[LOG_BYTES];
static int log_fds[2];

// ---- clients ----------------------------------------------------------------------------------

static struct wire dial_to(const struct cv_addr *addr)
{
    return wire_dial(&kit, addr);
}

static struct wire dial(void)
{
    return dial_to(&kit.addrs[0]);
}

static struct wire dial_tls(const struct cv_addr *addr)
{
    struct wire wire = dial_to(addr);
    wire.fd = secure_kit_bridge(wire.fd);
    return wire;
}

static void expect(struct wire *wire, const char *answer)
{
    assert_true(kit_until(&kit, wire_has_answer, wire));
    if (strncmp(wire->got, answer, strlen(answer)) != 0)
        fail_msg("wanted %s, got %s", answer, wire->got);
}

// The first flight of a client, as it stands on the wire.
static size_t hello(uint8_t bytes[HELLO_BYTES])
{
    int fds[2];
    struct cv_why why = {0};
    struct cv_tls_room *room = cv_tls_room_new();
    assert_int_equal(cv_socket_pair(fds), 0);
    struct cv_tls *tls = cv_tls_connect(secure_kit_trust(), fds[0], "localhost");
    assert_true(tls && room);
    assert_int_equal(cv_tls_handshake(tls, room, &why), CV_E_AGAIN);
    int len = cv_socket_read(fds[1], bytes, HELLO_BYTES);
    assert_true(len > 100);
    cv_tls_free(tls);
    cv_tls_room_free(room);
    close(fds[0]);
    close(fds[1]);
    return (size_t)len;
}

// ---- what is logged ---------------------------------------------------------------------------

static void start(struct cv_tls_server *tls, const char *yaml)
{
    char all[512];
    snprintf(all, sizeof all, "log_level: info\n%s", yaml);
    kit_tls = tls;
    kit_start(&kit, 1, false, all);
    assert_int_equal(cv_socket_pair(log_fds), 0);
    cv_log_set_fd(log_fds[1]);
}

static void stop(void)
{
    kit_stop(&kit);
    cv_log_set_fd(2);
    close(log_fds[0]);
    close(log_fds[1]);
    kit_tls = NULL;
}

// One line has come since the last time, and these words stand in it.
static void expect_logged(const char *words, const char *level)
{
    int len = cv_socket_read(log_fds[0], logged, LOG_BYTES - 1);
    assert_true(len > 0);
    logged[len] = '\0';
    if (strchr(logged, '\n') != logged + len - 1)
        fail_msg("not one line: %s", logged);
    if (!strstr(logged, words) || !strstr(logged, level))
        fail_msg("wanted %s %s, got %s", level, words, logged);
}

static void expect_silence(void)
{
    assert_int_equal(cv_socket_read(log_fds[0], logged, LOG_BYTES), CV_E_AGAIN);
}

// Some are told of, and not all: that is tested by itself.
static void forget_failures(void)
{
    kit.workers[0]->tls_failure_us = 0;
}

static void expect_refused(struct wire wire, const void *data, size_t len, const char *words)
{
    wire_put(&wire, data, len);
    assert_true(kit_until(&kit, wire_is_closed, &wire));
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    expect_logged(words, " info ");
    forget_failures();
}

// ---- ports ------------------------------------------------------------------------------------

static void one_port_takes_it_all(void **state)
{
    (void)state;
    start(secure_kit_server(), PATIENT);
    struct wire wire[4] = {dial_tls(&kit.addrs[0]), dial_tls(&kit.addrs[0]), dial(), dial()};
    for (int i = 0; i < 4; i++) {
        if (i % 2)
            wire_put(&wire[i], c0c1, sizeof c0c1); // C0, C1
        else
            wire_put_text(&wire[i], GET);
        expect(&wire[i], i % 2 ? "\x03" : "HTTP/1.1 200");
    }
    struct cv_worker_stats stats = kit_stats(&kit);
    assert_int_equal(stats.secured, 2);
    assert_int_equal(stats.tls_failed, 0);
    for (int i = 0; i < 4; i++)
        wire_hang_up(&wire[i]);
    stop();
}

static void without_a_certificate_there_is_no_tls(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    start(NULL, PATIENT);
    expect_refused(dial(), bytes, len,
                   "why=\"this server has no certificate: set tls in its configuration\"");
    stop();
}

static void a_plain_port_takes_no_tls(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    start(secure_kit_server(), PATIENT);
    struct cv_addr addr = kit_listen(&kit, 0, CV_LISTEN_PLAIN);
    expect_refused(dial_to(&addr), bytes, len, "TLS on a port that takes none");
    struct wire wire = dial_to(&addr);
    wire_put_text(&wire, GET);
    expect(&wire, "HTTP/1.1 200");
    wire_hang_up(&wire);
    stop();
}

static void a_tls_port_takes_no_plain_text(void **state)
{
    (void)state;
    start(secure_kit_server(), PATIENT);
    struct cv_addr addr = kit_listen(&kit, 0, CV_LISTEN_TLS);
    expect_refused(dial_to(&addr), c0c1, sizeof c0c1, "plain text on a port that takes TLS only");
    struct wire wire = dial_tls(&addr);
    wire_put_text(&wire, GET);
    expect(&wire, "HTTP/1.1 200");
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    // A client of HTTP is told.
    wire = dial_to(&addr);
    wire_put_text(&wire, GET "and more");
    assert_true(kit_until(&kit, wire_is_closed, &wire));
    expect(&wire, "HTTP/1.1 400 Bad Request\r\n");
    assert_non_null(strstr(wire.got, "\r\nContent-Length: 27\r\n"));
    assert_string_equal(strstr(wire.got, "\r\n\r\n") + 4, "this port takes HTTPS only\n");
    expect_logged("HTTP on a port that takes HTTPS only", " info ");
    wire_put_text(&wire, "what it says now is read away");
    for (int i = 0; i < 20; i++)
        kit_turn(&kit);
    assert_false(kit_has_no_sockets(&kit));
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    // One that does not go is shown out.
    wire = dial_to(&addr);
    wire_put_text(&wire, GET);
    assert_true(kit_until(&kit, wire_is_closed, &wire));
    assert_false(kit_has_no_sockets(&kit));
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    wire_hang_up(&wire);
    expect_logged("HTTP on a port that takes HTTPS only", " info ");
    stop();
}

static void tls_inside_tls_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    start(secure_kit_server(), PATIENT);
    expect_refused(dial_tls(&kit.addrs[0]), bytes, len, "TLS inside TLS");
    assert_non_null(strstr(logged, " tls=TLSv1.3 "));
    stop();
}

// ---- proxies ----------------------------------------------------------------------------------

static void a_proxy_header_goes_before_tls(void **state)
{
    (void)state;
    char text[CV_ADDR_TEXT_BYTES];
    start(secure_kit_server(), TRUSTED PATIENT);
    for (size_t piece = 1; piece < sizeof LINE; piece += 20) {
        struct wire wire = dial();
        for (size_t at = 0; at < sizeof LINE - 1; at += piece) {
            size_t left = sizeof LINE - 1 - at;
            wire_put(&wire, LINE + at, left < piece ? left : piece);
            kit_turn(&kit);
        }
        wire.fd = secure_kit_bridge(wire.fd);
        wire_put_text(&wire, GET);
        expect(&wire, "HTTP/1.1 200");
        cv_addr_print(&kit.workers[0]->sockets->peer, text);
        assert_string_equal(text, "203.0.113.7:40001");
        wire_hang_up(&wire);
        assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    }
    struct wire wire = dial_tls(&kit.addrs[0]);
    wire_put_text(&wire, LINE GET);
    assert_true(kit_until(&kit, wire_is_closed, &wire));
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    expect_logged("a PROXY header inside TLS", " warn ");
    stop();
}

// ---- bad handshakes ---------------------------------------------------------------------------

static void bug_30_broken_tls_handshakes_end_at_once(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    uint8_t bad[HELLO_BYTES];
    start(secure_kit_server(), PATIENT);
    memcpy(bad, bytes, len);
    bad[2] = 9; // the version of the record
    bad[5] = 2; // a ServerHello
    expect_refused(dial(), bad, len, "err=TLS");
    memcpy(bad, bytes, len);
    bad[3] = bad[4] = 0xff; // a record of 64 KB
    expect_refused(dial(), bad, len, "err=TLS");
    memcpy(bad, bytes, len);
    memset(bad + 60, 0xff, len - 60);
    expect_refused(dial(), bad, len, "err=TLS");
    expect_refused(dial(), "\x16\x03\x01\0\x04\x0e\0\0\0", 9, "err=TLS"); // not a hello
    struct cv_worker_stats stats = kit_stats(&kit);
    assert_int_equal(stats.tls_failed, 4);
    assert_int_equal(stats.secured, 0);
    stop();
}

// Anybody can make them by the thousand: one is told, and all are counted.
static void bug_30_failed_tls_handshakes_do_not_fill_the_log(void **state)
{
    (void)state;
    static const char no_hello[] = "\x16\x03\x01\0\x04\x0e\0\0";
    start(secure_kit_server(), PATIENT);
    for (int i = 0; i < 20; i++) {
        struct wire wire = dial();
        wire_put(&wire, no_hello, sizeof no_hello);
        assert_true(kit_until(&kit, wire_is_closed, &wire));
        wire_hang_up(&wire);
        assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    }
    expect_logged("err=TLS", " info ");
    expect_silence();
    assert_int_equal(kit_stats(&kit).tls_failed, 20);
    kit.workers[0]->tls_failure_us = cv_loop_now_us(kit.workers[0]->loop); // it is over
    expect_refused(dial(), no_hello, sizeof no_hello, "err=TLS");
    stop();
}

// Who leaves in the middle is no news.
static void ends_in_the_handshake_are_not_worth_a_line(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    start(secure_kit_server(), PATIENT);
    for (size_t cut = 2; cut <= len; cut += 50) {
        struct wire wire = dial();
        wire_put(&wire, bytes, cut);
        kit_turn(&kit);
        kit_turn(&kit);
        wire_hang_up(&wire);
        assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    }
    expect_silence();
    stop();
}

static void wait_ms(uint64_t ms)
{
    uint64_t end_us = cv_clock_now_us() + ms * 1000;
    while (cv_clock_now_us() < end_us)
        kit_turn(&kit);
}

// One limit holds for TLS and what is inside together.
static void bug_30_slow_tls_handshakes_have_one_limit(void **state)
{
    (void)state;
    uint8_t bytes[HELLO_BYTES];
    size_t len = hello(bytes);
    start(secure_kit_server(), IMPATIENT);
    uint64_t begin_us = cv_clock_now_us();
    struct wire wire[] = {dial(), dial(), dial(), dial_tls(&kit.addrs[0]), dial_tls(&kit.addrs[0])};
    enum { WIRES = sizeof wire / sizeof wire[0], HALF = 20 };
    wire_put(&wire[0], bytes, 2);
    wire_put(&wire[1], bytes, len); // and never the rest
    for (size_t at = 0; at < HALF; at++) {
        wire_put(&wire[2], bytes + at, 1);
        wait_ms(25);
    }
    wire_put(&wire[3], "\x03", 1);
    for (size_t at = HALF; !wire_is_closed(&wire[2]) && at < len; at++) {
        wire_put(&wire[2], bytes + at, 1);
        wire_put(&wire[3], "\0", 1); // goes on with C1
        wait_ms(25);
    }
    for (int i = 0; i < WIRES; i++) { // the last one has said nothing in its TLS
        assert_true(kit_until(&kit, wire_is_closed, &wire[i]));
        wire_hang_up(&wire[i]);
    }
    uint64_t took_ms = (cv_clock_now_us() - begin_us) / 1000;
    if (took_ms < 900 || took_ms > 5000)
        fail_msg("it took %lu ms", (unsigned long)took_ms);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    stop();
}

// ---- memory -----------------------------------------------------------------------------------

static bool secure_with_failing_memory(void *arg)
{
    (void)arg;
    struct wire wire = dial_tls(&kit.addrs[0]);
    wire_put_text(&wire, GET);
    assert_true(kit_until(&kit, wire_has_answer, &wire));
    bool answered = !wire.closed && strncmp(wire.got, "HTTP/1.1 200", 12) == 0;
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    return answered;
}

static void bug_24_every_allocation_of_a_secure_entry_fails_once(void **state)
{
    (void)state;
    start(secure_kit_server(), "");
    cv_log_set_level(CV_LOG_ERROR);
    fail_nth(secure_with_failing_memory, NULL);
    stop();
}

static void end_of_all(void **state)
{
    (void)state;
    secure_kit_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_takes_it_all),
        cmocka_unit_test(without_a_certificate_there_is_no_tls),
        cmocka_unit_test(a_plain_port_takes_no_tls),
        cmocka_unit_test(a_tls_port_takes_no_plain_text),
        cmocka_unit_test(tls_inside_tls_is_refused),
        cmocka_unit_test(a_proxy_header_goes_before_tls),
        cmocka_unit_test(bug_30_broken_tls_handshakes_end_at_once),
        cmocka_unit_test(bug_30_failed_tls_handshakes_do_not_fill_the_log),
        cmocka_unit_test(ends_in_the_handshake_are_not_worth_a_line),
        cmocka_unit_test(bug_30_slow_tls_handshakes_have_one_limit),
        cmocka_unit_test(bug_24_every_allocation_of_a_secure_entry_fails_once),
        cmocka_unit_test(end_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
