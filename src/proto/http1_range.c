#include "proto/http1_range.h"

#include "proto/http1_fields.h"

#include <string.h>

// "first-", "first-last" or "-last", which is a suffix.
struct spec {
    bool has_first;
    bool has_last;
    uint64_t first;
    uint64_t last;
};

// A number that is too large for us is larger than every file.
static bool read_number(struct cv_text digits, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(digits.at[i] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *out = value;
    return true;
}

static bool read_spec(struct cv_text text, struct spec *out)
{
    size_t dash = cv_text_find(text, '-');
    if (dash == text.len)
        return false;
    struct cv_text first = cv_text_take(&text, '-');
    struct spec spec = {.has_first = first.len > 0, .has_last = text.len > 0};
    if (!read_number(first, &spec.first) || !read_number(text, &spec.last))
        return false;
    bool backwards = spec.has_first && spec.has_last && spec.last < spec.first;
    *out = spec;
    return (spec.has_first || spec.has_last) && !backwards;
}

static struct cv_http1_range part_of(const struct spec *spec, uint64_t size)
{
    struct cv_http1_range range = {.kind = CV_HTTP1_RANGE_PART};
    if (spec->has_first) {
        uint64_t last = spec->has_last && spec->last < size ? spec->last : size - 1;
        range.first = spec->first;
        range.len = spec->first < size ? last - spec->first + 1 : 0;
    } else {
        range.len = spec->last < size ? spec->last : size;
        range.first = size - range.len;
    }
    if (range.len == 0)
        return (struct cv_http1_range){.kind = CV_HTTP1_RANGE_OUTSIDE};
    return range;
}

struct cv_http1_range cv_http1_range_parse(struct cv_text value, uint64_t size)
{
    const struct cv_http1_range whole = {.kind = CV_HTTP1_RANGE_WHOLE, .len = size};
    struct cv_text unit = cv_text_take(&value, '=');
    struct cv_text element;
    struct cv_text second;
    struct spec spec;
    if (!cv_text_is_nocase(unit, "bytes") || !cv_http1_token_take(&value, &element) ||
        cv_http1_token_take(&value, &second) || !read_spec(element, &spec))
        return whole;
    // The last bytes of nothing: satisfiable by the letter, but Content-Range cannot say it.
    if (size == 0 && !spec.has_first && spec.last > 0)
        return whole;
    return part_of(&spec, size);
}
