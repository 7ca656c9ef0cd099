// Aggregate message (type 22, RTMP 1.0 section 7.1.6): several messages in one, as FLV tags.
//
// The RTMP text draws another layout of the time; every sender and reader uses FLV's. Read, so that
// old servers can be pulled from; never sent by Culvert.
#ifndef CV_PROTO_AGGREGATE_H
#define CV_PROTO_AGGREGATE_H

#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

// One walk over an aggregate. The payload stays the caller's and must outlive the walk.
struct cv_aggregate {
    struct cv_rd rd;
    uint32_t ts_ms;    // of the aggregate
    uint32_t first_ms; // of the first message inside
    uint32_t count;    // messages read so far
    struct cv_why why;
};

// One message inside. Its message stream id is the aggregate's, whatever is written inside.
struct cv_aggregate_item {
    uint8_t type;        // CV_MSG_AUDIO, VIDEO, DATA_AMF0 or DATA_AMF3
    uint32_t ts_ms;      // modulo 2^32
    const uint8_t *data; // borrowed from the aggregate's payload
    uint32_t len;
};

struct cv_aggregate cv_aggregate_over(uint32_t ts_ms, const void *data, size_t len);
// 1: *out is the next message. 0: that was all. Negative, for good, with walk->why filled:
// CV_E_TRUNCATED, SYNTAX (a type that does not belong here, such as another aggregate), TOO_LONG or
// TOO_MANY; messages that came before are good.
int cv_aggregate_next(struct cv_aggregate *walk, struct cv_aggregate_item *out);

// Appends a message to an aggregate's payload (for tests). Errors stick in the cursor.
void cv_aggregate_add(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, const void *data,
                      uint32_t len);

#endif
