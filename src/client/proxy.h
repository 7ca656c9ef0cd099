// The HTTP proxy that leads out of this network, as options and the environment name it.
#ifndef CV_CLIENT_PROXY_H
#define CV_CLIENT_PROXY_H

#include "base/err.h"
#include "base/limits.h"
#include "base/text.h"

#include <stdbool.h>
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

// Which proxy leads to host:port. `option`: "" the environment decides, "none" no proxy, else
// http://[user:password@]host[:port] (also without http://), which wins over it. The environment:
// http_proxy, HTTP_PROXY is ignored when REQUEST_METHOD is set (httpoxy), all_proxy, ALL_PROXY;
// no_proxy and NO_PROXY list what is reached without one: "*", names (and all below them, with or
// without a leading dot), addresses, ranges as 10.0.0.0/8, each perhaps with :port. Loopback and
// "localhost" are never reached through a proxy from the environment. 0, with out->host empty when
// there is none; CV_E_URL with *why, which names the variable and quotes no password.
int cv_proxy_find(struct cv_proxy *out, struct cv_text option, const char *host, uint16_t port,
                  cv_getenv_fn *env, struct cv_why *why);

#endif
