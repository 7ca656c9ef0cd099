// The name of a network, out of the system's tables.
#include "harness.h"

#include "client/network.h"

#include <stdio.h>

#define HEAD4                                                                                      \
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT      \n"
#define TAIL4    "\t0\t0\t0                                                              \n"
#define HEADARP  "IP address       HW type     Flags       HW address            Mask     Device\n"
#define MAC      "192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n"
#define NO_IP6   "00000000000000000000000000000000"
#define IP6_LINK "fe800000000000000000000000000001"
#define IP6_NET  "20010db8000100000000000000000000"
#define IP6_NET2 "20010db8000200000000000000000000"
#define IP6_FE80 "fe800000000000000000000000000000"
#define IP6_FF00 "ff000000000000000000000000000000"
#define COUNTS   " 00000001 00000000 "

// One route of IPv6: destination, length, next hop, metric, flags, device.
#define ROUTE6(destination, bits, next, metric, flags, device)                                     \
    destination " " bits " " NO_IP6 " 00 " next " " metric COUNTS flags "     " device "\n"
#define DEFAULT6 ROUTE6(NO_IP6, "00", IP6_LINK, "00000400", "00000003", "eth0")
#define PREFIX6  ROUTE6(IP6_NET, "40", NO_IP6, "00000100", "00000001", "eth0")

#define DEFAULT4 "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000" TAIL4
#define PREFIX4  "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF" TAIL4

static const char ethernet[] = HEAD4 DEFAULT4 PREFIX4;

static void check(const char *route, const char *arp, const char *ipv6_route, const char *name)
{
    char out[CV_LIMIT_NETWORK_BYTES + 1];
    struct guard tables[] = {
        guard_copy(route, strlen(route)),
        guard_copy(arp, strlen(arp)),
        guard_copy(ipv6_route, strlen(ipv6_route)),
    };
    struct cv_text texts[3];
    for (size_t i = 0; i < 3; i++)
        texts[i] = (struct cv_text){(const char *)tables[i].data, tables[i].len};
    memset(out, 'x', sizeof out);
    cv_network_describe(out, texts[0], texts[1], texts[2]);
    assert_string_equal(out, name);
    for (size_t i = 0; i < 3; i++)
        guard_free(&tables[i]);
}

struct row {
    const char *route;
    const char *arp;
    const char *ipv6_route;
    const char *name;
};

static void check_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(rows[i].route, rows[i].arp, rows[i].ipv6_route, rows[i].name);
}

// The tables print addresses as the machine's own numbers: these tests are for little endian.
static void names_an_ipv4_network(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {ethernet, HEADARP MAC, "", "02:fc:00:00:00:05@192.0.2.0/24"},
        {ethernet, HEADARP MAC, DEFAULT6 PREFIX6, "02:fc:00:00:00:05@192.0.2.0/24"},
        // not asked yet, no answer, another device, another kind of hardware
        {ethernet, HEADARP, "", "192.0.2.1@192.0.2.0/24"},
        {ethernet, HEADARP "192.0.2.1 0x1 0x0 00:00:00:00:00:00 * eth0\n", "",
         "192.0.2.1@192.0.2.0/24"},
        {ethernet, HEADARP "192.0.2.1 0x1 0x2 02:fc:00:00:00:07 * eth1\n" MAC, "",
         "02:fc:00:00:00:05@192.0.2.0/24"},
        {ethernet, HEADARP "192.0.2.11 0x1 0x2 02:fc:00:00:00:07 * eth0\n", "",
         "192.0.2.1@192.0.2.0/24"},
        {ethernet, HEADARP "192.0.2.1 0x20 0x2 80:00:00:48:fe:80:00:00:00:00 * eth0\n", "",
         "192.0.2.1@192.0.2.0/24"},
        {ethernet, HEADARP "192.0.2.1 0x1 0x2 02-fc-00-00-00-05 * eth0\n", "",
         "192.0.2.1@192.0.2.0/24"},
        // the gateway is in no network of the device
        {HEAD4 DEFAULT4, HEADARP MAC, "", "02:fc:00:00:00:05"},
        {HEAD4 DEFAULT4 "eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF" TAIL4, "", "",
         "192.0.2.1"},
        {HEAD4 DEFAULT4 "eth0\t000300C0\t00000000\t0001\t0\t0\t0\t00FFFFFF" TAIL4, "", "",
         "192.0.2.1"},
        // the narrowest one
        {HEAD4 DEFAULT4 PREFIX4 "eth0\t000200C0\t00000000\t0001\t0\t0\t0\tC0FFFFFF" TAIL4, "", "",
         "192.0.2.1@192.0.2.0/26"},
    };
    check_all(rows, sizeof rows / sizeof rows[0]);
}

static void takes_the_default_route_that_counts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        // the lesser metric, wherever it stands; of equal ones the first
        {HEAD4 "wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000" TAIL4
               "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000" TAIL4,
         "", "", "192.0.2.1"},
        {HEAD4 "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000" TAIL4
               "wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000" TAIL4,
         "", "", "192.0.2.1"},
        {HEAD4 DEFAULT4 "wlan0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000" TAIL4, "", "",
         "192.0.2.1"},
        // a VPN with two halves stands before it, and so does its device
        {HEAD4 DEFAULT4 "tun0\t00000000\t0100080A\t0003\t0\t0\t50\t00000080" TAIL4
                        "tun0\t00000080\t0100080A\t0003\t0\t0\t50\t00000080" TAIL4
                        "tun0\t0000080A\t00000000\t0001\t0\t0\t0\t00FFFFFF" TAIL4,
         HEADARP MAC, "", "10.8.0.1@10.8.0.0/24"},
        // no gateway: a line to one peer
        {HEAD4 "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000" TAIL4
               "ppp0\t0100400A\t00000000\t0005\t0\t0\t0\tFFFFFFFF" TAIL4,
         "", "", "ppp0@10.64.0.1/32"},
        {HEAD4 "a\x01\xff\t00000000\t00000000\t0001\t0\t0\t0\t00000000" TAIL4, "", "", "a??"},
        // down, or there to refuse
        {HEAD4 "eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000" TAIL4, "", "", "-"},
        {HEAD4 "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000" TAIL4, "", "", "-"},
        // a network without a way out
        {HEAD4 PREFIX4, HEADARP MAC, "", "-"},
        {"", "", "", "-"},
    };
    check_all(rows, sizeof rows / sizeof rows[0]);
}

static void names_an_ipv6_network(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {HEAD4, HEADARP MAC, DEFAULT6 PREFIX6, "fe80::1@2001:db8:1::/64"},
        {HEAD4, "", PREFIX6 DEFAULT6, "fe80::1@2001:db8:1::/64"},
        {"", "", DEFAULT6, "fe80::1"},
        // the lesser metric
        {"", "",
         ROUTE6(NO_IP6, "00", IP6_NET, "00000800", "00000003", "wlan0")
             DEFAULT6 ROUTE6(NO_IP6, "00", IP6_NET, "00000500", "00000003", "wlan0"),
         "fe80::1"},
        // the least network, in any order; no link-local one, no group, no host, no other device
        {"", "", DEFAULT6 PREFIX6 ROUTE6(IP6_NET2, "40", NO_IP6, "00000100", "00000001", "eth0"),
         "fe80::1@2001:db8:1::/64"},
        {"", "", DEFAULT6 ROUTE6(IP6_NET2, "40", NO_IP6, "00000100", "00000001", "eth0") PREFIX6,
         "fe80::1@2001:db8:1::/64"},
        {"", "",
         DEFAULT6 ROUTE6(IP6_FE80, "40", NO_IP6, "00000100", "00000001", "eth0")
             ROUTE6(IP6_FF00, "08", NO_IP6, "00000100", "00000001", "eth0")
                 ROUTE6(IP6_NET, "80", NO_IP6, "00000000", "80200001", "eth0")
                     ROUTE6(IP6_NET, "40", IP6_LINK, "00000100", "00000003", "eth0")
                         ROUTE6(IP6_NET, "40", NO_IP6, "00000100", "00000001", "eth1"),
         "fe80::1"},
        // what a machine without IPv6 has: a route that refuses
        {"", "", ROUTE6(NO_IP6, "00", NO_IP6, "ffffffff", "00200200", "lo"), "-"},
        {"", "", ROUTE6(NO_IP6, "00", NO_IP6, "00000400", "00000001", "wg0"), "wg0"},
    };
    check_all(rows, sizeof rows / sizeof rows[0]);
}

static void malformed_lines_are_not_seen(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\n\n \t\n" DEFAULT4, "", "", "192.0.2.1"},
        {"eth0\t0000000g\t010200C0\t0003\t0\t0\t0\t00000000" TAIL4, "", "", "-"},
        {"eth0\t000000000\t010200C0\t0003\t0\t0\t0\t00000000" TAIL4, "", "", "-"},
        {"eth0\t00000000\t010200C0\t0003\t0\t0\t-1\t00000000" TAIL4, "", "", "-"},
        {"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t\n", "", "", "-"},
        {"eth0\t00000000\t010200C0", "", "", "-"},
        {"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000", "", "", "192.0.2.1"},
        {DEFAULT4, "192.0.2.1", "", "192.0.2.1"},
        {DEFAULT4, "192.0.2.1 0x1 0x2 02:fc:00:00:00:05", "", "192.0.2.1"},
        {"", "", ROUTE6("0000", "00", IP6_LINK, "00000400", "00000003", "eth0"), "-"},
        {"", "", ROUTE6(NO_IP6 "0", "00", IP6_LINK, "00000400", "00000003", "eth0"), "-"},
        {"", "", ROUTE6(NO_IP6, "00", "fe80000000000000000000000000000g", "0", "3", "eth0"), "-"},
        {"", "", ROUTE6(NO_IP6, "00", IP6_LINK, "00000400", "00000003", ""), "-"},
        {"", "", DEFAULT6 ROUTE6(IP6_NET, "81", NO_IP6, "00000100", "00000001", "eth0"), "fe80::1"},
    };
    check_all(rows, sizeof rows / sizeof rows[0]);
}

// Whatever stands in the tables, the name is a word within its limit.
static void bug_25_names_end_within_their_limit(void **state)
{
    (void)state;
    static const char ip6[] = "20010db8111111112222222233333333";
    char table[512];
    snprintf(table, sizeof table,
             "%s 00 %s 00 %s 00000400 1 0 00000003 eth0\n%s 7f %s 00 %s 0 1 0 00000001 eth0\n",
             NO_IP6, NO_IP6, ip6, ip6, NO_IP6, NO_IP6);
    check("", "", table,
          "2001:db8:1111:1111:2222:2222:3333:3333"
          "@2001:db8:1111:1111:2222:2222:3333:3333/127");
    // longer than a device's name can be
    check("eth0eth0eth0eth0eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000" TAIL4, "", "",
          "eth0eth0eth0eth");
    for (size_t len = 0; len <= sizeof ethernet - 1; len++) {
        char out[CV_LIMIT_NETWORK_BYTES + 1];
        struct guard cut = guard_copy(ethernet, len);
        cv_network_describe(out, (struct cv_text){(const char *)cut.data, len}, cv_text_of(MAC),
                            (struct cv_text){0});
        assert_true(out[0] == '-' || out[0] == '0'); // nothing, or the hardware address
        guard_free(&cut);
    }
}

static bool ask_the_system(void *arg)
{
    char *out = arg;
    memset(out, 'x', CV_LIMIT_NETWORK_BYTES + 1);
    cv_network_name(out);
    assert_non_null(memchr(out, '\0', CV_LIMIT_NETWORK_BYTES + 1));
    assert_true(out[0] != '\0' && !strpbrk(out, " \t\n"));
    return true;
}

static void names_the_network_of_this_machine(void **state)
{
    (void)state;
    char first[CV_LIMIT_NETWORK_BYTES + 1];
    char again[CV_LIMIT_NETWORK_BYTES + 1];
    ask_the_system(first);
    fail_nth(ask_the_system, again);
    assert_string_equal(again, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_an_ipv4_network),
        cmocka_unit_test(takes_the_default_route_that_counts),
        cmocka_unit_test(names_an_ipv6_network),
        cmocka_unit_test(malformed_lines_are_not_seen),
        cmocka_unit_test(bug_25_names_end_within_their_limit),
        cmocka_unit_test(names_the_network_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
