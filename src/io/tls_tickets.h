// The keys of session tickets (RFC 5077, RFC 8446 4.6.1): the present one and the one before.
//
// Changed by time, by whichever connection notices; no locks, any thread. A key is gone for good
// some hours after its last ticket, so that what it protected stays secret.
#ifndef CV_IO_TLS_TICKETS_H
#define CV_IO_TLS_TICKETS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

struct cv_tls_tickets;

// With a random key. One reference, or NULL: no memory, no random numbers. `now_us`: of any clock
// that never goes back, always the same one.
struct cv_tls_tickets *cv_tls_tickets_new(uint64_t now_us);
// References are atomic.
struct cv_tls_tickets *cv_tls_tickets_ref(struct cv_tls_tickets *tickets);
void cv_tls_tickets_unref(struct cv_tls_tickets **tickets);

// OpenSSL's callback (SSL_CTX_set_tlsext_ticket_key_evp_cb) for these tickets and this time.
// `once`: a ticket is for one use only, so there is another one with each answer (RFC 8446, C.4).
int cv_tls_tickets_use(struct cv_tls_tickets *tickets, uint64_t now_us, bool once,
                       unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int encrypt);

#endif
