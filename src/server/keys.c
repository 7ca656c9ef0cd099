#include "server/keys.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/secret.h"
#include "io/openssl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct cv_keys {
    atomic_uint refs;
    size_t count;
    struct cv_key_row rows[];
};

// ---- the picture ----------------------------------------------------------------------------

struct cv_keys *cv_keys_new(const struct cv_key_row *rows, size_t count)
{
    CV_ASSERT(count <= CV_LIMIT_KEYS);
    struct cv_keys *keys = cv_mem_alloc(sizeof *keys + count * sizeof keys->rows[0]);
    if (!keys)
        return NULL;
    atomic_init(&keys->refs, 1);
    keys->count = count;
    if (count > 0)
        memcpy(keys->rows, rows, count * sizeof keys->rows[0]);
    return keys;
}

int cv_keys_load(struct cv_store *store, struct cv_keys **out, struct cv_why *why)
{
    struct cv_key_row *rows;
    size_t count;
    int err = cv_store_keys(store, &rows, &count, why);
    if (err != CV_OK)
        return err;
    struct cv_keys *keys = cv_keys_new(rows, count);
    cv_mem_free(rows);
    if (!keys)
        return cv_why_set(why, CV_E_NOMEM, "keys", "no memory for %zu keys", count);
    *out = keys;
    return CV_OK;
}

struct cv_keys *cv_keys_ref(struct cv_keys *keys)
{
    unsigned before = atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    CV_ASSERT(before > 0);
    return keys;
}

void cv_keys_unref(struct cv_keys **keys)
{
    struct cv_keys *gone = *keys;
    *keys = NULL;
    if (!gone)
        return;
    unsigned before = atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel);
    CV_ASSERT(before > 0);
    if (before == 1)
        cv_mem_free(gone);
}

size_t cv_keys_count(const struct cv_keys *keys)
{
    return keys->count;
}

// App and stream are no secrets: plain comparison.
static bool row_covers(const struct cv_key_row *row, const char *app, const char *stream)
{
    return strcmp(row->app, app) == 0 &&
           (row->stream[0] == '\0' || strcmp(row->stream, stream) == 0);
}

bool cv_keys_allow(const struct cv_keys *keys, const char *app, const char *stream, const char *key,
                   size_t key_len)
{
    uint8_t hash[CV_KEY_HASH_BYTES];
    if (key_len == 0 || key_len > CV_LIMIT_KEY_BYTES || cv_key_hash(key, key_len, hash) != CV_OK)
        return false;
    bool allowed = false;
    for (size_t i = 0; i < keys->count; i++) {
        const struct cv_key_row *row = &keys->rows[i];
        bool same = cv_ct_equal(row->hash, hash, sizeof hash);
        allowed |= same & row_covers(row, app, stream);
    }
    return allowed;
}

// ---- making one -----------------------------------------------------------------------------

int cv_key_make(char out[CV_KEY_TEXT_BYTES + 1])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t random[CV_KEY_RANDOM_BYTES];
    if (cv_crypto_openssl.random(random, sizeof random) != CV_OK)
        return CV_E_SYSTEM;
    for (size_t i = 0; i < sizeof random; i++) {
        out[2 * i] = hex[random[i] >> 4];
        out[2 * i + 1] = hex[random[i] & 15];
    }
    out[CV_KEY_TEXT_BYTES] = '\0';
    return CV_OK;
}

int cv_key_hash(const char *key, size_t len, uint8_t out[CV_KEY_HASH_BYTES])
{
    return cv_sha256(key, len, out);
}

// Fits, and has nothing in it that a name in a URL or a line of a list cannot have.
static bool word_valid(const char *text, size_t len_max, const char *forbidden)
{
    if (strlen(text) > len_max || text[strcspn(text, forbidden)] != '\0')
        return false;
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

int cv_key_add(struct cv_store *store, const char *app, const char *stream, const char *label,
               char out[CV_KEY_TEXT_BYTES + 1], int64_t *out_id, struct cv_why *why)
{
    if (app[0] == '\0' || !word_valid(app, CV_LIMIT_APP_NAME_BYTES, " ?#"))
        return cv_why_set(why, CV_E_USAGE, "key", "no app can have the name \"%s\"", app);
    if (!word_valid(stream, CV_LIMIT_NAME_BYTES, " ?#"))
        return cv_why_set(why, CV_E_USAGE, "key", "no stream can have the name \"%s\"", stream);
    if (!word_valid(label, CV_LIMIT_LABEL_BYTES, ""))
        return cv_why_set(why, CV_E_USAGE, "key", "a label is one line of at most %d bytes",
                          CV_LIMIT_LABEL_BYTES);
    struct cv_key_row row = {.created_s = (int64_t)time(NULL)};
    snprintf(row.app, sizeof row.app, "%s", app);
    snprintf(row.stream, sizeof row.stream, "%s", stream);
    snprintf(row.label, sizeof row.label, "%s", label);
    char key[CV_KEY_TEXT_BYTES + 1];
    if (cv_key_make(key) != CV_OK || cv_key_hash(key, CV_KEY_TEXT_BYTES, row.hash) != CV_OK)
        return cv_why_set(why, CV_E_SYSTEM, "key", "the system gives no random bytes");
    int err = cv_store_key_add(store, &row, out_id, why);
    if (err == CV_OK)
        memcpy(out, key, sizeof key);
    explicit_bzero(key, sizeof key);
    return err;
}
