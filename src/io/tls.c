// OpenSSL neither reads nor writes the descriptor: it asks two BIOs of ours. What comes is received
// into the room and taken from there; what goes is collected in the room and sent in large pieces.
// At the end of each call what is left in the room is copied to memory of the connection, which is
// there for as long as something waits.
#include "io/tls.h"

#include "base/check.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/socket.h"
#include "io/tls_state.h"
#include "io/tls_trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH, // plaintext of one
    SEALED_BYTES = RECORD_BYTES + 1024,      // the same as ciphertext, and a few small messages
};

struct cv_tls_room {
    uint8_t in[CV_TLS_ROOM_IN_BYTES];
    size_t in_at, in_len;
    uint8_t out[CV_TLS_ROOM_OUT_BYTES];
    size_t out_len;
    uint8_t record[RECORD_BYTES];
};

// What waits in memory of its own: data[at] up to data[len]. Nothing waits: data is NULL.
struct waiting {
    uint8_t *data;
    size_t at, len;
};

struct cv_tls {
    SSL *ssl;
    BIO *kernel_bio;          // the way to the kernel's TLS; NULL: there is none
    struct cv_tls_room *room; // of the call under way
    struct cv_why *why;       // the same
    char *host;               // whom the client wants, until the handshake is done
    struct waiting in;        // received, not yet asked for
    struct waiting out;       // ciphertext that the kernel has not taken
    int fd;
    int in_code;     // why nothing more can be read
    int out_code;    // why nothing more can be written
    int socket_code; // how the descriptor's reading side ended
    int refused;     // what is wrong with the certificate
    bool server;
    bool secured;
    bool in_told;  // in_code has been returned
    bool held;     // the last byte that was taken has been reported as not sent
    bool received; // the descriptor was read in this call: once is enough, it is polled
    bool kernel;   // the kernel encrypts
    bool blocked;  // the kernel, which encrypts, did not take a message of the protocol's own
    bool broken;   // OpenSSL has given it up; an alert may be on its way
    unsigned key_updates; // by the peer, since the last plaintext
    struct cv_tls_start start;
};

// ---- memory that waits ------------------------------------------------------------------------

static size_t waiting_bytes(const struct waiting *waiting)
{
    return waiting->len - waiting->at;
}

static void waiting_free(struct waiting *waiting)
{
    cv_mem_free(waiting->data);
    *waiting = (struct waiting){0};
}

static int waiting_add(struct waiting *waiting, const uint8_t *data, size_t len)
{
    size_t old = waiting_bytes(waiting);
    if (len == 0)
        return CV_OK;
    uint8_t *both = cv_mem_alloc(old + len);
    if (!both)
        return CV_E_NOMEM;
    if (old)
        memcpy(both, waiting->data + waiting->at, old);
    memcpy(both + old, data, len);
    cv_mem_free(waiting->data);
    *waiting = (struct waiting){.data = both, .len = old + len};
    return CV_OK;
}

static void waiting_drop(struct waiting *waiting, size_t len)
{
    waiting->at += len;
    CV_ASSERT(waiting->at <= waiting->len);
    if (waiting->at == waiting->len)
        waiting_free(waiting);
}

// ---- to the kernel ----------------------------------------------------------------------------

// OpenSSL's list of errors belongs to the thread: it is empty between our calls.
static void drop_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

// How many bytes the kernel took, 0 when it is full.
static int send_some(struct cv_tls *tls, const uint8_t *data, size_t len)
{
    const struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    int sent = cv_socket_write(tls->fd, &vector, 1);
    if (sent < 0 && sent != CV_E_AGAIN)
        tls->out_code = sent;
    return sent == CV_E_AGAIN ? 0 : sent;
}

static int keep_unsent(struct cv_tls *tls, const uint8_t *data, size_t len)
{
    // More than one gather: a peer that asks for answers and reads none.
    if (waiting_bytes(&tls->out) + len > CV_LIMIT_TLS_UNSENT_BYTES)
        return CV_E_TLS;
    return waiting_add(&tls->out, data, len);
}

// CV_OK: the kernel has everything. CV_E_AGAIN: the rest waits. Else nothing can be sent any more.
static int flush(struct cv_tls *tls)
{
    struct cv_tls_room *room = tls->room;
    if (tls->out.data && !tls->out_code) {
        int sent = send_some(tls, tls->out.data + tls->out.at, waiting_bytes(&tls->out));
        if (sent > 0)
            waiting_drop(&tls->out, (size_t)sent);
    }
    size_t at = 0;
    if (room->out_len && !tls->out.data && !tls->out_code) {
        int sent = send_some(tls, room->out, room->out_len);
        at = sent > 0 ? (size_t)sent : 0;
    }
    if (!tls->out_code)
        tls->out_code = keep_unsent(tls, room->out + at, room->out_len - at);
    room->out_len = 0;
    if (tls->out_code)
        waiting_free(&tls->out);
    if (tls->out_code)
        return tls->out_code;
    return tls->out.data ? CV_E_AGAIN : CV_OK;
}

// ---- what OpenSSL sees of the descriptor ------------------------------------------------------

static int bio_write(BIO *bio, const char *data, int len)
{
    struct cv_tls *tls = BIO_get_data(bio);
    struct cv_tls_room *room = tls->room;
    CV_ASSERT(room && len >= 0);
    BIO_clear_retry_flags(bio);
    if (tls->kernel_bio && BIO_get_ktls_send(tls->kernel_bio)) {
        int taken = BIO_write(tls->kernel_bio, data, len);
        BIO_copy_next_retry(bio);
        return taken;
    }
    if (room->out_len == sizeof room->out)
        flush(tls);
    size_t taken = sizeof room->out - room->out_len;
    if (taken > (size_t)len)
        taken = (size_t)len;
    memcpy(room->out + room->out_len, data, taken);
    room->out_len += taken;
    return (int)taken;
}

// OpenSSL hands the keys to the kernel behind a flush: then nothing of ours may wait. Where it does
// OpenSSL goes on by itself. Without the kernel the bytes are collected until the call ends.
static long bio_flush(BIO *bio, struct cv_tls *tls)
{
    BIO_clear_retry_flags(bio);
    if (!tls->room || !tls->kernel_bio || BIO_get_ktls_send(tls->kernel_bio))
        return 1;
    int err = flush(tls);
    if (err == CV_E_AGAIN)
        BIO_set_retry_write(bio);
    return err == CV_OK ? 1 : -1;
}

static long bio_write_control(BIO *bio, int command, long number, void *pointer)
{
    struct cv_tls *tls = BIO_get_data(bio);
    if (command == BIO_CTRL_FLUSH)
        return bio_flush(bio, tls);
    return tls && tls->kernel_bio ? BIO_ctrl(tls->kernel_bio, command, number, pointer) : 0;
}

static size_t lower(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void note_start(struct cv_tls_start *start, const uint8_t *data, size_t len)
{
    size_t taken = lower(len, sizeof start->bytes - start->len);
    memcpy(start->bytes + start->len, data, taken);
    start->len += taken;
}

// Reads the descriptor, at most once in a call: it is polled by level.
static int receive(struct cv_tls *tls)
{
    struct cv_tls_room *room = tls->room;
    if (tls->socket_code)
        return tls->socket_code;
    if (tls->received)
        return CV_E_AGAIN;
    int len = cv_socket_read(tls->fd, room->in, sizeof room->in);
    tls->received = true;
    if (len > 0)
        room->in_len = (size_t)len;
    else if (len != CV_E_AGAIN)
        tls->socket_code = len;
    return len;
}

static int bio_read(BIO *bio, char *data, int max)
{
    struct cv_tls *tls = BIO_get_data(bio);
    struct cv_tls_room *room = tls->room;
    CV_ASSERT(room && max >= 0);
    BIO_clear_retry_flags(bio);
    if (tls->key_updates > CV_LIMIT_TLS_KEY_UPDATES) {
        tls->socket_code = CV_E_TLS;
        return -1;
    }
    if (!tls->in.data && room->in_at == room->in_len) {
        room->in_at = room->in_len = 0;
        int len = receive(tls);
        if (len == CV_E_AGAIN)
            BIO_set_retry_read(bio);
        if (len < 0)
            return -1;
    }
    size_t taken;
    if (tls->in.data) {
        taken = lower((size_t)max, waiting_bytes(&tls->in));
        memcpy(data, tls->in.data + tls->in.at, taken);
        waiting_drop(&tls->in, taken);
    } else {
        taken = lower((size_t)max, room->in_len - room->in_at);
        memcpy(data, room->in + room->in_at, taken);
        room->in_at += taken;
    }
    if (!tls->secured)
        note_start(&tls->start, (const uint8_t *)data, taken);
    return (int)taken;
}

static long bio_read_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *reader, *writer; // they serve until the process ends
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;

static void methods_make(void)
{
    int type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
    reader = BIO_meth_new(type, "culvert reads");
    writer = BIO_meth_new(type, "culvert writes");
    if (!reader || !writer)
        return;
    BIO_meth_set_create(reader, bio_create);
    BIO_meth_set_read(reader, bio_read);
    BIO_meth_set_ctrl(reader, bio_read_control);
    BIO_meth_set_create(writer, bio_create);
    BIO_meth_set_write(writer, bio_write);
    BIO_meth_set_ctrl(writer, bio_write_control);
}

static bool attach_bios(struct cv_tls *tls)
{
    pthread_once(&methods_once, methods_make);
    BIO *in = reader && writer ? BIO_new(reader) : NULL;
    BIO *out = in ? BIO_new(writer) : NULL;
    if (!out) {
        BIO_free(in);
        return false;
    }
    BIO_set_data(in, tls);
    BIO_set_data(out, tls);
    SSL_set_bio(tls->ssl, in, out);
    return true;
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
    tls->key_updates += for_kernel ? CV_LIMIT_TLS_KEY_UPDATES + 1 : 1;
}

static bool set_up(struct cv_tls *tls, SSL_CTX *context)
{
    tls->ssl = SSL_new(context);
    if (!tls->ssl || !attach_bios(tls))
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
    tls->fd = fd;
    tls->server = server;
    drop_errors();
    bool made = set_up(tls, context);
    drop_errors();
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
    tls->kernel_bio = BIO_new_socket(tls->fd, BIO_NOCLOSE);
    if (tls->kernel_bio)
        SSL_set_options(tls->ssl, SSL_OP_ENABLE_KTLS);
    drop_errors();
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
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
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
    return true;
}

struct cv_tls *cv_tls_connect(struct cv_tls_trust *trust, int fd, const char *host)
{
    struct cv_tls *tls = cv__tls_new(cv__tls_trust_context(trust), fd, false);
    if (tls && !set_host(tls, host)) {
        cv_tls_free(tls);
        tls = NULL;
    }
    drop_errors();
    return tls;
}

void cv_tls_free(struct cv_tls *tls)
{
    if (!tls)
        return;
    drop_errors();
    if (tls->ssl) // its session may be resumed, though the end was not said
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    BIO_free(tls->kernel_bio);
    drop_errors();
    waiting_free(&tls->in);
    waiting_free(&tls->out);
    cv_mem_free(tls->host);
    cv_mem_free(tls);
}

int cv_tls_give(struct cv_tls *tls, const uint8_t *data, size_t len)
{
    return waiting_add(&tls->in, data, len);
}

// ---- calls ------------------------------------------------------------------------------------

static void enter(struct cv_tls *tls, struct cv_tls_room *room, struct cv_why *why)
{
    room->in_at = room->in_len = room->out_len = 0;
    tls->room = room;
    tls->why = why;
    tls->received = false;
    drop_errors();
}

// Nothing stays in the room. As flush; CV_E_NOMEM also when what was received cannot be kept.
static int leave(struct cv_tls *tls)
{
    struct cv_tls_room *room = tls->room;
    int err = flush(tls);
    int kept = waiting_add(&tls->in, room->in + room->in_at, room->in_len - room->in_at);
    if (kept != CV_OK)
        tls->in_code = tls->out_code = kept;
    if (tls->broken && !tls->out_code)
        tls->out_code = CV_E_TLS;
    tls->room = NULL;
    tls->why = NULL;
    drop_errors();
    return kept != CV_OK ? kept : err;
}

// What a call to OpenSSL that did not succeed means. All but CV_E_AGAIN is for good.
static int verdict(struct cv_tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    tls->blocked = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return CV_E_AGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return CV_E_CLOSED;
    tls->broken = error == SSL_ERROR_SSL;
    if (tls->refused)
        return tls->refused;
    if (!tls->secured && !cv__tls_start_fits(&tls->start))
        return cv__tls_why_not_tls(tls->why, &tls->start, tls->server);
    if (error == SSL_ERROR_SSL)
        return cv__tls_why_queue(tls->why, tls->server);
    return tls->socket_code ? tls->socket_code : CV_E_TLS;
}

// ---- handshake --------------------------------------------------------------------------------

static int handshake_failed(struct cv_tls *tls, int code, struct cv_why *why)
{
    tls->in_code = tls->out_code = code;
    tls->in_told = true;
    if (code == CV_E_CLOSED || code == CV_E_RESET)
        return cv_why_set(why, code, "tls", "the %s ended the connection in the TLS handshake",
                          tls->server ? "client" : "server");
    return cv_why_set(why, code, "tls", "TLS handshake: %s", cv_err_text(code));
}

static void handshake_done(struct cv_tls *tls)
{
    tls->secured = true;
    tls->kernel = tls->kernel_bio && BIO_get_ktls_send(tls->kernel_bio);
    if (!tls->kernel) {
        BIO_free(tls->kernel_bio);
        tls->kernel_bio = NULL;
    }
    cv_mem_free(tls->host);
    tls->host = NULL;
}

static int handshake_step(struct cv_tls *tls)
{
    int result = SSL_do_handshake(tls->ssl);
    int code = result == 1 ? CV_OK : verdict(tls, result);
    flush(tls);
    return code;
}

int cv_tls_handshake(struct cv_tls *tls, struct cv_tls_room *room, struct cv_why *why)
{
    if (tls->secured)
        return CV_OK;
    if (tls->in_code)
        return handshake_failed(tls, tls->in_code, why);
    enter(tls, room, why);
    int code = handshake_step(tls);
    if (code == CV_E_AGAIN && tls->out_code) { // nobody listens: has he said why?
        tls->received = false;
        code = handshake_step(tls);
    }
    if (code == CV_OK)
        handshake_done(tls);
    int sent = leave(tls);
    if (code == CV_E_AGAIN && sent != CV_OK)
        code = sent;
    if (code == CV_OK || code == CV_E_AGAIN)
        return code;
    return handshake_failed(tls, code, why);
}

// ---- reading ----------------------------------------------------------------------------------

static int read_code(struct cv_tls *tls)
{
    tls->in_told = true;
    return tls->in_code;
}

int cv_tls_read(struct cv_tls *tls, struct cv_tls_room *room, void *data, size_t max)
{
    CV_ASSERT(max > 0 && tls->secured);
    if (tls->in_code)
        return read_code(tls);
    size_t got = 0;
    int code = CV_OK;
    enter(tls, room, NULL);
    while (got < max && code == CV_OK) {
        size_t len = 0;
        if (SSL_read_ex(tls->ssl, (uint8_t *)data + got, lower(max - got, INT32_MAX), &len))
            got += len, tls->key_updates = 0;
        else
            code = verdict(tls, 0);
    }
    // An end that nobody has said is not the peer's word.
    if (code == CV_E_CLOSED && tls->socket_code)
        code = CV_E_RESET;
    if (code != CV_OK && code != CV_E_AGAIN)
        tls->in_code = code;
    leave(tls);
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
    return tls->in.data || SSL_pending(tls->ssl) > 0;
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

// Encrypts what the room takes, and sends it. As flush.
static int write_round(struct cv_tls *tls, struct place *place, size_t *taken)
{
    struct cv_tls_room *room = tls->room;
    while (!place_ends(place) && sizeof room->out - room->out_len >= SEALED_BYTES) {
        struct iovec record = next_record(*place, room->record);
        size_t len = 0;
        if (!SSL_write_ex(tls->ssl, record.iov_base, record.iov_len, &len)) {
            int code = verdict(tls, 0);
            flush(tls);
            return code;
        }
        place_skip(place, len);
        *taken += len;
    }
    return flush(tls);
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
    if (tls->out_code)
        return tls->out_code;
    if (tls->kernel) {
        tls->blocked = false; // reading on finds out
        return cv_socket_write(tls->fd, vectors, count);
    }
    struct place place = {.vector = vectors, .left = count};
    size_t taken = 0;
    place_skip(&place, 0);
    enter(tls, room, NULL);
    if (tls->held && !place_ends(&place)) { // it has been encrypted
        place_skip(&place, 1);
        taken = 1;
    }
    int code = flush(tls);
    while (code == CV_OK && !place_ends(&place))
        code = write_round(tls, &place, &taken);
    leave(tls);
    return write_result(tls, tls->out_code ? tls->out_code : code, taken);
}

bool cv_tls_wants_write(const struct cv_tls *tls)
{
    return tls->out.data || tls->blocked;
}

void cv_tls_shutdown(struct cv_tls *tls, struct cv_tls_room *room)
{
    if (!tls->secured || tls->out_code || tls->out.data ||
        (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    enter(tls, room, NULL);
    SSL_shutdown(tls->ssl);
    leave(tls);
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
