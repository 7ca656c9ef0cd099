// The client's connection against real workers, over a road that the test owns: it passes bytes,
// cuts, swallows, and speaks as filters and proxies do. One thread, all loops by hand. Where
// KIT_TLS is set all of it goes on inside TLS.
#ifndef CV_TEST_ROAD_KIT_H
#define CV_TEST_ROAD_KIT_H

#include "secure_kit.h"
#include "server_kit.h"

#include "cli/bench_stream.h"
#include "client/connection_state.h"

bool road_is_secure(void);

// ---- the road ---------------------------------------------------------------------------------

enum { ROADS_MAX = 64, PIECE = 16 * 1024 };

enum habit {
    PASSES,
    HTTP_ONLY_RESETS,  // what is not HTTP is reset
    HTTP_ONLY_IS_MUTE, // what is not HTTP is swallowed
    STRIPS_THE_OFFER,  // no Upgrade gets through
    ANSWERS_400,       // to what is not HTTP
    PORTAL,            // redirects everything
    REFUSES_PROXY,     // 407 to everything
    CONNECTS,          // as a proxy does; nothing else passes
};

struct lane {
    int client;
    int server;
    bool judged; // its first bytes were looked at
    bool mute;
    bool up_over; // what comes from there has ended
    bool down_over;
    size_t up;
    size_t down;
    uint64_t hold_us; // between two pieces that come down
    uint64_t next_us;
};

struct road {
    struct kit *kit;
    int listener;
    struct cv_addr addr;
    enum habit habit;
    struct lane lanes[ROADS_MAX];
    unsigned count;
    size_t cut_up; // each lane is cut behind so many bytes up; 0: never
    size_t cut_down;
    unsigned cuts_left;
    bool closed;      // new lanes are refused
    uint64_t hold_us; // of new lanes
};

// From now on lanes are cut; those that are there behind so many bytes more.
void road_arm(struct road *road, size_t up, size_t down, unsigned cuts);
void road_cut(struct road *road);

// ---- the client and its scene -------------------------------------------------------------------

struct caller {
    struct cv_connection *connection;
    struct cv_bench_source source;
    struct cv_bench_checker checker;
    bool publishes;
    uint32_t limit;   // messages to be published
    uint64_t pace_us; // between two of them
    uint64_t due_us;
    uint32_t made;
    bool through;
    bool started;
    bool ended;
    unsigned cuts;
    unsigned returns;
    uint64_t lost;
    enum cv_connection_end end;
    enum cv_obstacle obstacle;
    enum cv_way way;
    bool secure;
    uint32_t attempts;
    char name[40]; // of the way, as it was at THROUGH
    char location[80];
    char why[200];
    unsigned results;
    bool ok;
    bool leaves; // is freed as soon as it is told anything
};

struct scene {
    struct kit kit;
    struct road road;
    struct cv_loop *loop;
    struct cv_attempt_room *room;
};

void scene_open(struct scene *scene, enum habit habit, const char *yaml);
void scene_close(struct scene *scene);
// With the connections of these.
void scene_end(struct scene *scene, struct caller *publisher, struct caller *player);
// One turn of every loop; `publisher` (may be NULL) sends a few messages.
void scene_turn(struct scene *scene, struct caller *publisher);
void scene_until(struct scene *scene, struct caller *publisher, const bool *done);
void scene_until_count(struct scene *scene, struct caller *publisher, const uint64_t *count,
                       uint64_t wanted);
// Until it was told so, or all is over.
void scene_until_told(struct scene *scene, struct caller *caller, const unsigned *count);

// A connection to live/NAME; target and trust of `config` may be set already.
bool caller_call_with(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                      const char *name, struct cv_connection_config *config);
void caller_call(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                 const char *name, enum cv_rtmp_client_mode mode, enum cv_via via);
// A caller of the stream "s", until it has started.
void caller_start(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                  enum cv_rtmp_client_mode mode, enum cv_via via);
// A few messages of its stream, when they are due.
void caller_publish(struct caller *caller);
void caller_expect_whole(const struct caller *player, uint64_t messages);

#endif
