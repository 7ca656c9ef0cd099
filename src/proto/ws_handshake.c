#include "proto/ws_handshake.h"

#include "base/check.h"

#include <string.h>

static const char place[] = "websocket";

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// 16 bytes in base64: 22 digits and two signs; the last digit has four bits to spare.
static bool is_key(struct cv_text key)
{
    enum { DIGITS = CV_WS_KEY_CHARS - 2 };
    if (key.len != CV_WS_KEY_CHARS || memcmp(key.at + DIGITS, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < DIGITS; i++)
        if (key.at[i] == '\0' || !strchr(base64_digits, key.at[i]))
            return false;
    return true;
}

// True when the list of tokens, separated by commas, holds this one.
static bool has_token(struct cv_text list, const char *token,
                      bool equal(struct cv_text, const char *))
{
    while (list.len) {
        if (equal(cv_text_trim(cv_text_take(&list, ',')), token))
            return true;
    }
    return false;
}

static void put_base64(char *out, size_t chars, const uint8_t *data, size_t len)
{
    size_t written = cv_text_base64(out, chars, data, len);
    CV_ASSERT(written == chars);
    out[chars] = '\0';
}

int cv_ws_accept_of(struct cv_text key, const struct cv_crypto *crypto,
                    char out[CV_WS_ACCEPT_CHARS + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // section 1.3
    char text[CV_WS_KEY_CHARS + sizeof guid - 1];
    uint8_t hash[CV_SHA1_BYTES];
    CV_ASSERT(key.len == CV_WS_KEY_CHARS);
    memcpy(text, key.at, key.len);
    memcpy(text + key.len, guid, sizeof guid - 1);
    int err = crypto->sha1 ? crypto->sha1(text, sizeof text, hash) : CV_E_SYSTEM;
    if (err == CV_OK)
        put_base64(out, CV_WS_ACCEPT_CHARS, hash, sizeof hash);
    return err;
}

int cv_ws_make_key(const struct cv_crypto *crypto, char out[CV_WS_KEY_CHARS + 1])
{
    uint8_t nonce[16];
    int err = crypto->random(nonce, sizeof nonce);
    if (err == CV_OK)
        put_base64(out, CV_WS_KEY_CHARS, nonce, sizeof nonce);
    return err;
}

static enum cv_ws_verdict refuse(enum cv_ws_verdict verdict, struct cv_why *why, const char *text)
{
    cv_why_set(why, CV_E_WEBSOCKET, place, "%s", text);
    return verdict;
}

enum cv_ws_verdict cv_ws_judge(const struct cv_ws_request *request, const struct cv_crypto *crypto,
                               struct cv_ws_answer *out, struct cv_why *why)
{
    if (!has_token(request->upgrade, "websocket", cv_text_is_nocase))
        return CV_WS_NO;
    if (!request->get || request->has_body)
        return refuse(CV_WS_BAD_REQUEST, why, "it takes a GET of HTTP/1.1 without a body");
    if (!has_token(request->connection, "upgrade", cv_text_is_nocase))
        return refuse(CV_WS_BAD_REQUEST, why, "Connection does not say Upgrade: a proxy between?");
    if (!cv_text_is(request->version, "13"))
        return refuse(CV_WS_OTHER_VERSION, why, "another version than 13");
    if (!is_key(request->key))
        return refuse(CV_WS_BAD_REQUEST, why, "Sec-WebSocket-Key is not 16 bytes in base64");
    struct cv_ws_answer answer = {
        .protocol = has_token(request->protocol, "rtmp", cv_text_is) ? "rtmp" : NULL,
    };
    int err = cv_ws_accept_of(request->key, crypto, answer.accept);
    if (err != CV_OK) {
        cv_why_set(why, err, place, "SHA-1 failed");
        return CV_WS_NOT_AVAILABLE;
    }
    *out = answer;
    return CV_WS_YES;
}
