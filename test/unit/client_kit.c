#include "client_kit.h"

#include <stdio.h>

static int test_random(void *out, size_t len)
{
    memset(out, 0x5a, len);
    return CV_OK;
}

const struct cv_crypto client_crypto = {.random = test_random};

// ---- the client and its story ----------------------------------------------------------------

void tell(struct story *story, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(story->text + story->len, sizeof story->text - story->len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof story->text - story->len);
    story->len += (size_t)len;
}

static void tell_result(struct story *story, const struct cv_rtmp_client_event *event)
{
    tell(story, "%s:%u", event->ok ? "result" : "error", event->call);
    for (const struct cv_amf *value = event->args; value; value = value->next) {
        if (value->type == CV_AMF_NUMBER)
            tell(story, ":%.0f", value->number);
        else
            tell(story, ":<%d>", (int)value->type);
    }
    tell(story, " ");
}

static void tell_end(struct story *story, const struct cv_rtmp_client_event *event)
{
    static const char *const ends[] = {"rejected", "refused", "unpublished", "finished", "closed"};
    tell(story, "ended:%s:%.*s:%.*s ", ends[event->end], (int)event->code.len,
         event->code.len ? event->code.at : "", (int)event->description.len,
         event->description.len ? event->description.at : "");
}

static void tell_started(struct story *story, const struct cv_rtmp_client_event *event)
{
    tell(story, "started");
    if (event->resumes)
        tell(story, ":%.*s:%llu", (int)event->token.len, event->token.at,
             (unsigned long long)event->taken);
    tell(story, " ");
}

void tell_event(struct story *story, const struct cv_rtmp_client_event *event)
{
    switch (event->type) {
    case CV_RTMP_CLIENT_READY:
        tell(story, "ready ");
        return;
    case CV_RTMP_CLIENT_CONNECTED:
        tell(story, "connected ");
        return;
    case CV_RTMP_CLIENT_STARTED:
        tell_started(story, event);
        return;
    case CV_RTMP_CLIENT_MEDIA:
    case CV_RTMP_CLIENT_DATA:
        tell(story, "%s:%u@%u ", event->type == CV_RTMP_CLIENT_DATA ? "data" : "media",
             event->msg.payload->len, event->msg.ts_ms);
        return;
    case CV_RTMP_CLIENT_TAKEN:
        tell(story, "taken:%llu ", (unsigned long long)event->taken);
        return;
    case CV_RTMP_CLIENT_POSITION:
        tell(story, "position:%.*s:%llu ", (int)event->epoch.len, event->epoch.at,
             (unsigned long long)event->seq);
        return;
    case CV_RTMP_CLIENT_RESULT:
        tell_result(story, event);
        return;
    case CV_RTMP_CLIENT_PONG:
        tell(story, "pong:%u ", event->number);
        return;
    case CV_RTMP_CLIENT_STATUS:
        tell(story, "status:%.*s ", (int)event->code.len, event->code.at);
        return;
    case CV_RTMP_CLIENT_ENDED:
        tell_end(story, event);
        return;
    }
}

struct cv_rtmp_client_config client_config(enum cv_rtmp_client_mode mode)
{
    return (struct cv_rtmp_client_config){
        .mode = mode,
        .crypto = &client_crypto,
        .app = cv_text_of("live"),
        .name = cv_text_of("gate7?key=K"),
        .tc_url = cv_text_of("rtmp://h/live"),
        .enhanced = true,
    };
}

struct cv_rtmp_client *client_asking(const struct cv_rtmp_client_config *config)
{
    struct cv_rtmp_client *client = cv_rtmp_client_new(config, 1);
    assert_non_null(client);
    ok(cv_rtmp_client_connect(client));
    return client;
}

static void tell_and_act(struct cv_rtmp_client *client, const struct cv_rtmp_client_event *event,
                         struct story *story)
{
    tell_event(story, event);
    if (story->act)
        story->act(client, event);
}

void client_feed(struct cv_rtmp_client *client, const uint8_t *data, size_t len,
                 struct story *story)
{
    struct guard guard = guard_copy(data, len);
    struct cv_rtmp_client_event event;
    cv_rtmp_client_feed(client, guard.data, guard.len);
    int more;
    while ((more = cv_rtmp_client_next(client, &event)) > 0)
        tell_and_act(client, &event, story);
    if (more < 0 && story->err == CV_OK) {
        story->err = more;
        tell(story, "failed:%s ", cv_err_name(more));
        assert_int_equal(cv_rtmp_client_why(client)->code, more);
        assert_true(cv_rtmp_client_why(client)->text[0] != '\0');
    }
    guard_free(&guard);
}

// ---- the server ------------------------------------------------------------------------------

static void hear_command(struct server *server, const struct cv_rtmp_event *event)
{
    struct cv_text argument = cv_amf_text(event->args);
    tell(&server->commands, "%.*s", (int)event->name.len, event->name.at);
    if (argument.len)
        tell(&server->commands, "(%.*s)", (int)argument.len, argument.at);
    tell(&server->commands, " ");
    server->on_command(server, event);
}

static void server_feed(struct server *server, const uint8_t *data, size_t len)
{
    struct cv_rtmp_event event;
    cv_rtmp_feed(server->rtmp, data, len);
    int more;
    while ((more = cv_rtmp_next(server->rtmp, &event)) > 0) {
        if (event.type == CV_RTMP_COMMAND)
            hear_command(server, &event);
        else if (event.type == CV_RTMP_MEDIA || event.type == CV_RTMP_DATA)
            tell(&server->commands, "%s:%u@%u/%u ", event.type == CV_RTMP_DATA ? "data" : "media",
                 event.msg.payload->len, event.msg.ts_ms, event.msg.stream_id);
        else if (event.type == CV_RTMP_USER_CONTROL && event.user_event == CV_USER_SET_BUFFER)
            tell(&server->commands, "buffer:%u ", event.user_value);
        else if (event.type == CV_RTMP_USER_CONTROL && event.user_event == CV_USER_PING_RESPONSE)
            tell(&server->commands, "pong ");
        else if (event.type == CV_RTMP_USER_CONTROL && event.user_event == CV_USER_PING_REQUEST)
            tell(&server->commands, "ping ");
    }
    assert_int_equal(more, 0);
}

struct server *server_new(void (*on_command)(struct server *server,
                                             const struct cv_rtmp_event *event),
                          const void *script)
{
    struct cv_rtmp_config config = {.role = CV_RTMP_SERVER, .crypto = &client_crypto};
    struct server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server->script = script;
    server->on_command = on_command;
    server->rtmp = cv_rtmp_new(&config, 2);
    assert_non_null(server->rtmp);
    return server;
}

void server_free(struct server *server)
{
    cv_rtmp_free(server->rtmp);
    free(server);
}

// ---- the two meet ----------------------------------------------------------------------------

static size_t copy_gather(const struct cv_gather *gather, uint8_t *out)
{
    size_t len = 0;
    for (int i = 0; i < gather->count; i++) {
        memcpy(out + len, gather->vectors[i].iov_base, gather->vectors[i].iov_len);
        len += gather->vectors[i].iov_len;
    }
    return len;
}

bool client_to_server(struct cv_rtmp_client *client, struct server *server)
{
    static uint8_t bytes[CV_GATHER_BYTES_MAX * 2];
    cv_gather_clear(&server->gather);
    cv_rtmp_client_pull(client, &server->gather);
    size_t len = copy_gather(&server->gather, bytes);
    cv_rtmp_client_sent(client, len);
    if (len)
        server_feed(server, bytes, len);
    return len > 0;
}

bool server_to_client(struct server *server, struct cv_rtmp_client *client, struct story *story)
{
    cv_gather_clear(&server->gather);
    cv_rtmp_pull(server->rtmp, &server->gather);
    assert_true(server->record_len + server->gather.bytes <= RECORD_MAX);
    uint8_t *at = server->record + server->record_len;
    size_t len = copy_gather(&server->gather, at);
    cv_rtmp_sent(server->rtmp, len);
    server->record_len += len;
    if (len)
        client_feed(client, at, len, story);
    return len > 0;
}

void meet(struct cv_rtmp_client *client, struct server *server, struct story *story)
{
    bool moved = true;
    while (moved) {
        moved = client_to_server(client, server);
        moved = server_to_client(server, client, story) || moved;
    }
}

void split_anywhere(const struct cv_rtmp_client_config *config, const struct server *server,
                    const struct story *whole)
{
    for (size_t cut = 0; cut < server->record_len; cut += cut < HANDSHAKE - 8 ? 97 : 1) {
        struct story story = {.act = whole->act};
        struct cv_rtmp_client *client = client_asking(config);
        client_feed(client, server->record, cut, &story);
        client_feed(client, server->record + cut, server->record_len - cut, &story);
        assert_string_equal(story.text, whole->text);
        cv_rtmp_client_free(client);
    }
    for (size_t piece = 1; piece < 8; piece += 6) {
        struct story story = {.act = whole->act};
        struct cv_rtmp_client *client = client_asking(config);
        for (size_t at = 0; at < server->record_len; at += piece) {
            size_t left = server->record_len - at;
            client_feed(client, server->record + at, left < piece ? left : piece, &story);
        }
        assert_string_equal(story.text, whole->text);
        cv_rtmp_client_free(client);
    }
}
