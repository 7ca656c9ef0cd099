// The RTMP session engine: handshake, chunk stream, control messages and the form of commands, for
// the server and the client role. What commands mean is decided above (server/, client/).
//
// No I/O and no clock: bytes go in by feed, come out by pull and sent; events are pulled by next.
// One thread at a time. RTMP 1.0, sections 5 to 7; Enhanced RTMP v2.
#ifndef CV_PROTO_RTMP_H
#define CV_PROTO_RTMP_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/gather.h"
#include "base/wire.h"
#include "proto/amf.h"
#include "proto/message.h"

enum cv_rtmp_role { CV_RTMP_SERVER, CV_RTMP_CLIENT };

struct cv_rtmp_config {
    enum cv_rtmp_role role;
    const struct cv_crypto *crypto; // borrowed for the engine's life
    uint32_t media_bytes_max;       // cap of one audio or video message; 0: CV_LIMIT_MEDIA_BYTES
    size_t out_bytes_max;           // cap of what waits to be sent; 0: CV_LIMIT_OUT_BYTES
    bool digest;                    // client: offer the digest handshake
    bool eager;                     // client: C2 and messages do not wait for the server's answer;
                                    // only for servers that are known to take that
};

enum cv_rtmp_event_type {
    CV_RTMP_READY,         // the handshake is complete: messages may be sent
    CV_RTMP_COMMAND,       // name, transaction, object, args; message types 17 and 20
    CV_RTMP_MEDIA,         // msg: audio or video, also out of an aggregate
    CV_RTMP_DATA,          // msg: data message, its payload in AMF0 (type 18)
    CV_RTMP_SHARED_OBJECT, // msg: type 16 or 19, as it came
    CV_RTMP_USER_CONTROL,  // user_event, user_id, user_value; pings are answered already
    CV_RTMP_ACK,           // user_value: bytes that the peer says it has received
};

// Everything in an event is lent until the next call of next, feed or free. A payload that is to be
// kept: cv_block_ref it.
struct cv_rtmp_event {
    enum cv_rtmp_event_type type;
    struct cv_msg msg;
    struct cv_text name;         // command
    double transaction;          // command; 0 wants no answer
    const struct cv_amf *object; // command: third value, NULL when missing
    const struct cv_amf *args;   // command: fourth value, its siblings the others; or NULL
    uint16_t user_event;
    uint32_t user_id;
    uint32_t user_value;
};

struct cv_parcel;
struct cv_rtmp;

// `now_ms` goes into the handshake's time field. NULL: no memory, or no random numbers.
struct cv_rtmp *cv_rtmp_new(const struct cv_rtmp_config *config, uint32_t now_ms);
void cv_rtmp_free(struct cv_rtmp *rtmp);

// Lends bytes to the engine. They must stay valid until next has returned 0 or less, and feed must
// not be called again before that.
void cv_rtmp_feed(struct cv_rtmp *rtmp, const void *data, size_t len);
// 1 and the next event; 0 when the bytes are used up; negative when the session has failed for good
// (cv_rtmp_why tells).
int cv_rtmp_next(struct cv_rtmp *rtmp, struct cv_rtmp_event *out);
// The bytes that feed lent and next has not read: for a caller that must stop in between. They are
// given back: the engine forgets them, and the caller feeds them again later.
struct cv_rd cv_rtmp_unread(struct cv_rtmp *rtmp);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_rtmp_why(const struct cv_rtmp *rtmp);

// Lends everything that waits to be sent, as much as the gather takes; then tells how many bytes of
// it have really left. What is lent is valid until the next call of sent, send or free.
void cv_rtmp_pull(struct cv_rtmp *rtmp, struct cv_gather *gather);
void cv_rtmp_sent(struct cv_rtmp *rtmp, size_t len);
// The same for an owner without a connection of its own (a tunnel), who never calls sent: takes
// whole messages, together at most `bytes_max`, or one that is longer, and counts them as sent.
// NULL: no memory, and nothing was taken. Not when nothing waits to be sent.
struct cv_parcel *cv_rtmp_take(struct cv_rtmp *rtmp, size_t bytes_max);
// The same for an owner who has written chunks of a message stream by himself, with this chunk size
// and while nothing waited to be sent: they are counted.
void cv_rtmp_sent_beside(struct cv_rtmp *rtmp, size_t len);
uint32_t cv_rtmp_out_chunk_bytes(const struct cv_rtmp *rtmp);
// Nothing waits to be sent.
bool cv_rtmp_out_empty(const struct cv_rtmp *rtmp);
// Messages that wait to be sent, and the bytes of their payloads.
uint32_t cv_rtmp_out_count(const struct cv_rtmp *rtmp);
size_t cv_rtmp_out_bytes(const struct cv_rtmp *rtmp);

// Queues a message; the engine takes a reference of its own to the payload. 0, CV_E_QUEUE_FULL or
// CV_E_NOMEM. Before READY messages only wait, unless the engine is eager.
int cv_rtmp_send(struct cv_rtmp *rtmp, const struct cv_msg *msg, enum cv_csid csid);
// A control message of one number: types 1, 2, 3 and 5. A new chunk size holds for what follows it.
int cv_rtmp_send_control(struct cv_rtmp *rtmp, enum cv_msg_type type, uint32_t value);
// Set Peer Bandwidth (5.4.5), limit type dynamic.
int cv_rtmp_send_peer_bandwidth(struct cv_rtmp *rtmp, uint32_t window_bytes);
// User Control (6.2) with one number, or two for Set Buffer Length.
int cv_rtmp_send_user(struct cv_rtmp *rtmp, enum cv_user_event event, uint32_t id);
int cv_rtmp_send_buffer_ms(struct cv_rtmp *rtmp, uint32_t stream_id, uint32_t buffer_ms);

// A command in two steps: begin writes name and transaction id, the caller writes the values by
// cv_amf0_*, end queues it (and cleans up whatever happened). Sent as type 17 once amf3 is on.
struct cv_wr cv_rtmp_command_begin(const struct cv_rtmp *rtmp, const char *name,
                                   double transaction);
int cv_rtmp_command_end(struct cv_rtmp *rtmp, struct cv_wr *wr, uint32_t stream_id,
                        enum cv_csid csid);
// Both sides have agreed on objectEncoding 3: commands are sent as type 17 from now on.
void cv_rtmp_use_amf3(struct cv_rtmp *rtmp);

// Bytes received and sent so far, handshake included.
uint64_t cv_rtmp_bytes_in(const struct cv_rtmp *rtmp);
uint64_t cv_rtmp_bytes_out(const struct cv_rtmp *rtmp);

#endif
