#include "proto/http1.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1_chunked.h"
#include "proto/http1_head.h"

static const char place[] = "http";

enum {
    HEAD_FIRST_BYTES = 512,                             // most heads fit
    START_LINE_MAX = CV_LIMIT_HTTP_TARGET_BYTES + 1024, // with method and version
};

enum state { READ_HEAD, CHECK_BODY, LENGTH, CHUNKED, UNTIL_CLOSE, ENDED, PAUSED };

struct cv_http1 {
    enum cv_http1_role role;
    enum state state;
    struct cv_rd in; // borrowed: what was fed and not read yet
    bool in_ended;   // the peer has closed its side

    struct cv_block *text;       // the head so far; NULL before the first
    uint32_t line_at;            // where its last line begins
    uint32_t lines;              // complete ones
    uint32_t blanks;             // empty lines before the start line
    bool folds;                  // the last line is a field that may be folded
    struct cv_http1_field *room; // of the fields, for room_count of them
    size_t room_count;

    struct cv_http1_head head;
    struct cv_http1_asked asked;
    uint32_t interim; // 1xx responses to this request
    uint64_t body_max;
    uint64_t body_left; // LENGTH: bytes to come. CHUNKED: bytes that may be announced
    struct cv_chunked chunked;

    struct cv_why why;
    uint32_t refusal;
};

// What a step did.
enum { MORE_BYTES = 0, EVENT = 1, GO_ON = 2 };

struct cv_http1 *cv_http1_new(enum cv_http1_role role)
{
    struct cv_http1 *http = cv_mem_zero(1, sizeof *http);
    if (!http)
        return NULL;
    http->role = role;
    http->state = role == CV_HTTP1_REQUESTS ? READ_HEAD : PAUSED;
    http->in = cv_rd_over(NULL, 0);
    http->body_max = CV_HTTP_BODY_BYTES_MAX;
    return http;
}

void cv_http1_free(struct cv_http1 *http)
{
    if (!http)
        return;
    cv_block_unref(&http->text);
    cv_mem_free(http->room);
    cv_mem_free(http);
}

void cv_http1_feed(struct cv_http1 *http, const void *data, size_t len)
{
    CV_ASSERT(http->why.code != CV_OK || cv_rd_left(&http->in) == 0);
    CV_ASSERT(!http->in_ended);
    http->in = cv_rd_over(data, len);
}

void cv_http1_feed_end(struct cv_http1 *http)
{
    http->in_ended = true;
}

struct cv_rd cv_http1_unread(struct cv_http1 *http)
{
    struct cv_rd rest = http->in;
    http->in = cv_rd_over(NULL, 0);
    return rest;
}

struct cv_text cv_http1_head_text(const struct cv_http1 *http)
{
    return (struct cv_text){(const char *)http->text->data, http->text->len};
}

void cv_http1_set_body_max(struct cv_http1 *http, uint64_t bytes)
{
    http->body_max = bytes;
}

const struct cv_why *cv_http1_why(const struct cv_http1 *http)
{
    return &http->why;
}

uint32_t cv_http1_refusal(const struct cv_http1 *http)
{
    return http->refusal;
}

struct cv_text cv_http1_header(const struct cv_http1_head *head, const char *name)
{
    return cv_http1_find(head->fields, name);
}

enum cv_http1_phase cv_http1_phase(const struct cv_http1 *http)
{
    if (http->why.code != CV_OK)
        return CV_HTTP1_FAILED;
    if (http->state == PAUSED)
        return CV_HTTP1_PAUSED;
    if (http->state != READ_HEAD)
        return CV_HTTP1_IN_BODY;
    bool begun = http->lines || (http->text && http->text->len);
    return begun ? CV_HTTP1_IN_HEAD : CV_HTTP1_IDLE;
}

// ---- failing --------------------------------------------------------------------------------

static int fail(struct cv_http1 *http, int code, uint32_t status, const char *text)
{
    http->refusal = http->role == CV_HTTP1_REQUESTS ? status : 502;
    return cv_why_set(&http->why, code, place, "%s", text);
}

// GO_ON, or the failure.
static int settle(struct cv_http1 *http, struct cv_http1_wrong wrong)
{
    if (wrong.status == 0)
        return GO_ON;
    bool limit = wrong.status == 413 || wrong.status == 414 || wrong.status == 431;
    return fail(http, limit ? CV_E_TOO_LONG : CV_E_HTTP, wrong.status, wrong.text);
}

static int refuse(struct cv_http1 *http, uint32_t status, const char *text)
{
    return settle(http, (struct cv_http1_wrong){status, text});
}

static int no_memory(struct cv_http1 *http)
{
    return fail(http, CV_E_NOMEM, 500, "no memory for the head");
}

// ---- the head -------------------------------------------------------------------------------

static void begin_message(struct cv_http1 *http)
{
    if (http->text)
        http->text->len = 0;
    http->line_at = 0;
    http->lines = 0;
    http->blanks = 0;
    http->folds = false;
    http->chunked = (struct cv_chunked){0};
    http->state = READ_HEAD;
}

void cv_http1_resume(struct cv_http1 *http)
{
    CV_ASSERT(http->role == CV_HTTP1_REQUESTS && http->state == PAUSED);
    begin_message(http);
}

void cv_http1_expect(struct cv_http1 *http, enum cv_http1_method method, bool upgrade)
{
    CV_ASSERT(http->role == CV_HTTP1_RESPONSES && http->state == PAUSED);
    http->asked = (struct cv_http1_asked){.method = method, .upgrade = upgrade};
    http->interim = 0;
    begin_message(http);
}

// Appends a piece of a line to the head; memory follows the bytes.
static int keep(struct cv_http1 *http, struct cv_text piece)
{
    if (!http->text)
        http->text = cv_block_new(HEAD_FIRST_BYTES);
    if (!http->text)
        return no_memory(http);
    size_t need = http->text->len + piece.len;
    size_t capacity = http->text->capacity;
    while (capacity < need)
        capacity *= 2;
    if (cv_block_reserve(&http->text, capacity) != CV_OK)
        return no_memory(http);
    cv_block_append(http->text, piece.at, piece.len);
    return GO_ON;
}

// How many more bytes the head may have.
static size_t head_room(const struct cv_http1 *http)
{
    size_t max = http->lines ? CV_LIMIT_HTTP_HEAD_BYTES : START_LINE_MAX;
    return max - (http->text ? http->text->len : 0);
}

static int check_bytes(struct cv_http1 *http, struct cv_text piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        char c = piece.at[i];
        if (!cv_http1_value_char(c) && c != '\r' && c != '\n')
            return refuse(http, 400, "control character in the head");
    }
    return GO_ON;
}

// Reads up to the end of the line, at most. GO_ON: the line is complete. However the bytes come in
// pieces, it fails at the same byte for the same reason.
static int read_line(struct cv_http1 *http)
{
    struct cv_text fed = {(const char *)http->in.at, cv_rd_left(&http->in)};
    size_t line_len = cv_text_find(fed, '\n');
    bool complete = line_len < fed.len;
    struct cv_text piece = {fed.at, line_len + complete};
    size_t room = head_room(http);
    bool fits = piece.len <= room;
    if (!fits)
        piece.len = room + 1;
    int did = check_bytes(http, piece);
    if (did == GO_ON && !fits)
        return http->lines ? refuse(http, 431, "head is too long")
                           : refuse(http, 414, "start line is too long");
    if (did == GO_ON)
        did = keep(http, piece);
    if (did < 0)
        return did;
    cv_rd_bytes(&http->in, piece.len);
    return complete ? GO_ON : MORE_BYTES;
}

// An empty line before the start line is skipped (RFC 9112 2.2), the one behind the fields ends.
static int end_empty_line(struct cv_http1 *http, bool *out_complete)
{
    if (http->lines) {
        *out_complete = true;
        return GO_ON;
    }
    http->text->len = 0;
    if (++http->blanks > CV_LIMIT_HTTP_BLANK_LINES)
        return refuse(http, 400, "too many empty lines before a message");
    return GO_ON;
}

// Joins a folded line to the one before: the line end between them becomes two blanks.
static void unfold(struct cv_http1 *http)
{
    CV_ASSERT(http->line_at >= 2);
    http->text->data[http->line_at - 2] = ' ';
    http->text->data[http->line_at - 1] = ' ';
}

// The last line of the head is complete, line end and all.
static int end_line(struct cv_http1 *http, bool *out_complete)
{
    const char *bytes = (const char *)http->text->data;
    struct cv_text line = {bytes + http->line_at, http->text->len - http->line_at};
    if (line.len < 2 || cv_text_find(line, '\r') != line.len - 2)
        return refuse(http, 400, "CR or LF that is no line end");
    line.len -= 2;
    if (line.len == 0)
        return end_empty_line(http, out_complete);
    if (http->lines > CV_LIMIT_HTTP_FIELDS)
        return refuse(http, 431, "too many header lines");
    struct cv_http1_wrong wrong = http->lines ? cv_http1_check_field(line, &http->folds)
                                              : cv_http1_check_start(http->role, line);
    if (wrong.status)
        return settle(http, wrong);
    if (http->lines && cv_http1_is_fold(line))
        unfold(http);
    http->lines++;
    http->line_at = http->text->len;
    return GO_ON;
}

static int make_room(struct cv_http1 *http)
{
    if (http->room_count >= http->lines)
        return GO_ON;
    struct cv_http1_field *room = cv_mem_resize(http->room, http->lines * sizeof *room);
    if (!room)
        return no_memory(http);
    http->room = room;
    http->room_count = http->lines;
    return GO_ON;
}

// The head is complete: what is it?
static int end_head(struct cv_http1 *http, struct cv_http1_event *out)
{
    int did = make_room(http);
    if (did < 0)
        return did;
    struct cv_text text = {(const char *)http->text->data, http->text->len};
    did = settle(http, cv_http1_parse_head(&http->head, http->role, http->asked, text, http->room));
    if (did < 0)
        return did;
    bool interim =
        http->role == CV_HTTP1_RESPONSES && http->head.status < 200 && http->head.status != 101;
    if (interim && ++http->interim > CV_LIMIT_HTTP_INTERIM)
        return refuse(http, 400, "too many interim responses");
    *out = (struct cv_http1_event){.type = interim ? CV_HTTP1_INTERIM : CV_HTTP1_HEAD,
                                   .head = &http->head};
    if (interim)
        begin_message(http);
    else
        http->state = CHECK_BODY;
    return EVENT;
}

static int step_head(struct cv_http1 *http, struct cv_http1_event *out)
{
    if (cv_rd_left(&http->in) == 0)
        return MORE_BYTES;
    bool complete = false;
    int did = read_line(http);
    if (did == GO_ON)
        did = end_line(http, &complete);
    if (did == GO_ON && complete)
        did = end_head(http, out);
    return did;
}

// ---- the body -------------------------------------------------------------------------------

// Behind HEAD, when its owner has had the chance to say how long a body may be.
static int step_check_body(struct cv_http1 *http)
{
    static const enum state states[] = {
        [CV_HTTP1_NONE] = ENDED,
        [CV_HTTP1_LENGTH] = LENGTH,
        [CV_HTTP1_CHUNKED] = CHUNKED,
        [CV_HTTP1_UNTIL_CLOSE] = UNTIL_CLOSE,
    };
    if (http->head.length > http->body_max)
        return refuse(http, 413, "body is too long");
    http->body_left = http->head.framing == CV_HTTP1_LENGTH ? http->head.length : http->body_max;
    http->state = states[http->head.framing];
    return GO_ON;
}

static int give_body(struct cv_http1 *http, struct cv_http1_event *out, struct cv_text body)
{
    *out = (struct cv_http1_event){.type = CV_HTTP1_BODY, .head = &http->head, .body = body};
    return EVENT;
}

// The next bytes of the body, at most body_left.
static int give_bytes(struct cv_http1 *http, struct cv_http1_event *out)
{
    size_t len = cv_rd_left(&http->in);
    if (len > http->body_left)
        len = (size_t)http->body_left;
    http->body_left -= len;
    return give_body(http, out, (struct cv_text){(const char *)cv_rd_bytes(&http->in, len), len});
}

static int step_length(struct cv_http1 *http, struct cv_http1_event *out)
{
    if (cv_rd_left(&http->in) == 0)
        return MORE_BYTES;
    int did = give_bytes(http, out);
    if (http->body_left == 0)
        http->state = ENDED;
    return did;
}

static int step_until_close(struct cv_http1 *http, struct cv_http1_event *out)
{
    if (cv_rd_left(&http->in))
        return http->body_left ? give_bytes(http, out) : refuse(http, 413, "body is too long");
    if (!http->in_ended)
        return MORE_BYTES;
    http->state = ENDED;
    return GO_ON;
}

// A chunk is refused by its size, before any byte of it.
static int begin_chunk(struct cv_http1 *http)
{
    if (http->chunked.left > http->body_left)
        return refuse(http, 413, "body is too long");
    http->body_left -= http->chunked.left;
    return GO_ON;
}

static int step_chunked(struct cv_http1 *http, struct cv_http1_event *out)
{
    struct cv_text data;
    struct cv_http1_wrong wrong;
    switch (cv_chunked_next(&http->chunked, &http->in, &data, &wrong)) {
    case CV_CHUNKED_MORE:
        return MORE_BYTES;
    case CV_CHUNKED_SIZE:
        return begin_chunk(http);
    case CV_CHUNKED_DATA:
        return give_body(http, out, data);
    case CV_CHUNKED_END:
        http->state = ENDED;
        return GO_ON;
    case CV_CHUNKED_WRONG:
        return settle(http, wrong);
    }
    CV_UNREACHABLE();
}

static int step_ended(struct cv_http1 *http, struct cv_http1_event *out)
{
    *out = (struct cv_http1_event){.type = CV_HTTP1_END, .head = &http->head};
    http->state = PAUSED;
    return EVENT;
}

// ---- next -----------------------------------------------------------------------------------

static int step(struct cv_http1 *http, struct cv_http1_event *out)
{
    switch (http->state) {
    case READ_HEAD:
        return step_head(http, out);
    case CHECK_BODY:
        return step_check_body(http);
    case LENGTH:
        return step_length(http, out);
    case CHUNKED:
        return step_chunked(http, out);
    case UNTIL_CLOSE:
        return step_until_close(http, out);
    case ENDED:
        return step_ended(http, out);
    case PAUSED:
        return MORE_BYTES;
    }
    CV_UNREACHABLE();
}

// No bytes are left: is that where a message may end?
static int check_end(struct cv_http1 *http)
{
    enum cv_http1_phase phase = cv_http1_phase(http);
    bool owed = phase == CV_HTTP1_IDLE && http->role == CV_HTTP1_RESPONSES;
    if (!http->in_ended || phase == CV_HTTP1_PAUSED || (phase == CV_HTTP1_IDLE && !owed))
        return 0;
    return fail(http, CV_E_TRUNCATED, 400, "the connection ends within a message");
}

int cv_http1_next(struct cv_http1 *http, struct cv_http1_event *out)
{
    if (http->why.code != CV_OK)
        return http->why.code;
    int did;
    do {
        did = step(http, out);
    } while (did == GO_ON);
    return did == MORE_BYTES ? check_end(http) : did;
}
