// Tunnels in a server that is driven by hand: homes that stand still, clients that are gone, memory
// that runs out.
#include "chunk_kit.h"
#include "server_kit.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "proto/handshake.h"
#include "server/conn.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/tunnel.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct kit kit;

// ---- HTTP by hand -----------------------------------------------------------------------------

enum { GOT_MAX = 1 << 18 };

struct http {
    int fd;
    char got[GOT_MAX]; // and a NUL
    size_t len;
    bool closed;
};

static struct http web[2];

static void http_open(struct http *http, unsigned worker)
{
    *http = (struct http){.fd = kit_dial(&kit, worker)};
    assert_true(http->fd >= 0);
    cv_socket_set_no_delay(http->fd, true);
}

static void http_close(struct http *http)
{
    close(http->fd);
    http->fd = -1;
}

static void read_some(struct http *http)
{
    while (!http->closed && http->len < GOT_MAX - 1) {
        int len = cv_socket_read(http->fd, http->got + http->len, GOT_MAX - 1 - http->len);
        if (len == CV_E_AGAIN)
            return;
        http->closed = len < 0;
        http->len += len > 0 ? (size_t)len : 0;
    }
}

// The client's side only: as much as the network takes, which is all of it in these tests.
static void http_send(struct http *http, const void *data, size_t len)
{
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    int sent = CV_E_AGAIN;
    for (int i = 0; i < 1000 && sent == CV_E_AGAIN; i++)
        sent = cv_socket_write(http->fd, &vector, 1);
    assert_int_equal(sent, len);
}

static void http_post(struct http *http, const char *path, const char *fields, const void *body,
                      size_t len)
{
    char head[400];
    int head_len = snprintf(head, sizeof head,
                            "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-fcs\r\n"
                            "%sContent-Length: %zu\r\n\r\n",
                            path, fields, len);
    http_send(http, head, (size_t)head_len);
    if (len)
        http_send(http, body, len);
}

struct wait {
    struct http *http;
    const char *text;
};

static bool has_come(void *arg)
{
    const struct wait *wait = arg;
    read_some(wait->http);
    return memmem(wait->http->got, wait->http->len, wait->text, strlen(wait->text));
}

// What has come is forgotten then.
static void http_wait(struct http *http, const char *text)
{
    struct wait wait = {http, text};
    if (!kit_until(&kit, has_come, &wait))
        fail_msg("'%s' has not come, but: %.*s", text, (int)http->len, http->got);
    http->len = 0;
}

// A session's id, for the worker that it names.
static struct cv_rtmpt_id session_of(unsigned worker)
{
    struct cv_rtmpt_id id;
    assert_int_equal(cv_tunnel_make_id(kit.workers[worker], false, &id), CV_OK);
    return id;
}

static void http_session(struct http *http, const char *verb, const struct cv_rtmpt_id *id,
                         unsigned n, const void *body, size_t len)
{
    char path[80];
    snprintf(path, sizeof path, "/%s/%s/%u", verb, id->text, n);
    http_post(http, path, "", body, len);
}

// ---- what a client says -------------------------------------------------------------------------

static const uint8_t c0c1[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};

// Its bytes as the engine makes them.
static struct bytes said(struct client *client)
{
    static struct cv_gather gather;
    struct bytes out = {0};
    do {
        cv_gather_clear(&gather);
        cv_rtmp_pull(client->rtmp, &gather);
        for (int i = 0; i < gather.count; i++)
            bytes_add(&out, gather.vectors[i].iov_base, gather.vectors[i].iov_len);
        if (gather.bytes)
            cv_rtmp_sent(client->rtmp, gather.bytes);
    } while (gather.bytes);
    return out;
}

// An engine behind a handshake with a server that says nothing else; C0, C1 and C2 are in *out.
static void speak(struct client *client, struct bytes *out)
{
    static uint8_t answer[1 + 2 * 1536] = {CV_HANDSHAKE_VERSION};
    struct cv_rtmp_config config = {.role = CV_RTMP_CLIENT, .crypto = &cv_crypto_openssl};
    struct cv_rtmp_event event;
    *client = (struct client){.kit = &kit, .fd = -1, .transaction = 1};
    client->rtmp = cv_rtmp_new(&config, 0);
    assert_non_null(client->rtmp);
    assert_int_equal(cv_rtmp_next(client->rtmp, &event), 0);
    *out = said(client);
    cv_rtmp_feed(client->rtmp, answer, sizeof answer);
    assert_int_equal(cv_rtmp_next(client->rtmp, &event), 1);
    struct bytes c2 = said(client);
    bytes_add(out, c2.data, c2.len);
    bytes_free(&c2);
}

// ---- pauses -------------------------------------------------------------------------------------

// The stream's home does not answer: what a publisher sends meanwhile waits, in the NetConnection
// and, with requests that came before their turn, behind it. Nothing is lost, and the order is
// kept.
static void a_publisher_is_held_up_within_parked_requests(void **state)
{
    (void)state;
    struct client viewer;
    struct client mouth;
    struct bytes parts[3];
    char name[32];
    unsigned n = 0;
    kit_start(&kit, 2, false, NULL);
    uint8_t loopback[16];
    http_open(&web[0], 0);
    kit_turn(&kit);
    memcpy(loopback, kit.workers[0]->sockets->peer.ip, sizeof loopback);
    unsigned here = cv_worker_choose(kit.workers[0], loopback, sizeof loopback);
    kit_name(&kit, !here, 1, name);
    assert_true(client_open(&viewer, &kit, here));
    client_command(&viewer, 1, "play", name);
    client_step(&viewer);
    for (int i = 0; i < 20; i++)
        kit_turn(&kit);
    speak(&mouth, &parts[0]);
    client_connect(&mouth, "live");
    client_create_stream(&mouth);
    client_command(&mouth, 1, "publish", name);
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < 300; i++)
            client_audio(&mouth, 1, ++n);
        struct bytes more = said(&mouth);
        if (part == 0)
            bytes_add(&parts[0], more.data, more.len);
        else
            parts[part] = more;
        if (part == 0)
            bytes_free(&more);
    }
    kit.frozen[!here] = true;
    struct cv_rtmpt_id id = session_of(here);
    http_session(&web[0], "idle", &id, 0, "", 1);
    http_wait(&web[0], "\r\n\r\n\1");
    http_session(&web[0], "send", &id, 3, parts[2].data, parts[2].len);
    http_session(&web[0], "send", &id, 2, parts[1].data, parts[1].len);
    http_session(&web[0], "send", &id, 1, parts[0].data, parts[0].len);
    for (int i = 0; i < 50; i++)
        kit_turn(&kit);
    struct cv_netconn *paused = kit.workers[here]->paused_conns;
    assert_non_null(paused);
    assert_string_equal(paused->carrier->name, "rtmpt");
    assert_non_null(paused->stash);
    kit.frozen[!here] = false;
    char last[32];
    snprintf(last, sizeof last, "audio 1 %u", n);
    assert_true(client_wait(&viewer, last));
    unsigned got = 0;
    for (unsigned i = 0; i < viewer.seen_count; i++) {
        unsigned number;
        if (sscanf(viewer.seen[i].text, "audio 1 %u", &number) == 1)
            assert_int_equal(number, ++got);
    }
    assert_int_equal(got, n);
    http_session(&web[0], "close", &id, 4, "", 1);
    assert_true(client_wait(&viewer, "status 1 NetStream.Play.UnpublishNotify"));
    for (int part = 0; part < 3; part++)
        bytes_free(&parts[part]);
    client_close(&mouth);
    client_close(&viewer);
    http_close(&web[0]);
    kit_stop(&kit);
}

// ---- clients that do not read
// ---------------------------------------------------------------------

static bool is_blocked(void *arg)
{
    const struct cv_conn *conn = arg;
    return conn->channel.writes;
}

static bool no_session(void *arg)
{
    (void)arg;
    return !kit.workers[0]->conns;
}

// The server's kernel has it all, while the server itself stands still.
static void wait_delivered(int fd)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    int waiting = 1;
    while (waiting && cv_clock_now_us() < deadline) {
        poll(NULL, 0, 1);
        assert_int_equal(ioctl(fd, TIOCOUTQ, &waiting), 0);
    }
    assert_int_equal(waiting, 0);
}

// librtmp publishes without reading, and closes: its connection is reset, and what it has sent
// before counts, though replies to it cannot be written any more.
static void bug_32_the_last_requests_of_a_deaf_client_count(void **state)
{
    (void)state;
    kit_start(&kit, 1, false, NULL);
    int small = 4096; // set before it connects: a window must not shrink
    web[0] = (struct http){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    setsockopt(web[0].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(kit.addrs[0].port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(web[0].fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(fcntl(web[0].fd, F_SETFL, O_NONBLOCK), 0);
    cv_socket_set_no_delay(web[0].fd, true);
    struct cv_rtmpt_id id = session_of(0);
    http_session(&web[0], "send", &id, 0, c0c1, sizeof c0c1);
    http_wait(&web[0], "HTTP/1.1 200 OK");
    struct cv_conn *conn = kit.workers[0]->sockets;
    setsockopt(conn->channel.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    unsigned n = 1;
    for (; !is_blocked(conn); n++) {
        assert_true(n < 10000);
        http_session(&web[0], "send", &id, n, "", 0);
        kit_turn(&kit);
    }
    http_session(&web[0], "close", &id, n, "", 0);
    wait_delivered(web[0].fd);
    struct linger reset = {.l_onoff = 1};
    setsockopt(web[0].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    uint64_t before_us = cv_clock_now_us();
    http_close(&web[0]);
    assert_true(kit_until(&kit, no_session, NULL));
    assert_true(cv_clock_now_us() - before_us < CV_TUNNEL_SILENCE_S * UINT64_C(1000000) / 2);
    kit_stop(&kit);
}

// ---- memory -------------------------------------------------------------------------------------

static bool is_clean(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < kit.shared.workers; i++) {
        const struct cv_worker *worker = kit.workers[i];
        if (worker->conns || worker->sockets || worker->webs || worker->tunnels)
            return false;
    }
    return true;
}

// Turns of the server with the failure still to come; the client's side only outside.
static void turns(uint64_t *left)
{
    if (*left)
        cv_mem_fail_nth(*left);
    for (int i = 0; i < 12; i++)
        kit_turn(&kit);
    *left = *left ? cv_mem_fail_nth(0) : 0;
    read_some(&web[0]);
}

static const char upgrade[] = "Connection: Upgrade\r\nUpgrade: rtmp\r\n";

// One conversation of each kind, as far as it comes.
static void converse(unsigned kind, uint64_t *left)
{
    struct cv_rtmpt_id one = session_of(0);
    struct cv_rtmpt_id other = session_of(1);
    if (kind == 0) {
        http_post(&web[0], "/open/1", upgrade, c0c1, sizeof c0c1);
    } else if (kind == 1) {
        http_post(&web[0], "/open/1", "Culvert: 1; handshake\r\n", c0c1, sizeof c0c1);
    } else {
        http_session(&web[0], "send", &one, 0, c0c1, sizeof c0c1);
        http_session(&web[0], "idle", &other, 0, "", 1);
        http_session(&web[0], "close", &one, 1, "", 1);
        http_session(&web[0], "close", &other, 1, "", 1);
    }
    turns(left);
}

static bool all_said(unsigned kind)
{
    static const char *const ends[] = {"101 Switching", "Culvert: 1", "Content-Length: 1\r\n"};
    return memmem(web[0].got, web[0].len, ends[kind], strlen(ends[kind]));
}

// Sessions would wait for their clients.
static void end_sessions(void)
{
    for (unsigned i = 0; i < kit.shared.workers; i++) {
        struct cv_netconn *conn;
        struct cv_netconn *next;
        HASH_ITER (hh, kit.workers[i]->conns, conn, next)
            cv_netconn_doom(conn, CV_OK, "test");
    }
    assert_true(kit_until(&kit, is_clean, NULL));
}

static void bug_24_tunnels_when_every_allocation_fails_once(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, NULL);
    cv_log_set_level(CV_LOG_ERROR);
    for (unsigned kind = 0; kind < 3; kind++) {
        uint64_t left = 0;
        for (uint64_t nth = 1; left == 0; nth++) {
            assert_true(nth < 300);
            left = nth;
            http_open(&web[0], 0);
            converse(kind, &left);
            bool said_all = all_said(kind);
            http_close(&web[0]);
            end_sessions();
            assert_true(said_all || left == 0);
        }
    }
    kit_stop(&kit);
}

// A connection that carries requests of two sessions goes from thread to thread, and is counted.
static void connections_follow_their_sessions(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, NULL);
    http_open(&web[0], 0);
    struct cv_rtmpt_id ids[2] = {session_of(0), session_of(1)};
    uint64_t before = kit_stats(&kit).moved;
    for (unsigned n = 0; n < 5; n++) {
        for (int i = 0; i < 2; i++) {
            http_session(&web[0], "idle", &ids[i], n, "", 1);
            http_wait(&web[0], "\r\n\r\n\1");
        }
    }
    uint64_t moved = kit_stats(&kit).moved - before;
    assert_true(moved >= 9 && moved <= 11); // and one more at the entry
    // One that nobody has signed goes nowhere.
    ids[1].text[20] = ids[1].text[20] == 'A' ? 'B' : 'A';
    ids[0].text[20] = ids[0].text[20] == 'A' ? 'B' : 'A';
    for (int i = 0; i < 2; i++) {
        http_session(&web[0], "idle", &ids[i], 0, "", 1);
        http_wait(&web[0], "404 Not Found");
    }
    assert_int_equal(kit_stats(&kit).moved - before, moved);
    http_close(&web[0]);
    kit_stop(&kit);
}

// Who knows its id cannot go on with it in plain text: not with its first request, and not later,
// on whatever thread; he gets what an unknown session gets.
static void a_session_opened_inside_tls_takes_no_plain_text(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, NULL);
    const char *answer = kit_tls ? "\r\n\r\n\1" : "404 Not Found";
    struct cv_origin plain = {.peer = kit.addrs[0]};
    struct cv_origin inside = {.peer = kit.addrs[0], .tls = "TLSv1.3"};
    for (unsigned home = 0; home < 2; home++) {
        struct cv_worker *worker = kit.workers[home];
        struct cv_rtmpt_id id;
        assert_int_equal(cv_tunnel_make_id(worker, true, &id), CV_OK);
        struct cv_rtmpt_target target = {
            .kind = CV_RTMPT_IDLE, .id = cv_text_of(id.text), .has_n = true};
        assert_null(cv_tunnel_find(worker, &target, &plain));
        for (unsigned n = 0; n < 2; n++) {
            http_open(&web[0], 0);
            http_session(&web[0], "idle", &id, n, "", 1);
            http_wait(&web[0], answer);
            http_close(&web[0]);
            assert_non_null(cv_tunnel_find(worker, &target, &inside));
            assert_null(cv_tunnel_find(worker, &target, &plain)); // though it is there now
        }
        // The other way round there is nothing to protect.
        id = session_of(home);
        assert_non_null(cv_tunnel_find(worker, &target, &plain));
        assert_non_null(cv_tunnel_find(worker, &target, &inside));
    }
    kit_stop(&kit);
}

// A server that stops takes no connections: it need not wait for a client between two requests.
static void a_stop_does_not_wait_for_who_cannot_come(void **state)
{
    (void)state;
    struct client mouth;
    struct bytes words;
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    kit_start(&kit, 1, false, NULL);
    struct cv_worker *worker = kit.workers[0];
    struct cv_rtmpt_id id = session_of(0);
    speak(&mouth, &words);
    http_open(&web[0], 0);
    http_session(&web[0], "idle", &id, 0, "", 1);
    http_wait(&web[0], "\r\n\r\n\1");
    http_session(&web[0], "send", &id, 1, words.data, words.len);
    http_wait(&web[0], "\r\n\r\n");
    http_close(&web[0]);
    assert_true(kit_until(&kit, kit_has_no_sockets, &kit));
    assert_true(worker->conns->ready);
    assert_true(kit_tell(&kit, 0, &stop));
    for (int i = 0; i < 3; i++) // the note, and what has to be said
        kit_turn(&kit);
    assert_null(worker->conns);
    bytes_free(&words);
    client_close(&mouth);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_does_not_wait_for_who_cannot_come),
        cmocka_unit_test(a_publisher_is_held_up_within_parked_requests),
        cmocka_unit_test(bug_32_the_last_requests_of_a_deaf_client_count),
        cmocka_unit_test(connections_follow_their_sessions),
        cmocka_unit_test(a_session_opened_inside_tls_takes_no_plain_text),
        cmocka_unit_test(bug_24_tunnels_when_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
