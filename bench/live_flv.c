// The stream of `culvert bench` (cli/bench_stream.h) as FLV on standard output, live: for programs
// that publish what they read from a pipe.
//
// usage: live_flv SECONDS
//
// Each message carries the time at which it was due (CLOCK_MONOTONIC, as cv_clock_now_us), so that
// a reader who holds the pipe up makes it no younger. Stream number 0: bench/tunnel_play checks it.
#include "cli/bench_stream.h"
#include "io/clock.h"
#include "proto/flv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { US_PER_S = 1000000, SECONDS_MAX = 86400, TAG_BYTES_MAX = 4 << 20 };

static const struct cv_bench_shape shape = {
    .bitrate_kbps = 2500, .fps = 30, .audio_kbps = 128, .gop_s = 2};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "live_flv: %s\n", what);
    exit(1);
}

static void write_all(const struct cv_block *block)
{
    size_t at = 0;
    while (at < block->len) {
        ssize_t len = write(STDOUT_FILENO, block->data + at, block->len - at);
        must(len >= 0 || errno == EINTR, strerror(errno));
        at += len > 0 ? (size_t)len : 0;
    }
}

// Writes what the cursor has, with one call where the pipe takes it.
static void flush(struct cv_wr *wr)
{
    struct cv_block *block = cv_wr_take(wr);
    must(block, "no memory");
    write_all(block);
    cv_block_unref(&block);
}

static void put(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, struct cv_block *payload)
{
    must(payload, "no memory");
    cv_flv_write_tag(wr, type, ts_ms, payload->data, payload->len);
    cv_block_unref(&payload);
}

static void write_headers(void)
{
    struct cv_wr wr = cv_wr_growing(TAG_BYTES_MAX);
    cv_flv_write_header(&wr, true, true);
    put(&wr, CV_MSG_DATA_AMF0, 0, cv_bench_metadata(&shape));
    put(&wr, CV_MSG_VIDEO, 0, cv_bench_video_header());
    put(&wr, CV_MSG_AUDIO, 0, cv_bench_audio_header());
    flush(&wr);
}

static void wait_until(uint64_t us)
{
    struct timespec when = {.tv_sec = (time_t)(us / US_PER_S),
                            .tv_nsec = (long)(us % US_PER_S * 1000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        continue;
}

static void write_frames(uint64_t seconds)
{
    struct cv_bench_source source = {.shape = shape};
    uint64_t base_us = cv_clock_now_us();
    uint64_t due_us;
    while ((due_us = cv_bench_source_due_us(&source)) < seconds * US_PER_S) {
        struct cv_msg msg;
        wait_until(base_us + due_us);
        must(cv_bench_source_next(&source, base_us + due_us, &msg) == CV_OK, "no memory");
        struct cv_wr wr = cv_wr_growing(TAG_BYTES_MAX);
        put(&wr, msg.type, msg.ts_ms, msg.payload);
        flush(&wr);
    }
}

int main(int argc, char **argv)
{
    char *rest = NULL;
    unsigned long seconds = argc == 2 ? strtoul(argv[1], &rest, 10) : 0;
    if (seconds == 0 || seconds > SECONDS_MAX || *rest) {
        fprintf(stderr, "usage: live_flv SECONDS\n");
        return 2;
    }
    write_headers();
    write_frames(seconds);
    return 0;
}
