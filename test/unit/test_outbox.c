// The outbox: what a publisher has sent, and what must be sent again on another way. A server that
// counts stands at the other end.
#include "harness.h"

#include "client/outbox.h"

#include <stdio.h>

enum { ROOMY = 1 << 20 };

static struct cv_block *block_of(const char *text)
{
    return cv_block_copy(text, strlen(text));
}

// "K7" key frame, "i7" inter frame, "a7" sound, "V1" video header, "A1" audio header, "M1"
// metadata, "F1" the same in its frame, "c7" a cue point, "s7" one in that frame.
static int add(struct cv_outbox *outbox, const char *what, uint32_t ts_ms)
{
    static const struct {
        char kind;
        uint8_t type;
        const char *head;
        size_t len;
    } kinds[] = {
        {'K', CV_MSG_VIDEO, "\x17\x01\x00\x00\x00", 5},
        {'i', CV_MSG_VIDEO, "\x27\x01\x00\x00\x00", 5},
        {'a', CV_MSG_AUDIO, "\xaf\x01", 2},
        {'V', CV_MSG_VIDEO, "\x17\x00\x00\x00\x00", 5},
        {'A', CV_MSG_AUDIO, "\xaf\x00", 2},
        {'M', CV_MSG_DATA_AMF0, "\x02\x00\x0aonMetaData", 13},
        {'c', CV_MSG_DATA_AMF0, "\x02\x00\x0aonCuePoint", 13},
        {'F', CV_MSG_DATA_AMF0, "\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData", 29},
        {'s', CV_MSG_DATA_AMF0, "\x02\x00\x0d@setDataFrame\x02\x00\x0aonCuePoint", 29},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind != what[0])
            continue;
        char body[64];
        memcpy(body, kinds[i].head, kinds[i].len);
        int len = snprintf(body + kinds[i].len, sizeof body - kinds[i].len, "%s", what);
        struct cv_block *payload = cv_block_copy(body, kinds[i].len + (size_t)len);
        assert_non_null(payload);
        struct cv_msg msg = {.type = kinds[i].type, .ts_ms = ts_ms, .payload = payload};
        int err = cv_outbox_add(outbox, &msg);
        cv_block_unref(&payload);
        return err;
    }
    fail_msg("no such kind: %s", what);
    return CV_E_USAGE;
}

static void add_all(struct cv_outbox *outbox, const char *list)
{
    char what[16];
    int used;
    for (uint32_t ts_ms = 0; sscanf(list, "%15s%n", what, &used) == 1; ts_ms += 10, list += used)
        assert_int_equal(add(outbox, what, ts_ms), CV_OK);
}

// Sends up to `count` messages and compares them, as "K1 i2".
static void expect(struct cv_outbox *outbox, int count, const char *wanted)
{
    char seen[512] = "";
    struct cv_msg msg;
    while (count-- > 0 && cv_outbox_peek(outbox, &msg) > 0) {
        size_t skip = msg.payload->len - 2;
        size_t len = strlen(seen);
        snprintf(seen + len, sizeof seen - len, "%s%.*s", len ? " " : "",
                 (int)(msg.payload->len - skip), (const char *)msg.payload->data + skip);
        cv_outbox_sent(outbox);
    }
    assert_string_equal(seen, wanted);
}

static struct cv_outbox filled(const char *list)
{
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, ROOMY, false);
    add_all(&outbox, list);
    return outbox;
}

static void it_goes_out_in_order(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("M1 V1 A1 K1 a2 i3");
    expect(&outbox, 9, "M1 V1 A1 K1 a2 i3");
    assert_int_equal(outbox.count, 6);
    expect(&outbox, 9, "");
    cv_outbox_done(&outbox);
}

static void what_has_not_arrived_is_sent_again(void **state)
{
    (void)state;
    // whatever the server has taken, it gets the rest, once and in order
    static const char *const rest[] = {"V1 A1 K1 i2 a3 K4 i5",
                                       "A1 K1 i2 a3 K4 i5",
                                       "K1 i2 a3 K4 i5",
                                       "i2 a3 K4 i5",
                                       "a3 K4 i5",
                                       "K4 i5",
                                       "i5",
                                       ""};
    for (uint64_t taken = 0; taken <= 7; taken++) {
        for (uint64_t told = 0; told <= taken; told++) {
            struct cv_outbox outbox = filled("V1 A1 K1 i2 a3 K4 i5");
            expect(&outbox, 9, "V1 A1 K1 i2 a3 K4 i5");
            assert_int_equal(cv_outbox_taken(&outbox, told), CV_OK);
            assert_int_equal(cv_outbox_resume(&outbox, taken), CV_OK);
            expect(&outbox, 9, rest[taken]);
            assert_int_equal(outbox.count, 7);
            assert_int_equal(outbox.lost, 0);
            cv_outbox_done(&outbox);
        }
    }
}

static void a_cut_in_the_middle_goes_on_there(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("V1 K1 i2 i3 i4");
    expect(&outbox, 3, "V1 K1 i2");
    assert_int_equal(cv_outbox_resume(&outbox, 1), CV_OK);
    expect(&outbox, 2, "K1 i2");
    add_all(&outbox, "i5");
    assert_int_equal(cv_outbox_resume(&outbox, 3), CV_OK);
    expect(&outbox, 9, "i3 i4 i5");
    cv_outbox_done(&outbox);
}

static void a_server_cannot_have_more_than_it_was_sent(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("V1 K1 i2");
    expect(&outbox, 2, "V1 K1");
    assert_int_equal(cv_outbox_taken(&outbox, 3), CV_E_SEQUENCE);
    assert_int_equal(cv_outbox_resume(&outbox, UINT64_MAX), CV_E_SEQUENCE);
    assert_int_equal(cv_outbox_taken(&outbox, 2), CV_OK);
    cv_outbox_done(&outbox);
}

static void counts_that_go_back_change_nothing(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("V1 K1 i2 i3");
    expect(&outbox, 9, "V1 K1 i2 i3");
    assert_int_equal(cv_outbox_taken(&outbox, 3), CV_OK);
    assert_int_equal(cv_outbox_taken(&outbox, 1), CV_OK);
    assert_int_equal(cv_outbox_waiting_bytes(&outbox), 7);
    cv_outbox_done(&outbox);
}

static void a_server_that_begins_anew_gets_headers_and_a_key_frame(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("M1 V1 A1 K1 a2 i3 K4 a5 i6");
    expect(&outbox, 8, "M1 V1 A1 K1 a2 i3 K4 a5");
    assert_int_equal(cv_outbox_taken(&outbox, 8), CV_OK);
    cv_outbox_restart(&outbox);
    expect(&outbox, 99, "M1 V1 A1 K4 a5 i6");
    assert_int_equal(outbox.count, 6);
    // and is resumed by its own count
    assert_int_equal(cv_outbox_resume(&outbox, 4), CV_OK);
    expect(&outbox, 99, "a5 i6");
    cv_outbox_done(&outbox);
}

// A server that is gone before it has taken anything: what it was sent comes again.
static void headers_that_come_again_are_not_lost(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("M1 A1 V1 K1 i2");
    expect(&outbox, 1, "M1");
    cv_outbox_restart(&outbox);
    assert_int_equal(outbox.lost, 0);
    expect(&outbox, 99, "M1 A1 V1 V1 K1 i2");
    cv_outbox_done(&outbox);
}

static void the_newest_header_counts(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("V1 A1 K1 V2 K2 i3");
    expect(&outbox, 99, "V1 A1 K1 V2 K2 i3");
    assert_int_equal(cv_outbox_taken(&outbox, 6), CV_OK);
    cv_outbox_restart(&outbox);
    expect(&outbox, 99, "V2 A1 K2 i3");
    cv_outbox_done(&outbox);
}

static void headers_carry_the_time_of_what_follows(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("V1 K1 i2 K3");
    struct cv_msg msg;
    expect(&outbox, 99, "V1 K1 i2 K3");
    assert_int_equal(cv_outbox_taken(&outbox, 4), CV_OK);
    cv_outbox_restart(&outbox);
    assert_int_equal(cv_outbox_peek(&outbox, &msg), 1);
    assert_int_equal(msg.ts_ms, 30);
    cv_outbox_done(&outbox);
}

static void sound_alone_begins_anywhere(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("A1 a1 a2 a3 a4");
    expect(&outbox, 4, "A1 a1 a2 a3");
    assert_int_equal(cv_outbox_taken(&outbox, 3), CV_OK);
    cv_outbox_restart(&outbox);
    expect(&outbox, 99, "A1 a3 a4");
    cv_outbox_done(&outbox);
}

static void arrived_groups_are_let_go(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, ROOMY, false);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(add(&outbox, i % 10 == 0 ? "K1" : "i2", (uint32_t)i), CV_OK);
        expect(&outbox, 1, i % 10 == 0 ? "K1" : "i2");
        assert_int_equal(cv_outbox_taken(&outbox, (uint64_t)i + 1), CV_OK);
        assert_in_range(outbox.head - outbox.tail, 1, 11);
    }
    assert_int_equal(outbox.capacity, 64);
    assert_int_equal(cv_outbox_waiting_bytes(&outbox), 0);
    cv_outbox_done(&outbox);
}

static void without_room_the_oldest_group_goes(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 5 * 7, false); // five frames
    add_all(&outbox, "K1 i2 i3 K4 i5");
    assert_int_equal(add(&outbox, "i6", 60), CV_OK);
    assert_int_equal(outbox.lost, 3);
    expect(&outbox, 99, "K4 i5 i6");
    cv_outbox_done(&outbox);
}

// The only group there is does not fit: nothing that follows can be shown before a key frame.
static void a_broken_group_is_not_sent(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 3 * 7, false);
    add_all(&outbox, "K1 i2 i3 i4 a5 K6 i7");
    assert_int_equal(outbox.lost, 5);
    expect(&outbox, 99, "K6 i7");
    cv_outbox_done(&outbox);
}

static void what_has_arrived_makes_room_first(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 3 * 7, true);
    add_all(&outbox, "K1 i2 i3");
    expect(&outbox, 99, "K1 i2 i3");
    assert_int_equal(add(&outbox, "i4", 30), CV_E_AGAIN);
    assert_int_equal(cv_outbox_taken(&outbox, 2), CV_OK);
    assert_int_equal(add(&outbox, "i4", 30), CV_OK);
    assert_int_equal(outbox.lost, 0);
    assert_int_equal(cv_outbox_resume(&outbox, 2), CV_OK);
    expect(&outbox, 99, "i3 i4");
    cv_outbox_done(&outbox);
}

static void what_is_gone_counts_as_lost(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 3 * 7, false);
    add_all(&outbox, "K1 i2 i3");
    expect(&outbox, 99, "K1 i2 i3");
    assert_int_equal(add(&outbox, "K4", 30), CV_OK); // the first group leaves, sent but not arrived
    assert_int_equal(cv_outbox_resume(&outbox, 1), CV_OK);
    assert_int_equal(outbox.lost, 2);
    expect(&outbox, 99, "K4");
    assert_int_equal(outbox.count, 2);
    cv_outbox_done(&outbox);
}

static void one_message_larger_than_all_is_taken(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 4, true);
    assert_int_equal(add(&outbox, "K1", 0), CV_OK);
    assert_int_equal(add(&outbox, "i2", 0), CV_E_AGAIN);
    expect(&outbox, 99, "K1");
    cv_outbox_done(&outbox);
}

static void strange_media_is_media(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, ROOMY, false);
    const uint8_t types[] = {CV_MSG_VIDEO, CV_MSG_AUDIO, CV_MSG_DATA_AMF0};
    for (size_t i = 0; i < sizeof types; i++) {
        struct cv_block *empty = block_of("");
        struct cv_msg msg = {.type = types[i], .payload = empty};
        assert_int_equal(cv_outbox_add(&outbox, &msg), CV_OK);
        cv_block_unref(&empty);
    }
    cv_outbox_restart(&outbox);
    cv_outbox_done(&outbox);
}

// A server that began anew was cut off before it had all the headers: it gets the rest of them.
static void headers_in_flight_are_sent_again(void **state)
{
    (void)state;
    static const char *const rest[] = {
        "M1 V1 A1 K4 a5 i6", "V1 A1 K4 a5 i6", "A1 K4 a5 i6", "K4 a5 i6", "a5 i6", "i6", ""};
    for (int taken = 0; taken <= 6; taken++) {
        for (int sent = taken; sent <= 6; sent++) {
            struct cv_outbox outbox = filled("M1 V1 A1 K1 a2 i3 K4 a5 i6");
            struct cv_msg msg;
            expect(&outbox, 8, "M1 V1 A1 K1 a2 i3 K4 a5");
            assert_int_equal(cv_outbox_taken(&outbox, 8), CV_OK);
            cv_outbox_restart(&outbox);
            for (int i = 0; i < sent && cv_outbox_peek(&outbox, &msg); i++)
                cv_outbox_sent(&outbox);
            assert_int_equal(cv_outbox_resume(&outbox, (uint64_t)taken), CV_OK);
            expect(&outbox, 99, rest[taken]);
            assert_int_equal(outbox.count, 6);
            assert_int_equal(outbox.lost, 0);
            cv_outbox_done(&outbox);
        }
    }
}

// Other data than metadata is no header: it comes once, and metadata stays what it was.
static void cue_points_are_no_metadata(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("M1 V1 K1 c2 i3 c4 s5");
    expect(&outbox, 99, "M1 V1 K1 c2 i3 c4 s5");
    cv_outbox_restart(&outbox);
    expect(&outbox, 99, "M1 V1 V1 K1 c2 i3 c4 s5");
    cv_outbox_done(&outbox);
}

static void metadata_may_come_in_its_frame(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("F1 V1 K1 i2 K3");
    expect(&outbox, 99, "F1 V1 K1 i2 K3");
    assert_int_equal(cv_outbox_taken(&outbox, 5), CV_OK);
    cv_outbox_restart(&outbox);
    expect(&outbox, 99, "F1 V1 K3");
    cv_outbox_done(&outbox);
}

// A header of a new kind comes while the way is cut among the headers: counts go on behind it.
static void headers_may_grow_in_number(void **state)
{
    (void)state;
    struct cv_outbox outbox = filled("M1 V1 K1 i2");
    expect(&outbox, 99, "M1 V1 K1 i2");
    assert_int_equal(cv_outbox_taken(&outbox, 4), CV_OK);
    cv_outbox_restart(&outbox);
    expect(&outbox, 1, "M1");
    add_all(&outbox, "A3");
    assert_int_equal(cv_outbox_resume(&outbox, 1), CV_OK);
    expect(&outbox, 99, "V1 A3 K1 i2 A3");
    assert_int_equal(cv_outbox_resume(&outbox, 2), CV_OK);
    expect(&outbox, 99, "A3 K1 i2 A3");
    cv_outbox_done(&outbox);
}

// A server begins anew, and no key frame is left for it: what follows waits for one.
static void without_a_key_frame_it_waits_for_one(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 3 * 7, false);
    add_all(&outbox, "K1 i2 i3");
    expect(&outbox, 99, "K1 i2 i3");
    assert_int_equal(cv_outbox_taken(&outbox, 2), CV_OK);
    add_all(&outbox, "i4"); // the key frame has arrived, and makes room
    cv_outbox_restart(&outbox);
    assert_int_equal(outbox.lost, 2);
    add_all(&outbox, "i5 K6 i7");
    expect(&outbox, 99, "K6 i7");
    assert_int_equal(outbox.lost, 3);
    cv_outbox_done(&outbox);
}

// What had arrived at the server before is not thrown away singly when another server needs it.
static void what_another_server_needs_goes_by_groups(void **state)
{
    (void)state;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, 5 * 7, false);
    add_all(&outbox, "K1 i2 i3");
    expect(&outbox, 99, "K1 i2 i3");
    assert_int_equal(cv_outbox_taken(&outbox, 3), CV_OK);
    cv_outbox_restart(&outbox);
    add_all(&outbox, "i4 K5 i6");
    expect(&outbox, 99, "K5 i6");
    cv_outbox_done(&outbox);
}

static bool run_with_failures(void *arg)
{
    (void)arg;
    bool ok = true;
    struct cv_outbox outbox;
    cv_outbox_init(&outbox, ROOMY, false);
    char text[] = "\x17\x01\x00\x00\x00";
    for (int i = 0; i < 200; i++) {
        struct cv_block *payload = cv_block_copy(text, 5);
        struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = (uint32_t)i, .payload = payload};
        ok &= payload && cv_outbox_add(&outbox, &msg) == CV_OK;
        cv_block_unref(&payload);
    }
    struct cv_msg msg;
    while (cv_outbox_peek(&outbox, &msg))
        cv_outbox_sent(&outbox);
    cv_outbox_done(&outbox);
    return ok;
}

static void memory_may_fail(void **state)
{
    (void)state;
    fail_nth(run_with_failures, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_out_in_order),
        cmocka_unit_test(what_has_not_arrived_is_sent_again),
        cmocka_unit_test(a_cut_in_the_middle_goes_on_there),
        cmocka_unit_test(a_server_cannot_have_more_than_it_was_sent),
        cmocka_unit_test(counts_that_go_back_change_nothing),
        cmocka_unit_test(a_server_that_begins_anew_gets_headers_and_a_key_frame),
        cmocka_unit_test(headers_that_come_again_are_not_lost),
        cmocka_unit_test(the_newest_header_counts),
        cmocka_unit_test(headers_carry_the_time_of_what_follows),
        cmocka_unit_test(sound_alone_begins_anywhere),
        cmocka_unit_test(arrived_groups_are_let_go),
        cmocka_unit_test(without_room_the_oldest_group_goes),
        cmocka_unit_test(a_broken_group_is_not_sent),
        cmocka_unit_test(what_has_arrived_makes_room_first),
        cmocka_unit_test(what_is_gone_counts_as_lost),
        cmocka_unit_test(one_message_larger_than_all_is_taken),
        cmocka_unit_test(strange_media_is_media),
        cmocka_unit_test(headers_in_flight_are_sent_again),
        cmocka_unit_test(cue_points_are_no_metadata),
        cmocka_unit_test(metadata_may_come_in_its_frame),
        cmocka_unit_test(headers_may_grow_in_number),
        cmocka_unit_test(without_a_key_frame_it_waits_for_one),
        cmocka_unit_test(what_another_server_needs_goes_by_groups),
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
