// uthash and utlist, set up for this program: memory from base/mem.h, and a failed insertion leaves
// the item out instead of ending the process (then its handle has no table).
#ifndef CV_SERVER_TABLE_H
#define CV_SERVER_TABLE_H

#include "base/mem.h"

#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      cv_mem_alloc(size)
#define uthash_free(memory, len) cv_mem_free(memory)

#include <uthash.h>
#include <utlist.h>

#endif
