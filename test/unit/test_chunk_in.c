// The receiving half of the chunk stream: every header, time and size that senders use, every cut
// of the bytes, and every limit.
#include "chunk_kit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/chunk_in.h"

#include <stdio.h>

enum { MEDIA_MAX = CV_LIMIT_MEDIA_BYTES };

// ---- one receiver and its record ------------------------------------------------------------

struct reader {
    struct cv_chunk_in in;
    struct cv_why why;
    struct bytes record;
    int messages;
    int result; // 0, or how it failed
};

static struct reader reader_new(void)
{
    struct reader reader = {0};
    cv_chunk_in_init(&reader.in, MEDIA_MAX);
    return reader;
}

static void reader_free(struct reader *reader)
{
    cv_chunk_in_done(&reader->in);
    bytes_free(&reader->record);
}

// Does what the owner of a chunk stream does with the control messages that concern it.
static int obey(struct cv_chunk_in *in, const struct cv_msg *msg)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    if (msg->type == CV_MSG_SET_CHUNK_SIZE)
        return cv_chunk_in_set_size(in, cv_rd_u32(&rd));
    if (msg->type == CV_MSG_ABORT)
        cv_chunk_in_abort(in, cv_rd_u32(&rd));
    return CV_OK;
}

static void feed(struct reader *reader, const void *data, size_t len)
{
    struct cv_rd rd = cv_rd_over(data, len);
    struct cv_msg msg;
    while (reader->result == CV_OK) {
        int more = cv_chunk_in_next(&reader->in, &rd, &msg, &reader->why);
        if (more <= 0) {
            reader->result = more;
            break;
        }
        record_message(&reader->record, &msg);
        reader->messages++;
        reader->result = obey(&reader->in, &msg);
        cv_block_unref(&msg.payload);
    }
    if (reader->result == CV_OK)
        assert_int_equal(cv_rd_left(&rd), 0);
}

// Feeds a copy that ends where it ends: the sanitizer sees one byte too far.
static void feed_piece(struct reader *reader, const uint8_t *data, size_t len)
{
    uint8_t *piece = malloc(len ? len : 1);
    assert_non_null(piece);
    memcpy(piece, data, len);
    feed(reader, piece, len);
    free(piece);
}

static void same(const struct reader *whole, const struct reader *cut)
{
    assert_int_equal(whole->result, cut->result);
    bytes_equal(&whole->record, &cut->record);
}

// Every way to cut the bytes in two, and all single bytes, give what the whole gives.
static struct reader read_split_all(const struct bytes *wire)
{
    struct reader whole = reader_new();
    struct guard guard = guard_copy(wire->data, wire->len);
    feed(&whole, guard.data, guard.len);
    guard_free(&guard);
    for (size_t cut = 0; cut <= wire->len; cut++) {
        struct reader reader = reader_new();
        feed_piece(&reader, wire->data, cut);
        feed_piece(&reader, wire->data + cut, wire->len - cut);
        same(&whole, &reader);
        reader_free(&reader);
    }
    struct reader bytewise = reader_new();
    for (size_t i = 0; i < wire->len; i++)
        feed_piece(&bytewise, wire->data + i, 1);
    same(&whole, &bytewise);
    reader_free(&bytewise);
    return whole;
}

// The wire gives exactly what `expected` records, however it is cut. Frees both.
static void expect(struct bytes *wire, struct bytes *expected)
{
    struct reader reader = read_split_all(wire);
    assert_int_equal(reader.result, CV_OK);
    bytes_equal(&reader.record, expected);
    reader_free(&reader);
    bytes_free(wire);
    bytes_free(expected);
}

// The wire fails with `code`, however it is cut. Frees it.
static void expect_failure(struct bytes *wire, int code)
{
    struct reader reader = read_split_all(wire);
    assert_int_equal(reader.result, code);
    reader_free(&reader);
    bytes_free(wire);
}

// ---- headers --------------------------------------------------------------------------------

static void all_forms_inherit_what_they_leave_out(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    chunk_form_0(&wire, 4, 1000, 3, 8, 0x01020304);
    bytes_pattern(&wire, 1, 3);
    record_pattern(&expected, 8, 1000, 0x01020304, 1, 3);
    chunk_form_1(&wire, 4, 20, 2, 9);
    bytes_pattern(&wire, 2, 2);
    record_pattern(&expected, 9, 1020, 0x01020304, 2, 2);
    chunk_form_2(&wire, 4, 5);
    bytes_pattern(&wire, 3, 2);
    record_pattern(&expected, 9, 1025, 0x01020304, 3, 2);
    chunk_basic(&wire, 3, 4);
    bytes_pattern(&wire, 4, 2);
    record_pattern(&expected, 9, 1030, 0x01020304, 4, 2);
    expect(&wire, &expected);
}

// 5.3.1.2.4, literally: the delta after a type 0 header is its timestamp.
static void bug_09_type_3_after_type_0_adds_its_timestamp(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    chunk_form_0(&wire, 4, 1000, 1, 8, 1);
    bytes_hex(&wire, "aa c4 bb c4 cc");
    bytes_hex(&expected, "08 000003e8 00000001 00000001 aa");
    bytes_hex(&expected, "08 000007d0 00000001 00000001 bb");
    bytes_hex(&expected, "08 00000bb8 00000001 00000001 cc");
    expect(&wire, &expected);
}

static void type_3_after_types_1_and_2_adds_the_delta(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    bytes_hex(&wire, "04 000064 000001 08 01000000 aa"); // 100
    bytes_hex(&wire, "44 000007 000001 09 bb c4 cc");    // +7 +7
    bytes_hex(&wire, "84 00000b dd c4 ee");              // +11 +11
    bytes_hex(&expected, "08 00000064 00000001 00000001 aa");
    bytes_hex(&expected, "09 0000006b 00000001 00000001 bb");
    bytes_hex(&expected, "09 00000072 00000001 00000001 cc");
    bytes_hex(&expected, "09 0000007d 00000001 00000001 dd");
    bytes_hex(&expected, "09 00000088 00000001 00000001 ee");
    expect(&wire, &expected);
}

static void type_1_opens_a_chunk_stream(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    bytes_hex(&wire, "42 000007 000006 04 0006 00000001"); // some librtmp pings
    bytes_hex(&expected, "04 00000007 00000000 00000006 0006 00000001");
    expect(&wire, &expected);
}

static void read_csid(uint32_t csid, const char *basic_hex)
{
    struct bytes wire = {0};
    struct reader reader = reader_new();
    bytes_hex(&wire, basic_hex);
    bytes_hex(&wire, "000001 000001 08 01000000 aa");
    feed_piece(&reader, wire.data, wire.len);
    assert_int_equal(reader.result, CV_OK);
    assert_int_equal(reader.messages, 1);
    assert_int_equal(reader.in.contexts[0].csid, csid);
    reader_free(&reader);
    bytes_free(&wire);
}

static void every_chunk_stream_id_in_every_form(void **state)
{
    (void)state;
    char hex[16];
    for (uint32_t csid = 2; csid <= 65599; csid++) {
        if (csid < 64) {
            snprintf(hex, sizeof hex, "%02x", csid);
            read_csid(csid, hex);
            continue;
        }
        snprintf(hex, sizeof hex, "01%02x%02x", (csid - 64) & 0xff, (csid - 64) >> 8);
        read_csid(csid, hex);
        if (csid >= 320)
            continue;
        snprintf(hex, sizeof hex, "00%02x", csid - 64);
        read_csid(csid, hex);
    }
}

static void long_ids_are_cut_anywhere_and_may_change_their_form(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    chunk_form_0(&wire, 100, 5, 200, 9, 1); // two bytes
    bytes_pattern(&wire, 1, 200);
    struct bytes body = {0};
    bytes_pattern(&body, 1, 200);
    wire.len -= 72;
    bytes_hex(&wire, "c1 24 00"); // the same id in three bytes
    bytes_add(&wire, body.data + 128, 72);
    record_pattern(&expected, 9, 5, 1, 1, 200);
    chunk_form_0(&wire, 65599, 6, 1, 8, 1);
    bytes_pattern(&wire, 2, 1);
    record_pattern(&expected, 8, 6, 1, 2, 1);
    bytes_free(&body);
    expect(&wire, &expected);
}

static void bug_08_types_2_and_3_need_a_message_before_them(void **state)
{
    (void)state;
    static const char *const starts[] = {"84 000001", "c4", "c0 01", "c1 0101", "80 01 000001"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct bytes wire = {0};
        chunk_form_0(&wire, 5, 0, 1, 8, 1);
        bytes_hex(&wire, "aa");
        bytes_hex(&wire, starts[i]);
        expect_failure(&wire, CV_E_CHUNK_CONTEXT);
    }
}

static void bug_08_chunk_streams_are_counted(void **state)
{
    (void)state;
    struct bytes wire = {0};
    for (uint32_t csid = 2; csid < 2 + CV_LIMIT_CHUNK_STREAMS; csid++)
        chunk_form_0(&wire, csid * 7, 0, 0, 8, 1);
    for (uint32_t csid = 2; csid < 2 + CV_LIMIT_CHUNK_STREAMS; csid++)
        chunk_basic(&wire, 3, csid * 7); // those that are open stay usable
    struct reader reader = read_split_all(&wire);
    assert_int_equal(reader.result, CV_OK);
    assert_int_equal(reader.messages, 2 * CV_LIMIT_CHUNK_STREAMS);
    reader_free(&reader);
    chunk_form_0(&wire, 3, 0, 0, 8, 1);
    expect_failure(&wire, CV_E_TOO_MANY);
}

// A peer that announces another length for the message that is under way must not get a buffer of
// one length filled with the other (CVE-2016-10191).
static void bug_04_header_inside_a_message_is_refused(void **state)
{
    (void)state;
    static const char *const inside[] = {"04 000000 ffffff 09 01000000", "44 000000 ffffff 09",
                                         "84 000000"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        struct bytes wire = {0};
        chunk_form_0(&wire, 4, 0, 129, 9, 1);
        bytes_pattern(&wire, 1, 128);
        bytes_hex(&wire, inside[i]);
        expect_failure(&wire, CV_E_CHUNK_HEADER);
    }
}

// ---- times ----------------------------------------------------------------------------------

static const uint32_t times[] = {0,        1,        16777213, 16777214,   16777215,
                                 16777216, 16777217, 20000000, 0x7fffffff, 4294967295};
enum { TIMES = sizeof times / sizeof times[0] };

static void bug_09_every_time_with_continuation_chunks(void **state)
{
    (void)state;
    for (int i = 0; i < TIMES; i++) {
        struct bytes wire = {0};
        struct bytes expected = {0};
        struct bytes body = {0};
        bytes_pattern(&body, times[i], 300);
        struct cv_block *payload = cv_block_copy(body.data, body.len);
        struct cv_msg msg = {.type = 9, .ts_ms = times[i], .stream_id = 1, .payload = payload};
        chunk_message(&wire, 6, &msg, 128);
        chunk_message(&wire, 6, &msg, 128);
        record_message(&expected, &msg);
        record_message(&expected, &msg);
        cv_block_unref(&payload);
        bytes_free(&body);
        expect(&wire, &expected);
    }
}

// The text of 2009, and OBS before 2024: no extended field in type 3 headers.
static void bug_09_extended_time_left_out_of_continuation_chunks(void **state)
{
    (void)state;
    for (int i = 0; i < TIMES; i++) {
        struct bytes wire = {0};
        struct bytes expected = {0};
        struct bytes body = {0};
        bytes_pattern(&body, 1, 300);
        for (int n = 0; n < 2; n++) {
            chunk_form_0(&wire, 6, times[i], 300, 9, 1);
            bytes_add(&wire, body.data, 128);
            bytes_hex(&wire, "c6");
            bytes_add(&wire, body.data + 128, 128);
            bytes_hex(&wire, "c6");
            bytes_add(&wire, body.data + 256, 44);
            record_pattern(&expected, 9, times[i], 1, 1, 300);
        }
        bytes_free(&body);
        expect(&wire, &expected);
    }
}

static void bug_09_deltas_wrap_and_step_back(void **state)
{
    (void)state;
    static const uint32_t deltas[] = {1,          16777214,   16777215,  16777216,
                                      0xffffffff, 0x80000000, 0xffffff00};
    for (int i = 0; i < TIMES; i++) {
        struct bytes wire = {0};
        struct bytes expected = {0};
        uint32_t now_ms = times[i];
        chunk_form_0(&wire, 6, now_ms, 2, 9, 1);
        bytes_pattern(&wire, 0, 2);
        record_pattern(&expected, 9, now_ms, 1, 0, 2);
        for (uint32_t k = 0; k < sizeof deltas / sizeof deltas[0]; k++) {
            now_ms += deltas[k];
            if (k % 2)
                chunk_form_1(&wire, 6, deltas[k], 2, 9);
            else
                chunk_form_2(&wire, 6, deltas[k]);
            bytes_pattern(&wire, k, 2);
            record_pattern(&expected, 9, now_ms, 1, k, 2);
        }
        expect(&wire, &expected);
    }
}

// A type 3 header that starts a message after an extended delta: the field written, and left out.
static void bug_09_type_3_repeats_an_extended_delta(void **state)
{
    (void)state;
    for (int written = 0; written < 2; written++) {
        struct bytes wire = {0};
        struct bytes expected = {0};
        chunk_form_0(&wire, 6, 50, 5, 9, 1);
        bytes_pattern(&wire, 1, 5);
        record_pattern(&expected, 9, 50, 1, 1, 5);
        chunk_form_2(&wire, 6, 0xffffffff);
        bytes_pattern(&wire, 2, 5);
        record_pattern(&expected, 9, 49, 1, 2, 5);
        for (uint32_t n = 0; n < 3; n++) {
            chunk_basic(&wire, 3, 6);
            if (written)
                bytes_u32(&wire, 0xffffffff);
            bytes_pattern(&wire, 3 + n, 5);
            record_pattern(&expected, 9, 48 - n, 1, 3 + n, 5);
        }
        chunk_form_2(&wire, 6, 10); // a short delta ends it
        bytes_pattern(&wire, 7, 5);
        record_pattern(&expected, 9, 56, 1, 7, 5);
        chunk_basic(&wire, 3, 6);
        bytes_pattern(&wire, 8, 5);
        record_pattern(&expected, 9, 66, 1, 8, 5);
        expect(&wire, &expected);
    }
}

// A message of 128 + `tail` bytes whose last bytes agree with the time in `agree` places.
static void tail_message(struct bytes *wire, struct bytes *expected, size_t tail, size_t agree,
                         bool written)
{
    static const uint8_t time[] = {0x01, 0xc4, 0x06, 0x00};
    struct bytes body = {0};
    bytes_pattern(&body, 9, 128);
    for (size_t i = 0; i < tail; i++)
        bytes_u8(&body, i < agree ? time[i] : 0xee);
    chunk_form_0(wire, 6, 0x01c40600, (uint32_t)body.len, 9, 1);
    bytes_add(wire, body.data, 128);
    if (tail) {
        chunk_basic(wire, 3, 6);
        if (written)
            bytes_add(wire, time, 4);
        bytes_add(wire, body.data + 128, tail);
    }
    struct cv_block *payload = cv_block_copy(body.data, body.len);
    struct cv_msg msg = {.type = 9, .ts_ms = 0x01c40600, .stream_id = 1, .payload = payload};
    record_message(expected, &msg);
    cv_block_unref(&payload);
    bytes_free(&body);
}

// The last chunk has fewer bytes than the field would have, and they look like the field: what
// comes behind the message decides, wherever the bytes are cut.
static void bug_09_field_left_out_before_a_short_tail(void **state)
{
    (void)state;
    for (size_t tail = 0; tail <= 6; tail++) {
        for (size_t agree = 0; agree <= tail && agree < 4; agree++) {
            for (int written = 0; written < 2; written++) {
                struct bytes wire = {0};
                struct bytes expected = {0};
                tail_message(&wire, &expected, tail, agree, written);
                chunk_form_0(&wire, 4, 7, 2, 8, 1);
                bytes_pattern(&wire, 3, 2);
                record_pattern(&expected, 8, 7, 1, 3, 2);
                expect(&wire, &expected);
            }
        }
    }
}

// The same, and what was looked at holds whole messages: type 3 headers, and an empty message.
static void bug_09_what_was_looked_at_may_be_messages(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    chunk_form_0(&wire, 4, 0, 0, 8, 1); // empty messages: then each byte c4 is one
    record_pattern(&expected, 8, 0, 1, 0, 0);
    tail_message(&wire, &expected, 1, 1, false);
    bytes_hex(&wire, "c4"); // agrees with the second byte of the time
    record_pattern(&expected, 8, 0, 1, 0, 0);
    bytes_hex(&wire, "06 010000 000001 08 01000000 aa"); // with the third, not the fourth
    bytes_hex(&expected, "08 00010000 00000001 00000001 aa");
    bytes_hex(&wire, "c4 c4");
    record_pattern(&expected, 8, 0, 1, 0, 0);
    record_pattern(&expected, 8, 0, 1, 0, 0);
    // not an agreeing byte: the message is there at once
    tail_message(&wire, &expected, 1, 0, false);
    expect(&wire, &expected);
}

// Without any payload to compare, the field is told from the next header.
static void bug_09_empty_messages_with_extended_time(void **state)
{
    (void)state;
    for (int written = 0; written < 2; written++) {
        struct bytes wire = {0};
        struct bytes expected = {0};
        chunk_form_0(&wire, 4, 0x01000000, 0, 8, 1);
        record_pattern(&expected, 8, 0x01000000, 1, 0, 0);
        for (uint32_t n = 2; n < 5; n++) {
            bytes_hex(&wire, written ? "c4 01000000" : "c4");
            record_pattern(&expected, 8, n * 0x01000000, 1, 0, 0);
        }
        chunk_form_0(&wire, 5, 0, 0, 8, 1);
        record_pattern(&expected, 8, 0, 1, 0, 0);
        expect(&wire, &expected);
    }
}

// ---- lengths, sizes, limits -----------------------------------------------------------------

static void empty_messages_need_no_payload(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    bytes_hex(&wire, "04 000005 000000 08 01000000 44 000001 000000 08 84 000001 c4 c4");
    for (uint32_t n = 0; n < 5; n++)
        record_pattern(&expected, 8, 5 + n, 1, 0, 0);
    expect(&wire, &expected);
}

static void abort_drops_the_message_under_way(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    chunk_form_0(&wire, 6, 10, 200, 9, 1);
    bytes_pattern(&wire, 1, 128);
    chunk_control(&wire, CV_MSG_ABORT, 77); // nobody
    bytes_hex(&expected, "02 00000000 00000000 00000004 0000004d");
    chunk_control(&wire, CV_MSG_ABORT, 6);
    bytes_hex(&expected, "02 00000000 00000000 00000004 00000006");
    chunk_control(&wire, CV_MSG_ABORT, 2); // its own stream: nothing is under way
    bytes_hex(&expected, "02 00000000 00000000 00000004 00000002");
    chunk_form_1(&wire, 6, 5, 3, 9); // a header is welcome again, and goes on from the dropped one
    bytes_pattern(&wire, 2, 3);
    record_pattern(&expected, 9, 15, 1, 2, 3);
    expect(&wire, &expected);
}

static void messages_of_many_streams_interleave(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct bytes expected = {0};
    struct bytes body[3] = {{0}, {0}, {0}};
    static const uint32_t csids[] = {4, 80, 400};
    for (uint32_t i = 0; i < 3; i++)
        bytes_pattern(&body[i], i, 300);
    for (size_t at = 0; at < 300; at += 128) {
        for (uint32_t i = 0; i < 3; i++) {
            if (at == 0)
                chunk_form_0(&wire, csids[i], 10 * i, 300, (uint8_t)(8 + i % 2), 1);
            else
                chunk_basic(&wire, 3, csids[i]);
            bytes_add(&wire, body[i].data + at, at < 256 ? 128 : 44);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        record_pattern(&expected, (uint8_t)(8 + i % 2), 10 * i, 1, i, 300);
        bytes_free(&body[i]);
    }
    expect(&wire, &expected);
}

// A message whose chunks have the sizes of the list: a Set Chunk Size goes between them.
static void sizes_inside_a_message(const uint32_t *sizes, size_t count, size_t len)
{
    struct bytes wire = {0};
    struct bytes expected = {0};
    struct bytes body = {0};
    bytes_pattern(&body, 1, len);
    chunk_form_0(&wire, 6, 1, (uint32_t)len, 9, 1);
    size_t at = len < 128 ? len : 128;
    bytes_add(&wire, body.data, at);
    for (size_t i = 0; at < len; i++) {
        uint32_t size = sizes[i % count];
        if (i == 0 || size != sizes[(i - 1) % count]) {
            // Written in one-byte chunks when that is the size in force.
            uint32_t now = i ? sizes[(i - 1) % count] : 128;
            struct bytes value = {0};
            bytes_u32(&value, size);
            chunk_form_0(&wire, 2, 0, 4, CV_MSG_SET_CHUNK_SIZE, 0);
            for (size_t k = 0; k < 4; k++) {
                if (k && k % now == 0)
                    chunk_basic(&wire, 3, 2);
                bytes_add(&wire, value.data + k, 1);
            }
            bytes_hex(&expected, "01 00000000 00000000 00000004");
            bytes_u32(&expected, size);
            bytes_free(&value);
        }
        size_t piece = size < len - at ? size : len - at;
        chunk_basic(&wire, 3, 6);
        bytes_add(&wire, body.data + at, piece);
        at += piece;
    }
    record_pattern(&expected, 9, 1, 1, 1, len);
    bytes_free(&body);
    expect(&wire, &expected);
}

static void bug_01_size_changes_mid_message(void **state)
{
    (void)state;
    static const uint32_t up[] = {127, 129, 1000};
    static const uint32_t down[] = {200, 3, 1};
    static const uint32_t huge[] = {0x7fffffff};
    static const uint32_t around[] = {1, 0x7fffffff};
    sizes_inside_a_message(up, 3, 1500);
    sizes_inside_a_message(down, 3, 600);
    sizes_inside_a_message(huge, 1, 1500);
    sizes_inside_a_message(around, 2, 600);
    sizes_inside_a_message(around, 2, 129);
}

static void bug_01_size_changes_between_messages(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 127, 128, 129, 65536, 0xffffff, 0x7fffffff, 2};
    struct bytes wire = {0};
    struct bytes expected = {0};
    size_t now = 128;
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t value[4] = {(uint8_t)(sizes[i] >> 24), (uint8_t)(sizes[i] >> 16),
                            (uint8_t)(sizes[i] >> 8), (uint8_t)sizes[i]};
        struct cv_block *set = cv_block_copy(value, 4);
        struct cv_msg msg = {.type = CV_MSG_SET_CHUNK_SIZE, .payload = set};
        chunk_message(&wire, 2, &msg, now);
        record_message(&expected, &msg);
        cv_block_unref(&set);
        now = sizes[i];
        struct bytes body = {0};
        bytes_pattern(&body, i, 260);
        struct cv_block *payload = cv_block_copy(body.data, body.len);
        struct cv_msg video = {.type = 9, .ts_ms = i, .stream_id = 1, .payload = payload};
        chunk_message(&wire, 6, &video, now);
        record_message(&expected, &video);
        cv_block_unref(&payload);
        bytes_free(&body);
    }
    expect(&wire, &expected);
}

static void bug_07_sizes_are_checked(void **state)
{
    (void)state;
    struct cv_chunk_in in;
    cv_chunk_in_init(&in, MEDIA_MAX);
    assert_int_equal(cv_chunk_in_set_size(&in, 0), CV_E_CHUNK_SIZE);
    assert_int_equal(cv_chunk_in_set_size(&in, 0x80000000), CV_E_CHUNK_SIZE);
    assert_int_equal(cv_chunk_in_set_size(&in, 0xffffffff), CV_E_CHUNK_SIZE);
    assert_int_equal(in.chunk_bytes, 128);
    assert_int_equal(cv_chunk_in_set_size(&in, 1), CV_OK);
    assert_int_equal(in.chunk_bytes, 1);
    assert_int_equal(cv_chunk_in_set_size(&in, 65536), CV_OK);
    assert_int_equal(in.chunk_bytes, 65536);
    assert_int_equal(cv_chunk_in_set_size(&in, 0x7fffffff), CV_OK);
    assert_int_equal(in.chunk_bytes, CV_LIMIT_CHUNK_BYTES);
    cv_chunk_in_done(&in);
}

// Size 1: no allocation per chunk, only the doubling of one block.
static void bug_07_chunks_of_one_byte_cost_no_memory(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    struct reader reader = reader_new();
    struct bytes wire = {0};
    struct bytes body = {0};
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 1);
    chunk_form_0(&wire, 6, 0, LEN, 9, 1);
    bytes_pattern(&body, 1, LEN);
    for (size_t i = 0; i < LEN; i++) {
        if (i)
            bytes_hex(&wire, "c6");
        bytes_add(&wire, body.data + i, 1);
    }
    uint64_t before = cv_mem_stats().allocs;
    feed(&reader, wire.data, wire.len);
    assert_in_range(cv_mem_stats().allocs - before, 2, 20);
    assert_int_equal(reader.result, CV_OK);
    assert_int_equal(reader.messages, 2);
    reader_free(&reader);
    bytes_free(&body);
    bytes_free(&wire);
}

struct limit_case {
    uint8_t type;
    uint32_t limit;
};

static void bug_06_each_type_has_its_limit(void **state)
{
    (void)state;
    static const struct limit_case cases[] = {
        {1, CV_LIMIT_CONTROL_BYTES},
        {2, CV_LIMIT_CONTROL_BYTES},
        {3, CV_LIMIT_CONTROL_BYTES},
        {4, CV_LIMIT_CONTROL_BYTES},
        {5, CV_LIMIT_CONTROL_BYTES},
        {6, CV_LIMIT_CONTROL_BYTES},
        {8, MEDIA_MAX},
        {9, MEDIA_MAX},
        {22, MEDIA_MAX},
        {15, CV_LIMIT_COMMAND_BYTES},
        {17, CV_LIMIT_COMMAND_BYTES},
        {18, CV_LIMIT_COMMAND_BYTES},
        {20, CV_LIMIT_COMMAND_BYTES},
        {16, CV_LIMIT_SHARED_OBJECT_BYTES},
        {19, CV_LIMIT_SHARED_OBJECT_BYTES},
        {0, CV_LIMIT_COMMAND_BYTES},
        {7, CV_LIMIT_COMMAND_BYTES},
        {255, CV_LIMIT_COMMAND_BYTES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes wire = {0};
        assert_int_equal(cv_msg_limit(cases[i].type, MEDIA_MAX), cases[i].limit);
        chunk_form_0(&wire, 6, 0, cases[i].limit + 1, cases[i].type, 1);
        struct reader reader = reader_new();
        feed(&reader, wire.data, wire.len);
        assert_int_equal(reader.result, CV_E_TOO_LONG); // at once: nothing of it has come
        reader_free(&reader);
        wire.len = 0;
        chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 0x7fffffff);
        chunk_form_0(&wire, 6, 0, cases[i].limit, cases[i].type, 1);
        bytes_pattern(&wire, 1, cases[i].limit);
        reader = reader_new();
        struct cv_rd rd = cv_rd_over(wire.data, wire.len);
        struct cv_msg msg;
        assert_int_equal(cv_chunk_in_next(&reader.in, &rd, &msg, &reader.why), 1);
        assert_int_equal(obey(&reader.in, &msg), CV_OK);
        cv_block_unref(&msg.payload);
        assert_int_equal(cv_chunk_in_next(&reader.in, &rd, &msg, &reader.why), 1);
        assert_int_equal(msg.payload->len, cases[i].limit);
        cv_block_unref(&msg.payload);
        reader_free(&reader);
        bytes_free(&wire);
    }
}

// The limit of media is the owner's; the others are not moved by it.
static void bug_06_media_limit_can_be_set(void **state)
{
    (void)state;
    static const struct limit_case cases[] = {
        {9, 65536}, {8, 65536}, {20, CV_LIMIT_COMMAND_BYTES}, {19, CV_LIMIT_SHARED_OBJECT_BYTES}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes wire = {0};
        struct cv_msg msg;
        struct cv_why why = {0};
        struct cv_chunk_in in;
        cv_chunk_in_init(&in, 65536);
        cv_chunk_in_set_size(&in, 0x7fffffff);
        chunk_form_0(&wire, 6, 0, cases[i].limit, cases[i].type, 1);
        bytes_pattern(&wire, 1, cases[i].limit);
        chunk_form_1(&wire, 6, 0, cases[i].limit + 1, cases[i].type);
        struct cv_rd rd = cv_rd_over(wire.data, wire.len);
        assert_int_equal(cv_chunk_in_next(&in, &rd, &msg, &why), 1);
        assert_int_equal(msg.payload->len, cases[i].limit);
        cv_block_unref(&msg.payload);
        assert_int_equal(cv_chunk_in_next(&in, &rd, &msg, &why), CV_E_TOO_LONG);
        cv_chunk_in_done(&in);
        bytes_free(&wire);
    }
}

// A type 3 header inherits a length that was checked; type 1 with the length of one type and the
// number of another is checked again.
static void bug_05_inherited_lengths_are_checked_for_the_new_type(void **state)
{
    (void)state;
    struct bytes wire = {0};
    chunk_form_0(&wire, 6, 0, 33, 9, 1);
    bytes_pattern(&wire, 1, 33);
    chunk_form_1(&wire, 6, 0, 33, CV_MSG_SET_CHUNK_SIZE);
    expect_failure(&wire, CV_E_TOO_LONG);
    static const uint32_t lengths[] = {CV_LIMIT_MEDIA_BYTES + 1, 0xfffffe, 0xffffff};
    for (int i = 0; i < 3; i++) {
        chunk_form_0(&wire, 6, 0xffffffff, lengths[i], 9, 0xffffffff);
        expect_failure(&wire, CV_E_TOO_LONG);
    }
}

// 8 MB announced, few bytes sent: the block is at most twice what has come (and 1 KB to begin).
static void bug_06_memory_follows_the_bytes(void **state)
{
    (void)state;
    enum { PIECE = 1000 };
    struct bytes wire = {0};
    struct reader reader = reader_new();
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 0x7fffffff);
    chunk_form_0(&wire, 6, 0, MEDIA_MAX, 9, 1);
    feed(&reader, wire.data, wire.len);
    const struct cv_block *const *partial = NULL;
    for (uint32_t i = 0; i < reader.in.count; i++) {
        if (reader.in.contexts[i].partial)
            partial = (const struct cv_block *const *)&reader.in.contexts[i].partial;
    }
    assert_non_null(partial);
    assert_true((*partial)->capacity <= 1024);
    struct bytes body = {0};
    bytes_pattern(&body, 1, PIECE);
    for (size_t sent = PIECE; sent < 300 * PIECE; sent += PIECE) {
        feed(&reader, body.data, PIECE);
        assert_int_equal((*partial)->len, sent);
        assert_true((*partial)->capacity <= 2 * sent + 1024);
    }
    reader_free(&reader);
    bytes_free(&body);
    bytes_free(&wire);
}

// The same with all chunk streams at once: 64 times 8 MB announced are some KB.
static void bug_06_many_announcements_cost_little(void **state)
{
    (void)state;
    struct bytes wire = {0};
    struct reader reader = reader_new();
    for (uint32_t csid = 3; csid < 3 + CV_LIMIT_CHUNK_STREAMS; csid++) {
        chunk_form_0(&wire, csid, 0, MEDIA_MAX, 9, 1);
        bytes_pattern(&wire, csid, 128);
    }
    feed(&reader, wire.data, wire.len);
    assert_int_equal(reader.result, CV_OK);
    size_t capacity = 0;
    for (uint32_t i = 0; i < reader.in.count; i++)
        capacity += reader.in.contexts[i].partial->capacity;
    assert_true(capacity <= CV_LIMIT_CHUNK_STREAMS * 1024);
    assert_int_equal(reader.in.partial_bytes, CV_LIMIT_CHUNK_STREAMS * 128);
    reader_free(&reader);
    bytes_free(&wire);
}

static void bug_06_unfinished_messages_have_a_limit_together(void **state)
{
    (void)state;
    struct reader reader = reader_new();
    struct bytes wire = {0};
    struct bytes body = {0};
    bytes_pattern(&body, 1, 0x100000);
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 0x100000);
    feed(&reader, wire.data, wire.len);
    size_t total = 0;
    size_t largest = (size_t)MEDIA_MAX * CV_LIMIT_PARTIAL_FACTOR;
    for (uint32_t csid = 3; csid < 20 && reader.result == CV_OK; csid++) {
        wire.len = 0;
        chunk_form_0(&wire, csid, 0, MEDIA_MAX, 9, 1);
        feed(&reader, wire.data, wire.len);
        feed(&reader, body.data, body.len);
        if (reader.result == CV_OK)
            total += body.len;
        assert_true(reader.in.partial_bytes <= largest);
    }
    assert_int_equal(reader.result, CV_E_TOO_LONG);
    assert_int_equal(total, largest);
    reader_free(&reader);
    bytes_free(&body);
    bytes_free(&wire);
}

// ---- random senders -------------------------------------------------------------------------

// What a sender remembers of a chunk stream, and the message that it is sending there.
struct sending {
    uint32_t csid;
    uint32_t ts_ms;
    uint32_t delta_ms;
    uint32_t extended;
    uint32_t len;
    uint32_t stream_id;
    uint8_t type;
    bool open;
    bool has_extended;
    size_t sent;
    struct bytes body; // len 0 and sent 0: nothing under way
    bool busy;
};

struct sender {
    uint32_t random;
    uint32_t chunk_bytes;
    bool leaves_out; // the extended field of type 3 headers
    struct sending streams[5];
    struct bytes wire;
    struct bytes expected;
};

static uint32_t random_time(struct sender *sender)
{
    static const uint32_t bases[] = {0, 20, 16777200, 0xfffffff0, 0x7ffffff0};
    return bases[random_below(&sender->random, 5)] + random_below(&sender->random, 32);
}

static void header_of_start(struct sender *sender, struct sending *stream)
{
    uint32_t form = stream->open ? random_below(&sender->random, 4) : 0;
    uint32_t time = random_time(sender);
    if (form <= 1) {
        stream->len = random_below(&sender->random, 4) ? random_below(&sender->random, 400)
                                                       : random_below(&sender->random, 4);
        stream->type = (uint8_t)(8 + random_below(&sender->random, 2));
    }
    if (form == 0) {
        stream->stream_id = next_random(&sender->random);
        chunk_form_0(&sender->wire, stream->csid, time, stream->len, stream->type,
                     stream->stream_id);
    } else if (form == 1) {
        chunk_form_1(&sender->wire, stream->csid, time, stream->len, stream->type);
    } else if (form == 2) {
        chunk_form_2(&sender->wire, stream->csid, time);
    } else {
        chunk_basic(&sender->wire, 3, stream->csid);
        time = stream->delta_ms;
        if (stream->has_extended && !sender->leaves_out)
            bytes_u32(&sender->wire, stream->extended);
    }
    if (form < 3) {
        stream->has_extended = time >= 0xffffff;
        stream->extended = time;
    }
    stream->delta_ms = time;
    stream->ts_ms = form == 0 ? time : stream->ts_ms + time;
    stream->open = true;
}

static void send_chunk(struct sender *sender, struct sending *stream)
{
    if (!stream->busy) {
        header_of_start(sender, stream);
        stream->busy = true;
        stream->sent = 0;
        stream->body.len = 0;
        bytes_pattern(&stream->body, next_random(&sender->random), stream->len);
        // Payloads begin like the extended field, but not up to its last byte.
        uint32_t agree = random_below(&sender->random, 4);
        for (uint32_t i = 0; i <= agree && i < stream->len; i++) {
            uint32_t byte = stream->extended >> (24 - 8 * i);
            bool differs = i == agree || i + 1 == stream->len;
            stream->body.data[i] = (uint8_t)(differs ? ~byte : byte);
        }
    } else {
        chunk_basic(&sender->wire, 3, stream->csid);
        if (stream->has_extended && !sender->leaves_out)
            bytes_u32(&sender->wire, stream->extended);
    }
    size_t left = stream->len - stream->sent;
    size_t piece = left < sender->chunk_bytes ? left : sender->chunk_bytes;
    bytes_add(&sender->wire, stream->body.data + stream->sent, piece);
    stream->sent += piece;
    if (stream->sent < stream->len)
        return;
    stream->busy = false;
    bytes_u8(&sender->expected, stream->type);
    bytes_u32(&sender->expected, stream->ts_ms);
    bytes_u32(&sender->expected, stream->stream_id);
    bytes_u32(&sender->expected, stream->len);
    bytes_add(&sender->expected, stream->body.data, stream->len);
}

static void send_size(struct sender *sender)
{
    uint32_t size = 1 + random_below(&sender->random, 200);
    uint8_t value[4] = {0, 0, 0, (uint8_t)size};
    struct cv_block *payload = cv_block_copy(value, 4);
    struct cv_msg msg = {.type = CV_MSG_SET_CHUNK_SIZE, .payload = payload};
    chunk_message(&sender->wire, 2, &msg, sender->chunk_bytes);
    record_message(&sender->expected, &msg);
    cv_block_unref(&payload);
    sender->chunk_bytes = size;
}

static void random_sender(uint32_t seed, bool leaves_out)
{
    static const uint32_t csids[] = {3, 63, 64, 319, 65599};
    struct sender sender = {.random = seed, .chunk_bytes = 128, .leaves_out = leaves_out};
    for (int i = 0; i < 5; i++)
        sender.streams[i].csid = csids[i];
    for (int n = 0; n < 100; n++) {
        send_chunk(&sender, &sender.streams[random_below(&sender.random, 5)]);
        if (random_below(&sender.random, 20) == 0)
            send_size(&sender);
    }
    for (int i = 0; i < 5; i++) {
        while (sender.streams[i].busy)
            send_chunk(&sender, &sender.streams[i]);
    }
    send_size(&sender); // ends what waits for the bytes behind it
    struct reader reader = reader_new();
    for (size_t at = 0; at < sender.wire.len;) {
        size_t piece = 1 + random_below(&sender.random, 1 + next_random(&sender.random) % 300);
        piece = piece < sender.wire.len - at ? piece : sender.wire.len - at;
        feed_piece(&reader, sender.wire.data + at, piece);
        at += piece;
    }
    assert_int_equal(reader.result, CV_OK);
    bytes_equal(&reader.record, &sender.expected);
    reader_free(&reader);
    for (int i = 0; i < 5; i++)
        bytes_free(&sender.streams[i].body);
    bytes_free(&sender.wire);
    bytes_free(&sender.expected);
}

static void bug_09_random_senders_are_understood(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 1000; seed++)
        random_sender(seed, seed % 2);
}

// ---- memory ---------------------------------------------------------------------------------

static bool read_wire(void *arg)
{
    const struct bytes *wire = arg;
    struct reader reader = reader_new();
    feed(&reader, wire->data, wire->len / 2);
    feed(&reader, wire->data + wire->len / 2, wire->len - wire->len / 2);
    int result = reader.result;
    assert_true(result == CV_OK || result == CV_E_NOMEM);
    assert_int_equal(reader.why.code, result);
    reader_free(&reader);
    return result == CV_OK;
}

static void failing_memory_is_an_error(void **state)
{
    (void)state;
    struct bytes wire = {0};
    for (uint32_t csid = 3; csid < 10; csid++) {
        chunk_form_0(&wire, csid, 0x01000000, 5000, 9, 1);
        bytes_pattern(&wire, csid, 128);
    }
    chunk_control(&wire, CV_MSG_SET_CHUNK_SIZE, 65536);
    for (uint32_t csid = 3; csid < 10; csid++) {
        chunk_basic(&wire, 3, csid);
        bytes_pattern(&wire, csid, 5000 - 128);
    }
    fail_nth(read_wire, &wire);
    bytes_free(&wire);
}

static void corpus_file_is_read(const char *file, const uint8_t *data, size_t len)
{
    (void)file;
    if (len > 3000)
        return;
    struct bytes wire = {0};
    bytes_add(&wire, data, len);
    struct reader reader = read_split_all(&wire);
    reader_free(&reader);
    bytes_free(&wire);
}

static void corpus_is_read_the_same_in_every_cut(void **state)
{
    (void)state;
    corpus_each("chunk", corpus_file_is_read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_inherit_what_they_leave_out),
        cmocka_unit_test(bug_09_type_3_after_type_0_adds_its_timestamp),
        cmocka_unit_test(type_3_after_types_1_and_2_adds_the_delta),
        cmocka_unit_test(type_1_opens_a_chunk_stream),
        cmocka_unit_test(every_chunk_stream_id_in_every_form),
        cmocka_unit_test(long_ids_are_cut_anywhere_and_may_change_their_form),
        cmocka_unit_test(bug_08_types_2_and_3_need_a_message_before_them),
        cmocka_unit_test(bug_08_chunk_streams_are_counted),
        cmocka_unit_test(bug_04_header_inside_a_message_is_refused),
        cmocka_unit_test(bug_09_every_time_with_continuation_chunks),
        cmocka_unit_test(bug_09_extended_time_left_out_of_continuation_chunks),
        cmocka_unit_test(bug_09_deltas_wrap_and_step_back),
        cmocka_unit_test(bug_09_type_3_repeats_an_extended_delta),
        cmocka_unit_test(bug_09_field_left_out_before_a_short_tail),
        cmocka_unit_test(bug_09_what_was_looked_at_may_be_messages),
        cmocka_unit_test(bug_09_empty_messages_with_extended_time),
        cmocka_unit_test(empty_messages_need_no_payload),
        cmocka_unit_test(abort_drops_the_message_under_way),
        cmocka_unit_test(messages_of_many_streams_interleave),
        cmocka_unit_test(bug_01_size_changes_mid_message),
        cmocka_unit_test(bug_01_size_changes_between_messages),
        cmocka_unit_test(bug_07_sizes_are_checked),
        cmocka_unit_test(bug_07_chunks_of_one_byte_cost_no_memory),
        cmocka_unit_test(bug_06_each_type_has_its_limit),
        cmocka_unit_test(bug_06_media_limit_can_be_set),
        cmocka_unit_test(bug_05_inherited_lengths_are_checked_for_the_new_type),
        cmocka_unit_test(bug_06_memory_follows_the_bytes),
        cmocka_unit_test(bug_06_many_announcements_cost_little),
        cmocka_unit_test(bug_06_unfinished_messages_have_a_limit_together),
        cmocka_unit_test(bug_09_random_senders_are_understood),
        cmocka_unit_test(failing_memory_is_an_error),
        cmocka_unit_test(corpus_is_read_the_same_in_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
