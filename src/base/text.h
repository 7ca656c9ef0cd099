// Text as a slice: where it begins and how long it is. Not NUL-terminated, owned by someone else.
//
// The bytes are usually, but not surely, UTF-8. `at` may be NULL when `len` is 0. Slices that a
// function here returns point into the slice that it was given.
#ifndef CV_BASE_TEXT_H
#define CV_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_text {
    const char *at;
    size_t len;
};

// A NUL-terminated string as a slice, without its NUL.
struct cv_text cv_text_of(const char *string);
bool cv_text_is(struct cv_text text, const char *literal);
bool cv_text_equal(struct cv_text a, struct cv_text b);
// ASCII letters match in either case; other bytes must be the same.
bool cv_text_is_nocase(struct cv_text text, const char *literal);
bool cv_text_equal_nocase(struct cv_text a, struct cv_text b);
bool cv_text_starts(struct cv_text text, const char *prefix);

// Where the first `c` is, counted from 0; text.len when there is none.
size_t cv_text_find(struct cv_text text, char c);
// What is left behind the first `len` bytes (`len` <= text.len).
struct cv_text cv_text_skip(struct cv_text text, size_t len);
// Takes what comes before the first `c` off *rest, and the `c` with it; without a `c`, everything.
struct cv_text cv_text_take(struct cv_text *rest, char c);
// Takes the first word off *rest: what stands between spaces and tabs. Empty: there is none left.
struct cv_text cv_text_take_word(struct cv_text *rest);
// Without the spaces and tabs around it.
struct cv_text cv_text_trim(struct cv_text text);

// Reads a decimal number from min to max, both allowed; digits only, nothing around them.
// 0, or CV_E_SYNTAX for anything else, then *out is untouched.
int cv_text_u64(struct cv_text text, uint64_t min, uint64_t max, uint64_t *out);

// For logs: printable ASCII stays, quotes and the backslash get a backslash, other bytes become
// \xNN. Ends in a NUL and never in half an escape; what does not fit in `size` (> 0) is cut.
// Returns the bytes written, without the NUL.
size_t cv_text_escape(char *out, size_t size, struct cv_text text);

// The value of a hex digit, or -1.
int cv_text_hex_value(char c);
// Percent-decodes once (RFC 3986 section 2.1). A '%' without two hex digits stands for itself, and
// so does '+'. Writes at most `size` bytes and no NUL; the result may hold any byte.
// Returns how long the whole result is (<= text.len): more than `size` means that it was cut.
size_t cv_text_percent_decode(char *out, size_t size, struct cv_text text);

// Base64 (RFC 4648, section 4), with padding. Writes at most `size` bytes and no NUL; returns how
// long the whole result is: more than `size` means that it was cut.
size_t cv_text_base64(char *out, size_t size, const void *data, size_t len);

#endif
