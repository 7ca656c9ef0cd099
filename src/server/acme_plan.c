#include "server/acme_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// ---- time -----------------------------------------------------------------------------------

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// A part of `most`, from 0 on.
static int64_t spread(int64_t most, uint32_t jitter)
{
    return (int64_t)((uint64_t)most * jitter >> 32);
}

int64_t cv_acme_due_s(const struct cv_acme_have *have, uint32_t jitter, int64_t now_s)
{
    if (!have->fits || have->not_after_s <= now_s || have->not_before_s >= have->not_after_s)
        return now_s;
    int64_t third_s = (have->not_after_s - have->not_before_s) / 3;
    int64_t late_s = spread(min_of(CV_ACME_JITTER_S, third_s / 8), jitter);
    return have->not_after_s - third_s + late_s;
}

int64_t cv_acme_wait_s(const struct cv_acme_past *past, uint32_t jitter)
{
    int64_t wait_s = CV_ACME_WAIT_S;
    if (past->failures == 0)
        return 0;
    for (uint32_t i = 1; i < past->failures && wait_s < CV_ACME_WAIT_MAX_S; i++)
        wait_s *= 2;
    wait_s = max_of(min_of(wait_s, CV_ACME_WAIT_MAX_S), past->limited ? CV_ACME_LIMITED_S : 0);
    return wait_s + spread(wait_s / 8, jitter);
}

int64_t cv_acme_ask_s(const struct cv_acme_have *have, const struct cv_acme_past *past,
                      uint32_t jitter, bool hurried, int64_t now_s)
{
    int64_t due_s = cv_acme_due_s(have, jitter, now_s);
    if (past->failures == 0)
        return due_s;
    int64_t wait_s = cv_acme_wait_s(past, jitter);
    if (hurried && !past->limited)
        wait_s = min_of(wait_s, CV_ACME_WAIT_S);
    int64_t failed_s = min_of(past->failed_s, now_s); // the clock may have been set back
    return max_of(due_s, failed_s + wait_s);
}

int64_t cv_acme_sleep_s(int64_t ask_s, int64_t now_s)
{
    return ask_s <= now_s ? 1 : min_of(ask_s - now_s, CV_ACME_LOOK_S);
}

void cv_acme_fail(struct cv_acme_past *past, bool limited, int64_t now_s)
{
    if (past->failures < UINT32_MAX)
        past->failures++;
    past->failed_s = now_s;
    past->limited = limited;
}

// ---- memory ---------------------------------------------------------------------------------

static const char past_form[] = "failures %" PRIu32 "\nlast %" PRId64 "\nlimited %d\nasked %s\n";

bool cv_acme_past_write(const struct cv_acme_past *past, const char *asked, char *out, size_t size)
{
    int len = snprintf(out, size, past_form, past->failures, past->failed_s, past->limited, asked);
    return len >= 0 && (size_t)len < size;
}

// The value behind "NAME " on the next line.
static bool take_value(struct cv_text *rest, const char *name, uint64_t max, uint64_t *out)
{
    struct cv_text line = cv_text_take(rest, '\n');
    struct cv_text key = cv_text_take(&line, ' ');
    return cv_text_is(key, name) && cv_text_u64(line, 0, max, out) == 0;
}

struct cv_acme_past cv_acme_past_read(struct cv_text text, const char *asked)
{
    const struct cv_acme_past none = {0};
    uint64_t failures;
    uint64_t failed_s;
    uint64_t limited;
    if (!take_value(&text, "failures", UINT32_MAX, &failures) ||
        !take_value(&text, "last", INT64_MAX / 2, &failed_s) ||
        !take_value(&text, "limited", 1, &limited))
        return none;
    struct cv_text line = cv_text_take(&text, '\n');
    if (!cv_text_is(cv_text_take(&line, ' '), "asked") || !cv_text_is(line, asked))
        return none;
    return (struct cv_acme_past){
        .failures = (uint32_t)failures, .failed_s = (int64_t)failed_s, .limited = limited};
}

// ---- words ----------------------------------------------------------------------------------

// What lines of lego, with the authority's words in them, mean to an administrator. The first row
// that is found counts. Errors of authorities: RFC 8555, 6.7.
static const struct {
    const char *part;
    const char *advice;
} meanings[] = {
    {"acme:error:connection",
     "port 80 of this name cannot be reached from outside: open it in the firewall, forward it to "
     "this server, and let the server listen on it"},
    {"acme:error:dns",
     "the authority finds no address of this name: set its A record, and its AAAA record if any"},
    {"acme:error:unauthorized",
     "something else answers on port 80 of this name: its addresses, A and AAAA, must lead to this "
     "server"},
    {"acme:error:incorrectResponse",
     "something else answers on port 80 of this name: its addresses, A and AAAA, must lead to this "
     "server"},
    {"acme:error:rateLimited",
     "the authority was asked too often: nothing to do but to wait; for trials use its staging "
     "directory"},
    {"acme:error:caa", "a CAA record of this name forbids this authority: change it in the DNS"},
    {"acme:error:rejectedIdentifier", "this authority gives no certificate for this name"},
    {"acme:error:externalAccountRequired",
     "this authority wants an account beforehand: use certbot with tls.challenge_folder"},
    {"acme:error:invalidContact", "the authority does not take the address in tls.acme.email"},
    {"acme:error:unsupportedContact", "the authority does not take the address in tls.acme.email"},
    {"acme:error:userActionRequired", "the authority has changed its terms: follow its words"},
    {"x509:", "the directory's own certificate is not trusted here: look at tls.acme.directory; "
              "the CA of an "
              "authority of your own goes into tls.acme.ca_file"},
    {"no such host",
     "the host in tls.acme.directory cannot be found: look at it, and at the DNS of this machine"},
    {"get directory at",
     "tls.acme.directory cannot be reached from here: look at it; a proxy is taken from the "
     "variable HTTPS_PROXY"},
};

static bool holds(struct cv_text text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (memcmp(text.at + i, part, len) == 0)
            return true;
    }
    return false;
}

// "2026/11/22 22:30:38 " before it.
struct cv_text cv_acme_words(struct cv_text line)
{
    enum { CHARS = sizeof "2026/11/22 22:30:38" - 1 };
    bool timed = line.len > CHARS && line.at[4] == '/' && line.at[7] == '/' && line.at[13] == ':' &&
                 line.at[CHARS] == ' ';
    return cv_text_trim(timed ? cv_text_skip(line, CHARS) : line);
}

static const char *meaning_of(struct cv_text line)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (holds(line, meanings[i].part))
            return meanings[i].advice;
    }
    return NULL;
}

// Of lines that mean something the first counts, of others the last.
void cv_acme_hear(struct cv_acme_heard *heard, struct cv_text line)
{
    heard->lines += heard->lines < UINT32_MAX;
    line = cv_acme_words(line);
    if (line.len == 0 || heard->advice || cv_text_starts(line, "[INFO]"))
        return;
    heard->advice = meaning_of(line);
    heard->limited = holds(line, "acme:error:rateLimited");
    size_t len = line.len < sizeof heard->words - 1 ? line.len : sizeof heard->words - 1;
    memcpy(heard->words, line.at, len);
    heard->words[len] = '\0';
}
