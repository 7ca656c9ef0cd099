#include "server/flv_ingest.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/flv.h"
#include "proto/http1.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/publisher.h"
#include "server/web.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_BYTES = 256 }; // of text: any reason fits

struct cv_flv_ingest {
    struct cv_web *web;
    struct cv_worker *worker;
    struct cv_flv_reader *reader;
    struct cv_publisher *publisher;
    struct cv_block *stash; // of the body: bytes that came and must wait; NULL: none
    bool paused;            // the body is not read
    bool ended;             // it has come to its end; what it brought has not gone home yet
    uint64_t heard_us;      // when bytes last came
    struct cv_flv_ingest *prev, *next; // in the worker's list of those that are paused
};

static uint64_t now_us(const struct cv_flv_ingest *ingest)
{
    return cv_loop_now_us(ingest->worker->loop);
}

// ---- ending ---------------------------------------------------------------------------------

static void unpause(struct cv_flv_ingest *ingest)
{
    if (ingest->paused)
        DL_DELETE(ingest->worker->paused_ingests, ingest);
    ingest->paused = false;
}

static void ingest_free(struct cv_flv_ingest *ingest, bool clean)
{
    unpause(ingest);
    cv_publisher_free(ingest->publisher, clean);
    cv_flv_reader_free(ingest->reader);
    cv_block_unref(&ingest->stash);
    cv_mem_free(ingest);
}

// Pages of any site may publish, with a key, and read what became of it. May free web.
static void answer_page(struct cv_web *web, uint32_t status, const char *text)
{
    static const struct cv_http1_pair allow_origin = {"Access-Control-Allow-Origin", "*"};
    char body[ANSWER_BYTES];
    int len = snprintf(body, sizeof body, "%s\n", text);
    CV_ASSERT(len > 0 && (size_t)len < sizeof body);
    struct cv_http1_answer whole = {.status = status,
                                    .fields = &allow_origin,
                                    .field_count = 1,
                                    .type = "text/plain; charset=utf-8",
                                    .body = body,
                                    .len = (size_t)len};
    cv_web_answer(web, &whole);
}

// The answer, which ends the ingest.
static void answer(struct cv_flv_ingest *ingest, uint32_t status, const char *text, bool clean)
{
    struct cv_web *web = ingest->web;
    char copy[ANSWER_BYTES]; // the text may be the reader's
    snprintf(copy, sizeof copy, "%s", text);
    ingest_free(ingest, clean);
    answer_page(web, status, copy);
}

static uint32_t status_of(int code)
{
    switch (code) {
    case CV_E_BAD_KEY:
    case CV_E_REFUSED:
        return 403;
    case CV_E_BUSY:
        return 409;
    case CV_E_FLV:
    case CV_E_TOO_LONG:
    case CV_E_TRUNCATED:
        return 400;
    default:
        return 503;
    }
}

// The reader's own reasons say more than the code.
static void fail(struct cv_flv_ingest *ingest, int code, bool clean)
{
    const struct cv_why *why = cv_flv_reader_why(ingest->reader);
    const char *text = why->code == code ? why->text : cv_publish_refusal(code);
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_WARN, "publish.failed");
    cv_client_log_fields(ingest->web, &line);
    cv_line_text(&line, "stream", ingest->publisher->path.text);
    cv_line_err(&line, code);
    cv_line_text(&line, "why", text);
    cv_line_end(&line);
    answer(ingest, status_of(code), text, clean);
}

static void succeed(struct cv_flv_ingest *ingest)
{
    char text[96];
    snprintf(text, sizeof text, "Published: %" PRIu64 " messages, %" PRIu64 " bytes.",
             ingest->publisher->messages, ingest->publisher->bytes);
    answer(ingest, 200, text, true);
}

// ---- the body -------------------------------------------------------------------------------

static bool may_read(struct cv_flv_ingest *ingest)
{
    struct cv_publisher *publisher = ingest->publisher;
    if (publisher->state == CV_PUBLISHER_ADMITTED) // its first bytes are still missing
        return true;
    return publisher->state == CV_PUBLISHER_LIVE && cv_publisher_make_room(publisher);
}

static int on_tag(struct cv_flv_ingest *ingest, struct cv_flv_event *tag)
{
    struct cv_msg msg = {.type = tag->type, .ts_ms = tag->ts_ms, .payload = tag->payload};
    int err = CV_OK;
    if (msg.type != CV_MSG_DATA_AMF3) { // of no FLV that is known
        ingest->worker->stats.messages_in += msg.type != CV_MSG_DATA_AMF0;
        err = cv_publisher_append(ingest->publisher, &msg);
    }
    cv_block_unref(&tag->payload);
    return err;
}

static int on_event(struct cv_flv_ingest *ingest, struct cv_flv_event *event)
{
    return event->kind == CV_FLV_HEADER ? cv_publisher_ask(ingest->publisher)
                                        : on_tag(ingest, event);
}

// Works through what has been fed. 1: all is used; 0: the rest must wait; negative: the end.
static int take_tags(struct cv_flv_ingest *ingest)
{
    struct cv_flv_event event;
    while (may_read(ingest)) {
        int more = cv_flv_reader_next(ingest->reader, &event);
        if (more <= 0)
            return more < 0 ? more : 1;
        int err = on_event(ingest, &event);
        if (err != CV_OK)
            return err;
    }
    return 0;
}

static int pause_reading(struct cv_flv_ingest *ingest)
{
    struct cv_rd unread = cv_flv_reader_unread(ingest->reader);
    CV_ASSERT(!ingest->stash && !ingest->paused);
    ingest->paused = true;
    DL_APPEND(ingest->worker->paused_ingests, ingest);
    cv_web_want_body(ingest->web, false);
    if (cv_rd_left(&unread) == 0)
        return CV_OK;
    ingest->stash = cv_block_copy(unread.at, cv_rd_left(&unread));
    return ingest->stash ? CV_OK : CV_E_NOMEM;
}

// False: the ingest has ended, and is freed.
static bool take(struct cv_flv_ingest *ingest, const uint8_t *data, size_t len)
{
    int done = cv_flv_reader_feed(ingest->reader, data, len);
    if (done == CV_OK)
        done = take_tags(ingest);
    if (done == 0)
        done = pause_reading(ingest);
    if (done < 0)
        fail(ingest, done, false);
    return done >= 0;
}

static void pause_at_end(struct cv_flv_ingest *ingest)
{
    ingest->ended = true;
    ingest->paused = true;
    DL_APPEND(ingest->worker->paused_ingests, ingest);
}

// All that it brought goes home before the stream ends.
static void end(struct cv_flv_ingest *ingest)
{
    if (cv_publisher_send(ingest->publisher))
        succeed(ingest);
    else if (!ingest->ended)
        pause_at_end(ingest);
}

static void resume(struct cv_flv_ingest *ingest)
{
    if (!ingest->paused || !may_read(ingest))
        return;
    if (ingest->ended) {
        end(ingest);
        return;
    }
    unpause(ingest);
    struct cv_block *stash = ingest->stash;
    ingest->stash = NULL;
    bool alive = take(ingest, stash ? stash->data : NULL, stash ? stash->len : 0);
    cv_block_unref(&stash);
    if (alive && !ingest->paused)
        cv_web_want_body(ingest->web, true);
}

// A resumed one may end, no other does; new ones may join behind.
void cv_flv_ingests_resume(struct cv_worker *worker)
{
    struct cv_flv_ingest *ingest;
    struct cv_flv_ingest *next;
    DL_FOREACH_SAFE (worker->paused_ingests, ingest, next)
        resume(ingest);
}

static void on_body(void *arg, const uint8_t *data, size_t len)
{
    struct cv_flv_ingest *ingest = arg;
    ingest->heard_us = now_us(ingest);
    take(ingest, data, len);
}

static void on_end(void *arg)
{
    struct cv_flv_ingest *ingest = arg;
    int err = cv_flv_reader_end(ingest->reader);
    if (err == CV_OK)
        end(ingest);
    else
        fail(ingest, err, true);
}

static void on_gone(void *arg)
{
    const struct cv_flv_ingest *ingest = arg;
    ingest_free(arg, ingest->ended);
}

static const struct cv_responder responder = {.body = on_body, .end = on_end, .gone = on_gone};

// ---- the publisher's side ---------------------------------------------------------------------

static void on_live(void *arg)
{
    resume(arg);
}

static void on_refused(void *arg, int code)
{
    answer(arg, status_of(code), cv_publish_refusal(code), false);
}

static void on_replaced(void *arg)
{
    answer(arg, 409, "Another publisher has taken over.", false);
}

static uint64_t heard_us(const void *arg)
{
    const struct cv_flv_ingest *ingest = arg;
    return ingest->paused ? now_us(ingest) : ingest->heard_us;
}

static void log_fields(const void *arg, struct cv_line *line)
{
    const struct cv_flv_ingest *ingest = arg;
    cv_client_log_fields(ingest->web, line);
    cv_line_text(line, "by", "http");
}

static const struct cv_publisher_owner owner = {
    .live = on_live,
    .refused = on_refused,
    .replaced = on_replaced,
    .heard_us = heard_us,
    .log_fields = log_fields,
};

// ---- requests -------------------------------------------------------------------------------

static int begin(struct cv_web *web, const struct cv_publish_request *request)
{
    struct cv_worker *worker = cv_web_conn(web)->worker;
    struct cv_flv_ingest *ingest = cv_mem_zero(1, sizeof *ingest);
    if (!ingest)
        return CV_E_NOMEM;
    ingest->web = web;
    ingest->worker = worker;
    ingest->heard_us = now_us(ingest);
    ingest->reader = cv_flv_reader_new(request->policy->config->limits.media_message_bytes_max);
    int err = ingest->reader ? CV_OK : CV_E_NOMEM;
    if (err == CV_OK)
        err = cv_publisher_new(worker, request, &owner, ingest, &ingest->publisher);
    if (err == CV_OK)
        cv_web_respond(web, &responder, ingest);
    else
        ingest_free(ingest, false);
    return err;
}

static void refuse(struct cv_web *web, const struct cv_path *path, int code)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_WARN, "publish.refused");
    cv_client_log_fields(web, &line);
    cv_line_text(&line, "by", "http");
    cv_line_text(&line, "stream", path->text);
    cv_line_err(&line, code);
    cv_line_end(&line);
    answer_page(web, status_of(code), cv_publish_refusal(code));
}

int cv_flv_ingest_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct cv_policy *policy = cv_web_conn(web)->worker->policy;
    struct cv_addr client = cv_client_addr(cv_web_conn(web), head);
    struct cv_path path;
    struct cv_publish_request request = {
        .policy = policy,
        .path = &path,
        .query = {.name = head->target},
        .peer = &client,
    };
    if (head->method != CV_METHOD_POST && head->method != CV_METHOD_PUT)
        return 0;
    request.app = cv_policy_route_file(policy, head->path, ".flv", &path, &request.stream);
    if (!request.app)
        return 0;
    int err = begin(web, &request);
    if (err != CV_OK)
        refuse(web, &path, err);
    return 1;
}
