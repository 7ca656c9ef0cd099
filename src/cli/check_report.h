// What check prints: a line for each rung as it ends, then the verdict; or JSON.
#ifndef CV_CLI_CHECK_REPORT_H
#define CV_CLI_CHECK_REPORT_H

#include "client/verdict.h"

#include <stdio.h>

// "  RTMP           no   connected, then reset                          82 ms"
void cv_check_print_rung(FILE *file, enum cv_rung rung, const struct cv_rung_result *result);
// "cut after 30.0 s"
void cv_check_print_cut(FILE *file, uint32_t age_ms);
void cv_check_print_verdict(FILE *file, const struct cv_survey_facts *facts,
                            const struct cv_verdict *verdict);
// All of it in one object. 0, or CV_E_NOMEM or CV_E_SYSTEM.
int cv_check_print_json(FILE *file, const char *url, const struct cv_survey_facts *facts,
                        const struct cv_verdict *verdict);

#endif
