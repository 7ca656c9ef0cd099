#include "io/tls_server.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/tls_cert_state.h"
#include "io/tls_state.h"
#include "io/tls_tickets.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

static const char place[] = "tls";

// Lives as long as its first context: each connection keeps that one, so callbacks find all.
struct cv_tls_server {
    struct cv_tls_tickets *tickets;
    unsigned count;
    SSL_CTX *contexts[CV_LIMIT_SHOWN_CERTIFICATES]; // references; but the first one's, which has us
    struct cv_tls_cert *certs[CV_LIMIT_SHOWN_CERTIFICATES];
};

// AEAD with a key that is agreed upon anew (RFC 9325, 4.2), the cheapest first.
static const char ciphers_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char ciphers_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// Elliptic curves alone: one handshake with a finite field, as TLS 1.3 has them up to 8192 bits,
// costs as much as two hundred of these (CVE-2002-20001).
static const char groups[] = "X25519:P-256:X448:P-521:P-384";

// Those who ask for ChaCha first have no AES in their processors.
static const uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
// What is sent is what stands in the file: nothing is looked for at each handshake.
static const long modes = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN;
enum { SECURITY_LEVEL = 2 }; // 112 bits, whatever the machine's openssl.cnf says

// ---- what a context belongs to -----------------------------------------------------------------

static int owner_index;
static pthread_once_t owner_once = PTHREAD_ONCE_INIT;

static void server_done(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                        void *argp)
{
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    struct cv_tls_server *server = ptr;
    if (!server || parent != server->contexts[0])
        return;
    for (unsigned i = 0; i < server->count; i++) {
        if (i > 0) {
            // A connection that is being freed has lost its first context and still has this one.
            SSL_CTX_set_ex_data(server->contexts[i], owner_index, NULL);
            SSL_CTX_free(server->contexts[i]);
        }
        cv_tls_cert_unref(&server->certs[i]);
    }
    cv_tls_tickets_unref(&server->tickets);
    cv_mem_free(server);
}

static void make_index(void)
{
    owner_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, server_done);
}

// The connection's first context, whatever name has been asked for since.
static struct cv_tls_server *server_of(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), owner_index);
}

// ---- what a client asks for --------------------------------------------------------------------

// The certificate for this name: the first that names it, else the first with a wildcard for it.
static unsigned find(const struct cv_tls_server *server, const char *host)
{
    enum cv__tls_match best = CV__TLS_OTHER;
    unsigned found = server->count;
    for (unsigned i = 0; i < server->count && best != CV__TLS_EXACT; i++) {
        enum cv__tls_match match = cv__tls_cert_match(server->certs[i], host);
        if (match <= best)
            continue;
        best = match;
        found = i;
    }
    return found;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const struct cv_tls_server *server = server_of(ssl);
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    unsigned found = host ? find(server, host) : server->count;
    if (found == server->count)
        return SSL_TLSEXT_ERR_NOACK; // the first one, and the client may judge
    if (found > 0)
        SSL_set_SSL_CTX(ssl, server->contexts[found]);
    return SSL_TLSEXT_ERR_OK;
}

// What the connection may speak, by its registered names (RFC 7301, 6). RTMP has none.
static const char *const protocols[] = {"http/1.1", "http/1.0"};

static bool offers(const unsigned char *list, unsigned len, const char *protocol,
                   const unsigned char **out)
{
    size_t wanted = strlen(protocol);
    for (unsigned at = 0; at < len; at += 1u + list[at]) {
        if (list[at] != wanted || len - at - 1 < wanted ||
            memcmp(&list[at + 1], protocol, wanted) != 0)
            continue;
        *out = &list[at + 1];
        return true;
    }
    return false;
}

// A client that has a list and none of these on it would not understand what it hears (RFC 7301,
// 3.2). In TLS 1.3 only clients with a list get tickets: librtmp (OBS, rtmpdump, GStreamer) has
// none and takes a ticket, which comes behind the handshake, for the end of the connection.
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *list, unsigned len, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (!offers(list, len, protocols[i], out))
            continue;
        SSL_set_num_tickets(ssl, 1);
        *out_len = (unsigned char)strlen(protocols[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    bool once = SSL_version(ssl) >= TLS1_3_VERSION;
    return cv_tls_tickets_use(server_of(ssl)->tickets, cv_clock_now_us(), once, name, iv, cipher,
                              mac, encrypt);
}

// ---- making ------------------------------------------------------------------------------------

static bool set_up(SSL_CTX *context)
{
    static const unsigned char session_id[] = "culvert";
    SSL_CTX_set_options(context, options);
    SSL_CTX_set_mode(context, modes);
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, CV_TLS_TICKET_S);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) &&
           SSL_CTX_set1_groups_list(context, groups) &&
           SSL_CTX_set_ciphersuites(context, ciphers_1_3) &&
           SSL_CTX_set_cipher_list(context, ciphers_1_2) && SSL_CTX_set_num_tickets(context, 0) &&
           SSL_CTX_set_session_id_context(context, session_id, sizeof session_id - 1) &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}

// The certificate, and one of another kind for the same names, if there is one.
static int use_certs(SSL_CTX *context, struct cv_tls_cert *const *certs, unsigned count,
                     unsigned index)
{
    int err = cv__tls_cert_use(certs[index], context);
    for (unsigned i = 0; i < count && err == CV_OK; i++) {
        if (i != index && cv__tls_cert_is_pair(certs[index], certs[i]))
            return cv__tls_cert_use(certs[i], context);
    }
    return err;
}

static SSL_CTX *context_new(struct cv_tls_cert *const *certs, unsigned count, unsigned index)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context && set_up(context) && use_certs(context, certs, count, index) == CV_OK)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

// A server with its first context, which owns it. NULL: no memory.
static struct cv_tls_server *server_new(struct cv_tls_cert *const *certs, unsigned count,
                                        struct cv_tls_server *previous)
{
    struct cv_tls_server *server = cv_mem_zero(1, sizeof *server);
    if (!server)
        return NULL;
    SSL_CTX *first = context_new(certs, count, 0);
    server->tickets =
        previous ? cv_tls_tickets_ref(previous->tickets) : cv_tls_tickets_new(cv_clock_now_us());
    if (!first || !server->tickets || !SSL_CTX_set_ex_data(first, owner_index, server)) {
        SSL_CTX_free(first);
        cv_tls_tickets_unref(&server->tickets);
        cv_mem_free(server);
        return NULL;
    }
    server->contexts[0] = first;
    server->certs[0] = cv_tls_cert_ref(certs[0]);
    server->count = 1;
    return server;
}

static int add_cert(struct cv_tls_server *server, struct cv_tls_cert *const *certs, unsigned count)
{
    SSL_CTX *context = context_new(certs, count, server->count);
    if (!context || !SSL_CTX_set_ex_data(context, owner_index, server)) {
        SSL_CTX_free(context);
        return CV_E_NOMEM;
    }
    server->contexts[server->count] = context;
    server->certs[server->count] = cv_tls_cert_ref(certs[server->count]);
    server->count++;
    return CV_OK;
}

int cv_tls_server_new(struct cv_tls_server **out, struct cv_tls_cert *const *certs, unsigned count,
                      struct cv_tls_server *previous, struct cv_why *why)
{
    CV_ASSERT(count > 0 && count <= CV_LIMIT_SHOWN_CERTIFICATES);
    pthread_once(&owner_once, make_index);
    if (owner_index < 0)
        return cv_why_set(why, CV_E_SYSTEM, place, "OpenSSL cannot be used");
    struct cv_tls_server *server = server_new(certs, count, previous);
    int err = server ? CV_OK : CV_E_NOMEM;
    while (err == CV_OK && server->count < count)
        err = add_cert(server, certs, count);
    ERR_clear_error();
    if (err != CV_OK) {
        cv_tls_server_unref(&server);
        return cv_why_set(why, err, place, "no memory for TLS");
    }
    *out = server;
    return CV_OK;
}

struct cv_tls_server *cv_tls_server_ref(struct cv_tls_server *server)
{
    SSL_CTX_up_ref(server->contexts[0]);
    return server;
}

void cv_tls_server_unref(struct cv_tls_server **server)
{
    struct cv_tls_server *gone = *server;
    *server = NULL;
    if (gone)
        SSL_CTX_free(gone->contexts[0]);
}

SSL_CTX *cv__tls_server_context(struct cv_tls_server *server)
{
    return server->contexts[0];
}
