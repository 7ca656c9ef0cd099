// AMF3, both directions (amf3-file-format-spec, section 3).
#ifndef CV_PROTO_AMF3_H
#define CV_PROTO_AMF3_H

#include "base/err.h"
#include "base/wire.h"
#include "proto/amf.h"

// Decodes values until the bytes end and appends them to the document; errors as cv_amf0_decode.
// References of one call share their three tables. A reference to a value that is still being
// read (a cycle) is refused with CV_E_AMF_REF.
int cv_amf3_decode(struct cv_amf_doc *doc, const void *data, size_t len, struct cv_why *why);

// One decoded value with all below it, inline, without references. Anonymous objects are written as
// dynamic, typed ones with sealed members; integers outside 29 bits as doubles. Errors stick in the
// cv_wr, as in amf0.h.
void cv_amf3_value(struct cv_wr *wr, const struct cv_amf *value);

#endif
