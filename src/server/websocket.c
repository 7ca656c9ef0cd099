#include "server/websocket.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "proto/http1_write.h"
#include "proto/ws_handshake.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/web.h"
#include "server/worker.h"

#include <string.h>

// A request on its way to become something else.
struct opening {
    struct cv_web *web;
    const struct cv_websocket_heir *heir;
    void *arg;            // the heir's
    struct cv_block *out; // the 101
    size_t sent;          // of it
};

static void drop_arg(const struct cv_websocket_heir *heir, void *arg)
{
    if (heir->gone)
        heir->gone(arg);
}

static void opening_free(struct opening *opening)
{
    cv_block_unref(&opening->out);
    cv_mem_free(opening);
}

static void give_up(struct opening *opening)
{
    drop_arg(opening->heir, opening->arg);
    opening_free(opening);
}

// ---- the request ----------------------------------------------------------------------------

bool cv_websocket_is_asked(const struct cv_http1_head *head)
{
    return cv_http1_has_token(head->fields, "Upgrade", "websocket");
}

bool cv_websocket_offers(const struct cv_http1_head *head, const char *protocol)
{
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct cv_http1_field *field = &head->fields.at[i];
        struct cv_text list = field->value;
        struct cv_text token;
        if (!cv_http1_name_is(field->name, "Sec-WebSocket-Protocol"))
            continue;
        while (cv_http1_token_take(&list, &token)) {
            if (cv_text_is(token, protocol))
                return true;
        }
    }
    return false;
}

static size_t values_bytes(const struct cv_http1_head *head)
{
    size_t bytes = 0;
    for (size_t i = 0; i < head->fields.count; i++)
        bytes += head->fields.at[i].value.len + 2;
    return bytes;
}

// All values of this name, joined by ", ", behind what `room` holds.
static struct cv_text joined(const struct cv_http1_head *head, const char *name,
                             struct cv_block *room)
{
    const char *begin = (const char *)room->data + room->len;
    uint32_t before = room->len;
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct cv_http1_field *field = &head->fields.at[i];
        if (!cv_http1_name_is(field->name, name))
            continue;
        if (room->len > before)
            cv_block_append(room, ", ", 2);
        cv_block_append(room, field->value.at, field->value.len);
    }
    return (struct cv_text){begin, room->len - before};
}

// `room` has values_bytes, and lives as long as the request.
static struct cv_ws_request read_request(const struct cv_http1_head *head, struct cv_block *room)
{
    return (struct cv_ws_request){
        .get = head->method == CV_METHOD_GET && head->minor >= 1,
        .has_body = head->framing != CV_HTTP1_NONE,
        .upgrade = joined(head, "Upgrade", room),
        .connection = joined(head, "Connection", room),
        .version = joined(head, "Sec-WebSocket-Version", room),
        .key = joined(head, "Sec-WebSocket-Key", room),
        .protocol = joined(head, "Sec-WebSocket-Protocol", room),
    };
}

// NO cannot be: the caller has looked.
static enum cv_ws_verdict judge(const struct cv_http1_head *head, struct cv_ws_answer *out,
                                struct cv_why *why)
{
    struct cv_block *room = cv_block_new(values_bytes(head));
    if (!room)
        return CV_WS_NOT_AVAILABLE;
    struct cv_ws_request request = read_request(head, room);
    enum cv_ws_verdict verdict = cv_ws_judge(&request, &cv_crypto_openssl, out, why);
    cv_block_unref(&room);
    CV_ASSERT(verdict != CV_WS_NO);
    return verdict;
}

// ---- no -------------------------------------------------------------------------------------

// A 426 names what would do (RFC 6455, 4.2.2; RFC 9110, 15.5.22).
static void refuse(struct cv_web *web, enum cv_ws_verdict verdict, const char *why)
{
    static const struct cv_http1_pair version[] = {
        {"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
    struct cv_http1_answer answer = {
        .status = 400, .type = "text/plain; charset=utf-8", .body = why, .len = strlen(why)};
    if (verdict == CV_WS_NOT_AVAILABLE)
        answer.status = 503;
    if (verdict == CV_WS_OTHER_VERSION) {
        answer.status = 426;
        answer.fields = version;
        answer.field_count = sizeof version / sizeof version[0];
    }
    cv_web_answer(web, &answer);
}

// ---- yes ------------------------------------------------------------------------------------

static struct cv_block *write_switch(const struct cv_ws_answer *answer)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    cv_http1_write_status(&wr, 101, (struct cv_text){0});
    cv_http1_write_header(&wr, "Upgrade", "websocket");
    cv_http1_write_header(&wr, "Connection", "Upgrade");
    cv_http1_write_header(&wr, "Sec-WebSocket-Accept", answer->accept);
    if (answer->protocol)
        cv_http1_write_header(&wr, "Sec-WebSocket-Protocol", answer->protocol);
    cv_http1_write_head_end(&wr);
    return cv_wr_take(&wr);
}

static void hand_over(struct opening *opening)
{
    struct cv_block *unread = NULL;
    struct cv_conn *conn = cv_web_release(opening->web, &unread);
    if (!conn) {
        give_up(opening);
        return;
    }
    const uint8_t *data = unread ? unread->data : NULL;
    if (opening->heir->open(opening->arg, conn, data, unread ? unread->len : 0) != CV_OK)
        cv_conn_free(conn);
    cv_block_unref(&unread);
    opening_free(opening);
}

static void write_out(void *arg)
{
    struct opening *opening = arg;
    struct cv_block *out = opening->out;
    struct cv_gather *gather = &cv_web_conn(opening->web)->worker->gather;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, out->data + opening->sent, out->len - opening->sent);
    int sent = cv_web_write(opening->web, gather);
    opening->sent += sent > 0 ? (size_t)sent : 0;
    if (opening->sent == out->len) {
        hand_over(opening);
    } else if (sent < 0 && sent != CV_E_AGAIN) {
        cv_web_abort(opening->web, sent, "the answer to a WebSocket's opening");
        give_up(opening);
    }
}

static void on_gone(void *arg)
{
    give_up(arg);
}

// No body: requests that have one are refused.
static const struct cv_responder responder = {
    .end = write_out,
    .writable = write_out,
    .gone = on_gone,
};

static void log_opening(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "ws.open");
    cv_conn_log_fields(cv_web_conn(web), &line);
    cv_line_str(&line, "path", head->path.at, head->path.len);
    cv_line_end(&line);
}

static int accept_request(struct cv_web *web, const struct cv_ws_answer *answer,
                          const struct cv_websocket_heir *heir, void *arg)
{
    struct opening *opening = cv_mem_zero(1, sizeof *opening);
    if (!opening)
        return CV_E_NOMEM;
    *opening = (struct opening){.web = web, .heir = heir, .arg = arg};
    opening->out = write_switch(answer);
    if (!opening->out) {
        opening_free(opening);
        return CV_E_NOMEM;
    }
    cv_web_respond(web, &responder, opening);
    return 1;
}

int cv_websocket_open(struct cv_web *web, const struct cv_http1_head *head,
                      const struct cv_websocket_heir *heir, void *arg)
{
    struct cv_ws_answer answer;
    struct cv_why why = {.text = "no memory"};
    enum cv_ws_verdict verdict = judge(head, &answer, &why);
    if (verdict != CV_WS_YES) {
        drop_arg(heir, arg);
        refuse(web, verdict, why.text);
        return 1;
    }
    if (!cv_client_adopt(cv_web_conn(web), head)) {
        drop_arg(heir, arg);
        refuse(web, CV_WS_NOT_AVAILABLE, "Too many connections from this address.\n");
        return 1;
    }
    log_opening(web, head);
    int taken = accept_request(web, &answer, heir, arg);
    if (taken < 0)
        drop_arg(heir, arg);
    return taken;
}
