#include "proto/http1_fields.h"

#include "base/err.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// One of the bytes of `set`; strchr alone would also find its NUL.
static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

bool cv_http1_token_char(char c)
{
    return is_alnum(c) || is_one_of(c, "-!#$%&'*+.^_`|~");
}

bool cv_http1_value_char(char c)
{
    uint8_t byte = (uint8_t)c;
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

bool cv_http1_is_token(struct cv_text text)
{
    size_t len = 0;
    while (len < text.len && cv_http1_token_char(text.at[len]))
        len++;
    return len > 0 && len == text.len;
}

bool cv_http1_is_value(struct cv_text text)
{
    size_t len = 0;
    while (len < text.len && cv_http1_value_char(text.at[len]))
        len++;
    return len == text.len;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_name(struct cv_text a, struct cv_text b)
{
    size_t len = 0;
    while (len < a.len && len < b.len && lower(a.at[len]) == lower(b.at[len]))
        len++;
    return len == a.len && len == b.len;
}

bool cv_http1_name_is(struct cv_text name, const char *literal)
{
    return same_name(name, cv_text_of(literal));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct cv_text cv_http1_trim(struct cv_text text)
{
    while (text.len && is_blank(text.at[0]))
        text = cv_text_skip(text, 1);
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

// ---- fields ---------------------------------------------------------------------------------

struct cv_text cv_http1_find(struct cv_http1_fields fields, const char *name)
{
    for (size_t i = 0; i < fields.count; i++) {
        if (cv_http1_name_is(fields.at[i].name, name))
            return fields.at[i].value;
    }
    return (struct cv_text){NULL, 0};
}

size_t cv_http1_count(struct cv_http1_fields fields, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < fields.count; i++)
        count += cv_http1_name_is(fields.at[i].name, name);
    return count;
}

bool cv_http1_token_take(struct cv_text *list, struct cv_text *out_token)
{
    while (list->len) {
        struct cv_text token = cv_http1_trim(cv_text_take(list, ','));
        if (token.len) {
            *out_token = token;
            return true;
        }
    }
    return false;
}

static bool list_has(struct cv_http1_fields fields, const char *name, struct cv_text wanted)
{
    for (size_t i = 0; i < fields.count; i++) {
        struct cv_text token;
        struct cv_text list = fields.at[i].value;
        if (!cv_http1_name_is(fields.at[i].name, name))
            continue;
        while (cv_http1_token_take(&list, &token)) {
            if (same_name(token, wanted))
                return true;
        }
    }
    return false;
}

bool cv_http1_has_token(struct cv_http1_fields fields, const char *name, const char *token)
{
    return list_has(fields, name, cv_text_of(token));
}

static bool is_in(struct cv_text name, const char *const *table)
{
    while (*table && !cv_http1_name_is(name, *table))
        table++;
    return *table;
}

bool cv_http1_is_hop_by_hop(struct cv_http1_fields fields, struct cv_text name)
{
    static const char *const always[] = {
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Proxy-Connection",
        "Trailer",
        "Proxy-Authentication-Info",
        "Upgrade",
        "Transfer-Encoding",
        NULL,
    };
    static const char *const never[] = {"Host", "Content-Length", NULL};
    if (is_in(name, always))
        return true;
    return !is_in(name, never) && list_has(fields, "Connection", name);
}

// ---- authority ------------------------------------------------------------------------------

static size_t host_len(struct cv_text text)
{
    bool literal = cv_text_starts(text, "[");
    size_t len = literal ? 1 : 0;
    while (len < text.len &&
           (is_alnum(text.at[len]) || is_one_of(text.at[len], literal ? ":." : "-._~")))
        len++;
    if (!literal)
        return len;
    return len > 2 && len < text.len && text.at[len] == ']' ? len + 1 : 0;
}

bool cv_http1_is_authority(struct cv_text text)
{
    size_t len = host_len(text);
    if (len == 0)
        return false;
    struct cv_text port = cv_text_skip(text, len);
    if (port.len == 0 || cv_text_is(port, ":"))
        return true;
    uint64_t number;
    return port.at[0] == ':' && cv_text_u64(cv_text_skip(port, 1), 0, UINT16_MAX, &number) == CV_OK;
}

// ---- hosts ------------------------------------------------------------------------------------

static struct cv_text without_port(struct cv_text authority)
{
    bool ipv6 = cv_text_starts(authority, "[");
    authority.len = cv_text_find(authority, ipv6 ? ']' : ':');
    return authority;
}

bool cv_http1_leads_elsewhere(struct cv_text location, struct cv_text authority)
{
    struct cv_text scheme = {location.at, cv_text_find(location, ':')};
    bool http = cv_text_is_nocase(scheme, "http") || cv_text_is_nocase(scheme, "https");
    struct cv_text rest = http ? cv_text_skip(location, scheme.len + 1) : location;
    if (!cv_text_starts(rest, "//"))
        return false;
    rest = cv_text_skip(rest, 2);
    size_t len = 0;
    while (len < rest.len && !strchr("/?#", rest.at[len]))
        len++;
    rest.len = len;
    return !cv_text_equal_nocase(without_port(rest), without_port(authority));
}
