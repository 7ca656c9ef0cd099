#include "proto/sniff.h"

#include "base/check.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Everything that is known by fixed bytes at the start.
struct signature {
    enum cv_sniff sniff;
    uint8_t len;
    char bytes[24];
};

static const struct signature signatures[] = {
    {CV_SNIFF_RTMP, 1, "\x03"},
    {CV_SNIFF_RTMPE, 1, "\x06"},
    {CV_SNIFF_RTMPE, 1, "\x08"},
    {CV_SNIFF_RTMPE, 1, "\x09"},
    {CV_SNIFF_TLS, 2, "\x16\x03"},
    {CV_SNIFF_HTTP2, 4, "PRI "},
    {CV_SNIFF_PROXY_V1, 6, "PROXY "},
    {CV_SNIFF_PROXY_V2, 5, "\r\n\r\n"},
    {CV_SNIFF_POLICY, 23, "<policy-file-request/>"}, // the NUL counts
};

_Static_assert(CV_SNIFF_BYTES_MAX == 2 + CV_LIMIT_METHOD_BYTES + 1, "CRLF, method, space");

// UNKNOWN when the bytes have left the signature.
static enum cv_sniff match(const struct signature *signature, const uint8_t *data, size_t len)
{
    size_t common = len < signature->len ? len : signature->len;
    if (memcmp(signature->bytes, data, common) != 0)
        return CV_SNIFF_UNKNOWN;
    return common == signature->len ? signature->sniff : CV_SNIFF_MORE;
}

// Methods are tokens of any kind (RFC 9110, 9.1); all that are in use are written like this.
static bool is_method_byte(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '_';
}

static enum cv_sniff match_method(const uint8_t *data, size_t len)
{
    size_t n = 0;
    while (n < len && n < CV_LIMIT_METHOD_BYTES && is_method_byte(data[n]))
        n++;
    bool letter_first = n == 0 || (data[0] >= 'A' && data[0] <= 'Z');
    if (!letter_first)
        return CV_SNIFF_UNKNOWN;
    if (n == len)
        return CV_SNIFF_MORE;
    return n > 0 && data[n] == ' ' ? CV_SNIFF_HTTP : CV_SNIFF_UNKNOWN;
}

static enum cv_sniff match_request(const uint8_t *data, size_t len)
{
    enum { CRLF_BYTES = 2 };
    if (data[0] != '\r')
        return match_method(data, len);
    if (len == 1)
        return CV_SNIFF_MORE;
    return data[1] == '\n' ? match_method(data + CRLF_BYTES, len - CRLF_BYTES) : CV_SNIFF_UNKNOWN;
}

enum cv_sniff cv_sniff(const void *data, size_t len)
{
    if (len == 0)
        return CV_SNIFF_MORE;
    bool open = false;
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        enum cv_sniff found = match(&signatures[i], data, len);
        if (found == CV_SNIFF_MORE)
            open = true;
        else if (found != CV_SNIFF_UNKNOWN)
            return found;
    }
    enum cv_sniff request = match_request(data, len);
    return request == CV_SNIFF_UNKNOWN && open ? CV_SNIFF_MORE : request;
}

const char *cv_sniff_name(enum cv_sniff sniff)
{
    static const char *const names[] = {
        [CV_SNIFF_MORE] = "nothing yet",
        [CV_SNIFF_RTMP] = "RTMP",
        [CV_SNIFF_RTMPE] = "RTMPE",
        [CV_SNIFF_TLS] = "TLS",
        [CV_SNIFF_HTTP] = "HTTP",
        [CV_SNIFF_HTTP2] = "HTTP/2",
        [CV_SNIFF_PROXY_V1] = "PROXY v1",
        [CV_SNIFF_PROXY_V2] = "PROXY v2",
        [CV_SNIFF_POLICY] = "Flash policy request",
        [CV_SNIFF_UNKNOWN] = "unknown",
    };
    CV_ASSERT(sniff <= CV_SNIFF_UNKNOWN);
    return names[sniff];
}
