// The resource path and the query: what each client sends, what an attacker sends, the limits.
#include "harness.h"

#include "base/err.h"
#include "base/path.h"

#include <stdio.h>

struct join_row {
    const char *app;
    const char *name;
    const char *path; // NULL: CV_E_SYNTAX
};

// Joins from slices that end at unreadable pages.
static int join_guarded(struct cv_path *out, struct cv_text app, struct cv_text name)
{
    struct guard app_copy = guard_copy(app.at, app.len);
    struct guard name_copy = guard_copy(name.at, name.len);
    int result = cv_path_join(out, (struct cv_text){(const char *)app_copy.data, app.len},
                              (struct cv_text){(const char *)name_copy.data, name.len});
    guard_free(&app_copy);
    guard_free(&name_copy);
    return result;
}

static void check_rows(const struct join_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cv_path path = {.text = "before", .len = 6};
        int result = join_guarded(&path, cv_text_of(rows[i].app), cv_text_of(rows[i].name));
        const char *expected = rows[i].path ? rows[i].path : "before";
        if (strcmp(path.text, expected) != 0)
            fail_msg("\"%s\" + \"%s\" gave \"%s\"", rows[i].app, rows[i].name, path.text);
        assert_int_equal(result, rows[i].path ? CV_OK : CV_E_SYNTAX);
        assert_int_equal(path.len, strlen(expected));
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

// One URL, cut by FFmpeg, rtmpdump, GStreamer and OBS (with the last element in the key box).
static void every_client_gets_the_same_path_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *tc_url, *app, *name, *path, *key;
    } rows[] = {
        // rtmp://h/live/x/y?key=K
        {"rtmp://h/live/x", "live/x", "y?key=K", "live/x/y", "K"},    // FFmpeg, GStreamer
        {"rtmp://h/live/x/y", "live/x/y", "?key=K", "live/x/y", "K"}, // rtmpdump's three parts
        {"rtmp://h/live", "live", "x/y?key=K", "live/x/y", "K"},      // first element only
        {"rtmp://h/live/x", "live/x", "y?key=K", "live/x/y", "K"},    // OBS, key box
        {"rtmp://h/live/x/y?key=K", "live/x/y?key=K", "", "live/x/y", "K"}, // OBS, all as server
        {"rtmp://h/live/x?key=K", "live/x?key=K", "y", "live/x/y", "K"},    // OBS, key with server
        {"rtmp://h/live/x?key=K", "live/x", "y", "live/x/y", "K"},          // only in the tcUrl
        // rtmp://h/a/b/c/d?x=1
        {"rtmp://h/a/b", "a/b", "c/d?key=1", "a/b/c/d", "1"},      // FFmpeg
        {"rtmp://h/a/b/c", "a/b/c", "d?key=1", "a/b/c/d", "1"},    // rtmpdump, GStreamer
        {"rtmp://h/a/b/c/", "a/b/c/", "/d?key=1", "a/b/c/d", "1"}, // careless slashes
        // rtmp://h/app?t=1/key: FFmpeg
        {"rtmp://h/app?key=1", "app?key=1", "key", "app/key", "1"},
        // rtmp://h/a/b?slist=x: FFmpeg takes the whole path as app, the list's value as name
        {"rtmp://h/a/b?slist=x&key=K", "a/b?slist=x&key=K", "x", "a/b/x", "K"},
        // rtmp://h/ondemand/a/b: FFmpeg splits behind "ondemand"
        {"rtmp://h/ondemand", "ondemand", "a/b?key=K", "ondemand/a/b", "K"},
        {"rtmp://h/ondemand/a", "ondemand/a", "b?key=K", "ondemand/a/b", "K"},
        // rtmp://h/a/b/c/d.mp4: FFmpeg and rtmpdump put the type in front of the name
        {"rtmp://h/a/b", "a/b", "mp4:c/d.mp4?key=K", "a/b/c/d.mp4", "K"},
        {"rtmp://h/a/b/c", "a/b/c", "mp4:d.mp4?key=K", "a/b/c/d.mp4", "K"},
        {"rtmp://h/a/b/c", "a/b/c", "d.mp4?key=K", "a/b/c/d.mp4", "K"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_path path;
        struct cv_query_places places = {cv_text_of(rows[i].tc_url), cv_text_of(rows[i].app),
                                         cv_text_of(rows[i].name)};
        assert_int_equal(join_guarded(&path, places.app, places.name), CV_OK);
        assert_string_equal(path.text, rows[i].path);
        char key[16];
        assert_int_equal(cv_query_find(&places, "key", key, sizeof key), strlen(rows[i].key));
        assert_string_equal(key, rows[i].key);
    }
}

static void joins_to_normal_form(void **state)
{
    (void)state;
    static const struct join_row rows[] = {
        {"live", "a", "live/a"},
        {"live", "", "live"}, // rtmp://h/app: FFmpeg publishes the empty name
        {"", "a", "a"},
        {"//live///x//", "//y//", "live/x/y"},
        {"live", "%41%2fb", "live/A/b"},
        {"live", "a%3fb", "live/a?b"}, // the query is cut before decoding
        {"live", "a%23b", "live/a#b"},
        {"live", "a b", "live/a b"},
        {"live", "100%", "live/100%"},
        {"li%", "41", "li%/41"}, // nothing is decoded across the join
        {"live", "f\xc3\xbcr", "live/f\xc3\xbcr"},
        {"live", "...", "live/..."},
        {"live", "..a", "live/..a"},
        {"live", "a..", "live/a.."},
        {"live", ".hidden", "live/.hidden"},
        {"?t=1", "?x", NULL},
        {"", "", NULL},
        {"/", "//", NULL},
    };
    CHECK_ROWS(rows);
}

static void flash_stream_types_are_cut(void **state)
{
    (void)state;
    static const struct join_row rows[] = {
        {"vod", "mp4:a", "vod/a"},
        {"vod", "flv:a", "vod/a"},
        {"vod", "mp3:a", "vod/a"},
        {"vod", "id3:a", "vod/a"},
        {"vod", "raw:a", "vod/a"},
        {"vod", "mp4:dir/a", "vod/dir/a"},
        {"vod/mp4:dir", "a", "vod/dir/a"}, // the same URL, as GStreamer cuts it
        {"vod", "mp4:/a", "vod/a"},
        {"vod", "mp4%3Aa", "vod/a"},
        {"vod", "mp4:flv:a", "vod/a"},
        {"vod", "mp4:", "vod"},
        {"vod", "mp5:a", "vod/mp5:a"},
        {"vod", "xmp4:a", "vod/xmp4:a"},
        {"vod", "MP4:a", "vod/MP4:a"},
        {"vod", "mp4", "vod/mp4"},
        {"mp4:", "flv:", NULL},
    };
    CHECK_ROWS(rows);
}

static void default_instance_is_dropped(void **state)
{
    (void)state;
    static const struct join_row rows[] = {
        {"live/_definst_", "a", "live/a"},
        {"live/_definst_/", "a", "live/a"},
        {"live", "_definst_/a", "live/a"},
        {"live/_definst_/a", "b", "live/a/b"}, // rtmpdump's cut of live/_definst_/a/b
        {"live/_definst_?t=1", "a", "live/a"},
        {"live/room", "a", "live/room/a"},
        {"live/_definst", "a", "live/_definst/a"},
        {"live/_definst_x", "a", "live/_definst_x/a"},
        {"_definst_", "a", "_definst_/a"}, // an application of that name
    };
    CHECK_ROWS(rows);
}

static void bug_17_path_refuses_traversal_in_every_encoding(void **state)
{
    (void)state;
    static const struct join_row rows[] = {
        {"live", "..", NULL},
        {"live", ".", NULL},
        {"..", "a", NULL},
        {"live/..", "a", NULL},
        {"live/.", "a", NULL},
        {"live", "../a", NULL},
        {"live", "a/../b", NULL},
        {"live", "a/..", NULL},
        {"live", "a/./b", NULL},
        {"live", "/../../etc/passwd", NULL},
        {"live", "%2e%2e", NULL},
        {"live", "%2E%2e/a", NULL},
        {"live", ".%2e", NULL},
        {"live", "%2e", NULL},
        {"live", "a%2f..%2fb", NULL},
        {"live", "..%2Fb", NULL},
        {"live", "%2e%2e%2f%2e%2e%2fb", NULL},
        {"live", "mp4:..", NULL},
        {"live", "mp4:../a", NULL},
        {"live", "mp4:flv:../a", NULL},
        {"live", "mp4%3a%2e%2e/a", NULL},
        {"live/mp4:..", "a", NULL},
        {"live", "..\\a", NULL},
        {"live", "..%5ca", NULL},
        {"live", "a\\b", NULL},
        {"live", "..?x=1", NULL},
        {"..?x=1", "a", NULL},
        {"_definst_/..", "a", NULL},
        {"", "..", NULL},
        // decoded once: a name with percent signs in it, which no file system takes for a parent
        {"live", "%252e%252e", "live/%2e%2e"},
        {"live", "%252e%252e%252fa", "live/%2e%2e%2fa"},
        {"live", "..%252fa", "live/..%2fa"},
        {"live", "%%32e%%32e", "live/%2e%2e"},
        // absolute paths are relative to the app
        {"live", "/etc/passwd", "live/etc/passwd"},
        {"live", "%2fetc%2fpasswd", "live/etc/passwd"},
        {"live", "//host/share", "live/host/share"},
        // overlong UTF-8 forms of '.' and '/' stay the bytes that they are
        {"live", "%c0%ae%c0%ae", "live/\xc0\xae\xc0\xae"},
        {"live", "..%c0%af", "live/..\xc0\xaf"},
    };
    CHECK_ROWS(rows);
}

static void bug_17_path_refuses_control_characters(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool allowed = c >= 0x20 && c != 0x7f && c != '\\';
        char raw[] = {'a', (char)c, 'b'};
        char encoded[8];
        snprintf(encoded, sizeof encoded, "a%%%02xb", c);
        struct cv_path path;
        int result = join_guarded(&path, cv_text_of("live"), (struct cv_text){raw, sizeof raw});
        assert_int_equal(result, allowed ? CV_OK : CV_E_SYNTAX);
        result = join_guarded(&path, cv_text_of(encoded), cv_text_of("x"));
        assert_int_equal(result, allowed ? CV_OK : CV_E_SYNTAX);
    }
}

// "live/" and a name of such a length; the name is made of `unit`, which decodes to one byte.
static int join_of_length(struct cv_path *out, size_t name_len, const char *unit)
{
    char name[4 * CV_LIMIT_NAME_BYTES] = "";
    size_t unit_len = strlen(unit);
    for (size_t i = 0; i < name_len; i++)
        memcpy(name + i * unit_len, unit, unit_len);
    return join_guarded(out, cv_text_of("live"), (struct cv_text){name, name_len * unit_len});
}

static void bug_25_path_ends_exactly_at_its_limit(void **state)
{
    (void)state;
    const size_t fits = CV_LIMIT_PATH_BYTES - strlen("live/");
    struct cv_path path = {.len = 99};
    assert_int_equal(join_of_length(&path, fits + 1, "a"), CV_E_TOO_LONG);
    assert_int_equal(path.len, 99);
    assert_int_equal(join_of_length(&path, fits, "a"), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_PATH_BYTES);
    assert_int_equal(strlen(path.text), CV_LIMIT_PATH_BYTES);
    assert_int_equal(join_of_length(&path, fits - 1, "a"), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_PATH_BYTES - 1);
    // encoded, a name reaches its own limit first: what counts for the path is the decoded length
    assert_int_equal(join_of_length(&path, CV_LIMIT_NAME_BYTES / 3, "%61"), CV_OK);
    assert_int_equal(path.len, strlen("live/") + CV_LIMIT_NAME_BYTES / 3);

    // the slash alone must not pass the limit either
    char app[CV_LIMIT_PATH_BYTES];
    memset(app, 'a', sizeof app);
    struct cv_text full = {app, sizeof app};
    assert_int_equal(join_guarded(&path, full, cv_text_of("")), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_PATH_BYTES);
    assert_int_equal(join_guarded(&path, full, cv_text_of("b")), CV_E_TOO_LONG);
    full.len--;
    assert_int_equal(join_guarded(&path, full, cv_text_of("b")), CV_E_TOO_LONG);
    full.len--;
    assert_int_equal(join_guarded(&path, full, cv_text_of("b")), CV_OK);
    assert_int_equal(path.len, CV_LIMIT_PATH_BYTES);
}

static void bug_25_app_and_name_end_exactly_at_their_limits(void **state)
{
    (void)state;
    char longest[CV_LIMIT_APP_BYTES + CV_LIMIT_NAME_BYTES];
    memset(longest, '/', sizeof longest);
    longest[0] = 'a';
    struct cv_path path;
    struct cv_text one = cv_text_of("b");
    assert_int_equal(join_guarded(&path, (struct cv_text){longest, CV_LIMIT_APP_BYTES}, one),
                     CV_OK);
    assert_string_equal(path.text, "a/b");
    assert_int_equal(join_guarded(&path, (struct cv_text){longest, CV_LIMIT_APP_BYTES + 1}, one),
                     CV_E_TOO_LONG);
    assert_int_equal(join_guarded(&path, one, (struct cv_text){longest, CV_LIMIT_NAME_BYTES}),
                     CV_OK);
    assert_string_equal(path.text, "b/a");
    assert_int_equal(join_guarded(&path, one, (struct cv_text){longest, CV_LIMIT_NAME_BYTES + 1}),
                     CV_E_TOO_LONG);
    assert_int_equal(join_guarded(&path, (struct cv_text){longest, CV_LIMIT_APP_BYTES},
                                  (struct cv_text){longest, CV_LIMIT_NAME_BYTES}),
                     CV_OK);
    assert_string_equal(path.text, "a/a");
}

static void every_prefix_joins_or_fails_cleanly(void **state)
{
    (void)state;
    const struct cv_text name = cv_text_of("mp4:%2e%2e/_definst_/b%2fc?key=%4b");
    for (size_t len = 0; len <= name.len; len++) {
        struct cv_path path = {.len = 0};
        int result = join_guarded(&path, cv_text_of("live"), (struct cv_text){name.at, len});
        // from "mp4:%2e%2e" on there is a parent folder in it; "%2" and "%2e%2" are names
        bool refused = len >= 10 || len == 7;
        assert_int_equal(result, refused ? CV_E_SYNTAX : CV_OK);
        assert_int_equal(path.len == 0, refused);
    }
}

// ---- queries --------------------------------------------------------------------------------

static void query_begins_at_the_first_question_mark(void **state)
{
    (void)state;
    assert_true(cv_text_is(cv_query_of(cv_text_of("a?b?c")), "b?c"));
    assert_true(cv_text_is(cv_query_of(cv_text_of("a?")), ""));
    assert_true(cv_text_is(cv_query_of(cv_text_of("a")), ""));
    assert_true(cv_text_is(cv_query_of((struct cv_text){NULL, 0}), ""));
}

static void query_finds_the_last_of_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        const char *value; // NULL: not found
    } rows[] = {
        {"key=K", "K"},
        {"a=1&key=K&b=2", "K"},
        {"key=1&key=2", "2"},
        {"key=1&key=", ""},
        {"key=1&key", ""},
        {"key", ""},
        {"key=", ""},
        {"&&key=K&&", "K"},
        {"key=a=b", "a=b"},
        {"key=a?b", "a?b"},
        {"key=a/b+c%2Bd%26e", "a/b+c+d&e"},
        {"key=%254b", "%4b"},
        {"k%65y=K", "K"},
        {"key=100%", "100%"},
        {"", NULL},
        {"=K", NULL},
        {"&", NULL},
        {"Key=K", NULL},
        {"keyy=K", NULL},
        {"ke=K", NULL},
        {"akey=K", NULL},
        {"key%3dK", NULL},
        {"a=key", NULL},
        {"a=1%26key=K", NULL},
        {"key%00=K", NULL},
        {"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk=K", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct guard query = guard_copy(rows[i].query, strlen(rows[i].query));
        char out[32] = "before";
        int result = cv_query_get((struct cv_text){(const char *)query.data, query.len}, "key", out,
                                  sizeof out);
        const char *expected = rows[i].value ? rows[i].value : "before";
        if (strcmp(out, expected) != 0)
            fail_msg("\"%s\" gave \"%s\"", rows[i].query, out);
        assert_int_equal(result, rows[i].value ? (int)strlen(expected) : CV_E_NOT_FOUND);
        guard_free(&query);
    }
}

static void query_of_the_later_place_wins(void **state)
{
    (void)state;
    struct cv_query_places places = {cv_text_of("rtmp://h/a?key=1&u=U"), cv_text_of("a?key=2&v=V"),
                                     cv_text_of("n?key=3&w=W")};
    char out[8];
    assert_int_equal(cv_query_find(&places, "key", out, sizeof out), 1);
    assert_string_equal(out, "3");
    assert_int_equal(cv_query_find(&places, "u", out, sizeof out), 1);
    assert_string_equal(out, "U");
    assert_int_equal(cv_query_find(&places, "v", out, sizeof out), 1);
    assert_string_equal(out, "V");
    assert_int_equal(cv_query_find(&places, "w", out, sizeof out), 1);
    assert_string_equal(out, "W");
    assert_int_equal(cv_query_find(&places, "x", out, sizeof out), CV_E_NOT_FOUND);
    places.name = cv_text_of("n");
    assert_int_equal(cv_query_find(&places, "key", out, sizeof out), 1);
    assert_string_equal(out, "2");
    // what is there but unusable is not replaced by an earlier one
    places.name = cv_text_of("n?key=");
    assert_int_equal(cv_query_find(&places, "key", out, sizeof out), 0);
    places.name = cv_text_of("n?key=123456789");
    assert_int_equal(cv_query_find(&places, "key", out, sizeof out), CV_E_TOO_LONG);
    places = (struct cv_query_places){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    assert_int_equal(cv_query_find(&places, "key", out, sizeof out), CV_E_NOT_FOUND);
}

static void bug_25_query_value_ends_exactly_at_its_limit(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 6; size++) {
        char before[] = "xxxxxx";
        struct guard out = guard_copy(before, size);
        int result = cv_query_get(cv_text_of("key=%61bcd"), "key", (char *)out.data, size);
        assert_int_equal(result, size >= 5 ? 4 : CV_E_TOO_LONG);
        if (result == 4)
            assert_string_equal(out.data, "abcd");
        else
            assert_memory_equal(out.data, before, size);
        guard_free(&out);
    }
    static char query[5 + CV_LIMIT_URL_BYTES] = "key=";
    static char out[CV_LIMIT_URL_BYTES + 8];
    memset(query + 4, 'a', CV_LIMIT_URL_BYTES + 1);
    struct cv_text text = {query, 4 + CV_LIMIT_URL_BYTES};
    assert_int_equal(cv_query_get(text, "key", out, sizeof out), CV_LIMIT_URL_BYTES);
    text.len++;
    assert_int_equal(cv_query_get(text, "key", out, sizeof out), CV_E_TOO_LONG);
}

// A key that is compared as a C string must not end early.
static void query_value_with_nul_is_refused(void **state)
{
    (void)state;
    char out[8] = "before";
    assert_int_equal(cv_query_get(cv_text_of("key=a%00b"), "key", out, sizeof out), CV_E_SYNTAX);
    assert_int_equal(cv_query_get((struct cv_text){"key=a\0", 6}, "key", out, sizeof out),
                     CV_E_SYNTAX);
    assert_string_equal(out, "before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client_gets_the_same_path_and_key),
        cmocka_unit_test(joins_to_normal_form),
        cmocka_unit_test(flash_stream_types_are_cut),
        cmocka_unit_test(default_instance_is_dropped),
        cmocka_unit_test(bug_17_path_refuses_traversal_in_every_encoding),
        cmocka_unit_test(bug_17_path_refuses_control_characters),
        cmocka_unit_test(bug_25_path_ends_exactly_at_its_limit),
        cmocka_unit_test(bug_25_app_and_name_end_exactly_at_their_limits),
        cmocka_unit_test(every_prefix_joins_or_fails_cleanly),
        cmocka_unit_test(query_begins_at_the_first_question_mark),
        cmocka_unit_test(query_finds_the_last_of_a_name),
        cmocka_unit_test(query_of_the_later_place_wins),
        cmocka_unit_test(bug_25_query_value_ends_exactly_at_its_limit),
        cmocka_unit_test(query_value_with_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
