// The connect command's object (RTMP 1.0, 7.2.1.1; Enhanced RTMP v2, "Enhancing NetConnection").
#ifndef CV_PROTO_CONNECT_H
#define CV_PROTO_CONNECT_H

#include "proto/rtmp.h"

// Texts are lent from the event. What a client left out is empty, false or 0.
struct cv_connect {
    struct cv_text app; // may carry "?query"
    struct cv_text tc_url;
    struct cv_text flash_ver;
    struct cv_text page_url;
    bool publisher;   // type "nonprivate": what encoders say
    bool amf3;        // objectEncoding 3
    bool enhanced;    // names codecs of Enhanced RTMP
    uint32_t caps_ex; // 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offsets
};

// Reads the object of a connect command; an ECMA array will do. 0, or CV_E_COMMAND when there is
// none or its texts are longer than the limits.
int cv_connect_parse(const struct cv_rtmp_event *event, struct cv_connect *out);

#endif
