// One player with FFmpeg's manners, over RTMP or over RTMPT; many of them on one loop.
//
// Over RTMPT it does what FFmpeg 5.1 does (rtmphttp.c): one connection, one request at a time, the
// same request head, head and body in two write calls with Nagle's algorithm on, /send when
// something waits to be said, otherwise /idle, and a pause of 50 ms when the reply before had
// nothing in it. Replies may be chunked.
#ifndef BENCH_PLAYER_H
#define BENCH_PLAYER_H

#include "io/addr.h"
#include "io/loop.h"
#include "io/watch.h"
#include "proto/http1.h"
#include "proto/rtmp_client.h"

struct player;

// What all players of a loop share.
struct player_room {
    struct cv_loop *loop;
    bool tunnel;
    struct cv_addr server;
    char host[CV_ADDR_TEXT_BYTES]; // and port
    struct cv_text app;
    struct cv_text name;
    struct cv_text tc_url;
    unsigned addresses; // players come from so many addresses of 127.0.1.0/24; 0: the system's
    void (*on_media)(struct player *player, const struct cv_msg *msg); // audio or video
    void (*on_end)(struct player *player); // `why` says it; the player is closed already
    struct cv_gather gather;
    uint8_t read_buffer[256 * 1024];
};

// Zeroed at first. Owned by the caller, who keeps it until the loop has been freed.
struct player {
    struct player_room *room;
    unsigned index;
    bool accepted;   // connect was
    bool ended;      // or never begun
    uint64_t was_us; // when something was last sent or received
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t requests;
    struct cv_why why;

    // private
    int fd;
    bool connected;
    struct cv_watch watch;
    struct cv_timer pause;
    struct cv_rtmp_client *rtmp;
    struct cv_http1 *http;
    char id[64]; // of the tunnel
    size_t id_len;
    bool open; // the id is complete
    bool has_poll_byte;
    uint64_t reply_bytes;
    uint64_t number;
};

// 0, or why it could not even begin.
int player_start(struct player *player, struct player_room *room, unsigned index);
// At once, without a farewell; `on_end` is not called. Nothing happens when it has ended.
void player_stop(struct player *player);

#endif
