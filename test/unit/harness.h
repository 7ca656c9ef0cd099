// What every unit test shares: cmocka, bytes from hex, an input that ends at an unreadable page,
// and the corpus.
#ifndef CV_TEST_HARNESS_H
#define CV_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Bytes from hex digits; spaces are skipped. Aborts on a bad digit or when `max` is too small.
size_t hex_bytes(const char *hex, uint8_t *out, size_t max);

// A copy of the bytes whose last one lies just before an unreadable page: reading past it crashes.
struct guard {
    uint8_t *data;
    size_t len;
    void *map;
    size_t map_len;
};
struct guard guard_copy(const void *data, size_t len);
void guard_free(struct guard *guard);

// Calls `run` with the n-th allocation failing, n = 1, 2, ... until a run had no failure. `run`
// must clean up after itself and tell by its result whether it succeeded; a run in which an
// allocation failed may still succeed, one without must.
void fail_nth(bool (*run)(void *arg), void *arg);

// folder/name, in one of the few buffers that are used in turn.
const char *path_in(const char *folder, const char *name);
// Writes a new file.
void file_write(const char *file, const char *text);
// Removes a folder with all that is in it. 0, or -1 with errno.
int remove_tree(const char *folder);
// True when the bytes of `text` are in any file below the folder.
bool tree_has(const char *folder, const char *text);
// Appends `text` to the string in `buffer` of `size` bytes; fails the test when it does not fit.
void append_text(char *buffer, size_t size, const char *text);

// Calls `each` with every file of the corpus folder `name` (test/corpus/<name>). Fails when the
// folder is empty or missing. Returns how many files there were.
size_t corpus_each(const char *name,
                   void (*each)(const char *file, const uint8_t *data, size_t len));

#endif
