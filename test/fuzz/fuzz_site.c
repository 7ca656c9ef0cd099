// What a site that is a folder reads of a request: the path, Range, dates and lists of tags. First
// byte: 0 a path, 1 a range, 2 a date, 3 conditions. Besides surviving, each answer must keep its
// promise: above all, no path leads out of the folder.
#include "base/check.h"
#include "base/err.h"
#include "proto/content_type.h"
#include "proto/http1_cond.h"
#include "proto/http1_date.h"
#include "proto/http1_range.h"
#include "proto/site_path.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_name(struct cv_text name, bool first)
{
    CV_ASSERT(name.len > 0 && name.len <= CV_LIMIT_SITE_NAME_BYTES);
    CV_ASSERT(name.at[0] != '.' || (first && cv_text_is(name, ".well-known")));
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = (uint8_t)name.at[i];
        CV_ASSERT(byte >= 0x20 && byte != 0x7f && byte != '\\');
    }
}

static void path(struct cv_text text)
{
    struct cv_site_path found = {.len = 77};
    if (cv_site_path_parse(&found, text) != CV_OK) {
        CV_ASSERT(found.len == 77);
        return;
    }
    CV_ASSERT(found.len <= CV_LIMIT_SITE_PATH_BYTES && strlen(found.text) == found.len);
    CV_ASSERT(found.len == 0 || found.text[found.len - 1] != '/');
    struct cv_text rest = {found.text, found.len};
    for (bool first = true; rest.len; first = false)
        check_name(cv_text_take(&rest, '/'), first);
    CV_ASSERT(cv_content_type_of((struct cv_text){found.text, found.len}));
}

static void range(struct cv_text text)
{
    static const uint64_t sizes[] = {0, 1, 10, 100000, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct cv_http1_range found = cv_http1_range_parse(text, sizes[i]);
        CV_ASSERT(found.kind != CV_HTTP1_RANGE_PART ||
                  (found.len > 0 && found.first < sizes[i] && found.len <= sizes[i] - found.first));
        CV_ASSERT(found.kind != CV_HTTP1_RANGE_WHOLE || (!found.first && found.len == sizes[i]));
        CV_ASSERT(found.kind != CV_HTTP1_RANGE_OUTSIDE || (!found.first && !found.len));
    }
}

static void date(struct cv_text text)
{
    int64_t seconds = 0;
    char written[CV_HTTP1_DATE_CHARS + 1];
    if (cv_http1_date_parse(text, 1750000000, &seconds) != CV_OK || seconds < 0)
        return;
    cv_http1_date_write(written, seconds);
    int64_t again = -1;
    int err = cv_http1_date_parse(cv_text_of(written), 0, &again);
    // a leap second at the end of 9999 is the only time that cannot be written
    CV_ASSERT(err == CV_OK && (again == seconds || seconds == INT64_C(253402300800)));
}

static void conditions(struct cv_text text)
{
    static const char *const names[] = {"if-match", "if-none-match", "if-modified-since",
                                        "if-unmodified-since", "if-range"};
    const struct cv_http1_version version = {
        .etag = cv_text_of("\"1-a\""), .modified_s = 784111777, .now_s = 1750000000};
    struct cv_http1_field fields[5];
    size_t count = 0;
    for (; text.len && count < 5; count++) {
        fields[count].name = cv_text_of(names[(uint8_t)text.at[0] % 5]);
        text = cv_text_skip(text, 1);
        fields[count].value = cv_text_take(&text, '\n');
    }
    struct cv_http1_fields all = {fields, count};
    CV_ASSERT(cv_http1_cond_check(all, &version) <= CV_HTTP1_COND_FAILED);
    cv_http1_cond_if_range(all, &version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct cv_text text = {(const char *)data + 1, len - 1};
    switch (data[0] % 4) {
    case 0:
        path(text);
        break;
    case 1:
        range(text);
        break;
    case 2:
        date(text);
        break;
    default:
        conditions(text);
        break;
    }
    return 0;
}
