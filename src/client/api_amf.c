// AMF values of the public C API: a writer that keeps to the grammar, and a document whose texts
// end in a NUL.
#include "client/api.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/amf0.h"

#include <string.h>

// ---- writing --------------------------------------------------------------------------------

// An object or array that is not complete yet.
struct level {
    bool is_array;
    bool has_key;   // object: a key, and no value for it yet
    uint32_t count; // array: items so far
    size_t behind;  // array: where the first one is, behind their number
};

struct culvert_amf_writer {
    struct cv_wr wr;
    int error;
    unsigned depth;
    struct level levels[CV_LIMIT_AMF_DEPTH];
};

struct culvert_amf_writer *culvert_amf_writer_new(void)
{
    struct culvert_amf_writer *writer = cv_mem_zero(1, sizeof *writer);
    if (writer)
        writer->wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    return writer;
}

void culvert_amf_writer_free(struct culvert_amf_writer *writer)
{
    if (!writer)
        return;
    cv_wr_done(&writer->wr);
    cv_mem_free(writer);
}

void culvert_amf_writer_reset(struct culvert_amf_writer *writer)
{
    if (!writer)
        return;
    cv_wr_done(&writer->wr);
    *writer = (struct culvert_amf_writer){.wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES)};
}

int culvert_amf_writer_error(const struct culvert_amf_writer *writer)
{
    if (!writer)
        return CULVERT_E_USAGE;
    return writer->error ? writer->error : cv__api_error(writer->wr.err);
}

static void fail(struct culvert_amf_writer *writer, int error)
{
    if (writer->error == CULVERT_OK)
        writer->error = error;
}

static struct level *innermost(struct culvert_amf_writer *writer)
{
    return writer->depth ? &writer->levels[writer->depth - 1] : NULL;
}

// True when a value may come here; it counts as written then.
static bool value_fits(struct culvert_amf_writer *writer)
{
    if (culvert_amf_writer_error(writer) != CULVERT_OK)
        return false;
    struct level *level = innermost(writer);
    if (!level)
        return true;
    if (!level->is_array && !level->has_key) {
        fail(writer, CULVERT_E_USAGE);
        return false;
    }
    level->has_key = false;
    level->count++;
    return true;
}

void culvert_amf_put_number(struct culvert_amf_writer *writer, double value)
{
    if (value_fits(writer))
        cv_amf0_number(&writer->wr, value);
}

void culvert_amf_put_boolean(struct culvert_amf_writer *writer, bool value)
{
    if (value_fits(writer))
        cv_amf0_boolean(&writer->wr, value);
}

void culvert_amf_put_null(struct culvert_amf_writer *writer)
{
    if (value_fits(writer))
        cv_amf0_null(&writer->wr);
}

void culvert_amf_put_text(struct culvert_amf_writer *writer, const char *text, size_t len)
{
    if (!value_fits(writer))
        return;
    if (!text && len > 0)
        fail(writer, CULVERT_E_USAGE);
    else
        cv_amf0_text(&writer->wr, (struct cv_text){.at = text, .len = len});
}

void culvert_amf_put_string(struct culvert_amf_writer *writer, const char *text)
{
    culvert_amf_put_text(writer, text, text ? strlen(text) : 1);
}

void culvert_amf_put_key(struct culvert_amf_writer *writer, const char *key)
{
    if (culvert_amf_writer_error(writer) != CULVERT_OK)
        return;
    struct level *level = innermost(writer);
    if (!level || level->is_array || level->has_key || !key || !*key) {
        fail(writer, CULVERT_E_USAGE);
        return;
    }
    level->has_key = true;
    cv_amf0_key(&writer->wr, key);
}

static void begin(struct culvert_amf_writer *writer, bool is_array)
{
    if (!value_fits(writer))
        return;
    if (writer->depth == CV_LIMIT_AMF_DEPTH) {
        fail(writer, CULVERT_E_TOO_LONG);
        return;
    }
    if (is_array)
        cv_amf0_strict_array(&writer->wr, 0);
    else
        cv_amf0_object(&writer->wr);
    writer->levels[writer->depth++] =
        (struct level){.is_array = is_array, .behind = writer->wr.len};
}

void culvert_amf_begin_object(struct culvert_amf_writer *writer)
{
    begin(writer, false);
}

void culvert_amf_begin_array(struct culvert_amf_writer *writer)
{
    begin(writer, true);
}

void culvert_amf_end(struct culvert_amf_writer *writer)
{
    if (culvert_amf_writer_error(writer) != CULVERT_OK)
        return;
    struct level *level = innermost(writer);
    if (!level || level->has_key) {
        fail(writer, CULVERT_E_USAGE);
        return;
    }
    if (level->is_array)
        cv_wr_u32_at(&writer->wr, level->behind - sizeof level->count, level->count);
    else
        cv_amf0_end(&writer->wr);
    writer->depth--;
}

int cv__api_amf_text(const struct culvert_amf_writer *writer, struct cv_text *out)
{
    int error = culvert_amf_writer_error(writer);
    if (!error && writer->depth > 0)
        error = CULVERT_E_USAGE;
    if (error)
        return error;
    const struct cv_block *block = writer->wr.block;
    *out = (struct cv_text){.at = block ? (const char *)block->data : "", .len = writer->wr.len};
    return CULVERT_OK;
}

int culvert_amf_bytes(const struct culvert_amf_writer *writer, const void **data, size_t *len)
{
    struct cv_text text;
    int error = data && len ? cv__api_amf_text(writer, &text) : CULVERT_E_USAGE;
    if (error)
        return error;
    *data = text.at;
    *len = text.len;
    return CULVERT_OK;
}

// ---- documents ------------------------------------------------------------------------------

struct culvert_amf_doc {
    struct cv_amf_doc *values;
    struct cv_block *bytes; // which they lend their texts from; a byte longer than what was read
};

// A text that lies in our own copy of the bytes gets a NUL: what follows it there has been read.
// (The names of what AMF3 does not name are static texts, which have one.)
static void end_text(struct cv_block *bytes, struct cv_text text)
{
    uintptr_t offset = (uintptr_t)text.at - (uintptr_t)bytes->data;
    if (text.at && offset < bytes->len && text.len < bytes->len - offset)
        bytes->data[offset + text.len] = '\0';
}

// The decoder has bounded the depth.
static void end_texts(struct cv_block *bytes, const struct cv_amf *value)
{
    for (; value; value = value->next) {
        end_text(bytes, value->text);
        end_text(bytes, value->key);
        end_texts(bytes, value->first);
    }
}

// Takes the bytes.
static int doc_read(struct cv_block *bytes, size_t len, struct culvert_amf_doc **out)
{
    struct culvert_amf_doc *doc = cv_mem_zero(1, sizeof *doc);
    if (!doc) {
        cv_block_unref(&bytes);
        return CV_E_NOMEM;
    }
    doc->bytes = bytes;
    doc->values = cv_amf_doc_new();
    struct cv_why why = {0};
    int err = doc->values ? cv_amf0_decode(doc->values, bytes->data, len, &why) : CV_E_NOMEM;
    if (err) {
        culvert_amf_doc_free(doc);
        return err;
    }
    end_texts(bytes, cv_amf_doc_first(doc->values));
    *out = doc;
    return CV_OK;
}

int culvert_amf_parse(const void *data, size_t len, struct culvert_amf_doc **doc)
{
    if (!doc || (!data && len > 0))
        return CULVERT_E_USAGE;
    if (len > CV_LIMIT_MEDIA_BYTES)
        return CULVERT_E_TOO_LONG;
    struct cv_block *bytes = cv_block_new(len + 1);
    if (!bytes)
        return CULVERT_E_NOMEM;
    cv_block_append(bytes, data, len);
    cv_block_append(bytes, "", 1);
    return cv__api_error(doc_read(bytes, len, doc));
}

struct culvert_amf_doc *cv__api_amf_copy(const struct cv_amf *first)
{
    if (!first)
        return NULL;
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_API_ARGS_BYTES);
    for (; first; first = first->next)
        cv_amf0_value(&wr, first);
    size_t len = wr.len;
    cv_wr_u8(&wr, 0);
    struct cv_block *bytes = cv_wr_take(&wr);
    struct culvert_amf_doc *doc = NULL;
    if (!bytes || doc_read(bytes, len, &doc))
        return NULL;
    return doc;
}

void culvert_amf_doc_free(struct culvert_amf_doc *doc)
{
    if (!doc)
        return;
    cv_amf_doc_free(doc->values);
    cv_block_unref(&doc->bytes);
    cv_mem_free(doc);
}

// ---- reading --------------------------------------------------------------------------------

// The public name of a decoded value is another one, so that the tree stays ours.
static const struct cv_amf *inside(const struct culvert_amf *value)
{
    return (const struct cv_amf *)(const void *)value;
}

static const struct culvert_amf *outside(const struct cv_amf *value)
{
    return (const struct culvert_amf *)(const void *)value;
}

const struct culvert_amf *culvert_amf_doc_first(const struct culvert_amf_doc *doc)
{
    return doc ? outside(cv_amf_doc_first(doc->values)) : NULL;
}

enum culvert_amf_kind culvert_amf_kind(const struct culvert_amf *value)
{
    static const enum culvert_amf_kind kinds[] = {
        [CV_AMF_NUMBER] = CULVERT_AMF_NUMBER,     [CV_AMF_BOOLEAN] = CULVERT_AMF_BOOLEAN,
        [CV_AMF_STRING] = CULVERT_AMF_STRING,     [CV_AMF_OBJECT] = CULVERT_AMF_OBJECT,
        [CV_AMF_NULL] = CULVERT_AMF_NULL,         [CV_AMF_UNDEFINED] = CULVERT_AMF_UNDEFINED,
        [CV_AMF_ECMA_ARRAY] = CULVERT_AMF_OBJECT, [CV_AMF_ARRAY] = CULVERT_AMF_ARRAY,
        [CV_AMF_DATE] = CULVERT_AMF_DATE,         [CV_AMF_XML] = CULVERT_AMF_STRING,
        [CV_AMF_BYTES] = CULVERT_AMF_BYTES,       [CV_AMF_VECTOR] = CULVERT_AMF_ARRAY,
        [CV_AMF_DICTIONARY] = CULVERT_AMF_ARRAY,
    };
    return value ? kinds[inside(value)->type] : CULVERT_AMF_UNDEFINED;
}

double culvert_amf_number(const struct culvert_amf *value, double fallback)
{
    enum culvert_amf_kind kind = culvert_amf_kind(value);
    return kind == CULVERT_AMF_NUMBER || kind == CULVERT_AMF_DATE ? inside(value)->number
                                                                  : fallback;
}

bool culvert_amf_boolean(const struct culvert_amf *value, bool fallback)
{
    return cv_amf_boolean(inside(value), fallback);
}

static const char *text_out(struct cv_text text, size_t *len)
{
    if (len)
        *len = text.len;
    return text.at ? text.at : "";
}

const char *culvert_amf_string(const struct culvert_amf *value, size_t *len)
{
    return text_out(value ? inside(value)->text : (struct cv_text){0}, len);
}

const char *culvert_amf_key(const struct culvert_amf *value, size_t *len)
{
    return text_out(value ? inside(value)->key : (struct cv_text){0}, len);
}

const struct culvert_amf *culvert_amf_get(const struct culvert_amf *object, const char *key)
{
    return key ? outside(cv_amf_get(inside(object), key)) : NULL;
}

const struct culvert_amf *culvert_amf_first(const struct culvert_amf *container)
{
    return container ? outside(inside(container)->first) : NULL;
}

const struct culvert_amf *culvert_amf_next(const struct culvert_amf *value)
{
    return value ? outside(inside(value)->next) : NULL;
}

const struct culvert_amf *culvert_amf_item(const struct culvert_amf *container, size_t n)
{
    const struct culvert_amf *item = culvert_amf_first(container);
    while (item && n-- > 0)
        item = culvert_amf_next(item);
    return item;
}
