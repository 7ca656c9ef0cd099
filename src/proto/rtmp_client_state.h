// The state of a client session, shared by proto/rtmp_client*.c. Private to these.
#ifndef CV_PROTO_RTMP_CLIENT_STATE_H
#define CV_PROTO_RTMP_CLIENT_STATE_H

#include "base/limits.h"
#include "proto/rtmp_client.h"

// Transaction ids. Of these only the answers to connect, createStream and the start command matter:
// real servers leave out the others, or send them late.
enum {
    CV_ASK_CONNECT = 1,
    CV_ASK_RELEASE = 2,
    CV_ASK_FC_PUBLISH = 3,
    CV_ASK_CREATE = 4,
    CV_ASK_START = 5,
    CV_ASK_FC_UNPUBLISH = 6,
    CV_ASK_DELETE = 7,
    CV_ASK_CALL = 100, // the first call; each has its own
};

// The number that an eager client expects: a server of ours gives it first.
enum { CV_EAGER_STREAM = 1 };

enum client_state {
    STATE_NEW,        // connect has not been sent
    STATE_CONNECTING, // waits for the answer to connect
    STATE_CREATING,   // to createStream; never when eager
    STATE_STARTING,   // to publish or play
    STATE_RUNNING,    // calls only: from CONNECTED on
    STATE_ENDED,
};

struct cv_rtmp_client {
    struct cv_rtmp *rtmp;
    enum cv_rtmp_client_mode mode;
    enum client_state state;
    bool enhanced;
    bool eager;
    bool resume;
    bool created; // createStream was answered
    uint32_t buffer_ms;
    uint32_t stream_id;
    char *app;      // owned, as the next four
    char *name;     //
    char *tc_url;   //
    char *token;    //
    char *position; //
    bool holding;   // `held` comes before anything else
    struct cv_rtmp_client_event held;
    struct cv_why why;

    // a publisher that the server lets resume: messages of all its connections
    bool resumes;
    uint64_t sent;
    uint64_t taken;

    uint32_t calls[CV_LIMIT_CLIENT_CALLS]; // transaction ids without their answers
    uint32_t call_count;
    uint32_t last_call;
    uint32_t pings; // the same
};

static inline bool cv__client_publishes(const struct cv_rtmp_client *client)
{
    return client->mode == CV_RTMP_CLIENT_PUBLISH;
}

// What follows the answer to connect, and to createStream: the next question.
int cv__client_create(struct cv_rtmp_client *client);
int cv__client_start(struct cv_rtmp_client *client);

// What an event of the session engine means. 1 and *out, zeroed before; 0: nothing for the owner;
// or a negative code.
int cv__client_hear(struct cv_rtmp_client *client, const struct cv_rtmp_event *event,
                    struct cv_rtmp_client_event *out);

#endif
