#include "server/tunnel.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/conn.h"
#include "server/netconn.h"
#include "server/table.h"
#include "server/web_tunnel.h"
#include "server/worker.h"

#include <stddef.h>
#include <string.h>

struct cv_tunnel {
    struct cv_netconn net;
    UT_hash_handle hh;
    char id[CV_RTMPT_ID_CHARS];
    struct cv_rtmpt *rtmpt;
    struct cv_timer timer;
    struct cv_block *stash; // bytes that the NetConnection cannot take yet; NULL: none
    bool finishing;
    bool was_full; // connections may have stopped to read for it
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

static int keep(struct cv_tunnel *tunnel, const uint8_t *data, size_t len)
{
    if (!tunnel->stash)
        tunnel->stash = cv_block_new(len);
    if (!tunnel->stash)
        return CV_E_NOMEM;
    int err = cv_block_reserve(&tunnel->stash, tunnel->stash->len + len);
    if (err == CV_OK)
        cv_block_append(tunnel->stash, data, len);
    return err;
}

static int take(struct cv_tunnel *tunnel, const uint8_t *data, size_t len)
{
    if (tunnel->net.doomed)
        return CV_OK;
    if (tunnel->net.paused || tunnel->stash)
        return keep(tunnel, data, len);
    cv_netconn_take(&tunnel->net, data, len);
    return CV_OK;
}

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
        else if (take(tunnel, event.data, event.len) != CV_OK)
            cv_netconn_doom(&tunnel->net, CV_E_NOMEM, "tunnel");
    }
    if (more < 0)
        cv_netconn_doom(&tunnel->net, more, "tunnel");
    cv_netconn_mark(&tunnel->net);
}

int cv_tunnel_request(struct cv_tunnel *tunnel, uint64_t ticket,
                      const struct cv_rtmpt_target *target)
{
    if (tunnel->net.doomed)
        return CV_E_CLOSED;
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

bool cv_tunnel_is_full(const struct cv_tunnel *tunnel)
{
    return tunnel->net.paused || tunnel->stash;
}

// ---- replies --------------------------------------------------------------------------------

static void set_mode(struct cv_tunnel *tunnel)
{
    const struct cv_session *session = &tunnel->net.session;
    enum cv_rtmpt_mode mode = CV_RTMPT_SETUP;
    if (cv_session_is_playing(session))
        mode = CV_RTMPT_PLAY;
    if (cv_session_is_publishing(session))
        mode = CV_RTMPT_PUBLISH;
    cv_rtmpt_set_mode(tunnel->rtmpt, mode);
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

// After a pause: what was kept, and then the requests that were not read.
static void go_on(struct cv_tunnel *tunnel)
{
    struct cv_block *stash = tunnel->stash;
    if (!stash || tunnel->net.paused || tunnel->net.doomed)
        return;
    tunnel->stash = NULL;
    if (take(tunnel, stash->data, stash->len) != CV_OK)
        cv_netconn_doom(&tunnel->net, CV_E_NOMEM, "tunnel");
    cv_block_unref(&stash);
}

static void tunnel_flush(struct cv_netconn *net)
{
    struct cv_tunnel *tunnel = tunnel_of(net);
    go_on(tunnel);
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
        cv_netconn_linger(net);
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

// Not here: the NetConnection has bytes of its own that come before the tunnel's.
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
    cv_block_unref(&tunnel->stash);
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

int cv_tunnel_make_id(struct cv_worker *worker, struct cv_rtmpt_id *out)
{
    return cv_rtmpt_id_make(out, &worker->shared->tunnel_secret, worker->index, now_s(worker));
}

// NULL: no memory; the peer is counted out again by then, or will be at the end of the turn.
static struct cv_tunnel *tunnel_new(struct cv_worker *worker, const char *id,
                                    const struct cv_addr *peer)
{
    struct cv_tunnel *tunnel = cv_mem_zero(1, sizeof *tunnel);
    if (!tunnel) {
        cv_conn_dismiss(worker, peer);
        return NULL;
    }
    struct cv_origin origin = {
        .peer = *peer, .id = ++worker->last_conn_id, .opened_us = cv_loop_now_us(worker->loop)};
    if (cv_netconn_init(&tunnel->net, worker, &tunnel_carrier, &origin) != CV_OK) {
        cv_conn_dismiss(worker, peer);
        cv_mem_free(tunnel);
        return NULL;
    }
    memcpy(tunnel->id, id, sizeof tunnel->id);
    cv_timer_init(&tunnel->timer, worker->loop, on_timer, tunnel);
    HASH_ADD(hh, worker->tunnels, id, sizeof tunnel->id, tunnel);
    struct cv_rtmpt_config config = {.rtmp = tunnel->net.rtmp};
    tunnel->rtmpt = cv_rtmpt_new(&config, origin.opened_us);
    if (tunnel->hh.tbl && tunnel->rtmpt)
        return tunnel;
    cv_netconn_doom(&tunnel->net, CV_E_NOMEM, "tunnel");
    return NULL;
}

// The first request of a session that this server has opened a moment ago.
static bool may_begin(const struct cv_worker *worker, const struct cv_rtmpt_target *target)
{
    uint32_t owner;
    if (target->kind == CV_RTMPT_CLOSE || target->n > 1 ||
        cv_rtmpt_id_owner(target->id, &owner) != CV_OK || owner != worker->index ||
        has_ended(worker, target->id))
        return false;
    return cv_rtmpt_id_check(target->id, &worker->shared->tunnel_secret, now_s(worker),
                             CV_TUNNEL_OPEN_S) == CV_OK;
}

struct cv_tunnel *cv_tunnel_find(struct cv_worker *worker, const struct cv_rtmpt_target *target,
                                 const struct cv_addr *peer)
{
    struct cv_tunnel *tunnel = NULL;
    if (target->id.len != CV_RTMPT_ID_CHARS)
        return NULL;
    HASH_FIND(hh, worker->tunnels, target->id.at, CV_RTMPT_ID_CHARS, tunnel);
    if (tunnel || worker->stopping || !may_begin(worker, target))
        return tunnel;
    if (!cv_conn_admit(worker, peer))
        return NULL;
    return tunnel_new(worker, target->id.at, peer);
}
