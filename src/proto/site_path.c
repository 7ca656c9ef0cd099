#include "proto/site_path.h"

#include "base/err.h"

#include <string.h>

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escapes_are_whole(struct cv_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%' &&
            !(text.len - i > 2 && is_hex(text.at[i + 1]) && is_hex(text.at[i + 2])))
            return false;
    }
    return true;
}

static bool is_allowed(struct cv_text name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = (uint8_t)name.at[i];
        if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\')
            return false;
    }
    return !cv_text_is(name, ".") && !cv_text_is(name, "..");
}

static int add_name(struct cv_site_path *path, struct cv_text encoded)
{
    char decoded[CV_LIMIT_SITE_NAME_BYTES];
    size_t len = cv_text_percent_decode(decoded, sizeof decoded, encoded);
    struct cv_text name = {decoded, len};
    if (len == 0 || len > sizeof decoded)
        return CV_E_NOT_FOUND;
    if (!is_allowed(name))
        return CV_E_SYNTAX;
    bool shown = name.at[0] != '.' || (path->len == 0 && cv_text_is(name, ".well-known"));
    size_t slash = path->len > 0;
    if (!shown || slash + len > CV_LIMIT_SITE_PATH_BYTES - path->len)
        return CV_E_NOT_FOUND;
    if (slash)
        path->text[path->len++] = '/';
    memcpy(path->text + path->len, decoded, len);
    path->len += len;
    return CV_OK;
}

int cv_site_path_parse(struct cv_site_path *out, struct cv_text path)
{
    struct cv_site_path made = {.folder = path.len && path.at[path.len - 1] == '/'};
    if (!cv_text_starts(path, "/") || !escapes_are_whole(path))
        return CV_E_SYNTAX;
    path = cv_text_skip(path, 1);
    while (path.len) {
        int err = add_name(&made, cv_text_take(&path, '/'));
        if (err != CV_OK)
            return err;
    }
    made.text[made.len] = '\0';
    *out = made;
    return CV_OK;
}
