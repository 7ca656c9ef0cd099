// The inside of a connection: what its files share. Not for others.
//
// connection.c: ways come and go. connection_try.c: how one is looked for. connection_flow.c: what
// travels on them. connection_watch.c: is the one in use alive? connection_memory.c: what is
// learned about the network.
#ifndef CV_CLIENT_CONNECTION_STATE_H
#define CV_CLIENT_CONNECTION_STATE_H

#include "client/connection.h"
#include "client/memory.h"
#include "client/outbox.h"
#include "client/reach.h"
#include "client/watchdog.h"
#include "io/loop.h"

// An attempt that got through. Two at most: the one in use, and one that will take its place.
struct cv_way_in_use {
    struct cv_connection *connection;
    struct cv_attempt *attempt; // NULL: none
    enum cv_way way;
    bool secure;
    bool started;
    uint64_t since_us;
    char epoch[CV_LIMIT_EPOCH_BYTES + 1]; // play: of `number`; empty: messages have no numbers
    uint64_t number;                      // of the next message
};

struct cv_connection {
    struct cv_attempt_room *room;
    struct cv_connection_config config;
    struct cv_target target;
    struct cv_proxies proxies;
    char *memory_path;            // owned; empty: nothing is remembered
    struct cv_memory_entry known; // of this network; way NONE: nothing
    struct cv_reach *reach;
    struct cv_way_in_use ways[2];
    struct cv_way_in_use *active; // has started; NULL: none
    struct cv_turn turn;          // flushes at the end of the loop's turn
    struct cv_timer timer;        // START: for STARTED. Else: the next try, or the end of a goodbye
    struct cv_timer watch;        // the watchdog's next look
    struct cv_watchdog watchdog;
    uint32_t pings;
    bool pongs;     // the server has answered one
    unsigned depth; // calls of ours that are under way: freed behind the outermost
    bool freed;
    bool ended;   // ENDED was told
    bool started; // STARTED was told
    bool closing; // cv_connection_close was called
    bool silent;  // the way in use is being replaced because nothing comes on it
    bool refused; // cv_connection_send said CV_E_AGAIN
    uint64_t start_us;
    uint64_t cut_us; // when the way was lost; 0: it was not
    struct cv_why cut_why;
    uint64_t trouble_us;  // since when no way has held; 0: there was one
    uint32_t tries;       // since then
    uint32_t short_lives; // ways in a row that were cut early
    bool cut_secure;      // the latest that was cut
    uint64_t distrust_us; // since when certificates are not accepted; 0: they are, or none was met
    struct cv_why distrust_why;
    // publish
    struct cv_outbox outbox;
    uint64_t lost_told; // of outbox.lost
    bool resumes;       // the server can
    char token[CV_RESUME_TOKEN_CHARS + 1];
    // play
    char epoch[CV_LIMIT_EPOCH_BYTES + 1];
    uint64_t number; // of the next message that is wanted
    uint64_t missed; // numbers that never came
    // counters
    uint64_t messages;
    uint64_t bytes;
    uint64_t cuts;
    struct cv_why why;
};

// Around whatever may call back: who is freed meanwhile is so behind the outermost leave.
void cv__connection_enter(struct cv_connection *connection);
void cv__connection_leave(struct cv_connection *connection);
uint64_t cv__connection_now_us(const struct cv_connection *connection);
// Ways that are there, the one in use among them.
int cv__connection_way_count(const struct cv_connection *connection);
void cv__connection_tell(struct cv_connection *connection, struct cv_connection_event *event);
void cv__connection_end(struct cv_connection *connection, enum cv_connection_end end,
                        enum cv_obstacle obstacle, const char *location);
// Owns what has got through; it must start in time.
void cv__connection_take(struct cv_connection *connection, const struct cv_reach_result *result);

// The search. False: no memory.
bool cv__try_start(struct cv_connection *connection);
// The next try, later and later; or the end, when it has been too long.
void cv__try_later(struct cv_connection *connection, enum cv_obstacle obstacle);
// A way is lost. When it was the last one: at once another one, unless there is trouble already.
void cv__try_after_cut(struct cv_connection *connection, const struct cv_why *why);

// The watch: looks at the way in use, and does what the watchdog wants.
void cv__connection_watch(struct cv_connection *connection);
// Opens another way beside the one in use.
void cv__connection_renew(struct cv_connection *connection);
// The one in use is well: what was opened beside it is not needed.
void cv__connection_keep(struct cv_connection *connection);
// The one in use is dead.
void cv__connection_lose(struct cv_connection *connection);

// The memory. What is known of this network goes to connection->known.
void cv__connection_recall(struct cv_connection *connection);
void cv__connection_learn(struct cv_connection *connection, const struct cv_way_in_use *way);
void cv__connection_learn_failure(struct cv_connection *connection);

// The flow.
void cv__flow_fill_config(struct cv_connection *connection, struct cv_rtmp_client_config *rtmp,
                          char *position, size_t position_size);
// A way has started: where does what is sent go on?
int cv__flow_start(struct cv_connection *connection, const struct cv_rtmp_client_event *event);
void cv__flow_event(struct cv_way_in_use *way, const struct cv_rtmp_client_event *event);
// Publish: gives the active way what it takes.
void cv__flow_push(struct cv_connection *connection);
// Messages that were lost since this was asked last.
uint64_t cv__flow_lost(struct cv_connection *connection);

#endif
