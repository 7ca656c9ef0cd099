#include "server/flv_viewer.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/conn.h"
#include "server/outlet.h"
#include "server/seat.h"
#include "server/worker.h"

enum {
    // As for RTMP (server/viewer.c, server/plain.c).
    FILL_MESSAGES = 128,
    FILL_BYTES = 128 * 1024,
    FLUSH_BYTES = 1024 * 1024,
    PING_S = 25,        // a WebSocket's: proxies close what is silent for a minute
    DRAIN_S = 5,        // for last words to leave
    LINGER_S = 2,       // for the client to read them
    ENGINE_BYTES = 512, // behind what all seats have: what a flush touches
};

enum phase {
    OPENING, // somebody else has the connection
    OPEN,
    DRAIN,  // what waits is sent
    LINGER, // our side is closed; what comes is read away
};

struct cv_flv_viewer {
    struct cv_seat seat;  // first
    struct cv_conn *conn; // owned unless OPENING
    enum phase phase;
    bool blocked; // the socket takes no more for now
    bool doomed;  // its timer frees it
    bool live;    // somebody publishes, or did
    bool over;    // and no longer does: what comes behind end_seq is another stream
    bool begun;   // the file header has been made
    struct cv_flv_out out;
    struct cv_flv_framing framing;
    struct cv_flv_view view;
    uint64_t end_seq;
    struct cv_block *head; // leaves first; NULL: there is none any more
    size_t head_sent;
    uint64_t progress_us; // when bytes last went out, or had to begin waiting
    // The rest.
    struct cv_pass pass;
    struct cv_timer timer; // at the earliest deadline, or before it
    const struct cv_flv_host *host;
    void *host_arg;
    bool plain;
    bool head_only;
    uint64_t phase_us;  // when the phase began
    uint64_t tracks_us; // until when it waits for a second track; 0: not yet known
    bool tracks_waited; // that time is over
    uint64_t ping_us;   // when a WebSocket is pinged next
    size_t came_bytes;  // from the client, without a use
    int doom_code;
    const char *doom_place;
    enum cv_ws_code close_code; // with which the stream's end is told
    const char *close_reason;
    struct cv_flv_viewer *prev, *next; // in the worker's list, unless OPENING
};

static struct cv_flv_viewer *viewer_of(struct cv_seat *seat)
{
    return (struct cv_flv_viewer *)seat;
}

static struct cv_worker *worker_of(const struct cv_flv_viewer *viewer)
{
    return viewer->seat.outlet->worker;
}

static uint64_t now_us(const struct cv_flv_viewer *viewer)
{
    return cv_loop_now_us(worker_of(viewer)->loop);
}

static void log_viewer(const struct cv_flv_viewer *viewer, const char *event)
{
    static const char *const names[] = {"http-flv", "http-flv", "ws-flv"};
    const struct cv_seat *seat = &viewer->seat;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, event);
    cv_conn_log_fields(viewer->conn, &line);
    cv_line_text(&line, "stream", viewer->pass.path.text);
    cv_line_text(&line, "by", names[viewer->framing.kind]);
    if (seat->messages) {
        cv_line_uint(&line, "messages", seat->messages);
        cv_line_uint(&line, "jumps", seat->cursor.jumps);
        cv_line_uint(&line, "skipped", seat->cursor.skipped);
    }
    if (viewer->doom_code != CV_OK) {
        cv_line_err(&line, viewer->doom_code);
        cv_line_text(&line, "place", viewer->doom_place);
    }
    cv_line_end(&line);
}

// ---- ending ---------------------------------------------------------------------------------

void cv_flv_viewer_free(struct cv_flv_viewer *viewer)
{
    if (viewer->phase != OPENING) {
        if (viewer->live && !viewer->head_only)
            log_viewer(viewer, "play.end");
        DL_DELETE(worker_of(viewer)->flv_viewers, viewer);
        cv_conn_free(viewer->conn);
    }
    cv_timer_stop(&viewer->timer);
    cv_seat_leave(&viewer->seat);
    cv_flv_out_done(&viewer->out);
    cv_flv_framing_done(&viewer->framing);
    cv_block_unref(&viewer->head);
    cv_mem_free(viewer);
}

// Ends it in a moment, by its timer: lists can be walked while viewers fail.
static void doom(struct cv_flv_viewer *viewer, int code, const char *place)
{
    if (viewer->doomed)
        return;
    viewer->doomed = true;
    viewer->doom_code = code;
    viewer->doom_place = place;
    if (viewer->phase != OPENING)
        cv_conn_want(viewer->conn, false, false);
    cv_timer_start(&viewer->timer, 0);
}

void cv_flv_viewer_drop(struct cv_flv_viewer *viewer)
{
    CV_ASSERT(viewer->phase == OPENING);
    viewer->host = NULL;
    doom(viewer, CV_OK, "opening");
}

void cv_flv_viewers_free(struct cv_worker *worker)
{
    while (worker->flv_viewers)
        cv_flv_viewer_free(worker->flv_viewers);
}

// ---- deadlines ------------------------------------------------------------------------------

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t stall_deadline_us(const struct cv_flv_viewer *viewer)
{
    if (!viewer->blocked)
        return UINT64_MAX;
    return viewer->progress_us +
           viewer->pass.policy->config->limits.write_stall_s * UINT64_C(1000000);
}

static uint64_t wait_deadline_us(const struct cv_flv_viewer *viewer)
{
    return viewer->live ? UINT64_MAX : cv_seat_deadline_us(&viewer->seat);
}

static uint64_t tracks_deadline_us(const struct cv_flv_viewer *viewer)
{
    return viewer->tracks_us && !viewer->tracks_waited ? viewer->tracks_us : UINT64_MAX;
}

static uint64_t ping_deadline_us(const struct cv_flv_viewer *viewer)
{
    return viewer->framing.kind == CV_FLV_WEBSOCKET ? viewer->ping_us : UINT64_MAX;
}

static uint64_t deadline_us(const struct cv_flv_viewer *viewer)
{
    switch (viewer->phase) {
    case OPENING:
        return viewer->host ? wait_deadline_us(viewer) : UINT64_MAX;
    case OPEN: {
        uint64_t first_us = min_u64(stall_deadline_us(viewer), wait_deadline_us(viewer));
        first_us = min_u64(first_us, tracks_deadline_us(viewer));
        return min_u64(first_us, ping_deadline_us(viewer));
    }
    case DRAIN:
        return viewer->phase_us + DRAIN_S * UINT64_C(1000000);
    case LINGER:
        return viewer->phase_us + LINGER_S * UINT64_C(1000000);
    }
    CV_UNREACHABLE();
}

static void rearm(struct cv_flv_viewer *viewer)
{
    uint64_t deadline = deadline_us(viewer);
    if (viewer->doomed)
        return;
    if (deadline == UINT64_MAX)
        cv_timer_stop(&viewer->timer);
    else
        cv_timer_start_at(&viewer->timer, deadline);
}

static void enter_phase(struct cv_flv_viewer *viewer, enum phase phase)
{
    viewer->phase = phase;
    viewer->phase_us = now_us(viewer);
    rearm(viewer);
}

// What waits is sent, then the end is told, each framing's way.
static void finish(struct cv_flv_viewer *viewer, enum cv_ws_code code, const char *reason)
{
    if (viewer->phase != OPEN)
        return;
    cv_flv_framing_end(&viewer->framing, code, reason);
    enter_phase(viewer, DRAIN);
}

// ---- media ----------------------------------------------------------------------------------

// Players believe the file header: it tells which tracks there are, so they must be known.
static bool tracks_are_known(struct cv_flv_viewer *viewer)
{
    const struct cv_outlet *outlet = viewer->seat.outlet;
    if (viewer->over || viewer->tracks_waited || cv_flv_tracks_known(outlet->log))
        return true;
    if (viewer->tracks_us)
        return false;
    viewer->tracks_us = now_us(viewer) + CV_FLV_TRACKS_MS * UINT64_C(1000);
    rearm(viewer);
    return false;
}

static void begin(struct cv_flv_viewer *viewer)
{
    const struct cv_stream_log *log = viewer->seat.outlet->log;
    if (!cv_seat_behind(&viewer->seat) || !tracks_are_known(viewer))
        return;
    size_t largest = viewer->pass.policy->config->limits.media_message_bytes_max;
    viewer->view = cv_flv_view_new(log, viewer->plain);
    cv_flv_out_init(&viewer->out, &viewer->view, (size_t)CV_LIMIT_OUT_BYTES + largest);
    viewer->begun = true;
}

static int push(struct cv_flv_viewer *viewer, const struct cv_msg *msg)
{
    struct cv_flv_tag tag;
    int more = cv_flv_view_tag(&viewer->view, msg, &tag);
    if (more <= 0)
        return more;
    int err = cv_flv_out_push(&viewer->out, &tag);
    if (err != CV_OK) {
        cv_block_unref(&tag.payload);
        return err;
    }
    viewer->seat.messages++;
    worker_of(viewer)->stats.messages_out++;
    return CV_OK;
}

// 1: there is more; 0: that was all; or an error.
static int fill_media(struct cv_flv_viewer *viewer)
{
    const struct cv_flv_out *out = &viewer->out;
    struct cv_msg msg;
    while (out->count < FILL_MESSAGES && out->bytes < FILL_BYTES) {
        bool read = viewer->over && viewer->seat.cursor.seq >= viewer->end_seq;
        if (read || cv_seat_next(&viewer->seat, &msg) != 1)
            return 0;
        int err = push(viewer, &msg);
        if (err != CV_OK)
            return err;
    }
    return 1;
}

static int fill(struct cv_flv_viewer *viewer)
{
    if (viewer->phase != OPEN || !viewer->live)
        return 0;
    if (!viewer->begun)
        begin(viewer);
    int more = viewer->begun ? fill_media(viewer) : 0;
    // Over: but first everything that was published.
    if (more == 0 && viewer->over && cv_flv_out_empty(&viewer->out))
        finish(viewer, viewer->close_code, viewer->close_reason);
    return more;
}

// ---- sending --------------------------------------------------------------------------------

static bool is_all_sent(const struct cv_flv_viewer *viewer)
{
    return !viewer->head && cv_flv_framing_out_empty(&viewer->framing, &viewer->out);
}

static void pull(struct cv_flv_viewer *viewer, struct cv_gather *gather)
{
    const struct cv_block *head = viewer->head;
    cv_gather_clear(gather);
    if (head)
        cv_gather_borrow(gather, head->data + viewer->head_sent, head->len - viewer->head_sent);
    cv_flv_framing_pull(&viewer->framing, &viewer->out, gather);
}

static void sent(struct cv_flv_viewer *viewer, size_t len)
{
    size_t head_left = viewer->head ? viewer->head->len - viewer->head_sent : 0;
    size_t of_head = min_u64(len, head_left);
    viewer->head_sent += of_head;
    if (of_head == head_left)
        cv_block_unref(&viewer->head);
    cv_flv_framing_sent(&viewer->framing, &viewer->out, len - of_head);
    viewer->progress_us = now_us(viewer);
}

// What one write would carry is in the gather: its bytes, 0 when nothing waits, or an error.
static int prepare(struct cv_flv_viewer *viewer, bool *more)
{
    struct cv_gather *gather = &worker_of(viewer)->gather;
    int filled = fill(viewer);
    *more = filled > 0;
    if (filled < 0)
        return filled;
    pull(viewer, gather);
    return (int)gather->bytes;
}

// Behind a write of `offered` bytes. Bytes that left, or CV_E_AGAIN when the socket is full.
static int settle(struct cv_flv_viewer *viewer, size_t offered, int len, bool *more)
{
    if (len <= 0)
        return len;
    sent(viewer, (size_t)len);
    *more |= !is_all_sent(viewer) || (viewer->over && viewer->phase == OPEN);
    return (size_t)len < offered ? CV_E_AGAIN : len;
}

// One write. Bytes that left, 0 when nothing waits, CV_E_AGAIN when the socket is full.
static int write_once(struct cv_flv_viewer *viewer, bool *more)
{
    int waits = prepare(viewer, more);
    if (waits <= 0)
        return waits;
    int len = cv_conn_write(viewer->conn, &worker_of(viewer)->gather);
    return settle(viewer, (size_t)waits, len, more);
}

static void block(struct cv_flv_viewer *viewer)
{
    viewer->blocked = true;
    viewer->progress_us = now_us(viewer);
    cv_conn_want(viewer->conn, true, true);
    rearm(viewer);
}

static void after_drain(struct cv_flv_viewer *viewer)
{
    if (viewer->phase != DRAIN || !is_all_sent(viewer))
        return;
    cv_conn_shutdown(viewer->conn);
    enter_phase(viewer, LINGER);
}

static bool can_flush(const struct cv_flv_viewer *viewer)
{
    bool open = viewer->phase == OPEN || viewer->phase == DRAIN;
    return open && !viewer->blocked && !viewer->doomed;
}

// Behind a first write with this result: one gathered write, more only while it flows.
static void go_on(struct cv_flv_viewer *viewer, int len, bool more)
{
    size_t total = len > 0 ? (size_t)len : 0;
    while (len > 0 && more && total < FLUSH_BYTES) {
        len = write_once(viewer, &more);
        total += len > 0 ? (size_t)len : 0;
    }
    worker_of(viewer)->stats.flushes += total > 0;
    if (len == CV_E_AGAIN || (len > 0 && more))
        block(viewer); // the rest when it can be written, which may be at once
    else if (len < 0)
        doom(viewer, len, "write");
    else
        after_drain(viewer);
}

static void flush(struct cv_flv_viewer *viewer)
{
    bool more;
    if (!can_flush(viewer))
        return;
    int len = write_once(viewer, &more);
    go_on(viewer, len, more);
}

// ---- at the outlet --------------------------------------------------------------------------

static void on_flush(struct cv_seat *seat)
{
    flush(viewer_of(seat));
}

static void on_join(struct cv_seat *seat, struct cv_send_batch *batch)
{
    struct cv_flv_viewer *viewer = viewer_of(seat);
    bool more;
    if (!can_flush(viewer))
        return;
    if (!cv_conn_can_join(viewer->conn)) {
        flush(viewer);
        return;
    }
    int waits = prepare(viewer, &more);
    if (waits > 0)
        cv_conn_join(viewer->conn, &worker_of(viewer)->gather, batch, seat, more);
    else
        go_on(viewer, waits, more);
}

static void on_joined(struct cv_seat *seat, const struct cv_send *send)
{
    struct cv_flv_viewer *viewer = viewer_of(seat);
    bool more = send->more;
    int len = settle(viewer, send->bytes, cv_conn_joined(viewer->conn, send), &more);
    go_on(viewer, len, more);
}

static void set_over(struct cv_flv_viewer *viewer, enum cv_ws_code code, const char *reason)
{
    viewer->over = true;
    viewer->end_seq = viewer->seat.outlet->log->head;
    viewer->close_code = code;
    viewer->close_reason = reason;
}

static void set_live(struct cv_flv_viewer *viewer)
{
    viewer->live = true;
    if (viewer->phase == OPENING && viewer->host && !viewer->doomed)
        viewer->host->live(viewer->host_arg);
    else if (viewer->phase == OPEN)
        log_viewer(viewer, "play.start");
}

static void on_state(struct cv_seat *seat)
{
    struct cv_flv_viewer *viewer = viewer_of(seat);
    bool live = seat->outlet->live;
    cv_seat_on_state(seat);
    if (live && !viewer->live)
        set_live(viewer);
    else if (!live && viewer->phase == OPENING)
        viewer->live = false; // missed it: waits for the next one
    else if (!live && viewer->live && !viewer->over)
        set_over(viewer, CV_WS_NORMAL, "the stream has ended");
    rearm(viewer);
}

static void on_prefetch(const struct cv_seat *seat, unsigned step)
{
    const struct cv_flv_viewer *viewer = (const struct cv_flv_viewer *)seat;
    if (step == 0) {
        cv_prefetch((const char *)seat + CV_SEAT_HOT_BYTES, ENGINE_BYTES);
        return;
    }
    if (step == 1)
        cv_prefetch(viewer->out.ring, sizeof *viewer->out.ring);
    if (viewer->phase != OPENING)
        cv_conn_prefetch(viewer->conn, step - 1);
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

// ---- its timer ------------------------------------------------------------------------------

static void on_deadline(struct cv_flv_viewer *viewer, uint64_t now)
{
    if (viewer->phase == OPENING) {
        viewer->host->over(viewer->host_arg);
        return;
    }
    if (viewer->phase != OPEN) {
        doom(viewer, CV_OK, "finish");
        return;
    }
    if (stall_deadline_us(viewer) <= now) {
        doom(viewer, CV_E_TIMEOUT, "write stall");
        return;
    }
    if (ping_deadline_us(viewer) <= now) {
        viewer->ping_us = now + PING_S * UINT64_C(1000000);
        cv_ws_ping(viewer->framing.ws);
    }
    viewer->tracks_waited |= tracks_deadline_us(viewer) <= now;
    if (wait_deadline_us(viewer) <= now)
        finish(viewer, CV_WS_TRY_LATER, "nobody publishes this stream");
    rearm(viewer);
    flush(viewer);
}

// The timer may be early: deadlines move with every byte, the timer only when it fires.
static void on_timer(void *arg)
{
    struct cv_flv_viewer *viewer = arg;
    uint64_t now = now_us(viewer);
    if (viewer->doomed)
        cv_flv_viewer_free(viewer);
    else if (deadline_us(viewer) > now)
        rearm(viewer);
    else
        on_deadline(viewer, now);
}

// ---- the TCP connection's side --------------------------------------------------------------

// A player has nothing more to say; what it says all the same costs us reading it.
static void on_useless(struct cv_flv_viewer *viewer, size_t len)
{
    viewer->came_bytes += len;
    if (viewer->came_bytes <= CV_LIMIT_HTTP_DISCARD_BYTES)
        return;
    if (viewer->framing.kind == CV_FLV_WEBSOCKET)
        finish(viewer, CV_WS_TOO_BIG, "too much");
    else
        doom(viewer, CV_E_TOO_LONG, "the client says too much");
}

static void on_frame(struct cv_flv_viewer *viewer, const struct cv_ws_event *event)
{
    if (event->type == CV_WS_CLOSE)
        finish(viewer, CV_WS_NORMAL, NULL); // the engine has answered
    else if (event->type == CV_WS_DATA && event->text)
        finish(viewer, CV_WS_UNSUPPORTED, "text is not understood here");
    else if (event->type == CV_WS_DATA)
        on_useless(viewer, event->len);
}

static void take_frames(struct cv_flv_viewer *viewer, const uint8_t *data, size_t len)
{
    struct cv_ws_event event;
    int more;
    cv_ws_feed(viewer->framing.ws, data, len);
    while ((more = cv_ws_next(viewer->framing.ws, &event)) == 1)
        on_frame(viewer, &event);
    if (more < 0)
        finish(viewer, CV_WS_PROTOCOL_ERROR, NULL); // the engine has said it better
    flush(viewer);                                  // pongs
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_flv_viewer *viewer = arg;
    if (viewer->phase == LINGER || viewer->doomed)
        return;
    if (viewer->framing.kind == CV_FLV_WEBSOCKET)
        take_frames(viewer, data, len);
    else
        on_useless(viewer, len);
}

static void on_ended(void *arg, int code)
{
    struct cv_flv_viewer *viewer = arg;
    doom(viewer, viewer->phase == OPEN ? code : CV_OK, "read");
}

static void on_writable(void *arg)
{
    struct cv_flv_viewer *viewer = arg;
    if (viewer->doomed || !viewer->blocked)
        return;
    viewer->blocked = false;
    cv_conn_want(viewer->conn, true, false);
    rearm(viewer);
    flush(viewer);
}

// The stream's end is told in good order; the worker ends when all have gone, or in a while.
static void on_stop(void *arg)
{
    struct cv_flv_viewer *viewer = arg;
    if (!viewer->live)
        finish(viewer, CV_WS_GOING_AWAY, "the server stops");
    else if (!viewer->over)
        set_over(viewer, CV_WS_GOING_AWAY, "the server stops");
    flush(viewer);
}

static const struct cv_conn_user viewer_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

// ---- beginning ------------------------------------------------------------------------------

struct cv_flv_viewer *cv_flv_viewer_new(struct cv_conn *conn, const struct cv_flv_setup *setup)
{
    struct cv_worker *worker = conn->worker;
    struct cv_flv_viewer *viewer = cv_mem_zero(1, sizeof *viewer);
    if (!viewer)
        return NULL;
    viewer->seat.kind = &seat_kinds[cv_conn_is_secure(conn)];
    viewer->seat.pass = &viewer->pass;
    viewer->conn = conn;
    viewer->phase = OPENING;
    viewer->plain = setup->plain;
    viewer->head_only = setup->head_only;
    viewer->out.file_header_sent = CV_FLV_HEADER_BYTES; // nothing waits
    if (cv_flv_framing_init(&viewer->framing, setup->framing) != CV_OK ||
        cv_seat_take(&viewer->seat, worker, setup->path, setup->policy, setup->app) != CV_OK) {
        cv_flv_framing_done(&viewer->framing);
        cv_mem_free(viewer);
        return NULL;
    }
    cv_timer_init(&viewer->timer, worker->loop, on_timer, viewer);
    cv_seat_on_state(&viewer->seat);
    viewer->live = viewer->seat.outlet->live;
    return viewer;
}

void cv_flv_viewer_wait(struct cv_flv_viewer *viewer, const struct cv_flv_host *host, void *arg)
{
    viewer->host = host;
    viewer->host_arg = arg;
    rearm(viewer);
}

bool cv_flv_viewer_is_live(const struct cv_flv_viewer *viewer)
{
    return viewer->live;
}

void cv_flv_viewer_open(struct cv_flv_viewer *viewer, struct cv_block *head, const uint8_t *data,
                        size_t len)
{
    CV_ASSERT(viewer->phase == OPENING && !viewer->doomed);
    DL_APPEND(worker_of(viewer)->flv_viewers, viewer);
    viewer->head = head;
    viewer->ping_us = now_us(viewer) + PING_S * UINT64_C(1000000);
    enter_phase(viewer, OPEN);
    cv_conn_want(viewer->conn, true, false);
    if (viewer->head_only)
        finish(viewer, CV_WS_NORMAL, NULL);
    else if (viewer->live)
        log_viewer(viewer, "play.start");
    cv_conn_hand_over(viewer->conn, &viewer_user, viewer, data, len);
    flush(viewer);
}
