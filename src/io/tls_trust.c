#include "io/tls_trust.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/tls_sessions.h"
#include "io/tls_state.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cv_tls_trust {
    atomic_uint refs;
    SSL_CTX *context;
};

// ---- authorities ------------------------------------------------------------------------------

static int file_failed(const char *file, struct cv_why *why)
{
    struct stat about;
    if (stat(file, &about) || access(file, R_OK))
        return cv_why_set(why, CV_E_USAGE, "tls", "%s: %s", file, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return cv_why_set(why, CV_E_USAGE, "tls", "%s is a folder, not a file of certificates",
                          file);
    if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
        return cv_why_set(why, CV_E_NOMEM, "tls", "no memory for %s", file);
    return cv_why_set(why, CV_E_USAGE, "tls", "%s holds no certificate in PEM that can be read",
                      file);
}

// Whatever stands in the file is an authority, also a server's own certificate or one that another
// authority has signed.
static int load_file(SSL_CTX *context, const char *file, struct cv_why *why)
{
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    return SSL_CTX_load_verify_file(context, file) ? CV_OK : file_failed(file, why);
}

static int load(SSL_CTX *context, const struct cv_tls_trust_config *config, struct cv_why *why)
{
    if (config->insecure) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return CV_OK;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (config->ca_file && *config->ca_file)
        return load_file(context, config->ca_file, why);
    if (SSL_CTX_set_default_verify_paths(context))
        return CV_OK;
    return cv_why_set(why, CV_E_NOMEM, "tls", "the system's certificates cannot be loaded");
}

// ---- what a client speaks ---------------------------------------------------------------------

static bool set_up(SSL_CTX *context)
{
    static const uint8_t protocols[] = "\x08http/1.1"; // ALPN (RFC 7301)
    if (SSL_CTX_get_security_level(context) < 2)
        SSL_CTX_set_security_level(context, 2); // 112 bits, no SHA-1
    return cv__tls_sessions_keep(context) &&
           SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols - 1) == 0;
}

static struct cv_tls_trust *trust_new(void)
{
    struct cv_tls_trust *trust = cv_mem_zero(1, sizeof *trust);
    if (!trust)
        return NULL;
    atomic_init(&trust->refs, 1);
    trust->context = SSL_CTX_new(TLS_client_method());
    if (trust->context && set_up(trust->context))
        return trust;
    cv_tls_trust_unref(&trust);
    return NULL;
}

int cv_tls_trust_new(struct cv_tls_trust **out, const struct cv_tls_trust_config *config,
                     struct cv_why *why)
{
    ERR_clear_error();
    struct cv_tls_trust *trust = trust_new();
    int err = trust ? load(trust->context, config, why)
                    : cv_why_set(why, CV_E_NOMEM, "tls", "no memory for TLS");
    ERR_clear_error();
    if (err == CV_OK)
        *out = trust;
    else
        cv_tls_trust_unref(&trust);
    return err;
}

// ---- references -------------------------------------------------------------------------------

struct cv_tls_trust *cv_tls_trust_ref(struct cv_tls_trust *trust)
{
    unsigned before = atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    CV_ASSERT(before > 0);
    return trust;
}

void cv_tls_trust_unref(struct cv_tls_trust **trust)
{
    struct cv_tls_trust *old = *trust;
    *trust = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(old->context);
    cv_mem_free(old);
}

SSL_CTX *cv__tls_trust_context(struct cv_tls_trust *trust)
{
    return trust->context;
}
