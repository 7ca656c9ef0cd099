#include "io/socket.h"

#include "base/check.h"
#include "base/limits.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VECTORS_MAX = 1024 }; // IOV_MAX of Linux

// ---- errors ---------------------------------------------------------------------------------

static const struct {
    int system_errno;
    int code;
} error_rows[] = {
    {EAGAIN, CV_E_AGAIN},
    {EINPROGRESS, CV_E_AGAIN},
    {EALREADY, CV_E_AGAIN},
    {EPIPE, CV_E_RESET},
    {ECONNRESET, CV_E_RESET},
    {ECONNABORTED, CV_E_RESET},
    {ENOTCONN, CV_E_RESET},
    {ETIMEDOUT, CV_E_TIMEOUT},
    {ECONNREFUSED, CV_E_CONN_REFUSED},
    {ENETUNREACH, CV_E_UNREACHABLE},
    {EHOSTUNREACH, CV_E_UNREACHABLE},
    {ENETDOWN, CV_E_UNREACHABLE},
    {EHOSTDOWN, CV_E_UNREACHABLE},
    {EADDRNOTAVAIL, CV_E_UNREACHABLE},
    {EAFNOSUPPORT, CV_E_UNREACHABLE},
    {EADDRINUSE, CV_E_PORT_IN_USE},
    {EACCES, CV_E_DENIED},
    {EPERM, CV_E_DENIED},
    {EMFILE, CV_E_NO_DESCRIPTORS},
    {ENFILE, CV_E_NO_DESCRIPTORS},
    {ENOMEM, CV_E_NOMEM},
    {ENOBUFS, CV_E_NOMEM},
};

int cv_socket_error(int system_errno)
{
    for (size_t i = 0; i < sizeof error_rows / sizeof error_rows[0]; i++) {
        if (error_rows[i].system_errno == system_errno)
            return error_rows[i].code;
    }
    return CV_E_SYSTEM;
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) ? CV_E_SYSTEM : CV_OK;
}

static int open_tcp(const struct cv_addr *addr)
{
    int family = addr->family == CV_ADDR_IPV4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : cv_socket_error(errno);
}

// ---- listening ------------------------------------------------------------------------------

static int listen_failed(int system_errno, const struct cv_addr *addr, struct cv_why *why)
{
    char text[CV_ADDR_TEXT_BYTES];
    int code = cv_socket_error(system_errno);
    cv_addr_print(addr, text);
    switch (code) {
    case CV_E_DENIED:
        return cv_why_set(why, code, "listen",
                          "port %u needs root or CAP_NET_BIND_SERVICE "
                          "(setcap cap_net_bind_service=+ep PROGRAM)",
                          addr->port);
    case CV_E_PORT_IN_USE:
        return cv_why_set(why, code, "listen", "%s: port in use by another program", text);
    case CV_E_UNREACHABLE:
        return cv_why_set(why, code, "listen", "%s is not an address of this machine", text);
    default:
        return cv_why_set(why, code, "listen", "%s: %s", text, strerror(system_errno));
    }
}

// A socket bound to the address: its descriptor, or a negative errno.
static int open_bound(const struct cv_addr *addr, bool shared)
{
    uint8_t system[CV_SOCKADDR_BYTES];
    size_t len = cv_addr_to_system(addr, system);
    int family = addr->family == CV_ADDR_IPV4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shared)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, addr->family == CV_ADDR_IPV6);
    if (bind(fd, (const struct sockaddr *)(const void *)system, (socklen_t)len) == 0)
        return fd;
    int failed = errno;
    close(fd);
    return -failed;
}

// True when the machine has no IPv6, by what opening a socket for it said.
static bool is_without_ipv6(int system_errno)
{
    return system_errno == EAFNOSUPPORT || system_errno == EADDRNOTAVAIL ||
           system_errno == EPROTONOSUPPORT;
}

// Finds out whether the address can be had by us alone (without SO_REUSEPORT any listener refuses
// to share), and makes it definite: the family that works, the port that the system chose. 0 or a
// negative errno.
static int claim(struct cv_addr *addr)
{
    int fd = open_bound(addr, false);
    if (fd < 0 && addr->family == CV_ADDR_ANY && is_without_ipv6(-fd)) {
        addr->family = CV_ADDR_IPV4;
        fd = open_bound(addr, false);
    }
    if (fd < 0)
        return fd;
    struct cv_addr local;
    if (cv_socket_local(fd, &local) == CV_OK)
        addr->port = local.port;
    close(fd);
    return 0;
}

static int open_listener(const struct cv_addr *addr)
{
    int fd = open_bound(addr, true);
    if (fd < 0 || listen(fd, CV_LISTEN_BACKLOG) == 0)
        return fd;
    int failed = errno;
    close(fd);
    return -failed;
}

int cv_socket_listen(const struct cv_addr *addr, int *out_fds, unsigned count, struct cv_why *why)
{
    int fds[CV_LIMIT_POST_THREADS];
    unsigned opened = 0;
    struct cv_addr definite = *addr;
    CV_ASSERT(count > 0 && count <= CV_LIMIT_POST_THREADS);
    int failed = claim(&definite);
    while (!failed && opened < count) {
        int fd = open_listener(&definite);
        if (fd < 0)
            failed = fd;
        else
            fds[opened++] = fd;
    }
    if (!failed) {
        memcpy(out_fds, fds, count * sizeof fds[0]);
        return CV_OK;
    }
    while (opened)
        close(fds[--opened]);
    return listen_failed(-failed, addr, why);
}

// What accept(2) reports of a connection that is gone already: the next one may be well.
static bool is_about_one_connection(int system_errno)
{
    switch (system_errno) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int cv_socket_accept(int listener, struct cv_addr *out_peer)
{
    struct sockaddr_storage peer = {0};
    int fd;
    do {
        socklen_t len = sizeof peer;
        fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && is_about_one_connection(errno));
    if (fd < 0)
        return cv_socket_error(errno);
    if (out_peer)
        *out_peer = cv_addr_from_system(&peer);
    return fd;
}

// ---- connecting -----------------------------------------------------------------------------

int cv_socket_connect(const struct cv_addr *addr)
{
    uint8_t system[CV_SOCKADDR_BYTES];
    CV_ASSERT(addr->family != CV_ADDR_ANY);
    size_t len = cv_addr_to_system(addr, system);
    int fd = open_tcp(addr);
    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)(const void *)system, (socklen_t)len) == 0 ||
        errno == EINPROGRESS || errno == EINTR)
        return fd;
    int failed = errno;
    close(fd);
    return cv_socket_error(failed);
}

int cv_socket_connect_result(int fd)
{
    int failed = 0;
    socklen_t len = sizeof failed;
    struct cv_addr peer;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len))
        return CV_E_SYSTEM;
    if (failed)
        return cv_socket_error(failed);
    return cv_socket_peer(fd, &peer) == CV_OK ? CV_OK : CV_E_AGAIN;
}

int cv_socket_pair(int out_fds[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        return cv_socket_error(errno);
    memcpy(out_fds, fds, sizeof fds);
    return CV_OK;
}

// ---- bytes ----------------------------------------------------------------------------------

int cv_socket_read(int fd, void *data, size_t max)
{
    CV_ASSERT(max > 0);
    ssize_t got;
    do
        got = recv(fd, data, max < INT_MAX ? max : INT_MAX, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cv_socket_error(errno);
    return got ? (int)got : CV_E_CLOSED;
}

int cv_socket_drop(int fd, size_t max)
{
    CV_ASSERT(max > 0);
    ssize_t dropped;
    do
        dropped = recv(fd, NULL, max < INT_MAX ? max : INT_MAX, MSG_TRUNC | MSG_DONTWAIT);
    while (dropped < 0 && errno == EINTR);
    if (dropped < 0)
        return cv_socket_error(errno);
    return dropped ? (int)dropped : CV_E_CLOSED;
}

int cv_socket_write(int fd, const struct iovec *vectors, int count)
{
    CV_ASSERT(count >= 0);
    struct msghdr message = {
        .msg_iov = (struct iovec *)(uintptr_t)vectors, // sendmsg only reads them
        .msg_iovlen = (size_t)(count < VECTORS_MAX ? count : VECTORS_MAX),
    };
    ssize_t left;
    do
        left = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (left < 0 && errno == EINTR);
    if (left < 0)
        return cv_socket_error(errno);
    CV_ASSERT(left <= INT_MAX);
    return (int)left;
}

void cv_socket_shutdown(int fd)
{
    shutdown(fd, SHUT_WR);
}

void cv_socket_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void cv_socket_abort(int *fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    cv_socket_close(fd);
}

// ---- options --------------------------------------------------------------------------------

int cv_socket_set_no_delay(int fd, bool on)
{
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
}

int cv_socket_set_keep_alive(int fd, int idle_s, int interval_s, int count)
{
    if (set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s) ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s) ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, count))
        return CV_E_SYSTEM;
    return CV_OK;
}

int cv_socket_set_user_timeout_ms(int fd, unsigned timeout_ms)
{
    return set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout_ms);
}

int cv_socket_set_send_buffer(int fd, int bytes)
{
    return set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

int cv_socket_set_unsent_low(int fd, int bytes)
{
    return set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

int cv_socket_set_read_low(int fd, int bytes)
{
    return set_option(fd, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

int cv_socket_quick_ack(int fd)
{
    return set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
}

// ---- questions ------------------------------------------------------------------------------

int cv_socket_local(int fd, struct cv_addr *out)
{
    struct sockaddr_storage system = {0};
    socklen_t len = sizeof system;
    if (getsockname(fd, (struct sockaddr *)&system, &len))
        return cv_socket_error(errno);
    *out = cv_addr_from_system(&system);
    return CV_OK;
}

int cv_socket_peer(int fd, struct cv_addr *out)
{
    struct sockaddr_storage system = {0};
    socklen_t len = sizeof system;
    if (getpeername(fd, (struct sockaddr *)&system, &len))
        return cv_socket_error(errno);
    *out = cv_addr_from_system(&system);
    return CV_OK;
}

uint32_t cv_socket_rtt_us(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_rtt;
}

uint32_t cv_socket_unacked_bytes(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) || bytes < 0 ? 0 : (uint32_t)bytes;
}
