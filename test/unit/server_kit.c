#include "server_kit.h"

#include "secure_kit.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/thread.h"
#include "proto/amf0.h"
#include "server/config.h"
#include "server/keys.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

struct cv_tls_server *kit_tls;

static const char default_yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n";

// ---- the server -----------------------------------------------------------------------------

static struct cv_keys *make_keys(void)
{
    struct cv_key_row rows[] = {{.id = 1, .app = "live"}, {.id = 2, .app = "live"}};
    assert_int_equal(cv_key_hash("one", 3, rows[0].hash), CV_OK);
    assert_int_equal(cv_key_hash("two", 3, rows[1].hash), CV_OK);
    return cv_keys_new(rows, 2);
}

static struct cv_policy *policy_of(struct kit *kit, const char *yaml)
{
    struct cv_config *config = NULL;
    struct cv_config_why why = {0};
    const char *text = yaml ? yaml : default_yaml;
    if (cv_config_parse("kit", text, strlen(text), NULL, &config, &why) != CV_OK)
        fail_msg("%s", why.text);
    if (getenv("KIT_URING"))
        config->io_uring = CV_USE_ON;
    struct cv_keys *keys = make_keys();
    assert_non_null(keys);
    cv_log_set_level(config->log_level);
    struct cv_policy *policy = cv_policy_new(config, keys, &kit->shared.tallies);
    assert_non_null(policy);
    cv_policy_set_tls(policy, kit_tls);
    cv_config_unref(&config);
    cv_keys_unref(&keys);
    return policy;
}

struct cv_addr kit_listen(struct kit *kit, unsigned worker, enum cv_listen_takes takes)
{
    struct cv_why why = {0};
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int fd;
    assert_int_equal(cv_socket_listen(&addr, &fd, 1, &why), CV_OK);
    assert_int_equal(cv_socket_local(fd, &addr), CV_OK);
    assert_int_equal(cv_worker_listen(kit->workers[worker], fd, takes), CV_OK);
    return addr;
}

static void start_worker(struct kit *kit, unsigned i)
{
    kit->workers[i] = cv_worker_new(&kit->shared, i, kit->policy);
    assert_non_null(kit->workers[i]);
    kit->addrs[i] = kit_listen(kit, i, CV_LISTEN_ANY);
}

void kit_start(struct kit *kit, unsigned workers, bool threads, const char *yaml)
{
    *kit = (struct kit){.threads = threads};
    if (getenv("KIT_TLS"))
        kit_tls = secure_kit_server();
    struct cv_tallies *tallies = &kit->shared.tallies;
    kit->shared.workers = workers;
    kit->shared.tunnel_secret.crypto = &cv_crypto_openssl;
    kit->shared.post = cv_post_new(workers + 1);
    assert_non_null(kit->shared.post);
    tallies->addresses = cv_tally_new(1);
    tallies->app_streams = cv_tally_new(2);
    tallies->app_viewers = cv_tally_new(3);
    tallies->stream_viewers = cv_tally_new(4);
    kit->policy = policy_of(kit, yaml);
    kit->loop = cv_loop_new();
    assert_non_null(kit->loop);
    cv_post_attach(kit->shared.post, workers, kit->loop, kit);
    for (unsigned i = 0; i < workers; i++)
        start_worker(kit, i);
    for (unsigned i = 0; threads && i < workers; i++)
        assert_int_equal(
            cv_thread_start(&kit->workers[i]->thread, "worker", cv_worker_run, kit->workers[i]), 0);
}

static bool all_ended(void *arg)
{
    struct kit *kit = arg;
    for (unsigned i = 0; i < kit->shared.workers; i++) {
        if (kit->workers[i]->conns || kit->workers[i]->flv_viewers)
            return false;
    }
    return true;
}

void kit_stop(struct kit *kit)
{
    memset(kit->frozen, 0, sizeof kit->frozen);
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    bool told = kit_tell_all(kit, &stop);
    if (kit->threads) {
        for (unsigned i = 0; i < kit->shared.workers; i++)
            cv_thread_join(&kit->workers[i]->thread);
    } else {
        kit_until(kit, all_ended, kit);
    }
    for (unsigned i = 0; i < kit->shared.workers; i++)
        cv_worker_free(kit->workers[i]);
    cv_post_detach(kit->shared.post, kit->shared.workers);
    cv_post_free(kit->shared.post, cv_worker_drop_mail, NULL);
    cv_loop_free(kit->loop);
    cv_policy_unref(&kit->policy);
    cv_tally_free(kit->shared.tallies.addresses);
    cv_tally_free(kit->shared.tallies.app_streams);
    cv_tally_free(kit->shared.tallies.app_viewers);
    cv_tally_free(kit->shared.tallies.stream_viewers);
    secure_kit_hang_up();
    assert_true(told);
    assert_int_equal(atomic_load(&kit->shared.connections), 0);
}

void kit_turn(struct kit *kit)
{
    secure_kit_pump();
    for (unsigned i = 0; !kit->threads && i < kit->shared.workers; i++) {
        if (!kit->frozen[i])
            cv_loop_run_once(kit->workers[i]->loop);
    }
}

bool kit_tell(struct kit *kit, unsigned worker, const struct cv_note *note)
{
    struct cv_note *copy = cv_worker_note_new(note);
    if (!copy)
        return false;
    if (copy->policy)
        cv_policy_ref(copy->policy);
    if (cv_post_send(kit->shared.post, kit->shared.workers, worker, &copy->mail) == CV_OK)
        return true;
    cv_note_free(copy);
    return false;
}

bool kit_tell_all(struct kit *kit, const struct cv_note *note)
{
    bool all = true;
    for (unsigned i = 0; i < kit->shared.workers; i++)
        all &= kit_tell(kit, i, note);
    return all;
}

static void on_answer(struct cv_mail *mail, void *receiver)
{
    struct kit *kit = receiver;
    struct cv_note *note = (struct cv_note *)mail;
    uint64_t *sum = (uint64_t *)&kit->stats;
    const uint64_t *part = (const uint64_t *)&note->stats;
    for (size_t i = 0; i < sizeof kit->stats / sizeof *sum; i++)
        sum[i] += part[i];
    kit->answers++;
    cv_note_free(note);
}

struct cv_worker_stats kit_stats(struct kit *kit)
{
    struct cv_note note = {.kind = CV_NOTE_STATS, .answer = on_answer};
    kit->answers = 0;
    kit->stats = (struct cv_worker_stats){0};
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    if (kit_tell_all(kit, &note)) {
        while (kit->answers < kit->shared.workers && cv_clock_now_us() < deadline) {
            kit_turn(kit);
            cv_loop_run_once(kit->loop);
        }
    }
    return kit->stats;
}

void kit_reload(struct kit *kit, const char *yaml)
{
    cv_policy_unref(&kit->policy);
    kit->policy = policy_of(kit, yaml);
    struct cv_note note = {.kind = CV_NOTE_POLICY, .policy = kit->policy};
    kit_tell_all(kit, &note);
}

void kit_name(const struct kit *kit, unsigned home, unsigned n, char out[32])
{
    for (unsigned i = 0;; i++) {
        struct cv_path path;
        snprintf(out, 32, "s%u-%u", n, i);
        assert_int_equal(cv_path_join(&path, cv_text_of("live"), cv_text_of(out)), CV_OK);
        if (cv_worker_home(kit->workers[0], &path) == home)
            return;
    }
}

bool kit_until(struct kit *kit, bool (*done)(void *arg), void *arg)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!done(arg)) {
        if (cv_clock_now_us() > deadline)
            return false;
        kit_turn(kit);
    }
    return true;
}

// ---- what a client sees ---------------------------------------------------------------------

enum { SEEN_MAX = 1 << 16 };

static void see(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void see(struct client *client, const char *format, ...)
{
    if (client->seen_count == SEEN_MAX)
        return;
    va_list args;
    va_start(args, format);
    struct seen *seen = &client->seen[client->seen_count++];
    vsnprintf(seen->text, sizeof seen->text, format, args);
    va_end(args);
}

static void see_resume(struct client *client, const struct cv_amf *info)
{
    struct cv_text token = cv_amf_text(cv_amf_get(info, "resume"));
    if (token.len == 0)
        return;
    snprintf(client->token, sizeof client->token, "%.*s", (int)token.len, token.at);
    see(client, "resume %u", cv_amf_u32(cv_amf_get(info, "taken"), UINT32_MAX));
}

static void see_position(struct client *client, const struct cv_amf *args)
{
    struct cv_text text = cv_amf_text(args);
    uint32_t number = cv_amf_u32(args ? args->next : NULL, UINT32_MAX);
    client->position[0] = '\0';
    if (text.len == 0) {
        see(client, "position");
        return;
    }
    snprintf(client->position, sizeof client->position, "%.*s:%u", (int)text.len, text.at, number);
    see(client, "position %u", number);
}

// Each message behind a position has the next one.
static void count_position(struct client *client)
{
    char *number = strchr(client->position, ':');
    if (number)
        snprintf(number + 1, 12, "%lu", strtoul(number + 1, NULL, 10) + 1);
}

static void see_command(struct client *client, const struct cv_rtmp_event *event)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)event->name.len, event->name.at);
    struct cv_text code = cv_amf_text(cv_amf_get(event->args, "code"));
    unsigned transaction = (unsigned)event->transaction;
    if (cv_text_is(event->name, "onStatus"))
        see(client, "status %u %.*s", event->msg.stream_id, (int)code.len, code.at);
    else if (cv_text_is(event->name, "_result") && event->args &&
             event->args->type == CV_AMF_NUMBER)
        see(client, "result %u %u", transaction, cv_amf_u32(event->args, 0));
    else if (cv_text_is(event->name, "_result") || cv_text_is(event->name, "_error"))
        see(client, "%s %u %.*s", name + 1, transaction, (int)code.len, code.at);
    else if (cv_text_is(event->name, "onTaken"))
        see(client, "taken %u", cv_amf_u32(event->args, UINT32_MAX));
    else if (cv_text_is(event->name, "onPosition"))
        see_position(client, event->args);
    else
        see(client, "%s %.*s", name, (int)code.len, code.at);
    if (cv_text_is(event->name, "onStatus"))
        see_resume(client, event->args);
}

static void see_media(struct client *client, const struct cv_msg *msg)
{
    const uint8_t *data = msg->payload->data;
    const char *kind = msg->type == CV_MSG_VIDEO ? "video" : "audio";
    size_t head = msg->type == CV_MSG_VIDEO ? 5 : 2;
    if (msg->payload->len >= 2 && data[1] == 0)
        see(client, "header %u", msg->stream_id);
    else if (msg->payload->len >= head + 4)
        see(client, "%s %u %u", kind, msg->stream_id,
            (unsigned)data[head] << 24 | (unsigned)data[head + 1] << 16 |
                (unsigned)data[head + 2] << 8 | data[head + 3]);
}

static void see_event(struct client *client, const struct cv_rtmp_event *event)
{
    switch (event->type) {
    case CV_RTMP_COMMAND:
        see_command(client, event);
        return;
    case CV_RTMP_MEDIA:
        see_media(client, &event->msg);
        count_position(client);
        return;
    case CV_RTMP_DATA:
        count_position(client);
        see(client, "data %u", event->msg.stream_id);
        return;
    case CV_RTMP_USER_CONTROL:
        if (event->user_event <= CV_USER_STREAM_EOF)
            see(client, "%s %u", event->user_event ? "eof" : "begin", event->user_id);
        return;
    case CV_RTMP_READY:
        see(client, "ready");
        return;
    default:
        return;
    }
}

// ---- clients --------------------------------------------------------------------------------

int kit_dial(struct kit *kit, unsigned worker)
{
    int fd = cv_socket_connect(&kit->addrs[worker]);
    if (fd >= 0)
        cv_socket_set_no_delay(fd, true);
    return fd >= 0 && kit_tls ? secure_kit_bridge(fd) : fd;
}

bool client_dial(struct client *client, struct kit *kit, unsigned worker)
{
    struct cv_rtmp_config config = {.role = CV_RTMP_CLIENT, .crypto = &cv_crypto_openssl};
    *client = (struct client){.kit = kit, .transaction = 1};
    client->seen = calloc(SEEN_MAX, sizeof *client->seen);
    client->rtmp = cv_rtmp_new(&config, 0);
    client->fd = kit_dial(kit, worker);
    struct cv_rtmp_event event;
    return client->seen && client->rtmp && client->fd >= 0 &&
           cv_rtmp_next(client->rtmp, &event) == 0; // C0 and C1 are there
}

static const char ws_request[] =
    "GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: rtmp\r\n\r\n";

bool client_dial_ws(struct client *client, struct kit *kit, unsigned worker)
{
    struct cv_ws_config config = {.client = true, .crypto = &cv_crypto_openssl};
    if (!client_dial(client, kit, worker))
        return false;
    client->ws = cv_ws_new(&config);
    client->request = ws_request;
    return client->ws != NULL;
}

void client_close(struct client *client)
{
    cv_ws_free(client->ws);
    client->ws = NULL;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    cv_rtmp_free(client->rtmp);
    free(client->seen);
    client->rtmp = NULL;
    client->seen = NULL;
}

static void end_command(struct client *client, struct cv_wr *wr, uint32_t stream)
{
    cv_rtmp_command_end(client->rtmp, wr, stream, stream ? CV_CSID_STREAM : CV_CSID_COMMAND);
}

void client_connect(struct client *client, const char *app)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "connect", client->transaction++);
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, "app");
    cv_amf0_string(&wr, app);
    cv_amf0_end(&wr);
    end_command(client, &wr, 0);
}

void client_create_stream(struct client *client)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "createStream", client->transaction++);
    cv_amf0_null(&wr);
    end_command(client, &wr, 0);
}

void client_command(struct client *client, uint32_t stream, const char *name, const char *text)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, name, client->transaction++);
    cv_amf0_null(&wr);
    if (text)
        cv_amf0_string(&wr, text);
    end_command(client, &wr, stream);
}

void client_command_number(struct client *client, uint32_t stream, const char *name, double number)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, name, client->transaction++);
    cv_amf0_null(&wr);
    cv_amf0_number(&wr, number);
    end_command(client, &wr, stream);
}

void client_command_boolean(struct client *client, uint32_t stream, const char *name, bool on)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, name, client->transaction++);
    cv_amf0_null(&wr);
    cv_amf0_boolean(&wr, on);
    cv_amf0_number(&wr, 0);
    end_command(client, &wr, stream);
}

void client_publish_resume(struct client *client, const char *name, const char *token)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "publish", client->transaction++);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, name);
    cv_amf0_string(&wr, "live");
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "resume", token);
    cv_amf0_end(&wr);
    end_command(client, &wr, 1);
}

void client_play_resume(struct client *client, const char *name, const char *position)
{
    struct cv_wr wr = cv_rtmp_command_begin(client->rtmp, "play", client->transaction++);
    cv_amf0_null(&wr);
    cv_amf0_string(&wr, name);
    cv_amf0_number(&wr, -2000);
    cv_amf0_number(&wr, -1);
    cv_amf0_boolean(&wr, true);
    cv_amf0_object(&wr);
    cv_amf0_put_string(&wr, "position", position);
    cv_amf0_end(&wr);
    end_command(client, &wr, 1);
}

static void send_media(struct client *client, uint8_t type, uint32_t stream, uint32_t ts_ms,
                       const uint8_t *head, size_t head_len, size_t pad)
{
    struct cv_block *payload = cv_block_new(head_len + pad);
    if (!payload)
        return;
    cv_block_append(payload, head, head_len);
    memset(payload->data + payload->len, 0, pad);
    payload->len += (uint32_t)pad;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .stream_id = stream, .payload = payload};
    cv_rtmp_send(client->rtmp, &msg, type == CV_MSG_VIDEO ? CV_CSID_VIDEO : CV_CSID_AUDIO);
    cv_block_unref(&payload);
}

void client_video(struct client *client, uint32_t stream, uint32_t number, bool key, size_t pad)
{
    uint8_t head[] = {key ? 0x17 : 0x27,
                      1,
                      0,
                      0,
                      0,
                      (uint8_t)(number >> 24),
                      (uint8_t)(number >> 16),
                      (uint8_t)(number >> 8),
                      (uint8_t)number};
    send_media(client, CV_MSG_VIDEO, stream, number * 10, head, sizeof head, pad);
}

void client_audio(struct client *client, uint32_t stream, uint32_t number)
{
    uint8_t head[] = {
        0xaf,           1, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
        (uint8_t)number};
    send_media(client, CV_MSG_AUDIO, stream, number * 10, head, sizeof head, 0);
}

void client_headers(struct client *client, uint32_t stream)
{
    static const uint8_t video[] = {0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0};
    static const uint8_t audio[] = {0xaf, 0, 0x12, 0x10};
    send_media(client, CV_MSG_VIDEO, stream, 0, video, sizeof video, 0);
    send_media(client, CV_MSG_AUDIO, stream, 0, audio, sizeof audio, 0);
}

void client_sound_headers(struct client *client, uint32_t stream)
{
    static const uint8_t audio[] = {0xaf, 0, 0x12, 0x10};
    static const uint8_t data[] =
        "\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x08\0\0\0\0\0\0\x09";
    send_media(client, CV_MSG_DATA_AMF0, stream, 0, data, sizeof data - 1, 0);
    send_media(client, CV_MSG_AUDIO, stream, 0, audio, sizeof audio, 0);
}

// What the RTMP engine has to say, as one message; more when that has left.
static void wrap(struct client *client, struct cv_gather *gather)
{
    if (!cv_ws_out_empty(client->ws))
        return;
    cv_gather_clear(gather);
    cv_rtmp_pull(client->rtmp, gather);
    struct cv_block *whole = gather->bytes ? cv_block_new(gather->bytes) : NULL;
    if (!whole)
        return;
    for (int i = 0; i < gather->count; i++)
        cv_block_append(whole, gather->vectors[i].iov_base, gather->vectors[i].iov_len);
    if (cv_ws_send(client->ws, false, whole->data, whole->len) == CV_OK)
        cv_rtmp_sent(client->rtmp, whole->len);
    cv_block_unref(&whole);
}

static void pull(struct client *client, struct cv_gather *gather)
{
    cv_gather_clear(gather);
    if (client->request) {
        cv_gather_borrow(gather, client->request, strlen(client->request));
    } else if (client->ws) {
        wrap(client, gather);
        cv_gather_clear(gather);
        cv_ws_pull_begin(client->ws, gather);
        cv_ws_pull_end(client->ws, gather);
    } else {
        cv_rtmp_pull(client->rtmp, gather);
    }
}

static void sent_some(struct client *client, size_t sent)
{
    if (client->request)
        client->request = client->request[sent] ? client->request + sent : NULL;
    else if (client->ws)
        cv_ws_sent(client->ws, sent);
    else
        cv_rtmp_sent(client->rtmp, sent);
}

static bool send_some(struct client *client)
{
    struct cv_gather *gather = malloc(sizeof *gather);
    int sent = 1;
    while (gather && sent > 0) {
        pull(client, gather);
        if (gather->count == 0)
            break;
        sent = cv_socket_write(client->fd, gather->vectors, gather->count);
        if (sent > 0)
            sent_some(client, (size_t)sent);
    }
    free(gather);
    return sent >= 0 || sent == CV_E_AGAIN ||
           sent == CV_E_RESET; // what was sent to us is there still
}

static void take_rtmp(struct client *client, const uint8_t *data, size_t len)
{
    struct cv_rtmp_event event;
    cv_rtmp_feed(client->rtmp, data, len);
    while (cv_rtmp_next(client->rtmp, &event) == 1)
        see_event(client, &event);
}

static void take_frames(struct client *client, const uint8_t *data, size_t len)
{
    static const char head_end[] = "\r\n\r\n";
    struct cv_ws_event event;
    for (; len && head_end[client->head_end]; data++, len--)
        client->head_end = *data == head_end[client->head_end] ? client->head_end + 1 : 0;
    cv_ws_feed(client->ws, data, len);
    while (cv_ws_next(client->ws, &event) == 1) {
        if (event.type == CV_WS_DATA)
            take_rtmp(client, event.data, event.len);
        else if (event.type == CV_WS_PONG)
            see(client, "pong");
        else
            see(client, "ws close %u", event.code);
    }
}

static bool read_some(struct client *client)
{
    static _Thread_local uint8_t bytes[65536];
    while (!client->closed && !client->mute) {
        int len = cv_socket_read(client->fd, bytes, sizeof bytes);
        if (len == CV_E_AGAIN)
            return true;
        if (len < 0) {
            client->closed = true;
            see(client, len == CV_E_CLOSED ? "closed" : "reset");
            return false;
        }
        (client->ws ? take_frames : take_rtmp)(client, bytes, (size_t)len);
    }
    return !client->closed;
}

bool client_step(struct client *client)
{
    struct cv_addr peer;
    if (cv_socket_peer(client->fd, &peer) != CV_OK && !client->closed &&
        cv_socket_connect_result(client->fd) == CV_E_AGAIN)
        return true; // still connecting
    bool sent = send_some(client);
    return read_some(client) && sent;
}

static bool find_next(struct client *client, const char *text)
{
    for (; client->at < client->seen_count; client->at++) {
        if (strcmp(client->seen[client->at].text, text) == 0) {
            client->at++;
            return true;
        }
    }
    return false;
}

bool client_wait(struct client *client, const char *text)
{
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    for (;;) {
        bool alive = client_step(client);
        if (find_next(client, text))
            return true;
        if (!alive || cv_clock_now_us() > deadline)
            return false;
        kit_turn(client->kit);
        struct pollfd fds[] = {{.fd = client->fd, .events = POLLIN},
                               {.fd = secure_kit_fd(), .events = POLLIN}};
        poll(fds, 2, client->kit->threads ? 5 : 0);
    }
}

bool client_wait_closed(struct client *client)
{
    return client_wait(client, "closed");
}

unsigned client_count(const struct client *client, const char *text)
{
    unsigned count = 0;
    for (unsigned i = 0; i < client->seen_count; i++)
        count += strcmp(client->seen[i].text, text) == 0;
    return count;
}

unsigned client_index(const struct client *client, const char *text)
{
    for (unsigned i = 0; i < client->seen_count; i++) {
        if (strcmp(client->seen[i].text, text) == 0)
            return i;
    }
    return UINT_MAX;
}

static bool get_ready(struct client *client)
{
    if (!client_wait(client, "ready"))
        return false;
    client_connect(client, "live");
    client_create_stream(client);
    return client_wait(client, "result 2 1");
}

bool client_open(struct client *client, struct kit *kit, unsigned worker)
{
    return client_dial(client, kit, worker) && get_ready(client);
}

bool client_open_ws(struct client *client, struct kit *kit, unsigned worker)
{
    return client_dial_ws(client, kit, worker) && get_ready(client);
}

bool client_publish(struct client *client, uint32_t stream, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "status %u NetStream.Publish.Start", stream);
    client_command(client, stream, "publish", name);
    return client_wait(client, text);
}

bool client_play(struct client *client, uint32_t stream, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "status %u NetStream.Play.Start", stream);
    client_command(client, stream, "play", name);
    return client_wait(client, text);
}

void clients_close(struct client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        client_close(&clients[i]);
}

// ---- by hand, all together ----------------------------------------------------------------------

void kit_settle(struct kit *kit, struct client *clients, unsigned count)
{
    for (int i = 0; i < 40; i++) {
        kit_turn(kit);
        for (unsigned c = 0; c < count; c++)
            client_step(&clients[c]);
    }
}

void kit_turn_failing(struct kit *kit, uint64_t *left)
{
    if (*left)
        cv_mem_fail_nth(*left);
    for (int i = 0; i < 8; i++)
        kit_turn(kit);
    *left = *left ? cv_mem_fail_nth(0) : 0;
}

void kit_step_failing(struct kit *kit, struct client *clients, unsigned count, uint64_t *left)
{
    for (int i = 0; i < 3; i++) {
        for (unsigned c = 0; c < count; c++)
            client_step(&clients[c]);
        kit_turn_failing(kit, left);
    }
}

bool kit_is_clean(void *arg)
{
    const struct kit *kit = arg;
    for (unsigned i = 0; i < kit->shared.workers; i++) {
        const struct cv_worker *worker = kit->workers[i];
        if (worker->conns || worker->sockets || worker->streams || worker->outlets ||
            worker->stats.publishers || worker->stats.viewers)
            return false;
    }
    return true;
}

// ---- bytes of any kind ------------------------------------------------------------------------

struct wire wire_dial(struct kit *kit, const struct cv_addr *addr)
{
    struct wire wire = {.kit = kit, .fd = cv_socket_connect(addr)};
    assert_true(wire.fd >= 0);
    cv_socket_set_no_delay(wire.fd, true);
    return wire;
}

void wire_hang_up(struct wire *wire)
{
    close(wire->fd);
    wire->fd = -1;
}

void wire_put(struct wire *wire, const void *data, size_t len)
{
    struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    uint64_t deadline = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    int sent;
    while ((sent = cv_socket_write(wire->fd, &vector, 1)) == CV_E_AGAIN &&
           cv_clock_now_us() < deadline)
        kit_turn(wire->kit);
    wire->closed |= sent < 0;
}

void wire_put_text(struct wire *wire, const char *text)
{
    wire_put(wire, text, strlen(text));
}

void wire_take(struct wire *wire)
{
    int len = cv_socket_read(wire->fd, wire->got + wire->len, WIRE_BYTES - wire->len);
    wire->closed |= len < 0 && len != CV_E_AGAIN;
    wire->len += len > 0 ? (size_t)len : 0;
    wire->got[wire->len] = '\0';
}

bool wire_is_closed(void *arg)
{
    struct wire *wire = arg;
    wire_take(wire);
    return wire->closed;
}

bool wire_has_answer(void *arg)
{
    struct wire *wire = arg;
    wire_take(wire);
    return wire->closed || wire->len >= 12;
}

bool kit_has_no_sockets(void *arg)
{
    const struct kit *kit = arg;
    return !kit->workers[0]->sockets;
}

bool kit_after_turns(void *arg)
{
    unsigned *left = arg;
    return --*left == 0;
}
