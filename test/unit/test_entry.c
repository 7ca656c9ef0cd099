// The beginning of a connection: what it speaks, in any pieces, and whose it is when a proxy says
// so (PROXY protocol).
#include "harness.h"

#include "base/limits.h"
#include "io/clock.h"
#include "io/socket.h"
#include "server/conn.h"
#include "server_kit.h"

#include <stdlib.h>
#include <unistd.h>

enum { SENT_BYTES = 8192 };

// The time for a handshake is longer than tests wait: what must be closed is closed for its reason.
#define PATIENT "limits:\n  handshake_s: 60\n"
#define FEW     "  connections_per_address_max: 2\n"
#define TRUSTED "log_level: error\ntrusted_proxies: [127.0.0.1]\n" PATIENT
#define DOUBTED "log_level: error\ntrusted_proxies: [127.0.0.2, 10.0.0.0/8]\n" PATIENT
#define V2      "\r\n\r\n\0\r\nQUIT\n"
#define GET     "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define LINE    "PROXY TCP4 203.0.113.7 127.0.0.1 40001 80\r\n"

static const char block[] = V2 "\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\1\x9c\x41\0\x50";
static const char block6[] = V2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x9c\x41\0\x50";
static const char local[] = V2 "\x20\0\0\0";

static struct kit kit;

static void dial(struct wire *wire)
{
    *wire = wire_dial(&kit, &kit.addrs[0]);
}

// ---- what is believed -----------------------------------------------------------------------

// The peer of the only connection, once the client has got this answer to its request.
static void expect_peer(struct wire *wire, const char *answer, const char *peer)
{
    char text[CV_ADDR_TEXT_BYTES];
    assert_true(kit_until(&kit, wire_has_answer, wire));
    if (strncmp(wire->got, answer, strlen(answer)) != 0)
        fail_msg("wanted %s, got %s", answer, wire->got);
    assert_non_null(kit.workers[0]->sockets);
    cv_addr_print(&kit.workers[0]->sockets->peer, text);
    if (strncmp(text, peer, strlen(peer)) != 0)
        fail_msg("the peer is %s, not %s", text, peer);
}

static const struct {
    const char *bytes;
    size_t len;
    const char *peer;
} headers[] = {
    {LINE, sizeof LINE - 1, "203.0.113.7:40001"},
    {"PROXY TCP6 2001:db8::1 ::1 40001 80\r\n", 37, "[2001:db8::1]:40001"},
    {"PROXY UNKNOWN\r\n", 15, "127.0.0.1:"},
    {block, sizeof block - 1, "203.0.113.7:40001"},
    {block6, sizeof block6 - 1, "[2001:db8::1]:40001"},
    {local, sizeof local - 1, "127.0.0.1:"},
    {"", 0, "127.0.0.1:"}, // nobody is obliged
};
enum { HEADERS = sizeof headers / sizeof headers[0] };

static const struct {
    const char *bytes;
    size_t len;
    const char *answer;
} requests[] = {
    {GET, sizeof GET - 1, "HTTP/1.1 200"}, {"\x03", 1537, "\x03"}, // C0, C1
};

static void send_in_pieces(struct wire *wire, const char *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        wire_put(wire, data + at, len - at < piece ? len - at : piece);
        kit_turn(&kit);
    }
}

static void names_the_client(size_t header, size_t request, size_t piece)
{
    char all[SENT_BYTES] = "";
    size_t len = headers[header].len;
    memcpy(all, headers[header].bytes, len);
    memcpy(all + len, requests[request].bytes, strlen(requests[request].bytes));
    struct wire wire;
    dial(&wire);
    send_in_pieces(&wire, all, len + requests[request].len, piece);
    expect_peer(&wire, requests[request].answer, headers[header].peer);
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
}

static void a_trusted_proxy_names_the_client(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 13, 16, 28, SENT_BYTES};
    kit_start(&kit, 1, false, TRUSTED);
    for (size_t header = 0; header < HEADERS; header++) {
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
            names_the_client(header, 0, pieces[i]);
            names_the_client(header, 1, pieces[i]);
        }
    }
    kit_stop(&kit);
}

static bool somebody_on(unsigned worker)
{
    return kit.workers[worker]->sockets != NULL;
}

static void http_stays_where_it_was_accepted(void **state)
{
    (void)state;
    for (unsigned worker = 0; worker < 4; worker++) {
        struct wire wire;
        kit_start(&kit, 4, false, TRUSTED);
        wire = (struct wire){.fd = cv_socket_connect(&kit.addrs[worker])};
        wire_put(&wire, GET, strlen(GET));
        assert_true(kit_until(&kit, wire_has_answer, &wire));
        assert_true(somebody_on(worker));
        wire_hang_up(&wire);
        kit_stop(&kit);
    }
}

// ---- what is refused ------------------------------------------------------------------------

static void expect_closed(const void *data, size_t len)
{
    struct wire wire;
    dial(&wire);
    wire_put(&wire, data, len);
    assert_true(kit_until(&kit, wire_is_closed, &wire));
    assert_int_equal(wire.len, 0);
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
}

static void strangers_may_not_name_a_client(void **state)
{
    (void)state;
    kit_start(&kit, 1, false, DOUBTED);
    for (size_t i = 0; i < HEADERS; i++) {
        if (headers[i].len)
            expect_closed(headers[i].bytes, headers[i].len);
    }
    kit_stop(&kit);
}

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {LINE LINE, 2 * (sizeof LINE - 1)},                // a second one
        {"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n", 30},        //
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", 34},       //
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n" GET, 31 + 27}, // no CR
        {"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", 28},            //
        {V2 "\x21\x11\xff\xff", 16},                       // announces 64 KB
        {V2 "\x21\x11\0\4\1\2\3\4", 20},                   // no room for addresses
        {V2 "\x31\x11\0\0", 16},                           // version 3
        {V2 "\x20\0\0\0" V2 "\x20\0\0\0", 32},             // a second one
        {V2 "\x20\0\0\0" LINE, 16 + sizeof LINE - 1},      //
        {LINE "\xff", sizeof LINE},                        // what follows is nothing
    };
    char endless[200] = "PROXY ";
    memset(endless + 6, 'x', sizeof endless - 6);
    kit_start(&kit, 1, false, TRUSTED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_closed(rows[i].bytes, rows[i].len);
    expect_closed(endless, sizeof endless);
    kit_stop(&kit);
}

static void bug_30_a_slow_header_has_one_limit(void **state)
{
    (void)state;
    struct wire wire[3];
    kit_start(&kit, 1, false,
              "log_level: error\ntrusted_proxies: [127.0.0.1]\nlimits:\n  handshake_s: 1\n");
    uint64_t begin = cv_clock_now_us();
    for (int i = 0; i < 3; i++)
        dial(&wire[i]);
    wire_put(&wire[0], LINE, sizeof LINE - 1); // and nothing behind it
    wire_put(&wire[1], V2 "\x21\x11\x0f", 15);
    for (unsigned at = 0; !wire_is_closed(&wire[2]) && at < sizeof block; at++) {
        wire_put(&wire[2], block + at, 1);
        uint64_t next = cv_clock_now_us() + 100000;
        while (!wire[2].closed && cv_clock_now_us() < next)
            kit_turn(&kit);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(kit_until(&kit, wire_is_closed, &wire[i]));
        wire_hang_up(&wire[i]);
    }
    uint64_t took_ms = (cv_clock_now_us() - begin) / 1000;
    assert_true(took_ms >= 900 && took_ms < 10000);
    kit_stop(&kit);
}

// ---- caps -----------------------------------------------------------------------------------

static void open_behind_proxy(struct wire *wire, const char *client)
{
    char text[128];
    snprintf(text, sizeof text, "PROXY TCP4 %s 127.0.0.1 4000 80\r\n%s", client, GET);
    dial(wire);
    wire_put(wire, text, strlen(text));
    assert_true(kit_until(&kit, wire_has_answer, wire));
}

static void caps_count_the_client_and_not_the_proxy(void **state)
{
    (void)state;
    struct wire wire[8];
    kit_start(&kit, 1, false, TRUSTED FEW);
    for (int i = 0; i < 6; i++) {
        char client[32];
        snprintf(client, sizeof client, "203.0.113.%d", i / 2);
        open_behind_proxy(&wire[i], client);
        assert_false(wire[i].closed);
    }
    open_behind_proxy(&wire[6], "203.0.113.1");
    assert_true(wire[6].closed);
    wire_hang_up(&wire[6]);
    wire_hang_up(&wire[2]);
    do {
        open_behind_proxy(&wire[7], "203.0.113.1"); // soon there is room again
        if (wire[7].closed)
            wire_hang_up(&wire[7]);
    } while (wire[7].fd < 0);
    for (int i = 0; i < 8; i++) {
        if (wire[i].fd >= 0)
            wire_hang_up(&wire[i]);
    }
    kit_stop(&kit); // asserts that everybody has been counted out
}

static void the_cap_of_an_address_that_nobody_trusts(void **state)
{
    (void)state;
    struct wire wire[3];
    kit_start(&kit, 1, false, DOUBTED FEW);
    for (int i = 0; i < 2; i++) {
        dial(&wire[i]);
        wire_put(&wire[i], GET, strlen(GET));
        assert_true(kit_until(&kit, wire_has_answer, &wire[i]));
        assert_false(wire[i].closed);
    }
    dial(&wire[2]);
    wire_put(&wire[2], GET, strlen(GET));
    assert_true(kit_until(&kit, wire_is_closed, &wire[2]));
    for (int i = 0; i < 3; i++)
        wire_hang_up(&wire[i]);
    kit_stop(&kit);
}

// Trust that ends while connections live: they are counted out as they were counted in.
static void bug_24_a_reload_takes_trust_away(void **state)
{
    (void)state;
    struct wire wire[4];
    kit_start(&kit, 1, false, TRUSTED FEW);
    for (int i = 0; i < 3; i++) {
        dial(&wire[i]);
        wire_put(&wire[i], GET, strlen(GET));
        assert_true(kit_until(&kit, wire_has_answer, &wire[i]));
        assert_false(wire[i].closed);
    }
    kit_reload(&kit, DOUBTED FEW);
    kit_stats(&kit);
    dial(&wire[3]);
    assert_true(kit_until(&kit, wire_is_closed, &wire[3]));
    for (int i = 0; i < 4; i++)
        wire_hang_up(&wire[i]);
    kit_stop(&kit);
}

// Whose connections it has brought are not its own any more.
static void a_proxy_is_counted_out_for_its_clients(void **state)
{
    (void)state;
    struct wire wire[5];
    kit_start(&kit, 1, false, TRUSTED FEW);
    for (int i = 0; i < 3; i++) {
        char client[32];
        snprintf(client, sizeof client, "203.0.113.%d", i);
        open_behind_proxy(&wire[i], client);
    }
    kit_reload(&kit, DOUBTED FEW);
    kit_stats(&kit);
    for (int i = 3; i < 5; i++) {
        dial(&wire[i]);
        wire_put(&wire[i], GET, strlen(GET));
        assert_true(kit_until(&kit, wire_has_answer, &wire[i]));
        assert_false(wire[i].closed);
    }
    for (int i = 0; i < 5; i++)
        wire_hang_up(&wire[i]);
    kit_stop(&kit);
}

static bool header_with_failing_memory(void *arg)
{
    (void)arg;
    struct wire wire;
    dial(&wire);
    wire_put(&wire, block, 20);
    kit_turn(&kit);
    wire_put(&wire, block + 20, sizeof block - 21);
    kit_turn(&kit);
    wire_put(&wire, GET, strlen(GET));
    assert_true(kit_until(&kit, wire_has_answer, &wire));
    bool answered = !wire.closed && strncmp(wire.got, "HTTP/1.1 200", 12) == 0;
    wire_hang_up(&wire);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    return answered;
}

static void bug_24_every_allocation_behind_a_header_fails_once(void **state)
{
    (void)state;
    kit_start(&kit, 1, false, TRUSTED);
    fail_nth(header_with_failing_memory, NULL);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_proxy_names_the_client),
        cmocka_unit_test(http_stays_where_it_was_accepted),
        cmocka_unit_test(strangers_may_not_name_a_client),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(bug_30_a_slow_header_has_one_limit),
        cmocka_unit_test(caps_count_the_client_and_not_the_proxy),
        cmocka_unit_test(the_cap_of_an_address_that_nobody_trusts),
        cmocka_unit_test(a_proxy_is_counted_out_for_its_clients),
        cmocka_unit_test(bug_24_a_reload_takes_trust_away),
        cmocka_unit_test(bug_24_every_allocation_behind_a_header_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
