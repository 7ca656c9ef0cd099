#include "server/flv_play.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/http1_write.h"
#include "server/client_addr.h"
#include "server/conn.h"
#include "server/flv_viewer.h"
#include "server/web.h"
#include "server/websocket.h"
#include "server/worker.h"

#include <stdio.h>
#include <string.h>

enum { ORIGIN_BYTES = 256 }; // of an Origin that is echoed

// A request that waits for its stream.
struct request {
    struct cv_web *web;
    struct cv_flv_viewer *viewer;
    struct cv_path path;
    bool complete; // its end has come
};

// What a request is about.
struct target {
    struct cv_policy *policy;
    const struct cv_config_app *app;
    struct cv_path path;
};

// ---- answers --------------------------------------------------------------------------------

// Fields that let pages of other sites read an answer (Fetch, CORS protocol). A page that sends
// credentials wants its own origin to be named.
struct cors {
    char origin[ORIGIN_BYTES];
    struct cv_http1_pair pairs[6];
    size_t count;
};

static void add_pair(struct cors *cors, const char *name, const char *value)
{
    cors->pairs[cors->count++] = (struct cv_http1_pair){name, value};
}

static void make_cors(struct cors *cors, const struct cv_http1_head *head)
{
    struct cv_text origin = cv_http1_header(head, "Origin");
    bool echoed = origin.len > 0 && origin.len < sizeof cors->origin;
    cors->count = 0;
    if (echoed) {
        memcpy(cors->origin, origin.at, origin.len);
        cors->origin[origin.len] = '\0';
        add_pair(cors, "Vary", "Origin");
    }
    add_pair(cors, "Access-Control-Allow-Origin", echoed ? cors->origin : "*");
}

static void answer_text(struct cv_web *web, uint32_t status, const char *text)
{
    struct cors cors;
    make_cors(&cors, cv_web_head(web));
    if (status == 503)
        add_pair(&cors, "Retry-After", "10");
    struct cv_http1_answer answer = {
        .status = status,
        .fields = cors.pairs,
        .field_count = cors.count,
        .type = "text/plain; charset=utf-8",
        .body = text,
        .len = strlen(text),
    };
    cv_web_answer(web, &answer);
}

static void answer_not_live(struct cv_web *web, const struct cv_path *path)
{
    char text[sizeof path->text + 32];
    snprintf(text, sizeof text, "nobody publishes %s\n", path->text);
    answer_text(web, 404, text);
}

static void answer_options(struct cv_web *web)
{
    static const char methods[] = "GET, HEAD, POST, PUT, OPTIONS";
    struct cors cors;
    make_cors(&cors, cv_web_head(web));
    add_pair(&cors, "Allow", methods);
    add_pair(&cors, "Access-Control-Allow-Methods", methods);
    add_pair(&cors, "Access-Control-Allow-Headers", "range, content-type");
    add_pair(&cors, "Access-Control-Max-Age", "86400");
    struct cv_http1_answer answer = {
        .status = 204, .fields = cors.pairs, .field_count = cors.count};
    cv_web_answer(web, &answer);
}

static void answer_refused(struct cv_web *web, const struct target *target, int code)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_WARN, "play.refused");
    cv_client_log_fields(web, &line);
    cv_line_text(&line, "stream", target->path.text);
    cv_line_err(&line, code);
    cv_line_end(&line);
    if (code == CV_E_TOO_MANY)
        answer_text(web, 503, "there are as many viewers as there may be\n");
    else if (code == CV_E_REFUSED)
        answer_text(web, 403, "playing is switched off here\n");
    else
        answer_text(web, 503, "the server is out of memory\n");
}

// No length: the end of the stream is the end of the body. NULL: no memory.
static struct cv_block *make_head(const struct cv_http1_head *head)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_HTTP_HEAD_BYTES);
    struct cors cors;
    make_cors(&cors, head);
    cv_http1_write_status(&wr, 200, (struct cv_text){0});
    cv_http1_write_header(&wr, "Content-Type", "video/x-flv");
    cv_http1_write_header(&wr, "Cache-Control", "no-store");
    cv_http1_write_header(&wr, "X-Accel-Buffering", "no");
    for (size_t i = 0; i < cors.count; i++)
        cv_http1_write_header(&wr, cors.pairs[i].name, cors.pairs[i].value);
    if (head->minor > 0)
        cv_http1_write_header(&wr, "Transfer-Encoding", "chunked");
    cv_http1_write_header(&wr, "Connection", "close");
    cv_http1_write_head_end(&wr);
    return cv_wr_take(&wr);
}

// ---- while it waits -------------------------------------------------------------------------

// The stream is live and the request complete: HTTP is over.
static void open_viewer(struct request *request)
{
    struct cv_block *unread = NULL;
    struct cv_block *head = make_head(cv_web_head(request->web));
    struct cv_conn *conn = head ? cv_web_release(request->web, &unread) : NULL;
    if (!head)
        cv_web_abort(request->web, CV_E_NOMEM, "no memory for the head of an answer");
    if (conn) {
        cv_flv_viewer_open(request->viewer, head, unread ? unread->data : NULL,
                           unread ? unread->len : 0);
    } else {
        cv_flv_viewer_drop(request->viewer);
        cv_block_unref(&head);
    }
    cv_block_unref(&unread);
    cv_mem_free(request);
}

static void on_live(void *arg)
{
    struct request *request = arg;
    if (request->complete)
        open_viewer(request);
}

static void on_over(void *arg)
{
    struct request *request = arg;
    cv_flv_viewer_free(request->viewer);
    answer_not_live(request->web, &request->path);
    cv_mem_free(request);
}

static const struct cv_flv_host host = {.live = on_live, .over = on_over};

static void on_end(void *arg)
{
    struct request *request = arg;
    request->complete = true;
    if (cv_flv_viewer_is_live(request->viewer))
        open_viewer(request);
}

static void on_gone(void *arg)
{
    struct request *request = arg;
    cv_flv_viewer_free(request->viewer);
    cv_mem_free(request);
}

static const struct cv_responder responder = {.end = on_end, .gone = on_gone};

// ---- requests -------------------------------------------------------------------------------

// False when the path is none of a stream of ours.
static bool find_target(const struct cv_web *web, const struct cv_http1_head *head,
                        struct target *out)
{
    struct cv_text stream;
    out->policy = cv_web_conn(web)->worker->policy;
    out->app = cv_policy_route_file(out->policy, head->path, ".flv", &out->path, &stream);
    return out->app;
}

// FFmpeg takes everything, and is to get it.
static bool wants_plain(const struct cv_http1_head *head)
{
    char value[2];
    if (cv_query_get(head->query, "plain", value, sizeof value) == 1)
        return value[0] == '1';
    return cv_text_starts(cv_http1_header(head, "User-Agent"), "Lavf");
}

static enum cv_flv_framing_kind framing_of(const struct cv_http1_head *head)
{
    if (head->method == CV_METHOD_HEAD || head->minor == 0)
        return CV_FLV_UNTIL_CLOSE;
    return cv_websocket_is_asked(head) ? CV_FLV_WEBSOCKET : CV_FLV_CHUNKED;
}

static struct cv_flv_setup make_setup(const struct cv_http1_head *head, const struct target *target)
{
    return (struct cv_flv_setup){
        .path = &target->path,
        .policy = target->policy,
        .app = target->app,
        .framing = framing_of(head),
        .plain = wants_plain(head),
        .head_only = head->method == CV_METHOD_HEAD,
    };
}

static int open_websocket(void *arg, struct cv_conn *conn, const uint8_t *data, size_t len)
{
    (void)conn; // the viewer has known it all along
    cv_flv_viewer_open(arg, NULL, data, len);
    return CV_OK;
}

static void drop_websocket(void *arg)
{
    cv_flv_viewer_free(arg);
}

static const struct cv_websocket_heir heir = {.open = open_websocket, .gone = drop_websocket};

static int enter(const struct target *target)
{
    int err = cv_policy_may_play(target->policy, target->app);
    if (err != CV_OK)
        return err;
    return cv_policy_enter_viewer(target->policy, target->app, &target->path);
}

static void play_http(struct cv_web *web, struct cv_flv_viewer *viewer, const struct target *target)
{
    struct request *request = cv_mem_zero(1, sizeof *request);
    if (!request) {
        cv_flv_viewer_free(viewer);
        answer_refused(web, target, CV_E_NOMEM);
        return;
    }
    *request = (struct request){.web = web, .viewer = viewer, .path = target->path};
    cv_flv_viewer_wait(viewer, &host, request);
    cv_web_respond(web, &responder, request);
    cv_web_set_body_max(web, CV_LIMIT_HTTP_DISCARD_BYTES);
}

static int play(struct cv_web *web, const struct cv_http1_head *head, const struct target *target)
{
    struct cv_flv_setup setup = make_setup(head, target);
    int err = enter(target);
    if (err != CV_OK) {
        answer_refused(web, target, err);
        return 1;
    }
    struct cv_flv_viewer *viewer = cv_flv_viewer_new(cv_web_conn(web), &setup);
    if (!viewer) {
        cv_policy_leave_viewer(target->policy, target->app, &target->path);
        answer_refused(web, target, CV_E_NOMEM);
        return 1;
    }
    // A page learns nothing of a WebSocket that is not opened: there the viewer waits once it is.
    if (setup.framing == CV_FLV_WEBSOCKET)
        return cv_websocket_open(web, head, &heir, viewer);
    play_http(web, viewer, target);
    return 1;
}

int cv_flv_play_route(struct cv_web *web, const struct cv_http1_head *head)
{
    struct target target;
    bool plays = head->method == CV_METHOD_GET || head->method == CV_METHOD_HEAD;
    if ((!plays && head->method != CV_METHOD_OPTIONS) || !find_target(web, head, &target))
        return 0;
    if (plays)
        return play(web, head, &target);
    answer_options(web);
    return 1;
}
