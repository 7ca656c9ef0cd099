#include "chunk_kit.h"

// ---- bytes that grow ------------------------------------------------------------------------

void bytes_add(struct bytes *bytes, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (bytes->len + len > bytes->room) {
        bytes->room = (bytes->len + len) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        assert_non_null(bytes->data);
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void bytes_u8(struct bytes *bytes, uint32_t value)
{
    uint8_t byte = (uint8_t)value;
    bytes_add(bytes, &byte, 1);
}

void bytes_u24(struct bytes *bytes, uint32_t value)
{
    bytes_u8(bytes, value >> 16);
    bytes_u8(bytes, value >> 8);
    bytes_u8(bytes, value);
}

void bytes_u32(struct bytes *bytes, uint32_t value)
{
    bytes_u8(bytes, value >> 24);
    bytes_u24(bytes, value);
}

void bytes_hex(struct bytes *bytes, const char *hex)
{
    uint8_t data[512];
    bytes_add(bytes, data, hex_bytes(hex, data, sizeof data));
}

void bytes_pattern(struct bytes *bytes, uint32_t seed, size_t len)
{
    uint32_t state = seed;
    for (size_t i = 0; i < len; i++)
        bytes_u8(bytes, next_random(&state) >> 8);
}

size_t bytes_gathered(struct bytes *bytes, const struct cv_gather *gather, size_t len)
{
    size_t before = bytes->len;
    for (int i = 0; i < gather->count; i++) {
        size_t left = len - (bytes->len - before);
        size_t piece = gather->vectors[i].iov_len;
        bytes_add(bytes, gather->vectors[i].iov_base, piece < left ? piece : left);
    }
    return bytes->len - before;
}

void bytes_equal(const struct bytes *a, const struct bytes *b)
{
    assert_int_equal(a->len, b->len);
    if (a->len)
        assert_memory_equal(a->data, b->data, a->len);
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state ^ *state >> 16;
}

uint32_t random_below(uint32_t *state, uint32_t below)
{
    return next_random(state) % below;
}

// ---- chunks ---------------------------------------------------------------------------------

void chunk_basic(struct bytes *wire, uint32_t form, uint32_t csid)
{
    assert_true(csid >= 2 && csid <= 65599);
    if (csid < 64) {
        bytes_u8(wire, form << 6 | csid);
        return;
    }
    bytes_u8(wire, form << 6 | (csid < 320 ? 0 : 1));
    bytes_u8(wire, csid - 64);
    if (csid >= 320)
        bytes_u8(wire, (csid - 64) >> 8);
}

static uint32_t field_of(uint32_t time)
{
    return time < 0xffffff ? time : 0xffffff;
}

static void extended(struct bytes *wire, uint32_t time)
{
    if (time >= 0xffffff)
        bytes_u32(wire, time);
}

void chunk_form_0(struct bytes *wire, uint32_t csid, uint32_t time, uint32_t len, uint8_t type,
                  uint32_t stream_id)
{
    chunk_basic(wire, 0, csid);
    bytes_u24(wire, field_of(time));
    bytes_u24(wire, len);
    bytes_u8(wire, type);
    for (int shift = 0; shift < 32; shift += 8)
        bytes_u8(wire, stream_id >> shift);
    extended(wire, time);
}

void chunk_form_1(struct bytes *wire, uint32_t csid, uint32_t time, uint32_t len, uint8_t type)
{
    chunk_basic(wire, 1, csid);
    bytes_u24(wire, field_of(time));
    bytes_u24(wire, len);
    bytes_u8(wire, type);
    extended(wire, time);
}

void chunk_form_2(struct bytes *wire, uint32_t csid, uint32_t time)
{
    chunk_basic(wire, 2, csid);
    bytes_u24(wire, field_of(time));
    extended(wire, time);
}

void chunk_message(struct bytes *wire, uint32_t csid, const struct cv_msg *msg, size_t chunk_bytes)
{
    const struct cv_block *payload = msg->payload;
    chunk_form_0(wire, csid, msg->ts_ms, payload->len, msg->type, msg->stream_id);
    for (size_t at = 0; at < payload->len; at += chunk_bytes) {
        if (at) {
            chunk_basic(wire, 3, csid);
            extended(wire, msg->ts_ms);
        }
        size_t left = payload->len - at;
        bytes_add(wire, payload->data + at, left < chunk_bytes ? left : chunk_bytes);
    }
}

void chunk_control(struct bytes *wire, uint8_t type, uint32_t value)
{
    chunk_form_0(wire, 2, 0, 4, type, 0);
    bytes_u32(wire, value);
}

// ---- records --------------------------------------------------------------------------------

static void record_head(struct bytes *record, uint8_t type, uint32_t ts_ms, uint32_t stream_id,
                        size_t len)
{
    bytes_u8(record, type);
    bytes_u32(record, ts_ms);
    bytes_u32(record, stream_id);
    bytes_u32(record, (uint32_t)len);
}

void record_message(struct bytes *record, const struct cv_msg *msg)
{
    assert_non_null(msg->payload);
    record_head(record, msg->type, msg->ts_ms, msg->stream_id, msg->payload->len);
    bytes_add(record, msg->payload->data, msg->payload->len);
}

void record_pattern(struct bytes *record, uint8_t type, uint32_t ts_ms, uint32_t stream_id,
                    uint32_t seed, size_t len)
{
    record_head(record, type, ts_ms, stream_id, len);
    bytes_pattern(record, seed, len);
}
