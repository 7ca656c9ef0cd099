#include "secure_kit.h"

#include "harness.h"

#include "base/block.h"
#include "base/mem.h"
#include "io/channel.h"
#include "io/socket.h"
#include "io/tls_cert.h"
#include "io/tls_server.h"
#include "io/tls_trust.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct cv_tls_server *server, *stranger;
static struct cv_tls_trust *trust;

// ---- who is who -------------------------------------------------------------------------------

// `out_trust` may be NULL.
static void make(struct cv_tls_server **out_server, struct cv_tls_trust **out_trust)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    char folder[] = "/tmp/culvert_test_XXXXXX";
    char cert_file[64];
    char key_file[64];
    struct cv_tls_cert *cert = NULL;
    struct cv_why why = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    struct cv_tls_trust_config config = {.ca_file = cert_file};
    int64_t now_s = time(NULL);
    int err = cv_tls_cert_make(cert_file, key_file, names, 2, now_s, &why);
    if (err == CV_OK)
        err = cv_tls_cert_load(&cert, cert_file, key_file, now_s, &why);
    if (err == CV_OK)
        err = cv_tls_server_new(out_server, &cert, 1, NULL, &why);
    if (err == CV_OK && out_trust)
        err = cv_tls_trust_new(out_trust, &config, &why);
    cv_tls_cert_unref(&cert);
    remove_tree(folder);
    if (err != CV_OK)
        fail_msg("%s", why.text);
}

struct cv_tls_server *secure_kit_server(void)
{
    if (!server)
        make(&server, &trust);
    return server;
}

struct cv_tls_trust *secure_kit_trust(void)
{
    secure_kit_server();
    return trust;
}

struct cv_tls_server *secure_kit_stranger(void)
{
    if (!stranger)
        make(&stranger, NULL);
    return stranger;
}

// ---- bridges ----------------------------------------------------------------------------------

enum { BRIDGES_MAX = 1024, READ_BYTES = 256 * 1024 };

// One of the two connections, and the direction towards it.
struct bank {
    struct cv_channel channel;
    struct bank *other;
    struct cv_block *waits; // to be written to it; NULL: nothing
    size_t written;         // of that
    bool ended;             // nothing comes from it any more
    bool open;              // it can be written
};

struct bridge {
    struct bank near, far;
    int banks; // that their loop has not let go of
};

// Each thread has its own.
static _Thread_local struct bridge *bridges[BRIDGES_MAX];
static _Thread_local unsigned bridge_count;
static _Thread_local uint8_t read_buffer[READ_BYTES];
static _Thread_local struct cv_channel_room room;

static void settle(struct bank *to)
{
    struct cv_gather gather;
    while (to->waits && to->open) {
        cv_gather_clear(&gather);
        cv_gather_borrow(&gather, to->waits->data + to->written, to->waits->len - to->written);
        int sent = cv_channel_write(&to->channel, &gather);
        if (sent == CV_E_AGAIN)
            break;
        to->written += sent > 0 ? (size_t)sent : gather.bytes; // what it does not take is lost
        if (to->written == to->waits->len)
            cv_block_unref(&to->waits);
    }
    if (to->other->ended && !to->waits && to->open)
        cv_channel_shutdown(&to->channel);
    cv_channel_want(&to->channel, !to->ended && !to->other->waits, to->waits || !to->open);
    if (to->other->open)
        cv_channel_want(&to->other->channel, !to->other->ended && !to->waits, to->other->waits);
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct bank *from = arg;
    struct bank *to = from->other;
    assert_null(to->waits);
    to->waits = cv_block_copy(data, len);
    to->written = 0;
    settle(to);
}

static void on_room(void *arg)
{
    struct bank *bank = arg;
    if (!bank->open && !cv_channel_is_secure(&bank->channel)) { // connected
        assert_int_equal(cv_channel_connect(&bank->channel, secure_kit_trust(), "localhost"), 0);
        return;
    }
    settle(bank);
}

static void on_secured(void *arg)
{
    struct bank *bank = arg;
    bank->open = true;
    settle(bank);
}

static void on_ended(void *arg, int code)
{
    struct bank *bank = arg;
    (void)code;
    bank->ended = true;
    settle(bank->other);
}

static const struct cv_channel_user bank_user = {
    .bytes = on_bytes,
    .room = on_room,
    .secured = on_secured,
    .ended = on_ended,
};

// A test in which memory fails means that of others.
int secure_kit_bridge(int fd)
{
    uint64_t spared = cv_mem_fail_nth(0);
    int pair[2];
    struct bridge *bridge = calloc(1, sizeof *bridge);
    assert_non_null(bridge);
    assert_true(bridge_count < BRIDGES_MAX);
    assert_int_equal(cv_socket_pair(pair), 0);
    if (!room.loop)
        room = (struct cv_channel_room){cv_loop_new(), cv_tls_room_new(), read_buffer, READ_BYTES};
    bridge->near.other = &bridge->far;
    bridge->far.other = &bridge->near;
    bridge->near.open = true;
    assert_int_equal(
        cv_channel_open(&bridge->near.channel, &room, pair[0], &bank_user, &bridge->near), 0);
    assert_int_equal(cv_channel_open(&bridge->far.channel, &room, fd, &bank_user, &bridge->far), 0);
    cv_channel_want(&bridge->far.channel, false, true);
    bridges[bridge_count++] = bridge;
    cv_mem_fail_nth(spared);
    return pair[1];
}

static void on_bank_closed(void *arg)
{
    struct bridge *bridge = arg;
    if (--bridge->banks == 0)
        free(bridge);
}

static void bridge_close(struct bridge *bridge)
{
    bridge->banks = 2;
    cv_block_unref(&bridge->near.waits);
    cv_block_unref(&bridge->far.waits);
    cv_channel_close(&bridge->near.channel, false, on_bank_closed, bridge);
    cv_channel_close(&bridge->far.channel, false, on_bank_closed, bridge);
}

void secure_kit_pump(void)
{
    if (!room.loop)
        return;
    uint64_t spared = cv_mem_fail_nth(0);
    cv_loop_run_once(room.loop);
    for (unsigned i = 0; i < bridge_count; i++) {
        if (!bridges[i]->near.ended || !bridges[i]->far.ended)
            continue;
        bridge_close(bridges[i]);
        bridges[i--] = bridges[--bridge_count];
    }
    cv_mem_fail_nth(spared);
}

int secure_kit_fd(void)
{
    return room.loop ? cv_loop_fd(room.loop) : -1;
}

void secure_kit_hang_up(void)
{
    while (bridge_count)
        bridge_close(bridges[--bridge_count]);
    cv_loop_free(room.loop);
    cv_tls_room_free(room.tls);
    room = (struct cv_channel_room){0};
}

void secure_kit_done(void)
{
    secure_kit_hang_up();
    cv_tls_server_unref(&server);
    cv_tls_server_unref(&stranger);
    cv_tls_trust_unref(&trust);
}
