#include "server/log.h"

#include "base/check.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int min_level = CV_LOG_INFO;
static atomic_int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

const char *cv_log_level_name(enum cv_log_level level)
{
    CV_ASSERT(level <= CV_LOG_ERROR);
    return level_names[level];
}

void cv_log_set_level(enum cv_log_level level)
{
    CV_ASSERT(level <= CV_LOG_ERROR);
    atomic_store_explicit(&min_level, (int)level, memory_order_relaxed);
}

void cv_log_set_fd(int fd)
{
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

bool cv_log_on(enum cv_log_level level)
{
    return (int)level >= atomic_load_explicit(&min_level, memory_order_relaxed);
}

// ---- the line's bytes -----------------------------------------------------------------------

// The last byte is kept for the newline.
static size_t line_room(const struct cv_line *line)
{
    CV_ASSERT(line->len < sizeof line->text);
    return sizeof line->text - 1 - line->len;
}

// All of the bytes or, in a full line, nothing: what is there stays well formed.
static bool line_put(struct cv_line *line, const char *bytes, size_t len)
{
    if (len > line_room(line))
        return false;
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
    return true;
}

static void put_time(struct cv_line *line)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char text[64];
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(text + len, sizeof text - len, ".%03ldZ ", now.tv_nsec / 1000000);
    line_put(line, text, len);
}

// Names come from our code; a bad one is our bug.
static bool name_valid(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.")] == '\0';
}

// A whole field of a value that needs no quotes.
static void put_field(struct cv_line *line, const char *key, const char *value, size_t len)
{
    CV_ASSERT(name_valid(key));
    size_t before = line->len;
    bool whole = line_put(line, " ", 1) && line_put(line, key, strlen(key)) &&
                 line_put(line, "=", 1) && line_put(line, value, len);
    if (!whole)
        line->len = before;
}

void cv_line_begin(struct cv_line *line, enum cv_log_level level, const char *event)
{
    line->on = cv_log_on(level);
    line->len = 0;
    if (!line->on)
        return;
    CV_ASSERT(name_valid(event));
    put_time(line);
    const char *name = cv_log_level_name(level);
    line_put(line, name, strlen(name));
    line_put(line, " ", 1);
    line_put(line, event, strlen(event));
}

// ---- values ---------------------------------------------------------------------------------

// Where the query begins: at '?', plain or percent-encoded, even more than once ("%253f"). What is
// behind it may be a publish key.
static size_t query_at(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '?')
            return i;
        if (value[i] != '%')
            continue;
        size_t at = i + 1;
        while (at + 1 < len && value[at] == '2' && value[at + 1] == '5')
            at += 2;
        if (at + 1 < len && value[at] == '3' && (value[at + 1] | 0x20) == 'f')
            return i;
    }
    return len;
}

static bool is_plain(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

// One byte as it stands inside quotes, 1 to 4 bytes.
static size_t escape(char c, char out[4])
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = c;
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        out[0] = c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[(unsigned char)c >> 4];
    out[3] = hex[(unsigned char)c & 15];
    return 4;
}

// The value in quotes, cut to the cap of a value. Returns its length.
static size_t quote(const char *value, size_t len, bool cut, char out[CV_LIMIT_LOG_VALUE_BYTES])
{
    static const char dots[] = "...";
    size_t at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < len; i++) {
        char bytes[4];
        size_t count = escape(value[i], bytes);
        if (at + count + sizeof dots > CV_LIMIT_LOG_VALUE_BYTES) {
            cut = true;
            break;
        }
        memcpy(out + at, bytes, count);
        at += count;
    }
    if (cut) {
        memcpy(out + at, dots, sizeof dots - 1);
        at += sizeof dots - 1;
    }
    out[at++] = '"';
    CV_ASSERT(at <= CV_LIMIT_LOG_VALUE_BYTES);
    return at;
}

void cv_line_str(struct cv_line *line, const char *key, const void *value, size_t len)
{
    if (!line->on)
        return;
    const char *bytes = value;
    size_t visible = query_at(bytes, len);
    size_t plain = 0;
    while (plain < visible && plain < CV_LIMIT_LOG_VALUE_BYTES && is_plain(bytes[plain]))
        plain++;
    if (len > 0 && plain == len) {
        put_field(line, key, bytes, len);
        return;
    }
    char quoted[CV_LIMIT_LOG_VALUE_BYTES];
    put_field(line, key, quoted, quote(bytes, visible, visible < len, quoted));
}

void cv_line_text(struct cv_line *line, const char *key, const char *value)
{
    cv_line_str(line, key, value, value ? strlen(value) : 0);
}

static void put_number(struct cv_line *line, const char *key, const char *digits)
{
    if (line->on)
        put_field(line, key, digits, strlen(digits));
}

void cv_line_int(struct cv_line *line, const char *key, int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    put_number(line, key, digits);
}

void cv_line_uint(struct cv_line *line, const char *key, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    put_number(line, key, digits);
}

void cv_line_hex(struct cv_line *line, const char *key, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "0x%" PRIx64, value);
    put_number(line, key, digits);
}

void cv_line_err(struct cv_line *line, int code)
{
    cv_line_text(line, "err", cv_err_name(code));
}

void cv_line_end(struct cv_line *line)
{
    if (!line->on)
        return;
    CV_ASSERT(line->len < sizeof line->text);
    line->text[line->len++] = '\n';
    // A log that cannot be written has nowhere to complain to.
    ssize_t written =
        write(atomic_load_explicit(&log_fd, memory_order_relaxed), line->text, line->len);
    (void)written;
    line->on = false;
}

void cv_log_event(enum cv_log_level level, const char *event)
{
    struct cv_line line;
    cv_line_begin(&line, level, event);
    cv_line_end(&line);
}

void cv_log_text(enum cv_log_level level, const char *event, const char *key, const char *value)
{
    struct cv_line line;
    cv_line_begin(&line, level, event);
    cv_line_text(&line, key, value);
    cv_line_end(&line);
}
