// TCP sockets: non-blocking, close-on-exec, never SIGPIPE. Thin: one or two system calls each.
//
// Results: 0 or a positive count, or: CV_E_AGAIN (wait for the watch), CV_E_CLOSED (the peer ended
// its side), CV_E_RESET, CV_E_TIMEOUT, CV_E_CONN_REFUSED, CV_E_UNREACHABLE, CV_E_NO_DESCRIPTORS,
// CV_E_NOMEM, CV_E_SYSTEM for what should not happen.
#ifndef CV_IO_SOCKET_H
#define CV_IO_SOCKET_H

#include "base/err.h"
#include "io/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// Our code for an errno of a socket call.
int cv_socket_error(int system_errno);

// ---- opening --------------------------------------------------------------------------------

// Opens `count` listeners on one address, one per thread: the kernel spreads connections over them
// (SO_REUSEPORT). Refuses a port that any other program listens on, also another server of ours:
// sharing would be silent. CV_ADDR_ANY means IPv6 and IPv4, or IPv4 alone where there is no IPv6.
// Port 0: the system chooses one, the same for all (cv_socket_local tells). All or none: the caller
// owns out_fds[0..count-1] on success. Errors with a `why` that says what to do: CV_E_DENIED,
// CV_E_PORT_IN_USE, CV_E_UNREACHABLE (not an address of this machine), and the usual ones.
int cv_socket_listen(const struct cv_addr *addr, int *out_fds, unsigned count, struct cv_why *why);
// Takes one connection: its descriptor (>= 0) is the caller's; *out_peer (may be NULL) is set.
// CV_E_AGAIN when nobody waits. CV_E_NO_DESCRIPTORS or CV_E_NOMEM: somebody waits and cannot be
// taken; stop watching for CV_ACCEPT_PAUSE_MS or the loop spins (cv_listener does).
int cv_socket_accept(int listener, struct cv_addr *out_peer);
// Starts to connect and returns the descriptor (>= 0), the caller's, or what failed at once. Watch
// it for WRITE, then ask cv_socket_connect_result.
int cv_socket_connect(const struct cv_addr *addr);
// 0 when connected, CV_E_AGAIN while it is under way, otherwise why it failed.
int cv_socket_connect_result(int fd);
// Two connected sockets of this machine, for tests and wake-ups: 0 or an error.
int cv_socket_pair(int out_fds[2]);

// ---- bytes ----------------------------------------------------------------------------------

// Reads at most `max` (> 0) bytes: how many (> 0), or an error.
int cv_socket_read(int fd, void *data, size_t max);
// Throws away at most `max` (> 0) bytes of what has come, without copying them: as cv_socket_read.
int cv_socket_drop(int fd, size_t max);
// Writes the vectors in one call: how many bytes left (a short count is usual), or an error. Takes
// at most 1024 vectors of them.
int cv_socket_write(int fd, const struct iovec *vectors, int count);
// No more bytes to the peer; reading goes on. Its errors do not matter.
void cv_socket_shutdown(int fd);
// Closes *fd unless it is negative and sets it to -1.
void cv_socket_close(int *fd);
// The same with RST instead of FIN: unsent bytes are dropped at once.
void cv_socket_abort(int *fd);

// ---- options: 0 or CV_E_SYSTEM, which seldom matters ------------------------------------------

int cv_socket_set_no_delay(int fd, bool on);
// Probes after `idle_s` of silence, every `interval_s`, dead after `count` unanswered ones.
int cv_socket_set_keep_alive(int fd, int idle_s, int interval_s, int count);
// Dead when sent bytes stay unacknowledged for so long.
int cv_socket_set_user_timeout_ms(int fd, unsigned timeout_ms);
int cv_socket_set_send_buffer(int fd, int bytes);
// Writable only while fewer than `bytes` are unsent: keeps stale media out of the kernel.
int cv_socket_set_unsent_low(int fd, int bytes);
// Readable only when `bytes` have come, or the end (SO_RCVLOWAT); reads take what there is.
int cv_socket_set_read_low(int fd, int bytes);
// Acknowledge now, for this once: the kernel falls back by itself.
int cv_socket_quick_ack(int fd);

// ---- questions --------------------------------------------------------------------------------

int cv_socket_local(int fd, struct cv_addr *out);
int cv_socket_peer(int fd, struct cv_addr *out);
// Smoothed round trip by the kernel's own measure; 0 when it has none.
uint32_t cv_socket_rtt_us(int fd);
// Bytes written by us that the peer has not acknowledged; 0 when unknown.
uint32_t cv_socket_unacked_bytes(int fd);

#endif
