// The site as a folder: `site: /var/www` serves the files below it. RFC 9110.
//
// GET and HEAD, with ranges, tags and dates; a folder shows its index.html, and never a list. Files
// are read by io/file.h, two blocks ahead of a client at most.
#ifndef CV_SERVER_FILES_H
#define CV_SERVER_FILES_H

struct cv_http1_head;
struct cv_web;

// Takes every request where the site is a folder. 1, 0 where it is none, or CV_E_NOMEM.
int cv_files_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
