// From a request's path to a file below a folder: what is served, what is refused, and with which
// answer; and what a file is by its name.
#include "harness.h"

#include "base/err.h"
#include "proto/content_type.h"
#include "proto/site_path.h"

static int parse(const char *path, struct cv_site_path *out)
{
    struct guard guard = guard_copy(path, strlen(path));
    int err = cv_site_path_parse(out, (struct cv_text){(const char *)guard.data, guard.len});
    guard_free(&guard);
    return err;
}

static void good_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *file;
        bool folder;
    } rows[] = {
        {"/", "", true},
        {"/index.html", "index.html", false},
        {"/a/b/c.js", "a/b/c.js", false},
        {"/a/", "a", true},
        {"/a/b/", "a/b", true},
        {"/%61%2Ehtml", "a.html", false},
        {"/a%20b", "a b", false},
        {"/a+b", "a+b", false},
        {"/a%2520b", "a%20b", false}, // once
        {"/%252e%252e/x", "%2e%2e/x", false},
        {"/%25", "%", false},
        {"/a%3Fb%23c", "a?b#c", false},
        {"/\xc3\xa4.txt", "\xc3\xa4.txt", false},
        {"/%C3%A4.txt", "\xc3\xa4.txt", false},
        {"/%ff%c0%ae", "\xff\xc0\xae", false}, // no UTF-8, and no dot either
        {"/a..b", "a..b", false},
        {"/a.", "a.", false},
        {"/...a", NULL, false},
        {"/~a", "~a", false},
        {"/C:", "C:", false},
        {"/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false},
        {"/.well-known/", ".well-known", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_site_path path;
        int err = parse(rows[i].path, &path);
        if (!rows[i].file) {
            assert_int_equal(err, CV_E_NOT_FOUND);
            continue;
        }
        if (err != CV_OK)
            fail_msg("refused: %s", rows[i].path);
        assert_string_equal(path.text, rows[i].file);
        assert_int_equal(path.len, strlen(rows[i].file));
        assert_int_equal(path.folder, rows[i].folder);
    }
}

static void refuse(const char *path, int expected)
{
    struct cv_site_path out = {.len = 77};
    int err = parse(path, &out);
    if (err != expected)
        fail_msg("%s: %s, not %s", path, cv_err_name(err), cv_err_name(expected));
    assert_int_equal(out.len, 77);
}

static void bug_17_no_request_leads_out_of_the_folder(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/..",
        "/../",
        "/../etc/passwd",
        "/a/../../etc/passwd",
        "/a/..",
        "/a/../",
        "/./a",
        "/a/.",
        "/.",
        "/%2e%2e/etc/passwd",
        "/%2E%2E/etc/passwd",
        "/.%2e/etc/passwd",
        "/%2e./etc/passwd",
        "/%2e/a",
        "/..%2fetc/passwd",
        "/..%2Fetc%2Fpasswd",
        "/a%2fb",
        "/%2fetc/passwd",
        "/..%5cetc",
        "/..\\etc",
        "/\\etc\\passwd",
        "/\\\\host\\share",
        "/%5c%5chost",
        "/a\\",
        "/..%00/etc",
        "/%00",
        "/index.html%00.txt",
        "/%0a",
        "/a%0d%0aSet-Cookie:x",
        "/%7f",
        "/%1b[2J",
        "/%",
        "/%2",
        "/%2/",
        "/%zz",
        "/%2g",
        "/a%",
        "",
        "*",
        "etc/passwd",
        "../etc/passwd",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        refuse(paths[i], CV_E_SYNTAX);
}

static void bug_17_what_is_not_meant_for_the_public_is_not_there(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "//",
        "//etc/passwd",
        "//evil.example/",
        "/a//b",
        "/a//",
        "/.git/config",
        "/.htaccess",
        "/%2egit/config",
        "/a/.env",
        "/a/.well-known/b",
        "/.well-known/.secret",
        "/.well-knowns",
        "/..a",
        "/...",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        refuse(paths[i], CV_E_NOT_FOUND);
}

// `count` elements of `each` letters.
static const char *long_path(size_t count, size_t each)
{
    static char text[8192];
    size_t len = 0;
    assert_true(count * (each + 1) < sizeof text);
    for (size_t i = 0; i < count; i++) {
        text[len++] = '/';
        memset(text + len, 'a', each);
        len += each;
    }
    text[len] = '\0';
    return text;
}

static void bug_25_names_and_paths_end_exactly_at_their_limits(void **state)
{
    (void)state;
    struct cv_site_path path;
    assert_int_equal(parse(long_path(1, CV_LIMIT_SITE_NAME_BYTES), &path), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_SITE_NAME_BYTES);
    refuse(long_path(1, CV_LIMIT_SITE_NAME_BYTES + 1), CV_E_NOT_FOUND);
    // without its first slash a path of n elements has n * 128 - 1 bytes
    assert_int_equal(parse(long_path(8, 127), &path), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_SITE_PATH_BYTES - 1);
    refuse(long_path(9, 127), CV_E_NOT_FOUND);
    assert_int_equal(parse(long_path(5, 204), &path), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_SITE_PATH_BYTES);
    assert_int_equal(strlen(path.text), CV_LIMIT_SITE_PATH_BYTES);
    refuse(long_path(6, 170), CV_E_NOT_FOUND); // one more
    refuse(long_path(4000, 1), CV_E_NOT_FOUND);
}

static void types(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *type;
    } rows[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"a/b.HTM", "text/html; charset=utf-8"},
        {"a.min.js", "text/javascript; charset=utf-8"},
        {"m.mjs", "text/javascript; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.json", "application/json"},
        {"a.svg", "image/svg+xml; charset=utf-8"},
        {"a.wasm", "application/wasm"},
        {"a.m3u8", "application/vnd.apple.mpegurl"},
        {"a.ts", "video/mp2t"},
        {"a.mp4", "video/mp4"},
        {"a.woff2", "font/woff2"},
        {"README", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"a.", "application/octet-stream"},
        {"html", "application/octet-stream"},
        {"a.html/b", "application/octet-stream"},
        {".well-known/html", "application/octet-stream"},
        {"a.htmlx", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct guard guard = guard_copy(rows[i].path, strlen(rows[i].path));
        struct cv_text path = {(const char *)guard.data, guard.len};
        assert_string_equal(cv_content_type_of(path), rows[i].type);
        guard_free(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_paths),
        cmocka_unit_test(bug_17_no_request_leads_out_of_the_folder),
        cmocka_unit_test(bug_17_what_is_not_meant_for_the_public_is_not_there),
        cmocka_unit_test(bug_25_names_and_paths_end_exactly_at_their_limits),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
