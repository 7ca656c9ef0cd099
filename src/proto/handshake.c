#include "proto/handshake.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/secret.h"

#include <string.h>

enum {
    PART = CV_HANDSHAKE_PART_BYTES,
    HEAD_BYTES = 8, // time and version, in front of the random part
    DIGEST_BYTES = CV_SHA256_BYTES,
    SIGNED_BYTES = PART - DIGEST_BYTES,

    // Versions in bytes 4..7. A server's is one of the digest era; FFmpeg's client sends the other.
    VERSION_SIMPLE = 0,
    VERSION_SERVER = 0x04050001,
    VERSION_CLIENT = 0x09007c02,
};

// ---- digests --------------------------------------------------------------------------------

// After the head, a part with a digest has two blocks of 764 bytes, "key" and "digest", in either
// order. The digest block begins with four bytes whose sum says where in it the digest lies.
enum { OFFSET_BYTES = 4, OFFSET_RANGE = 728 };

// Where the offset bytes are, by schema. 0: key first. 1: digest first.
enum { SCHEMAS = 2, NO_SCHEMA = -1 };
static const size_t schema_offset_at[SCHEMAS] = {772, 8};

// Which schema a client of ours uses: the one of FFmpeg and SRS, "because FMS requires it".
enum { CLIENT_SCHEMA = 1 };

// The public keys: a text makes the digest, text and tail together sign the second part.
#define KEY_TAIL                                                                                   \
    "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57"                             \
    "\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae"

struct key {
    const char *bytes;
    size_t text_len; // without the tail
    size_t len;      // with it
};

static const char client_key_bytes[] = "Genuine Adobe Flash Player 001" KEY_TAIL;
static const char server_key_bytes[] = "Genuine Adobe Flash Media Server 001" KEY_TAIL;
static const struct key client_key = {client_key_bytes, 30, sizeof client_key_bytes - 1};
static const struct key server_key = {server_key_bytes, 36, sizeof server_key_bytes - 1};

// ---- the object -----------------------------------------------------------------------------

enum phase { RECEIVE_VERSION, RECEIVE_FIRST, RECEIVE_SECOND, RECEIVED };

// Parts still to hand out, in this order.
enum due { DUE_FIRST = 1, DUE_SECOND = 2 };

struct cv_handshake {
    const struct cv_crypto *crypto;
    const struct key *own_key;
    const struct key *peer_key;
    bool server;
    bool hurries; // C2 does not wait for S1
    uint8_t due;  // enum due, or-ed
    enum phase phase;
    size_t got;     // bytes of the part that is being received
    int err;        // the failure, for good
    uint32_t time;  // of our first part
    int own_schema; // of our first part; NO_SCHEMA: simple
    bool peer_digest_found;
    uint8_t peer_digest[DIGEST_BYTES];
    uint8_t peer_first[PART]; // C1 or S1
};

static struct cv_handshake *handshake_new(const struct cv_crypto *crypto, uint32_t now_ms)
{
    CV_ASSERT(crypto && crypto->random);
    struct cv_handshake *hs = cv_mem_zero(1, sizeof *hs);
    if (!hs)
        return NULL;
    hs->crypto = crypto;
    hs->time = now_ms;
    hs->own_schema = NO_SCHEMA;
    return hs;
}

struct cv_handshake *cv_handshake_new_server(const struct cv_crypto *crypto, uint32_t now_ms)
{
    struct cv_handshake *hs = handshake_new(crypto, now_ms);
    if (!hs)
        return NULL;
    hs->server = true;
    hs->own_key = &server_key;
    hs->peer_key = &client_key;
    return hs;
}

struct cv_handshake *cv_handshake_new_client(const struct cv_crypto *crypto, uint32_t now_ms,
                                             bool digest)
{
    struct cv_handshake *hs = handshake_new(crypto, now_ms);
    if (!hs)
        return NULL;
    hs->own_key = &client_key;
    hs->peer_key = &server_key;
    hs->due = DUE_FIRST;
    if (digest && crypto->hmac_sha256)
        hs->own_schema = CLIENT_SCHEMA;
    return hs;
}

void cv_handshake_hurry(struct cv_handshake *handshake)
{
    CV_ASSERT(!handshake->server && handshake->due == DUE_FIRST);
    handshake->hurries = true;
    handshake->due |= DUE_SECOND;
}

void cv_handshake_free(struct cv_handshake *handshake)
{
    cv_mem_free(handshake);
}

bool cv_handshake_done(const struct cv_handshake *handshake)
{
    return handshake->phase == RECEIVED && handshake->due == 0;
}

bool cv_handshake_digest(const struct cv_handshake *handshake)
{
    return handshake->peer_digest_found;
}

// ---- digests of a part ----------------------------------------------------------------------

static size_t digest_at(const uint8_t part[PART], int schema)
{
    size_t at = schema_offset_at[schema];
    struct cv_rd rd = cv_rd_over(part + at, OFFSET_BYTES);
    size_t sum = 0;
    while (cv_rd_left(&rd) > 0)
        sum += cv_rd_u8(&rd);
    size_t place = at + OFFSET_BYTES + sum % OFFSET_RANGE;
    CV_ASSERT(place + DIGEST_BYTES <= PART);
    return place;
}

// The digest that belongs at `place`: over all of the part but its own place.
static int digest_make(const struct cv_crypto *crypto, const struct key *key,
                       const uint8_t part[PART], size_t place, uint8_t out[DIGEST_BYTES])
{
    const uint8_t *rest = part + place + DIGEST_BYTES;
    size_t rest_len = SIGNED_BYTES - place;
    return crypto->hmac_sha256(key->bytes, key->text_len, part, place, rest, rest_len, out);
}

// 1 when the part has a valid digest, which is remembered; 0 when not; negative on failure.
static int digest_check(struct cv_handshake *hs, int schema)
{
    uint8_t expected[DIGEST_BYTES];
    size_t place = digest_at(hs->peer_first, schema);
    int err = digest_make(hs->crypto, hs->peer_key, hs->peer_first, place, expected);
    if (err < 0)
        return err;
    if (!cv_ct_equal(expected, hs->peer_first + place, DIGEST_BYTES))
        return 0;
    memcpy(hs->peer_digest, expected, DIGEST_BYTES);
    hs->peer_digest_found = true;
    return 1;
}

// Looks for the peer's digest. The server then answers in the same schema.
static int digest_search(struct cv_handshake *hs)
{
    for (int schema = 0; schema < SCHEMAS; schema++) {
        int found = digest_check(hs, schema);
        if (found < 0)
            return found;
        if (found && hs->server)
            hs->own_schema = schema;
        if (found)
            return CV_OK;
    }
    return CV_OK;
}

// ---- receiving ------------------------------------------------------------------------------

// What a first byte that is not ours looks like.
static const struct {
    uint8_t first;
    uint8_t last;
    const char *text;
} version_rows[] = {
    {0x00, 0x02, "an obsolete version of RTMP"},
    {0x06, 0x06, "RTMPE (encrypted RTMP) is not supported, use RTMPS"},
    {0x08, 0x08, "RTMPE with XTEA is not supported, use RTMPS"},
    {0x09, 0x09, "RTMPE with Blowfish is not supported, use RTMPS"},
    {0x0d, 0x0d, "looks like the PROXY protocol"},
    {0x15, 0x16, "looks like TLS"},
    {'A', 'Z', "looks like HTTP"},
};

static const char *version_text(uint8_t version)
{
    for (size_t i = 0; i < sizeof version_rows / sizeof version_rows[0]; i++) {
        if (version >= version_rows[i].first && version <= version_rows[i].last)
            return version_rows[i].text;
    }
    return "not RTMP";
}

static int receive_version(struct cv_handshake *hs, struct cv_rd *rd, struct cv_why *why)
{
    struct cv_rd look = *rd;
    uint8_t version = cv_rd_u8(&look);
    if (version != CV_HANDSHAKE_VERSION)
        return cv_why_set(why, CV_E_HANDSHAKE_VERSION, "handshake", "first byte 0x%02x: %s",
                          version, version_text(version));
    *rd = look;
    hs->phase = RECEIVE_FIRST;
    return CV_OK;
}

// Whether the peer's first part may carry a digest that matters to us.
static bool digest_expected(const struct cv_handshake *hs)
{
    if (!hs->server)
        return hs->own_schema != NO_SCHEMA;
    struct cv_rd rd = cv_rd_over(hs->peer_first, HEAD_BYTES);
    cv_rd_u32(&rd); // time
    return hs->crypto->hmac_sha256 && cv_rd_u32(&rd) != VERSION_SIMPLE;
}

static int first_complete(struct cv_handshake *hs, struct cv_why *why)
{
    int err = digest_expected(hs) ? digest_search(hs) : CV_OK;
    if (err < 0)
        return cv_why_set(why, err, "handshake", "HMAC failed");
    if (hs->server)
        hs->due = DUE_FIRST | DUE_SECOND;
    else if (!hs->hurries)
        hs->due |= DUE_SECOND;
    hs->phase = RECEIVE_SECOND;
    return CV_OK;
}

// Steps over what there is of the current part, and lends it. *len: how much.
static const uint8_t *part_bytes(struct cv_handshake *hs, struct cv_rd *rd, size_t *len)
{
    size_t missing = PART - hs->got;
    *len = cv_rd_left(rd) < missing ? cv_rd_left(rd) : missing;
    hs->got += *len;
    return cv_rd_bytes(rd, *len);
}

static int receive_first(struct cv_handshake *hs, struct cv_rd *rd, struct cv_why *why)
{
    uint8_t *to = hs->peer_first + hs->got;
    size_t len;
    const uint8_t *bytes = part_bytes(hs, rd, &len);
    memcpy(to, bytes, len);
    if (hs->got < PART)
        return CV_OK;
    hs->got = 0;
    return first_complete(hs, why);
}

static int receive_second(struct cv_handshake *hs, struct cv_rd *rd)
{
    size_t len;
    part_bytes(hs, rd, &len);
    if (hs->got == PART)
        hs->phase = RECEIVED;
    return CV_OK;
}

static int receive(struct cv_handshake *hs, struct cv_rd *rd, struct cv_why *why)
{
    switch (hs->phase) {
    case RECEIVE_VERSION:
        return receive_version(hs, rd, why);
    case RECEIVE_FIRST:
        return receive_first(hs, rd, why);
    case RECEIVE_SECOND:
        return receive_second(hs, rd);
    case RECEIVED:
        break;
    }
    CV_UNREACHABLE();
}

int cv_handshake_feed(struct cv_handshake *handshake, struct cv_rd *rd, struct cv_why *why)
{
    while (handshake->err == CV_OK && handshake->phase != RECEIVED && cv_rd_left(rd) > 0)
        handshake->err = receive(handshake, rd, why);
    return handshake->err;
}

// ---- sending --------------------------------------------------------------------------------

// Begins a client's random part so that a middlebox that knows only HTTP sees the end of a (bad)
// request there and refuses at once, instead of waiting for more. A NUL would make some of them
// wait all the same.
static void disguise(uint8_t *random, size_t len)
{
    static const uint8_t request_end[] = {'\r', '\n', '\r', '\n'};
    memcpy(random, request_end, sizeof request_end);
    for (size_t i = sizeof request_end; i < len; i++) {
        if (random[i] == 0)
            random[i] = 0xff;
    }
}

static uint32_t own_version(const struct cv_handshake *hs)
{
    if (hs->own_schema == NO_SCHEMA)
        return VERSION_SIMPLE;
    return hs->server ? VERSION_SERVER : VERSION_CLIENT;
}

static int write_first(const struct cv_handshake *hs, uint8_t part[PART])
{
    struct cv_wr wr = cv_wr_fixed(part, HEAD_BYTES);
    cv_wr_u32(&wr, hs->time);
    cv_wr_u32(&wr, own_version(hs));
    int err = hs->crypto->random(part + HEAD_BYTES, PART - HEAD_BYTES);
    if (err < 0)
        return err;
    if (!hs->server)
        disguise(part + HEAD_BYTES, PART - HEAD_BYTES);
    if (hs->own_schema == NO_SCHEMA)
        return CV_OK;
    size_t place = digest_at(part, hs->own_schema);
    return digest_make(hs->crypto, hs->own_key, part, place, part + place);
}

// Random bytes, signed with a key that is made of the peer's digest.
static int write_signed(const struct cv_handshake *hs, uint8_t part[PART])
{
    const struct cv_crypto *crypto = hs->crypto;
    const struct key *own = hs->own_key;
    int err = crypto->random(part, SIGNED_BYTES);
    if (err < 0)
        return err;
    uint8_t key[DIGEST_BYTES];
    err = crypto->hmac_sha256(own->bytes, own->len, hs->peer_digest, DIGEST_BYTES, NULL, 0, key);
    if (err < 0)
        return err;
    return crypto->hmac_sha256(key, sizeof key, part, SIGNED_BYTES, NULL, 0, part + SIGNED_BYTES);
}

static int write_second(const struct cv_handshake *hs, uint8_t part[PART])
{
    if (hs->phase < RECEIVE_SECOND)
        return hs->crypto->random(part, PART);
    if (hs->peer_digest_found)
        return write_signed(hs, part);
    memcpy(part, hs->peer_first, PART);
    return CV_OK;
}

// Fills a block that has the room with the parts that are due.
static int write_parts(const struct cv_handshake *hs, struct cv_block *block)
{
    int err = CV_OK;
    if (hs->due & DUE_FIRST) {
        struct cv_wr wr = cv_wr_fixed(block->data, 1);
        cv_wr_u8(&wr, CV_HANDSHAKE_VERSION);
        err = write_first(hs, block->data + 1);
        block->len = 1 + PART;
    }
    if (err == CV_OK && hs->due & DUE_SECOND) {
        err = write_second(hs, block->data + block->len);
        block->len += PART;
    }
    CV_ASSERT(block->len <= block->capacity);
    return err;
}

static size_t parts_bytes(unsigned due)
{
    size_t first = due & DUE_FIRST ? 1 + PART : 0;
    size_t second = due & DUE_SECOND ? PART : 0;
    return first + second;
}

struct cv_block *cv_handshake_take(struct cv_handshake *handshake, int *err)
{
    *err = CV_OK;
    if (handshake->due == 0)
        return NULL;
    struct cv_block *block = cv_block_new(parts_bytes(handshake->due));
    *err = block ? write_parts(handshake, block) : CV_E_NOMEM;
    if (*err < 0) {
        cv_block_unref(&block);
        return NULL;
    }
    handshake->due = 0;
    return block;
}
