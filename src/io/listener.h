// A listening socket on a loop: accepts in batches, rests when the machine is out of descriptors.
#ifndef CV_IO_LISTENER_H
#define CV_IO_LISTENER_H

#include "io/addr.h"

#include <stdint.h>

struct cv_loop;
struct cv_listener;

// Listens on `fd` (of cv_socket_listen; the listener's on success). `fn` gets each connection and
// owns its descriptor. NULL when there is no memory or the descriptor cannot be watched.
struct cv_listener *cv_listener_new(struct cv_loop *loop, int fd,
                                    void (*fn)(void *arg, int fd, const struct cv_addr *peer),
                                    void *arg);
// Stops and closes the socket at once; `fn` is not called any more. The memory goes with the turn.
// May be called in `fn`. NULL is allowed.
void cv_listener_free(struct cv_listener *listener);
// How often it had to rest for want of descriptors or memory; for the statistics.
uint64_t cv_listener_pauses(const struct cv_listener *listener);

#endif
