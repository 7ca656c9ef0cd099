// Placeholder: the server itself is not there yet.
#include "server/server.h"

int cv_server_run(const struct cv_server_options *options, struct cv_why *why)
{
    (void)options;
    return cv_why_set(why, CV_E_BUG, "server", "this build has no server yet");
}
