// Chunks around the bytes of another engine: whatever leaves, in whatever portions, is read back as
// those bytes, and the end is told only when it was said.
#include "harness.h"

#include "chunk_kit.h"
#include "proto/http1.h"
#include "proto/http1_chunker.h"

static struct cv_gather gather;

// ---- another engine -------------------------------------------------------------------------

// Bytes that become ready in portions, and are lent in vectors of all sizes.
struct inner {
    struct bytes bytes;
    size_t ready;
    size_t at;
};

static void inner_pull(const struct inner *inner)
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

static size_t pull(struct cv_http1_chunker *chunker, const struct inner *inner)
{
    cv_gather_clear(&gather);
    if (cv_http1_chunker_pull_begin(chunker, &gather))
        inner_pull(inner);
    cv_http1_chunker_pull_end(chunker, &gather);
    return gather.bytes;
}

// Pulls once and sends `len` bytes of it (SIZE_MAX: all).
static size_t send_some(struct cv_http1_chunker *chunker, struct inner *inner, size_t len,
                        struct bytes *wire)
{
    size_t bytes = pull(chunker, inner);
    size_t n = len < bytes ? len : bytes;
    bytes_gathered(wire, &gather, n);
    inner->at += cv_http1_chunker_sent(chunker, n);
    assert_true(inner->at <= inner->ready);
    return n;
}

static void inner_add(struct inner *inner, const char *text)
{
    bytes_add(&inner->bytes, text, strlen(text));
    inner->ready = inner->bytes.len;
}

static void check_wire(struct bytes *wire, const char *want)
{
    assert_int_equal(wire->len, strlen(want));
    assert_memory_equal(wire->data, want, wire->len);
    wire->len = 0;
}

// ---- a reader -------------------------------------------------------------------------------

// Reads the body with the HTTP engine. True when it was complete.
static bool read_body(const struct bytes *wire, struct bytes *out)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct bytes whole = {0};
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_RESPONSES);
    struct cv_http1_event event;
    bool complete = false;
    assert_non_null(http);
    bytes_add(&whole, head, sizeof head - 1);
    bytes_add(&whole, wire->data, wire->len);
    cv_http1_expect(http, CV_METHOD_GET, false);
    cv_http1_set_body_max(http, UINT64_MAX);
    cv_http1_feed(http, whole.data, whole.len);
    int more;
    while ((more = cv_http1_next(http, &event)) == 1) {
        if (event.type == CV_HTTP1_BODY)
            bytes_add(out, event.body.at, event.body.len);
        complete |= event.type == CV_HTTP1_END;
    }
    assert_int_equal(more, 0);
    struct cv_rd unread = cv_http1_unread(http);
    assert_int_equal(cv_rd_left(&unread), 0);
    cv_http1_free(http);
    bytes_free(&whole);
    return complete;
}

// ---- tests ----------------------------------------------------------------------------------

static void each_pull_is_a_chunk(void **state)
{
    (void)state;
    struct cv_http1_chunker chunker = {0};
    struct inner inner = {0};
    struct bytes wire = {0};
    assert_int_equal(send_some(&chunker, &inner, SIZE_MAX, &wire), 0); // no data, no chunk
    assert_true(cv_http1_chunker_out_empty(&chunker));
    inner_add(&inner, "hello");
    send_some(&chunker, &inner, SIZE_MAX, &wire);
    check_wire(&wire, "5\r\nhello\r\n");
    assert_true(cv_http1_chunker_out_empty(&chunker));
    inner_add(&inner, "twenty-six bytes of it ...");
    send_some(&chunker, &inner, SIZE_MAX, &wire);
    check_wire(&wire, "1a\r\ntwenty-six bytes of it ...\r\n");
    cv_http1_chunker_end(&chunker);
    assert_false(cv_http1_chunker_out_empty(&chunker));
    send_some(&chunker, &inner, SIZE_MAX, &wire);
    check_wire(&wire, "0\r\n\r\n");
    cv_http1_chunker_end(&chunker); // once is enough
    assert_true(cv_http1_chunker_out_empty(&chunker));
    assert_int_equal(pull(&chunker, &inner), 0);
    bytes_free(&inner.bytes);
    bytes_free(&wire);
}

// The end is said in the middle of a chunk, at each byte: the chunk is finished first, and what has
// come since does not leave.
static void the_end_waits_for_its_chunk(void **state)
{
    (void)state;
    static const char want[] = "5\r\nhello\r\n0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof want - 1; cut++) {
        struct cv_http1_chunker chunker = {0};
        struct inner inner = {0};
        struct bytes wire = {0};
        inner_add(&inner, "hello");
        send_some(&chunker, &inner, cut, &wire);
        if (cut < 10)
            inner_add(&inner, "more");
        cv_http1_chunker_end(&chunker);
        while (send_some(&chunker, &inner, SIZE_MAX, &wire)) {
        }
        assert_true(cv_http1_chunker_out_empty(&chunker));
        check_wire(&wire, want);
        bytes_free(&inner.bytes);
        bytes_free(&wire);
    }
}

// What waits is lent again, unchanged, as often as it is asked for.
static void pulling_changes_nothing(void **state)
{
    (void)state;
    for (size_t sent = 0; sent < 400; sent++) {
        struct cv_http1_chunker chunker = {0};
        struct inner inner = {0};
        struct bytes wire = {0};
        struct bytes first = {0};
        struct bytes again = {0};
        bytes_pattern(&inner.bytes, 1, 500);
        inner.ready = 300;
        send_some(&chunker, &inner, sent, &wire);
        inner.ready = 500;
        pull(&chunker, &inner);
        bytes_gathered(&first, &gather, SIZE_MAX);
        pull(&chunker, &inner);
        bytes_gathered(&again, &gather, SIZE_MAX);
        bytes_equal(&first, &again);
        bytes_free(&inner.bytes);
        bytes_free(&wire);
        bytes_free(&first);
        bytes_free(&again);
    }
}

// Writes that are short in every way. Behind a head that is somebody else's.
static void any_portions_are_read_back(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 30; seed++) {
        struct cv_http1_chunker chunker = {0};
        struct inner inner = {0};
        struct bytes wire = {0};
        struct bytes body = {0};
        uint32_t random = seed;
        bytes_pattern(&inner.bytes, seed, 300000);
        while (inner.at < inner.bytes.len || !cv_http1_chunker_out_empty(&chunker)) {
            size_t left = inner.bytes.len - inner.ready;
            size_t more = random_below(&random, seed % 3 ? 20000 : 200);
            inner.ready += more < left ? more : left;
            size_t most = seed % 2 ? 3000 : 1 + random_below(&random, 9);
            if (seed % 2 == 0 && random_below(&random, 4))
                most = SIZE_MAX;
            send_some(&chunker, &inner, most, &wire);
        }
        assert_false(read_body(&wire, &body));
        bytes_equal(&body, &inner.bytes);
        cv_http1_chunker_end(&chunker);
        while (send_some(&chunker, &inner, 1, &wire)) {
        }
        body.len = 0;
        assert_true(read_body(&wire, &body));
        bytes_equal(&body, &inner.bytes);
        bytes_free(&inner.bytes);
        bytes_free(&wire);
        bytes_free(&body);
    }
}

// A gather that is full of data has no room for the tail, which then goes before the next chunk.
static void a_full_gather_leaves_the_tail_for_later(void **state)
{
    (void)state;
    struct cv_http1_chunker chunker = {0};
    struct inner inner = {0};
    struct bytes wire = {0};
    struct bytes body = {0};
    bytes_pattern(&inner.bytes, 7, 3 * CV_GATHER_BYTES_MAX);
    cv_gather_clear(&gather);
    assert_true(cv_http1_chunker_pull_begin(&chunker, &gather));
    assert_true(cv_gather_borrow(&gather, inner.bytes.data, CV_GATHER_BYTES_MAX));
    cv_http1_chunker_pull_end(&chunker, &gather);
    assert_true(gather.bytes == 7 + CV_GATHER_BYTES_MAX); // "80000" and its line's end
    bytes_gathered(&wire, &gather, SIZE_MAX);
    inner.at = cv_http1_chunker_sent(&chunker, gather.bytes);
    assert_int_equal(inner.at, CV_GATHER_BYTES_MAX);
    assert_false(cv_http1_chunker_out_empty(&chunker));
    inner.ready = inner.at + 3;
    send_some(&chunker, &inner, 1, &wire); // half of the tail
    send_some(&chunker, &inner, SIZE_MAX, &wire);
    assert_true(cv_http1_chunker_out_empty(&chunker));
    cv_http1_chunker_end(&chunker);
    send_some(&chunker, &inner, SIZE_MAX, &wire);
    assert_true(read_body(&wire, &body));
    assert_int_equal(body.len, CV_GATHER_BYTES_MAX + 3);
    assert_memory_equal(body.data, inner.bytes.data, body.len);
    bytes_free(&inner.bytes);
    bytes_free(&wire);
    bytes_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pull_is_a_chunk),
        cmocka_unit_test(the_end_waits_for_its_chunk),
        cmocka_unit_test(pulling_changes_nothing),
        cmocka_unit_test(any_portions_are_read_back),
        cmocka_unit_test(a_full_gather_leaves_the_tail_for_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
