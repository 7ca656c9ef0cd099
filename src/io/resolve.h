// Names to addresses, on a helper thread, answered on the loop.
#ifndef CV_IO_RESOLVE_H
#define CV_IO_RESOLVE_H

#include "io/addr.h"

struct cv_loop;
struct cv_resolve;

// `fn` is called once, never inside this function: `code` 0 with 1..CV_LIMIT_ADDRESSES addresses in
// the system's order of preference (lent for the call), or CV_E_NOT_FOUND, CV_E_AGAIN (the name
// server did not answer), CV_E_NOMEM, CV_E_SYSTEM. The handle is gone when `fn` returns. NULL, and
// no call, when there is no memory or `host` cannot be a name. An IP address as `host` works too.
struct cv_resolve *cv_resolve_start(struct cv_loop *loop, const char *host, uint16_t port,
                                    void (*fn)(void *arg, int code, const struct cv_addr *addrs,
                                               unsigned count),
                                    void *arg);
// `fn` is not called any more and *resolve is cleared. The loop must run, or be freed, afterwards.
void cv_resolve_cancel(struct cv_resolve **resolve);

#endif
