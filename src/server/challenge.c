#include "server/challenge.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/file.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/web.h"
#include "server/worker.h"

#include <string.h>

static const char prefix[] = "/.well-known/acme-challenge/";

// What tools call a web root has that path below it.
static const char *const administrators[] = {"", "/.well-known/acme-challenge"};

enum { PLACES = 1 + sizeof administrators / sizeof administrators[0] };

// One request, while its file is looked for.
struct challenge {
    struct cv_web *web;
    struct cv_worker *worker;
    struct cv_file *file; // NULL: between two places
    unsigned place;       // that is looked at
    char token[CV_LIMIT_ACME_TOKEN_BYTES + 1];
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct cv_text cv_challenge_token(struct cv_text path)
{
    const struct cv_text none = {NULL, 0};
    if (!cv_text_starts(path, prefix))
        return none;
    struct cv_text token = cv_text_skip(path, sizeof prefix - 1);
    if (token.len == 0 || token.len > CV_LIMIT_ACME_TOKEN_BYTES)
        return none;
    for (size_t i = 0; i < token.len; i++) {
        if (!memchr(alphabet, token.at[i], sizeof alphabet - 1))
            return none;
    }
    return token;
}

// ---- the end of a request -------------------------------------------------------------------

static struct cv_web *challenge_free(struct challenge *challenge)
{
    struct cv_web *web = challenge->web;
    cv_file_close(&challenge->file);
    cv_mem_free(challenge);
    return web;
}

// For people who wonder whether the authority has come.
static void log_answer(const struct challenge *challenge, uint32_t status)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "tls.challenge");
    cv_client_log_fields(challenge->web, &line);
    cv_line_text(&line, "token", challenge->token);
    cv_line_uint(&line, "status", status);
    cv_line_end(&line);
}

static void answer(struct challenge *challenge, const struct cv_block *block)
{
    log_answer(challenge, 200);
    const struct cv_http1_answer whole = {
        .status = 200, .type = "application/octet-stream", .body = block->data, .len = block->len};
    cv_web_answer(challenge_free(challenge), &whole);
}

static void fail(struct challenge *challenge)
{
    log_answer(challenge, 500);
    cv_web_answer_text(challenge_free(challenge), 500, "This cannot be read now.\n");
}

// ---- looking --------------------------------------------------------------------------------

static void look(struct challenge *challenge);

static void on_opened(void *arg, int code, const struct cv_file_info *info)
{
    struct challenge *challenge = arg;
    bool fits = code == CV_OK && !info->folder && info->size > 0 &&
                info->size <= CV_LIMIT_ACME_ANSWER_BYTES;
    if (fits) {
        cv_file_read(challenge->file, 0, (size_t)info->size);
        return;
    }
    cv_file_close(&challenge->file);
    if (code == CV_OK || code == CV_E_NOT_FOUND) { // or something that is no answer
        challenge->place++;
        look(challenge);
        return;
    }
    fail(challenge);
}

static void on_read(void *arg, int code, struct cv_block *block)
{
    if (code == CV_OK)
        answer(arg, block);
    else
        fail(arg);
    cv_block_unref(&block);
}

// A folder of the list, "" where nothing is set. `text` is room for it.
static const char *place(const struct challenge *challenge, char *text, size_t size)
{
    const struct cv_config_tls *tls = &challenge->worker->policy->config->tls;
    if (challenge->place == 0)
        return tls->acme.directory[0] ? challenge->worker->shared->challenge_folder : "";
    if (!tls->challenge_folder[0])
        return "";
    snprintf(text, size, "%s%s", tls->challenge_folder, administrators[challenge->place - 1]);
    return text;
}

// Goes on with the first place from here on that is set; behind the last one it is the site's.
static void look(struct challenge *challenge)
{
    static const struct cv_file_user user = {.opened = on_opened, .read = on_read};
    char text[CV_LIMIT_FOLDER_BYTES + sizeof prefix];
    for (; challenge->place < PLACES; challenge->place++) {
        const char *folder = place(challenge, text, sizeof text);
        if (!folder[0])
            continue;
        challenge->file = cv_file_open(&challenge->worker->disk, folder, challenge->token, NULL,
                                       &user, challenge);
        if (!challenge->file)
            fail(challenge);
        return;
    }
    cv_web_pass(challenge_free(challenge));
}

// ---- the request ----------------------------------------------------------------------------

static void on_end(void *arg)
{
    (void)arg;
    CV_UNREACHABLE(); // the body is not wanted, so it does not end
}

static void on_gone(void *arg)
{
    challenge_free(arg);
}

static const struct cv_responder responder = {.end = on_end, .gone = on_gone, .patient = true};

static bool is_for_us(const struct cv_web *web, const struct cv_http1_head *head)
{
    const struct cv_config_tls *tls = &cv_web_conn(web)->worker->policy->config->tls;
    return (tls->acme.directory[0] || tls->challenge_folder[0]) && !cv_web_was_passed(web) &&
           (head->method == CV_METHOD_GET || head->method == CV_METHOD_HEAD);
}

int cv_challenge_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_text token = cv_challenge_token(head->path);
    if (token.len == 0 || !is_for_us(web, head))
        return 0;
    struct challenge *challenge = cv_mem_zero(1, sizeof *challenge);
    if (!challenge)
        return CV_E_NOMEM;
    challenge->web = web;
    challenge->worker = cv_web_conn(web)->worker;
    memcpy(challenge->token, token.at, token.len);
    cv_web_respond(web, &responder, challenge);
    cv_web_want_body(web, false);
    look(challenge);
    return 1;
}
