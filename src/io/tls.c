#include "io/tls.h"

#include "base/check.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/socket.h"
#include "io/tls_pipe.h"
#include "io/tls_sessions.h"
#include "io/tls_state.h"
#include "io/tls_trust.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH, // plaintext of one
    SEALED_BYTES = RECORD_BYTES + 1024,      // the same as ciphertext, and a few small messages
};

struct cv_tls {
    // What a write touches, together.
    SSL *ssl;
    bool server;
    bool secured;
    bool in_told; // in_code has been returned
    bool held;    // the last byte that was taken has been reported as not sent
    bool kernel;  // the kernel encrypts
    bool broken;  // OpenSSL has given up
    bool blocked; // the kernel, which encrypts, did not take a message of the protocol's own
    int in_code;  // why nothing more can be read
    struct cv_tls_pipe pipe;
    // The rest.
    struct cv_why *why;   // of the call under way
    char *host;           // whom the client wants, until the handshake is done
    int refused;          // what is wrong with the certificate
    unsigned key_updates; // by the peer, since the last plaintext
};

enum { HOT_BYTES = 128, BIO_BYTES = 128 };

static_assert(offsetof(struct cv_tls, pipe.start) <= HOT_BYTES, "more than is prefetched");

static size_t lower(size_t a, size_t b)
{
    return a < b ? a : b;
}

// ---- life -------------------------------------------------------------------------------------

struct cv_tls_room *cv_tls_room_new(void)
{
    return cv_mem_alloc(sizeof(struct cv_tls_room));
}

void cv_tls_room_free(struct cv_tls_room *room)
{
    cv_mem_free(room);
}

// Each message of the protocol's own. New keys cost the peer 27 bytes and us a thousand times more;
// and where the kernel encrypts, OpenSSL 3.0 cannot give it new ones.
static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    (void)version, (void)ssl;
    struct cv_tls *tls = arg;
    const uint8_t *message = data;
    if (sent || type != SSL3_RT_HANDSHAKE || len < 5 || message[0] != SSL3_MT_KEY_UPDATE)
        return;
    bool for_kernel = tls->kernel && message[4] == SSL_KEY_UPDATE_REQUESTED;
    if (++tls->key_updates > CV_LIMIT_TLS_KEY_UPDATES || for_kernel)
        tls->pipe.in_code = CV_E_TLS;
}

static bool set_up(struct cv_tls *tls, SSL_CTX *context)
{
    tls->ssl = SSL_new(context);
    if (!tls->ssl || !cv__tls_pipe_attach(&tls->pipe, tls->ssl))
        return false;
    SSL_set_mode(tls->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_options(tls->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_set_msg_callback(tls->ssl, on_message);
    SSL_set_msg_callback_arg(tls->ssl, tls);
    if (tls->server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    return true;
}

struct cv_tls *cv__tls_new(SSL_CTX *context, int fd, bool server)
{
    struct cv_tls *tls = cv_mem_zero(1, sizeof *tls);
    if (!tls)
        return NULL;
    tls->pipe.fd = fd;
    tls->server = server;
    cv__tls_drop_errors();
    bool made = set_up(tls, context);
    cv__tls_drop_errors();
    if (made)
        return tls;
    cv_tls_free(tls);
    return NULL;
}

// Only a server's: the media goes that way, and OpenSSL's own writing to sockets may raise SIGPIPE,
// which programs ignore and a library must not touch.
static void offer_kernel(struct cv_tls *tls)
{
    if (!cv_tls_kernel_offers())
        return;
    tls->pipe.kernel = BIO_new_socket(tls->pipe.fd, BIO_NOCLOSE);
    if (tls->pipe.kernel)
        SSL_set_options(tls->ssl, SSL_OP_ENABLE_KTLS);
    cv__tls_drop_errors();
}

struct cv_tls *cv_tls_accept(struct cv_tls_server *server, int fd)
{
    struct cv_tls *tls = cv__tls_new(cv__tls_server_context(server), fd, true);
    if (tls)
        offer_kernel(tls);
    return tls;
}

// Called at the first thing that is wrong with the certificate, and with each one that is right.
static int on_certificate(int good, X509_STORE_CTX *store)
{
    if (good)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cv_tls *tls = SSL_get_app_data(ssl);
    if (!tls->refused)
        tls->refused = cv__tls_why_certificate(tls->why, store, tls->host);
    return 0;
}

// Whom the certificate must be for.
static bool ask_for_host(struct cv_tls *tls)
{
    struct cv_ip ip;
    X509_VERIFY_PARAM *rules = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(rules,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT); // RFC 9525, 6.3
    struct cv_text text = {.at = tls->host, .len = strlen(tls->host)};
    if (cv_ip_parse(text, &ip) == CV_OK)
        return X509_VERIFY_PARAM_set1_ip(rules, ip.bytes, ip.family == 4 ? 4 : 16);
    return SSL_set_tlsext_host_name(tls->ssl, tls->host) &&
           X509_VERIFY_PARAM_set1_host(rules, tls->host, 0);
}

static bool set_host(struct cv_tls *tls, const char *host)
{
    size_t len = strlen(host);
    if (len > 1 && host[len - 1] == '.')
        len--; // the root of all names is never sent (RFC 6066, 3)
    tls->host = cv_mem_text(host, len);
    if (!tls->host || !ask_for_host(tls))
        return false;
    SSL_set_app_data(tls->ssl, tls);
    if (SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE)
        SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, on_certificate);
    cv__tls_sessions_offer(tls->ssl);
    return true;
}

struct cv_tls *cv_tls_connect(struct cv_tls_trust *trust, int fd, const char *host)
{
    struct cv_tls *tls = cv__tls_new(cv__tls_trust_context(trust), fd, false);
    if (tls && !set_host(tls, host)) {
        cv_tls_free(tls);
        tls = NULL;
    }
    cv__tls_drop_errors();
    return tls;
}

void cv_tls_free(struct cv_tls *tls)
{
    if (!tls)
        return;
    cv__tls_drop_errors();
    if (tls->ssl) // its session may be resumed, though the end was not said
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    cv__tls_pipe_done(&tls->pipe);
    cv__tls_drop_errors();
    cv_mem_free(tls->host);
    cv_mem_free(tls);
}

int cv_tls_give(struct cv_tls *tls, const uint8_t *data, size_t len)
{
    return cv__tls_pipe_give(&tls->pipe, data, len);
}

// ---- calls ------------------------------------------------------------------------------------

// What a call to OpenSSL that did not succeed means. All but CV_E_AGAIN is for good.
static int verdict(struct cv_tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    tls->blocked = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return CV_E_AGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return CV_E_CLOSED;
    if (tls->refused)
        return tls->refused;
    if (!tls->secured && !cv__tls_start_fits(&tls->pipe.start))
        return cv__tls_why_not_tls(tls->why, &tls->pipe.start, tls->server);
    tls->broken = error == SSL_ERROR_SSL;
    if (tls->broken)
        return cv__tls_why_queue(tls->why, tls->server);
    // An end that nobody has said is not the peer's word.
    if (tls->secured && tls->pipe.in_code == CV_E_CLOSED)
        return CV_E_RESET;
    return tls->pipe.in_code ? tls->pipe.in_code : CV_E_TLS;
}

// As cv__tls_pipe_leave.
static int leave(struct cv_tls *tls)
{
    int code = cv__tls_pipe_leave(&tls->pipe);
    if (tls->broken && !tls->pipe.out_code) // its alert is out
        tls->pipe.out_code = CV_E_TLS;
    return code;
}

// ---- handshake --------------------------------------------------------------------------------

static int handshake_failed(struct cv_tls *tls, int code, struct cv_why *why)
{
    tls->in_code = tls->pipe.out_code = code;
    tls->in_told = true;
    if (!tls->server)
        cv__tls_sessions_forget(tls->ssl);
    if (code == CV_E_CLOSED || code == CV_E_RESET)
        return cv_why_set(why, code, "tls", "the %s ended the connection in the TLS handshake",
                          tls->server ? "client" : "server");
    return cv_why_set(why, code, "tls", "TLS handshake: %s", cv_err_text(code));
}

static int handshake_step(struct cv_tls *tls)
{
    tls->blocked = false;
    int result = SSL_do_handshake(tls->ssl);
    int code = result == 1 ? CV_OK : verdict(tls, result);
    cv__tls_pipe_flush(&tls->pipe);
    return code;
}

static void handshake_done(struct cv_tls *tls)
{
    tls->secured = true;
    tls->kernel = cv__tls_pipe_in_kernel(&tls->pipe);
    cv_mem_free(tls->host);
    tls->host = NULL;
    if (tls->kernel)
        return;
    BIO_free(tls->pipe.kernel);
    tls->pipe.kernel = NULL;
}

int cv_tls_handshake(struct cv_tls *tls, struct cv_tls_room *room, struct cv_why *why)
{
    if (tls->secured)
        return CV_OK;
    if (tls->in_code)
        return handshake_failed(tls, tls->in_code, why);
    cv__tls_pipe_enter(&tls->pipe, room);
    tls->why = why;
    int code = handshake_step(tls);
    if (code == CV_E_AGAIN && tls->pipe.out_code) { // nobody listens: has he said why?
        tls->pipe.received = false;
        code = handshake_step(tls);
    }
    tls->why = NULL;
    int sent = cv__tls_pipe_leave(&tls->pipe);
    if (code == CV_E_AGAIN && sent != CV_OK)
        code = sent;
    if (code == CV_OK)
        handshake_done(tls);
    return code == CV_OK || code == CV_E_AGAIN ? code : handshake_failed(tls, code, why);
}

// ---- reading ----------------------------------------------------------------------------------

static int read_code(struct cv_tls *tls)
{
    tls->in_told = true;
    return tls->in_code;
}

// Fills `data` as far as it can. Sets *code when that was not the whole of it.
static size_t read_records(struct cv_tls *tls, uint8_t *data, size_t max, int *code)
{
    size_t got = 0;
    while (got < max) {
        size_t len = 0;
        if (!SSL_read_ex(tls->ssl, data + got, max - got, &len)) {
            *code = verdict(tls, 0);
            break;
        }
        got += len;
        tls->key_updates = 0;
    }
    return got;
}

int cv_tls_read(struct cv_tls *tls, struct cv_tls_room *room, void *data, size_t max)
{
    CV_ASSERT(max > 0 && tls->secured);
    if (tls->in_code)
        return read_code(tls);
    int code = CV_OK;
    tls->blocked = false;
    cv__tls_pipe_enter(&tls->pipe, room);
    size_t got = read_records(tls, data, lower(max, INT32_MAX), &code);
    int left = leave(tls);
    if (left == CV_E_NOMEM)
        code = left;
    if (code != CV_OK && code != CV_E_AGAIN)
        tls->in_code = code;
    if (got)
        return (int)got;
    return tls->in_code ? read_code(tls) : CV_E_AGAIN;
}

bool cv_tls_has_more(const struct cv_tls *tls)
{
    if (tls->in_code)
        return !tls->in_told;
    if (tls->blocked)
        return false;
    return tls->pipe.in.data || SSL_pending(tls->ssl) > 0;
}

// ---- writing ----------------------------------------------------------------------------------

// Where a write is in its vectors.
struct place {
    const struct iovec *vector;
    int left;  // vectors
    size_t at; // in the first of them
};

static void place_skip(struct place *place, size_t len)
{
    place->at += len;
    while (place->left && place->at >= place->vector->iov_len) {
        place->at -= place->vector->iov_len;
        place->vector++;
        place->left--;
    }
}

static bool place_ends(const struct place *place)
{
    return place->left == 0;
}

// What the next record carries: where it is if that is one piece, else copied together.
static struct iovec next_record(struct place place, uint8_t record[RECORD_BYTES])
{
    struct iovec whole = {.iov_base = (uint8_t *)place.vector->iov_base + place.at,
                          .iov_len = lower(place.vector->iov_len - place.at, RECORD_BYTES)};
    if (whole.iov_len == RECORD_BYTES || place.left == 1)
        return whole;
    size_t len = 0;
    while (len < RECORD_BYTES && !place_ends(&place)) {
        size_t part = lower(place.vector->iov_len - place.at, RECORD_BYTES - len);
        memcpy(record + len, (const uint8_t *)place.vector->iov_base + place.at, part);
        len += part;
        place_skip(&place, part);
    }
    return (struct iovec){.iov_base = record, .iov_len = len};
}

// OpenSSL does not write in the middle of a message of its own. A server hears only one kind, of
// five bytes; a client's peer may have cut a ticket in two, and the rest is on its way.
static int write_failed(struct cv_tls *tls)
{
    int code = verdict(tls, 0);
    if (code == CV_E_AGAIN && !tls->server)
        return code;
    tls->broken = true;
    return code == CV_E_AGAIN ? CV_E_TLS : code;
}

// Encrypts what the room takes, and sends it. As cv__tls_pipe_flush.
static int write_round(struct cv_tls *tls, struct place *place, size_t *taken)
{
    struct cv_tls_room *room = tls->pipe.room;
    while (!place_ends(place) && sizeof room->out - room->out_len >= SEALED_BYTES) {
        struct iovec record = next_record(*place, room->record);
        size_t len = 0;
        if (!SSL_write_ex(tls->ssl, record.iov_base, record.iov_len, &len))
            return write_failed(tls);
        place_skip(place, len);
        *taken += len;
    }
    return cv__tls_pipe_flush(&tls->pipe);
}

// What a write says that has taken so much of its vectors, and ended with `code`.
static int write_result(struct cv_tls *tls, int code, size_t taken)
{
    if (code != CV_OK && code != CV_E_AGAIN)
        return code;
    if (taken == 0)
        return code;
    tls->held = code == CV_E_AGAIN;
    taken -= tls->held;
    return taken ? (int)taken : CV_E_AGAIN;
}

int cv_tls_write(struct cv_tls *tls, struct cv_tls_room *room, const struct iovec *vectors,
                 int count)
{
    CV_ASSERT(count >= 0 && tls->secured);
    if (tls->pipe.out_code)
        return tls->pipe.out_code;
    if (tls->kernel) {
        tls->blocked = false; // reading on finds out
        return cv_socket_write(tls->pipe.fd, vectors, count);
    }
    struct place place = {.vector = vectors, .left = count};
    size_t taken = 0;
    place_skip(&place, 0);
    cv__tls_pipe_enter(&tls->pipe, room);
    if (tls->held && !place_ends(&place)) { // it has been encrypted
        place_skip(&place, 1);
        taken = 1;
    }
    int code = cv__tls_pipe_flush(&tls->pipe);
    while (code == CV_OK && !place_ends(&place))
        code = write_round(tls, &place, &taken);
    leave(tls);
    return write_result(tls, tls->pipe.out_code ? tls->pipe.out_code : code, taken);
}

bool cv_tls_wants_write(const struct cv_tls *tls)
{
    return tls->pipe.out.data || tls->blocked;
}

void cv_tls_shutdown(struct cv_tls *tls, struct cv_tls_room *room)
{
    if (!tls->secured || tls->pipe.out_code || tls->pipe.out.data ||
        (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    cv__tls_pipe_enter(&tls->pipe, room);
    SSL_shutdown(tls->ssl);
    leave(tls);
}

// Where OpenSSL 3.0 looks in an SSL when it writes a record, seen by watching its loads. Only a
// hint: were it wrong, nothing but time would be lost, and of other versions we know nothing.
static const uint16_t hot_in_ssl[] = {
    0,    64,   128,  169,  384,  428,  736,  1216, 2152, 2192, 2328,
    2537, 2592, 2716, 2980, 3184, 3240, 3280, 7352, 7392, 7431, 7520,
};

static void prefetch_ssl(const struct cv_tls *tls)
{
    enum { MAJOR_AND_MINOR = 20, VERSION_3_0 = 0x300 };
    cv_prefetch(tls->pipe.writer, BIO_BYTES);
    if (OpenSSL_version_num() >> MAJOR_AND_MINOR != VERSION_3_0)
        return;
    for (size_t i = 0; i < sizeof hot_in_ssl / sizeof hot_in_ssl[0]; i++)
        cv_prefetch((const char *)tls->ssl + hot_in_ssl[i], 1);
}

void cv_tls_prefetch(const struct cv_tls *tls, unsigned step)
{
    if (step == 0)
        cv_prefetch(tls, HOT_BYTES);
    else if (step == 1 && !tls->kernel)
        prefetch_ssl(tls);
}

// ---- questions --------------------------------------------------------------------------------

struct cv_tls_info cv_tls_info(const struct cv_tls *tls)
{
    const char *server = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    return (struct cv_tls_info){
        .version = SSL_get_version(tls->ssl),
        .cipher = SSL_get_cipher_name(tls->ssl),
        .server = server ? server : "",
        .resumed = SSL_session_reused(tls->ssl),
        .kernel = tls->kernel,
    };
}
