// The store: one SQLite file, culvert.db, in the state folder. It keeps the publish keys' hashes.
//
// Blocking: never on a loop thread. One thread at a time per handle; several processes may have the
// file open (`culvert key add` while the server runs).
#ifndef CV_SERVER_STORE_H
#define CV_SERVER_STORE_H

#include "base/err.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

enum { CV_KEY_HASH_BYTES = 32 }; // SHA-256

struct cv_store;

// One publish key as it is kept: never the key itself.
struct cv_key_row {
    int64_t id;
    char app[CV_LIMIT_APP_NAME_BYTES + 1];
    char stream[CV_LIMIT_NAME_BYTES + 1]; // "" = every stream of the app
    char label[CV_LIMIT_LABEL_BYTES + 1]; // the administrator's words
    uint8_t hash[CV_KEY_HASH_BYTES];
    int64_t created_s; // unix time
};

// The folder for the state where none is named: $STATE_DIRECTORY (systemd),
// $XDG_STATE_HOME/culvert, /var/lib/culvert for root, ~/.local/state/culvert. 0, or CV_E_STORE with
// *why.
int cv_state_dir(char *out, size_t size, struct cv_why *why);

// A file in that folder, or in the default one where `state_dir` is NULL. Nothing is made. 0, or
// CV_E_STORE with *why; `size`: CV_LIMIT_FOLDER_BYTES + 1.
int cv_state_file(const char *state_dir, const char *name, char *out, size_t size,
                  struct cv_why *why);

// Opens `state_dir`/culvert.db; folder (0700) and file (0600) are made when missing, older layouts
// are brought up to date. `state_dir` NULL is cv_state_dir's. 0 and *out, which the caller closes;
// or CV_E_STORE, CV_E_NOMEM with *why.
int cv_store_open(const char *state_dir, struct cv_store **out, struct cv_why *why);
// Closes and clears the pointer. *store may be NULL.
void cv_store_close(struct cv_store **store);
// The file's path, for messages. Borrowed from the store.
const char *cv_store_path(const struct cv_store *store);

// Adds a key; row->id is ignored, the new one goes to *out_id. 0, CV_E_TOO_MANY (CV_LIMIT_KEYS),
// CV_E_USAGE (the same key is there already), CV_E_STORE.
int cv_store_key_add(struct cv_store *store, const struct cv_key_row *row, int64_t *out_id,
                     struct cv_why *why);
// 0, CV_E_NOT_FOUND, CV_E_STORE.
int cv_store_key_remove(struct cv_store *store, int64_t id, struct cv_why *why);
// All keys, oldest first: *out is an array of *out_count rows (NULL when there are none), which the
// caller frees with cv_mem_free. 0, CV_E_STORE, CV_E_NOMEM.
int cv_store_keys(struct cv_store *store, struct cv_key_row **out, size_t *out_count,
                  struct cv_why *why);

#endif
