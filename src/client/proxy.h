// The HTTP proxy that leads out of this network, as options and the environment name it.
#ifndef CV_CLIENT_PROXY_H
#define CV_CLIENT_PROXY_H

#include "base/err.h"
#include "base/limits.h"
#include "base/text.h"
#include "client/target.h"

#include <stdint.h>

enum { CV_LIMIT_PROXY_CREDENTIAL_BYTES = 255 };

struct cv_proxy {
    char host[CV_LIMIT_HOST_BYTES + 1]; // empty: no proxy
    uint16_t port;
    char user[CV_LIMIT_PROXY_CREDENTIAL_BYTES + 1]; // percent-decoded; empty: no credentials
    char password[CV_LIMIT_PROXY_CREDENTIAL_BYTES + 1];
};

// The environment, so that tests bring their own: the value of a variable or NULL.
typedef const char *cv_getenv_fn(const char *name);

// The ways out to one server. For what is plain: the proxy that carries HTTP requests for us, or
// opens connections. For what is inside TLS: the one that opens connections.
struct cv_proxies {
    struct cv_proxy plain;
    struct cv_proxy secure;
};

// Which proxies lead to the target; those that its security has no use for stay empty. `option`: ""
// the environment decides, "none" no proxy, else http://[user:password@]host[:port] (also without
// http://), which wins over it, and is for both. The environment: http_proxy, HTTP_PROXY, and for
// TLS https_proxy, HTTPS_PROXY; for both all_proxy, ALL_PROXY; HTTP_PROXY is ignored when
// REQUEST_METHOD is set (httpoxy). no_proxy and NO_PROXY list what is reached without one: "*",
// names (and all below them, with or without a leading dot), addresses, ranges as 10.0.0.0/8, each
// perhaps with :port. Loopback and "localhost" are never reached through a proxy from the
// environment. 0, with an empty host where there is none; CV_E_URL with *why, which names the
// variable and quotes no password; then *out is untouched.
int cv_proxies_find(struct cv_proxies *out, struct cv_text option, const struct cv_target *target,
                    cv_getenv_fn *env, struct cv_why *why);
// The one that ways to such a target begin with; its host may be empty. Lent.
const struct cv_proxy *cv_proxies_first(const struct cv_proxies *proxies,
                                        enum cv_security security);

#endif
