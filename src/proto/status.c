#include "proto/status.h"

#include "base/check.h"

struct status_row {
    const char *level;
    const char *code;
};

static const struct status_row rows[] = {
#define ROW(name, level, code) {level, code},
    CV_STATUS_TABLE(ROW)
#undef ROW
};

const char *cv_status_level(enum cv_status status)
{
    CV_ASSERT(status < CV_STATUS_COUNT);
    return rows[status].level;
}

const char *cv_status_code(enum cv_status status)
{
    CV_ASSERT(status < CV_STATUS_COUNT);
    return rows[status].code;
}
