#include "server/flv_framing.h"

#include "base/limits.h"

int cv_flv_framing_init(struct cv_flv_framing *framing, enum cv_flv_framing_kind kind)
{
    static const struct cv_ws_config config = {.message_bytes_max = CV_LIMIT_HTTP_DISCARD_BYTES};
    *framing = (struct cv_flv_framing){.kind = kind};
    if (kind != CV_FLV_WEBSOCKET)
        return CV_OK;
    framing->ws = cv_ws_new(&config);
    return framing->ws ? CV_OK : CV_E_NOMEM;
}

void cv_flv_framing_done(struct cv_flv_framing *framing)
{
    cv_ws_free(framing->ws);
    framing->ws = NULL;
}

// Whether the inner bytes are to be lent now.
static bool pull_begin(struct cv_flv_framing *framing, struct cv_gather *gather)
{
    if (framing->kind == CV_FLV_CHUNKED)
        return cv_http1_chunker_pull_begin(&framing->chunker, gather);
    return framing->kind != CV_FLV_WEBSOCKET || cv_ws_pull_begin(framing->ws, gather);
}

void cv_flv_framing_pull(struct cv_flv_framing *framing, const struct cv_flv_out *out,
                         struct cv_gather *gather)
{
    if (pull_begin(framing, gather))
        cv_flv_out_pull(out, gather);
    if (framing->kind == CV_FLV_CHUNKED)
        cv_http1_chunker_pull_end(&framing->chunker, gather);
    else if (framing->kind == CV_FLV_WEBSOCKET)
        cv_ws_pull_end(framing->ws, gather);
}

void cv_flv_framing_sent(struct cv_flv_framing *framing, struct cv_flv_out *out, size_t len)
{
    if (framing->kind == CV_FLV_CHUNKED)
        len = cv_http1_chunker_sent(&framing->chunker, len);
    else if (framing->kind == CV_FLV_WEBSOCKET)
        len = cv_ws_sent(framing->ws, len);
    cv_flv_out_sent(out, len);
}

void cv_flv_framing_end(struct cv_flv_framing *framing, enum cv_ws_code code, const char *reason)
{
    framing->ended = true;
    if (framing->kind == CV_FLV_CHUNKED)
        cv_http1_chunker_end(&framing->chunker);
    else if (framing->kind == CV_FLV_WEBSOCKET)
        cv_ws_close(framing->ws, code, reason);
}

bool cv_flv_framing_out_empty(const struct cv_flv_framing *framing, const struct cv_flv_out *out)
{
    if (framing->kind == CV_FLV_CHUNKED && !cv_http1_chunker_out_empty(&framing->chunker))
        return false;
    if (framing->kind == CV_FLV_WEBSOCKET && !cv_ws_out_empty(framing->ws))
        return false;
    return framing->ended || cv_flv_out_empty(out);
}
