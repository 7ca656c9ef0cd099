// The way to the site's own web server, driven by hand: every allocation on it fails once, the
// client or the site leaves at every moment, and nothing leaks or outlives its end.
#include "server_kit.h"

#include "base/mem.h"
#include "io/socket.h"
#include "server/log.h"

#include <fcntl.h>
#include <stdio.h>

static struct kit kit;
static int listener;   // the site's
static uint16_t port;  // its
static uint64_t left;  // allocations until one fails; 0: none
static char got[4096]; // what the client has been sent

// One exchange, as both ends see it.
struct journey {
    const char *request;
    const char *more;   // of the request, later
    const char *answer; // of the site
    const char *again;  // more of it
    const char *end;    // the client's text ends in this, if nothing failed
    bool closes;        // the site's connection, behind its answer
};

#define HEAD "HTTP/1.1\r\nHost: a\r\n"

static const struct journey journeys[] = {
    {"GET /1 " HEAD "\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "llo", "hello",
     false},
    {"GET /2 " HEAD "\r\n", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
     "0\r\n\r\n", "\r\n0\r\n\r\n", false},
    {"GET /3 " HEAD "\r\n", "", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\nhe", "llo",
     "\r\n0\r\n\r\n", true},
    {"POST /4 " HEAD "Content-Length: 6\r\n\r\nabc", "def", "HTTP/1.1 204 No Content\r\n\r\n", "",
     "204 No Content\r\n\r\n", false},
    {"POST /5 " HEAD "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
     "3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "",
     "Content-Length: 0\r\n\r\n", false},
    {"GET /6 " HEAD "Connection: Upgrade\r\nUpgrade: x\r\n\r\n", "ping",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello", "pong",
     "pong", true},
    {"GET /7 " HEAD "\r\nGET /8 " HEAD "\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", "\r\n\r\ny", false},
};

enum { JOURNEYS = sizeof journeys / sizeof journeys[0], MOMENTS = 6 };

// Turns of the server, with the failure still to come.
static void turns(void)
{
    if (left)
        cv_mem_fail_nth(left);
    for (int i = 0; i < 12; i++)
        kit_turn(&kit);
    left = left ? cv_mem_fail_nth(0) : 0;
}

static void send_text(int fd, const char *text)
{
    const struct iovec vector = {(void *)(uintptr_t)text, strlen(text)};
    if (fd >= 0 && vector.iov_len)
        (void)cv_socket_write(fd, &vector, 1);
    turns();
}

static void read_all(int fd, char *text, size_t size)
{
    uint8_t bytes[2048];
    int len;
    while (fd >= 0 && (len = cv_socket_read(fd, bytes, sizeof bytes)) > 0) {
        char piece[2049];
        snprintf(piece, sizeof piece, "%.*s", len, (const char *)bytes);
        append_text(text, size, piece);
    }
}

static int dial(void)
{
    int fd = kit_dial(&kit, 0);
    assert_true(fd >= 0);
    turns();
    return fd;
}

// The connection on which the site has heard something new; -1: none.
static int site_connection(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[4096] = "";
        if (fds[i] < 0)
            fds[i] = cv_socket_accept(listener, NULL);
        read_all(fds[i], text, sizeof text);
        const char *says = kit_tls ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n";
        assert_true(!strstr(text, "X-Forwarded-Proto") || strstr(text, says));
        if (text[0])
            return fds[i];
    }
    return -1;
}

// Walks through it; `leaves` is the moment at which somebody goes: 0 is nobody. Client when it is
// odd, the site when it is even.
static void travel(const struct journey *journey, unsigned leaves)
{
    int fds[3] = {-1, -1, -1};
    int client = dial();
    int site = -1;
    got[0] = '\0';
    for (unsigned moment = 1; moment <= MOMENTS; moment++) {
        int news = site_connection(fds, 3);
        site = news >= 0 ? news : site;
        if (moment == 1)
            send_text(client, journey->request);
        else if (moment == 2)
            send_text(client, journey->more);
        else if (moment == 3)
            send_text(site, journey->answer);
        else if (moment == 4)
            send_text(site, journey->again);
        else if (moment == 5 && journey->closes && site >= 0)
            cv_socket_shutdown(site);
        turns();
        read_all(client, got, sizeof got);
        if (leaves == moment && moment % 2)
            cv_socket_close(&client);
        else if (leaves == moment && site >= 0)
            cv_socket_shutdown(site);
        turns();
    }
    cv_socket_close(&client);
    for (unsigned i = 0; i < 3; i++)
        cv_socket_close(&fds[i]);
    turns();
    turns();
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static bool is_quiet(void *arg)
{
    (void)arg;
    return !kit.workers[0]->webs && !kit.workers[0]->sockets;
}

static void start(void)
{
    char yaml[128];
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    struct cv_why why = {0};
    assert_int_equal(cv_socket_listen(&addr, &listener, 1, &why), CV_OK);
    assert_int_equal(cv_socket_local(listener, &addr), CV_OK);
    port = addr.port;
    snprintf(yaml, sizeof yaml, "log_level: error\nsite: http://127.0.0.1:%u\n", port);
    kit_start(&kit, 1, false, yaml);
}

static void stop(void)
{
    kit_stop(&kit);
    cv_socket_close(&listener);
}

// Without failures the journeys arrive: otherwise the tests below would test nothing.
static void journeys_arrive(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < JOURNEYS; i++) {
        travel(&journeys[i], 0);
        if (!ends_with(got, journeys[i].end))
            fail_msg("journey %u: %s", i, got);
        assert_true(kit_until(&kit, is_quiet, NULL));
    }
    stop();
}

static void bug_24_somebody_leaves_at_every_moment(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < JOURNEYS; i++) {
        for (unsigned leaves = 1; leaves <= MOMENTS; leaves++) {
            travel(&journeys[i], leaves);
            assert_true(kit_until(&kit, is_quiet, NULL));
        }
    }
    stop();
}

static void bug_24_every_allocation_on_the_way_to_the_site_fails_once(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < JOURNEYS; i++) {
        uint64_t n = 0;
        do {
            assert_true(++n < 1000);
            left = n;
            travel(&journeys[i], 0);
            assert_true(kit_until(&kit, is_quiet, NULL));
        } while (left == 0);
        left = 0;
        assert_true(n > 10);
    }
    travel(&journeys[0], 0);
    assert_true(ends_with(got, journeys[0].end));
    stop();
}

// The worker ends in the middle of everything.
static void the_server_stops_at_every_moment(void **state)
{
    (void)state;
    for (unsigned i = 0; i < JOURNEYS; i++) {
        start();
        int client = dial();
        int fds[2] = {-1, -1};
        send_text(client, journeys[i].request);
        if (i % 2)
            send_text(site_connection(fds, 2), journeys[i].answer);
        stop();
        cv_socket_close(&client);
        cv_socket_close(&fds[0]);
        cv_socket_close(&fds[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journeys_arrive),
        cmocka_unit_test(bug_24_somebody_leaves_at_every_moment),
        cmocka_unit_test(bug_24_every_allocation_on_the_way_to_the_site_fails_once),
        cmocka_unit_test(the_server_stops_at_every_moment),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, NULL, NULL);
}
