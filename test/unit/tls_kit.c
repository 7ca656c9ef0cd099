#include "tls_kit.h"

#include "harness.h"

#include "io/socket.h"
#include "io/tls_state.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- certificates -----------------------------------------------------------------------------

static void add_extension(X509 *cert, const struct tls_paper_spec *spec, int kind,
                          const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, spec->signer ? spec->signer->cert : cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    assert_non_null(extension);
    assert_true(X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

struct tls_paper tls_paper_make(const struct tls_paper_spec *spec)
{
    static long serial;
    const long day_s = 24 * 3600;
    bool usual = !spec->from_days && !spec->to_days;
    struct tls_paper paper = {.cert = X509_new()};
    paper.key = spec->weak ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256");
    const struct tls_paper *signer = spec->signer ? spec->signer : &paper;
    assert_true(paper.cert && paper.key);
    X509_set_version(paper.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(paper.cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(paper.cert), (usual ? -1 : spec->from_days) * day_s);
    X509_gmtime_adj(X509_getm_notAfter(paper.cert), (usual ? 30 : spec->to_days) * day_s);
    X509_set_pubkey(paper.cert, paper.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(paper.cert), "CN", MBSTRING_UTF8,
                               (const uint8_t *)spec->name, -1, -1, 0);
    X509_set_issuer_name(paper.cert, X509_get_subject_name(signer->cert));
    add_extension(paper.cert, spec, NID_basic_constraints,
                  spec->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(paper.cert, spec, NID_subject_key_identifier, "hash");
    if (spec->hosts)
        add_extension(paper.cert, spec, NID_subject_alt_name, spec->hosts);
    assert_true(X509_sign(paper.cert, signer->key, EVP_sha256()) > 0);
    return paper;
}

void tls_paper_free(struct tls_paper *paper)
{
    X509_free(paper->cert);
    EVP_PKEY_free(paper->key);
    *paper = (struct tls_paper){0};
}

SSL_CTX *tls_kit_server(const struct tls_paper *paper, const struct tls_paper *extra)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0); // it may show what a client must refuse
    assert_true(SSL_CTX_use_certificate(context, paper->cert));
    assert_true(SSL_CTX_use_PrivateKey(context, paper->key));
    if (extra)
        assert_true(SSL_CTX_add1_chain_cert(context, extra->cert));
    return context;
}

void tls_paper_write(const struct tls_paper *paper, char *file)
{
    int fd = mkstemp(file);
    FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_non_null(stream);
    assert_true(PEM_write_X509(stream, paper->cert));
    assert_int_equal(fclose(stream), 0);
}

struct cv_tls_trust *tls_kit_trust(const struct tls_paper *authority)
{
    char file[] = "/tmp/culvert_test_XXXXXX";
    struct cv_tls_trust_config config = {.ca_file = authority ? file : NULL};
    struct cv_tls_trust *trust = NULL;
    if (authority)
        tls_paper_write(authority, file);
    assert_int_equal(cv_tls_trust_new(&trust, &config, NULL), 0);
    if (authority)
        unlink(file);
    return trust;
}

static struct tls_paper good_authority(void)
{
    static struct tls_paper made;
    if (!made.cert)
        made = tls_paper_make(&(struct tls_paper_spec){.name = "Good CA", .authority = true});
    return made;
}

SSL_CTX *tls_kit_good_server(void)
{
    static SSL_CTX *made;
    struct tls_paper authority = good_authority();
    if (!made) {
        struct tls_paper paper =
            tls_paper_make(&(struct tls_paper_spec){.name = "localhost",
                                                    .hosts = "DNS:localhost,IP:127.0.0.1,IP:::1",
                                                    .signer = &authority});
        made = tls_kit_server(&paper, NULL);
        tls_paper_free(&paper);
    }
    return made;
}

struct cv_tls_trust *tls_kit_good_trust(void)
{
    static struct cv_tls_trust *made;
    struct tls_paper authority = good_authority();
    if (!made)
        made = tls_kit_trust(&authority);
    return made;
}

// ---- ends -------------------------------------------------------------------------------------

struct tls_ends tls_ends_open(SSL_CTX *server, struct cv_tls_trust *trust, const char *host,
                              int buffer_bytes)
{
    int fds[2];
    assert_int_equal(cv_socket_pair(fds), 0);
    for (int i = 0; buffer_bytes && i < 2; i++)
        assert_int_equal(cv_socket_set_send_buffer(fds[i], buffer_bytes), 0);
    struct tls_ends ends = {
        .client = {.fd = fds[0], .room = cv_tls_room_new(), .code = CV_E_AGAIN},
        .server = {.fd = fds[1], .room = cv_tls_room_new(), .code = CV_E_AGAIN},
    };
    ends.client.tls = cv_tls_connect(trust, fds[0], host);
    ends.server.tls = cv__tls_new(server, fds[1], true);
    assert_true(ends.client.tls && ends.server.tls && ends.client.room && ends.server.room);
    return ends;
}

static void shake(struct tls_end *end)
{
    if (end->code == CV_E_AGAIN)
        end->code = cv_tls_handshake(end->tls, end->room, &end->why);
    if (end->code != CV_OK && end->code != CV_E_AGAIN)
        cv_socket_shutdown(end->fd);
}

void tls_ends_shake(struct tls_ends *ends)
{
    for (int turns = 0; turns < 1000; turns++) {
        shake(&ends->client);
        shake(&ends->server);
        if (ends->client.code != CV_E_AGAIN && ends->server.code != CV_E_AGAIN)
            return;
    }
    fail_msg("the handshake does not end");
}

struct tls_ends tls_ends_ready(int buffer_bytes)
{
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), tls_kit_good_trust(), "localhost", buffer_bytes);
    tls_ends_shake(&ends);
    assert_int_equal(ends.client.code, CV_OK);
    assert_int_equal(ends.server.code, CV_OK);
    return ends;
}

static void end_close(struct tls_end *end)
{
    cv_tls_free(end->tls);
    cv_tls_room_free(end->room);
    cv_socket_close(&end->fd);
}

void tls_ends_close(struct tls_ends *ends)
{
    end_close(&ends->client);
    end_close(&ends->server);
}

// ---- records by hand ----------------------------------------------------------------------------

size_t tls_seal(struct tls_seal *seal, const uint8_t *inner, size_t len, uint8_t *record)
{
    enum { DATA = 23, HEAD_BYTES = 5, TAG_BYTES = 16 };
    uint8_t nonce[sizeof seal->iv];
    int done;
    const size_t sealed = len + TAG_BYTES;
    memcpy(nonce, seal->iv, sizeof nonce);
    for (size_t i = 0; i < 8; i++)
        nonce[sizeof nonce - 1 - i] ^= (uint8_t)(seal->count >> (8 * i));
    seal->count++;
    memcpy(record, (uint8_t[]){DATA, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed}, HEAD_BYTES);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, seal->key, nonce);
    EVP_EncryptUpdate(cipher, NULL, &done, record, HEAD_BYTES);
    EVP_EncryptUpdate(cipher, record + HEAD_BYTES, &done, inner, (int)len);
    EVP_EncryptFinal_ex(cipher, record + HEAD_BYTES + done, &done);
    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, record + HEAD_BYTES + len);
    EVP_CIPHER_CTX_free(cipher);
    return HEAD_BYTES + sealed;
}
