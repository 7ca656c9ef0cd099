#include "server/acme.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/process.h"
#include "server/acme_files.h"
#include "server/acme_plan.h"
#include "server/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char place[] = "acme";

enum {
    ASKED_CHARS = 64, // an HMAC in hex
    ARGS_MAX = 2 * CV_LIMIT_ACME_DOMAINS + 20,
    PIECE_BYTES = 200,      // of a line of the client, in a line of the log
    LAST_DAYS_S = 7 * 86400 // a certificate that ends so soon is an error, no longer a warning
};

static const uint64_t second_us = 1000000;

struct cv_acme {
    struct cv_loop *loop;
    void (*obtained)(void *arg);
    void *arg;
    struct cv_config *config; // a reference; NULL: none yet
    struct cv_acme_files files;
    struct cv_timer timer;
    struct cv_process *process;  // NULL: nothing runs
    char asked[ASKED_CHARS + 1]; // names the question; "": nothing is asked
    struct cv_acme_past past;    // of that question
    struct cv_acme_heard heard;  // of the run
    uint32_t jitter;
    bool hurried; // an administrator has just looked into it
    bool told;    // when it is asked for next
};

static int64_t now_s(void)
{
    return (int64_t)(cv_clock_wall_ms() / 1000);
}

static const struct cv_config_acme *wanted(const struct cv_acme *acme)
{
    return &acme->config->tls.acme;
}

// ---- log ------------------------------------------------------------------------------------

// A line of the client's, in pieces, since a value in the log has its limit.
static void log_output(struct cv_text text)
{
    while (text.len > 0) {
        size_t len = text.len < PIECE_BYTES ? text.len : PIECE_BYTES;
        struct cv_line line;
        cv_line_begin(&line, CV_LOG_INFO, "acme.client");
        cv_line_str(&line, "says", text.at, len);
        cv_line_end(&line);
        text = cv_text_skip(text, len);
    }
}

static void log_plan(const struct cv_acme_have *have, int64_t after_s)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "acme.next");
    if (have->fits)
        cv_line_int(&line, "days_left", (have->not_after_s - now_s()) / 86400);
    cv_line_int(&line, "after_s", after_s);
    cv_line_end(&line);
}

static void log_failure(const struct cv_acme *acme, const char *words, const char *advice)
{
    struct cv_acme_have have = cv_acme_files_have(&acme->files, wanted(acme), now_s());
    bool last_days = !have.fits || have.not_after_s - now_s() < LAST_DAYS_S;
    struct cv_line line;
    cv_line_begin(&line, last_days ? CV_LOG_ERROR : CV_LOG_WARN, "acme.failed");
    cv_line_text(&line, "why", words);
    if (advice)
        cv_line_text(&line, "hint", advice);
    cv_line_uint(&line, "failures", acme->past.failures);
    cv_line_int(&line, "again_s", cv_acme_wait_s(&acme->past, acme->jitter));
    cv_line_text(&line, "in_use", have.fits ? "the certificate from before" : "none of these");
    cv_line_end(&line);
}

// ---- what comes of it -----------------------------------------------------------------------

static void look(struct cv_acme *acme);

static void keep_past(struct cv_acme *acme)
{
    struct cv_why why = {0};
    if (cv_acme_files_keep(&acme->files, &acme->past, acme->asked, &why) != CV_OK)
        cv_log_text(CV_LOG_ERROR, "acme.forgets", "why", why.text);
}

static void fail(struct cv_acme *acme, const char *words, const char *advice)
{
    cv_acme_fail(&acme->past, acme->heard.limited, now_s());
    keep_past(acme);
    acme->hurried = false;
    acme->told = true;
    log_failure(acme, words, advice);
    look(acme);
}

static void succeed(struct cv_acme *acme)
{
    struct cv_why why = {0};
    if (cv_acme_files_take(&acme->files, wanted(acme), now_s(), &why) != CV_OK) {
        fail(acme, why.text, "the authority's certificate is of no use");
        return;
    }
    struct cv_acme_have have = cv_acme_files_have(&acme->files, wanted(acme), now_s());
    if (cv_acme_due_s(&have, acme->jitter, now_s()) <= now_s()) { // else there would be no end
        acme->obtained(acme->arg);
        fail(acme, "the new certificate is due at once", "look at the clock of this machine");
        return;
    }
    acme->past = (struct cv_acme_past){0};
    keep_past(acme);
    acme->told = acme->hurried = false;
    cv_log_text(CV_LOG_INFO, "acme.obtained", "file", acme->files.certificate);
    acme->obtained(acme->arg);
    look(acme);
}

static void on_line(void *arg, const char *text, size_t len)
{
    struct cv_acme *acme = arg;
    struct cv_text line = cv_acme_words((struct cv_text){text, len});
    cv_acme_hear(&acme->heard, line);
    if (acme->heard.lines < CV_LIMIT_ACME_LINES)
        log_output(line);
    else if (acme->heard.lines == CV_LIMIT_ACME_LINES)
        cv_log_text(CV_LOG_WARN, "acme.client", "says", "more than is shown");
}

static void on_ended(void *arg, const struct cv_process_end *end)
{
    struct cv_acme *acme = arg;
    struct cv_acme_heard *heard = &acme->heard;
    char words[64] = "the client ended without a word";
    cv_process_free(&acme->process);
    if (end->signal == 0 && end->status == 0) {
        succeed(acme);
        return;
    }
    if (end->timed_out)
        snprintf(words, sizeof words, "the client was ended after %d s", CV_ACME_RUN_S);
    else if (end->signal != 0)
        snprintf(words, sizeof words, "the client was ended by signal %d", end->signal);
    bool spoke = heard->words[0] && !end->timed_out && end->signal == 0;
    fail(acme, spoke ? heard->words : words, heard->advice);
}

// ---- asking ---------------------------------------------------------------------------------

static void fail_start(struct cv_acme *acme, int err)
{
    switch (err) {
    case CV_E_NOT_FOUND:
        fail(acme, "the program lego is not there",
             "install the package lego; or use certbot, and tls.challenge_folder");
        return;
    case CV_E_DENIED:
        fail(acme, "the program lego may not be started", "let this user execute it");
        return;
    default:
        fail(acme, cv_err_text(err), "the program lego could not be started");
    }
}

static void arguments(const struct cv_acme *acme, const char *argv[ARGS_MAX + 1])
{
    const struct cv_config_acme *config = wanted(acme);
    const char *const first[] = {
        "lego",        "--accept-tos",   "--server",         config->directory, "--email",
        config->email, "--path",         acme->files.client, "--key-type",      "ec256",
        "--http",      "--http.webroot", acme->files.webroot};
    size_t count = sizeof first / sizeof first[0];
    memcpy(argv, first, sizeof first);
    for (uint32_t i = 0; i < config->domain_count; i++) {
        argv[count++] = "--domains";
        argv[count++] = config->domains[i];
    }
    argv[count++] = "run";
    CV_ASSERT(count <= ARGS_MAX);
    argv[count] = NULL;
}

// Whatever the authority, its directory is trusted by this file only, where there is one.
static int start(struct cv_acme *acme)
{
    static const struct cv_process_user user = {.line = on_line, .ended = on_ended};
    static const char name[] = "LEGO_CA_CERTIFICATES=";
    const struct cv_config_acme *config = wanted(acme);
    const char *argv[ARGS_MAX + 1];
    char trust[sizeof name + CV_LIMIT_FOLDER_BYTES];
    const char *const env[] = {config->ca_file[0] ? trust : NULL, NULL};
    snprintf(trust, sizeof trust, "%s%s", name, config->ca_file);
    arguments(acme, argv);
    const struct cv_process_plan plan = {
        .argv = argv, .env = env, .limit_ms = (uint64_t)CV_ACME_RUN_S * 1000};
    return cv_process_start(&acme->process, acme->loop, &plan, &user, acme);
}

static void ask(struct cv_acme *acme)
{
    struct cv_why why = {0};
    acme->heard = (struct cv_acme_heard){0};
    if (cv_acme_files_make(&acme->files, &why) != CV_OK) {
        fail(acme, why.text, NULL);
        return;
    }
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "acme.ask");
    cv_line_text(&line, "directory", wanted(acme)->directory);
    cv_line_text(&line, "domain", wanted(acme)->domains[0]);
    cv_line_uint(&line, "domains", wanted(acme)->domain_count);
    cv_line_end(&line);
    int err = start(acme);
    if (err != CV_OK)
        fail_start(acme, err);
}

// Asks, or sleeps.
static void look(struct cv_acme *acme)
{
    int64_t now = now_s();
    if (acme->process || !acme->asked[0])
        return;
    struct cv_acme_have have = cv_acme_files_have(&acme->files, wanted(acme), now);
    int64_t ask_s = cv_acme_ask_s(&have, &acme->past, acme->jitter, acme->hurried, now);
    if (ask_s <= now) {
        ask(acme);
        return;
    }
    if (!acme->told)
        log_plan(&have, ask_s - now);
    acme->told = true;
    cv_timer_start(&acme->timer, (uint64_t)cv_acme_sleep_s(ask_s, now) * second_us);
}

static void on_timer(void *arg)
{
    look(arg);
}

// ---- configuration ----------------------------------------------------------------------------

// The authority comes to port 80, whatever port it was told of.
static void warn_port(const struct cv_config *config)
{
    for (uint32_t i = 0; i < config->listen_count; i++) {
        if (config->listen[i].port == CV_PORT_HTTP && config->listen[i].takes != CV_LISTEN_TLS)
            return;
    }
    cv_log_text(CV_LOG_WARN, "acme.port", "hint",
                "the authority comes to port 80, where this server does not listen: forward it");
}

// A new account, or other names, are another question: what failed before does not matter to it.
static int name_question(const struct cv_config_acme *acme, char out[ASKED_CHARS + 1])
{
    uint8_t digest[CV_SHA256_BYTES] = {0};
    const char *const texts[] = {acme->directory, acme->email, acme->ca_file};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] + acme->domain_count; i++) {
        const char *text = i < 3 ? texts[i] : acme->domains[i - 3];
        uint8_t key[CV_SHA256_BYTES];
        memcpy(key, digest, sizeof key);
        int err =
            cv_crypto_openssl.hmac_sha256(key, sizeof key, text, strlen(text), NULL, 0, digest);
        if (err != CV_OK)
            return err;
    }
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return CV_OK;
}

static void become(struct cv_acme *acme, const char *asked)
{
    if (strcmp(acme->asked, asked) == 0)
        return;
    cv_process_free(&acme->process);
    cv_timer_stop(&acme->timer);
    snprintf(acme->asked, sizeof acme->asked, "%s", asked);
    acme->told = false;
    acme->past = (struct cv_acme_past){0};
    if (asked[0])
        acme->past = cv_acme_files_past(&acme->files, asked);
}

// Not at once: nobody is answered before the loop runs.
void cv_acme_set(struct cv_acme *acme, struct cv_config *config)
{
    char asked[ASKED_CHARS + 1] = "";
    struct cv_config *before = acme->config;
    bool first = !before;
    acme->config = cv_config_ref(config);
    if (wanted(acme)->directory[0] && name_question(wanted(acme), asked) != CV_OK)
        cv_log_text(CV_LOG_ERROR, "acme.failed", "why", "no digest");
    become(acme, asked);
    cv_config_unref(&before);
    acme->hurried = !first;
    if (!asked[0])
        return;
    warn_port(config);
    if (!acme->process)
        cv_timer_start(&acme->timer, second_us);
}

// ---- life -----------------------------------------------------------------------------------

int cv_acme_new(struct cv_acme **out, struct cv_loop *loop, const char *folder,
                void (*obtained)(void *arg), void *arg, struct cv_why *why)
{
    struct cv_acme *acme = cv_mem_zero(1, sizeof *acme);
    if (!acme)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory to start");
    acme->loop = loop;
    acme->obtained = obtained;
    acme->arg = arg;
    cv_timer_init(&acme->timer, loop, on_timer, acme);
    int err = cv_acme_files_of(&acme->files, folder, why);
    if (err == CV_OK && cv_crypto_openssl.random(&acme->jitter, sizeof acme->jitter) != CV_OK)
        err = cv_why_set(why, CV_E_SYSTEM, place, "no random numbers");
    if (err != CV_OK) {
        cv_acme_free(&acme);
        return err;
    }
    *out = acme;
    return CV_OK;
}

void cv_acme_free(struct cv_acme **acme)
{
    struct cv_acme *gone = *acme;
    *acme = NULL;
    if (!gone)
        return;
    cv_timer_stop(&gone->timer);
    cv_process_free(&gone->process);
    cv_config_unref(&gone->config);
    cv_mem_free(gone);
}

const char *cv_acme_challenges(const struct cv_acme *acme)
{
    return acme->files.challenges;
}
