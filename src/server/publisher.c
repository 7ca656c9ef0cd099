#include "server/publisher.h"

#include "base/check.h"
#include "base/mem.h"
#include "server/worker.h"

// What may wait to go home, beside a last message: more and the client is not read any further.
enum { WAITING_ITEMS = CV_BATCH_ITEMS_MAX / 2, WAITING_BYTES = 1024 * 1024 };

static void begin_line(const struct cv_publisher *publisher, struct cv_line *line,
                       enum cv_log_level level, const char *event)
{
    cv_line_begin(line, level, event);
    publisher->owner->log_fields(publisher->owner_arg, line);
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
    return cv_worker_home(publisher->worker, &publisher->path);
}

// ---- beginning and ending -------------------------------------------------------------------

const char *cv_publish_refusal(int code)
{
    switch (code) {
    case CV_E_BAD_KEY:
        return "The publish key is missing or wrong: add ?key=... to the stream name.";
    case CV_E_NOT_FOUND:
        return "There is no such app on this server, or the stream has no name.";
    case CV_E_REFUSED:
        return "Publishing to this app is switched off.";
    case CV_E_TOO_MANY:
        return "The app has as many streams as it may have.";
    case CV_E_BUSY:
        return "Somebody publishes this stream already.";
    case CV_E_NOMEM:
    case CV_E_SYSTEM:
        return "The server cannot take this stream now.";
    default:
        return "This stream name cannot be used.";
    }
}

static int check(const struct cv_worker *worker, const struct cv_publish_request *request,
                 struct cv_identity *out)
{
    int err =
        cv_policy_may_publish(request->policy, request->app, request->stream, &request->query);
    if (err != CV_OK)
        return err;
    return cv_policy_identify(request->policy, request->app, &request->query, request->peer,
                              worker->shared->identity_secret, out);
}

// Who comes with a token may be counted beside its own old connection; home knows whether it is.
static int enter_app(struct cv_publisher *publisher)
{
    int err = cv_policy_enter_publisher(publisher->policy, publisher->app, false);
    publisher->resume.replaces = err == CV_E_TOO_MANY && publisher->resume.has_token;
    if (!publisher->resume.replaces)
        return err;
    return cv_policy_enter_publisher(publisher->policy, publisher->app, true);
}

static int enter(struct cv_publisher *publisher)
{
    struct cv_worker *worker = publisher->worker;
    struct cv_note note = {
        .kind = CV_NOTE_UNPUBLISH, .path = publisher->path, .publisher = publisher->id};
    publisher->unpublish = cv_worker_note_new(&note);
    if (!publisher->unpublish)
        return CV_E_NOMEM;
    HASH_ADD(hh, worker->publishers, id.serial, sizeof publisher->id.serial, publisher);
    if (!publisher->hh.tbl)
        return CV_E_NOMEM;
    int err = enter_app(publisher);
    if (err != CV_OK)
        HASH_DEL(worker->publishers, publisher);
    return err;
}

int cv_publisher_new(struct cv_worker *worker, const struct cv_publish_request *request,
                     const struct cv_publisher_owner *owner, void *owner_arg,
                     struct cv_publisher **out)
{
    struct cv_identity identity;
    int err = check(worker, request, &identity);
    if (err != CV_OK)
        return err;
    struct cv_publisher *publisher = cv_mem_zero(1, sizeof *publisher);
    if (!publisher)
        return CV_E_NOMEM;
    publisher->worker = worker;
    publisher->owner = owner;
    publisher->owner_arg = owner_arg;
    publisher->id =
        (struct cv_publisher_id){.thread = worker->index, .serial = ++worker->last_publisher};
    publisher->identity = identity;
    publisher->path = *request->path;
    publisher->policy = request->policy;
    publisher->app = request->app;
    publisher->resume = request->resume;
    err = enter(publisher);
    if (err != CV_OK) {
        cv_note_free(publisher->unpublish);
        cv_mem_free(publisher);
        return err;
    }
    cv_policy_ref(publisher->policy);
    worker->stats.publishers++;
    *out = publisher;
    return CV_OK;
}

int cv_publisher_ask(struct cv_publisher *publisher)
{
    CV_ASSERT(publisher->state == CV_PUBLISHER_ADMITTED);
    struct cv_note note = {.kind = CV_NOTE_PUBLISH,
                           .path = publisher->path,
                           .publisher = publisher->id,
                           .identity = publisher->identity,
                           .resume = publisher->resume,
                           .settings = cv_policy_stream_settings(publisher->app)};
    int err = cv_worker_send_note(publisher->worker, home_of(publisher), &note);
    if (err == CV_OK)
        publisher->state = CV_PUBLISHER_ASKING;
    return err;
}

static bool is_waiting(const struct cv_publisher *publisher)
{
    return publisher->batch && publisher->batch->count;
}

// False: the mailbox is full. What has been mailed is as good as taken: nothing overtakes it.
static bool send_batch(struct cv_publisher *publisher)
{
    if (!is_waiting(publisher) || publisher->state == CV_PUBLISHER_ASKING)
        return true;
    uint32_t count = publisher->batch->count;
    publisher->batch->paced = publisher->pace.on;
    if (cv_worker_send_batch(publisher->worker, home_of(publisher), &publisher->batch) != CV_OK)
        return false;
    publisher->resume.taken += count;
    return true;
}

static void post_unpublish(struct cv_publisher *publisher, bool clean)
{
    publisher->unpublish->flag = clean;
    cv_worker_post_note(publisher->worker, home_of(publisher), publisher->unpublish);
    publisher->unpublish = NULL;
}

static void say_goodbye(struct cv_publisher *publisher, bool clean)
{
    if (publisher->state == CV_PUBLISHER_ASKING || publisher->state == CV_PUBLISHER_LIVE)
        post_unpublish(publisher, clean);
    else
        cv_note_free(publisher->unpublish);
    if (publisher->state != CV_PUBLISHER_ADMITTED)
        log_publisher(publisher, CV_LOG_INFO, "publish.end", CV_OK);
}

void cv_publisher_free(struct cv_publisher *publisher, bool clean)
{
    if (!publisher)
        return;
    struct cv_worker *worker = publisher->worker;
    send_batch(publisher);
    if (publisher->batch)
        worker->stats.lost += publisher->batch->count;
    cv_batch_free(&publisher->batch);
    if (publisher->dirty)
        DL_DELETE(worker->dirty_publishers, publisher);
    cv_pace_stop(publisher);
    HASH_DEL(worker->publishers, publisher);
    say_goodbye(publisher, clean);
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
    DL_APPEND(publisher->worker->dirty_publishers, publisher);
}

int cv_publisher_append(struct cv_publisher *publisher, const struct cv_msg *msg)
{
    if (publisher->state == CV_PUBLISHER_OVER)
        return CV_OK;
    if (!publisher->batch)
        publisher->batch = cv_batch_new(&publisher->path, &publisher->id);
    if (!publisher->batch)
        return CV_E_NOMEM;
    int err = cv_batch_add(&publisher->batch, msg, CV_LOG_NONE);
    if (err != CV_OK)
        return err;
    publisher->messages++;
    publisher->bytes += msg->payload->len;
    cv_pace_count(publisher);
    mark(publisher);
    return CV_OK;
}

bool cv_publisher_send(struct cv_publisher *publisher)
{
    uint64_t before = publisher->resume.taken;
    bool sent = send_batch(publisher);
    if (publisher->resume.has_token && publisher->resume.taken != before)
        publisher->owner->taken(publisher->owner_arg);
    return sent;
}

bool cv_publisher_make_room(struct cv_publisher *publisher)
{
    const struct cv_batch *batch = publisher->batch;
    if (!batch || (batch->count < WAITING_ITEMS && batch->bytes < WAITING_BYTES))
        return true;
    cv_publisher_send(publisher);
    return !is_waiting(publisher);
}

uint64_t cv_publisher_tell_us(const struct cv_publisher *publisher)
{
    bool asks = publisher->state == CV_PUBLISHER_LIVE && publisher->resume.has_token;
    if (!asks || publisher->told == publisher->resume.taken)
        return UINT64_MAX;
    return publisher->told_us + CV_RESUME_TELL_MS * UINT64_C(1000);
}

void cv_publisher_set_told(struct cv_publisher *publisher, uint64_t taken)
{
    publisher->told = taken;
    publisher->told_us = cv_loop_now_us(publisher->worker->loop);
}

// ---- from home ------------------------------------------------------------------------------

static struct cv_publisher *find(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = NULL;
    HASH_FIND(hh, worker->publishers, &note->publisher.serial, sizeof note->publisher.serial,
              publisher);
    return publisher;
}

// Nobody wants its media any more.
static void set_over(struct cv_publisher *publisher)
{
    publisher->state = CV_PUBLISHER_OVER;
    cv_batch_free(&publisher->batch);
}

static void log_start(const struct cv_publisher *publisher)
{
    struct cv_line line;
    begin_line(publisher, &line, CV_LOG_INFO, "publish.start");
    if (publisher->resume.taken)
        cv_line_uint(&line, "resumed_behind", publisher->resume.taken);
    cv_line_end(&line);
}

void cv_publisher_on_answer(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher || publisher->state != CV_PUBLISHER_ASKING)
        return;
    if (note->code != CV_OK) {
        set_over(publisher);
        log_publisher(publisher, CV_LOG_WARN, "publish.refused", note->code);
        publisher->owner->refused(publisher->owner_arg, note->code);
        return;
    }
    publisher->state = CV_PUBLISHER_LIVE;
    publisher->resume = note->resume;
    cv_publisher_set_told(publisher, publisher->resume.taken);
    log_start(publisher);
    if (is_waiting(publisher))
        mark(publisher);
    publisher->owner->live(publisher->owner_arg);
}

void cv_publisher_on_probe(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher) // its last note is on its way home
        return;
    struct cv_note heard = {.kind = CV_NOTE_HEARD,
                            .path = publisher->path,
                            .publisher = publisher->id,
                            .heard_us = publisher->owner->heard_us(publisher->owner_arg)};
    cv_worker_send_note(worker, home_of(publisher), &heard);
}

static void log_taken_over(const struct cv_publisher *publisher, enum cv_kick kick)
{
    static const char *const why[] = {
        [CV_KICK_TAKEOVER] = "the app lets publishers take over",
        [CV_KICK_GHOST] = "it has fallen silent, and the same publisher is back",
        [CV_KICK_YIELD] = "its client goes on, on another connection",
    };
    struct cv_line line;
    begin_line(publisher, &line, CV_LOG_WARN, "publish.taken_over");
    cv_line_text(&line, "why", why[kick]);
    cv_line_end(&line);
}

// What has been delivered counts, and the goodbye behind it says that nothing more will come. What
// a full mailbox does not take has not been taken: the client sends it again.
static void yield(struct cv_publisher *publisher)
{
    send_batch(publisher);
    post_unpublish(publisher, false);
}

void cv_publisher_on_kick(struct cv_worker *worker, const struct cv_note *note)
{
    struct cv_publisher *publisher = find(worker, note);
    if (!publisher || publisher->state == CV_PUBLISHER_OVER)
        return;
    if (note->kick == CV_KICK_YIELD)
        yield(publisher);
    set_over(publisher);
    log_taken_over(publisher, note->kick);
    publisher->owner->replaced(publisher->owner_arg);
}
