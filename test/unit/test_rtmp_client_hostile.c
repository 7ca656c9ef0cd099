// The client's session against a server that cheats about lengths: in the middle of a message
// (CVE-2016-10191), and in how it cuts.
#include "chunk_kit.h"
#include "client_kit.h"

enum { STREAM = 5, CHUNK = 128 };

// What every server says up to here: handshake, then the answers to connect and createStream.
static void answer(struct server *server, const struct cv_rtmp_event *event)
{
    struct cv_connect connect;
    const bool *starts = server->script;
    if (cv_text_is(event->name, "connect")) {
        ok(cv_connect_parse(event, &connect));
        ok(cv_reply_connect(server->rtmp, event->transaction, &connect, CHUNK));
    } else if (cv_text_is(event->name, "createStream")) {
        ok(cv_reply_result_number(server->rtmp, event->transaction, STREAM));
    } else if (*starts && cv_text_is(event->name, "play")) {
        ok(cv_reply_status(server->rtmp, STREAM, CV_STATUS_PLAY_START, ""));
    } else if (*starts && cv_text_is(event->name, "publish")) {
        ok(cv_reply_status(server->rtmp, STREAM, CV_STATUS_PUBLISH_START, ""));
    }
}

enum point { BEFORE_THE_ANSWER, BEFORE_THE_START, RUNNING, POINTS };

// A client at this point of its session.
static struct cv_rtmp_client *client_at(enum cv_rtmp_client_mode mode, enum point point,
                                        struct story *story)
{
    static const uint8_t handshake[HANDSHAKE] = {3};
    const struct cv_rtmp_client_config config = client_config(mode);
    struct cv_rtmp_client *client = client_asking(&config);
    if (point == BEFORE_THE_ANSWER) {
        client_feed(client, handshake, sizeof handshake, story);
        return client;
    }
    bool starts = point == RUNNING;
    struct server *server = server_new(answer, &starts);
    meet(client, server, story);
    server_free(server);
    assert_int_equal(strstr(story->text, "started") != NULL, starts);
    return client;
}

// Feeds the bytes at every point of both kinds of sessions, whole and byte by byte.
static void expect_failure(const struct bytes *wire, int code, const char *not_in_the_story)
{
    for (int i = 0; i < 2 * POINTS * 2; i++) {
        struct story story = {.err = CV_OK};
        enum cv_rtmp_client_mode mode = i & 1 ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY;
        struct cv_rtmp_client *client = client_at(mode, (enum point)(i / 4), &story);
        size_t piece = i & 2 ? 1 : wire->len;
        for (size_t at = 0; at < wire->len && story.err == CV_OK; at += piece)
            client_feed(client, wire->data + at, piece, &story);
        assert_int_equal(story.err, code);
        assert_null(strstr(story.text, not_in_the_story));
        assert_null(strstr(story.text, "ended"));
        // for good: what follows is not read
        struct cv_rtmp_client_event event;
        cv_rtmp_client_feed(client, wire->data, wire->len);
        assert_int_equal(cv_rtmp_client_next(client, &event), code);
        cv_rtmp_client_free(client);
    }
}

// Messages of any kind, cut after any of their chunks, by a header of each form that says another
// length, or the same one: the rest of one message never gets into the room of another.
static void bug_04_the_server_changes_a_length_in_mid_message(void **state)
{
    (void)state;
    static const uint32_t others[] = {0, 1, CHUNK, 299, 300, 301, 4096, 0xffffff};
    static const uint8_t types[] = {CV_MSG_AUDIO, CV_MSG_VIDEO, CV_MSG_DATA_AMF0,
                                    CV_MSG_COMMAND_AMF0, CV_MSG_AGGREGATE};
    for (size_t i = 0; i < sizeof types * sizeof others / sizeof others[0] * 3; i++) {
        struct bytes wire = {0};
        uint32_t other = others[i / 3 % (sizeof others / sizeof others[0])];
        uint8_t type = types[i % sizeof types];
        chunk_form_0(&wire, 6, 0, 300, type, STREAM);
        bytes_pattern(&wire, 1, CHUNK);
        if (i & 1) {
            chunk_basic(&wire, 3, 6);
            bytes_pattern(&wire, 2, CHUNK);
        }
        if (i % 3 == 0)
            chunk_form_0(&wire, 6, 0, other, type, STREAM);
        else if (i % 3 == 1)
            chunk_form_1(&wire, 6, 0, other, type);
        else
            chunk_form_2(&wire, 6, 40);
        bytes_pattern(&wire, 3, 500);
        expect_failure(&wire, CV_E_CHUNK_HEADER, "media");
        bytes_free(&wire);
    }
}

// The size of chunks may change in mid message, and then lengths must still add up.
static void bug_04_the_size_of_chunks_changes_in_mid_message(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 44, 127, 129, 172, 300, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct story story = {.err = CV_OK};
        struct cv_rtmp_client *client = client_at(CV_RTMP_CLIENT_PLAY, RUNNING, &story);
        struct bytes wire = {0};
        chunk_form_0(&wire, 6, 7, 300, CV_MSG_VIDEO, STREAM);
        bytes_pattern(&wire, 1, CHUNK);
        chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, sizes[i]);
        for (uint32_t left = 300 - CHUNK; left;) {
            uint32_t len = left < sizes[i] ? left : sizes[i];
            chunk_basic(&wire, 3, 6);
            bytes_pattern(&wire, 2, len);
            left -= len;
        }
        story.len = 0;
        story.text[0] = '\0';
        client_feed(client, wire.data, wire.len, &story);
        assert_string_equal(story.text, "media:300@7 ");
        bytes_free(&wire);
        cv_rtmp_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_04_the_server_changes_a_length_in_mid_message),
        cmocka_unit_test(bug_04_the_size_of_chunks_changes_in_mid_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
