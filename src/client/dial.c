#include "client/dial.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/socket.h"
#include "io/watch.h"

#include <string.h>

// One address in the race.
struct lane {
    struct cv_dial *dial;
    struct cv_watch watch;
    int fd; // -1: not started, or ended
    uint64_t since_us;
};

struct cv_dial {
    struct cv_loop *loop;
    uint16_t port;
    bool ipv4_first;
    void (*on_done)(void *arg, const struct cv_dial_result *result);
    void *arg;
    struct cv_resolve *resolve;
    uint64_t since_us;
    uint32_t lookup_us;
    struct cv_timer stagger;  // then the next address starts, or, with nothing left, it has failed
    struct cv_timer deadline; // for it all
    struct cv_addr addrs[CV_LIMIT_ADDRESSES]; // in the order of their starts
    struct lane lanes[CV_LIMIT_ADDRESSES];    // one for each
    unsigned addr_count;
    unsigned next;    // the address that starts next
    unsigned running; // lanes that may still win
    unsigned watches; // open or closing: the loop has our memory
    int code;         // the most telling failure so far
    bool over;        // waits for the loop to let go of the watches
};

// ---- the order ------------------------------------------------------------------------------

// The first address that is not taken and of the wanted family; where there is none, of any.
static unsigned pick(const struct cv_addr *addrs, unsigned count, const bool *taken, bool ipv4)
{
    unsigned any = count;
    for (unsigned i = count; i-- > 0;) {
        bool better = any == count || (addrs[i].family == CV_ADDR_IPV4) == ipv4 ||
                      (addrs[any].family == CV_ADDR_IPV4) != ipv4;
        if (!taken[i] && better)
            any = i;
    }
    return any;
}

// The system's order (RFC 6724) with the families in turn (RFC 8305, section 4). It puts IPv6 first
// wherever this machine has it.
static void set_addrs(struct cv_dial *dial, const struct cv_addr *addrs, unsigned count)
{
    bool taken[CV_LIMIT_ADDRESSES] = {false};
    CV_ASSERT(count > 0 && count <= CV_LIMIT_ADDRESSES);
    bool ipv4 = dial->ipv4_first || addrs[0].family == CV_ADDR_IPV4;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = pick(addrs, count, taken, ipv4);
        taken[at] = true;
        dial->addrs[i] = addrs[at];
        dial->addrs[i].port = dial->port;
        ipv4 = !ipv4;
    }
    dial->addr_count = count;
}

// ---- failures -------------------------------------------------------------------------------

// How much a failure tells. Refused: somebody was reached and has answered. Our own troubles
// (descriptors, memory), which no other address mends. Unreachable: a router on the way, or this
// machine without IPv6, has spoken. Silence tells least: it is what all the others would look like
// behind a firewall.
static int telling(int code)
{
    switch (code) {
    case CV_OK:
        return 0;
    case CV_E_TIMEOUT:
        return 1;
    case CV_E_UNREACHABLE:
        return 2;
    case CV_E_CONN_REFUSED:
        return 4;
    default:
        return 3;
    }
}

static void note_failure(struct cv_dial *dial, int code)
{
    if (code == CV_E_DENIED)
        code = CV_E_UNREACHABLE; // "administratively prohibited": a firewall, here or on the way
    if (telling(code) > telling(dial->code))
        dial->code = code;
}

// ---- the race -------------------------------------------------------------------------------

static void release(struct cv_dial *dial)
{
    if (dial->over && dial->watches == 0)
        cv_mem_free(dial);
}

static void on_watch_closed(void *arg)
{
    struct cv_dial *dial = arg;
    dial->watches--;
    release(dial);
}

// Ends a lane and returns its descriptor, which is the caller's.
static int take_fd(struct lane *lane)
{
    int fd = lane->fd;
    lane->fd = -1;
    lane->dial->running--;
    cv_watch_close(&lane->watch, on_watch_closed, lane->dial);
    return fd;
}

// Nothing happens any more, but the memory may stay until the end of the turn.
static void stop(struct cv_dial *dial)
{
    CV_ASSERT(!dial->over);
    dial->over = true;
    cv_timer_stop(&dial->stagger);
    cv_timer_stop(&dial->deadline);
    cv_resolve_cancel(&dial->resolve);
    for (unsigned i = 0; i < dial->next; i++) {
        if (dial->lanes[i].fd >= 0) {
            int fd = take_fd(&dial->lanes[i]);
            cv_socket_close(&fd);
        }
    }
}

static void finish(struct cv_dial *dial, const struct cv_dial_result *result)
{
    stop(dial);
    dial->on_done(dial->arg, result);
    release(dial);
}

static void fail(struct cv_dial *dial)
{
    const struct cv_dial_result result = {
        .code = dial->code,
        .fd = -1,
        .lookup_us = dial->lookup_us,
        .addrs = dial->addrs,
        .addr_count = dial->addr_count,
    };
    finish(dial, &result);
}

// The winner leads the list: who dials again with it does not wait for what failed now.
static void move_first(struct cv_addr *addrs, unsigned at)
{
    struct cv_addr winner = addrs[at];
    memmove(addrs + 1, addrs, at * sizeof *addrs);
    addrs[0] = winner;
}

static void win(struct cv_dial *dial, unsigned at)
{
    struct lane *lane = &dial->lanes[at];
    // The kernel's own measure is better than ours, which has the loop's turn in it.
    uint32_t rtt_us = cv_socket_rtt_us(lane->fd);
    if (!rtt_us)
        rtt_us = (uint32_t)(cv_loop_now_us(dial->loop) - lane->since_us);
    cv_socket_set_no_delay(lane->fd, true);
    move_first(dial->addrs, at);
    const struct cv_dial_result result = {
        .code = CV_OK,
        .fd = take_fd(lane),
        .addr = dial->addrs[0],
        .rtt_us = rtt_us,
        .lookup_us = dial->lookup_us,
        .addrs = dial->addrs,
        .addr_count = dial->addr_count,
    };
    finish(dial, &result);
}

static void go_on(struct cv_dial *dial);

static void on_ready(void *arg, unsigned events)
{
    struct lane *lane = arg;
    struct cv_dial *dial = lane->dial;
    (void)events;
    int err = cv_socket_connect_result(lane->fd);
    if (err == CV_E_AGAIN)
        return;
    if (err == CV_OK) {
        win(dial, (unsigned)(lane - dial->lanes));
        return;
    }
    int fd = take_fd(lane);
    cv_socket_close(&fd);
    note_failure(dial, err);
    go_on(dial);
}

// Sends the SYN for the next address. False: it has failed already.
static bool start_next(struct cv_dial *dial)
{
    struct lane *lane = &dial->lanes[dial->next];
    int fd = cv_socket_connect(&dial->addrs[dial->next]);
    lane->dial = dial;
    lane->since_us = cv_loop_now_us(dial->loop);
    lane->fd = -1;
    dial->next++;
    int err =
        fd < 0 ? fd : cv_watch_start(&lane->watch, dial->loop, fd, CV_WATCH_WRITE, on_ready, lane);
    if (err != CV_OK) {
        cv_socket_close(&fd);
        note_failure(dial, err);
        return false;
    }
    lane->fd = fd;
    dial->running++;
    dial->watches++;
    return true;
}

// Starts the next address, if there is one. The end is told by the timer, in a turn of its own:
// this may be inside cv_dial_start.
static void go_on(struct cv_dial *dial)
{
    bool started = false;
    while (!started && dial->next < dial->addr_count)
        started = start_next(dial);
    if (dial->next < dial->addr_count)
        cv_timer_start(&dial->stagger, CV_DIAL_STAGGER_MS * UINT64_C(1000));
    else if (dial->running == 0)
        cv_timer_start(&dial->stagger, 0);
    else
        cv_timer_stop(&dial->stagger);
}

static void on_stagger(void *arg)
{
    struct cv_dial *dial = arg;
    if (dial->next == dial->addr_count && dial->running == 0)
        fail(dial);
    else
        go_on(dial);
}

static void on_deadline(void *arg)
{
    struct cv_dial *dial = arg;
    note_failure(dial, CV_E_TIMEOUT);
    fail(dial);
}

static void on_resolved(void *arg, int code, const struct cv_addr *addrs, unsigned count)
{
    struct cv_dial *dial = arg;
    dial->resolve = NULL;
    dial->lookup_us = (uint32_t)(cv_loop_now_us(dial->loop) - dial->since_us);
    if (code != CV_OK) {
        dial->code = code;
        fail(dial);
        return;
    }
    set_addrs(dial, addrs, count);
    go_on(dial);
}

// ---- life -----------------------------------------------------------------------------------

// False: no memory, or the host cannot be a name.
static bool find_addrs(struct cv_dial *dial, const struct cv_dial_config *config)
{
    struct cv_ip ip;
    if (config->addr_count) {
        set_addrs(dial, config->addrs, config->addr_count);
    } else if (cv_ip_parse(cv_text_of(config->host), &ip) == CV_OK) {
        struct cv_addr addr = cv_addr_of_ip(&ip, config->port);
        set_addrs(dial, &addr, 1);
    } else {
        dial->resolve = cv_resolve_start(dial->loop, config->host, config->port, on_resolved, dial);
        return dial->resolve;
    }
    return true;
}

struct cv_dial *cv_dial_start(struct cv_loop *loop, const struct cv_dial_config *config)
{
    struct cv_dial *dial = cv_mem_zero(1, sizeof *dial);
    if (!dial)
        return NULL;
    dial->loop = loop;
    dial->port = config->port;
    dial->ipv4_first = config->ipv4_first;
    dial->on_done = config->on_done;
    dial->arg = config->arg;
    dial->since_us = cv_loop_now_us(loop);
    cv_timer_init(&dial->stagger, loop, on_stagger, dial);
    cv_timer_init(&dial->deadline, loop, on_deadline, dial);
    if (!find_addrs(dial, config)) {
        cv_mem_free(dial);
        return NULL;
    }
    if (config->try_ms)
        cv_timer_start(&dial->deadline, config->try_ms * UINT64_C(1000));
    if (dial->addr_count)
        go_on(dial);
    return dial;
}

void cv_dial_cancel(struct cv_dial **place)
{
    struct cv_dial *dial = *place;
    *place = NULL;
    if (!dial)
        return;
    stop(dial);
    release(dial);
}
