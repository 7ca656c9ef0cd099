// Every cap in one place: name, default, unit, reason. What is marked [config] can be set.
#ifndef CV_BASE_LIMITS_H
#define CV_BASE_LIMITS_H

enum {
    // ---- one RTMP message, by type: memory follows bytes received, this is where it ends
    CV_LIMIT_CONTROL_BYTES = 32,                // types 1-6: the longest real one has 10
    CV_LIMIT_COMMAND_BYTES = 256 * 1024,        // commands and data: metadata with key frame lists
    CV_LIMIT_MEDIA_BYTES = 8 * 1024 * 1024,     // one video frame: 8K intra frames fit [config]
    CV_LIMIT_SHARED_OBJECT_BYTES = 1024 * 1024, // one shared-object message

    // ---- chunk stream
    CV_LIMIT_CHUNK_STREAMS = 64,     // open chunk streams per connection: real clients use 8
    CV_CHUNK_BYTES_INITIAL = 128,    // both directions, until Set Chunk Size (spec 5.4.1)
    CV_LIMIT_CHUNK_BYTES = 0xffffff, // larger sizes mean "whole message"
    CV_CHUNK_BYTES_OUT = 65536,      // what we announce: few headers, few vectors [config]

    // ---- AMF
    CV_LIMIT_AMF_DEPTH = 16,    // nesting; the deepest real message has 5
    CV_LIMIT_AMF_NODES = 10000, // values per message

    // ---- media message headers (E-RTMP)
    CV_LIMIT_MESSAGE_TRACKS = 16, // tracks in one multitrack message: encoders send 1
    CV_LIMIT_MODEX = 8,           // extensions before one message: 1 kind is defined
    CV_LIMIT_VIDEO_SIDE = 32768,  // pixels of width or height that we believe

    // ---- FLV and aggregate messages
    CV_LIMIT_FLV_HEADER_BYTES = 1024,   // file header: always 9, the field says how long
    CV_LIMIT_AGGREGATE_MESSAGES = 4096, // messages in one aggregate: servers make some 64 KB

    // ---- windows
    CV_WINDOW_BYTES = 2500000,       // Window Acknowledgement Size and Peer Bandwidth we send
    CV_WINDOW_BYTES_MIN = 64 * 1024, // smaller windows of a peer would make an Ack storm

    // ---- one connection
    CV_LIMIT_NET_STREAMS = 8,              // message streams per connection: players use 1 or 2
    CV_LIMIT_OUT_MESSAGES = 1024,          // commands and media waiting in one connection's engine
    CV_LIMIT_OUT_BYTES = 16 * 1024 * 1024, // the same in bytes: two largest frames
    CV_LIMIT_COMMANDS_PER_S = 200,         // more is an attack or a loop

    // ---- names
    CV_LIMIT_APP_BYTES = 512,  // app with its query, as in connect
    CV_LIMIT_NAME_BYTES = 512, // stream name with its query, as in publish and play
    CV_LIMIT_URL_BYTES = 2048, // tcUrl and command-line URLs
    CV_LIMIT_PATH_BYTES = 256, // joined and decoded resource path

    // ---- stream log
    CV_LIMIT_TRACKS = 16,                // (kind, track) pairs whose codec headers are kept
    CV_LIMIT_HEADER_BYTES = 64 * 1024,   // one codec header; larger is forwarded but not kept
    CV_LOG_BYTES_MAX = 32 * 1024 * 1024, // log of one stream [config]
    CV_LOG_MS_MAX = 20000,               // the same in stream time [config]
    CV_LOG_MESSAGES_MAX = 16384,         // the same in messages
};

#endif
