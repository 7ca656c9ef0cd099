// Every cap in one place: name, default, unit, reason. What is marked [config] can be set.
#ifndef CV_BASE_LIMITS_H
#define CV_BASE_LIMITS_H

enum {
    // ---- one RTMP message, by type: memory follows bytes received, this is where it ends
    CV_LIMIT_CONTROL_BYTES = 32,                // types 1-6: the longest real one has 10
    CV_LIMIT_COMMAND_BYTES = 256 * 1024,        // commands and data: metadata with key frame lists
    CV_LIMIT_MEDIA_BYTES = 8 * 1024 * 1024,     // one video frame: 8K intra frames fit [config]
    CV_LIMIT_SHARED_OBJECT_BYTES = 1024 * 1024, // one shared-object message
    CV_LIMIT_PARTIAL_FACTOR = 2, // all unfinished messages of a connection: so many largest ones

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

    // ---- HTTP/1
    CV_LIMIT_HTTP_HEAD_BYTES = 16 * 1024,   // start line and fields of one message: 431
    CV_LIMIT_HTTP_TARGET_BYTES = 8 * 1024,  // request target: 414
    CV_LIMIT_HTTP_FIELDS = 100,             // header lines of one message: browsers send 20
    CV_LIMIT_HTTP_BLANK_LINES = 4,          // before a message: old clients send one behind a POST
    CV_LIMIT_HTTP_CHUNK_EXT_BYTES = 256,    // extensions of one chunk: nobody sends any
    CV_LIMIT_HTTP_TRAILER_BYTES = 4 * 1024, // behind a chunked body; read and dropped
    CV_LIMIT_HTTP_DISCARD_BYTES =
        64 * 1024,             // a body that nobody wants is read away up to here: 413
    CV_LIMIT_HTTP_INTERIM = 8, // 1xx responses before the final one
    CV_HTTP_KEEP_MORE_S = 15,  // between requests, beyond idle_s: proxies should close first
    CV_HTTP_BODY_BYTES_MAX = 8 * 1024 * 1024, // one body, unless the owner knows better: 413
    // ---- one port: what a connection begins with
    CV_LIMIT_METHOD_BYTES = 24,           // HTTP method: the longest registered one has 17
    CV_LIMIT_PROXY_HEADER_BYTES = 4096,   // PROXY protocol v2 with its TLVs: certificates may be in
    CV_LIMIT_PROXY_HEADER_V1_BYTES = 107, // the specification's own limit, with CRLF
    CV_LIMIT_FORWARDED_HOPS = 32,         // entries of X-Forwarded-For that are looked at

    // ---- windows
    CV_WINDOW_BYTES = 2500000,       // Window Acknowledgement Size and Peer Bandwidth we send
    CV_WINDOW_BYTES_MIN = 64 * 1024, // smaller windows of a peer would make an Ack storm

    CV_ACK_EVERY_BYTES = 1024 * 1024, // we acknowledge at least this often
    CV_LIMIT_UNREAD_REPLIES =
        256, // answers to pings and Acks that wait for a peer that reads nothing

    // ---- one flush
    CV_MANY_VIEWERS = 256, // of a stream on a thread: from here on sending is worth waiting for
    CV_AUDIO_RIDE_US = 18 * 1000, // audio to many may wait so long for the next picture

    // ---- one connection
    CV_LIMIT_NET_STREAMS = 8,              // message streams per connection: players use 1 or 2
    CV_LIMIT_OUT_MESSAGES = 1024,          // commands and media waiting in one connection's engine
    CV_LIMIT_OUT_BYTES = 16 * 1024 * 1024, // the same in bytes: two largest frames
    CV_LIMIT_COMMANDS_PER_S = 200,         // more is an attack or a loop

    // ---- tunnel (RTMPT)
    CV_LIMIT_TUNNEL_REQUESTS = 32,            // unserved ones of a session: browsers send 6 at once
    CV_LIMIT_TUNNEL_PARK_BYTES = 1024 * 1024, // bodies that came too early, of a session
    CV_LIMIT_TUNNEL_RUNS = 64,                // changes of connection among unmade replies
    CV_TUNNEL_REPLY_BYTES = 1024 * 1024,      // one reply; also what is kept for a replay
    CV_LIMIT_TUNNEL_KEPT = 15,                // replies before the last one: half of the requests
    CV_TUNNEL_KEPT_BYTES = 1024 * 1024,       // the same in bytes
    CV_TUNNEL_PARK_MS = 5000,                 // a request that is missing comes within this time
    CV_TUNNEL_HOLD_MS = 2000,                 // idle requests; RootEncoder gives up after 5 s
    CV_TUNNEL_SETUP_HOLD_MS = 100,            // before play: clients want to go on with commands
    CV_TUNNEL_SILENCE_S = 20,                 // a session without a request ends
    CV_TUNNEL_OPEN_S = 20,                    // from /open to the first request
    CV_TUNNEL_WINDOW_MS = 1000, // a chunked reply; a proxy may hold it that long [config]
    CV_TUNNEL_WINDOW_BYTES = 2 * 1024 * 1024, // it ends with so many: they may be kept for a replay
    CV_LIMIT_TUNNEL_OPEN_BYTES = 64 * 1024,   // body of /open: a handshake, and what goes with it

    // ---- the site's own web server
    CV_LIMIT_SITE_IDLE = 32,      // connections kept for the next request, of one thread
    CV_LIMIT_SITE_WAITING = 1024, // requests that wait for a connection, of one thread: 503
    CV_SITE_IDLE_S = 30,          // such a connection is kept; servers keep theirs for 60 to 75 s
    CV_SITE_CONNECT_S = 5,        // to each of its addresses
    CV_SITE_LOOKUP_S = 30,        // its name is looked up again
    CV_SITE_SILENCE_S = 3600,     // within an answer: event streams may be quiet for long
    CV_SPLICE_SILENCE_S = 3600,   // both sides of a spliced connection

    // ---- names
    CV_LIMIT_APP_BYTES = 512,  // app with its query, as in connect
    CV_LIMIT_NAME_BYTES = 512, // stream name with its query, as in publish and play
    CV_LIMIT_URL_BYTES = 2048, // tcUrl and command-line URLs
    CV_LIMIT_HOST_BYTES = 253, // host name in a URL: the longest that DNS has (RFC 1035)
    CV_LIMIT_PATH_BYTES = 256, // joined and decoded resource path

    // ---- a site that is a folder
    CV_LIMIT_SITE_NAME_BYTES = 255,        // one element of a path: NAME_MAX of the system
    CV_LIMIT_SITE_PATH_BYTES = 1024,       // the whole path below the folder, decoded
    CV_LIMIT_FILE_JOBS = 4,                // of one loop on the helper threads, which are 4 for all
    CV_FILE_BLOCK_BYTES = 128 * 1024,      // one read; a client has two of them at most
    CV_FILE_SMALL_BLOCK_BYTES = 16 * 1024, // one read, and one for a client, where many
    CV_FILE_LARGE_BLOCKS_BYTES = 64 * 1024 * 1024, // slow ones already hold so much, of one thread

    // ---- certificates from an authority (RFC 8555)
    CV_LIMIT_ACME_TOKEN_BYTES = 128,   // in use: 43
    CV_LIMIT_ACME_ANSWER_BYTES = 1024, // token, a dot, 43 characters, perhaps a line's end
    CV_LIMIT_ACME_LINES = 1000,        // of the client's output in the log, for one run
    CV_ACME_RUN_S = 15 * 60,           // one run of the client, for all names
    CV_ACME_LOOK_S = 24 * 3600,        // the certificate is looked at so often at least
    CV_ACME_JITTER_S = 6 * 3600,       // by so much a renewal may be later
    CV_ACME_WAIT_S = 5 * 60,           // behind a failure; doubles: Let's Encrypt takes 5 an hour
    CV_ACME_WAIT_MAX_S = 24 * 3600,    //
    CV_ACME_LIMITED_S = 6 * 3600,      // at least, where the authority has had enough

    // ---- stream log
    CV_LIMIT_TRACKS = 16,                // (kind, track) pairs whose codec headers are kept
    CV_LIMIT_HEADER_BYTES = 64 * 1024,   // one codec header; larger is forwarded but not kept
    CV_LOG_BYTES_MAX = 32 * 1024 * 1024, // log of one stream [config]
    CV_LOG_MS_MAX = 10000,               // a viewer may be so far behind, in stream time [config]
    CV_LOG_GOP_MS_MAX = 30000,   // a group of pictures is kept for joiners up to this length
    CV_LOG_MESSAGES_MAX = 16384, // the same in messages

    // ---- the machine
    CV_LISTEN_BACKLOG = 4096,   // connections waiting to be accepted; the system may cut it
    CV_ACCEPT_BATCH = 64,       // connections taken per turn and listener: others want their turn
    CV_ACCEPT_PAUSE_MS = 100,   // rest of a listener that is out of descriptors
    CV_LIMIT_MAIL = 1024,       // messages under way from one thread to another; a power of two
    CV_LIMIT_POST_THREADS = 65, // of one post office: the workers and the main thread
    CV_LIMIT_ADDRESSES = 16,    // of one name

    // ---- TLS
    CV_TLS_ROOM_IN_BYTES = 64 * 1024,   // received at once; per thread
    CV_TLS_ROOM_OUT_BYTES = 128 * 1024, // sent at once; per thread
    CV_LIMIT_TLS_UNSENT_BYTES =
        CV_TLS_ROOM_OUT_BYTES + 4096, // of one connection: one send, and answers to the peer
    CV_LIMIT_TLS_SESSIONS = 8,        // hosts whose session a client keeps to resume it
    CV_LIMIT_TLS_KEY_UPDATES = 32,    // by the peer, with nothing between them
    CV_LIMIT_PEM_BYTES = 1024 * 1024, // one file of certificates or a key: real ones have 10 KB
    CV_TLS_TICKET_S =
        4 * 3600,          // a ticket is taken for so long; its key is used for new ones as long
    CV_TLS_WATCH_S = 60,   // renewed files are noticed within [config]
    CV_TLS_WARN_DAYS = 14, // before a certificate expires
    CV_TLS_FAILURE_TOLD_S = 60, // between two failed handshakes that a thread tells of
    CV_SELF_SIGNED_DAYS = 800,  // such a certificate is valid: some clients take no more than 825

    // ---- server: what an administrator may set, with what it is when nothing is set [config]
    CV_PORT_HTTP = 80,                 // default listening ports
    CV_PORT_RTMP = 1935,               //
    CV_PORT_HTTPS = 443,               // the same, where there is a certificate
    CV_PORT_HTTP_UNPRIVILEGED = 8080,  // in place of 80 where that is refused
    CV_PORT_HTTPS_UNPRIVILEGED = 8443, // in place of 443
    CV_LATENCY_MS = 20,                // flush window: fills the send calls under load
    CV_CONNECTIONS_MAX = 20000,        // one process; file descriptors are the hard bound
    CV_CONNECTIONS_PER_ADDRESS = 1000, // an office behind one address fits, a flood does not
    CV_HANDSHAKE_S = 10,               // RTMP or TLS handshake, from the first byte
    CV_IDLE_S = 60,                    // a publisher or a connection without a stream sends nothing
    CV_WRITE_STALL_S = 30,             // a viewer takes nothing
    CV_GRACE_S = 15,                   // a stream outlives its publisher
    CV_PLAY_WAIT_S = 10,               // play waits for a publisher to come
    CV_STREAMS_MAX = 1000,             // live streams per app
    CV_SITE_ANSWER_S = 60,             // the site begins to answer
    CV_SITE_CONNECTIONS_MAX = 1000,    // to the site, of one thread: long polls hold theirs

    // ---- a publisher that comes back while its old connection still holds the name
    CV_GHOST_SILENCE_MS =
        1000,                // heard nothing for so long: a ghost; encoders send 20 times a second
    CV_GHOST_WAIT_MS = 2000, // for that silence: what a cut line still held comes late, in a burst

    // ---- client
    CV_LIMIT_CLIENT_CALLS = 64, // calls without their answers
    CV_LIMIT_EPOCH_BYTES = 64, // name of a stream's numbering; what a server of ours sends is short
    CV_RESUME_TOKEN_CHARS = 32, // 128 random bits in hex
    CV_CLIENT_START_S = 20,     // from TCP connect to media: longer than a server's CV_PLAY_WAIT_S
    CV_DIAL_STAGGER_MS = 100,   // before the next address is tried beside (RFC 8305, section 5)
    CV_CONNECTION_KEEP_BYTES = 32 * 1024 * 1024, // published, not known to have arrived
    CV_CONNECTION_RETURN_S = 60,                 // after a cut it tries so long to come back
    CV_CONNECTION_DISTRUST_S = 120, // and so long while certificates are met that are not accepted
    CV_CONNECTION_SILENCE_MS = 750, // media is due and nothing comes: ask for a sign of life
    CV_CONNECTION_PULSE_MS = 1000,  // for that sign; then another way is opened beside

    // ---- command line: publish and play
    CV_PACE_AHEAD_FILE_MS = 200,  // of the clock: hides that timers are late
    CV_PACE_AHEAD_PIPE_MS = 1000, // an encoder's clock may be so much faster, its start so uneven
    CV_PACE_BACK_MS = 1000,       // a track that goes back by more has begun again
    CV_PACE_GAP_MS = 10000,       // a longer hole is closed: nobody waits for it
    CV_PACE_STEP_MS = 40,        // from the last frame to the first one behind a seam, unless known
    CV_READER_BYTES = 64 * 1024, // one read of a file or pipe
    CV_PLAY_BEHIND_MS = 30000,   // a reader of our output may be so far behind, then it skips

    // ---- relay: programs on this machine
    CV_LIMIT_LOCALS = 64,         // connections
    CV_LOCAL_ASK_S = 20,          // from a connection to its publish or play
    CV_LOCAL_FINISH_S = 2,        // for last words to be read
    CV_LOCAL_OUT_BYTES = 1 << 20, // taken out of the log for a player at a time
    CV_RELAY_ANSWER_MS = 1500,    // an encoder waits so long for the far server's word, if need be
    CV_LIMIT_RELAY_STREAMS = 2 * 64, // at the far server, with those that say goodbye
    CV_RELAY_GOODBYE_S = 5,          // behind the last message, while nothing more of them is taken
    CV_RELAY_STOP_S = 3,             // for all goodbyes, when the relay ends
    CV_RELAY_RETURN_S = 7 * 24 * 3600, // the far server may be away so long

    // ---- client's end of a tunnel
    CV_TUNNEL_DEPTH = 8,                  // sends without their replies, where that works
    CV_LIMIT_TUNNEL_FLIGHT = 16,          // the same, and idles: half of what a server parks
    CV_TUNNEL_SEND_BYTES = 256 * 1024,    // body of one send: 10 Mb/s, one by one, at 200 ms
    CV_TUNNEL_FLIGHT_BYTES = 1024 * 1024, // bodies without their replies; kept to be sent again
    CV_TUNNEL_FLUSH_BYTES = 16 * 1024,    // so much waits no longer: heads are 1 % of it
    CV_TUNNEL_COALESCE_MIN_MS = 20,       // media waits for more of it, within these
    CV_TUNNEL_COALESCE_MAX_MS = 50,       //
    CV_TUNNEL_WINDOW_MIN_MS = 250, // the first chunked replies: what passes them on at their end is
                                   // late by so much, twice
    CV_TUNNEL_STREAM_MS = 500,     // a send that stays open: below CV_CONNECTION_SILENCE_MS
    CV_TUNNEL_STREAM_AFTER = 16,   // sends before the first one that stays open
    CV_TUNNEL_IDLE_GAP_MS = 100,   // between idles of servers that do not hold them
    CV_TUNNEL_KEEPALIVE_MS = 1000, // a publisher is heard at least so often
    CV_TUNNEL_TAKEN_MS = 300,      // behind its last send: by then a server of ours has counted it
    CV_TUNNEL_REPLY_S = 15,        // nothing comes: the connection counts as lost
    CV_TUNNEL_PROBE_MS = 2000,     // the same while pipelining is tried
    CV_TUNNEL_LEG_MS = 10000,      // from TCP to up of its later connections: CONNECT, TLS
    CV_TUNNEL_RETRY_MS = 250,      // before a connection is tried again
    CV_LIMIT_TUNNEL_CONNECTS = 3,  // failed ones in a row
    CV_TUNNEL_GOODBYE_MS = 2000,   // for the last sends and /close
    CV_LIMIT_TUNNEL_EARLY_BYTES = 1024 * 1024, // replies that came before their turn
    CV_LIMIT_TUNNEL_ID_BYTES = 63,             // a session's id: FFmpeg's buffer
    CV_LIMIT_TUNNEL_HEAD_BYTES = 2048,         // head of a request: host, user agent, credentials
    CV_TUNNEL_ANSWER_BYTES = 512,              // of a body that is no tunnel's: to know a portal

    // ---- server: fixed caps
    CV_LIMIT_THREADS = 64,
    CV_LIMIT_LISTEN = 16,                                    // listening addresses
    CV_LIMIT_CERTIFICATES = 64,                              // in one configuration, chosen by name
    CV_LIMIT_SHOWN_CERTIFICATES = CV_LIMIT_CERTIFICATES + 2, // and an authority's, and our own
    CV_LIMIT_ACME_DOMAINS = 64,      // names on one certificate that is asked for
    CV_LIMIT_TRUSTED_PROXIES = 256,  // entries of trusted_proxies: large CDNs have some 200 ranges
    CV_LIMIT_APPS = 64,              // apps in one configuration
    CV_LIMIT_APP_NAME_BYTES = 64,    // name of an app in the configuration and the store
    CV_LIMIT_CONFIG_BYTES = 1 << 20, // configuration file
    CV_LIMIT_KEYS = 10000,           // publish keys in the store: each publish looks at them all
    CV_LIMIT_KEY_BYTES = 256,        // a key that a peer presents; ours have 32
    CV_LIMIT_LABEL_BYTES = 128,      // label of a key
    CV_LIMIT_FOLDER_BYTES = 1023,    // path of a folder in the configuration
    CV_LIMIT_LOG_LINE_BYTES = 2048,  // one log line; longer ones are cut
    CV_LIMIT_LOG_VALUE_BYTES = 256,  // one value in it, escaped
};

#endif
