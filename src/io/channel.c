#include "io/channel.h"

#include "base/check.h"
#include "io/socket.h"

enum { READS_PER_TURN = 4 }; // one fast peer must not hold up the others

static bool is_open(const struct cv_channel *channel)
{
    return channel->fd >= 0;
}

static void set_events(struct cv_channel *channel)
{
    cv_watch_set(&channel->watch,
                 (channel->reads ? CV_WATCH_READ : 0) | (channel->writes ? CV_WATCH_WRITE : 0));
}

// ---- what comes -------------------------------------------------------------------------------

// The user may close it, or give it away: nothing of the channel is of use behind it, but is_open.
static void end(struct cv_channel *channel, int code)
{
    channel->reads = false;
    set_events(channel);
    channel->user->ended(channel->arg, code);
}

static void on_readable(struct cv_channel *channel)
{
    struct cv_channel_room *room = channel->room;
    for (int i = 0; i < READS_PER_TURN && is_open(channel) && channel->reads; i++) {
        int len = cv_socket_read(channel->fd, room->read_buffer, room->read_bytes);
        if (len == CV_E_AGAIN)
            return;
        if (len < 0) {
            end(channel, len);
            return;
        }
        channel->user->bytes(channel->arg, room->read_buffer, (size_t)len);
        if ((size_t)len < room->read_bytes)
            return;
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_channel *channel = arg;
    if ((events & CV_WATCH_WRITE) && channel->writes)
        channel->user->room(channel->arg);
    if ((events & CV_WATCH_READ) && is_open(channel))
        on_readable(channel);
}

// ---- life -------------------------------------------------------------------------------------

int cv_channel_open(struct cv_channel *channel, struct cv_channel_room *room, int fd,
                    const struct cv_channel_user *user, void *arg)
{
    CV_ASSERT(fd >= 0);
    int err = cv_watch_start(&channel->watch, room->loop, fd, CV_WATCH_READ, on_ready, channel);
    if (err != CV_OK)
        return err;
    channel->room = room;
    channel->user = user;
    channel->arg = arg;
    channel->tls = NULL;
    channel->fd = fd;
    channel->reads = true;
    channel->writes = false;
    return CV_OK;
}

void cv_channel_close(struct cv_channel *channel, bool cut, void (*on_closed)(void *arg), void *arg)
{
    CV_ASSERT(is_open(channel));
    cv_watch_close(&channel->watch, on_closed, arg);
    if (cut)
        cv_socket_abort(&channel->fd);
    else
        cv_socket_close(&channel->fd);
}

struct cv_channel_ends cv_channel_detach(struct cv_channel *channel, void (*on_closed)(void *arg),
                                         void *arg)
{
    CV_ASSERT(is_open(channel));
    struct cv_channel_ends ends = {.fd = channel->fd};
    // Closing the watch takes the descriptor out of this loop at once: then it may go.
    cv_watch_close(&channel->watch, on_closed, arg);
    channel->fd = -1;
    return ends;
}

int cv_channel_attach(struct cv_channel *channel, struct cv_channel_room *room,
                      const struct cv_channel_ends *ends, const struct cv_channel_user *user,
                      void *arg)
{
    return cv_channel_open(channel, room, ends->fd, user, arg);
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

int cv_channel_write(struct cv_channel *channel, const struct cv_gather *gather)
{
    return cv_socket_write(channel->fd, gather->vectors, gather->count);
}

void cv_channel_shutdown(struct cv_channel *channel)
{
    cv_socket_shutdown(channel->fd);
}

const struct cv_why *cv_channel_why(const struct cv_channel *channel)
{
    static const struct cv_why none = {0};
    (void)channel;
    return &none;
}
