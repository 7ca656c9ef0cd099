// Made-up media for the tests of the stream log and what reads it: short messages that carry their
// own number.
#ifndef CV_TEST_MEDIA_KIT_H
#define CV_TEST_MEDIA_KIT_H

#include "media/cursor.h"
#include "media/streamlog.h"

// Limits that nothing below reaches by accident: 1 MB, 10 s, 30 s, GOP cache on.
extern const struct cv_log_limits roomy;

// Appends a message made of hex; returns what cv_stream_log_append returned.
int put_hex(struct cv_stream_log *log, uint8_t type, uint32_t ts_ms, const char *hex);
// Legacy H.264 and AAC. `number` is the body of a frame, or the version of a header.
void put_key(struct cv_stream_log *log, uint32_t ts_ms, unsigned number);
void put_inter(struct cv_stream_log *log, uint32_t ts_ms, unsigned number);
void put_audio(struct cv_stream_log *log, uint32_t ts_ms, unsigned number);
void put_video_header(struct cv_stream_log *log, uint32_t ts_ms, unsigned version);
void put_audio_header(struct cv_stream_log *log, uint32_t ts_ms, unsigned version);
// "@setDataFrame", "onMetaData", and one byte in the place of the object.
void put_metadata(struct cv_stream_log *log, uint32_t ts_ms, unsigned version);
// A message of this size: 0x17 0x01 ... for video.
void put_sized(struct cv_stream_log *log, uint8_t type, bool key, uint32_t ts_ms, size_t len);

// Reads one message and checks it, written like "K7@1000": kind, number, time.
//   K key frame, i inter frame, a audio frame, V video header, A audio header, M metadata
// other messages: "<type>:<hex>@<ts>". "-" is nothing new. Several are separated by spaces.
void expect(struct cv_cursor *cursor, const struct cv_stream_log *log, const char *wanted);
// Throws away what there is to read; how many messages it was.
unsigned read_all(struct cv_cursor *cursor, const struct cv_stream_log *log);
// What the log promises at any time.
void check_log(const struct cv_stream_log *log);

#endif
