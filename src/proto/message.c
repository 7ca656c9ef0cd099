#include "proto/message.h"

#include "base/limits.h"

uint32_t cv_msg_limit(uint8_t type, uint32_t media_max)
{
    switch (type) {
    case CV_MSG_SET_CHUNK_SIZE:
    case CV_MSG_ABORT:
    case CV_MSG_ACK:
    case CV_MSG_USER_CONTROL:
    case CV_MSG_WINDOW_ACK_SIZE:
    case CV_MSG_PEER_BANDWIDTH:
        return CV_LIMIT_CONTROL_BYTES;
    case CV_MSG_AUDIO:
    case CV_MSG_VIDEO:
    case CV_MSG_AGGREGATE:
        return media_max;
    case CV_MSG_SHARED_OBJECT_AMF0:
    case CV_MSG_SHARED_OBJECT_AMF3:
        return CV_LIMIT_SHARED_OBJECT_BYTES;
    default:
        return CV_LIMIT_COMMAND_BYTES;
    }
}
