// Keeps the certificates in force up to date: renewed files are noticed without a signal, and those
// that end soon are told of, once a day. On the main thread; blocks for a few small files.
#ifndef CV_SERVER_CERT_KEEPER_H
#define CV_SERVER_CERT_KEEPER_H

#include "io/loop.h"
#include "server/certs.h"

// Embedded in its owner, zeroed at first; the members are the keeper's.
struct cv_cert_keeper {
    struct cv_loop *loop;
    void (*renewed)(void *arg, struct cv_tls_server *server);
    void *arg;
    struct cv_config *config; // in force; a reference
    struct cv_certs *certs;   // in force; NULL: nothing has been loaded yet
    uint64_t stamp;           // of the files, when they were loaded
    uint64_t failed_stamp;    // of those that could not be loaded
    unsigned failed_looks;    // at them; 0: nothing has failed. One complaint is enough
    struct cv_timer look;
    struct cv_timer day;
};

// `renewed` is told of other certificates than before (NULL: none any more), which it borrows; not
// inside cv_cert_keeper_load.
void cv_cert_keeper_init(struct cv_cert_keeper *keeper, struct cv_loop *loop,
                         void (*renewed)(void *arg, struct cv_tls_server *server), void *arg);
void cv_cert_keeper_done(struct cv_cert_keeper *keeper);

// Loads what the configuration names, and watches it from now on. 0; or as cv_certs_load, and what
// was in force before stays, still watched.
int cv_cert_keeper_load(struct cv_cert_keeper *keeper, struct cv_config *config,
                        struct cv_why *why);
// In force. Borrowed; NULL: none.
struct cv_tls_server *cv_cert_keeper_server(const struct cv_cert_keeper *keeper);
// Has any of the files changed? Then they are loaded. For those who know, and need not wait for the
// next look.
void cv_cert_keeper_look(struct cv_cert_keeper *keeper);

#endif
