// What a file holds, by the end of its name: the value of Content-Type. RFC 9110, section 8.3.
#ifndef CV_PROTO_CONTENT_TYPE_H
#define CV_PROTO_CONTENT_TYPE_H

#include "base/text.h"

// By what is behind the last dot of the last element (no case); "application/octet-stream" for what
// is not known. Text is said to be UTF-8. Static.
const char *cv_content_type_of(struct cv_text path);

#endif
