#include "client/target.h"

#include "base/check.h"
#include "base/url.h"

#include <stdio.h>
#include <string.h>

static const char place[] = "url";

// Schemes with TLS are refused before this is looked at.
static const enum cv_via vias[] = {
    [CV_SCHEME_RTMP] = CV_VIA_AUTO,
    [CV_SCHEME_RTMPT] = CV_VIA_RTMPT,
    [CV_SCHEME_WS] = CV_VIA_SOCKET,
    [CV_SCHEME_HTTP] = CV_VIA_AUTO,
};

enum { PORT = 80 }; // of each scheme without TLS

// ---- writing --------------------------------------------------------------------------------

// Appends to the string in `out`, for which there is room: the caps of the parts say so.
static void add(char *out, size_t size, struct cv_text text)
{
    size_t len = strlen(out);
    CV_ASSERT(text.len < size - len);
    if (text.len)
        memcpy(out + len, text.at, text.len);
    out[len + text.len] = '\0';
}

static struct cv_text without_query(struct cv_text text)
{
    return (struct cv_text){text.at, cv_text_find(text, '?')};
}

// The zone means something on this machine only, and is not sent (RFC 6874, section 4).
static void write_authority(struct cv_target *out, const struct cv_url *url)
{
    struct cv_text address = {url->host.at, cv_text_find(url->host, '%')};
    char port[8];
    snprintf(port, sizeof port, ":%u", url->port);
    add(out->authority, sizeof out->authority, cv_text_of(url->ipv6 ? "[" : ""));
    add(out->authority, sizeof out->authority, address);
    add(out->authority, sizeof out->authority, cv_text_of(url->ipv6 ? "]" : ""));
    if (url->port != PORT)
        add(out->authority, sizeof out->authority, cv_text_of(port));
}

static void write_tc_url(struct cv_target *out)
{
    add(out->tc_url, sizeof out->tc_url, cv_text_of("rtmp://"));
    add(out->tc_url, sizeof out->tc_url, cv_text_of(out->authority));
    add(out->tc_url, sizeof out->tc_url, cv_text_of("/"));
    add(out->tc_url, sizeof out->tc_url, cv_text_of(out->app));
}

// Keys travel in queries, and either part may have one.
static void write_display(struct cv_target *out, const struct cv_url *url)
{
    add(out->display, sizeof out->display, cv_text_of(cv_scheme_name(url->scheme)));
    add(out->display, sizeof out->display, cv_text_of("://"));
    add(out->display, sizeof out->display, cv_text_of(out->authority));
    add(out->display, sizeof out->display, cv_text_of("/"));
    add(out->display, sizeof out->display, without_query(cv_text_of(out->app)));
    if (out->name[0])
        add(out->display, sizeof out->display, cv_text_of("/"));
    add(out->display, sizeof out->display, without_query(cv_text_of(out->name)));
}

// ---- reading --------------------------------------------------------------------------------

int cv_target_parse(struct cv_target *out, struct cv_text text, struct cv_why *why)
{
    struct cv_url url;
    struct cv_text app, name;
    int err = cv_url_parse(&url, text, why);
    if (err != CV_OK)
        return err;
    if (url.tls)
        return cv_why_set(why, CV_E_URL, place, "%s:// needs TLS, which is not built in yet",
                          cv_scheme_name(url.scheme));
    cv_url_split(&url, &app, &name);
    if (app.len > CV_LIMIT_APP_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, place, "the app is longer than %d bytes",
                          CV_LIMIT_APP_BYTES);
    if (name.len > CV_LIMIT_NAME_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, place, "the stream name is longer than %d bytes",
                          CV_LIMIT_NAME_BYTES);
    *out = (struct cv_target){.port = url.port, .via = vias[url.scheme]};
    cv_url_host(&url, out->host);
    write_authority(out, &url);
    add(out->app, sizeof out->app, app);
    add(out->name, sizeof out->name, name);
    write_tc_url(out);
    write_display(out, &url);
    return CV_OK;
}
