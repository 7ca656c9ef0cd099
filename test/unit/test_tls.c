// TLS on a connection: bytes both ways through small sockets, what is held back, what waits, ends,
// new keys, hostile peers. Failures of the handshake are in test_tls_refusals.c.
#include "harness.h"
#include "secure_kit.h"
#include "tls_kit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "io/socket.h"
#include "io/tls_server.h"
#include "io/tls_state.h"

#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

// ---- helpers ----------------------------------------------------------------------------------

static int write_text(struct tls_end *end, const char *text)
{
    struct iovec vector = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    return cv_tls_write(end->tls, end->room, &vector, 1);
}

static int read_some(struct tls_end *end, void *data, size_t max)
{
    return cv_tls_read(end->tls, end->room, data, max);
}

// ---- handshake --------------------------------------------------------------------------------

static void handshake_tells_what_is_spoken(void **state)
{
    (void)state;
    struct tls_ends ends = tls_ends_ready(0);
    struct cv_tls_info client = cv_tls_info(ends.client.tls);
    struct cv_tls_info server = cv_tls_info(ends.server.tls);
    assert_string_equal(client.version, "TLSv1.3");
    assert_string_equal(server.version, "TLSv1.3");
    assert_string_equal(client.cipher, server.cipher);
    assert_string_equal(server.server, "localhost");
    assert_false(server.kernel || client.kernel || server.resumed);
    assert_int_equal(cv_tls_handshake(ends.client.tls, ends.client.room, NULL), CV_OK);
    tls_ends_close(&ends);
}

static void handshake_through_the_smallest_socket(void **state)
{
    (void)state;
    struct tls_ends ends = tls_ends_ready(1);
    assert_int_equal(write_text(&ends.client, "x"), 1);
    tls_ends_close(&ends);
}

static void tls_1_2_is_spoken_too(void **state)
{
    (void)state;
    char got[8];
    SSL_CTX *server = tls_kit_good_server();
    SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
    struct tls_ends ends = tls_ends_ready(0);
    SSL_CTX_set_max_proto_version(server, 0);
    assert_string_equal(cv_tls_info(ends.client.tls).version, "TLSv1.2");
    assert_int_equal(write_text(&ends.server, "back"), 4);
    assert_int_equal(read_some(&ends.client, got, sizeof got), 4);
    tls_ends_close(&ends);
}

static void an_address_is_no_server_name(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "::1", "localhost."};
    for (size_t i = 0; i < 3; i++) {
        struct tls_ends ends =
            tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), hosts[i], 0);
        tls_ends_shake(&ends);
        assert_int_equal(ends.client.code, CV_OK);
        assert_string_equal(cv_tls_info(ends.server.tls).server, i == 2 ? "localhost" : "");
        tls_ends_close(&ends);
    }
}

static void http_1_1_is_offered(void **state)
{
    (void)state;
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    char hello[2048];
    cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
    int len = cv_socket_read(ends.server.fd, hello, sizeof hello);
    assert_true(len > 0);
    assert_non_null(memmem(hello, (size_t)len, "\x00\x09\x08http/1.1", 11));
    tls_ends_close(&ends);
}

// With a server as the program has it; the kit's own takes no tickets.
static struct tls_ends ends_of_ours(const char *host)
{
    struct tls_ends ends = tls_ends_open(tls_kit_good_server(), secure_kit_trust(), host, 0);
    cv_tls_free(ends.server.tls);
    ends.server.tls = cv_tls_accept(secure_kit_server(), ends.server.fd);
    assert_non_null(ends.server.tls);
    return ends;
}

static void what_was_read_before_comes_first(void **state)
{
    (void)state;
    uint8_t hello[2048];
    struct tls_ends ends = ends_of_ours("localhost");
    cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
    int len = cv_socket_read(ends.server.fd, hello, sizeof hello);
    assert_true(len > 100);
    assert_int_equal(cv_tls_give(ends.server.tls, hello, 7), 0);
    assert_int_equal(cv_tls_give(ends.server.tls, hello + 7, (size_t)len - 7), 0);
    tls_ends_shake(&ends);
    assert_int_equal(ends.client.code, CV_OK);
    assert_int_equal(ends.server.code, CV_OK);
    tls_ends_close(&ends);
}

// Connects, and says whether that was a resumption.
static bool resumes(const char *host, bool reads)
{
    char byte;
    struct tls_ends ends = ends_of_ours(host);
    tls_ends_shake(&ends);
    assert_int_equal(ends.server.code, CV_OK);
    bool resumed = cv_tls_info(ends.server.tls).resumed;
    assert_int_equal(cv_tls_info(ends.client.tls).resumed, resumed);
    assert_string_equal(cv_tls_info(ends.server.tls).server, host);
    if (reads) // the ticket is behind the handshake
        assert_int_equal(read_some(&ends.client, &byte, 1), CV_E_AGAIN);
    tls_ends_close(&ends);
    return resumed;
}

static void sessions_are_resumed(void **state)
{
    (void)state;
    assert_false(resumes("localhost", false));
    assert_false(resumes("localhost", true));
    for (int i = 0; i < 3; i++)
        assert_true(resumes("localhost", true)); // each brings another ticket
    assert_true(resumes("localhost", false));
    assert_false(resumes("localhost", true)); // they serve once (RFC 8446, C.4)
    struct tls_ends ends = ends_of_ours("localhost");
    cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
    cv_socket_shutdown(ends.server.fd);
    assert_int_equal(cv_tls_handshake(ends.client.tls, ends.client.room, NULL), CV_E_CLOSED);
    tls_ends_close(&ends);
    assert_false(resumes("localhost", true)); // what has failed is forgotten
    assert_true(resumes("localhost", true));
}

static void sessions_of_few_hosts_are_kept(void **state)
{
    (void)state;
    struct tls_paper authority =
        tls_paper_make(&(struct tls_paper_spec){.name = "CA", .authority = true});
    struct tls_paper paper = tls_paper_make(
        &(struct tls_paper_spec){.name = "x", .hosts = "DNS:*.live.example", .signer = &authority});
    SSL_CTX *server = tls_kit_server(&paper, NULL);
    struct cv_tls_trust *trust = tls_kit_trust(&authority);
    for (int i = 0; i < 3 * CV_LIMIT_TLS_SESSIONS; i++) {
        char host[32], byte;
        // each host twice in a row, then the first of the last so many, and one that was pushed out
        snprintf(host, sizeof host, "h%d.live.example", i / 2);
        struct tls_ends ends = tls_ends_open(server, trust, host, 0);
        tls_ends_shake(&ends);
        assert_int_equal(ends.client.code, CV_OK);
        assert_int_equal(cv_tls_info(ends.client.tls).resumed, i % 2);
        assert_int_equal(read_some(&ends.client, &byte, 1), CV_E_AGAIN);
        tls_ends_close(&ends);
    }
    const int last = (3 * CV_LIMIT_TLS_SESSIONS - 1) / 2;
    for (int i = 0; i <= last; i++) {
        char host[32];
        snprintf(host, sizeof host, "h%d.live.example", i);
        struct tls_ends ends = tls_ends_open(server, trust, host, 0);
        tls_ends_shake(&ends);
        assert_int_equal(cv_tls_info(ends.client.tls).resumed, i > last - CV_LIMIT_TLS_SESSIONS);
        tls_ends_close(&ends);
    }
    cv_tls_trust_unref(&trust);
    SSL_CTX_free(server);
    tls_paper_free(&paper);
    tls_paper_free(&authority);
}

// ---- bytes ------------------------------------------------------------------------------------

static void bytes_travel_both_ways(void **state)
{
    (void)state;
    char got[32] = {0};
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_AGAIN);
    assert_int_equal(write_text(&ends.client, "headbody"), 8);
    assert_int_equal(read_some(&ends.server, got, 4), 4);
    assert_string_equal(got, "head");
    assert_int_equal(read_some(&ends.server, got, sizeof got), 4);
    assert_int_equal(write_text(&ends.server, "back"), 4);
    assert_int_equal(read_some(&ends.client, got, sizeof got), 4);
    assert_memory_equal(got, "back", 4);
    tls_ends_close(&ends);
}

static void random_gathers_arrive_whole(void **state)
{
    (void)state;
    static const int buffers[] = {1, 10000, 0};
    for (unsigned i = 0; i < 3; i++) {
        struct tls_ends ends = tls_ends_ready(buffers[i]);
        tls_ends_flow(&ends, i);
        tls_ends_close(&ends);
    }
}

// The socket is full and stays so: the byte held back is not reported again and again.
static void held_back_byte_is_reported_once(void **state)
{
    (void)state;
    static uint8_t bytes[200000], got[sizeof bytes];
    struct tls_ends ends = tls_ends_ready(1);
    struct iovec vector = {bytes, sizeof bytes};
    size_t sent = 0, received = 0;
    for (int len; (len = cv_tls_write(ends.client.tls, ends.client.room, &vector, 1)) > 0;) {
        sent += (size_t)len;
        vector = (struct iovec){bytes + sent, sizeof bytes - sent};
    }
    assert_true(sent > 0 && sent < sizeof bytes);
    vector.iov_len = 1; // nothing but the held-back byte
    for (int i = 0; i < 3; i++)
        assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, &vector, 1), CV_E_AGAIN);
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, NULL, 0), CV_E_AGAIN);
    for (int turns = 0; turns < 1000 && (cv_tls_wants_write(ends.client.tls) || received <= sent);
         turns++) {
        cv_tls_write(ends.client.tls, ends.client.room, NULL, 0);
        int len = read_some(&ends.server, got, sizeof got);
        received += len > 0 ? (size_t)len : 0;
    }
    assert_int_equal(received, sent + 1);
    assert_false(cv_tls_wants_write(ends.client.tls));
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, &vector, 1), 1);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_AGAIN);
    tls_ends_close(&ends);
}

// How many records these bytes are.
static unsigned count_records(const uint8_t *data, size_t len)
{
    enum { HEADER_BYTES = 5 };
    unsigned count = 0;
    for (size_t at = 0; at < len; count++) {
        assert_true(len - at >= HEADER_BYTES);
        at += HEADER_BYTES + (size_t)(data[at + 3] << 8 | data[at + 4]);
        assert_true(at <= len);
    }
    return count;
}

// Each has its price, so a write makes as few as the protocol allows, however it is cut up.
static void records_are_as_few_as_can_be(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 6680, 16383, 16384, 16385, 31900, 32768, 32769};
    static uint8_t bytes[33000], got[sizeof bytes + 1000];
    struct tls_ends ends = tls_ends_ready(200000);
    assert_int_equal(read_some(&ends.client, got, sizeof got), CV_E_AGAIN); // tickets
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct iovec vectors[] = {
            {bytes, sizes[i] / 3}, {NULL, 0}, {bytes, sizes[i] - sizes[i] / 3}};
        assert_int_equal(cv_tls_write(ends.server.tls, ends.server.room, vectors, 3), sizes[i]);
        int len = cv_socket_read(ends.client.fd, got, sizeof got);
        assert_true(len > 0);
        assert_int_equal(count_records(got, (size_t)len), (sizes[i] + 16383) / 16384);
    }
    tls_ends_close(&ends);
}

static void prefetch_all(const struct tls_ends *ends)
{
    for (unsigned step = 0; step < 4; step++) {
        cv_tls_prefetch(ends->client.tls, step);
        cv_tls_prefetch(ends->server.tls, step);
    }
}

static void hints_change_nothing(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    prefetch_all(&ends);
    tls_ends_shake(&ends);
    prefetch_all(&ends);
    assert_int_equal(write_text(&ends.server, "abc"), 3);
    prefetch_all(&ends);
    assert_int_equal(read_some(&ends.client, got, sizeof got), 3);
    assert_memory_equal(got, "abc", 3);
    tls_ends_close(&ends);
}

static void nothing_offered_is_nothing_sent(void **state)
{
    (void)state;
    struct tls_ends ends = tls_ends_ready(0);
    struct iovec empty[] = {{NULL, 0}, {NULL, 0}};
    char got[1];
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, empty, 2), 0);
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, NULL, 0), 0);
    assert_int_equal(read_some(&ends.server, got, 1), CV_E_AGAIN);
    tls_ends_close(&ends);
}

static void idle_connection_owns_nothing(void **state)
{
    (void)state;
    static uint8_t bytes[300000];
    struct tls_ends ends = tls_ends_ready(0);
    struct cv_mem_stats before = cv_mem_stats();
    for (int turns = 0; turns < 3; turns++) {
        struct iovec vector = {bytes, sizeof bytes};
        size_t received = 0;
        while (received < sizeof bytes) {
            int sent = cv_tls_write(ends.server.tls, ends.server.room, &vector, 1);
            if (sent > 0)
                vector = (struct iovec){bytes, vector.iov_len - (size_t)sent};
            int len = read_some(&ends.client, bytes, sizeof bytes);
            received += len > 0 ? (size_t)len : 0;
        }
        assert_int_equal(cv_tls_write(ends.server.tls, ends.server.room, NULL, 0), 0);
    }
    struct cv_mem_stats now = cv_mem_stats();
    assert_int_equal(now.allocs - before.allocs, now.frees - before.frees);
    tls_ends_close(&ends);
}

// ---- what waits in here -----------------------------------------------------------------------

static void more_is_told_until_it_is_read(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = tls_ends_ready(0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(write_text(&ends.client, "abc"), 3);
    for (int left = 15; left > 0; left -= 2) {
        assert_int_equal(read_some(&ends.server, got, 2), left > 1 ? 2 : 1);
        struct pollfd readable = {.fd = ends.server.fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 0), 0); // all has been received at once
        assert_int_equal(cv_tls_has_more(ends.server.tls), left > 2);
    }
    assert_int_equal(read_some(&ends.server, got, 2), CV_E_AGAIN);
    tls_ends_close(&ends);
}

// One fast peer must not hold up the others.
static void descriptor_is_read_once_in_a_call(void **state)
{
    (void)state;
    static uint8_t bytes[150000], got[2 * sizeof bytes];
    struct tls_ends ends = tls_ends_ready(1 << 20);
    struct iovec vector = {bytes, sizeof bytes};
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, &vector, 1), sizeof bytes);
    size_t received = 0;
    while (received < sizeof bytes) {
        int len = read_some(&ends.server, got, sizeof got);
        assert_in_range(len, 1, CV_TLS_ROOM_IN_BYTES);
        received += (size_t)len;
    }
    tls_ends_close(&ends);
}

// Every byte of a record comes by itself.
static void half_a_record_is_not_more(void **state)
{
    (void)state;
    char record[256], got[8];
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(write_text(&ends.client, "abc"), 3);
    int len = cv_socket_read(ends.server.fd, record, sizeof record);
    for (int i = 0; i < len; i++) {
        struct iovec vector = {record + i, 1};
        assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_AGAIN);
        assert_false(cv_tls_has_more(ends.server.tls));
        assert_int_equal(cv_socket_write(ends.client.fd, &vector, 1), 1);
    }
    assert_int_equal(read_some(&ends.server, got, sizeof got), 3);
    assert_false(cv_tls_has_more(ends.server.tls));
    tls_ends_close(&ends);
}

static void bytes_behind_the_handshake_are_more(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
    cv_tls_handshake(ends.server.tls, ends.server.room, NULL);
    assert_int_equal(cv_tls_handshake(ends.client.tls, ends.client.room, NULL), CV_OK);
    assert_int_equal(write_text(&ends.client, "eager"), 5);
    assert_int_equal(cv_tls_handshake(ends.server.tls, ends.server.room, NULL), CV_OK);
    assert_true(cv_tls_has_more(ends.server.tls));
    assert_int_equal(read_some(&ends.server, got, sizeof got), 5);
    tls_ends_close(&ends);
}

// ---- ends -------------------------------------------------------------------------------------

static void an_end_is_said(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(write_text(&ends.client, "last"), 4);
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    cv_tls_shutdown(ends.client.tls, ends.client.room); // once is enough
    cv_socket_shutdown(ends.client.fd);
    assert_int_equal(read_some(&ends.server, got, sizeof got), 4);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_CLOSED);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_CLOSED);
    assert_false(cv_tls_has_more(ends.server.tls));
    assert_int_equal(write_text(&ends.server, "late"), 4); // the other way is still open
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    assert_int_equal(read_some(&ends.client, got, sizeof got), 4);
    tls_ends_close(&ends);
}

static void an_end_that_nobody_says_is_a_cut(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(write_text(&ends.client, "last"), 4);
    cv_socket_shutdown(ends.client.fd);
    assert_int_equal(read_some(&ends.server, got, sizeof got), 4);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_RESET);
    assert_false(cv_tls_has_more(ends.server.tls));
    tls_ends_close(&ends);
}

// The failure came in with the bytes: the descriptor does not tell of it again.
static void a_failure_behind_bytes_is_more(void **state)
{
    (void)state;
    char got[8];
    static const char broken[] = "\x17\x03\x03\x00\x13"
                                 "This is no record.";
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(write_text(&ends.client, "good"), 4);
    struct iovec vector = {(void *)(uintptr_t)broken, sizeof broken - 1 + 1};
    assert_int_equal(cv_socket_write(ends.client.fd, &vector, 1), sizeof broken);
    assert_int_equal(read_some(&ends.server, got, sizeof got), 4);
    assert_true(cv_tls_has_more(ends.server.tls));
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_TLS);
    assert_false(cv_tls_has_more(ends.server.tls));
    assert_int_equal(write_text(&ends.server, "x"), CV_E_TLS);
    assert_int_equal(read_some(&ends.client, got, sizeof got), CV_E_TLS_ALERT); // it was told
    tls_ends_close(&ends);
}

// No SIGPIPE, and what the peer has sent before is still there.
static void a_peer_that_has_left_ends_writing_only(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(write_text(&ends.client, "last"), 4);
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    cv_socket_close(&ends.client.fd);
    assert_int_equal(write_text(&ends.server, "x"), CV_E_RESET);
    assert_int_equal(write_text(&ends.server, "x"), CV_E_RESET);
    cv_tls_shutdown(ends.server.tls, ends.server.room);
    assert_int_equal(read_some(&ends.server, got, sizeof got), 4);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_CLOSED);
    tls_ends_close(&ends);
}

static void a_full_socket_leaves_the_end_unsaid(void **state)
{
    (void)state;
    static uint8_t bytes[300000], got[sizeof bytes];
    struct tls_ends ends = tls_ends_ready(1);
    struct iovec vector = {bytes, sizeof bytes};
    int sent = cv_tls_write(ends.client.tls, ends.client.room, &vector, 1);
    assert_true(sent > 0 && cv_tls_wants_write(ends.client.tls));
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    while (cv_tls_write(ends.client.tls, ends.client.room, NULL, 0) == CV_E_AGAIN)
        read_some(&ends.server, got, sizeof got);
    while (read_some(&ends.server, got, sizeof got) > 0)
        ;
    vector.iov_len = 2; // the byte held back, and one more
    assert_int_equal(cv_tls_write(ends.client.tls, ends.client.room, &vector, 1), 2);
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    int len;
    while ((len = read_some(&ends.server, got, sizeof got)) > 0 || len == CV_E_AGAIN)
        ;
    assert_int_equal(len, CV_E_CLOSED);
    tls_ends_close(&ends);
}

// ---- hostile peers ----------------------------------------------------------------------------

// A client that does as it likes: OpenSSL on the client's descriptor, connected to our server.
static SSL *raw_client(struct tls_ends *ends, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    assert_true(ssl && SSL_set_fd(ssl, ends->client.fd));
    SSL_set_connect_state(ssl);
    for (int turns = 0; turns < 100 && ends->server.code == CV_E_AGAIN; turns++) {
        SSL_do_handshake(ssl);
        ends->server.code = cv_tls_handshake(ends->server.tls, ends->server.room, NULL);
    }
    assert_int_equal(ends->server.code, CV_OK);
    SSL_do_handshake(ssl);
    ERR_clear_error();
    return ssl;
}

static struct tls_ends raw_ends(SSL **out, SSL_CTX *context, int buffer_bytes)
{
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", buffer_bytes);
    cv_tls_free(ends.client.tls);
    ends.client.tls = NULL;
    *out = raw_client(&ends, context);
    return ends;
}

static void new_keys_are_taken(void **state)
{
    (void)state;
    char got[8];
    SSL *ssl;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct tls_ends ends = raw_ends(&ssl, context, 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(ssl, "abc", 3), 3);
        assert_int_equal(read_some(&ends.server, got, sizeof got), 3);
        assert_int_equal(write_text(&ends.server, "xy"), 2);
        assert_int_equal(SSL_read(ssl, got, sizeof got), 2);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_ends_close(&ends);
}

static void a_flood_of_new_keys_is_refused(void **state)
{
    (void)state;
    char got[8];
    SSL *ssl;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct tls_ends ends = raw_ends(&ssl, context, 0);
    int code = CV_E_AGAIN, updates;
    for (updates = 0; code == CV_E_AGAIN && updates < 1000; updates++) {
        SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(ssl);
        code = read_some(&ends.server, got, sizeof got);
    }
    assert_int_equal(code, CV_E_TLS);
    assert_in_range(updates, CV_LIMIT_TLS_KEY_UPDATES, CV_LIMIT_TLS_KEY_UPDATES + 3);
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_ends_close(&ends);
}

// It asks for answers and reads none of them.
static void answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    char got[8];
    SSL *ssl;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct tls_ends ends = raw_ends(&ssl, context, 1);
    int code = CV_E_AGAIN, updates;
    for (updates = 0; updates < 100000; updates++) {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        if (SSL_write(ssl, "abc", 3) != 3)
            break;
        code = read_some(&ends.server, got, sizeof got);
        assert_int_equal(code, 3);
        if (write_text(&ends.server, "x") == CV_E_TLS)
            break;
    }
    assert_in_range(updates, 1000, 20000);
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_ends_close(&ends);
}

static void renegotiation_for_a_server_is_refused(void **state)
{
    (void)state;
    char got[8];
    SSL_CTX *context = tls_kit_good_server();
    struct tls_ends ends = tls_ends_open(context, tls_kit_good_trust(), "localhost", 0);
    SSL *ssl = SSL_new(context);
    assert_true(ssl && SSL_set_fd(ssl, ends.server.fd));
    assert_true(SSL_set_max_proto_version(ssl, TLS1_2_VERSION));
    SSL_set_accept_state(ssl);
    for (int turns = 0; turns < 100 && ends.client.code == CV_E_AGAIN; turns++) {
        ends.client.code = cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
        SSL_do_handshake(ssl);
    }
    assert_int_equal(ends.client.code, CV_OK);
    assert_int_equal(SSL_renegotiate(ssl), 1);
    SSL_do_handshake(ssl); // "hello?"
    assert_int_equal(read_some(&ends.client, got, sizeof got), CV_E_AGAIN);
    ERR_clear_error();
    assert_int_equal(SSL_read(ssl, got, sizeof got), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    SSL_free(ssl);
    tls_ends_close(&ends);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    char got[8];
    SSL *ssl;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    struct tls_ends ends = raw_ends(&ssl, context, 0);
    assert_int_equal(SSL_renegotiate(ssl), 1);
    assert_true(SSL_do_handshake(ssl) <= 0);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_AGAIN);
    assert_true(SSL_do_handshake(ssl) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_ends_close(&ends);
}

// One bit of a flight is turned over, anywhere: it fails, and says what it likes.
static void turned_bits_are_noticed(void **state)
{
    (void)state;
    uint8_t flight[4096];
    int unnoticed = 0;
    for (size_t at = 0, len = 1; at < len; at += 3) {
        struct cv_why why = {0};
        struct tls_ends ends =
            tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
        cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
        cv_tls_handshake(ends.server.tls, ends.server.room, NULL);
        int got = cv_socket_read(ends.client.fd, flight, sizeof flight);
        assert_true(got > 0);
        len = (size_t)got;
        if (at < len)
            flight[at] ^= (uint8_t)(1 << (at % 8));
        assert_int_equal(cv_tls_give(ends.client.tls, flight, len), 0);
        cv_socket_shutdown(ends.server.fd);
        int code = cv_tls_handshake(ends.client.tls, ends.client.room, &why);
        assert_true(code != CV_E_AGAIN);
        assert_int_equal(why.code, code);
        unnoticed += code == CV_OK && at < len;
        assert_int_equal(ERR_peek_error(), 0);
        tls_ends_close(&ends);
    }
    assert_in_range(unnoticed, 0, 8); // a version in the head of a record
}

// ---- the list of errors -----------------------------------------------------------------------

static void errors_of_others_do_not_matter(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = tls_ends_ready(0);
    ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    assert_int_equal(read_some(&ends.server, got, sizeof got), CV_E_AGAIN);
    ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    assert_int_equal(write_text(&ends.client, "abc"), 3);
    ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    assert_int_equal(read_some(&ends.server, got, sizeof got), 3);
    assert_int_equal(ERR_peek_error(), 0);
    tls_ends_close(&ends);
}

static int done(void **state)
{
    (void)state;
    secure_kit_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_tells_what_is_spoken),
        cmocka_unit_test(handshake_through_the_smallest_socket),
        cmocka_unit_test(tls_1_2_is_spoken_too),
        cmocka_unit_test(an_address_is_no_server_name),
        cmocka_unit_test(http_1_1_is_offered),
        cmocka_unit_test(what_was_read_before_comes_first),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(sessions_of_few_hosts_are_kept),
        cmocka_unit_test(bytes_travel_both_ways),
        cmocka_unit_test(random_gathers_arrive_whole),
        cmocka_unit_test(held_back_byte_is_reported_once),
        cmocka_unit_test(records_are_as_few_as_can_be),
        cmocka_unit_test(hints_change_nothing),
        cmocka_unit_test(nothing_offered_is_nothing_sent),
        cmocka_unit_test(idle_connection_owns_nothing),
        cmocka_unit_test(more_is_told_until_it_is_read),
        cmocka_unit_test(descriptor_is_read_once_in_a_call),
        cmocka_unit_test(half_a_record_is_not_more),
        cmocka_unit_test(bytes_behind_the_handshake_are_more),
        cmocka_unit_test(an_end_is_said),
        cmocka_unit_test(an_end_that_nobody_says_is_a_cut),
        cmocka_unit_test(a_failure_behind_bytes_is_more),
        cmocka_unit_test(a_peer_that_has_left_ends_writing_only),
        cmocka_unit_test(a_full_socket_leaves_the_end_unsaid),
        cmocka_unit_test(new_keys_are_taken),
        cmocka_unit_test(a_flood_of_new_keys_is_refused),
        cmocka_unit_test(answers_that_nobody_reads_are_bounded),
        cmocka_unit_test(renegotiation_for_a_server_is_refused),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(turned_bits_are_noticed),
        cmocka_unit_test(errors_of_others_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
