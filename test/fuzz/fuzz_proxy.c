// Fuzz target: the proxy's option or variable, and no_proxy.
//
// The input is up to four lines: value, no_proxy, host, port. The value is used as an option and as
// a variable. Besides surviving, every result must keep its promise: texts that end, a port, the
// same answer however the host's letters are written, and none for a host that is listed.
#include "client/proxy.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "promise broken, line %d: %s\n", __LINE__, #cond);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { LINE_BYTES = 4096 };

static char value[LINE_BYTES], exceptions[LINE_BYTES], host[LINE_BYTES];
static uint16_t port;

static const char *find_variable(const char *name)
{
    if (strcmp(name, "http_proxy") == 0)
        return value;
    return strcmp(name, "no_proxy") == 0 ? exceptions : NULL;
}

// A variable ends at its first NUL.
static void take_line(struct cv_text *rest, char *out)
{
    struct cv_text line = cv_text_take(rest, '\n');
    size_t len = line.len < LINE_BYTES - 1 ? line.len : LINE_BYTES - 1;
    if (len)
        memcpy(out, line.at, len);
    out[len] = '\0';
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static int check(const char *option, struct cv_proxy *out)
{
    struct cv_why why = {.code = CV_OK};
    struct cv_proxies found, before;
    memset(&found, 0xa5, sizeof found);
    before = found;
    struct cv_target target = {.port = port, .secure_port = port, .security = CV_SECURITY_EITHER};
    memcpy(target.host, host, strlen(host));
    int err = cv_proxies_find(&found, cv_text_of(option), &target, find_variable, &why);
    PROMISE(why.code == err && (err == CV_OK || err == CV_E_URL));
    *out = found.plain;
    if (err != CV_OK) {
        PROMISE(why.text[0] && memcmp(&found, &before, sizeof before) == 0);
        return err;
    }
    PROMISE(ends(out->host, sizeof out->host));
    PROMISE(ends(out->user, sizeof out->user));
    PROMISE(ends(out->password, sizeof out->password));
    PROMISE((out->host[0] != '\0') == (out->port != 0));
    PROMISE(out->host[0] || (!out->user[0] && !out->password[0]));
    PROMISE(!strchr(out->user, ':') && (out->user[0] || !out->password[0]));
    return CV_OK;
}

static bool same(const struct cv_proxy *a, const struct cv_proxy *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

static void swap_case(char *text)
{
    for (; *text; text++) {
        char lower = (char)(*text | 0x20);
        if (lower >= 'a' && lower <= 'z')
            *text ^= 0x20;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_text rest = {(const char *)data, size};
    struct cv_proxy by_option, by_variable, again;
    take_line(&rest, value);
    take_line(&rest, exceptions);
    take_line(&rest, host);
    host[CV_LIMIT_HOST_BYTES] = '\0'; // as long as a target's may be
    uint64_t number = 80;
    (void)cv_text_u64(rest, 1, UINT16_MAX, &number);
    port = (uint16_t)number;

    (void)check(value, &by_option);
    int err = check("", &by_variable);
    // A zone is the name of an interface, where the case counts; it is cut off before it matters.
    swap_case(host);
    PROMISE(check("", &again) == err && (err != CV_OK || same(&again, &by_variable)));
    if (host[0] && !strchr(".*", host[0]) && !strpbrk(host, ", \t\r\n:[]%")) {
        memcpy(exceptions, host, sizeof exceptions);
        PROMISE(check("", &again) == CV_OK && !again.host[0]);
    }
    memcpy(exceptions, "*", 2);
    PROMISE(check("", &again) == CV_OK && !again.host[0]);
    return 0;
}
