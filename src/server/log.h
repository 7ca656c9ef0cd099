// Log lines: one event, one line on stderr, one write(2), from any thread.
//
//   2026-11-22T12:00:00.123Z info publish.start conn=12 peer=1.2.3.4:555 app=live stream=a
//
// A line is built field by field; there is no format string, so no text of a peer can become one.
// Names of events and fields are ours: literals of [a-z0-9_.]. A value that has anything but plain
// printable bytes is quoted and escaped, so that it can neither end the line nor look like a field.
// A value is cut at its query ('?' or "%3f"): publish keys travel there and must never be logged.
#ifndef CV_SERVER_LOG_H
#define CV_SERVER_LOG_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cv_log_level { CV_LOG_DEBUG, CV_LOG_INFO, CV_LOG_WARN, CV_LOG_ERROR };

// A line in the making, on the caller's stack; nothing to free.
struct cv_line {
    bool on;    // false: the level is not logged, all calls do nothing
    size_t len; // bytes of text
    char text[CV_LIMIT_LOG_LINE_BYTES];
};

// "debug", "info", "warn", "error".
const char *cv_log_level_name(enum cv_log_level level);
// Lines below `level` are dropped. Any thread, any time.
void cv_log_set_level(enum cv_log_level level);
// Where lines go; 2 (stderr) at first. The descriptor stays the caller's.
void cv_log_set_fd(int fd);
// True when lines of this level are written: for fields that cost something to find out.
bool cv_log_on(enum cv_log_level level);

// Starts a line with time, level and event name.
void cv_line_begin(struct cv_line *line, enum cv_log_level level, const char *event);
// key=value, any `len` bytes: the peer's as well as ours. NULL with 0 is the empty value.
void cv_line_str(struct cv_line *line, const char *key, const void *value, size_t len);
// The same for text that ends with a NUL; NULL is the empty value.
void cv_line_text(struct cv_line *line, const char *key, const char *value);
void cv_line_int(struct cv_line *line, const char *key, int64_t value);
void cv_line_uint(struct cv_line *line, const char *key, uint64_t value);
// Hexadecimal, with "0x".
void cv_line_hex(struct cv_line *line, const char *key, uint64_t value);
// err=CHUNK_SIZE: the short name of a code of base/err_table.h.
void cv_line_err(struct cv_line *line, int code);
// Writes the line. A line that does not fit or cannot be written is cut or lost, never an error.
void cv_line_end(struct cv_line *line);

// A whole line with nothing, or one text, to tell.
void cv_log_event(enum cv_log_level level, const char *event);
void cv_log_text(enum cv_log_level level, const char *event, const char *key, const char *value);

#endif
