// The table of commands, and help, which is made from it.
#include "cli/cli.h"

#include "culvert/culvert.h"
#include "server/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct cv_command *const commands[] = {
    &cv_command_serve, &cv_command_publish, &cv_command_play,
    &cv_command_relay, &cv_command_check,   &cv_command_key,
    &cv_command_bench, &cv_command_help,    &cv_command_version,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const char exit_codes[] = "Exit codes:\n"
                                 "  0  done, or stopped by a signal as asked\n"
                                 "  1  something failed while running\n"
                                 "  2  the command line is wrong\n"
                                 "  3  the configuration is wrong or cannot be read\n"
                                 "  4  no listening address could be opened\n"
                                 "  5  the state folder or the store in it cannot be used\n"
                                 "  6  there is no host of that name\n"
                                 "  7  nothing gets through the network to the server\n"
                                 "  8  the server refused: key, name in use, app\n"
                                 "  9  the server has no such stream\n"
                                 " 10  a file cannot be read or written\n"
                                 " 11  the reader of the output has gone\n"
                                 " 12  the connection was lost and did not come back\n"
                                 " 13  the server's certificate is not accepted\n"
                                 "130  stopped by Ctrl-C or SIGTERM before it was done\n";

static const struct cv_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_overview(FILE *file)
{
    fprintf(file, "Culvert carries live video and data past firewalls.\n\n"
                  "Usage: culvert COMMAND [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(file,
            "\nExamples:\n"
            "  culvert serve                   serve on ports 80 and 1935, nothing to set up\n"
            "  culvert serve --open-publish    for a trial: publish without a key\n"
            "  culvert help serve              all about one command\n\n%s",
            exit_codes);
}

static void print_command(const struct cv_command *command, FILE *file)
{
    fprintf(file, "Usage: culvert %s%s%s\n\n%s\n\n", command->name, command->usage[0] ? " " : "",
            command->usage, command->about);
    fprintf(file, "Options:\n");
    cv_options_print(command->options, command->option_count, file);
    fprintf(file, "\nExamples:\n%s\n%s", command->examples, exit_codes);
}

int cv_cli_fail(int exit_code, const char *text)
{
    fprintf(stderr, "culvert: %s\n", text);
    return exit_code;
}

int cv_cli_usage(const struct cv_command *command, const char *text)
{
    fprintf(stderr, "culvert %s: %s\nSee: culvert help %s\n", command->name, text, command->name);
    return CV_EXIT_USAGE;
}

int cv_cli_store_exit(int err)
{
    switch (cv_err_class(err)) {
    case CV_CLASS_USAGE:
        return CV_EXIT_USAGE;
    case CV_CLASS_NOMEM:
    case CV_CLASS_REFUSED:
        return CV_EXIT_FAILURE;
    default:
        return CV_EXIT_STORE;
    }
}

bool cv_cli_options(const struct cv_command *command, int argc, char **argv, void *into,
                    const char **words, size_t words_max, size_t *out_count, int *out_exit)
{
    struct cv_why why = {.code = CV_OK};
    int result = cv_options_parse(command->options, command->option_count, argc, argv, into, words,
                                  words_max, out_count, &why);
    if (result == CV_OK)
        return true;
    if (result == CV_OPTIONS_HELP) {
        print_command(command, stdout);
        *out_exit = CV_EXIT_OK;
    } else {
        *out_exit = cv_cli_usage(command, why.text);
    }
    return false;
}

static int fail_command(const char *name)
{
    struct cv_nearest nearest = cv_nearest_to(name);
    for (size_t i = 0; i < COMMANDS; i++)
        cv_nearest_try(&nearest, commands[i]->name);
    fprintf(stderr, "culvert: unknown command \"%s\"", name);
    if (nearest.best)
        fprintf(stderr, " (did you mean \"%s\"?)", nearest.best);
    fprintf(stderr, "\nSee: culvert help\n");
    return CV_EXIT_USAGE;
}

// ---- help and version -----------------------------------------------------------------------

static int run_help(const struct cv_command *command, int argc, char **argv)
{
    const char *words[1];
    size_t count;
    int end;
    if (!cv_cli_options(command, argc, argv, NULL, words, 1, &count, &end))
        return end;
    if (count == 0) {
        print_overview(stdout);
        return CV_EXIT_OK;
    }
    const struct cv_command *about = find_command(words[0]);
    if (!about)
        return fail_command(words[0]);
    print_command(about, stdout);
    return CV_EXIT_OK;
}

static int run_version(const struct cv_command *command, int argc, char **argv)
{
    size_t count;
    int end;
    if (!cv_cli_options(command, argc, argv, NULL, NULL, 0, &count, &end))
        return end;
    printf("culvert %s\n", culvert_version());
    return CV_EXIT_OK;
}

const struct cv_command cv_command_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "tell about a command",
    .about = "Prints what a command does, its options, examples and exit codes.",
    .examples = "  culvert help serve\n",
    .run = run_help,
};

const struct cv_command cv_command_version = {
    .name = "version",
    .usage = "",
    .summary = "print the version",
    .about = "Prints the version of this program.",
    .examples = "  culvert version\n",
    .run = run_version,
};

int cv_cli_output_failed(int error)
{
    if (error == EPIPE)
        return cv_cli_fail(CV_EXIT_READER, "the reader of the output has gone");
    fprintf(stderr, "culvert: standard output: %s\n",
            error ? strerror(error) : "it could not be written");
    return CV_EXIT_FILE;
}

// What a command has printed may have failed to leave, now or before.
static int flush_output(int end)
{
    bool failed_before = ferror(stdout);
    bool failed = fflush(stdout) != 0;
    if (failed)
        return cv_cli_output_failed(errno);
    return failed_before ? cv_cli_output_failed(0) : end;
}

int cv_cli_run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return CV_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const struct cv_command *command = find_command(name);
    if (!command)
        return fail_command(name);
    int end = command->run(command, argc - 2, argv + 2);
    return flush_output(end);
}
