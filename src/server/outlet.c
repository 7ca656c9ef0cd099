#include "server/outlet.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/send_batch.h"
#include "server/seat.h"
#include "server/stream.h"
#include "server/worker.h"

#include <string.h>

static struct cv_outlet *outlet_find(struct cv_worker *worker, const struct cv_path *path)
{
    struct cv_outlet *outlet = NULL;
    HASH_FIND(hh, worker->outlets, path->text, path->len, outlet);
    return outlet;
}

// The one that something was sent to, unless it has gone.
static struct cv_outlet *outlet_find_id(struct cv_worker *worker, const struct cv_path *path,
                                        uint64_t id)
{
    struct cv_outlet *outlet = outlet_find(worker, path);
    return outlet && outlet->id == id ? outlet : NULL;
}

// Subscribes, when the note for the end is there.
static int subscribe(struct cv_outlet *outlet, const struct cv_position *wanted)
{
    struct cv_note note = {
        .kind = CV_NOTE_UNSUBSCRIBE, .path = outlet->path, .outlet_id = outlet->id};
    outlet->unsubscribe = cv_worker_note_new(&note);
    if (!outlet->unsubscribe)
        return CV_E_NOMEM;
    note.kind = CV_NOTE_SUBSCRIBE;
    note.position = *wanted;
    return cv_worker_send_note(outlet->worker, cv_worker_home(outlet->worker, &outlet->path),
                               &note);
}

static void on_window(void *arg)
{
    cv_outlet_mark(arg);
}

static struct cv_outlet *outlet_new(struct cv_worker *worker, const struct cv_path *path,
                                    const struct cv_log_limits *limits,
                                    const struct cv_position *wanted)
{
    struct cv_outlet *outlet = cv_mem_zero(1, sizeof *outlet);
    if (!outlet)
        return NULL;
    outlet->worker = worker;
    outlet->id = ++worker->last_outlet;
    outlet->path = *path;
    outlet->begins_at = CV_LOG_NONE;
    cv_stream_log_init_copy(&outlet->own_log, limits);
    outlet->log = &outlet->own_log;
    cv_timer_init(&outlet->window, worker->loop, on_window, outlet);
    HASH_ADD_KEYPTR(hh, worker->outlets, outlet->path.text, outlet->path.len, outlet);
    if (!outlet->hh.tbl) {
        cv_mem_free(outlet);
        return NULL;
    }
    if (subscribe(outlet, wanted) != CV_OK) {
        cv_outlet_free(outlet);
        return NULL;
    }
    return outlet;
}

struct cv_outlet *cv_outlet_get(struct cv_worker *worker, const struct cv_path *path,
                                const struct cv_log_limits *limits,
                                const struct cv_position *wanted)
{
    struct cv_outlet *outlet = outlet_find(worker, path);
    return outlet ? outlet : outlet_new(worker, path, limits, wanted);
}

// The copy has not come to this number yet, and will: the stream had when home answered.
static bool will_come(const struct cv_outlet *outlet, uint64_t number)
{
    const struct cv_stream_log *log = outlet->log;
    bool ahead = log->next_number == CV_LOG_NONE || log->next_number < number;
    bool known = outlet->begins_at <= number && number <= outlet->head;
    return outlet->live && log->copy && known && ahead;
}

int cv_outlet_find(const struct cv_outlet *outlet, const struct cv_position *wanted,
                   uint64_t *out_seq)
{
    if (!outlet->answered)
        return 0;
    if (outlet->epoch == 0 || outlet->epoch != wanted->epoch)
        return CV_E_NOT_FOUND;
    if (cv_stream_log_find(outlet->log, wanted->number, out_seq))
        return 1;
    return will_come(outlet, wanted->number) ? 0 : CV_E_NOT_FOUND;
}

void cv_outlet_free(struct cv_outlet *outlet)
{
    CV_ASSERT(!outlet->seats);
    if (outlet->dirty)
        DL_DELETE(outlet->worker->dirty_outlets, outlet);
    if (outlet->stream)
        outlet->stream->local = NULL;
    cv_timer_stop(&outlet->window);
    HASH_DEL(outlet->worker->outlets, outlet);
    cv_stream_log_done(&outlet->own_log);
    cv_note_free(outlet->unsubscribe);
    cv_mem_free(outlet);
}

void cv_outlet_release(struct cv_outlet *outlet)
{
    if (outlet->seats)
        return;
    cv_worker_post_note(outlet->worker, cv_worker_home(outlet->worker, &outlet->path),
                        outlet->unsubscribe);
    outlet->unsubscribe = NULL;
    cv_outlet_free(outlet);
}

// ---- flushing -------------------------------------------------------------------------------

void cv_outlet_mark(struct cv_outlet *outlet)
{
    if (outlet->dirty)
        return;
    outlet->dirty = true;
    DL_APPEND(outlet->worker->dirty_outlets, outlet);
}

static struct cv_seat *after(const struct cv_seat *seat)
{
    return seat ? seat->next : NULL;
}

// Who comes next: a window on the viewers, NULL behind the last.
struct ahead {
    struct cv_seat *seats[CV_SEAT_STEPS + 1];
};

// The kernel's work for one viewer pushes the others' state out of the near caches; fetched while
// others are served, each level of pointers one viewer earlier, it is there in time. Measured: a
// third of the user-space time of a fan-out to 500. `next`: who enters the window behind it.
static void prefetch(struct ahead *ahead, struct cv_seat *next)
{
    for (unsigned step = 0; step < CV_SEAT_STEPS; step++) {
        const struct cv_seat *seat = ahead->seats[CV_SEAT_STEPS - 1 - step];
        if (seat && step < seat->kind->steps)
            seat->kind->prefetch(seat, step);
    }
    if (ahead->seats[CV_SEAT_STEPS])
        cv_prefetch(ahead->seats[CV_SEAT_STEPS], CV_SEAT_HOT_BYTES);
    memmove(ahead->seats, ahead->seats + 1, CV_SEAT_STEPS * sizeof ahead->seats[0]);
    ahead->seats[CV_SEAT_STEPS] = next;
}

static struct cv_seat *owner_at(struct cv_send_batch *batch, unsigned n, unsigned count)
{
    return n < count ? cv_send_batch_at(batch, n)->owner : NULL;
}

// Sends what was collected, and gives each viewer its result.
static void send_batch(struct cv_send_batch *batch)
{
    struct ahead ahead;
    unsigned count = cv_send_batch_submit(batch);
    for (unsigned i = 0; i <= CV_SEAT_STEPS; i++)
        ahead.seats[i] = owner_at(batch, i + 1, count);
    for (unsigned i = 0; i < count; i++) {
        prefetch(&ahead, owner_at(batch, i + CV_SEAT_STEPS + 2, count));
        struct cv_send *send = cv_send_batch_at(batch, i);
        struct cv_seat *seat = send->owner;
        seat->kind->joined(seat, send);
    }
    cv_send_batch_clear(batch);
}

// `batch` may be NULL: each viewer writes by itself.
static void flush_seat(struct cv_seat *seat, struct cv_send_batch *batch)
{
    if (!batch) {
        seat->kind->flush(seat);
        return;
    }
    if (!cv_send_batch_has_room(batch))
        send_batch(batch);
    seat->kind->join(seat, batch);
}

// Connections that fail here are doomed, not freed: the list stays as it is, and so does what a
// batch has borrowed from them.
static void flush_seats(struct cv_outlet *outlet)
{
    struct cv_send_batch *batch = cv_worker_batch(outlet->worker, outlet->seat_count);
    struct ahead ahead;
    struct cv_seat *last = outlet->seats;
    for (unsigned i = 0; i <= CV_SEAT_STEPS; i++)
        ahead.seats[i] = last = after(last);
    for (struct cv_seat *seat = outlet->seats; seat; seat = seat->next) {
        last = after(last);
        prefetch(&ahead, last);
        flush_seat(seat, batch);
    }
    if (batch)
        send_batch(batch);
}

// Nothing but audio is new, of a stream that has pictures.
static bool has_only_audio(const struct cv_outlet *outlet)
{
    const struct cv_stream_log *log = outlet->log;
    uint64_t seq = outlet->flushed_seq > log->tail ? outlet->flushed_seq : log->tail;
    if (!log->has_video || !outlet->live || seq >= log->head)
        return false;
    while (seq < log->head && cv_stream_log_at(log, seq)->flags == CV_LOG_AUDIO)
        seq++;
    return seq == log->head;
}

static bool is_paced(const struct cv_outlet *outlet)
{
    return outlet->stream ? outlet->stream->paced : outlet->paced;
}

// When what is new is to be sent.
//
// To few viewers at once, if the last time is a window ago. To many the first of it waits, for as
// long as it may, for what can go with it: a window, and audio by itself at least for
// CV_AUDIO_RIDE_US, since a send costs the same for a little audio as for a picture. Measured, and
// why: io/send_batch.h. Where the publisher is read once in a window it has waited before.
static uint64_t due_us(struct cv_outlet *outlet, uint64_t now_us, uint64_t window_us)
{
    if (outlet->seat_count < CV_MANY_VIEWERS || is_paced(outlet))
        return outlet->flushed_us + window_us;
    if (!outlet->waits_us)
        outlet->waits_us = now_us;
    bool rides = window_us < CV_AUDIO_RIDE_US && has_only_audio(outlet);
    return outlet->waits_us + (rides ? CV_AUDIO_RIDE_US : window_us);
}

void cv_outlet_turn(struct cv_outlet *outlet)
{
    struct cv_worker *worker = outlet->worker;
    uint64_t window_us = worker->policy->config->latency_ms * UINT64_C(1000);
    uint64_t now_us = cv_loop_now_us(worker->loop);
    uint64_t due = due_us(outlet, now_us, window_us);
    if (now_us < due) {
        cv_timer_start_at(&outlet->window, due);
        return;
    }
    cv_timer_stop(&outlet->window);
    outlet->flushed_us = cv_pace_floor_us(now_us, window_us);
    outlet->flushed_seq = outlet->log->head;
    outlet->waits_us = 0;
    cv_run_begin(&worker->run, outlet->log);
    flush_seats(outlet);
    cv_run_end(&worker->run);
}

// ---- from home ------------------------------------------------------------------------------

void cv_outlet_attach(struct cv_worker *worker, struct cv_stream *stream, uint64_t outlet_id)
{
    struct cv_outlet *outlet = outlet_find_id(worker, &stream->path, outlet_id);
    if (!outlet)
        return;
    CV_ASSERT(!stream->local || stream->local == outlet);
    outlet->stream = stream;
    outlet->log = &stream->log;
    outlet->flushed_seq = 0; // of another log
    outlet->epoch = stream->epoch;
    outlet->answered = true;
    stream->local = outlet;
    for (struct cv_seat *seat = outlet->seats; seat; seat = seat->next)
        cv_seat_on_log(seat);
}

void cv_outlet_on_state(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_outlet *outlet = outlet_find_id(worker, &note->path, note->outlet_id);
    if (!outlet)
        return;
    outlet->epoch = note->position.epoch;
    outlet->begins_at = note->position.number;
    outlet->head = note->head;
    outlet->own_log.continued = outlet->begins_at != CV_LOG_NONE;
    outlet->answered = true;
    bool over = outlet->live && !note->flag;
    if (over && outlet->log == &outlet->own_log)
        cv_stream_log_end(&outlet->own_log);
    outlet->live = note->flag;
    for (struct cv_seat *seat = outlet->seats; seat; seat = seat->next)
        seat->kind->on_state(seat);
    cv_outlet_mark(outlet);
}

void cv_outlet_on_batch(struct cv_worker *worker, const struct cv_batch *batch)
{
    struct cv_outlet *outlet = outlet_find_id(worker, &batch->path, batch->outlet_id);
    if (!outlet)
        return;
    CV_ASSERT(outlet->log == &outlet->own_log);
    outlet->paced = batch->paced;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct cv_batch_item *item = &batch->items[i];
        struct cv_msg msg = {.type = item->type, .ts_ms = item->ts_ms, .payload = item->payload};
        if (cv_stream_log_append_copy(&outlet->own_log, &msg, item->number) != CV_OK)
            worker->stats.lost++;
    }
    if (batch->started)
        cv_stream_log_start(&outlet->own_log);
    cv_outlet_mark(outlet);
}
