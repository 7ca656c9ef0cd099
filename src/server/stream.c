#include "server/stream.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/outlet.h"
#include "server/worker.h"

enum { END_RETRY_US = 1000 }; // the end waits for media that waits for room in a mailbox

static void stream_mark(struct cv_stream *stream)
{
    if (stream->dirty)
        return;
    stream->dirty = true;
    DL_APPEND(stream->worker->dirty_streams, stream);
}

static struct cv_stream *stream_find(struct cv_worker *worker, const struct cv_path *path)
{
    struct cv_stream *stream = NULL;
    HASH_FIND(hh, worker->streams, path->text, path->len, stream);
    return stream;
}

static void on_grace_over(void *arg);
static void on_ghost_time(void *arg);

static struct cv_stream *stream_new(struct cv_worker *worker, const struct cv_path *path)
{
    size_t threads = worker->shared->workers * sizeof(struct cv_subscriber);
    struct cv_stream *stream = cv_mem_zero(1, sizeof *stream + threads);
    if (!stream)
        return NULL;
    stream->worker = worker;
    stream->path = *path;
    HASH_ADD_KEYPTR(hh, worker->streams, stream->path.text, stream->path.len, stream);
    if (!stream->hh.tbl) {
        cv_mem_free(stream);
        return NULL;
    }
    stream->epoch = cv_position_epoch();
    // Until a publisher brings its app's settings nothing is appended.
    cv_stream_log_init(&stream->log, &(struct cv_log_limits){0});
    cv_timer_init(&stream->grace, worker->loop, on_grace_over, stream);
    cv_timer_init(&stream->ghost, worker->loop, on_ghost_time, stream);
    return stream;
}

static struct cv_stream *stream_get(struct cv_worker *worker, const struct cv_path *path)
{
    struct cv_stream *stream = stream_find(worker, path);
    return stream ? stream : stream_new(worker, path);
}

void cv_stream_free(struct cv_stream *stream)
{
    CV_ASSERT(!stream->local);
    if (stream->dirty)
        DL_DELETE(stream->worker->dirty_streams, stream);
    cv_timer_stop(&stream->grace);
    cv_timer_stop(&stream->ghost);
    cv_note_free(stream->returning);
    HASH_DEL(stream->worker->streams, stream);
    cv_stream_log_done(&stream->log);
    cv_mem_free(stream);
}

static void free_if_unused(struct cv_stream *stream)
{
    if (stream->state == CV_STREAM_WAITING && stream->subscribers == 0 && !stream->local)
        cv_stream_free(stream);
}

// ---- telling the threads with viewers --------------------------------------------------------

static void tell_thread(struct cv_stream *stream, unsigned thread)
{
    struct cv_note note = {
        .kind = CV_NOTE_STATE,
        .path = stream->path,
        .outlet_id = stream->threads[thread].outlet_id,
        .flag = stream->state != CV_STREAM_WAITING,
        .position = {.epoch = stream->epoch, .number = stream->threads[thread].begins_at},
        .head = stream->log.head,
    };
    // Without memory that thread's viewers wait in vain, and their own time-outs end them.
    cv_worker_send_note(stream->worker, thread, &note);
}

static void tell_threads(struct cv_stream *stream)
{
    for (unsigned i = 0; i < stream->worker->shared->workers; i++) {
        if (stream->threads[i].on)
            tell_thread(stream, i);
    }
}

static bool send_batch(struct cv_stream *stream, unsigned thread, struct cv_batch *batch)
{
    batch->outlet_id = stream->threads[thread].outlet_id;
    batch->started = stream->log.started;
    batch->paced = stream->paced;
    int err = cv_worker_send_batch(stream->worker, thread, &batch);
    cv_batch_free(&batch);
    return err == CV_OK;
}

// One batch for all viewers of a thread. 1: sent, there may be more. 0: nothing to send. Negative:
// not possible now, and the cursor stands where it stood.
static int distribute_batch(struct cv_stream *stream, unsigned thread)
{
    struct cv_cursor *cursor = &stream->threads[thread].cursor;
    struct cv_cursor before = *cursor;
    struct cv_batch *batch = NULL;
    struct cv_msg msg;
    while ((!batch || batch->count < CV_BATCH_ITEMS_MAX) &&
           cv_cursor_next(cursor, &stream->log, &msg) == 1) {
        if (!batch)
            batch = cv_batch_new(&stream->path, NULL);
        if (!batch ||
            cv_batch_add(&batch, &msg, cv_cursor_last_number(cursor, &stream->log)) != CV_OK) {
            cv_batch_free(&batch);
            *cursor = before;
            return CV_E_NOMEM;
        }
    }
    bool any = batch != NULL;
    if (any && !send_batch(stream, thread, batch)) {
        *cursor = before;
        return CV_E_QUEUE_FULL;
    }
    stream->worker->stats.skipped += cursor->skipped - before.skipped;
    return any;
}

static bool distribute_to(struct cv_stream *stream, unsigned thread)
{
    int sent;
    do
        sent = distribute_batch(stream, thread);
    while (sent == 1);
    return sent == 0;
}

bool cv_stream_distribute(struct cv_stream *stream)
{
    bool all = true;
    if (stream->local)
        cv_outlet_mark(stream->local);
    for (unsigned i = 0; i < stream->worker->shared->workers; i++) {
        if (stream->threads[i].on && i != stream->worker->index)
            all &= distribute_to(stream, i);
    }
    return all;
}

// ---- publishing -----------------------------------------------------------------------------

static bool same_publisher(const struct cv_publisher_id *a, const struct cv_publisher_id *b)
{
    return a->thread == b->thread && a->serial == b->serial;
}

// The question goes back as its own answer, so that there always is one.
static void answer(struct cv_worker *worker, struct cv_note *question, int code)
{
    question->kind = CV_NOTE_PUBLISHED;
    question->code = code;
    cv_worker_post_note(worker, question->publisher.thread, question);
}

static int kick_publisher(struct cv_stream *stream, enum cv_kick kick)
{
    struct cv_note note = {
        .kind = CV_NOTE_KICK, .path = stream->path, .publisher = stream->publisher, .kick = kick};
    return cv_worker_send_note(stream->worker, stream->publisher.thread, &note);
}

// The publishing that it wants to go on with is this one.
static bool may_resume(const struct cv_stream *stream, const struct cv_note *note)
{
    return cv_resume_equal(&stream->resume, &note->resume);
}

// Who goes on where a cut was is no beginning: for viewers and the log nothing has happened.
static void start(struct cv_stream *stream, struct cv_note *note)
{
    bool resumes = may_resume(stream, note);
    cv_timer_stop(&stream->grace);
    stream->yielding = false;
    stream->settings = note->settings;
    stream->log.limits = note->settings.log;
    stream->publisher = note->publisher;
    stream->identity = note->identity;
    stream->state = CV_STREAM_LIVE;
    if (!resumes) {
        stream->resume = note->resume.wanted ? cv_resume_new() : (struct cv_resume){0};
        cv_stream_log_restart(&stream->log);
    }
    note->resume = stream->resume;
    answer(stream->worker, note, CV_OK);
    if (!resumes)
        tell_threads(stream);
}

// ---- a publisher and its ghost --------------------------------------------------------------
//
// After a cut the old connection holds the name until its deadline, and its publisher, back on a
// new one, must not be refused for that. It waits until nothing has been heard from the old one for
// a while, and takes over; who is alive is never thrown out by this.

static struct cv_note *take_returning(struct cv_stream *stream)
{
    struct cv_note *note = stream->returning;
    stream->returning = NULL;
    cv_timer_stop(&stream->ghost);
    stream->yielding = false;
    return note;
}

static void refuse_returning(struct cv_stream *stream, int code)
{
    struct cv_note *note = take_returning(stream);
    if (note)
        answer(stream->worker, note, code);
}

// The answer is cv_stream_on_heard, or that the publisher has ended.
static void on_ghost_time(void *arg)
{
    struct cv_stream *stream = arg;
    struct cv_note note = {
        .kind = CV_NOTE_PROBE, .path = stream->path, .publisher = stream->publisher};
    if (cv_worker_send_note(stream->worker, stream->publisher.thread, &note) != CV_OK)
        refuse_returning(stream, CV_E_NOMEM);
    else // again, should the answer get lost for want of memory
        cv_timer_start(&stream->ghost, CV_GHOST_SILENCE_MS * UINT64_C(1000));
}

static void wait_for_ghost(struct cv_stream *stream, struct cv_note *note)
{
    stream->returning = note;
    stream->returning_end_us =
        cv_loop_now_us(stream->worker->loop) + CV_GHOST_WAIT_MS * UINT64_C(1000);
    on_ghost_time(stream);
}

void cv_stream_on_heard(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_stream *stream = stream_find(worker, &note->path);
    if (!stream || !stream->returning || stream->yielding ||
        !same_publisher(&stream->publisher, &note->publisher))
        return;
    uint64_t now_us = cv_loop_now_us(worker->loop);
    uint64_t ghost_us = note->heard_us + CV_GHOST_SILENCE_MS * UINT64_C(1000);
    if (now_us >= ghost_us) {
        kick_publisher(stream, CV_KICK_GHOST);
        start(stream, take_returning(stream));
        return;
    }
    if (now_us >= stream->returning_end_us) {
        refuse_returning(stream, CV_E_BUSY);
        return;
    }
    bool in_time = ghost_us < stream->returning_end_us;
    cv_timer_start_at(&stream->ghost, in_time ? ghost_us : stream->returning_end_us);
}

// ---- a publisher that goes on with its own publishing ---------------------------------------

// Its old connection may still be there, even alive: it is thrown out, but what it has delivered is
// counted first, so that the client knows with what to go on. The UNPUBLISH behind its last media
// starts the one who waits. Who tried before (and waits perhaps) has been given up by the client.
static void wait_for_yield(struct cv_stream *stream, struct cv_note *note)
{
    refuse_returning(stream, CV_E_BUSY);
    if (kick_publisher(stream, CV_KICK_YIELD) != CV_OK) {
        answer(stream->worker, note, CV_E_NOMEM);
        return;
    }
    stream->returning = note;
    stream->yielding = true;
}

// ---- who publishes --------------------------------------------------------------------------

void cv_stream_on_publish(struct cv_worker *worker, struct cv_note *note)
{
    struct cv_stream *stream = stream_get(worker, &note->path);
    if (!stream) {
        answer(worker, note, CV_E_NOMEM);
        return;
    }
    if (note->resume.replaces && !(stream->state == CV_STREAM_LIVE && may_resume(stream, note))) {
        answer(worker, note, CV_E_TOO_MANY);
        free_if_unused(stream);
        return;
    }
    if (stream->state != CV_STREAM_LIVE) {
        start(stream, note);
        return;
    }
    if (may_resume(stream, note)) {
        wait_for_yield(stream, note);
        return;
    }
    if (note->settings.takeover) {
        refuse_returning(stream, CV_E_BUSY);
        kick_publisher(stream, CV_KICK_TAKEOVER);
        start(stream, note);
        return;
    }
    if (stream->returning || !cv_identity_equal(&stream->identity, &note->identity)) {
        answer(worker, note, CV_E_BUSY);
        return;
    }
    wait_for_ghost(stream, note);
}

// The end: later viewers start from nothing, those who are here read what is left of the log.
static void end_stream(struct cv_stream *stream)
{
    stream->resume = (struct cv_resume){0};
    if (!cv_stream_distribute(stream)) {
        stream->state = CV_STREAM_GRACE; // for a moment: the end must not overtake media
        cv_timer_start(&stream->grace, END_RETRY_US);
        return;
    }
    stream->state = CV_STREAM_WAITING;
    for (unsigned i = 0; i < stream->worker->shared->workers; i++)
        stream->threads[i].begins_at =
            CV_LOG_NONE; // who waits now sees the next from its beginning
    cv_stream_log_end(&stream->log);
    tell_threads(stream);
    free_if_unused(stream);
}

static void on_grace_over(void *arg)
{
    end_stream(arg);
}

void cv_stream_on_unpublish(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_stream *stream = stream_find(worker, &note->path);
    if (!stream)
        return;
    if (stream->returning && same_publisher(&stream->returning->publisher, &note->publisher)) {
        cv_note_free(take_returning(stream));
        return;
    }
    if (!same_publisher(&stream->publisher, &note->publisher))
        return;
    if (note->flag) // ended on purpose: nobody goes on with that
        stream->resume = (struct cv_resume){0};
    if (stream->returning) {
        start(stream, take_returning(stream));
        return;
    }
    stream->publisher = (struct cv_publisher_id){0};
    if (note->flag || stream->settings.grace_s == 0) {
        end_stream(stream);
        return;
    }
    stream->state = CV_STREAM_GRACE;
    cv_timer_start(&stream->grace, stream->settings.grace_s * UINT64_C(1000000));
}

void cv_stream_on_batch(struct cv_worker *worker, const struct cv_batch *batch)
{
    struct cv_stream *stream = stream_find(worker, &batch->path);
    if (!stream || !same_publisher(&stream->publisher, &batch->publisher))
        return;
    stream->paced = batch->paced;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct cv_batch_item *item = &batch->items[i];
        struct cv_msg msg = {.type = item->type, .ts_ms = item->ts_ms, .payload = item->payload};
        // Without memory the message is lost for all; the stream goes on.
        if (cv_stream_log_append(&stream->log, &msg) != CV_OK)
            worker->stats.lost++;
    }
    stream->resume.taken += batch->count; // what is lost for all is not sent again either
    stream_mark(stream);
}

// ---- viewers --------------------------------------------------------------------------------

// Where a thread's copy must begin so that this place is in it: at the newest key frame, for the
// sake of joiners there, or before. They get the headers of now, so none may have come since.
static uint64_t copy_begins_at(const struct cv_stream *stream, const struct cv_position *wanted)
{
    const struct cv_stream_log *log = &stream->log;
    uint64_t seq;
    if (stream->epoch == 0 || wanted->epoch != stream->epoch || !log->started ||
        !cv_stream_log_find(log, wanted->number, &seq))
        return CV_LOG_NONE;
    uint64_t first = log->gop < seq ? log->gop : seq;
    return first > log->headers_at ? first : CV_LOG_NONE;
}

static void begin_copy(struct cv_stream *stream, struct cv_subscriber *subscriber)
{
    if (subscriber->begins_at == CV_LOG_NONE)
        cv_cursor_wait(&subscriber->cursor,
                       &stream->log); // now: media may come before this turn ends
    else
        cv_cursor_start_at(&subscriber->cursor, &stream->log, subscriber->begins_at);
}

void cv_stream_on_subscribe(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_stream *stream = stream_get(worker, &note->path);
    if (!stream)
        return;
    struct cv_subscriber *subscriber = &stream->threads[note->from];
    if (!subscriber->on)
        stream->subscribers++;
    *subscriber = (struct cv_subscriber){.on = true,
                                         .outlet_id = note->outlet_id,
                                         .cursor = cv_cursor_new(),
                                         .begins_at = copy_begins_at(stream, &note->position)};
    begin_copy(stream, subscriber);
    if (note->from == worker->index)
        cv_outlet_attach(worker, stream, note->outlet_id);
    tell_thread(stream, note->from);
    stream_mark(stream);
}

void cv_stream_on_unsubscribe(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_stream *stream = stream_find(worker, &note->path);
    if (!stream || !stream->threads[note->from].on)
        return;
    stream->threads[note->from].on = false;
    stream->subscribers--;
    free_if_unused(stream);
}
