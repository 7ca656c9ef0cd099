#include "base/text.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>

struct cv_text cv_text_of(const char *string)
{
    return (struct cv_text){.at = string, .len = strlen(string)};
}

bool cv_text_equal(struct cv_text a, struct cv_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool cv_text_is(struct cv_text text, const char *literal)
{
    return cv_text_equal(text, cv_text_of(literal));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool cv_text_equal_nocase(struct cv_text a, struct cv_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool cv_text_is_nocase(struct cv_text text, const char *literal)
{
    return cv_text_equal_nocase(text, cv_text_of(literal));
}

bool cv_text_starts(struct cv_text text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && cv_text_is((struct cv_text){text.at, len}, prefix);
}

size_t cv_text_find(struct cv_text text, char c)
{
    const char *found = text.len ? memchr(text.at, c, text.len) : NULL;
    return found ? (size_t)(found - text.at) : text.len;
}

struct cv_text cv_text_skip(struct cv_text text, size_t len)
{
    CV_ASSERT(len <= text.len);
    return (struct cv_text){.at = len ? text.at + len : text.at, .len = text.len - len};
}

struct cv_text cv_text_take(struct cv_text *rest, char c)
{
    size_t len = cv_text_find(*rest, c);
    struct cv_text taken = {rest->at, len};
    *rest = cv_text_skip(*rest, len < rest->len ? len + 1 : len);
    return taken;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct cv_text cv_text_take_word(struct cv_text *rest)
{
    while (rest->len && is_blank(rest->at[0]))
        *rest = cv_text_skip(*rest, 1);
    struct cv_text word = {rest->at, 0};
    while (word.len < rest->len && !is_blank(rest->at[word.len]))
        word.len++;
    *rest = cv_text_skip(*rest, word.len);
    return word;
}

struct cv_text cv_text_trim(struct cv_text text)
{
    while (text.len && is_blank(text.at[0]))
        text = cv_text_skip(text, 1);
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

int cv_text_u64(struct cv_text text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c < '0' || c > '9')
            return CV_E_SYNTAX;
        uint64_t digit = (uint64_t)(c - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return CV_E_SYNTAX;
        value = value * 10 + digit;
    }
    if (text.len == 0 || value < min || value > max)
        return CV_E_SYNTAX;
    *out = value;
    return CV_OK;
}

// How one byte looks in a log. Returns the length of `form`.
static size_t escape_byte(char form[4], char c)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t byte = (uint8_t)c;
    if (c == '"' || c == '\'' || c == '\\') {
        form[0] = '\\';
        form[1] = c;
        return 2;
    }
    if (byte >= 0x20 && byte <= 0x7e) {
        form[0] = c;
        return 1;
    }
    form[0] = '\\';
    form[1] = 'x';
    form[2] = hex[byte >> 4];
    form[3] = hex[byte & 15];
    return 4;
}

size_t cv_text_escape(char *out, size_t size, struct cv_text text)
{
    CV_ASSERT(size > 0);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char form[4];
        size_t form_len = escape_byte(form, text.at[i]);
        if (form_len > size - 1 - len)
            break;
        memcpy(out + len, form, form_len);
        len += form_len;
    }
    out[len] = '\0';
    return len;
}

int cv_text_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// The byte that the text begins with, decoded; steps over it. The text is not empty.
static char decode_byte(struct cv_text *rest)
{
    const char *at = rest->at;
    int high = at[0] == '%' && rest->len >= 3 ? cv_text_hex_value(at[1]) : -1;
    int low = high >= 0 ? cv_text_hex_value(at[2]) : -1;
    *rest = cv_text_skip(*rest, low >= 0 ? 3 : 1);
    return (char)(low >= 0 ? high << 4 | low : at[0]);
}

size_t cv_text_percent_decode(char *out, size_t size, struct cv_text text)
{
    size_t len = 0;
    for (; text.len; len++) {
        char c = decode_byte(&text);
        if (len < size)
            out[len] = c;
    }
    return len;
}

size_t cv_text_base64(char *out, size_t size, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *bytes = data;
    size_t whole = (len + 2) / 3 * 4;
    for (size_t i = 0; i < whole && i < size; i++) {
        size_t at = i / 4 * 3;
        size_t n = len - at < 3 ? len - at : 3;
        uint32_t bits = (uint32_t)bytes[at] << 16 | (n > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) |
                        (n > 2 ? bytes[at + 2] : 0);
        out[i] = i % 4 <= n ? digits[bits >> (18 - 6 * (i % 4)) & 0x3f] : '=';
    }
    return whole;
}
