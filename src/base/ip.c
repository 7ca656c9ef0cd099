#include "base/ip.h"

#include "base/err.h"

#include <string.h>

enum { GROUPS = 8, GROUP_DIGITS = 4 };

struct cv_ip cv_ip_v4(const uint8_t bytes[4])
{
    struct cv_ip ip = {.family = 4};
    memcpy(ip.bytes, bytes, 4);
    return ip;
}

struct cv_ip cv_ip_v6(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(bytes, mapped, sizeof mapped) == 0)
        return cv_ip_v4(bytes + sizeof mapped);
    struct cv_ip ip = {.family = 6};
    memcpy(ip.bytes, bytes, sizeof ip.bytes);
    return ip;
}

bool cv_ip_equal(const struct cv_ip *a, const struct cv_ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool parse_v4(struct cv_text text, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        uint64_t value;
        struct cv_text number = i < 3 ? cv_text_take(&text, '.') : text;
        if (cv_text_u64(number, 0, 255, &value) != CV_OK || (number.len > 1 && number.at[0] == '0'))
            return false;
        out[i] = (uint8_t)value;
    }
    return true;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *found = c ? strchr(digits, lower) : NULL;
    return found ? (int)(found - digits) : -1;
}

static bool parse_group(struct cv_text text, uint8_t out[2])
{
    unsigned value = 0;
    if (text.len == 0 || text.len > GROUP_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.at[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return true;
}

// Groups separated by single colons, the last two of them perhaps as IPv4. Returns how many bytes
// they are, at most `max`; 0 for none; -1 for anything else.
static int parse_groups(struct cv_text text, uint8_t *out, int max)
{
    int len = 0;
    bool more = text.len > 0;
    while (more) {
        size_t end = cv_text_find(text, ':');
        more = end < text.len;
        bool v4 = !more && cv_text_find(text, '.') < text.len;
        int need = v4 ? 4 : 2;
        struct cv_text group = cv_text_take(&text, ':');
        if (len + need > max)
            return -1;
        if (!(v4 ? parse_v4 : parse_group)(group, out + len))
            return -1;
        len += need;
    }
    return len;
}

static size_t find_double_colon(struct cv_text text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == ':' && text.at[i + 1] == ':')
            return i;
    return text.len;
}

static bool parse_v6(struct cv_text text, uint8_t out[16])
{
    enum { BYTES = 2 * GROUPS };
    size_t gap = find_double_colon(text);
    uint8_t tail[BYTES] = {0};
    memset(out, 0, BYTES);
    if (gap == text.len)
        return parse_groups(text, out, BYTES) == BYTES;
    // An IPv4 part can only be the last one; "::" stands for at least one group.
    struct cv_text front = {text.at, gap};
    int front_len = cv_text_find(front, '.') < front.len ? -1 : parse_groups(front, out, BYTES - 2);
    if (front_len < 0)
        return false;
    int tail_len = parse_groups(cv_text_skip(text, gap + 2), tail, BYTES - 2 - front_len);
    if (tail_len < 0)
        return false;
    memcpy(out + BYTES - tail_len, tail, (size_t)tail_len);
    return true;
}

int cv_ip_parse(struct cv_text text, struct cv_ip *out)
{
    uint8_t bytes[16];
    bool v6 = cv_text_find(text, ':') < text.len;
    if (!(v6 ? parse_v6 : parse_v4)(text, bytes))
        return CV_E_SYNTAX;
    *out = v6 ? cv_ip_v6(bytes) : cv_ip_v4(bytes);
    return CV_OK;
}
