#include "proto/basic_auth.h"

#include "base/check.h"
#include "base/err.h"
#include "proto/http1_write.h"

void cv_basic_auth_write(struct cv_wr *wr, const char *name, struct cv_text user,
                         struct cv_text password)
{
    char plain[CV_LIMIT_BASIC_AUTH_BYTES];
    char value[sizeof plain * 3 / 2];
    struct cv_wr join = cv_wr_fixed(plain, sizeof plain);
    struct cv_wr field = cv_wr_fixed(value, sizeof value);
    cv_wr_bytes(&join, user.at, user.len);
    cv_wr_u8(&join, ':');
    cv_wr_bytes(&join, password.at, password.len);
    cv_wr_bytes(&field, "Basic ", 6);
    size_t room = sizeof value - field.len;
    size_t len = cv_text_base64(value + field.len, room, plain, join.len);
    CV_ASSERT(len <= room);
    if (join.err != CV_OK)
        wr->err = CV_E_USAGE;
    else
        cv_http1_write_field(wr, cv_text_of(name), (struct cv_text){value, field.len + len});
}
