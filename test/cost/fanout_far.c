#include "fanout_far.h"

#include "io/openssl.h"
#include "io/socket.h"
#include "io/tls.h"
#include "io/tls_server.h"
#include "io/tls_trust.h"
#include "proto/rtmpt_path.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAR_BYTES = 1024 * 1024, REQUEST_BYTES = 256, HANDSHAKE_TURNS = 20 };

struct far {
    int fd;
    struct cv_tls *tls; // NULL: plain
    void (*turn)(void *arg);
    void *arg;
    char session[CV_RTMPT_ID_CHARS + 1]; // rtmpt
    unsigned number;                     // of its next request
};

static uint8_t heard[HEAR_BYTES];
static struct cv_tls_room *room;
static struct cv_tls_trust *trust;

void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fanout: %s\n", what);
    exit(1);
}

// ---- connections ------------------------------------------------------------------------------

void far_pair(int fds[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "no sockets");
    for (int i = 0; i < 2; i++)
        must(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0, "no sockets");
}

struct far *far_new(int fd, void (*turn)(void *arg), void *arg)
{
    struct far *far = calloc(1, sizeof *far);
    must(far != NULL, "no memory");
    *far = (struct far){.fd = fd, .turn = turn, .arg = arg};
    return far;
}

void far_say(struct far *far, const void *data, size_t len)
{
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    int sent =
        far->tls ? cv_tls_write(far->tls, room, &vector, 1) : cv_socket_write(far->fd, &vector, 1);
    must(sent >= 0 && (size_t)sent == len, "the server takes no more");
}

const uint8_t *far_hear(struct far *far, size_t *len)
{
    int got = cv_socket_read(far->fd, heard, sizeof heard);
    must(got > 0 || got == CV_E_AGAIN, "the server has closed a connection");
    *len = got > 0 ? (size_t)got : 0;
    return heard;
}

void far_drain(struct far *far, const struct far_carrier *carrier)
{
    size_t len;
    far_hear(far, &len);
    if (len && carrier->again)
        carrier->again(far);
}

// ---- TLS --------------------------------------------------------------------------------------

struct cv_tls_server *far_tls_server(void)
{
    static const char *const names[] = {"localhost"};
    char folder[] = "/tmp/fanout_XXXXXX";
    char cert_file[64];
    char key_file[64];
    struct cv_tls_server *server = NULL;
    struct cv_tls_cert *cert = NULL;
    struct cv_why why = {0};
    must(mkdtemp(folder) != NULL, "no folder");
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    struct cv_tls_trust_config config = {.ca_file = cert_file};
    int64_t now_s = time(NULL);
    int err = cv_tls_cert_make(cert_file, key_file, names, 1, now_s, &why);
    if (err == CV_OK)
        err = cv_tls_cert_load(&cert, cert_file, key_file, now_s, &why);
    if (err == CV_OK)
        err = cv_tls_server_new(&server, &cert, 1, NULL, &why);
    if (err == CV_OK)
        err = cv_tls_trust_new(&trust, &config, &why);
    unlink(cert_file);
    unlink(key_file);
    rmdir(folder);
    must(err == CV_OK, why.text);
    room = cv_tls_room_new();
    return server;
}

static void shake_hands(struct far *far)
{
    struct cv_why why = {0};
    far->tls = cv_tls_connect(trust, far->fd, "localhost");
    must(far->tls && room, "no memory");
    int err = CV_E_AGAIN;
    for (int i = 0; i < HANDSHAKE_TURNS && err == CV_E_AGAIN; i++) {
        err = cv_tls_handshake(far->tls, room, &why);
        far->turn(far->arg);
    }
    must(err == CV_OK, why.text);
}

// ---- RTMP -------------------------------------------------------------------------------------

struct cv_rtmp_client *far_rtmp(enum cv_rtmp_client_mode mode)
{
    struct cv_rtmp_client_config config = {.mode = mode,
                                           .crypto = &cv_crypto_openssl,
                                           .app = cv_text_of("live"),
                                           .name = cv_text_of("gate"),
                                           .tc_url = cv_text_of("rtmp://localhost/live"),
                                           .eager = true};
    struct cv_rtmp_client *client = cv_rtmp_client_new(&config, 0);
    must(client && cv_rtmp_client_connect(client) == CV_OK, "no session");
    return client;
}

// All that a player ever says: the answers are not needed.
static struct cv_block *play_flight(void)
{
    struct cv_rtmp_client *client = far_rtmp(CV_RTMP_CLIENT_PLAY);
    struct cv_gather gather;
    cv_gather_clear(&gather);
    cv_rtmp_client_pull(client, &gather);
    struct cv_block *flight = cv_block_new(gather.bytes);
    must(flight != NULL, "no memory");
    for (int i = 0; i < gather.count; i++)
        cv_block_append(flight, gather.vectors[i].iov_base, gather.vectors[i].iov_len);
    cv_rtmp_client_free(client);
    return flight;
}

static void enter_rtmp(struct far *far)
{
    struct cv_block *flight = play_flight();
    far_say(far, flight->data, flight->len);
    cv_block_unref(&flight);
}

// ---- HTTP -------------------------------------------------------------------------------------

static void enter_flv(struct far *far)
{
    static const char request[] = "GET /live/gate.flv HTTP/1.1\r\nHost: localhost\r\n\r\n";
    far_say(far, request, sizeof request - 1);
}

static void post(struct far *far, const char *verb, const void *body, size_t len)
{
    char head[REQUEST_BYTES];
    int head_len = snprintf(head, sizeof head,
                            "POST /%s/%s%s%u HTTP/1.1\r\nHost: localhost\r\n"
                            "Content-Type: application/x-fcs\r\nContent-Length: %zu\r\n\r\n",
                            verb, far->session, far->session[0] ? "/" : "", far->number, len);
    far_say(far, head, (size_t)head_len);
    far_say(far, body, len);
    far->number++;
}

static void idle(struct far *far)
{
    post(far, "idle", "", 1);
}

// The answer to /open is the session's id.
static void enter_rtmpt(struct far *far)
{
    struct cv_block *flight = play_flight();
    size_t len;
    far->number = 1;
    post(far, "open", "", 1);
    far->turn(far->arg);
    const uint8_t *answer = far_hear(far, &len);
    must(len > CV_RTMPT_ID_CHARS + 1, "/open has no answer");
    memcpy(far->session, answer + len - CV_RTMPT_ID_CHARS - 1, CV_RTMPT_ID_CHARS);
    far->number = 1;
    post(far, "send", flight->data, flight->len);
    cv_block_unref(&flight);
}

// ---- all --------------------------------------------------------------------------------------

static const struct far_carrier carriers[] = {
    {.name = "rtmp", .enter = enter_rtmp},
    {.name = "ring", .enter = enter_rtmp, .ring = true},
    {.name = "rtmps", .enter = enter_rtmp, .tls = true},
    {.name = "flv", .enter = enter_flv},
    {.name = "rtmpt", .enter = enter_rtmpt, .again = idle},
};

const struct far_carrier *far_carrier_find(const char *name)
{
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++) {
        if (strcmp(carriers[i].name, name) == 0)
            return &carriers[i];
    }
    return NULL;
}

void far_enter(struct far *far, const struct far_carrier *carrier)
{
    if (carrier->tls)
        shake_hands(far);
    carrier->enter(far);
}
