// A fan-out of fixed size, for cost.py to count its instructions under callgrind: a worker with its
// loop, real sessions on socket pairs, VIEWERS viewers of one stream, MESSAGES messages in turns of
// the same size.
//
// usage: fanout CARRIER MESSAGES_PER_TURN
//
// Only the worker's turns are collected: reading the publisher, the log, the flush of all viewers.
// Setting up, the publisher's own engine and the far ends are not. Nothing depends on time: socket
// pairs take everything at once, and are emptied between two turns. Prints how many there were.
#include "fanout_far.h"

#include "base/mem.h"
#include "io/openssl.h"
#include "server/config.h"
#include "server/conn.h"
#include "server/keys.h"
#include "server/log.h"
#include "server/worker.h"

#include <stdio.h>
#include <string.h>
#include <valgrind/callgrind.h>

enum { VIEWERS = 50, MESSAGES = 200, KEY_EVERY = 60 };
enum { ALLOCS_PER_MESSAGE = 3 }; // one of the publisher's, and those of a turn
enum { SKIPPED = 77 };           // exit code: this machine cannot do it
enum { KEY_BYTES = 30000, VIDEO_BYTES = 6000, AUDIO_BYTES = 370, MS_PER_MESSAGE = 20 };

static const char yaml_calls[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                 "io_uring: off\n";
static const char yaml_ring[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                "io_uring: on\n";

struct bed {
    struct cv_shared shared;
    struct cv_worker *worker;
    uint64_t allocs; // in counted turns
    struct far *publisher;
    struct cv_rtmp_client *publishes;
    struct far *viewers[VIEWERS];
    unsigned far_count;
};

// ---- the server -------------------------------------------------------------------------------

static struct cv_policy *make_policy(struct cv_shared *shared, const struct far_carrier *carrier)
{
    const char *yaml = carrier->ring ? yaml_ring : yaml_calls;
    struct cv_config *config = NULL;
    struct cv_config_why why = {0};
    int err = cv_config_parse("fanout", yaml, strlen(yaml), NULL, &config, &why);
    must(err == CV_OK, why.text);
    struct cv_keys *keys = cv_keys_new(NULL, 0);
    cv_log_set_level(config->log_level);
    struct cv_policy *policy = cv_policy_new(config, keys, &shared->tallies);
    must(policy != NULL, "no policy");
    if (carrier->tls)
        cv_policy_set_tls(policy, far_tls_server());
    return policy;
}

static void start_server(struct bed *bed, const struct far_carrier *carrier)
{
    struct cv_shared *shared = &bed->shared;
    shared->workers = 1;
    shared->tunnel_secret.crypto = &cv_crypto_openssl;
    shared->post = cv_post_new(2);
    shared->tallies = (struct cv_tallies){.addresses = cv_tally_new(1),
                                          .app_streams = cv_tally_new(2),
                                          .app_viewers = cv_tally_new(3),
                                          .stream_viewers = cv_tally_new(4)};
    bed->worker = cv_worker_new(shared, 0, make_policy(shared, carrier));
    must(bed->worker != NULL, "no worker");
}

static void turn(void *arg)
{
    struct bed *bed = arg;
    cv_loop_run_once(bed->worker->loop);
}

static void counted_turn(struct bed *bed)
{
    uint64_t allocs = cv_mem_stats().allocs;
    CALLGRIND_TOGGLE_COLLECT;
    cv_loop_run_once(bed->worker->loop);
    CALLGRIND_TOGGLE_COLLECT;
    bed->allocs += cv_mem_stats().allocs - allocs;
}

// Each from an address of its own: there are caps.
static struct far *connect_far(struct bed *bed)
{
    int fds[2];
    struct cv_addr peer = {.family = CV_ADDR_IPV4, .ip = {10, 0, 0, (uint8_t)++bed->far_count}};
    far_pair(fds);
    cv_conn_open(bed->worker, fds[0], &peer, CV_LISTEN_ANY);
    return far_new(fds[1], turn, bed);
}

// ---- the publisher ----------------------------------------------------------------------------

static void say_all(struct bed *bed)
{
    struct cv_gather gather;
    while (!cv_rtmp_client_out_empty(bed->publishes)) {
        cv_gather_clear(&gather);
        cv_rtmp_client_pull(bed->publishes, &gather);
        for (int i = 0; i < gather.count; i++)
            far_say(bed->publisher, gather.vectors[i].iov_base, gather.vectors[i].iov_len);
        cv_rtmp_client_sent(bed->publishes, gather.bytes);
    }
}

static void send_message(struct bed *bed, uint8_t type, uint32_t ts_ms, const uint8_t *head,
                         size_t len)
{
    struct cv_block *payload = cv_block_new(len);
    must(payload != NULL, "no memory");
    memset(payload->data, 0, len);
    memcpy(payload->data, head, len < 5 ? len : 5);
    payload->len = (uint32_t)len;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .payload = payload};
    must(cv_rtmp_client_send(bed->publishes, &msg) == CV_OK, "cannot send");
    cv_block_unref(&payload);
}

static void send_nth(struct bed *bed, uint32_t n)
{
    static const uint8_t audio[5] = {0xaf, 1}, key[5] = {0x17, 1}, video[5] = {0x27, 1};
    uint32_t ts_ms = n * MS_PER_MESSAGE;
    if (n % 2)
        send_message(bed, CV_MSG_AUDIO, ts_ms, audio, AUDIO_BYTES);
    else if (n % KEY_EVERY == 0)
        send_message(bed, CV_MSG_VIDEO, ts_ms, key, KEY_BYTES);
    else
        send_message(bed, CV_MSG_VIDEO, ts_ms, video, VIDEO_BYTES);
}

static void hear_publisher(struct bed *bed, bool *started)
{
    struct cv_rtmp_client_event event;
    size_t len;
    const uint8_t *data = far_hear(bed->publisher, &len);
    cv_rtmp_client_feed(bed->publishes, data, len);
    while (cv_rtmp_client_next(bed->publishes, &event) == 1)
        *started |= event.type == CV_RTMP_CLIENT_STARTED;
}

static void start_publisher(struct bed *bed)
{
    static const uint8_t video[5] = {0x17, 0}, audio[4] = {0xaf, 0, 0x12, 0x10};
    bool started = false;
    bed->publisher = connect_far(bed);
    bed->publishes = far_rtmp(CV_RTMP_CLIENT_PUBLISH);
    for (int i = 0; i < 100 && !started; i++) {
        say_all(bed);
        turn(bed);
        hear_publisher(bed, &started);
    }
    must(started, "the publisher was not accepted");
    send_message(bed, CV_MSG_VIDEO, 0, video, sizeof video);
    send_message(bed, CV_MSG_AUDIO, 0, audio, sizeof audio);
    send_nth(bed, 0);
    say_all(bed);
    turn(bed);
}

// ---- the fan-out ------------------------------------------------------------------------------

static void drain(struct bed *bed, const struct far_carrier *carrier)
{
    for (unsigned i = 0; i < VIEWERS; i++)
        far_drain(bed->viewers[i], carrier);
}

static void start_viewers(struct bed *bed, const struct far_carrier *carrier)
{
    for (unsigned i = 0; i < VIEWERS; i++) {
        bed->viewers[i] = connect_far(bed);
        far_enter(bed->viewers[i], carrier);
    }
    for (int i = 0; i < 10; i++) {
        turn(bed);
        drain(bed, carrier);
    }
    must(bed->worker->stats.viewers == VIEWERS, "not all viewers have come");
}

static void fan_out(struct bed *bed, const struct far_carrier *carrier, uint32_t per_turn)
{
    for (uint32_t n = 0; n < MESSAGES; n++) {
        send_nth(bed, n + 1);
        if ((n + 1) % per_turn)
            continue;
        say_all(bed);
        counted_turn(bed);
        drain(bed, carrier);
    }
}

int main(int argc, char **argv)
{
    static struct bed bed;
    const struct far_carrier *carrier = argc == 3 ? far_carrier_find(argv[1]) : NULL;
    int per_turn = argc == 3 ? argv[2][0] - '0' : 0;
    must(carrier != NULL && per_turn > 0 && MESSAGES % per_turn == 0,
         "usage: fanout CARRIER MESSAGES_PER_TURN");
    start_server(&bed, carrier);
    start_publisher(&bed);
    start_viewers(&bed, carrier);
    if (carrier->ring && !cv_worker_batch(bed.worker, VIEWERS)) {
        printf("this kernel gives no io_uring\n");
        return SKIPPED;
    }
    const struct cv_worker_stats *stats = &bed.worker->stats;
    struct cv_worker_stats before = *stats;
    CALLGRIND_START_INSTRUMENTATION;
    fan_out(&bed, carrier, (uint32_t)per_turn);
    CALLGRIND_STOP_INSTRUMENTATION;
    must(stats->messages_out - before.messages_out == VIEWERS * MESSAGES, "messages are missing");
    must(stats->writes - before.writes == VIEWERS * MESSAGES / (unsigned)per_turn,
         "not one write for each viewer and turn");
    must(carrier->again || bed.allocs <= ALLOCS_PER_MESSAGE * MESSAGES,
         "memory is allocated for each viewer");
    printf("viewers %d messages %d\n", VIEWERS, MESSAGES);
    return 0;
}
