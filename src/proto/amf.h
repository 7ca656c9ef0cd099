// AMF values: one tree for AMF0 and AMF3, decoded into a document, read by small accessors.
//
// A document owns its nodes; strings are lent from the decoded bytes, which must outlive it. Every
// count and depth is bounded (base/limits.h), and nothing is allocated by an announced count. A
// reference on the wire becomes a copy of the value that shares its children; it counts as all the
// values it stands for, so that any walk over a document meets at most CV_LIMIT_AMF_NODES values,
// at most CV_LIMIT_AMF_DEPTH deep. Children are never changed.
// AMF0: amf0-file-format-specification; AMF3: amf3-file-format-spec.
#ifndef CV_PROTO_AMF_H
#define CV_PROTO_AMF_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cv_amf_type {
    CV_AMF_NUMBER,     // number; AMF3 integers too (see `integer`)
    CV_AMF_BOOLEAN,    // boolean
    CV_AMF_STRING,     // text; AMF0 long strings too
    CV_AMF_OBJECT,     // members; class_name when typed. AMF3 externalizables: one member, `source`
                       // (ArrayCollection, ArrayList) or `object` (ObjectProxy)
    CV_AMF_NULL,       //
    CV_AMF_UNDEFINED,  //
    CV_AMF_ECMA_ARRAY, // members with keys (AMF3: associative part first, then dense items)
    CV_AMF_ARRAY,      // items without keys
    CV_AMF_DATE,       // number: ms since 1970 UTC
    CV_AMF_XML,        // text, never interpreted
    CV_AMF_BYTES,      // AMF3 byte array: text
    CV_AMF_VECTOR,     // AMF3 vectors: items; boolean: fixed length; class_name of object vectors
    CV_AMF_DICTIONARY, // AMF3 dictionary: items, key and value in turn; boolean: weak keys
};

struct cv_amf {
    enum cv_amf_type type;
    bool boolean;
    bool integer;   // AMF3 integer: encode as one again
    uint8_t marker; // AMF3 marker of XML (07, 0B) and of vectors (0D-10), which share a type
    double number;
    struct cv_text text;
    struct cv_text class_name; // typed objects; len 0 when anonymous
    struct cv_text key;        // when this value is a member: never empty; items have len 0
    struct cv_amf *first;      // first child
    struct cv_amf *next;       // next sibling
};

struct cv_amf_doc; // owns the nodes of one decoded message

struct cv_amf_doc *cv_amf_doc_new(void); // NULL: no memory
void cv_amf_doc_free(struct cv_amf_doc *doc);
// Forgets all values and keeps some memory for the next message (not all: one large message must
// not weigh on a connection for ever).
void cv_amf_doc_reset(struct cv_amf_doc *doc);
// The first top-level value; its siblings are the others. NULL when there is none.
const struct cv_amf *cv_amf_doc_first(const struct cv_amf_doc *doc);
// The n-th top-level value from 0, or NULL.
const struct cv_amf *cv_amf_doc_at(const struct cv_amf_doc *doc, size_t n);

// Accessors. All accept NULL and wrong types and then return the fallback.
const struct cv_amf *cv_amf_get(const struct cv_amf *object, const char *key); // last one wins
double cv_amf_number(const struct cv_amf *value, double fallback); // NaN and infinities too
bool cv_amf_boolean(const struct cv_amf *value, bool fallback);    // numbers: not zero
struct cv_text cv_amf_text(const struct cv_amf *value);            // len 0 when not a string
// The number cut to an unsigned 32-bit integer; fallback for NaN, negative and too large.
uint32_t cv_amf_u32(const struct cv_amf *value, uint32_t fallback);

#endif
