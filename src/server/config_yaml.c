#include "server/config_yaml.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/nearest.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// ---- the schema, from the table -------------------------------------------------------------

#define OPTIONAL_POINTER (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT_FIELD(owner, name)                                                                    \
    CYAML_FIELD_STRING_PTR(#name, OPTIONAL_POINTER, owner, name, 0, CYAML_UNLIMITED),
#define TOP_FIELD(name, ...)    TEXT_FIELD(struct cv_raw_config, name)
#define LIMITS_FIELD(name, ...) TEXT_FIELD(struct cv_raw_limits, name)
#define TLS_FIELD(name, ...)    TEXT_FIELD(struct cv_raw_tls, name)
#define APP_FIELD(name, ...)    TEXT_FIELD(struct cv_raw_app, name)

static const cyaml_schema_field_t limits_fields[] = {CV_CONFIG_LIMITS(LIMITS_FIELD)
                                                         CYAML_FIELD_END};

static const cyaml_schema_field_t app_fields[] = {TEXT_FIELD(struct cv_raw_app, name)
                                                      CV_CONFIG_APP(APP_FIELD) CYAML_FIELD_END};

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};
static const cyaml_schema_value_t app_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cv_raw_app, app_fields)};

static const cyaml_schema_field_t certificate_fields[] = {TEXT_FIELD(
    struct cv_raw_certificate, cert) TEXT_FIELD(struct cv_raw_certificate, key) CYAML_FIELD_END};
static const cyaml_schema_value_t certificate_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cv_raw_certificate, certificate_fields)};

static const cyaml_schema_field_t acme_fields[] = {
    TEXT_FIELD(struct cv_raw_acme, directory) TEXT_FIELD(struct cv_raw_acme, email)
        CYAML_FIELD_SEQUENCE("domains", OPTIONAL_POINTER, struct cv_raw_acme, domains, &text_entry,
                             1, CV_LIMIT_ACME_DOMAINS),
    TEXT_FIELD(struct cv_raw_acme, ca_file) CYAML_FIELD_END};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT_FIELD(struct cv_raw_tls, cert) TEXT_FIELD(struct cv_raw_tls, key)
        CYAML_FIELD_SEQUENCE("certificates", OPTIONAL_POINTER, struct cv_raw_tls, certificates,
                             &certificate_entry, 1, CV_LIMIT_CERTIFICATES),
    CYAML_FIELD_MAPPING("acme", CYAML_FLAG_OPTIONAL, struct cv_raw_tls, acme, acme_fields),
    TEXT_FIELD(struct cv_raw_tls, challenge_folder) CV_CONFIG_TLS(TLS_FIELD) CYAML_FIELD_END};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_SEQUENCE("listen", OPTIONAL_POINTER, struct cv_raw_config, listen, &text_entry, 1,
                         CV_LIMIT_LISTEN),
    CYAML_FIELD_SEQUENCE("trusted_proxies", OPTIONAL_POINTER, struct cv_raw_config, trusted_proxies,
                         &text_entry, 0, CV_LIMIT_TRUSTED_PROXIES),
    TEXT_FIELD(struct cv_raw_config, state) TEXT_FIELD(struct cv_raw_config, site)
        CV_CONFIG_TOP(TOP_FIELD)
            CYAML_FIELD_MAPPING("tls", CYAML_FLAG_OPTIONAL, struct cv_raw_config, tls, tls_fields),
    CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, struct cv_raw_config, limits, limits_fields),
    CYAML_FIELD_SEQUENCE("apps", OPTIONAL_POINTER, struct cv_raw_config, apps, &app_entry, 1,
                         CV_LIMIT_APPS),
    CYAML_FIELD_END};

static const cyaml_schema_value_t top_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cv_raw_config, top_fields)};

// The mappings of a file, and how the path of a key in each begins.
static const struct {
    const char *prefix;
    const char *title;
    const cyaml_schema_field_t *fields;
} mappings[] = {
    {"limits", "under limits:", limits_fields},
    {"apps", "under an entry of apps:", app_fields},
    {"tls", "under tls:", tls_fields},
    {"tls.acme", "under tls: acme:", acme_fields},
    {"tls.certificates", "under an entry of tls: certificates:", certificate_fields},
    {"", "at the top of the file", top_fields},
};
enum { MAPPINGS = sizeof mappings / sizeof mappings[0] };

// ---- lines ----------------------------------------------------------------------------------

enum { PATH_BYTES = 256 };

// One step down: the value of `key` in the mapping. The last one counts: if there are two, that is
// the wrong one.
static yaml_node_t *find_key(yaml_document_t *document, const yaml_node_t *node, const char *key,
                             size_t len, int *line)
{
    yaml_node_t *found = NULL;
    if (node->type != YAML_MAPPING_NODE)
        return NULL;
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (name->type != YAML_SCALAR_NODE || name->data.scalar.length != len ||
            memcmp(name->data.scalar.value, key, len) != 0)
            continue;
        found = yaml_document_get_node(document, pair->value);
        *line = (int)name->start_mark.line + 1;
    }
    return found;
}

static yaml_node_t *find_entry(yaml_document_t *document, const yaml_node_t *node, long index,
                               int *line)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return NULL;
    const yaml_node_item_t *item = node->data.sequence.items.start + index;
    if (index < 0 || item >= node->data.sequence.items.top)
        return NULL;
    yaml_node_t *found = yaml_document_get_node(document, *item);
    *line = (int)found->start_mark.line + 1;
    return found;
}

// The line of `path`, or of the deepest part of it that exists; 0 when there is nothing at all.
static int line_of(yaml_document_t *document, const char *path)
{
    int line = 0;
    yaml_node_t *node = yaml_document_get_root_node(document);
    while (node && *path) {
        if (*path == '[') {
            char *end;
            node = find_entry(document, node, strtol(path + 1, &end, 10), &line);
            path = end + 1;
        } else {
            size_t len = strcspn(path, ".[");
            node = find_key(document, node, path, len, &line);
            path += len;
        }
        path += *path == '.' ? 1 : 0;
    }
    return line;
}

// ---- messages -------------------------------------------------------------------------------

static int fail_at(const char *name, struct cv_config_why *why, int line, const char *text)
{
    why->line = line;
    if (line > 0)
        snprintf(why->text, sizeof why->text, "%s:%d: %.400s", name, line, text);
    else
        snprintf(why->text, sizeof why->text, "%s: %.400s", name, text);
    for (char *at = why->text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    return CV_E_CONFIG;
}

int cv_yaml_fail(struct cv_yaml *yaml, struct cv_config_why *why, const char *path,
                 const char *format, ...)
{
    char text[sizeof why->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail_at(yaml->name, why, line_of(&yaml->document, path), text);
}

// What libcyaml's log says about a failure: the cause first, then the way up from the place.
struct report {
    char cause[160];    // in its words, the first line
    const char *format; // of the cause: which one it is; static text of libcyaml
    char subject[80];   // the first %s of the cause
    char path[PATH_BYTES];
};

static void path_prepend(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void path_prepend(struct report *report, const char *format, ...)
{
    char head[PATH_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(head, sizeof head, format, args);
    va_end(args);
    const char *dot = report->path[0] == '\0' || report->path[0] == '[' ? "" : ".";
    size_t head_len = strlen(head) + strlen(dot);
    size_t tail_len = strlen(report->path);
    if (head_len + tail_len >= sizeof report->path)
        return;
    memmove(report->path + head_len, report->path, tail_len + 1);
    memcpy(report->path, head, strlen(head));
    memcpy(report->path + strlen(head), dot, strlen(dot));
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" // the formats are libcyaml's own
static void report_cause(struct report *report, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    if (strstr(format, "%s"))
        snprintf(report->subject, sizeof report->subject, "%s", va_arg(again, const char *));
    va_end(again);
    report->format = format;
    vsnprintf(report->cause, sizeof report->cause, format, args);
    report->cause[strcspn(report->cause, "\n")] = '\0';
}
#pragma GCC diagnostic pop

static void report_line(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    (void)level;
    struct report *report = ctx;
    if (starts_with(format, "  in mapping field '%s'"))
        path_prepend(report, "%s", va_arg(args, const char *));
    else if (starts_with(format, "  in sequence entry '%u'"))
        path_prepend(report, "[%u]", va_arg(args, unsigned) - 1);
    else if (!starts_with(format, "  in ") && !strstr(format, "Backtrace") && !report->format)
        report_cause(report, format, args);
}

static const cyaml_schema_field_t *fields_at(const char *path)
{
    size_t best = MAPPINGS - 1; // its prefix fits everything
    for (size_t i = 0; i < MAPPINGS; i++) {
        if (starts_with(path, mappings[i].prefix) &&
            strlen(mappings[i].prefix) > strlen(mappings[best].prefix))
            best = i;
    }
    return mappings[best].fields;
}

static bool has_key(const cyaml_schema_field_t *fields, const char *key)
{
    while (fields->key && strcmp(fields->key, key) != 0)
        fields++;
    return fields->key != NULL;
}

// What to do about a key that the mapping does not have: its neighbour, its right place, or all
// that there are.
static void hint_key(const char *path, const char *key, char *out, size_t size)
{
    struct cv_nearest nearest = cv_nearest_to(key);
    const cyaml_schema_field_t *fields = fields_at(path);
    for (const cyaml_schema_field_t *field = fields; field->key; field++)
        cv_nearest_try(&nearest, field->key);
    for (size_t i = 0; i < MAPPINGS; i++) {
        if (!has_key(mappings[i].fields, key))
            continue;
        snprintf(out, size, "it belongs %s", mappings[i].title);
        return;
    }
    if (nearest.best) {
        snprintf(out, size, "did you mean \"%s\"?", nearest.best);
        return;
    }
    size_t len = (size_t)snprintf(out, size, "known here:");
    for (; fields->key && len < size; fields++)
        len += (size_t)snprintf(out + len, size - len, " %s", fields->key);
}

static int fail_unknown_key(struct cv_yaml *yaml, struct report *report, struct cv_config_why *why)
{
    char hint[400];
    hint_key(report->path, report->subject, hint, sizeof hint);
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s%s%s", report->path, report->path[0] ? "." : "",
             report->subject);
    return cv_yaml_fail(yaml, why, path, "unknown key \"%s\" (%s)", report->subject, hint);
}

static int fail_shape(struct cv_yaml *yaml, struct report *report, struct cv_config_why *why)
{
    static const char *const shapes[][2] = {
        {"SEQUENCE", "a list, as [a, b]"},
        {"MAPPING", "a group of \"key: value\" lines"},
        {"STRING", "one plain value"},
    };
    const char *shape = report->subject;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i][0], report->subject) == 0)
            shape = shapes[i][1];
    }
    const char *what = report->path[0] ? report->path : "the file";
    return cv_yaml_fail(yaml, why, report->path, "%s must be %s", what, shape);
}

// The number of entries is wrong: the list counts, not the entry at which it showed.
static int fail_list(struct cv_yaml *yaml, struct report *report, struct cv_config_why *why,
                     const char *text)
{
    report->path[strcspn(report->path, "[")] = '\0';
    return cv_yaml_fail(yaml, why, report->path, "%s %s", report->path, text);
}

static int fail_load(struct cv_yaml *yaml, cyaml_err_t err, struct report *report,
                     struct cv_config_why *why)
{
    if (err == CYAML_ERR_OOM) {
        fail_at(yaml->name, why, 0, cv_err_text(CV_E_NOMEM));
        return CV_E_NOMEM;
    }
    const char *format = report->format ? report->format : "";
    if (starts_with(format, "Load: Unexpected key"))
        return fail_unknown_key(yaml, report, why);
    if (starts_with(format, "Load: Mapping field already seen"))
        return cv_yaml_fail(yaml, why, report->path, "%s is set twice", report->path);
    if (starts_with(format, "Load: Expecting %s, got"))
        return fail_shape(yaml, report, why);
    if (starts_with(format, "Load: Excessive entries"))
        return fail_list(yaml, report, why, "has too many entries");
    if (starts_with(format, "Load: Insufficient entries"))
        return fail_list(yaml, report, why, "is an empty list; leave it out for the default");
    return cv_yaml_fail(yaml, why, report->path, "%s%s%s", report->path,
                        report->path[0] ? ": " : "", cyaml_strerror(err));
}

// ---- loading --------------------------------------------------------------------------------

static void *memory(void *ctx, void *old, size_t size)
{
    (void)ctx;
    if (size == 0) {
        cv_mem_free(old);
        return NULL;
    }
    return cv_mem_resize(old, size);
}

static cyaml_config_t yaml_config(struct report *report)
{
    return (cyaml_config_t){
        .log_fn = report ? report_line : NULL,
        .log_ctx = report,
        .mem_fn = memory,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

static int fail_syntax(struct cv_yaml *yaml, const yaml_parser_t *parser, struct cv_config_why *why)
{
    const char *problem = parser->problem ? parser->problem : "not a YAML file";
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", problem, parser->context ? " " : "",
             parser->context ? parser->context : "");
    return fail_at(yaml->name, why, (int)parser->problem_mark.line + 1, text);
}

// A key that is itself a list or a mapping: libcyaml gives no place for it.
static int refuse_complex_keys(struct cv_yaml *yaml, struct cv_config_why *why)
{
    yaml_document_t *document = &yaml->document;
    for (const yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        if (node->type != YAML_MAPPING_NODE)
            continue;
        const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
        for (; pair < node->data.mapping.pairs.top; pair++) {
            const yaml_node_t *key = yaml_document_get_node(document, pair->key);
            if (key->type != YAML_SCALAR_NODE)
                return fail_at(yaml->name, why, (int)key->start_mark.line + 1,
                               "a key must be a plain word");
        }
    }
    return CV_OK;
}

// A second document in the file would be ignored without a word.
static int refuse_second(struct cv_yaml *yaml, yaml_parser_t *parser, struct cv_config_why *why)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second))
        return fail_syntax(yaml, parser, why);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    int line = root ? (int)root->start_mark.line + 1 : 0;
    yaml_document_delete(&second);
    return root ? fail_at(yaml->name, why, line, "only one document (\"---\") may be in the file")
                : CV_OK;
}

static int load_document(struct cv_yaml *yaml, const char *text, size_t len,
                         struct cv_config_why *why)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        fail_at(yaml->name, why, 0, cv_err_text(CV_E_NOMEM));
        return CV_E_NOMEM;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int err = CV_OK;
    if (!yaml_parser_load(&parser, &yaml->document)) {
        err = fail_syntax(yaml, &parser, why);
    } else if (yaml_document_get_root_node(&yaml->document)) {
        err = refuse_second(yaml, &parser, why);
        if (err == CV_OK)
            err = refuse_complex_keys(yaml, why);
        if (err != CV_OK)
            yaml_document_delete(&yaml->document);
    }
    yaml_parser_delete(&parser);
    return err;
}

// Empty, or only comments, or "---".
static bool sets_nothing(yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    return !root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0);
}

int cv_yaml_load(struct cv_yaml *yaml, const char *name, const char *text, size_t len,
                 struct cv_config_why *why)
{
    *yaml = (struct cv_yaml){.name = name};
    int err = load_document(yaml, text, len, why);
    if (err != CV_OK)
        return err;
    if (sets_nothing(&yaml->document))
        return CV_OK;
    struct report report = {.format = NULL};
    cyaml_config_t config = yaml_config(&report);
    cyaml_err_t failed = cyaml_load_data((const uint8_t *)text, len, &config, &top_schema,
                                         (cyaml_data_t **)&yaml->raw, NULL);
    if (failed == CYAML_OK)
        return CV_OK;
    err = fail_load(yaml, failed, &report, why);
    yaml_document_delete(&yaml->document);
    return err;
}

void cv_yaml_done(struct cv_yaml *yaml)
{
    CV_ASSERT(yaml->name);
    cyaml_config_t config = yaml_config(NULL);
    cyaml_free(&config, &top_schema, yaml->raw, 0);
    yaml->raw = NULL;
    yaml_document_delete(&yaml->document);
}
