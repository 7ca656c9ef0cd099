// A worker: one thread, its loop, and everything that lives on it.
//
// Connections stay on the thread that accepted them, streams on the one that their name chooses.
// Nothing in here is touched by another thread; what crosses is mail (server/note.h).
#ifndef CV_SERVER_WORKER_H
#define CV_SERVER_WORKER_H

#include "base/gather.h"
#include "io/channel.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "media/run.h"
#include "proto/rtmpt_path.h"
#include "server/note.h"
#include "server/pace.h"

#include <stdatomic.h>

struct cv_conn;
struct cv_flv_ingest;
struct cv_flv_viewer;
struct cv_netconn;
struct cv_listener;
struct cv_outlet;
struct cv_publisher;
struct cv_send_batch;
struct cv_stream;
struct cv_thread;
struct cv_tunnel;
struct cv_upstreams;
struct cv_web;

enum { CV_READ_BUFFER_BYTES = 64 * 1024 };

// What all threads of a server share: immutable, atomic, or a post office.
struct cv_shared {
    struct cv_post *post;
    unsigned workers;          // threads 0 to workers - 1; the main thread has that number
    struct cv_tallies tallies; //
    struct cv_rtmpt_secret tunnel_secret;           // signs the ids of tunnel sessions
    uint8_t identity_secret[CV_IDENTITY_KEY_BYTES]; // by it publishers are known again
    // answers for the authority that certificates are asked of (server/acme.h); "": none
    char challenge_folder[CV_LIMIT_FOLDER_BYTES + 1];
    atomic_uint connections; // on all threads
};

// Tunnel sessions that have ended: their ids stay fresh for a while, and must not begin again.
enum { CV_ENDED_TUNNELS = 64 };

// Where connections come in.
struct cv_worker_port {
    struct cv_worker *worker;
    struct cv_listener *listener; // NULL: there is none
    enum cv_listen_takes takes;
};

struct cv_worker {
    unsigned index;
    struct cv_shared *shared;
    struct cv_loop *loop;
    struct cv_thread *thread;
    struct cv_policy *policy; // one reference
    struct cv_worker_port ports[CV_LIMIT_LISTEN];
    struct cv_channel_room channels; // what all connections share
    uint64_t last_conn_id;
    uint64_t last_publisher;                                 // serial numbers
    uint64_t last_outlet;                                    //
    struct cv_tunnel *tunnels;                               // hash by session id
    char ended_tunnels[CV_ENDED_TUNNELS][CV_RTMPT_ID_CHARS]; // the last ones, in a ring
    unsigned ended_tunnel;                                   // where the next one goes
    uint64_t tls_failure_us;           // until then failed handshakes are counted, and not told
    struct cv_web *webs;               // hash by the connection's id
    struct cv_upstreams *upstreams;    // to the site; NULL: none yet
    struct cv_conn *sockets;           // list of all TCP connections
    struct cv_netconn *conns;          // hash by id
    struct cv_flv_viewer *flv_viewers; // list: those that have connections of their own
    struct cv_stream *streams;         // hash by path: those whose home is here
    struct cv_outlet *outlets;         // hash by path: those with viewers here
    struct cv_netconn *dirty_conns;
    const struct cv_netconn *flushing; // the one whose flush is on the stack; NULL: none is
    struct cv_netconn *doomed_conns;
    struct cv_netconn *paused_conns;      // not read, because their publishers' homes are behind
    struct cv_flv_ingest *paused_ingests; // the same of requests that publish
    struct cv_publisher *publishers;      // hash by serial number
    struct cv_publisher *dirty_publishers;
    struct cv_pacer pacer;
    struct cv_stream *dirty_streams;
    struct cv_outlet *dirty_outlets;
    struct cv_note *overflow[CV_LIMIT_THREADS + 1]; // notes that found a mailbox full, in order
    struct cv_note *overflow_last[CV_LIMIT_THREADS + 1];
    struct cv_disk disk;   // the site's files
    uint64_t file_bytes;   // of them, in memory
    struct cv_timer retry; // something found a mailbox full
    struct cv_timer stop_deadline;
    bool stopping;
    struct cv_worker_stats stats;
    struct cv_send_batch *batch; // NULL: none yet, or it cannot be had
    bool batch_tried;
    struct cv_gather gather;
    struct cv_run run; // while an outlet flushes
    uint8_t read_buffer[CV_READ_BUFFER_BYTES];
};

// A worker with its loop, attached to the post office. NULL when there is no memory or descriptor.
struct cv_worker *cv_worker_new(struct cv_shared *shared, unsigned index, struct cv_policy *policy);
// When its thread has ended. NULL is allowed.
void cv_worker_free(struct cv_worker *worker);
// Accepts connections from this listening descriptor, which the worker owns on success.
int cv_worker_listen(struct cv_worker *worker, int fd, enum cv_listen_takes takes);
// The thread's function: runs until a STOP note and the end of its connections.
void cv_worker_run(void *worker);

// What a flush of so many viewers is sent by: empty; or NULL, and each of them writes by itself.
struct cv_send_batch *cv_worker_batch(struct cv_worker *worker, unsigned viewers);

// The thread that a name chooses: always the same one for the same bytes.
unsigned cv_worker_choose(const struct cv_worker *worker, const void *name, size_t len);
// The thread where this stream lives.
unsigned cv_worker_home(const struct cv_worker *worker, const struct cv_path *path);
// Sends a copy of the note to a thread (this one too), later if the mailbox is full; order is kept.
// The note's policy reference moves with it. 0 or CV_E_NOMEM.
int cv_worker_send_note(struct cv_worker *worker, unsigned to, const struct cv_note *note);
// The same in two steps, the second of which cannot fail. A copy on the heap; NULL: no memory.
struct cv_note *cv_worker_note_new(const struct cv_note *note);
// Takes over the note, which cv_worker_note_new made.
void cv_worker_post_note(struct cv_worker *worker, unsigned to, struct cv_note *note);
// Frees mail that was never delivered (for cv_post_free).
void cv_worker_drop_mail(struct cv_mail *mail, void *arg);
// Sends media. 0: *batch is NULL, or empty to be used again; or CV_E_QUEUE_FULL, and it stays as it
// is for the caller to try again in a later turn, which will come.
int cv_worker_send_batch(struct cv_worker *worker, unsigned to, struct cv_batch **batch);
// Makes sure that another turn comes soon.
void cv_worker_retry(struct cv_worker *worker);

#endif
