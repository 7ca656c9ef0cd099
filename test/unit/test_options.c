// The command line: the option parser, help of every command, exit codes, and the first start.
#include "harness.h"

#include "cli/cli.h"
#include "cli/first_keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- the parser -----------------------------------------------------------------------------

struct taken {
    bool flag;
    const char *value;
    int values;
};

static int set_flag(void *into, const char *value, struct cv_why *why)
{
    (void)why;
    assert_null(value);
    ((struct taken *)into)->flag = true;
    return CV_OK;
}

static int set_value(void *into, const char *value, struct cv_why *why)
{
    struct taken *taken = into;
    if (strcmp(value, "bad") == 0)
        return cv_why_set(why, CV_E_USAGE, "options", "bad value");
    taken->value = value;
    taken->values++;
    return CV_OK;
}

static const struct cv_option options[] = {
    {"flag", 'f', NULL, "a flag", set_flag},
    {"value", 'v', "TEXT", "a value", set_value},
};

enum { WORDS_MAX = 2, ARGS_MAX = 8 };

static int parse(const char *const *args, struct taken *taken, const char **words, size_t *count,
                 struct cv_why *why)
{
    char *argv[ARGS_MAX + 1] = {NULL};
    int argc = 0;
    for (; args[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc];
    *taken = (struct taken){.flag = false};
    return cv_options_parse(options, 2, argc, argv, taken, words, WORDS_MAX, count, why);
}

static void options_and_words_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *args[ARGS_MAX];
        bool flag;
        const char *value;
        size_t words;
    } rows[] = {
        {{NULL}, false, NULL, 0},
        {{"--flag"}, true, NULL, 0},
        {{"-f"}, true, NULL, 0},
        {{"--value", "x"}, false, "x", 0},
        {{"--value=x"}, false, "x", 0},
        {{"--value="}, false, "", 0},
        {{"--value=a=b"}, false, "a=b", 0},
        {{"-v", "x"}, false, "x", 0},
        {{"-vx"}, false, "x", 0},
        {{"--value", "--flag"}, false, "--flag", 0},
        {{"--value", "a", "-vb"}, false, "b", 0},
        {{"one", "--flag", "two"}, true, NULL, 2},
        {{"--", "--flag", "-v"}, false, NULL, 2},
        {{"--", "--"}, false, NULL, 1},
        {{"-"}, false, NULL, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct taken taken;
        const char *words[WORDS_MAX];
        size_t count;
        struct cv_why why = {.code = CV_OK};
        assert_int_equal(parse(rows[i].args, &taken, words, &count, &why), CV_OK);
        assert_int_equal(taken.flag, rows[i].flag);
        assert_string_equal(taken.value ? taken.value : "(none)",
                            rows[i].value ? rows[i].value : "(none)");
        assert_int_equal(count, rows[i].words);
    }
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *args[ARGS_MAX];
        const char *text;
    } rows[] = {
        {{"--flga"}, "unknown option --flga (did you mean --flag?)"},
        {{"--vlaue=5"}, "unknown option --vlaue (did you mean --value?)"},
        {{"--qqqqqqqqqq"}, "unknown option --qqqqqqqqqq"},
        {{"--fla"}, "did you mean --flag?"},
        {{"-x"}, "unknown option -x"},
        {{"-fx"}, "--flag takes no value"},
        {{"--flag=1"}, "--flag takes no value"},
        {{"--value"}, "--value needs a value: --value TEXT"},
        {{"--value", "bad"}, "bad value"},
        {{"a", "b", "c"}, "what is \"c\"?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct taken taken;
        const char *words[WORDS_MAX];
        size_t count = 77;
        struct cv_why why = {.code = CV_OK};
        assert_int_equal(parse(rows[i].args, &taken, words, &count, &why), CV_E_USAGE);
        if (!strstr(why.text, rows[i].text))
            fail_msg("said: %s, want: %s", why.text, rows[i].text);
        assert_int_equal(count, 77);
    }
    struct taken taken;
    size_t count;
    assert_int_equal(parse((const char *[]){"-h", NULL}, &taken, NULL, &count, NULL),
                     CV_OPTIONS_HELP);
    assert_int_equal(parse((const char *[]){"--help", NULL}, &taken, NULL, &count, NULL),
                     CV_OPTIONS_HELP);
}

// ---- the program ----------------------------------------------------------------------------

static char folder[] = "/tmp/test_options_XXXXXX";
static char out[65536];
static char err[65536];

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return remove_tree(folder);
}

static int redirect(int fd, int *saved)
{
    int file = memfd_create("output", MFD_CLOEXEC);
    assert_true(file >= 0);
    *saved = dup(fd);
    assert_true(dup2(file, fd) >= 0);
    return file;
}

static void restore(int fd, int saved, int file, char *text, size_t size)
{
    dup2(saved, fd);
    close(saved);
    ssize_t len = pread(file, text, size - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    close(file);
}

// Runs `culvert ARGS` (words with spaces between) in this process; its output goes to out and err.
static int culvert(const char *args)
{
    static char line[1024];
    char *argv[16] = {(char[]){"culvert"}};
    int argc = 1;
    char *rest;
    snprintf(line, sizeof line, "%s", args);
    for (char *word = strtok_r(line, " ", &rest); word && argc < 15;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    int saved_out;
    int saved_err;
    fflush(stdout);
    int file_out = redirect(1, &saved_out);
    int file_err = redirect(2, &saved_err);
    int end = cv_cli_run(argc, argv);
    fflush(stdout);
    fflush(stderr);
    restore(1, saved_out, file_out, out, sizeof out);
    restore(2, saved_err, file_err, err, sizeof err);
    return end;
}

static const char *in_folder(const char *format)
{
    static char text[512];
    text[0] = '\0';
    for (; *format; format++)
        append_text(text, sizeof text, *format == '@' ? folder : (char[]){*format, '\0'});
    return text;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void every_command_has_help(void **state)
{
    (void)state;
    static const char *const names[] = {"serve", "key", "help", "version"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char args[64];
        static char first[sizeof out];
        snprintf(args, sizeof args, "help %s", names[i]);
        assert_int_equal(culvert(args), CV_EXIT_OK);
        assert_non_null(strstr(out, "Usage: culvert "));
        assert_non_null(strstr(out, "Examples:\n  culvert "));
        assert_non_null(strstr(out, "Exit codes:\n  0 "));
        for (const char *at = out; *at; at = strchr(at, '\n') + 1)
            assert_in_range(strcspn(at, "\n"), 0, 90);
        snprintf(first, sizeof first, "%s", out);
        snprintf(args, sizeof args, "%s --help", names[i]);
        assert_int_equal(culvert(args), CV_EXIT_OK);
        assert_string_equal(out, first);
        assert_int_equal(culvert("help"), CV_EXIT_OK);
        assert_non_null(strstr(out, names[i]));
    }
    assert_int_equal(culvert("--version"), CV_EXIT_OK);
    assert_string_equal(out, "culvert " CULVERT_VERSION "\n");
}

static void wrong_usage_ends_with_2(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        const char *text;
    } rows[] = {
        {"", "Usage: culvert COMMAND"},
        {"sevre", "did you mean \"serve\"?"},
        {"help kye", "did you mean \"key\"?"},
        {"serve --lisen 80", "did you mean --listen?"},
        {"serve --listen 0", "--listen 0: a port"},
        {"serve --listen nowhere:80", "--listen nowhere:80"},
        {"serve --threads 65", "--threads 65: auto, or 1 to 64"},
        {"serve --log-level loud", "debug, info, warn or error"},
        {"serve --state=", "name of a folder"},
        {"serve now", "what is \"now\"?"},
        {"key", "add, list or remove?"},
        {"key ad", "add, list or remove?"},
        {"key remove", "needs the ID"},
        {"key list 5", "too many words"},
        {"key remove x --state @/s", "is no ID"},
        {"key remove 1x --state @/s", "is no ID"},
        {"key add --app a?b --state @/s", "no app can have the name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(culvert(in_folder(rows[i].args)), CV_EXIT_USAGE);
        if (!strstr(err, rows[i].text))
            fail_msg("%s said: %s", rows[i].args, err);
        assert_string_equal(out, "");
    }
}

static void wrong_configuration_ends_with_3(void **state)
{
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "%s/bad.yaml", folder);
    write_file(path, "threads: 2\ntreads: 3\n");
    assert_int_equal(culvert(in_folder("serve -c @/bad.yaml --check")), CV_EXIT_CONFIG);
    assert_non_null(strstr(err, "bad.yaml:2: unknown key \"treads\" (did you mean \"threads\"?)"));
    assert_int_equal(culvert(in_folder("serve -c @/bad.yaml")), CV_EXIT_CONFIG);
    assert_int_equal(culvert(in_folder("key list -c @/bad.yaml")), CV_EXIT_CONFIG);
    assert_int_equal(culvert(in_folder("serve -c @/none.yaml --check")), CV_EXIT_CONFIG);
    assert_non_null(strstr(err, "none.yaml: No such file"));
    assert_int_equal(culvert("serve --check"), CV_EXIT_OK);
}

static void printed_configuration_passes_the_check(void **state)
{
    (void)state;
    assert_int_equal(culvert("serve --print-config --listen 81 --listen [::1]:82 --threads 3"),
                     CV_EXIT_OK);
    assert_non_null(strstr(out, "\nlisten: [81, \"[::1]:82\"]\n"));
    assert_non_null(strstr(out, "\nthreads: 3\n"));
    char path[100];
    static char first[sizeof out];
    snprintf(path, sizeof path, "%s/printed.yaml", folder);
    snprintf(first, sizeof first, "%s", out);
    write_file(path, out);
    assert_int_equal(culvert(in_folder("serve -c @/printed.yaml --check")), CV_EXIT_OK);
    assert_int_equal(culvert(in_folder("serve -c @/printed.yaml --print-config")), CV_EXIT_OK);
    assert_string_equal(out, first);
}

static void a_bad_state_folder_ends_with_5(void **state)
{
    (void)state;
    assert_int_equal(culvert("serve --state /dev/null/x"), CV_EXIT_STORE);
    assert_int_equal(culvert("key list --state /dev/null/x"), CV_EXIT_STORE);
    assert_non_null(strstr(err, "cannot make /dev/null/x"));
}

static void keys_are_added_listed_and_removed(void **state)
{
    (void)state;
    assert_int_equal(culvert(in_folder("key add --stream gate7 --label cam --state @/k")),
                     CV_EXIT_OK);
    assert_int_equal(strspn(out, "0123456789abcdef"), 32);
    assert_string_equal(out + 32, "\n");
    char key[33];
    snprintf(key, sizeof key, "%.32s", out);
    assert_null(strstr(err, key));
    assert_int_equal(culvert(in_folder("key list --state @/k")), CV_EXIT_OK);
    assert_non_null(strstr(out, "gate7"));
    assert_null(strstr(out, key));
    assert_int_equal(culvert(in_folder("key remove 1 --state @/k")), CV_EXIT_OK);
    assert_int_equal(culvert(in_folder("key remove 1 --state @/k")), CV_EXIT_FAILURE);
    assert_non_null(strstr(err, "there is no key 1"));
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

// What a start prints about keys, and how many there are then.
static const char *first_start(const char *state_dir, const char *yaml, size_t *out_count)
{
    static char text[4096];
    struct cv_config *config = NULL;
    struct cv_config_why config_why;
    struct cv_store *store = NULL;
    struct cv_keys *keys = NULL;
    memset(text, 0, sizeof text);
    FILE *file = fmemopen(text, sizeof text, "w");
    assert_non_null(file);
    assert_int_equal(cv_config_parse("c", yaml, strlen(yaml), NULL, &config, &config_why), CV_OK);
    assert_int_equal(cv_store_open(state_dir, &store, NULL), CV_OK);
    assert_int_equal(cv_first_keys(config, store, file, &keys, NULL), CV_OK);
    fclose(file);
    *out_count = cv_keys_count(keys);
    if (*out_count > 0) {
        const char *key = strstr(text, "\n\n    ");
        if (key)
            assert_true(cv_keys_allow(keys, "live", "any", key + 6, CV_KEY_TEXT_BYTES));
    }
    cv_keys_unref(&keys);
    cv_store_close(&store);
    cv_config_unref(&config);
    return text;
}

static void the_first_key_is_shown_once(void **state)
{
    (void)state;
    size_t count;
    char dir[100];
    snprintf(dir, sizeof dir, "%s/first", folder);
    // A trial needs none and makes none.
    assert_string_equal(first_start(dir, "open_publish: true\n", &count), "");
    assert_int_equal(count, 0);
    const char *text = first_start(dir, "listen: [8080]\n", &count);
    assert_int_equal(count, 1);
    char key[CV_KEY_TEXT_BYTES + 1];
    snprintf(key, sizeof key, "%.32s", strstr(text, "\n\n    ") + 6);
    assert_int_equal(strlen(key), CV_KEY_TEXT_BYTES);
    assert_int_equal(count_of(text, key), 3); // alone, for FFmpeg, for OBS; not for viewers
    assert_non_null(strstr(text, ":8080/live/mystream?key="));
    // From the second start on there is nothing to show.
    assert_string_equal(first_start(dir, "", &count), "");
    assert_int_equal(count, 1);
}

static void each_app_that_asks_gets_a_first_key(void **state)
{
    (void)state;
    size_t count;
    char dir[100];
    snprintf(dir, sizeof dir, "%s/apps", folder);
    const char *text = first_start(
        dir,
        "apps: [{name: live}, {name: tv}, {name: a, publish: open}, {name: b, publish: off}]\n",
        &count);
    assert_int_equal(count, 2);
    assert_int_equal(count_of(text, "A publish key for app \"live\""), 1);
    assert_int_equal(count_of(text, "A publish key for app \"tv\""), 1);
    assert_int_equal(count_of(text, "A publish key for app"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_are_taken),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(every_command_has_help),
        cmocka_unit_test(wrong_usage_ends_with_2),
        cmocka_unit_test(wrong_configuration_ends_with_3),
        cmocka_unit_test(printed_configuration_passes_the_check),
        cmocka_unit_test(a_bad_state_folder_ends_with_5),
        cmocka_unit_test(keys_are_added_listed_and_removed),
        cmocka_unit_test(the_first_key_is_shown_once),
        cmocka_unit_test(each_app_that_asks_gets_a_first_key),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
