#include "server/acme_files.h"

#include "base/block.h"
#include "base/check.h"
#include "io/tls_cert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char place[] = "acme";

enum { PATH_BYTES = CV_LIMIT_FOLDER_BYTES + 1, PAST_BYTES = 256 };

// ---- names ----------------------------------------------------------------------------------

int cv_acme_files_of(struct cv_acme_files *out, const char *folder, struct cv_why *why)
{
    const struct {
        char *path;
        const char *name;
    } rows[] = {
        {out->folder, ""},
        {out->client, "/client"},
        {out->webroot, "/webroot"},
        {out->challenges, "/webroot/.well-known/acme-challenge"},
        {out->certificate, "/" CV_ACME_CERTIFICATE},
        {out->past, "/past"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((size_t)snprintf(rows[i].path, PATH_BYTES, "%s%s", folder, rows[i].name) >= PATH_BYTES)
            return cv_why_set(why, CV_E_STORE, place, "the name of the state folder is too long");
    }
    return CV_OK;
}

// What a client left that was ended.
static void empty(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

int cv_acme_files_make(const struct cv_acme_files *files, struct cv_why *why)
{
    const char *const folders[] = {files->folder, files->client, files->webroot};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (mkdir(folders[i], 0700) != 0 && errno != EEXIST)
            return cv_why_set(why, CV_E_STORE, place, "cannot make %s: %s", folders[i],
                              strerror(errno));
    }
    empty(files->challenges);
    return CV_OK;
}

// ---- small files, whole -----------------------------------------------------------------------

static int fail_read(struct cv_why *why, const char *path, const char *what)
{
    return cv_why_set(why, CV_E_STORE, place, "cannot read %s: %s", path, what);
}

// Appends the file to the block, which has room for `max` bytes more.
static int read_onto(struct cv_block *block, const char *path, size_t max, struct cv_why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return fail_read(why, path, strerror(errno));
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < max) {
        got = read(fd, block->data + block->len, max - len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0) {
            block->len += (uint32_t)got;
            len += (size_t)got;
        }
    }
    int error = errno;
    close(fd);
    if (got < 0)
        return fail_read(why, path, strerror(error));
    return got == 0 ? CV_OK : fail_read(why, path, "it is too long");
}

static int write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t done = write(fd, at, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        at += done;
        len -= (size_t)done;
    }
    return 0;
}

// In one step: whoever looks finds the old file or the new one, also after a power cut.
static int replace(const char *path, const void *data, size_t len, struct cv_why *why)
{
    char made[PATH_BYTES + sizeof ".new"];
    snprintf(made, sizeof made, "%s.new", path);
    unlink(made);
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failed = fd < 0 || write_all(fd, data, len) != 0 || fsync(fd) != 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && !failed) {
        failed = 1;
        error = errno;
    }
    if (!failed && rename(made, path) == 0)
        return CV_OK;
    error = failed ? error : errno;
    unlink(made);
    return cv_why_set(why, CV_E_STORE, place, "cannot write %s: %s", path, strerror(error));
}

// ---- certificates -----------------------------------------------------------------------------

static bool is_for_all(const struct cv_tls_cert *cert, const struct cv_config_acme *acme)
{
    for (uint32_t i = 0; i < acme->domain_count; i++) {
        if (!cv_tls_cert_is_for(cert, acme->domains[i]))
            return false;
    }
    return true;
}

struct cv_acme_have cv_acme_files_have(const struct cv_acme_files *files,
                                       const struct cv_config_acme *acme, int64_t now_s)
{
    struct cv_tls_cert *cert = NULL;
    struct cv_tls_cert_info info;
    struct cv_why why = {0}; // no certificate is no failure
    if (cv_tls_cert_load(&cert, files->certificate, files->certificate, now_s, &why) != CV_OK)
        return (struct cv_acme_have){0};
    cv_tls_cert_info(cert, &info);
    struct cv_acme_have have = {.fits = is_for_all(cert, acme),
                                .not_before_s = info.not_before_s,
                                .not_after_s = info.not_after_s};
    cv_tls_cert_unref(&cert);
    return have;
}

static int check(const char *cert_file, const char *key_file, const struct cv_config_acme *acme,
                 int64_t now_s, struct cv_why *why)
{
    struct cv_tls_cert *cert = NULL;
    int err = cv_tls_cert_load(&cert, cert_file, key_file, now_s, why);
    if (err == CV_OK && !is_for_all(cert, acme))
        err = cv_why_set(why, CV_E_CONFIG, place, "the new certificate is not for all domains");
    cv_tls_cert_unref(&cert);
    return err;
}

static int join(const char *first, const char *second, struct cv_block **out, struct cv_why *why)
{
    struct cv_block *block = cv_block_new((size_t)2 * CV_LIMIT_PEM_BYTES);
    if (!block)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for a certificate");
    int err = read_onto(block, first, CV_LIMIT_PEM_BYTES, why);
    if (err == CV_OK)
        err = read_onto(block, second, CV_LIMIT_PEM_BYTES, why);
    if (err != CV_OK)
        cv_block_unref(&block);
    *out = block;
    return err;
}

// Key and certificate in one file: the one never stands there without the other.
int cv_acme_files_take(const struct cv_acme_files *files, const struct cv_config_acme *acme,
                       int64_t now_s, struct cv_why *why)
{
    char cert_file[PATH_BYTES + CV_LIMIT_HOST_BYTES + 32];
    char key_file[sizeof cert_file];
    snprintf(cert_file, sizeof cert_file, "%s/certificates/%s.crt", files->client,
             acme->domains[0]);
    snprintf(key_file, sizeof key_file, "%s/certificates/%s.key", files->client, acme->domains[0]);
    struct cv_block *both = NULL;
    int err = check(cert_file, key_file, acme, now_s, why);
    if (err == CV_OK)
        err = join(key_file, cert_file, &both, why);
    if (err == CV_OK)
        err = replace(files->certificate, both->data, both->len, why);
    cv_block_unref(&both);
    return err;
}

// ---- the past -----------------------------------------------------------------------------------

struct cv_acme_past cv_acme_files_past(const struct cv_acme_files *files, const char *asked)
{
    struct cv_acme_past past = {0};
    struct cv_block *text = cv_block_new(PAST_BYTES);
    if (text && read_onto(text, files->past, PAST_BYTES, NULL) == CV_OK)
        past = cv_acme_past_read((struct cv_text){(const char *)text->data, text->len}, asked);
    cv_block_unref(&text);
    return past;
}

int cv_acme_files_keep(const struct cv_acme_files *files, const struct cv_acme_past *past,
                       const char *asked, struct cv_why *why)
{
    char text[PAST_BYTES];
    bool fits = cv_acme_past_write(past, asked, text, sizeof text);
    CV_ASSERT(fits); // `asked` is short
    return replace(files->past, text, strlen(text), why);
}
