#include "io/reader.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/loop_uv.h"
#include "io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum kind {
    KIND_FILE,   // has places: pread on a helper thread
    KIND_PIPE,   // is watched
    KIND_DEVICE, // neither: read on a helper thread
};

struct cv_reader {
    struct cv_loop *loop;
    cv_reader_fn *fn; // NULL: closed
    void *arg;
    enum kind kind;
    int fd;
    int flags;      // of the descriptor, before the watch has changed them; others may share it
    bool wanted;    //
    bool running;   // a helper thread has buffer and request
    int64_t offset; // files: of the next block
    struct cv_watch watch;
    uv_fs_t request;
    char buffer[CV_READER_BYTES];
};

static void reader_free(void *arg)
{
    struct cv_reader *reader = arg;
    close(reader->fd);
    cv_mem_free(reader);
}

static void tell(struct cv_reader *reader, int code, size_t len)
{
    reader->wanted = false;
    reader->fn(reader->arg, code, reader->buffer, len);
}

// ---- pipes ----------------------------------------------------------------------------------

static void on_readable(void *arg, unsigned events)
{
    struct cv_reader *reader = arg;
    (void)events;
    ssize_t len = read(reader->fd, reader->buffer, sizeof reader->buffer);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    cv_watch_set(&reader->watch, 0);
    tell(reader, len < 0 ? CV_E_SYSTEM : CV_OK, len < 0 ? 0 : (size_t)len);
}

// ---- files ----------------------------------------------------------------------------------

static void on_read(uv_fs_t *request)
{
    struct cv_reader *reader = request->data;
    ssize_t len = request->result;
    cv__loop_enter(reader->loop);
    uv_fs_req_cleanup(request);
    reader->running = false;
    if (!reader->fn) {
        reader_free(reader);
        return;
    }
    if (len < 0) {
        errno = (int)-len;
        tell(reader, CV_E_SYSTEM, 0);
        return;
    }
    reader->offset += len;
    tell(reader, CV_OK, (size_t)len);
}

static void start_read(struct cv_reader *reader)
{
    uv_buf_t buffer = uv_buf_init(reader->buffer, sizeof reader->buffer);
    int64_t offset = reader->kind == KIND_FILE ? reader->offset : -1;
    reader->request.data = reader;
    reader->running = true;
    int failed = uv_fs_read(cv__loop_uv(reader->loop), &reader->request, reader->fd, &buffer, 1,
                            offset, on_read);
    CV_ASSERT(!failed); // fails only for want of memory for many buffers
}

// ---- both -----------------------------------------------------------------------------------

static enum kind kind_of(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || S_ISREG(stat.st_mode))
        return KIND_FILE;
    return S_ISFIFO(stat.st_mode) || S_ISSOCK(stat.st_mode) ? KIND_PIPE : KIND_DEVICE;
}

struct cv_reader *cv_reader_new(struct cv_loop *loop, int fd, cv_reader_fn *fn, void *arg)
{
    struct cv_reader *reader = cv_mem_zero(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->loop = loop;
    reader->fn = fn;
    reader->arg = arg;
    reader->fd = fd;
    reader->kind = kind_of(fd);
    reader->flags = fcntl(fd, F_GETFL);
    if (reader->kind == KIND_PIPE &&
        cv_watch_start(&reader->watch, loop, fd, 0, on_readable, reader) != CV_OK)
        reader->kind = KIND_DEVICE;
    return reader;
}

bool cv_reader_is_file(const struct cv_reader *reader)
{
    return reader->kind == KIND_FILE;
}

void cv_reader_want(struct cv_reader *reader)
{
    CV_ASSERT(!reader->wanted && reader->fn);
    reader->wanted = true;
    if (reader->kind == KIND_PIPE)
        cv_watch_set(&reader->watch, CV_WATCH_READ);
    else
        start_read(reader);
}

void cv_reader_rewind(struct cv_reader *reader)
{
    CV_ASSERT(reader->kind == KIND_FILE && !reader->wanted);
    reader->offset = 0;
}

void cv_reader_close(struct cv_reader **place)
{
    struct cv_reader *reader = *place;
    *place = NULL;
    if (!reader)
        return;
    reader->fn = NULL;
    if (reader->running) {
        uv_cancel((uv_req_t *)&reader->request); // if it runs already, it ends by itself
    } else if (reader->kind == KIND_PIPE) {
        fcntl(reader->fd, F_SETFL, reader->flags);
        cv_watch_close(&reader->watch, reader_free, reader);
    } else {
        reader_free(reader);
    }
}
