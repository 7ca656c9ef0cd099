// The one table of settings: X(name, kind, min, max, default, description).
//
// `name` is both the key in YAML and the member of the C struct. Kinds (config_value.h): UINT and
// THREADS have a range; BOOL, ACCESS, LEVEL and USE choose a word, min and max bound the choice.
// The schema, the checks, the defaults and the printed form are all made from here.
#ifndef CV_SERVER_CONFIG_TABLE_H
#define CV_SERVER_CONFIG_TABLE_H

#define CV_CONFIG_TOP(X)                                                                           \
    X(threads, THREADS, 0, CV_LIMIT_THREADS, 0, "event loops; auto is one per core")               \
    X(log_level, LEVEL, CV_LOG_DEBUG, CV_LOG_ERROR, CV_LOG_INFO, "the least level of log lines")   \
    X(latency_ms, UINT, 0, 1000, CV_LATENCY_MS,                                                    \
      "how long media may wait under load to fill a send call; 0: pictures never wait")            \
    X(io_uring, USE, CV_USE_AUTO, CV_USE_ON, CV_USE_AUTO,                                          \
      "one system call for the viewers of a stream, where the kernel has io_uring; auto: for "     \
      "many")                                                                                      \
    X(open_publish, BOOL, 0, 1, 0, "publish without a key, in every app; for trials only")

#define CV_CONFIG_LIMITS(X)                                                                        \
    X(connections_max, UINT, 1, 1000000, CV_CONNECTIONS_MAX, "connections in all")                 \
    X(connections_per_address_max, UINT, 1, 1000000, CV_CONNECTIONS_PER_ADDRESS,                   \
      "connections from one address")                                                              \
    X(media_message_bytes_max, UINT, 65536, 64 * 1024 * 1024, CV_LIMIT_MEDIA_BYTES,                \
      "one audio or video message")                                                                \
    X(chunk_bytes_out, UINT, 128, CV_LIMIT_CHUNK_BYTES, CV_CHUNK_BYTES_OUT,                        \
      "chunk size that the server sends with")                                                     \
    X(handshake_s, UINT, 1, 300, CV_HANDSHAKE_S, "time for an RTMP or TLS handshake")              \
    X(idle_s, UINT, 5, 86400, CV_IDLE_S,                                                           \
      "a publisher, or a connection without a stream, may be silent so long")                      \
    X(write_stall_s, UINT, 1, 3600, CV_WRITE_STALL_S, "a viewer may take nothing so long")         \
    X(tunnel_window_ms, UINT, 0, 5000, CV_TUNNEL_WINDOW_MS,                                        \
      "how long one reply may last that streams to an RTMPT player; 0: no such replies")           \
    X(site_answer_s, UINT, 1, 3600, CV_SITE_ANSWER_S, "the site must begin to answer within")      \
    X(site_connections_max, UINT, 1, 100000, CV_SITE_CONNECTIONS_MAX,                              \
      "connections to the site, of each thread")

#define CV_CONFIG_TLS(X)                                                                           \
    X(self_signed, BOOL, 0, 1, 0, "a certificate of our own making; for trials only")              \
    X(watch_s, UINT, 0, 86400, CV_TLS_WATCH_S,                                                     \
      "renewed files are looked for so often; 0 is only at a reload")

#define CV_CONFIG_APP(X)                                                                           \
    X(publish, ACCESS, CV_ACCESS_KEY, CV_ACCESS_OFF, CV_ACCESS_KEY,                                \
      "who may publish; keys are made with `culvert key add`")                                     \
    X(play, ACCESS, CV_ACCESS_OPEN, CV_ACCESS_OFF, CV_ACCESS_OPEN, "who may play")                 \
    X(grace_s, UINT, 0, 3600, CV_GRACE_S, "a stream waits so long for its publisher's return")     \
    X(play_wait_s, UINT, 0, 3600, CV_PLAY_WAIT_S, "a viewer waits so long for a publisher")        \
    X(takeover, BOOL, 0, 1, 0, "a second publisher of a stream replaces the first")                \
    X(gop_cache, BOOL, 0, 1, 1, "viewers start at the latest key frame, not at the next")          \
    X(streams_max, UINT, 1, 100000, CV_STREAMS_MAX, "live streams")                                \
    X(viewers_max, UINT, 0, 1000000, 0, "viewers in the app; 0 is no limit")                       \
    X(stream_viewers_max, UINT, 0, 1000000, 0, "viewers of one stream; 0 is no limit")             \
    X(log_bytes_max, UINT, 1024 * 1024, 1024 * 1024 * 1024, CV_LOG_BYTES_MAX,                      \
      "how much of a stream is kept for slow viewers, in bytes")                                   \
    X(log_s_max, UINT, 1, 600, CV_LOG_MS_MAX / 1000, "the same in seconds")

#endif
