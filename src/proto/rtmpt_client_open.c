#include "proto/rtmpt_client_state.h"

#include <string.h>

#include "base/check.h"
#include "proto/handshake.h"
#include "proto/http1_fields.h"

// ---- what kind of answer ----------------------------------------------------------------------

static bool starts_nocase(struct cv_text text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && cv_text_is_nocase((struct cv_text){text.at, len}, prefix);
}

static bool is_html_type(const struct cv_http1_head *head)
{
    struct cv_text type = cv_http1_header(head, "Content-Type");
    return starts_nocase(type, "text/html") || starts_nocase(type, "application/xhtml");
}

static bool is_ours(const struct cv_http1_head *head)
{
    struct cv_text value = cv_http1_header(head, "Culvert");
    return cv_text_is(cv_text_trim(cv_text_take(&value, ';')), "1");
}

static struct cv_text realm_of(const struct cv_http1_head *head)
{
    if (head->status == 407)
        return cv_http1_header(head, "Proxy-Authenticate");
    return head->status == 401 ? cv_http1_header(head, "WWW-Authenticate") : (struct cv_text){0};
}

static int read_head(struct cv_rtmpt_client *t, const struct cv_http1_head *head)
{
    struct answer *answer = &t->answer;
    answer->status = head->status;
    answer->ours = is_ours(head);
    answer->html = is_html_type(head);
    answer->location = cv_http1_header(head, "Location");
    answer->realm = realm_of(head);
    struct cv_text host = {(const char *)t->host->data, t->host->len};
    answer->elsewhere = answer->location.at && cv_http1_leads_elsewhere(answer->location, host);
    answer->page = head->status != 101 && (head->status != 200 || answer->html);
    t->slots[CV_RTMPT_UP].stays = head->keep_alive;
    if (head->status == 101 && !cv_http1_has_token(head->fields, "Upgrade", "rtmp"))
        return cv__tunnel_fail(t, CV_E_HTTP, "upgraded to something else than RTMP");
    return GO_ON;
}

// ---- 101 --------------------------------------------------------------------------------------

static int upgraded(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct slot *slot = &t->slots[CV_RTMPT_UP];
    if (t->errands[0].written < t->errands[0].len)
        return cv__tunnel_fail(t, CV_E_HTTP, "upgraded before the request was complete");
    struct cv_rd rest = cv_http1_unread(slot->http);
    *out = (struct cv_rtmpt_client_event){
        .type = CV_RTMPT_CLIENT_UPGRADED,
        .ours = t->answer.ours,
        .status = 101,
        .data = rest.at,
        .len = cv_rd_left(&rest),
    };
    cv__tunnel_drop_pending(t);
    cv__tunnel_pop(t);
    t->fed = false;
    t->stage = RAW;
    return EVENT;
}

// ---- a page -----------------------------------------------------------------------------------

static int show(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct answer *answer = &t->answer;
    *out = (struct cv_rtmpt_client_event){
        .type = CV_RTMPT_CLIENT_ANSWER,
        .ours = answer->ours,
        .status = answer->status,
        .elsewhere = answer->elsewhere,
        .html = answer->html,
        .location = answer->location,
        .realm = answer->realm,
        .data = (const uint8_t *)answer->first,
        .len = answer->len,
    };
    t->last_told = true;
    t->fed = false;
    t->stage = OVER;
    return EVENT;
}

static bool looks_like_html(struct cv_text body)
{
    while (body.len && strchr(" \t\r\n", body.at[0]) && body.at[0])
        body = cv_text_skip(body, 1);
    return starts_nocase(body, "<!doctype html") || starts_nocase(body, "<html") ||
           starts_nocase(body, "<head") || starts_nocase(body, "<body") ||
           starts_nocase(body, "<script") || starts_nocase(body, "<meta");
}

static size_t collect(struct answer *answer, struct cv_text body)
{
    size_t room = sizeof answer->first - answer->len;
    size_t len = body.len < room ? body.len : room;
    memcpy(answer->first + answer->len, body.at, len);
    answer->len += len;
    return len;
}

static int show_page(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct cv_text first = {t->answer.first, t->answer.len};
    t->answer.html = t->answer.html || looks_like_html(first);
    return show(t, out);
}

// ---- a session --------------------------------------------------------------------------------

// 1 to 63 visible characters that keep a path whole; blanks behind them are cut.
static int take_id(struct cv_rtmpt_client *t)
{
    struct cv_text id = {t->answer.first, t->answer.len};
    while (id.len && id.at[id.len - 1] && strchr(" \t\r\n", id.at[id.len - 1]))
        id.len--;
    if (id.len == 0 || id.len > CV_LIMIT_TUNNEL_ID_BYTES)
        return cv__tunnel_fail(t, CV_E_SYNTAX, "a session's id has 1 to 63 characters");
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        if (c <= ' ' || c > '~' || strchr("/?#%", c))
            return cv__tunnel_fail(t, CV_E_SYNTAX,
                                   "a session's id with a character of another kind");
    }
    memcpy(t->id, id.at, id.len);
    t->id[id.len] = '\0';
    return GO_ON;
}

static int opened(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    bool stays = t->slots[CV_RTMPT_UP].stays;
    int did = take_id(t);
    if (did != GO_ON)
        return did;
    t->stage = RUNNING;
    t->offered = false;
    t->two = t->answer.ours && !t->alone;
    t->single = !stays;
    t->pipe = t->answer.ours ? PIPE_YES : PIPE_UNKNOWN;
    if (!stays || t->depth_max == 1)
        t->pipe = PIPE_NO;
    t->depth = t->depth_max;
    *out = (struct cv_rtmpt_client_event){
        .type = CV_RTMPT_CLIENT_OPENED, .ours = t->answer.ours, .status = 200};
    return EVENT;
}

// Behind the id, a server of ours may answer the handshake that /open carried; the answer ends with
// the reply.
static int opened_with_more(struct cv_rtmpt_client *t, struct cv_text body,
                            struct cv_rtmpt_client_event *out)
{
    int did = opened(t, out);
    if (did != EVENT)
        return did;
    out->taken = true;
    t->eager = t->errands[0].body->len > CV_HANDSHAKE_BYTES;
    cv__tunnel_drop_pending(t);
    t->errands[0].polled = true;
    t->rest = cv_rd_over(body.at, body.len);
    return EVENT;
}

static bool may_be_page(const struct answer *answer)
{
    size_t at = 0;
    while (at < answer->len && answer->first[at] && strchr(" \t\r\n", answer->first[at]))
        at++;
    return at < answer->len && answer->first[at] == '<';
}

// What the id's line takes of the body. Only where more may follow does its LF end it.
static size_t line_len(const struct cv_rtmpt_client *t, struct cv_text body)
{
    if (!t->answer.ours || !t->errands[0].body)
        return body.len;
    size_t lf = cv_text_find(body, '\n');
    return lf < body.len ? lf + 1 : body.len;
}

static bool is_complete(const struct answer *answer)
{
    return answer->len && answer->first[answer->len - 1] == '\n';
}

static int read_id(struct cv_rtmpt_client *t, struct cv_text body,
                   struct cv_rtmpt_client_event *out)
{
    struct answer *answer = &t->answer;
    bool shakes = answer->ours && t->errands[0].body;
    size_t len = shakes && is_complete(answer) ? 0 : line_len(t, body);
    if (collect(answer, (struct cv_text){body.at, len}) < len && !may_be_page(answer))
        return cv__tunnel_fail(t, CV_E_SYNTAX, "a session's id without an end");
    struct cv_text more = cv_text_skip(body, len);
    answer->page = may_be_page(answer);
    if (answer->page) {
        collect(answer, more);
        return answer->len < sizeof answer->first ? GO_ON : show_page(t, out);
    }
    return more.len ? opened_with_more(t, more, out) : GO_ON;
}

// ---- events -----------------------------------------------------------------------------------

static int read_body(struct cv_rtmpt_client *t, struct cv_text body,
                     struct cv_rtmpt_client_event *out)
{
    if (!t->answer.page)
        return read_id(t, body, out);
    collect(&t->answer, body);
    return t->answer.len < sizeof t->answer.first ? GO_ON : show_page(t, out);
}

static int read_end(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    struct slot *slot = &t->slots[CV_RTMPT_UP];
    if (t->answer.status == 101)
        return upgraded(t, out);
    if (t->answer.page)
        return show_page(t, out);
    int did = opened(t, out);
    if (did != EVENT)
        return did;
    slot->replies++;
    slot->spent = !slot->stays;
    t->errands[0].answered = true;
    return EVENT;
}

int cv__tunnel_read_open(struct cv_rtmpt_client *t, const struct cv_http1_event *event,
                         struct cv_rtmpt_client_event *out)
{
    switch (event->type) {
    case CV_HTTP1_HEAD:
        return read_head(t, event->head);
    case CV_HTTP1_BODY:
        return read_body(t, event->body, out);
    case CV_HTTP1_END:
        return read_end(t, out);
    case CV_HTTP1_INTERIM:
        return GO_ON;
    }
    CV_UNREACHABLE();
}

int cv__tunnel_open_lost(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out)
{
    int code = t->slots[CV_RTMPT_UP].end_code;
    if (t->answer.page)
        return show_page(t, out);
    return cv__tunnel_fail(t, code == CV_OK ? CV_E_CLOSED : code,
                           "the connection has ended before /open was answered");
}
