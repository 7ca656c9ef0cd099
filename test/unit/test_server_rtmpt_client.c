// The tunnel's client against the whole server, over real sockets: both ends of RTMPT that are
// ours.
#include "server_kit.h"

#include "io/clock.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "proto/rtmp_client.h"
#include "proto/rtmpt_client.h"

#include <unistd.h>

enum { FRAMES = 300, READ_BYTES = 65536 };

static struct kit kit;
static struct cv_gather gather;

struct peer {
    struct cv_rtmp_client *rtmp;
    struct cv_rtmpt_client *tunnel;
    int fds[CV_RTMPT_SLOTS]; // -1: none
    bool raw;                // UP is plain RTMP
    bool opened;
    bool taken;
    bool streamed; // a reply came in chunks
    bool ours;
    bool deaf_proxy; // something on the way does not let the offer through
    bool started;
    bool ended;
    uint32_t got;
    unsigned stream_cuts; // so many chunked replies are cut off behind their beginning
    unsigned cuts;        // so many of the next connections are closed behind their first write
    int err;
};

static struct peer peers[2];
static unsigned stream_cuts; // of the player

// ---- RTMP -------------------------------------------------------------------------------------

static void hear_rtmp(struct peer *peer, const uint8_t *data, size_t len)
{
    struct cv_rtmp_client_event event;
    int more;
    cv_rtmp_client_feed(peer->rtmp, data, len);
    while ((more = cv_rtmp_client_next(peer->rtmp, &event)) > 0) {
        if (event.type == CV_RTMP_CLIENT_STARTED)
            peer->started = true;
        if (event.type != CV_RTMP_CLIENT_MEDIA)
            continue;
        const uint8_t *number = event.msg.payload->data + 5;
        assert_int_equal(number[0] << 8 | number[1], peer->got);
        peer->got++;
    }
    assert_int_equal(more, 0);
}

static void send_frame(struct peer *peer, uint32_t number)
{
    enum { LEN = 900 };
    struct cv_block *block = cv_block_new(LEN);
    assert_non_null(block);
    memset(block->data, 0, LEN);
    block->len = LEN;
    block->data[0] = number % 50 ? 0x27 : 0x17;
    block->data[1] = 1;
    block->data[5] = (uint8_t)(number >> 8);
    block->data[6] = (uint8_t)number;
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = 10 * number, .payload = block};
    assert_int_equal(cv_rtmp_client_send(peer->rtmp, &msg), CV_OK);
    cv_block_unref(&block);
}

// ---- the tunnel's owner -----------------------------------------------------------------------

static void take_events(struct peer *peer)
{
    struct cv_rtmpt_client_event event;
    while ((peer->err = cv_rtmpt_client_next(peer->tunnel, &event)) > 0) {
        peer->raw = peer->raw || event.type == CV_RTMPT_CLIENT_UPGRADED;
        peer->opened = peer->opened || event.type == CV_RTMPT_CLIENT_OPENED;
        peer->taken = peer->taken || event.taken;
        peer->ended = peer->ended || event.type == CV_RTMPT_CLIENT_ENDED;
        peer->ours = event.ours;
        if (event.len)
            hear_rtmp(peer, event.data, event.len);
    }
}

static void drop(struct peer *peer, enum cv_rtmpt_slot slot, int code)
{
    close(peer->fds[slot]);
    peer->fds[slot] = -1;
    cv_rtmpt_client_closed(peer->tunnel, slot, code, cv_clock_now_us());
    take_events(peer);
}

static void read_some(struct peer *peer, enum cv_rtmpt_slot slot)
{
    static uint8_t data[READ_BYTES];
    while (peer->fds[slot] >= 0 && (peer->raw || cv_rtmpt_client_reads(peer->tunnel, slot))) {
        int len = cv_socket_read(peer->fds[slot], data, sizeof data);
        if (len == CV_E_AGAIN)
            return;
        bool streams = len > 0 && memmem(data, (size_t)len, "Transfer-Encoding: chunked", 26);
        peer->streamed |= streams;
        if (len < 0) {
            drop(peer, slot, len);
        } else if (peer->raw) {
            hear_rtmp(peer, data, (size_t)len);
        } else {
            cv_rtmpt_client_feed(peer->tunnel, slot, data, (size_t)len, cv_clock_now_us());
            take_events(peer);
            if (streams && peer->stream_cuts) {
                peer->stream_cuts--;
                drop(peer, slot, CV_E_RESET);
            }
        }
    }
}

static void give_output(struct peer *peer)
{
    while (!cv_rtmp_client_out_empty(peer->rtmp) && cv_rtmpt_client_room(peer->tunnel)) {
        cv_gather_clear(&gather);
        cv_rtmp_client_pull(peer->rtmp, &gather);
        size_t took =
            cv_rtmpt_client_send(peer->tunnel, &gather, !peer->started, cv_clock_now_us());
        cv_rtmp_client_sent(peer->rtmp, took);
        take_events(peer);
    }
}

// Spoils the offer, as a proxy does that drops what is for one hop only.
static void spoil(const struct peer *peer)
{
    for (int i = 0; peer->deaf_proxy && i < gather.count; i++) {
        char *at =
            memmem(gather.vectors[i].iov_base, gather.vectors[i].iov_len, "Upgrade: rtmp", 13);
        if (at)
            memcpy(at, "X-Hidden", 7);
    }
}

static void write_some(struct peer *peer, enum cv_rtmpt_slot slot)
{
    if (peer->fds[slot] < 0)
        return;
    cv_gather_clear(&gather);
    if (peer->raw)
        cv_rtmp_client_pull(peer->rtmp, &gather);
    else
        cv_rtmpt_client_pull(peer->tunnel, slot, &gather);
    if (gather.bytes == 0)
        return;
    spoil(peer);
    int len = cv_socket_write(peer->fds[slot], gather.vectors, gather.count);
    if (len <= 0)
        return;
    if (peer->raw) {
        cv_rtmp_client_sent(peer->rtmp, (size_t)len);
        return;
    }
    cv_rtmpt_client_sent(peer->tunnel, slot, (size_t)len, cv_clock_now_us());
    if (peer->cuts && peer->started) {
        peer->cuts--;
        drop(peer, slot, CV_E_RESET);
    }
}

static void tend(struct peer *peer, enum cv_rtmpt_slot slot)
{
    enum cv_rtmpt_want want = cv_rtmpt_client_want(peer->tunnel, slot);
    if (want == CV_RTMPT_WANT_CONNECT && peer->fds[slot] < 0) {
        peer->fds[slot] = kit_dial(&kit, 0);
        assert_true(peer->fds[slot] >= 0);
        cv_socket_set_no_delay(peer->fds[slot], true);
        cv_rtmpt_client_connected(peer->tunnel, slot, cv_clock_now_us());
        take_events(peer);
    }
    if (want == CV_RTMPT_WANT_CLOSE && peer->fds[slot] >= 0)
        drop(peer, slot, CV_OK);
}

static void step(struct peer *peer)
{
    if (!peer->rtmp)
        return;
    if (!peer->raw) {
        cv_rtmpt_client_tick(peer->tunnel, cv_clock_now_us());
        take_events(peer);
        give_output(peer);
    }
    for (enum cv_rtmpt_slot slot = CV_RTMPT_UP; slot < CV_RTMPT_SLOTS; slot++) {
        if (!peer->raw)
            tend(peer, slot);
        write_some(peer, slot);
        read_some(peer, slot);
    }
}

static bool turn_until(bool done(void))
{
    uint64_t end_us = cv_clock_now_us() + UINT64_C(1000000) * KIT_WAIT_S;
    while (!done()) {
        if (cv_clock_now_us() > end_us)
            return false;
        kit_turn(&kit);
        step(&peers[0]);
        step(&peers[1]);
    }
    return true;
}

static void peer_start(struct peer *peer, enum cv_rtmp_client_mode mode, bool offer, bool eager)
{
    struct cv_rtmp_client_config rtmp = {
        .mode = mode,
        .crypto = &cv_crypto_openssl,
        .app = cv_text_of("live"),
        .name = cv_text_of("tunnelled"),
        .tc_url = cv_text_of("rtmp://localhost/live"),
        .eager = eager,
    };
    struct cv_rtmpt_client_config config = {.host = cv_text_of("localhost"), .offer = offer};
    *peer = (struct peer){.fds = {-1, -1}, .deaf_proxy = peer->deaf_proxy};
    peer->rtmp = cv_rtmp_client_new(&rtmp, 1);
    peer->tunnel = cv_rtmpt_client_new(&config, cv_clock_now_us());
    assert_non_null(peer->rtmp);
    assert_non_null(peer->tunnel);
    assert_int_equal(cv_rtmp_client_connect(peer->rtmp), CV_OK);
    give_output(peer); // C0 C1 goes with /open; eager: all up to publish or play
}

static void peer_end(struct peer *peer)
{
    for (int i = 0; i < CV_RTMPT_SLOTS; i++) {
        if (peer->fds[i] >= 0)
            close(peer->fds[i]);
    }
    cv_rtmpt_client_free(peer->tunnel);
    cv_rtmp_client_free(peer->rtmp);
    *peer = (struct peer){.fds = {-1, -1}};
}

// ---- tests ------------------------------------------------------------------------------------

static bool first_started(void)
{
    return peers[0].started;
}

static bool second_started(void)
{
    return peers[1].started;
}

static bool all_got(void)
{
    return peers[1].got == FRAMES;
}

static bool both_ended(void)
{
    return peers[0].ended && peers[1].ended;
}

static void start_both(bool offer, bool eager)
{
    kit_start(&kit, 1, false, NULL);
    peer_start(&peers[0], CV_RTMP_CLIENT_PUBLISH, offer, eager);
    assert_true(turn_until(first_started));
    cv_rtmpt_client_set_mode(peers[0].tunnel, CV_RTMPT_CLIENT_PUBLISH, cv_clock_now_us());
    peer_start(&peers[1], CV_RTMP_CLIENT_PLAY, offer, eager);
    assert_true(turn_until(second_started));
    cv_rtmpt_client_set_mode(peers[1].tunnel, CV_RTMPT_CLIENT_PLAY, cv_clock_now_us());
}

static void end_both(void)
{
    peer_end(&peers[0]);
    peer_end(&peers[1]);
    kit_stop(&kit);
}

static void publish_and_play(bool offer, bool deaf_proxy, bool eager, unsigned cuts)
{
    peers[0].deaf_proxy = peers[1].deaf_proxy = deaf_proxy;
    start_both(offer, eager);
    peers[1].stream_cuts = stream_cuts;
    for (uint32_t i = 0; i < FRAMES; i++) {
        if (cuts && i % 60 == 30) {
            peers[0].cuts = cuts;
            peers[1].cuts = cuts;
        }
        send_frame(&peers[0], i);
        for (int k = 0; k < 3; k++) {
            kit_turn(&kit);
            step(&peers[0]);
            step(&peers[1]);
        }
    }
    assert_true(turn_until(all_got));
    assert_int_equal(peers[1].stream_cuts, 0);
    bool raw = offer && !deaf_proxy;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(peers[i].raw, raw);
        assert_int_equal(peers[i].opened, !raw);
        assert_int_equal(peers[i].taken, offer && !raw);
        assert_int_equal(peers[i].streamed, !raw && i == 1);
        if (!raw)
            cv_rtmpt_client_finish(peers[i].tunnel, cv_clock_now_us());
    }
    if (!raw) {
        assert_true(peers[0].ours && peers[1].ours);
        assert_true(turn_until(both_ended));
        assert_int_equal(cv_rtmpt_client_stats(peers[0].tunnel).replays > 0, cuts > 0);
    }
    end_both();
}

static void offer_becomes_rtmp(void **state)
{
    (void)state;
    publish_and_play(true, false, false, 0);
    publish_and_play(true, false, true, 0);
}

// The handshake is in /open then.
static void offer_that_is_lost_becomes_a_tunnel(void **state)
{
    (void)state;
    publish_and_play(true, true, false, 0);
    publish_and_play(true, true, true, 0);
}

static void tunnel_without_an_offer(void **state)
{
    (void)state;
    publish_and_play(false, false, false, 0);
}

// Requests and their replies go down with their connections, again and again.
static void lost_connections_lose_nothing(void **state)
{
    (void)state;
    publish_and_play(false, false, false, 1);
}

// A chunked reply that is cut off comes again, and goes on where it was.
static void lost_streams_lose_nothing(void **state)
{
    (void)state;
    stream_cuts = 3;
    publish_and_play(false, false, false, 0);
    stream_cuts = 0;
}

// Frame by frame, each after the last one was seen, and slowly: a body ends by its time. After the
// first one there is another only where the server has told that its bytes came early.
static bool bodies_stay_open(void)
{
    static uint32_t sent;
    static uint64_t sent_us;
    if (peers[1].got == sent && cv_clock_now_us() - sent_us > 5000) {
        send_frame(&peers[0], sent++);
        sent_us = cv_clock_now_us();
    }
    return cv_rtmpt_client_stats(peers[0].tunnel).streams > 3;
}

static void media_goes_up_in_bodies_that_stay_open(void **state)
{
    (void)state;
    start_both(false, false);
    assert_true(turn_until(bodies_stay_open));
    assert_true(peers[1].got > 3 * cv_rtmpt_client_stats(peers[0].tunnel).sends);
    cv_rtmpt_client_finish(peers[0].tunnel, cv_clock_now_us());
    cv_rtmpt_client_finish(peers[1].tunnel, cv_clock_now_us());
    assert_true(turn_until(both_ended));
    end_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offer_becomes_rtmp),
        cmocka_unit_test(offer_that_is_lost_becomes_a_tunnel),
        cmocka_unit_test(tunnel_without_an_offer),
        cmocka_unit_test(lost_connections_lose_nothing),
        cmocka_unit_test(lost_streams_lose_nothing),
        cmocka_unit_test(media_goes_up_in_bodies_that_stay_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
