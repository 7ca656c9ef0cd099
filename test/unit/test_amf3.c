// AMF3: integers, the three tables, each marker, and what attackers send.
#include "amf_tree.h"

#include "base/limits.h"
#include "proto/amf0.h"
#include "proto/amf3.h"

#include <stdio.h>

static const struct {
    double number;
    const char *hex;
} integers[] = {
    {0, "04 00"},
    {127, "04 7f"},
    {128, "04 8100"},
    {16383, "04 ff7f"},
    {16384, "04 818000"},
    {2097151, "04 ffff7f"},
    {2097152, "04 80c08000"},
    {0x0fffffff, "04 bfffffff"},
    {-1, "04 ffffffff"},
    {-0x10000000, "04 c0808000"},
};

static void integers_have_29_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        struct cv_amf_doc *doc = amf_decode_hex(cv_amf3_decode, integers[i].hex, CV_OK);
        const struct cv_amf *value = cv_amf_doc_first(doc);
        assert_true(value->integer && value->number == integers[i].number);
        struct cv_block *block = amf_bytes(cv_amf3_value, value);
        uint8_t expected[8];
        size_t len = hex_bytes(integers[i].hex, expected, sizeof expected);
        assert_int_equal(block->len, len);
        assert_memory_equal(block->data, expected, len);
        cv_block_unref(&block);
        cv_amf_doc_free(doc);
    }
}

static void integers_outside_29_bits_are_doubles(void **state)
{
    (void)state;
    static const double numbers[] = {0x10000000, -0x10000001, 1e300, -1e300};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct cv_amf value = {.type = CV_AMF_NUMBER, .integer = true, .number = numbers[i]};
        struct cv_block *block = amf_bytes(cv_amf3_value, &value);
        assert_int_equal(block->len, 9);
        assert_int_equal(block->data[0], 0x05);
        cv_block_unref(&block);
    }
}

// Each marker of section 3, and what comes out when the value is written again (NULL: the same).
static const struct vector {
    const char *hex;
    enum cv_amf_type type;
    const char *again;
} vectors[] = {
    {"00", CV_AMF_UNDEFINED, NULL},
    {"01", CV_AMF_NULL, NULL},
    {"02", CV_AMF_BOOLEAN, NULL},
    {"03", CV_AMF_BOOLEAN, NULL},
    {"05 400921fb54442d18", CV_AMF_NUMBER, NULL},
    {"05 7ff8000000000000", CV_AMF_NUMBER, NULL},
    {"06 01", CV_AMF_STRING, NULL},
    {"06 07 666f6f", CV_AMF_STRING, NULL},
    {"07 09 3c612f3e", CV_AMF_XML, NULL},
    {"0b 09 3c612f3e", CV_AMF_XML, NULL},
    {"08 01 4273ae6ea2f8c000", CV_AMF_DATE, NULL},
    {"09 01 01", CV_AMF_ARRAY, NULL},
    {"09 05 01 01 03", CV_AMF_ARRAY, NULL},
    {"09 05 03 61 01 03 62 02 01 03 00", CV_AMF_ECMA_ARRAY, NULL},
    {"0a 0b 01 03 61 04 01 01", CV_AMF_OBJECT, NULL},
    {"0a 0b 01 01", CV_AMF_OBJECT, NULL},
    {"0a 23 03 43 03 61 03 62 04 01 04 02", CV_AMF_OBJECT, NULL},
    {"0a 1b 03 43 03 61 04 01 03 62 04 02 01", CV_AMF_OBJECT,
     "0a 23 03 43 03 61 03 62 04 01 04 02"},
    {"0a 13 01 03 61 04 01", CV_AMF_OBJECT, "0a 0b 01 03 61 04 01 01"},
    {"0c 07 000102", CV_AMF_BYTES, NULL},
    {"0d 05 01 80000000 7fffffff", CV_AMF_VECTOR, NULL},
    {"0e 05 00 00000000 ffffffff", CV_AMF_VECTOR, NULL},
    {"0f 03 01 400921fb54442d18", CV_AMF_VECTOR, NULL},
    {"10 05 00 03 43 01 06 03 78", CV_AMF_VECTOR, NULL},
    {"10 01 00 01", CV_AMF_VECTOR, NULL},
    {"11 05 01 04 01 02 06 03 61 03", CV_AMF_DICTIONARY, NULL},
    {"0a 07 43 666c65782e6d6573736167696e672e696f2e4172726179436f6c6c656374696f6e 09 03 01 04 05",
     CV_AMF_OBJECT, NULL},
    {"0a 07 37 666c65782e6d6573736167696e672e696f2e41727261794c697374 09 01 01", CV_AMF_OBJECT,
     NULL},
    {"0a 07 3b 666c65782e6d6573736167696e672e696f2e4f626a65637450726f7879 0a 0b 01 03 61 03 01",
     CV_AMF_OBJECT, NULL},
};

static void each_marker(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *row = &vectors[i];
        struct cv_amf_doc *doc = amf_decode_hex(cv_amf3_decode, row->hex, CV_OK);
        const struct cv_amf *value = cv_amf_doc_first(doc);
        assert_int_equal(value->type, row->type);
        assert_null(value->next);
        uint8_t expected[256];
        size_t len = hex_bytes(row->again ? row->again : row->hex, expected, sizeof expected);
        struct cv_block *block = amf_bytes(cv_amf3_value, value);
        assert_int_equal(block->len, len);
        assert_memory_equal(block->data, expected, len);
        cv_block_unref(&block);
        cv_amf_doc_free(doc);
    }
}

static void arrays_have_members_then_items(void **state)
{
    (void)state;
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf3_decode, "09 05 03 61 04 07 01 04 08 04 09", CV_OK);
    const struct cv_amf *array = cv_amf_doc_first(doc);
    assert_true(cv_amf_number(cv_amf_get(array, "a"), 0) == 7);
    const struct cv_amf *item = array->first->next;
    assert_int_equal(item->key.len, 0);
    assert_true(item->number == 8 && item->next->number == 9);
    assert_null(item->next->next);
    cv_amf_doc_free(doc);
}

static void vectors_keep_their_sign(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(
        cv_amf3_decode, "0d 05 01 80000000 ffffffff 0e 05 00 80000000 ffffffff", CV_OK);
    const struct cv_amf *ints = cv_amf_doc_at(doc, 0);
    const struct cv_amf *uints = cv_amf_doc_at(doc, 1);
    assert_true(ints->boolean && !uints->boolean);
    assert_true(ints->first->number == -2147483648.0 && ints->first->next->number == -1);
    assert_true(uints->first->number == 2147483648.0 && uints->first->next->number == 4294967295.0);
    cv_amf_doc_free(doc);
}

static void strings_are_shared(void **state)
{
    (void)state;
    // "foo", {foo: ""} and, by references, "foo", "bar" (a value), and a class named foo
    struct cv_amf_doc *doc = amf_decode_hex(
        cv_amf3_decode, "06 07 666f6f 0a 0b 01 00 06 01 01 06 07 626172 06 00 06 02 0a 03 00",
        CV_OK);
    assert_true(cv_text_is(cv_amf_text(cv_amf_get(cv_amf_doc_at(doc, 1), "foo")), ""));
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 3)), "foo"));
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 4)), "bar"));
    assert_true(cv_text_is(cv_amf_doc_at(doc, 5)->class_name, "foo"));
    cv_amf_doc_free(doc);
}

static void traits_are_shared(void **state)
{
    (void)state;
    // C{a, b}, then the same traits again with other values; then a dynamic D{} and again
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf3_decode,
                                            "0a 23 03 43 03 61 03 62 04 01 04 02 0a 01 04 03 04 04"
                                            " 0a 0b 03 44 01 0a 05 02 03 01",
                                            CV_OK);
    const struct cv_amf *second = cv_amf_doc_at(doc, 1);
    assert_true(cv_text_is(second->class_name, "C"));
    assert_true(cv_amf_number(cv_amf_get(second, "a"), 0) == 3);
    assert_true(cv_amf_number(cv_amf_get(second, "b"), 0) == 4);
    const struct cv_amf *fourth = cv_amf_doc_at(doc, 3);
    assert_true(cv_text_is(fourth->class_name, "D"));
    assert_true(cv_amf_boolean(cv_amf_get(fourth, "a"), false));
    cv_amf_doc_free(doc);
}

static void objects_are_shared(void **state)
{
    (void)state;
    // each kind that has a place in the table, then a reference to each
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf3_decode,
                       "0a 0b 01 01 09 01 01 08 01 0000000000000000 07 03 78 0b 03 79 0c 03 7a"
                       " 0d 01 00 0e 01 00 0f 01 00 10 01 00 01 11 01 00"
                       " 0a 00 09 02 08 04 07 06 0b 08 0c 0a 0d 0c 0e 0e 0f 10 10 12 11 14",
                       CV_OK);
    for (size_t i = 0; i < 11; i++) {
        const struct cv_amf *value = cv_amf_doc_at(doc, i);
        assert_true(amf_same(value, cv_amf_doc_at(doc, i + 11)));
    }
    assert_null(cv_amf_doc_at(doc, 22));
    cv_amf_doc_free(doc);
}

static void tables_are_shared_over_switches(void **state)
{
    (void)state;
    // AMF0: 0x11 "foo" and C{}, null, 0x11 with references to both and to the traits
    struct cv_amf_doc *doc = amf_decode_hex(
        cv_amf0_decode, "11 06 07 666f6f 11 0a 03 03 43 05 11 06 00 11 0a 00 11 0a 01", CV_OK);
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 3)), "foo"));
    assert_true(cv_text_is(cv_amf_doc_at(doc, 4)->class_name, "C"));
    assert_true(cv_text_is(cv_amf_doc_at(doc, 5)->class_name, "C"));
    const uint8_t next_body[] = {0x11, 0x06, 0x00};
    assert_int_equal(cv_amf0_decode(doc, next_body, 3, NULL), CV_E_AMF_REF);
    cv_amf_doc_free(doc);
}

static void externalizables_of_flex(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf3_decode, vectors[26].hex, CV_OK);
    const struct cv_amf *collection = cv_amf_doc_first(doc);
    assert_true(cv_text_is(collection->class_name, "flex.messaging.io.ArrayCollection"));
    const struct cv_amf *source = cv_amf_get(collection, "source");
    assert_int_equal(source->type, CV_AMF_ARRAY);
    assert_true(source->first->number == 5);
    // in an AMF0 body it goes behind 0x11
    struct cv_block *block = amf_bytes(cv_amf0_value, collection);
    assert_int_equal(block->data[0], 0x11);
    assert_int_equal(block->data[2], 0x07);
    cv_block_unref(&block);
    cv_amf_doc_free(doc);
    doc = amf_decode_hex(cv_amf3_decode, vectors[28].hex, CV_OK);
    const struct cv_amf *object = cv_amf_get(cv_amf_doc_first(doc), "object");
    assert_true(cv_amf_boolean(cv_amf_get(object, "a"), false));
    cv_amf_doc_free(doc);
}

static void bug_02_malformed_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int code;
    } rows[] = {
        {"12", CV_E_AMF_MARKER},
        {"ff", CV_E_AMF_MARKER},
        {"04 ffffff", CV_E_TRUNCATED},
        {"05 00", CV_E_TRUNCATED},
        {"06", CV_E_TRUNCATED},
        {"06 ffffffff 61", CV_E_TRUNCATED},
        {"06 00", CV_E_AMF_REF},
        {"06 01 06 00", CV_E_AMF_REF}, // the empty string is not in the table
        {"06 fffffffe", CV_E_AMF_REF},
        {"09 ffffffff 01", CV_E_TRUNCATED},
        {"09 05 01 01", CV_E_TRUNCATED},
        {"09 02", CV_E_AMF_REF},
        {"09 00", CV_E_AMF_REF},
        {"0a 01", CV_E_AMF_REF},
        {"0a 05", CV_E_AMF_REF},
        {"0a fffffff3 01", CV_E_TRUNCATED},
        {"0a 13 01 01 01", CV_E_AMF_MARKER},
        {"0a 0b 01 03 61", CV_E_TRUNCATED},
        {"0c ffffffff", CV_E_TRUNCATED},
        {"0d 05 00 00000000 000000", CV_E_TRUNCATED},
        {"0f 03 00 00000000", CV_E_TRUNCATED},
        {"0d ffffffff 00 00000000", CV_E_TRUNCATED},
        {"10 ffffffff 00 01 01", CV_E_TRUNCATED},
        {"11 ffffffff 00 01 01", CV_E_TRUNCATED},
        {"11 03 00 01", CV_E_TRUNCATED},
        {"0a 07 03 43 01", CV_E_AMF_EXTERNAL},
        {"0a 07 01 01", CV_E_AMF_EXTERNAL},
        {"0a 07 09 44534b00", CV_E_AMF_EXTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cv_amf_doc_free(amf_decode_hex(cv_amf3_decode, rows[i].hex, rows[i].code));
}

static void bug_02_cycles_are_refused(void **state)
{
    (void)state;
    static const char *const cycles[] = {
        "09 03 01 09 00",
        "09 01 03 61 09 00 01",
        "0a 0b 01 03 61 0a 00 01",
        "0a 13 01 03 61 0a 00",
        "10 03 00 01 10 00",
        "11 03 00 11 00 01",
        "09 03 01 0a 0b 01 03 61 09 00 01",
        "0a 07 43 666c65782e6d6573736167696e672e696f2e4172726179436f6c6c656374696f6e 0a 00",
    };
    for (size_t i = 0; i < sizeof cycles / sizeof cycles[0]; i++)
        cv_amf_doc_free(amf_decode_hex(cv_amf3_decode, cycles[i], CV_E_AMF_REF));
}

static void bug_03_depth_is_bounded(void **state)
{
    (void)state;
    static const char *const opens[] = {
        "09 03 01",
        "0a 0b 01 03 61",
        "0a 13 01 03 61",
        "10 03 00 01",
        "11 03 00 01",
        "0a 07 43 666c65782e6d6573736167696e672e696f2e4172726179436f6c6c656374696f6e"};
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        char hex[4000] = "";
        for (unsigned depth = 0; depth < CV_LIMIT_AMF_DEPTH; depth++)
            append_text(hex, sizeof hex, opens[i]);
        append_text(hex, sizeof hex, opens[i]);
        for (unsigned depth = 0; depth < 20; depth++)
            append_text(hex, sizeof hex, "01");
        cv_amf_doc_free(amf_decode_hex(cv_amf3_decode, hex, CV_E_TOO_DEEP));
    }
}

// [[], [->, ->], ...] with object references.
static int decode_bomb(unsigned levels, unsigned fan)
{
    static uint8_t bytes[100000];
    struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
    assert_true(levels < 8000 && fan < 64);
    cv_wr_u8(&wr, 0x09);
    cv_wr_u16(&wr, (uint16_t)(0x8000 | (levels >> 6) << 8 | (levels << 1 & 0x7f) | 1));
    cv_wr_u8(&wr, 0x01);
    for (unsigned i = 0; i < levels; i++) {
        unsigned count = i ? fan : 0;
        cv_wr_u24(&wr, 0x090001 | (count << 1 | 1) << 8);
        for (unsigned k = 0; k < count; k++) {
            cv_wr_u8(&wr, 0x09);
            cv_wr_u16(&wr, (uint16_t)(0x8000 | (i >> 6) << 8 | (i << 1 & 0x7f)));
        }
    }
    assert_int_equal(wr.err, CV_OK);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    int code = cv_amf3_decode(doc, bytes, wr.len, NULL);
    if (code == CV_OK)
        assert_true(amf_count(cv_amf_doc_first(doc), 0) <= CV_LIMIT_AMF_NODES);
    cv_amf_doc_free(doc);
    return code;
}

static void bug_03_reference_bombs_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(decode_bomb(8, 2), CV_OK);
    assert_int_equal(decode_bomb(15, 2), CV_E_TOO_MANY);
    assert_int_equal(decode_bomb(5, 60), CV_E_TOO_MANY);
    assert_int_equal(decode_bomb(CV_LIMIT_AMF_DEPTH - 1, 1), CV_OK);
    assert_int_equal(decode_bomb(CV_LIMIT_AMF_DEPTH, 1), CV_E_TOO_DEEP);
    assert_int_equal(decode_bomb(5000, 1), CV_E_TOO_DEEP);
}

// One long string, named a thousand times: the document is small, its bytes would not be.
static void bug_03_string_bombs_stop_at_the_writers_cap(void **state)
{
    (void)state;
    struct cv_wr wr = cv_wr_growing(200000);
    static char text[16000];
    memset(text, 'x', sizeof text);
    struct cv_amf long_text = {.type = CV_AMF_STRING, .text = {.at = text, .len = sizeof text}};
    cv_amf3_value(&wr, &long_text);
    for (int i = 0; i < 5000; i++)
        cv_wr_u16(&wr, 0x0600);
    assert_int_equal(wr.err, CV_OK);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf3_decode(doc, wr.block->data, wr.len, NULL), CV_OK);
    struct cv_amf all = {.type = CV_AMF_ARRAY};
    memcpy(&all.first, &(const struct cv_amf *){cv_amf_doc_first(doc)}, sizeof all.first);
    struct cv_wr out = cv_wr_growing(100000);
    cv_amf3_value(&out, &all);
    assert_int_equal(out.err, CV_E_TOO_LONG);
    assert_true(out.len <= 100000);
    cv_wr_done(&out);
    out = cv_wr_growing(100000);
    cv_amf0_value(&out, &all);
    assert_int_equal(out.err, CV_E_TOO_LONG);
    cv_wr_done(&out);
    cv_amf_doc_free(doc);
    cv_wr_done(&wr);
}

// Traits without values: names cost nothing but bytes, so their number has a cap of its own.
static void bug_03_names_are_capped(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
    cv_wr_u24(&wr, 0x060361); // "a"
    cv_wr_u8(&wr, 0x0a);      // an object with 20000 sealed names, all by reference
    cv_wr_u24(&wr, 0x93c403); // 20000 << 4 | 3 = 0x4e203
    cv_wr_u8(&wr, 0x01);
    for (int i = 0; i < 20000; i++) // the names use up all bytes
        cv_wr_u8(&wr, 0x00);
    assert_int_equal(wr.err, CV_OK);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf3_decode(doc, bytes, wr.len, NULL), CV_E_TOO_MANY);
    cv_amf_doc_free(doc);
}

static void bug_27_xml_is_never_expanded(void **state)
{
    (void)state;
    static const char laughs[] = "<!DOCTYPE l [<!ENTITY a \"ha\">]><l>&a;&a;</l>";
    for (uint8_t marker = 0x07; marker <= 0x0b; marker = (uint8_t)(marker + 4)) {
        uint8_t bytes[200];
        struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
        cv_wr_u8(&wr, marker);
        cv_wr_u8(&wr, (sizeof laughs - 1) << 1 | 1);
        cv_wr_bytes(&wr, laughs, sizeof laughs - 1);
        struct cv_amf_doc *doc = cv_amf_doc_new();
        assert_int_equal(cv_amf3_decode(doc, bytes, wr.len, NULL), CV_OK);
        assert_true(cv_text_is(cv_amf_doc_first(doc)->text, laughs));
        struct cv_block *block = amf_bytes(cv_amf3_value, cv_amf_doc_first(doc));
        assert_int_equal(block->len, wr.len);
        assert_memory_equal(block->data, bytes, wr.len);
        cv_block_unref(&block);
        cv_amf_doc_free(doc);
    }
}

static void every_cut_is_survived(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        amf_each_prefix(cv_amf3_decode, bytes, hex_bytes(vectors[i].hex, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        amf_each_prefix(cv_amf3_decode, bytes, hex_bytes(integers[i].hex, bytes, sizeof bytes));
}

static void failing_memory_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        amf_failing_memory(cv_amf3_decode, vectors[i].hex);
}

static void writer_refuses_bad_trees(void **state)
{
    (void)state;
    struct cv_amf cycle = {.type = CV_AMF_VECTOR};
    cycle.first = &cycle;
    struct cv_wr wr = cv_wr_growing(10000);
    cv_amf3_value(&wr, &cycle);
    assert_int_equal(wr.err, CV_E_TOO_DEEP);
    cv_wr_done(&wr);
    struct cv_amf nameless = {.type = CV_AMF_NULL};
    struct cv_amf object = {.type = CV_AMF_OBJECT, .first = &nameless};
    wr = cv_wr_growing(10000);
    cv_amf3_value(&wr, &object);
    assert_int_equal(wr.err, CV_E_USAGE);
    cv_wr_done(&wr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_have_29_bits),
        cmocka_unit_test(integers_outside_29_bits_are_doubles),
        cmocka_unit_test(each_marker),
        cmocka_unit_test(arrays_have_members_then_items),
        cmocka_unit_test(vectors_keep_their_sign),
        cmocka_unit_test(strings_are_shared),
        cmocka_unit_test(traits_are_shared),
        cmocka_unit_test(objects_are_shared),
        cmocka_unit_test(tables_are_shared_over_switches),
        cmocka_unit_test(externalizables_of_flex),
        cmocka_unit_test(bug_02_malformed_values_are_refused),
        cmocka_unit_test(bug_02_cycles_are_refused),
        cmocka_unit_test(bug_03_depth_is_bounded),
        cmocka_unit_test(bug_03_reference_bombs_are_bounded),
        cmocka_unit_test(bug_03_string_bombs_stop_at_the_writers_cap),
        cmocka_unit_test(bug_03_names_are_capped),
        cmocka_unit_test(bug_27_xml_is_never_expanded),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(failing_memory_is_survived),
        cmocka_unit_test(writer_refuses_bad_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
