// The session engine: a server and a client meet in memory; then peers that nobody would wish for.
#include "chunk_kit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "proto/aggregate.h"
#include "proto/amf0.h"
#include "proto/handshake.h"
#include "proto/reply.h"
#include "proto/rtmp.h"

#include <stdio.h>

static struct cv_gather gather; // too large for a stack frame of its own in each test

static int weak_random(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i * 7);
    return CV_OK;
}

static int real_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                     const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    return cv_crypto_openssl.hmac_sha256(key, key_len, data1, len1, data2, len2, out);
}

static const struct cv_crypto crypto = {.hmac_sha256 = real_hmac, .random = weak_random};

// ---- records of events ----------------------------------------------------------------------

static void record_values(struct bytes *record, const struct cv_amf *value, bool siblings)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    for (; value; value = siblings ? value->next : NULL)
        cv_amf0_value(&wr, value);
    assert_int_equal(wr.err, CV_OK);
    bytes_u32(record, (uint32_t)wr.len);
    if (wr.len)
        bytes_add(record, wr.block->data, wr.len);
    cv_wr_done(&wr);
}

static void record_event(struct bytes *record, const struct cv_rtmp_event *event)
{
    bytes_u8(record, event->type);
    if (event->type == CV_RTMP_COMMAND) {
        bytes_add(record, event->name.at, event->name.len);
        bytes_u32(record, (uint32_t)event->transaction);
        bytes_u32(record, event->msg.stream_id);
        record_values(record, event->object, false);
        record_values(record, event->args, true);
    }
    if (event->type == CV_RTMP_USER_CONTROL)
        bytes_u32(record, event->user_event);
    bytes_u32(record, event->user_id);
    bytes_u32(record, event->user_value);
    if (event->msg.payload)
        record_message(record, &event->msg);
}

// ---- one engine and what it said ------------------------------------------------------------

struct side {
    struct cv_rtmp *rtmp; // NULL: no memory
    struct bytes wire;    // all that it has sent
    struct bytes record;  // of its events
    int events;
    int result;
    bool silent; // no record: that would need memory
    // What the side does with an event; may be NULL.
    int (*act)(struct side *side, const struct cv_rtmp_event *event);
};

static struct side side_new(enum cv_rtmp_role role, bool digest)
{
    struct cv_rtmp_config config = {.role = role, .crypto = &crypto, .digest = digest};
    return (struct side){.rtmp = cv_rtmp_new(&config, 7)};
}

static void side_free(struct side *side)
{
    cv_rtmp_free(side->rtmp);
    bytes_free(&side->wire);
    bytes_free(&side->record);
}

static void take_events(struct side *side)
{
    struct cv_rtmp_event event;
    while (side->result == CV_OK) {
        int more = cv_rtmp_next(side->rtmp, &event);
        if (more <= 0) {
            side->result = more;
            break;
        }
        side->events++;
        if (!side->silent)
            record_event(&side->record, &event);
        if (side->act)
            side->result = side->act(side, &event);
    }
}

static void feed(struct side *side, const void *data, size_t len)
{
    if (side->result != CV_OK)
        return;
    uint8_t *piece = malloc(len ? len : 1); // the sanitizer sees one byte too far
    assert_non_null(piece);
    if (len)
        memcpy(piece, data, len);
    cv_rtmp_feed(side->rtmp, piece, len);
    take_events(side);
    free(piece);
}

// Lets everything that waits leave, at most `most` bytes at a time, into side->wire.
static void drain(struct side *side, size_t most)
{
    for (;;) {
        cv_gather_clear(&gather);
        cv_rtmp_pull(side->rtmp, &gather);
        if (gather.bytes == 0)
            break;
        size_t len = bytes_gathered(&side->wire, &gather, most);
        cv_rtmp_sent(side->rtmp, len);
    }
    assert_true(cv_rtmp_out_empty(side->rtmp));
    assert_int_equal(cv_rtmp_bytes_out(side->rtmp), side->wire.len);
}

// Passes bytes to and fro until both have nothing more to say.
static void talk(struct side *a, struct side *b, size_t most)
{
    size_t heard_a = 0;
    size_t heard_b = 0;
    take_events(a);
    take_events(b);
    for (;;) {
        drain(a, most);
        drain(b, most);
        if (heard_b == a->wire.len && heard_a == b->wire.len)
            return;
        size_t at = heard_b;
        heard_b = a->wire.len;
        feed(b, a->wire.data + at, heard_b - at);
        at = heard_a;
        heard_a = b->wire.len;
        feed(a, b->wire.data + at, heard_a - at);
        if (a->result != CV_OK || b->result != CV_OK)
            return;
    }
}

// An engine whose handshake is over; the peer is the test, which writes bytes.
static struct side ready_side(enum cv_rtmp_role role)
{
    static uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct side side = side_new(role, false);
    assert_non_null(side.rtmp);
    take_events(&side);
    feed(&side, peer, sizeof peer);
    drain(&side, SIZE_MAX);
    assert_int_equal(side.wire.len, CV_HANDSHAKE_BYTES);
    assert_int_equal(side.events, 1);
    assert_int_equal(side.record.data[0], CV_RTMP_READY);
    side.record.len = 0;
    side.events = 0;
    return side;
}

static void feed_hex(struct side *side, uint32_t csid, uint8_t type, uint32_t stream_id,
                     const char *hex)
{
    struct bytes wire = {0};
    uint8_t body[512];
    size_t len = hex_bytes(hex, body, sizeof body);
    assert_true(len <= 128);
    chunk_form_0(&wire, csid, 0, (uint32_t)len, type, stream_id);
    bytes_add(&wire, body, len);
    feed(side, wire.data, wire.len);
    bytes_free(&wire);
}

// The server takes the bytes behind the handshake in every cut, and records the same. With `code`,
// it fails so. Frees the bytes.
static void expect_split_all(struct bytes *wire, int code)
{
    struct side whole = ready_side(CV_RTMP_SERVER);
    feed(&whole, wire->data, wire->len);
    assert_int_equal(whole.result, code);
    for (size_t cut = 0; cut <= wire->len; cut++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        feed(&side, wire->data, cut);
        feed(&side, wire->data + cut, wire->len - cut);
        assert_int_equal(side.result, code);
        bytes_equal(&whole.record, &side.record);
        side_free(&side);
    }
    struct side bytewise = ready_side(CV_RTMP_SERVER);
    for (size_t i = 0; i < wire->len; i++)
        feed(&bytewise, wire->data + i, 1);
    assert_int_equal(bytewise.result, code);
    bytes_equal(&whole.record, &bytewise.record);
    side_free(&bytewise);
    side_free(&whole);
    bytes_free(wire);
}

// ---- a dialogue -----------------------------------------------------------------------------

static int send_media(struct cv_rtmp *rtmp, uint8_t type, uint32_t ts_ms, uint32_t stream_id,
                      size_t len)
{
    struct cv_block *payload = cv_block_new(len);
    if (!payload)
        return CV_E_NOMEM;
    for (size_t i = 0; i < len; i++)
        payload->data[i] = (uint8_t)(i * 13 + ts_ms);
    payload->len = (uint32_t)len;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = stream_id, .payload = payload};
    int err = cv_rtmp_send(rtmp, &msg, type == CV_MSG_AUDIO ? CV_CSID_AUDIO : CV_CSID_VIDEO);
    cv_block_unref(&payload);
    return err;
}

static int send_connect(struct cv_rtmp *rtmp)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "connect", 1);
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, "app");
    cv_amf0_string(&wr, "live");
    cv_amf0_key(&wr, "tcUrl");
    cv_amf0_string(&wr, "rtmp://example.org/live");
    cv_amf0_key(&wr, "type");
    cv_amf0_string(&wr, "nonprivate");
    cv_amf0_key(&wr, "fourCcList");
    cv_amf0_strict_array(&wr, 1);
    cv_amf0_string(&wr, "av01");
    cv_amf0_end(&wr);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

static int send_create_stream(struct cv_rtmp *rtmp)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "createStream", 4);
    cv_amf0_null(&wr);
    return cv_rtmp_command_end(rtmp, &wr, 0, CV_CSID_COMMAND);
}

static int send_publish(struct cv_rtmp *rtmp)
{
    struct cv_wr wr = cv_rtmp_command_begin(rtmp, "publish", 0);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, "key");
    cv_amf0_string(&wr, "live");
    return cv_rtmp_command_end(rtmp, &wr, 1, CV_CSID_STREAM);
}

static int send_some_media(struct cv_rtmp *rtmp)
{
    static const size_t lengths[] = {0, 1, 300, 70000};
    int err = cv_rtmp_send_control(rtmp, CV_MSG_SET_CHUNK_SIZE, 4096);
    for (uint32_t i = 0; i < 4 && err == CV_OK; i++)
        err = send_media(rtmp, CV_MSG_VIDEO, 16777200 + 10 * i, 1, lengths[i]);
    if (err == CV_OK)
        err = send_media(rtmp, CV_MSG_AUDIO, 0xffffffff, 1, 20);
    if (err == CV_OK)
        err = cv_rtmp_send_user(rtmp, CV_USER_PING_REQUEST, 0x01020304);
    return err;
}

static int client_acts(struct side *side, const struct cv_rtmp_event *event)
{
    if (event->type == CV_RTMP_READY)
        return send_connect(side->rtmp);
    if (event->type != CV_RTMP_COMMAND)
        return CV_OK;
    if (cv_text_is(event->name, "_result") && event->transaction == 1)
        return send_create_stream(side->rtmp);
    if (cv_text_is(event->name, "_result"))
        return send_publish(side->rtmp);
    return send_some_media(side->rtmp);
}

static int server_acts(struct side *side, const struct cv_rtmp_event *event)
{
    struct cv_connect connect;
    if (event->type != CV_RTMP_COMMAND)
        return CV_OK;
    if (cv_text_is(event->name, "connect")) {
        int err = cv_connect_parse(event, &connect);
        return err ? err : cv_reply_connect(side->rtmp, event->transaction, &connect, 65536);
    }
    if (cv_text_is(event->name, "createStream"))
        return cv_reply_result_number(side->rtmp, event->transaction, 1);
    return cv_reply_status(side->rtmp, event->msg.stream_id, CV_STATUS_PUBLISH_START, "Go.");
}

struct dialogue {
    struct side client;
    struct side server;
};

static struct dialogue dialogue_new(bool digest)
{
    struct dialogue dialogue = {side_new(CV_RTMP_CLIENT, digest), side_new(CV_RTMP_SERVER, false)};
    dialogue.client.act = client_acts;
    dialogue.server.act = server_acts;
    return dialogue;
}

static void dialogue_free(struct dialogue *dialogue)
{
    side_free(&dialogue->client);
    side_free(&dialogue->server);
}

static void both_roles_understand_each_other(void **state)
{
    (void)state;
    for (int digest = 0; digest < 2; digest++) {
        struct dialogue both = dialogue_new(digest);
        talk(&both.client, &both.server, SIZE_MAX);
        assert_int_equal(both.client.result, CV_OK);
        assert_int_equal(both.server.result, CV_OK);
        // READY, connect, createStream, publish, 5 media, ping
        assert_int_equal(both.server.events, 10);
        // READY, Stream Begin, 2 results, onStatus, pong
        assert_int_equal(both.client.events, 6);
        assert_int_equal(cv_rtmp_bytes_in(both.server.rtmp), both.client.wire.len);
        assert_int_equal(cv_rtmp_bytes_in(both.client.rtmp), both.server.wire.len);
        dialogue_free(&both);
    }
}

static void pieces_that_leave_do_not_matter(void **state)
{
    (void)state;
    static const size_t most[] = {1, 2, 100, 1537};
    struct dialogue first = dialogue_new(true);
    talk(&first.client, &first.server, SIZE_MAX);
    for (int i = 0; i < 4; i++) {
        struct dialogue both = dialogue_new(true);
        talk(&both.client, &both.server, most[i]);
        bytes_equal(&first.client.wire, &both.client.wire);
        bytes_equal(&first.server.wire, &both.server.wire);
        bytes_equal(&first.client.record, &both.client.record);
        bytes_equal(&first.server.record, &both.server.record);
        dialogue_free(&both);
    }
    dialogue_free(&first);
}

// Replays what one side has sent to a fresh engine, cut once, or in pieces of `step`.
static void replay(enum cv_rtmp_role role, bool digest, const struct side *heard,
                   const struct side *spoke, size_t cut, size_t step)
{
    struct side side = side_new(role, digest);
    side.act = heard->act;
    take_events(&side);
    for (size_t at = 0; at < spoke->wire.len;) {
        size_t end = at < cut ? cut : at + step;
        if (end > spoke->wire.len)
            end = spoke->wire.len;
        feed(&side, spoke->wire.data + at, end - at);
        at = end;
    }
    assert_int_equal(side.result, CV_OK);
    bytes_equal(&side.record, &heard->record);
    drain(&side, SIZE_MAX);
    bytes_equal(&side.wire, &heard->wire);
    side_free(&side);
}

static void dialogue_in_every_cut(void **state)
{
    (void)state;
    for (int digest = 0; digest < 2; digest++) {
        struct dialogue both = dialogue_new(digest);
        talk(&both.client, &both.server, SIZE_MAX);
        const struct side *c = &both.client;
        const struct side *s = &both.server;
        for (size_t cut = 1; cut < s->wire.len; cut += cut < 3000 ? 97 : 1)
            replay(CV_RTMP_CLIENT, digest, c, s, cut, SIZE_MAX / 2);
        for (size_t cut = 1; cut < 4500; cut += cut < 3000 ? 97 : 1)
            replay(CV_RTMP_SERVER, false, s, c, cut, SIZE_MAX / 2);
        for (size_t step = 1; step < 2000; step *= 3) {
            replay(CV_RTMP_CLIENT, digest, c, s, 0, step);
            replay(CV_RTMP_SERVER, false, s, c, 0, step);
        }
        dialogue_free(&both);
    }
}

static bool run_dialogue(void *arg)
{
    (void)arg;
    struct dialogue both = dialogue_new(true);
    both.client.silent = both.server.silent = true;
    bool good = both.client.rtmp && both.server.rtmp;
    if (good) {
        talk(&both.client, &both.server, SIZE_MAX);
        good = both.client.result == CV_OK && both.server.result == CV_OK;
        for (int i = 0; i < 2; i++) {
            int result = i ? both.client.result : both.server.result;
            assert_true(result == CV_OK || result == CV_E_NOMEM);
        }
    }
    dialogue_free(&both);
    return good;
}

static void dialogue_with_failing_memory(void **state)
{
    (void)state;
    fail_nth(run_dialogue, NULL);
}

// ---- handshake ------------------------------------------------------------------------------

static void messages_wait_for_the_handshake(void **state)
{
    (void)state;
    struct side side = side_new(CV_RTMP_CLIENT, false);
    assert_int_equal(send_connect(side.rtmp), CV_OK);
    take_events(&side);
    drain(&side, SIZE_MAX);
    assert_int_equal(side.wire.len, 1 + CV_HANDSHAKE_PART_BYTES); // C0 C1 and no chunks
    assert_int_equal(cv_rtmp_out_count(side.rtmp), 1);
    uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    feed(&side, peer, sizeof peer - 1);
    drain(&side, SIZE_MAX);
    assert_int_equal(side.events, 0);
    feed(&side, peer, 1);
    assert_int_equal(side.events, 1);
    drain(&side, SIZE_MAX);
    assert_true(side.wire.len > CV_HANDSHAKE_BYTES);
    assert_int_equal(side.wire.data[CV_HANDSHAKE_BYTES], CV_CSID_COMMAND);
    side_free(&side);
}

static void what_is_not_rtmp_is_refused_at_its_first_byte(void **state)
{
    (void)state;
    static const char *const firsts[] = {"G", "\x06", "\x16", "P", ""};
    for (int role = CV_RTMP_SERVER; role <= CV_RTMP_CLIENT; role++) {
        for (int i = 0; i < 5; i++) {
            struct side side = side_new((enum cv_rtmp_role)role, false);
            feed(&side, firsts[i], 1);
            assert_int_equal(side.result, CV_E_HANDSHAKE_VERSION);
            assert_int_equal(cv_rtmp_why(side.rtmp)->code, CV_E_HANDSHAKE_VERSION);
            // It has failed for good; feeding it again does no harm.
            struct cv_rtmp_event event;
            cv_rtmp_feed(side.rtmp, "\x03", 1);
            assert_int_equal(cv_rtmp_next(side.rtmp, &event), CV_E_HANDSHAKE_VERSION);
            side_free(&side);
        }
    }
}

static void server_that_speaks_first_is_answered(void **state)
{
    (void)state;
    struct side side = side_new(CV_RTMP_CLIENT, false);
    uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    feed(&side, peer, sizeof peer);
    assert_int_equal(side.result, CV_OK);
    drain(&side, 100);
    assert_int_equal(side.wire.len, CV_HANDSHAKE_BYTES);
    assert_int_equal(side.events, 1);
    side_free(&side);
}

// ---- control messages -----------------------------------------------------------------------

static void ping_is_answered_with_its_time(void **state)
{
    (void)state;
    for (int role = CV_RTMP_SERVER; role <= CV_RTMP_CLIENT; role++) {
        struct side side = ready_side((enum cv_rtmp_role)role);
        struct bytes expected = {0};
        feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, "0006 11223344");
        assert_int_equal(side.events, 1);
        side.wire.len = 0;
        cv_gather_clear(&gather);
        cv_rtmp_pull(side.rtmp, &gather);
        bytes_gathered(&side.wire, &gather, SIZE_MAX);
        bytes_hex(&expected, "02 000000 000006 04 00000000 0007 11223344");
        bytes_equal(&side.wire, &expected);
        bytes_free(&expected);
        side_free(&side);
    }
}

// The owner's record of one user control message.
static void expect_user(const char *hex, uint32_t event, uint32_t id, uint32_t value)
{
    struct side side = ready_side(CV_RTMP_SERVER);
    feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, hex);
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(side.events, 1);
    struct cv_rd rd = cv_rd_over(side.record.data, side.record.len);
    assert_int_equal(cv_rd_u8(&rd), CV_RTMP_USER_CONTROL);
    assert_int_equal(cv_rd_u32(&rd), event);
    assert_int_equal(cv_rd_u32(&rd), id);
    assert_int_equal(cv_rd_u32(&rd), value);
    side_free(&side);
}

static void user_control_of_every_kind(void **state)
{
    (void)state;
    expect_user("0000 00000001", CV_USER_STREAM_BEGIN, 1, 0);
    expect_user("0001 00000001", CV_USER_STREAM_EOF, 1, 0);
    expect_user("0003 00000001 00000bb8", CV_USER_SET_BUFFER, 1, 3000);
    expect_user("0007 000000ff", CV_USER_PING_RESPONSE, 255, 0);
    expect_user("001f 00000001", 31, 1, 0);
    expect_user("ffff", 0xffff, 0, 0);
    expect_user("0006", CV_USER_PING_REQUEST, 0, 0); // too short for a time, answered all the same
    expect_user("0003 00000001 0000", CV_USER_SET_BUFFER, 1, 0);
    expect_user("001a 00000001 00000002 00000003 00000004 00000005 00000006", 26, 1, 2);
}

struct control_case {
    uint8_t type;
    const char *hex;
    int code;
};

static void control_messages_that_are_malformed(void **state)
{
    (void)state;
    static const struct control_case cases[] = {
        {1, "", CV_E_CONTROL},
        {1, "000010", CV_E_CONTROL},
        {1, "00000000", CV_E_CHUNK_SIZE},
        {1, "80000000", CV_E_CHUNK_SIZE},
        {1, "ffffffff", CV_E_CHUNK_SIZE},
        {1, "00001000", CV_OK},
        {1, "7fffffff", CV_OK},
        {1, "00001000 00", CV_OK},
        {2, "", CV_E_CONTROL},
        {2, "000003", CV_E_CONTROL},
        {2, "00000003", CV_OK},
        {2, "ffffffff", CV_OK},
        {3, "000000", CV_E_CONTROL},
        {3, "ffffffff", CV_OK},
        {4, "", CV_E_CONTROL},
        {4, "00", CV_E_CONTROL},
        {5, "", CV_E_CONTROL},
        {5, "0026", CV_E_CONTROL},
        {5, "00000000", CV_OK},
        {5, "ffffffff", CV_OK},
        {6, "", CV_E_CONTROL},
        {6, "00", CV_E_CONTROL},
        {6, "002625a0", CV_OK},
        {6, "002625a0 02", CV_OK},
        {6, "00000000 ff", CV_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        feed_hex(&side, 2, cases[i].type, 0, cases[i].hex);
        assert_int_equal(side.result, cases[i].code);
        assert_int_equal(cv_rtmp_why(side.rtmp)->code, cases[i].code);
        side_free(&side);
    }
}

static void acknowledgement_is_an_event(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_CLIENT);
    struct bytes expected = {0};
    feed_hex(&side, 2, CV_MSG_ACK, 0, "fffffff0");
    bytes_u8(&expected, CV_RTMP_ACK);
    bytes_hex(&expected, "00000000 fffffff0  03 00000000 00000000 00000004 fffffff0");
    bytes_equal(&side.record, &expected);
    bytes_free(&expected);
    side_free(&side);
}

static void set_chunk_size_and_abort_reach_the_chunk_stream(void **state)
{
    (void)state;
    struct bytes wire = {0};
    chunk_form_0(&wire, 6, 1, 400, CV_MSG_VIDEO, 1);
    bytes_pattern(&wire, 1, 128);
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 300);
    chunk_basic(&wire, 3, 6);
    bytes_pattern(&wire, 2, 272);
    chunk_form_1(&wire, 6, 1, 400, CV_MSG_VIDEO);
    bytes_pattern(&wire, 3, 300);
    chunk_control(&wire, CV_MSG_ABORT, 6);
    chunk_form_1(&wire, 6, 1, 10, CV_MSG_VIDEO);
    bytes_pattern(&wire, 4, 10);
    struct side side = ready_side(CV_RTMP_SERVER);
    feed(&side, wire.data, wire.len);
    assert_int_equal(side.events, 2);
    side_free(&side);
    expect_split_all(&wire, CV_OK);
}

// ---- acknowledgements we send ---------------------------------------------------------------

// Feeds audio until `total` bytes have come (in whole messages of 1012), and lets replies leave.
static void feed_audio(struct side *side, size_t total)
{
    struct bytes wire = {0};
    chunk_form_0(&wire, 4, 0, 1000, CV_MSG_AUDIO, 1);
    bytes_pattern(&wire, 1, 1000);
    while (side->result == CV_OK && cv_rtmp_bytes_in(side->rtmp) + wire.len <= total)
        feed(side, wire.data, wire.len);
    bytes_free(&wire);
}

// How many Acks wait, and what the last one says.
static int acks(struct side *side, uint32_t *value)
{
    size_t from = side->wire.len;
    drain(side, SIZE_MAX);
    int count = 0;
    for (size_t at = from; at < side->wire.len; at += 16) {
        struct cv_rd rd = cv_rd_over(side->wire.data + at, side->wire.len - at);
        cv_rd_bytes(&rd, 7);
        assert_int_equal(cv_rd_u8(&rd), CV_MSG_ACK);
        cv_rd_u32(&rd);
        *value = cv_rd_u32(&rd);
        count++;
    }
    return count;
}

static struct side large_chunks_side(void)
{
    struct side side = ready_side(CV_RTMP_SERVER);
    feed_hex(&side, 2, CV_MSG_SET_CHUNK_SIZE, 0, "00010000");
    return side;
}

static void acks_are_sent_without_being_asked(void **state)
{
    (void)state;
    uint32_t value = 0;
    struct side side = large_chunks_side();
    feed_audio(&side, CV_ACK_EVERY_BYTES);
    assert_int_equal(acks(&side, &value), 0);
    feed_audio(&side, CV_ACK_EVERY_BYTES + 1100);
    assert_int_equal(acks(&side, &value), 1);
    assert_int_equal(value, cv_rtmp_bytes_in(side.rtmp)); // the handshake counts
    feed_audio(&side, 3 * CV_ACK_EVERY_BYTES);
    assert_int_equal(acks(&side, &value), 1);
    side_free(&side);
}

struct window_case {
    const char *hex;
    uint32_t every_bytes;
};

// At half the peer's window; a tiny window makes no storm, a huge one no silence.
static void acks_follow_the_peers_window(void **state)
{
    (void)state;
    static const struct window_case cases[] = {
        {"00000000", CV_WINDOW_BYTES_MIN / 2},
        {"00000001", CV_WINDOW_BYTES_MIN / 2},
        {"00030d40", 100000},
        {"002625a0", 1250000},
        {"ffffffff", CV_WINDOW_BYTES / 2},
    };
    for (int i = 0; i < 5; i++) {
        uint32_t value;
        struct side side = large_chunks_side();
        feed_hex(&side, 2, CV_MSG_WINDOW_ACK_SIZE, 0, cases[i].hex);
        feed_audio(&side, cases[i].every_bytes);
        assert_int_equal(acks(&side, &value), 0);
        feed_audio(&side, cases[i].every_bytes + 1100);
        assert_int_equal(acks(&side, &value), 1);
        feed_audio(&side, 4 * cases[i].every_bytes + 8000);
        assert_int_equal(acks(&side, &value), 3);
        side_free(&side);
    }
}

// ---- peers that do not read -----------------------------------------------------------------

static void bug_10_pings_that_are_never_read_end_the_session(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_SERVER);
    int pings = 0;
    while (side.result == CV_OK && pings < 100000) {
        feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, "0006 11223344");
        pings++;
    }
    assert_int_equal(side.result, CV_E_QUEUE_FULL);
    assert_int_equal(pings, CV_LIMIT_UNREAD_REPLIES + 1);
    assert_int_equal(cv_rtmp_out_count(side.rtmp), CV_LIMIT_UNREAD_REPLIES);
    side_free(&side);
}

static void pings_that_are_read_may_go_on_for_ever(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_SERVER);
    for (int pings = 0; pings < 4 * CV_LIMIT_UNREAD_REPLIES; pings++) {
        feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, "0006 11223344");
        if (pings % 100 == 99)
            drain(&side, SIZE_MAX);
    }
    assert_int_equal(side.result, CV_OK);
    side_free(&side);
}

// Our own media that wait are not unread answers: a ping during a stall of the network is no
// attack.
static void ping_is_welcome_while_media_wait(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_CLIENT);
    for (uint32_t i = 0; i < CV_LIMIT_OUT_MESSAGES; i++)
        assert_int_equal(send_media(side.rtmp, CV_MSG_AUDIO, i, 1, 10), CV_OK);
    assert_int_equal(send_media(side.rtmp, CV_MSG_AUDIO, 0, 1, 10), CV_E_QUEUE_FULL);
    feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, "0006 11223344");
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(side.events, 1);
    side_free(&side);
}

// OBS reads nothing while it publishes: Acks must neither pile up nor end its session.
static void bug_10_acks_that_are_never_read_do_not_pile_up(void **state)
{
    (void)state;
    struct side side = large_chunks_side();
    feed_hex(&side, 2, CV_MSG_WINDOW_ACK_SIZE, 0, "00000000");
    feed_audio(&side, 300 * CV_WINDOW_BYTES_MIN);
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(cv_rtmp_out_count(side.rtmp), CV_LIMIT_UNREAD_REPLIES);
    side_free(&side);
}

static void full_queue_is_no_reason_to_fail_over_an_ack(void **state)
{
    (void)state;
    static uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct cv_rtmp_config config = {
        .role = CV_RTMP_CLIENT, .crypto = &crypto, .out_bytes_max = 1000};
    struct side side = {.rtmp = cv_rtmp_new(&config, 7)};
    take_events(&side);
    feed(&side, peer, sizeof peer);
    drain(&side, SIZE_MAX);
    feed_hex(&side, 2, CV_MSG_SET_CHUNK_SIZE, 0, "00010000");
    assert_int_equal(send_media(side.rtmp, CV_MSG_VIDEO, 0, 1, 998), CV_OK);
    assert_int_equal(send_media(side.rtmp, CV_MSG_VIDEO, 0, 1, 3), CV_E_QUEUE_FULL);
    feed_audio(&side, 2 * CV_ACK_EVERY_BYTES);
    assert_int_equal(side.result, CV_OK);
    feed_hex(&side, 2, CV_MSG_USER_CONTROL, 0, "0006 11223344");
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(cv_rtmp_out_count(side.rtmp), 1);
    assert_int_equal(cv_rtmp_out_bytes(side.rtmp), 998);
    side_free(&side);
}

// ---- commands and data ----------------------------------------------------------------------

#define NESTED_6 "0a00000001 0a00000001 0a00000001 0a00000001 0a00000001 0a00000001"

static void commands_that_are_malformed(void **state)
{
    (void)state;
    static const struct control_case cases[] = {
        {20, "", CV_E_COMMAND},
        {20, "05", CV_E_COMMAND},
        {20, "00 3ff0000000000000", CV_E_COMMAND},
        {20, "02", CV_E_TRUNCATED},
        {20, "02 0007 636f6e", CV_E_TRUNCATED},
        {20, "02 0001 61 00 3ff0", CV_E_TRUNCATED},
        {20, "02 0001 61 0e", CV_E_AMF_MARKER},
        {20, "02 0001 61 07 0005", CV_E_AMF_REF},
        {20, "02 0001 61 " NESTED_6 NESTED_6 NESTED_6 "05", CV_E_TOO_DEEP},
        {17, "", CV_E_COMMAND},
        {17, "00", CV_E_COMMAND},
        {17, "00 02 0001 61 11 ff", CV_E_AMF_MARKER},
        {20, "02 0000", CV_OK},    // an empty name is a name
        {20, "02 0001 61", CV_OK}, // without number and object
        {20, "02 0001 61 05 05", CV_OK},
        {20, "02 0001 61 00 7ff8000000000000 05", CV_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        feed_hex(&side, 3, cases[i].type, 0, cases[i].hex);
        assert_int_equal(side.result, cases[i].code);
        assert_int_equal(side.events, cases[i].code == CV_OK);
        side_free(&side);
    }
}

// An AMF3 class that writes its own bytes cannot be read, but the next message can.
static void unknown_external_class_spoils_one_message_only(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_SERVER);
    feed_hex(&side, 3, CV_MSG_COMMAND_AMF3, 0,
             "00 02 0001 61 00 3ff0000000000000 11 0a 07 03 58 01020304");
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(side.events, 0);
    feed_hex(&side, 3, CV_MSG_COMMAND_AMF3, 0, "00 02 0001 61 00 3ff0000000000000 05");
    assert_int_equal(side.events, 1);
    side_free(&side);
}

static void commands_of_both_types_say_the_same(void **state)
{
    (void)state;
    static const char body[] = "02 0001 61 00 4000000000000000 05 02 0001 62 01 01";
    char amf3[128];
    snprintf(amf3, sizeof amf3, "00 %s", body);
    struct side four[4];
    const char *const bodies[] = {body, amf3, body, // without the format byte: some leave it out
                                  "00 02 0001 61 00 4000000000000000 05 11 06 03 62 11 03"};
    for (int i = 0; i < 4; i++) {
        four[i] = ready_side(CV_RTMP_SERVER);
        feed_hex(&four[i], 3, i ? CV_MSG_COMMAND_AMF3 : CV_MSG_COMMAND_AMF0, 1, bodies[i]);
        assert_int_equal(four[i].result, CV_OK);
        assert_int_equal(four[i].events, 1);
    }
    // type, name, number, stream, object, arguments: up to the numbers and the raw message
    size_t head = 1 + 1 + 4 + 4 + 4 + 1 + 4 + 6;
    for (int i = 1; i < 4; i++)
        assert_memory_equal(four[0].record.data, four[i].record.data, head);
    for (int i = 0; i < 4; i++)
        side_free(&four[i]);
}

static void amf3_is_spoken_after_it_was_agreed(void **state)
{
    (void)state;
    struct side side = ready_side(CV_RTMP_SERVER);
    struct bytes expected = {0};
    cv_rtmp_use_amf3(side.rtmp);
    assert_int_equal(cv_reply_result_number(side.rtmp, 2, 1), CV_OK);
    bytes_hex(&expected, "03 000000 00001e 11 00000000 00 02 0007 5f726573756c74"
                         "00 4000000000000000 05 00 3ff0000000000000");
    size_t from = side.wire.len;
    drain(&side, SIZE_MAX);
    assert_int_equal(side.wire.len - from, expected.len);
    assert_memory_equal(side.wire.data + from, expected.data, expected.len);
    bytes_free(&expected);
    side_free(&side);
}

static void data_of_both_types_become_amf0(void **state)
{
    (void)state;
    static const char body[] = "02 0001 61 08 00000000 000009";
    struct bytes expected = {0};
    bytes_u8(&expected, CV_RTMP_DATA);
    bytes_hex(&expected, "00000000 00000000 12 00000000 00000001 0000000c");
    bytes_hex(&expected, body);
    char amf3[64];
    snprintf(amf3, sizeof amf3, "00 %s", body);
    const char *const bodies[] = {body, amf3, body};
    for (int i = 0; i < 3; i++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        feed_hex(&side, 4, i ? CV_MSG_DATA_AMF3 : CV_MSG_DATA_AMF0, 1, bodies[i]);
        bytes_equal(&side.record, &expected);
        side_free(&side);
    }
    bytes_free(&expected);
    struct side side = ready_side(CV_RTMP_SERVER);
    feed_hex(&side, 4, CV_MSG_DATA_AMF3, 1, ""); // and nothing stays nothing
    feed_hex(&side, 4, CV_MSG_DATA_AMF3, 1, "00");
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(side.events, 2);
    side_free(&side);
}

static void shared_objects_come_as_they_are(void **state)
{
    (void)state;
    static const uint8_t types[] = {CV_MSG_SHARED_OBJECT_AMF0, CV_MSG_SHARED_OBJECT_AMF3};
    for (int i = 0; i < 2; i++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        struct bytes expected = {0};
        feed_hex(&side, 3, types[i], 0, "0004 63686174");
        bytes_u8(&expected, CV_RTMP_SHARED_OBJECT);
        bytes_hex(&expected, "00000000 00000000");
        bytes_u8(&expected, types[i]);
        bytes_hex(&expected, "00000000 00000000 00000006 0004 63686174");
        bytes_equal(&side.record, &expected);
        bytes_free(&expected);
        side_free(&side);
    }
}

static void unknown_types_are_ignored(void **state)
{
    (void)state;
    struct bytes wire = {0};
    static const uint8_t known[] = {1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22};
    for (uint32_t type = 0; type < 256; type++) {
        if (memchr(known, (int)type, sizeof known))
            continue;
        chunk_form_0(&wire, 6, 0, 3, (uint8_t)type, 1);
        bytes_pattern(&wire, type, 3);
    }
    struct side side = ready_side(CV_RTMP_SERVER);
    feed(&side, wire.data, wire.len);
    assert_int_equal(side.result, CV_OK);
    assert_int_equal(side.events, 0);
    side_free(&side);
    bytes_free(&wire);
}

// ---- aggregates -----------------------------------------------------------------------------

static void add_message(struct bytes *wire, uint8_t type, uint32_t ts_ms, struct cv_wr *wr)
{
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = 5, .payload = cv_wr_take(wr)};
    assert_non_null(msg.payload);
    chunk_message(wire, 6, &msg, 128);
    cv_block_unref(&msg.payload);
}

static void add_aggregate(struct bytes *wire)
{
    struct cv_wr wr = cv_wr_growing(4096);
    cv_aggregate_add(&wr, CV_MSG_VIDEO, 1000, "\x17\x01", 2);
    cv_aggregate_add(&wr, CV_MSG_AUDIO, 1023, "", 0);
    cv_aggregate_add(&wr, CV_MSG_DATA_AMF3, 1040, "\x00\x02\x00\x01\x61", 5);
    add_message(wire, CV_MSG_AGGREGATE, 16777215, &wr);
}

static void aggregate_is_taken_apart(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    add_aggregate(&wire);
    bytes_u8(&expected, CV_RTMP_MEDIA);
    bytes_hex(&expected, "00000000 00000000 09 00ffffff 00000005 00000002 1701");
    bytes_u8(&expected, CV_RTMP_MEDIA);
    bytes_hex(&expected, "00000000 00000000 08 01000016 00000005 00000000");
    bytes_u8(&expected, CV_RTMP_DATA);
    bytes_hex(&expected, "00000000 00000000 12 01000027 00000005 00000004 02000161");
    struct side side = ready_side(CV_RTMP_CLIENT);
    feed(&side, wire.data, wire.len);
    bytes_equal(&side.record, &expected);
    side_free(&side);
    bytes_free(&expected);
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 1000);
    add_aggregate(&wire);
    wire.len -= 11; // the second one is not complete
    expect_split_all(&wire, CV_OK);
}

static void aggregates_that_are_malformed(void **state)
{
    (void)state;
    static const struct control_case cases[] = {
        {22, "08", CV_E_TRUNCATED},
        {22, "08 000005 000000 00 000000 00", CV_E_TRUNCATED},
        {22, "08 ffffff 000000 00 000000 00 00000000", CV_E_TRUNCATED},
        {22, "16 000000 000000 00 000000 0000000b", CV_E_SYNTAX},
        {22, "14 000000 000000 00 000000 0000000b", CV_E_SYNTAX},
        {22, "01 000004 000000 00 000000 00000001 0000000f", CV_E_SYNTAX},
        {22, "", CV_OK},
        {22, "08 000000 000000 00 000000", CV_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side side = ready_side(CV_RTMP_CLIENT);
        feed_hex(&side, 6, cases[i].type, 1, cases[i].hex);
        assert_int_equal(side.result, cases[i].code);
        assert_int_equal(cv_rtmp_why(side.rtmp)->code, cases[i].code);
        side_free(&side);
    }
}

// ---- stopping in between --------------------------------------------------------------------

static void add_mixture(struct bytes *wire)
{
    chunk_form_0(wire, 4, 5, 3, CV_MSG_AUDIO, 1);
    bytes_pattern(wire, 1, 3);
    add_aggregate(wire);
    chunk_control(wire, CV_MSG_ACK, 77);
    chunk_form_0(wire, 3, 5, 13, CV_MSG_COMMAND_AMF0, 1);
    bytes_hex(wire, "02 0001 61 00 3ff0000000000000");
    chunk_form_0(wire, 4, 6, 200, CV_MSG_AUDIO, 1);
    bytes_pattern(wire, 1, 128);
    chunk_basic(wire, 3, 4);
    bytes_pattern(wire, 2, 72);
}

// Takes `stop` events, gives the rest back, and feeds it again.
static void bytes_that_were_not_read_can_be_fed_again(void **state)
{
    (void)state;
    struct bytes wire = {0};
    add_mixture(&wire);
    struct side whole = ready_side(CV_RTMP_SERVER);
    feed(&whole, wire.data, wire.len);
    assert_int_equal(whole.events, 7);
    for (int stop = 0; stop <= whole.events; stop++) {
        struct side side = ready_side(CV_RTMP_SERVER);
        struct cv_rtmp_event event;
        cv_rtmp_feed(side.rtmp, wire.data, wire.len);
        for (int n = 0; n < stop; n++) {
            assert_int_equal(cv_rtmp_next(side.rtmp, &event), 1);
            record_event(&side.record, &event);
        }
        struct cv_rd unread = cv_rtmp_unread(side.rtmp);
        size_t left = cv_rd_left(&unread);
        assert_ptr_equal(unread.at + left, wire.data + wire.len);
        assert_int_equal(cv_rtmp_bytes_in(side.rtmp), CV_HANDSHAKE_BYTES + wire.len - left);
        struct cv_rd again = cv_rtmp_unread(side.rtmp);
        assert_int_equal(cv_rd_left(&again), 0);
        feed(&side, unread.at, left);
        assert_int_equal(side.result, CV_OK);
        assert_int_equal(cv_rtmp_bytes_in(side.rtmp), CV_HANDSHAKE_BYTES + wire.len);
        bytes_equal(&side.record, &whole.record);
        side_free(&side);
    }
    side_free(&whole);
    expect_split_all(&wire, CV_OK);
}

static void failures_are_the_same_in_every_cut(void **state)
{
    (void)state;
    struct bytes wire = {0};
    add_mixture(&wire);
    chunk_form_0(&wire, 2, 0, 2, CV_MSG_ACK, 0);
    bytes_hex(&wire, "0000 0400");
    expect_split_all(&wire, CV_E_CONTROL);
    add_mixture(&wire);
    chunk_form_1(&wire, 4, 5, CV_LIMIT_MEDIA_BYTES + 1, CV_MSG_AUDIO);
    expect_split_all(&wire, CV_E_TOO_LONG);
}

// What an event lends can be kept: the payload lives as long as its reference.
static void payload_outlives_the_engine(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct side side = ready_side(CV_RTMP_SERVER);
    struct cv_rtmp_event event;
    chunk_form_0(&wire, 4, 5, 3, CV_MSG_AUDIO, 1);
    bytes_hex(&wire, "010203");
    cv_rtmp_feed(side.rtmp, wire.data, wire.len);
    assert_int_equal(cv_rtmp_next(side.rtmp, &event), 1);
    struct cv_block *kept = cv_block_ref(event.msg.payload);
    assert_int_equal(cv_rtmp_next(side.rtmp, &event), 0);
    side_free(&side);
    assert_memory_equal(kept->data, "\x01\x02\x03", 3);
    assert_int_equal(kept->refs, 1);
    cv_block_unref(&kept);
    bytes_free(&wire);
}

static void engine_without_random_numbers_or_memory_is_none(void **state)
{
    (void)state;
    struct cv_rtmp_config config = {.role = CV_RTMP_SERVER, .crypto = &crypto};
    for (uint64_t n = 1; n <= 2; n++) {
        cv_mem_fail_nth(n);
        assert_null(cv_rtmp_new(&config, 0));
    }
    cv_mem_fail_nth(0);
    cv_rtmp_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_roles_understand_each_other),
        cmocka_unit_test(pieces_that_leave_do_not_matter),
        cmocka_unit_test(dialogue_in_every_cut),
        cmocka_unit_test(dialogue_with_failing_memory),
        cmocka_unit_test(messages_wait_for_the_handshake),
        cmocka_unit_test(what_is_not_rtmp_is_refused_at_its_first_byte),
        cmocka_unit_test(server_that_speaks_first_is_answered),
        cmocka_unit_test(ping_is_answered_with_its_time),
        cmocka_unit_test(user_control_of_every_kind),
        cmocka_unit_test(control_messages_that_are_malformed),
        cmocka_unit_test(acknowledgement_is_an_event),
        cmocka_unit_test(set_chunk_size_and_abort_reach_the_chunk_stream),
        cmocka_unit_test(acks_are_sent_without_being_asked),
        cmocka_unit_test(acks_follow_the_peers_window),
        cmocka_unit_test(bug_10_pings_that_are_never_read_end_the_session),
        cmocka_unit_test(pings_that_are_read_may_go_on_for_ever),
        cmocka_unit_test(ping_is_welcome_while_media_wait),
        cmocka_unit_test(bug_10_acks_that_are_never_read_do_not_pile_up),
        cmocka_unit_test(full_queue_is_no_reason_to_fail_over_an_ack),
        cmocka_unit_test(commands_that_are_malformed),
        cmocka_unit_test(unknown_external_class_spoils_one_message_only),
        cmocka_unit_test(commands_of_both_types_say_the_same),
        cmocka_unit_test(amf3_is_spoken_after_it_was_agreed),
        cmocka_unit_test(data_of_both_types_become_amf0),
        cmocka_unit_test(shared_objects_come_as_they_are),
        cmocka_unit_test(unknown_types_are_ignored),
        cmocka_unit_test(aggregate_is_taken_apart),
        cmocka_unit_test(aggregates_that_are_malformed),
        cmocka_unit_test(bytes_that_were_not_read_can_be_fed_again),
        cmocka_unit_test(failures_are_the_same_in_every_cut),
        cmocka_unit_test(payload_outlives_the_engine),
        cmocka_unit_test(engine_without_random_numbers_or_memory_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
