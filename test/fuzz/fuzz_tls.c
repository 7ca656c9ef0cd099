// One end of TLS that hears anything. The first byte: bit 0, ours is the client; the others, in
// how large pieces the rest comes. Behind it the peer closes its side.
#define OPENSSL_SUPPRESS_DEPRECATED // a random source of our own: the same input, the same run
#include "base/check.h"
#include "io/socket.h"
#include "io/tls.h"
#include "io/tls_state.h"
#include "io/tls_trust.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// ---- what is made once ------------------------------------------------------------------------

static uint32_t random_state;

static int random_bytes(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++) {
        random_state = random_state * 1664525 + 1013904223;
        out[i] = (unsigned char)(random_state >> 24);
    }
    return 1;
}

static int random_ready(void)
{
    return 1;
}

static SSL_CTX *server_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    CV_ASSERT(X509_sign(cert, key, EVP_sha256()) > 0);
    CV_ASSERT(SSL_CTX_use_certificate(context, cert) && SSL_CTX_use_PrivateKey(context, key));
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

static SSL_CTX *server;
static struct cv_tls_trust *trust;
static struct cv_tls_room *room;

static void make_once(void)
{
    static const RAND_METHOD method = {
        .bytes = random_bytes, .pseudorand = random_bytes, .status = random_ready};
    static const struct cv_tls_trust_config config = {.insecure = true};
    if (server)
        return;
    CV_ASSERT(RAND_set_rand_method(&method));
    server = server_new();
    room = cv_tls_room_new();
    CV_ASSERT(room && cv_tls_trust_new(&trust, &config, NULL) == CV_OK);
}

// ---- one run ----------------------------------------------------------------------------------

static bool goes_on(int code)
{
    return code == CV_E_AGAIN || code >= 0;
}

// What has come is taken, and an answer given.
static int step(struct cv_tls *tls)
{
    uint8_t bytes[100];
    struct cv_why why = {0};
    struct iovec vector = {bytes, sizeof bytes};
    int code = cv_tls_handshake(tls, room, &why);
    CV_ASSERT(goes_on(code) || (why.code == code && why.text[0]));
    while (code >= 0 || cv_tls_has_more(tls)) {
        code = cv_tls_read(tls, room, bytes, sizeof bytes);
        if (goes_on(code))
            cv_tls_write(tls, room, &vector, 1);
    }
    CV_ASSERT(ERR_peek_error() == 0);
    return code;
}

static void hear(struct cv_tls *tls, int peer, const uint8_t *data, size_t len, size_t piece)
{
    uint8_t answer[4096];
    int code = step(tls);
    for (size_t at = 0; at < len && goes_on(code); at += piece) {
        struct iovec vector = {(void *)(uintptr_t)(data + at), len - at < piece ? len - at : piece};
        cv_socket_write(peer, &vector, 1);
        code = step(tls);
        cv_socket_read(peer, answer, sizeof answer);
    }
    cv_socket_shutdown(peer);
    for (int turns = 0; goes_on(code); turns++) {
        CV_ASSERT(turns < 10);
        code = step(tls);
    }
    CV_ASSERT(!cv_tls_has_more(tls));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int fds[2];
    if (len < 1 || len > 20000)
        return 0;
    make_once();
    random_state = 1;
    CV_ASSERT(cv_socket_pair(fds) == CV_OK);
    bool client = data[0] & 1;
    size_t piece = data[0] >> 1 ? data[0] >> 1 : len;
    struct cv_tls *tls =
        client ? cv_tls_connect(trust, fds[0], "live.example") : cv__tls_new(server, fds[0], true);
    CV_ASSERT(tls);
    hear(tls, fds[1], data + 1, len - 1, piece);
    cv_tls_free(tls);
    cv_socket_close(&fds[0]);
    cv_socket_close(&fds[1]);
    return 0;
}
