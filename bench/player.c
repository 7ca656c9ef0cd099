#include "player.h"

#include "base/gather.h"
#include "io/clock.h"
#include "io/openssl.h"
#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAUSE_US = 50000, MEDIA_BYTES_MAX = 4 * 1048576, HEAD_BYTES = 1024 };

static const char place[] = "player";

static const char request_head[] = "POST /%s HTTP/1.1\r\n"
                                   "Accept: */*\r\n"
                                   "Connection: keep-alive\r\n"
                                   "Host: %s\r\n"
                                   "Content-Length: %zu\r\n"
                                   "Icy-MetaData: 1\r\n"
                                   "Cache-Control: no-cache\r\n"
                                   "Content-type: application/x-fcs\r\n"
                                   "User-Agent: Shockwave Flash\r\n\r\n";

// ---- the end --------------------------------------------------------------------------------

void player_stop(struct player *player)
{
    if (player->ended)
        return;
    player->ended = true;
    cv_timer_stop(&player->pause);
    if (cv_watch_is_open(&player->watch))
        cv_watch_close(&player->watch, NULL, NULL);
    cv_socket_close(&player->fd);
    cv_rtmp_client_free(player->rtmp);
    cv_http1_free(player->http);
    player->rtmp = NULL;
    player->http = NULL;
}

static int end(struct player *player, int code, const char *what)
{
    if (player->ended)
        return code;
    if (player->rtmp && cv_rtmp_client_why(player->rtmp)->code != CV_OK)
        player->why = *cv_rtmp_client_why(player->rtmp);
    cv_why_set(&player->why, code, place, "%s", what);
    player_stop(player);
    player->room->on_end(player);
    return code;
}

// ---- sending: a player says little, so that it always fits into the socket's buffer -----------

static int write_all(struct player *player, const struct iovec *vectors, int count, size_t len)
{
    int sent = cv_socket_write(player->fd, vectors, count);
    if (sent < 0 || (size_t)sent != len)
        return end(player, sent < 0 ? sent : CV_E_CLOSED, "cannot send");
    player->bytes_out += len;
    player->was_us = cv_clock_now_us();
    return CV_OK;
}

// Everything that the RTMP engine wants to say, in the room's gather.
static void pull(struct player *player)
{
    cv_gather_clear(&player->room->gather);
    cv_rtmp_client_pull(player->rtmp, &player->room->gather);
}

static int send_gather(struct player *player)
{
    struct cv_gather *gather = &player->room->gather;
    return write_all(player, gather->vectors, gather->count, gather->bytes);
}

static int send_head(struct player *player, const char *target, size_t body_bytes)
{
    char text[HEAD_BYTES];
    int len = snprintf(text, sizeof text, request_head, target, player->room->host, body_bytes);
    struct iovec head = {.iov_base = text, .iov_len = (size_t)len};
    cv_http1_expect(player->http, CV_METHOD_POST, false);
    player->has_poll_byte = false;
    player->reply_bytes = 0;
    player->requests++;
    return write_all(player, &head, 1, (size_t)len);
}

static int request(struct player *player, const char *command)
{
    char target[128];
    size_t len = player->room->gather.bytes;
    snprintf(target, sizeof target, "%s/%.*s/%llu", command, (int)player->id_len, player->id,
             (unsigned long long)player->number++);
    int err = send_head(player, target, len);
    return err == CV_OK ? send_gather(player) : err;
}

static void request_idle(void *arg)
{
    static const uint8_t nothing;
    struct player *player = arg;
    cv_gather_clear(&player->room->gather);
    cv_gather_borrow(&player->room->gather, &nothing, 1);
    request(player, "idle");
}

static void request_open(struct player *player)
{
    static uint8_t nothing;
    struct iovec body = {.iov_base = &nothing, .iov_len = 1};
    if (send_head(player, "open/1", 1) == CV_OK)
        write_all(player, &body, 1, 1);
}

// As FFmpeg, whose reader comes here when it wants more and the reply is at its end.
static void request_next(struct player *player)
{
    pull(player);
    if (player->room->gather.bytes > 0) {
        if (request(player, "send") == CV_OK)
            cv_rtmp_client_sent(player->rtmp, player->room->gather.bytes);
    } else if (player->reply_bytes == 0) {
        cv_timer_start(&player->pause, PAUSE_US);
    } else {
        request_idle(player);
    }
}

static void flush_plain(struct player *player)
{
    pull(player);
    if (player->room->gather.bytes > 0 && send_gather(player) == CV_OK)
        cv_rtmp_client_sent(player->rtmp, player->room->gather.bytes);
}

// ---- receiving ------------------------------------------------------------------------------

static void take_event(struct player *player, const struct cv_rtmp_client_event *event)
{
    if (event->type == CV_RTMP_CLIENT_CONNECTED)
        player->accepted = true;
    if (event->type == CV_RTMP_CLIENT_MEDIA)
        player->room->on_media(player, &event->msg);
    if (event->type == CV_RTMP_CLIENT_ENDED)
        end(player, CV_E_CLOSED, "the server ended it");
}

static void take_rtmp(struct player *player, const void *data, size_t len)
{
    struct cv_rtmp_client_event event;
    int more = 0;
    cv_rtmp_client_feed(player->rtmp, data, len);
    while (!player->ended && (more = cv_rtmp_client_next(player->rtmp, &event)) > 0)
        take_event(player, &event);
    if (more < 0)
        end(player, more, "");
}

static void take_id(struct player *player, struct cv_text body)
{
    if (player->id_len + body.len > sizeof player->id) {
        end(player, CV_E_TOO_LONG, "the id of the tunnel");
        return;
    }
    memcpy(player->id + player->id_len, body.at, body.len);
    player->id_len += body.len;
}

static void take_body(struct player *player, struct cv_text body)
{
    if (!player->open) {
        take_id(player, body);
        return;
    }
    if (!player->has_poll_byte)
        body = cv_text_skip(body, 1);
    player->has_poll_byte = true;
    player->reply_bytes += body.len;
    if (body.len > 0)
        take_rtmp(player, body.at, body.len);
}

static void take_http_event(struct player *player, const struct cv_http1_event *event)
{
    switch (event->type) {
    case CV_HTTP1_HEAD:
        if (event->head->status != 200 || !event->head->keep_alive)
            end(player, CV_E_REFUSED, "FFmpeg would not take this reply");
        break;
    case CV_HTTP1_BODY:
        take_body(player, event->body);
        break;
    case CV_HTTP1_END:
        if (!player->open && player->id_len > 0)
            player->id_len--; // the line feed
        player->open = true;
        request_next(player);
        break;
    case CV_HTTP1_INTERIM:
        break;
    }
}

static void take_http(struct player *player, const void *data, size_t len)
{
    struct cv_http1_event event;
    int more = 0;
    cv_http1_feed(player->http, data, len);
    while (!player->ended && (more = cv_http1_next(player->http, &event)) > 0)
        take_http_event(player, &event);
    if (more < 0)
        end(player, more, cv_http1_why(player->http)->text);
}

static void on_readable(struct player *player)
{
    struct player_room *room = player->room;
    int len = cv_socket_read(player->fd, room->read_buffer, sizeof room->read_buffer);
    if (len == CV_E_AGAIN)
        return;
    if (len < 0) {
        end(player, len, "the connection broke");
        return;
    }
    player->bytes_in += (uint64_t)len;
    player->was_us = cv_clock_now_us();
    if (room->tunnel) {
        take_http(player, room->read_buffer, (size_t)len);
        return;
    }
    take_rtmp(player, room->read_buffer, (size_t)len);
    if (!player->ended)
        flush_plain(player);
}

// ---- the beginning --------------------------------------------------------------------------

static void on_ready(void *arg, unsigned events)
{
    struct player *player = arg;
    (void)events;
    if (player->connected) {
        on_readable(player);
        return;
    }
    int err = cv_socket_connect_result(player->fd);
    if (err == CV_E_AGAIN)
        return;
    if (err != CV_OK) {
        end(player, err, cv_err_text(err));
        return;
    }
    player->connected = true;
    cv_watch_set(&player->watch, CV_WATCH_READ);
    if (player->room->tunnel)
        request_open(player);
    else
        flush_plain(player);
}

// Not cv_socket_connect: the address that it comes from is chosen here.
static int open_socket(const struct player *player)
{
    const struct player_room *room = player->room;
    if (room->addresses == 0)
        return cv_socket_connect(&room->server);
    struct sockaddr_storage address;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct cv_addr from = {.family = CV_ADDR_IPV4,
                           .ip = {127, 0, 1, (uint8_t)(1 + player->index % room->addresses)}};
    socklen_t len = (socklen_t)cv_addr_to_system(&from, &address);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    int err = bind(fd, (const struct sockaddr *)&address, len);
    len = (socklen_t)cv_addr_to_system(&room->server, &address);
    if (err == 0)
        err = connect(fd, (const struct sockaddr *)&address, len) && errno != EINPROGRESS ? -1 : 0;
    if (err == 0)
        return fd;
    close(fd);
    return CV_E_SYSTEM;
}

static int open_all(struct player *player)
{
    struct player_room *room = player->room;
    struct cv_rtmp_client_config config = {.mode = CV_RTMP_CLIENT_PLAY,
                                           .crypto = &cv_crypto_openssl,
                                           .app = room->app,
                                           .name = room->name,
                                           .tc_url = room->tc_url,
                                           .media_bytes_max = MEDIA_BYTES_MAX};
    player->rtmp = cv_rtmp_client_new(&config, 0);
    player->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!player->rtmp || !player->http || cv_rtmp_client_connect(player->rtmp) != CV_OK)
        return CV_E_NOMEM;
    cv_http1_set_body_max(player->http, UINT64_MAX);
    player->fd = open_socket(player);
    if (player->fd < 0)
        return player->fd;
    return cv_watch_start(&player->watch, room->loop, player->fd, CV_WATCH_WRITE, on_ready, player);
}

int player_start(struct player *player, struct player_room *room, unsigned index)
{
    player->room = room;
    player->index = index;
    player->fd = -1;
    cv_timer_init(&player->pause, room->loop, request_idle, player);
    int err = open_all(player);
    if (err != CV_OK)
        player_stop(player);
    return err;
}
