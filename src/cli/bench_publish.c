// The bench's publishers: synthetic streams, each message when it is due.
#include "cli/bench_state.h"

#include "io/clock.h"

static void send_block(struct cv_bench_publisher *publisher, uint8_t type, struct cv_block *block)
{
    struct cv_msg msg = {.type = type, .payload = block};
    if (!block || cv_rtmp_client_send(cv_attempt_client(publisher->peer.attempt), &msg) != CV_OK)
        cv__bench_note_trouble(publisher->peer.bench, "no memory for a header");
    cv_block_unref(&block);
}

static void send_next(struct cv_bench_publisher *publisher, uint64_t now_us)
{
    struct cv_bench *bench = publisher->peer.bench;
    struct cv_msg msg;
    if (cv_bench_source_next(&publisher->source, now_us, &msg) != CV_OK ||
        cv_rtmp_client_send(cv_attempt_client(publisher->peer.attempt), &msg) != CV_OK) {
        bench->result->late++;
        cv__bench_note_trouble(bench, "the bench could not send: its connection is too slow");
    }
    cv_block_unref(&msg.payload);
}

// Headers and one key frame: enough for players to start.
static void send_first(struct cv_bench_publisher *publisher)
{
    struct cv_block *metadata = cv_bench_metadata(&publisher->source.shape);
    if (metadata)
        cv_rtmp_client_send_metadata(cv_attempt_client(publisher->peer.attempt), 0, metadata);
    cv_block_unref(&metadata);
    send_block(publisher, CV_MSG_VIDEO, cv_bench_video_header());
    if (publisher->source.shape.audio_kbps)
        send_block(publisher, CV_MSG_AUDIO, cv_bench_audio_header());
    send_next(publisher, cv_clock_now_us());
    cv_attempt_flush(publisher->peer.attempt);
}

static void on_started(struct cv_bench_peer *peer)
{
    peer->bench->started++;
    send_first((struct cv_bench_publisher *)peer);
}

static void on_lost(struct cv_bench_peer *peer, const char *what)
{
    struct cv_bench *bench = peer->bench;
    bench->result->lost++;
    cv__bench_note_trouble(bench, what);
    bool joining = !bench->until && bench->playing < bench->player_count;
    if (bench->started < bench->publisher_count || joining)
        cv__bench_give_up(bench, what);
}

// Sends what is due and sleeps until the next message is.
static void on_due(void *arg)
{
    struct cv_bench_publisher *publisher = arg;
    struct cv_bench *bench = publisher->peer.bench;
    if (!bench->flowing || !publisher->peer.attempt)
        return;
    uint64_t due_us = publisher->base_us + cv_bench_source_due_us(&publisher->source);
    uint64_t now_us = cv_clock_now_us();
    while (due_us <= now_us) {
        if (bench->measuring)
            cv_histogram_add(&bench->result->lag_us, now_us - due_us);
        send_next(publisher, now_us);
        due_us = publisher->base_us + cv_bench_source_due_us(&publisher->source);
    }
    cv_attempt_flush(publisher->peer.attempt);
    cv_timer_start_at(&publisher->timer, due_us);
}

void cv__bench_publish(struct cv_bench *bench)
{
    static const struct cv_bench_peer_user user = {.started = on_started, .lost = on_lost};
    for (uint32_t i = 0; i < bench->publisher_count; i++) {
        struct cv_bench_publisher *publisher = &bench->publishers[i];
        publisher->peer = (struct cv_bench_peer){.bench = bench, .user = &user, .stream = i};
        publisher->source.id = i;
        publisher->source.shape = bench->options->shape;
        cv_timer_init(&publisher->timer, bench->loop, on_due, publisher);
        if (cv__bench_peer_open(&publisher->peer, CV_RTMP_CLIENT_PUBLISH) != CV_OK) {
            cv__bench_give_up(bench, "no memory or no descriptors for a publisher");
            return;
        }
    }
}

// Key frames of the streams are spread over a group of pictures.
void cv__bench_flow(struct cv_bench *bench)
{
    uint64_t now_us = cv_clock_now_us();
    uint64_t gop_us = (uint64_t)bench->options->shape.gop_s * CV_BENCH_US_PER_S;
    bench->flowing = true;
    for (uint32_t i = 0; i < bench->publisher_count; i++) {
        struct cv_bench_publisher *publisher = &bench->publishers[i];
        uint64_t behind_us = cv_bench_source_due_us(&publisher->source);
        publisher->base_us = now_us + gop_us * i / bench->publisher_count - behind_us;
        cv_timer_start_at(&publisher->timer, publisher->base_us + behind_us);
    }
}

void cv__bench_close_publishers(struct cv_bench *bench)
{
    for (uint32_t i = 0; bench->publishers && i < bench->publisher_count; i++) {
        cv_timer_stop(&bench->publishers[i].timer);
        cv__bench_peer_drop(&bench->publishers[i].peer);
    }
}
