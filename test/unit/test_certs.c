// The certificates of a configuration: loaded, kept up to date, told of.
#include "cert_kit.h"

#include "io/clock.h"
#include "io/tls_server.h"
#include "server/cert_keeper.h"
#include "server/self_signed.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- what was logged ---------------------------------------------------------------------------

static int log_fd = -1;

static int start(void **state)
{
    (void)state;
    log_fd = open(cert_path("log"), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    assert_true(log_fd >= 0);
    cv_log_set_fd(log_fd);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cv_log_set_fd(2);
    close(log_fd);
    cert_folder_remove();
    return 0;
}

// How many lines since the last call have this text.
static unsigned logged(const char *text)
{
    static char log[256 * 1024];
    ssize_t len = pread(log_fd, log, sizeof log - 1, 0);
    assert_true(len >= 0);
    log[len] = '\0';
    unsigned found = 0;
    for (const char *at = log; (at = strstr(at, text)); at++)
        found++;
    return found;
}

static void forget_log(void)
{
    assert_int_equal(ftruncate(log_fd, 0), 0);
}

// ---- configurations ----------------------------------------------------------------------------

static struct cv_config *config_text(const char *setting)
{
    char text[1024];
    struct cv_config *config = NULL;
    struct cv_config_why why;
    snprintf(text, sizeof text, "%s\nstate: %s\n", setting, cert_folder());
    if (cv_config_parse("c", text, strlen(text), NULL, &config, &why) != CV_OK)
        fail_msg("%s", why.text);
    return config;
}

// With these certificates; the second one may be NULL.
static struct cv_config *config_of(const char *a, const char *b)
{
    char text[900];
    char more[400] = "";
    if (b)
        snprintf(more, sizeof more, ", {cert: %s.crt, key: %s.key}", cert_path(b), cert_path(b));
    snprintf(text, sizeof text, "tls: {certificates: [{cert: %s.crt, key: %s.key}%s]}",
             cert_path(a), cert_path(a), more);
    return config_text(text);
}

// A certificate for as long as the tests may be run.
static const struct cert_spec lasting = {
    .names = "a.example", .from_days = -3650, .until_days = 3650};

// ---- loading -----------------------------------------------------------------------------------

static void all_are_loaded_and_told_of(void **state)
{
    (void)state;
    struct cert root =
        cert_make(&(struct cert_spec){.common_name = "Root", .authority = true}, NULL);
    struct cert leaf = cert_make(&(struct cert_spec){.names = "b.example"}, &root);
    pair_write("a", &(struct cert_spec){.names = "a.example"});
    cert_write("b.crt", &leaf, NULL);
    key_write("b.key", &leaf, NULL);
    struct cv_config *config = config_of("a", "b");
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    assert_non_null(cv_certs_server(certs));
    forget_log();
    cv_certs_log(certs, NULL);
    assert_int_equal(logged("tls.loaded"), 2);
    assert_int_equal(logged("names=a.example"), 1);
    assert_int_equal(logged("expires=2027-04-01 issuer=itself kernel="), 1);
    assert_int_equal(logged("expires=2027-04-01 issuer=Root kernel="), 1);
    assert_int_equal(logged("warn tls.no_chain names=b.example"), 1);
    forget_log();
    cert_write("b.crt", &leaf, &root);
    cv_certs_free(&certs);
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    cv_certs_log(certs, NULL);
    assert_int_equal(logged("tls.no_chain"), 0);
    cv_certs_free(&certs);
    cv_config_unref(&config);
    cert_done(&root);
    cert_done(&leaf);
}

static void without_tls_there_is_none(void **state)
{
    (void)state;
    struct cv_config *config = config_text("threads: 1");
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    assert_null(cv_certs_server(certs));
    assert_null(cv_certs_server(NULL));
    cv_certs_free(&certs);
    cv_config_unref(&config);
}

static void those_that_end_soon(void **state)
{
    (void)state;
    static const struct {
        int64_t days;
        const char *told; // NULL: nothing
    } rows[] = {
        {-31, NULL},      {-14, NULL},    {-13, "warn tls.expires names=a.example"},
        {-13, "days=13"}, {-1, "days=1"}, {1, "error tls.expired names=a.example"},
    };
    pair_write("a", &(struct cert_spec){.names = "a.example"}); // for 90 days
    struct cv_config *config = config_of("a", NULL);
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        forget_log();
        cv_certs_warn(certs, CERT_NOW_S + (90 + rows[i].days) * 86400);
        if (logged("tls.expire") != (rows[i].told ? 1 : 0) ||
            (rows[i].told && !logged(rows[i].told)))
            fail_msg("row %zu", i);
    }
    assert_false(cv_certs_due(certs, CERT_NOW_S + 80 * 86400)); // not ours to renew
    cv_certs_free(&certs);
    cv_config_unref(&config);
}

static void a_bad_one_fails_all(void **state)
{
    (void)state;
    pair_write("a", &lasting);
    pair_write("b", &(struct cert_spec){.names = "b", .key = "RSA-1024"});
    struct cv_config *config = config_of("a", "b");
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_E_CONFIG);
    assert_null(certs);
    assert_non_null(strstr(why.text, "b.crt: its key of 1024 bits is too weak"));
    why = (struct cv_why){0};
    assert_int_equal(cv_certs_check(config, CERT_NOW_S, &why), CV_E_CONFIG);
    assert_non_null(strstr(why.text, "b.crt: "));
    cv_config_unref(&config);
}

// ---- an authority's ----------------------------------------------------------------------------

// Nothing that an authority sends, or does not, keeps the server from its start.
static void one_that_is_on_its_way(void **state)
{
    (void)state;
    struct cv_config *config =
        config_text("tls: {acme: {directory: \"https://ca.example/\", email: a@b.example, "
                    "domains: [a.example]}}");
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    uint64_t stamp = cv_certs_stamp(config);
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    assert_non_null(cv_certs_server(certs)); // one of our own stands in
    cv_certs_log(certs, NULL);
    assert_int_equal(logged("warn tls.stand_in "), 1);
    struct cv_certs *before = certs;
    assert_int_equal(mkdir(cert_path("acme"), 0700), 0);
    text_write("acme/certificate.pem", "rubbish", 7);
    assert_int_not_equal(cv_certs_stamp(config), stamp);
    forget_log();
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    cv_certs_log(certs, before);
    assert_int_equal(logged("warn tls.left_out why="), 1);
    assert_int_equal(logged("tls.stand_in "), 0); // it has been told
    cv_certs_log(certs, certs);
    assert_int_equal(logged("warn tls.left_out why="), 1);
    cv_certs_free(&before);
    cv_certs_free(&certs);
    struct cert made = cert_make(&(struct cert_spec){.names = "a.example"}, NULL);
    key_write("acme/certificate.pem", &made, NULL);
    FILE *file = fopen(cert_path("acme/certificate.pem"), "ae");
    PEM_write_X509(file, made.x509);
    fclose(file);
    forget_log();
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    assert_non_null(cv_certs_server(certs));
    cv_certs_log(certs, NULL);
    assert_int_equal(logged("tls.stand_in "), 0);
    assert_int_equal(logged("tls.loaded names=a.example"), 1);
    cv_certs_free(&certs);
    cv_config_unref(&config);
    cert_done(&made);
}

// ---- our own -----------------------------------------------------------------------------------

static void fingerprint(const struct cv_self_signed *files, int64_t now_s, char out[96])
{
    struct cv_tls_cert *cert = NULL;
    struct cv_tls_cert_info info;
    struct cv_why why = {0};
    if (cv_self_signed_load(&cert, files, now_s, &why) != CV_OK)
        fail_msg("%s", why.text);
    cv_tls_cert_info(cert, &info);
    memcpy(out, info.fingerprint, sizeof info.fingerprint);
    assert_true(cv_tls_cert_is_for(cert, "localhost"));
    assert_true(cv_tls_cert_is_for(cert, "127.0.0.1"));
    assert_true(cv_tls_cert_is_for(cert, "::1"));
    cv_tls_cert_unref(&cert);
}

static void made_once_and_again_before_it_ends(void **state)
{
    (void)state;
    static const int64_t day_s = 86400;
    struct cv_config *config = config_text("tls: {self_signed: true}");
    struct cv_self_signed files;
    struct cv_why why = {0};
    char first[96];
    char next[96];
    assert_int_equal(cv_self_signed_files(&files, config, &why), CV_OK);
    fingerprint(&files, CERT_NOW_S, first);
    fingerprint(&files, CERT_NOW_S + (CV_SELF_SIGNED_DAYS - 15) * day_s, next);
    assert_string_equal(first, next);
    struct cv_certs *certs = NULL;
    assert_int_equal(cv_certs_load(&certs, config, NULL, CERT_NOW_S, &why), CV_OK);
    assert_false(cv_certs_due(certs, CERT_NOW_S));
    assert_true(cv_certs_due(certs, CERT_NOW_S + (CV_SELF_SIGNED_DAYS - 13) * day_s));
    cv_certs_free(&certs);
    fingerprint(&files, CERT_NOW_S + (CV_SELF_SIGNED_DAYS - 13) * day_s, next);
    assert_string_not_equal(first, next);
    text_write("self-signed.key", "broken", 6);
    fingerprint(&files, CERT_NOW_S + CV_SELF_SIGNED_DAYS * day_s, first);
    assert_string_not_equal(first, next);
    cv_config_unref(&config);
}

// ---- the keeper --------------------------------------------------------------------------------

struct heard {
    unsigned times;
    struct cv_tls_server *server;
};

static void on_renewed(void *arg, struct cv_tls_server *server)
{
    struct heard *heard = arg;
    heard->times++;
    heard->server = server;
}

struct keeping {
    struct cv_loop *loop;
    struct cv_config *config;
    struct cv_cert_keeper keeper;
    struct heard heard;
};

static void keeping_start(struct keeping *keeping, const char *a, const char *b)
{
    struct cv_why why = {0};
    *keeping = (struct keeping){.loop = cv_loop_new(), .config = config_of(a, b)};
    cv_cert_keeper_init(&keeping->keeper, keeping->loop, on_renewed, &keeping->heard);
    if (cv_cert_keeper_load(&keeping->keeper, keeping->config, &why) != CV_OK)
        fail_msg("%s", why.text);
    forget_log();
}

static void keeping_end(struct keeping *keeping)
{
    cv_cert_keeper_done(&keeping->keeper);
    cv_loop_free(keeping->loop);
    cv_config_unref(&keeping->config);
}

static void renewed_files_are_noticed(void **state)
{
    (void)state;
    struct keeping keeping;
    pair_write("a", &lasting);
    keeping_start(&keeping, "a", NULL);
    const struct cv_tls_server *before = cv_cert_keeper_server(&keeping.keeper);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 0);
    pair_write("a", &lasting);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 1);
    assert_ptr_equal(keeping.heard.server, cv_cert_keeper_server(&keeping.keeper));
    assert_ptr_not_equal(keeping.heard.server, before);
    assert_int_equal(logged("tls.loaded"), 1);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 1);
    keeping_end(&keeping);
}

// A machine without a battery wakes up in the past, where its certificate is not valid yet.
static void what_was_left_out_by_a_wrong_clock_is_shown_when_it_is_right(void **state)
{
    (void)state;
    enum { PAST_S = 1000000000 };
    struct cv_why why = {0};
    struct keeping keeping = {.loop = cv_loop_new(),
                              .config =
                                  config_text("tls: {acme: {directory: \"https://ca.example/\", "
                                              "email: a@b.example, domains: [a.example]}}")};
    struct cert made = cert_make(&lasting, NULL);
    mkdir(cert_path("acme"), 0700);
    key_write("acme/certificate.pem", &made, NULL);
    FILE *file = fopen(cert_path("acme/certificate.pem"), "ae");
    PEM_write_X509(file, made.x509);
    fclose(file);
    struct cv_cert_keeper *keeper = &keeping.keeper;
    cv_cert_keeper_init(keeper, keeping.loop, on_renewed, &keeping.heard);
    assert_int_equal(cv_cert_keeper_load(keeper, keeping.config, &why), CV_OK);
    cv_certs_free(&keeper->certs); // as if it had been loaded then
    assert_int_equal(cv_certs_load(&keeper->certs, keeping.config, NULL, PAST_S, &why), CV_OK);
    assert_false(cv_certs_lack(keeper->certs, keeping.config, PAST_S));
    cv_cert_keeper_look(keeper);
    assert_int_equal(keeping.heard.times, 1);
    cv_cert_keeper_look(keeper);
    assert_int_equal(keeping.heard.times, 1);
    keeping_end(&keeping);
    cert_done(&made);
}

static void half_a_pair_is_waited_for(void **state)
{
    (void)state;
    struct keeping keeping;
    struct cert next = cert_make(&lasting, NULL);
    pair_write("a", &lasting);
    keeping_start(&keeping, "a", NULL);
    cert_write("a.crt", &next, NULL);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 0);
    key_write("a.key", &next, NULL);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 1);
    assert_int_equal(logged("tls.renewal_failed"), 0);
    keeping_end(&keeping);
    cert_done(&next);
}

static void what_stays_wrong_is_complained_about_once(void **state)
{
    (void)state;
    struct keeping keeping;
    struct cert next = cert_make(&lasting, NULL);
    pair_write("a", &lasting);
    keeping_start(&keeping, "a", NULL);
    const struct cv_tls_server *before = cv_cert_keeper_server(&keeping.keeper);
    cert_write("a.crt", &next, NULL);
    for (int i = 0; i < 5; i++)
        cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(logged("error tls.renewal_failed why="), 1);
    assert_int_equal(logged("not the key of the certificate in a.crt"), 1);
    assert_int_equal(logged("in_use=\"the certificates from before\""), 1);
    assert_ptr_equal(cv_cert_keeper_server(&keeping.keeper), before);
    assert_int_equal(keeping.heard.times, 0);
    // Wrong in another way: once more.
    text_write("a.key", "rubbish", 7);
    for (int i = 0; i < 5; i++)
        cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(logged("tls.renewal_failed"), 2);
    key_write("a.key", &next, NULL);
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 1);
    keeping_end(&keeping);
    cert_done(&next);
}

static void a_failed_reload_changes_nothing(void **state)
{
    (void)state;
    struct keeping keeping;
    struct cv_why why = {0};
    pair_write("a", &lasting);
    keeping_start(&keeping, "a", NULL);
    struct cv_config *bad = config_of("nowhere", NULL);
    assert_int_equal(cv_cert_keeper_load(&keeping.keeper, bad, &why), CV_E_CONFIG);
    assert_non_null(strstr(why.text, "nowhere.crt: there is no such file"));
    assert_ptr_equal(keeping.keeper.config, keeping.config);
    assert_non_null(cv_cert_keeper_server(&keeping.keeper));
    pair_write("a", &lasting); // still watched
    cv_cert_keeper_look(&keeping.keeper);
    assert_int_equal(keeping.heard.times, 1);
    cv_config_unref(&bad);
    keeping_end(&keeping);
}

static void a_reload_may_end_tls(void **state)
{
    (void)state;
    struct keeping keeping;
    struct cv_why why = {0};
    pair_write("a", &lasting);
    keeping_start(&keeping, "a", NULL);
    struct cv_config *none = config_text("threads: 1");
    assert_int_equal(cv_cert_keeper_load(&keeping.keeper, none, &why), CV_OK);
    assert_null(cv_cert_keeper_server(&keeping.keeper));
    assert_false(cv_timer_is_set(&keeping.keeper.look));
    assert_false(cv_timer_is_set(&keeping.keeper.day));
    cv_config_unref(&none);
    keeping_end(&keeping);
}

static void zero_seconds_is_no_watching(void **state)
{
    (void)state;
    struct cv_config *config = config_text("tls: {self_signed: true, watch_s: 0}");
    struct cv_loop *loop = cv_loop_new();
    struct cv_cert_keeper keeper;
    struct cv_why why = {0};
    cv_cert_keeper_init(&keeper, loop, on_renewed, NULL);
    assert_int_equal(cv_cert_keeper_load(&keeper, config, &why), CV_OK);
    assert_false(cv_timer_is_set(&keeper.look));
    assert_true(cv_timer_is_set(&keeper.day));
    cv_cert_keeper_done(&keeper);
    cv_loop_free(loop);
    cv_config_unref(&config);
}

// ---- memory ------------------------------------------------------------------------------------

static bool load_all(void *arg)
{
    struct cv_certs *certs = NULL;
    struct cv_why why = {0};
    int err = cv_certs_load(&certs, arg, NULL, CERT_NOW_S, &why);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_int_equal(why.code, err);
    cv_certs_free(&certs);
    return err == CV_OK;
}

static void failing_memory(void **state)
{
    (void)state;
    pair_write("a", &lasting);
    pair_write("b", &lasting);
    struct cv_config *config = config_of("a", "b");
    fail_nth(load_all, config);
    cv_config_unref(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_loaded_and_told_of),
        cmocka_unit_test(without_tls_there_is_none),
        cmocka_unit_test(those_that_end_soon),
        cmocka_unit_test(a_bad_one_fails_all),
        cmocka_unit_test(one_that_is_on_its_way),
        cmocka_unit_test(made_once_and_again_before_it_ends),
        cmocka_unit_test(renewed_files_are_noticed),
        cmocka_unit_test(what_was_left_out_by_a_wrong_clock_is_shown_when_it_is_right),
        cmocka_unit_test(half_a_pair_is_waited_for),
        cmocka_unit_test(what_stays_wrong_is_complained_about_once),
        cmocka_unit_test(a_failed_reload_changes_nothing),
        cmocka_unit_test(a_reload_may_end_tls),
        cmocka_unit_test(zero_seconds_is_no_watching),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, start, end);
}
