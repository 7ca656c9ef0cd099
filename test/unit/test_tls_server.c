// What a TLS server shows: versions, the certificate by name, ALPN, tickets, also across a reload.
#include "cert_kit.h"

#include "base/limits.h"
#include "io/tls_server.h"
#include "io/tls_state.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

// ---- two ends in memory ------------------------------------------------------------------------

struct ends {
    SSL_CTX *context;
    SSL *client;
    SSL *server;
    SSL_SESSION *ticket; // the last one that the client got
    int tickets;
};

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct ends *ends = SSL_get_app_data(ssl);
    SSL_SESSION_free(ends->ticket);
    ends->ticket = session;
    ends->tickets++;
    return 1;
}

static void ends_init(struct ends *ends, struct cv_tls_server *server)
{
    *ends = (struct ends){.context = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_session_cache_mode(ends->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ends->context, on_session);
    ends->client = SSL_new(ends->context);
    ends->server = SSL_new(cv__tls_server_context(server));
    BIO *left;
    BIO *right;
    assert_int_equal(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(ends->client, left, left);
    SSL_set_bio(ends->server, right, right);
    SSL_set_connect_state(ends->client);
    SSL_set_accept_state(ends->server);
    SSL_set_app_data(ends->client, ends);
}

static void ends_done(struct ends *ends)
{
    SSL_shutdown(ends->client); // who is cut off has no use for his ticket
    SSL_free(ends->client);
    SSL_free(ends->server);
    SSL_CTX_free(ends->context);
    SSL_SESSION_free(ends->ticket);
    ERR_clear_error();
}

// Until both are done, or one has failed. Then tickets are read, too.
static bool shake(struct ends *ends)
{
    for (int i = 0; i < 20; i++) {
        int client = SSL_do_handshake(ends->client);
        int server = SSL_do_handshake(ends->server);
        if (client == 1 && server == 1) {
            char byte;
            assert_int_equal(SSL_write(ends->server, "x", 1), 1);
            return SSL_read(ends->client, &byte, 1) == 1;
        }
        bool failed = (client != 1 && SSL_get_error(ends->client, client) == SSL_ERROR_SSL) ||
                      (server != 1 && SSL_get_error(ends->server, server) == SSL_ERROR_SSL);
        if (failed)
            return false;
    }
    return false;
}

// ---- servers -----------------------------------------------------------------------------------

// A server of these certificates, each NAME.crt and NAME.key, ended by NULL.
static struct cv_tls_server *server_of(const char *const *names, struct cv_tls_server *previous)
{
    struct cv_tls_cert *certs[8] = {NULL};
    unsigned count = 0;
    struct cv_why why = {0};
    struct cv_tls_server *server = NULL;
    for (; names[count]; count++) {
        char cert[64];
        char key[64];
        snprintf(cert, sizeof cert, "%s.crt", names[count]);
        snprintf(key, sizeof key, "%s.key", names[count]);
        if (cv_tls_cert_load(&certs[count], cert_path(cert), cert_path(key), CERT_NOW_S, &why) != 0)
            fail_msg("%s", why.text);
    }
    assert_int_equal(cv_tls_server_new(&server, certs, count, previous, &why), CV_OK);
    for (unsigned i = 0; i < count; i++)
        cv_tls_cert_unref(&certs[i]);
    return server;
}

static struct cv_tls_server *one(void)
{
    static const char *const names[] = {"a", NULL};
    return server_of(names, NULL);
}

static int make_files(void **state)
{
    (void)state;
    pair_write("a", &(struct cert_spec){.common_name = "a", .names = "a.example,127.0.0.1"});
    pair_write("b", &(struct cert_spec){.common_name = "b", .names = "b.example,x.w.example"});
    pair_write("w", &(struct cert_spec){.common_name = "w", .names = "*.w.example,w.example"});
    pair_write("r", &(struct cert_spec){
                        .common_name = "r", .names = "a.example,127.0.0.1", .key = "RSA-2048"});
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    cert_folder_remove();
    return 0;
}

// ---- tests -------------------------------------------------------------------------------------

static void versions(void **state)
{
    (void)state;
    static const struct {
        int version;
        bool taken;
    } rows[] = {
        {TLS1_VERSION, false},
        {TLS1_1_VERSION, false},
        {TLS1_2_VERSION, true},
        {TLS1_3_VERSION, true},
    };
    struct cv_tls_server *server = one();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ends ends;
        ends_init(&ends, server);
        SSL_set_security_level(ends.client, 0);
        assert_int_equal(SSL_set_min_proto_version(ends.client, rows[i].version), 1);
        assert_int_equal(SSL_set_max_proto_version(ends.client, rows[i].version), 1);
        SSL_set_cipher_list(ends.client, "ALL:@SECLEVEL=0");
        if (shake(&ends) != rows[i].taken)
            fail_msg("version %x", (unsigned)rows[i].version);
        ends_done(&ends);
    }
    cv_tls_server_unref(&server);
}

static void common_name(const struct ends *ends, char *out, size_t size)
{
    X509 *peer = SSL_get1_peer_certificate(ends->client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, out, (int)size);
    X509_free(peer);
}

static void the_name_chooses_the_certificate(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "w", "b", NULL};
    static const struct {
        const char *asked;
        const char *shown;
    } rows[] = {
        {NULL, "a"},
        {"a.example", "a"},
        {"b.example", "b"},
        {"B.Example", "b"},
        {"w.example", "w"},
        {"y.w.example", "w"},
        {"x.w.example", "b"}, // the exact name before the wildcard
        {"z.y.w.example", "a"},
        {"c.example", "a"},
    };
    struct cv_tls_server *server = server_of(names, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char shown[32];
            struct ends ends;
            ends_init(&ends, server);
            SSL_set_max_proto_version(ends.client, version);
            if (rows[i].asked)
                SSL_set_tlsext_host_name(ends.client, rows[i].asked);
            assert_true(shake(&ends));
            common_name(&ends, shown, sizeof shown);
            assert_string_equal(shown, rows[i].shown);
            ends_done(&ends);
        }
    }
    cv_tls_server_unref(&server);
}

static void rsa_and_ecdsa_for_one_name(void **state)
{
    (void)state;
    static const char *const orders[][3] = {{"a", "r", NULL}, {"r", "a", NULL}};
    for (size_t i = 0; i < 4; i++) {
        struct cv_tls_server *server = server_of(orders[i / 2], NULL);
        bool rsa = i % 2;
        char shown[32];
        struct ends ends;
        ends_init(&ends, server);
        SSL_set_tlsext_host_name(ends.client, "a.example");
        SSL_set1_sigalgs_list(ends.client, rsa ? "RSA-PSS+SHA256" : "ECDSA+SHA256");
        assert_true(shake(&ends));
        common_name(&ends, shown, sizeof shown);
        assert_string_equal(shown, rsa ? "r" : "a");
        ends_done(&ends);
        cv_tls_server_unref(&server);
    }
}

static void protocols(void **state)
{
    (void)state;
    static const struct {
        const char *offered; // with lengths
        const char *chosen;  // NULL: refused
    } rows[] = {
        {"", ""},
        {"\x08http/1.1", "http/1.1"},
        {"\x02h2\x08http/1.1", "http/1.1"},
        {"\x08http/1.0", "http/1.0"},
        {"\x08http/1.0\x08http/1.1", "http/1.1"},
        {"\x02h2", NULL},
        {"\x09http/1.1x", NULL},
        {"\x02h3\x02h2\x0a"
         "acme-tls/1",
         NULL},
    };
    struct cv_tls_server *server = one();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const unsigned char *got;
        unsigned len;
        struct ends ends;
        ends_init(&ends, server);
        size_t offered = strlen(rows[i].offered);
        if (offered)
            SSL_set_alpn_protos(ends.client, (const unsigned char *)rows[i].offered,
                                (unsigned)offered);
        assert_int_equal(shake(&ends), rows[i].chosen != NULL);
        SSL_get0_alpn_selected(ends.client, &got, &len);
        if (rows[i].chosen) {
            assert_int_equal(len, strlen(rows[i].chosen));
            assert_memory_equal(got, rows[i].chosen, len);
        } else {
            assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_APPLICATION_PROTOCOL);
        }
        ends_done(&ends);
    }
    cv_tls_server_unref(&server);
}

static void offer_http(struct ends *ends)
{
    static const unsigned char offered[] = "\x08http/1.1";
    SSL_set_alpn_protos(ends->client, offered, sizeof offered - 1);
}

// The client's ticket of a first connection to `server`. The caller frees.
static SSL_SESSION *ticket_of(struct cv_tls_server *server, int version)
{
    struct ends ends;
    ends_init(&ends, server);
    offer_http(&ends);
    SSL_set_max_proto_version(ends.client, version);
    SSL_set_tlsext_host_name(ends.client, "a.example");
    assert_true(shake(&ends));
    assert_false(SSL_session_reused(ends.client));
    assert_non_null(ends.ticket);
    SSL_SESSION *ticket = ends.ticket;
    ends.ticket = NULL;
    ends_done(&ends);
    return ticket;
}

// Comes back with the ticket. In 1.3 that is its end, and there is another one in its place.
static bool resumes(struct cv_tls_server *server, SSL_SESSION **ticket, int version)
{
    struct ends ends;
    ends_init(&ends, server);
    offer_http(&ends);
    SSL_set_max_proto_version(ends.client, version);
    SSL_set_tlsext_host_name(ends.client, "a.example");
    SSL_set_session(ends.client, *ticket);
    assert_true(shake(&ends));
    bool reused = SSL_session_reused(ends.client);
    if (version == TLS1_3_VERSION) {
        assert_non_null(ends.ticket);
        SSL_SESSION_free(*ticket);
        *ticket = ends.ticket;
        ends.ticket = NULL;
    }
    ends_done(&ends);
    return reused;
}

static void tickets_resume_also_across_a_reload(void **state)
{
    (void)state;
    static const char *const renewed[] = {"b", "a", NULL};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct cv_tls_server *server = one();
        SSL_SESSION *ticket = ticket_of(server, version);
        assert_in_range(SSL_SESSION_get_ticket_lifetime_hint(ticket), 3600, 86400);
        assert_true(resumes(server, &ticket, version));
        assert_true(resumes(server, &ticket, version));
        struct cv_tls_server *next = server_of(renewed, server);
        cv_tls_server_unref(&server);
        assert_true(resumes(next, &ticket, version));
        struct cv_tls_server *stranger = one();
        assert_false(resumes(stranger, &ticket, version));
        cv_tls_server_unref(&next);
        cv_tls_server_unref(&stranger);
        SSL_SESSION_free(ticket);
    }
}

static void a_handshake_gives_one_ticket(void **state)
{
    (void)state;
    struct cv_tls_server *server = one();
    assert_int_equal(SSL_CTX_get_session_cache_mode(cv__tls_server_context(server)),
                     SSL_SESS_CACHE_OFF);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct ends ends;
        ends_init(&ends, server);
        offer_http(&ends);
        SSL_set_max_proto_version(ends.client, version);
        assert_true(shake(&ends));
        assert_int_equal(ends.tickets, 1);
        ends_done(&ends);
    }
    cv_tls_server_unref(&server);
}

static void nothing_comes_behind_a_handshake_without_protocols(void **state)
{
    (void)state;
    struct cv_tls_server *server = one();
    struct ends ends;
    ends_init(&ends, server);
    assert_true(shake(&ends));
    assert_int_equal(SSL_version(ends.client), TLS1_3_VERSION);
    assert_int_equal(ends.tickets, 0);
    ends_done(&ends);
    cv_tls_server_unref(&server);
}

// The connection of a server that is gone: it has its certificates and ticket keys still.
static void a_connection_outlives_its_server(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", NULL};
    struct cv_tls_server *server = server_of(names, NULL);
    struct ends ends;
    ends_init(&ends, server);
    SSL_set_tlsext_host_name(ends.client, "b.example");
    cv_tls_server_unref(&server);
    assert_null(server);
    char shown[32];
    assert_true(shake(&ends));
    common_name(&ends, shown, sizeof shown);
    assert_string_equal(shown, "b");
    ends_done(&ends);
}

static void no_renegotiation(void **state)
{
    (void)state;
    struct cv_tls_server *server = one();
    struct ends ends;
    ends_init(&ends, server);
    SSL_set_max_proto_version(ends.client, TLS1_2_VERSION);
    assert_true(shake(&ends));
    assert_int_equal(SSL_renegotiate(ends.client), 1);
    SSL_do_handshake(ends.client);
    char byte;
    assert_true(SSL_read(ends.server, &byte, 1) <= 0);
    assert_true(SSL_do_handshake(ends.client) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    ends_done(&ends);
    cv_tls_server_unref(&server);
}

static void ciphers(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *offered;
        const char *chosen; // NULL: none
    } rows[] = {
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
         "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA", NULL},
        {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
        {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
         "TLS_CHACHA20_POLY1305_SHA256"},
    };
    struct cv_tls_server *server = one();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ends ends;
        ends_init(&ends, server);
        SSL_set_max_proto_version(ends.client, rows[i].version);
        if (rows[i].version == TLS1_2_VERSION)
            SSL_set_cipher_list(ends.client, rows[i].offered);
        else
            SSL_set_ciphersuites(ends.client, rows[i].offered);
        assert_int_equal(shake(&ends), rows[i].chosen != NULL);
        if (rows[i].chosen)
            assert_string_equal(SSL_get_cipher_name(ends.client), rows[i].chosen);
        ends_done(&ends);
    }
    cv_tls_server_unref(&server);
}

static bool make_one(void *arg)
{
    struct cv_tls_cert *const *certs = arg;
    struct cv_tls_server *server = NULL;
    struct cv_why why = {0};
    int err = cv_tls_server_new(&server, certs, 1, NULL, &why);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_int_equal(why.code, err);
    cv_tls_server_unref(&server);
    return err == CV_OK;
}

static void failing_memory(void **state)
{
    (void)state;
    struct cv_tls_cert *cert;
    struct cv_why why = {0};
    assert_int_equal(
        cv_tls_cert_load(&cert, cert_path("a.crt"), cert_path("a.key"), CERT_NOW_S, &why), CV_OK);
    fail_nth(make_one, &cert);
    cv_tls_cert_unref(&cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(the_name_chooses_the_certificate),
        cmocka_unit_test(rsa_and_ecdsa_for_one_name),
        cmocka_unit_test(protocols),
        cmocka_unit_test(tickets_resume_also_across_a_reload),
        cmocka_unit_test(a_handshake_gives_one_ticket),
        cmocka_unit_test(nothing_comes_behind_a_handshake_without_protocols),
        cmocka_unit_test(a_connection_outlives_its_server),
        cmocka_unit_test(no_renegotiation),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
