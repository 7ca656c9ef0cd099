// What the end of an attempt teaches the ladder: what is in the way, and what may help then.
#ifndef CV_CLIENT_LESSON_H
#define CV_CLIENT_LESSON_H

#include "client/ladder.h"

enum { CV_LESSON_NEXT_MAX = 4 };

struct cv_lesson {
    enum cv_obstacle obstacle;
    const enum cv_way *next; // CV_LESSON_NEXT_MAX of them, to be tried at once, as secure as this
    bool nowhere;            // not even TCP stood
    bool final;              // no other way can help
    bool no_tls;             // no way inside TLS can help
    bool proxy_shut;         // no connection for TLS is to be had from the proxy
    bool tls;                // TLS is likely to be let through where this was not
};

// Behind this report, which ends the attempt.
struct cv_lesson cv_lesson_of(const struct cv_ladder_config *config,
                              const struct cv_ladder_attempt *attempt,
                              const struct cv_met_report *report);
// It has had its time.
struct cv_lesson cv_lesson_of_silence(const struct cv_ladder_config *config,
                                      const struct cv_ladder_attempt *attempt);
// Such an attempt goes through a proxy.
bool cv_way_is_proxied(const struct cv_ladder_config *config, enum cv_way way, bool secure);

#endif
