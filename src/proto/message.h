// An RTMP message and the numbers that go with it (RTMP 1.0, sections 5.4, 6 and 7.1).
#ifndef CV_PROTO_MESSAGE_H
#define CV_PROTO_MESSAGE_H

#include "base/block.h"

#include <stdbool.h>
#include <stdint.h>

enum cv_msg_type {
    CV_MSG_SET_CHUNK_SIZE = 1,
    CV_MSG_ABORT = 2,
    CV_MSG_ACK = 3,
    CV_MSG_USER_CONTROL = 4,
    CV_MSG_WINDOW_ACK_SIZE = 5,
    CV_MSG_PEER_BANDWIDTH = 6,
    CV_MSG_AUDIO = 8,
    CV_MSG_VIDEO = 9,
    CV_MSG_DATA_AMF3 = 15,
    CV_MSG_SHARED_OBJECT_AMF3 = 16,
    CV_MSG_COMMAND_AMF3 = 17,
    CV_MSG_DATA_AMF0 = 18,
    CV_MSG_SHARED_OBJECT_AMF0 = 19,
    CV_MSG_COMMAND_AMF0 = 20,
    CV_MSG_AGGREGATE = 22,
};

// Chunk streams we send on. All below 32, which nginx-rtmp needs, one per kind, so that audio and
// commands can pass between the chunks of a large video frame.
enum cv_csid {
    CV_CSID_CONTROL = 2,
    CV_CSID_COMMAND = 3,
    CV_CSID_STATUS = 5, // onStatus, data messages
    CV_CSID_VIDEO = 6,
    CV_CSID_AUDIO = 7,
    CV_CSID_STREAM = 8, // publish, play
};

enum cv_user_event {
    CV_USER_STREAM_BEGIN = 0,
    CV_USER_STREAM_EOF = 1,
    CV_USER_STREAM_DRY = 2,
    CV_USER_SET_BUFFER = 3,
    CV_USER_STREAM_RECORDED = 4,
    CV_USER_PING_REQUEST = 6,
    CV_USER_PING_RESPONSE = 7,
};

// A message by reference. Whoever holds the struct says whether it owns the payload's reference.
struct cv_msg {
    uint8_t type;             // enum cv_msg_type, or any other byte the peer sent
    uint32_t ts_ms;           // modulo 2^32
    uint32_t stream_id;       // message stream id; 0 is the connection itself
    struct cv_block *payload; // never NULL in a complete message; may be empty
};

// On which one a message of a stream is sent.
static inline enum cv_csid cv_msg_csid(uint8_t type)
{
    return type == CV_MSG_AUDIO   ? CV_CSID_AUDIO
           : type == CV_MSG_VIDEO ? CV_CSID_VIDEO
                                  : CV_CSID_STATUS;
}

// Types 1-6: about the chunk stream or the connection, on message stream 0.
static inline bool cv_msg_is_control(uint8_t type)
{
    return type >= CV_MSG_SET_CHUNK_SIZE && type <= CV_MSG_PEER_BANDWIDTH;
}

// The most bytes a message of this type may have (base/limits.h). media_max: the configured cap.
uint32_t cv_msg_limit(uint8_t type, uint32_t media_max);

#endif
