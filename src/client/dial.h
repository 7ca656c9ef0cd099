// A TCP connection to a name: look-up, and a race of its addresses (RFC 8305): IPv6 first where the
// machine has it (the system's order decides), the next address after CV_DIAL_STAGGER_MS or as soon
// as one fails, families in turn; the first that stands wins. A broken IPv6 so costs a tenth of a
// second, not a time-out.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_DIAL_H
#define CV_CLIENT_DIAL_H

#include "io/addr.h"

struct cv_dial;
struct cv_loop;

// Lent for the call.
struct cv_dial_result {
    // 0; CV_E_NOT_FOUND: there is no such name; CV_E_AGAIN: no name server has answered, a later
    // dial may do better; CV_E_CONN_REFUSED, CV_E_UNREACHABLE (or forbidden), CV_E_TIMEOUT: as all
    // addresses, or the most telling of them, ended; CV_E_NO_DESCRIPTORS, CV_E_NOMEM, CV_E_SYSTEM.
    int code;
    int fd; // connected, non-blocking, without delay (TCP_NODELAY); the receiver's; -1: none
    struct cv_addr addr;
    uint32_t rtt_us;             // from SYN to connected
    uint32_t lookup_us;          // of the name; 0 for an address
    const struct cv_addr *addrs; // what the name led to, the winner first: for the next dial
    unsigned addr_count;         // 0: the look-up failed
};

struct cv_dial_config {
    const char *host; // copied; may be NULL with addrs
    uint16_t port;
    const struct cv_addr *addrs; // known already: no look-up; copied, their ports do not matter
    unsigned addr_count;         // at most CV_LIMIT_ADDRESSES
    bool ipv4_first;             // what the network was remembered to like
    uint32_t try_ms;             // for it all; 0: no limit of its own
    // Once, never inside cv_dial_start; the dial is over and gone then.
    void (*on_done)(void *arg, const struct cv_dial_result *result);
    void *arg;
};

// NULL when there is no memory or host cannot be a name.
struct cv_dial *cv_dial_start(struct cv_loop *loop, const struct cv_dial_config *config);
// on_done is not called any more; *dial is cleared; NULL inside is allowed.
void cv_dial_cancel(struct cv_dial **dial);

#endif
