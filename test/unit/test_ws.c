// WebSocket frames: the RFC's examples, any cut, fragments, limits, close codes; frames around the
// bytes of another engine.
#include "harness.h"

#include "chunk_kit.h"
#include "proto/ws.h"

#include "base/limits.h"
#include "base/mem.h"
#include "io/openssl.h"

#include <stdio.h>

static const struct cv_ws_config server = {0};
static const struct cv_ws_config client = {.client = true, .crypto = &cv_crypto_openssl};
static struct cv_gather gather;

// ---- frames by hand -------------------------------------------------------------------------

enum { FIN = 0x80, MORE = 0, CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

// A frame with the shortest length that fits; masked as a client does, or not.
static void put_frame(struct bytes *wire, int first, const void *data, size_t len, bool masked)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint32_t bit = masked ? 0x80 : 0;
    bytes_u8(wire, (uint32_t)first);
    bytes_u8(wire, bit | (uint32_t)(len < 126 ? len : len < 65536 ? 126 : 127));
    if (len >= 65536)
        bytes_u32(wire, 0);
    if (len >= 65536)
        bytes_u32(wire, (uint32_t)len);
    else if (len >= 126) {
        bytes_u8(wire, (uint32_t)len >> 8);
        bytes_u8(wire, (uint32_t)len & 0xff);
    }
    if (masked)
        bytes_add(wire, mask, sizeof mask);
    for (size_t i = 0; i < len; i++)
        bytes_u8(wire, ((const uint8_t *)data)[i] ^ (masked ? mask[i % 4] : 0));
}

static void put_text(struct bytes *wire, int first, const char *text)
{
    put_frame(wire, first, text, strlen(text), true);
}

// ---- what comes out, as text ----------------------------------------------------------------

// Pieces of one message are joined: "text:Hello. " "binary:..; " (unfinished) "pong:.. "
// "close 1000:bye " "error 1002 "
struct record {
    char text[4096];
    bool open; // a message goes on
};

static void add(struct record *record, const void *data, size_t len)
{
    char piece[2048] = "";
    assert_true(len < sizeof piece);
    memcpy(piece, data, len);
    append_text(record->text, sizeof record->text, piece);
}

static void note(struct record *record, const struct cv_ws_event *event)
{
    char code[32];
    if (event->type == CV_WS_DATA) {
        assert_true(event->len || event->last);
        if (!record->open)
            append_text(record->text, sizeof record->text, event->text ? "text:" : "binary:");
        record->open = !event->last;
        add(record, event->data, event->len);
        if (event->last)
            append_text(record->text, sizeof record->text, ". ");
        return;
    }
    assert_false(record->open && event->type == CV_WS_CLOSE && event->code == 0);
    snprintf(code, sizeof code, event->type == CV_WS_PONG ? "<pong:" : "close %u:", event->code);
    append_text(record->text, sizeof record->text, code);
    add(record, event->data, event->len);
    append_text(record->text, sizeof record->text, event->type == CV_WS_PONG ? ">" : " ");
}

// Feeds in two pieces; each lies before an unreadable page.
static int feed(struct cv_ws *ws, const uint8_t *data, size_t len, struct record *record)
{
    struct guard guard = guard_copy(data, len);
    struct cv_ws_event event;
    int got;
    cv_ws_feed(ws, guard.data, guard.len);
    while ((got = cv_ws_next(ws, &event)) == 1)
        note(record, &event);
    assert_int_equal(got, cv_ws_why(ws)->code);
    guard_free(&guard);
    return got;
}

// All that it wants to send, one byte at a time.
static void drain(struct cv_ws *ws, struct bytes *out)
{
    while (!cv_ws_out_empty(ws)) {
        cv_gather_clear(&gather);
        cv_ws_pull_begin(ws, &gather);
        cv_ws_pull_end(ws, &gather);
        assert_true(gather.bytes > 0);
        bytes_gathered(out, &gather, 1);
        assert_int_equal(cv_ws_sent(ws, 1), 0);
    }
}

static struct record run(const struct cv_ws_config *config, const struct bytes *wire, size_t cut,
                         size_t piece, struct bytes *answer)
{
    struct record record = {0};
    struct cv_ws *ws = cv_ws_new(config);
    assert_non_null(ws);
    int got = feed(ws, wire->data, cut, &record);
    for (size_t at = cut; got == 0 && at < wire->len; at += piece)
        got = feed(ws, wire->data + at, wire->len - at < piece ? wire->len - at : piece, &record);
    if (got < 0) {
        struct cv_ws_event event;
        append_text(record.text, sizeof record.text, "error");
        assert_int_equal(cv_ws_next(ws, &event), got);
    }
    drain(ws, answer);
    assert_int_equal(cv_ws_done(ws), got < 0 || strstr(record.text, "close "));
    cv_ws_free(ws);
    return record;
}

// Cut at every place, and byte by byte: the same events and, but for masks, the same answer.
static void expect_by(const struct cv_ws_config *config, const struct bytes *wire,
                      const char *events, const char *answer_hex)
{
    struct bytes want = {0};
    bytes_hex(&want, answer_hex);
    for (size_t cut = 0; cut <= wire->len; cut++) {
        struct bytes answer = {0};
        struct record record = run(config, wire, cut, cut ? wire->len : 1, &answer);
        assert_string_equal(record.text, events);
        if (!config->client)
            bytes_equal(&answer, &want);
        bytes_free(&answer);
    }
    bytes_free(&want);
}

static void expect(struct bytes *wire, const char *events, const char *answer_hex)
{
    expect_by(&server, wire, events, answer_hex);
    bytes_free(wire);
}

static void expect_hex(const char *hex, const char *events, const char *answer_hex)
{
    struct bytes wire = {0};
    bytes_hex(&wire, hex);
    expect(&wire, events, answer_hex);
}

// ---- reading --------------------------------------------------------------------------------

// RFC 6455, section 5.7, as far as it is for servers.
static void examples_of_the_rfc(void **state)
{
    (void)state;
    expect_hex("81 85 37fa213d 7f9f4d5158", "text:Hello. ", "");
    expect_hex("89 85 37fa213d 7f9f4d5158", "", "8a 05 48656c6c6f");
    expect_hex("8a 85 37fa213d 7f9f4d5158", "<pong:Hello>", "");
}

static void examples_for_clients(void **state)
{
    (void)state;
    struct bytes wire = {0};
    bytes_hex(&wire, "81 05 48656c6c6f 01 03 48656c 80 02 6c6f 8a 05 48656c6c6f");
    expect_by(&client, &wire, "text:Hello. text:Hello. <pong:Hello>", "");
    bytes_free(&wire);
}

static void fragments_with_control_between(void **state)
{
    (void)state;
    struct bytes wire = {0};
    put_text(&wire, MORE | TEXT, "Hel");
    put_text(&wire, FIN | PING, "1");
    put_text(&wire, MORE | CONT, "");
    put_text(&wire, MORE | CONT, "l");
    put_text(&wire, FIN | PONG, "2");
    put_text(&wire, FIN | CONT, "o");
    put_text(&wire, FIN | BINARY, "x");
    put_text(&wire, FIN | BINARY, "");
    put_text(&wire, MORE | BINARY, "ab");
    put_text(&wire, FIN | CONT, "");
    expect(&wire, "text:Hell<pong:2>o. binary:x. binary:. binary:ab. ", "8a 01 31");
}

static void lengths_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 4096, 65535, 65536, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bytes payload = {0};
        struct bytes wire = {0};
        struct bytes got = {0};
        bytes_pattern(&payload, (uint32_t)i, sizes[i]);
        put_frame(&wire, FIN | BINARY, payload.data, payload.len, true);
        struct cv_ws *ws = cv_ws_new(&server);
        struct cv_ws_event event = {0};
        cv_ws_feed(ws, wire.data, wire.len);
        while (cv_ws_next(ws, &event) == 1)
            bytes_add(&got, event.data, event.len);
        assert_true(event.last);
        bytes_equal(&got, &payload);
        cv_ws_free(ws);
        bytes_free(&payload);
        bytes_free(&wire);
        bytes_free(&got);
    }
}

// ---- what is refused ------------------------------------------------------------------------

static void malformed_frames(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *hex;
    } wrong[] = {
        {"unmasked", "81 05 48656c6c6f"},
        {"unmasked and empty", "82 00"},
        {"unmasked control", "89 00"},
        {"reserved bit 1", "c1 85 37fa213d 7f"},
        {"reserved bit 3", "91 85 37fa213d 7f"},
        {"opcode 3", "83 85 37fa213d 7f"},
        {"opcode 7", "87 80 37fa213d"},
        {"opcode 11", "8b 80 37fa213d"},
        {"opcode 15", "8f 80 37fa213d"},
        {"length not shortest, 16 bits", "82 fe 007d 37fa213d 7f"},
        {"length not shortest, 64 bits", "82 ff 000000000000ffff 37fa213d 7f"},
        {"length above 63 bits", "82 ff 8000000000000000 37fa213d 7f"},
        {"ping of 126 bytes", "89 fe 007e 37fa213d 7f"},
        {"ping in fragments", "09 80 37fa213d"},
        {"close in fragments", "08 80 37fa213d"},
        {"fragment of nothing", "80 80 37fa213d"},
        {"message inside a message", "01 80 37fa213d 82 80 37fa213d"},
        {"fragment behind the last one", "81 80 37fa213d 80 80 37fa213d"},
        {"close with half a code", "88 81 00000000 03"},
        {"close 999", "88 82 00000000 03e7"},
        {"close 1004", "88 82 00000000 03ec"},
        {"close 1005", "88 82 00000000 03ed"},
        {"close 1006", "88 82 00000000 03ee"},
        {"close 1015", "88 82 00000000 03f7"},
        {"close 2999", "88 82 00000000 0bb7"},
        {"close 5000", "88 82 00000000 1388"},
        {"close 0", "88 82 00000000 0000"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bytes wire = {0};
        struct bytes answer = {0};
        bytes_hex(&wire, wrong[i].hex);
        for (size_t cut = 0; cut <= wire.len; cut++) {
            struct record record = run(&server, &wire, cut, cut ? wire.len : 1, &answer);
            if (!strstr(record.text, "error"))
                fail_msg("%s: %s", wrong[i].what, record.text);
            assert_int_equal(answer.data[0], 0x88);
            assert_int_equal(answer.data[2] << 8 | answer.data[3], CV_WS_PROTOCOL_ERROR);
            assert_int_equal(answer.len, 2u + answer.data[1]);
            bytes_free(&answer);
            answer = (struct bytes){0};
        }
        bytes_free(&wire);
    }
}

static void masks_are_refused_from_servers(void **state)
{
    (void)state;
    struct bytes wire = {0};
    put_text(&wire, FIN | BINARY, "Hello");
    expect_by(&client, &wire, "error", "");
    bytes_free(&wire);
}

static void text_is_utf8(void **state)
{
    (void)state;
    struct bytes wire = {0};
    put_text(&wire, MORE | TEXT, "\xe2\x82");
    put_text(&wire, FIN | PING, "\xff");
    put_text(&wire, FIN | CONT, "\xac");
    expect(&wire, "text:\xe2\x82\xac. ", "8a 01 ff");
    static const char *const wrong[] = {"a\xff", "\xe2\x82", "\xc3("};
    for (size_t i = 0; i < 3; i++) {
        struct bytes answer = {0};
        wire = (struct bytes){0};
        put_text(&wire, FIN | TEXT, wrong[i]);
        struct record record = run(&server, &wire, 0, wire.len, &answer);
        assert_non_null(strstr(record.text, "error"));
        assert_int_equal(answer.data[2] << 8 | answer.data[3], CV_WS_NO_UTF8);
        bytes_free(&answer);
        bytes_free(&wire);
    }
}

// The announced length alone is enough; fragments count together.
static void messages_can_be_capped(void **state)
{
    (void)state;
    const struct cv_ws_config capped = {.message_bytes_max = 5};
    struct bytes wire = {0};
    put_text(&wire, MORE | BINARY, "abc");
    put_text(&wire, FIN | PING, "0123456789");
    put_text(&wire, FIN | CONT, "de");
    put_text(&wire, FIN | BINARY, "fghij");
    expect_by(&capped, &wire, "binary:abcde. binary:fghij. ", "8a 0a 30313233343536373839");
    put_text(&wire, MORE | BINARY, "abc");
    bytes_hex(&wire, "80 ff 7fffffffffffffff 00000000 41");
    expect_by(&capped, &wire, "binary:abcde. binary:fghij. binary:abcerror",
              "88 12 03f1 6d65737361676520746f6f206c6f6e67");
    bytes_free(&wire);
}

// Whatever is announced, memory does not grow, and pieces come out as they come in.
static void bug_06_announced_lengths_cost_nothing(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct record record = {0};
    bytes_hex(&wire, "82 ff 7fffffffffffffff 00000000 41424344");
    struct cv_ws *ws = cv_ws_new(&server);
    uint64_t allocs = cv_mem_stats().allocs;
    assert_int_equal(feed(ws, wire.data, wire.len, &record), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed(ws, (const uint8_t *)"efgh", 4, &record), 0);
    assert_int_equal(cv_mem_stats().allocs, allocs);
    assert_int_equal(strlen(record.text), strlen("binary:") + 404);
    cv_ws_free(ws);
    bytes_free(&wire);
}

// A client that sends a byte at a time gets nothing of us before its frame is there.
static void bug_30_slow_frames_cost_nothing(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct record record = {0};
    put_text(&wire, FIN | BINARY, "x");
    struct cv_ws *ws = cv_ws_new(&server);
    uint64_t allocs = cv_mem_stats().allocs;
    for (size_t i = 0; i < wire.len; i++) {
        assert_string_equal(record.text, "");
        assert_int_equal(feed(ws, wire.data + i, 1, &record), 0);
        assert_true(cv_ws_out_empty(ws));
    }
    assert_string_equal(record.text, "binary:x. ");
    assert_int_equal(cv_mem_stats().allocs, allocs);
    cv_ws_free(ws);
    bytes_free(&wire);
}

// Only the newest ping is answered while nothing is read (section 5.5.3).
static void bug_10_pings_that_are_never_read_do_not_pile_up(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes answer = {0};
    for (int i = 0; i < 1000; i++)
        put_text(&wire, FIN | PING, i == 999 ? "last" : "ping");
    uint64_t allocs = cv_mem_stats().allocs;
    struct record record = run(&server, &wire, wire.len, 1, &answer);
    assert_int_equal(cv_mem_stats().allocs, allocs + 1); // the engine itself
    assert_string_equal(record.text, "");
    assert_int_equal(answer.len, 6);
    assert_memory_equal(answer.data, "\x8a\x04last", 6);
    bytes_free(&answer);
    bytes_free(&wire);
}

// ---- closing --------------------------------------------------------------------------------

static void close_is_answered_with_its_code(void **state)
{
    (void)state;
    expect_hex("88 82 00000000 03e8", "close 1000: ", "88 02 03e8");
    expect_hex("88 80 00000000", "close 1005: ", "88 00");
    expect_hex("88 82 00000000 0bb8", "close 3000: ", "88 02 0bb8");
    expect_hex("88 82 00000000 1387", "close 4999: ", "88 02 1387");
    expect_hex("88 82 00000000 03f6", "close 1014: ", "88 02 03f6");
    expect_hex("88 85 00000000 03e9 627965", "close 1001:bye ", "88 02 03e9");
    expect_hex("88 82 00000000 03e8 ff ff ff", "close 1000: ", "88 02 03e8"); // ignored behind it
}

static void close_of_ours(void **state)
{
    (void)state;
    struct cv_ws *ws = cv_ws_new(&server);
    struct bytes out = {0};
    struct bytes wire = {0};
    struct record record = {0};
    cv_ws_close(ws, CV_WS_GOING_AWAY, "stop");
    cv_ws_close(ws, CV_WS_NORMAL, NULL);
    cv_ws_ping(ws);
    assert_int_equal(cv_ws_send(ws, false, "x", 1), 0);
    cv_gather_clear(&gather);
    assert_false(cv_ws_pull_begin(ws, &gather)); // no place for media any more
    cv_ws_pull_end(ws, &gather);
    drain(ws, &out);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "\x88\x06\x03\xe9stop", 8);
    assert_false(cv_ws_done(ws));
    put_text(&wire, FIN | TEXT, "late");
    put_text(&wire, FIN | PING, "late");
    put_text(&wire, FIN | CLOSE, "\x03\xe9");
    assert_int_equal(feed(ws, wire.data, wire.len, &record), 0);
    assert_string_equal(record.text, "text:late. close 1001: ");
    assert_true(cv_ws_out_empty(ws) && cv_ws_done(ws));
    cv_ws_free(ws);
    bytes_free(&out);
    bytes_free(&wire);
}

static void reasons_are_cut_between_characters(void **state)
{
    (void)state;
    for (size_t lead = 119; lead <= 124; lead++) {
        char reason[200];
        struct bytes out = {0};
        memset(reason, 'a', lead);
        memcpy(reason + lead, "\xe2\x82\xac", 4);
        struct cv_ws *ws = cv_ws_new(&server);
        cv_ws_close(ws, CV_WS_POLICY, reason);
        drain(ws, &out);
        size_t want = lead <= 120 ? lead + 3 : lead < 123 ? lead : 123;
        assert_int_equal(out.len, 2 + 2 + want);
        assert_memory_equal(out.data + 4, reason, want);
        cv_ws_free(ws);
        bytes_free(&out);
    }
}

// ---- the bytes of another engine ------------------------------------------------------------

// A stream of bytes that lends whatever has not been sent, in vectors of changing length.
struct inner {
    struct bytes bytes;
    size_t at;
    size_t ready; // so many may be lent
};

static void inner_pull(struct inner *inner)
{
    size_t at = inner->at;
    for (size_t n = 1; at < inner->ready; n = n % 7 + 1) {
        size_t len = inner->ready - at < n * 100 ? inner->ready - at : n * 100;
        bool fits = n % 2 ? cv_gather_copy(&gather, inner->bytes.data + at, len)
                          : cv_gather_borrow(&gather, inner->bytes.data + at, len);
        if (!fits)
            return;
        at += len;
    }
}

static size_t pull(struct cv_ws *ws, struct inner *inner)
{
    cv_gather_clear(&gather);
    if (cv_ws_pull_begin(ws, &gather))
        inner_pull(inner);
    cv_ws_pull_end(ws, &gather);
    return gather.bytes;
}

// Reads what a server sent: the payload of binary messages; text and pongs are counted.
struct reader {
    struct cv_ws *ws;
    struct bytes media;
    int texts;
    int pongs;
    int messages;
};

static void read_out(struct reader *reader, const struct bytes *wire)
{
    struct cv_ws_event event;
    int got;
    cv_ws_feed(reader->ws, wire->data, wire->len);
    while ((got = cv_ws_next(reader->ws, &event)) == 1) {
        reader->pongs += event.type == CV_WS_PONG;
        if (event.type != CV_WS_DATA)
            continue;
        reader->texts += event.text && event.last;
        reader->messages += !event.text && event.last;
        if (!event.text)
            bytes_add(&reader->media, event.data, event.len);
    }
    assert_int_equal(got, 0);
}

// Random writes that take a part; pings, texts and more media at random moments.
static void carries_another_engine(uint32_t seed)
{
    struct inner inner = {0};
    struct reader reader = {.ws = cv_ws_new(&client)};
    struct cv_ws *ws = cv_ws_new(&server);
    struct record record = {0};
    int texts = 0;
    int pings = 0;
    bytes_pattern(&inner.bytes, seed, 200000);
    while (inner.at < inner.bytes.len || !cv_ws_out_empty(ws)) {
        size_t left = inner.bytes.len - inner.ready;
        uint32_t more = random_below(&seed, 4) ? random_below(&seed, 3000) : 70000;
        inner.ready += more < left ? more : left;
        if (random_below(&seed, 10) == 0 && ++texts)
            assert_int_equal(cv_ws_send(ws, true, "text", 4), 0);
        if (random_below(&seed, 10) == 0) {
            struct bytes ping = {0};
            pings++;
            put_text(&ping, FIN | PING, "p");
            assert_int_equal(feed(ws, ping.data, ping.len, &record), 0);
            bytes_free(&ping);
        }
        size_t bytes = pull(ws, &inner);
        if (random_below(&seed, 4) == 0)
            assert_int_equal(pull(ws, &inner), bytes); // the same again
        size_t n = random_below(&seed, 3) ? random_below(&seed, 20) : (size_t)-1;
        struct bytes wire = {0};
        n = bytes_gathered(&wire, &gather, n);
        inner.at += cv_ws_sent(ws, n);
        assert_true(inner.at <= inner.ready);
        read_out(&reader, &wire);
        bytes_free(&wire);
    }
    bytes_equal(&reader.media, &inner.bytes);
    assert_int_equal(reader.texts, texts);
    assert_true(reader.pongs > 0 && reader.pongs <= pings && reader.messages > 1);
    cv_ws_free(ws);
    cv_ws_free(reader.ws);
    bytes_free(&reader.media);
    bytes_free(&inner.bytes);
}

static void frames_around_another_engine(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++)
        carries_another_engine(seed);
}

// The shortest form of each length: the reader refuses others.
static void carried_lengths_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 125, 126, 127, 65535, 65536};
    static uint8_t payload[65536];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct reader reader = {.ws = cv_ws_new(&client)};
        struct cv_ws *ws = cv_ws_new(&server);
        struct bytes wire = {0};
        cv_gather_clear(&gather);
        assert_true(cv_ws_pull_begin(ws, &gather));
        assert_true(cv_gather_borrow(&gather, payload, sizes[i]));
        cv_ws_pull_end(ws, &gather);
        bytes_gathered(&wire, &gather, SIZE_MAX);
        read_out(&reader, &wire);
        assert_int_equal(reader.media.len, sizes[i]);
        assert_int_equal(reader.messages, 1);
        cv_ws_free(ws);
        cv_ws_free(reader.ws);
        bytes_free(&reader.media);
        bytes_free(&wire);
    }
}

// Payload is lent where it lies: the only copies are headers.
static void payload_is_not_copied(void **state)
{
    (void)state;
    static uint8_t payload[70000];
    struct cv_ws *ws = cv_ws_new(&server);
    cv_gather_clear(&gather);
    assert_true(cv_ws_pull_begin(ws, &gather));
    assert_true(cv_gather_borrow(&gather, payload, sizeof payload));
    cv_ws_pull_end(ws, &gather);
    assert_int_equal(gather.count, 2);
    assert_int_equal(gather.vectors[0].iov_len, 10);
    assert_memory_equal(gather.vectors[0].iov_base, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
    assert_ptr_equal(gather.vectors[1].iov_base, payload);
    assert_int_equal(cv_ws_sent(ws, 10), 0);
    assert_false(cv_ws_out_empty(ws));
    assert_int_equal(cv_ws_sent(ws, 0), 0);
    cv_gather_clear(&gather);
    assert_true(cv_ws_pull_begin(ws, &gather));
    assert_true(cv_gather_borrow(&gather, payload, sizeof payload));
    assert_true(cv_gather_borrow(&gather, "new", 3)); // not in this frame
    cv_ws_pull_end(ws, &gather);
    assert_int_equal(gather.count, 1);
    assert_int_equal(cv_ws_sent(ws, sizeof payload), sizeof payload);
    assert_true(cv_ws_out_empty(ws));
    cv_ws_free(ws);
}

// A gather that others have filled: nothing is lent in part, order is kept.
static void full_gathers(void **state)
{
    (void)state;
    for (int room = 0; room <= 5; room++) {
        struct cv_ws *ws = cv_ws_new(&server);
        struct bytes wire = {0};
        struct record record = {0};
        put_text(&wire, FIN | PING, "");
        assert_int_equal(cv_ws_send(ws, true, "t", 1), 0);
        assert_int_equal(feed(ws, wire.data, wire.len, &record), 0);
        cv_gather_clear(&gather);
        for (int i = 0; i < CV_GATHER_VECTORS - room; i++)
            assert_true(cv_gather_borrow(&gather, "a", 1));
        size_t before = gather.bytes;
        if (cv_ws_pull_begin(ws, &gather))
            cv_gather_borrow(&gather, "media", 5);
        cv_ws_pull_end(ws, &gather);
        static const size_t want[] = {0, 2, 5, 5, 12, 12};
        assert_int_equal(gather.bytes - before, want[room]);
        assert_int_equal(cv_ws_sent(ws, gather.bytes - before), want[room] == 12 ? 5 : 0);
        cv_ws_free(ws);
        bytes_free(&wire);
    }
}

// ---- sending copies -------------------------------------------------------------------------

static void clients_mask(void **state)
{
    (void)state;
    struct cv_ws *ws = cv_ws_new(&client);
    struct cv_ws *peer = cv_ws_new(&server);
    struct bytes out = {0};
    struct record record = {0};
    assert_int_equal(cv_ws_send(ws, false, "Hello", 5), 0);
    assert_int_equal(cv_ws_send(ws, true, NULL, 0), 0);
    cv_ws_ping(ws);
    cv_gather_clear(&gather);
    assert_false(cv_ws_pull_begin(ws, &gather));
    cv_ws_pull_end(ws, &gather);
    drain(ws, &out);
    assert_int_equal(out.data[1] & 0x80, 0x80);
    assert_int_equal(feed(peer, out.data, out.len, &record), 0);
    assert_string_equal(record.text, "binary:Hello. text:. ");
    out.len = 0;
    drain(peer, &out);
    assert_int_equal(feed(ws, out.data, out.len, &record), 0);
    assert_string_equal(record.text, "binary:Hello. text:. <pong:>");
    cv_ws_close(ws, CV_WS_NORMAL, "bye");
    out.len = 0;
    drain(ws, &out);
    assert_int_equal(feed(peer, out.data, out.len, &record), 0);
    out.len = 0;
    drain(peer, &out);
    assert_int_equal(feed(ws, out.data, out.len, &record), 0);
    assert_string_equal(record.text, "binary:Hello. text:. <pong:>close 1000:bye close 1000: ");
    assert_true(cv_ws_done(ws) && cv_ws_done(peer));
    cv_ws_free(ws);
    cv_ws_free(peer);
    bytes_free(&out);
}

static void bug_10_copies_have_a_cap(void **state)
{
    (void)state;
    static uint8_t data[1024 * 1024];
    struct cv_ws *ws = cv_ws_new(&server);
    struct inner none = {0};
    assert_int_equal(cv_ws_send(ws, false, data, SIZE_MAX), CV_E_QUEUE_FULL);
    int sent = 0;
    while (cv_ws_send(ws, false, data, sizeof data) == 0)
        sent++;
    assert_int_equal(sent, CV_LIMIT_OUT_BYTES / (1024 * 1024) - 1);
    assert_true(pull(ws, &none) > 1024 * 1024);
    cv_ws_sent(ws, 2 * 1024 * 1024); // what has left makes room
    assert_int_equal(cv_ws_send(ws, false, data, sizeof data), 0);
    assert_int_equal(cv_ws_send(ws, false, data, sizeof data), 0);
    assert_int_equal(cv_ws_send(ws, false, data, sizeof data), CV_E_QUEUE_FULL);
    cv_ws_free(ws);
}

static int random_fails;
static int failing_random(void *out, size_t len)
{
    memset(out, 0, len);
    return random_fails ? CV_E_SYSTEM : CV_OK;
}

static void clients_without_random_numbers_say_so(void **state)
{
    (void)state;
    const struct cv_crypto crypto = {.random = failing_random};
    const struct cv_ws_config config = {.client = true, .crypto = &crypto};
    struct cv_ws *ws = cv_ws_new(&config);
    struct inner none = {0};
    struct cv_ws_event event;
    random_fails = 1;
    assert_int_equal(cv_ws_send(ws, false, "x", 1), CV_E_SYSTEM);
    assert_true(cv_ws_out_empty(ws));
    cv_ws_ping(ws);
    assert_int_equal(pull(ws, &none), 0);
    assert_int_equal(cv_ws_next(ws, &event), CV_E_SYSTEM);
    random_fails = 0;
    cv_ws_free(ws);
}

static bool send_and_read(void *arg)
{
    (void)arg;
    struct cv_ws *ws = cv_ws_new(&server);
    bool fine = ws && cv_ws_send(ws, false, "one", 3) == 0 && cv_ws_send(ws, true, "two", 3) == 0;
    struct inner none = {0};
    if (fine)
        assert_int_equal(pull(ws, &none), 10);
    cv_ws_free(ws);
    return fine;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(send_and_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(examples_for_clients),
        cmocka_unit_test(fragments_with_control_between),
        cmocka_unit_test(lengths_of_all_sizes),
        cmocka_unit_test(malformed_frames),
        cmocka_unit_test(masks_are_refused_from_servers),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(messages_can_be_capped),
        cmocka_unit_test(bug_06_announced_lengths_cost_nothing),
        cmocka_unit_test(bug_30_slow_frames_cost_nothing),
        cmocka_unit_test(bug_10_pings_that_are_never_read_do_not_pile_up),
        cmocka_unit_test(close_is_answered_with_its_code),
        cmocka_unit_test(close_of_ours),
        cmocka_unit_test(reasons_are_cut_between_characters),
        cmocka_unit_test(frames_around_another_engine),
        cmocka_unit_test(carried_lengths_of_all_sizes),
        cmocka_unit_test(payload_is_not_copied),
        cmocka_unit_test(full_gathers),
        cmocka_unit_test(clients_mask),
        cmocka_unit_test(bug_10_copies_have_a_cap),
        cmocka_unit_test(clients_without_random_numbers_say_so),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
