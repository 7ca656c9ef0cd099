// The limit of the machine: a program that does nothing but write a stream's bytes to N sockets.
//
// usage: bare PLAYERS SECONDS WINDOW_MS BITRATE_KBPS
//
// The same messages at the same times as `culvert bench` sends, each with a 12-byte header; with a
// window, everything of it in one gathered write per socket. A child on the second processor reads
// and drops. Prints as JSON what the writer, on the first processor, has cost.
#include "base/text.h"
#include "cli/bench_stream.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/thread.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEADER_BYTES = 12, BATCH_MAX = 256, READ_BYTES = 256 * 1024, US_PER_S = 1000000 };

struct bare {
    int *fds;
    unsigned players;
    uint64_t end_us;
    uint64_t window_us;
    struct cv_bench_source source;
    struct cv_block *blocks[BATCH_MAX];
    struct iovec vectors[2 * BATCH_MAX];
    int count; // messages that wait
    uint64_t writes;
    uint64_t bytes;
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

static unsigned number(const char *text)
{
    uint64_t value = 0;
    must(cv_text_u64(cv_text_of(text), 0, 1000000, &value) == CV_OK, "that is not a number");
    return (unsigned)value;
}

// ---- the reader -----------------------------------------------------------------------------

static void read_all(const int *fds, unsigned players)
{
    static uint8_t buffer[READ_BYTES];
    struct epoll_event events[256];
    int epoll = epoll_create1(0);
    unsigned open = players;
    for (unsigned i = 0; i < players; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    while (open > 0) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (read(events[i].data.fd, buffer, sizeof buffer) > 0)
                continue;
            close(events[i].data.fd);
            open--;
        }
    }
}

static int connect_to(const struct cv_addr *addr)
{
    int fd = cv_socket_connect(addr);
    must(fd >= 0, "cannot connect");
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    poll(&ready, 1, 1000);
    must(cv_socket_connect_result(fd) == CV_OK, "cannot connect");
    return fd;
}

// ---- the writer -----------------------------------------------------------------------------

// Waits where the socket is full: the limit is what leaves, not what is tried.
static void write_batch(struct bare *bare, int fd)
{
    size_t skip = 0;
    int first = 0;
    while (first < 2 * bare->count) {
        struct iovec vectors[2 * BATCH_MAX];
        int count = 0;
        for (int i = first; i < 2 * bare->count; i++, count++) {
            size_t off = i == first ? skip : 0;
            vectors[count].iov_base = (uint8_t *)bare->vectors[i].iov_base + off;
            vectors[count].iov_len = bare->vectors[i].iov_len - off;
        }
        int sent = cv_socket_write(fd, vectors, count);
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (sent == CV_E_AGAIN)
            poll(&ready, 1, 1000);
        must(sent > 0 || sent == CV_E_AGAIN, "the connection broke");
        bare->writes++;
        for (skip += sent > 0 ? (size_t)sent : 0;
             first < 2 * bare->count && skip >= bare->vectors[first].iov_len; first++)
            skip -= bare->vectors[first].iov_len;
    }
}

static void flush(struct bare *bare)
{
    for (unsigned i = 0; i < bare->players; i++)
        write_batch(bare, bare->fds[i]);
    for (int i = 0; i < bare->count; i++) {
        bare->bytes += (uint64_t)bare->blocks[i]->len * bare->players;
        cv_block_unref(&bare->blocks[i]);
    }
    bare->count = 0;
}

static void add_message(struct bare *bare)
{
    static const uint8_t header[HEADER_BYTES];
    struct cv_msg msg;
    must(cv_bench_source_next(&bare->source, 0, &msg) == CV_OK, "no memory");
    struct iovec *vectors = &bare->vectors[2 * bare->count];
    vectors[0] = (struct iovec){.iov_base = (void *)(uintptr_t)header, .iov_len = HEADER_BYTES};
    vectors[1] = (struct iovec){.iov_base = msg.payload->data, .iov_len = msg.payload->len};
    bare->blocks[bare->count++] = msg.payload;
}

static void write_all(struct bare *bare)
{
    uint64_t begin_us = cv_clock_now_us();
    uint64_t flush_us = begin_us;
    uint64_t now_us = begin_us;
    while (now_us < begin_us + bare->end_us) {
        while (bare->count < BATCH_MAX &&
               begin_us + cv_bench_source_due_us(&bare->source) <= now_us) {
            add_message(bare);
            if (bare->window_us == 0)
                flush(bare);
        }
        if (bare->count && now_us >= flush_us + bare->window_us) {
            flush(bare);
            flush_us = now_us;
        }
        poll(NULL, 0, 1);
        now_us = cv_clock_now_us();
    }
}

static void report(const struct bare *bare)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6;
    double kernel = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec * 1e-6;
    double seconds = (double)bare->end_us / US_PER_S;
    printf("{\"server_cpu_percent\": %.1f, \"server_user_share_percent\": %.1f, "
           "\"server_cpu_s_per_gb\": %.3f, \"megabits_per_s\": %.1f, \"bytes_per_write\": %.0f}\n",
           100 * (user + kernel) / seconds, 100 * user / (user + kernel),
           (user + kernel) / ((double)bare->bytes * 1e-9), (double)bare->bytes * 8e-6 / seconds,
           (double)bare->bytes / (double)bare->writes);
}

static void open_all(struct bare *bare, int *far)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int listener;
    must(cv_socket_listen(&addr, &listener, 1, NULL) == CV_OK, "cannot listen");
    cv_socket_local(listener, &addr);
    for (unsigned i = 0; i < bare->players; i++) {
        far[i] = connect_to(&addr);
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        poll(&ready, 1, 1000);
        bare->fds[i] = cv_socket_accept(listener, NULL);
        must(bare->fds[i] >= 0, "cannot accept");
        cv_socket_set_no_delay(bare->fds[i], true);
    }
    close(listener);
}

int main(int argc, char **argv)
{
    must(argc == 5, "usage: bare PLAYERS SECONDS WINDOW_MS BITRATE_KBPS");
    static struct bare bare;
    bare.players = number(argv[1]);
    bare.end_us = number(argv[2]) * UINT64_C(1000000);
    bare.window_us = number(argv[3]) * UINT64_C(1000);
    bare.source.shape = (struct cv_bench_shape){
        .bitrate_kbps = number(argv[4]), .fps = 30, .audio_kbps = 128, .gop_s = 2};
    must(cv_process_raise_descriptors() > 2 * bare.players + 16, "not enough descriptors");
    bare.fds = calloc(bare.players, sizeof *bare.fds);
    int *far = calloc(bare.players, sizeof *far);
    must(bare.fds && far, "no memory");
    open_all(&bare, far);
    pid_t reader = fork();
    must(reader >= 0, "cannot fork");
    for (unsigned i = 0; i < bare.players; i++)
        close(reader ? far[i] : bare.fds[i]);
    cv_thread_pin(reader ? 0 : 1);
    if (reader == 0) {
        read_all(far, bare.players);
        _exit(0);
    }
    write_all(&bare);
    report(&bare);
    for (unsigned i = 0; i < bare.players; i++)
        close(bare.fds[i]);
    waitpid(reader, NULL, 0);
    free(bare.fds);
    free(far);
    return 0;
}
