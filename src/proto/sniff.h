// What a connection speaks, by its first bytes. In RTMP, TLS and HTTP the client speaks first, so
// one port serves all of them without sending anything.
//
//   03                            RTMP (C0)
//   06 08 09                      RTMPE, encrypted RTMP: a reason to give, nothing to serve
//   16 03                         TLS
//   METHOD SP                     HTTP/1; one empty line before it is forgiven (RFC 9112, 2.2)
//   "PRI "                        HTTP/2 with prior knowledge (RFC 9113, 3.4)
//   "PROXY "                      PROXY protocol, version 1
//   0D 0A 0D 0A 00                PROXY protocol, version 2
//   "<policy-file-request/>" 00   Flash asks for a socket policy
#ifndef CV_PROTO_SNIFF_H
#define CV_PROTO_SNIFF_H

#include <stddef.h>

enum cv_sniff {
    CV_SNIFF_MORE, // cannot be told yet: ask again with more bytes
    CV_SNIFF_RTMP,
    CV_SNIFF_RTMPE,
    CV_SNIFF_TLS,
    CV_SNIFF_HTTP,
    CV_SNIFF_HTTP2,
    CV_SNIFF_PROXY_V1,
    CV_SNIFF_PROXY_V2,
    CV_SNIFF_POLICY,
    CV_SNIFF_UNKNOWN, // none of these, whatever follows
};

enum { CV_SNIFF_BYTES_MAX = 27 }; // with so many the answer is never MORE

// Looks at the first `len` bytes of a connection (from its very beginning, each time) and consumes
// nothing. Answers as soon as only one answer is left. A PROXY header comes before the real
// protocol: behind it, as behind a TLS handshake, sniff again.
enum cv_sniff cv_sniff(const void *data, size_t len);

// "RTMP", "HTTP/2", ...: for logs. Static.
const char *cv_sniff_name(enum cv_sniff sniff);

#endif
