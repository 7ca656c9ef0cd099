#include "server/config.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/config_tls.h"
#include "server/config_value.h"
#include "server/config_yaml.h"

#include <errno.h>
#include <string.h>

static int fail_nomem(struct cv_config_why *why)
{
    *why = (struct cv_config_why){.line = 0};
    snprintf(why->text, sizeof why->text, "%s", cv_err_text(CV_E_NOMEM));
    return CV_E_NOMEM;
}

// ---- defaults -------------------------------------------------------------------------------

static void app_default(struct cv_config_app *app)
{
    *app = (struct cv_config_app){.name = "live"};
    cv_fields_default(&cv_fields_app, app);
}

// A configuration with all defaults and room for `app_count` apps, or NULL.
static struct cv_config *config_new(uint32_t app_count)
{
    CV_ASSERT(app_count > 0 && app_count <= CV_LIMIT_APPS);
    struct cv_config *config = cv_mem_zero(1, sizeof *config);
    if (!config)
        return NULL;
    atomic_init(&config->refs, 1);
    config->apps = cv_mem_zero(app_count, sizeof *config->apps);
    if (!config->apps) {
        cv_mem_free(config);
        return NULL;
    }
    config->app_count = app_count;
    for (uint32_t i = 0; i < app_count; i++)
        app_default(&config->apps[i]);
    cv_fields_default(&cv_fields_top, config);
    cv_fields_default(&cv_fields_limits, &config->limits);
    cv_fields_default(&cv_fields_tls, &config->tls);
    config->listen_default = true;
    config->listen[0].port = CV_PORT_HTTP;
    config->listen[1].port = CV_PORT_RTMP;
    config->listen_count = 2;
    return config;
}

// ---- from YAML ------------------------------------------------------------------------------

static int read_field(struct cv_yaml *yaml, const struct cv_field *field, const char *prefix,
                      const char *text, void *owner, struct cv_config_why *why)
{
    uint32_t value;
    if (cv_field_parse(field, text, &value) == CV_OK) {
        cv_field_set(field, owner, value);
        return CV_OK;
    }
    char path[64];
    char expects[96];
    snprintf(path, sizeof path, "%s%s", prefix, field->name);
    cv_field_expects(field, expects, sizeof expects);
    const char *nearest = cv_field_nearest(field, text);
    return cv_yaml_fail(yaml, why, path, "%s is \"%.64s\", but must be %s%s%s%s", field->name, text,
                        expects, nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?)" : "");
}

// The settings of one mapping that are there. `prefix` is the mapping's path and a dot, or "".
static int read_fields(struct cv_yaml *yaml, const struct cv_fields *fields, const char *prefix,
                       const void *raw, void *owner, struct cv_config_why *why)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct cv_field *field = &fields->rows[i];
        const char *text;
        memcpy(&text, (const char *)raw + field->raw_at, sizeof text);
        int err = text ? read_field(yaml, field, prefix, text, owner, why) : CV_OK;
        if (err != CV_OK)
            return err;
    }
    return CV_OK;
}

static int read_listen(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const struct cv_raw_config *raw = yaml->raw;
    if (!raw->listen)
        return CV_OK;
    CV_ASSERT(raw->listen_count <= CV_LIMIT_LISTEN);
    for (uint32_t i = 0; i < raw->listen_count; i++) {
        char path[32];
        snprintf(path, sizeof path, "listen[%u]", i);
        if (cv_listen_parse(raw->listen[i], &config->listen[i]) != CV_OK)
            return cv_yaml_fail(yaml, why, path,
                                "listen has \"%.64s\", but takes a port from 1 to 65535, alone or "
                                "behind an address: 80, \"127.0.0.1:80\", \"[::1]:80\"; /tls or "
                                "/plain may stand behind it",
                                raw->listen[i]);
        for (uint32_t j = 0; j < i; j++) {
            if (config->listen[j].port == config->listen[i].port &&
                strcmp(config->listen[j].address, config->listen[i].address) == 0)
                return cv_yaml_fail(yaml, why, path, "listen has \"%.64s\" twice", raw->listen[i]);
        }
    }
    config->listen_count = raw->listen_count;
    config->listen_default = false;
    return CV_OK;
}

static int read_trusted(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const struct cv_raw_config *raw = yaml->raw;
    CV_ASSERT(raw->trusted_proxies_count <= CV_LIMIT_TRUSTED_PROXIES);
    for (uint32_t i = 0; i < raw->trusted_proxies_count; i++) {
        char path[32];
        const char *text = raw->trusted_proxies[i];
        snprintf(path, sizeof path, "trusted_proxies[%u]", i);
        if (cv_ip_range_parse(cv_text_of(text), &config->trusted_proxies[i]) != CV_OK)
            return cv_yaml_fail(yaml, why, path,
                                "trusted_proxies has \"%.64s\", but takes addresses and networks "
                                "without bits behind their prefix: \"127.0.0.1\", \"10.0.0.0/8\", "
                                "\"fd00::/8\"",
                                text);
    }
    config->trusted_proxy_count = raw->trusted_proxies_count;
    return CV_OK;
}

// Names travel in URLs and logs: letters, digits and "._~-", with "/" between.
static bool app_name_valid(const char *name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-/";
    size_t len = strlen(name);
    if (len == 0 || len > CV_LIMIT_APP_NAME_BYTES || strspn(name, plain) != len)
        return false;
    return name[0] != '/' && name[len - 1] != '/' && !strstr(name, "//") && !strstr(name, "..");
}

static int read_app_name(struct cv_yaml *yaml, struct cv_config *config, uint32_t index,
                         struct cv_config_why *why)
{
    struct cv_config_app *app = &config->apps[index];
    const char *name = yaml->raw->apps[index].name;
    char path[32];
    snprintf(path, sizeof path, "apps[%u].name", index);
    if (name && !app_name_valid(name))
        return cv_yaml_fail(yaml, why, path,
                            "name is \"%.64s\", but must be 1 to %d of letters, digits, \"._~-\", "
                            "with \"/\" between",
                            name, CV_LIMIT_APP_NAME_BYTES);
    if (name)
        snprintf(app->name, sizeof app->name, "%s", name);
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(config->apps[i].name, app->name) == 0)
            return cv_yaml_fail(yaml, why, path, "two apps have the name \"%s\"%s", app->name,
                                name ? "" : " (it is the default name)");
    }
    return CV_OK;
}

static int read_apps(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const struct cv_raw_config *raw = yaml->raw;
    for (uint32_t i = 0; i < raw->apps_count; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "apps[%u].", i);
        int err = read_app_name(yaml, config, i, why);
        if (err == CV_OK)
            err = read_fields(yaml, &cv_fields_app, prefix, &raw->apps[i], &config->apps[i], why);
        if (err != CV_OK)
            return err;
    }
    return CV_OK;
}

static int read_state(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const char *state = yaml->raw->state;
    if (!state)
        return CV_OK;
    if (*state == '\0')
        return cv_yaml_fail(yaml, why, "state", "state must name a folder");
    config->state_dir = cv_mem_text(state, strlen(state));
    return config->state_dir ? CV_OK : fail_nomem(why);
}

static int read_site(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const char *site = yaml->raw->site;
    struct cv_why wrong = {0};
    if (!site || cv_site_parse(site, &config->site, &wrong) == CV_OK)
        return CV_OK;
    return cv_yaml_fail(yaml, why, "site", "site %s", wrong.text);
}

static int read_yaml(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    const struct cv_raw_config *raw = yaml->raw;
    if (!raw)
        return CV_OK;
    int err = read_fields(yaml, &cv_fields_top, "", raw, config, why);
    if (err == CV_OK)
        err = read_listen(yaml, config, why);
    if (err == CV_OK)
        err = read_state(yaml, config, why);
    if (err == CV_OK)
        err = read_trusted(yaml, config, why);
    if (err == CV_OK)
        err = read_site(yaml, config, why);
    if (err == CV_OK)
        err = read_fields(yaml, &cv_fields_limits, "limits.", &raw->limits, &config->limits, why);
    if (err == CV_OK)
        err = read_fields(yaml, &cv_fields_tls, "tls.", &raw->tls, &config->tls, why);
    if (err == CV_OK)
        err = cv_config_tls_read(yaml, config, why);
    return err == CV_OK ? read_apps(yaml, config, why) : err;
}

// ---- the command line on top ----------------------------------------------------------------

static int lay_over(struct cv_config *config, const struct cv_config_override *over)
{
    if (over->listen_count > 0) {
        CV_ASSERT(over->listen_count <= CV_LIMIT_LISTEN);
        memcpy(config->listen, over->listen, sizeof config->listen);
        config->listen_count = over->listen_count;
        config->listen_default = false;
    }
    if (over->has_threads)
        config->threads = over->threads;
    if (over->has_log_level)
        config->log_level = over->log_level;
    if (over->open_publish)
        config->open_publish = true;
    if (over->site.kind != CV_SITE_NONE)
        config->site = over->site;
    if (cv_config_tls_lay_over(&config->tls, over) != CV_OK)
        return CV_E_NOMEM;
    if (!over->state_dir)
        return CV_OK;
    char *state_dir = cv_mem_text(over->state_dir, strlen(over->state_dir));
    if (!state_dir)
        return CV_E_NOMEM;
    cv_mem_free(config->state_dir);
    config->state_dir = state_dir;
    return CV_OK;
}

// Where nobody named a port, and there is TLS.
static void add_https(struct cv_config *config)
{
    if (!config->listen_default || !cv_config_has_tls(config))
        return;
    config->listen[config->listen_count++] = (struct cv_listen){.port = CV_PORT_HTTPS};
}

// ---- what does not fit together -------------------------------------------------------------

static bool is_this_machine(const char *host)
{
    static const char *const names[] = {"localhost", "::1", "0.0.0.0", "::"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(host, names[i]) == 0)
            return true;
    }
    return strncmp(host, "127.", 4) == 0;
}

// A site that is this server itself would ask itself without end.
static int check_site(struct cv_yaml *yaml, const struct cv_config *config,
                      struct cv_config_why *why)
{
    const struct cv_config_site *site = &config->site;
    if (site->kind != CV_SITE_UPSTREAM)
        return CV_OK;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const struct cv_listen *listen = &config->listen[i];
        bool every = listen->address[0] == '\0';
        bool same = every ? is_this_machine(site->host) : strcmp(listen->address, site->host) == 0;
        if (same && listen->port == site->port)
            return cv_yaml_fail(yaml, why, "site",
                                "site is this server itself, which listens on port %u: let the "
                                "site's web server listen on another one, as in "
                                "http://127.0.0.1:8081",
                                site->port);
    }
    return CV_OK;
}

// ---- loading --------------------------------------------------------------------------------

int cv_config_parse(const char *name, const char *text, size_t len,
                    const struct cv_config_override *over, struct cv_config **out,
                    struct cv_config_why *why)
{
    *why = (struct cv_config_why){.line = 0};
    struct cv_yaml yaml;
    int err = cv_yaml_load(&yaml, name, text, len, why);
    if (err != CV_OK)
        return err;
    uint32_t app_count = yaml.raw && yaml.raw->apps_count ? yaml.raw->apps_count : 1;
    struct cv_config *config = config_new(app_count);
    err = config ? read_yaml(&yaml, config, why) : fail_nomem(why);
    if (err == CV_OK && over && lay_over(config, over) != CV_OK)
        err = fail_nomem(why);
    if (err == CV_OK) {
        add_https(config);
        err = check_site(&yaml, config, why);
    }
    if (err == CV_OK)
        err = cv_config_tls_check(&yaml, config, why);
    cv_yaml_done(&yaml);
    if (err != CV_OK) {
        cv_config_unref(&config);
        return err;
    }
    *out = config;
    return CV_OK;
}

static int fail_file(struct cv_config_why *why, const char *path, const char *text)
{
    *why = (struct cv_config_why){.line = 0};
    snprintf(why->text, sizeof why->text, "%s: %s", path, text);
    return CV_E_SYSTEM;
}

// Reads the whole file into *out (cv_mem_free), which has one byte more than the most allowed.
static int read_file(const char *path, char **out, size_t *out_len, struct cv_config_why *why)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail_file(why, path, strerror(errno));
    char *text = cv_mem_alloc(CV_LIMIT_CONFIG_BYTES + 1);
    if (!text) {
        fclose(file);
        return fail_nomem(why);
    }
    size_t len = fread(text, 1, CV_LIMIT_CONFIG_BYTES + 1, file);
    int err = ferror(file) ? fail_file(why, path, strerror(errno)) : CV_OK;
    fclose(file);
    if (err == CV_OK && len > CV_LIMIT_CONFIG_BYTES)
        err = fail_file(why, path, "longer than a configuration may be (1 MiB)");
    if (err != CV_OK) {
        cv_mem_free(text);
        return err;
    }
    *out = text;
    *out_len = len;
    return CV_OK;
}

static int load(const char *path, const struct cv_config_override *over, struct cv_config **out,
                struct cv_config_why *why)
{
    if (!path)
        return cv_config_parse("(defaults)", "", 0, over, out, why);
    char *text;
    size_t len;
    int err = read_file(path, &text, &len, why);
    if (err != CV_OK)
        return err;
    err = cv_config_parse(path, text, len, over, out, why);
    cv_mem_free(text);
    return err;
}

int cv_config_load(const char *path, const struct cv_config_override *over, struct cv_config **out,
                   struct cv_config_why *why)
{
    struct cv_config *config;
    struct cv_why wrong = {0};
    int err = load(path, over, &config, why);
    if (err != CV_OK)
        return err;
    const char *setting = "site";
    err = cv_site_check(&config->site, &wrong);
    if (err == CV_OK && config->tls.challenge_folder[0]) {
        setting = "tls.challenge_folder";
        err = cv_folder_check(config->tls.challenge_folder, &wrong);
    }
    if (err != CV_OK) {
        why->line = 0;
        snprintf(why->text, sizeof why->text, "%s %s", setting, wrong.text);
        cv_config_unref(&config);
        return err;
    }
    *out = config;
    return CV_OK;
}

struct cv_config *cv_config_ref(struct cv_config *config)
{
    unsigned before = atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    CV_ASSERT(before > 0);
    return config;
}

void cv_config_unref(struct cv_config **config)
{
    struct cv_config *gone = *config;
    *config = NULL;
    if (!gone)
        return;
    unsigned before = atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel);
    CV_ASSERT(before > 0);
    if (before > 1)
        return;
    cv_mem_free(gone->state_dir);
    cv_mem_free(gone->apps);
    cv_config_tls_done(&gone->tls);
    cv_mem_free(gone);
}

// ---- questions ------------------------------------------------------------------------------

const struct cv_config_app *cv_config_app(const struct cv_config *config, const char *name,
                                          size_t len)
{
    for (uint32_t i = 0; i < config->app_count; i++) {
        const struct cv_config_app *app = &config->apps[i];
        if (strlen(app->name) == len && memcmp(app->name, name, len) == 0)
            return app;
    }
    return NULL;
}

bool cv_config_trusts(const struct cv_config *config, const struct cv_ip *ip)
{
    for (uint32_t i = 0; i < config->trusted_proxy_count; i++) {
        if (cv_ip_range_has(&config->trusted_proxies[i], ip))
            return true;
    }
    return false;
}

enum cv_access cv_config_publish(const struct cv_config *config, const struct cv_config_app *app)
{
    if (config->open_publish && app->publish == CV_ACCESS_KEY)
        return CV_ACCESS_OPEN;
    return app->publish;
}
