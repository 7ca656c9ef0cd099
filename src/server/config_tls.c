#include "server/config_tls.h"

#include "base/check.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/mem.h"
#include "base/url.h"
#include "server/config_value.h"

#include <string.h>
#include <strings.h>

enum { PATH_BYTES = 64 };

static int fail_nomem(struct cv_config_why *why)
{
    *why = (struct cv_config_why){.line = 0};
    snprintf(why->text, sizeof why->text, "%s", cv_err_text(CV_E_NOMEM));
    return CV_E_NOMEM;
}

// ---- certificates ------------------------------------------------------------------------------

// The name of a file, where `path` says so ("tls.cert").
static int read_file_name(struct cv_yaml *yaml, const char *path, const char *text,
                          char out[CV_LIMIT_FOLDER_BYTES + 1], struct cv_config_why *why)
{
    size_t len = strlen(text);
    if (len == 0 || len > CV_LIMIT_FOLDER_BYTES)
        return cv_yaml_fail(yaml, why, path, "%s must name a file, in at most %d bytes", path,
                            CV_LIMIT_FOLDER_BYTES);
    memcpy(out, text, len + 1);
    return CV_OK;
}

// `prefix`: where `cert` and `key` stand ("tls.", "tls.certificates[0].").
static int read_pair(struct cv_yaml *yaml, const char *prefix, const char *cert, const char *key,
                     struct cv_config_certificate *out, struct cv_config_why *why)
{
    char cert_path[PATH_BYTES];
    char key_path[PATH_BYTES];
    snprintf(cert_path, sizeof cert_path, "%scert", prefix);
    snprintf(key_path, sizeof key_path, "%skey", prefix);
    if (!cert)
        return cv_yaml_fail(yaml, why, key ? key_path : prefix,
                            "%s is needed: the file of the certificate and its chain", cert_path);
    if (!key)
        return cv_yaml_fail(yaml, why, cert_path,
                            "%s is needed beside it: the file of the certificate's key", key_path);
    int err = read_file_name(yaml, cert_path, cert, out->cert_file, why);
    return err == CV_OK ? read_file_name(yaml, key_path, key, out->key_file, why) : err;
}

static int read_certificates(struct cv_yaml *yaml, struct cv_config_tls *tls,
                             struct cv_config_why *why)
{
    const struct cv_raw_tls *raw = &yaml->raw->tls;
    bool single = raw->cert || raw->key;
    if (!single && !raw->certificates)
        return CV_OK;
    if (single && raw->certificates)
        return cv_yaml_fail(yaml, why, raw->cert ? "tls.cert" : "tls.key",
                            "tls.%s stands beside tls.certificates: let it be an entry of that",
                            raw->cert ? "cert" : "key");
    uint32_t count = single ? 1 : raw->certificates_count;
    tls->certificates = cv_mem_zero(count, sizeof *tls->certificates);
    if (!tls->certificates)
        return fail_nomem(why);
    tls->certificate_count = count;
    if (single)
        return read_pair(yaml, "tls.", raw->cert, raw->key, &tls->certificates[0], why);
    int err = CV_OK;
    for (uint32_t i = 0; i < count && err == CV_OK; i++) {
        const struct cv_raw_certificate *entry = &raw->certificates[i];
        char prefix[PATH_BYTES / 2];
        snprintf(prefix, sizeof prefix, "tls.certificates[%u].", i);
        err = read_pair(yaml, prefix, entry->cert, entry->key, &tls->certificates[i], why);
    }
    return err;
}

// ---- acme --------------------------------------------------------------------------------------

static int read_directory(struct cv_yaml *yaml, struct cv_config_acme *acme,
                          struct cv_config_why *why)
{
    const char *text = yaml->raw->tls.acme.directory;
    struct cv_url url;
    if (!text)
        return CV_OK;
    if (cv_url_parse(&url, cv_text_of(text), NULL) != CV_OK || url.scheme != CV_SCHEME_HTTPS)
        return cv_yaml_fail(yaml, why, "tls.acme.directory",
                            "tls.acme.directory is \"%.64s\", but must be the https:// address of "
                            "an authority, as https://acme-v02.api.letsencrypt.org/directory",
                            text);
    memcpy(acme->directory, text, strlen(text) + 1); // cv_url_parse takes no longer one
    return CV_OK;
}

static int read_email(struct cv_yaml *yaml, struct cv_config_acme *acme, struct cv_config_why *why)
{
    const char *text = yaml->raw->tls.acme.email;
    if (!text || *text == '\0')
        return CV_OK;
    const char *at = strchr(text, '@');
    bool plain = strpbrk(text, " \t\r\n,;<>\"\\") == NULL;
    if (!at || at == text || at[1] == '\0' || !plain || strlen(text) >= sizeof acme->email)
        return cv_yaml_fail(yaml, why, "tls.acme.email",
                            "tls.acme.email is \"%.64s\", but must be one address, as "
                            "admin@example.com",
                            text);
    memcpy(acme->email, text, strlen(text) + 1);
    return CV_OK;
}

// What is wrong with a name that an authority is to look at by HTTP, or NULL.
static const char *refuse_domain(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    struct cv_ip ip;
    if (strchr(name, '*'))
        return "names with * cannot be had this way; write each name";
    if (cv_ip_parse(cv_text_of(name), &ip) == CV_OK)
        return "must be a name, not an address";
    size_t len = strlen(name);
    if (len == 0 || len > CV_LIMIT_HOST_BYTES)
        return "must be a name, as stream.example.com";
    for (const char *label = name; label; label = strchr(label, '.') ? strchr(label, '.') + 1 : 0) {
        size_t label_len = strcspn(label, ".");
        bool valid = label_len > 0 && label_len <= 63 && strspn(label, letters) >= label_len;
        if (!valid || label[0] == '-' || label[label_len - 1] == '-')
            return "must be a name, as stream.example.com";
    }
    return NULL;
}

static int read_domains(struct cv_yaml *yaml, struct cv_config_acme *acme,
                        struct cv_config_why *why)
{
    const struct cv_raw_acme *raw = &yaml->raw->tls.acme;
    CV_ASSERT(raw->domains_count <= CV_LIMIT_ACME_DOMAINS);
    for (uint32_t i = 0; i < raw->domains_count; i++) {
        char path[PATH_BYTES];
        const char *name = raw->domains[i];
        const char *wrong = refuse_domain(name);
        snprintf(path, sizeof path, "tls.acme.domains[%u]", i);
        for (uint32_t j = 0; j < i && !wrong; j++)
            wrong = strcasecmp(acme->domains[j], name) == 0 ? "it is there twice" : NULL;
        if (wrong)
            return cv_yaml_fail(yaml, why, path, "tls.acme.domains has \"%.64s\": %s", name, wrong);
        memcpy(acme->domains[i], name, strlen(name) + 1);
    }
    acme->domain_count = raw->domains_count;
    return CV_OK;
}

static int read_acme(struct cv_yaml *yaml, struct cv_config_acme *acme, struct cv_config_why *why)
{
    const struct cv_raw_acme *raw = &yaml->raw->tls.acme;
    int err = read_directory(yaml, acme, why);
    if (err == CV_OK)
        err = read_email(yaml, acme, why);
    if (err == CV_OK)
        err = read_domains(yaml, acme, why);
    if (err == CV_OK && raw->ca_file)
        err = read_file_name(yaml, "tls.acme.ca_file", raw->ca_file, acme->ca_file, why);
    if (err != CV_OK)
        return err;
    bool any = acme->domain_count > 0 || acme->email[0] || acme->ca_file[0];
    if (any && !acme->directory[0])
        return cv_yaml_fail(yaml, why, "tls.acme",
                            "tls.acme needs a directory, the address of the authority, as "
                            "https://acme-v02.api.letsencrypt.org/directory");
    if (acme->directory[0] && acme->domain_count == 0)
        return cv_yaml_fail(yaml, why, "tls.acme",
                            "tls.acme needs domains, the names that the certificate is for");
    if (acme->directory[0] && !acme->email[0])
        return cv_yaml_fail(yaml, why, "tls.acme",
                            "tls.acme needs an email, where the authority may write to");
    return CV_OK;
}

// ---- the whole ---------------------------------------------------------------------------------

static int read_challenge_folder(struct cv_yaml *yaml, struct cv_config_tls *tls,
                                 struct cv_config_why *why)
{
    const char *text = yaml->raw->tls.challenge_folder;
    if (!text)
        return CV_OK;
    size_t len = strlen(text);
    while (len > 1 && text[len - 1] == '/')
        len--;
    if (text[0] != '/' || len > CV_LIMIT_FOLDER_BYTES)
        return cv_yaml_fail(yaml, why, "tls.challenge_folder",
                            "tls.challenge_folder is \"%.64s\", but must be a folder that begins "
                            "with /",
                            text);
    memcpy(tls->challenge_folder, text, len);
    return CV_OK;
}

int cv_config_tls_read(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why)
{
    struct cv_config_tls *tls = &config->tls;
    int err = read_certificates(yaml, tls, why);
    if (err == CV_OK)
        err = read_acme(yaml, &tls->acme, why);
    return err == CV_OK ? read_challenge_folder(yaml, tls, why) : err;
}

int cv_config_tls_lay_over(struct cv_config_tls *tls, const struct cv_config_override *over)
{
    if (over->self_signed)
        tls->self_signed = true;
    if (!over->tls_cert)
        return CV_OK;
    CV_ASSERT(over->tls_key);
    struct cv_config_certificate *only = cv_mem_zero(1, sizeof *only);
    if (!only)
        return CV_E_NOMEM;
    snprintf(only->cert_file, sizeof only->cert_file, "%s", over->tls_cert);
    snprintf(only->key_file, sizeof only->key_file, "%s", over->tls_key);
    cv_mem_free(tls->certificates);
    tls->certificates = only;
    tls->certificate_count = 1;
    return CV_OK;
}

void cv_config_tls_done(struct cv_config_tls *tls)
{
    cv_mem_free(tls->certificates);
    tls->certificates = NULL;
    tls->certificate_count = 0;
}

bool cv_config_has_tls(const struct cv_config *config)
{
    const struct cv_config_tls *tls = &config->tls;
    return tls->certificate_count > 0 || tls->self_signed || tls->acme.directory[0];
}

int cv_config_tls_check(struct cv_yaml *yaml, const struct cv_config *config,
                        struct cv_config_why *why)
{
    bool has = cv_config_has_tls(config);
    bool any = config->listen_default;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const struct cv_listen *listen = &config->listen[i];
        char text[CV_LISTEN_TEXT_BYTES];
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "listen[%u]", i);
        cv_listen_text(listen, text, sizeof text);
        if (listen->takes == CV_LISTEN_TLS && !has)
            return cv_yaml_fail(yaml, why, path,
                                "listen has \"%s\", but there is no certificate: set tls, with "
                                "cert and key",
                                text);
        any = any || listen->takes != CV_LISTEN_PLAIN;
    }
    if (!has || any)
        return CV_OK;
    return cv_yaml_fail(yaml, why, "tls",
                        "tls is set, but all ports of listen are for plain text: "
                        "take /plain off one, or add 443");
}
