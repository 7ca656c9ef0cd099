// What a client plays, on its way into a log of its own.
//
// A log needs to be told where a new line of time begins. A server tells nobody: after a cut that
// could not be resumed it sends the headers again, and when a publisher has begun anew some servers
// simply let its times through. Both are found out here.
#ifndef CV_MEDIA_INTAKE_H
#define CV_MEDIA_INTAKE_H

#include "media/streamlog.h"

struct cv_intake {
    struct cv_stream_log *log; // borrowed
    bool resumed;              // the next message tells how
    bool timed[2];             // audio, video: last_ms is known
    uint32_t last_ms[2];       // as it came
};

struct cv_intake cv_intake_new(struct cv_stream_log *log);
// The connection was cut and goes on, exactly where it was or not.
void cv_intake_resumed(struct cv_intake *intake);
// Appends a message; "|RtmpSampleAccess", which is for Flash alone, is left out. 1: it was taken.
// 0: it was left out. CV_E_NOMEM.
int cv_intake_put(struct cv_intake *intake, const struct cv_msg *msg);

#endif
