// Publish keys: making one, and asking whether one opens a stream.
//
// `struct cv_keys` is an immutable picture of the store's keys that all threads share through
// references; a change in the store makes a new one. It knows hashes only.
#ifndef CV_SERVER_KEYS_H
#define CV_SERVER_KEYS_H

#include "server/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CV_KEY_RANDOM_BYTES = 16,                    // 128 bits
    CV_KEY_TEXT_BYTES = 2 * CV_KEY_RANDOM_BYTES, // in hex: nothing to escape in a URL
};

struct cv_keys;

// A picture of `count` rows (copied; NULL with 0 is allowed). One reference, or NULL when there is
// no memory.
struct cv_keys *cv_keys_new(const struct cv_key_row *rows, size_t count);
// A picture of the store as it is now. Blocking. 0, or CV_E_STORE, CV_E_NOMEM with *out untouched.
int cv_keys_load(struct cv_store *store, struct cv_keys **out, struct cv_why *why);
// One more reference, which is returned. Any thread.
struct cv_keys *cv_keys_ref(struct cv_keys *keys);
// Gives up a reference and clears the pointer; the last one frees. *keys may be NULL.
void cv_keys_unref(struct cv_keys **keys);
size_t cv_keys_count(const struct cv_keys *keys);

// True when `key` (key_len bytes, from the peer) is a key of this app and stream. Takes the same
// time whichever key is right: every row is compared, in constant time.
bool cv_keys_allow(const struct cv_keys *keys, const char *app, const char *stream, const char *key,
                   size_t key_len);

// A new random key as text with a NUL. 0, or CV_E_SYSTEM when the machine has no random bytes.
int cv_key_make(char out[CV_KEY_TEXT_BYTES + 1]);
// The hash under which a key is kept. 0 or CV_E_SYSTEM.
int cv_key_hash(const char *key, size_t len, uint8_t out[CV_KEY_HASH_BYTES]);
// Makes a key for app and stream ("" = every stream), stores its hash, and gives the key itself out
// this one time. 0, or an error of cv_store_key_add, or CV_E_USAGE for names that no stream has.
int cv_key_add(struct cv_store *store, const char *app, const char *stream, const char *label,
               char out[CV_KEY_TEXT_BYTES + 1], int64_t *out_id, struct cv_why *why);

#endif
