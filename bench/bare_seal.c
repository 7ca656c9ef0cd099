#include "bare.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_BYTES_MAX = 16384, // of plain bytes
    HEAD_BYTES = 5,
    TAG_BYTES = 16,
    NONCE_BYTES = 12,
    TYPE_DATA = 23,
};

struct seal_player {
    EVP_CIPHER_CTX *cipher;
    uint64_t records;
};

struct bare_seal {
    struct seal_player *players;
    uint8_t *plain;  // records behind each other: content, type
    uint8_t *sealed; // the same: head, content, type, tag
    size_t room;     // of each of the two
    size_t content;  // bytes of the load, without types
};

struct bare_seal *bare_seal_new(unsigned players)
{
    static const uint8_t key[16] = "culvert's bench";
    struct bare_seal *seal = calloc(1, sizeof *seal);
    bare_must(seal && (seal->players = calloc(players, sizeof *seal->players)), "no memory");
    for (unsigned i = 0; i < players; i++) {
        EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
        bare_must(cipher && EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, NULL) == 1,
                  "no AES-128-GCM");
        seal->players[i].cipher = cipher;
    }
    return seal;
}

static void make_room(struct bare_seal *seal, size_t content)
{
    size_t records = content / RECORD_BYTES_MAX + 1;
    size_t wanted = content + records * (HEAD_BYTES + 1 + TAG_BYTES);
    if (wanted <= seal->room)
        return;
    seal->room = 2 * wanted;
    free(seal->plain);
    free(seal->sealed);
    seal->plain = malloc(seal->room);
    seal->sealed = malloc(seal->room);
    bare_must(seal->plain && seal->sealed, "no memory");
}

void bare_seal_load(struct bare_seal *seal, const struct iovec *vectors, int count)
{
    size_t left = RECORD_BYTES_MAX;
    seal->content = 0;
    for (int i = 0; i < count; i++)
        seal->content += vectors[i].iov_len;
    make_room(seal, seal->content);
    uint8_t *out = seal->plain;
    for (int i = 0; i < count; i++) {
        const uint8_t *at = vectors[i].iov_base;
        const uint8_t *end = at + vectors[i].iov_len;
        while (at < end) {
            size_t len = (size_t)(end - at) < left ? (size_t)(end - at) : left;
            memcpy(out, at, len);
            at += len;
            out += len;
            left -= len;
            if (left == 0) {
                *out++ = TYPE_DATA;
                left = RECORD_BYTES_MAX;
            }
        }
    }
    *out = TYPE_DATA;
}

// One record: `len` plain bytes, their type among them. Its length on the wire.
static size_t seal_record(struct seal_player *player, const uint8_t *plain, size_t len,
                          uint8_t *out)
{
    size_t body = len + TAG_BYTES;
    uint8_t head[HEAD_BYTES] = {TYPE_DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    uint8_t nonce[NONCE_BYTES] = {0};
    EVP_CIPHER_CTX *cipher = player->cipher;
    uint8_t *to = out + HEAD_BYTES;
    int done;
    memcpy(nonce, &player->records, sizeof player->records);
    player->records++;
    memcpy(out, head, sizeof head);
    int good = EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, nonce) == 1 &&
               EVP_EncryptUpdate(cipher, NULL, &done, head, sizeof head) == 1 &&
               EVP_EncryptUpdate(cipher, to, &done, plain, (int)len) == 1 &&
               EVP_EncryptFinal_ex(cipher, to + len, &done) == 1 &&
               EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, to + len) == 1;
    bare_must(good, "the cipher failed");
    return HEAD_BYTES + body;
}

struct iovec bare_seal_for(struct bare_seal *seal, unsigned player)
{
    const uint8_t *plain = seal->plain;
    uint8_t *out = seal->sealed;
    for (size_t left = seal->content; left > 0;) {
        size_t content = left < RECORD_BYTES_MAX ? left : RECORD_BYTES_MAX;
        out += seal_record(&seal->players[player], plain, content + 1, out);
        plain += content + 1;
        left -= content;
    }
    return (struct iovec){.iov_base = seal->sealed, .iov_len = (size_t)(out - seal->sealed)};
}
