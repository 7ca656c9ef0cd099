#include "server/websocket.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "proto/http1_write.h"
#include "proto/ws_handshake.h"
#include "server/conn.h"
#include "server/web.h"
#include "server/worker.h"

#include <string.h>

// A request on its way to become something else, or to be refused.
struct opening {
    struct cv_web *web;
    const struct cv_websocket_heir *heir;
    void *arg;            // the heir's
    struct cv_block *out; // the answer
    size_t sent;          // of it
    bool accepted;
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

// ---- the answer -----------------------------------------------------------------------------

static void write_switch(struct cv_wr *wr, const struct cv_ws_answer *answer)
{
    cv_http1_write_status(wr, 101, (struct cv_text){0});
    cv_http1_write_header(wr, "Upgrade", "websocket");
    cv_http1_write_header(wr, "Connection", "Upgrade");
    cv_http1_write_header(wr, "Sec-WebSocket-Accept", answer->accept);
    if (answer->protocol)
        cv_http1_write_header(wr, "Sec-WebSocket-Protocol", answer->protocol);
    cv_http1_write_head_end(wr);
}

static uint32_t status_of(enum cv_ws_verdict verdict)
{
    if (verdict == CV_WS_OTHER_VERSION)
        return 426;
    return verdict == CV_WS_NOT_AVAILABLE ? 503 : 400;
}

// A 426 names what would do (RFC 6455, 4.2.2, and RFC 9110, 15.5.22).
static void write_refusal(struct cv_wr *wr, enum cv_ws_verdict verdict, const char *text)
{
    bool other = verdict == CV_WS_OTHER_VERSION;
    size_t len = strlen(text);
    cv_http1_write_status(wr, status_of(verdict), (struct cv_text){0});
    cv_http1_write_header(wr, "Connection", other ? "Upgrade, close" : "close");
    if (other) {
        cv_http1_write_header(wr, "Upgrade", "websocket");
        cv_http1_write_header(wr, "Sec-WebSocket-Version", "13");
    }
    cv_http1_write_header(wr, "Content-Type", "text/plain; charset=utf-8");
    cv_http1_write_length(wr, len + 1);
    cv_http1_write_head_end(wr);
    cv_wr_bytes(wr, text, len);
    cv_wr_u8(wr, '\n');
}

static void log_opening(const struct opening *opening, const struct cv_http1_head *head,
                        const struct cv_why *why)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "ws.open");
    cv_conn_log_fields(cv_web_conn(opening->web), &line);
    cv_line_str(&line, "path", head->path.at, head->path.len);
    if (!opening->accepted)
        cv_line_text(&line, "why", why->text);
    cv_line_end(&line);
}

static int prepare(struct opening *opening, const struct cv_http1_head *head)
{
    struct cv_block *room = cv_block_new(values_bytes(head));
    if (!room)
        return CV_E_NOMEM;
    struct cv_ws_request request = read_request(head, room);
    struct cv_ws_answer answer;
    struct cv_why why = {0};
    enum cv_ws_verdict verdict = cv_ws_judge(&request, &cv_crypto_openssl, &answer, &why);
    cv_block_unref(&room);
    CV_ASSERT(verdict != CV_WS_NO); // the caller has looked
    opening->accepted = verdict == CV_WS_YES;
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    if (opening->accepted)
        write_switch(&wr, &answer);
    else
        write_refusal(&wr, verdict, why.text);
    opening->out = cv_wr_take(&wr);
    log_opening(opening, head, &why);
    return opening->out ? CV_OK : wr.err;
}

// ---- the responder --------------------------------------------------------------------------

static void hand_over(struct opening *opening)
{
    struct cv_block *unread = NULL;
    struct cv_conn *conn = cv_web_release(opening->web, &unread);
    const uint8_t *data = unread ? unread->data : NULL;
    if (opening->heir->open(opening->arg, conn, data, unread ? unread->len : 0) != CV_OK)
        cv_conn_free(conn);
    cv_block_unref(&unread);
    opening_free(opening);
}

static void refuse(struct opening *opening)
{
    struct cv_web *web = opening->web;
    give_up(opening);
    cv_web_done(web, false);
}

static void write_out(void *arg)
{
    struct opening *opening = arg;
    struct cv_gather *gather = &cv_web_conn(opening->web)->worker->gather;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, opening->out->data + opening->sent, opening->out->len - opening->sent);
    int sent = cv_web_write(opening->web, gather);
    opening->sent += sent > 0 ? (size_t)sent : 0;
    if (opening->sent == opening->out->len) {
        (opening->accepted ? hand_over : refuse)(opening);
    } else if (sent < 0 && sent != CV_E_AGAIN) {
        struct cv_web *web = opening->web;
        give_up(opening);
        cv_web_abort(web, sent, "the answer to a WebSocket's opening");
    }
}

// The request is refused for having one.
static void ignore_body(void *arg, const uint8_t *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
}

static void on_gone(void *arg)
{
    give_up(arg);
}

static const struct cv_responder responder = {
    .body = ignore_body,
    .end = write_out,
    .writable = write_out,
    .gone = on_gone,
};

int cv_websocket_open(struct cv_web *web, const struct cv_http1_head *head,
                      const struct cv_websocket_heir *heir, void *arg)
{
    struct opening *opening = cv_mem_zero(1, sizeof *opening);
    if (!opening) {
        drop_arg(heir, arg);
        return CV_E_NOMEM;
    }
    *opening = (struct opening){.web = web, .heir = heir, .arg = arg};
    int err = prepare(opening, head);
    if (err != CV_OK) {
        give_up(opening);
        return err;
    }
    cv_web_respond(web, &responder, opening);
    return 1;
}
