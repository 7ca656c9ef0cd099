// A tunnel session with an RTMP engine behind it, and what it gave out; for the tests of rtmpt.
#ifndef CV_TEST_TUNNEL_KIT_H
#define CV_TEST_TUNNEL_KIT_H

#include "chunk_kit.h"

#include "proto/rtmpt.h"

enum { KIT_REPLIES = 64, KIT_SAID = 18 }; // bytes that tunnel_say says

struct kit_reply {
    uint64_t ticket;
    enum cv_rtmpt_form form;
    int status;
    int poll;          // -1: none
    struct bytes body; // without the poll byte
};

struct tunnel {
    struct cv_rtmp *rtmp;
    struct cv_rtmpt *session;
    uint64_t now_us;
    uint64_t deaf;      // this connection takes no reply; 0: all do
    bool slow;          // replies do not leave: sent is not called
    bool silent;        // nothing is recorded: that would need memory
    bool ended;         // ENDED was told
    int result;         // of next
    struct bytes heard; // the client's byte stream
    struct bytes said;  // the server's: all replies in the order of their making
    struct kit_reply replies[KIT_REPLIES];
    size_t reply_count; // of all that were made; the newest KIT_REPLIES are kept
    // What is done with the client's bytes beside recording them; may be NULL.
    void (*on_bytes)(struct tunnel *tunnel, const uint8_t *data, size_t len);
    void (*before_reply)(struct tunnel *tunnel); // fills the engine; may be NULL
    void *user;
};

extern const struct cv_crypto kit_crypto;

// An engine behind its handshake, and a new session over it. rtmp or session is NULL: no memory.
struct tunnel tunnel_new(uint32_t hold_ms, uint32_t window_ms);
// The same, and the handshake is for the client to do.
struct tunnel tunnel_fresh(uint32_t hold_ms, uint32_t window_ms);
// With a client that plays.
struct tunnel tunnel_playing(void);
void tunnel_free(struct tunnel *tunnel);

// One request in parts. Results are those of cv_rtmpt_request and, later, tunnel->result.
int tunnel_begin(struct tunnel *tunnel, uint64_t ticket, const char *path);
void tunnel_body(struct tunnel *tunnel, uint64_t ticket, const void *data, size_t len);
void tunnel_end(struct tunnel *tunnel, uint64_t ticket);
void tunnel_gone(struct tunnel *tunnel, uint64_t ticket);
// A whole request with a text as its body. `path`: "send/7" stands for "/send/ID/7".
int tunnel_post(struct tunnel *tunnel, uint64_t ticket, const char *path, const char *body);
// The same with the number apart.
int tunnel_post_n(struct tunnel *tunnel, uint64_t ticket, const char *verb, uint64_t n,
                  const char *body);
// Makes all replies that are due. Returns how many.
size_t tunnel_answer(struct tunnel *tunnel);
// The clock goes on, the session is told, what is due is answered.
size_t tunnel_wait(struct tunnel *tunnel, uint64_t ms);
// The n-th newest reply; 0: the newest.
const struct kit_reply *tunnel_reply(const struct tunnel *tunnel, size_t n);

// Queues a message of 18 bytes on the wire.
void tunnel_say(struct tunnel *tunnel, uint32_t number);
void tunnel_expect_heard(const struct tunnel *tunnel, const char *text);
// The n-th newest reply is whole, for this connection, with so many bytes behind its poll byte.
void tunnel_expect(const struct tunnel *tunnel, size_t n, uint64_t ticket, int poll, size_t len);
// It has failed so, and these connections get a 404, one each, and nobody else anything.
void tunnel_expect_failed(struct tunnel *t, int code, size_t answers);

#endif
