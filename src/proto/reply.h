// What a server answers: the replies of NetConnection and NetStream, queued on the engine.
//
// All return 0, CV_E_QUEUE_FULL or CV_E_NOMEM. Results and errors are not sent for a transaction id
// of 0: such commands want no reply (GStreamer sends several). A description that is empty or NULL
// becomes the status code: FFmpeg ignores errors without one.
#ifndef CV_PROTO_REPLY_H
#define CV_PROTO_REPLY_H

#include "proto/connect.h"
#include "proto/rtmp.h"
#include "proto/status.h"

// Accepts a connect: windows, chunk size (before the result: several clients depend on it), Stream
// Begin 0, _result. Answers with the object encoding that was asked for, whatever the transaction
// id: no client can go on without it.
int cv_reply_connect(struct cv_rtmp *rtmp, double transaction, const struct cv_connect *connect,
                     uint32_t chunk_bytes);
// _error with a status object.
int cv_reply_error(struct cv_rtmp *rtmp, double transaction, enum cv_status status,
                   const char *description);
// _result null, and undefined or a number behind it.
int cv_reply_result(struct cv_rtmp *rtmp, double transaction);
int cv_reply_result_number(struct cv_rtmp *rtmp, double transaction, double value);
// onStatus on a message stream: type 20, transaction 0, null, object; FFmpeg needs exactly that.
int cv_reply_status(struct cv_rtmp *rtmp, uint32_t stream_id, enum cv_status status,
                    const char *description);
// NetStream.Publish.Start of a server that can resume: resume, the token, and taken besides.
int cv_reply_publish_start(struct cv_rtmp *rtmp, uint32_t stream_id, const char *token,
                           uint64_t taken);
// onTaken null, number: how many messages of this publishing the stream has.
int cv_reply_taken(struct cv_rtmp *rtmp, uint32_t stream_id, uint64_t taken);
// onPosition null, epoch, number: the message that follows has this number, and each further one
// the next. An empty epoch: they have none, until the next onPosition.
int cv_reply_position(struct cv_rtmp *rtmp, uint32_t stream_id, const char *epoch, uint64_t number);
// onFCPublish, onFCUnpublish, onFCSubscribe: old encoders wait for them.
int cv_reply_fc(struct cv_rtmp *rtmp, const char *name, enum cv_status status,
                const char *description);
// |RtmpSampleAccess true true, before media.
int cv_reply_sample_access(struct cv_rtmp *rtmp, uint32_t stream_id);

#endif
