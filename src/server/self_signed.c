#include "server/self_signed.h"

#include "server/log.h"
#include "server/store.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 32, DAY_S = 86400 };

int cv_self_signed_files(struct cv_self_signed *out, const struct cv_config *config,
                         struct cv_why *why)
{
    int err = cv_state_file(config->state_dir, "self-signed.crt", out->cert_file,
                            sizeof out->cert_file, why);
    if (err != CV_OK)
        return err;
    return cv_state_file(config->state_dir, "self-signed.key", out->key_file, sizeof out->key_file,
                         why);
}

// ---- what it is for ----------------------------------------------------------------------------

struct names {
    unsigned count;
    const char *list[NAMES_MAX];
    char texts[NAMES_MAX][CV_LIMIT_HOST_BYTES + 1];
};

static void add(struct names *names, const char *text)
{
    size_t len = strlen(text);
    bool plain =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:") == len;
    if (!plain || len == 0 || len > CV_LIMIT_HOST_BYTES || names->count == NAMES_MAX)
        return;
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->list[i], text) == 0)
            return;
    }
    memcpy(names->texts[names->count], text, len + 1);
    names->list[names->count] = names->texts[names->count];
    names->count++;
}

// An address by which others may reach this machine: not one that is only for the next cable.
static void add_interface(struct names *names, const struct ifaddrs *interface)
{
    const struct sockaddr *addr = interface->ifa_addr;
    if (!addr || !(interface->ifa_flags & IFF_UP))
        return;
    char text[INET6_ADDRSTRLEN] = "";
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
            inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    }
    add(names, text);
}

static void find_names(struct names *names)
{
    char host[CV_LIMIT_HOST_BYTES + 1];
    struct ifaddrs *interfaces = NULL;
    names->count = 0;
    add(names, "localhost");
    add(names, "127.0.0.1");
    add(names, "::1");
    if (gethostname(host, sizeof host) == 0) {
        host[sizeof host - 1] = '\0';
        add(names, host);
    }
    if (getifaddrs(&interfaces) != 0)
        return;
    for (const struct ifaddrs *at = interfaces; at; at = at->ifa_next)
        add_interface(names, at);
    freeifaddrs(interfaces);
}

// ---- the certificate ---------------------------------------------------------------------------

bool cv_self_signed_ends_soon(const struct cv_tls_cert *cert, int64_t now_s)
{
    struct cv_tls_cert_info info;
    cv_tls_cert_info(cert, &info);
    return info.not_after_s - now_s < (int64_t)CV_TLS_WARN_DAYS * DAY_S;
}

int cv_self_signed_load(struct cv_tls_cert **out, const struct cv_self_signed *files, int64_t now_s,
                        struct cv_why *why)
{
    struct names names;
    struct cv_tls_cert *cert = NULL;
    struct cv_why broken = {0}; // or not there yet
    int err = cv_tls_cert_load(&cert, files->cert_file, files->key_file, now_s, &broken);
    if (err == CV_OK && !cv_self_signed_ends_soon(cert, now_s)) {
        *out = cert;
        return CV_OK;
    }
    cv_tls_cert_unref(&cert);
    find_names(&names);
    err = cv_tls_cert_make(files->cert_file, files->key_file, names.list, names.count, now_s, why);
    if (err != CV_OK)
        return err;
    cv_log_text(CV_LOG_INFO, "tls.self_signed", "made", files->cert_file);
    return cv_tls_cert_load(out, files->cert_file, files->key_file, now_s, why);
}
