#include "server/web.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "server/client_addr.h"
#include "server/web_state.h"
#include "server/web_tunnel.h"
#include "server/worker.h"

#include <string.h>

static void go_on(struct cv_web *web)
{
    if (!web->working)
        cv_web_step_on(web);
}

void cv_web_respond(struct cv_web *web, const struct cv_responder *responder, void *arg)
{
    CV_ASSERT(web->working && !web->responder && web->reading == CV_WEB_DISCARDED);
    web->reading = CV_WEB_RESPONDED;
    web->responder = responder;
    web->responder_arg = arg;
    web->wants_body = true;
    cv_http1_set_body_max(web->http, UINT64_MAX);
}

struct cv_conn *cv_web_conn(const struct cv_web *web)
{
    return web->conn;
}

const struct cv_http1_head *cv_web_head(const struct cv_web *web)
{
    return web->head;
}

static bool may_keep(const struct cv_web *web)
{
    return web->head->keep_alive && !web->closes && !web->conn->worker->stopping;
}

bool cv_web_keeps(const struct cv_web *web)
{
    return web->head->minor > 0 && may_keep(web);
}

void cv_web_set_body_max(struct cv_web *web, uint64_t bytes)
{
    cv_http1_set_body_max(web->http, bytes);
}

void cv_web_want_body(struct cv_web *web, bool wanted)
{
    web->wants_body = wanted;
    if (wanted)
        go_on(web);
}

int cv_web_write(struct cv_web *web, const struct cv_gather *gather)
{
    CV_ASSERT(web->responder && !web->replying);
    web->wrote = true;
    int sent = web->out ? CV_E_AGAIN : cv_conn_write(web->conn, gather);
    if (sent > 0)
        cv_web_restart_clock(web);
    if (sent == CV_E_AGAIN || (sent >= 0 && (size_t)sent < gather->bytes)) {
        web->blocked = true;
        cv_conn_want(web->conn, web->conn->channel.reads, true);
        cv_web_rearm(web);
    }
    return sent;
}

// The rest of the request, if it has not come yet, is read away; where that is much, or the client
// waits to be asked for it, the connection ends instead.
static void end_answer(struct cv_web *web, bool keep)
{
    const struct cv_http1_head *head = web->head;
    bool complete = web->reading == CV_WEB_BETWEEN;
    bool long_rest =
        head->framing == CV_HTTP1_CHUNKED || head->length > CV_LIMIT_HTTP_DISCARD_BYTES;
    web->closes |= !keep || (!complete && (long_rest || web->owes_continue));
    if (!complete)
        web->reading = CV_WEB_DISCARDED;
    web->responder = NULL;
    web->blocked = false;
    web->wrote = false;
}

void cv_web_done(struct cv_web *web, bool keep)
{
    CV_ASSERT(web->responder);
    end_answer(web, keep);
    cv_web_restart_clock(web);
    go_on(web);
}

void cv_web_log_request(const struct cv_web *web, uint32_t status)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "http.request");
    cv_client_log_fields(web, &line);
    cv_line_str(&line, "method", web->head->method_text.at, web->head->method_text.len);
    cv_line_str(&line, "path", web->head->path.at, web->head->path.len);
    cv_line_uint(&line, "status", status);
    cv_line_end(&line);
}

void cv_web_answer(struct cv_web *web, const struct cv_http1_answer *answer)
{
    CV_ASSERT(!web->wrote);
    if (!cv_web_is_free(web)) { // not even "100 Continue" has left
        cv_web_abort(web, CV_E_AGAIN, "the client takes nothing");
        return;
    }
    struct cv_http1_answer whole = *answer;
    cv_web_log_request(web, whole.status);
    end_answer(web, may_keep(web));
    whole.keep_alive = !web->closes;
    whole.says_keep_alive = web->head->minor == 0;
    whole.head_only = web->head->method == CV_METHOD_HEAD;
    int err = cv_web_put_answer(web, &whole);
    if (err != CV_OK)
        cv_web_doom(web, err, cv_err_text(err));
    go_on(web);
}

void cv_web_answer_text(struct cv_web *web, uint32_t status, const char *text)
{
    struct cv_http1_answer answer = {
        .status = status, .type = "text/plain; charset=utf-8", .body = text, .len = strlen(text)};
    cv_web_answer(web, &answer);
}

// As when its head came: settled anew once all has left.
void cv_web_pass(struct cv_web *web)
{
    CV_ASSERT(web->responder && web->reading == CV_WEB_RESPONDED);
    CV_ASSERT(!web->wants_body && !web->wrote);
    web->responder = NULL;
    web->reading = CV_WEB_WAITING;
    web->passed = true;
    go_on(web);
}

bool cv_web_was_passed(const struct cv_web *web)
{
    return web->passed;
}

void cv_web_abort(struct cv_web *web, int code, const char *why)
{
    web->responder = NULL;
    cv_web_doom(web, code, why);
    go_on(web);
}
