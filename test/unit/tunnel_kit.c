#include "tunnel_kit.h"

#include "io/openssl.h"
#include "proto/handshake.h"

#include <stdio.h>

static struct cv_gather gather;

static int weak_random(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i * 7);
    return CV_OK;
}

static int real_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                     const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    return cv_crypto_openssl.hmac_sha256(key, key_len, data1, len1, data2, len2, out);
}

const struct cv_crypto kit_crypto = {.hmac_sha256 = real_hmac, .random = weak_random};

// ---- making ---------------------------------------------------------------------------------

struct tunnel tunnel_fresh(uint32_t hold_ms, uint32_t window_ms)
{
    struct tunnel tunnel = {.now_us = 1000000};
    struct cv_rtmp_config rtmp = {.role = CV_RTMP_SERVER, .crypto = &kit_crypto};
    tunnel.rtmp = cv_rtmp_new(&rtmp, 7);
    if (!tunnel.rtmp)
        return tunnel;
    struct cv_rtmpt_config config = {tunnel.rtmp, hold_ms, window_ms};
    tunnel.session = cv_rtmpt_new(&config, tunnel.now_us);
    return tunnel;
}

struct tunnel tunnel_new(uint32_t hold_ms, uint32_t window_ms)
{
    static const uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct tunnel tunnel = tunnel_fresh(hold_ms, window_ms);
    assert_non_null(tunnel.session);
    struct cv_rtmp_event event;
    cv_rtmp_feed(tunnel.rtmp, peer, sizeof peer);
    assert_int_equal(cv_rtmp_next(tunnel.rtmp, &event), 1);
    assert_int_equal(cv_rtmp_next(tunnel.rtmp, &event), 0);
    struct cv_parcel *parcel = cv_rtmp_take(tunnel.rtmp, 1);
    assert_int_equal(parcel->bytes, CV_HANDSHAKE_BYTES);
    cv_parcel_unref(&parcel);
    return tunnel;
}

void tunnel_free(struct tunnel *tunnel)
{
    cv_rtmpt_free(tunnel->session);
    cv_rtmp_free(tunnel->rtmp);
    bytes_free(&tunnel->heard);
    bytes_free(&tunnel->said);
    for (size_t i = 0; i < KIT_REPLIES; i++)
        bytes_free(&tunnel->replies[i].body);
}

// ---- requests -------------------------------------------------------------------------------

static void take_events(struct tunnel *tunnel)
{
    struct cv_rtmpt_event event;
    int more;
    while ((more = cv_rtmpt_next(tunnel->session, &event)) > 0) {
        assert_false(tunnel->ended);
        if (event.type == CV_RTMPT_ENDED) {
            tunnel->ended = true;
            continue;
        }
        assert_true(event.len > 0);
        if (!tunnel->silent)
            bytes_add(&tunnel->heard, event.data, event.len);
        if (tunnel->on_bytes)
            tunnel->on_bytes(tunnel, event.data, event.len);
    }
    tunnel->result = more;
}

int tunnel_begin(struct tunnel *tunnel, uint64_t ticket, const char *path)
{
    char whole[100];
    struct cv_rtmpt_target target;
    const char *number = strchr(path, '/');
    int verb_len = (int)(number ? (size_t)(number - path) : strlen(path));
    snprintf(whole, sizeof whole, "/%.*s/ID%s", verb_len, path, number ? number : "");
    assert_int_equal(cv_rtmpt_target_parse(cv_text_of(whole), &target), CV_OK);
    int err = cv_rtmpt_request(tunnel->session, ticket, &target, tunnel->now_us);
    take_events(tunnel);
    return err;
}

void tunnel_body(struct tunnel *tunnel, uint64_t ticket, const void *data, size_t len)
{
    uint8_t *piece = malloc(len ? len : 1); // the sanitizer sees one byte too far
    assert_non_null(piece);
    if (len)
        memcpy(piece, data, len);
    cv_rtmpt_body(tunnel->session, ticket, piece, len, tunnel->now_us);
    take_events(tunnel);
    free(piece);
}

void tunnel_end(struct tunnel *tunnel, uint64_t ticket)
{
    cv_rtmpt_end(tunnel->session, ticket, tunnel->now_us);
    take_events(tunnel);
}

void tunnel_gone(struct tunnel *tunnel, uint64_t ticket)
{
    cv_rtmpt_gone(tunnel->session, ticket, tunnel->now_us);
    take_events(tunnel);
}

int tunnel_post(struct tunnel *tunnel, uint64_t ticket, const char *path, const char *body)
{
    int err = tunnel_begin(tunnel, ticket, path);
    if (err != CV_OK)
        return err;
    tunnel_body(tunnel, ticket, body, strlen(body));
    tunnel_end(tunnel, ticket);
    return tunnel->result;
}

// ---- replies --------------------------------------------------------------------------------

// In small steps, as a slow socket would.
static void read_parcel(struct bytes *body, const struct cv_parcel *parcel)
{
    for (size_t at = 0; at < parcel->bytes;) {
        cv_gather_clear(&gather);
        cv_parcel_pull(parcel, at, &gather);
        assert_true(gather.bytes > 0 && gather.bytes <= parcel->bytes - at);
        at += bytes_gathered(body, &gather, at == 0 ? 1 + parcel->bytes / 3 : SIZE_MAX);
    }
    assert_int_equal(body->len, parcel->bytes);
}

static void record(struct tunnel *tunnel, const struct cv_rtmpt_reply *reply)
{
    struct kit_reply *kept = &tunnel->replies[tunnel->reply_count % KIT_REPLIES];
    kept->ticket = reply->ticket;
    kept->form = reply->form;
    kept->status = reply->status;
    kept->poll = reply->has_poll ? reply->poll : -1;
    kept->body.len = 0;
    if (tunnel->silent)
        return;
    if (reply->parcel)
        read_parcel(&kept->body, reply->parcel);
    assert_int_equal(reply->bytes, kept->body.len + (reply->has_poll ? 1 : 0));
    bytes_add(&tunnel->said, kept->body.data, kept->body.len);
}

static bool answer_one(struct tunnel *tunnel)
{
    uint64_t ticket = 0;
    struct cv_rtmpt_reply reply;
    enum cv_rtmpt_due due = cv_rtmpt_due(tunnel->session, tunnel->now_us, &ticket);
    if (due != CV_RTMPT_NONE && tunnel->before_reply) {
        tunnel->before_reply(tunnel);
        due = cv_rtmpt_due(tunnel->session, tunnel->now_us, &ticket);
    }
    if (due != CV_RTMPT_NOW || (tunnel->deaf && ticket == tunnel->deaf))
        return false;
    cv_rtmpt_reply(tunnel->session, tunnel->now_us, &reply);
    assert_int_equal(reply.ticket, ticket);
    record(tunnel, &reply);
    tunnel->reply_count++;
    cv_parcel_unref(&reply.parcel);
    if (!tunnel->slow)
        cv_rtmpt_sent(tunnel->session, ticket);
    return true;
}

size_t tunnel_answer(struct tunnel *tunnel)
{
    size_t before = tunnel->reply_count;
    while (answer_one(tunnel))
        continue;
    return tunnel->reply_count - before;
}

size_t tunnel_wait(struct tunnel *tunnel, uint64_t ms)
{
    tunnel->now_us += ms * 1000;
    cv_rtmpt_tick(tunnel->session, tunnel->now_us);
    take_events(tunnel);
    return tunnel_answer(tunnel);
}

const struct kit_reply *tunnel_reply(const struct tunnel *tunnel, size_t n)
{
    assert_true(n < tunnel->reply_count && n < KIT_REPLIES);
    return &tunnel->replies[(tunnel->reply_count - 1 - n) % KIT_REPLIES];
}

void tunnel_say(struct tunnel *tunnel, uint32_t number)
{
    assert_int_equal(cv_rtmp_send_user(tunnel->rtmp, CV_USER_PING_REQUEST, number), CV_OK);
}

void tunnel_expect_heard(const struct tunnel *tunnel, const char *text)
{
    assert_int_equal(tunnel->heard.len, strlen(text));
    if (tunnel->heard.len)
        assert_memory_equal(tunnel->heard.data, text, tunnel->heard.len);
}

void tunnel_expect(const struct tunnel *tunnel, size_t n, uint64_t ticket, int poll, size_t len)
{
    const struct kit_reply *reply = tunnel_reply(tunnel, n);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->form, CV_RTMPT_WHOLE);
    assert_int_equal(reply->ticket, ticket);
    assert_int_equal(reply->poll, poll);
    assert_int_equal(reply->body.len, len);
}

struct tunnel tunnel_playing(void)
{
    struct tunnel t = tunnel_new(0, 0);
    cv_rtmpt_set_mode(t.session, CV_RTMPT_PLAY);
    return t;
}

int tunnel_post_n(struct tunnel *t, uint64_t ticket, const char *verb, uint64_t n, const char *body)
{
    char path[40];
    snprintf(path, sizeof path, "%s/%llu", verb, (unsigned long long)n);
    return tunnel_post(t, ticket, path, body);
}

// It has failed so, and these connections get a 404, one each, and nobody else anything.
void tunnel_expect_failed(struct tunnel *t, int code, size_t answers)
{
    assert_int_equal(cv_rtmpt_why(t->session)->code, code);
    struct cv_rtmpt_event event;
    assert_int_equal(cv_rtmpt_next(t->session, &event), code);
    assert_int_equal(tunnel_answer(t), answers);
    for (size_t i = 0; i < answers; i++) {
        assert_int_equal(tunnel_reply(t, i)->status, 404);
        assert_int_equal(tunnel_reply(t, i)->body.len, 0);
        assert_int_equal(tunnel_reply(t, i)->poll, -1);
    }
    assert_true(cv_rtmpt_over(t->session));
    assert_int_equal(tunnel_post(t, 99, "send/1", "late"), code);
    assert_int_equal(cv_rtmpt_deadline_us(t->session), UINT64_MAX);
}
