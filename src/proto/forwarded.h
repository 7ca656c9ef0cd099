// What proxies in front of us say about the client: X-Forwarded-For, X-Forwarded-Proto.
//
// Anybody can write these headers. They count only as far as each hop that wrote them is trusted:
// from the socket's own address backwards.
#ifndef CV_PROTO_FORWARDED_H
#define CV_PROTO_FORWARDED_H

#include "base/ip.h"
#include "proto/http1_fields.h"

// True when the proxy with this address is believed.
typedef bool cv_ip_trusted_fn(void *arg, const struct cv_ip *ip);

// The client: going back from the socket's `peer` through the list, the first address that is not
// trusted; where the list ends, or cannot be read, or CV_LIMIT_FORWARDED_HOPS is reached, the last
// one that could be. `list`: the values of all X-Forwarded-For headers, joined by ", ". Addresses
// may carry a port ("1.2.3.4:80", "[::1]:80").
struct cv_ip cv_forwarded_client(struct cv_text list, const struct cv_ip *peer,
                                 cv_ip_trusted_fn *trusted, void *arg);

// The same for a request: its X-Forwarded-For fields are one list, also when there are several.
struct cv_ip cv_forwarded_client_of(struct cv_http1_fields fields, const struct cv_ip *peer,
                                    cv_ip_trusted_fn *trusted, void *arg);

enum cv_forwarded_scheme { CV_FORWARDED_NONE, CV_FORWARDED_HTTP, CV_FORWARDED_HTTPS };

// What X-Forwarded-Proto says: the last of several, which the nearest proxy wrote. Only to be asked
// when the peer is trusted.
enum cv_forwarded_scheme cv_forwarded_scheme_of(struct cv_text value);

#endif
