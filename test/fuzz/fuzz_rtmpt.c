// The tunnel session, driven by a script: requests with odd numbers on four connections, bodies in
// pieces, connections that go, time, and an RTMP engine with something to say.
//
// Input: byte 0 is the mode, whether chunked replies are wanted (bit 2) and kept (bit 3); then
// operations, two bytes each. What is checked: the client's byte stream is made of the bodies in
// the order of their numbers; the server's is what the engine said, in order; nobody gets more
// replies than requests; the counters and caps hold.
#include "base/check.h"
#include "base/limits.h"
#include "proto/handshake.h"
#include "proto/rtmpt_state.h"

#include <string.h>

enum {
    TICKETS = 4,
    NUMBERS = 128, // numbers are known by their low 7 bits
    REPLIES = 64,  // that are remembered
    SAID_BYTES = 18,
    ACK_BYTES = 16,
};

struct connection {
    bool coming; // a body
    enum cv_rtmpt_kind kind;
    uint64_t n;
    size_t len;
    uint64_t waiting; // requests without a reply
    bool refused;     // got its 404: the owner would close it
};

struct script {
    struct cv_rd rd;
    struct cv_rtmp *rtmp;
    struct cv_rtmpt *t;
    uint64_t now_us;
    struct connection connections[TICKETS];
    uint64_t guess; // the next number
    bool ended;

    // what may be heard
    uint64_t lengths[NUMBERS]; // bit i: a send with this number ended with i bytes
    bool quiet[NUMBERS];       // a request without bytes ended
    bool begun;                // something was heard
    uint64_t heard_n;
    uint64_t heard_len;

    // what may be said
    uint32_t next_id;            // of the engine's messages
    uint32_t expected_id;        // in the replies
    uint32_t first_ids[REPLIES]; // of replies that said something new, by number
    uint32_t end_ids[REPLIES];   // behind the last one in them
    uint32_t reply_count;
    uint32_t stream_first_id; // of the chunked reply that has begun; UINT32_MAX: nothing yet
};

static struct cv_gather gather;

static int weak_random(void *out, size_t len)
{
    memset(out, 0x55, len);
    return CV_OK;
}

static const struct cv_crypto weak = {.hmac_sha256 = NULL, .random = weak_random};

// ---- the client's bytes ---------------------------------------------------------------------

static uint8_t byte_of(uint64_t n, uint64_t at)
{
    return (uint8_t)(at == 0 ? 0x80 | (n & 0x7f) : (n + at * 7) & 0x7f);
}

static void hear_next_number(struct script *s, uint8_t first)
{
    uint64_t n = s->begun ? s->heard_n : 0;
    if (s->begun) {
        CV_ASSERT(s->lengths[n % NUMBERS] >> s->heard_len & 1);
        n++;
    }
    for (; (n & 0x7f) != (first & 0x7f); n++)
        CV_ASSERT(n == 0 || s->quiet[n % NUMBERS]);
    s->begun = true;
    s->heard_n = n;
    s->heard_len = 0;
}

static void hear(struct script *s, const uint8_t *data, size_t len)
{
    CV_ASSERT(len > 0 && !s->ended);
    for (size_t i = 0; i < len; i++) {
        if (data[i] & 0x80)
            hear_next_number(s, data[i]);
        CV_ASSERT(s->begun && data[i] == byte_of(s->heard_n, s->heard_len));
        s->heard_len++;
    }
}

// ---- invariants -----------------------------------------------------------------------------

static void check(const struct script *s)
{
    const struct cv_rtmpt *t = s->t;
    size_t parked = 0;
    uint64_t owed = 0;
    CV_ASSERT(t->request_count <= CV_LIMIT_TUNNEL_REQUESTS);
    CV_ASSERT(t->run_count <= CV_LIMIT_TUNNEL_RUNS);
    CV_ASSERT(t->older_count <= CV_LIMIT_TUNNEL_KEPT);
    for (uint32_t i = 0; i < t->request_count; i++)
        parked += t->requests[i].parked ? t->requests[i].parked->len : 0;
    for (uint32_t i = 0; i < t->run_count; i++) {
        CV_ASSERT(t->runs[i].count > 0);
        owed += t->runs[i].count;
    }
    CV_ASSERT(parked == t->parked_bytes && parked <= CV_LIMIT_TUNNEL_PARK_BYTES);
    CV_ASSERT(owed == t->owed && (owed == 0 || t->last.answer != MADE));
    CV_ASSERT(!t->streaming || owed > 0);
    CV_ASSERT((t->state == FAILED) == (t->why.code != CV_OK));
}

static void take_events(struct script *s)
{
    struct cv_rtmpt_event event;
    while (cv_rtmpt_next(s->t, &event) > 0) {
        if (event.type == CV_RTMPT_ENDED)
            s->ended = true;
        else
            hear(s, event.data, event.len);
    }
    check(s);
}

// ---- requests -------------------------------------------------------------------------------

static void begin(struct script *s, struct connection *c, uint8_t how)
{
    static const enum cv_rtmpt_kind kinds[] = {CV_RTMPT_SEND, CV_RTMPT_SEND, CV_RTMPT_IDLE,
                                               CV_RTMPT_CLOSE};
    static const int steps[] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 1, 1, 2, 3, -2, 40};
    int step = steps[how >> 2 & 15];
    if (c->coming || c->refused || (s->guess < 2 && step < 0))
        return;
    struct cv_rtmpt_target target = {
        .kind = kinds[how & 3],
        .has_n = (how & 0x43) != 0x43,
        .n = s->guess + (uint64_t)step,
    };
    if (step == 0) {
        uint64_t far = (s->guess++ + NUMBERS / 2) % NUMBERS;
        s->lengths[far] = 0;
        s->quiet[far] = false;
    }
    bool first = how & 0x80 && s->guess == 1;
    if (first)
        target.n = s->guess++; // base 1
    if (cv_rtmpt_request(s->t, (uint64_t)(c - s->connections), &target, s->now_us) != CV_OK)
        return;
    *c = (struct connection){true, target.kind, target.n, 0, c->waiting + 1, false};
    take_events(s);
}

static void body(struct script *s, struct connection *c, size_t len)
{
    uint8_t data[64];
    if (!c->coming || c->len + len > 63)
        return;
    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(c->n, c->len + i);
    c->len += len;
    cv_rtmpt_body(s->t, (uint64_t)(c - s->connections), data, len, s->now_us);
    take_events(s);
}

static void end(struct script *s, struct connection *c)
{
    if (!c->coming)
        return;
    c->coming = false;
    if (c->kind == CV_RTMPT_SEND)
        s->lengths[c->n % NUMBERS] |= UINT64_C(1) << c->len;
    if (c->kind != CV_RTMPT_SEND || c->len == 0)
        s->quiet[c->n % NUMBERS] = true;
    cv_rtmpt_end(s->t, (uint64_t)(c - s->connections), s->now_us);
    take_events(s);
}

static void gone(struct script *s, struct connection *c)
{
    *c = (struct connection){0};
    cv_rtmpt_gone(s->t, (uint64_t)(c - s->connections), s->now_us);
    take_events(s);
}

// ---- replies --------------------------------------------------------------------------------

// A repeated reply is repeated whole; a chunked one up to where it was cut off.
static void check_ids(struct script *s, enum cv_rtmpt_form form, uint32_t first_id, uint32_t end_id)
{
    if (first_id == s->expected_id) {
        if (form != CV_RTMPT_WHOLE && s->stream_first_id == UINT32_MAX)
            s->stream_first_id = first_id;
        s->first_ids[s->reply_count % REPLIES] =
            form == CV_RTMPT_WHOLE ? first_id : s->stream_first_id;
        s->end_ids[s->reply_count++ % REPLIES] = end_id;
        s->expected_id = end_id;
        return;
    }
    bool known = false;
    for (uint32_t i = 0; i < REPLIES && i < s->reply_count; i++)
        known = known || (s->first_ids[i] == first_id && s->end_ids[i] == end_id);
    CV_ASSERT(known);
}

// The numbers of the messages in a parcel: they go on, or they are those of an earlier one again.
static void check_parcel(struct script *s, enum cv_rtmpt_form form, const struct cv_parcel *parcel)
{
    size_t bytes = 0;
    uint32_t first_id = 0;
    uint32_t id = 0;
    bool any = false;
    for (uint32_t i = 0; i < parcel->count; i++) {
        const struct cv_chunk_item *item = &parcel->items[i];
        bytes += cv_chunk_item_bytes(item);
        if (item->type != CV_MSG_USER_CONTROL)
            continue;
        struct cv_rd rd = cv_rd_over(item->payload->data + 2, 4);
        uint32_t this_id = cv_rd_u32(&rd);
        if (!any)
            first_id = this_id;
        CV_ASSERT(!any || this_id == id + 1);
        any = true;
        id = this_id;
    }
    CV_ASSERT(bytes == parcel->bytes && parcel->count > 0);
    if (any)
        check_ids(s, form, first_id, id + 1);
    cv_gather_clear(&gather);
    cv_parcel_pull(parcel, bytes / 2, &gather);
    CV_ASSERT(gather.bytes == bytes - bytes / 2 || cv_gather_full(&gather) ||
              gather.scratch_used > CV_GATHER_SCRATCH_BYTES / 2);
}

static void check_reply(struct script *s, const struct cv_rtmpt_reply *reply)
{
    struct connection *c = &s->connections[reply->ticket];
    CV_ASSERT(c->waiting > 0 && !c->refused);
    size_t bytes = (reply->has_poll ? 1 : 0) + (reply->parcel ? reply->parcel->bytes : 0);
    CV_ASSERT(bytes == reply->bytes);
    CV_ASSERT(reply->has_poll == (reply->status == 200 && reply->form < CV_RTMPT_CHUNK));
    if (reply->status == 404) {
        CV_ASSERT(bytes == 0 && reply->form == CV_RTMPT_WHOLE);
        c->refused = true;
        c->coming = false;
        c->waiting = 0;
        return;
    }
    if (reply->form == CV_RTMPT_WHOLE || reply->form == CV_RTMPT_CHUNK_LAST)
        c->waiting--;
    if (reply->form == CV_RTMPT_CHUNK_FIRST)
        s->stream_first_id = UINT32_MAX;
    if (reply->parcel)
        check_parcel(s, reply->form, reply->parcel);
}

// Connections in the mask take replies; those in the other one have them written at once.
static void answer(struct script *s, uint8_t deaf, uint8_t slow)
{
    uint64_t ticket = 0;
    while (cv_rtmpt_due(s->t, s->now_us, &ticket) == CV_RTMPT_NOW && !(deaf >> ticket & 1)) {
        struct cv_rtmpt_reply reply;
        cv_rtmpt_reply(s->t, s->now_us, &reply);
        CV_ASSERT(reply.ticket == ticket);
        check_reply(s, &reply);
        cv_parcel_unref(&reply.parcel);
        if (!(slow >> ticket & 1))
            cv_rtmpt_sent(s->t, ticket);
        check(s);
    }
}

static void say(struct script *s, uint8_t count)
{
    while (count--) {
        if (cv_rtmp_send_user(s->rtmp, CV_USER_PING_REQUEST, s->next_id) == CV_OK)
            s->next_id++;
    }
}

static void pass_time(struct script *s, uint8_t how)
{
    uint64_t until_us = cv_rtmpt_deadline_us(s->t);
    if (how & 1 && until_us != UINT64_MAX)
        s->now_us = until_us > s->now_us ? until_us : s->now_us;
    else
        s->now_us += UINT64_C(20000) * (how & 63);
    cv_rtmpt_tick(s->t, s->now_us);
    take_events(s);
}

static void owner_does(struct script *s, uint8_t what)
{
    switch (what & 7) {
    case 6:
        cv_rtmpt_finish(s->t);
        break;
    case 7:
        cv_rtmpt_fail(s->t, CV_E_CONTROL, "the engine has failed");
        break;
    default:
        cv_rtmpt_set_mode(s->t, (enum cv_rtmpt_mode)(what & 3));
    }
}

// ---- a script -------------------------------------------------------------------------------

// One byte: operation and connection; another one: how.
static void run(struct script *s)
{
    uint8_t op = cv_rd_u8(&s->rd);
    uint8_t how = cv_rd_u8(&s->rd);
    struct connection *c = &s->connections[op & 3];
    switch (op >> 2 & 15) {
    case 0:
        begin(s, c, how);
        break;
    case 1:
        body(s, c, how & 31);
        break;
    case 2:
        end(s, c);
        break;
    case 3:
        gone(s, c);
        break;
    case 4:
        answer(s, how & 15, how >> 4);
        break;
    case 5:
        cv_rtmpt_sent(s->t, op & 3);
        break;
    case 6:
        say(s, how & 7);
        break;
    case 7:
        pass_time(s, how);
        break;
    case 8:
        owner_does(s, how);
        break;
    default: // a whole request, which is what mostly comes
        begin(s, c, how);
        body(s, c, op >> 6 & 3);
        end(s, c);
        answer(s, 0, 0);
    }
}

static void settle(struct script *s)
{
    for (uint64_t i = 0; i < TICKETS; i++)
        end(s, &s->connections[i]);
    cv_rtmpt_fail(s->t, CV_E_CLOSED, "the script ends");
    answer(s, 0, 0);
    CV_ASSERT(cv_rtmpt_over(s->t));
    // Nobody is forgotten.
    for (uint64_t i = 0; i < TICKETS; i++)
        CV_ASSERT(s->connections[i].waiting == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    static const struct cv_rtmp_config config = {.role = CV_RTMP_SERVER, .crypto = &weak};
    struct script s = {.rd = cv_rd_over(data, len), .now_us = 1};
    struct cv_rtmp_event event;
    uint8_t mode = cv_rd_u8(&s.rd);
    s.rtmp = cv_rtmp_new(&config, 1);
    cv_rtmp_feed(s.rtmp, peer, sizeof peer);
    while (cv_rtmp_next(s.rtmp, &event) > 0)
        continue;
    struct cv_parcel *handshake = cv_rtmp_take(s.rtmp, 1);
    cv_parcel_unref(&handshake);
    struct cv_rtmpt_config tunnel = {.rtmp = s.rtmp, .window_ms = mode & 4 ? 700 : 0};
    s.t = cv_rtmpt_new(&tunnel, s.now_us);
    cv_rtmpt_set_mode(s.t, (enum cv_rtmpt_mode)(mode & 3));
    cv_rtmpt_set_window(s.t, mode & 4 ? 700 : 0, mode & 8);
    while (cv_rd_left(&s.rd) > 1)
        run(&s);
    settle(&s);
    cv_rtmpt_free(s.t);
    cv_rtmp_free(s.rtmp);
    return 0;
}
