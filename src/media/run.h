// A run: a stretch of a stream's log as chunks, made once and sent as it is to every viewer that
// stands at its beginning, and for whom it would look the same.
//
// It borrows the log's blocks, and is good while the log does not change: between begin and end.
// No memory of its own. On the thread of the log.
#ifndef CV_MEDIA_RUN_H
#define CV_MEDIA_RUN_H

#include "base/gather.h"
#include "media/streamlog.h"

enum {
    // What one write carries at most; more would keep old blocks alive for viewers that are slow.
    CV_RUN_MESSAGES = 128,
    CV_RUN_BYTES = 128 * 1024, // of payloads; it ends with the message that reaches it
};

// For whom it is: viewers with the same place get the same bytes.
struct cv_run_place {
    uint64_t from; // position of the first message
    uint32_t stream_id;
    uint32_t chunk_bytes;
};

struct cv_run {
    const struct cv_stream_log *log; // NULL: not begun
    struct cv_run_place place;
    uint64_t to;       // position behind the last message; place.from: it has not been made
    uint64_t number;   // of the first message, if the others follow it one by one; or CV_LOG_NONE
    uint64_t editions; // that were made
    struct cv_gather gather;
};

void cv_run_begin(struct cv_run *run, const struct cv_stream_log *log);
void cv_run_end(struct cv_run *run);
// Makes it the run from there, unless it is already. False: the first message does not fit.
// `place->from` is a position in the log, which has begun.
bool cv_run_move(struct cv_run *run, const struct cv_run_place *place);

#endif
