#include "server/viewer.h"

#include "base/mem.h"
#include "proto/reply.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/outlet.h"
#include "server/table.h"
#include "server/worker.h"

#include <stddef.h>
#include <string.h>

enum {
    // What one write carries at most; more would keep old blocks alive for viewers that are slow.
    FILL_MESSAGES = 128,
    FILL_BYTES = 128 * 1024,
};

struct cv_viewer {
    // What a flush touches, together.
    struct cv_netconn *conn;
    struct cv_outlet *outlet;
    struct cv_viewer *prev, *next; // in the outlet's list
    struct cv_cursor cursor;
    uint64_t messages;
    uint32_t net_stream;
    bool started; // Play.Start has been sent
    bool live;    // it was told that somebody publishes
    bool paused;
    // The rest.
    uint64_t opened_us;
    uint64_t waiting_us;      // since when it waits for a publisher; UINT64_MAX: it does not
    struct cv_policy *policy; // one reference; app points into it
    const struct cv_config_app *app;
    struct cv_path path;
};

static void log_viewer(const struct cv_viewer *viewer, const char *event)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, event);
    cv_netconn_log_fields(viewer->conn, &line);
    cv_line_text(&line, "stream", viewer->path.text);
    if (viewer->messages) {
        cv_line_uint(&line, "messages", viewer->messages);
        cv_line_uint(&line, "jumps", viewer->cursor.jumps);
        cv_line_uint(&line, "skipped", viewer->cursor.skipped);
    }
    cv_line_end(&line);
}

struct cv_viewer *cv_viewer_new(struct cv_netconn *conn, uint32_t net_stream,
                                const struct cv_path *path, struct cv_policy *policy,
                                const struct cv_config_app *app)
{
    struct cv_worker *worker = conn->worker;
    struct cv_viewer *viewer = cv_mem_zero(1, sizeof *viewer);
    if (!viewer)
        return NULL;
    struct cv_stream_settings settings = cv_policy_stream_settings(app);
    viewer->outlet = cv_outlet_get(worker, path, &settings.log);
    if (!viewer->outlet) {
        cv_mem_free(viewer);
        return NULL;
    }
    viewer->conn = conn;
    viewer->net_stream = net_stream;
    viewer->cursor = cv_cursor_new();
    viewer->policy = cv_policy_ref(policy);
    viewer->app = app;
    viewer->path = *path;
    viewer->opened_us = cv_loop_now_us(worker->loop);
    viewer->waiting_us = viewer->opened_us;
    DL_APPEND(viewer->outlet->viewers, viewer);
    worker->stats.viewers++;
    cv_viewer_on_state(viewer);
    return viewer;
}

void cv_viewer_free(struct cv_viewer *viewer)
{
    if (!viewer)
        return;
    struct cv_worker *worker = viewer->conn->worker;
    log_viewer(viewer, "play.end");
    worker->stats.viewers--;
    DL_DELETE(viewer->outlet->viewers, viewer);
    cv_outlet_release(viewer->outlet);
    cv_policy_leave_viewer(viewer->policy, viewer->app, &viewer->path);
    cv_policy_unref(&viewer->policy);
    cv_mem_free(viewer);
}

struct cv_viewer *cv_viewer_next(const struct cv_viewer *viewer)
{
    return viewer->next;
}

void cv_viewer_prefetch(const struct cv_viewer *viewer)
{
    cv_prefetch(viewer, offsetof(struct cv_viewer, opened_us));
}

struct cv_netconn *cv_viewer_conn(const struct cv_viewer *viewer)
{
    return viewer->conn;
}

// ---- what the player is told ----------------------------------------------------------------

static int say_started(struct cv_viewer *viewer)
{
    struct cv_rtmp *rtmp = viewer->conn->rtmp;
    uint32_t id = viewer->net_stream;
    viewer->started = true;
    log_viewer(viewer, "play.start");
    int err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_BEGIN, id);
    if (err == CV_OK)
        err = cv_reply_status(rtmp, id, CV_STATUS_PLAY_RESET, "Playing and resetting.");
    if (err == CV_OK)
        err = cv_reply_status(rtmp, id, CV_STATUS_PLAY_START, "Started playing.");
    if (err == CV_OK)
        err = cv_reply_sample_access(rtmp, id);
    return err;
}

static int say_published_again(struct cv_viewer *viewer)
{
    struct cv_rtmp *rtmp = viewer->conn->rtmp;
    int err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_BEGIN, viewer->net_stream);
    if (err != CV_OK)
        return err;
    return cv_reply_status(rtmp, viewer->net_stream, CV_STATUS_PLAY_PUBLISH_NOTIFY,
                           "The stream is published.");
}

int cv_viewer_say_over(struct cv_viewer *viewer)
{
    struct cv_rtmp *rtmp = viewer->conn->rtmp;
    if (!viewer->live)
        return CV_OK;
    viewer->live = false;
    int err = cv_reply_status(rtmp, viewer->net_stream, CV_STATUS_PLAY_UNPUBLISH_NOTIFY,
                              "The stream is no longer published.");
    if (err == CV_OK)
        err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_EOF, viewer->net_stream);
    return err;
}

static int say_live(struct cv_viewer *viewer)
{
    viewer->live = true;
    return viewer->started ? say_published_again(viewer) : say_started(viewer);
}

void cv_viewer_on_state(struct cv_viewer *viewer)
{
    bool waits = !viewer->outlet->live;
    if (!waits)
        viewer->waiting_us = UINT64_MAX;
    else if (viewer->waiting_us == UINT64_MAX)
        viewer->waiting_us = cv_loop_now_us(viewer->conn->worker->loop);
    cv_cursor_wait(&viewer->cursor, viewer->outlet->log);
    cv_netconn_mark(viewer->conn);
    cv_netconn_rearm(viewer->conn);
}

void cv_viewer_on_log(struct cv_viewer *viewer)
{
    cv_cursor_rejoin(&viewer->cursor);
    cv_cursor_wait(&viewer->cursor, viewer->outlet->log);
}

uint64_t cv_viewer_deadline_us(const struct cv_viewer *viewer)
{
    if (viewer->waiting_us == UINT64_MAX)
        return UINT64_MAX;
    return viewer->waiting_us + viewer->app->play_wait_s * UINT64_C(1000000);
}

// ---- media ----------------------------------------------------------------------------------

static enum cv_csid csid_of(uint8_t type)
{
    return type == CV_MSG_AUDIO   ? CV_CSID_AUDIO
           : type == CV_MSG_VIDEO ? CV_CSID_VIDEO
                                  : CV_CSID_STATUS;
}

static int next_message(struct cv_viewer *viewer, struct cv_msg *out)
{
    struct cv_worker_stats *stats = &viewer->conn->worker->stats;
    struct cv_cursor before = viewer->cursor;
    int more = cv_cursor_next(&viewer->cursor, viewer->outlet->log, out);
    stats->jumps += viewer->cursor.jumps - before.jumps;
    stats->skipped += viewer->cursor.skipped - before.skipped;
    return more;
}

static int fill_media(struct cv_viewer *viewer)
{
    struct cv_rtmp *rtmp = viewer->conn->rtmp;
    struct cv_worker_stats *stats = &viewer->conn->worker->stats;
    struct cv_msg msg;
    while (cv_rtmp_out_count(rtmp) < FILL_MESSAGES && cv_rtmp_out_bytes(rtmp) < FILL_BYTES) {
        if (next_message(viewer, &msg) != 1)
            return CV_OK;
        msg.stream_id = viewer->net_stream;
        int err = cv_rtmp_send(rtmp, &msg, csid_of(msg.type));
        if (err != CV_OK)
            return err;
        viewer->messages++;
        stats->messages_out++;
    }
    return 1;
}

int cv_viewer_fill(struct cv_viewer *viewer)
{
    bool live = viewer->outlet->live;
    int more = CV_OK;
    if (live && !viewer->live)
        more = say_live(viewer);
    if (more == CV_OK && viewer->started && !viewer->paused)
        more = fill_media(viewer);
    // Over: but first everything that was published.
    bool all_read = viewer->paused || !cv_cursor_behind(&viewer->cursor, viewer->outlet->log);
    if (more >= 0 && !live && viewer->live && all_read)
        more = cv_viewer_say_over(viewer);
    return more;
}

void cv_viewer_pause(struct cv_viewer *viewer, bool paused)
{
    if (viewer->paused && !paused)
        cv_cursor_rejoin(&viewer->cursor);
    viewer->paused = paused;
}

void cv_viewer_receive_audio(struct cv_viewer *viewer, bool on)
{
    cv_cursor_receive_audio(&viewer->cursor, on);
}

void cv_viewer_receive_video(struct cv_viewer *viewer, bool on)
{
    cv_cursor_receive_video(&viewer->cursor, on);
}
