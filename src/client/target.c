#include "client/target.h"

#include "base/check.h"
#include "base/url.h"

#include <stdio.h>
#include <string.h>

static const char place[] = "url";

static const enum cv_via vias[] = {
    [CV_SCHEME_RTMP] = CV_VIA_AUTO,   [CV_SCHEME_RTMPS] = CV_VIA_AUTO,
    [CV_SCHEME_RTMPT] = CV_VIA_RTMPT, [CV_SCHEME_RTMPTS] = CV_VIA_RTMPT,
    [CV_SCHEME_WS] = CV_VIA_SOCKET,   [CV_SCHEME_WSS] = CV_VIA_SOCKET,
    [CV_SCHEME_HTTP] = CV_VIA_AUTO,   [CV_SCHEME_HTTPS] = CV_VIA_AUTO,
};

enum { PORT_PLAIN = 80, PORT_SECURE = 443 }; // of all schemes without TLS, and with it

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

// An explicit port is one port, and the scheme says what it speaks.
static void choose_ports(struct cv_target *out, const struct cv_url *url)
{
    out->port = url->port;
    if (url->tls) {
        out->security = CV_SECURITY_ONLY;
        out->secure_port = url->port;
    } else if (!url->port_given) {
        out->security = CV_SECURITY_EITHER;
        out->secure_port = PORT_SECURE;
    }
}

// The zone means something on this machine only, and is not sent (RFC 6874, section 4).
static void write_authority(char *out, size_t size, const struct cv_url *url, uint16_t port,
                            uint16_t usual_port)
{
    struct cv_text address = {url->host.at, cv_text_find(url->host, '%')};
    char number[8];
    snprintf(number, sizeof number, ":%u", port);
    add(out, size, cv_text_of(url->ipv6 ? "[" : ""));
    add(out, size, address);
    add(out, size, cv_text_of(url->ipv6 ? "]" : ""));
    if (port != usual_port)
        add(out, size, cv_text_of(number));
}

static void write_authorities(struct cv_target *out, const struct cv_url *url)
{
    write_authority(out->authority, sizeof out->authority, url, out->port,
                    url->tls ? PORT_SECURE : PORT_PLAIN);
    if (out->secure_port)
        write_authority(out->secure_authority, sizeof out->secure_authority, url, out->secure_port,
                        PORT_SECURE);
}

static void write_tc_url(struct cv_target *out)
{
    bool secure = out->security == CV_SECURITY_ONLY;
    add(out->tc_url, sizeof out->tc_url, cv_text_of(secure ? "rtmps://" : "rtmp://"));
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
    cv_url_split(&url, &app, &name);
    if (app.len > CV_LIMIT_APP_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, place, "the app is longer than %d bytes",
                          CV_LIMIT_APP_BYTES);
    if (name.len > CV_LIMIT_NAME_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, place, "the stream name is longer than %d bytes",
                          CV_LIMIT_NAME_BYTES);
    *out = (struct cv_target){.via = vias[url.scheme]};
    cv_url_host(&url, out->host);
    choose_ports(out, &url);
    write_authorities(out, &url);
    add(out->app, sizeof out->app, app);
    add(out->name, sizeof out->name, name);
    write_tc_url(out);
    write_display(out, &url);
    return CV_OK;
}
