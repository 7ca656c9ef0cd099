// The opening handshake of a WebSocket (RFC 6455, section 4), as values of HTTP headers: an HTTP
// engine reads and writes them.
#ifndef CV_PROTO_WS_HANDSHAKE_H
#define CV_PROTO_WS_HANDSHAKE_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>

enum {
    CV_WS_KEY_CHARS = 24,    // Sec-WebSocket-Key: 16 bytes in base64
    CV_WS_ACCEPT_CHARS = 28, // Sec-WebSocket-Accept: a SHA-1 in base64
};

// What the request said. Headers that came several times are joined by ", "; one that did not come
// has len 0.
struct cv_ws_request {
    bool get;      // the method is GET and the version HTTP/1.1
    bool has_body; // a length that is not 0, or chunked
    struct cv_text upgrade;
    struct cv_text connection;
    struct cv_text version;  // Sec-WebSocket-Version
    struct cv_text key;      // Sec-WebSocket-Key
    struct cv_text protocol; // Sec-WebSocket-Protocol
};

// What the answer 101 says, besides "Upgrade: websocket" and "Connection: Upgrade".
struct cv_ws_answer {
    char accept[CV_WS_ACCEPT_CHARS + 1];
    const char *protocol; // Sec-WebSocket-Protocol; static; NULL: the header is left out
};

enum cv_ws_verdict {
    CV_WS_NO = 0,        // no WebSocket asked for: an ordinary request
    CV_WS_YES,           // 101
    CV_WS_BAD_REQUEST,   // 400
    CV_WS_OTHER_VERSION, // 426 with "Sec-WebSocket-Version: 13"
    CV_WS_NOT_AVAILABLE, // 503: the crypto functions failed
};

// Judges the request. CV_WS_YES fills *out; otherwise it is untouched, and `why` (may be NULL) says
// what is wrong unless it is CV_WS_NO. Of the subprotocols only "rtmp" is known: it is chosen when
// it is offered; without it none is, which every client must be ready for. Extensions are never
// agreed on.
enum cv_ws_verdict cv_ws_judge(const struct cv_ws_request *request, const struct cv_crypto *crypto,
                               struct cv_ws_answer *out, struct cv_why *why);

// A client's key. 0, or the code of the crypto function.
int cv_ws_make_key(const struct cv_crypto *crypto, char out[CV_WS_KEY_CHARS + 1]);
// What a server answers to a key: for a client to compare. 0, or the code of the crypto function.
int cv_ws_accept_of(struct cv_text key, const struct cv_crypto *crypto,
                    char out[CV_WS_ACCEPT_CHARS + 1]);

#endif
