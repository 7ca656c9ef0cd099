// AMF0, both directions (amf0-file-format-specification, sections 2 and 3).
#ifndef CV_PROTO_AMF0_H
#define CV_PROTO_AMF0_H

#include "base/err.h"
#include "base/wire.h"
#include "proto/amf.h"

// Decodes values until the bytes end and appends them to the document. Markers 0x11 switch to AMF3
// for one value (tables shared over the body). Returns 0 or CV_E_TRUNCATED, AMF_MARKER, AMF_REF,
// AMF_EXTERNAL, TOO_DEEP, TOO_MANY, NOMEM with `why` filled; the document then holds the values
// before the bad one. An object that the bytes end in, without 00 00 09, is accepted when it is the
// last value (some encoders do that). The bytes must outlive the document.
int cv_amf0_decode(struct cv_amf_doc *doc, const void *data, size_t len, struct cv_why *why);

// Writers of one value each. Errors stick in the cv_wr; besides its own these are CV_E_TOO_LONG (a
// key or class name above 65535 bytes), CV_E_USAGE (an empty key) and CV_E_TOO_DEEP (a tree of our
// own making that is deeper than CV_LIMIT_AMF_DEPTH; decoded ones never are).
void cv_amf0_number(struct cv_wr *wr, double value);
void cv_amf0_boolean(struct cv_wr *wr, bool value);
void cv_amf0_null(struct cv_wr *wr);
void cv_amf0_undefined(struct cv_wr *wr);
void cv_amf0_text(struct cv_wr *wr, struct cv_text text); // long string above 65535 bytes
void cv_amf0_string(struct cv_wr *wr, const char *text);  // NUL-terminated
// Objects: begin, then key and value in turn, then end. An ECMA array differs in its begin only.
void cv_amf0_object(struct cv_wr *wr);
void cv_amf0_ecma_array(struct cv_wr *wr, uint32_t count_hint);
void cv_amf0_strict_array(struct cv_wr *wr, uint32_t count); // then `count` values, no end
void cv_amf0_key(struct cv_wr *wr, const char *key);
void cv_amf0_key_text(struct cv_wr *wr, struct cv_text key);
void cv_amf0_end(struct cv_wr *wr);
// A member of an open object: key and value at once.
void cv_amf0_put_string(struct cv_wr *wr, const char *key, const char *value);
void cv_amf0_put_number(struct cv_wr *wr, const char *key, double value);
// One decoded value with all below it. What AMF0 cannot say (vectors, dictionaries, byte arrays) is
// written as an AMF3 value behind marker 0x11.
void cv_amf0_value(struct cv_wr *wr, const struct cv_amf *value);

#endif
