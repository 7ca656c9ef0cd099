// The client against a scripted server in memory, which is made of the session engine and the
// server's own replies; then against recorded and hostile bytes.
#include "client_kit.h"

enum { STREAM_ID = 5 };

// ---- the scripted server ---------------------------------------------------------------------

// A server that deviates where the script says so.
struct script {
    enum cv_status connect; // CONNECT_SUCCESS, or the refusal
    enum cv_status create;  // CALL_FAILED: createStream is refused
    enum cv_status start;   // PUBLISH_START, PLAY_START, or the refusal
    enum cv_status over;    // after media: UNPUBLISH, STOP; 0: Stream EOF
    bool start_by_error;    // the refusal of publish or play comes as _error
    bool start_by_media;    // no Play.Start at all
    bool late_answers;      // releaseStream and FCPublish are answered last
    bool twice;             // each answer comes twice
    bool zero_stream;       // createStream answers 0
    bool chatty;            // commands that nobody knows, and a ping
    bool close;             // "close" after connect
};

static int send_media(struct cv_rtmp *rtmp, uint8_t type, uint32_t ts_ms, size_t len)
{
    static const uint8_t bytes[2000] = {0x17, 1};
    struct cv_block *block = cv_block_copy(bytes, len);
    if (!block)
        return CV_E_NOMEM;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = STREAM_ID, .payload = block};
    int err = cv_rtmp_send(rtmp, &msg, type == CV_MSG_VIDEO ? CV_CSID_VIDEO : CV_CSID_STATUS);
    cv_block_unref(&block);
    return err;
}

static void send_strange(struct cv_rtmp *rtmp)
{
    static const char *const names[] = {"onBWDone", "onFCPublish", "_checkbw", "", "connect"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct cv_wr wr = cv_rtmp_command_begin(rtmp, names[i], (double)i * 1e9);
        ok(cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND));
    }
    ok(cv_rtmp_send_user(rtmp, CV_USER_PING_REQUEST, 77));
    ok(cv_rtmp_send_user(rtmp, CV_USER_STREAM_EOF, 0));
}

static void answer_connect(struct server *server, const struct cv_rtmp_event *event)
{
    struct cv_connect connect;
    ok(cv_connect_parse(event, &connect));
    assert_true(cv_text_is(connect.app, "live"));
    assert_true(cv_text_is(connect.tc_url, "rtmp://h/live"));
    assert_true(connect.enhanced);
    const struct script *script = server->script;
    if (script->chatty)
        send_strange(server->rtmp);
    if (script->connect != CV_STATUS_CONNECT_SUCCESS) {
        ok(cv_reply_error(server->rtmp, event->transaction, script->connect, "no\nway"));
        return;
    }
    for (int i = 0; i <= script->twice; i++)
        ok(cv_reply_connect(server->rtmp, event->transaction, &connect, 4096));
    if (script->close) {
        struct cv_wr wr = cv_rtmp_command_begin(server->rtmp, "close", 0);
        ok(cv_rtmp_command_end(server->rtmp, &wr, 0, CV_CSID_COMMAND));
    }
}

static void answer_plain(struct server *server, const struct cv_rtmp_event *event)
{
    const struct script *script = server->script;
    if (script->late_answers)
        server->owed[server->owed_count++] = event->transaction;
    else
        ok(cv_reply_result(server->rtmp, event->transaction));
}

static void answer_create(struct server *server, const struct cv_rtmp_event *event)
{
    const struct script *script = server->script;
    if (script->create == CV_STATUS_CALL_FAILED) {
        ok(cv_reply_error(server->rtmp, event->transaction, script->create, "none left"));
        return;
    }
    for (int i = 0; i <= script->twice; i++)
        ok(cv_reply_result_number(server->rtmp, event->transaction,
                                  script->zero_stream ? 0 : STREAM_ID + i));
    for (size_t i = 0; i < server->owed_count; i++)
        ok(cv_reply_error(server->rtmp, server->owed[i], CV_STATUS_CALL_FAILED, "late"));
}

static void send_stream(struct server *server)
{
    const struct script *script = server->script;
    ok(cv_rtmp_send_user(server->rtmp, CV_USER_STREAM_EOF, STREAM_ID + 1)); // not ours
    ok(send_media(server->rtmp, CV_MSG_VIDEO, 40, 1000));
    ok(send_media(server->rtmp, CV_MSG_DATA_AMF0, 40, 20));
    ok(send_media(server->rtmp, CV_MSG_AUDIO, 41, 0));
    if (script->over)
        ok(cv_reply_status(server->rtmp, STREAM_ID, script->over, "over"));
    else
        ok(cv_rtmp_send_user(server->rtmp, CV_USER_STREAM_EOF, STREAM_ID));
}

static bool is_start(enum cv_status status)
{
    return status == CV_STATUS_PUBLISH_START || status == CV_STATUS_PLAY_START;
}

static void answer_start(struct server *server, const struct cv_rtmp_event *event)
{
    const struct script *script = server->script;
    assert_int_equal(event->msg.stream_id, STREAM_ID);
    if (script->start_by_error) {
        ok(cv_reply_error(server->rtmp, event->transaction, script->start, "in use"));
        return;
    }
    ok(cv_rtmp_send_user(server->rtmp, CV_USER_STREAM_BEGIN, STREAM_ID));
    if (script->start == CV_STATUS_PLAY_START)
        ok(cv_reply_status(server->rtmp, STREAM_ID, CV_STATUS_PLAY_RESET, "reset"));
    for (int i = 0; i <= script->twice && !script->start_by_media; i++)
        ok(cv_reply_status(server->rtmp, STREAM_ID, script->start, "in use"));
    if (is_start(script->start) && cv_text_is(event->name, "play"))
        send_stream(server);
}

static void on_command(struct server *server, const struct cv_rtmp_event *event)
{
    static const struct {
        const char *name;
        void (*fn)(struct server *server, const struct cv_rtmp_event *event);
    } commands[] = {
        {"connect", answer_connect}, {"releaseStream", answer_plain},
        {"FCPublish", answer_plain}, {"createStream", answer_create},
        {"publish", answer_start},   {"play", answer_start},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (cv_text_is(event->name, commands[i].name))
            commands[i].fn(server, event);
    }
}

// ---- the two meet ----------------------------------------------------------------------------

static struct cv_rtmp_client *client_new(enum cv_rtmp_client_mode mode)
{
    struct cv_rtmp_client_config config = client_config(mode);
    return cv_rtmp_client_new(&config, 1);
}

static struct cv_rtmp_client *asking(enum cv_rtmp_client_mode mode)
{
    struct cv_rtmp_client_config config = client_config(mode);
    return client_asking(&config);
}

static void expect(enum cv_rtmp_client_mode mode, const struct script *script, const char *told,
                   const char *heard)
{
    struct cv_rtmp_client_config config = client_config(mode);
    struct server *server = server_new(on_command, script);
    struct cv_rtmp_client *client = asking(mode);
    struct story story = {0};
    meet(client, server, &story);
    assert_string_equal(story.text, told);
    if (heard)
        assert_string_equal(server->commands.text, heard);
    cv_rtmp_client_free(client);
    split_anywhere(&config, server, &story);
    server_free(server);
}

static const struct script good_publish = {.start = CV_STATUS_PUBLISH_START};
static const struct script good_play = {.start = CV_STATUS_PLAY_START};

// ---- tests -----------------------------------------------------------------------------------

static void publisher_starts(void **state)
{
    (void)state;
    expect(CV_RTMP_CLIENT_PUBLISH, &good_publish, "ready connected started ",
           "connect releaseStream(gate7?key=K) FCPublish(gate7?key=K) createStream "
           "publish(gate7?key=K) ");
}

static void player_gets_media_until_the_end(void **state)
{
    (void)state;
    expect(CV_RTMP_CLIENT_PLAY, &good_play,
           "ready connected status:NetStream.Play.Reset started media:1000@40 data:20@40 "
           "media:0@41 ended:finished:: ",
           "connect createStream play(gate7?key=K) buffer:3000 ");
}

static void player_learns_that_the_publisher_has_left(void **state)
{
    (void)state;
    struct script script = good_play;
    script.over = CV_STATUS_PLAY_UNPUBLISH_NOTIFY;
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected status:NetStream.Play.Reset started media:1000@40 data:20@40 "
           "media:0@41 ended:unpublished:NetStream.Play.UnpublishNotify:over ",
           NULL);
    script.over = CV_STATUS_PLAY_STOP;
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected status:NetStream.Play.Reset started media:1000@40 data:20@40 "
           "media:0@41 ended:finished:NetStream.Play.Stop:over ",
           NULL);
}

static void first_media_starts_a_player(void **state)
{
    (void)state;
    struct script script = good_play;
    script.start_by_media = true;
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected status:NetStream.Play.Reset started media:1000@40 data:20@40 "
           "media:0@41 ended:finished:: ",
           NULL);
}

static void connect_is_rejected(void **state)
{
    (void)state;
    struct script script = {.connect = CV_STATUS_CONNECT_REJECTED};
    expect(CV_RTMP_CLIENT_PUBLISH, &script,
           "ready ended:rejected:NetConnection.Connect.Rejected:no\nway ", "connect ");
}

static void why_names_the_refusal_in_printable_words(void **state)
{
    (void)state;
    struct script script = {.connect = CV_STATUS_CONNECT_INVALID_APP};
    struct server *server = server_new(on_command, &script);
    struct cv_rtmp_client *client = asking(CV_RTMP_CLIENT_PLAY);
    struct story story = {0};
    meet(client, server, &story);
    const struct cv_why *why = cv_rtmp_client_why(client);
    assert_int_equal(why->code, CV_E_NOT_FOUND);
    assert_non_null(strstr(why->text, "NetConnection.Connect.InvalidApp"));
    assert_null(strchr(why->text, '\n'));
    cv_rtmp_client_free(client);
    server_free(server);
}

static void refusals_end_it(void **state)
{
    (void)state;
    struct script script = {.create = CV_STATUS_CALL_FAILED};
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected ended:refused:NetConnection.Call.Failed:none left ", NULL);
    script = (struct script){.start = CV_STATUS_PUBLISH_BAD_NAME};
    expect(CV_RTMP_CLIENT_PUBLISH, &script,
           "ready connected ended:refused:NetStream.Publish.BadName:in use ", NULL);
    script = (struct script){.start = CV_STATUS_PLAY_NOT_FOUND};
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected ended:refused:NetStream.Play.StreamNotFound:in use ", NULL);
    script.start_by_error = true;
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected ended:refused:NetStream.Play.StreamNotFound:in use ", NULL);
}

static void server_says_close(void **state)
{
    (void)state;
    struct script script = good_play;
    script.close = true;
    expect(CV_RTMP_CLIENT_PLAY, &script,
           "ready connected ended:closed:: ", "connect createStream ");
}

static void late_and_repeated_answers_do_no_harm(void **state)
{
    (void)state;
    struct script script = good_publish;
    script.late_answers = true;
    expect(CV_RTMP_CLIENT_PUBLISH, &script, "ready connected started ", NULL);
    script.twice = true;
    expect(CV_RTMP_CLIENT_PUBLISH, &script,
           "ready connected started status:NetStream.Publish.Start ",
           "connect releaseStream(gate7?key=K) FCPublish(gate7?key=K) createStream "
           "publish(gate7?key=K) ");
}

static void strange_commands_are_ignored_and_pings_answered(void **state)
{
    (void)state;
    struct script script = good_publish;
    script.chatty = true;
    expect(CV_RTMP_CLIENT_PUBLISH, &script, "ready connected started ",
           "connect pong releaseStream(gate7?key=K) FCPublish(gate7?key=K) createStream "
           "publish(gate7?key=K) ");
}

static void stream_number_zero_is_a_failure(void **state)
{
    (void)state;
    struct script script = {.zero_stream = true};
    expect(CV_RTMP_CLIENT_PLAY, &script, "ready connected failed:COMMAND ", NULL);
}

static void nothing_is_asked_before_connect_is_called(void **state)
{
    (void)state;
    struct server *server = server_new(on_command, &good_publish);
    struct cv_rtmp_client *client = client_new(CV_RTMP_CLIENT_PUBLISH);
    struct story story = {0};
    meet(client, server, &story);
    assert_string_equal(story.text, "ready ");
    assert_string_equal(server->commands.text, "");
    ok(cv_rtmp_client_connect(client));
    meet(client, server, &story);
    assert_string_equal(story.text, "ready connected started ");
    cv_rtmp_client_free(client);
    server_free(server);
}

static int client_send(struct cv_rtmp_client *client, uint8_t type, uint32_t ts_ms, size_t len)
{
    static const uint8_t bytes[5000];
    struct cv_block *block = cv_block_copy(bytes, len);
    assert_non_null(block);
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = 99, .payload = block};
    int err = cv_rtmp_client_send(client, &msg);
    cv_block_unref(&block);
    return err;
}

static void publisher_sends_media_and_metadata(void **state)
{
    (void)state;
    struct server *server = server_new(on_command, &good_publish);
    struct cv_rtmp_client *client = asking(CV_RTMP_CLIENT_PUBLISH);
    struct story story = {0};
    assert_int_equal(client_send(client, CV_MSG_VIDEO, 1, 2), CV_E_USAGE);
    meet(client, server, &story);
    struct cv_block *body = cv_block_copy("\x02\x00\x0aonMetaData\x05", 14);
    server->commands = (struct story){0};
    ok(cv_rtmp_client_send_metadata(client, 7, body));
    ok(client_send(client, CV_MSG_VIDEO, 8, 5000));
    ok(client_send(client, CV_MSG_AUDIO, 9, 100));
    meet(client, server, &story);
    assert_string_equal(server->commands.text, "data:30@7/5 media:5000@8/5 media:100@9/5 ");
    ok(cv_rtmp_client_stop(client));
    meet(client, server, &story);
    assert_non_null(strstr(server->commands.text, "FCUnpublish(gate7?key=K) deleteStream "));
    assert_int_equal(client_send(client, CV_MSG_VIDEO, 10, 2), CV_E_USAGE);
    client_feed(client, (const uint8_t *)"after the end", 13, &story);
    assert_string_equal(story.text, "ready connected started ");
    cv_block_unref(&body);
    cv_rtmp_client_free(client);
    server_free(server);
}

static void players_may_not_send(void **state)
{
    (void)state;
    struct script script = good_play;
    struct server *server = server_new(on_command, &script);
    struct cv_rtmp_client *client = asking(CV_RTMP_CLIENT_PLAY);
    struct story story = {0};
    meet(client, server, &story);
    assert_int_equal(client_send(client, CV_MSG_VIDEO, 1, 2), CV_E_USAGE);
    cv_rtmp_client_free(client);
    server_free(server);
}

static void stop_before_the_start_says_nothing(void **state)
{
    (void)state;
    struct cv_rtmp_client *client = client_new(CV_RTMP_CLIENT_PUBLISH);
    struct cv_rtmp_client_event event;
    ok(cv_rtmp_client_stop(client));
    assert_int_equal(cv_rtmp_client_next(client, &event), 0);
    assert_int_equal(cv_rtmp_client_why(client)->code, CV_E_CLOSED);
    cv_rtmp_client_free(client);
}

// ---- hostile bytes, and no memory -------------------------------------------------------------

// The handshake of a server, and then `hex`.
static void expect_hostile(enum cv_rtmp_client_mode mode, const char *hex, const char *told)
{
    static uint8_t bytes[HANDSHAKE + 4096] = {3};
    size_t len = HANDSHAKE + hex_bytes(hex, bytes + HANDSHAKE, sizeof bytes - HANDSHAKE);
    struct cv_rtmp_client *client = asking(mode);
    struct story story = {0};
    client_feed(client, bytes, len, &story);
    assert_string_equal(story.text, told);
    client_feed(client, bytes, len, &story);
    assert_string_equal(story.text, told);
    cv_rtmp_client_free(client);
}

static void hostile_replies_fail_cleanly(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        const char *told;
    } rows[] = {
        // _result 1 and nothing behind it: taken as yes
        {"03 000000 000013 14 00000000 020007 5f726573756c74 00 3ff0000000000000",
         "ready connected "},
        // _result with a transaction that is not a number
        {"03 000000 00000b 14 00000000 020007 5f726573756c74 05", "ready "},
        // _result NaN
        {"03 000000 000013 14 00000000 020007 5f726573756c74 00 7ff8000000000000", "ready "},
        // a command that does not begin with a name
        {"03 000000 000009 14 00000000 00 3ff0000000000000", "ready failed:COMMAND "},
        // a name that is longer than the message
        {"03 000000 000004 14 00000000 02ffff 5f", "ready failed:TRUNCATED "},
        // onStatus whose info is a string
        {"05 000000 00000e 14 01000000 020008 6f6e537461747573 020000", "ready status: "},
        // media before anything was asked
        {"06 000000 000002 09 01000000 1701", "ready "},
        // chunk size 0
        {"02 000000 000004 01 00000000 00000000", "ready failed:CHUNK_SIZE "},
        // _error 1 without any words
        {"03 000000 000012 14 00000000 020006 5f6572726f72 00 3ff0000000000000",
         "ready ended:rejected:: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_hostile(CV_RTMP_CLIENT_PLAY, rows[i].hex, rows[i].told);
        expect_hostile(CV_RTMP_CLIENT_PUBLISH, rows[i].hex, rows[i].told);
    }
}

static void commands_before_connect_are_ignored(void **state)
{
    (void)state;
    static uint8_t bytes[HANDSHAKE + 64] = {3};
    size_t len = HANDSHAKE + hex_bytes("03 000000 000011 14 00000000 020005 636c6f7365 00"
                                       "0000000000000000",
                                       bytes + HANDSHAKE, 64);
    struct cv_rtmp_client *client = client_new(CV_RTMP_CLIENT_PLAY);
    struct story story = {0};
    client_feed(client, bytes, len, &story);
    assert_string_equal(story.text, "ready ");
    cv_rtmp_client_free(client);
}

static void wrong_version_fails(void **state)
{
    (void)state;
    struct cv_rtmp_client *client = asking(CV_RTMP_CLIENT_PLAY);
    struct story story = {0};
    client_feed(client, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n", 26, &story);
    assert_string_equal(story.text, "failed:HANDSHAKE_VERSION ");
    cv_rtmp_client_free(client);
}

static bool replay(void *arg)
{
    const struct server *server = arg;
    struct cv_rtmp_client *client = client_new(CV_RTMP_CLIENT_PLAY);
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
    struct server *server = server_new(on_command, &good_play);
    struct cv_rtmp_client *client = asking(CV_RTMP_CLIENT_PLAY);
    struct story story = {0};
    meet(client, server, &story);
    cv_rtmp_client_free(client);
    fail_nth(replay, server);
    server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publisher_starts),
        cmocka_unit_test(player_gets_media_until_the_end),
        cmocka_unit_test(player_learns_that_the_publisher_has_left),
        cmocka_unit_test(first_media_starts_a_player),
        cmocka_unit_test(connect_is_rejected),
        cmocka_unit_test(why_names_the_refusal_in_printable_words),
        cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(server_says_close),
        cmocka_unit_test(late_and_repeated_answers_do_no_harm),
        cmocka_unit_test(strange_commands_are_ignored_and_pings_answered),
        cmocka_unit_test(stream_number_zero_is_a_failure),
        cmocka_unit_test(nothing_is_asked_before_connect_is_called),
        cmocka_unit_test(publisher_sends_media_and_metadata),
        cmocka_unit_test(players_may_not_send),
        cmocka_unit_test(stop_before_the_start_says_nothing),
        cmocka_unit_test(hostile_replies_fail_cleanly),
        cmocka_unit_test(commands_before_connect_are_ignored),
        cmocka_unit_test(wrong_version_fails),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
