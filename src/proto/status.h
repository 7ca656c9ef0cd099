// Status codes of NetConnection and NetStream (RTMP 1.0, 7.2; what FMS sends), in one table.
#ifndef CV_PROTO_STATUS_H
#define CV_PROTO_STATUS_H

#define CV_STATUS_TABLE(ROW)                                                                       \
    ROW(CONNECT_SUCCESS, "status", "NetConnection.Connect.Success")                                \
    ROW(CONNECT_REJECTED, "error", "NetConnection.Connect.Rejected")                               \
    ROW(CONNECT_INVALID_APP, "error", "NetConnection.Connect.InvalidApp")                          \
    ROW(CALL_FAILED, "error", "NetConnection.Call.Failed")                                         \
    ROW(PUBLISH_START, "status", "NetStream.Publish.Start")                                        \
    ROW(PUBLISH_BAD_NAME, "error", "NetStream.Publish.BadName")                                    \
    ROW(PUBLISH_DENIED, "error", "NetStream.Publish.Denied")                                       \
    ROW(UNPUBLISH_SUCCESS, "status", "NetStream.Unpublish.Success")                                \
    ROW(PLAY_RESET, "status", "NetStream.Play.Reset")                                              \
    ROW(PLAY_START, "status", "NetStream.Play.Start")                                              \
    ROW(PLAY_STOP, "status", "NetStream.Play.Stop")                                                \
    ROW(PLAY_NOT_FOUND, "error", "NetStream.Play.StreamNotFound")                                  \
    ROW(PLAY_FAILED, "error", "NetStream.Play.Failed")                                             \
    ROW(PLAY_PUBLISH_NOTIFY, "status", "NetStream.Play.PublishNotify")                             \
    ROW(PLAY_UNPUBLISH_NOTIFY, "status", "NetStream.Play.UnpublishNotify")                         \
    ROW(PAUSE_NOTIFY, "status", "NetStream.Pause.Notify")                                          \
    ROW(UNPAUSE_NOTIFY, "status", "NetStream.Unpause.Notify")                                      \
    ROW(SEEK_NOTIFY, "status", "NetStream.Seek.Notify")                                            \
    ROW(SEEK_FAILED, "error", "NetStream.Seek.Failed")                                             \
    ROW(STREAM_FAILED, "error", "NetStream.Failed")

enum cv_status {
#define ROW(name, level, code) CV_STATUS_##name,
    CV_STATUS_TABLE(ROW)
#undef ROW
        CV_STATUS_COUNT,
};

const char *cv_status_level(enum cv_status status); // "status" or "error"
const char *cv_status_code(enum cv_status status);  // "NetStream.Play.Start"

#endif
