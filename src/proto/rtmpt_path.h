// RTMP over HTTP: the request targets, and the session ids in them.
//
//   POST /open/1           a new session: the answer is the id and one LF
//   POST /send/ID/n        bytes of the client; n counts requests
//   POST /idle/ID/n        nothing to say (/idel/ is how HaishinKit spells it)
//   POST /close/ID[/n]
//   POST /fcs/ident[2]     asks for another address of the server: 404 is what everybody wants
//
// That the method is POST is for the owner to check, and that the session exists: a website may
// have a page /send/contact/1.
#ifndef CV_PROTO_RTMPT_PATH_H
#define CV_PROTO_RTMPT_PATH_H

#include "base/crypto.h"
#include "base/text.h"

enum cv_rtmpt_kind {
    CV_RTMPT_OPEN,
    CV_RTMPT_SEND,
    CV_RTMPT_IDLE,
    CV_RTMPT_CLOSE,
    CV_RTMPT_IDENT,
    CV_RTMPT_IDENT2,
};

struct cv_rtmpt_target {
    enum cv_rtmpt_kind kind;
    struct cv_text id; // send, idle, close: 1 to 64 letters, digits, '-' or '_'; lent from the path
    bool has_n;        // always for send and idle, never for open and ident
    uint64_t n;        // up to 2^53
};

// The whole path (no query, not the absolute form) must match. 0, or CV_E_NOT_FOUND: not a target
// of ours, then *out is untouched.
int cv_rtmpt_target_parse(struct cv_text path, struct cv_rtmpt_target *out);

// ---- session ids ----------------------------------------------------------------------------
//
// An id is 31 characters of base64url (what every client can keep): 2 name the owner, 4 are the
// time in seconds, 9 are random, 16 sign the rest with a secret of the server. 150 bits that nobody
// can guess; and whoever knows the secret can tell a fresh id without having kept it: a bare /open
// costs no memory.

enum {
    CV_RTMPT_ID_CHARS = 31,
    CV_RTMPT_OWNER_MAX = 4095,
    CV_RTMPT_SECRET_BYTES = 32,
};

struct cv_rtmpt_id {
    char text[CV_RTMPT_ID_CHARS + 1]; // with a NUL
};

// One per server, or per group of servers that share their sessions; the time is of any epoch that
// those who share the secret agree on.
struct cv_rtmpt_secret {
    const struct cv_crypto *crypto; // borrowed; must have an HMAC
    uint8_t key[CV_RTMPT_SECRET_BYTES];
};

// `owner` (up to CV_RTMPT_OWNER_MAX): thread and node, as the caller likes. 0, or what the crypto
// functions return.
int cv_rtmpt_id_make(struct cv_rtmpt_id *out, const struct cv_rtmpt_secret *secret, uint32_t owner,
                     uint64_t now_s);
// The owner that an id names, signed or not. 0, or CV_E_NOT_FOUND when it has not the form of an
// id.
int cv_rtmpt_id_owner(struct cv_text id, uint32_t *owner);
// Whether this server has made the id, at most `age_s` seconds ago. In constant time. 0,
// CV_E_NOT_FOUND, or what the HMAC returns.
int cv_rtmpt_id_check(struct cv_text id, const struct cv_rtmpt_secret *secret, uint64_t now_s,
                      uint32_t age_s);

#endif
