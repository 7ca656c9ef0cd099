// Listening addresses as text.
#include "base/check.h"
#include "base/err.h"
#include "server/config.h"

#include <arpa/inet.h>
#include <string.h>

static int port_parse(const char *text, uint16_t *out)
{
    uint32_t port = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return CV_E_CONFIG;
    for (; *text; text++)
        port = port * 10 + (uint32_t)(*text - '0');
    if (port == 0 || port > 65535)
        return CV_E_CONFIG;
    *out = (uint16_t)port;
    return CV_OK;
}

// Is the text a numeric address? Brackets stand around version 6, and only there.
static bool address_valid(const char *address, bool bracketed)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(bracketed ? AF_INET6 : AF_INET, address, bytes) == 1;
}

int cv_listen_parse(const char *text, struct cv_listen *out)
{
    struct cv_listen listen = {.port = 0};
    const char *colon = strrchr(text, ':');
    if (port_parse(colon ? colon + 1 : text, &listen.port) != CV_OK)
        return CV_E_CONFIG;
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    bool every = len == 0 || (len == 1 && text[0] == '*');
    if (every && !bracketed) {
        *out = listen;
        return CV_OK;
    }
    if (len >= sizeof listen.address)
        return CV_E_CONFIG;
    memcpy(listen.address, text, len);
    if (!address_valid(listen.address, bracketed))
        return CV_E_CONFIG;
    *out = listen;
    return CV_OK;
}

void cv_listen_text(const struct cv_listen *listen, char *out, size_t size)
{
    CV_ASSERT(listen->port > 0);
    if (listen->address[0] == '\0')
        snprintf(out, size, "%u", listen->port);
    else if (strchr(listen->address, ':'))
        snprintf(out, size, "[%s]:%u", listen->address, listen->port);
    else
        snprintf(out, size, "%s:%u", listen->address, listen->port);
}
