#include "server/route.h"

#include "base/check.h"
#include "server/challenge.h"
#include "server/files.h"
#include "server/flv_ingest.h"
#include "server/flv_play.h"
#include "server/page.h"
#include "server/site_proxy.h"
#include "server/web_tunnel.h"
#include "server/ws_rtmp.h"

// 1: it has taken the request; 0: it is not for it; negative: the end of the connection.
typedef int route_fn(struct cv_web *web, const struct cv_http1_head *head);

static route_fn *const routes[] = {
    cv_web_tunnel_route, // RTMPT: /open, and requests of no session
    cv_ws_rtmp_route,    // RTMP over WebSocket, on any path
    cv_flv_ingest_route, // /{app}/{stream}.flv: POST, PUT
    cv_flv_play_route,   // /{app}/{stream}.flv: GET, HEAD, OPTIONS; HTTP and WebSocket
    cv_challenge_route,  // /.well-known/acme-challenge/: what an authority asks for
    cv_site_route,       // the site, where it is another web server
    cv_files_route,      // the site, where it is a folder
    cv_page_route,       // what the server itself shows: takes everything
};

int cv_route(struct cv_web *web, const struct cv_http1_head *head)
{
    int taken = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && taken == 0; i++)
        taken = routes[i](web, head);
    CV_ASSERT(taken != 0);
    return taken < 0 ? taken : 0;
}
