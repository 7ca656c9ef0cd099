// What a data message of a publisher is.
#include "harness.h"

#include "media/metadata.h"

#define SET                                                                                        \
    "02000d"                                                                                       \
    "40736574446174614672616d65"
#define CLEAR                                                                                      \
    "02000f"                                                                                       \
    "40636c656172446174614672616d65"
#define METADATA                                                                                   \
    "02000a"                                                                                       \
    "6f6e4d65746144617461"
#define TEXT                                                                                       \
    "02000a"                                                                                       \
    "6f6e5465787444617461"
#define OBJECT "0800000000000009"

static void data_messages_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *hex;
        enum cv_data_kind kind;
        size_t offset;
    } rows[] = {
        {"as FFmpeg and OBS send it", SET METADATA OBJECT, CV_DATA_METADATA, 16},
        {"without the prefix", METADATA OBJECT, CV_DATA_METADATA, 0},
        {"without an object", SET METADATA, CV_DATA_METADATA, 16},
        {"clear", CLEAR METADATA, CV_DATA_CLEAR, 0},
        {"clear without a name", CLEAR, CV_DATA_CLEAR, 0},
        {"clear with half a name", CLEAR "0200", CV_DATA_CLEAR, 0},
        {"clear of something that was never kept", CLEAR TEXT, CV_DATA_PASS, 0},
        {"text", TEXT OBJECT, CV_DATA_PASS, 0},
        {"set of something else", SET TEXT OBJECT, CV_DATA_PASS, 16},
        {"set of nothing", SET, CV_DATA_PASS, 0},
        {"set of half a name", SET "02000a6f6e", CV_DATA_PASS, 0},
        {"set twice", SET SET METADATA, CV_DATA_PASS, 16},
        {"name in other letters",
         "02000a"
         "4f4e4d65746144617461",
         CV_DATA_PASS, 0},
        {"name with a tail",
         "02000b"
         "6f6e4d6574614461746100",
         CV_DATA_PASS, 0},
        {"name cut short",
         "02000a"
         "6f6e4d657461446174",
         CV_DATA_PASS, 0},
        {"length past the end",
         "02ffff"
         "6f6e",
         CV_DATA_PASS, 0},
        {"no string", "000000000000000000", CV_DATA_PASS, 0},
        {"length cut", "0200", CV_DATA_PASS, 0},
        {"empty name", "020000", CV_DATA_PASS, 0},
        {"empty", "", CV_DATA_PASS, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[128];
        size_t len = hex_bytes(rows[i].hex, bytes, sizeof bytes);
        struct cv_block *block = cv_block_copy(bytes, len);
        size_t offset = 999;
        enum cv_data_kind kind = cv_data_classify(block, &offset);
        if (kind != rows[i].kind || offset != rows[i].offset)
            fail_msg("%s: kind %d, offset %zu", rows[i].what, kind, offset);
        cv_block_unref(&block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(data_messages_are_told_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
