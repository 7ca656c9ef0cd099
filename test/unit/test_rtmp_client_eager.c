// A client that says everything in one flight, before the server has said anything.
#include "client_kit.h"

#include "proto/handshake.h"

// ---- a server that answers when it has heard all of it ----------------------------------------

// Its script is a text, one letter for each answer: c connect, C and refuses it; s createStream
// with stream 1, S with stream 5, e and refuses it; r Play.Reset; p Publish.Start, P Play.Start; n
// in use; m a message of media; z Stream EOF.
static void answer_connect(struct server *server, bool accepts)
{
    struct cv_connect connect = {.enhanced = true};
    if (accepts)
        ok(cv_reply_connect(server->rtmp, 1, &connect, 4096));
    else
        ok(cv_reply_error(server->rtmp, 1, CV_STATUS_CONNECT_REJECTED, "no"));
}

static void answer_create(struct server *server, char how)
{
    double transaction = server->owed[0];
    if (how == 'e')
        ok(cv_reply_error(server->rtmp, transaction, CV_STATUS_CALL_FAILED, "none left"));
    else
        ok(cv_reply_result_number(server->rtmp, transaction, how == 's' ? 1 : 5));
}

static void send_media(struct server *server)
{
    struct cv_block *block = cv_block_copy("\x17\x01", 2);
    assert_non_null(block);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .stream_id = 1, .payload = block};
    ok(cv_rtmp_send(server->rtmp, &msg, CV_CSID_VIDEO));
    cv_block_unref(&block);
}

static void answer(struct server *server, char how)
{
    static const struct {
        char how;
        enum cv_status status;
    } statuses[] = {
        {'r', CV_STATUS_PLAY_RESET},
        {'p', CV_STATUS_PUBLISH_START},
        {'P', CV_STATUS_PLAY_START},
        {'n', CV_STATUS_PUBLISH_BAD_NAME},
    };
    if (how == 'c' || how == 'C')
        answer_connect(server, how == 'c');
    else if (strchr("sSe", how))
        answer_create(server, how);
    else if (how == 'm')
        send_media(server);
    else if (how == 'z')
        ok(cv_rtmp_send_user(server->rtmp, CV_USER_STREAM_EOF, 1));
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].how == how)
            ok(cv_reply_status(server->rtmp, 1, statuses[i].status, "so"));
    }
}

static void on_command(struct server *server, const struct cv_rtmp_event *event)
{
    if (cv_text_is(event->name, "createStream"))
        server->owed[0] = event->transaction;
    if (!cv_text_is(event->name, "publish") && !cv_text_is(event->name, "play"))
        return;
    assert_int_equal(event->msg.stream_id, 1);
    for (const char *how = server->script; *how; how++)
        answer(server, *how);
}

static struct cv_rtmp_client_config eager(enum cv_rtmp_client_mode mode)
{
    struct cv_rtmp_client_config config = client_config(mode);
    config.eager = true;
    return config;
}

// One flight there, one flight back.
static void expect(enum cv_rtmp_client_mode mode, const char *answers, const char *told)
{
    struct cv_rtmp_client_config config = eager(mode);
    struct server *server = server_new(on_command, answers);
    struct cv_rtmp_client *client = client_asking(&config);
    struct story story = {0};
    client_to_server(client, server);
    server_to_client(server, client, &story);
    assert_string_equal(story.text, told);
    cv_rtmp_client_free(client);
    split_anywhere(&config, server, &story);
    server_free(server);
}

// ---- tests ------------------------------------------------------------------------------------

static size_t lent(struct cv_rtmp_client *client, struct cv_gather *gather)
{
    cv_gather_clear(gather);
    cv_rtmp_client_pull(client, gather);
    return gather->bytes;
}

static void everything_is_lent_at_once(void **state)
{
    (void)state;
    static const char *const heard[] = {
        "connect createStream publish(gate7?key=K) ",
        "connect createStream play(gate7?key=K) buffer:3000 ",
        "connect ",
    };
    enum { ROOM = 4096 };
    for (enum cv_rtmp_client_mode mode = CV_RTMP_CLIENT_PUBLISH; mode <= CV_RTMP_CLIENT_CALL;
         mode++) {
        struct cv_rtmp_client_config config = eager(mode);
        struct server *server = server_new(on_command, "");
        struct cv_rtmp_client *client = client_asking(&config);
        assert_in_range(lent(client, &server->gather), CV_HANDSHAKE_BYTES + 100, ROOM);
        client_to_server(client, server);
        assert_string_equal(server->commands.text, heard[mode]);
        assert_true(cv_rtmp_client_out_empty(client));
        cv_rtmp_client_free(client);
        server_free(server);
    }
}

static void only_the_handshake_is_lent_before_connect(void **state)
{
    (void)state;
    static struct cv_gather gather;
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PLAY);
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 1);
    assert_non_null(client);
    // Window Acknowledgement Size goes with it: 12 + 4 bytes.
    assert_int_equal(lent(client, &gather), CV_HANDSHAKE_BYTES + 16);
    cv_rtmp_client_free(client);
    // Nobody else is in a hurry.
    config.eager = false;
    client = client_asking(&config);
    assert_int_equal(lent(client, &gather), 1 + CV_HANDSHAKE_PART_BYTES);
    cv_rtmp_client_free(client);
}

static void what_leaves_in_pieces_is_the_same(void **state)
{
    (void)state;
    static struct cv_gather gather;
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PUBLISH);
    struct server *server = server_new(on_command, "csp");
    struct cv_rtmp_client *client = client_asking(&config);
    struct cv_rtmp_event event;
    size_t count = 0;
    while (lent(client, &gather)) {
        uint8_t byte = *(const uint8_t *)gather.vectors[0].iov_base;
        cv_rtmp_client_sent(client, 1);
        cv_rtmp_feed(server->rtmp, &byte, 1);
        while (cv_rtmp_next(server->rtmp, &event) > 0)
            count += event.type == CV_RTMP_COMMAND;
    }
    assert_int_equal(count, 3);
    cv_rtmp_client_free(client);
    server_free(server);
}

static void answers_come_in_any_legal_order(void **state)
{
    (void)state;
    static const struct {
        enum cv_rtmp_client_mode mode;
        const char *answers;
        const char *told;
    } rows[] = {
        {CV_RTMP_CLIENT_PUBLISH, "csp", "ready connected started "},
        {CV_RTMP_CLIENT_PUBLISH, "cps", "ready connected started "},
        {CV_RTMP_CLIENT_PUBLISH, "cspp", "ready connected started status:NetStream.Publish.Start "},
        {CV_RTMP_CLIENT_PUBLISH, "csss", "ready connected "},
        {CV_RTMP_CLIENT_PLAY, "csrPm",
         "ready connected status:NetStream.Play.Reset started media:2@0 "},
        {CV_RTMP_CLIENT_PLAY, "crPmsm",
         "ready connected status:NetStream.Play.Reset started media:2@0 media:2@0 "},
        {CV_RTMP_CLIENT_PLAY, "cmsz", "ready connected started media:2@0 ended:finished:: "},
        // Before the answer to connect nothing counts.
        {CV_RTMP_CLIENT_PLAY, "smc", "ready connected "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(rows[i].mode, rows[i].answers, rows[i].told);
}

static void another_stream_number_is_a_failure(void **state)
{
    (void)state;
    expect(CV_RTMP_CLIENT_PUBLISH, "cS", "ready connected failed:COMMAND ");
    expect(CV_RTMP_CLIENT_PUBLISH, "cpS", "ready connected started failed:COMMAND ");
    expect(CV_RTMP_CLIENT_PLAY, "cPmS", "ready connected started media:2@0 failed:COMMAND ");
    // The first answer counts.
    expect(CV_RTMP_CLIENT_PLAY, "csSP", "ready connected started ");
}

static void refusals_end_it(void **state)
{
    (void)state;
    expect(CV_RTMP_CLIENT_PUBLISH, "Cen",
           "ready ended:rejected:NetConnection.Connect.Rejected:no ");
    expect(CV_RTMP_CLIENT_PUBLISH, "cen",
           "ready connected ended:refused:NetConnection.Call.Failed:none left ");
    expect(CV_RTMP_CLIENT_PUBLISH, "csn",
           "ready connected ended:refused:NetStream.Publish.BadName:so ");
    expect(CV_RTMP_CLIENT_PUBLISH, "cpe",
           "ready connected started ended:refused:NetConnection.Call.Failed:none left ");
}

static void goodbye_before_any_answer(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PUBLISH);
    struct server *server = server_new(on_command, "csp");
    struct cv_rtmp_client *client = client_asking(&config);
    ok(cv_rtmp_client_stop(client));
    client_to_server(client, server);
    assert_string_equal(server->commands.text,
                        "connect createStream publish(gate7?key=K) deleteStream ");
    cv_rtmp_client_free(client);
    server_free(server);
}

static void media_follows_the_start(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PUBLISH);
    struct server *server = server_new(on_command, "cps");
    struct cv_rtmp_client *client = client_asking(&config);
    struct story story = {0};
    struct cv_block *block = cv_block_copy("\x17\x01", 2);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = 7, .payload = block};
    assert_int_equal(cv_rtmp_client_send(client, &msg), CV_E_USAGE);
    meet(client, server, &story);
    ok(cv_rtmp_client_send(client, &msg));
    meet(client, server, &story);
    assert_non_null(strstr(server->commands.text, "media:2@7/1 "));
    cv_block_unref(&block);
    cv_rtmp_client_free(client);
    server_free(server);
}

static bool fly(void *arg)
{
    const struct server *server = arg;
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PLAY);
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
    struct cv_rtmp_client_config config = eager(CV_RTMP_CLIENT_PLAY);
    struct server *server = server_new(on_command, "csPm");
    struct cv_rtmp_client *client = client_asking(&config);
    struct story story = {0};
    meet(client, server, &story);
    cv_rtmp_client_free(client);
    fail_nth(fly, server);
    server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_lent_at_once),
        cmocka_unit_test(only_the_handshake_is_lent_before_connect),
        cmocka_unit_test(what_leaves_in_pieces_is_the_same),
        cmocka_unit_test(answers_come_in_any_legal_order),
        cmocka_unit_test(another_stream_number_is_a_failure),
        cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(goodbye_before_any_answer),
        cmocka_unit_test(media_follows_the_start),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
