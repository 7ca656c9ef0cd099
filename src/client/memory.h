// What got through in which network, so that the next start there costs nothing.
//
// A small text file, one line per network and server, at most CV_LIMIT_MEMORY_LINES of them, the
// oldest leave first. It is a hint: a damaged line is skipped, a file that cannot be read is no
// file, and no failure to write is more than a warning. Written beside and renamed, mode 0600.
// The text itself is in client/memory_text.h.
#ifndef CV_CLIENT_MEMORY_H
#define CV_CLIENT_MEMORY_H

#include "base/err.h"
#include "client/ladder.h"
#include "client/network.h"

#include <stddef.h>

enum {
    CV_LIMIT_MEMORY_LINES = 256,
    CV_LIMIT_MEMORY_BYTES = 128 * 1024, // of the file; a larger one is not read
    CV_MEMORY_SUCCESS_S = 7 * 24 * 3600,
    CV_MEMORY_FAILURE_MIN_S = 3600, // doubles with each failure
    CV_MEMORY_FAILURE_MAX_S = 24 * 3600,
    CV_MEMORY_LOCK_MS = 1000, // for another process that is writing; then nothing is written
};

struct cv_memory_entry {
    enum cv_way way;   // what won; NONE: nothing did
    bool secure;       // inside TLS
    bool raw;          // what won was plain RTMP in the end: an offer answered by 101
    bool ipv4;         // the address that won was one
    uint32_t rtt_us;   //
    uint32_t cut_ms;   // connections are cut after so long; 0: not known
    uint32_t failures; // in a row
    bool pipelines;    // requests may follow each other without waiting
    bool keeps_alive;  // connections outlive a reply
    uint64_t at_s;     // when this was learned, seconds since 1970
};

// $XDG_STATE_HOME/culvert/networks, or ~/.local/state/culvert/networks; empty when neither is set,
// or does not fit.
void cv_memory_default_path(char *out, size_t size);
// What is known of server ("host:port") in this network at `now_s`. False: nothing, or too old, or
// learned by a clock that was ahead.
bool cv_memory_find(const char *path, const char *network, const char *server, uint64_t now_s,
                    struct cv_memory_entry *out);
// Puts an entry in, replacing the older one of the same network and server; makes the folder. Safe
// against other processes that do the same. One failure (way NONE) more than the older entry had is
// written, unless the new entry says more, since find does not tell of it any more when it is time
// to try again. 0, or CV_E_SYSTEM, CV_E_DENIED, CV_E_NOMEM, or CV_E_USAGE for names that are no
// words, with *why.
int cv_memory_put(const char *path, const char *network, const char *server,
                  const struct cv_memory_entry *entry, struct cv_why *why);

#endif
