// The store: made private, brought up to date, keys in and out, and what is wrong told.
#include "harness.h"

#include "base/mem.h"
#include "server/keys.h"
#include "server/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_store_XXXXXX";
static char folder[256];
static char file[300];

// Each test has a folder of its own, which is not there yet.
static int new_folder(void **state)
{
    (void)state;
    static int count;
    snprintf(folder, sizeof folder, "%s/%d/deep", root, count++);
    snprintf(file, sizeof file, "%s/culvert.db", folder);
    return 0;
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return remove_tree(root);
}

static struct cv_store *opened(void)
{
    struct cv_store *store = NULL;
    struct cv_why why = {.code = CV_OK};
    if (cv_store_open(folder, &store, &why) != CV_OK)
        fail_msg("%s", why.text);
    return store;
}

static struct cv_key_row row_of(const char *app, const char *stream, uint8_t hash)
{
    struct cv_key_row row = {.created_s = 1234567890123};
    snprintf(row.app, sizeof row.app, "%s", app);
    snprintf(row.stream, sizeof row.stream, "%s", stream);
    snprintf(row.label, sizeof row.label, "a 'label'; --");
    memset(row.hash, hash, sizeof row.hash);
    return row;
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void a_new_store_is_private(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    struct cv_key_row row = row_of("live", "", 1);
    int64_t id;
    assert_int_equal(cv_store_key_add(store, &row, &id, NULL), CV_OK);
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(file), 0600);
    char companion[320];
    snprintf(companion, sizeof companion, "%s-wal", file);
    assert_int_equal(mode_of(companion), 0600);
    cv_store_close(&store);
    assert_null(store);
    cv_store_close(&store);
    assert_int_equal(chmod(file, 0644), 0);
    store = opened();
    assert_int_equal(mode_of(file), 0600);
    cv_store_close(&store);
}

static void keys_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    for (uint8_t i = 0; i < 40; i++) {
        struct cv_key_row row = row_of("live", i % 2 ? "cam's \"x\"" : "", i);
        int64_t id = 0;
        assert_int_equal(cv_store_key_add(store, &row, &id, NULL), CV_OK);
        assert_int_equal(id, i + 1);
    }
    cv_store_close(&store);
    store = opened();
    struct cv_key_row *rows;
    size_t count;
    assert_int_equal(cv_store_keys(store, &rows, &count, NULL), CV_OK);
    assert_int_equal(count, 40);
    for (uint8_t i = 0; i < 40; i++) {
        struct cv_key_row want = row_of("live", i % 2 ? "cam's \"x\"" : "", i);
        want.id = i + 1;
        assert_memory_equal(&rows[i], &want, sizeof want);
    }
    cv_mem_free(rows);
    cv_store_close(&store);
}

static void removed_ids_are_not_used_again(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    struct cv_key_row row = row_of("live", "", 1);
    int64_t id;
    assert_int_equal(cv_store_key_add(store, &row, &id, NULL), CV_OK);
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_store_key_add(store, &row, &id, &why), CV_E_USAGE);
    assert_int_equal(cv_store_key_remove(store, id, NULL), CV_OK);
    assert_int_equal(cv_store_key_remove(store, id, NULL), CV_E_NOT_FOUND);
    int64_t next;
    assert_int_equal(cv_store_key_add(store, &row, &next, NULL), CV_OK);
    assert_int_equal(next, id + 1);
    cv_store_close(&store);
}

static void an_empty_store_has_no_rows(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    struct cv_key_row *rows = (void *)1;
    size_t count = 9;
    assert_int_equal(cv_store_keys(store, &rows, &count, NULL), CV_OK);
    assert_null(rows);
    assert_int_equal(count, 0);
    cv_store_close(&store);
}

static void two_processes_may_have_it_open(void **state)
{
    (void)state;
    struct cv_store *first = opened();
    struct cv_store *second = opened();
    struct cv_key_row row = row_of("live", "", 1);
    int64_t id;
    assert_int_equal(cv_store_key_add(second, &row, &id, NULL), CV_OK);
    struct cv_key_row *rows;
    size_t count;
    assert_int_equal(cv_store_keys(first, &rows, &count, NULL), CV_OK);
    assert_int_equal(count, 1);
    cv_mem_free(rows);
    cv_store_close(&first);
    cv_store_close(&second);
}

static void the_number_of_keys_is_bounded(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    char sql[300];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO publish_key (app, hash, created_s)"
             " SELECT 'live', randomblob(32), 0 FROM n",
             CV_LIMIT_KEYS);
    run_sql(sql);
    struct cv_key_row row = row_of("live", "", 1);
    int64_t id;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_store_key_add(store, &row, &id, &why), CV_E_TOO_MANY);
    struct cv_keys *keys;
    assert_int_equal(cv_keys_load(store, &keys, NULL), CV_OK);
    assert_int_equal(cv_keys_count(keys), CV_LIMIT_KEYS);
    cv_keys_unref(&keys);
    cv_store_close(&store);
}

static void assert_not_opened(const char *text)
{
    struct cv_store *store = NULL;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_store_open(folder, &store, &why), CV_E_STORE);
    assert_null(store);
    if (!strstr(why.text, text))
        fail_msg("said: %s, want: %s", why.text, text);
}

static void a_newer_layout_is_left_alone(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    cv_store_close(&store);
    run_sql("PRAGMA user_version = 99");
    assert_not_opened("made by a newer Culvert");
}

static void damage_is_told(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    cv_store_close(&store);
    FILE *damaged = fopen(file, "wb");
    assert_non_null(damaged);
    fputs("this is not a database, however long one looks at it", damaged);
    fclose(damaged);
    assert_not_opened("not a database");
}

static void a_row_of_other_hands_is_refused(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    run_sql("INSERT INTO publish_key (app, hash, created_s)"
            " VALUES (printf('%.*c', 65, 'a'), zeroblob(32), 0)");
    struct cv_key_row *rows = NULL;
    size_t count = 0;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_store_keys(store, &rows, &count, &why), CV_E_STORE);
    assert_null(rows);
    cv_store_close(&store);
}

static void a_link_in_place_of_the_file_is_refused(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    cv_store_close(&store);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("elsewhere", file), 0);
    assert_not_opened("cannot open");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0644), 0);
    assert_not_opened("cannot protect");
}

static void folders_that_cannot_be(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/dev/null/x");
    assert_not_opened("cannot make /dev/null/x");
    folder[0] = '\0';
    assert_not_opened("empty");
    static char long_name[5000];
    memset(long_name, 'a', sizeof long_name - 1);
    struct cv_store *store = NULL;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_store_open(long_name, &store, &why), CV_E_STORE);
}

static void the_state_folder_by_environment(void **state)
{
    (void)state;
    char dir[200];
    setenv("STATE_DIRECTORY", "/run/one:/run/two", 1);
    setenv("XDG_STATE_HOME", "/xdg", 1);
    setenv("HOME", "/home/x", 1);
    assert_int_equal(cv_state_dir(dir, sizeof dir, NULL), CV_OK);
    assert_string_equal(dir, "/run/one");
    unsetenv("STATE_DIRECTORY");
    bool is_root = geteuid() == 0;
    assert_int_equal(cv_state_dir(dir, sizeof dir, NULL), CV_OK);
    assert_string_equal(dir, "/xdg/culvert");
    setenv("XDG_STATE_HOME", "relative", 1); // must be ignored, says its specification
    assert_int_equal(cv_state_dir(dir, sizeof dir, NULL), CV_OK);
    assert_string_equal(dir, is_root ? "/var/lib/culvert" : "/home/x/.local/state/culvert");
    if (is_root && seteuid(65534) != 0)
        return;
    assert_int_equal(cv_state_dir(dir, sizeof dir, NULL), CV_OK);
    assert_string_equal(dir, "/home/x/.local/state/culvert");
    assert_int_equal(cv_state_dir(dir, 10, NULL), CV_E_STORE);
    unsetenv("HOME");
    assert_int_equal(cv_state_dir(dir, sizeof dir, NULL), CV_E_STORE);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

static bool use_store(void *arg)
{
    (void)arg;
    struct cv_store *store = NULL;
    struct cv_keys *keys = NULL;
    struct cv_why why = {.code = CV_OK};
    int err = cv_store_open(folder, &store, &why);
    if (err == CV_OK)
        err = cv_keys_load(store, &keys, &why);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_true((err == CV_OK) == (keys != NULL));
    cv_keys_unref(&keys);
    cv_store_close(&store);
    return err == CV_OK;
}

static void the_store_survives_failing_memory(void **state)
{
    (void)state;
    struct cv_store *store = opened();
    for (uint8_t i = 0; i < 40; i++) {
        struct cv_key_row row = row_of("live", "", i);
        int64_t id;
        assert_int_equal(cv_store_key_add(store, &row, &id, NULL), CV_OK);
    }
    cv_store_close(&store);
    fail_nth(use_store, NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, new_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_store_is_private),
        TEST(keys_come_back_as_they_went_in),
        TEST(removed_ids_are_not_used_again),
        TEST(an_empty_store_has_no_rows),
        TEST(two_processes_may_have_it_open),
        TEST(the_number_of_keys_is_bounded),
        TEST(a_newer_layout_is_left_alone),
        TEST(damage_is_told),
        TEST(a_row_of_other_hands_is_refused),
        TEST(a_link_in_place_of_the_file_is_refused),
        TEST(folders_that_cannot_be),
        TEST(the_state_folder_by_environment),
        TEST(the_store_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
