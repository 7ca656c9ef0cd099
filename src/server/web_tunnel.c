#include "server/web_tunnel.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "server/client_addr.h"
#include "server/netconn.h"
#include "server/web_open.h"
#include "server/web_state.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char content_type[] = "application/x-fcs";

enum { REFUSALS_MAX = 32 }; // owed to a session that is over; more go unanswered

struct cv_web *cv_web_find(struct cv_worker *worker, uint64_t id)
{
    struct cv_web *web = NULL;
    HASH_FIND(hh, worker->webs, &id, sizeof id, web);
    return web;
}

// ---- what the client is like ------------------------------------------------------------------

static void mirror_type(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_text type = cv_http1_header(head, "content-type");
    web->type[0] = '\0';
    if (type.len == 0 || type.len >= sizeof web->type)
        return;
    memcpy(web->type, type.at, type.len);
    web->type[type.len] = '\0';
}

// Answers are made when the request's head has been forgotten.
static void note_client(struct cv_web *web, const struct cv_http1_head *head)
{
    mirror_type(web, head);
    web->cross_origin = cv_http1_header(head, "origin").at != NULL;
    web->says_keep_alive = head->minor == 0;
}

// Only FFmpeg is known to read a reply piece by piece, and it says exactly these fields, spelled
// so. A proxy adds some of its own (Via, X-Forwarded-For, ...) or spells them in its way; behind
// one that waits for the end of a reply, a whole one is quicker.
static bool takes_chunks(const struct cv_http1_head *head)
{
    static const char *const fields[] = {
        "Accept",       "Connection",    "Host",         "Content-Length",
        "Icy-MetaData", "Cache-Control", "Content-type", "User-Agent",
    };
    for (size_t i = 0; i < head->fields.count; i++) {
        size_t row = 0;
        while (row < sizeof fields / sizeof fields[0] &&
               !cv_text_is(head->fields.at[i].name, fields[row]))
            row++;
        if (row == sizeof fields / sizeof fields[0])
            return false;
    }
    return head->minor > 0 && !head->scheme.at && cv_http1_header(head, "Icy-MetaData").at &&
           cv_text_is(cv_http1_header(head, "Connection"), "keep-alive") &&
           cv_text_is(cv_http1_header(head, "User-Agent"), "Shockwave Flash");
}

// Our own client says how long a reply in pieces it wants, since it has seen what the way does to
// them: "Culvert: 1; window=1000". A client behind HTTP/1.0 knows no chunks.
static uint32_t asked_window_ms(const struct cv_http1_head *head)
{
    static const char word[] = "window=";
    struct cv_text rest = cv_http1_header(head, "culvert");
    bool is_1 = cv_text_is(cv_text_trim(cv_text_take(&rest, ';')), "1");
    uint64_t ms = 0;
    while (is_1 && rest.len && head->minor > 0) {
        struct cv_text one = cv_text_trim(cv_text_take(&rest, ';'));
        if (cv_text_starts(one, word))
            (void)cv_text_u64(cv_text_skip(one, sizeof word - 1), 0, UINT32_MAX, &ms);
    }
    return (uint32_t)ms;
}

static struct cv_tunnel_window window_of(const struct cv_http1_head *head)
{
    if (takes_chunks(head))
        return (struct cv_tunnel_window){.ms = UINT32_MAX};
    return (struct cv_tunnel_window){.ms = asked_window_ms(head), .kept = true};
}

bool cv_web_tunnel_culvert(const struct cv_http1_head *head, const char *word)
{
    struct cv_text rest = cv_http1_header(head, "culvert");
    bool is_1 = cv_text_is(cv_text_trim(cv_text_take(&rest, ';')), "1");
    while (is_1 && rest.len) {
        if (cv_text_is(cv_text_trim(cv_text_take(&rest, ';')), word))
            return true;
    }
    return is_1 && !word[0];
}

// ---- replies --------------------------------------------------------------------------------

static const struct cv_http1_pair allow_origin = {"Access-Control-Allow-Origin", "*"};

// Our own client learns by it whether something on the way keeps bodies to their end.
static void put_early(struct cv_wr *wr, uint64_t early_us)
{
    char value[48];
    int len = snprintf(value, sizeof value, "1; early=%" PRIu64, early_us / 1000);
    cv_http1_write_field(wr, cv_text_of("Culvert"), (struct cv_text){value, (size_t)len});
}

static void put_reply_head(struct cv_web *web, struct cv_wr *wr, const struct cv_rtmpt_reply *reply)
{
    cv_http1_write_status(wr, 200, (struct cv_text){0});
    cv_http1_write_header(wr, "Content-Type", web->type[0] ? web->type : content_type);
    if (reply->form == CV_RTMPT_WHOLE)
        cv_http1_write_length(wr, reply->bytes);
    else
        cv_http1_write_header(wr, "Transfer-Encoding", "chunked");
    cv_http1_write_header(wr, "Cache-Control", "no-store, no-transform");
    if (web->tells_early && web->owed == 1) // it belongs to the newest request
        put_early(wr, web->early_us);
    if (web->cross_origin)
        cv_http1_write_header(wr, allow_origin.name, allow_origin.value);
    if (web->closes)
        cv_http1_write_header(wr, "Connection", "close");
    else if (web->says_keep_alive)
        cv_http1_write_header(wr, "Connection", "keep-alive");
    cv_http1_write_head_end(wr);
}

static void put_not_found(struct cv_web *web, struct cv_wr *wr)
{
    struct cv_http1_answer none = {
        .status = 404,
        .fields = &allow_origin,
        .field_count = web->cross_origin,
        .keep_alive = !web->closes,
        .says_keep_alive = web->says_keep_alive,
    };
    cv_http1_write_answer(wr, &none);
}

// The session is over: the last word to all who wait here. Behind it, the connection may serve
// others.
static void put_refusals(struct cv_web *web, struct cv_wr *wr)
{
    if (web->reading == CV_WEB_TUNNELLED || web->owed > REFUSALS_MAX)
        web->closes = true;
    do {
        put_not_found(web, wr);
    } while (!web->closes && --web->owed);
    web->owed = 1;
}

static void put_chunk_head(struct cv_web *web, struct cv_wr *wr, const struct cv_rtmpt_reply *reply)
{
    bool last = reply->form == CV_RTMPT_CHUNK_LAST;
    web->replies_on = !last;
    if (reply->bytes) {
        cv_http1_write_chunk_head(wr, reply->bytes);
        web->tail = last ? "\r\n0\r\n\r\n" : "\r\n";
    } else {
        CV_ASSERT(last);
        cv_http1_write_last_chunk(wr);
    }
}

static int put_reply(struct cv_web *web, struct cv_rtmpt_reply *reply)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    bool begins = reply->form == CV_RTMPT_WHOLE || reply->form == CV_RTMPT_CHUNK_FIRST;
    if (reply->status != 200)
        put_refusals(web, &wr);
    else if (begins)
        put_reply_head(web, &wr, reply);
    if (reply->form != CV_RTMPT_WHOLE)
        put_chunk_head(web, &wr, reply);
    if (reply->has_poll)
        cv_wr_u8(&wr, reply->poll);
    web->parcel = reply->parcel;
    web->out = cv_wr_take(&wr);
    web->replying = true;
    return web->out ? CV_OK : wr.err;
}

void cv_web_tunnel_sent(struct cv_web *web)
{
    struct cv_tunnel *tunnel = web->tunnel;
    CV_ASSERT(web->replying && tunnel && web->owed > 0);
    web->replying = false;
    if (!web->replies_on)
        web->owed--;
    if (web->owed == 0 && web->reading != CV_WEB_TUNNELLED)
        web->tunnel = NULL;
    cv_tunnel_sent(tunnel, web->conn->id);
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

static bool in_session(const struct cv_rtmpt_target *target)
{
    return target->kind == CV_RTMPT_SEND || target->kind == CV_RTMPT_IDLE ||
           target->kind == CV_RTMPT_CLOSE;
}

static bool parse_target(const struct cv_http1_head *head, struct cv_rtmpt_target *out)
{
    return !head->query.at && cv_rtmpt_target_parse(head->path, out) == CV_OK;
}

static uint64_t now_us(const struct cv_web *web)
{
    return cv_loop_now_us(web->conn->worker->loop);
}

static bool begin(struct cv_web *web, struct cv_tunnel *tunnel, const struct cv_http1_head *head,
                  const struct cv_rtmpt_target *target)
{
    if (cv_tunnel_request(tunnel, web->conn->id, target, window_of(head)) != CV_OK)
        return false;
    note_client(web, head);
    cv_http1_set_body_max(web->http, CV_HTTP_BODY_BYTES_MAX);
    web->tunnel = tunnel;
    web->streams = cv_web_tunnel_culvert(head, "stream");
    web->begun_us = now_us(web);
    web->body_bytes = 0;
    web->spread = 0;
    return true;
}

bool cv_web_tunnel_join(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    return head->method == CV_METHOD_POST && parse_target(head, &target) && in_session(&target) &&
           cv_tunnel_is(web->tunnel, target.id) && begin(web, web->tunnel, head, &target);
}

void cv_web_tunnel_body(struct cv_web *web, const uint8_t *data, size_t len)
{
    web->body_bytes += len;
    web->spread += len * (now_us(web) - web->begun_us);
    cv_tunnel_body(web->tunnel, web->conn->id, data, len);
}

static void note_early(struct cv_web *web)
{
    web->tells_early = web->streams && web->body_bytes;
    if (web->tells_early)
        web->early_us = now_us(web) - web->begun_us - web->spread / web->body_bytes;
}

void cv_web_tunnel_end(struct cv_web *web, const struct cv_http1_head *head)
{
    note_early(web);
    web->owed++;
    web->closes |= !head->keep_alive;
    cv_tunnel_end(web->tunnel, web->conn->id);
}

// ---- requests of no session -----------------------------------------------------------------

void cv_web_tunnel_answer(struct cv_web *web, const void *body, size_t len)
{
    struct cv_http1_pair fields[2] = {allow_origin};
    size_t count = web->cross_origin;
    if (cv_web_tunnel_culvert(web->head, ""))
        fields[count++] = (struct cv_http1_pair){"Culvert", "1"};
    struct cv_http1_answer whole = {
        .status = 200,
        .type = web->type[0] ? web->type : content_type,
        .fields = fields,
        .field_count = count,
        .body = body,
        .len = len,
    };
    cv_web_answer(web, &whole);
}

// /fcs/ident asks for another address of the server: 404 is what everybody wants.
static void on_end(void *arg)
{
    struct cv_web *web = arg;
    struct cv_rtmpt_target target;
    struct cv_http1_answer none = {
        .status = 404, .fields = &allow_origin, .field_count = web->cross_origin};
    if (parse_target(web->head, &target) && target.kind == CV_RTMPT_CLOSE)
        cv_web_tunnel_answer(web, "", 1);
    else
        cv_web_answer(web, &none);
}

static const struct cv_responder no_session = {
    .end = on_end,
};

// ---- whose request it is ----------------------------------------------------------------------

// A website may have a page /send/contact/1, too.
static bool is_ours(struct cv_web *web, const struct cv_http1_head *head,
                    const struct cv_rtmpt_target *target)
{
    struct cv_text type = cv_http1_header(head, "content-type");
    return !in_session(target) ||
           cv_text_is_nocase(cv_text_trim(cv_text_take(&type, ';')), content_type) ||
           cv_tunnel_is_ours(web->conn->worker, target->id);
}

// A browser asks before it sends a page's requests to another site (Fetch, "CORS preflight").
static int answer_preflight(struct cv_web *web)
{
    static const struct cv_http1_pair fields[] = {
        {"Access-Control-Allow-Origin", "*"},
        {"Access-Control-Allow-Methods", "POST"},
        {"Access-Control-Allow-Headers", "content-type, culvert"},
        {"Access-Control-Max-Age", "86400"},
    };
    struct cv_http1_answer yes = {
        .status = 204, .fields = fields, .field_count = sizeof fields / sizeof fields[0]};
    cv_web_answer(web, &yes);
    return 1;
}

static bool is_preflight(const struct cv_http1_head *head)
{
    return head->method == CV_METHOD_OPTIONS &&
           cv_text_is(cv_http1_header(head, "access-control-request-method"), "POST");
}

// The session lives on another thread, and there this connection goes, with this request. It comes
// back in the same way when another session needs that.
static int move(struct cv_web *web, unsigned thread)
{
    struct cv_text head = cv_http1_head_text(web->http);
    struct cv_block *bytes = cv_block_copy(head.at, head.len);
    struct cv_block *unread = NULL;
    if (!bytes)
        return CV_E_NOMEM;
    struct cv_conn *conn = cv_web_release(web, &unread);
    int err = CV_OK;
    if (unread)
        err = cv_block_reserve(&bytes, bytes->len + unread->len);
    if (unread && err == CV_OK)
        cv_block_append(bytes, unread->data, unread->len);
    if (conn && err == CV_OK)
        err = cv_conn_move(conn, thread, bytes->data, bytes->len);
    if (conn && err != CV_OK)
        cv_conn_free(conn);
    cv_block_unref(&unread);
    cv_block_unref(&bytes);
    return 1;
}

// One whose session is here has begun by this; any other is known at once to have none.
static int route_session(struct cv_web *web, const struct cv_http1_head *head,
                         const struct cv_rtmpt_target *target)
{
    struct cv_conn *conn = web->conn;
    unsigned thread;
    if (cv_tunnel_is_elsewhere(conn->worker, target->id, &thread))
        return move(web, thread);
    struct cv_origin client = {.peer = cv_client_addr(conn, head),
                               .tls = cv_conn_tls_version(conn)};
    struct cv_tunnel *tunnel = cv_tunnel_find(conn->worker, target, &client);
    if (!tunnel || !begin(web, tunnel, head, target))
        return 0;
    web->reading = CV_WEB_TUNNELLED;
    return 1;
}

int cv_web_tunnel_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    bool preflight = is_preflight(head);
    if ((head->method != CV_METHOD_POST && !preflight) || !parse_target(head, &target))
        return 0;
    int taken = !preflight && in_session(&target) ? route_session(web, head, &target) : 0;
    if (taken != 0)
        return taken;
    if (!is_ours(web, head, &target))
        return 0;
    if (preflight)
        return answer_preflight(web);
    note_client(web, head);
    if (target.kind == CV_RTMPT_OPEN)
        return cv_web_open_route(web, head);
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

static struct cv_block *refusals(struct cv_web *web)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    put_refusals(web, &wr);
    return cv_wr_take(&wr);
}

void cv_web_tunnel_over(struct cv_worker *worker, const struct cv_tunnel *tunnel)
{
    struct cv_web *web;
    struct cv_web *next;
    HASH_ITER (hh, worker->webs, web, next) {
        if (web->tunnel != tunnel)
            continue;
        bool answerable = cv_web_is_free(web) && web->reading != CV_WEB_TUNNELLED;
        if (answerable && !web->replies_on)
            web->out = refusals(web);
        web->tunnel = NULL;
        web->owed = 0;
        web->replying = false;
        if (answerable && web->out)
            cv_web_step_on(web);
        else
            cv_web_end(web, CV_LOG_DEBUG, CV_E_CLOSED, "its session is over");
    }
}
