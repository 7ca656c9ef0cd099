// TLS on a connection: handshakes and their failures in words, bytes both ways through small
// sockets, what is held back, what waits.
#include "harness.h"
#include "tls_kit.h"

#include "io/socket.h"
#include "io/tls_state.h"

// Until the server's own is built.
__attribute__((weak)) SSL_CTX *cv__tls_server_context(struct cv_tls_server *server);
__attribute__((weak)) SSL_CTX *cv__tls_server_context(struct cv_tls_server *server)
{
    (void)server;
    return NULL;
}

// ---- bytes ------------------------------------------------------------------------------------

static int write_text(struct tls_end *end, const char *text)
{
    struct iovec vector = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    return cv_tls_write(end->tls, end->room, &vector, 1);
}

static void bytes_travel_both_ways(void **state)
{
    (void)state;
    char got[32] = {0};
    struct tls_ends ends = tls_ends_ready(0);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), CV_E_AGAIN);
    assert_int_equal(write_text(&ends.client, "headbody"), 8);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, 4), 4);
    assert_string_equal(got, "head");
    assert_true(cv_tls_has_more(ends.server.tls));
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), 4);
    assert_false(cv_tls_has_more(ends.server.tls));
    assert_int_equal(write_text(&ends.server, "back"), 4);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, got, sizeof got), 4);
    assert_memory_equal(got, "back", 4);
    cv_tls_shutdown(ends.client.tls, ends.client.room);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), CV_E_CLOSED);
    tls_ends_close(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
