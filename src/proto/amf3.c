#include "proto/amf3.h"

#include "base/check.h"
#include "base/limits.h"
#include "proto/amf3_wire.h"
#include "proto/amf_build.h"

#include <string.h>

// Externalizable classes that are one AMF3 value, and the property that holds it in Flex. The
// bytes of any other class have no length and no known shape.
static const struct external {
    const char *class_name;
    const char *key;
} externals[] = {
    {"flex.messaging.io.ArrayCollection", "source"},
    {"flex.messaging.io.ArrayList", "source"},
    {"flex.messaging.io.ObjectProxy", "object"},
};

static const char *external_key(struct cv_text class_name)
{
    for (size_t i = 0; i < sizeof externals / sizeof externals[0]; i++) {
        if (cv_text_is(class_name, externals[i].class_name))
            return externals[i].key;
    }
    return NULL;
}

bool cv__amf3_is_external(const struct cv_amf *object)
{
    const char *key = external_key(object->class_name);
    const struct cv_amf *member = object->first;
    return key && member && !member->next && cv_text_is(member->key, key);
}

// ---- reading: parts -------------------------------------------------------------------------

// U29, section 1.3.1: up to three bytes of 7 bits with a "more" flag, then one of 8.
static uint32_t read_u29(struct cv_rd *rd)
{
    uint32_t value = 0;
    for (int i = 0; i < 3; i++) {
        uint8_t byte = cv_rd_u8(rd);
        value = value << 7 | (byte & 0x7f);
        if (!(byte & 0x80))
            return value;
    }
    return value << 8 | cv_rd_u8(rd);
}

// A U29 whose lowest bit says what it is: 0, a reference; 1, a length or count.
struct head {
    bool is_reference;
    uint32_t number;
};

static bool read_head(struct cv_amf_reader *reader, struct head *head)
{
    uint32_t bits = read_u29(&reader->rd);
    *head = (struct head){.is_reference = !(bits & 1), .number = bits >> 1};
    return cv__amf_good(reader);
}

static bool string_at(struct cv_amf_reader *reader, uint32_t index, struct cv_text *text)
{
    const struct cv_amf_table *strings = &reader->doc->strings;
    if (index >= strings->count) {
        cv__amf_fail(reader, CV_E_AMF_REF, "reference to no string");
        return false;
    }
    *text = ((const struct cv_text *)strings->items)[index];
    return true;
}

// A string without its marker: value, key or class name. The empty one never enters the table.
static bool read_text(struct cv_amf_reader *reader, struct cv_text *text)
{
    struct head head;
    if (!read_head(reader, &head))
        return false;
    if (head.is_reference)
        return string_at(reader, head.number, text);
    *text = cv__amf_text(reader, head.number);
    if (!cv__amf_good(reader) || text->len == 0)
        return reader->err == CV_OK;
    struct cv_text *item = cv__amf_push(reader, &reader->doc->strings, sizeof *item);
    if (item)
        *item = *text;
    return item != NULL;
}

static struct cv_amf *whole(struct cv_amf_reader *reader, struct cv_amf *value)
{
    return cv__amf_good(reader) ? value : NULL;
}

// ---- reading: simple values -----------------------------------------------------------------

static struct cv_amf *read_undefined(struct cv_amf_reader *reader)
{
    return cv__amf_new(reader, CV_AMF_UNDEFINED);
}

static struct cv_amf *read_null(struct cv_amf_reader *reader)
{
    return cv__amf_new(reader, CV_AMF_NULL);
}

static struct cv_amf *read_false(struct cv_amf_reader *reader)
{
    return cv__amf_new(reader, CV_AMF_BOOLEAN);
}

static struct cv_amf *read_true(struct cv_amf_reader *reader)
{
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_BOOLEAN);
    if (value)
        value->boolean = true;
    return value;
}

static struct cv_amf *new_number(struct cv_amf_reader *reader, double number, bool integer)
{
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_NUMBER);
    if (value) {
        value->number = number;
        value->integer = integer;
    }
    return whole(reader, value);
}

static struct cv_amf *read_integer(struct cv_amf_reader *reader)
{
    uint32_t bits = read_u29(&reader->rd);
    double number = bits;
    return new_number(reader, bits > INTEGER_MAX ? number - U29_MAX - 1 : number, true);
}

static struct cv_amf *read_double(struct cv_amf_reader *reader)
{
    return new_number(reader, cv_rd_double(&reader->rd), false);
}

static struct cv_amf *read_int32(struct cv_amf_reader *reader)
{
    uint32_t bits = cv_rd_u32(&reader->rd);
    double number = bits;
    return new_number(reader, bits > INT32_MAX ? number - 4294967296.0 : number, true);
}

static struct cv_amf *read_uint32(struct cv_amf_reader *reader)
{
    return new_number(reader, cv_rd_u32(&reader->rd), true);
}

static struct cv_amf *read_string(struct cv_amf_reader *reader)
{
    struct cv_text text;
    if (!read_text(reader, &text))
        return NULL;
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_STRING);
    if (value)
        value->text = text;
    return value;
}

// ---- reading: values with a place in the table ----------------------------------------------

// Enters a value without children in the table.
static struct cv_amf *entered(struct cv_amf_reader *reader, struct cv_amf *value)
{
    if (!value || !cv__amf_good(reader))
        return NULL;
    struct cv_amf_complex *item = cv__amf_push(reader, &reader->doc->values, sizeof *item);
    if (!item)
        return NULL;
    *item = (struct cv_amf_complex){.value = value, .nodes = 1, .height = 0};
    return value;
}

// The body behind a head that is not a reference; `number` is the head's length or count.
typedef struct cv_amf *(*body_fn)(struct cv_amf_reader *reader, uint32_t number);

static struct cv_amf *read_referable(struct cv_amf_reader *reader, body_fn body)
{
    struct head head;
    if (!read_head(reader, &head))
        return NULL;
    if (head.is_reference)
        return cv__amf_refer(reader, &reader->doc->values, head.number);
    return body(reader, head.number);
}

static struct cv_amf *date_body(struct cv_amf_reader *reader, uint32_t number)
{
    (void)number;
    struct cv_amf *value = cv__amf_new(reader, CV_AMF_DATE);
    if (value)
        value->number = cv_rd_double(&reader->rd);
    return entered(reader, value);
}

static struct cv_amf *text_body(struct cv_amf_reader *reader, enum cv_amf_type type, uint8_t marker,
                                uint32_t len)
{
    struct cv_amf *value = cv__amf_new(reader, type);
    if (value) {
        value->marker = marker;
        value->text = cv__amf_text(reader, len);
    }
    return entered(reader, value);
}

static struct cv_amf *bytes_body(struct cv_amf_reader *reader, uint32_t len)
{
    return text_body(reader, CV_AMF_BYTES, 0, len);
}

static struct cv_amf *xml_doc_body(struct cv_amf_reader *reader, uint32_t len)
{
    return text_body(reader, CV_AMF_XML, MARK_XML_DOC, len);
}

static struct cv_amf *xml_body(struct cv_amf_reader *reader, uint32_t len)
{
    return text_body(reader, CV_AMF_XML, MARK_XML, len);
}

static struct cv_amf *open_container(struct cv_amf_reader *reader, enum cv_amf_type type)
{
    return cv__amf_open(reader, &reader->doc->values, type);
}

// `count` values by `read`, appended at `tail`.
static bool read_items(struct cv_amf_reader *reader, struct cv_amf **tail, uint32_t count,
                       cv__amf_read_fn read)
{
    for (uint32_t i = 0; i < count; i++) {
        struct cv_amf *item = read(reader);
        if (!item)
            return false;
        *tail = item;
        tail = &item->next;
    }
    return true;
}

// Key and value in turn until the empty key. Returns where the next child goes, or NULL.
static struct cv_amf **read_members(struct cv_amf_reader *reader, struct cv_amf **tail)
{
    for (;;) {
        struct cv_text key;
        if (!read_text(reader, &key))
            return NULL;
        if (key.len == 0)
            return tail;
        struct cv_amf *value = cv__amf3_read(reader);
        if (!value)
            return NULL;
        value->key = key;
        *tail = value;
        tail = &value->next;
    }
}

static struct cv_amf *array_body(struct cv_amf_reader *reader, uint32_t count)
{
    if (!cv__amf_fits(reader, count, 1))
        return NULL;
    struct cv_amf *array = open_container(reader, CV_AMF_ARRAY);
    if (!array)
        return NULL;
    struct cv_amf **tail = read_members(reader, &array->first);
    if (!tail)
        return NULL;
    if (array->first)
        array->type = CV_AMF_ECMA_ARRAY;
    return read_items(reader, tail, count, cv__amf3_read) ? cv__amf_close(reader) : NULL;
}

static struct cv_amf *vector_body(struct cv_amf_reader *reader, uint32_t count, uint8_t marker)
{
    struct cv_amf *vector = open_container(reader, CV_AMF_VECTOR);
    if (!vector)
        return NULL;
    vector->marker = marker;
    vector->boolean = cv_rd_u8(&reader->rd) != 0;
    if (marker == MARK_VECTOR_OBJECT && !read_text(reader, &vector->class_name))
        return NULL;
    static const struct {
        size_t size;
        cv__amf_read_fn read;
    } kinds[] = {
        {4, read_int32},
        {4, read_uint32},
        {8, read_double},
        {1, cv__amf3_read},
    };
    size_t kind = marker - MARK_VECTOR_INT;
    CV_ASSERT(kind < sizeof kinds / sizeof kinds[0]);
    if (!cv__amf_fits(reader, count, kinds[kind].size) ||
        !read_items(reader, &vector->first, count, kinds[kind].read))
        return NULL;
    return cv__amf_close(reader);
}

static struct cv_amf *int_vector_body(struct cv_amf_reader *reader, uint32_t count)
{
    return vector_body(reader, count, MARK_VECTOR_INT);
}

static struct cv_amf *uint_vector_body(struct cv_amf_reader *reader, uint32_t count)
{
    return vector_body(reader, count, MARK_VECTOR_UINT);
}

static struct cv_amf *double_vector_body(struct cv_amf_reader *reader, uint32_t count)
{
    return vector_body(reader, count, MARK_VECTOR_DOUBLE);
}

static struct cv_amf *object_vector_body(struct cv_amf_reader *reader, uint32_t count)
{
    return vector_body(reader, count, MARK_VECTOR_OBJECT);
}

static struct cv_amf *dictionary_body(struct cv_amf_reader *reader, uint32_t count)
{
    struct cv_amf *dictionary = open_container(reader, CV_AMF_DICTIONARY);
    if (!dictionary)
        return NULL;
    dictionary->boolean = cv_rd_u8(&reader->rd) != 0;
    if (!cv__amf_fits(reader, count, 2) ||
        !read_items(reader, &dictionary->first, 2 * count, cv__amf3_read))
        return NULL;
    return cv__amf_close(reader);
}

// ---- reading: objects -----------------------------------------------------------------------

static bool read_names(struct cv_amf_reader *reader, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct cv_text text;
        if (!read_text(reader, &text))
            return false;
        if (text.len == 0) {
            cv__amf_fail(reader, CV_E_AMF_MARKER, "member without a name");
            return false;
        }
        struct cv_text *name = cv__amf_push(reader, &reader->doc->names, sizeof *name);
        if (!name)
            return false;
        *name = text;
    }
    return true;
}

static bool new_traits(struct cv_amf_reader *reader, uint32_t flags, struct cv_amf_traits *traits)
{
    bool external = flags & OBJECT_EXTERNAL;
    uint32_t count = external ? 0 : flags >> 3;
    *traits = (struct cv_amf_traits){.first_name = reader->doc->names.count,
                                     .names = count,
                                     .dynamic = flags & OBJECT_DYNAMIC,
                                     .external = external};
    if (!read_text(reader, &traits->class_name) || !cv__amf_fits(reader, count, 1) ||
        !read_names(reader, count))
        return false;
    struct cv_amf_traits *item = cv__amf_push(reader, &reader->doc->traits, sizeof *item);
    if (item)
        *item = *traits;
    return item != NULL;
}

static bool read_traits(struct cv_amf_reader *reader, uint32_t flags, struct cv_amf_traits *traits)
{
    if (flags & OBJECT_INLINE_TRAITS)
        return new_traits(reader, flags, traits);
    const struct cv_amf_table *table = &reader->doc->traits;
    size_t index = flags >> 1;
    if (index >= table->count) {
        cv__amf_fail(reader, CV_E_AMF_REF, "reference to no traits");
        return false;
    }
    *traits = ((const struct cv_amf_traits *)table->items)[index];
    return true;
}

static bool read_external(struct cv_amf_reader *reader, struct cv_amf *object)
{
    const char *key = external_key(object->class_name);
    if (!key) {
        cv__amf_fail(reader, CV_E_AMF_EXTERNAL, "externalizable class that is not known");
        return false;
    }
    object->first = cv__amf3_read(reader);
    if (object->first)
        object->first->key = (struct cv_text){.at = key, .len = strlen(key)};
    return object->first != NULL;
}

static bool read_sealed(struct cv_amf_reader *reader, struct cv_amf *object,
                        const struct cv_amf_traits *traits)
{
    if (!read_items(reader, &object->first, (uint32_t)traits->names, cv__amf3_read))
        return false;
    const struct cv_text *names = reader->doc->names.items;
    size_t index = traits->first_name;
    CV_ASSERT(index + traits->names <= reader->doc->names.count);
    for (struct cv_amf *member = object->first; member; member = member->next)
        member->key = names[index++];
    return true;
}

static struct cv_amf **last_link(struct cv_amf *object)
{
    struct cv_amf **link = &object->first;
    while (*link)
        link = &(*link)->next;
    return link;
}

static struct cv_amf *object_body(struct cv_amf_reader *reader, uint32_t flags)
{
    struct cv_amf *object = open_container(reader, CV_AMF_OBJECT);
    struct cv_amf_traits traits;
    if (!object || !read_traits(reader, flags, &traits))
        return NULL;
    object->class_name = traits.class_name;
    if (traits.external)
        return read_external(reader, object) ? cv__amf_close(reader) : NULL;
    if (!read_sealed(reader, object, &traits))
        return NULL;
    if (traits.dynamic && !read_members(reader, last_link(object)))
        return NULL;
    return cv__amf_close(reader);
}

// ---- reading: the table of markers ----------------------------------------------------------

static const cv__amf_read_fn readers[] = {
    [MARK_UNDEFINED] = read_undefined, [MARK_NULL] = read_null,       [MARK_FALSE] = read_false,
    [MARK_TRUE] = read_true,           [MARK_INTEGER] = read_integer, [MARK_DOUBLE] = read_double,
    [MARK_STRING] = read_string,
};

static const body_fn bodies[] = {
    [MARK_XML_DOC] = xml_doc_body,
    [MARK_DATE] = date_body,
    [MARK_ARRAY] = array_body,
    [MARK_OBJECT] = object_body,
    [MARK_XML] = xml_body,
    [MARK_BYTES] = bytes_body,
    [MARK_VECTOR_INT] = int_vector_body,
    [MARK_VECTOR_UINT] = uint_vector_body,
    [MARK_VECTOR_DOUBLE] = double_vector_body,
    [MARK_VECTOR_OBJECT] = object_vector_body,
    [MARK_DICTIONARY] = dictionary_body,
};

struct cv_amf *cv__amf3_read(struct cv_amf_reader *reader)
{
    uint8_t marker = cv_rd_u8(&reader->rd);
    if (!cv__amf_good(reader))
        return NULL;
    if (marker < sizeof readers / sizeof readers[0])
        return readers[marker](reader);
    if (marker < sizeof bodies / sizeof bodies[0])
        return read_referable(reader, bodies[marker]);
    return cv__amf_fail(reader, CV_E_AMF_MARKER, "unknown AMF3 marker");
}

int cv_amf3_decode(struct cv_amf_doc *doc, const void *data, size_t len, struct cv_why *why)
{
    struct cv_amf_reader reader = {
        .doc = doc, .rd = cv_rd_over(data, len), .place = "amf3", .why = why};
    return cv__amf_decode(&reader, cv__amf3_read);
}
