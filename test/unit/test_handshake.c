// The handshake: both roles in memory, every mode, every cut; digests against a second
// implementation, against constants that were computed elsewhere, and against real clients' bytes.
#include "harness.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "proto/handshake.h"

enum { PART = CV_HANDSHAKE_PART_BYTES, WHOLE = CV_HANDSHAKE_BYTES, SERVER_MS = 77, CLIENT_MS = 99 };

// ---- crypto of the tests: real digests, random bytes that can be repeated --------------------

static uint32_t random_state;
static bool random_fails;
static bool random_is_zero;
static int hmac_calls_until_failure; // 0: never fails

static int test_random(void *out, size_t len)
{
    if (random_fails)
        return CV_E_SYSTEM;
    for (size_t i = 0; i < len; i++) {
        random_state = random_state * 1664525 + 1013904223;
        ((uint8_t *)out)[i] = random_is_zero ? 0 : (uint8_t)(random_state >> 24);
    }
    return CV_OK;
}

static int test_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                     const void *data2, size_t len2, uint8_t out[32])
{
    if (hmac_calls_until_failure > 0 && --hmac_calls_until_failure == 0)
        return CV_E_SYSTEM;
    return cv_crypto_openssl.hmac_sha256(key, key_len, data1, len1, data2, len2, out);
}

static const struct cv_crypto with_hmac = {.hmac_sha256 = test_hmac, .random = test_random};
static const struct cv_crypto without_hmac = {.random = test_random};

static int fresh(void **state)
{
    (void)state;
    random_state = 1;
    random_fails = false;
    random_is_zero = false;
    hmac_calls_until_failure = 0;
    return 0;
}

// ---- the second implementation of the digest -------------------------------------------------

static const uint8_t client_text[] = "Genuine Adobe Flash Player 001";
static const uint8_t server_text[] = "Genuine Adobe Flash Media Server 001";

static void hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[32])
{
    int err = cv_crypto_openssl.hmac_sha256(key, key_len, data, len, NULL, 0, out);
    assert_int_equal(err, CV_OK);
}

static size_t place_of_digest(const uint8_t *part, int schema)
{
    const uint8_t *offset = part + (schema ? 8 : 772);
    unsigned sum = (unsigned)offset[0] + offset[1] + offset[2] + offset[3];
    return (schema ? 12 : 776) + sum % 728;
}

static void expected_digest(bool server, const uint8_t *part, size_t place, uint8_t out[32])
{
    uint8_t rest[PART - 32];
    memcpy(rest, part, place);
    memcpy(rest + place, part + place + 32, PART - 32 - place);
    if (server)
        hmac(server_text, 36, rest, sizeof rest, out);
    else
        hmac(client_text, 30, rest, sizeof rest, out);
}

// Puts a digest into the part, as a peer would.
static void add_digest(bool server, uint8_t *part, int schema)
{
    size_t place = place_of_digest(part, schema);
    uint8_t digest[32];
    expected_digest(server, part, place, digest);
    memcpy(part + place, digest, 32);
}

static void expect_digest(bool server, const uint8_t *part, int schema)
{
    size_t place = place_of_digest(part, schema);
    uint8_t digest[32];
    expected_digest(server, part, place, digest);
    assert_memory_equal(part + place, digest, 32);
}

// Checks that `second` (S2 when server, else C2) is signed for the digest at `peer_digest`.
static void expect_signed(bool server, const uint8_t *second, const uint8_t *peer_digest)
{
    static const char tail[] = "f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae";
    uint8_t key[100];
    size_t text_len = server ? 36 : 30;
    memcpy(key, server ? server_text : client_text, text_len);
    size_t key_len = text_len + hex_bytes(tail, key + text_len, 32);
    uint8_t signer[32];
    hmac(key, key_len, peer_digest, 32, signer);
    uint8_t signature[32];
    hmac(signer, 32, second, PART - 32, signature);
    assert_memory_equal(second + PART - 32, signature, 32);
}

// ---- one side and what it sent ---------------------------------------------------------------

struct side {
    struct cv_handshake *hs;
    uint8_t out[WHOLE];
    size_t out_len;
};

static void side_take(struct side *side)
{
    int err = 1;
    struct cv_block *block = cv_handshake_take(side->hs, &err);
    assert_int_equal(err, CV_OK);
    if (!block)
        return;
    assert_true(block->len <= WHOLE - side->out_len);
    memcpy(side->out + side->out_len, block->data, block->len);
    side->out_len += block->len;
    cv_block_unref(&block);
    assert_null(cv_handshake_take(side->hs, &err));
    assert_int_equal(err, CV_OK);
}

// Feeds bytes that end at an unreadable page and collects the answer. Returns how many were left.
static size_t side_feed(struct side *side, const uint8_t *data, size_t len)
{
    struct guard guard = guard_copy(data, len);
    struct cv_rd rd = cv_rd_over(guard.data, guard.len);
    struct cv_why why = {0};
    assert_int_equal(cv_handshake_feed(side->hs, &rd, &why), CV_OK);
    assert_int_equal(why.code, CV_OK);
    assert_int_equal(rd.err, CV_OK);
    size_t left = cv_rd_left(&rd);
    guard_free(&guard);
    side_take(side);
    return left;
}

static struct side server_side(const struct cv_crypto *crypto)
{
    struct side side = {.hs = cv_handshake_new_server(crypto, SERVER_MS)};
    assert_non_null(side.hs);
    side_take(&side);
    assert_int_equal(side.out_len, 0);
    return side;
}

static struct side client_side(const struct cv_crypto *crypto, bool digest)
{
    struct side side = {.hs = cv_handshake_new_client(crypto, CLIENT_MS, digest)};
    assert_non_null(side.hs);
    side_take(&side);
    assert_int_equal(side.out_len, 1 + PART);
    assert_int_equal(side.out[0], 3);
    return side;
}

static uint8_t *first_of(struct side *side)
{
    return side->out + 1;
}

static uint8_t *second_of(struct side *side)
{
    return side->out + 1 + PART;
}

// The whole handshake, each side's bytes in pieces of `piece`.
static void meet(struct side *server, struct side *client, size_t piece)
{
    size_t to_server = 0;
    size_t to_client = 0;
    while (!cv_handshake_done(server->hs) || !cv_handshake_done(client->hs)) {
        size_t up = client->out_len - to_server;
        size_t down = server->out_len - to_client;
        assert_true(up + down > 0);
        up = up < piece ? up : piece;
        down = down < piece ? down : piece;
        assert_int_equal(side_feed(server, client->out + to_server, up), 0);
        assert_int_equal(side_feed(client, server->out + to_client, down), 0);
        to_server += up;
        to_client += down;
    }
    assert_int_equal(server->out_len, WHOLE);
    assert_int_equal(client->out_len, WHOLE);
    assert_int_equal(server->out[0], 3);
}

static void side_done(struct side *side)
{
    cv_handshake_free(side->hs);
}

static uint32_t word_at(const uint8_t *bytes)
{
    struct cv_rd rd = cv_rd_over(bytes, 4);
    return cv_rd_u32(&rd);
}

static const size_t pieces[] = {1, 7, 1536, 1537, 1538, 4000};
enum { PIECES = sizeof pieces / sizeof pieces[0] };

// ---- both roles -----------------------------------------------------------------------------

static void expect_simple(struct side *server, struct side *client)
{
    assert_int_equal(word_at(first_of(server)), SERVER_MS);
    assert_int_equal(word_at(first_of(server) + 4), 0);
    assert_int_equal(word_at(first_of(client)), CLIENT_MS);
    assert_memory_equal(second_of(server), first_of(client), PART);
    assert_memory_equal(second_of(client), first_of(server), PART);
    assert_false(cv_handshake_digest(server->hs));
    assert_false(cv_handshake_digest(client->hs));
}

static void simple_meets_simple(void **state)
{
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        struct side server = server_side(&with_hmac);
        struct side client = client_side(&with_hmac, false);
        meet(&server, &client, pieces[i]);
        expect_simple(&server, &client);
        assert_int_equal(word_at(first_of(&client) + 4), 0);
        side_done(&server);
        side_done(&client);
    }
}

static void digest_meets_digest(void **state)
{
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        struct side server = server_side(&with_hmac);
        struct side client = client_side(&with_hmac, true);
        meet(&server, &client, pieces[i]);
        assert_int_equal(word_at(first_of(&server)), SERVER_MS);
        assert_int_equal(word_at(first_of(&server) + 4), 0x04050001);
        assert_int_equal(word_at(first_of(&client) + 4), 0x09007c02);
        expect_digest(false, first_of(&client), 1);
        expect_digest(true, first_of(&server), 1);
        uint8_t *c1 = first_of(&client);
        uint8_t *s1 = first_of(&server);
        expect_signed(true, second_of(&server), c1 + place_of_digest(c1, 1));
        expect_signed(false, second_of(&client), s1 + place_of_digest(s1, 1));
        assert_true(cv_handshake_digest(server.hs));
        assert_true(cv_handshake_digest(client.hs));
        side_done(&server);
        side_done(&client);
    }
}

static void digest_client_meets_simple_server(void **state)
{
    (void)state;
    struct side server = server_side(&without_hmac);
    struct side client = client_side(&with_hmac, true);
    meet(&server, &client, 4000);
    assert_int_equal(word_at(first_of(&client) + 4), 0x09007c02);
    expect_simple(&server, &client);
    side_done(&server);
    side_done(&client);
}

static void digest_client_without_hmac_is_simple(void **state)
{
    (void)state;
    struct side server = server_side(&with_hmac);
    struct side client = client_side(&without_hmac, true);
    meet(&server, &client, 4000);
    assert_int_equal(word_at(first_of(&client) + 4), 0);
    expect_simple(&server, &client);
    side_done(&server);
    side_done(&client);
}

// A middlebox that knows only HTTP must see the end of a request, and no NUL in what follows.
static void client_part_is_disguised(void **state)
{
    (void)state;
    for (int zero = 0; zero < 2; zero++) {
        random_is_zero = zero;
        struct side client = client_side(&with_hmac, false);
        assert_memory_equal(first_of(&client) + 8, "\r\n\r\n", 4);
        assert_null(memchr(first_of(&client) + 8, 0, PART - 8));
        side_done(&client);
        struct side flash = client_side(&with_hmac, true);
        assert_memory_equal(first_of(&flash) + 8, "\r\n\r\n", 4);
        expect_digest(false, first_of(&flash), 1);
        side_done(&flash);
    }
}

// ---- the server and other people's clients -----------------------------------------------------

// C0 C1 and a C2 that copies nothing, as other programs send them.
static void fill_client(uint8_t bytes[WHOLE], uint32_t version)
{
    test_random(bytes, WHOLE);
    struct cv_wr wr = cv_wr_fixed(bytes, 9);
    cv_wr_u8(&wr, 3);
    cv_wr_u32(&wr, 0);
    cv_wr_u32(&wr, version);
}

static void server_answers_in_the_schema_of_the_client(void **state)
{
    (void)state;
    for (int schema = 0; schema < 2; schema++) {
        uint8_t bytes[WHOLE];
        fill_client(bytes, 0x09007c02);
        uint8_t *c1 = bytes + 1;
        add_digest(false, c1, schema);
        struct side server = server_side(&with_hmac);
        assert_int_equal(side_feed(&server, bytes, WHOLE), 0);
        assert_true(cv_handshake_done(server.hs));
        assert_true(cv_handshake_digest(server.hs));
        assert_int_equal(word_at(first_of(&server) + 4), 0x04050001);
        expect_digest(true, first_of(&server), schema);
        expect_signed(true, second_of(&server), c1 + place_of_digest(c1, schema));
        side_done(&server);
    }
}

// The least, the greatest and the wrapping sums of the offset bytes.
static void digest_is_found_at_every_kind_of_place(void **state)
{
    (void)state;
    static const struct {
        const char *offset;
        unsigned place;
    } rows[] = {
        {"00000000", 0}, {"01000000", 1},          {"ff00ffd9", 727},
        {"ff00ffda", 0}, {"ffffffff", 1020 - 728}, {"fe01ff01", 511},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        int schema = (int)(i % 2);
        uint8_t bytes[WHOLE];
        fill_client(bytes, 0x80000702);
        uint8_t *c1 = bytes + 1;
        hex_bytes(rows[i / 2].offset, c1 + (schema ? 8 : 772), 4);
        size_t place = (schema ? 12 : 776) + rows[i / 2].place;
        uint8_t digest[32];
        expected_digest(false, c1, place, digest);
        memcpy(c1 + place, digest, 32);
        struct side server = server_side(&with_hmac);
        side_feed(&server, bytes, WHOLE);
        assert_true(cv_handshake_digest(server.hs));
        expect_signed(true, second_of(&server), digest);
        side_done(&server);
    }
}

static void expect_simple_answer(const uint8_t bytes[WHOLE])
{
    struct side server = server_side(&with_hmac);
    assert_int_equal(side_feed(&server, bytes, WHOLE), 0);
    assert_true(cv_handshake_done(server.hs));
    assert_false(cv_handshake_digest(server.hs));
    assert_int_equal(word_at(first_of(&server) + 4), 0);
    assert_memory_equal(second_of(&server), bytes + 1, PART);
    side_done(&server);
}

static void server_is_simple_when_there_is_no_digest(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0x09007c02);
    expect_simple_answer(bytes);
    fill_client(bytes, 0);
    add_digest(false, bytes + 1, 1); // version 0: not even looked for
    expect_simple_answer(bytes);
    fill_client(bytes, 0x09007c02);
    add_digest(true, bytes + 1, 1); // the wrong role's key
    expect_simple_answer(bytes);
}

// A digest with one bit wrong, in whichever byte, is none.
static void every_byte_of_the_digest_counts(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0x09007c02);
    add_digest(false, bytes + 1, 1);
    size_t place = 1 + place_of_digest(bytes + 1, 1);
    for (size_t i = 0; i < 32; i++) {
        bytes[place + i] ^= 0x10;
        expect_simple_answer(bytes);
        bytes[place + i] ^= 0x10;
    }
}

// S0 S1 S2 leave at the last byte of C1: a client may wait for all of them before it sends C2.
static void server_answers_before_the_second_part(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0);
    struct side server = server_side(&with_hmac);
    side_feed(&server, bytes, PART);
    assert_int_equal(server.out_len, 0);
    side_feed(&server, bytes + PART, 1);
    assert_int_equal(server.out_len, WHOLE);
    assert_false(cv_handshake_done(server.hs));
    side_feed(&server, bytes + 1 + PART, PART - 1);
    assert_false(cv_handshake_done(server.hs));
    side_feed(&server, bytes + WHOLE - 1, 1);
    assert_true(cv_handshake_done(server.hs));
    side_done(&server);
}

static void not_done_before_the_answer_is_taken(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0);
    struct cv_handshake *hs = cv_handshake_new_server(&with_hmac, 0);
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    assert_int_equal(cv_handshake_feed(hs, &rd, NULL), CV_OK);
    assert_false(cv_handshake_done(hs));
    int err;
    struct cv_block *block = cv_handshake_take(hs, &err);
    assert_int_equal(block->len, WHOLE);
    assert_true(cv_handshake_done(hs));
    cv_block_unref(&block);
    cv_handshake_free(hs);
}

// ---- the client and other people's servers -----------------------------------------------------

static void fill_server(uint8_t bytes[WHOLE], uint32_t version)
{
    fill_client(bytes, version);
}

static void client_signs_for_either_schema(void **state)
{
    (void)state;
    for (int schema = 0; schema < 2; schema++) {
        uint8_t bytes[WHOLE];
        fill_server(bytes, 0x03050101);
        uint8_t *s1 = bytes + 1;
        add_digest(true, s1, schema);
        struct side client = client_side(&with_hmac, true);
        assert_int_equal(side_feed(&client, bytes, WHOLE), 0);
        assert_true(cv_handshake_done(client.hs));
        assert_true(cv_handshake_digest(client.hs));
        expect_signed(false, second_of(&client), s1 + place_of_digest(s1, schema));
        side_done(&client);
    }
}

// A simple client stays simple, whatever the server shows; and S2 may be anything.
static void simple_client_echoes(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_server(bytes, 0x03050101);
    add_digest(true, bytes + 1, 1);
    struct side client = client_side(&with_hmac, false);
    side_feed(&client, bytes, 1 + PART);
    assert_int_equal(client.out_len, WHOLE); // C2 does not wait for S2
    assert_false(cv_handshake_done(client.hs));
    side_feed(&client, bytes + 1 + PART, PART);
    assert_true(cv_handshake_done(client.hs));
    assert_false(cv_handshake_digest(client.hs));
    assert_memory_equal(second_of(&client), bytes + 1, PART);
    side_done(&client);
}

static void client_survives_a_server_that_speaks_first(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_server(bytes, 0);
    struct side client = {.hs = cv_handshake_new_client(&with_hmac, 0, false)};
    assert_int_equal(side_feed(&client, bytes, WHOLE), 0);
    assert_true(cv_handshake_done(client.hs));
    assert_int_equal(client.out_len, WHOLE);
    assert_memory_equal(second_of(&client), bytes + 1, PART);
    side_done(&client);
}

// ---- a client in a hurry ----------------------------------------------------------------------

static struct side hurried_side(bool digest)
{
    struct side side = {.hs = cv_handshake_new_client(&with_hmac, CLIENT_MS, digest)};
    assert_non_null(side.hs);
    cv_handshake_hurry(side.hs);
    side_take(&side);
    assert_int_equal(side.out_len, WHOLE);
    return side;
}

static void client_in_a_hurry_says_all_at_once(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (int digest = 0; digest < 2; digest++) {
        for (size_t i = 0; i < PIECES; i++) {
            struct side server = server_side(&with_hmac);
            struct side client = hurried_side(digest);
            assert_false(cv_handshake_done(client.hs));
            // Its second part is not a copy of anything, and not empty.
            assert_memory_not_equal(second_of(&client), zeros, sizeof zeros);
            assert_memory_not_equal(second_of(&client), first_of(&client), PART);
            meet(&server, &client, pieces[i]);
            assert_int_equal(cv_handshake_digest(server.hs), digest);
            side_done(&server);
            side_done(&client);
        }
    }
}

static void client_in_a_hurry_needs_random_numbers(void **state)
{
    (void)state;
    int err = CV_OK;
    struct cv_handshake *hs = cv_handshake_new_client(&with_hmac, CLIENT_MS, false);
    assert_non_null(hs);
    cv_handshake_hurry(hs);
    random_fails = true;
    assert_null(cv_handshake_take(hs, &err));
    assert_true(err < 0);
    random_fails = false;
    cv_handshake_free(hs);
}

// ---- cuts and what follows ---------------------------------------------------------------------

static struct side side_of(bool server)
{
    fresh(NULL);
    return server ? server_side(&with_hmac) : client_side(&with_hmac, true);
}

// Every cut in two, and byte by byte: the same output, and the bytes behind the end stay.
static void expect_same_at_every_cut(bool server, const uint8_t *bytes, size_t len)
{
    struct side whole = side_of(server);
    assert_int_equal(side_feed(&whole, bytes, len), len - WHOLE);
    for (size_t cut = 0; cut <= len; cut++) {
        struct side side = side_of(server);
        size_t left = side_feed(&side, bytes, cut);
        assert_int_equal(left, cut > WHOLE ? cut - WHOLE : 0);
        assert_int_equal(cv_handshake_done(side.hs), cut >= WHOLE);
        left += side_feed(&side, bytes + cut, len - cut);
        assert_int_equal(left, len - WHOLE);
        assert_true(cv_handshake_done(side.hs));
        assert_int_equal(side.out_len, whole.out_len);
        assert_memory_equal(side.out, whole.out, whole.out_len);
        side_done(&side);
    }
    struct side side = side_of(server);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(side_feed(&side, bytes + i, 1), i < WHOLE ? 0 : 1);
    assert_memory_equal(side.out, whole.out, whole.out_len);
    side_done(&side);
    side_done(&whole);
}

static void split_anywhere(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        bool server = mode / 2;
        uint8_t bytes[WHOLE + 5];
        fill_client(bytes, mode % 2 ? 0x09007c02 : 0);
        if (mode % 2)
            add_digest(!server, bytes + 1, 1);
        memcpy(bytes + WHOLE, "chunk", 5);
        expect_same_at_every_cut(server, bytes, sizeof bytes);
    }
}

static void what_follows_stays(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE + 12];
    fill_client(bytes, 0);
    memcpy(bytes + WHOLE, "\2\0\0\0\0\0\4\1\0\0\0\0", 12);
    struct side server = server_side(&with_hmac);
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    assert_int_equal(cv_handshake_feed(server.hs, &rd, NULL), CV_OK);
    assert_ptr_equal(rd.at, bytes + WHOLE);
    assert_int_equal(cv_rd_left(&rd), 12);
    assert_int_equal(cv_handshake_feed(server.hs, &rd, NULL), CV_OK);
    assert_int_equal(cv_rd_left(&rd), 12);
    side_done(&server);
}

// ---- wrong input and failures ------------------------------------------------------------------

static void first_byte_is_judged_at_once(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte;
        const char *words;
    } rows[] = {
        {0x00, "obsolete"}, {0x02, "obsolete"}, {0x04, "not RTMP"}, {0x06, "RTMPE"},
        {0x08, "RTMPE"},    {0x09, "RTMPE"},    {0x0d, "PROXY"},    {0x15, "TLS"},
        {0x16, "TLS"},      {'G', "HTTP"},      {'P', "HTTP"},      {'H', "HTTP"},
        {'a', "not RTMP"},  {'@', "not RTMP"},  {0xff, "not RTMP"},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct side side = i % 2 ? server_side(&with_hmac) : client_side(&with_hmac, false);
        struct cv_rd rd = cv_rd_over(&rows[i / 2].byte, 1);
        struct cv_why why = {0};
        assert_int_equal(cv_handshake_feed(side.hs, &rd, &why), CV_E_HANDSHAKE_VERSION);
        assert_int_equal(cv_rd_left(&rd), 1);
        assert_int_equal(why.code, CV_E_HANDSHAKE_VERSION);
        assert_string_equal(why.place, "handshake");
        assert_non_null(strstr(why.text, rows[i / 2].words));
        side_done(&side);
    }
}

static void every_other_first_byte_fails(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        struct side server = server_side(&with_hmac);
        uint8_t byte = (uint8_t)value;
        struct cv_rd rd = cv_rd_over(&byte, 1);
        int err = cv_handshake_feed(server.hs, &rd, NULL);
        assert_int_equal(err, value == 3 ? CV_OK : CV_E_HANDSHAKE_VERSION);
        side_done(&server);
    }
}

static void failure_is_for_good(void **state)
{
    (void)state;
    struct side server = server_side(&with_hmac);
    struct cv_rd bad = cv_rd_over("G", 1);
    assert_int_equal(cv_handshake_feed(server.hs, &bad, NULL), CV_E_HANDSHAKE_VERSION);
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0);
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    assert_int_equal(cv_handshake_feed(server.hs, &rd, NULL), CV_E_HANDSHAKE_VERSION);
    assert_int_equal(cv_rd_left(&rd), WHOLE);
    side_take(&server);
    assert_int_equal(server.out_len, 0);
    assert_false(cv_handshake_done(server.hs));
    side_done(&server);
}

static void nothing_is_allocated_while_receiving(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0x09007c02);
    struct side server = server_side(&with_hmac);
    uint64_t before = cv_mem_stats().allocs;
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    assert_int_equal(cv_handshake_feed(server.hs, &rd, NULL), CV_OK);
    assert_int_equal(cv_mem_stats().allocs, before);
    side_done(&server);
}

// One side's whole handshake; false when memory failed on the way. A block that could not be made
// is still due and comes the second time.
static bool run_with_failing_memory(struct cv_handshake *hs, const uint8_t *bytes)
{
    if (!hs)
        return false;
    bool failed = false;
    size_t sent = 0;
    struct cv_rd rd = cv_rd_over(bytes, WHOLE);
    for (int step = 0; step < 4; step++) {
        int err;
        struct cv_block *block = cv_handshake_take(hs, &err);
        assert_true(err == CV_OK || (err == CV_E_NOMEM && !block));
        failed |= err == CV_E_NOMEM;
        sent += block ? block->len : 0;
        cv_block_unref(&block);
        if (step == 1)
            assert_int_equal(cv_handshake_feed(hs, &rd, NULL), CV_OK);
    }
    assert_true(cv_handshake_done(hs));
    assert_int_equal(sent, WHOLE);
    cv_handshake_free(hs);
    return !failed;
}

static bool run_server(void *bytes)
{
    return run_with_failing_memory(cv_handshake_new_server(&with_hmac, 0), bytes);
}

static bool run_client(void *bytes)
{
    return run_with_failing_memory(cv_handshake_new_client(&with_hmac, 0, true), bytes);
}

static void survives_failing_memory(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0x09007c02);
    add_digest(false, bytes + 1, 1);
    fail_nth(run_server, bytes);
    fill_server(bytes, 0x09007c02);
    add_digest(true, bytes + 1, 1);
    fail_nth(run_client, bytes);
}

static void failing_randomness_is_told(void **state)
{
    (void)state;
    struct cv_handshake *hs = cv_handshake_new_client(&with_hmac, 0, false);
    random_fails = true;
    int err = CV_OK;
    assert_null(cv_handshake_take(hs, &err));
    assert_int_equal(err, CV_E_SYSTEM);
    random_fails = false;
    struct cv_block *block = cv_handshake_take(hs, &err);
    assert_non_null(block);
    assert_int_equal(err, CV_OK);
    cv_block_unref(&block);
    cv_handshake_free(hs);
}

// With a schema 1 client the server makes 2 HMACs to find the digest, 1 for S1 and 2 for S2.
static void failing_hmac_is_told(void **state)
{
    (void)state;
    uint8_t bytes[WHOLE];
    fill_client(bytes, 0x09007c02);
    add_digest(false, bytes + 1, 1);
    for (int n = 1; n <= 6; n++) {
        struct side server = server_side(&with_hmac);
        hmac_calls_until_failure = n;
        struct cv_rd rd = cv_rd_over(bytes, WHOLE);
        struct cv_why why = {0};
        int err = cv_handshake_feed(server.hs, &rd, &why);
        assert_int_equal(err, n <= 2 ? CV_E_SYSTEM : CV_OK);
        assert_int_equal(why.code, err);
        struct cv_block *block = cv_handshake_take(server.hs, &err);
        assert_int_equal(err, n >= 3 && n <= 5 ? CV_E_SYSTEM : CV_OK);
        assert_int_equal(block != NULL, n == 6);
        cv_block_unref(&block);
        side_done(&server);
    }
}

// ---- worked vectors ----------------------------------------------------------------------------

// Byte i of the part is 7 i + seed, the version is FFmpeg's. Places and digests were computed with
// another language's library.
static void worked_vectors(void **state)
{
    (void)state;
    static const struct {
        bool server;
        int schema;
        size_t place;
        const char *digest;
        const char *signer; // the key that signs the peer's answer to it
    } rows[] = {
        {false, 0, 934, "399e8bb6405f5f9a036ee8736ce464ce47ed78bf62b0c5306fa7824bd912edd7",
         "9df151317a3716d085e91ec927fcc88245b5ecec54576e7c747924f11c104ad4"},
        {false, 1, 282, "baa6f5a6af778a2431c67e44cac2688eb3d712621b49d7ae536ca508b6dfe957",
         "43a396fe2edcf899dc491cef3f5789b552590030414616e8210813c13de5464f"},
        {true, 0, 938, "2862a9e8d033d54b6bec8a4f03273b7ede71d91d04b0c6b6055e5804c316ddf6",
         "331c3cd79274e4abf4ee0b45df33655e7a18ae84b5938ba72d510d0372babd46"},
        {true, 1, 286, "2ea1be157982bb980d06677705b75df638b0418fa13800ccd6087c58ff4bfb06",
         "52f39413d7e65d5250056fd4d199ec5b7f4a674aed9fed075ea6e01698d66164"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[WHOLE] = {3};
        for (unsigned k = 0; k < PART; k++)
            bytes[1 + k] = (uint8_t)(7 * k + (rows[i].server ? 2 : 1));
        hex_bytes("09007c02", bytes + 5, 4);
        hex_bytes(rows[i].digest, bytes + 1 + rows[i].place, 32);
        struct side side = rows[i].server ? client_side(&with_hmac, true) : server_side(&with_hmac);
        side_feed(&side, bytes, WHOLE);
        assert_true(cv_handshake_digest(side.hs));
        uint8_t signer[32];
        hex_bytes(rows[i].signer, signer, 32);
        uint8_t signature[32];
        hmac(signer, 32, second_of(&side), PART - 32, signature);
        assert_memory_equal(second_of(&side) + PART - 32, signature, 32);
        side_done(&side);
    }
}

// ---- real bytes --------------------------------------------------------------------------------

static size_t ffmpeg_files;

// The corpus files of the server begin with 5 bytes for the fuzz target.
static void real_client(const char *file, const uint8_t *data, size_t len)
{
    const char *name = strrchr(file, '/') + 1;
    if (strncmp(name, "server_real_", 12) != 0)
        return;
    assert_true(len >= 5 + WHOLE);
    bool ffmpeg = strstr(name, "ffmpeg") != NULL;
    struct side server = server_side(&with_hmac);
    size_t left = side_feed(&server, data + 5, len - 5);
    assert_int_equal(left, len - 5 - WHOLE);
    assert_true(cv_handshake_done(server.hs));
    assert_int_equal(cv_handshake_digest(server.hs), ffmpeg);
    ffmpeg_files += ffmpeg;
    side_done(&server);
}

static void real_clients(void **state)
{
    (void)state;
    ffmpeg_files = 0;
    corpus_each("handshake", real_client);
    assert_int_equal(ffmpeg_files, 2);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(simple_meets_simple),
        TEST(digest_meets_digest),
        TEST(digest_client_meets_simple_server),
        TEST(digest_client_without_hmac_is_simple),
        TEST(client_part_is_disguised),
        TEST(server_answers_in_the_schema_of_the_client),
        TEST(digest_is_found_at_every_kind_of_place),
        TEST(server_is_simple_when_there_is_no_digest),
        TEST(every_byte_of_the_digest_counts),
        TEST(server_answers_before_the_second_part),
        TEST(not_done_before_the_answer_is_taken),
        TEST(client_signs_for_either_schema),
        TEST(simple_client_echoes),
        TEST(client_survives_a_server_that_speaks_first),
        TEST(client_in_a_hurry_says_all_at_once),
        TEST(client_in_a_hurry_needs_random_numbers),
        TEST(split_anywhere),
        TEST(what_follows_stays),
        TEST(first_byte_is_judged_at_once),
        TEST(every_other_first_byte_fails),
        TEST(failure_is_for_good),
        TEST(nothing_is_allocated_while_receiving),
        TEST(survives_failing_memory),
        TEST(failing_randomness_is_told),
        TEST(failing_hmac_is_told),
        TEST(worked_vectors),
        TEST(real_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
