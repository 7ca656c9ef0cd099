// The HTTP/1 engine with what real programs send: requests, responses, cut anywhere.
#include "http1_kit.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>

static struct http1_run run;

// Every cut gives the same record, and it is this one.
static void gives(struct http1_run settings, const char *text, const char *record)
{
    run = settings;
    http1_run_split(&run, text, strlen(text));
    assert_string_equal(run.text, record);
}

static const struct http1_run requests = {.role = CV_HTTP1_REQUESTS};

// Reads requests and gives them the record.
static void reads(const char *text, const char *record)
{
    gives(requests, text, record);
    assert_int_equal(run.err, CV_OK);
    assert_string_equal(run.left, "");
}

// ---- heads of real programs -------------------------------------------------------------------

static void ffmpeg_tunnel(void **state)
{
    (void)state;
    reads("POST /send/Ab-_9/0 HTTP/1.1\r\nAccept: */*\r\nConnection: keep-alive\r\n"
          "Host: 127.0.0.1:21080\r\nContent-Length: 5\r\nIcy-MetaData: 1\r\n"
          "Cache-Control: no-cache\r\nContent-type: application/x-fcs\r\n"
          "User-Agent: Shockwave Flash\r\n\r\n\x03"
          "abcd",
          "POST /send/Ab-_9/0 host=127.0.0.1:21080 path=/send/Ab-_9/0 1.1 length 5 keep\n"
          "  Accept=*/*\n  Connection=keep-alive\n  Host=127.0.0.1:21080\n  Content-Length=5\n"
          "  Icy-MetaData=1\n  Cache-Control=no-cache\n  Content-type=application/x-fcs\n"
          "  User-Agent=Shockwave Flash\nbody=\x03"
          "abcd\nEND\n");
}

static void ffmpeg_through_a_proxy(void **state)
{
    (void)state;
    reads("POST http://live.example:80/open/1?a=/b HTTP/1.1\r\nHost: live.example:80\r\n"
          "Proxy-Connection: keep-alive\r\nContent-Length: 1\r\n\r\n0",
          "POST http://live.example:80/open/1?a=/b host=live.example:80 path=/open/1 query=a=/b"
          " 1.1 length 1 keep\n  Host=live.example:80\n  Proxy-Connection=keep-alive\n"
          "  Content-Length=1\nbody=0\nEND\n");
}

static void librtmp_tunnel(void **state)
{
    (void)state;
    reads("POST /open/1 HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\nUser-Agent: Shockwave Flash\r\n"
          "Connection: Keep-Alive\r\nCache-Control: no-cache\r\nContent-type: application/x-fcs\r\n"
          "Content-length: 1\r\n\r\n0",
          "POST /open/1 host=h:80 path=/open/1 1.1 length 1 keep\n  Host=h:80\n  Accept=*/*\n"
          "  User-Agent=Shockwave Flash\n  Connection=Keep-Alive\n  Cache-Control=no-cache\n"
          "  Content-type=application/x-fcs\n  Content-length=1\nbody=0\nEND\n");
}

static void red5_and_rootencoder_tunnels(void **state)
{
    (void)state;
    reads("POST /idle/x/12 HTTP/1.1\r\nConnection: Keep-Alive\r\nCache-Control: no-cache\r\n"
          "Content-Type: application/x-fcs\r\nContent-Length: 1\r\nHost: r:5080\r\n"
          "User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.11)\r\n\r\n0",
          "POST /idle/x/12 host=r:5080 path=/idle/x/12 1.1 length 1 keep\n"
          "  Connection=Keep-Alive\n  Cache-Control=no-cache\n  Content-Type=application/x-fcs\n"
          "  Content-Length=1\n  Host=r:5080\n"
          "  User-Agent=Apache-HttpClient/4.5.13 (Java/11.0.11)\nbody=0\nEND\n");
    // RootEncoder: /open without a body, with and without a length; /close without a number
    reads("POST /open/1 HTTP/1.1\r\nContent-Type: application/x-fcs\r\n"
          "User-Agent: Shockwave Flash\r\nHost: h\r\nConnection: Keep-Alive\r\n"
          "Accept-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"
          "POST /close/ID HTTP/1.1\r\nHost: h\r\n\r\n",
          "POST /open/1 host=h path=/open/1 1.1 none 0 keep\n  Content-Type=application/x-fcs\n"
          "  User-Agent=Shockwave Flash\n  Host=h\n  Connection=Keep-Alive\n"
          "  Accept-Encoding=gzip\n  Content-Length=0\nbody=\nEND\n"
          "POST /close/ID host=h path=/close/ID 1.1 none 0 keep\n  Host=h\nbody=\nEND\n");
}

static void curl_expects_and_sends_chunks(void **state)
{
    (void)state;
    reads("PUT /upload HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
          "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
          "5\r\nhello\r\n00A;name=\"v\"\r\n, chunks!!\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n",
          "PUT /upload host=localhost path=/upload expects 1.1 chunked 0 keep\n"
          "  Host=localhost\n  User-Agent=curl/7.88.1\n  Accept=*/*\n"
          "  Transfer-Encoding=chunked\n  Expect=100-continue\nbody=hello, chunks!!\nEND\n");
}

static void browser_opens_a_websocket(void **state)
{
    (void)state;
    struct http1_run settings = requests;
    settings.stop_at_end = true;
    gives(settings,
          "GET /live/a.flv?x HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: keep-alive, Upgrade\r\n"
          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x05 frame",
          "GET /live/a.flv?x host=[::1]:8080 path=/live/a.flv query=x 1.1 none 0 keep upgrade\n"
          "  Host=[::1]:8080\n  Connection=keep-alive, Upgrade\n  Upgrade=websocket\n"
          "  Sec-WebSocket-Version=13\n  Sec-WebSocket-Key=dGhlIHNhbXBsZSBub25jZQ==\n"
          "body=\nEND\n");
    assert_string_equal(run.left, "\x81\x05 frame"); // of the other protocol
    assert_int_equal(run.phase, CV_HTTP1_PAUSED);
}

static void browsers_ask_for_options_and_pages(void **state)
{
    (void)state;
    reads("OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"
          "GET / HTTP/1.1\r\nHost: a.b-c_d:\r\nCookie: \xc3\xa4=1; b=\"2\"\r\nDNT: \r\n\r\n",
          "OPTIONS * host=a path=* 1.1 none 0 keep\n  Host=a\n  Origin=http://b\nbody=\nEND\n"
          "GET / host=a.b-c_d: path=/ 1.1 none 0 keep\n  Host=a.b-c_d:\n"
          "  Cookie=\xc3\xa4=1; b=\"2\"\n  DNT=\nbody=\nEND\n");
}

static void webdav_methods_are_other(void **state)
{
    (void)state;
    reads("PROPFIND /dav HTTP/1.1\r\nHost: a\r\n\r\n",
          "PROPFIND /dav host=a path=/dav 1.1 none 0 keep\n  Host=a\nbody=\nEND\n");
}

// ---- versions, keep-alive, targets --------------------------------------------------------------

static void keep_alive_by_version_and_connection(void **state)
{
    (void)state;
    reads("GET /a HTTP/1.0\r\n\r\n", "GET /a host= path=/a 1.0 none 0\nbody=\nEND\n");
    reads("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\nUpgrade: x\r\n\r\n",
          "GET /a host= path=/a 1.0 none 0 keep\n  Connection=Keep-Alive\n  Upgrade=x\nbody=\n"
          "END\n");
    reads("GET /a HTTP/1.1\r\nHost: h\r\nConnection: a ,\tCLOSE\r\n\r\n",
          "GET /a host=h path=/a 1.1 none 0\n  Host=h\n  Connection=a ,\tCLOSE\nbody=\nEND\n");
    reads("GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
          "GET /a host=h path=/a 1.1 none 0\n  Host=h\n  Connection=keep-alive\n"
          "  Connection=close\nbody=\nEND\n");
    reads("POST /a HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
          "POST /a host= path=/a 1.0 length 2\n  Content-Length=2\n  Expect=100-continue\n"
          "body=hi\nEND\n");
}

static void absolute_targets_name_the_host(void **state)
{
    (void)state;
    reads("GET HTTP://Other?q HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET HTTP://Other?q host=Other path=/ query=q 1.1 none 0 keep\n  Host=h\nbody=\nEND\n");
    reads("GET https://[2001:db8::1]:443 HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET https://[2001:db8::1]:443 host=[2001:db8::1]:443 path=/ 1.1 none 0 keep\n  Host=h\n"
          "body=\nEND\n");
    reads("GET /p?a?b=http://c HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET /p?a?b=http://c host=h path=/p query=a?b=http://c 1.1 none 0 keep\n  Host=h\nbody=\n"
          "END\n");
    reads("GET /? HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET /? host=h path=/ query= 1.1 none 0 keep\n  Host=h\nbody=\nEND\n");
}

static void folded_headers_are_joined(void **state)
{
    (void)state;
    reads("GET / HTTP/1.1\r\nHost: h\r\nX-Long: one\r\n two\r\n\t three \r\nY:\r\n z\r\n\r\n",
          "GET / host=h path=/ 1.1 none 0 keep\n  Host=h\n  X-Long=one   two  \t three\n  Y=z\n"
          "body=\nEND\n");
}

static void empty_lines_before_a_request(void **state)
{
    (void)state;
    reads("\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na\r\n"
          "GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
          "POST / host=h path=/ 1.1 length 1 keep\n  Host=h\n  Content-Length=1\nbody=a\nEND\n"
          "GET / host=h path=/ 1.1 none 0 keep\n  Host=h\nbody=\nEND\n");
    assert_int_equal(run.phase, CV_HTTP1_IDLE);
}

// ---- one at a time ------------------------------------------------------------------------------

// librtmp sends one POST per tag and waits for no answer.
static void bug_32_pipelined_tunnel_requests(void **state)
{
    (void)state;
    enum { REQUESTS = 20 };
    static char text[REQUESTS * 200];
    static char record[REQUESTS * 200];
    text[0] = record[0] = '\0';
    for (int i = 0; i < REQUESTS; i++) {
        char one[200];
        snprintf(one, sizeof one,
                 "POST /send/id/%d HTTP/1.1\r\nHost: h\r\nContent-length: %d\r\n\r\n%.*s", i, i, i,
                 "GET / HTTP/1.1\r\n\r\nGET");
        append_text(text, sizeof text, one);
        snprintf(one, sizeof one,
                 "POST /send/id/%d host=h path=/send/id/%d 1.1 %s %d keep\n  Host=h\n"
                 "  Content-length=%d\nbody=%.*s\nEND\n",
                 i, i, i ? "length" : "none", i, i, i, "GET / HTTP/1.1\r\n\r\nGET");
        append_text(record, sizeof record, one);
    }
    reads(text, record);
}

static const char two_requests[] = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
                                   "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntwo";

// Two requests on one connection never mix: the second waits, unread, until the owner resumes.
static void bug_15_second_request_waits_for_the_owner(void **state)
{
    (void)state;
    struct http1_run settings = requests;
    settings.stop_at_end = true;
    gives(settings, two_requests,
          "POST /1 host=h path=/1 1.1 length 3 keep\n  Host=h\n  Content-Length=3\nbody=one\n"
          "END\n");
    assert_string_equal(run.left, strstr(two_requests, "POST /2"));
}

static void bug_15_head_is_lent_until_the_owner_goes_on(void **state)
{
    (void)state;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    cv_http1_feed(http, two_requests, strlen(two_requests));
    while (cv_http1_next(http, &event) > 0 && event.type != CV_HTTP1_END)
        continue;
    const struct cv_http1_head *head = event.head;
    assert_int_equal(cv_http1_next(http, &event), 0);
    assert_int_equal(cv_http1_next(http, &event), 0); // and stands still
    assert_true(cv_text_is(head->path, "/1"));
    assert_true(cv_text_is(cv_http1_header(head, "content-length"), "3"));
    assert_null(cv_http1_header(head, "content-type").at);
    cv_http1_resume(http);
    assert_int_equal(cv_http1_next(http, &event), 1);
    assert_true(cv_text_is(event.head->path, "/2"));
    struct cv_rd rest = cv_http1_unread(http); // in the middle, too
    assert_int_equal(cv_rd_left(&rest), 3);
    cv_http1_feed(http, rest.at, 3);
    assert_int_equal(cv_http1_next(http, &event), 1);
    assert_true(cv_text_is(event.body, "two"));
    assert_ptr_equal(event.body.at, rest.at); // lent, not copied
    cv_http1_free(http);
}

// A message can go on in another engine: its owner hands the connection to another thread.
static void a_head_and_what_is_unread_are_the_message_again(void **state)
{
    (void)state;
    static const char text[] = "\r\nPOST /1 HTTP/1.1\r\nHost: h\r\nA: b\r\n  c\r\n"
                               "Content-Length: 3\r\n\r\none";
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    char again[200];
    cv_http1_feed(http, text, strlen(text));
    assert_int_equal(cv_http1_next(http, &event), 1);
    struct cv_text head = cv_http1_head_text(http);
    struct cv_rd rest = cv_http1_unread(http);
    snprintf(again, sizeof again, "%.*s%.*s", (int)head.len, head.at, (int)cv_rd_left(&rest),
             (const char *)rest.at);
    cv_http1_free(http);
    gives(requests, again,
          "POST /1 host=h path=/1 1.1 length 3 keep\n  Host=h\n  A=b    c\n  Content-Length=3\n"
          "body=one\nEND\n");
}

static void phases_tell_which_time_out_applies(void **state)
{
    (void)state;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    assert_int_equal(cv_http1_phase(http), CV_HTTP1_IDLE);
    cv_http1_feed(http, "\r\n", 2);
    assert_int_equal(cv_http1_next(http, &event), 0);
    assert_int_equal(cv_http1_phase(http), CV_HTTP1_IDLE);
    cv_http1_feed(http, "G", 1);
    assert_int_equal(cv_http1_next(http, &event), 0);
    assert_int_equal(cv_http1_phase(http), CV_HTTP1_IN_HEAD);
    static const char rest[] = "ET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n";
    cv_http1_feed(http, rest, strlen(rest));
    assert_int_equal(cv_http1_next(http, &event), 1);
    assert_int_equal(cv_http1_phase(http), CV_HTTP1_IN_BODY);
    cv_http1_free(http);
}

// Byte by byte, a head costs memory for what has come and no more.
static void bug_30_dribbled_heads_cost_little(void **state)
{
    (void)state;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    uint64_t before = cv_mem_stats().allocs;
    static const char start[] = "GET / HTTP/1.1\r\nX: ";
    for (size_t i = 0; i < CV_LIMIT_HTTP_HEAD_BYTES; i++) {
        cv_http1_feed(http, i < strlen(start) ? start + i : "x", 1);
        assert_int_equal(cv_http1_next(http, &event), 0);
    }
    assert_true(cv_mem_stats().allocs - before <= 6); // 512 doubled up to 16 K
    cv_http1_feed(http, "x", 1);
    assert_int_equal(cv_http1_next(http, &event), CV_E_TOO_LONG);
    assert_int_equal(cv_http1_refusal(http), 431);
    cv_http1_free(http);
}

static void keep_alive_connections_allocate_once(void **state)
{
    (void)state;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    uint64_t before = 0;
    for (int i = 0; i < 100; i++) {
        cv_http1_feed(http, two_requests, strstr(two_requests, "POST /2") - two_requests);
        while (cv_http1_next(http, &event) > 0)
            continue;
        cv_http1_resume(http);
        if (i == 0)
            before = cv_mem_stats().allocs;
    }
    assert_int_equal(cv_mem_stats().allocs, before);
    cv_http1_free(http);
}

// ---- responses --------------------------------------------------------------------------------

// Reads the responses to `methods` and gives them the record.
static void answers(const char *methods, const char *text, const char *record)
{
    struct http1_run settings = {.role = CV_HTTP1_RESPONSES, .methods = methods};
    gives(settings, text, record);
}

static void responses_with_each_framing(void **state)
{
    (void)state;
    answers(
        "GGG",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nno\r\n0\r\na: b\r\n\r\n"
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.1 length 2 keep\n  Content-Length=2\nbody=hi\nEND\n"
        "404 Not Found 1.1 chunked 0 keep\n  Transfer-Encoding=Chunked\nbody=no\nEND\n"
        "200  1.1 none 0 keep\n  Content-Length=0\nbody=\nEND\n");
    answers("G", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end",
            "200 OK 1.0 until-close 0\n  Connection=keep-alive\nbody=to the end\nEND\n");
    answers("G", "HTTP/1.1 200 \r\n\r\n", "200  1.1 until-close 0\nbody=\nEND\n");
}

static void responses_without_a_body(void **state)
{
    (void)state;
    answers("HGGG",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 OK 1.1 none 0 keep\n  Content-Length=1000\nbody=\nEND\n"
            "304 Not Modified 1.1 none 0 keep\n  Content-Length=7\nbody=\nEND\n"
            "204 No Content 1.1 none 0 keep\n  Content-Length=0\nbody=\nEND\n"
            "204 No Content 1.1 none 0\n  Transfer-Encoding=chunked\nbody=\nEND\n");
    answers("H", "HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 none 0 keep\nbody=\nEND\n");
}

static void interim_responses_come_before_the_final_one(void **state)
{
    (void)state;
    answers("G",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
            "interim 100 Continue 1.1 none 0 keep\ninterim 103 Early Hints 1.1 none 0 keep\n"
            "  Link=x\n200 OK 1.1 length 1 keep\n  Content-Length=1\nbody=!\nEND\n");
}

static void tunnels_give_back_what_follows(void **state)
{
    (void)state;
    answers(
        "U",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rtmp\r\n\r\n\x03more",
        "101 Switching Protocols 1.1 none 0 keep upgrade\n  Connection=Upgrade\n  Upgrade=rtmp\n"
        "body=\nEND\n");
    assert_string_equal(run.left, "\x03more");
    answers("C", "HTTP/1.1 200 Connection established\r\n\r\n\x16tls",
            "200 Connection established 1.1 none 0 keep\nbody=\nEND\n");
    assert_string_equal(run.left, "\x16tls");
    answers("C", "HTTP/1.1 403 no\r\nContent-Length: 2\r\n\r\nno",
            "403 no 1.1 length 2 keep\n  Content-Length=2\nbody=no\nEND\n");
}

static void responses_that_nobody_asked_for_stay_unread(void **state)
{
    (void)state;
    answers("", "HTTP/1.1 408 Timeout\r\n\r\n", "");
    assert_string_equal(run.left, "HTTP/1.1 408 Timeout\r\n\r\n");
    answers("G", "HTTP/1.1 204 a\r\n\r\nHTTP/1.1 200 b\r\n\r\n",
            "204 a 1.1 none 0 keep\nbody=\nEND\n");
    assert_string_equal(run.left, "HTTP/1.1 200 b\r\n\r\n");
}

// ---- failing memory -----------------------------------------------------------------------------

static bool read_requests(void *arg)
{
    (void)arg;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    if (!http)
        return false;
    static char text[2048];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nX: %01200d\r\n\r\n", 0);
    struct cv_http1_event event;
    cv_http1_feed(http, text, strlen(text));
    int got = cv_http1_next(http, &event);
    if (got < 0) {
        assert_int_equal(got, CV_E_NOMEM);
        assert_int_equal(cv_http1_refusal(http), 500);
    }
    cv_http1_free(http);
    return got == 1;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(read_requests, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ffmpeg_tunnel),
        cmocka_unit_test(ffmpeg_through_a_proxy),
        cmocka_unit_test(librtmp_tunnel),
        cmocka_unit_test(red5_and_rootencoder_tunnels),
        cmocka_unit_test(curl_expects_and_sends_chunks),
        cmocka_unit_test(browser_opens_a_websocket),
        cmocka_unit_test(browsers_ask_for_options_and_pages),
        cmocka_unit_test(webdav_methods_are_other),
        cmocka_unit_test(keep_alive_by_version_and_connection),
        cmocka_unit_test(absolute_targets_name_the_host),
        cmocka_unit_test(folded_headers_are_joined),
        cmocka_unit_test(empty_lines_before_a_request),
        cmocka_unit_test(bug_32_pipelined_tunnel_requests),
        cmocka_unit_test(bug_15_second_request_waits_for_the_owner),
        cmocka_unit_test(bug_15_head_is_lent_until_the_owner_goes_on),
        cmocka_unit_test(a_head_and_what_is_unread_are_the_message_again),
        cmocka_unit_test(phases_tell_which_time_out_applies),
        cmocka_unit_test(bug_30_dribbled_heads_cost_little),
        cmocka_unit_test(keep_alive_connections_allocate_once),
        cmocka_unit_test(responses_with_each_framing),
        cmocka_unit_test(responses_without_a_body),
        cmocka_unit_test(interim_responses_come_before_the_final_one),
        cmocka_unit_test(tunnels_give_back_what_follows),
        cmocka_unit_test(responses_that_nobody_asked_for_stay_unread),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
