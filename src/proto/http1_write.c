#include "proto/http1_write.h"

#include "base/err.h"

enum { DIGITS_MAX = 20 }; // of a 64-bit number

struct reason_row {
    uint32_t status;
    const char *reason;
};

const char *cv_http1_reason(uint32_t status)
{
    static const struct reason_row rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status)
            return rows[i].reason;
    }
    return "Unknown";
}

// ---- pieces ---------------------------------------------------------------------------------

static void write_text(struct cv_wr *wr, struct cv_text text)
{
    cv_wr_bytes(wr, text.at, text.len);
}

static void write_literal(struct cv_wr *wr, const char *literal)
{
    write_text(wr, cv_text_of(literal));
}

static void write_number(struct cv_wr *wr, uint64_t value, uint32_t base)
{
    char digits[DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    cv_wr_bytes(wr, digits + at, sizeof digits - at);
}

// True when all may be written; otherwise the writer has failed.
static bool allow(struct cv_wr *wr, bool allowed)
{
    if (!allowed && wr->err == CV_OK)
        wr->err = CV_E_USAGE;
    return wr->err == CV_OK;
}

static bool is_target(struct cv_text target)
{
    return target.len && cv_http1_is_value(target) && cv_text_find(target, ' ') == target.len &&
           cv_text_find(target, '\t') == target.len && cv_text_find(target, '#') == target.len;
}

// ---- heads ----------------------------------------------------------------------------------

void cv_http1_write_status(struct cv_wr *wr, uint32_t status, struct cv_text reason)
{
    if (!allow(wr, status >= 100 && status <= 999 && cv_http1_is_value(reason)))
        return;
    write_literal(wr, "HTTP/1.1 ");
    write_number(wr, status, 10);
    write_literal(wr, " ");
    write_text(wr, reason.len ? reason : cv_text_of(cv_http1_reason(status)));
    write_literal(wr, "\r\n");
}

void cv_http1_write_request(struct cv_wr *wr, struct cv_text method, struct cv_text target)
{
    if (!allow(wr, cv_http1_is_token(method) && is_target(target)))
        return;
    write_text(wr, method);
    write_literal(wr, " ");
    write_text(wr, target);
    write_literal(wr, " HTTP/1.1\r\n");
}

void cv_http1_write_field(struct cv_wr *wr, struct cv_text name, struct cv_text value)
{
    if (!allow(wr, cv_http1_is_token(name) && cv_http1_is_value(value)))
        return;
    write_text(wr, name);
    write_literal(wr, ": ");
    write_text(wr, value);
    write_literal(wr, "\r\n");
}

void cv_http1_write_header(struct cv_wr *wr, const char *name, const char *value)
{
    cv_http1_write_field(wr, cv_text_of(name), cv_text_of(value));
}

void cv_http1_write_length(struct cv_wr *wr, uint64_t len)
{
    write_literal(wr, "Content-Length: ");
    write_number(wr, len, 10);
    write_literal(wr, "\r\n");
}

void cv_http1_write_head_end(struct cv_wr *wr)
{
    write_literal(wr, "\r\n");
}

// ---- chunks ---------------------------------------------------------------------------------

void cv_http1_write_chunk_head(struct cv_wr *wr, uint64_t len)
{
    if (!allow(wr, len > 0)) // 0 would end the body
        return;
    write_number(wr, len, 16);
    write_literal(wr, "\r\n");
}

void cv_http1_write_chunk_tail(struct cv_wr *wr)
{
    write_literal(wr, "\r\n");
}

void cv_http1_write_last_chunk(struct cv_wr *wr)
{
    write_literal(wr, "0\r\n\r\n");
}

// ---- whole responses ------------------------------------------------------------------------

static bool has_no_length(uint32_t status)
{
    return status < 200 || status == 204 || status == 304;
}

void cv_http1_write_answer(struct cv_wr *wr, const struct cv_http1_answer *answer)
{
    bool bare = has_no_length(answer->status);
    if (!allow(wr, !bare || answer->len == 0))
        return;
    cv_http1_write_status(wr, answer->status, (struct cv_text){NULL, 0});
    if (answer->type)
        cv_http1_write_header(wr, "Content-Type", answer->type);
    if (!bare) {
        cv_http1_write_length(wr, answer->len);
        cv_http1_write_header(wr, "Cache-Control", "no-store, no-transform");
    }
    for (size_t i = 0; i < answer->field_count; i++)
        cv_http1_write_header(wr, answer->fields[i].name, answer->fields[i].value);
    if (!answer->keep_alive)
        cv_http1_write_header(wr, "Connection", "close");
    else if (answer->says_keep_alive)
        cv_http1_write_header(wr, "Connection", "keep-alive");
    cv_http1_write_head_end(wr);
    if (!answer->head_only)
        cv_wr_bytes(wr, answer->body, answer->len);
}
