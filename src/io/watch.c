#include "io/watch.h"

#include "base/check.h"
#include "base/err.h"
#include "io/loop.h"
#include "io/loop_uv.h"

#include <uv.h>

_Static_assert(sizeof(uv_poll_t) <= sizeof(((struct cv_watch *)0)->storage),
               "storage is too small");
_Static_assert((int)CV_WATCH_READ == (int)UV_READABLE && (int)CV_WATCH_WRITE == (int)UV_WRITABLE,
               "events are passed as they are");

static uv_poll_t *watch_handle(struct cv_watch *watch)
{
    return (uv_poll_t *)(void *)watch->storage;
}

static void on_uv_poll(uv_poll_t *handle, int status, int events)
{
    struct cv_watch *watch = handle->data;
    cv__loop_enter(watch->loop);
    unsigned got = (unsigned)events & watch->events;
    if (status < 0) {
        // uv has stopped polling. Go on, so that the owner sees one behaviour: the next read or
        // write meets the error itself.
        uv_poll_start(handle, (int)watch->events, on_uv_poll);
        got = watch->events;
    }
    if (got)
        watch->fn(watch->arg, got);
}

int cv_watch_start(struct cv_watch *watch, struct cv_loop *loop, int fd, unsigned events,
                   void (*fn)(void *arg, unsigned events), void *arg)
{
    cv_loop_assert_owner(loop);
    CV_ASSERT(!watch->loop);
    uv_poll_t *handle = watch_handle(watch);
    if (uv_poll_init(cv__loop_uv(loop), handle, fd))
        return CV_E_SYSTEM;
    handle->data = watch;
    watch->loop = loop;
    watch->fd = fd;
    watch->fn = fn;
    watch->arg = arg;
    watch->events = 0;
    watch->closing = false;
    cv_watch_set(watch, events);
    return CV_OK;
}

void cv_watch_set(struct cv_watch *watch, unsigned events)
{
    CV_ASSERT(cv_watch_is_open(watch));
    CV_ASSERT((events & ~(unsigned)(CV_WATCH_READ | CV_WATCH_WRITE)) == 0);
    if (events == watch->events)
        return;
    cv_loop_assert_owner(watch->loop);
    watch->events = events;
    int failed = uv_poll_start(watch_handle(watch), (int)events, on_uv_poll);
    CV_ASSERT(!failed); // fails only for a descriptor that has two watches
}

bool cv_watch_is_open(const struct cv_watch *watch)
{
    return watch->loop && !watch->closing;
}

static void on_uv_closed(uv_handle_t *handle)
{
    struct cv_watch *watch = handle->data;
    cv__loop_enter(watch->loop);
    watch->loop = NULL;
    watch->closing = false;
    if (watch->on_closed)
        watch->on_closed(watch->closed_arg);
}

void cv_watch_close(struct cv_watch *watch, void (*on_closed)(void *arg), void *arg)
{
    CV_ASSERT(cv_watch_is_open(watch));
    cv_loop_assert_owner(watch->loop);
    watch->closing = true;
    watch->events = 0;
    watch->on_closed = on_closed;
    watch->closed_arg = arg;
    uv_close((uv_handle_t *)watch_handle(watch), on_uv_closed);
}
