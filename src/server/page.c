#include "server/page.h"

#include "base/limits.h"
#include "server/web.h"

#include <string.h>

static const char home[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Culvert</title>\n"
    "<style>body{font:1.1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 "
    "1.5rem;color:#1d2733;background:#fbfcfd}h1{font-size:2rem;margin-bottom:0}code{background:"
    "#e9eef3;padding:.1em .35em;border-radius:.25em}p.small{color:#5b6b7b;font-size:.95rem}"
    "@media(prefers-color-scheme:dark){body{color:#dfe7ee;background:#12181f}code{background:"
    "#222c37}p.small{color:#8fa0b0}}</style></head>\n"
    "<body><h1>Culvert</h1>\n"
    "<p>A media server is running here. This port serves live streams over RTMP, over HTTP where "
    "only that gets through, and this page.</p>\n"
    "<p>Send a stream to <code>rtmp://&hellip;/live/NAME?key=KEY</code>, with the name of this "
    "host in the place of the dots and the key that the server printed at its first start; from "
    "behind a firewall to <code>rtmpt://&hellip;</code>.</p>\n"
    "<p>Watch it at <code>rtmp://&hellip;/live/NAME</code>, or at "
    "<code>http://&hellip;/live/NAME.flv</code>, for example with <code>ffplay</code>.</p>\n"
    "<p>Your web site can live on this port, too: start the server with "
    "<code>--site http://127.0.0.1:8081</code> or <code>--site /var/www</code>.</p>\n"
    "<p class=\"small\">More: <code>man culvert</code> on the server.</p>\n"
    "</body></html>\n";

struct page {
    const char *path;
    const char *body;
};

static const struct page pages[] = {
    {"/", home},
};

static const char *find_page(struct cv_text path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (cv_text_is(path, pages[i].path))
            return pages[i].body;
    }
    return NULL;
}

static void answer(struct cv_web *web)
{
    const struct cv_http1_head *head = cv_web_head(web);
    bool reads = head->method == CV_METHOD_GET || head->method == CV_METHOD_HEAD;
    const char *page = find_page(head->path);
    if (!page) {
        cv_web_answer_text(web, 404, "There is nothing here.\n");
        return;
    }
    static const struct cv_http1_pair allow = {"Allow", "GET, HEAD"};
    static const char only_read[] = "This page can only be read: GET or HEAD.\n";
    struct cv_http1_answer refused = {.status = 405,
                                      .fields = &allow,
                                      .field_count = 1,
                                      .type = "text/plain; charset=utf-8",
                                      .body = only_read,
                                      .len = sizeof only_read - 1};
    struct cv_http1_answer whole = {
        .status = 200, .type = "text/html; charset=utf-8", .body = page, .len = strlen(page)};
    cv_web_answer(web, reads ? &whole : &refused);
}

static void on_end(void *arg)
{
    answer(arg);
}

static const struct cv_responder page_responder = {
    .end = on_end,
};

// A body is of no use: a small one is read away, and nobody is asked to send one.
int cv_page_route(struct cv_web *web, const struct cv_http1_head *head)
{
    cv_web_respond(web, &page_responder, web);
    cv_web_set_body_max(web, CV_LIMIT_HTTP_DISCARD_BYTES);
    if (head->expects_continue)
        answer(web);
    return 1;
}
