// The page that is shown where no website is configured.
#ifndef CV_SERVER_PAGE_H
#define CV_SERVER_PAGE_H

extern const char cv_page_home[]; // HTML, UTF-8, NUL-terminated

#endif
