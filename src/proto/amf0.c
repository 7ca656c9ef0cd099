#include "proto/amf0.h"

#include "base/limits.h"
#include "proto/amf_build.h"

#include <stdio.h>
#include <string.h>

enum marker {
    MARK_NUMBER = 0x00,
    MARK_BOOLEAN = 0x01,
    MARK_STRING = 0x02,
    MARK_OBJECT = 0x03,
    MARK_NULL = 0x05,
    MARK_UNDEFINED = 0x06,
    MARK_REFERENCE = 0x07,
    MARK_ECMA_ARRAY = 0x08,
    MARK_OBJECT_END = 0x09,
    MARK_STRICT_ARRAY = 0x0a,
    MARK_DATE = 0x0b,
    MARK_LONG_STRING = 0x0c,
    MARK_UNSUPPORTED = 0x0d,
    MARK_XML = 0x0f,
    MARK_TYPED_OBJECT = 0x10,
    MARK_AMF3 = 0x11,
};

// ---- reading --------------------------------------------------------------------------------

static struct cv_amf *read_value(struct cv_amf_reader *reader);

static struct cv_amf *whole(struct cv_amf_reader *reader, struct cv_amf *value)
{
    return cv__amf_good(reader) ? value : NULL;
}

static struct cv_amf *read_number(struct cv_amf_reader *reader)
{
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_NUMBER);
    if (value)
        value->number = cv_rd_double(&reader->rd);
    return whole(reader, value);
}

static struct cv_amf *read_boolean(struct cv_amf_reader *reader)
{
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_BOOLEAN);
    if (value)
        value->boolean = cv_rd_u8(&reader->rd) != 0;
    return whole(reader, value);
}

static struct cv_amf *read_null(struct cv_amf_reader *reader)
{
    return cv__amf_new(reader, CV_AMF_NULL);
}

// The type "unsupported" too: something that its sender could not say.
static struct cv_amf *read_undefined(struct cv_amf_reader *reader)
{
    return cv__amf_new(reader, CV_AMF_UNDEFINED);
}

static struct cv_amf *read_date(struct cv_amf_reader *reader)
{
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_DATE);
    if (!value)
        return NULL;
    value->number = cv_rd_double(&reader->rd);
    cv_rd_u16(&reader->rd); // time zone: reserved, section 2.13
    return whole(reader, value);
}

static struct cv_amf *read_text(struct cv_amf_reader *reader, enum cv_amf_type type, size_t len)
{
    struct cv_amf *value = cv__amf_new(reader, type);
    if (value)
        value->text = cv__amf_text(reader, len);
    return whole(reader, value);
}

static struct cv_amf *read_string(struct cv_amf_reader *reader)
{
    return read_text(reader, CV_AMF_STRING, cv_rd_u16(&reader->rd));
}

static struct cv_amf *read_long_string(struct cv_amf_reader *reader)
{
    return read_text(reader, CV_AMF_STRING, cv_rd_u32(&reader->rd));
}

static struct cv_amf *read_xml(struct cv_amf_reader *reader)
{
    return read_text(reader, CV_AMF_XML, cv_rd_u32(&reader->rd));
}

static bool read_end(struct cv_amf_reader *reader)
{
    uint8_t marker = cv_rd_u8(&reader->rd);
    if (!cv__amf_good(reader))
        return false;
    if (marker == MARK_OBJECT_END)
        return true;
    cv__amf_fail(reader, CV_E_AMF_MARKER, "empty key without an end");
    return false;
}

// Key and value in turn, until 00 00 09 or, from some encoders, until the bytes end.
static bool read_members(struct cv_amf_reader *reader, struct cv_amf *object)
{
    struct cv_amf **tail = &object->first;
    while (cv_rd_left(&reader->rd) > 0) {
        struct cv_text key = cv__amf_text(reader, cv_rd_u16(&reader->rd));
        if (!cv__amf_good(reader))
            return false;
        if (key.len == 0)
            return read_end(reader);
        struct cv_amf *value = read_value(reader);
        if (!value)
            return false;
        value->key = key;
        *tail = value;
        tail = &value->next;
    }
    return true;
}

static struct cv_amf *read_keyed(struct cv_amf_reader *reader, enum cv_amf_type type,
                                 struct cv_text class_name)
{
    struct cv_amf *object = cv__amf_open(reader, &reader->doc->amf0_values, type);
    if (!object)
        return NULL;
    object->class_name = class_name;
    return read_members(reader, object) ? cv__amf_close(reader) : NULL;
}

static struct cv_amf *read_object(struct cv_amf_reader *reader)
{
    return read_keyed(reader, CV_AMF_OBJECT, (struct cv_text){0});
}

static struct cv_amf *read_typed_object(struct cv_amf_reader *reader)
{
    struct cv_text class_name = cv__amf_text(reader, cv_rd_u16(&reader->rd));
    if (!cv__amf_good(reader))
        return NULL;
    return read_keyed(reader, CV_AMF_OBJECT, class_name);
}

static struct cv_amf *read_ecma_array(struct cv_amf_reader *reader)
{
    cv_rd_u32(&reader->rd); // the count is a hint, and often wrong: only the end counts
    if (!cv__amf_good(reader))
        return NULL;
    return read_keyed(reader, CV_AMF_ECMA_ARRAY, (struct cv_text){0});
}

static struct cv_amf *read_strict_array(struct cv_amf_reader *reader)
{
    uint32_t count = cv_rd_u32(&reader->rd);
    if (!cv__amf_fits(reader, count, 1))
        return NULL;
    struct cv_amf *array = cv__amf_open(reader, &reader->doc->amf0_values, CV_AMF_ARRAY);
    if (!array)
        return NULL;
    struct cv_amf **tail = &array->first;
    for (uint32_t i = 0; i < count; i++) {
        struct cv_amf *item = read_value(reader);
        if (!item)
            return NULL;
        *tail = item;
        tail = &item->next;
    }
    return cv__amf_close(reader);
}

static struct cv_amf *read_reference(struct cv_amf_reader *reader)
{
    uint16_t index = cv_rd_u16(&reader->rd);
    if (!cv__amf_good(reader))
        return NULL;
    return cv__amf_refer(reader, &reader->doc->amf0_values, index);
}

static const cv__amf_read_fn readers[] = {
    [MARK_NUMBER] = read_number,
    [MARK_BOOLEAN] = read_boolean,
    [MARK_STRING] = read_string,
    [MARK_OBJECT] = read_object,
    [MARK_NULL] = read_null,
    [MARK_UNDEFINED] = read_undefined,
    [MARK_REFERENCE] = read_reference,
    [MARK_ECMA_ARRAY] = read_ecma_array,
    [MARK_STRICT_ARRAY] = read_strict_array,
    [MARK_DATE] = read_date,
    [MARK_LONG_STRING] = read_long_string,
    [MARK_UNSUPPORTED] = read_undefined,
    [MARK_XML] = read_xml,
    [MARK_TYPED_OBJECT] = read_typed_object,
    [MARK_AMF3] = cv__amf3_read,
};

static struct cv_amf *read_value(struct cv_amf_reader *reader)
{
    uint8_t marker = cv_rd_u8(&reader->rd);
    if (!cv__amf_good(reader))
        return NULL;
    if (marker >= sizeof readers / sizeof readers[0] || !readers[marker])
        return cv__amf_fail(reader, CV_E_AMF_MARKER, "unknown AMF0 marker");
    return readers[marker](reader);
}

int cv_amf0_decode(struct cv_amf_doc *doc, const void *data, size_t len, struct cv_why *why)
{
    struct cv_amf_reader reader = {
        .doc = doc, .rd = cv_rd_over(data, len), .place = "amf0", .why = why};
    return cv__amf_decode(&reader, read_value);
}

// ---- writing --------------------------------------------------------------------------------

static void write_failed(struct cv_wr *wr, int code)
{
    if (wr->err == CV_OK)
        wr->err = code;
}

// Length and bytes of what must be short: keys and class names.
static void write_short(struct cv_wr *wr, struct cv_text text)
{
    if (text.len > UINT16_MAX) {
        write_failed(wr, CV_E_TOO_LONG);
        return;
    }
    cv_wr_u16(wr, (uint16_t)text.len);
    cv_wr_bytes(wr, text.at, text.len);
}

static void write_long(struct cv_wr *wr, struct cv_text text)
{
    if (text.len > UINT32_MAX) {
        write_failed(wr, CV_E_TOO_LONG);
        return;
    }
    cv_wr_u32(wr, (uint32_t)text.len);
    cv_wr_bytes(wr, text.at, text.len);
}

static struct cv_text text_of(const char *text)
{
    return (struct cv_text){.at = text, .len = strlen(text)};
}

void cv_amf0_number(struct cv_wr *wr, double value)
{
    cv_wr_u8(wr, MARK_NUMBER);
    cv_wr_double(wr, value);
}

void cv_amf0_boolean(struct cv_wr *wr, bool value)
{
    cv_wr_u8(wr, MARK_BOOLEAN);
    cv_wr_u8(wr, value ? 1 : 0);
}

void cv_amf0_null(struct cv_wr *wr)
{
    cv_wr_u8(wr, MARK_NULL);
}

void cv_amf0_undefined(struct cv_wr *wr)
{
    cv_wr_u8(wr, MARK_UNDEFINED);
}

void cv_amf0_text(struct cv_wr *wr, struct cv_text text)
{
    bool is_short = text.len <= UINT16_MAX;
    cv_wr_u8(wr, is_short ? MARK_STRING : MARK_LONG_STRING);
    if (is_short)
        write_short(wr, text);
    else
        write_long(wr, text);
}

void cv_amf0_string(struct cv_wr *wr, const char *text)
{
    cv_amf0_text(wr, text_of(text));
}

void cv_amf0_object(struct cv_wr *wr)
{
    cv_wr_u8(wr, MARK_OBJECT);
}

void cv_amf0_ecma_array(struct cv_wr *wr, uint32_t count_hint)
{
    cv_wr_u8(wr, MARK_ECMA_ARRAY);
    cv_wr_u32(wr, count_hint);
}

void cv_amf0_strict_array(struct cv_wr *wr, uint32_t count)
{
    cv_wr_u8(wr, MARK_STRICT_ARRAY);
    cv_wr_u32(wr, count);
}

void cv_amf0_key_text(struct cv_wr *wr, struct cv_text key)
{
    if (key.len == 0) // would read as the object's end
        write_failed(wr, CV_E_USAGE);
    write_short(wr, key);
}

void cv_amf0_key(struct cv_wr *wr, const char *key)
{
    cv_amf0_key_text(wr, text_of(key));
}

void cv_amf0_end(struct cv_wr *wr)
{
    cv_wr_u16(wr, 0);
    cv_wr_u8(wr, MARK_OBJECT_END);
}

void cv_amf0_put_string(struct cv_wr *wr, const char *key, const char *value)
{
    cv_amf0_key(wr, key);
    cv_amf0_string(wr, value);
}

void cv_amf0_put_number(struct cv_wr *wr, const char *key, double value)
{
    cv_amf0_key(wr, key);
    cv_amf0_number(wr, value);
}

static void write_value(struct cv_wr *wr, const struct cv_amf *value, unsigned depth);

static uint32_t count_children(const struct cv_amf *value)
{
    uint32_t count = 0;
    for (const struct cv_amf *child = value->first; child; child = child->next)
        count++;
    return count;
}

static void write_items(struct cv_wr *wr, const struct cv_amf *array, unsigned depth)
{
    cv_amf0_strict_array(wr, count_children(array));
    for (const struct cv_amf *item = array->first; item && wr->err == CV_OK; item = item->next)
        write_value(wr, item, depth);
}

// The dense items of an AMF3 array have no keys: they get "0", "1", ..., as Flash writes them.
static void write_members(struct cv_wr *wr, const struct cv_amf *object, unsigned depth)
{
    unsigned index = 0;
    for (const struct cv_amf *child = object->first; child && wr->err == CV_OK;
         child = child->next) {
        char digits[16];
        if (child->key.len > 0) {
            cv_amf0_key_text(wr, child->key);
        } else {
            snprintf(digits, sizeof digits, "%u", index++);
            cv_amf0_key(wr, digits);
        }
        write_value(wr, child, depth);
    }
    cv_amf0_end(wr);
}

static void write_object(struct cv_wr *wr, const struct cv_amf *object, unsigned depth)
{
    if (object->class_name.len > 0) {
        cv_wr_u8(wr, MARK_TYPED_OBJECT);
        write_short(wr, object->class_name);
    } else {
        cv_amf0_object(wr);
    }
    write_members(wr, object, depth);
}

static void write_date(struct cv_wr *wr, double number)
{
    cv_wr_u8(wr, MARK_DATE);
    cv_wr_double(wr, number);
    cv_wr_u16(wr, 0);
}

static void write_xml(struct cv_wr *wr, struct cv_text text)
{
    cv_wr_u8(wr, MARK_XML);
    write_long(wr, text);
}

static void write_complex(struct cv_wr *wr, const struct cv_amf *value, unsigned depth)
{
    if (depth == CV_LIMIT_AMF_DEPTH) {
        write_failed(wr, CV_E_TOO_DEEP);
        return;
    }
    if (value->type == CV_AMF_ARRAY) {
        write_items(wr, value, depth + 1);
    } else if (value->type == CV_AMF_OBJECT) {
        write_object(wr, value, depth + 1);
    } else {
        cv_amf0_ecma_array(wr, count_children(value));
        write_members(wr, value, depth + 1);
    }
}

static bool needs_amf3(const struct cv_amf *value)
{
    switch (value->type) {
    case CV_AMF_BYTES:
    case CV_AMF_VECTOR:
    case CV_AMF_DICTIONARY:
        return true;
    case CV_AMF_OBJECT:
        return cv__amf3_is_external(value);
    default:
        return false;
    }
}

static void write_value(struct cv_wr *wr, const struct cv_amf *value, unsigned depth)
{
    if (needs_amf3(value)) {
        cv_wr_u8(wr, MARK_AMF3);
        cv__amf3_write(wr, value, depth);
        return;
    }
    switch (value->type) {
    case CV_AMF_NUMBER:
        cv_amf0_number(wr, value->number);
        break;
    case CV_AMF_BOOLEAN:
        cv_amf0_boolean(wr, value->boolean);
        break;
    case CV_AMF_STRING:
        cv_amf0_text(wr, value->text);
        break;
    case CV_AMF_NULL:
        cv_amf0_null(wr);
        break;
    case CV_AMF_DATE:
        write_date(wr, value->number);
        break;
    case CV_AMF_XML:
        write_xml(wr, value->text);
        break;
    case CV_AMF_OBJECT:
    case CV_AMF_ECMA_ARRAY:
    case CV_AMF_ARRAY:
        write_complex(wr, value, depth);
        break;
    default:
        cv_amf0_undefined(wr);
    }
}

void cv_amf0_value(struct cv_wr *wr, const struct cv_amf *value)
{
    write_value(wr, value, 0);
}
