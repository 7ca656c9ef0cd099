// How the bytes of an FLV stream stand on a connection that is theirs: as they are, in chunks
// (HTTP/1.1), or in WebSocket frames. One set of verbs for all three.
#ifndef CV_SERVER_FLV_FRAMING_H
#define CV_SERVER_FLV_FRAMING_H

#include "media/flv_out.h"
#include "proto/http1_chunker.h"
#include "proto/ws.h"

enum cv_flv_framing_kind {
    CV_FLV_UNTIL_CLOSE, // the end of the connection is the end of the stream: HTTP/1.0
    CV_FLV_CHUNKED,
    CV_FLV_WEBSOCKET,
};

struct cv_flv_framing {
    enum cv_flv_framing_kind kind;
    struct cv_http1_chunker chunker;
    struct cv_ws *ws; // owned; NULL but for WEBSOCKET
    bool ended;
};

// 0 or CV_E_NOMEM.
int cv_flv_framing_init(struct cv_flv_framing *framing, enum cv_flv_framing_kind kind);
void cv_flv_framing_done(struct cv_flv_framing *framing);

// Lends as much as the gather takes of what waits in `out`, framed.
void cv_flv_framing_pull(struct cv_flv_framing *framing, const struct cv_flv_out *out,
                         struct cv_gather *gather);
// `len` bytes of what was pulled last have left.
void cv_flv_framing_sent(struct cv_flv_framing *framing, struct cv_flv_out *out, size_t len);
// Nothing more begins to leave; `code` and the reason (UTF-8) are for a WebSocket's close frame.
void cv_flv_framing_end(struct cv_flv_framing *framing, enum cv_ws_code code, const char *reason);
// All has left that is to leave.
bool cv_flv_framing_out_empty(const struct cv_flv_framing *framing, const struct cv_flv_out *out);

#endif
