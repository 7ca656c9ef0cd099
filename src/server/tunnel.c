#include "server/tunnel.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/conn.h"
#include "server/netconn.h"
#include "server/table.h"
#include "server/web_tunnel.h"
#include "server/worker.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

// What goes with the answer to /open: S0 S1 S2, and a few messages.
enum { BEGINNING_BYTES = 8192 };

struct cv_tunnel {
    struct cv_netconn net;
    UT_hash_handle hh;
    char id[CV_RTMPT_ID_CHARS];
    struct cv_rtmpt *rtmpt;
    struct cv_timer timer;
    bool finishing;
    struct cv_tunnel_window window; // of the newest idle
    uint32_t window_ms_max;         // as configured
    bool was_full;                  // connections may have stopped to read for it
};

static struct cv_tunnel *tunnel_of(struct cv_netconn *net)
{
    return (struct cv_tunnel *)((char *)net - offsetof(struct cv_tunnel, net));
}

static uint64_t now_us(const struct cv_tunnel *tunnel)
{
    return cv_loop_now_us(tunnel->net.worker->loop);
}

// ---- the client's bytes -----------------------------------------------------------------------

// /close: FFmpeg says nothing else when it ends.
static void leave(struct cv_tunnel *tunnel)
{
    cv_session_leave(&tunnel->net.session);
    cv_netconn_finish(&tunnel->net);
}

// What the engine has put into order. The end of the session is told by its events, too.
static void take_events(struct cv_tunnel *tunnel)
{
    struct cv_rtmpt_event event;
    int more;
    while ((more = cv_rtmpt_next(tunnel->rtmpt, &event)) == 1) {
        if (event.type == CV_RTMPT_ENDED)
            leave(tunnel);
        else if (!tunnel->net.doomed)
            cv_netconn_take(&tunnel->net, event.data, event.len);
    }
    if (more < 0)
        cv_netconn_doom(&tunnel->net, more, "tunnel");
    cv_netconn_mark(&tunnel->net);
}

int cv_tunnel_request(struct cv_tunnel *tunnel, uint64_t ticket,
                      const struct cv_rtmpt_target *target, struct cv_tunnel_window window)
{
    if (tunnel->net.doomed)
        return CV_E_CLOSED;
    if (window.ms > tunnel->window_ms_max)
        window.ms = tunnel->window_ms_max;
    if (target->kind == CV_RTMPT_IDLE)
        tunnel->window = window;
    int err = cv_rtmpt_request(tunnel->rtmpt, ticket, target, now_us(tunnel));
    take_events(tunnel);
    return err;
}

void cv_tunnel_body(struct cv_tunnel *tunnel, uint64_t ticket, const uint8_t *data, size_t len)
{
    if (tunnel->net.doomed)
        return;
    cv_rtmpt_body(tunnel->rtmpt, ticket, data, len, now_us(tunnel));
    take_events(tunnel);
}

void cv_tunnel_end(struct cv_tunnel *tunnel, uint64_t ticket)
{
    if (tunnel->net.doomed)
        return;
    cv_rtmpt_end(tunnel->rtmpt, ticket, now_us(tunnel));
    take_events(tunnel);
}

void cv_tunnel_gone(struct cv_tunnel *tunnel, uint64_t ticket)
{
    cv_rtmpt_gone(tunnel->rtmpt, ticket, now_us(tunnel));
    take_events(tunnel);
}

void cv_tunnel_sent(struct cv_tunnel *tunnel, uint64_t ticket)
{
    cv_rtmpt_sent(tunnel->rtmpt, ticket);
    cv_netconn_progress(&tunnel->net);
    cv_netconn_mark(&tunnel->net);
}

void cv_tunnel_hurry(struct cv_tunnel *tunnel)
{
    cv_rtmpt_hurry(tunnel->rtmpt);
    cv_netconn_mark(&tunnel->net);
}

bool cv_tunnel_is_full(const struct cv_tunnel *tunnel)
{
    return tunnel->net.paused;
}

// ---- replies --------------------------------------------------------------------------------

static void set_mode(struct cv_tunnel *tunnel)
{
    const struct cv_session *session = &tunnel->net.session;
    enum cv_rtmpt_mode mode = CV_RTMPT_SETUP;
    if (cv_session_is_playing(session))
        mode = tunnel->window.ms && cv_session_flows(session) ? CV_RTMPT_FLOW : CV_RTMPT_PLAY;
    if (cv_session_is_publishing(session))
        mode = CV_RTMPT_PUBLISH;
    cv_rtmpt_set_mode(tunnel->rtmpt, mode);
    cv_rtmpt_set_window(tunnel->rtmpt, tunnel->window.ms, tunnel->window.kept);
}

static void rearm(struct cv_tunnel *tunnel)
{
    uint64_t deadline = cv_rtmpt_deadline_us(tunnel->rtmpt);
    if (deadline == UINT64_MAX)
        cv_timer_stop(&tunnel->timer);
    else
        cv_timer_start_at(&tunnel->timer, deadline);
}

// Makes one reply if one is due. False: none is, or it has to wait.
static bool reply_once(struct cv_tunnel *tunnel)
{
    uint64_t ticket;
    enum cv_rtmpt_due due = cv_rtmpt_due(tunnel->rtmpt, now_us(tunnel), &ticket);
    if (due == CV_RTMPT_NONE)
        return false;
    int filled = cv_netconn_fill(&tunnel->net);
    if (filled < 0)
        cv_netconn_doom(&tunnel->net, filled, "write");
    if (filled < 0 || cv_rtmpt_due(tunnel->rtmpt, now_us(tunnel), &ticket) != CV_RTMPT_NOW)
        return false;
    struct cv_web *web = cv_web_find(tunnel->net.worker, ticket);
    if (!web || !cv_web_is_free(web))
        return false;
    struct cv_rtmpt_reply reply;
    cv_rtmpt_reply(tunnel->rtmpt, now_us(tunnel), &reply);
    cv_web_reply(web, &reply);
    return true;
}

// Everything has been said, and perhaps taken: then nobody needs to wait.
static void end(struct cv_tunnel *tunnel)
{
    if (cv_rtmpt_over(tunnel->rtmpt))
        cv_netconn_doom(&tunnel->net, CV_OK, "finish");
    else
        cv_netconn_linger(&tunnel->net);
}

static void tunnel_flush(struct cv_netconn *net)
{
    struct cv_tunnel *tunnel = tunnel_of(net);
    if (tunnel->was_full && !cv_tunnel_is_full(tunnel)) {
        tunnel->was_full = false;
        cv_web_go_on(net->worker, tunnel);
    }
    set_mode(tunnel);
    if (net->phase == CV_NETCONN_DRAIN && !tunnel->finishing) {
        tunnel->finishing = true;
        cv_rtmpt_finish(tunnel->rtmpt);
    }
    while (reply_once(tunnel))
        continue;
    if (net->phase == CV_NETCONN_DRAIN && cv_rtmp_out_empty(net->rtmp))
        end(tunnel);
    rearm(tunnel);
}

static void on_timer(void *arg)
{
    struct cv_tunnel *tunnel = arg;
    cv_rtmpt_tick(tunnel->rtmpt, now_us(tunnel));
    take_events(tunnel);
    rearm(tunnel);
}

// ---- the NetConnection's side -----------------------------------------------------------------

// Requests are read again in its flush: the NetConnection has kept bytes that come before them.
static void tunnel_watch(struct cv_netconn *net)
{
    tunnel_of(net)->was_full = true;
    if (net->paused)
        return;
    cv_netconn_mark(net);
    cv_worker_retry(net->worker);
}

static void remember(struct cv_worker *worker, const char *id)
{
    memcpy(worker->ended_tunnels[worker->ended_tunnel], id, CV_RTMPT_ID_CHARS);
    worker->ended_tunnel = (worker->ended_tunnel + 1) % CV_ENDED_TUNNELS;
}

static bool has_ended(const struct cv_worker *worker, struct cv_text id)
{
    for (int i = 0; i < CV_ENDED_TUNNELS; i++) {
        if (memcmp(worker->ended_tunnels[i], id.at, CV_RTMPT_ID_CHARS) == 0)
            return true;
    }
    return false;
}

static void tunnel_free(struct cv_netconn *net)
{
    struct cv_tunnel *tunnel = tunnel_of(net);
    cv_web_tunnel_over(net->worker, tunnel);
    if (tunnel->hh.tbl)
        HASH_DEL(net->worker->tunnels, tunnel);
    remember(net->worker, tunnel->id);
    cv_timer_stop(&tunnel->timer);
    cv_rtmpt_free(tunnel->rtmpt);
    cv_conn_dismiss(net->worker, &net->peer);
    cv_mem_free(tunnel);
}

static const struct cv_carrier tunnel_carrier = {
    .name = "rtmpt",
    .flush = tunnel_flush,
    .watch = tunnel_watch,
    .free = tunnel_free,
};

// ---- sessions -------------------------------------------------------------------------------

static uint64_t now_s(const struct cv_worker *worker)
{
    return cv_loop_now_us(worker->loop) / 1000000;
}

// An id names the thread of its session, and tells whether that was opened inside TLS.
enum { OWNER_SECURE = 0x800 };
static_assert((int)CV_LIMIT_THREADS <= OWNER_SECURE &&
                  2 * OWNER_SECURE - 1 <= (int)CV_RTMPT_OWNER_MAX,
              "an id has no room for it");

int cv_tunnel_make_id(struct cv_worker *worker, bool secure, struct cv_rtmpt_id *out)
{
    uint32_t owner = worker->index | (secure ? OWNER_SECURE : 0);
    return cv_rtmpt_id_make(out, &worker->shared->tunnel_secret, owner, now_s(worker));
}

static int read_owner(struct cv_text id, unsigned *thread, bool *secure)
{
    uint32_t owner;
    int err = cv_rtmpt_id_owner(id, &owner);
    if (err != CV_OK)
        return err;
    *thread = owner & ~(uint32_t)OWNER_SECURE;
    *secure = owner & OWNER_SECURE;
    return CV_OK;
}

// What was opened inside TLS goes on there: who has overheard an id, or lets plain text be, cannot
// take it out. One that a proxy has taken out of TLS is plain text to us, from its beginning on.
static bool is_exposed(struct cv_text id, const struct cv_origin *origin)
{
    unsigned thread;
    bool secure = false;
    return read_owner(id, &thread, &secure) == CV_OK && secure && !origin->tls;
}

// NULL: no memory; the peer is counted out again by then, or will be at the end of the turn.
static struct cv_tunnel *tunnel_new(struct cv_worker *worker, const char *id,
                                    const struct cv_origin *client)
{
    struct cv_tunnel *tunnel = cv_mem_zero(1, sizeof *tunnel);
    if (!tunnel) {
        cv_conn_dismiss(worker, &client->peer);
        return NULL;
    }
    struct cv_origin origin = {.peer = client->peer,
                               .id = ++worker->last_conn_id,
                               .tls = client->tls,
                               .opened_us = cv_loop_now_us(worker->loop)};
    if (cv_netconn_init(&tunnel->net, worker, &tunnel_carrier, &origin) != CV_OK) {
        cv_conn_dismiss(worker, &client->peer);
        cv_mem_free(tunnel);
        return NULL;
    }
    memcpy(tunnel->id, id, sizeof tunnel->id);
    cv_timer_init(&tunnel->timer, worker->loop, on_timer, tunnel);
    HASH_ADD(hh, worker->tunnels, id, sizeof tunnel->id, tunnel);
    struct cv_rtmpt_config config = {.rtmp = tunnel->net.rtmp};
    tunnel->window_ms_max = worker->policy->config->limits.tunnel_window_ms;
    tunnel->rtmpt = cv_rtmpt_new(&config, origin.opened_us);
    if (tunnel->hh.tbl && tunnel->rtmpt)
        return tunnel;
    cv_netconn_doom(&tunnel->net, CV_E_NOMEM, "tunnel");
    return NULL;
}

// The first request of a session that this server has opened a moment ago.
static bool may_begin(const struct cv_worker *worker, const struct cv_rtmpt_target *target)
{
    unsigned thread;
    bool secure;
    if (target->kind == CV_RTMPT_CLOSE || target->n > 1 ||
        read_owner(target->id, &thread, &secure) != CV_OK || thread != worker->index ||
        has_ended(worker, target->id))
        return false;
    return cv_rtmpt_id_check(target->id, &worker->shared->tunnel_secret, now_s(worker),
                             CV_TUNNEL_OPEN_S) == CV_OK;
}

bool cv_tunnel_is(const struct cv_tunnel *tunnel, struct cv_text id)
{
    return id.len == sizeof tunnel->id && memcmp(tunnel->id, id.at, sizeof tunnel->id) == 0;
}

bool cv_tunnel_is_ours(struct cv_worker *worker, struct cv_text id)
{
    return cv_rtmpt_id_check(id, &worker->shared->tunnel_secret, now_s(worker), UINT32_MAX) ==
           CV_OK;
}

bool cv_tunnel_is_elsewhere(struct cv_worker *worker, struct cv_text id, unsigned *thread)
{
    unsigned home;
    bool secure;
    if (read_owner(id, &home, &secure) != CV_OK || home == worker->index ||
        home >= worker->shared->workers || !cv_tunnel_is_ours(worker, id))
        return false;
    *thread = home;
    return true;
}

struct cv_tunnel *cv_tunnel_find(struct cv_worker *worker, const struct cv_rtmpt_target *target,
                                 const struct cv_origin *origin)
{
    struct cv_tunnel *tunnel = NULL;
    if (target->id.len != CV_RTMPT_ID_CHARS || is_exposed(target->id, origin))
        return NULL;
    HASH_FIND(hh, worker->tunnels, target->id.at, CV_RTMPT_ID_CHARS, tunnel);
    if (tunnel || worker->stopping || !may_begin(worker, target))
        return tunnel;
    if (!cv_conn_admit(worker, &origin->peer))
        return NULL;
    return tunnel_new(worker, target->id.at, origin);
}

// The id, its LF, and what the engine says already (NULL: nothing).
static struct cv_block *beginning(struct cv_tunnel *tunnel, const struct cv_parcel *said)
{
    size_t bytes = said ? said->bytes : 0;
    struct cv_gather *gather = &tunnel->net.worker->gather;
    struct cv_block *block = cv_block_new(CV_RTMPT_ID_CHARS + 1 + bytes);
    if (!block)
        return NULL;
    cv_block_append(block, tunnel->id, CV_RTMPT_ID_CHARS);
    cv_block_append(block, "\n", 1);
    for (size_t at = 0; at < bytes; at += gather->bytes) {
        cv_gather_clear(gather);
        cv_parcel_pull(said, at, gather);
        for (int i = 0; i < gather->count; i++)
            cv_block_append(block, gather->vectors[i].iov_base, gather->vectors[i].iov_len);
    }
    return block;
}

static struct cv_block *take_beginning(struct cv_tunnel *tunnel)
{
    struct cv_rtmp *rtmp = tunnel->net.rtmp;
    if (cv_rtmp_out_empty(rtmp))
        return beginning(tunnel, NULL);
    struct cv_parcel *said = cv_rtmp_take(rtmp, BEGINNING_BYTES);
    struct cv_block *block = said ? beginning(tunnel, said) : NULL;
    cv_parcel_unref(&said);
    return block;
}

int cv_tunnel_begin(struct cv_worker *worker, const struct cv_origin *origin,
                    const struct cv_block *first, struct cv_block **out)
{
    struct cv_rtmpt_id id;
    int err = cv_tunnel_make_id(worker, origin->tls, &id);
    if (err == CV_OK && (worker->stopping || !cv_conn_admit(worker, &origin->peer)))
        err = CV_E_TOO_MANY;
    if (err != CV_OK)
        return err;
    struct cv_tunnel *tunnel = tunnel_new(worker, id.text, origin);
    if (!tunnel)
        return CV_E_NOMEM;
    cv_netconn_take(&tunnel->net, first->data, first->len);
    cv_netconn_mark(&tunnel->net);
    rearm(tunnel);
    *out = take_beginning(tunnel);
    if (*out)
        return CV_OK;
    cv_netconn_doom(&tunnel->net, CV_E_NOMEM, "tunnel");
    return CV_E_NOMEM;
}
