#include "amf_tree.h"

#include "base/limits.h"

#include <stdio.h>

static bool same_text(struct cv_text a, struct cv_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool same_alone(const struct cv_amf *a, const struct cv_amf *b)
{
    return a->type == b->type && a->boolean == b->boolean && a->integer == b->integer &&
           memcmp(&a->number, &b->number, sizeof a->number) == 0 &&
           (a->type == CV_AMF_XML || a->marker == b->marker) && same_text(a->text, b->text) &&
           same_text(a->class_name, b->class_name) && same_text(a->key, b->key);
}

bool amf_same(const struct cv_amf *a, const struct cv_amf *b)
{
    if (!same_alone(a, b))
        return false;
    const struct cv_amf *x = a->first;
    const struct cv_amf *y = b->first;
    for (; x && y; x = x->next, y = y->next) {
        if (!amf_same(x, y))
            return false;
    }
    return !x && !y;
}

size_t amf_count(const struct cv_amf *list, unsigned depth)
{
    assert_true(!list || depth <= CV_LIMIT_AMF_DEPTH);
    size_t count = 0;
    for (; list; list = list->next)
        count += 1 + amf_count(list->first, depth + 1);
    return count;
}

// ---- random values --------------------------------------------------------------------------

static uint32_t roll(struct amf_random *random, uint32_t sides)
{
    random->seed = random->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random->seed >> 33) % sides;
}

static struct cv_text random_text(struct amf_random *random, size_t index, bool may_be_empty)
{
    static const char *const common[] = {"app", "tcUrl", "код", "width"};
    char *text = random->texts[index];
    if (may_be_empty && roll(random, 5) == 0)
        return (struct cv_text){.at = "", .len = 0};
    if (roll(random, 2))
        snprintf(text, sizeof random->texts[0], "%s", common[roll(random, 4)]);
    else
        snprintf(text, sizeof random->texts[0], "name%u", roll(random, 1000));
    return (struct cv_text){.at = text, .len = strlen(text)};
}

static struct cv_amf *random_node(struct amf_random *random, unsigned depth);

static void random_children(struct amf_random *random, struct cv_amf *parent, unsigned depth,
                            uint32_t count)
{
    struct cv_amf **tail = &parent->first;
    bool keyed = parent->type == CV_AMF_OBJECT || parent->type == CV_AMF_ECMA_ARRAY;
    for (uint32_t i = 0; i < count; i++) {
        size_t index = random->used;
        struct cv_amf *child = random_node(random, depth + 1);
        bool dense = random->amf3 && parent->type == CV_AMF_ECMA_ARRAY && i >= (count + 1) / 2;
        if (keyed && !dense)
            child->key = random_text(random, index, false);
        *tail = child;
        tail = &child->next;
    }
}

static void random_vector(struct amf_random *random, struct cv_amf *vector, unsigned depth)
{
    vector->marker = (uint8_t)(0x0d + roll(random, 4));
    vector->boolean = roll(random, 2);
    if (vector->marker == 0x10) {
        vector->class_name = (struct cv_text){.at = "Thing", .len = 5};
        random_children(random, vector, depth, roll(random, 4));
        return;
    }
    struct cv_amf **tail = &vector->first;
    for (uint32_t i = roll(random, 4); i > 0; i--) {
        struct cv_amf *item = &random->nodes[random->used++];
        *item = (struct cv_amf){.type = CV_AMF_NUMBER, .integer = vector->marker != 0x0f};
        double low = vector->marker == 0x0d ? -2147483648.0 : 0;
        item->number = low + roll(random, 0x7fffffff) * 2.0;
        *tail = item;
        tail = &item->next;
    }
}

static void random_number(struct amf_random *random, struct cv_amf *node)
{
    node->integer = random->amf3 && roll(random, 2);
    node->number = (double)roll(random, 0x20000000) - 0x10000000;
    if (!node->integer)
        node->number /= 3;
}

static void random_container(struct amf_random *random, struct cv_amf *node, unsigned depth)
{
    uint32_t count = roll(random, 5);
    if (node->type == CV_AMF_OBJECT && roll(random, 2))
        node->class_name = (struct cv_text){.at = "org.Thing", .len = 9};
    if (node->type == CV_AMF_DICTIONARY)
        node->boolean = roll(random, 2);
    if (node->type == CV_AMF_DICTIONARY)
        count *= 2;
    if (node->type == CV_AMF_ECMA_ARRAY)
        count++; // an empty AMF3 array is never an ECMA array
    random_children(random, node, depth, count);
}

static struct cv_amf *random_node(struct amf_random *random, unsigned depth)
{
    static const enum cv_amf_type types[] = {
        CV_AMF_OBJECT, CV_AMF_ECMA_ARRAY, CV_AMF_ARRAY,    CV_AMF_DICTIONARY, CV_AMF_VECTOR,
        CV_AMF_BYTES,  CV_AMF_NUMBER,     CV_AMF_STRING,   CV_AMF_BOOLEAN,    CV_AMF_NULL,
        CV_AMF_DATE,   CV_AMF_XML,        CV_AMF_UNDEFINED};
    bool leaf = depth >= 5 || random->used > 300;
    assert_true(random->used < 390);
    size_t index = random->used++;
    struct cv_amf *node = &random->nodes[index];
    enum cv_amf_type type = leaf ? types[6 + roll(random, 7)] : types[roll(random, 13)];
    if (!random->amf3 && type >= CV_AMF_BYTES)
        type = CV_AMF_STRING;
    *node = (struct cv_amf){.type = type};
    if (type == CV_AMF_NUMBER)
        random_number(random, node);
    else if (type == CV_AMF_DATE)
        node->number = roll(random, 1000000) * 1e6;
    else if (type == CV_AMF_BOOLEAN)
        node->boolean = roll(random, 2);
    else if (type == CV_AMF_STRING || type == CV_AMF_XML || type == CV_AMF_BYTES)
        node->text = random_text(random, index, true);
    else if (type == CV_AMF_VECTOR)
        random_vector(random, node, depth);
    else if (type != CV_AMF_NULL && type != CV_AMF_UNDEFINED)
        random_container(random, node, depth);
    return node;
}

const struct cv_amf *amf_random_value(struct amf_random *random)
{
    random->used = 0;
    return random_node(random, 1);
}

// ---- decoding -------------------------------------------------------------------------------

struct cv_block *amf_bytes(amf_write_fn write, const struct cv_amf *value)
{
    struct cv_wr wr = cv_wr_growing(1 << 20);
    write(&wr, value);
    struct cv_block *block = cv_wr_take(&wr);
    assert_int_equal(wr.err, CV_OK);
    return block;
}

static uint8_t hex_memory[1 << 16]; // lent to the document, so it stays

struct cv_amf_doc *amf_decode_hex(amf_decode_fn decode, const char *hex, int code)
{
    size_t len = hex_bytes(hex, hex_memory, sizeof hex_memory);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    struct cv_why why = {0};
    int got = decode(doc, hex_memory, len, &why);
    if (got != code)
        fail_msg("%s: %s (%s) instead of %s", hex, cv_err_name(got), why.text, cv_err_name(code));
    assert_int_equal(why.code, code);
    return doc;
}

void amf_each_prefix(amf_decode_fn decode, const uint8_t *data, size_t len)
{
    struct cv_amf_doc *doc = cv_amf_doc_new();
    for (size_t cut = 0; cut <= len; cut++) {
        struct guard guard = guard_copy(data, cut);
        struct cv_why why = {0};
        int code = decode(doc, guard.data, guard.len, &why);
        assert_true(code == CV_OK || (code == CV_E_TRUNCATED && cut < len));
        assert_int_equal(why.code, code);
        amf_count(cv_amf_doc_first(doc), 0);
        cv_amf_doc_reset(doc);
        guard_free(&guard);
    }
    cv_amf_doc_free(doc);
}

struct failing {
    amf_decode_fn decode;
    const uint8_t *data;
    size_t len;
};

static bool decode_once(void *arg)
{
    const struct failing *failing = arg;
    struct cv_amf_doc *doc = cv_amf_doc_new();
    if (!doc)
        return false;
    struct cv_why why = {0};
    int code = failing->decode(doc, failing->data, failing->len, &why);
    assert_true(code == CV_OK || code == CV_E_NOMEM);
    cv_amf_doc_free(doc);
    return code == CV_OK;
}

void amf_failing_memory(amf_decode_fn decode, const char *hex)
{
    uint8_t bytes[4096];
    struct failing failing = {.decode = decode, .data = bytes};
    failing.len = hex_bytes(hex, bytes, sizeof bytes);
    fail_nth(decode_once, &failing);
}
