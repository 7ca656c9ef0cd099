// The site as a folder, inside a server that is driven by hand: memory that runs out, clients that
// take nothing, the end of the server in the middle.
#include "server_kit.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/socket.h"
#include "server/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_BYTES = 1000000, LARGE_BYTES = 48 << 20, HEAD_BYTES_MAX = 1000 };

static char folder[64];
static struct kit kit;

static int make_folder(void **state)
{
    (void)state;
    char path[96];
    char line[10];
    snprintf(folder, sizeof folder, "/tmp/culvert-site-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.bin", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < FILE_BYTES / 8; i++) {
        snprintf(line, sizeof line, "%07d\n", i);
        fputs(line, file);
    }
    fclose(file);
    snprintf(path, sizeof path, "%s/large.bin", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), LARGE_BYTES), 0);
    fclose(file);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    return remove_tree(folder);
}

static void start_kit(void)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml,
             "open_publish: true\nlog_level: error\nsite: %s\napps:\n  - name: live\n", folder);
    kit_start(&kit, 1, false, yaml);
}

static const struct cv_worker *worker(void)
{
    return kit.workers[0];
}

// ---- a client -------------------------------------------------------------------------------

struct browser {
    int fd;
    size_t got;
    bool closed;
    char head[HEAD_BYTES_MAX];
};

static struct browser dial(const char *requests)
{
    struct browser browser = {.fd = kit_dial(&kit, 0)};
    assert_true(browser.fd >= 0);
    while (cv_socket_connect_result(browser.fd) == CV_E_AGAIN)
        kit_turn(&kit);
    struct iovec vector = {(char *)(uintptr_t)requests, strlen(requests)};
    assert_int_equal(cv_socket_write(browser.fd, &vector, 1), strlen(requests));
    return browser;
}

// Takes what is there, up to `max` bytes.
static void take(struct browser *browser, size_t max)
{
    static uint8_t bytes[256 * 1024];
    while (!browser->closed && max) {
        int got = cv_socket_read(browser->fd, bytes, max < sizeof bytes ? max : sizeof bytes);
        if (got == CV_E_AGAIN)
            return;
        browser->closed = got < 0;
        for (int i = 0; i < got && browser->got < HEAD_BYTES_MAX - 1; i++)
            browser->head[browser->got++] = (char)bytes[i];
        browser->got += got > 0 ? (size_t)got : 0;
        max -= got > 0 ? (size_t)got : 0;
    }
}

static bool is_closed(void *arg)
{
    struct browser *browser = arg;
    take(browser, SIZE_MAX);
    return browser->closed;
}

static bool is_idle(void *arg)
{
    (void)arg;
    return !worker()->sockets && !worker()->file_bytes && !worker()->disk.running &&
           !worker()->disk.waiting;
}

static void hang_up(struct browser *browser)
{
    cv_socket_close(&browser->fd);
}

static const char whole[] = "GET /a.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static void download_works(void)
{
    struct browser browser = dial(whole);
    assert_true(kit_until(&kit, is_closed, &browser));
    assert_memory_equal(browser.head, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(browser.got > FILE_BYTES);
    hang_up(&browser);
    assert_true(kit_until(&kit, is_idle, NULL));
}

// ---- tests ----------------------------------------------------------------------------------

// A file, a folder without its slash, a part, and what is not there, while memory runs out.
static bool browse_with_failure(uint64_t n)
{
    static const char requests[] =
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /a.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=5-300000\r\n\r\n"
        "HEAD /a.bin HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"
        "GET /a.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=99999999-\r\nConnection: close\r\n\r\n";
    struct browser browser = dial(requests);
    uint64_t left = n;
    while (!browser.closed) {
        cv_mem_fail_nth(left);
        kit_turn(&kit);
        left = left ? cv_mem_fail_nth(0) : 0;
        take(&browser, SIZE_MAX);
    }
    hang_up(&browser);
    assert_true(kit_until(&kit, is_idle, NULL));
    return left == 0;
}

static void bug_24_every_allocation_fails_once(void **state)
{
    (void)state;
    start_kit();
    uint64_t n = 1;
    for (; browse_with_failure(n); n++) {
        download_works();
        assert_true(n < 1000);
    }
    assert_true(n > 8);
    kit_stop(&kit);
}

// Two blocks of each of three clients, the first of which has left in part.
static bool all_hold_two(void *arg)
{
    (void)arg;
    return worker()->file_bytes > 5 * CV_FILE_BLOCK_BYTES && !worker()->disk.running;
}

// Who takes nothing costs two blocks and a head, whatever the size of the file.
static void bug_10_a_client_that_takes_nothing_holds_two_blocks(void **state)
{
    (void)state;
    enum { CLIENTS = 3 };
    start_kit();
    struct browser slow[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        slow[i] = dial("GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(kit_until(&kit, all_hold_two, NULL));
    uint64_t most = 0;
    for (int i = 0; i < 1000; i++) {
        kit_turn(&kit);
        most = worker()->file_bytes > most ? worker()->file_bytes : most;
    }
    assert_true(most <= CLIENTS * (2 * CV_FILE_BLOCK_BYTES + HEAD_BYTES_MAX));
    assert_true(kit_until(&kit, is_closed, &slow[0]));
    assert_true(slow[0].got > LARGE_BYTES);
    for (int i = 0; i < CLIENTS; i++)
        hang_up(&slow[i]);
    assert_true(kit_until(&kit, is_idle, NULL));
    kit_stop(&kit);
}

// Where others hold much already: one small block, and all of it still comes.
static void bug_10_many_slow_clients_get_small_blocks(void **state)
{
    (void)state;
    start_kit();
    kit.workers[0]->file_bytes += CV_FILE_LARGE_BLOCKS_BYTES;
    struct browser browser = dial(whole);
    uint64_t most = 0;
    while (!is_closed(&browser)) {
        kit_turn(&kit);
        most = worker()->file_bytes > most ? worker()->file_bytes : most;
    }
    assert_true(browser.got > FILE_BYTES);
    assert_true(most - CV_FILE_LARGE_BLOCKS_BYTES <= CV_FILE_SMALL_BLOCK_BYTES + HEAD_BYTES_MAX);
    kit.workers[0]->file_bytes -= CV_FILE_LARGE_BLOCKS_BYTES;
    hang_up(&browser);
    assert_true(kit_until(&kit, is_idle, NULL));
    kit_stop(&kit);
}

// With jobs on their way and in line, and blocks in memory. kit_stop sees that nothing is left.
static void bug_24_stop_and_leave_at_every_moment(void **state)
{
    (void)state;
    for (unsigned count = 1; count < 12; count++) {
        start_kit();
        struct browser browsers[8];
        for (int i = 0; i < 8; i++)
            browsers[i] = dial(whole);
        unsigned left = count;
        kit_until(&kit, kit_after_turns, &left);
        for (int i = 0; i < 8; i += 2)
            hang_up(&browsers[i]);
        if (count % 2)
            kit_turn(&kit);
        kit_stop(&kit);
        for (int i = 1; i < 8; i += 2)
            hang_up(&browsers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_24_every_allocation_fails_once),
        cmocka_unit_test(bug_10_a_client_that_takes_nothing_holds_two_blocks),
        cmocka_unit_test(bug_10_many_slow_clients_get_small_blocks),
        cmocka_unit_test(bug_24_stop_and_leave_at_every_moment),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
