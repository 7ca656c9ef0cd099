// The public C API over a connection that the test plays: what goes through, what comes out, and
// what is refused.
#include "harness.h"

#include "base/limits.h"
#include "client/connection.h"
#include "culvert/amf.h"
#include "io/loop.h"
#include "proto/flv.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

// ---- the connection ---------------------------------------------------------------------------

struct cv_attempt_room {
    struct cv_loop *loop;
};

enum { SENT_MAX = 64 };

struct cv_connection {
    struct cv_connection_config config;
    struct cv_timer timer;
    void (*at_timer)(struct cv_connection *connection);
    int answer; // to send and call
    bool closed;
    char call[32];
    size_t call_bytes;
    unsigned fired;
};

static struct {
    struct cv_loop *loop;
    struct cv_connection *now; // NULL: there is none
    struct cv_target target;
    char memory_path[64];
    struct cv_msg sent[SENT_MAX];
    size_t sent_count;
    size_t room; // how many messages it takes; SIZE_MAX: any number
} fake;

struct cv_attempt_room *cv_attempt_room_new(struct cv_loop *loop)
{
    struct cv_attempt_room *room = calloc(1, sizeof *room);
    assert_non_null(room);
    room->loop = fake.loop = loop;
    return room;
}

void cv_attempt_room_free(struct cv_attempt_room *room)
{
    free(room);
}

static void on_timer(void *arg)
{
    struct cv_connection *connection = arg;
    connection->fired++;
    connection->at_timer(connection);
}

struct cv_connection *cv_connection_new(struct cv_attempt_room *room,
                                        const struct cv_connection_config *config)
{
    struct cv_connection *connection = calloc(1, sizeof *connection);
    assert_non_null(connection);
    connection->config = *config;
    fake.now = connection;
    fake.target = *config->target;
    strncpy(fake.memory_path, config->memory_path, sizeof fake.memory_path - 1);
    cv_timer_init(&connection->timer, room->loop, on_timer, connection);
    return connection;
}

void cv_connection_free(struct cv_connection **connection)
{
    if (*connection) {
        cv_timer_stop(&(*connection)->timer);
        fake.now = NULL;
    }
    free(*connection);
    *connection = NULL;
}

void cv_connection_close(struct cv_connection *connection)
{
    assert_false(connection->closed);
    connection->closed = true;
}

int cv_connection_send(struct cv_connection *connection, const struct cv_msg *msg)
{
    if (connection->answer)
        return connection->answer;
    if (fake.room == 0)
        return CV_E_AGAIN;
    if (fake.room != SIZE_MAX)
        fake.room--;
    assert_true(fake.sent_count < SENT_MAX);
    fake.sent[fake.sent_count] = *msg;
    cv_block_ref(msg->payload);
    fake.sent_count++;
    return CV_OK;
}

void cv_connection_flush(struct cv_connection *connection)
{
    (void)connection;
}

int cv_connection_call(struct cv_connection *connection, const char *name, struct cv_text args,
                       uint32_t *out_call)
{
    if (connection->answer)
        return connection->answer;
    strncpy(connection->call, name, sizeof connection->call - 1);
    connection->call_bytes = args.len;
    *out_call = 7;
    return CV_OK;
}

struct cv_connection_stats cv_connection_stats(const struct cv_connection *connection)
{
    return (struct cv_connection_stats){.now = {.name = "RTMP", .rtt_us = connection->fired + 5},
                                        .messages = fake.sent_count,
                                        .resumes = true};
}

// What the connection says.
static void say(struct cv_connection_event event)
{
    fake.now->config.on_event(fake.now->config.arg, &event);
}

// ---- the scene --------------------------------------------------------------------------------

static struct culvert *connect_to(const char *url)
{
    struct culvert_config config = {.size = sizeof config, .url = url, .memory_file = ""};
    struct culvert *culvert = culvert_connect(&config);
    assert_non_null(culvert);
    return culvert;
}

static struct culvert *publisher(void)
{
    struct culvert *culvert = connect_to("rtmp://127.0.0.1/live/a");
    assert_int_equal(culvert_publish(culvert, NULL), 0);
    return culvert;
}

static void end(struct culvert *culvert)
{
    culvert_free(culvert);
    assert_null(fake.now);
    while (fake.sent_count > 0)
        cv_block_unref(&fake.sent[--fake.sent_count].payload);
}

static int set_up(void **state)
{
    (void)state;
    fake.room = SIZE_MAX;
    return 0;
}

static const struct culvert_event *next(struct culvert *culvert, enum culvert_event_type type)
{
    const struct culvert_event *event = NULL;
    assert_int_equal(culvert_next(culvert, &event), 1);
    assert_int_equal(event->type, type);
    return event;
}

static void expect_none(struct culvert *culvert, int code)
{
    const struct culvert_event *event = NULL;
    assert_int_equal(culvert_next(culvert, &event), code);
    assert_null(event);
}

// ---- arguments --------------------------------------------------------------------------------

static void null_is_refused_everywhere(void **state)
{
    (void)state;
    const struct culvert_event *event = NULL;
    struct culvert_stats stats = {.size = sizeof stats};
    uint8_t head[CULVERT_FLV_HEAD_BYTES], tail[CULVERT_FLV_TAIL_BYTES];
    assert_null(culvert_connect(NULL));
    assert_int_equal(culvert_publish(NULL, "a"), CULVERT_E_USAGE);
    assert_int_equal(culvert_play(NULL, "a"), CULVERT_E_USAGE);
    assert_int_equal(culvert_open(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_close(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_send(NULL, CULVERT_AUDIO, 0, "", 1), CULVERT_E_USAGE);
    assert_int_equal(culvert_send_flv(NULL, "", 1, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_call(NULL, "f", NULL, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_next(NULL, &event), CULVERT_E_USAGE);
    assert_int_equal(culvert_wait(NULL, &event, 0), CULVERT_E_USAGE);
    assert_int_equal(culvert_fd(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_timeout_ms(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_process(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_stats(NULL, &stats), CULVERT_E_USAGE);
    assert_int_equal(culvert_flv_tag(NULL, head, tail), CULVERT_E_USAGE);
    assert_true(strlen(culvert_why(NULL)) > 0);
    culvert_flv_header(NULL);
    culvert_free(NULL);
    struct culvert *culvert = publisher();
    assert_int_equal(culvert_next(culvert, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_wait(culvert, NULL, 0), CULVERT_E_USAGE);
    assert_int_equal(culvert_stats(culvert, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_call(culvert, NULL, NULL, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_call(culvert, "", NULL, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, NULL, 1), CULVERT_E_USAGE);
    assert_int_equal(culvert_send(culvert, (enum culvert_kind)1, 0, "a", 1), CULVERT_E_USAGE);
    assert_int_equal(culvert_send_flv(culvert, NULL, 1, NULL), CULVERT_E_USAGE);
    end(culvert);
}

// Old programs have a shorter configuration, newer ones a longer one; neither is read beyond its
// size.
static void configuration_is_read_up_to_its_size(void **state)
{
    (void)state;
    struct culvert_config config = {.size = sizeof config, .url = "rtmp://127.0.0.1/live/a"};
    for (size_t size = 0; size <= sizeof config; size += sizeof(void *)) {
        config.size = size;
        config.memory_file = "";
        struct guard copy = guard_copy(&config, size > sizeof size ? size : sizeof size);
        struct culvert *culvert = culvert_connect((const struct culvert_config *)copy.data);
        assert_true((culvert != NULL) == (size >= 2 * sizeof(void *)));
        guard_free(&copy);
        if (culvert)
            assert_int_equal(culvert_publish(culvert, NULL), 0);
        end(culvert);
    }
    struct {
        struct culvert_config known;
        uint8_t future[64];
    } newer = {.known = config};
    memset(newer.future, 0xff, sizeof newer.future);
    newer.known.size = sizeof newer;
    struct culvert *culvert = culvert_connect(&newer.known);
    assert_int_equal(culvert_play(culvert, NULL), 0);
    end(culvert);
}

static void configuration_goes_through(void **state)
{
    (void)state;
    struct culvert_config config = {
        .size = sizeof config,
        .url = "rtmp://127.0.0.1:1935/live/a?key=1",
        .via = CULVERT_VIA_WEBSOCKET,
        .order = CULVERT_ORDER_RTMP_FIRST,
        .proxy = "none",
        .memory_file = "networks",
        .buffer_ms = 200,
        .keep_bytes = 1000,
        .keep_all = true,
        .return_s = 9,
    };
    struct culvert *culvert = culvert_connect(&config);
    assert_int_equal(culvert_play(culvert, "other?key=2"), 0);
    const struct cv_connection_config *got = &fake.now->config;
    assert_int_equal(got->mode, CV_RTMP_CLIENT_PLAY);
    assert_int_equal(got->via, CV_VIA_SOCKET);
    assert_int_equal(got->order, CV_LADDER_RTMP_FIRST);
    assert_int_equal(got->buffer_ms, 200);
    assert_int_equal(got->keep_bytes, 1000);
    assert_true(got->keep_all);
    assert_int_equal(got->return_s, 9);
    assert_string_equal(fake.memory_path, "networks");
    assert_string_equal(fake.target.name, "other?key=2");
    assert_string_equal(fake.target.app, "live");
    assert_int_equal(fake.target.port, 1935);
    assert_null(got->trust); // a port without TLS
    end(culvert);
}

// Where TLS may be spoken somebody is trusted; programs that know less of the configuration get
// whom the system trusts.
static void trust_comes_with_urls_that_may_be_secure(void **state)
{
    (void)state;
    static const char *const urls[] = {"rtmp://127.0.0.1/live/a", "rtmps://127.0.0.1:9/live/a"};
    for (int i = 0; i < 4; i++) {
        struct culvert_config config = {
            .size = sizeof config, .url = urls[i / 2], .insecure = true, .proxy = "none"};
        if (i % 2)
            config.size = offsetof(struct culvert_config, ca_file);
        config.ca_file = i % 2 ? "/nowhere/ca.pem" : NULL; // not looked at
        struct culvert *culvert = culvert_connect(&config);
        assert_int_equal(culvert_play(culvert, NULL), 0);
        assert_non_null(fake.now->config.trust);
        end(culvert);
    }
}

// A mistake in the configuration is told by what comes next, by an event, and in words.
static void check_mistake(const struct culvert_config *config, int error)
{
    struct culvert *culvert = culvert_connect(config);
    assert_non_null(culvert);
    assert_int_equal(culvert_publish(culvert, "a"), error);
    assert_int_equal(culvert_open(culvert), error);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_ENDED);
    assert_int_equal(culvert_call(culvert, "f", NULL, NULL), CULVERT_E_ENDED);
    assert_true(strlen(culvert_why(culvert)) > 0);
    assert_int_equal(culvert_timeout_ms(culvert), 0);
    assert_int_equal(culvert_process(culvert), 1);
    const struct culvert_event *event = next(culvert, CULVERT_EVENT_ENDED);
    assert_int_equal(event->error, error);
    assert_string_equal(event->why, culvert_why(culvert));
    expect_none(culvert, CULVERT_E_ENDED);
    assert_int_equal(culvert_wait(culvert, &event, -1), CULVERT_E_ENDED);
    assert_int_equal(culvert_process(culvert), CULVERT_E_ENDED);
    assert_int_equal(culvert_timeout_ms(culvert), 0); // so that a loop gets to know
    assert_int_equal(culvert_close(culvert), CULVERT_OK);
    end(culvert);
}

static void mistakes_in_the_configuration_are_told(void **state)
{
    (void)state;
    char path[4000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    const char *url = "rtmp://127.0.0.1/live/a";
    const struct {
        struct culvert_config config;
        int error;
    } mistakes[] = {
        {{.url = NULL}, CULVERT_E_USAGE},
        {{.url = ""}, CULVERT_E_URL},
        {{.url = "ftp://127.0.0.1/live"}, CULVERT_E_URL},
        {{.url = "rtmp://"}, CULVERT_E_URL},
        {{.url = path}, CULVERT_E_TOO_LONG},
        {{.url = url, .via = (enum culvert_via)9}, CULVERT_E_USAGE},
        {{.url = url, .via = (enum culvert_via) - 1}, CULVERT_E_USAGE},
        {{.url = url, .order = (enum culvert_order)2}, CULVERT_E_USAGE},
        {{.url = url, .memory_file = path}, CULVERT_E_TOO_LONG},
        {{.url = url, .ca_file = "/nowhere/ca.pem"}, CULVERT_E_USAGE},
        {{.url = "rtmps://127.0.0.1/live/a", .ca_file = "/"}, CULVERT_E_USAGE},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct culvert_config config = mistakes[i].config;
        config.size = sizeof config;
        check_mistake(&config, mistakes[i].error);
    }
}

// Whom to trust, and that nobody need be trusted.
static void a_ca_file_is_not_for_the_insecure(void **state)
{
    (void)state;
    struct culvert_config config = {.size = sizeof config,
                                    .url = "rtmps://127.0.0.1:9/live/a",
                                    .proxy = "none",
                                    .ca_file = "/nowhere/ca.pem",
                                    .insecure = true};
    struct culvert *culvert = culvert_connect(&config);
    assert_int_equal(culvert_play(culvert, NULL), CULVERT_E_USAGE);
    assert_non_null(strstr(culvert_why(culvert), "config.insecure"));
    culvert_free(culvert);
    check_mistake(&config, CULVERT_E_USAGE);
    config.ca_file = "";
    culvert = culvert_connect(&config);
    assert_int_equal(culvert_play(culvert, NULL), 0);
    end(culvert);
}

static void names_are_looked_at(void **state)
{
    (void)state;
    char name[CV_LIMIT_NAME_BYTES + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct culvert *culvert = connect_to("rtmp://127.0.0.1/live");
    const struct culvert_event *event;
    assert_int_equal(culvert_wait(culvert, &event, -1), CULVERT_E_USAGE); // for what?
    assert_int_equal(culvert_wait(culvert, &event, 0), 0);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_USAGE);
    assert_int_equal(culvert_call(culvert, "f", NULL, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_publish(culvert, NULL), CULVERT_E_USAGE);
    assert_string_equal(culvert_why(culvert), "the URL names no stream");
    assert_int_equal(culvert_publish(culvert, ""), CULVERT_E_USAGE);
    assert_int_equal(culvert_publish(culvert, name), CULVERT_E_TOO_LONG);
    name[CV_LIMIT_NAME_BYTES] = '\0';
    assert_int_equal(culvert_publish(culvert, name), 0); // a mistake is not the end
    assert_string_equal(culvert_why(culvert), "");
    assert_int_equal(culvert_publish(culvert, name), CULVERT_E_USAGE);
    assert_int_equal(culvert_play(culvert, name), CULVERT_E_USAGE);
    end(culvert);
}

// ---- events -----------------------------------------------------------------------------------

static void events_wait_in_order(void **state)
{
    (void)state;
    struct culvert *culvert = connect_to("rtmp://127.0.0.1/live/a");
    assert_int_equal(culvert_play(culvert, NULL), 0);
    expect_none(culvert, 0);
    struct cv_why why = {.code = CV_E_RESET, .place = "tcp", .text = "the line is cut"};
    struct cv_block *frame = cv_block_copy("frame", 5);
    char code[] = "NetStream.Play.Start";
    say((struct cv_connection_event){.type = CV_CONNECTION_TRYING, .way = CV_WAY_TUNNEL});
    say((struct cv_connection_event){.type = CV_CONNECTION_THROUGH,
                                     .stats = {.name = "RTMPT"},
                                     .since_us = 1234,
                                     .attempts = 2});
    say((struct cv_connection_event){.type = CV_CONNECTION_STARTED});
    say((struct cv_connection_event){.type = CV_CONNECTION_STATUS,
                                     .code = {.at = code, .len = strlen(code)}});
    say((struct cv_connection_event){
        .type = CV_CONNECTION_MESSAGE,
        .msg = {.type = CV_MSG_VIDEO, .ts_ms = 0xfffffff0, .payload = frame}});
    say((struct cv_connection_event){.type = CV_CONNECTION_CUT, .why = &why});
    say((struct cv_connection_event){.type = CV_CONNECTION_RESUMED, .since_us = 5, .lost = 3});
    memset(code, 'x', sizeof code); // all of it was lent
    memset(&why, 0, sizeof why);
    cv_block_unref(&frame);

    assert_string_equal(next(culvert, CULVERT_EVENT_TRYING)->way,
                        cv_way_name(CV_WAY_TUNNEL, false));
    const struct culvert_event *event = next(culvert, CULVERT_EVENT_THROUGH);
    assert_string_equal(event->way, "RTMPT");
    assert_int_equal(event->since_us, 1234);
    assert_int_equal(event->attempts, 2);
    next(culvert, CULVERT_EVENT_STARTED);
    event = next(culvert, CULVERT_EVENT_STATUS);
    assert_string_equal(event->code, "NetStream.Play.Start");
    assert_string_equal(event->description, "");
    event = next(culvert, CULVERT_EVENT_MESSAGE);
    assert_int_equal(event->kind, CULVERT_VIDEO);
    assert_int_equal(event->ts_ms, 0xfffffff0);
    assert_int_equal(event->len, 5);
    assert_memory_equal(event->data, "frame", 5);
    uint8_t head[CULVERT_FLV_HEAD_BYTES], tail[CULVERT_FLV_TAIL_BYTES];
    assert_int_equal(culvert_flv_tag(event, head, tail), 0);
    assert_memory_equal(head, "\x09\0\0\x05\xff\xff\xf0\xff\0\0\0", sizeof head);
    assert_memory_equal(tail, "\0\0\0\x10", sizeof tail);
    event = next(culvert, CULVERT_EVENT_CUT);
    assert_string_equal(event->why, "the line is cut");
    assert_string_equal(culvert_why(culvert), "the line is cut");
    assert_int_equal(culvert_flv_tag(event, head, tail), CULVERT_E_USAGE);
    event = next(culvert, CULVERT_EVENT_RESUMED);
    assert_int_equal(event->since_us, 5);
    assert_int_equal(event->lost, 3);
    expect_none(culvert, 0);
    end(culvert);
}

static void results_bring_their_values(void **state)
{
    (void)state;
    struct culvert *culvert = connect_to("rtmp://127.0.0.1/live");
    assert_int_equal(culvert_open(culvert), 0);
    assert_int_equal(fake.now->config.mode, CV_RTMP_CLIENT_CALL);
    struct culvert_amf_writer *writer = culvert_amf_writer_new();
    culvert_amf_put_number(writer, 1);
    uint32_t call = 0;
    assert_int_equal(culvert_call(culvert, "sum", writer, &call), 0);
    assert_int_equal(call, 7);
    assert_string_equal(fake.now->call, "sum");
    assert_int_equal(fake.now->call_bytes, 9);
    culvert_amf_begin_array(writer);
    assert_int_equal(culvert_call(culvert, "sum", writer, &call), CULVERT_E_USAGE);
    culvert_amf_writer_free(writer);
    assert_int_equal(culvert_call(culvert, "now", NULL, NULL), 0);
    assert_int_equal(fake.now->call_bytes, 0);
    fake.now->answer = CV_E_AGAIN;
    assert_int_equal(culvert_call(culvert, "now", NULL, NULL), CULVERT_E_AGAIN);

    char text[] = "three";
    struct cv_amf second = {.type = CV_AMF_STRING, .text = {.at = text, .len = 5}};
    struct cv_amf first = {.type = CV_AMF_NUMBER, .number = 3, .next = &second};
    say((struct cv_connection_event){
        .type = CV_CONNECTION_RESULT, .call = 7, .ok = true, .args = &first});
    say((struct cv_connection_event){.type = CV_CONNECTION_RESULT, .call = 8});
    text[0] = 'x';
    const struct culvert_event *event = next(culvert, CULVERT_EVENT_RESULT);
    assert_int_equal(event->call, 7);
    assert_true(event->ok);
    assert_true(culvert_amf_number(event->args, 0) == 3);
    assert_string_equal(culvert_amf_string(culvert_amf_next(event->args), NULL), "three");
    event = next(culvert, CULVERT_EVENT_RESULT);
    assert_int_equal(event->call, 8);
    assert_false(event->ok);
    assert_null(event->args);
    end(culvert);
}

static void check_end(enum cv_connection_end how, int error)
{
    struct culvert *culvert = publisher();
    struct cv_why why = {.code = CV_E_REFUSED, .place = "p", .text = "so it ended"};
    say((struct cv_connection_event){.type = CV_CONNECTION_STARTED});
    say((struct cv_connection_event){.type = CV_CONNECTION_ENDED,
                                     .end = how,
                                     .why = &why,
                                     .obstacle = CV_OBSTACLE_PORTAL,
                                     .location = "http://login/"});
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_ENDED);
    assert_int_equal(culvert_process(culvert), 1);
    next(culvert, CULVERT_EVENT_STARTED);
    const struct culvert_event *event = next(culvert, CULVERT_EVENT_ENDED);
    assert_int_equal(event->error, error);
    assert_string_equal(event->why, "so it ended");
    assert_string_equal(event->location, "http://login/");
    bool networks = how == CV_END_NO_WAY || how == CV_END_CERTIFICATE;
    assert_true(event->advice == (networks ? cv_obstacle_advice(CV_OBSTACLE_PORTAL) : NULL));
    assert_string_equal(culvert_why(culvert), error ? "so it ended" : "");
    struct culvert_stats stats = {.size = sizeof stats};
    assert_int_equal(culvert_stats(culvert, &stats), 0);
    assert_int_equal(stats.rtt_us, 5);
    expect_none(culvert, CULVERT_E_ENDED);
    expect_none(culvert, CULVERT_E_ENDED);
    assert_int_equal(culvert_publish(culvert, NULL), CULVERT_E_USAGE);
    end(culvert);
}

static void ends_have_their_errors(void **state)
{
    (void)state;
    static const int errors[] = {
        [CV_END_CLOSED] = CULVERT_OK,
        [CV_END_FINISHED] = CULVERT_OK,
        [CV_END_REFUSED] = CULVERT_E_REFUSED,
        [CV_END_NOT_FOUND] = CULVERT_E_NOT_FOUND,
        [CV_END_UNKNOWN_HOST] = CULVERT_E_HOST,
        [CV_END_NO_WAY] = CULVERT_E_NO_WAY,
        [CV_END_LOST] = CULVERT_E_LOST,
        [CV_END_FAILED] = CULVERT_E_FAILED,
        [CV_END_CERTIFICATE] = CULVERT_E_CERTIFICATE,
    };
    for (int how = 0; how < (int)(sizeof errors / sizeof errors[0]); how++) {
        check_end((enum cv_connection_end)how, errors[how]);
        assert_string_not_equal(culvert_error_text(errors[how]), "unknown error");
    }
    for (int error = CULVERT_E_AGAIN; error >= CULVERT_E_ENDED; error--)
        assert_string_not_equal(culvert_error_text(error), "unknown error");
    assert_string_equal(culvert_error_text(-9999), "unknown error");
    assert_string_equal(culvert_error_text(1), "unknown error");
}

static void stats_fit_their_size(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    struct {
        struct culvert_stats known;
        uint8_t future[16];
    } stats;
    memset(&stats, 0xff, sizeof stats);
    stats.known.size = 1;
    assert_int_equal(culvert_stats(culvert, &stats.known), CULVERT_E_USAGE);
    stats.known.size = offsetof(struct culvert_stats, rtt_us);
    assert_int_equal(culvert_stats(culvert, &stats.known), 0);
    assert_string_equal(stats.known.way, "RTMP");
    assert_int_equal(stats.known.rtt_us, UINT32_MAX); // not asked for
    stats.known.size = sizeof stats;
    assert_int_equal(culvert_stats(culvert, &stats.known), 0);
    assert_int_equal(stats.known.rtt_us, 5);
    assert_true(stats.known.resumes);
    assert_int_equal(stats.future[0], 0);
    assert_int_equal(stats.known.size, sizeof stats);
    end(culvert);
}

// ---- sending ----------------------------------------------------------------------------------

static void messages_are_copied(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    char data[] = "abc";
    assert_int_equal(culvert_process(culvert), 0);
    assert_int_equal(culvert_timeout_ms(culvert), -1);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 40, data, 3), 0);
    data[0] = 'x';
    assert_int_equal(culvert_timeout_ms(culvert), 0); // it leaves in the next turn
    assert_int_equal(culvert_send(culvert, CULVERT_DATA, 41, NULL, 0), 0);
    assert_int_equal(fake.sent_count, 2);
    assert_int_equal(fake.sent[0].type, CV_MSG_AUDIO);
    assert_int_equal(fake.sent[0].ts_ms, 40);
    assert_memory_equal(fake.sent[0].payload->data, "abc", 3);
    assert_int_equal(fake.sent[1].type, CV_MSG_DATA_AMF0);
    assert_int_equal(fake.sent[1].payload->len, 0);
    size_t len = CV_LIMIT_COMMAND_BYTES + 1;
    char *large = calloc(1, len);
    assert_int_equal(culvert_send(culvert, CULVERT_DATA, 0, large, len), CULVERT_E_TOO_LONG);
    assert_int_equal(culvert_send(culvert, CULVERT_VIDEO, 0, large, len), 0);
    free(large);
    static const struct {
        int code;
        int error;
    } answers[] = {
        {CV_E_AGAIN, CULVERT_E_AGAIN},       {CV_E_NOMEM, CULVERT_E_NOMEM},
        {CV_E_USAGE, CULVERT_E_USAGE},       {CV_E_QUEUE_FULL, CULVERT_E_AGAIN},
        {CV_E_TOO_LONG, CULVERT_E_TOO_LONG}, {CV_E_RESET, CULVERT_E_FAILED},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        fake.now->answer = answers[i].code;
        assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), answers[i].error);
    }
    end(culvert);
}

static void players_do_not_send(void **state)
{
    (void)state;
    struct culvert *culvert = connect_to("rtmp://127.0.0.1/live/a");
    assert_int_equal(culvert_play(culvert, NULL), 0);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_USAGE);
    assert_int_equal(culvert_send_flv(culvert, "", 0, NULL), CULVERT_E_USAGE);
    end(culvert);
}

enum { FLV_TAGS = 5, FLV_MAX = 512 };

// A file of five messages, tag n with n bytes at n * 40 ms, and one in AMF3, which no file has.
static size_t flv_file(uint8_t *out)
{
    struct cv_wr wr = cv_wr_fixed(out, FLV_MAX);
    cv_flv_write_header(&wr, true, true);
    for (uint32_t n = 0; n < FLV_TAGS; n++)
        cv_flv_write_tag(&wr, n % 2 ? CV_MSG_AUDIO : CV_MSG_VIDEO, n * 40, "abcdefg", n);
    cv_flv_write_tag(&wr, CV_MSG_DATA_AMF3, 999, "x", 1);
    assert_int_equal(wr.err, 0);
    return wr.len;
}

static void check_flv(void)
{
    assert_int_equal(fake.sent_count, FLV_TAGS);
    for (uint32_t n = 0; n < FLV_TAGS; n++) {
        assert_int_equal(fake.sent[n].type, n % 2 ? CV_MSG_AUDIO : CV_MSG_VIDEO);
        assert_int_equal(fake.sent[n].ts_ms, n * 40);
        assert_int_equal(fake.sent[n].payload->len, n);
    }
}

static void flv_may_be_cut_anywhere(void **state)
{
    (void)state;
    uint8_t file[FLV_MAX];
    size_t len = flv_file(file);
    for (size_t cut = 0; cut <= len; cut++) {
        struct culvert *culvert = publisher();
        uint32_t ts_ms = 77;
        assert_int_equal(culvert_send_flv(culvert, file, cut, &ts_ms), cut);
        assert_int_equal(ts_ms, fake.sent_count ? (fake.sent_count - 1) * 40 : 77);
        assert_int_equal(culvert_send_flv(culvert, file + cut, len - cut, NULL), len - cut);
        check_flv();
        end(culvert);
    }
}

// Sends as much as is taken, makes room for `room` messages, and so on.
static void flv_waits_for_room(void **state)
{
    (void)state;
    uint8_t file[FLV_MAX];
    size_t len = flv_file(file);
    for (size_t room = 1; room < FLV_TAGS; room++) {
        struct culvert *culvert = publisher();
        fake.room = room;
        for (size_t at = 0; at < len;) {
            long took = culvert_send_flv(culvert, file + at, len - at, NULL);
            assert_true(took >= 0 && (size_t)took <= len - at);
            at += (size_t)took;
            if (at == len)
                break;
            assert_int_equal(culvert_send_flv(culvert, file + at, len - at, NULL), 0);
            assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_AGAIN);
            fake.room = room;
            say((struct cv_connection_event){.type = CV_CONNECTION_ROOM});
            culvert_process(culvert);
            next(culvert, CULVERT_EVENT_ROOM);
        }
        check_flv();
        end(culvert);
    }
}

static void flv_that_waits_goes_before_the_goodbye(void **state)
{
    (void)state;
    uint8_t file[FLV_MAX];
    flv_file(file);
    struct culvert *culvert = publisher();
    fake.room = 0;
    size_t first = CV_FLV_HEADER_BYTES + CV_FLV_TAG_HEAD_BYTES + CV_FLV_TAG_TAIL_BYTES;
    assert_int_equal(culvert_send_flv(culvert, file, first, NULL), first - 4);
    assert_int_equal(culvert_close(culvert), 0);
    assert_false(fake.now->closed);
    assert_int_equal(culvert_send_flv(culvert, file, 1, NULL), CULVERT_E_USAGE);
    fake.room = 1;
    say((struct cv_connection_event){.type = CV_CONNECTION_ROOM});
    culvert_process(culvert);
    assert_int_equal(fake.sent_count, 1);
    assert_true(fake.now->closed);
    assert_int_equal(culvert_close(culvert), 0);
    say((struct cv_connection_event){.type = CV_CONNECTION_ROOM});
    culvert_process(culvert); // not closed twice
    end(culvert);
    culvert = publisher();
    fake.room = 0;
    assert_int_equal(culvert_send_flv(culvert, file, first, NULL), first - 4);
    end(culvert); // and nothing is left behind
}

static void damaged_flv_is_told(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    assert_int_equal(culvert_send_flv(culvert, "GIF89a...", 9, NULL), CULVERT_E_SYNTAX);
    assert_true(strlen(culvert_why(culvert)) > 0);
    assert_int_equal(culvert_send_flv(culvert, "FLV", 3, NULL), CULVERT_E_SYNTAX);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), 0);
    end(culvert);
}

// ---- time -------------------------------------------------------------------------------------

static void tell_started(struct cv_connection *connection)
{
    (void)connection;
    say((struct cv_connection_event){.type = CV_CONNECTION_STARTED});
}

static void tell_end(struct cv_connection *connection)
{
    (void)connection;
    say((struct cv_connection_event){.type = CV_CONNECTION_ENDED, .end = CV_END_CLOSED});
}

static void start_timer(void (*fn)(struct cv_connection *connection), unsigned after_ms)
{
    fake.now->at_timer = fn;
    cv_timer_start(&fake.now->timer, after_ms * UINT64_C(1000));
}

static void waiting_ends_with_an_event_or_the_time(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    const struct culvert_event *event = NULL;
    assert_int_equal(culvert_wait(culvert, &event, 0), 0);
    assert_int_equal(culvert_wait(culvert, &event, 5), 0);
    start_timer(tell_started, 5);
    assert_int_equal(culvert_wait(culvert, &event, 60000), 1);
    assert_int_equal(event->type, CULVERT_EVENT_STARTED);
    assert_int_equal(culvert_close(culvert), 0);
    assert_true(fake.now->closed);
    start_timer(tell_end, 5);
    assert_int_equal(culvert_wait(culvert, &event, -1), 1);
    assert_int_equal(event->type, CULVERT_EVENT_ENDED);
    assert_int_equal(event->error, CULVERT_OK);
    assert_null(fake.now); // it is not kept
    assert_int_equal(culvert_wait(culvert, &event, -1), CULVERT_E_ENDED);
    assert_int_equal(culvert_send(culvert, CULVERT_AUDIO, 0, "", 0), CULVERT_E_ENDED);
    end(culvert);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_ends_waiting(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    const struct culvert_event *event = NULL;
    struct sigaction action = {.sa_handler = on_alarm}, before;
    sigaction(SIGALRM, &action, &before);
    alarm(1);
    assert_int_equal(culvert_wait(culvert, &event, -1), 0);
    sigaction(SIGALRM, &before, NULL);
    end(culvert);
}

static void works_inside_another_loop(void **state)
{
    (void)state;
    struct culvert *culvert = publisher();
    struct pollfd ready = {.fd = culvert_fd(culvert), .events = POLLIN};
    assert_true(ready.fd >= 0);
    assert_int_equal(culvert_timeout_ms(culvert), 0); // connecting
    assert_int_equal(culvert_process(culvert), 0);
    assert_int_equal(culvert_timeout_ms(culvert), -1);
    start_timer(tell_started, 20);
    int turns = 0;
    while (culvert_process(culvert) == 0) {
        int timeout_ms = culvert_timeout_ms(culvert);
        assert_in_range(timeout_ms, 0, 21);
        poll(&ready, 1, timeout_ms);
        assert_true(turns++ < 20); // it sleeps, and does not spin
    }
    assert_int_equal(culvert_timeout_ms(culvert), 0); // something waits to be pulled
    next(culvert, CULVERT_EVENT_STARTED);
    assert_int_equal(culvert_timeout_ms(culvert), -1);
    end(culvert);
}

// Who does not pull is not drowned: the loop stands still.
static void check_full(const struct cv_connection_event *event, size_t count)
{
    struct culvert *culvert = publisher();
    start_timer(tell_started, 0);
    struct pollfd nothing = {.fd = -1};
    poll(&nothing, 1, 2);
    for (size_t i = 0; i < count; i++)
        say(*event);
    assert_int_equal(culvert_process(culvert), 1);
    assert_int_equal(fake.now->fired, 0);
    const struct culvert_event *got;
    assert_int_equal(culvert_next(culvert, &got), 1);
    assert_int_equal(culvert_process(culvert), 1);
    assert_int_equal(fake.now->fired, 1);
    end(culvert);
}

static void nothing_is_read_while_too_much_waits(void **state)
{
    (void)state;
    struct cv_connection_event event = {.type = CV_CONNECTION_ROOM};
    check_full(&event, 1024);
    struct cv_block *block = cv_block_new(1024 * 1024);
    block->len = 1024 * 1024;
    event.type = CV_CONNECTION_MESSAGE;
    event.msg = (struct cv_msg){.type = CV_MSG_VIDEO, .payload = block};
    check_full(&event, 4);
    cv_block_unref(&block);
}

// ---- memory -----------------------------------------------------------------------------------

static bool run_short_life(void *arg)
{
    (void)arg;
    uint8_t file[FLV_MAX];
    size_t len = flv_file(file);
    struct culvert_config config = {.size = sizeof config, .url = "rtmp://127.0.0.1/live/a"};
    struct culvert *culvert = culvert_connect(&config);
    bool good = culvert && culvert_publish(culvert, NULL) == 0;
    good = good && culvert_send(culvert, CULVERT_DATA, 0, "abc", 3) == 0;
    good = good && culvert_send_flv(culvert, file, len, NULL) == (long)len;
    if (good) {
        struct cv_amf value = {.type = CV_AMF_NUMBER, .number = 3};
        say((struct cv_connection_event){.type = CV_CONNECTION_RESULT, .args = &value});
        if (fake.now)
            say((struct cv_connection_event){.type = CV_CONNECTION_STATUS});
        const struct culvert_event *event;
        while (culvert_next(culvert, &event) > 0) {
            good &= event->type != CULVERT_EVENT_ENDED || event->error != CULVERT_E_NOMEM;
            good &= event->type != CULVERT_EVENT_RESULT || event->args != NULL;
        }
    }
    end(culvert);
    return good;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(run_short_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(null_is_refused_everywhere, set_up),
        cmocka_unit_test_setup(configuration_is_read_up_to_its_size, set_up),
        cmocka_unit_test_setup(configuration_goes_through, set_up),
        cmocka_unit_test_setup(trust_comes_with_urls_that_may_be_secure, set_up),
        cmocka_unit_test_setup(mistakes_in_the_configuration_are_told, set_up),
        cmocka_unit_test_setup(a_ca_file_is_not_for_the_insecure, set_up),
        cmocka_unit_test_setup(names_are_looked_at, set_up),
        cmocka_unit_test_setup(events_wait_in_order, set_up),
        cmocka_unit_test_setup(results_bring_their_values, set_up),
        cmocka_unit_test_setup(ends_have_their_errors, set_up),
        cmocka_unit_test_setup(stats_fit_their_size, set_up),
        cmocka_unit_test_setup(messages_are_copied, set_up),
        cmocka_unit_test_setup(players_do_not_send, set_up),
        cmocka_unit_test_setup(flv_may_be_cut_anywhere, set_up),
        cmocka_unit_test_setup(flv_waits_for_room, set_up),
        cmocka_unit_test_setup(flv_that_waits_goes_before_the_goodbye, set_up),
        cmocka_unit_test_setup(damaged_flv_is_told, set_up),
        cmocka_unit_test_setup(waiting_ends_with_an_event_or_the_time, set_up),
        cmocka_unit_test_setup(a_signal_ends_waiting, set_up),
        cmocka_unit_test_setup(works_inside_another_loop, set_up),
        cmocka_unit_test_setup(nothing_is_read_while_too_much_waits, set_up),
        cmocka_unit_test_setup(survives_failing_memory, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
