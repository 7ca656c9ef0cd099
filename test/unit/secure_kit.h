// TLS for tests that only want to have it: one certificate, who trusts it, and clients that speak
// plain text to a bridge of ours, which speaks TLS for them.
#ifndef CV_TEST_SECURE_KIT_H
#define CV_TEST_SECURE_KIT_H

struct cv_tls_server;
struct cv_tls_trust;

// For "localhost" and 127.0.0.1, by itself. Made once; secure_kit_done frees what was made here.
struct cv_tls_server *secure_kit_server(void);
struct cv_tls_trust *secure_kit_trust(void);
// The same for the same names, and not trusted.
struct cv_tls_server *secure_kit_stranger(void);

// Takes over a connection to a server of ours, perhaps one that is still being connected, and gives
// one for a client that knows no TLS.
int secure_kit_bridge(int fd);
// Lets the calling thread's bridges work.
void secure_kit_pump(void);
// Readable when they have something to do; -1: there are none.
int secure_kit_fd(void);
// Ends the calling thread's bridges; and, with it, everything else.
void secure_kit_hang_up(void);
void secure_kit_done(void);

#endif
