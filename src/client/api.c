// The public C API: a handle with a loop and a connection of its own.
#include "client/api.h"

#include "base/check.h"
#include "base/mem.h"
#include "client/memory.h"
#include "client/trust.h"
#include "io/clock.h"
#include "io/loop.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { US_PER_MS = 1000 };

// ---- connecting -----------------------------------------------------------------------------

static const char *environment(const char *name)
{
    return getenv(name);
}

static const enum cv_via vias[] = {
    [CULVERT_VIA_AUTO] = CV_VIA_AUTO,
    [CULVERT_VIA_RTMP] = CV_VIA_RTMP,
    [CULVERT_VIA_RTMPT] = CV_VIA_RTMPT,
    [CULVERT_VIA_WEBSOCKET] = CV_VIA_SOCKET,
};

static int read_memory_file(struct culvert *culvert, const char *path, struct cv_why *why)
{
    if (!path) {
        cv_memory_default_path(culvert->memory_path, sizeof culvert->memory_path);
        return CV_OK;
    }
    if (strlen(path) > CV_LIMIT_API_PATH_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, "client", "the path of the memory file is too long");
    memcpy(culvert->memory_path, path, strlen(path) + 1);
    return CV_OK;
}

// What the configuration says, as the connection wants it.
static int read_config(struct culvert *culvert, struct cv_why *why)
{
    const struct culvert_config *config = &culvert->config;
    if (!config->url)
        return cv_why_set(why, CV_E_USAGE, "client", "config.url is missing");
    if ((unsigned)config->via >= sizeof vias / sizeof vias[0])
        return cv_why_set(why, CV_E_USAGE, "client", "config.via is unknown");
    if ((unsigned)config->order > CULVERT_ORDER_RTMP_FIRST)
        return cv_why_set(why, CV_E_USAGE, "client", "config.order is unknown");
    if (config->ca_file && config->ca_file[0] && config->insecure)
        return cv_why_set(why, CV_E_USAGE, "client",
                          "config.ca_file tells whom to trust, config.insecure to trust anybody: "
                          "only one can be meant");
    int err = cv_target_parse(&culvert->target, cv_text_of(config->url), why);
    if (err)
        return err;
    err = cv_proxies_find(&culvert->proxies, cv_text_of(config->proxy ? config->proxy : ""),
                          &culvert->target, environment, why);
    if (err)
        return err;
    const struct cv_tls_trust_config trust = {.ca_file = config->ca_file,
                                              .insecure = config->insecure};
    err = cv_trust_load(&culvert->trust, &culvert->target, &trust, why);
    return err ? err : read_memory_file(culvert, config->memory_file, why);
}

struct culvert *culvert_connect(const struct culvert_config *config)
{
    if (!config || config->size < offsetof(struct culvert_config, via))
        return NULL;
    struct culvert *culvert = cv_mem_zero(1, sizeof *culvert);
    if (!culvert)
        return NULL;
    size_t known = sizeof culvert->config;
    memcpy(&culvert->config, config, config->size < known ? config->size : known);
    if (cv__api_events_init(culvert))
        goto fail;
    culvert->loop = cv_loop_new();
    culvert->room = culvert->loop ? cv_attempt_room_new(culvert->loop) : NULL;
    if (!culvert->room)
        goto fail;
    struct cv_why why = {0};
    int err = read_config(culvert, &why);
    if (err)
        cv__api_fail(culvert, cv__api_error(err), err, why.text);
    return culvert;
fail:
    culvert_free(culvert);
    return NULL;
}

static void connection_start(struct culvert *culvert)
{
    const struct culvert_config *from = &culvert->config;
    struct cv_connection_config config = {
        .target = &culvert->target,
        .mode = culvert->mode,
        .via = vias[from->via],
        .order =
            from->order == CULVERT_ORDER_RTMP_FIRST ? CV_LADDER_RTMP_FIRST : CV_LADDER_OFFER_FIRST,
        .proxies = &culvert->proxies,
        .trust = culvert->trust,
        .memory_path = culvert->memory_path,
        .buffer_ms = from->buffer_ms,
        .keep_bytes = from->keep_bytes,
        .keep_all = from->keep_all,
        .return_s = from->return_s,
        .on_event = cv__api_on_event,
        .arg = culvert,
    };
    cv_loop_refresh(culvert->loop);
    culvert->connection = cv_connection_new(culvert->room, &config);
}

static int take_name(struct culvert *culvert, const char *name, bool needed)
{
    if (name && strlen(name) > CV_LIMIT_NAME_BYTES)
        return cv_why_set(&culvert->why, CV_E_TOO_LONG, "client", "the stream's name is too long");
    if (name)
        memcpy(culvert->target.name, name, strlen(name) + 1);
    if (needed && !culvert->target.name[0])
        return cv_why_set(&culvert->why, CV_E_USAGE, "client", "the URL names no stream");
    culvert->why = (struct cv_why){0};
    return CV_OK;
}

// The error that it ended with, for who missed the event.
static int end_error(const struct culvert *culvert)
{
    return culvert->end->pub.error ? culvert->end->pub.error : CULVERT_E_ENDED;
}

static int begin(struct culvert *culvert, enum cv_rtmp_client_mode mode, const char *name)
{
    if (!culvert || culvert->begun)
        return CULVERT_E_USAGE;
    if (culvert->ended)
        return end_error(culvert);
    int err = take_name(culvert, name, mode != CV_RTMP_CLIENT_CALL);
    if (err)
        return cv__api_error(err);
    culvert->begun = culvert->touched = true;
    culvert->mode = mode;
    connection_start(culvert);
    if (!culvert->connection)
        return cv__api_fail(culvert, CULVERT_E_NOMEM, CV_E_NOMEM, "no memory for a connection");
    return CULVERT_OK;
}

int culvert_publish(struct culvert *culvert, const char *name)
{
    return begin(culvert, CV_RTMP_CLIENT_PUBLISH, name);
}

int culvert_play(struct culvert *culvert, const char *name)
{
    return begin(culvert, CV_RTMP_CLIENT_PLAY, name);
}

int culvert_open(struct culvert *culvert)
{
    return begin(culvert, CV_RTMP_CLIENT_CALL, NULL);
}

// What culvert_send_flv has left goes first, then what was to follow it.
static void use_room(struct culvert *culvert)
{
    culvert->has_room = false;
    bool done = cv__api_flv_retry(culvert);
    if (!done || !culvert->closing || culvert->closed)
        return;
    culvert->closed = true;
    cv_connection_close(culvert->connection);
}

// ---- ending ---------------------------------------------------------------------------------

int culvert_close(struct culvert *culvert)
{
    if (!culvert)
        return CULVERT_E_USAGE;
    if (culvert->ended || culvert->closing)
        return CULVERT_OK;
    culvert->touched = true;
    if (!culvert->connection) {
        culvert->ended = true;
        return CULVERT_OK;
    }
    cv_loop_refresh(culvert->loop);
    culvert->closing = true;
    use_room(culvert);
    return CULVERT_OK;
}

void culvert_free(struct culvert *culvert)
{
    if (!culvert)
        return;
    cv_connection_free(&culvert->connection);
    if (culvert->begun)
        cv_loop_run_once(culvert->loop); // what it closes may use the room until then
    cv_attempt_room_free(culvert->room);
    cv_tls_trust_unref(&culvert->trust);
    cv__api_flv_free(culvert);
    cv__api_events_free(culvert);
    cv_loop_free(culvert->loop);
    cv_mem_free(culvert);
}

const char *culvert_why(const struct culvert *culvert)
{
    if (!culvert)
        return "no memory or no descriptor for a connection";
    if (culvert->why.code != CV_OK && culvert->why.text[0] == '\0')
        return cv_err_text(culvert->why.code);
    return culvert->why.text;
}

// ---- sending --------------------------------------------------------------------------------

int cv__api_send(struct culvert *culvert, const struct cv_msg *msg)
{
    cv_loop_refresh(culvert->loop);
    int err = cv_connection_send(culvert->connection, msg);
    culvert->touched |= err == CV_OK;
    return cv__api_error(err);
}

int cv__api_may_send(const struct culvert *culvert)
{
    if (!culvert)
        return CULVERT_E_USAGE;
    if (culvert->ended)
        return CULVERT_E_ENDED;
    if (!culvert->connection || culvert->mode != CV_RTMP_CLIENT_PUBLISH || culvert->closing)
        return CULVERT_E_USAGE;
    return culvert->flv_msg.payload ? CULVERT_E_AGAIN : CULVERT_OK;
}

int culvert_send(struct culvert *culvert, enum culvert_kind kind, uint32_t ts_ms, const void *data,
                 size_t len)
{
    int err = cv__api_may_send(culvert);
    bool known = kind == CULVERT_AUDIO || kind == CULVERT_VIDEO || kind == CULVERT_DATA;
    if (!known || (!data && len > 0))
        err = CULVERT_E_USAGE;
    if (err)
        return err;
    if (len > cv_msg_limit((uint8_t)kind, CV_LIMIT_MEDIA_BYTES))
        return CULVERT_E_TOO_LONG;
    struct cv_msg msg = {
        .type = (uint8_t)kind, .ts_ms = ts_ms, .payload = cv_block_copy(data, len)};
    if (!msg.payload)
        return CULVERT_E_NOMEM;
    err = cv__api_send(culvert, &msg);
    cv_block_unref(&msg.payload);
    return err;
}

int culvert_call(struct culvert *culvert, const char *name, const struct culvert_amf_writer *args,
                 uint32_t *call)
{
    if (!culvert || !name || !*name)
        return CULVERT_E_USAGE;
    if (culvert->ended)
        return CULVERT_E_ENDED;
    struct cv_text bytes = {0};
    int err = args ? cv__api_amf_text(args, &bytes) : CULVERT_OK;
    if (!err && strlen(name) > CV_LIMIT_NAME_BYTES)
        err = CULVERT_E_TOO_LONG;
    if (!err && !culvert->begun)
        err = CULVERT_E_USAGE;
    if (err)
        return err;
    uint32_t number = 0;
    culvert->touched = true;
    cv_loop_refresh(culvert->loop);
    err = cv__api_error(cv_connection_call(culvert->connection, name, bytes, &number));
    if (!err && call)
        *call = number;
    return err;
}

// ---- working --------------------------------------------------------------------------------

// One turn of the loop, unless more than enough waits to be pulled.
static void work(struct culvert *culvert)
{
    if (culvert->ended || cv__api_is_full(culvert))
        return;
    culvert->touched = false;
    cv_loop_run_once(culvert->loop);
    if (culvert->ended)
        cv_connection_free(&culvert->connection);
    else if (culvert->has_room)
        use_room(culvert);
}

int culvert_process(struct culvert *culvert)
{
    if (!culvert)
        return CULVERT_E_USAGE;
    work(culvert);
    if (cv__api_has_event(culvert))
        return 1;
    return culvert->ended ? CULVERT_E_ENDED : 0;
}

int culvert_fd(const struct culvert *culvert)
{
    return culvert ? cv_loop_fd(culvert->loop) : CULVERT_E_USAGE;
}

int culvert_timeout_ms(const struct culvert *culvert)
{
    if (!culvert)
        return CULVERT_E_USAGE;
    if (culvert->ended || cv__api_has_event(culvert))
        return 0;
    return culvert->touched ? 0 : cv_loop_timeout_ms(culvert->loop);
}

// How long until `deadline_us`; -1: for ever.
static int left_ms(uint64_t deadline_us)
{
    uint64_t now_us = cv_clock_now_us();
    if (deadline_us == UINT64_MAX)
        return -1;
    return deadline_us > now_us ? (int)((deadline_us - now_us + US_PER_MS - 1) / US_PER_MS) : 0;
}

int culvert_wait(struct culvert *culvert, const struct culvert_event **event, int timeout_ms)
{
    if (!culvert || !event || (timeout_ms < 0 && !culvert->begun && !culvert->ended))
        return CULVERT_E_USAGE;
    uint64_t deadline_us =
        timeout_ms < 0 ? UINT64_MAX : cv_clock_now_us() + (uint64_t)timeout_ms * US_PER_MS;
    for (;;) {
        int got = culvert_next(culvert, event);
        if (got != 0)
            return got;
        work(culvert);
        if (cv__api_has_event(culvert))
            continue;
        int ms = left_ms(deadline_us);
        if (ms == 0 || (!culvert->touched && !cv_loop_sleep(culvert->loop, ms)))
            return 0;
    }
}

int culvert_stats(const struct culvert *culvert, struct culvert_stats *stats)
{
    if (!culvert || !stats || stats->size < sizeof stats->size)
        return CULVERT_E_USAGE;
    struct cv_connection_stats now = culvert->connection && !culvert->ended
                                         ? cv_connection_stats(culvert->connection)
                                         : culvert->stats;
    struct culvert_stats all = {
        .size = stats->size,
        .way = now.now.name,
        .rtt_us = now.now.rtt_us,
        .unacked_bytes = now.now.unacked_bytes,
        .messages = now.messages,
        .bytes = now.bytes,
        .waiting_bytes = now.waiting_bytes,
        .cuts = now.cuts,
        .lost = now.lost,
        .resumes = now.resumes,
    };
    size_t size = stats->size;
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return CULVERT_OK;
}
