#include "media/run.h"

#include "base/check.h"
#include "proto/chunk_out.h"

void cv_run_begin(struct cv_run *run, const struct cv_stream_log *log)
{
    run->log = log;
    run->to = run->place.from = 0;
}

void cv_run_end(struct cv_run *run)
{
    run->log = NULL;
}

// False, and nothing was added: it does not fit.
static bool add(struct cv_run *run, const struct cv_log_entry *entry)
{
    struct cv_gather *gather = &run->gather;
    size_t before = gather->bytes;
    struct cv_chunk_item item = {
        .payload = entry->payload,
        .ts_ms = entry->ts_ms,
        .stream_id = run->place.stream_id,
        .chunk_bytes = run->place.chunk_bytes,
        .type = entry->type,
        .csid = (uint8_t)cv_msg_csid(entry->type),
    };
    if (cv_chunk_item_pull(&item, 0, gather))
        return true;
    cv_gather_cut(gather, before);
    return false;
}

// The numbers of the messages so far and of the next one.
static void count(struct cv_run *run, uint64_t number)
{
    uint64_t before = run->to - run->place.from;
    if (before == 0)
        run->number = number;
    else if (run->number == CV_LOG_NONE || number != run->number + before)
        run->number = CV_LOG_NONE;
}

static void make(struct cv_run *run)
{
    size_t bytes = 0;
    cv_gather_clear(&run->gather);
    while (run->to < run->log->head && run->to - run->place.from < CV_RUN_MESSAGES &&
           bytes < CV_RUN_BYTES) {
        const struct cv_log_entry *entry = cv_stream_log_at(run->log, run->to);
        if (!add(run, entry))
            return;
        count(run, entry->number);
        bytes += entry->payload->len;
        run->to++;
    }
}

bool cv_run_move(struct cv_run *run, const struct cv_run_place *place)
{
    const struct cv_run_place *at = &run->place;
    CV_ASSERT(run->log);
    bool same = run->to > at->from && at->from == place->from &&
                at->stream_id == place->stream_id && at->chunk_bytes == place->chunk_bytes;
    if (same)
        return true;
    run->place = *place;
    run->to = place->from;
    make(run);
    run->gather.edition = ++run->editions;
    return run->to > place->from;
}
