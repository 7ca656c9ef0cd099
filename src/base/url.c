#include "base/url.h"

#include "base/check.h"
#include "base/limits.h"

#include <string.h>

struct scheme_row {
    const char *name;
    bool tls;
    uint16_t port;
};

// Port 80 for rtmp, where others say 1935: it is the one that firewalls leave open.
static const struct scheme_row schemes[] = {
    [CV_SCHEME_RTMP] = {"rtmp", false, 80},   [CV_SCHEME_RTMPT] = {"rtmpt", false, 80},
    [CV_SCHEME_RTMPS] = {"rtmps", true, 443}, [CV_SCHEME_RTMPTS] = {"rtmpts", true, 443},
    [CV_SCHEME_WS] = {"ws", false, 80},       [CV_SCHEME_WSS] = {"wss", true, 443},
    [CV_SCHEME_HTTP] = {"http", false, 80},   [CV_SCHEME_HTTPS] = {"https", true, 443},
};

enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

const char *cv_scheme_name(enum cv_scheme scheme)
{
    CV_ASSERT((size_t)scheme < SCHEMES);
    return schemes[scheme].name;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Letters, digits and the bytes of `others`, nothing else. There is no NUL: see is_graphic.
static bool is_made_of(struct cv_text text, const char *others)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!is_letter(c) && !is_digit(c) && !strchr(others, c))
            return false;
    }
    return true;
}

static bool is_graphic(struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.at[i];
        if (byte <= 0x20 || byte == 0x7f)
            return false;
    }
    return true;
}

static bool is_scheme(struct cv_text text, const char *name)
{
    size_t len = strlen(name);
    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char lower = (char)(is_letter(text.at[i]) ? text.at[i] | 0x20 : text.at[i]);
        if (lower != name[i])
            return false;
    }
    return true;
}

// The parsers below step over what they read in *rest and return NULL, or say what is wrong.

static const char *parse_scheme(struct cv_url *url, struct cv_text *rest)
{
    struct cv_text name = cv_text_take(rest, ':');
    if (!cv_text_starts(*rest, "//"))
        return "no scheme://";
    *rest = cv_text_skip(*rest, 2);
    for (size_t i = 0; i < SCHEMES; i++) {
        if (!is_scheme(name, schemes[i].name))
            continue;
        url->scheme = (enum cv_scheme)i;
        url->tls = schemes[i].tls;
        url->port = schemes[i].port;
        return NULL;
    }
    return "unknown scheme";
}

// Up to the last '@': passwords are often typed unencoded.
static void parse_user(struct cv_url *url, struct cv_text *rest)
{
    size_t len = rest->len;
    while (len && rest->at[len - 1] != '@')
        len--;
    if (len == 0)
        return;
    url->password = (struct cv_text){rest->at, len - 1};
    url->user = cv_text_take(&url->password, ':');
    *rest = cv_text_skip(*rest, len);
}

// The zone (RFC 6874 writes its '%' as "%25") goes to the resolver, which knows the interfaces.
static bool is_ipv6(struct cv_text literal)
{
    struct cv_text zone = literal;
    struct cv_text address = cv_text_take(&zone, '%');
    struct cv_text behind = address;
    (void)cv_text_take(&behind, ':');
    if (cv_text_find(behind, ':') == behind.len)
        return false; // no second colon
    for (size_t i = 0; i < address.len; i++) {
        if (is_letter(address.at[i]) && (address.at[i] | 0x20) > 'f')
            return false;
    }
    return is_made_of(address, ":.") && is_made_of(zone, "-._~");
}

static const char *parse_host(struct cv_url *url, struct cv_text *rest)
{
    url->ipv6 = cv_text_starts(*rest, "[");
    if (url->ipv6) {
        size_t end = cv_text_find(*rest, ']');
        if (end == rest->len)
            return "no ] behind the IPv6 address";
        url->host = (struct cv_text){rest->at + 1, end - 1};
        *rest = cv_text_skip(*rest, end + 1);
    } else {
        url->host = (struct cv_text){rest->at, cv_text_find(*rest, ':')};
        *rest = cv_text_skip(*rest, url->host.len);
    }
    if (url->host.len == 0)
        return "no host";
    if (url->host.len > CV_LIMIT_HOST_BYTES)
        return "host name is too long";
    if (url->ipv6 ? !is_ipv6(url->host) : !is_made_of(url->host, "-._"))
        return "malformed host";
    return NULL;
}

static const char *parse_port(struct cv_url *url, struct cv_text rest)
{
    if (rest.len == 0)
        return NULL;
    uint64_t port;
    if (rest.at[0] != ':' || cv_text_u64(cv_text_skip(rest, 1), 1, UINT16_MAX, &port) != CV_OK)
        return "port is not a number from 1 to 65535";
    url->port = (uint16_t)port;
    url->port_given = true;
    return NULL;
}

static size_t authority_len(struct cv_text rest)
{
    size_t len = 0;
    while (len < rest.len && !strchr("/?#", rest.at[len]))
        len++;
    return len;
}

static const char *parse_url(struct cv_url *url, struct cv_text rest)
{
    if (!is_graphic(rest))
        return "blank or control character";
    const char *wrong = parse_scheme(url, &rest);
    if (wrong)
        return wrong;
    struct cv_text authority = {rest.at, authority_len(rest)};
    rest = cv_text_skip(rest, authority.len);
    if (cv_text_starts(rest, "#"))
        return "# behind the host";
    parse_user(url, &authority);
    wrong = parse_host(url, &authority);
    if (!wrong)
        wrong = parse_port(url, authority);
    url->query = rest;
    url->path = cv_text_take(&url->query, '?');
    return wrong;
}

int cv_url_parse(struct cv_url *out, struct cv_text text, struct cv_why *why)
{
    if (text.len > CV_LIMIT_URL_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, "url", "longer than %d bytes", CV_LIMIT_URL_BYTES);
    struct cv_url url = {.port = 0};
    const char *wrong = parse_url(&url, text);
    if (wrong)
        return cv_why_set(why, CV_E_URL, "url", "%s", wrong);
    *out = url;
    return CV_OK;
}

void cv_url_host(const struct cv_url *url, char *out)
{
    struct cv_text zone = url->host;
    struct cv_text address = cv_text_take(&zone, '%');
    CV_ASSERT(url->host.len > 0 && url->host.len <= CV_LIMIT_HOST_BYTES);
    if (zone.len > 2 && cv_text_starts(zone, "25"))
        zone = cv_text_skip(zone, 2);
    size_t len = address.len;
    memcpy(out, address.at, len);
    if (zone.len) {
        out[len++] = '%';
        memcpy(out + len, zone.at, zone.len);
        len += zone.len;
    }
    out[len] = '\0';
}

void cv_url_split(const struct cv_url *url, struct cv_text *out_app, struct cv_text *out_name)
{
    struct cv_text path = url->path;
    while (cv_text_starts(path, "/"))
        path = cv_text_skip(path, 1);
    const char *end = url->query.at + url->query.len;
    struct cv_text whole = {path.at, (size_t)(end - path.at)}; // path?query

    size_t first = cv_text_find(path, '/');
    size_t cut = cv_text_find(whole, '/');
    if (first < path.len) {
        size_t second = first + 1 + cv_text_find(cv_text_skip(path, first + 1), '/');
        cut = second < path.len ? second : first;
    }
    *out_app = (struct cv_text){whole.at, cut};
    *out_name = cv_text_skip(whole, cut < whole.len ? cut + 1 : cut);
}
