// The server's side of one stream, with our own client and with commands by hand.
#include "harness.h"

#include "client_kit.h"

#include "proto/rtmp_host.h"

struct talk {
    struct cv_rtmp_host *host;
    struct cv_rtmp_client *client;
    struct story story;     // what the client saw
    struct story heard;     // what the host told
    enum cv_status refusal; // asked: refuse by this; CV_STATUS_COUNT: accept
    bool waits;             // asked: no answer yet
    uint8_t record[65536];  // what the client sent
    size_t record_len;
};

static void hear(struct talk *talk, const struct cv_rtmp_host_event *event)
{
    switch (event->type) {
    case CV_RTMP_HOST_PUBLISH:
    case CV_RTMP_HOST_PLAY:
        tell(&talk->heard, "%s:%.*s/%.*s ",
             event->type == CV_RTMP_HOST_PUBLISH ? "publish" : "play", (int)event->app.len,
             event->app.at, (int)event->name.len, event->name.len ? event->name.at : "");
        if (!talk->waits && talk->refusal == CV_STATUS_COUNT)
            ok(cv_rtmp_host_accept(talk->host));
        else if (!talk->waits)
            ok(cv_rtmp_host_refuse(talk->host, talk->refusal, "not you"));
        return;
    case CV_RTMP_HOST_MESSAGE:
        tell(&talk->heard, "msg:%u:%u@%u ", event->msg.type, event->msg.payload->len,
             event->msg.ts_ms);
        return;
    case CV_RTMP_HOST_STOP:
        tell(&talk->heard, "stop ");
        return;
    }
}

static int host_feed(struct talk *talk, const uint8_t *data, size_t len)
{
    struct guard guard = guard_copy(data, len);
    struct cv_rtmp_host_event event;
    cv_rtmp_host_feed(talk->host, guard.data, guard.len);
    int more;
    while ((more = cv_rtmp_host_next(talk->host, &event)) > 0)
        hear(talk, &event);
    guard_free(&guard);
    return more;
}

static size_t copy_out(const struct cv_gather *gather, uint8_t *out, size_t max)
{
    size_t len = 0;
    for (int i = 0; i < gather->count; i++) {
        assert_true(len + gather->vectors[i].iov_len <= max);
        memcpy(out + len, gather->vectors[i].iov_base, gather->vectors[i].iov_len);
        len += gather->vectors[i].iov_len;
    }
    return len;
}

// Until neither has anything to say.
static void meet_host(struct talk *talk)
{
    static struct cv_gather gather;
    static uint8_t bytes[65536];
    for (bool moved = true; moved;) {
        cv_gather_clear(&gather);
        cv_rtmp_client_pull(talk->client, &gather);
        size_t len = copy_out(&gather, bytes, sizeof bytes);
        cv_rtmp_client_sent(talk->client, len);
        moved = len > 0;
        assert_true(talk->record_len + len <= sizeof talk->record);
        memcpy(talk->record + talk->record_len, bytes, len);
        talk->record_len += len;
        assert_int_equal(host_feed(talk, bytes, len), 0);
        cv_gather_clear(&gather);
        cv_rtmp_host_pull(talk->host, &gather);
        len = copy_out(&gather, bytes, sizeof bytes);
        cv_rtmp_host_sent(talk->host, len);
        moved = moved || len > 0;
        client_feed(talk->client, bytes, len, &talk->story);
    }
}

static void open_talk(struct talk *talk, enum cv_rtmp_client_mode mode, enum cv_status refusal)
{
    struct cv_rtmp_client_config config = client_config(mode);
    memset(talk, 0, sizeof *talk);
    talk->refusal = refusal;
    talk->host = cv_rtmp_host_new(&client_crypto, 3);
    assert_non_null(talk->host);
    talk->client = client_asking(&config);
}

static void close_talk(struct talk *talk)
{
    cv_rtmp_host_free(talk->host);
    cv_rtmp_client_free(talk->client);
}

static void send_media(struct talk *talk, uint8_t type, uint32_t ts_ms, size_t len)
{
    struct cv_block *block = cv_block_new(len);
    assert_non_null(block);
    memset(block->data, 0x17, len);
    block->len = (uint32_t)len;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .payload = block};
    ok(cv_rtmp_client_send(talk->client, &msg));
    cv_block_unref(&block);
}

static void an_encoder_publishes(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    meet_host(&talk);
    assert_string_equal(talk.story.text, "ready connected started ");
    send_media(&talk, CV_MSG_VIDEO, 40, 5000);
    send_media(&talk, CV_MSG_AUDIO, 50, 7);
    meet_host(&talk);
    ok(cv_rtmp_client_stop(talk.client));
    meet_host(&talk);
    assert_string_equal(talk.heard.text, "publish:live/gate7?key=K msg:9:5000@40 msg:8:7@50 stop ");
    close_talk(&talk);
}

static void an_answer_may_come_late(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    talk.waits = true;
    meet_host(&talk);
    assert_string_equal(talk.story.text, "ready connected ");
    ok(cv_rtmp_host_accept(talk.host));
    assert_int_equal(cv_rtmp_host_accept(talk.host), CV_E_USAGE);
    meet_host(&talk);
    assert_string_equal(talk.story.text, "ready connected started ");
    close_talk(&talk);
}

static void an_encoder_is_refused(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_PUBLISH_BAD_NAME);
    meet_host(&talk);
    assert_string_equal(talk.story.text,
                        "ready connected ended:refused:NetStream.Publish.BadName:not you ");
    close_talk(&talk);
}

static void an_encoder_is_refused_later(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    meet_host(&talk);
    ok(cv_rtmp_host_refuse(talk.host, CV_STATUS_PUBLISH_BAD_NAME, "the far server says no"));
    send_media(&talk, CV_MSG_VIDEO, 0, 10); // on its way already
    meet_host(&talk);
    assert_non_null(strstr(talk.story.text, "ended:refused:NetStream.Publish.BadName:the far"));
    assert_string_equal(talk.heard.text, "publish:live/gate7?key=K ");
    close_talk(&talk);
}

static void a_player_plays(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PLAY, CV_STATUS_COUNT);
    meet_host(&talk);
    struct cv_block *block = cv_block_copy("\x17\x01\0\0\0x", 6);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = 77, .payload = block};
    ok(cv_rtmp_host_send(talk.host, &msg));
    cv_block_unref(&block);
    ok(cv_rtmp_host_over(talk.host));
    assert_int_equal(cv_rtmp_host_over(talk.host), CV_E_USAGE);
    meet_host(&talk);
    assert_string_equal(talk.heard.text, "play:live/gate7?key=K ");
    assert_non_null(strstr(talk.story.text, "started "));
    assert_non_null(strstr(talk.story.text, "media:6@77 "));
    assert_non_null(strstr(talk.story.text, "ended:unpublished:NetStream.Play.UnpublishNotify"));
    close_talk(&talk);
}

static void a_player_is_told_that_there_is_nothing(void **state)
{
    (void)state;
    static struct talk talk;
    open_talk(&talk, CV_RTMP_CLIENT_PLAY, CV_STATUS_PLAY_NOT_FOUND);
    meet_host(&talk);
    assert_non_null(strstr(talk.story.text, "ended:refused:NetStream.Play.StreamNotFound:not you"));
    close_talk(&talk);
}

static void publishers_are_sent_nothing(void **state)
{
    (void)state;
    static struct talk talk;
    struct cv_block *block = cv_block_copy("x", 1);
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .payload = block};
    open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    meet_host(&talk);
    assert_int_equal(cv_rtmp_host_send(talk.host, &msg), CV_E_USAGE);
    assert_int_equal(cv_rtmp_host_over(talk.host), CV_E_USAGE);
    cv_block_unref(&block);
    close_talk(&talk);
}

// What the client sent, cut everywhere, makes the same story.
static void bytes_may_come_in_any_pieces(void **state)
{
    (void)state;
    static struct talk whole;
    static struct talk talk;
    open_talk(&whole, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    meet_host(&whole);
    send_media(&whole, CV_MSG_VIDEO, 40, 300);
    ok(cv_rtmp_client_stop(whole.client));
    meet_host(&whole);
    for (size_t cut = 0; cut < whole.record_len; cut += cut < HANDSHAKE - 8 ? 97 : 1) {
        open_talk(&talk, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
        assert_int_equal(host_feed(&talk, whole.record, cut), 0);
        assert_int_equal(host_feed(&talk, whole.record + cut, whole.record_len - cut), 0);
        assert_string_equal(talk.heard.text, whole.heard.text);
        close_talk(&talk);
    }
    close_talk(&whole);
}

// ---- by hand --------------------------------------------------------------------------------

// A connection that has shaken hands, whose client sends commands as the test writes them.
struct hand {
    struct talk talk;
    struct cv_rtmp *rtmp;
    struct story answers;
};

static void hear_answer(struct hand *hand, const struct cv_rtmp_event *event)
{
    if (event->type != CV_RTMP_COMMAND)
        return;
    struct cv_text code = cv_amf_text(cv_amf_get(event->args, "code"));
    tell(&hand->answers, "%.*s:%.0f%s%.*s ", (int)event->name.len, event->name.at,
         event->transaction, code.len ? ":" : "", (int)code.len, code.len ? code.at : "");
}

static int move(struct hand *hand)
{
    static struct cv_gather gather;
    static uint8_t bytes[65536];
    int result = 0;
    for (bool moved = true; moved && result == 0;) {
        struct cv_rtmp_event event;
        cv_gather_clear(&gather);
        cv_rtmp_pull(hand->rtmp, &gather);
        size_t len = copy_out(&gather, bytes, sizeof bytes);
        cv_rtmp_sent(hand->rtmp, len);
        moved = len > 0;
        result = host_feed(&hand->talk, bytes, len);
        cv_gather_clear(&gather);
        cv_rtmp_host_pull(hand->talk.host, &gather);
        len = copy_out(&gather, bytes, sizeof bytes);
        cv_rtmp_host_sent(hand->talk.host, len);
        moved = moved || len > 0;
        cv_rtmp_feed(hand->rtmp, bytes, len);
        while (cv_rtmp_next(hand->rtmp, &event) > 0)
            hear_answer(hand, &event);
    }
    return result;
}

static void open_hand(struct hand *hand)
{
    struct cv_rtmp_config config = {.role = CV_RTMP_CLIENT, .crypto = &client_crypto};
    memset(hand, 0, sizeof *hand);
    hand->talk.refusal = CV_STATUS_COUNT;
    hand->talk.host = cv_rtmp_host_new(&client_crypto, 3);
    hand->rtmp = cv_rtmp_new(&config, 4);
    assert_non_null(hand->rtmp);
    assert_int_equal(move(hand), 0);
}

static void close_hand(struct hand *hand)
{
    cv_rtmp_host_free(hand->talk.host);
    cv_rtmp_free(hand->rtmp);
}

// A command with one argument: a text, or a number where that is NULL.
static int command(struct hand *hand, const char *name, double transaction, const char *text,
                   uint32_t stream_id)
{
    struct cv_wr wr = cv_rtmp_command_begin(hand->rtmp, name, transaction);
    if (strcmp(name, "connect") == 0) {
        cv_amf0_object(&wr);
        cv_amf0_put_string(&wr, "app", text);
        cv_amf0_end(&wr);
    } else {
        cv_amf0_null(&wr);
        if (text)
            cv_amf0_string(&wr, text);
        else
            cv_amf0_number(&wr, 1);
    }
    ok(cv_rtmp_command_end(hand->rtmp, &wr, stream_id, CV_CSID_COMMAND));
    return move(hand);
}

static void old_encoders_get_their_answers(void **state)
{
    (void)state;
    static struct hand hand;
    open_hand(&hand);
    ok(command(&hand, "connect", 1, "live", 0));
    ok(command(&hand, "releaseStream", 2, "k", 0));
    ok(command(&hand, "FCPublish", 3, "k", 0));
    ok(command(&hand, "createStream", 4, NULL, 0));
    ok(command(&hand, "_checkbw", 5, NULL, 0));
    ok(command(&hand, "getStreamLength", 6, "k", 0));
    ok(command(&hand, "noSuchCommand", 7, "k", 0));
    ok(command(&hand, "publish", 8, "k", 1));
    ok(command(&hand, "publish", 9, "other", 1)); // one stream at a time
    ok(command(&hand, "deleteStream", 10, NULL, 0));
    ok(command(&hand, "publish", 11, "k", 1)); // and another one after it
    ok(command(&hand, "closeStream", 0, NULL, 1));
    assert_string_equal(hand.answers.text,
                        "_result:1:NetConnection.Connect.Success _result:2 "
                        "onFCPublish:0:NetStream.Publish.Start _result:3 _result:4 _result:5 "
                        "_result:6 _error:7:NetConnection.Call.Failed "
                        "onStatus:0:NetStream.Publish.Start onStatus:0:NetStream.Publish.BadName "
                        "onStatus:0:NetStream.Publish.Start ");
    assert_string_equal(hand.talk.heard.text, "publish:live/k stop publish:live/k stop ");
    close_hand(&hand);
}

static void streams_have_a_cap(void **state)
{
    (void)state;
    static struct hand hand;
    open_hand(&hand);
    ok(command(&hand, "connect", 1, "live", 0));
    for (int i = 0; i < 20; i++)
        ok(command(&hand, "createStream", 5, NULL, 0));
    assert_non_null(strstr(hand.answers.text, "_result:5 _error:5:NetConnection.Call.Failed"));
    close_hand(&hand);
}

static void commands_before_connect_end_it(void **state)
{
    (void)state;
    static const char *const names[] = {"publish", "play", "createStream", "noSuchCommand"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static struct hand hand;
        open_hand(&hand);
        assert_int_equal(command(&hand, names[i], 1, "k", 1), CV_E_COMMAND);
        assert_int_equal(cv_rtmp_host_why(hand.talk.host)->code, CV_E_COMMAND);
        assert_string_equal(hand.talk.heard.text, "");
        close_hand(&hand);
    }
}

static void a_second_connect_ends_it(void **state)
{
    (void)state;
    static struct hand hand;
    open_hand(&hand);
    ok(command(&hand, "connect", 1, "live", 0));
    assert_int_equal(command(&hand, "connect", 2, "live", 0), CV_E_COMMAND);
    close_hand(&hand);
}

static void names_that_are_too_long_are_refused(void **state)
{
    (void)state;
    static struct hand hand;
    static char name[CV_LIMIT_NAME_BYTES + 2];
    memset(name, 'x', sizeof name - 1);
    open_hand(&hand);
    ok(command(&hand, "connect", 1, "live", 0));
    ok(command(&hand, "createStream", 2, NULL, 0));
    ok(command(&hand, "play", 3, name, 1));
    assert_string_equal(hand.talk.heard.text, "");
    assert_non_null(strstr(hand.answers.text, "NetStream.Play.Failed"));
    close_hand(&hand);
}

// ---- memory ---------------------------------------------------------------------------------

static bool publish_without_memory(void *arg)
{
    static struct cv_gather gather;
    static uint8_t bytes[65536];
    const struct talk *whole = arg;
    struct cv_rtmp_host_event event;
    struct cv_rtmp_host *host = cv_rtmp_host_new(&client_crypto, 3);
    if (!host)
        return false;
    cv_rtmp_host_feed(host, whole->record, whole->record_len);
    int more;
    bool good = true;
    while (good && (more = cv_rtmp_host_next(host, &event)) > 0) {
        if (event.type == CV_RTMP_HOST_PUBLISH)
            good = cv_rtmp_host_accept(host) == CV_OK;
    }
    cv_gather_clear(&gather);
    cv_rtmp_host_pull(host, &gather);
    copy_out(&gather, bytes, sizeof bytes);
    cv_rtmp_host_free(host);
    return good && more == 0;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static struct talk whole;
    open_talk(&whole, CV_RTMP_CLIENT_PUBLISH, CV_STATUS_COUNT);
    meet_host(&whole);
    send_media(&whole, CV_MSG_VIDEO, 40, 300);
    meet_host(&whole);
    fail_nth(publish_without_memory, &whole);
    close_talk(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_publishes),
        cmocka_unit_test(an_answer_may_come_late),
        cmocka_unit_test(an_encoder_is_refused),
        cmocka_unit_test(an_encoder_is_refused_later),
        cmocka_unit_test(a_player_plays),
        cmocka_unit_test(a_player_is_told_that_there_is_nothing),
        cmocka_unit_test(publishers_are_sent_nothing),
        cmocka_unit_test(bytes_may_come_in_any_pieces),
        cmocka_unit_test(old_encoders_get_their_answers),
        cmocka_unit_test(streams_have_a_cap),
        cmocka_unit_test(commands_before_connect_end_it),
        cmocka_unit_test(a_second_connect_ends_it),
        cmocka_unit_test(names_that_are_too_long_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
