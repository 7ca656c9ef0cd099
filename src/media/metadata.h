// Data messages of a publisher: stream metadata, or something to pass on (E-RTMP and FMS habits;
// "@setDataFrame" names what the server is to keep for later viewers).
#ifndef CV_MEDIA_METADATA_H
#define CV_MEDIA_METADATA_H

#include "base/block.h"

enum cv_data_kind {
    CV_DATA_PASS,     // forward as it is: cue points, captions, text
    CV_DATA_METADATA, // keep for later viewers and forward
    CV_DATA_CLEAR,    // "@clearDataFrame": forget what is kept
};

// What the data message (AMF0) is. *out_offset is where the part for viewers starts: behind
// "@setDataFrame" if that is there and something follows it, else 0. Only "onMetaData" is metadata,
// and only that, or nothing at all, is cleared. Unreadable messages are CV_DATA_PASS.
enum cv_data_kind cv_data_classify(const struct cv_block *payload, size_t *out_offset);

#endif
