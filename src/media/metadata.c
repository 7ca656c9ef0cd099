#include "media/metadata.h"

#include "base/text.h"
#include "base/wire.h"

static struct cv_text read_name(struct cv_rd *rd)
{
    enum { AMF0_STRING = 2 };
    if (cv_rd_u8(rd) != AMF0_STRING)
        return (struct cv_text){0};
    uint16_t len = cv_rd_u16(rd);
    const uint8_t *at = cv_rd_bytes(rd, len);
    return (struct cv_text){(const char *)at, at ? len : 0};
}

enum cv_data_kind cv_data_classify(const struct cv_block *payload, size_t *out_offset)
{
    struct cv_rd rd = cv_rd_over(payload->data, payload->len);
    *out_offset = 0;
    struct cv_text command = read_name(&rd);
    struct cv_text name = command;
    size_t offset = 0;
    if (cv_text_is(command, "@setDataFrame") || cv_text_is(command, "@clearDataFrame")) {
        offset = (size_t)(rd.at - payload->data);
        name = read_name(&rd);
    }
    bool metadata = cv_text_is(name, "onMetaData");
    if (cv_text_is(command, "@clearDataFrame"))
        return metadata || !name.at ? CV_DATA_CLEAR : CV_DATA_PASS;
    *out_offset = name.at ? offset : 0;
    return metadata ? CV_DATA_METADATA : CV_DATA_PASS;
}
