// What became of a rung, in words.
#include "client/verdict.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *id;
} names[CV_RUNGS] = {
    [CV_RUNG_NAME] = {"Name", "name"},
    [CV_RUNG_TCP] = {"TCP", "tcp"},
    [CV_RUNG_TCP_IPV6] = {"TCP over IPv6", "tcp-ipv6"},
    [CV_RUNG_1935] = {"Port 1935", "port-1935"},
    [CV_RUNG_RTMP] = {"RTMP", "rtmp"},
    [CV_RUNG_PROXY] = {"Proxy", "proxy"},
    [CV_RUNG_OFFER] = {"HTTP offer", "offer"},
    [CV_RUNG_TUNNEL] = {"RTMPT", "rtmpt"},
    [CV_RUNG_SOCKET] = {"WebSocket", "websocket"},
    [CV_RUNG_CONNECT] = {"CONNECT", "connect"},
    [CV_RUNG_TLS] = {"TLS", "tls"},
    [CV_RUNG_SECURE_OFFER] = {"HTTPS offer", "secure-offer"},
    [CV_RUNG_SECURE_RTMP] = {"RTMPS", "rtmps"},
    [CV_RUNG_SECURE_TUNNEL] = {"RTMPTS", "rtmpts"},
    [CV_RUNG_SECURE_SOCKET] = {"WSS", "wss"},
};

static const struct {
    const char *id;
    const char *words;
} ends[CV_RUNG_ENDS] = {
    [CV_RUNG_SKIPPED] = {"skipped", "not tried"},
    [CV_RUNG_WORKS] = {"works", "works"},
    [CV_RUNG_UNKNOWN_HOST] = {"unknown-host", "the name does not resolve"},
    [CV_RUNG_UNREACHABLE] = {"unreachable", "no route, or forbidden"},
    [CV_RUNG_REFUSED] = {"refused", "refused"},
    [CV_RUNG_SILENT] = {"silent", "no answer: dropped"},
    [CV_RUNG_MUTE] = {"mute", "connected, then silence: swallowed"},
    [CV_RUNG_RESET] = {"reset", "connected, then reset"},
    [CV_RUNG_CLOSED] = {"closed", "connected, then closed"},
    [CV_RUNG_HTTP] = {"http", "answered by HTTP"},
    [CV_RUNG_NOT_RTMP] = {"not-rtmp", "another protocol answers"},
    [CV_RUNG_LOST] = {"lost", "cut behind the handshake"},
    [CV_RUNG_STALLED] = {"stalled", "begun, then silence"},
    [CV_RUNG_NOT_TLS] = {"not-tls", "another protocol answers, or TLS is refused"},
    [CV_RUNG_CERTIFICATE] = {"certificate", "not accepted"},
};

enum cv_rung_end cv_rung_end_of(enum cv_met met)
{
    switch (met) {
    case CV_MET_REFUSED:
        return CV_RUNG_REFUSED;
    case CV_MET_UNKNOWN_HOST:
        return CV_RUNG_UNKNOWN_HOST;
    case CV_MET_RESET:
        return CV_RUNG_RESET;
    case CV_MET_CLOSED:
        return CV_RUNG_CLOSED;
    case CV_MET_HTTP:
        return CV_RUNG_HTTP;
    case CV_MET_NOT_RTMP:
        return CV_RUNG_NOT_RTMP;
    case CV_MET_LOST:
        return CV_RUNG_LOST;
    case CV_MET_NOT_TLS:
        return CV_RUNG_NOT_TLS;
    case CV_MET_CERTIFICATE:
        return CV_RUNG_CERTIFICATE;
    default:
        return CV_RUNG_UNREACHABLE;
    }
}

const char *cv_rung_name(enum cv_rung rung)
{
    return names[rung].name;
}

const char *cv_rung_id(enum cv_rung rung)
{
    return names[rung].id;
}

const char *cv_rung_end_id(enum cv_rung_end end)
{
    return ends[end].id;
}

static const char *words_of_success(enum cv_rung rung, const struct cv_rung_result *result)
{
    if (result->refused)
        return "the server is reached, and says no";
    switch (rung) {
    case CV_RUNG_NAME:
        return "";
    case CV_RUNG_TCP:
    case CV_RUNG_TCP_IPV6:
    case CV_RUNG_PROXY:
        return "connected";
    case CV_RUNG_TLS:
        return "encrypted, and the certificate is accepted";
    case CV_RUNG_OFFER:
    case CV_RUNG_SECURE_OFFER:
        if (result->upgraded)
            return rung == CV_RUNG_OFFER ? "taken: plain RTMP from there on"
                                         : "taken: RTMPS from there on";
        return result->ours ? "works, but a proxy made RTMPT of it"
                            : "works as RTMPT, with a server that is not Culvert";
    default:
        return ends[CV_RUNG_WORKS].words;
    }
}

void cv_rung_words(enum cv_rung rung, const struct cv_rung_result *result, char *out, size_t size)
{
    const char *words = ends[result->end].words;
    const char *detail = result->detail;
    if (result->end == CV_RUNG_WORKS)
        words = words_of_success(rung, result);
    if (result->end == CV_RUNG_HTTP)
        snprintf(out, size, "%s: %u%s%s", words, result->status, detail[0] ? ", " : "", detail);
    else
        snprintf(out, size, "%s%s%s", words, words[0] && detail[0] ? ": " : "", detail);
}
