#include "base/path.h"

#include "base/check.h"
#include "base/err.h"

#include <limits.h>
#include <string.h>

// ---- the path -------------------------------------------------------------------------------

static const char *const stream_types[] = {"flv:", "mp3:", "id3:", "mp4:", "raw:"};

enum { STREAM_TYPE_BYTES = 4 };

static bool has_stream_type(struct cv_text element)
{
    for (size_t i = 0; i < sizeof stream_types / sizeof stream_types[0]; i++) {
        if (cv_text_starts(element, stream_types[i]))
            return true;
    }
    return false;
}

static bool is_safe(struct cv_text element)
{
    if (cv_text_is(element, ".") || cv_text_is(element, ".."))
        return false;
    for (size_t i = 0; i < element.len; i++) {
        uint8_t byte = (uint8_t)element.at[i];
        if (byte < 0x20 || byte == 0x7f || byte == '\\')
            return false;
    }
    return true;
}

// Appends one decoded element. The clients cut at different slashes, so a stream type or an
// instance counts wherever it stands, not only where the name begins.
static int path_add(struct cv_path *path, struct cv_text element)
{
    while (has_stream_type(element))
        element = cv_text_skip(element, STREAM_TYPE_BYTES);
    if (element.len == 0 || (path->len && cv_text_is(element, "_definst_")))
        return CV_OK;
    if (!is_safe(element))
        return CV_E_SYNTAX;
    size_t slash = path->len ? 1 : 0;
    if (slash + element.len > CV_LIMIT_PATH_BYTES - path->len)
        return CV_E_TOO_LONG;
    if (slash)
        path->text[path->len++] = '/';
    memcpy(path->text + path->len, element.at, element.len);
    path->len += element.len;
    return CV_OK;
}

static size_t decode_without_query(char *out, size_t size, struct cv_text text)
{
    text.len = cv_text_find(text, '?');
    size_t len = cv_text_percent_decode(out, size, text);
    CV_ASSERT(len <= size);
    return len;
}

int cv_path_join(struct cv_path *out, struct cv_text app, struct cv_text name)
{
    if (app.len > CV_LIMIT_APP_BYTES || name.len > CV_LIMIT_NAME_BYTES)
        return CV_E_TOO_LONG;
    char joined[CV_LIMIT_APP_BYTES + 1 + CV_LIMIT_NAME_BYTES];
    size_t len = decode_without_query(joined, CV_LIMIT_APP_BYTES, app);
    joined[len++] = '/';
    len += decode_without_query(joined + len, CV_LIMIT_NAME_BYTES, name);

    struct cv_path path = {.len = 0};
    for (struct cv_text rest = {joined, len}; rest.len;) {
        int err = path_add(&path, cv_text_take(&rest, '/'));
        if (err != CV_OK)
            return err;
    }
    if (path.len == 0)
        return CV_E_SYNTAX;
    *out = path;
    return CV_OK;
}

// ---- the query ------------------------------------------------------------------------------

enum { KEY_BYTES_MAX = 64 }; // keys are our own words; a longer one in a query is never ours

struct cv_text cv_query_of(struct cv_text text)
{
    (void)cv_text_take(&text, '?');
    return text;
}

static bool key_is(struct cv_text encoded, const char *key)
{
    char decoded[KEY_BYTES_MAX];
    size_t len = cv_text_percent_decode(decoded, sizeof decoded, encoded);
    return len <= sizeof decoded && cv_text_is((struct cv_text){decoded, len}, key);
}

// The still encoded value of the last parameter of that name.
static bool query_last(struct cv_text query, const char *key, struct cv_text *out)
{
    bool found = false;
    while (query.len) {
        struct cv_text value = cv_text_take(&query, '&');
        if (key_is(cv_text_take(&value, '='), key)) {
            *out = value;
            found = true;
        }
    }
    return found;
}

int cv_query_get(struct cv_text query, const char *key, char *out, size_t size)
{
    CV_ASSERT(size > 0 && size <= INT_MAX);
    CV_ASSERT(strlen(key) <= KEY_BYTES_MAX);
    struct cv_text encoded;
    if (!query_last(query, key, &encoded))
        return CV_E_NOT_FOUND;
    char value[CV_LIMIT_URL_BYTES];
    size_t len = cv_text_percent_decode(value, sizeof value, encoded);
    if (len > sizeof value || len >= size)
        return CV_E_TOO_LONG;
    if (len && memchr(value, '\0', len))
        return CV_E_SYNTAX;
    memcpy(out, value, len);
    out[len] = '\0';
    return (int)len;
}

int cv_query_find(const struct cv_query_places *places, const char *key, char *out, size_t size)
{
    const struct cv_text order[] = {places->name, places->app, places->tc_url};
    int result = CV_E_NOT_FOUND;
    for (size_t i = 0; i < 3 && result == CV_E_NOT_FOUND; i++)
        result = cv_query_get(cv_query_of(order[i]), key, out, size);
    return result;
}
