// Parcels: what leaves in parcels is what would have left through pull and sent.
#include "chunk_kit.h"

#include "base/limits.h"
#include "proto/parcel.h"

static struct cv_gather gather;

static int push(struct cv_chunk_out *out, uint32_t number, size_t len)
{
    struct bytes body = {0};
    bytes_pattern(&body, number, len);
    struct cv_msg msg = {
        .type = CV_MSG_VIDEO,
        .ts_ms = number % 3 ? number : 0x1000000 + number,
        .stream_id = 1,
        .payload = cv_block_copy(body.data, len),
    };
    bytes_free(&body);
    if (!msg.payload)
        return CV_E_NOMEM;
    int err = cv_chunk_out_push(out, &msg, CV_CSID_VIDEO);
    cv_block_unref(&msg.payload);
    return err;
}

static void fill(struct cv_chunk_out *out)
{
    static const size_t lengths[] = {0, 1, 128, 129, 1000, 256, 70000, 5};
    cv_chunk_out_init(out, CV_LIMIT_OUT_BYTES);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(push(out, i, lengths[i]), CV_OK);
}

static void drain(struct cv_chunk_out *out, struct bytes *wire)
{
    do {
        cv_gather_clear(&gather);
        cv_chunk_out_pull(out, &gather);
        cv_chunk_out_sent(out, bytes_gathered(wire, &gather, SIZE_MAX));
    } while (gather.bytes);
}

static void read_from(const struct cv_parcel *parcel, size_t at, size_t step, struct bytes *wire)
{
    while (at < parcel->bytes) {
        cv_gather_clear(&gather);
        cv_parcel_pull(parcel, at, &gather);
        assert_true(gather.bytes && gather.bytes <= parcel->bytes - at);
        at += bytes_gathered(wire, &gather, step);
    }
    cv_gather_clear(&gather);
    cv_parcel_pull(parcel, at, &gather);
    assert_int_equal(gather.bytes, 0);
}

static void parcels_of_every_size_hold_the_same_bytes(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct bytes expected = {0};
    fill(&out);
    drain(&out, &expected);
    cv_chunk_out_done(&out);
    for (size_t max = 0; max < 80000; max = max * 2 + 1) {
        struct bytes wire = {0};
        fill(&out);
        while (!cv_chunk_out_empty(&out)) {
            struct cv_block *raw[2] = {NULL, NULL};
            struct cv_parcel *parcel = cv_parcel_new(raw, &out, max);
            assert_non_null(parcel);
            assert_true(parcel->bytes <= max || parcel->count == 1);
            read_from(parcel, 0, SIZE_MAX, &wire);
            cv_parcel_unref(&parcel);
            assert_null(parcel);
        }
        assert_int_equal(out.bytes, 0);
        bytes_equal(&wire, &expected);
        bytes_free(&wire);
        cv_chunk_out_done(&out);
    }
    bytes_free(&expected);
}

static void parcel_from_every_byte_on(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct bytes whole = {0};
    struct cv_block *raw[2] = {cv_block_copy("first", 5), cv_block_copy("second", 6)};
    fill(&out);
    struct cv_parcel *parcel = cv_parcel_new(raw, &out, 2000);
    assert_null(raw[0]);
    assert_null(raw[1]);
    read_from(parcel, 0, SIZE_MAX, &whole);
    assert_int_equal(whole.len, parcel->bytes);
    assert_memory_equal(whole.data, "firstsecond", 11);
    for (size_t at = 0; at <= whole.len; at++) {
        struct bytes rest = {whole.data + at, whole.len - at, 0};
        struct bytes wire = {0};
        read_from(parcel, at, 1 + at % 200, &wire);
        bytes_equal(&wire, &rest);
        bytes_free(&wire);
    }
    bytes_free(&whole);
    cv_parcel_unref(&parcel);
    cv_chunk_out_done(&out);
}

static void parcel_outlives_its_queue(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct cv_block *raw[2] = {NULL, NULL};
    struct bytes first = {0};
    struct bytes again = {0};
    fill(&out);
    struct cv_parcel *parcel = cv_parcel_new(raw, &out, SIZE_MAX);
    struct cv_parcel *other = cv_parcel_ref(parcel);
    assert_true(cv_chunk_out_empty(&out));
    cv_chunk_out_done(&out);
    read_from(parcel, 0, SIZE_MAX, &first);
    cv_parcel_unref(&parcel);
    read_from(other, 0, 777, &again);
    bytes_equal(&first, &again);
    cv_parcel_unref(&other);
    cv_parcel_unref(&other); // NULL is allowed
    bytes_free(&first);
    bytes_free(&again);
}

static void parcels_are_joined(void **state)
{
    (void)state;
    for (size_t max = 0; max < 80000; max = max * 3 + 1) {
        struct cv_chunk_out out;
        struct bytes expected = {0};
        struct bytes wire = {0};
        struct cv_parcel *whole = NULL;
        fill(&out);
        while (!cv_chunk_out_empty(&out)) {
            struct cv_block *raw[2] = {NULL, NULL};
            struct cv_parcel *parcel = cv_parcel_new(raw, &out, max);
            read_from(parcel, 0, SIZE_MAX, &expected);
            assert_int_equal(cv_parcel_add(&whole, parcel), CV_OK);
            cv_parcel_unref(&parcel);
        }
        assert_int_equal(whole->count, 8);
        read_from(whole, 0, 1000, &wire);
        bytes_equal(&wire, &expected);
        bytes_free(&wire);
        bytes_free(&expected);
        cv_parcel_unref(&whole);
        cv_chunk_out_done(&out);
    }
}

static bool run_join(void *arg)
{
    const struct cv_parcel *parcel = arg;
    struct cv_parcel *whole = NULL;
    int err = CV_OK;
    for (uint32_t i = 1; i < 5 && err == CV_OK; i++) {
        err = cv_parcel_add(&whole, parcel);
        uint32_t good = err == CV_OK ? i : i - 1;
        assert_true(whole ? whole->count == good * parcel->count : good == 0);
        assert_true(err == CV_OK || err == CV_E_NOMEM);
    }
    cv_parcel_unref(&whole);
    return err == CV_OK;
}

static void joining_with_failing_memory(void **state)
{
    (void)state;
    struct cv_chunk_out out;
    struct cv_block *raw[2] = {NULL, NULL};
    fill(&out);
    struct cv_parcel *parcel = cv_parcel_new(raw, &out, SIZE_MAX);
    fail_nth(run_join, parcel);
    cv_parcel_unref(&parcel);
    cv_chunk_out_done(&out);
}

static bool run_take(void *arg)
{
    (void)arg;
    struct cv_chunk_out out;
    struct cv_block *raw[2] = {NULL, NULL};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    bool good = push(&out, 1, 100) == CV_OK && push(&out, 2, 100) == CV_OK;
    raw[0] = good ? cv_block_copy("x", 1) : NULL;
    good = good && raw[0];
    struct cv_parcel *parcel = good ? cv_parcel_new(raw, &out, SIZE_MAX) : NULL;
    if (good && !parcel) {
        assert_int_equal(out.count, 2);
        assert_non_null(raw[0]);
    }
    good = good && parcel;
    cv_parcel_unref(&parcel);
    cv_block_unref(&raw[0]);
    cv_chunk_out_done(&out);
    return good;
}

static void taking_with_failing_memory(void **state)
{
    (void)state;
    fail_nth(run_take, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parcels_of_every_size_hold_the_same_bytes),
        cmocka_unit_test(parcel_from_every_byte_on),
        cmocka_unit_test(parcel_outlives_its_queue),
        cmocka_unit_test(parcels_are_joined),
        cmocka_unit_test(joining_with_failing_memory),
        cmocka_unit_test(taking_with_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
