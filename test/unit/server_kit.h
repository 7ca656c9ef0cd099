// A server inside the test: real workers on loopback ports, each with a port of its own so that a
// test chooses the thread, and RTMP clients on plain sockets.
//
// Driven by hand (one thread runs the loops in turn, and can leave one of them standing) or by real
// threads. What clients see is kept as short texts, which tests wait for and compare.
#ifndef CV_TEST_SERVER_KIT_H
#define CV_TEST_SERVER_KIT_H

#include "harness.h"

#include "io/addr.h"
#include "proto/rtmp.h"
#include "proto/ws.h"
#include "server/worker.h"

#include <stdatomic.h>

enum { KIT_WORKERS_MAX = 4, KIT_WAIT_S = 20 };

struct kit {
    struct cv_shared shared;
    struct cv_policy *policy;
    struct cv_worker *workers[KIT_WORKERS_MAX];
    struct cv_addr addrs[KIT_WORKERS_MAX];
    struct cv_loop *loop; // the main thread's: answers to STATS come here
    bool threads;
    bool frozen[KIT_WORKERS_MAX]; // by hand: this worker's loop is not run
    unsigned answers;
    struct cv_worker_stats stats; // sum of the last answers
};

// Given to every policy from now on; clients speak TLS then, by bridges (secure_kit.h). NULL at
// first, or, where the environment has KIT_TLS, the server of secure_kit.
extern struct cv_tls_server *kit_tls;

// Workers with this configuration (YAML; NULL: one app "live", open to all; where the environment
// has KIT_URING, io_uring is on, however few the viewers). `threads`: on threads. Where it is not
// open, the app "live" has the keys "one" and "two".
void kit_start(struct kit *kit, unsigned workers, bool threads, const char *yaml);
// One more port of this worker's, which takes only this.
struct cv_addr kit_listen(struct kit *kit, unsigned worker, enum cv_listen_takes takes);
// STOP to all workers, waits for their end, frees everything.
void kit_stop(struct kit *kit);
// By hand: one turn of each loop that is not frozen. With threads: nothing.
void kit_turn(struct kit *kit);
// Tells a worker, or all, as the main thread does. False: a mailbox was full.
bool kit_tell(struct kit *kit, unsigned worker, const struct cv_note *note);
bool kit_tell_all(struct kit *kit, const struct cv_note *note);
// Asks all workers for their counters and waits for the sum.
struct cv_worker_stats kit_stats(struct kit *kit);
// Makes all workers use a new policy of this configuration.
void kit_reload(struct kit *kit, const char *yaml);
// By hand: a few turns of the server, whose *left-th allocation fails; 0: none does. What is left
// to come is put back.
void kit_turn_failing(struct kit *kit, uint64_t *left);
// For kit_until, with the kit: nobody is there, and nothing is left of anybody.
bool kit_is_clean(void *kit);
// A stream name whose home is this worker; `n` makes different ones.
void kit_name(const struct kit *kit, unsigned home, unsigned n, char out[32]);
// True once `done` is; turns the kit meanwhile. False after KIT_WAIT_S.
bool kit_until(struct kit *kit, bool (*done)(void *arg), void *arg);
// For it: an unsigned, so many turns are left.
bool kit_after_turns(void *left);

struct seen {
    char text[72];
};

struct client {
    struct kit *kit;
    int fd;
    struct cv_rtmp *rtmp;
    struct seen *seen; // everything, in order
    unsigned seen_count;
    unsigned at; // how far client_wait has come
    double transaction;
    struct cv_ws *ws;    // NULL: plain RTMP
    const char *request; // WebSocket: the opening, while it is to be sent
    unsigned head_end;   // how much of the end of its answer's head has come
    bool closed;         // the server has closed its side
    bool mute;           // nothing is read
    struct cv_block *stash;
    char token[72];    // of the last Publish.Start that had one
    char position[96]; // "epoch:seq": the next message wanted; empty: none is known
};

// To the worker's port, perhaps by a bridge; -1: it did not work.
int kit_dial(struct kit *kit, unsigned worker);
// TCP, handshake, connect, createStream (the stream is 1), on this worker. False: it did not work.
bool client_open(struct client *client, struct kit *kit, unsigned worker);
bool client_open_ws(struct client *client, struct kit *kit, unsigned worker);
// TCP only: client->rtmp is there, and nothing is sent yet.
bool client_dial(struct client *client, struct kit *kit, unsigned worker);
// The same over WebSocket. Also seen are "pong" and "ws close 1000".
bool client_dial_ws(struct client *client, struct kit *kit, unsigned worker);
void client_close(struct client *client);

void clients_close(struct client *clients, unsigned count);
// By hand: turns and steps until nobody has anything to do any more, so that what must not happen
// has had its chance to.
void kit_settle(struct kit *kit, struct client *clients, unsigned count);
// By hand: what these say and hear, with a failure among the server's turns (kit_turn_failing).
void kit_step_failing(struct kit *kit, struct client *clients, unsigned count, uint64_t *left);

// Queue only; client_step and the waits send.
void client_connect(struct client *client, const char *app);
void client_create_stream(struct client *client);
// name(null, text); text NULL: no argument.
void client_command(struct client *client, uint32_t stream, const char *name, const char *text);
void client_command_number(struct client *client, uint32_t stream, const char *name, double number);
void client_command_boolean(struct client *client, uint32_t stream, const char *name, bool on);
// A frame that carries its number; its time is number * 10 ms. `pad`: more bytes.
void client_video(struct client *client, uint32_t stream, uint32_t number, bool key, size_t pad);
void client_audio(struct client *client, uint32_t stream, uint32_t number);
void client_headers(struct client *client, uint32_t stream);
// The sound's header alone, with metadata before it.
void client_sound_headers(struct client *client, uint32_t stream);

// Sends what waits, reads what is there. False when the connection is at its end.
bool client_step(struct client *client);
// Waits until an event with this text comes, after the last one that was waited for:
//   "status 1 NetStream.Play.Start"  "result 2 1"  "error 3 NetConnection.Call.Failed"
//   "video 1 17" "audio 1 17" (stream, number)  "header 1"  "data 1"  "begin 1" "eof 1"  "closed"
//   "resume 17" (taken, behind a Publish.Start with a token)  "taken 17"
//   "position 17" or, when it is taken back, "position"
bool client_wait(struct client *client, const char *text);
// The same for "closed": everything before it is taken in.
bool client_wait_closed(struct client *client);
// How often it has been seen, from the beginning.
unsigned client_count(const struct client *client, const char *text);
// Where it was seen first; UINT_MAX: never.
unsigned client_index(const struct client *client, const char *text);

// As a client that can resume: a token, or "". Only queued.
void client_publish_resume(struct client *client, const char *name, const char *token);
void client_play_resume(struct client *client, const char *name, const char *position);

bool client_publish(struct client *client, uint32_t stream, const char *name);
bool client_play(struct client *client, uint32_t stream, const char *name);

// ---- bytes of any kind ------------------------------------------------------------------------

enum { WIRE_BYTES = 4096 };

// A client that sends what it is told and keeps what it gets.
struct wire {
    struct kit *kit; // driven while bytes wait to be taken
    int fd;
    char got[WIRE_BYTES + 1]; // and a NUL
    size_t len;
    bool closed; // by the server
};

// In plain text, whatever kit_tls says.
struct wire wire_dial(struct kit *kit, const struct cv_addr *addr);
void wire_hang_up(struct wire *wire);
void wire_put(struct wire *wire, const void *data, size_t len);
void wire_put_text(struct wire *wire, const char *text);
void wire_take(struct wire *wire);
// For kit_until, of a wire: closed; or so, or the beginning of an answer has come.
bool wire_is_closed(void *wire);
bool wire_has_answer(void *wire);
// The same of a kit: nobody is connected to its first worker.
bool kit_has_no_sockets(void *kit);

#endif
