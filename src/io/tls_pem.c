// Reading the PEM files of certificates and keys, and saying which one is wrong.
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/tls_cert_state.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char place[] = "tls";

int cv__tls_pem_fail(struct cv_why *why, const char *file, const char *format, ...)
{
    char text[sizeof why->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t taken = strlen("...: ") + strlen(text);
    size_t room = taken < sizeof why->text ? sizeof why->text - 1 - taken : 0;
    size_t len = strlen(file);
    if (len <= room)
        return cv_why_set(why, CV_E_CONFIG, place, "%s: %s", file, text);
    return cv_why_set(why, CV_E_CONFIG, place, "...%s: %s", file + len - room, text);
}

static int fail_open(const char *file, const char *what, int error, struct cv_why *why)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return cv__tls_pem_fail(why, file, "there is no such file; name the file of the %s", what);
    case EACCES:
    case EPERM:
        return cv__tls_pem_fail(
            why, file, "this user may not read the %s; allow that with chmod or chgrp", what);
    default:
        return cv__tls_pem_fail(why, file, "the %s cannot be read (%s)", what, strerror(error));
    }
}

// The whole of a descriptor, up to one byte more than is allowed. How many, or -1 with errno.
static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, out + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static int read_text(struct cv__tls_pem *pem, int fd, const char *what, struct cv_why *why)
{
    ssize_t len = read_all(fd, pem->text, CV_LIMIT_PEM_BYTES + 1);
    if (len < 0)
        return fail_open(pem->file, what, errno, why);
    if (len > CV_LIMIT_PEM_BYTES)
        return cv__tls_pem_fail(why, pem->file, "too long for a %s; name its file", what);
    if (len == 0)
        return cv__tls_pem_fail(why, pem->file, "the file is empty; name the file of the %s", what);
    pem->len = (size_t)len;
    if ((unsigned char)pem->text[0] == 0x30) // an ASN.1 SEQUENCE
        return cv__tls_pem_fail(why, pem->file,
                                "binary (DER or PKCS#12), not PEM; convert it, as with openssl %s",
                                strcmp(what, "key") == 0 ? "pkey -inform DER" : "x509 -inform DER");
    return CV_OK;
}

static int read_open(struct cv__tls_pem *pem, int fd, const char *what, struct cv_why *why)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return fail_open(pem->file, what, errno, why);
    if (!S_ISREG(stat.st_mode))
        return cv__tls_pem_fail(why, pem->file, "not a file; name the file of the %s", what);
    pem->text = cv_mem_alloc(CV_LIMIT_PEM_BYTES + 1);
    if (!pem->text)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory to read the %s", what);
    int err = read_text(pem, fd, what, why);
    if (err != CV_OK)
        cv__tls_pem_done(pem);
    return err;
}

int cv__tls_pem_read(struct cv__tls_pem *pem, const char *file, const char *what,
                     struct cv_why *why)
{
    *pem = (struct cv__tls_pem){.file = file};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_open(file, what, errno, why);
    int err = read_open(pem, fd, what, why);
    close(fd);
    return err;
}

void cv__tls_pem_done(struct cv__tls_pem *pem)
{
    if (pem->text)
        OPENSSL_cleanse(pem->text, CV_LIMIT_PEM_BYTES + 1);
    cv_mem_free(pem->text);
    pem->text = NULL;
    pem->len = 0;
}
