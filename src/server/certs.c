#include "server/certs.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/tls.h"
#include "server/acme_files.h"
#include "server/log.h"
#include "server/self_signed.h"
#include "server/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char place[] = "tls";

enum { CERTS_MAX = CV_LIMIT_SHOWN_CERTIFICATES, DAY_S = 86400 };

struct entry {
    struct cv_tls_cert *cert; // a reference
    bool own;                 // made by ourselves
    char file[CV_LIMIT_FOLDER_BYTES + 1];
};

struct cv_certs {
    struct cv_tls_server *server; // a reference; NULL: no certificates
    struct cv_why left_out;       // the authority's is there, and of no use; CV_OK: no
    bool stands_in;               // our own, in the place of the authority's
    unsigned count;
    struct entry entries[]; // CERTS_MAX
};

// ---- loading -----------------------------------------------------------------------------------

static void add(struct cv_certs *certs, struct cv_tls_cert *cert, const char *file, bool own)
{
    CV_ASSERT(certs->count < CERTS_MAX);
    struct entry *entry = &certs->entries[certs->count++];
    entry->cert = cert;
    entry->own = own;
    snprintf(entry->file, sizeof entry->file, "%s", file);
}

static int load_pair(struct cv_certs *certs, const struct cv_config_certificate *pair,
                     int64_t now_s, struct cv_why *why)
{
    struct cv_tls_cert *cert;
    int err = cv_tls_cert_load(&cert, pair->cert_file, pair->key_file, now_s, why);
    if (err == CV_OK)
        add(certs, cert, pair->cert_file, false);
    return err;
}

static int load_named(struct cv_certs *certs, const struct cv_config *config, int64_t now_s,
                      struct cv_why *why)
{
    const struct cv_config_tls *tls = &config->tls;
    int err = CV_OK;
    for (uint32_t i = 0; i < tls->certificate_count && err == CV_OK; i++)
        err = load_pair(certs, &tls->certificates[i], now_s, why);
    return err;
}

int cv_certs_acme_file(const struct cv_config *config, struct cv_config_certificate *out,
                       struct cv_why *why)
{
    int err = cv_state_file(config->state_dir, "acme/" CV_ACME_CERTIFICATE, out->cert_file,
                            sizeof out->cert_file, why);
    if (err == CV_OK)
        memcpy(out->key_file, out->cert_file, sizeof out->key_file);
    return err;
}

static int load_acme(struct cv_certs *certs, const struct cv_config *config, int64_t now_s,
                     struct cv_why *why)
{
    struct stat stat_now;
    struct cv_config_certificate pair;
    if (!config->tls.acme.directory[0])
        return CV_OK;
    int err = cv_certs_acme_file(config, &pair, why);
    if (err != CV_OK || stat(pair.cert_file, &stat_now) != 0)
        return err;
    err = load_pair(certs, &pair, now_s, &certs->left_out);
    return err == CV_E_NOMEM ? cv_why_set(why, err, place, "%s", certs->left_out.text) : CV_OK;
}

// In the place of an authority's that has not come yet, too: who speaks TLS is answered, and may
// see what it is.
static int load_own(struct cv_certs *certs, const struct cv_config *config, int64_t now_s,
                    struct cv_why *why)
{
    struct cv_self_signed files;
    struct cv_tls_cert *cert;
    bool lacking = config->tls.acme.directory[0] && certs->count == 0;
    if (!config->tls.self_signed && !lacking)
        return CV_OK;
    certs->stands_in = !config->tls.self_signed;
    int err = cv_self_signed_files(&files, config, why);
    if (err == CV_OK)
        err = cv_self_signed_load(&cert, &files, now_s, why);
    if (err == CV_OK)
        add(certs, cert, files.cert_file, true);
    return err;
}

static int make_server(struct cv_certs *certs, const struct cv_certs *previous, struct cv_why *why)
{
    struct cv_tls_cert *list[CERTS_MAX];
    if (certs->count == 0)
        return CV_OK;
    for (unsigned i = 0; i < certs->count; i++)
        list[i] = certs->entries[i].cert;
    return cv_tls_server_new(&certs->server, list, certs->count, cv_certs_server(previous), why);
}

static struct cv_certs *certs_new(void)
{
    return cv_mem_zero(1, sizeof(struct cv_certs) + CERTS_MAX * sizeof(struct entry));
}

int cv_certs_load(struct cv_certs **out, const struct cv_config *config,
                  const struct cv_certs *previous, int64_t now_s, struct cv_why *why)
{
    struct cv_certs *certs = certs_new();
    if (!certs)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for certificates");
    int err = load_named(certs, config, now_s, why);
    if (err == CV_OK)
        err = load_acme(certs, config, now_s, why);
    if (err == CV_OK)
        err = load_own(certs, config, now_s, why);
    if (err == CV_OK)
        err = make_server(certs, previous, why);
    if (err != CV_OK) {
        cv_certs_free(&certs);
        return err;
    }
    *out = certs;
    return CV_OK;
}

int cv_certs_check(const struct cv_config *config, int64_t now_s, struct cv_why *why)
{
    struct cv_certs *certs = certs_new();
    if (!certs)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for certificates");
    int err = load_named(certs, config, now_s, why);
    cv_certs_free(&certs);
    return err;
}

void cv_certs_free(struct cv_certs **certs)
{
    struct cv_certs *gone = *certs;
    *certs = NULL;
    if (!gone)
        return;
    for (unsigned i = 0; i < gone->count; i++)
        cv_tls_cert_unref(&gone->entries[i].cert);
    cv_tls_server_unref(&gone->server);
    cv_mem_free(gone);
}

struct cv_tls_server *cv_certs_server(const struct cv_certs *certs)
{
    return certs ? certs->server : NULL;
}

bool cv_certs_lack(const struct cv_certs *certs, const struct cv_config *config, int64_t now_s)
{
    struct cv_config_certificate pair;
    struct cv_tls_cert *cert = NULL;
    struct cv_why still = {0};
    if (certs->left_out.code == CV_OK || cv_certs_acme_file(config, &pair, &still) != CV_OK)
        return false;
    int err = cv_tls_cert_load(&cert, pair.cert_file, pair.key_file, now_s, &still);
    cv_tls_cert_unref(&cert);
    return err == CV_OK;
}

// ---- the files ---------------------------------------------------------------------------------

static uint64_t mix(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ (value >> 8 * i & 0xff)) * UINT64_C(1099511628211); // FNV-1a
    return hash;
}

// Which file it is, and when it was changed, its rights included.
static uint64_t mix_file(uint64_t hash, const char *file)
{
    struct stat now;
    if (stat(file, &now) != 0)
        return mix(hash, (uint64_t)errno);
    const uint64_t values[] = {
        (uint64_t)now.st_dev,          (uint64_t)now.st_ino,          (uint64_t)now.st_size,
        (uint64_t)now.st_mtim.tv_sec,  (uint64_t)now.st_mtim.tv_nsec, (uint64_t)now.st_ctim.tv_sec,
        (uint64_t)now.st_ctim.tv_nsec,
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hash = mix(hash, values[i]);
    return hash;
}

static uint64_t mix_pair(uint64_t hash, const char *cert_file, const char *key_file)
{
    return mix_file(mix_file(hash, cert_file), key_file);
}

uint64_t cv_certs_stamp(const struct cv_config *config)
{
    const struct cv_config_tls *tls = &config->tls;
    struct cv_config_certificate acme;
    struct cv_self_signed own;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (uint32_t i = 0; i < tls->certificate_count; i++)
        hash = mix_pair(hash, tls->certificates[i].cert_file, tls->certificates[i].key_file);
    if (tls->acme.directory[0] && cv_certs_acme_file(config, &acme, NULL) == CV_OK)
        hash = mix_file(hash, acme.cert_file);
    if (tls->self_signed && cv_self_signed_files(&own, config, NULL) == CV_OK)
        hash = mix_pair(hash, own.cert_file, own.key_file);
    return hash;
}

// ---- for people --------------------------------------------------------------------------------

static void add_day(struct cv_line *line, const char *key, int64_t time_s)
{
    char day[16] = "?";
    time_t time = (time_t)time_s;
    struct tm parts;
    if (gmtime_r(&time, &parts))
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
    cv_line_text(line, key, day);
}

static void begin(struct cv_line *line, enum cv_log_level level, const char *event,
                  const struct entry *entry, struct cv_tls_cert_info *info)
{
    cv_tls_cert_info(entry->cert, info);
    cv_line_begin(line, level, event);
    cv_line_text(line, "names", info->names);
    cv_line_text(line, "file", entry->file);
    add_day(line, "expires", info->not_after_s);
}

static void log_loaded(const struct entry *entry)
{
    struct cv_line line;
    struct cv_tls_cert_info info;
    begin(&line, CV_LOG_INFO, "tls.loaded", entry, &info);
    cv_line_text(&line, "issuer", info.self_signed ? "itself" : info.issuer);
    cv_line_text(&line, "kernel", cv_tls_kernel_offers() ? "yes" : "no");
    cv_line_end(&line);
    if (info.self_signed || info.chain_count > 0)
        return;
    begin(&line, CV_LOG_WARN, "tls.no_chain", entry, &info);
    cv_line_text(&line, "hint",
                 "the issuer's certificate is not in the file; most clients need it there: "
                 "name the file with the chain, as fullchain.pem");
    cv_line_end(&line);
}

static void log_lack(const struct cv_certs *certs, const struct cv_certs *before)
{
    const char *told = before ? before->left_out.text : "";
    if (certs->left_out.code != CV_OK && strcmp(certs->left_out.text, told) != 0)
        cv_log_text(CV_LOG_WARN, "tls.left_out", "why", certs->left_out.text);
    if (certs->stands_in && !(before && before->stands_in))
        cv_log_text(CV_LOG_WARN, "tls.stand_in", "hint",
                    "until the authority's certificate is there, clients of TLS are shown a "
                    "self-signed one, and refuse it");
}

void cv_certs_log(const struct cv_certs *certs, const struct cv_certs *before)
{
    log_lack(certs, before);
    for (unsigned i = 0; i < certs->count; i++)
        log_loaded(&certs->entries[i]);
}

void cv_certs_warn(const struct cv_certs *certs, int64_t now_s)
{
    for (unsigned i = 0; i < certs->count; i++) {
        struct cv_line line;
        struct cv_tls_cert_info info;
        cv_tls_cert_info(certs->entries[i].cert, &info);
        int64_t left_s = info.not_after_s - now_s;
        if (left_s >= (int64_t)CV_TLS_WARN_DAYS * DAY_S)
            continue;
        bool over = left_s < 0;
        begin(&line, over ? CV_LOG_ERROR : CV_LOG_WARN, over ? "tls.expired" : "tls.expires",
              &certs->entries[i], &info);
        cv_line_int(&line, "days", left_s / DAY_S);
        cv_line_text(&line, "hint",
                     over ? "clients refuse it: renew it"
                          : "clients will refuse it then: renew it");
        cv_line_end(&line);
    }
}

bool cv_certs_due(const struct cv_certs *certs, int64_t now_s)
{
    for (unsigned i = 0; i < certs->count; i++) {
        if (certs->entries[i].own && cv_self_signed_ends_soon(certs->entries[i].cert, now_s))
            return true;
    }
    return false;
}
