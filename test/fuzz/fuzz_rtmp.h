// What the fuzz targets of the two roles of the RTMP engine share. Included by each of them once.
//
// Input: byte 0 is the mode; byte 1..2 are the sizes of the pieces, used in turn; the rest is what
// the peer sends, with SKIP from behind the handshake on.
#ifndef CV_FUZZ_RTMP_H
#define CV_FUZZ_RTMP_H

#include "fuzz_kit.h"

#include "base/limits.h"
#include "proto/amf0.h"
#include "proto/handshake.h"
#include "proto/reply.h"
#include "proto/rtmp.h"

enum mode {
    SKIP = 1,      // the handshake is done before
    ACT = 2,       // events are answered
    DEAF = 4,      // the peer reads nothing
    GIVE_BACK = 8, // unread bytes are given back after each event
    DIGEST = 16,   // client: offers a digest
    SMALL = 32,    // little room to send, small media
    COMPARE = 64,  // in one go and in pieces: the same events (not with ACT)
    EAGER = 128,   // client: messages do not wait for the handshake
};
enum { HEAD_BYTES = 1 + PIECE_SIZES };

static struct cv_gather gather;

// One engine, and a sum over its events.
struct session {
    struct cv_rtmp *rtmp;
    uint8_t mode;
    int result;
    uint64_t hash; // FNV-1a
    // Answers an event, as the role does. 0 or an error.
    int (*act)(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event);
};

static void sum(struct session *session, const void *data, size_t len)
{
    sum_bytes(&session->hash, data, len);
}

// Everything in an event is there to be read.
static void sum_event(struct session *session, const struct cv_rtmp_event *event)
{
    sum(session, &event->type, sizeof event->type);
    sum(session, &event->user_event, sizeof event->user_event);
    sum(session, &event->user_id, sizeof event->user_id);
    sum(session, &event->user_value, sizeof event->user_value);
    must((event->type == CV_RTMP_READY) == !event->msg.payload);
    if (event->msg.payload) {
        sum(session, &event->msg.type, sizeof event->msg.type);
        sum(session, &event->msg.ts_ms, sizeof event->msg.ts_ms);
        sum(session, &event->msg.stream_id, sizeof event->msg.stream_id);
        sum(session, event->msg.payload->data, event->msg.payload->len);
    }
    if (event->type != CV_RTMP_COMMAND)
        return;
    sum(session, event->name.at, event->name.len);
    struct cv_wr wr = cv_wr_growing(16 * CV_LIMIT_COMMAND_BYTES);
    if (event->object)
        cv_amf0_value(&wr, event->object);
    for (const struct cv_amf *value = event->args; value; value = value->next)
        cv_amf0_value(&wr, value);
    sum(session, wr.block ? wr.block->data : NULL, wr.block ? wr.len : 0);
    cv_wr_done(&wr);
}

// Lets some of what waits leave.
static void let_leave(struct session *session, size_t most)
{
    cv_gather_clear(&gather);
    cv_rtmp_pull(session->rtmp, &gather);
    must((gather.bytes == 0) == cv_rtmp_out_empty(session->rtmp));
    touch_ends(&gather);
    if (session->mode & DEAF)
        return;
    cv_rtmp_sent(session->rtmp, gather.bytes < most ? gather.bytes : most);
}

static int one_event(struct session *session)
{
    struct cv_rtmp_event event;
    int more = cv_rtmp_next(session->rtmp, &event);
    must((more < 0) == (cv_rtmp_why(session->rtmp)->code != CV_OK));
    must(cv_rtmp_out_count(session->rtmp) <= CV_LIMIT_OUT_MESSAGES);
    if (more <= 0)
        return more;
    sum_event(session, &event);
    int err = session->mode & ACT ? session->act(session->rtmp, &event) : CV_OK;
    return err < 0 ? err : 1;
}

static void take_events(struct session *session)
{
    int more;
    while ((more = one_event(session)) > 0) {
        if (!(session->mode & GIVE_BACK))
            continue;
        uint64_t before = cv_rtmp_bytes_in(session->rtmp);
        struct cv_rd unread = cv_rtmp_unread(session->rtmp);
        must(cv_rtmp_bytes_in(session->rtmp) + cv_rd_left(&unread) == before);
        cv_rtmp_feed(session->rtmp, unread.at, cv_rd_left(&unread));
    }
    session->result = more;
}

static void feed(struct session *session, const uint8_t *data, size_t len)
{
    uint8_t *piece = piece_copy(data, len);
    cv_rtmp_feed(session->rtmp, piece, len);
    take_events(session);
    free(piece);
}

static struct session session_new(const struct cv_rtmp_config *config, uint8_t mode)
{
    static const uint8_t peer[CV_HANDSHAKE_BYTES] = {CV_HANDSHAKE_VERSION};
    struct session session = {.rtmp = cv_rtmp_new(config, 1), .mode = mode};
    must(session.rtmp != NULL);
    take_events(&session);
    if (!(mode & SKIP))
        return session;
    session.mode = 0;
    feed(&session, peer, sizeof peer);
    must(session.result == CV_OK);
    let_leave(&session, SIZE_MAX);
    must(cv_rtmp_bytes_out(session.rtmp) == CV_HANDSHAKE_BYTES);
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

static void fuzz(enum cv_rtmp_role role,
                 int (*act)(struct cv_rtmp *rtmp, const struct cv_rtmp_event *event),
                 const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return;
    uint8_t mode = data[0];
    if (mode & COMPARE)
        mode = (uint8_t)((mode & ~ACT) | DEAF);
    struct cv_rtmp_config config = {
        .role = role, .crypto = &weak, .digest = mode & DIGEST, .eager = mode & EAGER};
    if (mode & SMALL) {
        config.media_bytes_max = 300;
        config.out_bytes_max = 2000;
    }
    struct session session = session_new(&config, mode);
    session.act = act;
    run(&session, data + HEAD_BYTES, size - HEAD_BYTES, data + 1);
    if (mode & COMPARE) {
        struct session whole = session_new(&config, mode);
        run(&whole, data + HEAD_BYTES, size - HEAD_BYTES, NULL);
        must(whole.result == session.result && whole.hash == session.hash);
        cv_rtmp_free(whole.rtmp);
    }
    cv_rtmp_free(session.rtmp);
}

#endif
