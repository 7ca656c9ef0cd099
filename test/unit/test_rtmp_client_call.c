// Calls of the server's functions, and signs of life.
#include "client_kit.h"

// ---- a server with functions --------------------------------------------------------------------

// add: the sum of its arguments. later: answered with the next command, and after that one. refuse:
// an error. Others: no answer. Every answer comes with some that nobody has asked for.
static void answer_number(struct server *server, double transaction, double value)
{
    ok(cv_reply_result_number(server->rtmp, 99, 1));
    ok(cv_reply_result_number(server->rtmp, transaction, value));
    ok(cv_reply_result_number(server->rtmp, transaction, value + 1)); // twice
    ok(cv_reply_result_number(server->rtmp, transaction + 0.5, 2));
    ok(cv_reply_error(server->rtmp, 1e12, CV_STATUS_CALL_FAILED, "nobody"));
}

static double sum_of(const struct cv_amf *args)
{
    double sum = 0;
    for (; args; args = args->next)
        sum += cv_amf_number(args, 0);
    return sum;
}

static void answer_later_ones(struct server *server)
{
    while (server->owed_count)
        answer_number(server, server->owed[--server->owed_count], 7);
}

static void on_command(struct server *server, const struct cv_rtmp_event *event)
{
    struct cv_connect connect = {.enhanced = true};
    if (cv_text_is(event->name, "connect"))
        ok(cv_reply_connect(server->rtmp, event->transaction, &connect, 4096));
    else if (cv_text_is(event->name, "createStream"))
        ok(cv_reply_result_number(server->rtmp, event->transaction, 1));
    else if (cv_text_is(event->name, "publish"))
        ok(cv_reply_status(server->rtmp, 1, CV_STATUS_PUBLISH_START, "so"));
    else if (cv_text_is(event->name, "add"))
        answer_number(server, event->transaction, sum_of(event->args));
    else if (cv_text_is(event->name, "refuse"))
        ok(cv_reply_error(server->rtmp, event->transaction, CV_STATUS_CALL_FAILED, "no"));
    else if (cv_text_is(event->name, "later"))
        server->owed[server->owed_count++] = event->transaction;
    if (!cv_text_is(event->name, "later"))
        answer_later_ones(server);
}

// ---- the two ------------------------------------------------------------------------------------

static const char one_and_two[] = "\0\x3f\xf0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0";
static const struct cv_text two_numbers = {one_and_two, 18};
static const struct cv_text nothing;

static uint32_t call(struct cv_rtmp_client *client, const char *name, struct cv_text args)
{
    uint32_t id = 0;
    ok(cv_rtmp_client_call(client, name, args, &id));
    return id;
}

struct pair {
    struct cv_rtmp_client *client;
    struct server *server;
    struct story story;
};

// The client is connected, and publishes if it was to.
static struct pair pair_met(enum cv_rtmp_client_mode mode)
{
    struct cv_rtmp_client_config config = client_config(mode);
    struct pair pair = {.client = client_asking(&config), .server = server_new(on_command, NULL)};
    meet(pair.client, pair.server, &pair.story);
    return pair;
}

static void pair_part(struct pair *pair)
{
    cv_rtmp_client_free(pair->client);
    server_free(pair->server);
}

static void act(struct cv_rtmp_client *client, const struct cv_rtmp_client_event *event)
{
    if (event->type != CV_RTMP_CLIENT_CONNECTED)
        return;
    assert_int_equal(call(client, "later", nothing), 100);
    assert_int_equal(call(client, "later", nothing), 101);
    assert_int_equal(call(client, "add", two_numbers), 102);
    assert_int_equal(call(client, "refuse", nothing), 103);
    assert_int_equal(call(client, "silent", nothing), 104);
    ok(cv_rtmp_client_ping(client, 0xfedcba98));
}

static void results_come_in_any_order(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = client_config(CV_RTMP_CLIENT_CALL);
    struct server *server = server_new(on_command, NULL);
    struct cv_rtmp_client *client = client_asking(&config);
    struct story story = {.act = act};
    meet(client, server, &story);
    assert_string_equal(server->commands.text, "connect later later add refuse silent ping ");
    assert_string_equal(story.text, "ready connected result:102:3 result:101:7 result:100:7 "
                                    "error:103:<3> pong:4275878552 ");
    ok(cv_rtmp_client_stop(client));
    assert_true(cv_rtmp_client_out_empty(client));
    cv_rtmp_client_free(client);
    split_anywhere(&config, server, &story);
    server_free(server);
}

static void a_publisher_may_call_too(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_PUBLISH);
    call(pair.client, "add", two_numbers);
    meet(pair.client, pair.server, &pair.story);
    assert_string_equal(pair.story.text, "ready connected started result:100:3 ");
    pair_part(&pair);
}

static void errors_say_why(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_CALL);
    struct cv_rtmp_client_event event;
    call(pair.client, "refuse", nothing);
    client_to_server(pair.client, pair.server);
    cv_gather_clear(&pair.server->gather);
    cv_rtmp_pull(pair.server->rtmp, &pair.server->gather);
    for (int i = 0; i < pair.server->gather.count; i++) {
        cv_rtmp_client_feed(pair.client, pair.server->gather.vectors[i].iov_base,
                            pair.server->gather.vectors[i].iov_len);
        if (i + 1 < pair.server->gather.count)
            assert_int_equal(cv_rtmp_client_next(pair.client, &event), 0);
    }
    assert_int_equal(cv_rtmp_client_next(pair.client, &event), 1);
    assert_int_equal(event.type, CV_RTMP_CLIENT_RESULT);
    assert_false(event.ok);
    assert_true(cv_text_is(event.code, "NetConnection.Call.Failed"));
    assert_true(cv_text_is(event.description, "no"));
    pair_part(&pair);
}

static void only_who_is_connected_may_call(void **state)
{
    (void)state;
    struct cv_rtmp_client_config config = client_config(CV_RTMP_CLIENT_CALL);
    struct server *server = server_new(on_command, NULL);
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 1);
    struct story story = {0};
    uint32_t id = 1;
    assert_non_null(client);
    assert_int_equal(cv_rtmp_client_call(client, "add", nothing, &id), CV_E_USAGE);
    ok(cv_rtmp_client_connect(client));
    assert_int_equal(cv_rtmp_client_call(client, "add", nothing, &id), CV_E_USAGE);
    assert_int_equal(cv_rtmp_client_ping(client, 1), CV_E_USAGE);
    meet(client, server, &story);
    ok(cv_rtmp_client_stop(client));
    assert_int_equal(cv_rtmp_client_call(client, "add", nothing, &id), CV_E_USAGE);
    assert_int_equal(cv_rtmp_client_ping(client, 1), CV_E_USAGE);
    assert_int_equal(id, 1);
    cv_rtmp_client_free(client);
    server_free(server);
}

static void open_calls_have_a_cap(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_CALL);
    uint32_t id = 0;
    for (uint32_t i = 1; i < CV_LIMIT_CLIENT_CALLS; i++)
        call(pair.client, "silent", nothing);
    meet(pair.client, pair.server, &pair.story);
    for (uint32_t i = 0; i < 3; i++) {
        call(pair.client, "add", two_numbers);
        assert_int_equal(cv_rtmp_client_call(pair.client, "add", nothing, &id), CV_E_QUEUE_FULL);
        meet(pair.client, pair.server, &pair.story);
    }
    assert_string_equal(pair.story.text, "ready connected result:163:3 result:164:3 result:165:3 ");
    pair_part(&pair);
}

static void a_flood_of_results_is_nobodys(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_CALL);
    for (uint32_t i = 0; i < 400; i++) {
        ok(cv_reply_result_number(pair.server->rtmp, 1 + i % 200, i));
        ok(cv_rtmp_send_user(pair.server->rtmp, CV_USER_PING_RESPONSE, i));
    }
    meet(pair.client, pair.server, &pair.story);
    assert_string_equal(pair.story.text, "ready connected ");
    pair_part(&pair);
}

static void arguments_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_CALL);
    uint32_t id = 0;
    char *much = calloc(1, CV_LIMIT_COMMAND_BYTES);
    assert_non_null(much);
    struct cv_text args = {much, CV_LIMIT_COMMAND_BYTES};
    assert_int_equal(cv_rtmp_client_call(pair.client, "add", args, &id), CV_E_TOO_LONG);
    assert_int_equal(call(pair.client, "add", two_numbers), 100);
    free(much);
    pair_part(&pair);
}

// ---- no memory ----------------------------------------------------------------------------------

static bool call_once(void *arg)
{
    uint32_t id = 0;
    int err = cv_rtmp_client_call(arg, "add", two_numbers, &id);
    if (err == CV_OK)
        err = cv_rtmp_client_ping(arg, 1);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    return err == CV_OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct pair pair = pair_met(CV_RTMP_CLIENT_CALL);
    fail_nth(call_once, pair.client);
    meet(pair.client, pair.server, &pair.story);
    assert_non_null(strstr(pair.story.text, "result:10"));
    assert_non_null(strstr(pair.story.text, "pong:1 "));
    pair_part(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_come_in_any_order),
        cmocka_unit_test(a_publisher_may_call_too),
        cmocka_unit_test(errors_say_why),
        cmocka_unit_test(only_who_is_connected_may_call),
        cmocka_unit_test(open_calls_have_a_cap),
        cmocka_unit_test(a_flood_of_results_is_nobodys),
        cmocka_unit_test(arguments_that_are_too_long_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
