// Whole sessions through the tunnel: what FFmpeg, librtmp, Red5, RootEncoder, HaishinKit and Flash
// do with their requests, around a real RTMP client on one end and a real engine on the other.
#include "tunnel_kit.h"

#include "base/limits.h"
#include "proto/reply.h"
#include "proto/rtmp_client.h"

#include <stdio.h>

enum { MESSAGES = 30 };

static struct cv_gather gather;

// How a client cuts and numbers its requests.
struct habits {
    const char *name;
    bool publish;
    uint64_t base;        // number of the first request
    bool idle_first;      // before C0 C1
    bool empty_idle;      // no byte in an idle
    const char *idle;     // how it spells it
    size_t first_max[3];  // bytes of its first sends at most; 0: all there is
    unsigned connections; // used in turn
    unsigned ahead;       // media sends on their way without an answer
    bool stops_reading;   // once it publishes
    const char *close;    // with a number behind the '/'; NULL: it just goes
    size_t piece;         // bodies come in pieces of so many bytes
    uint32_t window_ms;   // takes chunked replies
};

static const struct habits all_habits[] = {
    {"ffmpeg publishes", true, 0, false, false, "idle", {1537}, 1, 1, false, "close/", 1460, 0},
    {"ffmpeg plays", false, 0, false, false, "idle", {1537}, 1, 1, false, "close/", 1, 700},
    {"librtmp plays", false, 0, false, false, "idle", {1537, 1536}, 1, 1, false, NULL, 100, 0},
    {"librtmp publishes", true, 0, false, false, "idle", {1537, 1536}, 1, 9, true, NULL, 9999, 0},
    {"obs publishes", true, 0, false, false, "idle", {1537, 1536}, 1, 1, false, NULL, 9999, 0},
    {"red5 plays", false, 1, false, false, "idle", {1537, 1536}, 1, 1, false, "close/", 7, 0},
    {"rootencoder", true, 0, true, true, "idle", {1537}, 3, 1, false, "close", 9999, 0},
    {"haishinkit", true, 0, true, false, "idel", {1537, 1536}, 1, 1, false, "close", 500, 0},
    {"flash plays", false, 0, true, false, "idle", {1537, 1536}, 2, 1, false, "close/", 3, 0},
    {"shumway plays", false, 0, true, false, "idle", {1537}, 1, 1, false, "close/0", 50, 0},
    {"culvert publishes", true, 0, false, false, "idle", {0}, 2, 8, false, "close/", 9999, 0},
    {"dribbles", true, 0, false, false, "idle", {1, 1, 1}, 4, 5, false, "close/", 2, 0},
};
enum { HABITS = sizeof all_habits / sizeof all_habits[0] };

// ---- the two ends ---------------------------------------------------------------------------

struct world {
    const struct habits *habits;
    struct tunnel tunnel;
    struct cv_rtmp_client *client;
    uint64_t n;
    size_t sends;
    size_t read;  // of tunnel.said, by the client
    bool started; // the client has heard Start
    bool bad;     // no memory
    uint32_t server_got;
    uint32_t client_got;
    uint32_t server_sent;
    bool play;
};

static size_t length_of(uint32_t i)
{
    return 1 + i * i * 37 % 5000;
}

static struct cv_block *media(uint32_t i)
{
    struct cv_block *block = cv_block_new(length_of(i));
    if (!block)
        return NULL;
    block->len = (uint32_t)length_of(i);
    memset(block->data, (int)i, block->len);
    return block;
}

static void expect_media(const struct cv_msg *msg, uint32_t i)
{
    assert_int_equal(msg->ts_ms, 40 * i);
    assert_int_equal(msg->payload->len, length_of(i));
    assert_int_equal(msg->payload->data[0], (uint8_t)i);
    assert_int_equal(msg->payload->data[msg->payload->len - 1], (uint8_t)i);
}

static bool note(struct world *world, int err)
{
    if (err != CV_OK) {
        assert_true(err == CV_E_NOMEM || err == CV_E_QUEUE_FULL);
        world->bad = true;
    }
    return err == CV_OK;
}

static int server_command(struct world *world, const struct cv_rtmp_event *event)
{
    struct cv_rtmp *rtmp = world->tunnel.rtmp;
    struct cv_connect connect;
    if (cv_text_is(event->name, "connect")) {
        assert_int_equal(cv_connect_parse(event, &connect), CV_OK);
        return cv_reply_connect(rtmp, event->transaction, &connect, CV_CHUNK_BYTES_OUT);
    }
    if (cv_text_is(event->name, "createStream"))
        return cv_reply_result_number(rtmp, event->transaction, 1);
    if (cv_text_is(event->name, "publish")) {
        cv_rtmpt_set_mode(world->tunnel.session, CV_RTMPT_PUBLISH);
        return cv_reply_status(rtmp, event->msg.stream_id, CV_STATUS_PUBLISH_START, "Go.");
    }
    if (cv_text_is(event->name, "play")) {
        world->play = true;
        cv_rtmpt_set_mode(world->tunnel.session, CV_RTMPT_FLOW);
        return cv_reply_status(rtmp, event->msg.stream_id, CV_STATUS_PLAY_START, "Go.");
    }
    return cv_reply_result(rtmp, event->transaction);
}

static void server_hears(struct tunnel *tunnel, const uint8_t *data, size_t len)
{
    struct world *world = tunnel->user;
    struct cv_rtmp_event event;
    int more;
    if (world->bad)
        return;
    cv_rtmp_feed(tunnel->rtmp, data, len);
    while ((more = cv_rtmp_next(tunnel->rtmp, &event)) > 0) {
        if (event.type == CV_RTMP_COMMAND && !note(world, server_command(world, &event)))
            return;
        if (event.type == CV_RTMP_MEDIA)
            expect_media(&event.msg, world->server_got++);
    }
    note(world, more);
}

// One frame for the player, as a viewer's log would fill it in before a reply.
static void server_says(struct world *world)
{
    if (!world->play || world->server_sent == MESSAGES)
        return;
    struct cv_block *payload = media(world->server_sent);
    if (!payload) {
        world->bad = true;
        return;
    }
    struct cv_msg msg = {
        .type = CV_MSG_VIDEO,
        .ts_ms = 40 * world->server_sent,
        .stream_id = 1,
        .payload = payload,
    };
    if (note(world, cv_rtmp_send(world->tunnel.rtmp, &msg, CV_CSID_VIDEO)))
        world->server_sent++;
    cv_block_unref(&payload);
}

static void client_hears(struct world *world)
{
    size_t len = world->tunnel.said.len - world->read;
    struct cv_rtmp_client_event event;
    int more;
    cv_rtmp_client_feed(world->client, world->tunnel.said.data + world->read, len);
    world->read += len;
    while ((more = cv_rtmp_client_next(world->client, &event)) > 0) {
        assert_int_not_equal(event.type, CV_RTMP_CLIENT_ENDED);
        if (event.type == CV_RTMP_CLIENT_STARTED)
            world->started = true;
        if (event.type == CV_RTMP_CLIENT_MEDIA)
            expect_media(&event.msg, world->client_got++);
    }
    note(world, more);
}

// ---- requests -------------------------------------------------------------------------------

static void request(struct world *world, const char *verb, const void *body, size_t len)
{
    char path[40];
    uint64_t ticket = 1 + world->n % world->habits->connections;
    snprintf(path, sizeof path, "%s/%d", verb, (int)world->n++);
    if (!note(world, tunnel_begin(&world->tunnel, ticket, path)))
        return;
    for (size_t at = 0; at < len;) {
        size_t piece = len - at < world->habits->piece ? len - at : world->habits->piece;
        tunnel_body(&world->tunnel, ticket, (const uint8_t *)body + at, piece);
        if (world->bad || !note(world, world->tunnel.result))
            return;
        at += piece;
    }
    tunnel_end(&world->tunnel, ticket);
    note(world, world->tunnel.result);
}

// What the client has to send, or an idle. False when there is nothing and an idle is not wanted.
static bool post(struct world *world, bool idle)
{
    struct bytes body = {0};
    const struct habits *habits = world->habits;
    size_t max = world->sends < 3 && habits->first_max[world->sends]
                     ? habits->first_max[world->sends]
                     : SIZE_MAX;
    cv_gather_clear(&gather);
    cv_rtmp_client_pull(world->client, &gather);
    bool wait = habits->idle_first && world->n == habits->base;
    size_t len = wait ? 0 : bytes_gathered(&body, &gather, max);
    if (len == 0 && idle) {
        request(world, habits->idle, "", !habits->empty_idle);
    } else if (len) {
        cv_rtmp_client_sent(world->client, len);
        world->sends++;
        request(world, "send", body.data, len);
    }
    bytes_free(&body);
    return len || idle;
}

// Until every request is answered, or the client does not read any more.
static void wait_for_replies(struct world *world)
{
    for (int turn = 0; turn < 100 && !world->bad; turn++) {
        tunnel_answer(&world->tunnel);
        client_hears(world);
        note(world, cv_rtmpt_why(world->tunnel.session)->code);
        uint64_t ticket;
        if (cv_rtmpt_due(world->tunnel.session, world->tunnel.now_us, &ticket) != CV_RTMPT_HELD)
            return;
        if (turn % 3 == 2)
            server_says(world);
        tunnel_wait(&world->tunnel, 50);
    }
    assert_true(world->bad);
}

static void send_media(struct world *world, uint32_t i)
{
    struct cv_block *payload = media(i);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = 40 * i, .payload = payload};
    note(world, payload ? cv_rtmp_client_send(world->client, &msg) : CV_E_NOMEM);
    cv_block_unref(&payload);
}

static void publish(struct world *world)
{
    const struct habits *habits = world->habits;
    if (habits->stops_reading)
        world->tunnel.deaf = 1;
    for (uint32_t i = 0; i < MESSAGES && !world->bad; i++) {
        size_t before = world->tunnel.reply_count;
        send_media(world, i);
        post(world, false);
        if (i % habits->ahead != habits->ahead - 1)
            continue;
        wait_for_replies(world);
        // An OBS reads one message for each reply, and stops for ever when one has none.
        for (size_t k = 0; k < world->tunnel.reply_count - before && !world->bad; k++)
            assert_true(tunnel_reply(&world->tunnel, k)->body.len >= 16);
        assert_true(world->bad || habits->stops_reading || world->tunnel.reply_count > before);
    }
}

static void play(struct world *world)
{
    for (int i = 0; world->client_got < MESSAGES && !world->bad; i++) {
        assert_true(i < 200);
        post(world, true);
        wait_for_replies(world);
    }
}

static void close_session(struct world *world)
{
    char path[40];
    const char *form = world->habits->close;
    if (!form || world->bad)
        return;
    bool numbered = form[strlen(form) - 1] == '/';
    if (numbered)
        snprintf(path, sizeof path, "%s%d", form, (int)world->n);
    else
        snprintf(path, sizeof path, "%s", form);
    assert_int_equal(tunnel_post(&world->tunnel, 1, path, ""), 0);
    assert_true(world->tunnel.ended);
    tunnel_answer(&world->tunnel);
    if (!note(world, cv_rtmpt_why(world->tunnel.session)->code))
        return;
    tunnel_expect(&world->tunnel, 0, 1, 0, 0);
    assert_true(cv_rtmpt_over(world->tunnel.session));
}

static bool world_open(struct world *world, const struct habits *habits)
{
    *world = (struct world){.habits = habits, .n = habits->base};
    struct cv_rtmp_client_config config = {
        .mode = habits->publish ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
        .crypto = &kit_crypto,
        .app = cv_text_of("live"),
        .name = cv_text_of("a"),
        .tc_url = cv_text_of("rtmpt://h/live"),
    };
    world->tunnel = tunnel_fresh(0, habits->window_ms);
    world->tunnel.user = world;
    world->tunnel.on_bytes = server_hears;
    if (!world->tunnel.session)
        return false;
    world->client = cv_rtmp_client_new(&config, 5);
    return world->client && note(world, cv_rtmp_client_connect(world->client));
}

static bool dialogue(struct world *world)
{
    for (int i = 0; !world->started && !world->bad; i++) {
        assert_true(i < 20);
        post(world, true);
        wait_for_replies(world);
    }
    if (!world->bad && world->habits->publish)
        publish(world);
    else if (!world->bad)
        play(world);
    close_session(world);
    return !world->bad;
}

static void world_close(struct world *world)
{
    cv_rtmp_client_free(world->client);
    tunnel_free(&world->tunnel);
}

static size_t chunks(const struct world *world)
{
    size_t count = 0;
    size_t replies = world->tunnel.reply_count;
    for (size_t i = 0; i < replies && i < KIT_REPLIES; i++)
        count += tunnel_reply(&world->tunnel, i)->form != CV_RTMPT_WHOLE;
    return count;
}

// ---- tests ----------------------------------------------------------------------------------

static void every_client_gets_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < HABITS; i++) {
        struct world world;
        assert_true(world_open(&world, &all_habits[i]));
        assert_true(dialogue(&world));
        assert_int_equal(all_habits[i].publish ? world.server_got : world.client_got, MESSAGES);
        assert_int_equal(cv_rtmp_bytes_in(world.tunnel.rtmp), world.tunnel.heard.len);
        assert_int_equal(chunks(&world) > 0, all_habits[i].window_ms > 0);
        // A held idle costs a client with one connection no more than the hold during setup.
        assert_true(world.tunnel.now_us < 1000000 + 8000000);
        world_close(&world);
    }
}

static void bodies_in_pieces_of_every_size(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 5, 16, 128, 1536, 1537, 1538, 4096};
    for (size_t i = 0; i < HABITS; i++) {
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
            struct habits habits = all_habits[i];
            struct world world;
            habits.piece = pieces[k];
            assert_true(world_open(&world, &habits));
            assert_true(dialogue(&world));
            assert_int_equal(habits.publish ? world.server_got : world.client_got, MESSAGES);
            world_close(&world);
        }
    }
}

// FFmpeg reads S0 S1 S2 whole, and RootEncoder loses what is cut.
static void handshake_is_one_reply(void **state)
{
    (void)state;
    struct world world;
    assert_true(world_open(&world, &all_habits[0]));
    post(&world, true);
    wait_for_replies(&world);
    tunnel_expect(&world.tunnel, 0, 1, 1, 3073);
    world_close(&world);
}

static void bug_32_a_client_that_never_reads_publishes_on(void **state)
{
    (void)state;
    struct world world;
    assert_true(world_open(&world, &all_habits[3]));
    assert_true(dialogue(&world));
    assert_int_equal(world.server_got, MESSAGES);
    size_t before = world.tunnel.reply_count;
    assert_true(before < 12);
    world.tunnel.deaf = 0;
    assert_int_equal(tunnel_answer(&world.tunnel), MESSAGES);
    world_close(&world);
}

static bool run_dialogue(void *arg)
{
    struct world world;
    bool good = world_open(&world, arg);
    good = good && dialogue(&world);
    world_close(&world);
    return good;
}

static void clients_with_failing_memory(void **state)
{
    (void)state;
    static struct habits publisher;
    static struct habits player;
    publisher = all_habits[HABITS - 2];
    player = all_habits[1];
    player.piece = 2000;
    fail_nth(run_dialogue, &publisher);
    fail_nth(run_dialogue, &player);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client_gets_through),
        cmocka_unit_test(bodies_in_pieces_of_every_size),
        cmocka_unit_test(handshake_is_one_reply),
        cmocka_unit_test(bug_32_a_client_that_never_reads_publishes_on),
        cmocka_unit_test(clients_with_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
