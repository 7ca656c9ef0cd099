#include "proto/proxy_head.h"

#include "base/check.h"
#include "proto/http1_write.h"

// ---- names ----------------------------------------------------------------------------------

// Servers that hand headers to programs as variables (CGI) make one of '-' and '_': a client must
// not say with one what the other is dropped for.
static char plain(char c)
{
    if (c == '_')
        return '-';
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

// `name` begins with the literal, which is in lower case.
static bool begins(struct cv_text name, const char *literal)
{
    size_t i = 0;
    while (literal[i] && i < name.len && plain(name.at[i]) == literal[i])
        i++;
    return literal[i] == '\0';
}

static bool resembles(struct cv_text name, const char *literal)
{
    return name.len == cv_text_of(literal).len && begins(name, literal);
}

static bool is_in(struct cv_text name, const char *const *table)
{
    while (*table && !resembles(name, *table))
        table++;
    return *table;
}

// What says how long the body is, and what some parsers take for it: http-parser looks at the
// beginning of "Transfer-Encoding~" only.
static bool is_framing(struct cv_text name)
{
    return begins(name, "content-length") || begins(name, "transfer-encoding");
}

// What is written anew, or ends here. "Proxy" becomes the variable HTTP_PROXY in such programs.
static bool is_replaced(struct cv_text name)
{
    static const char *const names[] = {
        "host", "expect", "proxy", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", NULL,
    };
    return is_framing(name) || is_in(name, names);
}

// What tells the next server something about the client that only a proxy knows.
static bool is_claim(struct cv_text name)
{
    static const char *const names[] = {"forwarded", "x-real-ip", NULL};
    return begins(name, "x-forwarded-") || is_in(name, names);
}

// ---- requests -------------------------------------------------------------------------------

bool cv_proxy_upgrades(const struct cv_http1_head *request)
{
    struct cv_text token;
    struct cv_text list = cv_http1_find(request->fields, "Upgrade");
    bool lone = cv_http1_count(request->fields, "Upgrade") == 1;
    if (!request->upgrade || request->framing != CV_HTTP1_NONE || !lone)
        return false;
    bool any = false;
    while (cv_http1_token_take(&list, &token)) {
        if (begins(token, "h2") || begins(token, "http") || begins(token, "rtmp") ||
            begins(token, "tls"))
            return false;
        any = true;
    }
    return any;
}

bool cv_proxy_is_idempotent(const struct cv_http1_head *request)
{
    switch (request->method) {
    case CV_METHOD_GET:
    case CV_METHOD_HEAD:
    case CV_METHOD_PUT:
    case CV_METHOD_DELETE:
    case CV_METHOD_OPTIONS:
        return true;
    case CV_METHOD_OTHER:
    case CV_METHOD_POST:
    case CV_METHOD_PATCH:
    case CV_METHOD_CONNECT:
        return false;
    }
    CV_UNREACHABLE();
}

static void write_text(struct cv_wr *wr, struct cv_text text)
{
    cv_wr_bytes(wr, text.at, text.len);
}

static void write_literal(struct cv_wr *wr, const char *literal)
{
    write_text(wr, cv_text_of(literal));
}

// "POST /path?query HTTP/1.1": the target in origin form, whatever form it came in. The engine has
// checked all of its bytes.
static void write_start(struct cv_wr *wr, const struct cv_http1_head *request)
{
    write_text(wr, request->method_text);
    write_literal(wr, " ");
    write_text(wr, request->path);
    if (request->query.at) {
        write_literal(wr, "?");
        write_text(wr, request->query);
    }
    write_literal(wr, " HTTP/1.1\r\n");
}

// The values of all fields of this name, each with ", " behind it.
static void write_list(struct cv_wr *wr, struct cv_http1_fields fields, const char *name)
{
    for (size_t i = 0; i < fields.count; i++) {
        struct cv_text value = fields.at[i].value;
        if (!value.len || !cv_http1_name_is(fields.at[i].name, name))
            continue;
        write_text(wr, value);
        write_literal(wr, ", ");
    }
}

static void write_forwarded_for(struct cv_wr *wr, const struct cv_http1_head *request,
                                const struct cv_proxy_client *client)
{
    CV_ASSERT(client->peer.len && cv_http1_is_value(client->peer));
    write_literal(wr, "X-Forwarded-For: ");
    if (client->trusted)
        write_list(wr, request->fields, "X-Forwarded-For");
    write_text(wr, client->peer);
    write_literal(wr, "\r\n");
}

// The value that a trusted proxy gave, or ours.
static void write_claim(struct cv_wr *wr, const struct cv_http1_head *request, bool trusted,
                        const char *name, struct cv_text ours)
{
    struct cv_text theirs = cv_http1_find(request->fields, name);
    cv_http1_write_field(wr, cv_text_of(name), trusted && theirs.len ? theirs : ours);
}

static void write_request_fields(struct cv_wr *wr, const struct cv_http1_head *request,
                                 bool trusted)
{
    for (size_t i = 0; i < request->fields.count; i++) {
        struct cv_http1_field field = request->fields.at[i];
        if (is_replaced(field.name) || (!trusted && is_claim(field.name)) ||
            cv_http1_is_hop_by_hop(request->fields, field.name))
            continue;
        cv_http1_write_field(wr, field.name, field.value);
    }
}

// A method that usually has a body says that there is none: some servers answer 411 otherwise.
static void write_request_framing(struct cv_wr *wr, const struct cv_http1_head *request)
{
    bool usual = request->method == CV_METHOD_POST || request->method == CV_METHOD_PUT ||
                 request->method == CV_METHOD_PATCH;
    bool told = cv_http1_find(request->fields, "Content-Length").at;
    if (request->framing == CV_HTTP1_CHUNKED)
        cv_http1_write_header(wr, "Transfer-Encoding", "chunked");
    else if (request->framing == CV_HTTP1_LENGTH || usual || told)
        cv_http1_write_length(wr, request->length);
}

void cv_proxy_write_request(struct cv_wr *wr, const struct cv_http1_head *request,
                            const struct cv_proxy_client *client)
{
    struct cv_text host = request->host.len ? request->host : client->authority;
    CV_ASSERT(cv_http1_is_authority(host));
    write_start(wr, request);
    cv_http1_write_field(wr, cv_text_of("Host"), host);
    write_request_fields(wr, request, client->trusted);
    write_forwarded_for(wr, request, client);
    write_claim(wr, request, client->trusted, "X-Forwarded-Proto",
                cv_text_of(client->secure ? "https" : "http"));
    write_claim(wr, request, client->trusted, "X-Forwarded-Host", host);
    write_request_framing(wr, request);
    if (cv_proxy_upgrades(request)) {
        cv_http1_write_header(wr, "Connection", "Upgrade");
        cv_http1_write_field(wr, cv_text_of("Upgrade"), cv_http1_find(request->fields, "Upgrade"));
    }
    cv_http1_write_head_end(wr);
}

// ---- responses ------------------------------------------------------------------------------

enum cv_http1_framing cv_proxy_framing(const struct cv_http1_head *response, uint32_t minor)
{
    bool open = response->framing == CV_HTTP1_CHUNKED || response->framing == CV_HTTP1_UNTIL_CLOSE;
    if (!open)
        return response->framing;
    return minor > 0 ? CV_HTTP1_CHUNKED : CV_HTTP1_UNTIL_CLOSE;
}

static void write_response_fields(struct cv_wr *wr, const struct cv_http1_head *response)
{
    for (size_t i = 0; i < response->fields.count; i++) {
        struct cv_http1_field field = response->fields.at[i];
        if (is_framing(field.name) || cv_http1_is_hop_by_hop(response->fields, field.name))
            continue;
        cv_http1_write_field(wr, field.name, field.value);
    }
}

// Answers to HEAD and 304 tell the length of a body that does not follow.
static void write_response_framing(struct cv_wr *wr, const struct cv_http1_head *response,
                                   enum cv_http1_framing framing)
{
    struct cv_text length = cv_http1_find(response->fields, "Content-Length");
    bool never = response->status < 200 || response->status == 204;
    if (framing == CV_HTTP1_CHUNKED)
        cv_http1_write_header(wr, "Transfer-Encoding", "chunked");
    else if (framing == CV_HTTP1_LENGTH)
        cv_http1_write_length(wr, response->length);
    else if (framing == CV_HTTP1_NONE && length.at && !never)
        cv_http1_write_field(wr, cv_text_of("Content-Length"), length);
}

static void write_connection(struct cv_wr *wr, const struct cv_http1_head *response,
                             bool keep_alive)
{
    struct cv_text upgrade = cv_http1_find(response->fields, "Upgrade");
    bool names = upgrade.len && (response->upgrade || response->status == 426);
    if (names)
        cv_http1_write_field(wr, cv_text_of("Upgrade"), upgrade);
    if (names)
        cv_http1_write_header(wr, "Connection", keep_alive ? "Upgrade" : "Upgrade, close");
    else if (!keep_alive)
        cv_http1_write_header(wr, "Connection", "close");
}

void cv_proxy_write_response(struct cv_wr *wr, const struct cv_http1_head *response, uint32_t minor,
                             bool keep_alive)
{
    enum cv_http1_framing framing = cv_proxy_framing(response, minor);
    bool interim = response->status < 200;
    CV_ASSERT(!keep_alive || framing != CV_HTTP1_UNTIL_CLOSE);
    cv_http1_write_status(wr, response->status, response->reason);
    write_response_fields(wr, response);
    write_response_framing(wr, response, framing);
    write_connection(wr, response, keep_alive || interim);
    cv_http1_write_head_end(wr);
}
