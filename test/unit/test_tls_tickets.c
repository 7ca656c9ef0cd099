// The keys of tickets: used for some hours, then for what they gave only, then gone; any thread.
#include "harness.h"

#include "base/limits.h"
#include "io/thread.h"
#include "io/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdatomic.h>

static const uint64_t period_us = (uint64_t)CV_TLS_TICKET_S * 1000000;

enum { NO_TICKET = 0, TICKET = 1, TICKET_AND_ANOTHER = 2 }; // as OpenSSL has it

// What OpenSSL brings along for one ticket.
struct use {
    bool once;
    EVP_MAC *hmac;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
    unsigned char name[16];
    unsigned char iv[EVP_MAX_IV_LENGTH];
};

static void use_init(struct use *use)
{
    *use = (struct use){.once = false};
    use->hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    use->cipher = EVP_CIPHER_CTX_new();
    use->mac = EVP_MAC_CTX_new(use->hmac);
}

static void use_done(struct use *use)
{
    EVP_MAC_CTX_free(use->mac);
    EVP_CIPHER_CTX_free(use->cipher);
    EVP_MAC_free(use->hmac);
}

static int protect(struct cv_tls_tickets *tickets, struct use *use, uint64_t now_us)
{
    return cv_tls_tickets_use(tickets, now_us, use->once, use->name, use->iv, use->cipher, use->mac,
                              1);
}

static int open_again(struct cv_tls_tickets *tickets, struct use *use, uint64_t now_us)
{
    return cv_tls_tickets_use(tickets, now_us, use->once, use->name, use->iv, use->cipher, use->mac,
                              0);
}

static void one_block(struct use *use, const unsigned char *in, unsigned char out[32])
{
    int len = 0;
    EVP_CIPHER_CTX_set_padding(use->cipher, 0);
    assert_int_equal(EVP_CipherUpdate(use->cipher, out, &len, in, 16), 1);
    assert_int_equal(len, 16);
}

static void mac_of(struct use *use, unsigned char out[32])
{
    size_t len = 0;
    assert_int_equal(EVP_MAC_update(use->mac, (const unsigned char *)"text", 4), 1);
    assert_int_equal(EVP_MAC_final(use->mac, out, &len, 32), 1);
    assert_int_equal(len, 32);
}

static void what_was_protected_can_be_opened(void **state)
{
    (void)state;
    static const unsigned char text[16] = "a session's text";
    unsigned char sealed[32];
    unsigned char opened[32];
    unsigned char macs[2][32];
    struct use use;
    use_init(&use);
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(5);
    assert_int_equal(protect(tickets, &use, 5), TICKET);
    one_block(&use, text, sealed);
    mac_of(&use, macs[0]);
    assert_memory_not_equal(sealed, text, sizeof text);
    assert_int_equal(open_again(tickets, &use, 6), TICKET);
    one_block(&use, sealed, opened);
    mac_of(&use, macs[1]);
    assert_memory_equal(opened, text, sizeof text);
    assert_memory_equal(macs[0], macs[1], 32);
    use.name[3] ^= 1;
    assert_int_equal(open_again(tickets, &use, 7), NO_TICKET);
    cv_tls_tickets_unref(&tickets);
    use_done(&use);
}

static void each_ticket_has_its_own_vector(void **state)
{
    (void)state;
    unsigned char first[16];
    struct use use;
    use_init(&use);
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(0);
    protect(tickets, &use, 0);
    memcpy(first, use.iv, sizeof first);
    protect(tickets, &use, 0);
    assert_memory_not_equal(first, use.iv, sizeof first);
    cv_tls_tickets_unref(&tickets);
    use_done(&use);
}

static void keys_change_with_time(void **state)
{
    (void)state;
    struct use old;
    struct use fresh;
    use_init(&old);
    use_init(&fresh);
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(1000);
    uint64_t change_us = 1000 + period_us;
    protect(tickets, &old, 1000);
    protect(tickets, &fresh, change_us - 1);
    assert_memory_equal(old.name, fresh.name, 16);
    protect(tickets, &fresh, change_us);
    assert_memory_not_equal(old.name, fresh.name, 16);
    // Taken still, but its owner gets another one.
    assert_int_equal(open_again(tickets, &old, change_us), TICKET_AND_ANOTHER);
    assert_int_equal(open_again(tickets, &fresh, change_us), TICKET);
    assert_int_equal(open_again(tickets, &old, change_us + period_us - 1), TICKET_AND_ANOTHER);
    assert_int_equal(open_again(tickets, &fresh, change_us + period_us), TICKET_AND_ANOTHER);
    assert_int_equal(open_again(tickets, &old, change_us + period_us), NO_TICKET);
    cv_tls_tickets_unref(&tickets);
    use_done(&old);
    use_done(&fresh);
}

// Nobody came for long: what was given before is over, too.
static void keys_end_while_nobody_comes(void **state)
{
    (void)state;
    struct use use;
    use_init(&use);
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(0);
    protect(tickets, &use, 0);
    assert_int_equal(open_again(tickets, &use, 2 * period_us), NO_TICKET);
    cv_tls_tickets_unref(&tickets);
    use_done(&use);
}

static void tickets_for_one_use(void **state)
{
    (void)state;
    struct use use;
    use_init(&use);
    use.once = true;
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(0);
    protect(tickets, &use, 0);
    assert_int_equal(open_again(tickets, &use, 0), TICKET_AND_ANOTHER);
    cv_tls_tickets_unref(&tickets);
    use_done(&use);
}

// ---- threads -----------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 2000 };

struct crowd {
    struct cv_tls_tickets *tickets;
    atomic_uint_least64_t now_us;
    atomic_uint failures;
};

// Time goes on under everybody's hands. What was protected just now can be opened, with the same
// key, for at least one change.
static void run_one(void *arg)
{
    struct crowd *crowd = arg;
    static const unsigned char text[16] = "a session's text";
    struct use use;
    use_init(&use);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned char sealed[32];
        unsigned char opened[32];
        uint64_t now_us = atomic_load(&crowd->now_us);
        if (protect(crowd->tickets, &use, now_us) != TICKET)
            atomic_fetch_add(&crowd->failures, 1);
        one_block(&use, text, sealed);
        if (i % 4 == 0)
            atomic_compare_exchange_strong(&crowd->now_us, &now_us, now_us + period_us);
        int found = open_again(crowd->tickets, &use, now_us);
        if (found == NO_TICKET)
            continue; // the others have moved on by two periods
        one_block(&use, sealed, opened);
        if (memcmp(opened, text, sizeof text) != 0)
            atomic_fetch_add(&crowd->failures, 1);
    }
    use_done(&use);
}

static void any_thread_at_any_time(void **state)
{
    (void)state;
    struct crowd crowd = {.tickets = cv_tls_tickets_new(0)};
    struct cv_thread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(cv_thread_start(&threads[i], "tickets", run_one, &crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        cv_thread_join(&threads[i]);
    assert_int_equal(crowd.failures, 0);
    cv_tls_tickets_unref(&crowd.tickets);
}

static bool make_one(void *arg)
{
    (void)arg;
    struct cv_tls_tickets *tickets = cv_tls_tickets_new(0);
    bool made = tickets != NULL;
    cv_tls_tickets_unref(&tickets);
    return made;
}

static void failing_memory(void **state)
{
    (void)state;
    fail_nth(make_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_protected_can_be_opened),
        cmocka_unit_test(each_ticket_has_its_own_vector),
        cmocka_unit_test(keys_change_with_time),
        cmocka_unit_test(keys_end_while_nobody_comes),
        cmocka_unit_test(tickets_for_one_use),
        cmocka_unit_test(any_thread_at_any_time),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
