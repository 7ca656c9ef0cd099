// The opening handshake of WebSocket: the RFC's example, what is refused and how.
#include "harness.h"

#include "proto/ws_handshake.h"

#include "io/openssl.h"

// RFC 6455, section 1.2.
static const char rfc_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char rfc_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static struct cv_ws_request rfc_request(void)
{
    return (struct cv_ws_request){
        .get = true,
        .upgrade = cv_text_of("websocket"),
        .connection = cv_text_of("Upgrade"),
        .version = cv_text_of("13"),
        .key = cv_text_of(rfc_key),
        .protocol = cv_text_of("chat, superchat"),
    };
}

static enum cv_ws_verdict judge(const struct cv_ws_request *request, struct cv_ws_answer *out)
{
    struct cv_why why = {0};
    memset(out, 'x', sizeof *out);
    struct cv_ws_answer before = *out;
    enum cv_ws_verdict verdict = cv_ws_judge(request, &cv_crypto_openssl, out, &why);
    assert_int_equal(why.code != CV_OK, verdict != CV_WS_YES && verdict != CV_WS_NO);
    if (verdict != CV_WS_YES)
        assert_memory_equal(out, &before, sizeof before);
    return verdict;
}

static void example_of_the_rfc(void **state)
{
    (void)state;
    struct cv_ws_request request = rfc_request();
    struct cv_ws_answer answer;
    assert_int_equal(judge(&request, &answer), CV_WS_YES);
    assert_string_equal(answer.accept, rfc_accept);
    assert_null(answer.protocol);
}

static void browsers_write_it_differently(void **state)
{
    (void)state;
    struct cv_ws_request request = rfc_request();
    struct cv_ws_answer answer;
    request.upgrade = cv_text_of("h2c,\tWebSocket ");
    request.connection = cv_text_of("keep-alive, upgrade");
    request.protocol = cv_text_of("flv,rtmp");
    assert_int_equal(judge(&request, &answer), CV_WS_YES);
    assert_string_equal(answer.protocol, "rtmp");
    request.protocol = cv_text_of("RTMP, rtmps"); // other names: case counts here
    assert_int_equal(judge(&request, &answer), CV_WS_YES);
    assert_null(answer.protocol);
    request.protocol = (struct cv_text){0};
    assert_int_equal(judge(&request, &answer), CV_WS_YES);
    assert_null(answer.protocol);
}

static void what_asks_for_no_websocket(void **state)
{
    (void)state;
    static const char *const upgrades[] = {"", "rtmp", "h2c", "websockets", "web socket"};
    for (size_t i = 0; i < sizeof upgrades / sizeof upgrades[0]; i++) {
        struct cv_ws_request request = rfc_request();
        struct cv_ws_answer answer;
        request.upgrade = cv_text_of(upgrades[i]);
        assert_int_equal(judge(&request, &answer), CV_WS_NO);
    }
}

static void bad_requests(void **state)
{
    (void)state;
    struct cv_ws_answer answer;
    struct cv_ws_request request = rfc_request();
    request.get = false;
    assert_int_equal(judge(&request, &answer), CV_WS_BAD_REQUEST);
    request = rfc_request();
    request.has_body = true;
    assert_int_equal(judge(&request, &answer), CV_WS_BAD_REQUEST);
    request = rfc_request();
    request.connection = cv_text_of("keep-alive");
    assert_int_equal(judge(&request, &answer), CV_WS_BAD_REQUEST);
    static const char *const versions[] = {"", "8", "14", "13, 8", "013", "1"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        request = rfc_request();
        request.version = cv_text_of(versions[i]);
        assert_int_equal(judge(&request, &answer), CV_WS_OTHER_VERSION);
    }
}

static void keys_are_sixteen_bytes(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQQQ",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQ= ",
        "dGhlIHNhbXBsZSB-b25jZQ==",
        "dGhlIHNhbXBsZSB,b25jZQ==",
    };
    struct cv_ws_answer answer;
    struct cv_ws_request request = rfc_request();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct guard guard = guard_copy(keys[i], strlen(keys[i]));
        request.key = (struct cv_text){(const char *)guard.data, guard.len};
        assert_int_equal(judge(&request, &answer), CV_WS_BAD_REQUEST);
        guard_free(&guard);
    }
    char nul[] = "dGhlIHNhbXBsZSBub25jZQ==";
    nul[5] = '\0';
    request.key = (struct cv_text){nul, sizeof nul - 1};
    assert_int_equal(judge(&request, &answer), CV_WS_BAD_REQUEST);
}

static int no_sha1(const void *data, size_t len, uint8_t out[CV_SHA1_BYTES])
{
    (void)data, (void)len, (void)out;
    return CV_E_SYSTEM;
}

static int no_random(void *out, size_t len)
{
    (void)out, (void)len;
    return CV_E_SYSTEM;
}

static void failing_crypto(void **state)
{
    (void)state;
    const struct cv_crypto failing = {.sha1 = no_sha1, .random = no_random};
    const struct cv_crypto none = {.random = no_random};
    struct cv_ws_request request = rfc_request();
    struct cv_ws_answer answer;
    struct cv_why why = {0};
    assert_int_equal(cv_ws_judge(&request, &failing, &answer, &why), CV_WS_NOT_AVAILABLE);
    assert_int_equal(why.code, CV_E_SYSTEM);
    assert_int_equal(cv_ws_judge(&request, &none, &answer, NULL), CV_WS_NOT_AVAILABLE);
    char key[CV_WS_KEY_CHARS + 1] = "untouched";
    assert_int_equal(cv_ws_make_key(&failing, key), CV_E_SYSTEM);
    assert_string_equal(key, "untouched");
}

static void clients_make_keys_and_check_answers(void **state)
{
    (void)state;
    char keys[2][CV_WS_KEY_CHARS + 1];
    char accept[CV_WS_ACCEPT_CHARS + 1];
    struct cv_ws_answer answer;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cv_ws_make_key(&cv_crypto_openssl, keys[i]), CV_OK);
        struct cv_ws_request request = rfc_request();
        request.key = cv_text_of(keys[i]);
        assert_int_equal(judge(&request, &answer), CV_WS_YES);
        assert_int_equal(cv_ws_accept_of(request.key, &cv_crypto_openssl, accept), CV_OK);
        assert_string_equal(accept, answer.accept);
    }
    assert_string_not_equal(keys[0], keys[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_rfc),
        cmocka_unit_test(browsers_write_it_differently),
        cmocka_unit_test(what_asks_for_no_websocket),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(keys_are_sixteen_bytes),
        cmocka_unit_test(failing_crypto),
        cmocka_unit_test(clients_make_keys_and_check_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
