// What an RTMP client is told about its publisher (RTMP 1.0, 7.2.2.6: onStatus).
#ifndef CV_SERVER_PUBLISH_STATUS_H
#define CV_SERVER_PUBLISH_STATUS_H

#include "server/publisher.h"

// Of publishers that belong to a session; the argument is their struct cv_net_stream.
extern const struct cv_publisher_owner cv_session_publishes;

#endif
