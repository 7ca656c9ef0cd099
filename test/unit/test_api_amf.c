// AMF values of the public C API: what is written is read again, mistakes stick, hostile values are
// bounded.
#include "harness.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/wire.h"
#include "culvert/amf.h"

static struct culvert_amf_doc *parse(const void *data, size_t len)
{
    struct culvert_amf_doc *doc = NULL;
    struct guard copy = guard_copy(data, len);
    assert_int_equal(culvert_amf_parse(copy.data, len, &doc), 0);
    guard_free(&copy); // the document has its own
    assert_non_null(doc);
    return doc;
}

static struct culvert_amf_doc *parse_hex(const char *hex)
{
    uint8_t data[512];
    return parse(data, hex_bytes(hex, data, sizeof data));
}

static struct culvert_amf_doc *parse_written(const struct culvert_amf_writer *writer)
{
    const void *data = NULL;
    size_t len = 0;
    assert_int_equal(culvert_amf_bytes(writer, &data, &len), 0);
    assert_non_null(data);
    return parse(data, len);
}

static void expect_text(const struct culvert_amf *value, const char *text)
{
    size_t len = 99;
    assert_string_equal(culvert_amf_string(value, &len), text);
    assert_int_equal(len, strlen(text));
}

// ---- writing ----------------------------------------------------------------------------------

static void values_come_back(void **state)
{
    (void)state;
    struct culvert_amf_writer *writer = culvert_amf_writer_new();
    culvert_amf_put_string(writer, "onMetaData");
    culvert_amf_begin_object(writer);
    culvert_amf_put_key(writer, "width");
    culvert_amf_put_number(writer, 1280);
    culvert_amf_put_key(writer, "stereo");
    culvert_amf_put_boolean(writer, true);
    culvert_amf_put_key(writer, "list");
    culvert_amf_begin_array(writer);
    culvert_amf_put_null(writer);
    culvert_amf_put_text(writer, "a\0b", 3);
    culvert_amf_begin_array(writer);
    culvert_amf_end(writer);
    culvert_amf_begin_object(writer);
    culvert_amf_end(writer);
    culvert_amf_end(writer);
    culvert_amf_put_key(writer, "last");
    culvert_amf_put_string(writer, "");
    culvert_amf_end(writer);
    assert_int_equal(culvert_amf_writer_error(writer), 0);
    struct culvert_amf_doc *doc = parse_written(writer);
    culvert_amf_writer_free(writer);

    const struct culvert_amf *name = culvert_amf_doc_first(doc), *object = culvert_amf_next(name);
    expect_text(name, "onMetaData");
    assert_null(culvert_amf_next(object));
    assert_int_equal(culvert_amf_kind(object), CULVERT_AMF_OBJECT);
    assert_true(culvert_amf_number(culvert_amf_get(object, "width"), 0) == 1280);
    assert_true(culvert_amf_boolean(culvert_amf_get(object, "stereo"), false));
    expect_text(culvert_amf_get(object, "last"), "");
    size_t len = 0;
    assert_string_equal(culvert_amf_key(culvert_amf_first(object), &len), "width");
    assert_int_equal(len, 5);
    const struct culvert_amf *list = culvert_amf_get(object, "list");
    assert_int_equal(culvert_amf_kind(list), CULVERT_AMF_ARRAY);
    assert_int_equal(culvert_amf_kind(culvert_amf_item(list, 0)), CULVERT_AMF_NULL);
    assert_memory_equal(culvert_amf_string(culvert_amf_item(list, 1), &len), "a\0b", 4);
    assert_int_equal(len, 3);
    assert_int_equal(culvert_amf_kind(culvert_amf_item(list, 2)), CULVERT_AMF_ARRAY);
    assert_null(culvert_amf_first(culvert_amf_item(list, 2)));
    assert_int_equal(culvert_amf_kind(culvert_amf_item(list, 3)), CULVERT_AMF_OBJECT);
    assert_null(culvert_amf_item(list, 4));
    culvert_amf_doc_free(doc);
}

static void mistakes_of_a_writer_stick(void **state)
{
    (void)state;
    // o object, a array, e end, k key, v value, K empty key, N NULL text
    static const struct {
        const char *steps;
        int error;
    } cases[] = {
        {"", 0},
        {"v", 0},
        {"okve", 0},
        {"avve", 0},
        {"okaeokvee", CULVERT_E_USAGE},
        {"e", CULVERT_E_USAGE},
        {"k", CULVERT_E_USAGE},
        {"ov", CULVERT_E_USAGE},
        {"okk", CULVERT_E_USAGE},
        {"oke", CULVERT_E_USAGE},
        {"ak", CULVERT_E_USAGE},
        {"oK", CULVERT_E_USAGE},
        {"N", CULVERT_E_USAGE},
        {"aee", CULVERT_E_USAGE},
        {"ov"
         "vvve",
         CULVERT_E_USAGE},
        {"aaaaaaaaaaaaaaaa"
         "eeeeeeeeeeeeeeee",
         0},
        {"aaaaaaaaaaaaaaaaa", CULVERT_E_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct culvert_amf_writer *writer = culvert_amf_writer_new();
        for (const char *step = cases[i].steps; *step; step++) {
            switch (*step) {
            case 'o':
                culvert_amf_begin_object(writer);
                break;
            case 'a':
                culvert_amf_begin_array(writer);
                break;
            case 'e':
                culvert_amf_end(writer);
                break;
            case 'k':
                culvert_amf_put_key(writer, "key");
                break;
            case 'K':
                culvert_amf_put_key(writer, "");
                break;
            case 'N':
                culvert_amf_put_string(writer, NULL);
                break;
            default:
                culvert_amf_put_number(writer, 1);
            }
        }
        assert_int_equal(culvert_amf_writer_error(writer), cases[i].error);
        const void *data;
        size_t len;
        assert_int_equal(culvert_amf_bytes(writer, &data, &len), cases[i].error);
        culvert_amf_writer_reset(writer);
        culvert_amf_put_null(writer);
        assert_int_equal(culvert_amf_bytes(writer, &data, &len), 0);
        assert_int_equal(len, 1);
        culvert_amf_begin_object(writer);
        assert_int_equal(culvert_amf_writer_error(writer), 0);
        assert_int_equal(culvert_amf_bytes(writer, &data, &len), CULVERT_E_USAGE); // open
        culvert_amf_writer_free(writer);
    }
}

static void writer_has_a_limit(void **state)
{
    (void)state;
    char *text = calloc(1, 100000);
    memset(text, 'x', 99999);
    struct culvert_amf_writer *writer = culvert_amf_writer_new();
    culvert_amf_put_string(writer, text); // a long string
    culvert_amf_put_string(writer, text);
    assert_int_equal(culvert_amf_writer_error(writer), 0);
    culvert_amf_put_string(writer, text);
    assert_int_equal(culvert_amf_writer_error(writer), CULVERT_E_TOO_LONG);
    culvert_amf_writer_reset(writer);
    culvert_amf_begin_object(writer);
    culvert_amf_put_key(writer, text);
    assert_int_equal(culvert_amf_writer_error(writer), CULVERT_E_TOO_LONG);
    culvert_amf_writer_free(writer);
    free(text);
}

static void null_does_nothing(void **state)
{
    (void)state;
    const void *data = NULL;
    size_t len = 0;
    culvert_amf_put_number(NULL, 1);
    culvert_amf_put_boolean(NULL, true);
    culvert_amf_put_null(NULL);
    culvert_amf_put_string(NULL, "a");
    culvert_amf_put_text(NULL, "a", 1);
    culvert_amf_put_key(NULL, "a");
    culvert_amf_begin_object(NULL);
    culvert_amf_begin_array(NULL);
    culvert_amf_end(NULL);
    culvert_amf_writer_reset(NULL);
    culvert_amf_writer_free(NULL);
    assert_int_equal(culvert_amf_writer_error(NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_amf_bytes(NULL, &data, &len), CULVERT_E_USAGE);
    struct culvert_amf_writer *writer = culvert_amf_writer_new();
    assert_int_equal(culvert_amf_bytes(writer, NULL, &len), CULVERT_E_USAGE);
    assert_int_equal(culvert_amf_bytes(writer, &data, &len), 0); // empty
    assert_non_null(data);
    assert_int_equal(len, 0);
    culvert_amf_put_key(writer, NULL);
    assert_int_equal(culvert_amf_writer_error(writer), CULVERT_E_USAGE);
    culvert_amf_writer_free(writer);

    assert_int_equal(culvert_amf_kind(NULL), CULVERT_AMF_UNDEFINED);
    assert_true(culvert_amf_number(NULL, 3) == 3);
    assert_true(culvert_amf_boolean(NULL, true));
    expect_text(NULL, "");
    assert_string_equal(culvert_amf_key(NULL, NULL), "");
    assert_null(culvert_amf_get(NULL, "a"));
    assert_null(culvert_amf_first(NULL));
    assert_null(culvert_amf_next(NULL));
    assert_null(culvert_amf_item(NULL, 0));
    assert_null(culvert_amf_doc_first(NULL));
    culvert_amf_doc_free(NULL);
    struct culvert_amf_doc *doc = NULL;
    assert_int_equal(culvert_amf_parse(NULL, 1, &doc), CULVERT_E_USAGE);
    assert_int_equal(culvert_amf_parse("", 0, NULL), CULVERT_E_USAGE);
    assert_int_equal(culvert_amf_parse(NULL, 0, &doc), 0);
    assert_null(culvert_amf_doc_first(doc));
    culvert_amf_doc_free(doc);
}

// ---- reading ----------------------------------------------------------------------------------

static void kinds_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum culvert_amf_kind kind;
    } cases[] = {
        {"00 3ff0000000000000", CULVERT_AMF_NUMBER},
        {"01 01", CULVERT_AMF_BOOLEAN},
        {"02 0001 61", CULVERT_AMF_STRING},
        {"03 0001 61 05 0000 09", CULVERT_AMF_OBJECT},
        {"05", CULVERT_AMF_NULL},
        {"06", CULVERT_AMF_UNDEFINED},
        {"08 00000001 0001 61 05 0000 09", CULVERT_AMF_OBJECT},
        {"0a 00000001 05", CULVERT_AMF_ARRAY},
        {"0b 4270000000000000 0000", CULVERT_AMF_DATE},
        {"0c 00000001 61", CULVERT_AMF_STRING},
        {"0f 00000001 61", CULVERT_AMF_STRING},
        {"11 0c 03 61", CULVERT_AMF_BYTES},
        {"11 04 05", CULVERT_AMF_NUMBER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct culvert_amf_doc *doc = parse_hex(cases[i].hex);
        const struct culvert_amf *value = culvert_amf_doc_first(doc);
        assert_int_equal(culvert_amf_kind(value), cases[i].kind);
        bool text = cases[i].kind == CULVERT_AMF_STRING || cases[i].kind == CULVERT_AMF_BYTES;
        expect_text(value, text ? "a" : "");
        bool number = cases[i].kind == CULVERT_AMF_NUMBER || cases[i].kind == CULVERT_AMF_DATE;
        assert_true((culvert_amf_number(value, -1) == -1) == !number);
        culvert_amf_doc_free(doc);
    }
}

// Strings in AMF3 are often references to earlier ones, and some names are not in the bytes at all.
static void shared_texts_end_in_a_nul(void **state)
{
    (void)state;
    // ["ab", "ab" again, {ab: "cd"}]
    struct culvert_amf_doc *doc =
        parse_hex("11 09 07 01 06 05 6162 06 00 0a 0b 01 00 06 05 6364 01");
    const struct culvert_amf *list = culvert_amf_doc_first(doc);
    expect_text(culvert_amf_item(list, 0), "ab");
    expect_text(culvert_amf_item(list, 1), "ab");
    expect_text(culvert_amf_get(culvert_amf_item(list, 2), "ab"), "cd");
    culvert_amf_doc_free(doc);
    // flex.messaging.io.ArrayCollection, externalizable: its member is called "source"
    doc = parse_hex("11 0a 07 43 666c65782e6d6573736167696e672e696f2e4172726179436f6c6c656374696f6e"
                    " 09 03 01 06 03 78");
    const struct culvert_amf *source = culvert_amf_first(culvert_amf_doc_first(doc));
    assert_string_equal(culvert_amf_key(source, NULL), "source");
    expect_text(culvert_amf_item(source, 0), "x");
    culvert_amf_doc_free(doc);
}

static void damaged_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"02", "02 0005 61", "0a ffffffff",
                                        "ff", "07 0000",    "00 00"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t data[16];
        size_t len = hex_bytes(cases[i], data, sizeof data);
        struct culvert_amf_doc *doc = NULL;
        assert_int_equal(culvert_amf_parse(data, len, &doc), CULVERT_E_SYNTAX);
        assert_null(doc);
    }
}

static void depth_and_number_are_bounded(void **state)
{
    (void)state;
    uint8_t *data = malloc(20000);
    memset(data, 0x05, 20000);
    struct culvert_amf_doc *doc = NULL;
    assert_int_equal(culvert_amf_parse(data, CV_LIMIT_AMF_NODES, &doc), 0);
    culvert_amf_doc_free(doc);
    doc = NULL;
    assert_int_equal(culvert_amf_parse(data, CV_LIMIT_AMF_NODES + 1, &doc), CULVERT_E_TOO_LONG);
    for (size_t i = 0; i < 1000; i++)
        memcpy(data + 5 * i, "\x0a\0\0\0\1", 5);
    assert_int_equal(culvert_amf_parse(data, 5001, &doc), CULVERT_E_TOO_LONG);
    assert_int_equal(culvert_amf_parse(data, CV_LIMIT_MEDIA_BYTES + 1, &doc), CULVERT_E_TOO_LONG);
    assert_null(doc);
    free(data);
}

static void walk(const struct culvert_amf *value)
{
    for (; value; value = culvert_amf_next(value)) {
        size_t len = 0;
        const char *text = culvert_amf_string(value, &len);
        assert_int_equal(text[len], '\0');
        text = culvert_amf_key(value, &len);
        assert_int_equal(text[len], '\0');
        walk(culvert_amf_first(value));
    }
}

static void try_bytes(const char *file, const uint8_t *data, size_t len)
{
    (void)file;
    struct culvert_amf_doc *doc = NULL;
    if (culvert_amf_parse(data, len, &doc) == 0)
        walk(culvert_amf_doc_first(doc));
    culvert_amf_doc_free(doc);
}

static void try_amf3(const char *file, const uint8_t *data, size_t len)
{
    uint8_t *wrapped = malloc(len + 1);
    wrapped[0] = 0x11;
    memcpy(wrapped + 1, data, len);
    try_bytes(file, wrapped, len + 1);
    free(wrapped);
}

static void corpora_do_no_harm(void **state)
{
    (void)state;
    corpus_each("amf0", try_bytes);
    corpus_each("amf3", try_amf3);
}

static bool write_and_read(void *arg)
{
    (void)arg;
    struct culvert_amf_writer *writer = culvert_amf_writer_new();
    culvert_amf_begin_array(writer);
    culvert_amf_put_string(writer, "abc");
    culvert_amf_end(writer);
    const void *data = NULL;
    size_t len = 0;
    struct culvert_amf_doc *doc = NULL;
    int error = writer ? culvert_amf_bytes(writer, &data, &len) : CULVERT_E_NOMEM;
    if (!error)
        error = culvert_amf_parse(data, len, &doc);
    assert_true(error == 0 || error == CULVERT_E_NOMEM);
    culvert_amf_doc_free(doc);
    culvert_amf_writer_free(writer);
    return error == 0;
}

static void survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(write_and_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(mistakes_of_a_writer_stick),
        cmocka_unit_test(writer_has_a_limit),
        cmocka_unit_test(null_does_nothing),
        cmocka_unit_test(kinds_are_known),
        cmocka_unit_test(shared_texts_end_in_a_nul),
        cmocka_unit_test(damaged_values_are_refused),
        cmocka_unit_test(depth_and_number_are_bounded),
        cmocka_unit_test(corpora_do_no_harm),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
