#include "server/viewer.h"

#include "base/mem.h"
#include "media/run.h"
#include "proto/reply.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/outlet.h"
#include "server/seat.h"
#include "server/worker.h"

#include <assert.h>
#include <stddef.h>

struct cv_viewer {
    // What a flush touches, together.
    struct cv_seat seat; // first
    struct cv_netconn *conn;
    uint32_t net_stream;
    bool started; // Play.Start has been sent
    bool live;    // it was told that somebody publishes
    bool paused;
    bool returns;         // it was here before: its place has not been found yet
    bool wants_position;  // is told numbers
    uint64_t next_number; // what it takes the next message for; CV_LOG_NONE: it does not know
    uint64_t run_to;      // where the run ends that is being sent
    // The rest.
    struct cv_pass pass;
};

static_assert(offsetof(struct cv_viewer, pass) <= CV_SEAT_HOT_BYTES, "more than is prefetched");

static void log_viewer(const struct cv_viewer *viewer, const char *event)
{
    const struct cv_seat *seat = &viewer->seat;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, event);
    cv_netconn_log_fields(viewer->conn, &line);
    cv_line_text(&line, "stream", viewer->pass.path.text);
    if (seat->messages) {
        cv_line_uint(&line, "messages", seat->messages);
        cv_line_uint(&line, "jumps", seat->cursor.jumps);
        cv_line_uint(&line, "skipped", seat->cursor.skipped);
    }
    cv_line_end(&line);
}

// ---- at the outlet --------------------------------------------------------------------------

static const struct cv_viewer *viewer_of(const struct cv_seat *seat)
{
    return (const struct cv_viewer *)seat;
}

static void on_flush(struct cv_seat *seat)
{
    cv_netconn_flush(viewer_of(seat)->conn);
}

static void on_join(struct cv_seat *seat, struct cv_send_batch *batch)
{
    cv_netconn_join(viewer_of(seat)->conn, batch, seat);
}

static void on_joined(struct cv_seat *seat, const struct cv_send *send)
{
    cv_netconn_joined(viewer_of(seat)->conn, send);
}

static void on_state(struct cv_seat *seat)
{
    struct cv_netconn *conn = viewer_of(seat)->conn;
    cv_seat_on_state(seat);
    cv_netconn_mark(conn);
    cv_netconn_rearm(conn);
}

static void on_prefetch(const struct cv_seat *seat, unsigned step)
{
    cv_netconn_prefetch(viewer_of(seat)->conn, step);
}

// Plain, and inside TLS.
static const struct cv_seat_kind seat_kinds[2] = {
    {
        .flush = on_flush,
        .join = on_join,
        .joined = on_joined,
        .on_state = on_state,
        .prefetch = on_prefetch,
        .steps = CV_SEAT_STEPS_PLAIN,
    },
    {
        .flush = on_flush,
        .join = on_join,
        .joined = on_joined,
        .on_state = on_state,
        .prefetch = on_prefetch,
        .steps = CV_SEAT_STEPS,
    },
};

struct cv_viewer *cv_viewer_new(struct cv_netconn *conn, uint32_t net_stream,
                                const struct cv_path *path, struct cv_policy *policy,
                                const struct cv_config_app *app, const struct cv_position *wanted)
{
    struct cv_viewer *viewer = cv_mem_zero(1, sizeof *viewer);
    if (!viewer)
        return NULL;
    viewer->seat.kind = &seat_kinds[conn->tls != NULL];
    viewer->seat.pass = &viewer->pass;
    viewer->conn = conn;
    viewer->net_stream = net_stream;
    viewer->next_number = CV_LOG_NONE;
    if (wanted) {
        viewer->wants_position = true;
        viewer->returns = wanted->epoch != 0;
        viewer->pass.wanted = *wanted;
    }
    if (cv_seat_take(&viewer->seat, conn->worker, path, policy, app) != CV_OK) {
        cv_mem_free(viewer);
        return NULL;
    }
    on_state(&viewer->seat);
    return viewer;
}

void cv_viewer_free(struct cv_viewer *viewer)
{
    if (!viewer)
        return;
    log_viewer(viewer, "play.end");
    cv_seat_leave(&viewer->seat);
    cv_mem_free(viewer);
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

uint64_t cv_viewer_deadline_us(const struct cv_viewer *viewer)
{
    return cv_seat_deadline_us(&viewer->seat);
}

// ---- media ----------------------------------------------------------------------------------

// The next message has this number, or none. A player counts on by itself, so it hears of it only
// when it would count wrong: at its place in the log, after a jump, and before a message that has
// no number, since what it has counted must never lead it to a wrong place.
static int say_position(struct cv_viewer *viewer)
{
    uint64_t number = cv_seat_last_number(&viewer->seat);
    char epoch[CV_RESUME_EPOCH_CHARS + 1] = "";
    bool known = number != CV_LOG_NONE && viewer->seat.outlet->epoch != 0;
    if (viewer->next_number == (known ? number : CV_LOG_NONE))
        return CV_OK;
    if (known)
        cv_position_print(viewer->seat.outlet->epoch, epoch);
    viewer->next_number = known ? number : CV_LOG_NONE;
    return cv_reply_position(viewer->conn->rtmp, viewer->net_stream, epoch, known ? number : 0);
}

static int send_media(struct cv_viewer *viewer, struct cv_msg *msg)
{
    int err = viewer->wants_position ? say_position(viewer) : CV_OK;
    if (err != CV_OK)
        return err;
    if (viewer->next_number != CV_LOG_NONE)
        viewer->next_number++;
    msg->stream_id = viewer->net_stream;
    return cv_rtmp_send(viewer->conn->rtmp, msg, cv_msg_csid(msg->type));
}

static int fill_media(struct cv_viewer *viewer)
{
    struct cv_rtmp *rtmp = viewer->conn->rtmp;
    struct cv_worker_stats *stats = &viewer->conn->worker->stats;
    struct cv_msg msg;
    while (cv_rtmp_out_count(rtmp) < CV_RUN_MESSAGES && cv_rtmp_out_bytes(rtmp) < CV_RUN_BYTES) {
        if (cv_seat_next(&viewer->seat, &msg) != 1)
            return CV_OK;
        int err = send_media(viewer, &msg);
        if (err != CV_OK)
            return err;
        viewer->seat.messages++;
        stats->messages_out++;
    }
    return 1;
}

// Nothing is to be read for it now: it has asked for that, or its place is not known yet.
static bool is_held(struct cv_viewer *viewer)
{
    if (viewer->returns)
        viewer->returns = !cv_seat_find_place(&viewer->seat);
    return viewer->paused || viewer->returns;
}

int cv_viewer_fill(struct cv_viewer *viewer)
{
    bool live = viewer->seat.outlet->live;
    bool held = is_held(viewer);
    int more = CV_OK;
    // It may be over already, and there is something for those who were here.
    bool missed = viewer->seat.outlet->log->ended && !held && cv_seat_behind(&viewer->seat);
    if (!viewer->live && (live || missed))
        more = say_live(viewer);
    if (more == CV_OK && viewer->started && !held)
        more = fill_media(viewer);
    // Over: but first everything that was published.
    bool all_read = held || !cv_seat_behind(&viewer->seat);
    if (more >= 0 && !live && viewer->live && all_read)
        more = cv_viewer_say_over(viewer);
    return more;
}

// Fill would put nothing but the next entries of the log into the engine.
static bool takes_runs(const struct cv_viewer *viewer, const struct cv_run *run)
{
    const struct cv_seat *seat = &viewer->seat;
    return run->log == seat->outlet->log && seat->outlet->live && cv_viewer_flows(viewer) &&
           !viewer->returns && cv_cursor_is_plain(&seat->cursor, run->log) &&
           cv_rtmp_out_empty(viewer->conn->rtmp);
}

// It counts on by itself.
static bool counts_right(const struct cv_viewer *viewer, const struct cv_run *run)
{
    return !viewer->wants_position ||
           (run->number != CV_LOG_NONE && viewer->next_number == run->number);
}

bool cv_viewer_run(struct cv_viewer *viewer)
{
    struct cv_run *run = &viewer->conn->worker->run;
    if (!takes_runs(viewer, run))
        return false;
    struct cv_run_place place = {.from = viewer->seat.cursor.seq,
                                 .stream_id = viewer->net_stream,
                                 .chunk_bytes = cv_rtmp_out_chunk_bytes(viewer->conn->rtmp)};
    if (!cv_run_move(run, &place) || !counts_right(viewer, run))
        return false;
    viewer->run_to = run->to;
    return true;
}

void cv_viewer_took_run(struct cv_viewer *viewer, size_t len)
{
    uint64_t count = viewer->run_to - viewer->seat.cursor.seq;
    cv_cursor_pass(&viewer->seat.cursor, viewer->run_to);
    cv_rtmp_sent_beside(viewer->conn->rtmp, len);
    if (viewer->wants_position)
        viewer->next_number += count;
    viewer->seat.messages += count;
    viewer->conn->worker->stats.messages_out += count;
}

bool cv_viewer_flows(const struct cv_viewer *viewer)
{
    return viewer->started && viewer->live && !viewer->paused;
}

void cv_viewer_pause(struct cv_viewer *viewer, bool paused)
{
    if (viewer->paused && !paused)
        cv_cursor_rejoin(&viewer->seat.cursor);
    viewer->paused = paused;
}

void cv_viewer_receive_audio(struct cv_viewer *viewer, bool on)
{
    cv_cursor_receive_audio(&viewer->seat.cursor, on);
}

void cv_viewer_receive_video(struct cv_viewer *viewer, bool on)
{
    cv_cursor_receive_video(&viewer->seat.cursor, on);
}
