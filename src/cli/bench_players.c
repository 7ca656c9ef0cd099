// The bench's players. Some check every message; the others only throw away what comes: of them,
// once they play, nothing is left but the descriptor.
//
// Those are not watched: a round goes to all of them in turn, so that what has come in the meantime
// costs one call, and the server's processor is not charged with waking us for each. What lies for
// longer costs the server more, 10 % and more at 50 ms: the pages that it gets again are cold.
#include "cli/bench_state.h"

#include "io/clock.h"
#include "io/socket.h"

enum {
    JOINING_MAX = 64, // that connect at the same time
    ROUND_SLICES = 4,
    SLICE_US = 5000,
    DROP_BYTES_MAX = 1 << 30,
};

// ---- those that do not check ------------------------------------------------------------------

static void on_lost(struct cv_bench_peer *peer, const char *what);

static void drain(struct cv_bench_player *player)
{
    int len = cv_socket_drop(player->fd, DROP_BYTES_MAX);
    if (len > 0) {
        player->bytes += (uint64_t)len;
    } else if (len != CV_E_AGAIN) {
        cv_socket_close(&player->fd);
        on_lost(&player->peer, cv_err_text(len));
    }
}

static void on_slice(void *arg)
{
    struct cv_bench *bench = arg;
    uint32_t end = bench->drained + bench->opened / ROUND_SLICES + 1;
    for (; bench->drained < end && bench->drained < bench->opened; bench->drained++)
        if (bench->players[bench->drained].fd >= 0)
            drain(&bench->players[bench->drained]);
    if (bench->drained == bench->opened)
        bench->drained = 0;
    cv_timer_start(&bench->drain, SLICE_US);
}

// What is not one connection (a tunnel) is read as before, but not checked.
static void lighten(struct cv_bench_player *player)
{
    struct cv_bench *bench = player->peer.bench;
    int fd = cv__bench_peer_take_descriptor(&player->peer);
    player->checks = false;
    if (fd < 0)
        return;
    player->fd = fd;
    if (cv_timer_is_set(&bench->drain))
        return;
    cv_timer_init(&bench->drain, bench->loop, on_slice, bench);
    cv_timer_start(&bench->drain, SLICE_US);
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
    cv_timer_stop(&bench->drain);
    for (uint32_t i = 0; i < bench->opened; i++) {
        cv__bench_peer_drop(&bench->players[i].peer);
        cv_socket_close(&bench->players[i].fd);
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
