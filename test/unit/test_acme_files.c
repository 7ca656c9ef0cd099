// What ACME keeps on disk: a certificate is taken only when it can be used, and never half; the
// past comes back.
#include "cert_kit.h"

#include "base/mem.h"
#include "server/acme_files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cv_acme_files files;

static int make_folders(void **state)
{
    (void)state;
    struct cv_why why = {0};
    assert_int_equal(cv_acme_files_of(&files, cert_path("acme"), &why), CV_OK);
    assert_int_equal(cv_acme_files_make(&files, &why), CV_OK);
    assert_int_equal(mkdir(cert_path("acme/client/certificates"), 0700), 0);
    return 0;
}

static int drop_folders(void **state)
{
    (void)state;
    cert_folder_remove();
    return 0;
}

static struct cv_config_acme wanted(const char *first, const char *second)
{
    struct cv_config_acme acme = {.domain_count = second ? 2 : 1};
    snprintf(acme.domains[0], sizeof acme.domains[0], "%s", first);
    if (second)
        snprintf(acme.domains[1], sizeof acme.domains[1], "%s", second);
    return acme;
}

static void give(const char *names, int until_days)
{
    const struct cert_spec spec = {.names = names, .from_days = -10, .until_days = until_days};
    pair_write("acme/client/certificates/a.test", &spec);
}

static int take(const struct cv_config_acme *acme, struct cv_why *why)
{
    *why = (struct cv_why){0};
    return cv_acme_files_take(&files, acme, CERT_NOW_S, why);
}

static void a_certificate_is_taken_with_its_key(void **state)
{
    (void)state;
    struct cv_why why;
    struct stat now;
    struct cv_config_acme one = wanted("a.test", NULL);
    struct cv_config_acme two = wanted("A.test", "b.test");
    struct cv_config_acme other = wanted("a.test", "c.test");
    assert_false(cv_acme_files_have(&files, &one, CERT_NOW_S).fits);
    give("a.test,b.test", 60);
    assert_int_equal(take(&one, &why), CV_OK);
    struct cv_acme_have have = cv_acme_files_have(&files, &two, CERT_NOW_S);
    assert_true(have.fits);
    assert_int_equal(have.not_before_s, CERT_NOW_S - 10 * 86400);
    assert_int_equal(have.not_after_s, CERT_NOW_S + 60 * 86400);
    assert_false(cv_acme_files_have(&files, &other, CERT_NOW_S).fits);
    assert_false(cv_acme_files_have(&files, &one, CERT_NOW_S + 61 * 86400).fits);
    assert_int_equal(stat(files.certificate, &now), 0);
    assert_int_equal(now.st_mode & 0777, 0600);
    assert_true(tree_has(files.folder, "PRIVATE KEY"));
}

// Whatever is wrong, the one from before stays.
static void a_certificate_that_cannot_be_used_is_not_taken(void **state)
{
    (void)state;
    struct cv_why why;
    struct cv_config_acme acme = wanted("a.test", "b.test");
    give("a.test,b.test", 60);
    assert_int_equal(take(&acme, &why), CV_OK);
    give("a.test", 90);
    assert_int_equal(take(&acme, &why), CV_E_CONFIG);
    assert_non_null(strstr(why.text, "not for all domains"));
    give("a.test,b.test", -1);
    assert_int_equal(take(&acme, &why), CV_E_CONFIG);
    give("a.test,b.test", 90);
    struct cert stranger = cert_make(&(struct cert_spec){.names = "a.test"}, NULL);
    key_write("acme/client/certificates/a.test.key", &stranger, NULL);
    cert_done(&stranger);
    assert_int_equal(take(&acme, &why), CV_E_CONFIG);
    assert_int_equal(unlink(cert_path("acme/client/certificates/a.test.crt")), 0);
    assert_int_equal(take(&acme, &why), CV_E_CONFIG);
    assert_non_null(strstr(why.text, "a.test.crt"));
    struct cv_acme_have have = cv_acme_files_have(&files, &acme, CERT_NOW_S);
    assert_int_equal(have.not_after_s, CERT_NOW_S + 60 * 86400);
}

static bool take_without_memory(void *arg)
{
    struct cv_why why;
    return take(arg, &why) == CV_OK;
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct cv_config_acme acme = wanted("a.test", NULL);
    give("a.test", 60);
    fail_nth(take_without_memory, &acme);
}

static void a_file_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    struct cv_why why;
    struct cv_config_acme acme = wanted("a.test", NULL);
    give("a.test", 60);
    assert_int_equal(mkdir(files.certificate, 0700), 0);
    assert_int_equal(take(&acme, &why), CV_E_STORE);
    assert_non_null(strstr(why.text, "cannot write"));
    assert_int_equal(rmdir(files.certificate), 0);
    char made[CV_LIMIT_FOLDER_BYTES + 8];
    snprintf(made, sizeof made, "%s.new", files.certificate);
    assert_int_not_equal(access(made, F_OK), 0);
}

static void the_past_comes_back(void **state)
{
    (void)state;
    struct cv_why why = {0};
    const struct cv_acme_past past = {.failures = 3, .failed_s = 5, .limited = true};
    assert_int_equal(cv_acme_files_past(&files, "q").failures, 0);
    assert_int_equal(cv_acme_files_keep(&files, &past, "q", &why), CV_OK);
    assert_int_equal(cv_acme_files_past(&files, "q").failures, 3);
    assert_int_equal(cv_acme_files_past(&files, "r").failures, 0);
    char text[2000];
    memset(text, '7', sizeof text);
    text_write("acme/past", text, sizeof text);
    assert_int_equal(cv_acme_files_past(&files, "q").failures, 0);
}

static void old_answers_are_taken_away(void **state)
{
    (void)state;
    struct cv_why why = {0};
    assert_int_equal(mkdir(cert_path("acme/webroot/.well-known"), 0700), 0);
    assert_int_equal(mkdir(files.challenges, 0700), 0);
    text_write("acme/webroot/.well-known/acme-challenge/old", "x", 1);
    assert_int_equal(cv_acme_files_make(&files, &why), CV_OK);
    assert_int_not_equal(access(cert_path("acme/webroot/.well-known/acme-challenge/old"), F_OK), 0);
    assert_int_equal(access(files.challenges, F_OK), 0);
}

static void folders_with_names_that_do_not_fit(void **state)
{
    (void)state;
    struct cv_acme_files out;
    struct cv_why why = {0};
    char folder[CV_LIMIT_FOLDER_BYTES + 1];
    memset(folder, 'a', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    assert_int_equal(cv_acme_files_of(&out, folder, &why), CV_E_STORE);
    why = (struct cv_why){0};
    assert_int_equal(cv_acme_files_of(&out, cert_path("no/such"), &why), CV_OK);
    assert_int_equal(cv_acme_files_make(&out, &why), CV_E_STORE);
    assert_non_null(strstr(why.text, "cannot make"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_certificate_is_taken_with_its_key, make_folders,
                                        drop_folders),
        cmocka_unit_test_setup_teardown(a_certificate_that_cannot_be_used_is_not_taken,
                                        make_folders, drop_folders),
        cmocka_unit_test_setup_teardown(memory_runs_out, make_folders, drop_folders),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_written_is_told, make_folders,
                                        drop_folders),
        cmocka_unit_test_setup_teardown(the_past_comes_back, make_folders, drop_folders),
        cmocka_unit_test_setup_teardown(old_answers_are_taken_away, make_folders, drop_folders),
        cmocka_unit_test_setup_teardown(folders_with_names_that_do_not_fit, make_folders,
                                        drop_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
