// Challenges of an authority (HTTP-01), inside a server that is driven by hand: which paths they
// are, where answers are found, and that all else is the site's.
#include "server_kit.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/socket.h"
#include "server/challenge.h"
#include "server/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WELL_KNOWN ".well-known/acme-challenge"
#define CLOSING    "Host: a\r\nConnection: close\r\n\r\n"

static char base[64];
static struct kit kit;

static const char *in_base(const char *name)
{
    return path_in(base, name);
}

// ours/, the administrator's root/, and the site.
static int make_tree(void **state)
{
    (void)state;
    static const char *const folders[] = {"ours",
                                          "root",
                                          "root/.well-known",
                                          "root/" WELL_KNOWN,
                                          "site",
                                          "site/.well-known",
                                          "site/" WELL_KNOWN,
                                          "ours/folder"};
    static const struct {
        const char *name;
        const char *text;
    } files[] = {
        {"secret", "secret"},
        {"ours/token-1", "token-1.ours"},
        {"ours/both", "both.ours"},
        {"root/both", "both.root"},
        {"root/token-2", "token-2.root"},
        {"root/" WELL_KNOWN "/token_3", "token_3.below\n"},
        {"site/" WELL_KNOWN "/token-4", "the site's own"},
        {"site/" WELL_KNOWN "/token-1", "never shown"},
        {"site/" WELL_KNOWN "/with.dot", "dotted"},
        {"site/index.html", "home"},
        {"ours/empty", ""},
    };
    snprintf(base, sizeof base, "/tmp/culvert-challenge-XXXXXX");
    assert_non_null(mkdtemp(base));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        assert_int_equal(mkdir(in_base(folders[i]), 0755), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        file_write(in_base(files[i].name), files[i].text);
    assert_int_equal(symlink("../secret", in_base("ours/link")), 0);
    FILE *file = fopen(in_base("ours/large"), "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), CV_LIMIT_ACME_ANSWER_BYTES + 1), 0);
    fclose(file);
    return 0;
}

static int drop_tree(void **state)
{
    (void)state;
    return remove_tree(base);
}

static void start_kit(bool ours, bool administrators)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml,
             "open_publish: true\nlog_level: error\nsite: %s/site\napps:\n  - name: live\n", base);
    kit_start(&kit, 1, false, yaml);
    struct cv_config_tls *tls = &kit.policy->config->tls;
    if (ours)
        snprintf(tls->acme.directory, sizeof tls->acme.directory, "https://authority.test/");
    if (administrators)
        snprintf(tls->challenge_folder, sizeof tls->challenge_folder, "%s/root", base);
    snprintf(kit.shared.challenge_folder, sizeof kit.shared.challenge_folder, "%s/ours", base);
}

// ---- a client -------------------------------------------------------------------------------

struct browser {
    int fd;
    bool closed;
    size_t got;
    char text[4096];
};

static struct browser dial(const char *requests)
{
    struct browser browser = {.fd = cv_socket_connect(&kit.addrs[0])};
    assert_true(browser.fd >= 0);
    while (cv_socket_connect_result(browser.fd) == CV_E_AGAIN)
        kit_turn(&kit);
    struct iovec vector = {(char *)(uintptr_t)requests, strlen(requests)};
    assert_int_equal(cv_socket_write(browser.fd, &vector, 1), strlen(requests));
    return browser;
}

static bool is_closed(void *arg)
{
    struct browser *browser = arg;
    while (!browser->closed && browser->got < sizeof browser->text - 1) {
        int got = cv_socket_read(browser->fd, (uint8_t *)browser->text + browser->got,
                                 sizeof browser->text - 1 - browser->got);
        if (got == CV_E_AGAIN)
            break;
        browser->closed = got < 0;
        browser->got += got > 0 ? (size_t)got : 0;
    }
    return browser->closed;
}

static bool is_idle(void *arg)
{
    (void)arg;
    const struct cv_worker *worker = kit.workers[0];
    return !worker->sockets && !worker->disk.running && !worker->disk.waiting;
}

static struct browser ask(const char *requests)
{
    struct browser browser = dial(requests);
    assert_true(kit_until(&kit, is_closed, &browser));
    cv_socket_close(&browser.fd);
    assert_true(kit_until(&kit, is_idle, NULL));
    return browser;
}

static struct browser ask_path(const char *method, const char *path)
{
    char request[512];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\n" CLOSING, method, path);
    return ask(request);
}

static void expect(const char *path, const char *status, const char *body)
{
    struct browser browser = ask_path("GET", path);
    const char *end = strstr(browser.text, "\r\n\r\n");
    if (strncmp(browser.text + strlen("HTTP/1.1 "), status, 3) != 0 || !end ||
        (body && strcmp(end + 4, body) != 0))
        fail_msg("%s: %s", path, browser.text);
}

// ---- paths ----------------------------------------------------------------------------------

static void a_token_is_base64url_and_short(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *token; // "": none
    } rows[] = {
        {"/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
         "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"},
        {"/.well-known/acme-challenge/_", "_"},
        {"/.well-known/acme-challenge/-", "-"},
        {"/.well-known/acme-challenge/", ""},
        {"/.well-known/acme-challenge", ""},
        {"/.well-known/acme-challenge/.", ""},
        {"/.well-known/acme-challenge/..", ""},
        {"/.well-known/acme-challenge/../a", ""},
        {"/.well-known/acme-challenge/a/", ""},
        {"/.well-known/acme-challenge/a/b", ""},
        {"/.well-known/acme-challenge//a", ""},
        {"/.well-known/acme-challenge/a.b", ""},
        {"/.well-known/acme-challenge/%61", ""},
        {"/.well-known/acme-challenge/a%2fb", ""},
        {"/.well-known/acme-challenge/a\\b", ""},
        {"/.well-known/acme-challenge/a=", ""},
        {"/.well-known/acme-challenge/a+b", ""},
        {"/.well-known/acme-challenge/a\xc3\xa4", ""},
        {"/.Well-Known/acme-challenge/a", ""},
        {"//.well-known/acme-challenge/a", ""},
        {"/x/.well-known/acme-challenge/a", ""},
        {"/", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct guard path = guard_copy(rows[i].path, strlen(rows[i].path));
        struct cv_text token = cv_challenge_token((struct cv_text){(char *)path.data, path.len});
        if (!cv_text_is(token, rows[i].token))
            fail_msg("%s", rows[i].path);
        guard_free(&path);
    }
    const struct cv_text with_nul = {"/.well-known/acme-challenge/a\0b", 31};
    assert_int_equal(cv_challenge_token(with_nul).len, 0);
}

static void a_token_has_a_longest_length(void **state)
{
    (void)state;
    char path[256];
    for (int len = CV_LIMIT_ACME_TOKEN_BYTES - 1; len <= CV_LIMIT_ACME_TOKEN_BYTES + 1; len++) {
        snprintf(path, sizeof path, "/.well-known/acme-challenge/%0*d", len, 7);
        size_t expected = len <= CV_LIMIT_ACME_TOKEN_BYTES ? (size_t)len : 0;
        assert_int_equal(cv_challenge_token(cv_text_of(path)).len, expected);
    }
}

// ---- answers --------------------------------------------------------------------------------

static void answers_come_from_our_folder_and_from_the_administrators(void **state)
{
    (void)state;
    start_kit(true, true);
    expect("/" WELL_KNOWN "/token-1", "200", "token-1.ours");
    expect("/" WELL_KNOWN "/both", "200", "both.ours");
    expect("/" WELL_KNOWN "/token-2", "200", "token-2.root");
    expect("/" WELL_KNOWN "/token_3", "200", "token_3.below\n");
    expect("/" WELL_KNOWN "/token-1?x=y", "200", "token-1.ours");
    struct browser head = ask_path("HEAD", "/" WELL_KNOWN "/token-1");
    assert_non_null(strstr(head.text, "Content-Length: 12\r\n"));
    assert_non_null(strstr(head.text, "Content-Type: application/octet-stream\r\n"));
    assert_null(strstr(head.text, "token-1.ours"));
    kit_stop(&kit);
}

static void what_is_none_of_ours_is_the_sites(void **state)
{
    (void)state;
    start_kit(true, true);
    expect("/" WELL_KNOWN "/token-4", "200", "the site's own");
    expect("/" WELL_KNOWN "/with.dot", "200", "dotted");
    expect("/" WELL_KNOWN "/nothing", "404", NULL);
    expect("/" WELL_KNOWN "/empty", "404", NULL);
    expect("/" WELL_KNOWN "/large", "404", NULL);
    expect("/" WELL_KNOWN "/folder", "404", NULL);
    expect("/" WELL_KNOWN "/link", "404", NULL); // it leads outside
    expect("/" WELL_KNOWN "/../../../secret", "400", NULL);
    expect("/", "200", "home");
    struct browser posted = ask_path("POST", "/" WELL_KNOWN "/token-1");
    assert_memory_equal(posted.text, "HTTP/1.1 405", 12);
    kit_stop(&kit);
}

static void only_what_is_set_is_looked_at(void **state)
{
    (void)state;
    start_kit(false, true);
    expect("/" WELL_KNOWN "/both", "200", "both.root");
    expect("/" WELL_KNOWN "/token-1", "200", "never shown");
    kit_stop(&kit);
    start_kit(true, false);
    expect("/" WELL_KNOWN "/token-2", "404", NULL);
    kit_stop(&kit);
    start_kit(false, false);
    expect("/" WELL_KNOWN "/token-1", "200", "never shown");
    expect("/" WELL_KNOWN "/both", "404", NULL);
    kit_stop(&kit);
}

static unsigned count(const char *text, const char *part)
{
    unsigned found = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        found++;
    return found;
}

// In order, pipelined, with bodies that nobody asked for, and with a client that waits.
static void requests_around_it_are_answered_in_order(void **state)
{
    (void)state;
    start_kit(true, true);
    struct browser browser =
        ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /" WELL_KNOWN "/token-1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "GET /" WELL_KNOWN "/token-4 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "GET /" WELL_KNOWN "/token_3 HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /" WELL_KNOWN "/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET / HTTP/1.1\r\n" CLOSING);
    assert_int_equal(count(browser.text, "HTTP/1.1 200 OK"), 5);
    assert_int_equal(count(browser.text, "HTTP/1.1 404"), 1);
    const char *first = strstr(browser.text, "token-1.ours");
    const char *second = strstr(browser.text, "the site's own");
    const char *third = strstr(browser.text, "token_3.below");
    assert_true(first && second && third && first < second && second < third);
    assert_string_equal(browser.text + browser.got - 4, "home");

    browser = ask("GET /" WELL_KNOWN "/token-1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_memory_equal(browser.text, "HTTP/1.1 200", 12);
    kit_stop(&kit);
}

// ---- malice and misfortune ------------------------------------------------------------------

static bool browse_with_failure(uint64_t n)
{
    struct browser browser = dial("GET /" WELL_KNOWN "/token-1 HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "GET /" WELL_KNOWN "/token-4 HTTP/1.1\r\n" CLOSING);
    uint64_t left = n;
    while (!browser.closed) {
        cv_mem_fail_nth(left);
        kit_turn(&kit);
        left = left ? cv_mem_fail_nth(0) : 0;
        is_closed(&browser);
    }
    cv_socket_close(&browser.fd);
    assert_true(kit_until(&kit, is_idle, NULL));
    return left == 0;
}

static void bug_24_every_allocation_of_a_challenge_fails_once(void **state)
{
    (void)state;
    start_kit(true, true);
    uint64_t n = 1;
    for (; browse_with_failure(n); n++) {
        expect("/" WELL_KNOWN "/token-1", "200", "token-1.ours");
        assert_true(n < 1000);
    }
    assert_true(n > 8);
    kit_stop(&kit);
}

static void bug_24_leave_at_every_moment_of_a_challenge(void **state)
{
    (void)state;
    for (unsigned moment = 1; moment < 12; moment++) {
        start_kit(true, true);
        struct browser gone = dial("GET /" WELL_KNOWN "/token_3 HTTP/1.1\r\n" CLOSING);
        struct browser stays = dial("GET /" WELL_KNOWN "/nothing HTTP/1.1\r\n" CLOSING);
        unsigned left = moment;
        kit_until(&kit, kit_after_turns, &left);
        cv_socket_close(&gone.fd);
        kit_stop(&kit);
        cv_socket_close(&stays.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_base64url_and_short),
        cmocka_unit_test(a_token_has_a_longest_length),
        cmocka_unit_test(answers_come_from_our_folder_and_from_the_administrators),
        cmocka_unit_test(what_is_none_of_ours_is_the_sites),
        cmocka_unit_test(only_what_is_set_is_looked_at),
        cmocka_unit_test(requests_around_it_are_answered_in_order),
        cmocka_unit_test(bug_24_every_allocation_of_a_challenge_fails_once),
        cmocka_unit_test(bug_24_leave_at_every_moment_of_a_challenge),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, make_tree, drop_tree);
}
