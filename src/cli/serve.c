// culvert serve: options, configuration, store and first keys, then the server.
#include "cli/cli.h"

#include "base/check.h"
#include "cli/first_keys.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>

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
                          "--listen %.60s: a port from 1 to 65535 is needed, alone or behind an "
                          "address: 80, 127.0.0.1:80, [::1]:80",
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
    {"listen", 0, "[ADDR:]PORT", "instead of 80 and 1935; may be repeated", set_listen},
    {"state", 0, "DIR", "folder of the publish keys and databases", set_state},
    {"site", 0, "URL|DIR", "who answers all other requests: a web server or files", set_site},
    {"open-publish", 0, NULL, "publish without a key; for trials only", set_open_publish},
    {"threads", 0, "N", "event loops, 1 to 64; auto is one per core", set_threads},
    {"log-level", 0, "LEVEL", "debug, info (default), warn or error", set_log_level},
    {"check", 0, NULL, "check the configuration and end", set_check},
    {"print-config", 0, NULL, "print the configuration in full and end", set_print_config},
};

// ---- running --------------------------------------------------------------------------------

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
    int end = err == CV_E_UNREACHABLE ? CV_EXIT_LISTEN : CV_EXIT_FAILURE;
    return cv_cli_fail(end, why.code != CV_OK ? why.text : cv_err_text(err));
}

static int run_with_config(const struct serve_args *args, struct cv_config *config)
{
    cv_log_set_level(config->log_level);
    struct cv_why why = {.code = CV_OK};
    struct cv_store *store;
    int err = cv_store_open(config->state_dir, &store, &why);
    if (err != CV_OK)
        return cv_cli_fail(cv_cli_store_exit(err), why.text);
    struct cv_keys *keys;
    err = cv_first_keys(config, store, stdout, &keys, &why);
    int end;
    if (err != CV_OK) {
        end = cv_cli_fail(cv_cli_store_exit(err), why.text);
    } else {
        end = run_with_keys(args, config, store, keys);
        cv_keys_unref(&keys);
    }
    cv_store_close(&store);
    return end;
}

static int finish(const struct serve_args *args, struct cv_config *config)
{
    CV_ASSERT(config->app_count > 0 && config->listen_count > 0);
    if (args->print_config)
        return cv_config_print(config, stdout) == CV_OK ? CV_EXIT_OK : CV_EXIT_FAILURE;
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
             "The state folder is, unless named: $STATE_DIRECTORY (set by systemd),\n"
             "$XDG_STATE_HOME/culvert, /var/lib/culvert for root, ~/.local/state/culvert.\n"
             "Options stand over the file. SIGHUP reads the file and the keys again.",
    .examples = "  culvert serve\n"
                "  culvert serve --open-publish --listen 8080\n"
                "  culvert serve --site http://127.0.0.1:8081\n"
                "  culvert serve --site /var/www/html\n"
                "  culvert serve -c /etc/culvert/culvert.yaml --check\n"
                "  culvert serve --listen 127.0.0.1:1935 --state ./state --log-level debug\n"
                "  culvert serve --print-config > culvert.yaml\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_serve,
};
