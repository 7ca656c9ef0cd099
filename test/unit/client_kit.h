// A client session against a server in memory that is made of the session engine and answers
// commands as its test says. For the tests of rtmp_client.
#ifndef CV_TEST_CLIENT_KIT_H
#define CV_TEST_CLIENT_KIT_H

#include "harness.h"

#include "base/err.h"
#include "base/limits.h"
#include "proto/amf0.h"
#include "proto/reply.h"
#include "proto/rtmp_client.h"

enum { RECORD_MAX = 64 * 1024, STORY_MAX = 4096, HANDSHAKE = 1 + 2 * 1536 };

extern const struct cv_crypto client_crypto;

static inline void ok(int err)
{
    assert_int_equal(err, CV_OK);
}

// What happened, as one text: "ready connected started media:3@0 ended:...".
struct story {
    char text[STORY_MAX];
    size_t len;
    int err;
    // What the client does at an event; may be NULL.
    void (*act)(struct cv_rtmp_client *client, const struct cv_rtmp_client_event *event);
};

__attribute__((format(printf, 2, 3))) void tell(struct story *story, const char *format, ...);
void tell_event(struct story *story, const struct cv_rtmp_client_event *event);

// Publishes or plays "gate7?key=K" of the app "live" of "rtmp://h".
struct cv_rtmp_client_config client_config(enum cv_rtmp_client_mode mode);
// A client that has asked, with nothing of the answer read yet.
struct cv_rtmp_client *client_asking(const struct cv_rtmp_client_config *config);
// Feeds bytes that end at an unreadable page and tells what happened.
void client_feed(struct cv_rtmp_client *client, const uint8_t *data, size_t len,
                 struct story *story);

struct server {
    const void *script; // the test's
    void (*on_command)(struct server *server, const struct cv_rtmp_event *event);
    struct cv_rtmp *rtmp;
    struct cv_gather gather;
    uint8_t record[RECORD_MAX]; // everything sent, handshake included
    size_t record_len;
    struct story commands; // all that was heard
    double owed[8];        // transactions that the test answers later
    size_t owed_count;
};

struct server *server_new(void (*on_command)(struct server *server,
                                             const struct cv_rtmp_event *event),
                          const void *script);
void server_free(struct server *server);

// Until neither has anything to say.
void meet(struct cv_rtmp_client *client, struct server *server, struct story *story);
bool client_to_server(struct cv_rtmp_client *client, struct server *server);
bool server_to_client(struct server *server, struct cv_rtmp_client *client, struct story *story);
// What the server said, cut everywhere in two, then in pieces of 1 and 7 bytes, to clients that
// have asked: the same story.
void split_anywhere(const struct cv_rtmp_client_config *config, const struct server *server,
                    const struct story *whole);

#endif
