// The server as the command line sees it: run until told to stop.
#ifndef CV_SERVER_SERVER_H
#define CV_SERVER_SERVER_H

#include "base/err.h"
#include "server/config.h"
#include "server/keys.h"
#include "server/store.h"

// Everything is borrowed for the duration of the call; the server takes its own references.
struct cv_server_options {
    struct cv_config *config;
    struct cv_keys *keys;
    struct cv_store *store;                    // to load the keys again on reload
    const char *config_path;                   // for reload; NULL when there is no file
    const struct cv_config_override *override; // for reload: the command line still holds
};

// Listens and serves until SIGTERM or SIGINT. 0 after a clean end; CV_E_UNREACHABLE when no
// listening address could be opened, another code for other failures, with *why.
int cv_server_run(const struct cv_server_options *options, struct cv_why *why);

#endif
