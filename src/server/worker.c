#include "server/worker.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/listener.h"
#include "io/send_batch.h"
#include "io/socket.h"
#include "server/conn.h"
#include "server/flv_ingest.h"
#include "server/flv_viewer.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/outlet.h"
#include "server/publisher.h"
#include "server/stream.h"
#include "server/table.h"
#include "server/upstream.h"

enum {
    RETRY_US = 1000,    // until a full mailbox is tried again
    STOP_US = 3000000,  // for connections to end when the server stops
    CONN_ID_SHIFT = 48, // above: the thread, so that ids are unique in the process
};

static void on_turn(void *arg);
static void on_retry(void *arg);
static void on_stop_deadline(void *arg);

struct cv_worker *cv_worker_new(struct cv_shared *shared, unsigned index, struct cv_policy *policy)
{
    struct cv_worker *worker = cv_mem_zero(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->index = index;
    worker->shared = shared;
    worker->loop = cv_loop_new();
    if (!worker->loop) {
        cv_mem_free(worker);
        return NULL;
    }
    worker->policy = cv_policy_ref(policy);
    worker->last_conn_id = (uint64_t)index << CONN_ID_SHIFT;
    cv_disk_init(&worker->disk, worker->loop);
    worker->channels = (struct cv_channel_room){
        .loop = worker->loop,
        .read_buffer = worker->read_buffer,
        .read_bytes = sizeof worker->read_buffer,
    };
    cv_timer_init(&worker->retry, worker->loop, on_retry, worker);
    cv_timer_init(&worker->stop_deadline, worker->loop, on_stop_deadline, worker);
    cv_pacer_init(worker);
    cv_loop_on_turn(worker->loop, on_turn, worker);
    cv_post_attach(shared->post, index, worker->loop, worker);
    return worker;
}

static void free_batch(struct cv_worker *worker)
{
    cv_send_batch_free(worker->batch);
    worker->batch = NULL;
}

static void free_listeners(struct cv_worker *worker)
{
    for (int i = 0; i < CV_LIMIT_LISTEN; i++) {
        cv_listener_free(worker->ports[i].listener);
        worker->ports[i].listener = NULL;
    }
}

static void stop_sockets(struct cv_worker *worker)
{
    struct cv_conn *conn;
    struct cv_conn *next;
    DL_FOREACH_SAFE (worker->sockets, conn, next)
        conn->user->stop(conn->arg);
}

void cv_worker_free(struct cv_worker *worker)
{
    if (!worker)
        return;
    struct cv_netconn *conn;
    struct cv_netconn *next_conn;
    free_listeners(worker);
    HASH_ITER (hh, worker->conns, conn, next_conn)
        cv_netconn_free(conn);
    cv_flv_viewers_free(worker);
    stop_sockets(worker);
    cv_upstreams_free(worker);
    CV_ASSERT(!worker->outlets);
    struct cv_stream *stream;
    struct cv_stream *next_stream;
    HASH_ITER (hh, worker->streams, stream, next_stream)
        cv_stream_free(stream);
    for (unsigned i = 0; i <= worker->shared->workers; i++) {
        struct cv_note *note;
        struct cv_note *next_note;
        LL_FOREACH_SAFE (worker->overflow[i], note, next_note)
            cv_note_free(note);
    }
    cv_timer_stop(&worker->retry);
    cv_timer_stop(&worker->pacer.timer);
    cv_timer_stop(&worker->stop_deadline);
    cv_post_detach(worker->shared->post, worker->index);
    cv_loop_free(worker->loop);
    free_batch(worker);
    cv_tls_room_free(worker->channels.tls);
    cv_policy_unref(&worker->policy);
    cv_mem_free(worker);
}

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    const struct cv_worker_port *port = arg;
    cv_conn_open(port->worker, fd, peer, port->takes);
}

int cv_worker_listen(struct cv_worker *worker, int fd, enum cv_listen_takes takes)
{
    for (int i = 0; i < CV_LIMIT_LISTEN; i++) {
        struct cv_worker_port *port = &worker->ports[i];
        if (port->listener)
            continue;
        *port = (struct cv_worker_port){.worker = worker, .takes = takes};
        port->listener = cv_listener_new(worker->loop, fd, on_accept, port);
        return port->listener ? CV_OK : CV_E_NOMEM;
    }
    return CV_E_TOO_MANY;
}

void cv_worker_run(void *arg)
{
    struct cv_worker *worker = arg;
    cv_loop_run(worker->loop);
    free_batch(worker); // here: its ring is this thread's
}

// ---- sending to many --------------------------------------------------------------------------

// Once: a machine that has refused is not asked again.
static void make_batch(struct cv_worker *worker)
{
    struct cv_why why = {0};
    worker->batch_tried = true;
    worker->batch = cv_send_batch_new();
    if (!worker->batch)
        return;
    if (cv_send_batch_use_ring(worker->batch, &why) == CV_OK)
        return;
    free_batch(worker);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "worker.io_uring");
    cv_line_text(&line, "why", why.text);
    cv_line_end(&line);
}

static bool wants_batch(const struct cv_worker *worker, unsigned viewers)
{
    enum cv_use use = worker->policy->config->io_uring;
    return use == CV_USE_ON || (use == CV_USE_AUTO && viewers >= CV_MANY_VIEWERS);
}

struct cv_send_batch *cv_worker_batch(struct cv_worker *worker, unsigned viewers)
{
    if (!wants_batch(worker, viewers))
        return NULL;
    if (!worker->batch_tried)
        make_batch(worker);
    return worker->batch && cv_send_batch_has_ring(worker->batch) ? worker->batch : NULL;
}

// ---- mail that leaves ------------------------------------------------------------------------

unsigned cv_worker_choose(const struct cv_worker *worker, const void *name, size_t len)
{
    const uint8_t *bytes = name;
    uint32_t hash = 2166136261u; // FNV-1a
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (hash ^ hash >> 16) % worker->shared->workers;
}

unsigned cv_worker_home(const struct cv_worker *worker, const struct cv_path *path)
{
    return cv_worker_choose(worker, path->text, path->len);
}

static void deliver_note(struct cv_mail *mail, void *receiver);
static void deliver_batch(struct cv_mail *mail, void *receiver);
static void take_batch(struct cv_worker *worker, const struct cv_batch *batch);

void cv_worker_retry(struct cv_worker *worker)
{
    if (!cv_timer_is_set(&worker->retry))
        cv_timer_start(&worker->retry, RETRY_US);
}

static void on_retry(void *arg)
{
    (void)arg; // the turn that follows does the work
}

static bool post_note(struct cv_worker *worker, unsigned to, struct cv_note *note)
{
    return cv_post_send(worker->shared->post, worker->index, to, &note->mail) == CV_OK;
}

// Notes wait as long as they must. There are few: each stands for a client's step or a stream's.
static void wait_for_room(struct cv_worker *worker, unsigned to, struct cv_note *note)
{
    if (worker->overflow[to])
        worker->overflow_last[to]->next = note;
    else
        worker->overflow[to] = note;
    worker->overflow_last[to] = note;
    cv_worker_retry(worker);
}

struct cv_note *cv_worker_note_new(const struct cv_note *note)
{
    struct cv_note *copy = cv_mem_alloc(sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *note;
    copy->next = NULL;
    if (!copy->mail.deliver)
        copy->mail.deliver = deliver_note;
    return copy;
}

void cv_worker_drop_mail(struct cv_mail *mail, void *arg)
{
    (void)arg;
    struct cv_batch *batch = (struct cv_batch *)mail;
    if (mail->deliver == deliver_batch)
        cv_batch_free(&batch);
    else
        cv_note_free((struct cv_note *)mail);
}

void cv_worker_post_note(struct cv_worker *worker, unsigned to, struct cv_note *note)
{
    note->from = worker->index;
    if (worker->overflow[to] || !post_note(worker, to, note))
        wait_for_room(worker, to, note);
}

int cv_worker_send_note(struct cv_worker *worker, unsigned to, const struct cv_note *note)
{
    struct cv_note *copy = cv_worker_note_new(note);
    if (!copy)
        return CV_E_NOMEM;
    cv_worker_post_note(worker, to, copy);
    return CV_OK;
}

static void send_overflow(struct cv_worker *worker)
{
    for (unsigned to = 0; to <= worker->shared->workers; to++) {
        while (worker->overflow[to]) {
            struct cv_note *note = worker->overflow[to];
            struct cv_note *next = note->next;
            if (!post_note(worker, to, note)) {
                cv_worker_retry(worker);
                break;
            }
            worker->overflow[to] = next;
        }
    }
}

int cv_worker_send_batch(struct cv_worker *worker, unsigned to, struct cv_batch **batch)
{
    if (to == worker->index && !worker->overflow[to]) {
        take_batch(worker, *batch);
        cv_batch_clear(batch);
        return CV_OK;
    }
    // Media must not overtake a note.
    (*batch)->mail.deliver = deliver_batch;
    if (worker->overflow[to] ||
        cv_post_send(worker->shared->post, worker->index, to, &(*batch)->mail) != CV_OK) {
        cv_worker_retry(worker);
        return CV_E_QUEUE_FULL;
    }
    *batch = NULL;
    return CV_OK;
}

// ---- mail that arrives -----------------------------------------------------------------------

static void on_policy(struct cv_worker *worker, const struct cv_note *note)
{
    cv_policy_unref(&worker->policy);
    worker->policy = cv_policy_ref(note->policy);
}

static void on_stop(struct cv_worker *worker, const struct cv_note *note)
{
    (void)note;
    worker->stopping = true;
    free_listeners(worker);
    struct cv_netconn *conn;
    struct cv_netconn *next;
    HASH_ITER (hh, worker->conns, conn, next)
        cv_netconn_stop(conn);
    stop_sockets(worker);
    cv_timer_start(&worker->stop_deadline, STOP_US);
}

static void on_stop_deadline(void *arg)
{
    struct cv_worker *worker = arg;
    cv_loop_stop(worker->loop);
}

// The question goes back as its own answer, so that there always is one.
static void answer_stats(struct cv_worker *worker, struct cv_note *note)
{
    note->mail.deliver = note->answer;
    note->stats = worker->stats;
    note->stats.allocs = cv_mem_stats().allocs;
    cv_worker_post_note(worker, worker->shared->workers, note);
}

typedef void on_note_fn(struct cv_worker *worker, const struct cv_note *note);

static on_note_fn *const on_note[CV_NOTE_KINDS] = {
    [CV_NOTE_PUBLISHED] = cv_publisher_on_answer,
    [CV_NOTE_UNPUBLISH] = cv_stream_on_unpublish,
    [CV_NOTE_KICK] = cv_publisher_on_kick,
    [CV_NOTE_PROBE] = cv_publisher_on_probe,
    [CV_NOTE_HEARD] = cv_stream_on_heard,
    [CV_NOTE_SUBSCRIBE] = cv_stream_on_subscribe,
    [CV_NOTE_UNSUBSCRIBE] = cv_stream_on_unsubscribe,
    [CV_NOTE_STATE] = cv_outlet_on_state,
    [CV_NOTE_POLICY] = on_policy,
    [CV_NOTE_STOP] = on_stop,
    [CV_NOTE_MOVED] = cv_conn_on_moved,
};

static void deliver_note(struct cv_mail *mail, void *receiver)
{
    struct cv_note *note = (struct cv_note *)mail;
    if (note->kind == CV_NOTE_STATS) {
        answer_stats(receiver, note);
        return;
    }
    if (note->kind == CV_NOTE_PUBLISH) {
        cv_stream_on_publish(receiver, note);
        return;
    }
    CV_ASSERT(note->kind < CV_NOTE_KINDS && on_note[note->kind]);
    on_note[note->kind](receiver, note);
    cv_note_free(note);
}

static void take_batch(struct cv_worker *worker, const struct cv_batch *batch)
{
    if (batch->publisher.serial)
        cv_stream_on_batch(worker, batch);
    else
        cv_outlet_on_batch(worker, batch);
}

static void deliver_batch(struct cv_mail *mail, void *receiver)
{
    struct cv_batch *batch = (struct cv_batch *)mail;
    take_batch(receiver, batch);
    cv_batch_free(&batch);
}

// ---- the end of a turn -------------------------------------------------------------------------

static void send_publishers(struct cv_worker *worker)
{
    struct cv_publisher *publisher;
    struct cv_publisher *next;
    DL_FOREACH_SAFE (worker->dirty_publishers, publisher, next) {
        if (!cv_publisher_send(publisher))
            continue;
        DL_DELETE(worker->dirty_publishers, publisher);
        publisher->dirty = false;
    }
}

// Not while publishers are walked: what a connection says next may end any of its own.
static void resume_conns(struct cv_worker *worker)
{
    struct cv_netconn *conn;
    struct cv_netconn *next;
    DL_FOREACH_SAFE2 (worker->paused_conns, conn, next, paused_next)
        cv_netconn_resume(conn);
}

static void distribute_streams(struct cv_worker *worker)
{
    struct cv_stream *stream;
    struct cv_stream *next;
    DL_FOREACH_SAFE (worker->dirty_streams, stream, next) {
        if (!cv_stream_distribute(stream)) {
            cv_worker_retry(worker);
            continue;
        }
        DL_DELETE(worker->dirty_streams, stream);
        stream->dirty = false;
    }
}

static void flush_outlets(struct cv_worker *worker)
{
    struct cv_outlet *outlet;
    struct cv_outlet *next;
    DL_FOREACH_SAFE (worker->dirty_outlets, outlet, next) {
        DL_DELETE(worker->dirty_outlets, outlet);
        outlet->dirty = false;
        cv_outlet_turn(outlet);
    }
}

// Connections that are marked while they are flushed have had their share: next turn.
static void flush_conns(struct cv_worker *worker)
{
    struct cv_netconn *marked = worker->dirty_conns;
    worker->dirty_conns = NULL;
    while (marked) {
        struct cv_netconn *conn = marked;
        DL_DELETE2(marked, conn, dirty_prev, dirty_next);
        conn->dirty = false;
        worker->flushing = conn;
        cv_netconn_flush(conn);
        worker->flushing = NULL;
    }
}

static void free_doomed(struct cv_worker *worker)
{
    while (worker->doomed_conns)
        cv_netconn_free(worker->doomed_conns);
}

// No socket, no listener: whoever is left is in a tunnel, and no request of it can come any more.
static void end_unreachable(struct cv_worker *worker)
{
    struct cv_netconn *conn;
    struct cv_netconn *next;
    if (!worker->stopping || worker->sockets)
        return;
    HASH_ITER (hh, worker->conns, conn, next)
        cv_netconn_doom(conn, CV_OK, "stop");
}

// Media flows one way: publishers, streams, outlets, connections. Then those that ended go.
static void on_turn(void *arg)
{
    struct cv_worker *worker = arg;
    send_overflow(worker);
    resume_conns(worker);
    cv_flv_ingests_resume(worker);
    send_publishers(worker);
    distribute_streams(worker);
    flush_outlets(worker);
    flush_conns(worker);
    end_unreachable(worker);
    free_doomed(worker);
    if (worker->stopping && !worker->conns && !worker->flv_viewers)
        cv_loop_stop(worker->loop);
}
