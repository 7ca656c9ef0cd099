#include "cli/options.h"

#include "base/check.h"
#include "server/nearest.h"

#include <stdbool.h>
#include <string.h>

// A walk along the arguments.
struct walk {
    const struct cv_option *options;
    size_t count;
    int left;
    char **at;
    void *into;
    struct cv_why *why;
};

static const struct cv_option *find_name(const struct walk *walk, const char *name, size_t len)
{
    for (size_t i = 0; i < walk->count; i++) {
        const struct cv_option *option = &walk->options[i];
        if (strlen(option->name) == len && memcmp(option->name, name, len) == 0)
            return option;
    }
    return NULL;
}

static const struct cv_option *find_letter(const struct walk *walk, char letter)
{
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->options[i].letter == letter)
            return &walk->options[i];
    }
    return NULL;
}

static int fail_unknown(const struct walk *walk, const char *name, size_t len)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), name);
    struct cv_nearest nearest = cv_nearest_to(word);
    for (size_t i = 0; i < walk->count; i++)
        cv_nearest_try(&nearest, walk->options[i].name);
    if (!nearest.best)
        return cv_why_set(walk->why, CV_E_USAGE, "options", "unknown option --%s", word);
    return cv_why_set(walk->why, CV_E_USAGE, "options", "unknown option --%s (did you mean --%s?)",
                      word, nearest.best);
}

// `value` is what stood behind "=" or the letter, or NULL; then the next argument may be it.
static int take(struct walk *walk, const struct cv_option *option, const char *value)
{
    if (!option->value) {
        if (value)
            return cv_why_set(walk->why, CV_E_USAGE, "options", "--%s takes no value",
                              option->name);
        return option->set(walk->into, NULL, walk->why);
    }
    if (!value && walk->left > 0) {
        value = *walk->at++;
        walk->left--;
    }
    if (!value)
        return cv_why_set(walk->why, CV_E_USAGE, "options", "--%s needs a value: --%s %s",
                          option->name, option->name, option->value);
    return option->set(walk->into, value, walk->why);
}

static int take_long(struct walk *walk, const char *name)
{
    size_t len = strcspn(name, "=");
    const struct cv_option *option = find_name(walk, name, len);
    if (option)
        return take(walk, option, name[len] == '=' ? name + len + 1 : NULL);
    if (len == 4 && memcmp(name, "help", 4) == 0)
        return CV_OPTIONS_HELP;
    return fail_unknown(walk, name, len);
}

static int take_letter(struct walk *walk, const char *letter)
{
    const struct cv_option *option = find_letter(walk, *letter);
    if (option)
        return take(walk, option, letter[1] ? letter + 1 : NULL);
    if (strcmp(letter, "h") == 0)
        return CV_OPTIONS_HELP;
    return cv_why_set(walk->why, CV_E_USAGE, "options", "unknown option -%s", letter);
}

int cv_options_parse(const struct cv_option *options, size_t count, int argc, char **argv,
                     void *into, const char **words, size_t words_max, size_t *out_count,
                     struct cv_why *why)
{
    CV_ASSERT(argc >= 0);
    struct walk walk = {options, count, argc, argv, into, why};
    bool only_words = false;
    size_t word_count = 0;
    while (walk.left > 0) {
        const char *argument = *walk.at++;
        walk.left--;
        int result = CV_OK;
        if (!only_words && strcmp(argument, "--") == 0)
            only_words = true;
        else if (!only_words && strncmp(argument, "--", 2) == 0)
            result = take_long(&walk, argument + 2);
        else if (!only_words && argument[0] == '-' && argument[1] != '\0')
            result = take_letter(&walk, argument + 1);
        else if (word_count == words_max)
            result = cv_why_set(why, CV_E_USAGE, "options", "what is \"%s\"?", argument);
        else
            words[word_count++] = argument;
        if (result != CV_OK)
            return result;
    }
    *out_count = word_count;
    return CV_OK;
}

void cv_options_print(const struct cv_option *options, size_t count, FILE *file)
{
    for (size_t i = 0; i < count; i++) {
        const struct cv_option *option = &options[i];
        char left[64];
        char letter[8] = "    ";
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(left, sizeof left, "%s--%s %s", letter, option->name,
                 option->value ? option->value : "");
        fprintf(file, "  %-31s %s\n", left, option->about);
    }
    fprintf(file, "  %-31s %s\n", "-h, --help", "this text");
}
