// The text of the memory of networks (client/memory.h): read, looked through, written anew.
//
//   culvert networks 1
//   # What got through in which network. Hints: this file may be deleted at any time.
//   network=02:fc:00:00:00:05@192.0.2.0/24 server=example.org:80 way=offer secure=no raw=yes
//   ipv4=yes rtt_us=21000 cut_ms=0 failures=0 pipelines=no keeps_alive=yes at=1767225600
//
// (each entry is one line). The first line is the version: with another one, nothing is known.
// network, server, way and at must be there, the others are 0 or no without it; words that are not
// known are for later versions. A line that is damaged in any word, is too long, or has no end is
// skipped. No I/O, no clock.
#ifndef CV_CLIENT_MEMORY_TEXT_H
#define CV_CLIENT_MEMORY_TEXT_H

#include "base/limits.h"
#include "base/text.h"
#include "client/memory.h"

enum {
    CV_LIMIT_MEMORY_SERVER_BYTES = CV_LIMIT_HOST_BYTES + 8, // [host]:port
    CV_LIMIT_MEMORY_LINE_BYTES = 640,                       // with its end
};

// A name that a line can hold: printable ASCII without blanks, 1 byte to `max`.
bool cv_memory_is_word(struct cv_text text, size_t max);
// What the text says of this network and server at `now_s`. False: nothing, or too old.
bool cv_memory_text_find(struct cv_text text, struct cv_text network, struct cv_text server,
                         uint64_t now_s, struct cv_memory_entry *out);
// Writes the text that has the new entry instead of the older one. Left out are also what is
// damaged, what was learned CV_MEMORY_SUCCESS_S before the new entry, and the first lines when they
// are too many. Both names must be words. Returns the length: at most CV_LIMIT_MEMORY_BYTES.
size_t cv_memory_text_put(char out[CV_LIMIT_MEMORY_BYTES], struct cv_text text,
                          struct cv_text network, struct cv_text server,
                          const struct cv_memory_entry *entry);

#endif
