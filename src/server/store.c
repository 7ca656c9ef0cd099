#include "server/store.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, BUSY_MS = 5000 };

struct cv_store {
    sqlite3 *db;
    char path[PATH_BYTES];
};

// Step i brings a file from layout i to i + 1; PRAGMA user_version keeps the count. Steps that were
// released never change; new ones go to the end.
static const char *const migrations[] = {
    "CREATE TABLE publish_key ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  app TEXT NOT NULL,"
    "  stream TEXT NOT NULL DEFAULT '',"
    "  label TEXT NOT NULL DEFAULT '',"
    "  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
    "  created_s INTEGER NOT NULL"
    ") STRICT;",
};
enum { LAYOUT = sizeof migrations / sizeof migrations[0] };

// ---- the folder -----------------------------------------------------------------------------

// `value` and `tail` joined, if `value` is an absolute path.
static bool dir_from(const char *value, const char *tail, char *out, size_t size)
{
    if (!value || value[0] != '/')
        return false;
    // systemd separates several folders by colons; the first is ours.
    size_t len = strcspn(value, ":");
    if (len + strlen(tail) >= size)
        return false;
    memcpy(out, value, len);
    memcpy(out + len, tail, strlen(tail) + 1);
    return true;
}

int cv_state_dir(char *out, size_t size, struct cv_why *why)
{
    if (dir_from(getenv("STATE_DIRECTORY"), "", out, size))
        return CV_OK;
    if (dir_from(getenv("XDG_STATE_HOME"), "/culvert", out, size))
        return CV_OK;
    if (geteuid() == 0 && dir_from("/var/lib/culvert", "", out, size))
        return CV_OK;
    if (dir_from(getenv("HOME"), "/.local/state/culvert", out, size))
        return CV_OK;
    return cv_why_set(why, CV_E_STORE, "state", "HOME is not set: name a folder with --state");
}

int cv_state_file(const char *state_dir, const char *name, char *out, size_t size,
                  struct cv_why *why)
{
    char folder[PATH_BYTES];
    if (!state_dir) {
        int err = cv_state_dir(folder, sizeof folder, why);
        if (err != CV_OK)
            return err;
        state_dir = folder;
    }
    if ((size_t)snprintf(out, size, "%s/%s", state_dir, name) < size)
        return CV_OK;
    return cv_why_set(why, CV_E_STORE, "state", "the name of the state folder is too long");
}

static int make_dir(const char *path, struct cv_why *why)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return CV_OK;
    return cv_why_set(why, CV_E_STORE, "state", "cannot make %s: %s", path, strerror(errno));
}

// As mkdir -p, each new folder for the owner alone.
static int make_dirs(const char *path, struct cv_why *why)
{
    char part[PATH_BYTES];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        int err = make_dir(part, why);
        if (err != CV_OK)
            return err;
        *at = '/';
    }
    return make_dir(part, why);
}

// Makes the file, or takes the rights of others on it away, before SQLite opens it: its companions
// (-wal, -shm) get the same rights.
static int make_file(const char *path, struct cv_why *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cv_why_set(why, CV_E_STORE, "store", "cannot open %s: %s", path, strerror(errno));
    struct stat status;
    int failed = fstat(fd, &status);
    if (failed == 0 && !S_ISREG(status.st_mode)) {
        failed = -1;
        errno = EINVAL; // a device or a pipe: not ours to change
    }
    if (failed == 0 && (status.st_mode & 077) != 0)
        failed = fchmod(fd, 0600);
    if (failed != 0)
        cv_why_set(why, CV_E_STORE, "store", "cannot protect %s: %s", path, strerror(errno));
    close(fd);
    return failed != 0 ? CV_E_STORE : CV_OK;
}

// ---- SQLite ---------------------------------------------------------------------------------

static int db_fail(struct cv_store *store, struct cv_why *why)
{
    return cv_why_set(why, CV_E_STORE, "store", "%s: %s", sqlite3_errmsg(store->db), store->path);
}

static int db_run(struct cv_store *store, const char *sql, struct cv_why *why)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return CV_OK;
    return db_fail(store, why);
}

static int db_prepare(struct cv_store *store, const char *sql, sqlite3_stmt **out,
                      struct cv_why *why)
{
    if (sqlite3_prepare_v2(store->db, sql, -1, out, NULL) == SQLITE_OK)
        return CV_OK;
    return db_fail(store, why);
}

// The one number that the statement gives.
static int db_number(struct cv_store *store, const char *sql, int64_t *out, struct cv_why *why)
{
    sqlite3_stmt *statement;
    int err = db_prepare(store, sql, &statement, why);
    if (err != CV_OK)
        return err;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        err = db_fail(store, why);
    sqlite3_finalize(statement);
    return err;
}

static int migrate_step(struct cv_store *store, int64_t layout, struct cv_why *why)
{
    CV_ASSERT(layout >= 0 && layout < LAYOUT);
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d", (int)layout + 1);
    int err = db_run(store, migrations[layout], why);
    return err == CV_OK ? db_run(store, version, why) : err;
}

static int migrate_all(struct cv_store *store, struct cv_why *why)
{
    int64_t layout = 0;
    int err = db_number(store, "PRAGMA user_version", &layout, why);
    if (err == CV_OK && (layout < 0 || layout > LAYOUT))
        return cv_why_set(why, CV_E_STORE, "store", "made by a newer Culvert (layout %d): %s",
                          (int)layout, store->path);
    for (; err == CV_OK && layout < LAYOUT; layout++)
        err = migrate_step(store, layout, why);
    return err;
}

// All steps or none, and one process at a time.
static int migrate(struct cv_store *store, struct cv_why *why)
{
    int err = db_run(store, "BEGIN IMMEDIATE", why);
    if (err != CV_OK)
        return err;
    err = migrate_all(store, why);
    if (err == CV_OK)
        return db_run(store, "COMMIT", why);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

static int db_open(struct cv_store *store, struct cv_why *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
        return db_fail(store, why);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    int err = db_run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", why);
    return err == CV_OK ? migrate(store, why) : err;
}

// Fills in store->path. The folder itself may be reached by a symbolic link, as the administrator
// likes; the file may not, so the folder's real path is taken.
static int find_path(struct cv_store *store, const char *state_dir, struct cv_why *why)
{
    char dir[PATH_BYTES];
    int err = state_dir ? CV_OK : cv_state_dir(dir, sizeof dir, why);
    if (err == CV_OK && state_dir && (*state_dir == '\0' || strlen(state_dir) >= sizeof dir))
        err = cv_why_set(why, CV_E_STORE, "state", "the folder's name is empty or too long");
    if (err != CV_OK)
        return err;
    if (state_dir)
        snprintf(dir, sizeof dir, "%s", state_dir);
    err = make_dirs(dir, why);
    if (err != CV_OK)
        return err;
    char real[PATH_BYTES];
    if (!realpath(dir, real))
        return cv_why_set(why, CV_E_STORE, "state", "%s: %s", dir, strerror(errno));
    int len = snprintf(store->path, sizeof store->path, "%s/culvert.db", real);
    if (len < 0 || (size_t)len >= sizeof store->path)
        return cv_why_set(why, CV_E_STORE, "state", "the folder's name is too long");
    return CV_OK;
}

int cv_store_open(const char *state_dir, struct cv_store **out, struct cv_why *why)
{
    struct cv_store *store = cv_mem_zero(1, sizeof *store);
    if (!store)
        return cv_why_set(why, CV_E_NOMEM, "store", "out of memory");
    int err = find_path(store, state_dir, why);
    if (err == CV_OK)
        err = make_file(store->path, why);
    if (err == CV_OK)
        err = db_open(store, why);
    if (err != CV_OK)
        cv_store_close(&store);
    else
        *out = store;
    return err;
}

void cv_store_close(struct cv_store **store)
{
    struct cv_store *gone = *store;
    *store = NULL;
    if (!gone)
        return;
    int result = sqlite3_close(gone->db);
    CV_ASSERT(result == SQLITE_OK); // every statement was finalized
    cv_mem_free(gone);
}

const char *cv_store_path(const struct cv_store *store)
{
    return store->path;
}

// ---- publish keys ---------------------------------------------------------------------------

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static int key_insert(struct cv_store *store, const struct cv_key_row *row, int64_t *out_id,
                      struct cv_why *why)
{
    sqlite3_stmt *statement;
    int err = db_prepare(store,
                         "INSERT INTO publish_key (app, stream, label, hash, created_s)"
                         " SELECT ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM publish_key) < ?",
                         &statement, why);
    if (err != CV_OK)
        return err;
    bind_text(statement, 1, row->app);
    bind_text(statement, 2, row->stream);
    bind_text(statement, 3, row->label);
    sqlite3_bind_blob(statement, 4, row->hash, sizeof row->hash, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, row->created_s);
    sqlite3_bind_int64(statement, 6, CV_LIMIT_KEYS);
    int result = sqlite3_step(statement);
    if (result == SQLITE_CONSTRAINT)
        err = cv_why_set(why, CV_E_USAGE, "store", "this key is there already");
    else if (result != SQLITE_DONE)
        err = db_fail(store, why);
    else if (sqlite3_changes(store->db) == 0)
        err = cv_why_set(why, CV_E_TOO_MANY, "store", "there are %d keys already", CV_LIMIT_KEYS);
    else
        *out_id = sqlite3_last_insert_rowid(store->db);
    sqlite3_finalize(statement);
    return err;
}

int cv_store_key_add(struct cv_store *store, const struct cv_key_row *row, int64_t *out_id,
                     struct cv_why *why)
{
    CV_ASSERT(row->app[0] != '\0');
    return key_insert(store, row, out_id, why);
}

int cv_store_key_remove(struct cv_store *store, int64_t id, struct cv_why *why)
{
    sqlite3_stmt *statement;
    int err = db_prepare(store, "DELETE FROM publish_key WHERE id = ?", &statement, why);
    if (err != CV_OK)
        return err;
    sqlite3_bind_int64(statement, 1, id);
    if (sqlite3_step(statement) != SQLITE_DONE)
        err = db_fail(store, why);
    else if (sqlite3_changes(store->db) == 0)
        err = cv_why_set(why, CV_E_NOT_FOUND, "store", "there is no key %lld", (long long)id);
    sqlite3_finalize(statement);
    return err;
}

// A column as text; false when it does not fit, which nothing that we wrote does.
static bool column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    int len = sqlite3_column_bytes(statement, column);
    if (!text || len < 0 || (size_t)len >= size)
        return false;
    memcpy(out, text, (size_t)len);
    out[len] = '\0';
    return true;
}

static bool row_read(sqlite3_stmt *statement, struct cv_key_row *row)
{
    *row = (struct cv_key_row){.id = sqlite3_column_int64(statement, 0),
                               .created_s = sqlite3_column_int64(statement, 5)};
    const void *hash = sqlite3_column_blob(statement, 4);
    if (!hash || sqlite3_column_bytes(statement, 4) != CV_KEY_HASH_BYTES)
        return false;
    memcpy(row->hash, hash, CV_KEY_HASH_BYTES);
    return column_text(statement, 1, row->app, sizeof row->app) &&
           column_text(statement, 2, row->stream, sizeof row->stream) &&
           column_text(statement, 3, row->label, sizeof row->label);
}

static int rows_grow(struct cv_key_row **rows, size_t *capacity, struct cv_why *why)
{
    size_t want = *capacity ? *capacity * 2 : 16;
    struct cv_key_row *more = cv_mem_resize(*rows, want * sizeof **rows);
    if (!more)
        return cv_why_set(why, CV_E_NOMEM, "store", "no memory for %zu keys", want);
    *rows = more;
    *capacity = want;
    return CV_OK;
}

static int rows_read(struct cv_store *store, sqlite3_stmt *statement, struct cv_key_row **rows,
                     size_t *count, struct cv_why *why)
{
    size_t capacity = 0;
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        int err = *count == capacity ? rows_grow(rows, &capacity, why) : CV_OK;
        if (err != CV_OK)
            return err;
        if (!row_read(statement, &(*rows)[*count]))
            return cv_why_set(why, CV_E_STORE, "store", "a key in it is damaged: %s", store->path);
        (*count)++;
    }
    return result == SQLITE_DONE ? CV_OK : db_fail(store, why);
}

int cv_store_keys(struct cv_store *store, struct cv_key_row **out, size_t *out_count,
                  struct cv_why *why)
{
    sqlite3_stmt *statement;
    int err = db_prepare(store,
                         "SELECT id, app, stream, label, hash, created_s FROM publish_key"
                         " ORDER BY id LIMIT ?",
                         &statement, why);
    if (err != CV_OK)
        return err;
    sqlite3_bind_int64(statement, 1, CV_LIMIT_KEYS);
    struct cv_key_row *rows = NULL;
    size_t count = 0;
    err = rows_read(store, statement, &rows, &count, why);
    sqlite3_finalize(statement);
    if (err != CV_OK) {
        cv_mem_free(rows);
        return err;
    }
    *out = rows;
    *out_count = count;
    return CV_OK;
}
