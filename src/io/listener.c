#include "io/listener.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

struct cv_listener {
    struct cv_watch watch;
    struct cv_timer rest;
    int fd; // -1 once freed
    uint64_t pauses;
    void (*fn)(void *arg, int fd, const struct cv_addr *peer);
    void *arg;
};

// Out of descriptors: whoever waits stays in the backlog while the listener rests.
static void listener_pause(struct cv_listener *listener)
{
    listener->pauses++;
    cv_watch_set(&listener->watch, 0);
    cv_timer_start(&listener->rest, (uint64_t)CV_ACCEPT_PAUSE_MS * 1000);
}

static void on_rested(void *arg)
{
    struct cv_listener *listener = arg;
    cv_watch_set(&listener->watch, CV_WATCH_READ);
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_listener *listener = arg;
    (void)events;
    for (int i = 0; i < CV_ACCEPT_BATCH && listener->fd >= 0; i++) {
        struct cv_addr peer;
        int fd = cv_socket_accept(listener->fd, &peer);
        if (fd == CV_E_AGAIN)
            return;
        if (fd < 0) {
            listener_pause(listener);
            return;
        }
        listener->fn(listener->arg, fd, &peer); // may free the listener: its memory stays for now
    }
}

struct cv_listener *cv_listener_new(struct cv_loop *loop, int fd,
                                    void (*fn)(void *arg, int fd, const struct cv_addr *peer),
                                    void *arg)
{
    CV_ASSERT(fd >= 0);
    struct cv_listener *listener = cv_mem_zero(1, sizeof *listener);
    if (!listener)
        return NULL;
    listener->fd = fd;
    listener->fn = fn;
    listener->arg = arg;
    cv_timer_init(&listener->rest, loop, on_rested, listener);
    if (cv_watch_start(&listener->watch, loop, fd, CV_WATCH_READ, on_ready, listener) == CV_OK)
        return listener;
    cv_mem_free(listener);
    return NULL;
}

void cv_listener_free(struct cv_listener *listener)
{
    if (!listener)
        return;
    CV_ASSERT(listener->fd >= 0);
    cv_timer_stop(&listener->rest);
    cv_watch_close(&listener->watch, cv_mem_free, listener);
    cv_socket_close(&listener->fd);
}

uint64_t cv_listener_pauses(const struct cv_listener *listener)
{
    return listener->pauses;
}
