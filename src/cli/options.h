// Options of a command: one table is parser and help text.
//
// Takes --name VALUE, --name=VALUE, --flag, -l VALUE, -lVALUE, -l, and "--" before plain words.
// Words and options may be mixed. Of an option that is given twice, the last one counts, unless its
// setter collects.
#ifndef CV_CLI_OPTIONS_H
#define CV_CLI_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cv_option {
    const char *name;  // without dashes
    char letter;       // 0 = none
    const char *value; // what the value is, for help: "FILE"; NULL = a flag without value
    const char *about; // one line of help
    // Takes the value (NULL for a flag) into the command's own struct. 0, or CV_E_USAGE with *why.
    int (*set)(void *into, const char *value, struct cv_why *why);
};

// Defines a setter of an option without value (sets the member of the command's struct), or of one
// whose value is kept as it is.
#define CV_OPTION_FLAG(fn, type, member)                                                           \
    static int fn(void *into, const char *value, struct cv_why *why)                               \
    {                                                                                              \
        (void)value;                                                                               \
        (void)why;                                                                                 \
        ((type *)into)->member = true;                                                             \
        return CV_OK;                                                                              \
    }
#define CV_OPTION_TEXT(fn, type, member)                                                           \
    static int fn(void *into, const char *value, struct cv_why *why)                               \
    {                                                                                              \
        (void)why;                                                                                 \
        ((type *)into)->member = value;                                                            \
        return CV_OK;                                                                              \
    }

enum { CV_OPTIONS_HELP = 1 }; // -h or --help was there

// Parses argv[0..argc) into `into`. Plain words go to words[0..words_max), their number to
// *out_count. 0, CV_OPTIONS_HELP, or CV_E_USAGE with *why; then `into` may be half filled.
int cv_options_parse(const struct cv_option *options, size_t count, int argc, char **argv,
                     void *into, const char **words, size_t words_max, size_t *out_count,
                     struct cv_why *why);
// One line per option: "  --listen [ADDR:]PORT   ...".
void cv_options_print(const struct cv_option *options, size_t count, FILE *file);

#endif
