#include "server/web_tunnel.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "server/client_addr.h"
#include "server/web_state.h"
#include "server/worker.h"

#include <string.h>

static const char content_type[] = "application/x-fcs";

struct cv_web *cv_web_find(struct cv_worker *worker, uint64_t id)
{
    struct cv_web *web = NULL;
    HASH_FIND(hh, worker->webs, &id, sizeof id, web);
    return web;
}

// ---- replies --------------------------------------------------------------------------------

static void put_reply_head(struct cv_web *web, struct cv_wr *wr, size_t bytes)
{
    cv_http1_write_status(wr, 200, (struct cv_text){0});
    cv_http1_write_header(wr, "Content-Type", web->type[0] ? web->type : content_type);
    cv_http1_write_length(wr, bytes);
    cv_http1_write_header(wr, "Cache-Control", "no-store, no-transform");
    if (web->closes)
        cv_http1_write_header(wr, "Connection", "close");
    cv_http1_write_head_end(wr);
}

static int put_not_found(struct cv_web *web)
{
    struct cv_http1_answer none = {.status = 404};
    web->closes = true;
    return cv_web_put_answer(web, &none);
}

void cv_web_tunnel_sent(struct cv_web *web)
{
    struct cv_tunnel *tunnel = web->tunnel;
    CV_ASSERT(web->replying && tunnel && web->owed > 0);
    web->replying = false;
    web->owed--;
    if (web->owed == 0 && web->reading != CV_WEB_TUNNELLED)
        web->tunnel = NULL;
    cv_tunnel_sent(tunnel, web->conn->id);
}

static int put_reply(struct cv_web *web, struct cv_rtmpt_reply *reply)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    if (reply->status == 200) {
        put_reply_head(web, &wr, reply->bytes);
    } else {
        struct cv_http1_answer none = {.status = (uint32_t)reply->status};
        web->closes = true;
        web->owed = 1; // the session is over: this is the last word to all
        cv_http1_write_answer(&wr, &none);
    }
    if (reply->has_poll)
        cv_wr_u8(&wr, reply->poll);
    web->parcel = reply->parcel;
    web->out = cv_wr_take(&wr);
    web->replying = true;
    return web->out ? CV_OK : wr.err;
}

void cv_web_reply(struct cv_web *web, struct cv_rtmpt_reply *reply)
{
    CV_ASSERT(cv_web_is_free(web));
    if (web->owed == 0) { // refused in the middle of its request
        cv_parcel_unref(&reply->parcel);
        cv_web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "its session is over");
        return;
    }
    int err = put_reply(web, reply);
    if (err == CV_OK)
        cv_web_step_on(web);
    else
        cv_web_end(web, CV_LOG_ERROR, err, cv_err_text(err));
}

// ---- requests of sessions -------------------------------------------------------------------

static void mirror_type(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_text type = cv_http1_header(head, "content-type");
    web->type[0] = '\0';
    if (type.len == 0 || type.len >= sizeof web->type)
        return;
    memcpy(web->type, type.at, type.len);
    web->type[type.len] = '\0';
}

static bool is_tunnel_request(const struct cv_http1_head *head, struct cv_rtmpt_target *out)
{
    return head->method == CV_METHOD_POST && !head->query.at &&
           cv_rtmpt_target_parse(head->path, out) == CV_OK;
}

static bool in_session(const struct cv_rtmpt_target *target)
{
    return target->kind == CV_RTMPT_SEND || target->kind == CV_RTMPT_IDLE ||
           target->kind == CV_RTMPT_CLOSE;
}

// One that has no session, or another than the one that replies are owed to, is left to the route.
bool cv_web_tunnel_begin(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    if (!is_tunnel_request(head, &target) || !in_session(&target))
        return false;
    struct cv_conn *conn = web->conn;
    struct cv_addr client = cv_client_addr(conn, head);
    struct cv_tunnel *tunnel = cv_tunnel_find(conn->worker, &target, &client);
    bool foreign = web->tunnel && web->tunnel != tunnel;
    if (!tunnel || foreign || cv_tunnel_request(tunnel, conn->id, &target) != CV_OK)
        return false;
    mirror_type(web, head);
    cv_http1_set_body_max(web->http, CV_HTTP_BODY_BYTES_MAX);
    web->tunnel = tunnel;
    return true;
}

void cv_web_tunnel_end(struct cv_web *web, const struct cv_http1_head *head)
{
    web->owed++;
    web->closes |= !head->keep_alive || head->minor == 0;
    cv_tunnel_end(web->tunnel, web->conn->id);
}

// ---- requests of no session -----------------------------------------------------------------

// A whole reply that is known now.
static void answer_bytes(struct cv_web *web, const void *body, size_t len)
{
    struct cv_http1_answer whole = {
        .status = 200, .type = web->type[0] ? web->type : content_type, .body = body, .len = len};
    cv_web_answer(web, &whole);
}

// "ID" and exactly one LF: librtmp cuts off one byte, whatever it is.
static void answer_open(struct cv_web *web)
{
    struct cv_rtmpt_id id;
    int err = cv_tunnel_make_id(web->conn->worker, &id);
    if (err != CV_OK) {
        cv_web_abort(web, err, "no session id can be made");
        return;
    }
    id.text[CV_RTMPT_ID_CHARS] = '\n';
    answer_bytes(web, id.text, CV_RTMPT_ID_CHARS + 1);
}

static void answer_not_found(struct cv_web *web)
{
    struct cv_http1_answer none = {.status = 404};
    web->closes = true;
    cv_web_answer(web, &none);
}

static void on_body(void *arg, const uint8_t *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
}

static void on_end(void *arg)
{
    struct cv_web *web = arg;
    struct cv_rtmpt_target target;
    if (!is_tunnel_request(web->head, &target))
        CV_UNREACHABLE();
    if (target.kind == CV_RTMPT_OPEN)
        answer_open(web);
    else if (target.kind == CV_RTMPT_CLOSE)
        answer_bytes(web, "", 1);
    else
        answer_not_found(web);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static const struct cv_responder no_session = {
    .body = on_body,
    .end = on_end,
    .writable = on_nothing,
    .gone = on_nothing,
};

int cv_web_tunnel_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    if (!is_tunnel_request(head, &target))
        return 0;
    mirror_type(web, head);
    cv_web_respond(web, &no_session, web);
    cv_web_set_body_max(web, CV_HTTP_BODY_BYTES_MAX);
    return 1;
}

// ---- the tunnel's end -----------------------------------------------------------------------

void cv_web_go_on(struct cv_worker *worker, const struct cv_tunnel *tunnel)
{
    struct cv_web *web;
    struct cv_web *next;
    HASH_ITER (hh, worker->webs, web, next) {
        if (web->tunnel == tunnel && !web->lingers)
            cv_web_step_on(web);
    }
}

void cv_web_tunnel_over(struct cv_worker *worker, const struct cv_tunnel *tunnel)
{
    struct cv_web *web;
    struct cv_web *next;
    HASH_ITER (hh, worker->webs, web, next) {
        if (web->tunnel != tunnel)
            continue;
        bool answerable = cv_web_is_free(web) && web->reading != CV_WEB_TUNNELLED;
        web->tunnel = NULL;
        web->owed = 0;
        web->replying = false;
        if (answerable && put_not_found(web) == CV_OK)
            cv_web_step_on(web);
        else
            cv_web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "its session is over");
    }
}
