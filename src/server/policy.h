// Policy: who may do what, decided in one place for every way in.
//
// One immutable snapshot of configuration and keys, shared by all threads through references; a
// reload makes a new one and every thread swaps its pointer. The tallies live as long as the
// server.
#ifndef CV_SERVER_POLICY_H
#define CV_SERVER_POLICY_H

#include "base/crypto.h"
#include "base/path.h"
#include "io/addr.h"
#include "media/streamlog.h"
#include "server/config.h"
#include "server/keys.h"
#include "server/tally.h"

// What a stream takes over from its app when it is published.
struct cv_stream_settings {
    struct cv_log_limits log;
    uint32_t grace_s;
    bool takeover;
};

// By what a publisher is known again: a digest, keyed with a secret of this process, of the key
// that it presented, or where none is asked for of its address. It is no password, and opens
// nothing.
enum { CV_IDENTITY_KEY_BYTES = 32 };
struct cv_identity {
    uint8_t digest[CV_SHA256_BYTES];
};

struct cv_tallies {
    struct cv_tally *addresses;      // connections per address
    struct cv_tally *app_streams;    // publishers per app
    struct cv_tally *app_viewers;    // viewers per app
    struct cv_tally *stream_viewers; // viewers per stream
};

struct cv_tls_server;

struct cv_policy {
    atomic_uint refs;
    struct cv_config *config;   // one reference
    struct cv_keys *keys;       // one reference
    struct cv_tallies *tallies; // borrowed from the server
    struct cv_tls_server *tls;  // one reference; NULL: no TLS
};

// Takes references of its own to both. One reference to the result, or NULL: no memory.
struct cv_policy *cv_policy_new(struct cv_config *config, struct cv_keys *keys,
                                struct cv_tallies *tallies);
// TLS from now on, by a reference of its own; NULL: none. Only while nobody else has the policy.
void cv_policy_set_tls(struct cv_policy *policy, struct cv_tls_server *tls);
struct cv_policy *cv_policy_ref(struct cv_policy *policy);
void cv_policy_unref(struct cv_policy **policy);

// Which app a resource path belongs to: the longest app name that is a prefix of it in whole
// elements, with a stream name behind it. NULL when there is none. *out_stream: that name, in
// `path`.
const struct cv_config_app *cv_policy_route(const struct cv_policy *policy,
                                            const struct cv_path *path, struct cv_text *out_stream);

// The same for a path of the web side, as it was sent, that ends with `suffix` behind the stream's
// name: "/live/a.flv". *out_path: the resource path; *out_stream is in it.
const struct cv_config_app *cv_policy_route_file(const struct cv_policy *policy,
                                                 struct cv_text web_path, const char *suffix,
                                                 struct cv_path *out_path,
                                                 struct cv_text *out_stream);

// May this stream be published with what the client presented? 0, CV_E_BAD_KEY or CV_E_REFUSED
// (publishing is switched off).
int cv_policy_may_publish(const struct cv_policy *policy, const struct cv_config_app *app,
                          struct cv_text stream, const struct cv_query_places *query);
// Who this is, after it may publish. `secret`: CV_IDENTITY_KEY_BYTES random bytes of the process.
// 0, CV_E_BAD_KEY, or CV_E_SYSTEM.
int cv_policy_identify(const struct cv_policy *policy, const struct cv_config_app *app,
                       const struct cv_query_places *query, const struct cv_addr *peer,
                       const uint8_t *secret, struct cv_identity *out);
// In constant time.
bool cv_identity_equal(const struct cv_identity *a, const struct cv_identity *b);
// May it be played? 0 or CV_E_REFUSED.
int cv_policy_may_play(const struct cv_policy *policy, const struct cv_config_app *app);

// Counts a publisher or a viewer in, against the caps of its app and stream: 0 or CV_E_TOO_MANY.
// Each success is taken back by one leave with the same names. `replaces`: one who leaves in a
// moment is counted still, and the cap does not hold.
int cv_policy_enter_publisher(const struct cv_policy *policy, const struct cv_config_app *app,
                              bool replaces);
void cv_policy_leave_publisher(const struct cv_policy *policy, const struct cv_config_app *app);
int cv_policy_enter_viewer(const struct cv_policy *policy, const struct cv_config_app *app,
                           const struct cv_path *path);
void cv_policy_leave_viewer(const struct cv_policy *policy, const struct cv_config_app *app,
                            const struct cv_path *path);

// What a stream of this app takes over from the configuration.
struct cv_stream_settings cv_policy_stream_settings(const struct cv_config_app *app);

#endif
