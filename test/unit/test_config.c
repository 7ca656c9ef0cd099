// Configuration: defaults, every kind of mistake with its line, the command line on top, and a
// printed form that loads again.
#include "harness.h"

#include "base/err.h"
#include "cli/cli.h"
#include "server/config.h"
#include "server/config_value.h"
#include "server/nearest.h"

#include <stdio.h>
#include <unistd.h>

static struct cv_config *parsed(const char *text)
{
    struct cv_config *config = NULL;
    struct cv_config_why why;
    if (cv_config_parse("c.yaml", text, strlen(text), NULL, &config, &why) != CV_OK)
        fail_msg("%s", why.text);
    return config;
}

static void nothing_gives_the_defaults(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "# nothing\n", "---\n", "limits: {}\n"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        struct cv_config *config = parsed(empty[i]);
        assert_true(config->listen_default);
        assert_int_equal(config->listen_count, 2);
        assert_int_equal(config->listen[0].port, 80);
        assert_int_equal(config->listen[1].port, 1935);
        assert_int_equal(config->threads, 0);
        assert_int_equal(config->log_level, CV_LOG_INFO);
        assert_int_equal(config->latency_ms, 20);
        assert_int_equal(config->limits.media_message_bytes_max, 8 * 1024 * 1024);
        assert_int_equal(config->app_count, 1);
        const struct cv_config_app *app = cv_config_app(config, "live", 4);
        assert_non_null(app);
        assert_int_equal(app->publish, CV_ACCESS_KEY);
        assert_int_equal(app->play, CV_ACCESS_OPEN);
        assert_int_equal(app->grace_s, 15);
        assert_true(app->gop_cache);
        assert_false(app->takeover);
        assert_null(config->state_dir);
        assert_int_equal(config->trusted_proxy_count, 0);
        assert_int_equal(config->site.kind, CV_SITE_NONE);
        assert_false(cv_config_has_tls(config));
        assert_int_equal(config->tls.watch_s, 60);
        cv_config_unref(&config);
        assert_null(config);
    }
}

static const char full[] = "listen: [80, 1935, \"127.0.0.1:8080/plain\", \"[::1]:1935/tls\"]\n"
                           "threads: 4\n"
                           "log_level: debug\n"
                           "latency_ms: 0\n"
                           "state: \"/srv/a \\\"b\\\" \\\\c: #\\x01\"\n"
                           "open_publish: true\n"
                           "trusted_proxies: [127.0.0.1, 10.0.0.0/8, \"::1\", \"fd00::/8\"]\n"
                           "site: http://www.example.org:8081/\n"
                           "tls:\n"
                           "  certificates:\n"
                           "    - cert: /etc/a/fullchain.pem\n"
                           "      key: /etc/a/privkey.pem\n"
                           "    - {cert: \"b \\\"c\\\"\", key: b.pem}\n"
                           "  self_signed: true\n"
                           "  acme:\n"
                           "    directory: https://ca.example:14000/dir?a=b\n"
                           "    email: admin@a.example\n"
                           "    domains: [a.example, B-1.example, localhost]\n"
                           "    ca_file: /etc/ca.pem\n"
                           "  challenge_folder: /var/challenges/\n"
                           "  watch_s: 0\n"
                           "limits:\n"
                           "  connections_max: 5\n"
                           "  write_stall_s: 3600\n"
                           "  tunnel_window_ms: 0\n"
                           "apps:\n"
                           "  - name: live\n"
                           "    play: off\n"
                           "    takeover: true\n"
                           "  - name: \"true\"\n"
                           "    publish: open\n"
                           "    gop_cache: false\n"
                           "  - {name: a/b.c~d-e_f, publish: off, log_s_max: 1}\n";

static void every_setting_is_read(void **state)
{
    (void)state;
    struct cv_config *config = parsed(full);
    assert_false(config->listen_default);
    assert_int_equal(config->listen_count, 4);
    assert_string_equal(config->listen[2].address, "127.0.0.1");
    assert_string_equal(config->listen[3].address, "::1");
    assert_int_equal(config->listen[3].port, 1935);
    assert_int_equal(config->listen[1].takes, CV_LISTEN_ANY);
    assert_int_equal(config->listen[2].takes, CV_LISTEN_PLAIN);
    assert_int_equal(config->listen[3].takes, CV_LISTEN_TLS);
    assert_int_equal(config->threads, 4);
    assert_int_equal(config->latency_ms, 0);
    assert_string_equal(config->state_dir, "/srv/a \"b\" \\c: #\x01");
    assert_int_equal(config->trusted_proxy_count, 4);
    assert_int_equal(config->site.kind, CV_SITE_UPSTREAM);
    assert_string_equal(config->site.host, "www.example.org");
    assert_int_equal(config->site.port, 8081);
    assert_int_equal(config->limits.connections_max, 5);
    assert_int_equal(config->limits.write_stall_s, 3600);
    assert_int_equal(config->limits.tunnel_window_ms, 0);
    assert_int_equal(config->limits.idle_s, 60);
    assert_int_equal(config->app_count, 3);
    const struct cv_config_app *live = cv_config_app(config, "live", 4);
    const struct cv_config_app *word = cv_config_app(config, "true", 4);
    const struct cv_config_app *last = cv_config_app(config, "a/b.c~d-e_f", 11);
    assert_int_equal(live->play, CV_ACCESS_OFF);
    assert_true(live->takeover);
    assert_false(word->gop_cache);
    assert_int_equal(last->log_s_max, 1);
    // open_publish opens what asks for a key, but not what is off.
    assert_int_equal(cv_config_publish(config, live), CV_ACCESS_OPEN);
    assert_int_equal(cv_config_publish(config, last), CV_ACCESS_OFF);
    assert_null(cv_config_app(config, "liv", 3));
    assert_null(cv_config_app(config, "live2", 5));
    cv_config_unref(&config);
}

static void every_setting_of_tls_is_read(void **state)
{
    (void)state;
    struct cv_config *config = parsed(full);
    const struct cv_config_tls *tls = &config->tls;
    assert_true(cv_config_has_tls(config));
    assert_int_equal(tls->certificate_count, 2);
    assert_string_equal(tls->certificates[0].cert_file, "/etc/a/fullchain.pem");
    assert_string_equal(tls->certificates[0].key_file, "/etc/a/privkey.pem");
    assert_string_equal(tls->certificates[1].cert_file, "b \"c\"");
    assert_string_equal(tls->certificates[1].key_file, "b.pem");
    assert_true(tls->self_signed);
    assert_string_equal(tls->acme.directory, "https://ca.example:14000/dir?a=b");
    assert_string_equal(tls->acme.email, "admin@a.example");
    assert_int_equal(tls->acme.domain_count, 3);
    assert_string_equal(tls->acme.domains[1], "B-1.example");
    assert_string_equal(tls->acme.ca_file, "/etc/ca.pem");
    assert_string_equal(tls->challenge_folder, "/var/challenges");
    assert_int_equal(tls->watch_s, 0);
    cv_config_unref(&config);
}

static void tls_is_on_by_any_certificate(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool on;
    } rows[] = {
        {"tls: {}\n", false},
        {"tls: {watch_s: 5, challenge_folder: /tmp}\n", false},
        {"tls: {self_signed: false}\n", false},
        {"tls: {self_signed: true}\n", true},
        {"tls: {cert: a, key: b}\n", true},
        {"tls: {certificates: [{cert: a, key: a}]}\n", true},
        {"tls: {acme: {directory: \"https://a/\", domains: [a.b], email: a@b}}\n", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_config *config = parsed(rows[i].text);
        if (cv_config_has_tls(config) != rows[i].on)
            fail_msg("%s", rows[i].text);
        // Nobody named a port: then 443 is one of them.
        assert_true(config->listen_default);
        assert_int_equal(config->listen_count, rows[i].on ? 3 : 2);
        if (rows[i].on)
            assert_int_equal(config->listen[2].port, 443);
        cv_config_unref(&config);
    }
    struct cv_config *config = parsed("tls: {self_signed: true}\nlisten: [80]\n");
    assert_int_equal(config->listen_count, 1);
    cv_config_unref(&config);
}

static bool trusts(const struct cv_config *config, const char *text)
{
    struct cv_ip ip;
    assert_int_equal(cv_ip_parse(cv_text_of(text), &ip), CV_OK);
    return cv_config_trusts(config, &ip);
}

static void trusted_proxies_are_these_and_no_others(void **state)
{
    (void)state;
    struct cv_config *config = parsed(full);
    static const char *const in[] = {"127.0.0.1", "10.0.0.1", "10.255.0.1", "::1", "fd12::1"};
    static const char *const out[] = {"127.0.0.2", "11.0.0.1", "::2", "fe80::1", "0.0.0.0"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        assert_true(trusts(config, in[i]));
        assert_false(trusts(config, out[i]));
    }
    cv_config_unref(&config);
    config = parsed("trusted_proxies: []\n");
    assert_int_equal(config->trusted_proxy_count, 0);
    assert_false(trusts(config, "127.0.0.1"));
    cv_config_unref(&config);
}

// ---- mistakes -------------------------------------------------------------------------------

static const struct {
    const char *text;
    int line;
    const char *message; // part of it
} mistakes[] = {
    {"latency_ms: 5\n\ntreads: 4\n", 3, "unknown key \"treads\" (did you mean \"threads\"?)"},
    {"latency_ms: 5\napps:\n- name: a\n- name: b\n  grase_s: 1\n", 5, "did you mean \"grace_s\"?"},
    {"limits:\n  handshake: 1\n", 2, "did you mean \"handshake_s\"?"},
    {"grace_s: 5\n", 1, "it belongs under an entry of apps:"},
    {"apps:\n- name: a\n  idle_s: 6\n", 3, "it belongs under limits:"},
    {"qqqqqqqq: 5\n", 1, "known here: listen"},
    {"listen: [80]\nlatency_ms: 5\nlisten: [81]\n", 3, "listen is set twice"},
    {"limits: {idle_s: 6}\nlimits: {idle_s: 7}\n", 2, "limits is set twice"},
    {"# c\nlatency_ms: 5x\n", 2, "latency_ms is \"5x\", but must be a whole number from 0 to 1000"},
    {"latency_ms: -5\n", 1, "from 0 to 1000"},
    {"latency_ms: 0x10\n", 1, "from 0 to 1000"},
    {"latency_ms: 1001\n", 1, "from 0 to 1000"},
    {"latency_ms: 99999999999999999999999999\n", 1, "from 0 to 1000"},
    {"latency_ms: 4294967297\n", 1, "from 0 to 1000"},
    {"latency_ms:\n", 1, "latency_ms is \"\""},
    {"latency_ms: 1 2\n", 1, "latency_ms is \"1 2\""},
    {"threads: 0\n", 1, "auto or a whole number from 1 to 64"},
    {"threads: 65\n", 1, "auto or a whole number from 1 to 64"},
    {"threads: [1]\n", 1, "threads must be one plain value"},
    {"log_level: wran\n", 1, "(did you mean \"warn\"?)"},
    {"open_publish: yes\n", 1, "false or true"},
    {"limits:\n  idle_s: 4\n", 2, "from 5 to 86400"},
    {"limits: 5\n", 1, "limits must be a group of"},
    {"apps:\n- name: a\n  publish: opn\n", 3, "(did you mean \"open\"?)"},
    {"apps:\n- name: a\n  play: key\n", 3, "play is \"key\", but must be open or off"},
    {"apps:\n- name: a\n- name: b\n- name: a\n", 4, "two apps have the name \"a\""},
    {"apps:\n- {}\n- {name: live}\n", 3, "two apps have the name \"live\""},
    {"apps:\n- name: \"\"\n", 2, "letters, digits"},
    {"apps:\n- name: a?b\n", 2, "letters, digits"},
    {"apps:\n- name: ../b\n", 2, "letters, digits"},
    {"apps:\n- name: /b\n", 2, "letters, digits"},
    {"apps:\n- name: b/\n", 2, "letters, digits"},
    {"apps:\n- name: \"a\\nb\"\n", 2, "name is \"a?b\""},
    {"apps: []\n", 1, "apps is an empty list"},
    {"apps:\n  name: a\n", 1, "apps must be a list"},
    {"listen: []\n", 1, "listen is an empty list"},
    {"listen: 80\n", 1, "listen must be a list"},
    {"listen:\n- 80\n- 0\n", 3, "listen has \"0\", but takes a port"},
    {"listen: [65536]\n", 1, "listen has \"65536\""},
    {"listen: [80, 80]\n", 1, "\"80\" twice"},
    {"listen: [\"localhost:80\"]\n", 1, "listen has \"localhost:80\""},
    {"listen: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\n", 1, "listen has too many entries"},
    {"trusted_proxies: 10.0.0.0/8\n", 1, "trusted_proxies must be a list"},
    {"trusted_proxies:\n- 10.0.0.0/8\n- 10.1.0.0/8\n", 3, "trusted_proxies has \"10.1.0.0/8\""},
    {"trusted_proxies: [localhost]\n", 1, "trusted_proxies has \"localhost\", but takes addresses"},
    {"trusted_proxies: [\"\"]\n", 1, "trusted_proxies has \"\""},
    {"trusted_proxys: [\"::1\"]\n", 1, "did you mean \"trusted_proxies\"?"},
    {"state: \"\"\n", 1, "state must name a folder"},
    {"- a\n", 0, "the file must be a group of"},
    {"text\n", 0, "the file must be a group of"},
    {"a: [\n", 2, "did not find expected node content"},
    {"threads: 1\n\tlatency_ms: 2\n", 2, "tab character"},
    {"threads: 1\n---\nthreads: 2\n", 3, "only one document"},
    {"threads: &a 1\nlatency_ms: *a\n", 2, "alias"},
    {"threads: 1\n? [a]\n: 5\n", 2, "a key must be a plain word"},
    {"threads: \"\xc3(\"\n", 1, "UTF-8"},
    {"threads: 1\nsite: \"\"\n", 2, "site is \"\": must be http://HOST[:PORT], or a folder that"},
    {"site: www\n", 1,
     "site is \"www\": must be http://HOST[:PORT], or a folder that begins with /"},
    {"site: ../www\n", 1, "or a folder that begins with /"},
    {"site: localhost:3000\n", 1, "did you mean \"http://localhost:3000\"?"},
    {"site: www.example.org\n", 1, "did you mean \"http://www.example.org\"?"},
    {"site: https://a\n", 1, "https:// to the site is not supported yet; use http://"},
    {"site: ftp://a\n", 1, "unknown scheme"},
    {"site: rtmp://a\n", 1, "must be http://HOST[:PORT], or a folder"},
    {"site: http://a/b\n", 1, "nothing may stand behind HOST[:PORT]"},
    {"site: http://a?b\n", 1, "nothing may stand behind HOST[:PORT]"},
    {"site: http://u:p@a\n", 1, "a user cannot be given"},
    {"site: http://a:0\n", 1, "port is not a number from 1 to 65535"},
    {"site: http://:80\n", 1, "no host"},
    {"site: [http://a]\n", 1, "site must be one plain value"},
    {"\nsite: http://127.0.0.1\n", 2, "site is this server itself, which listens on port 80"},
    {"listen: [8081]\nsite: http://localhost:8081\n", 2, "site is this server itself"},
    {"listen: [\"[::1]:9\"]\nsite: http://[::1]:9\n", 2, "site is this server itself"},
    {"tls: {self_signed: true}\nsite: http://127.0.0.1:443\n", 2, "which listens on port 443"},
    {"listen: [80, 80/tls]\ntls: {self_signed: true}\n", 1, "\"80/tls\" twice"},
    {"listen: [80/ssl]\n", 1, "listen has \"80/ssl\", but takes a port"},
    {"threads: 1\nlisten:\n- 80\n- 443/tls\n", 4,
     "listen has \"443/tls\", but there is no certificate: set tls, with cert and key"},
    {"listen: [80/plain]\ntls:\n  self_signed: true\n", 2,
     "tls is set, but all ports of listen are for plain text"},
    {"tls: true\n", 1, "tls must be a group of"},
    {"tls:\n  self_singed: true\n", 2,
     "unknown key \"self_singed\" (did you mean \"self_signed\"?)"},
    {"tls:\n  self_signed: 1\n", 2, "self_signed is \"1\", but must be false or true"},
    {"tls:\n  watch_s: 86401\n", 2, "watch_s is \"86401\", but must be a whole number from 0"},
    {"self_signed: true\n", 1, "it belongs under tls:"},
    {"cert: a\n", 1, "it belongs under tls:"},
    {"domains: [a]\n", 1, "it belongs under tls: acme:"},
    {"tls:\n  domains: [a]\n", 2, "it belongs under tls: acme:"},
    {"tls:\n  acme:\n    watch_s: 5\n", 3, "it belongs under tls:"},
    {"tls:\n  cert: a\n", 2, "tls.key is needed beside it: the file of the certificate's key"},
    {"tls:\n\n  key: a\n", 3, "tls.cert is needed: the file of the certificate and its chain"},
    {"tls:\n  cert: a\n  key: \"\"\n", 3, "tls.key must name a file"},
    {"tls:\n  certificates: []\n", 2, "tls.certificates is an empty list"},
    {"tls:\n  certificates: a\n", 2, "tls.certificates must be a list"},
    {"tls:\n  certificates:\n  - a\n", 3, "must be a group of"},
    {"tls:\n  certificates:\n  - {cert: a, key: b}\n  - cert: a\n", 4,
     "tls.certificates[1].key is needed beside it"},
    {"tls:\n  certificates:\n  - {cert: a, key: b}\n  - {}\n", 4,
     "tls.certificates[1].cert is needed"},
    {"tls:\n  certificates:\n  - cert: a\n    kee: b\n", 4, "did you mean \"key\"?"},
    {"tls:\n  certificates: [{cert: a, key: b}]\n  key: c\n", 3,
     "tls.key stands beside tls.certificates: let it be an entry of that"},
    {"tls:\n  challenge_folder: www\n", 2, "must be a folder that begins with /"},
    {"tls:\n  acme: {}\n  acme: {}\n", 3, "tls.acme is set twice"},
    {"tls:\n  acme:\n    direktory: a\n", 3, "did you mean \"directory\"?"},
    {"tls:\n  acme:\n    directory: http://a/\n    domains: [a.b]\n", 3,
     "tls.acme.directory is \"http://a/\", but must be the https:// address of an authority"},
    {"tls:\n  acme:\n    directory: https://a/\n", 2, "tls.acme needs domains"},
    {"tls:\n  acme:\n    domains: [a.b]\n", 2, "tls.acme needs a directory"},
    {"tls:\n  acme:\n    directory: https://a/\n    domains: [a.b]\n", 2,
     "tls.acme needs an email"},
    {"tls:\n  acme:\n    email: a.example\n", 3, "tls.acme.email is \"a.example\""},
    {"tls:\n  acme:\n    email: \"a@b, c@d\"\n", 3, "must be one address"},
    {"tls:\n  acme:\n    domains:\n    - a.b\n    - \"*.b\"\n", 5,
     "tls.acme.domains has \"*.b\": names with * cannot be had this way"},
    {"tls: {acme: {domains: [192.0.2.1]}}\n", 1, "must be a name, not an address"},
    {"tls: {acme: {domains: [\"a..b\"]}}\n", 1, "must be a name, as stream.example.com"},
    {"tls: {acme: {domains: [\"a.b.\"]}}\n", 1, "must be a name, as stream.example.com"},
    {"tls: {acme: {domains: [\"-a.b\"]}}\n", 1, "must be a name, as stream.example.com"},
    {"tls: {acme: {domains: [a_b]}}\n", 1, "must be a name, as stream.example.com"},
    {"tls: {acme: {domains: [\"\"]}}\n", 1, "must be a name, as stream.example.com"},
    {"tls: {acme: {domains: [a.b, A.B]}}\n", 1, "has \"A.B\": it is there twice"},
    {"tls: {acme: {domains: []}}\n", 1, "tls.acme.domains is an empty list"},
};

static void mistakes_are_named_with_their_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        size_t len = strlen(mistakes[i].text);
        struct guard guard = guard_copy(mistakes[i].text, len);
        struct cv_config *config = NULL;
        struct cv_config_why why;
        int err = cv_config_parse("c.yaml", (const char *)guard.data, len, NULL, &config, &why);
        guard_free(&guard);
        if (err != CV_E_CONFIG || config)
            fail_msg("accepted: %s", mistakes[i].text);
        char start[32] = "c.yaml: ";
        if (mistakes[i].line)
            snprintf(start, sizeof start, "c.yaml:%d: ", mistakes[i].line);
        if (strncmp(why.text, start, strlen(start)) != 0 || !strstr(why.text, mistakes[i].message))
            fail_msg("for %s\nsaid: %s\nwant: %s%s", mistakes[i].text, why.text, start,
                     mistakes[i].message);
        assert_int_equal(why.line, mistakes[i].line);
    }
}

// Whatever the bytes, it is an answer and not a crash: the sanitizers watch.
static void any_cut_of_a_file_is_answered(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof full; len++) {
        struct guard guard = guard_copy(full, len);
        struct cv_config *config = NULL;
        struct cv_config_why why;
        int err = cv_config_parse("c.yaml", (const char *)guard.data, len, NULL, &config, &why);
        assert_true((err == CV_OK) == (config != NULL));
        assert_true((err == CV_OK) == (why.text[0] == '\0'));
        cv_config_unref(&config);
        guard_free(&guard);
    }
}

static void every_range_ends_where_it_says(void **state)
{
    (void)state;
    const struct cv_fields *all[] = {&cv_fields_top, &cv_fields_limits, &cv_fields_tls,
                                     &cv_fields_app};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t j = 0; j < all[i]->count; j++) {
            const struct cv_field *field = &all[i]->rows[j];
            char text[32];
            uint32_t value = 0;
            assert_in_range(field->value_default, field->min, field->max);
            cv_field_text(field, field->min, text, sizeof text);
            assert_int_equal(cv_field_parse(field, text, &value), CV_OK);
            assert_int_equal(value, field->min);
            cv_field_text(field, field->max, text, sizeof text);
            assert_int_equal(cv_field_parse(field, text, &value), CV_OK);
            assert_int_equal(value, field->max);
            snprintf(text, sizeof text, "%llu", (unsigned long long)field->max + 1);
            assert_int_equal(cv_field_parse(field, text, &value), CV_E_CONFIG);
        }
    }
}

// ---- the command line, printing, sharing ----------------------------------------------------

static void command_line_stands_over_the_file(void **state)
{
    (void)state;
    struct cv_config_override over = {.listen_count = 1,
                                      .has_threads = true,
                                      .threads = 2,
                                      .has_log_level = true,
                                      .log_level = CV_LOG_ERROR,
                                      .state_dir = "/over",
                                      .open_publish = true,
                                      .site = {.kind = CV_SITE_FOLDER, .folder = "/over"},
                                      .tls_cert = "/over.crt",
                                      .tls_key = "/over.key",
                                      .self_signed = true};
    assert_int_equal(cv_listen_parse("127.0.0.1:99", &over.listen[0]), CV_OK);
    const char text[] =
        "listen: [80, 81]\nthreads: 5\nlog_level: debug\nstate: /file\nsite: /file\n"
        "tls: {certificates: [{cert: a, key: b}, {cert: c, key: d}], self_signed: false}\n";
    struct cv_config *config = NULL;
    struct cv_config_why why;
    assert_int_equal(cv_config_parse("c", text, strlen(text), &over, &config, &why), CV_OK);
    assert_int_equal(config->listen_count, 1);
    assert_int_equal(config->listen[0].port, 99);
    assert_int_equal(config->threads, 2);
    assert_int_equal(config->log_level, CV_LOG_ERROR);
    assert_string_equal(config->state_dir, "/over");
    assert_string_equal(config->site.folder, "/over");
    assert_true(config->open_publish);
    assert_true(config->tls.self_signed);
    assert_int_equal(config->tls.certificate_count, 1);
    assert_string_equal(config->tls.certificates[0].cert_file, "/over.crt");
    assert_string_equal(config->tls.certificates[0].key_file, "/over.key");
    cv_config_unref(&config);
}

static char *printed(const struct cv_config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    assert_int_equal(cv_config_print(config, file), CV_OK);
    fclose(file);
    return text;
}

static void assert_same_fields(const struct cv_fields *fields, const void *a, const void *b)
{
    for (size_t i = 0; i < fields->count; i++)
        assert_int_equal(cv_field_get(&fields->rows[i], a), cv_field_get(&fields->rows[i], b));
}

static void assert_same_tls(const struct cv_config_tls *a, const struct cv_config_tls *b)
{
    assert_same_fields(&cv_fields_tls, a, b);
    assert_int_equal(a->certificate_count, b->certificate_count);
    for (uint32_t i = 0; i < a->certificate_count; i++)
        assert_memory_equal(&a->certificates[i], &b->certificates[i], sizeof a->certificates[i]);
    assert_memory_equal(&a->acme, &b->acme, sizeof a->acme);
    assert_string_equal(a->challenge_folder, b->challenge_folder);
}

static void assert_same(const struct cv_config *a, const struct cv_config *b)
{
    assert_memory_equal(a->listen, b->listen, a->listen_count * sizeof a->listen[0]);
    assert_int_equal(a->listen_count, b->listen_count);
    assert_int_equal(a->listen_default, b->listen_default);
    assert_string_equal(a->state_dir ? a->state_dir : "", b->state_dir ? b->state_dir : "");
    assert_int_equal(a->trusted_proxy_count, b->trusted_proxy_count);
    for (uint32_t i = 0; i < a->trusted_proxy_count; i++)
        assert_true(cv_ip_range_equal(&a->trusted_proxies[i], &b->trusted_proxies[i]));
    assert_memory_equal(&a->site, &b->site, sizeof a->site);
    assert_same_tls(&a->tls, &b->tls);
    assert_same_fields(&cv_fields_top, a, b);
    assert_same_fields(&cv_fields_limits, &a->limits, &b->limits);
    assert_int_equal(a->app_count, b->app_count);
    for (uint32_t i = 0; i < a->app_count; i++) {
        assert_string_equal(a->apps[i].name, b->apps[i].name);
        assert_same_fields(&cv_fields_app, &a->apps[i], &b->apps[i]);
    }
}

static void printed_form_loads_to_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        full,
                                        "open_publish: true\n",
                                        "listen: [80, 1935]\n",
                                        "site: /a b/\\\"\n",
                                        "tls: {self_signed: true}\n",
                                        "tls: {cert: \"a # b\", key: 'c: d'}\n",
                                        "listen: [443/tls, \"[::1]:80/plain\"]\n"
                                        "tls: {cert: a, key: b}\n",
                                        "site: http://[fe80::1%25eth0]\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cv_config *config = parsed(texts[i]);
        char *text = printed(config);
        struct cv_config *again = parsed(text);
        assert_same(config, again);
        char *text_again = printed(again);
        assert_string_equal(text, text_again);
        free(text);
        free(text_again);
        cv_config_unref(&config);
        cv_config_unref(&again);
    }
}

static void references_are_counted(void **state)
{
    (void)state;
    struct cv_config *config = parsed("state: /x\n");
    struct cv_config *other = cv_config_ref(config);
    cv_config_unref(&config);
    assert_string_equal(other->state_dir, "/x");
    cv_config_unref(&other);
    cv_config_unref(&other);
}

static bool parse_full(void *arg)
{
    (void)arg;
    struct cv_config *config = NULL;
    struct cv_config_why why;
    struct cv_config_override over = {.state_dir = "/over", .tls_cert = "a", .tls_key = "b"};
    int err = cv_config_parse("c.yaml", full, strlen(full), &over, &config, &why);
    if (err != CV_OK) {
        assert_int_equal(err, CV_E_NOMEM);
        assert_non_null(strstr(why.text, "out of memory"));
        assert_null(config);
    }
    cv_config_unref(&config);
    return err == CV_OK;
}

static void parsing_survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(parse_full, NULL);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    struct cv_config *config = NULL;
    struct cv_config_why why;
    assert_int_equal(cv_config_load("/does/not/exist", NULL, &config, &why), CV_E_SYSTEM);
    assert_string_equal(why.text, "/does/not/exist: No such file or directory");
    assert_int_equal(cv_config_load("/", NULL, &config, &why), CV_E_SYSTEM);
    assert_int_equal(cv_config_load("/dev/zero", NULL, &config, &why), CV_E_SYSTEM);
    assert_non_null(strstr(why.text, "1 MiB"));
    assert_null(config);
    char path[] = "/tmp/test_config_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "threads: 3\n", 11), 11);
    close(fd);
    assert_int_equal(cv_config_load(path, NULL, &config, &why), CV_OK);
    unlink(path);
    assert_int_equal(config->threads, 3);
    cv_config_unref(&config);
}

static void listen_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *address; // NULL = refused
        uint16_t port;
        enum cv_listen_takes takes;
    } rows[] = {
        {"443/tls", "", 443, CV_LISTEN_TLS},
        {"1.2.3.4:80/plain", "1.2.3.4", 80, CV_LISTEN_PLAIN},
        {"[::1]:443/tls", "::1", 443, CV_LISTEN_TLS},
        {"80/", NULL, 0, CV_LISTEN_ANY},
        {"80/any", NULL, 0, CV_LISTEN_ANY},
        {"80/TLS", NULL, 0, CV_LISTEN_ANY},
        {"80/tls/plain", NULL, 0, CV_LISTEN_ANY},
        {"/tls", NULL, 0, CV_LISTEN_ANY},
        {"80", "", 80, CV_LISTEN_ANY},
        {":80", "", 80, CV_LISTEN_ANY},
        {"*:80", "", 80, CV_LISTEN_ANY},
        {"65535", "", 65535, CV_LISTEN_ANY},
        {"1.2.3.4:5", "1.2.3.4", 5, CV_LISTEN_ANY},
        {"[::1]:80", "::1", 80, CV_LISTEN_ANY},
        {"[::ffff:1.2.3.4]:9", "::ffff:1.2.3.4", 9, CV_LISTEN_ANY},
        {"", NULL, 0, CV_LISTEN_ANY},
        {"0", NULL, 0, CV_LISTEN_ANY},
        {"65536", NULL, 0, CV_LISTEN_ANY},
        {"80 ", NULL, 0, CV_LISTEN_ANY},
        {"+80", NULL, 0, CV_LISTEN_ANY},
        {"::1:80", NULL, 0, CV_LISTEN_ANY},
        {"[1.2.3.4]:80", NULL, 0, CV_LISTEN_ANY},
        {"[]:80", NULL, 0, CV_LISTEN_ANY},
        {"[*]:80", NULL, 0, CV_LISTEN_ANY},
        {"1.2.3:80", NULL, 0, CV_LISTEN_ANY},
        {"host:80", NULL, 0, CV_LISTEN_ANY},
        {"[::1]", NULL, 0, CV_LISTEN_ANY},
        {"1.2.3.4:", NULL, 0, CV_LISTEN_ANY},
        {"[::1]80", NULL, 0, CV_LISTEN_ANY},
        {"000080", NULL, 0, CV_LISTEN_ANY},
        {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:80", NULL, 0, CV_LISTEN_ANY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_listen listen = {.port = 7};
        int err = cv_listen_parse(rows[i].text, &listen);
        if ((err == CV_OK) != (rows[i].address != NULL))
            fail_msg("%s: %d", rows[i].text, err);
        assert_int_equal(listen.port, err == CV_OK ? rows[i].port : 7);
        if (err != CV_OK)
            continue;
        assert_string_equal(listen.address, rows[i].address);
        assert_int_equal(listen.takes, rows[i].takes);
        char text[64];
        struct cv_listen again;
        cv_listen_text(&listen, text, sizeof text);
        assert_int_equal(cv_listen_parse(text, &again), CV_OK);
        assert_string_equal(again.address, listen.address);
        assert_int_equal(again.port, listen.port);
        assert_int_equal(again.takes, listen.takes);
    }
}

// ---- the site -------------------------------------------------------------------------------

struct site_row {
    const char *text;
    const char *told; // by cv_site_text
};

static void site_texts(void **state)
{
    (void)state;
    static const struct site_row rows[] = {
        {"http://127.0.0.1:8081", "http://127.0.0.1:8081"},
        {"HTTP://Host", "http://Host:80"},
        {"http://[::1]:8081/", "http://[::1]:8081"},
        {"/var/www/html", "/var/www/html"},
        {"/var/www/html//", "/var/www/html"},
        {"/", "/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_config_site site;
        struct cv_why why = {0};
        char text[CV_SITE_TEXT_BYTES];
        assert_int_equal(cv_site_parse(rows[i].text, &site, &why), CV_OK);
        cv_site_text(&site, text, sizeof text);
        assert_string_equal(text, rows[i].told);
    }
}

static void a_site_of_too_many_bytes_is_refused(void **state)
{
    (void)state;
    char text[CV_LIMIT_FOLDER_BYTES + 2];
    struct cv_config_site site = {.kind = CV_SITE_NONE};
    struct cv_why why = {0};
    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[CV_LIMIT_FOLDER_BYTES + 1] = '\0';
    assert_int_equal(cv_site_parse(text, &site, &why), CV_E_CONFIG);
    assert_int_equal(site.kind, CV_SITE_NONE);
    text[CV_LIMIT_FOLDER_BYTES] = '\0';
    assert_int_equal(cv_site_parse(text, &site, NULL), CV_OK);
}

// Another address of this machine, or another port, is not this server.
static void a_folder_that_cannot_be_served_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wrong; // NULL: it is right
    } rows[] = {
        {"/", NULL},
        {"/tmp", NULL},
        {"http://a.example", NULL},
        {"/nonexistent/site", "there is no such folder: make it, or name another one"},
        {"/etc/passwd", "this is no folder: name the folder that it lies in"},
        {"/etc/passwd/site", "there is no such folder"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_why why = {0};
        struct cv_config_override over = {.threads = 0};
        assert_int_equal(cv_site_parse(rows[i].text, &over.site, &why), CV_OK);
        struct cv_config *config = NULL;
        struct cv_config_why told = {.line = 9};
        int err = cv_config_load(NULL, &over, &config, &told);
        assert_int_equal(err, rows[i].wrong ? CV_E_CONFIG : CV_OK);
        assert_int_equal(config == NULL, rows[i].wrong != NULL);
        if (rows[i].wrong && !strstr(told.text, rows[i].wrong))
            fail_msg("%s: %s", rows[i].text, told.text);
        cv_config_unref(&config);
    }
}

static void challenge_folders_must_be_there(void **state)
{
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX";
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"tls: {challenge_folder: /nonexistent/a}\n", CV_E_CONFIG},
        {"tls: {challenge_folder: /tmp}\n", CV_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_config *config = NULL;
        struct cv_config_why why;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        size_t len = strlen(rows[i].text);
        assert_int_equal(write(fd, rows[i].text, len), len);
        close(fd);
        assert_int_equal(cv_config_load(path, NULL, &config, &why), rows[i].err);
        if (rows[i].err != CV_OK)
            assert_non_null(strstr(why.text, "tls.challenge_folder is \"/nonexistent/a\": there"));
        unlink(path);
        memcpy(path + strlen(path) - 6, "XXXXXX", 6);
        cv_config_unref(&config);
    }
}

static void a_site_beside_the_server_is_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "listen: [80]\nsite: http://127.0.0.1:8081\n",
        "listen: [\"192.0.2.1:80\"]\nsite: http://127.0.0.1\n",
        "listen: [80]\nsite: http://www.example.org\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cv_config *config = parsed(texts[i]);
        cv_config_unref(&config);
    }
}

static void nearest_words(void **state)
{
    (void)state;
    assert_int_equal(cv_edit_distance("", ""), 0);
    assert_int_equal(cv_edit_distance("abc", ""), 3);
    assert_int_equal(cv_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(cv_edit_distance("lisetn", "listen"), 1);
    assert_int_equal(cv_edit_distance("threads", "treads"), 1);
    struct cv_nearest nearest = cv_nearest_to("lsit");
    cv_nearest_try(&nearest, "remove");
    assert_null(nearest.best);
    cv_nearest_try(&nearest, "last");
    cv_nearest_try(&nearest, "list");
    cv_nearest_try(&nearest, "lost");
    assert_string_equal(nearest.best, "list");
    char huge[10000];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    nearest = cv_nearest_to(huge);
    cv_nearest_try(&nearest, "list");
    assert_null(nearest.best);
}

// ---- the documents --------------------------------------------------------------------------

// The text of a file in doc/. The caller frees it.
static char *document(const char *name)
{
    char path[1024];
    const char *corpus = getenv("CORPUS");
    assert_non_null(corpus);
    int root_len = (int)(strlen(corpus) - strlen("/test/corpus"));
    snprintf(path, sizeof path, "%.*s/doc/%s", root_len, corpus, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("no file %s", path);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 65535, file), 1, 65534);
    fclose(file);
    return text;
}

static void assert_told(const char *manual, const struct cv_field *field)
{
    char item[64];
    char value[32];
    char range[128];
    snprintf(item, sizeof item, ".It Ic %s\n", field->name);
    const char *at = strstr(manual, item);
    if (!at)
        fail_msg("the manual does not tell of %s", field->name);
    cv_field_text(field, field->value_default, value, sizeof value);
    if (field->kind == CV_FIELD_UINT)
        snprintf(range, sizeof range, "Takes %u to %u; default %s.\n", field->min, field->max,
                 value);
    else
        snprintf(range, sizeof range, "; default %s.\n", value);
    const char *end = strstr(at + 1, ".It Ic");
    const char *told = strstr(at, range);
    if (!told || (end && told > end))
        fail_msg("the manual tells another range or default of %s", field->name);
}

static void the_manual_tells_every_setting(void **state)
{
    (void)state;
    const struct cv_fields *all[] = {&cv_fields_top, &cv_fields_limits, &cv_fields_tls,
                                     &cv_fields_app};
    char *manual = document("culvert.yaml.5");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t j = 0; j < all[i]->count; j++)
            assert_told(manual, &all[i]->rows[j]);
    }
    free(manual);
}

static void the_example_file_is_right(void **state)
{
    (void)state;
    char *text = document("culvert.yaml");
    struct cv_config *config = parsed(text);
    assert_int_equal(config->app_count, 2);
    cv_config_unref(&config);
    free(text);
}

static void the_manual_tells_every_option(void **state)
{
    (void)state;
    char *manual = document("culvert.1");
    const struct cv_command *commands[] = {&cv_command_serve, &cv_command_key};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        for (size_t j = 0; j < commands[i]->option_count; j++) {
            char macro[64];
            snprintf(macro, sizeof macro, "Fl Fl %s", commands[i]->options[j].name);
            if (!strstr(manual, macro))
                fail_msg("the manual does not tell of --%s", commands[i]->options[j].name);
        }
    }
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gives_the_defaults),
        cmocka_unit_test(trusted_proxies_are_these_and_no_others),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(every_setting_of_tls_is_read),
        cmocka_unit_test(tls_is_on_by_any_certificate),
        cmocka_unit_test(challenge_folders_must_be_there),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(any_cut_of_a_file_is_answered),
        cmocka_unit_test(every_range_ends_where_it_says),
        cmocka_unit_test(command_line_stands_over_the_file),
        cmocka_unit_test(printed_form_loads_to_the_same),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(parsing_survives_failing_memory),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(listen_texts),
        cmocka_unit_test(site_texts),
        cmocka_unit_test(a_site_of_too_many_bytes_is_refused),
        cmocka_unit_test(a_folder_that_cannot_be_served_is_refused),
        cmocka_unit_test(a_site_beside_the_server_is_fine),
        cmocka_unit_test(nearest_words),
        cmocka_unit_test(the_manual_tells_every_setting),
        cmocka_unit_test(the_manual_tells_every_option),
        cmocka_unit_test(the_example_file_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
