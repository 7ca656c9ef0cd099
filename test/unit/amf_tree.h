// What the AMF tests share: comparing trees, random trees, and decoding every prefix.
#ifndef CV_TEST_AMF_TREE_H
#define CV_TEST_AMF_TREE_H

#include "harness.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/amf.h"

typedef int (*amf_decode_fn)(struct cv_amf_doc *doc, const void *data, size_t len,
                             struct cv_why *why);
typedef void (*amf_write_fn)(struct cv_wr *wr, const struct cv_amf *value);

// True when both values and all below them are equal, keys included. The marker of XML is not
// compared: AMF0 cannot say it.
bool amf_same(const struct cv_amf *a, const struct cv_amf *b);
// How many values there are in the list and below; fails when they are deeper than the limit.
size_t amf_count(const struct cv_amf *list, unsigned depth);

// Random values of one seed. Which types: all that AMF3 has, or those of AMF0 only.
struct amf_random {
    uint64_t seed;
    bool amf3;
    size_t used;
    struct cv_amf nodes[400];
    char texts[400][24];
};
const struct cv_amf *amf_random_value(struct amf_random *random);

// The bytes of one value; the caller unrefs the block.
struct cv_block *amf_bytes(amf_write_fn write, const struct cv_amf *value);
// Decodes hex into a fresh document, expecting `code`.
struct cv_amf_doc *amf_decode_hex(amf_decode_fn decode, const char *hex, int code);
// Decodes each prefix of the bytes, each ending at an unreadable page: 0 or `truncated` codes only,
// and all of them gives 0.
void amf_each_prefix(amf_decode_fn decode, const uint8_t *data, size_t len);
// Decodes with each allocation failing once.
void amf_failing_memory(amf_decode_fn decode, const char *hex);

#endif
