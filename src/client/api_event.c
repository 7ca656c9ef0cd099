// Events of the connection, which are lent for a call, as events that wait until they are pulled.
#include "client/api.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static struct api_event *event_new(enum culvert_event_type type, size_t text_bytes)
{
    struct api_event *event = cv_mem_zero(1, sizeof *event + text_bytes);
    if (!event)
        return NULL;
    event->pub.type = type;
    event->bytes = sizeof *event + text_bytes;
    event->pub.why = event->why.text;
    event->pub.location = event->pub.code = event->pub.description = event->pub.way = "";
    return event;
}

static void event_free(struct api_event *event)
{
    if (!event)
        return;
    cv_block_unref(&event->block);
    culvert_amf_doc_free(event->args);
    cv_mem_free(event);
}

static void queue_put(struct api_queue *queue, struct api_event *event)
{
    *queue->last = event;
    queue->last = &event->next;
    queue->count++;
    queue->bytes += event->bytes;
}

static struct api_event *queue_take(struct api_queue *queue)
{
    struct api_event *event = queue->first;
    if (!event)
        return NULL;
    queue->first = event->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    queue->bytes -= event->bytes;
    return event;
}

// ---- by type --------------------------------------------------------------------------------

static struct api_event *make_plain(enum culvert_event_type type,
                                    const struct cv_connection_event *from)
{
    struct api_event *event = event_new(type, 0);
    if (!event)
        return NULL;
    event->pub.way = from->stats.name ? from->stats.name : cv_way_name(from->way, from->secure);
    event->pub.since_us = from->since_us;
    event->pub.attempts = from->attempts;
    event->pub.lost = from->lost;
    if (from->why)
        event->why = *from->why;
    return event;
}

static struct api_event *make_message(enum culvert_event_type type,
                                      const struct cv_connection_event *from)
{
    struct api_event *event = event_new(type, 0);
    if (!event)
        return NULL;
    event->block = cv_block_ref(from->msg.payload);
    event->pub.kind = (enum culvert_kind)from->msg.type;
    event->pub.ts_ms = from->msg.ts_ms;
    event->pub.data = event->block->data;
    event->pub.len = event->block->len;
    event->bytes += event->block->len;
    return event;
}

// Copies the text with a NUL and returns what is behind it.
static char *put_text(char *at, struct cv_text text)
{
    if (text.len)
        memcpy(at, text.at, text.len);
    return at + text.len + 1;
}

static struct api_event *make_status(enum culvert_event_type type,
                                     const struct cv_connection_event *from)
{
    struct api_event *event = event_new(type, from->code.len + from->description.len + 2);
    if (!event)
        return NULL;
    char *description = put_text(event->texts, from->code);
    put_text(description, from->description);
    event->pub.code = event->texts;
    event->pub.description = description;
    return event;
}

static struct api_event *make_result(enum culvert_event_type type,
                                     const struct cv_connection_event *from)
{
    struct api_event *event = event_new(type, 0);
    if (!event)
        return NULL;
    event->pub.call = from->call;
    event->pub.ok = from->ok;
    event->args = cv__api_amf_copy(from->args);
    event->pub.args = culvert_amf_doc_first(event->args);
    return event;
}

static const struct {
    enum culvert_event_type type;
    struct api_event *(*make)(enum culvert_event_type type, const struct cv_connection_event *from);
} makers[] = {
    [CV_CONNECTION_TRYING] = {CULVERT_EVENT_TRYING, make_plain},
    [CV_CONNECTION_THROUGH] = {CULVERT_EVENT_THROUGH, make_plain},
    [CV_CONNECTION_STARTED] = {CULVERT_EVENT_STARTED, make_plain},
    [CV_CONNECTION_MESSAGE] = {CULVERT_EVENT_MESSAGE, make_message},
    [CV_CONNECTION_STATUS] = {CULVERT_EVENT_STATUS, make_status},
    [CV_CONNECTION_RESULT] = {CULVERT_EVENT_RESULT, make_result},
    [CV_CONNECTION_CUT] = {CULVERT_EVENT_CUT, make_plain},
    [CV_CONNECTION_RESUMED] = {CULVERT_EVENT_RESUMED, make_plain},
    [CV_CONNECTION_ROOM] = {CULVERT_EVENT_ROOM, make_plain},
};

// ---- the end --------------------------------------------------------------------------------

int cv__api_fail(struct culvert *culvert, int error, int code, const char *text)
{
    CV_ASSERT(!culvert->ended && error != CULVERT_OK);
    culvert->why = (struct cv_why){.code = code, .place = "client"};
    snprintf(culvert->why.text, sizeof culvert->why.text, "%s", text);
    culvert->ended = true;
    culvert->end->why = culvert->why;
    culvert->end->pub.error = error;
    return error;
}

// A text of the connection in the last event, which has a place of its own for it.
static void set_location(struct culvert *culvert, const char *location)
{
    char *to = culvert->end->texts;
    snprintf(to, CV_LIMIT_URL_BYTES + 1, "%s", location ? location : "");
    culvert->end->pub.location = to;
}

static void on_ended(struct culvert *culvert, const struct cv_connection_event *event)
{
    int error = cv__api_end_error(event->end);
    culvert->stats = cv_connection_stats(culvert->connection);
    culvert->ended = true;
    culvert->end->pub.error = error;
    if (event->why)
        culvert->end->why = *event->why;
    if (event->end == CV_END_NO_WAY && culvert->end->why.text[0] == '\0')
        snprintf(culvert->end->why.text, sizeof culvert->end->why.text, "%s",
                 cv_obstacle_text(event->obstacle));
    if (event->end == CV_END_NO_WAY || event->end == CV_END_CERTIFICATE)
        culvert->end->pub.advice = cv_obstacle_advice(event->obstacle);
    set_location(culvert, event->location);
    if (error != CULVERT_OK)
        culvert->why = culvert->end->why;
}

void cv__api_on_event(void *arg, const struct cv_connection_event *event)
{
    struct culvert *culvert = arg;
    CV_ASSERT(!culvert->ended);
    if (event->type == CV_CONNECTION_ENDED) {
        on_ended(culvert, event);
        return;
    }
    CV_ASSERT((size_t)event->type < sizeof makers / sizeof makers[0]);
    struct api_event *made = makers[event->type].make(makers[event->type].type, event);
    if (!made) { // an event that is missing would be a lie: it ends here
        culvert->stats = cv_connection_stats(culvert->connection);
        cv__api_fail(culvert, CULVERT_E_NOMEM, CV_E_NOMEM, "no memory for an event");
        cv_connection_free(&culvert->connection);
        return;
    }
    if (event->type == CV_CONNECTION_CUT)
        culvert->why = made->why;
    culvert->has_room |= event->type == CV_CONNECTION_ROOM;
    queue_put(&culvert->queue, made);
}

// ---- pulling --------------------------------------------------------------------------------

int cv__api_events_init(struct culvert *culvert)
{
    culvert->queue.last = &culvert->queue.first;
    culvert->end = event_new(CULVERT_EVENT_ENDED, CV_LIMIT_URL_BYTES + 1);
    return culvert->end ? CV_OK : CV_E_NOMEM;
}

void cv__api_events_free(struct culvert *culvert)
{
    for (struct api_event *event; (event = queue_take(&culvert->queue));)
        event_free(event);
    if (culvert->lent != culvert->end)
        event_free(culvert->lent);
    event_free(culvert->end);
}

bool cv__api_is_full(const struct culvert *culvert)
{
    return culvert->queue.count >= CV_LIMIT_API_EVENTS ||
           culvert->queue.bytes >= CV_LIMIT_API_EVENT_BYTES;
}

bool cv__api_has_event(const struct culvert *culvert)
{
    return culvert->queue.count > 0 || (culvert->ended && culvert->lent != culvert->end);
}

int culvert_next(struct culvert *culvert, const struct culvert_event **event)
{
    if (!culvert || !event)
        return CULVERT_E_USAGE;
    bool over = culvert->lent == culvert->end;
    if (!over)
        event_free(culvert->lent);
    culvert->lent = over ? culvert->end : queue_take(&culvert->queue);
    if (over)
        return CULVERT_E_ENDED;
    if (!culvert->lent && culvert->ended)
        culvert->lent = culvert->end;
    if (!culvert->lent)
        return 0;
    *event = &culvert->lent->pub;
    return 1;
}
