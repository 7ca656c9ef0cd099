// What comes first on a connection, and who is said to have sent it. First byte: 0 sniffing, 1 a
// PROXY header, 2 X-Forwarded-For and -Proto, 3 the text of an address. Every prefix is looked at:
// answers must hold when more bytes come.
#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "proto/forwarded.h"
#include "proto/proxy_header.h"
#include "proto/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void sniff(const uint8_t *data, size_t len)
{
    enum cv_sniff answer = CV_SNIFF_MORE;
    for (size_t n = 0; n <= len && n <= 64; n++) {
        enum cv_sniff found = cv_sniff(data, n);
        CV_ASSERT(answer == CV_SNIFF_MORE || found == answer);
        CV_ASSERT(found != CV_SNIFF_MORE || n < CV_SNIFF_BYTES_MAX);
        CV_ASSERT(cv_sniff_name(found));
        answer = found;
    }
}

static void proxy_header(const uint8_t *data, size_t len)
{
    struct cv_proxy_header header = {0};
    struct cv_why why = {0};
    int answer = cv_proxy_header_parse(&header, data, len, &why);
    CV_ASSERT(why.code == (answer < 0 ? answer : CV_OK));
    CV_ASSERT(answer != 0 || len < CV_LIMIT_PROXY_HEADER_BYTES);
    CV_ASSERT(answer != 1 || (header.len <= len && header.len <= CV_LIMIT_PROXY_HEADER_BYTES));
    CV_ASSERT(header.source.family == header.target.family || answer == 1);
    bool decided = false;
    for (size_t n = 0; n <= len && n <= 512; n++) {
        struct cv_proxy_header other = {0};
        int got = cv_proxy_header_parse(&other, data, n, NULL);
        CV_ASSERT(got == answer || (got == 0 && !decided));
        CV_ASSERT(got != 1 || other.len == header.len);
        decided = got != 0;
    }
}

static bool trust_ten(void *arg, const struct cv_ip *ip)
{
    unsigned *asked = arg;
    ++*asked;
    CV_ASSERT(ip->family == 4 || ip->family == 6);
    return ip->bytes[0] == 10;
}

static void forwarded(struct cv_text text)
{
    const struct cv_ip peer = {.family = 4, .bytes = {10}};
    unsigned asked = 0;
    struct cv_ip client = cv_forwarded_client(text, &peer, trust_ten, &asked);
    CV_ASSERT(asked <= CV_LIMIT_FORWARDED_HOPS);
    CV_ASSERT(client.family == 4 || client.family == 6);
    CV_ASSERT(cv_forwarded_scheme_of(text) <= CV_FORWARDED_HTTPS);
}

static void address(struct cv_text text)
{
    struct cv_ip ip = {.family = 9};
    int err = cv_ip_parse(text, &ip);
    CV_ASSERT(err == CV_OK ? ip.family == 4 || ip.family == 6 : ip.family == 9);
    CV_ASSERT(err != CV_OK || text.len < 46); // INET6_ADDRSTRLEN
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct cv_text text = {(const char *)data + 1, len - 1};
    switch (data[0] % 4) {
    case 0:
        sniff(data + 1, len - 1);
        break;
    case 1:
        proxy_header(data + 1, len - 1);
        break;
    case 2:
        forwarded(text);
        break;
    default:
        address(text);
        break;
    }
    return 0;
}
