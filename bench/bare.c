// The limit of the machine: a program that does nothing but write a stream's bytes to N sockets.
//
// usage: bare [--uring | --seal] PLAYERS SECONDS WINDOW_MS BITRATE_KBPS
//
// The same messages at the same times as `culvert bench` sends, each with a 12-byte header; with a
// window, everything of it in one gathered write per socket. --uring: all sockets of a flush in one
// call. --seal: sealed before as TLS does it; what that adds is the cipher's own cost. A child on
// the second processor reads: a tenth of the sockets in earnest, the others' bytes are dropped
// unread, as by `culvert bench --checked`. Prints as JSON what the writer, on the first processor,
// has cost.
#include "bare.h"

#include "base/text.h"
#include "cli/bench_stream.h"
#include "cli/histogram.h"
#include "cli/softirq.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 12,
    BATCH_MAX = 256,
    READ_BYTES = 256 * 1024,
    READ_EVERY = 10,
    US_PER_S = 1000000,
    WARM_US = US_PER_S, // before anything is measured
};

struct bare {
    int *fds;
    int *sent; // by the ring, to each
    unsigned players;
    uint64_t end_us;
    uint64_t window_us;
    struct bare_ring *ring; // NULL: not used
    struct bare_seal *seal; // NULL: not used
    struct cv_bench_source source;
    struct cv_block *blocks[BATCH_MAX];
    uint64_t due_us[BATCH_MAX];
    struct iovec vectors[2 * BATCH_MAX];
    int count; // messages that wait
    struct cost {
        uint64_t writes;
        uint64_t bytes;
        uint64_t user_us;
        uint64_t kernel_us;
        uint64_t softirq_us; // of the kernel's thread, which helps when much is sent at once
    } now, begin;
    bool warm;                  // `begin` is set
    struct cv_histogram age_us; // of a message in the middle of its flush
};

void bare_must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

static unsigned number(const char *text)
{
    uint64_t value = 0;
    bare_must(cv_text_u64(cv_text_of(text), 0, 1000000, &value) == CV_OK, "that is not a number");
    return (unsigned)value;
}

// ---- the reader -----------------------------------------------------------------------------

// Socket `i` of all has something to read. False at its end.
static bool take(const int *fds, unsigned i)
{
    static uint8_t buffer[READ_BYTES];
    return recv(fds[i], buffer, sizeof buffer, i % READ_EVERY ? MSG_TRUNC : 0) > 0;
}

static void read_all(const int *fds, unsigned players)
{
    struct epoll_event events[256];
    int epoll = epoll_create1(0);
    unsigned open = players;
    for (unsigned i = 0; i < players; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    while (open > 0) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (take(fds, events[i].data.u32))
                continue;
            close(fds[events[i].data.u32]);
            open--;
        }
    }
}

static int connect_to(const struct cv_addr *addr)
{
    int fd = cv_socket_connect(addr);
    bare_must(fd >= 0, "cannot connect");
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    poll(&ready, 1, 1000);
    bare_must(cv_socket_connect_result(fd) == CV_OK, "cannot connect");
    return fd;
}

// ---- the writer -----------------------------------------------------------------------------

// What is behind the first `skip` bytes, in one write. Waits where the socket is full: the limit is
// what leaves, not what is tried.
static size_t write_once(struct bare *bare, int fd, const struct iovec *from, int count,
                         size_t skip)
{
    struct iovec vectors[2 * BATCH_MAX];
    int used = 0;
    for (int i = 0; i < count; i++) {
        size_t off = skip < from[i].iov_len ? skip : from[i].iov_len;
        skip -= off;
        vectors[used].iov_base = (uint8_t *)from[i].iov_base + off;
        vectors[used].iov_len = from[i].iov_len - off;
        used += vectors[used].iov_len > 0;
    }
    int sent = cv_socket_write(fd, vectors, used);
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (sent == CV_E_AGAIN)
        poll(&ready, 1, 1000);
    bare_must(sent > 0 || sent == CV_E_AGAIN, "the connection broke");
    bare->now.writes++;
    return sent > 0 ? (size_t)sent : 0;
}

static void write_rest(struct bare *bare, int fd, const struct iovec *vectors, int count,
                       size_t done)
{
    size_t wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += vectors[i].iov_len;
    while (done < wanted)
        done += write_once(bare, fd, vectors, count, done);
}

static void send_plain(struct bare *bare)
{
    for (unsigned i = 0; i < bare->players; i++)
        write_rest(bare, bare->fds[i], bare->vectors, 2 * bare->count, 0);
}

static void send_sealed(struct bare *bare)
{
    bare_seal_load(bare->seal, bare->vectors, 2 * bare->count);
    for (unsigned i = 0; i < bare->players; i++) {
        struct iovec sealed = bare_seal_for(bare->seal, i);
        write_rest(bare, bare->fds[i], &sealed, 1, 0);
    }
}

static void send_by_ring(struct bare *bare)
{
    bare_ring_send(bare->ring, bare->vectors, 2 * bare->count, bare->sent);
    bare->now.writes += bare->players;
    for (unsigned i = 0; i < bare->players; i++) {
        bare_must(bare->sent[i] > 0 || bare->sent[i] == -EAGAIN, "the connection broke");
        size_t sent = bare->sent[i] > 0 ? (size_t)bare->sent[i] : 0;
        write_rest(bare, bare->fds[i], bare->vectors, 2 * bare->count, sent);
    }
}

static void flush(struct bare *bare, uint64_t begin_us)
{
    uint64_t first_us = cv_clock_now_us() - begin_us;
    if (bare->ring)
        send_by_ring(bare);
    else if (bare->seal)
        send_sealed(bare);
    else
        send_plain(bare);
    uint64_t middle_us = (first_us + cv_clock_now_us() - begin_us) / 2;
    for (int i = 0; i < bare->count; i++) {
        if (bare->warm)
            cv_histogram_add(&bare->age_us, middle_us - bare->due_us[i]);
        bare->now.bytes += (uint64_t)bare->blocks[i]->len * bare->players;
        cv_block_unref(&bare->blocks[i]);
    }
    bare->count = 0;
}

static void add_message(struct bare *bare, uint64_t due_us)
{
    static const uint8_t header[HEADER_BYTES];
    struct cv_msg msg;
    bare_must(cv_bench_source_next(&bare->source, 0, &msg) == CV_OK, "no memory");
    struct iovec *vectors = &bare->vectors[2 * bare->count];
    vectors[0] = (struct iovec){.iov_base = (void *)(uintptr_t)header, .iov_len = HEADER_BYTES};
    vectors[1] = (struct iovec){.iov_base = msg.payload->data, .iov_len = msg.payload->len};
    bare->due_us[bare->count] = due_us;
    bare->blocks[bare->count++] = msg.payload;
}

static void sleep_until(uint64_t us)
{
    uint64_t now_us = cv_clock_now_us();
    struct timespec left = {.tv_sec = 0};
    if (us <= now_us)
        return;
    left.tv_sec = (time_t)((us - now_us) / US_PER_S);
    left.tv_nsec = (long)((us - now_us) % US_PER_S) * 1000;
    nanosleep(&left, NULL);
}

static void read_cost(struct bare *bare)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    bare->now.user_us =
        (uint64_t)usage.ru_utime.tv_sec * US_PER_S + (uint64_t)usage.ru_utime.tv_usec;
    bare->now.kernel_us =
        (uint64_t)usage.ru_stime.tv_sec * US_PER_S + (uint64_t)usage.ru_stime.tv_usec;
    bare->now.softirq_us = cv_softirq_us(0);
}

// Wakes only to send: at the end of each window, or with each message.
static void write_all(struct bare *bare)
{
    uint64_t begin_us = cv_clock_now_us();
    uint64_t flush_us = 0;
    while (flush_us < bare->end_us) {
        sleep_until(begin_us + flush_us);
        if (!bare->warm && flush_us >= WARM_US) {
            read_cost(bare);
            bare->begin = bare->now;
            bare->warm = true;
        }
        uint64_t due_us = cv_bench_source_due_us(&bare->source);
        for (; bare->count < BATCH_MAX && due_us <= flush_us;
             due_us = cv_bench_source_due_us(&bare->source)) {
            add_message(bare, due_us);
            if (bare->window_us == 0)
                flush(bare, begin_us);
        }
        if (bare->count)
            flush(bare, begin_us);
        flush_us = bare->window_us ? flush_us + bare->window_us : due_us;
    }
}

static void report(struct bare *bare)
{
    const struct cost *now = &bare->now;
    const struct cost *begin = &bare->begin;
    read_cost(bare);
    double seconds = (double)(bare->end_us - WARM_US) / US_PER_S;
    double user = (double)(now->user_us - begin->user_us) / US_PER_S;
    double own = user + (double)(now->kernel_us - begin->kernel_us) / US_PER_S;
    double softirq = (double)(now->softirq_us - begin->softirq_us) / US_PER_S;
    double bytes = (double)(now->bytes - begin->bytes);
    printf("{\"server_cpu_percent\": %.2f, \"server_user_share_percent\": %.1f, "
           "\"server_softirq_percent\": %.2f, \"server_cpu_s_per_gb\": %.4f, "
           "\"megabits_per_s\": %.1f, \"bytes_per_write\": %.0f, \"latency_p50_ms\": %.2f, "
           "\"latency_p99_ms\": %.2f}\n",
           100 * own / seconds, 100 * user / own, 100 * softirq / seconds, own / (bytes * 1e-9),
           bytes * 8e-6 / seconds, bytes / (double)(now->writes - begin->writes),
           (double)cv_histogram_at(&bare->age_us, 50) / 1000,
           (double)cv_histogram_at(&bare->age_us, 99) / 1000);
}

static void open_all(struct bare *bare, int *far)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int listener;
    bare_must(cv_socket_listen(&addr, &listener, 1, NULL) == CV_OK, "cannot listen");
    cv_socket_local(listener, &addr);
    for (unsigned i = 0; i < bare->players; i++) {
        far[i] = connect_to(&addr);
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        poll(&ready, 1, 1000);
        bare->fds[i] = cv_socket_accept(listener, NULL);
        bare_must(bare->fds[i] >= 0, "cannot accept");
        cv_socket_set_no_delay(bare->fds[i], true);
    }
    close(listener);
}

static void run(struct bare *bare, bool ring, bool seal)
{
    if (ring)
        bare->ring = bare_ring_new(bare->fds, bare->players);
    if (seal)
        bare->seal = bare_seal_new(bare->players);
    write_all(bare);
    report(bare);
}

int main(int argc, char **argv)
{
    static struct bare bare;
    bool ring = argc == 6 && strcmp(argv[1], "--uring") == 0;
    bool seal = argc == 6 && strcmp(argv[1], "--seal") == 0;
    bare_must(argc == 5 || ring || seal,
              "usage: bare [--uring | --seal] PLAYERS SECONDS WINDOW_MS BITRATE_KBPS");
    char **numbers = argv + argc - 4;
    bare.players = number(numbers[0]);
    bare.end_us = WARM_US + number(numbers[1]) * UINT64_C(1000000);
    bare.window_us = number(numbers[2]) * UINT64_C(1000);
    bare.source.shape = (struct cv_bench_shape){
        .bitrate_kbps = number(numbers[3]), .fps = 30, .audio_kbps = 128, .gop_s = 2};
    bare_must(cv_process_raise_descriptors() > 2 * bare.players + 16, "not enough descriptors");
    bare.fds = calloc(bare.players, sizeof *bare.fds);
    bare.sent = calloc(bare.players, sizeof *bare.sent);
    int *far = calloc(bare.players, sizeof *far);
    bare_must(bare.fds && bare.sent && far, "no memory");
    open_all(&bare, far);
    pid_t reader = fork();
    bare_must(reader >= 0, "cannot fork");
    for (unsigned i = 0; i < bare.players; i++)
        close(reader ? far[i] : bare.fds[i]);
    cv_thread_pin(reader ? 0 : 1);
    if (reader == 0) {
        read_all(far, bare.players);
        _exit(0);
    }
    run(&bare, ring, seal);
    for (unsigned i = 0; i < bare.players; i++)
        shutdown(bare.fds[i], SHUT_RDWR);
    waitpid(reader, NULL, 0);
    return 0;
}
