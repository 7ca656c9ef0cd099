// Requests that are not ours go to the site's own web server, and its answers to the client.
//
// Bodies pass through in pieces, both ways, as they come: what the receiver does not take now is
// kept (server/leftover.h), and its sender is not read meanwhile. Heads are written anew
// (proto/proxy_head.h). A request whose connection turns out to be closed is sent once more on a
// new one, if that can do no harm.
//
// "Expect: 100-continue" is answered here, as soon as there is a connection to the site: a site
// that is down costs no upload, one that refuses the head is heard during the upload, and servers
// that know nothing of Expect need not.
#ifndef CV_SERVER_SITE_PROXY_H
#define CV_SERVER_SITE_PROXY_H

#include "server/web.h"

// Takes every request when the site is an upstream.
int cv_site_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
