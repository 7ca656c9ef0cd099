// What only a hostile peer sends inside TLS 1.3: records that are sealed by hand, with the keys of
// a connection that was made properly (RFC 8446, 5.2 and 7.3).
#include "harness.h"
#include "tls_kit.h"

#include "base/limits.h"
#include "io/socket.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

enum { SECRET_BYTES = 32 };
enum { ALERT = 21, HANDSHAKE = 22, DATA = 23 };

struct forger {
    struct tls_ends ends; // the server's is ours
    SSL_CTX *context;
    SSL *ssl;
    struct tls_seal seal;
};

// ---- keys -------------------------------------------------------------------------------------

static uint8_t secret[SECRET_BYTES];

// "LABEL <client random> <secret>" in hex.
static void on_key(const SSL *ssl, const char *line)
{
    (void)ssl;
    if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
        assert_int_equal(hex_bytes(strrchr(line, ' ') + 1, secret, sizeof secret), sizeof secret);
}

static void expand(const char *label, uint8_t *out, size_t len)
{
    uint8_t info[32] = {0,   (uint8_t)len, (uint8_t)(6 + strlen(label)), 't', 'l', 's', '1',
                        '3', ' '};
    size_t info_len = 9 + strlen(label) + 1; // and an empty context
    memcpy(info + 9, label, strlen(label));
    EVP_PKEY_CTX *kdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    assert_true(kdf && EVP_PKEY_derive_init(kdf) > 0);
    assert_true(EVP_PKEY_CTX_set_hkdf_mode(kdf, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) > 0);
    assert_true(EVP_PKEY_CTX_set_hkdf_md(kdf, EVP_sha256()) > 0);
    assert_true(EVP_PKEY_CTX_set1_hkdf_key(kdf, secret, sizeof secret) > 0);
    assert_true(EVP_PKEY_CTX_add1_hkdf_info(kdf, info, (int)info_len) > 0);
    assert_true(EVP_PKEY_derive(kdf, out, &len) > 0);
    EVP_PKEY_CTX_free(kdf);
}

static struct forger forger_open(void)
{
    struct forger forger = {
        .ends = tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", 1 << 20),
        .context = SSL_CTX_new(TLS_client_method()),
    };
    struct tls_end *server = &forger.ends.server;
    SSL_CTX_set_ciphersuites(forger.context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_keylog_callback(forger.context, on_key);
    forger.ssl = SSL_new(forger.context);
    SSL_set_fd(forger.ssl, forger.ends.client.fd);
    SSL_set_connect_state(forger.ssl);
    while (server->code == CV_E_AGAIN) {
        SSL_do_handshake(forger.ssl);
        server->code = cv_tls_handshake(server->tls, server->room, NULL);
    }
    assert_int_equal(server->code, CV_OK);
    ERR_clear_error();
    expand("key", forger.seal.key, sizeof forger.seal.key);
    expand("iv", forger.seal.iv, sizeof forger.seal.iv);
    return forger;
}

static void forger_close(struct forger *forger)
{
    SSL_free(forger->ssl);
    SSL_CTX_free(forger->context);
    tls_ends_close(&forger->ends);
}

// ---- records ----------------------------------------------------------------------------------

// Sends `len` bytes as they are: the last one that is not zero is the type.
static void send_inner(struct forger *forger, const uint8_t *inner, size_t len)
{
    uint8_t record[20000 + TLS_SEAL_BYTES];
    assert_true(len <= 20000);
    struct iovec vector = {record, tls_seal(&forger->seal, inner, len, record)};
    assert_int_equal(cv_socket_write(forger->ends.client.fd, &vector, 1), vector.iov_len);
}

static void send_record(struct forger *forger, uint8_t type, const void *data, size_t len)
{
    static uint8_t inner[20000];
    assert_true(len < sizeof inner);
    memcpy(inner, data, len);
    inner[len] = type;
    send_inner(forger, inner, len + 1);
}

static int server_reads(struct forger *forger)
{
    char got[64];
    struct tls_end *server = &forger->ends.server;
    int code = cv_tls_read(server->tls, server->room, got, sizeof got);
    assert_int_equal(ERR_peek_error(), 0);
    return code;
}

static int server_writes(struct forger *forger)
{
    struct iovec vector = {(char[]){"x"}, 1};
    struct tls_end *server = &forger->ends.server;
    return cv_tls_write(server->tls, server->room, &vector, 1);
}

static const uint8_t new_keys[] = {24, 0, 0, 1, 0};

static void records_by_hand_are_read(void **state)
{
    (void)state;
    struct forger forger = forger_open();
    send_record(&forger, DATA, "abc", 3);
    assert_int_equal(server_reads(&forger), 3);
    send_inner(&forger, (const uint8_t *)"ab\x17\0\0\0", 6); // padding
    assert_int_equal(server_reads(&forger), 2);
    assert_int_equal(server_writes(&forger), 1);
    forger_close(&forger);
}

static void what_no_client_sends_is_refused(void **state)
{
    (void)state;
    static uint8_t large[SSL3_RT_MAX_PLAIN_LENGTH + 1];
    static const uint8_t hello[] = {1, 0, 0, 4, 3, 3, 0, 0}, ticket[] = {4, 0, 0, 2, 0, 0};
    static const uint8_t finished[] = {20, 0, 0, 1, 0}, odd[] = {24, 0, 0, 1, 2};
    static const uint8_t endless[] = {24, 0xff, 0xff, 0xff}, fatal[] = {2, 40}, warning[] = {1, 50};
    static const struct {
        uint8_t type;
        const uint8_t *data;
        size_t len;
        int code;
    } rows[] = {
        {HANDSHAKE, hello, sizeof hello, CV_E_TLS},
        {HANDSHAKE, ticket, sizeof ticket, CV_E_TLS},
        {HANDSHAKE, finished, sizeof finished, CV_E_TLS},
        {HANDSHAKE, odd, sizeof odd, CV_E_TLS},
        {HANDSHAKE, endless, sizeof endless, CV_E_TLS},
        {HANDSHAKE, large, 0, CV_E_TLS},
        {ALERT, fatal, sizeof fatal, CV_E_TLS_ALERT},
        {ALERT, warning, sizeof warning, CV_E_TLS_ALERT},
        {ALERT, fatal, 1, CV_E_TLS},
        {ALERT, large, 0, CV_E_TLS},
        {DATA, large, sizeof large, CV_E_TLS},
        {20, large, 1, CV_E_TLS},
        {99, large, 1, CV_E_TLS},
        {0, large, 5, CV_E_TLS}, // no type at all
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct forger forger = forger_open();
        send_record(&forger, rows[i].type, rows[i].data, rows[i].len);
        if (server_reads(&forger) != rows[i].code)
            fail_msg("row %zu: %s", i, cv_err_name(server_reads(&forger)));
        assert_true(server_writes(&forger) < 0);
        assert_false(cv_tls_has_more(forger.ends.server.tls));
        forger_close(&forger);
    }
}

static void empty_records_without_end_are_refused(void **state)
{
    (void)state;
    struct forger forger = forger_open();
    int code = CV_E_AGAIN, records = 0;
    for (; code == CV_E_AGAIN && records < 1000; records++) {
        send_record(&forger, DATA, "", 0);
        code = server_reads(&forger);
    }
    assert_int_equal(code, CV_E_TLS);
    assert_in_range(records, 2, 100);
    forger_close(&forger);
}

// It comes to nothing: OpenSSL could not write either, and its owner would try for ever.
static void half_a_message_ends_the_writing(void **state)
{
    (void)state;
    for (size_t len = 1; len < sizeof new_keys; len++) {
        struct forger forger = forger_open();
        send_record(&forger, HANDSHAKE, new_keys, len);
        assert_int_equal(server_reads(&forger), CV_E_AGAIN);
        assert_false(cv_tls_has_more(forger.ends.server.tls));
        int code = server_writes(&forger);
        assert_true(code == 1 || code == CV_E_TLS);
        assert_int_equal(code == CV_E_TLS, len >= 4);
        assert_int_equal(server_writes(&forger), code);
        forger_close(&forger);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_by_hand_are_read),
        cmocka_unit_test(what_no_client_sends_is_refused),
        cmocka_unit_test(empty_records_without_end_are_refused),
        cmocka_unit_test(half_a_message_ends_the_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
