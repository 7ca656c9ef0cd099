// What was in the way, in words for somebody who wants to show a stream, and not to study networks.
#include "client/ladder.h"

#include <stddef.h>

struct words {
    const char *id;
    const char *text;
    const char *advice;
};

static const struct words words[CV_OBSTACLES] = {
    [CV_OBSTACLE_NONE] = {"open", "Nothing is in the way.", NULL},
    [CV_OBSTACLE_UNREACHABLE] = {"unreachable",
                                 "The server cannot be reached: there is no route to it.",
                                 "Check that this machine is connected to a network."},
    [CV_OBSTACLE_UNKNOWN_HOST] = {"unknown-host", "There is no server of this name.",
                                  "Check the spelling of the host name. If web pages work in a "
                                  "browser here, set its proxy: http_proxy=http://HOST:PORT."},
    [CV_OBSTACLE_SILENT] = {"port-dropped",
                            "Nobody answers: a firewall drops what is sent to the server, or it is "
                            "off.",
                            "Ask for outgoing TCP to this host and port, or for an HTTP proxy."},
    [CV_OBSTACLE_REFUSED] = {"port-closed",
                             "The port is closed: the server does not run, or a firewall refuses.",
                             "Check that the server runs; then ask for outgoing TCP to this port."},
    [CV_OBSTACLE_PROXY_DOWN] = {"proxy-down", "The proxy of this network does not answer.",
                                "Check the proxy's host and port (http_proxy), or go without it: "
                                "--proxy none."},
    [CV_OBSTACLE_MUTE] = {"swallowed",
                          "The connection stands, but no answer comes: a filter swallows it.",
                          "Ask for HTTP POST to this host to be let through unfiltered."},
    [CV_OBSTACLE_CUT] = {"cut", "Connections are cut as soon as they carry the stream.",
                         "A filter recognises and cuts it: ask for this host to be exempt from "
                         "application control."},
    [CV_OBSTACLE_CUT_LATER] = {"cut-later", "Connections are cut after a while.",
                               "Ask for connections to this host to be left open: no time limit, "
                               "no limit of size."},
    [CV_OBSTACLE_STARVED] = {"starved", "The network carries less than the stream needs.",
                             "Lower the stream's bit rate, or ask for more upstream bandwidth to "
                             "this host."},
    [CV_OBSTACLE_HTTP_ONLY] = {"http-only",
                               "Only HTTP passes on this port: a proxy or a filter stands between.",
                               "Ask for this host to be exempt from inspection, or for its HTTP "
                               "POST requests to be let through."},
    [CV_OBSTACLE_NO_CONNECT] = {"no-connect",
                                "The proxy passes web pages and opens no other connections.",
                                "Ask for CONNECT to this host and port; for rtmp://, its HTTP "
                                "POST requests are enough."},
    [CV_OBSTACLE_NOT_OURS] = {"not-ours",
                              "A web server answers, but there is no media server behind it.",
                              "Check the host name, and that Culvert owns the port there."},
    [CV_OBSTACLE_NO_SERVER] = {"no-server", "A proxy answers, but it reaches no server behind it.",
                               "Check the host name and that the server runs; then ask for the "
                               "proxy to be let through to it."},
    [CV_OBSTACLE_FOREIGN] = {"foreign",
                             "The port belongs to another service: neither RTMP nor HTTP.",
                             "Check the port in the URL."},
    [CV_OBSTACLE_FORBIDDEN] = {"forbidden",
                               "This is forbidden here: a filter, or the server, answers 403.",
                               "Ask for HTTP POST to this host to be allowed."},
    [CV_OBSTACLE_PROXY_AUTH] = {"proxy-auth", "The proxy wants a name and a password.",
                                "Give them in http_proxy (for rtmps://, https_proxy), as "
                                "http://NAME:PASSWORD@HOST:PORT, or by --proxy."},
    [CV_OBSTACLE_PROXY_DENIED] = {"proxy-denied", "The proxy does not take this name and password.",
                                  "Check them in http_proxy, and ask whether the proxy knows Basic "
                                  "authentication."},
    [CV_OBSTACLE_NOT_TLS] = {"not-tls",
                             "The server's secure port answers, but no encrypted connection comes "
                             "about: another service has this port, or refuses.",
                             "Check the port in the URL. The server's administrator knows where it "
                             "takes rtmps:// or https://."},
    [CV_OBSTACLE_TLS_CUT] =
        {"tls-cut",
         "Encrypted connections are cut, or never answered, as soon as they say "
         "which server they want: a filter does not let this one through.",
         "Ask for https:// to this host to be let through, without inspection."},
    [CV_OBSTACLE_CERT_INVALID] = {"cert-invalid", "The server's certificate cannot be accepted.",
                                  "Tell the server's administrator: it needs another one."},
    [CV_OBSTACLE_CERT_TIME] = {"cert-time",
                               "The server's certificate has expired, or is not valid yet.",
                               "Check this computer's date and clock. If they are right, tell the "
                               "server's administrator."},
    [CV_OBSTACLE_CERT_NAME] = {"cert-name",
                               "Somebody else answers for the server: the certificate is for "
                               "another host.",
                               "Check the host name. In a hotel, log in to its network in a "
                               "browser. Otherwise tell the server's administrator."},
    [CV_OBSTACLE_CERT_UNTRUSTED] =
        {"cert-untrusted",
         "The server's certificate is from nobody whom this computer trusts: perhaps somebody on "
         "the way reads along.",
         "In a hotel, log in to its network in a browser. Where a firm or a school inspects "
         "connections, ask for its certificate, and give it with --ca FILE; so, too, for a server "
         "of your own."},
    [CV_OBSTACLE_PORTAL] = {"portal", "This network wants you to log in first.",
                            "Open a web page in a browser, log in, and try again."},
};

const char *cv_obstacle_id(enum cv_obstacle obstacle)
{
    return words[obstacle].id;
}

bool cv_obstacle_is_certificate(enum cv_obstacle obstacle)
{
    return obstacle >= CV_OBSTACLE_CERT_INVALID && obstacle <= CV_OBSTACLE_CERT_UNTRUSTED;
}

const char *cv_obstacle_text(enum cv_obstacle obstacle)
{
    return words[obstacle].text;
}

const char *cv_obstacle_advice(enum cv_obstacle obstacle)
{
    return words[obstacle].advice;
}

const char *cv_way_name(enum cv_way way, bool secure)
{
    static const char *const names[2][CV_WAYS] = {
        {"none", "RTMP inside HTTP, if need be", "RTMP", "RTMPT", "WebSocket",
         "RTMP through the proxy"},
        {"none", "RTMP inside HTTPS, if need be", "RTMPS", "RTMPTS", "secure WebSocket",
         "RTMPS through the proxy"},
    };
    return names[secure][way];
}
