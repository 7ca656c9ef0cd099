#include "server/config_value.h"

#include "base/check.h"
#include "base/err.h"
#include "server/config_table.h"
#include "server/config_yaml.h"
#include "server/nearest.h"

#include <stdlib.h>
#include <string.h>

#define ROW(raw, owner, name, kind, min, max, value, about)                                        \
    {#name, CV_FIELD_##kind, offsetof(raw, name), offsetof(owner, name), min, max, value, about},
#define ROW_TOP(...)    ROW(struct cv_raw_config, struct cv_config, __VA_ARGS__)
#define ROW_LIMITS(...) ROW(struct cv_raw_limits, struct cv_config_limits, __VA_ARGS__)
#define ROW_TLS(...)    ROW(struct cv_raw_tls, struct cv_config_tls, __VA_ARGS__)
#define ROW_APP(...)    ROW(struct cv_raw_app, struct cv_config_app, __VA_ARGS__)
#define COUNT(rows)     (sizeof(rows) / sizeof((rows)[0]))

static const struct cv_field rows_top[] = {CV_CONFIG_TOP(ROW_TOP)};
static const struct cv_field rows_limits[] = {CV_CONFIG_LIMITS(ROW_LIMITS)};
static const struct cv_field rows_tls[] = {CV_CONFIG_TLS(ROW_TLS)};
static const struct cv_field rows_app[] = {CV_CONFIG_APP(ROW_APP)};

const struct cv_fields cv_fields_top = {rows_top, COUNT(rows_top)};
const struct cv_fields cv_fields_limits = {rows_limits, COUNT(rows_limits)};
const struct cv_fields cv_fields_tls = {rows_tls, COUNT(rows_tls)};
const struct cv_fields cv_fields_app = {rows_app, COUNT(rows_app)};

// The words of the kinds that choose one; the value is the place in the list.
static const char *const words_bool[] = {"false", "true", NULL};
static const char *const words_access[] = {"key", "open", "off", NULL};
static const char *const words_level[] = {"debug", "info", "warn", "error", NULL};
static const char *const words_use[] = {"auto", "off", "on", NULL};
static const char *const words_none[] = {NULL};

static const char *const *field_words(const struct cv_field *field)
{
    switch (field->kind) {
    case CV_FIELD_BOOL:
        return words_bool;
    case CV_FIELD_ACCESS:
        return words_access;
    case CV_FIELD_LEVEL:
        return words_level;
    case CV_FIELD_USE:
        return words_use;
    case CV_FIELD_UINT:
    case CV_FIELD_THREADS:
        return words_none;
    }
    CV_UNREACHABLE();
}

static bool has_words(const struct cv_field *field)
{
    return field_words(field)[0] != NULL;
}

// Plain decimal digits and nothing else.
static int parse_uint(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return CV_E_CONFIG;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return CV_E_CONFIG;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return CV_E_CONFIG;
    }
    if (value < min)
        return CV_E_CONFIG;
    *out = (uint32_t)value;
    return CV_OK;
}

static int parse_word(const struct cv_field *field, const char *text, uint32_t *out)
{
    const char *const *words = field_words(field);
    for (uint32_t i = 0; words[i]; i++) {
        if (strcmp(words[i], text) != 0)
            continue;
        if (i < field->min || i > field->max)
            return CV_E_CONFIG;
        *out = i;
        return CV_OK;
    }
    return CV_E_CONFIG;
}

int cv_field_parse(const struct cv_field *field, const char *text, uint32_t *out)
{
    if (has_words(field))
        return parse_word(field, text, out);
    if (field->kind == CV_FIELD_THREADS)
        return cv_threads_parse(text, out);
    return parse_uint(text, field->min, field->max, out);
}

void cv_field_text(const struct cv_field *field, uint32_t value, char *out, size_t size)
{
    CV_ASSERT(value >= field->min && value <= field->max);
    if (has_words(field))
        snprintf(out, size, "%s", field_words(field)[value]);
    else if (field->kind == CV_FIELD_THREADS && value == 0)
        snprintf(out, size, "auto");
    else
        snprintf(out, size, "%u", value);
}

void cv_field_expects(const struct cv_field *field, char *out, size_t size)
{
    if (field->kind == CV_FIELD_THREADS) {
        snprintf(out, size, "auto or a whole number from 1 to %u", field->max);
        return;
    }
    if (!has_words(field)) {
        snprintf(out, size, "a whole number from %u to %u", field->min, field->max);
        return;
    }
    const char *const *words = field_words(field);
    size_t len = 0;
    for (uint32_t i = field->min; i <= field->max && len < size; i++) {
        const char *between = i == field->min ? "" : i == field->max ? " or " : ", ";
        len += (size_t)snprintf(out + len, size - len, "%s%s", between, words[i]);
    }
}

const char *cv_field_nearest(const struct cv_field *field, const char *text)
{
    struct cv_nearest nearest = cv_nearest_to(text);
    for (uint32_t i = field->min; has_words(field) && i <= field->max; i++)
        cv_nearest_try(&nearest, field_words(field)[i]);
    return nearest.best;
}

uint32_t cv_field_get(const struct cv_field *field, const void *owner)
{
    const char *at = (const char *)owner + field->value_at;
    if (field->kind == CV_FIELD_BOOL)
        return *(const bool *)at;
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

_Static_assert(sizeof(enum cv_access) == sizeof(uint32_t), "choices are kept as 32 bits");
_Static_assert(sizeof(enum cv_use) == sizeof(uint32_t), "choices are kept as 32 bits");
_Static_assert(sizeof(enum cv_log_level) == sizeof(uint32_t), "choices are kept as 32 bits");

void cv_field_set(const struct cv_field *field, void *owner, uint32_t value)
{
    CV_ASSERT(value >= field->min && value <= field->max);
    char *at = (char *)owner + field->value_at;
    if (field->kind == CV_FIELD_BOOL)
        *(bool *)at = value != 0;
    else
        memcpy(at, &value, sizeof value);
}

void cv_fields_default(const struct cv_fields *fields, void *owner)
{
    for (size_t i = 0; i < fields->count; i++)
        cv_field_set(&fields->rows[i], owner, fields->rows[i].value_default);
}

// ---- values that the command line takes too -------------------------------------------------

int cv_threads_parse(const char *text, uint32_t *out)
{
    if (strcmp(text, "auto") == 0) {
        *out = 0;
        return CV_OK;
    }
    return parse_uint(text, 1, CV_LIMIT_THREADS, out);
}

int cv_log_level_parse(const char *text, enum cv_log_level *out)
{
    for (uint32_t i = 0; words_level[i]; i++) {
        if (strcmp(words_level[i], text) != 0)
            continue;
        *out = (enum cv_log_level)i;
        return CV_OK;
    }
    return CV_E_CONFIG;
}
