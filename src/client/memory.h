// What got through in which network, so that the next start there costs nothing.
//
// A small text file, one line per network and server, at most CV_LIMIT_MEMORY_LINES of them, the
// oldest leave first. It is a hint: a damaged line is skipped, a file that cannot be read is no
// file, and no failure to write is more than a warning. Written beside and renamed, mode 0600.
#ifndef CV_CLIENT_MEMORY_H
#define CV_CLIENT_MEMORY_H

#include "base/err.h"
#include "client/ladder.h"

#include <stddef.h>

enum {
    CV_LIMIT_MEMORY_LINES = 256,
    CV_LIMIT_MEMORY_BYTES = 128 * 1024, // of the file; a larger one is not read
    CV_LIMIT_NETWORK_BYTES = 96,
    CV_MEMORY_SUCCESS_S = 7 * 24 * 3600,
    CV_MEMORY_FAILURE_MIN_S = 3600, // doubles with each failure
    CV_MEMORY_FAILURE_MAX_S = 24 * 3600,
};

// The present network: the default gateway's hardware address (its IP address where that is not
// known) and the local prefix, as text without blanks; "-" when there is no default route. Reads
// the system's tables (/proc/net/route, arp, ipv6_route), no packets. Always ends in a NUL.
void cv_network_name(char out[CV_LIMIT_NETWORK_BYTES + 1]);

struct cv_memory_entry {
    enum cv_way way;   // what won; NONE: nothing did
    bool raw;          // what won was plain RTMP in the end: an offer answered by 101
    bool ipv4;         // the address that won was one
    uint32_t rtt_us;   //
    uint32_t cut_ms;   // connections are cut after so long; 0: not known
    uint32_t failures; // in a row
    bool pipelines;    // requests may follow each other without waiting
    bool keeps_alive;  // connections outlive a reply
    uint64_t at_s;     // when this was learned, seconds since 1970
};

// $XDG_STATE_HOME/culvert/networks, or ~/.local/state/culvert/networks; empty when neither is set.
void cv_memory_default_path(char *out, size_t size);
// What is known of server ("host:port") in this network at `now_s`. False: nothing, or too old.
bool cv_memory_find(const char *path, const char *network, const char *server, uint64_t now_s,
                    struct cv_memory_entry *out);
// Puts an entry in, replacing the older one of the same network and server; makes the folder. Safe
// against other processes that do the same. 0, or CV_E_SYSTEM or CV_E_DENIED with *why.
int cv_memory_put(const char *path, const char *network, const char *server,
                  const struct cv_memory_entry *entry, struct cv_why *why);

#endif
