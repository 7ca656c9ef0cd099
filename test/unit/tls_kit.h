// TLS for tests: authorities and certificates made at run time, and two ends of one connection,
// driven by hand.
#ifndef CV_TEST_TLS_KIT_H
#define CV_TEST_TLS_KIT_H

#include "base/err.h"
#include "io/tls.h"
#include "io/tls_trust.h"

#include <openssl/ssl.h>
#include <stdbool.h>

// A certificate with its key.
struct tls_paper {
    X509 *cert;
    EVP_PKEY *key;
};

struct tls_paper_spec {
    const char *name;               // of the subject
    const char *hosts;              // "DNS:a.example,IP:10.0.0.1"; NULL: none
    const struct tls_paper *signer; // NULL: itself
    int from_days, to_days;         // from now; both 0: from yesterday for a month
    bool authority;                 // it may sign others
    bool weak;                      // a key of 1024 bits
};
struct tls_paper tls_paper_make(const struct tls_paper_spec *spec);
void tls_paper_free(struct tls_paper *paper);
// The certificate as PEM; `file` is a template of mkstemp(3).
void tls_paper_write(const struct tls_paper *paper, char *file);

// What a server shows: `extra` (may be NULL) is sent behind the certificate.
SSL_CTX *tls_kit_server(const struct tls_paper *paper, const struct tls_paper *extra);
// Trust in one authority; NULL: in the system's.
struct cv_tls_trust *tls_kit_trust(const struct tls_paper *authority);

// A certificate for "localhost" by an authority that is trusted; made once, freed by nobody.
SSL_CTX *tls_kit_good_server(void);
struct cv_tls_trust *tls_kit_good_trust(void);

struct tls_end {
    struct cv_tls *tls;
    struct cv_tls_room *room;
    int fd;
    int code; // of its handshake
    struct cv_why why;
};
struct tls_ends {
    struct tls_end client, server;
};

// Two ends over a pair of sockets whose buffers hold so much (0: as they are), not yet shaking.
struct tls_ends tls_ends_open(SSL_CTX *server, struct cv_tls_trust *trust, const char *host,
                              int buffer_bytes);
// Both go on until both are done or failed.
void tls_ends_shake(struct tls_ends *ends);
// The same as one, over good certificates: they are connected.
struct tls_ends tls_ends_ready(int buffer_bytes);
void tls_ends_close(struct tls_ends *ends);
// Megabytes both ways at once, by gathers and reads of random sizes, each compared; every call has
// a room of its own, which is gone behind it.
void tls_ends_flow(struct tls_ends *ends, uint32_t seed);

// Records of TLS 1.3 by hand: AES-128-GCM (RFC 8446, 5.2).
enum { TLS_SEAL_BYTES = 5 + 16 }; // so much longer is a record
struct tls_seal {
    uint8_t key[16], iv[12];
    uint64_t count; // records sealed
};
// Seals `len` bytes, whose last one that is not zero is the type. Returns how long `record` is.
size_t tls_seal(struct tls_seal *seal, const uint8_t *inner, size_t len, uint8_t *record);

#endif
