#include "server/files.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/file.h"
#include "proto/content_type.h"
#include "proto/http1_cond.h"
#include "proto/http1_date.h"
#include "proto/http1_range.h"
#include "proto/site_path.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/web.h"
#include "server/worker.h"

#include <inttypes.h>
#include <string.h>

enum {
    QUEUE = 3,        // the head and two blocks
    ETAG_BYTES = 40,  // two numbers in hex, quotes, a dash, NUL
    FIELD_BYTES = 80, // Content-Range: three numbers
};

static const char index_name[] = "index.html";

// One request and its answer.
struct files {
    struct cv_web *web;
    struct cv_worker *worker;
    struct cv_file *file; // NULL: not opened yet
    const char *type;     // Content-Type, static
    bool begun;
    bool keeps;                    // the connection, behind the answer
    bool reads;                    // a block is on its way
    bool writes;                   // the answer has begun
    uint64_t read_at;              // up to here the file has been asked for
    uint64_t end;                  // up to here it is wanted
    struct cv_block *queue[QUEUE]; // what is to be written, in order
    unsigned queued;
    size_t sent;         // of the first of them
    uint64_t held_bytes; // what is in the queue and on its way
};

// What a version of a file is called.
struct version {
    char etag[ETAG_BYTES];
    char modified[CV_HTTP1_DATE_CHARS + 1];
    char now[CV_HTTP1_DATE_CHARS + 1];
    struct cv_http1_version cond;
};

// What is answered with the file, or in its place.
struct answer {
    uint32_t status; // 200, 206, 304
    uint64_t size;   // of the file
    struct cv_http1_range range;
};

// ---- memory ---------------------------------------------------------------------------------

static void hold(struct files *files, uint64_t bytes)
{
    files->held_bytes += bytes;
    files->worker->file_bytes += bytes;
}

static void let_go(struct files *files, uint64_t bytes)
{
    CV_ASSERT(files->held_bytes >= bytes && files->worker->file_bytes >= bytes);
    files->held_bytes -= bytes;
    files->worker->file_bytes -= bytes;
}

static void files_free(struct files *files)
{
    cv_file_close(&files->file);
    for (unsigned i = 0; i < files->queued; i++)
        cv_block_unref(&files->queue[i]);
    let_go(files, files->held_bytes);
    cv_mem_free(files);
}

// ---- refusals -------------------------------------------------------------------------------

// Each of these ends the request: `files` is gone.

static void answer_text(struct files *files, uint32_t status, const char *text)
{
    struct cv_web *web = files->web;
    files_free(files);
    cv_web_answer_text(web, status, text);
}

static void answer_field(struct files *files, uint32_t status, const char *name, const char *value,
                         const char *text)
{
    struct cv_web *web = files->web;
    const struct cv_http1_pair field = {name, value};
    const struct cv_http1_answer answer = {.status = status,
                                           .fields = &field,
                                           .field_count = 1,
                                           .type = "text/plain; charset=utf-8",
                                           .body = text,
                                           .len = strlen(text)};
    files_free(files);
    cv_web_answer(web, &answer);
}

static void log_failure(const struct files *files, int code)
{
    struct cv_text path = cv_web_head(files->web)->path;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_WARN, "site.file");
    cv_client_log_fields(files->web, &line);
    cv_line_str(&line, "path", path.at, path.len);
    cv_line_err(&line, code);
    cv_line_end(&line);
}

static void refuse(struct files *files, int code)
{
    static const struct {
        int code;
        uint32_t status;
        const char *text;
    } rows[] = {
        {CV_E_SYNTAX, 400, "No file has such a path.\n"},
        {CV_E_DENIED, 403, "This may not be read.\n"},
        {CV_E_NOT_FOUND, 404, "There is nothing here.\n"},
        {CV_E_NO_DESCRIPTORS, 503, "The server has too much to do. Try again soon.\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code != code)
            continue;
        if (rows[i].status >= 500)
            log_failure(files, code);
        answer_text(files, rows[i].status, rows[i].text);
        return;
    }
    log_failure(files, code);
    answer_text(files, 500, "This cannot be read now.\n");
}

// The answer has begun and cannot be completed: the client sees that it is cut.
static void cut(struct files *files, int code, const char *why)
{
    struct cv_web *web = files->web;
    files_free(files);
    cv_web_abort(web, code, why);
}

// A folder without its slash: links in its page would lead elsewhere. The path begins with one
// slash only, so that it never is "//another.host".
static void redirect(struct files *files)
{
    const struct cv_http1_head *head = cv_web_head(files->web);
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_TARGET_BYTES + sizeof "/?");
    cv_wr_bytes(&wr, head->path.at, head->path.len);
    cv_wr_u8(&wr, '/');
    if (head->query.at) {
        cv_wr_u8(&wr, '?');
        cv_wr_bytes(&wr, head->query.at, head->query.len);
    }
    cv_wr_u8(&wr, '\0');
    struct cv_block *location = cv_wr_take(&wr);
    if (location)
        answer_field(files, 301, "Location", (const char *)location->data, "It is a folder.\n");
    else
        cut(files, wr.err, cv_err_text(wr.err));
    cv_block_unref(&location);
}

// ---- sending --------------------------------------------------------------------------------

static void push(struct files *files, struct cv_block *block)
{
    CV_ASSERT(files->queued < QUEUE);
    files->queue[files->queued++] = block;
}

static void drop_first(struct files *files)
{
    let_go(files, files->queue[0]->len);
    cv_block_unref(&files->queue[0]);
    files->queued--;
    memmove(files->queue, files->queue + 1, files->queued * sizeof files->queue[0]);
    files->sent = 0;
}

static void has_left(struct files *files, size_t bytes)
{
    files->sent += bytes;
    while (files->queued && files->sent >= files->queue[0]->len) {
        size_t rest = files->sent - files->queue[0]->len;
        drop_first(files);
        files->sent = rest;
    }
}

static void gather_queue(const struct files *files, struct cv_gather *gather)
{
    size_t skip = files->sent;
    cv_gather_clear(gather);
    for (unsigned i = 0; i < files->queued; i++) {
        cv_gather_borrow(gather, files->queue[i]->data + skip, files->queue[i]->len - skip);
        skip = 0;
    }
}

// 0: all has left. CV_E_AGAIN: the client must take what it has first. Negative: the end.
static int write_queue(struct files *files)
{
    struct cv_gather *gather = &files->worker->gather;
    while (files->queued) {
        gather_queue(files, gather);
        int sent = cv_web_write(files->web, gather);
        if (sent < 0)
            return sent;
        has_left(files, (size_t)sent);
        if ((size_t)sent < gather->bytes)
            return CV_E_AGAIN;
    }
    return CV_OK;
}

// The next block, while the one before is written. Where many slow clients hold much memory, each
// has but a small one.
static void read_on(struct files *files)
{
    bool tight = files->worker->file_bytes >= CV_FILE_LARGE_BLOCKS_BYTES;
    uint64_t left = files->end - files->read_at;
    size_t len = tight ? CV_FILE_SMALL_BLOCK_BYTES : CV_FILE_BLOCK_BYTES;
    if (files->reads || left == 0 || files->queued > (tight ? 0 : 1))
        return;
    len = left < len ? (size_t)left : len;
    files->reads = true;
    hold(files, len);
    cv_file_read(files->file, files->read_at, len);
    files->read_at += len;
}

// Writes what waits, asks for more, and ends with the last byte.
static void pump(struct files *files)
{
    files->writes = true;
    read_on(files);
    int err = write_queue(files);
    if (err < 0 && err != CV_E_AGAIN) {
        cut(files, err, cv_err_text(err));
        return;
    }
    read_on(files);
    if (files->queued || files->reads)
        return;
    struct cv_web *web = files->web;
    bool keeps = files->keeps;
    files_free(files);
    cv_web_done(web, keeps);
}

// The head waits for the first block, so that a file that cannot be read gets its 500.
static void on_read(void *arg, int code, struct cv_block *block)
{
    struct files *files = arg;
    files->reads = false;
    if (code == CV_OK) {
        push(files, block);
        pump(files);
    } else if (!files->writes) {
        refuse(files, code);
    } else {
        log_failure(files, code);
        cut(files, code, code == CV_E_TRUNCATED ? "the file has become shorter" : "reading fails");
    }
}

// ---- the answer -----------------------------------------------------------------------------

// A time in the future is not told: it would not be a time of modification (RFC 9110, 8.8.2.1).
static void name_version(struct version *version, const struct cv_file_info *info)
{
    int64_t now_s = (int64_t)(cv_clock_wall_ms() / 1000);
    int64_t past_s = info->modified_s < now_s ? info->modified_s : now_s;
    int64_t modified_s = past_s > 0 ? past_s : 0;
    uint64_t modified_ns = (uint64_t)info->modified_s * 1000000000 + info->modified_ns;
    snprintf(version->etag, sizeof version->etag, "\"%" PRIx64 "-%" PRIx64 "\"", info->size,
             modified_ns);
    cv_http1_date_write(version->modified, modified_s);
    cv_http1_date_write(version->now, now_s);
    version->cond = (struct cv_http1_version){
        .etag = cv_text_of(version->etag), .modified_s = modified_s, .now_s = now_s};
}

static void write_range(struct cv_wr *wr, const struct answer *answer)
{
    char text[FIELD_BYTES];
    const struct cv_http1_range *range = &answer->range;
    snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first,
             range->first + range->len - 1, answer->size);
    cv_http1_write_header(wr, "Content-Range", text);
}

static struct cv_block *write_head(const struct files *files, const struct version *version,
                                   const struct answer *answer)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    cv_http1_write_status(&wr, answer->status, (struct cv_text){NULL, 0});
    cv_http1_write_header(&wr, "Date", version->now);
    cv_http1_write_header(&wr, "ETag", version->etag);
    cv_http1_write_header(&wr, "Last-Modified", version->modified);
    cv_http1_write_header(&wr, "Cache-Control", "no-cache"); // kept, but asked for each time
    if (answer->status != 304) {
        cv_http1_write_header(&wr, "Content-Type", files->type);
        cv_http1_write_header(&wr, "X-Content-Type-Options", "nosniff");
        cv_http1_write_header(&wr, "Accept-Ranges", "bytes");
        cv_http1_write_length(&wr, answer->range.len);
    }
    if (answer->status == 206)
        write_range(&wr, answer);
    if (!files->keeps)
        cv_http1_write_header(&wr, "Connection", "close");
    cv_http1_write_head_end(&wr);
    return cv_wr_take(&wr);
}

static void send_answer(struct files *files, const struct version *version,
                        const struct answer *answer)
{
    struct cv_block *head = write_head(files, version, answer);
    if (!head) {
        cut(files, CV_E_NOMEM, cv_err_text(CV_E_NOMEM));
        return;
    }
    cv_web_log_request(files->web, answer->status);
    bool bare = answer->status == 304 || cv_web_head(files->web)->method == CV_METHOD_HEAD;
    files->read_at = answer->range.first;
    files->end = answer->range.first + (bare ? 0 : answer->range.len);
    read_on(files);
    hold(files, head->len);
    push(files, head);
    if (!files->reads)
        pump(files);
}

static struct cv_http1_range range_of(const struct cv_http1_head *head,
                                      const struct version *version, uint64_t size)
{
    struct cv_text value = {NULL, 0};
    if (head->method == CV_METHOD_GET && cv_http1_count(head->fields, "range") == 1 &&
        cv_http1_cond_if_range(head->fields, &version->cond))
        value = cv_http1_find(head->fields, "range");
    return cv_http1_range_parse(value, size);
}

static void answer_file(struct files *files, const struct cv_file_info *info)
{
    const struct cv_http1_head *head = cv_web_head(files->web);
    struct version version;
    name_version(&version, info);
    struct answer answer = {.status = 200, .size = info->size};
    enum cv_http1_cond cond = cv_http1_cond_check(head->fields, &version.cond);
    if (cond == CV_HTTP1_COND_FAILED) {
        answer_text(files, 412, "This is another version.\n");
        return;
    }
    answer.range = range_of(head, &version, info->size);
    if (cond == CV_HTTP1_COND_NOT_MODIFIED) {
        answer.status = 304;
    } else if (answer.range.kind == CV_HTTP1_RANGE_OUTSIDE) {
        char text[FIELD_BYTES];
        snprintf(text, sizeof text, "bytes */%" PRIu64, info->size);
        answer_field(files, 416, "Content-Range", text, "There are no such bytes.\n");
        return;
    } else if (answer.range.kind == CV_HTTP1_RANGE_PART) {
        answer.status = 206;
    }
    send_answer(files, &version, &answer);
}

static void on_opened(void *arg, int code, const struct cv_file_info *info)
{
    struct files *files = arg;
    if (code != CV_OK)
        refuse(files, code);
    else if (info->folder)
        redirect(files);
    else
        answer_file(files, info);
}

// ---- the request ----------------------------------------------------------------------------

static void begin(struct files *files)
{
    static const struct cv_file_user user = {.opened = on_opened, .read = on_read};
    const struct cv_http1_head *head = cv_web_head(files->web);
    struct cv_site_path path;
    files->begun = true;
    if (head->method != CV_METHOD_GET && head->method != CV_METHOD_HEAD) {
        answer_field(files, 405, "Allow", "GET, HEAD", "Files can only be read: GET or HEAD.\n");
        return;
    }
    int err = cv_site_path_parse(&path, head->path);
    if (err != CV_OK) {
        refuse(files, err);
        return;
    }
    const char *index = path.folder ? index_name : NULL;
    files->type = cv_content_type_of(index ? cv_text_of(index) : cv_text_of(path.text));
    files->keeps = cv_web_keeps(files->web) && !head->expects_continue;
    files->file = cv_file_open(&files->worker->disk, files->worker->policy->config->site.folder,
                               path.text, index, &user, files);
    if (!files->file)
        cut(files, CV_E_NOMEM, cv_err_text(CV_E_NOMEM));
}

static void on_end(void *arg)
{
    struct files *files = arg;
    if (!files->begun)
        begin(files);
}

static void on_writable(void *arg)
{
    pump(arg);
}

static void on_gone(void *arg)
{
    files_free(arg);
}

static const struct cv_responder responder = {
    .end = on_end,
    .writable = on_writable,
    .gone = on_gone,
    .patient = true,
};

int cv_files_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_worker *worker = cv_web_conn(web)->worker;
    if (worker->policy->config->site.kind != CV_SITE_FOLDER)
        return 0;
    struct files *files = cv_mem_zero(1, sizeof *files);
    if (!files)
        return CV_E_NOMEM;
    files->web = web;
    files->worker = worker;
    cv_web_respond(web, &responder, files);
    cv_web_set_body_max(web, CV_LIMIT_HTTP_DISCARD_BYTES);
    if (head->expects_continue) // nobody is asked for a body
        begin(files);
    return 1;
}
