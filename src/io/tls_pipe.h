// What OpenSSL sees of a descriptor: two BIOs of ours. What comes is received into the room and
// taken from there; what goes is collected in the room and sent in large pieces. At the end of each
// call what is left in the room is copied to memory of the connection, which is there for as long
// as something waits: an idle connection owns nothing.
//
// Part of io/tls.h; not for others.
#ifndef CV_IO_TLS_PIPE_H
#define CV_IO_TLS_PIPE_H

#include "base/limits.h"
#include "io/tls_state.h"

struct cv_tls_room {
    uint8_t in[CV_TLS_ROOM_IN_BYTES];
    size_t in_at, in_len;
    uint8_t out[CV_TLS_ROOM_OUT_BYTES];
    size_t out_len;
    uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH]; // plaintext that is put together
};

// What waits in memory of its own: data[at] up to data[len]. Nothing waits: data is NULL.
struct cv_tls_waiting {
    uint8_t *data;
    size_t at, len;
};

// Zeroed at first, but for fd.
struct cv_tls_pipe {
    struct cv_tls_room *room;  // of the call under way
    BIO *writer;               // the SSL's
    BIO *kernel;               // the way to the kernel's TLS; NULL: there is none
    struct cv_tls_waiting in;  // received, not yet asked for
    struct cv_tls_waiting out; // ciphertext that the kernel has not taken
    int fd;
    int in_code;   // why nothing more comes in
    int out_code;  // why nothing more goes out
    bool received; // the descriptor was read in this call: once is enough, it is polled by level
    bool full;     // the kernel took less than it was given in this call
    struct cv_tls_start start;
};

// Makes `ssl` read and write this pipe, which outlives it. False: no memory.
bool cv__tls_pipe_attach(struct cv_tls_pipe *pipe, SSL *ssl);
// Frees what it owns; the BIOs are the SSL's.
void cv__tls_pipe_done(struct cv_tls_pipe *pipe);
// Bytes that come before all others. 0 or CV_E_NOMEM.
int cv__tls_pipe_give(struct cv_tls_pipe *pipe, const uint8_t *data, size_t len);

// Around all that OpenSSL is asked to do.
void cv__tls_pipe_enter(struct cv_tls_pipe *pipe, struct cv_tls_room *room);
// Nothing stays in the room, and no errors in OpenSSL's list. As flush.
int cv__tls_pipe_leave(struct cv_tls_pipe *pipe);
// In between. CV_OK: the kernel has everything. CV_E_AGAIN: the rest waits. Else, for good, nothing
// can be sent any more.
int cv__tls_pipe_flush(struct cv_tls_pipe *pipe);
// The kernel encrypts what is written.
bool cv__tls_pipe_in_kernel(const struct cv_tls_pipe *pipe);

// OpenSSL's list of errors belongs to the thread: between our calls it is empty.
void cv__tls_drop_errors(void);

#endif
