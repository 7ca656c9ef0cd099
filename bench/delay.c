// A link with a delay, where the kernel has no netem: two network namespaces of this program's own,
// each with a TUN device, and every packet between them held for the same time.
//
// usage: delay ONE_WAY_US
//
// The far end has the addresses 198.18.0.1 to .16 (RFC 2544), the near end 198.18.0.100. One line
// of JSON says where the namespaces are, for nsenter --net=PATH; at the end of standard input, and
// when its parent dies, the link and the namespaces vanish, and a second line tells what it has
// carried. Needs root.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MTU = 1500,
    PACKETS_MAX = 16384, // held in one direction: 1.6 Gb/s at 120 ms
    DELAY_US_MAX = 10000000,
    DEVICE_QUEUE = 4096,
    FAR_ADDRESSES = 16,
    NEAR_HOST = 100,
    READS_PER_TURN = 64,
    NS_PER_S = 1000000000,
};
#define NETWORK UINT32_C(0xc6120000) // 198.18.0.0
#define NETMASK UINT32_C(0xffffff00)

struct packet {
    uint64_t due_ns;
    uint32_t len;
    uint8_t bytes[MTU];
};

// One direction: a ring, oldest first.
struct way {
    int from;
    int to;
    uint32_t first;
    uint32_t count;
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped; // there was no room in the ring, or in the device
    uint64_t late_ns; // the most that a packet left after its time
    uint64_t late_sum_ns;
    struct packet ring[PACKETS_MAX];
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

// ---- the two ends ---------------------------------------------------------------------------

struct end {
    const char *device;
    uint32_t first_host;
    uint8_t hosts;
    int namespace;
    int tun;
};

// Further addresses are aliases: device:1 and so on.
static void set_address(int control, const char *device, uint8_t index, uint32_t host)
{
    struct ifreq request = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(NETWORK + host)};
    if (index == 0)
        snprintf(request.ifr_name, IFNAMSIZ, "%.4s", device);
    else
        snprintf(request.ifr_name, IFNAMSIZ, "%.4s:%u", device, index);
    memcpy(&request.ifr_addr, &address, sizeof address);
    must(ioctl(control, SIOCSIFADDR, &request) == 0, "address");
    address.sin_addr.s_addr = htonl(NETMASK);
    memcpy(&request.ifr_netmask, &address, sizeof address);
    must(ioctl(control, SIOCSIFNETMASK, &request) == 0, "netmask");
}

static void raise_device(int control, const char *device)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, IFNAMSIZ, "%.4s", device);
    request.ifr_qlen = DEVICE_QUEUE;
    must(ioctl(control, SIOCSIFTXQLEN, &request) == 0, "length of the device's queue");
    must(ioctl(control, SIOCGIFFLAGS, &request) == 0, "flags of the device");
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    must(ioctl(control, SIOCSIFFLAGS, &request) == 0, "raising the device");
}

static int open_tun(const char *device)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    must(tun >= 0, "/dev/net/tun");
    snprintf(request.ifr_name, IFNAMSIZ, "%.4s", device);
    must(ioctl(tun, TUNSETIFF, &request) == 0, "making a TUN device");
    return tun;
}

// Leaves this process in the new namespace. A TUN device belongs to the one it was opened in.
static void open_end(struct end *end)
{
    must(unshare(CLONE_NEWNET) == 0, "a network namespace (needs root)");
    end->namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    end->tun = open_tun(end->device);
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(end->namespace >= 0 && control >= 0, "descriptors");
    raise_device(control, "lo");
    for (uint8_t i = 0; i < end->hosts; i++)
        set_address(control, end->device, i, end->first_host + i);
    raise_device(control, end->device);
    close(control);
}

// ---- packets --------------------------------------------------------------------------------

static void take_packets(struct way *way, uint64_t delay_ns)
{
    static uint8_t nowhere[MTU];
    for (int i = 0; i < READS_PER_TURN; i++) {
        bool full = way->count == PACKETS_MAX;
        struct packet *packet = &way->ring[(way->first + way->count) % PACKETS_MAX];
        ssize_t len = read(way->from, full ? nowhere : packet->bytes, MTU);
        if (len <= 0)
            return;
        packet->due_ns = full ? packet->due_ns : now_ns() + delay_ns;
        packet->len = full ? packet->len : (uint32_t)len;
        way->count += !full;
        way->dropped += full;
    }
}

static void send_packets(struct way *way)
{
    while (way->count > 0) {
        struct packet *packet = &way->ring[way->first];
        uint64_t now = now_ns();
        if (packet->due_ns > now)
            return;
        bool sent = write(way->to, packet->bytes, packet->len) == (ssize_t)packet->len;
        uint64_t late = now - packet->due_ns;
        way->late_ns = late > way->late_ns ? late : way->late_ns;
        way->late_sum_ns += late;
        way->packets += sent;
        way->bytes += sent ? packet->len : 0;
        way->dropped += !sent;
        way->first = (way->first + 1) % PACKETS_MAX;
        way->count--;
    }
}

static uint64_t next_due_ns(const struct way *way)
{
    return way->count ? way->ring[way->first].due_ns : UINT64_MAX;
}

// Sleeps until there is a packet to take or to send. False at the end of standard input.
static bool wait_for_work(const struct way ways[2])
{
    struct pollfd fds[] = {{.fd = ways[0].from, .events = POLLIN},
                           {.fd = ways[1].from, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    uint64_t due_ns = next_due_ns(&ways[0]);
    if (next_due_ns(&ways[1]) < due_ns)
        due_ns = next_due_ns(&ways[1]);
    uint64_t now = now_ns();
    uint64_t wait_ns = due_ns > now ? due_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                               .tv_nsec = (long)(wait_ns % NS_PER_S)};
    char byte;
    ppoll(fds, 3, due_ns == UINT64_MAX ? NULL : &timeout, NULL);
    return !fds[2].revents || read(STDIN_FILENO, &byte, 1) > 0;
}

static void carry(struct way ways[2], uint64_t delay_ns)
{
    while (wait_for_work(ways)) {
        for (int i = 0; i < 2; i++) {
            take_packets(&ways[i], delay_ns);
            send_packets(&ways[i]);
        }
    }
}

static void report(const char *name, const struct way *way)
{
    printf("\"%s\": {\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"dropped\": %" PRIu64
           ", \"late_max_us\": %.1f, \"late_mean_us\": %.1f}",
           name, way->packets, way->bytes, way->dropped, (double)way->late_ns / 1000,
           way->packets ? (double)way->late_sum_ns / (double)way->packets / 1000 : 0);
}

// A packet is in time when this program runs in time: before others, and without timer slack.
static void hurry(void)
{
    struct sched_param priority = {.sched_priority = 10};
    sched_setscheduler(0, SCHED_FIFO, &priority);
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv)
{
    static struct way ways[2];
    struct end far = {.device = "far", .first_host = 1, .hosts = FAR_ADDRESSES};
    struct end near = {.device = "near", .first_host = NEAR_HOST, .hosts = 1};
    char *rest = NULL;
    unsigned long delay_us = argc == 2 ? strtoul(argv[1], &rest, 10) : DELAY_US_MAX + 1;
    if (delay_us > DELAY_US_MAX || !rest || *rest) {
        fprintf(stderr, "usage: delay ONE_WAY_US\n");
        return 2;
    }
    hurry();
    open_end(&far);
    open_end(&near);
    ways[0].from = ways[1].to = near.tun;
    ways[1].from = ways[0].to = far.tun;
    printf("{\"far\": \"/proc/%d/fd/%d\", \"near\": \"/proc/%d/fd/%d\"}\n", (int)getpid(),
           far.namespace, (int)getpid(), near.namespace);
    fflush(stdout);
    carry(ways, (uint64_t)delay_us * 1000);
    printf("{");
    report("up", &ways[0]);
    printf(", ");
    report("down", &ways[1]);
    printf("}\n");
    return 0;
}
