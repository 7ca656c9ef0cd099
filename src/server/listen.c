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

// What stands behind the slash, by what the port takes.
static const char *const takes_words[] = {
    [CV_LISTEN_ANY] = "",
    [CV_LISTEN_TLS] = "/tls",
    [CV_LISTEN_PLAIN] = "/plain",
};

static int takes_parse(const char *slash, enum cv_listen_takes *out)
{
    for (int i = CV_LISTEN_TLS; i <= CV_LISTEN_PLAIN; i++) {
        if (strcmp(slash, takes_words[i]) != 0)
            continue;
        *out = (enum cv_listen_takes)i;
        return CV_OK;
    }
    return CV_E_CONFIG;
}

static int address_parse(const char *text, struct cv_listen *out)
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

int cv_listen_parse(const char *text, struct cv_listen *out)
{
    char address[CV_LISTEN_TEXT_BYTES];
    enum cv_listen_takes takes = CV_LISTEN_ANY;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address || (slash && takes_parse(slash, &takes) != CV_OK))
        return CV_E_CONFIG;
    memcpy(address, text, len);
    address[len] = '\0';
    if (address_parse(address, out) != CV_OK)
        return CV_E_CONFIG;
    out->takes = takes;
    return CV_OK;
}

void cv_listen_text(const struct cv_listen *listen, char *out, size_t size)
{
    CV_ASSERT(listen->port > 0);
    const char *takes = takes_words[listen->takes];
    if (listen->address[0] == '\0')
        snprintf(out, size, "%u%s", listen->port, takes);
    else if (strchr(listen->address, ':'))
        snprintf(out, size, "[%s]:%u%s", listen->address, listen->port, takes);
    else
        snprintf(out, size, "%s:%u%s", listen->address, listen->port, takes);
}
