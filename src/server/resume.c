#include "server/resume.h"

#include "base/err.h"
#include "base/secret.h"
#include "io/openssl.h"

#include <assert.h>
#include <string.h>

static_assert((int)CV_RESUME_TELL_MS < (int)CV_TUNNEL_TAKEN_MS,
              "a client in a tunnel asks too early");

static const char hex[] = "0123456789abcdef";

// -1: not a digit as we write them.
static int digit_of(char c)
{
    const char *at = c ? strchr(hex, c) : NULL;
    return at ? (int)(at - hex) : -1;
}

// Exactly `len` bytes as hex.
static bool read_hex(struct cv_text text, uint8_t *out, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit_of(text.at[2 * i]);
        int low = digit_of(text.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(char *out, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[data[i] >> 4];
        out[2 * i + 1] = hex[data[i] & 15];
    }
    out[2 * len] = '\0';
}

struct cv_resume cv_resume_wanted(struct cv_text presented)
{
    struct cv_resume resume = {.wanted = true};
    resume.has_token = read_hex(presented, resume.token, sizeof resume.token);
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
    write_hex(out, resume->token, sizeof resume->token);
}

uint64_t cv_position_epoch(void)
{
    uint64_t epoch;
    return cv_crypto_openssl.random(&epoch, sizeof epoch) == CV_OK ? epoch : 0;
}

struct cv_position cv_position_wanted(struct cv_text presented)
{
    struct cv_position position = {0};
    uint8_t epoch[CV_RESUME_EPOCH_CHARS / 2];
    struct cv_text text = cv_text_take(&presented, ':');
    if (!read_hex(text, epoch, sizeof epoch) ||
        cv_text_u64(presented, 0, UINT64_MAX - 1, &position.number) != CV_OK)
        return (struct cv_position){0};
    for (size_t i = 0; i < sizeof epoch; i++)
        position.epoch = position.epoch << 8 | epoch[i];
    return position;
}

void cv_position_print(uint64_t epoch, char out[CV_RESUME_EPOCH_CHARS + 1])
{
    uint8_t bytes[CV_RESUME_EPOCH_CHARS / 2];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(epoch >> (56 - 8 * i));
    write_hex(out, bytes, sizeof bytes);
}
