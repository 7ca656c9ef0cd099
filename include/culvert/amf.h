// AMF values, for culvert_call, its results, and data messages (amf0-file-format-specification).
//
// A writer and a document are each used by one thread at a time.
#ifndef CULVERT_AMF_H
#define CULVERT_AMF_H

#include "culvert/culvert.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- writing --------------------------------------------------------------------------------

// Values one behind the other, in AMF0. The first mistake or lack of memory sticks: ask for it
// once, at the end; culvert_call and culvert_amf_bytes ask, too. All but _new and _free do nothing
// with NULL.
struct culvert_amf_writer;

// Empty; the caller's. NULL: no memory.
CULVERT_API struct culvert_amf_writer *culvert_amf_writer_new(void);
// NULL is allowed.
CULVERT_API void culvert_amf_writer_free(struct culvert_amf_writer *writer);
// Empties it and forgets its error.
CULVERT_API void culvert_amf_writer_reset(struct culvert_amf_writer *writer);
// 0, or the first of: CULVERT_E_USAGE (NULL, a key or value out of place, an end without a
// beginning), CULVERT_E_TOO_LONG (256 KiB, deeper than 16, a key of more than 65535 bytes),
// CULVERT_E_NOMEM.
CULVERT_API int culvert_amf_writer_error(const struct culvert_amf_writer *writer);

CULVERT_API void culvert_amf_put_number(struct culvert_amf_writer *writer, double value);
CULVERT_API void culvert_amf_put_boolean(struct culvert_amf_writer *writer, bool value);
CULVERT_API void culvert_amf_put_null(struct culvert_amf_writer *writer);
// NUL-terminated UTF-8.
CULVERT_API void culvert_amf_put_string(struct culvert_amf_writer *writer, const char *text);
// The same by its length.
CULVERT_API void culvert_amf_put_text(struct culvert_amf_writer *writer, const char *text,
                                      size_t len);
// Everything until the matching end belongs to it: in an object key and value in turn, in an array
// values.
CULVERT_API void culvert_amf_begin_object(struct culvert_amf_writer *writer);
CULVERT_API void culvert_amf_begin_array(struct culvert_amf_writer *writer);
CULVERT_API void culvert_amf_end(struct culvert_amf_writer *writer);
// Not empty. Its value follows.
CULVERT_API void culvert_amf_put_key(struct culvert_amf_writer *writer, const char *key);

// What was written, as it travels: for culvert_send with CULVERT_DATA. Lent until the next call
// with this writer; never NULL when 0 is returned. CULVERT_E_USAGE when something is still open,
// or its error.
CULVERT_API int culvert_amf_bytes(const struct culvert_amf_writer *writer, const void **data,
                                  size_t *len);

// ---- reading --------------------------------------------------------------------------------

enum culvert_amf_kind {
    CULVERT_AMF_UNDEFINED, // also of NULL
    CULVERT_AMF_NULL,
    CULVERT_AMF_NUMBER,
    CULVERT_AMF_BOOLEAN,
    CULVERT_AMF_STRING, // XML too
    CULVERT_AMF_DATE,   // number: milliseconds since 1970, UTC
    CULVERT_AMF_BYTES,  // text: any bytes
    CULVERT_AMF_OBJECT, // members, each with its key; ECMA arrays too
    CULVERT_AMF_ARRAY,  // items; vectors too. Of a dictionary: key and value in turn
};

// A value, lent by what it is in: an event until the next call with its handle, a document until it
// is freed. All functions accept NULL and other kinds and then return what stands for nothing.
struct culvert_amf;

CULVERT_API enum culvert_amf_kind culvert_amf_kind(const struct culvert_amf *value);
// May be NaN or infinite.
CULVERT_API double culvert_amf_number(const struct culvert_amf *value, double fallback);
CULVERT_API bool culvert_amf_boolean(const struct culvert_amf *value, bool fallback);
// Never NULL, and a NUL stands behind it, which *len (may be NULL) does not count; "" when it is no
// text. Usually, but not surely, UTF-8.
CULVERT_API const char *culvert_amf_string(const struct culvert_amf *value, size_t *len);
// An object's member; the last one of that key. NULL: none.
CULVERT_API const struct culvert_amf *culvert_amf_get(const struct culvert_amf *object,
                                                      const char *key);
// What is in an object or array: the first of it, and what follows a value beside it. NULL: none.
CULVERT_API const struct culvert_amf *culvert_amf_first(const struct culvert_amf *container);
CULVERT_API const struct culvert_amf *culvert_amf_next(const struct culvert_amf *value);
// The n-th of it, from 0.
CULVERT_API const struct culvert_amf *culvert_amf_item(const struct culvert_amf *container,
                                                       size_t n);
// The key of a value that is an object's member, as culvert_amf_string; "" of others.
CULVERT_API const char *culvert_amf_key(const struct culvert_amf *value, size_t *len);

// The values of a data message, read.
struct culvert_amf_doc;

// 0 and *doc, the caller's, which holds a copy. CULVERT_E_SYNTAX, CULVERT_E_TOO_LONG (more than
// 10000 values, or nested deeper than 16), CULVERT_E_NOMEM, CULVERT_E_USAGE; *doc is untouched
// then.
CULVERT_API int culvert_amf_parse(const void *data, size_t len, struct culvert_amf_doc **doc);
// NULL is allowed.
CULVERT_API void culvert_amf_doc_free(struct culvert_amf_doc *doc);
// The first of its values; culvert_amf_next leads to the others. NULL: none.
CULVERT_API const struct culvert_amf *culvert_amf_doc_first(const struct culvert_amf_doc *doc);

#ifdef __cplusplus
}
#endif

#endif
