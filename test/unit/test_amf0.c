// AMF0: the table of markers, what real encoders send, and what attackers send.
#include "amf_tree.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/amf0.h"

#include <math.h>
#include <stdio.h>

// As FFmpeg sends it: "connect", 1, {app, type, flashVer, tcUrl}.
static const char connect_hex[] =
    "02 0007 636f6e6e656374 00 3ff0000000000000 03"
    " 0003 617070 02 0004 6c697665"
    " 0004 74797065 02 000a 6e6f6e70726976617465"
    " 0008 666c617368566572 02 001f 464d4c452f332e302028636f6d70617469626c653b204c61766635392e3237"
    " 0005 746355726c 02 0014 72746d703a2f2f686f73742e636f6d2f6c697665"
    " 000009";

static void connect_of_ffmpeg(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode, connect_hex, CV_OK);
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 0)), "connect"));
    assert_int_equal(cv_amf_u32(cv_amf_doc_at(doc, 1), 0), 1);
    const struct cv_amf *object = cv_amf_doc_at(doc, 2);
    assert_int_equal(object->type, CV_AMF_OBJECT);
    assert_true(cv_text_is(cv_amf_text(cv_amf_get(object, "app")), "live"));
    assert_true(cv_text_is(cv_amf_text(cv_amf_get(object, "type")), "nonprivate"));
    assert_true(cv_text_is(cv_amf_text(cv_amf_get(object, "tcUrl")), "rtmp://host.com/live"));
    assert_null(cv_amf_doc_at(doc, 3));
    cv_amf_doc_free(doc);
}

static void connect_is_written_the_same(void **state)
{
    (void)state;
    uint8_t expected[512];
    size_t len = hex_bytes(connect_hex, expected, sizeof expected);
    uint8_t written[512];
    struct cv_wr wr = cv_wr_fixed(written, sizeof written);
    cv_amf0_string(&wr, "connect");
    cv_amf0_number(&wr, 1);
    cv_amf0_object(&wr);
    cv_amf0_key(&wr, "app");
    cv_amf0_string(&wr, "live");
    cv_amf0_key(&wr, "type");
    cv_amf0_string(&wr, "nonprivate");
    cv_amf0_key(&wr, "flashVer");
    cv_amf0_string(&wr, "FMLE/3.0 (compatible; Lavf59.27");
    cv_amf0_key(&wr, "tcUrl");
    cv_amf0_string(&wr, "rtmp://host.com/live");
    cv_amf0_end(&wr);
    assert_int_equal(wr.err, CV_OK);
    assert_int_equal(wr.len, len);
    assert_memory_equal(written, expected, len);
}

// Each marker of section 2, and what comes out when the value is written again (NULL: the same).
static const struct vector {
    const char *hex;
    enum cv_amf_type type;
    const char *again;
} vectors[] = {
    {"00 400921fb54442d18", CV_AMF_NUMBER, NULL},
    {"00 7ff8000000000000", CV_AMF_NUMBER, NULL},
    {"00 fff0000000000000", CV_AMF_NUMBER, NULL},
    {"01 00", CV_AMF_BOOLEAN, NULL},
    {"01 01", CV_AMF_BOOLEAN, NULL},
    {"01 ff", CV_AMF_BOOLEAN, "01 01"},
    {"02 0000", CV_AMF_STRING, NULL},
    {"02 0003 ff00c0", CV_AMF_STRING, NULL},
    {"03 000009", CV_AMF_OBJECT, NULL},
    {"03 0001 61 03 0001 62 05 000009 000009", CV_AMF_OBJECT, NULL},
    {"05", CV_AMF_NULL, NULL},
    {"06", CV_AMF_UNDEFINED, NULL},
    {"08 00000000 000009", CV_AMF_ECMA_ARRAY, NULL},
    {"08 00000001 0001 61 05 000009", CV_AMF_ECMA_ARRAY, NULL},
    {"0a 00000000", CV_AMF_ARRAY, NULL},
    {"0a 00000002 05 0a 00000001 06", CV_AMF_ARRAY, NULL},
    {"0b 4273ae6ea2f8c000 0000", CV_AMF_DATE, NULL},
    {"0b 4273ae6ea2f8c000 ffc4", CV_AMF_DATE, "0b 4273ae6ea2f8c000 0000"},
    {"0c 00000002 6869", CV_AMF_STRING, "02 0002 6869"},
    {"0d", CV_AMF_UNDEFINED, "06"},
    {"0f 00000004 3c612f3e", CV_AMF_XML, NULL},
    {"10 0003 4f7267 0001 61 05 000009", CV_AMF_OBJECT, NULL},
    {"10 0000 0001 61 05 000009", CV_AMF_OBJECT, "03 0001 61 05 000009"},
    {"11 04 7f", CV_AMF_NUMBER, "00 405fc00000000000"},
    {"11 0c 05 0102", CV_AMF_BYTES, NULL},
    {"11 0d 03 00 ffffffff", CV_AMF_VECTOR, NULL},
    {"11 11 03 00 04 01 01", CV_AMF_DICTIONARY, NULL},
    {"11 0a 0b 01 03 61 01 01", CV_AMF_OBJECT, "03 0001 61 05 000009"},
    {"11 09 05 03 61 01 01 04 00 04 01", CV_AMF_ECMA_ARRAY,
     "08 00000003 0001 61 05 0001 30 00 0000000000000000 0001 31 00 3ff0000000000000 000009"},
};

static void writes_again(const struct vector *row, const struct cv_amf *value)
{
    uint8_t expected[512];
    size_t len = hex_bytes(row->again ? row->again : row->hex, expected, sizeof expected);
    struct cv_block *block = amf_bytes(cv_amf0_value, value);
    assert_int_equal(block->len, len);
    assert_memory_equal(block->data, expected, len);
    cv_block_unref(&block);
}

static void each_marker(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode, vectors[i].hex, CV_OK);
        const struct cv_amf *value = cv_amf_doc_first(doc);
        assert_int_equal(value->type, vectors[i].type);
        assert_null(value->next);
        writes_again(&vectors[i], value);
        cv_amf_doc_free(doc);
    }
}

static void values_of_markers(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(
        cv_amf0_decode, "00 400921fb54442d18 00 7ff8000000000000 0b 4273ae6ea2f8c000 0000", CV_OK);
    assert_true(cv_amf_number(cv_amf_doc_at(doc, 0), 0) == 3.141592653589793);
    assert_true(isnan(cv_amf_number(cv_amf_doc_at(doc, 1), 0)));
    assert_true(cv_amf_number(cv_amf_doc_at(doc, 2), 0) == 1352493838220.0);
    cv_amf_doc_free(doc);
}

static void class_names_are_kept(void **state)
{
    (void)state;
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf0_decode, "10 0003 4f7267 0001 61 05 000009", CV_OK);
    const struct cv_amf *object = cv_amf_doc_first(doc);
    assert_true(cv_text_is(object->class_name, "Org"));
    assert_non_null(cv_amf_get(object, "a"));
    cv_amf_doc_free(doc);
}

static void ecma_count_is_only_a_hint(void **state)
{
    (void)state;
    static const char *const hints[] = {"00000000", "00000001", "00000014", "ffffffff"};
    for (size_t i = 0; i < 4; i++) {
        char hex[128];
        snprintf(hex, sizeof hex, "08 %s 0001 61 0101 0001 62 05 000009 05", hints[i]);
        struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode, hex, CV_OK);
        assert_true(cv_amf_boolean(cv_amf_get(cv_amf_doc_first(doc), "a"), false));
        assert_int_equal(amf_count(cv_amf_doc_first(doc)->first, 1), 2);
        assert_int_equal(cv_amf_doc_at(doc, 1)->type, CV_AMF_NULL);
        cv_amf_doc_free(doc);
    }
}

static void missing_end_is_tolerated_at_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int code;
    } rows[] = {
        {"03", CV_OK},
        {"03 0001 61 05", CV_OK},
        {"08 00000001 0001 61 05", CV_OK},
        {"10 0001 43 0001 61 05", CV_OK},
        {"03 0001 61 03 0001 62 05", CV_OK},
        {"0a 00000001 03 0001 61 05", CV_OK},
        {"0a 00000002 03 0001 61 05 0001 62", CV_E_TRUNCATED},
        {"03 0001 61 05 00", CV_E_TRUNCATED},
        {"03 0001 61 05 0000", CV_E_TRUNCATED},
        {"03 0001 61", CV_E_TRUNCATED},
        {"03 0001 61 05 0002 62", CV_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, rows[i].hex, rows[i].code));
}

static void bug_02_malformed_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int code;
    } rows[] = {
        {"04", CV_E_AMF_MARKER},
        {"09", CV_E_AMF_MARKER},
        {"0e", CV_E_AMF_MARKER},
        {"12", CV_E_AMF_MARKER},
        {"ff", CV_E_AMF_MARKER},
        {"000009", CV_E_TRUNCATED},
        {"03 0000 05", CV_E_AMF_MARKER},
        {"03 0001 61 09", CV_E_AMF_MARKER},
        {"02", CV_E_TRUNCATED},
        {"02 ffff 61", CV_E_TRUNCATED},
        {"0c ffffffff 61", CV_E_TRUNCATED},
        {"0f ffffffff 61", CV_E_TRUNCATED},
        {"10 ffff 61", CV_E_TRUNCATED},
        {"03 ffff 61", CV_E_TRUNCATED},
        {"08 0000", CV_E_TRUNCATED},
        {"0a 00000002 05", CV_E_TRUNCATED},
        {"0a ffffffff 05", CV_E_TRUNCATED},
        {"0b 4273ae6ea2f8c000 00", CV_E_TRUNCATED},
        {"11", CV_E_TRUNCATED},
        {"11 12", CV_E_AMF_MARKER},
        {"07", CV_E_TRUNCATED},
        {"07 0000", CV_E_AMF_REF},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, rows[i].hex, rows[i].code));
}

static void references_share_children(void **state)
{
    (void)state;
    // {a: {x: true}, b: -> 1, c: -> 1}, -> 0
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode,
                                            "03 0001 61 03 0001 78 0101 000009 0001 62 07 0001"
                                            " 0001 63 07 0001 000009 07 0000",
                                            CV_OK);
    const struct cv_amf *object = cv_amf_doc_first(doc);
    for (const char *key = "abc"; *key; key++) {
        const struct cv_amf *member = cv_amf_get(object, (char[]){*key, 0});
        assert_true(cv_amf_boolean(cv_amf_get(member, "x"), false));
        assert_ptr_equal(member->first, cv_amf_get(object, "a")->first);
    }
    const struct cv_amf *copy = cv_amf_doc_at(doc, 1);
    assert_ptr_equal(copy->first, object->first);
    assert_int_equal(copy->key.len, 0);
    assert_null(copy->next);
    assert_true(amf_same(object, copy));
    struct cv_block *block = amf_bytes(cv_amf0_value, object);
    amf_each_prefix(cv_amf0_decode, block->data, block->len);
    cv_block_unref(&block);
    cv_amf_doc_free(doc);
}

static void references_name_arrays_and_typed_objects_in_order(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode,
                                            "0a 00000000 02 0001 61 08 00000000 000009"
                                            " 10 0001 43 000009 07 0000 07 0001 07 0002",
                                            CV_OK);
    assert_int_equal(cv_amf_doc_at(doc, 4)->type, CV_AMF_ARRAY);
    assert_int_equal(cv_amf_doc_at(doc, 5)->type, CV_AMF_ECMA_ARRAY);
    assert_true(cv_text_is(cv_amf_doc_at(doc, 6)->class_name, "C"));
    cv_amf_doc_free(doc);
}

static void reference_to_a_member_leaves_its_key(void **state)
{
    (void)state;
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf0_decode, "0a 00000002 03 0001 61 03 000009 000009 07 0002", CV_OK);
    const struct cv_amf *object = cv_amf_doc_first(doc)->first;
    assert_true(cv_text_is(object->first->key, "a"));
    assert_int_equal(object->next->key.len, 0);
    cv_amf_doc_free(doc);
}

static void references_do_not_cross_bodies_or_formats(void **state)
{
    (void)state;
    // the AMF3 object is not in AMF0's table
    cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, "11 0a 0b 01 01 07 0000", CV_E_AMF_REF));
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode, "03 000009 07 0000", CV_OK);
    const uint8_t reference[] = {7, 0, 0};
    assert_int_equal(cv_amf0_decode(doc, reference, 3, NULL), CV_E_AMF_REF);
    cv_amf_doc_free(doc);
}

static void bug_02_cycles_are_refused(void **state)
{
    (void)state;
    static const char *const cycles[] = {
        "03 0001 61 07 0000 000009",
        "0a 00000001 07 0000",
        "08 00000000 0001 61 07 0000 000009",
        "10 0001 43 0001 61 07 0000 000009",
        "03 0001 61 0a 00000001 07 0000 000009",
    };
    for (size_t i = 0; i < sizeof cycles / sizeof cycles[0]; i++)
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, cycles[i], CV_E_AMF_REF));
}

// [[], [->1, ->1], [->2, ->2], ...]: item n stands for 2^n values, and is n deep.
static size_t write_bomb(struct cv_wr *wr, unsigned levels, unsigned fan)
{
    cv_amf0_strict_array(wr, levels);
    cv_amf0_strict_array(wr, 0);
    for (unsigned i = 1; i < levels; i++) {
        cv_amf0_strict_array(wr, fan);
        for (unsigned k = 0; k < fan; k++) {
            cv_wr_u8(wr, 0x07);
            cv_wr_u16(wr, (uint16_t)i);
        }
    }
    assert_int_equal(wr->err, CV_OK);
    return wr->len;
}

static int decode_bomb(unsigned levels, unsigned fan)
{
    static uint8_t bytes[100000];
    struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
    size_t len = write_bomb(&wr, levels, fan);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    int code = cv_amf0_decode(doc, bytes, len, NULL);
    if (code == CV_OK) {
        assert_true(amf_count(cv_amf_doc_first(doc), 0) <= CV_LIMIT_AMF_NODES);
        struct cv_block *block = amf_bytes(cv_amf0_value, cv_amf_doc_first(doc));
        assert_true(block->len <= 5 * CV_LIMIT_AMF_NODES);
        cv_block_unref(&block);
    }
    cv_amf_doc_free(doc);
    return code;
}

static void bug_03_reference_bombs_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(decode_bomb(8, 2), CV_OK);
    assert_int_equal(decode_bomb(15, 2), CV_E_TOO_MANY);
    assert_int_equal(decode_bomb(6, 10), CV_E_TOO_MANY);
    // a long chain of references is as deep as what it stands for
    assert_int_equal(decode_bomb(CV_LIMIT_AMF_DEPTH - 1, 1), CV_OK);
    assert_int_equal(decode_bomb(CV_LIMIT_AMF_DEPTH, 1), CV_E_TOO_DEEP);
    assert_int_equal(decode_bomb(5000, 1), CV_E_TOO_DEEP);
}

static void bug_03_depth_is_bounded(void **state)
{
    (void)state;
    static const char *const opens[] = {"0a 00000001", "03 0001 61", "08 00000000 0001 61",
                                        "10 0001 43 0001 61"};
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        char hex[16000] = "";
        for (unsigned depth = 0; depth < CV_LIMIT_AMF_DEPTH; depth++)
            append_text(hex, sizeof hex, opens[i]);
        size_t at_limit = strlen(hex);
        append_text(hex, sizeof hex, "05");
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, hex, CV_OK));
        hex[at_limit] = '\0';
        for (unsigned depth = 0; depth < 500; depth++)
            append_text(hex, sizeof hex, opens[i]);
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, hex, CV_E_TOO_DEEP));
    }
}

static void bug_03_announced_counts_allocate_nothing(void **state)
{
    (void)state;
    static const char *const hexes[] = {"0a ffffffff 05 05", "0c ffffffff 61", "0f 7fffffff",
                                        "11 09 ffffffff 01", "11 0c ffffffff 00"};
    for (size_t i = 0; i < sizeof hexes / sizeof hexes[0]; i++) {
        uint64_t before = cv_mem_stats().allocs;
        cv_amf_doc_free(amf_decode_hex(cv_amf0_decode, hexes[i], CV_E_TRUNCATED));
        assert_true(cv_mem_stats().allocs - before <= 2); // the document and one chunk
    }
}

static void bug_27_xml_is_never_expanded(void **state)
{
    (void)state;
    static const char laughs[] =
        "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><l>&b;</l>";
    uint8_t bytes[200];
    struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
    cv_wr_u8(&wr, 0x0f);
    cv_wr_u32(&wr, sizeof laughs - 1);
    cv_wr_bytes(&wr, laughs, sizeof laughs - 1);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf0_decode(doc, bytes, wr.len, NULL), CV_OK);
    const struct cv_amf *xml = cv_amf_doc_first(doc);
    assert_int_equal(xml->type, CV_AMF_XML);
    assert_true(cv_text_is(xml->text, laughs));
    assert_ptr_equal(xml->text.at, bytes + 5);
    assert_null(xml->first);
    struct cv_block *block = amf_bytes(cv_amf0_value, xml);
    assert_int_equal(block->len, wr.len);
    assert_memory_equal(block->data, bytes, wr.len);
    cv_block_unref(&block);
    cv_amf_doc_free(doc);
}

static void every_cut_is_survived(void **state)
{
    (void)state;
    uint8_t bytes[512];
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        amf_each_prefix(cv_amf0_decode, bytes, hex_bytes(vectors[i].hex, bytes, sizeof bytes));
    amf_each_prefix(cv_amf0_decode, bytes, hex_bytes(connect_hex, bytes, sizeof bytes));
}

static void failing_memory_is_survived(void **state)
{
    (void)state;
    amf_failing_memory(cv_amf0_decode, connect_hex);
    amf_failing_memory(cv_amf0_decode, "0a 00000003 0a 00000000 07 0001 03 0001 61 05 000009"
                                       " 11 0a 13 03 43 03 61 01 11 0a 01 06 03 62");
}

static void long_strings_change_their_marker(void **state)
{
    (void)state;
    static char text[65537];
    memset(text, 'x', sizeof text - 1);
    struct cv_wr wr = cv_wr_growing(200000);
    cv_amf0_text(&wr, (struct cv_text){.at = text, .len = 65535});
    cv_amf0_text(&wr, (struct cv_text){.at = text, .len = 65536});
    assert_int_equal(wr.err, CV_OK);
    assert_int_equal(wr.len, 3 + 65535 + 5 + 65536);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    assert_int_equal(cv_amf0_decode(doc, wr.block->data, wr.len, NULL), CV_OK);
    assert_int_equal(cv_amf_text(cv_amf_doc_at(doc, 0)).len, 65535);
    assert_int_equal(cv_amf_text(cv_amf_doc_at(doc, 1)).len, 65536);
    cv_amf_doc_free(doc);
    cv_wr_done(&wr);
}

static void writer_refuses_what_amf0_cannot_say(void **state)
{
    (void)state;
    static char text[65537];
    memset(text, 'x', sizeof text - 1);
    uint8_t memory[16];
    struct cv_wr wr = cv_wr_fixed(memory, sizeof memory);
    cv_amf0_key_text(&wr, (struct cv_text){.at = text, .len = 65536});
    assert_int_equal(wr.err, CV_E_TOO_LONG);
    wr = cv_wr_fixed(memory, sizeof memory);
    cv_amf0_key(&wr, "");
    assert_int_equal(wr.err, CV_E_USAGE);
    struct cv_amf cycle = {.type = CV_AMF_ARRAY};
    cycle.first = &cycle;
    wr = cv_wr_growing(10000);
    cv_amf0_value(&wr, &cycle);
    assert_int_equal(wr.err, CV_E_TOO_DEEP);
    cv_wr_done(&wr);
    wr = cv_wr_fixed(memory, 4);
    cv_amf0_number(&wr, 1);
    assert_int_equal(wr.err, CV_E_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_of_ffmpeg),
        cmocka_unit_test(connect_is_written_the_same),
        cmocka_unit_test(each_marker),
        cmocka_unit_test(values_of_markers),
        cmocka_unit_test(class_names_are_kept),
        cmocka_unit_test(ecma_count_is_only_a_hint),
        cmocka_unit_test(missing_end_is_tolerated_at_the_end),
        cmocka_unit_test(bug_02_malformed_values_are_refused),
        cmocka_unit_test(references_share_children),
        cmocka_unit_test(references_name_arrays_and_typed_objects_in_order),
        cmocka_unit_test(reference_to_a_member_leaves_its_key),
        cmocka_unit_test(references_do_not_cross_bodies_or_formats),
        cmocka_unit_test(bug_02_cycles_are_refused),
        cmocka_unit_test(bug_03_reference_bombs_are_bounded),
        cmocka_unit_test(bug_03_depth_is_bounded),
        cmocka_unit_test(bug_03_announced_counts_allocate_nothing),
        cmocka_unit_test(bug_27_xml_is_never_expanded),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(failing_memory_is_survived),
        cmocka_unit_test(long_strings_change_their_marker),
        cmocka_unit_test(writer_refuses_what_amf0_cannot_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
