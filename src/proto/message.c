#include "proto/message.h"

#include "base/limits.h"

uint32_t cv_msg_limit(uint8_t type, uint32_t media_max)
{
    if (cv_msg_is_control(type))
        return CV_LIMIT_CONTROL_BYTES;
    switch (type) {
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
