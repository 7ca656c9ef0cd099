// Where a URL leads: the server, and the names of what is wanted there.
#ifndef CV_CLIENT_TARGET_H
#define CV_CLIENT_TARGET_H

#include "base/err.h"
#include "base/limits.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

// Which ways may be used.
enum cv_via {
    CV_VIA_AUTO,   // whatever gets through: the ladder
    CV_VIA_RTMP,   // plain RTMP and nothing else
    CV_VIA_RTMPT,  // the tunnel and nothing else
    CV_VIA_SOCKET, // RTMP over WebSocket and nothing else
};

// Whether TLS is spoken.
enum cv_security {
    CV_SECURITY_PLAIN,  // never
    CV_SECURITY_EITHER, // where plain text does not get through: rtmp:// without a port
    CV_SECURITY_ONLY,   // nothing else, whatever happens: rtmps://
};

struct cv_target {
    char host[CV_LIMIT_HOST_BYTES + 1]; // a name, or an IP address without brackets
    uint16_t port;                      // of plain text; ONLY: as secure_port
    uint16_t secure_port;               // of TLS; 0: PLAIN
    enum cv_security security;
    char authority[CV_LIMIT_HOST_BYTES + 9];        // host[:port] as it stands in a URL or in Host
    char secure_authority[CV_LIMIT_HOST_BYTES + 9]; // the same for https://; PLAIN: empty
    char tc_url[CV_LIMIT_URL_BYTES + 1];  // rtmp[s]://host[:port]/app: what connect carries
    char app[CV_LIMIT_APP_BYTES + 1];     // with its query
    char name[CV_LIMIT_NAME_BYTES + 1];   // with its query; empty when the URL names no stream
    char display[CV_LIMIT_URL_BYTES + 1]; // the URL for people: no password, no query, no key
    enum cv_via via; // as the scheme says: rtmpt only the tunnel, ws only WebSocket, else AUTO
};

// Reads rtmp://, rtmpt://, ws:// or http://, port 80 unless it is given, and rtmps://, rtmpts://,
// wss:// or https://, port 443 unless it is given. 0, or CV_E_URL, or
// CV_E_TOO_LONG, with *why in words that quote nothing secret; then *out is untouched. The
// app may be empty too. A user and a password in the URL are read and
// never sent: nothing that we speak has a place for them.
int cv_target_parse(struct cv_target *out, struct cv_text url, struct cv_why *why);

#endif
