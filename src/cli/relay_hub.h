// What a relay does with the programs on this machine that come to it: each stream that is
// published or played here has a connection of its own to the far server.
//
// A publisher notices nothing of that connection's cuts: what cannot be sent waits, and when the
// buffer is full the oldest is dropped, up to a key frame. Players of one stream share a connection
// and a stream log; each is a cursor in it.
#ifndef CV_CLI_RELAY_HUB_H
#define CV_CLI_RELAY_HUB_H

#include "cli/stream_options.h"
#include "io/addr.h"

struct cv_relay_hub;
struct cv_loop;

// `url` names the far server; where it names no stream, the local name is put behind it. `trust`
// serves all its connections; NULL: each has its own, if it needs one. All are borrowed. NULL: no
// memory.
struct cv_relay_hub *cv_relay_hub_new(struct cv_loop *loop, const struct cv_stream_options *options,
                                      const char *url, struct cv_tls_trust *trust);
// When all its streams have ended, or at once. The loop must be freed later. NULL is allowed.
void cv_relay_hub_free(struct cv_relay_hub *hub);
// A program has connected; for cv_listener_new. The descriptor is the hub's.
void cv_relay_hub_accept(void *hub, int fd, const struct cv_addr *peer);
// Ends all streams; cv_relay_hub_is_idle tells when they are.
void cv_relay_hub_stop(struct cv_relay_hub *hub);
bool cv_relay_hub_is_idle(const struct cv_relay_hub *hub);
// Renews the line of the first stream on a terminal.
void cv_relay_hub_progress(struct cv_relay_hub *hub);

#endif
