#include "io/tls_tickets.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <string.h>

enum { NAME_BYTES = 16, IV_BYTES = 16, SECRET_BYTES = 32 };

// The name travels in the ticket, and tells which key it is.
struct key {
    unsigned char name[NAME_BYTES];
    unsigned char cipher[SECRET_BYTES];
    unsigned char mac[SECRET_BYTES];
};

enum { WORDS = sizeof(struct key) / sizeof(uint64_t) };
_Static_assert(sizeof(struct key) % sizeof(uint64_t) == 0, "a key is kept as words");

// Read without a lock: whoever sees `sequence` odd, or another one afterwards, reads again. It
// changes once in some hours.
struct cv_tls_tickets {
    atomic_uint refs;
    atomic_uint sequence; // odd: the keys are being changed
    atomic_uint_least64_t changed_us;
    atomic_uint_least64_t keys[2][WORDS]; // the present one, the one before
};

static const uint64_t period_us = (uint64_t)CV_TLS_TICKET_S * 1000000;

static bool key_make(uint64_t out[WORDS])
{
    return RAND_priv_bytes((unsigned char *)out, (int)(WORDS * sizeof *out)) == 1;
}

// Each word is read and written in order with `sequence`: a word of the next key comes with the
// news that it has changed.
static void key_store(atomic_uint_least64_t to[WORDS], const uint64_t from[WORDS])
{
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&to[i], from[i], memory_order_release);
}

static void key_load(uint64_t to[WORDS], atomic_uint_least64_t from[WORDS])
{
    for (size_t i = 0; i < WORDS; i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_acquire);
}

struct cv_tls_tickets *cv_tls_tickets_new(uint64_t now_us)
{
    uint64_t fresh[2][WORDS];
    struct cv_tls_tickets *tickets = cv_mem_zero(1, sizeof *tickets);
    if (!tickets || !key_make(fresh[0]) || !key_make(fresh[1])) {
        cv_mem_free(tickets);
        return NULL;
    }
    atomic_init(&tickets->refs, 1);
    atomic_init(&tickets->changed_us, now_us);
    for (size_t i = 0; i < 2; i++)
        key_store(tickets->keys[i], fresh[i]);
    OPENSSL_cleanse(fresh, sizeof fresh);
    return tickets;
}

struct cv_tls_tickets *cv_tls_tickets_ref(struct cv_tls_tickets *tickets)
{
    atomic_fetch_add_explicit(&tickets->refs, 1, memory_order_relaxed);
    return tickets;
}

void cv_tls_tickets_unref(struct cv_tls_tickets **tickets)
{
    struct cv_tls_tickets *gone = *tickets;
    *tickets = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) > 1)
        return;
    OPENSSL_cleanse(gone, sizeof *gone);
    cv_mem_free(gone);
}

// ---- change by time ----------------------------------------------------------------------------

static uint64_t age_us(struct cv_tls_tickets *tickets, uint64_t now_us)
{
    uint64_t changed_us = atomic_load_explicit(&tickets->changed_us, memory_order_acquire);
    return now_us > changed_us ? now_us - changed_us : 0;
}

// For the one thread that has made `sequence` odd; the others wait meanwhile. `fresh`: two keys.
// One that is two periods old is not even kept as the one before.
static void change(struct cv_tls_tickets *tickets, uint64_t fresh[2][WORDS], uint64_t now_us)
{
    if (age_us(tickets, now_us) < 2 * period_us)
        key_load(fresh[1], tickets->keys[0]);
    key_store(tickets->keys[1], fresh[1]);
    key_store(tickets->keys[0], fresh[0]);
    atomic_store_explicit(&tickets->changed_us, now_us, memory_order_release);
}

// Unless somebody else is faster.
static void try_change(struct cv_tls_tickets *tickets, uint64_t fresh[2][WORDS], uint64_t now_us)
{
    unsigned sequence = atomic_load_explicit(&tickets->sequence, memory_order_acquire);
    if (sequence % 2 ||
        !atomic_compare_exchange_strong_explicit(&tickets->sequence, &sequence, sequence + 1,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    if (age_us(tickets, now_us) >= period_us)
        change(tickets, fresh, now_us);
    atomic_store_explicit(&tickets->sequence, sequence + 2, memory_order_release);
}

static void change_if_due(struct cv_tls_tickets *tickets, uint64_t now_us)
{
    uint64_t fresh[2][WORDS];
    if (age_us(tickets, now_us) < period_us)
        return;
    if (key_make(fresh[0]) && key_make(fresh[1]))
        try_change(tickets, fresh, now_us);
    OPENSSL_cleanse(fresh, sizeof fresh);
}

static void read_keys(struct cv_tls_tickets *tickets, struct key out[2])
{
    uint64_t words[2][WORDS];
    unsigned sequence;
    do {
        sequence = atomic_load_explicit(&tickets->sequence, memory_order_acquire);
        key_load(words[0], tickets->keys[0]);
        key_load(words[1], tickets->keys[1]);
    } while (sequence % 2 ||
             sequence != atomic_load_explicit(&tickets->sequence, memory_order_relaxed));
    memcpy(out, words, sizeof words);
    OPENSSL_cleanse(words, sizeof words);
}

// ---- OpenSSL's questions -----------------------------------------------------------------------

enum { FAILED = -1, NO_TICKET = 0, TICKET = 1, TICKET_AND_ANOTHER = 2 };

static bool set_mac(EVP_MAC_CTX *mac, const struct key *key)
{
    char digest[] = OSSL_DIGEST_NAME_SHA2_256;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(mac, key->mac, sizeof key->mac, params) == 1;
}

static int protect(const struct key *key, unsigned char *name, unsigned char *iv,
                   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, key->name, NAME_BYTES);
    bool set = RAND_bytes(iv, IV_BYTES) == 1 &&
               EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1 &&
               set_mac(mac, key);
    return set ? TICKET : FAILED;
}

static int open_with(const struct key *key, bool another, const unsigned char *iv,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1 ||
        !set_mac(mac, key))
        return FAILED;
    return another ? TICKET_AND_ANOTHER : TICKET;
}

int cv_tls_tickets_use(struct cv_tls_tickets *tickets, uint64_t now_us, bool once,
                       unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int encrypt)
{
    struct key keys[2];
    int result = NO_TICKET;
    change_if_due(tickets, now_us);
    read_keys(tickets, keys);
    if (encrypt)
        result = protect(&keys[0], name, iv, cipher, mac);
    else if (memcmp(name, keys[0].name, NAME_BYTES) == 0)
        result = open_with(&keys[0], once, iv, cipher, mac);
    else if (memcmp(name, keys[1].name, NAME_BYTES) == 0)
        result = open_with(&keys[1], true, iv, cipher, mac);
    OPENSSL_cleanse(keys, sizeof keys);
    return result;
}
