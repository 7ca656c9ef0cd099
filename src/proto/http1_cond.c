#include "proto/http1_cond.h"

#include "base/err.h"
#include "proto/http1_date.h"

// ---- entity tags ----------------------------------------------------------------------------

struct tag {
    bool weak;
    struct cv_text text; // in its quotes
};

// Takes the next tag off a list. False at the end, and where the list is malformed. Commas may
// stand in a tag, so that a list of tags is not a list of tokens.
static bool tag_take(struct cv_text *list, struct tag *out)
{
    while (list->len && (list->at[0] == ',' || list->at[0] == ' ' || list->at[0] == '\t'))
        *list = cv_text_skip(*list, 1);
    bool weak = cv_text_starts(*list, "W/");
    struct cv_text at = cv_text_skip(*list, weak ? 2 : 0);
    if (at.len == 0 || at.at[0] != '"')
        return false;
    size_t inside = cv_text_find(cv_text_skip(at, 1), '"');
    if (inside + 2 > at.len)
        return false;
    *out = (struct tag){.weak = weak, .text = {at.at, inside + 2}};
    *list = cv_text_skip(at, inside + 2);
    return true;
}

static bool list_has(struct cv_text list, struct cv_text etag, bool weak_too)
{
    struct tag tag;
    if (cv_text_is(list, "*"))
        return true;
    while (tag_take(&list, &tag)) {
        if (cv_text_equal(tag.text, etag) && (weak_too || !tag.weak))
            return true;
    }
    return false;
}

// Over all fields of this name, which are one list.
static bool matches(struct cv_http1_fields fields, const char *name, struct cv_text etag,
                    bool weak_too)
{
    for (size_t i = 0; i < fields.count; i++) {
        if (cv_http1_name_is(fields.at[i].name, name) &&
            list_has(fields.at[i].value, etag, weak_too))
            return true;
    }
    return false;
}

// ---- conditions -----------------------------------------------------------------------------

// The date of the only field of this name.
static bool date_of(struct cv_http1_fields fields, const char *name, int64_t now_s, int64_t *out_s)
{
    return cv_http1_count(fields, name) == 1 &&
           cv_http1_date_parse(cv_http1_find(fields, name), now_s, out_s) == CV_OK;
}

static bool has(struct cv_http1_fields fields, const char *name)
{
    return cv_http1_count(fields, name) > 0;
}

enum cv_http1_cond cv_http1_cond_check(struct cv_http1_fields fields,
                                       const struct cv_http1_version *version)
{
    int64_t date_s;
    if (has(fields, "if-match")) {
        if (!matches(fields, "if-match", version->etag, false))
            return CV_HTTP1_COND_FAILED;
    } else if (date_of(fields, "if-unmodified-since", version->now_s, &date_s)) {
        if (version->modified_s > date_s)
            return CV_HTTP1_COND_FAILED;
    }
    if (has(fields, "if-none-match")) {
        if (matches(fields, "if-none-match", version->etag, true))
            return CV_HTTP1_COND_NOT_MODIFIED;
    } else if (date_of(fields, "if-modified-since", version->now_s, &date_s)) {
        if (version->modified_s <= date_s)
            return CV_HTTP1_COND_NOT_MODIFIED;
    }
    return CV_HTTP1_COND_SEND;
}

bool cv_http1_cond_if_range(struct cv_http1_fields fields, const struct cv_http1_version *version)
{
    int64_t date_s;
    if (!has(fields, "if-range"))
        return true;
    if (cv_text_equal(cv_http1_find(fields, "if-range"), version->etag))
        return cv_http1_count(fields, "if-range") == 1;
    return date_of(fields, "if-range", version->now_s, &date_s) && date_s == version->modified_s;
}
