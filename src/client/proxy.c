#include "client/proxy.h"

#include "base/ip_range.h"
#include "base/url.h"

#include <string.h>

static const char place[] = "proxy";
static const char scheme[] = "http://";

enum { SCHEME_BYTES = sizeof scheme - 1 };

// ---- the proxy's URL ------------------------------------------------------------------------

// Decoded, with a NUL. NULL, or what is wrong.
static const char *take_credential(struct cv_text encoded, char *out)
{
    size_t len = cv_text_percent_decode(out, CV_LIMIT_PROXY_CREDENTIAL_BYTES, encoded);
    if (len > CV_LIMIT_PROXY_CREDENTIAL_BYTES)
        return "user or password is too long";
    out[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)out[i] < 0x20 || out[i] == 0x7f)
            return "control character in user or password"; // RFC 7617, section 2
    }
    return NULL;
}

static const char *take_url(const struct cv_url *url, struct cv_proxy *out)
{
    if (url->scheme != CV_SCHEME_HTTP)
        return "only proxies with http:// can be used";
    if (url->path.len > 1 || url->query.len)
        return "something stands behind the proxy's address";
    if (url->password.len && !url->user.len)
        return "a password without a user";
    cv_url_host(url, out->host);
    out->port = url->port;
    const char *wrong = take_credential(url->user, out->user);
    if (!wrong)
        wrong = take_credential(url->password, out->password);
    if (!wrong && strchr(out->user, ':'))
        wrong = "a colon in the user's name"; // RFC 7617, section 2: it would end there
    return wrong;
}

static bool has_scheme(struct cv_text value)
{
    return cv_text_starts(cv_text_skip(value, cv_text_find(value, ':')), "://");
}

// `from`: where the value is from, for *why.
static int read_proxy(struct cv_proxy *out, struct cv_text value, const char *from,
                      struct cv_why *why)
{
    char text[CV_LIMIT_URL_BYTES + SCHEME_BYTES];
    struct cv_proxy proxy = {.port = 0};
    struct cv_url url;
    struct cv_why wrong = {.code = CV_OK};
    size_t len = has_scheme(value) ? 0 : SCHEME_BYTES;
    if (value.len > CV_LIMIT_URL_BYTES)
        return cv_why_set(why, CV_E_URL, place, "%s: too long", from);
    memcpy(text, scheme, len);
    memcpy(text + len, value.at, value.len);
    int err = cv_url_parse(&url, (struct cv_text){text, len + value.len}, &wrong);
    if (err != CV_OK)
        return cv_why_set(why, CV_E_URL, place, "%s: %s", from, wrong.text);
    const char *what = take_url(&url, &proxy);
    if (what)
        return cv_why_set(why, CV_E_URL, place, "%s: %s", from, what);
    *out = proxy;
    return CV_OK;
}

// ---- what is reached without it -------------------------------------------------------------

struct aim {
    struct cv_text name; // without the dot of the root
    struct cv_ip ip;     // family 0: it is a name
    uint16_t port;
};

static struct cv_text without_root(struct cv_text name)
{
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

static struct aim aim_of(const char *host, uint16_t port)
{
    struct cv_text name = cv_text_of(host);
    struct aim aim = {.name = without_root(name), .port = port};
    (void)cv_ip_parse((struct cv_text){host, cv_text_find(name, '%')}, &aim.ip);
    return aim;
}

// The domain itself, or a name below it.
static bool is_below(struct cv_text name, struct cv_text domain)
{
    if (!domain.len || name.len < domain.len)
        return false;
    size_t above = name.len - domain.len;
    return cv_text_equal_nocase(cv_text_skip(name, above), domain) &&
           (above == 0 || name.at[above - 1] == '.');
}

static bool is_loopback(const struct aim *aim)
{
    static const struct cv_ip_range ranges[] = {
        {.first = {.family = 4, .bytes = {127}}, .prefix_bits = 8},
        {.first = {.family = 6, .bytes = {[15] = 1}}, .prefix_bits = 128},
    };
    if (!aim->ip.family)
        return is_below(aim->name, cv_text_of("localhost")); // RFC 6761, section 6.3
    return cv_ip_range_has(&ranges[0], &aim->ip) || cv_ip_range_has(&ranges[1], &aim->ip);
}

// Takes the port off an entry. False: it is for another port than ours, or broken.
static bool take_port(struct cv_text *entry, uint16_t port)
{
    struct cv_text rest = *entry;
    struct cv_text host = cv_text_take(&rest, ':');
    if (cv_text_starts(*entry, "[")) {
        rest = cv_text_skip(*entry, 1);
        host = cv_text_take(&rest, ']');
        if (cv_text_starts(rest, ":"))
            rest = cv_text_skip(rest, 1);
    } else if (cv_text_find(rest, ':') < rest.len) {
        return true; // a bare IPv6 address
    }
    uint64_t number;
    *entry = host;
    return rest.len == 0 || (cv_text_u64(rest, 1, UINT16_MAX, &number) == CV_OK && number == port);
}

static bool covers(struct cv_text entry, const struct aim *aim)
{
    struct cv_ip_range range;
    if (!take_port(&entry, aim->port))
        return false;
    if (cv_text_is(entry, "*"))
        return true;
    if (aim->ip.family)
        return cv_ip_range_parse_loose(entry, &range) == CV_OK && cv_ip_range_has(&range, &aim->ip);
    if (cv_text_starts(entry, "*."))
        entry = cv_text_skip(entry, 1);
    if (cv_text_starts(entry, "."))
        entry = cv_text_skip(entry, 1);
    return is_below(aim->name, without_root(entry));
}

// The next entry of a list with commas, blanks, or both; empty at its end.
static struct cv_text next_entry(struct cv_text *rest)
{
    static const char separators[] = ", \t\r\n";
    size_t len = 0;
    while (rest->len && strchr(separators, rest->at[0]))
        *rest = cv_text_skip(*rest, 1);
    while (len < rest->len && !strchr(separators, rest->at[len]))
        len++;
    struct cv_text entry = {rest->at, len};
    *rest = cv_text_skip(*rest, len);
    return entry;
}

static bool is_listed(const char *list, const struct aim *aim)
{
    struct cv_text rest = cv_text_of(list ? list : "");
    struct cv_text entry;
    while ((entry = next_entry(&rest)).len) {
        if (covers(entry, aim))
            return true;
    }
    return false;
}

// ---- the environment ------------------------------------------------------------------------

// The first of these variables that is set, and not to nothing; NULL: none is.
static const char *first_set(cv_getenv_fn *env, const char *const *names, const char **out_name)
{
    for (; *names; names++) {
        const char *value = env(*names);
        // In a CGI program it is what the client's header "Proxy" says: CVE-2016-5385.
        bool forged = strcmp(*names, "HTTP_PROXY") == 0 && env("REQUEST_METHOD");
        if (value && *value && !forged) {
            *out_name = *names;
            return value;
        }
    }
    return NULL;
}

static const char *const plain_names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY",
                                          NULL};
static const char *const secure_names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                           NULL};

// For one port of the server; names: the variables that say it.
static int find(struct cv_proxy *out, const char *const *names, const struct aim *aim,
                cv_getenv_fn *env, struct cv_why *why)
{
    static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};
    const char *name, *list_name;
    const char *value = first_set(env, names, &name);
    if (value && !is_loopback(aim) && !is_listed(first_set(env, exceptions, &list_name), aim))
        return read_proxy(out, cv_text_trim(cv_text_of(value)), name, why);
    return CV_OK;
}

int cv_proxies_find(struct cv_proxies *out, struct cv_text option, const struct cv_target *target,
                    cv_getenv_fn *env, struct cv_why *why)
{
    bool plain = target->security != CV_SECURITY_ONLY;
    bool secure = target->security != CV_SECURITY_PLAIN;
    const struct aim plain_aim = aim_of(target->host, target->port);
    const struct aim secure_aim = aim_of(target->host, target->secure_port);
    struct cv_proxies found = {.plain = {.port = 0}};
    struct cv_proxy named = {.port = 0};
    int err = CV_OK;
    option = cv_text_trim(option);
    if (option.len && !cv_text_is_nocase(option, "none"))
        err = read_proxy(&named, option, "the option for the proxy", why);
    if (plain)
        found.plain = named;
    if (secure)
        found.secure = named;
    if (plain && !option.len)
        err = find(&found.plain, plain_names, &plain_aim, env, why);
    if (secure && !option.len && err == CV_OK)
        err = find(&found.secure, secure_names, &secure_aim, env, why);
    if (err == CV_OK)
        *out = found;
    return err;
}

const struct cv_proxy *cv_proxies_first(const struct cv_proxies *proxies, enum cv_security security)
{
    return security == CV_SECURITY_ONLY ? &proxies->secure : &proxies->plain;
}
