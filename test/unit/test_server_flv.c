// Live FLV over HTTP, driven by hand in one thread: what a player gets is what was published; the
// head, the file header, the end.
#include "server_kit.h"

#include "base/mem.h"
#include "chunk_kit.h"
#include "io/clock.h"
#include "io/socket.h"
#include "proto/flv.h"
#include "proto/http1.h"
#include "server/log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static struct kit kit;

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 0\n    play_wait_s: 1\n"
                           "    stream_viewers_max: 3\n    log_bytes_max: 1048576\n"
                           "  - name: shut\n    play: 'off'\n";

// ---- a player -------------------------------------------------------------------------------

struct player {
    int fd;
    struct bytes in;
    bool closed; // the server has closed its side
    bool mute;   // nothing is read
    // what it means so far
    uint32_t status;
    struct bytes body;
    bool complete; // the body's end was told
};

static void player_open(struct player *player, unsigned worker, const char *request)
{
    *player = (struct player){.fd = kit_dial(&kit, worker)};
    assert_true(player->fd >= 0);
    struct pollfd poll_fd = {.fd = player->fd, .events = POLLOUT};
    assert_int_equal(poll(&poll_fd, 1, 1000 * KIT_WAIT_S), 1);
    ssize_t len = (ssize_t)strlen(request);
    assert_int_equal(write(player->fd, request, (size_t)len), len);
}

static void player_close(struct player *player)
{
    if (player->fd >= 0)
        close(player->fd);
    player->fd = -1;
    bytes_free(&player->in);
    bytes_free(&player->body);
}

static void player_step(struct player *player)
{
    static uint8_t bytes[65536];
    int len = 0;
    while (!player->closed && !player->mute && len >= 0) {
        len = cv_socket_read(player->fd, bytes, sizeof bytes);
        if (len > 0)
            bytes_add(&player->in, bytes, (size_t)len);
        else if (len != CV_E_AGAIN)
            player->closed = true;
    }
}

// Reads all that has come, with the HTTP engine.
static void look(struct player *player)
{
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_RESPONSES);
    struct cv_http1_event event;
    player->status = 0;
    player->complete = false;
    player->body.len = 0;
    cv_http1_expect(http, CV_METHOD_GET, false);
    cv_http1_set_body_max(http, UINT64_MAX);
    cv_http1_feed(http, player->in.data, player->in.len);
    while (cv_http1_next(http, &event) == 1) {
        if (event.type == CV_HTTP1_HEAD)
            player->status = event.head->status;
        else if (event.type == CV_HTTP1_BODY)
            bytes_add(&player->body, event.body.at, event.body.len);
        player->complete |= event.type == CV_HTTP1_END;
    }
    cv_http1_free(http);
}

static bool has(const struct bytes *bytes, const char *text)
{
    return bytes->len && memmem(bytes->data, bytes->len, text, strlen(text));
}

static uint32_t number_in(const struct cv_flv_event *event)
{
    size_t at = event->type == CV_MSG_VIDEO ? 5 : 2;
    struct cv_rd rd = cv_rd_over(event->payload->data + at, event->payload->len - at);
    return cv_rd_u32(&rd);
}

// The stream as text: "FLV av: ", "header ", "data ", "v17 " (a frame with its number), "a17 "; and
// the time of the first frame and of the last one.
struct story {
    char text[8192];
    uint32_t first_ms;
    uint32_t last_ms;
};

static void tell(struct story *story, const struct cv_flv_event *event)
{
    char word[32] = "data ";
    if (event->type == CV_MSG_DATA_AMF0) {
    } else if (event->payload->data[1] == 0) {
        snprintf(word, sizeof word, "header ");
    } else {
        snprintf(word, sizeof word, "%c%u ", event->type == CV_MSG_VIDEO ? 'v' : 'a',
                 number_in(event));
        story->last_ms = event->ts_ms;
        if (!strpbrk(story->text, "0123456789"))
            story->first_ms = event->ts_ms;
    }
    append_text(story->text, sizeof story->text, word);
}

static struct story read_story(struct player *player)
{
    struct story story = {0};
    struct cv_flv_reader *reader = cv_flv_reader_new(CV_LIMIT_MEDIA_BYTES);
    struct cv_flv_event event;
    look(player);
    assert_int_equal(cv_flv_reader_feed(reader, player->body.data, player->body.len), CV_OK);
    while (cv_flv_reader_next(reader, &event) == 1) {
        if (event.kind == CV_FLV_TAG)
            tell(&story, &event);
        else
            snprintf(story.text, sizeof story.text, "FLV %s%s: ", event.has_audio ? "a" : "",
                     event.has_video ? "v" : "");
        cv_block_unref(&event.payload);
    }
    cv_flv_reader_free(reader);
    return story;
}

// Turns of everybody until the player's stream has this text. False: never.
static bool wait_text(struct player *player, struct client *publisher, const char *text)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (cv_clock_now_us() < deadline) {
        kit_turn(&kit);
        if (publisher)
            client_step(publisher);
        player_step(player);
        if (strstr(read_story(player).text, text))
            return true;
    }
    return false;
}

static bool wait_closed(struct player *player)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!player->closed && cv_clock_now_us() < deadline) {
        kit_turn(&kit);
        player_step(player);
    }
    look(player);
    return player->closed;
}

static bool wait_head(struct player *player)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!has(&player->in, "\r\n\r\n") && cv_clock_now_us() < deadline) {
        kit_turn(&kit);
        player_step(player);
    }
    look(player);
    return player->status != 0;
}

static void settle(struct player *player, struct client *publisher)
{
    for (int i = 0; i < 8; i++) {
        kit_turn(&kit);
        client_step(publisher);
        player_step(player);
    }
}

static const char *get(const char *name)
{
    static char text[256];
    snprintf(text, sizeof text, "GET /live/%s.flv HTTP/1.1\r\nHost: a\r\n\r\n", name);
    return text;
}

static const char *get_websocket(const char *name)
{
    static char text[256];
    snprintf(text, sizeof text,
             "GET /live/%s.flv HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             name);
    return text;
}

static void unpublish(struct client *client, const char *name)
{
    client_command(client, 0, "FCUnpublish", name);
    client_command_number(client, 0, "deleteStream", 1);
}

static bool no_viewers(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < kit.shared.workers; i++)
        if (kit.workers[i]->stats.viewers || kit.workers[i]->flv_viewers || kit.workers[i]->outlets)
            return false;
    return true;
}

// ---- journeys -------------------------------------------------------------------------------

// A player that waits and one that comes late, wherever stream and publisher are.
static void check_journey(unsigned home, unsigned publisher_at, unsigned n)
{
    char name[32];
    struct client publisher;
    struct player early;
    struct player late;
    kit_name(&kit, home, n, name);
    player_open(&early, 0, get(name));
    assert_true(client_open(&publisher, &kit, publisher_at));
    assert_true(client_publish(&publisher, 1, name));
    assert_true(wait_head(&early));
    assert_int_equal(early.status, 200);
    client_headers(&publisher, 1);
    for (uint32_t frame = 1; frame <= 4; frame++)
        client_video(&publisher, 1, frame, frame == 1, 10);
    assert_true(wait_text(&early, &publisher, "v4"));
    assert_string_equal(read_story(&early).text, "FLV av: header header v1 v2 v3 v4 ");
    player_open(&late, 0, get(name));
    assert_true(wait_text(&late, &publisher, "v4"));
    assert_string_equal(read_story(&late).text, "FLV av: header header v1 v2 v3 v4 ");
    client_audio(&publisher, 1, 5);
    client_video(&publisher, 1, 6, true, 100000);
    unpublish(&publisher, name);
    assert_true(wait_text(&early, &publisher, "v6"));
    assert_true(wait_closed(&early) && wait_closed(&late));
    assert_false(no_viewers(NULL)); // they linger: it was no time-out that closed
    struct story story = read_story(&late);
    assert_string_equal(story.text, "FLV av: header header v1 v2 v3 v4 a5 v6 ");
    assert_int_equal(story.first_ms, 0); // each viewer's time begins at 0
    assert_int_equal(story.last_ms, 50);
    assert_true(early.complete && late.complete);
    player_close(&early);
    player_close(&late);
    client_close(&publisher);
    assert_true(kit_until(&kit, no_viewers, NULL));
}

static void media_comes_from_every_thread(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        kit_start(&kit, workers, false, yaml);
        for (unsigned i = 0; i < workers * workers; i++)
            check_journey(i % workers, i / workers, i);
        struct cv_worker_stats stats = kit_stats(&kit);
        assert_true(stats.flushes > 0);
        assert_true(stats.messages_out >= workers * workers * 16);
        kit_stop(&kit);
    }
}

// Metadata, headers, frames and the end in one flight, one track only: whoever waits for the second
// track, or has not begun to read, gets all of it. RTMP players, too.
static void a_stream_that_ends_at_once_is_complete(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct client c[2]; // publisher, viewer
        struct player player;
        char name[32];
        kit_start(&kit, 2, false, yaml);
        kit_name(&kit, home, 0, name);
        assert_true(client_open(&c[0], &kit, 0));
        assert_true(client_open(&c[1], &kit, 1));
        player_open(&player, 0, get(name));
        client_command(&c[1], 1, "play", name);
        client_step(&c[1]);
        assert_true(client_publish(&c[0], 1, name));
        assert_true(wait_head(&player));
        assert_true(client_wait(&c[1], "status 1 NetStream.Play.Start"));
        client_sound_headers(&c[0], 1);
        for (uint32_t n = 1; n <= 3; n++)
            client_audio(&c[0], 1, n);
        unpublish(&c[0], name);
        assert_true(wait_text(&player, &c[0], "a3"));
        assert_true(wait_closed(&player));
        assert_true(player.complete);
        assert_string_equal(read_story(&player).text, "FLV a: data header a1 a2 a3 ");
        assert_true(client_wait(&c[1], "eof 1"));
        assert_int_equal(client_count(&c[1], "header 1"), 1);
        assert_int_equal(client_count(&c[1], "audio 1 3"), 1);
        player_close(&player);
        client_close(&c[0]);
        client_close(&c[1]);
        kit_stop(&kit);
    }
}

// ---- the file header ------------------------------------------------------------------------

static void the_second_track_is_waited_for(void **state)
{
    (void)state;
    struct client publisher;
    struct player player;
    kit_start(&kit, 1, false, yaml);
    player_open(&player, 0, get("a"));
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_video(&publisher, 1, 1, true, 0);
    settle(&player, &publisher);
    assert_string_equal(read_story(&player).text, "");
    assert_int_equal(player.status, 200); // the head is there
    client_audio(&publisher, 1, 2);
    assert_true(wait_text(&player, &publisher, "FLV av: v1 a2 "));
    player_close(&player);
    client_close(&publisher);
    kit_stop(&kit);
}

static void nobody_waits_for_a_track_for_ever(void **state)
{
    (void)state;
    struct client publisher;
    struct player player;
    struct player late;
    kit_start(&kit, 1, false, yaml);
    player_open(&player, 0, get("a"));
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_video(&publisher, 1, 1, true, 0);
    client_step(&publisher);
    uint64_t begin_us = cv_clock_now_us();
    assert_true(wait_text(&player, &publisher, "FLV v: v1 "));
    assert_true(cv_clock_now_us() - begin_us >= 1900000);
    // Two seconds of the stream itself tell as much.
    client_video(&publisher, 1, 250, true, 0);
    assert_true(wait_text(&player, &publisher, "v250 "));
    player_open(&late, 0, get("a"));
    for (int i = 0; i < 5; i++)
        settle(&late, &publisher);
    assert_string_equal(read_story(&late).text, "FLV v: v250 ");
    player_close(&player);
    player_close(&late);
    client_close(&publisher);
    kit_stop(&kit);
}

// ---- refusals -------------------------------------------------------------------------------

static void ask(const char *request, uint32_t status, const char *text)
{
    struct player player;
    player_open(&player, 0, request);
    assert_true(wait_head(&player));
    assert_int_equal(player.status, status);
    if (!has(&player.in, text))
        fail_msg("no %s in %.*s", text, (int)player.in.len, (char *)player.in.data);
    player_close(&player);
}

static void answers_without_a_stream(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, yaml);
    ask(get("none"), 404, "\r\n\r\nnobody publishes live/none\n");
    ask(get("none"), 404, "Access-Control-Allow-Origin: *\r\n");
    ask("GET /live/a%2fb.flv HTTP/1.1\r\nHost: a\r\nOrigin: http://x\r\n\r\n", 404,
        "Vary: Origin\r\nAccess-Control-Allow-Origin: http://x\r\n");
    ask("GET /shut/a.flv HTTP/1.1\r\nHost: a\r\n\r\n", 403, "Access-Control-Allow-Origin: *");
    ask("OPTIONS /live/a.flv HTTP/1.1\r\nHost: a\r\n\r\n", 204,
        "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, OPTIONS\r\n");
    ask("OPTIONS /live/a.flv HTTP/1.1\r\nHost: a\r\n\r\n", 204,
        "Access-Control-Allow-Headers: range, content-type\r\n");
    static const char *const others[] = {"/other/a.flv", "/live/.flv",   "/a.flv",
                                         "/.flv",        "/live/a.flv/", "/live/../a.flv"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", others[i]);
        ask(request, 404, "There is nothing here.\n");
    }
    assert_true(kit_until(&kit, no_viewers, NULL));
    kit_stop(&kit);
}

static void viewers_have_a_cap(void **state)
{
    (void)state;
    struct player player[3];
    kit_start(&kit, 1, false, yaml);
    for (int i = 0; i < 3; i++)
        player_open(&player[i], 0, get("a"));
    while (kit.workers[0]->stats.viewers < 3)
        kit_turn(&kit);
    ask(get("a"), 503, "Access-Control-Allow-Origin: *\r\nRetry-After: 10\r\n");
    player_close(&player[1]);
    while (kit.workers[0]->stats.viewers == 3)
        kit_turn(&kit);
    ask(get("a"), 404, "nobody publishes live/a\n");
    player_close(&player[0]);
    player_close(&player[2]);
    kit_stop(&kit);
}

static void head_and_http_1_0(void **state)
{
    (void)state;
    struct client publisher;
    struct player player;
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    player_open(&player, 0, "HEAD /live/a.flv HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(wait_closed(&player));
    assert_true(has(&player.in, "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n"));
    assert_true(has(&player.in, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"));
    assert_true(has(&player.in, "Connection: close\r\n\r\n"));
    assert_int_equal(player.body.len, 0);
    assert_memory_equal(player.in.data + player.in.len - 4, "\r\n\r\n", 4);
    player_close(&player);
    player_open(&player, 0, "GET /live/a.flv?plain=1 HTTP/1.0\r\n\r\n");
    assert_true(wait_head(&player));
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 1, true, 0);
    unpublish(&publisher, "a");
    client_step(&publisher);
    assert_true(wait_closed(&player));
    assert_false(has(&player.in, "chunked"));
    const uint8_t *body = memmem(player.in.data, player.in.len, "\r\n\r\nFLV\1\5\0\0\0\x09", 13);
    assert_non_null(body);
    player_close(&player);
    client_close(&publisher);
    kit_stop(&kit);
}

// The stream is there before the request is: its body, of no use, comes in two pieces.
static void a_request_is_read_to_its_end(void **state)
{
    (void)state;
    struct client publisher;
    struct player player;
    kit_start(&kit, 1, false, yaml);
    player_open(&player, 0, "GET /live/a.flv HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    while (kit.workers[0]->stats.viewers == 0)
        kit_turn(&kit);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 1, true, 0);
    settle(&player, &publisher);
    assert_int_equal(player.in.len, 0);
    assert_int_equal(write(player.fd, "cde", 3), 3);
    assert_true(wait_text(&player, &publisher, "FLV av: header header v1 "));
    player_close(&player);
    client_close(&publisher);
    kit_stop(&kit);
}

// ---- bad moments ----------------------------------------------------------------------------

// A player that reads nothing jumps; another one misses nothing.
static void bug_10_a_slow_flv_player_jumps(void **state)
{
    (void)state;
    enum { FRAMES = 200, FRAME_BYTES = 50000 };
    struct client publisher;
    struct player slow;
    struct player fast;
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 1, true, 0);
    player_open(&slow, 0, get("a"));
    player_open(&fast, 0, get("a"));
    assert_true(wait_text(&slow, &publisher, "v1 ") && wait_text(&fast, &publisher, "v1 "));
    slow.mute = true;
    for (uint32_t n = 2; n <= FRAMES; n++) {
        client_video(&publisher, 1, n, n % 10 == 0, FRAME_BYTES);
        settle(&fast, &publisher);
    }
    char last[16];
    snprintf(last, sizeof last, "v%d ", FRAMES);
    assert_true(wait_text(&fast, &publisher, last));
    struct story story = read_story(&fast);
    for (unsigned n = 1; n <= FRAMES; n++) {
        char word[16];
        snprintf(word, sizeof word, " v%u ", n);
        assert_non_null(strstr(story.text, word));
    }
    slow.mute = false;
    assert_true(wait_text(&slow, &publisher, last));
    struct cv_worker_stats stats = kit_stats(&kit);
    assert_true(stats.jumps >= 1 && stats.skipped > 10);
    // Far behind when the stream ends: what is left of it comes, and then the end.
    slow.mute = true;
    for (uint32_t n = FRAMES + 1; n <= 2 * FRAMES; n++) {
        client_video(&publisher, 1, n, n % 10 == 0, FRAME_BYTES);
        settle(&fast, &publisher);
    }
    unpublish(&publisher, "a");
    client_step(&publisher);
    assert_true(wait_closed(&fast));
    assert_true(fast.complete);
    slow.mute = false;
    assert_true(wait_closed(&slow));
    assert_true(slow.complete);
    player_close(&slow);
    player_close(&fast);
    client_close(&publisher);
    kit_stop(&kit);
}

// A player has nothing to say. A little is read away, much ends it.
static void what_a_player_says_is_bounded(void **state)
{
    (void)state;
    static const char noise[8192];
    struct client publisher;
    struct player player;
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    player_open(&player, 0, get("a"));
    assert_true(wait_head(&player));
    assert_int_equal(write(player.fd, noise, sizeof noise), sizeof noise);
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 1, true, 0);
    assert_true(wait_text(&player, &publisher, "v1 "));
    for (int i = 0; i < 100 && !player.closed; i++) {
        if (write(player.fd, noise, sizeof noise) < 0)
            break;
        settle(&player, &publisher);
    }
    assert_true(wait_closed(&player));
    assert_false(player.complete);
    assert_true(kit_until(&kit, no_viewers, NULL));
    player_close(&player);
    client_close(&publisher);
    kit_stop(&kit);
}

// At every moment of its life the player leaves, or the server stops.
static void bug_24_flv_players_and_servers_leave_at_any_time(void **state)
{
    (void)state;
    for (int moment = 0; moment < 8; moment++) {
        struct client publisher;
        struct player player;
        kit_start(&kit, 2, false, yaml);
        assert_true(client_open(&publisher, &kit, 0));
        player_open(&player, 0, moment == 0 ? "GET /live/a.flv HTTP/1.1\r\n" : get("a"));
        for (int i = 0; i < 10; i++)
            kit_turn(&kit);
        if (moment >= 3)
            assert_true(client_publish(&publisher, 1, "a"));
        if (moment >= 4)
            client_video(&publisher, 1, 1, true, 0);
        if (moment >= 5)
            client_audio(&publisher, 1, 1);
        settle(&player, &publisher);
        if (moment >= 6)
            unpublish(&publisher, "a");
        settle(&player, &publisher);
        if (moment % 2 == 0) {
            player_close(&player);
            assert_true(kit_until(&kit, no_viewers, NULL) || moment == 0);
        }
        client_close(&publisher);
        kit_stop(&kit);
        if (moment % 2)
            player_close(&player);
    }
}

// Turns of the server with the failure still to come; clients only outside.
static void turns(struct player players[2], struct client *publisher, uint64_t *left)
{
    for (int i = 0; i < 3; i++) {
        player_step(&players[0]);
        player_step(&players[1]);
        client_step(publisher);
        if (*left)
            cv_mem_fail_nth(*left);
        for (int n = 0; n < 8; n++)
            kit_turn(&kit);
        *left = *left ? cv_mem_fail_nth(0) : 0;
    }
}

static bool live_with_failure(uint64_t n, const char *name)
{
    struct client publisher;
    struct player players[2];
    uint64_t left = n;
    assert_true(client_open(&publisher, &kit, 0));
    player_open(&players[0], 0, get(name));
    player_open(&players[1], 0, get_websocket(name));
    turns(players, &publisher, &left);
    client_command(&publisher, 1, "publish", name);
    turns(players, &publisher, &left);
    client_headers(&publisher, 1);
    client_sound_headers(&publisher, 1);
    for (uint32_t number = 0; number < 40; number++)
        client_video(&publisher, 1, number, number % 20 == 0, 100);
    turns(players, &publisher, &left);
    unpublish(&publisher, name);
    turns(players, &publisher, &left);
    player_close(&players[0]);
    player_close(&players[1]);
    client_close(&publisher);
    for (int i = 0; i < 16; i++)
        kit_turn(&kit);
    return left == 0;
}

// Every allocation fails once: nothing leaks, and the next player is served.
static void bug_24_flv_when_memory_runs_out(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, yaml);
    for (unsigned home = 0; home < 2; home++) {
        char name[32];
        uint64_t n = 1;
        kit_name(&kit, home, 0, name);
        for (; live_with_failure(n, name); n++) {
            assert_true(kit_until(&kit, no_viewers, NULL));
            assert_true(n < 10000);
        }
        assert_true(n > 30);
        check_journey(home, 1, 1);
    }
    kit_stop(&kit);
}

// The server stops: what was published leaves, and the end is told.
static void the_end_of_the_server_is_a_clean_end(void **state)
{
    (void)state;
    struct client publisher;
    struct player player;
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 1, true, 0);
    player_open(&player, 0, get("a"));
    assert_true(wait_text(&player, &publisher, "v1 "));
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    assert_true(kit_tell_all(&kit, &stop));
    assert_true(wait_closed(&player));
    assert_true(player.complete);
    player_close(&player);
    client_close(&publisher);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_comes_from_every_thread),
        cmocka_unit_test(a_stream_that_ends_at_once_is_complete),
        cmocka_unit_test(the_second_track_is_waited_for),
        cmocka_unit_test(nobody_waits_for_a_track_for_ever),
        cmocka_unit_test(answers_without_a_stream),
        cmocka_unit_test(viewers_have_a_cap),
        cmocka_unit_test(head_and_http_1_0),
        cmocka_unit_test(a_request_is_read_to_its_end),
        cmocka_unit_test(bug_10_a_slow_flv_player_jumps),
        cmocka_unit_test(what_a_player_says_is_bounded),
        cmocka_unit_test(bug_24_flv_players_and_servers_leave_at_any_time),
        cmocka_unit_test(bug_24_flv_when_memory_runs_out),
        cmocka_unit_test(the_end_of_the_server_is_a_clean_end),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, NULL, NULL);
}
