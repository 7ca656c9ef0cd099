#include "client/lesson.h"

#include "base/check.h"

#include <stddef.h>

enum { ENDS = CV_MET_CERTIFICATE - CV_MET_REFUSED + 1 };
#define END(met) [(met)-CV_MET_REFUSED]

static const enum cv_obstacle obstacles[ENDS] = {
    END(CV_MET_REFUSED) = CV_OBSTACLE_REFUSED,
    END(CV_MET_UNREACHABLE) = CV_OBSTACLE_UNREACHABLE,
    END(CV_MET_UNKNOWN_HOST) = CV_OBSTACLE_UNKNOWN_HOST,
    END(CV_MET_RESET) = CV_OBSTACLE_CUT,
    END(CV_MET_CLOSED) = CV_OBSTACLE_CUT,
    END(CV_MET_HTTP) = CV_OBSTACLE_NOT_OURS,
    END(CV_MET_NOT_RTMP) = CV_OBSTACLE_FOREIGN,
    END(CV_MET_LOST) = CV_OBSTACLE_CUT,
    END(CV_MET_NOT_TLS) = CV_OBSTACLE_NOT_TLS,
    END(CV_MET_CERTIFICATE) = CV_OBSTACLE_CERT_INVALID,
};

// What is tried at once then, unless it was. A port that cannot be reached can be reached by no
// way, so nothing stands there. What cuts RTMP, or answers it by HTTP, may pass HTTP; what cuts
// HTTP with an offer may pass it without; what cuts or forbids the tunnel's POST may know
// WebSockets.
static const enum cv_way nexts[CV_WAYS][ENDS][CV_LESSON_NEXT_MAX] = {
    [CV_WAY_OFFER] = {END(CV_MET_RESET) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT},
                      END(CV_MET_CLOSED) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT},
                      END(CV_MET_HTTP) = {CV_WAY_RTMP, CV_WAY_CONNECT, CV_WAY_TUNNEL},
                      END(CV_MET_NOT_RTMP) = {CV_WAY_RTMP},
                      END(CV_MET_LOST) = {CV_WAY_TUNNEL, CV_WAY_RTMP, CV_WAY_CONNECT}},
    [CV_WAY_RTMP] = {END(CV_MET_RESET) = {CV_WAY_OFFER}, END(CV_MET_CLOSED) = {CV_WAY_OFFER},
                     END(CV_MET_HTTP) = {CV_WAY_OFFER}, END(CV_MET_NOT_RTMP) = {CV_WAY_OFFER},
                     END(CV_MET_LOST) = {CV_WAY_OFFER, CV_WAY_TUNNEL}},
    [CV_WAY_TUNNEL] = {END(CV_MET_RESET) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT},
                       END(CV_MET_CLOSED) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT},
                       END(CV_MET_HTTP) = {CV_WAY_RTMP, CV_WAY_CONNECT, CV_WAY_SOCKET},
                       END(CV_MET_NOT_RTMP) = {CV_WAY_RTMP},
                       END(CV_MET_LOST) = {CV_WAY_SOCKET, CV_WAY_RTMP, CV_WAY_CONNECT}},
    [CV_WAY_CONNECT] = {END(CV_MET_RESET) = {CV_WAY_TUNNEL, CV_WAY_SOCKET},
                        END(CV_MET_CLOSED) = {CV_WAY_TUNNEL, CV_WAY_SOCKET},
                        END(CV_MET_HTTP) = {CV_WAY_OFFER},
                        END(CV_MET_LOST) = {CV_WAY_TUNNEL, CV_WAY_SOCKET}},
    // A WebSocket is the last one.
};

// In another dress it would say the same.
static const enum cv_way no_site[CV_LESSON_NEXT_MAX] = {CV_WAY_RTMP, CV_WAY_CONNECT};
// TLS is tried once more; where there is a proxy, on the other side of it.
static const enum cv_way beside_proxy[CV_LESSON_NEXT_MAX] = {CV_WAY_RTMP};
static const enum cv_way not_rtmp[CV_LESSON_NEXT_MAX] = {CV_WAY_OFFER, CV_WAY_CONNECT};
static const enum cv_way through_proxy[CV_LESSON_NEXT_MAX] = {CV_WAY_CONNECT, CV_WAY_OFFER,
                                                              CV_WAY_RTMP};

bool cv_way_is_proxied(const struct cv_ladder_config *config, enum cv_way way, bool secure)
{
    if (way == CV_WAY_CONNECT)
        return true;
    return way != CV_WAY_RTMP && (secure ? config->secure_proxy : config->proxy);
}

static bool is_proxied(const struct cv_ladder_config *config,
                       const struct cv_ladder_attempt *attempt)
{
    return cv_way_is_proxied(config, attempt->way, attempt->secure);
}

// It was on its way through the proxy's CONNECT: nothing came from further away.
static bool is_at_proxy(const struct cv_ladder_config *config,
                        const struct cv_ladder_attempt *attempt)
{
    return attempt->secure && !attempt->connected && is_proxied(config, attempt);
}

// ---- HTTP -----------------------------------------------------------------------------------

static bool is_rtmp(const struct cv_ladder_attempt *attempt)
{
    return attempt->way == CV_WAY_RTMP || attempt->way == CV_WAY_CONNECT;
}

static enum cv_obstacle http_obstacle(const struct cv_ladder_config *config,
                                      const struct cv_ladder_attempt *attempt,
                                      const struct cv_met_report *report)
{
    // Behind a certificate that is right it is the server itself that sends us elsewhere.
    if ((report->elsewhere && !attempt->secured) || report->status == 511)
        return CV_OBSTACLE_PORTAL;
    if (report->status == 407)
        return config->credentials ? CV_OBSTACLE_PROXY_DENIED : CV_OBSTACLE_PROXY_AUTH;
    if (report->status >= 502 && report->status <= 504)
        return CV_OBSTACLE_NO_SERVER;
    if (is_at_proxy(config, attempt) || (attempt->way == CV_WAY_CONNECT && !attempt->secure))
        return CV_OBSTACLE_NO_CONNECT;
    if (is_rtmp(attempt))
        return CV_OBSTACLE_HTTP_ONLY;
    return report->status == 403 || report->status == 451 ? CV_OBSTACLE_FORBIDDEN
                                                          : CV_OBSTACLE_NOT_OURS;
}

static void learn_http(struct cv_lesson *lesson, const struct cv_ladder_config *config,
                       const struct cv_ladder_attempt *attempt, const struct cv_met_report *report)
{
    lesson->obstacle = http_obstacle(config, attempt, report);
    lesson->final = lesson->obstacle == CV_OBSTACLE_PROXY_AUTH ||
                    lesson->obstacle == CV_OBSTACLE_PROXY_DENIED ||
                    lesson->obstacle == CV_OBSTACLE_PORTAL;
    // Proxies open connections to the port of TLS and to no other.
    lesson->tls = lesson->obstacle == CV_OBSTACLE_NO_CONNECT;
    bool missing = report->status == 404 || report->status == 405;
    if (missing && (attempt->way == CV_WAY_OFFER || attempt->way == CV_WAY_TUNNEL))
        lesson->next = no_site;
}

// ---- TLS ------------------------------------------------------------------------------------

enum cv_obstacle cv_obstacle_of_certificate(int code)
{
    switch (code) {
    case CV_E_CERT_UNTRUSTED:
        return CV_OBSTACLE_CERT_UNTRUSTED;
    case CV_E_CERT_NAME:
        return CV_OBSTACLE_CERT_NAME;
    case CV_E_CERT_TIME:
        return CV_OBSTACLE_CERT_TIME;
    default:
        return CV_OBSTACLE_CERT_INVALID;
    }
}

static const enum cv_way *ways_beside(const struct cv_ladder_config *config,
                                      const struct cv_ladder_attempt *attempt)
{
    if (is_proxied(config, attempt))
        return beside_proxy;
    return attempt->way == CV_WAY_RTMP ? not_rtmp : through_proxy;
}

// TLS has not stood in it.
static void learn_tls(struct cv_lesson *lesson, const struct cv_ladder_config *config,
                      const struct cv_ladder_attempt *attempt, enum cv_met met)
{
    bool cut = met == CV_MET_RESET || met == CV_MET_CLOSED || met == CV_MET_LOST;
    if (is_at_proxy(config, attempt)) {
        lesson->next = beside_proxy;
        lesson->proxy_shut = true;
        if (cut)
            lesson->obstacle = CV_OBSTACLE_NO_CONNECT;
    } else if (cut) {
        lesson->next = ways_beside(config, attempt);
        lesson->obstacle = CV_OBSTACLE_TLS_CUT;
    }
}

// ---- lessons --------------------------------------------------------------------------------

struct cv_lesson cv_lesson_of(const struct cv_ladder_config *config,
                              const struct cv_ladder_attempt *attempt,
                              const struct cv_met_report *report)
{
    CV_ASSERT(report->met >= CV_MET_REFUSED && report->met <= CV_MET_CERTIFICATE);
    if (report->met == CV_MET_NOT_TLS && attempt->secured) { // it was TLS, and was damaged later
        static const struct cv_met_report lost = {.met = CV_MET_LOST};
        report = &lost;
    }
    uint32_t end = report->met - CV_MET_REFUSED;
    struct cv_lesson lesson = {
        .obstacle = obstacles[end],
        .next = nexts[attempt->way][end],
        .nowhere = report->met <= CV_MET_UNKNOWN_HOST,
        .no_tls = report->met == CV_MET_NOT_TLS || report->met == CV_MET_CERTIFICATE,
    };
    if (report->met == CV_MET_CERTIFICATE)
        lesson.obstacle = cv_obstacle_of_certificate(report->code);
    if (lesson.nowhere && is_proxied(config, attempt)) {
        lesson.obstacle = CV_OBSTACLE_PROXY_DOWN;
        lesson.proxy_shut = attempt->secure;
    }
    if (report->met == CV_MET_HTTP)
        learn_http(&lesson, config, attempt, report);
    if (attempt->secure && !attempt->secured && !lesson.nowhere)
        learn_tls(&lesson, config, attempt, report->met);
    return lesson;
}

struct cv_lesson cv_lesson_of_silence(const struct cv_ladder_config *config,
                                      const struct cv_ladder_attempt *attempt)
{
    bool proxied = is_proxied(config, attempt);
    if (!attempt->connected)
        return (struct cv_lesson){.obstacle = proxied ? CV_OBSTACLE_PROXY_DOWN : CV_OBSTACLE_SILENT,
                                  .nowhere = true,
                                  .proxy_shut = proxied && attempt->secure};
    if (attempt->secure && !attempt->secured)
        return (struct cv_lesson){.obstacle = CV_OBSTACLE_TLS_CUT,
                                  .next = ways_beside(config, attempt)};
    return (struct cv_lesson){.obstacle = attempt->answered ? CV_OBSTACLE_CUT : CV_OBSTACLE_MUTE,
                              .next = nexts[attempt->way][CV_MET_LOST - CV_MET_REFUSED]};
}
