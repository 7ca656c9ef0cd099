// Batches of sends: the same table for both ways, by io_uring and by one call for each; and what
// happens where the kernel has no ring for us, or takes it away.
#include "harness.h"

#include "base/err.h"
#include "io/send_batch.h"
#include "io/send_ring.h"
#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 300, PAYLOAD_BYTES = 4000, LARGE_BYTES = 4 * 1024 * 1024 };

static struct cv_gather gather;
static uint8_t large[LARGE_BYTES];
static uint8_t got[LARGE_BYTES];

static struct cv_send_batch *batch_of(bool ring)
{
    struct cv_send_batch *batch = cv_send_batch_new();
    assert_non_null(batch);
    if (ring)
        assert_int_equal(cv_send_batch_use_ring(batch, NULL), CV_OK);
    assert_int_equal(cv_send_batch_has_ring(batch), ring);
    return batch;
}

static void make_pair(int fds[2])
{
    assert_int_equal(cv_socket_pair(fds), CV_OK);
}

static void close_pair(int fds[2])
{
    cv_socket_close(&fds[0]);
    cv_socket_close(&fds[1]);
}

static void add(struct cv_send_batch *batch, int fd, const void *data, size_t len)
{
    cv_gather_clear(&gather);
    assert_true(cv_gather_borrow(&gather, data, len));
    cv_send_batch_add(batch, fd, &gather, NULL, false);
}

static size_t read_all(int fd)
{
    size_t len = 0;
    int more;
    while (len < sizeof got && (more = cv_socket_read(fd, got + len, sizeof got - len)) > 0)
        len += (size_t)more;
    return len;
}

// Until it takes no more.
static void fill_up(int fd)
{
    struct iovec all = {.iov_base = large, .iov_len = sizeof large};
    while (cv_socket_write(fd, &all, 1) > 0)
        continue;
    all.iov_len = 1;
    while (cv_socket_write(fd, &all, 1) > 0)
        continue;
}

// ---- both ways --------------------------------------------------------------------------------

static void each_socket_gets_its_own(bool ring)
{
    static int fds[PAIRS][2];
    static uint8_t payload[PAYLOAD_BYTES];
    struct cv_send_batch *batch = batch_of(ring);
    memset(payload, 'p', sizeof payload);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PAIRS; i++) {
            if (round == 0)
                make_pair(fds[i]);
            char header[32];
            int len = snprintf(header, sizeof header, "%d/%d:", round, i);
            cv_gather_clear(&gather);
            assert_true(cv_gather_copy(&gather, header, (size_t)len));
            assert_true(cv_gather_borrow(&gather, payload, sizeof payload));
            assert_true(cv_gather_copy(&gather, header, (size_t)len));
            assert_true(cv_send_batch_has_room(batch));
            cv_send_batch_add(batch, fds[i][0], &gather, fds[i], i % 2);
        }
        memset(&gather, 0xee, sizeof gather); // the batch has copies
        assert_int_equal(cv_send_batch_submit(batch), PAIRS);
        for (int i = 0; i < PAIRS; i++) {
            struct cv_send *send = cv_send_batch_at(batch, (unsigned)i);
            char header[32];
            size_t len = (size_t)snprintf(header, sizeof header, "%d/%d:", round, i);
            assert_ptr_equal(send->owner, fds[i]);
            assert_int_equal(send->more, i % 2);
            assert_int_equal(send->bytes, 2 * len + sizeof payload);
            assert_int_equal(send->result, send->bytes);
            assert_int_equal(read_all(fds[i][1]), send->bytes);
            assert_memory_equal(got, header, len);
            assert_memory_equal(got + len, payload, sizeof payload);
            assert_memory_equal(got + len + sizeof payload, header, len);
        }
        cv_send_batch_clear(batch);
    }
    for (int i = 0; i < PAIRS; i++)
        close_pair(fds[i]);
    cv_send_batch_free(batch);
}

// Nothing stays behind in the kernel: what a full socket refused does not come when it has room.
static void a_full_socket_says_so_at_once(bool ring)
{
    int full[2];
    int good[2];
    struct cv_send_batch *batch = batch_of(ring);
    make_pair(full);
    make_pair(good);
    fill_up(full[0]);
    add(batch, full[0], "refused", 7);
    add(batch, good[0], "taken", 5);
    assert_int_equal(cv_send_batch_submit(batch), 2);
    assert_int_equal(cv_send_batch_at(batch, 0)->result, CV_E_AGAIN);
    assert_int_equal(cv_send_batch_at(batch, 1)->result, 5);
    cv_send_batch_clear(batch);
    read_all(full[1]);
    assert_int_equal(cv_socket_read(full[1], got, 1), CV_E_AGAIN);
    add(batch, full[0], "again", 5);
    assert_int_equal(cv_send_batch_submit(batch), 1);
    assert_int_equal(cv_send_batch_at(batch, 0)->result, 5);
    assert_int_equal(read_all(full[1]), 5);
    assert_memory_equal(got, "again", 5);
    assert_int_equal(read_all(good[1]), 5);
    close_pair(full);
    close_pair(good);
    cv_send_batch_free(batch);
}

// The same where there is nothing but our own flag that keeps the kernel from waiting.
static void a_blocking_socket_does_not_block(bool ring)
{
    int full[2];
    struct cv_send_batch *batch = batch_of(ring);
    make_pair(full);
    fill_up(full[0]);
    assert_int_equal(fcntl(full[0], F_SETFL, 0), 0);
    add(batch, full[0], "refused", 7);
    assert_int_equal(cv_send_batch_submit(batch), 1);
    assert_int_equal(cv_send_batch_at(batch, 0)->result, CV_E_AGAIN);
    cv_send_batch_clear(batch);
    read_all(full[1]);
    assert_int_equal(cv_socket_read(full[1], got, 1), CV_E_AGAIN);
    close_pair(full);
    cv_send_batch_free(batch);
}

static void what_does_not_fit_is_told(bool ring)
{
    int fds[2];
    struct cv_send_batch *batch = batch_of(ring);
    make_pair(fds);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    size_t sent = 0;
    size_t read = 0;
    while (sent < sizeof large) {
        add(batch, fds[0], large + sent, sizeof large - sent);
        assert_int_equal(cv_send_batch_submit(batch), 1);
        int result = cv_send_batch_at(batch, 0)->result;
        assert_true(result > 0);
        cv_send_batch_clear(batch);
        sent += (size_t)result;
        size_t len = read_all(fds[1]);
        assert_memory_equal(got, large + read, len);
        read += len;
    }
    assert_int_equal(read, sizeof large);
    close_pair(fds);
    cv_send_batch_free(batch);
}

// Neither a signal nor the end of the others.
static void failures_are_each_sockets_own(bool ring)
{
    int closed[2];
    int good[2];
    int none = 1000000;
    struct cv_send_batch *batch = batch_of(ring);
    make_pair(closed);
    make_pair(good);
    cv_socket_close(&closed[1]);
    add(batch, closed[0], "x", 1);
    add(batch, none, "x", 1);
    add(batch, good[0], "x", 1);
    assert_int_equal(cv_send_batch_submit(batch), 3);
    assert_int_equal(cv_send_batch_at(batch, 0)->result, CV_E_RESET);
    assert_int_equal(cv_send_batch_at(batch, 1)->result, CV_E_SYSTEM);
    assert_int_equal(cv_send_batch_at(batch, 2)->result, 1);
    assert_int_equal(cv_send_batch_has_ring(batch), ring);
    cv_socket_close(&closed[0]);
    close_pair(good);
    cv_send_batch_free(batch);
}

// Each of the arena's three limits, with as many sends as it takes.
static void the_arena_ends_and_begins_anew(bool ring)
{
    static const struct {
        int vectors;
        size_t scratch;
        unsigned sends;
    } rows[] = {
        {1, 0, CV_SEND_BATCH_SENDS},
        {CV_GATHER_VECTORS, 0, CV_SEND_BATCH_VECTORS / CV_GATHER_VECTORS},
        {0, CV_GATHER_SCRATCH_BYTES, CV_SEND_BATCH_SCRATCH_BYTES / CV_GATHER_SCRATCH_BYTES},
    };
    static const uint8_t header[CV_GATHER_SCRATCH_BYTES];
    struct cv_send_batch *batch = batch_of(ring);
    int fds[2];
    make_pair(fds);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned sends = 0;
        for (; cv_send_batch_has_room(batch); sends++) {
            cv_gather_clear(&gather);
            for (int n = 0; n < rows[i].vectors; n++)
                assert_true(cv_gather_borrow(&gather, "v", 1));
            if (rows[i].scratch)
                assert_true(cv_gather_copy(&gather, header, rows[i].scratch));
            cv_send_batch_add(batch, fds[0], &gather, NULL, false);
        }
        assert_int_equal(sends, rows[i].sends);
        assert_int_equal(cv_send_batch_submit(batch), sends);
        size_t bytes = 0;
        for (unsigned n = 0; n < sends; n++) {
            int result = cv_send_batch_at(batch, n)->result;
            bytes += result > 0 ? (size_t)result : 0;
            assert_true(result > 0 || result == CV_E_AGAIN);
        }
        assert_int_equal(read_all(fds[1]), bytes);
        cv_send_batch_clear(batch);
        assert_true(cv_send_batch_has_room(batch));
    }
    assert_int_equal(cv_send_batch_submit(batch), 0);
    close_pair(fds);
    cv_send_batch_free(batch);
}

// What many get takes its room once, whatever comes between; behind a clear it is copied anew.
static void an_edition_is_copied_once(bool ring)
{
    enum { VECTORS = 300 };
    static int fds[PAIRS][2];
    struct cv_send_batch *batch = batch_of(ring);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PAIRS; i++) {
            bool own = i % 100 == 50;
            uint8_t mark[] = {(uint8_t)(own ? i : i / 100 % 2), (uint8_t)round};
            if (round == 0)
                make_pair(fds[i]);
            cv_gather_clear(&gather);
            for (int n = 0; n < (own ? 1 : VECTORS); n++)
                assert_true(cv_gather_copy(&gather, mark, sizeof mark));
            gather.edition = own ? 0 : i / 100 % 2 ? 8 : 7;
            assert_true(cv_send_batch_has_room(batch));
            cv_send_batch_add(batch, fds[i][0], &gather, NULL, false);
            memset(&gather, 0xee, sizeof gather);
        }
        assert_int_equal(cv_send_batch_submit(batch), PAIRS);
        for (int i = 0; i < PAIRS; i++) {
            bool own = i % 100 == 50;
            assert_int_equal(read_all(fds[i][1]), own ? 2 : 2 * VECTORS);
            assert_int_equal(got[0], own ? i : i / 100 % 2);
            assert_int_equal(got[1], round);
        }
        cv_send_batch_clear(batch);
    }
    for (int i = 0; i < PAIRS; i++)
        close_pair(fds[i]);
    cv_send_batch_free(batch);
}

// From the second socket on it is one piece, while there is room for that; to each socket the same.
static void what_many_get_lies_flat(bool ring)
{
    static const struct {
        size_t payload;
        int second; // vectors
    } rows[] = {{100, 1}, {CV_SEND_BATCH_FLAT_BYTES - 4 - 100 - 4, 1}, {100, 3}};
    static uint8_t payload[CV_SEND_BATCH_FLAT_BYTES];
    static int fds[3][3][2];
    struct cv_send_batch *batch = batch_of(ring);
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    for (int row = 0; row < 3; row++) {
        cv_gather_clear(&gather);
        assert_true(cv_gather_copy(&gather, "<<", 2));
        assert_true(cv_gather_borrow(&gather, payload, rows[row].payload));
        assert_true(cv_gather_copy(&gather, ">>", 2));
        gather.edition = (uint64_t)row + 1;
        for (int i = 0; i < 3; i++) {
            make_pair(fds[row][i]);
            cv_send_batch_add(batch, fds[row][i][0], &gather, NULL, false);
            assert_int_equal(cv_send_batch_at(batch, (unsigned)(3 * row + i))->count,
                             i == 0 ? 3 : rows[row].second);
        }
    }
    assert_int_equal(cv_send_batch_submit(batch), 9);
    for (int row = 0; row < 3; row++) {
        for (int i = 0; i < 3; i++) {
            size_t len = read_all(fds[row][i][1]);
            size_t inner = len < rows[row].payload + 2 ? len - 2 : rows[row].payload;
            assert_int_equal(cv_send_batch_at(batch, (unsigned)(3 * row + i))->result, len);
            assert_true(len == rows[row].payload + 4 || rows[row].payload > 100000);
            assert_memory_equal(got, "<<", 2);
            assert_memory_equal(got + 2, payload, inner);
            if (len == rows[row].payload + 4)
                assert_memory_equal(got + 2 + inner, ">>", 2);
            close_pair(fds[row][i]);
        }
    }
    cv_send_batch_free(batch);
}

static void (*const rows[])(bool ring) = {
    each_socket_gets_its_own,      a_full_socket_says_so_at_once,  what_does_not_fit_is_told,
    failures_are_each_sockets_own, the_arena_ends_and_begins_anew, an_edition_is_copied_once,
    what_many_get_lies_flat,
};

static void by_one_call_for_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i](false);
}

static bool has_uring(void)
{
    struct cv_why why = {0};
    if (cv_send_ring_probe(&why) == CV_OK)
        return true;
    print_message("no io_uring here: %s\n", why.text);
    return false;
}

static void by_io_uring(void **state)
{
    (void)state;
    if (!has_uring())
        skip();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i](true);
    a_blocking_socket_does_not_block(true);
}

// ---- without a ring ---------------------------------------------------------------------------

// This system call fails in this process from now on.
static void forbid(int number, int with_errno)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)with_errno),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

// Runs it in a process of its own, where it may forbid itself things.
static void apart(bool (*run)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run() ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool is_refused_as(int code, const char *text)
{
    struct cv_why why = {0};
    struct cv_send_batch *batch = cv_send_batch_new();
    bool good = cv_send_ring_probe(&why) == code && strcmp(why.text, text) == 0;
    why = (struct cv_why){0};
    good = good && cv_send_batch_use_ring(batch, &why) == code && strcmp(why.text, text) == 0;
    good = good && !cv_send_batch_has_ring(batch);
    int fds[2];
    make_pair(fds);
    add(batch, fds[0], "sent", 4);
    cv_send_batch_submit(batch);
    good = good && cv_send_batch_at(batch, 0)->result == 4 && read_all(fds[1]) == 4;
    close_pair(fds);
    cv_send_batch_free(batch);
    return good;
}

static bool goes_on_where_it_is_forbidden(void)
{
    forbid(SYS_io_uring_setup, EPERM);
    return is_refused_as(CV_E_DENIED, "Operation not permitted");
}

static bool goes_on_where_there_is_none(void)
{
    forbid(SYS_io_uring_setup, ENOSYS);
    return is_refused_as(CV_E_SYSTEM, "the kernel has none");
}

static bool goes_on_without_memory(void)
{
    forbid(SYS_io_uring_setup, ENOMEM);
    return is_refused_as(CV_E_NOMEM, "Cannot allocate memory");
}

static bool goes_on_when_the_ring_is_lost(void)
{
    int fds[3][2];
    struct cv_send_batch *batch = batch_of(true);
    for (int i = 0; i < 3; i++) {
        make_pair(fds[i]);
        add(batch, fds[i][0], "sent", 4);
    }
    forbid(SYS_io_uring_enter, EPERM);
    bool good = cv_send_batch_submit(batch) == 3 && !cv_send_batch_has_ring(batch);
    for (unsigned i = 0; i < 3; i++)
        good = good && cv_send_batch_at(batch, i)->result == 4 && read_all(fds[i][1]) == 4;
    cv_send_batch_clear(batch);
    add(batch, fds[0][0], "again", 5);
    good = good && cv_send_batch_submit(batch) == 1 && cv_send_batch_at(batch, 0)->result == 5;
    for (int i = 0; i < 3; i++)
        close_pair(fds[i]);
    cv_send_batch_free(batch);
    return good;
}

static void what_the_kernel_refuses_is_sent_without_it(void **state)
{
    (void)state;
    apart(goes_on_where_it_is_forbidden);
    apart(goes_on_where_there_is_none);
    apart(goes_on_without_memory);
    if (has_uring())
        apart(goes_on_when_the_ring_is_lost);
}

static bool make_one(void *arg)
{
    (void)arg;
    struct cv_why why = {0};
    struct cv_send_batch *batch = cv_send_batch_new();
    if (!batch)
        return false;
    int err = cv_send_batch_use_ring(batch, &why);
    assert_int_equal(cv_send_batch_has_ring(batch), err == CV_OK);
    cv_send_batch_free(batch);
    return err != CV_E_NOMEM;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    fail_nth(make_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_one_call_for_each),
        cmocka_unit_test(by_io_uring),
        cmocka_unit_test(what_the_kernel_refuses_is_sent_without_it),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
