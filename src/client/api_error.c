#include "client/api.h"

#include "base/err.h"

static const struct {
    int error;
    const char *text;
} texts[] = {
    {CULVERT_OK, "no error"},
    {CULVERT_E_AGAIN, "not now: the buffer is full, or the server is not reached yet"},
    {CULVERT_E_USAGE, "wrong usage"},
    {CULVERT_E_NOMEM, "out of memory or descriptors"},
    {CULVERT_E_TOO_LONG, "too long"},
    {CULVERT_E_SYNTAX, "malformed data"},
    {CULVERT_E_URL, "malformed URL"},
    {CULVERT_E_ENDED, "the connection has ended"},
    {CULVERT_E_HOST, "unknown host"},
    {CULVERT_E_NO_WAY, "no way through the network"},
    {CULVERT_E_REFUSED, "refused by the server"},
    {CULVERT_E_NOT_FOUND, "the server knows no such stream or app"},
    {CULVERT_E_LOST, "the connection was lost"},
    {CULVERT_E_FAILED, "the connection failed"},
    {CULVERT_E_CERTIFICATE, "the server's certificate is not accepted"},
};

const char *culvert_error_text(int error)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].error == error)
            return texts[i].text;
    return "unknown error";
}

int cv__api_error(int code)
{
    switch (code) {
    case CV_OK:
        return CULVERT_OK;
    case CV_E_AGAIN:
    case CV_E_QUEUE_FULL:
        return CULVERT_E_AGAIN;
    case CV_E_USAGE:
        return CULVERT_E_USAGE;
    case CV_E_NOMEM:
    case CV_E_NO_DESCRIPTORS:
        return CULVERT_E_NOMEM;
    case CV_E_URL:
        return CULVERT_E_URL;
    default:
        break;
    }
    if (cv_err_class(code) == CV_CLASS_LIMIT)
        return CULVERT_E_TOO_LONG;
    return cv_err_class(code) == CV_CLASS_PEER ? CULVERT_E_SYNTAX : CULVERT_E_FAILED;
}

int cv__api_end_error(enum cv_connection_end end)
{
    switch (end) {
    case CV_END_CLOSED:
    case CV_END_FINISHED:
        return CULVERT_OK;
    case CV_END_REFUSED:
        return CULVERT_E_REFUSED;
    case CV_END_NOT_FOUND:
        return CULVERT_E_NOT_FOUND;
    case CV_END_UNKNOWN_HOST:
        return CULVERT_E_HOST;
    case CV_END_NO_WAY:
        return CULVERT_E_NO_WAY;
    case CV_END_CERTIFICATE:
        return CULVERT_E_CERTIFICATE;
    case CV_END_LOST:
        return CULVERT_E_LOST;
    case CV_END_FAILED:
        break;
    }
    return CULVERT_E_FAILED;
}
