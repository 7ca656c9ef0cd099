// The configuration as YAML with a comment on every setting; it loads again to the same.
#include "base/err.h"
#include "io/addr.h"
#include "server/config_value.h"

#include <string.h>

static void print_fields(FILE *file, const char *indent, const struct cv_fields *fields,
                         const void *owner)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct cv_field *field = &fields->rows[i];
        char value[32];
        char expects[96];
        cv_field_text(field, cv_field_get(field, owner), value, sizeof value);
        cv_field_expects(field, expects, sizeof expects);
        fprintf(file, "%s# %s (%s)\n", indent, field->about, expects);
        fprintf(file, "%s%s: %s\n", indent, field->name, value);
    }
}

// A YAML text in double quotes, whatever is in it.
static void print_quoted(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            fprintf(file, "\\x%02x", (unsigned)*text);
        else
            fputc(*text, file);
    }
    fputc('"', file);
}

static void print_listen(FILE *file, const struct cv_config *config)
{
    fprintf(file, "# ports or addresses with ports: 80, \"127.0.0.1:80\", \"[::1]:80\"; behind one "
                  "/tls takes nothing else, /plain no TLS\n");
    // The default has a fallback that a list in a file has not: it is printed as a comment.
    fprintf(file, config->listen_default ? "# listen: [" : "listen: [");
    for (uint32_t i = 0; i < config->listen_count; i++) {
        char text[CV_LISTEN_TEXT_BYTES];
        cv_listen_text(&config->listen[i], text, sizeof text);
        const char *quote = strpbrk(text, ":/") ? "\"" : "";
        fprintf(file, "%s%s%s%s", i ? ", " : "", quote, text, quote);
    }
    if (!config->listen_default)
        fprintf(file, "]\n");
    else if (cv_config_has_tls(config))
        fprintf(file, "] # or 8080 where 80 is refused, 8443 where 443 is\n");
    else
        fprintf(file, "] # or 8080 where 80 is refused\n");
}

static void print_state(FILE *file, const struct cv_config *config)
{
    fprintf(file, "# folder of the publish keys and databases\n");
    if (!config->state_dir) {
        fprintf(file, "# state: /var/lib/culvert\n");
        return;
    }
    fprintf(file, "state: ");
    print_quoted(file, config->state_dir);
    fputc('\n', file);
}

static void print_trusted(FILE *file, const struct cv_config *config)
{
    fprintf(file,
            "# addresses and networks of proxies that are believed about their clients: PROXY "
            "protocol, X-Forwarded-For\n");
    fprintf(file, "trusted_proxies: [");
    for (uint32_t i = 0; i < config->trusted_proxy_count; i++) {
        const struct cv_ip_range *range = &config->trusted_proxies[i];
        struct cv_addr addr = cv_addr_of_ip(&range->first, 0);
        char text[CV_ADDR_TEXT_BYTES];
        fprintf(file, "%s\"%s", i ? ", " : "", cv_addr_print_ip(&addr, text));
        if (range->prefix_bits < cv_ip_range_bits_max(range))
            fprintf(file, "/%u", (unsigned)range->prefix_bits);
        fputc('"', file);
    }
    fprintf(file, "]\n");
}

static void print_site(FILE *file, const struct cv_config *config)
{
    char text[CV_SITE_TEXT_BYTES];
    fprintf(file,
            "# who answers all other requests: http://HOST[:PORT], the site's own web server, "
            "or a folder\n");
    if (config->site.kind == CV_SITE_NONE) {
        fprintf(file, "# site: http://127.0.0.1:8081\n");
        return;
    }
    cv_site_text(&config->site, text, sizeof text);
    fprintf(file, "site: ");
    print_quoted(file, text);
    fputc('\n', file);
}

static void print_setting(FILE *file, const char *start, const char *text)
{
    fprintf(file, "%s: ", start);
    print_quoted(file, text);
    fputc('\n', file);
}

static void print_certificates(FILE *file, const struct cv_config_tls *tls)
{
    fprintf(file, "  # PEM files: a certificate with its chain, and its key; the first one is for\n"
                  "  # clients that ask for a name of none\n");
    if (tls->certificate_count == 0)
        fprintf(file, "  # certificates: [{cert: /etc/culvert/fullchain.pem, key: "
                      "/etc/culvert/privkey.pem}]\n");
    else
        fprintf(file, "  certificates:\n");
    for (uint32_t i = 0; i < tls->certificate_count; i++) {
        print_setting(file, "    - cert", tls->certificates[i].cert_file);
        print_setting(file, "      key", tls->certificates[i].key_file);
    }
}

static void print_acme(FILE *file, const struct cv_config_acme *acme)
{
    fprintf(file, "  # a certificate from an authority, asked for and renewed by the server (RFC "
                  "8555, HTTP-01)\n");
    if (!acme->directory[0]) {
        fprintf(file, "  # acme: {directory: https://acme-v02.api.letsencrypt.org/directory, "
                      "email: admin@example.com, domains: [stream.example.com]}\n");
        return;
    }
    fprintf(file, "  acme:\n");
    print_setting(file, "    directory", acme->directory);
    if (acme->email[0])
        print_setting(file, "    email", acme->email);
    fprintf(file, "    domains:\n");
    for (uint32_t i = 0; i < acme->domain_count; i++)
        fprintf(file, "      - %s\n", acme->domains[i]);
    if (acme->ca_file[0])
        print_setting(file, "    ca_file", acme->ca_file);
}

static void print_tls(FILE *file, const struct cv_config_tls *tls)
{
    fprintf(file, "# RTMPS, RTMPTS, HTTPS and WSS, on every port that is not /plain\n");
    fprintf(file, "tls:\n");
    print_certificates(file, tls);
    print_acme(file, &tls->acme);
    fprintf(file, "  # answers for certbot and the like, below /.well-known/acme-challenge/\n");
    if (tls->challenge_folder[0])
        print_setting(file, "  challenge_folder", tls->challenge_folder);
    else
        fprintf(file, "  # challenge_folder: /var/lib/culvert/challenges\n");
    print_fields(file, "  ", &cv_fields_tls, tls);
}

static void print_app(FILE *file, const struct cv_config_app *app)
{
    fprintf(file, "  - name: ");
    print_quoted(file, app->name);
    fputc('\n', file);
    print_fields(file, "    ", &cv_fields_app, app);
}

int cv_config_print(const struct cv_config *config, FILE *file)
{
    print_listen(file, config);
    print_state(file, config);
    print_trusted(file, config);
    print_site(file, config);
    print_tls(file, &config->tls);
    print_fields(file, "", &cv_fields_top, config);
    fprintf(file, "limits:\n");
    print_fields(file, "  ", &cv_fields_limits, &config->limits);
    fprintf(file, "# the first part of a stream's path: rtmp://host/NAME/stream\n");
    fprintf(file, "apps:\n");
    for (uint32_t i = 0; i < config->app_count; i++)
        print_app(file, &config->apps[i]);
    return fflush(file) == 0 && !ferror(file) ? CV_OK : CV_E_SYSTEM;
}
