// The command line: a table of commands.
#ifndef CV_CLI_CLI_H
#define CV_CLI_CLI_H

#include "cli/options.h"

#include <stdbool.h>
#include <stddef.h>

// What the program's end tells; documented in the help texts and the manual page.
enum cv_exit {
    CV_EXIT_OK = 0,
    CV_EXIT_FAILURE = 1,       // something failed while running
    CV_EXIT_USAGE = 2,         // the command line is wrong
    CV_EXIT_CONFIG = 3,        // the configuration is wrong or cannot be read
    CV_EXIT_LISTEN = 4,        // no listening address could be opened
    CV_EXIT_STORE = 5,         // the state folder or the store in it cannot be used
    CV_EXIT_HOST = 6,          // there is no host of that name
    CV_EXIT_NO_WAY = 7,        // nothing gets through the network
    CV_EXIT_REFUSED = 8,       // the server said no: key, name in use, app
    CV_EXIT_NO_STREAM = 9,     // the server has no such stream
    CV_EXIT_FILE = 10,         // a file cannot be read or written
    CV_EXIT_READER = 11,       // who read our output has gone
    CV_EXIT_LOST = 12,         // the connection was lost for good
    CV_EXIT_CERTIFICATE = 13,  // the server's certificate is not accepted (TLS)
    CV_EXIT_INTERRUPTED = 130, // stopped by Ctrl-C before it was done
};

struct cv_command {
    const char *name;
    const char *usage;   // behind "culvert NAME "
    const char *summary; // one line
    const char *about;   // help between usage and options; lines of at most 80
    const char *examples;
    const struct cv_option *options;
    size_t option_count;
    // Runs with what stands behind the command's name; an enum cv_exit.
    int (*run)(const struct cv_command *command, int argc, char **argv);
};

extern const struct cv_command cv_command_serve;
extern const struct cv_command cv_command_publish;
extern const struct cv_command cv_command_play;
extern const struct cv_command cv_command_relay;
extern const struct cv_command cv_command_check;
extern const struct cv_command cv_command_key;
extern const struct cv_command cv_command_bench;
extern const struct cv_command cv_command_help;
extern const struct cv_command cv_command_version;

// The program: argv as main() gets it; an enum cv_exit.
int cv_cli_run(int argc, char **argv);

// Parses a command's options as cv_options_parse. Prints help or what is wrong: then *out_exit is
// how to end and false is returned.
bool cv_cli_options(const struct cv_command *command, int argc, char **argv, void *into,
                    const char **words, size_t words_max, size_t *out_count, int *out_exit);
// Prints "culvert NAME: text" and where help is, on stderr. CV_EXIT_USAGE.
int cv_cli_usage(const struct cv_command *command, const char *text);
// Prints "culvert: text" on stderr and returns `exit_code`.
int cv_cli_fail(int exit_code, const char *text);
// Standard output could not be written: why, as an errno, or 0. Prints that on stderr; how to end.
int cv_cli_output_failed(int error);
// How to end after an error code of the store (place "state", "store" or "key").
int cv_cli_store_exit(int err);

#endif
