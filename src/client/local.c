#include "client/local.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/watch.h"

enum {
    READ_BYTES = 256 * 1024,
    READS_PER_TURN = 4, // one fast encoder must not hold up the others
    US_PER_S = 1000000,
};

static const char place[] = "local";

struct cv_local_room {
    struct cv_loop *loop;
    struct cv_gather gather;
    uint8_t read_buffer[READ_BYTES];
};

struct cv_local {
    struct cv_local_room *room;
    const struct cv_local_user *user;
    void *arg;
    struct cv_rtmp_host *host;
    struct cv_watch watch;
    struct cv_timer timer; // until it asks; for a failure that is to be told; for last words
    int fd;
    bool blocked;
    bool finishing;
    bool silent; // our side is closed: what still comes is read away
    bool ended;  // `gone` was called, or will not be
    struct cv_why why;
};

struct cv_local_room *cv_local_room_new(struct cv_loop *loop)
{
    struct cv_local_room *room = cv_mem_alloc(sizeof *room);
    if (room)
        room->loop = loop;
    return room;
}

void cv_local_room_free(struct cv_local_room *room)
{
    cv_mem_free(room);
}

struct cv_rtmp_host *cv_local_host(struct cv_local *local)
{
    return local->host;
}

bool cv_local_is_blocked(const struct cv_local *local)
{
    return local->blocked;
}

// ---- life -----------------------------------------------------------------------------------

static void local_done(void *arg)
{
    struct cv_local *local = arg;
    cv_rtmp_host_free(local->host);
    cv_mem_free(local);
}

// While the socket is watched the memory stays until the end of the turn, so that our functions
// need not care whether a callback of theirs has freed it; `ended` tells.
void cv_local_free(struct cv_local **place_of_local)
{
    struct cv_local *local = *place_of_local;
    *place_of_local = NULL;
    if (!local)
        return;
    local->ended = true;
    cv_timer_stop(&local->timer);
    cv_watch_close(&local->watch, local_done, local);
    cv_socket_close(&local->fd);
}

static void end(struct cv_local *local)
{
    if (local->ended)
        return;
    local->ended = true;
    cv_timer_stop(&local->timer);
    cv_watch_set(&local->watch, 0);
    local->user->gone(local->arg, &local->why);
}

// It is told by the timer: never inside a function of ours.
static void fail(struct cv_local *local, int code, const char *what)
{
    const struct cv_why *why = cv_rtmp_host_why(local->host);
    if (why->code != CV_OK)
        local->why = *why;
    cv_why_set(&local->why, code, place, "%s", what);
    cv_watch_set(&local->watch, 0);
    cv_timer_start(&local->timer, 0);
}

static void on_timer(void *arg)
{
    struct cv_local *local = arg;
    if (!local->finishing)
        cv_why_set(&local->why, CV_E_TIMEOUT, place, "it asked for nothing");
    end(local);
}

// ---- writing --------------------------------------------------------------------------------

static void set_blocked(struct cv_local *local, bool blocked)
{
    local->blocked = blocked;
    cv_watch_set(&local->watch, CV_WATCH_READ | (blocked ? CV_WATCH_WRITE : 0));
}

// Bytes that left, 0 when nothing waits, or an error.
static int write_once(struct cv_local *local)
{
    struct cv_gather *gather = &local->room->gather;
    cv_gather_clear(gather);
    cv_rtmp_host_pull(local->host, gather);
    if (gather->count == 0)
        return 0;
    int sent = cv_socket_write(local->fd, gather->vectors, gather->count);
    if (sent <= 0)
        return sent;
    bool is_short = (size_t)sent < gather->bytes;
    cv_rtmp_host_sent(local->host, (size_t)sent);
    return is_short ? CV_E_AGAIN : sent;
}

void cv_local_flush(struct cv_local *local)
{
    if (local->blocked || local->ended || local->silent || local->why.code != CV_OK)
        return;
    int sent;
    while ((sent = write_once(local)) > 0)
        ;
    if (sent == CV_E_AGAIN)
        set_blocked(local, true);
    else if (sent < 0)
        fail(local, sent, "the connection broke while sending");
    else if (local->finishing) {
        local->silent = true;
        cv_socket_shutdown(local->fd); // its end follows, when it has read what we said
    }
}

void cv_local_finish(struct cv_local *local)
{
    if (local->ended || local->finishing)
        return;
    local->finishing = true;
    cv_timer_start(&local->timer, CV_LOCAL_FINISH_S * UINT64_C(1000000));
    cv_local_flush(local);
}

// ---- reading --------------------------------------------------------------------------------

static void wait_for_question(struct cv_local *local)
{
    uint64_t ask_us = local->user->ask_us;
    cv_timer_start(&local->timer, ask_us ? ask_us : CV_LOCAL_ASK_S * (uint64_t)US_PER_S);
}

// Until it asks, and again when it has stopped; not once the timer is for something else.
static void look_at_time(struct cv_local *local, const struct cv_rtmp_host_event *event)
{
    if (local->finishing || local->why.code != CV_OK)
        return;
    if (event->type == CV_RTMP_HOST_STOP)
        wait_for_question(local);
    else if (event->type != CV_RTMP_HOST_MESSAGE)
        cv_timer_stop(&local->timer);
}

static void take_bytes(struct cv_local *local, size_t len)
{
    struct cv_rtmp_host_event event;
    int more = 0;
    if (local->finishing)
        return;
    cv_rtmp_host_feed(local->host, local->room->read_buffer, len);
    while (!local->ended && (more = cv_rtmp_host_next(local->host, &event)) > 0) {
        look_at_time(local, &event);
        local->user->event(local->arg, &event);
    }
    if (!local->ended && more < 0)
        fail(local, more, cv_err_text(more));
}

static void on_readable(struct cv_local *local)
{
    for (int i = 0; i < READS_PER_TURN && !local->ended && local->why.code == CV_OK; i++) {
        int len = cv_socket_read(local->fd, local->room->read_buffer, READ_BYTES);
        if (len == CV_E_AGAIN)
            break;
        if (len < 0) {
            if (!local->finishing)
                cv_why_set(&local->why, len, place, "it has gone");
            end(local);
            break;
        }
        take_bytes(local, (size_t)len);
        if (len < READ_BYTES)
            break;
    }
    if (!local->ended && !cv_rtmp_host_out_empty(local->host))
        cv_local_flush(local);
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_local *local = arg;
    if (events & CV_WATCH_WRITE) {
        set_blocked(local, false);
        cv_local_flush(local);
        if (!local->blocked && !local->finishing)
            local->user->room(local->arg);
    }
    if (!local->ended && (events & CV_WATCH_READ))
        on_readable(local);
}

struct cv_local *cv_local_new(struct cv_local_room *room, int fd, const struct cv_local_user *user,
                              void *arg)
{
    struct cv_local *local = cv_mem_zero(1, sizeof *local);
    if (!local)
        return NULL;
    *local = (struct cv_local){.room = room, .user = user, .arg = arg, .fd = fd};
    local->host =
        cv_rtmp_host_new(&cv_crypto_openssl, (uint32_t)(cv_loop_now_us(room->loop) / 1000));
    if (!local->host ||
        cv_watch_start(&local->watch, room->loop, fd, CV_WATCH_READ, on_ready, local) != CV_OK) {
        local_done(local);
        return NULL;
    }
    cv_socket_set_no_delay(fd, true);
    cv_timer_init(&local->timer, room->loop, on_timer, local);
    wait_for_question(local);
    return local;
}
