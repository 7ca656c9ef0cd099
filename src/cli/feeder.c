#include "cli/feeder.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/reader.h"
#include "media/pacer.h"
#include "proto/flv.h"

#include <errno.h>
#include <string.h>

struct cv_feeder {
    struct cv_feeder_config config;
    struct cv_reader *reader;
    struct cv_flv_reader *flv;
    struct cv_block *block; // what was read and is not parsed yet; the FLV reader borrows it
    struct cv_pacer pacer;
    struct cv_timer timer; // until the next message is due; or for the end
    struct cv_msg msg;     // waits to be sent; payload NULL: none does
    uint64_t at_ms;        // its time
    uint64_t media;        // audio and video messages of this round
    bool waits_for_start;
    bool blocked; // until cv_feeder_resume
    bool ended;
    int code;
    struct cv_why why;
};

// ---- the end --------------------------------------------------------------------------------

// By the timer, so that on_end is never called inside anything.
static void end(struct cv_feeder *feeder, int code)
{
    feeder->ended = true;
    feeder->code = code;
    cv_timer_start(&feeder->timer, 0);
}

static void fail(struct cv_feeder *feeder, int code, const char *what)
{
    cv_why_set(&feeder->why, code, "flv", "%.80s %.70s", feeder->config.name, what);
    end(feeder, code);
}

static void fail_flv(struct cv_feeder *feeder, int code)
{
    if (code == CV_E_TRUNCATED)
        fail(feeder, code, feeder->media ? "ends in the middle of a tag" : "holds no FLV stream");
    else if (code == CV_E_NOMEM)
        fail(feeder, code, "needs more memory than there is");
    else if (feeder->media)
        fail(feeder, code, "is damaged: no FLV tag where one should be");
    else
        fail(feeder, code, "is not FLV: ffmpeg -i ... -c copy -f flv makes it so");
}

// ---- messages -------------------------------------------------------------------------------

static void begin_round(struct cv_feeder *feeder)
{
    cv_flv_reader_free(feeder->flv);
    feeder->flv = cv_flv_reader_new(CV_LIMIT_MEDIA_BYTES);
    feeder->media = 0;
}

// The data have ended: once more, or for good.
static void on_data_end(struct cv_feeder *feeder)
{
    int err = cv_flv_reader_end(feeder->flv);
    if (err != CV_OK || feeder->media == 0) {
        fail_flv(feeder, err != CV_OK ? err : CV_E_TRUNCATED);
        return;
    }
    if (!feeder->config.loops) {
        end(feeder, CV_OK);
        return;
    }
    begin_round(feeder);
    if (!feeder->flv) {
        fail_flv(feeder, CV_E_NOMEM);
        return;
    }
    cv_pacer_again(&feeder->pacer);
    cv_reader_rewind(feeder->reader);
    cv_reader_want(feeder->reader);
}

// The next event, unless the block is used up; then another one is wanted.
static bool next_event(struct cv_feeder *feeder, struct cv_flv_event *out)
{
    int more = feeder->block ? cv_flv_reader_next(feeder->flv, out) : 0;
    if (more > 0)
        return true;
    if (more < 0) {
        fail_flv(feeder, more);
        return false;
    }
    cv_block_unref(&feeder->block);
    cv_reader_want(feeder->reader);
    return false;
}

// Makes an event the message that waits. AMF3 data messages (type 15) are written by nobody.
static void take_event(struct cv_feeder *feeder, struct cv_flv_event *event)
{
    if (event->kind != CV_FLV_TAG)
        return;
    if (event->type == CV_MSG_DATA_AMF3) {
        cv_block_unref(&event->payload);
        return;
    }
    feeder->media += event->type != CV_MSG_DATA_AMF0;
    feeder->at_ms = cv_pacer_stamp(&feeder->pacer, event->type, event->ts_ms);
    feeder->msg = (struct cv_msg){
        .type = event->type, .ts_ms = (uint32_t)feeder->at_ms, .payload = event->payload};
}

static bool is_due(struct cv_feeder *feeder)
{
    uint64_t due_us = cv_pacer_due_us(&feeder->pacer, feeder->at_ms);
    if (due_us <= cv_loop_now_us(feeder->config.loop))
        return true;
    cv_timer_start_at(&feeder->timer, due_us);
    return false;
}

static bool send(struct cv_feeder *feeder)
{
    int err = feeder->config.send(feeder->config.arg, &feeder->msg);
    feeder->blocked = err == CV_E_AGAIN;
    if (feeder->blocked)
        return false;
    cv_block_unref(&feeder->msg.payload);
    if (err == CV_OK)
        return true;
    cv_why_set(&feeder->why, err, "flv", "%s", cv_err_text(err));
    end(feeder, err);
    return false;
}

// As far as it goes: until something is missing, early, or not taken.
static void run(struct cv_feeder *feeder)
{
    struct cv_flv_event event;
    bool goes_on = !feeder->ended && !feeder->blocked;
    while (goes_on) {
        if (!feeder->msg.payload) {
            goes_on = next_event(feeder, &event);
            if (goes_on)
                take_event(feeder, &event);
        } else {
            goes_on = !feeder->waits_for_start && is_due(feeder) && send(feeder);
        }
    }
}

static void on_timer(void *arg)
{
    struct cv_feeder *feeder = arg;
    if (feeder->ended)
        feeder->config.on_end(feeder->config.arg, feeder->code, &feeder->why);
    else
        run(feeder);
}

// ---- reading --------------------------------------------------------------------------------

static void on_block(void *arg, int code, const void *data, size_t len)
{
    struct cv_feeder *feeder = arg;
    if (code != CV_OK) {
        cv_why_set(&feeder->why, code, "flv", "%.80s: %.70s", feeder->config.name, strerror(errno));
        end(feeder, code);
        return;
    }
    if (len == 0) {
        on_data_end(feeder);
        return;
    }
    if (!feeder->pacer.running && !feeder->waits_for_start)
        cv_pacer_start(&feeder->pacer, cv_loop_now_us(feeder->config.loop));
    // A copy: messages may have to wait for their time, and the reader's buffer is lent.
    feeder->block = cv_block_copy(data, len);
    if (!feeder->block) {
        fail_flv(feeder, CV_E_NOMEM);
        return;
    }
    cv_flv_reader_feed(feeder->flv, feeder->block->data, feeder->block->len);
    run(feeder);
}

// ---- life -----------------------------------------------------------------------------------

struct cv_feeder *cv_feeder_new(const struct cv_feeder_config *config)
{
    struct cv_feeder *feeder = cv_mem_zero(1, sizeof *feeder);
    if (!feeder)
        return NULL;
    feeder->config = *config;
    cv_timer_init(&feeder->timer, config->loop, on_timer, feeder);
    begin_round(feeder);
    if (feeder->flv)
        feeder->reader = cv_reader_new(config->loop, config->fd, on_block, feeder);
    if (!feeder->reader) {
        cv_flv_reader_free(feeder->flv);
        cv_mem_free(feeder);
        return NULL;
    }
    bool is_file = cv_reader_is_file(feeder->reader);
    feeder->config.loops = config->loops && is_file;
    feeder->waits_for_start = is_file;
    feeder->pacer = cv_pacer_new(is_file ? CV_PACE_AHEAD_FILE_MS : CV_PACE_AHEAD_PIPE_MS);
    cv_reader_want(feeder->reader);
    return feeder;
}

void cv_feeder_start(struct cv_feeder *feeder)
{
    if (!feeder->waits_for_start)
        return;
    feeder->waits_for_start = false;
    cv_pacer_start(&feeder->pacer, cv_loop_now_us(feeder->config.loop));
    if (feeder->msg.payload)
        run(feeder);
}

void cv_feeder_resume(struct cv_feeder *feeder)
{
    if (!feeder->blocked)
        return;
    feeder->blocked = false;
    run(feeder);
}

uint64_t cv_feeder_time_ms(const struct cv_feeder *feeder)
{
    return cv_pacer_time_ms(&feeder->pacer);
}

void cv_feeder_free(struct cv_feeder **place)
{
    struct cv_feeder *feeder = *place;
    *place = NULL;
    if (!feeder)
        return;
    cv_timer_stop(&feeder->timer);
    cv_reader_close(&feeder->reader);
    cv_flv_reader_free(feeder->flv);
    cv_block_unref(&feeder->block);
    cv_block_unref(&feeder->msg.payload);
    cv_mem_free(feeder);
}
