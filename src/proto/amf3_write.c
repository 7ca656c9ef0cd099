#include "base/limits.h"
#include "proto/amf3.h"
#include "proto/amf3_wire.h"
#include "proto/amf_build.h"

static void write_failed(struct cv_wr *wr, int code)
{
    if (wr->err == CV_OK)
        wr->err = code;
}

static void write_u29(struct cv_wr *wr, uint32_t value)
{
    if (value > 0x1fffff) { // four bytes: 7, 7, 7 and 8 bits
        cv_wr_u8(wr, (uint8_t)(0x80 | value >> 22));
        cv_wr_u8(wr, (uint8_t)(0x80 | (value >> 15 & 0x7f)));
        cv_wr_u8(wr, (uint8_t)(0x80 | (value >> 8 & 0x7f)));
        cv_wr_u8(wr, (uint8_t)value);
        return;
    }
    if (value > 0x3fff)
        cv_wr_u8(wr, (uint8_t)(0x80 | value >> 14));
    if (value > 0x7f)
        cv_wr_u8(wr, (uint8_t)(0x80 | (value >> 7 & 0x7f)));
    cv_wr_u8(wr, value & 0x7f);
}

// A length or count that is not a reference.
static void write_head(struct cv_wr *wr, size_t number)
{
    if (number > LENGTH_MAX)
        write_failed(wr, CV_E_TOO_LONG);
    else
        write_u29(wr, (uint32_t)number << 1 | 1);
}

static void write_text(struct cv_wr *wr, struct cv_text text)
{
    write_head(wr, text.len);
    cv_wr_bytes(wr, text.at, text.len);
}

static void write_key(struct cv_wr *wr, struct cv_text key)
{
    if (key.len == 0) // would read as the end of the members
        write_failed(wr, CV_E_USAGE);
    write_text(wr, key);
}

static void write_number(struct cv_wr *wr, const struct cv_amf *value)
{
    double number = value->number;
    if (value->integer && number >= INTEGER_MIN && number <= INTEGER_MAX) {
        cv_wr_u8(wr, MARK_INTEGER);
        write_u29(wr, (uint32_t)(int32_t)number & U29_MAX);
        return;
    }
    cv_wr_u8(wr, MARK_DOUBLE);
    cv_wr_double(wr, number);
}

static void write_date(struct cv_wr *wr, double number)
{
    cv_wr_u8(wr, MARK_DATE);
    write_head(wr, 0);
    cv_wr_double(wr, number);
}

static size_t count_children(const struct cv_amf *value, bool keyed)
{
    size_t count = 0;
    for (const struct cv_amf *child = value->first; child; child = child->next)
        count += (child->key.len > 0) == keyed;
    return count;
}

static void write_members(struct cv_wr *wr, const struct cv_amf *object, unsigned depth)
{
    for (const struct cv_amf *child = object->first; child && wr->err == CV_OK;
         child = child->next) {
        write_key(wr, child->key);
        cv__amf3_write(wr, child, depth);
    }
    write_head(wr, 0);
}

static void write_values(struct cv_wr *wr, const struct cv_amf *value, unsigned depth)
{
    for (const struct cv_amf *child = value->first; child && wr->err == CV_OK; child = child->next)
        cv__amf3_write(wr, child, depth);
}

// Keyed members first, then the dense items; an array without keys has none of the former.
static void write_array(struct cv_wr *wr, const struct cv_amf *array, unsigned depth)
{
    cv_wr_u8(wr, MARK_ARRAY);
    write_head(wr, count_children(array, false));
    for (int keyed = 1; keyed >= 0; keyed--) {
        for (const struct cv_amf *child = array->first; child && wr->err == CV_OK;
             child = child->next) {
            if ((child->key.len > 0) != keyed)
                continue;
            if (keyed)
                write_text(wr, child->key);
            cv__amf3_write(wr, child, depth);
        }
        if (keyed)
            write_head(wr, 0);
    }
}

static void write_traits(struct cv_wr *wr, uint32_t flags, size_t names, struct cv_text class_name)
{
    write_head(wr, names << 3 | flags);
    write_text(wr, class_name);
}

// Anonymous objects are dynamic, objects of a class have sealed members only.
static void write_object(struct cv_wr *wr, const struct cv_amf *object, unsigned depth)
{
    cv_wr_u8(wr, MARK_OBJECT);
    if (cv__amf3_is_external(object)) {
        write_traits(wr, OBJECT_INLINE_TRAITS | OBJECT_EXTERNAL, 0, object->class_name);
        write_values(wr, object, depth);
        return;
    }
    if (object->class_name.len == 0) {
        write_traits(wr, OBJECT_INLINE_TRAITS | OBJECT_DYNAMIC, 0, object->class_name);
        write_members(wr, object, depth);
        return;
    }
    write_traits(wr, OBJECT_INLINE_TRAITS, count_children(object, true), object->class_name);
    for (const struct cv_amf *member = object->first; member; member = member->next)
        write_key(wr, member->key);
    write_values(wr, object, depth);
}

static uint32_t bits_of(double number)
{
    if (number >= INT32_MIN && number < 0)
        return (uint32_t)(int32_t)number;
    return number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static void write_vector(struct cv_wr *wr, const struct cv_amf *vector, unsigned depth)
{
    uint8_t marker = vector->marker ? vector->marker : MARK_VECTOR_OBJECT;
    cv_wr_u8(wr, marker);
    write_head(wr, count_children(vector, false));
    cv_wr_u8(wr, vector->boolean ? 1 : 0);
    if (marker == MARK_VECTOR_OBJECT) {
        write_text(wr, vector->class_name);
        write_values(wr, vector, depth);
        return;
    }
    for (const struct cv_amf *item = vector->first; item && wr->err == CV_OK; item = item->next) {
        if (marker == MARK_VECTOR_DOUBLE)
            cv_wr_double(wr, item->number);
        else
            cv_wr_u32(wr, bits_of(item->number));
    }
}

static void write_dictionary(struct cv_wr *wr, const struct cv_amf *dictionary, unsigned depth)
{
    cv_wr_u8(wr, MARK_DICTIONARY);
    write_head(wr, count_children(dictionary, false) / 2);
    cv_wr_u8(wr, dictionary->boolean ? 1 : 0);
    write_values(wr, dictionary, depth);
}

static void write_complex(struct cv_wr *wr, const struct cv_amf *value, unsigned depth)
{
    if (depth == CV_LIMIT_AMF_DEPTH)
        write_failed(wr, CV_E_TOO_DEEP);
    else if (value->type == CV_AMF_OBJECT)
        write_object(wr, value, depth + 1);
    else if (value->type == CV_AMF_VECTOR)
        write_vector(wr, value, depth + 1);
    else if (value->type == CV_AMF_DICTIONARY)
        write_dictionary(wr, value, depth + 1);
    else
        write_array(wr, value, depth + 1);
}

static void write_marked_text(struct cv_wr *wr, uint8_t marker, struct cv_text text)
{
    cv_wr_u8(wr, marker);
    write_text(wr, text);
}

void cv__amf3_write(struct cv_wr *wr, const struct cv_amf *value, unsigned depth)
{
    switch (value->type) {
    case CV_AMF_NUMBER:
        write_number(wr, value);
        break;
    case CV_AMF_BOOLEAN:
        cv_wr_u8(wr, value->boolean ? MARK_TRUE : MARK_FALSE);
        break;
    case CV_AMF_STRING:
        write_marked_text(wr, MARK_STRING, value->text);
        break;
    case CV_AMF_NULL:
        cv_wr_u8(wr, MARK_NULL);
        break;
    case CV_AMF_UNDEFINED:
        cv_wr_u8(wr, MARK_UNDEFINED);
        break;
    case CV_AMF_DATE:
        write_date(wr, value->number);
        break;
    case CV_AMF_XML:
        write_marked_text(wr, value->marker ? value->marker : MARK_XML_DOC, value->text);
        break;
    case CV_AMF_BYTES:
        write_marked_text(wr, MARK_BYTES, value->text);
        break;
    default:
        write_complex(wr, value, depth);
    }
}

void cv_amf3_value(struct cv_wr *wr, const struct cv_amf *value)
{
    cv__amf3_write(wr, value, 0);
}
