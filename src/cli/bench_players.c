// The bench's players. Some check every message; the others only throw away what comes: of them,
// once they play, nothing is left but the descriptor. They do so at once, as programs that play do:
// what lies there unread is not confirmed, and a server that leaves the choice to the kernel
// (Nagle) then sends less often, and from within our reads, on our processor.
#include "cli/bench_state.h"

#include "io/clock.h"
#include "io/socket.h"

enum {
    JOINING_MAX = 64, // that connect at the same time
    DROP_BYTES_MAX = 1 << 30,
};

// ---- those that do not check ------------------------------------------------------------------

static void on_lost(struct cv_bench_peer *peer, const char *what);

static void hang_up(struct cv_bench_player *player)
{
    if (cv_watch_is_open(&player->watch))
        cv_watch_close(&player->watch, NULL, NULL);
    cv_socket_close(&player->fd);
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct cv_bench_player *player = arg;
    int len = cv_socket_drop(player->fd, DROP_BYTES_MAX);
    if (len > 0) {
        player->bytes += (uint64_t)len;
    } else if (len != CV_E_AGAIN) {
        hang_up(player);
        on_lost(&player->peer, cv_err_text(len));
    }
}

// What is not one connection (a tunnel) is read as before, but not checked.
static void lighten(struct cv_bench_player *player)
{
    int fd = cv__bench_peer_take_descriptor(&player->peer);
    player->checks = false;
    if (fd < 0)
        return;
    player->fd = fd;
    if (cv_watch_start(&player->watch, player->peer.bench->loop, fd, CV_WATCH_READ, on_readable,
                       player) != CV_OK) {
        hang_up(player);
        on_lost(&player->peer, "its descriptor cannot be watched");
    }
}

// ---- all of them ------------------------------------------------------------------------------

static void on_started(struct cv_bench_peer *peer)
{
    struct cv_bench_player *player = (struct cv_bench_player *)peer;
    player->started = true;
    peer->bench->playing++;
    if (!player->checks)
        lighten(player);
}

static void on_lost(struct cv_bench_peer *peer, const char *what)
{
    struct cv_bench *bench = peer->bench;
    bench->result->lost++;
    bench->unborn += !((const struct cv_bench_player *)peer)->started;
    cv__bench_note_trouble(bench, what);
    if (!bench->until && bench->playing < bench->player_count)
        cv__bench_give_up(bench, what);
}

static void on_media(struct cv_bench_peer *peer, const struct cv_msg *msg)
{
    struct cv_bench_player *player = (struct cv_bench_player *)peer;
    struct cv_bench *bench = peer->bench;
    uint64_t sent_us;
    if (!player->checks) {
        player->bytes += msg->payload->len;
        return;
    }
    enum cv_bench_seen seen = cv_bench_check(&player->checker, msg, &sent_us);
    if (seen == CV_BENCH_HEADER || seen == CV_BENCH_DAMAGED)
        return;
    uint64_t now_us = cv_clock_now_us();
    if (bench->measuring)
        cv_histogram_add(&bench->result->latency_us, now_us - sent_us);
    if (seen == CV_BENCH_KEY && !player->joined) {
        player->joined = true;
        cv_histogram_add(&bench->result->join_us, now_us - peer->opened_us);
    }
}

static const struct cv_bench_peer_user user = {
    .started = on_started, .media = on_media, .lost = on_lost};

bool cv_bench_is_picked(uint64_t number, uint64_t picked, uint64_t of)
{
    return (number + 1) * picked / of > number * picked / of;
}

// Of the latest: players come in turn to each stream; those who check are spread over the streams
// and over time.
static bool is_checked(const struct cv_bench *bench, uint32_t index)
{
    uint64_t count = bench->player_count - bench->batch_from;
    uint64_t streams = bench->publisher_count;
    uint64_t at = index - bench->batch_from;
    if (count % streams == 0)
        at = at % streams * (count / streams) + at / streams;
    return cv_bench_is_picked(at, bench->batch_checked, count);
}

static void thin_out(struct cv_bench *bench, uint32_t from_checked, uint32_t to_checked)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < bench->opened; i++) {
        struct cv_bench_player *player = &bench->players[i];
        if (!player->checks)
            continue;
        bool stays = cv_bench_is_picked(seen++, to_checked, from_checked);
        if (!stays && player->started && cv__bench_peer_is_open(&player->peer))
            lighten(player);
    }
}

void cv__bench_add_players(struct cv_bench *bench, uint32_t count)
{
    uint32_t all = bench->player_count + count;
    uint32_t checked = bench->options->checked;
    if (checked == 0 || checked > all)
        checked = all;
    bench->batch_from = bench->player_count;
    bench->batch_checked = all ? (uint32_t)((uint64_t)checked * count / all) : 0;
    thin_out(bench, bench->result->checked, checked - bench->batch_checked);
    bench->player_count = all;
    bench->result->checked = checked;
}

void cv__bench_open_players(struct cv_bench *bench)
{
    while (bench->opened < bench->player_count &&
           bench->opened - bench->playing - bench->unborn < JOINING_MAX) {
        uint32_t index = bench->opened++;
        struct cv_bench_player *player = &bench->players[index];
        uint32_t stream = index % bench->publisher_count;
        player->peer = (struct cv_bench_peer){.bench = bench, .user = &user, .stream = stream};
        player->checker.id = stream;
        player->checks = is_checked(bench, index);
        player->fd = -1;
        if (cv__bench_peer_open(&player->peer, CV_RTMP_CLIENT_PLAY) != CV_OK) {
            cv__bench_give_up(bench, "no memory or no descriptors for another player");
            return;
        }
    }
}

void cv__bench_close_players(struct cv_bench *bench)
{
    for (uint32_t i = 0; i < bench->opened; i++) {
        cv__bench_peer_drop(&bench->players[i].peer);
        hang_up(&bench->players[i]);
    }
}

static bool is_checking(const struct cv_bench_player *player)
{
    return player->checks && cv__bench_peer_is_open(&player->peer);
}

uint64_t cv__bench_messages_due(const struct cv_bench *bench)
{
    uint64_t due = 0;
    for (uint32_t i = 0; i < bench->opened; i++) {
        const struct cv_bench_player *player = &bench->players[i];
        const struct cv_bench_publisher *publisher = &bench->publishers[player->peer.stream];
        if (is_checking(player))
            due += publisher->source.sequence - publisher->sequence_measured;
    }
    return due;
}

bool cv__bench_has_arrived(const struct cv_bench *bench)
{
    for (uint32_t i = 0; i < bench->opened; i++) {
        const struct cv_bench_player *player = &bench->players[i];
        const struct cv_bench_publisher *publisher = &bench->publishers[player->peer.stream];
        if (is_checking(player) && player->checker.next < publisher->source.sequence)
            return false;
    }
    return true;
}

void cv__bench_sum_players(const struct cv_bench *bench, struct cv_bench_checker *out)
{
    *out = (struct cv_bench_checker){0};
    for (uint32_t i = 0; i < bench->opened; i++) {
        const struct cv_bench_checker *checker = &bench->players[i].checker;
        out->messages += checker->messages;
        out->bytes += checker->bytes + bench->players[i].bytes;
        out->gaps += checker->gaps;
        out->doubles += checker->doubles;
        out->damaged += checker->damaged;
    }
}
