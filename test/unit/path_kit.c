#include "path_kit.h"

#include "proto/http1_write.h"

#include <stdio.h>

enum { TAG_US = 13700 }; // 73 messages of media in a second

static struct cv_gather gather;

const struct cv_rtmpt_client_config path_config = {
    .host = {"example.org", 11},
    .user_agent = {"test", 4},
};

static const char session_id[] = "ID";

static uint8_t byte_of(uint64_t i)
{
    return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

// ---- packets ----------------------------------------------------------------------------------

static void post(struct path *p, uint64_t at_us, int conn, int kind, const void *data, size_t len,
                 int code)
{
    assert_true(p->packet_count < PATH_PACKETS);
    struct packet *packet = &p->packets[p->packet_count++];
    *packet = (struct packet){.at_us = at_us, .order = p->order++, .conn = conn, .code = code};
    packet->kind = kind;
    bytes_add(&packet->bytes, data, len);
}

// The next one that is due, or NULL.
static struct packet *due(struct path *p)
{
    struct packet *best = NULL;
    for (size_t i = 0; i < p->packet_count; i++) {
        struct packet *packet = &p->packets[i];
        if (!best || packet->at_us < best->at_us ||
            (packet->at_us == best->at_us && packet->order < best->order))
            best = packet;
    }
    return best;
}

static bool cut_here(const struct path *p, int conn, bool down)
{
    uint32_t index = (uint32_t)conn;
    return p->habits.cut_count && p->habits.cut_down == down && index >= p->habits.cut_first &&
           index < p->habits.cut_first + p->habits.cut_count;
}

static void doom(struct path *p, int conn)
{
    struct connection *c = &p->connections[conn];
    int code = p->habits.cut_reset ? CV_E_RESET : CV_OK;
    if (c->doomed)
        return;
    c->doomed = true;
    post(p, p->now_us + p->habits.one_way_us, conn, PACKET_FIN_UP, NULL, 0, code);
    post(p, p->now_us + p->habits.one_way_us, conn, PACKET_FIN_DOWN, NULL, 0, code);
}

// Sends bytes on their way; a cut lets through what comes before it.
static void transmit(struct path *p, int conn, bool down, uint64_t delay_us, const void *data,
                     size_t len)
{
    struct connection *c = &p->connections[conn];
    size_t *count = down ? &c->down : &c->up;
    if (c->doomed)
        return;
    bool cut = cut_here(p, conn, down) && *count + len >= p->habits.cut_at;
    if (cut)
        len = p->habits.cut_at > *count ? p->habits.cut_at - *count : 0;
    uint64_t at_us = p->now_us + p->habits.one_way_us + delay_us;
    if (down && c->slot == CV_RTMPT_DOWN)
        at_us += p->habits.lag_us;
    if (len)
        post(p, at_us, conn, down ? PACKET_DOWN : PACKET_UP, data, len, 0);
    *count += len;
    if (cut)
        doom(p, conn);
}

// ---- the server's front -----------------------------------------------------------------------

static void hang_up(struct path *p, int conn, uint64_t delay_us)
{
    struct connection *c = &p->connections[conn];
    if (!c->server_open)
        return;
    c->server_open = false;
    if (!c->opening)
        tunnel_gone(&p->tunnel, (uint64_t)conn + 1);
    post(p,
         p->now_us + p->habits.one_way_us + delay_us +
             (c->slot == CV_RTMPT_DOWN ? p->habits.lag_us : 0),
         conn, PACKET_FIN_DOWN, NULL, 0, CV_OK);
}

static void put_name(const struct path *p, struct bytes *out, const char *name, const char *value)
{
    char line[200];
    size_t len = (size_t)snprintf(line, sizeof line, "%s: %s\r\n", name, value);
    for (size_t i = 0; p->habits.lower && line[i] != ':'; i++)
        line[i] = line[i] >= 'A' && line[i] <= 'Z' ? (char)(line[i] + 32) : line[i];
    bytes_add(out, line, len);
}

static void put_body(const struct path *p, struct bytes *out, const struct bytes *body)
{
    char text[32];
    enum { CHUNK = 7 };
    if (p->habits.chunked) {
        put_name(p, out, "Transfer-Encoding", "chunked");
        bytes_add(out, "\r\n", 2);
        for (size_t at = 0; at < body->len;) {
            size_t len = body->len - at < CHUNK || at ? body->len - at : CHUNK;
            bytes_add(out, text, (size_t)snprintf(text, sizeof text, "%zx\r\n", len));
            bytes_add(out, body->data + at, len);
            bytes_add(out, "\r\n", 2);
            at += len;
        }
        bytes_add(out, "0\r\n\r\n", 5);
        return;
    }
    if (!p->habits.until_close) {
        snprintf(text, sizeof text, "%zu", body->len);
        put_name(p, out, "Content-Length", text);
    }
    bytes_add(out, "\r\n", 2);
    bytes_add(out, body->data, body->len);
}

static void put_head(struct path *p, const struct connection *c, int status, struct bytes *out)
{
    char line[64];
    const char *version = p->habits.http10 || p->habits.until_close ? "1.0" : "1.1";
    if (p->habits.continues)
        bytes_add(out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    bytes_add(out, line, (size_t)snprintf(line, sizeof line, "HTTP/%s %d OK\r\n", version, status));
    snprintf(line, sizeof line, "1; early=%u", (unsigned)c->early_ms);
    bool early = c->tells && c->waiting == 1 && p->habits.tells_early;
    if (!p->habits.foreign)
        put_name(p, out, "Culvert", early ? line : "1");
}

static void replied(struct path *p, int conn, bool closes)
{
    struct connection *c = &p->connections[conn];
    assert_true(c->waiting > 0);
    c->waiting--;
    c->full = closes || p->habits.closing != STAYS || c->closes_after || p->habits.http10;
    c->free_us = p->now_us + p->habits.late_us;
}

static void reply(struct path *p, int conn, int status, const struct bytes *body)
{
    struct bytes out = {0};
    put_head(p, &p->connections[conn], status, &out);
    bool closes = p->habits.closing == CLOSES || p->habits.until_close || status != 200;
    if (p->habits.closing == CLOSES)
        put_name(p, &out, "Connection", "close");
    put_body(p, &out, body);
    transmit(p, conn, true, p->habits.late_us, out.data, out.len);
    bytes_free(&out);
    replied(p, conn, closes);
}

// One more piece of a chunked reply.
static void reply_piece(struct path *p, int conn, const struct cv_rtmpt_reply *made,
                        const struct bytes *body)
{
    struct connection *c = &p->connections[conn];
    bool last = made->form == CV_RTMPT_CHUNK_LAST;
    char text[32];
    if (made->form == CV_RTMPT_CHUNK_FIRST) {
        p->streams++;
        put_head(p, c, 200, &c->late);
        put_name(p, &c->late, "Transfer-Encoding", "chunked");
        bytes_add(&c->late, "\r\n", 2);
    }
    if (body->len) {
        bytes_add(&c->late, text, (size_t)snprintf(text, sizeof text, "%zx\r\n", body->len));
        bytes_add(&c->late, body->data, body->len);
        bytes_add(&c->late, "\r\n", 2);
    }
    if (last)
        bytes_add(&c->late, "0\r\n\r\n", 5);
    if (last || !p->habits.buffers) {
        transmit(p, conn, true, p->habits.late_us, c->late.data, c->late.len);
        c->late.len = 0;
    }
    if (last)
        replied(p, conn, false);
}

static void answer_open(struct path *p, int conn)
{
    struct connection *c = &p->connections[conn];
    struct bytes body = {0};
    c->opening = false;
    if (c->offers && p->habits.upgrades) {
        static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                   "Upgrade: rtmp\r\nCulvert: 1\r\n\r\nRAW";
        transmit(p, conn, true, 0, head, sizeof head - 1);
        c->waiting--;
        return;
    }
    bytes_add(&body, session_id, sizeof session_id - 1);
    bytes_add(&body, "\n", 1);
    if (c->shakes && p->habits.shakes_hands) {
        tunnel_say(&p->tunnel, p->said++);
        struct cv_parcel *parcel = cv_rtmp_take(p->tunnel.rtmp, 4096);
        cv_gather_clear(&gather);
        cv_parcel_pull(parcel, 0, &gather);
        bytes_gathered(&body, &gather, SIZE_MAX);
        cv_parcel_unref(&parcel);
        for (size_t i = 0; i < p->direct.len; i++)
            assert_int_equal(p->direct.data[i], byte_of(p->heard++));
    }
    reply(p, conn, 200, &body);
    bytes_free(&body);
    if (c->full)
        hang_up(p, conn, p->habits.late_us);
}

// "1; window=250"
static void note_window(struct path *p, struct cv_text value)
{
    static const char begin[] = "1; window=";
    uint64_t ms = 0;
    if (cv_text_starts(value, begin))
        assert_int_equal(cv_text_u64(cv_text_skip(value, sizeof begin - 1), 1, 60000, &ms), CV_OK);
    cv_rtmpt_set_window(p->tunnel.session, (uint32_t)ms, true);
}

static void read_request(struct path *p, int conn, const struct cv_http1_event *event)
{
    struct connection *c = &p->connections[conn];
    struct cv_rtmpt_target target;
    assert_int_equal(event->head->method, CV_METHOD_POST);
    assert_int_equal(cv_rtmpt_target_parse(event->head->path, &target), CV_OK);
    assert_true(cv_http1_header(event->head, "Host").len > 0);
    c->waiting++;
    c->opening = target.kind == CV_RTMPT_OPEN;
    c->offers = cv_http1_has_token(event->head->fields, "Upgrade", "rtmp");
    c->shakes = cv_text_is(cv_http1_header(event->head, "Culvert"), "1; handshake");
    if (c->opening)
        return;
    assert_true(cv_text_is(target.id, session_id));
    p->requests++;
    c->streams = cv_text_is(cv_http1_header(event->head, "Culvert"), "1; stream");
    c->begun_us = p->now_us;
    c->body_bytes = 0;
    c->spread = 0;
    if (c->streams && p->habits.no_chunks_up) {
        struct bytes none = {0};
        reply(p, conn, 411, &none);
        hang_up(p, conn, 0);
        return;
    }
    if (target.kind == CV_RTMPT_IDLE)
        note_window(p, cv_http1_header(event->head, "Culvert"));
    int err = cv_rtmpt_request(p->tunnel.session, (uint64_t)conn + 1, &target, p->now_us);
    if (err != CV_OK) {
        struct bytes none = {0};
        reply(p, conn, 404, &none);
        hang_up(p, conn, 0);
    }
}

static void take_tunnel_events(struct path *p)
{
    struct cv_rtmpt_event event;
    while (cv_rtmpt_next(p->tunnel.session, &event) > 0) {
        if (event.type == CV_RTMPT_ENDED) {
            p->tunnel.ended = true;
            continue;
        }
        for (size_t i = 0; i < event.len; i++)
            assert_int_equal(event.data[i], byte_of(p->heard + i));
        p->heard += event.len;
    }
}

static void read_http(struct path *p, int conn)
{
    struct connection *c = &p->connections[conn];
    struct cv_http1_event event;
    uint64_t ticket = (uint64_t)conn + 1;
    while (c->server_open && cv_http1_next(c->http, &event) > 0) {
        if (event.type == CV_HTTP1_HEAD) {
            read_request(p, conn, &event);
        } else if (event.type == CV_HTTP1_BODY && c->opening) {
            bytes_add(&p->direct, event.body.at, event.body.len);
        } else if (event.type == CV_HTTP1_BODY) {
            c->body_bytes += event.body.len;
            c->spread += event.body.len * (p->now_us - c->begun_us);
            cv_rtmpt_body(p->tunnel.session, ticket, event.body.at, event.body.len, p->now_us);
        } else if (event.type == CV_HTTP1_END) {
            c->tells = c->streams && c->body_bytes;
            if (c->tells)
                c->early_ms = (p->now_us - c->begun_us - c->spread / c->body_bytes) / 1000;
            if (c->opening)
                answer_open(p, conn);
            else
                cv_rtmpt_end(p->tunnel.session, ticket, p->now_us);
            take_tunnel_events(p);
            return;
        }
        take_tunnel_events(p);
    }
    assert_true(!c->server_open || cv_http1_why(c->http)->code == CV_OK);
}

// One request at a time goes to the engine; what follows is held, dropped, or passed on.
static void serve(struct path *p, int conn)
{
    struct connection *c = &p->connections[conn];
    while (c->server_open && c->held.len) {
        if (c->waiting && cv_http1_phase(c->http) == CV_HTTP1_PAUSED) {
            if (p->habits.second == SECOND_CUTS) {
                hang_up(p, conn, 0);
                return;
            }
            if (p->habits.second == SECOND_IS_DROPPED || p->habits.second == SECOND_IS_SWALLOWED) {
                c->held.len = 0;
                c->closes_after = p->habits.second == SECOND_IS_DROPPED;
                return;
            }
            if (p->habits.serial)
                return;
        }
        if (p->habits.serial && p->now_us < c->free_us)
            return;
        if (cv_http1_phase(c->http) == CV_HTTP1_PAUSED)
            cv_http1_resume(c->http);
        struct bytes bytes = c->held;
        c->held = (struct bytes){0};
        cv_http1_feed(c->http, bytes.data, bytes.len);
        read_http(p, conn);
        struct cv_rd rest = cv_http1_unread(c->http);
        bytes_add(&c->held, rest.at, cv_rd_left(&rest));
        bytes_free(&bytes);
        if (c->waiting == 0 && c->full)
            return;
    }
}

static void answer_due(struct path *p)
{
    uint64_t ticket = 0;
    while (cv_rtmpt_due(p->tunnel.session, p->now_us, &ticket) == CV_RTMPT_NOW) {
        struct cv_rtmpt_reply made;
        struct bytes body = {0};
        cv_rtmpt_reply(p->tunnel.session, p->now_us, &made);
        if (made.has_poll)
            bytes_u8(&body, made.poll);
        for (size_t at = 0; made.parcel && at < made.parcel->bytes; at += gather.bytes) {
            cv_gather_clear(&gather);
            cv_parcel_pull(made.parcel, at, &gather);
            bytes_gathered(&body, &gather, SIZE_MAX);
        }
        cv_parcel_unref(&made.parcel);
        int conn = (int)ticket - 1;
        if (made.form != CV_RTMPT_WHOLE)
            reply_piece(p, conn, &made, &body);
        else if (made.status == 200 || p->connections[conn].waiting)
            reply(p, conn, made.status, &body);
        bytes_free(&body);
        cv_rtmpt_sent(p->tunnel.session, ticket);
        if (made.status != 200 || p->connections[conn].full)
            hang_up(p, conn, p->habits.late_us);
        serve(p, conn);
    }
}

static void server_says(struct path *p)
{
    enum { TICK_US = 10000 };
    if (!p->opened || p->now_us < p->say_us)
        return;
    p->say_us = p->now_us + TICK_US;
    for (uint32_t i = 0; i < p->says_per_tick && p->said < p->said_max; i++)
        tunnel_say(&p->tunnel, p->said++);
}

static void run_server(struct path *p)
{
    p->tunnel.now_us = p->now_us;
    server_says(p);
    cv_rtmpt_tick(p->tunnel.session, p->now_us);
    take_tunnel_events(p);
    for (int i = 0; p->habits.serial && i < p->connection_count; i++)
        serve(p, i);
    answer_due(p);
}

// ---- what the client hears --------------------------------------------------------------------

// Pings with numbers in a row, and Acknowledgements between them.
static void parse(struct path *p)
{
    size_t at = 0;
    while (p->partial.len - at >= 12) {
        const uint8_t *header = p->partial.data + at;
        size_t len = header[6];
        assert_int_equal(header[0], 2);
        assert_true((header[7] == CV_MSG_ACK && len == 4) ||
                    (header[7] == CV_MSG_USER_CONTROL && len == 6));
        if (p->partial.len - at < 12 + len)
            break;
        const uint8_t *body = header + 12;
        if (header[7] == CV_MSG_ACK) {
            p->acks++;
        } else {
            uint32_t number = (uint32_t)body[2] << 24 | (uint32_t)body[3] << 16 |
                              (uint32_t)body[4] << 8 | body[5];
            assert_int_equal(number, p->got);
            p->got++;
        }
        at += 12 + len;
    }
    memmove(p->partial.data, p->partial.data + at, p->partial.len - at);
    p->partial.len -= at;
}

static void on_answer(struct path *p, const struct cv_rtmpt_client_event *event)
{
    p->answered = true;
    p->elsewhere = event->elsewhere;
    p->html = event->html;
    snprintf(p->location, sizeof p->location, "%.*s", (int)event->location.len,
             event->location.at ? event->location.at : "");
    snprintf(p->page, sizeof p->page, "%.*s", (int)event->len, (const char *)event->data);
}

static void on_event(struct path *p, const struct cv_rtmpt_client_event *event)
{
    assert_false(p->ended);
    switch (event->type) {
    case CV_RTMPT_CLIENT_UPGRADED:
        p->upgraded = true;
        bytes_add(&p->raw, event->data, event->len);
        break;
    case CV_RTMPT_CLIENT_OPENED:
        assert_false(p->opened);
        p->opened = true;
        p->ours = event->ours;
        break;
    case CV_RTMPT_CLIENT_ANSWER:
        on_answer(p, event);
        break;
    case CV_RTMPT_CLIENT_BYTES:
        assert_true(p->opened && event->len > 0);
        bytes_add(&p->partial, event->data, event->len);
        parse(p);
        break;
    case CV_RTMPT_CLIENT_ENDED:
        p->ended = true;
        break;
    }
    if (event->status)
        p->status = event->status;
}

static void take_events(struct path *p)
{
    struct cv_rtmpt_client_event event;
    int more;
    while ((more = cv_rtmpt_client_next(p->client, &event)) > 0)
        on_event(p, &event);
    p->err = more;
    assert_int_equal(more, cv_rtmpt_client_why(p->client)->code);
}

// ---- the client's owner -----------------------------------------------------------------------

static void generate(struct path *p)
{
    if (!p->rate_bytes_per_s)
        return;
    uint64_t until_us = p->now_us < p->rate_until_us ? p->now_us : p->rate_until_us;
    uint64_t passed_us = (until_us - p->rate_from_us) / TAG_US * TAG_US;
    uint64_t due_bytes = passed_us * p->rate_bytes_per_s / 1000000;
    if (p->rate_base + due_bytes > p->to_send)
        p->to_send = p->rate_base + due_bytes;
}

static bool give_output(struct path *p)
{
    uint8_t data[4096];
    bool any = false;
    while (p->sent < p->to_send && cv_rtmpt_client_room(p->client)) {
        size_t len =
            p->to_send - p->sent < sizeof data ? (size_t)(p->to_send - p->sent) : sizeof data;
        for (size_t i = 0; i < len; i++)
            data[i] = byte_of(p->sent + i);
        cv_gather_clear(&gather);
        cv_gather_borrow(&gather, data, len / 3);
        cv_gather_borrow(&gather, data + len / 3, len - len / 3);
        size_t took = cv_rtmpt_client_send(p->client, &gather, p->urgent, p->now_us);
        if (took == 0)
            break;
        p->sent += took;
        any = true;
    }
    return any;
}

static void disconnect(struct path *p, enum cv_rtmpt_slot slot, int code, bool tell_server)
{
    int conn = p->slot_conn[slot];
    struct connection *c = &p->connections[conn];
    p->slot_conn[slot] = -1;
    c->client_open = false;
    if (tell_server && !c->doomed)
        post(p, p->now_us + p->habits.one_way_us, conn, PACKET_FIN_UP, NULL, 0, CV_OK);
    cv_rtmpt_client_closed(p->client, slot, code, p->now_us);
    take_events(p);
}

static void begin_connection(struct path *p, enum cv_rtmpt_slot slot)
{
    assert_true(p->connection_count < PATH_CONNECTIONS);
    int conn = p->connection_count++;
    p->connections[conn] = (struct connection){.slot = slot};
    p->slot_connecting[slot] = true;
    post(p, p->now_us + 2 * p->habits.one_way_us, conn, PACKET_CONNECTED, NULL, 0, CV_OK);
}

static bool write_out(struct path *p, enum cv_rtmpt_slot slot)
{
    struct bytes out = {0};
    if (p->slot_conn[slot] < 0)
        return false;
    cv_gather_clear(&gather);
    cv_rtmpt_client_pull(p->client, slot, &gather);
    if (gather.bytes == 0)
        return false;
    bytes_gathered(&out, &gather, SIZE_MAX);
    transmit(p, p->slot_conn[slot], false, 0, out.data, out.len);
    cv_rtmpt_client_sent(p->client, slot, out.len, p->now_us);
    bytes_free(&out);
    return true;
}

static bool tend(struct path *p, enum cv_rtmpt_slot slot)
{
    switch (cv_rtmpt_client_want(p->client, slot)) {
    case CV_RTMPT_WANT_CONNECT:
        if (p->slot_connecting[slot] || p->slot_conn[slot] >= 0)
            return false;
        begin_connection(p, slot);
        return true;
    case CV_RTMPT_WANT_CLOSE:
        disconnect(p, slot, CV_OK, true);
        return true;
    case CV_RTMPT_WANT_NOTHING:
        break;
    }
    return write_out(p, slot);
}

static void run_client(struct path *p)
{
    bool any = true;
    generate(p);
    cv_rtmpt_client_tick(p->client, p->now_us);
    while (any) {
        take_events(p);
        any = give_output(p);
        any |= tend(p, CV_RTMPT_UP);
        any |= tend(p, CV_RTMPT_DOWN);
    }
}

// ---- arrivals ---------------------------------------------------------------------------------

static void arrive_connected(struct path *p, int conn)
{
    struct connection *c = &p->connections[conn];
    p->slot_connecting[c->slot] = false;
    if (p->habits.no_second && c->slot == CV_RTMPT_DOWN) {
        cv_rtmpt_client_closed(p->client, c->slot, CV_E_CONN_REFUSED, p->now_us);
        take_events(p);
        return;
    }
    c->client_open = true;
    c->server_open = true;
    c->http = cv_http1_new(CV_HTTP1_REQUESTS);
    assert_non_null(c->http);
    p->slot_conn[c->slot] = conn;
    cv_rtmpt_client_connected(p->client, c->slot, p->now_us);
    take_events(p);
}

static bool has(const struct bytes *bytes, const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at + len <= bytes->len; at++) {
        if (memcmp(bytes->data + at, text, len) == 0)
            return true;
    }
    return false;
}

static void arrive_up(struct path *p, int conn, const uint8_t *data, size_t len)
{
    struct connection *c = &p->connections[conn];
    if (!c->server_open)
        return;
    bytes_add(&c->held, data, len);
    if (p->habits.buffers_up && has(&c->held, "chunked") && !has(&c->held, "\r\n0\r\n\r\n"))
        return;
    serve(p, conn);
}

static void arrive_down(struct path *p, int conn, const uint8_t *data, size_t len)
{
    struct connection *c = &p->connections[conn];
    if (!c->client_open)
        return;
    uint8_t *exact = malloc(len); // the sanitizer sees one byte too far
    assert_non_null(exact);
    memcpy(exact, data, len);
    cv_rtmpt_client_feed(p->client, c->slot, exact, len, p->now_us);
    take_events(p);
    free(exact);
}

static void arrive_bytes(struct path *p, const struct packet *packet)
{
    size_t whole = packet->bytes.len;
    size_t piece = p->habits.piece ? p->habits.piece : whole;
    for (size_t at = 0; at < whole; at += piece) {
        size_t len = whole - at < piece ? whole - at : piece;
        if (packet->kind == PACKET_UP)
            arrive_up(p, packet->conn, packet->bytes.data + at, len);
        else
            arrive_down(p, packet->conn, packet->bytes.data + at, len);
    }
}

static void arrive(struct path *p, const struct packet *packet)
{
    struct connection *c = &p->connections[packet->conn];
    switch (packet->kind) {
    case PACKET_CONNECTED:
        arrive_connected(p, packet->conn);
        break;
    case PACKET_UP:
    case PACKET_DOWN:
        arrive_bytes(p, packet);
        break;
    case PACKET_FIN_UP:
        if (c->server_open) {
            c->server_open = false;
            if (!c->opening)
                tunnel_gone(&p->tunnel, (uint64_t)packet->conn + 1);
        }
        break;
    case PACKET_FIN_DOWN:
        if (c->client_open)
            disconnect(p, c->slot, packet->code, true);
        break;
    }
}

// ---- time -------------------------------------------------------------------------------------

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_us(struct path *p, uint64_t until_us)
{
    const struct packet *packet = due(p);
    uint64_t at_us = earlier(until_us, cv_rtmpt_client_deadline_us(p->client));
    at_us = earlier(at_us, cv_rtmpt_deadline_us(p->tunnel.session));
    if (packet)
        at_us = earlier(at_us, packet->at_us);
    if (p->opened && p->says_per_tick && p->said < p->said_max)
        at_us = earlier(at_us, p->say_us);
    if (p->rate_bytes_per_s && p->now_us < p->rate_until_us)
        at_us = earlier(at_us, p->now_us + TAG_US - (p->now_us - p->rate_from_us) % TAG_US);
    for (int i = 0; p->habits.serial && i < p->connection_count; i++) {
        const struct connection *c = &p->connections[i];
        if (c->server_open && c->held.len && c->free_us > p->now_us)
            at_us = earlier(at_us, c->free_us);
    }
    return at_us > p->now_us ? at_us : p->now_us;
}

static bool is_over(const struct path *p)
{
    return cv_rtmpt_client_over(p->client) || p->upgraded;
}

static void step(struct path *p, uint64_t until_us)
{
    p->now_us = next_us(p, until_us);
    p->tunnel.now_us = p->now_us;
    struct packet *packet;
    while ((packet = due(p)) && packet->at_us <= p->now_us) {
        struct packet taken = *packet;
        *packet = p->packets[--p->packet_count];
        arrive(p, &taken);
        bytes_free(&taken.bytes);
    }
    run_server(p);
    run_client(p);
    uint64_t age_us = 0;
    if (p->rate_bytes_per_s && p->heard > p->rate_base) {
        uint64_t made_us =
            p->rate_from_us + (p->heard - p->rate_base) * 1000000 / p->rate_bytes_per_s;
        age_us = p->now_us > made_us ? p->now_us - made_us : 0;
    }
    if (age_us > p->age_us && p->now_us <= p->rate_until_us)
        p->age_us = age_us;
}

static void run_until(struct path *p, uint64_t until_us, bool until_settled)
{
    uint64_t turns = 0;
    uint64_t last_us = p->now_us;
    run_client(p);
    while (p->now_us < until_us && !is_over(p) && !(until_settled && path_settled(p))) {
        step(p, until_us);
        turns = p->now_us == last_us ? turns + 1 : 0;
        last_us = p->now_us;
        assert_true(turns < 1000); // time must go on
    }
}

// ---- for the tests ----------------------------------------------------------------------------

struct path *path_new(const struct habits *habits, const struct cv_rtmpt_client_config *config)
{
    struct path *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->habits = *habits;
    p->tunnel = tunnel_new(0, 0);
    p->now_us = p->tunnel.now_us;
    p->said_max = UINT32_MAX;
    for (int i = 0; i < CV_RTMPT_SLOTS; i++)
        p->slot_conn[i] = -1;
    p->client = cv_rtmpt_client_new(config, p->now_us);
    return p;
}

void path_free(struct path *p)
{
    for (size_t i = 0; i < p->packet_count; i++)
        bytes_free(&p->packets[i].bytes);
    for (int i = 0; i < p->connection_count; i++) {
        cv_http1_free(p->connections[i].http);
        bytes_free(&p->connections[i].held);
        bytes_free(&p->connections[i].late);
    }
    bytes_free(&p->partial);
    bytes_free(&p->raw);
    bytes_free(&p->direct);
    cv_rtmpt_client_free(p->client);
    tunnel_free(&p->tunnel);
    free(p);
}

void path_run(struct path *p, uint64_t us)
{
    run_until(p, p->now_us + us, false);
}

void path_say(struct path *p, size_t len, bool urgent)
{
    p->to_send += len;
    p->urgent = urgent;
}

bool path_settled(const struct path *p)
{
    bool upward = p->heard == p->to_send;
    return p->opened && upward && p->got == p->said;
}

void path_settle(struct path *p, uint64_t us)
{
    run_until(p, p->now_us + us, true);
    assert_int_equal(p->err, CV_OK);
    assert_int_equal(p->heard, p->to_send);
    assert_int_equal(p->got, p->said);
}

void path_cut(struct path *p)
{
    for (int i = 0; i < p->connection_count; i++) {
        if (p->connections[i].client_open || p->connections[i].server_open)
            doom(p, i);
    }
    // Neither end gets anything of it any more.
    for (size_t i = 0; i < p->packet_count; i++) {
        struct packet *packet = &p->packets[i];
        if (packet->kind == PACKET_UP || packet->kind == PACKET_DOWN)
            packet->bytes.len = 0;
    }
}

void path_mode(struct path *p, enum cv_rtmpt_client_mode client, enum cv_rtmpt_mode server)
{
    cv_rtmpt_client_set_mode(p->client, client, p->now_us);
    cv_rtmpt_set_mode(p->tunnel.session, server);
}
