// The kernel encrypts: what a server writes goes to it as plain text. Few machines of ours have
// that, so the kernel is played here, by the calls that OpenSSL and we make of it (Linux,
// Documentation/networking/tls.rst): TLS 1.3 with AES-128-GCM, sending only.
#include "harness.h"
#include "secure_kit.h"
#include "tls_kit.h"

#include "io/socket.h"
#include "io/tls_server.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>

enum { DATA = 23 };

// ---- the kernel -------------------------------------------------------------------------------

// One socket that encrypts.
static struct {
    int fd;    // 0: none yet
    bool full; // it takes nothing
    struct tls_seal seal;
    uint8_t out[32000]; // a record that is sealed and not sent
    size_t out_at, out_len;
    unsigned records;
} kernel;

static int real_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    static int (*real)(int, int, int, const void *, socklen_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
    return real(fd, level, option, value, len);
}

static ssize_t real_sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    return real(fd, message, flags);
}

static int take_keys(int fd, const struct tls12_crypto_info_aes_gcm_128 *info, socklen_t len)
{
    if (info->info.cipher_type != TLS_CIPHER_AES_GCM_128 || info->info.version != TLS_1_3_VERSION ||
        len != sizeof *info)
        return -1;
    kernel.fd = fd;
    memcpy(kernel.seal.key, info->key, sizeof info->key);
    memcpy(kernel.seal.iv, info->salt, sizeof info->salt);
    memcpy(kernel.seal.iv + sizeof info->salt, info->iv, sizeof info->iv);
    kernel.seal.count = 0;
    for (size_t i = 0; i < sizeof info->rec_seq; i++)
        kernel.seal.count = kernel.seal.count << 8 | info->rec_seq[i];
    return 0;
}

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int option,
                                                      const void *value, socklen_t len)
{
    if (level == IPPROTO_TCP && option == TCP_ULP)
        return 0;
    if (level == SOL_TLS)
        return option == TLS_TX ? take_keys(fd, value, len) : -1;
    return real_setsockopt(fd, level, option, value, len);
}

static bool send_sealed(void)
{
    while (kernel.out_at < kernel.out_len) {
        struct iovec vector = {kernel.out + kernel.out_at, kernel.out_len - kernel.out_at};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
        ssize_t sent = real_sendmsg(kernel.fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        kernel.out_at += (size_t)sent;
    }
    return true;
}

static size_t gather(const struct msghdr *message, uint8_t *out, size_t max)
{
    size_t len = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *vector = &message->msg_iov[i];
        size_t part = vector->iov_len < max - len ? vector->iov_len : max - len;
        if (part)
            memcpy(out + len, vector->iov_base, part);
        len += part;
    }
    return len;
}

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
                                                       int flags)
{
    static uint8_t inner[SSL3_RT_MAX_PLAIN_LENGTH + 1];
    if (!kernel.fd || fd != kernel.fd)
        return real_sendmsg(fd, message, flags);
    if (kernel.full || !send_sealed()) {
        errno = EAGAIN;
        return -1;
    }
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    uint8_t type = control ? *CMSG_DATA(control) : DATA;
    assert_true(!control ||
                (control->cmsg_level == SOL_TLS && control->cmsg_type == TLS_SET_RECORD_TYPE));
    size_t len = gather(message, inner, sizeof inner - 1);
    inner[len] = type;
    kernel.out_at = 0;
    kernel.out_len = tls_seal(&kernel.seal, inner, len + 1, kernel.out);
    kernel.records++;
    send_sealed();
    return (ssize_t)len;
}

// ---- connections ------------------------------------------------------------------------------

static struct tls_ends kernel_ends(int buffer_bytes)
{
    memset(&kernel, 0, sizeof kernel);
    struct tls_ends ends =
        tls_ends_open(tls_kit_good_server(), secure_kit_trust(), "localhost", buffer_bytes);
    cv_tls_free(ends.server.tls);
    ends.server.tls = cv_tls_accept(secure_kit_server(), ends.server.fd);
    assert_non_null(ends.server.tls);
    return ends;
}

static struct tls_ends kernel_ready(int buffer_bytes)
{
    struct tls_ends ends = kernel_ends(buffer_bytes);
    tls_ends_shake(&ends);
    if (ends.client.code != CV_OK)
        fail_msg("%s", ends.client.why.text);
    assert_int_equal(ends.server.code, CV_OK);
    assert_true(cv_tls_info(ends.server.tls).kernel);
    assert_false(cv_tls_info(ends.client.tls).kernel);
    return ends;
}

static void what_is_written_the_kernel_encrypts(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = kernel_ready(0);
    unsigned before = kernel.records;
    struct iovec vectors[] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
    assert_int_equal(cv_tls_write(ends.server.tls, ends.server.room, vectors, 2), 4);
    assert_int_equal(kernel.records, before + 1);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, got, sizeof got), 4);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(cv_tls_write(ends.server.tls, ends.server.room, NULL, 0), 0);
    cv_tls_shutdown(ends.server.tls, ends.server.room);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, got, sizeof got), CV_E_CLOSED);
    assert_int_equal(ERR_peek_error(), 0);
    tls_ends_close(&ends);
}

static void random_gathers_arrive_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct tls_ends ends = kernel_ready(i ? 0 : 10000);
        tls_ends_flow(&ends, i);
        tls_ends_close(&ends);
    }
}

// The ticket behind the handshake finds no room.
static void what_the_kernel_does_not_take_waits(void **state)
{
    (void)state;
    struct tls_ends ends = kernel_ends(0);
    struct tls_end *client = &ends.client, *server = &ends.server;
    client->code = cv_tls_handshake(client->tls, client->room, NULL);
    server->code = cv_tls_handshake(server->tls, server->room, NULL);
    assert_int_equal(cv_tls_handshake(client->tls, client->room, NULL), CV_OK);
    kernel.full = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cv_tls_handshake(server->tls, server->room, NULL), CV_E_AGAIN);
        assert_true(cv_tls_wants_write(server->tls));
    }
    kernel.full = false;
    assert_int_equal(cv_tls_handshake(server->tls, server->room, NULL), CV_OK);
    assert_false(cv_tls_wants_write(server->tls));
    ends.client.code = ends.server.code = CV_OK;
    tls_ends_flow(&ends, 7);
    tls_ends_close(&ends);
}

static void an_alert_reaches_the_client(void **state)
{
    (void)state;
    char got[8];
    static const char broken[] = "\x17\x03\x03\x00\x12This is no record";
    struct tls_ends ends = kernel_ready(0);
    struct iovec vector = {(void *)(uintptr_t)broken, sizeof broken};
    assert_int_equal(cv_socket_write(ends.client.fd, &vector, 1), sizeof broken);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), CV_E_TLS);
    assert_int_equal(cv_tls_read(ends.client.tls, ends.client.room, got, sizeof got),
                     CV_E_TLS_ALERT);
    assert_int_equal(cv_tls_write(ends.server.tls, ends.server.room, &vector, 1), CV_E_TLS);
    tls_ends_close(&ends);
}

// OpenSSL 3.0 cannot give the kernel others: better an end than bytes that nobody can read.
static void new_keys_for_the_kernel_end_the_connection(void **state)
{
    (void)state;
    char got[8];
    struct tls_ends ends = kernel_ends(0);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, ends.client.fd);
    SSL_set_connect_state(ssl);
    while (ends.server.code == CV_E_AGAIN) {
        SSL_do_handshake(ssl);
        ends.server.code = cv_tls_handshake(ends.server.tls, ends.server.room, NULL);
    }
    assert_true(cv_tls_info(ends.server.tls).kernel);
    SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    assert_int_equal(SSL_write(ssl, "abc", 3), 3);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), 3);
    SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
    assert_int_equal(SSL_do_handshake(ssl), 1);
    assert_int_equal(cv_tls_read(ends.server.tls, ends.server.room, got, sizeof got), CV_E_TLS);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    tls_ends_close(&ends);
}

static int done(void **state)
{
    (void)state;
    secure_kit_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_the_kernel_encrypts),
        cmocka_unit_test(random_gathers_arrive_whole),
        cmocka_unit_test(what_the_kernel_does_not_take_waits),
        cmocka_unit_test(an_alert_reaches_the_client),
        cmocka_unit_test(new_keys_for_the_kernel_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
