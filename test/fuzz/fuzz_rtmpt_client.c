// The tunnel's client, driven by a script: what it has to say, connections that come and go, writes
// of any length, time, and a server that answers well, or with any bytes.
//
// Input: byte 0 is the configuration; then operations, two bytes each, some with bytes behind them.
// What is checked: every request can be parsed; on one connection numbers rise; no number is sent
// more than twice, and never with another body; the bodies in the order of their numbers are what
// was said; what good replies carry comes out once, in order; counters and caps hold.
#include "base/check.h"
#include "base/mem.h"
#include "proto/rtmpt_client_state.h"

#include <string.h>

enum { NUMBERS = 4096, REPLY_MAX = 64 };

struct wire {
    bool open;
    struct cv_http1 *http;
    uint64_t last_n; // plus 1
    uint32_t owed;   // complete requests without replies
    uint64_t owed_n[CV_LIMIT_TUNNEL_FLIGHT];
    bool opening;  // the request that comes is /open
    uint64_t n;    // of the request that comes
    size_t len;    // of its body
    uint64_t hash; //
    enum cv_rtmpt_kind kind;
};

struct script {
    struct cv_rd rd;
    struct cv_rtmpt_client *t;
    uint64_t now_us;
    struct wire wires[CV_RTMPT_SLOTS];
    bool opened;
    bool over;
    bool drops;   // begins anew when its offer was not taken
    bool trusted; // only good replies so far
    uint64_t said;
    uint64_t hashes[NUMBERS]; // of the bodies, by number; 0: not seen
    uint8_t times[NUMBERS];
    uint64_t counts[NUMBERS]; // bytes of the replies
    uint64_t heard;
};

static struct cv_gather gather;

// ---- what comes out ---------------------------------------------------------------------------

static void check(const struct script *s)
{
    const struct cv_rtmpt_client *t = s->t;
    size_t flight = 0;
    size_t early = 0;
    CV_ASSERT(t->count <= CV_LIMIT_TUNNEL_FLIGHT);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct errand *errand = &t->errands[i];
        flight += errand->kind == CV_RTMPT_SEND ? errand->body->len : 0;
        early += errand->early ? errand->early->len : 0;
        CV_ASSERT(i == 0 || errand->n > t->errands[i - 1].n ||
                  t->errands[i - 1].kind == CV_RTMPT_OPEN);
        CV_ASSERT(errand->written <= errand->len && errand->losses <= 2);
    }
    CV_ASSERT(flight == t->flight_bytes && flight <= CV_TUNNEL_FLIGHT_BYTES);
    CV_ASSERT(early == t->early_bytes && early <= CV_LIMIT_TUNNEL_EARLY_BYTES);
    CV_ASSERT((t->stage == FAILED) == (t->why.code != CV_OK));
    CV_ASSERT(t->depth <= t->depth_max);
}

static volatile char sink;

static void read_all(struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++)
        sink ^= text.at[i];
}

static void take_events(struct script *s)
{
    struct cv_rtmpt_client_event event;
    int more;
    while ((more = cv_rtmpt_client_next(s->t, &event)) > 0) {
        CV_ASSERT(!s->over);
        check(s);
        s->opened |= event.type == CV_RTMPT_CLIENT_OPENED;
        CV_ASSERT(event.type != CV_RTMPT_CLIENT_OPENED || event.ours || !event.taken);
        if (event.type == CV_RTMPT_CLIENT_OPENED && s->drops && !event.taken)
            cv_rtmpt_client_drop_first(s->t);
        read_all(event.location);
        read_all(event.realm);
        s->over = event.type == CV_RTMPT_CLIENT_ENDED || event.type == CV_RTMPT_CLIENT_ANSWER ||
                  event.type == CV_RTMPT_CLIENT_UPGRADED;
        if (event.type != CV_RTMPT_CLIENT_BYTES)
            continue;
        CV_ASSERT(s->opened && event.len > 0);
        for (size_t i = 0; i < event.len && s->trusted; i++)
            CV_ASSERT(event.data[i] == (uint8_t)(s->heard + i));
        s->heard += event.len;
    }
    CV_ASSERT(more == cv_rtmpt_client_why(s->t)->code);
    check(s);
}

// ---- what goes up -----------------------------------------------------------------------------

static void end_request(struct script *s, struct wire *wire)
{
    CV_ASSERT(wire->owed < CV_LIMIT_TUNNEL_FLIGHT);
    wire->owed_n[wire->owed++] = wire->opening ? UINT64_MAX : wire->n;
    if (wire->opening || wire->n >= NUMBERS)
        return;
    uint64_t hash = wire->hash * 31 + wire->len * 4 + (uint64_t)wire->kind + 1;
    CV_ASSERT(s->hashes[wire->n] == 0 || s->hashes[wire->n] == hash);
    s->hashes[wire->n] = hash;
}

static void begin_request(struct script *s, struct wire *wire, const struct cv_http1_head *head)
{
    struct cv_rtmpt_target target;
    CV_ASSERT(head->method == CV_METHOD_POST && head->host.len);
    wire->len = 0;
    wire->hash = 0;
    // Ids of other servers may have other characters than ours: such numbers are not looked at.
    wire->opening = cv_text_is(head->path, "/open/1");
    wire->n = NUMBERS;
    wire->kind = CV_RTMPT_OPEN;
    if (wire->opening || cv_rtmpt_target_parse(head->path, &target) != CV_OK)
        return;
    CV_ASSERT(target.has_n && target.n + 1 > wire->last_n);
    wire->kind = target.kind;
    wire->n = target.n;
    wire->last_n = target.n + 1;
    if (wire->n < NUMBERS)
        CV_ASSERT(++s->times[wire->n] <= 3); // begun thrice at most: not written, lost, again
}

static void read_requests(struct script *s, struct wire *wire, const void *data, size_t len)
{
    struct cv_http1_event event;
    cv_http1_feed(wire->http, data, len);
    for (;;) {
        int more = cv_http1_next(wire->http, &event);
        CV_ASSERT(more >= 0);
        if (more == 0)
            return;
        if (event.type == CV_HTTP1_HEAD)
            begin_request(s, wire, event.head);
        for (size_t i = 0; event.type == CV_HTTP1_BODY && i < event.body.len; i++)
            wire->hash = wire->hash * 131 + (uint8_t)event.body.at[i];
        wire->len += event.type == CV_HTTP1_BODY ? event.body.len : 0;
        if (event.type == CV_HTTP1_END) {
            end_request(s, wire);
            cv_http1_resume(wire->http);
        }
    }
}

static void write_some(struct script *s, enum cv_rtmpt_slot slot, size_t most)
{
    struct wire *wire = &s->wires[slot];
    if (!wire->open)
        return;
    cv_gather_clear(&gather);
    cv_rtmpt_client_pull(s->t, slot, &gather);
    if (gather.bytes > most)
        cv_gather_cut(&gather, most);
    for (int i = 0; i < gather.count; i++)
        read_requests(s, wire, gather.vectors[i].iov_base, gather.vectors[i].iov_len);
    cv_rtmpt_client_sent(s->t, slot, gather.bytes, s->now_us);
    check(s);
}

static void say(struct script *s, size_t len, bool urgent)
{
    static uint8_t data[8192];
    len = len < sizeof data ? len : sizeof data;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((s->said + i) * 5);
    cv_gather_clear(&gather);
    cv_gather_borrow(&gather, data, len / 2);
    cv_gather_borrow(&gather, data + len / 2, len - len / 2);
    size_t room = cv_rtmpt_client_room(s->t);
    size_t took = cv_rtmpt_client_send(s->t, &gather, urgent, s->now_us);
    CV_ASSERT(took <= room && (took == len || took == room || s->t->stage == FAILED));
    s->said += took;
    take_events(s);
}

// ---- connections ------------------------------------------------------------------------------

static void connect_wire(struct script *s, enum cv_rtmpt_slot slot, bool fails)
{
    struct wire *wire = &s->wires[slot];
    if (wire->open || cv_rtmpt_client_want(s->t, slot) != CV_RTMPT_WANT_CONNECT)
        return;
    if (fails) {
        cv_rtmpt_client_closed(s->t, slot, CV_E_CONN_REFUSED, s->now_us);
    } else {
        cv_http1_free(wire->http);
        *wire = (struct wire){.open = true, .http = cv_http1_new(CV_HTTP1_REQUESTS)};
        cv_rtmpt_client_connected(s->t, slot, s->now_us);
    }
    take_events(s);
}

static void close_wire(struct script *s, enum cv_rtmpt_slot slot, int code)
{
    if (!s->wires[slot].open)
        return;
    s->wires[slot].open = false;
    cv_rtmpt_client_closed(s->t, slot, code, s->now_us);
    take_events(s);
}

static void obey(struct script *s)
{
    for (enum cv_rtmpt_slot slot = CV_RTMPT_UP; slot < CV_RTMPT_SLOTS; slot++) {
        if (cv_rtmpt_client_want(s->t, slot) == CV_RTMPT_WANT_CLOSE)
            close_wire(s, slot, CV_OK);
    }
}

// ---- what comes down --------------------------------------------------------------------------

static void feed(struct script *s, enum cv_rtmpt_slot slot, const uint8_t *data, size_t len)
{
    if (!s->wires[slot].open || s->t->stage == RAW)
        return;
    uint8_t *exact = cv_mem_alloc(len ? len : 1);
    CV_ASSERT(exact);
    if (len)
        memcpy(exact, data, len);
    cv_rtmpt_client_feed(s->t, slot, exact, len, s->now_us);
    take_events(s);
    cv_mem_free(exact);
}

static void feed_any(struct script *s, enum cv_rtmpt_slot slot, size_t len)
{
    if (len > cv_rd_left(&s->rd))
        len = cv_rd_left(&s->rd);
    s->trusted = false;
    feed(s, slot, cv_rd_bytes(&s->rd, len), len);
}

// A number's bytes begin where those of the one before it end: known only if that was answered.
static bool start_of(const struct script *s, uint64_t n, uint64_t *out)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (i >= NUMBERS || s->counts[i] == 0)
            return false;
        sum += s->counts[i] - 1;
    }
    *out = sum;
    return true;
}

static size_t put_head(uint8_t *out, size_t len, uint8_t how)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: ",
        "HTTP/1.1 200 OK\r\nculvert: 1\r\nContent-Length: ",
        "HTTP/1.0 200 OK\r\nContent-Length: ",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ",
    };
    size_t at = strlen(heads[how & 3]);
    memcpy(out, heads[how & 3], at);
    if (len > 9)
        out[at++] = (uint8_t)('0' + len / 10);
    out[at++] = (uint8_t)('0' + len % 10);
    memcpy(out + at, "\r\n\r\n", 4);
    return at + 4;
}

static void reply_open(struct script *s, enum cv_rtmpt_slot slot, uint8_t how)
{
    uint8_t out[256];
    size_t at = put_head(out, 3, how & 0x20 ? 1 : how);
    memcpy(out + at, "ID\n", 3);
    feed(s, slot, out, at + 3);
}

// The same again for a number that was answered before.
static void reply_well(struct script *s, enum cv_rtmpt_slot slot, uint8_t how)
{
    struct wire *wire = &s->wires[slot];
    uint8_t out[256];
    uint64_t start = 0;
    if (!wire->open || wire->owed == 0)
        return;
    uint64_t n = wire->owed_n[0];
    bool known = n == UINT64_MAX || start_of(s, n, &start);
    if (!known || n == NUMBERS)
        return;
    memmove(wire->owed_n, wire->owed_n + 1, --wire->owed * sizeof wire->owed_n[0]);
    if (n == UINT64_MAX) {
        reply_open(s, slot, how);
        return;
    }
    if (s->counts[n] == 0)
        s->counts[n] = 1 + (how >> 2) % 30;
    size_t len = (size_t)s->counts[n];
    size_t at = put_head(out, len, how & 0x80 ? how : 0);
    out[at] = 1;
    for (size_t i = 1; i < len; i++)
        out[at + i] = (uint8_t)(start + i - 1);
    size_t cut = how & 0x40 ? (at + len) / 2 : at + len; // the rest never comes
    feed(s, slot, out, cut);
    if (cut < at + len)
        close_wire(s, slot, CV_E_RESET);
}

// ---- the script -------------------------------------------------------------------------------

static void pass_time(struct script *s, uint8_t how)
{
    uint64_t until_us = cv_rtmpt_client_deadline_us(s->t);
    if (how & 1 && until_us != UINT64_MAX)
        s->now_us = until_us > s->now_us ? until_us : s->now_us;
    else
        s->now_us += UINT64_C(5000) * (how >> 1);
    cv_rtmpt_client_tick(s->t, s->now_us);
    take_events(s);
}

static void run(struct script *s)
{
    uint8_t op = cv_rd_u8(&s->rd);
    uint8_t how = cv_rd_u8(&s->rd);
    enum cv_rtmpt_slot slot = op & 1 ? CV_RTMPT_DOWN : CV_RTMPT_UP;
    switch (op >> 1 & 15) {
    case 0:
        connect_wire(s, slot, how == 0xff);
        break;
    case 1:
        write_some(s, slot, how < 128 ? how : SIZE_MAX);
        break;
    case 2:
        reply_well(s, slot, how);
        break;
    case 3:
        feed_any(s, slot, how);
        break;
    case 4:
        say(s, how & 0x80 ? (size_t)how * 64 : how, op & 0x20);
        break;
    case 5:
        pass_time(s, how);
        break;
    case 6:
        close_wire(s, slot, how & 1 ? CV_E_RESET : CV_OK);
        break;
    case 7:
        cv_rtmpt_client_set_mode(s->t, (enum cv_rtmpt_client_mode)(how % 3), s->now_us);
        take_events(s);
        break;
    case 8:
        cv_rtmpt_client_finish(s->t, s->now_us);
        take_events(s);
        break;
    default: // what mostly happens
        connect_wire(s, slot, false);
        say(s, how & 15, true);
        write_some(s, slot, SIZE_MAX);
        reply_well(s, slot, how & 0x3c);
    }
    obey(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct script s = {.rd = cv_rd_over(data, len), .now_us = 1, .trusted = true};
    uint8_t how = cv_rd_u8(&s.rd);
    struct cv_rtmpt_client_config config = {
        .host = cv_text_of("h:80"),
        .offer = how & 1,
        .proxy = how & 2,
        .alone = how & 4,
        .depth = how >> 4,
    };
    s.drops = how & 8;
    s.t = cv_rtmpt_client_new(&config, s.now_us);
    CV_ASSERT(s.t);
    while (cv_rd_left(&s.rd) > 1 && s.t->stage != RAW)
        run(&s);
    for (int i = 0; i < CV_RTMPT_SLOTS; i++)
        cv_http1_free(s.wires[i].http);
    cv_rtmpt_client_free(s.t);
    return 0;
}
