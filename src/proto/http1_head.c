#include "proto/http1_head.h"

#include "base/check.h"
#include "base/limits.h"

#include <http_parser.h>
#include <string.h>

static const struct cv_http1_wrong fine = {0, NULL};

static struct cv_http1_wrong wrong(uint32_t status, const char *text)
{
    return (struct cv_http1_wrong){status, text};
}

// ---- the start line -------------------------------------------------------------------------

// "HTTP/1.1" and its like: exactly these eight bytes.
static struct cv_http1_wrong check_version(struct cv_text text)
{
    if (cv_text_is(text, "HTTP/1.1") || cv_text_is(text, "HTTP/1.0"))
        return fine;
    bool numbers = text.len == 8 && text.at[5] >= '0' && text.at[5] <= '9' && text.at[6] == '.' &&
                   text.at[7] >= '0' && text.at[7] <= '9';
    if (cv_text_starts(text, "HTTP/") && numbers)
        return wrong(505, "version is neither HTTP/1.1 nor HTTP/1.0");
    return wrong(400, "no HTTP version");
}

// A '#' is not a part of a target (RFC 9112 3.2): servers differ in what they cut off there.
static struct cv_http1_wrong check_target(struct cv_text target)
{
    if (target.len == 0)
        return wrong(400, "no target");
    if (target.len > CV_LIMIT_HTTP_TARGET_BYTES)
        return wrong(414, "target is too long");
    for (size_t i = 0; i < target.len; i++) {
        char c = target.at[i];
        if (c == ' ' || c == '\t' || c == '#')
            return wrong(400, "blank or # in the target");
    }
    return fine;
}

struct request_line {
    struct cv_text method;
    struct cv_text target;
    struct cv_text version;
};

// "method SP target SP version", with exactly one blank between.
static struct request_line split_request_line(struct cv_text line)
{
    struct request_line parts;
    parts.method = cv_text_take(&line, ' ');
    parts.target = cv_text_take(&line, ' ');
    parts.version = line;
    return parts;
}

static struct cv_http1_wrong check_request_line(struct cv_text line)
{
    struct request_line parts = split_request_line(line);
    if (!cv_http1_is_token(parts.method))
        return wrong(400, "malformed method");
    struct cv_http1_wrong result = check_target(parts.target);
    return result.status ? result : check_version(parts.version);
}

// "HTTP/1.1 SP 200 SP reason"; the last blank may be missing together with the reason.
static struct cv_http1_wrong check_status_line(struct cv_text line)
{
    struct cv_http1_wrong result = check_version(cv_text_take(&line, ' '));
    if (result.status)
        return result;
    uint64_t status;
    if (cv_text_u64(cv_text_take(&line, ' '), 100, 599, &status) != CV_OK)
        return wrong(400, "malformed status");
    return fine;
}

struct cv_http1_wrong cv_http1_check_start(enum cv_http1_role role, struct cv_text line)
{
    return role == CV_HTTP1_REQUESTS ? check_request_line(line) : check_status_line(line);
}

// ---- the other lines ------------------------------------------------------------------------

bool cv_http1_is_fold(struct cv_text line)
{
    return cv_text_starts(line, " ") || cv_text_starts(line, "\t");
}

// Fields on which the framing depends, or who is meant: they are never folded, and no name that
// only looks like one of them to some servers ("Content_Length") passes.
static const char *const exact_names[] = {
    "Content-Length", "Transfer-Encoding", "Host", "Connection", "Expect", "Upgrade", NULL,
};

static bool is_exact(struct cv_text name)
{
    size_t i = 0;
    while (exact_names[i] && !cv_http1_name_is(name, exact_names[i]))
        i++;
    return exact_names[i];
}

static bool is_lookalike(struct cv_text name)
{
    char copy[32];
    if (cv_text_find(name, '_') == name.len || name.len > sizeof copy)
        return false;
    for (size_t i = 0; i < name.len; i++)
        copy[i] = name.at[i] == '_' ? '-' : name.at[i];
    return is_exact((struct cv_text){copy, name.len});
}

struct cv_http1_wrong cv_http1_check_field(struct cv_text line, bool *folds)
{
    if (cv_http1_is_fold(line)) {
        bool allowed = *folds && cv_http1_trim(line).len;
        return allowed ? fine : wrong(400, "folded line where none may be");
    }
    size_t name_len = cv_text_find(line, ':');
    struct cv_text name = {line.at, name_len};
    if (name_len == line.len)
        return wrong(400, "header line without a colon");
    if (!cv_http1_is_token(name))
        return wrong(400, "malformed header name");
    if (is_lookalike(name))
        return wrong(400, "header name that only resembles a framing one");
    *folds = !is_exact(name);
    return fine;
}

// ---- http-parser ----------------------------------------------------------------------------

struct parse {
    struct cv_http1_head *head;
    struct cv_http1_field *room;
    bool complete;
};

static int on_status(http_parser *parser, const char *at, size_t len)
{
    struct parse *parse = parser->data;
    parse->head->reason = (struct cv_text){at, len};
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
    struct parse *parse = parser->data;
    parse->room[parse->head->fields.count].name = (struct cv_text){at, len};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct parse *parse = parser->data;
    parse->room[parse->head->fields.count++].value = cv_http1_trim((struct cv_text){at, len});
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct parse *parse = parser->data;
    parse->complete = true;
    return 1; // no body: where it ends is decided here and not in the parser
}

static struct cv_http1_wrong run_parser(http_parser *parser, struct cv_text text)
{
    static const http_parser_settings settings = {
        .on_status = on_status,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_complete,
    };
    size_t used = http_parser_execute(parser, &settings, text.at, text.len);
    enum http_errno code = HTTP_PARSER_ERRNO(parser);
    if (code == HPE_INVALID_METHOD)
        return wrong(501, "unknown method");
    if (code != HPE_OK)
        return wrong(400, http_errno_description(code));
    const struct parse *parse = parser->data;
    if (!parse->complete || used != text.len)
        return wrong(400, "head ends in an unexpected place");
    return fine;
}

// ---- requests -------------------------------------------------------------------------------

struct method_row {
    const char *name;
    enum cv_http1_method method;
};

static enum cv_http1_method find_method(struct cv_text name)
{
    static const struct method_row rows[] = {
        {"GET", CV_METHOD_GET},     {"HEAD", CV_METHOD_HEAD},       {"POST", CV_METHOD_POST},
        {"PUT", CV_METHOD_PUT},     {"DELETE", CV_METHOD_DELETE},   {"OPTIONS", CV_METHOD_OPTIONS},
        {"PATCH", CV_METHOD_PATCH}, {"CONNECT", CV_METHOD_CONNECT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cv_text_is(name, rows[i].name))
            return rows[i].method;
    }
    return CV_METHOD_OTHER;
}

// "http://authority/path?query": scheme and authority are taken off *rest.
static struct cv_http1_wrong take_authority(struct cv_http1_head *head, struct cv_text *rest)
{
    head->scheme = cv_text_take(rest, ':');
    bool known = cv_http1_name_is(head->scheme, "http") || cv_http1_name_is(head->scheme, "https");
    if (!known || !cv_text_starts(*rest, "//"))
        return wrong(400, "target is neither a path nor an HTTP address");
    *rest = cv_text_skip(*rest, 2);
    size_t len = 0;
    while (len < rest->len && rest->at[len] != '/' && rest->at[len] != '?')
        len++;
    head->authority = (struct cv_text){rest->at, len};
    *rest = cv_text_skip(*rest, len);
    return cv_http1_is_authority(head->authority) ? fine : wrong(400, "malformed host in target");
}

static struct cv_http1_wrong split_target(struct cv_http1_head *head)
{
    struct cv_text rest = head->target;
    if (cv_text_is(rest, "*")) {
        head->path = rest;
        return head->method == CV_METHOD_OPTIONS ? fine : wrong(400, "target * without OPTIONS");
    }
    if (!cv_text_starts(rest, "/")) {
        struct cv_http1_wrong result = take_authority(head, &rest);
        if (result.status)
            return result;
    }
    size_t path_len = cv_text_find(rest, '?');
    head->path = path_len ? (struct cv_text){rest.at, path_len} : cv_text_of("/");
    if (path_len < rest.len)
        head->query = cv_text_skip(rest, path_len + 1);
    return fine;
}

// RFC 9112 3.2: exactly one, and well-formed; 1.0 may have none. An absolute target outweighs it.
static struct cv_http1_wrong check_host(struct cv_http1_head *head)
{
    size_t count = cv_http1_count(head->fields, "Host");
    struct cv_text host = cv_http1_find(head->fields, "Host");
    if (count > 1)
        return wrong(400, "more than one Host");
    if (count == 0 && head->minor > 0)
        return wrong(400, "no Host");
    if (count && !cv_http1_is_authority(host))
        return wrong(400, "malformed Host");
    head->host = head->authority.len ? head->authority : host;
    return fine;
}

static struct cv_http1_wrong check_expect(struct cv_http1_head *head)
{
    struct cv_text expect = cv_http1_find(head->fields, "Expect");
    if (!expect.at)
        return fine;
    if (!cv_http1_name_is(expect, "100-continue") || cv_http1_count(head->fields, "Expect") > 1)
        return wrong(417, "unknown expectation");
    head->expects_continue = head->minor > 0 && head->framing != CV_HTTP1_NONE;
    return fine;
}

static struct cv_http1_wrong finish_request(struct cv_http1_head *head, struct cv_text line)
{
    struct request_line parts = split_request_line(line);
    head->method_text = parts.method;
    head->target = parts.target;
    head->method = find_method(parts.method);
    if (head->method == CV_METHOD_CONNECT || cv_text_is(parts.method, "TRACE"))
        return wrong(501, "CONNECT and TRACE are not served");
    struct cv_http1_wrong result = split_target(head);
    if (!result.status)
        result = check_host(head);
    if (!result.status)
        result = check_expect(head);
    return result;
}

// ---- responses ------------------------------------------------------------------------------

// RFC 9112 6.3: which responses have no body, and which have one without an announced end.
static struct cv_http1_wrong finish_response(struct cv_http1_head *head, uint32_t status,
                                             struct cv_http1_asked asked)
{
    bool announced = head->framing != CV_HTTP1_NONE;
    bool tunnel = asked.method == CV_METHOD_CONNECT && status / 100 == 2;
    bool never = status < 200 || status == 204 || tunnel;
    head->status = status;
    if (status == 101 && (!asked.upgrade || !head->upgrade))
        return wrong(400, "101 that nobody asked for");
    head->upgrade = status == 101;
    // A server that announces a body where none can be may send one all the same.
    if (never && announced)
        head->keep_alive = false;
    if (never || status == 304 || asked.method == CV_METHOD_HEAD) {
        head->framing = CV_HTTP1_NONE;
        head->length = 0;
    } else if (!announced && !cv_http1_find(head->fields, "Content-Length").at) {
        head->framing = CV_HTTP1_UNTIL_CLOSE;
        head->keep_alive = false;
    }
    return fine;
}

// ---- both -----------------------------------------------------------------------------------

// Both lengths in one message, a length twice, a coding that is not exactly "chunked": what one
// program reads in one way and the next one in another.
static struct cv_http1_wrong check_framing(struct cv_http1_head *head)
{
    enum { LENGTH_DIGITS_MAX = 18 }; // below 2^63 whatever they are
    struct cv_text length = cv_http1_find(head->fields, "Content-Length");
    struct cv_text coding = cv_http1_find(head->fields, "Transfer-Encoding");
    if (length.at && coding.at)
        return wrong(400, "both Content-Length and Transfer-Encoding");
    if (cv_http1_count(head->fields, "Content-Length") > 1 ||
        cv_http1_count(head->fields, "Transfer-Encoding") > 1)
        return wrong(400, "Content-Length or Transfer-Encoding twice");
    if (coding.at && (head->minor == 0 || !cv_http1_name_is(coding, "chunked")))
        return wrong(400, "Transfer-Encoding is not exactly chunked, or in HTTP/1.0");
    if (length.at && (length.len > LENGTH_DIGITS_MAX ||
                      cv_text_u64(length, 0, UINT64_MAX, &head->length) != CV_OK))
        return wrong(400, "malformed Content-Length");
    if (coding.at)
        head->framing = CV_HTTP1_CHUNKED;
    else
        head->framing = head->length ? CV_HTTP1_LENGTH : CV_HTTP1_NONE;
    return fine;
}

static void read_connection(struct cv_http1_head *head)
{
    bool close = cv_http1_has_token(head->fields, "Connection", "close");
    bool keep = cv_http1_has_token(head->fields, "Connection", "keep-alive");
    head->keep_alive = !close && (keep || head->minor > 0);
    head->upgrade = head->minor > 0 && cv_http1_find(head->fields, "Upgrade").at &&
                    cv_http1_has_token(head->fields, "Connection", "upgrade");
}

struct cv_http1_wrong cv_http1_parse_head(struct cv_http1_head *out, enum cv_http1_role role,
                                          struct cv_http1_asked asked, struct cv_text text,
                                          struct cv_http1_field *room)
{
    struct cv_http1_head head = {.fields.at = room};
    struct parse parse = {.head = &head, .room = room};
    http_parser parser;
    http_parser_init(&parser, role == CV_HTTP1_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE);
    parser.data = &parse;
    struct cv_http1_wrong result = run_parser(&parser, text);
    if (result.status)
        return result;
    head.minor = parser.http_minor;
    read_connection(&head);
    result = check_framing(&head);
    if (!result.status) {
        struct cv_text line = {text.at, cv_text_find(text, '\r')};
        result = role == CV_HTTP1_REQUESTS ? finish_request(&head, line)
                                           : finish_response(&head, parser.status_code, asked);
    }
    if (!result.status)
        *out = head;
    return result;
}
