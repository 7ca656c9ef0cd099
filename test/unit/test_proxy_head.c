// Heads on their way through the proxy: what goes on, what ends here, what is added; and that what
// comes out is read by the next server exactly as it was read here.
#include "harness.h"

#include "base/err.h"
#include "base/limits.h"
#include "proto/http1_write.h"
#include "proto/proxy_head.h"

#include <stdio.h>

// ---- a proxy in memory ----------------------------------------------------------------------

static struct cv_proxy_client client_of(const char *peer, bool trusted)
{
    return (struct cv_proxy_client){
        .peer = cv_text_of(peer), .trusted = trusted, .authority = cv_text_of("site:8081")};
}

static void write_body(struct cv_wr *wr, enum cv_http1_framing framing, struct cv_text body)
{
    if (framing == CV_HTTP1_CHUNKED)
        cv_http1_write_chunk_head(wr, body.len);
    cv_wr_bytes(wr, body.at, body.len);
    if (framing == CV_HTTP1_CHUNKED)
        cv_http1_write_chunk_tail(wr);
}

// Everything that a proxy would send on for these bytes, NUL-terminated: of requests, up to the one
// that is refused. The caller frees it.
static char *forwarded_by(const void *data, size_t len, struct cv_proxy_client client)
{
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_wr wr = cv_wr_growing(1 << 20);
    struct cv_http1_event event;
    cv_http1_feed(http, data, len);
    while (cv_http1_next(http, &event) == 1) {
        if (event.type == CV_HTTP1_HEAD)
            cv_proxy_write_request(&wr, event.head, &client);
        if (event.type == CV_HTTP1_BODY)
            write_body(&wr, event.head->framing, event.body);
        if (event.type != CV_HTTP1_END)
            continue;
        if (event.head->framing == CV_HTTP1_CHUNKED)
            cv_http1_write_last_chunk(&wr);
        cv_http1_resume(http);
    }
    cv_http1_free(http);
    cv_wr_u8(&wr, 0);
    struct cv_block *block = cv_wr_take(&wr);
    assert_non_null(block);
    char *text = strdup((const char *)block->data);
    cv_block_unref(&block);
    return text;
}

static char *forwarded(const char *text)
{
    struct guard guard = guard_copy(text, strlen(text));
    char *out = forwarded_by(guard.data, guard.len, client_of("192.0.2.7", false));
    guard_free(&guard);
    return out;
}

static char *returned(const char *text, const char *method, uint32_t minor, bool keep_alive)
{
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_RESPONSES);
    struct cv_wr wr = cv_wr_growing(CV_PROXY_HEAD_BYTES_MAX);
    struct cv_http1_event event;
    struct guard guard = guard_copy(text, strlen(text));
    cv_http1_expect(http, method[0] == 'H' ? CV_METHOD_HEAD : CV_METHOD_GET, method[0] == 'U');
    cv_http1_feed(http, guard.data, guard.len);
    while (cv_http1_next(http, &event) == 1) {
        if (event.type == CV_HTTP1_HEAD || event.type == CV_HTTP1_INTERIM)
            cv_proxy_write_response(&wr, event.head, minor, keep_alive);
    }
    assert_int_equal(cv_http1_why(http)->code, CV_OK);
    cv_http1_free(http);
    guard_free(&guard);
    cv_wr_u8(&wr, 0);
    struct cv_block *block = cv_wr_take(&wr);
    assert_non_null(block);
    char *out = strdup((const char *)block->data);
    cv_block_unref(&block);
    return out;
}

// ---- requests -------------------------------------------------------------------------------

struct request_row {
    const char *in;
    const char *out;
};

#define ADDED(host)                                                                                \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " host "\r\n"

static void check_rows(const struct request_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *out = forwarded(rows[i].in);
        if (strcmp(out, rows[i].out) != 0)
            fail_msg("for:\n%s\ncame:\n%s\nwant:\n%s", rows[i].in, out, rows[i].out);
        free(out);
    }
}

#define CHECK_ROWS(rows) check_rows((rows), sizeof(rows) / sizeof((rows)[0]))

static void requests_are_written_anew(void **state)
{
    (void)state;
    static const struct request_row rows[] = {
        {"GET /a?b=1 HTTP/1.1\r\nHost: www.example.org\r\nCookie: c=d\r\nAccept: */*\r\n\r\n",
         "GET /a?b=1 HTTP/1.1\r\nHost: www.example.org\r\nCookie: c=d\r\nAccept: */*\r\n" ADDED(
             "www.example.org") "\r\n"},
        // every form of the target becomes the path
        {"GET http://other:81/x?y HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /x?y HTTP/1.1\r\nHost: other:81\r\n" ADDED("other:81") "\r\n"},
        {"GET http://other?y HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /?y HTTP/1.1\r\nHost: other\r\n" ADDED("other") "\r\n"},
        {"GET http://other HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: other\r\n" ADDED("other") "\r\n"},
        {"GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /? HTTP/1.1\r\nHost: h\r\n" ADDED("h") "\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
         "OPTIONS * HTTP/1.1\r\nHost: h\r\n" ADDED("h") "\r\n"},
        {"PROPFIND /dav HTTP/1.1\r\nHost: h\r\nDepth: 1\r\n\r\n",
         "PROPFIND /dav HTTP/1.1\r\nHost: h\r\nDepth: 1\r\n" ADDED("h") "\r\n"},
        // HTTP/1.0 without a host
        {"GET / HTTP/1.0\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: site:8081\r\n" ADDED("site:8081") "\r\n"},
        // framing as it was read
        {"POST /f HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 003\r\n\r\nabc",
         "POST /f HTTP/1.1\r\nHost: h\r\n" ADDED("h") "Content-Length: 3\r\n\r\nabc"},
        {"PUT /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: "
         "v\r\n\r\n",
         "PUT /f HTTP/1.1\r\nHost: h\r\n" ADDED(
             "h") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
        {"POST /f HTTP/1.1\r\nHost: h\r\n\r\n",
         "POST /f HTTP/1.1\r\nHost: h\r\n" ADDED("h") "Content-Length: 0\r\n\r\n"},
        {"DELETE /f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
         "DELETE /f HTTP/1.1\r\nHost: h\r\n" ADDED("h") "Content-Length: 0\r\n\r\n"},
    };
    CHECK_ROWS(rows);
}

#define GET      "GET / HTTP/1.1\r\nHost: h\r\n"
#define GET_SENT GET ADDED("h") "\r\n"

static void what_is_for_one_connection_ends_here(void **state)
{
    (void)state;
    static const struct request_row rows[] = {
        {GET "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", GET_SENT},
        {GET "Connection: close, X-Secret , cookie\r\nX-Secret: 1\r\nCookie: c\r\n\r\n", GET_SENT},
        {GET "TE: trailers\r\nTrailer: X\r\n\r\n", GET_SENT},
        {GET "Proxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\n\r\n", GET_SENT},
        {GET "Expect: 100-continue\r\n\r\n", GET_SENT},
        {GET "Proxy: http://evil\r\n\r\n", GET_SENT},
        {GET "Transfer-Encoding~: chunked\r\nContent-Length2: 5\r\n\r\n", GET_SENT},
        // Connection must not take the host or the framing away
        {"POST / HTTP/1.1\r\nHost: h\r\nConnection: Host, Content-Length\r\nContent-Length: "
         "1\r\n\r\nx",
         "POST / HTTP/1.1\r\nHost: h\r\n" ADDED("h") "Content-Length: 1\r\n\r\nx"},
        // the upgrades that do not pass
        {GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
         GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade: rtmp\r\n\r\n", GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade: websocket, RTMP\r\n\r\n", GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade:\r\n\r\n", GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", GET_SENT},
        {GET "Upgrade: websocket\r\n\r\n", GET_SENT},
        {GET "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
         GET ADDED("h") "Content-Length: 1\r\n\r\nx"},
        // and one that does
        {GET "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
             "13\r\n\r\n",
         GET "Sec-WebSocket-Version: 13\r\n" ADDED(
             "h") "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
    };
    CHECK_ROWS(rows);
}

static void clients_cannot_say_who_they_are(void **state)
{
    (void)state;
    static const struct request_row rows[] = {
        {GET "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n", GET_SENT},
        {GET "x-forwarded-host: evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 1\r\n\r\n", GET_SENT},
        {GET "Forwarded: for=10.0.0.1\r\n\r\n", GET_SENT},
        {GET "X_Forwarded_For: 10.0.0.1\r\nX-Real_IP: 1\r\n\r\n", GET_SENT},
        {GET "X-Forwarder: 1\r\nX-Real-IPs: 1\r\nForwarded2: 1\r\n\r\n",
         GET "X-Forwarder: 1\r\nX-Real-IPs: 1\r\nForwarded2: 1\r\n" ADDED("h") "\r\n"},
    };
    CHECK_ROWS(rows);
}

static void a_trusted_proxy_can_say_who_they_are(void **state)
{
    (void)state;
    static const char in[] = GET "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, "
                                 "10.0.0.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
                                 "www\r\nForwarded: for=10.0.0.1\r\n\r\n";
    char *out = forwarded_by(in, strlen(in), client_of("2001:db8::1", true));
    assert_string_equal(out, GET
                        "Forwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3, "
                        "2001:db8::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www\r\n\r\n");
    free(out);
}

static void the_site_hears_of_tls(void **state)
{
    (void)state;
    static const char in[] = GET "X-Forwarded-Proto: gopher\r\n\r\n";
    struct cv_proxy_client client = client_of("192.0.2.7", false);
    client.secure = true;
    char *out = forwarded_by(in, strlen(in), client);
    assert_non_null(strstr(out, "\r\nX-Forwarded-Proto: https\r\n"));
    assert_null(strstr(out, "gopher"));
    free(out);
    client.trusted = true; // it knows what its own client spoke
    out = forwarded_by(in, strlen(in), client);
    assert_non_null(strstr(out, "\r\nX-Forwarded-Proto: gopher\r\n"));
    free(out);
}

static void what_may_be_sent_twice(void **state)
{
    (void)state;
    static const enum cv_http1_method safe[] = {CV_METHOD_GET, CV_METHOD_HEAD, CV_METHOD_PUT,
                                                CV_METHOD_DELETE, CV_METHOD_OPTIONS};
    static const enum cv_http1_method unsafe[] = {CV_METHOD_POST, CV_METHOD_PATCH, CV_METHOD_OTHER};
    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++)
        assert_true(cv_proxy_is_idempotent(&(struct cv_http1_head){.method = safe[i]}));
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++)
        assert_false(cv_proxy_is_idempotent(&(struct cv_http1_head){.method = unsafe[i]}));
}

// The longest head fits, with what is added.
static void the_longest_head_fits(void **state)
{
    (void)state;
    char in[CV_LIMIT_HTTP_HEAD_BYTES + 1];
    char host[200];
    int len = snprintf(in, sizeof in, "GET / HTTP/1.1\r\nHost: %s\r\nX: ",
                       (memset(host, 'h', sizeof host - 1), host[199] = '\0', host));
    memset(in + len, 'x', sizeof in - (size_t)len);
    memcpy(in + sizeof in - 5, "\r\n\r\n", 5);
    char *out = forwarded(in);
    assert_true(strlen(out) > strlen(in));
    assert_true(strlen(out) < CV_PROXY_HEAD_BYTES_MAX);
    free(out);
}

// ---- smuggling ------------------------------------------------------------------------------

struct bodies {
    unsigned messages;
    char text[4096];
};

// What a server reads in these bytes: methods, targets and bodies.
static void read_as_server(const char *data, size_t len, struct bodies *out)
{
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    *out = (struct bodies){0};
    cv_http1_feed(http, data, len);
    while (cv_http1_next(http, &event) == 1) {
        char piece[1024] = "";
        if (event.type == CV_HTTP1_HEAD)
            snprintf(piece, sizeof piece, "%.*s %.*s [", (int)event.head->method_text.len,
                     event.head->method_text.at, (int)event.head->path.len, event.head->path.at);
        if (event.type == CV_HTTP1_BODY)
            snprintf(piece, sizeof piece, "%.*s", (int)event.body.len, event.body.at);
        if (event.type == CV_HTTP1_END) {
            snprintf(piece, sizeof piece, "] ");
            out->messages++;
            cv_http1_resume(http);
        }
        append_text(out->text, sizeof out->text, piece);
    }
    assert_true(cv_http1_why(http)->code == CV_OK || out->messages < 16);
    cv_http1_free(http);
}

#define EVIL "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"

// Whatever was refused has not left in any form, and what left has as many messages, with the same
// bodies, as were read here.
static void bug_16_nothing_is_smuggled(void **state)
{
    (void)state;
    static const char *const texts[] = {
        POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n" EVIL,
        POST "Content-Length: 0\r\nContent-Length: 33\r\n\r\n" EVIL,
        POST "Content-Length: 18446744073709551616\r\n\r\n" EVIL,
        POST "Content-Length: 9223372036854775808\r\n\r\n" EVIL,
        POST "Content-Length: 0x10\r\n\r\n" EVIL,
        POST "Content-Length: +1\r\n\r\nx" EVIL,
        POST "Content-Length : 1\r\n\r\nx" EVIL,
        POST "Content_Length: 33\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding:\x0b"
             "chunked\r\n\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" EVIL,
        POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n" EVIL,
        POST "X: y\nTransfer-Encoding: chunked\r\n\r\n" EVIL,
        POST "X: y\rTransfer-Encoding: chunked\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" EVIL,
        POST "Transfer-Encoding: chunked\r\nConnection: "
             "Transfer-Encoding\r\n\r\n1\r\nx\r\n0\r\n\r\n" EVIL,
        POST "Content-Length: 2\r\nConnection: Content-Length\r\n\r\nxy" EVIL,
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /" EVIL,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" EVIL,
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n" EVIL,
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" EVIL,
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n" EVIL,
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" EVIL,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bodies before;
        struct bodies behind;
        read_as_server(texts[i], strlen(texts[i]), &before);
        char *out = forwarded(texts[i]);
        read_as_server(out, strlen(out), &behind);
        if (strcmp(before.text, behind.text) != 0)
            fail_msg("for:\n%s\nread: %s\nbehind: %s", texts[i], before.text, behind.text);
        free(out);
    }
}

// ---- responses ------------------------------------------------------------------------------

struct response_row {
    const char *method; // of the request: GET, HEAD, or Upgrade
    uint32_t minor;     // of the client
    bool keep_alive;
    const char *in;
    const char *out;
};

static void responses_are_written_anew(void **state)
{
    (void)state;
    static const struct response_row rows[] = {
        {"GET", 1, true, "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 03\r\n\r\nabc",
         "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 3\r\n\r\n"},
        {"GET", 1, false, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"},
        {"GET", 1, true, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        // without a length
        {"GET", 1, true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"GET", 0, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
        {"GET", 1, true, "HTTP/1.0 200 OK\r\n\r\nabc",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"GET", 0, false, "HTTP/1.0 200 OK\r\n\r\nabc",
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
        // without a body
        {"HEAD", 1, true, "HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n"},
        {"HEAD", 1, true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 200 OK\r\n\r\n"},
        {"GET", 1, true, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: e\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nETag: e\r\nContent-Length: 5\r\n\r\n"},
        {"GET", 1, true, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 204 No Content\r\n\r\n"},
        // for one connection only
        {"GET", 1, true,
         "HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\n"
         "Trailer: T\r\nUpgrade: h2c\r\nContent-Length: 0\r\nX-B: 2\r\n\r\n",
         "HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"},
        // interim ones, and the other protocol
        {"GET", 1, false,
         "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
         "0\r\n\r\n",
         "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
         "0\r\nConnection: close\r\n\r\n"},
        {"Upgrade", 1, true,
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
         "Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
         "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nUpgrade: "
         "websocket\r\nConnection: Upgrade\r\n\r\n"},
        {"GET", 1, true,
         "HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: foo\r\nConnection: "
         "Upgrade\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *out = returned(rows[i].in, rows[i].method, rows[i].minor, rows[i].keep_alive);
        if (strcmp(out, rows[i].out) != 0)
            fail_msg("for:\n%s\ncame:\n%s\nwant:\n%s", rows[i].in, out, rows[i].out);
        free(out);
    }
}

// ---- memory ---------------------------------------------------------------------------------

static bool write_once(void *arg)
{
    struct cv_proxy_client client = client_of("192.0.2.7", false);
    const struct cv_http1_head *head = arg;
    struct cv_wr wr = cv_wr_growing(CV_PROXY_HEAD_BYTES_MAX);
    cv_proxy_write_request(&wr, head, &client);
    struct cv_block *block = cv_wr_take(&wr);
    bool done = block;
    cv_block_unref(&block);
    return done;
}

static void writing_survives_failing_memory(void **state)
{
    (void)state;
    struct cv_http1 *http = cv_http1_new(CV_HTTP1_REQUESTS);
    struct cv_http1_event event;
    cv_http1_feed(http, GET "\r\n", strlen(GET "\r\n"));
    assert_int_equal(cv_http1_next(http, &event), 1);
    struct cv_http1_head head = *event.head;
    fail_nth(write_once, &head);
    cv_http1_free(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written_anew),
        cmocka_unit_test(what_is_for_one_connection_ends_here),
        cmocka_unit_test(clients_cannot_say_who_they_are),
        cmocka_unit_test(a_trusted_proxy_can_say_who_they_are),
        cmocka_unit_test(the_site_hears_of_tls),
        cmocka_unit_test(what_may_be_sent_twice),
        cmocka_unit_test(the_longest_head_fits),
        cmocka_unit_test(bug_16_nothing_is_smuggled),
        cmocka_unit_test(responses_are_written_anew),
        cmocka_unit_test(writing_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
