#include "client/link.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

enum {
    READ_BYTES = 256 * 1024,
    READS_PER_TURN = 4, // one fast stream must not hold up the others
};

static const char place[] = "link";

struct cv_link_room {
    struct cv_loop *loop;
    struct cv_gather gather;
    uint8_t read_buffer[READ_BYTES];
};

struct cv_link {
    struct cv_link_room *room;
    struct cv_link_config config; // the texts in it are not kept
    struct cv_rtmp_client *client;
    struct cv_watch watch;
    struct cv_timer timer; // until STARTED; then: a failure that is to be told
    int fd;
    bool connected;
    bool blocked; // waits for the socket to take more
    bool ended;   // on_end was called, or will not be
    bool freed;   // waits for the loop to let go of the watch
    struct cv_why why;
};

struct cv_link_room *cv_link_room_new(struct cv_loop *loop)
{
    struct cv_link_room *room = cv_mem_alloc(sizeof *room);
    if (room)
        room->loop = loop;
    return room;
}

void cv_link_room_free(struct cv_link_room *room)
{
    cv_mem_free(room);
}

struct cv_rtmp_client *cv_link_client(struct cv_link *link)
{
    return link->client;
}

bool cv_link_is_blocked(const struct cv_link *link)
{
    return link->blocked;
}

// ---- life -----------------------------------------------------------------------------------

static void on_ready(void *arg, unsigned events);
static void on_timer(void *arg);

static int open_socket(struct cv_link *link)
{
    link->fd = cv_socket_connect(&link->config.server);
    if (link->fd < 0)
        return link->fd;
    cv_socket_set_no_delay(link->fd, true);
    return cv_watch_start(&link->watch, link->room->loop, link->fd, CV_WATCH_WRITE, on_ready, link);
}

struct cv_link *cv_link_new(struct cv_link_room *room, const struct cv_link_config *config)
{
    struct cv_link *link = cv_mem_zero(1, sizeof *link);
    if (!link)
        return NULL;
    link->room = room;
    link->config = *config;
    link->fd = -1;
    cv_timer_init(&link->timer, room->loop, on_timer, link);
    link->client = cv_rtmp_client_new(&config->rtmp, (uint32_t)(cv_loop_now_us(room->loop) / 1000));
    if (!link->client || (!config->hold && cv_rtmp_client_connect(link->client) != CV_OK)) {
        cv_link_free(&link);
        return NULL;
    }
    uint32_t start_s = config->start_s ? config->start_s : CV_CLIENT_START_S;
    int err = open_socket(link);
    if (err != CV_OK)
        cv_why_set(&link->why, err, place, "could not connect");
    cv_timer_start(&link->timer, err == CV_OK ? start_s * UINT64_C(1000000) : 0);
    return link;
}

static void link_done(void *arg)
{
    struct cv_link *link = arg;
    cv_rtmp_client_free(link->client);
    cv_mem_free(link);
}

// While the socket is watched, the memory stays until the end of the turn: so our functions need
// not care whether a callback of theirs has freed the link; `ended` tells.
void cv_link_free(struct cv_link **place_of_link)
{
    struct cv_link *link = *place_of_link;
    *place_of_link = NULL;
    if (!link)
        return;
    CV_ASSERT(!link->freed);
    link->freed = link->ended = true;
    cv_timer_stop(&link->timer);
    bool watched = cv_watch_is_open(&link->watch);
    if (watched)
        cv_watch_close(&link->watch, link_done, link);
    cv_socket_close(&link->fd);
    if (!watched)
        link_done(link);
}

// From the loop only, and once. Nothing may touch the link after it: it may be gone.
static void end(struct cv_link *link, int code, const char *what)
{
    if (link->ended)
        return;
    link->ended = true;
    cv_timer_stop(&link->timer);
    if (cv_watch_is_open(&link->watch))
        cv_watch_set(&link->watch, 0);
    const struct cv_why *why = cv_rtmp_client_why(link->client);
    if (why->code != CV_OK)
        link->why = *why;
    cv_why_set(&link->why, code, place, "%s", what);
    link->config.on_end(link->config.arg, &link->why);
}

static void on_timer(void *arg)
{
    struct cv_link *link = arg;
    if (link->why.code != CV_OK)
        end(link, link->why.code, "");
    else
        end(link, CV_E_TIMEOUT, link->connected ? "no answer in time" : "no connection in time");
}

// ---- writing --------------------------------------------------------------------------------

static void set_blocked(struct cv_link *link, bool blocked)
{
    link->blocked = blocked;
    cv_watch_set(&link->watch, CV_WATCH_READ | (blocked ? CV_WATCH_WRITE : 0));
}

// Bytes that left, 0 when nothing waits, or an error.
static int write_once(struct cv_link *link)
{
    struct cv_gather *gather = &link->room->gather;
    cv_gather_clear(gather);
    cv_rtmp_client_pull(link->client, gather);
    if (gather->count == 0)
        return 0;
    int sent = cv_socket_write(link->fd, gather->vectors, gather->count);
    if (sent <= 0)
        return sent;
    bool short_count = (size_t)sent < gather->bytes;
    cv_rtmp_client_sent(link->client, (size_t)sent);
    return short_count ? CV_E_AGAIN : sent;
}

void cv_link_flush(struct cv_link *link)
{
    if (!link->connected || link->blocked || link->ended)
        return;
    int sent;
    while ((sent = write_once(link)) > 0)
        ;
    if (sent == CV_E_AGAIN) {
        set_blocked(link, true);
    } else if (sent < 0) {
        cv_why_set(&link->why, sent, place, "the connection broke while sending");
        cv_timer_start(&link->timer, 0);
    }
}

// ---- reading --------------------------------------------------------------------------------

static void tell(struct cv_link *link, const struct cv_rtmp_client_event *event)
{
    if (event->type == CV_RTMP_CLIENT_STARTED && link->why.code == CV_OK)
        cv_timer_stop(&link->timer);
    if (event->type == CV_RTMP_CLIENT_ENDED)
        end(link, CV_E_CLOSED, "the server ended it");
    else
        link->config.on_event(link->config.arg, event);
}

static void take_bytes(struct cv_link *link, size_t len)
{
    struct cv_rtmp_client_event event;
    int more = 0;
    cv_rtmp_client_feed(link->client, link->room->read_buffer, len);
    while (!link->ended && (more = cv_rtmp_client_next(link->client, &event)) > 0)
        tell(link, &event);
    if (more < 0)
        end(link, more, "");
}

static void on_readable(struct cv_link *link)
{
    for (int i = 0; i < READS_PER_TURN && !link->ended; i++) {
        int len = cv_socket_read(link->fd, link->room->read_buffer, READ_BYTES);
        if (len == CV_E_AGAIN)
            break;
        if (len < 0) {
            end(link, len, "the connection broke");
            break;
        }
        take_bytes(link, (size_t)len);
        if (len < READ_BYTES)
            break;
    }
    if (!link->ended && !cv_rtmp_client_out_empty(link->client))
        cv_link_flush(link);
}

static void on_connected(struct cv_link *link)
{
    int err = cv_socket_connect_result(link->fd);
    if (err == CV_E_AGAIN)
        return;
    if (err != CV_OK) {
        end(link, err, cv_err_text(err));
        return;
    }
    link->connected = true;
    set_blocked(link, false);
    cv_link_flush(link);
}

static void on_ready(void *arg, unsigned events)
{
    struct cv_link *link = arg;
    if (!link->connected) {
        on_connected(link);
        return;
    }
    if (events & CV_WATCH_WRITE) {
        set_blocked(link, false);
        cv_link_flush(link);
    }
    if (events & CV_WATCH_READ)
        on_readable(link);
}
