// A leg against a server on the same loop: plain, inside TLS, through a proxy's CONNECT, and all of
// it at once; how it fails, and when it may be closed.
#include "secure_kit.h"
#include "tls_kit.h"

#include "harness.h"

#include "client/leg.h"
#include "client/proxy.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/tls_server.h"
#include "proto/http1.h"

#include <stdio.h>

enum { GOT_MAX = 16 * 1024 * 1024, HEAD_MAX = 1024, TURNS_MAX = 200000 };

// What the server, or the proxy before it, does with its connection.
struct script {
    const char *proxy; // says so to CONNECT, and is then the server; NULL: it is no proxy
    bool secure;       // the server takes TLS; else the client gets what it says
    const char *says;  // at the first bytes; NULL: gives back what comes
    bool closes;       // at the first bytes, behind `says`
    bool resets;       // the same, by RST
    bool mute;         // says nothing at all
};

// ---- the server -------------------------------------------------------------------------------

struct far {
    struct script script;
    struct cv_channel_room room;
    struct cv_channel channel;
    bool open;
    char head[HEAD_MAX]; // of the request to the proxy
    size_t head_len;
    bool granted;
    uint8_t *waits; // to be given back
    size_t waits_len, waits_at;
    bool ended; // the client has said that nothing follows
};

static struct cv_loop *loop;
static uint8_t far_buffer[8192];
static struct far far;

static void far_close(bool cut)
{
    far.open = false;
    cv_channel_close(&far.channel, cut, NULL, NULL);
}

static void far_write(const void *data, size_t len)
{
    static struct cv_gather gather;
    cv_gather_clear(&gather);
    cv_gather_borrow(&gather, data, len);
    assert_int_equal(cv_channel_write(&far.channel, &gather), len);
}

// Gives back what waits, and its end.
static void far_push(void)
{
    static struct cv_gather gather;
    int sent = 0;
    while (sent >= 0 && far.waits_at < far.waits_len) {
        cv_gather_clear(&gather);
        cv_gather_borrow(&gather, far.waits + far.waits_at, far.waits_len - far.waits_at);
        sent = cv_channel_write(&far.channel, &gather);
        far.waits_at += sent > 0 ? (size_t)sent : 0;
    }
    bool full = far.waits_at < far.waits_len;
    cv_channel_want(&far.channel, !far.ended, full);
    if (far.ended && !full)
        far_close(false);
}

// False: nothing more is done with these bytes.
static bool far_behave(const uint8_t *data, size_t len)
{
    const struct script *script = &far.script;
    if (script->secure && !cv_channel_is_secure(&far.channel)) {
        if (cv_channel_accept(&far.channel, secure_kit_server(), data, len) != CV_OK)
            far_close(true); // no memory
        return false;
    }
    if (script->says)
        far_write(script->says, strlen(script->says));
    if (script->closes || script->resets)
        far_close(script->resets);
    return !script->mute && !script->says && far.open;
}

static void far_take_head(const uint8_t *data, size_t len)
{
    assert_true(far.head_len + len < HEAD_MAX);
    memcpy(far.head + far.head_len, data, len);
    far.head_len += len;
    if (!strstr(far.head, "\r\n\r\n"))
        return;
    far.granted = true;
    if (far.script.proxy[0])
        far_write(far.script.proxy, strlen(far.script.proxy));
    else
        far_close(false);
}

static void on_far_bytes(void *arg, const uint8_t *data, size_t len)
{
    (void)arg;
    if (far.script.proxy && !far.granted) {
        far_take_head(data, len);
        return;
    }
    if (!far_behave(data, len))
        return;
    assert_true(far.waits_len + len <= GOT_MAX);
    memcpy(far.waits + far.waits_len, data, len);
    far.waits_len += len;
    far_push();
}

static void on_far_room(void *arg)
{
    (void)arg;
    far_push();
}

static void on_far_ended(void *arg, int code)
{
    (void)arg;
    far.ended = true;
    if (code == CV_E_CLOSED)
        far_push();
    else
        far_close(false);
}

static const struct cv_channel_user far_user = {
    .bytes = on_far_bytes, .room = on_far_room, .ended = on_far_ended};

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    (void)arg, (void)peer;
    assert_false(far.open);
    far.open = true;
    assert_int_equal(cv_channel_open(&far.channel, &far.room, fd, &far_user, NULL), CV_OK);
}

// ---- the leg ----------------------------------------------------------------------------------

enum place { NOWHERE, CONNECTED, UP, BYTES, ROOM, DENIED, DOWN };

static struct near {
    struct cv_leg_room *room;
    struct cv_leg *leg;
    struct cv_listener *listener;
    struct cv_addr addr;
    struct cv_proxy proxy;
    uint32_t up_ms;
    enum place closes_at;
    char story[200]; // what was told, in a row
    uint8_t *got;
    size_t got_len;
    size_t to_send, sent;
    unsigned rooms;
    int code;
    struct cv_why why;
} near;

static void told(enum place at, const char *what)
{
    append_text(near.story, sizeof near.story, what);
    if (near.closes_at == at)
        cv_leg_close(&near.leg);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 8) * 3);
}

static void push(void)
{
    static uint8_t bytes[100000];
    struct cv_gather *gather = &near.room->gather;
    while (near.leg && cv_leg_is_up(near.leg) && !cv_leg_is_blocked(near.leg) &&
           near.sent < near.to_send) {
        size_t len = near.to_send - near.sent;
        len = len < sizeof bytes ? len : sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = pattern(near.sent + i);
        cv_gather_clear(gather);
        cv_gather_borrow(gather, bytes, len);
        int sent = cv_leg_write(near.leg, gather);
        if (sent <= 0)
            return;
        near.sent += (size_t)sent;
    }
}

static void on_connected(void *arg)
{
    assert_ptr_equal(arg, &near);
    assert_false(cv_leg_is_up(near.leg));
    told(CONNECTED, "connected ");
}

static void on_up(void *arg)
{
    assert_ptr_equal(arg, &near);
    assert_true(cv_leg_is_up(near.leg));
    assert_true(cv_leg_stats(near.leg).rtt_us > 0);
    told(UP, "up ");
    push();
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    (void)arg;
    assert_true(near.got_len + len <= GOT_MAX);
    memcpy(near.got + near.got_len, data, len);
    if (near.got_len == 0)
        told(BYTES, "bytes ");
    near.got_len += len;
}

static void on_room(void *arg)
{
    (void)arg;
    if (near.rooms++ == 0)
        told(ROOM, "");
    push();
}

static void on_denied(void *arg, const struct cv_http1_head *head)
{
    char text[40];
    (void)arg;
    snprintf(text, sizeof text, "denied:%u ", head->status);
    told(DENIED, text);
}

static void on_down(void *arg, int code)
{
    char text[40];
    (void)arg;
    near.code = code;
    near.why = *cv_leg_why(near.leg);
    snprintf(text, sizeof text, "down:%s ", cv_err_name(code));
    told(DOWN, text);
}

static const struct cv_leg_owner owner = {.connected = on_connected,
                                          .up = on_up,
                                          .bytes = on_bytes,
                                          .room = on_room,
                                          .denied = on_denied,
                                          .down = on_down};

// ---- a scene ----------------------------------------------------------------------------------

// Everything but the leg itself.
static void open_scene(const struct script *script)
{
    int fd;
    uint8_t *waits = far.waits ? far.waits : malloc(GOT_MAX);
    uint8_t *got = near.got ? near.got : malloc(GOT_MAX);
    assert_true(waits && got);
    loop = cv_loop_new();
    far = (struct far){.script = *script, .waits = waits};
    near = (struct near){.got = got, .room = malloc(sizeof *near.room)};
    assert_true(loop && near.room);
    cv_leg_room_init(near.room, loop);
    near.addr = (struct cv_addr){.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    assert_int_equal(cv_socket_listen(&near.addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &near.addr), CV_OK);
    near.listener = cv_listener_new(loop, fd, on_accept, NULL);
    far.room = (struct cv_channel_room){.loop = loop,
                                        .tls = cv_tls_room_new(),
                                        .read_buffer = far_buffer,
                                        .read_bytes = sizeof far_buffer};
    near.proxy = (struct cv_proxy){
        .host = "127.0.0.1", .port = near.addr.port, .user = "me", .password = "secret"};
}

static void dial(struct cv_tls_trust *trust, const char *host)
{
    struct cv_leg_config config = {
        .host = host,
        .port = far.script.proxy ? 4433 : near.addr.port,
        .connect = far.script.proxy ? &near.proxy : NULL,
        .trust = trust,
        .addrs = &near.addr,
        .addr_count = 1,
        .up_ms = near.up_ms,
        .owner = &owner,
        .arg = &near,
    };
    near.leg = cv_leg_open(near.room, &config);
}

static void close_scene(void)
{
    cv_leg_close(&near.leg);
    if (far.open)
        far_close(false);
    cv_listener_free(near.listener);
    cv_loop_run_once(loop);
    cv_tls_room_free(far.room.tls);
    cv_leg_room_done(near.room);
    cv_loop_free(loop);
    free(near.room);
}

static bool has_ended(void)
{
    return strstr(near.story, "down") || strstr(near.story, "denied") || !near.leg;
}

static void run_until(bool (*done)(void))
{
    for (int i = 0; !done(); i++) {
        assert_true(i < TURNS_MAX);
        cv_loop_run_once(loop);
        if (!done())
            cv_loop_sleep(loop, 100);
    }
}

static void let_pass(int turns)
{
    for (int i = 0; i < turns; i++)
        cv_loop_run_once(loop);
}

// The whole story of a leg with this server.
static void expect(const struct script *script, struct cv_tls_trust *trust, const char *host,
                   const char *story)
{
    open_scene(script);
    dial(trust, host);
    assert_non_null(near.leg);
    near.to_send = 10;
    run_until(has_ended);
    let_pass(3);
    assert_string_equal(near.story, story);
    close_scene();
}

// ---- bytes ------------------------------------------------------------------------------------

enum { MUCH = 12000017 };

static bool all_is_back(void)
{
    return near.got_len == near.to_send;
}

static void run_bytes(const struct script *script, const char *story)
{
    open_scene(script);
    dial(script->secure ? secure_kit_trust() : NULL, "localhost");
    near.to_send = MUCH;
    run_until(all_is_back);
    for (size_t i = 0; i < MUCH; i++) {
        if (near.got[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
    }
    assert_true(near.rooms > 0);
    assert_true(cv_leg_stats(near.leg).written_bytes >= MUCH);
    assert_int_equal(cv_leg_stats(near.leg).peer.port, near.addr.port);
    cv_leg_shutdown(near.leg);
    run_until(has_ended);
    assert_string_equal(near.story, story);
    assert_int_equal(near.why.code, CV_OK);
    close_scene();
}

static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";

static void bytes_go_there_and_back(void **state)
{
    (void)state;
    static const char story[] = "connected up bytes down:CLOSED ";
    run_bytes(&(struct script){.proxy = NULL}, story);
    run_bytes(&(struct script){.secure = true}, story);
    run_bytes(&(struct script){.proxy = yes}, story);
    run_bytes(&(struct script){.proxy = yes, .secure = true}, story);
}

static bool is_up(void)
{
    return near.leg && cv_leg_is_up(near.leg);
}

static void reading_can_pause(void **state)
{
    (void)state;
    for (int secure = 0; secure < 2; secure++) {
        open_scene(&(struct script){.secure = secure});
        dial(secure ? secure_kit_trust() : NULL, "localhost");
        run_until(is_up);
        cv_leg_want(near.leg, false);
        near.to_send = 1000;
        push();
        let_pass(20);
        assert_int_equal(near.got_len, 0);
        cv_leg_want(near.leg, true);
        run_until(all_is_back);
        close_scene();
    }
}

// ---- the proxy's answer -----------------------------------------------------------------------

static void the_proxy_is_asked_for_the_server(void **state)
{
    (void)state;
    static const char head[] = "CONNECT example.org:4433 HTTP/1.1\r\nHost: example.org:4433\r\n"
                               "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
    open_scene(&(struct script){.proxy = yes});
    dial(NULL, "example.org"); // nobody looks it up: its address was for somebody else
    run_until(is_up);
    assert_string_equal(far.head, head);
    close_scene();
    open_scene(&(struct script){.proxy = yes});
    dial(NULL, "fe80::1%lo");
    run_until(is_up);
    assert_non_null(strstr(far.head, "CONNECT [fe80::1]:4433 "));
    close_scene();
}

static void a_denied_connection_is_told_with_its_head(void **state)
{
    (void)state;
    struct cv_tls_trust *trusts[] = {NULL, secure_kit_trust()};
    for (int i = 0; i < 2; i++) {
        expect(&(struct script){.proxy = "HTTP/1.1 407 Proxy Authentication Required\r\n"
                                         "Content-Length: 3\r\n\r\nno."},
               trusts[i], "localhost", "denied:407 ");
        expect(&(struct script){.proxy = "HTTP/1.0 403 Forbidden\r\n\r\n"}, trusts[i], "localhost",
               "denied:403 ");
        expect(&(struct script){.proxy = "SSH-2.0-OpenSSH\r\n\r\n"}, trusts[i], "localhost",
               "down:HTTP ");
        expect(&(struct script){.proxy = ""}, trusts[i], "localhost", "down:CLOSED ");
    }
}

// RTMP lets the server speak first; TLS does not.
static void bytes_behind_the_yes_are_the_servers(void **state)
{
    (void)state;
    char answer[100] = "";
    append_text(answer, sizeof answer, yes);
    append_text(answer, sizeof answer, "early");
    open_scene(&(struct script){.proxy = answer, .mute = true});
    dial(NULL, "localhost");
    run_until(is_up);
    let_pass(3);
    assert_string_equal(near.story, "connected up bytes ");
    assert_memory_equal(near.got, "early", 5);
    close_scene();
    open_scene(&(struct script){.proxy = answer, .mute = true});
    dial(secure_kit_trust(), "localhost");
    run_until(has_ended);
    assert_string_equal(near.story, "down:NOT_TLS ");
    assert_int_equal(near.why.code, CV_E_NOT_TLS);
    assert_non_null(strstr(near.why.text, "speaks before us"));
    close_scene();
}

// ---- failures ---------------------------------------------------------------------------------

static void connections_that_fail_are_told(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct cv_tls_trust *trust = i % 2 ? secure_kit_trust() : NULL;
        open_scene(&(struct script){.proxy = i < 2 ? NULL : yes});
        cv_listener_free(near.listener);
        near.listener = NULL;
        dial(trust, "localhost");
        run_until(has_ended);
        assert_string_equal(near.story, "down:CONN_REFUSED ");
        assert_int_equal(near.why.code, CV_OK);
        close_scene();
    }
    expect(&(struct script){.closes = true}, NULL, "localhost", "connected up down:CLOSED ");
    expect(&(struct script){.resets = true}, NULL, "localhost", "connected up down:RESET ");
}

static void handshakes_that_fail_are_told_with_their_words(void **state)
{
    (void)state;
    static const struct {
        struct script script;
        const char *host;
        bool stranger; // the client trusts others
        const char *story, *words;
    } rows[] = {
        {{.secure = true}, "localhost", true, "CERT_UNTRUSTED", "localhost"},
        {{.secure = true}, "example.org", false, "CERT_NAME", "not for example.org"},
        {{.says = "SSH-2.0-OpenSSH_9.2\r\n"}, "localhost", false, "NOT_TLS", "SSH-2"},
        {{.says = "HTTP/1.1 400 Bad Request\r\n\r\n"}, "localhost", false, "NOT_TLS", "HTTP/"},
        {{.closes = true}, "localhost", false, "CLOSED", "handshake"},
        {{.resets = true}, "localhost", false, "RESET", "handshake"},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct script script = rows[i / 2].script;
        char story[60];
        script.proxy = i % 2 ? yes : NULL;
        snprintf(story, sizeof story, "connected down:%s ", rows[i / 2].story);
        open_scene(&script);
        dial(rows[i / 2].stranger ? tls_kit_good_trust() : secure_kit_trust(), rows[i / 2].host);
        near.to_send = 10;
        run_until(has_ended);
        let_pass(3);
        assert_string_equal(near.story, story);
        assert_int_equal(near.why.code, near.code);
        if (!strstr(near.why.text, rows[i / 2].words))
            fail_msg("%s: %s", story, near.why.text);
        assert_int_equal(near.sent, 0); // who is not trusted is told nothing
        close_scene();
    }
}

// The zone of an address is this machine's own affair.
static void a_certificate_is_for_an_address_without_its_zone(void **state)
{
    (void)state;
    open_scene(&(struct script){.secure = true});
    dial(secure_kit_trust(), "127.0.0.1%lo");
    run_until(is_up);
    close_scene();
}

static bool is_connected(void)
{
    return near.story[0];
}

static void a_server_that_never_shakes_hands_is_waited_for(void **state)
{
    (void)state;
    open_scene(&(struct script){.mute = true});
    dial(secure_kit_trust(), "localhost");
    run_until(is_connected);
    let_pass(50);
    assert_string_equal(near.story, "connected ");
    assert_false(cv_leg_is_up(near.leg));
    cv_leg_shutdown(near.leg); // nothing: there is nobody to be told
    cv_leg_want(near.leg, false);
    let_pass(3);
    assert_string_equal(near.story, "connected ");
    close_scene();
}

static bool is_down(void)
{
    return near.code != CV_OK;
}

static bool later;

static void on_later(void *arg)
{
    (void)arg;
    later = true;
}

static bool is_later(void)
{
    return later;
}

// Of the server, and of the proxy before it; what is up is not its affair any more.
static void a_leg_that_is_not_up_in_time_ends(void **state)
{
    (void)state;
    static const struct script silent[] = {{.mute = true}, {.proxy = "HTTP/1.1 200 OK\r\n"}};
    for (int i = 0; i < 2; i++) {
        open_scene(&silent[i]);
        near.up_ms = 20;
        dial(secure_kit_trust(), "localhost");
        run_until(is_down);
        assert_int_equal(near.code, CV_E_TIMEOUT);
        close_scene();
    }
    open_scene(&(struct script){.mute = true});
    near.up_ms = 20;
    dial(NULL, "localhost");
    run_until(is_up);
    struct cv_timer timer;
    cv_timer_init(&timer, loop, on_later, NULL);
    cv_timer_start(&timer, 2 * near.up_ms * UINT64_C(1000));
    run_until(is_later);
    assert_true(is_up());
    close_scene();
}

// ---- closing ----------------------------------------------------------------------------------

static bool is_closed(void)
{
    return !near.leg;
}

static void it_may_be_closed_wherever_it_tells_something(void **state)
{
    (void)state;
    static const struct {
        enum place place;
        const char *proxy;
        bool secure;
    } rows[] = {
        {CONNECTED, NULL, false},
        {CONNECTED, NULL, true},
        {CONNECTED, yes, false},
        {CONNECTED, yes, true},
        {UP, NULL, false},
        {UP, NULL, true},
        {UP, yes, false},
        {UP, yes, true},
        {BYTES, NULL, false},
        {BYTES, yes, true},
        {ROOM, NULL, false},
        {ROOM, NULL, true},
        {DENIED, "HTTP/1.1 403 Forbidden\r\n\r\n", true},
        {DOWN, "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        open_scene(&(struct script){.proxy = rows[i].proxy, .secure = rows[i].secure});
        near.closes_at = rows[i].place;
        dial(rows[i].secure ? secure_kit_trust() : NULL, "localhost");
        near.to_send = MUCH;
        run_until(is_closed);
        let_pass(5);
        close_scene();
    }
}

static void it_may_be_closed_after_any_number_of_turns(void **state)
{
    (void)state;
    for (int turns = 0; turns < 40; turns++) {
        open_scene(&(struct script){.proxy = turns % 2 ? yes : NULL, .secure = turns % 4 < 2});
        dial(far.script.secure ? secure_kit_trust() : NULL, "localhost");
        near.to_send = MUCH;
        let_pass(turns / 4);
        cv_leg_close(&near.leg);
        let_pass(3);
        close_scene();
    }
}

// ---- memory -----------------------------------------------------------------------------------

// Within an open scene.
static bool run_short_life(void *arg)
{
    (void)arg;
    far.granted = far.ended = false;
    far.head_len = far.waits_len = far.waits_at = near.got_len = near.sent = 0;
    near.story[0] = '\0';
    memset(far.head, 0, sizeof far.head);
    dial(far.script.secure ? secure_kit_trust() : NULL, "localhost");
    while (near.leg && !has_ended() && !all_is_back()) {
        cv_loop_run_once(loop);
        cv_loop_sleep(loop, 10);
    }
    bool done = near.leg && all_is_back();
    cv_leg_close(&near.leg);
    while (far.open)
        cv_loop_run_once(loop);
    let_pass(3);
    return done;
}

static void want_of_memory_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        open_scene(&(struct script){.proxy = i < 2 ? NULL : yes, .secure = i % 2});
        secure_kit_trust();
        near.to_send = 10;
        fail_nth(run_short_life, NULL);
        close_scene();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_there_and_back),
        cmocka_unit_test(reading_can_pause),
        cmocka_unit_test(the_proxy_is_asked_for_the_server),
        cmocka_unit_test(a_denied_connection_is_told_with_its_head),
        cmocka_unit_test(bytes_behind_the_yes_are_the_servers),
        cmocka_unit_test(connections_that_fail_are_told),
        cmocka_unit_test(handshakes_that_fail_are_told_with_their_words),
        cmocka_unit_test(a_certificate_is_for_an_address_without_its_zone),
        cmocka_unit_test(a_server_that_never_shakes_hands_is_waited_for),
        cmocka_unit_test(a_leg_that_is_not_up_in_time_ends),
        cmocka_unit_test(it_may_be_closed_wherever_it_tells_something),
        cmocka_unit_test(it_may_be_closed_after_any_number_of_turns),
        cmocka_unit_test(want_of_memory_is_told),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    free(far.waits);
    free(near.got);
    secure_kit_done();
    return failures;
}
