#include "io/tls_pipe.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/socket.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

void cv__tls_drop_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

static size_t lower(size_t a, size_t b)
{
    return a < b ? a : b;
}

// ---- memory that waits ------------------------------------------------------------------------

static size_t waiting_bytes(const struct cv_tls_waiting *waiting)
{
    return waiting->len - waiting->at;
}

static void waiting_free(struct cv_tls_waiting *waiting)
{
    cv_mem_free(waiting->data);
    *waiting = (struct cv_tls_waiting){0};
}

static int waiting_add(struct cv_tls_waiting *waiting, const uint8_t *data, size_t len)
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
    *waiting = (struct cv_tls_waiting){.data = both, .len = old + len};
    return CV_OK;
}

static void waiting_drop(struct cv_tls_waiting *waiting, size_t len)
{
    waiting->at += len;
    CV_ASSERT(waiting->at <= waiting->len);
    if (waiting->at == waiting->len)
        waiting_free(waiting);
}

// ---- to the kernel ----------------------------------------------------------------------------

// How many bytes the kernel took; 0 also when it is full or the connection has failed.
static size_t send_some(struct cv_tls_pipe *pipe, const uint8_t *data, size_t len)
{
    const struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    if (pipe->out_code || pipe->full || len == 0)
        return 0;
    int sent = cv_socket_write(pipe->fd, &vector, 1);
    pipe->full = sent < 0 || (size_t)sent < len;
    if (sent < 0 && sent != CV_E_AGAIN)
        pipe->out_code = sent;
    return sent < 0 ? 0 : (size_t)sent;
}

static int keep_unsent(struct cv_tls_pipe *pipe, const uint8_t *data, size_t len)
{
    // More than one gather: a peer that asks for answers and reads none.
    if (waiting_bytes(&pipe->out) + len > CV_LIMIT_TLS_UNSENT_BYTES)
        return CV_E_TLS;
    return waiting_add(&pipe->out, data, len);
}

int cv__tls_pipe_flush(struct cv_tls_pipe *pipe)
{
    struct cv_tls_room *room = pipe->room;
    struct cv_tls_waiting *out = &pipe->out;
    waiting_drop(out, send_some(pipe, out->data + out->at, waiting_bytes(out)));
    size_t sent = send_some(pipe, room->out, room->out_len); // none while `out` is left: it is full
    if (!pipe->out_code)
        pipe->out_code = keep_unsent(pipe, room->out + sent, room->out_len - sent);
    room->out_len = 0;
    if (pipe->out_code) {
        waiting_free(out);
        return pipe->out_code;
    }
    return out->data ? CV_E_AGAIN : CV_OK;
}

bool cv__tls_pipe_in_kernel(const struct cv_tls_pipe *pipe)
{
    return pipe->kernel && BIO_get_ktls_send(pipe->kernel);
}

// ---- what OpenSSL writes ----------------------------------------------------------------------

static int bio_write(BIO *bio, const char *data, int len)
{
    struct cv_tls_pipe *pipe = BIO_get_data(bio);
    struct cv_tls_room *room = pipe->room;
    CV_ASSERT(room && len >= 0);
    BIO_clear_retry_flags(bio);
    if (cv__tls_pipe_in_kernel(pipe)) {
        int taken = BIO_write(pipe->kernel, data, len);
        if (BIO_should_retry(pipe->kernel))
            BIO_set_retry_write(bio);
        return taken;
    }
    if (room->out_len == sizeof room->out)
        cv__tls_pipe_flush(pipe);
    size_t taken = lower((size_t)len, sizeof room->out - room->out_len);
    memcpy(room->out + room->out_len, data, taken);
    room->out_len += taken;
    return (int)taken;
}

// OpenSSL hands the keys to the kernel behind a flush: then nothing of ours may wait, else it goes
// on by itself. Without the kernel all is collected until the call ends.
static long bio_flush(BIO *bio, struct cv_tls_pipe *pipe)
{
    BIO_clear_retry_flags(bio);
    if (!pipe->room || !pipe->kernel || cv__tls_pipe_in_kernel(pipe))
        return 1;
    int err = cv__tls_pipe_flush(pipe);
    if (err == CV_E_AGAIN)
        BIO_set_retry_write(bio);
    return err == CV_OK ? 1 : -1;
}

static long bio_write_control(BIO *bio, int command, long number, void *pointer)
{
    struct cv_tls_pipe *pipe = BIO_get_data(bio);
    if (!pipe)
        return 0;
    if (command == BIO_CTRL_FLUSH)
        return bio_flush(bio, pipe);
    return pipe->kernel ? BIO_ctrl(pipe->kernel, command, number, pointer) : 0;
}

// ---- what OpenSSL reads -----------------------------------------------------------------------

static void note_start(struct cv_tls_start *start, const uint8_t *data, size_t len)
{
    size_t taken = lower(len, sizeof start->bytes - start->len);
    memcpy(start->bytes + start->len, data, taken);
    start->len += taken;
}

static int receive(struct cv_tls_pipe *pipe)
{
    struct cv_tls_room *room = pipe->room;
    if (pipe->received)
        return CV_E_AGAIN;
    int len = cv_socket_read(pipe->fd, room->in, sizeof room->in);
    pipe->received = true;
    if (len < 0) {
        pipe->in_code = len == CV_E_AGAIN ? CV_OK : len;
        return len;
    }
    room->in_at = 0;
    room->in_len = (size_t)len;
    note_start(&pipe->start, room->in, room->in_len);
    return CV_OK;
}

static size_t take(struct cv_tls_pipe *pipe, char *data, size_t max)
{
    struct cv_tls_room *room = pipe->room;
    struct cv_tls_waiting *in = &pipe->in;
    size_t taken;
    if (in->data) {
        taken = lower(max, waiting_bytes(in));
        memcpy(data, in->data + in->at, taken);
        waiting_drop(in, taken);
    } else {
        taken = lower(max, room->in_len - room->in_at);
        memcpy(data, room->in + room->in_at, taken);
        room->in_at += taken;
    }
    return taken;
}

static int bio_read(BIO *bio, char *data, int max)
{
    struct cv_tls_pipe *pipe = BIO_get_data(bio);
    struct cv_tls_room *room = pipe->room;
    CV_ASSERT(room && max >= 0);
    BIO_clear_retry_flags(bio);
    int err = pipe->in_code;
    if (!err && !pipe->in.data && room->in_at == room->in_len)
        err = receive(pipe);
    if (err == CV_E_AGAIN)
        BIO_set_retry_read(bio);
    return err ? -1 : (int)take(pipe, data, (size_t)max);
}

static long bio_read_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

// ---- methods: they serve until the process ends -------------------------------------------------

static BIO_METHOD *reader, *writer;
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

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

bool cv__tls_pipe_attach(struct cv_tls_pipe *pipe, SSL *ssl)
{
    pthread_once(&methods_once, methods_make);
    BIO *in = reader && writer ? BIO_new(reader) : NULL;
    BIO *out = in ? BIO_new(writer) : NULL;
    if (!out) {
        BIO_free(in);
        return false;
    }
    BIO_set_data(in, pipe);
    BIO_set_data(out, pipe);
    SSL_set_bio(ssl, in, out);
    pipe->writer = out;
    return true;
}

void cv__tls_pipe_done(struct cv_tls_pipe *pipe)
{
    BIO_free(pipe->kernel);
    pipe->kernel = NULL;
    waiting_free(&pipe->in);
    waiting_free(&pipe->out);
}

int cv__tls_pipe_give(struct cv_tls_pipe *pipe, const uint8_t *data, size_t len)
{
    note_start(&pipe->start, data, len);
    return waiting_add(&pipe->in, data, len);
}

// ---- calls ------------------------------------------------------------------------------------

void cv__tls_pipe_enter(struct cv_tls_pipe *pipe, struct cv_tls_room *room)
{
    CV_ASSERT(!pipe->room);
    room->in_at = room->in_len = room->out_len = 0;
    pipe->room = room;
    pipe->received = pipe->full = false;
    cv__tls_drop_errors();
}

int cv__tls_pipe_leave(struct cv_tls_pipe *pipe)
{
    struct cv_tls_room *room = pipe->room;
    cv__tls_pipe_flush(pipe);
    int err = waiting_add(&pipe->in, room->in + room->in_at, room->in_len - room->in_at);
    if (err != CV_OK)
        pipe->in_code = pipe->out_code = err;
    pipe->room = NULL;
    cv__tls_drop_errors();
    if (pipe->out_code)
        return pipe->out_code;
    return pipe->out.data ? CV_E_AGAIN : CV_OK;
}
