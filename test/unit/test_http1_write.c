// Written HTTP/1 messages: exact bytes, no byte that breaks a line, and read again by the engine.
#include "http1_kit.h"

#include "proto/http1_write.h"

#include <stdio.h>

static char memory[1024];

// What the writer holds, as a string.
static const char *written(const struct cv_wr *wr)
{
    assert_int_equal(wr->err, CV_OK);
    assert_true(wr->len < sizeof memory);
    memory[wr->len] = '\0';
    return memory;
}

static struct cv_wr writer(void)
{
    return cv_wr_fixed(memory, sizeof memory - 1);
}

static const struct cv_text usual = {NULL, 0};

// librtmp compares "HTTP/1.1 200 " and "Content-Length: " byte by byte.
static void response_heads_are_spelled_exactly(void **state)
{
    (void)state;
    struct cv_wr wr = writer();
    cv_http1_write_status(&wr, 200, usual);
    cv_http1_write_header(&wr, "Content-Type", "application/x-fcs");
    cv_http1_write_length(&wr, 18446744073709551615u);
    cv_http1_write_length(&wr, 0);
    cv_http1_write_head_end(&wr);
    assert_string_equal(written(&wr), "HTTP/1.1 200 OK\r\nContent-Type: application/x-fcs\r\n"
                                      "Content-Length: 18446744073709551615\r\n"
                                      "Content-Length: 0\r\n\r\n");
    wr = writer();
    cv_http1_write_status(&wr, 299, usual);
    cv_http1_write_status(&wr, 404, cv_text_of("Nothing here"));
    assert_string_equal(written(&wr), "HTTP/1.1 299 Unknown\r\nHTTP/1.1 404 Nothing here\r\n");
}

static void request_heads(void **state)
{
    (void)state;
    struct cv_wr wr = writer();
    cv_http1_write_request(&wr, cv_text_of("POST"), cv_text_of("/open/1?a"));
    cv_http1_write_field(&wr, cv_text_of("X-\xc2\xa0"), usual);
    assert_int_equal(wr.err, CV_E_USAGE); // not a token
    wr = writer();
    cv_http1_write_request(&wr, cv_text_of("POST"), cv_text_of("/open/1?a"));
    cv_http1_write_field(&wr, cv_text_of("Empty"), usual);
    assert_string_equal(written(&wr), "POST /open/1?a HTTP/1.1\r\nEmpty: \r\n");
}

static void chunks(void **state)
{
    (void)state;
    struct cv_wr wr = writer();
    cv_http1_write_chunk_head(&wr, 0x1a);
    cv_http1_write_chunk_tail(&wr);
    cv_http1_write_last_chunk(&wr);
    assert_string_equal(written(&wr), "1a\r\n\r\n0\r\n\r\n");
    cv_http1_write_chunk_head(&wr, 0);
    assert_int_equal(wr.err, CV_E_USAGE);
}

struct bad_text {
    const char *at;
    size_t len;
};

static void nothing_breaks_a_line(void **state)
{
    (void)state;
    static const struct bad_text bad[] = {
        {"a\rb", 3}, {"a\nb", 3}, {"a\r\nX: y", 7}, {"a\0b", 3}, {"\x7f", 1}, {"\x1b[1m", 4},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cv_text text = {bad[i].at, bad[i].len};
        struct cv_wr wr[5];
        for (size_t k = 0; k < 5; k++)
            wr[k] = writer();
        cv_http1_write_field(&wr[0], cv_text_of("X"), text);
        cv_http1_write_field(&wr[1], text, cv_text_of("x"));
        cv_http1_write_status(&wr[2], 200, text);
        cv_http1_write_request(&wr[3], text, cv_text_of("/"));
        cv_http1_write_request(&wr[4], cv_text_of("GET"), text);
        for (size_t k = 0; k < 5; k++) {
            assert_int_equal(wr[k].err, CV_E_USAGE);
            assert_int_equal(wr[k].len, 0);
            cv_http1_write_head_end(&wr[k]); // and stays so
            assert_int_equal(wr[k].len, 0);
        }
    }
    static const char *const targets[] = {"", "/a b", "/a\tb", "/a#b"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct cv_wr wr = writer();
        cv_http1_write_request(&wr, cv_text_of("GET"), cv_text_of(targets[i]));
        assert_int_equal(wr.err, CV_E_USAGE);
    }
    struct cv_wr wr = writer();
    cv_http1_write_header(&wr, "A:", "b");
    assert_int_equal(wr.err, CV_E_USAGE);
    wr = writer();
    cv_http1_write_status(&wr, 99, usual);
    assert_int_equal(wr.err, CV_E_USAGE);
    wr = writer();
    cv_http1_write_status(&wr, 1000, usual);
    assert_int_equal(wr.err, CV_E_USAGE);
}

static const char *answer(struct cv_http1_answer what)
{
    struct cv_wr wr = writer();
    cv_http1_write_answer(&wr, &what);
    return written(&wr);
}

static void whole_answers(void **state)
{
    (void)state;
    struct cv_http1_answer what = {
        .status = 404, .type = "text/plain", .body = "no\n", .len = 3, .keep_alive = true};
    assert_string_equal(
        answer(what), "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                      "Cache-Control: no-store, no-transform\r\n\r\nno\n");
    what.head_only = true;
    assert_string_equal(
        answer(what), "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                      "Cache-Control: no-store, no-transform\r\n\r\n");
    what = (struct cv_http1_answer){.status = 400};
    assert_string_equal(answer(what), "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                      "Cache-Control: no-store, no-transform\r\n"
                                      "Connection: close\r\n\r\n");
    what = (struct cv_http1_answer){.status = 204, .keep_alive = true};
    assert_string_equal(answer(what), "HTTP/1.1 204 No Content\r\n\r\n");
    what.says_keep_alive = true;
    assert_string_equal(answer(what), "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    what.keep_alive = false;
    assert_string_equal(answer(what), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    what = (struct cv_http1_answer){.status = 204, .body = "x", .len = 1};
    struct cv_wr wr = writer();
    cv_http1_write_answer(&wr, &what);
    assert_int_equal(wr.err, CV_E_USAGE);
}

static void every_refusal_has_words(void **state)
{
    (void)state;
    static const uint32_t refusals[] = {400, 413, 414, 417, 431, 500, 501, 502, 505};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        assert_string_not_equal(cv_http1_reason(refusals[i]), "Unknown");
}

static void the_engine_reads_what_was_written(void **state)
{
    (void)state;
    struct cv_wr wr = writer();
    cv_http1_write_request(&wr, cv_text_of("PUT"), cv_text_of("/a"));
    cv_http1_write_header(&wr, "Host", "h");
    cv_http1_write_header(&wr, "Transfer-Encoding", "chunked");
    cv_http1_write_head_end(&wr);
    cv_http1_write_chunk_head(&wr, 12);
    cv_wr_bytes(&wr, "twelve bytes", 12);
    cv_http1_write_chunk_tail(&wr);
    cv_http1_write_last_chunk(&wr);
    static struct http1_run run;
    run = (struct http1_run){.role = CV_HTTP1_REQUESTS};
    http1_run_split(&run, memory, wr.len);
    assert_string_equal(run.text, "PUT /a host=h path=/a 1.1 chunked 0 keep\n  Host=h\n"
                                  "  Transfer-Encoding=chunked\nbody=twelve bytes\nEND\n");

    wr = writer();
    struct cv_http1_answer what = {.status = 501, .type = "text/plain", .body = "no", .len = 2};
    cv_http1_write_answer(&wr, &what);
    run = (struct http1_run){.role = CV_HTTP1_RESPONSES, .methods = "G"};
    http1_run_split(&run, memory, wr.len);
    assert_non_null(strstr(run.text, "501 Not Implemented 1.1 length 2\n"));
    assert_non_null(strstr(run.text, "body=no\nEND\n"));
}

static bool write_answer(void *arg)
{
    (void)arg;
    struct cv_wr wr = cv_wr_growing(4096);
    struct cv_http1_answer what = {.status = 200, .body = memory, .len = 700};
    cv_http1_write_answer(&wr, &what);
    struct cv_block *block = cv_wr_take(&wr);
    bool succeeded = block != NULL;
    assert_int_equal(wr.err, succeeded ? CV_OK : CV_E_NOMEM);
    cv_block_unref(&block);
    return succeeded;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(write_answer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_heads_are_spelled_exactly),
        cmocka_unit_test(request_heads),
        cmocka_unit_test(chunks),
        cmocka_unit_test(nothing_breaks_a_line),
        cmocka_unit_test(whole_answers),
        cmocka_unit_test(every_refusal_has_words),
        cmocka_unit_test(the_engine_reads_what_was_written),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
