#include "io/socket.h"
#include "io/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static bool offers;
static pthread_once_t asked = PTHREAD_ONCE_INIT;

// A connection of the loopback to itself, whose other end waits in the listener: -1 when there is
// none. Blocking: on the loopback it is there at once.
static int connect_to(int listener)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (getsockname(listener, (struct sockaddr *)&addr, &len) == 0 &&
        connect(fd, (const struct sockaddr *)&addr, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool takes_tls(int fd)
{
    static const char name[] = "tls";
    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name - 1) == 0;
}

static void ask(void)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return;
    if (bind(listener, (const struct sockaddr *)&loopback, sizeof loopback) == 0 &&
        listen(listener, 1) == 0) {
        int fd = connect_to(listener);
        offers = fd >= 0 && takes_tls(fd);
        if (fd >= 0)
            close(fd);
    }
    close(listener);
}

bool cv_tls_kernel_offers(void)
{
    pthread_once(&asked, ask);
    return offers;
}
