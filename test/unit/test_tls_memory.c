// TLS when memory runs out, OpenSSL's own included: a connection fails, and nothing is lost.
#include "harness.h"
#include "tls_kit.h"

#include "base/mem.h"
#include "io/socket.h"
#include "io/tls_state.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

// ---- OpenSSL's memory -------------------------------------------------------------------------

static long left = -1; // allocations until one fails; negative: none will
static long seen;

static bool strikes(void)
{
    seen++;
    return left >= 0 && left-- == 0;
}

static void *lib_alloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return strikes() ? NULL : malloc(size);
}

static void *lib_resize(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return strikes() ? NULL : realloc(memory, size);
}

static void lib_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

// ---- one connection ---------------------------------------------------------------------------

// One way: false when either end has failed.
static bool carry(struct tls_end *from, struct tls_end *to)
{
    static uint8_t bytes[40000];
    struct iovec vectors[] = {{bytes, 100}, {bytes, sizeof bytes - 100}};
    int sent = cv_tls_write(from->tls, from->room, vectors, 2);
    size_t received = 0;
    while (sent == sizeof bytes && received < sizeof bytes) {
        int len = cv_tls_read(to->tls, to->room, bytes, 3000);
        if (len < 0)
            return false;
        received += (size_t)len;
    }
    return received == sizeof bytes;
}

static bool connect_and_carry(struct tls_ends *ends)
{
    tls_ends_shake(ends);
    if (ends->client.code != CV_OK || ends->server.code != CV_OK) {
        assert_true(ends->client.code == CV_OK || ends->client.why.code == ends->client.code);
        assert_true(ends->server.code == CV_OK || ends->server.why.code == ends->server.code);
        return false;
    }
    bool carried = carry(&ends->client, &ends->server) && carry(&ends->server, &ends->client);
    cv_tls_shutdown(ends->client.tls, ends->client.room);
    assert_int_equal(ERR_peek_error(), 0);
    return carried;
}

static bool run(void *arg)
{
    struct tls_ends *ends = arg;
    ends->client.why = ends->server.why = (struct cv_why){0};
    ends->client.code = ends->server.code = CV_E_AGAIN;
    ends->client.tls = cv_tls_connect(tls_kit_good_trust(), ends->client.fd, "localhost");
    ends->server.tls = cv__tls_new(tls_kit_good_server(), ends->server.fd, true);
    bool carried = ends->client.tls && ends->server.tls && connect_and_carry(ends);
    cv_tls_free(ends->client.tls);
    cv_tls_free(ends->server.tls);
    return carried;
}

// The same over descriptors of its own.
static bool run_anew(void *arg)
{
    struct tls_ends *ends = arg;
    int fds[2];
    assert_int_equal(cv_socket_pair(fds), 0);
    ends->client.fd = fds[0];
    ends->server.fd = fds[1];
    bool carried = run(ends);
    cv_socket_close(&ends->client.fd);
    cv_socket_close(&ends->server.fd);
    assert_int_equal(ERR_peek_error(), 0);
    return carried;
}

static struct tls_ends rooms(void)
{
    struct tls_ends ends = {.client.room = cv_tls_room_new(), .server.room = cv_tls_room_new()};
    assert_true(ends.client.room && ends.server.room);
    assert_true(run_anew(&ends)); // what OpenSSL keeps for good is made
    return ends;
}

static void every_allocation_of_ours_fails_once(void **state)
{
    (void)state;
    struct tls_ends ends = rooms();
    fail_nth(run_anew, &ends);
    cv_tls_room_free(ends.client.room);
    cv_tls_room_free(ends.server.room);
}

static void allocations_of_openssl_fail_once(void **state)
{
    (void)state;
    struct tls_ends ends = rooms();
    seen = 0;
    assert_true(run_anew(&ends));
    long all = seen;
    int failed = 0;
    for (long n = 0; n < all; n += n < 300 ? 1 : 13) {
        left = n;
        failed += !run_anew(&ends);
        left = -1;
    }
    assert_true(failed > 300);
    assert_true(run_anew(&ends));
    cv_tls_room_free(ends.client.room);
    cv_tls_room_free(ends.server.room);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(lib_alloc, lib_resize, lib_free))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_ours_fails_once),
        cmocka_unit_test(allocations_of_openssl_fail_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
