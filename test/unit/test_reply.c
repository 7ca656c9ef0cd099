// What a server answers, read back and written out as text; the connect command; the code table.
#include "chunk_kit.h"

#include "base/limits.h"
#include "proto/amf0.h"
#include "proto/chunk_in.h"
#include "proto/handshake.h"
#include "proto/reply.h"

#include <stdio.h>

static struct cv_gather gather; // too large for a stack frame of its own in each test

static int weak_random(void *out, size_t len)
{
    memset(out, 7, len);
    return CV_OK;
}

static const struct cv_crypto crypto = {.random = weak_random};

// ---- messages as text -----------------------------------------------------------------------

static void add_text(struct bytes *text, const char *string)
{
    bytes_add(text, string, strlen(string));
}

static void show_value(struct bytes *text, const struct cv_amf *value);

static void show_members(struct bytes *text, const struct cv_amf *value, const char *around)
{
    bytes_add(text, around, 1);
    for (const struct cv_amf *child = value->first; child; child = child->next) {
        bytes_add(text, child->key.at, child->key.len);
        if (child->key.len)
            add_text(text, ":");
        show_value(text, child);
        if (child->next)
            add_text(text, " ");
    }
    bytes_add(text, around + 1, 1);
}

static void show_value(struct bytes *text, const struct cv_amf *value)
{
    char number[32];
    switch (value->type) {
    case CV_AMF_NUMBER:
        snprintf(number, sizeof number, "%g", value->number);
        add_text(text, number);
        break;
    case CV_AMF_BOOLEAN:
        add_text(text, value->boolean ? "true" : "false");
        break;
    case CV_AMF_STRING:
        add_text(text, "'");
        bytes_add(text, value->text.at, value->text.len);
        add_text(text, "'");
        break;
    case CV_AMF_NULL:
        add_text(text, "null");
        break;
    case CV_AMF_UNDEFINED:
        add_text(text, "undefined");
        break;
    case CV_AMF_OBJECT:
        show_members(text, value, "{}");
        break;
    case CV_AMF_ARRAY:
        show_members(text, value, "[]");
        break;
    default:
        fail_msg("unexpected value of type %d", value->type);
    }
}

// "type@stream " and the values, or the bytes of a control message; one line each.
static void show_message(struct bytes *text, const struct cv_msg *msg)
{
    char head[32];
    snprintf(head, sizeof head, "%u@%u", msg->type, msg->stream_id);
    add_text(text, head);
    assert_int_equal(msg->ts_ms, 0);
    size_t skip = msg->type == CV_MSG_COMMAND_AMF3;
    if (msg->type <= 6) {
        for (size_t i = 0; i < msg->payload->len; i++) {
            snprintf(head, sizeof head, "%s%02x", i ? "" : " ", msg->payload->data[i]);
            add_text(text, head);
        }
    } else {
        struct cv_amf_doc *doc = cv_amf_doc_new();
        assert_int_equal(msg->payload->data[0], skip ? 0 : 2);
        int err = cv_amf0_decode(doc, msg->payload->data + skip, msg->payload->len - skip, NULL);
        assert_int_equal(err, CV_OK);
        for (const struct cv_amf *v = cv_amf_doc_first(doc); v; v = v->next) {
            add_text(text, " ");
            show_value(text, v);
        }
        cv_amf_doc_free(doc);
    }
    add_text(text, "\n");
}

// ---- an engine to answer with ---------------------------------------------------------------

static struct cv_rtmp *new_server(void)
{
    static uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct cv_rtmp_config config = {.role = CV_RTMP_SERVER, .crypto = &crypto};
    struct cv_rtmp *rtmp = cv_rtmp_new(&config, 0);
    struct cv_rtmp_event event;
    assert_non_null(rtmp);
    cv_rtmp_feed(rtmp, peer, sizeof peer);
    assert_int_equal(cv_rtmp_next(rtmp, &event), 1);
    assert_int_equal(cv_rtmp_next(rtmp, &event), 0);
    cv_rtmp_sent(rtmp, CV_HANDSHAKE_BYTES);
    return rtmp;
}

// What waits in the engine, as text with a NUL. The engine stays as it is.
static struct bytes waiting(struct cv_rtmp *rtmp)
{
    struct bytes wire = {0};
    struct bytes text = {0};
    struct cv_chunk_in in;
    struct cv_msg msg;
    cv_gather_clear(&gather);
    cv_rtmp_pull(rtmp, &gather);
    bytes_gathered(&wire, &gather, SIZE_MAX);
    cv_chunk_in_init(&in, CV_LIMIT_MEDIA_BYTES);
    struct cv_rd rd = cv_rd_over(wire.data, wire.len);
    while (cv_chunk_in_next(&in, &rd, &msg, NULL) == 1) {
        show_message(&text, &msg);
        if (msg.type == CV_MSG_SET_CHUNK_SIZE)
            cv_chunk_in_set_size(&in, 65536);
        cv_block_unref(&msg.payload);
    }
    assert_int_equal(in.partial_bytes, 0);
    cv_chunk_in_done(&in);
    bytes_free(&wire);
    bytes_u8(&text, 0);
    return text;
}

// Compares what waits, and frees the engine.
static void expect(struct cv_rtmp *rtmp, const char *expected)
{
    struct bytes text = waiting(rtmp);
    assert_string_equal((const char *)text.data, expected);
    bytes_free(&text);
    cv_rtmp_free(rtmp);
}

// ---- replies --------------------------------------------------------------------------------

#define BEFORE_RESULT "5@0 002625a0\n6@0 002625a002\n1@0 00010000\n4@0 000000000000\n"
#define SUCCESS                                                                                    \
    "level:'status' code:'NetConnection.Connect.Success' description:'Connection succeeded.'"
#define ENHANCED " fourCcList:['*'] videoFourCcInfoMap:{*:4} audioFourCcInfoMap:{*:4} capsEx:14"
#define SERVER   "fmsVer:'FMS/3,5,7,7009' capabilities:31 mode:1"

// 3.1: windows, chunk size and Stream Begin come before the result.
static void connect_is_answered_in_order(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    struct cv_connect connect = {0};
    assert_int_equal(cv_reply_connect(rtmp, 1, &connect, 65536), CV_OK);
    expect(rtmp, BEFORE_RESULT "20@0 '_result' 1 {" SERVER "} {" SUCCESS " objectEncoding:0}\n");
}

static void connect_of_enhanced_rtmp_names_what_we_can(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    struct cv_connect connect = {.enhanced = true};
    assert_int_equal(cv_reply_connect(rtmp, 1, &connect, 65536), CV_OK);
    expect(rtmp, BEFORE_RESULT "20@0 '_result' 1 {" SERVER ENHANCED "} {" SUCCESS
                               " objectEncoding:0" ENHANCED "}\n");
}

// The answer to connect is AMF0 still; what comes after it is not.
static void connect_agrees_on_amf3(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    struct cv_connect connect = {.amf3 = true};
    assert_int_equal(cv_reply_connect(rtmp, 1, &connect, 65536), CV_OK);
    assert_int_equal(cv_reply_result(rtmp, 2), CV_OK);
    expect(rtmp, BEFORE_RESULT "20@0 '_result' 1 {" SERVER "} {" SUCCESS
                               " objectEncoding:3}\n17@0 '_result' 2 null undefined\n");
}

// A chunk size that was announced holds for the result already.
static void result_of_connect_is_in_the_new_chunk_size(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    struct cv_connect connect = {.enhanced = true};
    assert_int_equal(cv_reply_connect(rtmp, 1, &connect, 65536), CV_OK);
    cv_gather_clear(&gather);
    cv_rtmp_pull(rtmp, &gather);
    assert_int_equal(gather.count, 5 * 2); // a header and a payload each
    cv_rtmp_free(rtmp);
}

static void results_and_errors(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    assert_int_equal(cv_reply_result(rtmp, 2), CV_OK);
    assert_int_equal(cv_reply_result_number(rtmp, 4, 1), CV_OK);
    assert_int_equal(cv_reply_error(rtmp, 3, CV_STATUS_CALL_FAILED, "No such call."), CV_OK);
    assert_int_equal(cv_reply_error(rtmp, 1, CV_STATUS_CONNECT_REJECTED, "No."), CV_OK);
    expect(rtmp, "20@0 '_result' 2 null undefined\n"
                 "20@0 '_result' 4 null 1\n"
                 "20@0 '_error' 3 null {level:'error' code:'NetConnection.Call.Failed' "
                 "description:'No such call.'}\n"
                 "20@0 '_error' 1 null {level:'error' code:'NetConnection.Connect.Rejected' "
                 "description:'No.'}\n");
}

static void transaction_0_is_never_answered(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    assert_int_equal(cv_reply_result(rtmp, 0), CV_OK);
    assert_int_equal(cv_reply_result(rtmp, -0.0), CV_OK);
    assert_int_equal(cv_reply_result_number(rtmp, 0, 1), CV_OK);
    assert_int_equal(cv_reply_error(rtmp, 0, CV_STATUS_CALL_FAILED, "No such call."), CV_OK);
    expect(rtmp, "");
}

static void status_is_a_command_of_its_stream(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    assert_int_equal(cv_reply_status(rtmp, 5, CV_STATUS_PLAY_START, "Go."), CV_OK);
    assert_int_equal(cv_reply_fc(rtmp, "onFCPublish", CV_STATUS_PUBLISH_START, "key"), CV_OK);
    assert_int_equal(cv_reply_sample_access(rtmp, 5), CV_OK);
    expect(rtmp, "20@5 'onStatus' 0 null {level:'status' code:'NetStream.Play.Start' "
                 "description:'Go.'}\n"
                 "20@0 'onFCPublish' 0 null {level:'status' code:'NetStream.Publish.Start' "
                 "description:'key'}\n"
                 "18@5 '|RtmpSampleAccess' true true\n");
}

static void resuming_clients_are_told_numbers(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    assert_int_equal(cv_reply_publish_start(rtmp, 1, "0123", 7), CV_OK);
    assert_int_equal(cv_reply_taken(rtmp, 1, 123456), CV_OK);
    assert_int_equal(cv_reply_position(rtmp, 3, "ab", 9), CV_OK);
    assert_int_equal(cv_reply_position(rtmp, 3, "", 0), CV_OK);
    expect(rtmp, "20@1 'onStatus' 0 null {level:'status' code:'NetStream.Publish.Start' "
                 "description:'Publishing.' resume:'0123' taken:7}\n"
                 "20@1 'onTaken' 0 null 123456\n"
                 "20@3 'onPosition' 0 null 'ab' 9\n"
                 "20@3 'onPosition' 0 null '' 0\n");
}

// FFmpeg ignores an error without a description, and would wait for ever.
static void description_is_never_empty(void **state)
{
    (void)state;
    static const char *const empty[] = {"", NULL};
    for (int i = 0; i < 2; i++) {
        struct cv_rtmp *rtmp = new_server();
        assert_int_equal(cv_reply_error(rtmp, 3, CV_STATUS_CALL_FAILED, empty[i]), CV_OK);
        assert_int_equal(cv_reply_status(rtmp, 1, CV_STATUS_PLAY_FAILED, empty[i]), CV_OK);
        assert_int_equal(cv_reply_fc(rtmp, "onFCPublish", CV_STATUS_PUBLISH_START, empty[i]),
                         CV_OK);
        expect(rtmp, "20@0 '_error' 3 null {level:'error' code:'NetConnection.Call.Failed' "
                     "description:'NetConnection.Call.Failed'}\n"
                     "20@1 'onStatus' 0 null {level:'error' code:'NetStream.Play.Failed' "
                     "description:'NetStream.Play.Failed'}\n"
                     "20@0 'onFCPublish' 0 null {level:'status' code:'NetStream.Publish.Start' "
                     "description:'NetStream.Publish.Start'}\n");
    }
}

static void full_queue_is_told(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    struct cv_connect connect = {0};
    int err = CV_OK;
    for (int i = 0; i < CV_LIMIT_OUT_MESSAGES && err == CV_OK; i++)
        err = cv_reply_result(rtmp, 1);
    assert_int_equal(err, CV_OK);
    assert_int_equal(cv_reply_result(rtmp, 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_result_number(rtmp, 1, 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_error(rtmp, 1, CV_STATUS_CALL_FAILED, "a"), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_status(rtmp, 1, CV_STATUS_PLAY_START, "a"), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_fc(rtmp, "a", CV_STATUS_PLAY_START, "a"), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_sample_access(rtmp, 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_publish_start(rtmp, 1, "a", 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_taken(rtmp, 1, 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_position(rtmp, 1, "a", 1), CV_E_QUEUE_FULL);
    assert_int_equal(cv_reply_connect(rtmp, 1, &connect, 4096), CV_E_QUEUE_FULL);
    assert_int_equal(cv_rtmp_send_buffer_ms(rtmp, 1, 1), CV_E_QUEUE_FULL);
    cv_rtmp_free(rtmp);
}

static bool reply_everything(void *arg)
{
    struct cv_rtmp *rtmp = arg;
    struct cv_connect connect = {.enhanced = true};
    int errs[] = {
        cv_reply_connect(rtmp, 1, &connect, 65536),
        cv_reply_error(rtmp, 1, CV_STATUS_CALL_FAILED, "a"),
        cv_reply_result(rtmp, 1),
        cv_reply_result_number(rtmp, 1, 1),
        cv_reply_status(rtmp, 1, CV_STATUS_PLAY_START, "a"),
        cv_reply_publish_start(rtmp, 1, "a", 1),
        cv_reply_taken(rtmp, 1, 1),
        cv_reply_position(rtmp, 1, "a", 1),
        cv_reply_sample_access(rtmp, 1),
    };
    bool good = true;
    for (size_t i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        assert_true(errs[i] == CV_OK || errs[i] == CV_E_NOMEM);
        good = good && errs[i] == CV_OK;
    }
    // Let it leave, so that the queue does not fill over the runs.
    cv_gather_clear(&gather);
    cv_rtmp_pull(rtmp, &gather);
    cv_rtmp_sent(rtmp, gather.bytes);
    return good;
}

static void failing_memory_is_told(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    fail_nth(reply_everything, rtmp);
    cv_rtmp_free(rtmp);
}

static void control_messages_on_the_wire(void **state)
{
    (void)state;
    struct cv_rtmp *rtmp = new_server();
    assert_int_equal(cv_rtmp_send_control(rtmp, CV_MSG_ACK, 0xfffffff0), CV_OK);
    assert_int_equal(cv_rtmp_send_control(rtmp, CV_MSG_ABORT, 6), CV_OK);
    assert_int_equal(cv_rtmp_send_user(rtmp, CV_USER_STREAM_EOF, 5), CV_OK);
    assert_int_equal(cv_rtmp_send_buffer_ms(rtmp, 5, 3000), CV_OK);
    assert_int_equal(cv_rtmp_send_peer_bandwidth(rtmp, 1), CV_OK);
    expect(rtmp, "3@0 fffffff0\n2@0 00000006\n4@0 000100000005\n4@0 00030000000500000bb8\n"
                 "6@0 0000000102\n");
}

// ---- connect --------------------------------------------------------------------------------

// Parses a connect whose object has these bytes (AMF0, hex). The document is the caller's.
static int parse(const char *hex, struct cv_connect *out, struct cv_amf_doc **doc)
{
    static uint8_t body[512];
    size_t len = hex_bytes(hex, body, sizeof body);
    *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf0_decode(*doc, body, len, NULL), CV_OK);
    struct cv_rtmp_event event = {.object = cv_amf_doc_first(*doc)};
    return cv_connect_parse(&event, out);
}

static void connect_is_read(void **state)
{
    (void)state;
    struct cv_connect connect;
    struct cv_amf_doc *doc;
    static const char members[] = "0003 617070 02 0004 6c697665"               // app
                                  "0005 746355726c 02 0001 75"                 // tcUrl
                                  "0008 666c617368566572 02 0001 66"           // flashVer
                                  "0007 7061676555726c 02 0001 70"             // pageUrl
                                  "0004 74797065 02 000a 6e6f6e70726976617465" // type
                                  "000e 6f626a656374456e636f64696e67 00 4008000000000000"
                                  "000a 666f757243634c697374 0a 00000000"         // fourCcList
                                  "0006 636170734578 00 401c000000000000 000009"; // capsEx
    char hex[1024];
    for (int ecma = 0; ecma < 2; ecma++) {
        snprintf(hex, sizeof hex, "%s %s", ecma ? "08 00000000" : "03", members);
        assert_int_equal(parse(hex, &connect, &doc), CV_OK);
        assert_true(cv_text_is(connect.app, "live"));
        assert_true(cv_text_is(connect.tc_url, "u"));
        assert_true(cv_text_is(connect.flash_ver, "f"));
        assert_true(cv_text_is(connect.page_url, "p"));
        assert_true(connect.publisher);
        assert_true(connect.amf3);
        assert_true(connect.enhanced);
        assert_int_equal(connect.caps_ex, 7);
        cv_amf_doc_free(doc);
    }
}

static void everything_in_connect_may_be_missing(void **state)
{
    (void)state;
    struct cv_connect connect;
    struct cv_amf_doc *doc;
    assert_int_equal(parse("03 000009", &connect, &doc), CV_OK);
    assert_int_equal(connect.app.len, 0);
    assert_int_equal(connect.tc_url.len, 0);
    assert_false(connect.publisher || connect.amf3 || connect.enhanced);
    cv_amf_doc_free(doc);
    // and of another type than it should be
    assert_int_equal(
        parse("03 0003 617070 00 0000000000000000 0004 74797065 01 01 000009", &connect, &doc),
        CV_OK);
    assert_int_equal(connect.app.len, 0);
    cv_amf_doc_free(doc);
}

static void connect_without_an_object_is_refused(void **state)
{
    (void)state;
    static const char *const firsts[] = {"05", "06", "00 3ff0000000000000", "02 0001 61",
                                         "0a 00000000"};
    struct cv_connect connect = {.caps_ex = 99};
    struct cv_amf_doc *doc;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(parse(firsts[i], &connect, &doc), CV_E_COMMAND);
        cv_amf_doc_free(doc);
    }
    struct cv_rtmp_event event = {0};
    assert_int_equal(cv_connect_parse(&event, &connect), CV_E_COMMAND);
    assert_int_equal(connect.caps_ex, 99);
}

struct long_case {
    const char *key;
    size_t limit;
};

static int parse_long(const char *key, size_t len)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    char *value = malloc(len);
    memset(value, 'x', len);
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, key);
    cv_amf0_text(&wr, (struct cv_text){value, len});
    cv_amf0_end(&wr);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf0_decode(doc, wr.block->data, wr.len, NULL), CV_OK);
    struct cv_rtmp_event event = {.object = cv_amf_doc_first(doc)};
    struct cv_connect connect;
    int err = cv_connect_parse(&event, &connect);
    cv_amf_doc_free(doc);
    cv_wr_done(&wr);
    free(value);
    return err;
}

static void bug_05_texts_of_connect_have_limits(void **state)
{
    (void)state;
    static const struct long_case cases[] = {{"app", CV_LIMIT_APP_BYTES},
                                             {"tcUrl", CV_LIMIT_URL_BYTES}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(parse_long(cases[i].key, cases[i].limit), CV_OK);
        assert_int_equal(parse_long(cases[i].key, cases[i].limit + 1), CV_E_COMMAND);
        assert_int_equal(parse_long(cases[i].key, 100000), CV_E_COMMAND);
    }
    assert_int_equal(parse_long("flashVer", 100000), CV_OK); // lent, and cut where it is shown
}

// ---- the table of codes (3.7) ---------------------------------------------------------------

struct status_case {
    enum cv_status status;
    const char *level;
    const char *code;
};

static void codes_have_the_level_that_clients_expect(void **state)
{
    (void)state;
    static const struct status_case cases[] = {
        {CV_STATUS_CONNECT_SUCCESS, "status", "NetConnection.Connect.Success"},
        {CV_STATUS_CONNECT_REJECTED, "error", "NetConnection.Connect.Rejected"},
        {CV_STATUS_CONNECT_INVALID_APP, "error", "NetConnection.Connect.InvalidApp"},
        {CV_STATUS_CALL_FAILED, "error", "NetConnection.Call.Failed"},
        {CV_STATUS_PUBLISH_START, "status", "NetStream.Publish.Start"},
        {CV_STATUS_PUBLISH_BAD_NAME, "error", "NetStream.Publish.BadName"},
        {CV_STATUS_PUBLISH_DENIED, "error", "NetStream.Publish.Denied"},
        {CV_STATUS_UNPUBLISH_SUCCESS, "status", "NetStream.Unpublish.Success"},
        {CV_STATUS_PLAY_RESET, "status", "NetStream.Play.Reset"},
        {CV_STATUS_PLAY_START, "status", "NetStream.Play.Start"},
        {CV_STATUS_PLAY_STOP, "status", "NetStream.Play.Stop"},
        {CV_STATUS_PLAY_NOT_FOUND, "error", "NetStream.Play.StreamNotFound"},
        {CV_STATUS_PLAY_FAILED, "error", "NetStream.Play.Failed"},
        {CV_STATUS_PLAY_PUBLISH_NOTIFY, "status", "NetStream.Play.PublishNotify"},
        {CV_STATUS_PLAY_UNPUBLISH_NOTIFY, "status", "NetStream.Play.UnpublishNotify"},
        {CV_STATUS_PAUSE_NOTIFY, "status", "NetStream.Pause.Notify"},
        {CV_STATUS_UNPAUSE_NOTIFY, "status", "NetStream.Unpause.Notify"},
        {CV_STATUS_SEEK_NOTIFY, "status", "NetStream.Seek.Notify"},
        {CV_STATUS_SEEK_FAILED, "error", "NetStream.Seek.Failed"},
        {CV_STATUS_STREAM_FAILED, "error", "NetStream.Failed"},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    assert_int_equal(CASES, CV_STATUS_COUNT);
    for (int i = 0; i < CASES; i++) {
        assert_string_equal(cv_status_level(cases[i].status), cases[i].level);
        assert_string_equal(cv_status_code(cases[i].status), cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_is_answered_in_order),
        cmocka_unit_test(connect_of_enhanced_rtmp_names_what_we_can),
        cmocka_unit_test(connect_agrees_on_amf3),
        cmocka_unit_test(result_of_connect_is_in_the_new_chunk_size),
        cmocka_unit_test(results_and_errors),
        cmocka_unit_test(transaction_0_is_never_answered),
        cmocka_unit_test(status_is_a_command_of_its_stream),
        cmocka_unit_test(resuming_clients_are_told_numbers),
        cmocka_unit_test(description_is_never_empty),
        cmocka_unit_test(full_queue_is_told),
        cmocka_unit_test(failing_memory_is_told),
        cmocka_unit_test(control_messages_on_the_wire),
        cmocka_unit_test(connect_is_read),
        cmocka_unit_test(everything_in_connect_may_be_missing),
        cmocka_unit_test(connect_without_an_object_is_refused),
        cmocka_unit_test(bug_05_texts_of_connect_have_limits),
        cmocka_unit_test(codes_have_the_level_that_clients_expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
