#include "server/resume.h"

#include "base/err.h"
#include "base/secret.h"
#include "io/openssl.h"

#include <string.h>

static const char hex[] = "0123456789abcdef";

// -1: not a digit as we write them.
static int digit_of(char c)
{
    const char *at = c ? strchr(hex, c) : NULL;
    return at ? (int)(at - hex) : -1;
}

struct cv_resume cv_resume_wanted(struct cv_text presented)
{
    struct cv_resume resume = {.wanted = true};
    if (presented.len != CV_RESUME_TOKEN_CHARS)
        return resume;
    for (size_t i = 0; i < CV_RESUME_TOKEN_BYTES; i++) {
        int high = digit_of(presented.at[2 * i]);
        int low = digit_of(presented.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return (struct cv_resume){.wanted = true};
        resume.token[i] = (uint8_t)(high << 4 | low);
    }
    resume.has_token = true;
    return resume;
}

struct cv_resume cv_resume_new(void)
{
    struct cv_resume resume = {.wanted = true};
    resume.has_token = cv_crypto_openssl.random(resume.token, CV_RESUME_TOKEN_BYTES) == CV_OK;
    return resume;
}

bool cv_resume_equal(const struct cv_resume *a, const struct cv_resume *b)
{
    return a->has_token && b->has_token && cv_ct_equal(a->token, b->token, CV_RESUME_TOKEN_BYTES);
}

void cv_resume_print(const struct cv_resume *resume, char out[CV_RESUME_TOKEN_CHARS + 1])
{
    for (size_t i = 0; i < CV_RESUME_TOKEN_BYTES; i++) {
        out[2 * i] = hex[resume->token[i] >> 4];
        out[2 * i + 1] = hex[resume->token[i] & 15];
    }
    out[CV_RESUME_TOKEN_CHARS] = '\0';
}
