// Any bytes of a local encoder or player into a relay's session, whose owner accepts, refuses, lets
// wait and sends as a relay does.
//
// Input: byte 0 is the mode; byte 1..2 are the sizes of the pieces, used in turn; the rest is what
// the client sends, with SKIP from behind the handshake on.
#include "fuzz_kit.h"

#include "base/limits.h"
#include "proto/handshake.h"
#include "proto/rtmp_host.h"

enum mode {
    SKIP = 1,     // the handshake is done before
    REFUSE = 2,   // what it asks for
    LATE = 4,     // the answer comes behind the piece, not at once
    DEAF = 8,     // the client reads nothing
    MEDIA = 16,   // players are sent messages
    OVER = 32,    // and then their stream is over
    COMPARE = 64, // in one go and in pieces: the same events (not with LATE)
};
enum { HEAD_BYTES = 1 + PIECE_SIZES, MESSAGE_BYTES = 700 };

static struct cv_gather gather;

struct session {
    struct cv_rtmp_host *host;
    uint8_t mode;
    bool asked;   // waits for the answer
    bool plays;   // what it asked for last
    bool running; // was accepted, and has not stopped
    int result;
    uint64_t hash; // FNV-1a, over its events
};

static void sum(struct session *session, const void *data, size_t len)
{
    sum_bytes(&session->hash, data, len);
}

static bool is_answer(int err)
{
    return err == CV_OK || err == CV_E_QUEUE_FULL || err == CV_E_NOMEM;
}

static void send_media(struct session *session)
{
    struct cv_block *block = cv_block_new(MESSAGE_BYTES);
    must(block != NULL);
    memset(block->data, 0x27, MESSAGE_BYTES);
    block->len = MESSAGE_BYTES;
    struct cv_msg msg = {.type = CV_MSG_VIDEO, .payload = block};
    must(is_answer(cv_rtmp_host_send(session->host, &msg)));
    cv_block_unref(&block);
    if (session->mode & OVER) {
        must(is_answer(cv_rtmp_host_over(session->host)));
        must(cv_rtmp_host_send(session->host, &(struct cv_msg){.payload = &(struct cv_block){0}}) ==
             CV_E_USAGE);
    }
}

static void answer(struct session *session)
{
    session->asked = false;
    if (session->mode & REFUSE) {
        must(is_answer(cv_rtmp_host_refuse(session->host, CV_STATUS_PUBLISH_BAD_NAME, "no")));
        must(cv_rtmp_host_accept(session->host) == CV_E_USAGE);
        return;
    }
    session->running = true;
    must(is_answer(cv_rtmp_host_accept(session->host)));
    must(cv_rtmp_host_accept(session->host) == CV_E_USAGE);
    if (session->plays && session->mode & MEDIA)
        send_media(session);
}

static void on_asked(struct session *session, const struct cv_rtmp_host_event *event)
{
    must(!session->asked && !session->running); // one at a time
    must(event->app.len <= CV_LIMIT_APP_BYTES && event->name.len <= CV_LIMIT_NAME_BYTES);
    sum(session, event->app.at, event->app.len);
    sum(session, event->name.at, event->name.len);
    session->asked = true;
    session->plays = event->type == CV_RTMP_HOST_PLAY;
    if (!(session->mode & LATE))
        answer(session);
}

static void take(struct session *session, const struct cv_rtmp_host_event *event)
{
    sum(session, &event->type, sizeof event->type);
    switch (event->type) {
    case CV_RTMP_HOST_PUBLISH:
    case CV_RTMP_HOST_PLAY:
        on_asked(session, event);
        return;
    case CV_RTMP_HOST_MESSAGE:
        must(session->running && !session->plays);
        must(event->msg.payload->len <= CV_LIMIT_MEDIA_BYTES);
        sum(session, &event->msg.ts_ms, sizeof event->msg.ts_ms);
        sum(session, event->msg.payload->data, event->msg.payload->len);
        return;
    case CV_RTMP_HOST_STOP:
        must(session->asked || session->running);
        session->asked = session->running = false;
        return;
    }
}

// The client takes `most` bytes of what waits; none when it is deaf.
static void let_leave(struct session *session, size_t most)
{
    cv_gather_clear(&gather);
    cv_rtmp_host_pull(session->host, &gather);
    must((gather.bytes == 0) == cv_rtmp_host_out_empty(session->host));
    must(cv_rtmp_host_out_bytes(session->host) <=
         (size_t)CV_LIMIT_OUT_BYTES + CV_LIMIT_MEDIA_BYTES + CV_LIMIT_COMMAND_BYTES);
    touch_ends(&gather);
    if (!(session->mode & DEAF))
        cv_rtmp_host_sent(session->host, gather.bytes < most ? gather.bytes : most);
}

static void feed(struct session *session, const uint8_t *data, size_t len)
{
    uint8_t *piece = piece_copy(data, len);
    struct cv_rtmp_host_event event;
    int more;
    cv_rtmp_host_feed(session->host, piece, len);
    while ((more = cv_rtmp_host_next(session->host, &event)) > 0)
        take(session, &event);
    must((more < 0) == (cv_rtmp_host_why(session->host)->code != CV_OK));
    session->result = more;
    free(piece);
    if (session->asked && more == 0)
        answer(session);
}

static struct session session_new(uint8_t mode)
{
    static const uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct session session = {.host = cv_rtmp_host_new(&weak, 1)};
    must(session.host != NULL);
    if (mode & SKIP) {
        feed(&session, peer, sizeof peer);
        must(session.result == CV_OK);
        let_leave(&session, SIZE_MAX);
    }
    session.mode = mode;
    return session;
}

static void run(struct session *session, const uint8_t *data, size_t size, const uint8_t *sizes)
{
    for (size_t at = 0, n = 0; at < size && session->result == CV_OK; n++) {
        size_t len = piece_in(sizes, n, size - at);
        feed(session, data + at, len);
        let_leave(session, piece_out(sizes, n));
        at += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    uint8_t mode = data[0];
    if (mode & COMPARE)
        mode = (uint8_t)((mode & ~LATE) | DEAF);
    struct session session = session_new(mode);
    run(&session, data + HEAD_BYTES, size - HEAD_BYTES, data + 1);
    if (mode & COMPARE) {
        struct session whole = session_new(mode);
        run(&whole, data + HEAD_BYTES, size - HEAD_BYTES, NULL);
        must(whole.result == session.result && whole.hash == session.hash);
        cv_rtmp_host_free(whole.host);
    }
    cv_rtmp_host_free(session.host);
    return 0;
}
