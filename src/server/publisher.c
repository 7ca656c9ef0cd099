#include "server/publisher.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/reply.h"
#include "server/log.h"
#include "server/netconn.h"
#include "server/table.h"
#include "server/worker.h"

// What may wait to go home, beside a last message: more and the client is not read any further.
enum { WAITING_ITEMS = CV_BATCH_ITEMS_MAX / 2, WAITING_BYTES = 1024 * 1024 };

static void begin_line(const struct cv_publisher *publisher, struct cv_line *line,
                       enum cv_log_level level, const char *event)
{
    cv_line_begin(line, level, event);
    cv_netconn_log_fields(publisher->conn, line);
    cv_line_text(line, "stream", publisher->path.text);
}

static void log_publisher(const struct cv_publisher *publisher, enum cv_log_level level,
                          const char *event, int code)
{
    struct cv_line line;
    begin_line(publisher, &line, level, event);
    if (code != CV_OK)
        cv_line_err(&line, code);
    if (publisher->messages) {
        cv_line_uint(&line, "messages", publisher->messages);
        cv_line_uint(&line, "bytes", publisher->bytes);
    }
    cv_line_end(&line);
}

static unsigned home_of(const struct cv_publisher *publisher)
{
    return cv_worker_home(publisher->conn->worker, &publisher->path);
}

// Asks for the stream, when the note for its end is there.
static int ask(struct cv_publisher *publisher, const struct cv_identity *identity)
{
    struct cv_note note = {
        .kind = CV_NOTE_UNPUBLISH, .path = publisher->path, .publisher = publisher->id};
    publisher->unpublish = cv_worker_note_new(&note);
    if (!publisher->unpublish)
        return CV_E_NOMEM;
    note.kind = CV_NOTE_PUBLISH;
    note.identity = *identity;
    note.settings = cv_policy_stream_settings(publisher->app);
    return cv_worker_send_note(publisher->conn->worker, home_of(publisher), &note);
}

struct cv_publisher *cv_publisher_new(struct cv_netconn *conn, uint32_t net_stream,
                                      const struct cv_path *path, struct cv_policy *policy,
                                      const struct cv_config_app *app,
                                      const struct cv_identity *identity)
{
    struct cv_worker *worker = conn->worker;
    struct cv_publisher *publisher = cv_mem_zero(1, sizeof *publisher);
    if (!publisher)
        return NULL;
    publisher->conn = conn;
    publisher->id = (struct cv_publisher_id){.conn_id = conn->id,
                                             .thread = worker->index,
                                             .net_stream = net_stream,
                                             .serial = ++worker->last_publisher};
    publisher->path = *path;
    publisher->app = app;
    publisher->opened_us = cv_loop_now_us(worker->loop);
    if (ask(publisher, identity) != CV_OK) {
        cv_note_free(publisher->unpublish);
        cv_mem_free(publisher);
        return NULL;
    }
    publisher->policy = cv_policy_ref(policy);
    worker->stats.publishers++;
    return publisher;
}

void cv_publisher_free(struct cv_publisher *publisher, bool clean)
{
    if (!publisher)
        return;
    struct cv_worker *worker = publisher->conn->worker;
    cv_publisher_send(publisher);
    if (publisher->batch)
        worker->stats.lost += publisher->batch->count;
    cv_batch_free(&publisher->batch);
    if (publisher->dirty)
        DL_DELETE(worker->dirty_publishers, publisher);
    publisher->unpublish->flag = clean;
    if (publisher->state == CV_PUBLISHER_OVER)
        cv_note_free(publisher->unpublish);
    else
        cv_worker_post_note(worker, home_of(publisher), publisher->unpublish);
    log_publisher(publisher, CV_LOG_INFO, "publish.end", CV_OK);
    worker->stats.publishers--;
    cv_policy_leave_publisher(publisher->policy, publisher->app);
    cv_policy_unref(&publisher->policy);
    cv_mem_free(publisher);
}

// ---- media ----------------------------------------------------------------------------------

static void mark(struct cv_publisher *publisher)
{
    if (publisher->dirty)
        return;
    publisher->dirty = true;
    DL_APPEND(publisher->conn->worker->dirty_publishers, publisher);
}

int cv_publisher_append(struct cv_publisher *publisher, const struct cv_msg *msg)
{
    if (publisher->state == CV_PUBLISHER_OVER)
        return CV_OK;
    if (!publisher->batch)
        publisher->batch = cv_batch_new(&publisher->path, &publisher->id);
    if (!publisher->batch)
        return CV_E_NOMEM;
    int err = cv_batch_add(&publisher->batch, msg);
    if (err != CV_OK)
        return err;
    publisher->messages++;
    publisher->bytes += msg->payload->len;
    mark(publisher);
    return CV_OK;
}

bool cv_publisher_send(struct cv_publisher *publisher)
{
    struct cv_worker *worker = publisher->conn->worker;
    if (!publisher->batch || publisher->state == CV_PUBLISHER_ASKING)
        return true;
    int err = cv_worker_send_batch(worker, home_of(publisher), publisher->batch);
    if (err == CV_OK)
        publisher->batch = NULL;
    return err == CV_OK;
}

bool cv_publisher_make_room(struct cv_publisher *publisher)
{
    const struct cv_batch *batch = publisher->batch;
    if (!batch || (batch->count < WAITING_ITEMS && batch->bytes < WAITING_BYTES))
        return true;
    cv_publisher_send(publisher);
    return !publisher->batch;
}

// ---- from home ------------------------------------------------------------------------------

static struct cv_publisher *find(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_netconn *conn = cv_netconn_find(worker, note->publisher.conn_id);
    struct cv_publisher *publisher =
        conn ? cv_netconn_publisher(conn, note->publisher.net_stream) : NULL;
    return publisher && publisher->id.serial == note->publisher.serial ? publisher : NULL;
}

// Nobody wants its media any more.
static void set_over(struct cv_publisher *publisher)
{
    publisher->state = CV_PUBLISHER_OVER;
    cv_batch_free(&publisher->batch);
}

static void refuse(struct cv_publisher *publisher, int code)
{
    const char *text = code == CV_E_BUSY ? "Somebody publishes this stream already."
                                         : "The server cannot take this stream now.";
    struct cv_netconn *conn = publisher->conn;
    set_over(publisher);
    log_publisher(publisher, CV_LOG_WARN, "publish.refused", code);
    cv_reply_status(conn->rtmp, publisher->id.net_stream, CV_STATUS_PUBLISH_BAD_NAME, text);
    cv_netconn_finish(conn);
}

void cv_publisher_on_answer(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher || publisher->state != CV_PUBLISHER_ASKING)
        return;
    if (note->code != CV_OK) {
        refuse(publisher, note->code);
        return;
    }
    struct cv_rtmp *rtmp = publisher->conn->rtmp;
    uint32_t net_stream = publisher->id.net_stream;
    publisher->state = CV_PUBLISHER_LIVE;
    log_publisher(publisher, CV_LOG_INFO, "publish.start", CV_OK);
    int err = cv_rtmp_send_user(rtmp, CV_USER_STREAM_BEGIN, net_stream);
    if (err == CV_OK)
        err = cv_reply_status(rtmp, net_stream, CV_STATUS_PUBLISH_START, "Publishing.");
    if (err != CV_OK)
        cv_netconn_doom(publisher->conn, err, "publish");
    if (publisher->batch)
        mark(publisher);
    cv_netconn_mark(publisher->conn);
}

static void log_taken_over(const struct cv_publisher *publisher, bool ghost)
{
    struct cv_line line;
    begin_line(publisher, &line, CV_LOG_WARN, "publish.taken_over");
    cv_line_text(&line, "why",
                 ghost ? "it has fallen silent, and the same publisher is back"
                       : "the app lets publishers take over");
    cv_line_end(&line);
}

void cv_publisher_on_probe(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher) // its last note is on its way home
        return;
    struct cv_note heard = {.kind = CV_NOTE_HEARD,
                            .path = publisher->path,
                            .publisher = publisher->id,
                            .heard_us = cv_netconn_heard_us(publisher->conn)};
    cv_worker_send_note(worker, home_of(publisher), &heard);
}

void cv_publisher_on_kick(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher || publisher->state == CV_PUBLISHER_OVER)
        return;
    set_over(publisher);
    log_taken_over(publisher, note->flag);
    cv_reply_status(publisher->conn->rtmp, publisher->id.net_stream, CV_STATUS_PUBLISH_BAD_NAME,
                    "Another publisher has taken over.");
    cv_netconn_finish(publisher->conn);
}
