// The sending half of the chunk stream: the bytes against a second writer and against chunk_in,
// whatever part of them leaves at a time; gathers that are full; the caps of the queue.
#include "chunk_kit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/chunk_in.h"
#include "proto/chunk_out.h"

static struct cv_gather gather; // too large for a stack frame of its own in each test

static struct cv_msg new_message(uint8_t type, uint32_t ts_ms, uint32_t seed, size_t len)
{
    struct bytes body = {0};
    bytes_pattern(&body, seed, len);
    struct cv_msg msg = {.type = type,
                         .ts_ms = ts_ms,
                         .stream_id = 0x01020304,
                         .payload = cv_block_copy(body.data, body.len)};
    assert_non_null(msg.payload);
    bytes_free(&body);
    return msg;
}

static struct cv_msg new_chunk_size(uint32_t chunk_bytes)
{
    struct bytes body = {0};
    bytes_u32(&body, chunk_bytes);
    struct cv_msg msg = {.type = CV_MSG_SET_CHUNK_SIZE, .payload = cv_block_copy(body.data, 4)};
    bytes_free(&body);
    return msg;
}

static void push(struct cv_chunk_out *out, struct cv_msg *msg, enum cv_csid csid)
{
    assert_int_equal(cv_chunk_out_push(out, msg, csid), CV_OK);
    cv_block_unref(&msg->payload);
}

// Lets everything leave, at most `most` bytes at a time. Every pull must say the same bytes again.
static void drain(struct cv_chunk_out *out, struct bytes *wire, size_t most, uint32_t *random)
{
    while (!cv_chunk_out_empty(out)) {
        cv_gather_clear(&gather);
        cv_chunk_out_pull(out, &gather);
        assert_true(gather.bytes > 0);
        size_t len = random ? 1 + random_below(random, (uint32_t)most) : most;
        len = bytes_gathered(wire, &gather, len);
        assert_int_equal(cv_chunk_out_sent(out, len), 0);
    }
}

static void set_size(struct cv_chunk_out *out, uint32_t chunk_bytes)
{
    struct cv_msg msg = new_chunk_size(chunk_bytes);
    push(out, &msg, CV_CSID_CONTROL);
}

// ---- bytes ----------------------------------------------------------------------------------

static void one_message(uint32_t ts_ms, size_t len, uint32_t chunk_bytes, size_t most)
{
    struct cv_chunk_out out;
    struct bytes wire = {0};
    struct bytes expected = {0};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    set_size(&out, chunk_bytes);
    chunk_control(&expected, CV_MSG_SET_CHUNK_SIZE, chunk_bytes);
    struct cv_msg msg = new_message(9, ts_ms, 1, len);
    chunk_message(&expected, CV_CSID_VIDEO, &msg, chunk_bytes);
    push(&out, &msg, CV_CSID_VIDEO);
    drain(&out, &wire, most, NULL);
    bytes_equal(&wire, &expected);
    cv_chunk_out_done(&out);
    bytes_free(&wire);
    bytes_free(&expected);
}

static void bug_09_every_time_and_length_on_the_wire(void **state)
{
    (void)state;
    static const uint32_t times[] = {0, 1, 16777214, 16777215, 16777216, 4294967295};
    static const size_t lengths[] = {0, 1, 127, 128, 129, 256, 257, 700};
    for (int t = 0; t < 6; t++) {
        for (int n = 0; n < 8; n++) {
            one_message(times[t], lengths[n], 128, SIZE_MAX);
            one_message(times[t], lengths[n], 128, 1);
            one_message(times[t], lengths[n], 128, 7);
        }
    }
}

static void bug_07_every_chunk_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 127, 128, 65536, CV_LIMIT_CHUNK_BYTES};
    for (int i = 0; i < 6; i++) {
        one_message(5, 1000, sizes[i], SIZE_MAX);
        one_message(16777215, 1000, sizes[i], 1);
        one_message(16777215, 1000, sizes[i], 13);
    }
}

// The size holds for what is pushed behind it, not for what waits before it or for itself.
static void chunk_size_changes_in_the_queue(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct bytes wire = {0};
    struct bytes expected = {0};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    static const uint32_t sizes[] = {2, 300, 1, 65536};
    uint32_t now = CV_CHUNK_BYTES_INITIAL;
    for (uint32_t i = 0; i < 4; i++) {
        struct cv_msg msg = new_message(8, i, i, 400);
        chunk_message(&expected, CV_CSID_AUDIO, &msg, now);
        push(&out, &msg, CV_CSID_AUDIO);
        struct cv_msg set = new_chunk_size(sizes[i]);
        chunk_message(&expected, CV_CSID_CONTROL, &set, now);
        push(&out, &set, CV_CSID_CONTROL);
        now = sizes[i];
    }
    drain(&out, &wire, 100, NULL);
    bytes_equal(&wire, &expected);
    cv_chunk_out_done(&out);
    bytes_free(&wire);
    bytes_free(&expected);
}

// ---- out and in -----------------------------------------------------------------------------

static void read_back(const struct bytes *wire, struct bytes *record)
{
    struct cv_chunk_in in;
    struct cv_why why = {0};
    struct cv_msg msg;
    int more;
    cv_chunk_in_init(&in, CV_LIMIT_MEDIA_BYTES);
    struct cv_rd rd = cv_rd_over(wire->data, wire->len);
    while ((more = cv_chunk_in_next(&in, &rd, &msg, &why)) > 0) {
        record_message(record, &msg);
        if (msg.type == CV_MSG_SET_CHUNK_SIZE) {
            struct cv_rd value = cv_rd_over(msg.payload->data, msg.payload->len);
            assert_int_equal(cv_chunk_in_set_size(&in, cv_rd_u32(&value)), CV_OK);
        }
        cv_block_unref(&msg.payload);
    }
    assert_int_equal(more, 0);
    assert_int_equal(in.partial_bytes, 0);
    cv_chunk_in_done(&in);
}

static struct cv_msg random_message(uint32_t *random)
{
    static const uint32_t bases[] = {0, 16777200, 0xfffffff0};
    if (random_below(random, 10) == 0)
        return new_chunk_size(1 + random_below(random, 1 + next_random(random) % 5000));
    size_t len = random_below(random, 1 + next_random(random) % 3000);
    uint32_t ts_ms = bases[random_below(random, 3)] + random_below(random, 64);
    return new_message((uint8_t)(8 + random_below(random, 2)), ts_ms, next_random(random), len);
}

// Random messages, pushed while random parts of what waits leave: the same bytes as in one go, and
// chunk_in reads what was pushed.
static void round_trip(uint32_t seed)
{
    static const enum cv_csid csids[] = {CV_CSID_CONTROL, CV_CSID_COMMAND, CV_CSID_STATUS,
                                         CV_CSID_VIDEO, CV_CSID_AUDIO};
    struct cv_chunk_out whole;
    struct cv_chunk_out pieces;
    struct bytes expected = {0};
    struct bytes wire_whole = {0};
    struct bytes wire_pieces = {0};
    struct bytes record = {0};
    uint32_t random = seed;
    cv_chunk_out_init(&whole, CV_LIMIT_OUT_BYTES);
    cv_chunk_out_init(&pieces, CV_LIMIT_OUT_BYTES);
    for (int n = 0; n < 40; n++) {
        struct cv_msg msg = random_message(&random);
        enum cv_csid csid = csids[random_below(&random, 5)];
        record_message(&expected, &msg);
        assert_int_equal(cv_chunk_out_push(&whole, &msg, csid), CV_OK);
        push(&pieces, &msg, csid);
        cv_gather_clear(&gather);
        cv_chunk_out_pull(&pieces, &gather);
        size_t len = bytes_gathered(&wire_pieces, &gather, random_below(&random, 2000));
        assert_int_equal(cv_chunk_out_sent(&pieces, len), 0);
    }
    drain(&whole, &wire_whole, SIZE_MAX, NULL);
    drain(&pieces, &wire_pieces, 1000, &random);
    bytes_equal(&wire_whole, &wire_pieces);
    read_back(&wire_pieces, &record);
    bytes_equal(&record, &expected);
    cv_chunk_out_done(&whole);
    cv_chunk_out_done(&pieces);
    bytes_free(&expected);
    bytes_free(&wire_whole);
    bytes_free(&wire_pieces);
    bytes_free(&record);
}

static void round_trips_in_random_pieces(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++)
        round_trip(seed);
}

// ---- gathers --------------------------------------------------------------------------------

// Chunks of one byte: vectors run out first, then the next pull goes on behind them.
static void vectors_run_out(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    set_size(&out, 1);
    struct cv_msg msg = new_message(9, 0, 1, 1000);
    push(&out, &msg, CV_CSID_VIDEO);
    cv_gather_clear(&gather);
    cv_chunk_out_pull(&out, &gather);
    assert_int_equal(gather.count, CV_GATHER_VECTORS);
    cv_chunk_out_done(&out);
    one_message(0, 1000, 1, SIZE_MAX);
}

static void scratch_runs_out(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    for (int n = 0; n < 700; n++) { // empty messages: 16 bytes of header and nothing else
        struct cv_msg msg = new_message(8, 0xffffff, 1, 0);
        push(&out, &msg, CV_CSID_AUDIO);
    }
    struct bytes wire = {0};
    cv_gather_clear(&gather);
    cv_chunk_out_pull(&out, &gather);
    assert_true(gather.bytes <= CV_GATHER_SCRATCH_BYTES);
    drain(&out, &wire, SIZE_MAX, NULL);
    assert_int_equal(wire.len, 700 * 16);
    cv_chunk_out_done(&out);
    bytes_free(&wire);
}

static void bytes_of_a_gather_run_out(void **state)
{
    (void)state;
    enum { LEN = 3 * CV_GATHER_BYTES_MAX };
    struct cv_chunk_out out;
    struct bytes wire = {0};
    struct bytes expected = {0};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    set_size(&out, CV_CHUNK_BYTES_OUT);
    chunk_control(&expected, CV_MSG_SET_CHUNK_SIZE, CV_CHUNK_BYTES_OUT);
    struct cv_msg msg = new_message(9, 5, 1, LEN);
    chunk_message(&expected, CV_CSID_VIDEO, &msg, CV_CHUNK_BYTES_OUT);
    push(&out, &msg, CV_CSID_VIDEO);
    cv_gather_clear(&gather);
    cv_chunk_out_pull(&out, &gather);
    assert_in_range(gather.bytes, CV_GATHER_BYTES_MAX, CV_GATHER_BYTES_MAX + CV_CHUNK_BYTES_OUT);
    drain(&out, &wire, SIZE_MAX, NULL);
    bytes_equal(&wire, &expected);
    cv_chunk_out_done(&out);
    bytes_free(&wire);
    bytes_free(&expected);
}

// Payloads are lent, not copied, and pulling twice lends the same.
static void payloads_are_lent(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    struct cv_msg msg = new_message(9, 5, 1, 100);
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_VIDEO), CV_OK);
    for (int n = 0; n < 2; n++) {
        cv_gather_clear(&gather);
        cv_chunk_out_pull(&out, &gather);
        assert_int_equal(gather.count, 2);
        assert_ptr_equal(gather.vectors[1].iov_base, msg.payload->data);
    }
    assert_int_equal(cv_chunk_out_sent(&out, 12 + 60), 0);
    cv_gather_clear(&gather);
    cv_chunk_out_pull(&out, &gather);
    assert_int_equal(gather.count, 1);
    assert_ptr_equal(gather.vectors[0].iov_base, msg.payload->data + 60);
    assert_int_equal(gather.vectors[0].iov_len, 40);
    cv_chunk_out_done(&out);
    cv_block_unref(&msg.payload);
}

static void references_end_when_the_last_byte_has_left(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    struct cv_msg msg = new_message(9, 5, 1, 100);
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_VIDEO), CV_OK);
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_VIDEO), CV_OK);
    assert_int_equal(msg.payload->refs, 3);
    assert_int_equal(cv_chunk_out_sent(&out, 111), 0);
    assert_int_equal(msg.payload->refs, 3);
    assert_int_equal(out.bytes, 200);
    assert_int_equal(cv_chunk_out_sent(&out, 1), 0);
    assert_int_equal(msg.payload->refs, 2);
    assert_int_equal(out.bytes, 100);
    assert_int_equal(cv_chunk_out_sent(&out, 112 + 9), 9); // 9 belong to somebody else
    assert_int_equal(msg.payload->refs, 1);
    assert_true(cv_chunk_out_empty(&out));
    assert_int_equal(cv_chunk_out_sent(&out, 5), 5);
    cv_chunk_out_done(&out);
    cv_block_unref(&msg.payload);
}

// ---- caps -----------------------------------------------------------------------------------

static void bug_10_queue_has_a_cap_of_messages(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    struct cv_msg msg = new_message(8, 5, 1, 0); // no bytes: only the count can stop it
    for (int n = 0; n < CV_LIMIT_OUT_MESSAGES; n++)
        assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_AUDIO), CV_OK);
    for (int n = 0; n < 3; n++)
        assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_AUDIO), CV_E_QUEUE_FULL);
    assert_int_equal(out.count, CV_LIMIT_OUT_MESSAGES);
    assert_int_equal(msg.payload->refs, CV_LIMIT_OUT_MESSAGES + 1);
    assert_int_equal(cv_chunk_out_sent(&out, 12), 0);
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_AUDIO), CV_OK); // round the ring's end
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_AUDIO), CV_E_QUEUE_FULL);
    cv_chunk_out_done(&out);
    assert_int_equal(msg.payload->refs, 1);
    cv_block_unref(&msg.payload);
}

static void bug_10_queue_has_a_cap_of_bytes(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    cv_chunk_out_init(&out, 1000);
    struct cv_msg large = new_message(9, 5, 1, 600);
    struct cv_msg rest = new_message(9, 5, 1, 400);
    struct cv_msg one = new_message(9, 5, 1, 1);
    struct cv_msg set = new_chunk_size(999);
    assert_int_equal(cv_chunk_out_push(&out, &large, CV_CSID_VIDEO), CV_OK);
    assert_int_equal(cv_chunk_out_push(&out, &large, CV_CSID_VIDEO), CV_E_QUEUE_FULL);
    assert_int_equal(cv_chunk_out_push(&out, &rest, CV_CSID_VIDEO), CV_OK);
    assert_int_equal(cv_chunk_out_push(&out, &one, CV_CSID_VIDEO), CV_E_QUEUE_FULL);
    // A chunk size that could not be queued does not hold.
    assert_int_equal(cv_chunk_out_push(&out, &set, CV_CSID_CONTROL), CV_E_QUEUE_FULL);
    assert_int_equal(out.chunk_bytes, CV_CHUNK_BYTES_INITIAL);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.bytes, 1000);
    cv_chunk_out_done(&out);
    cv_block_unref(&large.payload);
    cv_block_unref(&rest.payload);
    cv_block_unref(&one.payload);
    cv_block_unref(&set.payload);
}

static bool push_many(void *arg)
{
    struct cv_msg *msg = arg;
    struct cv_chunk_out out;
    int err = CV_OK;
    uint32_t pushed = 0;
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    while (err == CV_OK && pushed < 100) {
        err = cv_chunk_out_push(&out, msg, CV_CSID_VIDEO);
        pushed += err == CV_OK;
    }
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_int_equal(out.count, pushed);
    assert_int_equal(out.bytes, pushed * msg->payload->len);
    assert_int_equal(msg->payload->refs, pushed + 1);
    cv_chunk_out_done(&out);
    return err == CV_OK;
}

static void failing_memory_leaves_the_queue_as_it_was(void **state)
{
    (void)state;
    struct cv_msg msg = new_message(9, 5, 1, 10);
    fail_nth(push_many, &msg);
    assert_int_equal(msg.payload->refs, 1);
    cv_block_unref(&msg.payload);
}

// Once the ring has its size, a message costs no allocation.
static void messages_cost_no_memory(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct bytes wire = {0};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    struct cv_msg msg = new_message(9, 5, 1, 300);
    assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_VIDEO), CV_OK);
    uint64_t before = cv_mem_stats().allocs;
    for (int n = 0; n < 100; n++) {
        assert_int_equal(cv_chunk_out_push(&out, &msg, CV_CSID_VIDEO), CV_OK);
        cv_gather_clear(&gather);
        cv_chunk_out_pull(&out, &gather);
        assert_int_equal(cv_chunk_out_sent(&out, 300 + 12 + 2), 0);
    }
    assert_int_equal(cv_mem_stats().allocs, before);
    cv_chunk_out_done(&out);
    cv_block_unref(&msg.payload);
    bytes_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_09_every_time_and_length_on_the_wire),
        cmocka_unit_test(bug_07_every_chunk_size),
        cmocka_unit_test(chunk_size_changes_in_the_queue),
        cmocka_unit_test(round_trips_in_random_pieces),
        cmocka_unit_test(vectors_run_out),
        cmocka_unit_test(scratch_runs_out),
        cmocka_unit_test(bytes_of_a_gather_run_out),
        cmocka_unit_test(payloads_are_lent),
        cmocka_unit_test(references_end_when_the_last_byte_has_left),
        cmocka_unit_test(bug_10_queue_has_a_cap_of_messages),
        cmocka_unit_test(bug_10_queue_has_a_cap_of_bytes),
        cmocka_unit_test(failing_memory_leaves_the_queue_as_it_was),
        cmocka_unit_test(messages_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
