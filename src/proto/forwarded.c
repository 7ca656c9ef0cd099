#include "proto/forwarded.h"

#include "base/err.h"
#include "base/limits.h"

// Takes what stands behind the last comma off *list, without blanks; the comma too.
static struct cv_text take_last(struct cv_text *list)
{
    size_t start = list->len;
    while (start && list->at[start - 1] != ',')
        start--;
    struct cv_text last = cv_text_trim(cv_text_skip(*list, start));
    list->len = start ? start - 1 : 0;
    return last;
}

static bool is_port(struct cv_text text)
{
    uint64_t port;
    return cv_text_u64(text, 0, UINT16_MAX, &port) == CV_OK;
}

// "[v6]" or "[v6]:port".
static int parse_bracketed(struct cv_text text, struct cv_ip *out)
{
    struct cv_text rest = cv_text_skip(text, 1);
    size_t end = cv_text_find(rest, ']');
    if (end == rest.len)
        return CV_E_SYNTAX;
    struct cv_text host = {rest.at, end};
    rest = cv_text_skip(rest, end + 1);
    bool port = rest.len && rest.at[0] == ':' && is_port(cv_text_skip(rest, 1));
    bool v6 = cv_text_find(host, ':') < host.len;
    return v6 && (port || rest.len == 0) ? cv_ip_parse(host, out) : CV_E_SYNTAX;
}

static int parse_hop(struct cv_text text, struct cv_ip *out)
{
    if (cv_text_starts(text, "["))
        return parse_bracketed(text, out);
    struct cv_text rest = text;
    struct cv_text host = cv_text_take(&rest, ':');
    bool with_port = cv_text_find(host, '.') < host.len && is_port(rest);
    return cv_ip_parse(with_port ? host : text, out);
}

// On the way back from the socket to the client.
struct walk {
    struct cv_ip client; // so far
    int hops;            // that may still be looked at
    cv_ip_trusted_fn *trusted;
    void *arg;
};

// Goes back through one list. False: the walk is over.
static bool walk_back(struct walk *walk, struct cv_text list)
{
    while (list.len) {
        if (walk->hops-- <= 0 || !walk->trusted(walk->arg, &walk->client))
            return false;
        struct cv_text hop = take_last(&list);
        if (hop.len && parse_hop(hop, &walk->client) != CV_OK)
            return false;
    }
    return true;
}

static struct walk walk_from(const struct cv_ip *peer, cv_ip_trusted_fn *trusted, void *arg)
{
    return (struct walk){
        .client = *peer, .hops = CV_LIMIT_FORWARDED_HOPS, .trusted = trusted, .arg = arg};
}

struct cv_ip cv_forwarded_client(struct cv_text list, const struct cv_ip *peer,
                                 cv_ip_trusted_fn *trusted, void *arg)
{
    struct walk walk = walk_from(peer, trusted, arg);
    walk_back(&walk, list);
    return walk.client;
}

struct cv_ip cv_forwarded_client_of(struct cv_http1_fields fields, const struct cv_ip *peer,
                                    cv_ip_trusted_fn *trusted, void *arg)
{
    struct walk walk = walk_from(peer, trusted, arg);
    for (size_t i = fields.count; i-- > 0;) {
        if (cv_http1_name_is(fields.at[i].name, "X-Forwarded-For") &&
            !walk_back(&walk, fields.at[i].value))
            break;
    }
    return walk.client;
}

enum cv_forwarded_scheme cv_forwarded_scheme_of(struct cv_text value)
{
    struct cv_text last = take_last(&value);
    if (cv_text_is_nocase(last, "https") || cv_text_is_nocase(last, "wss"))
        return CV_FORWARDED_HTTPS;
    if (cv_text_is_nocase(last, "http") || cv_text_is_nocase(last, "ws"))
        return CV_FORWARDED_HTTP;
    return CV_FORWARDED_NONE;
}
