#include "proto/connect.h"

#include "base/limits.h"

int cv_connect_parse(const struct cv_rtmp_event *event, struct cv_connect *out)
{
    const struct cv_amf *object = event->object;
    if (!object || (object->type != CV_AMF_OBJECT && object->type != CV_AMF_ECMA_ARRAY))
        return CV_E_COMMAND;
    struct cv_connect connect = {
        .app = cv_amf_text(cv_amf_get(object, "app")),
        .tc_url = cv_amf_text(cv_amf_get(object, "tcUrl")),
        .flash_ver = cv_amf_text(cv_amf_get(object, "flashVer")),
        .page_url = cv_amf_text(cv_amf_get(object, "pageUrl")),
        .publisher = cv_text_is(cv_amf_text(cv_amf_get(object, "type")), "nonprivate"),
        .amf3 = cv_amf_u32(cv_amf_get(object, "objectEncoding"), 0) == 3,
        .enhanced =
            cv_amf_get(object, "fourCcList") || cv_amf_get(object, "videoFourCcInfoMap") != NULL,
        .caps_ex = cv_amf_u32(cv_amf_get(object, "capsEx"), 0),
    };
    if (connect.app.len > CV_LIMIT_APP_BYTES || connect.tc_url.len > CV_LIMIT_URL_BYTES)
        return CV_E_COMMAND;
    *out = connect;
    return CV_OK;
}
