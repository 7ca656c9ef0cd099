// Players that get FLV over HTTP: GET /APP/NAME.flv on a connection of its own.
#include "cli/bench_state.h"

#include "base/limits.h"
#include "base/mem.h"
#include "client/leg.h"
#include "proto/flv.h"
#include "proto/http1.h"
#include "proto/http1_write.h"

#include <stdio.h>

enum { MEDIA_BYTES_MAX = 4 * 1048576 }; // one tag

struct cv_bench_flv {
    struct cv_bench_peer *peer; // NULL: it is closed
    struct cv_leg *leg;
    struct cv_http1 *http;
    struct cv_flv_reader *reader;
    bool busy; // inside a call of the leg's: freed behind it
};

// ---- life -----------------------------------------------------------------------------------

static void free_now(struct cv_bench_flv *flv)
{
    cv_http1_free(flv->http);
    cv_flv_reader_free(flv->reader);
    cv_mem_free(flv);
}

void cv__bench_flv_close(struct cv_bench_flv **place_of_flv)
{
    struct cv_bench_flv *flv = *place_of_flv;
    *place_of_flv = NULL;
    if (!flv)
        return;
    cv_leg_close(&flv->leg);
    flv->peer = NULL;
    if (!flv->busy)
        free_now(flv);
}

int cv__bench_flv_take_descriptor(struct cv_bench_flv **flv)
{
    if (!cv_leg_is_up((*flv)->leg))
        return CV_E_CLOSED;
    int fd = cv_leg_take_descriptor(&(*flv)->leg);
    cv__bench_flv_close(flv);
    return fd;
}

// ---- the request ------------------------------------------------------------------------------

static void put_target(const struct cv_bench_peer *peer, char *out, size_t size)
{
    const struct cv_target *target = &peer->bench->plan.target;
    char name[CV_LIMIT_NAME_BYTES + 16];
    cv__bench_peer_name(peer, name, sizeof name);
    int app = (int)cv_text_find(cv_text_of(target->app), '?');
    int stem = (int)cv_text_find(cv_text_of(name), '?');
    snprintf(out, size, "/%.*s/%.*s.flv%s", app, target->app, stem, name, name + stem);
}

static const char *authority(const struct cv_bench *bench)
{
    const struct cv_target *target = &bench->plan.target;
    return cv__bench_is_secure(bench) ? target->secure_authority : target->authority;
}

// A new connection takes a head of a few hundred bytes whole.
static int send_request(const struct cv_bench_flv *flv)
{
    const struct cv_bench *bench = flv->peer->bench;
    struct cv_gather *gather = &bench->legs->gather;
    uint8_t head[CV_LIMIT_TUNNEL_HEAD_BYTES + CV_LIMIT_URL_BYTES];
    char target[CV_LIMIT_APP_BYTES + CV_LIMIT_NAME_BYTES + 32];
    struct cv_wr wr = cv_wr_fixed(head, sizeof head);
    put_target(flv->peer, target, sizeof target);
    cv_http1_write_request(&wr, cv_text_of("GET"), cv_text_of(target));
    cv_http1_write_header(&wr, "Host", authority(bench));
    cv_http1_write_head_end(&wr);
    if (wr.err != CV_OK)
        return wr.err;
    cv_gather_clear(gather);
    cv_gather_borrow(gather, head, wr.len);
    int sent = cv_leg_write(flv->leg, gather);
    return sent == (int)wr.len ? CV_OK : CV_E_RESET;
}

// ---- the answer -------------------------------------------------------------------------------
//
// Behind a call of the peer's functions flv->peer is asked first: it may be closed.

static void lose(struct cv_bench_flv *flv, const char *what)
{
    char text[200];
    snprintf(text, sizeof text, "FLV over HTTP: %s", what);
    if (flv->peer)
        cv__bench_peer_lose(flv->peer, text);
}

static void take_head(struct cv_bench_flv *flv, const struct cv_http1_head *head)
{
    char text[60];
    if (head->status == 200) {
        cv__bench_peer_started(flv->peer);
        return;
    }
    snprintf(text, sizeof text, "the server answers %u", head->status);
    lose(flv, text);
}

static void take_body(struct cv_bench_flv *flv, struct cv_text body)
{
    struct cv_flv_event event;
    int more = 0;
    cv_flv_reader_feed(flv->reader, body.at, body.len);
    while (flv->peer && (more = cv_flv_reader_next(flv->reader, &event)) > 0) {
        struct cv_msg msg = {.type = event.type, .ts_ms = event.ts_ms, .payload = event.payload};
        bool media = event.type == CV_MSG_AUDIO || event.type == CV_MSG_VIDEO;
        if (event.kind == CV_FLV_TAG && media)
            flv->peer->user->media(flv->peer, &msg);
        cv_block_unref(&event.payload);
    }
    if (more < 0)
        lose(flv, cv_flv_reader_why(flv->reader)->text);
}

static void take(struct cv_bench_flv *flv, const uint8_t *data, size_t len)
{
    struct cv_http1_event event;
    int more = 0;
    cv_http1_feed(flv->http, data, len);
    while (flv->peer && (more = cv_http1_next(flv->http, &event)) > 0) {
        if (event.type == CV_HTTP1_HEAD)
            take_head(flv, event.head);
        else if (event.type == CV_HTTP1_BODY)
            take_body(flv, event.body);
        else if (event.type == CV_HTTP1_END)
            lose(flv, "the server has ended it");
    }
    if (more < 0)
        lose(flv, cv_http1_why(flv->http)->text);
}

// ---- the leg ----------------------------------------------------------------------------------

static void leave(struct cv_bench_flv *flv)
{
    flv->busy = false;
    if (!flv->peer)
        free_now(flv);
}

static void on_up(void *arg)
{
    struct cv_bench_flv *flv = arg;
    flv->busy = true;
    int err = send_request(flv);
    if (err != CV_OK)
        lose(flv, cv_err_text(err));
    leave(flv);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct cv_bench_flv *flv = arg;
    flv->busy = true;
    take(flv, data, len);
    leave(flv);
}

static void on_room(void *arg)
{
    (void)arg;
}

static void on_down(void *arg, int code)
{
    struct cv_bench_flv *flv = arg;
    const struct cv_why *why = cv_leg_why(flv->leg);
    flv->busy = true;
    if (cv_err_class(code) == CV_CLASS_REFUSED && why->code != CV_OK) // the first names the code
        cv_why_set(flv->peer->bench->why, code, "bench", "%s", why->text);
    lose(flv, why->code != CV_OK ? why->text : cv_err_text(code));
    leave(flv);
}

int cv__bench_flv_open(struct cv_bench_flv **out, struct cv_bench_peer *peer)
{
    static const struct cv_leg_owner owner = {
        .up = on_up, .bytes = on_bytes, .room = on_room, .down = on_down};
    const struct cv_bench *bench = peer->bench;
    const struct cv_target *target = &bench->plan.target;
    bool secure = cv__bench_is_secure(bench);
    struct cv_leg_config config = {
        .host = target->host,
        .port = secure ? target->secure_port : target->port,
        .trust = secure ? bench->plan.trust : NULL,
        .addrs = bench->addrs,
        .addr_count = bench->addr_count,
        .owner = &owner,
    };
    struct cv_bench_flv *flv = cv_mem_zero(1, sizeof *flv);
    if (!flv)
        return CV_E_NOMEM;
    config.arg = flv;
    flv->peer = peer;
    flv->http = cv_http1_new(CV_HTTP1_RESPONSES);
    flv->reader = cv_flv_reader_new(MEDIA_BYTES_MAX);
    flv->leg = flv->http && flv->reader ? cv_leg_open(bench->legs, &config) : NULL;
    if (!flv->leg) {
        free_now(flv);
        return CV_E_NOMEM;
    }
    cv_http1_expect(flv->http, CV_METHOD_GET, false);
    cv_http1_set_body_max(flv->http, UINT64_MAX);
    *out = flv;
    return CV_OK;
}
