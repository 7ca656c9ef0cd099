// Channels over real sockets, each test plain and inside TLS: order, back-pressure, ends, and
// callbacks that take the channel away.
#include "harness.h"
#include "secure_kit.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/channel.h"
#include "io/clock.h"
#include "io/socket.h"

#include <poll.h>
#include <unistd.h>

enum { ROOM_BYTES = 3000, GOT_MAX = 1 << 22, WAIT_S = 20 };

// A thread's share: a loop with its room.
struct shore {
    struct cv_channel_room room;
    uint8_t read_buffer[ROOM_BYTES];
};

enum act { NOTHING, CLOSE, CUT, PAUSE, DETACH, SECURE, TAKE };

// A channel with its user, on the heap, so that memory checkers see a use behind its end.
struct end {
    struct cv_channel channel;
    struct shore *shore;
    enum act on_bytes, on_room, on_secured, on_ended;
    struct cv_channel_ends ends; // of DETACH
    uint8_t *got;
    size_t got_len;
    size_t to_send;
    size_t sent;
    unsigned calls; // of bytes
    unsigned rooms;
    unsigned secured;
    unsigned ended;
    unsigned others; // calls of bytes behind TAKE
    int code;        // of the last end
    int write_code;  // of the last write that failed
    struct cv_why why;
    struct end **place; // NULL there when it is gone
};

static struct shore shores[2];
static bool secure; // the channels of this run

static void shore_init(struct shore *shore)
{
    shore->room = (struct cv_channel_room){
        .loop = cv_loop_new(),
        .tls = cv_tls_room_new(),
        .read_buffer = shore->read_buffer,
        .read_bytes = ROOM_BYTES,
    };
    assert_true(shore->room.loop && shore->room.tls);
}

static void shore_done(struct shore *shore)
{
    cv_loop_free(shore->room.loop);
    cv_tls_room_free(shore->room.tls);
}

static int set_up(void **state)
{
    (void)state;
    shore_init(&shores[0]);
    shore_init(&shores[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shore_done(&shores[0]);
    shore_done(&shores[1]);
    return 0;
}

static void turn(void)
{
    cv_loop_run_once(shores[0].room.loop);
    cv_loop_run_once(shores[1].room.loop);
}

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t deadline_us = cv_clock_now_us() + WAIT_S * UINT64_C(1000000);                     \
        while (!(condition)) {                                                                     \
            turn();                                                                                \
            if (cv_clock_now_us() > deadline_us)                                                   \
                fail_msg("never: %s", #condition);                                                 \
        }                                                                                          \
    } while (0)

// Turns in which whatever can happen does: timers of 0 are done by the next millisecond.
static void let_pass(unsigned ms)
{
    for (uint64_t end_us = cv_clock_now_us() + ms * 1000; cv_clock_now_us() < end_us;)
        turn();
}

// ---- the user ---------------------------------------------------------------------------------

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

static void on_gone(void *arg)
{
    struct end *end = arg;
    *end->place = NULL;
    free(end->got);
    free(end);
}

static const struct cv_channel_user other_user;

static void act(struct end *end, enum act what, const uint8_t *data, size_t len)
{
    switch (what) {
    case NOTHING:
        return;
    case CLOSE:
    case CUT:
        cv_channel_close(&end->channel, what == CUT, on_gone, end);
        assert_int_equal(end->channel.fd, -1);
        return;
    case PAUSE:
        cv_channel_want(&end->channel, false, end->channel.writes);
        return;
    case DETACH:
        end->ends = cv_channel_detach(&end->channel, NULL, NULL);
        return;
    case SECURE:
        end->on_bytes = NOTHING;
        end->got_len = 0;
        assert_int_equal(cv_channel_accept(&end->channel, secure_kit_server(), data, len), 0);
        assert_true(cv_channel_is_secure(&end->channel));
        return;
    case TAKE:
        cv_channel_set_user(&end->channel, &other_user, end);
        return;
    }
}

static void keep(struct end *end, const uint8_t *data, size_t len)
{
    assert_true(end->got_len + len <= GOT_MAX);
    memcpy(end->got + end->got_len, data, len);
    end->got_len += len;
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct end *end = arg;
    assert_true(len > 0 && len <= ROOM_BYTES);
    keep(end, data, len);
    end->calls++;
    act(end, end->on_bytes, data, len);
}

static void on_other_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct end *end = arg;
    keep(end, data, len);
    end->others++;
}

// Vectors of all sizes, from where it is: 200 KB at most.
static void fill(struct cv_gather *gather, size_t at, size_t end)
{
    static uint8_t bytes[200000];
    size_t len = 0;
    cv_gather_clear(gather);
    while (at + len < end && len < sizeof bytes) {
        size_t part = 1 + (at + len) % 5003;
        if (part > end - at - len)
            part = end - at - len;
        if (part > sizeof bytes - len)
            part = sizeof bytes - len;
        for (size_t i = 0; i < part; i++)
            bytes[len + i] = pattern(at + len + i);
        if (!cv_gather_borrow(gather, bytes + len, part))
            return;
        len += part;
    }
}

// Writes what it takes; the rest when there is room.
static void push(struct end *end)
{
    static struct cv_gather gather;
    int sent = 0;
    while (sent >= 0 && end->sent < end->to_send) {
        fill(&gather, end->sent, end->to_send);
        sent = cv_channel_write(&end->channel, &gather);
        if (sent > 0)
            end->sent += (size_t)sent;
    }
    if (sent < 0 && sent != CV_E_AGAIN)
        end->write_code = sent;
    cv_channel_want(&end->channel, end->channel.reads, sent == CV_E_AGAIN);
}

static void say(struct end *end, size_t len)
{
    end->to_send += len;
    push(end);
}

static void on_room(void *arg)
{
    struct end *end = arg;
    end->rooms++;
    if (end->on_room != NOTHING)
        act(end, end->on_room, NULL, 0);
    else
        push(end);
}

static void on_secured(void *arg)
{
    struct end *end = arg;
    end->secured++;
    assert_non_null(cv_channel_tls(&end->channel));
    act(end, end->on_secured, NULL, 0);
}

static void on_ended(void *arg, int code)
{
    struct end *end = arg;
    end->ended++;
    end->code = code;
    end->why = *cv_channel_why(&end->channel);
    act(end, end->on_ended, NULL, 0);
}

static const struct cv_channel_user user = {
    .bytes = on_bytes,
    .room = on_room,
    .secured = on_secured,
    .ended = on_ended,
};

static const struct cv_channel_user other_user = {
    .bytes = on_other_bytes,
    .room = on_room,
    .secured = on_secured,
    .ended = on_ended,
};

// ---- two ends ---------------------------------------------------------------------------------

static struct end *client, *server;

static struct end *end_new(struct shore *shore, struct end **place)
{
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    end->got = malloc(GOT_MAX);
    assert_non_null(end->got);
    end->shore = shore;
    end->place = place;
    *place = end;
    return end;
}

static struct end *end_open(struct shore *shore, int fd, struct end **place)
{
    struct end *end = end_new(shore, place);
    assert_int_equal(cv_channel_open(&end->channel, &shore->room, fd, &user, end), 0);
    return end;
}

// Buffers so small that everything is written in pieces.
static bool large; // but for tests of what is there at once

static void open_raw(void)
{
    int fds[2];
    assert_int_equal(cv_socket_pair(fds), 0);
    for (int i = 0; i < 2 && !large; i++)
        cv_socket_set_send_buffer(fds[i], 4096);
    end_open(&shores[0], fds[0], &client);
    end_open(&shores[1], fds[1], &server);
}

// The server finds out by the first bytes that they are TLS.
static void begin_tls(void)
{
    server->on_bytes = SECURE;
    assert_int_equal(cv_channel_connect(&client->channel, secure_kit_trust(), "localhost"), 0);
}

static void open_both(void)
{
    open_raw();
    if (!secure)
        return;
    begin_tls();
    UNTIL(client->secured && server->secured);
    server->calls = 0;
    assert_int_equal(server->got_len, 0);
}

static void end_close(struct end *end)
{
    if (!end)
        return;
    if (end->channel.fd >= 0)
        cv_channel_close(&end->channel, false, on_gone, end);
    else
        on_gone(end);
}

static void close_both(void)
{
    end_close(client);
    end_close(server);
    turn();
    turn();
    assert_null(client);
    assert_null(server);
}

static void expect_got(const struct end *end, size_t len)
{
    assert_int_equal(end->got_len, len);
    for (size_t i = 0; i < len; i++) {
        if (end->got[i] != pattern(i))
            fail_msg("byte %zu of %zu is wrong", i, len);
    }
}

static void both_ways(void (*test)(void))
{
    for (int i = 0; i < 2; i++) {
        secure = i;
        test();
    }
}

// ---- bytes ------------------------------------------------------------------------------------

static void run_order(void)
{
    enum { BYTES = 700001 };
    open_both();
    say(client, BYTES);
    say(server, BYTES / 2);
    UNTIL(server->got_len == BYTES && client->got_len == BYTES / 2);
    UNTIL(client->sent == BYTES && server->sent == BYTES / 2);
    expect_got(server, BYTES);
    expect_got(client, BYTES / 2);
    assert_true(client->rooms > 0);
    assert_false(client->channel.writes);
    unsigned rooms = client->rooms;
    let_pass(5);
    assert_int_equal(client->rooms, rooms); // nobody asked for it
    close_both();
}

static void bytes_come_in_order_through_small_buffers(void **state)
{
    (void)state;
    both_ways(run_order);
}

static void run_share(void)
{
    enum { BYTES = 30 * ROOM_BYTES };
    unsigned most = 0;
    large = true;
    open_both();
    say(client, BYTES);
    while (server->got_len < BYTES) {
        unsigned calls = server->calls;
        cv_loop_run_once(shores[1].room.loop);
        calls = server->calls - calls;
        most = calls > most ? calls : most;
        cv_loop_run_once(shores[0].room.loop);
    }
    assert_true(most >= 4 && most <= 8); // the socket's four, and perhaps the timer's
    expect_got(server, BYTES);
    close_both();
    large = false;
}

static void nobody_gets_more_than_a_share_of_a_turn(void **state)
{
    (void)state;
    both_ways(run_share);
}

// What has come before the pause comes after it, though the socket has nothing to tell any more.
static void run_pause(void)
{
    enum { BYTES = 10000 };
    open_both();
    server->on_bytes = PAUSE;
    say(client, BYTES);
    UNTIL(server->calls == 1);
    let_pass(5);
    assert_int_equal(server->calls, 1);
    cv_channel_want(&server->channel, true, false);
    cv_channel_want(&server->channel, false, false);
    let_pass(5);
    assert_int_equal(server->calls, 1);
    cv_channel_want(&server->channel, true, false);
    UNTIL(server->calls == 2);
    let_pass(5);
    assert_int_equal(server->calls, 2);
    server->on_bytes = NOTHING;
    cv_channel_want(&server->channel, true, false);
    UNTIL(server->got_len == BYTES);
    expect_got(server, BYTES);
    server->on_bytes = PAUSE;
    say(client, BYTES);
    UNTIL(server->got_len > BYTES);
    cv_channel_want(&server->channel, true, false);
    end_close(server); // while more is promised
    let_pass(5);
    close_both();
}

static void reading_that_paused_goes_on(void **state)
{
    (void)state;
    both_ways(run_pause);
}

static void run_unasked(void)
{
    open_both();
    say(server, 300000);
    assert_true(server->sent < 300000);
    size_t said = server->sent;
    cv_channel_want(&server->channel, true, false);
    UNTIL(client->got_len >= said);
    let_pass(5);
    assert_int_equal(server->sent, said);
    assert_true(client->got_len <= said + 1); // at most the byte that is held back
    expect_got(client, client->got_len);
    push(server);
    UNTIL(client->got_len == 300000);
    expect_got(client, 300000);
    close_both();
}

// What was said to be sent leaves, also when nobody wants to write any more.
static void what_was_taken_leaves_by_itself(void **state)
{
    (void)state;
    both_ways(run_unasked);
}

// ---- ends -------------------------------------------------------------------------------------

static void run_half(void)
{
    open_both();
    say(client, 5000);
    cv_channel_shutdown(&client->channel);
    UNTIL(server->ended);
    assert_int_equal(server->code, CV_E_CLOSED);
    assert_int_equal(server->why.code, CV_OK);
    expect_got(server, 5000);
    let_pass(5);
    assert_int_equal(server->ended, 1);
    struct pollfd idle = {.fd = cv_loop_fd(shores[1].room.loop), .events = POLLIN};
    assert_int_equal(poll(&idle, 1, 0), 0); // and the loop sleeps
    say(server, 200000);                    // what it may be sent, it is still
    UNTIL(client->got_len == 200000);
    expect_got(client, 200000);
    assert_int_equal(server->ended, 1);
    cv_channel_want(&server->channel, true, false);
    UNTIL(server->ended == 2); // who wants to read is told again
    assert_int_equal(server->code, CV_E_CLOSED);
    end_close(server);
    UNTIL(client->ended);
    assert_int_equal(client->code, CV_E_CLOSED);
    close_both();
}

static void half_of_a_channel_may_end(void **state)
{
    (void)state;
    both_ways(run_half);
}

// What came before is read still, and nothing is sent.
static void run_deaf(void)
{
    open_both();
    cv_channel_want(&server->channel, false, false);
    say(client, 2000);
    end_close(client);
    turn();
    say(server, 10);
    assert_int_equal(server->write_code, CV_E_RESET);
    cv_channel_want(&server->channel, false, true);
    server->write_code = 0;
    UNTIL(server->write_code == CV_E_RESET); // whoever waits for room is told
    cv_channel_want(&server->channel, true, false);
    UNTIL(server->ended);
    expect_got(server, 2000);
    assert_int_equal(server->code, CV_E_CLOSED);
    close_both();
}

static void a_peer_that_has_gone_is_heard_still(void **state)
{
    (void)state;
    both_ways(run_deaf);
}

static void run_close(void)
{
    open_both();
    end_close(client);
    UNTIL(server->ended);
    assert_int_equal(server->code, CV_E_CLOSED);
    close_both();
}

static void a_close_is_an_orderly_end(void **state)
{
    (void)state;
    both_ways(run_close);
}

// An end that the peer has not said inside TLS is not the peer's.
static void an_end_by_somebody_else_is_a_reset(void **state)
{
    (void)state;
    secure = true;
    open_both();
    struct cv_channel_ends ends = cv_channel_detach(&client->channel, on_gone, client);
    cv_channel_ends_free(&ends);
    UNTIL(server->ended);
    assert_int_equal(server->code, CV_E_RESET);
    assert_int_equal(server->why.code, CV_E_RESET);
    say(server, 10);
    assert_int_equal(server->write_code, CV_E_RESET);
    let_pass(5);
    assert_int_equal(server->ended, 1);
    server->write_code = 0;
    cv_channel_want(&server->channel, true, true);
    UNTIL(server->ended == 2 && server->write_code == CV_E_RESET);
    close_both();
}

static void a_broken_record_ends_it(void **state)
{
    (void)state;
    static const uint8_t record[] = "\x17\x03\x03\0\x20 this is not what was encrypted.";
    secure = true;
    open_both();
    assert_int_equal(write(client->channel.fd, record, sizeof record - 1), sizeof record - 1);
    UNTIL(server->ended);
    assert_int_equal(server->code, CV_E_TLS);
    assert_int_equal(server->why.code, CV_E_TLS);
    assert_true(strlen(server->why.text) > 0);
    close_both();
}

static void prefetch_all(const struct cv_channel *channel)
{
    for (unsigned step = 0; step < 4; step++)
        cv_channel_prefetch(channel, step);
}

// Whatever it is doing, and behind its end, while its memory is there.
static void run_hints(void)
{
    open_both();
    prefetch_all(&server->channel);
    say(client, 10);
    UNTIL(server->got_len == 10);
    prefetch_all(&server->channel);
    say(server, 10);
    UNTIL(client->got_len == 10);
    cv_channel_close(&server->channel, false, on_gone, server);
    prefetch_all(&server->channel);
    UNTIL(!server);
    close_both();
}

static void hints_may_be_given_at_any_time(void **state)
{
    (void)state;
    both_ways(run_hints);
}

static void cut_channels_are_reset(void **state)
{
    (void)state;
    struct cv_why why = {0};
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int listener;
    assert_int_equal(cv_socket_listen(&addr, &listener, 1, &why), 0);
    assert_int_equal(cv_socket_local(listener, &addr), 0);
    int fd = cv_socket_connect(&addr);
    int accepted;
    while ((accepted = cv_socket_accept(listener, NULL)) == CV_E_AGAIN)
        poll(NULL, 0, 1);
    end_open(&shores[0], fd, &client);
    end_open(&shores[1], accepted, &server);
    server->on_bytes = CUT;
    say(client, 10);
    UNTIL(client->ended);
    assert_null(server);
    assert_int_equal(client->code, CV_E_RESET);
    cv_socket_close(&listener);
    close_both();
}

// ---- the handshake ----------------------------------------------------------------------------

static void a_failed_handshake_says_why(void **state)
{
    (void)state;
    open_raw();
    end_close(client);
    server->on_bytes = SECURE;
    turn();
    UNTIL(server->ended);
    close_both();
    // no TLS at all
    open_raw();
    server->on_bytes = SECURE;
    say(client, 200);
    UNTIL(server->ended);
    assert_int_equal(server->code, CV_E_NOT_TLS);
    assert_int_equal(server->why.code, CV_E_NOT_TLS);
    assert_true(strlen(server->why.text) > 0);
    assert_null(cv_channel_tls(&server->channel));
    assert_true(cv_channel_is_secure(&server->channel));
    assert_int_equal(server->secured, 0);
    say(server, 1);
    assert_int_equal(server->write_code, CV_E_NOT_TLS);
    let_pass(5);
    assert_int_equal(server->ended, 1);
    close_both();
}

static void a_client_that_trusts_nobody_says_so(void **state)
{
    (void)state;
    open_raw();
    server->on_bytes = SECURE;
    assert_int_equal(cv_channel_connect(&client->channel, secure_kit_trust(), "elsewhere"), 0);
    UNTIL(client->ended && server->ended);
    assert_int_equal(client->code, CV_E_CERT_NAME);
    assert_int_equal(server->code, CV_E_TLS_ALERT);
    assert_true(strlen(client->why.text) > 0 && strlen(server->why.text) > 0);
    close_both();
}

// Wanted by nobody, written before its time, and the answer rides on the last flight.
static void a_handshake_asks_nobody(void **state)
{
    (void)state;
    open_raw();
    begin_tls();
    cv_channel_want(&client->channel, false, false);
    say(client, 7000);
    assert_int_equal(client->sent, 0);
    cv_loop_run_once(shores[0].room.loop);
    cv_loop_run_once(shores[1].room.loop);
    struct pollfd answer = {.fd = client->channel.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 0), 1); // in the same turn in which the hello came
    UNTIL(client->secured && server->secured);
    UNTIL(server->got_len == 7000);
    expect_got(server, 7000);
    close_both();
}

struct relay {
    int from, to;
    size_t passed;
};

// Byte by byte, as the slowest of networks.
static void relay_step(struct relay *relay)
{
    uint8_t byte;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    if (cv_socket_read(relay->from, &byte, 1) == 1) {
        assert_int_equal(cv_socket_write(relay->to, &vector, 1), 1);
        relay->passed++;
    }
}

static void a_handshake_may_come_byte_by_byte(void **state)
{
    (void)state;
    int near[2];
    int far[2];
    assert_int_equal(cv_socket_pair(near), 0);
    assert_int_equal(cv_socket_pair(far), 0);
    end_open(&shores[0], near[0], &client);
    end_open(&shores[1], far[1], &server);
    struct relay up = {.from = near[1], .to = far[0]};
    struct relay down = {.from = far[0], .to = near[1]};
    begin_tls();
    say(client, 100);
    for (unsigned i = 0; i < 100000 && server->got_len < 100; i++) {
        relay_step(&up);
        relay_step(&down);
        turn();
    }
    expect_got(server, 100);
    assert_true(up.passed > 200 && down.passed > 500);
    close_both();
    cv_socket_close(&near[1]);
    cv_socket_close(&far[0]);
}

// ---- callbacks that take it away --------------------------------------------------------------

static void run_close_inside(void)
{
    for (enum act how = CLOSE; how <= CUT; how++) {
        open_both();
        server->on_bytes = how;
        say(client, 50000);
        UNTIL(!server);
        close_both();
        open_both();
        server->on_room = how;
        say(client, 5000); // it is readable, too
        cv_channel_want(&server->channel, true, true);
        UNTIL(!server);
        close_both();
        open_both();
        server->on_ended = how;
        end_close(client);
        UNTIL(!server);
        close_both();
    }
}

static void a_channel_may_be_closed_in_any_callback(void **state)
{
    (void)state;
    both_ways(run_close_inside);
    for (enum act how = CLOSE; how <= CUT; how++) {
        open_raw();
        begin_tls();
        server->on_secured = how;
        say(client, 500);
        UNTIL(!server);
        close_both();
        open_raw();
        server->on_bytes = SECURE;
        server->on_ended = how;
        say(client, 500); // no TLS
        UNTIL(!server);
        close_both();
    }
}

static void run_take(void)
{
    open_both();
    server->on_bytes = TAKE;
    say(client, 50000);
    UNTIL(server->got_len == 50000);
    expect_got(server, 50000);
    assert_int_equal(server->calls, 1);
    assert_true(server->others > 1);
    close_both();
}

static void a_channel_may_get_another_user(void **state)
{
    (void)state;
    both_ways(run_take);
}

// ---- from loop to loop ------------------------------------------------------------------------

// The server goes to the client's loop, with what has come and was not read, and what is to leave.
static void run_move(void)
{
    enum { UP = 9000, DOWN = 300000 };
    open_both();
    say(server, DOWN);
    assert_true(server->sent < DOWN);
    server->on_bytes = DETACH;
    say(client, UP);
    UNTIL(server->calls == 1);
    assert_int_equal(server->channel.fd, -1);
    assert_int_equal(server->ends.tls != NULL, secure);
    let_pass(3);
    assert_int_equal(server->calls, 1);
    struct end *old = server;
    struct end *moved = end_new(&shores[0], &server);
    struct cv_channel_room *room = &shores[0].room;
    assert_int_equal(cv_channel_attach(&moved->channel, room, &old->ends, &user, moved), 0);
    assert_int_equal(moved->secured, 0);
    assert_int_equal(cv_channel_tls(&moved->channel) != NULL, secure);
    keep(moved, old->got, old->got_len);
    moved->sent = old->sent;
    moved->to_send = old->to_send;
    push(moved);
    UNTIL(moved->got_len == UP && client->got_len == DOWN);
    expect_got(moved, UP);
    expect_got(client, DOWN);
    free(old->got);
    free(old);
    close_both();
}

static void a_channel_moves_with_all_that_is_on_its_way(void **state)
{
    (void)state;
    both_ways(run_move);
}

// ---- memory -----------------------------------------------------------------------------------

static bool whole_life(void *arg)
{
    (void)arg;
    int fds[2];
    bool done = false;
    assert_int_equal(cv_socket_pair(fds), 0);
    end_open(&shores[0], fds[0], &client);
    end_open(&shores[1], fds[1], &server);
    client->to_send = 4000;
    int err = cv_channel_connect(&client->channel, secure_kit_trust(), "localhost");
    if (err == CV_OK)
        err = cv_channel_accept(&server->channel, secure_kit_server(), NULL, 0);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    cv_channel_want(&client->channel, true, true);
    while (err == CV_OK && !client->ended && !server->ended && server->got_len < 4000)
        turn();
    if (err == CV_OK && server->got_len == 4000) {
        struct cv_channel_ends ends = cv_channel_detach(&server->channel, on_gone, server);
        turn();
        struct end *moved = end_new(&shores[0], &server);
        struct cv_channel_room *room = &shores[0].room;
        err = cv_channel_attach(&moved->channel, room, &ends, &user, moved);
        if (err == CV_OK)
            say(moved, 100);
        else
            cv_channel_ends_free(&ends);
        moved->channel.fd = err == CV_OK ? moved->channel.fd : -1;
        while (err == CV_OK && !client->ended && client->got_len < 100)
            turn();
        done = client->got_len == 100;
    }
    close_both();
    return done;
}

static void bug_24_every_allocation_fails_once(void **state)
{
    (void)state;
    secure_kit_server();
    fail_nth(whole_life, NULL);
}

static void end_of_all(void **state)
{
    (void)state;
    secure_kit_done();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_come_in_order_through_small_buffers),
        TEST(nobody_gets_more_than_a_share_of_a_turn),
        TEST(reading_that_paused_goes_on),
        TEST(what_was_taken_leaves_by_itself),
        TEST(half_of_a_channel_may_end),
        TEST(a_peer_that_has_gone_is_heard_still),
        TEST(a_close_is_an_orderly_end),
        TEST(an_end_by_somebody_else_is_a_reset),
        TEST(a_broken_record_ends_it),
        TEST(hints_may_be_given_at_any_time),
        TEST(cut_channels_are_reset),
        TEST(a_failed_handshake_says_why),
        TEST(a_client_that_trusts_nobody_says_so),
        TEST(a_handshake_asks_nobody),
        TEST(a_handshake_may_come_byte_by_byte),
        TEST(a_channel_may_be_closed_in_any_callback),
        TEST(a_channel_may_get_another_user),
        TEST(a_channel_moves_with_all_that_is_on_its_way),
        TEST(bug_24_every_allocation_fails_once),
        cmocka_unit_test(end_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
