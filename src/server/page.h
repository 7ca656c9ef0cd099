// The page that is shown where no website is configured.
#ifndef CV_SERVER_PAGE_H
#define CV_SERVER_PAGE_H

struct cv_http1_head;
struct cv_web;

// Takes every request: the page, 404, or 405.
int cv_page_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
