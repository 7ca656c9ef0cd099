// The site as text: "http://127.0.0.1:8081" or "/var/www/html".
#include "base/check.h"
#include "base/err.h"
#include "base/url.h"
#include "server/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char place[] = "site";

static int fail(struct cv_why *why, const char *text, const char *what)
{
    return cv_why_set(why, CV_E_CONFIG, place, "is \"%.48s\": %s", text, what);
}

static int parse_folder(const char *text, struct cv_config_site *out, struct cv_why *why)
{
    size_t len = strlen(text);
    while (len > 1 && text[len - 1] == '/')
        len--;
    if (len > CV_LIMIT_FOLDER_BYTES)
        return fail(why, text, "the path of a folder has at most 1023 bytes");
    struct cv_config_site site = {.kind = CV_SITE_FOLDER};
    memcpy(site.folder, text, len);
    *out = site;
    return CV_OK;
}

// What is wrong with an address that can be read, or NULL.
static const char *refuse(const struct cv_url *url)
{
    if (url->scheme == CV_SCHEME_HTTPS)
        return "https:// to the site is not supported yet; use http://";
    if (url->scheme != CV_SCHEME_HTTP)
        return "must be http://HOST[:PORT], or a folder";
    if (url->user.at)
        return "a user cannot be given";
    bool bare = url->path.len == 0 || cv_text_is(url->path, "/");
    if (!bare || url->query.len)
        return "nothing may stand behind HOST[:PORT]: paths go to the site as they come";
    return NULL;
}

static int parse_upstream(const char *text, struct cv_config_site *out, struct cv_why *why)
{
    struct cv_url url;
    struct cv_why wrong = {0};
    if (cv_url_parse(&url, cv_text_of(text), &wrong) != CV_OK)
        return fail(why, text, wrong.text);
    const char *refusal = refuse(&url);
    if (refusal)
        return fail(why, text, refusal);
    struct cv_config_site site = {.kind = CV_SITE_UPSTREAM, .ipv6 = url.ipv6, .port = url.port};
    CV_ASSERT(url.host.len <= CV_LIMIT_HOST_BYTES);
    memcpy(site.host, url.host.at, url.host.len);
    *out = site;
    return CV_OK;
}

// Neither: what was meant?
static int fail_neither(const char *text, struct cv_why *why)
{
    char guess[64];
    struct cv_config_site site;
    snprintf(guess, sizeof guess, "http://%.50s", text);
    bool address = strpbrk(text, ":.") && text[0] != '.' && strlen(text) <= 50 &&
                   parse_upstream(guess, &site, NULL) == CV_OK;
    if (address)
        return cv_why_set(why, CV_E_CONFIG, place, "is \"%.48s\": did you mean \"%s\"?", text,
                          guess);
    return fail(why, text, "must be http://HOST[:PORT], or a folder that begins with /");
}

int cv_site_parse(const char *text, struct cv_config_site *out, struct cv_why *why)
{
    if (text[0] == '/')
        return parse_folder(text, out, why);
    return strstr(text, "://") ? parse_upstream(text, out, why) : fail_neither(text, why);
}

void cv_site_text(const struct cv_config_site *site, char *out, size_t size)
{
    const char *open = site->ipv6 ? "[" : "";
    const char *close = site->ipv6 ? "]" : "";
    if (site->kind == CV_SITE_UPSTREAM)
        snprintf(out, size, "http://%s%s%s:%u", open, site->host, close, site->port);
    else
        snprintf(out, size, "%s", site->kind == CV_SITE_FOLDER ? site->folder : "");
}

// ---- is it there? ---------------------------------------------------------------------------

static const char *what_is_wrong(const char *folder)
{
    struct stat stat_now;
    if (stat(folder, &stat_now) != 0)
        return errno == EACCES ? "this user may not enter the folders above it: allow that with "
                                 "chmod, or name another folder"
                               : "there is no such folder: make it, or name another one";
    if (!S_ISDIR(stat_now.st_mode))
        return "this is no folder: name the folder that it lies in";
    if (eaccess(folder, X_OK) != 0)
        return "this user may not enter the folder: allow that with chmod, or name another one";
    return NULL;
}

int cv_folder_check(const char *folder, struct cv_why *why)
{
    const char *wrong = what_is_wrong(folder);
    return wrong ? fail(why, folder, wrong) : CV_OK;
}

int cv_site_check(const struct cv_config_site *site, struct cv_why *why)
{
    return site->kind == CV_SITE_FOLDER ? cv_folder_check(site->folder, why) : CV_OK;
}
