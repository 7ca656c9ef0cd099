#include "cli/sink.h"

#include "base/check.h"
#include "base/gather.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/watch.h"
#include "media/cursor.h"
#include "media/flv_out.h"
#include "media/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILL_BYTES = 256 * 1024 }; // taken out of the log at a time: what has left it is not skipped

static const char place[] = "output";

struct cv_sink {
    struct cv_loop *loop;
    const char *path;
    cv_sink_end_fn *on_end;
    void *arg;
    int fd;
    int flags;             // of the descriptor, before the watch has changed them
    bool watched;          // a pipe: never waited for
    struct cv_watch watch; //
    struct cv_timer timer; // for the end
    struct cv_stream_log log;
    struct cv_intake intake; // into the log
    struct cv_cursor cursor;
    struct cv_flv_view view;
    struct cv_flv_out out;
    bool begun;    // view and out are there
    bool finished; // nothing more comes
    bool ended;
    struct cv_why why;
    struct cv_gather gather;
};

// ---- the end --------------------------------------------------------------------------------

// By the timer, so that on_end is never called inside anything.
static void end(struct cv_sink *sink, int code, const char *what)
{
    if (sink->ended)
        return;
    sink->ended = true;
    if (sink->watched)
        cv_watch_set(&sink->watch, 0);
    if (code != CV_OK)
        cv_why_set(&sink->why, code, place, "%.80s: %.70s", sink->path, what);
    cv_timer_start(&sink->timer, 0);
}

static void on_timer(void *arg)
{
    struct cv_sink *sink = arg;
    sink->on_end(sink->arg, sink->why.code, &sink->why);
}

// ---- writing --------------------------------------------------------------------------------

// The file header names the tracks: so it waits until they are known.
static bool begin(struct cv_sink *sink)
{
    bool known = sink->finished || cv_flv_tracks_known(&sink->log);
    if (!known || !cv_cursor_behind(&sink->cursor, &sink->log))
        return false;
    sink->view = cv_flv_view_new(&sink->log, true);
    cv_flv_out_init(&sink->out, &sink->view, (size_t)CV_LIMIT_OUT_BYTES + CV_LIMIT_MEDIA_BYTES);
    sink->begun = true;
    bool ours = sink->fd != STDOUT_FILENO;
    if (ours && !sink->watched && ftruncate(sink->fd, 0) != 0)
        return true; // a device: nothing there to be cut off
    return true;
}

// From the log into the queue. False: no memory.
static bool fill(struct cv_sink *sink)
{
    struct cv_flv_tag tag;
    struct cv_msg msg;
    while (sink->out.bytes < FILL_BYTES && cv_cursor_next(&sink->cursor, &sink->log, &msg) > 0) {
        int more = cv_flv_view_tag(&sink->view, &msg, &tag);
        if (more < 0)
            return false;
        if (more == 0)
            continue;
        if (cv_flv_out_push(&sink->out, &tag) != CV_OK) {
            cv_block_unref(&tag.payload);
            return false;
        }
    }
    return true;
}

// True: go on. False: nothing is left, the pipe is full, or it has ended.
static bool write_once(struct cv_sink *sink)
{
    if (!fill(sink)) {
        end(sink, CV_E_NOMEM, "no memory");
        return false;
    }
    cv_gather_clear(&sink->gather);
    cv_flv_out_pull(&sink->out, &sink->gather);
    if (sink->gather.count == 0)
        return false;
    ssize_t sent = writev(sink->fd, sink->gather.vectors, sink->gather.count);
    if (sent >= 0) {
        cv_flv_out_sent(&sink->out, (size_t)sent);
        return true;
    }
    if (errno == EINTR)
        return true;
    if (errno == EAGAIN && sink->watched)
        cv_watch_set(&sink->watch, CV_WATCH_WRITE);
    else
        end(sink, errno == EPIPE ? CV_E_CLOSED : CV_E_SYSTEM, strerror(errno));
    return false;
}

static void flush(struct cv_sink *sink)
{
    if (sink->ended || (!sink->begun && !begin(sink))) {
        if (sink->finished && !sink->begun)
            end(sink, CV_OK, "");
        return;
    }
    while (write_once(sink))
        ;
    if (sink->finished && cv_flv_out_empty(&sink->out))
        end(sink, CV_OK, "");
}

static void on_writable(void *arg, unsigned events)
{
    struct cv_sink *sink = arg;
    (void)events;
    cv_watch_set(&sink->watch, 0);
    flush(sink);
}

// ---- taking ---------------------------------------------------------------------------------

void cv_sink_resumed(struct cv_sink *sink)
{
    cv_intake_resumed(&sink->intake);
}

void cv_sink_put(struct cv_sink *sink, const struct cv_msg *msg)
{
    CV_ASSERT(!sink->finished);
    if (sink->ended)
        return;
    if (cv_intake_put(&sink->intake, msg) < 0)
        end(sink, CV_E_NOMEM, "no memory");
    else if (!sink->watched || sink->watch.events == 0)
        flush(sink);
}

void cv_sink_finish(struct cv_sink *sink)
{
    sink->finished = true;
    if (!sink->watched || sink->watch.events == 0)
        flush(sink);
}

uint64_t cv_sink_time_ms(const struct cv_sink *sink)
{
    return sink->view.elapsed_ms > 0 ? (uint64_t)sink->view.elapsed_ms : 0;
}

uint64_t cv_sink_skipped(const struct cv_sink *sink)
{
    return sink->cursor.skipped;
}

// ---- life -----------------------------------------------------------------------------------

static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? -1 : STDOUT_FILENO;
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
}

static const char *name_of(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard output" : path;
}

int cv_sink_descriptor(int *out_fd, const char *path, struct cv_why *why)
{
    int fd = open_path(path);
    if (fd < 0)
        return cv_why_set(why, CV_E_SYSTEM, place, "%.80s: %.70s", name_of(path), strerror(errno));
    *out_fd = fd;
    return CV_OK;
}

struct cv_sink *cv_sink_new(struct cv_loop *loop, int fd, const char *path, cv_sink_end_fn *on_end,
                            void *arg)
{
    struct cv_sink *sink = cv_mem_zero(1, sizeof *sink);
    if (!sink) {
        if (fd != STDOUT_FILENO)
            close(fd);
        return NULL;
    }
    sink->fd = fd;
    sink->loop = loop;
    sink->path = name_of(path);
    sink->on_end = on_end;
    sink->arg = arg;
    sink->flags = fcntl(sink->fd, F_GETFL);
    sink->watched =
        cv_watch_start(&sink->watch, loop, sink->fd, 0, on_writable, sink) == CV_OK; // no file
    cv_timer_init(&sink->timer, loop, on_timer, sink);
    cv_stream_log_init(&sink->log, &(struct cv_log_limits){.bytes_max = CV_LOG_BYTES_MAX,
                                                           .ms_max = CV_PLAY_BEHIND_MS,
                                                           .gop_ms_max = CV_LOG_GOP_MS_MAX,
                                                           .gop_cache = true});
    sink->intake = cv_intake_new(&sink->log);
    sink->cursor = cv_cursor_new();
    cv_cursor_wait(&sink->cursor, &sink->log);
    return sink;
}

static void sink_done(void *arg)
{
    struct cv_sink *sink = arg;
    if (sink->fd != STDOUT_FILENO)
        close(sink->fd);
    if (sink->begun)
        cv_flv_out_done(&sink->out);
    cv_stream_log_done(&sink->log);
    cv_mem_free(sink);
}

void cv_sink_free(struct cv_sink **place_of_sink)
{
    struct cv_sink *sink = *place_of_sink;
    *place_of_sink = NULL;
    if (!sink)
        return;
    cv_timer_stop(&sink->timer);
    if (!sink->watched) {
        sink_done(sink);
        return;
    }
    fcntl(sink->fd, F_SETFL, sink->flags);
    cv_watch_close(&sink->watch, sink_done, sink);
}
