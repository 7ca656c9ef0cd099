// What lets a stream go on over another connection: tokens and counts of a publisher, positions of
// a player.
#include "client_kit.h"

#include <math.h>

#define TOKEN "0123456789abcdef0123456789ABCDEF"
#define OTHER "ffffffffffffffffffffffffffffffff"

static const double two_53 = 9007199254740992.0;

// ---- a server that resumes --------------------------------------------------------------------

struct script {
    const char *token; // NULL: says nothing of it
    double taken;
    bool no_taken;
    bool token_is_number;
    bool taken_is_text;
    const char *play; // what comes after play: s Play.Start, p onPosition, m media
    const char *epoch;
    double seq;
    bool no_seq;
};

// The text of a member of the last argument.
static void tell_asked(struct server *server, const struct cv_rtmp_event *event, const char *key)
{
    const struct cv_amf *last = NULL;
    for (const struct cv_amf *value = event->args; value; value = value->next) {
        if (value->type == CV_AMF_NUMBER)
            tell(&server->commands, "%.0f ", value->number);
        if (value->type == CV_AMF_BOOLEAN)
            tell(&server->commands, "%s ", value->boolean ? "true" : "false");
        last = value;
    }
    const struct cv_amf *member = cv_amf_get(last, key);
    if (member)
        tell(&server->commands, "%s[%.*s] ", key, (int)member->text.len, member->text.at);
}

static void start_publishing(struct server *server, const struct script *script)
{
    struct cv_wr wr = cv_rtmp_command_begin(server->rtmp, "onStatus", 0);
    cv_amf0_null(&wr);
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "level", "status");
    cv_amf0_put_string(&wr, "code", "NetStream.Publish.Start");
    if (script->token_is_number)
        cv_amf0_put_number(&wr, "resume", 7);
    else if (script->token)
        cv_amf0_put_string(&wr, "resume", script->token);
    if (script->taken_is_text)
        cv_amf0_put_string(&wr, "taken", "0");
    else if (!script->no_taken)
        cv_amf0_put_number(&wr, "taken", script->taken);
    cv_amf0_end(&wr);
    ok(cv_rtmp_command_end(server->rtmp, &wr, 1, CV_CSID_STATUS));
}

static void say_taken(struct server *server, uint32_t stream_id, double taken)
{
    struct cv_wr wr = cv_rtmp_command_begin(server->rtmp, "onTaken", 0);
    cv_amf0_null(&wr);
    cv_amf0_number(&wr, taken);
    ok(cv_rtmp_command_end(server->rtmp, &wr, stream_id, CV_CSID_STATUS));
}

static void say_position(struct server *server, uint32_t stream_id, const struct script *script)
{
    struct cv_wr wr = cv_rtmp_command_begin(server->rtmp, "onPosition", 0);
    cv_amf0_null(&wr);
    if (script->epoch)
        cv_amf0_string(&wr, script->epoch);
    if (!script->no_seq)
        cv_amf0_number(&wr, script->seq);
    ok(cv_rtmp_command_end(server->rtmp, &wr, stream_id, CV_CSID_STATUS));
}

static void say_media(struct server *server, uint8_t type)
{
    struct cv_block *block = cv_block_copy("\x17\x01", 2);
    assert_non_null(block);
    struct cv_msg msg = {.type = type, .stream_id = 1, .payload = block};
    ok(cv_rtmp_send(server->rtmp, &msg, CV_CSID_VIDEO));
    cv_block_unref(&block);
}

static void start_playing(struct server *server, const struct script *script)
{
    for (const char *how = script->play; *how; how++) {
        if (*how == 's')
            ok(cv_reply_status(server->rtmp, 1, CV_STATUS_PLAY_START, "so"));
        else if (*how == 'p' || *how == 'x')
            say_position(server, *how == 'p' ? 1 : 2, script);
        else
            say_media(server, *how == 'd' ? CV_MSG_DATA_AMF0 : CV_MSG_VIDEO);
    }
}

static void on_command(struct server *server, const struct cv_rtmp_event *event)
{
    struct cv_connect connect = {.enhanced = true};
    const struct script *script = server->script;
    if (cv_text_is(event->name, "connect")) {
        ok(cv_reply_connect(server->rtmp, event->transaction, &connect, 4096));
    } else if (cv_text_is(event->name, "createStream")) {
        ok(cv_reply_result_number(server->rtmp, event->transaction, 1));
    } else if (cv_text_is(event->name, "publish")) {
        tell_asked(server, event, "resume");
        start_publishing(server, script);
    } else if (cv_text_is(event->name, "play")) {
        tell_asked(server, event, "position");
        start_playing(server, script);
    }
}

// ---- the two ----------------------------------------------------------------------------------

struct pair {
    struct server *server;
    struct cv_rtmp_client *client;
    struct story story;
};

static struct cv_rtmp_client_config resuming(enum cv_rtmp_client_mode mode, const char *text)
{
    struct cv_rtmp_client_config config = client_config(mode);
    config.resume = true;
    config.eager = true;
    config.resume_token = cv_text_of(text);
    config.position = cv_text_of(text);
    return config;
}

static struct pair pair_of(const struct cv_rtmp_client_config *config, const struct script *script)
{
    struct pair pair = {.server = server_new(on_command, script), .client = client_asking(config)};
    meet(pair.client, pair.server, &pair.story);
    return pair;
}

static void pair_free(struct pair *pair)
{
    cv_rtmp_client_free(pair->client);
    server_free(pair->server);
}

static void expect(const struct cv_rtmp_client_config *config, const struct script *script,
                   const char *told, const char *heard)
{
    struct pair pair = pair_of(config, script);
    assert_string_equal(pair.story.text, told);
    if (heard)
        assert_non_null(strstr(pair.server->commands.text, heard));
    split_anywhere(config, pair.server, &pair.story);
    pair_free(&pair);
}

static void expect_publish(const char *token, const struct script *script, const char *told)
{
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PUBLISH, token);
    char heard[128];
    heard[0] = '\0';
    append_text(heard, sizeof heard, "publish(gate7?key=K) resume[");
    append_text(heard, sizeof heard, token);
    append_text(heard, sizeof heard, "] ");
    expect(&config, script, told, heard);
}

// ---- a publisher ------------------------------------------------------------------------------

static void a_publisher_gets_a_token(void **state)
{
    (void)state;
    struct script script = {.token = TOKEN};
    expect_publish("", &script, "ready connected started:" TOKEN ":0 ");
}

static void it_comes_back_with_it(void **state)
{
    (void)state;
    struct script script = {.token = TOKEN, .taken = 41};
    expect_publish(TOKEN, &script, "ready connected started:" TOKEN ":41 ");
    script.taken = two_53;
    expect_publish(TOKEN, &script, "ready connected started:" TOKEN ":9007199254740992 ");
}

static void it_may_have_to_begin_afresh(void **state)
{
    (void)state;
    struct script script = {.token = TOKEN};
    expect_publish(OTHER, &script, "ready connected started:" TOKEN ":0 ");
}

static void a_server_may_know_nothing_of_it(void **state)
{
    (void)state;
    struct script script = {0};
    expect_publish("", &script, "ready connected started ");
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PUBLISH, TOKEN);
    struct pair pair = pair_of(&config, &script);
    say_taken(pair.server, 1, 17);
    meet(pair.client, pair.server, &pair.story);
    assert_string_equal(pair.story.text, "ready connected started ");
    pair_free(&pair);
}

static void who_does_not_ask_is_told_nothing(void **state)
{
    (void)state;
    struct script script = {.token = "not a token", .taken = -1, .play = "spm", .epoch = ""};
    struct cv_rtmp_client_config config = client_config(CV_RTMP_CLIENT_PUBLISH);
    expect(&config, &script, "ready connected started ", "publish(gate7?key=K) ");
    config = client_config(CV_RTMP_CLIENT_PLAY);
    expect(&config, &script, "ready connected started media:2@0 ",
           "play(gate7?key=K) -2000 buffer:3000");
}

static void promises_that_cannot_be_read_are_failures(void **state)
{
    (void)state;
    static const struct script rows[] = {
        {.token = ""},
        {.token = TOKEN "0"},
        {.token = "0123456789abcdef0123456789ABCDE"},
        {.token = "0123456789abcdef0123456789ABCDEG"},
        {.token = "0123456789abcdef 123456789ABCDEF"},
        {.token_is_number = true},
        {.token = TOKEN, .no_taken = true},
        {.token = TOKEN, .taken_is_text = true},
        {.token = TOKEN, .taken = -1},
        {.token = TOKEN, .taken = 0.5},
        {.token = TOKEN, .taken = 9007199254740994.0},
        {.token = TOKEN, .taken = 1e300},
        {.token = TOKEN, .taken = NAN},
        {.token = TOKEN, .taken = INFINITY},
        {.token = OTHER, .taken = 1}, // a new one, and has messages
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_publish(TOKEN, &rows[i], "ready connected failed:COMMAND ");
}

static void publish(struct cv_rtmp_client *client, uint32_t count)
{
    struct cv_block *block = cv_block_copy("\x17\x01", 2);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .payload = block};
    for (uint32_t i = 0; i < count; i++)
        ok(cv_rtmp_client_send(client, &msg));
    cv_block_unref(&block);
}

// Started with 41 messages; then `count` are published, of which one is metadata.
static struct pair publishing(uint32_t count)
{
    static const struct script script = {.token = TOKEN, .taken = 41};
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PUBLISH, TOKEN);
    struct pair pair = pair_of(&config, &script);
    struct cv_block *body = cv_block_copy("\x02\x00\x0aonMetaData\x05", 14);
    ok(cv_rtmp_client_send_metadata(pair.client, 7, body));
    publish(pair.client, count - 1);
    cv_block_unref(&body);
    meet(pair.client, pair.server, &pair.story);
    pair.story = (struct story){0};
    return pair;
}

static void expect_taken(uint32_t count, const double *takens, size_t len, const char *told)
{
    struct pair pair = publishing(count);
    for (size_t i = 0; i < len; i++)
        say_taken(pair.server, 1, takens[i]);
    meet(pair.client, pair.server, &pair.story);
    assert_string_equal(pair.story.text, told);
    pair_free(&pair);
}

static void what_has_arrived_is_told(void **state)
{
    (void)state;
    const double grows[] = {41, 42, 42, 44};
    expect_taken(3, grows, 4, "taken:42 taken:44 ");
    struct pair pair = publishing(1);
    say_taken(pair.server, 1, 42);
    meet(pair.client, pair.server, &pair.story);
    publish(pair.client, 10);
    say_taken(pair.server, 2, 12); // of another stream
    say_taken(pair.server, 1, 52);
    meet(pair.client, pair.server, &pair.story);
    assert_string_equal(pair.story.text, "taken:42 taken:52 ");
    pair_free(&pair);
}

static void counts_that_lie_are_failures(void **state)
{
    (void)state;
    const double back[] = {43, 42};
    expect_taken(3, back, 2, "taken:43 failed:COMMAND ");
    const double rows[] = {40, 0, 45, two_53, 1e300, -1, 42.5, NAN, -INFINITY};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_taken(3, rows + i, 1, "failed:COMMAND ");
}

static void a_count_before_the_start_is_nobodys(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PUBLISH, "");
    struct script script = {.token = TOKEN};
    struct server *server = server_new(on_command, &script);
    struct cv_rtmp_client *client = client_asking(&config);
    struct story story = {0};
    say_taken(server, 1, 5);
    meet(client, server, &story);
    assert_string_equal(story.text, "ready connected started:" TOKEN ":0 ");
    cv_rtmp_client_free(client);
    server_free(server);
}

// ---- a player ---------------------------------------------------------------------------------

static void expect_play(const char *position, const struct script *script, const char *told)
{
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PLAY, position);
    char heard[128];
    heard[0] = '\0';
    append_text(heard, sizeof heard, "play(gate7?key=K) -2000 -1 true position[");
    append_text(heard, sizeof heard, position);
    append_text(heard, sizeof heard, "] buffer:3000 ");
    expect(&config, script, told, heard);
}

static void a_position_comes_before_its_message(void **state)
{
    (void)state;
    struct script script = {.play = "sdmpmm", .epoch = "e:1", .seq = 17};
    expect_play("", &script,
                "ready connected started data:2@0 media:2@0 position:e:1:17 media:2@0 media:2@0 ");
    script.play = "spmpm";
    expect_play("e:1:17", &script,
                "ready connected started position:e:1:17 media:2@0 position:e:1:17 media:2@0 ");
    script.seq = two_53;
    script.epoch = "!2345678901234567890123456789012345678901234567890123456789012~4";
    expect_play("", &script,
                "ready connected started position:"
                "!2345678901234567890123456789012345678901234567890123456789012~4:"
                "9007199254740992 media:2@0 position:"
                "!2345678901234567890123456789012345678901234567890123456789012~4:"
                "9007199254740992 media:2@0 ");
}

static void a_position_starts_a_player(void **state)
{
    (void)state;
    struct script script = {.play = "pms", .epoch = "e", .seq = 0};
    expect_play("", &script,
                "ready connected started position:e:0 media:2@0 status:NetStream.Play.Start ");
}

// Headers behind a jump have no numbers.
static void a_position_can_be_taken_back(void **state)
{
    (void)state;
    struct script script = {.play = "spm", .epoch = "", .seq = 0};
    expect_play("", &script, "ready connected started position::0 media:2@0 ");
}

static void a_position_of_another_stream_is_nobodys(void **state)
{
    (void)state;
    struct script script = {.play = "sxm", .epoch = "e", .seq = 0};
    expect_play("", &script, "ready connected started media:2@0 ");
}

static void positions_that_cannot_be_read_are_failures(void **state)
{
    (void)state;
    static const struct script rows[] = {
        {.play = "sp", .seq = 1}, // no epoch, then the number stands there
        {.play = "sp", .no_seq = true},
        {.play = "sp", .epoch = "", .seq = 1},
        {.play = "sp", .epoch = "a b", .seq = 1},
        {.play = "sp", .epoch = "a\x7f", .seq = 1},
        {.play = "sp", .epoch = "\xc3\xa4", .seq = 1},
        {.play = "sp",
         .epoch = "12345678901234567890123456789012345678901234567890123456789012345",
         .seq = 1},
        {.play = "sp", .epoch = "e", .no_seq = true},
        {.play = "sp", .epoch = "e", .seq = -1},
        {.play = "sp", .epoch = "e", .seq = 0.25},
        {.play = "sp", .epoch = "e", .seq = 9007199254740994.0},
        {.play = "sp", .epoch = "e", .seq = 18446744073709551616.0},
        {.play = "sp", .epoch = "e", .seq = NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_play("", &rows[i], "ready connected started failed:COMMAND ");
}

// ---- no memory ----------------------------------------------------------------------------------

static bool replay(void *arg)
{
    const struct server *server = arg;
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PLAY, "e:17");
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 1);
    struct story story = {0};
    if (!client)
        return false;
    bool asked = cv_rtmp_client_connect(client) == CV_OK;
    if (asked)
        client_feed(client, server->record, server->record_len, &story);
    cv_rtmp_client_free(client);
    return asked && story.err == CV_OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = resuming(CV_RTMP_CLIENT_PLAY, "e:17");
    struct script script = {.play = "spm", .epoch = "e", .seq = 17};
    struct pair pair = pair_of(&config, &script);
    fail_nth(replay, pair.server);
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publisher_gets_a_token),
        cmocka_unit_test(it_comes_back_with_it),
        cmocka_unit_test(it_may_have_to_begin_afresh),
        cmocka_unit_test(a_server_may_know_nothing_of_it),
        cmocka_unit_test(who_does_not_ask_is_told_nothing),
        cmocka_unit_test(promises_that_cannot_be_read_are_failures),
        cmocka_unit_test(what_has_arrived_is_told),
        cmocka_unit_test(counts_that_lie_are_failures),
        cmocka_unit_test(a_count_before_the_start_is_nobodys),
        cmocka_unit_test(a_position_comes_before_its_message),
        cmocka_unit_test(a_position_starts_a_player),
        cmocka_unit_test(a_position_can_be_taken_back),
        cmocka_unit_test(a_position_of_another_stream_is_nobodys),
        cmocka_unit_test(positions_that_cannot_be_read_are_failures),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
