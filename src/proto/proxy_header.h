// The PROXY protocol: a load balancer says, before anything else, whose connection it brings
// (haproxy.org, proxy-protocol.txt, sections 2.1 and 2.2). To be believed only from trusted
// addresses; what stands behind the header is the client's own.
#ifndef CV_PROTO_PROXY_HEADER_H
#define CV_PROTO_PROXY_HEADER_H

#include "base/err.h"
#include "base/ip.h"

#include <stddef.h>
#include <stdint.h>

struct cv_proxy_header {
    size_t len;          // bytes of the header: behind them the connection begins
    struct cv_ip source; // the client; family 0: not told (UNKNOWN, LOCAL, other families): use the
                         // socket's own address
    struct cv_ip target; // what it wanted to reach; family 0 in the same cases
    uint16_t source_port;
    uint16_t target_port;
};

// Looks at the first `len` bytes of a connection, version 1 or 2. 1 and *out; 0: more bytes are
// needed; CV_E_PROXY_HEADER, or CV_E_TOO_LONG (more than CV_LIMIT_PROXY_HEADER_BYTES, known from
// the announced length), with `why` filled and *out untouched. TLVs of version 2 must be well
// formed and are skipped, checksum and certificates too.
int cv_proxy_header_parse(struct cv_proxy_header *out, const void *data, size_t len,
                          struct cv_why *why);

#endif
