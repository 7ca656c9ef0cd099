#include "cli/relay_hub.h"

#include "base/limits.h"
#include "base/mem.h"
#include "cli/teller.h"
#include "client/local.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"
#include "media/cursor.h"
#include "media/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

enum { LABEL_BYTES = 80, US_PER_S = 1000000 };

// One local program.
struct seat {
    struct cv_relay_hub *hub;
    struct cv_local *local;
    struct stream *stream; // what it publishes, plays, or waits for; NULL: none
    struct cv_cursor cursor;
    struct seat *prev, *next;
};

// One stream at the far server.
struct stream {
    struct cv_relay_hub *hub;
    char url[CV_LIMIT_URL_BYTES + 1];
    char label[LABEL_BYTES];
    bool publishes; // else it is played
    bool started;   // at the far end
    bool accepted;  // publisher: was told so
    bool closing;   // cv_connection_close was called
    struct cv_stream_plan plan;
    struct cv_teller teller;
    struct cv_connection *connection;
    struct seat *publisher;  // NULL: has gone
    struct seat *waiting;    // the next publisher, while this one's connection says goodbye
    struct cv_timer answer;  // publisher: then it is accepted, whatever the far server does
    struct cv_timer goodbye; // closing: is anything still delivered?
    uint64_t goodbye_bytes;  // what waited when that was looked at last
    // players
    struct cv_stream_log log;
    struct cv_intake intake;
    struct cv_turn turn; // they are given what is new
    struct stream *prev, *next;
};

struct cv_relay_hub {
    struct cv_loop *loop;
    const struct cv_stream_options *options;
    const char *url;
    struct cv_tls_trust *trust;
    struct cv_attempt_room *attempts;
    struct cv_local_room *locals;
    struct seat *seats;     // list
    struct stream *streams; // list
    unsigned seat_count;
    unsigned stream_count; // those that say goodbye, too
    bool stopping;
};

// ---- players --------------------------------------------------------------------------------

// As much as the player takes now.
static void pump(struct seat *seat)
{
    struct cv_rtmp_host *host = cv_local_host(seat->local);
    struct cv_msg msg;
    while (!cv_local_is_blocked(seat->local) &&
           cv_cursor_next(&seat->cursor, &seat->stream->log, &msg) > 0) {
        if (cv_rtmp_host_send(host, &msg) != CV_OK)
            break; // no memory: the message is lost
        if (cv_rtmp_host_out_bytes(host) > CV_LOCAL_OUT_BYTES)
            cv_local_flush(seat->local);
    }
    cv_local_flush(seat->local);
}

static bool plays(const struct seat *seat, const struct stream *stream)
{
    return seat->stream == stream && !stream->publishes;
}

static void on_turn(void *arg)
{
    struct stream *stream = arg;
    struct seat *seat, *next;
    DL_FOREACH_SAFE (stream->hub->seats, seat, next) {
        if (plays(seat, stream))
            pump(seat);
    }
}

static void accept_player(struct seat *seat)
{
    cv_rtmp_host_accept(cv_local_host(seat->local));
    seat->cursor = cv_cursor_new();
    cv_cursor_wait(&seat->cursor, &seat->stream->log);
    pump(seat);
}

// ---- a stream begins ------------------------------------------------------------------------

static void on_event(void *arg, const struct cv_connection_event *event);
static void on_goodbye(void *arg);

static void on_answer(void *arg)
{
    struct stream *stream = arg;
    if (!stream->publisher || stream->accepted)
        return;
    stream->accepted = true;
    cv_timer_stop(&stream->answer);
    cv_rtmp_host_accept(cv_local_host(stream->publisher->local));
    cv_local_flush(stream->publisher->local);
}

static int connect_stream(struct stream *stream)
{
    struct cv_connection_config config = {
        .mode = stream->publishes ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
        .patient = stream->publishes,
        .return_s = stream->publishes ? CV_RELAY_RETURN_S : 0,
        .on_event = on_event,
        .arg = stream,
    };
    cv_stream_plan_apply(&stream->plan, &config);
    stream->connection = cv_connection_new(stream->hub->attempts, &config);
    return stream->connection ? CV_OK : CV_E_NOMEM;
}

static void stream_free(struct stream *stream)
{
    DL_DELETE(stream->hub->streams, stream);
    stream->hub->stream_count--;
    cv_timer_stop(&stream->answer);
    cv_timer_stop(&stream->goodbye);
    cv_turn_cancel(stream->hub->attempts, &stream->turn);
    cv_connection_free(&stream->connection);
    cv_stream_log_done(&stream->log);
    cv_stream_plan_done(&stream->plan);
    cv_mem_free(stream);
}

// The name comes from a local program: without its key, and without what moves a terminal's cursor.
static void name_stream(struct stream *stream)
{
    const char *name = stream->plan.target.name;
    char plain[LABEL_BYTES - sizeof "publish "];
    cv_text_escape(plain, sizeof plain, (struct cv_text){name, strcspn(name, "?")});
    snprintf(stream->label, sizeof stream->label, "%s %s", stream->publishes ? "publish" : "play",
             plain);
    cv_teller_init(&stream->teller, stderr, stream->hub->options, stream->plan.target.host,
                   cv_clock_now_us());
    stream->teller.label = stream->label;
}

// NULL with *why: the URL is wrong, or no memory.
static struct stream *stream_new(struct cv_relay_hub *hub, const char *url, bool publishes,
                                 struct cv_why *why)
{
    if (hub->stream_count >= CV_LIMIT_RELAY_STREAMS) {
        cv_why_set(why, CV_E_TOO_MANY, "relay",
                   "Too many streams at a time: the relay has room for %d.",
                   CV_LIMIT_RELAY_STREAMS);
        return NULL;
    }
    struct stream *stream = cv_mem_zero(1, sizeof *stream);
    if (!stream) {
        cv_why_set(why, CV_E_NOMEM, "relay", "no memory");
        return NULL;
    }
    stream->hub = hub;
    stream->publishes = publishes;
    snprintf(stream->url, sizeof stream->url, "%s", url);
    cv_stream_log_init(&stream->log, &(struct cv_log_limits){.bytes_max = CV_LOG_BYTES_MAX,
                                                             .ms_max = CV_PLAY_BEHIND_MS,
                                                             .gop_ms_max = CV_LOG_GOP_MS_MAX,
                                                             .gop_cache = true});
    stream->intake = cv_intake_new(&stream->log);
    cv_turn_init(&stream->turn, on_turn, stream);
    cv_timer_init(&stream->answer, hub->loop, on_answer, stream);
    cv_timer_init(&stream->goodbye, hub->loop, on_goodbye, stream);
    DL_APPEND(hub->streams, stream);
    hub->stream_count++;
    if (cv_stream_plan_make(&stream->plan, hub->options, url, hub->trust, why) == CV_OK) {
        name_stream(stream);
        if (connect_stream(stream) == CV_OK)
            return stream;
        cv_why_set(why, CV_E_NOMEM, "relay", "no memory");
    }
    stream_free(stream);
    return NULL;
}

// What waits is delivered first; who goes on delivering has the time for it.
static void close_stream(struct stream *stream)
{
    uint64_t patience_s = stream->hub->stopping ? CV_RELAY_STOP_S : CV_RELAY_GOODBYE_S;
    if (!stream->closing || stream->hub->stopping)
        cv_timer_start(&stream->goodbye, patience_s * US_PER_S);
    if (stream->closing)
        return;
    stream->closing = true;
    cv_timer_stop(&stream->answer);
    stream->goodbye_bytes = cv_connection_stats(stream->connection).waiting_bytes;
    cv_connection_close(stream->connection);
}

// ---- seats ----------------------------------------------------------------------------------

static void refuse(struct seat *seat, enum cv_status status, const char *text)
{
    cv_rtmp_host_refuse(cv_local_host(seat->local), status, text);
    seat->stream = NULL;
    cv_local_finish(seat->local);
}

static bool has_players(const struct stream *stream)
{
    const struct seat *seat;
    DL_FOREACH (stream->hub->seats, seat) {
        if (plays(seat, stream))
            return true;
    }
    return false;
}

// It has ended what it asked for.
static void leave(struct seat *seat)
{
    struct stream *stream = seat->stream;
    seat->stream = NULL;
    if (!stream)
        return;
    if (stream->waiting == seat) {
        stream->waiting = NULL;
        return;
    }
    if (stream->publisher == seat)
        stream->publisher = NULL;
    else if (has_players(stream))
        return;
    close_stream(stream);
}

// A publisher waits for one that says goodbye; players begin anew.
static struct stream *find_stream(const struct cv_relay_hub *hub, const char *url, bool publishes)
{
    struct stream *stream;
    DL_FOREACH (hub->streams, stream) {
        bool fits = publishes || !stream->closing;
        if (fits && stream->publishes == publishes && strcmp(stream->url, url) == 0)
            return stream;
    }
    return NULL;
}

static void publish(struct seat *seat, const char *url)
{
    struct stream *stream = find_stream(seat->hub, url, true);
    struct cv_why why = {.code = CV_OK};
    if (stream && (!stream->closing || stream->waiting)) {
        refuse(seat, CV_STATUS_PUBLISH_BAD_NAME, "This stream is published through this relay.");
        return;
    }
    if (stream) {
        stream->waiting = seat;
        seat->stream = stream;
        return;
    }
    stream = stream_new(seat->hub, url, true, &why);
    if (!stream) {
        refuse(seat, CV_STATUS_PUBLISH_BAD_NAME, why.text);
        return;
    }
    seat->stream = stream;
    stream->publisher = seat;
    cv_timer_start(&stream->answer, CV_RELAY_ANSWER_MS * UINT64_C(1000));
}

static void play(struct seat *seat, const char *url)
{
    struct stream *stream = find_stream(seat->hub, url, false);
    struct cv_why why = {.code = CV_OK};
    if (!stream)
        stream = stream_new(seat->hub, url, false, &why);
    if (!stream) {
        refuse(seat, CV_STATUS_PLAY_FAILED, why.text);
        return;
    }
    seat->stream = stream;
    if (stream->started)
        accept_player(seat);
}

// The far stream's URL: as it was given, or with the local name behind it; and the local app, where
// not even an app was given. False: too long.
static bool far_url(const struct cv_relay_hub *hub, const struct cv_rtmp_host_event *event,
                    char *out, size_t size)
{
    struct cv_target target;
    size_t len = strlen(hub->url);
    if (cv_target_parse(&target, cv_text_of(hub->url), NULL) != CV_OK)
        return false;
    const char *slash = len && hub->url[len - 1] == '/' ? "" : "/";
    int need;
    if (target.name[0])
        need = snprintf(out, size, "%s", hub->url);
    else if (target.app[0])
        need =
            snprintf(out, size, "%s%s%.*s", hub->url, slash, (int)event->name.len, event->name.at);
    else
        need = snprintf(out, size, "%s%s%.*s/%.*s", hub->url, slash, (int)event->app.len,
                        event->app.at, (int)event->name.len, event->name.at);
    return need > 0 && (size_t)need < size;
}

static void on_asked(struct seat *seat, const struct cv_rtmp_host_event *event)
{
    char url[CV_LIMIT_URL_BYTES + 1];
    bool publishes = event->type == CV_RTMP_HOST_PUBLISH;
    if (seat->hub->stopping || event->name.len == 0 || !far_url(seat->hub, event, url, sizeof url))
        refuse(seat, publishes ? CV_STATUS_PUBLISH_BAD_NAME : CV_STATUS_PLAY_FAILED,
               "The stream has no name that the relay can pass on.");
    else if (publishes)
        publish(seat, url);
    else
        play(seat, url);
}

static void on_local_event(void *arg, const struct cv_rtmp_host_event *event)
{
    struct seat *seat = arg;
    switch (event->type) {
    case CV_RTMP_HOST_PUBLISH:
    case CV_RTMP_HOST_PLAY:
        on_asked(seat, event);
        return;
    case CV_RTMP_HOST_MESSAGE:
        if (seat->stream && !seat->stream->closing)
            cv_connection_send(seat->stream->connection, &event->msg); // what it drops, it counts
        return;
    case CV_RTMP_HOST_STOP:
        leave(seat);
        return;
    }
}

static void seat_free(struct seat *seat)
{
    leave(seat);
    DL_DELETE(seat->hub->seats, seat);
    seat->hub->seat_count--;
    cv_local_free(&seat->local);
    cv_mem_free(seat);
}

static void on_local_gone(void *arg, const struct cv_why *why)
{
    (void)why; // an encoder that goes is no failure of ours
    seat_free(arg);
}

static void on_local_room(void *arg)
{
    struct seat *seat = arg;
    if (seat->stream && !seat->stream->publishes && seat->stream->started)
        pump(seat);
}

static const struct cv_local_user local_user = {
    .event = on_local_event,
    .gone = on_local_gone,
    .room = on_local_room,
};

void cv_relay_hub_accept(void *arg, int fd, const struct cv_addr *peer)
{
    struct cv_relay_hub *hub = arg;
    struct seat *seat =
        hub->seat_count < CV_LIMIT_LOCALS && !hub->stopping ? cv_mem_zero(1, sizeof *seat) : NULL;
    (void)peer;
    if (seat)
        seat->local = cv_local_new(hub->locals, fd, &local_user, seat);
    if (!seat || !seat->local) {
        cv_mem_free(seat);
        cv_socket_close(&fd);
        return;
    }
    seat->hub = hub;
    hub->seat_count++;
    DL_APPEND(hub->seats, seat);
}

// ---- the far server -------------------------------------------------------------------------

static void on_started(struct stream *stream)
{
    struct seat *seat, *next;
    stream->started = true;
    if (stream->publishes) {
        on_answer(stream);
        return;
    }
    DL_FOREACH_SAFE (stream->hub->seats, seat, next) {
        if (plays(seat, stream))
            accept_player(seat);
    }
}

static void end_players(struct stream *stream, const struct cv_connection_event *event)
{
    struct seat *seat, *next;
    bool missing = event->end == CV_END_NOT_FOUND;
    DL_FOREACH_SAFE (stream->hub->seats, seat, next) {
        if (!plays(seat, stream))
            continue;
        if (!stream->started) {
            refuse(seat, missing ? CV_STATUS_PLAY_NOT_FOUND : CV_STATUS_PLAY_FAILED,
                   event->why->text);
            continue;
        }
        pump(seat);
        cv_rtmp_host_over(cv_local_host(seat->local));
        seat->stream = NULL;
        cv_local_finish(seat->local);
    }
}

static void end_publisher(struct stream *stream, const struct cv_connection_event *event)
{
    bool said = event->end == CV_END_REFUSED || event->end == CV_END_NOT_FOUND;
    if (stream->publisher)
        refuse(stream->publisher, said ? CV_STATUS_PUBLISH_BAD_NAME : CV_STATUS_STREAM_FAILED,
               event->why->text);
}

static void on_ended(struct stream *stream, const struct cv_connection_event *event)
{
    struct cv_relay_hub *hub = stream->hub;
    struct seat *waiting = stream->waiting;
    struct cv_connection_stats stats = cv_connection_stats(stream->connection);
    char url[sizeof stream->url];
    memcpy(url, stream->url, sizeof url);
    cv_teller_end(&stream->teller, event);
    cv_teller_say(&stream->teller, "over: %" PRIu64 " messages, %" PRIu64 " cuts, %" PRIu64 " lost",
                  stats.messages, stats.cuts, stats.lost);
    cv_teller_finish(&stream->teller, 0, &stats);
    if (stream->publishes)
        end_publisher(stream, event);
    else
        end_players(stream, event);
    stream_free(stream);
    if (!waiting)
        return;
    waiting->stream = NULL;
    if (hub->stopping)
        refuse(waiting, CV_STATUS_STREAM_FAILED, "The relay ends.");
    else
        publish(waiting, url);
}

// Its publisher has gone, and the far server takes nothing: another publisher, or the relay's end,
// must not wait until it comes back.
static void on_goodbye(void *arg)
{
    static const struct cv_why why = {.code = CV_E_TIMEOUT, .text = "The relay ends."};
    struct stream *stream = arg;
    struct cv_connection_stats stats = cv_connection_stats(stream->connection);
    bool goes_on = stats.now.name && stats.waiting_bytes != stream->goodbye_bytes;
    stream->goodbye_bytes = stats.waiting_bytes;
    if (goes_on && !stream->hub->stopping) {
        cv_timer_start(&stream->goodbye, CV_RELAY_GOODBYE_S * (uint64_t)US_PER_S);
        return;
    }
    if (stats.waiting_bytes)
        cv_teller_say(&stream->teller, "%" PRIu64 " KB could not be delivered to the end",
                      (stats.waiting_bytes + 1023) / 1024);
    on_ended(stream, &(struct cv_connection_event){
                         .type = CV_CONNECTION_ENDED, .end = CV_END_CLOSED, .why = &why});
}

static void on_event(void *arg, const struct cv_connection_event *event)
{
    struct stream *stream = arg;
    cv_teller_event(&stream->teller, event);
    switch (event->type) {
    case CV_CONNECTION_STARTED:
        on_started(stream);
        return;
    case CV_CONNECTION_MESSAGE:
        cv_teller_first_media(&stream->teller);
        if (cv_intake_put(&stream->intake, &event->msg) == 1)
            cv_turn_want(stream->hub->attempts, &stream->turn);
        return;
    case CV_CONNECTION_RESUMED:
        cv_intake_resumed(&stream->intake);
        return;
    case CV_CONNECTION_ENDED:
        on_ended(stream, event);
        return;
    default:
        return;
    }
}

// ---- life -----------------------------------------------------------------------------------

struct cv_relay_hub *cv_relay_hub_new(struct cv_loop *loop, const struct cv_stream_options *options,
                                      const char *url, struct cv_tls_trust *trust)
{
    struct cv_relay_hub *hub = cv_mem_zero(1, sizeof *hub);
    if (!hub)
        return NULL;
    hub->loop = loop;
    hub->options = options;
    hub->url = url;
    hub->trust = trust;
    hub->attempts = cv_attempt_room_new(loop);
    hub->locals = cv_local_room_new(loop);
    if (hub->attempts && hub->locals)
        return hub;
    cv_relay_hub_free(hub);
    return NULL;
}

void cv_relay_hub_free(struct cv_relay_hub *hub)
{
    if (!hub)
        return;
    hub->stopping = true;
    struct seat *seat, *next_seat;
    DL_FOREACH_SAFE (hub->seats, seat, next_seat) {
        seat->stream = NULL;
        seat_free(seat);
    }
    struct stream *stream, *next;
    DL_FOREACH_SAFE (hub->streams, stream, next)
        stream_free(stream);
    cv_loop_run_once(hub->loop); // lets go of what was closed
    cv_local_room_free(hub->locals);
    cv_attempt_room_free(hub->attempts);
    cv_mem_free(hub);
}

void cv_relay_hub_stop(struct cv_relay_hub *hub)
{
    struct stream *stream, *next;
    hub->stopping = true;
    DL_FOREACH_SAFE (hub->streams, stream, next)
        close_stream(stream);
}

bool cv_relay_hub_is_idle(const struct cv_relay_hub *hub)
{
    return hub->streams == NULL;
}

void cv_relay_hub_progress(struct cv_relay_hub *hub)
{
    struct stream *stream = hub->streams;
    if (!stream)
        return;
    struct cv_connection_stats stats = cv_connection_stats(stream->connection);
    uint64_t lasted_us = cv_clock_now_us() - stream->teller.start_us;
    cv_teller_progress(&stream->teller, lasted_us / 1000, &stats);
}
