// What the two AMF decoders share: nodes, limits and reference tables. For amf*.c only.
//
// Functions that make or read a value return it, or NULL after a failure; the reader keeps the
// first failure (`err`), as a cv_rd does.
#ifndef CV_PROTO_AMF_BUILD_H
#define CV_PROTO_AMF_BUILD_H

#include "base/err.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/amf.h"

// A growing array. At most CV_LIMIT_AMF_NODES items.
struct cv_amf_table {
    void *items;
    size_t count;
    size_t capacity;
};

// What a reference can name: one item of the tables amf0_values and values.
struct cv_amf_complex {
    struct cv_amf *value;
    size_t nodes;    // it and all below it, references expanded; 0 while it is still being read
    unsigned height; // levels of containers, itself included
};

// One item of the table traits: the shape of AMF3 objects.
struct cv_amf_traits {
    struct cv_text class_name;
    size_t first_name; // in the table names
    size_t names;
    bool dynamic;
    bool external;
};

struct cv_amf_chunk;

struct cv_amf_doc {
    struct cv_amf_chunk *chunks; // newest first; the oldest is kept over resets
    struct cv_amf *first;
    struct cv_amf *last;
    size_t nodes;                    // of all values, references expanded
    struct cv_amf_table amf0_values; // struct cv_amf_complex
    struct cv_amf_table values;      // struct cv_amf_complex, AMF3
    struct cv_amf_table strings;     // struct cv_text, AMF3
    struct cv_amf_table traits;      // struct cv_amf_traits, AMF3
    struct cv_amf_table names;       // struct cv_text: the names of all traits
};

// A container that is still being read.
struct cv_amf_frame {
    struct cv_amf_table *table;
    size_t slot;         // its item in `table`
    size_t nodes_before; // of the document, before it
    unsigned height;     // so far
};

// One body being decoded.
struct cv_amf_reader {
    struct cv_amf_doc *doc;
    const uint8_t *start;
    struct cv_rd rd;
    const char *place;
    struct cv_why *why;
    int err;
    unsigned depth; // open containers
    struct cv_amf_frame frames[CV_LIMIT_AMF_DEPTH];
};

typedef struct cv_amf *(*cv__amf_read_fn)(struct cv_amf_reader *reader);

// Decodes values by `read` until the bytes end; the body of cv_amf0_decode and cv_amf3_decode.
int cv__amf_decode(struct cv_amf_reader *reader, cv__amf_read_fn read);
// Notes the failure with its place in the bytes, unless there is one. Always NULL.
struct cv_amf *cv__amf_fail(struct cv_amf_reader *reader, int code, const char *what);
// True when nothing failed; notes it when the bytes have ended too early.
bool cv__amf_good(struct cv_amf_reader *reader);
// False, and noted, when fewer than `count` times `size` bytes are left.
bool cv__amf_fits(struct cv_amf_reader *reader, size_t count, size_t size);
// `len` lent bytes.
struct cv_text cv__amf_text(struct cv_amf_reader *reader, size_t len);

// A value without children.
struct cv_amf *cv__amf_new(struct cv_amf_reader *reader, enum cv_amf_type type);
// Starts a container and enters it in `table`; all values until cv__amf_close are below it.
struct cv_amf *cv__amf_open(struct cv_amf_reader *reader, struct cv_amf_table *table,
                            enum cv_amf_type type);
// Ends the innermost container and returns it.
struct cv_amf *cv__amf_close(struct cv_amf_reader *reader);
// A copy of a complete container or other item of `table`.
struct cv_amf *cv__amf_refer(struct cv_amf_reader *reader, const struct cv_amf_table *table,
                             size_t index);
// Adds one zeroed item of `size` bytes to a table. NULL, and noted, at the cap or without memory.
void *cv__amf_push(struct cv_amf_reader *reader, struct cv_amf_table *table, size_t size);

// One AMF3 value, inside an AMF0 body too.
struct cv_amf *cv__amf3_read(struct cv_amf_reader *reader);
// True for an object that AMF3 writes as an externalizable: a known class with its one member.
bool cv__amf3_is_external(const struct cv_amf *object);
// Writes one AMF3 value below `depth` containers.
void cv__amf3_write(struct cv_wr *wr, const struct cv_amf *value, unsigned depth);

#endif
