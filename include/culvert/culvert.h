// Culvert, the public C API: publish and play live streams over RTMP, by whatever way the network
// allows. Every exported name begins with culvert_.
//
//     struct culvert_config config = {.size = sizeof config, .url = "rtmp://host/live/name"};
//     struct culvert *culvert = culvert_connect(&config);
//     culvert_publish(culvert, NULL);
//     ... culvert_send, culvert_wait ...
//     culvert_free(culvert);
//
// THREADS. A handle is used by one thread at a time; different handles do not know each other. No
// function blocks, but culvert_wait and, for a name look-up that is under way, culvert_free.
//
// FAILURES. A function that can fail returns 0 or an enum culvert_error, which is negative. None of
// them minds a NULL handle: then they say CULVERT_E_USAGE, NULL or 0. A connection's own fate comes
// as events: whatever happens to it, the last one is CULVERT_EVENT_ENDED.
//
// POINTERS. What goes in is copied before the function returns. What comes out is lent, for as long
// as its comment says. The library reads no file but its memory of networks, writes no other, logs
// nothing, and leaves signals alone.
#ifndef CULVERT_CULVERT_H
#define CULVERT_CULVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CULVERT_API __attribute__((visibility("default")))
#else
#define CULVERT_API
#endif

// The version, as "0.1.0". Static text. Any thread.
CULVERT_API const char *culvert_version(void);

// ---- errors ---------------------------------------------------------------------------------

// The values stay what they are in later versions; new ones may come.
enum culvert_error {
    CULVERT_OK = 0,
    // of a call
    CULVERT_E_AGAIN = -1,    // not now: the buffer is full, or the server is not reached yet
    CULVERT_E_USAGE = -2,    // NULL, an unknown value, or a call that has no place here
    CULVERT_E_NOMEM = -3,    // no memory, or no descriptor left
    CULVERT_E_TOO_LONG = -4, // longer than any server takes it
    CULVERT_E_SYNTAX = -5,   // malformed FLV or AMF data
    CULVERT_E_URL = -6,      // the URL, or the proxy's, is malformed
    CULVERT_E_ENDED = -7,    // the connection has ended
    // of a connection
    CULVERT_E_HOST = -20,        // the host's name is not known
    CULVERT_E_NO_WAY = -21,      // nothing gets through this network, or nobody listens there
    CULVERT_E_REFUSED = -22,     // the server said no: key, name in use, app
    CULVERT_E_NOT_FOUND = -23,   // the server knows no such stream or app
    CULVERT_E_LOST = -24,        // it was cut and did not come back in time
    CULVERT_E_FAILED = -25,      // the server broke its promises
    CULVERT_E_CERTIFICATE = -26, // the server's certificate is not accepted (TLS)
};

// What the error means, in a few words. Static, never NULL, for any number. Any thread.
CULVERT_API const char *culvert_error_text(int error);

// ---- connecting -----------------------------------------------------------------------------

enum culvert_via {
    CULVERT_VIA_AUTO,      // as the URL's scheme says; rtmp: whatever gets through
    CULVERT_VIA_RTMP,      // plain RTMP and nothing else
    CULVERT_VIA_RTMPT,     // RTMP in HTTP requests and nothing else
    CULVERT_VIA_WEBSOCKET, // RTMP over WebSocket and nothing else
};

enum culvert_order {
    CULVERT_ORDER_OFFER_FIRST, // an HTTP request that becomes RTMP where the network lets it
    CULVERT_ORDER_RTMP_FIRST,  // plain RTMP, and HTTP behind it
};

// Zeroed members mean what is usual, so that old programs work with newer libraries: set `size` to
// sizeof(struct culvert_config), `url`, and what differs.
struct culvert_config {
    size_t size;
    const char *url; // SCHEME://host[:port]/app[/name][?key=...]: rtmp, rtmpt, ws, http (port 80),
                     // or with TLS rtmps, rtmpts, wss, https (port 443)
    enum culvert_via via;
    enum culvert_order order;
    // NULL: http_proxy, https_proxy, all_proxy and no_proxy of the environment decide; "none": no
    // proxy; else http://[user:password@]host[:port].
    const char *proxy;
    // What got through in which network is kept in this file, so that the next start is quicker.
    // NULL: culvert/networks in $XDG_STATE_HOME or ~/.local/state; "": nothing is kept.
    const char *memory_file;
    uint32_t buffer_ms; // play: what the server is asked to send ahead; 0: 3000
    size_t keep_bytes;  // publish: what is kept, at most, for the time after a cut; 0: 32 MiB
    bool keep_all;      // publish: culvert_send refuses what does not fit (CULVERT_E_AGAIN);
                        // else the oldest is dropped, up to a key frame
    uint32_t return_s;  // tries so long to come back after a cut; 0: 60
    // TLS: whom to trust, certificates in a PEM file; NULL: the system's store.
    const char *ca_file;
    bool insecure; // TLS: anybody is believed to be the server; for trials only. Not with ca_file
};

// One connection to a server.
struct culvert;

// A handle, the caller's, for culvert_free. Nothing is sent yet: say culvert_publish, culvert_play
// or culvert_open next, so that all of it travels in the first flight. NULL: no memory or no
// descriptor left, or `config` is NULL or its size too small. Other mistakes, such as a malformed
// URL, show in what comes next, and in an event.
CULVERT_API struct culvert *culvert_connect(const struct culvert_config *config);

// Connects, and publishes the stream `name`, a key perhaps behind it ("cam1?key=..."); NULL: the
// name in the URL. (RTMP 1.0, section 7.2.2.6; live.) Media may be sent at once: what comes before
// the server says yes waits in the buffer. Once per handle, and not beside culvert_play.
// CULVERT_E_USAGE, CULVERT_E_NOMEM, CULVERT_E_TOO_LONG (the name), or what was wrong in config.
CULVERT_API int culvert_publish(struct culvert *culvert, const char *name);
// Connects, and plays the stream `name`; NULL: the name in the URL. (Section 7.2.2.1.) Errors as
// culvert_publish.
CULVERT_API int culvert_play(struct culvert *culvert, const char *name);
// Connects to the app alone, for culvert_call. Errors as culvert_publish.
CULVERT_API int culvert_open(struct culvert *culvert);

// Says goodbye: what was sent is delivered, for which it has two seconds, then CULVERT_EVENT_ENDED
// comes, with CULVERT_OK. Go on with culvert_wait or culvert_process until then. 0, or
// CULVERT_E_USAGE.
CULVERT_API int culvert_close(struct culvert *culvert);
// Ends at once, without a goodbye, and frees the handle and all that it has lent. NULL is allowed.
CULVERT_API void culvert_free(struct culvert *culvert);

// Why it failed, or was cut, last: a sentence for people; never NULL, empty while nothing did. Lent
// until the next call with this handle. For NULL, what a failed culvert_connect means.
CULVERT_API const char *culvert_why(const struct culvert *culvert);

// ---- sending --------------------------------------------------------------------------------

enum culvert_kind {
    CULVERT_AUDIO = 8, // the values are those of RTMP message types and FLV tags
    CULVERT_VIDEO = 9,
    CULVERT_DATA = 18, // AMF0 values: a name, "onMetaData" for instance, and what belongs to it
};

// Publishes a message: `data` is what an FLV tag of this kind holds (FLV 10.1, E.4.2-E.4.4;
// Enhanced RTMP), codec headers first. `ts_ms` wraps around after 2^32 ms. It leaves at the next
// culvert_wait or culvert_process. CULVERT_E_AGAIN: keep_all, and the buffer is full:
// CULVERT_EVENT_ROOM follows. CULVERT_E_USAGE (not a publisher, unknown kind, NULL),
// CULVERT_E_TOO_LONG, CULVERT_E_NOMEM, CULVERT_E_ENDED.
CULVERT_API int culvert_send(struct culvert *culvert, enum culvert_kind kind, uint32_t ts_ms,
                             const void *data, size_t len);

// Publishes from an FLV file, given piece by piece, cut anywhere. *ts_ms (may be NULL) becomes the
// time of the newest message that was sent, if there was one; waiting for that time is the caller's
// affair. Returns how many bytes were taken: all of them, or fewer when the buffer is full
// (keep_all): go on with the rest behind CULVERT_EVENT_ROOM. CULVERT_E_SYNTAX and
// CULVERT_E_TOO_LONG are for good; other errors as culvert_send.
CULVERT_API long culvert_send_flv(struct culvert *culvert, const void *data, size_t len,
                                  uint32_t *ts_ms);

struct culvert_amf_writer; // culvert/amf.h
struct culvert_amf;

// Calls a function of the server (NetConnection.call; RTMP 1.0, section 7.2.1.2) with the values in
// `args`, which stays the caller's; NULL: none. *call (may be NULL) is the number that
// CULVERT_EVENT_RESULT comes with; there is none when a cut lies between. CULVERT_E_AGAIN: before
// CULVERT_EVENT_STARTED, while it is cut, or when too many are not answered yet. CULVERT_E_USAGE,
// CULVERT_E_TOO_LONG, CULVERT_E_NOMEM, CULVERT_E_ENDED, or the error that `args` has.
CULVERT_API int culvert_call(struct culvert *culvert, const char *name,
                             const struct culvert_amf_writer *args, uint32_t *call);

// ---- events ---------------------------------------------------------------------------------

enum culvert_event_type {
    CULVERT_EVENT_TRYING = 1,  // a way is tried: way
    CULVERT_EVENT_THROUGH = 2, // the server is reached: way, since_us (of the start), attempts
    CULVERT_EVENT_STARTED = 3, // publish: it is published; play: media will come; open:
                               // functions can be called. Once
    CULVERT_EVENT_MESSAGE = 4, // play: kind, ts_ms, data, len
    CULVERT_EVENT_STATUS = 5,  // the server said something: code, description
    CULVERT_EVENT_RESULT = 6,  // of culvert_call: call, ok, args
    CULVERT_EVENT_CUT = 7,     // the way was lost: why. It tries again by itself
    CULVERT_EVENT_RESUMED = 8, // it goes on: since_us (of the cut), lost
    CULVERT_EVENT_ROOM = 9,    // the buffer takes messages again, after CULVERT_E_AGAIN
    CULVERT_EVENT_ENDED = 10,  // the last event: error, why, advice, location
};

// The library's. Later versions have more members and more types: skip those that are not known.
// Which members have a meaning is said above; texts are never NULL where they have one.
struct culvert_event {
    enum culvert_event_type type;
    const char *way; // "RTMP", "RTMPT", ...
    uint64_t since_us;
    uint32_t attempts;
    enum culvert_kind kind;
    uint32_t ts_ms;                 // wraps around after 2^32 ms
    const uint8_t *data;            // as in culvert_send; never NULL
    size_t len;                     //
    const char *code;               // "NetStream.Play.Reset"; may be empty
    const char *description;        // may be empty
    uint32_t call;                  //
    bool ok;                        // the function returned; false: it failed
    const struct culvert_amf *args; // what it returned, culvert_amf_next leads on; may be NULL
    uint64_t lost;                  // messages that the buffer could not hold
    int error;                      // CULVERT_OK: closed by us, or the stream is over
    const char *why;                // for people
    const char *advice;   // what the network's administrator should be asked for; may be NULL
    const char *location; // where the network's login page is; may be empty
};

// 1 and the next event, which is lent until the next call with this handle; 0: there is none now;
// CULVERT_E_ENDED behind the last one; CULVERT_E_USAGE. Does no work of its own: that is what
// culvert_process is for.
CULVERT_API int culvert_next(struct culvert *culvert, const struct culvert_event **event);

// The blocking form: works until there is an event, for `timeout_ms` at most (-1: no limit; 0: only
// what can be done at once). 1 and the event, as culvert_next; 0: the time is over, or a signal
// came; CULVERT_E_ENDED; CULVERT_E_USAGE, also when -1 would wait for ever because nothing was
// begun.
CULVERT_API int culvert_wait(struct culvert *culvert, const struct culvert_event **event,
                             int timeout_ms);

// The form for event loops: whenever culvert_fd is readable or culvert_timeout_ms has passed, call
// culvert_process, then culvert_next until it returns 0. Where many events wait because nobody
// pulls them, no more is read from the network.
//
// A descriptor to poll, not to read: the handle's, and the same for its life. CULVERT_E_USAGE.
CULVERT_API int culvert_fd(const struct culvert *culvert);
// Milliseconds until culvert_process is due; 0: now, and after the end, which it tells; -1: only
// when the descriptor is readable. To be asked before each sleep: every call with this handle may
// change it.
CULVERT_API int culvert_timeout_ms(const struct culvert *culvert);
// Does what can be done without waiting. 1: events wait; 0: none; CULVERT_E_ENDED; CULVERT_E_USAGE.
CULVERT_API int culvert_process(struct culvert *culvert);

// ---- how it goes ----------------------------------------------------------------------------

// `size` is set by the caller to sizeof(struct culvert_stats); members that the library does not
// know are zeroed.
struct culvert_stats {
    size_t size;
    const char *way;        // static text; NULL while there is none
    uint32_t rtt_us;        // round trip, the latest measure; 0: none
    uint32_t unacked_bytes; // written and not acknowledged by the peer's TCP; 0 when unknown
    uint64_t messages;      // sent, or received
    uint64_t bytes;         // of what they hold
    uint64_t waiting_bytes; // publish: not known to have arrived
    uint64_t cuts;          //
    uint64_t lost;          // messages
    bool resumes;           // the server can resume: a cut loses nothing that the buffer holds
};
// 0, or CULVERT_E_USAGE. After the end: as it was then.
CULVERT_API int culvert_stats(const struct culvert *culvert, struct culvert_stats *stats);

// ---- FLV files, for players that write them ---------------------------------------------------

enum { CULVERT_FLV_HEADER_BYTES = 13, CULVERT_FLV_HEAD_BYTES = 11, CULVERT_FLV_TAIL_BYTES = 4 };

// The file's header (FLV 10.1, E.2), with audio and video.
CULVERT_API void culvert_flv_header(uint8_t header[CULVERT_FLV_HEADER_BYTES]);
// What stands before and behind the data of a CULVERT_EVENT_MESSAGE in the file (E.3, E.4.1). 0, or
// CULVERT_E_USAGE: another event.
CULVERT_API int culvert_flv_tag(const struct culvert_event *event,
                                uint8_t head[CULVERT_FLV_HEAD_BYTES],
                                uint8_t tail[CULVERT_FLV_TAIL_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
