// Certificates and keys for tests, in files of a folder of their own.
#ifndef CV_TEST_CERT_KIT_H
#define CV_TEST_CERT_KIT_H

#include "harness.h"

#include <openssl/x509.h>

enum { CERT_NOW_S = 1798761600 }; // 2027-01-01, when the tests take place

struct cert_spec {
    const char *key;           // "P-256" (when NULL), "P-192", "RSA-2048", "RSA-1024", "ED25519"
    const char *names;         // "a.example,*.b.example,127.0.0.1"; NULL: no alternative names
    const char *common_name;   // NULL: "test"
    const char *digest;        // "SHA256" when NULL
    const char *extended_use;  // NULL: none
    int from_days, until_days; // from CERT_NOW_S; both 0: -1 to 90
    bool authority;            // it may sign others
};

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

// `issuer` NULL: its own.
struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer);
void cert_done(struct cert *cert);

// A folder for the files; removed by cert_folder_remove.
const char *cert_folder(void);
void cert_folder_remove(void);
// The path of a file in it: one of eight buffers in turn.
const char *cert_path(const char *name);
// Writes files there. A NULL certificate or key is left out; `passphrase` may be NULL.
void cert_write(const char *name, const struct cert *first, const struct cert *second);
void key_write(const char *name, const struct cert *cert, const char *passphrase);
void text_write(const char *name, const void *text, size_t len);
// Both, as NAME.crt and NAME.key.
void pair_write(const char *name, const struct cert_spec *spec);

#endif
