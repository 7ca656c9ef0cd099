#include "proto/amf.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/amf_build.h"

#include <string.h>

// Under the address sanitizer each node is an allocation of its own, so that the pool hides
// nothing.
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { CHUNK_NODES = 1 };
#else
enum { CHUNK_NODES = 64 };
#endif

enum {
    TABLE_ITEMS_FIRST = 16,
    TABLE_ITEMS_KEPT = 64, // larger tables are freed when the document is reset
};

struct cv_amf_chunk {
    struct cv_amf_chunk *next;
    size_t used;
    struct cv_amf nodes[CHUNK_NODES];
};

// ---- document -------------------------------------------------------------------------------

struct cv_amf_doc *cv_amf_doc_new(void)
{
    return cv_mem_zero(1, sizeof(struct cv_amf_doc));
}

static void table_trim(struct cv_amf_table *table, size_t keep)
{
    table->count = 0;
    if (table->capacity <= keep)
        return;
    cv_mem_free(table->items);
    *table = (struct cv_amf_table){0};
}

static void tables_trim(struct cv_amf_doc *doc, size_t keep)
{
    table_trim(&doc->amf0_values, keep);
    table_trim(&doc->values, keep);
    table_trim(&doc->strings, keep);
    table_trim(&doc->traits, keep);
    table_trim(&doc->names, keep);
}

void cv_amf_doc_reset(struct cv_amf_doc *doc)
{
    while (doc->chunks && doc->chunks->next) {
        struct cv_amf_chunk *chunk = doc->chunks;
        doc->chunks = chunk->next;
        cv_mem_free(chunk);
    }
    if (doc->chunks)
        doc->chunks->used = 0;
    tables_trim(doc, TABLE_ITEMS_KEPT);
    doc->first = NULL;
    doc->last = NULL;
    doc->nodes = 0;
}

void cv_amf_doc_free(struct cv_amf_doc *doc)
{
    if (!doc)
        return;
    cv_amf_doc_reset(doc);
    cv_mem_free(doc->chunks);
    tables_trim(doc, 0);
    cv_mem_free(doc);
}

const struct cv_amf *cv_amf_doc_first(const struct cv_amf_doc *doc)
{
    return doc->first;
}

const struct cv_amf *cv_amf_doc_at(const struct cv_amf_doc *doc, size_t n)
{
    const struct cv_amf *value = doc->first;
    while (value && n-- > 0)
        value = value->next;
    return value;
}

static void doc_append(struct cv_amf_doc *doc, struct cv_amf *value)
{
    CV_ASSERT(!value->next && value->key.len == 0);
    if (doc->last)
        doc->last->next = value;
    else
        doc->first = value;
    doc->last = value;
}

// ---- accessors ------------------------------------------------------------------------------

const struct cv_amf *cv_amf_get(const struct cv_amf *object, const char *key)
{
    if (!object || (object->type != CV_AMF_OBJECT && object->type != CV_AMF_ECMA_ARRAY))
        return NULL;
    const struct cv_amf *found = NULL;
    for (const struct cv_amf *member = object->first; member; member = member->next) {
        if (member->key.len > 0 && cv_text_is(member->key, key))
            found = member;
    }
    return found;
}

double cv_amf_number(const struct cv_amf *value, double fallback)
{
    if (!value || (value->type != CV_AMF_NUMBER && value->type != CV_AMF_DATE))
        return fallback;
    return value->number;
}

bool cv_amf_boolean(const struct cv_amf *value, bool fallback)
{
    if (value && value->type == CV_AMF_BOOLEAN)
        return value->boolean;
    if (value && value->type == CV_AMF_NUMBER)
        return value->number < 0 || value->number > 0; // NaN is false, as in ActionScript
    return fallback;
}

struct cv_text cv_amf_text(const struct cv_amf *value)
{
    if (!value || value->type != CV_AMF_STRING)
        return (struct cv_text){.at = "", .len = 0};
    return value->text;
}

uint32_t cv_amf_u32(const struct cv_amf *value, uint32_t fallback)
{
    double number = cv_amf_number(value, -1);
    // Written so that NaN fails: the cast is undefined outside the range.
    if (!(number >= 0 && number < 4294967296.0))
        return fallback;
    return (uint32_t)number;
}

// ---- building -------------------------------------------------------------------------------

int cv__amf_decode(struct cv_amf_reader *reader, cv__amf_read_fn read)
{
    struct cv_amf_doc *doc = reader->doc;
    reader->start = reader->rd.at;
    tables_trim(doc, TABLE_ITEMS_KEPT); // references never cross bodies
    while (cv_rd_left(&reader->rd) > 0) {
        struct cv_amf *value = read(reader);
        if (!value)
            return reader->err;
        CV_ASSERT(reader->depth == 0);
        doc_append(doc, value);
    }
    return CV_OK;
}

struct cv_amf *cv__amf_fail(struct cv_amf_reader *reader, int code, const char *what)
{
    CV_ASSERT(code != CV_OK);
    size_t offset = (size_t)(reader->rd.at - reader->start);
    if (reader->err == CV_OK)
        reader->err =
            cv_why_set(reader->why, code, reader->place, "%s, before byte %zu", what, offset);
    return NULL;
}

bool cv__amf_good(struct cv_amf_reader *reader)
{
    if (reader->rd.err != CV_OK)
        cv__amf_fail(reader, CV_E_TRUNCATED, "value is cut off");
    return reader->err == CV_OK;
}

bool cv__amf_fits(struct cv_amf_reader *reader, size_t count, size_t size)
{
    CV_ASSERT(size > 0);
    if (!cv__amf_good(reader))
        return false;
    if (count <= cv_rd_left(&reader->rd) / size)
        return true;
    cv__amf_fail(reader, CV_E_TRUNCATED, "more items than bytes");
    return false;
}

struct cv_text cv__amf_text(struct cv_amf_reader *reader, size_t len)
{
    const uint8_t *at = cv_rd_bytes(&reader->rd, len);
    return (struct cv_text){.at = at ? (const char *)at : "", .len = at ? len : 0};
}

static struct cv_amf *node_new(struct cv_amf_doc *doc)
{
    struct cv_amf_chunk *chunk = doc->chunks;
    if (!chunk || chunk->used == CHUNK_NODES) {
        chunk = cv_mem_alloc(sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = doc->chunks;
        chunk->used = 0;
        doc->chunks = chunk;
    }
    struct cv_amf *node = &chunk->nodes[chunk->used++];
    *node = (struct cv_amf){0};
    return node;
}

// A node that stands for `count` values.
static struct cv_amf *reader_node(struct cv_amf_reader *reader, size_t count)
{
    struct cv_amf_doc *doc = reader->doc;
    CV_ASSERT(count > 0 && doc->nodes <= CV_LIMIT_AMF_NODES);
    if (count > CV_LIMIT_AMF_NODES - doc->nodes)
        return cv__amf_fail(reader, CV_E_TOO_MANY, "too many values");
    struct cv_amf *node = node_new(doc);
    if (!node)
        return cv__amf_fail(reader, CV_E_NOMEM, "no memory");
    doc->nodes += count;
    return node;
}

struct cv_amf *cv__amf_new(struct cv_amf_reader *reader, enum cv_amf_type type)
{
    struct cv_amf *node = reader_node(reader, 1);
    if (node)
        node->type = type;
    return node;
}

static int table_grow(struct cv_amf_table *table, size_t size)
{
    if (table->count < table->capacity)
        return CV_OK;
    size_t capacity = table->capacity ? table->capacity * 2 : TABLE_ITEMS_FIRST;
    void *items = cv_mem_resize(table->items, capacity * size);
    if (!items)
        return CV_E_NOMEM;
    table->items = items;
    table->capacity = capacity;
    return CV_OK;
}

void *cv__amf_push(struct cv_amf_reader *reader, struct cv_amf_table *table, size_t size)
{
    if (table->count == CV_LIMIT_AMF_NODES)
        return cv__amf_fail(reader, CV_E_TOO_MANY, "too many names");
    if (table_grow(table, size) != CV_OK)
        return cv__amf_fail(reader, CV_E_NOMEM, "no memory");
    void *item = (char *)table->items + table->count++ * size;
    memset(item, 0, size);
    return item;
}

struct cv_amf *cv__amf_open(struct cv_amf_reader *reader, struct cv_amf_table *table,
                            enum cv_amf_type type)
{
    if (reader->depth == CV_LIMIT_AMF_DEPTH)
        return cv__amf_fail(reader, CV_E_TOO_DEEP, "values nested too deeply");
    size_t nodes_before = reader->doc->nodes;
    struct cv_amf *node = cv__amf_new(reader, type);
    struct cv_amf_complex *item = node ? cv__amf_push(reader, table, sizeof *item) : NULL;
    if (!item)
        return NULL;
    item->value = node;
    reader->frames[reader->depth++] = (struct cv_amf_frame){
        .table = table, .slot = table->count - 1, .nodes_before = nodes_before, .height = 1};
    return node;
}

// The innermost open container now has something `height` levels high in it.
static void reader_raise(struct cv_amf_reader *reader, unsigned height)
{
    if (reader->depth == 0)
        return;
    struct cv_amf_frame *frame = &reader->frames[reader->depth - 1];
    if (frame->height < height + 1)
        frame->height = height + 1;
}

struct cv_amf *cv__amf_close(struct cv_amf_reader *reader)
{
    CV_ASSERT(reader->depth > 0);
    const struct cv_amf_frame *frame = &reader->frames[--reader->depth];
    CV_ASSERT(frame->slot < frame->table->count);
    struct cv_amf_complex *items = frame->table->items;
    struct cv_amf_complex *item = &items[frame->slot];
    CV_ASSERT(item->nodes == 0);
    item->nodes = reader->doc->nodes - frame->nodes_before;
    item->height = frame->height;
    reader_raise(reader, item->height);
    return item->value;
}

struct cv_amf *cv__amf_refer(struct cv_amf_reader *reader, const struct cv_amf_table *table,
                             size_t index)
{
    if (index >= table->count)
        return cv__amf_fail(reader, CV_E_AMF_REF, "reference to nothing");
    const struct cv_amf_complex *items = table->items;
    const struct cv_amf_complex *item = &items[index];
    if (item->nodes == 0)
        return cv__amf_fail(reader, CV_E_AMF_REF, "reference to a value that contains it");
    if (reader->depth + item->height > CV_LIMIT_AMF_DEPTH)
        return cv__amf_fail(reader, CV_E_TOO_DEEP, "values nested too deeply by a reference");
    struct cv_amf *copy = reader_node(reader, item->nodes);
    if (!copy)
        return NULL;
    *copy = *item->value;
    copy->key = (struct cv_text){0};
    copy->next = NULL;
    reader_raise(reader, item->height);
    return copy;
}
