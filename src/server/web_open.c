#include "server/web_open.h"

#include "base/block.h"
#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1_write.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/netconn.h"
#include "server/plain.h"
#include "server/tunnel.h"
#include "server/web.h"
#include "server/web_tunnel.h"

static const char too_many[] = "There are too many sessions.\n";

enum { RTMP_VERSION = 3, UPGRADE_HEAD_BYTES = 256 };

// A client that has offered something; its body is kept.
struct opening {
    struct cv_web *web;
    struct cv_block *body;
    bool upgrades;
    bool shakes_hands;
};

static void opening_free(struct opening *opening)
{
    cv_block_unref(&opening->body);
    cv_mem_free(opening);
}

// ---- a session --------------------------------------------------------------------------------

// "ID" and exactly one LF: librtmp cuts off one byte, whatever it is.
static void answer_id(struct cv_web *web)
{
    struct cv_rtmpt_id id;
    struct cv_conn *conn = cv_web_conn(web);
    int err = cv_tunnel_make_id(conn->worker, cv_conn_is_secure(conn), &id);
    if (err != CV_OK) {
        cv_web_abort(web, err, "no session id can be made");
        return;
    }
    id.text[CV_RTMPT_ID_CHARS] = '\n';
    cv_web_tunnel_answer(web, id.text, CV_RTMPT_ID_CHARS + 1);
}

// The session begins at once.
static void answer_handshake(struct opening *opening)
{
    struct cv_web *web = opening->web;
    struct cv_conn *conn = cv_web_conn(web);
    struct cv_origin client = {.peer = cv_client_addr(conn, cv_web_head(web)),
                               .tls = cv_conn_tls_version(conn)};
    struct cv_block *first = NULL;
    int err = cv_tunnel_begin(conn->worker, &client, opening->body, &first);
    opening_free(opening);
    if (err == CV_OK)
        cv_web_tunnel_answer(web, first->data, first->len);
    else if (err == CV_E_TOO_MANY)
        cv_web_answer_text(web, 503, too_many);
    else
        cv_web_abort(web, err, "no session can be begun");
    cv_block_unref(&first);
}

// ---- RTMP itself --------------------------------------------------------------------------------

static struct cv_block *upgrade_head(void)
{
    static const struct cv_http1_pair fields[] = {
        {"Connection", "Upgrade"},
        {"Upgrade", "rtmp"},
        {"Culvert", "1"},
    };
    struct cv_wr wr = cv_wr_growing(UPGRADE_HEAD_BYTES);
    struct cv_http1_answer head = {.status = 101,
                                   .fields = fields,
                                   .field_count = sizeof fields / sizeof fields[0],
                                   .keep_alive = true};
    cv_http1_write_answer(&wr, &head);
    return cv_wr_take(&wr);
}

// A filler of one byte, as tunnels send it, is no RTMP.
static void drop_filler(struct opening *opening)
{
    struct cv_block *body = opening->body;
    if (body->len == 1 && body->data[0] != RTMP_VERSION)
        body->len = 0;
}

static int keep(struct opening *opening, const void *data, size_t len)
{
    size_t used = opening->body->len;
    size_t room = opening->body->capacity;
    if (used + len > room &&
        cv_block_reserve(&opening->body, used + len > 2 * room ? used + len : 2 * room) != CV_OK)
        return CV_E_NOMEM;
    cv_block_append(opening->body, data, len);
    return CV_OK;
}

static void upgrade(struct opening *opening)
{
    struct cv_block *unread = NULL;
    struct cv_block *greeting = upgrade_head();
    struct cv_conn *conn = cv_web_release(opening->web, &unread);
    drop_filler(opening);
    int err = greeting ? CV_OK : CV_E_NOMEM;
    if (conn && err == CV_OK && unread)
        err = keep(opening, unread->data, unread->len);
    if (conn && err == CV_OK)
        err = cv_plain_upgrade(conn, &greeting, opening->body->data, opening->body->len);
    if (conn && err != CV_OK)
        cv_conn_free(conn);
    cv_block_unref(&greeting);
    cv_block_unref(&unread);
    opening_free(opening);
}

static void upgrade_or_refuse(struct opening *opening)
{
    struct cv_web *web = opening->web;
    if (cv_client_adopt(cv_web_conn(web), cv_web_head(web))) {
        upgrade(opening);
        return;
    }
    opening_free(opening);
    cv_web_answer_text(web, 503, too_many);
}

// ---- the request --------------------------------------------------------------------------------

static void on_body(void *arg, const uint8_t *data, size_t len)
{
    struct opening *opening = arg;
    struct cv_web *web = opening->web;
    if (keep(opening, data, len) == CV_OK)
        return;
    opening_free(opening);
    cv_web_abort(web, CV_E_NOMEM, "no memory for the body");
}

static void on_end(void *arg)
{
    struct opening *opening = arg;
    struct cv_web *web = opening->web;
    struct cv_block *body = opening->body;
    bool speaks = body->len && body->data[0] == RTMP_VERSION;
    if (opening->upgrades && (speaks || body->len <= 1)) {
        upgrade_or_refuse(opening);
    } else if (opening->shakes_hands && speaks) {
        answer_handshake(opening);
    } else {
        opening_free(opening);
        answer_id(web);
    }
}

static void on_gone(void *arg)
{
    opening_free(arg);
}

static const struct cv_responder offered = {
    .body = on_body,
    .end = on_end,
    .gone = on_gone,
};

static void on_plain_end(void *arg)
{
    answer_id(arg);
}

// Floods of these cost nothing.
static const struct cv_responder plain = {
    .end = on_plain_end,
};

static struct opening *opening_new(struct cv_web *web)
{
    struct opening *opening = cv_mem_zero(1, sizeof *opening);
    if (!opening)
        return NULL;
    opening->web = web;
    opening->body = cv_block_new(1);
    if (opening->body)
        return opening;
    cv_mem_free(opening);
    return NULL;
}

int cv_web_open_route(struct cv_web *web, const struct cv_http1_head *head)
{
    bool upgrades =
        head->minor > 0 && head->upgrade && cv_http1_has_token(head->fields, "upgrade", "rtmp");
    bool shakes_hands = cv_web_tunnel_culvert(head, "handshake");
    if (!upgrades && !shakes_hands) {
        cv_web_respond(web, &plain, web);
        cv_web_set_body_max(web, CV_LIMIT_TUNNEL_OPEN_BYTES);
        return 1;
    }
    struct opening *opening = opening_new(web);
    if (!opening)
        return CV_E_NOMEM;
    opening->upgrades = upgrades;
    opening->shakes_hands = shakes_hands;
    cv_web_respond(web, &offered, opening);
    cv_web_set_body_max(web, CV_LIMIT_TUNNEL_OPEN_BYTES);
    return 1;
}
