// FLV by HTTP, driven by hand: what waits for a stream's home, and memory that runs out.
#include "server_kit.h"

#include "base/mem.h"
#include "io/socket.h"
#include "proto/flv.h"
#include "proto/http1_write.h"
#include "server/log.h"
#include "server/publisher.h"
#include "server/stream.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct kit kit;

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 0\n    streams_max: 1\n";

// ---- a client -------------------------------------------------------------------------------

struct http {
    int fd;
    struct cv_block *out; // the rest from `sent` on has not left
    size_t sent;
    char got[2048];
    size_t got_len;
};

static void http_dial(struct http *http)
{
    *http = (struct http){.fd = kit_dial(&kit, 0)};
    assert_true(http->fd >= 0);
}

static void http_close(struct http *http)
{
    close(http->fd);
    cv_block_unref(&http->out);
}

// Only when everything before has left.
static void http_say(struct http *http, struct cv_wr *wr)
{
    assert_true(!http->out || http->sent == http->out->len);
    cv_block_unref(&http->out);
    http->sent = 0;
    http->out = cv_wr_take(wr);
    assert_non_null(http->out);
}

static bool http_step(struct http *http)
{
    size_t before = http->sent;
    if (http->out && http->sent < http->out->len) {
        ssize_t n = send(http->fd, http->out->data + http->sent, http->out->len - http->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        http->sent += n > 0 ? (size_t)n : 0;
    }
    ssize_t n = recv(http->fd, http->got + http->got_len, sizeof http->got - 1 - http->got_len,
                     MSG_DONTWAIT);
    http->got_len += n > 0 ? (size_t)n : 0;
    return http->sent > before;
}

static bool http_has_sent(const struct http *http)
{
    return http->sent == http->out->len;
}

static void put_text(struct cv_wr *wr, const char *text)
{
    cv_wr_bytes(wr, text, strlen(text));
}

static void put_head(struct cv_wr *wr, const char *name)
{
    char head[256];
    snprintf(head, sizeof head,
             "POST /live/%s.flv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", name);
    put_text(wr, head);
}

static struct cv_wr writer(void)
{
    return cv_wr_growing(64 * 1024 * 1024);
}

static void put_chunk(struct cv_wr *wr, struct cv_wr *data)
{
    struct cv_block *block = cv_wr_take(data);
    assert_non_null(block);
    cv_http1_write_chunk_head(wr, block->len);
    cv_wr_bytes(wr, block->data, block->len);
    cv_http1_write_chunk_tail(wr);
    cv_block_unref(&block);
}

static void put_start(struct cv_wr *wr)
{
    struct cv_wr data = writer();
    cv_flv_write_header(&data, true, false);
    put_chunk(wr, &data);
}

static void put_sounds(struct cv_wr *wr, unsigned count)
{
    struct cv_wr data = writer();
    for (unsigned i = 0; i < count; i++)
        cv_flv_write_tag(&data, CV_MSG_AUDIO, i, "\x2f!", 2);
    put_chunk(wr, &data);
}

// ---- the server's side ------------------------------------------------------------------------

static struct cv_stream *stream_at(unsigned worker, const char *name)
{
    struct cv_path path;
    struct cv_stream *stream = NULL;
    assert_int_equal(cv_path_join(&path, cv_text_of("live"), cv_text_of(name)), CV_OK);
    HASH_FIND(hh, kit.workers[worker]->streams, path.text, path.len, stream);
    return stream;
}

static void turn(struct http *http, int times)
{
    for (int i = 0; i < times; i++) {
        http_step(http);
        kit_turn(&kit);
    }
}

static bool is_live(void *arg)
{
    struct http *http = arg;
    http_step(http);
    for (unsigned i = 0; i < kit.shared.workers; i++) {
        const struct cv_publisher *publisher = kit.workers[i]->publishers;
        if (publisher && publisher->state == CV_PUBLISHER_LIVE)
            return true;
    }
    return false;
}

static bool has_answer(void *arg)
{
    struct http *http = arg;
    http_step(http);
    return http->got_len > 0;
}

// A stream whose home is not the thread that reads the body.
static unsigned begin(struct http *http, char name[32])
{
    for (unsigned home = 0;; home++) {
        assert_true(home < 2);
        kit_name(&kit, home, 7, name);
        struct cv_wr wr = writer();
        http_dial(http);
        put_head(&wr, name);
        put_start(&wr);
        http_say(http, &wr);
        assert_true(kit_until(&kit, is_live, http));
        if (!kit.workers[home]->publishers)
            return home;
        http_close(http);
        while (kit.workers[home]->publishers)
            kit_turn(&kit);
    }
}

static void check_answer(struct http *http, const char *wanted)
{
    assert_true(kit_until(&kit, has_answer, http));
    turn(http, 5);
    if (!strstr(http->got, wanted))
        fail_msg("%s", http->got);
}

// ---- waiting for the home ---------------------------------------------------------------------

// More than all mailboxes hold: the body stays where it is, and nothing of it is lost.
static void the_body_waits_for_the_home(void **state)
{
    (void)state;
    enum { CHUNKS = 300, SOUNDS = 1000 };
    struct http http;
    char name[32];
    kit_start(&kit, 2, false, yaml);
    unsigned home = begin(&http, name);
    kit.frozen[home] = true;
    struct cv_wr wr = writer();
    for (unsigned i = 0; i < CHUNKS; i++)
        put_sounds(&wr, SOUNDS);
    http_say(&http, &wr);
    for (int still = 0; still < 300; still++) {
        if (http_step(&http))
            still = 0;
        kit_turn(&kit);
    }
    assert_non_null(kit.workers[1 - home]->paused_ingests);
    assert_true(kit.workers[1 - home]->stats.messages_in < CHUNKS * SOUNDS);
    kit.frozen[home] = false;
    while (!http_has_sent(&http))
        turn(&http, 1);
    turn(&http, 100);
    assert_int_equal(stream_at(home, name)->log.messages, CHUNKS * SOUNDS);
    wr = writer();
    cv_http1_write_last_chunk(&wr);
    http_say(&http, &wr);
    check_answer(&http, "Published: 300000 messages, 600000 bytes.\n");
    assert_int_equal(kit_stats(&kit).lost, 0);
    http_close(&http);
    kit_stop(&kit);
}

// The mailbox is full when the body ends: what waits goes home before the stream ends.
static void the_end_waits_for_the_home(void **state)
{
    (void)state;
    struct http http;
    char name[32];
    kit_start(&kit, 2, false, yaml);
    unsigned home = begin(&http, name);
    kit.frozen[home] = true;
    for (unsigned i = 0; i < CV_LIMIT_MAIL + 6; i++) {
        struct cv_wr wr = writer();
        put_sounds(&wr, 1);
        http_say(&http, &wr);
        turn(&http, 3);
    }
    struct cv_wr wr = writer();
    cv_http1_write_last_chunk(&wr);
    http_say(&http, &wr);
    turn(&http, 50);
    assert_int_equal(http.got_len, 0);
    kit.frozen[home] = false;
    check_answer(&http, "Published: 1030 messages");
    assert_int_equal(kit_stats(&kit).lost, 0);
    http_close(&http);
    kit_stop(&kit);
}

// The client leaves while its end waits: that is a clean end all the same.
static void a_client_leaves_while_it_waits(void **state)
{
    (void)state;
    for (unsigned ends = 0; ends < 2; ends++) {
        struct http http;
        char name[32];
        kit_start(&kit, 2, false, yaml);
        unsigned home = begin(&http, name);
        kit.frozen[home] = true;
        for (unsigned i = 0; i < CV_LIMIT_MAIL + 6; i++) {
            struct cv_wr wr = writer();
            put_sounds(&wr, ends || i < CV_LIMIT_MAIL ? 1 : 200);
            if (ends && i == CV_LIMIT_MAIL + 5)
                cv_http1_write_last_chunk(&wr);
            http_say(&http, &wr);
            turn(&http, 3);
        }
        http_close(&http);
        http = (struct http){.fd = -1};
        for (int i = 0; i < 50; i++)
            kit_turn(&kit);
        kit.frozen[home] = false;
        while (stream_at(home, name))
            kit_turn(&kit);
        kit_stop(&kit);
    }
}

// ---- no memory ------------------------------------------------------------------------------

static void turns(struct http *http, uint64_t *left)
{
    for (int i = 0; i < 3; i++) {
        http_step(http);
        if (*left)
            cv_mem_fail_nth(*left);
        for (int n = 0; n < 8; n++)
            kit_turn(&kit);
        *left = *left ? cv_mem_fail_nth(0) : 0;
    }
}

static bool is_clean(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < kit.shared.workers; i++) {
        const struct cv_worker *worker = kit.workers[i];
        if (worker->sockets || worker->streams || worker->publishers || worker->paused_ingests)
            return false;
    }
    return true;
}

// False: nothing failed any more.
static bool post_with_failure(uint64_t n, const char *name)
{
    struct http http;
    uint64_t left = n;
    http_dial(&http);
    struct cv_wr wr = writer();
    put_head(&wr, name);
    put_start(&wr);
    put_sounds(&wr, 20);
    http_say(&http, &wr);
    turns(&http, &left);
    if (http.got_len == 0 && http_has_sent(&http)) {
        wr = writer();
        put_sounds(&wr, 300);
        cv_http1_write_last_chunk(&wr);
        http_say(&http, &wr);
    }
    turns(&http, &left);
    http_close(&http);
    assert_true(kit_until(&kit, is_clean, NULL));
    return left == 0;
}

static void check_afterwards(const char *name)
{
    struct http http;
    struct cv_wr wr = writer();
    http_dial(&http);
    put_head(&wr, name);
    put_start(&wr);
    put_sounds(&wr, 3);
    cv_http1_write_last_chunk(&wr);
    http_say(&http, &wr);
    check_answer(&http, "HTTP/1.1 200 OK");
    http_close(&http);
    assert_true(kit_until(&kit, is_clean, NULL));
}

static void bug_24_every_allocation_of_an_ingest_fails_once(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, yaml);
    for (unsigned home = 0; home < 2; home++) {
        char name[32];
        uint64_t n = 1;
        kit_name(&kit, home, 0, name);
        for (; post_with_failure(n, name); n++) {
            check_afterwards(name);
            assert_true(n < 100000);
        }
        assert_true(n > 50);
    }
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_waits_for_the_home),
        cmocka_unit_test(the_end_waits_for_the_home),
        cmocka_unit_test(a_client_leaves_while_it_waits),
        cmocka_unit_test(bug_24_every_allocation_of_an_ingest_fails_once),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, NULL, NULL);
}
