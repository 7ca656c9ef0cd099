// A child process on a loop: started, heard line by line, ended in time; nothing here blocks.
//
// It reads nothing (/dev/null), and what it writes, to standard output or error, comes as lines. It
// is the leader of a process group of its own, so that signals of our terminal are not for it, and
// its own children end with it. Files that it makes are for our user only.
#ifndef CV_IO_PROCESS_H
#define CV_IO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_loop;
struct cv_process;

enum {
    CV_PROCESS_LINE_BYTES = 1024, // longer lines come in pieces
    CV_PROCESS_KILL_MS = 2000,    // from SIGTERM to SIGKILL
    CV_PROCESS_REST_MS = 1000,    // from its end to the end of what its children still write
};

struct cv_process_plan {
    const char *const *argv; // NULL behind the last; argv[0] is looked up in PATH
    const char *const *env;  // "NAME=value", NULL behind the last: before our own environment
    uint64_t limit_ms;       // then it is ended
};

struct cv_process_end {
    bool timed_out;
    int status; // its exit code, where signal is 0
    int signal; // that ended it, or 0
};

// Told on the loop, never inside a function of this header. Either may free the process.
struct cv_process_user {
    // Without its end, and never empty; any bytes. Lent for the call.
    void (*line)(void *arg, const char *text, size_t len);
    // It and its output have ended; nothing is told any more, and it is to be freed.
    void (*ended)(void *arg, const struct cv_process_end *end);
};

// 0, and *out is the caller's; or CV_E_NOT_FOUND (there is no such program), CV_E_DENIED,
// CV_E_NOMEM, CV_E_SYSTEM. `plan` is borrowed for the call, `user` for good.
int cv_process_start(struct cv_process **out, struct cv_loop *loop,
                     const struct cv_process_plan *plan, const struct cv_process_user *user,
                     void *arg);
// Where it still runs, it is killed with its group. *process is cleared; NULL in it is allowed. The
// loop must run, or be freed, afterwards.
void cv_process_free(struct cv_process **process);

#endif
