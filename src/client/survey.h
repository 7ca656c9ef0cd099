// The survey: each rung of the ladder tried by itself, one after the other, to see what the network
// does to it. The verdict (client/verdict.h) is made of what was met.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_SURVEY_H
#define CV_CLIENT_SURVEY_H

#include "client/attempt.h"
#include "client/verdict.h"

enum {
    CV_SURVEY_NAME_MS = 10000,   // for the look-up
    CV_SURVEY_CONNECT_MS = 2500, // for a connection: one repetition of SYN, and its answer
    CV_SURVEY_ANSWER_MS = 3000,  // for each answer
};

struct cv_survey;

struct cv_survey_config {
    const struct cv_target *target; // borrowed for the survey's life
    const struct cv_proxy *proxy;   // the same; NULL: none
    struct cv_tls_trust *trust;     // the same; NULL: the target is not ONLY, and TLS is left out
    enum cv_via via;                // AUTO: as the target says
    uint32_t hold_s;                // then the way that won is held so long, to see it cut; 0: not
    // A rung begins (`result` NULL), or has ended. Must not free the survey. May be NULL.
    void (*on_rung)(void *arg, enum cv_rung rung, const struct cv_rung_result *result);
    // While it is held: a connection of this age was cut. Must not free the survey. May be NULL.
    void (*on_cut)(void *arg, uint32_t age_ms);
    // The end, once. May free the survey. Both are lent for the call.
    void (*on_done)(void *arg, const struct cv_survey_facts *facts,
                    const struct cv_verdict *verdict);
    void *arg;
};

// NULL: no memory. Nothing is called inside.
struct cv_survey *cv_survey_start(struct cv_attempt_room *room,
                                  const struct cv_survey_config *config);
// Ends what is under way. *survey is cleared; NULL inside is allowed.
void cv_survey_free(struct cv_survey **survey);

#endif
