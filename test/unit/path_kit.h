// A tunnel from end to end in virtual time: the client's engine, a path with habits, and the real
// server's engine behind a small HTTP front. For the tests of rtmpt_client.
#ifndef CV_TEST_PATH_KIT_H
#define CV_TEST_PATH_KIT_H

#include "tunnel_kit.h"

#include "proto/http1.h"
#include "proto/rtmpt_client.h"

enum { PATH_CONNECTIONS = 1024, PATH_PACKETS = 4096, PATH_SENDS = 2048 };

// What becomes of a request that follows another one without waiting.
// Dropped: and the connection ends behind the first reply. Swallowed: it does not.
enum second { SECOND_WORKS, SECOND_IS_DROPPED, SECOND_IS_SWALLOWED, SECOND_CUTS };
enum closing { STAYS, CLOSES, CLOSES_SILENTLY };

struct habits {
    uint64_t one_way_us;
    uint64_t lag_us;  // more for what comes down on connections of DOWN
    uint64_t late_us; // each reply leaves so late: a proxy that waits for its end
    enum second second;
    enum closing closing;
    bool foreign; // a server that does not know us
    bool serial;  // one request is passed on after the other
    bool http10;
    bool until_close; // HTTP/1.0 without a length
    bool chunked;
    bool buffers;       // chunked replies are passed on at their end
    bool buffers_up;    // chunked bodies, too
    bool no_chunks_up;  // they are answered with 411
    bool tells_early;   // the server tells how early their bytes came
    bool continues;     // 100 Continue before each reply
    bool lower;         // header names in lower case
    bool no_second;     // a second connection is refused
    bool shakes_hands;  // takes the handshake out of /open
    bool upgrades;      // takes the offer
    size_t piece;       // bytes come in pieces so long; 0: as they were written
    uint32_t cut_count; // how many connections are cut at that place
    uint32_t cut_first; // the first of them
    bool cut_down;      // in what the server says; else in what the client does
    size_t cut_at;      // after so many bytes
    bool cut_reset;
};

struct packet {
    uint64_t at_us;
    uint64_t order;
    int conn;
    enum { PACKET_UP, PACKET_DOWN, PACKET_CONNECTED, PACKET_FIN_UP, PACKET_FIN_DOWN } kind;
    int code;
    struct bytes bytes;
};

struct connection {
    enum cv_rtmpt_slot slot;
    bool client_open;
    bool server_open;
    bool doomed; // cut: nothing gets through any more
    bool full;   // answered its one request
    struct cv_http1 *http;
    struct bytes held; // not read by the front yet
    struct bytes late; // of a chunked reply, while a proxy waits for its end
    uint32_t waiting;  // requests without replies
    bool opening;
    bool offers; // its /open does
    bool shakes;
    bool closes_after;
    bool streams; // the request that is read is a chunked one
    bool tells;   // the newest complete one was
    uint64_t begun_us;
    uint64_t body_bytes;
    uint64_t spread;
    uint64_t early_ms;
    size_t up;
    size_t down;
    uint64_t free_us; // serial: the last reply has passed
};

struct path {
    struct habits habits;
    struct tunnel tunnel;
    struct cv_rtmpt_client *client;
    uint64_t now_us;
    struct packet packets[PATH_PACKETS];
    size_t packet_count;
    uint64_t order;
    struct connection connections[PATH_CONNECTIONS];
    int connection_count;
    int slot_conn[CV_RTMPT_SLOTS]; // -1: none
    bool slot_connecting[CV_RTMPT_SLOTS];

    // what the client wants to say
    uint64_t to_send; // bytes that are there
    uint64_t sent;    // of them given to the engine
    bool urgent;
    uint64_t rate_bytes_per_s;
    uint64_t rate_from_us;
    uint64_t rate_base;
    uint64_t rate_until_us;

    // what was delivered
    uint64_t heard;         // bytes, by the server
    uint64_t age_us;        // the oldest that a byte was on arrival
    uint32_t says_per_tick; // messages of the server every 10 ms
    uint32_t said;          // messages of the server
    uint32_t said_max;
    uint64_t say_us;
    uint32_t got; // by the client, in order
    struct bytes partial;
    uint32_t acks;
    uint32_t streams; // chunked replies that lasted
    uint32_t requests;

    // events
    bool opened;
    bool ours;
    bool upgraded;
    bool answered;
    bool ended;
    uint32_t status;
    bool elsewhere;
    bool html;
    char location[128];
    char page[600];
    struct bytes raw;    // behind 101
    struct bytes direct; // what the server got in /open
    int err;
};

// The client's end is fresh, the server's is behind its handshake.
struct path *path_new(const struct habits *habits, const struct cv_rtmpt_client_config *config);
void path_free(struct path *path);
// Time goes on until then; returns early when the client's end is over.
void path_run(struct path *path, uint64_t us);
// The client has `len` more bytes to send.
void path_say(struct path *path, size_t len, bool urgent);
// Everything that was said was delivered, both ways.
bool path_settled(const struct path *path);
// Runs until settled; fails when that takes longer.
void path_settle(struct path *path, uint64_t us);
// Both connections are cut now, wherever what is under way is.
void path_cut(struct path *path);
void path_mode(struct path *path, enum cv_rtmpt_client_mode client, enum cv_rtmpt_mode server);

extern const struct cv_rtmpt_client_config path_config;

#endif
