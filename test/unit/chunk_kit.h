// A second, simple writer of chunk streams, and records of what an engine made of one; for the
// tests of chunk_in, chunk_out and rtmp.
#ifndef CV_TEST_CHUNK_KIT_H
#define CV_TEST_CHUNK_KIT_H

#include "harness.h"

#include "base/gather.h"
#include "proto/message.h"

// ---- bytes that grow ------------------------------------------------------------------------

struct bytes {
    uint8_t *data; // NULL while empty
    size_t len;
    size_t room;
};

void bytes_add(struct bytes *bytes, const void *data, size_t len);
void bytes_u8(struct bytes *bytes, uint32_t value);
void bytes_u24(struct bytes *bytes, uint32_t value);
void bytes_u32(struct bytes *bytes, uint32_t value);
void bytes_hex(struct bytes *bytes, const char *hex);
// `len` bytes that depend on `seed`.
void bytes_pattern(struct bytes *bytes, uint32_t seed, size_t len);
// What the first `len` bytes of a gather hold (all of them: SIZE_MAX). Returns how many there were.
size_t bytes_gathered(struct bytes *bytes, const struct cv_gather *gather, size_t len);
void bytes_equal(const struct bytes *a, const struct bytes *b);
void bytes_free(struct bytes *bytes);

// Numbers that can be repeated.
uint32_t next_random(uint32_t *state);
// One of 0..below-1.
uint32_t random_below(uint32_t *state, uint32_t below);

// ---- chunks ---------------------------------------------------------------------------------

// A basic header in the shortest form.
void chunk_basic(struct bytes *wire, uint32_t form, uint32_t csid);
// Headers by form; time is absolute (0) or a delta (1, 2), with the extended field where needed.
void chunk_form_0(struct bytes *wire, uint32_t csid, uint32_t time, uint32_t len, uint8_t type,
                  uint32_t stream_id);
void chunk_form_1(struct bytes *wire, uint32_t csid, uint32_t time, uint32_t len, uint8_t type);
void chunk_form_2(struct bytes *wire, uint32_t csid, uint32_t time);
// A whole message, form 0, extended field repeated, cut into chunks.
void chunk_message(struct bytes *wire, uint32_t csid, const struct cv_msg *msg, size_t chunk_bytes);
// A control message of one number on csid 2.
void chunk_control(struct bytes *wire, uint8_t type, uint32_t value);

// ---- records --------------------------------------------------------------------------------

// Appends type, time, stream id, length and payload.
void record_message(struct bytes *record, const struct cv_msg *msg);
// A record of a message that is not in a block: `len` bytes of bytes_pattern(seed).
void record_pattern(struct bytes *record, uint8_t type, uint32_t ts_ms, uint32_t stream_id,
                    uint32_t seed, size_t len);

#endif
