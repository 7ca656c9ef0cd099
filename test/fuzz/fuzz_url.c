// Fuzz target: URL, resource path and query.
//
// The input is up to four lines: tcUrl (also parsed as a URL, and as a client's target), app, name,
// key. Besides surviving, every result must keep its promise: the parts of a URL lie inside it, the
// client's cut and the server's join agree, a path is in normal form, and what a target shows to
// people holds no secret.
#include "base/err.h"
#include "base/path.h"
#include "base/url.h"
#include "client/target.h"

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

static void check_inside(struct cv_text part, struct cv_text whole)
{
    PROMISE(part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
}

static void check_element(struct cv_text element)
{
    PROMISE(element.len > 0);
    PROMISE(!cv_text_is(element, ".") && !cv_text_is(element, ".."));
    for (size_t i = 0; i < element.len; i++) {
        uint8_t byte = (uint8_t)element.at[i];
        PROMISE(byte >= 0x20 && byte != 0x7f && byte != '\\');
    }
}

static void check_path(const struct cv_path *path)
{
    PROMISE(path->len > 0 && path->len <= CV_LIMIT_PATH_BYTES);
    PROMISE(strlen(path->text) == path->len);
    PROMISE(path->text[path->len - 1] != '/');
    struct cv_text rest = {path->text, path->len};
    while (rest.len)
        check_element(cv_text_take(&rest, '/'));

    // joined once more it stays the same, unless something in it looks encoded or like a query
    struct cv_path again;
    if (!strpbrk(path->text, "%?")) {
        PROMISE(cv_path_join(&again, cv_text_of(path->text), (struct cv_text){NULL, 0}) == CV_OK);
        PROMISE(strcmp(again.text, path->text) == 0);
    }
}

// Wherever a path is cut at a slash, it joins to the same.
static void check_cuts(struct cv_text path)
{
    struct cv_path whole;
    if (cv_text_find(path, '?') < path.len ||
        cv_path_join(&whole, path, (struct cv_text){NULL, 0}) != CV_OK)
        return;
    for (size_t i = 0; i < path.len; i++) {
        struct cv_path cut;
        if (path.at[i] != '/')
            continue;
        PROMISE(cv_path_join(&cut, (struct cv_text){path.at, i}, cv_text_skip(path, i + 1)) ==
                CV_OK);
        PROMISE(strcmp(cut.text, whole.text) == 0);
    }
}

static void check_url(struct cv_text text)
{
    struct cv_url url;
    struct cv_why why = {.code = CV_OK};
    int err = cv_url_parse(&url, text, &why);
    PROMISE(why.code == err);
    if (err != CV_OK)
        return;
    const struct cv_text parts[] = {url.user, url.password, url.host, url.path, url.query};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        check_inside(parts[i], text);
    PROMISE(url.host.len > 0 && url.host.len <= CV_LIMIT_HOST_BYTES && url.port != 0);
    PROMISE(url.path.len == 0 || url.path.at[0] == '/');

    struct cv_text app, name;
    cv_url_split(&url, &app, &name);
    check_inside(app, text);
    check_inside(name, text);
    check_cuts(url.path);
}

// Can stand in a head, and before people: no blank, no control character.
static void check_word(const char *text, size_t max)
{
    size_t len = strlen(text);
    PROMISE(len <= max);
    for (size_t i = 0; i < len; i++)
        PROMISE((uint8_t)text[i] > 0x20 && (uint8_t)text[i] != 0x7f);
}

static void check_target(struct cv_text text)
{
    struct cv_target target;
    struct cv_target untouched;
    struct cv_why why = {.code = CV_OK};
    memset(&target, 'x', sizeof target);
    memset(&untouched, 'x', sizeof untouched);
    int err = cv_target_parse(&target, text, &why);
    PROMISE(why.code == err);
    if (err != CV_OK) {
        PROMISE(err == CV_E_URL || err == CV_E_TOO_LONG);
        PROMISE(memcmp(&target, &untouched, sizeof target) == 0);
        return;
    }
    PROMISE(target.port != 0 && target.host[0] != '\0');
    check_word(target.host, CV_LIMIT_HOST_BYTES);
    check_word(target.authority, sizeof target.authority - 1);
    check_word(target.secure_authority, sizeof target.secure_authority - 1);
    bool plain = target.security == CV_SECURITY_PLAIN;
    PROMISE((target.secure_port == 0) == plain && (target.secure_authority[0] == '\0') == plain);
    PROMISE(target.security != CV_SECURITY_ONLY || target.secure_port == target.port);
    PROMISE(strlen(target.app) <= CV_LIMIT_APP_BYTES && strlen(target.name) <= CV_LIMIT_NAME_BYTES);
    PROMISE(strlen(target.tc_url) <= CV_LIMIT_URL_BYTES);
    PROMISE(strlen(target.display) <= CV_LIMIT_URL_BYTES);
    PROMISE(!strchr(target.display, '?'));
    for (const char *at = target.display; *at; at++)
        PROMISE((uint8_t)*at >= 0x20 && (uint8_t)*at != 0x7f);
    struct cv_url url;
    struct cv_text host = {target.host, cv_text_find(cv_text_of(target.host), '%')};
    PROMISE(cv_url_parse(&url, cv_text_of(target.tc_url), NULL) == CV_OK);
    PROMISE(url.user.len == 0 && url.password.len == 0 && url.port == target.port);
    PROMISE(cv_text_equal(url.host, host));
    PROMISE(cv_url_parse(&url, cv_text_of(target.display), NULL) == CV_OK);
    PROMISE(url.user.len == 0 && url.query.len == 0);
}

static void check_query(const struct cv_query_places *places, struct cv_text key)
{
    char wanted[33];
    char value[64];
    cv_text_escape(wanted, sizeof wanted, key);
    int len = cv_query_find(places, wanted, value, sizeof value);
    PROMISE(len < 0 || strlen(value) == (size_t)len);
    for (size_t room = 1; room <= 8; room++)
        (void)cv_query_get(cv_query_of(places->name), wanted, value, room);
}

static void check_text(struct cv_text text)
{
    char escaped[80];
    size_t len = cv_text_escape(escaped, sizeof escaped, text);
    PROMISE(len < sizeof escaped && strlen(escaped) == len);
    for (size_t i = 0; i < len; i++)
        PROMISE(escaped[i] >= 0x20 && escaped[i] <= 0x7e);
    uint64_t value = 0;
    if (cv_text_u64(text, 3, 70000, &value) == CV_OK)
        PROMISE(value >= 3 && value <= 70000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_text rest = {(const char *)data, size};
    struct cv_query_places places;
    places.tc_url = cv_text_take(&rest, '\n');
    places.app = cv_text_take(&rest, '\n');
    places.name = cv_text_take(&rest, '\n');

    check_url(places.tc_url);
    check_target(places.tc_url);
    struct cv_path path;
    if (cv_path_join(&path, places.app, places.name) == CV_OK)
        check_path(&path);
    check_query(&places, rest);
    check_text(rest);
    return 0;
}
