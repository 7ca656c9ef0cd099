#include "io/channel.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/socket.h"

#include <stddef.h>

enum { READS_PER_TURN = 4 }; // one fast peer must not hold up the others

// What only a channel with TLS needs.
struct cv_channel_tls {
    struct cv_tls *tls;    // NULL: the channel is closed, or it was given away
    bool begun;            // the handshake
    bool secured;          // it is done
    bool closed;           // the peer has said that nothing follows
    bool shut;             // we have
    struct cv_timer again; // what has come already is given out in a later turn
    struct cv_why why;     // why nothing works any more
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static bool is_open(const struct cv_channel *channel)
{
    return channel->fd >= 0;
}

static bool has_failed(const struct cv_channel_tls *tls)
{
    return tls->why.code != CV_OK;
}

static bool is_shaking(const struct cv_channel_tls *tls)
{
    return !tls->secured && !has_failed(tls);
}

// ---- what is waited for -----------------------------------------------------------------------

static unsigned events_of(bool reads, bool writes)
{
    return (reads ? CV_WATCH_READ : 0) | (writes ? CV_WATCH_WRITE : 0);
}

// Ciphertext waits for the descriptor.
static bool is_pending(const struct cv_channel_tls *tls)
{
    return !has_failed(tls) && cv_tls_wants_write(tls->tls);
}

// A handshake does not ask the user. Before its first step the descriptor is not asked either:
// being writable it gives the turn.
static unsigned tls_events(const struct cv_channel *channel)
{
    const struct cv_channel_tls *tls = channel->tls;
    if (is_shaking(tls))
        return events_of(true, is_pending(tls) || !tls->begun);
    return events_of(channel->reads, channel->writes || is_pending(tls));
}

// The user wants what the descriptor will not tell of: it was read from there before.
static bool is_owed(const struct cv_channel *channel)
{
    const struct cv_channel_tls *tls = channel->tls;
    if (!channel->reads || is_shaking(tls))
        return false;
    return has_failed(tls) || tls->closed || cv_tls_has_more(tls->tls);
}

static void set_tls_events(struct cv_channel *channel)
{
    struct cv_timer *again = &channel->tls->again;
    cv_watch_set(&channel->watch, tls_events(channel));
    if (!is_owed(channel))
        cv_timer_stop(again);
    else if (!cv_timer_is_set(again))
        cv_timer_start(again, 0);
}

static void set_events(struct cv_channel *channel)
{
    if (channel->tls)
        set_tls_events(channel);
    else
        cv_watch_set(&channel->watch, events_of(channel->reads, channel->writes));
}

// ---- what comes -------------------------------------------------------------------------------
//
// Behind a call of the user's functions is_open is asked first: it may be closed, or given away.

// Mostly it is closed soon: that the descriptor is not asked any more is left to the next turn.
static void end(struct cv_channel *channel, int code)
{
    channel->reads = false;
    channel->user->ended(channel->arg, code);
}

static int read_tls(struct cv_channel *channel)
{
    struct cv_channel_tls *tls = channel->tls;
    struct cv_channel_room *room = channel->room;
    if (has_failed(tls))
        return tls->why.code;
    if (tls->closed)
        return CV_E_CLOSED;
    int len = cv_tls_read(tls->tls, room->tls, room->read_buffer, room->read_bytes);
    if (len == CV_E_CLOSED)
        tls->closed = true;
    else if (len < 0 && len != CV_E_AGAIN)
        cv_why_set(&tls->why, len, "tls", "%s", cv_err_text(len));
    return len;
}

static bool may_have_more(const struct cv_channel *channel, size_t len)
{
    const struct cv_channel_tls *tls = channel->tls;
    return len == channel->room->read_bytes || (tls && (is_shaking(tls) || is_owed(channel)));
}

// One read. True: there may be more.
static bool read_once(struct cv_channel *channel)
{
    struct cv_channel_room *room = channel->room;
    if (!channel->reads)
        return false;
    int len = channel->tls ? read_tls(channel)
                           : cv_socket_read(channel->fd, room->read_buffer, room->read_bytes);
    if (len == CV_E_AGAIN)
        return false;
    if (len < 0) {
        end(channel, len);
        return false;
    }
    channel->user->bytes(channel->arg, room->read_buffer, (size_t)len);
    return is_open(channel) && may_have_more(channel, (size_t)len);
}

// A step of the handshake. True: it is done.
static bool shake_once(struct cv_channel *channel)
{
    struct cv_channel_tls *tls = channel->tls;
    struct cv_why why = {0};
    tls->begun = true;
    int err = cv_tls_handshake(tls->tls, channel->room->tls, &why);
    if (err == CV_E_AGAIN)
        return false;
    if (err != CV_OK) {
        cv_why_set(&tls->why, err, why.place ? why.place : "tls", "%s",
                   why.code == CV_OK ? cv_err_text(err) : why.text);
        end(channel, err);
        return false;
    }
    tls->secured = true;
    if (channel->user->secured)
        channel->user->secured(channel->arg);
    return is_open(channel);
}

// A turn's share of it. A channel whose first bytes turn out to be TLS goes on with that at once.
static void go_on(struct cv_channel *channel)
{
    bool more = true;
    for (int i = 0; i < READS_PER_TURN && more; i++) {
        bool shakes = channel->tls && is_shaking(channel->tls);
        more = shakes ? shake_once(channel) : read_once(channel);
    }
    if (is_open(channel) && channel->tls)
        set_tls_events(channel);
}

static void on_again(void *arg)
{
    go_on(arg);
}

// ---- what leaves ------------------------------------------------------------------------------

static int write_tls(struct cv_channel *channel, const struct iovec *vectors, int count)
{
    struct cv_channel_tls *tls = channel->tls;
    if (has_failed(tls))
        return tls->why.code;
    if (!tls->secured)
        return CV_E_AGAIN;
    int sent = cv_tls_write(tls->tls, channel->room->tls, vectors, count);
    set_tls_events(channel);
    return sent;
}

int cv_channel_write(struct cv_channel *channel, const struct cv_gather *gather)
{
    if (channel->tls)
        return write_tls(channel, gather->vectors, gather->count);
    return cv_socket_write(channel->fd, gather->vectors, gather->count);
}

void cv_channel_read(struct cv_channel *channel)
{
    if (is_open(channel) && channel->reads)
        go_on(channel);
}

void cv_channel_prefetch(const struct cv_channel *channel, unsigned step)
{
    enum { HOT_BYTES = offsetof(struct cv_channel_tls, why.place) };
    const struct cv_channel_tls *tls = channel->tls;
    if (!is_open(channel) || !tls)
        return;
    if (step == 0)
        cv_prefetch(tls, HOT_BYTES);
    else
        cv_tls_prefetch(tls->tls, step - 1);
}

// What waits goes first. Where that fails the user hears of it by a write of his own.
static bool flush(struct cv_channel *channel)
{
    if (!channel->tls || !is_pending(channel->tls))
        return true;
    write_tls(channel, NULL, 0);
    return !is_pending(channel->tls);
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_channel *channel = arg;
    if (channel->tls && is_shaking(channel->tls)) {
        go_on(channel);
        return;
    }
    if ((events & CV_WATCH_READ) && !channel->reads)
        set_events(channel); // the end was told
    if ((events & CV_WATCH_WRITE) && flush(channel) && channel->writes)
        channel->user->room(channel->arg);
    if ((events & CV_WATCH_READ) && is_open(channel))
        go_on(channel);
}

// close_notify, where there was no failure: else the peer has to take the end for a cut.
static void say_end(struct cv_channel *channel)
{
    struct cv_channel_tls *tls = channel->tls;
    if (!tls->secured || tls->shut || has_failed(tls))
        return;
    tls->shut = true;
    cv_tls_shutdown(tls->tls, channel->room->tls);
}

void cv_channel_shutdown(struct cv_channel *channel)
{
    if (channel->tls)
        say_end(channel);
    cv_socket_shutdown(channel->fd);
}

// ---- life -------------------------------------------------------------------------------------

// NULL: no memory.
static struct cv_channel_tls *tls_new(struct cv_channel *channel, struct cv_loop *loop)
{
    struct cv_channel_tls *tls = cv_mem_zero(1, sizeof *tls);
    if (tls)
        cv_timer_init(&tls->again, loop, on_again, channel);
    return tls;
}

int cv_channel_attach(struct cv_channel *channel, struct cv_channel_room *room,
                      const struct cv_channel_ends *ends, const struct cv_channel_user *user,
                      void *arg)
{
    CV_ASSERT(ends->fd >= 0 && (!ends->tls || room->tls));
    struct cv_channel_tls *tls = ends->tls ? tls_new(channel, room->loop) : NULL;
    if (ends->tls && !tls)
        return CV_E_NOMEM;
    if (cv_watch_start(&channel->watch, room->loop, ends->fd, 0, on_ready, channel) != CV_OK) {
        cv_mem_free(tls);
        return CV_E_SYSTEM;
    }
    channel->room = room;
    channel->user = user;
    channel->arg = arg;
    channel->tls = tls;
    channel->fd = ends->fd;
    channel->reads = true;
    channel->writes = false;
    if (tls) {
        tls->tls = ends->tls;
        tls->begun = tls->secured = true;
    }
    set_events(channel);
    return CV_OK;
}

int cv_channel_open(struct cv_channel *channel, struct cv_channel_room *room, int fd,
                    const struct cv_channel_user *user, void *arg)
{
    struct cv_channel_ends ends = {.fd = fd};
    return cv_channel_attach(channel, room, &ends, user, arg);
}

static void on_tls_closed(void *arg)
{
    struct cv_channel *channel = arg;
    struct cv_channel_tls *tls = channel->tls;
    void (*on_closed)(void *arg) = tls->on_closed;
    void *closed_arg = tls->closed_arg;
    channel->tls = NULL;
    cv_mem_free(tls);
    if (on_closed)
        on_closed(closed_arg);
}

// The words of a failure stay with the channel's memory until the end of the turn.
static struct cv_channel_ends leave_loop(struct cv_channel *channel, void (*on_closed)(void *arg),
                                         void *arg)
{
    CV_ASSERT(is_open(channel));
    struct cv_channel_tls *tls = channel->tls;
    struct cv_channel_ends ends = {.fd = channel->fd, .tls = tls ? tls->tls : NULL};
    channel->fd = -1;
    if (!tls) {
        cv_watch_close(&channel->watch, on_closed, arg);
        return ends;
    }
    cv_timer_stop(&tls->again);
    tls->tls = NULL;
    tls->on_closed = on_closed;
    tls->closed_arg = arg;
    cv_watch_close(&channel->watch, on_tls_closed, channel);
    return ends;
}

void cv_channel_close(struct cv_channel *channel, bool cut, void (*on_closed)(void *arg), void *arg)
{
    CV_ASSERT(is_open(channel));
    if (channel->tls && !cut)
        say_end(channel);
    struct cv_channel_ends ends = leave_loop(channel, on_closed, arg);
    if (ends.tls)
        cv_tls_free(ends.tls);
    if (cut)
        cv_socket_abort(&ends.fd);
    else
        cv_socket_close(&ends.fd);
}

struct cv_channel_ends cv_channel_detach(struct cv_channel *channel, void (*on_closed)(void *arg),
                                         void *arg)
{
    CV_ASSERT(!channel->tls || (channel->tls->secured && !has_failed(channel->tls)));
    return leave_loop(channel, on_closed, arg);
}

void cv_channel_ends_free(struct cv_channel_ends *ends)
{
    if (ends->tls)
        cv_tls_free(ends->tls);
    ends->tls = NULL;
    cv_socket_close(&ends->fd);
}

// ---- TLS begins -------------------------------------------------------------------------------

// Takes over `tls`, which may be NULL: there was no memory for it.
static int begin_tls(struct cv_channel *channel, struct cv_tls *tls)
{
    CV_ASSERT(is_open(channel) && !channel->tls && channel->room->tls);
    struct cv_channel_tls *added = tls ? tls_new(channel, channel->room->loop) : NULL;
    if (!added) {
        if (tls)
            cv_tls_free(tls);
        return CV_E_NOMEM;
    }
    added->tls = tls;
    channel->tls = added;
    set_tls_events(channel);
    return CV_OK;
}

int cv_channel_accept(struct cv_channel *channel, struct cv_tls_server *server, const uint8_t *data,
                      size_t len)
{
    struct cv_tls *tls = cv_tls_accept(server, channel->fd);
    if (tls && len && cv_tls_give(tls, data, len) != CV_OK) {
        cv_tls_free(tls);
        tls = NULL;
    }
    return begin_tls(channel, tls);
}

int cv_channel_connect(struct cv_channel *channel, struct cv_tls_trust *trust, const char *host)
{
    return begin_tls(channel, cv_tls_connect(trust, channel->fd, host));
}

bool cv_channel_is_secure(const struct cv_channel *channel)
{
    return channel->tls;
}

const struct cv_tls *cv_channel_tls(const struct cv_channel *channel)
{
    return channel->tls && channel->tls->secured ? channel->tls->tls : NULL;
}

// ---- using ------------------------------------------------------------------------------------

void cv_channel_set_user(struct cv_channel *channel, const struct cv_channel_user *user, void *arg)
{
    channel->user = user;
    channel->arg = arg;
}

void cv_channel_want(struct cv_channel *channel, bool reads, bool writes)
{
    channel->reads = reads;
    channel->writes = writes;
    set_events(channel);
}

const struct cv_why *cv_channel_why(const struct cv_channel *channel)
{
    static const struct cv_why none = {0};
    return channel->tls ? &channel->tls->why : &none;
}
