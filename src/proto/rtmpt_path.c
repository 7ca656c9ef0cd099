#include "proto/rtmpt_path.h"

#include "base/check.h"
#include "base/err.h"
#include "base/secret.h"

#include <string.h>

enum {
    FOREIGN_ID_CHARS = 64, // ids of other servers, as far as a target is concerned

    // the parts of an id
    OWNER_CHARS = 2,
    TIME_CHARS = 4,
    NONCE_CHARS = 9,
    SIGNED_CHARS = OWNER_CHARS + TIME_CHARS + NONCE_CHARS,
    MAC_CHARS = 16,
    TIME_MASK = (1 << 6 * TIME_CHARS) - 1, // 194 days
};
_Static_assert(SIGNED_CHARS + MAC_CHARS == CV_RTMPT_ID_CHARS, "parts of an id");

static const uint64_t n_max = UINT64_C(1) << 53; // whole numbers of ActionScript end here

// ---- targets --------------------------------------------------------------------------------

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int digit_of(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool is_id(struct cv_text text)
{
    if (text.len == 0 || text.len > FOREIGN_ID_CHARS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (digit_of(text.at[i]) < 0)
            return false;
    }
    return true;
}

static bool parse_fixed(struct cv_text path, struct cv_rtmpt_target *out)
{
    static const struct {
        const char *path;
        enum cv_rtmpt_kind kind;
    } fixed[] = {
        {"/open/1", CV_RTMPT_OPEN},
        {"/fcs/ident", CV_RTMPT_IDENT},
        {"/fcs/ident2", CV_RTMPT_IDENT2},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (cv_text_is(path, fixed[i].path)) {
            *out = (struct cv_rtmpt_target){.kind = fixed[i].kind};
            return true;
        }
    }
    return false;
}

static bool parse_verb(struct cv_text *path, struct cv_rtmpt_target *out)
{
    static const struct {
        const char *verb;
        enum cv_rtmpt_kind kind;
    } verbs[] = {
        {"/send/", CV_RTMPT_SEND},
        {"/idle/", CV_RTMPT_IDLE},
        {"/idel/", CV_RTMPT_IDLE},
        {"/close/", CV_RTMPT_CLOSE},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (cv_text_starts(*path, verbs[i].verb)) {
            *path = cv_text_skip(*path, strlen(verbs[i].verb));
            out->kind = verbs[i].kind;
            return true;
        }
    }
    return false;
}

int cv_rtmpt_target_parse(struct cv_text path, struct cv_rtmpt_target *out)
{
    struct cv_rtmpt_target target = {0};
    if (parse_fixed(path, out))
        return CV_OK;
    if (!parse_verb(&path, &target))
        return CV_E_NOT_FOUND;
    target.has_n = cv_text_find(path, '/') < path.len;
    target.id = cv_text_take(&path, '/');
    if (!is_id(target.id) || (!target.has_n && target.kind != CV_RTMPT_CLOSE))
        return CV_E_NOT_FOUND;
    if (target.has_n && cv_text_u64(path, 0, n_max, &target.n) != CV_OK)
        return CV_E_NOT_FOUND;
    *out = target;
    return CV_OK;
}

// ---- session ids ----------------------------------------------------------------------------

static void put_number(char *out, size_t chars, uint32_t value)
{
    for (size_t i = chars; i-- > 0; value >>= 6)
        out[i] = alphabet[value & 63];
}

static bool get_number(struct cv_text text, uint32_t *out)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.at[i]);
        if (digit < 0)
            return false;
        value = value << 6 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

// The 16 characters that sign the 15 before them.
static int sign(char out[MAC_CHARS], const struct cv_rtmpt_secret *secret, const char *text)
{
    CV_ASSERT(secret->crypto->hmac_sha256);
    uint8_t mac[CV_SHA256_BYTES];
    int err = secret->crypto->hmac_sha256(secret->key, sizeof secret->key, text, SIGNED_CHARS, NULL,
                                          0, mac);
    if (err != CV_OK)
        return err;
    for (size_t i = 0; i < MAC_CHARS / 4; i++) {
        const uint8_t *part = mac + 3 * i;
        put_number(out + 4 * i, 4, (uint32_t)part[0] << 16 | (uint32_t)part[1] << 8 | part[2]);
    }
    return CV_OK;
}

int cv_rtmpt_id_make(struct cv_rtmpt_id *out, const struct cv_rtmpt_secret *secret, uint32_t owner,
                     uint64_t now_s)
{
    CV_ASSERT(owner <= CV_RTMPT_OWNER_MAX);
    uint8_t nonce[NONCE_CHARS];
    struct cv_rtmpt_id id = {0};
    int err = secret->crypto->random(nonce, sizeof nonce);
    if (err != CV_OK)
        return err;
    put_number(id.text, OWNER_CHARS, owner);
    put_number(id.text + OWNER_CHARS, TIME_CHARS, (uint32_t)(now_s & TIME_MASK));
    for (size_t i = 0; i < NONCE_CHARS; i++)
        put_number(id.text + OWNER_CHARS + TIME_CHARS + i, 1, nonce[i]);
    err = sign(id.text + SIGNED_CHARS, secret, id.text);
    if (err != CV_OK)
        return err;
    *out = id;
    return CV_OK;
}

int cv_rtmpt_id_owner(struct cv_text id, uint32_t *owner)
{
    if (id.len != CV_RTMPT_ID_CHARS || !is_id(id))
        return CV_E_NOT_FOUND;
    return get_number((struct cv_text){id.at, OWNER_CHARS}, owner) ? CV_OK : CV_E_NOT_FOUND;
}

int cv_rtmpt_id_check(struct cv_text id, const struct cv_rtmpt_secret *secret, uint64_t now_s,
                      uint32_t age_s)
{
    uint32_t made_s;
    char mac[MAC_CHARS];
    if (id.len != CV_RTMPT_ID_CHARS ||
        !get_number((struct cv_text){id.at + OWNER_CHARS, TIME_CHARS}, &made_s))
        return CV_E_NOT_FOUND;
    int err = sign(mac, secret, id.at);
    if (err != CV_OK)
        return err;
    bool genuine = cv_ct_equal(mac, id.at + SIGNED_CHARS, MAC_CHARS);
    bool fresh = ((now_s - made_s) & TIME_MASK) <= age_s;
    return genuine && fresh ? CV_OK : CV_E_NOT_FOUND;
}
