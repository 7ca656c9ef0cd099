// Publish keys: which key opens what, and that the key itself is kept nowhere.
#include "harness.h"

#include "base/mem.h"
#include "server/keys.h"

#include <stdio.h>
#include <unistd.h>

static struct cv_key_row row_of(const char *app, const char *stream, const char *key)
{
    struct cv_key_row row = {.id = 1};
    snprintf(row.app, sizeof row.app, "%s", app);
    snprintf(row.stream, sizeof row.stream, "%s", stream);
    assert_int_equal(cv_key_hash(key, strlen(key), row.hash), CV_OK);
    return row;
}

static void a_key_opens_its_app_and_stream_only(void **state)
{
    (void)state;
    const struct cv_key_row rows[] = {
        row_of("live", "", "whole-app"), row_of("live", "gate7", "one-stream"),
        row_of("tv", "", "other-app"),
        row_of("tv", "news", "whole-app"), // the same key may open two things
    };
    static const struct {
        const char *app;
        const char *stream;
        const char *key;
        bool allowed;
    } asks[] = {
        {"live", "gate7", "whole-app", true},   {"live", "", "whole-app", true},
        {"live", "gate7", "one-stream", true},  {"live", "gate8", "one-stream", false},
        {"live", "", "one-stream", false},      {"live", "gate77", "one-stream", false},
        {"live", "gate7", "other-app", false},  {"tv", "x", "other-app", true},
        {"tv", "news", "whole-app", true},      {"tv", "sport", "whole-app", false},
        {"live", "gate7", "", false},           {"live", "gate7", "whole-ap", false},
        {"live", "gate7", "whole-appp", false}, {"live", "gate7", "WHOLE-APP", false},
        {"liv", "gate7", "whole-app", false},   {"", "", "whole-app", false},
    };
    struct cv_keys *keys = cv_keys_new(rows, sizeof rows / sizeof rows[0]);
    assert_int_equal(cv_keys_count(keys), 4);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct guard guard = guard_copy(asks[i].key, strlen(asks[i].key));
        bool allowed =
            cv_keys_allow(keys, asks[i].app, asks[i].stream, (const char *)guard.data, guard.len);
        if (allowed != asks[i].allowed)
            fail_msg("%s/%s with %s: %d", asks[i].app, asks[i].stream, asks[i].key, allowed);
        guard_free(&guard);
    }
    cv_keys_unref(&keys);
    assert_null(keys);
    cv_keys_unref(&keys);
}

static void without_keys_nothing_opens(void **state)
{
    (void)state;
    struct cv_keys *keys = cv_keys_new(NULL, 0);
    assert_false(cv_keys_allow(keys, "live", "a", "", 0));
    assert_false(cv_keys_allow(keys, "live", "a", "x", 1));
    cv_keys_unref(&keys);
}

static void long_keys_are_refused_unread(void **state)
{
    (void)state;
    char key[CV_LIMIT_KEY_BYTES + 2];
    memset(key, 'k', sizeof key);
    key[CV_LIMIT_KEY_BYTES] = '\0';
    struct cv_key_row row = row_of("live", "", key);
    struct cv_keys *keys = cv_keys_new(&row, 1);
    key[CV_LIMIT_KEY_BYTES] = 'k';
    assert_true(cv_keys_allow(keys, "live", "a", key, CV_LIMIT_KEY_BYTES));
    assert_false(cv_keys_allow(keys, "live", "a", key, CV_LIMIT_KEY_BYTES + 1));
    assert_false(cv_keys_allow(keys, "live", "a", NULL, SIZE_MAX));
    cv_keys_unref(&keys);
}

static void references_are_counted(void **state)
{
    (void)state;
    struct cv_key_row row = row_of("live", "", "k");
    struct cv_keys *keys = cv_keys_new(&row, 1);
    struct cv_keys *other = cv_keys_ref(keys);
    cv_keys_unref(&keys);
    assert_true(cv_keys_allow(other, "live", "a", "k", 1));
    cv_keys_unref(&other);
}

static void the_hash_is_sha256(void **state)
{
    (void)state;
    uint8_t hash[CV_KEY_HASH_BYTES];
    uint8_t want[CV_KEY_HASH_BYTES];
    hex_bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want,
              sizeof want);
    assert_int_equal(cv_key_hash("abc", 3, hash), CV_OK);
    assert_memory_equal(hash, want, sizeof want);
}

static void bug_13_keys_cannot_be_predicted(void **state)
{
    (void)state;
    enum { KEYS = 200 };
    static char keys[KEYS][CV_KEY_TEXT_BYTES + 1];
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(cv_key_make(keys[i]), CV_OK);
        assert_int_equal(strlen(keys[i]), CV_KEY_TEXT_BYTES);
        assert_int_equal(strspn(keys[i], "0123456789abcdef"), CV_KEY_TEXT_BYTES);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    }
    // No digit of them all stays the same or counts up: the chance of that is 16^-199 each.
    for (int digit = 0; digit < CV_KEY_TEXT_BYTES; digit++) {
        bool constant = true;
        for (int i = 1; i < KEYS; i++)
            constant &= keys[i][digit] == keys[0][digit];
        assert_false(constant);
    }
}

// ---- with a store ---------------------------------------------------------------------------

static char folder[] = "/tmp/test_keys_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return remove_tree(folder);
}

// Is the text anywhere in the store's files?
static bool on_disk(const char *text)
{
    return tree_has(folder, text);
}

static void bug_20_no_default_key_and_only_hashes_are_kept(void **state)
{
    (void)state;
    struct cv_store *store = NULL;
    assert_int_equal(cv_store_open(folder, &store, NULL), CV_OK);
    struct cv_keys *keys = NULL;
    assert_int_equal(cv_keys_load(store, &keys, NULL), CV_OK);
    assert_int_equal(cv_keys_count(keys), 0);
    cv_keys_unref(&keys);

    char key[CV_KEY_TEXT_BYTES + 1];
    int64_t id;
    assert_int_equal(cv_key_add(store, "live", "gate7", "marked", key, &id, NULL), CV_OK);
    assert_int_equal(cv_keys_load(store, &keys, NULL), CV_OK);
    assert_true(cv_keys_allow(keys, "live", "gate7", key, CV_KEY_TEXT_BYTES));
    assert_false(cv_keys_allow(keys, "live", "gate8", key, CV_KEY_TEXT_BYTES));
    cv_keys_unref(&keys);
    assert_true(on_disk("marked"));
    assert_false(on_disk(key));
    cv_store_close(&store);
    assert_false(on_disk(key));
}

static void names_that_no_stream_has_are_refused(void **state)
{
    (void)state;
    static char long_name[1000];
    memset(long_name, 'a', sizeof long_name - 1);
    static const struct {
        const char *app;
        const char *stream;
        const char *label;
    } rows[] = {
        {"", "", ""},
        {"a?b", "", ""},
        {"a b", "", ""},
        {"a\n", "", ""},
        {"live", "a?k=1", ""},
        {"live", "a\tb", ""},
        {"live", "", "two\nlines"},
        {long_name, "", ""},
        {"live", long_name, ""},
        {"live", "", long_name},
    };
    struct cv_store *store = NULL;
    assert_int_equal(cv_store_open(folder, &store, NULL), CV_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char key[CV_KEY_TEXT_BYTES + 1] = "untouched";
        int64_t id = -7;
        struct cv_why why = {.code = CV_OK};
        assert_int_equal(
            cv_key_add(store, rows[i].app, rows[i].stream, rows[i].label, key, &id, &why),
            CV_E_USAGE);
        assert_string_equal(key, "untouched");
        assert_int_equal(id, -7);
    }
    cv_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_opens_its_app_and_stream_only),
        cmocka_unit_test(without_keys_nothing_opens),
        cmocka_unit_test(long_keys_are_refused_unread),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(the_hash_is_sha256),
        cmocka_unit_test(bug_13_keys_cannot_be_predicted),
        cmocka_unit_test(bug_20_no_default_key_and_only_hashes_are_kept),
        cmocka_unit_test(names_that_no_stream_has_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
