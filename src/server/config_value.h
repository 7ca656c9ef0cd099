// One setting: its row of the table, from text, to text. Only for the config files of this room.
#ifndef CV_SERVER_CONFIG_VALUE_H
#define CV_SERVER_CONFIG_VALUE_H

#include "server/config.h"

enum cv_field_kind {
    CV_FIELD_UINT,
    CV_FIELD_THREADS,
    CV_FIELD_BOOL,
    CV_FIELD_ACCESS,
    CV_FIELD_LEVEL,
    CV_FIELD_USE,
};

struct cv_field {
    const char *name;
    enum cv_field_kind kind;
    size_t raw_at;   // offset of its `char *` in the loaded YAML (config_yaml.h)
    size_t value_at; // offset of its value in the configuration
    uint32_t min;
    uint32_t max;
    uint32_t value_default;
    const char *about;
};

struct cv_fields {
    const struct cv_field *rows;
    size_t count;
};

extern const struct cv_fields cv_fields_top;    // of struct cv_config
extern const struct cv_fields cv_fields_limits; // of struct cv_config_limits
extern const struct cv_fields cv_fields_tls;    // of struct cv_config_tls
extern const struct cv_fields cv_fields_app;    // of struct cv_config_app

// The value that `text` says. 0, or CV_E_CONFIG with *out untouched.
int cv_field_parse(const struct cv_field *field, const char *text, uint32_t *out);
// The value as text that cv_field_parse takes.
void cv_field_text(const struct cv_field *field, uint32_t value, char *out, size_t size);
// What the field takes, in words: "a whole number from 0 to 1000".
void cv_field_expects(const struct cv_field *field, char *out, size_t size);
// The word of the field's choices that is nearest to `text`, or NULL.
const char *cv_field_nearest(const struct cv_field *field, const char *text);

// Reads and writes the field in the struct that it belongs to.
uint32_t cv_field_get(const struct cv_field *field, const void *owner);
void cv_field_set(const struct cv_field *field, void *owner, uint32_t value);
// Sets every field to its default.
void cv_fields_default(const struct cv_fields *fields, void *owner);

#endif
