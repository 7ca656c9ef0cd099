// culvert key: publish keys in the store.
#include "cli/cli.h"

#include "base/mem.h"
#include "server/config.h"
#include "server/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct key_args {
    const char *config_path;
    const char *app;
    const char *stream;
    const char *label;
    const char *state_dir;
};

CV_OPTION_TEXT(set_config, struct key_args, config_path)
CV_OPTION_TEXT(set_app, struct key_args, app)
CV_OPTION_TEXT(set_stream, struct key_args, stream)
CV_OPTION_TEXT(set_label, struct key_args, label)

static int set_state(void *into, const char *value, struct cv_why *why)
{
    if (*value == '\0')
        return cv_why_set(why, CV_E_USAGE, "options", "--state needs the name of a folder");
    ((struct key_args *)into)->state_dir = value;
    return CV_OK;
}

static const struct cv_option options[] = {
    {"app", 0, "NAME", "add: app that the key opens (default: live)", set_app},
    {"stream", 0, "NAME", "add: only this stream (default: all of the app)", set_stream},
    {"label", 0, "TEXT", "add: words to know the key by", set_label},
    {"config", 'c', "FILE", "configuration, for its state folder", set_config},
    {"state", 0, "DIR", "state folder (default: as culvert serve)", set_state},
};

// ---- actions --------------------------------------------------------------------------------

static int key_add(struct cv_store *store, const struct key_args *args, struct cv_why *why)
{
    char key[CV_KEY_TEXT_BYTES + 1];
    int64_t id;
    int err = cv_key_add(store, args->app, args->stream, args->label, key, &id, why);
    if (err != CV_OK)
        return err;
    printf("%s\n", key);
    fprintf(stderr, "Key %" PRId64 " for %s/%s, shown only this once. Publish to: %s/%s?key=%s\n",
            id, args->app, args->stream[0] ? args->stream : "*", args->app,
            args->stream[0] ? args->stream : "STREAM", "KEY");
    explicit_bzero(key, sizeof key);
    return CV_OK;
}

static void print_row(const struct cv_key_row *row)
{
    char created[32] = "?";
    time_t seconds = (time_t)row->created_s;
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(created, sizeof created, "%Y-%m-%d %H:%M", &utc);
    printf("%-4" PRId64 " %-16s %-16s %-16s  %s\n", row->id, row->app,
           row->stream[0] ? row->stream : "*", created, row->label);
}

static int key_list(struct cv_store *store, struct cv_why *why)
{
    struct cv_key_row *rows;
    size_t count;
    int err = cv_store_keys(store, &rows, &count, why);
    if (err != CV_OK)
        return err;
    printf("%-4s %-16s %-16s %-16s  %s\n", "ID", "APP", "STREAM", "CREATED (UTC)", "LABEL");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i]);
    cv_mem_free(rows);
    return CV_OK;
}

static int key_remove(struct cv_store *store, const char *text, struct cv_why *why)
{
    char *end;
    long long id = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || id <= 0)
        return cv_why_set(why, CV_E_USAGE, "key", "\"%.40s\" is no ID; see: culvert key list",
                          text);
    int err = cv_store_key_remove(store, id, why);
    if (err == CV_OK)
        fprintf(stderr, "Key %lld is removed.\n", id);
    return err;
}

static int act(struct cv_store *store, const struct key_args *args, const char **words,
               struct cv_why *why)
{
    switch (words[0][0]) {
    case 'a':
        return key_add(store, args, why);
    case 'l':
        return key_list(store, why);
    default:
        return key_remove(store, words[1], why);
    }
}

// ---- running --------------------------------------------------------------------------------

// NULL when action and number of words are right, or what is wrong.
static const char *check_words(const char **words, size_t count)
{
    static const struct {
        const char *name;
        size_t words;
    } actions[] = {{"add", 1}, {"list", 1}, {"remove", 2}};
    for (size_t i = 0; count > 0 && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, words[0]) != 0)
            continue;
        if (actions[i].words == count)
            return NULL;
        return count < actions[i].words ? "remove needs the ID of a key; see: culvert key list"
                                        : "too many words";
    }
    return "add, list or remove?";
}

static int run_in_store(const char *state_dir, const struct key_args *args, const char **words)
{
    struct cv_why why = {.code = CV_OK};
    struct cv_store *store;
    int err = cv_store_open(state_dir, &store, &why);
    if (err != CV_OK)
        return cv_cli_fail(cv_cli_store_exit(err), why.text);
    err = act(store, args, words, &why);
    cv_store_close(&store);
    return err == CV_OK ? CV_EXIT_OK : cv_cli_fail(cv_cli_store_exit(err), why.text);
}

static int run_key(const struct cv_command *command, int argc, char **argv)
{
    struct key_args args = {.app = "live", .stream = "", .label = ""};
    const char *words[2];
    size_t count;
    int end;
    if (!cv_cli_options(command, argc, argv, &args, words, 2, &count, &end))
        return end;
    const char *wrong = check_words(words, count);
    if (wrong)
        return cv_cli_usage(command, wrong);
    struct cv_config_override over = {.state_dir = args.state_dir};
    struct cv_config *config;
    struct cv_config_why why;
    int err = cv_config_load(args.config_path, &over, &config, &why);
    if (err != CV_OK)
        return cv_cli_fail(err == CV_E_NOMEM ? CV_EXIT_FAILURE : CV_EXIT_CONFIG, why.text);
    end = run_in_store(config->state_dir, &args, words);
    cv_config_unref(&config);
    return end;
}

const struct cv_command cv_command_key = {
    .name = "key",
    .usage = "add|list|remove [ID] [OPTIONS]",
    .summary = "add, list and remove publish keys",
    .about = "add     makes a key and prints it, this one time: only its hash is kept\n"
             "list    shows the keys' numbers, apps, streams and labels\n"
             "remove  takes away the key with this ID\n\n"
             "A running server reads the keys again on SIGHUP.",
    .examples = "  culvert key add --app live --stream gate7 --label 'camera at gate 7'\n"
                "  culvert key list\n"
                "  culvert key remove 2\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_key,
};
