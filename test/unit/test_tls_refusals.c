// Handshakes that fail, and what people are told; whom a client trusts.
#include "harness.h"
#include "tls_kit.h"

#include "io/socket.h"
#include "io/tls_state.h"

#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_said(const struct cv_why *why, int code, const char *text)
{
    if (why->code != code || !strstr(why->text, text))
        fail_msg("%s: \"%s\", not \"%s\"", cv_err_name(why->code), why->text, text);
    assert_int_equal(ERR_peek_error(), 0);
}

// ---- certificates -----------------------------------------------------------------------------

// A handshake of a client that trusts `authority` with a server that shows `paper`.
static void assert_refused(const struct tls_paper *paper, const struct tls_paper *extra,
                           const struct tls_paper *authority, const char *host, int code,
                           const char *text)
{
    SSL_CTX *server = tls_kit_server(paper, extra);
    struct cv_tls_trust *trust = tls_kit_trust(authority);
    struct tls_ends ends = tls_ends_open(server, trust, host, 0);
    tls_ends_shake(&ends);
    if (ends.client.code != code)
        fail_msg("%s: %s", cv_err_name(ends.client.code), ends.client.why.text);
    if (code != CV_OK) {
        assert_said(&ends.client.why, code, text);
        assert_int_equal(cv_tls_handshake(ends.client.tls, ends.client.room, NULL), code);
        assert_int_equal(ends.server.code, CV_E_TLS_ALERT); // it was told why
        assert_non_null(strstr(ends.server.why.text, "the client refused: "));
    }
    tls_ends_close(&ends);
    cv_tls_trust_unref(&trust);
    SSL_CTX_free(server);
}

static struct tls_paper authority_named(const char *name)
{
    return tls_paper_make(&(struct tls_paper_spec){.name = name, .authority = true});
}

static struct tls_paper paper_by(const struct tls_paper *signer)
{
    return tls_paper_make(&(struct tls_paper_spec){
        .name = "live.example", .hosts = "DNS:live.example", .signer = signer});
}

static void certificate_of_an_unknown_authority_is_refused(void **state)
{
    (void)state;
    struct tls_paper good = authority_named("Good CA");
    struct tls_paper corp = authority_named("Corp Proxy CA");
    struct tls_paper paper = paper_by(&corp);
    static const char text[] = "the certificate of live.example is issued by \"Corp Proxy CA\", "
                               "whom this computer does not trust";
    assert_refused(&paper, NULL, &good, "live.example", CV_E_CERT_UNTRUSTED, text);
    assert_refused(&paper, &corp, &good, "live.example", CV_E_CERT_UNTRUSTED, text);
    assert_refused(&paper, NULL, NULL, "live.example", CV_E_CERT_UNTRUSTED, text);
    assert_refused(&paper, NULL, &corp, "live.example", CV_OK, "");
    tls_paper_free(&paper);
    tls_paper_free(&corp);
    tls_paper_free(&good);
}

static void self_signed_certificate_is_refused_unless_it_is_the_authority(void **state)
{
    (void)state;
    struct tls_paper good = authority_named("Good CA");
    struct tls_paper paper = paper_by(NULL);
    assert_refused(&paper, NULL, &good, "live.example", CV_E_CERT_UNTRUSTED,
                   "the certificate of live.example is self-signed");
    assert_refused(&paper, NULL, &paper, "live.example", CV_OK, "");
    tls_paper_free(&paper);
    tls_paper_free(&good);
}

// A file of --ca may hold an authority that another one has signed, or the certificate itself.
static void what_stands_in_the_file_is_trusted(void **state)
{
    (void)state;
    struct tls_paper root = authority_named("Root");
    struct tls_paper middle = tls_paper_make(
        &(struct tls_paper_spec){.name = "Middle", .authority = true, .signer = &root});
    struct tls_paper paper = paper_by(&middle);
    assert_refused(&paper, &middle, &root, "live.example", CV_OK, "");
    assert_refused(&paper, NULL, &middle, "live.example", CV_OK, "");
    assert_refused(&paper, NULL, &paper, "live.example", CV_OK, "");
    assert_refused(&paper, NULL, &root, "live.example", CV_E_CERT_UNTRUSTED, "\"Middle\"");
    tls_paper_free(&paper);
    tls_paper_free(&middle);
    tls_paper_free(&root);
}

static void certificate_for_others_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hosts, *host;
        int code;
        const char *text;
    } rows[] = {
        {"DNS:a.example,DNS:b.example", "live.example", CV_E_CERT_NAME,
         "the certificate is for a.example, b.example, not for live.example"},
        {"DNS:a.example,IP:10.0.0.1", "10.0.0.2", CV_E_CERT_NAME,
         "is for a.example, 10.0.0.1, not for 10.0.0.2"},
        {"IP:10.0.0.1", "10.0.0.1", CV_OK, ""},
        {"DNS:10.0.0.1", "10.0.0.1", CV_E_CERT_NAME, "for 10.0.0.1, not for 10.0.0.1"},
        {"IP:10.0.0.1", "live.example", CV_E_CERT_NAME, "is for 10.0.0.1, not for live.example"},
        {"DNS:*.live.example", "a.live.example", CV_OK, ""},
        {"DNS:*.live.example", "a.b.live.example", CV_E_CERT_NAME, "is for *.live.example, not"},
        {"DNS:*.live.example", "live.example", CV_E_CERT_NAME, "is for *.live.example, not"},
        {"DNS:l*.live.example", "la.live.example", CV_E_CERT_NAME, "is for l*.live.example, not"},
        {"DNS:LIVE.example", "live.EXAMPLE", CV_OK, ""},
        {"DNS:live.example", "live.example.", CV_OK, ""},
        {"URI:rtmp://x", "live.example", CV_E_CERT_NAME,
         "for nobody by name, not for live.example"},
        {"IP:2001:db8::1", "2001:db8::1", CV_OK, ""},
        {"IP:2001:db8::1", "2001:db8::2", CV_E_CERT_NAME, "not for 2001:db8::2"},
        {"DNS:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example,DNS:bbbbbbbbbbbbbbbbbbbbb.example,"
         "DNS:cccccccccccccccccccccccccc.example",
         "live.example", CV_E_CERT_NAME, "aaa.example, ..., not for live.example"},
    };
    struct tls_paper authority = authority_named("Good CA");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_paper paper = tls_paper_make(&(struct tls_paper_spec){
            .name = "x.example", .hosts = rows[i].hosts, .signer = &authority});
        assert_refused(&paper, NULL, &authority, rows[i].host, rows[i].code, rows[i].text);
        tls_paper_free(&paper);
    }
    tls_paper_free(&authority);
}

static void date_of(char out[16], int days)
{
    time_t then = time(NULL) + days * 24L * 3600;
    struct tm tm;
    strftime(out, 16, "%Y-%m-%d", gmtime_r(&then, &tm));
}

static void certificate_out_of_its_time_is_refused(void **state)
{
    (void)state;
    char date[16], text[160];
    struct tls_paper authority = authority_named("Good CA");
    struct tls_paper_spec spec = {.name = "x", .hosts = "DNS:live.example", .signer = &authority};
    spec.from_days = -10, spec.to_days = -5;
    struct tls_paper expired = tls_paper_make(&spec);
    date_of(date, -5);
    snprintf(text, sizeof text, "the certificate of live.example expired on %s", date);
    assert_refused(&expired, NULL, &authority, "live.example", CV_E_CERT_TIME, text);
    spec.from_days = 5, spec.to_days = 10;
    struct tls_paper early = tls_paper_make(&spec);
    date_of(date, 5);
    snprintf(text, sizeof text, "live.example is not valid before %s: is the clock", date);
    assert_refused(&early, NULL, &authority, "live.example", CV_E_CERT_TIME, text);
    tls_paper_free(&early);
    tls_paper_free(&expired);
    tls_paper_free(&authority);
}

static void authority_that_has_expired_is_named(void **state)
{
    (void)state;
    struct tls_paper old = tls_paper_make(&(struct tls_paper_spec){
        .name = "Old CA", .authority = true, .from_days = -10, .to_days = -5});
    struct tls_paper paper = paper_by(&old);
    assert_refused(&paper, NULL, &old, "live.example", CV_E_CERT_TIME,
                   "the certificate of Old CA expired on ");
    tls_paper_free(&paper);
    tls_paper_free(&old);
}

static void weak_certificate_is_refused(void **state)
{
    (void)state;
    struct tls_paper authority = authority_named("Good CA");
    struct tls_paper weak = tls_paper_make(&(struct tls_paper_spec){
        .name = "x", .hosts = "DNS:live.example", .signer = &authority, .weak = true});
    struct tls_paper middle =
        tls_paper_make(&(struct tls_paper_spec){.name = "No authority", .signer = &authority});
    struct tls_paper paper = paper_by(&middle);
    assert_refused(
        &weak, NULL, &authority, "live.example", CV_E_CERT_INVALID,
        "the certificate of live.example cannot be accepted: EE certificate key too weak");
    assert_refused(&paper, &middle, &authority, "live.example", CV_E_CERT_INVALID, "invalid CA");
    tls_paper_free(&paper);
    tls_paper_free(&middle);
    tls_paper_free(&weak);
    tls_paper_free(&authority);
}

// Names in certificates are the peer's bytes.
static void names_are_escaped_and_cut(void **state)
{
    (void)state;
    struct tls_paper good = authority_named("Good CA");
    struct tls_paper evil = authority_named("Evil\x1b[31m\n");
    struct tls_paper paper = paper_by(&evil);
    char host[254];
    memset(host, 'a', sizeof host);
    for (int i = 63; i < 253; i += 64)
        host[i] = '.';
    host[253] = 0;
    assert_refused(&paper, NULL, &good, "live.example", CV_E_CERT_UNTRUSTED, "\"Evil?[31m?\"");
    assert_refused(&paper, NULL, &evil, host, CV_E_CERT_NAME, "is for live.example, not for aaa");
    tls_paper_free(&paper);
    tls_paper_free(&evil);
    tls_paper_free(&good);
}

static void insecure_takes_anybody(void **state)
{
    (void)state;
    struct cv_tls_trust *trust = NULL;
    struct tls_paper paper = tls_paper_make(&(struct tls_paper_spec){
        .name = "x", .hosts = "DNS:a.example", .from_days = -10, .to_days = -5});
    SSL_CTX *server = tls_kit_server(&paper, NULL);
    struct cv_tls_trust_config config = {.ca_file = "/nowhere", .insecure = true};
    assert_int_equal(cv_tls_trust_new(&trust, &config, NULL), 0);
    struct tls_ends ends = tls_ends_open(server, trust, "live.example", 0);
    tls_ends_shake(&ends);
    assert_int_equal(ends.client.code, CV_OK);
    tls_ends_close(&ends);
    cv_tls_trust_unref(&trust);
    SSL_CTX_free(server);
    tls_paper_free(&paper);
}

// ---- whom to trust ----------------------------------------------------------------------------

static void system_store_can_be_named(void **state)
{
    (void)state;
    char file[] = "/tmp/culvert_test_XXXXXX";
    struct tls_paper authority = authority_named("Good CA");
    struct tls_paper paper = paper_by(&authority);
    tls_paper_write(&authority, file);
    setenv("SSL_CERT_FILE", file, 1);
    assert_refused(&paper, NULL, NULL, "live.example", CV_OK, "");
    unsetenv("SSL_CERT_FILE");
    assert_refused(&paper, NULL, NULL, "live.example", CV_E_CERT_UNTRUSTED, "Good CA");
    unlink(file);
    tls_paper_free(&paper);
    tls_paper_free(&authority);
}

static void files_without_certificates_are_told(void **state)
{
    (void)state;
    char empty[] = "/tmp/culvert_test_XXXXXX";
    close(mkstemp(empty));
    const struct {
        const char *file, *text;
    } rows[] = {
        {"/nowhere/ca.pem", "/nowhere/ca.pem: No such file or directory"},
        {"/tmp", "/tmp is a folder, not a file of certificates"},
        {empty, "holds no certificate in PEM that can be read"},
        {"/proc/self/exe", "/proc/self/exe holds no certificate in PEM that can be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_why why = {0};
        struct cv_tls_trust *trust = NULL;
        struct cv_tls_trust_config config = {.ca_file = rows[i].file};
        assert_int_equal(cv_tls_trust_new(&trust, &config, &why), CV_E_USAGE);
        assert_null(trust);
        assert_said(&why, CV_E_USAGE, rows[i].text);
    }
    unlink(empty);
}

// ---- not TLS, or not for us -------------------------------------------------------------------

static void put(struct tls_end *end, const void *data, size_t len)
{
    struct iovec vector = {(void *)(uintptr_t)data, len};
    assert_int_equal(cv_socket_write(end->fd, &vector, 1), len);
}

// What the client says when the server answers with these bytes, and then ends its side.
static struct cv_why answered(const void *data, size_t len, bool at_once)
{
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    for (size_t i = 0; i < (at_once ? 1 : len); i++) {
        ends.client.code = cv_tls_handshake(ends.client.tls, ends.client.room, &ends.client.why);
        if (ends.client.code != CV_E_AGAIN)
            break;
        put(&ends.server, (const uint8_t *)data + i, at_once ? len : 1);
    }
    cv_socket_shutdown(ends.server.fd);
    while (ends.client.code == CV_E_AGAIN)
        ends.client.code = cv_tls_handshake(ends.client.tls, ends.client.room, &ends.client.why);
    tls_ends_close(&ends);
    return ends.client.why;
}

static void server_without_tls_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *text;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
         "the server does not speak TLS on this port (it answered \"HTTP/1.1 400 Bad Request\")"},
        {"SSH-2.0-OpenSSH_9.2\n", "(it answered \"SSH-2.0-OpenSSH_9.2\")"},
        {"HT", "the server does not speak TLS on this port"},
        {"\x03\xff\x01\x02\x03\x04\x05", "the server does not speak TLS on this port"},
        {"\x16\x01\x01\x01\x01\x01", "the server does not speak TLS on this port"},
        {"220 \x1b[2J \xff mail\r\n", "(it answered \"220 ?[2J ? mail\")"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_why why = answered(rows[i].answer, strlen(rows[i].answer), true);
        assert_said(&why, CV_E_NOT_TLS, rows[i].text);
        why = answered(rows[i].answer, strlen(rows[i].answer), false);
        assert_said(&why, CV_E_NOT_TLS, "the server does not speak TLS on this port");
    }
}

static void client_without_tls_is_told(void **state)
{
    (void)state;
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    put(&ends.client, "GET / HTTP/1.1\r\n", 16);
    struct tls_end *server = &ends.server;
    assert_int_equal(cv_tls_handshake(server->tls, server->room, &server->why), CV_E_NOT_TLS);
    assert_said(&server->why, CV_E_NOT_TLS, "the client does not speak TLS");
    tls_ends_close(&ends);
}

static void alerts_are_told_by_their_meaning(void **state)
{
    (void)state;
    static const struct {
        int alert;
        const char *text;
    } rows[] = {
        {40, "the server refused: handshake failure: no cipher or way to sign in common"},
        {70, "the server refused: protocol version: it speaks neither TLS 1.2 nor 1.3"},
        {80, "the server refused: internal error of its own"},
        {112, "the server refused: it does not know the name it was asked for"},
        {116, "the server refused: it requires a certificate of the client"},
        {120, "the server refused: it does not speak HTTP/1.1 here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint8_t record[] = {21, 3, 3, 0, 2, 2, (uint8_t)rows[i].alert};
        struct cv_why why = answered(record, sizeof record, true);
        assert_said(&why, CV_E_TLS_ALERT, rows[i].text);
        why = answered(record, sizeof record, false);
        assert_said(&why, CV_E_TLS_ALERT, rows[i].text);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    struct tls_paper authority = authority_named("Good CA");
    struct tls_paper paper = paper_by(&authority);
    SSL_CTX *server = tls_kit_server(&paper, NULL);
    struct cv_tls_trust *trust = tls_kit_trust(&authority);
    SSL_CTX_set_min_proto_version(server, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(server, TLS1_1_VERSION);
    struct tls_ends ends = tls_ends_open(server, trust, "live.example", 0);
    tls_ends_shake(&ends);
    assert_said(&ends.client.why, CV_E_TLS_ALERT, "protocol version");
    assert_said(&ends.server.why, CV_E_TLS, "TLS failed: ");
    tls_ends_close(&ends);
    cv_tls_trust_unref(&trust);
    SSL_CTX_free(server);
    tls_paper_free(&paper);
    tls_paper_free(&authority);
}

// TLS 1.3 lets the client think that all is well, then the server says no.
static void certificate_of_the_client_is_missed_later(void **state)
{
    (void)state;
    char byte;
    SSL_CTX *server = tls_kit_good_server();
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    struct tls_ends ends = tls_ends_open(server, tls_kit_good_trust(), "localhost", 0);
    tls_ends_shake(&ends);
    SSL_CTX_set_verify(server, SSL_VERIFY_NONE, NULL);
    assert_int_equal(ends.client.code, CV_OK);
    assert_int_equal(ends.server.code, CV_E_TLS);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, &byte, 1), CV_E_TLS_ALERT);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, &byte, 1), CV_E_TLS_ALERT);
    tls_ends_close(&ends);
}

// The server says why and closes; only then does the client send more, in vain.
static void alert_is_heard_though_nobody_listens_any_more(void **state)
{
    (void)state;
    static const uint8_t record[] = {21, 3, 3, 0, 2, 2, 112};
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
    put(&ends.server, record, sizeof record);
    cv_socket_close(&ends.server.fd);
    int code = cv_tls_handshake(ends.client.tls, ends.client.room, &ends.client.why);
    assert_int_equal(code, CV_E_TLS_ALERT);
    assert_said(&ends.client.why, CV_E_TLS_ALERT, "it does not know the name");
    tls_ends_close(&ends);
}

static void an_end_in_the_middle_is_told(void **state)
{
    (void)state;
    uint8_t flight[4096];
    for (size_t len = 0, whole = 1; len < whole; len += len < 50 ? 1 : 37) {
        struct tls_ends ends =
            tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 0);
        cv_tls_handshake(ends.client.tls, ends.client.room, NULL);
        cv_tls_handshake(ends.server.tls, ends.server.room, NULL);
        whole = (size_t)cv_socket_read(ends.client.fd, flight, sizeof flight);
        struct cv_why why = {0};
        if (len > 0)
            assert_int_equal(cv_tls_give(ends.client.tls, flight, len), 0);
        cv_socket_shutdown(ends.server.fd);
        assert_int_equal(cv_tls_handshake(ends.client.tls, ends.client.room, &why), CV_E_CLOSED);
        assert_said(&why, CV_E_CLOSED, "the server ended the connection in the TLS handshake");
        tls_ends_close(&ends);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_of_an_unknown_authority_is_refused),
        cmocka_unit_test(self_signed_certificate_is_refused_unless_it_is_the_authority),
        cmocka_unit_test(what_stands_in_the_file_is_trusted),
        cmocka_unit_test(certificate_for_others_is_refused),
        cmocka_unit_test(certificate_out_of_its_time_is_refused),
        cmocka_unit_test(authority_that_has_expired_is_named),
        cmocka_unit_test(weak_certificate_is_refused),
        cmocka_unit_test(names_are_escaped_and_cut),
        cmocka_unit_test(insecure_takes_anybody),
        cmocka_unit_test(system_store_can_be_named),
        cmocka_unit_test(files_without_certificates_are_told),
        cmocka_unit_test(server_without_tls_is_told),
        cmocka_unit_test(client_without_tls_is_told),
        cmocka_unit_test(alerts_are_told_by_their_meaning),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(certificate_of_the_client_is_missed_later),
        cmocka_unit_test(alert_is_heard_though_nobody_listens_any_more),
        cmocka_unit_test(an_end_in_the_middle_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
