// culvert serve: options, configuration, store and first keys, then the server.
#include "cli/cli.h"

#include "base/check.h"
#include "cli/first_keys.h"
#include "io/clock.h"
#include "server/certs.h"
#include "server/self_signed.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct serve_args {
    const char *config_path;
    struct cv_config_override over;
    bool check;
    bool print_config;
};

// ---- options --------------------------------------------------------------------------------

CV_OPTION_TEXT(set_config, struct serve_args, config_path)

static int set_listen(void *into, const char *value, struct cv_why *why)
{
    struct cv_config_override *over = &((struct serve_args *)into)->over;
    if (over->listen_count == CV_LIMIT_LISTEN)
        return cv_why_set(why, CV_E_USAGE, "options", "--listen: at most %d addresses",
                          CV_LIMIT_LISTEN);
    if (cv_listen_parse(value, &over->listen[over->listen_count]) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options",
                          "--listen %.40s: a port from 1 to 65535, perhaps behind an address, with "
                          "/tls or /plain behind it: 80, 127.0.0.1:80, [::1]:443/tls",
                          value);
    over->listen_count++;
    return CV_OK;
}

static int set_state(void *into, const char *value, struct cv_why *why)
{
    if (*value == '\0')
        return cv_why_set(why, CV_E_USAGE, "options", "--state needs the name of a folder");
    ((struct serve_args *)into)->over.state_dir = value;
    return CV_OK;
}

static int set_site(void *into, const char *value, struct cv_why *why)
{
    struct cv_why wrong = {0};
    if (cv_site_parse(value, &((struct serve_args *)into)->over.site, &wrong) == CV_OK)
        return CV_OK;
    return cv_why_set(why, CV_E_USAGE, "options", "--site %s", wrong.text);
}

CV_OPTION_TEXT(set_tls_cert, struct serve_args, over.tls_cert)
CV_OPTION_TEXT(set_tls_key, struct serve_args, over.tls_key)
CV_OPTION_FLAG(set_self_signed, struct serve_args, over.self_signed)
CV_OPTION_FLAG(set_open_publish, struct serve_args, over.open_publish)

static int set_threads(void *into, const char *value, struct cv_why *why)
{
    struct cv_config_override *over = &((struct serve_args *)into)->over;
    if (cv_threads_parse(value, &over->threads) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options", "--threads %.60s: auto, or 1 to %d", value,
                          CV_LIMIT_THREADS);
    over->has_threads = true;
    return CV_OK;
}

static int set_log_level(void *into, const char *value, struct cv_why *why)
{
    struct cv_config_override *over = &((struct serve_args *)into)->over;
    if (cv_log_level_parse(value, &over->log_level) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options",
                          "--log-level %.60s: debug, info, warn or error", value);
    over->has_log_level = true;
    return CV_OK;
}

CV_OPTION_FLAG(set_check, struct serve_args, check)
CV_OPTION_FLAG(set_print_config, struct serve_args, print_config)

static const struct cv_option options[] = {
    {"config", 'c', "FILE", "configuration in YAML; none is needed", set_config},
    {"listen", 0, "[ADDR:]PORT", "not the default ports; PORT/tls, PORT/plain; repeatable",
     set_listen},
    {"state", 0, "DIR", "folder of the publish keys and databases", set_state},
    {"site", 0, "URL|DIR", "who answers all other requests: a web server or files", set_site},
    {"tls-cert", 0, "FILE", "TLS by this certificate and its chain, PEM; also on 443",
     set_tls_cert},
    {"tls-key", 0, "FILE", "the certificate's key, PEM", set_tls_key},
    {"self-signed", 0, NULL, "TLS by a certificate of our own making; for trials only",
     set_self_signed},
    {"open-publish", 0, NULL, "publish without a key; for trials only", set_open_publish},
    {"threads", 0, "N", "event loops, 1 to 64; auto is one per core", set_threads},
    {"log-level", 0, "LEVEL", "debug, info (default), warn or error", set_log_level},
    {"check", 0, NULL, "check the configuration and end", set_check},
    {"print-config", 0, NULL, "print the configuration in full and end", set_print_config},
};

// ---- running --------------------------------------------------------------------------------

static int64_t now_s(void)
{
    return (int64_t)(cv_clock_wall_ms() / 1000);
}

// The host of an example, with its port where that is not the scheme's own.
static void example_host(const struct cv_config *config, char *out, size_t size)
{
    uint16_t port = 0;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const struct cv_listen *listen = &config->listen[i];
        if (listen->takes != CV_LISTEN_PLAIN && (port == 0 || listen->port == CV_PORT_HTTPS))
            port = listen->port;
    }
    if (port == CV_PORT_HTTPS)
        snprintf(out, size, "localhost");
    else
        snprintf(out, size, "localhost:%u", port);
}

static void tell_self_signed(const struct cv_config *config, const struct cv_self_signed *files,
                             const struct cv_tls_cert *cert)
{
    char host[32];
    example_host(config, host, sizeof host);
    struct cv_tls_cert_info info;
    char day[16] = "?";
    cv_tls_cert_info(cert, &info);
    time_t until = (time_t)info.not_after_s;
    struct tm parts;
    if (gmtime_r(&until, &parts))
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
    printf("TLS by a certificate of the server's own making (self-signed): for trials only.\n"
           "Clients refuse it unless they are given it, as in\n\n"
           "    culvert play --ca %s rtmps://%s/live/mystream\n\n"
           "  certificate  %s (give it away; not %s)\n"
           "  for          %s\n"
           "  until        %s\n"
           "  SHA-256      %s\n\n",
           files->cert_file, host, files->cert_file, files->key_file, info.names, day,
           info.fingerprint);
    fflush(stdout);
}

// Where there is one: it is made now, if need be.
static int print_self_signed(const struct cv_config *config, struct cv_why *why)
{
    struct cv_self_signed files;
    struct cv_tls_cert *cert;
    if (!config->tls.self_signed)
        return CV_OK;
    int err = cv_self_signed_files(&files, config, why);
    if (err == CV_OK)
        err = cv_self_signed_load(&cert, &files, now_s(), why);
    if (err != CV_OK)
        return err;
    tell_self_signed(config, &files, cert);
    cv_tls_cert_unref(&cert);
    return CV_OK;
}

static int run_with_keys(const struct serve_args *args, struct cv_config *config,
                         struct cv_store *store, struct cv_keys *keys)
{
    if (config->open_publish) {
        printf("Anybody may publish, without a key (open publish): for trials only.\n\n");
        fflush(stdout);
        cv_log_event(CV_LOG_WARN, "publish.open");
    }
    const struct cv_server_options server = {
        .config = config,
        .keys = keys,
        .store = store,
        .config_path = args->config_path,
        .override = &args->over,
    };
    struct cv_why why = {.code = CV_OK};
    int err = cv_server_run(&server, &why);
    if (err == CV_OK)
        return CV_EXIT_OK;
    int end = err == CV_E_UNREACHABLE ? CV_EXIT_LISTEN
              : err == CV_E_CONFIG    ? CV_EXIT_CONFIG
                                      : CV_EXIT_FAILURE;
    return cv_cli_fail(end, why.code != CV_OK ? why.text : cv_err_text(err));
}

static int run_with_store(const struct serve_args *args, struct cv_config *config,
                          struct cv_store *store)
{
    struct cv_why why = {.code = CV_OK};
    struct cv_keys *keys;
    int end;
    int err = print_self_signed(config, &why);
    if (err == CV_OK)
        err = cv_first_keys(config, store, stdout, &keys, &why);
    if (err != CV_OK) {
        end = cv_cli_fail(cv_cli_store_exit(err), why.text);
    } else {
        end = run_with_keys(args, config, store, keys);
        cv_keys_unref(&keys);
    }
    return end;
}

static int run_with_config(const struct serve_args *args, struct cv_config *config)
{
    cv_log_set_level(config->log_level);
    struct cv_why why = {.code = CV_OK};
    struct cv_store *store;
    int err = cv_store_open(config->state_dir, &store, &why);
    if (err != CV_OK)
        return cv_cli_fail(cv_cli_store_exit(err), why.text);
    int end = run_with_store(args, config, store);
    cv_store_close(&store);
    return end;
}

static int finish(const struct serve_args *args, struct cv_config *config)
{
    CV_ASSERT(config->app_count > 0 && config->listen_count > 0);
    if (args->print_config)
        return cv_config_print(config, stdout) == CV_OK ? CV_EXIT_OK : CV_EXIT_FAILURE;
    struct cv_why why = {.code = CV_OK};
    int err = cv_certs_check(config, now_s(), &why);
    if (err != CV_OK)
        return cv_cli_fail(err == CV_E_CONFIG ? CV_EXIT_CONFIG : CV_EXIT_FAILURE, why.text);
    if (!args->check)
        return run_with_config(args, config);
    printf("%s: the configuration is right\n",
           args->config_path ? args->config_path : "(defaults)");
    return CV_EXIT_OK;
}

static int run_serve(const struct cv_command *command, int argc, char **argv)
{
    struct serve_args args = {.config_path = NULL};
    size_t count;
    int end;
    if (!cv_cli_options(command, argc, argv, &args, NULL, 0, &count, &end))
        return end;
    if (!args.over.tls_cert != !args.over.tls_key)
        return cv_cli_usage(command, args.over.tls_cert
                                         ? "--tls-cert needs the certificate's key: --tls-key FILE"
                                         : "--tls-key needs its certificate: --tls-cert FILE");
    struct cv_config *config;
    struct cv_config_why why;
    int err = cv_config_load(args.config_path, &args.over, &config, &why);
    if (err == CV_E_NOMEM)
        return cv_cli_fail(CV_EXIT_FAILURE, why.text);
    if (err != CV_OK)
        return cv_cli_fail(CV_EXIT_CONFIG, why.text);
    end = finish(&args, config);
    cv_config_unref(&config);
    return end;
}

const struct cv_command cv_command_serve = {
    .name = "serve",
    .usage = "[OPTIONS]",
    .summary = "run the server",
    .about = "Serves live RTMP and RTMPT. Nothing needs to be set up: without options it listens\n"
             "on ports 80 (or 8080, where 80 is refused) and 1935, has one app \"live\", and\n"
             "at the first start makes a publish key and prints it. Anybody may play.\n\n"
             "A web site can share the port: with --site, every request that is not for a\n"
             "stream goes to its own web server (http://HOST[:PORT]), or to a folder of files.\n\n"
             "With a certificate the same is there under TLS: RTMPS, RTMPTS, HTTPS and WSS, on\n"
             "port 443 (or 8443) and on the others. Renewed files are noticed within a minute.\n\n"
             "The state folder is, unless named: $STATE_DIRECTORY (set by systemd),\n"
             "$XDG_STATE_HOME/culvert, /var/lib/culvert for root, ~/.local/state/culvert.\n"
             "Options stand over the file. SIGHUP reads the file and the keys again.",
    .examples = "  culvert serve\n"
                "  culvert serve --open-publish --listen 8080\n"
                "  culvert serve --site http://127.0.0.1:8081\n"
                "  culvert serve --site /var/www/html\n"
                "  culvert serve --self-signed --open-publish\n"
                "  culvert serve --tls-cert fullchain.pem --tls-key privkey.pem\n"
                "  culvert serve -c /etc/culvert/culvert.yaml --check\n"
                "  culvert serve --listen 127.0.0.1:1935 --state ./state --log-level debug\n"
                "  culvert serve --print-config > culvert.yaml\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_serve,
};
