#include "chunk_kit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/rtmpt_client.h"

#include <stdio.h>

// ---- a client whose server is a text ----------------------------------------------------------

enum { C0C1 = 20, NOW_US = 1000000 };

static struct cv_gather gather;

struct talk {
    struct cv_rtmpt_client *client;
    uint64_t now_us;
    char record[4096]; // events, in words
    struct bytes got;  // of the server
    char realm[64];
    bool drops; // what /open carried, unless it was taken
    int err;
};

static const struct cv_rtmpt_client_config plain = {.host = {"example.org:8080", 16}};

static void add_event(struct talk *talk, const struct cv_rtmpt_client_event *event)
{
    char line[1200];
    static const char *const names[] = {"upgraded", "opened", "answer", "bytes", "ended"};
    if (event->type == CV_RTMPT_CLIENT_BYTES) {
        bytes_add(&talk->got, event->data, event->len);
        return;
    }
    snprintf(line, sizeof line, "%s%s %u%s%s%s [%.*s] [%.*s]\n", names[event->type],
             event->ours ? " ours" : "", event->status, event->taken ? " taken" : "",
             event->elsewhere ? " elsewhere" : "", event->html ? " html" : "",
             (int)event->location.len, event->location.at ? event->location.at : "",
             (int)event->len, event->data ? (const char *)event->data : "");
    append_text(talk->record, sizeof talk->record, line);
    if (event->realm.at)
        snprintf(talk->realm, sizeof talk->realm, "%.*s", (int)event->realm.len, event->realm.at);
    if (talk->drops && event->type == CV_RTMPT_CLIENT_OPENED && !event->taken)
        cv_rtmpt_client_drop_first(talk->client);
}

static void listen(struct talk *talk)
{
    struct cv_rtmpt_client_event event;
    int more;
    while ((more = cv_rtmpt_client_next(talk->client, &event)) > 0)
        add_event(talk, &event);
    talk->err = more;
}

static void hear(struct talk *talk, enum cv_rtmpt_slot slot, const void *data, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len)
        memcpy(exact, data, len);
    cv_rtmpt_client_feed(talk->client, slot, exact, len, talk->now_us);
    listen(talk);
    free(exact);
}

static void hear_text(struct talk *talk, enum cv_rtmpt_slot slot, const char *text)
{
    hear(talk, slot, text, strlen(text));
}

static void say(struct talk *talk, const char *text)
{
    cv_gather_clear(&gather);
    cv_gather_borrow(&gather, text, strlen(text));
    cv_rtmpt_client_send(talk->client, &gather, true, talk->now_us);
}

// What would be written; it counts as written.
static void written(struct talk *talk, enum cv_rtmpt_slot slot, struct bytes *out)
{
    cv_gather_clear(&gather);
    cv_rtmpt_client_pull(talk->client, slot, &gather);
    size_t len = bytes_gathered(out, &gather, SIZE_MAX);
    cv_rtmpt_client_sent(talk->client, slot, len, talk->now_us);
}

static void write_all(struct talk *talk, enum cv_rtmpt_slot slot)
{
    struct bytes out = {0};
    written(talk, slot, &out);
    bytes_free(&out);
}

static struct talk talk_new(const struct cv_rtmpt_client_config *config)
{
    struct talk talk = {.now_us = NOW_US};
    talk.client = cv_rtmpt_client_new(config, talk.now_us);
    return talk;
}

static void talk_free(struct talk *talk)
{
    cv_rtmpt_client_free(talk->client);
    bytes_free(&talk->got);
}

// /open is written.
static struct talk opening(const struct cv_rtmpt_client_config *config)
{
    struct talk talk = talk_new(config);
    assert_non_null(talk.client);
    say(&talk, "\3-handshake-bytes--20");
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    listen(&talk);
    write_all(&talk, CV_RTMPT_UP);
    return talk;
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

// Number 0, with 20 bytes, is written. A server that is not ours: only UP.
static struct talk running(const struct cv_rtmpt_client_config *config)
{
    struct talk talk = opening(config);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 3\r\n\r\nID\n");
    assert_int_equal(talk.err, CV_OK);
    write_all(&talk, CV_RTMPT_UP);
    return talk;
}

// ---- heads ------------------------------------------------------------------------------------

static void expect_written(struct talk *talk, enum cv_rtmpt_slot slot, const char *text)
{
    struct bytes out = {0};
    written(talk, slot, &out);
    bytes_u8(&out, 0);
    assert_string_equal((char *)out.data, text);
    bytes_free(&out);
}

static void requests_are_short(void **state)
{
    (void)state;
    struct talk talk = talk_new(&plain);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CONNECT);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_NOTHING);
    say(&talk, "C0C1");
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    static const char open[] = "POST /open/1 HTTP/1.1\r\nHost: example.org:8080\r\n"
                               "Content-Type: application/x-fcs\r\nCache-Control: no-store\r\n"
                               "Culvert: 1\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n";
    assert_int_equal(out.len, sizeof open); // the last byte is the filler, 0
    assert_memory_equal(out.data, open, sizeof open);
    bytes_free(&out);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 6\r\n\r\naB-9\r\n");
    assert_string_equal(talk.record, "opened 200 [] []\n");
    expect_written(&talk, CV_RTMPT_UP,
                   "POST /send/aB-9/0 HTTP/1.1\r\nHost: example.org:8080\r\n"
                   "Content-Type: application/x-fcs\r\nCache-Control: no-store\r\n"
                   "Connection: keep-alive\r\nContent-Length: 4\r\n\r\nC0C1");
    talk_free(&talk);
}

static void offers_and_goes_through_a_proxy(void **state)
{
    (void)state;
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    config.proxy = true;
    config.proxy_user = cv_text_of("Aladdin");
    config.proxy_password = cv_text_of("open sesame");
    config.user_agent = cv_text_of("Agent/1");
    struct talk talk = talk_new(&config);
    say(&talk, "C0C1");
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    expect_written(&talk, CV_RTMPT_UP,
                   "POST http://example.org:8080/open/1 HTTP/1.1\r\nHost: example.org:8080\r\n"
                   "Content-Type: application/x-fcs\r\nCache-Control: no-store\r\n"
                   "User-Agent: Agent/1\r\n"
                   "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
                   "Culvert: 1; handshake\r\nConnection: Upgrade\r\nUpgrade: rtmp\r\n"
                   "Content-Length: 4\r\n\r\nC0C1");
    assert_int_equal(cv_rtmpt_client_room(talk.client), 0);
    // A proxy has dropped the offer, and the server did not look at the body.
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "culvert: 1\r\ncontent-length: 3\r\n\r\nID\n");
    assert_string_equal(talk.record, "opened ours 200 [] []\n");
    expect_written(&talk, CV_RTMPT_UP,
                   "POST http://example.org:8080/send/ID/0 HTTP/1.1\r\nHost: example.org:8080\r\n"
                   "Content-Type: application/x-fcs\r\nCache-Control: no-store\r\n"
                   "User-Agent: Agent/1\r\n"
                   "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
                   "Connection: keep-alive\r\nContent-Length: 4\r\n\r\nC0C1");
    talk_free(&talk);
}

static void texts_that_would_break_a_head_are_refused(void **state)
{
    (void)state;
    static char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    const char *const hosts[] = {"", "a b", "a\r\nX: y", "user@host", longer};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct talk talk = talk_new(&(struct cv_rtmpt_client_config){.host = cv_text_of(hosts[i])});
        listen(&talk);
        assert_int_equal(talk.err, CV_E_USAGE);
        talk_free(&talk);
    }
    struct cv_rtmpt_client_config config = plain;
    config.user_agent = cv_text_of("x\nHost: y");
    struct talk talk = talk_new(&config);
    listen(&talk);
    assert_int_equal(talk.err, CV_E_USAGE);
    talk_free(&talk);
    config = plain;
    config.proxy = true;
    config.proxy_user = cv_text_of("me");
    config.proxy_password = cv_text_of(longer);
    talk = talk_new(&config);
    listen(&talk);
    assert_int_equal(talk.err, CV_E_USAGE);
    talk_free(&talk);
}

// ---- answers to /open -------------------------------------------------------------------------

struct answer_row {
    const char *text;
    const char *record;
    int err;
    bool end; // the connection ends behind it
};

// With the offer.
static void run_answer(const struct answer_row *row, size_t first)
{
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    struct talk talk = opening(&config);
    size_t len = strlen(row->text);
    hear(&talk, CV_RTMPT_UP, row->text, first);
    for (size_t at = first; at < len; at++) {
        if (!cv_rtmpt_client_over(talk.client) && !strstr(talk.record, "upgraded"))
            hear(&talk, CV_RTMPT_UP, row->text + at, 1);
    }
    if (row->end && !cv_rtmpt_client_over(talk.client)) {
        cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_OK, talk.now_us);
        listen(&talk);
    }
    assert_int_equal(talk.err, row->err);
    assert_string_equal(talk.record, row->record);
    talk_free(&talk);
}

static void run_answers(const struct answer_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t first = 0; first <= strlen(rows[i].text); first++)
            run_answer(&rows[i], first);
    }
}

static void answers_to_open(void **state)
{
    (void)state;
    static const struct answer_row rows[] = {
        {"HTTP/1.1 101 Switching\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\nCulvert: 1\r\n\r\n",
         "upgraded ours 101 [] []\n", 0, false},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nab",
         "opened 200 [] []\n", 0, false},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nb \n\r\n0\r\n\r\n",
         "opened 200 [] []\n", 0, false},
        {"HTTP/1.0 200 OK\r\n\r\nid\n", "opened 200 [] []\n", 0, true},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answer 404 [] []\n", 0, false},
        {"HTTP/1.1 407 Proxy\r\nContent-Length: 5\r\n\r\nlogin", "answer 407 [] [login]\n", 0,
         false},
        {"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n",
         "answer 302 elsewhere [http://login.example/] []\n", 0, false},
        {"HTTP/1.1 302 Found\r\nLocation: //portal:80/x\r\nContent-Length: 0\r\n\r\n",
         "answer 302 elsewhere [//portal:80/x] []\n", 0, false},
        {"HTTP/1.1 301 Moved\r\nLocation: HTTPS://EXAMPLE.org/open/1\r\nContent-Length: 0\r\n\r\n",
         "answer 301 [HTTPS://EXAMPLE.org/open/1] []\n", 0, false},
        {"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
         "answer 302 [/login] []\n", 0, false},
        {OK_HEAD "Content-Type: text/html; charset=x\r\nContent-Length: 2\r\n\r\nab",
         "answer 200 html [] [ab]\n", 0, false},
        {OK_HEAD "Content-Length: 25\r\n\r\n\n <!DOCTYPE HTML><title>x",
         "answer 200 html [] [\n <!DOCTYPE HTML><title>x]\n", 0, false},
        {OK_HEAD "\r\n<html>", "answer 200 html [] [<html>]\n", 0, true},
        {OK_HEAD "Culvert: 1\r\nContent-Length: 7\r\n\r\n<script",
         "answer ours 200 html [] [<script]\n", 0, false},
        {"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nso", "answer 503 [] [so]\n", 0, true},
        {"", "", CV_E_CLOSED, true},
        {"HTTP/1.1 200 O", "", CV_E_CLOSED, true},
    };
    run_answers(rows, sizeof rows / sizeof rows[0]);
}

static void bug_14_answers_to_open_that_cannot_be_trusted(void **state)
{
    (void)state;
#define DIGITS "0123456789abcdef0123456789abcdef"
    static const struct answer_row rows[] = {
        {OK_HEAD "Content-Length: 0\r\n\r\n", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 3\r\n\r\n \r\n", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 63\r\n\r\n" DIGITS "0123456789abcdef0123456789abcde",
         "opened 200 [] []\n", 0, false},
        {OK_HEAD "Content-Length: 64\r\n\r\n" DIGITS DIGITS, "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 6\r\n\r\na\r\nX:y", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 3\r\n\r\na b", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 3\r\n\r\na/b", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 3\r\n\r\na\x01"
                 "b",
         "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: 3\r\n\r\n\xc3\xa4\n", "", CV_E_SYNTAX, false},
        {OK_HEAD "Content-Length: -3\r\n\r\nID\n", "", CV_E_HTTP, false},
        {OK_HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nID\n", "", CV_E_HTTP, false},
        {OK_HEAD "Content-Length: 99999999\r\n\r\nID\n", "", CV_E_TOO_LONG, false},
        {"HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "", CV_E_HTTP,
         false},
        {"HTTP/1.1 101 Sure\r\n\r\n", "", CV_E_HTTP, false},
        {"SSH-2.0-OpenSSH\r\n\r\n", "", CV_E_HTTP, false},
        {"\x15\x03\x01\r\n", "", CV_E_HTTP, false},
    };
    run_answers(rows, sizeof rows / sizeof rows[0]);
#undef DIGITS
}

static void bug_14_heads_and_ids_have_an_end(void **state)
{
    (void)state;
    struct talk talk = opening(&plain);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "A: ");
    for (int i = 0; i < 20000 && talk.err == CV_OK; i++)
        hear_text(&talk, CV_RTMPT_UP, i % 50 ? "x" : "\r\nX: ");
    assert_int_equal(talk.err, CV_E_TOO_LONG);
    talk_free(&talk);
    talk = opening(&plain);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "\r\n");
    for (int i = 0; i < 10000 && talk.err == CV_OK; i++)
        hear_text(&talk, CV_RTMPT_UP, "x");
    assert_int_equal(talk.err, CV_E_SYNTAX);
    talk_free(&talk);
}

// A page is shown by its first bytes, however long it is.
static void pages_are_cut(void **state)
{
    (void)state;
    struct talk talk = opening(&plain);
    char page[2000];
    memset(page, 'p', sizeof page - 1);
    page[sizeof page - 1] = '\0';
    hear_text(&talk, CV_RTMPT_UP, "HTTP/1.1 403 No\r\nContent-Length: 5000\r\n\r\n");
    hear_text(&talk, CV_RTMPT_UP, page);
    assert_int_equal(strlen(talk.record), strlen("answer 403 [] []\n") + CV_TUNNEL_ANSWER_BYTES);
    assert_true(cv_rtmpt_client_over(talk.client));
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CLOSE);
    talk_free(&talk);
}

// Plain RTMP may follow the head at once.
static void what_follows_101_is_given_back(void **state)
{
    (void)state;
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    struct talk talk = opening(&config);
    hear_text(&talk, CV_RTMPT_UP,
              "HTTP/1.1 101 Switching\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n\3S1S2");
    assert_string_equal(talk.record, "upgraded 101 [] [\3S1S2]\n");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_NOTHING);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_NOTHING);
    write_all(&talk, CV_RTMPT_UP);
    assert_int_equal(gather.bytes, 0);
    assert_int_equal(cv_rtmpt_client_deadline_us(talk.client), UINT64_MAX);
    talk_free(&talk);
    // Half of the request only: who answers that does not know what he says.
    talk = talk_new(&config);
    say(&talk, "C0C1");
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    cv_rtmpt_client_sent(talk.client, CV_RTMPT_UP, 10, talk.now_us);
    hear_text(&talk, CV_RTMPT_UP,
              "HTTP/1.1 101 Switching\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n");
    assert_int_equal(talk.err, CV_E_HTTP);
    talk_free(&talk);
}

// Our server answers the handshake behind the id: it was taken, and is not sent again.
static void handshake_in_open_is_not_sent_twice(void **state)
{
    (void)state;
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    struct talk talk = opening(&config);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 8\r\n\r\nID\n\nS0S1");
    assert_string_equal(talk.record, "opened ours 200 taken [] []\n");
    assert_int_equal(talk.got.len, 5);
    assert_memory_equal(talk.got.data, "\nS0S1", 5);
    say(&talk, "C2");
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /send/ID/0 ", 16);
    assert_memory_equal(out.data + out.len - 6, "\r\n\r\nC2", 6);
    bytes_free(&out);
    talk_free(&talk);
}

// A server that is known to take a first flight gets it without an offer.
static void a_first_flight_needs_no_offer(void **state)
{
    (void)state;
    struct cv_rtmpt_client_config config = plain;
    config.first = true;
    struct talk talk = {.client = cv_rtmpt_client_new(&config, 0)};
    say(&talk, "C0C1");
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    listen(&talk);
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_non_null(memmem(out.data, out.len, "\r\nCulvert: 1; handshake\r\n", 25));
    assert_non_null(memmem(out.data, out.len, "\r\nConnection: keep-alive\r\n", 26));
    assert_null(memmem(out.data, out.len, "Upgrade", 7));
    assert_memory_equal(out.data + out.len - 8, "\r\n\r\nC0C1", 8);
    bytes_free(&out);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 8\r\n\r\nID\n\nS0S1");
    assert_string_equal(talk.record, "opened ours 200 taken [] []\n");
    talk_free(&talk);
}

// What follows it on the same connection cannot come before it.
static void the_first_number_goes_up(void **state)
{
    (void)state;
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    struct talk talk = opening(&config);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 5\r\n\r\nID\nS0");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_CONNECT);
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_DOWN, talk.now_us);
    talk.now_us += UINT64_C(1000) * CV_TUNNEL_KEEPALIVE_MS;
    cv_rtmpt_client_tick(talk.client, talk.now_us);
    listen(&talk);
    write_all(&talk, CV_RTMPT_DOWN);
    assert_int_equal(gather.bytes, 0);
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /idle/ID/0 ", 16);
    bytes_free(&out);
    talk_free(&talk);
}

// A first flight that was not taken must not go to a server that may not know what it is.
static void what_was_not_taken_is_dropped(void **state)
{
    (void)state;
    static const char *const answers[] = {
        OK_HEAD "Culvert: 1\r\nContent-Length: 3\r\n\r\nID\n",
        OK_HEAD "Content-Length: 6\r\n\r\nID\nS0S",
        OK_HEAD "Content-Length: 3\r\n\r\nID\n",
    };
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    for (size_t i = 0; i < 6; i++) {
        bool slowly = i & 1;
        const char *answer = answers[i / 2];
        struct talk talk = opening(&config);
        talk.drops = true;
        for (const char *at = answer; slowly && *at && talk.err == CV_OK; at++)
            hear(&talk, CV_RTMPT_UP, at, 1);
        if (!slowly)
            hear_text(&talk, CV_RTMPT_UP, answer);
        if (i / 2 == 1) { // not ours: what is behind an id makes it none
            assert_int_equal(talk.err, CV_E_SYNTAX);
            talk_free(&talk);
            continue;
        }
        write_all(&talk, CV_RTMPT_UP);
        assert_int_equal(gather.bytes, 0);
        say(&talk, "anew");
        struct bytes out = {0};
        written(&talk, CV_RTMPT_UP, &out);
        assert_memory_equal(out.data, "POST /send/ID/0 ", 16);
        assert_memory_equal(out.data + out.len - 8, "\r\n\r\nanew", 8);
        bytes_free(&out);
        hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 3\r\n\r\n\1ab");
        assert_int_equal(talk.got.len, 2);
        talk_free(&talk);
    }
}

// As much as a server takes in the body of /open.
static void the_first_flight_has_room(void **state)
{
    (void)state;
    static char flight[CV_LIMIT_TUNNEL_OPEN_BYTES + 100];
    struct cv_rtmpt_client_config config = plain;
    config.offer = true;
    struct talk talk = talk_new(&config);
    memset(flight, 3, sizeof flight - 1);
    assert_int_equal(cv_rtmpt_client_room(talk.client), CV_LIMIT_TUNNEL_OPEN_BYTES);
    say(&talk, flight);
    assert_int_equal(cv_rtmpt_client_room(talk.client), 0);
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    listen(&talk);
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_in_range(out.len, CV_LIMIT_TUNNEL_OPEN_BYTES, CV_LIMIT_TUNNEL_OPEN_BYTES + 300);
    // All of it counts as sent once it was upgraded.
    hear_text(&talk, CV_RTMPT_UP,
              "HTTP/1.1 101 Switching\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n");
    assert_string_equal(talk.record, "upgraded 101 [] []\n");
    write_all(&talk, CV_RTMPT_UP);
    assert_int_equal(gather.bytes, 0);
    bytes_free(&out);
    talk_free(&talk);
}

static void who_asks_for_credentials_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        const char *realm;
    } rows[] = {
        {"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
         "Basic realm=\"x\""},
        {"HTTP/1.1 401 No\r\nwww-authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
         "Negotiate"},
        {"HTTP/1.1 403 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", ""},
        {"HTTP/1.1 407 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 5000\r\n\r\n<html>", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct talk talk = opening(&plain);
        hear_text(&talk, CV_RTMPT_UP, rows[i].answer);
        cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_OK, talk.now_us);
        listen(&talk);
        assert_true(cv_rtmpt_client_over(talk.client));
        assert_string_equal(talk.realm, rows[i].realm);
        talk_free(&talk);
    }
}

// ---- replies ----------------------------------------------------------------------------------

struct reply_row {
    const char *text;
    const char *got;
    int err;
    bool end;
    const char *record; // behind "opened"; NULL: nothing
};

static void run_reply(const struct reply_row *row, size_t first)
{
    struct talk talk = running(&plain);
    size_t len = strlen(row->text);
    hear(&talk, CV_RTMPT_UP, row->text, first);
    for (size_t at = first; at < len; at++)
        hear(&talk, CV_RTMPT_UP, row->text + at, 1);
    if (row->end) {
        cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_OK, talk.now_us);
        listen(&talk);
    }
    assert_int_equal(talk.err, row->err);
    assert_int_equal(talk.got.len, strlen(row->got));
    if (talk.got.len)
        assert_memory_equal(talk.got.data, row->got, talk.got.len);
    assert_string_equal(talk.record + strlen("opened 200 [] []\n"), row->record ? row->record : "");
    talk_free(&talk);
}

static void run_replies(const struct reply_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t first = 0; first <= strlen(rows[i].text); first++)
            run_reply(&rows[i], first);
    }
}

static void replies_in_every_form(void **state)
{
    (void)state;
    static const struct reply_row rows[] = {
        {OK_HEAD "Content-Length: 1\r\n\r\n\1", "", 0, false, NULL},
        {OK_HEAD "Content-Length: 6\r\n\r\n\1hello", "hello", 0, false, NULL},
        {OK_HEAD "content-length:6\r\n\r\n!hello", "hello", 0, false, NULL},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n\1\r\n3\r\nabc\r\n0\r\n\r\n", "abc", 0,
         false, NULL},
        {"HTTP/1.0 200 OK\r\n\r\n\1abc", "abc", 0, true, NULL},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\n\1a", "a", 0, false,
         NULL},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", 0, false, "ended 404 [] []\n"},
        {"HTTP/1.1 408 Too slow\r\nContent-Length: 3\r\n\r\nabc", "", 0, false, NULL},
    };
    run_replies(rows, sizeof rows / sizeof rows[0]);
}

static void bug_14_replies_that_cannot_be_trusted(void **state)
{
    (void)state;
    static const struct reply_row rows[] = {
        {OK_HEAD "Content-Length: 0\r\n\r\n", "", CV_E_HTTP, false, NULL}, // no first byte
        {"HTTP/1.0 200 OK\r\n\r\n", "", CV_E_HTTP, true, NULL},
        {OK_HEAD "Content-Length: x\r\n\r\n", "", CV_E_HTTP, false, NULL},
        {OK_HEAD "Content-Length: 8388609\r\n\r\n\1", "", CV_E_TOO_LONG, false, NULL},
        {OK_HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "", CV_E_HTTP, false,
         NULL},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "", CV_E_TOO_LONG, false, NULL},
        {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "", CV_E_HTTP, false, NULL},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "", CV_E_HTTP, false,
         NULL},
        {"HTTP/1.1 101 Now\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n", "", CV_E_HTTP, false,
         NULL},
        {"\3 RTMP", "", CV_E_HTTP, false, NULL},
    };
    run_replies(rows, sizeof rows / sizeof rows[0]);
}

// Poll byte 0.
static void the_server_ends_the_session(void **state)
{
    (void)state;
    struct talk talk = running(&plain);
    static const char last[] = OK_HEAD "Content-Length: 4\r\n\r\n\0bye";
    hear(&talk, CV_RTMPT_UP, last, sizeof last - 1);
    assert_string_equal(talk.record, "opened 200 [] []\nended 200 [] []\n");
    assert_int_equal(talk.got.len, 3);
    assert_true(cv_rtmpt_client_over(talk.client));
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CLOSE);
    cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_OK, talk.now_us);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_NOTHING);
    talk_free(&talk);
}

// HAProxy says 408 to a connection that is idle; another one speaks out of turn.
static void bug_14_a_reply_that_nobody_asked_for_is_not_taken(void **state)
{
    (void)state;
    struct talk talk = running(&plain);
    hear_text(&talk, CV_RTMPT_UP,
              OK_HEAD "Content-Length: 2\r\n\r\n\1a" OK_HEAD "Content-Length: 2\r\n\r\n\1b");
    assert_int_equal(talk.err, CV_OK);
    assert_int_equal(talk.got.len, 1);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CLOSE);
    talk_free(&talk);
}

// The answer to a command is mostly followed by the next command: an idle between them would be
// held by the server, and the command would wait on the only connection.
static void who_has_been_told_something_speaks_first(void **state)
{
    (void)state;
    struct talk talk = running(&plain);
    struct bytes out = {0};
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 6\r\n\r\n\1Hello");
    say(&talk, "abc");
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /send/ID/1 ", 16);
    bytes_free(&out);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 6\r\n\r\n\1World");
    written(&talk, CV_RTMPT_UP, &out);
    assert_int_equal(out.len, 0);
    // Who has nothing to say calls next once more, or tick, which is due.
    assert_true(cv_rtmpt_client_deadline_us(talk.client) <= talk.now_us);
    listen(&talk);
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /idle/ID/2 ", 16);
    bytes_free(&out);
    // A reply without anything in it is no reason to wait.
    say(&talk, "def");
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 6\r\n\r\n\1Hello");
    write_all(&talk, CV_RTMPT_UP);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 1\r\n\r\n\1");
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /idle/ID/4 ", 16);
    bytes_free(&out);
    talk_free(&talk);
}

// ---- two connections --------------------------------------------------------------------------

// A server of ours: number 0 was answered, an idle with number 1 is under way on DOWN.
static struct talk parked(void)
{
    struct talk talk = opening(&plain);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 3\r\n\r\nID\n");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_CONNECT);
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_DOWN, talk.now_us);
    write_all(&talk, CV_RTMPT_UP);
    write_all(&talk, CV_RTMPT_DOWN);
    talk.now_us += 3000000;
    cv_rtmpt_client_tick(talk.client, talk.now_us);
    listen(&talk);
    write_all(&talk, CV_RTMPT_DOWN);
    assert_int_equal(gather.bytes, 0); // not before the first number was answered
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 1\r\n\r\n\1");
    struct bytes out = {0};
    written(&talk, CV_RTMPT_DOWN, &out);
    assert_memory_equal(out.data, "POST /idle/ID/1 ", 16);
    bytes_free(&out);
    say(&talk, "abc");
    write_all(&talk, CV_RTMPT_UP);
    return talk;
}

static void replies_are_put_into_order(void **state)
{
    (void)state;
    struct talk talk = parked();
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 6\r\n\r\n\1World");
    assert_int_equal(talk.got.len, 0);
    hear_text(&talk, CV_RTMPT_DOWN, OK_HEAD "Content-Length: 6\r\n\r\n\1Hel");
    assert_int_equal(talk.got.len, 3);
    hear_text(&talk, CV_RTMPT_DOWN, "lo");
    assert_int_equal(talk.got.len, 10);
    assert_memory_equal(talk.got.data, "HelloWorld", 10);
    talk_free(&talk);
}

static void bug_14_what_comes_early_has_a_cap(void **state)
{
    (void)state;
    struct talk talk = parked();
    static uint8_t data[65536];
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 3000000\r\n\r\n\1");
    size_t sum = 0;
    bool paused = false;
    while (talk.err == CV_OK && sum < 3000000) {
        hear(&talk, CV_RTMPT_UP, data, sizeof data);
        sum += sizeof data;
        bool reads = cv_rtmpt_client_reads(talk.client, CV_RTMPT_UP);
        assert_int_equal(reads, sum < CV_LIMIT_TUNNEL_EARLY_BYTES / 2);
        paused = paused || !reads;
        assert_true(cv_rtmpt_client_reads(talk.client, CV_RTMPT_DOWN));
    }
    assert_true(paused);
    assert_int_equal(talk.err, CV_E_QUEUE_FULL);
    assert_true(sum <= CV_LIMIT_TUNNEL_EARLY_BYTES + sizeof data);
    talk_free(&talk);
}

// Behind a request that may be missing a server keeps 1 MB, and then ends the session.
static void sends_do_not_outrun_an_idle(void **state)
{
    (void)state;
    struct talk talk = parked();
    static char data[100000];
    memset(data, 'x', sizeof data - 1);
    size_t count = 0;
    while (cv_rtmpt_client_room(talk.client) >= sizeof data - 1) {
        say(&talk, data);
        write_all(&talk, CV_RTMPT_UP);
        count++;
    }
    assert_in_range(count * sizeof data, CV_TUNNEL_SEND_BYTES, CV_LIMIT_TUNNEL_PARK_BYTES / 2);
    hear_text(&talk, CV_RTMPT_DOWN, OK_HEAD "Content-Length: 1\r\n\r\n\1");
    talk_free(&talk);
}

// What was given out of a reply that was cut off is not given out again.
static void a_reply_that_comes_again_goes_on(void **state)
{
    (void)state;
    static const char again[] = OK_HEAD "Content-Length: 6\r\n\r\n\1Hello";
    for (size_t shorter = 0; shorter < 2; shorter++) {
        struct talk talk = parked();
        hear_text(&talk, CV_RTMPT_DOWN, OK_HEAD "Content-Length: 6\r\n\r\n\1Hel");
        cv_rtmpt_client_closed(talk.client, CV_RTMPT_DOWN, CV_E_RESET, talk.now_us);
        listen(&talk);
        assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_CONNECT);
        cv_rtmpt_client_connected(talk.client, CV_RTMPT_DOWN, talk.now_us);
        struct bytes out = {0};
        written(&talk, CV_RTMPT_DOWN, &out);
        assert_memory_equal(out.data, "POST /idle/ID/1 ", 16);
        bytes_free(&out);
        hear_text(&talk, CV_RTMPT_DOWN, shorter ? OK_HEAD "Content-Length: 3\r\n\r\n\1He" : again);
        assert_int_equal(talk.err, shorter ? CV_E_SEQUENCE : CV_OK);
        assert_int_equal(talk.got.len, shorter ? 3 : 5);
        talk_free(&talk);
    }
}

// What is learnt on the one connection holds for the other, which nothing is asked on.
static void a_connection_that_serves_once_is_left(void **state)
{
    (void)state;
    struct talk talk = parked();
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 1\r\n\r\n\1");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_NOTHING);
    hear_text(&talk, CV_RTMPT_DOWN, OK_HEAD "Connection: close\r\nContent-Length: 1\r\n\r\n\1");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CLOSE);
    cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_OK, talk.now_us);
    listen(&talk);
    say(&talk, "anew");
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CONNECT);
    cv_rtmpt_client_connected(talk.client, CV_RTMPT_UP, talk.now_us);
    listen(&talk);
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_true(out.len > 16 && memcmp(out.data, "POST /send/ID/3 ", 16) == 0);
    bytes_free(&out);
    talk_free(&talk);
}

// A second connection that cannot be had is done without; the first one carries the idles.
static void one_connection_is_enough(void **state)
{
    (void)state;
    struct talk talk = opening(&plain);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 3\r\n\r\nID\n");
    cv_rtmpt_client_closed(talk.client, CV_RTMPT_DOWN, CV_E_CONN_REFUSED, talk.now_us);
    listen(&talk);
    assert_int_equal(talk.err, CV_OK);
    assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_DOWN), CV_RTMPT_WANT_NOTHING);
    write_all(&talk, CV_RTMPT_UP);
    hear_text(&talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 1\r\n\r\n\1");
    struct bytes out = {0};
    written(&talk, CV_RTMPT_UP, &out);
    assert_memory_equal(out.data, "POST /idle/ID/1 ", 16);
    bytes_free(&out);
    talk_free(&talk);
}

static void connections_that_cannot_be_made_end_it(void **state)
{
    (void)state;
    struct talk talk = talk_new(&plain);
    cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_E_UNREACHABLE, talk.now_us);
    listen(&talk);
    assert_int_equal(talk.err, CV_E_UNREACHABLE);
    talk_free(&talk);
    talk = running(&plain);
    cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_E_RESET, talk.now_us);
    listen(&talk);
    for (int i = 0; i < CV_LIMIT_TUNNEL_CONNECTS; i++) {
        assert_int_equal(talk.err, CV_OK);
        assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_CONNECT);
        cv_rtmpt_client_closed(talk.client, CV_RTMPT_UP, CV_E_CONN_REFUSED, talk.now_us);
        listen(&talk);
        assert_int_equal(cv_rtmpt_client_want(talk.client, CV_RTMPT_UP), CV_RTMPT_WANT_NOTHING);
        if (talk.err == CV_OK)
            talk.now_us = cv_rtmpt_client_deadline_us(talk.client);
        cv_rtmpt_client_tick(talk.client, talk.now_us);
    }
    assert_int_equal(talk.err, CV_E_CONN_REFUSED);
    talk_free(&talk);
}

// ---- memory -----------------------------------------------------------------------------------

static bool note(struct talk *talk)
{
    listen(talk);
    if (talk->err != CV_OK)
        assert_int_equal(talk->err, CV_E_NOMEM);
    return talk->err == CV_OK;
}

static bool feed_static(struct talk *talk, enum cv_rtmpt_slot slot, const char *text)
{
    cv_rtmpt_client_feed(talk->client, slot, text, strlen(text), talk->now_us);
    return note(talk);
}

static bool write_static(struct talk *talk, enum cv_rtmpt_slot slot)
{
    cv_gather_clear(&gather);
    cv_rtmpt_client_pull(talk->client, slot, &gather);
    cv_rtmpt_client_sent(talk->client, slot, gather.bytes, talk->now_us);
    return true;
}

static bool whole_session(struct talk *talk)
{
    say(talk, "C0C1");
    cv_rtmpt_client_connected(talk->client, CV_RTMPT_UP, talk->now_us);
    if (!note(talk) || !write_static(talk, CV_RTMPT_UP) ||
        !feed_static(talk, CV_RTMPT_UP, OK_HEAD "Culvert: 1\r\nContent-Length: 3\r\n\r\nID\n"))
        return false;
    cv_rtmpt_client_connected(talk->client, CV_RTMPT_DOWN, talk->now_us);
    if (!note(talk) || !write_static(talk, CV_RTMPT_UP) ||
        !feed_static(talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 1\r\n\r\n\1"))
        return false;
    say(talk, "abc");
    say(talk, "defghijklmnop");
    return note(talk) && write_static(talk, CV_RTMPT_DOWN) && write_static(talk, CV_RTMPT_UP) &&
           feed_static(talk, CV_RTMPT_UP, OK_HEAD "Content-Length: 4\r\n\r\n\1wo") &&
           feed_static(talk, CV_RTMPT_UP, "r") &&
           feed_static(talk, CV_RTMPT_DOWN, OK_HEAD "Content-Length: 1\r\n\r\n\1");
}

static bool say_media(struct talk *talk, const char *text)
{
    cv_gather_clear(&gather);
    cv_gather_borrow(&gather, text, strlen(text));
    cv_rtmpt_client_send(talk->client, &gather, false, talk->now_us);
    return note(talk) && write_static(talk, CV_RTMPT_UP);
}

// A body that stays open, grows, ends, and is lost with its connection.
static bool stay_open(struct talk *talk)
{
    cv_rtmpt_client_set_mode(talk->client, CV_RTMPT_CLIENT_PUBLISH, talk->now_us);
    if (!say_media(talk, "beginning") || !say_media(talk, ", and much more than that"))
        return false;
    assert_int_equal(cv_rtmpt_client_stats(talk->client).streams, 1);
    talk->now_us += UINT64_C(1000) * CV_TUNNEL_WINDOW_MIN_MS;
    cv_rtmpt_client_tick(talk->client, talk->now_us);
    if (!note(talk) || !write_static(talk, CV_RTMPT_UP))
        return false;
    cv_rtmpt_client_closed(talk->client, CV_RTMPT_UP, CV_E_RESET, talk->now_us);
    return note(talk);
}

static bool survive(void *arg)
{
    (void)arg;
    struct cv_rtmpt_client_config config = plain;
    config.stream_after = 1;
    struct talk talk = talk_new(&config);
    bool good = talk.client && whole_session(&talk) && stay_open(&talk);
    talk_free(&talk);
    return good;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fail_nth(survive, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_short),
        cmocka_unit_test(offers_and_goes_through_a_proxy),
        cmocka_unit_test(texts_that_would_break_a_head_are_refused),
        cmocka_unit_test(answers_to_open),
        cmocka_unit_test(bug_14_answers_to_open_that_cannot_be_trusted),
        cmocka_unit_test(bug_14_heads_and_ids_have_an_end),
        cmocka_unit_test(pages_are_cut),
        cmocka_unit_test(what_follows_101_is_given_back),
        cmocka_unit_test(handshake_in_open_is_not_sent_twice),
        cmocka_unit_test(a_first_flight_needs_no_offer),
        cmocka_unit_test(the_first_number_goes_up),
        cmocka_unit_test(what_was_not_taken_is_dropped),
        cmocka_unit_test(the_first_flight_has_room),
        cmocka_unit_test(who_asks_for_credentials_is_told),
        cmocka_unit_test(replies_in_every_form),
        cmocka_unit_test(bug_14_replies_that_cannot_be_trusted),
        cmocka_unit_test(the_server_ends_the_session),
        cmocka_unit_test(bug_14_a_reply_that_nobody_asked_for_is_not_taken),
        cmocka_unit_test(who_has_been_told_something_speaks_first),
        cmocka_unit_test(replies_are_put_into_order),
        cmocka_unit_test(bug_14_what_comes_early_has_a_cap),
        cmocka_unit_test(sends_do_not_outrun_an_idle),
        cmocka_unit_test(a_reply_that_comes_again_goes_on),
        cmocka_unit_test(a_connection_that_serves_once_is_left),
        cmocka_unit_test(one_connection_is_enough),
        cmocka_unit_test(connections_that_cannot_be_made_end_it),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
