// What publish, play and relay have in common on the command line: how to reach the server, and how
// much to tell.
#ifndef CV_CLI_STREAM_OPTIONS_H
#define CV_CLI_STREAM_OPTIONS_H

#include "cli/options.h"
#include "client/connection.h"

#include <stdbool.h>

enum { CV_LIMIT_STATE_PATH_BYTES = 1023 };

// The first member of a command's own struct: the setters below work on it.
struct cv_stream_options {
    enum cv_via via;
    enum cv_ladder_order order;
    const char *proxy;   // as --proxy says; NULL: the environment decides
    const char *ca_file; // whom to trust instead of whom the system trusts; NULL: that
    bool insecure;       // whoever answers is believed
    bool no_memory;
    bool verbose;
    bool quiet;
    bool json;
};

int cv_stream_set_via(void *into, const char *value, struct cv_why *why);
int cv_stream_set_order(void *into, const char *value, struct cv_why *why);
int cv_stream_set_proxy(void *into, const char *value, struct cv_why *why);
int cv_stream_set_ca(void *into, const char *value, struct cv_why *why);
int cv_stream_set_insecure(void *into, const char *value, struct cv_why *why);
int cv_stream_set_no_memory(void *into, const char *value, struct cv_why *why);
int cv_stream_set_verbose(void *into, const char *value, struct cv_why *why);
int cv_stream_set_quiet(void *into, const char *value, struct cv_why *why);
int cv_stream_set_json(void *into, const char *value, struct cv_why *why);

// The rows of these options for a command's table.
// clang-format off
#define CV_STREAM_TLS_OPTIONS                                                                      \
    {"ca", 0, "FILE", "TLS: trust these certificates (PEM), and no others", cv_stream_set_ca},     \
    {"insecure", 0, NULL, "TLS: believe whoever answers; keys and media may be read and changed",  \
     cv_stream_set_insecure}
#define CV_STREAM_OPTIONS                                                                          \
    {"via", 0, "WAY", "rtmp, rtmpt, ws or auto (default): what gets through", cv_stream_set_via},  \
    {"order", 0, "ORDER", "offer-first (default) or rtmp-first", cv_stream_set_order},             \
    {"proxy", 0, "URL", "HTTP proxy, or none; default: as http_proxy and https_proxy say",         \
     cv_stream_set_proxy},                                                                         \
    CV_STREAM_TLS_OPTIONS,                                                                         \
    {"no-memory", 0, NULL, "neither use nor remember what got through here",                       \
     cv_stream_set_no_memory},                                                                     \
    {"verbose", 'v', NULL, "tell every attempt, and when the first media came",                    \
     cv_stream_set_verbose},                                                                       \
    {"quiet", 'q', NULL, "tell failures only", cv_stream_set_quiet},                               \
    {"json", 0, NULL, "end with a line of JSON on standard error", cv_stream_set_json}
// clang-format on

// Where to, and by what: everything that a connection needs to know.
struct cv_stream_plan {
    struct cv_target target;
    struct cv_proxies proxies;
    struct cv_tls_trust *trust;                      // one reference; NULL: without TLS
    char memory_path[CV_LIMIT_STATE_PATH_BYTES + 1]; // empty: nothing is remembered
    enum cv_via via;
    enum cv_ladder_order order;
};

// 0, or CV_E_URL or CV_E_TOO_LONG with *why: the URL, or a proxy's, is wrong; CV_E_USAGE, also for
// --ca; CV_E_NOMEM. Then there is nothing to be undone. `trust` is what another plan to the same
// server has loaded already; NULL: it is loaded, and --insecure is warned of on standard error.
int cv_stream_plan_make(struct cv_stream_plan *out, const struct cv_stream_options *options,
                        const char *url, struct cv_tls_trust *trust, struct cv_why *why);
void cv_stream_plan_done(struct cv_stream_plan *plan);
// The proxy that its first way takes; its host may be empty.
const struct cv_proxy *cv_stream_plan_proxy(const struct cv_stream_plan *plan);
// Fills in what the plan knows; mode, on_event and the like are left to the caller. The plan must
// outlive the call that uses the configuration.
void cv_stream_plan_apply(const struct cv_stream_plan *plan, struct cv_connection_config *config);

#endif
